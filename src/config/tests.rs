//! Promises of the configuration: the manual is true, every mistake is found and told with its
//! line, and all of them are told together.

mod rules;

use std::fmt::Write as _;
use std::time::Duration;

use super::reader::Reader;
use proptest::prelude::*;

use super::*;
use crate::domain::code::EmailCode;

mod webhooks;

const MANUAL: &str = include_str!("../../config.toml");

fn parse_file(text: &str) -> Result<Settings, Vec<Mistake>> {
    parse(text, &Environment::default())
}

fn defaults() -> Settings {
    parse_file("").unwrap()
}

/// The manual with the settings that have a default made active, and the examples if asked for.
fn uncommented(examples: bool) -> String {
    let mut text = String::new();
    for line in MANUAL.lines() {
        let setting = line
            .strip_prefix('#')
            .filter(|rest| rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()));
        let example = line.strip_prefix("#     ").filter(|_| examples);
        writeln!(text, "{}", setting.or(example).unwrap_or_default()).unwrap();
    }
    text
}

#[test]
fn config_toml_shows_the_defaults() {
    let mut manual = parse_file(&uncommented(false)).unwrap();
    // The places of the keys differ; their values do not.
    let said = |settings: &Settings| {
        let mut said: Vec<_> = settings.written.iter().map(|it| (it.key.clone(), it.value.clone())).collect();
        said.sort();
        said
    };
    assert_eq!(said(&manual), said(&defaults()));
    manual.written = defaults().written;
    assert_eq!(format!("{manual:#?}"), format!("{:#?}", defaults()));
    assert!(parse_file(MANUAL).is_ok());
}

/// The manual gives the defaults of routes only in prose.
#[test]
fn f_26_idle_connections_are_closed_before_applications_close_them() {
    let settings = parse_file(&route_with("path = \"/\"")).unwrap();
    let kept = settings.routes.all().next().unwrap().timeouts.idle;
    assert_eq!(kept, Duration::from_secs(3), "Node.js and uvicorn close theirs after five");
    assert!(MANUAL.contains("Default 3s.\n#     idle_timeout = \"3s\""));
}

#[test]
fn config_toml_documents_every_setting_and_variable() {
    let environment = Environment::default();
    let text = uncommented(true);
    let reader = Reader::new(&text, &environment);
    let table = DeTable::parse(&text).unwrap();
    let _ = read(&reader, table.get_ref());
    let later = ["store.endpoints"];
    let mut settings = 0;
    for key in reader.asked() {
        let word = key.rsplit('.').next().unwrap();
        let shown = |line: &str| {
            let line = line.trim_start_matches(['#', ' ', '[']);
            let in_line = [format!("{{ {word} = "), format!(", {word} = ")];
            line.starts_with(&format!("{word} = "))
                || line.starts_with(&format!("{key}]"))
                || in_line.iter().any(|shown| line.contains(shown))
        };
        assert!(later.contains(&key.as_str()) || MANUAL.lines().any(shown), "{key} is not in config.toml");
        settings += 1;
    }
    for name in reader.variables() {
        assert!(MANUAL.contains(&name), "{name} is not in config.toml");
    }
    assert!(settings > 40, "{settings}");
    let mistakes: Vec<_> =
        reader.finish().into_iter().filter(|m| !m.problem.contains("cannot be read")).collect();
    assert_eq!(mistakes, [], "the examples of the manual are not right");
}

/// One mistake: its key, its line, and a word from what is said about it.
#[track_caller]
fn check(text: &str, key: &str, line: usize, word: &str) {
    let mistakes = parse_file(text).expect_err("there is a mistake");
    let found = mistakes.iter().any(|m| {
        m.key == key && m.line == Some(line) && (m.problem.contains(word) || m.remedy.contains(word))
    });
    assert!(found && mistakes.len() == 1, "{text}\n{mistakes:#?}");
}

/// A route, with `change` put in place of the line that begins with the same word, or added.
fn route_with(change: &str) -> String {
    let word = change.split(' ').next().unwrap();
    let lines = [
        "name = \"app\"",
        "host = \"localhost\"",
        "upstream = [\"http://127.0.0.1:9000\"]",
        "allow = [\"user\"]",
    ];
    let kept: Vec<_> = lines.iter().filter(|line| !line.starts_with(word)).copied().collect();
    format!("[[route]]\n{change}\n{}\n", kept.join("\n"))
}

