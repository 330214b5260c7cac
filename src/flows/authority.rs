//! The evidence that a caller may administer this installation.
//!
//! What always holds: an [`Authority`] comes from the operator's socket, which only the gateway's own
//! user can open, or from the session of an administrator who has shown a passkey a short time ago.
//! The commit of a change expects that this still holds: an administrator who is demoted, disabled
//! or signed out at the same moment changes nothing.

use std::net::IpAddr;

use crate::domain::event::{Actor, Origin};
use crate::domain::id::SessionId;
use crate::domain::session::{Scope, Session};
use crate::domain::user::Role;
use crate::flows::FlowError;
use crate::flows::attempts::GATEWAY_IN_WORDS;
use crate::flows::sessions::Ended;
use crate::flows::sessions::Sessions;
use crate::flows::visit::Visit;
use crate::ports::Batch;

/// The inviter's name for invitations from the command line.
const OPERATOR_IN_WORDS: &str = "the administrator";

/// The right to administer, and who has it.
pub struct Authority(Holder);

enum Holder {
    Operator,
    Gateway,
    Administrator { session: Box<Session>, visit: Visit },
}

impl Authority {
    /// The authority of a process that may open the operator's socket, or the store.
    /// `tests/architecture.rs` keeps it to `admin/`.
    pub const fn of_operator() -> Self {
        Self(Holder::Operator)
    }

    /// The authority of the gateway itself, which makes backups and bans as it was told to.
    pub const fn of_gateway() -> Self {
        Self(Holder::Gateway)
    }

    /// The origin of a change, for the audit trail.
    pub fn origin(&self) -> Origin {
        match &self.0 {
            Holder::Gateway => Origin::default(),
            Holder::Operator => Origin { actor: Actor::Operator, ..Origin::default() },
            Holder::Administrator { session, visit } => {
                Origin { actor: Actor::Administrator(session.user), ..visit.origin() }
            }
        }
    }

    /// The address of the administrator who has it; an operator has none.
    pub fn client(&self) -> Option<IpAddr> {
        match &self.0 {
            Holder::Operator | Holder::Gateway => None,
            Holder::Administrator { visit, .. } => visit.client,
        }
    }

    /// Whether it is an operator's, who may open the store itself as well.
    pub const fn is_operator(&self) -> bool {
        matches!(self.0, Holder::Operator)
    }

    /// Whether it lasts no longer than a session that ends with the change.
    fn rests_on(&self, ended: &Ended) -> Option<SessionId> {
        match &self.0 {
            Holder::Operator | Holder::Gateway => None,
            Holder::Administrator { session, .. } => {
                ended.iter().map(|(it, _)| it.record().id).find(|id| *id == session.id)
            }
        }
    }
}

impl Sessions {
    /// The authority of the owner of `session`. [`FlowError::NotPermitted`] for a member, for a
    /// session that may only enrol, and for a caller with an access token;
    /// [`FlowError::StepUpRequired`] where the last passkey was shown too long ago.
    pub fn authority_of(&self, session: &Session, visit: &Visit) -> Result<Authority, FlowError> {
        let user = self.active_user(&session.user).ok_or(FlowError::NotPermitted)?;
        let may = user.role == Role::Administrator && session.scope == Scope::Full && !visit.by_access_token;
        if !may {
            return Err(FlowError::NotPermitted);
        }
        self.must_be_fresh(session, visit).map_err(in_place)?;
        Ok(Authority(Holder::Administrator { session: Box::new(session.clone()), visit: visit.clone() }))
    }

    /// The name of the holder of `authority`, for the people who are invited and for lists.
    pub fn name_of(&self, authority: &Authority) -> String {
        let user = match &authority.0 {
            Holder::Gateway => return GATEWAY_IN_WORDS.to_owned(),
            Holder::Operator => None,
            Holder::Administrator { session, .. } => self.index.user(&session.user),
        };
        user.map_or_else(|| OPERATOR_IN_WORDS.to_owned(), |user| user.display_name.to_string())
    }

    /// The batch that expects that `authority` still holds, and uses up the freshness of the
    /// administrator's session. A session that is among `ended` keeps its freshness, because it ends
    /// with the change.
    pub(in crate::flows) async fn spend_freshness_of(
        &self,
        authority: &Authority,
        ended: &Ended,
    ) -> Result<Batch, FlowError> {
        let Holder::Administrator { session, visit } = &authority.0 else { return Ok(Batch::default()) };
        let (user, unchanged) = self.ground.owner_of(session).await?;
        if user.role != Role::Administrator {
            return Err(FlowError::NotPermitted);
        }
        if authority.rests_on(ended).is_some() {
            return Ok(unchanged);
        }
        Ok(unchanged.and(self.spend_freshness(session, visit).await.map_err(in_place)?))
    }
}

/// An administrator is asked for their passkey in place; the change is then made as it was asked for.
fn in_place(error: FlowError) -> FlowError {
    match error {
        FlowError::NotFresh => FlowError::StepUpRequired,
        other => other,
    }
}
