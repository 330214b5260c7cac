//! Sessions: bound to one browser, new at every sign-in, gone when they are ended, and never
//! mixed up (S-01, S-06, S-17, S-20, S-27, S-28).

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::raw;
use crate::harness::upstream::{Upstream, response};
use crate::harness::{Authenticator, Browser, Config, Scene};

/// Whether this cookie opens the application, in a browser that has nothing else.
async fn opens(scene: &Scene, cookie: &str) -> bool {
    let browser = scene.anonymous();
    browser.jar().plant("localhost", browser.session_cookie_name(), cookie);
    let reply = browser.fetch(Method::GET, &scene.url("/page"), None).await;
    assert!([200, 401].contains(&reply.status), "{reply}");
    let api = browser.is_signed_in().await;
    assert_eq!(api, reply.status == 200, "the application and our own endpoints disagree");
    api
}

#[tokio::test]
async fn s_01_a_ceremony_belongs_to_the_browser_that_began_it() {
    let mut scene = Scene::set().await;
    let (attacker, victim) = (scene.anonymous(), scene.anonymous());
    let options = attacker.sign_in_options().await;
    let answer = scene.device.get(&options, attacker.origin());
    // In a browser without a ceremony, and in one with its own.
    victim.post("passkeys/authenticate/verify", &answer).await.expect_problem(401);
    victim.sign_in_options().await;
    victim.post("passkeys/authenticate/verify", &answer).await.expect_problem(401);
    // Neither attempt has used up the other browser's ceremony.
    attacker.post("passkeys/authenticate/verify", &answer).await.expect(201);
    assert!(victim.session().is_none());
    let begun = victim.set_cookies("challenge").into_iter().filter(|cookie| !cookie.removes());
    for cookie in begun {
        assert_eq!(cookie.attributes.get("samesite").map(String::as_str), Some("Strict"));
        assert!(cookie.attributes.contains_key("httponly") && !cookie.attributes.contains_key("domain"));
    }
}

#[tokio::test]
async fn s_01_refuses_cross_site_sign_in_and_sign_out() {
    let mut scene = Scene::set().await;
    let victim = scene.anonymous();
    let options = victim.sign_in_options().await;
    let answer = scene.device.get(&options, victim.origin());
    let foreign = |browser: &Browser, method: Method, below: &str| {
        let request = browser.request(method, &browser.api(below)).json(&answer);
        request.header("origin", "https://evil.example").header("sec-fetch-site", "cross-site")
    };
    let reply = victim.send(foreign(&victim, Method::POST, "passkeys/authenticate/verify")).await;
    reply.expect(403);
    assert!(victim.session().is_none(), "login CSRF");
    // With Alice's cookie, a change is anonymous unless it comes from our own page.
    for (origin, site) in [
        (Some("https://evil.example"), None),
        (Some("null"), None),
        (Some("http://localhost"), None),
        (None, Some("cross-site")),
        (None, Some("same-site")),
        (None, Some("none")),
        (Some(scene.alice.origin()), Some("cross-site")),
        (None, None),
    ] {
        let add = |request: reqwest::RequestBuilder| {
            let request = match origin {
                Some(origin) => request.header("origin", origin),
                None => request,
            };
            match site {
                Some(site) => request.header("sec-fetch-site", site),
                None => request,
            }
        };
        let alice = &scene.alice;
        let cookie = alice.session().unwrap();
        let request = alice.request(Method::POST, &alice.api("passkeys/register/options"));
        alice.send(add(request)).await.expect(401);
        let request = alice.request(Method::DELETE, &alice.api("sessions/others"));
        alice.send(add(request)).await.expect(401);
        let request = alice.request(Method::DELETE, &alice.api("sessions/"));
        alice.send(add(request)).await;
        let request = alice.request(Method::POST, &scene.url("/auth/logout"));
        if site.is_some() || origin != Some(alice.origin()) {
            alice.send(add(request)).await;
        }
        alice.jar().plant("localhost", "vestibule", &cookie);
        assert!(opens(&scene, &cookie).await, "signed out by {origin:?} {site:?}");
    }
}

