//! The audit trail: entries about security events.
//!
//! What always holds: an entry names people by id, sessions and credentials by a hash, and holds no
//! secret and no query string. Every kind of event has an entry: the match has no wildcard arm.
#![deny(clippy::wildcard_enum_match_arm)]

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::event::{Actor, Delivery, Event, Kind, Model, Outcome, TokenEvent};
use super::id::{CredentialId, SessionId, UserId};
use super::time::Timestamp;

/// A word of ours, or a word that was read back.
type Word = Cow<'static, str>;

/// One entry of the trail; fields that do not apply are `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub at: Timestamp,
    /// The event, in a word.
    pub event: Word,
    pub outcome: Outcome,
    /// A user's id, or `operator`, `gateway` or `anonymous`.
    pub actor: Word,
    /// The user whom it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// A hash of the session's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// A hash of the credential's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// The model of its authenticator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Word>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceremony: Option<Word>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Word>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The rule of the route that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// A further subject: an invitation, a host, a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Word>,
    /// The client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

impl Entry {
    /// The entry for `event`, which happened `at`.
    pub fn of(event: &Event, at: Timestamp) -> Self {
        let Event { kind, origin } = event;
        let entry = Self {
            dialect: origin.dialect.map(|dialect| dialect.terms().label.into()),
            client: origin.client.map(|address| address.to_string()),
            request: (!origin.request.is_empty()).then(|| origin.request.clone()),
            ..Self::blank(kind.topic().label().into(), at).with(kind)
        };
        Self { actor: entry.actor_of(origin.actor), ..entry }
    }

    fn blank(event: Word, at: Timestamp) -> Self {
        Self {
            at,
            event,
            outcome: Outcome::Done,
            actor: Word::Borrowed(""),
            user: None,
            session: None,
            credential: None,
            model: None,
            ceremony: None,
            reason: None,
            route: None,
            rule: None,
            subject: None,
            dialect: None,
            client: None,
            request: None,
        }
    }

    /// The actor. A client whose attempt was refused has proved nothing, except where it was
    /// refused to a user who is signed in.
    fn actor_of(&self, actor: Actor) -> Word {
        let signed_in = self.outcome == Outcome::Done || self.route.is_some();
        match (actor, self.user) {
            (Actor::Gateway, _) => "gateway".into(),
            (Actor::Operator, _) => "operator".into(),
            (Actor::Administrator(id), _) => id.to_string().into(),
            (Actor::Client, Some(user)) if signed_in => user.to_string().into(),
            (Actor::Client | Actor::Anonymous, _) => "anonymous".into(),
        }
    }

