//! Rules, and all that can be asked about them: the proxy, the terminal, the admin API, the page.
//! All of them give the same answer for the same request (P-08, S-04).

use reqwest::Method;
use serde_json::{Value, json};

use crate::documents::snippet_of;
use crate::harness::{Browser, Gateway, Scene, until};

const BOB: &str = "bob@example.com";
const GREG: &str = "greg@example.com";

const RULES: &str = r#"
[[route.rule]]
name = "the house sees the board"
effect = "allow"
who = ["anyone"]
paths = ["/board/*"]
networks = ["192.168.0.0/16"]
[[route.rule]]
name = "nobody touches the engine"
effect = "deny"
who = ["anyone"]
paths = ["/engine"]
[[route.rule]]
name = "no guests in the back"
effect = "deny"
who = ["group:guests"]
paths = ["/back/*"]
[[route.rule]]
name = "staff writes from the office"
effect = "allow"
who = ["group:staff"]
methods = ["POST"]
networks = ["10.0.0.0/8", "2001:db8::/32"]
[[route.rule]]
name = "never on a day that never comes"
effect = "deny"
who = ["user"]
times = { from = "02:00", to = "02:01", days = "mon", zone = "Etc/GMT+12" }
paths = ["/at-night"]
[[route.rule]]
name = "everybody reads"
effect = "allow"
who = ["user"]
methods = ["GET", "HEAD"]
"#;

/// User, method, path, client; the decision, and the rule.
type Case = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

const CASES: [Case; 22] = [
    ("", "GET", "/board/", "192.168.3.4", "public", "the house sees the board"),
    ("", "GET", "/board/x", "10.0.0.1", "sign_in", "everybody reads"),
    ("", "GET", "/engine", "192.168.3.4", "refused", "nobody touches the engine"),
    ("", "GET", "/", "192.168.3.4", "sign_in", "everybody reads"),
    ("", "POST", "/", "10.0.0.1", "sign_in", "staff writes from the office"),
    ("", "DELETE", "/", "10.0.0.1", "sign_in", ""),
    ("bob", "GET", "/board/", "192.168.3.4", "allowed", "the house sees the board"),
    ("bob", "GET", "/engine", "10.0.0.1", "refused", "nobody touches the engine"),
    ("bob", "GET", "/engine/", "10.0.0.1", "refused", "nobody touches the engine"),
    ("bob", "GET", "/engine/x", "10.0.0.1", "allowed", "everybody reads"),
    ("bob", "GET", "/back/x", "10.0.0.1", "allowed", "everybody reads"),
    ("bob", "POST", "/back/x", "10.0.0.1", "allowed", "staff writes from the office"),
    ("bob", "POST", "/", "2001:db8::7", "allowed", "staff writes from the office"),
    ("bob", "POST", "/", "11.0.0.1", "refused", ""),
    ("bob", "PUT", "/", "10.0.0.1", "refused", ""),
    ("bob", "HEAD", "/", "203.0.113.9", "allowed", "everybody reads"),
    ("greg", "GET", "/back", "10.0.0.1", "refused", "no guests in the back"),
    ("greg", "GET", "/back/x", "10.0.0.1", "refused", "no guests in the back"),
    ("greg", "GET", "/backyard", "10.0.0.1", "allowed", "everybody reads"),
    ("greg", "POST", "/", "10.0.0.1", "refused", ""),
    ("greg", "GET", "/back%2fx", "10.0.0.1", "refused", ""),
    ("greg", "GET", "/Back/x", "10.0.0.1", "refused", ""),
];

struct ExampleGateway {
    scene: Scene,
    bob: Browser,
    greg: Browser,
}

impl ExampleGateway {
    async fn open() -> Self {
        let scene = Scene::with(
            |config| config.server.push("trusted_proxies = [\"127.0.0.1\"]".to_owned()),
            |route| {
                route.allow(&[]).line(RULES);
            },
        )
        .await;
        let (bob, _) = scene.invited(BOB, 2).await;
        let (greg, _) = scene.invited(GREG, 3).await;
        scene.gateway.operate(&["user", "groups", BOB, "staff"]);
        scene.gateway.operate(&["user", "groups", GREG, "guests"]);
        scene.app.take();
        Self { scene, bob, greg }
    }

