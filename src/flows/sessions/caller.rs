//! Callers: who a request is from, by what it shows.
//!
//! It reads memory only, and checks no signature twice. What always holds: a token counts only in
//! the carrier that it was made for, and a session or an account that has ended identifies no user.
//!
//! What does not live here: what the caller may do.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::domain::cookie::{self, Cookie, Found};
use crate::domain::id::UserId;
use crate::domain::session::access;
use crate::domain::session::token::{Carrier, PairedCookie, TokenError};
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::flows::index::{LiveSession, Verified};
use crate::flows::sessions::Sessions;

/// The sender of a request.
pub enum Caller {
    Known(Arc<LiveSession>, Arc<User>),
    /// An unknown client. `showed_token` says whether it showed a token that is not valid.
    Anonymous {
        showed_token: bool,
    },
}

/// The session check ran out of its budget, or the memory may be out of date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session could not be checked in time")]
pub struct CheckUnavailable;

impl Sessions {
    /// The caller of a request with these `Cookie` headers, on `host`.
    pub fn caller_by_cookie<'a>(
        &self,
        host: &str,
        cookies: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Caller, CheckUnavailable> {
        match cookie::find(cookies, Cookie::Session.name(self.ground.place.scheme)) {
            Found::One(token) => {
                self.caller(token, |it| matches!(&it.carrier, Carrier::Cookie(h) if h == host))
            }
            Found::Nothing => Ok(Caller::Anonymous { showed_token: false }),
            Found::Unclear => Ok(Caller::Anonymous { showed_token: true }),
        }
    }

    /// The caller of a request with this token in its `Authorization` header: an opaque token, a
    /// refresh token or an access token of a session. Only our own endpoints ask.
    pub fn caller_by_bearer(&self, token: &str) -> Result<Caller, CheckUnavailable> {
        if access::is_access_token(token) {
            self.must_be_up_to_date(self.ground.clock.now())?;
            Ok(self.caller_by_access_token(token))
        } else {
            self.caller_by_lasting(token)
        }
    }

    /// The same, but not with an access token, which is short-lived so that it cannot be prolonged.
    pub fn caller_by_lasting(&self, token: &str) -> Result<Caller, CheckUnavailable> {
        self.caller(token, |it| !matches!(it.carrier, Carrier::Cookie(_)))
    }

    /// The same, but only with the token that a sign-in answered with. Where it gave a cookie
    /// beside it, the request has to show that cookie: `by_cookie` is the session that it shows.
    pub fn caller_by_sign_in(
        &self,
        token: &str,
        by_cookie: Option<&LiveSession>,
    ) -> Result<Caller, CheckUnavailable> {
        self.caller(token, |it| match it.carrier {
            Carrier::SignIn(PairedCookie::Nothing) => true,
            Carrier::SignIn(PairedCookie::Cookie) => {
                by_cookie.is_some_and(|shown| shown.record().id == it.session.record().id)
            }
            Carrier::Cookie(_) | Carrier::Bearer | Carrier::Refresh => false,
        })
    }

    fn caller_by_access_token(&self, token: &str) -> Caller {
        let anonymous = Caller::Anonymous { showed_token: true };
        let now = self.ground.clock.now();
        let Some(pointer) =
            access::verify(&self.ground.open_keys.load().assertions, &self.ground.issuer, token, now)
        else {
            return anonymous;
        };
        let session = self.index.session(&pointer.session);
        let session = session
            .filter(|it| it.record().user == pointer.user && it.is_live(&self.ground.lifetimes(), now));
        match (session, self.active_user(&pointer.user)) {
            (Some(session), Some(user)) => Caller::Known(session, user),
            _ => anonymous,
        }
    }

    fn caller(&self, token: &str, fits: impl Fn(&Verified) -> bool) -> Result<Caller, CheckUnavailable> {
        let anonymous = Ok(Caller::Anonymous { showed_token: true });
        let now = self.ground.clock.now();
        self.must_be_up_to_date(now)?;
        let digest = Sha256::digest(token).into();
        let verified = match self.index.verified(&digest) {
            Some(verified) => verified,
            None => match self.ground.open_keys.load().tokens.verify(token, &self.ground.issuer, now) {
                Err(TokenError::LimitReached) => return Err(CheckUnavailable),
                Err(TokenError::Invalid) => return anonymous,
                Ok(claims) => match self.index.session(&claims.session) {
                    Some(session) if session.record().user == claims.user => {
                        self.index.remember(digest, Verified { session, carrier: claims.carrier })
                    }
                    _ => return anonymous,
                },
            },
        };
        let session = &verified.session;
        match self.active_user_at(&session.record().user, now) {
            Some(user) if fits(&verified) && session.is_live(&self.ground.lifetimes(), now) => {
                Ok(Caller::Known(Arc::clone(session), user))
            }
            _ => anonymous,
        }
    }

    /// Refuses to say who a caller is where the store may have ended their session, and we were not
    /// told.
    fn must_be_up_to_date(&self, now: Timestamp) -> Result<(), CheckUnavailable> {
        if self.index.is_too_old(now) { Err(CheckUnavailable) } else { Ok(()) }
    }

    /// A person who may use their account.
    pub fn active_user(&self, id: &UserId) -> Option<Arc<User>> {
        self.active_user_at(id, self.ground.clock.now())
    }

    /// The same at `now`.
    pub(in crate::flows) fn active_user_at(&self, id: &UserId, now: Timestamp) -> Option<Arc<User>> {
        self.index.user(id).filter(|user| user.is_active(now))
    }
}