#[test]
fn unknown_keys_are_mistakes_with_a_suggestion() {
    check("public_ulr = \"http://localhost\"", "public_ulr", 1, "public_url");
    check("\n[server]\nlistn = []", "server.listn", 3, "\"listen\"");
    check("listen = []", "listen", 1, "[server]");
    check("[server]\npublic_url = \"http://localhost\"", "server.public_url", 2, "top of the file");
    check("[serverr]\nlisten = []", "serverr", 1, "\"server\"");
    check("[server]\nentirely_different = 1", "server.entirely_different", 2, "remove the key");
    check(&route_with("upstreams = []"), "route.upstreams", 2, "\"upstream\"");
    check(&route_with("alow = [\"group:staff\"]"), "route.alow", 2, "\"allow\"");
}

#[test]
fn s_04_values_of_the_wrong_type_are_mistakes() {
    check("public_url = 1", "public_url", 1, "found a whole number");
    check("[server]\nlisten = \"127.0.0.1:1\"", "server.listen", 2, "a list of texts");
    check("[server]\nlisten = [1]", "server.listen", 2, "a list of texts");
    check("[server]\nworkers = \"2\"", "server.workers", 2, "a number");
    check("[server]\nworkers = -1", "server.workers", 2, "out of range");
    check("[server]\nworkers = 99999999999999999999999", "server.workers", 2, "out of range");
    check("server = 1", "server", 1, "a table");
    check("route = 1", "route", 1, "[[route]]");
    check(&route_with("websocket = \"yes\""), "route.websocket", 2, "true or false");
    check(&route_with("allow = \"user\""), "route.allow", 2, "a list of texts");
    check(&route_with("headers = 1"), "route.headers", 2, "a text");
}

#[test]
fn refuses_implausible_values() {
    check("public_url = \"http://auth.example.com\"", "public_url", 1, "only safe on localhost");
    check("public_url = \"https://10.0.0.1\"", "public_url", 1, "passkeys need a name");
    check("[server]\nlisten = [\"8080\"]", "server.listen", 2, "127.0.0.1:8080");
    check("[server]\nlisten = []", "server.listen", 2, "no address");
    check("[server]\nlisten = [\"127.0.0.1:9464\"]", "server.listen", 2, "two listeners");
    check("[server]\nprefix = \"/\"", "server.prefix", 2, "/auth");
    check("[server]\nprefix = \"/a/../b\"", "server.prefix", 2, "/auth");
    check("[server]\nprefix = \"/a:b\"", "server.prefix", 2, "':'");
    check("[server]\ntrusted_proxies = [\"10.0.0.1/8\"]", "server.trusted_proxies", 2, "10.0.0.0/8");
    check("[server]\ntrusted_proxies = [\"0.0.0.0/0\"]", "server.trusted_proxies", 2, "every client");
    check("[server]\ntrusted_proxies = [\"example.com\"]", "server.trusted_proxies", 2, "network");
    check("[server]\ngrace_period = \"5\"", "server.grace_period", 2, "ms, s, m, h or d");
    check("[relying_party]\nid = \"example.com\"", "relying_party.id", 2, "does not cover");
    let foreign = "[relying_party]\nrelated_origins = [\"http://example.org\"]";
    check(foreign, "relying_party.related_origins", 2, "no passkeys over http");
    check("[store]\nengine = \"etcd\"", "store.engine", 2, "not built yet");
    check("[store]\ncache = \"1KiB\"", "store.cache", 2, "out of range");
    check("[session]\nidle_timeout = \"8d\"", "session.idle_timeout", 2, "absolute_timeout");
    check("[session]\nabsolute_timeout = \"401d\"", "session.absolute_timeout", 2, "longer");
    check("[signup]\nmode = \"open\"", "signup.mode", 2, "there is no [mail]");
    check("[signup]\nmode = \"domain\"", "signup.mode", 2, "no domain is named");
    check("[signup]\nmode = \"closed\"", "signup.mode", 2, "unknown value");
    check("[branding]\naccent = \"red\"", "branding.accent", 2, "colour");
    check("[branding]\nlogo = \"no-such-file.svg\"", "branding.logo", 2, "cannot be read");
    check(
        "[branding]\nfavicon = \"config.toml\"",
        "branding.favicon",
        2,
        "is not an .svg, .png or .webp file",
    );
    check("[branding]\ncontact = \" \"", "branding.contact", 2, "is empty");
    check("[branding]\nlinks = [\"Imprint\"]", "branding.links", 2, "has no URL");
    check("[branding]\nlinks = [\"x <javascript:alert(1)>\"]", "branding.links", 2, "not https");
    let seven = ["\"x <https://a.example>\""; 7].join(", ");
    check(&format!("[branding]\nlinks = [{seven}]"), "branding.links", 2, "more than 6");
    // An existing file that pages would refuse.
    check("[branding]\nlogo = \"config.toml\"", "branding.logo", 2, "is not an .svg, .png or .webp file");
    check("[log]\nlevel = \"loud\"", "log.level", 2, "info");
    check("[signin]\nemail_code = \"enroll\"", "signin.email_code", 2, "no [mail]");
}

