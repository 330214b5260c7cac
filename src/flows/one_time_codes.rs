//! One-time codes by mail: drawing one, and judging a guess.
//!
//! What does not live here: what a code is good for, which its [`Purpose`] names and the flow that
//! asks for it decides.
//!
//! What always holds: known, unknown and closed accounts get the same answer for the same work;
//! guesses are counted exactly, however many come at once.

use crate::flows::FlowError;
use crate::flows::visit::Visit;
use std::sync::Arc;

use crate::domain::code::{CODE_ATTEMPTS_MAX, CODE_LIFETIME, Code, PendingCode, Purpose};
use crate::domain::id::{CodeId, UserId};
use crate::domain::limits::RateLimits;
use crate::domain::message::{Content, Message};
use crate::domain::user::Email;
use crate::flows::attempts::Attempts;
use crate::flows::ground::Ground;
use crate::flows::messages::Messages;
use crate::flows::pending::Waiting;
use crate::ports::{Batch, entropy};
use crate::records::{self, keys};

/// How often a guess is judged again because others guessed at the same moment.
pub(in crate::flows) const GUESSES_MAX: u32 = 64;

/// The addressee of a code.
#[derive(Debug, Clone, Copy)]
pub(in crate::flows) enum Addressee {
    User(UserId),
    /// A person who has no account yet.
    Applicant,
    /// No one: the code is drawn and thrown away, so that it is the same work.
    Decoy,
}

/// The codes that wait for a guess.
pub struct Codes {
    ground: Arc<Ground>,
    attempts: Arc<Attempts>,
    messages: Arc<Messages>,
    pub(in crate::flows) waiting: Waiting,
}

impl Codes {
    pub(in crate::flows) fn new(
        ground: Arc<Ground>,
        attempts: Arc<Attempts>,
        messages: Arc<Messages>,
        limits: RateLimits,
    ) -> Self {
        Self { ground, attempts, messages, waiting: Waiting::new(limits) }
    }

    /// The batch that keeps a new code and enqueues it; one without a recipient is kept, and is
    /// never sent. Call [`Messages::wake_delivery`] when it has been committed.
    pub(in crate::flows) fn drawing_code(
        &self,
        purpose: Purpose,
        addressee: Addressee,
        email: Email,
        visit: &Visit,
    ) -> Result<(CodeId, Batch), FlowError> {
        let user = match addressee {
            Addressee::User(user) => Some(user),
            Addressee::Applicant | Addressee::Decoy => None,
        };
        let id = CodeId(entropy::bytes(&*self.ground.entropy));
        let code = Code::from_random(entropy::bytes(&*self.ground.entropy));
        let now = self.ground.clock.now();
        let expires_at = now.plus(CODE_LIFETIME);
        let hash = self.ground.open_keys.load().codes.hash(&id, purpose, &code).ok_or(FlowError::Signing)?;
        let text = code.reveal().to_owned();
        let content = match addressee {
            Addressee::User(_) | Addressee::Applicant => Content::Code { code: text },
            Addressee::Decoy => Content::Nothing { instead_of: text },
        };
        let enqueued = self.messages.enqueue(&Message { to: email.clone(), content })?;
        let pending =
            PendingCode { id, purpose, user, email, hash, attempts_left: CODE_ATTEMPTS_MAX, expires_at };
        let key = keys::code(&id);
        let room = self.waiting.admit(key.clone(), self.attempts.begun_by(visit.client), expires_at, now);
        Ok((id, room.put(key, records::encode(&pending)?).and(enqueued)))
    }

    /// Judges one guess. A right guess comes with the batch that uses the code up; a wrong guess
    /// has been counted when this returns.
    pub(in crate::flows) async fn judge(
        &self,
        id: Option<CodeId>,
        purpose: Purpose,
        email: &Email,
        typed: &str,
    ) -> Result<(PendingCode, Batch), FlowError> {
        let key = keys::code(&id.ok_or(FlowError::WrongCode)?);
        for _ in 0..GUESSES_MAX {
            let found = self.ground.records.get_exact::<PendingCode>(&key).await?;
            let (pending, stored) = found.ok_or(FlowError::WrongCode)?;
            let hash = Code::parse(typed)
                .and_then(|code| self.ground.open_keys.load().codes.hash(&pending.id, purpose, &code));
            let has_expired = self.ground.clock.now() >= pending.expires_at;
            let right = hash == Some(pending.hash)
                && pending.purpose == purpose
                && pending.email == *email
                && !has_expired;
            let batch = Batch::default().expect(key.clone(), stored);
            if right {
                return Ok((pending, batch.delete(key)));
            }
            let attempts_left = pending.attempts_left.saturating_sub(1);
            // A code that came too late is deleted, so that a clock set back cannot revive it.
            let counted = if attempts_left == 0 || has_expired {
                batch.delete(key.clone())
            } else {
                batch.put(key.clone(), records::encode(&PendingCode { attempts_left, ..pending })?)
            };
            if self.ground.is_committed(counted).await? {
                return Err(FlowError::WrongCode);
            }
            // Another client guessed at the same moment; its guess counted, and so will this one.
        }
        Err(FlowError::Busy)
    }
}
