//! The text of a dispatch.
//!
//! What does not live here: the layouts of receivers (`template.rs`).
//!
//! What always holds: people are named by their id, and the title is plain ASCII, because it goes
//! into a header.

use crate::domain::dispatch::{Dispatch, Notice, What};
use crate::domain::topic::Topic;

/// The parts that are the same in every dispatch.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The operator's name for this installation.
    pub name: String,
    /// Our public origin.
    pub origin: String,
    /// The address of a user's page for administrators; the id comes after it.
    pub users: String,
}

/// A dispatch in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words {
    /// One sentence, in plain ASCII.
    pub(super) title: &'static str,
    /// Further facts, as names and values.
    pub(super) lines: Vec<(&'static str, String)>,
    /// The page of the event's user for administrators.
    pub(super) link: Option<String>,
}

impl Sender {
    pub(super) fn write(&self, dispatch: &Dispatch) -> Words {
        let Dispatch { actor, reason, route, model, network, at, user, .. } = dispatch;
        let told = [
            ("By", actor.clone()),
            ("Reason", reason.as_ref().map(|reason| reason.replace('_', " "))),
            ("Route", route.clone()),
            ("Authenticator", model.clone()),
            ("Network", network.map(|network| network.to_string())),
            ("Time", Some(at.to_words())),
            ("Gateway", Some(format!("{} ({})", self.name, self.origin))),
        ];
        Words {
            title: title(dispatch.what),
            lines: told.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
            link: user.map(|user| format!("{}{user}", self.users)),
        }
    }
}

impl Words {
    /// All of it as text.
    pub(super) fn as_text(&self) -> String {
        let account = self.link.iter().map(|link| format!("Account: {link}"));
        let lines = self.lines.iter().map(|(name, value)| format!("{name}: {value}"));
        account.chain(lines).collect::<Vec<_>>().join("\n")
    }
}

const fn title(what: What) -> &'static str {
    match what {
        What::Event(topic) => of_event(topic),
        What::Notice(notice) => of_notice(notice),
        What::Test => "This is a test: messages arrive",
    }
}

const fn of_event(topic: Topic) -> &'static str {
    match topic {
        Topic::SignedIn => "A user has signed in",
        Topic::NewDevice => "A user has signed in with a new device",
        Topic::SignInRefused => "A sign-in was refused",
        Topic::CounterRegressed => "A passkey was refused: it may have been copied",
        Topic::SignedOut => "A user has signed out",
        Topic::SessionEnded => "A session has ended",
        Topic::HandedOff => "A user went on to another host",
        Topic::AccessDenied => "A user was refused by a route",
        Topic::CredentialAdded => "A passkey was added to an account",
        Topic::CredentialRefused => "A new passkey was refused",
        Topic::CredentialRenamed => "A passkey was renamed",
        Topic::CredentialRemoved => "A passkey was removed from an account",
        Topic::BackupChanged => "A passkey was synced, or is no longer synced",
        Topic::DeviceLink => "A device is being added to an account",
        Topic::CodeRequested => "A code by mail was asked for",
        Topic::CodeRedeemed => "A code by mail was used to get into an account",
        Topic::RecoveryCodeRedeemed => "A recovery code was used to get into an account",
        Topic::CodeRefused => "A code was refused",
        Topic::UserChanged => "An account was changed",
        Topic::SignedUp => "A new user has signed up",
        Topic::Invited => "A link was made that invites a user, or adds a passkey",
        Topic::InvitationRedeemed => "A link was used",
        Topic::InvitationRefused => "A link was refused",
        Topic::InvitationRevoked => "A link was revoked",
        Topic::SetupLinkIssued => "A link was made for the first administrator",
        Topic::KeyRotated => "A signing key was replaced",
        Topic::BackedUp => "A backup was made",
        Topic::Reload => "The configuration was read again",
        Topic::Upgrade => "Another program takes over",
        Topic::MailTested => "A test message was sent by mail",
        Topic::BanAdded => "A network was banned",
        Topic::BanRemoved => "A network is not banned any more",
        Topic::Banned => "A credential was tried from a banned network",
        Topic::TokenCreated => "An access token was made",
        Topic::TokenRevoked => "An access token was revoked",
        Topic::TokenRefused => "An access token was refused",
        Topic::TokenCheckTimedOut => "The checks of an access token took too long",
        Topic::CeremonyBegun => "A passkey was asked for",
        Topic::HandOffRefused => "A user could not go on to another host",
        Topic::LoopDetected => "A browser was redirected in circles",
        Topic::RateLimited => "There were too many attempts",
        Topic::Mail => "A message was accepted or refused by the mail server",
        Topic::Webhook => "A webhook accepted or refused a message",
    }
}

const fn of_notice(notice: Notice) -> &'static str {
    match notice {
        Notice::PasskeyAdded => "Tell this user: a passkey was added to your account",
        Notice::PasskeyRemoved => "Tell this user: a passkey was removed from your account",
        Notice::CodeUsed => "Tell this user: a code by mail was used to get into your account",
        Notice::RecoveryCodeUsed => "Tell this user: a recovery code was used to get into your account",
        Notice::RecoveryCodesMade => "Tell this user: new recovery codes were made for your account",
        Notice::LinkMade => "Tell this user: you made a link that adds a passkey to your account",
        Notice::LinkUsed => "Tell this user: a link was used to get into your account",
        Notice::ResetLinkMade => "Tell this user: an administrator made a link to your account",
        Notice::PasskeysWiped => "Tell this user: an administrator removed your passkeys",
        Notice::NewDevice => "Tell this user: your account was signed in to with a new device",
        Notice::RoleChanged => "Tell this user: your account has another role",
        Notice::AccountEnds => "Tell this user: your account ends soon",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_title_fits_a_header() {
        let events = Topic::ALL.iter().map(|topic| What::Event(*topic));
        let all = events.chain(Notice::ALL.map(What::Notice)).chain([What::Test]);
        for what in all {
            let title = title(what);
            assert!(title.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{title}");
        }
    }
}
