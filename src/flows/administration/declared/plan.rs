//! How the accounts differ from the declaration, and the steps that resolve the differences.
//!
//! What does not live here: carrying the steps out (`flows/administration/declared.rs`).
//!
//! What always holds: a plan changes nothing; there is none where a user cannot be as declared, or
//! where no administrator would be left. Memory holds who is declared and what is to be done; all
//! others are gone over one by one.

use std::collections::{HashMap, HashSet};

use crate::domain::attribute::AttributeEdits;
use crate::domain::declared::{DeclaredStanding, DeclaredUser, Difference, Others, changes};
use crate::domain::id::UserId;
use crate::domain::invitation::{AccountTerms, INVITATION_LIFETIME_MAX, Invitation};
use crate::domain::time::Timestamp;
use crate::domain::user::{Email, Role, Standing, User, Username};
use crate::flows::FlowError;
use crate::flows::administration::Administration;
use crate::flows::administration::declared::Declaration;
use crate::flows::administration::invitations::Guest;
use crate::flows::administration::people::{UserEdit, takes_an_administrator};
use crate::flows::authority::Authority;
use crate::records::keys;

/// The changes to make, in the order of the file.
#[derive(Debug)]
pub struct Plan {
    pub(in crate::flows) steps: Vec<Step>,
    /// How many declared users are as they should be.
    pub unchanged: usize,
}

impl Plan {
    /// The differences, in the order of the file.
    pub fn differences(self) -> impl Iterator<Item = Difference> {
        self.steps.into_iter().map(|step| step.difference)
    }
}

#[derive(Debug)]
pub(in crate::flows) struct Step {
    pub(in crate::flows) difference: Difference,
    pub(in crate::flows) act: Act,
}

#[derive(Debug)]
pub(in crate::flows) enum Act {
    Invite { guest: Box<Guest>, terms: AccountTerms },
    Edit { user: UserId, edit: Box<UserEdit>, takes_an_administrator: bool },
    Revoke(Box<Invitation>),
}

impl Step {
    pub(in crate::flows) const fn takes_an_administrator(&self) -> bool {
        matches!(self.act, Act::Edit { takes_an_administrator: true, .. })
    }
}

/// Why there is no plan. Nothing was changed.
#[derive(Debug)]
pub enum NotPlanned {
    /// These users cannot be as declared.
    Users(Vec<Objection>),
    /// No administrator would be left. These users would cease to be administrators.
    NoAdministrator(Vec<Email>),
    Failed(FlowError),
}

/// Why a user cannot be as declared: their place in the declaration from 0, and the username that
/// is taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Objection {
    pub at: usize,
    pub username: Username,
}

impl<E: Into<FlowError>> From<E> for NotPlanned {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// The accounts and invitations of those who are declared.
struct Present {
    users: HashMap<Email, User>,
    /// By address, of those who have no account.
    invitations: HashMap<Email, Invitation>,
    now: Timestamp,
    invited_by: String,
}

impl Administration {
    /// The changes that make every user as declared.
    pub async fn plan(&self, authority: &Authority, declaration: &Declaration) -> Result<Plan, NotPlanned> {
        let present = self.present(authority, &declaration.users).await?;
        let objections = self.objections(&present, &declaration.users).await?;
        if !objections.is_empty() {
            return Err(NotPlanned::Users(objections));
        }
        let wanted = declaration.users.iter().map(|declared| present.step_towards(declared));
        let mut plan = Plan { steps: Vec::new(), unchanged: 0 };
        for step in wanted {
            match step {
                Some(step) => plan.steps.push(step),
                None => plan.unchanged += 1,
            }
        }
        if declaration.others == Others::Pruned {
            let declared: HashSet<_> = declaration.users.iter().map(|user| &user.email).collect();
            plan.steps.extend(self.steps_without(&declared).await?);
        }
        self.must_leave_an_administrator(&plan).await?;
        Ok(plan)
    }

