//! Return targets: where an anonymous client was heading, across hosts.
//!
//! An anonymous client on an application's host gets a nonce cookie there, and the target goes
//! along to the sign-in page, sealed, so that a page load of an anonymous client writes nothing.
//! When they have signed in on the auth host, a one-time code carries the sign-in over: it is good
//! for 30 seconds, for that target, and only for the browser that shows the nonce. The
//! application's host then sets its own host-only cookie.
//!
//! Loops end here: a browser that comes back as an anonymous client after two completed rounds, or
//! that does not show its nonce at all, is told why instead of being sent around again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::event::Kind;
use crate::domain::id::ReturnTargetId;
use crate::domain::place::host_of;
use crate::domain::policy::route::Known;
use crate::domain::return_target::{
    HAND_OFF_LIFETIME, HandOff, RETURN_TARGET_LIFETIME, ReturnTarget, ReturnTargetName,
    SEALED_TARGET_BYTES_MAX, TARGET_BYTES_MAX, Target,
};
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::session::Session;
use crate::domain::session::token::Carrier;
use crate::domain::time::Timestamp;
use crate::flows::FlowError;
use crate::flows::sign_in::SignIn;
use crate::flows::visit::Visit;
use crate::ports::entropy;
use crate::records::{self, keys};

/// Completed rounds after which a browser that is still an anonymous client is going in circles.
pub const ROUNDS_MAX: u8 = 2;
/// Rounds longer ago than this do not count.
const ROUND_WINDOW: Duration = Duration::from_mins(1);
/// How long a user remembers what the sign-in page said.
const SEEN_WINDOW: Duration = Duration::from_secs(30);
/// The most browsers whose rounds are counted; beyond it the count starts afresh.
const COUNTED_BROWSERS_MAX: usize = 10_000;

/// Why a user is sent to sign in before they come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedirectReason {
    SignIn,
    /// They are signed in, and the route wants a passkey that was shown a short time ago.
    ShowPasskey,
}

/// The next page of an anonymous client.
#[derive(Debug)]
pub enum SignInRedirect {
    /// To sign in, with this return target and this nonce in a cookie of the present host.
    SignIn { return_target: ReturnTargetName, nonce: Secret },
    /// Nowhere: this browser has completed two rounds.
    Loop,
}

/// The next page of a user who has signed in.
#[derive(Debug, PartialEq, Eq)]
pub enum NextStep {
    /// To a target on the auth host itself.
    Here(Target),
    /// To the host of an application, with a code.
    HandOff { url: String },
    /// To be asked first: any name below a wildcard route leads here, and not every one of them
    /// need be an application's (`evil.example.com` with a dangling DNS record).
    Ask { host: String },
    /// To their account: no return target is known.
    Account,
}

/// Whether the person has said that they want to go where a return target leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// A link brought them here.
    Followed,
    /// They confirmed it on a page of ours.
    Confirmed,
}

/// A hand-off that was accepted.
#[derive(Debug)]
pub struct Arrived {
    /// The session, for a cookie of this host.
    pub token: String,
    pub session: Session,
    pub target: Target,
}

/// Why a hand-off was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandOffError {
    /// The browser does not show the nonce it was given: it keeps no cookies here.
    NoNonce,
    /// The code is unknown, used, expired, for another host, or the session has ended. Starting
    /// again may help.
    NoSuchCode,
}

/// Completed rounds by browser.
#[derive(Default)]
pub(in crate::flows) struct Rounds(Mutex<HashMap<[u8; 32], (u8, Timestamp)>>);

impl Rounds {
    fn completed(&self, browser: &SecretHash, now: Timestamp) {
        let mut rounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if rounds.len() >= COUNTED_BROWSERS_MAX {
            rounds.retain(|_, (_, at)| now.since(*at) < ROUND_WINDOW);
        }
        if rounds.len() >= COUNTED_BROWSERS_MAX {
            rounds.clear();
        }
        let entry = rounds.entry(*browser.as_bytes()).or_insert((0, now));
        let count = if now.since(entry.1) < ROUND_WINDOW { entry.0.saturating_add(1) } else { 1 };
        *entry = (count, now);
    }

    fn is_exhausted(&self, browser: &SecretHash, now: Timestamp) -> bool {
        let mut rounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let exhausted = rounds
            .get(browser.as_bytes())
            .is_some_and(|(count, at)| *count >= ROUNDS_MAX && now.since(*at) < ROUND_WINDOW);
        if exhausted {
            // The user is told once; the next attempt starts afresh.
            rounds.remove(browser.as_bytes());
        }
        exhausted
    }
}

