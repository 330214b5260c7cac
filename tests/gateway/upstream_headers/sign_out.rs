//! `logout_url`: signing out of the application signs out here, and our sign-out page calls the
//! application's address.

use crate::harness::upstream::response;
use crate::harness::{Browser, Recorded, Scene, Upstream, raw};

/// An application that ends its own session at `/logout`, or refuses to.
fn application() -> Upstream {
    Upstream::answering(|request: &Recorded| match request.target().as_str() {
        "/logout?refuse=1" => response("403 Forbidden", &[], "no"),
        target if target.starts_with("/logout") => {
            response("302 Found", &[("Location", "/"), ("Set-Cookie", "app=; Max-Age=0; Path=/")], "")
        }
        _ => response("200 OK", &[], "hello"),
    })
}

async fn scene() -> Scene {
    Scene::before(
        application(),
        |_| {},
        |route| {
            route.line("logout_url = \"/logout\"");
        },
    )
    .await
}

async fn is_signed_in(browser: &Browser) -> bool {
    browser.account().await.is_some()
}

#[tokio::test]
async fn application_sign_out_ends_the_session() {
    let mut scene = scene().await;
    let bob = scene.invited("bob@example.com", 2).await.0;
    let elsewhere = scene.anonymous();
    elsewhere.sign_in(&mut scene.device).await.expect(201);
    let reply = scene.alice.navigate(&scene.url("/logout")).await.expect(302);
    assert_eq!(
        reply.header("set-cookie"),
        "app=; Max-Age=0; Path=/",
        "the application's answer arrives whole"
    );
    assert_eq!(scene.app.take_one().value("remote-user"), "alice", "it was told who signs out");
    assert!(!is_signed_in(&scene.alice).await);
    scene.alice.navigate(&scene.url("/")).await.expect(303);
    assert!(scene.app.take().is_empty());
    assert!(is_signed_in(&elsewhere).await && is_signed_in(&bob).await, "other sessions stay");
    let events = scene.gateway.operate(&["audit", "--json", "--event", "signed_out", "--user", "alice"]);
    assert!(events.contains("\"signed_out\""), "{events}");
}

#[tokio::test]
async fn unintended_requests_do_not_sign_out() {
    let scene = scene().await;
    let cookie = format!("Cookie: vestibule={}", scene.alice.session().unwrap());
    let ask = |method: &str, target: &str, more: &[&str]| {
        let lines: Vec<_> =
            std::iter::once(cookie.clone()).chain(more.iter().map(|it| (*it).to_owned())).collect();
        raw::request(scene.gateway.port, method, "localhost", target, &lines).status()
    };
    for (method, target, more, status) in [
        ("GET", "/logout", &["Sec-Fetch-Site: same-site"][..], 302),
        ("GET", "/logout", &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"], 302),
        ("GET", "/logout", &["Sec-Fetch-Site: same-origin", "Sec-Purpose: prefetch"], 302),
        ("HEAD", "/logout", &[], 302),
        ("GET", "/logout?refuse=1", &[], 403),
        ("GET", "/logouts", &[], 302),
        ("GET", "/", &["Referer: http://localhost/logout"], 200),
        ("POST", "/logout", &["Sec-Fetch-Site: cross-site", "Content-Length: 0"], 403),
    ] {
        assert_eq!(ask(method, target, more), status, "{method} {target} {more:?}");
        assert!(is_signed_in(&scene.alice).await, "{method} {target} {more:?}");
    }
    assert_eq!(ask("POST", "/logout", &["Sec-Fetch-Site: same-origin", "Content-Length: 0"]), 302);
    assert!(!is_signed_in(&scene.alice).await, "the control");
}

#[tokio::test]
async fn an_access_token_has_no_session_to_end() {
    let scene = scene().await;
    let token = crate::access_tokens::token(&scene.gateway, "alice", &[]);
    let line = format!("Authorization: Bearer {token}");
    for _ in 0..2 {
        let reply = raw::get(scene.gateway.port, "localhost", "/logout", std::slice::from_ref(&line));
        assert_eq!(reply.status(), 302, "{}", reply.0);
    }
    assert!(is_signed_in(&scene.alice).await);
}

#[tokio::test]
async fn the_page_asks_only_applications_that_the_user_may_enter() {
    let scene = Scene::with(
        |config| {
            config
                .route("staff", 1)
                .path("/staff")
                .allow(&["group:staff"])
                .line("logout_url = \"/staff/out?a=1\"");
        },
        |route| {
            route.line("logout_url = \"/logout\"");
        },
    )
    .await;
    let origin = scene.gateway.origin();
    for (groups, expected) in [
        (&[][..], format!("{origin}/logout")),
        (&["staff"], format!("{origin}/staff/out?a=1 {origin}/logout")),
    ] {
        scene.gateway.operate(&[&["user", "groups", "alice"], groups].concat());
        for page in ["/auth/logout", "/auth/account"] {
            let page = scene.alice.navigate(&scene.url(page)).await.expect(200);
            assert!(page.text().contains(&format!("data-applications=\"{expected}\"")), "{page}");
            let policy = page.header("content-security-policy");
            assert!(policy.contains(&format!("connect-src 'self' {origin}")), "{policy}");
        }
    }
    let anonymous = scene.anonymous().navigate(&scene.url("/auth/logout")).await.expect(200);
    assert!(!anonymous.text().contains("data-applications"), "{anonymous}");
    assert!(anonymous.header("content-security-policy").contains("connect-src 'self';"), "{anonymous}");
}
