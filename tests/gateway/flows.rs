//! Flows that depend on the time, with a clock moved by hand and the sweeper off (S-19); and single
//! use, raced without a network in between (S-32, W-02, W-11).

use std::sync::Arc;
use std::time::Duration;

use vestibule::domain::ceremony::CEREMONY_LIFETIME;
use vestibule::domain::credential::Planned;
use vestibule::domain::event::Refusal;
use vestibule::domain::invitation::{INVITATION_LIFETIME_MAX, SETUP_LIFETIME};
use vestibule::domain::limits::RateLimits;
use vestibule::domain::return_target::{HAND_OFF_LIFETIME, RETURN_TARGET_LIFETIME, ReturnTargetName};
use vestibule::domain::secret::Secret;
use vestibule::domain::session::access::ACCESS_LIFETIME;
use vestibule::domain::session::token::Carrier;
use vestibule::domain::session::{ENROL_LIFETIME, EXCHANGE_LIFETIME, Session};
use vestibule::flows::FlowError;
use vestibule::flows::sessions::caller::Caller;
use vestibule::flows::sign_in::return_target::{
    HandOffError, Intent, NextStep, RedirectReason, SignInRedirect,
};
use vestibule::flows::visit::Device;
use vestibule::flows::visit::Visit;
use vestibule::store::MemoryStore;

use crate::harness::Authenticator;
use crate::stage::{ABSOLUTE, APP_HOST, AUTH_HOST, FRESH, IDLE, ORIGIN, Stage, attempt, visit};

const MOMENT: Duration = Duration::from_millis(1);
const RACERS: usize = 50;

/// One moment short of `length`.
fn just_before(length: Duration) -> Duration {
    length.saturating_sub(MOMENT)
}

async fn stage() -> Stage {
    Stage::set(Arc::new(MemoryStore::new())).await.unwrap()
}

#[tokio::test]
async fn s_19_a_session_that_is_not_used_ends_by_itself() {
    let stage = stage().await;
    let mut device = Authenticator::new(1);
    stage.enrol("alice@example.com", &mut device).await.unwrap();
    let signed_in = stage.sign_in(&mut device).await.unwrap();
    let token = stage.cookie(&signed_in.session, APP_HOST);
    stage.clock.forward(just_before(IDLE));
    assert!(stage.enters(&token), "one moment before its end it lives, and this use prolongs it");
    stage.clock.forward(just_before(IDLE));
    assert!(stage.enters(&token));
    stage.clock.forward(IDLE);
    assert!(!stage.enters(&token), "expiry is checked at use, nothing swept");
    assert!(stage.gateway.sessions.sessions_of(&signed_in.user.id).is_empty(), "and it is not listed");
    let again = stage.again().await;
    assert!(!again.enters(&token), "a restart revives nothing");
}

#[tokio::test]
async fn s_19_a_session_ends_at_its_absolute_time_however_busy_it_is() {
    let stage = stage().await;
    let mut device = Authenticator::new(1);
    let enrolled = stage.enrol("alice@example.com", &mut device).await.unwrap();
    let token = stage.cookie(&enrolled.session, APP_HOST);
    let step = Duration::from_secs(3_600);
    let mut lived = Duration::ZERO;
    while lived + step < ABSOLUTE {
        assert!(stage.enters(&token), "after {lived:?}");
        stage.clock.forward(step);
        lived += step;
    }
    stage.clock.forward(ABSOLUTE.checked_sub(lived).unwrap());
    assert!(!stage.enters(&token));
    // A token signed now for a record that has run out changes nothing.
    assert!(!stage.enters(&stage.cookie(&enrolled.session, APP_HOST)));
}