#[test]
fn mail_requires_server_sender_and_user() {
    let from = "from = \"no-reply@example.com\"";
    check("[mail]\nurl = \"smtp://x\"", "mail.from", 1, "mail needs from");
    check(&format!("[mail]\n{from}"), "mail.url", 1, "mail needs url");
    check(&format!("[mail]\nurl = \"http://x\"\n{from}"), "mail.url", 2, "smtps://");
    check("[mail]\nurl = \"smtp://x\"\nfrom = \"nobody\"", "mail.from", 3, "no-reply@example.com");
    let password = "password = \"secret\"";
    check(&format!("[mail]\nurl = \"smtp://x\"\n{from}\n{password}"), "mail.url", 2, "no user");
    let gone = "password_file = \"gone\"";
    check(
        &format!("[mail]\nurl = \"smtp://u@x\"\n{from}\n{gone}"),
        "mail.password_file",
        4,
        "cannot be read",
    );
    let settings = parse_file(&format!("[mail]\nurl = \"smtp://u@x\"\n{from}\n{password}")).unwrap();
    assert_eq!(settings.email_code, EmailCode::Off, "f_02: a mailbox opens no account unless it is said");
    let said = "[signin]\nemail_code = \"enroll\"";
    let settings = parse_file(&format!("[mail]\nurl = \"smtp://u@x\"\n{from}\n{password}\n{said}")).unwrap();
    assert_eq!(settings.email_code, EmailCode::Enroll);
}

#[test]
fn refuses_overlapping_mounts_and_routes() {
    let on = "[dialects]\nbetter_auth = true\nocore = true\n";
    check(&format!("{on}better_auth_mount = \"/api\""), "dialects.ocore_mount", 1, "would both answer");
    for (path, claims) in [("/api/auth/x", "better_auth"), ("/api", "better_auth")] {
        let route = format!(
            "{on}\n[[route]]\nname = \"app\"\nhost = \"localhost\"\npath = {path:?}\nupstream = [\"http://127.0.0.1:9000\"]\nallow = [\"user\"]"
        );
        let mistakes = parse_file(&route).expect_err(path);
        assert!(mistakes.iter().any(|m| m.key == "dialects" && m.problem.contains(claims)), "{mistakes:#?}");
    }
    let whole = format!(
        "{on}\n[[route]]\nname = \"app\"\nhost = \"localhost\"\nupstream = [\"http://127.0.0.1:9000\"]\nallow = [\"user\"]"
    );
    assert!(parse_file(&whole).is_ok(), "an application may have the rest of the host");
}

#[test]
fn tls_needs_both_an_address_and_a_certificate() {
    check("[server.tls]\nlisten = [\"127.0.0.1:8443\"]", "server.tls.listen", 2, "no certificate");
    let cert = "cert = \"config.toml\"";
    check(&format!("[server.tls]\nlisten = [\"127.0.0.1:8443\"]\n{cert}"), "server.tls.cert", 3, "no key");
    check(&format!("[server.tls]\n{cert}\nkey = \"config.toml\""), "server.tls.cert", 2, "no address");
    let missing = "[server.tls]\nlisten = [\"127.0.0.1:8443\"]\ncert = \"config.toml\"\nkey = \"gone.key\"";
    check(missing, "server.tls.key", 4, "cannot be read");
    let empty = "[server.tls]\nlisten = [\"127.0.0.1:8443\"]\n[[server.tls.certificate]]\n";
    check(empty, "server.tls.certificate.cert", 3, "missing");
    let two = format!(
        "[server.tls]\nlisten = [\"127.0.0.1:8443\"]\n{cert}\nkey = \"config.toml\"\n[[server.tls.certificate]]\n{cert}\nkey = \"config.toml\""
    );
    assert_eq!(parse_file(&two).unwrap().server.tls.unwrap().certificates.len(), 2);
}

