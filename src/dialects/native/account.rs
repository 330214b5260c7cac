//! The caller's own account: names, address, events, all data, and deleting it.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, HeaderValue};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::shapes::{Failures, PasskeyShape, ReadFailures, SessionShape, UserShape};
use super::{App, Asked, cursor};
use crate::domain::attribute::edits_in;
use crate::domain::user::{DisplayName, Email, Username};
use crate::flows::FlowError;
use crate::flows::administration::trail::{Kept, PAGE_ENTRIES, PAGE_ENTRIES_MAX, TrailQuery};
use crate::web::Problem;
use crate::web::guard::SignedIn;
use crate::web::json::Body;

/// The changes; members that are left out stay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = native::AccountEdit)]
pub(super) struct EditBody {
    /// 1 to 200 characters.
    name: Option<String>,
    /// Only where `account.change_username` allows it.
    username: Option<String>,
    /// Attributes by name that users may edit themselves; `null` removes an attribute.
    #[serde(default)]
    attributes: BTreeMap<String, Option<String>>,
}

/// Changes the caller's name, username and attributes.
#[utoipa::path(patch, path = "/account", tag = "native", security(("bearer" = []), ("cookie" = [])),
    request_body = EditBody, responses((status = 200, body = UserShape), Failures))]
pub(super) async fn edit(
    State(gateway): App,
    SignedIn(caller, call): SignedIn,
    Body(EditBody { name, username, attributes }): Body<EditBody>,
) -> Result<Json<UserShape>, Problem> {
    let name = name.as_deref().map(DisplayName::parse).transpose().map_err(FlowError::from)?;
    let username = username.as_deref().map(Username::parse).transpose().map_err(FlowError::from)?;
    let attributes = edits_in(&attributes).map_err(FlowError::from)?;
    let mut user = (*caller.user).clone();
    if let Some(username) = username.filter(|username| *username != user.username) {
        user = gateway.accounts.change_username(&caller.record(), &username, &call.visit).await?;
    }
    if let Some(name) = name.filter(|name| *name != user.display_name) {
        user = gateway.accounts.rename_person(&caller.record(), &name, &call.visit).await?;
    }
    if !attributes.is_empty() {
        user = gateway.accounts.change_own_attributes(&caller.record(), &attributes, &call.visit).await?;
    }
    Ok(Json((&user).into()))
}

/// An address.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::NewAddress)]
pub(super) struct AddressBody {
    email: String,
}

/// Sends a code to a new e-mail address of the caller. The address of the account does not change
/// before the code is confirmed.
#[utoipa::path(post, path = "/account/address", tag = "native",
    security(("bearer" = []), ("cookie" = [])), request_body = AddressBody,
    responses((status = 202, description = "If the address is free, a code is on its way"), Failures))]
pub(super) async fn announce_address(
    State(gateway): App,
    SignedIn(caller, call): SignedIn,
    Body(AddressBody { email }): Body<AddressBody>,
) -> Result<StatusCode, Problem> {
    let email = Email::parse(&email).map_err(FlowError::from)?;
    if !gateway.ground.has_mail() {
        return Err(FlowError::NoMail.into());
    }
    gateway.accounts.announce_address(&caller.record(), &email, &call.visit).await?;
    if email != caller.user.email {
        gateway.accounts.send_address_code(&caller.record(), &email, &call.visit).await?;
    }
    Ok(StatusCode::ACCEPTED)
}

/// A code that came to an address.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::ConfirmAddress)]
pub(super) struct ConfirmBody {
    email: String,
    code: String,
}

/// Confirms the code: the new address becomes that of the account. A notice goes to the old
/// address.
#[utoipa::path(post, path = "/account/address/confirm", tag = "native",
    security(("bearer" = []), ("cookie" = [])), request_body = ConfirmBody,
    responses((status = 200, body = UserShape), Failures))]
pub(super) async fn confirm_address(
    State(gateway): App,
    SignedIn(caller, call): SignedIn,
    Body(ConfirmBody { email, code }): Body<ConfirmBody>,
) -> Result<Json<UserShape>, Problem> {
    let email = Email::parse(&email).map_err(FlowError::from)?;
    let user = gateway.accounts.confirm_address(&caller.record(), &email, &code, &call.visit).await?;
    Ok(Json((&user).into()))
}

/// Deletes the caller's account, with its passkeys and its sessions on every host.
#[utoipa::path(delete, path = "/account", tag = "native", security(("bearer" = []), ("cookie" = [])),
    responses((status = 204, description = "The account is gone"), Failures))]
