//! Tokens as they are signed, narrowed and read. The tests of a running gateway are in
//! `tests/gateway/access_tokens/`.

use std::net::IpAddr;

use biscuit_auth::builder::{Algorithm, BlockBuilder};
use biscuit_auth::{Biscuit, KeyPair, PrivateKey, UnverifiedBiscuit};
use http::Method;
use proptest::prelude::*;

use super::grant::{GrantText, Usage};
use super::narrowing::CheckFailure;
use super::offline::{OfflineError, attenuate, inspect};
use super::sealed::{ReadToken, TokenSigner, Unsigned, bytes_of, written};
use super::*;
use crate::domain::keyring::Keyring;
use crate::domain::policy::rule::RequestFacts;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const HERE: &str = "https://auth.example.com";
const DAY: Duration = Duration::from_hours(24);

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn grant(routes: &[&str], methods: &[&str], paths: &[&str], networks: &[&str]) -> Grant {
    let (routes, methods, paths, networks) = (texts(routes), texts(methods), texts(paths), texts(networks));
    Grant::parse(&GrantText { routes, methods, paths, networks }).unwrap()
}

fn record(grant: Grant) -> AccessToken {
    AccessToken {
        id: AccessTokenId([1; 16]),
        user: UserId::from_random([2; 16]),
        name: TokenName::parse("backup script").unwrap(),
        grant,
        created_at: NOW,
        expires_at: NOW.plus(DAY),
        last_used_at: None,
    }
}

#[test]
fn a_name_is_one_line_that_is_seen_as_it_is_written() {
    let longest = "ä".repeat(TOKEN_NAME_CHARS_MAX);
    for (text, name) in [
        (" backup script ", Some("backup script")),
        (&longest, Some(&longest)),
        ("", None),
        (" ", None),
        (&format!("{longest}ä"), None),
        ("a\nb", None),
        ("a\u{202e}b", None),
    ] {
        let parsed = TokenName::parse(text).ok();
        assert_eq!(parsed.as_ref().map(TokenName::as_str), name, "{text:?}");
        assert_eq!(parsed.as_ref().map(ToString::to_string).as_deref(), name, "{text:?}");
        assert_eq!(parsed.map(String::from).as_deref(), name, "{text:?}");
    }
}

#[test]
fn what_is_too_long_is_neither_made_nor_read() {
    let named = |number: usize, length: usize| {
        let routes = (0..number).map(|n| format!("{n:x>length$}")).collect();
        Grant::parse(&GrantText { routes, ..GrantText::default() })
    };
    let made = |number, length| signer().sign(&record(named(number, length).unwrap()), HERE);
    assert!(made(LIST_MAX, 10).is_ok());
    assert_eq!(made(LIST_MAX, 200).err(), Some(Unsigned::TooLong));
    // The last of so many names grows by one byte at a time.
    let base = (10..200).take_while(|length| made(LIST_MAX, *length).is_ok()).last().unwrap();
    let grown = |length| {
        let lengths = (0..LIST_MAX).map(|n| if n + 1 == LIST_MAX { length } else { base });
        let routes = lengths.enumerate().map(|(n, length)| format!("{n:x>length$}")).collect();
        let grant = Grant::parse(&GrantText { routes, ..GrantText::default() }).unwrap();
        signer().sign(&record(grant), HERE).ok()
    };
    let longest = (base..).map_while(grown).last().unwrap();
    assert_eq!(longest.len(), TOKEN_CHARS_MADE_MAX);
    assert_eq!(named(LIST_MAX + 1, 10), Err(MalformedToken::TooMany("routes")));
    let shown =
        |length: usize| bytes_of(&format!("{TOKEN_PREFIX}{}", "A".repeat(length - TOKEN_PREFIX.len())));
    assert_eq!(shown(TOKEN_CHARS_MAX).map(|bytes| bytes.len()), Ok(3_069));
    assert_eq!(shown(TOKEN_CHARS_MAX + 4), Err(TokenRefusal::Oversized));
}

#[test]
fn keys_are_published_for_whoever_reads_tokens() {
    let ring = Keyring::generate(&[7; 32], NOW).unwrap().open().unwrap();
    assert_eq!(signer().published(), ring.published());
    assert_eq!(signer().published().len(), 1);
}

