//! Another device for the caller: a code to show, who has brought it, and yes or no; and the other device's
//! side of it.
//!
//! What does not live here: who may confirm what, and when (`flows/device_links.rs`).
//!
//! What always holds: the new device is told a number, and nothing about the account, before the
//! signed-in one has said yes.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::sessions::{Current, opened};
use super::shapes::{Failures, ReadFailures};
use crate::domain::cookie::Cookie;
use crate::domain::device_link::{DEVICE_LINK_INTERVAL, DeviceLink, Stage};
use crate::domain::user_agent;
use crate::flows::Gateway;
use crate::flows::sign_in::device_links::{Admission, Asking};
use crate::web::call::Call;
use crate::web::{Problem, cookies, json, qr};

/// A code for another device. It is shown here and nowhere else.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = native::DeviceCode)]
pub(super) struct Offer {
    #[schema(example = "7GQ2M0XD")]
    code: String,
    /// Leads another device to the page that takes the code, and has the code in its fragment.
    link: String,
    /// The link as a QR code in SVG.
    qr: String,
    expires_at: String,
    /// How many seconds to wait between two questions what has become of it.
    interval: u64,
}

/// Makes a code with which another device can ask to be added to the caller's account, in place of the one
/// before. It is good once, for five minutes, and only together with this session.
#[utoipa::path(post, path = "/account/device-link", tag = "native",
    security(("bearer" = []), ("cookie" = [])), responses((status = 201, body = Offer), Failures))]
pub(super) async fn offer(State(gateway): App, call: Call) -> Result<Response, Problem> {
    let caller = call.signed_in(&gateway)?;
    let offered = gateway.sign_in.offer_device_link(&caller.record(), &call.visit).await?;
    let link = gateway.ground.place().url(&format!("/device#{}", offered.code.reveal()));
    let offer = Offer {
        code: offered.code.reveal().to_owned(),
        qr: qr::svg(&link).unwrap_or_default(),
        link,
        expires_at: offered.expires_at.to_rfc3339(),
        interval: DEVICE_LINK_INTERVAL.as_secs(),
    };
    Ok((StatusCode::CREATED, Json(offer)).into_response())
}

/// How far a device has come.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = native::DeviceStage)]
enum StageShape {
    /// No device has brought the code.
    Offered,
    /// One has, and waits for the caller.
    Asking,
    Confirmed,
}

/// What has become of a code for another device.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = native::DeviceLink)]
pub(super) struct LinkShape {
    stage: StageShape,
    /// What the other device shows.
    #[schema(required, example = 42)]
    number: Option<u8>,
    /// Its browser in words.
    #[schema(required, example = "Safari on iPhone")]
    browser: Option<String>,
    /// Where it is.
    #[schema(required, example = "192.0.2.0/24")]
    network: Option<String>,
    expires_at: String,
}

impl From<&DeviceLink> for LinkShape {
    fn from(link: &DeviceLink) -> Self {
        let newcomer = link.newcomer();
        Self {
            stage: match &link.stage {
                Stage::Offered(_) => StageShape::Offered,
                Stage::Asking(_) => StageShape::Asking,
                Stage::Confirmed(_) => StageShape::Confirmed,
            },
            number: newcomer.map(|it| it.number.get()),
            browser: newcomer.map(|it| user_agent::in_words(it.user_agent.as_deref())),
            network: newcomer.and_then(|it| it.network).map(|network| network.to_string()),
            expires_at: link.expires_at.to_rfc3339(),
        }
    }
}

/// What has become of the code that this session has made: 404 once it is over.
#[utoipa::path(get, path = "/account/device-link", tag = "native",
    security(("bearer" = []), ("cookie" = [])), responses((status = 200, body = LinkShape), ReadFailures))]
pub(super) async fn state(State(gateway): App, call: Call) -> Result<Json<LinkShape>, Problem> {
    let caller = call.signed_in(&gateway)?;
    let link = gateway.sign_in.device_link(&caller.record()).await?.ok_or_else(Problem::not_found)?;
    Ok(Json((&link).into()))
}

/// Body of a confirmation.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::ConfirmDevice)]
pub(super) struct ConfirmBody {
    /// What the other device shows.
    number: u8,
}

