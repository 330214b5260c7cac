//! Promises that hold for every page at once.

use std::io::Write as _;
use std::sync::Arc;

use askama::Template as _;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::account::{
    Account, CodesLeft, Doorway, EventBy, EventRow, Here, PasskeyRow, SessionRow, Suggestion, TileIcon,
};
use super::assets::JAVASCRIPT;
use super::attributes::AttributeField;
use super::device::NewDevice;
use super::docs::{Docs, DocsPage};
use super::enroll::Enroll;
use super::notice::{CookieSeen, LoopSeen, Notice, Refusal};
use super::sign_in::SignIn;
use super::sign_out::{SignOut, Stage};
use super::theme::ACCENT;
use super::{Branding, Contact, FooterLink, Logo, LogoKind, Site, assets};
use crate::domain::code::EmailCode;
use crate::domain::credential::Backup;
use crate::domain::id::{ReturnTargetId, UserId};
use crate::domain::identifier::UsernameChange;
use crate::domain::place::Scheme;
use crate::domain::return_target::ReturnTargetName;
use crate::domain::time::Timestamp;

/// The most bytes of all assets together, compressed.
const BUDGET_BYTES_MAX: usize = 40 * 1024;

/// An application's address, which the configuration has made.
const APPLICATION: &str = "https://wiki.example.com/";

/// The target of a link at the foot of a page.
const IMPRINT: &str = "https://example.com/imprint?a=1&b=2";
const IMPRINT_START: &str = "https://example.com/imprint";

/// Values that people and operators choose.
struct Words<'a> {
    organisation: &'a str,
    contact: Option<&'a str>,
    host: &'a str,
    person: &'a str,
    email: &'a str,
    device: &'a str,
}

const FRIENDLY: Words<'static> = Words {
    organisation: "Example Works",
    contact: Some("help@example.com"),
    host: "grafana.example.com",
    person: "Alice Andersson",
    email: "alice@example.com",
    device: "Alice's phone",
};

/// Breaks out of text, of both kinds of attribute, of a script and of a title.
const HOSTILE_TEXT: &str =
    r#"</title></script><script>alert(1)</script>"'><img src=x onerror=alert(1)>{{7*7}}"#;

const HOSTILE: Words<'static> = Words {
    organisation: HOSTILE_TEXT,
    contact: Some(HOSTILE_TEXT),
    host: HOSTILE_TEXT,
    person: HOSTILE_TEXT,
    email: HOSTILE_TEXT,
    device: HOSTILE_TEXT,
};

fn site(words: &Words<'_>) -> Site {
    let branding = Branding {
        name: words.organisation.to_owned(),
        accent: ACCENT,
        logo: None,
        favicon: None,
        icons: Vec::new(),
        contact: words.contact.map(str::to_owned),
        links: vec![FooterLink { text: words.organisation.to_owned(), url: IMPRINT.to_owned() }],
        explains_refusals: true,
    };
    Site::new("/auth", "example.com", &branding)
}

fn moment(days_ago: i64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 - days_ago * 86_400_000)
}

fn passkey(words: &Words<'_>, number: usize) -> PasskeyRow {
    PasskeyRow {
        id: if number == 0 { words.device.to_owned() } else { format!("credential-{number}") },
        name: words.device.to_owned(),
        authenticator: words.device.to_owned(),
        backup: [Backup::BackedUp, Backup::DeviceBound, Backup::Eligible][number % 3],
        created_at: moment(90),
        last_used_at: (number != 1).then(|| moment(1)),
        here: if number == 0 { Here::ThisOne } else { Here::Another },
    }
}

fn event(words: &Words<'_>) -> EventRow {
    let (event, details) = (words.host.to_owned(), words.device.to_owned());
    EventRow { at: moment(1), event, details, by: EventBy::Somebody }
}

fn doorway(words: &Words<'_>) -> Doorway {
    let icon = TileIcon::Letter("A".to_owned());
    Doorway {
        url: APPLICATION.to_owned(),
        title: words.host.to_owned(),
        address: Some(words.host.to_owned()),
        icon,
    }
}

fn session(words: &Words<'_>, number: usize) -> SessionRow {
    SessionRow {
        id: format!("{number:032x}"),
        browser: words.device.to_owned(),
        network: Some(words.host.to_owned()),
        created_at: moment(3),
        last_seen_at: moment(0),
        here: if number == 0 { Here::ThisOne } else { Here::Another },
    }
}

