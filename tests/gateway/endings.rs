//! Ending all sessions of a user while one begins: in the same moment, or on a gateway that missed
//! it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use vestibule::domain::access_token::grant::GrantText;
use vestibule::domain::id::{AccessTokenId, UserId};
use vestibule::domain::session::Session;
use vestibule::domain::user::Standing;
use vestibule::flows::FlowError;
use vestibule::flows::access_tokens::NewToken;
use vestibule::flows::administration::people::UserEdit;
use vestibule::flows::authority::Authority;
use vestibule::flows::sign_in::return_target::{
    HandOffError, Intent, NextStep, RedirectReason, SignInRedirect,
};
use vestibule::flows::visit::Device;
use vestibule::store::MemoryStore;

use crate::feeds::{Feed, Manner};
use crate::harness::Authenticator;
use crate::held::Held;
use crate::stage::{APP_HOST, AUTH_HOST, Stage, visit, visit_from};

const ALICE: &str = "alice@example.com";

#[derive(Debug, Clone, Copy)]
enum Begins {
    SignIn,
    /// A second device, with a link that the owner has made.
    Enrolment,
}

#[derive(Debug, Clone, Copy)]
enum Ends {
    Owner,
    Operator,
}

/// The names of a user's sessions that can be used.
fn live(stage: &Stage, session: &Session) -> Vec<Session> {
    let live = stage.gateway.sessions.sessions_of(&session.user);
    live.iter().map(|session| (*session.record()).clone()).collect()
}

