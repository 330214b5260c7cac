//! The words of our messages, as text and as HTML.

use askama::Template;

use super::notices::{NoticeWords, notice_words};
use crate::domain::code::{CODE_CHARS, CODE_LIFETIME};
use crate::domain::message::Content;

/// The parts that every message shares.
#[derive(Debug, Clone)]
pub struct MessageBranding {
    /// The operator's name for this installation.
    pub name: String,
    /// Our public origin, where people sign in.
    pub origin: String,
    /// The page where people manage their passkeys.
    pub account: String,
}

/// A message in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
}

#[derive(Template)]
#[template(path = "mail/code.txt")]
struct CodeText<'a> {
    on: &'a MessageBranding,
    code: &'a str,
    minutes: u64,
}

#[derive(Template)]
#[template(path = "mail/code.html")]
struct CodeHtml<'a> {
    on: &'a MessageBranding,
    code: &'a str,
    minutes: u64,
}

#[derive(Template)]
#[template(path = "mail/link.txt")]
struct LinkText<'a> {
    on: &'a MessageBranding,
    url: &'a str,
    name: &'a str,
    hours: u64,
}

#[derive(Template)]
#[template(path = "mail/link.html")]
struct LinkHtml<'a> {
    on: &'a MessageBranding,
    url: &'a str,
    name: &'a str,
    hours: u64,
}

#[derive(Template)]
#[template(path = "mail/notice.txt")]
struct NoticeText<'a> {
    on: &'a MessageBranding,
    happened: &'a str,
    question: &'a str,
    advice: &'a str,
    link: &'a str,
}

#[derive(Template)]
#[template(path = "mail/notice.html")]
struct NoticeHtml<'a> {
    on: &'a MessageBranding,
    happened: &'a str,
    question: &'a str,
    advice: &'a str,
    link: &'a str,
}

#[derive(Template)]
#[template(path = "mail/address_changed.txt")]
struct AddressChangedText<'a> {
    on: &'a MessageBranding,
    new: &'a str,
}

#[derive(Template)]
#[template(path = "mail/address_changed.html")]
struct AddressChangedHtml<'a> {
    on: &'a MessageBranding,
    new: &'a str,
}

#[derive(Template)]
#[template(path = "mail/test.txt")]
struct TestText<'a> {
    on: &'a MessageBranding,
}

#[derive(Template)]
#[template(path = "mail/test.html")]
struct TestHtml<'a> {
    on: &'a MessageBranding,
}

impl MessageBranding {
    /// `None` for a message that is never sent.
    pub(super) fn write(&self, content: &Content) -> Result<Option<Words>, askama::Error> {
        let on = self;
        let minutes = CODE_LIFETIME.as_secs() / 60;
        let (subject, text, html) = match content {
            Content::Nothing { .. } => return Ok(None),
            Content::Code { code } => {
                let shown = in_two(code);
                let code = shown.as_str();
                (
                    format!("Your code for {}", self.name),
                    CodeText { on, code, minutes }.render()?,
                    CodeHtml { on, code, minutes }.render()?,
                )
            }
            Content::Link { url, name, hours } => {
                let (name, hours) = (name.as_ref().map_or("", |name| name.as_str()), *hours);
                (
                    format!("Your link for {}", self.name),
                    LinkText { on, url, name, hours }.render()?,
                    LinkHtml { on, url, name, hours }.render()?,
                )
            }
            Content::AddressChanged { new } => (
                format!("The e-mail address of your account at {} was changed", self.name),
                AddressChangedText { on, new: new.as_str() }.render()?,
                AddressChangedHtml { on, new: new.as_str() }.render()?,
            ),
            Content::Test => (
                format!("A test message from {}", self.name),
                TestText { on }.render()?,
                TestHtml { on }.render()?,
            ),
            notice => match notice_words(notice) {
                Some(words) => self.notice(&words)?,
                None => return Ok(None),
            },
        };
        Ok(Some(Words { subject, text, html }))
    }
}

impl MessageBranding {
    /// Subject, text and HTML of a message that says what has happened to a user's account.
    fn notice(&self, words: &NoticeWords<'_>) -> Result<(String, String, String), askama::Error> {
        let NoticeWords { subject, happened, question, advice, .. } = words;
        let link = words.link.unwrap_or(&self.account);
        Ok((
            format!("{subject} at {}", self.name),
            NoticeText { on: self, happened, question, advice, link }.render()?,
            NoticeHtml { on: self, happened, question, advice, link }.render()?,
        ))
    }
}

/// Eight characters are easier to copy as four and four.
fn in_two(code: &str) -> String {
    match code.split_at_checked(CODE_CHARS / 2) {
        Some((first, second)) => format!("{first}-{second}"),
        None => code.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::About;
    use crate::domain::network::Network;
    use crate::domain::time::Timestamp;
    use crate::domain::user::Email;

    fn branding() -> MessageBranding {
        MessageBranding {
            name: "Example & Sons".to_owned(),
            origin: "https://auth.example.com".to_owned(),
            account: "https://auth.example.com/auth/account".to_owned(),
        }
    }

    #[test]
    fn a_code_is_in_both_parts() {
        let words = branding().write(&Content::Code { code: "ABCD1234".to_owned() }).unwrap().unwrap();
        assert!(words.text.contains("ABCD-1234") && words.html.contains("ABCD-1234"));
        assert!(words.text.contains("Example & Sons") && words.html.contains("Example &#38; Sons"));
        assert!(words.text.contains("10 minutes") && words.text.contains("https://auth.example.com"));
    }

    #[test]
    fn address_change_names_the_new_address() {
        let new = Email::parse("alice@elsewhere.example").unwrap();
        let words = branding().write(&Content::AddressChanged { new }).unwrap().unwrap();
        for part in [words.text, words.html] {
            assert!(part.contains("alice@elsewhere.example") && part.contains("/auth/account"), "{part}");
        }
    }

    #[test]
    fn f_22_notices_name_model_network_and_time_only() {
        let passkey = "x\" by your administrator, nothing to do. <img src=x>\"".to_owned();
        let about = Some(About {
            model: Some("Example Key".to_owned()),
            network: Some(Network::of("192.0.2.7".parse().unwrap())),
            at: Timestamp::from_millis(1_790_000_000_120),
        });
        let added = Content::PasskeyAdded { passkey: passkey.clone(), about: about.clone() };
        let removed = Content::PasskeyRemoved { passkey, about };
        for content in [added, removed] {
            let words = branding().write(&content).unwrap().unwrap();
            for part in [&words.text, &words.html] {
                for said in ["Example Key", "192.0.2.0/24", "21 September 2026, 14:13 UTC"] {
                    assert!(part.contains(said), "{said}: {part}");
                }
                assert!(!part.contains("administrator") && !part.contains("<img"), "{part}");
            }
        }
    }

    #[test]
    fn placeholder_messages_are_not_rendered() {
        assert_eq!(branding().write(&Content::Nothing { instead_of: String::new() }).unwrap(), None);
    }
}
