//! Carries out operators' requests with the flows.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncWrite;

use super::explain::explained;
use super::lines::{
    BanLine, CredentialLine, InvitationLine, SessionLine, TokenLine, TrailLine, UserDetails, UserLine,
};
use super::protocol::{Answer, GuestLine, InvitedLine, Link, Request};
use super::{Operator, Process, declared};
use crate::domain::access_token::grant::GrantText;
use crate::domain::event::Outcome;
use crate::domain::foreign::ForeignUser;
use crate::domain::id::{SessionId, UserId};
use crate::domain::invitation::{INVITATION_LIFETIME, Invited, LinkDelivery};
use crate::domain::time::Timestamp;
use crate::domain::user::{Note, Standing};
use crate::flows::access_tokens::NewToken;
use crate::flows::access_tokens::index::LiveToken;
use crate::flows::administration::Burnt;
use crate::flows::administration::backup::BackupError;
use crate::flows::administration::bans::NewBan;
use crate::flows::administration::declared::Declaration;
use crate::flows::administration::directory::{Query, Summary};
use crate::flows::administration::import::NotImported;
use crate::flows::administration::invitations::{GUESTS_MAX, Guest, NobodyInvited};
use crate::flows::administration::paging::{Cursor, PAGE_ITEMS, Part};
use crate::flows::administration::people::{OldPasskeys, UserEdit};
use crate::flows::administration::trail::{PAGE_ENTRIES, TrailQuery};
use crate::flows::authority::Authority;
use crate::flows::{FlowError, Gateway};

/// Carries commands out on a running gateway.
pub struct GatewayOperator {
    pub gateway: Arc<Gateway>,
    /// `None`: no gateway runs, and the store is worked on by the command itself.
    pub process: Option<Process>,
}

#[async_trait]
impl Operator for GatewayOperator {
    async fn handle(&self, request: Request) -> Answer {
        // No other user of the machine reaches this: the socket has mode 0600, and so has the
        // store.
        let authority = Authority::of_operator();
        let done = self.carry_out(request, &authority).await;
        done.unwrap_or_else(|error| Answer::Refused { reason: in_words(&error) })
    }

    fn answered(&self, answer: &Answer) {
        if let (Answer::Upgrading { .. }, Some(process)) = (answer, &self.process) {
            process.upgrade.give_way();
        }
    }

    async fn back_up(&self, into: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<(), BackupError> {
        self.gateway.administration.back_up(&Authority::of_operator(), into).await.map(drop)
    }
}

impl GatewayOperator {
    async fn take_in(&self, authority: &Authority) -> Answer {
        let Some(process) = &self.process else {
            return Answer::Refused {
                reason: "no gateway is running; one reads its configuration at start".into(),
            };
        };
        let taken = process.reload.reload().await;
        self.gateway.administration.report_reload(authority.origin(), Outcome::of(&taken));
        match taken {
            Ok(after_restart) => Answer::Reloaded { after_restart },
            Err(reason) => {
                Answer::Refused { reason: format!("{reason}\nThe old configuration stays in force.") }
            }
        }
    }

    async fn prepare_upgrade(&self, authority: &Authority) -> Answer {
        let Some(process) = &self.process else {
            return Answer::Refused { reason: "no gateway is running; start the new program".into() };
        };
        let prepared = process.upgrade.prepare().await;
        self.gateway.administration.report_upgrade(authority.origin(), Outcome::of(&prepared));
        match prepared {
            Ok(within) => Answer::Upgrading { within_seconds: within.as_secs() },
            Err(reason) => {
                Answer::Refused { reason: format!("{reason}\nThe running program stays in place.") }
            }
        }
    }

    fn health(&self) -> Answer {
        let process = self.process.as_ref();
        Answer::Health {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready: self.gateway.ground.health().is_ok(),
            sessions: self.gateway.sessions.session_count(),
            remarks: process.map(|process| (process.remarks)()).unwrap_or_default(),
            started_at: process.map(|process| process.started_at),
        }
    }

