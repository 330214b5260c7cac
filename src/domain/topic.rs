//! Topics: the name of each kind of event, and families of topics.
//!
//! What does not live here: the events themselves (`event.rs`).
//!
//! What always holds: every kind of event has one name, in the audit trail, in the log and in the
//! configuration; an event that anonymous clients can cause without having tried a credential is
//! offered to no webhook.
#![deny(clippy::wildcard_enum_match_arm)]

use serde::{Deserialize, Serialize};

use super::event::{Kind, TokenEvent};

/// Topics that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    SignIn,
    Passkey,
    Recovery,
    Account,
    Invitation,
    Gateway,
}

impl Family {
    /// All of them, in the order of the manual.
    pub const ALL: [Self; 6] =
        [Self::SignIn, Self::Passkey, Self::Recovery, Self::Account, Self::Invitation, Self::Gateway];

    /// Its name in the configuration.
    pub const fn label(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Passkey => "passkey",
            Self::Recovery => "recovery",
            Self::Account => "account",
            Self::Invitation => "invitation",
            Self::Gateway => "gateway",
        }
    }
}

macro_rules! topics {
    ($($topic:ident = $label:literal in $family:expr;)*) => {
        /// The topic of an event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Topic {
            $($topic,)*
        }

        impl Topic {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$topic,)*];

            /// Its name.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$topic => $label,)*
                }
            }

            /// The family it belongs to; `None` for a topic that is in the log and the metrics
            /// alone.
            pub const fn family(self) -> Option<Family> {
                match self {
                    $(Self::$topic => $family,)*
                }
            }
        }
    };
}

topics! {
    SignedIn = "signed_in" in Some(Family::SignIn);
    NewDevice = "new_device" in Some(Family::SignIn);
    SignInRefused = "sign_in_refused" in Some(Family::SignIn);
    CounterRegressed = "counter_regressed" in Some(Family::SignIn);
    SignedOut = "signed_out" in Some(Family::SignIn);
    SessionEnded = "session_ended" in Some(Family::SignIn);
    HandedOff = "handed_off" in Some(Family::SignIn);
    AccessDenied = "access_denied" in Some(Family::SignIn);
    CredentialAdded = "credential_added" in Some(Family::Passkey);
    CredentialRefused = "credential_refused" in Some(Family::Passkey);
    CredentialRenamed = "credential_renamed" in Some(Family::Passkey);
    CredentialRemoved = "credential_removed" in Some(Family::Passkey);
    BackupChanged = "backup_changed" in Some(Family::Passkey);
    DeviceLink = "device_link" in Some(Family::Passkey);
    CodeRequested = "code_requested" in Some(Family::Recovery);
    CodeRedeemed = "code_redeemed" in Some(Family::Recovery);
    RecoveryCodeRedeemed = "recovery_code_redeemed" in Some(Family::Recovery);
    CodeRefused = "code_refused" in Some(Family::Recovery);
    UserChanged = "user_changed" in Some(Family::Account);
    SignedUp = "signed_up" in Some(Family::Account);
    Invited = "invited" in Some(Family::Invitation);
    InvitationRedeemed = "invitation_redeemed" in Some(Family::Invitation);
    InvitationRefused = "invitation_refused" in Some(Family::Invitation);
    InvitationRevoked = "invitation_revoked" in Some(Family::Invitation);
    SetupLinkIssued = "setup_link_issued" in Some(Family::Gateway);
    KeyRotated = "key_rotated" in Some(Family::Gateway);
    BackedUp = "backed_up" in Some(Family::Gateway);
    Reload = "reload" in Some(Family::Gateway);
    Upgrade = "upgrade" in Some(Family::Gateway);
    MailTested = "mail_tested" in Some(Family::Gateway);
    BanAdded = "ban_added" in Some(Family::Gateway);
    BanRemoved = "ban_removed" in Some(Family::Gateway);
    // A banned client can repeat it at will.
    Banned = "banned" in None;
    TokenCreated = "token_created" in Some(Family::Account);
    TokenRevoked = "token_revoked" in Some(Family::Account);
    // Anonymous clients can cause these at will.
    TokenRefused = "token_refused" in None;
    TokenCheckTimedOut = "token_check_timed_out" in None;
    CeremonyBegun = "ceremony_begun" in None;
    HandOffRefused = "hand_off_refused" in None;
    LoopDetected = "loop_detected" in None;
    RateLimited = "rate_limited" in None;
    Mail = "mail" in None;
    // A failing webhook must not cause dispatches about its own failures.
    Webhook = "webhook" in None;
}

