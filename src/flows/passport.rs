//! What one route needs to know about one session: whether to let it in, and what to tell the
//! application. Made once per session and route, used for every request.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::FlowError;
use crate::domain::assertion::{ASSERTION_RENEWAL, AssertionSigner};
use crate::domain::policy::may_enter;
use crate::domain::policy::route::Route;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::user::User;

/// The header that carries the signed assertion.
pub const ASSERTION_HEADER: HeaderName = HeaderName::from_static("x-vestibule-assertion");

/// A decision and the headers that go with it.
pub struct Passport {
    /// The name of the route it was made for.
    pub route: String,
    /// The person as they were when the decision was made; a change makes a new passport.
    pub user: Arc<User>,
    /// `None`: this person may not enter.
    pub headers: Option<Vec<(HeaderName, HeaderValue)>>,
    /// When the assertion in the headers has to be renewed.
    pub renew_at: Timestamp,
}

impl Passport {
    /// Decides, and writes the headers if the decision is to let them in. There is no passport
    /// without an assertion: an application that checks it would take this person for a stranger.
    pub(super) fn issue(
        signer: &AssertionSigner,
        issuer: &str,
        route: &Route,
        user: Arc<User>,
        session: &Session,
        now: Timestamp,
    ) -> Result<Self, FlowError> {
        let headers = may_enter(&route.allow, &user).then(|| {
            let jwt = signer.sign(issuer, &route.name, &user, session, now)?;
            let mut headers = route.identity.of(&user);
            headers.push((ASSERTION_HEADER, HeaderValue::from_str(&jwt).ok()?));
            Some(headers)
        });
        let headers = match headers {
            Some(None) => return Err(FlowError::Signing),
            Some(written) => written,
            None => None,
        };
        Ok(Self { route: route.name.clone(), user, headers, renew_at: now.plus(ASSERTION_RENEWAL) })
    }

    /// Whether it still holds for this person at this moment.
    pub(super) fn holds(&self, user: &Arc<User>, now: Timestamp) -> bool {
        Arc::ptr_eq(&self.user, user) && now < self.renew_at
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::assertion::AssertionKeys;
    use crate::domain::id::{SessionId, UserId};
    use crate::domain::policy::Allow;
    use crate::domain::policy::headers::HeaderRules;
    use crate::domain::policy::identity::IdentityHeaders;
    use crate::domain::policy::route::{CrossOrigin, HostPattern, Timeouts, WebSocket};
    use crate::domain::session::Scope;
    use crate::domain::user::{DisplayName, Email, Group, Role, Standing, Username};

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn alice() -> Arc<User> {
        Arc::new(User {
            id: UserId::from_random([1; 16]),
            username: Username::parse("alice").unwrap(),
            email: Email::parse("alice@example.com").unwrap(),
            display_name: DisplayName::parse("Alice").unwrap(),
            groups: [].into(),
            role: Role::Member,
            standing: Standing::Active,
            created_at: NOW,
            updated_at: NOW,
            seen_from: Vec::new(),
        })
    }

    fn issue(signer: &AssertionSigner, allow: Allow) -> Result<Passport, FlowError> {
        let second = Duration::from_secs(1);
        let route = Route {
            name: "app".to_owned(),
            host: HostPattern::parse("app.example.com").unwrap(),
            path: "/".to_owned(),
            upstreams: vec![],
            allow: vec![allow],
            public: vec![],
            identity: IdentityHeaders::preset("remote").unwrap(),
            websocket: WebSocket::Allowed,
            cross_origin: CrossOrigin::Refused,
            headers: HeaderRules::default(),
            timeouts: Timeouts { connect: second, read: second, write: second, idle: second },
        };
        let session = Session {
            id: SessionId([9; 16]),
            user: alice().id,
            scope: Scope::Full,
            credential: None,
            created_at: NOW,
            authenticated_at: Some(NOW),
            fresh_since: Some(NOW),
            stepped_up_at: None,
            step_up: None,
            by_mailed_code: false,
            last_seen_at: NOW,
            expires_at: NOW.plus(second),
            client: None,
            user_agent: None,
        };
        Passport::issue(signer, "https://auth.example.com", &route, alice(), &session, NOW)
    }

    #[test]
    fn there_is_no_passport_without_an_assertion() {
        let signer = AssertionKeys::generate(&[2; 32]).unwrap().open().unwrap();
        let headers = issue(&signer, Allow::AnyUser).unwrap().headers.unwrap();
        assert!(headers.iter().any(|(name, _)| *name == ASSERTION_HEADER));

        let broken = AssertionSigner::that_cannot_sign();
        assert!(matches!(issue(&broken, Allow::AnyUser), Err(FlowError::Signing)));
        let nobody = Allow::Group(Group::parse("staff").unwrap());
        assert!(issue(&broken, nobody).unwrap().headers.is_none());
    }
}
