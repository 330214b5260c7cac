//! Forward-auth: questions of another proxy about a request that it has received.
//!
//! Each endpoint names one contract, and the contract names one source for each fact. What always
//! holds: a fact that is missing, said twice, or said differently by another contract's header is a
//! refusal, never a guess; a question is believed only if the peer is a trusted proxy, which the
//! caller decides.

use http::{HeaderMap, HeaderValue, Method};

use super::place::{Scheme, host_of};

/// The longest target that is read, in bytes: as long as a whole head may be.
pub const TARGET_BYTES_MAX: usize = 32 * 1024;

/// The endpoint that was asked, which tells where the facts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contract<'a> {
    /// `{prefix}/forward`: `X-Forwarded-Method`, `-Proto`, `-Host` and `-Uri` (Traefik, Caddy,
    /// `HAProxy`).
    Forwarded,
    /// `{prefix}/forward/...`: the method, the host and the rest of the path are the request's own,
    /// and `X-Forwarded-Proto` says the scheme (Envoy).
    Appended { path: &'a [u8] },
    /// `{prefix}/request`: `X-Original-URL` and `X-Original-Method` (nginx).
    Original,
    /// An address of another forward-auth server, whose users' proxies say less: the host is the
    /// request's own unless `X-Forwarded-Host` says otherwise, the scheme is ours, the method is
    /// GET, unless a header of the first contract says otherwise. `yes` is the status of a yes.
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

    /// Its name for operators.
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

/// Reads the question: the `method`, `host` and `query` of the request itself count in one contract
/// alone.
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

/// Headers of other contracts that came along with a question: the proxy sets none of them, so a
/// client may have.
pub fn passed_on(contract: Contract<'_>, headers: &HeaderMap) -> Vec<&'static str> {
    let foreign: &[&str] = match contract {
        Contract::Forwarded | Contract::Appended { .. } => &[ORIGINAL_URL, ORIGINAL_URI, ORIGINAL_METHOD],
        Contract::Original => &[ORIGINAL_URI, URI, METHOD],
        // The headers that this proxy sets are unknown.
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
        // A question about a WebSocket is one about its handshake.
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

/// Refuses a question beside which another contract's header says something else: the client may
/// have written that header, and the proxy behind us may believe it.
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
mod tests;
