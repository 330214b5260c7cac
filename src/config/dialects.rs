//! `[dialects]`: which HTTP APIs answer beside the native one, and where on the auth host.
//!
//! What always holds: no address belongs to two of them, and no route of the auth host lies within
//! one, or around one without being the whole host.

use super::reader::Reader;
use super::section::Section;
use super::settings::{PublicUrl, Server};
use super::value::prefix_characters;
use crate::domain::dialect::{DefaultMount, Dialect, Terms};
use crate::domain::mounts::{Mount, Mounts};
use crate::domain::policy::path::{self, Reading};
use crate::domain::policy::route::{HostPattern, RouteTable, covers};

/// Reads `[dialects]`.
pub(super) fn dialects(root: &Section<'_>, server: &Server, reader: &Reader<'_>) -> Mounts {
    let section = root.table("dialects");
    let mut mounts = vec![Mount { dialect: Dialect::Native, path: server.prefix.clone() }];
    for dialect in Dialect::ALL {
        let Terms { label, mount: Some(DefaultMount { path: default, key }), .. } = dialect.terms() else {
            continue;
        };
        let on = section.flag(label, false);
        let remedy = format!("write a path such as {default:?}, or leave it out");
        let path = section.parsed(key, &remedy, mount_path);
        if on {
            mounts.push(Mount {
                dialect,
                path: path.map_or_else(|| (*default).to_owned(), |found| found.value),
            });
        }
    }
    section.close();
    Mounts::new(mounts).unwrap_or_else(|overlap| {
        let key = overlap.second.terms().mount.as_ref().map_or("dialects", |mount| mount.key);
        reader.mistake(&section.at(key), overlap.to_string(), "mount one of them elsewhere");
        Mounts::default()
    })
}

fn mount_path(text: &str) -> Result<String, String> {
    prefix_characters(text)?;
    let plain = path::read(text.as_bytes()) == Reading::Plain;
    let ok = plain && text.len() > 1 && !text.ends_with('/');
    if ok { Ok(text.to_owned()) } else { Err(format!("{text:?} is not a path to mount an API at")) }
}

/// Refuses routes of the auth host that a dialect would take requests from. A route for the whole
/// host is no mistake: mounted paths are not part of it, and neither is the prefix.
pub(super) fn check_routes(
    root: &Section<'_>,
    mounts: &Mounts,
    routes: &RouteTable,
    public_url: &PublicUrl,
    reader: &Reader<'_>,
) {
    for mount in mounts.foreign() {
        let on_auth_host =
            |host: &HostPattern| matches!(host, HostPattern::Exact(host) if *host == public_url.host);
        let routes = routes.all().filter(|route| on_auth_host(&route.host) && route.path != "/");
        for route in routes {
            let collides =
                covers(&route.path, mount.path.as_bytes()) || covers(&mount.path, route.path.as_bytes());
            if collides {
                let problem = format!(
                    "{} is mounted at {:?}, which the route {:?} on {:?} claims as well",
                    mount.dialect.terms().label,
                    mount.path,
                    route.name,
                    route.path
                );
                reader.mistake(&root.at("dialects"), problem, "mount it elsewhere, or move the application");
            }
        }
    }
}
