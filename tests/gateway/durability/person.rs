//! A person who changes one thing after the other, writes down what they were told, and looks
//! whether it is so.
//!
//! No application shares the auth host in these tests, so that no change needs a fresh assertion.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::history::{History, Outcome, State, Subject};
use crate::harness::{Authenticator, Browser, Config, Gateway, Reply, SeededRandom};

/// The status for a person who signs in more often than an account may.
const TOO_MANY: u16 = 429;
const PATIENCE: Duration = Duration::from_secs(30);
/// No more sessions at once than a person may have, with room for sessions whose sign-in got no
/// answer.
const ALIVE_MAX: usize = 6;
/// A sign-in without an answer leaves a session behind; beyond this all others are ended.
const SESSIONS_MAX: usize = 12;
/// Of sessions that have ended, how many are looked at each time: the last ones.
const ENDED_CHECKED_MAX: usize = 6;
const ADDED_MAX: usize = 3;
const REMOVED_CHECKED_MAX: usize = 3;

/// People here try more than one network may.
pub(super) fn patient(config: &mut Config) {
    config.table("limits", &["network_burst = 100000", "network_per_second = 100000"]);
}

/// Why a person stopped.
#[derive(Debug)]
pub(super) enum End {
    /// They were told to, or had done enough.
    Asked,
    /// The gateway does not answer.
    Unreachable,
    /// A request failed with this answer.
    Failing(Box<Reply>),
}

type Commander = Box<dyn Fn(&[&str]) -> Command + Send>;

/// A user whom an operator shuts out and lets in again, and how.
struct Guest {
    name: String,
    device: Authenticator,
    /// Their session when no answer said whether they were shut out: it goes with the account.
    session: Option<Subject>,
    commander: Commander,
}

/// One person with a browser that stays signed in.
pub(super) struct Person {
    pub(super) browser: Browser,
    device: Authenticator,
    /// The first passkey, which is renamed and never removed.
    first: String,
    /// Passkeys that came later, each on a device of its own.
    added: Vec<(Subject, Authenticator)>,
    /// Those of them that were taken off the account again.
    removed: Vec<(Subject, Authenticator)>,
    /// Live sessions and ended ones, oldest first.
    alive: Vec<Subject>,
    ended: Vec<Subject>,
    guest: Option<Guest>,
    pub(super) history: History,
    random: SeededRandom,
    seeds: u64,
}

impl Person {
    /// The first administrator.
    pub(super) async fn first(gateway: &Gateway, seed: u64) -> Self {
        Self::enrolled(gateway, &gateway.setup_link(), "alice@example.com", seed).await
    }

    /// A person who was invited.
    pub(super) async fn invited(gateway: &Gateway, seed: u64) -> Self {
        let email = format!("person-{seed}@example.com");
        Self::enrolled(gateway, &gateway.invite(&email, &[]), &email, seed).await
    }

    async fn enrolled(gateway: &Gateway, link: &str, email: &str, seed: u64) -> Self {
        let (browser, mut device) = (Browser::new(gateway), Authenticator::new(seed * 1_000));
        browser.enrol(link, email, "", &mut device).await;
        let passkey = browser.passkeys().await.remove(0);
        let first = passkey["id"].as_str().unwrap().to_owned();
        let mut history = History::default();
        history.begin(&Subject::NameOf(first.clone()), State::Named(name_of(&passkey)));
        let seed_of_random = seed.wrapping_add(20_261_122);
        Self {
            browser,
            device,
            first,
            added: Vec::new(),
            removed: Vec::new(),
            alive: Vec::new(),
            ended: Vec::new(),
            guest: None,
            history,
            random: SeededRandom::new(seed_of_random),
            seeds: seed * 1_000,
        }
    }

    /// Brings a guest, whom an operator shuts out and lets in again.
    pub(super) async fn with_guest(mut self, gateway: &Gateway) -> Self {
        self.seeds += 1;
        let (name, mut device) = (format!("guest-{}", self.seeds), Authenticator::new(self.seeds));
        let email = format!("{name}@example.com");
        self.browser.another().enrol(&gateway.invite(&email, &[]), &email, "", &mut device).await;
        self.history.begin(&Subject::Account(name.clone()), State::There);
        self.guest = Some(Guest { name, device, session: None, commander: Box::new(gateway.commander()) });
        self
    }

    /// Changes things until told to stop, or until something does not succeed.
    pub(super) async fn live(&mut self, stop: &AtomicBool) -> End {
        while !stop.load(Ordering::Relaxed) {
            if let Err(end) = self.change().await {
                return end;
            }
        }
        End::Asked
    }

    /// As `live`, for so many changes.
    pub(super) async fn live_for(&mut self, changes: usize) -> End {
        for _ in 0..changes {
            if let Err(end) = self.change().await {
                return end;
            }
        }
        End::Asked
    }