#[test]
fn aliases_need_forward_auth() {
    check("[forward_auth]\noauth2_proxy = true", "forward_auth.oauth2_proxy", 2, "forward-auth is off");
    check("[forward_auth]\nwebauthn_proxy = true", "forward_auth.webauthn_proxy", 2, "forward-auth is off");
}

#[test]
fn p_04_proxy_protocol_requires_trusted_proxies() {
    check("[server]\nproxy_protocol = true", "server.proxy_protocol", 2, "no proxy is trusted");
    let settings = parse_file("[server]\nproxy_protocol = true\ntrusted_proxies = [\"10.0.0.1\"]").unwrap();
    assert!(settings.server.proxy_protocol && !defaults().server.proxy_protocol);
}

#[test]
fn acme_has_defaults_for_every_key() {
    let settings = parse_file("public_url = \"https://auth.example.com\"\n[server.tls.acme]\n").unwrap();
    assert_eq!(settings.server.listen, ["[::]:80".parse().unwrap()]);
    let tls = settings.server.tls.unwrap();
    assert_eq!(tls.listen, ["[::]:443".parse().unwrap()]);
    let acme = tls.acme.unwrap();
    assert_eq!(acme.challenge, crate::acme::Challenge::TlsAlpn01);
    assert!(acme.directory.starts_with("https://") && acme.email.is_none());

    let with = |line: &str| format!("[server.tls.acme]\n{line}");
    check(&with("challenge = \"dns-01\""), "server.tls.acme.challenge", 2, "cannot write DNS");
    check(&with("challenge = \"x\""), "server.tls.acme.challenge", 2, "can answer");
    check(&with("directory = \"http://a/\""), "server.tls.acme.directory", 2, "not https");
    check(&with("email = \"a\""), "server.tls.acme.email", 2, "");
    check(&with("ca_file = \"none.pem\""), "server.tls.acme.ca_file", 2, "cannot be read");
    check(&with("profile = \"two words\""), "server.tls.acme.profile", 2, "not one word");
    check(&with("account_key_id = \"kid\""), "server.tls.acme.account_key_id", 2, "account_hmac_key_file");
    check("[server.tls]\nlisten = []\n[server.tls.acme]\n", "server.tls.listen", 2, "no listener");
    let wildcard = "public_url = \"https://auth.example.com\"\n[server.tls.acme]\n[[route]]\nname = \"app\"\nhost = \"*.apps.example.com\"\nupstream = [\"http://127.0.0.1:9000\"]\nallow = [\"user\"]";
    let remarks = parse_file(wildcard).unwrap().remarks;
    assert!(remarks.iter().any(|remark| remark.contains("obtains no certificate")), "{remarks:?}");
}

