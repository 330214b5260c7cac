//! How people come in: with a passkey, and the ways to a first or another one.
//!
//! `passkey` is the sign-in, `process` the same in steps, `ceremony` what waits for an answer;
//! `enroll` redeems links and `registration` adds the passkey; `sign_up` makes accounts without an
//! invitation. `codes`, `recovery_codes` and `device_links` are the other ways to add a passkey, and
//! `recovery` reports and cancels them. `return_target` leads to an application's host. What always
//! holds: a session is minted only from `flows/evidence.rs`.

mod ceremony;
pub mod codes;
pub mod device_links;
pub mod enroll;
pub mod passkey;
pub mod process;
pub mod recovery;
pub mod recovery_codes;
pub mod registration;
pub mod return_target;
pub mod sign_up;

use std::sync::Arc;

use super::FlowError;
use super::account::Accounts;
use super::attempts::Attempts;
use super::ground::Ground;
use super::messages::Messages;
use super::one_time_codes::Codes;
use super::pending::Waiting;
use super::sessions::Sessions;
use crate::domain::limits::RateLimits;
use crate::domain::return_target::RETURN_TARGET_LIFETIME;
use crate::domain::session::Session;
use crate::domain::user::User;
use crate::ports::Batch;
use crate::records::keys;

/// A redeemed secret.
#[derive(Debug)]
pub struct Redeemed {
    pub session: Session,
    pub user: User,
}

/// How many waiting entries are gone through for one commit: each may make room by removing
/// [`super::pending::REMOVED_AT_ONCE_MAX`] others.
const RESUMED_AT_ONCE: usize = 5;

/// The pending state of clients that sign in.
pub struct SignIn {
    ground: Arc<Ground>,
    attempts: Arc<Attempts>,
    messages: Arc<Messages>,
    sessions: Arc<Sessions>,
    codes: Arc<Codes>,
    accounts: Arc<Accounts>,
    ceremonies: Waiting,
    processes: Waiting,
    pending_return_targets: Waiting,
    hand_offs: Waiting,
    rounds: return_target::Rounds,
}

impl SignIn {
    pub(in crate::flows) fn new(
        ground: Arc<Ground>,
        attempts: Arc<Attempts>,
        messages: Arc<Messages>,
        sessions: Arc<Sessions>,
        accounts: Arc<Accounts>,
        limits: RateLimits,
    ) -> Self {
        let [ceremonies, processes, pending_return_targets, hand_offs] =
            std::array::from_fn(|_| Waiting::new(limits));
        let rounds = return_target::Rounds::default();
        Self {
            ground,
            attempts,
            messages,
            sessions,
            codes: Arc::clone(&accounts.codes),
            accounts,
            ceremonies,
            processes,
            pending_return_targets,
            hand_offs,
            rounds,
        }
    }

    /// Puts `limits` in force for entries that begin from now on.
    pub(in crate::flows) fn adopt_limits(&self, limits: RateLimits) {
        for (_, waiting) in self.waiting() {
            waiting.exchange(limits);
        }
    }

    fn waiting(&self) -> [(&'static [u8], &Waiting); 5] {
        [
            (keys::CEREMONIES, &self.ceremonies),
            (keys::RETURN_TARGETS, &self.pending_return_targets),
            (keys::HAND_OFFS, &self.hand_offs),
            (keys::CODES, &self.codes.waiting),
            (keys::PROCESSES, &self.processes),
        ]
    }

    /// Forgets entries that waited when the gateway stopped and have expired since.
    pub(in crate::flows) async fn resume_waiting(&self) -> Result<(), FlowError> {
        let now = self.ground.clock.now();
        for (prefix, waiting) in self.waiting() {
            let all = self.ground.records.all::<serde_json::Value>(prefix).await?;
            for some in all.chunks(RESUMED_AT_ONCE) {
                let mut removed = Batch::default();
                for (key, _) in some {
                    // The longest life of any entry: none can be finished after it.
                    let (nobody, end) = (self.attempts.begun_by(None), now.plus(RETURN_TARGET_LIFETIME));
                    removed = removed.and(waiting.admit(key.clone(), nobody, end, now));
                }
                if !removed.changes.is_empty() {
                    self.ground.records.commit(removed).await?;
                }
            }
        }
        Ok(())
    }
}