    async fn change(&mut self) -> Result<(), End> {
        match self.random.roll(12) {
            0..=2 if self.alive.len() < ALIVE_MAX => self.sign_in().await,
            0..=5 if !self.alive.is_empty() => self.sign_out().await,
            6 if self.added.len() < ADDED_MAX => self.add_passkey().await,
            6 | 7 if !self.added.is_empty() => self.remove_passkey().await,
            8 if self.guest.is_some() => self.meet_guest().await,
            _ => self.rename().await,
        }
    }

    async fn sign_in(&mut self) -> Result<(), End> {
        let browser = self.browser.another();
        let reply = signed_in(&browser, &mut self.device).await?;
        if reply.status == TOO_MANY {
            return self.rename().await;
        }
        expect_or_failing(&reply, 201)?;
        let session = Subject::Session(browser.session().unwrap());
        self.history.ask("sign-in", &session, State::There);
        self.history.answer("sign-in", &session, Outcome::Acknowledged);
        self.alive.push(session);
        Ok(())
    }

    async fn sign_out(&mut self) -> Result<(), End> {
        let session = self.alive.remove(0);
        self.ended.push(session.clone());
        let browser = self.holding(&session);
        let request = browser.fetching(Method::DELETE, &browser.api("sessions/"), None);
        self.demand("sign-out", &session, State::Gone, request, 204).await
    }

    async fn rename(&mut self) -> Result<(), End> {
        let name = format!("name {}", self.history.asked());
        let (subject, below) = (Subject::NameOf(self.first.clone()), format!("passkeys/{}", self.first));
        let body = json!({ "name": name });
        let request = self.browser.fetching(Method::PATCH, &self.browser.api(&below), Some(&body));
        self.demand("rename", &subject, State::Named(name), request, 200).await
    }

    async fn add_passkey(&mut self) -> Result<(), End> {
        self.seeds += 1;
        let mut device = Authenticator::new(self.seeds);
        let options = posted(&self.browser, "passkeys/register/options", &json!({})).await?;
        expect_or_failing(&options, 200)?;
        let answer = device.create(&options.json(), self.browser.origin());
        let subject = Subject::Passkey(answer["id"].as_str().unwrap().to_owned());
        self.history.begin(&subject, State::Gone);
        self.added.push((subject.clone(), device));
        let address = self.browser.api("passkeys/register/verify");
        let request = self.browser.fetching(Method::POST, &address, Some(&answer));
        self.demand("addition", &subject, State::There, request, 200).await
    }

    async fn remove_passkey(&mut self) -> Result<(), End> {
        let removed = self.added.remove(0);
        let subject = removed.0.clone();
        self.removed.push(removed);
        let Subject::Passkey(id) = &subject else { panic!("{subject:?}") };
        let address = self.browser.api(&format!("passkeys/{id}"));
        let request = self.browser.fetching(Method::DELETE, &address, None);
        self.demand("removal", &subject, State::Gone, request, 204).await
    }

    /// The guest signs in and is shut out, or is let in again.
    async fn meet_guest(&mut self) -> Result<(), End> {
        let guest = self.guest.as_mut().expect("there is one");
        let account = Subject::Account(guest.name.clone());
        if self.history.is_surely(&account, &State::Gone) {
            self.history.ask("enabling", &account, State::There);
            let outcome = run((guest.commander)(&["user", "enable", &guest.name])).await;
            self.history.answer("enabling", &account, outcome);
            return succeeded(outcome);
        }
        let browser = self.browser.another();
        let reply = signed_in(&browser, &mut guest.device).await?;
        if reply.status == TOO_MANY {
            return self.rename().await;
        }
        expect_or_failing(&reply, 201)?;
        let session = Subject::Session(browser.session().unwrap());
        self.history.begin(&session, State::There);
        self.history.ask("disabling", &account, State::Gone);
        self.history.ask("end with the account", &session, State::Gone);
        self.ended.push(session.clone());
        guest.session = Some(session.clone());
        let outcome = run((guest.commander)(&["user", "disable", &guest.name])).await;
        self.history.answer("disabling", &account, outcome);
        self.history.answer("end with the account", &session, outcome);
        if outcome == Outcome::Acknowledged {
            guest.session = None;
        }
        succeeded(outcome)
    }

    /// Asks for a change, and writes it down before there can be an answer.
    async fn demand(
        &mut self,
        what: &'static str,
        subject: &Subject,
        becomes: State,
        request: RequestBuilder,
        success: u16,
    ) -> Result<(), End> {
        self.history.ask(what, subject, becomes);
        let asked = self.browser.another().try_send(request).await.map_err(|_| End::Unreachable);
        let outcome = match &asked {
            Ok(reply) if reply.status == success => Outcome::Acknowledged,
            Ok(reply) if reply.status < 500 => Outcome::Refused,
            _ => Outcome::Unknown,
        };
        self.history.answer(what, subject, outcome);
        expect_or_failing(&asked?, success)
    }

    fn holding(&self, session: &Subject) -> Browser {
        let Subject::Session(cookie) = session else { panic!("{session:?}") };
        let browser = self.browser.another();
        browser.jar().plant("localhost", "vestibule", cookie);
        browser
    }

