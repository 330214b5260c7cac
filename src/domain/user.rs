//! People: who they are and what they may do. How their names are read is in `names.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::attribute::{AttributeName, AttributeValue};
use super::credential::Program;
use super::id::UserId;
pub(super) use super::names::is_seen_as_written;
pub use super::names::{
    DISPLAY_NAME_CHARS_MAX, DisplayName, EMAIL_BYTES_MAX, EMAIL_LOCAL_BYTES_MAX, Email, GROUP_BYTES_MAX,
    GROUPS_MAX, Group, MalformedName, USERNAME_BYTES_MAX, Username, groups_of_one,
};
use super::network::Network;
use super::time::Timestamp;

/// How long a network is remembered that a user signed in from.
pub const SEEN_FROM_LIFETIME: Duration = Duration::from_hours(30 * 24);
/// How often that is written down.
const SEEN_FROM_GRANULARITY: Duration = Duration::from_hours(24);
/// The most networks that are remembered of one person.
const SEEN_FROM_MAX: usize = 8;
/// The most programs that are remembered of one person.
const PROGRAMS_MAX: usize = 8;
/// How long before its end people are told that their account ends.
pub const TOLD_BEFORE_END: Duration = Duration::from_hours(7 * 24);
/// The longest note about a person, in characters.
pub const NOTE_CHARS_MAX: usize = 1_000;

/// A person with an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub id: UserId,
    pub username: Username,
    pub email: Email,
    pub display_name: DisplayName,
    pub groups: BTreeSet<Group>,
    pub role: Role,
    pub standing: Standing,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// A note of administrators about this person, for one another.
    // Left out while there is nothing to say, as the members below: commits expect a record byte
    // for byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Note>,
    /// When the account ends; `None`: it does not end by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Networks that this person signed in from a short time ago, for limits that anonymous clients
    /// must not be able to use up for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen_from: Vec<SeenFrom>,
    /// Programs that this person has signed in with, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<Program>,
    /// The end of the account that they have been told of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_of_end: Option<Timestamp>,
    /// Their attributes, which the installation defines.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<AttributeName, AttributeValue>,
}

/// A network that a user signed in from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenFrom {
    pub network: Network,
    pub at: Timestamp,
}

impl User {
    /// A user without an account, for hypothetical questions: a member who may sign in.
    pub fn hypothetical(
        username: Username,
        email: Email,
        groups: BTreeSet<Group>,
    ) -> Result<Self, MalformedName> {
        let never = Timestamp::from_millis(0);
        Ok(Self {
            id: UserId::from_random([0; 16]),
            display_name: DisplayName::parse(username.as_str())?,
            username,
            email,
            groups,
            role: Role::Member,
            standing: Standing::Active,
            created_at: never,
            updated_at: never,
            note: None,
            expires_at: None,
            seen_from: Vec::new(),
            programs: Vec::new(),
            told_of_end: None,
            attributes: BTreeMap::new(),
        })
    }

    /// Whether its owner may sign in at `now`. Applications ask for more (`policy::may_enter`).
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.standing != Standing::Disabled && !self.has_expired(now)
    }

    /// Whether the account has come to its end.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// When the account ends, if that is soon and its owner is to be told.
    pub fn end_to_announce(&self, now: Timestamp) -> Option<Timestamp> {
        let end = self.expires_at.filter(|end| *end <= now.plus(TOLD_BEFORE_END))?;
        (self.is_active(now) && self.told_of_end != Some(end)).then_some(end)
    }

    /// The person after a sign-in with `program`; `None` where it is known.
    pub fn with_program(&self, program: &Program) -> Option<Self> {
        if self.programs.contains(program) {
            return None;
        }
        let mut programs = vec![program.clone()];
        programs.extend(self.programs.iter().take(PROGRAMS_MAX - 1).cloned());
        Some(Self { programs, ..self.clone() })
    }

    /// Whether this person signed in from `network` a short time ago.
    pub fn is_seen_from(&self, network: &Network, now: Timestamp) -> bool {
        let recent = |seen: &&SeenFrom| now.since(seen.at) < SEEN_FROM_LIFETIME;
        self.seen_from.iter().filter(recent).any(|seen| seen.network == *network)
    }

    /// The person after a sign-in from `network`; `None` where there is nothing new to remember.
    pub fn with_network_seen(&self, network: Network, now: Timestamp) -> Option<Self> {
        let known = self.seen_from.iter().find(|seen| seen.network == network);
        if known.is_some_and(|seen| now.since(seen.at) < SEEN_FROM_GRANULARITY) {
            return None;
        }
        let mut seen_from = vec![SeenFrom { network, at: now }];
        let others = self.seen_from.iter().filter(|seen| seen.network != network);
        seen_from.extend(others.filter(|seen| now.since(seen.at) < SEEN_FROM_LIFETIME));
        seen_from.truncate(SEEN_FROM_MAX);
        Some(Self { seen_from, ..self.clone() })
    }
}

/// The role of a person in this installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Member,
    Administrator,
}

/// Whether a person may use their account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    Active,
    /// Made by its owner, and waiting for an administrator: it signs in and opens no application.
    Pending,
    Disabled,
}

/// A few lines about a person that administrators alone see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Note(String);

impl Note {
    /// Accepts up to [`NOTE_CHARS_MAX`] characters, lines included, and no other control character.
    /// `None` for an empty note.
    pub fn parse(text: &str) -> Result<Option<Self>, MalformedName> {
        let text = text.trim();
        let ok = text.chars().count() <= NOTE_CHARS_MAX
            && text.lines().all(|line| line.is_empty() || is_seen_as_written(line));
        match (ok, text.is_empty()) {
            (false, _) => Err(MalformedName::Note),
            (true, true) => Ok(None),
            (true, false) => Ok(Some(Self(text.to_owned()))),
        }
    }

