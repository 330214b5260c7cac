//! Which headers are taken off requests and responses, and which stay.

use super::*;
use crate::domain::policy::headers::HeaderPattern;
use crate::domain::policy::identity::IdentityHeaders;
use crate::domain::policy::route::Route;
use crate::proxy::upstream::tests::route;

fn request(headers: &[(&'static str, &str)]) -> RequestHeader {
    let mut request = RequestHeader::build("GET", b"/", None).unwrap();
    for (name, value) in headers {
        request.append_header(*name, *value).unwrap();
    }
    request
}

fn headers(sent: &[(&'static str, &str)]) -> HeaderMap {
    request(sent).headers.clone()
}

#[test]
fn a_head_is_as_long_as_it_was_sent() {
    // GET and /, then "a: bc" and its line's end.
    assert_eq!(size_of(&request(&[])), 4);
    assert_eq!(size_of(&request(&[("a", "bc"), ("a", "")])), 4 + 7 + 5);
}

#[test]
fn tokens_are_taken_out_and_what_is_the_application_s_stays() {
    for (values, kept) in [
        (&["Basic eDp5"][..], &["Basic eDp5"][..]),
        (&["Bearer vst_a"], &[]),
        (&["Basic eDp5", "Bearer vst_a", "Digest x"], &["Basic eDp5", "Digest x"]),
        (&[], &[]),
    ] {
        let mut sent = headers(&[(TOKEN_HEADER, "vst_b")]);
        for value in values {
            sent.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        remove_tokens(&mut sent);
        let left: Vec<_> = sent.get_all(header::AUTHORIZATION).iter().collect();
        assert_eq!(left, kept, "{values:?}");
        assert!(!sent.contains_key(TOKEN_HEADER));
    }
}

#[test]
fn p_02_identity_is_removed_in_every_spelling() {
    let reserved = Reserved::with(["x-shop-customer".to_owned()].into_iter());
    for name in [
        "Remote-User",
        "REMOTE-USER",
        "remote_user",
        "Remote_Groups",
        "X-Forwarded-User",
        "X_Forwarded_For",
        "X-Forwarded-Anything",
        "Forwarded",
        "X-Real-IP",
        "X-Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "X-Cluster-Client-IP",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Auth-Request-Email",
        "X-Auth-Username",
        "X-Vestibule-Assertion",
        "x-vestibule_assertion",
        "X-Authentik-Username",
        "X-WebAuth-User",
        "X-User",
        "X-UserId",
        "X-Remote-User",
        "X-Request-Id",
        "X-Shop-Customer",
        "X_Shop_Customer",
        "X.Shop.Customer",
        "Remote.User",
        "remote~user",
        "Remote!User",
        "Remote+User",
        "any_name",
    ] {
        let mut sent = headers(&[(name, "admin"), ("Accept", "*/*"), (name, "root")]);
        reserved.strip(&mut sent, &HeaderRules::default());
        assert_eq!(sent, headers(&[("accept", "*/*")]), "{name}");
    }
}

#[test]
fn f_11_removes_identity_headers_of_other_products() {
    let reserved = Reserved::default();
    // The list is written out, so that a line lost from a table is noticed.
    let families = [
        "x-forwarded-user",
        "x-original-user",
        "x-rewrite-user",
        "remote-user",
        "x-remote-user",
        "x-auth-user",
        "x-vestibule-user",
        "x-authentik-user",
        "x-webauth-user",
        "x-useruser",
        "x-emailuser",
        "x-groupsuser",
        "x-access-tokenuser",
        "x-token-user",
        "x-pomerium-user",
        "cf-access-user",
        "tailscale-user",
        "x-goog-authenticated-user-user",
        "x-goog-iap-user",
        "x-amzn-oidc-user",
        "x-ms-client-principaluser",
        "x-ms-token-user",
        "ssl-client-user",
        "x-ssl-user",
        "x-client-certuser",
        "x-envoy-user",
        "forwarded",
        "x-request-id",
        "x-real-ip",
        "x-client-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "x-cluster-client-ip",
        "client-ip",
        "fastly-client-ip",
        "x-host",
        "x-scheme",
        "proxy",
    ];
    assert_eq!(families.len(), PREFIXES.len() + NAMES.len(), "each is here");
    let known = [
        "X-Pomerium-Jwt-Assertion",
        "Cf-Access-Authenticated-User-Email",
        "Tailscale-User-Login",
        "X-Goog-Iap-Jwt-Assertion",
        "X-Goog-Authenticated-User-Email",
        "X-Amzn-Oidc-Identity",
        "X-Ms-Client-Principal",
        "X-Token-User-Email",
        "X-Email",
        "X-Groups",
        "X-Access-Token",
        "SSL-Client-S-DN",
        "X-SSL-Client-Verify",
        "X-Client-Cert",
        "X-Envoy-External-Address",
        "Proxy",
    ];
    for name in families.into_iter().chain(known) {
        assert!(reserved.covers(&name.to_ascii_lowercase()), "{name}");
    }
    for name in ["authorization", "x-csrf-token", "x-requested-with", "proxy-authorization", "x-hostname"] {
        assert!(!reserved.covers(name), "{name} is the client's to say");
    }
}

#[test]
fn f_11_strip_headers_and_pass_headers_apply() {
    let reserved = Reserved::with(["x-auth-user".to_owned()].into_iter());
    let pattern = |text| vec![HeaderPattern::parse_passed(text).unwrap()];
    let rules = HeaderRules { strip: pattern("X-Legacy-*"), pass: pattern("X-Auth-*") };
    for (name, unwanted) in [
        ("x-legacy-user", true),
        ("x-auth-token", false),
        ("x-auth-user", true),
        ("x-email", true),
        ("accept", false),
    ] {
        assert_eq!(reserved.unwanted(name, &rules), unwanted, "{name}");
    }
}

#[test]
fn keeps_other_client_headers() {
    let mut sent = headers(&[
        ("Host", "a.example"),
        ("Authorization", "Bearer x"),
        ("User-Agent", "test"),
        ("Referer", "/"),
        ("X-CSRF-Token", "t"),
        ("X-Requested-With", "XMLHttpRequest"),
    ]);
    Reserved::default().strip(&mut sent, &HeaderRules::default());
    assert_eq!(sent.len(), 6);
}

#[test]
fn p_16_removes_our_cookies_from_requests() {
    #[track_caller]
    fn check(version: Version, sent: &[&str], forwarded: &[&str]) {
        let sent_cookies: Vec<_> = sent.iter().map(|value| ("Cookie", *value)).collect();
        let mut left = headers(&sent_cookies);
        clean_cookies(&mut left, version);
        let got: Vec<_> = left.get_all("cookie").iter().map(HeaderValue::as_bytes).collect();
        let expected: Vec<_> = forwarded.iter().map(|v| v.as_bytes()).collect();
        assert_eq!(got, expected, "{sent:?}");
    }
    check(Version::HTTP_11, &["a=1"], &["a=1"]);
    check(Version::HTTP_11, &["a=1; __Host-vestibule=x; b=\"2\""], &["a=1; b=\"2\""]);
    check(Version::HTTP_11, &["__Host-vestibule=x"], &[]);
    check(Version::HTTP_11, &["vestibule=x", "a=1"], &["a=1"]);
    check(Version::HTTP_2, &["a=1", "__Host-vestibule=x", "b=2"], &["a=1; b=2"]);
    check(Version::HTTP_2, &["a=1", "b=2"], &["a=1; b=2"]);
    check(Version::HTTP_2, &["__Host-vestibule=x"], &[]);
}

#[test]
fn p_16_an_upstream_cannot_set_our_cookie() {
    let mut response = ResponseHeader::build(200, None).unwrap();
    for value in ["sid=1; Path=/", "__Host-vestibule=evil; Path=/", "b=2"] {
        response.append_header("Set-Cookie", value).unwrap();
    }
    assert_eq!(clean_response(&mut response).unwrap(), Cleaned::Dropped);
    let kept: Vec<_> = response.headers.get_all("set-cookie").iter().collect();
    assert_eq!(kept, ["sid=1; Path=/", "b=2"]);
    assert_eq!(clean_response(&mut response).unwrap(), Cleaned::Untouched);
}

#[test]
fn p_02_what_any_route_tells_is_taken_from_no_client() {
    let route = Route { identity: IdentityHeaders::preset("remote").unwrap(), ..route(&["127.0.0.1"]) };
    let named: Vec<_> = route.identity.names().map(|name| name.as_str().to_owned()).collect();
    let reserved = Reserved::of(&RouteTable::new(vec![route]));
    assert!(!named.is_empty());
    assert_eq!(reserved.names, named.into_iter().collect());
    assert!(Reserved::default().names.is_empty());
}
