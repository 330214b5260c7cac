//! The HTTP dialects: one core, five ways to ask it.
//!
//! What lives here: the [`Terms`] of each dialect; the rest of the gateway knows no more about it.
//! What does not: routes, shapes and statuses (`dialects/`).

use serde::{Deserialize, Serialize};

use super::cookie::Cookie;

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

/// The differences of a dialect from the others.
#[derive(Debug)]
pub struct Terms {
    /// Its name in the configuration, the log and metrics.
    pub label: &'static str,
    /// `None` for the native one, which is at the prefix.
    pub mount: Option<DefaultMount>,
    /// The paths that it answers below its mount, each with all paths below it.
    pub claims: &'static [&'static str],
    /// The way from the second request of a ceremony to the first.
    pub carrier: CeremonyCarrier,
    /// The pages that may use the session cookie for a change.
    pub pages: Pages,
    /// The answer to other pages that send the session cookie with a change.
    pub other_pages: OtherPages,
    /// The answer to a caller with an invalid token.
    pub bad_token: BadToken,
}

/// The mount in a dialect's documents.
#[derive(Debug)]
pub struct DefaultMount {
    pub path: &'static str,
    /// The key of the configuration that mounts it elsewhere.
    pub key: &'static str,
}

/// How the second request of a ceremony names the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CeremonyCarrier {
    /// A cookie of the browser that began it.
    Cookie(Cookie),
    /// The challenge that the authenticator signed: the documented API has no cookie. A cookie may
    /// be set beside it, and has to agree if it comes back.
    Challenge { beside: Option<Cookie> },
}

impl CeremonyCarrier {
    /// The cookie that a browser gets when it begins a ceremony, if it gets one.
    pub const fn cookie(self) -> Option<Cookie> {
        match self {
            Self::Cookie(cookie) => Some(cookie),
            Self::Challenge { beside } => beside,
        }
    }
}

/// Pages that may use the session cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    Ours,
    /// Ours, and those of related origins: the dialect serves other people's front ends.
    Related,
}

/// The meaning of a session cookie that another page sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherPages {
    /// None: the page is an anonymous client.
    Unknown,
    /// The request is refused.
    Refused,
}

/// The meaning of an invalid token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadToken {
    /// None: no user is signed in.
    Missing,
    /// The caller is told that it is invalid.
    Told,
}

impl Dialect {
    /// All dialects.
    pub const ALL: [Self; 5] = [Self::Native, Self::BetterAuth, Self::Ocore, Self::Corbado, Self::Zitadel];

    /// The differences from the other dialects.
    pub const fn terms(self) -> &'static Terms {
        match self {
            Self::Native => &NATIVE,
            Self::BetterAuth => &BETTER_AUTH,
            Self::Ocore => &OCORE,
            Self::Corbado => &CORBADO,
            Self::Zitadel => &ZITADEL,
        }
    }
}

const NATIVE: Terms = Terms {
    label: "native",
    mount: None,
    claims: &[
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
    carrier: CeremonyCarrier::Cookie(Cookie::Challenge),
    pages: Pages::Ours,
    other_pages: OtherPages::Unknown,
    bad_token: BadToken::Missing,
};

const BETTER_AUTH: Terms = Terms {
    label: "better_auth",
    mount: Some(DefaultMount { path: "/api/auth", key: "better_auth_mount" }),
    claims: &[
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
    carrier: CeremonyCarrier::Cookie(Cookie::BetterAuthChallenge),
    pages: Pages::Related,
    other_pages: OtherPages::Refused,
    bad_token: BadToken::Missing,
};

const OCORE: Terms = Terms {
    label: "ocore",
    mount: Some(DefaultMount { path: "/api", key: "ocore_mount" }),
    claims: &["/auth/passkey/login", "/user/passkeys"],
    carrier: CeremonyCarrier::Challenge { beside: Some(Cookie::OcoreChallenge) },
    pages: Pages::Ours,
    other_pages: OtherPages::Refused,
    bad_token: BadToken::Missing,
};

const CORBADO: Terms = Terms {
    label: "corbado",
    mount: Some(DefaultMount { path: "/v2", key: "corbado_mount" }),
    claims: &["/auth", "/me", "/process-config", "/session-config", "/user-details-config"],
    carrier: CeremonyCarrier::Challenge { beside: None },
    pages: Pages::Related,
    other_pages: OtherPages::Refused,
    bad_token: BadToken::Missing,
};

const ZITADEL: Terms = Terms {
    label: "zitadel",
    mount: Some(DefaultMount { path: "/auth/v1", key: "zitadel_mount" }),
    claims: &["/users/me/passwordless"],
    carrier: CeremonyCarrier::Challenge { beside: None },
    pages: Pages::Ours,
    other_pages: OtherPages::Refused,
    bad_token: BadToken::Told,
};
