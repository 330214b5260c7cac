//! Prints answers: text for people, JSON for programs.

use std::fmt::Write as _;

use serde_json::json;

use super::Failure;
use super::token::told;
use crate::admin::{
    Answer, BanLine, InvitationLine, InvitedLine, Link, SessionLine, TrailLine, UserDetails, UserLine,
};
use crate::domain::user::{Email, Role, Standing};

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
}

impl Form {
    /// The form that `--json` chooses.
    pub(super) const fn of(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }
}

fn link_lines(invited: &[InvitedLine]) -> String {
    let lines = invited.iter().map(|one| format!("{}\t{}", one.email, one.link.reveal()));
    lines.collect::<Vec<_>>().join("\n")
}

/// A link, with what it does and further facts.
fn link_to_send(email: &Email, does: &str, link: &Link, more: &str) -> String {
    format!(
        "Send this link to {email}. {does}:\n\n    {}\n\n{more}The link opens the account, so send it \
         over a channel that you trust.",
        link.reveal()
    )
}

fn uninvited(refused: &[(usize, String)]) -> Failure {
    let lines = refused.iter().map(|(at, why)| format!("guest {}: {why}", at + 1));
    Failure(lines.collect::<Vec<_>>().join("\n"))
}

/// The text that is printed for an answer.
pub(super) fn printed(answer: Answer, form: Form) -> Result<String, Failure> {
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
            link_to_send(&email, &format!("It works once, until {expires_at}"), &link, &format!("{called}\n"))
        }
        (Answer::InvitedAll { invited }, Form::Json) => json!(invited).to_string(),
        (Answer::InvitedAll { invited }, Form::Text) => link_lines(&invited),
        (Answer::NobodyInvited { refused }, _) => return Err(uninvited(&refused)),
        (Answer::Invitations { invitations, .. }, Form::Json) => json!(invitations).to_string(),
        (Answer::Invitations { invitations, next }, Form::Text) => {
            invitation_table(&invitations, next.as_deref())
        }
        (Answer::Users { users, next }, Form::Json) => json!({ "users": users, "next": next }).to_string(),
        (Answer::Users { users, next }, Form::Text) => user_table(&users, next.as_deref()),
        (Answer::User { user }, Form::Json) => json!(user).to_string(),
        (Answer::User { user }, Form::Text) => user_page(&user),
        (Answer::Sessions { sessions, .. }, Form::Json) => json!(sessions).to_string(),
        (Answer::Sessions { sessions, next }, Form::Text) => session_table(&sessions, next.as_deref()),
        (Answer::Reset { link, email, expires_at, id }, Form::Json) => {
            json!({ "link": link.reveal(), "expires_at": expires_at, "email": email, "id": id }).to_string()
        }
        (Answer::Reset { link, email, expires_at, .. }, Form::Text) => link_to_send(
            &email,
            &format!("It adds a passkey to their account, once, until {expires_at}"),
            &link,
            "",
        ),
        (Answer::Trail { entries, .. }, form) => {
            entries.iter().map(|entry| trail_line(entry, form)).collect::<Vec<_>>().join("\n")
        }
        (Answer::Explained { told }, _) => json!(told).to_string(),
        (Answer::Bans { bans }, Form::Json) => json!(bans).to_string(),
        (Answer::Bans { bans }, Form::Text) => ban_table(&bans),
        (answer @ (Answer::TokenCreated { .. } | Answer::Tokens { .. }), form) => told(answer, form),
        (Answer::Banned { ban }, _) => banned(ban),
        // `declared` and `webauthn_proxy` print the answers of their own commands.
        (
            Answer::Done
            | Answer::BackupFollows
            | Answer::Applied { .. }
            | Answer::NothingApplied { .. }
            | Answer::Imported { .. },
            _,
        ) => "Done.".to_owned(),
        (Answer::SessionsEnded { count }, _) => sessions_ended(count),
        (Answer::Reloaded { after_restart }, _) => reloaded(&after_restart),
        (Answer::Upgrading { .. }, _) => "The new program is about to take over.".to_owned(),
        (Answer::KeyRotated { key }, _) => {
            format!("New tokens are signed with key {key}; open sessions go on.")
        }
        (Answer::KeysBurnt { key, sessions, access_tokens, messages }, _) => format!(
            "Earlier keys are burnt; new tokens are signed with key {key}. {sessions} sessions ended, {access_tokens} \
             access tokens were revoked, and {messages} waiting messages were deleted."
        ),
        (Answer::Health { version, ready: false, .. }, _) => {
            return Err(Failure(format!("Vestibule {version} is not ready: its store takes no changes")));
        }
        (Answer::Health { version, sessions, remarks, .. }, _) => {
            let ready = format!("Vestibule {version} is ready, with {sessions} sessions.");
            std::iter::once(ready).chain(remarks.clone()).collect::<Vec<_>>().join("\n")
        }
    })
}

fn reloaded(after_restart: &[String]) -> String {
    let taken_in = "The configuration is in force.";
    if after_restart.is_empty() {
        return taken_in.to_owned();
    }
    format!("{taken_in} These keys count after a restart: {}.", after_restart.join(", "))
}

