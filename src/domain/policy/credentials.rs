//! The `Authorization` header for applications that know no other: Basic (RFC 7617) or a bearer
//! token (RFC 6750).
//!
//! What does not live here: who reads the secrets from files (`config/told.rs`), and handling the
//! header that a client sends (`proxy/headers.rs`).
//!
//! What always holds: a secret is told to the application alone and shown in no log, error or debug
//! output; for a user without a secret of their own, there is no header.

use std::collections::HashMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use zeroize::Zeroizing;

use super::identity::Template;
use crate::domain::user::{User, Username};

/// The longest password or token, in bytes.
pub const SECRET_BYTES_MAX: usize = 4_096;

/// The credentials that a route sends in `Authorization`.
#[derive(Clone)]
pub struct Credentials {
    form: Form,
    secrets: Secrets,
}

#[derive(Clone)]
enum Form {
    /// Basic, with the user name that the application knows.
    Basic(Template),
    Bearer,
}

/// The secrets, by user.
#[derive(Clone)]
pub enum Secrets {
    /// The same secret for every user.
    Shared(Zeroizing<String>),
    /// One secret for each user.
    Personal(HashMap<Username, Zeroizing<String>>),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

impl Secrets {
    /// Reads a file with a line `username:secret` for each user. Empty lines, and those that begin
    /// with `#`, say nothing. The error tells the line and nothing of what stands in it.
    pub fn personal(text: &str) -> Result<Self, String> {
        let mut secrets = HashMap::new();
        let lines = text.lines().zip(1..).map(|(line, number)| (line.trim_end_matches('\r'), number));
        for (line, number) in lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#')) {
            let wrong = |what: &str| format!("in line {number}: {what}");
            let (name, secret) = line.split_once(':').ok_or_else(|| wrong("there is no \":\""))?;
            let name = Username::parse(name).map_err(|error| wrong(&error.to_string()))?;
            if secrets.insert(name, Zeroizing::new(secret.to_owned())).is_some() {
                return Err(wrong("this user has a line already"));
            }
        }
        if secrets.is_empty() { Err("it names nobody".to_owned()) } else { Ok(Self::Personal(secrets)) }
    }

    fn all(&self) -> impl Iterator<Item = &Zeroizing<String>> {
        let (shared, personal) = match self {
            Self::Shared(secret) => (Some(secret), None),
            Self::Personal(secrets) => (None, Some(secrets.values())),
        };
        shared.into_iter().chain(personal.into_iter().flatten())
    }

    fn of(&self, user: &User) -> Option<&Zeroizing<String>> {
        match self {
            Self::Shared(secret) => Some(secret),
            Self::Personal(secrets) => secrets.get(&user.username),
        }
    }
}

