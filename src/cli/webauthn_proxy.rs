//! `vestibule import webauthn-proxy`: the credentials file of Quiq's `webauthn_proxy`.
//!
//! It is YAML with one user a line: a name, which is an address, and a credential, which is JSON in
//! base64 (`user_credentials` in newer versions, the whole file in older ones). Keys of the JSON
//! are in upper or lower case, because its library changed them, and Go reads both. What always
//! holds: an unusable line is named, with the reason, and the others are imported.
//!
//! What does not live here: turning the passkeys into credentials
//! (`domain/ceremony/import.rs`), and users (`flows/administration/import.rs`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::arguments::ImportPasskeys;
use super::{Ask, Failure, Outcome, files, say};
use crate::admin::{Answer, Request};
use crate::domain::credential::{Backup, Transport};
use crate::domain::foreign::{FOREIGN_USERS_MAX, ForeignPasskey, ForeignUser};
use crate::domain::id::CredentialId;
use crate::domain::user::{DisplayName, Email};

/// The longest file, in bytes: a user with a passkey or two takes a thousand.
const FILE_BYTES_MAX: u64 = 12 << 20;
/// The table that has users in newer files.
const USERS: &str = "user_credentials";
/// Go's `binary.MaxVarintLen64`: the length of that program's user handles.
const HANDLE_BYTES: usize = 10;
/// An authenticator that knows U2F alone.
const U2F: &str = "fido-u2f";
/// The most passkeys of one user that are looked at.
const PASSKEYS_MAX: usize = 1_000;

/// The line that was left, and why.
type Skipped = (usize, String);

/// Takes over every user who can be taken over.
pub(super) fn import(arguments: &ImportPasskeys, ask: &Ask<'_>) -> Outcome {
    let text = files::read_text(&arguments.file, FILE_BYTES_MAX)?;
    let (lines, mut skipped) = users(&text);
    let (numbers, users): (Vec<_>, Vec<_>) = lines.into_iter().unzip();
    if users.len() > FOREIGN_USERS_MAX {
        return Err(Failure(format!("a file has at most {FOREIGN_USERS_MAX} users: split it")));
    }
    let imported = match ask(Request::Import { users })? {
        Answer::Imported { imported, skipped: left } => {
            skipped.extend(left.into_iter().map(|(at, why)| (numbers.get(at).copied().unwrap_or(0), why)));
            imported
        }
        Answer::Refused { reason } => return Err(Failure(reason)),
        answer => return Err(Failure(format!("the gateway gives an answer of another version: {answer:?}"))),
    };
    skipped.sort();
    if arguments.json {
        let skipped: Vec<_> =
            skipped.iter().map(|(line, why)| json!({ "line": line, "reason": why })).collect();
        say(&json!({ "imported": imported, "skipped": skipped }).to_string());
        return Ok(());
    }
    for (line, why) in skipped {
        say(&format!("line {line}: {why}"));
    }
    say(&format!(
        "Taken over: {imported} users. They sign in with a passkey that their device offers by itself and that \
         asks for a PIN, a face or a finger. A user without such a passkey needs a link from `vestibule user reset`."
    ));
    Ok(())
}

/// The users in the text, each with the line, and the lines that are of no use.
fn users(text: &str) -> (Vec<(usize, ForeignUser)>, Vec<Skipped>) {
    let (mut users, mut skipped) = (Vec::new(), Vec::new());
    let mut table = None;
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') || content == "---" {
            continue;
        }
        let is_indented = line.starts_with([' ', '\t']);
        let pair = content.rsplit_once(": ").or_else(|| Some((content.strip_suffix(':')?, "")));
        match (pair, is_indented) {
            // A table, which may be empty.
            (Some((name, "" | "{}" | "[]")), false) => table = Some(unquoted(name)),
            // Other tables than the users', such as secrets of cookies.
            (_, true) if table.is_some_and(|table| table != USERS) => {}
            (None, false) if content.starts_with('-') && table.is_some_and(|table| table != USERS) => {}
            (Some((name, credential)), _) => match user(unquoted(name), unquoted(credential)) {
                Ok((user, left)) => {
                    skipped.extend(left.into_iter().map(|why| (number, why)));
                    users.push((number, user));
                }
                Err(why) => skipped.push((number, why)),
            },
            (None, _) => {
                skipped.push((number, "it is not a name, a colon, a space and a credential".to_owned()));
            }
        }
    }
    (users, skipped)
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let within = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    within('"').or_else(|| within('\'')).unwrap_or(text)
}

/// A user, and why some of their passkeys are of no use.
fn user(name: &str, credential: &str) -> Result<(ForeignUser, Vec<String>), String> {
    let email = Email::parse(name).map_err(|_| {
        format!("{name:?} is not an e-mail address, by which users are known here: write one in its place")
    })?;
    let json = STANDARD.decode(credential).map_err(|_| "the credential is not base64".to_owned())?;
    let json: Value = serde_json::from_slice(&json).map_err(|_| "the credential is not JSON".to_owned())?;
    let json = folded(json);
    let id = json.get("id").and_then(Value::as_u64).ok_or("the credential has no user ID")?;
    let shown = json.get("displayname").and_then(Value::as_str).filter(|shown| *shown != name);
    let list = json.get("credentials").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (mut passkeys, mut left) = (Vec::new(), Vec::new());
    for (at, it) in (1..).zip(list.iter().take(PASSKEYS_MAX)) {
        match passkey(it, user_handle(id)) {
            Ok(passkey) => passkeys.push(passkey),
            Err(why) => left.push(format!("passkey {at}: {why}")),
        }
    }
    if passkeys.is_empty() {
        left.insert(0, "no passkey of theirs can be used".to_owned());
        return Err(left.join("; "));
    }
    let name = shown.and_then(|shown| DisplayName::parse(shown).ok());
    Ok((ForeignUser { email, name, passkeys }, left))
}

