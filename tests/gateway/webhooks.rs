//! Webhooks, told over a real HTTP server that fails, stalls and recovers. Retries are tested with
//! a clock moved by hand; restarts and commands with the real binary.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use vestibule::domain::dispatch::{DISPATCH_LIFETIME, Notices, Subscription, Template, WebhookId};
use vestibule::domain::topic::{Family, Topic};
use vestibule::flows::messages::dispatches::{DISPATCHES_MAX, DISPATCHES_MAX_OF_REFUSALS, TRIES_MAX};
use vestibule::webhook::Sender;
use vestibule::webhook::http::{HttpWebhookSender, WebhookSettings};

use crate::harness::scene::ALICE;
use crate::harness::tls::Authority;
use crate::harness::{Authenticator, Config, Gateway, Manner, Receiver, Scene, Upstream};
use crate::stage::{AUTH_HOST, Stage, visit};

const KEY: [u8; 32] = [7; 32];

/// A file with the key, as an operator makes it.
fn secret_file(folder: &TempDir) -> String {
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("whsec_{}\n", STANDARD.encode(KEY))).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    format!("secret_file = {:?}", file.display().to_string())
}

fn url_of(receiver: &Receiver) -> String {
    format!("url = {:?}", receiver.url())
}

/// A gateway that tells `receiver` of these events, unsigned.
fn telling(receiver: &Receiver, events: &'static str) -> impl FnOnce(&mut Config) {
    let url = url_of(receiver);
    move |config| config.webhook(&[&url, &format!("events = {events}")])
}

#[tokio::test]
async fn event_is_signed_and_complete() {
    let (receiver, folder) = (Receiver::open().await, TempDir::new().unwrap());
    let (url, secret) = (url_of(&receiver), secret_file(&folder));
    let arrange = |config: &mut Config| config.webhook(&[&url, "events = [\"passkey\"]", &secret]);
    let scene = Scene::with(arrange, |_| {}).await;
    let told = receiver.taken("credential_added").await;
    assert_eq!(told.header("webhook-signature"), told.expected_signature(&KEY));
    assert_ne!(told.header("webhook-signature"), told.expected_signature(&[8; 32]));
    assert_eq!(
        (told.path.as_str(), told.header("content-type")),
        ("/in?key=path-is-secret", "application/json")
    );
    assert!(told.id().starts_with("msg_"), "{told:?}");
    let said = told.json();
    assert!(said["timestamp"].as_str().unwrap().ends_with('Z'), "{said}");
    let data = &said["data"];
    assert_eq!((&data["network"], &data["outcome"]), (&json!("127.0.0.0/24"), &json!("done")));
    let user = data["user"].as_str().unwrap();
    assert_eq!(data["url"], scene.url(&format!("/auth/admin/users/{user}")));
    assert_eq!(data["actor"], user);
    assert!(!said.to_string().contains("alice"), "no user is named: {said}");
    // No other event was about a passkey.
    assert_eq!(receiver.told().len(), 1);
    let log = scene.gateway.log();
    assert!(!log.contains("path-is-secret"), "the path of a webhook may be as good as a password");
    assert!(log.contains(&format!("http://127.0.0.1:{}", receiver.port)), "{log}");
}

#[tokio::test]
async fn without_mail_users_notices_go_to_the_webhooks_that_take_them() {
    let [takes, other] = [Receiver::open().await, Receiver::open().await];
    let urls = [&takes, &other].map(url_of);
    let arrange = |config: &mut Config| {
        config.webhook(&[&urls[0], "events = [\"notices\"]", "template = \"ntfy\""]);
        config.webhook(&[&urls[1], "events = [\"recovery\"]", "template = \"slack\""]);
    };
    let scene = Scene::with(arrange, |_| {}).await;
    let made = scene.alice.post("recovery-codes", &json!({})).await.expect(201).json();
    let code = made["codes"][0].as_str().unwrap();
    let redeem = json!({ "identifier": ALICE, "code": code });
    scene.anonymous().post("recovery-codes/redeem", &redeem).await.expect(201);
    let used = takes.wait_for(|told| told.header("title").contains("recovery code was used")).await;
    assert_eq!((used.header("tags"), used.header("content-type")), ("warning", "text/plain; charset=utf-8"));
    assert!(used.header("click").starts_with(&scene.url("/auth/admin/users/")), "{used:?}");
    let text = used.text();
    assert!(text.contains("Network: 127.0.0.0/24") && text.contains("UTC"), "{text}");
    assert!(
        !text.contains("/recovery#") && !text.contains(code),
        "its owner's link is for its owner: {text}"
    );
    let event =
        other.wait_for(|told| told.json()["text"].as_str().unwrap().contains("*A recovery code")).await;
    assert!(event.json()["text"].as_str().unwrap().contains("|Account>"), "{event:?}");
    assert!(other.told().iter().all(|told| !told.text().contains("Tell this user")), "{:?}", other.told());
}

