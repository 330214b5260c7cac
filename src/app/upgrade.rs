//! Another program in the place of this one, in the same process and on the same sockets.
//!
//! The new program lies where this one was started from. It is first asked whether it accepts the
//! configuration. Then this program finishes requests under way, as at any end, and becomes the new
//! one: the supervisor sees the same process go on. What always holds: connections that come
//! meanwhile wait in the kernel, and a program that refuses the configuration changes nothing.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use tokio::process::Command;
use tokio::sync::Notify;

use super::StartError;
use crate::admin::Upgrade;
use crate::system;

/// How long the new program may look at the configuration.
const CHECK_TIMEOUT: Duration = Duration::from_secs(30);

/// How a successor is started.
#[derive(Debug, Clone)]
pub struct Successor {
    /// The path of this program when it was started.
    pub program: PathBuf,
    /// The arguments that this program was given.
    pub arguments: Vec<OsString>,
    /// The arguments with which the program checks the configuration; it ends with 0 if it accepts
    /// it.
    pub check: Vec<OsString>,
}

impl Successor {
    /// Whether the successor accepts the configuration; its own message if not.
    async fn accepts(&self) -> Result<(), String> {
        let program = self.program.display();
        let mut check = Command::new(&self.program);
        let check = check.args(&self.check).stdin(Stdio::null()).kill_on_drop(true).output();
        let looked = tokio::time::timeout(CHECK_TIMEOUT, check).await;
        let output = looked
            .map_err(|_| format!("{program} does not say within {CHECK_TIMEOUT:?} whether it would start"))?
            .map_err(|error| format!("{program} cannot be started: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("{program} would not start ({}):\n{}", output.status, said.trim()))
    }

    /// Replaces this process by the successor. Returns only if that fails.
    pub(super) fn take_over(&self, sockets: Vec<OwnedFd>) -> StartError {
        let error = system::replace_process(&self.program, &self.arguments, sockets);
        StartError(format!("{} could not take over: {error}", self.program.display()))
    }
}

/// Waits to be asked for an upgrade.
pub(super) struct Upgrader {
    successor: Option<Successor>,
    grace_period: Duration,
    accepted: Notify,
}

impl Upgrader {
    /// Without a successor it refuses upgrades.
    pub(super) fn new(successor: Option<Successor>, grace_period: Duration) -> Self {
        Self { successor, grace_period, accepted: Notify::new() }
    }

    /// Returns when a successor is to take over.
    pub(super) async fn asked(&self) -> Successor {
        loop {
            self.accepted.notified().await;
            if let Some(successor) = &self.successor {
                return successor.clone();
            }
        }
    }
}

#[async_trait]
impl Upgrade for Upgrader {
    async fn prepare(&self) -> Result<Duration, String> {
        let successor = self.successor.as_ref();
        let successor =
            successor.ok_or("this gateway was not started by `vestibule serve`: start it again")?;
        successor.accepts().await?;
        Ok(self.grace_period)
    }

    fn give_way(&self) {
        self.accepted.notify_one();
    }
}
