//! The audit log: one line for each security event, with target `audit`.
//!
//! What always holds: a line names people by id, sessions and credentials by a hash, and holds no
//! secret. Every kind of event has a line: the match has no wildcard arm.
#![deny(clippy::wildcard_enum_match_arm)]

use sha2::{Digest, Sha256};

use crate::domain::dialect::Dialect;
use crate::domain::event::{Event, Kind};
use crate::domain::id::{CredentialId, SessionId, UserId};
use crate::ports::Observer;

/// The `tracing` target of audit lines.
pub const TARGET: &str = "audit";

/// Writes events down.
#[derive(Debug, Clone, Copy, Default)]
pub struct Audit;

impl Observer for Audit {
    fn record(&self, event: &Event) {
        let line = Line::of(&event.kind);
        tracing::info!(
            target: TARGET,
            event = line.event,
            user = line.user,
            session = line.session,
            credential = line.credential,
            ceremony = line.ceremony,
            reason = line.reason,
            subject = line.subject.as_deref(),
            dialect = event.origin.dialect.map(Dialect::label),
            client = event.origin.client.map(|address| address.to_string()),
            request = (!event.origin.request.is_empty()).then_some(event.origin.request.as_str()),
        );
    }
}

/// What a line says; what does not apply is left out.
#[derive(Debug, Default)]
struct Line<'e> {
    event: &'static str,
    user: Option<String>,
    session: Option<String>,
    credential: Option<String>,
    ceremony: Option<&'static str>,
    reason: Option<&'static str>,
    /// What else the event is about: an invitation, a route, a host, a key.
    subject: Option<std::borrow::Cow<'e, str>>,
}

impl<'e> Line<'e> {
    fn of(kind: &'e Kind) -> Self {
        let line = Self::new;
        match kind {
            Kind::SetupLinkIssued => line("setup_link_issued"),
            Kind::Invited { invitation, by } => {
                let line = line("invited").about(invitation.to_string());
                by.iter().fold(line, Self::user)
            }
            Kind::InvitationRedeemed { user, session } => {
                line("invitation_redeemed").user(user).session(session)
            }
            Kind::InvitationRefused => line("invitation_refused"),
            Kind::InvitationRevoked { invitation } => {
                line("invitation_revoked").about(invitation.to_string())
            }
            Kind::CeremonyBegun { ceremony } => {
                Self { ceremony: Some(ceremony.label()), ..line("ceremony_begun") }
            }
            Kind::CredentialAdded { user, credential } => {
                line("credential_added").user(user).credential(credential)
            }
            Kind::CredentialRefused { user, why } => {
                user.iter().fold(line("credential_refused").because(why.label()), Self::user)
            }
            Kind::CredentialRenamed { user, credential } => {
                line("credential_renamed").user(user).credential(credential)
            }
            Kind::CredentialRemoved { user, credential } => {
                line("credential_removed").user(user).credential(credential)
            }
            Kind::BackupChanged { user, credential } => {
                line("backup_changed").user(user).credential(credential)
            }
            Kind::CounterRegressed { user, credential } => {
                line("counter_regressed").user(user).credential(credential)
            }
            Kind::SignedIn { user, session, credential } => {
                line("signed_in").user(user).session(session).credential(credential)
            }
            Kind::SignInRefused { user, why } => {
                user.iter().fold(line("sign_in_refused").because(why.label()), Self::user)
            }
            Kind::SignedOut { user, session } => line("signed_out").user(user).session(session),
            Kind::SessionEnded { user, session, why } => {
                line("session_ended").user(user).session(session).because(why.label())
            }
            Kind::HandedOff { user, session, host } => {
                line("handed_off").user(user).session(session).about(host.as_str())
            }
            Kind::HandOffRefused { host } => line("hand_off_refused").about(host.as_str()),
            Kind::AccessDenied { user, route } => line("access_denied").user(user).about(route.as_str()),
            Kind::UserChanged { user, what } => line("user_changed").user(user).because(what.label()),
            Kind::KeyRotated { key } => line("key_rotated").about(key.to_string()),
            Kind::LoopDetected { host } => line("loop_detected").about(host.as_str()),
            Kind::CodeRequested { user } => user.iter().fold(line("code_requested"), Self::user),
            Kind::CodeRedeemed { user, session } => line("code_redeemed").user(user).session(session),
            Kind::CodeRefused => line("code_refused"),
            Kind::Mail { delivery } => line("mail").because(delivery.label()),
            Kind::RateLimited { whose } => line("rate_limited").because(whose.label()),
        }
    }

    fn new(event: &'static str) -> Self {
        Self { event, ..Self::default() }
    }

    fn user(self, user: &UserId) -> Self {
        Self { user: Some(user.to_string()), ..self }
    }

    fn session(self, session: &SessionId) -> Self {
        Self { session: Some(short_hash(&session.to_string())), ..self }
    }

    fn credential(self, credential: &CredentialId) -> Self {
        Self { credential: Some(short_hash(&credential.to_string())), ..self }
    }

    fn because(self, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..self }
    }

    fn about(self, subject: impl Into<std::borrow::Cow<'e, str>>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }
}

/// The first 16 hex digits of SHA-256 over an id's text: enough to correlate lines, useless for
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
    use crate::domain::event::{End, Origin, Refusal};
    use crate::telemetry::logging::tests::captured;

    fn line(kind: Kind) -> serde_json::Value {
        let origin = Origin { client: "2001:db8::1".parse().ok(), request: "r-1".to_owned(), dialect: None };
        let text = captured("off", true, || Audit.record(&Event { kind, origin }));
        assert_eq!(text.lines().count(), 1, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn s_22_a_line_says_who_what_and_from_where_and_hides_ids_that_could_be_used() {
        let user = UserId::from_random([1; 16]);
        let session = SessionId([0xab; 16]);
        let line = line(Kind::SessionEnded { user, session, why: End::TooMany });
        assert_eq!(line["target"], "audit");
        assert_eq!(line["event"], "session_ended");
        assert_eq!(line["user"], user.to_string());
        assert_eq!(line["session"], short_hash(&"ab".repeat(16)));
        assert_eq!(line["reason"], "too_many");
        assert_eq!(line["client"], "2001:db8::1");
        assert_eq!(line["request"], "r-1");
        assert!(line.get("credential").is_none() && line["timestamp"].is_string(), "{line}");
        assert!(!line.to_string().contains(&session.to_string()));
    }

    #[test]
    fn what_does_not_apply_is_left_out() {
        let line = line(Kind::SignInRefused { user: None, why: Refusal::UnknownCredential });
        assert_eq!(line["reason"], "unknown_credential");
        assert!(line.get("user").is_none(), "{line}");
    }

    #[test]
    fn a_short_hash_is_sha256() {
        assert_eq!(short_hash("abc"), "ba7816bf8f01cfea");
    }
}
