//! Requests and answers over the operator's socket.
//!
//! Both ends are the same binary, but not always the same version: unknown commands and fields are
//! refused rather than guessed at.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::explain::{ExplanationLine, QuestionLine};
use super::lines::{BanLine, InvitationLine, SessionLine, TokenLine, TrailLine, UserDetails, UserLine};
use crate::domain::attribute::{AttributeName, AttributeValue};
use crate::domain::ban::Reason;
use crate::domain::declared::{DeclaredUser, Difference, Others};
use crate::domain::foreign::ForeignUser;
use crate::domain::id::{AccessTokenId, CredentialId, InvitationId, SessionId};
use crate::domain::invitation::LinkDelivery;
use crate::domain::network::Network;
use crate::domain::time::Timestamp;
use crate::domain::user::{DisplayName, Email, Group, Role, Username, groups_of_one};

/// The longest request: as many users as a file may declare fit, with a dozen groups each.
pub const REQUEST_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The longest answer: a list of some tens of thousands of people.
pub const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A request of an operator. `user` is a username, an e-mail address or an id. Of a list, `limit`
/// is the size of the page, which has a default, and `after` the end of the page before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Promise a person an account.
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
        delivery: LinkDelivery,
    },
    /// Promise an account to each of these, or to none.
    InviteAll {
        guests: Vec<GuestLine>,
        /// `None`: the usual life of an invitation.
        expires_in_seconds: Option<u64>,
        delivery: LinkDelivery,
    },
    /// Take over users and passkeys of another program's.
    Import { users: Vec<ForeignUser> },
    /// Make every user as declared.
    Apply { users: Vec<DeclaredUser>, others: Others, run: Run },
    /// A page of the invitations that can still be redeemed.
    InvitationList { limit: Option<usize>, after: Option<String> },
    /// Take an invitation back.
    InvitationRevoke { id: InvitationId },
    /// A page of the people who have an account.
    UserList {
        /// The beginning of a username, an address or a name.
        search: Option<String>,
        limit: Option<usize>,
        after: Option<String>,
    },
    /// One person, with passkeys and sessions.
    UserShow { user: String },
    /// The name of a person.
    UserName { user: String, name: DisplayName },
    /// The note about a person; empty takes it away.
    UserNote { user: String, note: String },
    /// An attribute of a person; `None` takes it away.
    UserAttribute { user: String, name: AttributeName, value: Option<AttributeValue> },
    /// When an account ends by itself; `None`: it does not.
    UserExpiry { user: String, in_seconds: Option<u64> },
    /// Remove an account for good.
    UserDelete { user: String },
    /// A link that adds a passkey.
    UserReset {
        user: String,
        /// Remove the old passkeys and end every session first.
        wipe: bool,
        delivery: LinkDelivery,
    },
    /// Remove one passkey of a person.
    PasskeyRemove { user: String, passkey: CredentialId },
    /// A page of the sessions of a person, newest first.
    SessionList { user: String, limit: Option<usize>, after: Option<String> },
    /// A page of the audit trail, newest first.
    Audit {
        user: Option<String>,
        event: Option<String>,
        /// Milliseconds since 1970; older entries are left out.
        since: Option<Timestamp>,
        limit: Option<usize>,
        after: Option<String>,
    },
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
    /// Every ban in force.
    BanList,
    /// Let no client try a credential from a network.
    BanAdd {
        #[serde(deserialize_with = "network")]
        network: Network,
        /// `None`: until an administrator removes it.
        length_in_seconds: Option<u64>,
        reason: Option<Reason>,
    },
    /// Let them try again.
    BanRemove {
        #[serde(deserialize_with = "network")]
        network: Network,
    },
    /// Make an access token for a user.
    TokenCreate {
        user: String,
        name: String,
        routes: Vec<String>,
        methods: Vec<String>,
        paths: Vec<String>,
        networks: Vec<String>,
        expires_in_seconds: u64,
    },
    /// A page of the access tokens of a user, or of all users.
    TokenList { user: Option<String>, limit: Option<usize>, after: Option<String> },
    /// End an access token.
    TokenRevoke { id: AccessTokenId },
    /// Make new signing keys.
    KeyRotate {
        /// Accept nothing that earlier keys signed, and end every session.
        burn: bool,
    },
    /// A backup of everything that is to outlast the machine. The answer is
    /// [`Answer::BackupFollows`], and then the file.
    Backup,
    /// Explains how requests would be decided.
    PolicyExplain { questions: Vec<QuestionLine> },
    /// Whether the gateway works.
    Health,
    /// Take the configuration in again.
    Reload,
    /// Give way to the program that has replaced the running one on disk.
    Upgrade,
}

/// One of several people to invite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestLine {
    pub email: Email,
    pub name: Option<DisplayName>,
    pub username: Option<Username>,
    #[serde(deserialize_with = "groups")]
    pub groups: BTreeSet<Group>,
    pub role: Role,
}

/// One of several people who were invited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitedLine {
    pub email: Email,
    pub link: Link,
    /// RFC 3339.
    pub expires_at: String,
}

/// Whether differences are resolved, or only told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Run {
    Real,
    Dry,
}

/// A difference between the accounts and the declaration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceLine {
    #[serde(flatten)]
    pub difference: Difference,
    /// The link of the invitation that was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
    /// Until when the link is good, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_expires_at: Option<String>,
}

fn groups<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeSet<Group>, D::Error> {
    groups_of_one(BTreeSet::deserialize(from)?).map_err(D::Error::custom)
}

