//! Assets: styles, scripts and pictures, compiled in, served under `{prefix}/assets/<name>`.
//!
//! Each has a version made from its content. An answer to a request with the right version may be
//! kept for ever; any other must be asked for again. Scripts import one another by versioned names
//! too, which is why they are prepared here, once, in order.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use super::theme::stylesheet;
use super::{Branding, Site};

/// The operator's logo, when there is one.
pub(super) const LOGO: &str = "logo";
pub(super) const FAVICON: &str = "favicon";
pub(super) const MARK: &str = "mark.svg";

/// How many bytes of the digest make a version; a change only has to be noticed.
const VERSION_BYTES: usize = 8;

pub(super) const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";

const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");
/// A picture that is opened as a document must not be able to run scripts.
const INERT: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox",
);

/// In the order of their imports: a script may import only scripts before it.
pub(super) const SCRIPTS: [(&str, &str); 21] = [
    ("text.js", include_str!("files/text.js")),
    ("api.js", include_str!("files/api.js")),
    ("passkey.js", include_str!("files/passkey.js")),
    ("message.js", include_str!("files/message.js")),
    ("dialog.js", include_str!("files/dialog.js")),
    ("moments.js", include_str!("files/moments.js")),
    ("code.js", include_str!("files/code.js")),
    ("codes.js", include_str!("files/codes.js")),
    ("tokens.js", include_str!("files/tokens.js")),
    ("printed.js", include_str!("files/printed.js")),
    ("sign_out.js", include_str!("files/sign_out.js")),
    ("sign_in.js", include_str!("files/sign_in.js")),
    ("enroll.js", include_str!("files/enroll.js")),
    ("device_link.js", include_str!("files/device_link.js")),
    ("device.js", include_str!("files/device.js")),
    ("account.js", include_str!("files/account.js")),
    ("sign_up.js", include_str!("files/sign_up.js")),
    ("recovery.js", include_str!("files/recovery.js")),
    ("clock.js", include_str!("files/clock.js")),
    ("admin_text.js", include_str!("files/admin_text.js")),
    ("admin.js", include_str!("files/admin.js")),
];

/// The picture of the application behind a route.
pub(super) fn icon_of(route: &str) -> String {
    format!("icon-{route}")
}

/// One file that browsers may fetch.
#[derive(Debug, Clone)]
pub struct Asset {
    pub name: Cow<'static, str>,
    pub content_type: &'static str,
    pub body: Bytes,
    /// Changes when the content does.
    pub version: String,
}

impl Asset {
    fn new(
        name: impl Into<Cow<'static, str>>,
        content_type: &'static str,
        body: impl Into<Cow<'static, [u8]>>,
    ) -> Self {
        let body = match body.into() {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        };
        let version =
            Sha256::digest(&body).iter().take(VERSION_BYTES).fold(String::new(), |mut text, byte| {
                // Writing to a string cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            });
        Self { name: name.into(), content_type, body, version }
    }
}

/// All assets of this installation.
#[derive(Debug)]
pub struct Assets(Vec<Asset>);

impl Assets {
    pub(super) fn new(branding: &Branding) -> Self {
        let mut all = vec![
            Asset::new("page.css", CSS, include_bytes!("files/page.css").as_slice()),
            Asset::new("theme.css", CSS, stylesheet(branding.accent).into_bytes()),
            Asset::new(MARK, SVG, include_bytes!("files/mark.svg").as_slice()),
        ];
        for (name, source) in SCRIPTS {
            let source = with_versioned_imports(&without_explanations(source), &all);
            all.push(Asset::new(name, JAVASCRIPT, source.into_bytes()));
        }
        for (name, picture) in [(LOGO, &branding.logo), (FAVICON, &branding.favicon)] {
            if let Some(picture) = picture {
                all.push(Asset::new(name, picture.kind.content_type(), picture.bytes.clone()));
            }
        }
        for (route, picture) in &branding.icons {
            all.push(Asset::new(icon_of(route), picture.kind.content_type(), picture.bytes.clone()));
        }
        Self(all)
    }

    /// The asset called `name`.
    pub fn find(&self, name: &str) -> Option<&Asset> {
        self.0.iter().find(|asset| asset.name == name)
    }

    /// Every asset.
    pub fn iter(&self) -> impl Iterator<Item = &Asset> {
        self.0.iter()
    }

    /// The versioned address of `name`.
    pub fn url(&self, prefix: &str, name: &str) -> String {
        let version = self.find(name).map_or("", |asset| asset.version.as_str());
        format!("{prefix}/assets/{name}?v={version}")
    }
}

/// The script without comments on lines of their own, and without indentation: both are for readers
/// of our source, and no browser has to fetch them. A text of ours never goes over several lines.
fn without_explanations(source: &str) -> String {
    let is_comment = |line: &&str| ["//", "/**", "* ", "*/"].iter().any(|start| line.starts_with(start));
    let lines = source.lines().map(str::trim_start).filter(|line| !is_comment(line) && !line.is_empty());
    lines.fold(String::new(), |text, line| text + line + "\n")
}

fn with_versioned_imports(source: &str, known: &[Asset]) -> String {
    known.iter().fold(source.to_owned(), |text, asset| {
        let plain = format!("from \"./{}\"", asset.name);
        text.replace(&plain, &format!("from \"./{}?v={}\"", asset.name, asset.version))
    })
}

/// `GET /assets/{name}`, to be nested under the prefix.
pub fn router(site: Arc<Site>) -> Router {
    Router::new().route("/assets/{name}", get(serve)).with_state(site)
}

async fn serve(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let Some(asset) = site.assets().find(&name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let current = query.as_deref().and_then(|query| query.strip_prefix("v=")) == Some(asset.version.as_str());
    asset.cached(if current { FOR_EVER } else { ASK_AGAIN })
}

impl Asset {
    /// The asset, to be asked for again before it is used again.
    pub(super) fn answer(&self) -> Response {
        self.cached(ASK_AGAIN)
    }

    fn cached(&self, how: HeaderValue) -> Response {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(self.content_type)),
            (header::CACHE_CONTROL, how),
            (header::X_CONTENT_TYPE_OPTIONS, NOSNIFF),
            (header::HeaderName::from_static("cross-origin-resource-policy"), SAME_ORIGIN),
            (header::CONTENT_SECURITY_POLICY, INERT),
        ];
        (headers, self.body.clone()).into_response()
    }
}