#[test]
fn p_10_refuses_implausible_routes() {
    assert!(parse_file(&route_with("path = \"/x\"")).is_ok());
    check(&route_with("name = \"My app\""), "route.name", 2, "a-z");
    check(&route_with("host = \"http://localhost\""), "route.host", 2, "without scheme");
    check(&route_with("host = \"app.example.com\""), "route.host", 2, "public_url is http");
    check(&route_with("path = \"x\""), "route.path", 2, "beginning of a path");
    check(&route_with("path = \"/a@b\""), "route.path", 2, "'@'");
    check(&route_with("path = \"/a%40b\""), "route.path", 2, "'%'");
    check(&route_with("path = \"/é\""), "route.path", 2, "'é'");
    check(&route_with("public = [\"/é\"]"), "route.public", 2, "plain ASCII");
    check(&route_with("path = \"/auth\""), "route.path", 2, "reserved for the gateway");
    check(&route_with("path = \"/auth/x\""), "route.path", 2, "reserved for the gateway");
    check(&route_with("upstream = []"), "route.upstream", 2, "at least one");
    check(&route_with("upstream = [\"127.0.0.1:9000\"]"), "route.upstream", 2, "http://127.0.0.1:9000");
    check(&route_with("upstream = [\"http://localhost:8080\"]"), "route.upstream", 2, "in circles");
    check(&route_with("upstream = [\"http://127.0.0.1:9464\"]"), "route.upstream", 2, "in circles");
    check(&route_with("allow = []"), "route.allow", 2, "no user could enter");
    check(&route_with("allow = [\"staff\"]"), "route.allow", 2, "group:");
    check(&route_with("public = [\"/a/*/b\"]"), "route.public", 2, "/static/*");
    check(&route_with("path = \"/app\"\npublic = [\"/health\"]"), "route.public", 3, "never matches");
    check(
        &route_with("path = \"/app\"\nlogout_url = \"/logout\""),
        "route.logout_url",
        3,
        "outside the route",
    );
    assert!(parse_file(&route_with("path = \"/app\"\nlogout_url = \"/app/logout\"")).is_ok());
    check(&route_with("headers = \"nginx\""), "route.headers", 2, "oauth2-proxy");
    check(&route_with("headers = { X-User = \"{user}\" }"), "route.headers.X-User", 2, "{username}");
    check(&route_with("headers = { X_User = \"{id}\" }"), "route.headers.X_User", 2, "hyphens only");
    check(&route_with("headers = { Host = \"{name}\" }"), "route.headers.Host", 2, "meaning of its own");
    check(&route_with("read_timeout = \"0s\""), "route.read_timeout", 2, "shorter");
    check(
        "[[route]]\nname = \"a\"\nhost = \"localhost\"\nallow = [\"user\"]",
        "route.upstream",
        1,
        "at least one",
    );
}

#[test]
fn routes_must_not_overlap() {
    let two = |second: &str| format!("{}{}", route_with("path = \"/a\""), route_with(second));
    check(&two("path = \"/b\""), "route.name", 9, "two routes are called");
    let renamed =
        |path: &str| two(&format!("path = \"{path}\"")).replacen("name = \"app\"", "name = \"one\"", 1);
    assert!(parse_file(&renamed("/b")).is_ok());
    assert!(parse_file(&renamed("/a/b")).is_ok());
    check(&renamed("/a"), "route.path", 8, "overlap");
    check(&renamed("/A"), "route.path", 8, "letter case");
    let wildcard =
        "public_url = \"https://auth.example.com\"\n".to_owned() + &route_with("host = \"*.example.com\"");
    check(&wildcard, "route.host", 3, "where users sign in");
}

#[test]
fn remarks_on_wildcard_routes() {
    let remarks = |host: &str| parse_file(&route_with(&format!("host = \"{host}\""))).unwrap().remarks;
    assert!(remarks("*.apps.localhost").iter().any(|remark| remark.contains("*.apps.localhost")));
    assert_eq!(remarks("app.localhost"), Vec::<String>::new());
}

#[test]
fn reports_all_mistakes_in_file_order() {
    let text = "public_url = \"http://example.com\"\n[server]\nlistn = 1\nworkers = true\n[session]\nfresh_for = \"x\"\n";
    let mistakes = parse_file(text).unwrap_err();
    let lines: Vec<_> = mistakes.iter().map(|m| m.line.unwrap()).collect();
    assert_eq!(lines, [1, 3, 4, 6], "{mistakes:#?}");
    assert!(mistakes.iter().all(|m| !m.problem.is_empty() && !m.remedy.is_empty()));
}

#[test]
fn reports_toml_syntax_errors_with_line() {
    let mistakes = parse_file("\n[server\nlisten = x\n").unwrap_err();
    assert_eq!(mistakes.first().and_then(|m| m.line), Some(2), "{mistakes:#?}");
    check("[store]\npath = \"a\"\npath = \"b\"\n", "TOML", 3, "duplicate");
}

