//! Forward-auth: other proxies ask about requests. The contracts by themselves, and nginx, Caddy and
//! `HAProxy` with the very configurations that docs/forward-auth.md prints.

use std::fs;
use std::path::Path;
use std::process::Command;

use reqwest::Method;
use tempfile::TempDir;

use crate::documents::{Proxy, snippet_of};
use crate::harness::config::Config;
use crate::harness::{Authenticator, Browser, Gateway, Recorded, Reply, Upstream};

const ALICE: &str = "alice@example.com";
const AUTH: &str = "auth.example.com";
const WIKI: &str = "wiki.example.com";
const IDENTITY: [&str; 5] =
    ["remote-user", "remote-email", "remote-name", "remote-groups", "x-vestibule-assertion"];
/// What clients try: identities, and other headers for the request that is asked about.
const FORGED: [(&str, &str); 7] = [
    ("remote-user", "root"),
    ("remote-groups", "admins"),
    ("x-vestibule-assertion", "e30.e30.e30"),
    ("x-forwarded-uri", "/health"),
    ("x-forwarded-host", "open.example.com"),
    ("x-forwarded-method", "OPTIONS"),
    ("x-original-uri", "/health"),
];

/// A gateway behind a proxy, in front of which `app` is served by that proxy.
async fn gateway(app: &Upstream, trusted: &str) -> Gateway {
    gateway_with(app, trusted, &["enabled = true"]).await
}

async fn gateway_with(app: &Upstream, trusted: &str, forward_auth: &[&str]) -> Gateway {
    let trusted = format!("trusted_proxies = [\"{trusted}\"]");
    let arrange = |config: &mut Config| {
        config.tls(AUTH);
        config.proxied = true;
        config.rp_id = Some("example.com".to_owned());
        config.server.push(trusted);
        config.table("forward_auth", forward_auth);
        config.route("wiki", app.port).host(WIKI).public(&["/health"]);
        config.route("staff", app.port).host(WIKI).path("/staff").allow(&["group:staff"]);
    };
    Gateway::start(arrange).await
}

/// Asks the gateway itself, as the proxy in front would.
struct Front<'a> {
    gateway: &'a Gateway,
    client: reqwest::Client,
}

impl<'a> Front<'a> {
    fn of(gateway: &'a Gateway) -> Self {
        let stay = reqwest::redirect::Policy::none();
        let client = reqwest::Client::builder().no_proxy().redirect(stay).build().unwrap();
        Self { gateway, client }
    }

    async fn ask(&self, method: Method, below: &str, headers: &[(&str, &str)]) -> reqwest::Response {
        let url = format!("http://127.0.0.1:{}/auth{below}", self.gateway.port);
        let request = headers
            .iter()
            .fold(self.client.request(method, url), |it, (name, value)| it.header(*name, *value));
        request.send().await.unwrap()
    }

    /// Through Caddy's contract.
    async fn forward(&self, uri: &str, more: &[(&str, &str)]) -> reqwest::Response {
        let own = [
            ("x-forwarded-method", "GET"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", WIKI),
            ("x-forwarded-uri", uri),
        ];
        self.ask(Method::GET, "/forward", &[&own, more].concat()).await
    }

    /// Through nginx's contract.
    async fn request(&self, uri: &str, more: &[(&str, &str)]) -> reqwest::Response {
        let url = format!("https://{WIKI}{uri}");
        let own = [("x-original-url", url.as_str()), ("x-original-method", "GET")];
        self.ask(Method::GET, "/request", &[&own, more].concat()).await
    }
}

const PAGE: [(&str, &str); 2] = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];

#[tokio::test]
async fn anonymous_clients_are_redirected_or_get_401_per_contract() {
    let app = Upstream::start();
    let gateway = gateway(&app, "127.0.0.1").await;
    let front = Front::of(&gateway);
    let sign_in = format!("{}/auth/login?to=", gateway.origin());
    let sent = front.forward("/page?x=1", &PAGE).await;
    assert_eq!(sent.status(), 302);
    assert!(sent.headers()["location"].to_str().unwrap().starts_with(&sign_in), "{sent:?}");
    assert!(sent.headers().contains_key("set-cookie"), "the return target is bound to the browser");
    let sent = front.request("/page?x=1", &PAGE).await;
    assert_eq!(sent.status(), 401);
    assert!(sent.headers()["location"].to_str().unwrap().starts_with(&sign_in), "{sent:?}");
    assert!(sent.headers().contains_key("set-cookie"));
    for script in [front.forward("/page", &[]).await, front.request("/page", &[]).await] {
        assert_eq!(script.status(), 401);
        assert!(!script.headers().contains_key("location"), "{script:?}");
    }
    // Envoy appends the path, and keeps method and host.
    let own = [("host", WIKI), ("x-forwarded-proto", "https")];
    let sent = front.ask(Method::GET, "/forward/page?x=1", &[&own[..], &PAGE].concat()).await;
    assert_eq!(sent.status(), 302);
    let sent = front.ask(Method::POST, "/forward/page", &own).await;
    assert_eq!(sent.status(), 401);
    assert!(app.take().is_empty(), "a question is not forwarded");
}

