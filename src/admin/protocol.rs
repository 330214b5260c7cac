//! What goes over the operator's socket.
//!
//! Both ends are the same binary, but not always the same version: unknown commands and fields are
//! refused rather than guessed at.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::id::{InvitationId, SessionId, UserId};
use crate::domain::user::{DisplayName, Email, Group, Role, Standing, User, Username, groups_of_one};

/// The longest request: an invitation with all its groups fits many times.
pub const REQUEST_BYTES_MAX: u64 = 64 * 1024;
/// The longest answer: a list of some tens of thousands of people.
pub const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What an operator asks for. `user` is a username, an e-mail address or an id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Promise somebody an account.
    Invite {
        email: Email,
        name: Option<DisplayName>,
        username: Option<Username>,
        #[serde(deserialize_with = "groups")]
        groups: BTreeSet<Group>,
        role: Role,
        /// `None`: the usual life of an invitation.
        expires_in_seconds: Option<u64>,
        /// Whether the link goes by mail as well.
        delivery: Delivery,
    },
    /// Every invitation that can still be redeemed.
    InvitationList,
    /// Take an invitation back.
    InvitationRevoke { id: InvitationId },
    /// Everybody with an account.
    UserList,
    /// Replace all groups of a person.
    UserGroups {
        user: String,
        #[serde(deserialize_with = "groups")]
        groups: BTreeSet<Group>,
    },
    /// Make a person an administrator, or a member.
    UserRole { user: String, role: Role },
    /// End all sessions of a person and let them in no more.
    UserDisable { user: String },
    /// Let a person in again.
    UserEnable { user: String },
    /// End one session of a person, or all of them.
    SessionEnd { user: String, session: Option<SessionId> },
    /// Make new signing keys.
    KeyRotate {
        /// Accept nothing that earlier ones signed, and end every session.
        burn: bool,
    },
    /// Whether the gateway is well.
    Health,
}

/// How an invitation reaches whom it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    ByHand,
    ByMail,
}

fn groups<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeSet<Group>, D::Error> {
    groups_of_one(BTreeSet::deserialize(from)?).map_err(D::Error::custom)
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// It is done, and there is nothing more to say.
    Done,
    Invited {
        id: InvitationId,
        link: Link,
        email: Email,
        /// RFC 3339.
        expires_at: String,
        /// What the user will be called, as things are; `None` for an account that is there.
        username: Option<Username>,
    },
    Invitations {
        invitations: Vec<InvitationLine>,
    },
    Users {
        users: Vec<UserLine>,
    },
    SessionsEnded {
        count: usize,
    },
    KeyRotated {
        key: u32,
    },
    KeysBurnt {
        key: u32,
        /// Sessions that ended.
        sessions: usize,
        /// Messages that were not sent.
        messages: usize,
    },
    Health {
        version: String,
        /// Whether changes are accepted.
        ready: bool,
        sessions: usize,
    },
    /// It is not done. The text says why and what to do.
    Refused {
        reason: String,
    },
}

/// A link with a secret in it. Never prints itself by accident.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Link(String);

impl Link {
    /// Wraps a link on its way to the one who asked for it.
    pub fn new(link: String) -> Self {
        Self(link)
    }

    /// The link itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link(..)")
    }
}

/// An invitation, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationLine {
    pub id: InvitationId,
    pub email: Email,
    /// RFC 3339.
    pub expires_at: String,
    /// Who invited, in words.
    pub by: String,
}

/// A person, as operators see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserLine {
    pub id: UserId,
    pub username: Username,
    pub email: Email,
    pub name: DisplayName,
    pub groups: BTreeSet<Group>,
    pub role: Role,
    pub standing: Standing,
    pub passkeys: usize,
}

impl UserLine {
    /// What operators see of `user`.
    pub fn of(user: &User, passkeys: usize) -> Self {
        Self {
            id: user.id,
            username: user.username.clone(),
            email: user.email.clone(),
            name: user.display_name.clone(),
            groups: user.groups.clone(),
            role: user.role,
            standing: user.standing,
            passkeys,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::user::GROUPS_MAX;

    #[test]
    fn a_request_is_read_strictly() {
        for right in [
            r#"{"command":"user_list"}"#,
            r#"{"command":"session_end","user":"alice","session":null}"#,
            r#"{"command":"user_groups","user":"alice","groups":["staff"]}"#,
        ] {
            assert!(serde_json::from_str::<Request>(right).is_ok(), "{right}");
        }
        for wrong in [
            "{}",
            r#"{"command":"format_disk"}"#,
            r#"{"command":"user_groups","user":"alice","groups":["a,b"]}"#,
            r#"{"command":"user_disable","user":"alice","force":true}"#,
        ] {
            assert!(serde_json::from_str::<Request>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn nobody_is_put_into_more_groups_than_a_header_can_name() {
        let with = |count: usize| {
            let groups: Vec<_> = (0..count).map(|n| format!("g{n}")).collect();
            let line = serde_json::json!({ "command": "user_groups", "user": "alice", "groups": groups });
            serde_json::from_value::<Request>(line)
        };
        assert!(with(GROUPS_MAX).is_ok());
        assert!(with(GROUPS_MAX + 1).unwrap_err().to_string().contains("at most 64 groups"));
    }

    #[test]
    fn a_link_never_prints_itself() {
        let answer = Answer::Invited {
            id: InvitationId([1; 16]),
            link: Link::new("https://example.com/#secret".to_owned()),
            email: Email::parse("a@example.com").unwrap(),
            expires_at: String::new(),
            username: None,
        };
        assert!(!format!("{answer:?}").contains("secret"));
        assert!(serde_json::to_string(&answer).unwrap().contains("#secret"));
    }
}
