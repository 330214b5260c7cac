//! The proxies, each set up as its own documents say for this much: one core, connections to the
//! application kept, no access log.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::gateway::{Gateway, Pair};
use crate::nginx;
use crate::process::{LOAD_CORE, PROXY_CORE, Running, answers, free_address};
use crate::scenarios::{Ask, Scenario};

/// The contestants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Who {
    NginxPlain,
    /// nginx that asks a responder, which answers 204, on each request.
    NginxAsking,
    /// The same with an upstream that says 401.
    NginxRefusing,
    /// nginx that asks the gateway.
    NginxAskingGateway,
    Haproxy,
    CaddyPlain,
    CaddyAsking,
    /// Apache with a session in an encrypted cookie, the gate that Debian has.
    Apache,
    /// A pingora proxy that does nothing else.
    Bare,
    Cookie,
    Token,
    TenRules,
    Datalog,
    /// Another build of the gateway.
    Beside,
}

/// A contestant that is ready.
pub struct Contestant<'a> {
    pub name: String,
    pub processes: Vec<&'a Running>,
    pub http: SocketAddr,
    pub tls: Option<SocketAddr>,
    pub headers: Vec<String>,
    /// The script with which wrk posts.
    pub script: &'a Path,
    /// The user whom the application must be told.
    expected_user: Option<&'static str>,
}

/// All running programs.
pub struct Stage {
    _folder: TempDir,
    _application: Running,
    nginx: Running,
    caddy: Running,
    haproxy: Running,
    apache: Running,
    bare: Running,
    plain: Gateway,
    rules: Gateway,
    datalog: Gateway,
    secure: Gateway,
    beside: Option<(Gateway, Gateway)>,
    at: Addresses,
    apache_cookie: String,
    script: PathBuf,
}

/// Where they listen.
struct Addresses {
    plain: SocketAddr,
    asking: SocketAddr,
    refusing: SocketAddr,
    asking_gateway: SocketAddr,
    responder: SocketAddr,
    nginx_tls: SocketAddr,
    haproxy: SocketAddr,
    haproxy_tls: SocketAddr,
    caddy: SocketAddr,
    caddy_asking: SocketAddr,
    caddy_tls: SocketAddr,
    apache: SocketAddr,
    bare: SocketAddr,
    bare_tls: SocketAddr,
}

const ALLOW: &str = "allow = [\"user\"]";
const DATALOG: &str = "policy = 'allow if email($e), $e.ends_with(\"@example.com\");'";

/// Nine rules that are about the user and not the request, and a rule that lets in.
fn ten_rules() -> String {
    let denying = (0..9).map(|n| {
        format!("[[route.rule]]\nname = \"{n}\"\neffect = \"deny\"\nwho = [\"user\"]\npaths = [\"/closed/{n}/*\"]\n")
    });
    let last = "[[route.rule]]\nname = \"last\"\neffect = \"allow\"\nwho = [\"user\"]\n".to_owned();
    denying.chain([last]).collect()
}

impl Stage {
    /// Starts everything, and `beside` as another build of the gateway.
    pub async fn set(beside: Option<&Path>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        let pair = pair(here);
        let [application, echo] = [free_address(), echo().await];
        let at = Addresses::free();
        let script = here.join("post.lua");
        fs::write(&script, "wrk.method = \"POST\"\nwrk.body = string.rep(\"x\", 10240)\n").unwrap();
        let zeros = fs::File::create(here.join("file")).unwrap();
        zeros.set_len(100 << 20).unwrap();

        let own = PathBuf::from(env!("CARGO_BIN_EXE_vestibule"));
        let start = async |binary: &Path, name: &str, rules: &str, pair: Option<&Pair>| {
            Gateway::start(binary, &here.join(name), application, rules, pair).await
        };
        let servers = application_servers(here, application, echo);
        let running = nginx::start(LOAD_CORE, here, "application", &servers);
        answers("the application", application);
        let plain = start(&own, "plain", ALLOW, None).await;
        let rules = start(&own, "rules", &ten_rules(), None).await;
        let datalog = start(&own, "datalog", DATALOG, None).await;
        let secure = start(&own, "secure", ALLOW, Some(&pair)).await;
        let beside = match beside {
            Some(binary) => {
                let other = start(binary, "beside", ALLOW, None).await;
                Some((other, start(binary, "beside-secure", ALLOW, Some(&pair)).await))
            }
            None => None,
        };
        let servers = at.nginx_servers(application, plain.address, &pair);
        let nginx = nginx::start(PROXY_CORE, here, "proxies", &servers);
        let haproxy = at.start_haproxy(here, application, &pair);
        let caddy = at.start_caddy(here, application, &pair);
        let apache = at.start_apache(here, application);
        let bare = at.start_bare(&own, application, &pair);
        for (name, address) in [
            ("nginx", at.plain),
            ("haproxy", at.haproxy),
            ("caddy", at.caddy),
            ("apache", at.apache),
            ("bare_proxy (see benches/run)", at.bare),
        ] {
            answers(name, address);
        }
        let apache_cookie = apache_cookie(at.apache).await;
        Self {
            _folder: folder,
            _application: running,
            nginx,
            caddy,
            haproxy,
            apache,
            bare,
            plain,
            rules,
            datalog,
            secure,
            beside,
            at,
            apache_cookie,
            script,
        }
    }