/// The real clock goes on while the machine's is set back (`src/system.rs`); and even a clock that
/// does not, as here, prolongs nothing.
#[tokio::test]
async fn s_19_setting_the_clock_back_prolongs_nothing() {
    const DAY: Duration = Duration::from_secs(86_400);
    let stage = stage().await;
    let mut device = Authenticator::new(1);
    let enrolled = stage.enrol("alice@example.com", &mut device).await.unwrap();
    let token = stage.cookie(&enrolled.session, APP_HOST);
    stage.clock.back(DAY);
    assert!(stage.enters(&token), "no user is signed out for it");
    stage.clock.forward(just_before(DAY + IDLE));
    assert!(stage.enters(&token));
    stage.clock.back(DAY);
    assert!(stage.enters(&token), "this use is no later than the last one");
    stage.clock.forward(DAY + IDLE);
    assert!(!stage.enters(&token), "a use in the past prolonged the session");
    assert!(!stage.again().await.enters(&token));
}

#[tokio::test]
async fn s_19_an_invitation_and_a_set_up_link_run_out() {
    let stage = stage().await;
    let setup = stage.gateway.sign_in.issue_setup_secret().await.unwrap().unwrap().reveal();
    stage.clock.forward(just_before(SETUP_LIFETIME));
    assert!(stage.gateway.sign_in.offer(&setup).await.is_ok());
    stage.clock.forward(MOMENT);
    assert!(matches!(stage.gateway.sign_in.offer(&setup).await, Err(FlowError::NoSuchInvitation)));
    assert!(matches!(stage.redeem(&setup).await, Err(FlowError::NoSuchInvitation)));

    let long = Duration::from_secs(400 * 86_400);
    let invited = stage.invite("bob@example.com", long).await.unwrap().secret.reveal();
    stage.clock.forward(just_before(INVITATION_LIFETIME_MAX));
    assert!(stage.gateway.sign_in.offer(&invited).await.is_ok());
    stage.clock.forward(MOMENT);
    assert!(matches!(stage.redeem(&invited).await, Err(FlowError::NoSuchInvitation)));
}

#[tokio::test]
async fn s_19_a_session_that_may_only_enrol_is_short() {
    let stage = stage().await;
    let invited = stage.invite("bob@example.com", Duration::from_secs(3_600)).await.unwrap();
    let redeemed = stage.redeem(&invited.secret.reveal()).await.unwrap();
    let token = stage.cookie(&redeemed.session, APP_HOST);
    assert!(!stage.enters(&token), "it opens no application");
    stage.clock.forward(just_before(ENROL_LIFETIME));
    assert_eq!(stage.gateway.sessions.sessions_of(&redeemed.user.id).len(), 1, "it lives until then");
    stage.clock.forward(MOMENT);
    assert!(stage.gateway.sessions.sessions_of(&redeemed.user.id).is_empty());
}

/// An access token is short whatever its session does, and never longer than it.
#[tokio::test]
async fn s_19_an_access_token_runs_out_before_its_session_or_with_it() {
    let stage = stage().await;
    let mut device = Authenticator::new(1);
    stage.enrol("alice@example.com", &mut device).await.unwrap();
    let signed_in = stage.sign_in(&mut device).await.unwrap();
    let (session, user) = (&signed_in.session, &signed_in.user);
    let is_known =
        |token: &str| matches!(stage.gateway.sessions.caller_by_bearer(token), Ok(Caller::Known(..)));
    let access = stage.gateway.sessions.access_token(session, user).unwrap();
    let opaque = stage.gateway.sessions.token(session, Carrier::Bearer).unwrap();
    let refresh = stage.gateway.sessions.token(session, Carrier::Refresh).unwrap();
    stage.clock.forward(ACCESS_LIFETIME.checked_sub(Duration::from_secs(1)).unwrap());
    assert!(is_known(&access));
    stage.clock.forward(Duration::from_secs(1));
    assert!(!is_known(&access));
    assert!(is_known(&opaque) && is_known(&refresh), "the session goes on");
    // A token that is made when the session is about to end ends with it, and all others too.
    let mut left = ABSOLUTE.checked_sub(ACCESS_LIFETIME).unwrap();
    while left > IDLE / 2 {
        stage.clock.forward(IDLE / 2);
        left -= IDLE / 2;
        stage.live(session).unwrap().touch(stage.gateway.ground.clock().now());
    }
    stage.clock.forward(left.checked_sub(Duration::from_secs(60)).unwrap());
    let late = stage.gateway.sessions.access_token(session, user).unwrap();
    stage.clock.forward(Duration::from_secs(59));
    assert!(is_known(&late));
    stage.clock.forward(Duration::from_secs(1));
    for token in [&late, &opaque, &refresh] {
        assert!(!is_known(token));
    }
}

