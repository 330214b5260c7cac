//! `[[route]]`: applications, and who may enter them.
//!
//! What always holds: no two routes answer the same host and path, none lies within our prefix,
//! and none leads back to ourselves.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::lengths::{Limits, duration};
use super::reader::{At, Found, Reader};
use super::relying_party::{is_localhost, short_text};
use super::route_files;
use super::rules;
use super::section::Section;
use super::sections::picture;
use super::settings::{PublicUrl, Server};
use super::upstream_request;
use super::value;
use super::value::prefix_characters;
use crate::domain::place::Scheme;
use crate::domain::policy::defined::Defined;
use crate::domain::policy::logout::LogoutUrl;
use crate::domain::policy::path::{self, Reading};
use crate::domain::policy::public::PublicPath;
use crate::domain::policy::route::{
    CrossOrigin, HostPattern, Icon, Route, RouteTable, Tile, Timeouts, Upstream, WebSocket, covers,
};

const TIMEOUTS: Limits = Limits { min: Duration::from_millis(1), max: Duration::from_hours(24) };
const NAME_BYTES_MAX: usize = 64;

/// A route and where its key properties were written.
struct Draft {
    route: Route,
    /// The operator knows that this host is where people sign in.
    share_auth_host: bool,
    name_at: At,
    host_at: At,
    path_at: At,
}

/// Reads all routes. Mistakes are reported; the table is only used if there are none.
pub(super) fn routes(
    root: &Section<'_>,
    public_url: &PublicUrl,
    server: &Server,
    defined: &Defined,
    reader: &Reader<'_>,
) -> RouteTable {
    let mut drafts = drafts(root, reader, server, defined);
    for (file, text) in route_files::texts(server, reader) {
        let within = reader.of_file(&file, &text);
        drafts.extend(route_files::in_text(&within, &text, |root| {
            self::drafts(root, &within, server, defined)
        }));
        reader.take_in(within);
    }
    for (at, draft) in drafts.iter().enumerate() {
        check_reach(draft, public_url, server, reader);
        for earlier in drafts.iter().take(at) {
            check_overlap(draft, earlier, reader);
        }
    }
    check_auth_host(&drafts, public_url, reader);
    RouteTable::new(drafts.into_iter().map(|draft| draft.route).collect())
}

fn drafts(root: &Section<'_>, reader: &Reader<'_>, server: &Server, defined: &Defined) -> Vec<Draft> {
    let tables = root.tables("route").into_iter();
    tables
        .filter_map(|section| {
            let draft = route(&section, reader, server, defined);
            section.close();
            draft
        })
        .collect()
}

fn route(section: &Section<'_>, reader: &Reader<'_>, server: &Server, defined: &Defined) -> Option<Draft> {
    let name = required(section, reader, "name", "name = \"app\"", name);
    let host = required(section, reader, "host", "host = \"app.example.com\"", |text| {
        HostPattern::parse(text).map_err(|expected| format!("{text:?} is not a host: {expected}"))
    });
    let path = section.parsed(
        "path",
        "write a path such as \"/\" or \"/app\", without a slash at the end",
        route_path,
    );
    let path = path.map_or_else(|| "/".to_owned(), |found| found.value);
    let upstreams = upstreams(section, reader, server);
    let public = public(section, reader, &path);
    let policy = rules::policy(section, reader, &path, &public, defined);
    let identity = upstream_request::identity(section, reader, &defined.attributes, host.as_ref());
    let credentials = upstream_request::credentials(section, reader, &defined.attributes);
    let timeout = |key, default| duration(section, reader, key, Duration::from_secs(default), TIMEOUTS);
    let timeouts = Timeouts {
        connect: timeout("connect_timeout", 5),
        read: timeout("read_timeout", 60),
        write: timeout("write_timeout", 60),
        idle: timeout("idle_timeout", 3),
    };
    let websocket = if section.flag("websocket", true) { WebSocket::Allowed } else { WebSocket::Refused };
    let cross_origin = section.parsed("cross_origin", "write \"refuse\" or \"pass\"", |text| match text {
        "refuse" => Ok(CrossOrigin::Refused),
        "pass" => Ok(CrossOrigin::Passed),
        _ => Err(format!("unknown value {text:?} for cross_origin")),
    });
    let cross_origin = cross_origin.map_or(CrossOrigin::Refused, |found| found.value);
    let headers = upstream_request::header_rules(section);
    let logout = logout(section, reader, &path);
    let tile = tile(section, reader, host.as_ref());
    let share_auth_host = section.flag("share_auth_host", false);
    let [name_at, host_at, path_at] = ["name", "host", "path"].map(|key| section.at(key));
    let (name, host) = (name?, host?);
    let route = Route {
        name,
        host,
        path,
        upstreams,
        policy,
        public,
        identity,
        credentials,
        headers,
        websocket,
        cross_origin,
        logout,
        timeouts,
        tile,
    };
    Some(Draft { route, share_auth_host, name_at, host_at, path_at })
}

