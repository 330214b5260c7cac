//! Recovery codes: making them, and using one.
//!
//! What always holds: making them costs what adding a passkey costs; a code gives a session that
//! may only add a passkey, and is gone in the commit that gives it; its owner hears of it at once,
//! with a link that takes it back; no answer tells whether a user has codes, or an account exists.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::domain::event::{Kind, UserChange};
use crate::domain::id::UserId;
use crate::domain::message::Content;
use crate::domain::recovery_code::{RECOVERY_CODES, RecoveryCode, RecoveryCodes};
use crate::domain::session::Session;
use crate::domain::user::{Email, User, Username};
use crate::flows::FlowError;
use crate::flows::commit::ATTEMPTS_MAX;
use crate::flows::evidence::Evidence;
use crate::flows::evidence::PrintedCode;
use crate::flows::index::LiveSession;
use crate::flows::sign_in::Redeemed;
use crate::flows::sign_in::SignIn;
use crate::flows::sign_in::recovery::Means;
use crate::flows::visit::Device;
use crate::flows::visit::Visit;
use crate::ports::{Batch, entropy};
use crate::records::{self, keys};

/// A code as a user gives it back.
#[derive(Debug, Clone, Copy)]
pub struct Printed<'a> {
    /// An e-mail address or a username.
    pub who: &'a str,
    pub code: &'a str,
}

impl SignIn {
    /// Makes new codes for the owner of `session`, in place of the ones before.
    pub async fn make_recovery_codes(
        &self,
        session: &Session,
        visit: &Visit,
    ) -> Result<Vec<RecoveryCode>, FlowError> {
        self.attempts.spend(visit)?;
        let draw = |_| RecoveryCode::from_random(entropy::bytes(&*self.ground.entropy));
        let codes: Vec<_> = (0..RECOVERY_CODES).map(draw).collect();
        let hashes = codes.iter().map(|code| code.hashed(&session.user)).collect();
        let kept = records::encode(&RecoveryCodes { hashes, made_at: self.ground.clock.now() })?;
        for _ in 0..ATTEMPTS_MAX {
            let spent = self.sessions.spend_freshness(session, visit).await?;
            let (owner, unchanged) = self.ground.owner_of(session).await?;
            let about = self.messages.circumstances(visit);
            let batch = unchanged
                .and(spent)
                .put(keys::recovery_codes(&owner.id), kept.clone())
                .and(self.messages.notice(&owner, Content::RecoveryCodesMade { about })?);
            if self.ground.is_committed(batch).await? {
                self.messages.wake_delivery();
                let what = UserChange::RecoveryCodes;
                self.ground.report(visit.origin(), Kind::UserChanged { user: owner.id, what });
                return Ok(codes);
            }
        }
        Err(FlowError::Busy)
    }

    /// The codes of a user that have not been used; `None` if they have made none.
    pub async fn recovery_codes_of(&self, user: &UserId) -> Result<Option<RecoveryCodes>, FlowError> {
        Ok(self.ground.records.get(&keys::recovery_codes(user)).await?)
    }

    /// Uses a code up: it gives a session that may only add a passkey. The session that this
    /// browser had `before` ends with it.
    pub async fn redeem_recovery_code(
        &self,
        printed: Printed<'_>,
        before: Option<Arc<LiveSession>>,
        visit: &Visit,
        device: &Device,
    ) -> Result<Redeemed, FlowError> {
        self.attempts.spend(visit)?;
        let redeemed = self.try_recovery_code(printed, before, visit, device).await;
        match &redeemed {
            Ok(Redeemed { user, session }) => {
                self.ground.report(
                    visit.origin(),
                    Kind::RecoveryCodeRedeemed { user: user.id, session: session.id },
                );
            }
            Err(FlowError::WrongCode) => self.attempts.report_refused(visit, Kind::CodeRefused).await,
            Err(_) => {}
        }
        redeemed
    }

    async fn try_recovery_code(
        &self,
        printed: Printed<'_>,
        before: Option<Arc<LiveSession>>,
        visit: &Visit,
        device: &Device,
    ) -> Result<Redeemed, FlowError> {
        let id = self.holder_or_decoy(printed.who).await?;
        // An account that does not exist has its limit, too: else the limit would tell which
        // accounts exist.
        self.attempts.spend_on(&id, visit)?;
        let hash = RecoveryCode::parse(printed.code).ok_or(FlowError::WrongCode)?.hashed(&id);
        let (key, user_key) = (keys::recovery_codes(&id), keys::user(&id));
        for _ in 0..ATTEMPTS_MAX {
            let codes = self.ground.records.get_exact::<RecoveryCodes>(&key).await?;
            let user = self.ground.records.get_exact::<User>(&user_key).await?;
            let user = user.filter(|(user, _)| user.is_active(self.ground.clock.now()));
            let left = codes.and_then(|(codes, stored)| Some((codes.without(&hash)?, stored)));
            let (Some((left, stored)), Some((user, unchanged))) = (left, user) else {
                return Err(FlowError::WrongCode);
            };
            let proof = PrintedCode::of(user.id);
            let session = self.sessions.mint(&Evidence::RecoveryCode(&proof), visit, device);
            let (adding, ended) = self.sessions.adding(&session, before.clone()).await?;
            let means = Means::RecoveryCode { left: left.hashes.len() };
            let batch = Batch::default()
                .expect(user_key.clone(), unchanged)
                .expect(key.clone(), stored)
                .put(key.clone(), records::encode(&left)?)
                .and(adding)
                // The owner hears of it before the session can change anything.
                .and(self.beginning_recovery(&user, &session, means, visit)?);
            if self.ground.is_committed(batch).await? {
                self.messages.wake_delivery();
                self.sessions.report_ended(&visit.origin(), &ended);
                return Ok(Redeemed { session, user });
            }
        }
        Err(FlowError::Busy)
    }

    /// The user who has this address or username; if none has, an id that no user has, always the
    /// same one.
    async fn holder_or_decoy(&self, who: &str) -> Result<UserId, FlowError> {
        let holder = match (Email::parse(who), Username::parse(who)) {
            (Ok(email), _) => self.ground.records.holder_of(&email).await?,
            (Err(_), Ok(username)) => self.ground.records.username_owner(&username).await?,
            (Err(_), Err(_)) => None,
        };
        let digest: [u8; 32] = Sha256::digest(who.trim().to_lowercase().as_bytes()).into();
        let decoy = digest.first_chunk().copied().unwrap_or_default();
        Ok(holder.unwrap_or(UserId::from_random(decoy)))
    }
}
