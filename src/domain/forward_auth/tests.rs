//! Reading questions of other proxies.

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
fn refuses_unreadable_forwarded_values() {
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
    for url in ["/a", "ftp://wiki.example.com/a", "https://wiki.example.com", "https:///a", "https://a@b/c"] {
        let refused = read_as(Contract::Original, &map([("x-original-url", url), ORIGINAL[1]]));
        assert!(matches!(refused, Err(Unclear::Unreadable(_))), "{url}: {refused:?}");
    }
}

#[test]
fn reports_both_contradictory_headers() {
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
fn limits_the_target_length() {
    let target = |bytes: usize| target_in(URI, format!("/{}", "a".repeat(bytes - 1)).as_bytes());
    assert!(target(32 * 1024).is_ok());
    assert_eq!(target(32 * 1024 + 1), Err(Unclear::Unreadable(URI)));
}

#[test]
fn redirects_only_where_the_contract_supports_it() {
    assert!(Contract::Forwarded.takes_redirects());
    assert!(Contract::Appended { path: b"/" }.takes_redirects());
    assert!(!Contract::Original.takes_redirects());
    assert!(!Contract::Aliased { yes: 202 }.takes_redirects());
}

#[test]
fn a_contract_has_a_name_and_a_yes_of_its_own() {
    let contracts = [
        Contract::Forwarded,
        Contract::Appended { path: b"/" },
        Contract::Original,
        Contract::Aliased { yes: 202 },
    ];
    assert_eq!(contracts.map(Contract::name), ["/forward", "/forward/...", "/request", "alias"]);
    assert_eq!(contracts.map(Contract::yes), [200, 200, 200, 202]);
    assert_eq!(contracts.map(Contract::is_aliased), [false, false, false, true]);
}

#[test]
fn headers_that_the_proxy_of_a_contract_does_not_set_are_named() {
    let all = map([
        ("x-original-url", "https://wiki.example.com/"),
        ("x-original-uri", "/"),
        ("x-original-method", "GET"),
        ("x-forwarded-uri", "/"),
        ("x-forwarded-method", "GET"),
    ]);
    let forwarded = [ORIGINAL_URL, ORIGINAL_URI, ORIGINAL_METHOD];
    assert_eq!(passed_on(Contract::Forwarded, &all), forwarded);
    assert_eq!(passed_on(Contract::Appended { path: b"/" }, &all), forwarded);
    assert_eq!(passed_on(Contract::Original, &all), [ORIGINAL_URI, URI, METHOD]);
    assert_eq!(passed_on(Contract::Aliased { yes: 202 }, &all), [""; 0]);
    assert_eq!(passed_on(Contract::Forwarded, &map(FORWARDED)), [""; 0]);
}

/// One fact in a header, with its meaning in each contract.
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

/// A model of its own: the value of all headers of one meaning together. More than one value is
/// unclear.
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

    /// Whatever headers a client adds to the proxy's, the answer is about the request that the
    /// proxy named, or a refusal.
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
