//! Admission by access token.
//!
//! A token restricts on top of the rules of a route: its record and its blocks are asked first,
//! because they say whether the request has a user at all; then the rules decide about that user,
//! as they do about a signed-in user. What always holds: a token that is shown is good for the
//! request or the request is refused, also where anonymous clients may be; the reason is in the
//! audit trail and not in the answer. Datalog is run only for a token that a holder has narrowed,
//! and only for a request that its record covers.
//!
//! What does not live here: how a token is found in a request (`domain/access_token/carrier.rs`).

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::domain::access_token::TokenRefusal;
use crate::domain::access_token::carrier::Shown;
use crate::domain::access_token::grant::Usage;
use crate::domain::access_token::narrowing::{CheckFailure, Narrowing};
use crate::domain::assertion::Shown as Recognised;
use crate::domain::event::{Kind, TokenEvent};
use crate::domain::policy::decide::Decision;
use crate::domain::policy::path::{self, Reading};
use crate::domain::policy::route::Route;
use crate::domain::policy::rule::RequestFacts;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::flows::FlowError;
use crate::flows::access_tokens::index::{LiveToken, VerifiedToken};
use crate::flows::admission::Doorkeeper;
use crate::flows::admission::{Admission, Outcome, Permit, Refused, Visitor};
use crate::flows::passport::Passport;
use crate::flows::visit::Visit;

/// Why a token does not open a request.
enum TokenFailure {
    Refused(TokenRefusal),
    /// The path has more than one reading, and the token names paths.
    AmbiguousPath,
    OutOfTime,
}

impl From<CheckFailure> for TokenFailure {
    fn from(why: CheckFailure) -> Self {
        match why {
            CheckFailure::Refused(why) => Self::Refused(why),
            CheckFailure::OutOfTime => Self::OutOfTime,
        }
    }
}

impl VerifiedToken {
    /// Whether its record and its blocks cover a request.
    fn covers(&self, usage: &Usage<'_>) -> Result<(), TokenFailure> {
        let record = self.token.record();
        let names_path =
            !record.grant.paths.is_empty() || self.narrowing.as_ref().is_some_and(Narrowing::names_path);
        if names_path && path::read(usage.asking.raw_path) != Reading::Plain {
            return Err(TokenFailure::AmbiguousPath);
        }
        record.grant.covers(usage).map_err(TokenFailure::Refused)?;
        match &self.narrowing {
            Some(narrowing) => Ok(narrowing.passes(usage)?),
            None => Ok(()),
        }
    }

    /// The token whose end ends the streams.
    pub(in crate::flows) fn token(&self) -> &LiveToken {
        &self.token
    }
}

impl Doorkeeper {
    /// Decides about a request that shows a token.
    pub(in crate::flows) fn admit_by_token(
        &self,
        route: Arc<Route>,
        visit: &Visit,
        asking: &RequestFacts<'_>,
        shown: &Shown<'_>,
    ) -> Admission {
        if self.access_tokens.index.is_too_old(asking.now) || self.sessions.index.is_too_old(asking.now) {
            return Admission::Answer(Outcome::Unavailable);
        }
        let verified = match self.verified_token(&shown.text) {
            Ok(verified) => verified,
            Err(why) => return self.refuse_token(route, visit, None, why),
        };
        let usage = Usage { route: &route.name, asking: *asking };
        let user = match self.user_of(&verified, &usage) {
            Ok(user) => user,
            Err(TokenFailure::Refused(why)) => return self.refuse_token(route, visit, Some(&verified), why),
            Err(TokenFailure::AmbiguousPath) => return Admission::Answer(Outcome::AmbiguousPath),
            Err(TokenFailure::OutOfTime) => {
                let token = verified.token.record().id;
                self.ground.report(visit.origin(), Kind::AccessToken(TokenEvent::CheckTimedOut { token }));
                return Admission::Answer(Outcome::Unavailable);
            }
        };
        let Ok(passport) = self.passport_of_token(&route, &verified.token, user, asking.now) else {
            tracing::error!(route = route.name, "an assertion could not be signed");
            return Admission::Answer(Outcome::Internal);
        };
        // A token shows no passkey.
        let verdict = route.policy.decide(&passport.user_policy, None, asking);
        match verdict.decision {
            Decision::Allowed => {
                verified.token.touch(asking.now);
                let visitor = Visitor::Token { shown: verified, passport, means: shown.means };
                Admission::Forward(Permit::new(route, visitor))
            }
            _ if route.opens(asking.raw_path) => Admission::Forward(Permit::new(route, Visitor::Anonymous)),
            Decision::Undecided => Admission::Answer(Outcome::Undecided { route }),
            Decision::StepUp => self.refuse_token(route, visit, Some(&verified), TokenRefusal::Passkey),
            Decision::Refused | Decision::SignIn | Decision::Public => {
                let refused = Refused::by(&verdict, Some(Arc::clone(&passport.user)));
                self.forbid(route, visit, refused)
            }
        }
    }

