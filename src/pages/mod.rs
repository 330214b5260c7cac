//! The pages for people: sign in, enrol, account, sign out, notices, and the APIs.
//!
//! A view struct holds the data of one page; `render` makes it HTML. Every page stands on a
//! [`Site`]: what all pages of this installation share. Strings for people live in `text.rs` (and
//! for scripts in `files/text.js`), templates in `templates/`, styles, scripts and icons in
//! `files/`.
//!
//! What always holds: every value is escaped by its template; no page has an inline script, style
//! or event handler, so that it works under our content security policy; no page loads anything
//! from elsewhere; no script navigates to an address it read from a URL.
//!
//! What does not live here: loading a page's data, and who may see it. Pages have no private API;
//! their scripts speak the native one.

pub mod access_tokens;
pub mod account;
pub mod admin;
pub mod aliases;
pub mod assets;
mod attributes;
pub mod device;
pub mod docs;
pub mod enroll;
pub mod gate;
pub mod notice;
pub mod recovery;
pub mod routes;
pub mod sign_in;
pub mod sign_out;
pub mod sign_up;
pub mod text;
pub mod theme;

#[cfg(test)]
mod tests;

use crate::domain::colour::Colour;
use crate::domain::user::Email;

use self::assets::Assets;
pub use self::docs::Docs;
use self::text::{ENGLISH, Text};

/// The operator's settings for the look of the pages, and the contact that they name.
#[derive(Debug, Clone)]
pub struct Branding {
    /// The organisation's name, on top of every page.
    pub name: String,
    pub accent: Colour,
    pub logo: Option<Logo>,
    /// Shown by browsers beside the page's title; the built-in arch when it is `None`.
    pub favicon: Option<Logo>,
    /// Pictures of applications, by the names of their routes.
    pub icons: Vec<(String, Logo)>,
    /// An e-mail address, or words such as "the help desk on the second floor".
    pub contact: Option<String>,
    /// At the foot of every page: an imprint, a privacy notice.
    pub links: Vec<FooterLink>,
    /// Whether users who are refused are told by which rule.
    pub explains_refusals: bool,
}

/// A link that the operator shows at the foot of every page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FooterLink {
    pub text: String,
    /// An http or https URL; the configuration has checked it.
    pub url: String,
}

/// A picture of the operator's, shown as it is.
#[derive(Debug, Clone)]
pub struct Logo {
    pub kind: LogoKind,
    pub bytes: Vec<u8>,
}

/// The picture formats that a logo may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogoKind {
    Svg,
    Png,
    Webp,
}

impl LogoKind {
    /// Reads a file name's extension.
    pub fn from_extension(extension: &str) -> Option<Self> {
        Some(match extension.to_ascii_lowercase().as_str() {
            "svg" => Self::Svg,
            "png" => Self::Png,
            "webp" => Self::Webp,
            _ => return None,
        })
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Svg => "image/svg+xml",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
        }
    }
}

/// The contact that people are told to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contact {
    Email(String),
    Words(String),
    /// The operator has named no contact; pages say "your administrator".
    Unknown,
}

impl Contact {
    fn parse(text: Option<&str>) -> Self {
        match text.map(str::trim) {
            None | Some("") => Self::Unknown,
            Some(words) => match Email::parse(words) {
                Ok(email) => Self::Email(email.to_string()),
                Err(_) => Self::Words(words.to_owned()),
            },
        }
    }
}

/// What every page of this installation shares. Made once at the start.
#[derive(Debug)]
pub struct Site {
    prefix: String,
    rp_id: String,
    name: String,
    explains_refusals: bool,
    contact: Contact,
    links: Vec<FooterLink>,
    assets: Assets,
    t: &'static Text,
}

impl Site {
    /// `prefix` is the path prefix that is ours (`/auth`); `rp_id` the relying party's id.
    pub fn new(prefix: &str, rp_id: &str, branding: &Branding) -> Self {
        Self {
            prefix: prefix.trim_end_matches('/').to_owned(),
            rp_id: rp_id.to_owned(),
            name: branding.name.clone(),
            explains_refusals: branding.explains_refusals,
            contact: Contact::parse(branding.contact.as_deref()),
            links: branding.links.clone(),
            assets: Assets::new(branding),
            t: &ENGLISH,
        }
    }

    /// Our path prefix, without a slash at the end.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The sentences of this installation's language.
    pub fn text(&self) -> &'static Text {
        self.t
    }

    /// The assets under `{prefix}/assets/`.
    pub fn assets(&self) -> &Assets {
        &self.assets
    }

    /// The address of an asset, with the version that makes it immutable.
    fn asset(&self, name: &str) -> String {
        self.assets.url(&self.prefix, name)
    }

    /// The address of the picture that browsers show beside the title.
    fn favicon(&self) -> String {
        let own = self.assets.find(assets::FAVICON).is_some();
        self.asset(if own { assets::FAVICON } else { assets::MARK })
    }

    /// The address of the picture of the application behind a route.
    fn icon(&self, route: &str) -> String {
        self.asset(&assets::icon_of(route))
    }

    fn has_logo(&self) -> bool {
        self.assets.find(assets::LOGO).is_some()
    }
}