#[test]
fn environment_overrides_the_file() {
    let environment = |pairs: &[(&str, &str)]| {
        Environment::from_pairs(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    };
    let set = environment(&[
        ("VESTIBULE_PUBLIC_URL", "http://localhost:9999"),
        ("VESTIBULE_SERVER_LISTEN", "127.0.0.1:9999, [::1]:9999"),
        ("VESTIBULE_SERVER_WORKERS", "3"),
        ("HOME", "/root"),
    ]);
    let settings = parse("public_url = \"http://localhost:1\"", &set).unwrap();
    assert_eq!(settings.origin(), "http://localhost:9999");
    assert_eq!(settings.server.listen.len(), 2);
    assert_eq!(settings.server.workers, 3);

    let wrong = environment(&[
        ("VESTIBULE_SERVER_LISTN", "x"),
        ("VESTIBULE_ROUTE_NAME", "x"),
        ("VESTIBULE_SERVER_WORKERS", "x"),
    ]);
    let mut keys: Vec<_> = parse("", &wrong).unwrap_err().into_iter().map(|m| m.key).collect();
    keys.sort();
    assert_eq!(keys, ["VESTIBULE_ROUTE_NAME", "VESTIBULE_SERVER_LISTN", "VESTIBULE_SERVER_WORKERS"]);
}

#[test]
fn applications_share_scheme_and_port_with_the_public_url() {
    assert_eq!(defaults().external_origin("app.localhost"), "http://app.localhost:8080");
    let settings = parse_file("public_url = \"https://auth.example.com\"").unwrap();
    assert_eq!(settings.external_origin("app.example.com"), "https://app.example.com");
    assert_eq!(settings.relying_party.id, "auth.example.com");
}

#[test]
fn a_named_file_that_is_not_there_is_a_mistake() {
    let mistakes = load(Some(Path::new("no/such/config.toml")), &Environment::default()).unwrap_err();
    assert!(mistakes.to_string().contains("cannot be read"), "{mistakes}");
}

#[test]
fn f_19_a_password_is_for_the_gateway_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let from = "from = \"a@example.com\"";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "secret\n").unwrap();
    let text = format!("[mail]\nurl = \"smtp://u@x\"\n{from}\npassword_file = {file:?}");
    for (mode, is_taken) in [(0o600, true), (0o400, true), (0o640, true), (0o644, false), (0o602, false)] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        if is_taken {
            let settings = parse_file(&text).unwrap_or_else(|mistakes| panic!("{mode:o}: {mistakes:#?}"));
            assert_eq!(settings.mail.unwrap().credentials.unwrap().1.as_str(), "secret");
        } else {
            check(&text, "mail.password_file", 4, "chmod 600");
        }
    }
}

#[test]
fn f_09_routes_on_the_auth_host_require_share_auth_host() {
    let text = |line: &str| {
        format!(
            "public_url = \"https://auth.example.com\"\n[server]\ntrusted_proxies = [\"127.0.0.1\"]\n[[route]]\n\
             name = \"a\"\nhost = \"auth.example.com\"\nupstream = [\"http://127.0.0.1:9000\"]\nallow = [\"user\"]\n{line}"
        )
    };
    let mistakes = parse(&text(""), &Environment::default()).unwrap_err();
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    assert!(mistakes[0].remedy.contains("share_auth_host = true"), "{mistakes:?}");
    let settings = parse(&text("share_auth_host = true"), &Environment::default()).unwrap();
    assert!(settings.remarks.iter().any(|remark| remark.contains("shares auth.example.com")));
}

/// Lines that could stand in a configuration, right and wrong.
fn lines() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        Just("public_url".to_owned()),
        Just("listen".to_owned()),
        Just("host".to_owned()),
        Just("upstream".to_owned()),
        Just("allow".to_owned()),
        Just("idle_timeout".to_owned()),
        "[a-z_]{1,8}",
    ];
    let value = prop_oneof![
        any::<i32>().prop_map(|number| number.to_string()),
        any::<bool>().prop_map(|flag| flag.to_string()),
        "\"[ -!#-\\[\\]-~]{0,20}\"",
        Just("[\"user\"]".to_owned()),
        Just("\"5m\"".to_owned()),
        Just("{}".to_owned()),
        ".{0,10}",
    ];
    prop_oneof![
        (key, value).prop_map(|(key, value)| format!("{key} = {value}\n")),
        Just("[server]\n".to_owned()),
        Just("[session]\n".to_owned()),
        Just("[[route]]\n".to_owned()),
        Just("[limits]\n".to_owned()),
        "\\[[a-z.]{0,8}\\]\n",
    ]
}

