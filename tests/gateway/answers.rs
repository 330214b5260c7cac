//! A ceremony and its answers: of several at most one is taken in (W-02), and whatever else comes
//! back, or nothing, uses the ceremony up.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use serde_json::Value;
use vestibule::domain::credential::Planned;
use vestibule::domain::event::Refusal;
use vestibule::domain::id::CeremonyId;
use vestibule::domain::session::Session;
use vestibule::flows::FlowError;
use vestibule::flows::sign_in::passkey::SignedIn;
use vestibule::flows::visit::Device;

use crate::harness::Authenticator;
use crate::held::Held;
use crate::stage::{AUTH_HOST, ORIGIN, Stage, attempt, visit};
use crate::yielding::Yielding;

const ALICE: &str = "alice@example.com";
const RACERS: usize = 12;

async fn begun(stage: &Stage) -> (CeremonyId, Value) {
    let (id, options) = stage.gateway.sign_in.begin_sign_in(None, &visit(AUTH_HOST)).await.unwrap();
    (id, options.0)
}

async fn answered(stage: &Stage, id: CeremonyId, answer: &Value) -> Result<SignedIn, FlowError> {
    let at = visit(AUTH_HOST);
    stage.gateway.sign_in.finish_sign_in(attempt(id, answer), &at, &Device::default()).await
}

fn finds_no_ceremony<T>(outcome: &Result<T, FlowError>) -> bool {
    matches!(outcome, Err(FlowError::Refused(Refusal::NoSuchCeremony)))
}

fn sessions(stage: &Stage, session: &Session) -> usize {
    stage.gateway.sessions.sessions_of(&session.user).len()
}

async fn is_pending(stage: &Stage) -> bool {
    !stage.store.scan(b"ceremony/", None, 1).await.unwrap().is_empty()
}

/// Each answer has a counter of its own, so what the first one leaves behind does not fit the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w_02_of_many_answers_to_one_ceremony_one_signs_in() {
    for round in 0..10 {
        let stage = Arc::new(Stage::set(Arc::new(Yielding::default())).await.unwrap());
        let mut device = Authenticator::counting(round);
        let enrolled = stage.enrol(ALICE, &mut device).await.unwrap();
        let (id, options) = begun(&stage).await;
        let answers: Vec<_> = (0..RACERS).map(|_| device.get(&options, ORIGIN)).collect();
        let racers = answers.into_iter().map(|answer| {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move { answered(&stage, id, &answer).await })
        });
        let outcomes: Vec<_> = join_all(racers).await.into_iter().map(Result::unwrap).collect();
        let (won, lost): (Vec<_>, Vec<_>) = outcomes.iter().partition(|outcome| outcome.is_ok());
        assert_eq!(won.len(), 1, "round {round}");
        assert!(lost.iter().all(|outcome| finds_no_ceremony(outcome)), "round {round}: {lost:?}");
        assert_eq!(sessions(&stage, &enrolled.session), 2);
        assert!(!is_pending(&stage).await);
        stage.sign_in(&mut device).await.unwrap();
    }
}

/// Other sign-ins with the same passkey are not in the way: a changed counter is looked at again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sign_ins_with_one_passkey_at_one_moment_all_succeed() {
    let stage = Arc::new(Stage::set(Arc::new(Yielding::default())).await.unwrap());
    let mut device = Authenticator::new(1);
    let enrolled = stage.enrol(ALICE, &mut device).await.unwrap();
    let mut racers = Vec::new();
    for _ in 0..4 {
        let (id, options) = begun(&stage).await;
        let (stage, answer) = (Arc::clone(&stage), device.get(&options, ORIGIN));
        racers.push(tokio::spawn(async move { answered(&stage, id, &answer).await }));
    }
    for racer in racers {
        racer.await.unwrap().unwrap();
    }
    assert_eq!(sessions(&stage, &enrolled.session), 5);
    assert!(!is_pending(&stage).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w_02_of_many_answers_to_one_registration_one_adds_a_passkey() {
    let stage = Arc::new(Stage::set(Arc::new(Yielding::default())).await.unwrap());
    let session = stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap().session;
    let at = visit(AUTH_HOST);
    let begun = stage.gateway.sign_in.begin_registration(&session, Planned::default(), &at).await;
    let (id, options) = begun.unwrap();
    let racers = (0..RACERS).map(|number| {
        let (stage, session) = (Arc::clone(&stage), session.clone());
        let answer = Authenticator::new(10 + u64::try_from(number / 2).unwrap()).create(&options.0, ORIGIN);
        tokio::spawn(async move {
            let (sign_in, at) = (&stage.gateway.sign_in, visit(AUTH_HOST));
            sign_in.finish_registration(&session, Some(id), &answer, None, &at).await
        })
    });
    let outcomes: Vec<_> = join_all(racers).await.into_iter().map(Result::unwrap).collect();
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.iter().partition(|outcome| outcome.is_ok());
    assert_eq!(won.len(), 1);
    assert!(lost.iter().all(|outcome| finds_no_ceremony(outcome)), "{lost:?}");
    assert_eq!(stage.gateway.accounts.credentials_of(&session.user).await.unwrap().len(), 2);
    assert!(!is_pending(&stage).await);
}

#[tokio::test]
async fn a_refused_answer_has_used_the_ceremony_up() {
    let stage = Stage::set(Arc::new(Yielding::default())).await.unwrap();
    let mut device = Authenticator::new(1);
    stage.enrol(ALICE, &mut device).await.unwrap();
    let (id, options) = begun(&stage).await;
    let elsewhere = device.get(&options, "https://elsewhere.example.com");
    let good = device.get(&options, ORIGIN);
    let refused = answered(&stage, id, &elsewhere).await;
    assert!(matches!(refused, Err(FlowError::Refused(Refusal::WrongContext))), "{refused:?}");
    assert!(!is_pending(&stage).await);
    assert!(finds_no_ceremony(&answered(&stage, id, &good).await));
    let (id, options) = begun(&stage).await;
    answered(&stage, id, &device.get(&options, ORIGIN)).await.unwrap();
}

/// The caller goes away while its answer is taken in. Nothing comes of it, and nothing is left.
#[tokio::test]
async fn a_caller_that_vanishes_has_used_the_ceremony_up() {
    let store = Arc::new(Held::default());
    let stage = Arc::new(Stage::set(Arc::<Held>::clone(&store)).await.unwrap());
    let mut device = Authenticator::new(1);
    let enrolled = stage.enrol(ALICE, &mut device).await.unwrap();
    let (id, options) = begun(&stage).await;
    let answer = device.get(&options, ORIGIN);
    store.holds_next.store(true, Ordering::SeqCst);
    let (gateway, given) = (Arc::clone(&stage), answer.clone());
    let call = tokio::spawn(async move { answered(&gateway, id, &given).await.is_ok() });
    store.reached.notified().await;
    assert!(is_pending(&stage).await);
    call.abort();
    assert!(call.await.is_err());
    while is_pending(&stage).await {
        tokio::task::yield_now().await;
    }
    assert!(finds_no_ceremony(&answered(&stage, id, &answer).await));
    assert_eq!(sessions(&stage, &enrolled.session), 1);
    stage.sign_in(&mut device).await.unwrap();
}
