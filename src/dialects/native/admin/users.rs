//! Users: finding, showing, changing and resetting them; their sessions and passkeys.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::Administrator;
use super::lists::{self, Listed, part};
use super::shapes::{
    CredentialShape, DetailsShape, EndedShape, Failures, LinkShape, RoleName, SessionShape, StandingName,
    UserShape, UsersShape,
};
use crate::dialects::native::{App, Asked, Named};
use crate::domain::attribute::edits_in;
use crate::domain::credential::Credential;
use crate::domain::id::{CredentialId, SessionId, UserId};
use crate::domain::invitation::LinkDelivery;
use crate::domain::time::Timestamp;
use crate::domain::user::{DisplayName, Group, MalformedName, Note, User, groups_of_one};
use crate::flows::administration::directory::{self, HowMany, LastUsed, Summary};
use crate::flows::administration::people::{OldPasskeys, UserEdit};
use crate::flows::{FlowError, Gateway};
use crate::web::Problem;
use crate::web::guard::Known;
use crate::web::json::{Body, OptionalBody};

/// The users to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// The beginning of a username, an address, or a name.
    search: Option<String>,
    /// From 1 to 200 [default: 50].
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `next` of the page before.
    after: Option<String>,
    standing: Option<StandingName>,
    role: Option<RoleName>,
    group: Option<String>,
    /// `none`, `one` or `several`.
    passkeys: Option<String>,
    /// When the user last signed in: within a `month`, `longer` ago or never, or `never`.
    last: Option<String>,
}

/// A page of users, by username; with `search`, by the term that was found.
#[utoipa::path(get, path = "/admin/v1/users", tag = "admin", params(Which),
    security(("bearer" = []), ("cookie" = [])), responses((status = 200, body = UsersShape), Failures))]
pub(super) async fn list(
    State(gateway): App,
    _: Administrator,
    Asked(which): Asked<Which>,
) -> Result<Json<UsersShape>, Problem> {
    let group = which.group.as_deref().map(Group::parse).transpose().map_err(FlowError::from)?;
    let passkeys = known(which.passkeys.as_deref(), HowMany::parse, "`passkeys` is none, one or several.")?;
    let last_used = known(which.last.as_deref(), LastUsed::parse, "`last` is month, longer or never.")?;
    let query = directory::Query {
        passkeys,
        last_used,
        standing: which.standing.map(Into::into),
        role: which.role.map(Into::into),
        group,
        part: part(which.limit, which.after.as_deref())?,
        search: None,
    };
    let page =
        gateway.administration.list_users(&query.beginning_with(&which.search.unwrap_or_default())).await?;
    let users = page.items.iter().map(UserShape::from).collect();
    Ok(Json(UsersShape { users, next: page.next.map(|next| next.to_string()) }))
}

/// A word of a query, if it is there and known.
fn known<T>(text: Option<&str>, parse: fn(&str) -> Option<T>, wrong: &str) -> Result<Option<T>, Problem> {
    let read = |text| parse(text).ok_or_else(|| Problem::malformed(wrong.to_owned()));
    text.map(read).transpose()
}

/// One user, with passkeys and sessions.
#[utoipa::path(get, path = "/admin/v1/users/{id}", tag = "admin", params(("id" = String, Path)),
    security(("bearer" = []), ("cookie" = [])), responses((status = 200, body = DetailsShape), Failures))]
pub(super) async fn show(
    State(gateway): App,
    Administrator { caller, .. }: Administrator,
    Named(id): Named<UserId>,
) -> Result<Json<DetailsShape>, Problem> {
    let (user, credentials) =
        (gateway.administration.user(&id).await?, gateway.accounts.credentials_of(&id).await?);
    Ok(details(user, &credentials, sessions_of(&gateway, &caller, &id)))
}

fn details(user: User, credentials: &[Credential], sessions: Vec<SessionShape>) -> Json<DetailsShape> {
    Json(DetailsShape {
        user: (&Summary::new(user, credentials)).into(),
        credentials: credentials.iter().map(CredentialShape::from).collect(),
        sessions,
    })
}

