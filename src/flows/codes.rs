//! One-time codes by mail: asking for one, and using it.
//!
//! What always holds: known, unknown and closed accounts get the same answer for the same work; a
//! code is good for the browser that asked for it; guesses are counted exactly, however many come at
//! once. A code never makes a session fresh: an address is no second factor, and not a passkey.

use std::sync::Arc;

use super::admit::Visit;
use super::enroll::Redeemed;
use super::index::LiveSession;
use super::recovery::Means;
use super::sessions::{Device, Evidence};
use super::{FlowError, Gateway};
use crate::domain::code::{CODE_ATTEMPTS_MAX, CODE_LIFETIME, Code, PendingCode, Purpose};
use crate::domain::event::Kind;
use crate::domain::id::{CodeId, UserId};
use crate::domain::letter::{Content, Letter};
use crate::domain::session::Scope;
use crate::domain::user::{Email, Role, User};
use crate::ports::{Batch, entropy};
use crate::records::{self, keys};

/// How often a guess is judged again because others guessed at the same moment.
const ATTEMPTS_MAX: u32 = 64;

/// What a code is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailCode {
    /// Nothing: there are none.
    Off,
    /// A session that may only add a passkey.
    Enroll,
    /// A session like any other, except that it is never fresh.
    Session,
}

/// Whom a code is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Addressee {
    User(UserId),
    /// Somebody who has no account yet.
    Applicant,
    /// Nobody: the code is drawn and thrown away, so that it is the same work.
    Nobody,
}

/// A code as somebody gives it back.
#[derive(Debug, Clone, Copy)]
pub struct Guess<'a> {
    /// What the browser's cookie says.
    pub id: Option<CodeId>,
    pub email: &'a str,
    pub code: &'a str,
}

/// Evidence that somebody reads an account's mail. Made only here, from the code.
pub(super) struct ReadMail {
    user: UserId,
    scope: Scope,
}

impl ReadMail {
    pub(super) const fn user(&self) -> UserId {
        self.user
    }

    pub(super) const fn scope(&self) -> Scope {
        self.scope
    }
}

impl Gateway {
    /// What codes are good for here.
    pub fn email_code(&self) -> EmailCode {
        self.rules().email_code
    }

    /// Sends a code to `address`, if it is somebody's. The answer is the same if it is not.
    pub async fn request_code(&self, address: &str, visit: &Visit) -> Result<CodeId, FlowError> {
        if self.rules().email_code == EmailCode::Off {
            return Err(FlowError::NoMail);
        }
        self.spend(visit)?;
        let email = Email::parse(address)?;
        let user = self.reachable_user(&email).await?;
        let user = user.filter(|user| self.may_mail(user, visit));
        self.report(visit.origin(), Kind::CodeRequested { user });
        let addressee = user.map_or(Addressee::Nobody, Addressee::User);
        let (id, drawn) = self.drawing_code(Purpose::SignIn, addressee, email, visit)?;
        self.records.commit(drawn).await?;
        self.wake_delivery();
        Ok(id)
    }

    /// Whose address it is, if they may come in by a code: never an administrator, who would be as safe
    /// as a mailbox. An account without a passkey is still being made,
    /// and whoever makes it holds its link. Nothing is read and understood that nobody would have: how
    /// long that takes would tell who is somebody.
    async fn reachable_user(&self, email: &Email) -> Result<Option<UserId>, FlowError> {
        let nobody = UserId::from_random(entropy::bytes(&*self.entropy));
        let holder = self.records.holder_of(email).await?;
        let id = holder.unwrap_or(nobody);
        let has_credentials = self.records.has_credentials(&id).await?;
        let may = self.active_user(&id).is_some_and(|user| user.role != Role::Administrator);
        Ok(holder.filter(|_| may && has_credentials))
    }

    /// The batch that keeps a new code and posts it; one for nobody is kept, and posted to nobody. Call
    /// [`Self::wake_delivery`] when it has been committed.
    pub(super) fn drawing_code(
        &self,
        purpose: Purpose,
        addressee: Addressee,
        email: Email,
        visit: &Visit,
    ) -> Result<(CodeId, Batch), FlowError> {
        let user = match addressee {
            Addressee::User(user) => Some(user),
            Addressee::Applicant | Addressee::Nobody => None,
        };
        let id = CodeId(entropy::bytes(&*self.entropy));
        let code = Code::from_random(entropy::bytes(&*self.entropy));
        let now = self.clock.now();
        let expires_at = now.plus(CODE_LIFETIME);
        let hash = self.open_keys.load().codes.hash(&id, purpose, &code).ok_or(FlowError::Signing)?;
        let text = code.reveal().to_owned();
        let content = match addressee {
            Addressee::User(_) | Addressee::Applicant => Content::Code { code: text },
            Addressee::Nobody => Content::Nothing { instead_of: text },
        };
        let posting = self.enqueue(&Letter { to: email.clone(), content })?;
        let pending =
            PendingCode { id, purpose, user, email, hash, attempts_left: CODE_ATTEMPTS_MAX, expires_at };
        let key = keys::code(&id);
        let room = self.codes.admit(key.clone(), self.begun_by(visit.client), expires_at, now);
        Ok((id, room.put(key, records::encode(&pending)?).and(posting)))
    }

