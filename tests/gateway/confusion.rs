//! Every kind of token in every kind of place: a token for one purpose is never taken for another
//! (S-11).

use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::dialect_clients::DialectClient;
use crate::harness::config::{Config, Route};
use crate::harness::journey::secret_of;
use crate::harness::scene::ALICE;
use crate::harness::{Browser, Mode, PostOffice, Scene, port};

const AUTH: &str = "auth.example.test";
const APP: &str = "app.example.test";
const SESSION: &str = "__Host-vestibule";
const NONCE: &str = "__Host-vestibule-nonce";
const CODE: &str = "__Host-vestibule-code";
const CHALLENGE: &str = "__Host-challenge";
const BETTER_AUTH_CHALLENGE: &str = "__Host-better-auth.better-auth-passkey";

/// The kinds of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    AuthCookie,
    AppCookie,
    Opaque,
    Access,
    Refresh,
    Invitation,
    Code,
    CodeCookie,
    ChallengeCookie,
    Assertion,
    HandOff,
}

/// The places where a token can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The session cookie of the auth host, in every dialect.
    AuthCookie,
    /// The session cookie of an application's host.
    AppCookie,
    /// `Authorization` on the way to an application.
    AppBearer,
    Bearer(DialectClient),
    /// Where a front end has a new access token made.
    Refreshing,
    Invitation,
    CodeCookie,
    Code,
    /// The cookies that tie a browser to a ceremony, where it takes one to finish it.
    Challenge,
    BetterAuthChallenge,
    HandOff,
    ReturnTarget,
    Exchange,
}

/// The few right combinations.
const fn is_for(kind: Kind, place: Place) -> bool {
    match kind {
        Kind::AuthCookie => matches!(place, Place::AuthCookie),
        Kind::AppCookie => matches!(place, Place::AppCookie),
        Kind::Opaque => matches!(place, Place::Bearer(_) | Place::Refreshing | Place::Exchange),
        Kind::Refresh => matches!(place, Place::Bearer(_) | Place::Refreshing),
        Kind::Access => matches!(place, Place::Bearer(_)),
        Kind::Invitation => matches!(place, Place::Invitation),
        Kind::Code => matches!(place, Place::Code),
        Kind::CodeCookie => matches!(place, Place::CodeCookie),
        Kind::ChallengeCookie => matches!(place, Place::Challenge),
        // It is for its application alone.
        Kind::Assertion => false,
        Kind::HandOff => matches!(place, Place::HandOff),
    }
}

/// The order matters: a right token uses things up in the last places.
const PLACES: [Place; 17] = [
    Place::AuthCookie,
    Place::AppCookie,
    Place::AppBearer,
    Place::Bearer(DialectClient::Native),
    Place::Bearer(DialectClient::BetterAuth),
    Place::Bearer(DialectClient::Ocore),
    Place::Bearer(DialectClient::Corbado),
    Place::Bearer(DialectClient::Zitadel),
    Place::Refreshing,
    Place::ReturnTarget,
    Place::Invitation,
    Place::Code,
    Place::CodeCookie,
    Place::Challenge,
    Place::BetterAuthChallenge,
    Place::HandOff,
    Place::Exchange,
];

/// How many wrong codes a browser tries here before it goes on with the next: one less than kill a
/// code.
const GUESSES: usize = 4;

/// A token of each kind, and what a place needs beside it.
struct Stock {
    scene: Scene,
    kinds: Vec<(Kind, String)>,
    /// Browsers that have asked for a code, and the code.
    asked: Vec<(Browser, String)>,
    guesses: usize,
    /// Answers to ceremonies that another browser began: a native one and one of better-auth.
    answers: [Value; 2],
    nonce: String,
}