#[tokio::test]
async fn s_06_sign_in_page_clears_an_invalid_cookie() {
    let scene = Scene::set().await;
    let cookie = scene.alice.session().unwrap();
    let reply = scene.alice.delete("sessions/").await.expect(204);
    assert!(!reply.headers.contains_key("clear-site-data"), "the application's storage is cleared: {reply}");
    assert!(scene.alice.session().is_none(), "sign-out leaves the cookie");
    assert!(!opens(&scene, &cookie).await, "sign-out leaves the session");
    for stale in [cookie.as_str(), "junk", ""] {
        let browser = scene.anonymous();
        browser.jar().plant("localhost", "vestibule", stale);
        let reply = browser.navigate(&scene.url("/auth/login")).await.expect(200);
        assert!(browser.session().is_none(), "{stale:?} is still there: {reply}");
    }
    // And the browser was not sent anything that would sign it in.
    let last = scene.alice.set_cookies("vestibule").pop().unwrap();
    assert!(last.removes() && last.value.is_empty());
}

#[tokio::test]
async fn s_06_the_form_signs_out_too() {
    let scene = Scene::set().await;
    let cookie = scene.alice.session().unwrap();
    let form = scene.alice.request(Method::POST, &scene.url("/auth/logout"));
    let form = form.header("origin", "null").header("sec-fetch-site", "same-origin");
    let form = form.header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "document");
    let reply = scene.alice.send(form).await;
    assert!((300..400).contains(&reply.status), "{reply}");
    assert!(!reply.headers.contains_key("clear-site-data"), "the application's storage is cleared: {reply}");
    assert!(scene.alice.session().is_none());
    assert!(!opens(&scene, &cookie).await);
}

#[tokio::test]
async fn s_17_ended_session_is_refused_at_once_and_after_a_restart() {
    let mut scene = Scene::set().await;
    let mut dead = Vec::new();
    let mut device = scene.device.clone();
    // Ended from another browser, one by one and together.
    for below in ["one", "others"] {
        let browser = scene.anonymous();
        browser.sign_in(&mut device).await.expect(201);
        let cookie = browser.session().unwrap();
        assert!(opens(&scene, &cookie).await);
        let sessions = scene.alice.sessions().await;
        let other = sessions.iter().find(|session| session["current"] == false).unwrap();
        let below = if below == "one" { other["id"].as_str().unwrap() } else { below };
        scene.alice.delete(&format!("sessions/{below}")).await.expect(204);
        assert!(!opens(&scene, &cookie).await, "sessions/{below}");
        dead.push(cookie);
    }
    // By the operator, and with the passkey that opened it.
    let browser = scene.anonymous();
    browser.sign_in(&mut device).await.expect(201);
    dead.push(browser.session().unwrap());
    scene.gateway.operate(&["session", "end", "alice@example.com"]);
    assert!(!opens(&scene, &dead[2]).await, "vestibule session end");
    scene.alice.sign_in(&mut device).await.expect(201);
    let mut key = Authenticator::new(50);
    scene.alice.register(&mut key).await.expect(200);
    let browser = scene.anonymous();
    browser.sign_in(&mut key).await.expect(201);
    dead.push(browser.session().unwrap());
    let passkeys = scene.alice.passkeys().await;
    scene.alice.delete(&format!("passkeys/{}", passkeys[1]["id"].as_str().unwrap())).await.expect(204);
    assert!(!opens(&scene, &dead[3]).await, "a removed passkey's session");
    assert_eq!(browser.sign_in(&mut key).await.status, 401, "a removed passkey");
    // By closing the account.
    let (bob, mut bobs) = scene.invited("bob@example.com", 2).await;
    dead.push(bob.session().unwrap());
    scene.gateway.operate(&["user", "disable", "bob@example.com"]);
    assert!(!opens(&scene, &dead[4]).await, "a disabled account's session");
    assert_eq!(scene.anonymous().sign_in(&mut bobs).await.status, 401, "a disabled account");

    let alice = scene.alice.session().unwrap();
    scene.gateway.restart().await;
    for cookie in &dead {
        assert!(!opens(&scene, cookie).await, "a restart revived a session");
    }
    assert!(opens(&scene, &alice).await, "a restart ended a session");
    scene.gateway.operate(&["user", "enable", "bob@example.com"]);
    assert!(!opens(&scene, &dead[4]).await, "enabling an account revived a session");
}

