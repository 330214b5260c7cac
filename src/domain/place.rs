//! The place of this installation: its public address, and the one path prefix that is ours.
//!
//! Every address we put into a redirect, a link or a token is built here, from configuration,
//! never from a request header.

use super::aliases::{Alias, Aliases};
use super::forward_auth::Contract;
use super::mounts::Mounts;
use super::policy::route::covers;

/// The scheme people use to reach us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Only for `localhost` and `*.localhost`, which browsers treat as secure.
    Http,
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that addresses leave out.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Our public address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub scheme: Scheme,
    /// The auth host: where people sign in. Lower case, no port.
    pub host: String,
    pub port: u16,
    /// The path prefix that is ours on every host, for example `/auth`. No trailing slash.
    pub prefix: String,
    /// The dialects that are switched on, the native one at the prefix among them; on the auth host.
    pub mounts: Mounts,
    /// Documents about the relying party itself.
    pub documents: Vec<Document>,
    /// Whether other proxies may ask about requests that they have received.
    pub forward_auth: ForwardAuth,
}

/// Whether the endpoints for other proxies are switched on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForwardAuth {
    #[default]
    Off,
    /// On, and also under these addresses of other servers.
    On(Aliases),
}

/// A document whose address a standard prescribes, on a host where the relying party has to have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub host: String,
    pub path: &'static str,
}

/// The page, below the prefix, on which an administrator sees how other proxies ask.
pub const FORWARD_TEST: &str = "/forward/test";
/// Other origins that may use our passkeys (WebAuthn Level 3, section 5.11).
pub const RELATED_ORIGINS_PATH: &str = "/.well-known/webauthn";
/// Where people enrol and manage passkeys (W3C, "A Well-Known URL for Relying Party Passkey
/// Endpoints").
pub const PASSKEY_ENDPOINTS_PATH: &str = "/.well-known/passkey-endpoints";

impl Place {
    /// A place with the native API alone.
    pub fn new(scheme: Scheme, host: &str, port: u16, prefix: &str) -> Self {
        let (host, prefix) = (host.to_owned(), prefix.to_owned());
        Self {
            scheme,
            host,
            port,
            prefix,
            mounts: Mounts::default(),
            documents: Vec::new(),
            forward_auth: ForwardAuth::Off,
        }
    }

    /// The origin of the auth host, as browsers write it (RFC 6454, section 6.1).
    pub fn origin(&self) -> String {
        self.origin_of(&self.host)
    }

    /// The origin of an application's host: our scheme and port on its name.
    pub fn origin_of(&self, host: &str) -> String {
        format!("{}://{}", self.scheme.as_str(), self.authority_of(host))
    }

    /// The host and port under which browsers reach `host`, without the scheme's own port.
    pub fn authority_of(&self, host: &str) -> String {
        if self.port == self.scheme.default_port() {
            host.to_owned()
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// Whether `written` is exactly that, without writing it again for every request.
    pub fn is_authority_of(&self, host: &str, written: &[u8]) -> bool {
        match written.strip_prefix(host.as_bytes()) {
            Some(b"") => self.port == self.scheme.default_port(),
            Some([b':', digits @ ..]) => {
                self.port != self.scheme.default_port() && digits == self.port.to_string().as_bytes()
            }
            _ => false,
        }
    }

    /// An address of ours on the auth host; `below` begins with a slash.
    pub fn url(&self, below: &str) -> String {
        format!("{}{}{below}", self.origin(), self.prefix)
    }

    /// Whether `host` (lower case, no port) is where people sign in.
    pub fn is_auth_host(&self, host: &str) -> bool {
        self.host == host
    }

    /// Whether `path` is ours on `host`: the prefix on every host, a dialect's mount on the auth host
    /// alone, and a document where it has to be.
    pub fn owns(&self, host: &str, path: &[u8]) -> bool {
        covers(&self.prefix, path)
            || (self.is_auth_host(host) && self.mounts.find(path).is_some())
            || self.document(host, path).is_some()
            || self.aliases().find(path).is_some()
    }

    /// The addresses of other forward-auth servers that are answered here.
    pub fn aliases(&self) -> Aliases {
        match self.forward_auth {
            ForwardAuth::Off => Aliases::default(),
            ForwardAuth::On(aliases) => aliases,
        }
    }

    /// The contract of the forward-auth endpoint at `path`, on whichever host: a proxy that asks
    /// names the host in its own way.
    pub fn forward_auth_at<'a>(&self, path: &'a [u8]) -> Option<Contract<'a>> {
        match self.forward_auth {
            ForwardAuth::Off => None,
            ForwardAuth::On(aliases) => match aliases.find(path) {
                Some(Alias::Oauth2Check) => Some(Contract::Aliased { yes: 202 }),
                Some(Alias::WebauthnCheck) => Some(Contract::Aliased { yes: 200 }),
                Some(Alias::SignIn | Alias::SignOut | Alias::UserInfo) => None,
                None => Contract::at(path.strip_prefix(self.prefix.as_bytes())?),
            },
        }
    }