impl Stock {
    async fn gather() -> Self {
        let port = port::free();
        let office = PostOffice::open(port, &Mode::Plain);
        let arrange = |config: &mut Config| {
            config.tls(AUTH);
            DialectClient::all_on(config);
            let url = format!("url = \"smtp://localhost:{port}\"");
            config.table("mail", &[&url, "from = \"no-reply@example.com\""]);
            config.table("signin", &["email_code = \"enroll\""]);
        };
        let on_its_own_host = |route: &mut Route| {
            route.host(APP);
        };
        let mut scene = Scene::with(arrange, on_its_own_host).await.with_alice_as_member().await;
        let mut kinds = Vec::new();
        let page = format!("{}/page", scene.gateway.origin_of(APP));
        scene.alice.arrive(&page).await.0.expect(200);
        let cookie = |host| scene.alice.jar().get(host, SESSION).unwrap();
        kinds.extend([(Kind::AuthCookie, cookie(AUTH)), (Kind::AppCookie, cookie(APP))]);
        kinds.push((Kind::Assertion, scene.app.take().pop().unwrap().value("x-vestibule-assertion")));
        // Without a cookie beside it, so that its exchange needs none.
        let program = scene.anonymous().showing("none");
        let signed_in = DialectClient::Ocore.sign_in(&program, &mut scene.device).await;
        let tokens = DialectClient::Ocore.tokens(&signed_in).into_iter().map(|(_, token)| token);
        kinds.extend([Kind::Opaque, Kind::Access, Kind::Refresh].into_iter().zip(tokens));
        let link = scene.gateway.invite("carol@example.com", &[]);
        kinds.push((Kind::Invitation, secret_of(&link).to_owned()));
        let mut asked = Vec::new();
        for count in 1..=3 {
            let browser = scene.anonymous();
            browser.post("verify", &json!({ "email": ALICE })).await.expect(201);
            asked.push((browser, office.code(count).await));
        }
        kinds.push((Kind::Code, asked[0].1.clone()));
        kinds.push((Kind::CodeCookie, asked[1].0.jar().get(AUTH, CODE).unwrap()));
        let beginner = scene.anonymous();
        let options = DialectClient::BetterAuth.begin_sign_in(&beginner).await.expect(200).json();
        let options = [beginner.sign_in_options().await, options];
        let answers = options.map(|options| scene.device.get(&options, beginner.origin()));
        kinds.push((Kind::ChallengeCookie, beginner.jar().get(AUTH, CHALLENGE).unwrap()));
        let (code, nonce) = hand_off(&mut scene, &page).await;
        kinds.push((Kind::HandOff, code));
        Self { scene, kinds, asked, guesses: 0, answers, nonce }
    }

    /// Whether `token` is accepted at `place`.
    async fn opens(&mut self, place: Place, token: &str) -> bool {
        let browser = self.scene.anonymous();
        match place {
            Place::AuthCookie => {
                browser.jar().plant(AUTH, SESSION, token);
                let mut opened = vec![browser.get("sessions/current").await.status == 200];
                for dialect in DialectClient::ALL {
                    opened.push(dialect.ask_for_list(&browser).await.status == 200);
                }
                assert!(opened.iter().all(|it| *it == opened[0]), "the dialects disagree: {opened:?}");
                opened[0]
            }
            Place::AppCookie => {
                browser.jar().plant(APP, SESSION, token);
                self.enters(&browser).await
            }
            Place::AppBearer => self.enters(&browser.showing(token)).await,
            Place::Bearer(dialect) => dialect.ask_for_list(&browser.showing(token)).await.status == 200,
            Place::Refreshing => {
                let refresh = browser.showing(token).call(Method::POST, "/v2/me/refresh", None).await;
                refresh.status == 200
            }
            Place::ReturnTarget => {
                let url = self.scene.url(&format!("/auth/login?to={token}"));
                let reply = self.scene.alice.navigate(&url).await;
                reply.location().is_none_or(|to| to.path() != "/auth/account")
            }
            Place::Invitation => self.redeems(&browser, token).await,
            Place::Code => {
                // A code in the browser that asked for it; any other text in a browser that still
                // waits.
                let own = self.asked.iter().position(|(_, code)| code == token);
                let asker = &self.asked[own.unwrap_or(self.guesses / GUESSES)].0;
                self.guesses += 1;
                otp(asker, token).await
            }
            Place::CodeCookie => {
                browser.jar().plant(AUTH, CODE, token);
                otp(&browser, &self.asked[1].1).await
            }
            Place::Challenge => {
                browser.jar().plant(AUTH, CHALLENGE, token);
                DialectClient::Native.finish_sign_in(&browser, &self.answers[0]).await;
                browser.session().is_some()
            }
            Place::BetterAuthChallenge => {
                browser.jar().plant(AUTH, BETTER_AUTH_CHALLENGE, token);
                DialectClient::BetterAuth.finish_sign_in(&browser, &self.answers[1]).await;
                browser.session().is_some()
            }
            Place::HandOff => {
                browser.jar().plant(APP, NONCE, &self.nonce);
                let origin = self.scene.gateway.origin_of(APP);
                browser.navigate(&format!("{origin}/auth/hand-off?code={token}")).await;
                browser.jar().get(APP, SESSION).is_some()
            }
            Place::Exchange => {
                let body = json!({ "method": "passkey", "email": ALICE, "token": token });
                let status = browser.post("sessions", &body).await.status;
                assert!([201, 401].contains(&status), "{status}");
                status == 201
            }
        }
    }

