//! E-mail addresses have one reading, at every place that takes one (S-05).

use reqwest::Method;
use serde_json::json;

use crate::dialect_clients::DialectClient;
use crate::harness::config::Config;
use crate::harness::journey::secret_of;
use crate::harness::scene::ALICE;
use crate::harness::{Authenticator, Browser, Gateway, Scene, port};

/// Nearly Alice's, or worse: each has been a way around a comparison or a domain check.
const HOSTILE: [&str; 43] = [
    "alice@example.com@evil.example",
    "evil@evil.example@example.com",
    "@alice@example.com",
    "alice@@example.com",
    "alice@evil.example,alice@example.com",
    "\"alice\"@example.com",
    "\"alice@example.com\"@evil.example",
    "\"evil@evil.example,\"@example.com",
    "alice\\@evil.example@example.com",
    "alice @example.com",
    "alice@ example.com",
    "alice@exam ple.com",
    "alice\u{0}@example.com",
    "alice@example.com\u{0}",
    "alice@example.com\u{0}@evil.example",
    "alice@example.com\n",
    "alice@example.com\r\n",
    "\talice@example.com",
    "alice\u{7f}@example.com",
    "alice\u{85}@example.com",
    "alice@example.com\u{85}",
    "alice@example.com\u{a0}",
    "alice@example.com\u{2028}",
    "alice\u{200b}@example.com",
    "\u{feff}alice@example.com",
    "alice\u{ad}@example.com",
    "\u{e1}lice@example.com",
    "a\u{301}lice@example.com",
    "al\u{131}ce@example.com",
    "AL\u{130}CE@example.com",
    "\u{ff41}lice@example.com",
    "alice\u{ff20}example.com",
    "alice@\u{ff45}xample.com",
    "alice@example\u{3002}com",
    "alice@ex\u{e4}mple.com",
    "alice@example.com.",
    "alice(x)@example.com",
    "alice@example.com(x)",
    "<alice@example.com>",
    "Alice <alice@example.com>",
    "mailto:alice@example.com",
    "alice@[127.0.0.1]",
    "alice",
];

/// Other spellings of Alice's address.
const HERS: [&str; 3] = ["alice@example.com", "ALICE@Example.COM", "  alice@example.com "];

/// All dialects, and a mail server that does not answer: what is sent does not matter here.
fn arrange(config: &mut Config) {
    DialectClient::all_on(config);
    let url = format!("url = \"smtp://localhost:{}\"", port::free());
    config.table("mail", &[&url, "from = \"no-reply@example.com\""]);
    config.table("signin", &["email_code = \"enroll\""]);
}

#[tokio::test]
async fn s_05_no_account_for_an_invalid_address() {
    let gateway = Gateway::start(arrange).await;
    let link = gateway.setup_link();
    let browser = Browser::new(&gateway);
    let long = [format!("{}@example.com", "a".repeat(65)), format!("alice@{}.com", "e.".repeat(130))];
    for wrong in HOSTILE.iter().copied().chain(long.iter().map(String::as_str)).chain(["", " "]) {
        let refused = browser.redeem(&link, Some(wrong), "Alice").await;
        assert_eq!(refused.status, 422, "{wrong:?}: {refused}");
    }
    let offer = browser.post("invitations/preview", &json!({ "token": secret_of(&link) })).await.expect(200);
    assert_eq!(offer.json()["kind"], "setup", "none of that used the link up");
    let user = browser.enrol(&link, HERS[1], "Alice", &mut Authenticator::new(1)).await;
    assert_eq!(user["email"], ALICE);
}

#[tokio::test]
async fn s_05_no_mail_to_an_invalid_address() {
    let mut scene = Scene::with(arrange, |_| {}).await;
    let browser = scene.anonymous();
    let token = scene.alice.get("sessions/current").await.json()["token"].clone();
    for wrong in HOSTILE {
        let asked = browser.post("verify", &json!({ "email": wrong })).await;
        assert_eq!(asked.status, 422, "verify {wrong:?}: {asked}");
        for method in ["passkey", "otp"] {
            let body = json!({ "method": method, "email": wrong, "token": token });
            let exchanged = browser.post("sessions", &body).await;
            assert_eq!(exchanged.status, 422, "sessions {method} {wrong:?}: {exchanged}");
        }
    }
    assert!(browser.session().is_none());
    for hers in HERS {
        browser.post("verify", &json!({ "email": hers })).await.expect(201);
        let owner = scene.anonymous();
        let token = owner.sign_in(&mut scene.device).await.expect(201).json()["token"].clone();
        owner
            .post("sessions", &json!({ "method": "passkey", "email": hers, "token": token }))
            .await
            .expect(201);
    }
}

/// Where a sign-in can begin or end with an address: a path to begin, whether the address stands in
/// its body, and a path to finish, followed by the address if it ends with a `=`.
const SIGN_INS: [(&str, bool, &str); 3] = [
    ("/auth/passkeys/authenticate/options", true, "/auth/passkeys/authenticate/verify"),
    ("/api/auth/passkey/login/begin", true, "/api/auth/passkey/login/finish"),
    ("/api/auth/passkey/login/begin", false, "/api/auth/passkey/login/finish?email="),
];

/// A malformed address is treated as an unknown one, and no answer tells the difference.
#[tokio::test]
async fn s_05_sign_in_for_an_invalid_address_fails() {
    for (begin, in_body, finish) in SIGN_INS {
        // There is a scene for each, because attempts with one passkey are limited.
        let mut scene = Scene::with(arrange, |_| {}).await;
        for address in HOSTILE.iter().chain(&HERS) {
            let browser = scene.anonymous();
            let body = if in_body { json!({ "email": address }) } else { json!({}) };
            let options = browser.call(Method::POST, begin, Some(&body)).await.expect(200).json();
            let answer = scene.device.get(&options, browser.origin());
            let encoded: String = url::form_urlencoded::byte_serialize(address.as_bytes()).collect();
            let finish = if in_body { finish.to_owned() } else { format!("{finish}{encoded}") };
            let reply = browser.call(Method::POST, &finish, Some(&answer)).await;
            let is_hers = HERS.contains(address);
            assert_eq!(reply.status == 401, !is_hers, "{address:?} at {begin}, {finish}: {reply}");
            assert_eq!(browser.session().is_some(), is_hers, "{address:?} at {begin}, {finish}: {reply}");
        }
    }
}

#[tokio::test]
async fn s_05_refuses_invitations_to_an_invalid_address() {
    let scene = Scene::set().await;
    // An argument cannot hold a NUL; and one address of each kind is enough, because each needs a
    // process.
    for wrong in [
        "bob@example.com@evil.example",
        "\"bob\"@example.com",
        "bob@example.com\n",
        "\tbob@example.com",
        "b\u{f6}b@example.com",
        "bo\u{308}b@example.com",
        "bob@example.com\u{200b}",
        "bob\u{ff20}example.com",
        "<bob@example.com>",
        "bob",
        "",
    ] {
        let refused = scene.gateway.cli(&["invite", wrong]);
        assert_eq!(refused.status.code(), Some(2), "{wrong:?}: {refused:?}");
        assert!(refused.stdout.is_empty(), "{wrong:?}");
    }
    assert!(scene.gateway.invite(" Bob@Example.com ", &[]).contains("/enroll#"));
}
