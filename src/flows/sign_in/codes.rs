//! One-time codes by mail: asking for one, and using it.
//!
//! What always holds: known, unknown and closed accounts get the same answer for the same work; a
//! code is good for the browser that asked for it; guesses are counted exactly, however many come
//! at once; a code never makes a session fresh, because an address is not a passkey.

use std::sync::Arc;

use crate::domain::code::EmailCode;
use crate::domain::code::Purpose;
use crate::domain::event::Kind;
use crate::domain::id::{CodeId, UserId};
use crate::domain::session::Scope;
use crate::domain::user::{Email, Role, User};
use crate::flows::FlowError;
use crate::flows::evidence::Evidence;
use crate::flows::evidence::ReadMail;
use crate::flows::index::LiveSession;
use crate::flows::one_time_codes::{Addressee, GUESSES_MAX};
use crate::flows::sign_in::Redeemed;
use crate::flows::sign_in::SignIn;
use crate::flows::sign_in::recovery::Means;
use crate::flows::visit::Device;
use crate::flows::visit::Visit;
use crate::ports::entropy;
use crate::records::keys;

/// A code as a user gives it back.
#[derive(Debug, Clone, Copy)]
pub struct Guess<'a> {
    /// The id in the browser's cookie.
    pub id: Option<CodeId>,
    pub email: &'a str,
    pub code: &'a str,
}

impl SignIn {
    /// The effect of a code by mail here.
    pub fn email_code(&self) -> EmailCode {
        self.ground.rules().email_code
    }

    /// Sends a code to `address`, if a user has it. The answer is the same if none has.
    pub async fn request_code(&self, address: &str, visit: &Visit) -> Result<CodeId, FlowError> {
        if self.ground.rules().email_code == EmailCode::Off {
            return Err(FlowError::NoMail);
        }
        self.attempts.spend(visit)?;
        let email = Email::parse(address)?;
        let user = self.reachable_user(&email).await?;
        let user = user.filter(|user| self.attempts.may_mail(user, visit));
        self.ground.report(visit.anonymous_origin(), Kind::CodeRequested { user });
        let addressee = user.map_or(Addressee::Decoy, Addressee::User);
        let (id, drawn) = self.codes.drawing_code(Purpose::SignIn, addressee, email, visit)?;
        self.ground.records.commit(drawn).await?;
        self.messages.wake_delivery();
        Ok(id)
    }

    /// The user who has this address, if they may come in by a code: never an administrator, who
    /// would be as safe as a mailbox. An account without a passkey is still being made, and its
    /// maker holds its link. An unknown address reads as many records as a known one, because the
    /// time would tell whether a user has it.
    async fn reachable_user(&self, email: &Email) -> Result<Option<UserId>, FlowError> {
        let decoy = UserId::from_random(entropy::bytes(&*self.ground.entropy));
        let holder = self.ground.records.holder_of(email).await?;
        let id = holder.unwrap_or(decoy);
        let has_credentials = self.ground.records.has_credentials(&id).await?;
        let may = self.sessions.active_user(&id).is_some_and(|user| user.role != Role::Administrator);
        Ok(holder.filter(|_| may && has_credentials))
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
        self.attempts.spend(visit)?;
        let redeemed = self.try_code(guess, before, visit, device).await;
        match &redeemed {
            Ok(Redeemed { user, session }) => {
                self.ground.report(visit.origin(), Kind::CodeRedeemed { user: user.id, session: session.id });
            }
            Err(FlowError::WrongCode) => self.attempts.report_refused(visit, Kind::CodeRefused).await,
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
        let scope = match self.ground.rules().email_code {
            EmailCode::Off => return Err(FlowError::WrongCode),
            EmailCode::Enroll => Scope::Enrol,
            EmailCode::Session => Scope::Full,
        };
        let email = Email::parse(guess.email).map_err(|_| FlowError::WrongCode)?;
        for _ in 0..GUESSES_MAX {
            let (pending, spent) = self.codes.judge(guess.id, Purpose::SignIn, &email, guess.code).await?;
            let user = pending.user.ok_or(FlowError::WrongCode)?;
            self.attempts.spend_on(&user, visit)?;
            let key = keys::user(&user);
            let found = self.ground.records.get_exact::<User>(&key).await?;
            // A code that went to an address which is not theirs any more opens nothing, nor does
            // that of a user who has become an administrator.
            let fits = |user: &User| {
                user.is_active(self.ground.clock.now())
                    && user.email == email
                    && user.role != Role::Administrator
            };
            let found = found.filter(|(user, _)| fits(user));
            let (user, stored) = found.ok_or(FlowError::WrongCode)?;
            let proof = ReadMail::of(user.id, scope);
            let session = self.sessions.mint(&Evidence::Code(&proof), visit, device);
            let (adding, ended) = self.sessions.adding(&session, before.clone()).await?;
            // The owner hears of it before the session can change anything.
            let notice = self.beginning_recovery(&user, &session, Means::MailedCode, visit)?;
            if self.ground.is_committed(spent.expect(key, stored).and(adding).and(notice)).await? {
                self.messages.wake_delivery();
                self.sessions.report_ended(&visit.origin(), &ended);
                return Ok(Redeemed { session, user });
            }
        }
        Err(FlowError::Busy)
    }
}