/// The flow that ends all sessions has read which there are; then another one begins, and is
/// acknowledged; then the decision is committed.
async fn meet(begins: Begins, ends: Ends) {
    let store = Arc::new(Held::default());
    let stage = Stage::set(Arc::<Held>::clone(&store)).await.unwrap();
    let mut device = Authenticator::new(1);
    stage.enrol(ALICE, &mut device).await.unwrap();
    let current = stage.sign_in(&mut device).await.unwrap().session;
    let at = visit(AUTH_HOST);
    let link = stage.gateway.accounts.make_own_link(&current, &at).await.unwrap();
    let secret = link.secret.reveal().clone();
    let (gateway, acting, user) = (Arc::clone(&stage.gateway), current.clone(), current.user);
    store.holds_next.store(true, Ordering::SeqCst);
    let ending = tokio::spawn(async move {
        match ends {
            Ends::Owner => gateway.sessions.end_other_sessions(&acting, &visit(AUTH_HOST)).await,
            Ends::Operator => {
                let operator = Authority::of_operator();
                gateway.administration.end_sessions_of(&operator, &user).await.map(drop)
            }
        }
    });
    store.reached.notified().await;
    let newest = match begins {
        Begins::SignIn => stage.sign_in(&mut device).await.unwrap().session,
        Begins::Enrolment => stage.redeem(&secret).await.unwrap().session,
    };
    assert!(live(&stage, &current).iter().any(|it| it.id == newest.id), "it is acknowledged");
    store.released.notify_one();
    ending.await.unwrap().unwrap();
    let left = live(&stage, &current);
    let expected = match ends {
        Ends::Owner => vec![current.id],
        Ends::Operator => vec![],
    };
    let left: Vec<_> = left.iter().map(|it| it.id).collect();
    assert_eq!(left, expected, "{begins:?}, ended by {ends:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_begins_while_all_end_ends_with_them() {
    for begins in [Begins::SignIn, Begins::Enrolment] {
        for ends in [Ends::Owner, Ends::Operator] {
            meet(begins, ends).await;
        }
    }
}

/// Another gateway at the same store, which hears of nothing after its start.
async fn deaf_gateway(here: &Stage, store: &Arc<MemoryStore>) -> Stage {
    let feed = Feed::over(store);
    let there = here.beside(Arc::<Feed>::clone(&feed)).await;
    feed.turn(Manner::Loses);
    there
}

#[tokio::test]
async fn a_gateway_ends_sessions_that_it_was_not_told_of() {
    let store = Arc::new(MemoryStore::new());
    let here = Stage::set(Arc::<MemoryStore>::clone(&store)).await.unwrap();
    let mut device = Authenticator::new(1);
    here.enrol(ALICE, &mut device).await.unwrap();
    let current = here.sign_in(&mut device).await.unwrap().session;
    let there = deaf_gateway(&here, &store).await;
    let is_live = |session: &Session| live(&here, session).iter().any(|it| it.id == session.id);
    let at = visit(AUTH_HOST);

    let one = here.sign_in(&mut device).await.unwrap().session;
    there.gateway.sessions.end_session(&current, &one.id, &at).await.unwrap();
    assert!(!is_live(&one) && is_live(&current));

    let one = here.sign_in(&mut device).await.unwrap().session;
    there.gateway.sessions.end_other_sessions(&current, &at).await.unwrap();
    assert!(!is_live(&one) && is_live(&current));

    here.sign_in(&mut device).await.unwrap();
    let operator = Authority::of_operator();
    let ended = there.gateway.administration.end_sessions_of(&operator, &current.user).await.unwrap();
    assert_eq!((ended, live(&here, &current).len()), (2, 0));

    here.sign_in(&mut device).await.unwrap();
    let burnt = there.gateway.administration.burn_keys(&operator).await.unwrap();
    assert_eq!((burnt.sessions, live(&here, &current).len()), (1, 0));
}

/// A token that was made here, for every route that there is.
async fn token(stage: &Stage, user: &UserId) -> AccessTokenId {
    let routes = stage.gateway.ground.routes().all().map(|route| route.name.clone()).collect();
    let grant = GrantText { routes, ..GrantText::default() };
    let new = NewToken::parse("a script", &grant, 3_600).unwrap();
    let operator = Authority::of_operator();
    stage.gateway.access_tokens.make_token(&operator, user, new).await.unwrap().token.id
}

#[tokio::test]
async fn a_gateway_revokes_tokens_that_it_was_not_told_of() {
    let store = Arc::new(MemoryStore::new());
    let here = Stage::set(Arc::<MemoryStore>::clone(&store)).await.unwrap();
    here.enrol("olivia@example.com", &mut Authenticator::new(2)).await.unwrap();
    let user = here.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap().session.user;
    let there = deaf_gateway(&here, &store).await;
    let count = || here.gateway.access_tokens.tokens_of(&user).len();
    let operator = Authority::of_operator();

    let one = token(&here, &user).await;
    assert_eq!(count(), 1, "the control");
    there.gateway.access_tokens.revoke_token(&operator, &one).await.unwrap();
    assert_eq!(count(), 0);

    token(&here, &user).await;
    let edit = UserEdit { standing: Some(Standing::Disabled), ..UserEdit::default() };
    there.gateway.administration.edit_user(&operator, &user, &edit).await.unwrap();
    assert_eq!(count(), 0);

    // A gateway leaves tokens alone that it does not know of.
    here.enable(&user).await;
    token(&here, &user).await;
    there.gateway.sweep().await;
    assert_eq!(count(), 1);
}

/// Leaves for sign-in, is handed off by the gateway `here`, and arrives at the gateway `there`,
/// once `between` is over.
async fn handed_off(
    here: &Stage,
    there: &Stage,
    session: &Session,
    between: impl AsyncFnOnce(),
) -> Result<(), HandOffError> {
    let at = visit(APP_HOST);
    let gone =
        here.gateway.sign_in.leave_for_sign_in(&at, "/deep", None, RedirectReason::SignIn).await.unwrap();
    let SignInRedirect::SignIn { return_target, nonce } = gone else { panic!("a loop") };
    let next = here.gateway.sign_in.next_step(session, Some(&return_target), Intent::Confirmed).await;
    let NextStep::HandOff { url } = next.unwrap() else { panic!("no hand-off") };
    let code = url.split_once("code=").unwrap().1;
    between().await;
    there.gateway.sign_in.arrive(&at, code, Some(&nonce.reveal())).await.unwrap().map(drop)
}

#[tokio::test]
async fn a_hand_off_counts_for_a_session_that_the_store_has() {
    let store = Arc::new(MemoryStore::new());
    let here = Stage::set(Arc::<MemoryStore>::clone(&store)).await.unwrap();
    let mut device = Authenticator::new(1);
    let known = here.enrol(ALICE, &mut device).await.unwrap().session;
    let there = deaf_gateway(&here, &store).await;
    let unknown = here.sign_in(&mut device).await.unwrap().session;
    for session in [&known, &unknown] {
        handed_off(&here, &there, session, async || {}).await.unwrap();
    }
    let ended = async || {
        here.gateway.sessions.sign_out(&[here.live(&known).unwrap()], &visit(AUTH_HOST)).await.unwrap();
    };
    let refused = handed_off(&here, &there, &known, ended).await;
    assert_eq!(refused, Err(HandOffError::NoSuchCode));
}

#[tokio::test]
async fn a_code_for_another_device_counts_for_a_session_that_the_store_has() {
    let store = Arc::new(MemoryStore::new());
    let here = Stage::set(Arc::<MemoryStore>::clone(&store)).await.unwrap();
    let mut device = Authenticator::new(1);
    here.enrol(ALICE, &mut device).await.unwrap();
    let known = here.sign_in(&mut device).await.unwrap().session;
    let there = deaf_gateway(&here, &store).await;
    let unknown = here.sign_in(&mut device).await.unwrap().session;
    let asked = async |session: &Session, ends: bool| {
        let offered = here.gateway.sign_in.offer_device_link(session, &visit(AUTH_HOST)).await.unwrap();
        if ends {
            let live = here.live(session).unwrap();
            here.gateway.sessions.sign_out(&[live], &visit(AUTH_HOST)).await.unwrap();
        }
        let (code, phone) = (offered.code.reveal(), Device::default());
        there.gateway.sign_in.ask_with_code(code, &phone, &visit_from("192.0.2.9")).await.map(drop)
    };
    asked(&known, false).await.unwrap();
    asked(&unknown, false).await.unwrap();
    assert!(matches!(asked(&known, true).await, Err(FlowError::WrongCode)));
}
