//! `[dialects]`: which HTTP APIs answer beside the native one, and where on the auth host.
//!
//! What always holds: no address belongs to two of them, and no route of the auth host lies within
//! one, or around one without being the whole host.

use super::reader::Reader;
use super::section::Section;
use super::settings::{PublicUrl, Server};
use super::value::prefix_characters;
use crate::domain::dialect::Dialect;
use crate::domain::mounts::{Mount, Mounts};
use crate::domain::policy::path::{self, Reading};
use crate::domain::policy::route::{HostPattern, RouteTable, covers};

/// A dialect that can be switched on, and its two keys.
const FOREIGN: [(Dialect, &str, &str); 4] = [
    (Dialect::BetterAuth, "better_auth", "better_auth_mount"),
    (Dialect::Ocore, "ocore", "ocore_mount"),
    (Dialect::Corbado, "corbado", "corbado_mount"),
    (Dialect::Zitadel, "zitadel", "zitadel_mount"),
];

/// Reads `[dialects]`.
pub(super) fn dialects(root: &Section<'_>, server: &Server, reader: &Reader<'_>) -> Mounts {
    let section = root.table("dialects");
    let mut mounts = vec![Mount { dialect: Dialect::Native, path: server.prefix.clone() }];
    for (dialect, switch, mount) in FOREIGN {
        let on = section.flag(switch, false);
        let remedy =
            format!("write a path such as {:?}, or leave it out", dialect.default_mount().unwrap_or(""));
        let path = section.parsed(mount, &remedy, mount_path).map(|found| found.value);
        let path = path.or_else(|| dialect.default_mount().map(str::to_owned));
        if let (true, Some(path)) = (on, path) {
            mounts.push(Mount { dialect, path });
        }
    }
    section.close();
    Mounts::new(mounts).unwrap_or_else(|overlap| {
        let key =
            FOREIGN.iter().find(|(dialect, _, _)| *dialect == overlap.second).map_or("dialects", |it| it.2);
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
    let foreign = mounts.all().iter().filter(|mount| mount.dialect != Dialect::Native);
    for mount in foreign {
        let on_auth_host =
            |host: &HostPattern| matches!(host, HostPattern::Exact(host) if *host == public_url.host);
        let routes = routes.all().filter(|route| on_auth_host(&route.host) && route.path != "/");
        for route in routes {
            let collides =
                covers(&route.path, mount.path.as_bytes()) || covers(&mount.path, route.path.as_bytes());
            if collides {
                let problem = format!(
                    "{} is mounted at {:?}, which the route {:?} on {:?} claims as well",
                    mount.dialect.label(),
                    mount.path,
                    route.name,
                    route.path
                );
                reader.mistake(&root.at("dialects"), problem, "mount it elsewhere, or move the application");
            }
        }
    }
}
