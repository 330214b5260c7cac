//! The facts that one route needs about one session or access token: which of its rules are about
//! the user, and what to tell the application. A passport is made once for each pair, and used for
//! every request.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::{HeaderName, HeaderValue};

use crate::domain::assertion::{ASSERTION_RENEWAL, AssertionSigner, Shown};
use crate::domain::policy::decide::UserPolicy;
use crate::domain::policy::route::Route;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::flows::FlowError;

/// The header that carries the signed assertion.
pub const ASSERTION_HEADER: HeaderName = HeaderName::from_static("x-vestibule-assertion");

/// The decision worked out beforehand, and the headers for a request that is let in.
pub struct Passport {
    /// The route it was made for. New rules have new routes, and so make new passports.
    pub route: Arc<Route>,
    /// The person as they were when the decision was made; a change makes a new passport.
    pub user: Arc<User>,
    /// The rules that are about them.
    pub user_policy: UserPolicy,
    /// `None`: no rule lets this person in.
    pub headers: Option<Vec<(HeaderName, HeaderValue)>>,
    /// The value of `Authorization` for the application, if it gets one.
    pub authorization: Option<HeaderValue>,
    /// When the assertion in the headers has to be renewed.
    pub renew_at: Timestamp,
}

impl Passport {
    /// Finds the rules, and writes the headers if one of them may let the user in. There is no
    /// passport without an assertion: an application that checks it would take this person for an
    /// anonymous client.
    pub(in crate::flows) fn issue(
        signer: &AssertionSigner,
        issuer: &str,
        route: &Arc<Route>,
        user: Arc<User>,
        shown: Shown<'_>,
        now: Timestamp,
    ) -> Result<Self, FlowError> {
        let user_policy = route.policy.about(&user);
        let headers = route.policy.lets_in(&user_policy).then(|| {
            let jwt = signer.sign(issuer, &route.name, &user, shown, now)?;
            let mut headers = route.identity.of(&user);
            headers.push((ASSERTION_HEADER, HeaderValue::from_str(&jwt).ok()?));
            if let Some((name, host)) = route.pomerium_assertion() {
                let jwt = signer.sign_as_pomerium(host, &user, shown, now)?;
                headers.push((name.clone(), HeaderValue::from_str(&jwt).ok()?));
            }
            Some(headers)
        });
        let headers = match headers {
            Some(None) => return Err(FlowError::Signing),
            Some(written) => written,
            None => None,
        };
        let authorization = route.credentials.as_ref().filter(|_| headers.is_some());
        let authorization = authorization.and_then(|credentials| credentials.of(&user));
        let (route, renew_at) = (Arc::clone(route), now.plus(ASSERTION_RENEWAL));
        Ok(Self { route, user, user_policy, headers, authorization, renew_at })
    }

    /// Whether it still holds for this route and person at this moment.
    pub(in crate::flows) fn holds(&self, route: &Arc<Route>, user: &Arc<User>, now: Timestamp) -> bool {
        Arc::ptr_eq(&self.route, route) && Arc::ptr_eq(&self.user, user) && now < self.renew_at
    }
}

/// The passports of one session or token: at most one a route, and so a handful.
#[derive(Default)]
pub(in crate::flows) struct Passports(ArcSwapOption<Vec<Arc<Passport>>>);

impl Passports {
    /// The passport that was made for the route with this name.
    pub(in crate::flows) fn of(&self, route: &str) -> Option<Arc<Passport>> {
        self.0.load().as_ref()?.iter().find(|passport| passport.route.name == route).cloned()
    }