#[tokio::test]
async fn a_public_path_and_an_unknown_host_are_answered_as_the_proxy_would() {
    let app = Upstream::start();
    let gateway = gateway(&app, "127.0.0.1").await;
    let front = Front::of(&gateway);
    for yes in [front.forward("/health", &[]).await, front.request("/health", &[]).await] {
        assert_eq!(yes.status(), 200);
        for name in IDENTITY {
            assert_eq!(yes.headers()[name], "", "{name} is not complete");
        }
        assert!(!yes.headers().contains_key("set-cookie"));
        assert_eq!(yes.text().await.unwrap(), "");
    }
    let head = [("x-original-url", "https://wiki.example.com/health"), ("x-original-method", "GET")];
    assert_eq!(front.ask(Method::HEAD, "/request", &head).await.status(), 200);
    // A path with two readings, a host that is not ours, and our own prefix.
    for (uri, status) in [("/%2e%2e/health", 400), ("//health", 400), ("/auth/login", 404)] {
        assert_eq!(front.forward(uri, &[]).await.status(), status, "{uri}");
        assert_eq!(front.request(uri, &[]).await.status(), 403, "{uri}");
    }
    let elsewhere = [("x-original-url", "https://evil.example/health"), ("x-original-method", "GET")];
    assert_eq!(front.ask(Method::GET, "/request", &elsewhere).await.status(), 403);
}

#[tokio::test]
async fn refuses_ambiguous_forward_auth_requests_with_reason() {
    let app = Upstream::start();
    let gateway = gateway(&app, "127.0.0.1").await;
    let front = Front::of(&gateway);
    assert_eq!(front.forward("/health", &[]).await.status(), 200);
    for (more, said) in [
        (("x-original-url", "https://wiki.example.com/staff"), "X-Original-URL"),
        (("x-original-uri", "/staff"), "X-Original-URI"),
        (("x-forwarded-uri", "/health"), "X-Forwarded-Uri is there more than once"),
        (("x-original-method", "POST"), "X-Original-Method"),
    ] {
        let refused = front.forward("/health", &[more]).await;
        assert_eq!(refused.status(), 400, "{more:?}");
        let text = refused.text().await.unwrap();
        assert!(text.contains(said), "{text}");
    }
    let missing = front.ask(Method::GET, "/forward", &[("x-forwarded-proto", "https")]).await;
    assert_eq!((missing.status().as_u16(), missing.text().await.unwrap().contains("missing")), (400, true));
}

#[tokio::test]
async fn refuses_untrusted_peers() {
    let app = Upstream::start();
    let gateway = gateway(&app, "192.0.2.1").await;
    let front = Front::of(&gateway);
    for refused in [front.forward("/health", &[]).await, front.request("/health", &[]).await] {
        assert_eq!(refused.status(), 403);
        assert!(!refused.headers().contains_key("remote-user"));
        assert!(refused.text().await.unwrap().contains("trusted_proxies"));
    }
    // Where it is off, there is no such address.
    let plain = Gateway::start(|config| {
        config.route("app", app.port);
    })
    .await;
    assert_eq!(Front::of(&plain).ask(Method::GET, "/forward", &[("host", "localhost")]).await.status(), 404);
}

/// Alice's browser, enrolled through the proxy in front.
async fn alice(gateway: &Gateway) -> (Browser, Authenticator) {
    let (browser, mut device) = (Browser::new(gateway), Authenticator::new(1));
    browser.enrol(&gateway.setup_link(), ALICE, "Alice", &mut device).await;
    (browser, device)
}

async fn page(browser: &Browser, url: &str, forged: &[(&str, &str)]) -> Reply {
    let request = browser.navigation(url);
    browser.send(forged.iter().fold(request, |it, (name, value)| it.header(*name, *value))).await
}

fn identity(seen: &Recorded) -> Vec<String> {
    IDENTITY.iter().map(|name| seen.values(name).concat()).collect()
}

