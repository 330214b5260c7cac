//! Passkeys of people in a filled store: made by the software authenticator, judged by the
//! gateway's own library, and written as the gateway writes them.
//!
//! What does not live here: people (`filling.rs`), and talking to a server (`client.rs`).
#![allow(dead_code, reason = "each benchmark uses its own part of this file")]

use serde_json::{Value, json};
use vestibule::domain::ceremony::RelyingParty;
use vestibule::domain::credential::{Credential, Planned, Verifier};
use vestibule::domain::id::CredentialId;

use crate::authenticator::Authenticator;
use crate::filling;

const RP_ID: &str = "localhost";

/// The relying party of a gateway at `origin`.
pub fn relying_party(origin: &str) -> RelyingParty {
    RelyingParty::new(RP_ID, "Bench", &[origin.to_owned()]).unwrap()
}

/// A passkey on `device`, of the person with this number.
pub fn register(device: &mut Authenticator, origin: &str, number: u64) -> Credential {
    let (party, now) = (relying_party(origin), filling::now());
    let (options, pending) = party.begin_registration(&filling::user(number), &[], now).unwrap();
    let answer = device.create(&options.0, origin);
    party.finish_registration(pending, &answer, now).unwrap().into_credential(Planned::default(), now)
}

/// One passkey's key that all users have, each under an id of their own: as many bytes and as much
/// work to check, without the time that a million keys take.
pub struct Everybody {
    device: Authenticator,
    origin: String,
    first: Credential,
}

impl Everybody {
    pub fn at(origin: &str) -> Self {
        let mut device = Authenticator::new(1);
        let first = register(&mut device, origin, 0);
        Self { device, origin: origin.to_owned(), first }
    }

    /// The record of one person's passkey.
    pub fn of(&self, number: u64) -> Credential {
        let id = id(number);
        let mut verifier = self.first.verifier.0.clone();
        let place = verifier.pointer_mut("/cred/cred_id").expect("where the library keeps the id");
        *place = json!(id.to_string());
        Credential { id, user: filling::id(number), verifier: Verifier(verifier), ..self.first.clone() }
    }

    /// The answer of one person's authenticator.
    pub fn answer(&self, number: u64, options: &Value) -> Value {
        self.device.clone().get_with(options, &self.origin, |knobs| {
            knobs.credential_id = id(number).as_bytes().to_vec();
            knobs.user_handle = Some(filling::id(number).as_handle().to_vec());
        })
    }
}

fn id(number: u64) -> CredentialId {
    CredentialId::new(filling::random(number, "passkey").to_vec()).unwrap()
}
