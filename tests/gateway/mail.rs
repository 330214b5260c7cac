//! Mail, through a real SMTP server: that it arrives, that it waits, and that no third party can
//! have a say in it (S-21, S-26, S-29, S-30, S-37, S-38).

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use vestibule::domain::message::{Content, Message};
use vestibule::domain::user::Email;
use vestibule::mail::MessageBranding;
use vestibule::mail::smtp::{Encryption, MailServer, Sender, SmtpMailer};
use vestibule::ports::Mailer;

use crate::harness::config::Config;
use crate::harness::scene::ALICE;
use crate::harness::tls::Authority;
use crate::harness::{Authenticator, Browser, Gateway, Mode, PostOffice, Scene, port};

const FROM: &str = "from = \"Vestibule <no-reply@example.com>\"";

fn by_mail(port: u16) -> impl FnOnce(&mut Config) {
    by_mail_for(port, "enroll")
}

/// Mail, and codes that are good for `email_code`.
fn by_mail_for(port: u16, email_code: &'static str) -> impl FnOnce(&mut Config) {
    move |config| {
        config.table("mail", &[&format!("url = \"smtp://localhost:{port}\""), FROM]);
        config.table("signin", &[&format!("email_code = \"{email_code}\"")]);
    }
}

async fn ask(browser: &Browser, email: &str) {
    browser.post("verify", &json!({ "email": email })).await.expect(201);
}

async fn give_back(browser: &Browser, email: &str, code: &str) -> crate::harness::Reply {
    browser.post("sessions", &json!({ "method": "otp", "email": email, "token": code })).await
}

#[tokio::test]
async fn s_30_a_code_by_mail_leads_to_a_new_passkey() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let scene = Scene::with(by_mail(port), |_| {}).await.with_alice_as_member().await;
    let browser = scene.anonymous();
    let asked = browser.post("verify", &json!({ "email": ALICE })).await.expect(201);
    assert!(asked.body.is_empty());
    let code = office.code(1).await;
    give_back(&scene.anonymous(), ALICE, &code).await.expect_problem(401);
    give_back(&browser, "nobody@example.com", &code).await.expect_problem(401);
    let redeemed = give_back(&browser, ALICE, &code).await.expect(201).json();
    assert_eq!((&redeemed["user"]["email"], &redeemed["enrolling"]), (&json!(ALICE), &json!(true)));
    give_back(&browser, ALICE, &code).await.expect_problem(401);
    browser.get("passkeys").await.expect_problem(401);
    let mut answer = Authenticator::new(9).create(&browser.registration_options().await, browser.origin());
    answer["name"] = json!("New phone");
    browser.post("passkeys/register/verify", &answer).await.expect(200);
    let passkeys = browser.get("passkeys").await.expect(200).json();
    assert_eq!(passkeys.as_array().unwrap().len(), 2);
    let notice = office.message(2).await;
    // As quoted-printable, lines are broken anywhere.
    let message = notice["message"].as_str().unwrap().replace("=\r\n", "").replace("\r\n", " ");
    assert!(message.contains("A code by mail was used"), "the owner hears of it at once (F2): {notice}");
    assert!(message.contains("127.0.0.0/24"), "{notice}");
    let notice = office.message(3).await;
    let message = notice["message"].as_str().unwrap();
    assert!(message.contains("A passkey was added to your account"), "{notice}");
    assert!(!message.contains("New phone"), "who adds a passkey has no say in the notice (F22): {notice}");
    assert_eq!(notice["to"], json!([ALICE]));
}

#[tokio::test]
async fn s_26_a_session_by_code_opens_applications_and_changes_nothing() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let scene = Scene::with(by_mail_for(port, "session"), |_| {}).await.with_alice_as_member().await;
    let browser = scene.anonymous();
    ask(&browser, ALICE).await;
    give_back(&browser, ALICE, &office.code(1).await).await.expect(201);
    scene.app.take();
    browser.navigate(&scene.url("/page")).await.expect(200);
    let assertion = scene.app.take_one().value("x-vestibule-assertion");
    let claims = assertion.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&base64_url(claims)).unwrap();
    assert_eq!(claims["amr"], json!(["otp"]), "an application can tell");
    let refused = browser.post("passkeys/register/options", &json!({})).await.expect_problem(403);
    assert_eq!(refused["code"], "session_not_fresh");
}

