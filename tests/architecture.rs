//! The rules of `src/ARCHITECTURE.md`, in a form that can fail.
//!
//! Two tables say which module may name which, and which files may use a library; further rules
//! keep the code readable. The tables are always up to date: an entry for a room or a door that
//! does not exist fails like a breach. What does not live here: rules that clippy keeps
//! (`.clippy.toml`: lengths of functions, clocks, randomness) and rules about dependencies
//! (`tests/supply_chain.rs`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on stops here"
)]

#[path = "architecture/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use source::{Mention, Named, Source, line_counts, paths_of, sources};

/// Every room of `src/`, and the rooms it may name besides itself. Rings run from the inside out:
/// 0 domain; 1 ports; 2 records and flows; 3 the world; 4 settings, commands and the wiring.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("ports", &["domain"]),
    ("records", &["domain", "ports"]),
    ("flows", &["domain", "ports", "records"]),
    ("store", &["domain", "ports"]),
    ("system", &["domain", "ports"]),
    ("mail", &["domain", "ports"]),
    ("webhook", &["domain", "ports"]),
    ("telemetry", &["domain", "ports"]),
    ("web", &["domain", "ports", "flows"]),
    ("dialects", &["domain", "ports", "flows", "web"]),
    ("pages", &["domain", "ports", "flows", "web"]),
    ("proxy", &["domain", "ports", "flows"]),
    ("admin", &["domain", "ports", "flows"]),
    ("acme", &["domain", "ports"]),
    // Settings carry what their users take, in the users' own types: the formats of telemetry, the
    // limits and certificates of the proxy, the mail server, webhooks, the certificate authority.
    ("config", &["domain", "telemetry", "proxy", "mail", "webhook", "acme"]),
    ("app", EVERY_ROOM),
    ("cli", EVERY_ROOM),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// The outermost ring may name anything.
const EVERY_ROOM: &[&str] = &[
    "domain",
    "ports",
    "records",
    "flows",
    "store",
    "system",
    "mail",
    "webhook",
    "telemetry",
    "web",
    "dialects",
    "pages",
    "proxy",
    "admin",
    "acme",
    "config",
    "app",
    "cli",
];

/// Libraries that shape the code that uses them, and the files that may use them. A name that ends
/// in `*` stands for every library that begins so; a door that ends in `/` is a folder.
const DOORS: &[(&str, &[&str])] = &[
    ("pingora*", &["src/proxy/"]),
    ("sled", &["src/store/sled.rs", "src/store/sled/"]),
    (
        "biscuit_auth",
        &[
            "src/domain/keyring.rs",
            "src/domain/session/token.rs",
            "src/domain/access_token/",
            "src/domain/policy/datalog.rs",
            "src/domain/policy/facts.rs",
        ],
    ),
    ("biscuit_parser", &["src/domain/policy/datalog.rs"]),
    ("webauthn_rs*", &["src/domain/ceremony/"]),
    ("ciborium", &["src/domain/ceremony/"]),
    ("governor", &["src/flows/attempts/limits.rs"]),
    ("tower_http", &["src/web/", "src/dialects/"]),
    ("utoipa*", &["src/dialects/"]),
    ("jsonwebtoken", &["src/domain/assertion.rs"]),
    ("p256", &["src/domain/assertion.rs"]),
    ("askama", &["src/pages/", "src/mail/"]),
    ("lettre", &["src/mail/smtp.rs"]),
    ("chacha20poly1305", &["src/domain/sealed.rs"]),
    ("prometheus", &["src/telemetry/metrics.rs", "src/telemetry/metrics/"]),
    ("tracing_subscriber", &["src/telemetry/logging.rs"]),
    ("clap", &["src/cli/"]),
    ("csv", &["src/cli/people.rs"]),
    ("age", &["src/app/encryption.rs", "src/config/backup.rs"]),
    ("toml", &["src/config/"]),
    ("rustls", &["src/proxy/", "src/webhook/http.rs"]),
    ("hyper_util", &["src/webhook/http.rs", "src/app/doctor/"]),
    ("hyper_rustls", &["src/webhook/http.rs", "src/app/doctor/"]),
    ("x509_parser", &["src/proxy/tls.rs", "src/acme/keeper.rs"]),
    ("instant_acme", &["src/acme/"]),
    ("rustix", &["src/app/doctor/", "src/system.rs"]),
    ("getrandom", &["src/system.rs"]),
    ("sd_notify", &["src/system.rs"]),
    ("listenfd", &["src/system.rs"]),
    ("command_fds", &["src/system.rs"]),
    ("qrcode", &["src/web/qr.rs"]),
    ("psl", &["src/config/relying_party.rs"]),
    ("mimalloc", &["src/main.rs"]),
    // Our own endpoints speak axum; the proxy calls them through one bridge.
    (
        "axum*",
        &[
            "src/web/",
            "src/dialects/",
            "src/pages/",
            "src/proxy/",
            "src/telemetry/exposition.rs",
            "src/cli/demo/",
        ],
    ),
];