#[tokio::test]
async fn s_20_concurrent_users_are_not_mixed_up() {
    const ROUNDS: usize = 150;
    let app = Upstream::answering(|request| {
        response("200 OK", &[], &format!("{:?} {}", request.values("remote-user"), request.target()))
    });
    let scene = Scene::before(app, |_| {}, |_| {}).await;
    let (bob, _) = scene.invited("bob@example.com", 2).await;
    let people = [("alice", scene.alice.clone()), ("bob", bob), ("nobody", scene.anonymous())];
    let requests: Vec<_> = (0..ROUNDS)
        .map(|number| {
            let (name, browser) = people[number % 3].clone();
            let url = scene.url(&format!("/same?{number}"));
            tokio::spawn(async move { (name, number, browser.fetch(Method::GET, &url, None).await) })
        })
        .collect();
    for request in requests {
        let (name, number, reply) = request.await.unwrap();
        if name == "nobody" {
            reply.expect_problem(401);
        } else {
            assert_eq!(reply.text(), format!("[\"{name}\"] /same?{number}"));
        }
    }
}

#[tokio::test]
async fn s_27_ignores_duplicate_or_foreign_cookies() {
    let scene = Scene::set().await;
    let token = scene.alice.session().unwrap();
    let (bob, _) = scene.invited("bob@example.com", 2).await;
    let other = bob.session().unwrap();
    scene.app.take();
    let port = scene.gateway.port;
    for lines in [
        vec![format!("Cookie: vestibule={token}; vestibule={token}")],
        vec![format!("Cookie: vestibule={token}; vestibule=")],
        vec![format!("Cookie: vestibule={token}; a=1; vestibule={other}")],
        vec![format!("Cookie: vestibule={token}"), format!("Cookie: vestibule={other}")],
        vec![format!("Cookie: vestibule={token}; vestibule")],
        vec![format!("Cookie: vestibule=\"{token}\"")],
        vec![format!("Cookie: Vestibule={token}")],
        vec![format!("Cookie: __Host-vestibule={token}")],
        vec![format!("Cookie: =vestibule={token}")],
        vec![format!("Cookie: x=vestibule={token}")],
        vec![format!("Cookie: a=\"; vestibule={token}; b=\"; vestibule={other}")],
        vec![format!("Cookie2: vestibule={token}")],
        vec![format!("Cookie: vestibule={token},{token}")],
    ] {
        let reply = raw::get(port, "localhost", "/page", &lines);
        assert_eq!(reply.status(), 401, "{lines:?}: {}", reply.0);
    }
    assert!(scene.app.take().is_empty());
    let reply = raw::get(port, "localhost", "/page", &[format!("Cookie: a=1; vestibule={token}; b=2")]);
    assert_eq!(reply.status(), 200, "{}", reply.0);
}

#[tokio::test]
async fn s_27_an_application_cannot_set_our_cookies() {
    let app = Upstream::answering(|_| {
        let cookies = [
            ("Set-Cookie", "vestibule=evil; Path=/"),
            ("Set-Cookie", "sid=1; Path=/; HttpOnly"),
            ("set-cookie", "__Host-vestibule=evil; Path=/; Secure"),
            ("SET-COOKIE", " vestibule =evil"),
            ("Set-Cookie", "vestibule-nonce=evil"),
            ("Set-Cookie", "__Host-vestibule-nonce=evil; Secure; Path=/"),
            ("Set-Cookie", "vestibule"),
            ("Set-Cookie", "theme=a=b; vestibule=evil"),
        ];
        response("200 OK", &cookies, "hello")
    });
    let scene = Scene::before(
        app,
        |_| {},
        |route| {
            route.public(&["/open"]);
        },
    )
    .await;
    let token = scene.alice.session().unwrap();
    for lines in [vec![format!("Cookie: vestibule={token}")], Vec::new()] {
        let reply = raw::get(scene.gateway.port, "localhost", "/open", &lines);
        let kept = ["sid=1; Path=/; HttpOnly", "theme=a=b; vestibule=evil"];
        assert_eq!(reply.values("set-cookie"), kept, "{}", reply.0);
    }
}