    async fn present(&self, authority: &Authority, users: &[DeclaredUser]) -> Result<Present, FlowError> {
        let mut present = Present {
            users: HashMap::new(),
            invitations: HashMap::new(),
            now: self.ground.clock.now(),
            invited_by: self.sessions.name_of(authority),
        };
        for DeclaredUser { email, .. } in users {
            if let Some(user) = self.ground.records.user_by_email(email).await? {
                present.users.insert(email.clone(), user);
            } else if let Some(invitation) = self.promise_to(email).await? {
                present.invitations.insert(email.clone(), invitation);
            }
        }
        Ok(present)
    }

    /// The invitation that promises an account to this address.
    async fn promise_to(&self, email: &Email) -> Result<Option<Invitation>, FlowError> {
        let records = &self.ground.records;
        let Some(secret) = records.get(&keys::invitation_for(email)).await? else { return Ok(None) };
        let found = records.invitation(&secret).await?;
        Ok(found.filter(|it| is_open_promise(it, self.ground.clock.now())))
    }

    /// The steps that close every account that is not declared, and take back every promise of one.
    async fn steps_without(&self, declared: &HashSet<&Email>) -> Result<Vec<Step>, FlowError> {
        let (records, now) = (&self.ground.records, self.ground.clock.now());
        let (mut closing, mut revoked) = (Vec::new(), Vec::new());
        let mut walk = records.walk(keys::USERS);
        let is_open = |user: &User| user.standing != Standing::Disabled && !declared.contains(&user.email);
        while let Some((_, user)) = walk.next_where(is_open).await? {
            closing.push(disabling(&user, now));
        }
        let mut walk = records.walk(keys::INVITATIONS);
        let is_stray = |it: &Invitation| is_open_promise(it, now) && !declared.contains(&it.email);
        while let Some((_, invitation)) = walk.next_where(is_stray).await? {
            revoked.push(revoking(&invitation));
        }
        for steps in [&mut closing, &mut revoked] {
            steps.sort_by(|a, b| a.difference.email().cmp(b.difference.email()));
        }
        closing.append(&mut revoked);
        Ok(closing)
    }

    /// The users who are declared to have a username that another user has, or had.
    async fn objections(
        &self,
        present: &Present,
        users: &[DeclaredUser],
    ) -> Result<Vec<Objection>, FlowError> {
        let mut objections = Vec::new();
        for (at, declared) in users.iter().enumerate() {
            let Some(username) = &declared.username else { continue };
            let user = present.users.get(&declared.email);
            if user.is_some_and(|user| user.username == *username) {
                continue;
            }
            let owner = self.ground.records.username_owner(username).await?;
            if owner.is_some_and(|owner| user.is_none_or(|user| user.id != owner)) {
                objections.push(Objection { at, username: username.clone() });
            }
        }
        Ok(objections)
    }

    /// Refuses a plan that takes administrators away and leaves none who can sign in. The commits
    /// of its steps check the same again.
    async fn must_leave_an_administrator(&self, plan: &Plan) -> Result<(), NotPlanned> {
        let parting = plan.steps.iter().filter(|step| step.takes_an_administrator());
        let parting: Vec<_> = parting.map(|step| step.difference.email().clone()).collect();
        if parting.is_empty() {
            return Ok(());
        }
        let edits: HashMap<_, _> = plan
            .steps
            .iter()
            .filter_map(|step| match &step.act {
                Act::Edit { user, edit, .. } => Some((*user, edit)),
                Act::Invite { .. } | Act::Revoke(_) => None,
            })
            .collect();
        let promoted = edits.iter().filter(|(_, edit)| edit.role == Some(Role::Administrator));
        let promoted = promoted.map(|(id, _)| *id);
        // The index says who may be one; the store decides.
        for id in self.sessions.index.administrators().into_iter().chain(promoted) {
            let Some(user) = self.ground.records.user(&id).await? else { continue };
            let edited = edits.get(&id).map(|edit| edit.applied_to(&user, self.ground.clock.now()).0);
            let after = edited.unwrap_or(user);
            let stays = after.role == Role::Administrator
                && after.standing == Standing::Active
                && after.expires_at.is_none();
            if stays && self.ground.records.has_credentials(&id).await? {
                return Ok(());
            }
        }
        Err(NotPlanned::NoAdministrator(parting))
    }
}

impl Present {
    fn step_towards(&self, declared: &DeclaredUser) -> Option<Step> {
        let invitation = self.invitations.get(&declared.email);
        match (self.users.get(&declared.email), declared.standing) {
            (Some(user), _) => {
                let edit = edit(declared);
                let (after, changed) = edit.applied_to(user, self.now);
                let difference =
                    Difference::Change { email: declared.email.clone(), changes: changes(user, &after) };
                (!changed.is_empty()).then(|| Step { difference, act: changing(user, &after, edit) })
            }
            // No one is invited to an account that opens nothing.
            (None, DeclaredStanding::Disabled) => invitation.map(revoking),
            (None, DeclaredStanding::Active) => {
                let promised = invitation.is_some_and(|it| is_promised(it, declared));
                (!promised).then(|| self.inviting(declared, invitation))
            }
        }
    }