    /// Every acknowledged change is there, and ended sessions are over; a change under way happened
    /// or did not.
    pub(super) async fn check(&mut self, context: &str) {
        let passkeys = self.browser.passkeys().await;
        for subject in self.history.subjects() {
            match &subject {
                Subject::Session(_) => {}
                Subject::Passkey(id) => {
                    let found = passkeys.iter().any(|it| it["id"] == **id);
                    self.history.find(&subject, presence(found), context);
                }
                Subject::NameOf(id) => {
                    let passkey = passkeys.iter().find(|it| it["id"] == **id).expect("it is never removed");
                    self.history.find(&subject, State::Named(name_of(passkey)), context);
                }
                Subject::Account(_) => self.check_guest(&subject, context).await,
            }
        }
        self.check_devices(context).await;
        self.check_sessions(context).await;
        if self.browser.sessions().await.len() > SESSIONS_MAX {
            self.browser.delete("sessions/others").await.expect(204);
            for session in self.alive.drain(..) {
                self.history.begin(&session, State::Gone);
                self.ended.push(session);
            }
        }
    }

    async fn check_guest(&mut self, account: &Subject, context: &str) {
        let guest = self.guest.as_mut().expect("there is one");
        let browser = self.browser.another();
        let found = presence(signs_in(&browser, &mut guest.device).await);
        self.history.find(account, found.clone(), context);
        if let Some(session) = guest.session.take() {
            self.history.begin(&session, found.clone());
            let holding = self.holding(&session);
            self.history.find(&session, presence(holding.is_signed_in().await), context);
            if found == State::There {
                holding.delete("sessions/").await.expect(204);
                self.history.begin(&session, State::Gone);
            }
        }
        browser.delete("sessions/").await.expect_one_of(&[204, 401]);
    }

    /// A passkey that is on the list signs in, and a removed passkey does not.
    async fn check_devices(&mut self, context: &str) {
        let removed = self.removed.len().saturating_sub(REMOVED_CHECKED_MAX);
        let looked_at = self.added.drain(..).chain(self.removed.drain(removed..)).collect::<Vec<_>>();
        for (subject, mut device) in looked_at {
            let browser = self.browser.another();
            let found = signs_in(&browser, &mut device).await;
            self.history.find(&subject, presence(found), context);
            if found {
                browser.delete("sessions/").await.expect(204);
                self.added.push((subject, device));
            } else {
                self.removed.push((subject, device));
            }
        }
    }

    async fn check_sessions(&mut self, context: &str) {
        let ended = self.ended.len().saturating_sub(ENDED_CHECKED_MAX);
        let mut alive = Vec::new();
        for session in self.alive.drain(..).chain(self.ended.drain(ended..)).collect::<Vec<_>>() {
            let lives = self.holding(&session).is_signed_in().await;
            self.history.find(&session, presence(lives), context);
            if lives { alive.push(session) } else { self.ended.push(session) }
        }
        self.alive = alive;
    }
}

const fn presence(found: bool) -> State {
    if found { State::There } else { State::Gone }
}

fn name_of(passkey: &Value) -> String {
    passkey["name"].as_str().unwrap().to_owned()
}

/// The native API, which may not be there.
async fn posted(browser: &Browser, below: &str, body: &Value) -> Result<Reply, End> {
    let request = browser.fetching(Method::POST, &browser.api(below), Some(body));
    browser.try_send(request).await.map_err(|_| End::Unreachable)
}

async fn signed_in(browser: &Browser, device: &mut Authenticator) -> Result<Reply, End> {
    let options = posted(browser, "passkeys/authenticate/options", &json!({})).await?;
    expect_or_failing(&options, 200)?;
    let answer = device.get(&options.json(), browser.origin());
    posted(browser, "passkeys/authenticate/verify", &answer).await
}

/// Whether a person gets in, waiting until the limit allows an attempt.
async fn signs_in(browser: &Browser, device: &mut Authenticator) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let reply = browser.sign_in(device).await.expect_one_of(&[201, 401, TOO_MANY]);
        if reply.status != TOO_MANY {
            return reply.status == 201;
        }
        assert!(Instant::now() < deadline, "{reply}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// No request of these people is refused because of an own mistake.
#[track_caller]
fn expect_or_failing(reply: &Reply, success: u16) -> Result<(), End> {
    if reply.status >= 500 {
        return Err(End::Failing(Box::new(reply.clone())));
    }
    assert_eq!(reply.status, success, "{reply}");
    Ok(())
}

/// Runs an operator's command, which fails where the gateway does.
async fn run(mut command: Command) -> Outcome {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let ended = tokio::task::spawn_blocking(move || command.status().unwrap()).await.unwrap();
    if ended.success() { Outcome::Acknowledged } else { Outcome::Unknown }
}

const fn succeeded(outcome: Outcome) -> Result<(), End> {
    match outcome {
        Outcome::Acknowledged => Ok(()),
        Outcome::Refused | Outcome::Unknown => Err(End::Unreachable),
    }
}