/// Generators of random numbers that are not the operating system's: some can be guessed, and none
/// is needed.
const OTHER_RANDOMNESS: &[&str] = &["rand", "fastrand", "oorandom", "nanorand", "rand_core", "rand_chacha"];

/// Rooms whose parts (files, and folders with all that is in them) can be read one after another.
const WITHOUT_CIRCLES: &[&str] = &["flows", "config", "proxy"];

/// What the innermost ring must not use: waiting, the outside world, and transports.
const NOT_IN_DOMAIN: &[&str] = &[
    "tokio",
    "async_trait",
    "futures_util",
    "tracing",
    "tower",
    "http_body_util",
    "bytes",
    "std::fs",
    "std::process",
    "std::env",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::thread",
];

/// Names that say nothing about a file's content.
const EMPTY_NAMES: &[&str] =
    &["util", "utils", "helper", "helpers", "common", "misc", "manager", "shared", "base"];

/// The longest a file may grow before it has to become two rooms. Most should stay under 350.
const FILE_LINES_MAX: usize = 550;
const FILE_LINES_P90_MAX: usize = 350;
/// How wide prose may be. Most is wrapped at 100; a long word may need a few more.
const PROSE_COLUMNS_MAX: usize = 112;

/// Reports all breaches of one rule together, with what the rule is for.
#[track_caller]
fn nothing_breaks(rule: &str, breaches: &[String]) {
    assert!(breaches.is_empty(), "\n\n{rule}\n\n  {}\n", breaches.join("\n  "));
}

/// S-24: secrets come from the operating system's generator, through one door.
#[test]
fn s_24_randomness_has_one_source() {
    let sources = sources("src");
    let named = |library: &str| -> Vec<&str> {
        let is_it = |mention: &Mention| matches!(&mention.named, Named::Theirs(path) if path[0] == library);
        let files = sources.iter().filter(|source| paths_of(source).iter().any(is_it));
        files.map(|source| source.path.as_str()).collect()
    };
    assert_eq!(named("getrandom"), ["src/system.rs"], "the control, and the door");
    for library in OTHER_RANDOMNESS {
        assert_eq!(named(library), [] as [&str; 0], "{library} is named");
    }
    let lints = fs::read_to_string(".clippy.toml").unwrap();
    assert!(lints.contains("getrandom::fill"), "clippy keeps callers away from it");
}

/// S-16: secrets are compared in constant time, by one type alone.
#[test]
fn s_16_secrets_are_compared_in_one_place() {
    let file = fs::read_to_string("src/domain/secret.rs").unwrap();
    let derives = |name: &str| {
        let (before, _) = file.split_once(&format!("pub struct {name}(")).unwrap();
        before.rsplit("\n\n").next().unwrap().to_owned()
    };
    assert!(!derives("Secret").contains("PartialEq"), "a secret is compared through its hash alone");
    assert!(
        !derives("SecretHash").contains("PartialEq"),
        "a derived comparison ends at the first difference"
    );
    assert!(file.contains("self.0.ct_eq(&other.0)"));
    // A revealed secret is never compared: it is hashed first.
    let revealed = |text: &str| text.contains("reveal() ==") || text.contains("== secret.reveal()");
    assert!(revealed("if secret.reveal() == shown {"), "the breach is noticed");
    for source in sources("src") {
        assert!(!revealed(&source.text), "{} compares a secret as text", source.path);
    }
}