    /// Checks what the proxy does.
    async fn decision_for(&self, who: &str, method: &str, path: &str, client: &str) -> &'static str {
        let anonymous = self.scene.anonymous();
        let browser = match who {
            "" => &anonymous,
            "bob" => &self.bob,
            _ => &self.greg,
        };
        let method: Method = method.parse().unwrap();
        let request = browser.request(method, &self.scene.url(path)).header("x-forwarded-for", client);
        let reply = browser.send(request).await;
        let seen = self.scene.app.take();
        match (reply.status, seen.as_slice()) {
            (200, [seen]) if !seen.values("remote-user").is_empty() => "allowed",
            (200, [_]) => "public",
            (400 | 403, []) => "refused",
            (401, []) => "sign_in",
            other => panic!("{who} {path}: {other:?}"),
        }
    }

    fn explained(&self, (who, method, path, client, ..): Case) -> Value {
        let url = self.scene.url(path);
        let mut words =
            vec!["policy", "explain", "--url", &url, "--method", method, "--client", client, "--json"];
        if !who.is_empty() {
            words.extend(["--user", who]);
        }
        let output = self.scene.gateway.cli(&words);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let enters = matches!(told["decision"].as_str(), Some("allowed" | "public"));
        assert_eq!(output.status.code(), Some(i32::from(!enters)), "{told}");
        told
    }

    /// The cases as a file of expectations, with one decision changed if so.
    fn expectations(&self, changed: Option<usize>) -> String {
        let case = |(at, (who, method, path, client, decision, _)): (usize, &Case)| {
            let user = if who.is_empty() { String::new() } else { format!("user = {who:?}\n") };
            let decision = if Some(at) == changed { "step_up" } else { decision };
            let url = self.scene.url(path);
            format!(
                "[[expect]]\n{user}url = {url:?}\nmethod = {method:?}\nclient = {client:?}\ndecision = {decision:?}\n"
            )
        };
        CASES.iter().enumerate().map(case).collect()
    }
}

/// Waits until this line is among the metrics: a request is counted when it is over, which is a
/// moment after its answer has arrived.
async fn counted(gateway: &Gateway, line: &str) {
    let has = async || crate::monitoring::metrics_of(gateway).await.contains(line).then_some(());
    until(line, has).await;
}

#[tokio::test]
async fn p_08_proxy_cli_api_and_policy_test_agree() {
    let example = ExampleGateway::open().await;
    for case in CASES {
        let (who, method, path, client, decision, rule) = case;
        assert_eq!(example.decision_for(who, method, path, client).await, decision, "{case:?}");
        let told = example.explained(case);
        assert_eq!(told["decision"], decision, "{case:?} {told}");
        assert_eq!(told["rule"].as_str().unwrap_or(""), rule, "{case:?} {told}");
        let user = (!who.is_empty()).then_some(who);
        let asked =
            json!({ "user": user, "url": example.scene.url(path), "method": method, "client": client });
        let answer = example.scene.alice.post("admin/v1/policy/explain", &asked).await.expect(200).json();
        assert_eq!(answer, told, "{case:?}");
    }
    let file = example.scene.gateway.directory().join("expectations.toml");
    let test = |text: String| {
        std::fs::write(&file, text).unwrap();
        example.scene.gateway.cli(&["policy", "test", file.to_str().unwrap()])
    };
    let held = test(example.expectations(None));
    assert_eq!(held.status.code(), Some(0), "{held:?}");
    let failed = test(example.expectations(Some(6)));
    assert_eq!(failed.status.code(), Some(1));
    let said = String::from_utf8(failed.stdout).unwrap();
    let line = example
        .expectations(None)
        .split("[[expect]]")
        .take(7)
        .map(|part| part.matches('\n').count())
        .sum::<usize>()
        + 1;
    assert!(said.starts_with(&format!("line {line}: expected step_up, got allowed")), "{said}");
}

