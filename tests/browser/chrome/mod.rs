//! A real Chromium, or a real Firefox, driven over WebDriver as far as these tests need it.
//!
//! What does not live here: any knowledge of Vestibule.
//!
//! What always holds: every browser has a home of its own, every wait is for a condition and is
//! bounded, and every process is ended by its id.

mod authenticator;
mod devtools;
mod driver;
mod window;

pub use authenticator::{Attached, Authenticator};
pub use devtools::Screen;
pub use driver::{Chrome, Firefox, Profile};
pub use window::Window;
