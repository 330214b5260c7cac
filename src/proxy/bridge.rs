//! Between pingora's session and the tower services that answer for us.
//!
//! What always holds: a connection whose request body was not read to its end is closed after the
//! answer, so that leftover bytes are never taken for a request.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};
use http_body_util::BodyExt;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};
use tower::ServiceExt;

use super::outgoing::REQUEST_ID;
use crate::flows::admission::Outcome;
use crate::flows::visit::Visit;

/// How much of a refused request's body is read, so that the client gets to see the answer.
const DISCARDED_BYTES_MAX: usize = 256 * 1024;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether the client waits for `100 Continue` before it sends the body.
pub(super) fn expects_continue(session: &Session) -> bool {
    session
        .get_header(header::EXPECT)
        .is_some_and(|expected| expected.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Answers with our own endpoints.
pub(super) async fn answer_own(
    session: &mut Session,
    own: &Router,
    visit: Visit,
    body: Bytes,
) -> pingora::Result<()> {
    let id = visit.request_id.clone();
    let request = request(session, visit, Body::from(body));
    let response = call(own, request).await;
    send(session, response, &id).await
}

/// Answers a request that is not forwarded.
pub(super) async fn answer_outcome(
    session: &mut Session,
    gate: &Router,
    visit: Visit,
    outcome: Outcome,
) -> pingora::Result<()> {
    let id = visit.request_id.clone();
    let mut request = request(session, visit, Body::empty());
    request.extensions_mut().insert(outcome);
    let response = call(gate, request).await;
    send(session, response, &id).await?;
    discard_body(session).await;
    Ok(())
}

/// The request that another proxy asks about.
pub(super) struct Original {
    pub(super) method: Method,
    /// The target in origin-form.
    pub(super) target: Uri,
}

/// Answers a question about a request that may not go on, in the form that `adapt` gives the
/// answer.
pub(super) async fn answer_outcome_about(
    session: &mut Session,
    gate: &Router,
    visit: Visit,
    outcome: Outcome,
    original: Original,
    adapt: impl FnOnce(Response<Body>) -> Response<Body>,
) -> pingora::Result<()> {
    let id = visit.request_id.clone();
    let mut request = request(session, visit, Body::empty());
    *request.method_mut() = original.method;
    *request.uri_mut() = original.target;
    request.extensions_mut().insert(outcome);
    let mut response = adapt(call(gate, request).await);
    if session.req_header().method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    send(session, response, &id).await?;
    discard_body(session).await;
    Ok(())
}

/// Answers with a few words of the proxy's own: a redirect, or a refusal before there is a host.
pub(super) async fn answer_plainly(
    session: &mut Session,
    visit: &Visit,
    response: Response<Body>,
) -> pingora::Result<()> {
    send(session, response, &visit.request_id).await?;
    discard_body(session).await;
    Ok(())
}

fn request(session: &Session, visit: Visit, body: Body) -> Request<Body> {
    let sent = session.req_header();
    let mut request = Request::new(body);
    *request.method_mut() = sent.method.clone();
    // The target is in origin-form, whatever the HTTP version.
    *request.uri_mut() = sent.uri.path_and_query().cloned().map_or_else(|| Uri::from_static("/"), Uri::from);
    *request.version_mut() = sent.version;
    *request.headers_mut() = sent.headers.clone();
    request.extensions_mut().insert(visit);
    request
}

async fn call(router: &Router, request: Request<Body>) -> Response<Body> {
    match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

async fn send(session: &mut Session, response: Response<Body>, request_id: &str) -> pingora::Result<()> {
    let (parts, mut body) = response.into_parts();
    let mut head = ResponseHeader::build(parts.status, Some(parts.headers.len() + 4))?;
    for (name, value) in &parts.headers {
        head.append_header(name.clone(), value.clone())?;
    }
    head.insert_header(REQUEST_ID, request_id)?;
    frame(session, &mut head)?;
    if !session.is_body_done() {
        session.set_keepalive(None);
    }
    session.write_response_header(Box::new(head), false).await?;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Error::because(ErrorType::InternalError, "own response body", e))?;
        if let Ok(data) = frame.into_data()
            && !data.is_empty()
        {
            session.write_response_body(Some(data), false).await?;
        }
    }
    session.write_response_body(None, true).await
}

/// An HTTP/1.1 response without a length would otherwise have to end with its connection.
fn frame(session: &Session, head: &mut ResponseHeader) -> pingora::Result<()> {
    let bodiless = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let sized = head.headers.contains_key(header::CONTENT_LENGTH);
    if session.req_header().version == Version::HTTP_11 && !bodiless && !sized {
        head.insert_header(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"))?;
    }
    Ok(())
}

/// Reads a little of what the client is still sending. Closing at once would make its kernel throw
/// our answer away (RFC 9112, section 9.6).
async fn discard_body(session: &mut Session) {
    if session.is_body_done() || expects_continue(session) || session.req_header().version == Version::HTTP_2
    {
        return;
    }
    let discard = async {
        let mut discarded = 0;
        while let Ok(Some(chunk)) = session.read_request_body().await {
            discarded += chunk.len();
            if discarded > DISCARDED_BYTES_MAX {
                break;
            }
        }
    };
    // The connection is closed in any case.
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, discard).await;
}
