//! Commands that a running gateway carries out, and how their answers are printed.

use std::path::Path;

use serde_json::json;

use super::arguments::{Invitation, Invite, Key, Operator, RoleName, Session, User};
use super::{Failure, Outcome, say};
use crate::admin::client::{self, CallError};
use crate::admin::{Answer, Delivery, InvitationLine, Request, UserLine};
use crate::app;
use crate::config::Settings;
use crate::domain::user::{Role, Standing, groups_of_one};

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Json,
}

/// Asks the gateway behind `socket`, or the store itself where none runs, and prints the answer.
pub(super) fn run(
    socket: &Path,
    settings: impl FnOnce() -> Result<Settings, Failure>,
    command: Operator,
) -> Outcome {
    let (request, form) = request(command)?;
    let answer = match client::call(socket, &request) {
        Err(CallError::NotRunning(_)) => app::operate(&settings()?, request)?,
        answer => answer?,
    };
    say(&printed(answer, form)?);
    Ok(())
}

fn request(command: Operator) -> Result<(Request, Form), Failure> {
    let form = |json| if json { Form::Json } else { Form::Text };
    Ok(match command {
        Operator::Invite(invite) => (invitation(&invite)?, form(invite.json)),
        Operator::Invitation(Invitation::List { json }) => (Request::InvitationList, form(json)),
        Operator::Invitation(Invitation::Revoke { id }) => (Request::InvitationRevoke { id }, Form::Text),
        Operator::User(User::Role { user, role }) => {
            (Request::UserRole { user, role: role.into() }, Form::Text)
        }
        Operator::User(User::List { json }) => (Request::UserList, form(json)),
        Operator::User(User::Groups { user, groups }) => {
            (Request::UserGroups { user, groups: groups_of_one(groups)? }, Form::Text)
        }
        Operator::User(User::Disable { user }) => (Request::UserDisable { user }, Form::Text),
        Operator::User(User::Enable { user }) => (Request::UserEnable { user }, Form::Text),
        Operator::Session(Session::End { user, session }) => {
            (Request::SessionEnd { user, session }, Form::Text)
        }
        Operator::Key(Key::Rotate { burn }) => (Request::KeyRotate { burn }, Form::Text),
    })
}

fn invitation(invite: &Invite) -> Result<Request, Failure> {
    Ok(Request::Invite {
        email: invite.email.clone(),
        name: invite.name.clone(),
        username: invite.username.clone(),
        groups: groups_of_one(invite.groups.iter().cloned())?,
        role: if invite.admin { Role::Administrator } else { Role::Member },
        expires_in_seconds: invite.expires.map(|length| length.as_secs()),
        delivery: if invite.mail { Delivery::ByMail } else { Delivery::ByHand },
    })
}

