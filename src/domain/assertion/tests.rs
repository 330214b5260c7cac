//! The claims of assertions, and the lifetime of their keys.

use super::*;

#[test]
fn f_10_earlier_key_is_accepted_for_one_day() {
    let (replaced_at, moment) = (Timestamp::from_millis(1_790_000_000_000), Duration::from_millis(1));
    let before = AssertionKeys::generate(&[1; 32]).unwrap();
    let signed = before.open().unwrap().sign_as(Purpose::Access, &json!({ "a": 1 })).unwrap();
    let next = AssertionKeys::generate(&[2; 32]).unwrap();
    let opened = before.followed_by(next, replaced_at).open().unwrap();
    let end = replaced_at.plus(EARLIER_KEY_LIFETIME);
    let last = replaced_at.plus(EARLIER_KEY_LIFETIME.checked_sub(moment).unwrap());
    for (now, keys, is_read) in [(replaced_at, 2, true), (last, 2, true), (end, 1, false)] {
        assert_eq!(opened.jwks(now)["keys"].as_array().unwrap().len(), keys, "{now}");
        let read = opened.read::<serde_json::Value>(Purpose::Access, &signed, now);
        assert_eq!(read.is_some(), is_read, "{now}");
    }
}

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn user() -> User {
    use crate::domain::user::{Email, Group, Username};
    let groups = [Group::parse("staff").unwrap()].into();
    User::hypothetical(Username::parse("zoe").unwrap(), Email::parse("zoe@example.com").unwrap(), groups)
        .unwrap()
}

fn session(credential: bool, by_mailed_code: bool) -> Session {
    use crate::domain::id::{CredentialId, SessionId};
    use crate::domain::session::Scope;
    Session {
        id: SessionId([1; 16]),
        user: user().id,
        scope: Scope::Full,
        credential: credential.then(|| CredentialId::new(vec![1]).unwrap()),
        created_at: NOW,
        authenticated_at: Some(NOW),
        fresh_since: None,
        by_mailed_code,
        stepped_up_at: None,
        step_up: None,
        last_seen_at: NOW,
        expires_at: NOW.plus(Duration::from_hours(1)),
        client: None,
        user_agent: None,
    }
}

