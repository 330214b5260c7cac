//! A request to one of our APIs, apart from its body.
//!
//! Handlers take a [`Call`] and ask it for the evidence they need; `guard` decides. The visit says
//! which dialect is spoken.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, Method};

use super::guard::{self, SignedIn};
use super::{Problem, cookies};
use crate::domain::cookie::Cookie;
use crate::domain::credential::Program;
use crate::domain::id::CeremonyId;
use crate::domain::session::step_up::Change;
use crate::domain::user_agent;
use crate::flows::index::LiveSession;
use crate::flows::visit::Device;
use crate::flows::visit::Visit;
use crate::flows::{FlowError, Gateway};

/// A request, apart from its body, as every handler needs it.
pub struct Call {
    pub visit: Visit,
    pub method: Method,
    pub headers: HeaderMap,
}

impl FromRequestParts<Arc<Gateway>> for Call {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        // The proxy has noted where the request came in. Without this note no request is answered.
        let mut visit = parts.extensions.get::<Visit>().cloned().ok_or_else(Problem::unauthenticated)?;
        visit.shows_live_session = guard::shows_live_session(gateway, &visit, &parts.method, &parts.headers);
        visit.by_access_token = guard::shows_access_token(&parts.headers);
        visit.change = Change::new(parts.method.as_str(), parts.uri.path());
        visit.step_up = guard::step_up(&parts.headers);
        visit.device = guard::device_mark(&parts.headers);
        Ok(Self { visit, method: parts.method.clone(), headers: parts.headers.clone() })
    }
}

impl Call {
    /// A caller with a full session; see [`guard::signed_in`].
    pub fn signed_in(&self, gateway: &Gateway) -> Result<SignedIn, Problem> {
        guard::signed_in(gateway, &self.visit, &self.method, &self.headers)
    }

    /// A caller with a session of whatever scope; see [`guard::enrolling_or_signed_in`].
    pub fn enrolling_or_signed_in(&self, gateway: &Gateway) -> Result<SignedIn, Problem> {
        guard::enrolling_or_signed_in(gateway, &self.visit, &self.method, &self.headers)
    }

    /// The caller, if known; see [`guard::identify`].
    pub fn identify(&self, gateway: &Gateway) -> Result<Option<SignedIn>, Problem> {
        guard::identify(gateway, &self.visit, &self.method, &self.headers)
    }

    /// The caller, by cookie alone; see [`guard::identify_by_cookie`].
    pub fn identify_by_cookie(&self, gateway: &Gateway) -> Result<Option<SignedIn>, Problem> {
        guard::identify_by_cookie(gateway, &self.visit, &self.method, &self.headers)
    }

    /// Every session that the request shows; see [`guard::shown_sessions`].
    pub fn shown_sessions(&self, gateway: &Gateway) -> Result<Vec<Arc<LiveSession>>, Problem> {
        guard::shown_sessions(gateway, &self.visit, &self.method, &self.headers)
    }

    /// The token that `caller` goes on with; see [`guard::token_of`].
    pub fn token_of(&self, gateway: &Gateway, caller: &SignedIn) -> Result<String, FlowError> {
        guard::token_of(gateway, &self.headers, caller)
    }

    /// The caller, by a cookie or a lasting token; see [`guard::identify_lasting`].
    pub fn identify_lasting(&self, gateway: &Gateway) -> Result<Option<SignedIn>, Problem> {
        guard::identify_lasting(gateway, &self.visit, &self.method, &self.headers)
    }

    /// Refuses requests of pages that are not trusted; see [`guard::not_cross_site`].
    pub fn not_cross_site(&self, gateway: &Gateway) -> Result<(), Problem> {
        guard::not_cross_site(gateway, &self.visit, &self.headers)
    }

    /// The body `read` from a request that finishes `ceremony`. An unreadable request is an attempt
    /// like any other: it uses the ceremony up.
    pub async fn using_up<T>(
        &self,
        gateway: &Gateway,
        ceremony: Option<CeremonyId>,
        read: Result<T, Problem>,
    ) -> Result<T, Problem> {
        if read.is_err() {
            gateway.sign_in.abandon_ceremony(ceremony, &self.visit).await?;
        }
        read
    }

    /// The caller's program, as its request describes it.
    pub fn device(&self) -> Device {
        guard::device(&self.headers)
    }

    /// The program in words, for a passkey that is made with it.
    pub fn program(&self) -> Program {
        user_agent::program(self.device().user_agent.as_deref())
    }

    /// The ceremony that this browser's cookie names.
    pub fn ceremony(&self, gateway: &Gateway, cookie: Cookie) -> Option<CeremonyId> {
        CeremonyId::parse(cookies::read(&self.headers, gateway.ground.place(), cookie)?).ok()
    }
}
