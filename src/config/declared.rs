//! The file of `vestibule apply`: users as an operator declares them.
//!
//! What does not live here: what becomes of the users (`flows/administration/declared.rs`).
//!
//! What always holds: there are users only when the whole file has no mistake; each address and
//! username appears once; and unknown keys are mistakes, as in the configuration.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use toml::de::DeTable;

use super::environment::Environment;
use super::mistake::{Mistake, Mistakes};
use super::reader::{At, Found, Reader};
use super::section::Section;
use crate::domain::declared::{DECLARED_USERS_MAX, DeclaredStanding, DeclaredUser};
use crate::domain::time::Timestamp;
use crate::domain::user::{DisplayName, Email, Group, Note, Role, Username, groups_of_one};

/// The longest file, in bytes: as many users as there may be, each with a dozen groups.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// A user, and where the file declares them.
#[derive(Debug)]
pub struct Declared {
    pub user: DeclaredUser,
    line: Option<usize>,
    username_line: Option<usize>,
}

impl Declared {
    /// A mistake in this user's `key` that only the gateway can find.
    pub fn mistake(&self, key: &str, problem: String, remedy: String) -> Mistake {
        let line = if key == "username" { self.username_line } else { self.line };
        Mistake { file: None, key: format!("user.{key}"), line, problem, remedy }
    }
}

/// Reads the users that `file` declares; `-` is standard input.
pub fn declared(file: &Path) -> Result<Vec<Declared>, Mistakes> {
    let wrong = |list| Mistakes { file: Some(file.to_path_buf()), list };
    let text = content(file).map_err(|error| {
        wrong(vec![Mistake {
            file: None,
            key: file.display().to_string(),
            line: None,
            problem: format!("it cannot be read: {error}"),
            remedy: "name a file that you may read; - is standard input".to_owned(),
        }])
    })?;
    parsed(&text).map_err(wrong)
}

fn content(file: &Path) -> io::Result<String> {
    let from: Box<dyn Read> =
        if file == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(file)?) };
    let mut text = String::new();
    if from.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)? as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

fn parsed(text: &str) -> Result<Vec<Declared>, Vec<Mistake>> {
    // No variable of the environment declares a user.
    let environment = Environment::default();
    let reader = Reader::new(text, &environment);
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors {
            reader.syntax(error.span(), error.message());
        }
        return Err(reader.finish_syntax());
    }
    let root = Section::root(&reader, table.get_ref());
    let tables = root.tables("user");
    if tables.len() > DECLARED_USERS_MAX {
        let remedy = "add the other users by invitation or sign-up";
        root.refuse("user", &format!("there are more than {DECLARED_USERS_MAX} users"), remedy);
    }
    let users: Vec<_> = tables.iter().filter_map(|table| user(table, &reader)).collect();
    root.close();
    let mistakes = reader.finish();
    if mistakes.is_empty() { Ok(each_once(users)?) } else { Err(mistakes) }
}

/// A user, and where the keys are that no other user may have.
struct Placed {
    declared: Declared,
    email: At,
    username: Option<At>,
}

fn user(section: &Section<'_>, reader: &Reader<'_>) -> Option<Placed> {
    let wrong = |error: &dyn std::fmt::Display| error.to_string();
    if !section.has("email") {
        section.refuse("email", "the email is missing", "write email = \"alice@example.com\"");
    }
    let email = section.parsed("email", "write an address such as \"alice@example.com\"", |text| {
        Email::parse(text).map_err(|error| wrong(&error))
    });
    let username = section.parsed("username", "write a short name such as \"alice\"", |text| {
        Username::parse(text).map_err(|error| wrong(&error))
    });
    let name = section.parsed("name", "write the user's name", |text| {
        DisplayName::parse(text).map_err(|error| wrong(&error))
    });
    let groups = section.parsed_list("groups", "write groups such as [\"staff\"]", |text| {
        Group::parse(text).map_err(|error| wrong(&error))
    });
    let groups =
        groups_of_one(groups.into_iter().flatten().map(|found| found.value)).unwrap_or_else(|error| {
            reader.mistake(&section.at("groups"), error.to_string(), "keep fewer of them");
            [].into()
        });
    let role =
        section.parsed("role", "write \"administrator\", or nothing for a member", |text| match text {
            "member" => Ok(Role::Member),
            "administrator" => Ok(Role::Administrator),
            _ => Err(format!("there is no role called {text:?}")),
        });
    let standing = section.parsed("standing", "write \"active\" or \"disabled\"", |text| match text {
        "active" => Ok(DeclaredStanding::Active),
        "disabled" => Ok(DeclaredStanding::Disabled),
        _ => Err(format!("there is no standing called {text:?}")),
    });
    let note = section.parsed("note", "write a line for other administrators, or leave it out", |text| {
        Note::parse(text).map_err(|error| wrong(&error))?.ok_or_else(|| "the note is empty".to_owned())
    });
    let remedy = "write a moment such as \"2027-03-31T22:00:00Z\", or leave it out";
    let expires = section.parsed("expires", remedy, |text| {
        Timestamp::parse(text).ok_or_else(|| format!("{text:?} is not a moment in RFC 3339"))
    });
    section.close();
    let email = email?;
    let username_at = username.as_ref().map(|found| found.at.clone());
    let user = DeclaredUser {
        email: email.value,
        username: username.map(|found| found.value),
        name: name.map(|found| found.value),
        groups,
        role: role.map_or(Role::Member, |found| found.value),
        standing: standing.map_or(DeclaredStanding::Active, |found| found.value),
        note: note.map(|found| found.value),
        expires: expires.map(|found: Found<_>| found.value),
    };
    let username_line = username_at.as_ref().and_then(|at| at.line);
    let declared = Declared { user, line: email.at.line, username_line };
    Some(Placed { declared, email: email.at, username: username_at })
}

