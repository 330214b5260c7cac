//! A new configuration without a restart: its changes, the state that stays, and refused files.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::harness::config::Config;
use crate::harness::tls::Authority;
use crate::harness::{
    Authenticator, Browser, Gateway, Mode, PostOffice, Scene, Upstream, port, socket, until,
};

const WIKI: &str = "wiki.localhost";

/// A route for the file.
fn route(name: &str, host: &str, upstream: u16, allow: &str) -> String {
    format!(
        "\n[[route]]\nname = \"{name}\"\nhost = \"{host}\"\nupstream = [\"http://127.0.0.1:{upstream}\"]\n\
         allow = [\"{allow}\"]\n"
    )
}

fn reload(gateway: &Gateway) -> String {
    gateway.operate(&["reload"])
}

/// A refused reload; returns the message for the operator.
fn refused(gateway: &Gateway) -> String {
    let output = gateway.cli(&["reload"]);
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn metric(gateway: &Gateway, name: &str) -> u64 {
    let url = format!("http://127.0.0.1:{}/metrics", gateway.metrics_port);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let text = client.get(url).send().await.unwrap().text().await.unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    let line = line.unwrap_or_else(|| panic!("no {name} in\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

async fn ready(gateway: &Gateway) -> Value {
    Browser::new(gateway).get("ready").await.expect(200).json()
}

#[tokio::test]
async fn reload_applies_rules_to_open_sessions() {
    let scene = Scene::set().await;
    let gateway = &scene.gateway;
    let (bob, _) = scene.invited("bob@example.com", 41).await;
    bob.navigate(&scene.url("/page")).await.expect(200);
    assert_eq!(scene.app.take().pop().unwrap().value("remote-user"), "bob");
    let mut his = socket::open(gateway, &bob).await;
    his.says("one").await;

    // A change that does not concern the route leaves its streams alone. The session that is open
    // sees the new names of headers at once.
    gateway.edit(|text| text.replace("allow = [\"user\"]", "allow = [\"user\"]\nheaders = \"oauth2-proxy\""));
    assert_eq!(reload(gateway), "The configuration is in force.\n");
    his.says("two").await;
    scene.app.take();
    bob.navigate(&scene.url("/page")).await.expect(200);
    let seen = scene.app.take_one();
    assert!(seen.values("remote-user").is_empty(), "{}", seen.text());

    // Bob may not enter any more, and Alice may.
    gateway.operate(&["user", "groups", "alice", "staff"]);
    let mut hers = socket::open(gateway, &scene.alice).await;
    hers.says("one").await;
    gateway.edit(|text| text.replace("allow = [\"user\"]", "allow = [\"group:staff\"]"));
    reload(gateway);
    his.ends().await;
    hers.says("two").await;
    bob.navigate(&scene.url("/page")).await.expect(403);
    scene.alice.navigate(&scene.url("/page")).await.expect(200);

    // A route that is gone ends its streams.
    gateway.edit(|text| text.replace("name = \"app\"", "name = \"other\""));
    reload(gateway);
    hers.ends().await;
    scene.alice.navigate(&scene.url("/page")).await.expect(200);
    assert_eq!(metric(gateway, "vestibule_config_reloads_total{result=\"succeeded\"}").await, 3);
    // A request is counted when it is over, which is a moment after its answer has arrived.
    let forwarded = "vestibule_requests_total{outcome=\"forwarded\",route=\"other\"}";
    until(forwarded, async || (metric(gateway, forwarded).await > 0).then_some(())).await;
}

#[tokio::test]
async fn anonymous_stream_ends_when_its_path_is_no_longer_public() {
    const PUBLIC: &str = "public = [\"/socket\"]";
    let app = Upstream::start();
    let gateway = Gateway::start(|config: &mut Config| {
        config.route("app", app.port).public(&["/socket"]);
    })
    .await;
    let anonymous = Browser::new(&gateway);
    let mut open = socket::open(&gateway, &anonymous).await;
    open.says("one").await;
    let also = "public = [\"/socket\", \"/feed\"]";
    gateway.edit(|text| text.replace(PUBLIC, also));
    reload(&gateway);
    open.says("two").await;
    gateway.edit(|text| text.replace(also, "public = [\"/feed\"]"));
    reload(&gateway);
    open.ends().await;

    gateway.edit(|text| text.replace("public = [\"/feed\"]", PUBLIC));
    reload(&gateway);
    let mut open = socket::open(&gateway, &anonymous).await;
    open.says("one").await;
    gateway.edit(|text| text.replace("name = \"app\"", "name = \"other\""));
    reload(&gateway);
    open.ends().await;
}

#[tokio::test]
async fn a_stream_ends_when_another_route_takes_its_path() {
    let scene = Scene::set().await;
    let gateway = &scene.gateway;
    let mut hers = socket::open(gateway, &scene.alice).await;
    hers.says("one").await;
    // Beside it, nothing changes; over it, another route decides, which lets staff in alone.
    let beside = format!("{}path = \"/wiki\"\n", route("wiki", "localhost", scene.app.port, "group:staff"));
    gateway.edit(|text| format!("{text}{beside}"));
    reload(gateway);
    hers.says("two").await;
    gateway.edit(|text| text.replace("path = \"/wiki\"", "path = \"/socket\""));
    reload(gateway);
    hers.ends().await;
    scene.alice.navigate(&scene.url("/socket")).await.expect(403);
}

#[tokio::test]
async fn a_new_host_is_served_and_an_old_one_is_unknown_on_sighup() {
    let scene = Scene::set().await;
    let (gateway, wiki) = (&scene.gateway, Upstream::start());
    let url = format!("{}/page", gateway.origin_of(WIKI));
    scene.anonymous().navigate(&url).await.expect(421);
    gateway.edit(|text| text + &route("wiki", WIKI, wiki.port, "user"));
    let hang_up = || Command::new("kill").args(["-HUP", &gateway.pid().to_string()]).status().unwrap();
    assert!(hang_up().success());
    gateway.wait_for_log("the configuration has been taken in").await;
    let (page, _) = scene.alice.arrive(&url).await;
    page.expect(200);
    assert_eq!(wiki.take().pop().unwrap().value("remote-user"), "alice");
    // The tile is on her page as well.
    assert!(scene.alice.navigate(&scene.url("/auth/account")).await.expect(200).text().contains(WIKI));
    gateway.edit(|text| text.replace(&route("wiki", WIKI, wiki.port, "user"), ""));
    reload(gateway);
    scene.alice.navigate(&url).await.expect(421);
    let audit = gateway.operate(&["audit", "--event", "reload"]);
    let actors: Vec<_> = audit.lines().map(|line| line.rsplit("actor=").next().unwrap()).collect();
    assert_eq!(actors, ["operator", "gateway"], "a signal does not say whose it is");
}

#[tokio::test]
async fn reload_refuses_a_file_with_mistakes() {
    let scene = Scene::set().await;
    let gateway = &scene.gateway;
    assert_eq!(ready(gateway).await, json!({ "status": "ready" }));
    assert_eq!(metric(gateway, "vestibule_config_last_reload_successful").await, 1);
    let since = metric(gateway, "vestibule_config_last_reload_success_timestamp_seconds").await;
    assert!(since > 1_700_000_000);
    // The mistake is beside a valid change.
    gateway.edit(|text| text.replace("allow = [\"user\"]", "allow = [\"group:nobody\"]\ntimeout = 7"));
    let told = refused(gateway);
    assert!(told.contains("route") && told.contains("timeout"), "{told}");
    assert!(told.contains("The old configuration stays in force."), "{told}");
    scene.alice.navigate(&scene.url("/page")).await.expect(200);
    assert_eq!(ready(gateway).await, json!({ "status": "ready", "configuration": "refused" }));
    assert_eq!(metric(gateway, "vestibule_config_last_reload_successful").await, 0);
    assert_eq!(metric(gateway, "vestibule_config_reloads_total{result=\"refused\"}").await, 1);
    gateway.wait_for_log("the new configuration is refused; the old one stays in force").await;
    // A picture that cannot be read is found before anything is exchanged, too.
    gateway.edit(|text| text.replace("\ntimeout = 7", "") + "\n[branding]\nlogo = \"/nowhere/logo.svg\"\n");
    assert!(refused(gateway).contains("/nowhere/logo.svg"));
    scene.alice.navigate(&scene.url("/page")).await.expect(200);
    gateway.edit(|text| text.replace("logo = \"/nowhere/logo.svg\"", "name = \"Home\""));
    // The name that authenticators show needs a restart; the name on our pages does not.
    assert!(reload(gateway).contains("relying_party.name"));
    scene.alice.navigate(&scene.url("/page")).await.expect(403);
    assert_eq!(ready(gateway).await, json!({ "status": "ready" }));
    let page = scene.anonymous().navigate(&scene.url("/auth/login")).await.expect(200);
    assert!(page.text().contains("Home"), "{}", page.text());
}

#[tokio::test]
async fn reload_names_settings_that_need_a_restart() {
    let scene = Scene::set().await;
    let gateway = &scene.gateway;
    gateway.edit(|text| {
        text.replace("workers = 2", "workers = 3").replace("allow = [\"user\"]", "allow = [\"group:nobody\"]")
    });
    let said = reload(gateway);
    assert!(said.contains("These keys count after a restart: server.workers."), "{said}");
    scene.alice.navigate(&scene.url("/page")).await.expect(403);
    // It is named until there is a restart.
    assert!(reload(gateway).contains("server.workers"));

    gateway.edit(|text| {
        text.replace("group:nobody", "user")
            + "\n[relying_party]\nrelated_origins = [\"https://localhost\"]\n"
    });
    let told = refused(gateway);
    assert!(told.contains("relying_party.related_origins cannot change while the gateway runs"), "{told}");
    scene.alice.navigate(&scene.url("/page")).await.expect(403);
}

#[tokio::test]
async fn reload_fails_without_a_gateway() {
    let mut scene = Scene::set().await;
    scene.gateway.stop();
    let told = refused(&scene.gateway);
    assert!(told.contains("no gateway"), "{told}");
}

#[tokio::test]
async fn mail_and_sign_up_can_be_switched_on() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let scene = Scene::set().await;
    let carol = scene.anonymous();
    let body = json!({ "email": "carol@example.com" });
    carol.post("signup", &body).await.expect_problem(404);
    scene.gateway.edit(|text| {
        format!(
            "{text}\n[mail]\nurl = \"smtp://localhost:{port}\"\nfrom = \"no-reply@example.com\"\n\
             [signup]\nmode = \"open\"\n"
        )
    });
    reload(&scene.gateway);
    carol.post("signup", &body).await.expect(201);
    let code = office.code(1).await;
    let told = json!({ "email": "carol@example.com", "code": code, "name": "Carol" });
    carol.post("signup/confirm", &told).await.expect(201);
    carol.register(&mut Authenticator::new(5)).await.expect(200);
}

/// The certificate that a client gets.
async fn certificate(gateway: &Gateway, trusted: &Authority) -> bool {
    let host = "auth.example.com";
    let to = ([127, 0, 0, 1], gateway.tls_port).into();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_built_in_root_certs(false)
        .add_root_certificate(reqwest::Certificate::from_pem(trusted.certificate().as_bytes()).unwrap())
        .resolve(host, to)
        .build()
        .unwrap();
    client.get(format!("https://{host}:{}/auth/health", gateway.tls_port)).send().await.is_ok()
}

#[tokio::test]
async fn certificates_of_other_files_are_served_at_once() {
    let gateway = Gateway::start(|config: &mut Config| config.tls("auth.example.com")).await;
    let other = Authority::new();
    let place = gateway.directory().join("other");
    std::fs::create_dir(&place).unwrap();
    let (cert, key) = other.issue(&["auth.example.com".to_owned()], &place);
    assert!(certificate(&gateway, &gateway.authority).await);
    assert!(!certificate(&gateway, &other).await);
    let broken = gateway.directory().join("broken.pem");
    std::fs::write(&broken, "not a key").unwrap();
    let set = |text: String, cert: &str, key: &str| {
        let kept = text.lines().filter(|line| !line.starts_with("cert = ") && !line.starts_with("key = "));
        let text = kept.collect::<Vec<_>>().join("\n");
        text.replace("[server.tls]\n", &format!("[server.tls]\ncert = \"{cert}\"\nkey = \"{key}\"\n"))
    };
    let cert = cert.display().to_string();
    gateway.edit(|text| set(text, &cert, &broken.display().to_string()));
    assert!(refused(&gateway).contains("broken.pem"));
    assert!(certificate(&gateway, &gateway.authority).await);
    gateway.edit(|text| set(text, &cert, &key.display().to_string()));
    reload(&gateway);
    assert!(certificate(&gateway, &other).await);
    assert!(!certificate(&gateway, &gateway.authority).await);
}

/// How often the configuration is exchanged under load, and how many clients ask meanwhile.
const RELOADS: usize = 30;
const CLIENTS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_during_reloads() {
    let scene = Scene::set().await;
    let gateway = &scene.gateway;
    let mut open = socket::open(gateway, &scene.alice).await;
    let (done, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let (alice, url) = (scene.alice.another(), scene.url("/page"));
        *alice.jar() = scene.alice.jar().clone();
        let (done, served) = (Arc::clone(&done), Arc::clone(&served));
        asking.spawn(async move {
            while !done.load(Ordering::Relaxed) {
                alice.navigate(&url).await.expect(200);
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for turn in 0..RELOADS {
        let (from, to) = if turn % 2 == 0 { ("remote", "oauth2-proxy") } else { ("oauth2-proxy", "remote") };
        gateway.edit(|text| match turn {
            0 => text.replace("allow = [\"user\"]", "allow = [\"user\"]\nheaders = \"oauth2-proxy\""),
            _ => text.replace(&format!("= \"{from}\""), &format!("= \"{to}\"")),
        });
        let before = served.load(Ordering::Relaxed);
        reload(gateway);
        open.says("still here").await;
        // Every set of rules has served some of them.
        let enough = async || (served.load(Ordering::Relaxed) >= before + 2 * CLIENTS).then_some(());
        until("answers by these rules", enough).await;
    }
    done.store(true, Ordering::Relaxed);
    while let Some(asked) = asking.join_next().await {
        asked.unwrap();
    }
    let counted = metric(gateway, "vestibule_config_reloads_total{result=\"succeeded\"}").await;
    assert_eq!(counted, u64::try_from(RELOADS).unwrap());
}

#[tokio::test]
async fn reload_reads_the_routes_directory() {
    let app = Upstream::start();
    let folder = tempfile::tempdir().unwrap();
    let directory = format!("routes_directory = \"{}\"", folder.path().display());
    let gateway = Gateway::start(|config: &mut Config| {
        config.server.push(directory);
        config.route("app", app.port).public(&["/*"]);
    })
    .await;
    let wiki = gateway.origin_of(WIKI);
    let client = Browser::new(&gateway);
    client.navigate(&wiki).await.expect(421);
    let file = folder.path().join("wiki.toml");
    std::fs::write(&file, route("wiki", WIKI, app.port, "user") + "public = [\"/*\"]\n").unwrap();
    reload(&gateway);
    client.navigate(&wiki).await.expect(200);
    // A mistake in one names the file, and the rules that are in force go on.
    std::fs::write(&file, "[[route]]\nname = \"wiki\"\n").unwrap();
    let told = refused(&gateway);
    assert!(told.contains("wiki.toml:1: route.host"), "{told}");
    client.navigate(&wiki).await.expect(200);
    std::fs::remove_file(&file).unwrap();
    reload(&gateway);
    client.navigate(&wiki).await.expect(421);
}

#[tokio::test]
async fn reload_applies_limits() {
    let scene = Scene::with(
        |config| config.table("limits", &["network_burst = 6", "network_per_second = 1"]),
        |_| {},
    )
    .await;
    let attempts = async |scene: &Scene| {
        let mut taken = 0;
        for _ in 0..30 {
            let reply = scene.anonymous().post("invitations/preview", &json!({ "token": "x" })).await;
            match reply.status {
                410 => taken += 1,
                429 => {}
                other => panic!("{other}: {reply}"),
            }
        }
        taken
    };
    let few = attempts(&scene).await;
    assert!(few < 10, "{few}");
    scene.gateway.edit(|text| text.replace("network_burst = 6", "network_burst = 1000"));
    reload(&scene.gateway);
    assert_eq!(attempts(&scene).await, 30);
    // The same limits again forget nothing.
    scene.gateway.edit(|text| text.replace("network_burst = 1000", "network_burst = 6"));
    reload(&scene.gateway);
    let few = attempts(&scene).await;
    assert!(few < 10, "{few}");
    reload(&scene.gateway);
    let fewer = attempts(&scene).await;
    assert!(fewer <= few.min(3), "{fewer}");
}
