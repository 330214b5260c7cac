//! Rate limits: which clients are counted together, which are never kept out, and the answers
//! (S-12, S-34).

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use vestibule::domain::dialect::Dialect;
use vestibule::domain::event::Refusal;
use vestibule::domain::id::UserId;
use vestibule::domain::limits::{ACCOUNT_BURST, RateLimits};
use vestibule::flows::FlowError;
use vestibule::flows::visit::Device;
use vestibule::flows::visit::Visit;
use vestibule::store::MemoryStore;

use crate::harness::{Authenticator, Scene};
use crate::stage::{ORIGIN, Stage, attempt, visit_from};

const ATTACKER: &str = "198.51.100.7";
const OWNER: &str = "192.0.2.1";

async fn stage() -> Stage {
    Stage::set(Arc::new(MemoryStore::new())).await.unwrap()
}

async fn begins(stage: &Stage, client: &str) -> bool {
    match stage.gateway.sign_in.begin_sign_in(None, &visit_from(client)).await {
        Ok(_) => true,
        Err(FlowError::RateLimited { retry_after }) => {
            assert!(retry_after > Duration::ZERO, "the wait is told");
            false
        }
        Err(other) => panic!("{other}"),
    }
}

/// Begins sign-ins from these addresses in turn until one is refused.
async fn begun_before_refusal(stage: &Stage, from: impl Fn(u32) -> String) -> u32 {
    for count in 0..10_000 {
        if !begins(stage, &from(count)).await {
            return count;
        }
    }
    panic!("nothing was ever refused");
}

#[tokio::test]
async fn s_34_a_network_is_counted_as_one_however_many_addresses_it_has() {
    let burst = RateLimits::default().network_burst.get();
    let stage = stage().await;
    assert_eq!(begun_before_refusal(&stage, |n| format!("2001:db8:1:2::{n:x}")).await, burst);
    assert!(begins(&stage, "2001:db8:1:3::1").await, "the neighbouring /64 is another client's");
    assert_eq!(begun_before_refusal(&stage, |n| format!("192.0.2.{}", n % 256)).await, burst);
    assert!(!begins(&stage, "::ffff:192.0.2.9").await, "a mapped address is the address it maps");
    assert!(begins(&stage, "192.0.3.9").await);
}

/// A client that has a wide network has many /64 in it: they are counted together as well.
#[tokio::test]
async fn f_06_wider_networks_of_one_client_have_a_limit_of_their_own() {
    let limits = RateLimits::default();
    let burst = limits.network_burst.get();
    let (site, region) = (limits.shares.site_factor.get(), limits.shares.region_factor.get());
    let stage = stage().await;
    // Twenty /64 of one /56.
    let begun = begun_before_refusal(&stage, |n| format!("2001:db8:1:{:x}::1", n % 20)).await;
    assert_eq!(begun, burst * site);
    assert!(begins(&stage, "2001:db8:1:100::1").await, "the neighbouring /56");
    // Many /56 of one /48, of which one was used above.
    let more = begun_before_refusal(&stage, |n| format!("2001:db8:1:{:x}00::1", 1 + n % 200)).await;
    assert_eq!(begun + 1 + more, burst * region);
    assert!(begins(&stage, "2001:db8:2::1").await, "the neighbouring /48");
    let begun = begun_before_refusal(&stage, |n| format!("192.0.{}.1", n % 200)).await;
    assert_eq!(begun, burst * region, "a /16 of IPv4");
    assert!(begins(&stage, "192.1.0.1").await);
}

/// When all clients together have used up everything, a network in which a user is signed in still
/// has its part.
#[tokio::test]
async fn f_06_a_network_with_a_live_session_begins_a_sign_in_when_all_is_used_up() {
    let stage = stage().await;
    let mut device = Authenticator::new(1);
    stage.enrol("alice@example.com", &mut device).await.unwrap();
    let at = visit_from(OWNER);
    let (id, options) = stage.gateway.sign_in.begin_sign_in(None, &at).await.unwrap();
    let answer = device.get(&options.0, ORIGIN);
    stage.gateway.sign_in.finish_sign_in(attempt(id, &answer), &at, &Device::default()).await.unwrap();
    begun_before_refusal(&stage, |n| format!("10.{}.{}.1", n / 250, n % 250)).await;
    assert!(!begins(&stage, ATTACKER).await, "an unknown network");
    assert!(begins(&stage, OWNER).await, "a known one");
}