impl SignIn {
    /// Remembers where a client on the host of `visit` was heading that has to sign in first.
    /// `nonce` is the one its browser shows already, if any.
    pub async fn leave_for_sign_in(
        &self,
        visit: &Visit,
        path_and_query: &str,
        nonce: Option<&str>,
        reason: RedirectReason,
    ) -> Result<SignInRedirect, FlowError> {
        let now = self.ground.clock.now();
        let nonce = nonce.and_then(Secret::parse);
        if let Some(nonce) = &nonce
            && self.rounds.is_exhausted(&nonce.hashed(), now)
        {
            self.ground.report(visit.origin(), Kind::LoopDetected { host: visit.host.clone() });
            return Ok(SignInRedirect::Loop);
        }
        let nonce = nonce.unwrap_or_else(|| Secret::from_random(entropy::bytes(&*self.ground.entropy)));
        let fits = path_and_query.len() <= TARGET_BYTES_MAX && path_and_query.starts_with('/');
        let path_and_query = if fits { path_and_query } else { "/" }.to_owned();
        let return_target = ReturnTarget {
            target: Target { origin: self.ground.place.origin_of(&visit.host), path_and_query },
            browser: nonce.hashed(),
            shown_since: (reason == RedirectReason::ShowPasskey).then_some(now),
            expires_at: now.plus(RETURN_TARGET_LIFETIME),
        };
        Ok(SignInRedirect::SignIn { return_target: self.named(return_target, visit).await?, nonce })
    }

    /// The name of `return_target` in the address of the sign-in page. A target that does not fit
    /// there is kept, which counts as an attempt; a client that has had its share of those goes
    /// back to the front page.
    async fn named(
        &self,
        mut return_target: ReturnTarget,
        visit: &Visit,
    ) -> Result<ReturnTargetName, FlowError> {
        if return_target.target.path_and_query.len() > SEALED_TARGET_BYTES_MAX {
            if self.attempts.count(visit).is_ok() {
                return self.kept(&return_target, visit).await;
            }
            "/".clone_into(&mut return_target.target.path_and_query);
        }
        let plain = serde_json::to_vec(&return_target).map_err(|_| FlowError::Signing)?;
        let nonce = entropy::bytes(&*self.ground.entropy);
        let sealed = self
            .ground
            .open_keys
            .load()
            .return_targets
            .seal_for_address(&plain, nonce)
            .ok_or(FlowError::Signing)?;
        Ok(ReturnTargetName::Sealed(sealed))
    }

    async fn kept(&self, return_target: &ReturnTarget, visit: &Visit) -> Result<ReturnTargetName, FlowError> {
        let id = ReturnTargetId(entropy::bytes(&*self.ground.entropy));
        let (key, now) = (keys::return_target(&id), self.ground.clock.now());
        let room = self.pending_return_targets.admit(
            key.clone(),
            self.attempts.begun_by(visit.client),
            return_target.expires_at,
            now,
        );
        self.ground.records.commit(room.put(key, records::encode(return_target)?)).await?;
        Ok(ReturnTargetName::Kept(id))
    }

    /// The host that a return target leads to, for the sign-in page.
    pub async fn return_host(&self, name: Option<&ReturnTargetName>) -> Result<Option<String>, FlowError> {
        let Some(return_target) = self.return_target(name).await? else { return Ok(None) };
        let origin = return_target.target.origin;
        Ok(origin.split_once("://").map(|(_, host)| host.to_owned()))
    }

    async fn return_target(
        &self,
        name: Option<&ReturnTargetName>,
    ) -> Result<Option<ReturnTarget>, FlowError> {
        let found: Option<ReturnTarget> = match name {
            None => None,
            Some(ReturnTargetName::Kept(id)) => self.ground.records.get(&keys::return_target(id)).await?,
            Some(ReturnTargetName::Sealed(text)) => {
                let opened = self.ground.open_keys.load().return_targets.open_from_address(text);
                opened.and_then(|plain| serde_json::from_slice(&plain).ok())
            }
        };
        let now = self.ground.clock.now();
        Ok(found.filter(|return_target| now < return_target.expires_at))
    }

