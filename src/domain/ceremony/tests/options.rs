//! The options that browsers get, and the state that the store keeps meanwhile.

use serde_json::json;

use super::*;

#[test]
fn creation_options_ask_for_a_discoverable_verified_credential() {
    let (options, _) = relying_party().begin_registration(&user(1), &[], NOW).unwrap();
    let options = options.0;
    assert_eq!(options["rp"], json!({ "id": "example.com", "name": "Example" }));
    assert_eq!(options["user"]["name"], "alice@example.com");
    assert_eq!(options["user"]["displayName"], "Alice");
    let selection =
        json!({ "residentKey": "required", "requireResidentKey": true, "userVerification": "required" });
    assert_eq!(options["authenticatorSelection"], selection);
    assert_eq!(options["attestation"], "none");
    assert_eq!(options["timeout"], 300_000);
    assert_eq!(options["excludeCredentials"], json!([]));
    assert_eq!(options["extensions"].get("uvm"), None);
    assert_eq!(options.get("publicKey"), None);
    let algorithms: Vec<_> = options["pubKeyCredParams"].as_array().unwrap().iter().collect();
    assert_eq!(algorithms[0], &json!({ "type": "public-key", "alg": -7 }));
    assert!(algorithms.contains(&&json!({ "type": "public-key", "alg": -257 })));
}

#[test]
fn creation_options_name_the_credentials_a_person_has() {
    let (_, credential) = registered(Authenticator::new(1));
    let (options, _) =
        relying_party().begin_registration(&user(1), std::slice::from_ref(&credential), NOW).unwrap();
    let excluded = json!([{
        "type": "public-key",
        "id": credential.id.to_string(),
        "transports": ["hybrid", "internal"],
    }]);
    assert_eq!(options.0["excludeCredentials"], excluded);
}

#[test]
fn request_options_have_no_allow_list() {
    for expected in [None, Some(user(1).id)] {
        let (options, _) = relying_party().begin_authentication(expected, NOW).unwrap();
        let members: Vec<_> = options.0.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, ["challenge", "rpId", "timeout", "userVerification"]);
        assert_eq!(options.0["userVerification"], "required");
        assert_eq!(options.0["timeout"], 300_000);
    }
}

#[test]
fn every_challenge_is_new_and_long() {
    let rp = relying_party();
    let mut challenges = std::collections::HashSet::new();
    for _ in 0..50 {
        let (creation, _) = rp.begin_registration(&user(1), &[], NOW).unwrap();
        let (request, _) = rp.begin_authentication(None, NOW).unwrap();
        for options in [creation.0, request.0] {
            let challenge = options["challenge"].as_str().unwrap().to_owned();
            assert_eq!(challenge.len(), 43, "32 bytes in base64url");
            assert!(challenges.insert(challenge));
        }
    }
}

#[test]
fn a_pending_ceremony_survives_the_store_and_keeps_its_policy() {
    let rp = relying_party();
    let mut device = Authenticator::new(1);

    let (options, pending) = rp.begin_registration(&user(1), &[], NOW).unwrap();
    let stored = serde_json::to_vec(&pending).unwrap();
    assert!(stored.len() < 4_096, "{} bytes", stored.len());
    let answer = device.create(&options.0, ORIGIN);
    let pending: PendingRegistration = serde_json::from_slice(&stored).unwrap();
    assert_eq!((pending.user(), pending.begun_at()), (user(1).id, NOW));
    let credential = finish_registration(&rp, pending, &answer).unwrap();

    let (options, pending) = rp.begin_authentication(Some(user(1).id), NOW).unwrap();
    let stored = serde_json::to_vec(&pending).unwrap();
    assert!(serde_json::from_slice::<PendingRegistration>(&stored).is_err());
    let credential: Credential = serde_json::from_slice(&serde_json::to_vec(&credential).unwrap()).unwrap();
    for (flags, outcome) in [(0x1d, Ok(())), (0x19, Err(Refusal::NotVerified))] {
        let pending: PendingAuthentication = serde_json::from_slice(&stored).unwrap();
        assert_eq!((pending.expected_user(), pending.begun_at()), (Some(user(1).id), NOW));
        let answer = device.get_with(&options.0, ORIGIN, |knobs| knobs.flags = flags);
        assert_eq!(finish_sign_in(&rp, pending, &answer, &credential).map(|_| ()), outcome);
    }
}

#[test]
fn a_ceremony_ends_after_five_minutes() {
    let rp = relying_party();
    let (mut device, credential) = registered(Authenticator::new(1));
    let last = Timestamp::from_millis(NOW.as_millis() + 299_999);
    let late = Timestamp::from_millis(NOW.as_millis() + 300_000);

    for (at, why) in [(last, None), (late, Some(Refusal::NoSuchCeremony))] {
        let (options, pending) = rp.begin_authentication(None, NOW).unwrap();
        assert_eq!(pending.is_expired(at), why.is_some());
        let assertion = read_assertion(&device.get(&options.0, ORIGIN)).unwrap();
        let outcome = rp.finish_authentication(pending, &assertion, &credential, at);
        assert_eq!(outcome.err().map(|error| error.why()), why);

        let (options, pending) = rp.begin_registration(&user(1), &[], NOW).unwrap();
        assert_eq!(pending.is_expired(at), why.is_some());
        let answer = Authenticator::new(2).create(&options.0, ORIGIN);
        let outcome = rp.finish_registration(pending, &answer, at);
        assert_eq!(outcome.err().map(|error| error.why()), why);
    }
}