#[test]
fn modules_depend_only_inwards() {
    let mut breaches = Vec::new();
    for file in sources("src") {
        let room = file.room();
        let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| *name == room) else {
            breaches.push(format!(
                "{}: the room `{room}` is not in MAY_NAME of tests/architecture.rs",
                file.path
            ));
            continue;
        };
        for mention in paths_of(&file) {
            let named = match &mention.named {
                Named::Ours(path) => path.first(),
                Named::Theirs(path) if path[0] == "vestibule" => path.get(1),
                Named::Theirs(_) => continue,
            };
            let named = named.map_or("*", String::as_str);
            if named != room && !allowed.contains(&named) {
                breaches.push(format!("{}:{}: {room} names {named}", file.path, mention.line));
            }
        }
    }
    nothing_breaks(
        "A room may name only rooms further in (src/ARCHITECTURE.md, \"Rings\"). What an inner room needs from \
         outside, it asks for through a trait in ports/, and app/ hands it in; what two rooms of one ring both need \
         moves a ring inwards. If the rule is wrong, change it here and in ARCHITECTURE.md, with the reason.",
        &breaches,
    );
}

#[test]
fn restricted_crates_are_used_in_their_places_only() {
    let mut breaches = Vec::new();
    for file in sources("src") {
        for mention in paths_of(&file) {
            let Named::Theirs(path) = &mention.named else { continue };
            let Some((library, doors)) = DOORS.iter().find(|(library, _)| is_library(library, &path[0]))
            else {
                continue;
            };
            if !doors.iter().any(|door| is_behind(&file.path, door)) {
                breaches.push(format!(
                    "{}:{}: {} (door of {library}: {})",
                    file.path,
                    mention.line,
                    path.join("::"),
                    doors.join(", ")
                ));
            }
        }
    }
    nothing_breaks(
        "A library that shapes its users has one door (src/ARCHITECTURE.md, \"Doors\"), so that it can be upgraded, \
         distrusted or replaced in one place. Give the door a function or a type in our own words, and call that.",
        &breaches,
    );
}

#[test]
fn tables_have_no_stale_entries() {
    let files = sources("src");
    let rooms: BTreeSet<String> = files.iter().map(Source::room).collect();
    let mut breaches: Vec<String> = MAY_NAME
        .iter()
        .filter(|(room, _)| !rooms.contains(*room))
        .map(|(room, _)| format!("MAY_NAME has a room `{room}` that src/ has not"))
        .collect();
    for (library, doors) in DOORS {
        for door in *doors {
            let used = files.iter().filter(|file| is_behind(&file.path, door)).any(|file| {
                paths_of(file).iter().any(
                    |mention| matches!(&mention.named, Named::Theirs(path) if is_library(library, &path[0])),
                )
            });
            if !used {
                breaches.push(format!("DOORS opens {door} for {library}, and no file there uses it"));
            }
        }
    }
    nothing_breaks("A table with entries for what is gone teaches the wrong house: remove them.", &breaches);
}

#[test]
fn domain_has_no_io_and_no_async() {
    let mut breaches = Vec::new();
    for file in sources("src/domain") {
        if file.text.contains("async fn") {
            breaches.push(format!("{}: async", file.path));
        }
        for mention in paths_of(&file) {
            let Named::Theirs(path) = &mention.named else { continue };
            let path = path.join("::");
            if NOT_IN_DOMAIN.iter().any(|name| path == *name || path.starts_with(&format!("{name}::"))) {
                breaches.push(format!("{}:{}: {path}", file.path, mention.line));
            }
        }
    }
    nothing_breaks(
        "domain/ is values and pure functions: time and randomness are arguments, and what must be waited for \
         happens in flows/, through ports/.",
        &breaches,
    );
}

