//! `vestibule demo`, as a developer tries it who has just built it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::chrome::{Attached, Chrome};
use crate::harness::port;

/// The demo, ended when dropped.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the demo over its own directory; its origin and the link it shows.
fn start(data: &std::path::Path) -> (Demo, String, String) {
    let listen = format!("127.0.0.1:{}", port::free());
    let mut child = Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .args(["demo", "--listen", &listen, "--data"])
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let demo = Demo(child);
    let link = stdout.lines().map_while(Result::ok).find(|line| line.contains("/auth/enroll#"));
    let link = link.expect("the demo shows a link").trim_matches(['║', ' ']).to_owned();
    let origin = link.split_once("/auth/").unwrap().0.to_owned();
    (demo, origin, link)
}

#[tokio::test]
async fn demo_link_leads_to_the_application_with_identity() {
    let data = tempfile::tempdir().unwrap();
    let (_demo, origin, link) = start(data.path());
    let chrome = Chrome::start().await;
    let window = chrome.window().await;
    let _authenticator = window.authenticator(Attached::BuiltIn).await;

    window.open(&link).await;
    window.fill("Your e-mail address", "zoe@example.com").await;
    window.fill("Your name", "Zoë Zimmer").await;
    window.press("Create your passkey").await;
    window.arrives_at(&format!("{origin}/")).await;
    window.sees("Hello, Zoë Zimmer").await;
    window.sees("You are zoe, zoe@example.com.").await;
    window.press("Send").await;
    window.sees("echo: Hello").await;

    window.press("Headers as JSON").await;
    window.sees("remote-user").await;
    let headers: Vec<(String, String)> = serde_json::from_str(&window.text().await).unwrap();
    let value = |name: &str| {
        let mut values = headers.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} twice");
        value
    };
    assert_eq!(value("remote-user"), Some("zoe"));
    assert_eq!(value("remote-email"), Some("zoe@example.com"));
    assert_eq!(value("remote-name"), Some("Zo%C3%AB Zimmer"));
    let shown = value("cookie").unwrap_or_default();
    assert!(!shown.contains("vestibule="), "the application was shown the session: {shown}");
    window.stays_clean().await;
}

/// How long it may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn the_demo_ends_with_its_terminal() {
    let data = tempfile::tempdir().unwrap();
    let (mut demo, ..) = start(data.path());
    assert!(demo.0.try_wait().unwrap().is_none(), "it runs");
    let closed = Command::new("kill").args(["-HUP", &demo.0.id().to_string()]).status().unwrap();
    assert!(closed.success());
    let deadline = Instant::now() + PATIENCE;
    while demo.0.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "no process is left to stop it");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
