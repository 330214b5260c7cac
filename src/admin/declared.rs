//! `vestibule apply`, carried out by the flows.
//!
//! What does not live here: how differences are found and resolved
//! (`flows/administration/declared.rs`), and how it is printed (`cli/declared.rs`).
//!
//! What always holds: a dry run changes nothing, and links that were made are told whatever stopped
//! the run.

use super::operator::in_words;
use super::protocol::{Answer, DifferenceLine, Link, Run};
use crate::domain::declared::Difference;
use crate::domain::user::Email;
use crate::flows::administration::declared::{Applied, Declaration, Done, NotPlanned};
use crate::flows::authority::Authority;
use crate::flows::{FlowError, Gateway};

/// Makes every user as declared, or tells what would be done.
pub(super) async fn apply(
    gateway: &Gateway,
    authority: &Authority,
    declaration: Declaration,
    run: Run,
) -> Result<Answer, FlowError> {
    let plan = match gateway.administration.plan(authority, &declaration).await {
        Ok(plan) => plan,
        Err(NotPlanned::Users(objections)) => {
            let taken = objections.into_iter().map(|it| (it.at, it.username)).collect();
            return Ok(Answer::NothingApplied { taken });
        }
        Err(NotPlanned::NoAdministrator(parting)) => return Ok(no_administrator(&parting)),
        Err(NotPlanned::Failed(error)) => return Err(error),
    };
    let unchanged = plan.unchanged;
    if run == Run::Dry {
        let differences = plan.differences().map(untouched).collect();
        return Ok(Answer::Applied { differences, unchanged, stopped: None });
    }
    let Applied { done, stopped } = gateway.administration.apply(authority, plan).await?;
    let stopped = stopped.map(|(email, why)| format!("{email}: {}", in_words(&why)));
    let differences = done.into_iter().map(|done| line(gateway, done)).collect();
    Ok(Answer::Applied { differences, unchanged, stopped })
}

fn untouched(difference: Difference) -> DifferenceLine {
    DifferenceLine { difference, link: None, link_expires_at: None }
}

fn line(gateway: &Gateway, done: Done) -> DifferenceLine {
    let Done { difference, invited } = done;
    let link = invited.as_ref().map(|invited| Link::new(gateway.messages.link_of(invited)));
    let link_expires_at = invited.map(|invited| invited.invitation.expires_at.to_rfc3339());
    DifferenceLine { difference, link, link_expires_at }
}

fn no_administrator(parting: &[Email]) -> Answer {
    let parting: Vec<_> = parting.iter().map(ToString::to_string).collect();
    let reason = format!(
        "nothing was changed: no administrator would be left, because {} would not be one any more. Declare a user \
         who has a passkey with role = \"administrator\", and without standing = \"disabled\" and expires",
        parting.join(", ")
    );
    Answer::Refused { reason }
}
