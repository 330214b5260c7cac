//! A software authenticator with its browser: makes and uses ES256 passkeys, with faults on
//! request.
//!
//! What lives here: the authenticator's and the browser's part of a ceremony, from options JSON to
//! answer JSON. What does not: the gateway. The file is compiled into unit tests and into the
//! black-box tests alike, so it names no item of this crate.
//!
//! What always holds: the same seed and the same calls give the same credentials, and a strict
//! relying party accepts every answer that no knob touched.
#![allow(dead_code, reason = "each test binary uses its own part of this file")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on stops here"
)]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ciborium::Value as Cbor;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The flags of authenticator data (WebAuthn Level 3, section 6.1).
pub(crate) mod flag {
    pub(crate) const UP: u8 = 0x01;
    pub(crate) const UV: u8 = 0x04;
    pub(crate) const BE: u8 = 0x08;
    pub(crate) const BS: u8 = 0x10;
    pub(crate) const AT: u8 = 0x40;
    pub(crate) const ED: u8 = 0x80;
}

/// The AAGUID of credentials made here: zeros, as with attestation `none`.
pub(crate) const AAGUID: [u8; 16] = [0; 16];
const ES256: i64 = -7;

/// One device with one person in front of it.
#[derive(Debug, Clone)]
pub(crate) struct Authenticator {
    seed: u64,
    /// Added to a credential's counter at each use; 0 is what synced passkeys do.
    counter_step: u32,
    /// UP, UV, BE and BS, as told in every answer.
    flags: u8,
    held: Vec<Held>,
}

/// One credential on the device.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) id: Vec<u8>,
    pub(crate) key: SigningKey,
    pub(crate) rp_id: String,
    pub(crate) user_handle: Vec<u8>,
    pub(crate) counter: u32,
}

/// All parts of an answer, which are right until a test changes them.
#[derive(Debug, Clone)]
pub(crate) struct Knobs {
    // Client data.
    pub(crate) client_type: String,
    pub(crate) challenge: String,
    pub(crate) origin: String,
    pub(crate) cross_origin: Option<Value>,
    pub(crate) top_origin: Option<Value>,
    pub(crate) client_extra: Map<String, Value>,
    /// Instead of everything above.
    pub(crate) client_data: Option<Vec<u8>>,
    // Authenticator data.
    pub(crate) rp_id: String,
    pub(crate) flags: u8,
    pub(crate) counter: u32,
    pub(crate) aaguid: [u8; 16],
    /// The id inside authenticator data; `id` and `raw_id` below follow it unless set.
    pub(crate) credential_id: Vec<u8>,
    pub(crate) algorithm: i64,
    /// Instead of the COSE key.
    pub(crate) public_key: Option<Vec<u8>>,
    pub(crate) extensions: Option<Vec<u8>>,
    pub(crate) data_trailing: Vec<u8>,
    // The attestation object.
    pub(crate) format: String,
    pub(crate) statement: Cbor,
    pub(crate) object_trailing: Vec<u8>,
    /// Instead of the whole object.
    pub(crate) object: Option<Vec<u8>>,
    // The assertion.
    pub(crate) user_handle: Option<Vec<u8>>,
    /// Instead of the signature.
    pub(crate) signature: Option<Vec<u8>>,
    // The frame.
    pub(crate) id: Option<String>,
    pub(crate) raw_id: Option<String>,
    pub(crate) transports: Value,
}

impl Authenticator {
    /// A device of its own, told apart by `seed`, whose credentials are synced and do not count.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, counter_step: 0, flags: flag::UP | flag::UV | flag::BE | flag::BS, held: Vec::new() }
    }

    /// A device like a security key: its credentials stay on it and count their uses.
    pub(crate) fn counting(seed: u64) -> Self {
        Self { seed, counter_step: 1, flags: flag::UP | flag::UV, held: Vec::new() }
    }

    /// The credentials on the device, oldest first.
    pub(crate) fn held(&self) -> &[Held] {
        &self.held
    }

    /// Answers creation options, bare or wrapped in `publicKey`, as a page on `origin` would.
    pub(crate) fn create(&mut self, options: &Value, origin: &str) -> Value {
        self.create_with(options, origin, |_| {})
    }

    /// As `create`, with a wrong turn.
    pub(crate) fn create_with(
        &mut self,
        options: &Value,
        origin: &str,
        turn: impl FnOnce(&mut Knobs),
    ) -> Value {
        let options = bare(options);
        let number = self.held.len().to_be_bytes();
        let key_bytes = digest(&[&self.seed.to_be_bytes(), &number, b"key"]);
        let mut held = Held {
            id: digest(&[&self.seed.to_be_bytes(), &number, b"id"]),
            key: SigningKey::from_slice(&key_bytes).unwrap(),
            rp_id: text(&options["rp"]["id"]),
            user_handle: URL_SAFE_NO_PAD.decode(text(&options["user"]["id"])).unwrap(),
            counter: 0,
        };
        let flags = self.flags | flag::AT;
        let mut knobs = Knobs::new("webauthn.create", text(&options["challenge"]), origin, &held, flags);
        turn(&mut knobs);
        held.id.clone_from(&knobs.credential_id);
        let object = knobs.object.clone().unwrap_or_else(|| knobs.attestation_object(&held));
        let answer = knobs.frame(json!({
            "clientDataJSON": URL_SAFE_NO_PAD.encode(knobs.client_data_json()),
            "attestationObject": URL_SAFE_NO_PAD.encode(object),
            "transports": knobs.transports,
        }));
        self.held.push(held);
        answer
    }

    /// Answers request options with the newest credential that fits them.
    pub(crate) fn get(&mut self, options: &Value, origin: &str) -> Value {
        self.get_with(options, origin, |_| {})
    }

    /// As `get`, with a wrong turn.
    pub(crate) fn get_with(&mut self, options: &Value, origin: &str, turn: impl FnOnce(&mut Knobs)) -> Value {
        let options = bare(options);
        let allowed = options["allowCredentials"].as_array().filter(|list| !list.is_empty());
        let fits = |held: &Held| {
            let id = URL_SAFE_NO_PAD.encode(&held.id);
            held.rp_id == text(&options["rpId"])
                && allowed.is_none_or(|list| list.iter().any(|allowed| allowed["id"] == *id))
        };
        let index = self.held.iter().rposition(fits).expect("the device holds a fitting credential");
        self.held[index].counter += self.counter_step;
        let held = &self.held[index];
        let mut knobs = Knobs::new("webauthn.get", text(&options["challenge"]), origin, held, self.flags);
        turn(&mut knobs);
        let client_data = knobs.client_data_json();
        let data = knobs.authenticator_data(held);
        let signed = [data.as_slice(), &Sha256::digest(&client_data)].concat();
        let signature: Signature = held.key.sign(&signed);
        let signature = knobs.signature.clone().unwrap_or_else(|| signature.to_der().as_bytes().to_vec());
        knobs.frame(json!({
            "clientDataJSON": URL_SAFE_NO_PAD.encode(client_data),
            "authenticatorData": URL_SAFE_NO_PAD.encode(data),
            "signature": URL_SAFE_NO_PAD.encode(signature),
            "userHandle": knobs.user_handle.as_ref().map(|handle| URL_SAFE_NO_PAD.encode(handle)),
        }))
    }
}

