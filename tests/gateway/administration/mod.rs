//! Administration, over the admin API and from the terminal: the same commands, the same result.

mod declared;
mod files;
pub(crate) mod imports;
mod lists;
mod pages;
mod people;
mod previews;
mod refusals;
mod requests;
mod settings;
mod trail;

use serde_json::Value;

use crate::harness::{Browser, Scene};

const BOB: &str = "bob@example.com";

/// The output of an operator's command, as JSON.
fn told(scene: &Scene, arguments: &[&str]) -> Value {
    let text = scene.gateway.operate(&[arguments, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// The id of a user, as the terminal shows it.
fn id_of(scene: &Scene, name: &str) -> String {
    told(scene, &["user", "show", name])["id"].as_str().unwrap().to_owned()
}

/// The address of a user in the admin API.
pub(crate) fn user(scene: &Scene, name: &str) -> String {
    format!("admin/v1/users/{}", id_of(scene, name))
}

/// A member who is signed in.
async fn bob(scene: &Scene) -> Browser {
    scene.invited(BOB, 2).await.0
}
