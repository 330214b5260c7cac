//! The HTTP dialects: one core, five ways to ask it.
//!
//! What lives here: their names, and how each finds its way back to a ceremony. What does not: paths,
//! shapes and statuses (`dialects/`).

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
    /// All of them.
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

    /// How it names a ceremony that is under way.
    pub const fn ceremony_carrier(self) -> CeremonyCarrier {
        match self {
            Self::Native | Self::BetterAuth => CeremonyCarrier::Cookie,
            Self::Ocore | Self::Corbado | Self::Zitadel => CeremonyCarrier::Challenge,
        }
    }
}
