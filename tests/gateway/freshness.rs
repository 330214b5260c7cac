//! What a fresh passkey pays for, where applications share the auth host and where they do not.

use crate::harness::Authenticator;
use crate::stage::{APP_HOST, AUTH_HOST, Stage, visit};
use vestibule::domain::credential::{CredentialName, Planned};
use vestibule::domain::session::Session;
use vestibule::flows::FlowError;

async fn rename(stage: &Stage, session: &Session) -> Result<(), FlowError> {
    let credentials = stage.gateway.credentials_of(&session.user).await.unwrap();
    let name = CredentialName::parse("Blue key").unwrap();
    let id = &credentials.first().unwrap().id;
    stage.gateway.rename_credential(session, id, name, &visit(AUTH_HOST)).await.map(drop)
}

async fn may_add(stage: &Stage, session: &Session) -> bool {
    match stage.gateway.begin_registration(session, Planned::default(), &visit(AUTH_HOST)).await {
        Ok(_) => true,
        Err(FlowError::NotFresh) => false,
        Err(other) => panic!("{other:?}"),
    }
}

/// An application's script on our origin could send what our pages send. A sign-in, which people
/// do on their way to that application, must not pay for a passkey of the script's making.
#[tokio::test]
async fn s_26_beside_an_application_only_a_passkey_shown_again_pays_and_once() {
    let stage = Stage::with_applications(&[AUTH_HOST]).await;
    let mut device = Authenticator::new(1);
    let enrolled = stage.enrol("alice@example.com", &mut device).await.unwrap();
    assert!(!may_add(&stage, &enrolled.session).await, "an enrolment pays for its own passkey only");

    let signed_in = stage.sign_in(&mut device).await.unwrap().session;
    assert!(!may_add(&stage, &signed_in).await);
    assert!(matches!(rename(&stage, &signed_in).await, Err(FlowError::NotFresh)));

    let again = stage.sign_in_again(Some(&signed_in), &mut device).await.unwrap().session;
    assert!(may_add(&stage, &again).await);
    rename(&stage, &again).await.unwrap();
    assert!(matches!(rename(&stage, &again).await, Err(FlowError::NotFresh)), "it was used up");

    let again = stage.sign_in_again(Some(&again), &mut device).await.unwrap().session;
    stage.gateway.end_other_sessions(&again, &visit(AUTH_HOST)).await.unwrap();
    let more = stage.gateway.end_other_sessions(&again, &visit(AUTH_HOST)).await;
    assert!(matches!(more, Err(FlowError::NotFresh)), "{more:?}");
}

#[tokio::test]
async fn s_26_on_a_host_of_our_own_a_sign_in_pays_for_a_while() {
    let stage = Stage::with_applications(&[APP_HOST]).await;
    let mut device = Authenticator::new(1);
    stage.enrol("alice@example.com", &mut device).await.unwrap();
    let signed_in = stage.sign_in(&mut device).await.unwrap().session;
    assert!(may_add(&stage, &signed_in).await);
    rename(&stage, &signed_in).await.unwrap();
    rename(&stage, &signed_in).await.unwrap();
    assert!(may_add(&stage, &signed_in).await);
}