fn docs(words: &Words<'_>) -> Docs {
    let schema =
        serde_json::json!({ "type": "object", "properties": { words.device: { "type": "string" } } });
    let operation = serde_json::json!({
        "tags": ["native"], "summary": words.person, "responses": { "200": { "description": words.device } },
    });
    Docs::of(&serde_json::json!({
        "tags": [{ "name": "native", "description": words.host }],
        "paths": { words.host: { "get": operation } },
        "components": { "schemas": { words.person: schema } },
    }))
}

/// The account page with this many rows of each kind.
fn account<'a>(site: &'a Site, words: &'a Words<'_>, suggestion: Suggestion, rows: usize) -> Account<'a> {
    Account {
        tokens: Vec::new(),
        token_routes: vec!["app".to_owned()],
        token_days_max: 90,
        is_administrator: true,
        waits: false,
        recoveries: Vec::new(),
        codes: CodesLeft { left: rows, made_at: (rows > 0).then(|| moment(0)) },
        events: (0..rows).map(|_| event(words)).collect(),
        username: words.person,
        username_change: UsernameChange::Allowed,
        has_mail: true,
        device_url: "https://auth.example.com/auth/device".to_owned(),
        site,
        user: UserId::from_random([7; 16]),
        name: words.person,
        email: words.email,
        suggestion,
        applications: (0..rows).map(|_| doorway(words)).collect(),
        logouts: if rows > 0 { format!("{APPLICATION}logout") } else { String::new() },
        attributes: AttributeField::some(words.person, words.device),
        passkeys: (0..rows).map(|n| passkey(words, n)).collect(),
        sessions: (0..rows).map(|n| session(words, n)).collect(),
    }
}

/// Every page, in every form that its template has, with `words` wherever a value can stand.
fn every_page(site: &Site, words: &Words<'_>) -> Vec<(&'static str, String)> {
    let seen = |cookie, scheme| LoopSeen {
        cookie,
        host: words.host,
        scheme,
        expected: Scheme::Https,
        now: moment(0),
    };
    let notice = |notice: Notice<'_>| notice.render();
    let refusal =
        Refusal { host: words.host, route: words.host, email: Some(words.email), rule: Some(words.device) };
    [
        (
            "sign_in",
            SignIn {
                site,
                host: Some(words.host),
                codes: EmailCode::Enroll,
                signs_up: true,
                again: true,
                return_target: Some(ReturnTargetName::Kept(ReturnTargetId([3; 16]))),
            }
            .render(),
        ),
        (
            "sign_in_bare",
            SignIn {
                site,
                host: None,
                codes: EmailCode::Off,
                signs_up: true,
                again: false,
                return_target: None,
            }
            .render(),
        ),
        ("docs", DocsPage { site, docs: &docs(words) }.render()),
        ("enroll", Enroll { site, unfinished: Some(words.email) }.render()),
        ("device", NewDevice { site }.render()),
        (
            "sign_out",
            SignOut { site, stage: Stage::Ask, applications: format!("{APPLICATION}logout") }.render(),
        ),
        ("signed_out", SignOut { site, stage: Stage::Done, applications: String::new() }.render()),
        ("account", account(site, words, Suggestion::Nothing, 3).render()),
        ("account_welcome", account(site, words, Suggestion::SecondPasskey, 1).render()),
        ("refused", notice(Notice::refused(site, &refusal).with_request_id(words.device))),
        ("not_found", notice(Notice::not_found(site))),
        ("unknown_host", notice(Notice::unknown_host(site, words.host))),
        ("unreachable", notice(Notice::upstream_unreachable(site, words.host).with_request_id(words.device))),
        ("slow", notice(Notice::upstream_slow(site, words.host))),
        ("our_fault", notice(Notice::our_fault(site, 503))),
        ("loop", notice(Notice::redirect_loop(site, &seen(CookieSeen::Missing, Scheme::Https)))),
        ("loop_http", notice(Notice::redirect_loop(site, &seen(CookieSeen::Missing, Scheme::Http)))),
        ("loop_refused", notice(Notice::redirect_loop(site, &seen(CookieSeen::Refused, Scheme::Https)))),
        ("plain", notice(Notice::plain(site, 400, words.person, words.device, words.host))),
    ]
    .into_iter()
    .map(|(name, html)| (name, html.unwrap()))
    .collect()
}

/// The start tags of a page, as a browser would find them: up to the `>` outside quotes.
fn start_tags(html: &str) -> Vec<&str> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        rest = &rest[start..];
        let mut quoted = false;
        let end = rest.find(|c| {
            quoted ^= c == '"';
            c == '>' && !quoted
        });
        let (tag, after) = rest.split_at(end.unwrap() + 1);
        tags.push(tag);
        rest = after;
    }
    tags
}

