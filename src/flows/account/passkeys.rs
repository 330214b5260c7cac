//! The passkeys of people's own accounts: listing, naming and removing them.

use std::collections::BTreeSet;

use crate::domain::credential::{Credential, CredentialName};
use crate::domain::event::{End, Kind};
use crate::domain::id::{CredentialId, UserId};
use crate::domain::message::Content;
use crate::domain::policy::logout::LogoutUrl;
use crate::domain::policy::route::Tile;
use crate::domain::return_target::Target;
use crate::domain::session::Session;
use crate::domain::user::{Role, User};
use crate::flows::FlowError;
use crate::flows::account::Accounts;
use crate::flows::commit::ATTEMPTS_MAX;
use crate::flows::sessions::Ended;
use crate::flows::visit::Visit;
use crate::ports::Batch;
use crate::records::{self, keys};

/// The most sign-out addresses that are called when a user signs out.
const LOGOUTS_MAX: usize = 32;

/// An application that a user may enter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// The name of the route.
    pub name: String,
    pub tile: Tile,
    pub target: Target,
}

impl Accounts {
    /// The applications that a person may enter and that are shown, in the order of the
    /// configuration. Of one behind a wildcard, the hosts that the configuration names.
    pub fn applications_of(&self, user: &User) -> Vec<Application> {
        let (table, now) = (self.ground.routes(), self.ground.clock.now());
        let mine = table.all().filter(|route| route.may_be_entered_by(user, now));
        let shown = mine.filter_map(|route| Some((route, route.tile.as_ref()?)));
        shown
            .flat_map(|(route, tile)| {
                route.known_hosts().iter().map(|host| {
                    let (origin, path_and_query) = (self.ground.place.origin_of(host), route.path.clone());
                    let target = Target { origin, path_and_query };
                    Application { name: route.name.clone(), tile: tile.clone(), target }
                })
            })
            .collect()
    }

    /// The sign-out addresses of the applications that a person may enter, at most [`LOGOUTS_MAX`]
    /// of them.
    pub fn logouts_of(&self, user: &User) -> Vec<Target> {
        let (table, now) = (self.ground.routes(), self.ground.clock.now());
        let mine = table.all().filter(|route| route.logout.is_some() && route.may_be_entered_by(user, now));
        let targets = mine.flat_map(|route| {
            let path_and_query = route.logout.as_ref().map(LogoutUrl::path_and_query).unwrap_or_default();
            route.known_hosts().iter().map(move |host| Target {
                origin: self.ground.place.origin_of(host),
                path_and_query: path_and_query.clone(),
            })
        });
        targets.take(LOGOUTS_MAX).collect()
    }

    /// What a person may do here, in words that programs can compare: `admin`, `passkeys:manage`, and
    /// `route:<name>` for each application that they may enter.
    pub fn permissions_of(&self, user: &User) -> Vec<String> {
        let admin = (user.role == Role::Administrator).then(|| "admin".to_owned());
        let own = std::iter::once("passkeys:manage".to_owned());
        let (table, now) = (self.ground.routes(), self.ground.clock.now());
        let routes = table.all().filter(|route| route.may_be_entered_by(user, now));
        let routes = routes.map(|route| format!("route:{}", route.name));
        let permissions: BTreeSet<_> = admin.into_iter().chain(own).chain(routes).collect();
        permissions.into_iter().collect()
    }

    /// A person's passkeys, oldest first.
    pub async fn credentials_of(&self, user: &UserId) -> Result<Vec<Credential>, FlowError> {
        Ok(self.ground.records.credentials_of(user).await?)
    }

    /// The passkey of `user` that `is_meant`, if they have one. Another user's passkey cannot be
    /// named at all.
    pub async fn find_credential(
        &self,
        user: &UserId,
        is_meant: impl Fn(&Credential) -> bool,
    ) -> Result<Credential, FlowError> {
        let all = self.ground.records.credentials_of(user).await?;
        all.into_iter().find(is_meant).ok_or(FlowError::NotFound)
    }

    /// Renames a passkey of the session's owner.
    pub async fn rename_credential(
        &self,
        session: &Session,
        id: &CredentialId,
        name: CredentialName,
        visit: &Visit,
    ) -> Result<Credential, FlowError> {
        for _ in 0..ATTEMPTS_MAX {
            let spent = self.sessions.spend_freshness_beside_applications(session, visit).await?;
            let (found, stored) = self.own_credential(&session.user, id).await?;
            let renamed = Credential { name: name.clone(), ..found };
            let batch = records::update_credential(&renamed)?.expect(keys::credential(id), stored);
            if self.ground.is_committed(batch.and(spent)).await? {
                let kind = Kind::CredentialRenamed { user: session.user, credential: id.clone() };
                self.ground.report(visit.origin(), kind);
                return Ok(renamed);
            }
        }
        Err(FlowError::Busy)
    }

    /// Removes a passkey of the session's owner, and ends the sessions that it opened, except the
    /// session that asks. The last passkey cannot be removed.
    pub async fn remove_credential(
        &self,
        session: &Session,
        id: &CredentialId,
        visit: &Visit,
    ) -> Result<(), FlowError> {
        for _ in 0..ATTEMPTS_MAX {
            let (change, ended, removed) = self.removing_credential(session, id, visit).await?;
            if self.sessions.is_committed_ending(&ended, None, change, &visit.origin()).await? {
                self.messages.wake_delivery();
                self.ground.report(visit.origin(), removed.removal());
                return Ok(());
            }
        }
        Err(FlowError::Busy)
    }

    async fn removing_credential(
        &self,
        session: &Session,
        id: &CredentialId,
        visit: &Visit,
    ) -> Result<(Batch, Ended, Credential), FlowError> {
        let spent = self.sessions.spend_freshness(session, visit).await?;
        let (found, stored) = self.own_credential(&session.user, id).await?;
        let all = self.ground.records.credentials_of(&session.user).await?;
        let Some(other) = all.iter().find(|other| other.id != *id) else {
            return Err(FlowError::LastCredential);
        };
        let opened = self.sessions.opened_with(&session.user, id).await?.into_iter();
        let opened = opened.filter(|other| other.record().id != session.id);
        let ended: Ended = opened.map(|session| (session, End::CredentialRemoved)).collect();
        // Two removals at once must leave a passkey: each expects the other's passkey in place.
        let batch = Batch::default()
            .expect(keys::credential(id), stored)
            .expect(keys::credential(&other.id), records::encode(other)?)
            .and(records::delete_credential(&found))
            .and(self.ground.records.forgetting_own_link(&session.user).await?)
            .and(self.telling_of_removal(&found, visit)?)
            .and(spent);
        Ok((batch, ended, found))
    }

    fn telling_of_removal(&self, removed: &Credential, visit: &Visit) -> Result<Batch, FlowError> {
        let Some(owner) = self.sessions.active_user(&removed.user) else { return Ok(Batch::default()) };
        self.messages.notice(
            &owner,
            Content::PasskeyRemoved {
                passkey: removed.name.as_str().to_owned(),
                about: Some(self.messages.about(removed, visit)),
            },
        )
    }

    /// A credential that belongs to `user`; another user's does not exist for them.
    pub(in crate::flows) async fn own_credential(
        &self,
        user: &UserId,
        id: &CredentialId,
    ) -> Result<(Credential, Vec<u8>), FlowError> {
        let found: Option<(Credential, _)> = self.ground.records.get_exact(&keys::credential(id)).await?;
        found.filter(|(credential, _)| credential.user == *user).ok_or(FlowError::NotFound)
    }
}
