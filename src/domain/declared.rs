//! Users as a file declares them, and how the accounts differ from it.
//!
//! The keys that decide who may enter are always as the file says: groups, role, standing and
//! expiry that it leaves out are none, member, active and never, so that removing a line removes a
//! right. Names and notes are left as they are unless the file sets them.
//!
//! What does not live here: reading the file (`config/declared.rs`), and changing accounts
//! (`flows/administration/declared.rs`).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::time::Timestamp;
use super::user::{DisplayName, Email, Group, Note, Role, Standing, User, Username};

/// How many users a file may declare.
pub const DECLARED_USERS_MAX: usize = 20_000;

/// A user as a file declares them. The address identifies the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredUser {
    pub email: Email,
    pub username: Option<Username>,
    pub name: Option<DisplayName>,
    pub groups: BTreeSet<Group>,
    pub role: Role,
    pub standing: DeclaredStanding,
    pub note: Option<Note>,
    /// When the account ends by itself.
    pub expires: Option<Timestamp>,
}

/// Whether a declared user may use their account. No user can be declared to be pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeclaredStanding {
    Active,
    Disabled,
}

impl From<DeclaredStanding> for Standing {
    fn from(standing: DeclaredStanding) -> Self {
        match standing {
            DeclaredStanding::Active => Self::Active,
            DeclaredStanding::Disabled => Self::Disabled,
        }
    }
}

/// The treatment of users and invitations that the file does not declare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Others {
    Stay,
    /// Accounts are disabled and invitations revoked. Nothing is deleted: no file can bring
    /// passkeys back.
    Pruned,
}

/// One difference from the file, and what is done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Difference {
    /// There is no account, and no invitation that promises the same.
    Invite { email: Email, groups: BTreeSet<Group>, role: Role },
    /// The account differs.
    Change { email: Email, changes: Vec<Changed> },
    /// The account is not declared.
    Disable { email: Email },
    /// The invitation is not declared.
    Revoke { email: Email },
}

impl Difference {
    /// The address of the user or guest.
    pub const fn email(&self) -> &Email {
        match self {
            Self::Invite { email, .. }
            | Self::Change { email, .. }
            | Self::Disable { email }
            | Self::Revoke { email } => email,
        }
    }
}

/// One key of an account, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    pub key: String,
    pub from: Value,
    pub to: Value,
}

/// The differences between an account as it is and as it will be, by the keys of the file.
pub fn changes(before: &User, after: &User) -> Vec<Changed> {
    let both = told(before).into_iter().zip(told(after));
    let changed =
        |((key, from), (_, to))| (from != to).then(|| Changed { key: str::to_owned(key), from, to });
    both.filter_map(changed).collect()
}

/// An account, by the keys of the file.
fn told(user: &User) -> [(&'static str, Value); 7] {
    [
        ("username", json!(user.username)),
        ("name", json!(user.display_name)),
        ("groups", json!(user.groups)),
        ("role", json!(user.role)),
        ("standing", json!(user.standing)),
        ("note", json!(user.note)),
        ("expires", json!(user.expires_at.map(Timestamp::to_rfc3339))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::user::{Email, Role, Username};

    #[test]
    fn what_changes_is_told_by_the_keys_of_the_file() {
        let username = |name| Username::parse(name).unwrap();
        let email = Email::parse("zoe@example.com").unwrap();
        let before = User::hypothetical(username("zoe"), email, [].into()).unwrap();
        assert_eq!(changes(&before, &before), []);
        let expires_at = Some(Timestamp::from_millis(0));
        let after = User { username: username("zo"), ..before.clone() };
        let after = User { role: Role::Administrator, expires_at, ..after };
        let changed = |key: &str, from, to| Changed { key: key.to_owned(), from, to };
        assert_eq!(
            changes(&before, &after),
            [
                changed("username", json!("zoe"), json!("zo")),
                changed("role", json!("member"), json!("administrator")),
                changed("expires", Value::Null, json!("1970-01-01T00:00:00.000Z")),
            ]
        );
    }
}