    /// The contestants of a scenario.
    pub fn of(&self, scenario: &Scenario) -> Vec<Contestant<'_>> {
        scenario.who.iter().filter_map(|who| self.contestant(*who, scenario)).collect()
    }

    fn proxy<'a>(
        &'a self,
        name: &str,
        processes: Vec<&'a Running>,
        http: SocketAddr,
        tls: Option<SocketAddr>,
        expected_user: Option<&'static str>,
    ) -> Contestant<'a> {
        let name = name.to_owned();
        Contestant { name, processes, http, tls, headers: Vec::new(), script: &self.script, expected_user }
    }

    fn contestant(&self, who: Who, scenario: &Scenario) -> Option<Contestant<'_>> {
        let at = &self.at;
        let by = |name, plain, secure, shown: &str| by(name, plain, secure, scenario, shown, &self.script);
        let nginx = vec![&self.nginx];
        Some(match who {
            Who::NginxPlain => self.proxy("nginx", nginx, at.plain, Some(at.nginx_tls), None),
            Who::NginxAsking => {
                self.proxy("nginx, auth_request to a 204", nginx, at.asking, None, Some("nobody"))
            }
            Who::NginxRefusing => self.proxy("nginx, auth_request to a 401", nginx, at.refusing, None, None),
            Who::NginxAskingGateway => Contestant {
                processes: vec![&self.nginx, &self.plain.process],
                headers: vec![self.plain.cookie.clone(), host(self.plain.address)],
                ..self.proxy(
                    "nginx, auth_request to the gateway",
                    nginx,
                    at.asking_gateway,
                    None,
                    Some("bench"),
                )
            },
            Who::Haproxy => {
                self.proxy("HAProxy", vec![&self.haproxy], at.haproxy, Some(at.haproxy_tls), None)
            }
            Who::CaddyPlain => self.proxy("Caddy", vec![&self.caddy], at.caddy, Some(at.caddy_tls), None),
            Who::CaddyAsking => {
                let both = vec![&self.caddy, &self.nginx];
                self.proxy("Caddy, forward_auth to a 204", both, at.caddy_asking, None, Some("nobody"))
            }
            Who::Apache => Contestant {
                headers: vec![self.apache_cookie.clone()],
                ..self.proxy(
                    "Apache, session in a cookie",
                    vec![&self.apache],
                    at.apache,
                    None,
                    Some("bench"),
                )
            },
            Who::Bare => Contestant {
                // It gets the same headers as the gateway.
                headers: vec![self.plain.cookie.clone()],
                ..self.proxy("bare pingora", vec![&self.bare], at.bare, Some(at.bare_tls), Some("bench"))
            },
            Who::Cookie => by("gateway", &self.plain, &self.secure, &self.plain.cookie),
            Who::Token => by("gateway, access token", &self.plain, &self.secure, &self.plain.token),
            Who::TenRules => by("gateway, ten rules", &self.rules, &self.secure, &self.rules.cookie),
            Who::Datalog => by("gateway, Datalog", &self.datalog, &self.secure, &self.datalog.cookie),
            Who::Beside => {
                let (plain, secure) = self.beside.as_ref()?;
                by("gateway, the other build", plain, secure, &plain.cookie)
            }
        })
    }
}