/// What must hold behind every proxy: signing in, coming back, being named, and being refused.
async fn check_behind(gateway: &Gateway, app: &Upstream) {
    let wiki = |path: &str| format!("{}{path}", gateway.origin_of(WIKI));
    let anonymous = Browser::new(gateway);
    anonymous.navigate(&wiki("/health")).await.expect(200);
    assert_eq!(identity(&app.take_one()).concat(), "");
    let (alice, _device) = alice(gateway).await;
    let (arrived, hops) = alice.arrive(&wiki("/page?x=1")).await;
    assert_eq!((arrived.status, arrived.url.as_str()), (200, wiki("/page?x=1").as_str()), "{hops:?}");
    let seen = app.take_one();
    assert_eq!((seen.value("remote-user"), seen.target()), ("alice".to_owned(), "/page?x=1".to_owned()));
    assert!(seen.value("x-vestibule-assertion").len() > 100);

    for forged in FORGED {
        // One header at a time, so that one refusal does not hide another.
        let reply = page(&alice, &wiki("/page"), &[forged]).await;
        match reply.status {
            200 => assert_eq!(app.take_one().value("remote-user"), "alice", "{forged:?}"),
            400 | 403 => assert!(app.take().is_empty(), "{forged:?}"),
            other => panic!("{forged:?}: {other}: {reply}"),
        }
        let reply = page(&anonymous, &wiki("/page"), &[forged]).await;
        assert!(matches!(reply.status, 302 | 400 | 401 | 403), "{forged:?}: {reply}");
        let reply = page(&anonymous, &wiki("/health"), &[forged]).await;
        if reply.status == 200 {
            let named = identity(&app.take_one()).concat();
            assert_eq!(named, "", "{forged:?} arrived");
        }
    }
    app.take();
    // Refused by its group, and a script's 401.
    alice.navigate(&wiki("/staff/")).await.expect(403);
    gateway.operate(&["user", "groups", "alice", "staff"]);
    alice.navigate(&wiki("/staff/")).await.expect(200);
    assert_eq!(app.take_one().value("remote-groups"), "staff");
    anonymous.fetch(Method::GET, &wiki("/page"), None).await.expect(401);
    // A change from a page of another origin, with her cookies.
    let foreign = alice.request(Method::POST, &wiki("/page")).header("sec-fetch-site", "same-site");
    alice.send(foreign.header("origin", "https://evil.example.com")).await.expect(403);
    let own = alice.fetch(Method::POST, &wiki("/page"), Some(&serde_json::json!({}))).await;
    assert_eq!((own.status, app.take_one().value("remote-user")), (200, "alice".to_owned()));
    // After a sign-out here, the other proxy has an anonymous client at once.
    alice.delete("sessions/").await.expect(204);
    alice.fetch(Method::GET, &wiki("/page"), None).await.expect(401);
    assert!(app.take().is_empty());
}

/// The document's configuration for a proxy, with the places of this test.
fn configuration(language: &str, gateway: &Gateway, app: &Upstream, here: &Path) -> String {
    let text = snippet_of("docs/forward-auth.md", language);
    text.replace("127.0.0.1:8080", &format!("127.0.0.1:{}", gateway.port))
        .replace("127.0.0.1:9000", &format!("127.0.0.1:{}", app.port))
        .replace("/etc/nginx", &here.display().to_string())
        .replace("/etc/haproxy", &here.display().to_string())
}

/// A folder with the certificate of the proxy in front.
fn certificate(gateway: &Gateway) -> TempDir {
    let folder = TempDir::new().unwrap();
    let (cert, key) = gateway.authority.issue(&[AUTH, WIKI].map(str::to_owned), folder.path());
    let (cert, key) = (fs::read_to_string(cert).unwrap(), fs::read_to_string(key).unwrap());
    fs::write(folder.path().join("tls.key"), &key).unwrap();
    fs::write(folder.path().join("both.pem"), format!("{cert}{key}")).unwrap();
    fs::write(folder.path().join("tls.pem"), cert).unwrap();
    folder
}