impl Topic {
    /// The topic of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|topic| topic.label() == text)
    }

    /// The topics that webhooks can be told of, with the family of each.
    pub fn offered() -> impl Iterator<Item = (Self, Family)> {
        Self::ALL.iter().filter_map(|topic| Some((*topic, topic.family()?)))
    }
}

impl Kind {
    /// The topic of the event.
    pub const fn topic(&self) -> Topic {
        match self {
            Self::SetupLinkIssued => Topic::SetupLinkIssued,
            Self::Invited { .. } => Topic::Invited,
            Self::InvitationRedeemed { .. } => Topic::InvitationRedeemed,
            Self::SignedUp { .. } => Topic::SignedUp,
            Self::InvitationRefused => Topic::InvitationRefused,
            Self::InvitationRevoked { .. } => Topic::InvitationRevoked,
            Self::CeremonyBegun { .. } => Topic::CeremonyBegun,
            Self::CredentialAdded { .. } => Topic::CredentialAdded,
            Self::CredentialRefused { .. } => Topic::CredentialRefused,
            Self::CredentialRenamed { .. } => Topic::CredentialRenamed,
            Self::CredentialRemoved { .. } => Topic::CredentialRemoved,
            Self::BackupChanged { .. } => Topic::BackupChanged,
            Self::CounterRegressed { .. } => Topic::CounterRegressed,
            Self::SignedIn { .. } => Topic::SignedIn,
            Self::NewDevice { .. } => Topic::NewDevice,
            Self::SignInRefused { .. } => Topic::SignInRefused,
            Self::SignedOut { .. } => Topic::SignedOut,
            Self::SessionEnded { .. } => Topic::SessionEnded,
            Self::HandedOff { .. } => Topic::HandedOff,
            Self::HandOffRefused { .. } => Topic::HandOffRefused,
            Self::AccessDenied { .. } => Topic::AccessDenied,
            Self::UserChanged { .. } => Topic::UserChanged,
            Self::KeyRotated { .. } => Topic::KeyRotated,
            Self::BackedUp { .. } => Topic::BackedUp,
            Self::Reload { .. } => Topic::Reload,
            Self::Upgrade { .. } => Topic::Upgrade,
            Self::MailTested { .. } => Topic::MailTested,
            Self::LoopDetected { .. } => Topic::LoopDetected,
            Self::RateLimited { .. } => Topic::RateLimited,
            Self::BanAdded { .. } => Topic::BanAdded,
            Self::BanRemoved { .. } => Topic::BanRemoved,
            Self::Banned { .. } => Topic::Banned,
            Self::CodeRequested { .. } => Topic::CodeRequested,
            Self::CodeRedeemed { .. } => Topic::CodeRedeemed,
            Self::RecoveryCodeRedeemed { .. } => Topic::RecoveryCodeRedeemed,
            Self::CodeRefused => Topic::CodeRefused,
            Self::DeviceLink { .. } => Topic::DeviceLink,
            Self::Mail { .. } => Topic::Mail,
            Self::Webhook { .. } => Topic::Webhook,
            Self::AccessToken(event) => match event {
                TokenEvent::Created { .. } => Topic::TokenCreated,
                TokenEvent::Revoked { .. } => Topic::TokenRevoked,
                TokenEvent::Refused { .. } => Topic::TokenRefused,
                TokenEvent::CheckTimedOut { .. } => Topic::TokenCheckTimedOut,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_names_are_unique_and_roundtrip() {
        for topic in Topic::ALL {
            assert_eq!(Topic::parse(topic.label()), Some(*topic));
            assert_eq!(serde_json::to_value(topic).unwrap(), topic.label());
            assert!(Family::ALL.iter().all(|family| family.label() != topic.label()), "{topic:?}");
        }
        assert_eq!(Topic::parse("no_such"), None);
    }

    #[test]
    fn every_topic_family_has_members() {
        for family in Family::ALL {
            assert!(Topic::offered().any(|(_, of)| of == family), "{family:?}");
        }
    }
}
