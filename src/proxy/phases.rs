//! The phases of pingora's proxy, as it calls them for a request.
//!
//! What does not live here: what is decided in them (`admission.rs`) and how it is answered
//! (`failure.rs`, `refusals.rs`). What always holds: a phase that needs a
//! [`Permit`](crate::flows::admission::Permit) fails without one.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{StatusCode, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::{HttpPeer, Peer as _};
use pingora::{Error, ErrorType};

use super::access;
use super::admission::{Next, Phases};
use super::chunks::INVALID_CHUNK;
use super::context::Context;
use super::failure::SESSION_ENDED;
use super::headers::{self, Cleaned};
use super::outgoing::Outgoing;
use super::request::{self, SHORT_BYTES_MAX};
use super::sign_out;
use super::streams::{self, StreamKind};
use super::upstream::ConnectionNeeds;
use crate::domain::event::Answered;

#[async_trait]
impl ProxyHttp for Phases {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(Arc::clone(&self.0))
    }

    /// Adds no module: pingora's default is a compressor that we never turn on.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, ctx: &mut Context) -> pingora::Result<bool> {
        match self.decide(session, ctx) {
            (_, Next::Forward) => Ok(false),
            // A request that is not forwarded can wait on the heap.
            (visit, Next::Answer(reply)) => {
                Box::pin(self.send_reply(session, ctx, visit, reply)).await.map(|()| true)
            }
        }
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        ctx: &mut Context,
    ) -> pingora::Result<Box<HttpPeer>> {
        let Some(permit) = &ctx.permit else {
            return Err(Error::explain(ErrorType::InternalError, "no permit").into_in());
        };
        let turn = ctx.turn.wrapping_add(ctx.tries);
        ctx.tries += 1;
        let route = permit.route();
        if ctx.tries > 1 {
            self.0.front.load().meter.upstream_retried(&route.name);
        }
        let request = session.req_header();
        let upgrades = request.headers.contains_key(header::UPGRADE);
        let purpose = ConnectionNeeds { method: &request.method, upgrades };
        self.0.upstreams.peer(route, turn, purpose).await.map_err(|mut error| {
            error.set_retry(ctx.tries < self.0.upstreams.tries(route));
            error
        })
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Context,
    ) -> pingora::Result<()> {
        let (Some(permit), Some(visit)) = (&ctx.permit, &ctx.visit) else {
            return Err(Error::explain(ErrorType::InternalError, "no permit").into_in());
        };
        let version = session.req_header().version;
        let place = self.0.gateway.ground.place();
        let front = self.0.front.load();
        Outgoing { permit, visit, reserved: &front.reserved, place, version }.write_identity_headers(request)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Context,
    ) -> pingora::Result<()> {
        if streams::is_body_ambiguous() {
            return Err(Error::new_down(INVALID_CHUNK));
        }
        // An HTTP/2 body may end with an empty frame. Towards an HTTP/1.1 upstream pingora writes
        // its last chunk for the frame and again for the end, and the second one spoils the next
        // request of the pooled connection (cloudflare/pingora#935).
        if end_of_stream && body.as_ref().is_some_and(Bytes::is_empty) {
            *body = None;
        }
        if !end_of_stream && session.body_bytes_read() > SHORT_BYTES_MAX {
            self.bind_to_session(session, StreamKind::Finite, ctx);
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> pingora::Result<()> {
        let waited = (self.0.elapsed)().saturating_sub(ctx.tally.began);
        if !self.still_signed_in(ctx, waited) {
            return Err(Error::new_in(SESSION_ENDED));
        }
        if !response.status.is_informational() {
            ctx.tally.upstream_answered(waited);
        }
        ctx.tally.answered = Answered::Forwarded;
        if let Some(line) = &mut ctx.tally.line {
            line.note_response(response.status.as_u16(), 0);
        }
        let permit = ctx.permit.as_ref();
        if permit.is_some_and(|it| sign_out::signs_out(it, session.req_header(), response.status)) {
            Box::pin(self.sign_out(ctx)).await?;
        } else if response.status == StatusCode::SWITCHING_PROTOCOLS {
            // An idle WebSocket is bounded by the upstream's time limit alone.
            session.set_read_timeout(None);
            self.bind_to_session(session, StreamKind::Endless, ctx);
        } else if !response.status.is_informational() && request::is_long(response) {
            self.bind_to_session(session, request::stream_kind(response), ctx);
        }
        if ctx.visit.as_ref().is_some_and(|visit| self.0.gateway.ground.place().is_auth_host(&visit.host)) {
            response.remove_header("service-worker-allowed");
        }
        if headers::clean_response(response)? == Cleaned::Dropped {
            let route = ctx.tally.route.as_ref().map_or("", |route| route.name.as_str());
            tracing::debug!(route, "the upstream tried to set a cookie of ours");
        }
        Ok(())
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        peer: &HttpPeer,
        ctx: &mut Context,
        mut error: Box<Error>,
    ) -> Box<Error> {
        let Some(permit) = &ctx.permit else { return error };
        let (route, turn) = (permit.route(), ctx.turn.wrapping_add(ctx.tries).wrapping_sub(1));
        if let Some(address) = peer.address().as_inet() {
            self.0.upstreams.cannot_connect(route, turn, address.ip());
        }
        // No byte of the request has been sent, so another address may be tried whatever the
        // method.
        error.set_retry(ctx.tries < self.0.upstreams.tries(route));
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Context) -> FailToProxy {
        let error_code = match self.fail(session, error, ctx).await {
            Ok(status) => status,
            Err(e) => {
                tracing::debug!(error = e.etype().as_str(), "an answer could not be sent");
                0
            }
        };
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    /// pingora's own messages may quote what a client sent; ours are in [`super::failure::report`].
    fn suppress_error_log(&self, _: &Session, _: &Context, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &Context, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, ctx: &mut Context) {
        access::note(session, ctx);
    }

    /// The summary never has the path or the query, which may hold a secret.
    fn request_summary(&self, _session: &Session, ctx: &Context) -> String {
        ctx.visit.as_ref().map(|visit| visit.request_id.clone()).unwrap_or_default()
    }
}
