//! `[mail]` and `[signin]`: which server takes our messages, and what a code by mail is good for.
//!
//! What always holds: a password never travels in the clear, except to this machine.

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use url::{Host, Url};
use zeroize::Zeroizing;

use super::reader::Reader;
use super::section::Section;
use super::value::file;
use crate::domain::code::EmailCode;
use crate::domain::user::{DisplayName, Email};
use crate::mail::smtp::{Encryption, MailServer, Sender};

const SUBMISSION_PORT: u16 = 587;
const SUBMISSIONS_PORT: u16 = 465;
/// Longer than any password; a file beyond it is the wrong file.
const PASSWORD_BYTES_MAX: u64 = 4 * 1024;
/// The longest file with a secret for each user.
const SECRETS_BYTES_MAX: u64 = 1 << 20;

/// Mode bits of users who are neither the owner nor in the file's group.
const EVERYBODY: u32 = 0o007;

const URL_REMEDY: &str =
    "write \"smtp://user@mail.example.com:587\" (STARTTLS) or \"smtps://user@mail.example.com\"";
const FROM_REMEDY: &str = "write \"Vestibule <no-reply@example.com>\", or an address alone";

/// Reads `[mail]`; `None` when it is not there.
pub(super) fn mail(root: &Section<'_>, reader: &Reader<'_>) -> Option<MailServer> {
    let section = root.table("mail");
    let url = section.parsed("url", URL_REMEDY, server);
    let from = section.parsed("from", FROM_REMEDY, sender);
    let password = section.text("password").map(|found| Zeroizing::new(found.value));
    let password_file = section.parsed(
        "password_file",
        "write the path of a file that holds nothing but the password",
        |text| secret_in(reader.on_disk(text)),
    );
    let ca_remedy = "write the path of a PEM file with the server's CA";
    let ca_file = section.parsed("ca_file", ca_remedy, |text| file(reader.on_disk(text)));
    if password.is_some() && password_file.is_some() {
        reader.mistake(&section.at("password"), "there is a password_file as well", "keep one of them");
    }
    let wanted = ["url", "from", "password", "password_file", "ca_file"].iter().any(|key| section.has(key));
    for (key, remedy, missing) in
        [("url", URL_REMEDY, !section.has("url")), ("from", FROM_REMEDY, !section.has("from"))]
    {
        if wanted && missing {
            reader.mistake(&section.at(key), format!("mail needs {key}"), remedy);
        }
    }
    section.close();
    let password = password.or_else(|| password_file.map(|found| found.value));
    let (url, from) = (url?, from?.value);
    if password.is_some() && url.value.user.is_none() {
        reader.mistake(&url.at, "there is a password, but no user", URL_REMEDY);
    }
    let Address { host, port, encryption, user } = url.value;
    let (credentials, ca_file) = (user.zip(password), ca_file.map(|found| found.value));
    Some(MailServer { host, port, encryption, credentials, from, ca_file })
}

/// Reads `[signin]`.
pub(super) fn email_code(root: &Section<'_>, mail: Option<&MailServer>, reader: &Reader<'_>) -> EmailCode {
    let section = root.table("signin");
    let remedy = "write email_code = \"off\", \"enroll\" or \"session\"";
    let found = section.parsed("email_code", remedy, |text| match text {
        "off" => Ok(EmailCode::Off),
        "enroll" => Ok(EmailCode::Enroll),
        "session" => Ok(EmailCode::Session),
        _ => Err(format!("unknown value {text:?} for email_code")),
    });
    section.close();
    match found {
        Some(found) if found.value != EmailCode::Off && mail.is_none() => {
            reader.mistake(
                &found.at,
                "codes go by mail, and there is no [mail]",
                "add [mail], or write \"off\"",
            );
            EmailCode::Off
        }
        Some(found) => found.value,
        // With a code, the account is as safe as the mailbox, so only the operator can choose that.
        None => EmailCode::Off,
    }
}

/// The parts of the URL.
struct Address {
    host: String,
    port: u16,
    encryption: Encryption,
    user: Option<String>,
}

fn server(text: &str) -> Result<Address, String> {
    let url = Url::parse(text).map_err(|error| format!("this is not a URL: {error}"))?;
    let (tls, default_port) = match url.scheme() {
        "smtps" => (true, SUBMISSIONS_PORT),
        "smtp" => (false, SUBMISSION_PORT),
        other => return Err(format!("the scheme is {other:?}, not smtp or smtps")),
    };
    if url.password().is_some() {
        return Err("a password in a URL is shown in many places; use password_file".to_owned());
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err("the URL has more than a user, a host and a port".to_owned());
    }
    // The parser does not know this scheme's hosts, so addresses come as names.
    let host = match url.host() {
        Some(Host::Domain(host)) => host.to_ascii_lowercase(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => return Err("there is no host".to_owned()),
    };
    let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let encryption = match (tls, here) {
        (true, _) => Encryption::Tls,
        (false, true) => Encryption::IfOffered,
        (false, false) => Encryption::StartTls,
    };
    let user = Some(decoded(url.username())?).filter(|user| !user.is_empty());
    let port = url.port().unwrap_or(default_port);
    Ok(Address { host, port, encryption, user })
}

/// A user name may be an address, whose `@` a URL has to escape.
fn decoded(text: &str) -> Result<String, String> {
    let bytes: Vec<u8> = percent_decoded(text.as_bytes());
    String::from_utf8(bytes).map_err(|_| "the user in the URL is not valid text".to_owned())
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    // The library decodes queries in the same way, except for `+`, which is hidden from it.
    let hidden = String::from_utf8_lossy(text).replace('+', "%2B");
    let pairs = url::form_urlencoded::parse(hidden.as_bytes());
    pairs.map(|(key, _)| key.into_owned()).collect::<String>().into_bytes()
}

fn sender(text: &str) -> Result<Sender, String> {
    let (name, address) = match text.trim().strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some((name, address)) => (name.trim().trim_matches('"'), address),
        None => ("", text),
    };
    let email = Email::parse(address).map_err(|error| error.to_string())?;
    let name = match name {
        "" => None,
        name => Some(DisplayName::parse(name).map_err(|error| error.to_string())?),
    };
    Ok(Sender { name, email })
}

/// A file that not every user of the machine can read.
fn kept_from_everybody(text: &str, bytes_max: u64) -> Result<Zeroizing<String>, String> {
    let path = Path::new(text);
    let found = std::fs::metadata(path).map_err(|error| format!("{text:?} cannot be read: {error}"))?;
    if found.permissions().mode() & EVERYBODY != 0 {
        return Err(format!("{text:?} can be read by every user of this machine: run chmod 600 on it"));
    }
    if found.len() > bytes_max {
        return Err(format!("{text:?} is longer than {bytes_max} bytes"));
    }
    let content = std::fs::read_to_string(path);
    content.map(Zeroizing::new).map_err(|error| format!("{text:?} cannot be read: {error}"))
}

/// The content of such a file, with a secret for each user.
pub(super) fn secrets_in(text: &str) -> Result<Zeroizing<String>, String> {
    kept_from_everybody(text, SECRETS_BYTES_MAX)
}

/// The one line of such a file.
pub(super) fn secret_in(text: &str) -> Result<Zeroizing<String>, String> {
    let content = kept_from_everybody(text, PASSWORD_BYTES_MAX)?;
    let password = content.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        Err(format!("{text:?} is empty"))
    } else {
        Ok(Zeroizing::new(password.to_owned()))
    }
}
