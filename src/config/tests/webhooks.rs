//! The values that `[[webhook]]` accepts, and its mistakes for others.

use super::{check, parse_file};

#[test]
fn webhook_requires_https_and_known_events() {
    let with = |lines: &str| format!("[[webhook]]\n{lines}");
    let hook = |line: &str| with(&format!("url = \"https://h.example/x\"\nevents = [\"passkey\"]\n{line}"));
    assert!(parse_file(&hook("")).is_ok());
    check(&with("events = [\"passkey\"]"), "webhook.url", 1, "needs a url");
    check(&with("url = \"https://h.example\""), "webhook.events", 1, "never be told");
    check(&with("url = \"https://h.example\"\nevents = []"), "webhook.events", 3, "never be told");
    let unknown = with("url = \"https://h.example\"\nevents = [\"passkey\", \"passkeys\"]");
    check(&unknown, "webhook.events", 3, "no event called \"passkeys\"");
    check(&unknown, "webhook.events", 3, "credential_added");
    check(&unknown, "webhook.events", 3, "\"notices\"");
    // Events that any client can cause at will are not offered.
    check(&with("url = \"https://h.example\"\nevents = [\"rate_limited\"]"), "webhook.events", 3, "no event");
    for far in ["http://h.example", "http://8.8.8.8/x", "http://[2001:db8::1]/"] {
        check(&with(&format!("url = \"{far}\"\nevents = [\"passkey\"]")), "webhook.url", 2, "not https");
    }
    for near in
        ["http://127.0.0.1:1/", "http://ntfy/x", "http://[fd00::1]/", "http://a.internal/", "http://10.0.0.2"]
    {
        let text = with(&format!("url = \"{near}\"\nevents = [\"passkey\"]"));
        let remarks = parse_file(&text).unwrap_or_else(|mistakes| panic!("{near}: {mistakes:?}")).remarks;
        let is_told = remarks.iter().any(|remark| remark.contains("over plain http"));
        assert_eq!(is_told, near != "http://127.0.0.1:1/", "{near}: {remarks:?}");
    }
    check(&with("url = \"ftp://h.example\"\nevents = [\"passkey\"]"), "webhook.url", 2, "not https");
    check(
        &with("url = \"https://u:p@h.example\"\nevents = [\"passkey\"]"),
        "webhook.url",
        2,
        "would not be sent",
    );
    check(&hook("template = \"teams\""), "webhook.template", 4, "no template");
    check(&hook("ca_file = \"none.pem\""), "webhook.ca_file", 4, "cannot be read");
    check(&hook("secret = \"x\""), "webhook.secret", 4, "no such key");
    check(&format!("{}{}", hook(""), hook("")), "webhook.url", 5, "another webhook has this URL");
    let many: String =
        (0..17).map(|n| with(&format!("url = \"https://h{n}.example\"\nevents = [\"passkey\"]\n"))).collect();
    check(&many, "webhook.url", 50, "more than 16");
    assert!(
        !format!("{:?}", parse_file(&hook("")).unwrap()).contains("/x"),
        "a path may be as good as a password"
    );
}

#[test]
fn validates_webhook_secrets() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let text =
        format!("[[webhook]]\nurl = \"https://h.example\"\nevents = [\"passkey\"]\nsecret_file = {file:?}");
    let write = |content: &str, mode: u32| {
        std::fs::write(&file, content).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let right = format!("whsec_{}\n", "A".repeat(32));
    write(&right, 0o600);
    assert!(parse_file(&text).unwrap().webhooks[0].receiver.secret.is_some());
    for (wrong, word) in
        [("AAAA", "whsec_"), ("whsec_AAAA", "3 bytes"), ("whsec_*", "not base64"), ("", "empty")]
    {
        write(wrong, 0o600);
        check(&text, "webhook.secret_file", 4, word);
    }
    write(&right, 0o644);
    check(&text, "webhook.secret_file", 4, "chmod 600");
}
