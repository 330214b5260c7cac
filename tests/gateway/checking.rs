//! `check`, the parts of the configuration that operator commands need (A3, A4), and commands while
//! no gateway runs.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::process::Output;

use crate::harness::{Authenticator, Config, Gateway, Scene};

const HOST: &str = "auth.example.test";

fn with_tls(config: &mut Config) {
    config.tls(HOST);
    config.route("app", 9).host("app.example.test");
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Replaces a text in the configuration.
fn rewrite(gateway: &Gateway, old: &str, new: &str) {
    let file = gateway.config_file();
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(old), "{old:?} is not in {text}");
    fs::write(file, text.replace(old, new)).unwrap();
}

#[tokio::test]
async fn a3_an_operators_command_needs_no_certificate() {
    let gateway = Gateway::start(with_tls).await;
    fs::remove_file(gateway.directory().join("key.pem")).unwrap();
    let refused = gateway.cli(&["check"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    let invited = gateway.cli(&["invite", "bob@example.com"]);
    assert!(invited.status.success(), "{}", said(&invited));
    // A mistake in the command's own key counts all the same.
    rewrite(&gateway, "admin_socket = ", "admin_socket = 1 #");
    let refused = gateway.cli(&["invite", "carol@example.com"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("server.admin_socket"), "{}", said(&refused));
}

#[tokio::test]
async fn a4_check_loads_every_file_of_serve() {
    let mut gateway = Gateway::prepare(with_tls);
    let good = gateway.cli(&["check"]);
    assert!(good.status.success(), "{}", said(&good));

    let other = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
    let key = gateway.directory().join("key.pem");
    fs::write(&key, other.signing_key.serialize_pem()).unwrap();
    let ca = gateway.directory().join("ca.pem");
    fs::write(&ca, "no certificate").unwrap();
    let text = fs::read_to_string(gateway.config_file()).unwrap();
    let mail =
        format!("\n[mail]\nurl = \"smtp://localhost:1\"\nfrom = \"a@example.com\"\nca_file = {ca:?}\n");
    fs::write(gateway.config_file(), text + &mail).unwrap();
    let refused = gateway.cli(&["check"]);
    let told = said(&refused);
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("does not belong to the certificate"), "{told}");
    assert!(told.contains("ca.pem"), "everything is told at once: {told}");
    gateway.spawn(&[]);
    assert_eq!(gateway.wait_for_end(), Some(1), "serve started all the same");
}

#[tokio::test]
async fn a4_check_tells_of_every_file_that_cannot_be_used() {
    let bad = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = bad.path().join(name);
        fs::write(&path, "neither a certificate nor a picture").unwrap();
        path.display().to_string()
    };
    let (certificate, logo, ca) = (file("cert.pem"), file("logo.tiff"), file("ca.pem"));
    for (section, name) in [
        (format!("[branding]\nlogo = {logo:?}\n"), "logo.tiff"),
        (
            format!(
                "[[webhook]]\nurl = \"https://localhost:1/\"\nevents = [\"notices\"]\nca_file = {ca:?}\n"
            ),
            "ca.pem",
        ),
    ] {
        let gateway = Gateway::prepare(|config| {
            config.route("app", 9).host("app.localhost");
        });
        let text = fs::read_to_string(gateway.config_file()).unwrap();
        let good = gateway.cli(&["check"]);
        assert!(good.status.success(), "{}", said(&good));
        fs::write(gateway.config_file(), format!("{text}\n{section}")).unwrap();
        let refused = gateway.cli(&["check"]);
        assert_eq!(refused.status.code(), Some(1), "{section}: {}", said(&refused));
        assert!(said(&refused).contains(name), "{}", said(&refused));
    }
    let gateway = Gateway::prepare(with_tls);
    let own = gateway.directory().join("cert.pem").display().to_string();
    rewrite(&gateway, &format!("{own:?}"), &format!("{certificate:?}"));
    let refused = gateway.cli(&["check"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("cert.pem"), "{}", said(&refused));
}

#[tokio::test]
async fn a4_check_reads_the_roots_of_an_authority() {
    let gateway = Gateway::prepare(|config| {
        config.route("app", 9).host("app.localhost");
    });
    let ca = gateway.directory().join("roots.pem");
    fs::write(&ca, "no certificate").unwrap();
    let text = fs::read_to_string(gateway.config_file()).unwrap();
    let acme = format!("\n[server.tls.acme]\ndirectory = \"https://localhost:1/dir\"\nca_file = {ca:?}\n");
    fs::write(gateway.config_file(), text + &acme).unwrap();
    let refused = gateway.cli(&["check"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("roots.pem"), "{}", said(&refused));
}

#[tokio::test]
async fn a3_check_reads_credentials_where_the_unit_takes_them_from() {
    let gateway = Gateway::prepare(with_tls);
    let key = gateway.directory().join("key.pem").display().to_string();
    let copy = "/run/credentials/vestibule.service/tls.key";
    rewrite(&gateway, &format!("{key:?}"), &format!("{copy:?}"));
    let refused = gateway.cli(&["check"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains(copy), "{}", said(&refused));

    let unit = gateway.directory().join("vestibule.service");
    fs::write(&unit, format!("[Service]\nLoadCredential=tls.key:{key}\n")).unwrap();
    let unit = unit.display().to_string();
    let good = gateway.cli(&["check", "--as-service", &unit]);
    assert!(good.status.success(), "{}", said(&good));
    let refused = gateway.cli(&["check", "--as-service", "/no/such.service"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("/no/such.service"), "{}", said(&refused));
}

#[tokio::test]
async fn commands_work_without_a_gateway() {
    let mut scene = Scene::set().await;
    let cookie = scene.alice.session().unwrap();
    scene.gateway.stop();
    let data = scene.gateway.data();
    let owner = fs::metadata(&data).unwrap();
    // As a service's directory is when root runs a command.
    let service = (65_534, 65_534);
    if owner.uid() == 0 {
        for entry in fs::read_dir(&data).unwrap() {
            chown(entry.unwrap().path(), Some(service.0), Some(service.1)).unwrap();
        }
        chown(&data, Some(service.0), Some(service.1)).unwrap();
    }
    let invited = scene.gateway.cli(&["invite", "bob@example.com", "--name", "Bob"]);
    assert!(invited.status.success(), "{}", said(&invited));
    let link = said(&invited).split_whitespace().find(|word| word.contains("/enroll#")).unwrap().to_owned();
    let ended = scene.gateway.cli(&["session", "end", "alice"]);
    assert!(ended.status.success(), "{}", said(&ended));
    let rotated = scene.gateway.cli(&["key", "rotate"]);
    assert!(rotated.status.success(), "{}", said(&rotated));
    if owner.uid() == 0 {
        for entry in fs::read_dir(&data).unwrap() {
            let entry = entry.unwrap();
            let found = entry.metadata().unwrap();
            assert_eq!((found.uid(), found.gid()), service, "{entry:?} is the gateway's no more");
        }
    }

    scene.gateway.launch().await;
    let browser = scene.anonymous();
    browser.enrol(&link, "bob@example.com", "", &mut Authenticator::new(7)).await;
    assert!(browser.is_signed_in().await, "what the command did is there");
    browser.jar().plant("localhost", browser.session_cookie_name(), &cookie);
    assert!(!browser.is_signed_in().await, "the session was ended");
}

#[tokio::test]
async fn offline_command_creates_no_store() {
    let gateway = Gateway::prepare(|_| {});
    let refused = gateway.cli(&["invite", "bob@example.com"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("there is no store in"), "{}", said(&refused));
    assert!(!gateway.data().exists());
}
