//! The link that makes the first administrator: printed, and kept in a private file, for as long as
//! it works.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Announce, Announcement};
use crate::flows::{FlowError, Gateway};
use crate::ports::StoreError;
use crate::store::private_file;

/// The file with the link, in the data directory.
const LINK_FILE: &str = "setup-link";

/// The file of the link, given the data directory.
pub fn file(data: &Path) -> PathBuf {
    data.join(LINK_FILE)
}

/// Keeps the link where the operator finds it.
pub(super) struct SetupLink {
    gateway: Arc<Gateway>,
    file: PathBuf,
    announce: Announce,
}

impl SetupLink {
    pub(super) fn new(gateway: Arc<Gateway>, data: &Path, announce: Announce) -> Self {
        Self { gateway, file: file(data), announce }
    }

    /// Announces that the gateway answers, with a new link if there is no user yet.
    pub(super) async fn announce_first(&self) -> Result<(), FlowError> {
        self.announce_link(self.issue().await?);
        Ok(())
    }

    /// Removes the file when setup is done, and makes a new link when a person used the last one
    /// without finishing.
    pub(super) async fn renew(&self) -> Result<(), FlowError> {
        if self.gateway.sign_in.is_setup_done().await? {
            return private_file::remove(&self.file).map_err(link_not_stored);
        }
        if self.gateway.sign_in.is_setup_abandoned().await? {
            self.announce_link(self.issue().await?);
        }
        Ok(())
    }

    async fn issue(&self) -> Result<Option<String>, FlowError> {
        let Some(secret) = self.gateway.sign_in.issue_setup_secret().await? else { return Ok(None) };
        let link = self.gateway.ground.place().url(&format!("/enroll#{}", secret.reveal()));
        if let Some(directory) = self.file.parent() {
            std::fs::create_dir_all(directory).map_err(link_not_stored)?;
        }
        private_file::write(&self.file, format!("{link}\n").as_bytes()).map_err(link_not_stored)?;
        Ok(Some(link))
    }

    fn announce_link(&self, setup_link: Option<String>) {
        let announcement = Announcement { origin: self.gateway.ground.place().origin(), setup_link };
        (self.announce)(&announcement);
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn link_not_stored(error: std::io::Error) -> FlowError {
    FlowError::Store(StoreError::Unavailable(format!("the set-up link cannot be kept: {error}")))
}
