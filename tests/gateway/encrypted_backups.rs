//! Backups that only the holder of a key can read: written and read by us, and by the age command.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use vestibule::records::archive::verify;

use crate::harness::{Gateway, Scene};

const HEAD: &[u8] = b"age-encryption.org/v1\n";

/// A key of age's own, in a file, and its recipient.
fn key(directory: &Path, name: &str) -> (PathBuf, String) {
    let file = directory.join(name);
    let made = Command::new("age-keygen")
        .arg("-o")
        .arg(&file)
        .output()
        .expect("age is there: run tests/run --setup-only");
    assert!(made.status.success(), "{made:?}");
    let shown = Command::new("age-keygen").arg("-y").arg(&file).output().unwrap();
    (file, String::from_utf8(shown.stdout).unwrap().trim().to_owned())
}

#[track_caller]
fn refused(gateway: &Gateway, arguments: &[&str], said: &str) {
    let output = gateway.cli(arguments);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(said), "{said}: {text}");
    assert!(!gateway.data().exists(), "a refused restore has left something");
}

/// A gateway without a store, whose users are in a backup that was encrypted with these options.
async fn died(options: &[&str]) -> (Scene, PathBuf) {
    let mut scene = Scene::set().await;
    let file = scene.gateway.directory().join("the.backup");
    scene.gateway.operate(&[&["backup", file.to_str().unwrap()], options].concat());
    scene.gateway.stop();
    fs::rename(scene.gateway.data(), scene.gateway.directory().join("died")).unwrap();
    (scene, file)
}

async fn restored(scene: &mut Scene, arguments: &[&str]) {
    scene.gateway.operate(arguments);
    scene.gateway.launch().await;
    scene.alice.sign_in(&mut scene.device).await.expect(201);
}

#[tokio::test]
async fn encrypted_backup_opens_with_age() {
    let keys = tempfile::tempdir().unwrap();
    let (first, second) = (key(keys.path(), "first"), key(keys.path(), "second"));
    let (anonymous, _) = key(keys.path(), "anonymous");
    let (mut scene, file) = died(&["--recipient", &first.1, "--recipient", &second.1]).await;
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = fs::read(&file).unwrap();
    assert!(bytes.starts_with(HEAD));
    assert!(!String::from_utf8_lossy(&bytes).contains("alice@example.com"));
    for (identity, _) in [&first, &second] {
        let decrypted = Command::new("age").arg("-d").arg("-i").arg(identity).arg(&file).output().unwrap();
        assert!(decrypted.status.success(), "{decrypted:?}");
        assert!(verify(&*decrypted.stdout).is_ok());
        assert!(String::from_utf8_lossy(&decrypted.stdout).contains("alice@example.com"));
    }

    let name = file.to_str().unwrap();
    let passphrase = keys.path().join("passphrase");
    fs::write(&passphrase, "one two three four\n").unwrap();
    let path = |it: &Path| it.to_str().unwrap().to_owned();
    refused(&scene.gateway, &["restore", name], "it is encrypted: name the key with --identity FILE");
    refused(&scene.gateway, &["restore", name, "--identity", &path(&anonymous)], "not with this key");
    refused(&scene.gateway, &["restore", name, "--identity", &path(&passphrase)], "has no key in it");
    let words = ["restore", name, "--passphrase-file", &path(&passphrase)];
    refused(&scene.gateway, &words, "name that key with --identity FILE");
    restored(&mut scene, &["restore", name, "--identity", &path(&second.0)]).await;
}

#[tokio::test]
async fn restores_age_files_and_plain_backups() {
    let keys = tempfile::tempdir().unwrap();
    let (identity, recipient) = key(keys.path(), "key");
    let (mut scene, file) = died(&[]).await;
    let (name, identity) = (file.to_str().unwrap(), identity.to_str().unwrap());
    refused(
        &scene.gateway,
        &["restore", name, "--identity", identity],
        "it is not encrypted: leave out --identity",
    );
    let encrypted = scene.gateway.directory().join("the.age");
    let made =
        Command::new("age").args(["-r", &recipient, "-o"]).arg(&encrypted).arg(&file).status().unwrap();
    assert!(made.success());
    restored(&mut scene, &["restore", encrypted.to_str().unwrap(), "--identity", identity]).await;
}

