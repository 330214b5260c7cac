//! The numbers of the overview: sign-ins and refusals by the hour, and users who may be locked out.
//!
//! What always holds: this is read from memory, or kept for a moment, so that an overview that is
//! opened often costs the store nothing; and no decision depends on it.

use crate::flows::FlowError;
use crate::flows::administration::Administration;
use crate::flows::trail::activity::Hour;
use crate::flows::trail::activity::PasskeyCounts;
use crate::records::keys;

/// The bytes of a person's id in the index of credentials.
const OWNER_BYTES: usize = 16;

impl Administration {
    /// The events of each of the last [`HOURS_KEPT`](crate::flows::trail::activity::HOURS_KEPT)
    /// hours, oldest first.
    pub fn activity(&self) -> Vec<Hour> {
        self.ground.trail.activity().until(self.ground.clock.now())
    }

    /// How many people have one passkey, or none, as of a moment ago.
    pub async fn passkey_counts(&self) -> Result<PasskeyCounts, FlowError> {
        let now = self.ground.clock.now();
        if let Some(counted) = self.ground.trail.counted(now) {
            return Ok(counted);
        }
        let (mut with_any, mut with_one) = (0_usize, 0_usize);
        let mut owner: Option<([u8; OWNER_BYTES], usize)> = None;
        let mut walk = self.ground.records.walk(keys::USER_CREDENTIALS);
        while let Some((key, _)) = walk.next().await? {
            let rest = key.strip_prefix(keys::USER_CREDENTIALS);
            let Some(id) = rest.and_then(|rest| rest.first_chunk()) else { continue };
            match &mut owner {
                Some((current, count)) if current == id => *count += 1,
                _ => {
                    with_one += usize::from(owner.is_some_and(|(_, count)| count == 1));
                    with_any += 1;
                    owner = Some((*id, 1));
                }
            }
        }
        with_one += usize::from(owner.is_some_and(|(_, count)| count == 1));
        let counts = PasskeyCounts { with_one, with_none: self.user_count().saturating_sub(with_any) };
        self.ground.trail.keep_count(now, counts);
        Ok(counts)
    }
}
