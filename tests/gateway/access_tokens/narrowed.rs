//! Tokens that do not cover a request, and forged ones: with `vestibule token attenuate`, and with
//! what an attacker could do who has a token and the library.

use biscuit_auth::builder::{Algorithm, BlockBuilder};
use biscuit_auth::{Biscuit, KeyPair, PrivateKey, UnverifiedBiscuit};
use reqwest::Method;

use super::{get, is_invalid, is_not_for_this, reasons, token, with_token};
use crate::harness::{Gateway, Scene, raw};

/// Narrows a token with the command.
fn attenuate(gateway: &Gateway, token: &str, options: &[&str]) -> String {
    let output = gateway.cli_with_input(&[&["token", "attenuate"], options].concat(), token);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn p_14_refuses_requests_outside_the_attenuation() {
    let scene =
        Scene::with(|config| config.server.push("trusted_proxies = [\"127.0.0.1\"]".to_owned()), |_| {})
            .await;
    let (gateway, whole) = (&scene.gateway, token(&scene.gateway, "alice", &[]));
    // Made narrow, and narrowed by its holder: the same refusals.
    let made_narrow =
        token(gateway, "alice", &["--method", "GET", "--path", "/a", "--network", "192.0.2.0/24"]);
    let narrowed = attenuate(
        gateway,
        &whole,
        &[
            "--route",
            "app",
            "--method",
            "GET",
            "--path",
            "/a",
            "--network",
            "192.0.2.0/24",
            "--expires",
            "1h",
        ],
    );
    for token in [&made_narrow, &narrowed] {
        let ask = |method: Method, path: &'static str, client: &'static str| {
            let browser = scene.anonymous().reported_as(client);
            let request = browser.request(method, &scene.url(path));
            let request = request.header("Authorization", format!("Bearer {token}"));
            async move { browser.send(request).await }
        };
        ask(Method::GET, "/a", "192.0.2.7").await.expect(200);
        ask(Method::GET, "/a/b?c", "192.0.2.7").await.expect(200);
        is_not_for_this(ask(Method::POST, "/a", "192.0.2.7").await);
        is_not_for_this(ask(Method::GET, "/b", "192.0.2.7").await);
        is_not_for_this(ask(Method::GET, "/ab", "192.0.2.7").await);
        is_not_for_this(ask(Method::GET, "/A", "192.0.2.7").await);
        is_not_for_this(ask(Method::GET, "/a", "198.51.100.7").await);
        // A token covers no path that an application may read as another path.
        for odd in ["/a/..%2fb", "/a/%2e%2e/b", "/a//b", "/a/;x/b"] {
            let lines = [format!("Authorization: Bearer {token}"), "X-Forwarded-For: 192.0.2.7".to_owned()];
            let reply = raw::get(gateway.port, "localhost", odd, &lines);
            assert!(reply.status() == 400 && reply.0.contains("ambiguous_path"), "{odd}: {}", reply.0);
        }
    }
    for elsewhere in [["--route", "other"], ["--expires", "0s"]] {
        is_not_for_this(get(&scene, "/a", &attenuate(gateway, &whole, &elsewhere)).await);
    }
    get(&scene, "/b", &whole).await.expect(200);
    let reasons = reasons(gateway);
    for reason in ["method", "path", "network", "narrowed"] {
        assert!(reasons.iter().any(|it| it == reason), "{reason}: {reasons:?}");
    }
    scene.app.take();
}

#[tokio::test]
async fn s_08_refuses_invalid_tokens_alike_and_audits_the_reason() {
    let scene = Scene::set().await;
    let good = token(&scene.gateway, "alice", &[]);
    get(&scene, "/page", &good).await.expect(200);
    let bytes = decoded(&good);
    let open = UnverifiedBiscuit::from(&bytes).unwrap();
    let block = |code: &str| BlockBuilder::new().code(code).unwrap();
    let theirs = KeyPair::from(&PrivateKey::from_bytes(&[9; 32], Algorithm::Ed25519).unwrap());
    let forged = Biscuit::builder().root_key_id(1).code(open.print_block_source(0).unwrap()).unwrap();
    let forged = forged.build(&theirs).unwrap().to_vec().unwrap();
    let two = open.append(block("check if method(\"GET\");")).unwrap();
    let two = two.append(block("check if path(\"/page\");")).unwrap().to_vec().unwrap();
    let fields = fields(&two);
    let reordered = [0, 1, 3, 2, 4].map(|at| fields[at].clone()).concat();
    let by_others = open.third_party_request().unwrap();
    let by_others = by_others.create_block(&theirs.private(), block("check if true;")).unwrap();
    let by_others = open.append_third_party(&by_others.serialize().unwrap()).unwrap().to_vec().unwrap();
    let mut many = open.clone();
    for _ in 0..8 {
        many = many.append(block("check if true;")).unwrap();
    }
    let costly = open.append(block("check if path($p), $p.matches(\"(a*)*b\");")).unwrap().to_vec().unwrap();
    let wider = open.append(block("route(\"other\"); method(\"GET\");")).unwrap().to_vec().unwrap();
    let cases = [
        ("malformed", good[..good.len() / 2].to_owned()),
        ("oversized", format!("vst_{}", "A".repeat(4_096))),
        ("forged", encoded(&forged)),
        ("forged", encoded(&reordered)),
        ("third_party", encoded(&by_others)),
        ("too_many_blocks", encoded(&many.to_vec().unwrap())),
        ("unfit", encoded(&costly)),
        ("unfit", encoded(&wider)),
        ("malformed", "vst_".to_owned()),
    ];
    let mut expected = Vec::new();
    for (reason, token) in cases {
        is_invalid(get(&scene, "/page", &token).await);
        // The same reason again within a minute is in the log and the metrics alone.
        if !expected.contains(&reason.to_owned()) {
            expected.push(reason.to_owned());
        }
    }
    assert_eq!(reasons(&scene.gateway), expected);
    get(&scene, "/page", &encoded(&two)).await.expect(200);
    assert_eq!(scene.app.take().len(), 2);
}

#[tokio::test]
async fn token_restricts_on_top_of_the_rules() {
    const RULES: &str = "[[route.rule]]\neffect = \"allow\"\nwho = [\"user:alice\"]\npaths = [\"/a/*\"]\n\
        [[route.rule]]\neffect = \"allow\"\nwho = [\"user:alice\"]\npaths = [\"/fresh\"]\nmax_auth_age = \"1h\"\n";
    let scene = Scene::with(
        |_| {},
        |route| {
            route.allow(&[]).line(RULES);
        },
    )
    .await;
    let token = token(&scene.gateway, "alice", &[]);
    get(&scene, "/a/b", &token).await.expect(200);
    assert_eq!(get(&scene, "/b", &token).await.expect_problem(403)["code"], "forbidden");
    scene.alice.navigate(&scene.url("/fresh")).await.expect(200);
    let problem = get(&scene, "/fresh", &token).await.expect_problem(403);
    assert_eq!(problem["code"], "token_shows_no_passkey");
    scene.invited("bob@example.com", 77).await;
    let refused = ["token", "create", "--user", "bob", "--name", "n", "--route", "app", "--expires", "1d"];
    let refused = scene.gateway.cli(&refused);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no route \"app\" that this user may enter"));
    scene.app.take();
    with_token(&scene, Method::POST, "/a", &token).await.expect(200);
}