#[test]
fn a_narrowed_token_says_whether_its_checks_look_at_paths() {
    let names_path = |grant: &Grant| {
        let text = attenuate(&made(), grant, None, &[3; 32]).unwrap();
        signer().read(&text, HERE).unwrap().narrowing.unwrap().names_path()
    };
    assert!(names_path(&grant(&[], &["GET"], &["/a"], &[])));
    assert!(!names_path(&grant(&[], &["GET"], &[], &[])));
}

#[test]
fn who_shows_a_token_that_nobody_signed_may_be_guessing() {
    use TokenRefusal::{
        Forged, Malformed, Method, Misplaced, Narrowed, Network, Oversized, Passkey, Path, Route, ThirdParty,
    };
    for guess in [Oversized, Malformed, Forged, ThirdParty] {
        assert!(guess.is_guess() && !guess.is_good_elsewhere(), "{guess:?}");
    }
    for elsewhere in [Route, Method, Path, Network, Narrowed, Passkey] {
        assert!(elsewhere.is_good_elsewhere() && !elsewhere.is_guess(), "{elsewhere:?}");
    }
    assert!(!Misplaced.is_guess() && !Misplaced.is_good_elsewhere());
}

#[test]
fn the_length_of_a_life_is_told_in_days_where_it_has_some() {
    let told = |hours| days(Duration::from_hours(hours));
    assert_eq!([told(24), told(48), told(25), told(1)], ["1 days", "2 days", "25 hours", "1 hours"]);
}

fn signer() -> TokenSigner {
    Keyring::generate(&[7; 32], NOW).unwrap().open().unwrap().into()
}

fn made() -> String {
    signer().sign(&record(grant(&["wiki"], &[], &[], &[])), HERE).unwrap()
}

fn usage<'a>(
    route: &'a str,
    method: &'a Method,
    path: &'a str,
    client: Option<&str>,
    now: Timestamp,
) -> Usage<'a> {
    let client = client.map(|address| address.parse::<IpAddr>().unwrap());
    Usage {
        route,
        asking: RequestFacts { method, host: "wiki.example.com", raw_path: path.as_bytes(), client, now },
    }
}

fn with_block(text: &str, code: &str) -> String {
    let token = UnverifiedBiscuit::from(bytes_of(text).unwrap()).unwrap();
    written(&token.append(BlockBuilder::new().code(code).unwrap()).unwrap().to_vec().unwrap())
}

fn read(text: &str) -> Result<ReadToken, TokenRefusal> {
    signer().read(text, HERE)
}

/// Whether the blocks of a token let a request pass.
fn passes(text: &str, usage: &Usage<'_>) -> Result<(), CheckFailure> {
    read(text).unwrap().narrowing.expect("a holder has narrowed it").passes(usage)
}

const NARROWED: Result<(), CheckFailure> = Err(CheckFailure::Refused(TokenRefusal::Narrowed));

#[test]
fn token_roundtrips_within_the_size_limit() {
    let said = record(grant(&["wiki", "mail"], &["GET"], &["/a"], &["10.0.0.0/8"]));
    let text = signer().sign(&said, HERE).unwrap();
    assert!(text.starts_with("vst_") && text.len() < 1_000, "{}", text.len());
    let token = read(&text).unwrap();
    assert_eq!((token.id, token.user), (said.id, said.user));
    assert!(token.narrowing.is_none(), "no holder has added a block");
    assert!(read(&format!("{text}==")).is_ok(), "tools write padding");
}

#[test]
fn refuses_foreign_tokens_with_reason() {
    let text = made();
    let refused = |text: &str| read(text).err();
    assert_eq!(refused(&text), None);
    assert_eq!(refused(&text[..text.len() - 8]), Some(TokenRefusal::Malformed), "truncated");
    assert_eq!(refused(&format!("vst_{}", "A".repeat(TOKEN_CHARS_MAX))), Some(TokenRefusal::Oversized));
    assert_eq!(refused("vst_"), Some(TokenRefusal::Malformed));
    let other: TokenSigner = Keyring::generate(&[8; 32], NOW).unwrap().open().unwrap().into();
    let forged = other.sign(&record(grant(&["wiki"], &[], &[], &[])), HERE).unwrap();
    assert_eq!(refused(&forged), Some(TokenRefusal::Forged));
    assert_eq!(signer().read(&text, "https://other.example.com").err(), Some(TokenRefusal::Foreign));
}

