//! How tokens end, with their streams: in process, where the clock can be moved.

use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method};
use vestibule::domain::access_token::TokenRefusal;
use vestibule::domain::access_token::grant::{Grant, GrantText};
use vestibule::domain::access_token::offline::attenuate;
use vestibule::domain::id::UserId;
use vestibule::domain::invitation::LinkDelivery;
use vestibule::domain::user::Standing;
use vestibule::flows::FlowError;
use vestibule::flows::access_tokens::NewToken;
use vestibule::flows::administration::people::{OldPasskeys, UserEdit};
use vestibule::flows::admission::{Admission, Asked, Outcome, Permit, Stay};
use vestibule::flows::authority::Authority;
use vestibule::store::MemoryStore;

use crate::harness::Authenticator;
use crate::stage::{APP_HOST, AUTH_HOST, Stage, visit};

const HOUR: Duration = Duration::from_hours(1);

struct ExampleGateway {
    stage: Arc<Stage>,
    user: UserId,
}

impl ExampleGateway {
    async fn open() -> Self {
        let stage = Stage::set(Arc::new(MemoryStore::new())).await.unwrap();
        // Another user is the last administrator.
        stage.enrol("olivia@example.com", &mut Authenticator::new(2)).await.unwrap();
        let user = stage.enrol("alice@example.com", &mut Authenticator::new(1)).await.unwrap().session.user;
        Self { stage: Arc::new(stage), user }
    }

    fn new_token(&self) -> NewToken {
        let routes = self.stage.gateway.ground.routes().all().map(|route| route.name.clone()).collect();
        let grant = GrantText { routes, ..GrantText::default() };
        NewToken::parse("a script", &grant, HOUR.as_secs()).unwrap()
    }

    async fn token(&self) -> String {
        let (gateway, operator) = (&self.stage.gateway, Authority::of_operator());
        gateway.access_tokens.make_token(&operator, &self.user, self.new_token()).await.unwrap().text
    }

    fn ask(&self, token: &str) -> Admission {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        self.stage
            .gateway
            .admission
            .admit(&visit(APP_HOST), &Asked { method: &Method::GET, raw_path: b"/page", headers: &headers })
    }

    #[track_caller]
    fn enters(&self, token: &str) -> Permit {
        match self.ask(token) {
            Admission::Forward(permit) => permit,
            _ => panic!("the token opens nothing"),
        }
    }

    #[track_caller]
    fn is_refused(&self, token: &str, reason: TokenRefusal) {
        match self.ask(token) {
            Admission::Answer(Outcome::TokenRefused { why, .. }) => assert_eq!(why, reason),
            _ => panic!("{reason:?} expected"),
        }
    }

    fn stream(&self, token: &str) -> (Stay, Permit) {
        let permit = self.enters(token);
        (permit.stay(&visit(APP_HOST), &Method::GET, b"/page"), permit)
    }

    async fn edit(&self, edit: UserEdit) {
        self.stage
            .gateway
            .administration
            .edit_user(&Authority::of_operator(), &self.user, &edit)
            .await
            .unwrap();
    }
}

async fn goes_on(example: &ExampleGateway, stay: &Stay) -> bool {
    let ended = example.stage.gateway.admission.until_refused(stay);
    tokio::time::timeout(Duration::from_millis(20), ended).await.is_err()
}

#[tokio::test]
async fn expired_token_is_refused_and_swept() {
    let example = ExampleGateway::open().await;
    let token = example.token().await;
    let (stay, permit) = example.stream(&token);
    example.stage.clock.forward(HOUR.checked_sub(Duration::from_secs(1)).unwrap());
    let _ = example.enters(&token);
    assert!(goes_on(&example, &stay).await && example.stage.gateway.admission.still_holds(&permit));
    example.stage.clock.forward(Duration::from_secs(1));
    example.is_refused(&token, TokenRefusal::Expired);
    assert!(example.stage.gateway.access_tokens.tokens_of(&example.user).is_empty(), "none that can be used");
    assert!(!example.stage.gateway.admission.still_holds(&permit));
    example.stage.gateway.sweep().await;
    example.stage.gateway.admission.until_refused(&stay).await;
    example.is_refused(&token, TokenRefusal::Revoked);
}