#[tokio::test]
async fn inspect_shows_the_token_to_its_holder() {
    let scene = Scene::set().await;
    let whole = token(&scene.gateway, "alice", &["--method", "GET"]);
    let narrowed = attenuate(&scene.gateway, &whole, &["--path", "/a"]);
    let shown = scene.gateway.cli_with_input(&["token", "inspect", "--json"], &narrowed);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["blocks"][0][1], "check if method(\"GET\")");
    assert_eq!(shown["blocks"][1][0], "check if path(\"/a\") or path($p), $p.starts_with(\"/a/\")");
    for (arguments, input, words) in [
        (&["token", "attenuate", "--method", "GET"][..], "Bearer x", "this is not an access token"),
        (&["token", "attenuate"], &*whole, "say how to narrow it"),
        (&["token", "inspect"], "vst_AAAA", "this is not an access token"),
    ] {
        let output = scene.gateway.cli_with_input(arguments, input);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(words), "{arguments:?}");
    }
}

fn decoded(token: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.strip_prefix("vst_").unwrap()).unwrap()
}

fn encoded(bytes: &[u8]) -> String {
    use base64::Engine as _;
    format!("vst_{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}

/// The top-level fields of a protobuf message of varints and length-delimited values.
fn fields(bytes: &[u8]) -> Vec<Vec<u8>> {
    fn varint(bytes: &[u8], at: &mut usize) -> usize {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[*at];
            *at += 1;
            value |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }
    let (mut fields, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let begun = at;
        let tag = varint(bytes, &mut at);
        let value = varint(bytes, &mut at);
        at += if tag & 7 == 2 { value } else { 0 };
        fields.push(bytes[begun..at].to_vec());
    }
    fields
}