fn base64_url(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// That the answer is the same and takes as long is tested in `silence`.
#[tokio::test]
async fn s_21_code_answers_do_not_reveal_accounts() {
    let port = port::free();
    let _office = PostOffice::open(port, &Mode::Plain);
    let scene = Scene::with(by_mail(port), |_| {}).await.with_alice_as_member().await;
    let [known, unknown] = [ALICE, "nobody@example.com"].map(|email| (email, scene.anonymous()));
    let mut answers = Vec::new();
    for (email, browser) in [known, unknown] {
        ask(&browser, email).await;
        answers.push(give_back(&browser, email, "00000000").await.expect_problem(401));
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn s_29_links_ignore_the_request_host() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let scene = Scene::with(by_mail(port), |_| {}).await.with_alice_as_member().await;
    let anonymous = scene.anonymous();
    let request = anonymous
        .fetching(Method::POST, &anonymous.api("verify"), Some(&json!({ "email": ALICE })))
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-proto", "https")
        .header("forwarded", "host=evil.example")
        .header("x-original-url", "https://evil.example/");
    anonymous.send(request).await.expect(201);
    office.message(1).await;
    let said = scene.gateway.operate(&["invite", "bob@example.com", "--mail", "--json"]);
    for count in 1..=2 {
        let message = office.message(count).await["message"].as_str().unwrap().to_owned();
        assert!(!message.contains("evil.example"), "{message}");
        assert!(message.contains(&scene.gateway.origin()), "{message}");
    }
    let invited: Value = serde_json::from_str(&said).unwrap();
    let message =
        office.message(2).await["message"].as_str().unwrap().replace("=\r\n", "").replace("=3D", "=");
    assert!(message.contains(invited["link"].as_str().unwrap()), "{message}");
}

#[tokio::test]
async fn dead_mail_server_delays_no_request_and_loses_no_message() {
    let port = port::free();
    let mut scene = Scene::with(by_mail(port), |_| {}).await.with_alice_as_member().await;
    let browser = scene.anonymous();
    let began = Instant::now();
    ask(&browser, ALICE).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    scene.gateway.kill9();
    scene.gateway.launch().await;
    let office = PostOffice::open(port, &Mode::Plain);
    let code = office.code(1).await;
    give_back(&browser, ALICE, &code).await.expect(201);
}

#[tokio::test]
async fn a_mailbox_that_does_not_exist_is_not_tried_again() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Refuse);
    let scene = Scene::with(by_mail(port), |_| {}).await.with_alice_as_member().await;
    ask(&scene.anonymous(), ALICE).await;
    scene.gateway.wait_for_log("refuses a message for good").await;
    assert!(office.taken().is_empty());
    assert!(!scene.gateway.log().contains("alice@example.com"), "the log names no user");
}

/// A gateway that sends over TLS to a server with a certificate for `certified`.
async fn over_tls(scheme: &str, certified: &str, trusted: Trusted) -> (Scene, PostOffice) {
    let directory = TempDir::new().unwrap();
    let (authority, port) = (Authority::new(), port::free());
    let (cert, key) = authority.issue(&[certified.to_owned()], directory.path());
    let mode = if scheme == "smtps" { Mode::Smtps(&cert, &key) } else { Mode::StartTls(&cert, &key) };
    let office = PostOffice::open(port, &mode);
    let ca = directory.path().join("ca.pem");
    let other = Authority::new();
    let pem = match trusted {
        Trusted::Yes => authority.certificate(),
        Trusted::No => other.certificate(),
    };
    std::fs::write(&ca, pem).unwrap();
    let arrange = |config: &mut Config| {
        let url = format!("url = \"{scheme}://localhost:{port}\"");
        config.table("mail", &[&url, FROM, &format!("ca_file = {:?}", ca.display().to_string())]);
        config.table("signin", &["email_code = \"enroll\""]);
    };
    (Scene::with(arrange, |_| {}).await.with_alice_as_member().await, office)
}