/// A network as people write it; an ambiguous text is refused.
fn network<'de, D: Deserializer<'de>>(from: D) -> Result<Network, D::Error> {
    Network::parse(&String::deserialize(from)?).map_err(D::Error::custom)
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// The request was carried out, and there is nothing more to tell.
    Done,
    Invited {
        id: InvitationId,
        link: Link,
        email: Email,
        /// RFC 3339.
        expires_at: String,
        /// The username that the user would get now; `None` for an account that is there.
        username: Option<Username>,
    },
    /// In the order of the guests.
    InvitedAll {
        invited: Vec<InvitedLine>,
    },
    /// No one was invited, because of these guests: their places, from 0, and why.
    NobodyInvited {
        refused: Vec<(usize, String)>,
    },
    Imported {
        /// How many users have been taken over.
        imported: usize,
        /// The users who were not taken over, or not whole: their places, from 0, and why.
        skipped: Vec<(usize, String)>,
    },
    /// The differences, which are resolved unless the run was a dry one.
    Applied {
        differences: Vec<DifferenceLine>,
        /// How many of the declared users were as declared.
        unchanged: usize,
        /// Why not everything was done.
        stopped: Option<String>,
    },
    /// Nothing was changed, because of these declared users: their places, from 0, and the
    /// usernames of other users.
    NothingApplied {
        taken: Vec<(usize, Username)>,
    },
    Invitations {
        invitations: Vec<InvitationLine>,
        /// The beginning of the next page; the same in other lists.
        #[serde(default)]
        next: Option<String>,
    },
    Users {
        users: Vec<UserLine>,
        next: Option<String>,
    },
    User {
        user: Box<UserDetails>,
    },
    Sessions {
        sessions: Vec<SessionLine>,
        #[serde(default)]
        next: Option<String>,
    },
    /// A link that adds a passkey to an account.
    Reset {
        id: InvitationId,
        link: Link,
        email: Email,
        /// RFC 3339.
        expires_at: String,
    },
    Trail {
        entries: Vec<TrailLine>,
        next: Option<String>,
    },
    /// The answers, in the order of the questions; or why one cannot be answered.
    Explained {
        told: Vec<Result<ExplanationLine, String>>,
    },
    SessionsEnded {
        count: usize,
    },
    Bans {
        bans: Vec<BanLine>,
    },
    Banned {
        ban: BanLine,
    },
    TokenCreated {
        id: AccessTokenId,
        token: Link,
        /// RFC 3339.
        expires_at: String,
        /// An address that it opens, if there is one to name.
        opens: Option<String>,
    },
    Tokens {
        tokens: Vec<TokenLine>,
        #[serde(default)]
        next: Option<String>,
    },
    KeyRotated {
        key: u32,
    },
    KeysBurnt {
        key: u32,
        /// Sessions that ended.
        sessions: usize,
        /// Access tokens that ended.
        access_tokens: usize,
        /// Messages that were not sent.
        messages: usize,
    },
    Reloaded {
        /// Keys that count after a restart only.
        after_restart: Vec<String>,
    },
    /// The other program is about to take over.
    Upgrading {
        /// How long requests under way may take before.
        within_seconds: u64,
    },
    Health {
        version: String,
        /// Whether changes are accepted.
        ready: bool,
        sessions: usize,
        /// The remarks of the gateway, in sentences.
        #[serde(default)]
        remarks: Vec<String>,
        /// Tells this process from the one before. Milliseconds since 1970.
        #[serde(default)]
        started_at: Option<Timestamp>,
    },
    /// The bytes of a backup come next, until the connection ends.
    BackupFollows,
    /// The request was refused. The text says why and what to do.
    Refused {
        reason: String,
    },
}

/// A link with a secret in it, or a token. Never prints itself by accident.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Link(String);

impl Link {
    /// Wraps a link on its way to the administrator who asked for it.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::user::GROUPS_MAX;

    #[test]
    fn refuses_unknown_commands_and_fields() {
        for right in [
            r#"{"command":"user_list","search":"ali","limit":null,"after":null}"#,
            r#"{"command":"session_end","user":"alice","session":null}"#,
            r#"{"command":"user_groups","user":"alice","groups":["staff"]}"#,
            r#"{"command":"ban_add","network":"10.0.0.0/8","length_in_seconds":null,"reason":null}"#,
        ] {
            assert!(serde_json::from_str::<Request>(right).is_ok(), "{right}");
        }
        for wrong in [
            "{}",
            r#"{"command":"format_disk"}"#,
            r#"{"command":"user_groups","user":"alice","groups":["a,b"]}"#,
            r#"{"command":"user_disable","user":"alice","force":true}"#,
            r#"{"command":"ban_add","network":"10.0.0.1/8","length_in_seconds":null,"reason":null}"#,
        ] {
            assert!(serde_json::from_str::<Request>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn refuses_more_groups_than_the_limit() {
        let with = |count: usize| {
            let groups: Vec<_> = (0..count).map(|n| format!("g{n}")).collect();
            let line = serde_json::json!({ "command": "user_groups", "user": "alice", "groups": groups });
            serde_json::from_value::<Request>(line)
        };
        assert!(with(GROUPS_MAX).is_ok());
        assert!(with(GROUPS_MAX + 1).unwrap_err().to_string().contains("at most 64 groups"));
    }

    #[test]
    fn debug_output_hides_the_link() {
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