    async fn carry_out(&self, request: Request, authority: &Authority) -> Result<Answer, FlowError> {
        let (gateway, administration) = (&self.gateway, &self.gateway.administration);
        match request {
            Request::Invite { email, name, username, groups, role, expires_in_seconds, delivery } => {
                let lifetime = expires_in_seconds.map_or(INVITATION_LIFETIME, Duration::from_secs);
                let invited_by = gateway.sessions.name_of(authority);
                let display_name = name;
                let guest = Guest { email, display_name, username, groups, role, lifetime, invited_by };
                self.invite(authority, guest, delivery).await
            }
            Request::InviteAll { guests, expires_in_seconds, delivery } => {
                let lifetime = expires_in_seconds.map_or(INVITATION_LIFETIME, Duration::from_secs);
                self.invite_all(authority, guests, lifetime, delivery).await
            }
            Request::Import { users } => self.import(authority, users).await,
            Request::Apply { users, others, run } => {
                declared::apply(gateway, authority, Declaration { users, others }, run).await
            }
            Request::InvitationList { limit, after } => self.list_invitations(limit, after).await,
            Request::InvitationRevoke { id } => {
                administration.revoke_invitation(authority, &id).await.map(|()| Answer::Done)
            }
            Request::UserList { search, limit, after } => self.list_users(search, limit, after).await,
            Request::UserShow { user } => self.show(&user).await,
            Request::SessionList { user, limit, after } => self.list_sessions(&user, limit, after).await,
            Request::UserReset { user, wipe, delivery } => self.reset(authority, &user, wipe, delivery).await,
            Request::UserDelete { user } => {
                let user = administration.find_user(&user).await?;
                administration.delete_user(authority, &user.id).await.map(|()| Answer::Done)
            }
            Request::PasskeyRemove { user, passkey } => {
                let user = administration.find_user(&user).await?;
                gateway
                    .administration
                    .remove_passkey_of(authority, &user.id, &passkey)
                    .await
                    .map(|()| Answer::Done)
            }
            Request::SessionEnd { user, session } => self.end_sessions(authority, &user, session).await,
            Request::Audit { user, event, since, limit, after } => {
                self.read_trail(user, event, since, limit, after).await
            }
            Request::KeyRotate { burn } => self.new_keys(authority, burn).await,
            Request::PolicyExplain { questions } => Ok(explained(gateway, questions).await),
            Request::Backup => Ok(Answer::BackupFollows),
            Request::Reload => Ok(self.take_in(authority).await),
            Request::Upgrade => Ok(self.prepare_upgrade(authority).await),
            Request::Health => Ok(self.health()),
            Request::UserName { .. }
            | Request::UserAttribute { .. }
            | Request::UserNote { .. }
            | Request::UserExpiry { .. }
            | Request::UserGroups { .. }
            | Request::UserRole { .. }
            | Request::UserDisable { .. }
            | Request::UserEnable { .. } => self.edit(authority, request).await,
            Request::TokenCreate { .. } | Request::TokenList { .. } | Request::TokenRevoke { .. } => {
                self.access_tokens(authority, request).await
            }
            Request::BanList | Request::BanAdd { .. } | Request::BanRemove { .. } => {
                self.ban(authority, request).await
            }
        }
    }

    async fn new_keys(&self, authority: &Authority, burn: bool) -> Result<Answer, FlowError> {
        if !burn {
            return self
                .gateway
                .administration
                .rotate_key(authority)
                .await
                .map(|key| Answer::KeyRotated { key });
        }
        let Burnt { key, sessions, access_tokens, messages } =
            self.gateway.administration.burn_keys(authority).await?;
        Ok(Answer::KeysBurnt { key, sessions, access_tokens, messages })
    }

    async fn invite(
        &self,
        authority: &Authority,
        guest: Guest,
        delivery: LinkDelivery,
    ) -> Result<Answer, FlowError> {
        if delivery == LinkDelivery::ByMail && !self.gateway.ground.has_mail() {
            return Err(FlowError::NoMail);
        }
        let invited = self.gateway.administration.invite(authority, guest, delivery).await?;
        let link = self.gateway.messages.link_of(&invited);
        let username = self.gateway.administration.username_to_be(&invited.invitation).await?;
        Ok(Answer::Invited {
            id: invited.invitation.id,
            link: Link::new(link),
            email: invited.invitation.email,
            expires_at: invited.invitation.expires_at.to_rfc3339(),
            username,
        })
    }

