//! `credentials`: Basic and bearer tokens that the gateway writes, from files that it alone reads.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use crate::harness::config::Config;
use crate::harness::{Scene, raw};

const SECRET: &str = "open sesame: ä";

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

/// A file that only its owner can read, and its path as the configuration has it.
fn secret(folder: &TempDir, name: &str, content: &str) -> String {
    let file = folder.path().join(name);
    fs::write(&file, content).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    format!("{:?}", file.display().to_string())
}

async fn scene(credentials: &str) -> Scene {
    Scene::with(
        |_| {},
        |route| {
            route.public(&["/open"]).line(&format!("credentials = {credentials}"));
        },
    )
    .await
}

fn cookie(scene: &Scene) -> String {
    format!("Cookie: vestibule={}", scene.alice.session().unwrap())
}

#[tokio::test]
async fn route_credentials_are_sent_as_basic() {
    let folder = tempfile::tempdir().unwrap();
    let file = secret(&folder, "password", &format!("{SECRET}\n"));
    let scene = scene(&format!("{{ basic = {{ password_file = {file} }} }}")).await;
    let expected = basic(&format!("alice:{SECRET}"));
    let own = "Authorization: Basic cm9vdDpyb290";
    for lines in [vec![], vec![own], vec![own, "authorization: Bearer x"], vec!["AUTHORIZATION: Digest y"]] {
        let lines: Vec<_> = lines.iter().map(|line| (*line).to_owned()).chain([cookie(&scene)]).collect();
        let reply = raw::get(scene.gateway.port, "localhost", "/page", &lines);
        assert_eq!(reply.status(), 200, "{}", reply.0);
        let seen = scene.app.take_one();
        assert_eq!(seen.values("authorization"), [expected.as_str()], "{lines:?}");
        assert_eq!(seen.value("remote-user"), "alice");
    }
    // By an access token it is the same user, and the token stays here.
    let token = crate::access_tokens::token(&scene.gateway, "alice", &[]);
    for line in [format!("Authorization: Bearer {token}"), format!("X-Vestibule-Token: {token}")] {
        let reply = raw::get(scene.gateway.port, "localhost", "/page", &[line]);
        assert_eq!(reply.status(), 200, "{}", reply.0);
        assert_eq!(scene.app.take_one().values("authorization"), [expected.as_str()]);
    }
    // An anonymous client has no identity, whatever it says.
    for lines in [vec![], vec![own.to_owned()]] {
        let reply = raw::get(scene.gateway.port, "localhost", "/open", &lines);
        assert_eq!(reply.status(), 200, "{}", reply.0);
        assert!(scene.app.take_one().values("authorization").is_empty());
    }
}

#[tokio::test]
async fn personal_basic_passwords_apply() {
    let folder = tempfile::tempdir().unwrap();
    let file = secret(&folder, "passwords", "# of the wiki\nalice:one\nbob:two\n");
    let credentials = format!("{{ basic = {{ username = \"svc-{{username}}\", passwords_file = {file} }} }}");
    let scene = scene(&credentials).await;
    scene.alice.navigate(&scene.url("/page")).await.expect(200);
    assert_eq!(scene.app.take_one().values("authorization"), [basic("svc-alice:one")]);
    // Bob's password is for the user whom an operator calls bob, not for the first user who would
    // be called so.
    let (other, _) = scene.invited("bob@example.com", 2).await;
    other.navigate(&scene.url("/page")).await.expect(200);
    let seen = scene.app.take_one();
    assert!(seen.value("remote-user") != "bob" && seen.values("authorization").is_empty(), "{}", seen.text());
    scene.gateway.invite("robert@example.com", &["--username", "bob"]);
    let link = scene.gateway.invite("robert@example.com", &["--username", "bob"]);
    let bob = scene.anonymous();
    let mut device = crate::harness::Authenticator::new(3);
    bob.enrol(&link, "robert@example.com", "", &mut device).await;
    bob.navigate(&scene.url("/page")).await.expect(200);
    assert_eq!(scene.app.take_one().values("authorization"), [basic("svc-bob:two")]);
}