#[tokio::test]
async fn token_ends_with_its_user_for_good() {
    let example = ExampleGateway::open().await;
    let token = example.token().await;
    let (stay, _) = example.stream(&token);
    example.edit(UserEdit { standing: Some(Standing::Disabled), ..UserEdit::default() }).await;
    example.is_refused(&token, TokenRefusal::Revoked);
    example.stage.gateway.admission.until_refused(&stay).await;
    example.edit(UserEdit { standing: Some(Standing::Active), ..UserEdit::default() }).await;
    example.is_refused(&token, TokenRefusal::Revoked);

    let token = example.token().await;
    let _ = example.enters(&token);
    let operator = Authority::of_operator();
    example
        .stage
        .gateway
        .administration
        .reset_user(&operator, &example.user, OldPasskeys::Wiped, LinkDelivery::ByHand)
        .await
        .unwrap();
    example.is_refused(&token, TokenRefusal::Revoked);

    let token = example.token().await;
    let end = example.stage.gateway.ground.clock().now().plus(HOUR / 2);
    example.edit(UserEdit { expires_at: Some(Some(end)), ..UserEdit::default() }).await;
    let _ = example.enters(&token);
    example.stage.clock.forward(HOUR / 2);
    example.is_refused(&token, TokenRefusal::Owner);
    example.edit(UserEdit { expires_at: Some(None), ..UserEdit::default() }).await;
    let (stay, _) = example.stream(&example.token().await);
    example.stage.gateway.administration.delete_user(&Authority::of_operator(), &example.user).await.unwrap();
    example.stage.gateway.admission.until_refused(&stay).await;
    example.is_refused(&token, TokenRefusal::Revoked);
}

#[tokio::test]
async fn a_stream_ends_with_its_token_its_rules_and_the_hours_that_its_holder_gave_it() {
    let example = ExampleGateway::open().await;
    let gateway = &example.stage.gateway;
    let made = gateway
        .access_tokens
        .make_token(&Authority::of_operator(), &example.user, example.new_token())
        .await
        .unwrap();
    let half = gateway.ground.clock().now().plus(HOUR / 2);
    let short = attenuate(&made.text, &Grant::default(), Some(half), &[3; 32]).unwrap();
    let ((whole, _), (narrowed, _)) = (example.stream(&made.text), example.stream(&short));
    gateway.admission.recheck_time_rules();
    assert!(goes_on(&example, &whole).await && goes_on(&example, &narrowed).await);
    example.stage.clock.forward(HOUR / 2);
    gateway.admission.recheck_time_rules();
    gateway.admission.until_refused(&narrowed).await;
    example.is_refused(&short, TokenRefusal::Narrowed);
    assert!(goes_on(&example, &whole).await);
    gateway.access_tokens.revoke_token(&Authority::of_operator(), &made.token.id).await.unwrap();
    gateway.admission.until_refused(&whole).await;
    example.is_refused(&made.text, TokenRefusal::Revoked);
    let again = gateway.access_tokens.revoke_token(&Authority::of_operator(), &made.token.id).await;
    assert!(matches!(again, Err(FlowError::NotFound)));
}

#[tokio::test]
async fn the_last_use_is_written_once_a_minute_and_outlasts_the_process() {
    let example = ExampleGateway::open().await;
    let gateway = &example.stage.gateway;
    let token = example.token().await;
    let used = || gateway.access_tokens.tokens_of(&example.user)[0].last_used_at();
    let written = || gateway.access_tokens.tokens_of(&example.user)[0].record().last_used_at;
    assert_eq!((used(), written()), (None, None));
    let _ = example.enters(&token);
    let first = gateway.ground.clock().now();
    assert_eq!((used(), written()), (Some(first), None), "in memory at once");
    gateway.sweep().await;
    assert_eq!(written(), Some(first));
    example.stage.clock.forward(Duration::from_secs(59));
    let _ = example.enters(&token);
    gateway.sweep().await;
    assert_eq!(written(), Some(first), "not again so soon");
    example.stage.clock.forward(Duration::from_secs(1));
    let _ = example.enters(&token);
    gateway.sweep().await;
    assert_eq!(written(), used());
    assert_eq!(written(), Some(gateway.ground.clock().now()));
}

/// Making a token needs a fresh passkey, as adding a passkey does.
#[tokio::test]
async fn making_a_token_requires_a_fresh_passkey() {
    let example = ExampleGateway::open().await;
    let gateway = &example.stage.gateway;
    let mut device = Authenticator::new(7);
    let session = example.stage.enrol("bob@example.com", &mut device).await.unwrap().session;
    gateway.access_tokens.make_own_token(&session, example.new_token(), &visit(AUTH_HOST)).await.unwrap();
    example.stage.clock.forward(crate::stage::FRESH);
    let late = gateway.access_tokens.make_own_token(&session, example.new_token(), &visit(AUTH_HOST)).await;
    assert!(matches!(late, Err(FlowError::NotFresh)));
    assert_eq!(gateway.access_tokens.tokens_of(&session.user).len(), 1);
}
