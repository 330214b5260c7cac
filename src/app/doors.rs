//! The routers that answer requests: pages, APIs, and the answers to refused requests.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::StartError;
use crate::config::{Branding, Settings};
use crate::dialects;
use crate::domain::policy::route::{Icon, Tile};
use crate::flows::Gateway;
use crate::pages::admin::settings as shown;
use crate::pages::routes::{self, Desk};
use crate::pages::theme::ACCENT;
use crate::pages::{self, Docs, Site, aliases, gate};
use crate::proxy::Doors;
use crate::web::hosts::{self, Routers};

/// The routers of our own endpoints, and of requests that are not forwarded.
pub(super) fn doors(settings: &Settings, gateway: &Arc<Gateway>) -> Result<Doors, StartError> {
    let site = Site::new(&settings.server.prefix, &settings.relying_party.id, &branding(settings)?);
    let desk =
        Desk { gateway: Arc::clone(gateway), site: Arc::new(site), settings: shown_settings(settings) };
    let status = dialects::status(gateway);
    let described = dialects::describe(gateway).map_err(StartError::because)?;
    let docs = routes::docs(desk.clone(), Docs::of(&described));
    let routers = Routers {
        auth: routes::auth_host(desk.clone())
            .merge(docs)
            .merge(status.clone())
            .merge(dialects::description(&described))
            .merge(dialects::native(gateway)),
        application: routes::application_host(desk.clone()).merge(status),
        documents: dialects::documents(gateway),
        aliases: aliases::routes(&desk),
        dialects: dialects::foreign(gateway),
    };
    let (own, faces) = hosts::split(Arc::clone(gateway), routers);
    Ok(Doors { own, gate: gate::gate(desk, faces) })
}

/// The settings as administrators are shown them.
fn shown_settings(settings: &Settings) -> shown::Settings {
    let file = settings.file.as_ref().map(|file| file.display().to_string());
    shown::Settings { file, lines: settings.written.as_slice().into() }
}

pub(super) fn branding(settings: &Settings) -> Result<pages::Branding, StartError> {
    let read = |key, path: &Option<PathBuf>| path.as_deref().map(|path| picture(key, path)).transpose();
    let logo = read("branding.logo", &settings.branding.logo)?;
    let favicon = read("branding.favicon", &settings.branding.favicon)?;
    let accent = settings.branding.accent.unwrap_or(ACCENT);
    let Branding { name, contact, links, explain_refusals: explains_refusals, .. } =
        settings.branding.clone();
    let links = links.into_iter().map(|(text, url)| pages::FooterLink { text, url }).collect();
    let icons = icons(settings)?;
    Ok(pages::Branding { name, accent, logo, favicon, icons, contact, links, explains_refusals })
}

/// The pictures of applications, by the names of their routes.
fn icons(settings: &Settings) -> Result<Vec<(String, pages::Logo)>, StartError> {
    let files = settings.routes.all().filter_map(|route| match &route.tile {
        Some(Tile { icon: Icon::File(file), .. }) => Some((&route.name, file)),
        _ => None,
    });
    files.map(|(name, file)| Ok((name.clone(), picture("route.icon", file)?))).collect()
}

fn picture(key: &str, path: &Path) -> Result<pages::Logo, StartError> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("");
    let kind = pages::LogoKind::from_extension(extension)
        .ok_or_else(|| StartError(format!("{key}: {} is not an .svg, .png or .webp file", path.display())))?;
    let bytes = std::fs::read(path)
        .map_err(|error| StartError(format!("{key}: {} cannot be read: {error}", path.display())))?;
    Ok(pages::Logo { kind, bytes })
}
