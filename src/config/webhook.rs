//! `[[webhook]]`: receivers that are told what happens, over HTTP.
//!
//! What does not live here: sending dispatches (`webhook/`, `app/webhooks.rs`).
//!
//! What always holds: nothing is sent in the clear to a host outside of private networks; no
//! mistake and no remark shows the path of a URL, which may be as good as a password.

use std::collections::BTreeSet;
use std::net::IpAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use url::{Host, Url};
use zeroize::Zeroizing;

use super::mail::secret_in;
use super::reader::{Found, Reader};
use super::relying_party::is_localhost;
use super::section::Section;
use super::settings::{Settings, Webhook};
use super::value::file;
use crate::domain::dispatch::{Notices, Subscription, Template, WebhookId};
use crate::domain::network;
use crate::domain::topic::{Family, Topic};
use crate::webhook::http::WebhookSettings;
use crate::webhook::signature::SigningSecret;

/// More than an installation has receivers.
const WEBHOOKS_MAX: usize = 16;
const URL_BYTES_MAX: usize = 2_048;
/// The lengths that every receiver takes (Standard Webhooks 1.0.0, "Symmetric").
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
const SECRET_PREFIX: &str = "whsec_";
/// Ends of names that the public DNS does not have.
const PRIVATE_NAMES: [&str; 5] = [".internal", ".local", ".lan", ".home.arpa", ".localhost"];
const NOTICES: &str = "notices";

const URL_REMEDY: &str =
    "write the address that takes the messages, such as \"https://ntfy.example.com/topic\"";
const TEMPLATE_REMEDY: &str = "write \"json\", \"ntfy\" or \"slack\"";
const SECRET_REMEDY: &str = "write the path of a file that holds whsec_ and 24 to 64 random bytes in base64 and nothing else; \
                             (printf whsec_; openssl rand -base64 32) > FILE makes one";

/// The meaning of one word of `events`.
enum Wanted {
    Notices,
    Topics(Vec<Topic>),
}

/// Reads every `[[webhook]]`.
pub(super) fn webhooks(root: &Section<'_>, reader: &Reader<'_>) -> Vec<Webhook> {
    let sections = root.tables("webhook");
    if let Some(beyond) = sections.get(WEBHOOKS_MAX) {
        let problem = format!("there are more than {WEBHOOKS_MAX} webhooks");
        reader.mistake(&beyond.at("url"), problem, "let one receiver pass messages on to the others");
    }
    let mut webhooks: Vec<Webhook> = Vec::new();
    for section in sections {
        let found = webhook(&section, reader);
        section.close();
        let Some(found) = found else { continue };
        if webhooks.iter().any(|other| other.receiver.url == found.receiver.url) {
            let problem = "another webhook has this URL";
            reader.mistake(&section.at("url"), problem, "name the events of both in one of them");
        }
        webhooks.push(found);
    }
    webhooks
}

fn webhook(section: &Section<'_>, reader: &Reader<'_>) -> Option<Webhook> {
    let url = section.parsed("url", URL_REMEDY, address);
    let events = section.parsed_list("events", &format!("write some of {}", offered()), wanted);
    let template = section.parsed("template", TEMPLATE_REMEDY, |text| match text {
        "json" => Ok(Template::Json),
        "ntfy" => Ok(Template::Ntfy),
        "slack" => Ok(Template::Slack),
        _ => Err(format!("there is no template called {text:?}")),
    });
    let secret =
        section.parsed("secret_file", SECRET_REMEDY, |text| key_in(&secret_in(reader.on_disk(text))?));
    let ca_remedy = "write the path of a PEM file with the receiver's CA";
    let ca_file = section.parsed("ca_file", ca_remedy, |text| file(reader.on_disk(text)));
    if !section.has("url") {
        reader.mistake(&section.at("url"), "a webhook needs a url", URL_REMEDY);
    }
    if !section.has("events") || section.is_empty_list("events") {
        let problem = "it would never be told anything";
        reader.mistake(&section.at("events"), problem, format!("write some of {}", offered()));
    }
    let (url, events): (_, Vec<Found<Wanted>>) = (url?.value, events?);
    let mut topics = BTreeSet::new();
    let mut notices = Notices::NotWanted;
    for event in events {
        match event.value {
            Wanted::Notices => notices = Notices::Wanted,
            Wanted::Topics(some) => topics.extend(some),
        }
    }
    let origin = url.origin().ascii_serialization();
    let receiver = WebhookSettings {
        url: url.into(),
        template: template.map_or(Template::Json, |found| found.value),
        secret: secret.map(|found| SigningSecret::new(found.value)),
        ca_file: ca_file.map(|found| found.value),
    };
    let webhook = WebhookId::of_url(&receiver.url);
    Some(Webhook { told: Subscription { webhook, origin, topics, notices }, receiver })
}

fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("this is not a URL: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("a user, a password or a fragment in this URL would not be sent".to_owned());
    }
    if url.as_str().len() > URL_BYTES_MAX {
        return Err(format!("the URL is longer than {URL_BYTES_MAX} bytes"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_near(&url) => Ok(url),
        "http" => Err("the URL is not https, so others could read the messages on their way".to_owned()),
        other => Err(format!("the scheme is {other:?}, not https")),
    }
}

/// Whether the host is this machine.
fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => is_localhost(name),
        None => false,
    }
}

/// Whether the host is this machine or in a private network, as far as its name tells.
fn is_near(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => network::is_near(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => network::is_near(IpAddr::V6(ip)),
        Some(Host::Domain(name)) => {
            !name.contains('.') || is_localhost(name) || PRIVATE_NAMES.iter().any(|end| name.ends_with(end))
        }
        None => false,
    }
}

fn wanted(text: &str) -> Result<Wanted, String> {
    if text == NOTICES {
        return Ok(Wanted::Notices);
    }
    let topics: Vec<Topic> = Topic::offered()
        .filter(|(topic, family)| topic.label() == text || family.label() == text)
        .map(|(topic, _)| topic)
        .collect();
    if topics.is_empty() {
        Err(format!("there is no event called {text:?}"))
    } else {
        Ok(Wanted::Topics(topics))
    }
}

/// All words that `events` can have.
fn offered() -> String {
    let families = Family::ALL.map(|family| {
        let topics = Topic::offered().filter(|(_, of)| *of == family).map(|(topic, _)| topic.label());
        format!("{:?} ({})", family.label(), topics.collect::<Vec<_>>().join(", "))
    });
    format!("{NOTICES:?}, {}", families.join(", "))
}

fn key_in(text: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let encoded =
        text.strip_prefix(SECRET_PREFIX).ok_or_else(|| format!("it does not begin with {SECRET_PREFIX}"))?;
    let key =
        BASE64_STANDARD.decode(encoded).map(Zeroizing::new).map_err(|_| "it is not base64".to_owned())?;
    if SECRET_BYTES.contains(&key.len()) { Ok(key) } else { Err(format!("it has {} bytes", key.len())) }
}

/// Settings that are allowed but probably not meant.
pub(super) fn remarks(settings: &Settings) -> Vec<String> {
    let mut remarks = Vec::new();
    for webhook in &settings.webhooks {
        let Webhook { told, receiver } = webhook;
        let origin = &told.origin;
        if Url::parse(origin).is_ok_and(|url| url.scheme() == "http" && !is_here(&url)) {
            remarks.push(format!(
                "the webhook at {origin} gets messages over plain http: others in that network can read them"
            ));
        }
        if receiver.template == Template::Json && receiver.secret.is_none() {
            remarks.push(format!(
                "messages to the webhook at {origin} are not signed: add secret_file, and check it there"
            ));
        }
        if told.topics.is_empty() && settings.mail.is_some() {
            remarks.push(format!(
                "the webhook at {origin} is never told anything: there is [mail], so notices go by mail"
            ));
        }
    }
    let nobody = settings.webhooks.iter().all(|webhook| webhook.told.notices == Notices::NotWanted);
    if !settings.webhooks.is_empty() && settings.mail.is_none() && nobody {
        remarks.push(
            "no one is told what happens to users' accounts: there is no [mail], and no webhook takes \"notices\""
                .to_owned(),
        );
    }
    remarks
}