    /// A token whose signatures hold and whose record is there.
    fn verified_token(&self, text: &str) -> Result<Arc<VerifiedToken>, TokenRefusal> {
        let digest = Sha256::digest(text).into();
        if let Some(verified) = self.access_tokens.index.verified(&digest) {
            return Ok(verified);
        }
        let read = self.ground.open_keys.load().access_tokens.read(text, &self.ground.issuer)?;
        let token = self.access_tokens.index.token(&read.id);
        let token = token.filter(|it| it.record().user == read.user).ok_or(TokenRefusal::Revoked)?;
        Ok(self.access_tokens.index.remember(digest, VerifiedToken { token, narrowing: read.narrowing }))
    }

    /// The user whom a token acts for, if it covers the request.
    fn user_of(&self, shown: &VerifiedToken, usage: &Usage<'_>) -> Result<Arc<User>, TokenFailure> {
        if !shown.token.is_live(usage.asking.now) {
            let why = if shown.token.has_ended() { TokenRefusal::Revoked } else { TokenRefusal::Expired };
            return Err(TokenFailure::Refused(why));
        }
        let user = self.sessions.active_user_at(&shown.token.record().user, usage.asking.now);
        let user = user.ok_or(TokenFailure::Refused(TokenRefusal::Owner))?;
        shown.covers(usage)?;
        Ok(user)
    }

    /// Whether a stream goes on that a token has opened. Where the engine runs out of time, the
    /// stream goes on until it is decided about again, because no change speaks against it.
    pub(in crate::flows) fn may_stay_by_token(
        &self,
        route: &Route,
        shown: &VerifiedToken,
        asking: &RequestFacts<'_>,
    ) -> bool {
        let usage = Usage { route: &route.name, asking: *asking };
        let user = match self.user_of(shown, &usage) {
            Ok(user) => user,
            Err(TokenFailure::OutOfTime) => return true,
            Err(TokenFailure::Refused(_) | TokenFailure::AmbiguousPath) => return false,
        };
        route.policy.decide(&route.policy.about(&user), None, asking).decision == Decision::Allowed
    }

    /// Refuses a request for the token that it shows.
    pub(in crate::flows) fn refuse_token(
        &self,
        route: Arc<Route>,
        visit: &Visit,
        shown: Option<&VerifiedToken>,
        why: TokenRefusal,
    ) -> Admission {
        let token = shown.map(|shown| shown.token.record()).map(|record| (record.id, record.user));
        let at = why.is_good_elsewhere().then(|| route.name.clone());
        self.ground.report(visit.origin(), Kind::AccessToken(TokenEvent::Refused { token, route: at, why }));
        Admission::Answer(Outcome::TokenRefused { route, why })
    }

    fn passport_of_token(
        &self,
        route: &Arc<Route>,
        token: &LiveToken,
        user: Arc<User>,
        now: Timestamp,
    ) -> Result<Arc<Passport>, FlowError> {
        let record = token.record();
        self.passport_among(token.passports(), route, (user, Recognised::Token(&record.id)), now)
    }
}
