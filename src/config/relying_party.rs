//! `public_url` and `[relying_party]`: where people sign in, and for which name passkeys are made.
//!
//! What always holds: the RP ID covers the host of `public_url` as browsers will check it
//! (WebAuthn Level 3, section 5.1.3, and HTML's "is a registrable domain suffix of or is equal
//! to"), so that a ceremony never fails for a reason that was known at start.

use url::{Host, Url};

use super::reader::Reader;
use super::section::Section;
use super::settings::{PublicUrl, RelyingParty};
use crate::domain::place::Scheme;

/// Browsers look at a few only; a longer list is a mistake.
const RELATED_ORIGINS_MAX: usize = 20;

const URL_REMEDY: &str = "write the address of the sign-in pages, such as \"https://auth.example.com\", with nothing after the host and port";

/// Reads `public_url`.
pub(super) fn public_url(root: &Section<'_>, reader: &Reader<'_>) -> PublicUrl {
    let default = PublicUrl { scheme: Scheme::Http, host: "localhost".to_owned(), port: Some(8080) };
    let Some(found) = root.parsed("public_url", URL_REMEDY, origin) else { return default };
    if found.value.scheme == Scheme::Http && !is_localhost(&found.value.host) {
        reader.mistake(
            &found.at,
            format!(
                "http is only safe on localhost, not on {}: browsers offer no passkeys there",
                found.value.host
            ),
            "write \"https://...\", and set [server.tls] or put a TLS terminator in front",
        );
    }
    found.value
}

/// Reads `[relying_party]`.
pub(super) fn relying_party(
    root: &Section<'_>,
    public_url: &PublicUrl,
    brand: &str,
    reader: &Reader<'_>,
) -> RelyingParty {
    let section = root.table("relying_party");
    let host = public_url.host.as_str();
    let remedy = format!(
        "leave it out, which means {host:?}, or write a domain that {host} belongs to; passkeys work for this domain only"
    );
    let id = section.parsed("id", &remedy, |text| covering_id(text, host));
    let name = section.parsed("name", "write a short name without control characters", short_text);
    let id = id.map_or_else(|| host.to_owned(), |found| found.value);
    let remedy =
        format!("write origins of front ends over https, such as \"https://app.{id}\", or leave it out");
    let related = section.parsed_list("related_origins", &remedy, related_origin);
    let related_origins: Vec<_> = related.into_iter().flatten().map(|found| found.value).collect();
    if related_origins.len() > RELATED_ORIGINS_MAX {
        reader.mistake(
            &section.at("related_origins"),
            format!("there are more than {RELATED_ORIGINS_MAX} related origins"),
            "keep the origins that users use; browsers ignore the rest",
        );
    }
    section.close();
    RelyingParty { id, name: name.map_or_else(|| brand.to_owned(), |found| found.value), related_origins }
}

/// Whether `host` is this machine by name, where browsers treat http as safe.
pub(crate) fn is_localhost(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

/// A name for people: 1 to 64 characters.
pub(super) fn short_text(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 64 || text.chars().any(char::is_control) {
        return Err("the name is empty, longer than 64 characters, or has a control character".to_owned());
    }
    Ok(text.to_owned())
}

fn origin(text: &str) -> Result<PublicUrl, String> {
    let url = Url::parse(text).map_err(|e| format!("{text:?} is not a URL: {e}"))?;
    let scheme = match url.scheme() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => return Err(format!("the scheme is {other:?}, not https")),
    };
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !bare || !url.username().is_empty() || url.password().is_some() {
        return Err(format!("{text:?} has more than a scheme, a host and a port"));
    }
    match url.host() {
        Some(Host::Domain(host)) if host.ends_with('.') => Err("the host ends with a dot".to_owned()),
        Some(Host::Domain(host)) if !host.bytes().all(is_of_a_name) => {
            Err(format!("{host:?} is not the name of one host"))
        }
        Some(Host::Domain(host)) => Ok(PublicUrl { scheme, host: host.to_owned(), port: url.port() }),
        _ => Err("the host is an address, and passkeys need a name".to_owned()),
    }
}

const fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

/// An origin within the RP ID, or on another domain: for those, browsers ask the RP ID's own host
/// (WebAuthn Level 3, section 5.11).
fn related_origin(text: &str) -> Result<String, String> {
    let url = origin(text)?;
    if url.scheme == Scheme::Http && !is_localhost(&url.host) {
        return Err(format!("browsers offer no passkeys over http, except on localhost: {text:?}"));
    }
    Ok(url.to_string())
}

/// Whether anyone may register below it (publicsuffix.org). A single label is a public suffix.
fn is_public_suffix(domain: &str) -> bool {
    let suffix = psl::suffix(domain.as_bytes());
    !domain.contains('.') || suffix.is_some_and(|suffix| suffix.is_known() && suffix == domain)
}

fn covering_id(id: &str, host: &str) -> Result<String, String> {
    if id.parse::<std::net::IpAddr>().is_ok() {
        return Err(format!("{id:?} is an address, and passkeys need a name"));
    }
    if id.contains([':', '/']) || id != id.to_ascii_lowercase() {
        return Err(format!("{id:?} is not a domain in lower case, without scheme and port"));
    }
    if id == host {
        return Ok(id.to_owned());
    }
    let covers = host.strip_suffix(id).is_some_and(|rest| rest.ends_with('.')) && !id.is_empty();
    if !covers {
        return Err(format!("{id:?} does not cover {host:?}, the host of public_url"));
    }
    if is_public_suffix(id) {
        return Err(format!("{id:?} is a public suffix: browsers make no passkeys for all of it"));
    }
    Ok(id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_rp_id_covers_the_host_at_a_label_boundary() {
        for (id, host) in [
            ("auth.example.com", "auth.example.com"),
            ("example.com", "auth.example.com"),
            ("localhost", "localhost"),
            ("intranet", "intranet"),
            ("home.lan", "auth.home.lan"),
            ("mine.duckdns.org", "auth.mine.duckdns.org"),
        ] {
            assert!(covering_id(id, host).is_ok(), "{id} {host}");
        }
        for (id, host) in [
            ("ample.com", "example.com"),
            ("auth.example.com", "example.com"),
            ("com", "example.com"),
            ("co.uk", "example.co.uk"),
            ("lan", "home.lan"),
            ("duckdns.org", "mine.duckdns.org"),
            ("any.ck", "home.any.ck"),
            ("localhost", "app.localhost"),
            ("", "example.com"),
            ("Example.com", "auth.example.com"),
            ("127.0.0.1", "localhost"),
            ("https://example.com", "example.com"),
            (".example.com", "auth.example.com"),
        ] {
            assert!(covering_id(id, host).is_err(), "{id} {host}");
        }
    }

    #[test]
    fn a_related_origin_is_one_that_the_gateway_can_serve() {
        let own = || "https://auth.example.com".to_owned();
        for text in [
            "https://app.example.com",
            "https://EXAMPLE.com:443/",
            "https://app.example.com:8443",
            "https://example.org",
            "http://app.localhost:8080",
        ] {
            let origins = [own(), related_origin(text).unwrap()];
            let made = crate::domain::ceremony::RelyingParty::new("example.com", "x", &origins);
            assert!(made.is_ok(), "{text}");
        }
        for text in [
            "http://app.example.com",
            "https://app.example.com/x",
            "https://192.0.2.1",
            "https://*.example.org",
            "null",
        ] {
            assert!(related_origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_public_url_is_an_origin_with_a_name() {
        for (text, expected) in [
            ("https://auth.example.com", "https://auth.example.com"),
            ("https://AUTH.example.com:443/", "https://auth.example.com"),
            ("http://localhost:8080", "http://localhost:8080"),
        ] {
            assert_eq!(origin(text).unwrap().to_string(), expected);
        }
        for wrong in [
            "",
            "auth.example.com",
            "https://127.0.0.1",
            "https://[::1]",
            "https://a/b",
            "https://a.",
            "https://*.a",
            "ftp://a",
            "https://u@a",
        ] {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
    }
}
