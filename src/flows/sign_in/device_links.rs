//! Links between two devices: a signed-in device shows a code, another device brings it, the first
//! confirms.
//!
//! What does not live here: the passkey that the new device makes, which is an enrolment like any
//! other.
//!
//! What always holds: the code costs what adding a passkey costs, and only the session that paid
//! can confirm; the first browser that brings the code uses it up; nothing is added, and the new
//! device is not told whose account it is, before the first device has said yes; the link then
//! gives a session that may only add a passkey, once, to the browser that asked.

use std::sync::Arc;

use crate::domain::code::Code;
use crate::domain::device_link::{DEVICE_LINK_LIFETIME, DeviceLink, NewDevice, Number, Stage};
use crate::domain::event::{DeviceStep, Kind, Origin};
use crate::domain::id::SessionId;
use crate::domain::network::Network;
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::flows::FlowError;
use crate::flows::commit::ATTEMPTS_MAX;
use crate::flows::evidence::ConfirmedDevice;
use crate::flows::evidence::Evidence;
use crate::flows::index::LiveSession;
use crate::flows::sessions::shortened;
use crate::flows::sign_in::Redeemed;
use crate::flows::sign_in::SignIn;
use crate::flows::visit::Device;
use crate::flows::visit::Visit;
use crate::ports::{Batch, entropy};
use crate::records::{self, keys};

/// A code for another device.
#[derive(Debug)]
pub struct Offered {
    pub code: Code,
    pub expires_at: Timestamp,
}

/// A device that has brought a code and waits.
#[derive(Debug)]
pub struct WaitingDevice {
    pub number: Number,
    pub expires_at: Timestamp,
}

/// The state of a device that asked.
#[derive(Debug)]
pub enum JoinStatus {
    /// The first device has not answered yet.
    Waiting(WaitingDevice),
    Admitted(Box<Redeemed>),
}

impl SignIn {
    /// A code with which another device can ask to join the owner of `session`. It ends the code
    /// before.
    pub async fn offer_device_link(&self, session: &Session, visit: &Visit) -> Result<Offered, FlowError> {
        self.attempts.spend(visit)?;
        let code = Code::from_random(entropy::bytes(&*self.ground.entropy));
        let hash = self.ground.open_keys.load().codes.device_hash(&code).ok_or(FlowError::Signing)?;
        let expires_at = self.ground.clock.now().plus(DEVICE_LINK_LIFETIME);
        let link =
            DeviceLink { session: session.id, user: session.user, stage: Stage::Offered(hash), expires_at };
        for _ in 0..ATTEMPTS_MAX {
            let spent = self.sessions.spend_freshness(session, visit).await?;
            let (_, unchanged) = self.ground.owner_of(session).await?;
            let batch = match self.kept_device_link(&session.id).await? {
                Some((before, stored)) => replacing(&before, stored),
                None => Batch::default().expect_absent(keys::device_link(&session.id)),
            };
            // Once in a long while, another user's live code is the same: they keep it.
            let batch = batch.expect_absent(keys::device_link_by(&hash));
            if self.ground.is_committed(batch.and(keeping(&link)?).and(unchanged).and(spent)).await? {
                self.report_step(&link, DeviceStep::Offered, visit);
                return Ok(Offered { code, expires_at });
            }
        }
        Err(FlowError::Busy)
    }

    /// The link that `session` has made, if it is still good.
    pub async fn device_link(&self, session: &Session) -> Result<Option<DeviceLink>, FlowError> {
        let found = self.kept_device_link(&session.id).await?;
        Ok(found.map(|(link, _)| link).filter(|link| link.is_live(self.ground.clock.now())))
    }

    /// A device brings a code, and asks to be let in. Its browser keeps the secret.
    pub async fn ask_with_code(
        &self,
        typed: &str,
        device: &Device,
        visit: &Visit,
    ) -> Result<(WaitingDevice, Secret), FlowError> {
        self.attempts.spend(visit)?;
        let asking = self.try_asking(typed, device, visit).await;
        if matches!(asking, Err(FlowError::WrongCode)) {
            self.attempts.report_refused(visit, Kind::CodeRefused).await;
        }
        asking
    }