    async fn enters(&self, browser: &Browser) -> bool {
        self.scene.app.take();
        let url = format!("{}/page", self.scene.gateway.origin_of(APP));
        let reply = browser.fetch(Method::GET, &url, None).await;
        let seen = self.scene.app.take().len();
        assert_eq!(seen, usize::from(reply.status == 200), "{reply}");
        seen == 1
    }

    async fn redeems(&self, browser: &Browser, token: &str) -> bool {
        let previewed = browser.post("invitations/preview", &json!({ "token": token })).await.status;
        let redeemed = browser.post("invitations/redeem", &json!({ "token": token })).await.status;
        assert!([(200, 201), (410, 410)].contains(&(previewed, redeemed)), "{previewed} {redeemed}");
        redeemed == 201
    }
}

async fn otp(browser: &Browser, code: &str) -> bool {
    let status =
        browser.post("sessions", &json!({ "method": "otp", "email": ALICE, "token": code })).await.status;
    assert!([201, 401].contains(&status), "{status}");
    status == 201
}

/// A code that has not been used, and the nonce of the browser that it is for.
async fn hand_off(scene: &mut Scene, page: &str) -> (String, String) {
    let browser = scene.anonymous();
    browser.sign_in(&mut scene.device).await.expect(201);
    let mut to = Url::parse(page).unwrap();
    while !to.path().ends_with("/hand-off") {
        to = browser.navigate(to.as_str()).await.location().expect("a way to the application");
    }
    let code = to.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let nonce = browser.jar().get(APP, NONCE).unwrap();
    (code, nonce)
}

#[tokio::test]
async fn s_11_each_token_kind_is_accepted_only_in_its_place() {
    let mut stock = Stock::gather().await;
    assert_eq!(stock.kinds.len(), 11);
    for place in PLACES {
        let (right, wrong): (Vec<_>, Vec<_>) =
            stock.kinds.clone().into_iter().partition(|(kind, _)| is_for(*kind, place));
        for (kind, token) in wrong {
            assert!(!stock.opens(place, &token).await, "{kind:?} opened {place:?}");
        }
        for (kind, token) in right {
            assert!(stock.opens(place, &token).await, "{kind:?} opened nothing at {place:?}");
        }
    }
}

/// An access token is short-lived so that a thief does not have it for long.
#[tokio::test]
async fn s_11_access_token_cannot_be_exchanged() {
    let mut scene = Scene::with(DialectClient::all_on, |_| {}).await;
    let browser = scene.anonymous();
    let signed_in = DialectClient::Ocore.sign_in(&browser, &mut scene.device).await;
    // The opaque token comes last, because its exchange ends the session.
    for (name, token) in DialectClient::Ocore.tokens(&signed_in).into_iter().rev() {
        let script = scene.anonymous().showing(&token);
        let current = script.get("sessions/current").await.expect(200).json();
        assert_eq!(current["token"], token, "{name}: one goes on with what one has shown");
        let session = script.call(Method::GET, "/api/auth/get-session", None).await.expect(200).json();
        assert_eq!(session["session"]["token"], token, "{name}");
        // The token yields no cookie either.
        for reply in [
            script.get("sessions/current").await,
            script.call(Method::GET, "/api/auth/get-session", None).await,
            script.navigate(&scene.url("/auth/account")).await,
            script.navigate(&scene.url("/auth/login")).await,
        ] {
            assert!(script.session().is_none(), "{name}: {reply}");
        }
        let exchanged = json!({ "method": "passkey", "email": ALICE, "token": token });
        assert_eq!(scene.anonymous().post("sessions", &exchanged).await.status, 401, "{name}");
        // The opaque token came with a cookie, and is good beside it.
        let status = browser.post("sessions", &exchanged).await.status;
        assert_eq!(status, if name == "opaque" { 201 } else { 401 }, "{name}");
    }
}
