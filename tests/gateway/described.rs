//! The description is true: schemathesis asks the running binary everything that its description
//! allows, and much that it does not, as an anonymous client and as a signed-in user.

use std::process::{Command, Output};

use reqwest::Method;

use crate::harness::Scene;
use crate::harness::config::Config;

/// The same questions each time.
const SEED: &str = "20261124";
const EXAMPLES_MAX: &str = "12";
/// No server error, no status, content type or body that the description does not know.
const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
const CASES_MIN: u64 = 600;
/// Requests that would end the session, after which the rest would test nothing.
const ENDINGS: [&str; 6] = [
    "delete_auth_sessions",
    "delete_auth_sessions_current",
    // Ids are learnt from lists.
    "delete_auth_sessions_id",
    "post_api_auth_sign_out",
    "post_v2_me_logout",
    "delete_v2_me",
];

fn everything(config: &mut Config) {
    config.table("dialects", &["better_auth = true", "ocore = true", "corbado = true", "zitadel = true"]);
    config.table("limits", &["network_burst = 1000000", "network_per_second = 1000000"]);
    config.log.push("level = \"error\"".to_owned());
    // No server listens there: messages wait.
    config.table("mail", &["url = \"smtp://localhost:1\"", "from = \"no-reply@example.com\""]);
    config.table("signin", &["email_code = \"enroll\""]);
}

fn ask(scene: &Scene, more: &[&str]) -> Output {
    let library = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/schemathesis");
    assert!(std::path::Path::new(library).exists(), "schemathesis is not there: run tests/run --setup-only");
    Command::new("/usr/bin/python3")
        .args(["-m", "schemathesis.cli", "run", &scene.url("/auth/openapi.json")])
        .args(["--seed", SEED, "--max-examples", EXAMPLES_MAX, "--checks", CHECKS])
        .args(["--request-timeout", "10", "--no-color"])
        .args(more)
        .current_dir(scene.gateway.directory())
        .env("PYTHONPATH", library)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap()
}

fn judge(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let cases = said.lines().find_map(|line| line.trim().split_once(" generated, "));
    let cases: u64 = cases.unwrap_or_else(|| panic!("no summary in {said}")).0.parse().unwrap();
    assert!(cases > CASES_MIN, "only {cases} cases:\n{said}");
}

#[tokio::test]
async fn anonymous_answers_match_the_description() {
    let scene = Scene::with(everything, |_| {}).await;
    judge(&ask(&scene, &[]));
}

#[tokio::test]
async fn signed_in_answers_match_the_description() {
    let mut scene = Scene::with(everything, |_| {}).await;
    let signed_in = scene.anonymous().sign_in(&mut scene.device).await.expect(201).json();
    let bearer = format!("Authorization: Bearer {}", signed_in["token"].as_str().unwrap());
    let mut arguments = vec!["--header", bearer.as_str()];
    for operation in ENDINGS {
        arguments.extend(["--exclude-operation-id", operation]);
    }
    judge(&ask(&scene, &arguments));
    let browser = scene.anonymous();
    let request = browser.request(Method::GET, &browser.api("sessions/current"));
    let (name, value) = bearer.split_once(": ").unwrap();
    browser.send(request.header(name, value)).await.expect(200);
}