    async fn try_asking(
        &self,
        typed: &str,
        device: &Device,
        visit: &Visit,
    ) -> Result<(WaitingDevice, Secret), FlowError> {
        let hash = Code::parse(typed).and_then(|code| self.ground.open_keys.load().codes.device_hash(&code));
        let (link, stored) = self.device_link_by(&hash.ok_or(FlowError::WrongCode)?).await?;
        let nonce = Secret::from_random(entropy::bytes(&*self.ground.entropy));
        let number = Number::from_random(entropy::bytes(&*self.ground.entropy));
        let new_device = NewDevice {
            browser: nonce.hashed(),
            number,
            network: visit.client.map(Network::of),
            user_agent: device.user_agent.as_deref().map(shortened),
        };
        let asking = DeviceLink { stage: Stage::Asking(new_device), ..link.clone() };
        // Of several devices that bring the code at once, one is first; for the others the code is
        // used up.
        if !self.ground.is_committed(replacing(&link, stored).and(keeping(&asking)?)).await? {
            return Err(FlowError::WrongCode);
        }
        self.report_step_of(&asking, DeviceStep::Asked, visit.anonymous_origin());
        Ok((WaitingDevice { number, expires_at: asking.expires_at }, nonce))
    }

    /// The device that shows `number` is the owner's: it may make a passkey.
    pub async fn confirm_device(
        &self,
        session: &Session,
        number: u8,
        visit: &Visit,
    ) -> Result<DeviceLink, FlowError> {
        self.attempts.spend(visit)?;
        let (_, unchanged) = self.ground.owner_of(session).await?;
        let found = self.kept_device_link(&session.id).await?;
        let found = found.filter(|(link, _)| link.is_live(self.ground.clock.now()));
        let (link, stored) = found.ok_or(FlowError::NotFound)?;
        let new_device = match &link.stage {
            Stage::Asking(new_device) if new_device.number.get() == number => new_device.clone(),
            _ => return Err(FlowError::NotFound),
        };
        let confirmed = DeviceLink { stage: Stage::Confirmed(new_device), ..link };
        let key = keys::device_link(&session.id);
        let batch = Batch::default().expect(key.clone(), stored).put(key, records::encode(&confirmed)?);
        if !self.ground.is_committed(batch.and(unchanged)).await? {
            return Err(FlowError::NotFound);
        }
        self.report_step(&confirmed, DeviceStep::Confirmed, visit);
        Ok(confirmed)
    }

    /// Ends the link of `session`, if there is one, whatever has become of it.
    pub async fn withdraw_device_link(&self, session: &Session, visit: &Visit) -> Result<(), FlowError> {
        for _ in 0..ATTEMPTS_MAX {
            let Some((link, stored)) = self.kept_device_link(&session.id).await? else { return Ok(()) };
            if self.ground.is_committed(forgetting(&link, stored)).await? {
                self.report_step(&link, DeviceStep::Withdrawn, visit);
                return Ok(());
            }
        }
        Err(FlowError::Busy)
    }