    /// Whether the owner of `session` has to show a passkey again before they go on.
    pub async fn must_show_again(
        &self,
        session: &Session,
        name: Option<&ReturnTargetName>,
    ) -> Result<bool, FlowError> {
        let since = self.return_target(name).await?.and_then(|return_target| return_target.shown_since);
        Ok(since.is_some_and(|since| session.authenticated_at.is_none_or(|at| at < since)))
    }

    /// The next page of the owner of `session` after a sign-in on the auth host.
    pub async fn next_step(
        &self,
        session: &Session,
        name: Option<&ReturnTargetName>,
        intent: Intent,
    ) -> Result<NextStep, FlowError> {
        let Some(return_target) = self.return_target(name).await? else { return Ok(NextStep::Account) };
        if return_target.target.origin == self.ground.issuer {
            return Ok(NextStep::Here(return_target.target));
        }
        let now = self.ground.clock.now();
        let host = host_of_origin(&return_target.target.origin);
        match self.ground.routes().knows(&host) {
            // The configuration has changed since.
            Known::Not => return Ok(NextStep::Account),
            Known::ByWildcard if intent == Intent::Followed && !just_signed_in(session, now) => {
                return Ok(NextStep::Ask { host });
            }
            Known::ByName | Known::ByWildcard => {}
        }
        let code = Secret::from_random(entropy::bytes(&*self.ground.entropy));
        let url = format!(
            "{}{}/hand-off?code={}",
            return_target.target.origin,
            self.ground.place.prefix,
            code.reveal()
        );
        let hand_off = HandOff {
            session: session.id,
            target: return_target.target,
            browser: return_target.browser,
            expires_at: now.plus(HAND_OFF_LIFETIME),
        };
        let key = keys::hand_off(&code.hashed());
        let room = self.hand_offs.admit(
            key.clone(),
            self.attempts.begun_by(session.client),
            hand_off.expires_at,
            now,
        );
        self.ground.records.commit(room.put(key, records::encode(&hand_off)?)).await?;
        Ok(NextStep::HandOff { url })
    }

    /// Accepts a hand-off on the host of `visit`. The code is gone whatever the outcome.
    pub async fn arrive(
        &self,
        visit: &Visit,
        code: &str,
        nonce: Option<&str>,
    ) -> Result<Result<Arrived, HandOffError>, FlowError> {
        let now = self.ground.clock.now();
        let carried: Option<HandOff> = match Secret::parse(code) {
            Some(code) => self.ground.records.take(&keys::hand_off(&code.hashed())).await?,
            None => None,
        };
        let Some(nonce) = nonce.and_then(Secret::parse).map(|nonce| nonce.hashed()) else {
            return Ok(Err(self.hand_off_failed(visit, HandOffError::NoNonce)));
        };
        let ours = self.ground.place.origin_of(&visit.host);
        let fits = |h: &HandOff| h.browser == nonce && h.target.origin == ours && now < h.expires_at;
        let Some(offer) = carried.filter(fits) else {
            return Ok(Err(self.hand_off_failed(visit, HandOffError::NoSuchCode)));
        };
        let Some(live) = self.sessions.kept_live(&offer.session).await? else {
            return Ok(Err(self.hand_off_failed(visit, HandOffError::NoSuchCode)));
        };
        let session = (*live.record()).clone();
        let token = self.sessions.token(&session, Carrier::Cookie(visit.host.clone()))?;
        self.rounds.completed(&nonce, now);
        let (user, host) = (session.user, visit.host.clone());
        self.ground.report(visit.origin(), Kind::HandedOff { user, session: session.id, host });
        Ok(Ok(Arrived { token, session, target: offer.target }))
    }

    fn hand_off_failed(&self, visit: &Visit, why: HandOffError) -> HandOffError {
        let host = visit.host.clone();
        let kind = match why {
            HandOffError::NoNonce => Kind::LoopDetected { host },
            HandOffError::NoSuchCode => Kind::HandOffRefused { host },
        };
        self.ground.report(visit.origin(), kind);
        why
    }
}

/// The sign-in page names the host it leads to; a user who has just used it has seen the name.
fn just_signed_in(session: &Session, now: Timestamp) -> bool {
    session.authenticated_at.is_some_and(|at| now.since(at) < SEEN_WINDOW)
}

fn host_of_origin(origin: &str) -> String {
    let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
    host_of(authority).unwrap_or_default()
}
