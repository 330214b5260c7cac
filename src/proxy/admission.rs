//! The admission of a request, phase by phase.
//!
//! The request phase either answers or leaves a [`Permit`](crate::flows::admission::Permit) in the
//! [`Context`]; every later phase reads it from there and fails without it. Every failure becomes
//! an answer, never a forwarded request.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::http::v1::server::HttpSession;
use pingora::protocols::tls::SslDigest;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::{HttpPeer, Peer as _};
use pingora::{Error, ErrorType};

use super::HEADER_BYTES_MAX;
use super::access;
use super::acme;
use super::bridge;
use super::chunks::INVALID_CHUNK;
use super::context::{Context, NamelessTls, PlainHttp, Shared};
use super::failure::{self, SESSION_ENDED};
use super::headers::{self, Cleaned, Outgoing};
use super::own_bodies::OwnBody;
use super::refusals::{RequestHead, refused};
use super::request::{self, SHORT_BYTES_MAX};
use super::sign_out;
use super::streams::{self, StreamKind};
use super::tls::RequestedServerName;
use super::upstream::ConnectionNeeds;
use crate::domain::dialect::Dialect;
use crate::domain::event::Answered;
use crate::domain::place::Scheme;
use crate::flows::admission::{Admission, Asked, Outcome};
use crate::flows::visit::Visit;

/// How long writing to a client may stall.
const CLIENT_WRITE_TIMEOUT: Duration = Duration::from_mins(1);
/// How long the rest of an unwanted request body may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// An answer that takes longer than this is given only if the session still lives.
const SHORT_TIME_MAX: Duration = Duration::from_secs(1);

/// The phases of a request.
pub(super) struct Phases(pub(super) Arc<Shared>);

/// The result of the request phase.
enum Next {
    Forward,
    Answer(Reply),
}

/// How a request is answered that is not forwarded.
enum Reply {
    Outcome(Outcome),
    /// An answer to a certificate authority.
    Validation(Response<Body>),
    /// An answer to another proxy that asks.
    ForwardAuth,
    ToHttps,
    /// An answer of our own endpoints.
    Own,
}

/// A request that admission does not get to see.
enum EarlyReply {
    Outcome(Outcome),
    ToHttps,
}

impl Phases {
    /// It does not wait, so that the future of a forwarded request has no room for the answers to
    /// others.
    fn decide(&self, session: &mut Session, ctx: &mut Context) -> (Arc<Visit>, Next) {
        streams::note_headers();
        session.set_write_timeout(Some(CLIENT_WRITE_TIMEOUT));
        session.set_total_drain_timeout(Some(DRAIN_TIMEOUT));
        let (visit, early) = self.read_visit(session);
        let visit = Arc::new(visit);
        ctx.visit = Some(Arc::clone(&visit));
        let access_detail = self.0.front.load().meter.access_detail();
        ctx.tally.line = access::begin(access_detail, session, &visit, &self.0.gateway);
        let next = match self.reply_without_rules(session, &visit, early) {
            Some(reply) => Next::Answer(reply),
            None => self.decide_by_rules(session, ctx, &visit),
        };
        (visit, next)
    }

    /// The answer to a request that the rules are not asked about.
    fn reply_without_rules(
        &self,
        session: &Session,
        visit: &Visit,
        early: Option<EarlyReply>,
    ) -> Option<Reply> {
        if let Some(response) = self.acme_validation(session) {
            return Some(Reply::Validation(response));
        }
        let path = request::path_of(session.req_header());
        if self.forward_auth_contract(session).is_some()
            && !self.0.gateway.ground.place().is_forward_test(&visit.host, path)
            && !matches!(early, Some(EarlyReply::Outcome(ref outcome)) if !matches!(outcome, Outcome::Misdirected))
        {
            return Some(Reply::ForwardAuth);
        }
        early.map(|early| match early {
            EarlyReply::Outcome(outcome) => Reply::Outcome(outcome),
            EarlyReply::ToHttps => Reply::ToHttps,
        })
    }

    fn decide_by_rules(&self, session: &Session, ctx: &mut Context, visit: &Arc<Visit>) -> Next {
        if let Some(client) = self.forwarded_client(session, visit) {
            ctx.request_slot = self.0.request_quota.enter(client);
            if ctx.request_slot.is_none() {
                return Next::Answer(Reply::Outcome(Outcome::Unavailable));
            }
        }
        let permit = match self.admit(session, visit) {
            Admission::Answer(outcome) => return Next::Answer(Reply::Outcome(outcome)),
            Admission::Ours => return Next::Answer(Reply::Own),
            Admission::Forward(permit) => permit,
        };
        if let Some(outcome) = refused(&self.0.gateway, request_head(session), &permit, visit) {
            return Next::Answer(Reply::Outcome(outcome));
        }
        let route = Arc::clone(permit.route());
        ctx.tally.decision = Some(permit.decision());
        ctx.turn = self.0.upstreams.first(&route);
        ctx.tally.route = Some(route);
        if let Some(line) = &mut ctx.tally.line {
            line.note_user(&permit);
        }
        ctx.permit = Some(permit);
        Next::Forward
    }