fn user_table(users: &[UserLine], next: Option<&str>) -> String {
    if users.is_empty() && next.is_none() {
        return "There is no user.".to_owned();
    }
    let head = ["USERNAME", "E-MAIL", "NAME", "GROUPS", "PASSKEYS", "STATUS"];
    with_next(columns(head, users.iter().map(row)), next)
}

/// A page of a table, and how to ask for the next one.
pub(super) fn with_next(table: String, next: Option<&str>) -> String {
    match next {
        None => table,
        Some(next) => format!("{table}\n\nThere are more: add --after {next}"),
    }
}

fn user_page(details: &UserDetails) -> String {
    let UserDetails { user, note, attributes, created_at, credentials, sessions } = details;
    let mut text = user_table(std::slice::from_ref(user), None);
    let _ = write!(text, "\n\nId {}, since {created_at}", user.id);
    if let Some(end) = &user.expires_at {
        let _ = write!(text, ", until {end}");
    }
    if let Some(note) = note {
        let _ = write!(text, "\nNote: {}", note.as_str());
    }
    for (name, value) in attributes {
        let _ = write!(text, "\n{name}: {}", value.as_str());
    }
    let passkeys = credentials.iter().map(|it| {
        let used = it.last_used_at.clone().unwrap_or_else(|| "never".to_owned());
        [it.name.clone(), it.created_at.clone(), used, it.id.to_string()]
    });
    let _ = write!(text, "\n\n{}", columns(["PASSKEY", "ADDED", "LAST USED", "ID"], passkeys));
    let _ = write!(text, "\n\n{}", session_table(sessions, None));
    text
}

fn session_table(sessions: &[SessionLine], next: Option<&str>) -> String {
    if sessions.is_empty() && next.is_none() {
        return "No session is open.".to_owned();
    }
    let row = |it: &SessionLine| {
        let client = it.client.map(|network| network.to_string()).unwrap_or_default();
        let device = it.device.clone().unwrap_or_default();
        [it.id.to_string(), it.created_at.clone(), it.last_seen_at.clone(), client, device]
    };
    let head = ["SESSION", "BEGAN", "LAST SEEN", "NETWORK", "DEVICE"];
    with_next(columns(head, sessions.iter().map(row)), next)
}

/// One event on one line.
pub(super) fn trail_line(entry: &TrailLine, form: Form) -> String {
    if form == Form::Json {
        return json!(entry).to_string();
    }
    let TrailLine { at, event, outcome, actor, user, client, request, route, reason, subject, .. } = entry;
    let mut line = format!("{at} {event} {} actor={actor}", outcome.label());
    let user = user.map(|user| user.to_string());
    let facts = [
        ("user", &user),
        ("client", client),
        ("request", request),
        ("route", route),
        ("reason", reason),
        ("subject", subject),
    ];
    for (name, value) in facts {
        if let Some(value) = value {
            let _ = write!(line, " {name}={value}");
        }
    }
    line
}

fn invitation_table(invitations: &[InvitationLine], next: Option<&str>) -> String {
    if invitations.is_empty() && next.is_none() {
        return "There is no invitation that can still be used.".to_owned();
    }
    let row =
        |it: &InvitationLine| [it.id.to_string(), it.email.to_string(), it.expires_at.clone(), it.by.clone()];
    with_next(columns(["ID", "E-MAIL", "EXPIRES", "BY"], invitations.iter().map(row)), next)
}

fn sessions_ended(count: usize) -> String {
    if count == 1 { "One session ended.".to_owned() } else { format!("{count} sessions ended.") }
}

fn banned(BanLine { network, expires_at, .. }: BanLine) -> String {
    let end = expires_at.unwrap_or_else(|| "an administrator removes the ban".to_owned());
    format!("{network} is banned until {end}.")
}

fn ban_table(bans: &[BanLine]) -> String {
    if bans.is_empty() {
        return "No network is banned.".to_owned();
    }
    let row = |it: &BanLine| {
        let end = it.expires_at.clone().unwrap_or_else(|| "never".to_owned());
        [it.network.clone(), end, it.by.clone(), it.at.clone(), it.reason.clone().unwrap_or_default()]
    };
    columns(["NETWORK", "EXPIRES", "BY", "SINCE", "REASON"], bans.iter().map(row))
}

pub(super) fn columns<const N: usize>(head: [&str; N], body: impl Iterator<Item = [String; N]>) -> String {
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
        (Standing::Pending, _) => "waiting",
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
    use crate::domain::user::{DisplayName, Email, Group, Username};

    #[test]
    fn invitation_json_has_the_documented_fields() {
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
    fn refused_command_exits_with_failure() {
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
            last_used_at: None,
            expires_at: None,
        };
        let text = printed(Answer::Users { users: vec![user], next: None }, Form::Text).unwrap();
        assert_eq!(
            text,
            "USERNAME  E-MAIL           NAME  GROUPS     PASSKEYS  STATUS\n\
             zoe       zoe@example.com  Zoë   ops,staff  2         administrator"
        );
    }
}
