//! The headers that a route's application gets, and those that are kept from it: `headers`,
//! `credentials`, `strip_headers` and `pass_headers`.
//!
//! What does not live here: writing these onto a request (`flows/passport.rs`, `proxy/headers.rs`).
//!
//! What always holds: no identity header steers a connection; a secret comes from a file that not
//! every user of the machine can read, and no mistake repeats it.

use http::HeaderName;

use super::mail::{secret_in, secrets_in};
use super::reader::{Found, Reader};
use super::section::Section;
use crate::domain::attribute::Attributes;
use crate::domain::policy::credentials::{Credentials, Secrets};
use crate::domain::policy::headers::{HeaderPattern, HeaderRules};
use crate::domain::policy::identity::{IdentityHeaders, Template};
use crate::domain::policy::route::HostPattern;

const HEADERS_REMEDY: &str = "write \"remote\", \"oauth2-proxy\", \"authelia\", \"authentik\" or \"pomerium\", or a table such as { Remote-User = \"{username}\" }";

/// Names that steer a connection or the request itself; an identity header cannot be one of them.
const RESERVED_HEADERS: [&str; 16] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// Reads `headers`.
pub(super) fn identity(
    section: &Section<'_>,
    reader: &Reader<'_>,
    attributes: &Attributes,
    host: Option<&HostPattern>,
) -> IdentityHeaders {
    if let Some(fields) = section.dictionary("headers") {
        let field = |(name, text): (String, Found<String>)| {
            let read =
                header_name(&name).and_then(|name| Ok((name, Template::parse(&text.value, attributes)?)));
            read.map_err(|problem| reader.mistake(&text.at, problem, HEADERS_REMEDY)).ok()
        };
        return IdentityHeaders::custom(fields.into_iter().filter_map(field).collect());
    }
    let found = section.parsed("headers", HEADERS_REMEDY, |text| {
        IdentityHeaders::preset(text).ok_or_else(|| format!("there is no set of headers called {text:?}"))
    });
    let is_wildcard = matches!(host, Some(HostPattern::Wildcard(_)));
    if let Some(found) = found.as_ref().filter(|it| is_wildcard && it.value.pomerium_assertion().is_some()) {
        let problem = "Pomerium's assertion names the host, and a wildcard has many";
        reader.mistake(&found.at, problem, "name the hosts one by one, or take another set of headers");
    }
    let preset = found.map(|found| found.value).or_else(|| IdentityHeaders::preset("remote"));
    preset.unwrap_or_else(|| IdentityHeaders::custom(Vec::new()))
}

/// Reads `strip_headers` and `pass_headers`.
pub(super) fn header_rules(section: &Section<'_>) -> HeaderRules {
    const REMEDY: &str = "write names such as \"X-Legacy-User\", or \"X-Legacy-*\" for all that begin so";
    let read = |key, parse: fn(&str) -> Result<HeaderPattern, String>| {
        let found = section.parsed_list(key, REMEDY, parse).unwrap_or_default();
        found.into_iter().map(|found| found.value).collect()
    };
    HeaderRules {
        strip: read("strip_headers", HeaderPattern::parse),
        pass: read("pass_headers", HeaderPattern::parse_passed),
    }
}

fn header_name(text: &str) -> Result<HeaderName, String> {
    let name =
        HeaderName::from_bytes(text.as_bytes()).map_err(|_| format!("{text:?} is not a header name"))?;
    // A client could write a hyphen for another character, which CGI reads alike.
    if let Some(odd) = text.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-') {
        return Err(format!("{text} has {odd:?}: a header's name has letters, digits and hyphens only"));
    }
    if RESERVED_HEADERS.contains(&name.as_str()) {
        return Err(format!("{text} has a meaning of its own and cannot carry an identity"));
    }
    Ok(name)
}

const CREDENTIALS_REMEDY: &str = "write credentials = { basic = { password_file = \"/etc/vestibule/app.password\" } }, or { bearer_file = \"...\" }";

/// Reads `credentials`.
pub(super) fn credentials(
    section: &Section<'_>,
    reader: &Reader<'_>,
    attributes: &Attributes,
) -> Option<Credentials> {
    if !section.has("credentials") {
        return None;
    }
    let table = section.table("credentials");
    let read = if table.has("basic") {
        let basic = table.table("basic");
        let read = basic_credentials(&basic, reader, attributes);
        basic.close();
        for other in ["bearer_file", "bearers_file"].into_iter().filter(|key| table.has(key)) {
            table.refuse(
                other,
                "only one of them can be in Authorization",
                "write basic, or one of the two files",
            );
        }
        read
    } else {
        secrets(&table, reader, ["bearer_file", "bearers_file"]).map(Credentials::bearer)
    };
    table.close();
    let problem = read?;
    problem.map_err(|problem| reader.mistake(&section.at("credentials"), problem, CREDENTIALS_REMEDY)).ok()
}

fn basic_credentials(
    basic: &Section<'_>,
    reader: &Reader<'_>,
    attributes: &Attributes,
) -> Option<Result<Credentials, &'static str>> {
    let remedy = "write username = \"{username}\", or one name for all users";
    let found = basic.parsed("username", remedy, |text| Template::parse(text, attributes));
    let template = match found {
        Some(found) => found.value,
        None if basic.has("username") => return None,
        None => Template::parse("{username}", attributes).ok()?,
    };
    let passwords = secrets(basic, reader, ["password_file", "passwords_file"])?;
    Some(Credentials::basic(template, passwords))
}

/// The one secret of the first file, or those of the second one, a line for each user.
fn secrets(section: &Section<'_>, reader: &Reader<'_>, files: [&'static str; 2]) -> Option<Secrets> {
    let [shared, personal] = files;
    let remedy = "write the path of a file with nothing but the secret, which other users cannot read";
    let one = section.parsed(shared, remedy, |text| secret_in(reader.on_disk(text)));
    let remedy =
        "write the path of a file with a line username:secret for each user, which other users cannot read";
    let each = section.parsed(personal, remedy, |text| {
        let path = reader.on_disk(text);
        Secrets::personal(&secrets_in(path)?).map_err(|problem| format!("{path:?}: {problem}"))
    });
    match (section.has(shared), section.has(personal)) {
        (false, false) => {
            reader.mistake(&section.at(shared), "there is no secret to send", CREDENTIALS_REMEDY);
            None
        }
        (true, true) => {
            section.refuse(personal, &format!("there is a {shared} as well"), "keep one of them");
            None
        }
        (true, false) => one.map(|found| Secrets::Shared(found.value)),
        (false, true) => each.map(|found| found.value),
    }
}
