//! The clients whom a rule is about.
//!
//! What does not live here: the effect of a rule on them (`rule.rs`).
//!
//! What always holds: a line that cannot be read matches no user, and the configuration is refused.

use std::fmt;

use crate::domain::user::{Email, Group, User, Username};

/// One line of a route's `allow` list. A person may enter if any line matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allow {
    /// Anyone signed in.
    AnyUser,
    /// Members of a group.
    Group(Group),
    /// One person, by e-mail address.
    Email(Email),
    /// One person, by username.
    Username(Username),
}

impl fmt::Display for Allow {
    /// As the configuration writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnyUser => f.write_str("user"),
            Self::Group(group) => write!(f, "group:{group}"),
            Self::Email(email) => write!(f, "user:{email}"),
            Self::Username(username) => write!(f, "user:{username}"),
        }
    }
}

impl Allow {
    /// Reads `user`, `group:NAME`, `user:EMAIL` or `user:USERNAME`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "user" {
            return Ok(Self::AnyUser);
        }
        if let Some(group) = text.strip_prefix("group:") {
            return Group::parse(group).map(Self::Group).map_err(|e| e.to_string());
        }
        match text.strip_prefix("user:") {
            Some(email) if email.contains('@') => {
                Email::parse(email).map(Self::Email).map_err(|e| e.to_string())
            }
            Some(name) => Username::parse(name).map(Self::Username).map_err(|e| e.to_string()),
            None => Err("expected \"user\", \"group:NAME\", \"user:EMAIL\" or \"user:USERNAME\"".to_owned()),
        }
    }

    /// Whether it lets a user in because of the name `username`.
    pub fn is_about(&self, username: &Username) -> bool {
        *self == Self::Username(username.clone())
    }

    /// Whether it lets a user in because of this address.
    pub fn is_about_address(&self, email: &Email) -> bool {
        *self == Self::Email(email.clone())
    }

    /// Whether it is about `user`.
    pub fn matches(&self, user: &User) -> bool {
        match self {
            Self::AnyUser => true,
            Self::Group(group) => user.groups.contains(group),
            Self::Email(email) => user.email == *email,
            Self::Username(username) => user.username == *username,
        }
    }
}

/// The clients whom a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Every client, signed in or not.
    Anyone,
    /// The users whom these lines are about; no user where there is no line.
    People(Vec<Allow>),
}

impl Who {
    /// Whether it is about `user`.
    pub fn matches(&self, user: &User) -> bool {
        match self {
            Self::Anyone => true,
            Self::People(lines) => lines.iter().any(|line| line.matches(user)),
        }
    }

    /// The lines about people.
    pub fn lines(&self) -> &[Allow] {
        match self {
            Self::Anyone => &[],
            Self::People(lines) => lines,
        }
    }
}

impl fmt::Display for Who {
    /// As the configuration writes it, separated by commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::People(lines) => {
                f.write_str(&lines.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::UserId;
    use crate::domain::user::{DisplayName, Role, Standing};

    fn alice(standing: Standing) -> User {
        let (username, email) =
            (Username::parse("alice").unwrap(), Email::parse("alice@example.com").unwrap());
        User {
            id: UserId::from_random([1; 16]),
            display_name: DisplayName::parse("Alice").unwrap(),
            role: Role::Administrator,
            standing,
            ..User::hypothetical(username, email, [Group::parse("staff").unwrap()].into()).unwrap()
        }
    }

    #[test]
    fn allow_lines_roundtrip_and_match() {
        let user = alice(Standing::Active);
        for (line, is_name, is_address) in [
            ("user", false, false),
            ("group:alice", false, false),
            ("user:alice", true, false),
            ("user:alicia", false, false),
            ("user:alice@example.com", false, true),
            ("user:alice@example.org", false, false),
        ] {
            let allow = Allow::parse(line).unwrap();
            assert_eq!(allow.to_string(), line);
            assert_eq!(allow.is_about(&user.username), is_name, "{line}");
            assert_eq!(allow.is_about_address(&user.email), is_address, "{line}");
        }
    }

    #[test]
    fn refuses_unknown_allow_lines() {
        for wrong in ["", "users", "group:", "user:", "user:a b", "group:a,b", "anyone"] {
            assert!(Allow::parse(wrong).is_err(), "{wrong}");
        }
    }
}
