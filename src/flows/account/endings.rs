//! Passkeys, sessions and access tokens that end with an account or with a change of it.
//!
//! What does not live here: why they end (`departure.rs`, and `flows/administration/people.rs`).
//! What always holds: each of them ends whole, and its end is reported once it is durable. Passkeys
//! end first and sessions last, so that no passkey is left to open new sessions once a session has
//! ended.

use std::sync::Arc;

use crate::domain::credential::Credential;
use crate::domain::event::{End, Origin};
use crate::domain::id::UserId;
use crate::flows::FlowError;
use crate::flows::access_tokens::index::LiveToken;
use crate::flows::account::Accounts;
use crate::flows::commit::Parts;
use crate::flows::index::LiveSession;
use crate::flows::sessions::Ended;
use crate::ports::Batch;
use crate::records;

/// The passkeys, tokens and sessions of `user` that end, and why.
pub(in crate::flows) struct Endings {
    pub(in crate::flows) user: UserId,
    pub(in crate::flows) why: End,
    pub(in crate::flows) passkeys: Vec<Credential>,
    pub(in crate::flows) tokens: Vec<Arc<LiveToken>>,
    pub(in crate::flows) sessions: Vec<Arc<LiveSession>>,
}

/// One passkey, token or session that ends.
enum Ending {
    Passkey(Box<Credential>),
    Token(Arc<LiveToken>),
    Session(Arc<LiveSession>, End),
}

impl Endings {
    /// No passkey, token or session.
    pub(in crate::flows) const fn none(user: UserId) -> Self {
        Self { user, why: End::AccountReset, passkeys: Vec::new(), tokens: Vec::new(), sessions: Vec::new() }
    }

    /// The sessions, each with the reason.
    pub(in crate::flows) fn ended(&self) -> Ended {
        self.sessions.iter().map(|session| (Arc::clone(session), self.why)).collect()
    }
}

impl Accounts {
    /// All passkeys, access tokens and sessions of `user`.
    pub(in crate::flows) async fn everything_of(
        &self,
        user: &UserId,
        why: End,
    ) -> Result<Endings, FlowError> {
        let passkeys = self.ground.records.credentials_of(user).await?;
        Ok(Endings { passkeys, ..self.ways_in_of(user, why).await? })
    }

    /// The sessions and access tokens of `user`.
    pub(in crate::flows) async fn ways_in_of(&self, user: &UserId, why: End) -> Result<Endings, FlowError> {
        let tokens = self.access_tokens.kept_of(user).await?;
        let sessions = self.sessions.kept_of(user).await?;
        Ok(Endings { user: *user, why, passkeys: Vec::new(), tokens, sessions })
    }

    /// Whether `change` could be committed with these endings; if so, they are reported. The account
    /// of an enrolment stays, or is part of `change`.
    pub(in crate::flows) async fn is_committed_with(
        &self,
        endings: Endings,
        change: Batch,
        origin: &Origin,
    ) -> Result<bool, FlowError> {
        let (ended, why) = (endings.ended(), endings.why);
        let passkeys = endings.passkeys.into_iter().map(|passkey| {
            let batch = records::delete_credential(&passkey);
            (Ending::Passkey(Box::new(passkey)), batch)
        });
        let tokens = endings.tokens.into_iter().map(|token| {
            let batch = records::delete_access_token(&token.record());
            (Ending::Token(token), batch)
        });
        let sessions = self.sessions.endings(&ended, Some(&endings.user)).await?;
        let sessions = sessions.into_iter().map(|((it, why), batch)| (Ending::Session(it, why), batch));
        let parts: Parts<Ending> = passkeys.chain(tokens).chain(sessions).collect();
        let report = |ending| match ending {
            // The report of the deleted account stands for all its passkeys.
            Ending::Passkey(_) if why == End::AccountDeleted => {}
            Ending::Passkey(passkey) => self.ground.report(origin.clone(), passkey.removal()),
            Ending::Token(token) => self.access_tokens.report_revoked(origin, &token, why),
            Ending::Session(session, why) => self.sessions.report_end(origin, &session, why),
        };
        self.ground.is_committed_after(parts, change, report).await
    }
}
