//! The route that answers a request, and the properties of a route.

use super::*;
use crate::domain::policy::rule::{Conditions, Effect, Rule, RulePath};
use crate::domain::policy::who::{Allow, Who};
use crate::domain::user::Email;

fn route(host: &str, path: &str) -> Route {
    Route {
        name: format!("{host}{path}"),
        host: HostPattern::parse(host).unwrap(),
        path: path.to_owned(),
        upstreams: vec![],
        policy: Policy::default(),
        public: vec![],
        identity: IdentityHeaders::preset("remote").unwrap(),
        credentials: None,
        logout: None,
        websocket: WebSocket::Allowed,
        cross_origin: CrossOrigin::Refused,
        headers: HeaderRules::default(),
        tile: None,
        timeouts: Timeouts {
            connect: Duration::from_secs(1),
            read: Duration::from_secs(1),
            write: Duration::from_secs(1),
            idle: Duration::from_secs(1),
        },
    }
}

#[track_caller]
fn check(host: &str, path: &str, expected: Option<&str>) {
    let table = RouteTable::new(vec![
        route("a.example.com", "/"),
        route("a.example.com", "/admin"),
        route("a.example.com", "/admin/deep"),
        route("*.example.com", "/"),
        route("b.example.com", "/only"),
    ]);
    let found = table.host(host).and_then(|routes| routes.find(path.as_bytes()));
    assert_eq!(found.map(|r| r.name.as_str()), expected, "{host}{path}");
}

#[test]
fn the_longest_prefix_wins_at_segment_boundaries() {
    check("a.example.com", "/", Some("a.example.com/"));
    check("a.example.com", "/admin", Some("a.example.com/admin"));
    check("a.example.com", "/admin/", Some("a.example.com/admin"));
    check("a.example.com", "/administrator", Some("a.example.com/"));
    check("a.example.com", "/admin/deep/x", Some("a.example.com/admin/deep"));
}

#[test]
fn detects_routes_that_depend_on_letter_case() {
    let public = vec![PublicPath::parse("/health").unwrap(), PublicPath::parse("/static/*").unwrap()];
    let table = RouteTable::new(vec![
        Route { public, ..route("a.example.com", "/") },
        route("a.example.com", "/admin"),
        route("a.example.com", "/Admin/Deep"),
    ]);
    let routes = table.host("a.example.com").unwrap();
    for plain in [
        "/",
        "/x",
        "/X",
        "/admin",
        "/admin/X",
        "/administrator",
        "/Admin/Deep",
        "/health",
        "/static/A",
        "/HEALTHY",
    ] {
        assert!(!routes.depends_on_case(plain.as_bytes()), "{plain}");
    }
    for folded in ["/Admin", "/ADMIN/x", "/admin/deep", "/ADMIN/DEEP/x", "/Health", "/STATIC/a"] {
        assert!(routes.depends_on_case(folded.as_bytes()), "{folded}");
    }
}

#[test]
fn an_unknown_host_has_no_route() {
    check("x.example.com", "/", Some("*.example.com/"));
    check("x.y.example.com", "/", None);
    check("example.com", "/", None);
    check("badexample.com", "/", None);
    check("b.example.com", "/other", None);
    check("", "/", None);
}

fn policy(line: &str, paths: &[&str]) -> Policy {
    let paths = paths.iter().map(|path| RulePath::parse(path).unwrap()).collect();
    let who = Who::People(vec![Allow::parse(line).unwrap()]);
    let when = Conditions { paths, ..Conditions::default() };
    let rule = Rule { name: "r".to_owned(), effect: Effect::Allow, who, when, max_auth_age: None };
    Policy::new(vec![rule], None)
}

