//! Facts, decisions, costs and kept results of policies in Datalog.

use std::sync::Arc;

use super::*;
use crate::domain::attribute::{AttributeName, AttributeValue, Attributes, Pattern};
use crate::domain::policy::defined::NamedNetworks;
use crate::domain::user::{Email, Username};

const NOW: &str = "2026-11-27T16:30:00Z";

fn alice(groups: &[&str]) -> User {
    let groups = groups.iter().map(|group| Group::parse(group).unwrap()).collect();
    let (username, email) = (Username::parse("alice").unwrap(), Email::parse("alice@example.com").unwrap());
    User::hypothetical(username, email, groups).unwrap()
}

fn defined() -> Defined {
    let networks = NamedNetworks(vec![("office".to_owned(), vec!["10.0.0.0/8".parse().unwrap()])]);
    let definition = |name, editor| Definition {
        name: AttributeName::parse(name).unwrap(),
        title: None,
        pattern: Some(Pattern::parse("[a-z]+").unwrap()),
        editor,
    };
    let attributes = [("site", Editor::Administrator), ("locale", Editor::Owner)];
    let attributes = Attributes(attributes.map(|(name, editor)| definition(name, editor)).into());
    Defined { networks: Arc::new(networks), attributes: Arc::new(attributes) }
}

fn read(text: &str) -> Result<Datalog, Vec<PolicyMistake>> {
    Datalog::read(text, "wiki", defined(), TimeZone::get("Europe/Berlin").unwrap())
}

fn asking<'a>(method: &'a Method, path: &'a str, client: &str) -> RequestFacts<'a> {
    RequestFacts {
        method,
        host: "wiki.example.com",
        raw_path: path.as_bytes(),
        client: client.parse().ok(),
        now: Timestamp::parse(NOW).unwrap(),
    }
}

#[track_caller]
fn check(text: &str, expected: Judgement) {
    let policy = read(text).unwrap();
    let subject = policy.subject(&alice(&["staff", "ops"]));
    let asking = asking(&Method::GET, "/reports/2026", "10.1.2.3");
    let shown_at = asking.now.minus(Duration::from_secs(90));
    let judgement = policy.judge(&subject, Some(shown_at), &asking);
    assert_eq!(judgement, expected, "{text}");
}

#[test]
fn every_fact_can_be_read() {
    for text in [
        "allow if user(\"alice\");",
        "allow if email(\"alice@example.com\");",
        "allow if email($e), $e.ends_with(\"@example.com\");",
        "allow if group(\"staff\"), group(\"ops\");",
        "allow if route(\"wiki\"), host(\"wiki.example.com\");",
        "allow if method($m), [\"GET\", \"HEAD\"].contains($m);",
        "allow if path($p), $p.starts_with(\"/reports/\");",
        "allow if path_segment(0, \"reports\"), path_segment(1, $year), $year.matches(\"^20[0-9]{2}$\");",
        "allow if client(\"10.1.2.3\"), network(\"office\");",
        "allow if time($t), $t < 2027-01-01T00:00:00Z;",
        // Half past five in Berlin.
        "allow if weekday(\"fri\"), minute_of_day($m), $m >= 1050, $m < 1080;",
        "allow if auth_age($a), $a == 90;",
        "may($u) <- user($u), group(\"ops\"); allow if may(\"alice\");",
    ] {
        check(text, Judgement::Allowed(0));
    }
    for text in [
        "allow if user(\"bob\");",
        "allow if group(\"guests\");",
        "allow if network(\"home\");",
        "allow if auth_age($a), $a < 90;",
        "check if group(\"guests\"); allow if true;",
    ] {
        check(text, Judgement::Refused(None));
    }
}

#[test]
fn the_first_clause_that_holds_decides() {
    check("deny if group(\"ops\"); allow if group(\"staff\");", Judgement::Refused(Some(0)));
    check("allow if group(\"staff\"); deny if group(\"ops\");", Judgement::Allowed(0));
    check("deny if group(\"guests\"); allow if group(\"staff\");", Judgement::Allowed(1));
}

#[test]
fn policy_beyond_its_limits_is_undecided() {
    // Each rule makes a fact of every pair of groups.
    let endless: Vec<_> = (0..40).map(|n| format!("a{n}($x, $y) <- group($x), group($y);")).collect();
    let costly = read(&format!("{} allow if user(\"alice\");", endless.concat())).unwrap();
    let subject = costly.subject(&alice(
        &(0..40).map(|n| format!("g{n}")).collect::<Vec<_>>().iter().map(String::as_str).collect::<Vec<_>>(),
    ));
    let asked = asking(&Method::GET, "/", "10.1.2.3");
    assert_eq!(costly.judge(&subject, None, &asked), Judgement::TooCostly);
    assert!(subject.kept.load().is_empty(), "what was not decided is not kept");
}