/// The result kept for a session and a route depends on neither method nor network, so no answer
/// for one request is given for another.
#[tokio::test]
async fn each_request_of_one_session_is_decided_by_its_own_method_and_network() {
    let example = ExampleGateway::open().await;
    let (office, street) = ("10.0.0.1", "11.0.0.1");
    for _ in 0..2 {
        for (method, client, decision) in [
            ("GET", street, "allowed"),
            ("POST", street, "refused"),
            ("POST", office, "allowed"),
            ("PUT", office, "refused"),
            ("HEAD", office, "allowed"),
            ("POST", street, "refused"),
            ("GET", street, "allowed"),
        ] {
            assert_eq!(
                example.decision_for("bob", method, "/", client).await,
                decision,
                "{method} from {client}"
            );
        }
    }
}

#[tokio::test]
async fn policy_test_supports_its_own_users_offline() {
    let mut example = ExampleGateway::open().await;
    example.scene.gateway.stop();
    let file = example.scene.gateway.directory().join("expectations.toml");
    let url = example.scene.url("/back");
    let person = "[[user]]\nusername = \"nina\"\nemail = \"nina@example.com\"\ngroups = [\"guests\"]\n";
    let test = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let output = example.scene.gateway.cli(&["policy", "test", file.to_str().unwrap()]);
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (output.status.code(), said)
    };
    let expected = |decision: &str, more: &str| {
        format!("{person}[[expect]]\nuser = \"nina\"\nurl = {url:?}\ndecision = {decision:?}\n{more}")
    };
    assert_eq!(test(&expected("refused", "rule = \"no guests in the back\"\n")).0, Some(0));
    let (code, said) = test(&expected("refused", "rule = \"everybody reads\"\n"));
    assert_eq!(code, Some(1));
    assert!(said.contains("line 5: expected the rule \"everybody reads\""), "{said}");
    for (text, word) in [
        (expected("maybe", ""), "allowed, public, step_up, sign_in, refused"),
        (expected("refused", "at = \"noon\"\n"), "not a moment"),
        (expected("refused", "user = 1\n"), "duplicate key"),
        (expected("refused", "hour = 1\n"), "unknown field"),
        (person.to_owned(), "has no expectation"),
        (format!("[[expect]]\nuser = \"nobody\"\nurl = {url:?}\ndecision = \"refused\"\n"), "line 1"),
        ("[[expect]]\nurl = \"x\"\ndecision = \"refused\"\n".to_owned(), "is not an address"),
    ] {
        let (code, said) = test(&text);
        assert_eq!(code, Some(1), "{text}");
        assert!(said.contains(word), "{text}\n{said}");
    }
}

#[test]
fn documented_expectations_hold() {
    let gateway = Gateway::prepare(|_| {});
    let data = gateway.data().display().to_string();
    let rules = snippet_of("docs/policy.md", "toml");
    let own = format!("[server]\nadmin_socket = \"{data}/admin.sock\"\n[store]\npath = {data:?}\n");
    std::fs::write(gateway.config_file(), format!("{rules}{own}")).unwrap();
    let file = gateway.directory().join("expectations.toml");
    let test = |text: &str| {
        std::fs::write(&file, text).unwrap();
        gateway.cli(&["policy", "test", file.to_str().unwrap()])
    };
    let expectations = snippet_of("docs/policy.md", "toml expectations");
    let held = test(&expectations);
    assert_eq!(held.status.code(), Some(0), "{held:?}");
    let failed = test(&expectations.replace("192.168.1.7", "192.168.2.7"));
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
}