#[tokio::test]
async fn s_34_limits_recover_over_time() {
    let per_second = RateLimits::default().network_per_second.get();
    let stage = stage().await;
    begun_before_refusal(&stage, |_| ATTACKER.to_owned()).await;
    stage.clock.forward(Duration::from_secs(1));
    assert_eq!(begun_before_refusal(&stage, |_| ATTACKER.to_owned()).await, per_second);
}

#[tokio::test]
async fn s_34_total_limit_applies() {
    let burst = RateLimits::default().network_burst.get();
    let stage = stage().await;
    let everywhere = |n: u32| format!("10.{}.{}.1", n / 250, n % 250);
    let begun = begun_before_refusal(&stage, everywhere).await;
    assert_eq!(begun, burst * RateLimits::default().total_factor.get());
}

#[tokio::test]
async fn s_12_attempts_from_elsewhere_do_not_lock_out_the_owner() {
    let stage = stage().await;
    let mut device = Authenticator::new(1);
    stage.enrol("alice@example.com", &mut device).await.unwrap();
    // The anonymous client knows Alice's credential id, and shows it with signatures that are not
    // hers.
    let mut attempts = 0;
    while is_judged(&stage, &mut device, None, &visit_from(ATTACKER)).await {
        attempts += 1;
    }
    assert_eq!(attempts, ACCOUNT_BURST.get(), "attempts on one account are counted");
    let at = visit_from(OWNER);
    let (id, options) = stage.gateway.sign_in.begin_sign_in(None, &at).await.unwrap();
    let answer = device.get(&options.0, ORIGIN);
    let signed_in = stage.gateway.sign_in.finish_sign_in(attempt(id, &answer), &at, &Device::default()).await;
    assert!(signed_in.is_ok(), "the owner comes in from elsewhere at once: {signed_in:?}");
}

/// Shows a passkey with a signature that is not its own. Returns whether it was judged, and not
/// refused by a limit.
async fn is_judged(stage: &Stage, device: &mut Authenticator, named: Option<UserId>, at: &Visit) -> bool {
    let (id, options) = stage.gateway.sign_in.begin_sign_in(named, at).await.unwrap();
    let mut answer = device.get(&options.0, ORIGIN);
    answer["response"]["signature"] = json!("AAAA");
    match stage.gateway.sign_in.finish_sign_in(attempt(id, &answer), at, &Device::default()).await {
        Err(FlowError::RateLimited { .. }) => false,
        Err(FlowError::Refused(Refusal::BadProof | Refusal::Malformed)) => true,
        other => panic!("{other:?}"),
    }
}

/// No client gets more attempts by trying the same account in another dialect, or by its address.
#[tokio::test]
async fn s_12_an_account_is_the_same_in_every_dialect_and_by_every_name() {
    let stage = stage().await;
    let mut device = Authenticator::new(1);
    let alice = stage.enrol("alice@example.com", &mut device).await.unwrap().user.id;
    let mut attempts = 0;
    let ways = [Dialect::Native, Dialect::BetterAuth, Dialect::Ocore, Dialect::Corbado];
    for (way, named) in ways.into_iter().flat_map(|way| [(way, None), (way, Some(alice))]).cycle() {
        let at = Visit { dialect: way, ..visit_from(ATTACKER) };
        if !is_judged(&stage, &mut device, named, &at).await {
            break;
        }
        attempts += 1;
        assert!(attempts <= ACCOUNT_BURST.get(), "attempts on one account are not counted together");
    }
    assert_eq!(attempts, ACCOUNT_BURST.get());
}

#[tokio::test]
async fn s_12_every_spelling_of_an_address_counts_alike() {
    let scene = Scene::with(
        |config| config.table("limits", &["network_burst = 8", "network_per_second = 1"]),
        |_| {},
    )
    .await;
    let spellings = ["alice@example.com", "ALICE@example.com", " Alice@Example.com ", "alice@EXAMPLE.COM"];
    let mut refused = None;
    for spelling in spellings.iter().cycle().take(20) {
        let body = json!({ "email": spelling });
        let reply = scene.anonymous().post("passkeys/authenticate/options", &body).await;
        if reply.status == 429 {
            refused = Some(reply);
            break;
        }
        assert_eq!(reply.status, 200);
    }
    let refused = refused.expect("the network is held up, whatever it typed");
    assert_eq!(refused.headers["content-type"], "application/problem+json");
    assert_eq!(refused.json()["code"], "rate_limited");
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    let app = scene.alice.navigate(&scene.url("/page")).await;
    assert_eq!(app.status, 200, "requests to applications are not counted");
}
