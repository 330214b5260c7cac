//! The identifiers of a person: an e-mail address and a username, and both can be exchanged.
//!
//! An address that is added waits beside the confirmed one until its code comes back, and then
//! takes its place; a username that is added takes the place of the one before at once. So neither
//! can be removed, except for an address that waits. This API has no cookie for a code: the caller
//! who gives a code back is signed in to the account that asked for it, and names the address.

use axum::Json;
use axum::extract::State;

use super::envelope::{Done, Failures};
use super::shapes::{
    AddIdentifier, ChangeIdentifier, FinishVerifying, IdentifierType, NameIdentifier, identifier_id,
};
use crate::dialects::Shared;
use crate::domain::identifier::Identifier;
use crate::domain::user::{Email, MalformedName, Username};
use crate::flows::{FlowError, Gateway};
use crate::web::call::Call;
use crate::web::guard::{Known, SignedIn};
use crate::web::json::Body;
use crate::web::{Fault, Problem};

/// Adds an address, which is pending until it is verified, or exchanges the username.
#[utoipa::path(post, path = "/me/identifier", tag = "corbado",
    security(("bearer" = []), ("cookie" = [])), request_body = AddIdentifier,
    responses((status = 200, body = Done), Failures))]
pub(super) async fn add(
    State(gateway): State<Shared>,
    SignedIn(caller, call): SignedIn,
    Body(AddIdentifier { identifier_type, value }): Body<AddIdentifier>,
) -> Result<Json<Done>, Problem> {
    match identifier_type {
        IdentifierType::Email => {
            let email = Email::parse(&value).map_err(malformed)?;
            gateway.accounts.announce_address(&caller.record(), &email, &call.visit).await?;
        }
        IdentifierType::Username => exchange_username(&gateway, &caller, &value, &call).await?,
        IdentifierType::Phone => return Err(no_phone()),
    }
    Ok(Json(Done::new(&call)))
}

/// Exchanges the username. Its id changes with it.
#[utoipa::path(patch, path = "/me/identifier", tag = "corbado",
    security(("bearer" = []), ("cookie" = [])), request_body = ChangeIdentifier,
    responses((status = 200, body = Done), Failures))]
pub(super) async fn change(
    State(gateway): State<Shared>,
    SignedIn(caller, call): SignedIn,
    Body(ChangeIdentifier { identifier_id, identifier_type, value }): Body<ChangeIdentifier>,
) -> Result<Json<Done>, Problem> {
    let meant = own(&gateway, &caller, &identifier_id).await?;
    match (identifier_type, meant) {
        (IdentifierType::Username, Identifier::Username(_)) => {
            exchange_username(&gateway, &caller, &value, &call).await?;
        }
        (IdentifierType::Phone, _) => return Err(no_phone()),
        (IdentifierType::Email | IdentifierType::Username, _) => {
            let why = "`identifierType`: only a username is changed in place. Add the new address instead.";
            return Err(Problem::malformed(why));
        }
    }
    Ok(Json(Done::new(&call)))
}

/// Removes an address that waits to be verified.
#[utoipa::path(delete, path = "/me/identifier", tag = "corbado",
    security(("bearer" = []), ("cookie" = [])), request_body = NameIdentifier,
    responses((status = 200, body = Done), Failures))]
pub(super) async fn remove(
    State(gateway): State<Shared>,
    SignedIn(caller, call): SignedIn,
    Body(NameIdentifier { identifier_id }): Body<NameIdentifier>,
) -> Result<Json<Done>, Problem> {
    match own(&gateway, &caller, &identifier_id).await? {
        Identifier::PendingEmail(email) => {
            gateway.accounts.withdraw_address(&caller.record(), &email, &call.visit).await?;
        }
        Identifier::Email(_) | Identifier::Username(_) => {
            let why =
                "`identifierID`: every user has an e-mail address and a username. Add another one instead.";
            return Err(Problem::malformed(why));
        }
    }
    Ok(Json(Done::new(&call)))
}

/// Sends a code to an address that waits to be verified. The answer is the same if another user has
/// the address.
#[utoipa::path(post, path = "/me/identifier/verify/start", tag = "corbado",
    security(("bearer" = []), ("cookie" = [])), request_body = NameIdentifier,
    responses((status = 200, body = Done), Failures))]
pub(super) async fn verify_start(
    State(gateway): State<Shared>,
    SignedIn(caller, call): SignedIn,
    Body(NameIdentifier { identifier_id }): Body<NameIdentifier>,
) -> Result<Json<Done>, Problem> {
    let email = pending(&gateway, &caller, &identifier_id).await?;
    let sent = gateway.accounts.send_address_code(&caller.record(), &email, &call.visit).await;
    if matches!(sent, Err(FlowError::NoMail)) {
        let why = "This gateway sends no mail, so it cannot verify an address. Ask the administrator.";
        return Err(Problem::malformed(why));
    }
    sent?;
    Ok(Json(Done::new(&call)))
}

/// Takes the code back: the address replaces the one before.
#[utoipa::path(post, path = "/me/identifier/verify/finish", tag = "corbado",
    security(("bearer" = []), ("cookie" = [])), request_body = FinishVerifying,
    responses((status = 200, body = Done), Failures))]
pub(super) async fn verify_finish(
    State(gateway): State<Shared>,
    SignedIn(caller, call): SignedIn,
    Body(FinishVerifying { identifier_id, code }): Body<FinishVerifying>,
) -> Result<Json<Done>, Problem> {
    let email = pending(&gateway, &caller, &identifier_id).await?;
    let confirmed = gateway.accounts.confirm_address(&caller.record(), &email, &code, &call.visit).await;
    if matches!(confirmed, Err(FlowError::WrongCode)) {
        let why = "`code`: not right, or no longer. Ask for a new one.";
        return Err(Problem::new(Fault::TokenInvalid, why));
    }
    confirmed?;
    Ok(Json(Done::new(&call)))
}

async fn exchange_username(
    gateway: &Gateway,
    caller: &Known,
    value: &str,
    call: &Call,
) -> Result<(), Problem> {
    let username = Username::parse(value).map_err(malformed)?;
    gateway.accounts.change_username(&caller.record(), &username, &call.visit).await?;
    Ok(())
}

/// The address that waits to be verified, if that is what `id` names.
async fn pending(gateway: &Gateway, caller: &Known, id: &str) -> Result<Email, Problem> {
    match own(gateway, caller, id).await? {
        Identifier::PendingEmail(email) => Ok(email),
        Identifier::Email(_) => Err(Problem::malformed("`identifierID`: this address is verified already.")),
        Identifier::Username(_) => {
            Err(Problem::malformed("`identifierID`: a username needs no verification."))
        }
    }
}

async fn own(gateway: &Gateway, caller: &Known, id: &str) -> Result<Identifier, Problem> {
    let all = gateway.accounts.identifiers_of(&caller.user).await?;
    let meant = all.into_iter().find(|it| identifier_id(it, &caller.user) == id);
    meant.ok_or_else(Problem::not_found)
}

fn malformed(error: MalformedName) -> Problem {
    Problem::malformed(format!("`value`: {error}"))
}

fn no_phone() -> Problem {
    Problem::malformed("`identifierType`: this gateway knows no phone numbers.")
}
