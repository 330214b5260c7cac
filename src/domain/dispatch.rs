//! Dispatches: what webhooks are told. Words and layout are in `webhook/`.
//!
//! What does not live here: words and layout (`webhook/`), and the waiting
//! (`flows/messages/dispatches.rs`).
//!
//! What always holds: a dispatch names people by id, and has only facts that we know ourselves: the
//! model of an authenticator, a network, a moment, words of ours and names of the configuration.
//! The person who caused it chose no word of it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::audit::Entry;
use super::event::Outcome;
use super::id::UserId;
use super::message::{About, Content};
use super::network::Network;
use super::time::Timestamp;
use super::topic::Topic;
use super::user::Role;

/// How long the gateway tries to deliver a dispatch.
pub const DISPATCH_LIFETIME: Duration = Duration::from_hours(24);

/// A webhook's name in the store, because its URL may be as good as a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WebhookId([u8; 16]);

impl WebhookId {
    /// The webhook with this URL.
    pub fn of_url(url: &str) -> Self {
        let digest = Sha256::new().chain_update(b"webhook ").chain_update(url).finalize();
        Self(digest.first_chunk().copied().unwrap_or_default())
    }
}

/// The topics and notices that a webhook wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    pub webhook: WebhookId,
    /// Scheme, host and port of its URL: the part that may be shown.
    pub origin: String,
    pub topics: BTreeSet<Topic>,
    pub notices: Notices,
}

/// Whether a webhook gets the notices for users where there is no mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notices {
    Wanted,
    NotWanted,
}

/// How a webhook is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// For programs.
    Json,
    /// For a topic of ntfy.
    Ntfy,
    /// For a channel of Slack, or of a program that takes the same messages.
    Slack,
}

/// A notice to a user about their own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    PasskeyAdded,
    PasskeyRemoved,
    CodeUsed,
    RecoveryCodeUsed,
    RecoveryCodesMade,
    LinkMade,
    LinkUsed,
    ResetLinkMade,
    PasskeysWiped,
    NewDevice,
    RoleChanged,
    AccountEnds,
}

impl Notice {
    /// All notices.
    pub const ALL: [Self; 12] = [
        Self::PasskeyAdded,
        Self::PasskeyRemoved,
        Self::CodeUsed,
        Self::RecoveryCodeUsed,
        Self::RecoveryCodesMade,
        Self::LinkMade,
        Self::LinkUsed,
        Self::ResetLinkMade,
        Self::PasskeysWiped,
        Self::NewDevice,
        Self::RoleChanged,
        Self::AccountEnds,
    ];

    /// Its name for programs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::PasskeyAdded => "passkey_added",
            Self::PasskeyRemoved => "passkey_removed",
            Self::CodeUsed => "code_used",
            Self::RecoveryCodeUsed => "recovery_code_used",
            Self::RecoveryCodesMade => "recovery_codes_made",
            Self::LinkMade => "link_made",
            Self::LinkUsed => "link_used",
            Self::ResetLinkMade => "reset_link_made",
            Self::PasskeysWiped => "passkeys_wiped",
            Self::NewDevice => "new_device",
            Self::RoleChanged => "role_changed",
            Self::AccountEnds => "account_ends",
        }
    }
}

/// The subject of a dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// An entry of the audit trail.
    Event(Topic),
    /// A notice that could not be mailed to the user.
    Notice(Notice),
    /// A test that says nothing but that dispatches arrive.
    Test,
}

/// One message to one webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatch {
    pub what: What,
    pub at: Timestamp,
    pub outcome: Outcome,
    /// A user's id, or `operator`, `gateway` or `anonymous`; `None` where it does not matter.
    pub actor: Option<String>,
    /// The user whose account it is about.
    pub user: Option<UserId>,
    pub reason: Option<String>,
    pub route: Option<String>,
    /// The model of the authenticator.
    pub model: Option<String>,
    pub network: Option<Network>,
}

impl Dispatch {
    /// A dispatch that says nothing but that it has arrived.
    pub const fn test(at: Timestamp) -> Self {
        Self::blank(What::Test, at)
    }