#[test]
fn s_13_escapes_every_value() {
    let (friendly, hostile) = (site(&FRIENDLY), site(&HOSTILE));
    for ((name, calm), (_, wild)) in
        every_page(&friendly, &FRIENDLY).into_iter().zip(every_page(&hostile, &HOSTILE))
    {
        assert!(!wild.contains("<script>"), "{name}");
        assert!(!wild.contains("<img src=x"), "{name}");
        // The same tags in the same number: a hostile value adds none. A contact that is not an
        // address is words in <bdi> instead of a link, and a host may break after each dot.
        let shape = |html: &str| -> Vec<String> {
            let name_of = |tag: &str| tag.split([' ', '>']).next().unwrap_or_default().to_owned();
            let skip = |name: &String| !["<a", "</a", "<bdi", "</bdi", "<wbr"].contains(&name.as_str());
            start_tags(html).into_iter().map(name_of).filter(skip).collect()
        };
        assert_eq!(shape(&calm), shape(&wild), "{name}");
    }
}

#[test]
fn s_13_only_an_address_becomes_a_mail_link() {
    assert_eq!(Contact::parse(Some("help@example.com")), Contact::Email("help@example.com".to_owned()));
    for words in ["javascript:alert(1)", "the help desk", "a@b\"onclick=1", "x@example.com?bcc=y@example.com"]
    {
        assert!(matches!(Contact::parse(Some(words)), Contact::Words(_)), "{words}");
    }
    assert_eq!(Contact::parse(Some(" ")), Contact::Unknown);
}

#[test]
fn pages_have_no_inline_or_foreign_resources() {
    let site = site(&FRIENDLY);
    for (name, html) in every_page(&site, &FRIENDLY) {
        for tag in start_tags(&html) {
            // A link loads nothing, so an application, and the operator's links, may be anywhere.
            let tag = tag.to_ascii_lowercase();
            let elsewhere = |tag: String| tag.replace(APPLICATION, "/auth/").replace(IMPRINT_START, "/auth/");
            let tag = if tag.starts_with("<a ") { elsewhere(tag) } else { tag };
            assert!(!tag.starts_with("<style") && !tag.contains(" style="), "{name}: {tag}");
            assert!(!tag.starts_with("<script") || tag.contains(" src=\"/auth/assets/"), "{name}: {tag}");
            let handler = tag.split_whitespace().any(|part| part.starts_with("on") && part.contains('='));
            assert!(!handler, "{name}: {tag}");
            for target in [" src=\"", " href=\"", " action=\""] {
                let inside = ["/auth/", "mailto:", "#"];
                let outside = |rest: &str| !inside.iter().any(|start| rest.starts_with(start));
                assert!(!tag.split_once(target).is_some_and(|(_, rest)| outside(rest)), "{name}: {tag}");
            }
        }
    }
}

#[test]
fn page_assets_stay_below_the_size_limit() {
    let site = site(&FRIENDLY);
    let pages = every_page(&site, &FRIENDLY);
    let one_of_each = ["sign_in", "enroll", "device", "account", "sign_out", "loop"];
    let html = pages
        .iter()
        .filter(|(name, _)| one_of_each.contains(name))
        .map(|(_, html)| compressed(html.as_bytes()));
    // No other page loads the scripts of the administrator's pages.
    let loaded = site.assets().iter().filter(|asset| !asset.name.starts_with("admin"));
    let assets = loaded.map(|asset| compressed(&asset.body));
    let total: usize = html.chain(assets).sum();
    assert!(total < BUDGET_BYTES_MAX, "{total} bytes");
}

fn compressed(bytes: &[u8]) -> usize {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().len()
}

/// Harmless texts in scripts about addresses, and about loading or running. `location` is for going
/// where the server said, and for reading.
const HARMLESS: [&str; 14] = [
    "location.replace(byId(\"page\").dataset.done)",
    "location.replace(page.dataset.done)",
    "location.replace(page.dataset.signedOut)",
    "location.assign(page.dataset.signIn)",
    "location.assign(form.dataset.enroll)",
    "location.assign(page.dataset.enroll)",
    "location.assign(element.dataset.goes)",
    "location.reload()",
    "location.hash.slice(1)",
    "location.origin)",
    "location.pathname)",
    "fetch(location.href, {",
    "copied(location.href)",
    "anchor.href = URL.createObjectURL(",
];

/// Texts by which a script makes a browser go, load or run; none may be in a script outside of
/// `HARMLESS`.
const MEANS: [&str; 17] = [
    "location",
    "navigation.",
    ".href =",
    ".href=",
    ".src =",
    ".src=",
    ".action =",
    ".action=",
    "setAttribute(\"href",
    "srcdoc",
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "eval(",
    "Function(",
    "open(",
];

