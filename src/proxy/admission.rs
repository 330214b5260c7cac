//! The decision about a request, in its first phase.
//!
//! It is either answered, or a [`Permit`](crate::flows::admission::Permit) is left in the
//! [`Context`], which every later phase (`phases.rs`) reads from there. Every failure becomes an
//! answer, never a forwarded request.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use pingora::protocols::http::v1::server::HttpSession;
use pingora::protocols::tls::SslDigest;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};

use super::HEADER_BYTES_MAX;
use super::access;
use super::acme;
use super::bridge;
use super::context::{Context, NamelessTls, PlainHttp, Shared};
use super::failure;
use super::headers;
use super::own_bodies::OwnBody;
use super::refusals::{RequestHead, refused};
use super::request;
use super::streams::{self, StreamKind};
use super::tls::RequestedServerName;
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
pub(super) enum Next {
    Forward,
    Answer(Reply),
}

/// How a request is answered that is not forwarded.
pub(super) enum Reply {
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
pub(super) enum EarlyReply {
    Outcome(Outcome),
    ToHttps,
}

impl Phases {
    /// It does not wait, so that the future of a forwarded request has no room for the answers to
    /// others.
    pub(super) fn decide(&self, session: &mut Session, ctx: &mut Context) -> (Arc<Visit>, Next) {
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

    pub(super) async fn send_reply(
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
    pub(super) fn bind_to_session(&self, session: &Session, stream_kind: StreamKind, ctx: &mut Context) {
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
    pub(super) fn still_signed_in(&self, ctx: &Context, waited: Duration) -> bool {
        waited < SHORT_TIME_MAX
            || ctx.permit.as_ref().is_none_or(|permit| self.0.gateway.admission.still_holds(permit))
    }

    /// Ends the session before the browser hears that the application has ended its own.
    pub(super) async fn sign_out(&self, ctx: &Context) -> pingora::Result<()> {
        let (Some(permit), Some(visit)) = (&ctx.permit, &ctx.visit) else { return Ok(()) };
        let ended = self.0.gateway.admission.sign_out_through(permit, visit).await;
        ended.map_err(|e| Error::because(ErrorType::InternalError, "signing out with the application", e))
    }

    pub(super) async fn fail(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Context,
    ) -> pingora::Result<u16> {
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
