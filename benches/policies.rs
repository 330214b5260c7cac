//! The cost of a decision: the short form, rules, and Datalog with and without a kept result, side
//! by side in one run and one thread. `cargo bench --bench policies`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a benchmark reads a clock, and may stop"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use jiff::tz::TimeZone;
use vestibule::domain::policy::datalog::Datalog;
use vestibule::domain::policy::decide::{Decision, Policy};
use vestibule::domain::policy::defined::{Defined, NamedNetworks};
use vestibule::domain::policy::rule::{Conditions, Effect, RequestFacts, Rule, RulePath};
use vestibule::domain::policy::times::{Clock, Days, Times};
use vestibule::domain::policy::who::{Allow, Who};
use vestibule::domain::time::Timestamp;
use vestibule::domain::user::{Email, Group, User, Username};

const ROUNDS: usize = 5;
const ROUND_LENGTH: Duration = Duration::from_millis(300);
const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

fn user() -> User {
    let groups = ["staff", "ops", "wiki"].map(|group| Group::parse(group).unwrap());
    let (name, email) = (Username::parse("alice").unwrap(), Email::parse("alice@example.com").unwrap());
    User::hypothetical(name, email, groups.into()).unwrap()
}

fn rule(effect: Effect, who: &str, when: Conditions) -> Rule {
    let who = Who::People(vec![Allow::parse(who).unwrap()]);
    Rule { name: who.to_string(), effect, who, when, max_auth_age: None }
}

/// Ten rules about the user, of which the last lets the request in.
fn rules() -> Policy {
    let path = |n: usize| Conditions {
        paths: vec![RulePath::parse(&format!("/closed/{n}/*")).unwrap()],
        methods: vec![Method::GET, Method::POST],
        ..Conditions::default()
    };
    let last = Conditions { networks: vec!["10.0.0.0/8".parse().unwrap()], ..Conditions::default() };
    let denying = (0..9).map(|n| rule(Effect::Deny, "group:staff", path(n)));
    Policy::new(denying.chain([rule(Effect::Allow, "user", last)]).collect(), None)
}

fn hours() -> Policy {
    let times = Times::new(Days::ALL, Clock::MIDNIGHT, Clock::END, "Europe/Berlin").unwrap();
    let when = Conditions { times: Some(times), ..Conditions::default() };
    Policy::new(vec![rule(Effect::Allow, "user", when)], None)
}

fn datalog(text: &str) -> Policy {
    let networks = NamedNetworks(vec![("office".to_owned(), vec!["10.0.0.0/8".parse().unwrap()])]);
    let defined = Defined { networks: Arc::new(networks), ..Defined::default() };
    Policy::in_datalog(Datalog::read(text, "app", defined, TimeZone::UTC).unwrap(), None)
}

/// Nanoseconds a decision, the median of the rounds. `paths` are asked for in turn.
fn cost(policy: &Policy, paths: &[String]) -> f64 {
    let user_policy = policy.about(&user());
    let mut costs: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let (began, mut count) = (Instant::now(), 0_u32);
            while began.elapsed() < ROUND_LENGTH {
                for path in paths {
                    let asking = RequestFacts {
                        method: &Method::GET,
                        host: "app.example.com",
                        raw_path: path.as_bytes(),
                        client: Some([10, 1, 2, 3].into()),
                        now: NOW,
                    };
                    let verdict = policy.decide(black_box(&user_policy), Some(NOW), black_box(&asking));
                    assert_eq!(verdict.decision, Decision::Allowed);
                    count += 1;
                }
            }
            began.elapsed().as_secs_f64() * 1e9 / f64::from(count)
        })
        .collect();
    costs.sort_by(f64::total_cmp);
    costs[ROUNDS / 2]
}

fn main() {
    let few = ["/reports/2026".to_owned(), "/wiki".to_owned()];
    let many: Vec<_> = (0..1_000).map(|n| format!("/reports/{n}")).collect();
    let by_person = datalog("deny if group(\"guests\"); allow if group(\"staff\");");
    let by_path = datalog("allow if group(\"staff\"), path($p), $p.starts_with(\"/\"), network(\"office\");");
    println!("{:<58} {:>10}", "a decision about", "ns");
    for (name, policy, paths) in [
        ("allow = [\"user\"]", Policy::allowing(vec![Allow::AnyUser], None), &few[..]),
        ("ten rules by path, method and network", rules(), &few[..]),
        ("one rule with hours in Europe/Berlin", hours(), &few[..]),
        ("Datalog about the user, kept", by_person, &few[..]),
        ("Datalog about path and network, two paths, kept", by_path.clone(), &few[..]),
        ("Datalog about path and network, 1,000 paths, worked out", by_path, &many[..]),
    ] {
        println!("{name:<58} {:>10.0}", cost(&policy, paths));
    }
}