#[tokio::test]
async fn s_28_sign_in_makes_a_new_session() {
    let mut scene = Scene::set().await;
    // Alice's own: the old one ends in the same moment.
    let old = scene.alice.session().unwrap();
    let id = scene.alice.sessions().await[0]["id"].clone();
    scene.alice.sign_in(&mut scene.device).await.expect(201);
    let new = scene.alice.session().unwrap();
    assert_ne!(old, new);
    let sessions = scene.alice.sessions().await;
    assert!(sessions.iter().all(|session| session["id"] != id), "the session id survived a sign-in");
    assert!(!opens(&scene, &old).await);
    // An attacker's valid session, a session that may only enrol, and nonsense, in the victim's
    // browser.
    let (mallory, _) = scene.invited("mallory@example.com", 3).await;
    let enrolling = scene.anonymous();
    enrolling.redeem(&scene.gateway.invite("eve@example.com", &[]), None, "Eve").await.expect(201);
    for planted in [mallory.session().unwrap(), enrolling.session().unwrap(), "A".repeat(430)] {
        let victim = scene.anonymous();
        victim.jar().plant("localhost", "vestibule", &planted);
        victim.sign_in(&mut scene.device).await.expect(201);
        assert_ne!(victim.session().unwrap(), planted);
        assert_eq!(victim.account().await.as_deref(), Some("alice@example.com"));
        let attacker = scene.anonymous();
        attacker.jar().plant("localhost", "vestibule", &planted);
        assert_ne!(attacker.account().await.as_deref(), Some("alice@example.com"), "fixation");
    }
}

#[tokio::test]
async fn s_28_an_exchanged_token_is_a_new_session_and_works_once() {
    let mut scene = Scene::set().await;
    let browser = scene.anonymous();
    let token = browser.sign_in(&mut scene.device).await.json()["token"].as_str().unwrap().to_owned();
    let before = browser.session().unwrap();
    let body = json!({ "method": "passkey", "email": "alice@example.com", "token": token });
    browser.post("sessions/", &body).await.expect(201);
    assert!(!opens(&scene, &before).await, "the exchanged session lives on");
    assert!(opens(&scene, &browser.session().unwrap()).await);
    browser.post("sessions/", &body).await.expect_problem(401);
}

/// A token that a script, a log or another machine has got hold of yields no cookie.
#[tokio::test]
async fn f_03_a_token_without_the_cookie_of_its_sign_in_opens_no_application() {
    let mut scene = Scene::with(crate::dialect_clients::DialectClient::all_on, |_| {}).await;
    let browser = scene.anonymous();
    let told = browser.sign_in(&mut scene.device).await.json()["token"].clone();
    let current = browser.get("sessions/current").await.expect(200).json()["token"].clone();
    let url = scene.url("/api/auth/get-session");
    let better_auth = browser.fetch(Method::GET, &url, None).await.expect(200).json();
    let better_auth = better_auth["session"]["token"].clone();
    let body = |token: &Value| json!({ "method": "passkey", "email": "alice@example.com", "token": token });
    let thief = scene.anonymous();
    for token in [&told, &current, &better_auth] {
        assert!(token.is_string(), "{token}");
        let refused = thief.post("sessions/", &body(token)).await;
        assert_eq!(refused.expect_problem(401)["code"], "token_invalid");
    }
    assert!(thief.session().is_none());
    // With the cookie, only the sign-in's own token is accepted.
    for token in [&current, &better_auth] {
        let refused = browser.post("sessions/", &body(token)).await;
        assert_eq!(refused.expect_problem(401)["code"], "token_invalid");
    }
    browser.post("sessions/", &body(&told)).await.expect(201);
}

