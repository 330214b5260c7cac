//! Rules about dependencies: version floors for past vulnerabilities, one TLS library, and features
//! that stay off. Named by the ids of the threat checklist.
//!
//! These read `Cargo.lock` and ask cargo, so they hold on every machine that can build. Licences
//! and sources are checked by cargo-deny from `.ci/run`, by `deny.toml`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on stops here"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The lowest version of each generation in which the named advisories are fixed. Every version in
/// the lock file must reach the floor of its own generation, or be newer than all of them.
const FLOORS: &[(&str, &[&str], &str)] = &[
    ("age", &["0.11.1"], "RUSTSEC-2024-0433: a recipient could name a program to run"),
    (
        "pingora-core",
        &["0.9.1"],
        "RUSTSEC-2025-0037, RUSTSEC-2025-0070, RUSTSEC-2026-0033, RUSTSEC-2026-0034, CVE-2026-105299; \
         below 0.9.1 it panics on every connection with tokio 1.54",
    ),
    ("pingora", &["0.9.1"], "as pingora-core"),
    ("pingora-proxy", &["0.9.1"], "as pingora-core"),
    ("pingora-cache", &["0.9.1"], "as pingora-core, RUSTSEC-2026-0035"),
    ("h2", &["0.4.16"], "RUSTSEC-2024-0003, RUSTSEC-2024-0332, RUSTSEC-2026-0258"),
    ("hyper", &["1.0.0"], "RUSTSEC-2021-0020, RUSTSEC-2021-0078, RUSTSEC-2021-0079"),
    ("rustls", &["0.23.18"], "RUSTSEC-2024-0336, RUSTSEC-2024-0399"),
    (
        "rustls-webpki",
        &["0.103.13"],
        "RUSTSEC-2026-0049, RUSTSEC-2026-0098, RUSTSEC-2026-0099, RUSTSEC-2026-0104",
    ),
    ("ring", &["0.17.12"], "RUSTSEC-2025-0009"),
    ("biscuit-auth", &["5.0.0"], "CVE-2022-31053, CVE-2024-41949"),
    ("ed25519-dalek", &["2.0.0"], "RUSTSEC-2022-0093"),
    ("curve25519-dalek", &["4.1.3"], "RUSTSEC-2024-0344"),
    ("tracing-subscriber", &["0.3.20"], "RUSTSEC-2025-0055"),
    ("time", &["0.3.47"], "RUSTSEC-2026-0009"),
    ("idna", &["1.0.0"], "RUSTSEC-2024-0421"),
    ("bytes", &["1.11.1"], "RUSTSEC-2026-0007"),
    ("slab", &["0.4.11"], "RUSTSEC-2025-0047"),
    ("tokio", &["1.44.2"], "RUSTSEC-2025-0023"),
    ("lru", &["0.18.2"], "RUSTSEC-2026-0002, RUSTSEC-2026-0253"),
    ("rand", &["0.8.6", "0.9.3", "0.10.1"], "RUSTSEC-2026-0097"),
];

/// Floors of libraries that are not here yet. A developer who adds one of them starts above its
/// floor.
const FLOORS_OF_ABSENT: &[(&str, &[&str], &str)] = &[
    ("lettre", &["0.11.22"], "RUSTSEC-2020-0069, RUSTSEC-2021-0069, RUSTSEC-2026-0141"),
    ("protobuf", &["3.7.2"], "RUSTSEC-2024-0437"),
    ("crossbeam-channel", &["0.5.15"], "RUSTSEC-2025-0024"),
];

/// TLS and cryptography in C beside ring, and a CBOR reader that overflows its stack.
const FORBIDDEN: &[&str] = &[
    "openssl",
    "openssl-sys",
    "native-tls",
    "aws-lc-sys",
    "aws-lc-rs",
    "boring",
    "boring-sys",
    "serde_cbor",
];

