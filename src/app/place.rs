//! The installation's addresses, as the settings define them.

use crate::config::Settings;
use crate::domain::place::{Document, PASSKEY_ENDPOINTS_PATH, Place, RELATED_ORIGINS_PATH};

/// Our place among hosts and paths.
pub(super) fn place(settings: &Settings) -> Place {
    let url = &settings.public_url;
    let port = url.port.unwrap_or(url.scheme.default_port());
    Place {
        mounts: settings.mounts.clone(),
        documents: documents(settings),
        forward_auth: settings.forward_auth,
        ..Place::new(url.scheme, &url.host, port, &settings.server.prefix)
    }
}

/// Which documents are ours, and on which hosts. Both describe the relying party, so they belong to
/// the host that is its id. Where that host is an application's, only the addresses that the
/// standard needs are taken from it, and only if there is something to say.
fn documents(settings: &Settings) -> Vec<Document> {
    let (auth, party) = (&settings.public_url.host, &settings.relying_party);
    let has_related = !party.related_origins.is_empty();
    let document = |host: &String, path| Document { host: host.clone(), path };
    let mut documents = vec![document(auth, PASSKEY_ENDPOINTS_PATH)];
    if has_related {
        documents.push(document(auth, RELATED_ORIGINS_PATH));
    }
    if party.id != *auth {
        if has_related {
            documents.push(document(&party.id, RELATED_ORIGINS_PATH));
        }
        if settings.routes.host(&party.id).is_none() {
            documents.push(document(&party.id, PASSKEY_ENDPOINTS_PATH));
        }
    }
    documents
}
