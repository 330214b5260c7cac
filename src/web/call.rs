//! A request to one of our endpoints, apart from its body: of an API or for a page.
//!
//! Handlers take a [`Call`], or what `guard` makes of it: evidence of who calls, and from which
//! page. Which dialect is spoken stands in the visit.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use http::header::{COOKIE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Uri};

use super::{Problem, guard};
use crate::domain::credential::Program;
use crate::domain::dialect::Terms;
use crate::domain::id::CeremonyId;
use crate::domain::place::Place;
use crate::domain::session::step_up::Change;
use crate::domain::time::Timestamp;
use crate::domain::user_agent;
use crate::flows::Gateway;
use crate::flows::visit::{Device, Visit};

/// A request, apart from its body, as every handler needs it.
pub struct Call {
    pub gateway: Arc<Gateway>,
    /// When the request came in.
    pub began: Timestamp,
    pub visit: Visit,
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
}

impl<S: Send + Sync> FromRequestParts<S> for Call
where
    Arc<Gateway>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let mut call = Self::unread(parts, Arc::from_ref(state))?;
        call.visit.shows_live_session = call.shown_sessions().is_ok_and(|sessions| !sessions.is_empty());
        call.visit.by_access_token = guard::shows_access_token(&call.headers);
        call.visit.change = Change::new(call.method.as_str(), call.uri.path());
        call.visit.step_up = guard::step_up(&call.headers);
        call.visit.device = guard::device_mark(&call.headers);
        Ok(call)
    }
}

impl Call {
    /// A request whose credentials are not looked at.
    pub fn unread(parts: &Parts, gateway: Arc<Gateway>) -> Result<Self, Problem> {
        // The proxy has noted where the request came in. Without this note no request is answered.
        let visit = parts.extensions.get::<Visit>().cloned().ok_or_else(Problem::unauthenticated)?;
        let (method, uri, headers) = (parts.method.clone(), parts.uri.clone(), parts.headers.clone());
        Ok(Self { began: gateway.ground.clock().now(), gateway, visit, method, uri, headers })
    }

    /// Our place among hosts and paths.
    pub fn place(&self) -> &Place {
        self.gateway.ground.place()
    }

    /// The differences of the dialect that is spoken.
    pub fn terms(&self) -> &'static Terms {
        self.visit.dialect.terms()
    }

    /// The header of this name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Every `Cookie` header.
    pub fn cookie_headers(&self) -> impl Iterator<Item = &[u8]> {
        self.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes)
    }

    /// The body `read` from a request that finishes `ceremony`. An unreadable request is an attempt
    /// like any other: it uses the ceremony up.
    pub async fn using_up<T>(
        &self,
        ceremony: Option<CeremonyId>,
        read: Result<T, Problem>,
    ) -> Result<T, Problem> {
        if read.is_err() {
            self.gateway.sign_in.abandon_ceremony(ceremony).await?;
        }
        read
    }

    /// The caller's program, as its request describes it.
    pub fn device(&self) -> Device {
        Device { user_agent: self.header(USER_AGENT.as_str()).map(str::to_owned), is_shared: false }
    }

    /// The program in words, for a passkey that is made with it.
    pub fn program(&self) -> Program {
        user_agent::program(self.header(USER_AGENT.as_str()))
    }
}
