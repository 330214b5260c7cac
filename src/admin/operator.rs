//! What operators ask for, carried out by the flows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Operator;
use super::protocol::{Answer, Delivery, InvitationLine, Link, Request, UserLine};
use crate::domain::id::{SessionId, UserId};
use crate::domain::invitation::{INVITATION_LIFETIME, Invitation};
use crate::domain::user::{Group, Role, User};
use crate::flows::administer::Guest;
use crate::flows::keys::Burnt;
use crate::flows::{FlowError, Gateway};

/// Whom invitations of the command line come from.
const INVITED_BY: &str = "the administrator";

/// Carries commands out on a running gateway.
pub struct GatewayOperator(pub Arc<Gateway>);

#[async_trait]
impl Operator for GatewayOperator {
    async fn handle(&self, request: Request) -> Answer {
        let done = match request {
            Request::Invite { email, name, username, groups, role, expires_in_seconds, delivery } => {
                let lifetime = expires_in_seconds.map_or(INVITATION_LIFETIME, Duration::from_secs);
                let invited_by = INVITED_BY.to_owned();
                let display_name = name;
                let guest = Guest { email, display_name, username, groups, role, lifetime, invited_by };
                self.invite(guest, delivery).await
            }
            Request::InvitationList => self.list_invitations().await,
            Request::InvitationRevoke { id } => self.0.revoke_invitation(&id).await.map(|()| Answer::Done),
            Request::UserList => self.list_users().await,
            Request::UserRole { user, role } => self.set_role(&user, role).await,
            Request::UserGroups { user, groups } => self.set_groups(&user, groups).await,
            Request::UserDisable { user } => self.disable(&user).await,
            Request::UserEnable { user } => self.enable(&user).await,
            Request::SessionEnd { user, session } => self.end_sessions(&user, session).await,
            Request::KeyRotate { burn: false } => {
                self.0.rotate_key().await.map(|key| Answer::KeyRotated { key })
            }
            Request::KeyRotate { burn: true } => self.0.burn_keys().await.map(|burnt| {
                let Burnt { key, sessions, messages } = burnt;
                Answer::KeysBurnt { key, sessions, messages }
            }),
            Request::Health => Ok(Answer::Health {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ready: self.0.health().is_ok(),
                sessions: self.0.session_count(),
            }),
        };
        done.unwrap_or_else(|error| Answer::Refused { reason: in_words(&error) })
    }
}

impl GatewayOperator {
    async fn invite(&self, guest: Guest, delivery: Delivery) -> Result<Answer, FlowError> {
        if delivery == Delivery::ByMail && !self.0.has_mail() {
            return Err(FlowError::NoMail);
        }
        let invited = self.0.invite(guest).await?;
        if delivery == Delivery::ByMail {
            self.0.mail_link(&invited).await?;
        }
        let link = self.0.link_of(&invited);
        let username = self.0.username_to_be(&invited.invitation).await?;
        Ok(Answer::Invited {
            id: invited.invitation.id,
            link: Link::new(link),
            email: invited.invitation.email,
            expires_at: invited.invitation.expires_at.to_rfc3339(),
            username,
        })
    }

    async fn list_invitations(&self) -> Result<Answer, FlowError> {
        let line = |it: Invitation| InvitationLine {
            id: it.id,
            email: it.email,
            expires_at: it.expires_at.to_rfc3339(),
            by: it.invited_by,
        };
        let invitations = self.0.invitations().await?.into_iter().map(line).collect();
        Ok(Answer::Invitations { invitations })
    }

    async fn set_role(&self, user: &str, role: Role) -> Result<Answer, FlowError> {
        let user = self.find(user).await?;
        self.0.set_role(&user.id, role).await.map(|_| Answer::Done)
    }

    async fn list_users(&self) -> Result<Answer, FlowError> {
        let mut users = Vec::new();
        for user in self.0.users().await? {
            let passkeys = self.0.credentials_of(&user.id).await?.len();
            users.push(UserLine::of(&user, passkeys));
        }
        Ok(Answer::Users { users })
    }

    async fn set_groups(&self, user: &str, groups: BTreeSet<Group>) -> Result<Answer, FlowError> {
        let user = self.find(user).await?;
        self.0.set_groups(&user.id, groups).await.map(|_| Answer::Done)
    }

    async fn disable(&self, user: &str) -> Result<Answer, FlowError> {
        let user = self.find(user).await?;
        self.0.disable_user(&user.id).await.map(|_| Answer::Done)
    }

    async fn enable(&self, user: &str) -> Result<Answer, FlowError> {
        let user = self.find(user).await?;
        self.0.enable_user(&user.id).await.map(|_| Answer::Done)
    }

    async fn end_sessions(&self, user: &str, session: Option<SessionId>) -> Result<Answer, FlowError> {
        let user = self.find(user).await?;
        let count = match session {
            None => self.0.end_sessions_of(&user.id).await?,
            Some(id) => self.0.end_any_session(&user.id, &id).await.map(|()| 1)?,
        };
        Ok(Answer::SessionsEnded { count })
    }

    /// A person by username, e-mail address or id.
    async fn find(&self, name: &str) -> Result<User, FlowError> {
        match UserId::parse(name) {
            Ok(id) => self.0.users().await?.into_iter().find(|user| user.id == id).ok_or(FlowError::NotFound),
            Err(_) => self.0.find_user(name).await,
        }
    }
}

fn in_words(error: &FlowError) -> String {
    match error {
        FlowError::NotFound => {
            "there is no such person or session: `vestibule user list` shows who there is".to_owned()
        }
        FlowError::NoSuchInvitation => {
            "there is no such invitation: `vestibule invitation list` shows those that can be redeemed"
                .to_owned()
        }
        FlowError::LastAdministrator => {
            "this is the last administrator who can sign in: make another user one \
             with `vestibule user role NAME administrator` first"
                .to_owned()
        }
        FlowError::HasAccount => {
            "there is an account with this address already: leave out --group, --username and \
             --admin for a link that adds a passkey to it, and change its groups with `vestibule user groups`"
                .to_owned()
        }
        FlowError::Taken(what) => format!("this {what} belongs to somebody else: choose another"),
        FlowError::Store(error) => format!("{error}: look at the gateway's log"),
        other => other.to_string(),
    }
}
