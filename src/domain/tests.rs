//! Tests that hold for every value that expires.

use super::access_token::grant::{Grant, GrantText};
use super::access_token::{AccessToken, TokenName};
use super::credential::{Backup, Credential, CredentialName, Program, Verifier};
use super::device_link::{DeviceLink, Stage};
use super::id::{AccessTokenId, CredentialId, InvitationId, SessionId, UserId};
use super::identifier::PendingAddress;
use super::invitation::{AccountTerms, Invitation};
use super::message::About;
use super::process::Process;
use super::recovery::{By, Recovery};
use super::secret::{Secret, SecretHash};
use super::time::Timestamp;
use super::user::{Email, Role};

const END: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn hash() -> SecretHash {
    Secret::from_random([7; 32]).hashed()
}

fn user() -> UserId {
    UserId::from_random([2; 16])
}

fn email() -> Email {
    Email::parse("alice@example.com").unwrap()
}

#[test]
fn what_ends_is_over_at_its_end_and_not_a_moment_sooner() {
    #[track_caller]
    fn check(what: &str, is_live: impl Fn(Timestamp) -> bool) {
        let at = |millis: i64| is_live(Timestamp::from_millis(END.as_millis() + millis));
        let asked = [-1_000_000, -1, 0, 1, 1_000_000].map(at);
        assert_eq!(asked, [true, true, false, false, false], "{what}");
    }
    let token = AccessToken {
        id: AccessTokenId([1; 16]),
        user: user(),
        name: TokenName::parse("backup script").unwrap(),
        grant: Grant::parse(&GrantText { routes: vec!["wiki".to_owned()], ..GrantText::default() }).unwrap(),
        created_at: END,
        expires_at: END,
        last_used_at: None,
    };
    check("an access token", |now| token.is_live(now));
    let (session, stage) = (SessionId([1; 16]), Stage::Offered(hash()));
    let link = DeviceLink { session, user: user(), stage, expires_at: END };
    check("a link to another device", |now| link.is_live(now));
    let address = PendingAddress { user: user(), email: email(), code: None, expires_at: END };
    check("an address to be confirmed", |now| address.is_live(now));
    let invitation = Invitation {
        id: InvitationId([1; 16]),
        secret: hash(),
        email: email(),
        account: None,
        display_name: None,
        username: None,
        groups: [].into(),
        role: Role::Member,
        invited_by: "the administrator".to_owned(),
        terms: AccountTerms::default(),
        created_at: END,
        expires_at: END,
    };
    check("an invitation", |now| invitation.is_live(now));
    let process = Process { id: hash(), identifier: None, expires_at: END };
    check("a process", |now| process.is_live(now));
    let recovery = Recovery {
        session,
        user: user(),
        secret: hash(),
        about: About { model: None, network: None, at: END },
        by: By::MailedCode,
        credential: None,
        expires_at: END,
    };
    check("a recovery", |now| recovery.is_open(now));
    let passkey = credential(Some(END));
    check("the sleep of a passkey", |now| passkey.is_not_yet_active(now));
    assert!(!credential(None).is_not_yet_active(END));
}

fn credential(asleep_until: Option<Timestamp>) -> Credential {
    Credential {
        id: CredentialId::new(vec![1, 2, 3]).unwrap(),
        user: user(),
        name: CredentialName::parse("Phone").unwrap(),
        verifier: Verifier(serde_json::Value::Null),
        public_key: Vec::new(),
        counter: 0,
        aaguid: uuid::Uuid::nil(),
        transports: Vec::new(),
        backup: Backup::DeviceBound,
        created_at: END,
        last_used_at: None,
        made_with: Program::default(),
        environment: None,
        asleep_until,
        imported: None,
    }
}

#[test]
fn the_short_ids_of_a_passkey_are_for_ever() {
    let passkey = credential(None);
    assert_eq!(passkey.reference().to_string(), "66cbc876-ba89-896b-a1b7-1b31a3310e2c");
    assert_eq!(passkey.number(), 0x3365_e43b_5d44_c4b5);
}
