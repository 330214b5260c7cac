//! Forward-auth: what another proxy asks us about a request that it has received.
//!
//! Each endpoint names one contract, and the contract names one source for each fact. What always
//! holds: a fact that is missing, said twice, or said differently by another contract's header is a
//! refusal, never a guess; what is read here is believed only if the peer is a trusted proxy, which the
//! caller decides.

use http::{HeaderMap, HeaderValue, Method};

use super::place::{Scheme, host_of};

/// The longest target that is read, in bytes: as long as a whole head may be.
pub const TARGET_BYTES_MAX: usize = 32 * 1024;

/// Which endpoint was asked, and so where the facts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contract<'a> {
    /// `{prefix}/forward`: `X-Forwarded-Method`, `-Proto`, `-Host` and `-Uri` (Traefik, Caddy, `HAProxy`).
    Forwarded,
    /// `{prefix}/forward/...`: the method, the host and the rest of the path are the request's own, and
    /// `X-Forwarded-Proto` says the scheme (Envoy).
    Appended { path: &'a [u8] },
    /// `{prefix}/request`: `X-Original-URL` and `X-Original-Method` (nginx).
    Original,
    /// An address of another forward-auth server, whose users' proxies say less: the host is the request's own
    /// unless `X-Forwarded-Host` says otherwise, the scheme is ours, the method is GET, unless a header of the
    /// first contract says otherwise. `yes` is the status of a yes.
    Aliased { yes: u16 },
}

/// The endpoints' names below the prefix.
const FORWARD: &[u8] = b"/forward";
const REQUEST: &[u8] = b"/request";

impl<'a> Contract<'a> {
    /// The contract of the endpoint at `path`, which lies `below` the prefix.
    pub fn at(below: &'a [u8]) -> Option<Self> {
        match below.strip_prefix(FORWARD) {
            Some(b"") => Some(Self::Forwarded),
            Some(path) if path.starts_with(b"/") => Some(Self::Appended { path }),
            _ => (below == REQUEST).then_some(Self::Original),
        }
    }

    /// What operators call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forwarded => "/forward",
            Self::Appended { .. } => "/forward/...",
            Self::Original => "/request",
            Self::Aliased { .. } => "alias",
        }
    }

    /// The status of a yes.
    pub const fn yes(self) -> u16 {
        match self {
            Self::Aliased { yes } => yes,
            Self::Forwarded | Self::Appended { .. } | Self::Original => 200,
        }
    }

    /// Whether it is another server's address.
    pub const fn is_aliased(self) -> bool {
        matches!(self, Self::Aliased { .. })
    }

    /// Whether the other proxy can pass a redirect on. nginx takes 2xx, 401 and 403 alone.
    pub const fn takes_redirects(self) -> bool {
        !matches!(self, Self::Original | Self::Aliased { .. })
    }
}

/// A request that another proxy has received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub method: Method,
    pub scheme: Scheme,
    /// Lower case, no port.
    pub host: String,
    /// Path and query, as the browser sent them.
    pub target: Vec<u8>,
    /// Whether the target was told; else it is the host's front page.
    pub target_told: bool,
}

/// Why the question cannot be answered. The text says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    #[error("the header {0} is missing: let the proxy set it")]
    Missing(&'static str),
    #[error("the header {0} is there more than once: let the proxy replace it instead of adding to it")]
    Repeated(&'static str),
    #[error("the header {0} cannot be read")]
    Unreadable(&'static str),
    #[error(
        "the headers {0} and {1} say different things: let the proxy remove the header that it does not set"
    )]
    Disagreeing(&'static str, &'static str),
}

const METHOD: &str = "X-Forwarded-Method";
const PROTO: &str = "X-Forwarded-Proto";
const HOST: &str = "X-Forwarded-Host";
const URI: &str = "X-Forwarded-Uri";
const ORIGINAL_URL: &str = "X-Original-URL";
const ORIGINAL_URI: &str = "X-Original-URI";
const ORIGINAL_METHOD: &str = "X-Original-Method";