pub(super) async fn delete(
    State(gateway): App,
    SignedIn(caller, call): SignedIn,
) -> Result<Response, Problem> {
    gateway.accounts.delete_account(&caller.record(), &call.visit).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    call.clear_session_cookie(response.headers_mut());
    Ok(response)
}

/// Something that happened to the caller's account.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = native::AccountEvent)]
pub(super) struct EventShape {
    at: String,
    event: String,
    outcome: &'static str,
    /// Whether the caller did it, or a client that claimed to be the caller.
    #[schema(example = "self")]
    by: &'static str,
    #[schema(required)]
    client: Option<String>,
    #[schema(required)]
    reason: Option<String>,
    #[schema(required)]
    application: Option<String>,
}

impl EventShape {
    fn new(Kept { entry, .. }: Kept) -> Self {
        let by = match (&*entry.actor, entry.user) {
            ("operator", _) => "administrator",
            ("gateway", _) => "gateway",
            ("anonymous", _) => "anonymous",
            (actor, Some(user)) if *actor == user.to_string() => "self",
            // Users are not told which administrator it was.
            _ => "administrator",
        };
        Self {
            at: entry.at.to_rfc3339(),
            event: entry.event.into_owned(),
            outcome: entry.outcome.label(),
            by,
            client: entry.client.filter(|_| by == "self" || by == "anonymous"),
            reason: entry.reason.map(std::borrow::Cow::into_owned),
            application: entry.route,
        }
    }
}

/// A page of what happened to the caller's account, newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = native::AccountTrail)]
pub(super) struct TrailShape {
    events: Vec<EventShape>,
    /// The `after` of the next page; `null`: this was the last.
    #[schema(required)]
    next: Option<String>,
}

/// The place in the list to continue from.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct After {
    /// The `next` of the page before.
    after: Option<String>,
}

/// What happened to the caller's account, newest first.
#[utoipa::path(get, path = "/account/audit", tag = "native", params(After),
    security(("bearer" = []), ("cookie" = [])), responses((status = 200, body = TrailShape), Failures))]
pub(super) async fn audit(
    State(gateway): App,
    SignedIn(caller, _): SignedIn,
    Asked(After { after }): Asked<After>,
) -> Result<Json<TrailShape>, Problem> {
    let after = cursor(after.as_deref())?;
    let query =
        TrailQuery { user: Some(caller.user.id), after, limit: PAGE_ENTRIES, ..TrailQuery::default() };
    let page = gateway.administration.read_trail(&query).await?;
    let events = page.items.into_iter().map(EventShape::new).collect();
    Ok(Json(TrailShape { events, next: page.next.map(|next| next.to_string()) }))
}

/// Everything that is kept about the caller.
#[derive(Serialize, ToSchema)]
#[schema(as = native::AccountData)]
pub(super) struct DataShape {
    user: UserShape,
    /// The caller's attributes, by name.
    attributes: BTreeMap<String, String>,
    passkeys: Vec<PasskeyShape>,
    sessions: Vec<SessionShape>,
    /// The newest 500 events.
    events: Vec<EventShape>,
}

/// Everything that is kept about the caller, for download. Notes of administrators are left out.
#[utoipa::path(get, path = "/account/data", tag = "native", security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, body = DataShape), ReadFailures))]
pub(super) async fn data(State(gateway): App, SignedIn(caller, _): SignedIn) -> Result<Response, Problem> {
    let id = caller.user.id;
    let query = TrailQuery { user: Some(id), limit: PAGE_ENTRIES_MAX, ..TrailQuery::default() };
    let sessions = gateway.sessions.sessions_of(&id);
    let data = DataShape {
        user: (&*caller.user).into(),
        attributes: caller.user.attributes.clone().into_iter().map(|(k, v)| (k.into(), v.into())).collect(),
        passkeys: gateway.accounts.credentials_of(&id).await?.iter().map(PasskeyShape::listed).collect(),
        sessions: sessions.iter().map(|it| SessionShape::new(&gateway, it, &caller.session)).collect(),
        events: gateway
            .administration
            .read_trail(&query)
            .await?
            .items
            .into_iter()
            .map(EventShape::new)
            .collect(),
    };
    let mut response = Json(data).into_response();
    let file = HeaderValue::from_static("attachment; filename=\"account.json\"");
    response.headers_mut().insert(CONTENT_DISPOSITION, file);
    Ok(response)
}
