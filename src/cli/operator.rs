//! Commands that a running gateway carries out. How their answers are printed is in `answers`.

use std::path::Path;
use std::time::Duration;

use super::answers::{Form, printed, trail_line};
use super::arguments::{
    AccountEnd, Audit, Ban, Invitation, Invite, Key, Operator, Part, RoleName, Session, User,
};
use super::{Ask, Failure, Outcome, lists, say};
use crate::admin::client::{self, CallError};
use crate::admin::{Answer, Request};
use crate::domain::invitation::LinkDelivery;
use crate::domain::user::{Role, groups_of_one};
use crate::ports::Clock;
use crate::system::SystemClock;

/// How often `audit --follow` asks for new events.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);
/// How many events it asks for at a time.
const FOLLOWED_MAX: usize = 500;
/// How often `upgrade` looks whether the new program answers, and how long the program may take to
/// start.
const UPGRADE_INTERVAL: Duration = Duration::from_millis(50);
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// Carries a command out with `ask`, or with the gateway behind `socket` where it is about the
/// process, and prints the answer.
pub(super) fn run(socket: &Path, ask: &Ask<'_>, command: Operator) -> Outcome {
    if let Operator::Audit(audit) = &command
        && audit.follow
    {
        return follow(socket, ask, audit);
    }
    let (request, form) = request(command)?;
    let text = match request {
        Request::Upgrade => return upgrade(socket),
        // These requests are about the process, not about the store.
        Request::Reload | Request::Health => printed(client::call(socket, &request)?, form)?,
        request => lists::told(request, form, ask)?,
    };
    if !text.is_empty() {
        say(&text);
    }
    Ok(())
}

