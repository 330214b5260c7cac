//! Backups: made under load, restored elsewhere, and refused where data could be lost (D-09).

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWrite;
use vestibule::flows::administration::backup::BackupError;
use vestibule::flows::authority::Authority;
use vestibule::records::archive::verify;
use vestibule::store::MemoryStore;

use crate::harness::{Authenticator, Browser, Gateway, Scene};
use crate::stage::Stage;

const BOB: &str = "bob@example.com";
const BINARY: &str = env!("CARGO_BIN_EXE_vestibule");

fn told(gateway: &Gateway, arguments: &[&str]) -> Value {
    let text = gateway.operate(&[arguments, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// The steps of "the disk died": a new place, the same configuration, the newest backup.
async fn restored(gateway: &mut Gateway, file: &Path) -> Value {
    fs::rename(gateway.data(), gateway.directory().join("died")).unwrap();
    let summary = told(gateway, &["restore", file.to_str().unwrap()]);
    gateway.launch().await;
    summary
}

#[tokio::test]
async fn d_09_backup_under_load_restores_users_and_passkeys() {
    let mut scene = Scene::set().await;
    let (bob, mut bobs) = scene.invited(BOB, 2).await;
    scene.gateway.operate(&["user", "groups", "bob", "staff"]);
    let waiting = scene.gateway.invite("carol@example.com", &[]);
    let file = scene.gateway.directory().join("the.backup");

    // People sign in all the while.
    let busy = tokio::spawn({
        let browser = scene.anonymous();
        async move {
            for _ in 0..40 {
                browser.sign_in_options().await;
            }
        }
    });
    let mut summaries = Vec::new();
    for _ in 0..5 {
        summaries.push(told(&scene.gateway, &["backup", file.to_str().unwrap()]));
        bob.sign_in(&mut bobs).await.expect(201);
    }
    busy.await.unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let summary = summaries.last().unwrap();
    assert_eq!(fs::metadata(&file).unwrap().len(), summary["bytes"].as_u64().unwrap());

    let before = told(&scene.gateway, &["user", "list"]);
    scene.gateway.stop();
    let again = restored(&mut scene.gateway, &file).await;
    assert_eq!(&again, summary);
    let after = told(&scene.gateway, &["user", "list"]);
    let without_moments = |list: &Value| -> Vec<Value> {
        let strip =
            |user: &Value| json!([user["id"], user["email"], user["groups"], user["role"], user["passkeys"]]);
        list["users"].as_array().unwrap().iter().map(strip).collect()
    };
    assert_eq!(without_moments(&after), without_moments(&before));
    // Passkeys sign in, earlier sessions do not, and set-up stays ended.
    for (browser, device) in [(&scene.alice, &mut scene.device), (&bob, &mut bobs)] {
        browser.get("sessions").await.expect_problem(401);
        browser.sign_in(device).await.expect(201);
    }
    assert!(!scene.gateway.setup_file().exists());
    // An invitation that waited is good still.
    let (carol, mut device) = (scene.anonymous(), Authenticator::new(9));
    carol.enrol(&waiting, "carol@example.com", "", &mut device).await;
}

#[tokio::test]
async fn a_backup_is_made_and_restored_without_a_gateway_and_holds_no_session() {
    let mut scene = Scene::set().await;
    let cookie = scene.alice.session().unwrap();
    let sessions = told(&scene.gateway, &["session", "list", "alice"]);
    let id = sessions[0]["id"].as_str().unwrap().to_owned();
    scene.gateway.stop();
    let file = scene.gateway.directory().join("the.backup");
    told(&scene.gateway, &["backup", file.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
    assert!(text.contains("alice@example.com"));
    assert!(!text.contains(&id) && !text.contains(&cookie), "a backup opens something");
    restored(&mut scene.gateway, &file).await;
    scene.alice.sign_in(&mut scene.device).await.expect(201);
}

#[tokio::test]
async fn d_09_a_restore_is_refused_where_something_is_or_could_be_lost() {
    let mut scene = Scene::set().await;
    let file = scene.gateway.directory().join("the.backup");
    let name = file.to_str().unwrap();
    told(&scene.gateway, &["backup", name]);
    let refused = |gateway: &Gateway, said: &str| {
        let output = gateway.cli(&["restore", name]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(said), "{text}");
    };
    refused(&scene.gateway, "a gateway is running");
    scene.gateway.stop();
    refused(&scene.gateway, "restored into an empty one");

    fs::rename(scene.gateway.data(), scene.gateway.directory().join("died")).unwrap();
    let whole = fs::read(&file).unwrap();
    let middle = whole.len() / 2;
    let mut flipped = whole.clone();
    flipped[middle] ^= 1;
    for (bytes, said) in [
        (&whole[..middle], "it ends too early"),
        (&whole[..10], "not a backup"),
        (&flipped, "damaged"),
        (b"vestibule backup 2\n", "a version that this one does not know"),
    ] {
        fs::write(&file, bytes).unwrap();
        refused(&scene.gateway, said);
        assert!(!scene.gateway.data().exists(), "a refused restore has left something");
    }
    fs::write(&file, &whole).unwrap();
    told(&scene.gateway, &["restore", name]);
    scene.gateway.launch().await;
    scene.alice.sign_in(&mut scene.device).await.expect(201);
}

#[tokio::test]
async fn the_gateway_makes_backups_by_itself_and_tells_their_age() {
    let directory = tempfile::tempdir().unwrap();
    let line = format!("directory = {:?}", directory.path().join("backups"));
    let scene =
        Scene::with(|config| config.table("backup", &["every = \"1d\"", "keep = 2", &line]), |_| {}).await;
    let files = || {
        let found = fs::read_dir(directory.path().join("backups"));
        found.map_or_else(|_| Vec::new(), |found| found.map(|it| it.unwrap().path()).collect::<Vec<_>>())
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while files().iter().all(|file| file.extension().is_none_or(|it| it != "backup")) {
        assert!(Instant::now() < deadline, "no backup was made");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let made = files().remove(0);
    assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o600);
    let events = told_lines(&scene.gateway);
    assert!(events.iter().any(|it| it["event"] == "backed_up" && it["actor"] == "gateway"), "{events:?}");
}

fn told_lines(gateway: &Gateway) -> Vec<Value> {
    let text = gateway.operate(&["audit", "--json"]);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn failed_backup_leaves_no_file_and_is_reported() {
    let scene = Scene::set().await;
    let nowhere = scene.gateway.directory().join("no/such/directory/file");
    let output = scene.gateway.cli(&["backup", nowhere.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    // An existing file stays as it is, if there is no backup to take its place.
    let file = scene.gateway.directory().join("the.backup");
    fs::write(&file, "precious").unwrap();
    let elsewhere = scene.gateway.directory().join("other.toml");
    fs::write(&elsewhere, "[store]\npath = \"none\"\n[server]\nadmin_socket = \"none.sock\"\n").unwrap();
    let output = Command::new(BINARY)
        .args(["backup", file.to_str().unwrap(), "--config", elsewhere.to_str().unwrap()])
        .current_dir(scene.gateway.directory())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    let _: &Browser = &scene.alice;
}

/// A writer that takes all bytes, and fails to make them durable.
struct NeverSafe;

impl AsyncWrite for NeverSafe {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::Error::other("no room is left")))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn failed_backup_is_not_the_last_backup() {
    let stage = Stage::set(Arc::new(MemoryStore::new())).await.unwrap();
    stage.enrol("alice@example.com", &mut Authenticator::new(1)).await.unwrap();
    let operator = Authority::of_operator();
    let failed = stage.gateway.administration.back_up(&operator, &mut NeverSafe).await;
    assert!(matches!(failed, Err(BackupError::Io(_))), "{failed:?}");
    assert_eq!(stage.gateway.administration.backup_age(), None);
    let stage = stage.again().await;
    assert_eq!(stage.gateway.administration.backup_age(), None, "the next one would be made a day late");

    let mut file = Vec::new();
    let summary = stage.gateway.administration.back_up(&operator, &mut file).await.unwrap();
    assert_eq!(verify(&*file).unwrap(), summary);
    stage.clock.forward(Duration::from_secs(60));
    assert_eq!(stage.again().await.gateway.administration.backup_age(), Some(Duration::from_secs(60)));
}
