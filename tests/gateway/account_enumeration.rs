//! No answer tells who has an account here: for known and unknown people every answer is the same,
//! in every byte, and takes as long (S-21).

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::dialect_clients::DialectClient;
use crate::harness::config::Config;
use crate::harness::scene::ALICE;
use crate::harness::{Authenticator, Browser, Reply, Scene, SeededRandom, port};

/// Where an anonymous client can name a person.
const PLACES: [&str; 3] =
    ["/auth/passkeys/authenticate/options", "/api/auth/passkey/login/begin", "/auth/verify"];
const NOBODY: &str = "nobody@example.com";

/// All dialects, a mail server that does not answer, and no limit that a test could reach.
fn arrange(config: &mut Config) {
    DialectClient::all_on(config);
    let url = format!("url = \"smtp://localhost:{}\"", port::free());
    config.table("mail", &[&url, "from = \"no-reply@example.com\""]);
    config.table("signin", &["email_code = \"enroll\""]);
    config.table("limits", &["network_burst = 100000", "network_per_second = 100000"]);
    config.server.push("trusted_proxies = [\"127.0.0.1/32\"]".to_owned());
}

/// Asks as a program would, from this address.
async fn ask(browser: &Browser, path: &str, email: &str, from: &str) -> Reply {
    let request = browser.request(Method::POST, &format!("{}{path}", browser.origin()));
    browser.send(request.header("x-forwarded-for", from).json(&json!({ "email": email }))).await
}

/// An answer without the random parts: of the challenge and the cookie, only the length is left.
fn settled(reply: &Reply) -> (u16, String, Vec<(String, String)>) {
    let (status, mut body, mut headers) = reply.telling();
    if let Ok(mut json) = serde_json::from_str::<Value>(&body) {
        let bare = if json.get("publicKey").is_some() { &mut json["publicKey"] } else { &mut json };
        bare["challenge"] = json!(bare["challenge"].as_str().map(str::len));
        body = json.to_string();
    }
    for (_, cookie) in headers.iter_mut().filter(|(name, _)| name == "set-cookie") {
        let (name, rest) = cookie.split_once('=').unwrap();
        let (value, attributes) = rest.split_once(';').unwrap();
        *cookie = format!("{name}={};{attributes}", value.len());
    }
    (status, body, headers)
}

#[tokio::test]
async fn s_21_answers_are_identical_for_known_and_unknown_names() {
    let scene = Scene::with(arrange, |_| {}).await;
    scene.invited("closed@example.com", 2).await;
    scene.gateway.operate(&["user", "disable", "closed@example.com"]);
    let enrolling = scene.anonymous();
    enrolling.redeem(&scene.gateway.invite("enrolling@example.com", &[]), None, "E").await.expect(201);
    scene.gateway.invite("invited@example.com", &[]);
    for path in PLACES {
        let expected = settled(&ask(&scene.anonymous(), path, NOBODY, "192.0.2.1").await);
        for email in [ALICE, "closed@example.com", "enrolling@example.com", "invited@example.com"] {
            // Often enough that Alice is sent nothing more.
            for _ in 0..5 {
                let seen = settled(&ask(&scene.anonymous(), path, email, "192.0.2.1").await);
                assert_eq!(seen, expected, "{email} at {path}");
            }
        }
    }
}

/// The next step: a passkey that is not the named person's, or a wrong token.
#[tokio::test]
async fn s_21_refusals_are_identical_for_known_and_unknown_names() {
    let scene = Scene::with(arrange, |_| {}).await;
    let (_, mut bobs) = scene.invited("bob@example.com", 2).await;
    let finish = async |bobs: &mut Authenticator, named: &str, at_the_end: bool| {
        let browser = scene.anonymous();
        let body = if at_the_end { json!({}) } else { json!({ "email": named }) };
        let options = browser.call(Method::POST, PLACES[1], Some(&body)).await.expect(200).json();
        let answer = bobs.get(&options, browser.origin());
        let query = if at_the_end { format!("?email={named}") } else { String::new() };
        let path = format!("/api/auth/passkey/login/finish{query}");
        browser.call(Method::POST, &path, Some(&answer)).await.expect(401).telling()
    };
    for at_the_end in [true, false] {
        let [known, unknown] =
            [finish(&mut bobs, ALICE, at_the_end).await, finish(&mut bobs, NOBODY, at_the_end).await];
        assert_eq!(known, unknown, "at the end: {at_the_end}");
    }
    let token = scene.alice.get("sessions/current").await.json()["token"].clone();
    for method in ["passkey", "otp"] {
        let exchange = async |email: &str| {
            let body = json!({ "method": method, "email": email, "token": token });
            scene.anonymous().post("sessions", &body).await.expect(401).telling()
        };
        assert_eq!(exchange("bob@example.com").await, exchange(NOBODY).await, "{method}");
    }
}