    /// Uses a code: it gives a session of the account that it was sent to. The session that this
    /// browser had `before` ends with it.
    pub async fn redeem_code(
        &self,
        guess: Guess<'_>,
        before: Option<Arc<LiveSession>>,
        visit: &Visit,
        device: &Device,
    ) -> Result<Redeemed, FlowError> {
        self.spend(visit)?;
        let redeemed = self.try_code(guess, before, visit, device).await;
        match &redeemed {
            Ok(Redeemed { user, session }) => {
                self.report(visit.origin(), Kind::CodeRedeemed { user: user.id, session: session.id });
            }
            Err(FlowError::WrongCode) => self.report_refused(visit, Kind::CodeRefused).await,
            Err(_) => {}
        }
        redeemed
    }

    async fn try_code(
        &self,
        guess: Guess<'_>,
        before: Option<Arc<LiveSession>>,
        visit: &Visit,
        device: &Device,
    ) -> Result<Redeemed, FlowError> {
        let scope = match self.rules().email_code {
            EmailCode::Off => return Err(FlowError::WrongCode),
            EmailCode::Enroll => Scope::Enrol,
            EmailCode::Session => Scope::Full,
        };
        let email = Email::parse(guess.email).map_err(|_| FlowError::WrongCode)?;
        for _ in 0..ATTEMPTS_MAX {
            let (pending, paid) = self.judge(guess.id, Purpose::SignIn, &email, guess.code).await?;
            let user = pending.user.ok_or(FlowError::WrongCode)?;
            self.spend_on(&user, visit)?;
            let key = keys::user(&user);
            let found = self.records.get_exact::<User>(&key).await?;
            // A code that went to an address which is not theirs any more opens nothing, nor does that of
            // somebody who has become an administrator.
            let fits = |user: &User| {
                user.is_active(self.clock.now()) && user.email == email && user.role != Role::Administrator
            };
            let found = found.filter(|(user, _)| fits(user));
            let (user, stored) = found.ok_or(FlowError::WrongCode)?;
            let proof = ReadMail { user: user.id, scope };
            let session = self.mint(&Evidence::Code(&proof), visit, device);
            let (adding, ended) = self.adding(&session, before.clone()).await?;
            // The owner hears of it before anything has been changed with it.
            let notice = self.beginning_recovery(&user, &session, Means::MailedCode, visit)?;
            if self.is_committed(paid.expect(key, stored).and(adding).and(notice)).await? {
                self.wake_delivery();
                self.report_ended(&visit.origin(), &ended);
                return Ok(Redeemed { session, user });
            }
        }
        Err(FlowError::Busy)
    }

    /// Judges one guess. A right one comes with the batch that uses the code up; a wrong one has been
    /// counted when this returns.
    pub(super) async fn judge(
        &self,
        id: Option<CodeId>,
        purpose: Purpose,
        email: &Email,
        typed: &str,
    ) -> Result<(PendingCode, Batch), FlowError> {
        let key = keys::code(&id.ok_or(FlowError::WrongCode)?);
        for _ in 0..ATTEMPTS_MAX {
            let found = self.records.get_exact::<PendingCode>(&key).await?;
            let (pending, stored) = found.ok_or(FlowError::WrongCode)?;
            let hash = Code::parse(typed)
                .and_then(|code| self.open_keys.load().codes.hash(&pending.id, purpose, &code));
            let has_expired = self.clock.now() >= pending.expires_at;
            let right = hash == Some(pending.hash)
                && pending.purpose == purpose
                && pending.email == *email
                && !has_expired;
            let batch = Batch::default().expect(key.clone(), stored);
            if right {
                return Ok((pending, batch.delete(key)));
            }
            let attempts_left = pending.attempts_left.saturating_sub(1);
            // One that was found too late stays so, whatever the clock says after a restart.
            let counted = if attempts_left == 0 || has_expired {
                batch.delete(key.clone())
            } else {
                batch.put(key.clone(), records::encode(&PendingCode { attempts_left, ..pending })?)
            };
            if self.is_committed(counted).await? {
                return Err(FlowError::WrongCode);
            }
            // Somebody else guessed at the same moment; theirs counted, and so will this.
        }
        Err(FlowError::Busy)
    }
}