#[test]
fn a_host_name_is_as_long_as_dns_allows() {
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    assert_eq!(longest.len(), 253);
    for right in ["localhost", "a_b-c.example.com", "*.example.com", &label, &longest] {
        assert_eq!(HostPattern::parse(right).unwrap().to_string(), right, "{right}");
    }
    for wrong in ["", "*.", "a..b", "a.", "a b", "a:80", &format!("{label}a"), &format!("{longest}a")] {
        assert!(HostPattern::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_path_decides_where_anything_is_said_about_it() {
    let decides = |routes: Vec<Route>| {
        let table = RouteTable::new(routes);
        table.host("a.example.com").unwrap().decides_by_path()
    };
    let plain = || route("a.example.com", "/");
    assert!(!decides(vec![plain()]));
    assert!(!decides(vec![Route { policy: policy("user", &[]), ..plain() }]));
    assert!(decides(vec![Route { public: vec![PublicPath::parse("/health").unwrap()], ..plain() }]));
    assert!(decides(vec![Route { policy: policy("user", &["/x"]), ..plain() }]));
    assert!(decides(vec![route("a.example.com", "/x")]));
    assert!(decides(vec![plain(), route("a.example.com", "/x")]));
}

#[test]
fn a_successor_has_the_same_name_at_the_same_address() {
    let table = RouteTable::new(vec![
        route("a.example.com", "/"),
        route("a.example.com", "/x"),
        route("*.example.com", "/"),
    ]);
    let succeeds = |other: &Route, host: &str, path: &str| {
        table.successor(other, host, path.as_bytes()).map(|route| route.name.as_str())
    };
    let here = route("a.example.com", "/");
    assert_eq!(succeeds(&here, "a.example.com", "/y"), Some("a.example.com/"));
    // Another route answers that path, or that host, by now.
    assert_eq!(succeeds(&here, "a.example.com", "/x"), None);
    assert_eq!(succeeds(&here, "b.example.com", "/"), None);
    assert_eq!(succeeds(&here, "a.example.net", "/"), None);
    // A route that differs in one respect.
    let named = Route { name: "other".to_owned(), ..route("a.example.com", "/") };
    let host = HostPattern::parse("*.example.com").unwrap();
    let elsewhere = Route { host, ..route("a.example.com", "/") };
    let below = Route { path: "/x".to_owned(), ..route("a.example.com", "/") };
    for other in [named, elsewhere, below] {
        assert_eq!(succeeds(&other, "a.example.com", "/y"), None, "{other:?}");
    }
}

#[test]
fn routes_below_one_wildcard_are_kept_together_and_apart_from_another_s() {
    let table = RouteTable::new(vec![
        route("*.example.com", "/"),
        route("*.example.net", "/"),
        route("*.example.com", "/x"),
        route("*.example.net", "/y"),
    ]);
    for (host, path, expected) in [
        ("a.example.com", "/x", "*.example.com/x"),
        ("a.example.com", "/y", "*.example.com/"),
        ("a.example.net", "/x", "*.example.net/"),
        ("a.example.net", "/y", "*.example.net/y"),
    ] {
        let found = table.host(host).unwrap().find(path.as_bytes()).unwrap();
        assert_eq!(found.name, expected, "{host}{path}");
    }
    let names: Vec<_> = table.all().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["*.example.com/", "*.example.net/", "*.example.com/x", "*.example.net/y"]);
}

#[test]
fn hosts_below_a_wildcard_are_known_by_their_tiles() {
    let hosts = vec!["b.example.com".to_owned(), "c.example.com".to_owned()];
    let tile = Some(Tile { hosts: hosts.clone(), ..Tile::default() });
    assert_eq!(route("a.example.com", "/").known_hosts(), ["a.example.com"]);
    assert_eq!(Route { tile: tile.clone(), ..route("a.example.com", "/") }.known_hosts(), ["a.example.com"]);
    assert_eq!(Route { tile, ..route("*.example.com", "/") }.known_hosts(), hosts);
    assert_eq!(route("*.example.com", "/").known_hosts(), [""; 0]);
}

#[test]
fn keys_are_where_pomerium_has_them_for_routes_that_are_told_as_it_tells() {
    let told =
        |preset| Route { identity: IdentityHeaders::preset(preset).unwrap(), ..route("a.example.com", "/") };
    let has_keys = |route: Route, path: &str| {
        RouteTable::new(vec![route]).host("a.example.com").unwrap().has_pomerium_keys_at(path.as_bytes())
    };
    assert!(has_keys(told("pomerium"), POMERIUM_KEYS_PATH));
    assert!(!has_keys(told("pomerium"), "/"));
    assert!(!has_keys(told("remote"), POMERIUM_KEYS_PATH));
    assert!(!has_keys(told("remote"), "/"));
    // The assertion is about one host.
    let (header, host) = (HeaderName::from_static("x-pomerium-jwt-assertion"), "a.example.com");
    assert_eq!(told("pomerium").pomerium_assertion(), Some((&header, host)));
    assert_eq!(told("remote").pomerium_assertion(), None);
    let host = HostPattern::parse("*.example.com").unwrap();
    assert_eq!(Route { host, ..told("pomerium") }.pomerium_assertion(), None);
}

#[test]
fn a_name_that_opens_a_route_or_has_a_secret_there_is_one_it_is_about() {
    use crate::domain::policy::credentials::Secrets;
    let names = |route: &Route| {
        ["alice", "bob", "carol"].map(|name| route.is_about_name(&Username::parse(name).unwrap()))
    };
    let secret = |lines: &str| Some(Credentials::bearer(Secrets::personal(lines).unwrap()).unwrap());
    let plain = || route("a.example.com", "/");
    let by_rule = policy("user:alice", &[]);
    assert_eq!(names(&plain()), [false, false, false]);
    assert_eq!(names(&Route { policy: by_rule.clone(), ..plain() }), [true, false, false]);
    assert_eq!(names(&Route { credentials: secret("bob:t0k"), ..plain() }), [false, true, false]);
    let both = Route { policy: by_rule, credentials: secret("bob:t0k"), ..plain() };
    assert_eq!(names(&both), [true, true, false]);
}

#[test]
fn a_route_may_be_entered_by_whom_some_request_of_theirs_lets_in() {
    use crate::domain::policy::datalog::Datalog;
    use crate::domain::policy::defined::Defined;
    let user = |name: &str| {
        let email = Email::parse(&format!("{name}@example.com")).unwrap();
        User::hypothetical(Username::parse(name).unwrap(), email, [].into()).unwrap()
    };
    let now = Timestamp::parse("2026-11-27T16:30:00Z").unwrap();
    let entered = |host: &str, policy: Policy| {
        let route = Route { policy, ..route(host, "/wiki") };
        ["alice", "bob"].map(|name| route.may_be_entered_by(&user(name), now))
    };
    assert_eq!(entered("a.example.com", policy("user:alice", &["/deep"])), [true, false]);
    let datalog = |text: &str| {
        let utc = jiff::tz::TimeZone::UTC;
        Policy::in_datalog(Datalog::read(text, "wiki", Defined::default(), utc).unwrap(), None)
    };
    assert_eq!(entered("a.example.com", datalog("allow if user(\"alice\");")), [true, false]);
    // The policy is asked about the front page, with a passkey that has just been shown.
    let asked = "allow if user(\"alice\"), path(\"/wiki\"), method(\"GET\"), auth_age(0);";
    assert_eq!(entered("a.example.com", datalog(asked)), [true, false]);
    let elsewhere = "allow if user(\"alice\"), path(\"/deep\");";
    assert_eq!(entered("a.example.com", datalog(elsewhere)), [false, false]);
}

#[test]
fn f_15_a_letter_that_folds_to_ascii_is_refused_where_it_decides() {
    let public = vec![PublicPath::parse("/spass/*").unwrap()];
    let table = RouteTable::new(vec![
        Route { public, ..route("a.example.com", "/") },
        route("a.example.com", "/strasse"),
    ]);
    let routes = table.host("a.example.com").unwrap();
    for unclear in ["/stra%C3%9Fe", "/Stra\u{df}e/x", "/STRA%E1%BA%9Ee", "/spa%C3%9F/x"] {
        assert!(routes.depends_on_case(unclear.as_bytes()), "{unclear}");
    }
    for plain in ["/fu%C3%9F", "/\u{d6}sterreich/stra%C3%9Fe", "/strasse/stra%C3%9Fe", "/%C3%9F"] {
        assert!(!routes.depends_on_case(plain.as_bytes()), "{plain}");
    }
}