enum Trusted {
    Yes,
    No,
}

#[tokio::test]
async fn s_38_mail_goes_over_tls_to_the_server_that_was_named() {
    for scheme in ["smtps", "smtp"] {
        let (scene, office) = over_tls(scheme, "localhost", Trusted::Yes).await;
        ask(&scene.anonymous(), ALICE).await;
        let message = office.message(1).await;
        assert_eq!(message["tls"], json!(true), "{scheme}");
        assert_eq!(message["from"], "no-reply@example.com");
    }
}

#[tokio::test]
async fn s_38_a_certificate_for_another_name_is_refused() {
    for scheme in ["smtps", "smtp"] {
        let (scene, office) = over_tls(scheme, "mail.example.com", Trusted::Yes).await;
        ask(&scene.anonymous(), ALICE).await;
        scene.gateway.wait_for_log("could not be handed over yet").await;
        assert!(office.taken().is_empty(), "{scheme}");
    }
}

#[tokio::test]
async fn s_38_refuses_a_certificate_of_an_unknown_authority() {
    let (scene, office) = over_tls("smtps", "localhost", Trusted::No).await;
    ask(&scene.anonymous(), ALICE).await;
    scene.gateway.wait_for_log("could not be handed over yet").await;
    assert!(office.taken().is_empty());
}

#[tokio::test]
async fn s_37_an_address_cannot_bring_commands_or_headers() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let scene = Scene::with(by_mail(port), |_| {}).await.with_alice_as_member().await;
    for address in [
        "alice@example.com\r\nRCPT TO:<evil@example.com>",
        "alice@example.com\nBcc: evil@example.com",
        "alice@example.com>\r\nDATA",
        "<alice@example.com>",
        "alice@example.com,evil@example.com",
        "alice@example.com evil@example.com",
        "\"alice\\r\\n\"@example.com",
        "alice@example.com\u{0}",
    ] {
        let refused = scene.anonymous().post("verify", &json!({ "email": address })).await;
        refused.expect_problem(422);
    }
    let output =
        scene.gateway.cli(&["invite", "bob@example.com", "--name", "Bob\r\nBcc: evil@example.com", "--mail"]);
    assert!(!output.status.success());
    ask(&scene.anonymous(), ALICE).await;
    assert_eq!(office.message(1).await["to"], json!([ALICE]));
    assert_eq!(office.taken().len(), 1);
}

#[tokio::test]
async fn s_37_message_content_cannot_add_recipients_or_headers() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let server = MailServer {
        host: "127.0.0.1".to_owned(),
        port,
        encryption: Encryption::IfOffered,
        credentials: None,
        ca_file: None,
        from: Sender { name: None, email: Email::parse("no-reply@example.com").unwrap() },
    };
    let branding = MessageBranding {
        name: "Example\r\nBcc: evil@example.com".to_owned(),
        origin: "https://auth.example.com".to_owned(),
        account: "https://auth.example.com/auth/account".to_owned(),
    };
    let mailer = SmtpMailer::new(&server, "auth.example.com", branding).unwrap();
    for passkey in
        ["\r\n.\r\nMAIL FROM:<evil@example.com>\r\n", ".", "..", "\r\n.\r\n", "\n.\n", "\u{202e}\u{0}"]
    {
        let message = Message {
            to: Email::parse(ALICE).unwrap(),
            // The only notice that quotes a name.
            content: Content::PasskeyRemoved { passkey: passkey.to_owned(), about: None },
        };
        let before = office.taken().len();
        mailer.send(&message).await.unwrap();
        let message = office.message(before + 1).await;
        assert_eq!(message["to"], json!([ALICE]), "{message}");
        assert_eq!(message["from"], "no-reply@example.com");
        let (head, _) = message["message"].as_str().unwrap().split_once("\r\n\r\n").unwrap();
        assert!(!head.to_lowercase().contains("\nbcc:"), "{head}");
    }
    assert_eq!(office.taken().len(), 6, "six messages, six messages");
}

