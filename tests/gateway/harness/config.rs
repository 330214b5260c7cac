//! The `config.toml` of a test's gateway.

use std::fmt::Write as _;
use std::path::Path;

use super::tls::Authority;

/// A test's settings for its gateway; all others are the defaults.
pub struct Config {
    pub https: bool,
    /// Its clock is not the machine's, and is set by the test.
    pub own_clock: bool,
    /// Another proxy, on the TLS port, ends the TLS.
    pub proxied: bool,
    /// Lines for `[server.tls.acme]`, instead of certificates of the test's own authority.
    pub acme: Option<Vec<String>>,
    /// Where people sign in.
    pub host: String,
    /// The RP ID, when it is not the host.
    pub rp_id: Option<String>,
    /// Other origins that may use our passkeys.
    pub related_origins: Vec<String>,
    /// Threads that serve.
    pub workers: usize,
    /// Lines for `[server]`.
    pub server: Vec<String>,
    /// Lines for `[session]`.
    pub session: Vec<String>,
    /// Lines for `[log]`.
    pub log: Vec<String>,
    /// Whole tables, as text.
    tables: Vec<String>,
    routes: Vec<Route>,
}

/// One `[[route]]`.
pub struct Route {
    name: String,
    host: String,
    path: String,
    upstream: u16,
    allow: Vec<String>,
    public: Vec<String>,
    lines: Vec<String>,
}

/// Where a gateway listens and keeps its files.
pub struct Placement<'a> {
    pub port: u16,
    pub tls_port: u16,
    pub metrics_port: u16,
    pub directory: &'a Path,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            https: false,
            own_clock: false,
            proxied: false,
            acme: None,
            host: "localhost".to_owned(),
            rp_id: None,
            related_origins: Vec::new(),
            workers: 2,
            server: Vec::new(),
            session: Vec::new(),
            log: Vec::new(),
            tables: Vec::new(),
            routes: Vec::new(),
        }
    }
}

impl Config {
    /// Adds an application at `/` of the auth host for everyone signed in, until said otherwise.
    pub fn route(&mut self, name: &str, upstream: u16) -> &mut Route {
        self.routes.push(Route {
            name: name.to_owned(),
            host: self.host.clone(),
            path: "/".to_owned(),
            upstream,
            allow: vec!["user".to_owned()],
            public: Vec::new(),
            lines: Vec::new(),
        });
        self.routes.last_mut().unwrap()
    }

    /// Adds a table that is not written otherwise, such as `[limits]`.
    pub fn table(&mut self, name: &str, lines: &[&str]) {
        self.tables.push(format!("\n[{name}]\n{}\n", lines.join("\n")));
    }

    /// Adds a `[[webhook]]` with these lines.
    pub fn webhook(&mut self, lines: &[&str]) {
        self.tables.push(format!("\n[[webhook]]\n{}\n", lines.join("\n")));
    }

    /// https on `host`, with certificates of the test's own authority.
    pub fn tls(&mut self, host: &str) {
        self.https = true;
        host.clone_into(&mut self.host);
    }

    /// Every host there is, for certificates.
    pub fn hosts(&self) -> Vec<String> {
        let mut hosts = vec![self.host.clone()];
        hosts.extend(self.routes.iter().map(|route| route.host.clone()));
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// The public origin.
    pub fn origin(&self, placement: &Placement<'_>) -> String {
        let (scheme, port) =
            if self.https { ("https", placement.tls_port) } else { ("http", placement.port) };
        format!("{scheme}://{}:{port}", self.host)
    }

    /// The file, as text. Certificates are written beside it.
    pub fn text(&self, placement: &Placement<'_>, authority: &Authority) -> String {
        let data = placement.directory.join("data").display().to_string();
        let mut text = format!(
            "public_url = {:?}\n\n[server]\nlisten = [\"127.0.0.1:{}\"]\nmetrics_listen = \"127.0.0.1:{}\"\nadmin_socket = \"{data}/admin.sock\"\nworkers = {}\n",
            self.origin(placement),
            placement.port,
            placement.metrics_port,
            self.workers,
        );
        lines(&mut text, &self.server);
        if self.https && !self.proxied {
            let _ = writeln!(text, "\n[server.tls]\nlisten = [\"127.0.0.1:{}\"]", placement.tls_port);
            if let Some(acme) = &self.acme {
                text.push_str("\n[server.tls.acme]\n");
                lines(&mut text, acme);
            } else {
                let (cert, key) = authority.issue(&self.hosts(), placement.directory);
                let [cert, key] = [cert, key].map(|file| file.display().to_string());
                let _ = writeln!(text, "cert = \"{cert}\"\nkey = \"{key}\"");
            }
        }
        if self.rp_id.is_some() || !self.related_origins.is_empty() {
            let id = self.rp_id.as_ref().unwrap_or(&self.host);
            let _ = writeln!(text, "\n[relying_party]\nid = {id:?}");
            let _ = writeln!(text, "related_origins = {:?}", self.related_origins);
        }
        let _ = writeln!(text, "\n[store]\npath = {data:?}");
        text.push_str("\n[session]\n");
        lines(&mut text, &self.session);
        text.push_str("\n[log]\n");
        lines(&mut text, &self.log);
        self.tables.iter().for_each(|table| text.push_str(table));
        for route in &self.routes {
            route.write(&mut text);
            if self.https && route.host == self.host {
                text.push_str("share_auth_host = true\n");
            }
        }
        text
    }
}

impl Route {
    pub fn host(&mut self, host: &str) -> &mut Self {
        host.clone_into(&mut self.host);
        self
    }

    pub fn path(&mut self, path: &str) -> &mut Self {
        path.clone_into(&mut self.path);
        self
    }

    pub fn allow(&mut self, allow: &[&str]) -> &mut Self {
        self.allow = allow.iter().map(|line| (*line).to_owned()).collect();
        self
    }

    pub fn public(&mut self, public: &[&str]) -> &mut Self {
        self.public = public.iter().map(|line| (*line).to_owned()).collect();
        self
    }

    /// Any other line, as it stands in the file.
    pub fn line(&mut self, line: &str) -> &mut Self {
        self.lines.push(line.to_owned());
        self
    }

    fn write(&self, text: &mut String) {
        let Self { name, host, path, upstream, allow, public, lines: extra } = self;
        let _ = writeln!(text, "\n[[route]]\nname = {name:?}\nhost = {host:?}\npath = {path:?}");
        let _ = writeln!(text, "upstream = [\"http://127.0.0.1:{upstream}\"]\npublic = {public:?}");
        if !allow.is_empty() {
            let _ = writeln!(text, "allow = {allow:?}");
        }
        lines(text, extra);
    }
}

fn lines(text: &mut String, lines: &[String]) {
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
}
