//! Our cookies, as `Set-Cookie` writes them. Names and reading are in `domain/cookie.rs`.

use std::time::Duration;

use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};

use crate::domain::ceremony::CEREMONY_LIFETIME;
use crate::domain::code::CODE_LIFETIME;
use crate::domain::cookie::{self, Cookie, Found};
use crate::domain::device_link::DEVICE_LINK_LIFETIME;
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

/// A cookie that points at a pending ceremony.
pub fn challenge(place: &Place, which: Cookie, id: &CeremonyId) -> HeaderValue {
    let same_site = match which {
        // A front end on a related origin may be on another site.
        Cookie::BetterAuthChallenge => "Lax",
        _ => "Strict",
    };
    write(place, which, &id.to_string(), CEREMONY_LIFETIME, same_site)
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

/// The value of a cookie of ours in this request, if there is exactly one.
pub fn read<'a>(headers: &'a HeaderMap, place: &Place, which: Cookie) -> Option<&'a str> {
    let all = headers.get_all(http::header::COOKIE).iter().map(HeaderValue::as_bytes);
    match cookie::find(all, which.name(place.scheme)) {
        Found::One(value) => Some(value),
        Found::Nothing | Found::Unclear => None,
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
        assert_eq!(
            challenge(&place(Scheme::Http), Cookie::Challenge, &CeremonyId([0; 16])),
            "challenge=00000000000000000000000000000000; Path=/auth; Max-Age=300; HttpOnly; SameSite=Strict"
        );
    }
}