#[tokio::test]
async fn without_mail_no_code_is_offered() {
    let gateway = Gateway::start(|_| {}).await;
    let anonymous = Browser::new(&gateway);
    anonymous.post("verify", &json!({ "email": ALICE })).await.expect_problem(404);
    let refused = gateway.cli(&["invite", "bob@example.com", "--mail"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("[mail]"), "{refused:?}");
}

#[tokio::test]
async fn f_02_codes_are_off_by_default() {
    let port = port::free();
    let scene = Scene::with(
        move |config| config.table("mail", &[&format!("url = \"smtp://localhost:{port}\""), FROM]),
        |_| {},
    )
    .await;
    let page = scene.anonymous().navigate(&scene.url("/auth/login")).await.expect(200);
    assert!(page.text().contains("Sign in with a passkey"), "{page}");
    assert!(
        !page.text().contains("E-mail address for the code"),
        "codes are off unless an operator asks for them"
    );
    let refused = scene.anonymous().post("verify", &json!({ "email": ALICE })).await;
    assert_eq!(refused.status, 404, "{refused}");
}

/// An administrator would be as safe as a mailbox. The answer does not tell who is an
/// administrator.
#[tokio::test]
async fn f_02_no_code_is_sent_to_an_administrator() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let scene = Scene::with(by_mail(port), |_| {}).await;
    scene.invited("bob@example.com", 2).await;
    for email in [ALICE, "bob@example.com"] {
        ask(&scene.anonymous(), email).await;
    }
    assert_eq!(
        office.message(1).await["to"],
        json!(["bob@example.com"]),
        "the first message is the only one"
    );
    // Once another user is the administrator, Alice can be sent one.
    let scene = scene.with_alice_as_member().await;
    ask(&scene.anonymous(), ALICE).await;
    assert_eq!(office.message(2).await["to"], json!([ALICE]));
}

/// A user who came in by a code and added a passkey has not shown a passkey that was there before.
#[tokio::test]
async fn f_02_a_passkey_added_by_a_code_counts_from_the_next_sign_in_on() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let scene = Scene::with(by_mail(port), |_| {}).await.with_alice_as_member().await;
    let browser = scene.anonymous();
    ask(&browser, ALICE).await;
    give_back(&browser, ALICE, &office.code(1).await).await.expect(201);
    let mut device = Authenticator::new(7);
    browser.register(&mut device).await.expect(200);
    let amr = async |browser: &Browser| {
        scene.app.take();
        browser.fetch(Method::GET, &scene.url("/page"), None).await.expect(200);
        let jwt = scene.app.take_one().value("x-vestibule-assertion");
        let claims = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice::<Value>(&claims).unwrap()["amr"].clone()
    };
    assert_eq!(amr(&browser).await, json!(["otp"]));
    let later = scene.anonymous();
    later.sign_in(&mut device).await.expect(201);
    assert_eq!(amr(&later).await, json!(["pop", "user", "mfa"]));
}

/// The address of the cancelling link in a message, and its secret.
fn cancelling(message: &Value) -> String {
    // Long lines are folded (RFC 2045, section 6.7).
    let text = message["message"].as_str().unwrap().replace("=\r\n", "");
    let link = text.split_whitespace().find(|word| word.contains("/auth/recovery#"));
    link.unwrap_or_else(|| panic!("no link: {text}")).split('#').nth(1).unwrap().to_owned()
}

/// A thief reads Alice's mail, and makes a passkey with a code.
async fn recovered(scene: &Scene, office: &PostOffice) -> (Browser, Authenticator) {
    let (thief, mut device) = (scene.anonymous(), Authenticator::new(77));
    ask(&thief, ALICE).await;
    give_back(&thief, ALICE, &office.code(1).await).await.expect(201);
    thief.register(&mut device).await.expect(200);
    (thief, device)
}