#[tokio::test]
async fn passphrase_encryption_roundtrips() {
    let keys = tempfile::tempdir().unwrap();
    let file_with = |name: &str, text: &str| {
        let file = keys.path().join(name);
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (right, wrong, empty) = (
        file_with("right", "one two three four\n"),
        file_with("wrong", "one two three\n"),
        file_with("empty", "\n"),
    );
    let (mut scene, file) = died(&["--passphrase-file", &right]).await;
    let name = file.to_str().unwrap();
    assert!(fs::read(&file).unwrap().starts_with(HEAD));
    refused(&scene.gateway, &["restore", name], "--passphrase-file FILE");
    refused(&scene.gateway, &["restore", name, "--passphrase-file", &wrong], "not with this key");
    refused(&scene.gateway, &["restore", name, "--passphrase-file", &empty], "has no passphrase in it");
    let (identity, _) = key(keys.path(), "key");
    let words = ["restore", name, "--identity", identity.to_str().unwrap()];
    refused(&scene.gateway, &words, "name it with --passphrase-file FILE");
    restored(&mut scene, &["restore", name, "--passphrase-file", &right]).await;
}

#[tokio::test]
async fn d_09_an_encrypted_backup_that_is_damaged_is_refused_whole() {
    let keys = tempfile::tempdir().unwrap();
    let (identity, recipient) = key(keys.path(), "key");
    let (mut scene, file) = died(&["--recipient", &recipient]).await;
    let words = ["restore", file.to_str().unwrap(), "--identity", identity.to_str().unwrap()];
    let whole = fs::read(&file).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let mut longer = whole.clone();
    longer.push(0);
    for (bytes, said) in [
        (flipped(0), "it is not encrypted"),
        (flipped(HEAD.len() + 20), "it is encrypted, and"),
        (flipped(whole.len() / 2), "altered or cut"),
        (flipped(whole.len() - 1), "altered or cut"),
        (whole[..whole.len() - 1].to_vec(), "altered or cut"),
        (whole[..whole.len() / 2].to_vec(), "altered or cut"),
        (whole[..HEAD.len() + 10].to_vec(), "it is damaged"),
        (longer, "altered or cut"),
    ] {
        fs::write(&file, bytes).unwrap();
        refused(&scene.gateway, &words, said);
    }
    fs::write(&file, &whole).unwrap();
    restored(&mut scene, &words).await;
}

#[tokio::test]
async fn the_gateway_encrypts_the_backups_that_it_makes_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let (identity, recipient) = key(directory.path(), "key");
    let (other, listed) = key(directory.path(), "other");
    let recipients = directory.path().join("recipients");
    fs::write(&recipients, format!("# who restores\n\n{listed}\n")).unwrap();
    let backups = directory.path().join("backups");
    let lines = [
        format!("directory = {backups:?}"),
        format!("recipients = [{recipient:?}]"),
        format!("recipient_file = {recipients:?}"),
    ];
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let mut scene = Scene::with(|config| config.table("backup", &lines), |_| {}).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    let made = loop {
        let found = fs::read_dir(&backups).into_iter().flatten().map(|it| it.unwrap().path());
        if let Some(made) = found.into_iter().find(|it| it.extension().is_some_and(|end| end == "backup")) {
            break made;
        }
        assert!(Instant::now() < deadline, "no backup was made");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(fs::read(&made).unwrap().starts_with(HEAD));
    for identity in [&identity, &other] {
        let decrypted = Command::new("age").arg("-d").arg("-i").arg(identity).arg(&made).output().unwrap();
        assert!(verify(&*decrypted.stdout).is_ok(), "{decrypted:?}");
    }
    // The command also encrypts where no gateway runs.
    scene.gateway.stop();
    let file = scene.gateway.directory().join("the.backup");
    let name = file.to_str().unwrap();
    scene.gateway.operate(&["backup", name, "--recipient", &recipient]);
    fs::rename(scene.gateway.data(), scene.gateway.directory().join("died")).unwrap();
    restored(&mut scene, &["restore", name, "--identity", identity.to_str().unwrap()]).await;
}