/// A gateway, asked by a client that shows `shown`.
fn by<'a>(
    name: &str,
    plain: &'a Gateway,
    secure: &'a Gateway,
    scenario: &Scenario,
    shown: &str,
    script: &'a Path,
) -> Contestant<'a> {
    let is_secure =
        matches!(scenario.ask, Ask::SecureGet { .. } | Ask::SecureGetOnce { .. } | Ask::Streams { .. });
    let gateway = if is_secure { secure } else { plain };
    let headers = match scenario.ask {
        Ask::Anonymous { .. } => vec![host(plain.address)],
        // There the host is in the address.
        _ if is_secure => vec![secure.cookie.clone()],
        _ => vec![shown.to_owned(), host(plain.address)],
    };
    Contestant {
        name: name.to_owned(),
        processes: vec![&gateway.process],
        http: gateway.address,
        tls: gateway.tls,
        headers,
        script,
        expected_user: Some("bench"),
    }
}

fn host(gateway: SocketAddr) -> String {
    format!("Host: localhost:{}", gateway.port())
}

impl fmt::Display for Contestant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.processes.iter().map(|process| process.id().to_string()).collect();
        write!(f, "{}: process {}, wrk -t1 -c64 -d4", self.name, ids.join(" and "))?;
        for header in &self.headers {
            write!(f, " -H '{header}'")?;
        }
        write!(f, " http://{}/", self.http)
    }
}

impl Contestant<'_> {
    /// Asks once, and a gateway a second time as an anonymous client.
    pub async fn verify(&self, scenario: &Scenario) {
        let is_plain = matches!(scenario.ask, Ask::Get { .. } | Ask::GetOnce { .. } | Ask::Post { .. });
        if !is_plain {
            return;
        }
        let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        let url = format!("http://{}/", self.http);
        let mut asked = client.get(&url);
        for header in &self.headers {
            let (name, value) = header.split_once(": ").unwrap();
            asked = asked.header(name, value);
        }
        let reply = asked.send().await.unwrap();
        assert_eq!(reply.status(), 200, "{}", self.name);
        let seen = reply.headers().get("x-seen-user").map(HeaderValue::as_bytes);
        assert_eq!(seen, self.expected_user.map(str::as_bytes), "{}", self.name);
        if let Some(host) = self.headers.iter().find_map(|header| header.strip_prefix("Host: ")) {
            let reply = client.get(&url).header("host", host).send().await.unwrap();
            assert_eq!(reply.status(), 401, "{}: an anonymous client came in", self.name);
        }
    }
}

/// A certificate for localhost.
fn pair(folder: &Path) -> Pair {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let pem = made.cert.pem();
    fs::write(&cert, &pem).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    // HAProxy wants both in one file.
    fs::write(folder.join("both.pem"), format!("{pem}{}", made.signing_key.serialize_pem())).unwrap();
    Pair { cert, key, pem }
}

