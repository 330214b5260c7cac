//! Invitations: making, listing, renewing and revoking them.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::Administrator;
use super::lists::{Listed, Which};
use super::shapes::{Failures, InvitationShape, LinkShape, RoleName};
use crate::dialects::native::{App, Asked, Named};
use crate::domain::id::InvitationId;
use crate::domain::invitation::{INVITATION_LIFETIME, INVITATION_LIFETIME_MAX, Invited, LinkDelivery};
use crate::domain::user::{DisplayName, Email, Group, MalformedName, Role, Username, groups_of_one};
use crate::flows::administration::invitations::Guest;
use crate::flows::{FlowError, Gateway};
use crate::web::Problem;
use crate::web::json::Body;

/// A page of the invitations that can still be used, the oldest of the page first.
#[utoipa::path(get, path = "/admin/v1/invitations", tag = "admin", params(Which),
    security(("bearer" = []), ("cookie" = [])),
    responses(
        (status = 200, body = Vec<InvitationShape>, headers(("Link" = String, description = "The next page"))),
        Failures,
    ))]
pub(super) async fn list(
    State(gateway): App,
    _: Administrator,
    Asked(which): Asked<Which>,
) -> Result<Listed<InvitationShape>, Problem> {
    let part = which.part()?;
    let page = gateway.administration.list_invitations(&part).await?;
    Ok(Listed::new(page, &part, &[], |invitation| InvitationShape::from(&invitation)))
}

/// An invitation to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = admin::Invite)]
pub(super) struct InviteBody {
    email: String,
    name: Option<String>,
    /// Default: made from the address.
    username: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    /// Default: member.
    role: Option<RoleName>,
    /// How long the link works: at most 259200 seconds, which are 72 hours [default: 86400].
    #[schema(minimum = 1, maximum = 259_200)]
    expires_in_seconds: Option<u64>,
    /// Also send the link by mail.
    #[serde(default)]
    mail: bool,
}

impl InviteBody {
    fn guest(self, invited_by: String) -> Result<Guest, Problem> {
        let malformed = |error: MalformedName| Problem::malformed(error.to_string());
        let groups: Result<BTreeSet<_>, _> = self.groups.iter().map(|name| Group::parse(name)).collect();
        let lifetime = self.expires_in_seconds.map_or(INVITATION_LIFETIME, Duration::from_secs);
        if lifetime.is_zero() || lifetime > INVITATION_LIFETIME_MAX {
            return Err(Problem::malformed("The time must be longer than zero and at most 72 hours."));
        }
        Ok(Guest {
            email: Email::parse(&self.email).map_err(malformed)?,
            display_name: self.name.as_deref().map(DisplayName::parse).transpose().map_err(malformed)?,
            username: self.username.as_deref().map(Username::parse).transpose().map_err(malformed)?,
            groups: groups.and_then(groups_of_one).map_err(malformed)?,
            role: self.role.map_or(Role::Member, Into::into),
            lifetime,
            invited_by,
        })
    }
}

/// Invites a user. The link is shown once, in this answer. An earlier link for the same address
/// stops working.
#[utoipa::path(post, path = "/admin/v1/invitations", tag = "admin",
    security(("bearer" = []), ("cookie" = [])), request_body = InviteBody,
    responses((status = 201, body = LinkShape), Failures))]
pub(super) async fn invite(
    State(gateway): App,
    Administrator { authority, .. }: Administrator,
    Body(asked): Body<InviteBody>,
) -> Result<(StatusCode, Json<LinkShape>), Problem> {
    let mail = asked.mail;
    if mail && !gateway.ground.has_mail() {
        return Err(FlowError::NoMail.into());
    }
    let guest = asked.guest(gateway.sessions.name_of(&authority))?;
    let invited = gateway.administration.invite(&authority, guest, LinkDelivery::mailed_if(mail)).await?;
    told(&gateway, &invited).await
}

/// Makes a new link for an invitation, for a message that got lost. The earlier link stops working.
#[utoipa::path(post, path = "/admin/v1/invitations/{id}", tag = "admin", params(("id" = String, Path)),
    security(("bearer" = []), ("cookie" = [])), responses((status = 201, body = LinkShape), Failures))]
pub(super) async fn renew(
    State(gateway): App,
    Administrator { authority, .. }: Administrator,
    Named(id): Named<InvitationId>,
) -> Result<(StatusCode, Json<LinkShape>), Problem> {
    let go = LinkDelivery::mailed_if(gateway.ground.has_mail());
    let invited = gateway.administration.renew_invitation(&authority, &id, go).await?;
    told(&gateway, &invited).await
}

/// Revokes an invitation: its link stops working.
#[utoipa::path(delete, path = "/admin/v1/invitations/{id}", tag = "admin", params(("id" = String, Path)),
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 204, description = "The link does not work any more"), Failures))]
pub(super) async fn revoke(
    State(gateway): App,
    Administrator { authority, .. }: Administrator,
    Named(id): Named<InvitationId>,
) -> Result<StatusCode, Problem> {
    gateway.administration.revoke_invitation(&authority, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn told(gateway: &Gateway, invited: &Invited) -> Result<(StatusCode, Json<LinkShape>), Problem> {
    let username = gateway.administration.username_to_be(&invited.invitation).await?;
    Ok((StatusCode::CREATED, Json(link(gateway, invited, username))))
}

/// The link.
pub(super) fn link(gateway: &Gateway, invited: &Invited, username: Option<Username>) -> LinkShape {
    LinkShape {
        id: invited.invitation.id.to_string(),
        link: gateway.messages.link_of(invited),
        email: invited.invitation.email.to_string(),
        expires_at: invited.invitation.expires_at.to_rfc3339(),
        username: username.map(|username| username.to_string()),
    }
}