#[tokio::test]
async fn f_02_the_owner_cancels_a_recovery_with_the_link_that_was_sent_at_once() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let scene = Scene::with(by_mail(port), |_| {}).await.with_alice_as_member().await;
    let (thief, mut device) = recovered(&scene, &office).await;
    thief.get("sessions").await.expect(200);
    let other = scene.anonymous();
    other.sign_in(&mut device).await.expect(201);
    let secret = cancelling(&office.message(2).await);
    let cancel =
        async |secret: &str| scene.anonymous().post("recoveries/cancel", &json!({ "token": secret })).await;
    cancel("AAAA").await.expect_problem(410);
    cancel(&secret).await.expect(204);
    cancel(&secret).await.expect_problem(410);
    for browser in [&thief, &other] {
        browser.get("sessions").await.expect_problem(401);
    }
    let gone = other.sign_in(&mut device).await.expect_problem(401);
    assert_eq!(gone["code"], "unknown_credential");
    // Alice's own session and passkey are as before.
    scene.alice.get("sessions").await.expect(200);
    assert_eq!(scene.alice.passkeys().await.len(), 1);
}

#[tokio::test]
async fn f_02_other_sessions_can_cancel_a_recovery() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let scene = Scene::with(by_mail(port), |_| {}).await.with_alice_as_member().await;
    let (thief, mut device) = recovered(&scene, &office).await;
    let page = scene.alice.navigate(&scene.url("/auth/account")).await.expect(200).text();
    assert!(page.contains("A code was used to get into your account"), "{page}");
    let listed = scene.alice.get("recoveries").await.expect(200).json();
    assert_eq!(listed[0]["network"], "127.0.0.0/24");
    let id = listed[0]["id"].as_str().unwrap();
    let (bob, _) = scene.invited("bob@example.com", 5).await;
    assert_eq!(bob.get("recoveries").await.expect(200).json(), json!([]));
    bob.delete(&format!("recoveries/{id}")).await.expect_problem(404);
    scene.alice.delete(&format!("recoveries/{id}")).await.expect(204);
    thief.get("sessions").await.expect_problem(401);
    scene.anonymous().sign_in(&mut device).await.expect_problem(401);
    let page = scene.alice.navigate(&scene.url("/auth/account")).await.expect(200).text();
    assert!(!page.contains("A code was used"), "{page}");
}

#[tokio::test]
async fn f_02_delayed_passkey_is_removed_by_the_owners_sign_in() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let arrange = move |config: &mut Config| {
        by_mail(port)(config);
        config.table("recovery", &["delay = \"1d\""]);
    };
    let mut scene = Scene::with(arrange, |_| {}).await.with_alice_as_member().await;
    let (thief, mut device) = (scene.anonymous(), Authenticator::new(77));
    ask(&thief, ALICE).await;
    give_back(&thief, ALICE, &office.code(1).await).await.expect(201);
    let made = thief.register(&mut device).await.expect(200).json();
    assert!(made["worksFrom"].is_string(), "{made}");
    // The session does not go on, and the passkey does not open one.
    thief.get("sessions").await.expect_problem(401);
    let asleep = thief.sign_in(&mut device).await.expect_problem(401);
    assert!(asleep["detail"].as_str().unwrap().contains("does not work yet"), "{asleep}");
    assert_eq!(scene.alice.passkeys().await.len(), 2, "she sees it");
    scene.anonymous().sign_in(&mut scene.device).await.expect(201);
    assert_eq!(scene.alice.passkeys().await.len(), 1, "and her sign-in ends it");
    let gone = thief.sign_in(&mut device).await.expect_problem(401);
    assert_eq!(gone["code"], "unknown_credential");
}