/// Name to versions, of the whole lock file.
fn locked() -> BTreeMap<String, Vec<String>> {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let lock: toml::Table = lock.parse().unwrap();
    let mut packages: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in lock["package"].as_array().unwrap() {
        let text = |key: &str| package[key].as_str().unwrap().to_owned();
        packages.entry(text("name")).or_default().push(text("version"));
    }
    packages
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `1.2.3-rc.4` as numbers; a suffix does not raise a version.
fn numbers(version: &str) -> [u64; 3] {
    let core = version.split(['-', '+']).next().unwrap();
    let mut parts = core.split('.').map(|part| part.parse().unwrap());
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

/// The numbers that say which versions are meant to be compatible: `1` of 1.2.3, `0.4` of 0.4.5.
fn generation(version: [u64; 3]) -> [u64; 2] {
    if version[0] > 0 { [version[0], 0] } else { [0, version[1]] }
}

fn is_mended(version: &str, floors: &[&str]) -> bool {
    let version = numbers(version);
    let floors: Vec<_> = floors.iter().map(|floor| numbers(floor)).collect();
    match floors.iter().find(|floor| generation(**floor) == generation(version)) {
        Some(floor) => version >= *floor,
        None => floors.iter().all(|floor| version > *floor),
    }
}

#[test]
fn b_01_version_floors() {
    let locked = locked();
    let mut breaches = Vec::new();
    for (name, floors, advisories) in FLOORS {
        let Some(versions) = locked.get(*name) else {
            breaches.push(format!("{name} is gone from Cargo.lock: move its line to FLOORS_OF_ABSENT"));
            continue;
        };
        for version in versions.iter().filter(|version| !is_mended(version, floors)) {
            breaches.push(format!("{name} {version} is below {} ({advisories})", floors.join(" / ")));
        }
    }
    for (name, floors, advisories) in FLOORS_OF_ABSENT {
        for version in locked.get(*name).into_iter().flatten().filter(|version| !is_mended(version, floors)) {
            breaches.push(format!("{name} {version} is below {} ({advisories})", floors.join(" / ")));
        }
    }
    assert!(breaches.is_empty(), "\n\nKnown holes must not come back:\n\n  {}\n", breaches.join("\n  "));
}

#[test]
fn b_01_a_floor_is_of_its_generation() {
    assert!(is_mended("0.8.6", &["0.8.6", "0.9.3"]));
    assert!(!is_mended("0.8.5", &["0.8.6", "0.9.3"]));
    assert!(!is_mended("0.9.2", &["0.8.6", "0.9.3"]));
    assert!(is_mended("0.10.0", &["0.8.6", "0.9.3"]));
    assert!(!is_mended("0.7.9", &["0.8.6", "0.9.3"]));
    assert!(is_mended("2.0.0", &["1.11.1"]));
    assert!(is_mended("0.9.1", &["0.9.1"]) && !is_mended("0.9.0", &["0.9.1"]));
    assert!(!is_mended("0.8.9", &["0.9.1"]), "an earlier generation is below every floor");
    assert!(!is_mended("0.17.11", &["0.17.12"]));
}

#[test]
fn b_02_no_openssl() {
    let locked = locked();
    let found: Vec<_> = FORBIDDEN.iter().filter(|name| locked.contains_key(**name)).collect();
    assert!(
        found.is_empty(),
        "{found:?} came in. TLS is rustls with ring, here and in every library that can choose: pick its rustls \
         and ring features, and `cargo tree -i NAME -e features` tells who asked."
    );
}

/// No private RSA key, so that the timing leak of RUSTSEC-2023-0071 has nothing to leak.
#[test]
fn b_03_no_private_rsa_key_is_made() {
    let breaches: Vec<String> = files_below(&root().join("src"))
        .into_iter()
        .filter(|(_, text)| {
            ["RsaPrivateKey", "SigningAlgorithm::RS", "rsa_pem", "rsa_der"].iter().any(|n| text.contains(n))
        })
        .map(|(path, _)| path)
        .collect();
    assert!(breaches.is_empty(), "deny.toml's exception for RUSTSEC-2023-0071 no longer holds: {breaches:?}");
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    assert!(manifest["dependencies"].get("rsa").is_none(), "rsa is a dependency of our own now");
}

/// The crate pingora-cache is always in the tree; what must stay out is the code that uses it.
#[test]
fn p_29_pingora_cache_and_patches_are_off() {
    let features = features();
    for (package, enabled) in features.iter().filter(|(package, _)| package.starts_with("pingora")) {
        for feature in ["cache", "patched_http1", "openssl", "boringssl", "s2n"] {
            assert!(!enabled.iter().any(|name| name == feature), "{package} has the feature {feature}");
        }
    }
    assert!(features["pingora"].iter().any(|name| name == "proxy"), "features were not read: {features:?}");
    assert!(features["prometheus"].is_empty(), "prometheus writes text, and needs no feature for it");
    for (path, text) in files_below(&root().join("src")) {
        for preserving in
            ["HttpUpstreamRequestPolicy::preserve", "HttpUpstreamRequestPolicy {", "H1UpgradePolicy"]
        {
            assert!(
                !text.contains(preserving),
                "{path}: requests to upstreams are the ones pingora normalised; what it would preserve is for us to check"
            );
        }
    }
}

/// Packages and their enabled features, as compiled into the program on this machine.
fn features() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal,build", "--prefix", "none"])
        .args(["--format", "{p}|{f}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let mut features: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (package, enabled) in tree.lines().filter_map(|line| line.trim_end_matches(" (*)").split_once('|')) {
        let name = package.split(' ').next().unwrap().to_owned();
        let enabled = enabled.split(',').filter(|name| !name.is_empty()).map(str::to_owned);
        features.entry(name).or_default().extend(enabled);
    }
    features
}

fn files_below(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
    files
}
