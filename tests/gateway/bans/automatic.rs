//! Automatic bans: of which clients, after how many refusals, for how long, and of which clients
//! never.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;
use vestibule::domain::ban::AutomaticBans;
use vestibule::domain::event::Refusal;
use vestibule::domain::network::Network;
use vestibule::flows::FlowError;
use vestibule::flows::administration::bans::NewBan;
use vestibule::flows::authority::Authority;
use vestibule::flows::sign_in::enroll::Introduction;
use vestibule::flows::sign_in::passkey::Attempt;
use vestibule::flows::sign_in::recovery_codes::Printed;
use vestibule::flows::visit::Device;
use vestibule::flows::visit::Visit;
use vestibule::store::MemoryStore;

use super::{BANNED, NEIGHBOUR, is_banned, proxied};
use crate::dialect_clients::DialectClient;
use crate::harness::config::Config;
use crate::harness::{Browser, Scene};
use crate::stage::{Stage, visit_from};
use crate::yielding::Yielding;

const AFTER: usize = 4;
const WITHIN: Duration = Duration::from_mins(10);
const LENGTH: Duration = Duration::from_hours(1);

pub(super) fn rule() -> AutomaticBans {
    AutomaticBans { after: NonZeroUsize::new(AFTER).unwrap(), within: WITHIN, duration: LENGTH }
}

async fn stage(proxies: &[&str]) -> Stage {
    Stage::banning(Arc::new(MemoryStore::new()), Some(rule()), proxies).await.unwrap()
}

/// Whether this address may not even begin.
pub(super) async fn is_refused(stage: &Stage, client: &str) -> bool {
    match stage.gateway.sign_in.begin_sign_in(None, &visit_from(client)).await {
        Ok(_) => false,
        Err(FlowError::Banned { .. }) => true,
        Err(other) => panic!("{other}"),
    }
}

/// Shows an invalid passkey.
pub(super) async fn try_nothing(stage: &Stage, client: &str) {
    try_nothing_at(stage, &visit_from(client)).await;
}

async fn try_nothing_at(stage: &Stage, at: &Visit) {
    let answer = json!({});
    let attempt = Attempt { ceremony: None, answer: &answer, expected: None, before: None };
    let refused = stage.gateway.sign_in.finish_sign_in(attempt, at, &Device::default()).await;
    assert!(matches!(refused, Err(FlowError::Refused(Refusal::NoSuchCeremony))), "{refused:?}");
}

#[tokio::test]
async fn bans_an_address_after_too_many_refusals() {
    let stage = stage(&[]).await;
    for _ in 0..AFTER {
        assert!(!is_refused(&stage, BANNED).await);
        try_nothing(&stage, BANNED).await;
    }
    assert!(is_refused(&stage, BANNED).await);
    assert!(!is_refused(&stage, NEIGHBOUR).await, "the neighbour is another client");
    let bans = stage.gateway.administration.list_bans();
    let [ban] = &bans[..] else { panic!("{bans:?}") };
    assert_eq!((ban.by.as_str(), ban.network.to_string()), ("the gateway", BANNED.to_owned()));
    assert_eq!(ban.reason.as_ref().unwrap().as_str(), "4 refused credentials within 10m");
    assert_eq!(ban.expires_at.unwrap().since(ban.at), LENGTH);

    stage.clock.forward(LENGTH);
    stage.clock.back(Duration::from_millis(1));
    assert!(is_refused(&stage, BANNED).await);
    stage.clock.forward(Duration::from_millis(1));
    assert!(!is_refused(&stage, BANNED).await);
    // The count begins anew.
    for _ in 0..AFTER - 1 {
        try_nothing(&stage, BANNED).await;
    }
    assert!(!is_refused(&stage, BANNED).await);
}

#[tokio::test]
async fn old_refusals_do_not_count() {
    let stage = stage(&[]).await;
    for _ in 0..AFTER * 3 {
        try_nothing(&stage, BANNED).await;
        stage.clock.forward(WITHIN / 3);
    }
    assert!(!is_refused(&stage, BANNED).await);
    stage.gateway.sweep().await;
    try_nothing(&stage, BANNED).await;
    try_nothing(&stage, BANNED).await;
    assert!(is_refused(&stage, BANNED).await, "two of before and two now");
}