/// Objects whose keys are in lower case.
fn folded(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter().map(|(key, value)| (key.to_ascii_lowercase(), folded(value)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(folded).collect()),
        other => other,
    }
}

/// A user's number as authenticators were given it: seven bits a byte, the lowest first, filled up
/// with zeros.
fn user_handle(id: u64) -> Vec<u8> {
    let mut handle = Vec::with_capacity(HANDLE_BYTES);
    let mut rest = id;
    while rest >= 0x80 {
        handle.push(u8::try_from(rest & 0x7f).unwrap_or(0) | 0x80);
        rest >>= 7;
    }
    handle.push(u8::try_from(rest).unwrap_or(0));
    handle.resize(HANDLE_BYTES, 0);
    handle
}

fn passkey(json: &Value, user_handle: Vec<u8>) -> Result<ForeignPasskey, String> {
    let bytes = |value: Option<&Value>| STANDARD.decode(value?.as_str()?).ok();
    let attestation =
        ["attestationtype", "attestationformat"].map(|key| json.get(key).and_then(Value::as_str));
    if attestation.contains(&Some(U2F)) {
        return Err("it is a U2F key, which cannot verify its user: the user needs a link".to_owned());
    }
    let id = bytes(json.get("id")).and_then(|id| CredentialId::new(id).ok()).ok_or("it has no ID")?;
    let public_key = bytes(json.get("publickey")).ok_or("it has no public key")?;
    let authenticator = json.get("authenticator").ok_or("nothing is said of its authenticator")?;
    let aaguid = bytes(authenticator.get("aaguid")).and_then(|it| uuid::Uuid::from_slice(&it).ok());
    let counter =
        authenticator.get("signcount").and_then(Value::as_u64).and_then(|it| u32::try_from(it).ok());
    let transports = json.get("transport").and_then(Value::as_array).into_iter().flatten();
    let data = bytes(json.get("attestation").and_then(|it| it.get("authenticatordata")));
    Ok(ForeignPasskey {
        id,
        public_key,
        counter: counter.ok_or("its counter is missing")?,
        aaguid: aaguid.unwrap_or_default(),
        transports: transports.filter_map(|it| Transport::parse(it.as_str()?)).collect(),
        backup: json.get("flags").and_then(backup),
        user_handle,
        rp_id_hash: data.and_then(|data| data.first_chunk().copied()),
    })
}

/// The backup state in the flags. Older versions kept no flags, and newer ones wrote those as if
/// none had been set; but a user was present whenever a passkey was made.
fn backup(flags: &Value) -> Option<Backup> {
    let is_set = |key: &str| flags.get(key).and_then(Value::as_bool).unwrap_or(false);
    match (is_set("userpresent"), is_set("backupeligible"), is_set("backupstate")) {
        (false, ..) => None,
        (true, false, _) => Some(Backup::DeviceBound),
        (true, true, false) => Some(Backup::Eligible),
        (true, true, true) => Some(Backup::BackedUp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sample is built after the program's public documentation.
    const SAMPLE: &str = include_str!("../../tests/data/webauthn-proxy-credentials.yml");

    #[test]
    fn reads_a_webauthn_proxy_file() {
        let (users, skipped) = users(SAMPLE);
        let told: Vec<_> =
            users.iter().map(|(line, it)| (*line, it.email.as_str(), it.passkeys.len())).collect();
        assert_eq!(told, [(11, "alice@example.com", 2), (12, "bob@example.com", 1)]);
        let (alice, bob) = (&users[0].1.passkeys, &users[1].1.passkeys[0]);
        assert_eq!(
            (alice[0].backup, alice[1].backup, bob.backup),
            (Some(Backup::BackedUp), Some(Backup::DeviceBound), None)
        );
        assert_eq!(
            (alice[1].counter, &alice[0].transports),
            (7, &vec![Transport::Internal, Transport::Hybrid])
        );
        assert!(alice[0].rp_id_hash.is_some() && bob.rp_id_hash.is_none());
        assert_eq!(alice[0].user_handle, alice[1].user_handle);
        let reasons: Vec<_> = skipped.iter().map(|(line, why)| format!("{line} {why}")).collect();
        for (at, part) in [
            "12 passkey 2: it is a U2F key",
            "13 \"carol\" is not an e-mail address",
            "14 the credential is not base64",
            "15 the credential is not JSON",
            "16 no passkey of theirs can be used; passkey 1: it has no public key",
            "17 it is not a name, a colon",
        ]
        .into_iter()
        .enumerate()
        {
            assert!(reasons[at].starts_with(part), "{part}: {reasons:?}");
        }
        assert_eq!(skipped.len(), 6);
    }

    #[test]
    fn reads_the_older_format_without_sections() {
        let line = SAMPLE.lines().find(|line| line.contains("alice@")).unwrap().trim();
        for text in [
            format!("---\n{line}\n"),
            format!("# users\n{}", line.replace("alice@example.com", "\"alice@example.com\"")),
        ] {
            let (users, skipped) = users(&text);
            assert_eq!((users.len(), users[0].0, skipped.len()), (1, 2, 0), "{text}");
        }
        assert_eq!(users("cookie_session_secrets:\n- secret\nuser_credentials: {}\n"), (vec![], vec![]));
    }

    #[test]
    fn encodes_user_handles_as_ten_byte_varints() {
        assert_eq!(user_handle(1), [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(user_handle(300), [0xac, 0x02, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(user_handle(u64::MAX), [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    }
}