    /// The state of the device that has this nonce. Once the first one has confirmed it, this uses
    /// the link up: it gives a session that may only add a passkey. The session that this browser
    /// had `before` ends with it.
    pub async fn join_by_device_link(
        &self,
        nonce: Option<&str>,
        before: Option<Arc<LiveSession>>,
        visit: &Visit,
        device: &Device,
    ) -> Result<JoinStatus, FlowError> {
        self.attempts.spend(visit)?;
        let nonce = nonce.and_then(Secret::parse).ok_or(FlowError::NoSuchInvitation)?;
        for _ in 0..ATTEMPTS_MAX {
            let found = self.device_link_by(&nonce.hashed()).await;
            let (link, stored) = found.map_err(|error| match error {
                FlowError::WrongCode => FlowError::NoSuchInvitation,
                other => other,
            })?;
            match &link.stage {
                Stage::Offered(_) => return Err(FlowError::NoSuchInvitation),
                Stage::Asking(NewDevice { number, .. }) => {
                    let asking = WaitingDevice { number: *number, expires_at: link.expires_at };
                    return Ok(JoinStatus::Waiting(asking));
                }
                Stage::Confirmed(_) => {}
            }
            let user = self.ground.records.get_exact::<User>(&keys::user(&link.user)).await?;
            let user = user.filter(|(user, _)| user.is_active(self.ground.clock.now()));
            let (user, unchanged) = user.ok_or(FlowError::NoSuchInvitation)?;
            let proof = ConfirmedDevice::of(user.id);
            let session = self.sessions.mint(&Evidence::DeviceLink(&proof), visit, device);
            let (adding, ended) = self.sessions.adding(&session, before.clone()).await?;
            let batch = forgetting(&link, stored).expect(keys::user(&user.id), unchanged).and(adding);
            if self.ground.is_committed(batch).await? {
                self.sessions.report_ended(&visit.origin(), &ended);
                self.report_step(&link, DeviceStep::Joined, visit);
                return Ok(JoinStatus::Admitted(Box::new(Redeemed { session, user })));
            }
        }
        Err(FlowError::Busy)
    }

    /// The live link that is found by a code or nonce with this hash, and whose first device is
    /// still signed in.
    async fn device_link_by(&self, shown: &SecretHash) -> Result<(DeviceLink, Vec<u8>), FlowError> {
        let session: Option<SessionId> = self.ground.records.get(&keys::device_link_by(shown)).await?;
        let session = session.ok_or(FlowError::WrongCode)?;
        let now = self.ground.clock.now();
        let found = self.kept_device_link(&session).await?;
        let found = found.filter(|(link, _)| link.found_by() == *shown && link.is_live(now));
        let (link, stored) = found.ok_or(FlowError::WrongCode)?;
        self.sessions.kept_live(&session).await?.ok_or(FlowError::WrongCode)?;
        let owner = self.ground.records.user(&link.user).await?;
        owner.filter(|user| user.is_active(now)).ok_or(FlowError::WrongCode)?;
        Ok((link, stored))
    }

    async fn kept_device_link(
        &self,
        session: &SessionId,
    ) -> Result<Option<(DeviceLink, Vec<u8>)>, FlowError> {
        Ok(self.ground.records.get_exact(&keys::device_link(session)).await?)
    }

    /// Removes links that are over.
    pub(in crate::flows) async fn forget_expired_device_links(&self) -> Result<(), FlowError> {
        let (now, mut walk) = (self.ground.clock.now(), self.ground.records.walk(keys::DEVICE_LINKS));
        while let Some((_, link)) = walk.next_where(|it: &DeviceLink| !it.is_live(now)).await? {
            // A link that was made meanwhile stays.
            self.ground.is_committed(forgetting(&link, records::encode(&link)?)).await?;
        }
        Ok(())
    }

    fn report_step(&self, link: &DeviceLink, step: DeviceStep, visit: &Visit) {
        self.report_step_of(link, step, visit.origin());
    }

    fn report_step_of(&self, link: &DeviceLink, step: DeviceStep, origin: Origin) {
        self.ground.report(origin, Kind::DeviceLink { user: link.user, session: link.session, step });
    }
}

/// The batch that keeps `link`, and how it is found.
fn keeping(link: &DeviceLink) -> Result<Batch, FlowError> {
    let by = keys::device_link_by(&link.found_by());
    Ok(Batch::default()
        .put(keys::device_link(&link.session), records::encode(link)?)
        .put(by, records::encode(&link.session)?))
}

/// The batch that makes room for another one in place of `link`, as it was `stored`.
fn replacing(link: &DeviceLink, stored: Vec<u8>) -> Batch {
    let by = keys::device_link_by(&link.found_by());
    Batch::default().expect(keys::device_link(&link.session), stored).delete(by)
}

/// The batch that removes `link`, as it was `stored`.
fn forgetting(link: &DeviceLink, stored: Vec<u8>) -> Batch {
    replacing(link, stored).delete(keys::device_link(&link.session))
}