    async fn invite_all(
        &self,
        authority: &Authority,
        guests: Vec<GuestLine>,
        lifetime: Duration,
        delivery: LinkDelivery,
    ) -> Result<Answer, FlowError> {
        if guests.len() > GUESTS_MAX {
            let reason = format!("at most {GUESTS_MAX} users are invited at a time: split the file");
            return Ok(Answer::Refused { reason });
        }
        let invited_by = self.gateway.sessions.name_of(authority);
        let guests = guests.into_iter().map(|line| {
            let GuestLine { email, name: display_name, username, groups, role } = line;
            Guest { email, display_name, username, groups, role, lifetime, invited_by: invited_by.clone() }
        });
        match self.gateway.administration.invite_all(authority, guests.collect(), delivery).await {
            Ok(invited) => {
                let line = |one: &Invited| InvitedLine {
                    email: one.invitation.email.clone(),
                    link: Link::new(self.gateway.messages.link_of(one)),
                    expires_at: one.invitation.expires_at.to_rfc3339(),
                };
                Ok(Answer::InvitedAll { invited: invited.iter().map(line).collect() })
            }
            Err(NobodyInvited::Guests(refused)) => {
                let refused = refused.into_iter().map(|(at, why)| (at, in_words(&why))).collect();
                Ok(Answer::NobodyInvited { refused })
            }
            Err(NobodyInvited::Failed(error)) => Err(error),
        }
    }

    async fn import(&self, authority: &Authority, users: Vec<ForeignUser>) -> Result<Answer, FlowError> {
        let outcomes = self.gateway.administration.import(authority, users).await?;
        let (mut imported, mut skipped) = (0, Vec::new());
        for (at, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Ok(reasons) => {
                    imported += 1;
                    skipped.extend(reasons.into_iter().map(|why| (at, why.to_string())));
                }
                Err(NotImported::Failed(error)) => skipped.push((at, in_words(&error))),
                Err(why) => skipped.push((at, why.to_string())),
            }
        }
        Ok(Answer::Imported { imported, skipped })
    }

    async fn reset(
        &self,
        authority: &Authority,
        user: &str,
        wipe: bool,
        delivery: LinkDelivery,
    ) -> Result<Answer, FlowError> {
        if delivery == LinkDelivery::ByMail && !self.gateway.ground.has_mail() {
            return Err(FlowError::NoMail);
        }
        let user = self.gateway.administration.find_user(user).await?;
        let old = if wipe { OldPasskeys::Wiped } else { OldPasskeys::Stay };
        let invited = self.gateway.administration.reset_user(authority, &user.id, old, delivery).await?;
        Ok(Answer::Reset {
            id: invited.invitation.id,
            link: Link::new(self.gateway.messages.link_of(&invited)),
            email: invited.invitation.email,
            expires_at: invited.invitation.expires_at.to_rfc3339(),
        })
    }

    /// Changes a user's record. Only requests that name a user get here.
    async fn edit(&self, authority: &Authority, request: Request) -> Result<Answer, FlowError> {
        let blank = UserEdit::default();
        let (user, edit) = match request {
            Request::UserName { user, name } => (user, UserEdit { name: Some(name), ..blank }),
            Request::UserNote { user, note } => (user, UserEdit { note: Some(Note::parse(&note)?), ..blank }),
            Request::UserAttribute { user, name, value } => {
                (user, UserEdit { attributes: [(name, value)].into(), ..blank })
            }
            Request::UserExpiry { user, in_seconds } => {
                let end = in_seconds
                    .map(|length| self.gateway.ground.clock().now().plus(Duration::from_secs(length)));
                (user, UserEdit { expires_at: Some(end), ..blank })
            }
            Request::UserGroups { user, groups } => (user, UserEdit { groups: Some(groups), ..blank }),
            Request::UserRole { user, role } => (user, UserEdit { role: Some(role), ..blank }),
            Request::UserDisable { user } => (user, UserEdit { standing: Some(Standing::Disabled), ..blank }),
            Request::UserEnable { user } => (user, UserEdit { standing: Some(Standing::Active), ..blank }),
            _ => return Err(FlowError::NotFound),
        };
        let user = self.gateway.administration.find_user(&user).await?;
        self.gateway.administration.edit_user(authority, &user.id, &edit).await.map(|_| Answer::Done)
    }

