//! Pages: hostile text stays text, and every answer of ours has its security headers (S-13).

use reqwest::Method;
use serde_json::json;

use crate::harness::{Authenticator, Reply, Scene, raw};

const HOSTILE: [&str; 9] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'-alert(1)-'",
    "</title><script>alert(1)</script>",
    "{{7*7}}{% raw %}${7*7}",
    "javascript:alert(1)",
    "<b>x</b>",
    "--><svg/onload=alert(1)>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
];

/// Checks that a page is safe, whatever text it was given.
#[track_caller]
fn check_page(reply: &Reply, told: &str) {
    let page = reply.text();
    assert_eq!(reply.header("x-content-type-options"), "nosniff", "{reply}");
    assert_eq!(reply.header("referrer-policy"), "no-referrer", "{reply}");
    assert_eq!(reply.header("cache-control"), "no-store", "{reply}");
    assert_eq!(reply.header("cross-origin-opener-policy"), "same-origin");
    let policy = reply.header("content-security-policy");
    for directive in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    ] {
        assert!(policy.split(';').any(|found| found.trim() == directive), "{directive}: {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    assert!(reply.headers.keys().all(|name| !name.as_str().starts_with("access-control-")), "{reply}");
    if !reply.header("content-type").starts_with("text/html") {
        return;
    }
    for wrong in ["<script>", "<img src=x", "<svg/onload", "<b>x", "style=\"", "href=\"javascript:", "<style"]
    {
        assert!(!page.contains(wrong), "{told:?} became {wrong}: {page}");
    }
    for tag in page.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()) {
        // Text in quotes is a value.
        let names: String = tag.split('"').step_by(2).collect();
        let handler = names.split_whitespace().skip(1).any(|word| word.starts_with("on"));
        assert!(!handler, "{told:?}: <{tag}>");
    }
}

#[tokio::test]
async fn s_13_escapes_user_and_passkey_names() {
    let scene = Scene::set().await;
    for (number, name) in (10..).zip(HOSTILE) {
        let mut device = Authenticator::new(number);
        let browser = scene.anonymous();
        let email = format!("p{number}@example.com");
        let link = scene.gateway.invite(&email, &[&format!("--name={name}")]);
        browser.enrol(&link, &email, name, &mut device).await;
        let id = browser.passkeys().await[0]["id"].as_str().unwrap().to_owned();
        let renamed = browser.patch(&format!("passkeys/{id}"), &json!({ "name": name })).await.expect(200);
        assert_eq!(renamed.json()["name"], name);
        let options = browser.post("passkeys/authenticate/options", &json!({})).await.expect(200).json();
        let answer = device.get(&options, browser.origin());
        let verify =
            browser.fetching(Method::POST, &browser.api("passkeys/authenticate/verify"), Some(&answer));
        browser
            .send(verify.header("user-agent", name.chars().filter(char::is_ascii).collect::<String>()))
            .await
            .expect(201);
        let page = browser.navigate(&scene.url("/auth/account")).await.expect(200);
        check_page(&page, name);
        let said = page.text();
        let escaped =
            said.replace("&#60;", "<").replace("&#62;", ">").replace("&#34;", "\"").replace("&#39;", "'");
        let escaped = escaped
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#38;", "&")
            .replace("&amp;", "&");
        assert!(name.contains('&') || escaped.contains(name), "{name} is not on the page: {said}");
    }
}

#[tokio::test]
async fn s_13_escapes_request_values() {
    let scene = Scene::set().await;
    let anonymous = scene.anonymous();
    for hostile in HOSTILE {
        let asked: String = url::form_urlencoded::byte_serialize(hostile.as_bytes()).collect();
        let path: String = asked.replace('+', "%20");
        for (browser, address) in [
            (&anonymous, format!("/auth/login?to={asked}")),
            (&anonymous, format!("/auth/login?to={asked}&done={asked}")),
            (&anonymous, format!("/auth/enroll?x={asked}")),
            (&anonymous, format!("/auth/logout?x={asked}")),
            (&anonymous, format!("/auth/{path}")),
            (&anonymous, format!("/auth/hand-off?code={asked}")),
            (&scene.alice, format!("/auth/account?welcome={asked}")),
            (&scene.alice, format!("/auth/passkeys/{path}")),
        ] {
            let reply = browser.navigate(&scene.url(&address)).await;
            check_page(&reply, hostile);
        }
        let planted = scene.anonymous();
        planted.jar().plant("localhost", "vestibule-nonce", &asked);
        check_page(&planted.navigate(&scene.url("/auth/login?done=1")).await, hostile);
    }
    // The page for an unknown host names that host.
    let lines = ["Accept: text/html".to_owned()];
    for host in ["evil.example", "<script>alert(1)</script>", "\"><img src=x>"] {
        let reply = raw::get(scene.gateway.port, host, "/", &lines);
        assert!([400, 421].contains(&reply.status()), "{}", reply.0);
        assert!(!reply.0.contains("<script>alert") && !reply.0.contains("<img src=x"), "{}", reply.0);
    }
}

