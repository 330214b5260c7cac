//! A link between two devices of one person: the first shows a code, the second brings it, and the
//! first confirms before the second may make a passkey.
//!
//! What does not live here: the steps between the two devices (`flows/sign_in/device_links.rs`).
//!
//! What always holds: a link is bound to the session that made it and to the browser that brought
//! its code; it lives for [`DEVICE_LINK_LIFETIME`]; and the code is used up by the first browser
//! that brings it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::{SessionId, UserId};
use super::network::Network;
use super::secret::SecretHash;
use super::time::Timestamp;

/// How long it takes at most from the code to the new device's way in.
pub const DEVICE_LINK_LIFETIME: Duration = Duration::from_mins(5);
/// How often a page asks for the state of its link.
pub const DEVICE_LINK_INTERVAL: Duration = Duration::from_secs(2);

/// The number that people compare: two digits, of which the first is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Number(u8);

impl Number {
    /// Of 90 numbers, each is as likely as the next, but for one part in thousands.
    pub fn from_random(bytes: [u8; 4]) -> Self {
        Self(u8::try_from(u32::from_be_bytes(bytes) % 90).unwrap_or(0) + 10)
    }

    pub const fn get(self) -> u8 {
        self.0
    }
}

/// The new device, as far as it is known before it has a passkey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewDevice {
    /// The hash of the nonce in its cookie.
    pub browser: SecretHash,
    pub number: Number,
    pub network: Option<Network>,
    pub user_agent: Option<String>,
}

/// How far a link has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The first device shows the code, of which this is the keyed hash.
    Offered(SecretHash),
    /// A browser has brought the code and waits for the first device.
    Asking(NewDevice),
    /// The first device has said yes.
    Confirmed(NewDevice),
}

/// One link. A session has one at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceLink {
    /// The session on the first device.
    pub session: SessionId,
    pub user: UserId,
    pub stage: Stage,
    pub expires_at: Timestamp,
}

impl DeviceLink {
    /// The secret that the new device shows to find this link: the code, and its own nonce from
    /// then on.
    pub const fn found_by(&self) -> SecretHash {
        match &self.stage {
            Stage::Offered(code) => *code,
            Stage::Asking(new_device) | Stage::Confirmed(new_device) => new_device.browser,
        }
    }

    /// The new device, once there is one.
    pub const fn new_device(&self) -> Option<&NewDevice> {
        match &self.stage {
            Stage::Offered(_) => None,
            Stage::Asking(new_device) | Stage::Confirmed(new_device) => Some(new_device),
        }
    }

    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::secret::Secret;

    #[test]
    fn every_number_is_drawn() {
        let drawn = |value: u32| Number::from_random(value.to_be_bytes()).get();
        assert_eq!([0, 1, 89, 90, 256].map(drawn), [10, 11, 99, 10, 86]);
    }

    #[test]
    fn a_link_is_found_by_its_code_until_there_is_a_new_device() {
        let hash = |seed| Secret::from_random([seed; 32]).hashed();
        let new_device = NewDevice {
            browser: hash(2),
            number: Number::from_random([0; 4]),
            network: None,
            user_agent: None,
        };
        for (stage, found_by, device) in [
            (Stage::Offered(hash(1)), hash(1), None),
            (Stage::Asking(new_device.clone()), hash(2), Some(&new_device)),
            (Stage::Confirmed(new_device.clone()), hash(2), Some(&new_device)),
        ] {
            let (session, user) = (SessionId([1; 16]), UserId::from_random([2; 16]));
            let link = DeviceLink { session, user, stage, expires_at: Timestamp::from_millis(0) };
            assert_eq!((link.found_by(), link.new_device()), (found_by, device), "{link:?}");
        }
    }

    proptest! {
        #[test]
        fn a_number_has_two_digits(bytes in any::<[u8; 4]>()) {
            prop_assert!((10..=99).contains(&Number::from_random(bytes).get()));
        }
    }
}
