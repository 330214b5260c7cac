//! A cookie jar that is as strict as a browser (RFC 6265bis), one host at a time.

use std::collections::BTreeMap;

/// A `Set-Cookie` header, taken apart.
#[derive(Debug, Clone)]
pub struct SetCookie {
    pub host: String,
    pub name: String,
    pub value: String,
    /// Names in lower case.
    pub attributes: BTreeMap<String, String>,
}

impl SetCookie {
    pub fn parse(host: &str, text: &str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let (name, value) = parts.next().unwrap_or("").split_once('=').expect("a cookie has a name");
        let attributes = parts
            .map(|part| part.split_once('=').unwrap_or((part, "")))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Self { host: host.to_owned(), name: name.to_owned(), value: value.to_owned(), attributes }
    }

    /// Whether it removes the cookie.
    pub fn removes(&self) -> bool {
        let max_age = self.attributes.get("max-age");
        max_age.is_some_and(|age| age.parse::<i64>().is_ok_and(|age| age <= 0))
            || self.attributes.get("expires").is_some_and(|at| at.contains("1970"))
    }

    /// The reason why a browser would refuse it.
    fn fault(&self, https: bool) -> Option<&'static str> {
        let has = |name: &str| self.attributes.contains_key(name);
        let path = self.attributes.get("path").map(String::as_str);
        if self.name.starts_with("__Host-") && (!has("secure") || has("domain") || path != Some("/")) {
            return Some("a __Host- cookie is Secure, has Path=/ and no Domain");
        }
        (has("secure") && !https).then_some("a Secure cookie over http")
    }
}

/// The cookies of one browser.
#[derive(Debug, Clone, Default)]
pub struct Jar {
    hosts: BTreeMap<String, BTreeMap<String, (String, String)>>,
    /// Every cookie that was ever set, in order.
    pub history: Vec<SetCookie>,
}

impl Jar {
    /// Takes a cookie as a browser would; a cookie that a browser would refuse is a fault of ours.
    pub fn store(&mut self, host: &str, https: bool, text: &str) {
        let cookie = SetCookie::parse(host, text);
        assert_eq!(cookie.fault(https), None, "{text}");
        let path = cookie.attributes.get("path").cloned().unwrap_or_else(|| "/".to_owned());
        let cookies = self.hosts.entry(host.to_owned()).or_default();
        if cookie.removes() {
            cookies.remove(&cookie.name);
        } else {
            cookies.insert(cookie.name.clone(), (cookie.value.clone(), path));
        }
        self.history.push(cookie);
    }

    /// The `Cookie` header for a request.
    pub fn header(&self, host: &str, path: &str) -> Option<String> {
        let covers = |scope: &str| {
            path == scope
                || path.strip_prefix(scope).is_some_and(|rest| scope.ends_with('/') || rest.starts_with('/'))
        };
        let cookies = self.hosts.get(host)?.iter();
        let cookies = cookies.filter(|(_, (_, scope))| covers(scope));
        let pairs: Vec<_> = cookies.map(|(name, (value, _))| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    pub fn get(&self, host: &str, name: &str) -> Option<String> {
        self.hosts.get(host)?.get(name).map(|(value, _)| value.clone())
    }

    /// Puts a cookie in by hand.
    pub fn plant(&mut self, host: &str, name: &str, value: &str) {
        let cookies = self.hosts.entry(host.to_owned()).or_default();
        cookies.insert(name.to_owned(), (value.to_owned(), "/".to_owned()));
    }

    pub fn clear(&mut self) {
        self.hosts.clear();
    }
}