fn printed(answer: Answer, form: Form) -> Result<String, Failure> {
    Ok(match (answer, form) {
        (Answer::Refused { reason }, _) => return Err(Failure(reason)),
        (Answer::Invited { id, link, email, expires_at, username }, Form::Json) => {
            let link = link.reveal();
            json!({ "link": link, "email": email, "expires_at": expires_at, "id": id, "username": username })
                .to_string()
        }
        (Answer::Invited { link, email, expires_at, username, .. }, Form::Text) => {
            let called = username.map_or_else(
                || "It adds a passkey to their account.".to_owned(),
                |username| format!("Applications will know them as \"{username}\"."),
            );
            format!(
                "Send this link to {email}. It works once, until {expires_at}:\n\n    {}\n\n{called}\n\
                 Whoever has it can take the account, so send it over a channel you trust.",
                link.reveal()
            )
        }
        (Answer::Invitations { invitations }, Form::Json) => json!(invitations).to_string(),
        (Answer::Invitations { invitations }, Form::Text) => invitation_table(&invitations),
        (Answer::Users { users }, Form::Json) => json!(users).to_string(),
        (Answer::Users { users }, Form::Text) => table(&users),
        (Answer::Done, _) => "Done.".to_owned(),
        (Answer::SessionsEnded { count: 1 }, _) => "One session ended.".to_owned(),
        (Answer::SessionsEnded { count }, _) => format!("{count} sessions ended."),
        (Answer::KeyRotated { key }, _) => {
            format!("New tokens are signed with key {key}; open sessions go on.")
        }
        (Answer::KeysBurnt { key, sessions, messages }, _) => format!(
            "Earlier keys are burnt; new tokens are signed with key {key}. {sessions} sessions ended, and \
             {messages} messages that waited were thrown away."
        ),
        (Answer::Health { version, ready, sessions }, _) => {
            let state = if ready { "ready" } else { "not ready" };
            format!("Vestibule {version} is {state}, with {sessions} sessions.")
        }
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

fn table(users: &[UserLine]) -> String {
    if users.is_empty() {
        return "Nobody has an account yet.".to_owned();
    }
    let head = ["USERNAME", "E-MAIL", "NAME", "GROUPS", "PASSKEYS", "STATUS"];
    columns(head, users.iter().map(row))
}

fn invitation_table(invitations: &[InvitationLine]) -> String {
    if invitations.is_empty() {
        return "There is no invitation that can still be redeemed.".to_owned();
    }
    let row =
        |it: &InvitationLine| [it.id.to_string(), it.email.to_string(), it.expires_at.clone(), it.by.clone()];
    columns(["ID", "E-MAIL", "EXPIRES", "BY"], invitations.iter().map(row))
}

fn columns<const N: usize>(head: [&str; N], body: impl Iterator<Item = [String; N]>) -> String {
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(body);
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn row(user: &UserLine) -> [String; 6] {
    let groups: Vec<_> = user.groups.iter().map(ToString::to_string).collect();
    let status = match (user.standing, user.role) {
        (Standing::Disabled, _) => "disabled",
        (Standing::Active, Role::Administrator) => "administrator",
        (Standing::Active, Role::Member) => "active",
    };
    [
        user.username.to_string(),
        user.email.to_string(),
        user.name.to_string(),
        groups.join(","),
        user.passkeys.to_string(),
        status.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Link;
    use crate::domain::id::{InvitationId, UserId};
    use crate::domain::user::{DisplayName, Email, GROUPS_MAX, Group, Username};

    #[test]
    fn an_invitation_in_json_has_the_promised_fields() {
        let answer = Answer::Invited {
            id: InvitationId([1; 16]),
            link: Link::new("http://localhost:8080/auth/enroll#s".to_owned()),
            email: Email::parse("alice@example.com").unwrap(),
            expires_at: "2026-01-01T00:00:00.000Z".to_owned(),
            username: Some(Username::parse("alice").unwrap()),
        };
        let line: serde_json::Value = serde_json::from_str(&printed(answer, Form::Json).unwrap()).unwrap();
        assert_eq!(
            line,
            json!({
                "link": "http://localhost:8080/auth/enroll#s",
                "email": "alice@example.com",
                "expires_at": "2026-01-01T00:00:00.000Z",
                "id": "01".repeat(16),
                "username": "alice",
            })
        );
    }

    #[test]
    fn too_many_groups_are_refused_before_anybody_is_asked() {
        let groups = (0..=GROUPS_MAX).map(|n| Group::parse(&format!("g{n}")).unwrap()).collect();
        let command = Operator::User(User::Groups { user: "alice".to_owned(), groups });
        assert_eq!(request(command).unwrap_err().0, "a person is in at most 64 groups");
    }

    #[test]
    fn a_refusal_is_a_failure() {
        let refused = Answer::Refused { reason: "nobody is called x".to_owned() };
        assert_eq!(printed(refused, Form::Text).unwrap_err().0, "nobody is called x");
    }

    #[test]
    fn people_are_listed_in_columns() {
        let user = UserLine {
            id: UserId::from_random([1; 16]),
            username: Username::parse("zoe").unwrap(),
            email: Email::parse("zoe@example.com").unwrap(),
            name: DisplayName::parse("Zoë").unwrap(),
            groups: [Group::parse("ops").unwrap(), Group::parse("staff").unwrap()].into(),
            role: Role::Administrator,
            standing: Standing::Active,
            passkeys: 2,
        };
        let text = printed(Answer::Users { users: vec![user] }, Form::Text).unwrap();
        assert_eq!(
            text,
            "USERNAME  E-MAIL           NAME  GROUPS     PASSKEYS  STATUS\n\
             zoe       zoe@example.com  Zoë   ops,staff  2         administrator"
        );
    }
}