#[test]
fn caches_results_by_the_facts_read() {
    let by_person = read("allow if group(\"staff\");").unwrap();
    let subject = by_person.subject(&alice(&["staff"]));
    for path in ["/a", "/b", "/c"] {
        by_person.judge(&subject, None, &asking(&Method::GET, path, "10.1.2.3"));
        by_person.judge(&subject, None, &asking(&Method::POST, path, "192.0.2.1"));
    }
    assert_eq!(subject.kept.load().len(), 1);

    let by_method = read("allow if method(\"GET\");").unwrap();
    let subject = by_method.subject(&alice(&["staff"]));
    for method in [Method::GET, Method::POST, Method::GET] {
        let judged = by_method.judge(&subject, None, &asking(&method, "/", "10.1.2.3"));
        let again = by_method.judge(&subject, None, &asking(&method, "/other", "10.1.2.3"));
        let expected = if method == Method::GET { Judgement::Allowed(0) } else { Judgement::Refused(None) };
        assert_eq!((judged, again), (expected, expected));
    }
    assert_eq!(subject.kept.load().len(), 2);

    let by_path = read("allow if path($p), $p.starts_with(\"/a\");").unwrap();
    let subject = by_path.subject(&alice(&["staff"]));
    for n in 0..1_000 {
        let path = format!("/{}{n}", if n % 2 == 0 { "a" } else { "b" });
        let judged = by_path.judge(&subject, None, &asking(&Method::GET, &path, "10.1.2.3"));
        assert_eq!(judged == Judgement::Allowed(0), n % 2 == 0, "{path}");
    }
    assert_eq!(subject.kept.load().len(), KEPT_MAX);
}

#[test]
fn a_result_is_kept_only_as_long_as_what_the_policy_reads_stays_the_same() {
    let later = Timestamp::parse("2026-11-27T23:30:00Z").unwrap();
    for text in [
        "allow if weekday(\"fri\");",
        "allow if minute_of_day($m), $m > 600;",
        "allow if time($t), $t < 2026-11-27T20:00:00Z;",
        "allow if client(\"10.1.2.3\");",
        "allow if network(\"office\");",
        "allow if auth_age($a), $a < 60;",
        "allow if host(\"wiki.example.com\");",
    ] {
        let policy = read(text).unwrap();
        let subject = policy.subject(&alice(&[]));
        let first = asking(&Method::GET, "/", "10.1.2.3");
        let second =
            RequestFacts { host: "x.example.com", now: later, ..asking(&Method::GET, "/", "192.0.2.1") };
        let shown_at = Some(first.now);
        for (asked, expected) in [
            (&first, Judgement::Allowed(0)),
            (&second, Judgement::Refused(None)),
            (&first, Judgement::Allowed(0)),
        ] {
            assert_eq!(policy.judge(&subject, shown_at, asked), expected, "{text}");
        }
    }
}

#[test]
fn a_text_is_mentioned_wherever_it_stands() {
    for text in [
        "allow if user(\"bob\");",
        "allow if user($u), $u == \"bob\";",
        "allow if user($u), [\"alice\", \"bob\"].contains($u);",
        "allow if user($u), {\"alice\", \"bob\"}.contains($u);",
        "check if user(\"bob\"); allow if true;",
        "may($u) <- user($u), group(\"bob\"); allow if may(\"alice\");",
    ] {
        let policy = read(text).unwrap();
        assert!(policy.mentions("bob") && !policy.mentions("carol"), "{text}");
    }
}

#[test]
fn reports_datalog_errors_with_line() {
    let wrong = |text: &str| read(text).unwrap_err();
    let first = |text: &str| wrong(text).remove(0);
    let unreadable = first("allow if user(\"a\");\nallow iff user(\"b\");");
    assert_eq!(unreadable.line, 2);
    assert!(unreadable.problem.starts_with(r#""allow iff user(\"b\");" cannot be read"#), "{unreadable:?}");
    let unknown = first("allow if user(\"a\");\n\ndeny if grp(\"b\");");
    assert_eq!(unknown.line, 3);
    assert!(unknown.problem.contains("grp/1") && unknown.problem.contains("group/1"), "{unknown:?}");
    assert!(first("allow if path_segment(\"a\");").problem.contains("path_segment/2"));
    assert!(first("may(\"a\");").problem.contains("no user could enter"));
    assert!(first(&"allow if true; ".repeat(2_000)).problem.contains("16384 bytes"));
    let of_length = |length: usize| format!("{:length$}", "allow if true;");
    assert!(read(&of_length(16_384)).is_ok());
    assert!(first(&of_length(16_385)).problem.contains("16384 bytes"));
    // A policy that the grammar accepts and the engine refuses.
    assert!(first("allow if user({somebody});").problem.contains("somebody"));
}

#[test]
fn owner_attributes_are_separate_facts() {
    let mut user = alice(&[]);
    for (name, value) in [("site", "berlin"), ("locale", "de"), ("shoe_size", "44")] {
        user.attributes.insert(AttributeName::parse(name).unwrap(), AttributeValue::parse(value).unwrap());
    }
    let allows = |user: &User, text: &str| {
        let policy = read(text).unwrap();
        let asked = asking(&Method::GET, "/", "10.1.2.3");
        policy.judge(&policy.subject(user), None, &asked) == Judgement::Allowed(0)
    };
    for (text, expected) in [
        ("allow if attribute(\"site\", \"berlin\");", true),
        ("allow if attribute(\"site\", \"paris\");", false),
        ("allow if attribute($a, \"berlin\");", true),
        ("allow if own_attribute(\"locale\", \"de\");", true),
        ("allow if attribute(\"locale\", \"de\");", false),
        ("allow if own_attribute(\"site\", \"berlin\");", false),
        ("allow if attribute(\"shoe_size\", \"44\");", false),
    ] {
        assert_eq!(allows(&user, text), expected, "{text}");
    }
    user.attributes.insert(AttributeName::parse("site").unwrap(), AttributeValue::parse("B1").unwrap());
    assert!(!allows(&user, "allow if attribute($a, $v);"), "it does not fit the pattern any more");
}