    /// The dispatch about an entry of the trail.
    pub fn of_entry(topic: Topic, entry: &Entry) -> Self {
        let address = entry.client.as_deref().and_then(|client| client.parse().ok());
        Self {
            outcome: entry.outcome,
            actor: Some(entry.actor.to_string()),
            user: entry.user,
            reason: entry.reason.as_ref().map(ToString::to_string),
            route: entry.route.clone(),
            model: entry.model.as_ref().map(ToString::to_string),
            network: address.map(Network::of),
            ..Self::blank(What::Event(topic), entry.at)
        }
    }

    /// The dispatch where `content` cannot be mailed to `user`; `None` if it is no notice. A link
    /// in it is for its owner, and is left out.
    pub fn of_notice(user: UserId, content: &Content, now: Timestamp) -> Option<Self> {
        let (notice, about) = notice_in(content)?;
        let reason = match content {
            Content::NewDevice { program, .. } => Some(program.in_words()),
            Content::AccountEnds { at } => Some(format!("it ends on {}", at.to_words())),
            Content::RoleChanged { role: Role::Administrator, .. } => Some("administrator".to_owned()),
            Content::RoleChanged { role: Role::Member, .. } => Some("member".to_owned()),
            _ => None,
        };
        let blank = Self { user: Some(user), reason, ..Self::blank(What::Notice(notice), now) };
        let Some(About { model, network, at }) = about else { return Some(blank) };
        Some(Self { model: model.clone(), network: *network, at: *at, ..blank })
    }

    const fn blank(what: What, at: Timestamp) -> Self {
        Self {
            what,
            at,
            outcome: Outcome::Done,
            actor: None,
            user: None,
            reason: None,
            route: None,
            model: None,
            network: None,
        }
    }
}

