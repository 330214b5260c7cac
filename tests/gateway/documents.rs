//! The snippets of the documents: every TOML, nginx and Caddy snippet is put to use, and so is the
//! unit of systemd.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use vestibule::domain::policy::path::{self, Reading};

use crate::harness::tls::Authority;
use crate::harness::{Gateway, Upstream, port};

const BINARY: &str = env!("CARGO_BIN_EXE_vestibule");
/// How long a proxy may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);
const HOSTS: [&str; 3] = ["auth.example.com", "wiki.example.com", "build.example.com"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every document for operators, and its text.
fn documents() -> Vec<(PathBuf, String)> {
    let mut documents = vec![root().join("README.md")];
    for folder in ["docs", "docs/recipes"] {
        documents.extend(fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()));
    }
    documents.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    documents.sort();
    let read = |document: PathBuf| (document.clone(), fs::read_to_string(document).unwrap());
    documents.into_iter().map(read).collect()
}

/// Every snippet in this language: the document, and the text.
fn snippets(language: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for (document, text) in documents() {
        let fence = format!("```{language}\n");
        for rest in text.split(&fence).skip(1) {
            found.push((document.clone(), rest.split("\n```").next().unwrap().to_owned() + "\n"));
        }
    }
    found
}

/// The first snippet of a document in this language.
pub(crate) fn snippet_of(document: &str, language: &str) -> String {
    let found = snippets(language).into_iter().find(|(file, _)| file.ends_with(document));
    found.unwrap_or_else(|| panic!("{document} has no {language}")).1
}

/// A folder with the files that the documents expect in /etc.
fn etc() -> (TempDir, Authority) {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new();
    let (cert, key) = authority.issue(&HOSTS.map(str::to_owned), folder.path());
    for name in ["example.com", "tls"] {
        fs::copy(&cert, folder.path().join(format!("{name}.pem"))).unwrap();
        fs::copy(&key, folder.path().join(format!("{name}.key"))).unwrap();
    }
    let password = folder.path().join("mail-password");
    fs::write(&password, "secret\n").unwrap();
    fs::write(folder.path().join("reports.password"), "secret\n").unwrap();
    fs::write(folder.path().join("database.passwords"), "alice:secret\n").unwrap();
    // 24 bytes in base64, as Standard Webhooks writes secrets.
    fs::write(folder.path().join("webhook-secret"), format!("whsec_{}\n", "QUJD".repeat(8))).unwrap();
    for file in fs::read_dir(folder.path()).unwrap() {
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(file.unwrap().path(), private).unwrap();
    }
    (folder, authority)
}

/// An operator who starts it before it knows its address gets a link for another address, and a
/// passkey for that.
#[test]
fn a6_the_readme_has_the_public_address_written_before_the_first_start() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let at = |words: &str| readme.find(words).unwrap_or_else(|| panic!("{words} is not in the README"));
    let install = at("\n## Install");
    let (address, start) = (at("public_url = \"https://"), at("systemctl enable --now vestibule"));
    assert!(install < address && address < start, "{install} {address} {start}");
}

/// The first link leads to the address that is written, wherever the gateway listens.
#[tokio::test]
async fn a6_the_set_up_link_is_for_the_public_address() {
    let gateway = Gateway::start(|config| config.tls("auth.example.test")).await;
    let link = gateway.setup_link();
    assert!(link.starts_with(&format!("{}/auth/enroll#", gateway.origin())), "{link}");
    assert!(link.starts_with("https://auth.example.test"), "{link}");
}

/// The documents say of `%40` what the code does.
#[test]
fn a8_no_document_says_that_an_escaped_at_sign_is_refused() {
    for (document, text) in documents() {
        for line in text.lines().filter(|line| line.contains("%40")) {
            let refused = ["ambiguous", "refuse", "400"].iter().any(|word| line.contains(word));
            assert!(!refused, "{}: {line}", document.display());
        }
    }
    let read = |text: &str| path::read(text.as_bytes());
    assert_eq!((read("/%40scope"), read("/%2Fscope")), (Reading::Plain, Reading::Ambiguous));
}

#[test]
fn documented_configurations_parse() {
    let (folder, _authority) = etc();
    let found = snippets("toml");
    assert!(found.len() >= 20, "{} snippets", found.len());
    for (document, text) in found {
        let file = folder.path().join("config.toml");
        // A page about one route leaves out the `public_url`.
        let begun =
            if text.contains("public_url") { "" } else { "public_url = \"https://auth.example.com\"\n" };
        let text = format!("{begun}{text}");
        fs::write(&file, text.replace("/etc/vestibule", folder.path().to_str().unwrap())).unwrap();
        let checked = Command::new(BINARY).arg("check").arg("--config").arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{}: {said}\n{text}", document.display());
        // The control: the same with a key that does not exist.
        fs::write(&file, format!("no_such_key = 1\n{text}")).unwrap();
        let checked = Command::new(BINARY).arg("check").arg("--config").arg(&file).output().unwrap();
        assert_eq!(checked.status.code(), Some(1), "{}", document.display());
    }
}