    async fn send_reply(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        visit: Arc<Visit>,
        reply: Reply,
    ) -> pingora::Result<()> {
        match reply {
            Reply::Outcome(outcome) => {
                self.count_guess(&visit, &outcome).await;
                self.answer(session, ctx, visit, outcome).await
            }
            Reply::Validation(response) => {
                ctx.tally.answered = Answered::Ours;
                bridge::answer_plainly(session, &visit, response).await
            }
            Reply::ForwardAuth => {
                let is_trusted = peer_of(session).is_some_and(|peer| self.0.trusted.trusts(peer));
                self.answer_forward_auth(session, ctx, (*visit).clone(), is_trusted).await
            }
            Reply::ToHttps => self.redirect_to_https(session, ctx, &visit).await,
            Reply::Own => self.answer_own(session, ctx, visit).await,
        }
    }

    /// The answer to a certificate authority: over plain HTTP, whatever host it names.
    fn acme_validation(&self, session: &Session) -> Option<Response<Body>> {
        let is_plain = session.digest().is_none_or(|digest| digest.ssl_digest.is_none());
        if is_plain { self.0.challenges.answer(session.req_header()) } else { None }
    }

    /// The visit of a request, and a fault of the request itself, if there is one.
    fn read_visit(&self, session: &Session) -> (Visit, Option<EarlyReply>) {
        let request = session.req_header();
        let peer = peer_of(session);
        if let Some(peer) = peer {
            self.0.untrusted_proxies.note(&self.0.trusted, peer, &request.headers);
        }
        let tls = session.digest().and_then(|digest| digest.ssl_digest.as_ref());
        let scheme = match tls {
            Some(_) => Scheme::Https,
            None => self.0.trusted.scheme(peer, &request.headers),
        };
        let host = request::host(request);
        let visit = Visit {
            host: host.clone().unwrap_or_default(),
            scheme,
            client: peer.map(|peer| self.0.trusted.client(peer, &request.headers)),
            request_id: self.0.ids.next(),
            dialect: Dialect::Native,
            shows_live_session: false,
            by_access_token: false,
            change: None,
            step_up: None,
            device: None,
        };
        let early = if headers::size_of(request) > HEADER_BYTES_MAX {
            Some(EarlyReply::Outcome(Outcome::HeadersTooLarge))
        } else if !request::is_method_served(&request.method) {
            Some(EarlyReply::Outcome(Outcome::MethodRefused))
        } else if streams::is_head_ambiguous() || host.is_none() || !has_one_framing(session) {
            Some(EarlyReply::Outcome(Outcome::MalformedRequest))
        } else if tls.is_some_and(|tls| self.is_misdirected(tls, &visit.host)) {
            Some(EarlyReply::Outcome(Outcome::Misdirected))
        } else if self.0.plain_http == PlainHttp::Redirected && scheme == Scheme::Http {
            Some(self.redirect(session, &visit))
        } else {
            None
        };
        (visit, early)
    }

    /// The client, if a trusted proxy sends its request.
    fn forwarded_client(&self, session: &Session, visit: &Visit) -> Option<IpAddr> {
        let peer = peer_of(session)?;
        visit.client.filter(|client| *client != peer && self.0.trusted.trusts(peer))
    }

    /// Whether TLS was made for another host. A client that named none got the first certificate,
    /// which says nothing about the other hosts where there are several.
    fn is_misdirected(&self, tls: &SslDigest, host: &str) -> bool {
        match tls.extension.get::<RequestedServerName>() {
            Some(name) => name.0 != host,
            None => self.0.front.load().nameless_tls == NamelessTls::Refused && !request::is_address(host),
        }
    }

    /// Redirects only to hosts of ours; an unknown host is answered as it would be over https.
    fn redirect(&self, session: &Session, visit: &Visit) -> EarlyReply {
        let request = session.req_header();
        let raw_path = request::path_of(request);
        let asked = Asked { method: &request.method, raw_path, headers: &HeaderMap::new() };
        match self.0.gateway.admission.admit(visit, &asked) {
            Admission::Answer(outcome @ (Outcome::UnknownHost | Outcome::MalformedRequest)) => {
                EarlyReply::Outcome(outcome)
            }
            _ => EarlyReply::ToHttps,
        }
    }

    /// Counts a token that was not signed here, as any other credential that is refused.
    pub(super) async fn count_guess(&self, visit: &Visit, outcome: &Outcome) {
        if let Outcome::TokenRefused { why, .. } = outcome
            && why.is_guess()
        {
            self.0.gateway.attempts.count_refused(visit).await;
        }
    }

    fn admit(&self, session: &Session, visit: &Visit) -> Admission {
        let request = session.req_header();
        let raw_path = request::path_of(request);
        let asked = Asked { method: &request.method, raw_path, headers: &request.headers };
        self.0.gateway.admission.admit(visit, &asked)
    }