    fn inviting(&self, declared: &DeclaredUser, before: Option<&Invitation>) -> Step {
        let DeclaredUser { email, groups, role, note, expires, .. } = declared.clone();
        let username = declared.username.clone().or_else(|| before?.username.clone());
        let display_name = declared.name.clone().or_else(|| before?.display_name.clone());
        let note = note.or_else(|| before?.terms.note.clone());
        let difference = Difference::Invite { email: email.clone(), groups: groups.clone(), role };
        let (lifetime, invited_by) = (INVITATION_LIFETIME_MAX, self.invited_by.clone());
        let guest = Box::new(Guest { email, display_name, username, groups, role, lifetime, invited_by });
        Step { difference, act: Act::Invite { guest, terms: AccountTerms { note, ends_at: expires } } }
    }
}

fn edit(declared: &DeclaredUser) -> UserEdit {
    UserEdit {
        name: declared.name.clone(),
        username: declared.username.clone(),
        groups: Some(declared.groups.clone()),
        role: Some(declared.role),
        standing: Some(declared.standing.into()),
        note: declared.note.clone().map(Some),
        expires_at: Some(declared.expires),
        attributes: AttributeEdits::new(),
    }
}

fn changing(before: &User, after: &User, edit: UserEdit) -> Act {
    let takes_an_administrator = takes_an_administrator(before, after);
    Act::Edit { user: before.id, edit: Box::new(edit), takes_an_administrator }
}

fn disabling(user: &User, now: Timestamp) -> Step {
    let edit = UserEdit { standing: Some(Standing::Disabled), ..UserEdit::default() };
    let (after, _) = edit.applied_to(user, now);
    let difference = Difference::Disable { email: user.email.clone() };
    Step { difference, act: changing(user, &after, edit) }
}

fn revoking(invitation: &Invitation) -> Step {
    let difference = Difference::Revoke { email: invitation.email.clone() };
    Step { difference, act: Act::Revoke(Box::new(invitation.clone())) }
}

/// Whether `invitation` can still be redeemed, for an account that is not there yet.
fn is_open_promise(invitation: &Invitation, now: Timestamp) -> bool {
    invitation.account.is_none() && invitation.is_live(now)
}

/// Whether `invitation` promises what is declared.
fn is_promised(invitation: &Invitation, declared: &DeclaredUser) -> bool {
    fn as_said<T: PartialEq>(said: Option<&T>, promised: Option<&T>) -> bool {
        said.is_none() || said == promised
    }
    invitation.groups == declared.groups
        && invitation.role == declared.role
        && invitation.terms.ends_at == declared.expires
        && as_said(declared.username.as_ref(), invitation.username.as_ref())
        && as_said(declared.name.as_ref(), invitation.display_name.as_ref())
        && as_said(declared.note.as_ref(), invitation.terms.note.as_ref())
}
