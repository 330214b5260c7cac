//! `[server.tls.acme]`: certificates that the gateway obtains itself.
//!
//! What always holds: with this table, the gateway has a TLS listener, and a plain one where the
//! challenge needs it, so that an authority can validate.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use url::Url;
use zeroize::Zeroizing;

use super::mail::secret_in;
use super::reader::Reader;
use super::section::Section;
use super::value::file;
use crate::acme::{Authority, Challenge, ExternalAccount};
use crate::domain::user::Email;

/// Let's Encrypt.
const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// An authority's names for profiles and accounts are short.
const WORD_BYTES_MAX: usize = 256;

const DIRECTORY_REMEDY: &str = "write the https address of the authority's directory";
const KEY_REMEDY: &str =
    "write the path of a file that holds nothing but the authority's HMAC key in base64url";

/// Reads the table; `None` when there is none.
pub(super) fn acme(tls: &Section<'_>, reader: &Reader<'_>) -> Option<Authority> {
    let section = tls.table("acme");
    let directory = section.parsed("directory", DIRECTORY_REMEDY, directory);
    let email = section.parsed("email", "write one e-mail address, or leave the key out", |text| {
        Email::parse(text).map_err(|error| error.to_string())
    });
    let challenge = section.parsed("challenge", "write \"tls-alpn-01\" or \"http-01\"", challenge);
    let ca_file = section.parsed("ca_file", "write the path of a PEM file with the directory's CA", |text| {
        file(reader.on_disk(text))
    });
    let profile = section.parsed("profile", "write the name of a profile that the directory has", word);
    let external_account = external_account(&section, reader);
    let keys =
        ["directory", "email", "challenge", "ca_file", "profile", "account_key_id", "account_hmac_key_file"];
    let wanted = tls.has("acme") || keys.iter().any(|key| section.has(key));
    section.close();
    wanted.then(|| Authority {
        directory: directory.map_or_else(|| DIRECTORY.to_owned(), |found| found.value),
        email: email.map(|found| found.value),
        challenge: challenge.map_or(Challenge::TlsAlpn01, |found| found.value),
        ca_file: ca_file.map(|found| found.value),
        profile: profile.map(|found| found.value),
        external_account,
    })
}

fn directory(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| format!("this is not a URL: {error}"))?;
    if url.scheme() == "https" { Ok(text.to_owned()) } else { Err(format!("{text:?} is not https")) }
}

fn challenge(text: &str) -> Result<Challenge, String> {
    match text {
        "tls-alpn-01" => Ok(Challenge::TlsAlpn01),
        "http-01" => Ok(Challenge::Http01),
        "dns-01" => Err("the gateway cannot write DNS records".to_owned()),
        _ => Err(format!("{text:?} is not a challenge that the gateway can answer")),
    }
}

fn word(text: &str) -> Result<String, String> {
    let is_word =
        !text.is_empty() && text.len() <= WORD_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_word { Ok(text.to_owned()) } else { Err(format!("{text:?} is not one word")) }
}

/// The external account, whose two keys are both there or neither.
fn external_account(section: &Section<'_>, reader: &Reader<'_>) -> Option<ExternalAccount> {
    let key_id = section.parsed("account_key_id", "write the key id that the authority gave out", word);
    let hmac_key = section.parsed("account_hmac_key_file", KEY_REMEDY, |text| {
        let text = secret_in(reader.on_disk(text))?;
        let key = BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map(Zeroizing::new);
        key.map_err(|_| "the content of the file is not base64url".to_owned())
    });
    for (key, other) in
        [("account_key_id", "account_hmac_key_file"), ("account_hmac_key_file", "account_key_id")]
    {
        if section.has(key) && !section.has(other) {
            let problem = format!("an account with the authority needs {other} as well");
            reader.mistake(&section.at(key), problem, format!("write {other} = \"...\" beside it"));
        }
    }
    Some(ExternalAccount { key_id: key_id?.value, hmac_key: hmac_key?.value })
}