/// Confirms the device that has brought the code: it may add a passkey to the caller's account. 404 if there
/// is none that shows this number.
#[utoipa::path(post, path = "/account/device-link/confirm", tag = "native",
    security(("bearer" = []), ("cookie" = [])), request_body = ConfirmBody,
    responses((status = 200, body = LinkShape), Failures))]
pub(super) async fn confirm(
    State(gateway): App,
    call: Call,
    body: Bytes,
) -> Result<Json<LinkShape>, Problem> {
    let caller = call.signed_in(&gateway)?;
    let ConfirmBody { number } = json::read(&call.headers, &body)?;
    let link = gateway.sign_in.confirm_device(&caller.record(), number, &call.visit).await?;
    Ok(Json((&link).into()))
}

/// Ends the code, and refuses the device that has brought it. Nothing is added.
#[utoipa::path(delete, path = "/account/device-link", tag = "native",
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 204, description = "There is no code any more"), Failures))]
pub(super) async fn withdraw(State(gateway): App, call: Call) -> Result<StatusCode, Problem> {
    let caller = call.signed_in(&gateway)?;
    gateway.sign_in.withdraw_device_link(&caller.record(), &call.visit).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Body of a request to be added.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::AskWithCode)]
pub(super) struct AskBody {
    /// What the other device shows, however it is typed.
    code: String,
}

/// A device that waits for the one that is signed in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = native::DeviceAsking)]
pub(super) struct AskingShape {
    /// To be compared with what the signed-in device shows.
    #[schema(example = 42)]
    number: u8,
    expires_at: String,
    /// How many seconds to wait between two questions for an answer.
    interval: u64,
}

impl From<&Asking> for AskingShape {
    fn from(asking: &Asking) -> Self {
        Self {
            number: asking.number.get(),
            expires_at: asking.expires_at.to_rfc3339(),
            interval: DEVICE_LINK_INTERVAL.as_secs(),
        }
    }
}

/// Uses a code up: this browser asks to be added to the account of whoever shows it, and gets a cookie that
/// says that it was this one. The answer does not tell whose account it is.
#[utoipa::path(post, path = "/device-links/ask", tag = "native", request_body = AskBody,
    responses((status = 201, body = AskingShape), Failures))]
pub(super) async fn ask(State(gateway): App, call: Call, body: Bytes) -> Result<Response, Problem> {
    call.not_cross_site(&gateway)?;
    let AskBody { code } = json::read(&call.headers, &body)?;
    let (asking, nonce) = gateway.sign_in.ask_with_code(&code, &call.device(), &call.visit).await?;
    let mut response = (StatusCode::CREATED, Json(AskingShape::from(&asking))).into_response();
    cookies::append(response.headers_mut(), cookies::newcomer(gateway.ground.place(), &nonce));
    Ok(response)
}

/// Asks for the answer of the signed-in device. Until it has confirmed this one that is 202; then this uses
/// the link up, and gives a session that may only add a passkey. 410 if it has refused, or time is up.
#[utoipa::path(post, path = "/device-links/join", tag = "native",
    responses((status = 201, body = Current), (status = 202, body = AskingShape), Failures))]
pub(super) async fn join(State(gateway): App, call: Call) -> Response {
    let joined = try_join(&gateway, &call).await;
    let is_over = match &joined {
        Ok(response) => response.status() != StatusCode::ACCEPTED,
        Err(problem) => problem.status() == StatusCode::GONE,
    };
    let mut response = joined.into_response();
    if is_over {
        cookies::append(response.headers_mut(), cookies::expire(gateway.ground.place(), Cookie::Newcomer));
    }
    response
}

async fn try_join(gateway: &Gateway, call: &Call) -> Result<Response, Problem> {
    call.not_cross_site(gateway)?;
    let before = call.identify(gateway)?.map(|caller| caller.session);
    let nonce = cookies::read(&call.headers, gateway.ground.place(), Cookie::Newcomer);
    match gateway.sign_in.join_by_device_link(nonce, before, &call.visit, &call.device()).await {
        Ok(Admission::Waiting(asking)) => {
            Ok((StatusCode::ACCEPTED, Json(AskingShape::from(&asking))).into_response())
        }
        Ok(Admission::Admitted(redeemed)) => opened(gateway, call, &redeemed),
        Err(error) => Err(error.into()),
    }
}