/// The first of the means that a script has and should not.
fn means_in(script: &str) -> Option<&'static str> {
    let rest = HARMLESS.iter().fold(script.to_owned(), |rest, phrase| rest.replace(phrase, ""));
    MEANS.into_iter().find(|means| rest.contains(means))
}

#[test]
fn s_02_scripts_navigate_only_to_server_given_urls() {
    let site = site(&FRIENDLY);
    let scripts = || site.assets().iter().filter(|asset| asset.content_type == JAVASCRIPT);
    assert!(scripts().count() > 10);
    for asset in scripts() {
        let source = std::str::from_utf8(&asset.body).unwrap();
        assert_eq!(means_in(source), None, "{}", asset.name);
        // The control: lines that a developer might add.
        for breach in [
            "location.replace(new URLSearchParams(location.search).get(\"to\"))",
            "location.href=next",
            "window[\"location\"] = next",
            "top.location = next",
            "navigation.navigate(next)",
            "anchor.href = next",
            "form.action=next",
            "link.setAttribute(\"href\", next)",
            "frame.srcdoc = next",
            "box.outerHTML = next",
            "Function(next)()",
            "open(next)",
        ] {
            assert!(means_in(&format!("{source}\n{breach};")).is_some(), "{}: {breach}", asset.name);
        }
    }
}

#[test]
fn strips_only_comments_from_scripts() {
    let site = site(&FRIENDLY);
    let served = site.assets().find("passkey.js").unwrap();
    let served = String::from_utf8(served.body.to_vec()).unwrap();
    let source = include_str!("files/passkey.js");
    assert!(source.contains("/** Asks the person for a passkey. */") && source.contains("// WebAuthn as"));
    assert!(!served.contains("Asks the person") && !served.contains("WebAuthn as"));
    for line in source.lines().map(str::trim_start).filter(|line| !line.starts_with(['/', '*'])) {
        assert!(served.contains(line.split("from").next().unwrap()), "{line}");
    }
    // Lines of a text would lose their indentation, and perhaps look like comments.
    for (name, source) in assets::SCRIPTS {
        for line in source.lines() {
            assert!(line.matches('`').count().is_multiple_of(2), "{name}: {line}");
        }
    }
}

#[test]
fn every_import_is_versioned() {
    let site = site(&FRIENDLY);
    let mut imports = 0;
    for asset in site.assets().iter().filter(|asset| asset.content_type == JAVASCRIPT) {
        let source = String::from_utf8(asset.body.to_vec()).unwrap();
        for line in source.lines().filter(|line| line.contains("\"./") || line.contains("import(")) {
            assert!(line.contains(".js?v="), "{}: {line}", asset.name);
            imports += 1;
        }
    }
    assert!(imports > 20, "{imports}");
}

#[tokio::test]
async fn only_versioned_assets_are_immutable() {
    let picture = Logo { kind: LogoKind::Svg, bytes: b"<svg/>".to_vec() };
    let branding = Branding {
        name: "Example".to_owned(),
        accent: ACCENT,
        logo: Some(picture.clone()),
        favicon: Some(picture),
        contact: None,
        icons: Vec::new(),
        links: Vec::new(),
        explains_refusals: false,
    };
    let site = Arc::new(Site::new("/auth", "example.com", &branding));
    let right = site.assets().url("", "logo");
    assert!(site.favicon().starts_with("/auth/assets/favicon?v="), "{}", site.favicon());
    for (uri, status, cache) in [
        (right.as_str(), StatusCode::OK, Some("public, max-age=31536000, immutable")),
        ("/assets/logo?v=0", StatusCode::OK, Some("no-cache")),
        ("/assets/theme.css", StatusCode::OK, Some("no-cache")),
        ("/assets/none.css", StatusCode::NOT_FOUND, None),
        ("/assets/..%2fCargo.toml", StatusCode::NOT_FOUND, None),
    ] {
        let request = Request::get(uri).body(Body::empty()).unwrap();
        let answer = assets::router(Arc::clone(&site)).oneshot(request).await.unwrap();
        assert_eq!(answer.status(), status, "{uri}");
        let told = answer.headers().get(header::CACHE_CONTROL).map(|value| value.to_str().unwrap());
        assert_eq!(told, cache, "{uri}");
        if status == StatusCode::OK {
            assert_eq!(answer.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            assert!(!answer.into_body().collect().await.unwrap().to_bytes().is_empty());
        }
    }
}