/// Reads the question: the `method`, `host` and `query` of the request itself count in one contract alone.
///
/// `here` is our own scheme.
pub fn read(
    contract: Contract<'_>,
    here: Scheme,
    method: &Method,
    host: &str,
    query: Option<&[u8]>,
    headers: &HeaderMap,
) -> Result<Asked, Unclear> {
    let asked = match contract {
        Contract::Forwarded => Asked {
            method: method_in(headers, METHOD)?,
            scheme: scheme_in(headers)?,
            host: host_in(HOST, once(headers, HOST)?)?,
            target: target_in(URI, once(headers, URI)?.as_bytes())?,
            target_told: true,
        },
        Contract::Appended { path } => {
            let mut target = path.to_vec();
            if let Some(query) = query {
                target.push(b'?');
                target.extend_from_slice(query);
            }
            Asked {
                method: method.clone(),
                scheme: scheme_in(headers)?,
                host: host.to_owned(),
                target: target_in(URI, &target)?,
                target_told: true,
            }
        }
        Contract::Original => {
            let (scheme, host, target) = url_in(once(headers, ORIGINAL_URL)?)?;
            let method = method_in(headers, ORIGINAL_METHOD)?;
            Asked { method, scheme, host, target, target_told: true }
        }
        Contract::Aliased { .. } => read_alias(here, host, headers)?,
    };
    agree(contract, &asked, headers)?;
    Ok(asked)
}

/// Headers of other contracts that came along with a question: the proxy sets none of them, so a client may have.
pub fn passed_on(contract: Contract<'_>, headers: &HeaderMap) -> Vec<&'static str> {
    let foreign: &[&str] = match contract {
        Contract::Forwarded | Contract::Appended { .. } => &[ORIGINAL_URL, ORIGINAL_URI, ORIGINAL_METHOD],
        Contract::Original => &[ORIGINAL_URI, URI, METHOD],
        // Which of them its proxy sets is not told.
        Contract::Aliased { .. } => &[],
    };
    foreign.iter().filter(|name| headers.contains_key(**name)).copied().collect()
}

fn read_alias(here: Scheme, host: &str, headers: &HeaderMap) -> Result<Asked, Unclear> {
    let is_there = |name: &str| headers.contains_key(name);
    let method = match [METHOD, ORIGINAL_METHOD].into_iter().find(|name| is_there(name)) {
        Some(name) => method_in(headers, name)?,
        None => Method::GET,
    };
    let target = match [URI, ORIGINAL_URI].into_iter().find(|name| is_there(name)) {
        Some(name) => Some(target_in(name, once(headers, name)?.as_bytes())?),
        None => None,
    };
    Ok(Asked {
        method,
        scheme: if is_there(PROTO) { scheme_in(headers)? } else { here },
        host: if is_there(HOST) { host_in(HOST, once(headers, HOST)?)? } else { host.to_owned() },
        target_told: target.is_some(),
        target: target.unwrap_or_else(|| b"/".to_vec()),
    })
}

fn once<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<&'h HeaderValue, Unclear> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        (None, _) => Err(Unclear::Missing(name)),
        (Some(_), Some(_)) => Err(Unclear::Repeated(name)),
    }
}

fn method_in(headers: &HeaderMap, name: &'static str) -> Result<Method, Unclear> {
    let said = once(headers, name)?.as_bytes();
    let is_plain = said.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'-') && !said.is_empty();
    let method = Method::from_bytes(said).ok().filter(|_| is_plain);
    method.filter(|it| !matches!(*it, Method::CONNECT | Method::TRACE)).ok_or(Unclear::Unreadable(name))
}

fn scheme_in(headers: &HeaderMap) -> Result<Scheme, Unclear> {
    scheme_of(once(headers, PROTO)?.as_bytes()).ok_or(Unclear::Unreadable(PROTO))
}

fn scheme_of(said: &[u8]) -> Option<Scheme> {
    match said {
        // A WebSocket is asked about as what its handshake is.
        b"https" | b"wss" => Some(Scheme::Https),
        b"http" | b"ws" => Some(Scheme::Http),
        _ => None,
    }
}

fn host_in(name: &'static str, said: &HeaderValue) -> Result<String, Unclear> {
    said.to_str().ok().and_then(host_of).ok_or(Unclear::Unreadable(name))
}

