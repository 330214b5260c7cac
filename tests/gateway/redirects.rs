//! Where people are sent: only to hosts of ours, to exactly where they were heading, and never
//! with a secret in the address (S-02, S-07), over TLS and across two hosts.

use reqwest::Method;
use url::Url;

use crate::harness::journey::secret_of;
use crate::harness::{Browser, Scene, raw};

const AUTH: &str = "auth.example.test";
const APP: &str = "app.example.test";

/// Addresses that have been open redirects elsewhere.
fn targets() -> Vec<String> {
    let hosts = [
        "evil.example",
        "evil.example:80",
        "localhost@evil.example",
        "localhost.evil.example",
        "evil.example#@localhost",
        "[::1]",
        "2130706433",
        "evil\u{3002}example",
    ];
    let starts = [
        "//",
        "///",
        "////",
        "/\\",
        "\\/",
        "\\\\",
        "\\",
        "/\t/",
        "/\n/",
        "/\r/",
        "/ /",
        "/\u{b}/",
        "/%09/",
        "/%0a/",
        "/%0d/",
        "/%20/",
        "/%5c",
        "/%2f",
        "%2f%2f",
        "%5c%5c",
        "http://",
        "https://",
        "HTTPS://",
        "http:",
        "https:/",
        "http:\\\\",
        "ftp://",
        "/./../../\\",
        "/.//",
        "/..//",
        "//\u{ad}",
        "\u{a0}//",
    ];
    let mut targets: Vec<_> =
        starts.iter().flat_map(|start| hosts.iter().map(move |host| format!("{start}{host}/x"))).collect();
    let odd = [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\tscript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "file:///etc/passwd",
        "about:blank",
        "blob:x",
        "",
        " ",
        "#",
        "?",
        "/",
        ".",
        "..",
        "x\r\nLocation: //evil.example",
        "https://good@bad.example/",
        "http://localhost:80%40evil.example/",
        "https:evil.example",
        "//evil.example%2f@localhost/",
    ];
    targets.extend(odd.map(str::to_owned));
    targets
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A page may name the host it was asked to lead to, but lead there only if it is ours.
#[track_caller]
fn check_stays_home(reply: &crate::harness::Reply, asked: &str) {
    assert!(reply.status < 500, "{asked:?}: {reply}");
    if let Some(location) = reply.location() {
        let home = Url::parse(reply.url.as_str()).unwrap();
        assert_eq!(location.origin(), home.origin(), "{asked:?}: {reply}");
        assert!(location.path().starts_with("/auth/"), "{asked:?}: {reply}");
    }
    for link in ["href=\"", "action=\"", "src=\"", "content=\"0;"] {
        for found in reply.text().split(link).skip(1) {
            let target = found.split('"').next().unwrap();
            let led = reply.url.join(target).unwrap();
            assert_eq!(led.origin(), reply.url.origin(), "{asked:?} leads to {target}");
        }
    }
}

#[tokio::test]
async fn s_02_no_parameter_redirects_elsewhere() {
    let scene = Scene::set().await;
    let targets = targets();
    assert!(targets.len() >= 200, "{}", targets.len());
    let anonymous = scene.anonymous();
    for target in &targets {
        let asked = encoded(target);
        for (browser, path) in [
            (&scene.alice, format!("/auth/login?to={asked}")),
            (&scene.alice, format!("/auth/login?next={asked}&rd={asked}&redirect_uri={asked}&done=1")),
            (&anonymous, format!("/auth/login?to={asked}&done=1")),
            (&anonymous, format!("/auth/logout?to={asked}&next={asked}")),
            (&anonymous, format!("/auth/account?to={asked}")),
        ] {
            let reply = browser.navigate(&scene.url(&path)).await;
            check_stays_home(&reply, target);
            // A page that comes back to itself without a session says so; all others are there.
            let statuses: &[u16] = if path.starts_with("/auth/login?to=") && path.ends_with("&done=1") {
                &[400]
            } else {
                &[200, 303]
            };
            assert!(statuses.contains(&reply.status), "{path}: {reply}");
        }
    }
    // Signing out does not redirect to other hosts either.
    let form = scene.alice.request(Method::POST, &scene.url("/auth/logout?to=//evil.example"));
    let form = form.header("sec-fetch-site", "same-origin").header("referer", "https://evil.example/");
    check_stays_home(&scene.alice.send(form).await, "logout");
}

#[tokio::test]
async fn s_02_return_target_is_the_exact_url_on_our_host() {
    let mut scene = Scene::set().await;
    let port = scene.gateway.port;
    for path in [
        "/deep/link?a=1&b=%20%2F#",
        "/?q=%C3%A9",
        "//evil.example/x",
        "///evil.example",
        "/%2f%2fevil.example",
        "/@evil.example",
        "/https://evil.example/",
        "/.evil.example",
        "/x?to=https://evil.example/",
        "/a;b=c/d?e",
        "/..//evil.example",
        "/%09/evil.example",
    ] {
        let path = path.trim_end_matches('#');
        let lines = ["Accept: text/html".to_owned(), "Sec-Fetch-Mode: navigate".to_owned()];
        let reply = raw::get(port, "localhost", path, &lines);
        if path == "/%09/evil.example" {
            assert_eq!(reply.status(), 400, "a control character, escaped or not: {}", reply.0);
            continue;
        }
        let login = reply.values("location").first().unwrap_or_else(|| panic!("{path}: {}", reply.0)).clone();
        let browser = scene.anonymous();
        browser.sign_in(&mut scene.device).await.expect(201);
        let next_step = browser.navigate(&login).await;
        assert_eq!(next_step.header("location"), scene.url(path), "{path}");
        assert_eq!(next_step.location().unwrap().port(), Some(port));
        assert_eq!(next_step.location().unwrap().host_str(), Some("localhost"));
    }
}

#[tokio::test]
async fn s_02_forged_headers_do_not_change_redirects() {
    let scene = Scene::set().await;
    for line in [
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Prefix: //evil.example",
        "Forwarded: host=evil.example",
        "X-Original-Host: evil.example",
        "Referer: https://evil.example/",
        "Origin: https://evil.example",
    ] {
        let lines = ["Accept: text/html".to_owned(), line.to_owned()];
        let reply = raw::get(scene.gateway.port, "localhost", "/deep", &lines);
        let location = reply.values("location");
        assert!(location[0].starts_with(&scene.url("/auth/login?to=")), "{line}: {location:?}");
    }
}

async fn two_hosts() -> Scene {
    let route = |route: &mut crate::harness::config::Route| {
        route.host(APP);
    };
    Scene::with(|config| config.tls(AUTH), route).await
}

/// Signs in from the application's host, as people do: the addresses on the way.
async fn arrive(scene: &mut Scene, browser: &Browser, path: &str) -> Vec<Url> {
    let there = format!("{}{path}", scene.gateway.origin_of(APP));
    let (login, mut hops) = browser.arrive(&there).await;
    login.expect(200);
    browser.sign_in(&mut scene.device).await.expect(201);
    let to = hops.last().unwrap().location().unwrap();
    let (page, more) = browser.arrive(to.as_str()).await;
    let page = page.expect(200);
    assert_eq!(page.url.as_str(), there, "not where they were heading");
    hops.extend(more);
    hops.iter().filter_map(crate::harness::Reply::location).collect()
}

#[tokio::test]
async fn s_07_redirect_urls_hold_no_lasting_secret() {
    let mut scene = two_hosts().await;
    let browser = scene.anonymous();
    let addresses = arrive(&mut scene, &browser, "/deep?x=1&y=%20").await;
    assert!(addresses.iter().any(|url| url.host_str() == Some(APP)), "{addresses:?}");
    let mut secrets: Vec<String> = browser
        .jar()
        .history
        .iter()
        .map(|cookie| cookie.value.clone())
        .filter(|value| value.len() > 8)
        .collect();
    secrets.push(browser.get("sessions/current").await.json()["token"].as_str().unwrap().to_owned());
    assert!(secrets.len() >= 4, "{secrets:?}");
    for secret in &secrets {
        assert!(
            addresses.iter().all(|url| !url.as_str().contains(secret.as_str())),
            "{secret} in {addresses:?}"
        );
    }
    // The hand-off's code is used up, for every client.
    let code = addresses.iter().find(|url| url.path() == "/auth/hand-off").expect("a hand-off");
    for again in [scene.anonymous(), browser.clone()] {
        let reply = again.navigate(code.as_str()).await;
        assert!(
            reply
                .headers
                .get("set-cookie")
                .is_none_or(|cookie| !cookie.to_str().unwrap().starts_with("__Host-vestibule=")),
            "{reply}"
        );
    }
    // Nor does the log hold any of it.
    let log = scene.gateway.log();
    secrets.push(code.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned());
    for secret in &secrets {
        assert!(!log.contains(secret.as_str()), "{secret} is in the log");
    }
}

#[tokio::test]
async fn s_07_invitation_secret_is_in_the_fragment() {
    let scene = Scene::set().await;
    let link = scene.gateway.invite("bob@example.com", &[]);
    let url = Url::parse(&link).unwrap();
    assert_eq!((url.path(), url.query()), ("/auth/enroll", None));
    assert_eq!(url.fragment(), Some(secret_of(&link)));
    assert!(secret_of(&link).len() >= 22, "fewer than 128 bits");
    let reply = scene.anonymous().navigate(&link).await.expect(200);
    assert_eq!(reply.header("referrer-policy"), "no-referrer");
    scene.anonymous().redeem(&link, None, "Bob").await.expect(201);
    assert!(!scene.gateway.log().contains(secret_of(&link)), "an invitation is in the log");
}

#[tokio::test]
async fn one_sign_in_and_one_sign_out_for_two_hosts() {
    let mut scene = two_hosts().await;
    let browser = scene.anonymous();
    arrive(&mut scene, &browser, "/deep").await;
    let there = format!("{}/page", scene.gateway.origin_of(APP));
    for cookie in browser.set_cookies("__Host-vestibule") {
        let attributes = &cookie.attributes;
        assert!(attributes.contains_key("httponly") && attributes.contains_key("secure"), "{cookie:?}");
        assert_eq!(attributes.get("samesite").map(String::as_str), Some("Lax"));
        assert!(!attributes.contains_key("domain") && cookie.value.len() < 1_024);
    }
    scene.app.take();
    browser.fetch(Method::GET, &there, None).await.expect(200);
    assert_eq!(scene.app.take_one().value("remote-user"), "alice");
    // The cookie of one host does not work on the other.
    let [auth, app] = [AUTH, APP].map(|host| browser.jar().get(host, "__Host-vestibule").unwrap());
    assert_ne!(auth, app);
    let thief = scene.anonymous();
    thief.jar().plant(APP, "__Host-vestibule", &auth);
    thief.fetch(Method::GET, &there, None).await.expect_problem(401);
    // A hand-off from another browser's way is refused.
    let (_, hops) = scene.anonymous().arrive(&there).await;
    let to = hops.last().unwrap().location().unwrap();
    let next_step = browser.navigate(to.as_str()).await;
    let foreign = next_step.location().unwrap();
    assert_eq!(foreign.host_str(), Some(APP));
    browser.jar().plant(APP, "__Host-vestibule", "none");
    let reply = browser.navigate(foreign.as_str()).await;
    assert!(
        !browser.is_signed_in().await
            || browser.jar().get(APP, "__Host-vestibule").as_deref() == Some("none"),
        "{reply}"
    );

    browser.jar().plant(APP, "__Host-vestibule", &app);
    browser.fetch(Method::GET, &there, None).await.expect(200);
    browser.delete("sessions/").await.expect(204);
    browser.fetch(Method::GET, &there, None).await.expect_problem(401);
}