/// Codes, links and passkeys count together, and a /64 of IPv6 as one.
#[tokio::test]
async fn counts_every_credential_kind_and_every_address_of_a_64() {
    let stage = stage(&[]).await;
    let from = |n: usize| visit_from(&format!("2001:db8:1:2::{n:x}"));
    let (nobody, device) = (Introduction::default(), Device::default());
    let printed = Printed { who: "nobody@example.com", code: "AAAA-AAAA-AAAA-AAAA" };
    let wrong = stage.gateway.sign_in.redeem_recovery_code(printed, None, &from(1), &device).await;
    assert!(matches!(wrong, Err(FlowError::WrongCode)));
    let wrong = stage.gateway.sign_in.redeem("x", &nobody, None, &from(2), &device).await;
    assert!(matches!(wrong, Err(FlowError::NoSuchInvitation)));
    // Looking at a link is no attempt: a page of another site can lead any visitor there.
    let wrong = stage.gateway.sign_in.preview("x", &from(3)).await;
    assert!(matches!(wrong, Err(FlowError::NoSuchInvitation)));
    try_nothing_at(&stage, &from(4)).await;
    assert!(!is_refused(&stage, "2001:db8:1:2::5").await);
    try_nothing_at(&stage, &from(5)).await;
    assert!(is_refused(&stage, "2001:db8:1:2::6").await);
    assert!(!is_refused(&stage, "2001:db8:1:3::6").await);
    assert_eq!(stage.gateway.administration.list_bans()[0].network.to_string(), "2001:db8:1:2::/64");
}

#[tokio::test]
async fn never_bans_trusted_proxies() {
    let stage = stage(&["10.0.0.0/24", "2001:db8:1:2::1"]).await;
    for shared in ["127.0.0.1", "::1", "10.0.0.9", "::ffff:10.0.0.9", "2001:db8:1:2::7"] {
        for _ in 0..AFTER * 2 {
            try_nothing(&stage, shared).await;
        }
        assert!(!is_refused(&stage, shared).await, "{shared}");
    }
    assert!(stage.gateway.administration.list_bans().is_empty());
    for _ in 0..AFTER {
        try_nothing(&stage, "10.0.1.9").await;
    }
    assert!(is_refused(&stage, "10.0.1.9").await);
}

#[tokio::test]
async fn new_trusted_proxy_is_not_banned() {
    let store = Arc::new(MemoryStore::new());
    let before = Stage::banning(Arc::<MemoryStore>::clone(&store), None, &[]).await.unwrap();
    let network = Network::parse("10.0.0.0/24").unwrap();
    let asked = NewBan { network, length: None, reason: None };
    before.gateway.administration.add_ban(&Authority::of_operator(), asked).await.unwrap();
    assert!(is_refused(&before, "10.0.0.9").await);
    let after = Stage::banning(store, None, &["10.0.0.9"]).await.unwrap();
    assert!(!is_refused(&after, "10.0.0.9").await);
    assert!(is_refused(&after, "10.0.0.8").await, "the ban is there still");
}

#[tokio::test]
async fn attempts_of_signed_in_users_do_not_count() {
    let stage = stage(&[]).await;
    let known = Visit { shows_live_session: true, ..visit_from(BANNED) };
    for _ in 0..AFTER * 2 {
        try_nothing_at(&stage, &known).await;
    }
    assert!(!is_refused(&stage, BANNED).await);
    for _ in 0..AFTER {
        try_nothing(&stage, BANNED).await;
    }
    assert!(is_refused(&stage, BANNED).await);
    try_nothing_at(&stage, &known).await;
}

fn wrong_code(stage: &Arc<Stage>) -> JoinHandle<FlowError> {
    let stage = Arc::clone(stage);
    tokio::spawn(async move {
        let printed = Printed { who: "nobody@example.com", code: "AAAA-AAAA-AAAA-AAAA" };
        let (at, device) = (visit_from(BANNED), Device::default());
        stage.gateway.sign_in.redeem_recovery_code(printed, None, &at, &device).await.unwrap_err()
    })
}

/// Whatever the moment at which the person decides while attempts are under way.
#[tokio::test]
async fn automatic_ban_does_not_replace_a_manual_one() {
    for moment in 0..60 {
        let stage = Stage::banning(Arc::new(Yielding::default()), Some(rule()), &[]).await.unwrap();
        let stage = Arc::new(stage);
        let trying: Vec<_> = (0..AFTER * 2).map(|_| wrong_code(&stage)).collect();
        for _ in 0..moment {
            tokio::task::yield_now().await;
        }
        let asked = NewBan { network: Network::parse(BANNED).unwrap(), length: None, reason: None };
        stage.gateway.administration.add_ban(&Authority::of_operator(), asked).await.unwrap();
        for one in trying {
            one.await.unwrap();
        }
        let bans = stage.gateway.administration.list_bans();
        let [ban] = &bans[..] else { panic!("{bans:?}") };
        assert_eq!((ban.by.as_str(), ban.expires_at), ("the administrator", None), "after {moment} steps");
    }
}

