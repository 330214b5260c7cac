//! Another e-mail address for an account: announced by its owner with a fresh passkey, confirmed by
//! a code that was sent to it.
//!
//! What always holds: until the code comes back, the address opens nothing and reserves nothing,
//! and the one before is the account's; no answer tells whether an address is another user's,
//! because such an address looks like any other, and its message is not sent. A code for an address
//! is not tied to a browser, unlike a code that signs in, but to the account that asked and the
//! address: the user who gives it back is signed in.

use crate::domain::code::Purpose;
use crate::domain::event::{Kind, UserChange};
use crate::domain::id::UserId;
use crate::domain::identifier::{PENDING_ADDRESS_LIFETIME, PendingAddress};
use crate::domain::message::Content;
use crate::domain::session::Session;
use crate::domain::user::{Email, User};
use crate::flows::FlowError;
use crate::flows::account::Accounts;
use crate::flows::commit::ATTEMPTS_MAX;
use crate::flows::one_time_codes::Addressee;
use crate::flows::visit::Visit;
use crate::ports::Batch;
use crate::records::{self, keys};

impl Accounts {
    /// Notes that the owner of `session` wants to be known by `email`, instead of any other address
    /// that they were about to confirm. Their own address is confirmed already.
    pub async fn announce_address(
        &self,
        session: &Session,
        email: &Email,
        visit: &Visit,
    ) -> Result<(), FlowError> {
        self.attempts.spend(visit)?;
        for _ in 0..ATTEMPTS_MAX {
            let (batch, what) = self.announcing(session, email, visit).await?;
            if self.ground.is_committed(batch).await? {
                self.report_address(&session.user, what, visit);
                return Ok(());
            }
        }
        Err(FlowError::Busy)
    }

    async fn announcing(
        &self,
        session: &Session,
        email: &Email,
        visit: &Visit,
    ) -> Result<(Batch, UserChange), FlowError> {
        let spent = self.sessions.spend_freshness(session, visit).await?;
        let (user, unchanged) = self.ground.owner_of(session).await?;
        let key = keys::pending_address(&user.id);
        let (before, spent) = (self.pending_address(&user.id).await?, spent.and(unchanged));
        let spent = spent.and(before.map(|(pending, _)| forgetting_code(&pending)).unwrap_or_default());
        if *email == user.email {
            return Ok((spent.delete(key), UserChange::AddressWithdrawn));
        }
        let expires_at = self.ground.clock.now().plus(PENDING_ADDRESS_LIFETIME);
        let pending = PendingAddress { user: user.id, email: email.clone(), code: None, expires_at };
        Ok((spent.put(key, records::encode(&pending)?), UserChange::AddressAnnounced))
    }

    /// Forgets an address that waits to be confirmed.
    pub async fn withdraw_address(
        &self,
        session: &Session,
        email: &Email,
        visit: &Visit,
    ) -> Result<(), FlowError> {
        for _ in 0..ATTEMPTS_MAX {
            let spent = self.sessions.spend_freshness_beside_applications(session, visit).await?;
            let (pending, stored) = self.own_pending_address(&session.user, email).await?;
            let key = keys::pending_address(&session.user);
            let batch = spent.expect(key.clone(), stored).delete(key).and(forgetting_code(&pending));
            if self.ground.is_committed(batch).await? {
                self.report_address(&session.user, UserChange::AddressWithdrawn, visit);
                return Ok(());
            }
        }
        Err(FlowError::Busy)
    }

    /// Sends a code to an address that waits to be confirmed; the code before no longer works from
    /// then on.
    pub async fn send_address_code(
        &self,
        session: &Session,
        email: &Email,
        visit: &Visit,
    ) -> Result<(), FlowError> {
        if !self.ground.rules().has_mail {
            return Err(FlowError::NoMail);
        }
        self.attempts.spend(visit)?;
        let (pending, stored) = self.own_pending_address(&session.user, email).await?;
        self.attempts.spend_on_mail(&session.user, visit)?;
        self.attempts.spend_on_recipient(email, visit)?;
        let routes = self.ground.routes();
        let opens = routes.all().any(|route| route.policy.is_about_address(email));
        // An address that opens a route is the operator's to give, and an address that a user has
        // is theirs.
        let is_free = self.ground.records.user_by_email(email).await?.is_none() && !opens;
        let reader = if is_free { Addressee::User(session.user) } else { Addressee::Decoy };
        let (id, drawn) = self.codes.drawing_code(Purpose::Address, reader, email.clone(), visit)?;
        let key = keys::pending_address(&session.user);
        let batch = drawn.and(forgetting_code(&pending)).expect(key.clone(), stored);
        let pending = PendingAddress { code: Some(id), ..pending };
        self.ground.records.commit(batch.put(key, records::encode(&pending)?)).await?;
        self.messages.wake_delivery();
        self.ground.report(visit.origin(), Kind::CodeRequested { user: Some(session.user) });
        Ok(())
    }

