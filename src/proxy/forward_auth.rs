//! Forward-auth: another proxy asks whether a request that it has received may go on, and as whom.
//!
//! The same admission answers as for requests that we forward ourselves. What always holds: only a
//! trusted proxy is answered; a yes has an empty body, sets no cookie, and names every identity
//! header of the route, empty where there is nothing to say, so that what a client wrote there
//! never survives.
//!
//! What does not live here: how the question is read (`domain/forward_auth.rs`), and who may enter.

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};
use pingora::proxy::Session;
use pingora::{Error, ErrorType};

use super::admission::{Phases, peer_of};
use super::bridge::{self, Original};
use super::context::Context;
use super::failure;
use super::refusals::{RequestHead, refused};
use super::request;
use crate::domain::event::Answered;
use crate::domain::forward_auth::{Asked, Contract, Unclear, passed_on, read};
use crate::domain::place::host_of;
use crate::domain::policy::identity::IdentityHeaders;
use crate::domain::policy::route::HostRoutes;
use crate::flows::admission::questions::Question;
use crate::flows::admission::{self, Admission, Outcome, Permit};
use crate::flows::passport::ASSERTION_HEADER;
use crate::flows::visit::Visit;

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// A question whose answer is no.
struct Refusal {
    visit: Visit,
    asked: Asked,
    outcome: Outcome,
    /// Otherwise the other proxy understands a bare status only.
    takes_redirects: bool,
}

/// How the other proxy is answered.
struct AnswerForm {
    yes: u16,
    is_aliased: bool,
    takes_redirects: bool,
}

/// The answer to the other proxy.
enum Verdict {
    Allowed(Permit),
    Refused(Outcome),
}

