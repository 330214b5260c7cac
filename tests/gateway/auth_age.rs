//! How long ago a passkey was shown (`max_auth_age`), and hours that pass while a stream is open.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use vestibule::domain::policy::decide::Policy;
use vestibule::domain::policy::route::{Route, RouteTable};
use vestibule::domain::policy::rule::{Conditions, Effect, Rule};
use vestibule::domain::policy::times::{Clock, Days, Times};
use vestibule::domain::policy::who::{Allow, Who};
use vestibule::domain::session::Session;
use vestibule::flows::admission::{Admission, Asked, Outcome, Permit};
use vestibule::flows::rules::Rules;
use vestibule::flows::sign_in::return_target::{Intent, NextStep, RedirectReason, SignInRedirect};
use vestibule::store::MemoryStore;

use crate::harness::Scene;
use crate::harness::authenticator::Authenticator;
use crate::stage::{APP_HOST, Stage, cookie_header, visit};

const MINUTE: Duration = Duration::from_mins(1);
const AUTH: &str = "auth.example.test";
const APP: &str = "app.example.test";

/// Puts this policy in force for the application.
fn adopt(stage: &Stage, policy: &Policy) {
    let rules = (**stage.gateway.ground.rules()).clone();
    let routes = rules.routes.all().map(|route| Route { policy: policy.clone(), ..(**route).clone() });
    let routes = RouteTable::new(routes.collect());
    stage.gateway.adopt(Rules { routes, ..rules });
}

fn asked(stage: &Stage, session: &Session) -> Admission {
    let cookie = format!("__Host-vestibule={}", stage.cookie(session, APP_HOST));
    stage.gateway.admission.admit(
        &visit(APP_HOST),
        &Asked { method: &Method::GET, raw_path: b"/page", headers: &cookie_header(&cookie) },
    )
}

#[track_caller]
fn let_in(admission: Admission) -> Permit {
    let Admission::Forward(permit) = admission else { panic!("not let in") };
    permit
}

#[track_caller]
fn must_show_passkey(admission: &Admission) {
    assert!(matches!(admission, Admission::Answer(Outcome::StepUp { .. })));
}

#[tokio::test]
async fn a_passkey_that_was_shown_too_long_ago_is_shown_again_and_leads_back() {
    let stage = Stage::set(Arc::new(MemoryStore::new())).await.unwrap();
    let mut device = Authenticator::new(1);
    let session = stage.enrol("alice@example.com", &mut device).await.unwrap().session;
    adopt(&stage, &Policy::allowing(vec![Allow::AnyUser], Some(10 * MINUTE)));
    stage.clock.forward(10 * MINUTE);
    let _ = let_in(asked(&stage, &session));
    stage.clock.forward(Duration::from_millis(1));
    must_show_passkey(&asked(&stage, &session));

    let gone = stage
        .gateway
        .sign_in
        .leave_for_sign_in(&visit(APP_HOST), "/deep", None, RedirectReason::ShowPasskey)
        .await;
    let SignInRedirect::SignIn { return_target, .. } = gone.unwrap() else { panic!("a loop") };
    assert!(stage.gateway.sign_in.must_show_again(&session, Some(&return_target)).await.unwrap());
    // An anonymous client's return target needs a live session and no fresh passkey.
    let gone = stage
        .gateway
        .sign_in
        .leave_for_sign_in(&visit(APP_HOST), "/deep", None, RedirectReason::SignIn)
        .await;
    let SignInRedirect::SignIn { return_target: anonymous, .. } = gone.unwrap() else { panic!("a loop") };
    assert!(!stage.gateway.sign_in.must_show_again(&session, Some(&anonymous)).await.unwrap());

    stage.clock.forward(MINUTE);
    let again = stage.sign_in_again(Some(&session), &mut device).await.unwrap().session;
    assert!(!stage.gateway.sign_in.must_show_again(&again, Some(&return_target)).await.unwrap());
    let next_step =
        stage.gateway.sign_in.next_step(&again, Some(&return_target), Intent::Followed).await.unwrap();
    assert!(matches!(next_step, NextStep::HandOff { .. }), "{next_step:?}");
    let _ = let_in(asked(&stage, &again));
}

