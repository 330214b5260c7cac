//! Who the client is: the socket's peer, unless that is a proxy we were told to trust.
//!
//! `X-Forwarded-For` is read from its right end, where our own proxies have written. What always
//! holds: an address that a stranger wrote is never taken for the client's.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::domain::place::Scheme;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// How many trusted proxies one request may have passed.
const HOPS_MAX: usize = 16;

/// The peers whose word about a request counts.
#[derive(Debug, Clone, Default)]
pub(super) struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    pub(super) fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether `address` is one of them.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        // A dual-stack socket shows IPv4 peers as mapped addresses.
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client's address: the right-most one that no trusted proxy vouches for as its own.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let entries = headers
            .get_all(FORWARDED_FOR)
            .iter()
            .rev()
            .flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
        for entry in entries.take(HOPS_MAX) {
            if !self.trusts(client) {
                break;
            }
            // Beyond an entry that is no address nothing can be believed.
            let Some(address) = address(entry) else { break };
            client = address;
        }
        client
    }

    /// The scheme in the browser's address bar, for a request that came without TLS.
    pub(super) fn scheme(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Scheme {
        let mut said = headers.get_all(FORWARDED_PROTO).iter();
        match (peer, said.next(), said.next()) {
            (Some(peer), Some(scheme), None)
                if self.trusts(peer) && scheme.as_bytes().eq_ignore_ascii_case(b"https") =>
            {
                Scheme::Https
            }
            _ => Scheme::Http,
        }
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => host,
            _ => text,
        },
    };
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn trusted() -> TrustedProxies {
        TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()])
    }

    #[track_caller]
    fn check(peer: &str, chain: &[&str], expected: &str) {
        let mut headers = HeaderMap::new();
        for value in chain {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(value).unwrap());
        }
        let client = trusted().client(peer.parse().unwrap(), &headers);
        assert_eq!(client, expected.parse::<IpAddr>().unwrap(), "{peer} {chain:?}");
    }

    #[test]
    fn p_04_a_stranger_is_who_the_socket_says() {
        check("192.0.2.9", &[], "192.0.2.9");
        check("192.0.2.9", &["10.0.0.1"], "192.0.2.9");
        check("::ffff:192.0.2.9", &["127.0.0.1"], "192.0.2.9");
        check("127.0.0.1", &["192.0.2.1"], "127.0.0.1");
    }

    #[test]
    fn p_04_behind_trusted_proxies_the_right_most_stranger_counts() {
        check("10.0.0.1", &["192.0.2.1"], "192.0.2.1");
        check("10.0.0.1", &["6.6.6.6, 192.0.2.1"], "192.0.2.1");
        check("10.0.0.1", &["6.6.6.6", "192.0.2.1, 10.0.0.2"], "192.0.2.1");
        check("10.0.0.1", &["192.0.2.1:4711"], "192.0.2.1");
        check("fd00::1", &["[2001:db8::7]:80"], "2001:db8::7");
        check("::ffff:10.0.0.1", &["::ffff:192.0.2.1"], "192.0.2.1");
    }

    #[test]
    fn p_04_junk_ends_the_chain() {
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["192.0.2.1, unknown"], "10.0.0.1");
        check("10.0.0.1", &["192.0.2.1, , 10.0.0.2"], "10.0.0.2");
        check("10.0.0.1", &["192.0.2.1", "\"10.0.0.2\""], "10.0.0.1");
        let long = vec!["10.0.0.2"; 40].join(",");
        check("10.0.0.1", &["192.0.2.1", &long], "10.0.0.2");
    }

    #[test]
    fn p_04_only_a_trusted_proxy_speaks_for_the_scheme() {
        let said =
            |value: &str| HeaderMap::from_iter([(FORWARDED_PROTO, HeaderValue::from_str(value).unwrap())]);
        let peer = |text: &str| Some(text.parse().unwrap());
        assert_eq!(trusted().scheme(peer("10.0.0.1"), &said("https")), Scheme::Https);
        assert_eq!(trusted().scheme(peer("10.0.0.1"), &said("http, https")), Scheme::Http);
        assert_eq!(trusted().scheme(peer("192.0.2.1"), &said("https")), Scheme::Http);
        assert_eq!(trusted().scheme(None, &said("https")), Scheme::Http);
        let mut two = said("https");
        two.append(FORWARDED_PROTO, HeaderValue::from_static("http"));
        assert_eq!(trusted().scheme(peer("10.0.0.1"), &two), Scheme::Http);
    }

    fn addresses() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("10.0.0.1".to_owned()),
            Just("10.1.2.3".to_owned()),
            Just("fd00::7".to_owned()),
            any::<[u8; 4]>().prop_map(|it| IpAddr::from(it).to_string()),
            any::<[u16; 8]>().prop_map(|it| IpAddr::from(it).to_string()),
            "[0-9a-f.:]{0,12}",
        ]
    }

    proptest! {
        /// A model of its own: from the right, through trusted hops, to the first that is not one of ours.
        #[test]
        fn p_04_the_client_is_never_beyond_the_first_stranger(
            peer in prop_oneof![Just("10.0.0.1".to_owned()), Just("192.0.2.9".to_owned())],
            chain in prop::collection::vec(addresses(), 0..8),
        ) {
            let ours = |address: &IpAddr| match address.to_canonical() {
                IpAddr::V4(v4) => v4.octets()[0] == 10,
                IpAddr::V6(v6) => v6.octets()[0] == 0xfd,
            };
            let mut expected: IpAddr = peer.parse().unwrap();
            let mut hops: Vec<Option<IpAddr>> = chain.iter().map(|text| address(text.as_bytes())).collect();
            while ours(&expected) && let Some(Some(next)) = hops.pop() {
                expected = next;
            }
            let mut headers = HeaderMap::new();
            if !chain.is_empty() {
                headers.insert(FORWARDED_FOR, HeaderValue::from_str(&chain.join(", ")).unwrap());
            }
            prop_assert_eq!(trusted().client(peer.parse().unwrap(), &headers), expected);
        }
    }
}