#[test]
fn refuses_every_truncation() {
    let text = with_block(&made(), "check if method(\"GET\");");
    for end in 4..text.len() {
        // A last character of base64 may carry no bit of the token.
        let cut = &text[..end];
        let same = bytes_of(cut).is_ok_and(|bytes| bytes == bytes_of(&text).unwrap());
        assert!(same || read(cut).is_err(), "{end}");
    }
}

#[test]
fn refuses_reordered_blocks() {
    let both = with_block(&with_block(&made(), "check if method(\"GET\");"), "check if path(\"/a\");");
    let bytes = bytes_of(&both).unwrap();
    // Field 3 of the message is a block (length-delimited): the two change places.
    let blocks: Vec<_> = fields(&bytes);
    let turned = [0, 1, 3, 2, 4].map(|at| blocks[at].clone()).concat();
    assert_eq!(fields(&turned).len(), 5);
    assert_eq!(read(&written(&turned)).err(), Some(TokenRefusal::Forged));
    let without = [0, 1, 3, 4].map(|at| blocks[at].clone()).concat();
    assert_eq!(read(&written(&without)).err(), Some(TokenRefusal::Forged), "a block was taken out");
    assert!(read(&written(&blocks.concat())).is_ok());
}

/// The top-level fields of a protobuf message of varints and length-delimited values.
fn fields(bytes: &[u8]) -> Vec<Vec<u8>> {
    let varint = |at: &mut usize| {
        let (mut value, mut shift) = (0_usize, 0);
        loop {
            let byte = bytes[*at];
            *at += 1;
            value |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    };
    let (mut fields, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let begun = at;
        let tag = varint(&mut at);
        let value = varint(&mut at);
        at += if tag & 7 == 2 { value } else { 0 };
        fields.push(bytes[begun..at].to_vec());
    }
    fields
}

#[test]
fn s_36_refuses_third_party_blocks() {
    let theirs = KeyPair::from(&PrivateKey::from_bytes(&[9; 32], Algorithm::Ed25519).unwrap());
    let token = UnverifiedBiscuit::from(bytes_of(&made()).unwrap()).unwrap();
    let request = token.third_party_request().unwrap();
    let block = BlockBuilder::new().code("check if method(\"GET\");").unwrap();
    let block = request.create_block(&theirs.private(), block).unwrap().serialize().unwrap();
    let grown = token.append_third_party(&block).unwrap().to_vec().unwrap();
    assert_eq!(read(&written(&grown)).err(), Some(TokenRefusal::ThirdParty));
}

#[test]
fn limits_the_number_of_blocks() {
    let mut text = made();
    for _ in 1..TOKEN_BLOCKS_MAX {
        text = with_block(&text, "check if method(\"GET\");");
    }
    let get = Method::GET;
    assert_eq!(passes(&text, &usage("wiki", &get, "/", None, NOW)), Ok(()));
    let seed = [3; 32];
    let one_more = attenuate(&text, &grant(&[], &["GET"], &[], &[]), None, &seed);
    assert_eq!(one_more, Err(OfflineError::TooLong));
    assert_eq!(read(&with_block(&text, "check if true;")).err(), Some(TokenRefusal::TooManyBlocks));
}

#[test]
fn refuses_added_facts_and_rules() {
    for fit in [
        "check if route(\"wiki\"), method(\"GET\") or method(\"HEAD\");",
        "check if path($p), $p.starts_with(\"/a/\") && !$p.ends_with(\"/secret\");",
        "check if host($h), {\"wiki.example.com\", \"x\"}.contains($h);",
        "reject if method(\"POST\");",
        "check all time($t), $t < 2030-01-01T00:00:00Z;",
        "check if network(\"10.0.0.0/8\") or client(\"192.0.2.7\");",
        "check if token($id, $user, $made_by), $made_by == \"https://auth.example.com\";",
    ] {
        assert!(read(&with_block(&made(), fit)).is_ok(), "{fit}");
    }
    let many = format!("check if {};", vec!["path($p)"; 17].join(", "));
    for unfit in [
        "route(\"wiki\");",
        "token(\"other\", \"other\", \"other\");",
        "method($m) <- route($m);",
        "check if path($p), $p.matches(\"(a+)+b\");",
        "check if [1, 2, 3].all($x -> $x < 4);",
        "check if true || [1].any($x -> $x > 4);",
        "check if network($n), $n.starts_with(\"10\");",
        &many,
    ] {
        assert_eq!(read(&with_block(&made(), unfit)).err(), Some(TokenRefusal::Unfit), "{unfit}");
    }
}

#[test]
fn refuses_requests_outside_the_attenuation() {
    let (get, post) = (Method::GET, Method::POST);
    let narrow = |to: &Grant, end| attenuate(&made(), to, end, &[3; 32]).unwrap();
    let (near, later) = (Some("10.1.2.3"), NOW.plus(DAY / 2));
    let all = narrow(&grant(&["wiki"], &["GET"], &["/a"], &["10.0.0.0/8"]), Some(later));
    assert_eq!(passes(&all, &usage("wiki", &get, "/a/b", near, NOW)), Ok(()));
    assert_eq!(passes(&all, &usage("wiki", &get, "/a", Some("::ffff:10.1.2.3"), NOW)), Ok(()), "mapped");
    for elsewhere in [
        usage("mail", &get, "/a/b", near, NOW),
        usage("wiki", &post, "/a/b", near, NOW),
        usage("wiki", &get, "/ab", near, NOW),
        usage("wiki", &get, "/A/b", near, NOW),
        usage("wiki", &get, "/a/b", Some("11.1.2.3"), NOW),
        usage("wiki", &get, "/a/b", None, NOW),
        usage("wiki", &get, "/a/b", near, later),
    ] {
        assert_eq!(passes(&all, &elsewhere), NARROWED, "{elsewhere:?}");
    }
    // A later block does not give back what an earlier one has taken away.
    let again = attenuate(&all, &grant(&["mail", "wiki"], &[], &["/a/b"], &[]), None, &[4; 32]).unwrap();
    assert_eq!(passes(&again, &usage("wiki", &get, "/a/b/c", near, NOW)), Ok(()));
    assert_eq!(passes(&again, &usage("wiki", &get, "/a/c", near, NOW)), NARROWED);
    assert_eq!(passes(&again, &usage("mail", &get, "/a/b/c", near, NOW)), NARROWED);
}

#[test]
fn a_failing_check_refuses() {
    let get = Method::GET;
    for broken in ["check if 1 / 0 == 1;", "check if path($p), $p < 3;", "check if user(\"alice\");"] {
        let text = with_block(&made(), broken);
        assert_eq!(passes(&text, &usage("wiki", &get, "/", None, NOW)), NARROWED, "{broken}");
    }
}

#[test]
fn inspect_shows_the_grant() {
    let text = attenuate(&made(), &grant(&[], &["GET"], &["/a"], &[]), None, &[3; 32]).unwrap();
    let shown = inspect(&format!(" {text}\n")).unwrap();
    assert_eq!((shown.id.as_str(), shown.issuer.as_str()), ("01".repeat(16).as_str(), HERE));
    assert_eq!(shown.blocks[0][0], "check if route(\"wiki\")");
    assert!(shown.blocks[0][1].starts_with("check if time($t), $t < 2027-"), "{:?}", shown.blocks);
    let added = ["check if method(\"GET\")", "check if path(\"/a\") or path($p), $p.starts_with(\"/a/\")"];
    assert_eq!(shown.blocks[1], added);
    for wrong in ["", "vst_", "vst_AAAA", "Bearer vst_"] {
        assert_eq!(inspect(wrong), Err(OfflineError::NotAToken), "{wrong}");
    }
    assert_eq!(attenuate(&text, &Grant::default(), None, &[3; 32]), Err(OfflineError::Nothing));
}

#[test]
fn a_sealed_token_is_good_and_cannot_be_narrowed() {
    let token = Biscuit::from(bytes_of(&made()).unwrap(), |_| Ok(public())).unwrap();
    let sealed = written(&token.seal().unwrap().to_vec().unwrap());
    assert!(read(&sealed).is_ok());
    let narrowed = attenuate(&sealed, &grant(&["wiki"], &[], &[], &[]), None, &[3; 32]);
    assert_eq!(narrowed, Err(OfflineError::Sealed));
}

fn public() -> biscuit_auth::PublicKey {
    KeyPair::from(&PrivateKey::from_bytes(&[7; 32], Algorithm::Ed25519).unwrap()).public()
}

#[test]
fn limits_lists_and_removes_duplicates() {
    let said = grant(&["wiki", "wiki"], &["GET", "PROPFIND"], &["/", "/a/", "/a/*", "/a"], &["10.0.0.7"]);
    assert_eq!(said.routes, ["wiki"]);
    assert_eq!(said.paths.iter().map(ToString::to_string).collect::<Vec<_>>(), ["/", "/a"]);
    let parse = |field: fn(&mut GrantText) -> &mut Vec<String>, values: &[&str]| {
        let mut text = GrantText::default();
        *field(&mut text) = texts(values);
        Grant::parse(&text)
    };
    let many: Vec<_> = (0..=LIST_MAX).map(|n| format!("r{n}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(parse(|it| &mut it.routes, &many), Err(MalformedToken::TooMany("routes")));
    for (field, wrong) in [
        ((|it| &mut it.methods) as fn(&mut GrantText) -> &mut Vec<String>, "get"),
        (|it| &mut it.methods, ""),
        (|it| &mut it.paths, "a"),
        (|it| &mut it.paths, "/a/../b"),
        (|it| &mut it.paths, "/a*"),
        (|it| &mut it.paths, "/a b"),
        (|it| &mut it.networks, "10.0.0.1/8"),
        (|it| &mut it.networks, "home"),
    ] {
        assert!(parse(field, &[wrong]).is_err(), "{wrong}");
    }
    let stored = serde_json::to_string(&said).unwrap();
    assert_eq!(serde_json::from_str::<Grant>(&stored).unwrap(), said);
}

prop_compose! {
    fn some_of(choices: &'static [&'static str])(
        picked in proptest::collection::vec(proptest::sample::select(choices), 0..3),
    ) -> Vec<&'static str> { picked }
}

const ROUTES: &[&str] = &["wiki", "mail"];
const METHODS: &[&str] = &["GET", "POST"];
const PATHS: &[&str] = &["/", "/a", "/a/b", "/ab"];
const NETWORKS: &[&str] = &["10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32", "192.0.2.7/32"];
const CLIENTS: &[&str] =
    &["10.1.2.3", "10.2.2.3", "2001:db8::1", "192.0.2.7", "192.0.2.8", "::ffff:10.1.2.3"];
const ASKED: &[&str] = &["/", "/a", "/a/", "/a/b", "/a/bc", "/ab", "/abc", "/b"];

proptest! {
    /// Lists in the record and checks in the token are the same rules, written twice.
    #[test]
    fn record_and_token_decide_alike(
        (routes, methods) in (some_of(ROUTES), some_of(METHODS)),
        (paths, networks) in (some_of(PATHS), some_of(NETWORKS)),
        (route, method) in (proptest::sample::select(ROUTES), proptest::sample::select(METHODS)),
        (path, client) in (proptest::sample::select(ASKED), proptest::option::of(proptest::sample::select(CLIENTS))),
    ) {
        let said = grant(&routes, &methods, &paths, &networks);
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let usage = usage(route, &method, path, client, NOW);
        let covered = said.covers(&usage).is_ok();
        if said != Grant::default() {
            let text = attenuate(&made(), &Grant { routes: vec!["wiki".into(), "mail".into()], ..said.clone() }, None, &[3; 32]);
            let by_blocks = passes(&text.unwrap(), &usage).is_ok();
            let free = Grant { routes: Vec::new(), ..said.clone() };
            prop_assert_eq!(by_blocks, free.covers(&usage).is_ok() && route == "wiki");
        }
        let text = signer().sign(&record(said), HERE).unwrap();
        // A block without effect has the engine evaluate ours.
        prop_assert_eq!(passes(&with_block(&text, "check if true;"), &usage).is_ok(), covered);
    }
}