#[test]
fn every_file_has_a_module_comment() {
    let breaches: Vec<String> = ["src", "tests", "benches"]
        .into_iter()
        .flat_map(sources)
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| file.path)
        .collect();
    nothing_breaks(
        "Every file begins with `//!`: what lives here, what does not, and what always holds. It is the first thing \
         a newcomer reads and the thing a reviewer holds the code against.",
        &breaches,
    );
}

#[test]
fn no_test_is_skipped_or_expected_to_crash() {
    let forbidden = [concat!("#[", "ignore"), concat!("#[", "should_panic")];
    let breaches: Vec<String> = ["src", "tests"]
        .into_iter()
        .flat_map(sources)
        .filter(|file| forbidden.iter().any(|attribute| file.text.contains(attribute)))
        .map(|file| file.path)
        .collect();
    nothing_breaks(
        "A test that does not run proves nothing: mend it or remove it. A test that expects a crash does not say \
         which one: return the error and compare it.",
        &breaches,
    );
}

#[test]
fn no_file_has_a_generic_name() {
    let breaches: Vec<String> = ["src", "tests"]
        .into_iter()
        .flat_map(sources)
        .map(|file| file.path)
        .filter(|path| path.trim_end_matches(".rs").split('/').any(|part| EMPTY_NAMES.contains(&part)))
        .collect();
    nothing_breaks(
        "A file is named after what is in it. A file that is named after nothing collects everything: put \
         each part where it is used, or name what they have in common.",
        &breaches,
    );
}

#[test]
fn files_stay_below_the_line_limit() {
    let files = sources("src");
    let mut lengths: Vec<(usize, &str)> =
        line_counts(&files).into_iter().map(|(path, lines)| (lines, path)).collect();
    lengths.sort_unstable();
    let at = |share: usize| lengths[(lengths.len() - 1) * share / 100].0;
    let longest: Vec<String> =
        lengths.iter().rev().take(8).map(|(lines, path)| format!("{lines:>5} {path}")).collect();
    println!("file lines: median {}, p90 {}; longest:\n{}", at(50), at(90), longest.join("\n"));
    let mut breaches: Vec<String> = lengths
        .iter()
        .filter(|(lines, _)| *lines > FILE_LINES_MAX)
        .map(|(lines, path)| format!("{path}: {lines} lines, at most {FILE_LINES_MAX}"))
        .collect();
    if at(90) > FILE_LINES_P90_MAX {
        breaches.push(format!(
            "one file in ten is longer than {FILE_LINES_P90_MAX} lines:\n  {}",
            longest.join("\n  ")
        ));
    }
    nothing_breaks(
        "A long file is several rooms without walls: find the second subject and give it a file.",
        &breaches,
    );
}

/// An authority is made behind the operator's socket, from an administrator's session, and for the
/// gateway's own backups; nowhere else.
#[test]
fn authority_is_made_in_three_places() {
    let files = sources("src");
    let makers = |what: &str| -> Vec<&str> {
        let makes = |file: &&Source| file.text.contains(what) && !file.path.ends_with("flows/authority.rs");
        files.iter().filter(makes).map(|file| file.path.as_str()).collect()
    };
    assert_eq!(makers("of_gateway"), ["src/app/backups.rs"]);
    let operator = makers("of_operator");
    assert!(
        !operator.is_empty() && operator.iter().all(|path| path.starts_with("src/admin/")),
        "{operator:?}"
    );
}

