//! The address of the client: the socket's peer, unless that is a proxy we were told to trust.
//!
//! `X-Forwarded-For`, or `Forwarded` where the operator says so, is read from its right end, where
//! our own proxies have written. What always holds: an address that an anonymous client wrote is
//! never taken for the client's; of the two headers, only the header that the proxies write is
//! read.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

use crate::domain::place::Scheme;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED: HeaderName = header::FORWARDED;
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// How many trusted proxies one request may have passed.
const HOPS_MAX: usize = 16;

/// The most disbelieved peers that the operator is told of.
const UNTRUSTED_PROXIES_MAX: usize = 8;

/// The header that the trusted proxies write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForwardedBy {
    /// `X-Forwarded-For` and `X-Forwarded-Proto`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// The peers that are believed about a request.
#[derive(Debug, Clone, Default)]
pub(super) struct TrustedProxies {
    networks: Vec<IpNet>,
    by: ForwardedBy,
}

/// One proxy's statement about the sender of a request.
struct Hop {
    address: IpAddr,
    is_https: bool,
}

impl TrustedProxies {
    pub(super) fn new(networks: Vec<IpNet>, by: ForwardedBy) -> Self {
        Self { networks, by }
    }

    /// Whether `address` is a trusted proxy's.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        // A dual-stack socket shows IPv4 peers as mapped addresses.
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// The client's address: the right-most address that is not a trusted proxy's.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        match self.by {
            ForwardedBy::XForwarded => self.beyond(peer, entries(headers, &FORWARDED_FOR).map(address)),
            ForwardedBy::Forwarded => {
                self.beyond(peer, entries(headers, &FORWARDED).map(|entry| hop(entry).map(|hop| hop.address)))
            }
        }
    }

    /// The client of a request, followed hop by hop from `peer` until the hops leave the trusted
    /// proxies. Entries beyond an entry that is no address are not believed.
    fn beyond(&self, peer: IpAddr, hops: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut client = peer.to_canonical();
        for hop in hops.take(HOPS_MAX) {
            if !self.trusts(client) {
                break;
            }
            let Some(address) = hop else { break };
            client = address;
        }
        client
    }

    /// The scheme in the browser's address bar, for a request that came without TLS.
    pub(super) fn scheme(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Scheme {
        let Some(peer) = peer.filter(|peer| self.trusts(*peer)) else { return Scheme::Http };
        let is_https = match self.by {
            ForwardedBy::XForwarded => {
                let mut said = headers.get_all(FORWARDED_PROTO).iter();
                let only = said.next().filter(|_| said.next().is_none());
                only.is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"))
            }
            ForwardedBy::Forwarded => self.came_by_https(peer, headers),
        };
        if is_https { Scheme::Https } else { Scheme::Http }
    }

    /// Whether the client came by https, as the trusted proxy nearest to it says.
    fn came_by_https(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        let (mut client, mut is_https) = (peer.to_canonical(), false);
        for entry in entries(headers, &FORWARDED).take(HOPS_MAX) {
            if !self.trusts(client) {
                break;
            }
            let Some(hop) = hop(entry) else { break };
            (client, is_https) = (hop.address, hop.is_https);
        }
        is_https
    }

    /// Whether `peer` says whose request it sends, and is not trusted. A client on the internet may
    /// say what it likes; a peer of a private network is a proxy that the operator has forgotten.
    fn is_forgotten(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        let is_near = match peer.to_canonical() {
            IpAddr::V4(v4) => v4.is_private() || v4.is_loopback(),
            IpAddr::V6(v6) => v6.is_unique_local() || v6.is_loopback() || v6.is_unicast_link_local(),
        };
        let speaks =
            || [&FORWARDED_FOR, &FORWARDED_PROTO, &FORWARDED].iter().any(|name| headers.contains_key(*name));
        is_near && !self.trusts(peer) && speaks()
    }
}

/// Proxies that are not trusted, as the operator is told of them.
#[derive(Debug, Default)]
pub(super) struct UntrustedProxies(papaya::HashSet<IpAddr>);