fn sessions_of(gateway: &Gateway, caller: &Known, id: &UserId) -> Vec<SessionShape> {
    let (own, sessions) = (caller.record().id, gateway.sessions.sessions_of(id));
    sessions.iter().map(|session| SessionShape::new(gateway, session, &own)).collect()
}

/// The changes; members that are left out stay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = admin::UserEdit)]
pub(super) struct EditBody {
    /// 1 to 200 characters.
    name: Option<String>,
    /// All groups of the user, not only further ones.
    groups: Option<Vec<String>>,
    role: Option<RoleName>,
    standing: Option<StandingName>,
    /// Empty: removes the note.
    note: Option<String>,
    /// A moment in RFC 3339, or `null`: the account does not end by itself.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    expires_at: Said<String>,
    /// Attributes by name; `null` removes an attribute, and attributes that are not named stay.
    #[serde(default)]
    attributes: BTreeMap<String, Option<String>>,
}

/// A member that can be left out, `null`, or a value.
type Said<T> = Option<Option<T>>;

/// Tells a member that is `null` from a missing member.
fn said<'de, D: Deserializer<'de>>(from: D) -> Result<Said<String>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl EditBody {
    fn read(self) -> Result<UserEdit, Problem> {
        let malformed = |error: MalformedName| Problem::malformed(error.to_string());
        let groups = |names: Vec<String>| {
            let groups: Result<BTreeSet<_>, _> = names.iter().map(|name| Group::parse(name)).collect();
            groups.and_then(groups_of_one).map_err(malformed)
        };
        let moment = |text: String| {
            let read = Timestamp::parse(&text);
            read.ok_or_else(|| Problem::malformed("`expires_at` is a moment such as 2027-01-31T12:00:00Z."))
        };
        if matches!(self.standing, Some(StandingName::Pending)) {
            return Err(Problem::malformed(
                "`standing` is `active` or `disabled`; only a new account is `pending`.",
            ));
        }
        Ok(UserEdit {
            name: self.name.as_deref().map(DisplayName::parse).transpose().map_err(malformed)?,
            // Only the owner or the operator chooses a username.
            username: None,
            groups: self.groups.map(groups).transpose()?,
            role: self.role.map(Into::into),
            standing: self.standing.map(Into::into),
            note: self.note.as_deref().map(Note::parse).transpose().map_err(malformed)?,
            expires_at: self.expires_at.map(|end| end.map(moment).transpose()).transpose()?,
            attributes: edits_in(&self.attributes).map_err(FlowError::from)?,
        })
    }
}

/// Changes a user. Open sessions follow with their next request. The last administrator stays one.
#[utoipa::path(patch, path = "/admin/v1/users/{id}", tag = "admin", params(("id" = String, Path)),
    security(("bearer" = []), ("cookie" = [])), request_body = EditBody,
    responses((status = 200, body = DetailsShape), Failures))]
pub(super) async fn edit(
    State(gateway): App,
    Administrator { authority, caller, .. }: Administrator,
    Named(id): Named<UserId>,
    Body(edit): Body<EditBody>,
) -> Result<Json<DetailsShape>, Problem> {
    let edit = edit.read()?;
    // This is read before the change, which may end the session that asks.
    let sessions = sessions_of(&gateway, &caller, &id);
    let user = gateway.administration.edit_user(&authority, &id, &edit).await?;
    Ok(details(user, &gateway.accounts.credentials_of(&id).await?, sessions))
}

/// Deletes an account. Its username is never given to another user.
#[utoipa::path(delete, path = "/admin/v1/users/{id}", tag = "admin", params(("id" = String, Path)),
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 204, description = "The account is gone"), Failures))]
pub(super) async fn delete(
    State(gateway): App,
    Administrator { authority, .. }: Administrator,
    Named(id): Named<UserId>,
) -> Result<StatusCode, Problem> {
    gateway.administration.delete_user(&authority, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a reset does.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = admin::Reset)]