#[tokio::test]
async fn max_auth_age_does_not_end_open_streams() {
    let stage = Stage::set(Arc::new(MemoryStore::new())).await.unwrap();
    let mut device = Authenticator::new(1);
    let session = stage.enrol("alice@example.com", &mut device).await.unwrap().session;
    let policy = || Policy::allowing(vec![Allow::AnyUser], Some(10 * MINUTE));
    adopt(&stage, &policy());
    let stay = let_in(asked(&stage, &session)).stay(&visit(APP_HOST), &Method::GET, b"/page");
    stage.clock.forward(11 * MINUTE);
    // Every stream is decided about again.
    adopt(&stage, &policy());
    must_show_passkey(&asked(&stage, &session));
    let soon =
        tokio::time::timeout(Duration::from_millis(100), stage.gateway.admission.until_refused(&stay)).await;
    assert!(soon.is_err(), "the stream ended");
    adopt(&stage, &Policy::allowing(vec![Allow::parse("group:staff").unwrap()], None));
    stage.gateway.admission.until_refused(&stay).await;
}

/// Open for one hour: the stage's clock begins within it.
fn one_hour(stage: &Stage) -> Policy {
    let now = jiff::Timestamp::from_millisecond(stage.gateway.ground.clock().now().as_millis()).unwrap();
    let hour = now.to_zoned(jiff::tz::TimeZone::UTC).hour();
    let clock = |hour: i8| Clock::parse(&format!("{hour:02}:00")).unwrap();
    let times = Times::new(Days::ALL, clock(hour), clock(hour + 1), "UTC").unwrap();
    let rule = Rule {
        name: "an hour".to_owned(),
        effect: Effect::Allow,
        who: Who::People(vec![Allow::AnyUser]),
        when: Conditions { times: Some(times), ..Conditions::default() },
        max_auth_age: None,
    };
    Policy::new(vec![rule], None)
}

#[tokio::test]
async fn a_stream_ends_when_its_hours_are_over() {
    let stage = Arc::new(Stage::set(Arc::new(MemoryStore::new())).await.unwrap());
    let mut device = Authenticator::new(1);
    let session = stage.enrol("alice@example.com", &mut device).await.unwrap().session;
    adopt(&stage, &one_hour(&stage));
    let stay = let_in(asked(&stage, &session)).stay(&visit(APP_HOST), &Method::GET, b"/page");
    let open = {
        let gateway = Arc::clone(&stage.gateway);
        tokio::spawn(async move { gateway.admission.until_refused(&stay).await })
    };
    stage.gateway.admission.recheck_time_rules();
    tokio::task::yield_now().await;
    assert!(!open.is_finished(), "it is time");
    stage.clock.forward(60 * MINUTE);
    assert!(matches!(asked(&stage, &session), Admission::Answer(Outcome::Forbidden { .. })));
    stage.gateway.admission.recheck_time_rules();
    open.await.unwrap();
}

#[tokio::test]
async fn step_up_returns_to_the_requested_page() {
    let mut scene = Scene::with(
        |config| {
            config.tls(AUTH);
            config.own_clock = true;
        },
        |route| {
            route.host(APP).line("max_auth_age = \"30m\"");
        },
    )
    .await;
    let deep = format!("{}/deep?x=1", scene.gateway.origin_of(APP));
    let (page, _) = scene.alice.arrive(&deep).await;
    assert_eq!((page.status, page.text().as_str()), (200, "hello"));

    scene.gateway.clock().set("+1h");
    let asking = scene.alice.fetching(Method::GET, &deep, None);
    let problem = scene.alice.send(asking).await.expect_problem(401);
    assert_eq!(problem["code"], "step_up_required");
    assert_eq!(problem["login_url"], scene.gateway.url("/auth/login"));
    let form = scene.alice.request(Method::POST, &deep).header("sec-fetch-mode", "navigate");
    let form = form.header("sec-fetch-dest", "document").header("sec-fetch-site", "same-origin");
    let page = scene.alice.send(form).await.expect(401).text();
    assert!(page.contains("Use your passkey, then send the form again"), "{page}");

    let (page, way) = scene.alice.arrive(&deep).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("To continue, use your passkey once more."), "{}", page.text());
    assert_eq!(way.len(), 1, "{way:?}");
    // Coming again without a passkey leads to the same page, not in circles.
    let login = page.url.to_string();
    let (again, _) = scene.alice.arrive(&format!("{login}&done=1")).await;
    assert!(again.text().contains("To continue, use your passkey once more."));
    scene.alice.sign_in(&mut scene.device).await.expect(201);
    let (page, _) = scene.alice.arrive(&format!("{login}&done=1")).await;
    assert_eq!((page.status, page.text().as_str(), page.url.as_str()), (200, "hello", deep.as_str()));
    scene.alice.fetch(Method::GET, &deep, None).await.expect(200);
}
