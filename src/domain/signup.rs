//! Signing up: who may make an account for themselves.

use std::collections::BTreeSet;

use super::user::{Email, Group, Standing};

/// Who may make an account for themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SignUpMode {
    /// No one: an account takes an invitation.
    #[default]
    Invite,
    /// Readers of mail at one of these domains, each in lower case.
    Domain(Vec<String>),
    /// Readers of any mail.
    Open,
}

/// The operator's settings for sign-up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SignUp {
    pub mode: SignUpMode,
    /// Whether a new account waits for an administrator before it opens an application.
    pub approval: Approval,
    /// The groups of new accounts.
    pub groups: BTreeSet<Group>,
}

/// Whether a new account waits for an administrator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Approval {
    #[default]
    NotNeeded,
    Needed,
}

impl SignUp {
    /// Whether sign-up is open at all.
    pub fn is_on(&self) -> bool {
        self.mode != SignUpMode::Invite
    }

    /// Whether the reader of `email` may sign up. A domain is the whole part after the `@`: neither
    /// a part of it nor a subdomain.
    pub fn takes(&self, email: &Email) -> bool {
        match &self.mode {
            SignUpMode::Invite => false,
            SignUpMode::Domain(domains) => domains.iter().any(|domain| email.domain() == domain),
            SignUpMode::Open => true,
        }
    }

    /// How a new account begins.
    pub fn standing(&self) -> Standing {
        match self.approval {
            Approval::Needed => Standing::Pending,
            Approval::NotNeeded => Standing::Active,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_03_a_domain_is_matched_whole() {
        let sign_up =
            SignUp { mode: SignUpMode::Domain(vec!["example.com".to_owned()]), ..SignUp::default() };
        let takes = |email: &str| sign_up.takes(&Email::parse(email).unwrap());
        assert!(takes("a@example.com") && takes("A@Example.COM"));
        for other in ["a@badexample.com", "a@sub.example.com", "a@example.com.evil.example", "a@example.co"] {
            assert!(!takes(other), "{other}");
        }
        assert!(!SignUp::default().takes(&Email::parse("a@example.com").unwrap()));
        let open = SignUp { mode: SignUpMode::Open, ..SignUp::default() };
        assert!(open.takes(&Email::parse("a@example.com").unwrap()));
        assert_eq!([SignUp::default(), sign_up, open].map(|it| it.is_on()), [false, true, true]);
    }
}