/// The share of all pairs in which the first one is longer, from 0 to 1 (Mann and Whitney). For two
/// samples of the same thing it is near one half, however noisy the machine is.
fn longer_share(first: &[Duration], second: &[Duration]) -> f64 {
    let pairs = first.iter().flat_map(|a| second.iter().map(move |b| a.cmp(b)));
    let score: u32 = pairs
        .map(|order| match order {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => 1,
            std::cmp::Ordering::Greater => 2,
        })
        .sum();
    f64::from(score) / f64::from(u32::try_from(2 * first.len() * second.len()).unwrap())
}

/// Enough accounts that each of the requests below is really sent a code: one network can have
/// three sent to an account, and all networks twelve.
const PEOPLE: usize = 9;
const SAMPLES: usize = 100;
const SEED: u64 = 20_261_124;

#[tokio::test]
async fn s_21_answers_take_equally_long() {
    let scene = Scene::with(arrange, |_| {}).await;
    for number in 0..PEOPLE {
        scene.invited(&format!("p{number}@example.com"), 10 + number as u64).await;
    }
    let mut random = SeededRandom::new(SEED);
    for path in PLACES {
        let mut times = [Vec::new(), Vec::new()];
        // In random order, so that the after-effects of requests fall on both alike.
        while times.iter().any(|times| times.len() < SAMPLES) {
            let which = random.roll(2);
            let round = times[which].len();
            if round == SAMPLES {
                continue;
            }
            let known = format!("p{}@example.com", round % PEOPLE);
            let email = [known.as_str(), NOBODY][which];
            let from = format!("10.0.{}.1", round / PEOPLE / 3);
            let browser = scene.anonymous();
            let began = Instant::now();
            let reply = ask(&browser, path, email, &from).await;
            times[which].push(began.elapsed());
            assert!([200, 201].contains(&reply.status), "{reply}");
        }
        let share = longer_share(&times[0], &times[1]);
        // Five standard deviations of the share for so many samples of the same thing.
        assert!(
            (0.3..0.7).contains(&share),
            "{path}: known people take longer in {share} of all pairs, seed {SEED}"
        );
    }
}

/// Under a service manager, what is printed is a log that others may read.
#[tokio::test]
async fn f_16_set_up_link_is_printed_only_to_a_terminal() {
    let gateway = crate::harness::Gateway::start(|_| {}).await;
    let link = gateway.setup_link();
    let (_, secret) = link.split_once('#').unwrap();
    gateway.wait_for_log("to become the administrator").await;
    let log = gateway.log();
    assert!(log.contains(&gateway.setup_file().display().to_string()), "the file is named: {log}");
    assert!(!log.contains(secret), "the secret is in the log");
}

/// On a terminal there is an operator who starts it, and who is to have the link.
#[tokio::test]
async fn f_16_the_set_up_secret_is_told_on_a_terminal() {
    let gateway = crate::harness::Gateway::prepare(|_| {});
    let program = env!("CARGO_BIN_EXE_vestibule");
    let command = format!("{program} serve --config {}", gateway.config_file().display());
    let seen = gateway.directory().join("terminal");
    // `script` writes down the output on the terminal that it makes.
    let mut script = std::process::Command::new("script");
    script.args(["--quiet", "--flush", "--command", &command]).arg(&seen);
    let mut running =
        script.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let text = loop {
        let text = std::fs::read_to_string(&seen).unwrap_or_default();
        if text.contains("/enroll#") || Instant::now() > deadline {
            break text;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    // The terminal goes, and the gateway with it.
    running.kill().unwrap();
    running.wait().unwrap();
    let link = gateway.setup_link();
    let (_, secret) = link.split_once('#').unwrap();
    assert!(text.contains(secret), "{text}");
}