#[tokio::test]
async fn w_09_a_ceremony_runs_out_after_five_minutes() {
    let stage = stage().await;
    let mut device = Authenticator::new(1);
    stage.enrol("alice@example.com", &mut device).await.unwrap();
    for (waited, expected) in [(just_before(CEREMONY_LIFETIME), true), (CEREMONY_LIFETIME, false)] {
        let (id, options) = stage.gateway.sign_in.begin_sign_in(None, &visit(AUTH_HOST)).await.unwrap();
        let answer = device.get(&options.0, ORIGIN);
        stage.clock.forward(waited);
        let at = visit(AUTH_HOST);
        let done = stage.gateway.sign_in.finish_sign_in(attempt(id, &answer), &at, &Device::default()).await;
        assert_eq!(done.is_ok(), expected, "after {waited:?}: {done:?}");
    }
}

#[tokio::test]
async fn s_26_an_old_sign_in_may_not_change_passkeys() {
    let stage = stage().await;
    let mut device = Authenticator::new(1);
    stage.enrol("alice@example.com", &mut device).await.unwrap();
    let signed_in = stage.sign_in(&mut device).await.unwrap();
    let at = visit(AUTH_HOST);
    stage.clock.forward(just_before(FRESH));
    assert!(
        stage.gateway.sign_in.begin_registration(&signed_in.session, Planned::default(), &at).await.is_ok()
    );
    stage.clock.forward(MOMENT);
    let refused = stage.gateway.sign_in.begin_registration(&signed_in.session, Planned::default(), &at).await;
    assert!(matches!(refused, Err(FlowError::NotFresh)), "{refused:?}");
}

/// Whether or not the auth host is an application's as well, where a sign-in makes nothing fresh.
#[tokio::test]
async fn s_28_a_session_is_exchanged_within_five_minutes_of_its_ceremony() {
    for host in [APP_HOST, AUTH_HOST] {
        let stage = Stage::with_applications(&[host]).await;
        let mut device = Authenticator::new(1);
        stage.enrol("alice@example.com", &mut device).await.unwrap();
        let exchange = async |session: &Session| {
            let live = stage.live(session).expect("it lives");
            stage.gateway.sessions.exchange_session(&live, None, &visit(AUTH_HOST), &Device::default()).await
        };
        let signed_in = stage.sign_in(&mut device).await.unwrap().session;
        stage.clock.forward(just_before(EXCHANGE_LIFETIME));
        let renewed = exchange(&signed_in).await.unwrap();
        assert!(stage.live(&signed_in).is_none(), "{host}: the old one has ended");
        assert_eq!(renewed.expires_at, signed_in.expires_at, "{host}: nothing is prolonged");
        stage.clock.forward(MOMENT);
        let late = exchange(&renewed).await;
        assert!(matches!(late, Err(FlowError::NotFresh)), "{host}: {late:?}");
        // A person who is still enrolling has shown no passkey.
        let invited = stage.invite("bob@example.com", Duration::from_secs(60)).await.unwrap();
        let enrolling = stage.redeem(&invited.secret.reveal()).await.unwrap().session;
        let refused = exchange(&enrolling).await;
        assert!(matches!(refused, Err(FlowError::NotFresh)), "{host}: {refused:?}");
    }
}

/// An anonymous client's way from the application to a hand-off code: the code and the nonce.
async fn hand_off(stage: &Stage, session: &Session) -> (String, String) {
    let detour = stage
        .gateway
        .sign_in
        .leave_for_sign_in(&visit(APP_HOST), "/deep?x=1", None, RedirectReason::SignIn)
        .await
        .unwrap();
    let SignInRedirect::SignIn { return_target, nonce } = detour else { panic!("{detour:?}") };
    let next_step =
        stage.gateway.sign_in.next_step(session, Some(&return_target), Intent::Followed).await.unwrap();
    let NextStep::HandOff { url } = next_step else { panic!("{next_step:?}") };
    (url.split_once("code=").unwrap().1.to_owned(), nonce.reveal())
}

