//! The audit log: one line for each security event, with target `audit`.
//!
//! What always holds: a line has the fields of the trail's entry (`domain/audit.rs`), and no more.

use crate::domain::audit::Entry;
use crate::domain::event::Event;
use crate::domain::time::Timestamp;
use crate::ports::Observer;

/// The `tracing` target of audit lines.
pub const TARGET: &str = "audit";

/// Writes events down.
#[derive(Debug, Clone, Copy, Default)]
pub struct Audit;

impl Observer for Audit {
    fn record(&self, event: &Event) {
        // The line has the time of the log.
        let entry = Entry::of(event, Timestamp::from_millis(0));
        tracing::info!(
            target: TARGET,
            event = &*entry.event,
            outcome = entry.outcome.label(),
            actor = &*entry.actor,
            user = entry.user.map(|user| user.to_string()),
            session = entry.session,
            credential = entry.credential,
            model = entry.model.as_deref(),
            ceremony = entry.ceremony.as_deref(),
            reason = entry.reason.as_deref(),
            route = entry.route,
            rule = entry.rule,
            subject = entry.subject,
            dialect = entry.dialect.as_deref(),
            client = entry.client,
            request = entry.request,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit::short_hash;
    use crate::domain::event::{Actor, End, Kind, Origin, Refusal};
    use crate::domain::id::{SessionId, UserId};
    use crate::telemetry::logging::tests::captured;

    fn line(kind: Kind) -> serde_json::Value {
        let (client, request) = ("2001:db8::1".parse().ok(), "r-1".to_owned());
        let origin = Origin { actor: Actor::Client, client, request, dialect: None };
        let text = captured("off", true, || Audit.record(&Event { kind, origin }));
        assert_eq!(text.lines().count(), 1, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn s_22_audit_line_names_actor_and_client_and_hashes_ids() {
        let user = UserId::from_random([1; 16]);
        let session = SessionId([0xab; 16]);
        let line = line(Kind::SessionEnded { user, session, why: End::TooMany });
        assert_eq!(line["target"], "audit");
        assert_eq!(line["event"], "session_ended");
        assert_eq!(line["outcome"], "done");
        assert_eq!(line["actor"], user.to_string());
        assert_eq!(line["user"], user.to_string());
        assert_eq!(line["session"], short_hash(&"ab".repeat(16)));
        assert_eq!(line["reason"], "too_many");
        assert_eq!(line["client"], "2001:db8::1");
        assert_eq!(line["request"], "r-1");
        assert!(line.get("credential").is_none() && line["timestamp"].is_string(), "{line}");
        assert!(!line.to_string().contains(&session.to_string()));
    }

    #[test]
    fn omits_inapplicable_fields() {
        let line = line(Kind::SignInRefused { user: None, why: Refusal::UnknownCredential });
        assert_eq!(line["reason"], "unknown_credential");
        assert_eq!(line["outcome"], "refused");
        assert!(line.get("user").is_none(), "{line}");
    }
}