    /// Lists and changes bans. Only requests about them get here.
    async fn ban(&self, authority: &Authority, request: Request) -> Result<Answer, FlowError> {
        let gateway = &self.gateway;
        match request {
            Request::BanList => {
                let bans = gateway.administration.list_bans();
                Ok(Answer::Bans { bans: bans.iter().map(|ban| BanLine::from(&**ban)).collect() })
            }
            Request::BanAdd { network, length_in_seconds, reason } => {
                let asked = NewBan { network, length: length_in_seconds.map(Duration::from_secs), reason };
                gateway
                    .administration
                    .add_ban(authority, asked)
                    .await
                    .map(|ban| Answer::Banned { ban: (&ban).into() })
            }
            Request::BanRemove { network } => {
                gateway.administration.remove_ban(authority, &network).await.map(|()| Answer::Done)
            }
            _ => Err(FlowError::NotFound),
        }
    }

    /// Makes, lists and revokes access tokens. Only requests about them get here.
    async fn access_tokens(&self, authority: &Authority, request: Request) -> Result<Answer, FlowError> {
        let gateway = &self.gateway;
        match request {
            Request::TokenCreate { user, name, routes, methods, paths, networks, expires_in_seconds } => {
                let grant = GrantText { routes, methods, paths, networks };
                let new = NewToken::parse(&name, &grant, expires_in_seconds)?;
                let user = gateway.administration.find_user(&user).await?;
                let made = gateway.access_tokens.make_token(authority, &user.id, new).await?;
                Ok(Answer::TokenCreated {
                    id: made.token.id,
                    expires_at: made.token.expires_at.to_rfc3339(),
                    opens: gateway.access_tokens.example_url(&made.token.grant),
                    token: Link::new(made.text),
                })
            }
            Request::TokenList { user, limit, after } => self.list_tokens(user, limit, after).await,
            Request::TokenRevoke { id } => {
                gateway.access_tokens.revoke_token(authority, &id).await.map(|()| Answer::Done)
            }
            _ => Err(FlowError::NotFound),
        }
    }

    async fn list_users(
        &self,
        search: Option<String>,
        limit: Option<usize>,
        after: Option<String>,
    ) -> Result<Answer, FlowError> {
        let query = Query { part: part(limit, after)?, ..Query::default() };
        let query = query.beginning_with(&search.unwrap_or_default());
        let page = self.gateway.administration.list_users(&query).await?;
        let users = page.items.iter().map(UserLine::from).collect();
        Ok(Answer::Users { users, next: page.next.map(|next| next.to_string()) })
    }

    async fn list_invitations(
        &self,
        limit: Option<usize>,
        after: Option<String>,
    ) -> Result<Answer, FlowError> {
        let page = self.gateway.administration.list_invitations(&part(limit, after)?).await?;
        let invitations = page.items.into_iter().map(InvitationLine::from).collect();
        Ok(Answer::Invitations { invitations, next: page.next.map(|next| next.to_string()) })
    }

    async fn list_sessions(
        &self,
        user: &str,
        limit: Option<usize>,
        after: Option<String>,
    ) -> Result<Answer, FlowError> {
        let user = self.gateway.administration.find_user(user).await?;
        let page = self.gateway.administration.list_sessions_of(&user.id, &part(limit, after)?);
        let sessions = page.items.iter().map(|session| SessionLine::from(&**session)).collect();
        Ok(Answer::Sessions { sessions, next: page.next.map(|next| next.to_string()) })
    }

    async fn list_tokens(
        &self,
        user: Option<String>,
        limit: Option<usize>,
        after: Option<String>,
    ) -> Result<Answer, FlowError> {
        let administration = &self.gateway.administration;
        let user = match user {
            Some(user) => Some(administration.find_user(&user).await?.id),
            None => None,
        };
        let page = administration.list_tokens(user.as_ref(), &part(limit, after)?).await?;
        let line =
            |token: &Arc<LiveToken>| TokenLine::new(token, administration.username_of(&token.record().user));
        let tokens = page.items.iter().map(line).collect();
        Ok(Answer::Tokens { tokens, next: page.next.map(|next| next.to_string()) })
    }