/// Has another program take over, and waits until it answers.
fn upgrade(socket: &Path) -> Outcome {
    let started_at = || match client::call(socket, &Request::Health)? {
        Answer::Health { started_at, version, .. } => Ok((started_at, version)),
        answer => Err(Failure(format!("the gateway gives an answer of another version: {answer:?}"))),
    };
    let (before, _) = started_at()?;
    let within = match client::call(socket, &Request::Upgrade)? {
        Answer::Upgrading { within_seconds } => Duration::from_secs(within_seconds) + START_TIMEOUT,
        answer => return printed(answer, Form::Text).map(|text| say(&text)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let answers = async {
        loop {
            tokio::time::sleep(UPGRADE_INTERVAL).await;
            match started_at() {
                Ok((now, version)) if now != before => return version,
                _ => {}
            }
        }
    };
    let version = runtime.block_on(async { tokio::time::timeout(within, answers).await });
    let version = version.map_err(|_| {
        Failure(format!("no new gateway answers at {} within {within:?}: its log says why", socket.display()))
    })?;
    say(&format!("Vestibule {version} has taken over."));
    Ok(())
}

/// Prints the events of the trail, oldest first, and then new ones, until the process is
/// interrupted or no gateway is running.
fn follow(socket: &Path, ask: &Ask<'_>, audit: &Audit) -> Outcome {
    let form = Form::of(audit.json);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let mut newest: Option<String> = None;
    let mut answer = ask(trail(audit, audit.limit))?;
    loop {
        let Answer::Trail { entries, .. } = answer else {
            return printed(answer, form).map(|text| say(&text));
        };
        let new: Vec<_> = entries.iter().take_while(|entry| Some(&entry.id) != newest.as_ref()).collect();
        for entry in new.iter().rev() {
            say(&trail_line(entry, form));
        }
        newest = entries.into_iter().next().map(|entry| entry.id).or(newest);
        // A sleep is made inside the runtime, or it panics.
        runtime.block_on(async { tokio::time::sleep(FOLLOW_INTERVAL).await });
        answer = match client::call(socket, &trail(audit, FOLLOWED_MAX)) {
            Err(why @ CallError::NotRunning(_)) => {
                return Err(Failure(format!("{why}, so that nothing is followed: start one first")));
            }
            answer => answer?,
        };
    }
}

fn trail(audit: &Audit, limit: usize) -> Request {
    // A length of time is counted by the terminal's clock, because its user means that one.
    let now = SystemClock::default().now();
    Request::Audit {
        user: audit.user.clone(),
        event: audit.event.clone(),
        since: audit.since.map(|length| now.minus(length)),
        limit: Some(limit),
        after: None,
    }
}

fn request(command: Operator) -> Result<(Request, Form), Failure> {
    let form = Form::of;
    Ok(match command {
        Operator::Invite(invite) => (invitation(&invite)?, form(invite.links.json)),
        Operator::Invitation(Invitation::List(Part { limit, after, json })) => {
            (Request::InvitationList { limit, after }, form(json))
        }
        Operator::Invitation(Invitation::Revoke { id }) => (Request::InvitationRevoke { id }, Form::Text),
        Operator::User(user) => account(user)?,
        Operator::Session(Session::List { user, part: Part { limit, after, json } }) => {
            (Request::SessionList { user, limit, after }, form(json))
        }
        Operator::Audit(audit) => (trail(&audit, audit.limit), form(audit.json)),
        Operator::Session(Session::End { user, session }) => {
            (Request::SessionEnd { user, session }, Form::Text)
        }
        Operator::Ban(ban) => banning(ban),
        Operator::Reload => (Request::Reload, Form::Text),
        Operator::Upgrade => (Request::Upgrade, Form::Text),
        Operator::Status => (Request::Health, Form::Text),
        Operator::Key(Key::Rotate { burn }) => (Request::KeyRotate { burn }, Form::Text),
    })
}

fn banning(command: Ban) -> (Request, Form) {
    match command {
        Ban::List { json } => (Request::BanList, Form::of(json)),
        Ban::Add { network, length, reason } => {
            let length_in_seconds = length.map(|length| length.as_secs());
            (Request::BanAdd { network, length_in_seconds, reason }, Form::Text)
        }
        Ban::Remove { network } => (Request::BanRemove { network }, Form::Text),
    }
}

fn account(command: User) -> Result<(Request, Form), Failure> {
    let plain = |request| (request, Form::Text);
    Ok(match command {
        User::List { search, part: Part { limit, after, json } } => {
            (Request::UserList { search, limit, after }, Form::of(json))
        }
        User::Show { user, json } => (Request::UserShow { user }, Form::of(json)),
        User::Reset { user, wipe, mail, json } => {
            (Request::UserReset { user, wipe, delivery: LinkDelivery::mailed_if(mail) }, Form::of(json))
        }
        User::Name { user, name } => plain(Request::UserName { user, name }),
        User::Attribute { user, name, value } => plain(Request::UserAttribute { user, name, value }),
        User::Note { user, note } => plain(Request::UserNote { user, note }),
        User::Expires { user, when: AccountEnd::Never } => {
            plain(Request::UserExpiry { user, in_seconds: None })
        }
        User::Expires { user, when: AccountEnd::After(length) } => {
            plain(Request::UserExpiry { user, in_seconds: Some(length.as_secs()) })
        }
        User::RemovePasskey { user, passkey } => plain(Request::PasskeyRemove { user, passkey }),
        User::Delete { user } => plain(Request::UserDelete { user }),
        User::Role { user, role } => plain(Request::UserRole { user, role: role.into() }),
        User::Groups { user, groups } => plain(Request::UserGroups { user, groups: groups_of_one(groups)? }),
        // Disabling an account ends its sessions and access tokens as well.
        User::Disable { user } | User::Lock { user } => plain(Request::UserDisable { user }),
        User::Enable { user } => plain(Request::UserEnable { user }),
    })
}

fn invitation(invite: &Invite) -> Result<Request, Failure> {
    Ok(Request::Invite {
        email: invite.email.clone(),
        name: invite.name.clone(),
        username: invite.username.clone(),
        groups: groups_of_one(invite.groups.iter().cloned())?,
        role: if invite.admin { Role::Administrator } else { Role::Member },
        expires_in_seconds: invite.links.expires.map(|length| length.as_secs()),
        delivery: LinkDelivery::mailed_if(invite.links.mail),
    })
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Administrator => Self::Administrator,
            RoleName::Member => Self::Member,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::user::{GROUPS_MAX, Group};

    #[test]
    fn refuses_too_many_groups_before_calling_the_gateway() {
        let groups = (0..=GROUPS_MAX).map(|n| Group::parse(&format!("g{n}")).unwrap()).collect();
        let command = Operator::User(User::Groups { user: "alice".to_owned(), groups });
        assert_eq!(request(command).unwrap_err().0, "a user is in at most 64 groups");
    }
}