/// The address of a heading, as forges make it.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|it| it.is_alphanumeric() || matches!(it, '-' | '_')).collect()
}

#[test]
fn document_links_resolve() {
    let mut links = 0;
    for (document, text) in documents() {
        // A link may be broken over two lines.
        for rest in text.split("](").skip(1) {
            let link = rest.split(')').next().unwrap();
            let (file, part) = link.split_once('#').unwrap_or((link, ""));
            if file.contains("://") {
                continue;
            }
            let target =
                if file.is_empty() { document.clone() } else { document.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link}", document.display());
            if !part.is_empty() {
                let target = fs::read_to_string(target).unwrap();
                let headings = target.lines().filter(|line| line.starts_with('#'));
                let known =
                    headings.map(|line| anchor(line.trim_start_matches('#').trim())).any(|it| it == part);
                assert!(known, "{}: {link}", document.display());
            }
            links += 1;
        }
    }
    assert!(links > 60, "{links}");
}

#[test]
fn readme_links_every_document() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(readme.contains(&format!("](docs/{name}")), "docs/{name} is not in the README");
        }
    }
    assert!(readme.contains("](docs/recipes/README.md)"));
}

/// docs/headers.md names every header that is taken off: the families end in `*` there.
#[test]
fn every_header_that_is_removed_is_in_the_documents() {
    let code = fs::read_to_string(root().join("src/proxy/headers.rs")).unwrap();
    let list = |name: &str| {
        let list = code.split_once(&format!("const {name}: ")).unwrap().1.split("];").next().unwrap();
        let list = list.split_once("= [").unwrap().1;
        let names = list.lines().filter_map(|line| line.trim().strip_prefix('"')?.split('"').next());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let text = fs::read_to_string(root().join("docs/headers.md")).unwrap().to_lowercase();
    let families = list("PREFIXES");
    let names = list("NAMES");
    assert!(families.len() > 20 && names.len() > 10, "{families:?} {names:?}");
    for family in families {
        assert!(text.contains(&format!("`{family}*`")), "{family}*");
    }
    for name in names {
        assert!(text.contains(&format!("`{name}`")), "{name}");
    }
}

/// The program knows every command that a document tells people to type, with those options.
#[test]
fn documented_commands_exist() {
    let folder = TempDir::new().unwrap();
    let is_known = |line: &str| {
        let script = format!("sudo() {{ \"$@\"; }}; vestibule() {{ '{BINARY}' \"$@\" --help; }}; {line}");
        let output = Command::new("sh").args(["-c", &script]).current_dir(folder.path()).output().unwrap();
        output.status.success()
    };
    let mut tried = 0;
    for (document, text) in snippets("sh") {
        for line in text.lines().map(|line| line.split(" #").next().unwrap().trim()) {
            let command = line.strip_prefix("sudo ").unwrap_or(line);
            if command.starts_with("vestibule ")
                && !line.contains(['|', '<', '>', '$', ';', '&', '\\', '…'])
                && !line.contains("...")
            {
                assert!(is_known(line), "{}: {line}", document.display());
                assert!(!is_known(&format!("{line} --no-such-option")), "the control: {line}");
                tried += 1;
            }
        }
    }
    assert!(tried > 10, "{tried}");
}

/// The gateway as the README sets it up behind another proxy, which listens on `public`.
async fn gateway_behind(public: u16, app: &Upstream) -> Gateway {
    let mut gateway = Gateway::prepare(|config| "auth.example.com".clone_into(&mut config.host));
    let own = snippet_of("README.md", "toml");
    let behind = snippet_of("docs/behind-a-proxy.md", "toml");
    let routes = own.split_once("[[route]]").unwrap().1;
    let text = behind
        .replace("https://auth.example.com", &format!("https://auth.example.com:{public}"))
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{}", gateway.port));
    let data = gateway.data().display().to_string();
    let text = format!(
        "{text}metrics_listen = \"\"\nadmin_socket = \"{data}/admin.sock\"\n[store]\npath = \"{data}\"\n[[route]]{routes}"
    );
    let text = text.replace("127.0.0.1:9000", &format!("127.0.0.1:{}", app.port));
    fs::write(gateway.config_file(), text).unwrap();
    gateway.launch().await;
    gateway
}

/// A proxy that is ended with the test.
pub(crate) struct Proxy(Child);

impl Proxy {
    pub(crate) async fn start(program: &str, arguments: &[&str], port: u16, home: &Path) -> Self {
        let child = Command::new(program)
            .args(arguments)
            .env("HOME", home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program} (see tests/run): {error}"));
        let proxy = Self(child);
        let deadline = Instant::now() + PATIENCE;
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(Instant::now() < deadline, "{program} does not listen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        proxy
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks through the proxy, and checks the answer to an anonymous client and the headers for the
/// application.
async fn check_through(public: u16, authority: &Authority, app: &Upstream) {
    let root = reqwest::Certificate::from_pem(authority.certificate().as_bytes()).unwrap();
    let mut client = reqwest::Client::builder()
        .no_proxy()
        .add_root_certificate(root)
        .redirect(reqwest::redirect::Policy::none());
    for host in HOSTS {
        client = client.resolve(host, ([127, 0, 0, 1], public).into());
    }
    let client = client.build().unwrap();
    let ask = |path: &str| {
        let request = client.get(format!("https://wiki.example.com:{public}{path}"));
        request
            .header("accept", "text/html")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
    };
    let open = ask("/health").header("x-forwarded-for", "192.0.2.1").send().await.unwrap();
    assert_eq!(open.status(), 200);
    let seen = app.take_one();
    assert_eq!(seen.value("x-forwarded-proto"), "https");
    assert_eq!(seen.value("x-forwarded-for"), "127.0.0.1", "what the client says of itself does not count");
    assert_eq!(seen.value("x-forwarded-host"), format!("wiki.example.com:{public}"));
    let anonymous = ask("/page").send().await.unwrap();
    assert_eq!(anonymous.status(), 303);
    let to = anonymous.headers()["location"].to_str().unwrap();
    assert!(to.starts_with(&format!("https://auth.example.com:{public}/auth/login?to=")), "{to}");
    assert!(app.take().is_empty());
}

#[tokio::test]
async fn documented_nginx_configuration_works() {
    let (folder, authority) = etc();
    let snippet = snippet_of("docs/behind-a-proxy.md", "nginx");
    let (app, public) = (Upstream::start(), port::free());
    let gateway = gateway_behind(public, &app).await;
    let here = folder.path().display();
    let server = snippet
        .replace("listen 443 ssl", &format!("listen 127.0.0.1:{public} ssl"))
        .replace("/etc/nginx", &here.to_string())
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{}", gateway.port));
    let text = format!(
        "daemon off;\nmaster_process off;\npid {here}/nginx.pid;\nerror_log {here}/error.log;\nevents {{}}\n\
         http {{\naccess_log off;\nclient_body_temp_path {here}/body;\nproxy_temp_path {here}/proxy;\n\
         fastcgi_temp_path {here}/fastcgi;\nuwsgi_temp_path {here}/uwsgi;\nscgi_temp_path {here}/scgi;\n{server}\n}}\n"
    );
    let file = folder.path().join("nginx.conf");
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let tested = Command::new("/usr/sbin/nginx").args(["-t", "-c", file]).output().unwrap();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
    let _nginx = Proxy::start("/usr/sbin/nginx", &["-c", file], public, folder.path()).await;
    check_through(public, &authority, &app).await;
}

#[tokio::test]
async fn documented_caddy_configuration_works() {
    let (folder, authority) = etc();
    let snippet = snippet_of("docs/behind-a-proxy.md", "caddyfile");
    let (app, public) = (Upstream::start(), port::free());
    let gateway = gateway_behind(public, &app).await;
    let here = folder.path().display();
    // A certificate of the test's own instead of one from a public authority.
    let site = snippet.replace("127.0.0.1:8080", &format!("127.0.0.1:{}", gateway.port)).replacen(
        "{\n",
        &format!("{{\n    bind 127.0.0.1\n    tls {here}/example.com.pem {here}/example.com.key\n"),
        1,
    );
    let text =
        format!("{{\n    admin off\n    https_port {public}\n    auto_https disable_redirects\n}}\n{site}");
    let file = folder.path().join("Caddyfile");
    fs::write(&file, text).unwrap();
    let arguments = ["run", "--adapter", "caddyfile", "--config", file.to_str().unwrap()];
    let _caddy = Proxy::start("/usr/bin/caddy", &arguments, public, folder.path()).await;
    check_through(public, &authority, &app).await;
}

#[test]
fn systemd_unit_verifies() {
    let folder = TempDir::new().unwrap();
    let unit = fs::read_to_string(root().join("systemd/vestibule.service")).unwrap();
    let verify = |text: &str| {
        let file = folder.path().join("vestibule.service");
        fs::write(&file, text.replace("/usr/local/bin/vestibule", BINARY)).unwrap();
        let verified = Command::new("/usr/bin/systemd-analyze").arg("verify").arg(&file).output();
        let verified = verified.unwrap_or_else(|error| panic!("systemd-analyze (see tests/run): {error}"));
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        // Messages about other units of this machine do not count.
        said.lines().filter(|line| line.contains("vestibule")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(verify(&unit), "");
    let wrong = unit.replace("ProtectSystem=strict", "ProtectSystem=strictly");
    assert!(verify(&wrong).contains("strictly"), "the control is noticed");
    // The sockets that systemd holds for it, beside the unit that they are for.
    fs::write(folder.path().join("vestibule.service"), unit.replace("/usr/local/bin/vestibule", BINARY))
        .unwrap();
    let sockets = fs::read_to_string(root().join("systemd/vestibule.socket")).unwrap();
    let verify = |text: &str| {
        let file = folder.path().join("vestibule.socket");
        fs::write(&file, text).unwrap();
        let verified = Command::new("/usr/bin/systemd-analyze").arg("verify").arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        said.lines().filter(|line| line.contains("vestibule")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(verify(&sockets), "");
    let wrong = sockets.replace("BindIPv6Only=both", "BindIPv6Only=sometimes");
    assert!(verify(&wrong).contains("sometimes"), "the control is noticed");
}