    async fn show(&self, user: &str) -> Result<Answer, FlowError> {
        let user = self.gateway.administration.find_user(user).await?;
        let credentials = self.gateway.accounts.credentials_of(&user.id).await?;
        let sessions = self.gateway.sessions.sessions_of(&user.id);
        let sessions = sessions.iter().map(|session| SessionLine::from(&**session)).collect();
        let (note, attributes) = (user.note.clone(), user.attributes.clone());
        let created_at = user.created_at.to_rfc3339();
        let summary = Summary::new(user, &credentials);
        let credentials = credentials.iter().map(CredentialLine::from).collect();
        let user =
            UserDetails { user: (&summary).into(), note, attributes, created_at, credentials, sessions };
        Ok(Answer::User { user: Box::new(user) })
    }

    async fn end_sessions(
        &self,
        authority: &Authority,
        user: &str,
        session: Option<SessionId>,
    ) -> Result<Answer, FlowError> {
        let user = self.gateway.administration.find_user(user).await?;
        let count = match session {
            None => self.gateway.administration.end_sessions_of(authority, &user.id).await?,
            Some(id) => {
                self.gateway.administration.end_any_session(authority, &user.id, &id).await.map(|()| 1)?
            }
        };
        Ok(Answer::SessionsEnded { count })
    }

    async fn read_trail(
        &self,
        user: Option<String>,
        event: Option<String>,
        since: Option<Timestamp>,
        limit: Option<usize>,
        after: Option<String>,
    ) -> Result<Answer, FlowError> {
        let user = match user {
            // The trail keeps the id of a user whose account was deleted.
            Some(name) => Some(match UserId::parse(&name) {
                Ok(id) => id,
                Err(_) => self.gateway.administration.find_user(&name).await?.id,
            }),
            None => None,
        };
        let (after, limit) = (cursor(after)?, limit.unwrap_or(PAGE_ENTRIES));
        let page =
            self.gateway.administration.read_trail(&TrailQuery { user, event, since, after, limit }).await?;
        let entries = page.items.into_iter().map(TrailLine::from).collect();
        Ok(Answer::Trail { entries, next: page.next.map(|next| next.to_string()) })
    }
}

fn part(limit: Option<usize>, after: Option<String>) -> Result<Part, FlowError> {
    Ok(Part { after: cursor(after)?, limit: limit.unwrap_or(PAGE_ITEMS) })
}

fn cursor(text: Option<String>) -> Result<Option<Cursor>, FlowError> {
    text.map(|text| Cursor::parse(&text).ok_or(FlowError::NotFound)).transpose()
}

pub(super) fn in_words(error: &FlowError) -> String {
    match error {
        FlowError::NotFound => {
            "there is no such user, session or token: `vestibule user list` lists the users".to_owned()
        }
        FlowError::NoSuchInvitation => {
            "there is no such invitation: `vestibule invitation list` lists those that can be used".to_owned()
        }
        FlowError::LastAdministrator => {
            "this is the last administrator who can sign in: first make another user an administrator, \
             with `vestibule user role NAME administrator`"
                .to_owned()
        }
        FlowError::HasAccount => {
            "there is an account with this address already: leave out --group, --username and \
             --admin for a link that adds a passkey to it, and change its groups with `vestibule user groups`"
                .to_owned()
        }
        FlowError::NoSuchBan { wider: Some(wider) } => {
            format!(
                "this is part of the banned network {wider}: remove that ban, with `vestibule ban remove {wider}`"
            )
        }
        FlowError::NoSuchBan { wider: None } => {
            "this network is not banned: `vestibule ban list` lists the bans".to_owned()
        }
        FlowError::Taken(what) => format!("this {what} belongs to another user: choose another"),
        FlowError::Store(error) => format!("{error}: look at the gateway's log"),
        other => other.to_string(),
    }
}
