//! The words of notices: what has happened to a user's account, and what to do if it was not them.
//!
//! What does not live here: who is told what, and when (`flows/messages/notices.rs`).
//!
//! What always holds: a notice says with what, from where and when, in our words. It leaves out the
//! name of a passkey: the person who added it chose the name, and may have made it read like advice
//! of ours.

use crate::domain::message::{About, Content};
use crate::domain::user::Role;

/// A notice in words.
pub(super) struct NoticeWords<'a> {
    pub(super) subject: &'static str,
    pub(super) happened: String,
    pub(super) question: &'static str,
    /// The advice; it follows the question.
    pub(super) advice: &'static str,
    /// The page for it, if not the account page.
    pub(super) link: Option<&'a str>,
}

const IF_YOU: &str = "If that was you, there is nothing to do. If not,";
const IF_EXPECTED: &str = "If you expected that, there is nothing to do. If not,";
const IF_NEEDED: &str = "If you do not need it any longer, there is nothing to do. If you do,";
const UNKNOWN_PASSKEYS: &str = "remove the passkeys and end the sessions that you do not know";

/// `None` for a message that is no notice.
pub(super) fn notice_words(content: &Content) -> Option<NoticeWords<'_>> {
    Some(match content {
        Content::PasskeyAdded { about, .. } => {
            let subject = "A passkey was added to your account";
            plain(subject, with_circumstances(subject, about.as_ref()), UNKNOWN_PASSKEYS)
        }
        Content::PasskeyRemoved { about, .. } => {
            let subject = "A passkey was removed from your account";
            plain(subject, with_circumstances(subject, about.as_ref()), UNKNOWN_PASSKEYS)
        }
        Content::RecoveryCodesMade { about } => {
            let subject = "New recovery codes were made for your account";
            let advice =
                "make new codes yourself, which ends these, and end the sessions that you do not know";
            plain(subject, with_circumstances(subject, Some(about)), advice)
        }
        Content::LinkMade => plain(
            "A link to your account was made",
            "A link was made that works once, for an hour, and adds a passkey to your account".to_owned(),
            "end the sessions that you do not know, which ends the link as well",
        ),
        Content::NewDevice { program, about } => {
            let happened = format!("Your passkey was used with {} for the first time,", program.in_words());
            let advice = "end that session, and remove the passkeys that you do not know";
            plain(
                "A new device signed in to your account",
                with_circumstances(&happened, Some(about)),
                advice,
            )
        }
        Content::CodeUsed { .. } | Content::RecoveryCodeUsed { .. } | Content::LinkUsed { .. } => {
            return of_recovery(content);
        }
        Content::ResetLinkMade { .. }
        | Content::PasskeysWiped { .. }
        | Content::RoleChanged { .. }
        | Content::AccountEnds { .. }
        | Content::Waiting { .. }
        | Content::Approved => return of_administrators(content),
        Content::Nothing { .. }
        | Content::Code { .. }
        | Content::Link { .. }
        | Content::AddressChanged { .. }
        | Content::Test => return None,
    })
}

/// Ways back into an account, each of which can be taken back.
fn of_recovery(content: &Content) -> Option<NoticeWords<'_>> {
    let (subject, happened, advice, cancel) = match content {
        Content::CodeUsed { about, cancel } => (
            "A code was used for your account",
            with_circumstances("A code by mail was used to get into your account", Some(about)),
            "cancel it here, which ends the sessions and removes the new passkey, and tell the administrator that \
             another person can read your mail",
            cancel,
        ),
        Content::RecoveryCodeUsed { about, cancel, left } => {
            let happened =
                with_circumstances("A recovery code was used to get into your account", Some(about));
            (
                "A recovery code was used for your account",
                format!("{happened}. {left} codes are left"),
                "cancel it here, which ends the sessions and removes the new passkey, and make new codes, because \
                 another person has seen yours",
                cancel,
            )
        }
        Content::LinkUsed { about, cancel } => (
            "A link was used for your account",
            with_circumstances("A link from an administrator was used to get into your account", Some(about)),
            "cancel it here, which ends the sessions and removes the new passkey, and tell the administrator that \
             another person has the link",
            cancel,
        ),
        _ => return None,
    };
    Some(NoticeWords { link: cancel.as_deref(), ..plain(subject, happened, advice) })
}

/// Notices of an administrator's work, done or to do.
fn of_administrators(content: &Content) -> Option<NoticeWords<'_>> {
    Some(match content {
        Content::ResetLinkMade { hours } => expected(
            "A link to your account was made",
            format!(
                "An administrator made a link that works once, for {hours} hours, and adds a passkey to your account"
            ),
            "tell the administrator",
        ),
        Content::PasskeysWiped { at } => expected(
            "Your passkeys were removed",
            format!("An administrator removed every passkey of your account on {}", at.to_words()),
            "ask the administrator for a link, with which you can make a new passkey",
        ),
        Content::RoleChanged { role, at } => {
            let now = match role {
                Role::Administrator => "an administrator",
                Role::Member => "a member, and are no longer an administrator",
            };
            let happened = format!("On {} you became {now}", at.to_words());
            expected("Your role was changed", happened, "tell an administrator")
        }
        Content::AccountEnds { at } => NoticeWords {
            question: IF_NEEDED,
            ..plain(
                "Your account ends soon",
                format!("Your account ends on {}", at.to_words()),
                "ask an administrator to extend it",
            )
        },
        Content::Waiting { email, url } => {
            let happened = format!("{email} has signed up and waits for the approval of an administrator");
            let words = plain("An account waits for approval", happened, "approve or remove the account");
            NoticeWords { link: Some(url), ..words }
        }
        Content::Approved => plain(
            "Your account is open",
            "An administrator has approved your account".to_owned(),
            "delete it on this page",
        ),
        _ => return None,
    })
}

const fn plain(subject: &'static str, happened: String, advice: &'static str) -> NoticeWords<'static> {
    NoticeWords { subject, happened, question: IF_YOU, advice, link: None }
}

/// A notice of what another person has done.
fn expected(subject: &'static str, happened: String, advice: &'static str) -> NoticeWords<'static> {
    NoticeWords { question: IF_EXPECTED, ..plain(subject, happened, advice) }
}

/// Says with what, from where and when something happened.
fn with_circumstances(happened: &str, about: Option<&About>) -> String {
    let Some(About { model, network, at }) = about else { return happened.to_owned() };
    let model = model.as_ref().map(|model| format!(" (authenticator: {model})")).unwrap_or_default();
    let network = network.map(|network| format!(" from the network {network}")).unwrap_or_default();
    format!("{happened}{model}{network} on {}", at.to_words())
}