/// A server that sends every message of a WebSocket back.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(socket) = tokio_tungstenite::accept_async(stream).await else { return };
                let (mut out, mut messages) = socket.split();
                while let Some(Ok(message)) = messages.next().await {
                    if message.is_close() || out.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Answers with 100 bytes, and the visitor's name in a header; reads bodies; hands out a file.
fn application_servers(folder: &Path, listen: SocketAddr, echo: SocketAddr) -> String {
    let (body, folder) = ("x".repeat(100), folder.display());
    format!(
        "server {{ listen {listen} backlog=16384;\n\
         location = /file {{ alias {folder}/file; sendfile on; }}\n\
         location = /socket {{ proxy_pass http://{echo}; proxy_http_version 1.1; proxy_read_timeout 300s;\n\
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }}\n\
         location / {{ add_header X-Seen-User $http_remote_user; return 200 \"{body}\"; }} }}"
    )
}

/// Signs in with Apache's form, and returns the `Cookie` header.
async fn apache_cookie(address: SocketAddr) -> String {
    let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
    let form = "httpd_username=bench&httpd_password=secret";
    let request = client.post(format!("http://{address}/login")).body(form);
    let reply = request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
    let cookie = reply.headers().get("set-cookie").expect("a session of Apache's").to_str().unwrap();
    format!("Cookie: {}", cookie.split(';').next().unwrap())
}

impl Addresses {
    fn free() -> Self {
        Self {
            plain: free_address(),
            asking: free_address(),
            refusing: free_address(),
            asking_gateway: free_address(),
            responder: free_address(),
            nginx_tls: free_address(),
            haproxy: free_address(),
            haproxy_tls: free_address(),
            caddy: free_address(),
            caddy_asking: free_address(),
            caddy_tls: free_address(),
            apache: free_address(),
            bare: free_address(),
            bare_tls: free_address(),
        }
    }

    fn nginx_servers(&self, application: SocketAddr, gateway: SocketAddr, pair: &Pair) -> String {
        let Self { plain, asking, refusing, asking_gateway, responder, nginx_tls, .. } = self;
        let (cert, key) = (pair.cert.display(), pair.key.display());
        let forward = "proxy_http_version 1.1; proxy_set_header Connection $upgrade; proxy_set_header Upgrade $http_upgrade; \
                       proxy_set_header Host $host; proxy_request_buffering off; proxy_read_timeout 300s;";
        let kept = "keepalive 1024; keepalive_requests 1000000000;";
        let ask = "proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_pass_request_body off; \
                   proxy_set_header Content-Length \"\";";
        let original = format!("http://localhost:{}$request_uri", gateway.port());
        format!(
            "map $http_upgrade $upgrade {{ default upgrade; '' ''; }}\n\
             upstream application {{ server {application}; {kept} }}\n\
             upstream responder {{ server {responder}; {kept} }}\n\
             upstream gateway {{ server {gateway}; {kept} }}\n\
             server {{ listen {plain} backlog=16384; location / {{ {forward} proxy_pass http://application; }} }}\n\
             server {{ listen {nginx_tls} ssl http2 backlog=16384; ssl_certificate {cert}; ssl_certificate_key {key};\n\
             ssl_protocols TLSv1.3; location / {{ {forward} proxy_pass http://application; }} }}\n\
             server {{ listen {responder} backlog=16384;\n\
             location /no {{ return 401; }} location / {{ add_header Remote-User nobody; return 204; }} }}\n\
             server {{ listen {asking} backlog=16384;\n\
             location = /check {{ internal; {ask} proxy_pass http://responder/; }}\n\
             location / {{ auth_request /check; auth_request_set $user $upstream_http_remote_user;\n\
             {forward} proxy_set_header Remote-User $user; proxy_pass http://application; }} }}\n\
             server {{ listen {refusing} backlog=16384;\n\
             location = /check {{ internal; {ask} proxy_pass http://responder/no; }}\n\
             location / {{ auth_request /check; {forward} proxy_pass http://application; }} }}\n\
             server {{ listen {asking_gateway} backlog=16384;\n\
             location = /check {{ internal; {ask} proxy_bind 127.0.0.2; proxy_set_header Host $http_host;\n\
             proxy_set_header X-Original-URL {original}; proxy_set_header X-Original-Method $request_method;\n\
             proxy_set_header X-Forwarded-For $remote_addr; proxy_pass http://gateway/auth/request; }}\n\
             location / {{ auth_request /check; auth_request_set $user $upstream_http_remote_user;\n\
             {forward} proxy_set_header Remote-User $user; proxy_pass http://application; }} }}"
        )
    }

    fn start_haproxy(&self, folder: &Path, application: SocketAddr, pair: &Pair) -> Running {
        let Self { haproxy, haproxy_tls, .. } = self;
        let both = pair.cert.with_file_name("both.pem");
        let file = folder.join("haproxy.cfg");
        let text = format!(
            "global\n  nbthread 1\n  maxconn 9990\n  ssl-default-bind-options ssl-min-ver TLSv1.3\n\
             defaults\n  mode http\n  timeout connect 5s\n  timeout client 300s\n  timeout server 300s\n  timeout tunnel 300s\n\
             frontend front\n  bind {haproxy} backlog 16384\n  bind {haproxy_tls} backlog 16384 ssl crt {} alpn h2,http/1.1\n\
             default_backend application\n\
             backend application\n  http-reuse always\n  server one {application} pool-max-conn 2048\n",
            both.display()
        );
        fs::write(&file, text).unwrap();
        Running::start(PROXY_CORE, &["/usr/sbin/haproxy", "-f", file.to_str().unwrap()])
    }

    fn start_caddy(&self, folder: &Path, application: SocketAddr, pair: &Pair) -> Running {
        let Self { caddy, caddy_asking, caddy_tls, responder, .. } = self;
        let file = folder.join("Caddyfile");
        let forward = format!(
            "reverse_proxy {application} {{\n transport http {{\n keepalive_idle_conns_per_host 1024\n }}\n }}"
        );
        let (cert, key) = (pair.cert.display(), pair.key.display());
        let text = format!(
            "{{\n admin off\n auto_https off\n log {{\n level ERROR\n }}\n}}\n\
             http://:{} {{\n bind 127.0.0.1\n {forward}\n}}\n\
             http://:{} {{\n bind 127.0.0.1\n forward_auth {responder} {{\n uri /\n copy_headers Remote-User\n }}\n {forward}\n}}\n\
             https://localhost:{} {{\n bind 127.0.0.1\n tls {cert} {key}\n {forward}\n}}\n",
            caddy.port(),
            caddy_asking.port(),
            caddy_tls.port()
        );
        fs::write(&file, text).unwrap();
        let home = folder.to_str().unwrap();
        let command = ["/usr/bin/caddy", "run", "--adapter", "caddyfile", "--config", file.to_str().unwrap()];
        Running::start_with(PROXY_CORE, &command, &[("GOMAXPROCS", "1"), ("HOME", home)])
    }

    fn start_bare(&self, gateway: &Path, application: SocketAddr, pair: &Pair) -> Running {
        let binary = gateway.parent().unwrap().join("examples/bare_proxy").display().to_string();
        let [upstream, listen, tls] =
            [application, self.bare, self.bare_tls].map(|address| address.to_string());
        let [cert, key] = [&pair.cert, &pair.key].map(|file| file.display().to_string());
        Running::start(PROXY_CORE, &[&binary, &upstream, &listen, &tls, &cert, &key])
    }

    fn start_apache(&self, folder: &Path, application: SocketAddr) -> Running {
        let listen = self.apache;
        let here = folder.display();
        let hashed = Command::new("openssl").args(["passwd", "-apr1", "secret"]).output().unwrap();
        fs::write(folder.join("users"), format!("bench:{}", String::from_utf8(hashed.stdout).unwrap()))
            .unwrap();
        let modules = [
            "mpm_event",
            "authn_core",
            "authn_file",
            "authz_core",
            "authz_user",
            "auth_form",
            "request",
            "session",
            "session_cookie",
            "session_crypto",
            "headers",
            "proxy",
            "proxy_http",
        ];
        let load = |name: &&str| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
        let modules = modules.iter().map(load).collect::<Vec<_>>().concat();
        let text = format!(
            "{modules}ServerName localhost\nListen {listen}\nPidFile {here}/apache.pid\nErrorLog {here}/apache.log\n\
             DefaultRuntimeDir {here}\nUser www-data\nGroup www-data\n\
             StartServers 1\nServerLimit 1\nThreadsPerChild 64\nMaxRequestWorkers 64\nMaxRequestsPerChild 0\n\
             KeepAlive On\nMaxKeepAliveRequests 0\nKeepAliveTimeout 300\n\
             Session On\nSessionCookieName session path=/\nSessionCryptoPassphrase secret\n\
             <Location />\n AuthFormProvider file\n AuthUserFile {here}/users\n AuthType form\n AuthName bench\n\
             Require valid-user\n RequestHeader set Remote-User expr=%{{REMOTE_USER}}\n</Location>\n\
             <Location /login>\n SetHandler form-login-handler\n Require all granted\n\
             AuthFormLoginSuccessLocation /\n</Location>\n\
             ProxyPass /login !\nProxyPass / http://{application}/ enablereuse=on\n"
        );
        let file = folder.join("apache.conf");
        fs::write(&file, text).unwrap();
        let _ = Command::new("chmod").arg("755").arg(folder).status();
        Running::start(PROXY_CORE, &["/usr/sbin/apache2", "-DFOREGROUND", "-f", file.to_str().unwrap()])
    }
}