/// Prose in code is wrapped near 100 columns, so that it can be read beside the code.
#[test]
fn comments_are_wrapped() {
    let is_long =
        |line: &str| line.trim_start().starts_with("//") && line.chars().count() > PROSE_COLUMNS_MAX;
    assert!(is_long(&format!("// {}", "x".repeat(PROSE_COLUMNS_MAX))), "the breach is noticed");
    let files = ["src", "tests", "benches"].into_iter().flat_map(sources);
    let breaches: Vec<String> = files
        .flat_map(|file| {
            let long = |(number, line): (usize, &str)| {
                is_long(line).then(|| format!("{}:{}", file.path, number + 1))
            };
            file.text.lines().enumerate().filter_map(long).collect::<Vec<_>>()
        })
        .collect();
    nothing_breaks("Wrap prose near 100 columns.", &breaches);
}

/// Evidence lets a session be minted, so only the flows that check it may make it.
#[test]
fn evidence_of_a_sign_in_is_made_by_the_checks_alone() {
    const EVIDENCE: &[&str] = &["UsedLink", "PrintedCode", "ConfirmedDevice", "Applicant", "ReadMail"];
    let is_made = |file: &Source, name: &str| file.text.contains(&format!("{name}::of("));
    let files = sources("src");
    for name in EVIDENCE {
        let makers: Vec<&str> =
            files.iter().filter(|file| is_made(file, name)).map(|file| file.path.as_str()).collect();
        assert_eq!(makers.len(), 1, "{name} is made in one place: {makers:?}");
        assert!(makers[0].starts_with("src/flows/sign_in/"), "{name} is made in {}", makers[0]);
    }
}

#[test]
fn parts_of_a_room_do_not_name_one_another_in_circles() {
    let files = sources("src");
    let modules: BTreeSet<Vec<String>> = files
        .iter()
        .map(Source::module)
        .flat_map(|module| [module[..module.len().min(2)].to_vec()])
        .collect();
    let mut names: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.module().len() > 1) {
        let module = file.module();
        let part = (module[0].clone(), module[1].clone());
        for mention in paths_of(file) {
            let Named::Ours(path) = mention.named else { continue };
            if path.len() > 1 && path[0] == part.0 && path[1] != part.1 && modules.contains(&path[..2]) {
                names.entry(part.clone()).or_default().insert(path[1].clone());
            }
        }
    }
    let mut breaches = Vec::new();
    for (room, part) in names.keys().filter(|(room, _)| WITHOUT_CIRCLES.contains(&room.as_str())) {
        if let Some(circle) = way_back_to(part, room, &names) {
            breaches.push(format!("{room}: {}", circle.join(" -> ")));
        }
    }
    nothing_breaks("Parts that name one another are one part, or have another one in common.", &breaches);
}

/// The shortest way from a part of a room over others back to itself.
fn way_back_to(
    part: &str,
    room: &str,
    names: &BTreeMap<(String, String), BTreeSet<String>>,
) -> Option<Vec<String>> {
    let neighbours = |part: &str| names.get(&(room.to_owned(), part.to_owned())).into_iter().flatten();
    let mut seen = BTreeSet::new();
    let mut ways = std::collections::VecDeque::from([vec![part.to_owned()]]);
    while let Some(way) = ways.pop_front() {
        for next in neighbours(way.last()?) {
            let mut longer = way.clone();
            longer.push(next.clone());
            if next == part {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                ways.push_back(longer);
            }
        }
    }
    None
}

#[test]
fn architecture_md_names_every_module() {
    let map = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ARCHITECTURE.md")).unwrap();
    let breaches: Vec<String> = MAY_NAME
        .iter()
        .map(|(room, _)| *room)
        .filter(|room| !map.contains(&format!("`{room}/`")) && !map.contains(&format!("`{room}.rs`")))
        .map(|room| format!("src/ARCHITECTURE.md does not mention `{room}/` or `{room}.rs`"))
        .collect();
    nothing_breaks("The map is read before the code, so it has to show every room.", &breaches);
}

/// Whether `head` is the library, or one of the family if `pattern` ends in `*`.
fn is_library(pattern: &str, head: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(family) => head == family || head.starts_with(&format!("{family}_")),
        None => head == pattern,
    }
}

fn is_behind(path: &str, door: &str) -> bool {
    path == door || (door.ends_with('/') && path.starts_with(door))
}