pub(super) struct ResetBody {
    /// Remove the old passkeys and end every session first.
    wipe: bool,
    /// Also send the link by mail.
    mail: bool,
}

/// Makes a link that adds a passkey, for a user who has lost all passkeys.
#[utoipa::path(post, path = "/admin/v1/users/{id}/reset", tag = "admin", params(("id" = String, Path)),
    security(("bearer" = []), ("cookie" = [])), request_body = Option<ResetBody>,
    responses((status = 201, body = LinkShape), Failures))]
pub(super) async fn reset(
    State(gateway): App,
    Administrator { authority, .. }: Administrator,
    Named(id): Named<UserId>,
    OptionalBody(ResetBody { wipe, mail }): OptionalBody<ResetBody>,
) -> Result<(StatusCode, Json<LinkShape>), Problem> {
    if mail && !gateway.ground.has_mail() {
        return Err(FlowError::NoMail.into());
    }
    let old = if wipe { OldPasskeys::Wiped } else { OldPasskeys::Stay };
    let go = LinkDelivery::mailed_if(mail);
    let invited = gateway.administration.reset_user(&authority, &id, old, go).await?;
    Ok((StatusCode::CREATED, Json(super::invitations::link(&gateway, &invited, None))))
}

/// A page of the sessions of a user that can be used, newest first.
#[utoipa::path(get, path = "/admin/v1/users/{id}/sessions", tag = "admin",
    params(("id" = String, Path), lists::Which), security(("bearer" = []), ("cookie" = [])),
    responses(
        (status = 200, body = Vec<SessionShape>, headers(("Link" = String, description = "The next page"))),
        Failures,
    ))]
pub(super) async fn sessions(
    State(gateway): App,
    Administrator { caller, .. }: Administrator,
    Named(id): Named<UserId>,
    Asked(which): Asked<lists::Which>,
) -> Result<Listed<SessionShape>, Problem> {
    let part = which.part()?;
    let own = caller.record().id;
    let user = gateway.administration.user(&id).await?;
    let page = gateway.administration.list_sessions_of(&user.id, &part);
    Ok(Listed::new(page, &part, &[], |session| SessionShape::new(&gateway, &session, &own)))
}

/// Ends every session of a user.
#[utoipa::path(delete, path = "/admin/v1/users/{id}/sessions", tag = "admin", params(("id" = String, Path)),
    security(("bearer" = []), ("cookie" = [])), responses((status = 200, body = EndedShape), Failures))]
pub(super) async fn end_sessions(
    State(gateway): App,
    Administrator { authority, .. }: Administrator,
    Named(id): Named<UserId>,
) -> Result<Json<EndedShape>, Problem> {
    let user = gateway.administration.user(&id).await?;
    Ok(Json(EndedShape { ended: gateway.administration.end_sessions_of(&authority, &user.id).await? }))
}

/// Ends one session of a user.
#[utoipa::path(delete, path = "/admin/v1/users/{id}/sessions/{session}", tag = "admin",
    params(("id" = String, Path), ("session" = String, Path)), security(("bearer" = []), ("cookie" = [])),
    responses((status = 204, description = "It has ended"), Failures))]
pub(super) async fn end_session(
    State(gateway): App,
    Administrator { authority, .. }: Administrator,
    Named((id, session)): Named<(UserId, SessionId)>,
) -> Result<StatusCode, Problem> {
    gateway.administration.end_any_session(&authority, &id, &session).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes one passkey of a user, and ends the sessions that it opened. The user is told by mail.
#[utoipa::path(delete, path = "/admin/v1/users/{id}/passkeys/{credential}", tag = "admin",
    params(("id" = String, Path), ("credential" = String, Path)),
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 204, description = "It is gone"), Failures))]
pub(super) async fn remove_passkey(
    State(gateway): App,
    Administrator { authority, .. }: Administrator,
    Named((id, credential)): Named<(UserId, CredentialId)>,
) -> Result<StatusCode, Problem> {
    gateway.administration.remove_passkey_of(&authority, &id, &credential).await?;
    Ok(StatusCode::NO_CONTENT)
}