    /// Whether `path` is the page, on the auth host, that tells how other proxies ask.
    pub fn is_forward_test(&self, host: &str, path: &[u8]) -> bool {
        let below = path.strip_prefix(self.prefix.as_bytes());
        self.forward_auth != ForwardAuth::Off
            && self.is_auth_host(host)
            && below == Some(FORWARD_TEST.as_bytes())
    }

    /// The document at `path` of `host`, if it is one of ours.
    pub fn document(&self, host: &str, path: &[u8]) -> Option<&Document> {
        self.documents.iter().find(|it| it.host == host && it.path.as_bytes() == path)
    }
}

/// The host of a `Host` header or `:authority`: lower case, without port and trailing dot.
/// `None` for anything that is not a plain host name or address.
pub fn host_of(authority: &str) -> Option<String> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') && !authority.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if port.is_some_and(|port| port.is_empty() || port.len() > 5 || !port.bytes().all(|b| b.is_ascii_digit()))
    {
        return None;
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'[' | b']' | b':');
    (!host.is_empty() && host.len() <= 253 && host.bytes().all(plain)).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_11_a_host_has_one_spelling() {
        for (authority, host) in [
            ("App.Example.COM", Some("app.example.com")),
            ("app.example.com:8443", Some("app.example.com")),
            ("app.example.com.", Some("app.example.com")),
            ("app.example.com.:80", Some("app.example.com")),
            ("127.0.0.1:80", Some("127.0.0.1")),
            ("[::1]:80", Some("[::1]")),
            ("[::1]", Some("[::1]")),
            ("[2001:db8::a:1]", Some("[2001:db8::a:1]")),
            ("a:65535", Some("a")),
            ("", None),
            (":80", None),
            ("a:", None),
            ("a:b", None),
            ("a:123456", None),
            ("a b", None),
            ("user@a", None),
            ("a/b", None),
            ("é.example", None),
        ] {
            assert_eq!(host_of(authority).as_deref(), host, "{authority}");
        }
    }

    fn owning() -> Place {
        use crate::domain::dialect::Dialect;
        use crate::domain::mounts::Mount;
        let mount = |dialect, path: &str| Mount { dialect, path: path.to_owned() };
        let mounts = vec![mount(Dialect::Native, "/auth"), mount(Dialect::BetterAuth, "/api/auth")];
        let document = |host: &str, path| Document { host: host.to_owned(), path };
        Place {
            mounts: Mounts::new(mounts).unwrap(),
            documents: vec![
                document("example.com", RELATED_ORIGINS_PATH),
                document("auth.example", PASSKEY_ENDPOINTS_PATH),
            ],
            forward_auth: ForwardAuth::On(Aliases { oauth2_proxy: true, webauthn_proxy: true }),
            ..Place::new(Scheme::Https, "auth.example", 443, "/auth")
        }
    }

    #[test]
    fn what_is_ours_depends_on_the_host_and_the_path() {
        let place = owning();
        for (host, path, ours) in [
            ("auth.example", "/auth/login", true),
            ("app.example", "/auth/login", true),
            ("app.example", "/authority", false),
            ("auth.example", "/api/auth/passkey", true),
            ("app.example", "/api/auth/passkey", false),
            ("example.com", RELATED_ORIGINS_PATH, true),
            ("example.com", PASSKEY_ENDPOINTS_PATH, false),
            ("auth.example", RELATED_ORIGINS_PATH, false),
            ("auth.example", PASSKEY_ENDPOINTS_PATH, true),
            ("app.example", "/oauth2/auth", true),
            ("app.example", "/", false),
            ("auth.example", "/", false),
        ] {
            assert_eq!(place.owns(host, path.as_bytes()), ours, "{host}{path}");
        }
        let path = place.document("example.com", RELATED_ORIGINS_PATH.as_bytes()).map(|it| it.path);
        assert_eq!(path, Some(RELATED_ORIGINS_PATH));
        assert!(place.is_auth_host("auth.example") && !place.is_auth_host("app.example"));
    }

    #[test]
    fn other_proxies_may_ask_where_that_is_switched_on() {
        let place = owning();
        let off = Place { forward_auth: ForwardAuth::Off, ..place.clone() };
        let without = Place { forward_auth: ForwardAuth::On(Aliases::default()), ..place.clone() };
        for (path, contract, alone) in [
            ("/auth/forward", Some(Contract::Forwarded), Some(Contract::Forwarded)),
            ("/auth/elsewhere", None, None),
            ("/forward", None, None),
            ("/oauth2/auth", Some(Contract::Aliased { yes: 202 }), None),
            ("/webauthn/auth", Some(Contract::Aliased { yes: 200 }), None),
            ("/oauth2/sign_in", None, None),
        ] {
            assert_eq!(place.forward_auth_at(path.as_bytes()), contract, "{path}");
            assert_eq!(without.forward_auth_at(path.as_bytes()), alone, "{path}");
            assert_eq!(off.forward_auth_at(path.as_bytes()), None, "{path}");
        }
        assert!(place.is_forward_test("auth.example", b"/auth/forward/test"));
        assert!(!place.is_forward_test("app.example", b"/auth/forward/test"));
        assert!(!place.is_forward_test("auth.example", b"/auth/forward"));
        assert!(!off.is_forward_test("auth.example", b"/auth/forward/test"));
        assert_eq!(off.aliases(), Aliases::default());
    }

    #[test]
    fn default_ports_are_left_out() {
        let place = |scheme, port| Place::new(scheme, "a.example", port, "/auth");
        assert_eq!(place(Scheme::Https, 443).origin(), "https://a.example");
        assert_eq!(place(Scheme::Https, 8443).url("/login"), "https://a.example:8443/auth/login");
        assert_eq!(place(Scheme::Http, 80).origin_of("b.example"), "http://b.example");
    }

    #[test]
    fn f_20_an_authority_is_written_in_one_way() {
        for (scheme, port) in
            [(Scheme::Http, 80), (Scheme::Https, 443), (Scheme::Https, 8443), (Scheme::Http, 443)]
        {
            let place = Place::new(scheme, "auth.example", port, "/auth");
            let right = place.authority_of("b.example");
            assert_eq!(place.origin_of("b.example"), format!("{}://{right}", scheme.as_str()));
            for written in [
                "b.example",
                "b.example:80",
                "b.example:443",
                "b.example:8443",
                "b.example:08443",
                "B.example",
                "b.example.",
                "b.example:",
                "c.b.example",
                "b.example.c",
                "",
            ] {
                let is = place.is_authority_of("b.example", written.as_bytes());
                assert_eq!(is, written == right, "{written} for {right}");
            }
        }
    }
}
