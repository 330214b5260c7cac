//! The HTTP dialects: one core, five ways to ask it.
//!
//! What lives here: their names, what each claims below its mount (`mounts.rs`), and how each finds
//! its way back to a ceremony. What does not: methods, shapes and statuses (`dialects/`).

use serde::{Deserialize, Serialize};

/// An HTTP API that the gateway speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// Our own, below the prefix; the built-in pages speak it.
    Native,
    BetterAuth,
    Ocore,
    Corbado,
    Zitadel,
}

/// How the second request of a ceremony names the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CeremonyCarrier {
    /// A cookie of the browser that began it.
    Cookie,
    /// The challenge that the authenticator signed. The documented API has no cookie.
    Challenge,
}

impl Dialect {
    /// All dialects.
    pub const ALL: [Self; 5] = [Self::Native, Self::BetterAuth, Self::Ocore, Self::Corbado, Self::Zitadel];

    /// Its name in the configuration, the log and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::BetterAuth => "better_auth",
            Self::Ocore => "ocore",
            Self::Corbado => "corbado",
            Self::Zitadel => "zitadel",
        }
    }

    /// The mount in its documents; `None` for the native one, which is at the prefix.
    pub const fn default_mount(self) -> Option<&'static str> {
        match self {
            Self::Native => None,
            Self::BetterAuth => Some("/api/auth"),
            Self::Ocore => Some("/api"),
            Self::Corbado => Some("/v2"),
            Self::Zitadel => Some("/auth/v1"),
        }
    }

    /// The paths that it answers below its mount, each with all paths below it.
    pub const fn claims(self) -> &'static [&'static str] {
        match self {
            Self::Native => &[
                "/account",
                "/admin",
                "/assets",
                "/docs",
                "/enroll",
                "/forward",
                "/hand-off",
                "/health",
                "/invitations",
                "/jwks.json",
                "/login",
                "/logout",
                "/openapi.json",
                "/passkeys",
                "/ready",
                "/request",
                "/sessions",
                "/verify",
            ],
            Self::BetterAuth => &[
                "/.well-known/webauthn",
                "/get-session",
                "/passkey/delete-passkey",
                "/passkey/generate-authenticate-options",
                "/passkey/generate-register-options",
                "/passkey/list-user-passkeys",
                "/passkey/update-passkey",
                "/passkey/verify-authentication",
                "/passkey/verify-registration",
                "/sign-out",
            ],
            Self::Ocore => &["/auth/passkey/login", "/user/passkeys"],
            Self::Corbado => &["/auth", "/me", "/process-config", "/session-config", "/user-details-config"],
            Self::Zitadel => &["/users/me/passwordless"],
        }
    }

    /// How it names a ceremony that is under way.
    pub const fn ceremony_carrier(self) -> CeremonyCarrier {
        match self {
            Self::Native | Self::BetterAuth => CeremonyCarrier::Cookie,
            Self::Ocore | Self::Corbado | Self::Zitadel => CeremonyCarrier::Challenge,
        }
    }
}
