//! `vestibule import users` and `vestibule export users`: people in files.
//!
//! What does not live here: inviting people, which the gateway does.
//!
//! What always holds: every unusable line of a file is named, with the reason, and then no one is
//! invited; and a value that a spreadsheet would take for a formula is not written as one.

use std::collections::HashMap;
use std::io;

use csv::{ReaderBuilder, StringRecord, Trim, WriterBuilder};
use serde::Serialize;

use super::answers::{Form, printed};
use super::arguments::ImportUsers;
use super::{Ask, Failure, Outcome, files, say};
use crate::admin::{Answer, GuestLine, Request, UserLine};
use crate::domain::invitation::LinkDelivery;
use crate::domain::user::{DisplayName, Email, Group, Role, Standing, Username, groups_of_one};
use crate::flows::administration::paging::PAGE_ITEMS_MAX;

/// The columns of a file to import. Only the first is needed.
const COLUMNS: [&str; 5] = ["email", "name", "username", "groups", "role"];
/// The columns of an export: those of an import, and further facts.
const EXPORTED: [&str; 9] =
    ["email", "name", "username", "groups", "role", "standing", "passkeys", "last_used_at", "expires_at"];
/// The longest file, in bytes. Far more than can be invited at a time.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Invites everyone in a file, or no one.
pub(super) fn import(arguments: &ImportUsers, ask: &Ask<'_>) -> Outcome {
    let text = files::read(&arguments.file, FILE_BYTES_MAX)?;
    let (lines, guests): (Vec<_>, Vec<_>) = guests(&text)?.into_iter().unzip();
    if guests.is_empty() {
        return Err(Failure("the file has no user".to_owned()));
    }
    let answer = ask(Request::InviteAll {
        guests,
        expires_in_seconds: arguments.links.expires.map(|length| length.as_secs()),
        delivery: LinkDelivery::mailed_if(arguments.links.mail),
    })?;
    if let Answer::NobodyInvited { refused } = answer {
        let refused = refused.into_iter().map(|(at, why)| (lines.get(at).copied().unwrap_or(0), why));
        return Err(nobody(refused.collect()));
    }
    printed(answer, Form::of(arguments.links.json)).map(|text| say(&text))
}

/// Writes every account to standard output, a page at a time.
pub(super) fn export(json: bool, ask: &Ask<'_>) -> Outcome {
    let mut csv = WriterBuilder::new().has_headers(false).from_writer(io::stdout());
    let mut after = None;
    loop {
        let request = Request::UserList { search: None, limit: Some(PAGE_ITEMS_MAX), after: after.clone() };
        let answer = ask(request)?;
        let Answer::Users { users, next } = answer else {
            return printed(answer, Form::Text).map(|text| say(&text));
        };
        // The header row is written even without users.
        if !json && after.is_none() {
            csv.write_record(EXPORTED)?;
        }
        for user in &users {
            if json { say(&serde_json::to_string(user)?) } else { csv.serialize(Row::of(user))? }
        }
        if next.is_none() {
            return Ok(csv.flush()?);
        }
        after = next;
    }
}

/// The guests of a file, each with the line.
fn guests(text: &[u8]) -> Result<Vec<(usize, GuestLine)>, Failure> {
    // Spreadsheets begin a file with a byte order mark.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(text);
    let columns = reader.headers()?.clone();
    check_columns(&columns)?;
    let (mut guests, mut refused) = (Vec::new(), Vec::new());
    let mut seen = HashMap::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                refused.push(unreadable(text, error)?);
                continue;
            }
        };
        let line = line_of(text, record.position());
        match guest(&columns, &record) {
            Ok(guest) => {
                let name = guest.username.iter().map(|name| ("username", name.to_string()));
                for it in std::iter::once(("email", guest.email.to_string())).chain(name) {
                    if let Some(first) = seen.insert(it.clone(), line) {
                        refused.push((line, format!("{} {} is in line {first} already", it.0, it.1)));
                    }
                }
                guests.push((line, guest));
            }
            Err(why) => refused.push((line, why)),
        }
    }
    if refused.is_empty() { Ok(guests) } else { Err(nobody(refused)) }
}

/// The line that a record begins in. The reader counts before it has skipped the end of the record
/// before, and empty lines.
fn line_of(text: &[u8], position: Option<&csv::Position>) -> usize {
    let at = position.and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or_default();
    let skipped = text.iter().skip(at).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    1 + text.iter().take(at + skipped).filter(|byte| **byte == b'\n').count()
}

/// The fault of a line, if the line is at fault.
fn unreadable(text: &[u8], error: csv::Error) -> Result<(usize, String), Failure> {
    let line = line_of(text, error.position());
    match error.kind() {
        csv::ErrorKind::UnequalLengths { len, expected_len, .. } => {
            Ok((line, format!("it has {len} columns, and the first line has {expected_len}")))
        }
        csv::ErrorKind::Utf8 { .. } => Ok((line, "it is not UTF-8".to_owned())),
        _ => Err(error.into()),
    }
}