impl Credentials {
    /// A user name, as the application knows it, and a password. The error names the character that
    /// no password can have.
    pub fn basic(username: Template, passwords: Secrets) -> Result<Self, &'static str> {
        let fits = |secret: &Zeroizing<String>| !secret.chars().any(char::is_control);
        Self::checked(Form::Basic(username), passwords, fits)
            .ok_or("a password is empty, too long, or has a control character")
    }

    /// A token that the application has given. The error names the character that no token can
    /// have.
    pub fn bearer(tokens: Secrets) -> Result<Self, &'static str> {
        // RFC 6750, section 2.1: `b64token`.
        let fits = |secret: &Zeroizing<String>| {
            let body = secret.trim_end_matches('=');
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b);
            !body.is_empty() && body.bytes().all(plain)
        };
        Self::checked(Form::Bearer, tokens, fits)
            .ok_or("a token is empty, too long, or has more than A-Z, a-z, 0-9 and - . _ ~ + / =")
    }

    fn checked(form: Form, secrets: Secrets, fits: impl Fn(&Zeroizing<String>) -> bool) -> Option<Self> {
        let bounded = |secret: &Zeroizing<String>| (1..=SECRET_BYTES_MAX).contains(&secret.len());
        let all_fit = secrets.all().all(|secret| bounded(secret) && fits(secret));
        all_fit.then_some(Self { form, secrets })
    }

    /// Whether a secret belongs to the name `username`: no user may take such a name for
    /// themselves.
    pub fn is_about_name(&self, username: &Username) -> bool {
        match &self.secrets {
            Secrets::Shared(_) => false,
            Secrets::Personal(secrets) => secrets.contains_key(username),
        }
    }

    /// The header's value for `user`; `None` where there is nothing to tell.
    pub fn of(&self, user: &User) -> Option<HeaderValue> {
        let secret = self.secrets.of(user)?;
        let text = match &self.form {
            Form::Bearer => Zeroizing::new(format!("Bearer {}", secret.as_str())),
            Form::Basic(template) => {
                // The first colon ends the name, so a name with a colon would be another user's.
                let name = template.text(user).filter(|name| !name.contains(':'))?;
                let pair = Zeroizing::new(format!("{name}:{}", secret.as_str()));
                Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
            }
        };
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::attribute::Attributes;
    use crate::domain::user::{DisplayName, Email};

    fn user(name: &str) -> User {
        let (username, email) = (Username::parse(name).unwrap(), Email::parse("a@example.com").unwrap());
        User::hypothetical(username, email, [].into()).unwrap()
    }

    fn template(text: &str) -> Template {
        Template::parse(text, &Attributes::default()).unwrap()
    }

    fn shared(secret: &str) -> Secrets {
        Secrets::Shared(Zeroizing::new(secret.to_owned()))
    }

    fn told(credentials: &Credentials, user: &User) -> Option<String> {
        credentials.of(user).map(|value| value.to_str().unwrap().to_owned())
    }

    fn basic(pair: &str) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    #[test]
    fn each_user_gets_the_shared_or_their_own_secret() {
        let alice = user("alice");
        let one = Credentials::basic(template("{username}"), shared("p:ä\u{20ac}")).unwrap();
        assert_eq!(told(&one, &alice), Some(basic("alice:p:ä\u{20ac}")));
        let personal = Secrets::personal("# of the wiki\n\nalice:one\r\nbob:t:wo\n").unwrap();
        let each = Credentials::basic(template("svc-{username}"), personal).unwrap();
        assert_eq!(told(&each, &alice), Some(basic("svc-alice:one")));
        assert_eq!(told(&each, &user("bob")), Some(basic("svc-bob:t:wo")));
        assert_eq!(told(&each, &user("carol")), None);
        assert!(each.is_about_name(&alice.username) && !one.is_about_name(&alice.username));
        let bearer = Credentials::bearer(shared("a.b-c==")).unwrap();
        assert_eq!(told(&bearer, &alice).as_deref(), Some("Bearer a.b-c=="));
    }

    #[test]
    fn refuses_basic_usernames_with_a_colon() {
        let credentials = Credentials::basic(template("{name}"), shared("secret")).unwrap();
        let odd = User { display_name: DisplayName::parse("root:x").unwrap(), ..user("alice") };
        assert_eq!(told(&credentials, &odd), None);
        let plain = User { display_name: DisplayName::parse("Zoë").unwrap(), ..user("alice") };
        assert_eq!(told(&credentials, &plain), Some(basic("Zoë:secret")));
    }

    #[test]
    fn refuses_unsendable_secrets_without_echoing_them() {
        for wrong in ["", "a\nb", "a\u{7f}", &"x".repeat(SECRET_BYTES_MAX + 1)] {
            assert!(Credentials::basic(template("{username}"), shared(wrong)).is_err(), "{wrong:?}");
        }
        for wrong in ["", "=", "a b", "ä", "a=b"] {
            assert!(Credentials::bearer(shared(wrong)).is_err(), "{wrong:?}");
        }
        for (file, said) in [
            ("", "names nobody"),
            ("# nobody", "names nobody"),
            ("alice:s3cret\nb0b", "line 2"),
            ("alice:s3cret\nB b:s3cret", "line 2"),
            ("alice:s3cret\nalice:s3cret", "line 2"),
        ] {
            let error = Secrets::personal(file).map(drop).unwrap_err();
            assert!(error.contains(said) && !error.contains("s3cret") && !error.contains("b0b"), "{error}");
        }
        let credentials = Credentials::bearer(shared("s3cret")).unwrap();
        assert_eq!(format!("{credentials:?}"), "Credentials(..)");
        assert!(!format!("{:?}", credentials.of(&user("alice"))).contains("s3cret"));
    }
}
