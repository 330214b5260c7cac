//! What ends with an account, or with a change of one: passkeys, sessions and access tokens.
//!
//! What does not live here: why (`departure.rs`, and `flows/administration/people.rs`). What always
//! holds: each of them ends whole, and its end is reported once it is durable. Passkeys come first
//! and sessions last, so that what is left after a stop between two commits opens nothing new.

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

/// What of `user`'s ends, and why.
#[derive(Clone)]
pub(in crate::flows) struct Endings {
    pub(in crate::flows) user: UserId,
    pub(in crate::flows) why: End,
    pub(in crate::flows) passkeys: Vec<Credential>,
    pub(in crate::flows) tokens: Vec<Arc<LiveToken>>,
    pub(in crate::flows) sessions: Vec<Arc<LiveSession>>,
}

/// One of them.
enum Ending {
    Passkey(Box<Credential>),
    Token(Arc<LiveToken>),
    Session(Arc<LiveSession>, End),
}

impl Endings {
    /// Nothing.
    pub(in crate::flows) const fn none(user: UserId) -> Self {
        Self { user, why: End::AccountReset, passkeys: Vec::new(), tokens: Vec::new(), sessions: Vec::new() }
    }

    /// The sessions among them.
    pub(in crate::flows) fn ended(&self) -> Ended {
        self.sessions.iter().map(|session| (Arc::clone(session), self.why)).collect()
    }
}

impl Accounts {
    /// All that `user` has.
    pub(in crate::flows) async fn everything_of(
        &self,
        user: &UserId,
        why: End,
    ) -> Result<Endings, FlowError> {
        let passkeys = self.ground.records.credentials_of(user).await?;
        Ok(Endings { passkeys, ..self.ways_in_of(user, why).await? })
    }

    /// The sessions and access tokens that `user` has.
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
            // The end of an account says it of all of them.
            Ending::Passkey(_) if why == End::AccountDeleted => {}
            Ending::Passkey(passkey) => self.ground.report(origin.clone(), passkey.removal()),
            Ending::Token(token) => self.access_tokens.report_revoked(origin, &token, why),
            Ending::Session(session, why) => self.sessions.report_end(origin, &session, why),
        };
        self.ground.is_committed_after(parts, change, report).await
    }
}
