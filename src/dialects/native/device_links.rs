//! Another device for the caller: a code to show, the device that has brought it, and the
//! confirmation; and the other device's side.
//!
//! What does not live here: who may confirm a device, and when (`flows/sign_in/device_links.rs`).
//!
//! What always holds: the new device is told a number, and nothing about the account, before the
//! signed-in device has confirmed it.

use axum::Json;
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
use crate::flows::sign_in::device_links::{JoinStatus, WaitingDevice};
use crate::web::call::Call;
use crate::web::guard::{SignedIn, Trusted};
use crate::web::json::Body;
use crate::web::{Problem, cookies, qr};

/// A code for another device. It is shown in this answer only.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = native::DeviceCode)]
pub(super) struct Offer {
    #[schema(example = "7GQ2M0XD")]
    code: String,
    /// The link to the page that takes the code, with the code in its fragment.
    link: String,
    /// The link as a QR code in SVG.
    qr: String,
    expires_at: String,
    /// How many seconds to wait before asking for the state again.
    interval: u64,
}

/// Makes a code with which another device can ask to be added to the caller's account, in place of
/// the one before. It works once, for five minutes, and only together with this session.
#[utoipa::path(post, path = "/account/device-link", tag = "native",
    security(("bearer" = []), ("cookie" = [])), responses((status = 201, body = Offer), Failures))]
pub(super) async fn offer(
    State(gateway): App,
    SignedIn(caller, call): SignedIn,
) -> Result<Response, Problem> {
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

/// The state of a code for another device.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = native::DeviceStage)]
enum StageShape {
    /// No device has brought the code.
    Offered,
    /// A device has brought the code, and waits for the caller.
    Asking,
    Confirmed,
}

/// A code for another device, and the device that has brought it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = native::DeviceLink)]
pub(super) struct LinkShape {
    stage: StageShape,
    /// What the other device shows.
    #[schema(required, example = 42)]
    number: Option<u8>,
    /// The browser of the other device, in words.
    #[schema(required, example = "Safari on iPhone")]
    browser: Option<String>,
    /// The network of the other device.
    #[schema(required, example = "192.0.2.0/24")]
    network: Option<String>,
    expires_at: String,
}

impl From<&DeviceLink> for LinkShape {
    fn from(link: &DeviceLink) -> Self {
        let newcomer = link.new_device();
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

/// The state of the code that this session has made: 404 when it has expired or was used.
#[utoipa::path(get, path = "/account/device-link", tag = "native",
    security(("bearer" = []), ("cookie" = [])), responses((status = 200, body = LinkShape), ReadFailures))]
pub(super) async fn state(
    State(gateway): App,
    SignedIn(caller, _): SignedIn,
) -> Result<Json<LinkShape>, Problem> {
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

/// Confirms the device that has brought the code: it may add a passkey to the caller's account. 404
/// if no device shows this number.
#[utoipa::path(post, path = "/account/device-link/confirm", tag = "native",
    security(("bearer" = []), ("cookie" = [])), request_body = ConfirmBody,
    responses((status = 200, body = LinkShape), Failures))]
pub(super) async fn confirm(
    State(gateway): App,
    SignedIn(caller, call): SignedIn,
    Body(ConfirmBody { number }): Body<ConfirmBody>,
) -> Result<Json<LinkShape>, Problem> {
    let link = gateway.sign_in.confirm_device(&caller.record(), number, &call.visit).await?;
    Ok(Json((&link).into()))
}

/// Ends the code, and refuses the device that has brought it. No passkey is added.
#[utoipa::path(delete, path = "/account/device-link", tag = "native",
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 204, description = "There is no code any more"), Failures))]
pub(super) async fn withdraw(
    State(gateway): App,
    SignedIn(caller, call): SignedIn,
) -> Result<StatusCode, Problem> {
    gateway.sign_in.withdraw_device_link(&caller.record(), &call.visit).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Body of a request to be added.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::AskWithCode)]
pub(super) struct AskBody {
    /// The code that the other device shows; spaces, hyphens and letter case do not matter.
    code: String,
}

/// A device that waits for the signed-in device.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = native::DeviceAsking)]
pub(super) struct AskingShape {
    /// To be compared with what the signed-in device shows.
    #[schema(example = 42)]
    number: u8,
    expires_at: String,
    /// How many seconds to wait before asking again.
    interval: u64,
}

impl From<&WaitingDevice> for AskingShape {
    fn from(asking: &WaitingDevice) -> Self {
        Self {
            number: asking.number.get(),
            expires_at: asking.expires_at.to_rfc3339(),
            interval: DEVICE_LINK_INTERVAL.as_secs(),
        }
    }
}

/// Uses a code: this browser asks to be added to the account of the user whose device shows the
/// code, and gets a cookie that names this browser. The answer does not tell whose account it is.
#[utoipa::path(post, path = "/device-links/ask", tag = "native", request_body = AskBody,
    responses((status = 201, body = AskingShape), Failures))]
pub(super) async fn ask(
    State(gateway): App,
    Trusted(call): Trusted,
    Body(AskBody { code }): Body<AskBody>,
) -> Result<Response, Problem> {
    let (asking, nonce) = gateway.sign_in.ask_with_code(&code, &call.device(), &call.visit).await?;
    let mut response = (StatusCode::CREATED, Json(AskingShape::from(&asking))).into_response();
    cookies::append(response.headers_mut(), cookies::newcomer(gateway.ground.place(), &nonce));
    Ok(response)
}

/// Asks for the answer of the signed-in device: 202 until it has confirmed. Then the answer is a
/// session that may only add a passkey, and the link is used. 410 if the device has refused, or if
/// time is up.
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
        cookies::append(response.headers_mut(), cookies::expire(gateway.ground.place(), Cookie::NewDevice));
    }
    response
}

async fn try_join(gateway: &Gateway, call: &Call) -> Result<Response, Problem> {
    call.not_cross_site()?;
    let before = call.identify()?.map(|caller| caller.session);
    let nonce = call.cookie(Cookie::NewDevice);
    match gateway.sign_in.join_by_device_link(nonce, before, &call.visit, &call.device()).await {
        Ok(JoinStatus::Waiting(asking)) => {
            Ok((StatusCode::ACCEPTED, Json(AskingShape::from(&asking))).into_response())
        }
        Ok(JoinStatus::Admitted(redeemed)) => opened(gateway, call, &redeemed),
        Err(error) => Err(error.into()),
    }
}