#[tokio::test]
async fn delivery_is_not_repeated_after_a_kill_and_keeps_its_id() {
    let receiver = Receiver::open().await;
    let mut scene = Scene::with(telling(&receiver, "[\"passkey\"]"), |_| {}).await;
    let first = receiver.taken("credential_added").await;
    scene.gateway.wait_for_log("\"event\":\"webhook\"").await;
    receiver.behaves(Manner::Stalls);
    scene.alice.register(&mut Authenticator::new(9)).await.expect(200);
    let lost = receiver.wait_for(|told| told.id() != first.id()).await;
    scene.gateway.kill9();
    receiver.answers(204);
    scene.gateway.launch().await;
    let again = receiver.wait_for(|told| told.was_taken && told.id() != first.id()).await;
    assert_eq!(
        (again.id(), &again.body),
        (lost.id(), &lost.body),
        "the receiver can tell that it had this one"
    );
    scene.alice.register(&mut Authenticator::new(10)).await.expect(200);
    receiver.wait_for(|told| told.id() != first.id() && told.id() != lost.id()).await;
    let of_first = receiver.told().iter().filter(|told| told.id() == first.id()).count();
    assert_eq!((of_first, receiver.told().len()), (1, 4));
}

#[tokio::test]
async fn stalled_receiver_times_out_without_delaying_others() {
    let [stalls, answers] = [Receiver::open().await, Receiver::open().await];
    stalls.behaves(Manner::Stalls);
    let urls = [&stalls, &answers].map(url_of);
    let arrange = |config: &mut Config| {
        for url in &urls {
            config.webhook(&[url, "events = [\"credential_added\"]"]);
        }
    };
    let scene = Scene::with(arrange, |_| {}).await;
    answers.taken("credential_added").await;
    assert_eq!(stalls.told().len(), 1);
    scene.gateway.wait_for_log("it takes too long to answer").await;
    assert!(!scene.gateway.log().contains("path-is-secret"));
}

#[tokio::test]
async fn reload_applies_webhooks() {
    let [before, after] = [Receiver::open().await, Receiver::open().await];
    let scene = Scene::with(telling(&before, "[\"credential_added\"]"), |_| {}).await;
    before.taken("credential_added").await;
    scene.gateway.edit(|text| text.replace(&before.port.to_string(), &after.port.to_string()));
    scene.gateway.operate(&["reload"]);
    scene.alice.register(&mut Authenticator::new(9)).await.expect(200);
    after.taken("credential_added").await;
    assert_eq!(before.told().len(), 1);
}

