//! Our cookies, as `Set-Cookie` writes them. Names and reading are in `domain/cookie.rs`.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};

use super::Problem;
use super::call::Call;
use crate::domain::ceremony::CEREMONY_LIFETIME;
use crate::domain::code::CODE_LIFETIME;
use crate::domain::cookie::{self, Cookie, Found};
use crate::domain::device_link::DEVICE_LINK_LIFETIME;
use crate::domain::dialect::{Pages, Terms};
use crate::domain::id::{CeremonyId, CodeId};
use crate::domain::place::{Place, Scheme};
use crate::domain::return_target::RETURN_TARGET_LIFETIME;
use crate::domain::secret::Secret;
use crate::domain::user::SEEN_FROM_LIFETIME;

/// The session cookie, for as long as a session can live.
pub fn session(place: &Place, token: &str, lifetime: Duration) -> HeaderValue {
    // Lax: people arrive at applications through links, and have to be signed in there.
    write(place, Cookie::Session, token, lifetime, "Lax")
}

/// The cookie that points at a pending ceremony, where the dialect has one.
fn ceremony(place: &Place, terms: &Terms, id: &CeremonyId) -> Option<HeaderValue> {
    let same_site = match terms.pages {
        Pages::Ours => "Strict",
        // A front end on a related origin may be on another site.
        Pages::Related => "Lax",
    };
    Some(write(place, terms.carrier.cookie()?, &id.to_string(), CEREMONY_LIFETIME, same_site))
}

/// The cookie that names the code that was sent for this browser.
pub fn code(place: &Place, id: &CodeId) -> HeaderValue {
    write(place, Cookie::Code, &id.to_string(), CODE_LIFETIME, "Strict")
}

/// The cookie that binds a return target to this browser.
pub fn nonce(place: &Place, nonce: &Secret) -> HeaderValue {
    // Lax: the browser comes back through a redirect that began on another host.
    write(place, Cookie::Nonce, &nonce.reveal(), RETURN_TARGET_LIFETIME, "Lax")
}

/// The cookie that binds a link between two devices to the new device.
pub fn newcomer(place: &Place, nonce: &Secret) -> HeaderValue {
    write(place, Cookie::NewDevice, &nonce.reveal(), DEVICE_LINK_LIFETIME, "Strict")
}

/// The cookie that says that a user has signed in with this browser.
pub fn device(place: &Place, mark: &Secret) -> HeaderValue {
    write(place, Cookie::Device, &mark.reveal(), SEEN_FROM_LIFETIME, "Strict")
}

/// Removes a cookie of ours from the browser.
pub fn expire(place: &Place, which: Cookie) -> HeaderValue {
    write(place, which, "", Duration::ZERO, "Lax")
}

/// Adds one `Set-Cookie` header.
pub fn append(headers: &mut HeaderMap, cookie: HeaderValue) {
    headers.append(SET_COOKIE, cookie);
}

impl Call {
    /// The value of a cookie of ours in this request, if there is exactly one.
    pub fn cookie(&self, which: Cookie) -> Option<&str> {
        match cookie::find(self.cookie_headers(), which.name(self.place().scheme)) {
            Found::One(value) => Some(value),
            Found::Nothing | Found::Unclear => None,
        }
    }

    /// The ceremony that this browser's cookie names.
    pub fn ceremony(&self) -> Option<CeremonyId> {
        CeremonyId::parse(self.cookie(self.terms().carrier.cookie()?)?).ok()
    }

    /// The answer to a request that has begun `id`: this browser is told of it.
    pub fn begun(&self, id: &CeremonyId, options: impl IntoResponse) -> Response {
        let mut response = options.into_response();
        if let Some(cookie) = ceremony(self.place(), self.terms(), id) {
            append(response.headers_mut(), cookie);
        }
        response
    }

    /// The answer to a request that was to finish a ceremony: whatever came of it, this browser has
    /// none any more.
    pub fn finished(&self, answered: Result<Response, Problem>) -> Response {
        let mut response = answered.unwrap_or_else(Problem::into_response);
        if let Some(which) = self.terms().carrier.cookie() {
            append(response.headers_mut(), expire(self.place(), which));
        }
        response
    }
}

fn write(place: &Place, which: Cookie, value: &str, lifetime: Duration, same_site: &str) -> HeaderValue {
    let (secure, path) = match (place.scheme, which) {
        (Scheme::Https, _) => ("; Secure", "/"),
        // Without the `__Host-` prefix a narrower path keeps it from the application.
        (Scheme::Http, Cookie::Challenge) => ("", place.prefix.as_str()),
        (
            Scheme::Http,
            Cookie::Session
            | Cookie::BetterAuthChallenge
            | Cookie::OcoreChallenge
            | Cookie::Code
            | Cookie::Nonce
            | Cookie::NewDevice
            | Cookie::Device,
        ) => ("", "/"),
    };
    let name = which.name(place.scheme);
    let age = lifetime.as_secs();
    let text = format!("{name}={value}; Path={path}; Max-Age={age}; HttpOnly; SameSite={same_site}{secure}");
    // Values are base64url or hexadecimal, the prefix was checked: this cannot fail. If it did, an
    // empty cookie signs no user in.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::dialect::Dialect;

    fn place(scheme: Scheme) -> Place {
        Place::new(scheme, "auth.example.com", 443, "/auth")
    }

    #[test]
    fn cookies_are_host_only_and_out_of_reach_of_scripts() {
        let day = Duration::from_secs(86_400);
        assert_eq!(
            session(&place(Scheme::Https), "t", day),
            "__Host-vestibule=t; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax; Secure"
        );
        let native = ceremony(&place(Scheme::Http), Dialect::Native.terms(), &CeremonyId([0; 16]));
        assert_eq!(
            native.unwrap(),
            "challenge=00000000000000000000000000000000; Path=/auth; Max-Age=300; HttpOnly; SameSite=Strict"
        );
    }
}