#[tokio::test]
async fn s_19_a_hand_off_and_a_way_back_run_out() {
    let stage = stage().await;
    let mut device = Authenticator::new(1);
    let enrolled = stage.enrol("alice@example.com", &mut device).await.unwrap();
    for (waited, expected) in [(just_before(HAND_OFF_LIFETIME), true), (HAND_OFF_LIFETIME, false)] {
        let (code, nonce) = hand_off(&stage, &enrolled.session).await;
        stage.clock.forward(waited);
        let arrived = stage.gateway.sign_in.arrive(&visit(APP_HOST), &code, Some(&nonce)).await.unwrap();
        assert_eq!(arrived.is_ok(), expected, "after {waited:?}: {arrived:?}");
    }
    let detour = stage
        .gateway
        .sign_in
        .leave_for_sign_in(&visit(APP_HOST), "/deep", None, RedirectReason::SignIn)
        .await
        .unwrap();
    let SignInRedirect::SignIn { return_target, .. } = detour else { panic!("{detour:?}") };
    stage.clock.forward(RETURN_TARGET_LIFETIME);
    let next_step = stage
        .gateway
        .sign_in
        .next_step(&enrolled.session, Some(&return_target), Intent::Followed)
        .await
        .unwrap();
    assert_eq!(next_step, NextStep::Account);
}

#[tokio::test]
async fn s_01_refuses_a_hand_off_in_another_browser_or_host() {
    let stage = stage().await;
    let mut device = Authenticator::new(1);
    let enrolled = stage.enrol("alice@example.com", &mut device).await.unwrap();
    let (code, _) = hand_off(&stage, &enrolled.session).await;
    let (_, foreign) = hand_off(&stage, &enrolled.session).await;
    let arrived = stage.gateway.sign_in.arrive(&visit(APP_HOST), &code, Some(&foreign)).await.unwrap();
    assert_eq!(arrived.map(|_| ()), Err(HandOffError::NoSuchCode));
    let (code, nonce) = hand_off(&stage, &enrolled.session).await;
    let arrived = stage.gateway.sign_in.arrive(&visit(AUTH_HOST), &code, Some(&nonce)).await.unwrap();
    assert_eq!(arrived.map(|_| ()), Err(HandOffError::NoSuchCode));
    let arrived = stage.gateway.sign_in.arrive(&visit(APP_HOST), &code, Some(&nonce)).await.unwrap();
    assert_eq!(arrived.map(|_| ()), Err(HandOffError::NoSuchCode), "the failure consumed it");
}