fn check_columns(columns: &StringRecord) -> Outcome {
    let expected = || format!("the first line names the columns: {}", COLUMNS.join(", "));
    if let Some(unknown) = columns.iter().find(|column| !COLUMNS.contains(column)) {
        return Err(Failure(format!("there is no column {unknown:?}; {}", expected())));
    }
    let count = |column: &&str| columns.iter().filter(|it| it == column).count();
    match COLUMNS.iter().find(|column| count(column) > 1) {
        Some(twice) => Err(Failure(format!("the column {twice:?} is there twice"))),
        None if count(&"email") == 0 => Err(Failure(format!("there is no column \"email\"; {}", expected()))),
        None => Ok(()),
    }
}

/// Reads one line.
fn guest(columns: &StringRecord, record: &StringRecord) -> Result<GuestLine, String> {
    let said = |column: &str| {
        let at = columns.iter().position(|it| it == column);
        at.and_then(|at| record.get(at)).filter(|value| !value.is_empty())
    };
    let groups: Result<Vec<_>, _> = said("groups")
        .unwrap_or_default()
        .split([' ', ';', ','])
        .filter(|it| !it.is_empty())
        .map(Group::parse)
        .collect();
    Ok(GuestLine {
        email: Email::parse(said("email").ok_or("the email is missing")?)
            .map_err(|e| format!("email: {e}"))?,
        name: said("name").map(DisplayName::parse).transpose().map_err(|e| format!("name: {e}"))?,
        username: said("username").map(Username::parse).transpose().map_err(|e| format!("username: {e}"))?,
        groups: groups_of_one(groups.map_err(|e| format!("groups: {e}"))?)
            .map_err(|e| format!("groups: {e}"))?,
        role: match said("role") {
            None | Some("member") => Role::Member,
            Some("administrator") => Role::Administrator,
            Some(other) => return Err(format!("role: {other:?} is neither member nor administrator")),
        },
    })
}

/// Says of each line why it cannot be used.
fn nobody(mut refused: Vec<(usize, String)>) -> Failure {
    refused.sort();
    let lines: Vec<_> = refused.iter().map(|(line, why)| format!("line {line}: {why}")).collect();
    Failure(format!("no user was invited\n\n{}", lines.join("\n")))
}

/// A line of an export, in the order of [`EXPORTED`].
#[derive(Serialize)]
struct Row<'a> {
    email: String,
    name: String,
    username: String,
    groups: String,
    role: Role,
    standing: Standing,
    passkeys: usize,
    last_used_at: Option<&'a str>,
    expires_at: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn of(user: &'a UserLine) -> Self {
        let groups: Vec<_> = user.groups.iter().map(ToString::to_string).collect();
        Self {
            email: harmless(user.email.to_string()),
            name: harmless(user.name.to_string()),
            username: harmless(user.username.to_string()),
            groups: harmless(groups.join(" ")),
            role: user.role,
            standing: user.standing,
            passkeys: user.passkeys,
            last_used_at: user.last_used_at.as_deref(),
            expires_at: user.expires_at.as_deref(),
        }
    }
}

/// Text that no spreadsheet takes for a formula (CWE-1236), because users choose their names.
fn harmless(field: String) -> String {
    if field.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{field}") } else { field }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str) -> String {
        guests(text.as_bytes()).unwrap_err().0
    }

    #[test]
    fn reads_csv_as_spreadsheets_write_it() {
        let text = "\u{feff}email,name,groups,role\r\na@example.com,\"Doe, Alice\",staff ops,administrator\r\n\r\n b@example.com ,,,\r\n";
        let read = guests(text.as_bytes()).unwrap();
        assert_eq!(read.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 4]);
        let (alice, bob) = (&read[0].1, &read[1].1);
        assert_eq!(alice.name.as_ref().unwrap().as_str(), "Doe, Alice");
        assert_eq!(alice.groups.iter().map(ToString::to_string).collect::<Vec<_>>(), ["ops", "staff"]);
        assert_eq!((alice.role, bob.role), (Role::Administrator, Role::Member));
        assert_eq!((bob.email.as_str(), &bob.name, bob.groups.len()), ("b@example.com", &None, 0));
    }

    #[test]
    fn reports_every_unusable_line() {
        let text = "email,username,role\na@example.com,a,member\nnobody,b,\nc@example.com,c,chief\nA@example.com,a,\n";
        let said = refused(text);
        for part in [
            "line 3: email: ",
            "line 4: role: \"chief\"",
            "line 5: email a@example.com is in line 2",
            "line 5: username a is in line 2",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains("line 2:"), "{said}");
        assert!(refused("mail\na@example.com\n").contains("no column \"mail\""));
        assert!(refused("name\nAlice\n").contains("no column \"email\""));
        assert!(refused("email,email\na@example.com,b@example.com\n").contains("twice"));
        assert!(refused("email,name\na@example.com\n").contains("line 2"), "a line of another length");
    }

    #[test]
    fn escapes_spreadsheet_formulas() {
        assert_eq!(
            harmless("=HYPERLINK(\"https://evil.example\")".to_owned()),
            "'=HYPERLINK(\"https://evil.example\")"
        );
        assert_eq!(harmless("Alice".to_owned()), "Alice");
    }
}