    fn with(self, kind: &Kind) -> Self {
        match kind {
            Kind::SetupLinkIssued => self,
            Kind::InvitationRefused | Kind::CodeRefused => self.refused(),
            Kind::Invited { invitation, user } => self.user(*user).about(invitation),
            Kind::InvitationRevoked { invitation } => self.about(invitation),
            Kind::CeremonyBegun { ceremony } => Self { ceremony: Some(ceremony.label().into()), ..self },
            Kind::CredentialAdded { user, credential, model }
            | Kind::CredentialRemoved { user, credential, model } => {
                self.user(*user).credential(credential).of_model(*model)
            }
            Kind::CredentialRenamed { user, credential } | Kind::BackupChanged { user, credential } => {
                self.user(*user).credential(credential)
            }
            Kind::CounterRegressed { user, credential } => self.refused().user(*user).credential(credential),
            Kind::SignedIn { user, session, credential } => {
                self.user(*user).session(session).credential(credential)
            }
            Kind::CredentialRefused { user, why } | Kind::SignInRefused { user, why } => {
                self.refused().user(*user).because(why.label())
            }
            Kind::InvitationRedeemed { user, session }
            | Kind::SignedUp { user, session }
            | Kind::NewDevice { user, session }
            | Kind::SignedOut { user, session }
            | Kind::CodeRedeemed { user, session }
            | Kind::RecoveryCodeRedeemed { user, session } => self.user(*user).session(session),
            Kind::SessionEnded { user, session, why } => {
                self.user(*user).session(session).because(why.label())
            }
            Kind::HandedOff { user, session, host } => self.user(*user).session(session).about(host),
            Kind::HandOffRefused { host } | Kind::LoopDetected { host } => self.refused().about(host),
            Kind::AccessDenied { user, route, rule } => {
                Self { user: *user, route: Some(route.clone()), rule: rule.clone(), ..self.refused() }
            }
            Kind::UserChanged { user, what } => self.user(*user).because(what.label()),
            Kind::KeyRotated { key } => self.about(key),
            Kind::BackedUp { records } => self.about(records),
            Kind::Reload { outcome } | Kind::Upgrade { outcome } => Self { outcome: *outcome, ..self },
            Kind::MailTested { user } => self.user(*user),
            Kind::CodeRequested { user } => self.user(*user),
            Kind::AccessToken(event) => self.with_token(event),
            Kind::Webhook { origin, delivery } => self.because(delivery.label()).about(origin),
            Kind::DeviceLink { user, session, step } => {
                self.user(*user).session(session).because(step.label())
            }
            Kind::Mail { delivery } => self.because(delivery.label()),
            Kind::RateLimited { whose } => self.refused().because(whose.label()),
            Kind::BanAdded { network } | Kind::BanRemoved { network } => self.about(network),
            Kind::Banned { network } => self.refused().about(network),
        }
    }

    fn with_token(self, event: &TokenEvent) -> Self {
        match event {
            TokenEvent::Created { user, token } => self.user(*user).about(token),
            TokenEvent::Revoked { user, token, why } => self.user(*user).about(token).because(why.label()),
            TokenEvent::Refused { token, route, why } => Self {
                user: token.map(|(_, user)| user),
                subject: token.map(|(id, _)| id.to_string()),
                route: route.clone(),
                ..self.refused().because(why.label())
            },
            TokenEvent::CheckTimedOut { token } => self.refused().about(token),
        }
    }

    fn refused(self) -> Self {
        Self { outcome: Outcome::Refused, ..self }
    }

    fn user(self, user: impl Into<Option<UserId>>) -> Self {
        Self { user: user.into(), ..self }
    }

    fn session(self, session: &SessionId) -> Self {
        Self { session: Some(short_hash(&session.to_string())), ..self }
    }

    fn credential(self, credential: &CredentialId) -> Self {
        Self { credential: Some(short_hash(&credential.to_string())), ..self }
    }

    fn of_model(self, Model(model): Model) -> Self {
        Self { model: model.map(Word::Borrowed), ..self }
    }

    fn because(self, reason: &'static str) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }

    fn about(self, subject: &impl ToString) -> Self {
        Self { subject: Some(subject.to_string()), ..self }
    }
}

/// How much of the trail is kept: both limits hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    pub keep: Duration,
    /// The newest stay.
    pub entries_max: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self { keep: Duration::from_hours(90 * 24), entries_max: 1_000_000 }
    }
}

/// Whether the trail keeps this kind of event. An event that any client can cause at will, without
/// having tried a credential, is in the log and the metrics alone.
pub const fn is_kept(kind: &Kind) -> bool {
    !matches!(
        kind,
        Kind::CeremonyBegun { .. }
            | Kind::RateLimited { .. }
            | Kind::Banned { .. }
            | Kind::AccessToken(TokenEvent::CheckTimedOut { .. })
            | Kind::Mail { .. }
            | Kind::LoopDetected { .. }
            | Kind::HandOffRefused { .. }
            | Kind::Webhook { delivery: Delivery::Sent | Delivery::Postponed, .. }
    )
}