#[tokio::test]
async fn s_04_refusal_names_the_rule_only_in_the_trail() {
    let example = ExampleGateway::open().await;
    let page = example.greg.navigate(&example.scene.url("/back/x")).await.expect(403).text();
    assert!(page.contains(GREG) && !page.contains("no guests in the back"), "{page}");
    let anonymous = example.scene.anonymous();
    let page = anonymous.navigate(&example.scene.url("/engine")).await.expect(403).text();
    assert!(page.contains("No access to this address") && !page.contains("nobody touches"), "{page}");
    let denied = || {
        let text = example.scene.gateway.operate(&["audit", "--event", "access_denied", "--json"]);
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    };
    let seen = until("two refusals", async || Some(denied()).filter(|seen| seen.len() >= 2)).await;
    let rules: Vec<_> = seen.iter().map(|line| line["rule"].as_str().unwrap()).collect();
    assert_eq!(rules, ["nobody touches the engine", "no guests in the back"]);
    counted(&example.scene.gateway, "vestibule_decisions_total{decision=\"refused\",route=\"app\"} 2").await;
}

#[tokio::test]
async fn explain_refusals_shows_the_rule() {
    let scene = Scene::with(
        |config| config.table("branding", &["explain_refusals = true"]),
        |route| {
            route.allow(&[]).line(RULES);
        },
    )
    .await;
    let page = scene.alice.navigate(&scene.url("/engine")).await.expect(403).text();
    assert!(page.contains("nobody touches the engine"), "{page}");
    let request = scene.alice.request(Method::PUT, &scene.url("/")).header("sec-fetch-mode", "navigate");
    let page = scene.alice.send(request).await.expect(403).text();
    assert!(page.contains("No rule allows this."), "{page}");
}

#[tokio::test]
async fn user_page_explains_a_decision() {
    let example = ExampleGateway::open().await;
    let users = example.scene.alice.get("admin/v1/users?search=greg").await.expect(200).json();
    let id = users["users"][0]["id"].as_str().unwrap().to_owned();
    let page = async |query: &str| {
        let url = example.scene.url(&format!("/auth/admin/users/{id}{query}"));
        example.scene.alice.navigate(&url).await.expect(200).text()
    };
    let back =
        url::form_urlencoded::byte_serialize(example.scene.url("/back").as_bytes()).collect::<String>();
    let told = page(&format!("?url={back}&client=10.0.0.1")).await;
    assert!(
        told.contains("The request would be refused") && told.contains("no guests in the back"),
        "{told}"
    );
    assert!(!page("").await.contains("The request would be"));
    assert!(page("?url=nonsense").await.contains("is not an address"));
    assert!(page(&format!("?url={back}&client=home")).await.contains("an IP address"));
}

/// A proxy that says nothing of its client is in a network itself. The client behind it is in none.
#[tokio::test]
async fn p_08_unnamed_client_is_in_no_network() {
    let scene = Scene::with(
        |config| {
            config.server.push("trusted_proxies = [\"127.0.0.1\"]".to_owned());
            config.table("[network]", &["name = \"home\"", "ranges = [\"127.0.0.0/8\"]"]);
        },
        |route| {
            let open = "[[route.rule]]\neffect = \"allow\"\nwho = [\"anyone\"]\nnetworks = [\"home\"]\n";
            let shut = "[[route.rule]]\neffect = \"deny\"\nwho = [\"user\"]\nnetworks = [\"home\"]\n";
            let rest = "[[route.rule]]\neffect = \"allow\"\nwho = [\"user\"]\n";
            route.allow(&[]).line(&format!("{open}paths = [\"/board\"]\n{shut}paths = [\"/vault\"]\n{rest}"));
        },
    )
    .await;
    let status = async |browser: &Browser, path: &str, client: Option<&str>| {
        let request = browser.request(Method::GET, &scene.url(path));
        let request = client.into_iter().fold(request, |it, client| it.header("x-forwarded-for", client));
        browser.send(request).await.status
    };
    let anonymous = scene.anonymous();
    assert_eq!(status(&anonymous, "/board", Some("127.0.0.2")).await, 200);
    assert_eq!(status(&scene.alice, "/vault", Some("192.0.2.1")).await, 200);
    for client in [None, Some("127.0.0.1"), Some("unknown")] {
        assert_eq!(status(&anonymous, "/board", client).await, 401, "{client:?} is let in by nothing");
        assert_eq!(
            status(&scene.alice, "/vault", client).await,
            403,
            "{client:?} is kept out by every network"
        );
    }
    let explained =
        scene.gateway.cli(&["policy", "explain", "--url", &scene.url("/board"), "--client", "127.0.0.1"]);
    assert_eq!(explained.status.code(), Some(1), "{explained:?}");
}