    /// The accepted text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Note {
    type Error = MalformedName;

    fn try_from(text: String) -> Result<Self, MalformedName> {
        Self::parse(&text)?.ok_or(MalformedName::Note)
    }
}

impl From<Note> for String {
    fn from(note: Note) -> Self {
        note.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const DAY: Duration = Duration::from_hours(24);

    fn alice() -> User {
        let (username, email) =
            (Username::parse("alice").unwrap(), Email::parse("alice@example.com").unwrap());
        User::hypothetical(username, email, BTreeSet::new()).unwrap()
    }

    #[test]
    fn an_account_is_active_until_it_ends_or_is_disabled() {
        let ending = |expires_at| User { expires_at, ..alice() };
        let (sooner, later) = (NOW.minus(Duration::from_millis(1)), NOW.plus(Duration::from_millis(1)));
        for (user, expired, active) in [
            (alice(), false, true),
            (ending(Some(later)), false, true),
            (ending(Some(NOW)), true, false),
            (ending(Some(sooner)), true, false),
            (User { standing: Standing::Pending, ..alice() }, false, true),
            (User { standing: Standing::Disabled, ..alice() }, false, false),
            (User { standing: Standing::Disabled, ..ending(Some(NOW)) }, true, false),
        ] {
            assert_eq!((user.has_expired(NOW), user.is_active(NOW)), (expired, active), "{user:?}");
        }
    }

    #[test]
    fn an_end_is_told_once_a_week_before_it() {
        let end = NOW.plus(TOLD_BEFORE_END);
        let ending = User { expires_at: Some(end), ..alice() };
        let a_moment = Duration::from_millis(1);
        assert_eq!(ending.end_to_announce(NOW.minus(a_moment)), None, "it is not soon");
        assert_eq!(ending.end_to_announce(NOW), Some(end));
        assert_eq!(ending.end_to_announce(end.minus(a_moment)), Some(end));
        assert_eq!(ending.end_to_announce(end), None, "it is over");
        assert_eq!(alice().end_to_announce(NOW), None);
        let told_of = |told| User { told_of_end: Some(told), ..ending.clone() };
        assert_eq!(told_of(end).end_to_announce(NOW), None);
        assert_eq!(told_of(NOW).end_to_announce(NOW), Some(end), "of an end that has been moved");
        assert_eq!(User { standing: Standing::Disabled, ..ending }.end_to_announce(NOW), None);
    }

    #[test]
    fn the_newest_programs_are_known() {
        let program = |n: usize| Program { browser: format!("Browser {n}"), system: "Linux".to_owned() };
        let mut user = alice();
        for n in 0..PROGRAMS_MAX + 2 {
            user = user.with_program(&program(n)).unwrap();
            assert_eq!(user.with_program(&program(n)), None, "it is known by now");
        }
        let newest: Vec<_> = (2..PROGRAMS_MAX + 2).rev().map(program).collect();
        assert_eq!(user.programs, newest);
        assert!(user.with_program(&program(0)).is_some(), "it has been forgotten");
    }

    #[test]
    fn networks_are_remembered_for_a_time_and_up_to_a_number() {
        let network = |n: u8| Network::parse(&format!("192.0.{n}.0/24")).unwrap();
        let first = alice().with_network_seen(network(1), NOW).unwrap();
        assert_eq!(first.seen_from, [SeenFrom { network: network(1), at: NOW }]);
        let a_moment = Duration::from_millis(1);

        let over = NOW.plus(SEEN_FROM_LIFETIME);
        assert!(
            first.is_seen_from(&network(1), NOW) && first.is_seen_from(&network(1), over.minus(a_moment))
        );
        assert!(!first.is_seen_from(&network(1), over));
        assert!(!first.is_seen_from(&network(2), NOW) && !alice().is_seen_from(&network(1), NOW));

        let next_day = NOW.plus(DAY);
        assert_eq!(first.with_network_seen(network(1), NOW), None, "that is written down once a day");
        assert_eq!(first.with_network_seen(network(1), next_day.minus(a_moment)), None);
        let again = first.with_network_seen(network(1), next_day).unwrap();
        assert_eq!(again.seen_from, [SeenFrom { network: network(1), at: next_day }]);

        let seen_at = |now| first.with_network_seen(network(2), now).unwrap().seen_from.len();
        assert_eq!((seen_at(over.minus(a_moment)), seen_at(over)), (2, 1), "what is old is forgotten");

        let mut user = alice();
        for n in 0..10 {
            user = user.with_network_seen(network(n), NOW).unwrap();
        }
        let newest: Vec<_> = (2..10).rev().map(|n| SeenFrom { network: network(n), at: NOW }).collect();
        assert_eq!(user.seen_from, newest);
    }

    #[test]
    fn refuses_invisible_characters_in_notes() {
        assert_eq!(Note::parse("  \n ").unwrap(), None);
        assert_eq!(Note::parse(" on leave\nuntil May ").unwrap().unwrap().as_str(), "on leave\nuntil May");
        for wrong in ["a\u{202e}b", "a\u{0}b", &"x".repeat(NOTE_CHARS_MAX + 1)] {
            assert_eq!(Note::parse(wrong), Err(MalformedName::Note), "{wrong:?}");
        }
        assert!(serde_json::from_str::<Note>("\"\"").is_err());
        let note = Note::parse("on leave").unwrap().unwrap();
        assert_eq!(serde_json::to_string(&note).unwrap(), "\"on leave\"");
    }
}
