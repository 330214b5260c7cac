//! Removes expired records now and again.
//!
//! What always holds: no decision depends on this having run, because expiry is checked at every
//! use; and one failure does not keep other records from being removed.

use super::{FlowError, Gateway};

impl Gateway {
    /// Removes what has expired, and writes down when sessions and tokens were last used.
    pub async fn sweep(&self) {
        self.sessions.sweep().await;
        self.access_tokens.sweep_access_tokens().await;
        self.attempts.sweep_limits();
        self.attempts.sweep_refusals();
        note(self.attempts.forget_expired_bans().await, "expired bans, which keep no client out,");
        let invitations = self.administration.forget_expired_invitations().await;
        note(invitations, "expired invitations, which are refused,");
        note(self.accounts.forget_expired_addresses().await, "expired addresses, which are refused,");
        note(
            self.sign_in.forget_expired_device_links().await,
            "expired links to new devices, which are refused,",
        );
        note(
            self.sign_in.forget_old_recoveries().await,
            "old recoveries, which cannot be cancelled any more,",
        );
        note(self.administration.forget_old_entries().await, "old entries of the audit trail");
        if let Err(error) = self.messages.announce_ends().await {
            tracing::warn!(%error, "users whose accounts end could not be told yet");
        }
    }
}

fn note(removed: Result<(), FlowError>, what: &str) {
    if let Err(error) = removed {
        tracing::warn!(%error, "{what} could not be removed from the store yet");
    }
}
