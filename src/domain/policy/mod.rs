//! Policy: which route a request belongs to, and who may enter it.
//!
//! `route` is the table of routes, `path` says whether a request path has one reading, `public`
//! holds literal paths open to strangers, `identity` the headers an application is told.
//! What always holds: no default route and no default permission. What nothing matches is refused.

pub mod headers;
pub mod identity;
pub mod path;
pub mod public;
pub mod route;

use super::user::{Email, Group, Standing, User, Username};

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

    /// Whether it lets somebody in for being called `username`.
    pub fn is_about(&self, username: &Username) -> bool {
        *self == Self::Username(username.clone())
    }

    /// Whether it lets somebody in for having this address.
    pub fn is_about_address(&self, email: &Email) -> bool {
        *self == Self::Email(email.clone())
    }

    fn matches(&self, user: &User) -> bool {
        match self {
            Self::AnyUser => true,
            Self::Group(group) => user.groups.contains(group),
            Self::Email(email) => user.email == *email,
            Self::Username(username) => user.username == *username,
        }
    }
}

/// Whether `user` may enter a route with this `allow` list. An empty list lets nobody in, and a
/// disabled account enters nowhere.
pub fn may_enter(allow: &[Allow], user: &User) -> bool {
    user.standing == Standing::Active && allow.iter().any(|line| line.matches(user))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::UserId;
    use crate::domain::time::Timestamp;
    use crate::domain::user::{DisplayName, Role};

    fn alice(standing: Standing) -> User {
        User {
            id: UserId::from_random([1; 16]),
            username: Username::parse("alice").unwrap(),
            email: Email::parse("alice@example.com").unwrap(),
            display_name: DisplayName::parse("Alice").unwrap(),
            groups: [Group::parse("staff").unwrap()].into(),
            role: Role::Administrator,
            standing,
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
            seen_from: Vec::new(),
        }
    }

    /// One promise per line.
    #[track_caller]
    fn check(allow: &[&str], standing: Standing, expected: bool) {
        let allow: Vec<_> = allow.iter().map(|line| Allow::parse(line).unwrap()).collect();
        assert_eq!(may_enter(&allow, &alice(standing)), expected, "{allow:?}");
    }

    #[test]
    fn every_line_lets_in_whom_it_names_and_nobody_else() {
        check(&["user"], Standing::Active, true);
        check(&["group:staff"], Standing::Active, true);
        check(&["group:ops"], Standing::Active, false);
        check(&["user:ALICE@example.com"], Standing::Active, true);
        check(&["user:alice"], Standing::Active, true);
        check(&["user:bob"], Standing::Active, false);
        check(&["group:ops", "user:alice"], Standing::Active, true);
        check(&[], Standing::Active, false);
        check(&["user"], Standing::Disabled, false);
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for wrong in ["", "users", "group:", "user:", "user:a b", "group:a,b", "anyone"] {
            assert!(Allow::parse(wrong).is_err(), "{wrong}");
        }
    }
}