/// A target in origin-form (RFC 9112, section 3.2.1).
fn target_in(name: &'static str, said: &[u8]) -> Result<Vec<u8>, Unclear> {
    let is_visible = said.iter().all(|byte| (0x21..=0xff).contains(byte) && *byte != 0x7f && *byte != b'#');
    let fits = said.starts_with(b"/") && said.len() <= TARGET_BYTES_MAX;
    if fits && is_visible { Ok(said.to_vec()) } else { Err(Unclear::Unreadable(name)) }
}

fn url_in(said: &HeaderValue) -> Result<(Scheme, String, Vec<u8>), Unclear> {
    let unreadable = Unclear::Unreadable(ORIGINAL_URL);
    let said = said.as_bytes();
    let colon = said.windows(3).position(|it| it == b"://").ok_or(unreadable)?;
    let (scheme, rest) = said.split_at_checked(colon).ok_or(unreadable)?;
    let rest = rest.get(3..).ok_or(unreadable)?;
    let slash = rest.iter().position(|byte| *byte == b'/').ok_or(unreadable)?;
    let (authority, target) = rest.split_at_checked(slash).ok_or(unreadable)?;
    let host = std::str::from_utf8(authority).ok().and_then(host_of).ok_or(unreadable)?;
    Ok((scheme_of(scheme).ok_or(unreadable)?, host, target_in(ORIGINAL_URL, target)?))
}

