//! The `OpenAPI` description (3.1) of every API that is switched on, made from the routes
//! themselves.
//!
//! What always holds: an endpoint that a dialect answers is described, because a route is made from
//! its description; and an API that is switched off is not described.

use std::collections::BTreeSet;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::Value;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Components, Info, OpenApi, RefOr, Server};

use super::{api_of, documents};
use crate::domain::cookie::Cookie;
use crate::domain::dialect::Dialect;
use crate::domain::place::Place;
use crate::flows::Gateway;
use crate::web::Problem;

/// How long programs may keep the description.
const CACHE: &str = "public, max-age=300";

/// The groups of operations, in the order in which they are shown.
fn tags() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of = |dialect| api_of(dialect).tags.iter().copied();
    let (own, foreign): (Vec<_>, Vec<_>) = Dialect::ALL.into_iter().partition(|it| *it == Dialect::Native);
    own.into_iter().flat_map(of).chain([documents::TAG]).chain(foreign.into_iter().flat_map(of))
}

/// The description of this installation's APIs, as JSON.
pub fn describe(gateway: &Gateway) -> Result<Value, serde_json::Error> {
    serde_json::to_value(describe_at(gateway.ground.place()))
}

fn describe_at(place: &Place) -> OpenApi {
    let mut prescribed = documents::api().into_openapi();
    prescribed.paths.paths.retain(|path, _| place.documents.iter().any(|document| document.path == path));
    let mut all = place.mounts.all().iter().fold(prescribed, |described, mount| {
        described.nest(mount.path.as_str(), (api_of(mount.dialect).routes)().into_openapi())
    });
    let mut used = BTreeSet::new();
    for (path, item) in &mut all.paths.paths {
        for (method, operation) in operations(item) {
            used.extend(operation.tags.iter().flatten().cloned());
            finish(operation, method, path);
        }
    }
    let tags = tags().filter(|(name, _)| used.contains(*name));
    let tags = tags.map(|(name, about)| TagBuilder::new().name(name).description(Some(about)).build());
    all.tags = Some(tags.collect());
    all.info = info();
    all.servers = Some(vec![Server::new(place.origin())]);
    let components = all.components.get_or_insert_with(Components::new);
    components.add_security_scheme("bearer", bearer());
    components.add_security_scheme("cookie", cookie(place));
    all
}

fn info() -> Info {
    let mut info = Info::new("Vestibule", env!("CARGO_PKG_VERSION"));
    let about = "Every API of this gateway. All of them lead to the same accounts, passkeys and sessions.";
    info.description = Some(about.to_owned());
    info
}

fn bearer() -> SecurityScheme {
    let about = "A token of a session: opaque, refresh, or a short-lived JWT.";
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(about));
    SecurityScheme::Http(scheme.build())
}

fn cookie(place: &Place) -> SecurityScheme {
    let about = "The session cookie. Changes also need the Origin of a page that is trusted.";
    let name = Cookie::Session.name(place.scheme);
    SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(name, about)))
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let all = [
        ("get", &mut item.get),
        ("put", &mut item.put),
        ("post", &mut item.post),
        ("delete", &mut item.delete),
        ("patch", &mut item.patch),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Names an operation: names of functions are unique in their file only. An answer needs a
/// description as well (`OpenAPI` 3.1, section 4.8.17).
fn finish(operation: &mut Operation, method: &str, path: &str) {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    operation.operation_id = Some(std::iter::once(method).chain(words).collect::<Vec<_>>().join("_"));
    for answer in operation.responses.responses.values_mut() {
        if let RefOr::T(answer) = answer
            && answer.description.is_empty()
        {
            "Done.".clone_into(&mut answer.description);
        }
    }
}

/// Serves `document` at `/openapi.json`, relative to the prefix.
pub fn description(document: &Value) -> Router {
    let text = document.to_string();
    let answer = get(move || {
        let text = text.clone();
        async move { answered(text) }
    });
    Router::new()
        .route("/openapi.json", answer)
        .method_not_allowed_fallback(|| std::future::ready(Problem::method_not_allowed()))
}

fn answered(text: String) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(CACHE));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::mounts::{Mount, Mounts};
    use crate::domain::place::Scheme;

    fn everything() -> OpenApi {
        let place = Place::new(Scheme::Https, "auth.example.com", 443, "/auth");
        let native = Mount { dialect: Dialect::Native, path: "/auth".to_owned() };
        let others = Dialect::ALL
            .into_iter()
            .filter_map(|it| Some(Mount { dialect: it, path: it.terms().mount.as_ref()?.path.to_owned() }));
        let mounts = Mounts::new(std::iter::once(native).chain(others).collect()).unwrap();
        describe_at(&Place { mounts, ..place })
    }

    #[test]
    fn every_shape_that_is_named_is_described() {
        let document = everything();
        let text = serde_json::to_string(&document).unwrap();
        let named = text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next());
        let known = document.components.unwrap().schemas;
        let missing: BTreeSet<_> = named.filter(|name| !known.contains_key(*name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_a_group_and_a_sentence() {
        let mut document = everything();
        let (mut names, mut count) = (BTreeSet::new(), 0);
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in operations(item) {
                count += 1;
                names.insert(operation.operation_id.clone());
                let tags = operation.tags.clone().unwrap();
                assert!(super::tags().any(|(name, _)| tags == [name]), "{method} {path}: {tags:?}");
                assert!(operation.summary.as_ref().is_some_and(|it| it.len() > 5), "{method} {path}");
            }
        }
        assert_eq!(names.len(), count);
        assert!(count > 35, "{count}");
    }
}
