//! Signing up: an account that a person makes for themselves, with a code that came to their
//! address.
//!
//! What always holds: the answer, and the work for it, is the same whether or not an address has an
//! account; an account that waits for an administrator opens no application; an account that is
//! given up before its first passkey leaves nothing behind.

use std::sync::Arc;

use crate::domain::code::Purpose;
use crate::domain::event::Kind;
use crate::domain::id::CodeId;
use crate::domain::message::{Content, Message};
use crate::domain::signup::SignUp;
use crate::domain::user::{DisplayName, Email, Role, Standing, User};
use crate::flows::FlowError;
use crate::flows::evidence::Applicant;
use crate::flows::evidence::Evidence;
use crate::flows::index::LiveSession;
use crate::flows::one_time_codes::Addressee;
use crate::flows::sign_in::Redeemed;
use crate::flows::sign_in::SignIn;
use crate::flows::sign_in::codes::Guess;
use crate::flows::visit::Device;
use crate::flows::visit::Visit;
use crate::ports::Batch;
use crate::records;

/// How often an account is made again because another user took its username meanwhile.
const ATTEMPTS_MAX: u32 = 16;
/// How many administrators are told that an account waits.
const TOLD_MAX: usize = 10;

impl SignIn {
    /// The operator's settings of signing up.
    pub fn sign_up(&self) -> SignUp {
        self.ground.rules().sign_up.clone()
    }

    /// Sends a code to `address`, if an account can be made for it. The answer is the same if not.
    pub async fn request_sign_up(&self, address: &str, visit: &Visit) -> Result<CodeId, FlowError> {
        let sign_up = self.sign_up();
        if !sign_up.is_on() {
            return Err(FlowError::NotFound);
        }
        self.attempts.spend(visit)?;
        let email = Email::parse(address)?;
        if !sign_up.takes(&email) {
            return Err(FlowError::NotTaken);
        }
        self.attempts.spend_on_recipient(&email, visit)?;
        let is_free = self.ground.records.holder_of(&email).await?.is_none();
        let addressee = if is_free { Addressee::Applicant } else { Addressee::Decoy };
        self.ground.report(visit.origin(), Kind::CodeRequested { user: None });
        let (id, drawn) = self.codes.drawing_code(Purpose::SignUp, addressee, email, visit)?;
        self.ground.records.commit(drawn).await?;
        self.messages.wake_delivery();
        Ok(id)
    }

    /// Uses a code up: it gives an account, and a session that may only add a passkey.
    pub async fn confirm_sign_up(
        &self,
        guess: Guess<'_>,
        name: Option<&DisplayName>,
        before: Option<Arc<LiveSession>>,
        visit: &Visit,
        device: &Device,
    ) -> Result<Redeemed, FlowError> {
        self.attempts.spend(visit)?;
        let made = self.try_sign_up(guess, name, before, visit, device).await;
        match &made {
            Ok(Redeemed { user, session }) => {
                self.ground.report(visit.origin(), Kind::SignedUp { user: user.id, session: session.id });
            }
            Err(FlowError::WrongCode) => self.attempts.report_refused(visit, Kind::CodeRefused).await,
            Err(_) => {}
        }
        made
    }

    async fn try_sign_up(
        &self,
        guess: Guess<'_>,
        name: Option<&DisplayName>,
        before: Option<Arc<LiveSession>>,
        visit: &Visit,
        device: &Device,
    ) -> Result<Redeemed, FlowError> {
        let email = Email::parse(guess.email).map_err(|_| FlowError::WrongCode)?;
        for _ in 0..ATTEMPTS_MAX {
            let (_, spent) = self.codes.judge(guess.id, Purpose::SignUp, &email, guess.code).await?;
            // The operator may have decided otherwise since the code was sent.
            let sign_up = self.sign_up();
            if !sign_up.takes(&email) || self.ground.records.holder_of(&email).await?.is_some() {
                return Err(FlowError::WrongCode);
            }
            let user = User {
                username: self.accounts.free_username(&email).await?,
                standing: sign_up.standing(),
                groups: sign_up.groups,
                ..self.accounts.new_user(&email, name.cloned(), Role::Member)
            };
            let session = self.sessions.mint(&Evidence::SignUp(&Applicant::of(user.id)), visit, device);
            let (adding, ended) = self.sessions.adding(&session, before.clone()).await?;
            if self.ground.is_committed(spent.and(records::create_user(&user)?).and(adding)).await? {
                self.sessions.report_ended(&visit.origin(), &ended);
                return Ok(Redeemed { session, user });
            }
        }
        Err(FlowError::Busy)
    }

    /// The batch that tells administrators that `user` waits for them.
    pub(in crate::flows) fn telling_of_waiting(&self, user: &User) -> Result<Batch, FlowError> {
        let mut batch = Batch::default();
        if user.standing != Standing::Pending || !self.ground.rules().has_mail {
            return Ok(batch);
        }
        for id in self.sessions.index.administrators().into_iter().take(TOLD_MAX) {
            let Some(administrator) = self.sessions.active_user(&id) else { continue };
            let url = self.ground.place.url(&format!("/admin/users/{}", user.id));
            let content = Content::Waiting { email: user.email.clone(), url };
            batch = batch.and(self.messages.enqueue(&Message { to: administrator.email.clone(), content })?);
        }
        Ok(batch)
    }
}