impl Phases {
    /// The contract of the endpoint that a request is for, if it is one of these.
    pub(super) fn forward_auth_contract<'s>(&self, session: &'s Session) -> Option<Contract<'s>> {
        self.0.gateway.ground.place().forward_auth_at(request::path_of(session.req_header()))
    }

    /// Answers a question about another request.
    pub(super) async fn answer_forward_auth(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        visit: Visit,
        is_trusted: bool,
    ) -> pingora::Result<()> {
        if !is_trusted {
            ctx.tally.answered = Answered::Refused;
            let text = "This peer is not one of server.trusted_proxies, so it is not answered.\n";
            return plain(session, &visit, StatusCode::FORBIDDEN, text).await;
        }
        let (asked, form) = {
            let Some(contract) = self.forward_auth_contract(session) else {
                return Err(Error::explain(ErrorType::InternalError, "no contract").into_in());
            };
            let sent = session.req_header();
            let here = self.0.gateway.ground.place().scheme;
            let asked = read(
                contract,
                here,
                &sent.method,
                &visit.host,
                request::query_of(session.req_header()),
                &sent.headers,
            );
            let asked = asked.and_then(|asked| self.require_target(asked));
            self.note(session, contract, &visit, &asked);
            let (yes, is_aliased) = (contract.yes(), contract.is_aliased());
            (asked, AnswerForm { yes, is_aliased, takes_redirects: contract.takes_redirects() })
        };
        let asked = match asked {
            Ok(asked) => asked,
            Err(unclear) => {
                ctx.tally.answered = Answered::Refused;
                tracing::warn!(reason = %unclear, "a forward-auth question is unclear");
                return plain(session, &visit, StatusCode::BAD_REQUEST, &format!("{unclear}\n")).await;
            }
        };
        let visit = Visit { host: asked.host.clone(), scheme: asked.scheme, ..visit };
        match self.judge(session, &visit, &asked).await {
            Verdict::Allowed(permit) => {
                ctx.tally.route = Some(Arc::clone(permit.route()));
                ctx.tally.answered = Answered::Forwarded;
                ctx.tally.decision = Some(permit.decision());
                let mut response = allow_response(&permit);
                if form.is_aliased {
                    add_oauth2_proxy_headers(&mut response, &permit);
                    *response.status_mut() = StatusCode::from_u16(form.yes).unwrap_or(StatusCode::OK);
                }
                bridge::answer_plainly(session, &visit, response).await
            }
            Verdict::Refused(outcome) => {
                let refusal = Refusal { visit, asked, outcome, takes_redirects: form.takes_redirects };
                self.answer_refusal(session, ctx, refusal).await
            }
        }
    }

    /// Takes a question down, for the operator's page.
    fn note(&self, session: &Session, contract: Contract<'_>, visit: &Visit, asked: &Result<Asked, Unclear>) {
        let headers = &session.req_header().headers;
        let told = headers.get("x-forwarded-host").and_then(|host| host.to_str().ok()).and_then(host_of);
        let host = asked.as_ref().map_or_else(|_| told.as_ref().unwrap_or(&visit.host), |asked| &asked.host);
        let (now, proxy) = (self.0.gateway.ground.clock().now(), peer_of(session));
        let passed_on = passed_on(contract, headers);
        let question = Question::new(now, proxy, contract, asked.as_ref().err().copied(), passed_on);
        self.0.gateway.questions.note(host, question);
    }

    /// A question that names no target can be answered where no decision about the host depends on
    /// the path.
    fn require_target(&self, asked: Asked) -> Result<Asked, Unclear> {
        if asked.target_told {
            return Ok(asked);
        }
        let by_path =
            self.0.gateway.ground.routes().host(&asked.host).is_some_and(HostRoutes::decides_by_path);
        if by_path { Err(Unclear::Missing("X-Forwarded-Uri")) } else { Ok(asked) }
    }

    async fn judge(&self, session: &Session, visit: &Visit, asked: &Asked) -> Verdict {
        let headers = &session.req_header().headers;
        let end = asked.target.iter().position(|byte| *byte == b'?').unwrap_or(asked.target.len());
        let path = asked.target.get(..end).unwrap_or_default();
        let original = admission::Asked { method: &asked.method, raw_path: path, headers };
        let admission = self.0.gateway.admission.admit(visit, &original);
        if let Admission::Answer(outcome) = &admission {
            self.count_guess(visit, outcome).await;
        }
        match admission {
            Admission::Forward(permit) => {
                let head = RequestHead { method: &asked.method, headers };
                match refused(&self.0.gateway, head, &permit, visit) {
                    Some(outcome) => Verdict::Refused(outcome),
                    None => Verdict::Allowed(permit),
                }
            }
            Admission::Answer(outcome) => Verdict::Refused(outcome),
            // The other proxy has to send this request to us instead of asking about it.
            Admission::Ours => Verdict::Refused(Outcome::NoRoute),
        }
    }

    async fn answer_refusal(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        Refusal { visit, asked, outcome, takes_redirects }: Refusal,
    ) -> pingora::Result<()> {
        ctx.tally.answered = failure::answered(&outcome);
        if let Some(route) = failure::route_of(&outcome) {
            ctx.tally.route = Some(Arc::clone(route));
        }
        let signs_in = matches!(outcome, Outcome::SignIn { .. } | Outcome::StepUp { .. });
        let fails = matches!(outcome, Outcome::Unavailable | Outcome::Internal);
        let target = Uri::try_from(asked.target.as_slice());
        let target = target.map_err(|e| Error::because(ErrorType::InternalError, "forwarded target", e))?;
        let original = Original { method: asked.method, target };
        let adapt = move |mut response: Response<Body>| {
            if takes_redirects {
                if response.status() == StatusCode::SEE_OTHER {
                    *response.status_mut() = StatusCode::FOUND;
                }
            } else if !fails {
                *response.status_mut() =
                    if signs_in { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
                *response.body_mut() = Body::empty();
                response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(0));
                response.headers_mut().remove(header::CONTENT_TYPE);
            }
            response
        };
        let front = self.0.front.load_full();
        bridge::answer_outcome_about(session, &front.doors.gate, visit, outcome, original, adapt).await
    }
}

/// A yes, with the user in every header that the application could believe.
fn allow_response(permit: &Permit) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers: &mut HeaderMap = response.headers_mut();
    for name in permit.route().identity.names().chain([&ASSERTION_HEADER]) {
        headers.insert(name.clone(), HeaderValue::from_static(""));
    }
    for (name, value) in permit.identity_headers() {
        headers.insert(name.clone(), value.clone());
    }
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
    response
}

/// Adds the headers that oauth2-proxy answers with, empty where there is nothing to say.
fn add_oauth2_proxy_headers(response: &mut Response<Body>, permit: &Permit) {
    let names = IdentityHeaders::auth_request();
    let user = permit.user();
    let headers = response.headers_mut();
    for name in names.names() {
        headers.insert(name.clone(), HeaderValue::from_static(""));
    }
    for (name, value) in user.map(|user| names.of(user)).unwrap_or_default() {
        headers.insert(name, value);
    }
}

async fn plain(session: &mut Session, visit: &Visit, status: StatusCode, text: &str) -> pingora::Result<()> {
    let mut response = Response::new(Body::from(text.to_owned()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
    bridge::answer_plainly(session, visit, response).await
}
