//! Committing what was decided, and deciding again.
//!
//! Every batch says what it was decided on ([`Batch::expect`]). If that has changed by the time of
//! the commit, nothing is written, and the flow loads and decides anew: a bounded number of times,
//! and then it fails with [`FlowError::Busy`].
//!
//! A commit holds [`BATCH_OPERATIONS_MAX`] operations. A change that ends more than fits, such as
//! the end of an account with a hundred passkeys, is one decision in several commits: first its
//! parts, each whole, and last the deciding change. *Absent:* what to expect and what to write,
//! which each flow says itself.

use super::ground::Ground;
use crate::domain::session::Session;
use crate::domain::user::User;
use crate::flows::FlowError;
use crate::ports::store::BATCH_OPERATIONS_MAX;
use crate::ports::{Batch, CommitError};
use crate::records::keys;

/// How often a change is decided again because what it was decided on changed meanwhile. Flows in
/// which many may meet over one record have a number of their own.
pub(in crate::flows) const ATTEMPTS_MAX: u32 = 8;

/// The parts of a change, each with its batch. A part is never divided.
pub(in crate::flows) type Parts<T> = Vec<(T, Batch)>;

impl Ground {
    /// Whether `batch` could be committed. If not, something has changed, and it is to be decided
    /// again.
    pub(in crate::flows) async fn is_committed(&self, batch: Batch) -> Result<bool, FlowError> {
        match self.records.commit(batch).await {
            Ok(()) => Ok(true),
            Err(CommitError::Conflict) => Ok(false),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }

    /// Whether `parts` and `last` could be committed: all in one commit if it holds them. Otherwise
    /// the parts come first, in commits that expect what `last` expects, so that a change which may
    /// not happen has changed nothing. A part that changes what `last` expects goes with it.
    /// `done` is called with each part once it is durable.
    ///
    /// Parts only remove records, because two callers with one freshness may both get as far as
    /// their parts before one of them spends it in `last`. (Many invitations are parts too: they
    /// are an operator's, who spends no freshness.) Where the gateway stops between two commits,
    /// the caller has no answer, and asks again for the rest.
    pub(in crate::flows) async fn is_committed_after<T>(
        &self,
        parts: Parts<T>,
        last: Batch,
        mut done: impl FnMut(T),
    ) -> Result<bool, FlowError> {
        let total = parts.iter().fold(last.operations(), |sum, (_, part)| sum + part.operations());
        let (first, with_last) = if total <= BATCH_OPERATIONS_MAX {
            (Vec::new(), parts)
        } else {
            parts.into_iter().partition(|(_, part)| !part.changes_what_is_expected_by(&last))
        };
        let gate = last.conditions();
        for (some, batch) in packed(first, gate.operations()) {
            if !self.is_committed(gate.clone().and(batch)).await? {
                return Ok(false);
            }
            some.into_iter().for_each(&mut done);
        }
        let (rest, batches): (Vec<T>, Vec<Batch>) = with_last.into_iter().unzip();
        let whole = batches.into_iter().fold(Batch::default(), Batch::and).and_unless_gone(last);
        let is_committed = self.is_committed(whole.without_repeats()).await?;
        if is_committed {
            rest.into_iter().for_each(done);
        }
        Ok(is_committed)
    }

    /// The owner of `session`, and a batch that expects them to be as they are.
    pub(in crate::flows) async fn owner_of(&self, session: &Session) -> Result<(User, Batch), FlowError> {
        let key = keys::user(&session.user);
        let found = self.records.get_exact::<User>(&key).await?;
        let found = found.filter(|(user, _)| user.is_active(self.clock.now()));
        let (user, stored) = found.ok_or(FlowError::NotPermitted)?;
        Ok((user, Batch::default().expect(key, stored)))
    }
}

/// As few commits as hold `parts` in their order, where each has `besides` further operations.
pub(in crate::flows) fn packed<T>(parts: Parts<T>, besides: usize) -> Vec<(Vec<T>, Batch)> {
    let mut packs: Vec<(Vec<T>, Batch)> = Vec::new();
    for (item, part) in parts {
        match packs.last_mut() {
            Some((items, batch))
                if batch.operations() + part.operations() + besides <= BATCH_OPERATIONS_MAX =>
            {
                items.push(item);
                *batch = std::mem::take(batch).and(part);
            }
            _ => packs.push((vec![item], part)),
        }
    }
    packs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_hold_what_fits_and_keep_parts_whole_and_in_order() {
        let part = |number: usize, operations: usize| {
            let key = |at| format!("{number}/{at}").into_bytes();
            (number, (0..operations).fold(Batch::default(), |batch, at| batch.delete(key(at))))
        };
        let sizes = |packs: Vec<(Vec<usize>, Batch)>| {
            packs.into_iter().map(|(items, batch)| (items, batch.operations())).collect::<Vec<_>>()
        };
        let parts = || vec![part(1, 60), part(2, 30), part(3, 10), part(4, 1)];
        assert_eq!(sizes(packed(parts(), 0)), [(vec![1, 2, 3], 100), (vec![4], 1)]);
        assert_eq!(sizes(packed(parts(), 1)), [(vec![1, 2], 90), (vec![3, 4], 11)]);
        // The store refuses a part that is too large for a commit, and no other part with it.
        assert_eq!(sizes(packed(vec![part(1, 101), part(2, 1)], 0)), [(vec![1], 101), (vec![2], 1)]);
        assert!(packed(Parts::<()>::new(), 0).is_empty());
    }
}