proptest! {
    /// Any text is read as settings or as mistakes, and every mistake says what to do.
    #[test]
    fn any_text_is_settings_or_mistakes_with_a_remedy(text in prop::collection::vec(lines(), 0..12)) {
        let text = text.concat();
        if let Err(mistakes) = parse(&text, &Environment::default()) {
            prop_assert!(!mistakes.is_empty());
            for mistake in mistakes {
                prop_assert!(!mistake.problem.is_empty() && !mistake.remedy.is_empty(), "{mistake:?}");
                let last = text.lines().count().max(1);
                prop_assert!(mistake.line.is_none_or(|line| (1..=last + 1).contains(&line)), "{mistake:?}");
            }
        }
    }
}

#[test]
fn a_directory_adds_routes() {
    let folder = tempfile::tempdir().unwrap();
    let route = |name: &str, path: &str| {
        format!(
            "[[route]]\nname = \"{name}\"\nhost = \"localhost\"\npath = \"{path}\"\nupstream = [\"http://127.0.0.1:9000\"]\nallow = [\"user\"]\n"
        )
    };
    let write = |file: &str, text: &str| std::fs::write(folder.path().join(file), text).unwrap();
    let main =
        format!("server.routes_directory = \"{}\"\n{}", folder.path().display(), route("first", "/first"));
    write("b.toml", &route("third", "/third"));
    write("a.toml", &route("second", "/second"));
    write(".c.toml", "not finished");
    write("notes.txt", "not ours");
    let names = |text: &str| {
        let settings = parse_file(text).unwrap();
        settings.routes.all().map(|route| route.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&main), ["first", "second", "third"]);

    // Every mistake is told with its file, those of the rest of the configuration included.
    write("b.toml", &route("first", "/x"));
    write("c.toml", "[server]\nworkers = 3\n[[route]]\nnam = \"x\"\n");
    write("d.toml", "[[route]\n");
    let mistakes = parse_file(&format!("{main}branding.nam = 1\n")).unwrap_err();
    let told: Vec<_> = mistakes
        .iter()
        .map(|mistake| {
            let file =
                mistake.file.as_ref().map_or("config", |file| file.file_name().unwrap().to_str().unwrap());
            format!("{file}:{} {}", mistake.line.unwrap_or(0), mistake.key)
        })
        .collect();
    for expected in [
        "b.toml:2 route.name",
        "c.toml:1 server",
        "c.toml:4 route.nam",
        "c.toml:3 route.host",
        "d.toml:1 TOML",
    ] {
        assert!(told.iter().any(|told| told == expected), "{expected} is not in {told:?}");
    }
    let shown = Mistakes { file: Some("config.toml".into()), list: mistakes }.to_string();
    assert!(shown.contains("b.toml:2: route.name"), "{shown}");
    check("[server]\nroutes_directory = \"no/such\"", "server.routes_directory", 2, "cannot be read");
}

#[test]
fn known_hosts_are_below_the_wildcard_of_their_route() {
    let below = |hosts: &str| {
        format!(
            "[[route]]\nname = \"apps\"\nhost = \"*.apps.localhost\"\nupstream = [\"http://127.0.0.1:9000\"]\n\
             allow = [\"user\"]\nknown_hosts = [{hosts}]\n"
        )
    };
    let settings = parse_file(&below("\"a.apps.localhost\", \"B.apps.localhost\"")).unwrap();
    let route = settings.routes.all().next().unwrap();
    let hosts = &route.tile.as_ref().unwrap().hosts;
    assert!(hosts.iter().all(|host| route.host.matches(host)), "{hosts:?}");
    assert_eq!(hosts.len(), 2);
    let key = "route.known_hosts";
    check(&below("\"a.other.localhost\""), key, 6, "does not answer");
    check(&below("\"a.b.apps.localhost\""), key, 6, "does not answer");
    check(&below("\"*.apps.localhost\""), key, 6, "is not one host");
    check(&below("\"a.apps.localhost\", \"a.apps.localhost\""), key, 6, "twice");
    check(&route_with("known_hosts = [\"localhost\"]"), key, 2, "remove known_hosts");
}