/// The browser in which an owner has signed in is known for a mailed code, and no other is.
#[tokio::test]
async fn f_14_a_sign_in_marks_the_browser_where_codes_are_on() {
    const MARK: &str = "vestibule-device";
    let mail = port::free();
    let _office = PostOffice::open(mail, &Mode::Plain);
    let mut scene = Scene::with(by_mail(mail), |_| {}).await.with_alice_as_member().await;
    let browser = scene.anonymous();
    browser.sign_in(&mut scene.device).await.expect(201);
    let set = browser.set_cookies(MARK);
    let [mark] = set.as_slice() else { panic!("{} cookies", set.len()) };
    assert!(mark.attributes.contains_key("httponly"), "{:?}", mark.attributes);
    let mut off = Scene::set().await;
    let browser = off.anonymous();
    browser.sign_in(&mut off.device).await.expect(201);
    assert_eq!(browser.set_cookies(MARK).len(), 0, "where there are no codes it is good for nothing");
}

#[tokio::test]
async fn f_02_the_new_passkey_works_when_the_delay_is_over_and_not_before() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let arrange = move |config: &mut Config| {
        by_mail(port)(config);
        config.own_clock = true;
        config.table("recovery", &["delay = \"1d\""]);
    };
    let scene = Scene::with(arrange, |_| {}).await.with_alice_as_member().await;
    let (owner, mut device) = (scene.anonymous(), Authenticator::new(77));
    ask(&owner, ALICE).await;
    give_back(&owner, ALICE, &office.code(1).await).await.expect(201);
    owner.register(&mut device).await.expect(200);
    scene.gateway.clock().set("+23h");
    let asleep = owner.sign_in(&mut device).await.expect_problem(401);
    assert!(asleep["detail"].as_str().unwrap().contains("does not work yet"), "{asleep}");
    scene.gateway.clock().set("+25h");
    owner.sign_in(&mut device).await.expect(201);
    assert_eq!(scene.anonymous().sign_in(&mut device).await.expect(201).status, 201);
}

#[tokio::test]
async fn f_02_removed_delayed_passkey_is_audited() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let arrange = move |config: &mut Config| {
        by_mail(port)(config);
        config.table("recovery", &["delay = \"1d\""]);
    };
    let mut scene = Scene::with(arrange, |_| {}).await.with_alice_as_member().await;
    let (thief, mut device) = (scene.anonymous(), Authenticator::new(77));
    ask(&thief, ALICE).await;
    give_back(&thief, ALICE, &office.code(1).await).await.expect(201);
    thief.register(&mut device).await.expect(200);
    scene.gateway.edit(|text| text.replace("delay = \"1d\"", "delay = \"0s\""));
    scene.gateway.operate(&["reload"]);
    scene.anonymous().sign_in(&mut scene.device).await.expect(201);
    assert_eq!(scene.alice.passkeys().await.len(), 1, "the passkey still slept");
    let told = scene.gateway.operate(&["audit", "--user", "alice", "--event", "user_changed"]);
    assert_eq!(told.matches("reason=recovery_cancelled").count(), 1, "{told}");
}

#[tokio::test]
async fn mail_test_reports_the_servers_answer() {
    let (app, mail) = (crate::harness::Upstream::start(), port::free());
    let gateway = Gateway::prepare(|config| {
        by_mail(mail)(config);
        config.route("app", app.port);
    });
    // No gateway runs, nor a mail server.
    let output = gateway.cli(&["mail", "test", ALICE]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("Connection refused"), "{said}");
    assert!(!gateway.data().exists(), "a test keeps nothing");
    let office = PostOffice::open(mail, &Mode::Plain);
    let said = gateway.operate(&["mail", "test", ALICE]);
    assert!(said.contains(&format!("accepted a message to {ALICE}")), "{said}");
    let arrived = office.message(1).await;
    assert_eq!(arrived["to"], json!([ALICE]));
    assert!(arrived["message"].as_str().unwrap().contains("This is a test message"), "{arrived}");
    gateway.edit(|text| text[..text.find("[mail]").unwrap()].to_owned());
    let output = gateway.cli(&["mail", "test", ALICE]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("names no mail server"), "{output:?}");
}