const DATALOG: &str = r#"policy = '''
allow if user($name), path_segment(0, "people"), path_segment(1, $name);
deny if group("guests");
allow if group("staff"), method("GET"), network("office");
costly($a, $b, $c) <- group($a), group($b), group($c);
allow if costly("many", "many", "many"), path("/costly");
'''"#;

#[tokio::test]
async fn datalog_policy_decides_alike_in_proxy_and_explain() {
    let scene = Scene::with(
        |config| {
            config.server.push("trusted_proxies = [\"127.0.0.1\"]".to_owned());
            config.table("[network]", &["name = \"office\"", "ranges = [\"10.0.0.0/8\"]"]);
        },
        |route| {
            route.allow(&[]).line(DATALOG);
        },
    )
    .await;
    let (bob, _) = scene.invited(BOB, 2).await;
    scene.gateway.operate(&["user", "groups", BOB, "staff"]);
    let decision_for = async |browser: &Browser, path: &str, client: &str| {
        let request = browser.request(Method::GET, &scene.url(path)).header("x-forwarded-for", client);
        browser.send(request).await.status
    };
    let explained = |path: &str, client: &str| -> Value {
        let url = scene.url(path);
        let words = ["policy", "explain", "--user", "bob", "--url", &url, "--client", client, "--json"];
        serde_json::from_slice(&scene.gateway.cli(&words).stdout).unwrap()
    };
    for (path, client, status, decision, said) in [
        ("/people/bob/x", "192.0.2.1", 200, "allowed", "path_segment(1, $name)"),
        ("/people/alice", "192.0.2.1", 403, "refused", "No clause of the policy"),
        ("/wiki", "10.1.2.3", 200, "allowed", "network(\"office\")"),
        ("/wiki", "192.0.2.1", 403, "refused", "No clause of the policy"),
    ] {
        assert_eq!(decision_for(&bob, path, client).await, status, "{path} {client}");
        let told = explained(path, client);
        assert_eq!(told["decision"], decision, "{told}");
        assert!(told["because"].as_str().unwrap().contains(said), "{told}");
    }
    assert_eq!(decision_for(&scene.anonymous(), "/people/bob", "10.1.2.3").await, 401);

    scene.gateway.operate(&["user", "groups", BOB, "staff", "guests"]);
    assert_eq!(decision_for(&bob, "/wiki", "10.1.2.3").await, 403, "a lost right is felt at once");
    assert_eq!(explained("/wiki", "10.1.2.3")["rule"], "deny if group(\"guests\")");

    // A policy that costs too much decides nothing.
    let many: Vec<_> = (0..20).map(|n| format!("g{n}")).collect();
    let words: Vec<_> = ["user", "groups", BOB].into_iter().chain(many.iter().map(String::as_str)).collect();
    scene.gateway.operate(&words);
    let request = bob.request(Method::GET, &scene.url("/costly")).header("x-forwarded-for", "10.1.2.3");
    let problem = bob.send(request).await.expect_problem(503);
    assert_eq!(problem["code"], "unavailable");
    counted(&scene.gateway, "vestibule_decisions_total{decision=\"undecided\",route=\"app\"} 1").await;
}

#[tokio::test]
async fn check_remarks_on_dead_rules_and_open_routes() {
    let scene = Scene::with(
        |_| {},
        |route| {
            let late = "[[route.rule]]\nname = \"too late\"\neffect = \"deny\"\nwho = [\"group:guests\"]\nmethods = [\"GET\"]";
            route.allow(&[]).line(RULES).line(late);
        },
    )
    .await;
    let output = scene.gateway.cli(&["check"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert!(said.contains("\"too late\" never decides, because of"), "{said}");
    assert!(said.contains("\"the house sees the board\" lets every client in its networks in"), "{said}");
    assert!(!said.contains("\"everybody reads\" never"), "{said}");
    assert!(scene.alice.navigate(&scene.url("/")).await.text().contains("hello"));
}
