//! The page on which a new device enters the code that a signed-in device shows. It is the same for
//! every code, and does not tell whose account it is: the script asks (`POST
//! {prefix}/device-links/ask`), waits for the other device (`device-links/join`), and leads on to
//! the enrolment page.
//!
//! What does not live here: the endpoints that the script calls
//! (`dialects/native/device_links.rs`).

use askama::Template;

use super::Site;

/// The page at `{prefix}/device`.
#[derive(Debug, Template)]
#[template(path = "device.html")]
pub struct NewDevice<'a> {
    pub site: &'a Site,
}