/// The address at which users sign out of the application.
fn logout(section: &Section<'_>, reader: &Reader<'_>, route_path: &str) -> Option<LogoutUrl> {
    const REMEDY: &str = "write the path that signs out, such as \"/logout\" or \"/index.php?action=logout\"";
    let found = section.parsed("logout_url", REMEDY, LogoutUrl::parse)?;
    if !covers(route_path, found.value.path().as_bytes()) {
        let problem = format!("{:?} lies outside the route's path {route_path:?}", found.value.path());
        reader.mistake(&found.at, problem, "write the whole path, beginning with the route's");
    }
    Some(found.value)
}

/// How the route is shown among a user's applications.
fn tile(section: &Section<'_>, reader: &Reader<'_>, host: Option<&HostPattern>) -> Option<Tile> {
    let hosts = known_hosts(section, reader, host);
    let title = section.parsed("title", "write a short name without control characters", short_text);
    let remedy = "write one letter, or the path of an .svg, .png or .webp file up to 256 KiB";
    let icon = section.parsed("icon", remedy, |text| {
        let is_letter = text.chars().count() == 1 && !text.chars().any(char::is_control);
        if is_letter { Ok(Icon::Letter(text.to_owned())) } else { picture(text).map(Icon::File) }
    });
    let title = title.map(|found| found.value);
    let icon = icon.map(|found| found.value).unwrap_or_default();
    section.flag("listed", true).then_some(Tile { title, icon, hosts })
}

/// The hosts below a wildcard that have a tile, each of them answered by the route.
fn known_hosts(section: &Section<'_>, reader: &Reader<'_>, host: Option<&HostPattern>) -> Vec<String> {
    const REMEDY: &str = "write known_hosts = [\"a.apps.example.com\"], each below the wildcard of the route";
    let found = section.parsed_list("known_hosts", REMEDY, |text| match HostPattern::parse(text) {
        Ok(HostPattern::Exact(host)) => Ok(host),
        Ok(HostPattern::Wildcard(_)) => Err(format!("{text:?} is not one host")),
        Err(expected) => Err(format!("{text:?} is not a host: {expected}")),
    });
    let (Some(found), Some(pattern)) = (found, host) else { return Vec::new() };
    if matches!(pattern, HostPattern::Exact(_)) {
        section.refuse("known_hosts", "known_hosts is for routes with a wildcard", "remove known_hosts");
        return Vec::new();
    }
    let mut hosts: Vec<String> = Vec::with_capacity(found.len());
    for Found { value, at } in found {
        if !pattern.matches(&value) {
            reader.mistake(&at, format!("the route does not answer {value:?}"), REMEDY);
        } else if hosts.contains(&value) {
            reader.mistake(&at, format!("{value:?} is listed twice"), "keep one of them");
        } else {
            hosts.push(value);
        }
    }
    hosts
}

fn required<T>(
    section: &Section<'_>,
    reader: &Reader<'_>,
    key: &'static str,
    example: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let remedy = format!("write {example}");
    if !section.has(key) {
        reader.mistake(&section.at(key), format!("a route needs a {key}"), remedy);
        return None;
    }
    section.parsed(key, &remedy, parse).map(|found| found.value)
}

fn name(text: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    let ok = (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed);
    if ok {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} has more than a-z, 0-9, - and _, or is too long"))
    }
}

fn route_path(text: &str) -> Result<String, String> {
    prefix_characters(text)?;
    let plain = path::read(text.as_bytes()) == Reading::Plain;
    let ok = text == "/" || (plain && !text.ends_with('/'));
    if ok { Ok(text.to_owned()) } else { Err(format!("{text:?} is not the beginning of a path")) }
}

fn upstreams(section: &Section<'_>, reader: &Reader<'_>, server: &Server) -> Vec<Upstream> {
    const REMEDY: &str =
        "write where the application listens, such as upstream = [\"http://127.0.0.1:9000\"]";
    let found = section.parsed_list("upstream", REMEDY, value::upstream);
    if !section.has("upstream") || section.is_empty_list("upstream") {
        reader.mistake(&section.at("upstream"), "a route needs at least one upstream", REMEDY);
    }
    let found = found.unwrap_or_default();
    for upstream in &found {
        if let Some(own) = server.listening().find(|own| leads_to(&upstream.value, *own)) {
            let problem =
                format!("the gateway itself listens on {own}, so requests would go round in circles");
            reader.mistake(&upstream.at, problem, "write the address where the application listens");
        }
    }
    found.into_iter().map(|upstream| upstream.value).collect()
}

