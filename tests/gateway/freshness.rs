//! The changes that a fresh passkey pays for, where applications share the auth host and where they
//! do not.

use crate::harness::Authenticator;
use crate::stage::{APP_HOST, AUTH_HOST, Stage, visit};
use vestibule::domain::credential::{CredentialName, Planned};
use vestibule::domain::dialect::Dialect;
use vestibule::domain::secret::Secret;
use vestibule::domain::session::Session;
use vestibule::domain::session::step_up::Change;
use vestibule::flows::FlowError;
use vestibule::flows::visit::Visit;

/// A change, as a page names it.
const RENAME: &str = "PATCH passkeys/x";

async fn rename(stage: &Stage, session: &Session) -> Result<(), FlowError> {
    rename_as(stage, session, &visit(AUTH_HOST)).await
}

async fn rename_as(stage: &Stage, session: &Session, at: &Visit) -> Result<(), FlowError> {
    let credentials = stage.gateway.accounts.credentials_of(&session.user).await.unwrap();
    let name = CredentialName::parse("Blue key").unwrap();
    let id = &credentials.first().unwrap().id;
    stage.gateway.accounts.rename_credential(session, id, name, at).await.map(drop)
}

async fn may_add(stage: &Stage, session: &Session) -> bool {
    match stage.gateway.sign_in.begin_registration(session, Planned::default(), &visit(AUTH_HOST)).await {
        Ok(_) => true,
        Err(FlowError::NotFresh) => false,
        Err(other) => panic!("{other:?}"),
    }
}

/// An application's script on our origin could send what our pages send. A sign-in, which people
/// do on their way to that application, must not pay for a passkey of the script's making.
#[tokio::test]
async fn s_26_shared_host_requires_a_step_up_for_each_change() {
    let stage = Stage::with_applications(&[AUTH_HOST]).await;
    let mut device = Authenticator::new(1);
    let enrolled = stage.enrol("alice@example.com", &mut device).await.unwrap();
    assert!(!may_add(&stage, &enrolled.session).await, "an enrolment pays for its own passkey only");

    let signed_in = stage.sign_in(&mut device).await.unwrap().session;
    assert!(!may_add(&stage, &signed_in).await);
    assert!(matches!(rename(&stage, &signed_in).await, Err(FlowError::NotFresh)));

    // A passkey shown again that is bound to no change pays in other APIs alone.
    let again = stage.sign_in_again(Some(&signed_in), &mut device).await.unwrap().session;
    assert!(!may_add(&stage, &again).await);
    let elsewhere = Visit { dialect: Dialect::Zitadel, ..visit(AUTH_HOST) };
    rename_as(&stage, &again, &elsewhere).await.unwrap();
    let twice = rename_as(&stage, &again, &elsewhere).await;
    assert!(matches!(twice, Err(FlowError::NotFresh)), "it was used up");

    let (again, paying) = stage.step_up(&again, &mut device, RENAME).await;
    rename_as(&stage, &again, &paying).await.unwrap();
    let twice = rename_as(&stage, &again, &paying).await;
    assert!(matches!(twice, Err(FlowError::NotFresh)), "it was used up");
}

/// A script in another tab shows the same cookie, and has neither the nonce nor the same change.
#[tokio::test]
async fn f_09_step_up_allows_only_its_own_change() {
    let stage = Stage::with_applications(&[AUTH_HOST]).await;
    let mut device = Authenticator::new(1);
    stage.enrol("alice@example.com", &mut device).await.unwrap();
    let signed_in = stage.sign_in(&mut device).await.unwrap().session;
    let (again, paying) = stage.step_up(&signed_in, &mut device, RENAME).await;
    for script in [
        visit(AUTH_HOST),
        Visit { change: paying.change.clone(), ..visit(AUTH_HOST) },
        Visit { step_up: paying.step_up, ..visit(AUTH_HOST) },
        Visit { change: Change::parse("DELETE passkeys/x"), ..paying.clone() },
        Visit { dialect: Dialect::Zitadel, ..visit(AUTH_HOST) },
        Visit { step_up: Some(Secret::from_random([9; 32]).hashed()), ..paying.clone() },
    ] {
        let refused = rename_as(&stage, &again, &script).await;
        assert!(matches!(refused, Err(FlowError::NotFresh)), "{refused:?}");
        let refused = stage.gateway.sign_in.begin_registration(&again, Planned::default(), &script).await;
        assert!(matches!(refused, Err(FlowError::NotFresh)));
    }
    rename_as(&stage, &again, &paying).await.unwrap();
}

#[tokio::test]
async fn s_26_own_host_accepts_a_recent_sign_in() {
    let stage = Stage::with_applications(&[APP_HOST]).await;
    let mut device = Authenticator::new(1);
    stage.enrol("alice@example.com", &mut device).await.unwrap();
    let signed_in = stage.sign_in(&mut device).await.unwrap().session;
    assert!(may_add(&stage, &signed_in).await);
    rename(&stage, &signed_in).await.unwrap();
    rename(&stage, &signed_in).await.unwrap();
    assert!(may_add(&stage, &signed_in).await);
}
