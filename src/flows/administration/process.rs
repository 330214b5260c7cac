//! What is done to the process that serves, as far as the audit trail is concerned.
//!
//! What does not live here: taking a configuration in, and giving way to another program (`app/`).

use crate::domain::event::{Kind, Origin, Outcome};
use crate::flows::administration::Administration;

impl Administration {
    /// Reports that the configuration was to be taken in again.
    pub fn report_reload(&self, origin: Origin, outcome: Outcome) {
        self.ground.report(origin, Kind::Reload { outcome });
    }

    /// Reports that another program was to take over.
    pub fn report_upgrade(&self, origin: Origin, outcome: Outcome) {
        self.ground.report(origin, Kind::Upgrade { outcome });
    }
}