fn leads_to(upstream: &Upstream, own: SocketAddr) -> bool {
    if upstream.port != own.port() {
        return false;
    }
    match upstream.host.parse::<IpAddr>() {
        Ok(ip) if own.ip().is_unspecified() => ip.is_loopback() || ip.is_unspecified(),
        Ok(ip) => ip == own.ip() || (ip.is_unspecified() && own.ip().is_loopback()),
        Err(_) => is_localhost(&upstream.host) && (own.ip().is_loopback() || own.ip().is_unspecified()),
    }
}

fn public(section: &Section<'_>, reader: &Reader<'_>, route_path: &str) -> Vec<PublicPath> {
    const REMEDY: &str = "write a path such as \"/health\", or \"/static/*\" for everything below";
    let parse = |text: &str| PublicPath::parse(text).map_err(|problem| format!("{text:?}: {problem}"));
    let found = section.parsed_list("public", REMEDY, parse).unwrap_or_default();
    for Found { value: PublicPath::Exact(literal) | PublicPath::Below(literal), at } in &found {
        if !covers(route_path, literal.as_bytes()) {
            let problem =
                format!("{literal:?} lies outside the route's path {route_path:?}, so it never matches");
            reader.mistake(at, problem, "write the whole path, beginning with the route's");
        }
    }
    found.into_iter().map(|found| found.value).collect()
}

/// Whether browsers can get to the route at all.
fn check_reach(draft: &Draft, public_url: &PublicUrl, server: &Server, reader: &Reader<'_>) {
    let Route { host, path, .. } = &draft.route;
    if covers(&server.prefix, path.as_bytes()) {
        let problem = format!(
            "{path:?} lies within {:?}, which is reserved for the gateway on every host",
            server.prefix
        );
        reader.mistake(&draft.path_at, problem, "choose another path, or another [server] prefix");
    }
    let text = host.to_string();
    if public_url.scheme == Scheme::Http && !is_localhost(text.trim_start_matches("*.")) {
        let problem =
            format!("public_url is http, and {text} is not on localhost: sign-in would not be safe there");
        reader.mistake(
            &draft.host_at,
            problem,
            "write public_url = \"https://...\", or a host that is or ends in localhost",
        );
    }
}

fn check_overlap(draft: &Draft, earlier: &Draft, reader: &Reader<'_>) {
    let (ours, theirs) = (&draft.route, &earlier.route);
    if ours.name == theirs.name {
        let problem = format!("two routes are called {:?}", ours.name);
        reader.mistake(&draft.name_at, problem, "give each route a name of its own");
    }
    if ours.host != theirs.host {
        return;
    }
    if ours.path != theirs.path && ours.path.eq_ignore_ascii_case(&theirs.path) {
        let problem = format!("{:?} and {:?} differ in letter case only", theirs.path, ours.path);
        let remedy = "change one of them; applications that ignore letter case would confuse them";
        reader.mistake(&draft.path_at, problem, remedy);
    }
    if ours.path == theirs.path {
        let problem =
            format!("{:?} and {:?} overlap: both answer {}{}", theirs.name, ours.name, ours.host, ours.path);
        reader.mistake(
            &draft.path_at,
            problem,
            "change the host or path of one of them, or give one route several upstreams",
        );
    }
}

/// Refuses an application on the host where people sign in, unless the operator means it. A
/// wildcard can put an application there by accident. Over http that host is a developer's own
/// machine. Over https it serves people, so there a route that names the host needs
/// `share_auth_host` as well.
fn check_auth_host(drafts: &[Draft], public_url: &PublicUrl, reader: &Reader<'_>) {
    let host = public_url.host.as_str();
    let exact = drafts.iter().any(|draft| draft.route.host == HostPattern::Exact(host.to_owned()));
    let by_accident = |draft: &&Draft| !exact && draft.route.host.matches(host);
    for draft in drafts.iter().filter(by_accident) {
        let problem = format!("{} includes {host}, where users sign in", draft.route.host);
        let remedy =
            "give that host a route of its own, name the application's hosts one by one, or move public_url";
        reader.mistake(&draft.host_at, problem, remedy);
    }
    let on_auth_host = |draft: &&Draft| draft.route.host == HostPattern::Exact(host.to_owned());
    for draft in drafts.iter().filter(on_auth_host) {
        if public_url.scheme == Scheme::Https && !draft.share_auth_host {
            let problem =
                format!("users sign in on {host}; scripts of an application there could act for them");
            let remedy = "give the application a host of its own, or write share_auth_host = true";
            reader.mistake(&draft.host_at, problem, remedy);
        }
    }
}