    async fn answer(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        visit: Arc<Visit>,
        outcome: Outcome,
    ) -> pingora::Result<()> {
        ctx.tally.answered = failure::answered(&outcome);
        ctx.tally.decision = ctx.tally.decision.or_else(|| failure::decision_of(&outcome));
        if let Some(route) = failure::route_of(&outcome) {
            ctx.tally.route = Some(Arc::clone(route));
        }
        let front = self.0.front.load_full();
        bridge::answer_outcome(session, &front.doors.gate, (*visit).clone(), outcome).await
    }

    async fn answer_own(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        visit: Arc<Visit>,
    ) -> pingora::Result<()> {
        let standing = self.0.gateway.attempts.standing(visit.client);
        match self.0.own_bodies.read(session, visit.client, standing).await? {
            OwnBody::TooLarge => self.answer(session, ctx, visit, Outcome::BodyTooLarge).await,
            OwnBody::NoRoom => self.answer(session, ctx, visit, Outcome::Unavailable).await,
            OwnBody::Whole(body, _share) => {
                ctx.tally.answered = Answered::Ours;
                let front = self.0.front.load_full();
                bridge::answer_own(session, &front.doors.own, (*visit).clone(), body).await
            }
        }
    }

    async fn redirect_to_https(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        visit: &Visit,
    ) -> pingora::Result<()> {
        ctx.tally.answered = Answered::Refused;
        if self.0.certificates.as_ref().is_some_and(|certificates| certificates.is_awaited(&visit.host)) {
            return bridge::answer_plainly(session, visit, acme::certificate_pending(&visit.host)).await;
        }
        let request = session.req_header();
        let mut response = Response::new(Body::empty());
        if matches!(request.method, Method::GET | Method::HEAD) {
            let mut target = self.0.gateway.ground.place().origin_of(&visit.host).into_bytes();
            target.extend_from_slice(request.raw_path());
            let location = HeaderValue::from_bytes(&target)
                .map_err(|e| Error::because(ErrorType::InternalError, "redirect to https", e))?;
            *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
            response.headers_mut().insert(header::LOCATION, location);
        } else {
            // The body has already crossed the network in the clear, so a redirect would hide that.
            *response.status_mut() = StatusCode::FORBIDDEN;
            *response.body_mut() = Body::from("This address takes requests over https only.\n");
        }
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(length) = axum::body::HttpBody::size_hint(response.body()).exact() {
            response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        }
        bridge::answer_plainly(session, visit, response).await
    }

    /// Ties an exchange to what it was let in with once it turns out to be a long one.
    fn bind_to_session(&self, session: &Session, stream_kind: StreamKind, ctx: &mut Context) {
        if ctx.stream.is_none() {
            let front = self.0.front.load();
            let let_in = ctx.permit.as_ref().zip(ctx.visit.as_ref());
            let path = request::path_of(session.req_header());
            let method = &session.req_header().method;
            let stay = let_in.map(|(permit, visit)| permit.stay(visit, method, path));
            ctx.stream = Some(streams::bind_to_session(stay, stream_kind, &self.0.gateway, &front.meter));
        }
    }

    /// An answer that was long in coming is only for a user who is still signed in.
    fn still_signed_in(&self, ctx: &Context, waited: Duration) -> bool {
        waited < SHORT_TIME_MAX
            || ctx.permit.as_ref().is_none_or(|permit| self.0.gateway.admission.still_holds(permit))
    }

    /// Ends the session before the browser hears that the application has ended its own.
    async fn sign_out(&self, ctx: &Context) -> pingora::Result<()> {
        let (Some(permit), Some(visit)) = (&ctx.permit, &ctx.visit) else { return Ok(()) };
        let ended = self.0.gateway.admission.sign_out_through(permit, visit).await;
        ended.map_err(|e| Error::because(ErrorType::InternalError, "signing out with the application", e))
    }

    async fn fail(&self, session: &mut Session, error: &Error, ctx: &mut Context) -> pingora::Result<u16> {
        let status = |session: &Session| session.response_written().map(|head| head.status);
        let begun = status(session).is_some_and(|status| !status.is_informational() || status == 101);
        let outcome = failure::outcome_of(error, ctx);
        if let Some(outcome) = &outcome {
            failure::report(error, outcome, ctx);
        }
        let (Some(outcome), Some(visit), false) = (outcome, ctx.visit.clone(), begun) else { return Ok(0) };
        session.set_keepalive(None);
        self.answer(session, ctx, visit, outcome).await?;
        Ok(status(session).map_or(0, |status| status.as_u16()))
    }
}

fn request_head(session: &Session) -> RequestHead<'_> {
    let request = session.req_header();
    RequestHead { method: &request.method, headers: &request.headers }
}

fn has_one_framing(session: &Session) -> bool {
    // Over HTTP/2, frames say where a body ends.
    let sent = || session.as_http1().map(HttpSession::get_headers_raw_bytes).unwrap_or_default();
    request::has_one_framing(&session.req_header().headers, sent)
}

pub(super) fn peer_of(session: &Session) -> Option<IpAddr> {
    session.client_addr().and_then(|address| address.as_inet()).map(|address| address.ip().to_canonical())
}

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

    /// pingora's own messages may quote what a client sent; ours are in [`failure::report`].
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