/// A user who signs out means the session, whatever else their program sends along.
#[tokio::test]
async fn s_17_invalid_token_does_not_keep_the_session_alive() {
    let mut scene = Scene::with(crate::dialect_clients::DialectClient::all_on, |_| {}).await;
    let ways = [
        (Method::DELETE, "/auth/sessions/"),
        (Method::DELETE, "/auth/sessions/current"),
        (Method::POST, "/api/auth/sign-out"),
        (Method::POST, "/v2/me/logout"),
    ];
    for (method, path) in ways {
        for token in ["dead", "undefined", ""] {
            let browser = scene.anonymous();
            browser.sign_in(&mut scene.device).await.expect(201);
            let copied = browser.session().unwrap();
            let request = browser.fetching(method.clone(), &scene.url(path), None);
            let reply = browser.send(request.header("authorization", format!("Bearer {token}"))).await;
            assert!((200..300).contains(&reply.status), "{reply}");
            browser.jar().plant("localhost", browser.session_cookie_name(), &copied);
            assert!(!browser.is_signed_in().await, "{method} {path} with {token:?}");
        }
        // With a good token and a cookie of another session, both sessions end.
        let (browser, other) = (scene.anonymous(), scene.anonymous());
        browser.sign_in(&mut scene.device).await.expect(201);
        let token = other.sign_in(&mut scene.device).await.expect(201).json()["token"].clone();
        let copied = browser.session().unwrap();
        let request = browser.fetching(method.clone(), &scene.url(path), None);
        browser.send(request.bearer_auth(token.as_str().unwrap())).await;
        browser.jar().plant("localhost", browser.session_cookie_name(), &copied);
        assert!(!browser.is_signed_in().await && !other.is_signed_in().await, "{method} {path}");
    }
    assert!(scene.alice.is_signed_in().await);
}

/// A token is good from wherever it is shown; a cookie only where a page of ours has sent the
/// request.
#[tokio::test]
async fn s_01_without_a_page_of_ours_a_token_signs_out_and_a_cookie_does_not() {
    let mut scene = Scene::with(crate::dialect_clients::DialectClient::all_on, |_| {}).await;
    let (browser, other) = (scene.anonymous(), scene.anonymous());
    browser.sign_in(&mut scene.device).await.expect(201);
    let token = other.sign_in(&mut scene.device).await.expect(201).json()["token"].clone();
    let copied = browser.session().unwrap();
    let request = || browser.request(Method::POST, &scene.url("/v2/me/logout"));
    let reply = browser.send(request()).await;
    assert!((400..500).contains(&reply.status), "{reply}");
    let reply = browser.send(request().bearer_auth(token.as_str().unwrap())).await;
    assert!((200..300).contains(&reply.status), "{reply}");
    browser.jar().plant("localhost", browser.session_cookie_name(), &copied);
    assert!(browser.is_signed_in().await && !other.is_signed_in().await);
}

/// A form of another site is sent without our cookie, and its answer must take none away.
#[tokio::test]
async fn s_28_cross_site_sign_out_clears_no_cookies() {
    let scene = Scene::with(crate::dialect_clients::DialectClient::all_on, |_| {}).await;
    let ways = [
        (Method::DELETE, "/auth/sessions/"),
        (Method::POST, "/api/auth/sign-out"),
        (Method::POST, "/api/auth/passkey/generate-authenticate-options"),
        (Method::POST, "/v2/me/logout"),
        (Method::POST, "/auth/logout"),
    ];
    for (method, path) in ways {
        for (origin, site) in [("https://evil.example", "cross-site"), ("null", "cross-site")] {
            let anonymous = scene.anonymous();
            let form = anonymous.request(method.clone(), &scene.url(path)).header("origin", origin);
            let form = form.header("sec-fetch-site", site).header("sec-fetch-mode", "navigate");
            let reply = anonymous.send(form.header("content-type", "text/plain").body("x")).await;
            for header in ["clear-site-data", "set-cookie"] {
                assert!(!reply.headers.contains_key(header), "{header} for {method} {path}: {reply}");
            }
        }
    }
}

/// Browsers clear the cookies of the whole registrable domain when `"cookies"` is asked for, those
/// of other sites below it included.
#[tokio::test]
async fn f_18_signing_out_clears_our_own_storage_and_no_other_sites_cookies() {
    let arrange = |config: &mut Config| config.tls("auth.example.test");
    let scene = Scene::with(arrange, |route| {
        route.host("app.example.test");
    })
    .await;
    let reply = scene.alice.delete("sessions/").await.expect(204);
    assert_eq!(reply.header("clear-site-data"), "\"storage\"", "{reply}");
    assert!(scene.alice.session().is_none(), "our own cookie is taken back by name");
}