/// The first 16 hex digits of SHA-256 over an id's text: enough to correlate entries, useless for
/// anything else.
pub fn short_hash(id: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(id).iter().take(8).fold(String::with_capacity(16), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::dialect::Dialect;
    use crate::domain::event::{DeviceStep, End, Origin, Refusal, UserChange};

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn entry(kind: Kind, actor: Actor) -> Entry {
        Entry::of(&Event { kind, origin: Origin { actor, ..Origin::default() } }, NOW)
    }

    #[test]
    fn entry_names_the_actor() {
        let (user, other) = (UserId::from_random([1; 16]), UserId::from_random([2; 16]));
        let changed = || Kind::UserChanged { user, what: UserChange::Groups };
        for (actor, said) in [
            (Actor::Gateway, "gateway".to_owned()),
            (Actor::Operator, "operator".to_owned()),
            (Actor::Administrator(other), other.to_string()),
            (Actor::Client, user.to_string()),
        ] {
            assert_eq!(entry(changed(), actor).actor, said);
        }
        let denied = entry(
            Kind::AccessDenied { user: Some(user), route: "wiki".to_owned(), rule: None },
            Actor::Client,
        );
        assert_eq!((denied.actor.as_ref(), denied.route.as_deref()), (&*user.to_string(), Some("wiki")));
    }

    #[test]
    fn refused_client_is_anonymous() {
        let user = Some(UserId::from_random([1; 16]));
        let refused = entry(Kind::SignInRefused { user, why: Refusal::BadProof }, Actor::Client);
        assert_eq!((refused.actor.as_ref(), refused.outcome), ("anonymous", Outcome::Refused));
        assert_eq!(refused.user, user);
    }

    #[test]
    fn who_has_shown_nothing_is_not_the_user_of_whom_it_is_told() {
        let (user, session) = (UserId::from_random([1; 16]), SessionId([1; 16]));
        let asked = || Kind::DeviceLink { user, session, step: DeviceStep::Asked };
        let cancelled = || Kind::UserChanged { user, what: UserChange::RecoveryCancelled };
        let kinds: [&dyn Fn() -> Kind; 2] = [&asked, &cancelled];
        for kind in kinds {
            let told = entry(kind(), Actor::Anonymous);
            assert_eq!((told.actor.as_ref(), told.user), ("anonymous", Some(user)));
            assert_eq!(entry(kind(), Actor::Client).actor, user.to_string(), "the control");
        }
    }

    #[test]
    fn an_entry_says_what_it_was_and_through_which_api() {
        use crate::domain::event::{Ceremony, Model};
        let user = UserId::from_random([1; 16]);
        let credential = CredentialId::new(vec![1]).unwrap();
        let hashed = short_hash(&credential.to_string());
        let added = Kind::CredentialAdded { user, credential, model: Model(Some("Example Key")) };
        let added = entry(added, Actor::Client);
        assert_eq!(added.credential, Some(hashed));
        assert_eq!(added.model.as_deref(), Some("Example Key"));
        let begun = entry(Kind::CeremonyBegun { ceremony: Ceremony::Registration }, Actor::Client);
        assert_eq!(begun.ceremony.as_deref(), Some(Ceremony::Registration.label()));
        let rotated = entry(Kind::KeyRotated { key: 7 }, Actor::Operator);
        assert_eq!(rotated.subject.as_deref(), Some("7"));
        let origin = Origin { dialect: Some(Dialect::Zitadel), ..Origin::default() };
        let made = Entry::of(&Event { kind: Kind::CodeRefused, origin }, NOW);
        assert_eq!(made.dialect.as_deref(), Some(Dialect::Zitadel.terms().label));
    }

    #[test]
    fn hashes_session_and_credential_ids() {
        let (user, session) = (UserId::from_random([1; 16]), SessionId([0xab; 16]));
        let ended = entry(Kind::SessionEnded { user, session, why: End::TooMany }, Actor::Gateway);
        let written = serde_json::to_string(&ended).unwrap();
        assert!(written.contains(&short_hash(&"ab".repeat(16))) && !written.contains(&session.to_string()));
        assert_eq!(serde_json::from_str::<Entry>(&written).unwrap(), ended);
    }

    #[test]
    fn a_short_hash_is_sha256() {
        assert_eq!(short_hash("abc"), "ba7816bf8f01cfea");
    }
}
