//! Declared users: what is there is made to match a file.
//!
//! `plan` says what is different; nothing is changed where a user cannot be as declared, or where
//! no administrator would be left. `apply` then does one step for each difference. What does not
//! live here: what counts as a difference (`domain/declared.rs`).
//!
//! What always holds: a step is one commit, which is decided on the account as it is at that
//! moment, so that no concurrent change is lost; new administrators are made before others cease to
//! be; and after an end in the middle, the done steps are told, and the same file can be applied
//! again.

mod plan;

use futures_util::future::join_all;

use crate::domain::declared::{DeclaredUser, Difference, Others};
use crate::domain::invitation::{Invited, LinkDelivery};
use crate::domain::user::Email;
use crate::flows::FlowError;
use crate::flows::administration::Administration;
use crate::flows::administration::links::Links;
use crate::flows::authority::Authority;
use plan::{Act, Step};
pub use plan::{NotPlanned, Objection, Plan};

/// Steps under way at a time: their commits share what makes them durable.
const STEPS_AT_ONCE: usize = 64;

/// The content of a file.
#[derive(Debug, Clone)]
pub struct Declaration {
    /// Addresses and usernames are there once.
    pub users: Vec<DeclaredUser>,
    pub others: Others,
}

/// The changes that were made.
#[derive(Debug)]
pub struct Applied {
    pub done: Vec<Done>,
    /// Why not everything was done, and with whom it ended.
    pub stopped: Option<(Email, FlowError)>,
}

/// A difference that has been resolved.
#[derive(Debug)]
pub struct Done {
    pub difference: Difference,
    /// The invitation that was made, whose link is known now and never again.
    pub invited: Option<Invited>,
}

impl Administration {
    /// Does what `plan` says.
    pub async fn apply(&self, authority: &Authority, plan: Plan) -> Result<Applied, FlowError> {
        let links = self.links().await?;
        let (parting, others): (Vec<_>, Vec<_>) =
            plan.steps.into_iter().partition(Step::takes_an_administrator);
        let mut applied = Applied { done: Vec::new(), stopped: None };
        let mut others = others.into_iter();
        loop {
            let some: Vec<_> = others.by_ref().take(STEPS_AT_ONCE).collect();
            if some.is_empty() || applied.stopped.is_some() {
                break;
            }
            self.take_steps(authority, some, &links, &mut applied).await?;
        }
        // Each of these steps expects another administrator to stay, so they are not taken at the
        // same time.
        for step in parting {
            if applied.stopped.is_none() {
                self.take_steps(authority, vec![step], &links, &mut applied).await?;
            }
        }
        Ok(applied)
    }

    /// Takes these steps concurrently, and notes the result of each.
    async fn take_steps(
        &self,
        authority: &Authority,
        steps: Vec<Step>,
        links: &Links,
        applied: &mut Applied,
    ) -> Result<(), FlowError> {
        let taken = steps.iter().map(|step| self.take_step(authority, &step.act, links));
        let taken = join_all(taken).await;
        for (step, outcome) in steps.into_iter().zip(taken) {
            match outcome {
                Ok(invited) => applied.done.push(Done { difference: step.difference, invited }),
                Err(why) => applied.stopped = Some((step.difference.email().clone(), why)),
            }
        }
        // The trail in memory is bounded, and these steps make many events in a moment.
        self.write_trail().await
    }

    async fn take_step(
        &self,
        authority: &Authority,
        act: &Act,
        links: &Links,
    ) -> Result<Option<Invited>, FlowError> {
        match act {
            Act::Invite { guest, terms } => {
                let (guest, terms) = (guest.as_ref().clone(), terms.clone());
                self.invite_on(authority, guest, terms, Some(links), LinkDelivery::ByHand).await.map(Some)
            }
            Act::Edit { user, edit, .. } => {
                self.edit_knowing(authority, user, edit, Some(links)).await.map(|_| None)
            }
            Act::Revoke(invitation) => match self.revoke(authority, invitation).await {
                // Another caller was faster: the invitation is over, or an account by now.
                Ok(()) | Err(FlowError::NoSuchInvitation) => Ok(None),
                Err(error) => Err(error),
            },
        }
    }
}