    /// Keeps `passport` instead of the one before for the same route. Of two that are kept at the
    /// same moment for different routes, both stay.
    pub(in crate::flows) fn keep(&self, passport: &Arc<Passport>) {
        self.0.rcu(|known| {
            let known = known.as_deref().map_or(&[][..], Vec::as_slice);
            let others = known.iter().filter(|other| other.route.name != passport.route.name);
            Some(Arc::new(others.chain([passport]).cloned().collect::<Vec<_>>()))
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::assertion::AssertionKeys;
    use crate::domain::id::SessionId;
    use crate::domain::policy::decide::Policy;
    use crate::domain::policy::headers::HeaderRules;
    use crate::domain::policy::identity::IdentityHeaders;
    use crate::domain::policy::route::{CrossOrigin, HostPattern, Timeouts, WebSocket};
    use crate::domain::policy::who::Allow;
    use crate::domain::session::{Scope, Session};
    use crate::domain::user::{Email, Group, Username};

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn alice() -> Arc<User> {
        let (username, email) =
            (Username::parse("alice").unwrap(), Email::parse("alice@example.com").unwrap());
        Arc::new(User::hypothetical(username, email, [].into()).unwrap())
    }

    fn issue(signer: &AssertionSigner, allow: Allow) -> Result<Passport, FlowError> {
        let second = Duration::from_secs(1);
        let route = Route {
            name: "app".to_owned(),
            host: HostPattern::parse("app.example.com").unwrap(),
            path: "/".to_owned(),
            upstreams: vec![],
            policy: Policy::allowing(vec![allow], None),
            public: vec![],
            identity: IdentityHeaders::preset("remote").unwrap(),
            credentials: None,
            logout: None,
            websocket: WebSocket::Allowed,
            cross_origin: CrossOrigin::Refused,
            headers: HeaderRules::default(),
            tile: None,
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
        Passport::issue(
            signer,
            "https://auth.example.com",
            &Arc::new(route),
            alice(),
            Shown::Session(&session),
            NOW,
        )
    }

    #[test]
    fn a_passport_holds_for_one_route_and_one_person_until_its_assertion_gets_old() {
        let signer = AssertionKeys::generate(&[2; 32]).unwrap().open().unwrap();
        let passport = issue(&signer, Allow::AnyUser).unwrap();
        let (route, user) = (Arc::clone(&passport.route), Arc::clone(&passport.user));
        let old = NOW.plus(ASSERTION_RENEWAL);
        assert!(passport.holds(&route, &user, NOW));
        assert!(passport.holds(&route, &user, old.minus(Duration::from_millis(1))));
        assert!(!passport.holds(&route, &user, old));
        // Records that have been read again, whatever is in them.
        assert!(!passport.holds(&Arc::new((*route).clone()), &user, NOW));
        assert!(!passport.holds(&route, &Arc::new((*user).clone()), NOW));
    }

    #[test]
    fn of_each_route_the_newest_passport_is_kept() {
        let signer = AssertionKeys::generate(&[2; 32]).unwrap().open().unwrap();
        let named = |name: &str| {
            let passport = issue(&signer, Allow::AnyUser).unwrap();
            let route = Arc::new(Route { name: name.to_owned(), ..(*passport.route).clone() });
            Arc::new(Passport { route, ..passport })
        };
        let kept = Passports::default();
        let (wiki, blog, newer) = (named("wiki"), named("blog"), named("wiki"));
        let is = |route, passport| kept.of(route).is_some_and(|it| Arc::ptr_eq(&it, passport));
        assert!(kept.of("wiki").is_none());
        kept.keep(&wiki);
        kept.keep(&blog);
        assert!(is("wiki", &wiki) && is("blog", &blog) && kept.of("mail").is_none());
        kept.keep(&newer);
        assert!(is("wiki", &newer) && is("blog", &blog));
        assert_eq!(kept.0.load().as_ref().unwrap().len(), 2);
    }

    #[test]
    fn issuing_fails_without_an_assertion() {
        let signer = AssertionKeys::generate(&[2; 32]).unwrap().open().unwrap();
        let headers = issue(&signer, Allow::AnyUser).unwrap().headers.unwrap();
        assert!(headers.iter().any(|(name, _)| *name == ASSERTION_HEADER));

        let broken = AssertionSigner::that_cannot_sign();
        assert!(matches!(issue(&broken, Allow::AnyUser), Err(FlowError::Signing)));
        let nobody = Allow::Group(Group::parse("staff").unwrap());
        assert!(issue(&broken, nobody).unwrap().headers.is_none());
    }
}
