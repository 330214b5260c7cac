//! Sign-in processes with the clock in hand: how long one lasts, and what the store has of it.

use std::time::Duration;

use vestibule::domain::ceremony::CEREMONY_LIFETIME;
use vestibule::domain::ceremony::claimed_ceremony;
use vestibule::domain::code::EmailCode;
use vestibule::domain::dialect::Dialect;
use vestibule::domain::limits::RateLimits;
use vestibule::domain::process::PROCESS_LIFETIME;
use vestibule::flows::FlowError;
use vestibule::flows::sign_in::passkey::{Attempt, SignedIn};
use vestibule::flows::visit::Device;
use vestibule::flows::visit::Visit;

use crate::harness::Authenticator;
use crate::stage::{AUTH_HOST, ORIGIN, Stage, visit, visit_from};

const ALICE: &str = "alice@example.com";

fn here() -> Visit {
    Visit { dialect: Dialect::Corbado, ..visit(AUTH_HOST) }
}

/// A stage with Alice on it, and her process.
async fn begun(device: &mut Authenticator) -> (Stage, String) {
    let stage = Stage::with_codes(EmailCode::Off).await;
    stage.enrol(ALICE, device).await.unwrap();
    let (id, course) = stage.gateway.sign_in.new_process();
    let course = course.with_identifier(Some(ALICE.to_owned()));
    stage.gateway.sign_in.offer_in(&course, &here()).await.unwrap();
    (stage, id.reveal())
}

async fn sign_in(stage: &Stage, id: &str, device: &mut Authenticator) -> Result<SignedIn, FlowError> {
    let course = stage.gateway.sign_in.find_process(Some(id)).await?;
    let options = stage.gateway.sign_in.offer_in(&course, &here()).await?;
    let answer = device.get(&options.0, ORIGIN);
    let ceremony = claimed_ceremony(&answer);
    let attempt = Attempt { ceremony, answer: &answer, expected: None, before: None };
    stage.gateway.sign_in.finish_in(&course, attempt, &here(), &Device::default()).await
}

#[tokio::test]
async fn a_process_lasts_longer_than_a_ceremony_and_not_for_ever() {
    let mut device = Authenticator::new(1);
    let moment = Duration::from_millis(1);
    for (waited, expected) in [
        (CEREMONY_LIFETIME, true),
        (PROCESS_LIFETIME.checked_sub(moment).unwrap(), true),
        (PROCESS_LIFETIME, false),
    ] {
        let (stage, id) = begun(&mut device).await;
        stage.clock.forward(waited);
        let stage = stage.again().await;
        match sign_in(&stage, &id, &mut device).await {
            Ok(_) => assert!(expected, "after {waited:?}"),
            Err(FlowError::NoSuchProcess) => assert!(!expected, "after {waited:?}"),
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_process_ends_with_its_sign_in_and_its_id_never_stands_in_the_store() {
    let mut device = Authenticator::new(1);
    let (stage, id) = begun(&mut device).await;
    let everything = stage.store.scan(b"", None, 1_000).await.unwrap();
    assert!(everything.iter().any(|(key, _)| key.starts_with(b"process/")));
    for (key, value) in everything {
        assert!(!String::from_utf8_lossy(&value).contains(&id), "{}", key.escape_ascii());
    }
    sign_in(&stage, &id, &mut device).await.unwrap();
    assert!(stage.store.scan(b"process/", None, 10).await.unwrap().is_empty());
    assert!(matches!(sign_in(&stage, &id, &mut device).await, Err(FlowError::NoSuchProcess)));
}

#[tokio::test]
async fn w_18_processes_are_bounded_in_number() {
    let stage = Stage::with_codes(EmailCode::Off).await;
    let most = RateLimits::default().pending_per_network_max;
    for n in 0..most + 50 {
        let at = Visit { dialect: Dialect::Corbado, ..visit_from(&format!("198.51.100.{}", n % 250)) };
        let (_, course) = stage.gateway.sign_in.new_process();
        while let Err(error) = stage.gateway.sign_in.offer_in(&course, &at).await {
            let FlowError::RateLimited { retry_after } = error else { panic!("{error:?}") };
            stage.clock.forward(retry_after + Duration::from_millis(1));
        }
    }
    let kept = stage.store.scan(b"process/", None, 5_000).await.unwrap();
    assert_eq!(kept.len(), most);
}