// The command is waited for while the receivers answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhook_test_reports_each_answer() {
    let [takes, fails] = [Receiver::open().await, Receiver::open().await];
    fails.behaves(Manner::Answers(503, "come back\u{1b}[31m later".to_owned()));
    let (app, urls) = (Upstream::start(), [&takes, &fails].map(url_of));
    let gateway = Gateway::prepare(|config| {
        for url in &urls {
            config.webhook(&[url, "events = [\"notices\"]"]);
        }
        config.route("app", app.port);
    });
    let output = gateway.cli(&["webhook", "test"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[0], format!("ok       1 http://127.0.0.1:{}  200 thank you", takes.port));
    assert_eq!(lines[1], format!("FAILED   2 http://127.0.0.1:{}  503 come back [31m later", fails.port));
    assert_eq!(takes.taken("test").await.json()["data"]["gateway"], gateway.origin());
    assert!(!gateway.data().exists(), "a test keeps nothing");

    let said: Value = serde_json::from_str(&gateway.operate(&["webhook", "test", "1", "--json"])).unwrap();
    assert_eq!(
        (&said[0]["outcome"], &said[0]["status"], said.as_array().unwrap().len()),
        (&json!("ok"), &json!(200), 1)
    );
    gateway.operate(&["webhook", "test", &takes.url()]);
    let output = gateway.cli(&["webhook", "test", "3"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("there are 2"), "{output:?}");
    gateway.edit(|text| {
        let (before, rest) = text.split_once("[[webhook]]").unwrap();
        format!("{before}{}", &rest[rest.find("[[route]]").unwrap()..])
    });
    let output = gateway.cli(&["webhook", "test"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("names no webhook"), "{output:?}");
}

/// A receiver over TLS, and its address.
struct Secured(Child, u16);

impl Secured {
    /// With a certificate of `authority` for `certified`.
    fn open(authority: &Authority, certified: &str, folder: &TempDir) -> Self {
        let (cert, key) = authority.issue(&[certified.to_owned()], folder.path());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/https_receiver.py");
        let mut command = Command::new("/usr/bin/python3");
        command.arg(script).arg(cert).arg(key).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Self(child, line.trim().parse().unwrap())
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_certificate_has_to_be_for_the_host_and_of_the_authority_that_was_named() {
    let ours = Authority::new();
    for (certified, trusted, is_told) in [
        ("localhost", ours.certificate(), true),
        ("hooks.example.com", ours.certificate(), false),
        ("localhost", Authority::new().certificate(), false),
    ] {
        let folder = TempDir::new().unwrap();
        let receiver = Secured::open(&ours, certified, &folder);
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, trusted).unwrap();
        let gateway = Gateway::prepare(|config| {
            let url = format!("url = \"https://localhost:{}/in\"", receiver.1);
            config.webhook(&[
                &url,
                "events = [\"passkey\"]",
                &format!("ca_file = {:?}", ca.display().to_string()),
            ]);
        });
        let output = gateway.cli(&["webhook", "test"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.success(), is_told, "{certified}: {said}");
        assert_eq!(said.contains("certificate"), !is_told, "{certified}: {said}");
    }
}

#[tokio::test]
async fn check_remarks_on_doubtful_webhooks() {
    let app = Upstream::start();
    let gateway = Gateway::prepare(|config| {
        config.webhook(&["url = \"http://ntfy/x-secret\"", "events = [\"passkey\"]"]);
        config.route("app", app.port);
    });
    let said = gateway.operate(&["check"]);
    for remark in ["over plain http", "are not signed", "no webhook takes \"notices\""] {
        assert!(said.contains(remark), "{remark}: {said}");
    }
    assert!(!said.contains("x-secret"), "{said}");
}

/// A stage that tells one receiver, and the sender.
async fn told(topics: &[Topic]) -> (Stage, HttpWebhookSender, Receiver) {
    let (stage, receiver) = (Stage::with_applications(&["app.example.com"]).await, Receiver::open().await);
    stage.tell(vec![subscription(&receiver, topics)]);
    (stage, webhook_sender(&[&receiver]), receiver)
}

fn subscription(receiver: &Receiver, topics: &[Topic]) -> Subscription {
    Subscription {
        webhook: WebhookId::of_url(&receiver.url()),
        origin: format!("http://127.0.0.1:{}", receiver.port),
        topics: topics.iter().copied().collect(),
        notices: Notices::Wanted,
    }
}

fn webhook_sender(receivers: &[&Receiver]) -> HttpWebhookSender {
    let settings = receivers.iter().map(|receiver| WebhookSettings {
        url: receiver.url(),
        template: Template::Json,
        secret: None,
        ca_file: None,
    });
    let sender = Sender {
        name: "Test".to_owned(),
        origin: "https://auth.example.com".to_owned(),
        users: "https://auth.example.com/auth/admin/users/".to_owned(),
    };
    HttpWebhookSender::new(settings, sender).unwrap()
}

async fn waiting(stage: &Stage) -> usize {
    stage.store.scan(b"dispatch/", None, DISPATCHES_MAX * 4).await.unwrap().len()
}

/// Why messages were given up, as the trail has it.
async fn given_up(stage: &Stage) -> Vec<String> {
    let query = vestibule::flows::administration::trail::TrailQuery {
        event: Some("webhook".to_owned()),
        limit: 100,
        ..Default::default()
    };
    let page = stage.gateway.administration.read_trail(&query).await.unwrap();
    page.items.into_iter().filter_map(|kept| kept.entry.reason.map(|reason| reason.to_string())).collect()
}

#[tokio::test]
async fn failed_delivery_is_retried_with_backoff_and_the_same_id() {
    let (stage, webhook_sender, receiver) = told(&[Topic::CredentialAdded]).await;
    stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap();
    stage.gateway.administration.write_trail().await.unwrap();
    receiver.answers(500);
    for (tries, rest) in [(1, 5), (2, 10), (3, 20)] {
        let next = stage.gateway.messages.deliver_dispatches(&webhook_sender).await.unwrap();
        assert_eq!(next, Some(Duration::from_secs(rest)));
        assert_eq!(receiver.told().len(), tries);
        stage.clock.forward(Duration::from_millis(rest * 1_000 - 1));
        stage.gateway.messages.deliver_dispatches(&webhook_sender).await.unwrap();
        assert_eq!(receiver.told().len(), tries, "it is left alone until then");
        stage.clock.forward(Duration::from_millis(1));
    }
    receiver.answers(204);
    assert_eq!(stage.gateway.messages.deliver_dispatches(&webhook_sender).await.unwrap(), None);
    assert_eq!(stage.gateway.messages.deliver_dispatches(&webhook_sender).await.unwrap(), None);
    let all = receiver.told();
    assert_eq!((all.len(), waiting(&stage).await), (4, 0));
    assert!(all.iter().all(|told| told.id() == all[0].id() && told.body == all[0].body), "{all:?}");
    let at = |told: usize| all[told].header("webhook-timestamp").parse::<u64>().unwrap();
    assert_eq!(at(3) - at(0), 35, "the timestamp is of the try");
}

#[tokio::test]
async fn unreachable_receiver_gets_one_probe_and_then_all_in_order() {
    let (stage, webhook_sender, receiver) = told(&[Topic::Invited]).await;
    receiver.answers(502);
    for n in 0..6 {
        stage.invite(&format!("u{n}@example.com"), Duration::from_secs(3_600)).await.unwrap();
        stage.clock.forward(Duration::from_secs(1));
    }
    stage.gateway.administration.write_trail().await.unwrap();
    stage.gateway.messages.deliver_dispatches(&webhook_sender).await.unwrap();
    assert_eq!((receiver.told().len(), waiting(&stage).await), (1, 6));
    receiver.answers(200);
    stage.clock.forward(Duration::from_secs(5));
    while stage.gateway.messages.deliver_dispatches(&webhook_sender).await.unwrap().is_some() {
        assert!(receiver.told().len() < 20);
    }
    let taken: Vec<_> = receiver.told().into_iter().filter(|told| told.was_taken).collect();
    assert_eq!((taken.len(), waiting(&stage).await), (6, 0));
    let mut ids: Vec<_> = taken.iter().map(|told| told.id().to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6, "each once");
}

#[tokio::test]
async fn delivery_ends_after_the_limit_or_a_permanent_error() {
    // Refused for good, because of the message itself.
    let (stage, webhook_sender, receiver) = told(&[Topic::CredentialAdded]).await;
    stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap();
    stage.gateway.administration.write_trail().await.unwrap();
    receiver.answers(422);
    assert_eq!(stage.gateway.messages.deliver_dispatches(&webhook_sender).await.unwrap(), None);
    assert_eq!((waiting(&stage).await, given_up(&stage).await), (0, vec!["refused".to_owned()]));

    // Too old.
    let (stage, webhook_sender, receiver) = told(&[Topic::CredentialAdded]).await;
    stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap();
    stage.gateway.administration.write_trail().await.unwrap();
    stage.clock.forward(DISPATCH_LIFETIME);
    assert_eq!(stage.gateway.messages.deliver_dispatches(&webhook_sender).await.unwrap(), None);
    assert_eq!((receiver.told().len(), waiting(&stage).await), (0, 0));
    assert_eq!(given_up(&stage).await, ["expired"]);

    // Tried too often.
    let (stage, webhook_sender, receiver) = told(&[Topic::CredentialAdded]).await;
    stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap();
    stage.gateway.administration.write_trail().await.unwrap();
    receiver.answers(503);
    while let Some(rest) = stage.gateway.messages.deliver_dispatches(&webhook_sender).await.unwrap() {
        stage.clock.forward(rest);
    }
    assert_eq!(receiver.told().len(), usize::try_from(TRIES_MAX).unwrap());
    assert_eq!(given_up(&stage).await, ["expired"]);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (stage, webhook_sender, receiver) = told(&[Topic::CredentialAdded]).await;
    let elsewhere = Receiver::open().await;
    receiver.behaves(Manner::Redirects(elsewhere.url()));
    stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap();
    stage.gateway.administration.write_trail().await.unwrap();
    assert!(stage.gateway.messages.deliver_dispatches(&webhook_sender).await.unwrap().is_some(), "it waits");
    assert_eq!((receiver.told().len(), elsewhere.told().len()), (1, 0));
}

#[tokio::test]
async fn queue_is_bounded_with_a_reserve_for_completed_events() {
    let (stage, _, _) = told(&[Topic::InvitationRefused, Topic::Invited]).await;
    for n in 0..DISPATCHES_MAX_OF_REFUSALS + 10 {
        // Invalid secrets, from so many networks that no limit is reached.
        let at = crate::stage::visit_from(&format!("10.{}.{}.1", n / 200, n % 200));
        let who = vestibule::flows::sign_in::enroll::Introduction::default();
        let device = vestibule::flows::visit::Device::default();
        stage.gateway.sign_in.redeem("A", &who, None, &at, &device).await.unwrap_err();
    }
    stage.gateway.administration.write_trail().await.unwrap();
    assert_eq!(waiting(&stage).await, DISPATCHES_MAX_OF_REFUSALS);
    for n in 0..DISPATCHES_MAX {
        stage.invite(&format!("u{n}@example.com"), Duration::from_secs(3_600)).await.unwrap();
    }
    stage.gateway.administration.write_trail().await.unwrap();
    assert_eq!(waiting(&stage).await, DISPATCHES_MAX);
    assert_eq!(
        stage.again().await.store.scan(b"dispatch/", None, 9_999).await.unwrap().len(),
        DISPATCHES_MAX
    );
}

#[tokio::test]
async fn messages_for_a_removed_webhook_are_dropped() {
    let (stage, _, receiver) = told(&[Topic::CredentialAdded]).await;
    stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap();
    stage.gateway.administration.write_trail().await.unwrap();
    assert_eq!(stage.gateway.messages.deliver_dispatches(&webhook_sender(&[])).await.unwrap(), None);
    assert_eq!((receiver.told().len(), waiting(&stage).await), (0, 0));
    assert_eq!(given_up(&stage).await, ["refused"]);
}

#[tokio::test]
async fn queued_messages_are_sealed() {
    let everything: Vec<_> = Topic::offered().map(|(topic, _)| topic).collect();
    let (stage, _, _) = told(&everything).await;
    let user = stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap().user.id.to_string();
    stage.gateway.administration.write_trail().await.unwrap();
    let all = stage.store.scan(b"dispatch/", None, 100).await.unwrap();
    assert!(all.len() >= 3, "an invitation, its use and a passkey: {}", all.len());
    for (_, value) in all {
        let text = String::from_utf8_lossy(&value).into_owned();
        for word in ["127.0.0.1", "path-is-secret", "credential_added", "invited", &user] {
            assert!(!text.contains(word), "{word}: {text}");
        }
    }
}

#[tokio::test]
async fn notice_is_committed_with_its_change() {
    let (stage, webhook_sender, receiver) = told(&[]).await;
    let enrolled = stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap();
    assert_eq!(waiting(&stage).await, 0, "the first passkey is no news to its owner");
    stage.gateway.sign_in.make_recovery_codes(&enrolled.session, &visit(AUTH_HOST)).await.unwrap();
    // The trail has not been written; a kill loses no notice.
    assert_eq!(waiting(&stage).await, 1);
    stage.again().await.gateway.messages.deliver_dispatches(&webhook_sender).await.unwrap();
    let told = receiver.taken("notice.recovery_codes_made").await.json();
    assert_eq!(told["data"]["user"], enrolled.user.id.to_string());
}

#[test]
fn every_event_is_documented() {
    let manual = include_str!("../../config.toml").replace("\n# ", " ");
    for (topic, family) in Topic::offered() {
        let (_, list) = manual.split_once(&format!("\"{}\" (", family.label())).unwrap();
        let list = list.split(')').next().unwrap();
        assert!(list.split(", ").any(|word| word == topic.label()), "{topic:?} is not in {list:?}");
    }
    assert_eq!(Family::ALL.len(), 6);
}