/// Refuses a question beside which another contract's header says something else: whoever wrote that one
/// may be the client, and the proxy behind us may believe it.
fn agree(contract: Contract<'_>, asked: &Asked, headers: &HeaderMap) -> Result<(), Unclear> {
    let own_target = match contract {
        Contract::Original => ORIGINAL_URL,
        Contract::Forwarded | Contract::Appended { .. } | Contract::Aliased { .. } => URI,
    };
    if !asked.target_told && headers.contains_key(ORIGINAL_URL) {
        return Err(Unclear::Disagreeing(URI, ORIGINAL_URL));
    }
    let differs = |name: &'static str, same: &dyn Fn(&HeaderValue) -> bool| {
        headers.get_all(name).iter().any(|value| !same(value))
    };
    let targets = |value: &HeaderValue| value.as_bytes() == asked.target;
    for name in [URI, ORIGINAL_URI] {
        if name != own_target && differs(name, &targets) {
            return Err(Unclear::Disagreeing(own_target, name));
        }
    }
    if contract != Contract::Original {
        let same = |value: &HeaderValue| {
            url_in(value).is_ok_and(|(_, host, target)| host == asked.host && target == asked.target)
        };
        if differs(ORIGINAL_URL, &same) {
            return Err(Unclear::Disagreeing(own_target, ORIGINAL_URL));
        }
    }
    let own_method = if contract == Contract::Original { ORIGINAL_METHOD } else { METHOD };
    let methods = |value: &HeaderValue| value.as_bytes() == asked.method.as_str().as_bytes();
    for name in [METHOD, ORIGINAL_METHOD] {
        if differs(name, &methods) {
            return Err(Unclear::Disagreeing(own_method, name));
        }
    }
    let hosts = |value: &HeaderValue| host_in(HOST, value).is_ok_and(|host| host == asked.host);
    if differs(HOST, &hosts) {
        return Err(Unclear::Disagreeing("Host", HOST));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORWARDED: [(&str, &str); 4] = [
        ("x-forwarded-method", "POST"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "Wiki.example.com:443"),
        ("x-forwarded-uri", "/a?b=c"),
    ];
    const ORIGINAL: [(&str, &str); 2] =
        [("x-original-url", "https://wiki.example.com/a?b=c"), ("x-original-method", "POST")];

    fn map<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers
    }

    fn asked() -> Asked {
        let (host, target) = ("wiki.example.com".to_owned(), b"/a?b=c".to_vec());
        Asked { method: Method::POST, scheme: Scheme::Https, host, target, target_told: true }
    }

    fn read_as(contract: Contract<'_>, headers: &HeaderMap) -> Result<Asked, Unclear> {
        read(contract, Scheme::Https, &Method::POST, "wiki.example.com", Some(b"b=c"), headers)
    }

    #[test]
    fn every_contract_reads_the_same_request() {
        assert_eq!(read_as(Contract::Forwarded, &map(FORWARDED)), Ok(asked()));
        assert_eq!(read_as(Contract::Original, &map(ORIGINAL)), Ok(asked()));
        let envoy = map([("x-forwarded-proto", "https")]);
        assert_eq!(read_as(Contract::Appended { path: b"/a" }, &envoy), Ok(asked()));
        for (below, contract) in [
            (&b"/forward"[..], Some(Contract::Forwarded)),
            (b"/forward/", Some(Contract::Appended { path: b"/" })),
            (b"/forward/a", Some(Contract::Appended { path: b"/a" })),
            (b"/request", Some(Contract::Original)),
            (b"/forwarded", None),
            (b"/request/", None),
            (b"/login", None),
        ] {
            assert_eq!(Contract::at(below), contract);
        }
    }

    #[test]
    fn a_missing_or_repeated_fact_is_refused_by_name() {
        for (left_out, pair) in FORWARDED.into_iter().enumerate() {
            let rest = FORWARDED.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, pair)| *pair);
            let refused = read_as(Contract::Forwarded, &map(rest));
            assert!(matches!(refused, Err(Unclear::Missing(_))), "{left_out}: {refused:?}");
            let twice = FORWARDED.into_iter().chain([pair]);
            let refused = read_as(Contract::Forwarded, &map(twice));
            assert!(matches!(refused, Err(Unclear::Repeated(_))), "{left_out}: {refused:?}");
        }
        assert_eq!(read_as(Contract::Original, &HeaderMap::new()), Err(Unclear::Missing(ORIGINAL_URL)));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let with = |name: &'static str, value: &'static str| {
            map(FORWARDED.into_iter().filter(move |(it, _)| *it != name).chain([(name, value)]))
        };
        for (name, value) in [
            ("x-forwarded-method", "get"),
            ("x-forwarded-method", "CONNECT"),
            ("x-forwarded-method", ""),
            ("x-forwarded-proto", "HTTPS"),
            ("x-forwarded-proto", "https, http"),
            ("x-forwarded-host", "a b"),
            ("x-forwarded-host", "a, b"),
            ("x-forwarded-uri", "a"),
            ("x-forwarded-uri", "https://wiki.example.com/a"),
            ("x-forwarded-uri", "/a b"),
            ("x-forwarded-uri", "/a#b"),
        ] {
            let refused = read_as(Contract::Forwarded, &with(name, value));
            assert!(matches!(refused, Err(Unclear::Unreadable(_))), "{name}: {value}: {refused:?}");
        }
        for url in
            ["/a", "ftp://wiki.example.com/a", "https://wiki.example.com", "https:///a", "https://a@b/c"]
        {
            let refused = read_as(Contract::Original, &map([("x-original-url", url), ORIGINAL[1]]));
            assert!(matches!(refused, Err(Unclear::Unreadable(_))), "{url}: {refused:?}");
        }
    }

    #[test]
    fn a_disagreement_names_both_headers() {
        let beside = |contract, own: &[(&'static str, &'static str)], other| {
            read_as(contract, &map(own.iter().copied().chain([other])))
        };
        let refused = beside(Contract::Original, &ORIGINAL, ("x-forwarded-method", "GET"));
        assert_eq!(refused, Err(Unclear::Disagreeing(ORIGINAL_METHOD, METHOD)));
        let refused = beside(Contract::Forwarded, &FORWARDED, ("x-original-method", "GET"));
        assert_eq!(refused, Err(Unclear::Disagreeing(METHOD, ORIGINAL_METHOD)));
        let refused = beside(Contract::Original, &ORIGINAL, ("x-forwarded-uri", "/"));
        assert_eq!(refused, Err(Unclear::Disagreeing(ORIGINAL_URL, URI)));
        let refused = beside(Contract::Forwarded, &FORWARDED, ("x-original-uri", "/"));
        assert_eq!(refused, Err(Unclear::Disagreeing(URI, ORIGINAL_URI)));
        let refused = beside(Contract::Original, &ORIGINAL, ("x-forwarded-host", "evil.example"));
        assert_eq!(refused, Err(Unclear::Disagreeing("Host", HOST)));
    }

    #[test]
    fn a_handshake_has_the_scheme_of_a_request() {
        for (said, scheme) in [("https", "https"), ("wss", "https"), ("http", "http"), ("ws", "http")] {
            let url = format!("{said}://wiki.example.com/a?b=c");
            let read = read_as(Contract::Original, &map([("x-original-url", url.as_str()), ORIGINAL[1]]));
            assert_eq!(read.unwrap().scheme.as_str(), scheme, "{said}");
        }
    }

    #[test]
    fn a_target_is_as_long_as_a_head_may_be() {
        let target = |bytes: usize| target_in(URI, format!("/{}", "a".repeat(bytes - 1)).as_bytes());
        assert!(target(32 * 1024).is_ok());
        assert_eq!(target(32 * 1024 + 1), Err(Unclear::Unreadable(URI)));
    }

    #[test]
    fn only_a_proxy_that_can_pass_a_redirect_on_gets_one() {
        assert!(Contract::Forwarded.takes_redirects());
        assert!(Contract::Appended { path: b"/" }.takes_redirects());
        assert!(!Contract::Original.takes_redirects());
        assert!(!Contract::Aliased { yes: 202 }.takes_redirects());
    }

    /// One fact as a header says it, with what each contract would make of it.
    fn facts() -> impl Strategy<Value = (&'static str, &'static str)> {
        prop::sample::select(vec![
            ("x-forwarded-method", "GET"),
            ("x-forwarded-method", "POST"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "wiki.example.com"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-uri", "/public"),
            ("x-forwarded-uri", "/secret"),
            ("x-original-uri", "/public"),
            ("x-original-uri", "/secret"),
            ("x-original-url", "https://wiki.example.com/public"),
            ("x-original-url", "https://wiki.example.com/secret"),
            ("x-original-url", "https://evil.example/public"),
            ("x-original-method", "GET"),
            ("x-original-method", "POST"),
        ])
    }

    /// A model of its own: what all headers of one meaning say together. More than one value is unclear.
    fn said<'a>(facts: &[(&'a str, &'a str)], meaning: &str) -> Vec<&'a str> {
        let mut values: Vec<&str> = facts
            .iter()
            .filter_map(|(name, value)| match (meaning, *name) {
                ("method", "x-forwarded-method" | "x-original-method")
                | ("target", "x-forwarded-uri" | "x-original-uri")
                | ("host", "x-forwarded-host") => Some(*value),
                ("target", "x-original-url") => value.rfind('/').map(|at| &value[at..]),
                ("host", "x-original-url") => value.split('/').nth(2),
                _ => None,
            })
            .collect();
        values.sort_unstable();
        values.dedup();
        values
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        /// Whatever a client adds to what the proxy sets: the answer is about what the proxy said, or there
        /// is none.
        #[test]
        fn a_forged_or_contradictory_header_never_changes_the_question(
            forged in prop::collection::vec(facts(), 0..6),
            position in 0_usize..6,
            original in any::<bool>(),
        ) {
            let own: &[(&str, &str)] = if original {
                &[("x-original-url", "https://wiki.example.com/secret"), ("x-original-method", "GET")]
            } else {
                &[
                    ("x-forwarded-method", "GET"),
                    ("x-forwarded-proto", "https"),
                    ("x-forwarded-host", "wiki.example.com"),
                    ("x-forwarded-uri", "/secret"),
                ]
            };
            let mut all = forged.clone();
            let at = position.min(all.len());
            all.splice(at..at, own.iter().copied());
            let contract = if original { Contract::Original } else { Contract::Forwarded };
            let read = read(contract, Scheme::Https, &Method::HEAD, "front.example", None, &map(all.iter().copied()));
            let clear = ["method", "target", "host"].into_iter().all(|meaning| said(&all, meaning).len() == 1);
            let repeated = own.iter().any(|(name, _)| all.iter().filter(|(it, _)| it == name).count() > 1);
            match read {
                Ok(asked) => {
                    prop_assert!(clear && !repeated, "{all:?}");
                    prop_assert_eq!(asked.method, Method::GET);
                    prop_assert_eq!(asked.host, "wiki.example.com");
                    prop_assert_eq!(asked.target, b"/secret".to_vec());
                    prop_assert_eq!(asked.scheme, Scheme::Https);
                }
                Err(_) => prop_assert!(!clear || repeated, "refused without a reason: {all:?}"),
            }
        }
    }
}
