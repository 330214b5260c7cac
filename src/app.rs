//! The wiring: settings in, a running gateway out.

use crate::config::Settings;

/// What people at the terminal are told once the gateway answers.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// Where people sign in.
    pub origin: String,
    /// The one-time link that makes the first administrator; `None` when there is an account.
    pub setup_link: Option<String>,
}

/// Is called once, when every listener is open.
pub type Announce = Box<dyn FnOnce(&Announcement) + Send>;

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

/// Runs the gateway until it is told to stop.
pub fn serve(settings: Settings, announce: Announce) -> Result<(), StartError> {
    let _ = (settings, announce);
    Err(StartError("this build has no gateway in it".to_owned()))
}