/// A part of a JWT, read with nothing but base64.
fn part(text: &str, at: usize) -> serde_json::Value {
    let part = text.split('.').nth(at).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The claims of a JWT.
fn said(text: &str) -> serde_json::Value {
    part(text, 1)
}

fn signer(seed: u8) -> AssertionSigner {
    AssertionKeys::generate(&[seed; 32]).unwrap().open().unwrap()
}

fn amr(shown: Shown<'_>) -> serde_json::Value {
    let signed = signer(1).sign("https://a", "wiki", &user(), shown, NOW).unwrap();
    said(&signed)["amr"].clone()
}

#[test]
fn an_assertion_says_how_its_user_was_recognised() {
    for (credential, by_mailed_code, methods) in [
        (true, false, json!(["pop", "user", "mfa"])),
        (true, true, json!(["otp"])),
        (false, true, json!(["otp"])),
        (false, false, json!(["otp"])),
    ] {
        assert_eq!(amr(Shown::Session(&session(credential, by_mailed_code))), methods);
    }
    let token = AccessTokenId([3; 16]);
    assert_eq!(amr(Shown::Token(&token)), json!(["token"]));
}

#[test]
fn each_application_knows_a_session_by_another_name() {
    let one = session(true, false);
    let other = Session { id: crate::domain::id::SessionId([2; 16]), ..one.clone() };
    let sid = |seed, route, session| {
        let signed = signer(seed).sign("https://a", route, &user(), Shown::Session(session), NOW).unwrap();
        said(&signed)["sid"].as_str().unwrap().to_owned()
    };
    let name = sid(1, "wiki", &one);
    assert_eq!(name.len(), 22, "{name}");
    assert_eq!(name, sid(1, "wiki", &one));
    for another in [sid(1, "blog", &one), sid(1, "wiki", &other), sid(2, "wiki", &one)] {
        assert_ne!(name, another);
    }
    // Pomerium's names the host.
    let pomerium = |host, now| {
        let signed = signer(1).sign_as_pomerium(host, &user(), Shown::Session(&one), now);
        said(&signed.unwrap())
    };
    let told = pomerium("wiki", NOW);
    assert_eq!(told["sid"], json!(name));
    assert_eq!((&told["iss"], &told["aud"]), (&json!("wiki"), &json!("wiki")));
    assert_eq!((&told["user"], &told["groups"]), (&json!(user().id.to_string()), &json!(["staff"])));
    assert_ne!(told["jti"], pomerium("wiki", NOW.plus(Duration::from_millis(1)))["jti"]);
    let by_token = signer(1).sign_as_pomerium("wiki", &user(), Shown::Token(&AccessTokenId([3; 16])), NOW);
    assert_eq!(said(&by_token.unwrap())["sid"], json!("03".repeat(16)));
}

#[test]
fn keys_for_other_purposes_outlive_a_rotation_and_differ() {
    let before = AssertionKeys::generate(&[1; 32]).unwrap();
    let after = before.followed_by(AssertionKeys::generate(&[2; 32]).unwrap(), NOW);
    let keys = |keys: &AssertionKeys| {
        [keys.code_key().unwrap().0, keys.outbox_key().unwrap().0, keys.return_target_key().unwrap().0]
    };
    let [codes, outbox, return_targets] = keys(&before);
    assert!(codes != outbox && outbox != return_targets && codes != return_targets);
    assert_eq!(keys(&after), [codes, outbox, return_targets]);
    assert_ne!(keys(&AssertionKeys::generate(&[2; 32]).unwrap()), [codes, outbox, return_targets]);
    assert_eq!(format!("{before:?}"), "AssertionKeys(..)");
}

#[test]
fn an_earlier_key_is_dropped_when_nothing_it_signed_is_good_any_more() {
    let (next, moment) = (AssertionKeys::generate(&[2; 32]).unwrap(), Duration::from_millis(1));
    let second = AssertionKeys::generate(&[1; 32]).unwrap().followed_by(next, NOW);
    let kept_at = |now| {
        let third = AssertionKeys::generate(&[3; 32]).unwrap();
        second.followed_by(third, now).earlier.len()
    };
    let end = NOW.plus(EARLIER_KEY_LIFETIME);
    assert_eq!([kept_at(NOW), kept_at(end.minus(moment)), kept_at(end)], [2, 2, 1]);
}

#[test]
fn a_jwt_that_is_too_long_is_not_looked_at() {
    let signer = signer(1);
    let of_length = |length: usize| {
        (0..length).find_map(|padding| {
            let text = signer.sign_as(Purpose::Access, &json!({ "a": "a".repeat(padding) })).unwrap();
            (text.len() == length).then_some(text)
        })
    };
    let is_read = |text: &str| signer.read::<serde_json::Value>(Purpose::Access, text, NOW).is_some();
    let (longest, longer) = (of_length(JWT_CHARS_MAX).unwrap(), of_length(JWT_CHARS_MAX + 2).unwrap());
    assert!(is_read(&longest) && !is_read(&longer));
}

#[test]
fn one_kind_of_jwt_is_never_read_as_another() {
    let signer = signer(1);
    for (signed, other, kind) in
        [(Purpose::Assertion, Purpose::Access, "JWT"), (Purpose::Access, Purpose::Assertion, "at+jwt")]
    {
        let text = signer.sign_as(signed, &json!({ "a": 1 })).unwrap();
        assert_eq!(part(&text, 0)["typ"], kind);
        assert!(signer.read::<serde_json::Value>(signed, &text, NOW).is_some());
        assert!(signer.read::<serde_json::Value>(other, &text, NOW).is_none());
    }
}