/// The notice that a message is, and its circumstances.
fn notice_in(content: &Content) -> Option<(Notice, Option<&About>)> {
    Some(match content {
        Content::PasskeyAdded { about, .. } => (Notice::PasskeyAdded, about.as_ref()),
        Content::PasskeyRemoved { about, .. } => (Notice::PasskeyRemoved, about.as_ref()),
        Content::CodeUsed { about, .. } => (Notice::CodeUsed, Some(about)),
        Content::RecoveryCodeUsed { about, .. } => (Notice::RecoveryCodeUsed, Some(about)),
        Content::RecoveryCodesMade { about } => (Notice::RecoveryCodesMade, Some(about)),
        Content::LinkMade => (Notice::LinkMade, None),
        Content::LinkUsed { about, .. } => (Notice::LinkUsed, Some(about)),
        Content::ResetLinkMade { .. } => (Notice::ResetLinkMade, None),
        Content::PasskeysWiped { .. } => (Notice::PasskeysWiped, None),
        Content::NewDevice { about, .. } => (Notice::NewDevice, Some(about)),
        Content::RoleChanged { .. } => (Notice::RoleChanged, None),
        Content::AccountEnds { .. } => (Notice::AccountEnds, None),
        Content::Nothing { .. }
        | Content::Code { .. }
        | Content::Link { .. }
        | Content::Waiting { .. }
        | Content::Approved
        | Content::AddressChanged { .. }
        | Content::Test => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::credential::Program;
    use crate::domain::event::{Actor, End, Event, Kind, Model, Origin, Refusal};
    use crate::domain::id::{CredentialId, SessionId};

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_120);

    #[test]
    fn dispatch_has_network_and_no_usable_ids() {
        let user = Some(UserId::from_random([1; 16]));
        let origin = Origin {
            actor: Actor::Client,
            client: "192.0.2.7".parse().ok(),
            request: "chosen-by-a-client".to_owned(),
            dialect: None,
        };
        let kind = Kind::SignInRefused { user, why: Refusal::BadProof };
        let entry = Entry::of(&Event { kind, origin }, NOW);
        let told = Dispatch::of_entry(Topic::SignInRefused, &entry);
        assert_eq!((told.user, told.outcome, told.at), (user, Outcome::Refused, NOW));
        assert_eq!(told.network.unwrap().to_string(), "192.0.2.0/24");
        let written = serde_json::to_string(&told).unwrap();
        assert!(!written.contains("192.0.2.7") && !written.contains("chosen"), "{written}");
    }

    #[test]
    fn a_notice_has_neither_links_nor_names() {
        let user = UserId::from_random([1; 16]);
        let about = About { model: Some("Example Key".to_owned()), network: None, at: NOW };
        let redeemed = Content::RecoveryCodeUsed {
            about: about.clone(),
            cancel: Some("https://auth.example.com/auth/recovery#secret".to_owned()),
            left: 9,
        };
        let added = Content::PasskeyAdded { passkey: "call 555-1".to_owned(), about: Some(about) };
        for content in [redeemed, added] {
            let told = Dispatch::of_notice(user, &content, NOW).unwrap();
            let written = serde_json::to_string(&told).unwrap();
            assert!(written.contains("Example Key"), "{written}");
            assert!(!written.contains("secret") && !written.contains("555"), "{written}");
        }
        assert_eq!(Dispatch::of_notice(user, &Content::Code { code: "1".to_owned() }, NOW), None);
    }

    #[test]
    fn an_entry_is_told_with_who_did_it_why_and_where() {
        let (user, other) = (UserId::from_random([1; 16]), UserId::from_random([2; 16]));
        let told = |topic, kind, actor| {
            let origin = Origin { actor, ..Origin::default() };
            Dispatch::of_entry(topic, &Entry::of(&Event { kind, origin }, NOW))
        };
        let denied = Kind::AccessDenied { user: Some(user), route: "wiki".to_owned(), rule: None };
        let denied = told(Topic::AccessDenied, denied, Actor::Client);
        assert_eq!((denied.route.as_deref(), denied.actor), (Some("wiki"), Some(user.to_string())));
        let ended = Kind::SessionEnded { user, session: SessionId([1; 16]), why: End::TooMany };
        let ended = told(Topic::SessionEnded, ended, Actor::Administrator(other));
        assert_eq!(ended.reason.as_deref(), Some(End::TooMany.label()));
        assert_eq!(ended.actor, Some(other.to_string()));
        let credential = CredentialId::new(vec![1]).unwrap();
        let added = Kind::CredentialAdded { user, credential, model: Model(Some("Example Key")) };
        let added = told(Topic::CredentialAdded, added, Actor::Client);
        assert_eq!(added.model.as_deref(), Some("Example Key"));
    }

    #[test]
    fn a_notice_says_whose_account_it_is_about_and_what_is_new() {
        let user = UserId::from_random([1; 16]);
        let then = NOW.minus(Duration::from_secs(60));
        let network = Network::parse("192.0.2.0/24").unwrap();
        let about = About { model: Some("Example Key".to_owned()), network: Some(network), at: then };
        let program = Program { browser: "Firefox".to_owned(), system: "Linux".to_owned() };
        let told = |content: &Content| Dispatch::of_notice(user, content, NOW).unwrap();
        for (content, reason) in [
            (Content::NewDevice { program, about: about.clone() }, Some("Firefox on Linux")),
            (
                Content::AccountEnds { at: Timestamp::from_millis(0) },
                Some("it ends on 1 January 1970, 00:00 UTC"),
            ),
            (Content::RoleChanged { role: Role::Administrator, at: then }, Some("administrator")),
            (Content::RoleChanged { role: Role::Member, at: then }, Some("member")),
            (Content::LinkMade, None),
        ] {
            let notice = told(&content);
            assert_eq!((notice.user, notice.reason.as_deref()), (Some(user), reason), "{content:?}");
        }
        let made = told(&Content::RecoveryCodesMade { about });
        assert_eq!((made.model.as_deref(), made.network), (Some("Example Key"), Some(network)));
        assert_eq!((made.at, told(&Content::LinkMade).at), (then, NOW));
    }
}