/// Refuses a repeated address or username.
fn each_once(users: Vec<Placed>) -> Result<Vec<Declared>, Vec<Mistake>> {
    let mut first: HashMap<(&str, &str), Option<usize>> = HashMap::new();
    let mut mistakes = Vec::new();
    for Placed { declared, email, username } in &users {
        let user = &declared.user;
        let name =
            username.as_ref().zip(user.username.as_ref()).map(|(at, name)| ("username", name.as_str(), at));
        for (key, value, at) in std::iter::once(("email", user.email.as_str(), email)).chain(name) {
            if let Some(before) = first.insert((key, value), at.line) {
                let problem = format!("{value} is in line {} already", before.unwrap_or_default());
                mistakes.push(declared.mistake(key, problem, "keep one of them".to_owned()));
            }
        }
    }
    if mistakes.is_empty() {
        Ok(users.into_iter().map(|placed| placed.declared).collect())
    } else {
        Err(mistakes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn omitted_fields_default_to_least_privilege() {
        let text = "[[user]]\nemail = \"Alice@example.com\"\n\n[[user]]\nemail = \"bob@example.com\"\nusername = \"bob\"\nname = \"Bob\"\n\
                    groups = [\"staff\", \"ops\"]\nrole = \"administrator\"\nstanding = \"disabled\"\nnote = \"on leave\"\n\
                    expires = \"2027-03-31T22:00:00Z\"\n";
        let users = parsed(text).unwrap();
        let alice = &users[0].user;
        assert_eq!((alice.email.as_str(), &alice.username, &alice.name), ("alice@example.com", &None, &None));
        assert_eq!((alice.groups.len(), alice.role, alice.expires), (0, Role::Member, None));
        assert_eq!(alice.standing, DeclaredStanding::Active);
        let bob = &users[1].user;
        assert_eq!(bob.groups.iter().map(ToString::to_string).collect::<Vec<_>>(), ["ops", "staff"]);
        assert_eq!((bob.role, bob.standing), (Role::Administrator, DeclaredStanding::Disabled));
        assert_eq!(bob.expires.unwrap().to_rfc3339(), "2027-03-31T22:00:00.000Z");
        assert_eq!(parsed("").unwrap().len(), 0);
    }

    #[test]
    fn reports_every_mistake_with_key_and_line() {
        let text = "[[user]]\nemail = \"alice\"\nrole = \"chief\"\n\n[[user]]\ngroup = [\"staff\"]\n\n[[user]]\n\
                    email = \"bob@example.com\"\nexpires = \"tomorrow\"\nnote = \"\"\nstanding = true\ngroups = [\"a,b\"]\n\n\
                    [[group]]\nname = \"staff\"\n";
        let found = parsed(text).unwrap_err();
        let places: Vec<_> = found.iter().map(|it| (it.line.unwrap(), it.key.as_str())).collect();
        let expected = [
            (2, "user.email"),
            (3, "user.role"),
            (5, "user.email"),
            (6, "user.group"),
            (10, "user.expires"),
            (11, "user.note"),
            (12, "user.standing"),
            (13, "user.groups"),
            (15, "group"),
        ];
        assert_eq!(places, expected, "{found:?}");
        let unknown = found.iter().find(|it| it.key == "user.group").unwrap();
        assert_eq!(unknown.remedy, "did you mean \"groups\"?");
    }

    #[test]
    fn refuses_duplicate_users() {
        let text = "[[user]]\nemail = \"a@example.com\"\nusername = \"a\"\n[[user]]\nemail = \"A@example.com\"\nusername = \"A\"\n";
        let found = parsed(text).unwrap_err();
        let told: Vec<_> =
            found.iter().map(|it| (it.line.unwrap(), it.key.as_str(), it.problem.as_str())).collect();
        let expected = [
            (5, "user.email", "a@example.com is in line 2 already"),
            (6, "user.username", "a is in line 3 already"),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_file_with_too_many_users_or_broken_toml_is_refused() {
        let one = |n: usize| format!("[[user]]\nemail = \"u{n}@example.com\"\n");
        let text: String = (0..=DECLARED_USERS_MAX).map(one).collect();
        assert!(parsed(&text).unwrap_err()[0].problem.contains("more than 20000 users"));
        assert_eq!(parsed("[[user]\n").unwrap_err()[0].line, Some(1));
    }
}
