//! The native API: each documented endpoint, its success in all members, and each documented failure.
//!
//! What is shown elsewhere: ceremonies as conversations (`ceremonies`), what an answer has to say
//! (`assertions`), that every sign-in is a new session and an exchange happens once (`sessions`),
//! codes by mail (`codes`, `mail`), limits (`limits`), and that no user reaches another user's
//! things (`owners`).

mod account;
mod edges;
mod passkeys;
mod sessions;

use serde_json::{Value, json};

/// A person.
fn user_shape() -> Value {
    json!({
        "id": "text", "email": "text", "username": "text", "name": "text", "firstName": "text",
        "lastName": "text", "picture": "null", "groups": [], "admin": "flag", "createdAt": "text",
        "updatedAt": "text",
    })
}

/// Milliseconds and a Z, as `toISOString` writes it.
#[track_caller]
fn check_moment(value: &Value) {
    let text = value.as_str().unwrap_or_else(|| panic!("{value}"));
    assert!(text.len() == 24 && text.ends_with('Z') && text.as_bytes()[19] == b'.', "{text}");
}