impl Knobs {
    fn new(client_type: &str, challenge: String, origin: &str, held: &Held, flags: u8) -> Self {
        Self {
            client_type: client_type.to_owned(),
            challenge,
            origin: origin.to_owned(),
            cross_origin: Some(json!(false)),
            top_origin: None,
            client_extra: Map::new(),
            client_data: None,
            rp_id: held.rp_id.clone(),
            flags,
            counter: held.counter,
            aaguid: AAGUID,
            credential_id: held.id.clone(),
            algorithm: ES256,
            public_key: None,
            extensions: None,
            data_trailing: Vec::new(),
            format: "none".to_owned(),
            statement: Cbor::Map(Vec::new()),
            object_trailing: Vec::new(),
            object: None,
            user_handle: Some(held.user_handle.clone()),
            signature: None,
            id: None,
            raw_id: None,
            transports: json!(["hybrid", "internal"]),
        }
    }

    fn client_data_json(&self) -> Vec<u8> {
        if let Some(bytes) = &self.client_data {
            return bytes.clone();
        }
        let mut data =
            json!({ "type": self.client_type, "challenge": self.challenge, "origin": self.origin });
        let members = data.as_object_mut().unwrap();
        members.extend(self.cross_origin.clone().map(|value| ("crossOrigin".to_owned(), value)));
        members.extend(self.top_origin.clone().map(|value| ("topOrigin".to_owned(), value)));
        members.extend(self.client_extra.clone());
        serde_json::to_vec(&data).unwrap()
    }

    /// Authenticator data as its flags announce it.
    pub(crate) fn authenticator_data(&self, held: &Held) -> Vec<u8> {
        let mut data = Sha256::digest(&self.rp_id).to_vec();
        data.push(self.flags);
        data.extend(self.counter.to_be_bytes());
        if self.flags & flag::AT != 0 {
            data.extend(self.aaguid);
            data.extend(u16::try_from(self.credential_id.len()).unwrap().to_be_bytes());
            data.extend(&self.credential_id);
            data.extend(self.public_key.clone().unwrap_or_else(|| cose_key(&held.key, self.algorithm)));
        }
        data.extend(self.extensions.iter().flatten());
        data.extend(&self.data_trailing);
        data
    }

    fn attestation_object(&self, held: &Held) -> Vec<u8> {
        let mut object = cbor(&Cbor::Map(vec![
            (Cbor::from("fmt"), Cbor::from(self.format.as_str())),
            (Cbor::from("attStmt"), self.statement.clone()),
            (Cbor::from("authData"), Cbor::Bytes(self.authenticator_data(held))),
        ]));
        object.extend(&self.object_trailing);
        object
    }

    #[expect(clippy::needless_pass_by_value, reason = "the value becomes part of the answer")]
    fn frame(&self, response: Value) -> Value {
        let id = URL_SAFE_NO_PAD.encode(&self.credential_id);
        json!({
            "id": self.id.as_ref().unwrap_or(&id),
            "rawId": self.raw_id.as_ref().unwrap_or(&id),
            "type": "public-key",
            "response": response,
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
        })
    }
}

/// Any CBOR value as bytes.
pub(crate) fn cbor(value: &Cbor) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

/// The public half of a P-256 key, in the order of CTAP's canonical form.
pub(crate) fn cose_key(key: &SigningKey, algorithm: i64) -> Vec<u8> {
    let point = key.verifying_key().to_encoded_point(false);
    cbor(&Cbor::Map(vec![
        (Cbor::from(1), Cbor::from(2)),
        (Cbor::from(3), Cbor::from(algorithm)),
        (Cbor::from(-1), Cbor::from(1)),
        (Cbor::from(-2), Cbor::Bytes(point.x().unwrap().to_vec())),
        (Cbor::from(-3), Cbor::Bytes(point.y().unwrap().to_vec())),
    ]))
}

fn bare(options: &Value) -> &Value {
    options.get("publicKey").unwrap_or(options)
}

fn text(value: &Value) -> String {
    value.as_str().expect("options have this member as text").to_owned()
}

fn digest(parts: &[&[u8]]) -> Vec<u8> {
    Sha256::digest(parts.concat()).to_vec()
}
