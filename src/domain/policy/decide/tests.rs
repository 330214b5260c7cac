//! Decisions of rules, one promise a test, also compared with a model that decides the same another
//! way.

use std::net::IpAddr;

use http::Method;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::domain::id::UserId;
use crate::domain::policy::defined::Defined;
use crate::domain::policy::rule::{Mismatch, RulePath};
use crate::domain::policy::times::{Clock, Days, Times};
use crate::domain::user::{DisplayName, Group, Role};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn alice(groups: &[&str]) -> User {
    let (username, email) = (Username::parse("alice").unwrap(), Email::parse("alice@example.com").unwrap());
    User {
        id: UserId::from_random([1; 16]),
        display_name: DisplayName::parse("Alice").unwrap(),
        role: Role::Administrator,
        created_at: NOW,
        updated_at: NOW,
        ..User::hypothetical(
            username,
            email,
            groups.iter().map(|group| Group::parse(group).unwrap()).collect(),
        )
        .unwrap()
    }
}

fn get(path: &'static str) -> RequestFacts<'static> {
    RequestFacts {
        method: &Method::GET,
        host: "app.example.com",
        raw_path: path.as_bytes(),
        client: None,
        now: NOW,
    }
}

fn lines(texts: &[&str]) -> Vec<Allow> {
    texts.iter().map(|text| Allow::parse(text).unwrap()).collect()
}

fn rule(effect: Effect, who: &[&str], paths: &[&str]) -> Rule {
    let who = if who == ["anyone"] { Who::Anyone } else { Who::People(lines(who)) };
    let paths = paths.iter().map(|path| RulePath::parse(path).unwrap()).collect();
    let when = Conditions { paths, ..Conditions::default() };
    Rule { name: format!("{effect:?} {who}"), effect, who, when, max_auth_age: None }
}

#[track_caller]
fn decides(policy: &Policy, user: &User, asking: &RequestFacts<'_>, expected: Decision) {
    let verdict = policy.decide(&policy.about(user), Some(NOW), asking);
    assert_eq!(verdict.decision, expected, "{policy:?} {asking:?}");
}

#[test]
fn allow_lines_match_only_the_named() {
    let check = |allow: &[&str], standing: Standing, expected: Decision| {
        let policy = Policy::allowing(lines(allow), None);
        let user = User { standing, ..alice(&["staff"]) };
        decides(&policy, &user, &get("/"), expected);
        let user_policy = policy.about(&user);
        assert_eq!(policy.lets_in(&user_policy), expected == Decision::Allowed, "{allow:?}");
    };
    check(&["user"], Standing::Active, Decision::Allowed);
    check(&["group:staff"], Standing::Active, Decision::Allowed);
    check(&["group:ops"], Standing::Active, Decision::Refused);
    check(&["user:ALICE@example.com"], Standing::Active, Decision::Allowed);
    check(&["user:alice"], Standing::Active, Decision::Allowed);
    check(&["user:bob"], Standing::Active, Decision::Refused);
    check(&["group:ops", "user:alice"], Standing::Active, Decision::Allowed);
    check(&[], Standing::Active, Decision::Refused);
    check(&["user"], Standing::Disabled, Decision::Refused);
}

#[test]
fn the_first_rule_about_a_request_decides() {
    let policy = Policy::new(
        vec![
            rule(Effect::Deny, &["group:guests"], &["/admin/*"]),
            rule(Effect::Allow, &["user"], &["/admin/*", "/wiki/*"]),
            rule(Effect::Allow, &["anyone"], &["/wiki/*"]),
        ],
        None,
    );
    let (staff, guest) = (alice(&[]), alice(&["guests"]));
    decides(&policy, &staff, &get("/admin/x"), Decision::Allowed);
    decides(&policy, &guest, &get("/admin/x"), Decision::Refused);
    decides(&policy, &guest, &get("/wiki"), Decision::Allowed);
    decides(&policy, &staff, &get("/other"), Decision::Refused);
    // An anonymous client may turn out to be any user.
    assert_eq!(policy.decide_for_anonymous(&get("/wiki")).decision, Decision::SignIn);
    let open = Policy::new(policy.rules().iter().rev().cloned().collect(), None);
    assert_eq!(open.decide_for_anonymous(&get("/wiki")).decision, Decision::Public);
    assert_eq!(open.decide_for_anonymous(&get("/other")).decision, Decision::SignIn);
    let closed = Policy::new(vec![rule(Effect::Deny, &["anyone"], &["/admin/*"])], None);
    assert_eq!(closed.decide_for_anonymous(&get("/admin")).decision, Decision::Refused);
}

#[test]
fn lets_in_is_false_without_an_allowing_rule() {
    let check = |rules: Vec<Rule>, expected: bool| {
        let policy = Policy::new(rules, None);
        assert_eq!(policy.lets_in(&policy.about(&alice(&["guests"]))), expected, "{policy:?}");
    };
    let (allow, deny) = (Effect::Allow, Effect::Deny);
    check(vec![], false);
    check(vec![rule(deny, &["group:guests"], &[]), rule(allow, &["user"], &[])], false);
    check(vec![rule(deny, &["group:guests"], &["/x"]), rule(allow, &["user"], &[])], true);
    check(vec![rule(deny, &["group:ops"], &[]), rule(allow, &["user"], &["/x"])], true);
    check(vec![rule(deny, &["user"], &["/x"])], false);
}

#[test]
fn old_authentication_requires_step_up() {
    let minutes = |n| Duration::from_mins(n);
    let with_age = Rule { max_auth_age: Some(minutes(5)), ..rule(Effect::Allow, &["user"], &["/admin/*"]) };
    let rules = vec![with_age, rule(Effect::Allow, &["user"], &[]), rule(Effect::Allow, &["anyone"], &[])];
    let policy = Policy::new(rules, Some(minutes(60)));
    let user_policy = policy.about(&alice(&[]));
    let check = |path, ago: Option<u64>, expected| {
        let shown_at = ago.map(|seconds| NOW.minus(Duration::from_secs(seconds)));
        assert_eq!(policy.decide(&user_policy, shown_at, &get(path)).decision, expected, "{path} {ago:?}");
    };
    check("/admin", Some(300), Decision::Allowed);
    check("/admin", Some(301), Decision::StepUp);
    check("/", Some(3_600), Decision::Allowed);
    check("/", Some(3_601), Decision::StepUp);
    check("/", None, Decision::StepUp);
    // A rule for anonymous clients asks for no fresh passkey.
    let open = Policy::new(vec![rule(Effect::Allow, &["anyone"], &[])], Some(minutes(60)));
    assert_eq!(open.decide(&open.about(&alice(&[])), None, &get("/")).decision, Decision::Allowed);
}

fn datalog(text: &str) -> Datalog {
    Datalog::read(text, "wiki", Defined::default(), TimeZone::UTC).unwrap()
}

#[test]
fn datalog_policy_requires_step_up_too() {
    let hour = Some(Duration::from_mins(60));
    let policy = Policy::in_datalog(datalog("allow if path(\"/a\"); deny if path(\"/b\");"), hour);
    assert_eq!(policy.max_auth_age(), hour);
    assert_eq!((policy.rules(), policy.clauses().len()), (&[][..], 2));
    let (user_policy, fresh) = (policy.about(&alice(&[])), Some(NOW.minus(Duration::from_secs(3_600))));
    let check = |path, shown_at, expected| {
        assert_eq!(
            policy.decide(&user_policy, shown_at, &get(path)).decision,
            expected,
            "{path} {shown_at:?}"
        );
    };
    check("/a", fresh, Decision::Allowed);
    check("/a", fresh.map(|at| at.minus(Duration::from_secs(1))), Decision::StepUp);
    check("/a", None, Decision::StepUp);
    check("/b", fresh, Decision::Refused);
    check("/c", fresh, Decision::Refused);
    assert_eq!(policy.decide_for_anonymous(&get("/a")).decision, Decision::SignIn);
    let locked = User { standing: Standing::Disabled, ..alice(&[]) };
    assert_eq!(policy.decide(&policy.about(&locked), fresh, &get("/a")).decision, Decision::Refused);
}

/// Questions about a policy beforehand: whether a path has to be clear, whether a stream has to be
/// decided about again, and whether a user may choose a name.
#[test]
fn policy_reports_which_facts_it_reads() {
    let name = |text| Username::parse(text).unwrap();
    let address = |text| Email::parse(text).unwrap();

    let everyone = Policy::allowing(lines(&["user", "group:staff"]), None);
    assert!(!everyone.names_paths() && !everyone.depends_on_time() && !everyone.depends_on_case(b"/Admin/x"));
    assert!(
        !everyone.is_about_name(&name("alice")) && !everyone.is_about_address(&address("bob@example.com"))
    );

    let days = Days::parse("mon-fri").unwrap();
    let (from, to) = (Clock::parse("08:00").unwrap(), Clock::parse("18:00").unwrap());
    let times = Times::new(days, from, to, "UTC").unwrap();
    let by_day = Conditions { times: Some(times), ..Conditions::default() };
    let policy = Policy::new(
        vec![
            rule(Effect::Deny, &["group:guests"], &[]),
            rule(Effect::Allow, &["user:alice"], &["/admin/*"]),
            Rule { when: by_day, ..rule(Effect::Deny, &["user:bob@example.com"], &[]) },
        ],
        None,
    );
    assert!(policy.names_paths() && policy.depends_on_time() && policy.clauses().is_empty());
    assert!(policy.depends_on_case(b"/Admin/x"));
    assert!(!policy.depends_on_case(b"/admin/x") && !policy.depends_on_case(b"/other"));
    assert!(policy.is_about_name(&name("alice")) && !policy.is_about_name(&name("carol")));
    assert!(policy.is_about_address(&address("bob@example.com")));
    assert!(!policy.is_about_address(&address("alice@example.com")));

    let of_path = Policy::in_datalog(datalog("allow if path(\"/a\"), user(\"alice\");"), None);
    assert!(of_path.names_paths() && !of_path.depends_on_time());
    assert!(of_path.is_about_name(&name("alice")) && !of_path.is_about_name(&name("carol")));
    let of_time = Policy::in_datalog(datalog("allow if weekday(\"fri\"), email(\"bob@example.com\");"), None);
    assert!(!of_time.names_paths() && of_time.depends_on_time());
    assert!(of_time.is_about_address(&address("bob@example.com")));
    assert!(!of_time.is_about_address(&address("alice@example.com")));
}

#[test]
fn a_decision_is_read_by_its_name() {
    for decision in Decision::ALL {
        assert_eq!(Decision::parse(decision.name()), Some(decision));
    }
    assert_eq!(Decision::parse("maybe"), None);
}

#[test]
fn rule_reports_the_condition_that_failed() {
    let about_staff = rule(Effect::Allow, &["group:staff"], &["/admin/*"]);
    let (staff, other) = (alice(&["staff"]), alice(&[]));
    assert_eq!(about_staff.mismatch(Some(&staff), &get("/admin/x")), None);
    assert_eq!(about_staff.mismatch(Some(&staff), &get("/wiki")), Some(Mismatch::Path));
    assert_eq!(about_staff.mismatch(Some(&other), &get("/admin/x")), Some(Mismatch::Who));
    assert_eq!(about_staff.mismatch(None, &get("/admin/x")), Some(Mismatch::Who));
    assert_eq!(about_staff.when.to_string(), "/admin/*");
    let about_anyone = rule(Effect::Deny, &["anyone"], &["/a", "/b"]);
    assert_eq!(about_anyone.mismatch(None, &get("/a")), None);
    assert_eq!(about_anyone.mismatch(None, &get("/c")), Some(Mismatch::Path));
    assert_eq!(about_anyone.when.to_string(), "/a, /b");
    assert_eq!(Conditions::default().to_string(), "");
    assert_eq!([Effect::Allow, Effect::Deny].map(Effect::name), ["allow", "deny"]);
    let below = |text| RulePath::parse(text).unwrap().goes_below();
    assert!(below("/a/*") && !below("/a"));
}

/// The meaning of a policy, written a second time without any of the code above: text is compared
/// as text, addresses as numbers, and Berlin's clock is computed from the rule of the European
/// Union (directive 2000/84/EC).
mod model {
    #[derive(Debug, Clone)]
    pub(super) struct Rule {
        pub(super) allows: bool,
        pub(super) who: &'static str,
        pub(super) method: Option<&'static str>,
        pub(super) path: Option<&'static str>,
        /// First address and number of leading bits.
        pub(super) network: Option<([u8; 4], u32)>,
        /// First and last day (0 is Monday), first minute, and the minute after the last.
        pub(super) times: Option<(i64, i64, i64, i64)>,
        pub(super) age_max: Option<i64>,
    }

    #[derive(Debug, Clone)]
    pub(super) struct Request {
        pub(super) groups: Vec<&'static str>,
        pub(super) is_anonymous: bool,
        pub(super) method: &'static str,
        pub(super) path: String,
        pub(super) client: Option<[u8; 4]>,
        pub(super) seconds: i64,
        pub(super) age: i64,
    }

    pub(super) fn decide(rules: &[Rule], request: &Request) -> &'static str {
        for rule in rules {
            let fits = rule.method.is_none_or(|method| method == request.method)
                && rule.path.is_none_or(|path| is_path(path, &request.path))
                && rule.network.is_none_or(|network| is_from(network, request.client, rule.allows))
                && rule.times.is_none_or(|times| is_time(times, request.seconds));
            let named = match rule.who {
                "anyone" => true,
                "user" => !request.is_anonymous,
                group => !request.is_anonymous && request.groups.contains(&group),
            };
            if fits && named {
                let too_old = rule.who != "anyone" && rule.age_max.is_some_and(|max| request.age > max);
                return match (rule.allows, request.is_anonymous) {
                    (false, _) => "refused",
                    (true, true) => "public",
                    (true, false) if too_old => "step_up",
                    (true, false) => "allowed",
                };
            }
            if fits && request.is_anonymous {
                return "sign_in";
            }
        }
        if request.is_anonymous { "sign_in" } else { "refused" }
    }

    fn is_path(pattern: &str, path: &str) -> bool {
        let parts = |text: &str| {
            text.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        match pattern.strip_suffix('*') {
            Some(start) => parts(path).starts_with(&parts(start)),
            None => parts(path) == parts(pattern),
        }
    }

    fn is_from((first, bits): ([u8; 4], u32), client: Option<[u8; 4]>, allows: bool) -> bool {
        let number = |address: [u8; 4]| u64::from(u32::from_be_bytes(address));
        client.map_or(!allows, |client| {
            let size = 1_u64 << (32 - bits);
            number(client) / size == number(first) / size
        })
    }

    /// Days since 1970-01-01, a Thursday.
    fn is_time((first, last, from, to): (i64, i64, i64, i64), utc: i64) -> bool {
        let local = utc + if is_summer(utc) { 7_200 } else { 3_600 };
        let (day, minute) = (local.div_euclid(86_400), local.rem_euclid(86_400) / 60);
        let is_day = |day: i64| (first..=last).contains(&(day + 3).rem_euclid(7));
        if from < to {
            is_day(day) && from <= minute && minute < to
        } else {
            (is_day(day) && minute >= from) || (is_day(day - 1) && minute < to)
        }
    }

    /// From the last Sunday of March to that of October, at one o'clock in the night, UTC.
    fn is_summer(utc: i64) -> bool {
        let year = (1970..2100).rev().find(|year| days_before(*year) * 86_400 <= utc).unwrap_or(1970);
        let leap = i64::from(days_before(year + 1) - days_before(year) == 366);
        let last_sunday_before = |day: i64| (day - (day + 3).rem_euclid(7) - 1) * 86_400 + 3_600;
        // The first of April and of November; the day before the Monday of that week is a Sunday.
        let april = days_before(year) + 90 + leap;
        let november = days_before(year) + 304 + leap;
        let ends = |first: i64| {
            let sunday = last_sunday_before(first);
            if sunday >= first * 86_400 { sunday - 7 * 86_400 } else { sunday }
        };
        (ends(april)..ends(november)).contains(&utc)
    }

    fn days_before(year: i64) -> i64 {
        (1970..year).map(|y| if (y % 4 == 0 && y % 100 != 0) || y % 400 == 0 { 366 } else { 365 }).sum()
    }
}

const METHODS: [&str; 3] = ["GET", "POST", "DELETE"];
const PATHS: [&str; 6] = ["/", "/*", "/a", "/a/*", "/a/b", "/a/b/*"];
const ASKED: [&str; 8] = ["/", "/a", "/a/", "/ab", "/a/b", "/a/b/c", "/a/bc", "/c"];
const WHO: [&str; 4] = ["anyone", "user", "staff", "guests"];
const NETWORKS: [([u8; 4], u32); 4] =
    [([10, 0, 0, 0], 8), ([10, 1, 0, 0], 16), ([192, 168, 1, 128], 25), ([192, 0, 2, 7], 32)];
const CLIENTS: [[u8; 4]; 6] =
    [[10, 1, 2, 3], [10, 2, 0, 1], [192, 168, 1, 127], [192, 168, 1, 128], [192, 0, 2, 7], [8, 8, 8, 8]];
const SPANS: [(i64, i64, i64, i64); 4] =
    [(0, 4, 480, 1_080), (5, 6, 0, 1_440), (4, 4, 1_320, 360), (0, 6, 120, 180)];
/// Around both changes of the clocks in 2026, and a plain week.
const MOMENTS: [i64; 3] = [1_774_742_400, 1_792_886_400, 1_795_000_000];

fn rules() -> impl Strategy<Value = Vec<model::Rule>> {
    let rule = (
        any::<bool>(),
        prop::sample::select(&WHO[..]),
        prop::option::of(prop::sample::select(&METHODS[..])),
        prop::option::of(prop::sample::select(&PATHS[..])),
        prop::option::weighted(0.3, prop::sample::select(&NETWORKS[..])),
        prop::option::weighted(0.3, prop::sample::select(&SPANS[..])),
        prop::option::weighted(0.2, prop::sample::select(&[60_i64, 600][..])),
    );
    let rule = rule.prop_map(|(allows, who, method, path, network, times, age_max)| {
        let age_max = age_max.filter(|_| allows);
        model::Rule { allows, who, method, path, network, times, age_max }
    });
    prop::collection::vec(rule, 0..6)
}

fn requests() -> impl Strategy<Value = Vec<model::Request>> {
    let request = (
        prop::sample::subsequence(&["staff", "guests"][..], 0..=2),
        prop::bool::weighted(0.3),
        prop::sample::select(&METHODS[..]),
        prop::sample::select(&ASKED[..]),
        prop::option::weighted(0.9, prop::sample::select(&CLIENTS[..])),
        (prop::sample::select(&MOMENTS[..]), 0_i64..7 * 86_400),
        prop::sample::select(&[0_i64, 60, 61, 600, 601, 86_400][..]),
    );
    let request = request.prop_map(|(groups, is_anonymous, method, path, client, (start, later), age)| {
        let (path, seconds) = (path.to_owned(), start + later);
        model::Request { groups, is_anonymous, method, path, client, seconds, age }
    });
    prop::collection::vec(request, 100)
}

fn as_written(rule: &model::Rule) -> Rule {
    let clock = |minute: i64| Clock::parse(&format!("{:02}:{:02}", minute / 60, minute % 60)).unwrap();
    let day = |day: i64| ["mon", "tue", "wed", "thu", "fri", "sat", "sun"][usize::try_from(day).unwrap()];
    let times = rule.times.map(|(first, last, from, to)| {
        let days = Days::parse(&format!("{}-{}", day(first), day(last))).unwrap();
        Times::new(days, clock(from), clock(to), "Europe/Berlin").unwrap()
    });
    let network =
        rule.network.map(|(first, bits)| format!("{}/{bits}", IpAddr::from(first)).parse().unwrap());
    let who = match rule.who {
        "anyone" => Who::Anyone,
        "user" => Who::People(lines(&["user"])),
        group => Who::People(lines(&[&format!("group:{group}")])),
    };
    Rule {
        name: "generated".to_owned(),
        effect: if rule.allows { Effect::Allow } else { Effect::Deny },
        who,
        when: Conditions {
            methods: rule.method.into_iter().map(|method| method.parse().unwrap()).collect(),
            paths: rule.path.into_iter().map(|path| RulePath::parse(path).unwrap()).collect(),
            networks: network.into_iter().collect(),
            times,
        },
        max_auth_age: rule.age_max.map(|age| Duration::from_secs(u64::try_from(age).unwrap())),
    }
}

/// The address as it is, or mapped into IPv6, as a dual-stack socket reports it.
fn address(client: [u8; 4], mapped: bool) -> IpAddr {
    let plain = std::net::Ipv4Addr::from(client);
    if mapped { plain.to_ipv6_mapped().into() } else { plain.into() }
}

proptest! {
    // 1,200 policies, 100 requests each.
    #![proptest_config(ProptestConfig::with_cases(1_200))]

    #[test]
    fn p_08_decisions_match_the_model(rules in rules(), requests in requests()) {
        let policy = Policy::new(rules.iter().map(as_written).collect(), None);
        for (at, request) in requests.iter().enumerate() {
            let method: Method = request.method.parse().unwrap();
            let now = Timestamp::from_millis(request.seconds * 1_000);
            let asking = RequestFacts {
                method: &method,
                host: "app.example.com",
                raw_path: request.path.as_bytes(),
                client: request.client.map(|client| address(client, at % 2 == 0)),
                now,
            };
            let shown_at = Timestamp::from_millis((request.seconds - request.age) * 1_000);
            let verdict = if request.is_anonymous {
                policy.decide_for_anonymous(&asking)
            } else {
                let user_policy = policy.about(&alice(&request.groups));
                let verdict = policy.decide(&user_policy, Some(shown_at), &asking);
                // An answer that was worked out beforehand holds for every request.
                let goes_on = matches!(verdict.decision, Decision::Allowed | Decision::StepUp);
                prop_assert!(!goes_on || policy.lets_in(&user_policy));
                verdict
            };
            prop_assert_eq!(verdict.decision.name(), model::decide(&rules, request), "{:?}", request);
        }
    }
}
