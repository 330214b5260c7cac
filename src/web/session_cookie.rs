//! Cookies for the browser when a user signs in or out.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue};

use super::call::Call;
use super::guard::{Known, Shown};
use super::{Problem, cookies};
use crate::domain::cookie::Cookie;
use crate::domain::dialect::OtherPages;
use crate::domain::session::Session;
use crate::domain::session::token::Carrier;
use crate::flows::FlowError;

/// The data that the auth host asks browsers to clear. Never `"cookies"`: browsers apply it to the
/// whole registrable domain, so that it signs people out of every other site of that domain.
const CLEAR_SITE_DATA: &str = "\"storage\"";

impl Call {
    /// Gives the browser the cookie of `session` for the host it is on.
    pub fn set_session_cookie(&self, session: &Session, headers: &mut HeaderMap) -> Result<(), Problem> {
        let (sessions, place) = (&self.gateway.sessions, self.place());
        let carrier = Carrier::Cookie(self.visit.host.clone());
        let token = sessions.token(session, carrier).map_err(FlowError::from)?;
        cookies::append(headers, cookies::session(place, &token, sessions.cookie_lifetime(session)));
        // A passkey was shown here, or made.
        if session.credential.is_some()
            && let Some(mark) = self.gateway.attempts.device_mark(&session.user)
        {
            cookies::append(headers, cookies::device(place, &mark));
        }
        Ok(())
    }

    /// Gives a caller who shows a cookie a new cookie for `session`, their session as it is now. A
    /// caller who shows a token gets none.
    pub fn renew(&self, caller: &Known, session: &Session, headers: &mut HeaderMap) -> Result<(), Problem> {
        match caller.shown {
            Shown::Cookie => self.set_session_cookie(session, headers),
            Shown::Bearer => Ok(()),
        }
    }

    /// Ends every session that the caller shows, and answers `done`. An anonymous client gets the
    /// same answer.
    pub async fn sign_out(&self, done: impl IntoResponse) -> Result<Response, Problem> {
        if let Err(problem) = self.not_cross_site() {
            // A request of another site's page must not clear a user's cookies.
            return match self.terms().other_pages {
                OtherPages::Unknown => Ok(done.into_response()),
                OtherPages::Refused => Err(problem),
            };
        }
        let shown = self.shown_sessions()?;
        let mut response = match self.gateway.sessions.sign_out(&shown, &self.visit).await {
            Ok(()) => done.into_response(),
            Err(error) => Problem::from(error).into_response(),
        };
        self.clear_session_cookie(response.headers_mut());
        Ok(response)
    }

    /// Clears this browser's cookies of a session, on the host it is on, whether or not the session
    /// could be ended: a person who signs out must not be shown as signed in. Storage is cleared on
    /// the auth host only, and only where no application shares that host and may keep data there.
    pub fn clear_session_cookie(&self, headers: &mut HeaderMap) {
        let is_ours_alone = self.gateway.ground.routes().host(&self.visit.host).is_none();
        if self.place().is_auth_host(&self.visit.host) && is_ours_alone {
            headers.insert("clear-site-data", HeaderValue::from_static(CLEAR_SITE_DATA));
        }
        cookies::append(headers, cookies::expire(self.place(), Cookie::Session));
    }
}