    /// Takes a code back that was sent to `email`: it is the address of the account from then on,
    /// and the one before is told so.
    pub async fn confirm_address(
        &self,
        session: &Session,
        email: &Email,
        typed: &str,
        visit: &Visit,
    ) -> Result<User, FlowError> {
        self.attempts.spend(visit)?;
        self.attempts.spend_on(&session.user, visit)?;
        for _ in 0..ATTEMPTS_MAX {
            let confirmed = self.confirming(session, email, typed).await;
            if matches!(confirmed, Err(FlowError::WrongCode)) {
                self.ground.report(visit.origin(), Kind::CodeRefused);
            }
            let (user, batch) = confirmed?;
            if self.ground.is_committed(batch).await? {
                self.messages.wake_delivery();
                self.report_address(&user.id, UserChange::AddressConfirmed, visit);
                return Ok(user);
            }
        }
        Err(FlowError::Busy)
    }

    /// The account with its new address, and the batch that makes it so.
    async fn confirming(
        &self,
        session: &Session,
        email: &Email,
        typed: &str,
    ) -> Result<(User, Batch), FlowError> {
        let (pending, stored) = self.own_pending_address(&session.user, email).await?;
        let (code, used_up) = self.codes.judge(pending.code, Purpose::Address, email, typed).await?;
        if code.user != Some(session.user) {
            return Err(FlowError::WrongCode);
        }
        let (before, unchanged) = self.ground.owner_of(session).await?;
        if self.ground.records.user_by_email(email).await?.is_some() {
            // Another user was faster. The client that has the code reads the mail there, and may
            // know.
            return Err(FlowError::Taken("address"));
        }
        let enqueued = self.telling_old_address(&before, email)?;
        let (waiting, new) = (keys::pending_address(&before.id), keys::email(email));
        let indexes = Batch::default()
            .expect(waiting.clone(), stored)
            .delete(waiting)
            .expect_absent(new.clone())
            .put(new, records::encode(&before.id)?)
            .delete(keys::email(&before.email));
        let user = User { email: email.clone(), updated_at: self.ground.clock.now(), ..before.clone() };
        let batch = unchanged.and(records::update_user(&before, &user)?);
        let link = self.ground.records.forgetting_own_link(&user.id).await?;
        Ok((user, batch.and(indexes).and(used_up).and(enqueued).and(link)))
    }

    fn telling_old_address(&self, before: &User, new: &Email) -> Result<Batch, FlowError> {
        // Mail may have been switched off since the code was sent.
        self.messages.notice(before, Content::AddressChanged { new: new.clone() })
    }

    /// The address that a user is about to confirm, and the bytes it was read from.
    pub(in crate::flows) async fn pending_address(
        &self,
        user: &UserId,
    ) -> Result<Option<(PendingAddress, Vec<u8>)>, FlowError> {
        let found = self.ground.records.get_exact::<PendingAddress>(&keys::pending_address(user)).await?;
        Ok(found.filter(|(pending, _)| pending.is_live(self.ground.clock.now())))
    }

    async fn own_pending_address(
        &self,
        user: &UserId,
        email: &Email,
    ) -> Result<(PendingAddress, Vec<u8>), FlowError> {
        let found = self.pending_address(user).await?;
        found.filter(|(pending, _)| pending.email == *email).ok_or(FlowError::NotFound)
    }

    /// Removes addresses that can no longer be confirmed.
    pub(in crate::flows) async fn forget_expired_addresses(&self) -> Result<(), FlowError> {
        let (now, mut walk) = (self.ground.clock.now(), self.ground.records.walk(keys::PENDING_ADDRESSES));
        while let Some((key, pending)) = walk.next_where(|it: &PendingAddress| !it.is_live(now)).await? {
            let batch = Batch::default().expect(key.clone(), records::encode(&pending)?).delete(key);
            // An address that was announced meanwhile stays.
            self.ground.is_committed(batch).await?;
        }
        Ok(())
    }

    fn report_address(&self, user: &UserId, what: UserChange, visit: &Visit) {
        self.ground.report(visit.origin(), Kind::UserChanged { user: *user, what });
    }
}

/// The batch that removes the newest code for this address.
pub(in crate::flows) fn forgetting_code(pending: &PendingAddress) -> Batch {
    match &pending.code {
        Some(code) => Batch::default().delete(keys::code(code)),
        None => Batch::default(),
    }
}
