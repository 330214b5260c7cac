//! Events about the process that serves: reloads and upgrades.
//!
//! What does not live here: taking a configuration in, and giving way to another program (`app/`).

use crate::domain::event::{Kind, Origin, Outcome};
use crate::flows::administration::Administration;

impl Administration {
    /// Reports a reload of the configuration, done or refused.
    pub fn report_reload(&self, origin: Origin, outcome: Outcome) {
        self.ground.report(origin, Kind::Reload { outcome });
    }

    /// Reports an upgrade to another program, begun or refused.
    pub fn report_upgrade(&self, origin: Origin, outcome: Outcome) {
        self.ground.report(origin, Kind::Upgrade { outcome });
    }
}
