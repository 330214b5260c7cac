//! What a browser is told when somebody signs out.

use http::{HeaderMap, HeaderValue};

use super::cookies;
use crate::domain::cookie::Cookie;
use crate::flows::Gateway;
use crate::flows::admit::Visit;

/// What the auth host asks to be forgotten. On the host of an application, cookies and storage are
/// the application's, and only our cookie goes.
const CLEAR_SITE_DATA: &str = "\"cookies\", \"storage\"";

/// Takes back what this browser has of a session, on the host it is on, whether or not the session
/// could be ended: a person who signs out is not to be shown as signed in.
pub fn farewell(gateway: &Gateway, visit: &Visit, headers: &mut HeaderMap) {
    if gateway.place().is_auth_host(&visit.host) {
        headers.insert("clear-site-data", HeaderValue::from_static(CLEAR_SITE_DATA));
    }
    cookies::append(headers, cookies::expire(gateway.place(), Cookie::Session));
}