#[tokio::test]
async fn s_13_security_headers_only_on_our_pages() {
    let scene = Scene::set().await;
    let reply = scene.alice.navigate(&scene.url("/page")).await.expect(200);
    for name in ["content-security-policy", "x-frame-options", "strict-transport-security", "clear-site-data"]
    {
        assert!(reply.headers.get(name).is_none(), "{name} was added to an application's answer");
    }
    // No answer of ours lets another origin read it, preflights included.
    for below in ["sessions/current", "passkeys/authenticate/options", "login", "health", "jwks.json"] {
        let request = scene.alice.request(Method::OPTIONS, &scene.alice.api(below));
        let request =
            request.header("origin", "https://evil.example").header("access-control-request-method", "POST");
        let reply = scene.alice.send(request).await;
        assert!(reply.headers.keys().all(|name| !name.as_str().starts_with("access-control-")), "{reply}");
    }
}

#[tokio::test]
async fn s_13_sends_hsts_over_https() {
    let scene = Scene::with(|config| config.tls("auth.example.test"), |_| {}).await;
    let page = scene.anonymous().navigate(&scene.url("/auth/login")).await.expect(200);
    assert!(page.header("strict-transport-security").starts_with("max-age=31536000"), "{page}");
    check_page(&page, "");
}

/// A picture that is opened as a document, an operator's logo among them, can run nothing.
#[tokio::test]
async fn f_23_assets_keep_their_own_csp() {
    let scene = Scene::set().await;
    let mark = scene.anonymous().navigate(&scene.url("/auth/assets/mark.svg")).await.expect(200);
    assert!(mark.header("content-security-policy").ends_with("; sandbox"), "{mark}");
    assert_eq!(mark.header("x-content-type-options"), "nosniff");
    let page = scene.anonymous().navigate(&scene.url("/auth/login")).await.expect(200);
    assert!(page.header("content-security-policy").contains("script-src 'self'"), "{page}");
}

#[tokio::test]
async fn pages_show_contact_and_footer_links() {
    let icon = concat!(env!("CARGO_MANIFEST_DIR"), "/src/pages/files/mark.svg");
    let lines = [
        "name = \"Example Works\"",
        "contact = \"help@example.com\"",
        &format!("favicon = {icon:?}"),
        "links = [\"Imprint <https://example.com/imprint>\", \"Privacy <https://example.com/privacy>\"]",
    ];
    let scene = Scene::with(|config| config.table("branding", &lines), |_| {}).await;
    let refused = scene.anonymous().navigate(&scene.url("/a/%2e%2e/b%00")).await.expect(400);
    assert!(refused.text().contains("<a href=\"mailto:help@example.com\">"), "{refused}");
    let page = scene.anonymous().navigate(&scene.url("/auth/login")).await.expect(200).text();
    for link in ["https://example.com/imprint", "https://example.com/privacy"] {
        assert!(page.contains(&format!("<a href=\"{link}\" rel=\"noreferrer\">")), "{page}");
    }
    let (_, rest) = page.split_once("<link rel=\"icon\" href=\"").unwrap();
    let (address, _) = rest.split_once('"').unwrap();
    assert!(address.starts_with("/auth/assets/favicon?v="), "{address}");
    let icon = scene.anonymous().navigate(&scene.url(address)).await.expect(200);
    assert_eq!(icon.header("content-type"), "image/svg+xml");
    // Authenticators show the same name, unless the configuration sets another.
    let options = scene.alice.registration_options().await;
    assert_eq!(options["rp"]["name"], "Example Works", "{options}");
}
