//! The settings that make a relying party.

use super::*;

fn make(id: &str, origins: &[&str]) -> Result<RelyingParty, BadRelyingParty> {
    let origins: Vec<_> = origins.iter().map(ToString::to_string).collect();
    RelyingParty::new(id, "Example", &origins)
}

#[test]
fn origins_within_the_id_are_accepted() {
    for (id, origin) in [
        ("auth.example.com", "https://auth.example.com"),
        ("example.com", "https://auth.example.com:8443"),
        ("localhost", "http://localhost:8080"),
        ("localhost", "http://auth.localhost"),
    ] {
        let rp = make(id, &[origin]).unwrap();
        assert_eq!((rp.id(), rp.origins()), (id, &[origin.to_owned()][..]));
        assert_eq!(rp.name(), "Example");
    }
}

#[test]
fn a_related_origin_may_be_on_another_domain() {
    let origins = ["https://auth.example.com", "https://app.example.org"];
    assert_eq!(make("example.com", &origins).unwrap().origins(), origins);
}

#[test]
fn refuses_other_origins_with_reason() {
    assert_eq!(make("example.com", &[]).unwrap_err(), BadRelyingParty::NoOrigin);
    for text in [
        "auth.example.com",
        "https://auth.example.com/",
        "https://auth.example.com:443",
        "https://Auth.example.com",
        "https://auth.example.com.",
        "https://user@auth.example.com",
        "https://127.0.0.1",
        "https://auth.example.com/path",
        "null",
    ] {
        let why = BadRelyingParty::NotAnOrigin(text.to_owned());
        assert_eq!(make("example.com", &["https://example.com", text]).unwrap_err(), why);
    }
    let plain = "http://auth.example.com".to_owned();
    assert_eq!(make("example.com", &[&plain]).unwrap_err(), BadRelyingParty::Insecure(plain));
    for (id, origin) in [
        ("auth.example.com", "https://example.com"),
        ("example.com", "https://badexample.com"),
        ("", "https://example.com"),
    ] {
        assert!(matches!(make(id, &[origin]).unwrap_err(), BadRelyingParty::OutsideId { .. }), "{id}");
    }
}
