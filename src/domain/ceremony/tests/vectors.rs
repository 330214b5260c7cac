//! W-16: the published test vectors, judged by our policy. They vary user verification and backup
//! bits at random, so most of them show a refusal.

use serde::Deserialize;
use serde_json::json;

use super::*;

const BYTES: &str = include_str!("../../../../tests/data/webauthn-vectors.json");

#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names of the data file")]
struct Vectors {
    rp_id: String,
    origin: String,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    registration: Registration,
    authentication: Authentication,
}

#[derive(Deserialize)]
struct Registration {
    challenge: String,
    credential_id: String,
    client_data: String,
    attestation_object: String,
}

#[derive(Deserialize)]
struct Authentication {
    challenge: String,
    authenticator_data: String,
    client_data: String,
    signature: String,
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// A pending state as if it had been begun with the vector's challenge.
fn with_challenge<T: serde::Serialize + serde::de::DeserializeOwned>(pending: &T, challenge: &str) -> T {
    let mut stored = serde_json::to_value(pending).unwrap();
    let place = ["/registration/rs/challenge", "/authentication/ast/challenge"]
        .into_iter()
        .find(|place| stored.pointer(place).is_some())
        .unwrap();
    *stored.pointer_mut(place).unwrap() = json!(base64(&hex(challenge)));
    serde_json::from_value(stored).unwrap()
}

struct Bench {
    rp: RelyingParty,
    vectors: Vec<Vector>,
}

impl Bench {
    fn new() -> Self {
        let read: Vectors = serde_json::from_str(BYTES).unwrap();
        Self { rp: RelyingParty::new(&read.rp_id, "Vectors", &[read.origin]).unwrap(), vectors: read.vectors }
    }

    /// Registers with `edit` applied to the client data, which nothing signs in format `none`.
    fn register(&self, vector: &Registration, edit: impl FnOnce(&mut Value)) -> Result<Credential, Refusal> {
        let (_, pending) = self.rp.begin_registration(&user(1), &[], NOW).unwrap();
        let mut client_data: Value = serde_json::from_slice(&hex(&vector.client_data)).unwrap();
        let untouched = client_data.clone();
        edit(&mut client_data);
        let client_data = if client_data == untouched {
            hex(&vector.client_data)
        } else {
            serde_json::to_vec(&client_data).unwrap()
        };
        let id = base64(&hex(&vector.credential_id));
        let answer = json!({ "id": id, "rawId": id, "type": "public-key", "response": {
            "clientDataJSON": base64(&client_data),
            "attestationObject": base64(&hex(&vector.attestation_object)),
        }});
        finish_registration(&self.rp, with_challenge(&pending, &vector.challenge), &answer)
    }

    fn sign_in(&self, vector: &Vector, credential: &Credential) -> Result<VerifiedAssertion, Refusal> {
        let (_, pending) = self.rp.begin_authentication(None, NOW).unwrap();
        let id = base64(&hex(&vector.registration.credential_id));
        let given = &vector.authentication;
        let answer = json!({ "id": id, "rawId": id, "type": "public-key", "response": {
            "clientDataJSON": base64(&hex(&given.client_data)),
            "authenticatorData": base64(&hex(&given.authenticator_data)),
            "signature": base64(&hex(&given.signature)),
            "userHandle": base64(user(1).id.as_handle()),
        }});
        finish_sign_in(&self.rp, with_challenge(&pending, &given.challenge), &answer, credential)
    }

    fn named(&self, name: &str) -> &Vector {
        self.vectors.iter().find(|vector| vector.name == name).unwrap()
    }
}

#[test]
fn w_16_the_published_vectors_end_as_our_policy_says() {
    let bench = Bench::new();
    let outcomes: Vec<_> = bench
        .vectors
        .iter()
        .map(|vector| {
            let registered = bench.register(&vector.registration, |_| {});
            let signed_in = registered.as_ref().ok().map(|credential| {
                bench.sign_in(vector, credential).map(|verified| verified.credential_id().clone()).is_ok()
            });
            (vector.name.as_str(), registered.err(), signed_in)
        })
        .collect();
    let expected = [
        ("none-es256", Some(Refusal::NotVerified), None),
        ("packed-self-es256", None, Some(false)),
        ("none-es256-crossOrigin", Some(Refusal::WrongContext), None),
        ("none-es256-topOrigin", Some(Refusal::WrongContext), None),
        ("none-es256-long-credential-id", Some(Refusal::NotVerified), None),
        ("packed-es256", None, Some(true)),
        ("packed-es384", Some(Refusal::NotVerified), None),
        ("packed-rs256", Some(Refusal::BadProof), None),
    ];
    assert_eq!(outcomes, expected);
}

#[test]
fn w_16_a_signed_sign_in_from_a_frame_is_refused() {
    let bench = Bench::new();
    let vector = bench.named("none-es256-crossOrigin");
    let unframed = |client_data: &mut Value| client_data["crossOrigin"] = json!(false);
    let credential = bench.register(&vector.registration, unframed).unwrap();
    assert_eq!(bench.sign_in(vector, &credential).err(), Some(Refusal::WrongContext));
}

#[test]
fn w_16_a_sign_in_without_verification_is_refused_for_that() {
    let bench = Bench::new();
    let vector = bench.named("packed-self-es256");
    let credential = bench.register(&vector.registration, |_| {}).unwrap();
    assert_eq!(bench.sign_in(vector, &credential).err(), Some(Refusal::NotVerified));
}

#[test]
fn w_16_a_changed_self_attestation_is_refused() {
    let bench = Bench::new();
    let vector = bench.named("packed-self-es256");
    let changed = |client_data: &mut Value| client_data["more"] = json!(1);
    assert_eq!(bench.register(&vector.registration, changed).err(), Some(Refusal::BadProof));
}