/// nginx with these servers, ended with the test.
async fn nginx(servers: &str, gateway: &Gateway, folder: &Path) -> Proxy {
    let here = folder.display();
    let servers = servers.replace("listen 443 ssl", &format!("listen 127.0.0.1:{} ssl", gateway.tls_port));
    let text = format!(
        "daemon off;\nmaster_process off;\npid {here}/nginx.pid;\nerror_log {here}/error.log;\nevents {{}}\n\
         http {{\naccess_log off;\nclient_body_temp_path {here}/body;\nproxy_temp_path {here}/proxy;\n\
         fastcgi_temp_path {here}/fastcgi;\nuwsgi_temp_path {here}/uwsgi;\nscgi_temp_path {here}/scgi;\n{servers}\n}}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let tested = Command::new("/usr/sbin/nginx").args(["-t", "-c", file]).output().unwrap();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
    Proxy::start("/usr/sbin/nginx", &["-c", file], gateway.tls_port, folder).await
}

#[tokio::test]
async fn documented_nginx_forward_auth_works() {
    let app = Upstream::start();
    let gateway = gateway(&app, "127.0.0.1").await;
    let folder = certificate(&gateway);
    let servers = configuration("nginx", &gateway, &app, folder.path());
    let _nginx = nginx(&servers, &gateway, folder.path()).await;
    check_behind(&gateway, &app).await;
}

const ALIASES: [&str; 3] = ["enabled = true", "oauth2_proxy = true", "webauthn_proxy = true"];

#[tokio::test]
async fn oauth2_proxy_configuration_works_with_one_change() {
    let app = Upstream::start();
    let gateway = gateway_with(&app, "127.0.0.1", &ALIASES).await;
    let folder = certificate(&gateway);
    let auth_host = configuration("nginx", &gateway, &app, folder.path());
    let auth_host = auth_host.split("\nserver {").next().unwrap().to_owned();
    let servers = auth_host + "\n" + &configuration("nginx-oauth2", &gateway, &app, folder.path());
    let _nginx = nginx(&servers, &gateway, folder.path()).await;

    let wiki = |path: &str| format!("{}{path}", gateway.origin_of(WIKI));
    let anonymous = Browser::new(&gateway);
    anonymous.navigate(&wiki("/health")).await.expect(200);
    app.take();
    let sent = anonymous.navigate(&wiki("/page?x=1")).await.expect(302);
    assert_eq!(sent.location().unwrap().path(), "/oauth2/sign_in");
    let (alice, _device) = alice(&gateway).await;
    let (arrived, hops) = alice.arrive(&wiki("/page?x=1")).await;
    assert_eq!((arrived.status, arrived.url.as_str()), (200, wiki("/page?x=1").as_str()), "{hops:?}");
    let seen = app.take_one();
    assert_eq!((seen.value("x-user"), seen.value("x-email")), ("alice".to_owned(), ALICE.to_owned()));
    alice.navigate(&wiki("/staff/")).await.expect(403);
    let info = alice.navigate(&wiki("/oauth2/userinfo")).await.expect(200).json();
    let expected = serde_json::json!({
        "user": "alice", "email": ALICE, "groups": [], "preferredUsername": "alice",
    });
    assert_eq!(info, expected);
    anonymous.fetch(Method::GET, &wiki("/oauth2/userinfo"), None).await.expect(401);
    let out = alice.navigate(&wiki("/oauth2/sign_out")).await;
    assert_eq!(out.location().unwrap().path(), "/auth/logout");
}

#[tokio::test]
async fn alias_answers_as_its_server_does() {
    let app = Upstream::start();
    let gateway = gateway_with(&app, "127.0.0.1", &ALIASES).await;
    let front = Front::of(&gateway);
    let ask = async |path: &str, headers: &[(&str, &str)]| {
        let url = format!("http://127.0.0.1:{}{path}", gateway.port);
        let request = front.client.get(url).header("host", WIKI);
        headers.iter().fold(request, |it, (name, value)| it.header(*name, *value)).send().await.unwrap()
    };
    for (path, yes) in [("/oauth2/auth", 202), ("/webauthn/auth", 200)] {
        let public = ask(path, &[("x-forwarded-uri", "/health")]).await;
        assert_eq!(public.status(), yes);
        for name in ["x-auth-request-user", "x-auth-request-email", "x-auth-request-groups", "remote-user"] {
            assert_eq!(public.headers()[name], "", "{name}");
        }
        assert_eq!(ask(path, &[("x-forwarded-uri", "/page")]).await.status(), 401);
        assert_eq!(ask(path, &[("x-original-uri", "/page")]).await.status(), 401);
        // Decisions about this host depend on the path, so a question without one is refused with
        // the reason.
        let unclear = ask(path, &[]).await;
        assert_eq!(unclear.status(), 400);
        assert!(unclear.text().await.unwrap().contains("X-Forwarded-Uri"));
        // A request that contradicts the proxy's own header is refused.
        let both = [("x-forwarded-uri", "/page"), ("x-original-uri", "/health")];
        assert_eq!(ask(path, &both).await.status(), 400);
        let both = [("x-forwarded-uri", "/page"), ("x-original-url", "https://wiki.example.com/health")];
        assert_eq!(ask(path, &both).await.status(), 400);
    }
    let elsewhere = ask("/webauthn/login?redirect_url=https://evil.example/", &PAGE).await;
    assert!(
        elsewhere.headers()["location"].to_str().unwrap().starts_with(&gateway.origin()),
        "{elsewhere:?}"
    );

    // Where they are off, the application has these addresses.
    let off = self::gateway(&app, "127.0.0.1").await;
    let url = format!("http://127.0.0.1:{}/oauth2/auth", off.port);
    let sent = front.client.get(url).header("host", WIKI).header("x-forwarded-proto", "https").send().await;
    assert_eq!(sent.unwrap().status(), 401);
}

#[tokio::test]
async fn documented_caddy_forward_auth_works() {
    let app = Upstream::start();
    let gateway = gateway(&app, "127.0.0.1").await;
    let folder = certificate(&gateway);
    let here = folder.path().display();
    // A certificate of the test's own instead of one from a public authority.
    let own = format!(".example.com {{\n    bind 127.0.0.1\n    tls {here}/tls.pem {here}/tls.key\n");
    let sites = configuration("caddyfile", &gateway, &app, folder.path()).replace(".example.com {\n", &own);
    let text = format!(
        "{{\n    admin off\n    https_port {}\n    auto_https disable_redirects\n}}\n{sites}",
        gateway.tls_port
    );
    let file = folder.path().join("Caddyfile");
    fs::write(&file, text).unwrap();
    let arguments = ["run", "--adapter", "caddyfile", "--config", file.to_str().unwrap()];
    let _caddy = Proxy::start("/usr/bin/caddy", &arguments, gateway.tls_port, folder.path()).await;
    check_behind(&gateway, &app).await;
}

#[tokio::test]
async fn documented_haproxy_forward_auth_works() {
    let app = Upstream::start();
    let gateway = gateway(&app, "127.0.0.1").await;
    let folder = certificate(&gateway);
    let lua = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/vestibule.lua");
    assert!(fs::read_to_string(lua).unwrap().lines().count() <= 60, "it has grown");
    fs::copy(lua, folder.path().join("vestibule.lua")).unwrap();
    let text = configuration("haproxy", &gateway, &app, folder.path())
        .replace("bind :443", &format!("bind 127.0.0.1:{}", gateway.tls_port))
        .replace("/tls.pem", "/both.pem");
    let file = folder.path().join("haproxy.cfg");
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let tested = Command::new("/usr/sbin/haproxy").args(["-c", "-f", file]).output().unwrap();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
    let _haproxy = Proxy::start("/usr/sbin/haproxy", &["-f", file], gateway.tls_port, folder.path()).await;
    check_behind(&gateway, &app).await;
}

#[tokio::test]
async fn page_names_missing_and_leaked_headers() {
    let app = Upstream::start();
    let gateway = gateway(&app, "127.0.0.1").await;
    let folder = certificate(&gateway);
    let servers = configuration("nginx", &gateway, &app, folder.path());
    let _nginx = nginx(&servers, &gateway, folder.path()).await;
    let front = Front::of(&gateway);
    let (alice, _device) = alice(&gateway).await;
    let url = gateway.url("/auth/forward/test");
    // The page is not a 200, which would be a yes for a proxy that asks about this very path.
    let page = async || alice.navigate(&url).await.expect(203).text();
    let text = page().await;
    assert!(text.contains(WIKI) && text.contains("Not since the gateway started"), "{text}");

    // As the document says, and whatever a client writes.
    let forged = FORGED.iter().filter(|(name, _)| name.starts_with("x-"));
    let request = alice.navigation(&format!("{}/page", gateway.origin_of(WIKI)));
    alice.send(forged.fold(request, |it, (name, value)| it.header(*name, *value))).await;
    let text = page().await;
    assert!(text.contains("The question is complete") && !text.contains("passes this header on"), "{text}");

    // A header that the other proxy lets through, even if it says the same.
    front.forward("/page", &[("x-original-uri", "/page")]).await;
    assert!(page().await.contains("X-Original-URI: the proxy passes this header on"));
    // A header that the other proxy has forgotten.
    let own = [("x-forwarded-host", WIKI), ("x-forwarded-proto", "https"), ("x-forwarded-uri", "/page")];
    front.ask(Method::GET, "/forward", &own).await;
    let text = page().await;
    assert!(text.contains("the header X-Forwarded-Method is missing"), "{text}");

    // The page is for administrators.
    let sent = Browser::new(&gateway).navigate(&url).await.expect(303);
    assert_eq!(sent.location().unwrap().path(), "/auth/login");
    // On the host of an application it is what Envoy asks about a page called /test.
    let own = [("host", WIKI), ("x-forwarded-proto", "https")];
    assert_eq!(front.ask(Method::GET, "/forward/test", &own).await.status(), 401);
}