impl UntrustedProxies {
    /// Takes note of `peer` if it is a proxy that the operator has forgotten.
    pub(super) fn note(&self, trusted: &TrustedProxies, peer: IpAddr, headers: &HeaderMap) {
        if !trusted.is_forgotten(peer, headers) {
            return;
        }
        let (peer, known) = (peer.to_canonical(), self.0.pin());
        if !known.contains(&peer) && known.len() < UNTRUSTED_PROXIES_MAX && known.insert(peer) {
            tracing::warn!("{}", remark(peer));
        }
    }

    /// The faults, in sentences.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut peers: Vec<_> = self.0.pin().iter().copied().collect();
        peers.sort_unstable();
        peers.into_iter().map(remark).collect()
    }
}

fn remark(peer: IpAddr) -> String {
    format!(
        "{peer} says whose requests it sends, but is not one of server.trusted_proxies: all its clients share its \
         address and one rate limit, and their requests look like plain http"
    )
}

/// The entries of a header that every hop adds to, the last one first. A comma within quotation
/// marks ends an entry, too: a proxy writes none, and so no client can hide what the proxies after
/// it have written.
fn entries<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h [u8]> {
    let values = headers.get_all(name).into_iter().rev();
    values.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','))
}

/// `for=192.0.2.60;proto=https;by=203.0.113.43` (RFC 7239, section 4).
fn hop(entry: &[u8]) -> Option<Hop> {
    let text = std::str::from_utf8(entry).ok()?;
    let said = |name: &str| {
        let mut pairs = text.split(';').filter_map(|pair| pair.trim().split_once('='));
        let (_, value) = pairs.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        let quoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        Some(quoted.unwrap_or(value))
    };
    let is_https = said("proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    Some(Hop { address: address(said("for")?.as_bytes())?, is_https })
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
        TrustedProxies::new(
            vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
            ForwardedBy::XForwarded,
        )
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
    fn a_proxy_nearby_that_nobody_trusts_has_been_forgotten() {
        let is_forgotten = |peer: &str, header| {
            let mut headers = HeaderMap::new();
            headers.append(header, HeaderValue::from_static("x"));
            trusted().is_forgotten(peer.parse().unwrap(), &headers)
        };
        for peer in ["127.0.0.1", "192.168.1.1", "::ffff:172.16.0.1", "::1", "fc00::1", "fe80::1"] {
            for header in [FORWARDED_FOR, FORWARDED_PROTO, FORWARDED] {
                assert!(is_forgotten(peer, header), "{peer}");
            }
            assert!(!is_forgotten(peer, HeaderName::from_static("accept")), "{peer} says nothing");
        }
        for peer in ["192.0.2.1", "2001:db8::1", "10.0.0.1", "fd00::1"] {
            assert!(!is_forgotten(peer, FORWARDED_FOR), "{peer}");
        }
    }

    #[test]
    fn p_04_untrusted_peer_is_the_client() {
        check("192.0.2.9", &[], "192.0.2.9");
        check("192.0.2.9", &["10.0.0.1"], "192.0.2.9");
        check("::ffff:192.0.2.9", &["127.0.0.1"], "192.0.2.9");
        check("127.0.0.1", &["192.0.2.1"], "127.0.0.1");
    }

    #[test]
    fn p_04_client_is_the_rightmost_untrusted_hop() {
        check("10.0.0.1", &["192.0.2.1"], "192.0.2.1");
        check("10.0.0.1", &["6.6.6.6, 192.0.2.1"], "192.0.2.1");
        check("10.0.0.1", &["6.6.6.6", "192.0.2.1, 10.0.0.2"], "192.0.2.1");
        check("10.0.0.1", &["192.0.2.1:4711"], "192.0.2.1");
        check("fd00::1", &["[2001:db8::7]:80"], "2001:db8::7");
        check("::ffff:10.0.0.1", &["::ffff:192.0.2.1"], "192.0.2.1");
    }

    #[test]
    fn p_04_malformed_hop_ends_the_chain() {
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["192.0.2.1, unknown"], "10.0.0.1");
        check("10.0.0.1", &["192.0.2.1, , 10.0.0.2"], "10.0.0.2");
        check("10.0.0.1", &["192.0.2.1", "\"10.0.0.2\""], "10.0.0.1");
        let long = vec!["10.0.0.2"; 40].join(",");
        check("10.0.0.1", &["192.0.2.1", &long], "10.0.0.2");
    }

    #[test]
    fn p_04_scheme_header_counts_only_from_trusted_proxies() {
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

    #[test]
    fn p_04_forwarded_is_read_where_the_proxies_write_it() {
        let by_rfc = TrustedProxies { by: ForwardedBy::Forwarded, ..trusted() };
        let said = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(FORWARDED, HeaderValue::from_static(value));
            }
            headers.insert(FORWARDED_FOR, HeaderValue::from_static("6.6.6.6"));
            headers.insert(FORWARDED_PROTO, HeaderValue::from_static("https"));
            headers
        };
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        for (values, client, scheme) in [
            (&["for=192.0.2.1"][..], "192.0.2.1", Scheme::Http),
            (&["For=192.0.2.1;Proto=https;by=10.0.0.1"], "192.0.2.1", Scheme::Https),
            (&["proto=HTTPS ; for=\"[2001:db8::7]:80\""], "2001:db8::7", Scheme::Https),
            (&["for=6.6.6.6;proto=https, for=192.0.2.1;proto=http"], "192.0.2.1", Scheme::Http),
            (&["for=192.0.2.1;proto=https, for=10.0.0.2;proto=http"], "192.0.2.1", Scheme::Https),
            (&["for=6.6.6.6", "for=192.0.2.1"], "192.0.2.1", Scheme::Http),
            // An open quotation mark of a client hides no entry of the proxy's.
            (&["for=\"6.6.6.6, for=192.0.2.1;proto=http"], "192.0.2.1", Scheme::Http),
            (&["for=_hidden;proto=https"], "10.0.0.1", Scheme::Http),
            (&["for=unknown"], "10.0.0.1", Scheme::Http),
            (&["proto=https"], "10.0.0.1", Scheme::Http),
            (&[], "10.0.0.1", Scheme::Http),
        ] {
            let headers = said(values);
            assert_eq!(by_rfc.client(peer, &headers), client.parse::<IpAddr>().unwrap(), "{values:?}");
            assert_eq!(by_rfc.scheme(Some(peer), &headers), scheme, "{values:?}");
            // An untrusted peer is not believed, and without the operator's word the header is not
            // read.
            let anonymous: IpAddr = "192.0.2.9".parse().unwrap();
            assert_eq!(by_rfc.client(anonymous, &headers), anonymous);
            assert_eq!(trusted().client(peer, &headers), "6.6.6.6".parse::<IpAddr>().unwrap());
        }
    }

    #[test]
    fn remarks_once_on_an_untrusted_proxy() {
        let untrusted_proxies = UntrustedProxies::default();
        let headers = HeaderMap::from_iter([(FORWARDED_FOR, HeaderValue::from_static("192.0.2.1"))]);
        let note = |peer: &str, headers: &HeaderMap| {
            untrusted_proxies.note(&trusted(), peer.parse().unwrap(), headers);
        };
        note("10.0.0.1", &headers);
        note("192.0.2.9", &headers);
        note("172.16.0.3", &HeaderMap::new());
        assert!(untrusted_proxies.remarks().is_empty());
        note("172.16.0.3", &headers);
        note("::ffff:172.16.0.3", &headers);
        assert_eq!(untrusted_proxies.remarks().len(), 1);
        assert!(
            untrusted_proxies.remarks()[0].starts_with("172.16.0.3 says"),
            "{:?}",
            untrusted_proxies.remarks()
        );
        for last in 0..50 {
            untrusted_proxies.note(&trusted(), IpAddr::from([192, 168, 0, last]), &headers);
        }
        assert_eq!(untrusted_proxies.remarks().len(), UNTRUSTED_PROXIES_MAX);
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
        /// A model of its own: from the right, through trusted hops, to the first that is not
        /// trusted.
        #[test]
        fn p_04_client_is_never_beyond_the_first_untrusted_hop(
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
