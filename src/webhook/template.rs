//! A dispatch as a program, ntfy and Slack read it.
//!
//! What does not live here: the sentences (`words.rs`).
//!
//! What always holds: a name or a value stays a value, whatever it holds: JSON is made by a
//! library, Slack's three control characters are escaped, and headers have only sentences and
//! addresses of ours.

use serde::Serialize;

use super::words::{Sender, Words};
use crate::domain::dispatch::{Dispatch, Template, What};
use crate::domain::event::Outcome;

/// A message without its signature.
pub(super) struct Message {
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

/// `None` only where JSON cannot be written.
pub(super) fn message(template: Template, sender: &Sender, dispatch: &Dispatch) -> Option<Message> {
    let words = sender.write(dispatch);
    match template {
        Template::Json => json(sender, dispatch, words),
        Template::Ntfy => Some(ntfy(dispatch, words)),
        Template::Slack => slack(&words),
    }
}

/// As Standard Webhooks advises: what it is, when it happened, and the rest.
#[derive(Serialize)]
struct Shape<'a> {
    r#type: String,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    text: &'a str,
    gateway: &'a str,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authenticator: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<String>,
}

fn json(sender: &Sender, dispatch: &Dispatch, words: Words) -> Option<Message> {
    let shape = Shape {
        r#type: called(dispatch.what),
        timestamp: dispatch.at.to_rfc3339(),
        data: Data {
            text: words.title,
            gateway: &sender.origin,
            outcome: dispatch.outcome,
            actor: dispatch.actor.as_deref(),
            user: dispatch.user.map(|user| user.to_string()),
            url: words.link,
            reason: dispatch.reason.as_deref(),
            route: dispatch.route.as_deref(),
            authenticator: dispatch.model.as_deref(),
            network: dispatch.network.map(|network| network.to_string()),
        },
    };
    let body = serde_json::to_vec(&shape).ok()?;
    Some(Message { content_type: "application/json", headers: Vec::new(), body })
}

/// The type of a dispatch, for programs.
fn called(what: What) -> String {
    match what {
        What::Event(topic) => topic.label().to_owned(),
        What::Notice(notice) => format!("notice.{}", notice.label()),
        What::Test => "test".to_owned(),
    }
}

/// A refusal has the same priority as any other dispatch, so that a phone makes no more noise.
fn ntfy(dispatch: &Dispatch, words: Words) -> Message {
    let tag = match (dispatch.what, dispatch.outcome) {
        (What::Notice(_), _) => "warning",
        (_, Outcome::Refused) => "no_entry",
        (_, Outcome::Done) => "key",
    };
    let mut headers = vec![("title", words.title.to_owned()), ("tags", tag.to_owned())];
    let body = words.as_text().into_bytes();
    headers.extend(words.link.map(|link| ("click", link)));
    Message { content_type: "text/plain; charset=utf-8", headers, body }
}

fn slack(words: &Words) -> Option<Message> {
    let lines = words.lines.iter().map(|(name, value)| format!("{name}: {}", escaped(value)));
    let account = words.link.iter().map(|link| format!("<{}|Account>", escaped(link)));
    let title = std::iter::once(format!("*{}*", words.title));
    let text = title.chain(account).chain(lines).collect::<Vec<_>>().join("\n");
    let body = serde_json::to_vec(&serde_json::json!({ "text": text })).ok()?;
    Some(Message { content_type: "application/json", headers: Vec::new(), body })
}

/// Text in which Slack finds neither a link nor a mention.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::domain::dispatch::Notice;
    use crate::domain::id::UserId;
    use crate::domain::network::Network;
    use crate::domain::time::Timestamp;

    fn sender() -> Sender {
        Sender {
            name: "Example & <!channel>\r\nX-Evil: 1".to_owned(),
            origin: "https://auth.example.com".to_owned(),
            users: "https://auth.example.com/auth/admin/users/".to_owned(),
        }
    }

    fn dispatch() -> Dispatch {
        Dispatch {
            what: What::Notice(Notice::PasskeyAdded),
            user: Some(UserId::from_random([1; 16])),
            model: Some("Key <3 & more\r\nTitle: mine".to_owned()),
            network: Some(Network::of("2001:db8::7".parse().unwrap())),
            ..Dispatch::test(Timestamp::from_millis(1_790_000_000_120))
        }
    }

    fn written(template: Template) -> Message {
        message(template, &sender(), &dispatch()).unwrap()
    }

    #[test]
    fn json_template_has_event_subject_and_time() {
        let told: Value = serde_json::from_slice(&written(Template::Json).body).unwrap();
        assert_eq!(
            (&told["type"], &told["timestamp"]),
            (&"notice.passkey_added".into(), &"2026-09-21T14:13:20.120Z".into())
        );
        assert_eq!(told["data"]["network"], "2001:db8::/64");
        assert_eq!(told["data"]["authenticator"], "Key <3 & more\r\nTitle: mine");
        let user = told["data"]["user"].as_str().unwrap();
        assert_eq!(told["data"]["url"], format!("https://auth.example.com/auth/admin/users/{user}"));
    }

    #[test]
    fn ntfy_template_escapes_header_values() {
        let Message { headers, body, .. } = written(Template::Ntfy);
        assert!(
            headers
                .iter()
                .all(|(_, value)| value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '))
        );
        assert_eq!(headers.iter().filter(|(name, _)| *name == "title").count(), 1);
        let text = String::from_utf8(body).unwrap();
        for said in ["Key <3", "2001:db8::/64", "21 September 2026, 14:13 UTC", "/auth/admin/users/"] {
            assert!(text.contains(said), "{said}: {text}");
        }
    }

    #[test]
    fn slack_template_escapes_mentions() {
        let told: Value = serde_json::from_slice(&written(Template::Slack).body).unwrap();
        let text = told["text"].as_str().unwrap();
        assert!(
            text.contains("Key &lt;3 &amp; more") && text.contains("Example &amp; &lt;!channel&gt;"),
            "{text}"
        );
        assert_eq!(text.matches('<').count(), 1, "our link alone: {text}");
    }
}