#[tokio::test]
async fn bearer_credential_is_sent_only_upstream() {
    let folder = tempfile::tempdir().unwrap();
    let file = secret(&folder, "token", "glsa_c2VjcmV0");
    let scene = scene(&format!("{{ bearer_file = {file} }}")).await;
    scene.alice.navigate(&scene.url("/page")).await.expect(200);
    assert_eq!(scene.app.take_one().values("authorization"), ["Bearer glsa_c2VjcmV0"]);
    let said = [
        scene.gateway.log(),
        scene.gateway.operate(&["policy", "explain", "--user", "alice", "--url", &scene.url("/page")]),
        scene.alice.navigate(&scene.url("/auth/admin/settings")).await.expect(200).text(),
        scene.alice.navigate(&scene.url("/auth/admin/applications")).await.expect(200).text(),
    ];
    for text in said {
        assert!(!text.contains("glsa_"), "{text}");
    }
}

#[tokio::test]
async fn reload_rereads_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let file = secret(&folder, "password", "old");
    let scene = scene(&format!("{{ basic = {{ password_file = {file} }} }}")).await;
    scene.alice.navigate(&scene.url("/page")).await.expect(200);
    secret(&folder, "password", "new");
    scene.gateway.operate(&["reload"]);
    scene.alice.navigate(&scene.url("/page")).await.expect(200);
    let told: Vec<_> = scene.app.take().iter().map(|seen| seen.value("authorization")).collect();
    assert_eq!(told, [basic("alice:old"), basic("alice:new")]);
}

#[tokio::test]
async fn check_reports_bad_secrets_without_showing_them() {
    let folder = tempfile::tempdir().unwrap();
    let good = secret(&folder, "good", "s3cret");
    let open = secret(&folder, "open", "s3cret");
    fs::set_permissions(folder.path().join("open"), fs::Permissions::from_mode(0o644)).unwrap();
    let lines = secret(&folder, "lines", "alice:s3cret\ns3cret\n");
    let spaced = secret(&folder, "spaced", "s3cret and more");
    let gateway = crate::harness::Gateway::prepare(|config: &mut Config| {
        config.route("app", 1).line("credentials = {}");
    });
    for (credentials, said) in [
        (format!("{{ basic = {{ password_file = {open} }} }}"), "chmod 600"),
        (format!("{{ basic = {{ passwords_file = {lines} }} }}"), "in line 2"),
        (format!("{{ bearer_file = {spaced} }}"), "a token is empty, too long, or has more than"),
        ("{ bearer_file = \"/no/such/file\" }".to_owned(), "cannot be read"),
        ("{}".to_owned(), "there is no secret to send"),
        ("{ basic = {} }".to_owned(), "there is no secret to send"),
        (format!("{{ bearer_file = {good}, bearers_file = {lines} }}"), "keep one of them"),
        (format!("{{ basic = {{ password_file = {good} }}, bearer_file = {good} }}"), "only one of them"),
        (format!("{{ basic = {{ username = \"{{nobody}}\", password_file = {good} }} }}"), "{username}"),
        (format!("{{ basik = {{ password_file = {good} }} }}"), "basik"),
    ] {
        gateway.edit(|text| {
            let kept = text.lines().filter(|line| !line.starts_with("credentials = "));
            format!("{}\ncredentials = {credentials}\n", kept.collect::<Vec<_>>().join("\n"))
        });
        let output = gateway.cli(&["check"]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{credentials}: {text}");
        assert!(text.contains(said) && !text.contains("s3cret"), "{said:?}: {text}");
    }
    gateway.edit(|text| {
        let kept = text.lines().filter(|line| !line.starts_with("credentials = "));
        format!("{}\ncredentials = {{ bearer_file = {good} }}\n", kept.collect::<Vec<_>>().join("\n"))
    });
    assert_eq!(gateway.cli(&["check"]).status.code(), Some(0), "the control");
}
