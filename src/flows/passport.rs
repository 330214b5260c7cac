//! What one route needs to know about one session: whether to let it in, and what to tell the
//! application. Made once per session and route, used for every request.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::domain::assertion::{ASSERTION_RENEWAL, AssertionSigner};
use crate::domain::policy::may_enter;
use crate::domain::policy::route::Route;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::user::User;

/// The header that carries the signed assertion.
pub const ASSERTION_HEADER: HeaderName = HeaderName::from_static("x-vestibule-assertion");

/// A decision and the headers that go with it.
pub struct Passport {
    /// The person as they were when the decision was made; a change makes a new passport.
    pub user: Arc<User>,
    /// `None`: this person may not enter.
    pub headers: Option<Vec<(HeaderName, HeaderValue)>>,
    /// When the assertion in the headers has to be renewed.
    pub renew_at: Timestamp,
}

impl Passport {
    /// Decides, and writes the headers if the decision is to let them in.
    pub(super) fn issue(
        signer: &AssertionSigner,
        issuer: &str,
        route: &Route,
        user: Arc<User>,
        session: &Session,
        now: Timestamp,
    ) -> Self {
        let headers = may_enter(&route.allow, &user).then(|| {
            let mut headers = route.identity.of(&user);
            let assertion = signer.sign(issuer, &route.name, &user, session, now);
            if let Some(value) = assertion.and_then(|jwt| HeaderValue::from_str(&jwt).ok()) {
                headers.push((ASSERTION_HEADER, value));
            }
            headers
        });
        Self { user, headers, renew_at: now.plus(ASSERTION_RENEWAL) }
    }

    /// Whether it still holds for this person at this moment.
    pub(super) fn holds(&self, user: &Arc<User>, now: Timestamp) -> bool {
        Arc::ptr_eq(&self.user, user) && now < self.renew_at
    }
}
