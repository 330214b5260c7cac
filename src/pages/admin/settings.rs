//! The page that shows the settings, as they are written and where. It changes nothing: settings
//! are changed in the file.
//!
//! What does not live here: reading them (`config/written.rs`).
//!
//! What always holds: no secret is on the page, only that there is one.

use std::sync::Arc;

use askama::Template;

use super::text::AdminText;
use super::views::Frame;
use crate::domain::setting::{Origin, Setting};
use crate::pages::Site;

/// The settings as the page shows them, without secrets.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The configuration; `None` where there is no file.
    pub file: Option<String>,
    pub lines: Arc<[Setting]>,
}

/// `{prefix}/admin/settings`
#[derive(Template)]
#[template(path = "admin/settings.html")]
pub(super) struct SettingsPage<'a> {
    pub(super) site: &'a Site,
    pub(super) t: &'static AdminText,
    pub(super) frame: Frame<'a>,
    pub(super) settings: &'a Settings,
    /// The address for a test message; `None` where no mail is sent.
    pub(super) mail_to: Option<&'a str>,
}

impl SettingsPage<'_> {
    /// The written settings, and the defaults of the others.
    fn halves(&self) -> [(&'static str, Vec<&Setting>); 2] {
        let is_default = |line: &&Setting| matches!(line.origin, Origin::Default);
        let (defaults, written) = self.settings.lines.iter().partition(is_default);
        [(self.t.settings_written, written), (self.t.settings_defaults, defaults)]
    }

    fn place(&self, setting: &Setting) -> String {
        match &setting.origin {
            Origin::File { file, line } => {
                let file = file.as_ref().map(|file| file.display().to_string());
                let file = file.as_ref().or(self.settings.file.as_ref());
                format!("{}:{line}", file.map_or("-", String::as_str))
            }
            Origin::Environment(name) => name.clone(),
            Origin::Default => self.t.settings_default.to_owned(),
        }
    }
}
