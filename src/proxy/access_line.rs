//! A line of the access log that is not complete.
//!
//! What does not live here: when a line is begun (`access.rs`) and where it goes (`telemetry/`).

use crate::domain::event::Answered;
use crate::domain::served::Served;
use crate::flows::admission::Permit;

/// A line of the access log that is not complete.
pub(super) struct AccessLine {
    pub(super) served: Served,
    /// The query in the line if an application answers.
    pub(super) query: Option<String>,
}

impl AccessLine {
    /// Notes the user who was let in.
    pub(super) fn note_user(&mut self, permit: &Permit) {
        self.served.user = permit.user().map(|user| user.username.as_str().to_owned());
    }

    /// Notes the answer so far.
    pub(super) fn note_response(&mut self, status: u16, bytes: usize) {
        self.served.status = status;
        self.served.bytes = bytes;
    }

    /// The whole line.
    pub(super) fn complete(
        self,
        route: Option<&str>,
        outcome: Answered,
        took: std::time::Duration,
    ) -> Served {
        let Self { mut served, query } = self;
        if outcome == Answered::Forwarded {
            served.target.extend(query);
        }
        served.route = route.map(str::to_owned);
        served.outcome = outcome;
        served.took = took;
        served
    }
}