/// At the same moment: many are judged that had begun, and there is one ban.
#[tokio::test]
async fn concurrent_attempts_make_one_ban() {
    let stage = Stage::banning(Arc::new(Yielding::default()), Some(rule()), &[]).await.unwrap();
    let stage = Arc::new(stage);
    let trying: Vec<_> = (0..AFTER * 5).map(|_| wrong_code(&stage)).collect();
    for one in trying {
        let why = one.await.unwrap();
        assert!(matches!(why, FlowError::WrongCode | FlowError::Banned { .. }), "{why}");
    }
    assert_eq!(stage.gateway.administration.list_bans().len(), 1);
    assert!(is_refused(&stage, BANNED).await);
}

fn bad_code(browser: &Browser) -> impl Future<Output = crate::harness::Reply> {
    let browser = browser.clone();
    async move {
        let code = json!({ "identifier": "alice@example.com", "code": "AAAA-AAAA-AAAA-AAAA" });
        browser.post("recovery-codes/redeem", &code).await
    }
}

#[tokio::test]
async fn the_configuration_switches_it_on_and_the_socket_lifts_it() {
    let arrange = |config: &mut Config| {
        proxied(config);
        DialectClient::all_on(config);
    };
    let mut scene = Scene::with(arrange, |_| {}).await;
    let attacker = scene.anonymous().reported_as(BANNED);
    for _ in 0..AFTER * 2 {
        bad_code(&attacker).await.expect_problem(401);
    }
    // Off as shipped; a reload is enough.
    scene.gateway.edit(|text| format!("{text}\n[bans]\nafter = {AFTER}\nwithin = \"1h\"\n"));
    scene.gateway.operate(&["reload"]);
    for dialect in
        [DialectClient::Native, DialectClient::BetterAuth, DialectClient::Ocore, DialectClient::Corbado]
    {
        let browser = scene.anonymous().reported_as(BANNED);
        let options = dialect.begin_sign_in(&browser).await.expect(200).json();
        let mut answer = scene.device.get(&options, browser.origin());
        answer["response"]["signature"] = json!("AAAA");
        let refused = dialect.finish_sign_in(&browser, &answer).await;
        assert!((400..500).contains(&refused.status) && refused.status != 403, "{dialect:?}: {refused}");
    }
    is_banned(bad_code(&attacker).await);
    // A client that forges a header bans no client but itself, and not even that where all share an
    // address.
    let liar = Browser::on(&scene.gateway, "127.0.0.2").reported_as(NEIGHBOUR);
    for _ in 0..AFTER * 2 {
        bad_code(&liar).await.expect_problem(401);
    }
    let chain = scene.anonymous().reported_as(&format!("{NEIGHBOUR}, 203.0.113.9"));
    for _ in 0..AFTER {
        bad_code(&chain).await.expect_problem(401);
    }
    is_banned(bad_code(&chain).await);
    bad_code(&scene.anonymous().reported_as(NEIGHBOUR)).await.expect_problem(401);

    let listed = scene.gateway.operate(&["ban", "list"]);
    assert!(listed.contains("203.0.113.9") && listed.contains("the gateway"), "{listed}");
    let trail = scene.gateway.operate(&["audit", "--event", "ban_added"]);
    assert!(trail.contains("actor=gateway subject=192.0.2.7"), "{trail}");
    scene.gateway.operate(&["ban", "remove", BANNED]);
    scene.anonymous().reported_as(BANNED).sign_in(&mut scene.device).await.expect(201);
}

/// A page of another site can make its visitors' browsers send any request.
#[tokio::test]
async fn cross_site_requests_do_not_count_towards_a_ban() {
    let arrange = |config: &mut Config| {
        proxied(config);
        DialectClient::all_on(config);
        config.table("bans", &["after = 1"]);
    };
    let scene = Scene::with(arrange, |_| {}).await;
    let visitor = scene.anonymous().reported_as(BANNED);
    let body = json!({ "identifier": "a", "code": "AAAA-AAAA-AAAA-AAAA", "token": "x", "method": "otp", "email": "a@example.com", "signedChallenge": "{}", "response": {} });
    for path in [
        "/auth/passkeys/authenticate/verify",
        "/auth/recovery-codes/redeem",
        "/auth/invitations/redeem",
        "/auth/sessions",
        "/auth/signup/confirm",
        "/api/auth/passkey/verify-authentication",
        "/api/auth/passkey/login/finish",
        "/v2/auth/passkey/login/finish",
        "/v2/auth/passkey/mediation/finish",
    ] {
        for kind in ["application/json", "text/plain"] {
            let request = visitor
                .request(reqwest::Method::POST, &scene.url(path))
                .header("origin", "https://evil.example")
                .header("sec-fetch-site", "cross-site")
                .header("content-type", kind)
                .body(body.to_string());
            let reply = visitor.send(request).await;
            assert!((400..500).contains(&reply.status), "{path}: {reply}");
        }
    }
    assert_eq!(scene.gateway.operate(&["ban", "list"]).trim(), "No network is banned.");
    bad_code(&visitor).await.expect_problem(401);
    is_banned(bad_code(&visitor).await);
}