/// Runs `RACERS` tasks at once and counts those that won.
async fn winners<F>(race: impl Fn(usize) -> F) -> usize
where
    F: Future<Output = bool> + Send + 'static,
{
    let racers: Vec<_> = (0..RACERS).map(|number| tokio::spawn(race(number))).collect();
    let mut won = 0;
    for racer in racers {
        won += usize::from(racer.await.unwrap());
    }
    won
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s_32_single_use_secrets_are_redeemed_once() {
    let stage = Arc::new(stage().await);
    let mut device = Authenticator::new(1);
    let setup = stage.gateway.sign_in.issue_setup_secret().await.unwrap().unwrap().reveal();
    let race = |secret: String| {
        let stage = Arc::clone(&stage);
        move |_| {
            let (stage, secret) = (Arc::clone(&stage), secret.clone());
            async move { stage.redeem(&secret).await.is_ok() }
        }
    };
    assert_eq!(winners(race(setup)).await, 1, "the set-up secret");
    let invited = stage.invite("bob@example.com", Duration::from_secs(60)).await.unwrap();
    assert_eq!(winners(race(invited.secret.reveal())).await, 1, "an invitation");

    let enrolled = stage.enrol("alice@example.com", &mut device).await.unwrap();
    let (code, nonce) = hand_off(&stage, &enrolled.session).await;
    let arriving = winners(|_| {
        let (stage, code, nonce) = (Arc::clone(&stage), code.clone(), nonce.clone());
        async move { stage.gateway.sign_in.arrive(&visit(APP_HOST), &code, Some(&nonce)).await.unwrap().is_ok() }
    });
    assert_eq!(arriving.await, 1, "a hand-off");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w_02_one_response_gives_one_session() {
    let stage = Arc::new(stage().await);
    let mut device = Authenticator::new(1);
    let user = stage.enrol("alice@example.com", &mut device).await.unwrap().user;
    let (id, options) = stage.gateway.sign_in.begin_sign_in(None, &visit(AUTH_HOST)).await.unwrap();
    let answer = device.get(&options.0, ORIGIN);
    let before = stage.gateway.sessions.sessions_of(&user.id).len();
    let signing_in = winners(|_| {
        let (stage, answer) = (Arc::clone(&stage), answer.clone());
        async move {
            let (at, device) = (visit(AUTH_HOST), Device::default());
            stage.gateway.sign_in.finish_sign_in(attempt(id, &answer), &at, &device).await.is_ok()
        }
    });
    assert_eq!(signing_in.await, 1);
    assert_eq!(stage.gateway.sessions.sessions_of(&user.id).len(), before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w_11_of_concurrent_registrations_one_wins() {
    let stage = Arc::new(stage().await);
    let mut ready = Vec::new();
    for number in 0..8 {
        let invited = stage.invite(&format!("p{number}@example.com"), Duration::from_secs(60)).await.unwrap();
        let redeemed = stage.redeem(&invited.secret.reveal()).await.unwrap();
        let (id, options) = stage
            .gateway
            .sign_in
            .begin_registration(&redeemed.session, Planned::default(), &visit(AUTH_HOST))
            .await
            .unwrap();
        let answer = Authenticator::new(number)
            .create_with(&options.0, ORIGIN, |knobs| knobs.credential_id = vec![9; 32]);
        ready.push((redeemed.session, id, answer));
    }
    let racers: Vec<_> = ready
        .into_iter()
        .map(|(session, id, answer)| {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move {
                let at = visit(AUTH_HOST);
                stage.gateway.sign_in.finish_registration(&session, Some(id), &answer, None, &at).await
            })
        })
        .collect();
    let mut won = 0;
    for racer in racers {
        match racer.await.unwrap() {
            Ok(_) => won += 1,
            Err(FlowError::Refused(Refusal::DuplicateCredential)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(won, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w_15_two_removals_at_once_leave_one_passkey() {
    let stage = Arc::new(stage().await);
    for round in 0..20 {
        let mut device = Authenticator::new(round);
        let enrolled = stage.enrol(&format!("p{round}@example.com"), &mut device).await.unwrap();
        let redeemed = vestibule::flows::sign_in::Redeemed {
            session: enrolled.session.clone(),
            user: enrolled.user.clone(),
        };
        let second = stage.register(&redeemed, &mut device).await.unwrap();
        let racers = [enrolled.credential.id.clone(), second.credential.id.clone()].map(|id| {
            let (stage, session) = (Arc::clone(&stage), enrolled.session.clone());
            tokio::spawn(async move {
                let at = visit(AUTH_HOST);
                stage.gateway.accounts.remove_credential(&session, &id, &at).await.is_ok()
            })
        });
        let mut removed = 0;
        for racer in racers {
            removed += usize::from(racer.await.unwrap());
        }
        let left = stage.gateway.accounts.credentials_of(&enrolled.user.id).await.unwrap().len();
        assert_eq!((removed, left), (1, 1), "round {round}");
    }
}

/// A name below a wildcard may be any person's: an attacker who lures a signed-in user with a
/// return target of their own must not be handed a sign-in without a question.
#[tokio::test]
async fn s_01_return_below_a_wildcard_is_confirmed() {
    let stage = Stage::with_applications(&["*.example.com"]).await;
    let mut device = Authenticator::new(1);
    let enrolled = stage.enrol("alice@example.com", &mut device).await.unwrap();
    stage.clock.forward(Duration::from_secs(60));
    let evil = visit("evil.example.com");
    let detour =
        stage.gateway.sign_in.leave_for_sign_in(&evil, "/", None, RedirectReason::SignIn).await.unwrap();
    let SignInRedirect::SignIn { return_target, .. } = detour else { panic!("{detour:?}") };
    let lured = stage
        .gateway
        .sign_in
        .next_step(&enrolled.session, Some(&return_target), Intent::Followed)
        .await
        .unwrap();
    assert_eq!(lured, NextStep::Ask { host: "evil.example.com".to_owned() });
    let meant = stage
        .gateway
        .sign_in
        .next_step(&enrolled.session, Some(&return_target), Intent::Confirmed)
        .await
        .unwrap();
    assert!(matches!(meant, NextStep::HandOff { .. }), "{meant:?}");
    // The sign-in page has just named the host.
    let signed_in = stage.sign_in(&mut device).await.unwrap().session;
    let seen =
        stage.gateway.sign_in.next_step(&signed_in, Some(&return_target), Intent::Followed).await.unwrap();
    assert!(matches!(seen, NextStep::HandOff { .. }), "{seen:?}");
}

/// However many pages anonymous clients load, nothing is written; a long return target is, within a
/// client's share.
#[tokio::test]
async fn f_12_anonymous_page_load_writes_nothing() {
    let stage = stage().await;
    let enrolled = stage.enrol("alice@example.com", &mut Authenticator::new(1)).await.unwrap();
    let before = stage.store.scan(b"", None, 10_000).await.unwrap();
    let anonymous = Visit { client: "198.51.100.7".parse().ok(), ..visit(APP_HOST) };
    let leave = async |target: &str| match stage
        .gateway
        .sign_in
        .leave_for_sign_in(&anonymous, target, None, RedirectReason::SignIn)
        .await
        .unwrap()
    {
        SignInRedirect::SignIn { return_target, nonce } => (return_target, nonce),
        SignInRedirect::Loop => panic!("a new browser goes in no circles"),
    };
    for n in 0..1_000 {
        leave(&format!("/deep?x={n}")).await;
    }
    assert_eq!(stage.store.scan(b"", None, 10_000).await.unwrap(), before);
    let arrives_at = async |(return_target, nonce): (ReturnTargetName, Secret)| {
        let session = &enrolled.session;
        let next_step =
            stage.gateway.sign_in.next_step(session, Some(&return_target), Intent::Followed).await.unwrap();
        let NextStep::HandOff { url } = next_step else { panic!("{next_step:?}") };
        let code = url.split_once("code=").unwrap().1;
        let arrived =
            stage.gateway.sign_in.arrive(&visit(APP_HOST), code, Some(&nonce.reveal())).await.unwrap();
        arrived.unwrap().target.path_and_query
    };
    assert_eq!(arrives_at(leave("/deep?x=1").await).await, "/deep?x=1");
    let long = format!("/{}", "x".repeat(3_000));
    assert_eq!(arrives_at(leave(&long).await).await, long);
    for _ in 0..RateLimits::default().network_burst.get() {
        leave(&long).await;
    }
    assert_eq!(arrives_at(leave(&long).await).await, "/", "the client has had its share");
    // No other text is a return target, and a changed return target is none.
    let (ReturnTargetName::Sealed(sealed), _) = leave("/deep").await else { panic!("a short one is sealed") };
    let changed = format!("A{}", &sealed[1..]);
    for wrong in [changed.as_str(), "AAAA", &sealed[..sealed.len() - 4]] {
        let name = ReturnTargetName::parse(wrong).unwrap();
        let session = &enrolled.session;
        let next_step =
            stage.gateway.sign_in.next_step(session, Some(&name), Intent::Confirmed).await.unwrap();
        assert_eq!(next_step, NextStep::Account, "{wrong}");
    }
}
