//! Command lines that are accepted, and wrong usage.

use clap::CommandFactory as _;

use super::*;

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn commands_are_read() {
    for right in [
        "",
        "serve",
        "check --config x.toml",
        "--config x.toml check",
        "invite a@example.com",
        "invite a@example.com --name Alice --username alice --group x --group y --admin --expires 72h --mail --json",
        "user list --json",
        "user list --search ali --limit 10 --after YQ",
        "user show alice --json",
        "user name alice Alice",
        "user note alice",
        "user note alice away",
        "user attribute alice employee_id",
        "user attribute alice employee_id AB1234",
        "user expires alice 90d",
        "user expires alice never",
        "user reset alice --wipe --mail --json",
        "user remove-passkey alice -_8",
        "user delete alice",
        "user lock alice",
        "session list alice --json",
        "audit --user alice --event signed_in --since 24h --limit 5 --follow --json",
        "user groups alice staff ops",
        "user groups alice",
        "user disable alice",
        "user role alice administrator",
        "invitation list --json",
        "invitation revoke 000102030405060708090a0b0c0d0e0f",
        "session end alice",
        "session end alice 000102030405060708090a0b0c0d0e0f",
        "ban list --json",
        "ban add 192.0.2.7",
        "ban add 2001:db8::/48 --for 1d --reason scanner",
        "ban remove 192.0.2.0/24",
        "key rotate",
        "import webauthn-proxy f --json",
        "apply f --prune --dry-run --json",
        "backup f --json",
        "backup f --passphrase-file p",
        "restore f",
        "restore f --identity i --json",
        "restore f --passphrase-file p",
        "demo --data d --listen 127.0.0.1:9999",
        "policy explain --url https://a/b",
        "policy explain --user a --url https://a/b --method POST --client ::1 --at 2027-01-31T12:00:00Z --json",
        "policy test expectations.toml --json",
    ] {
        let words = ["vestibule"].into_iter().chain(right.split_whitespace());
        assert!(Arguments::try_parse_from(words).is_ok(), "{right}");
    }
}

#[test]
fn refuses_wrong_usage() {
    for wrong in [
        "server",
        "invite",
        "invite alice",
        "invite a@example.com --expires 73h",
        "invite a@example.com --expires 0s",
        "invite a@example.com --group a,b",
        "user",
        "user groups",
        "user expires alice tomorrow",
        "audit --since yesterday",
        "session end alice 12",
        "ban add example.com",
        "ban add 10.0.0.1/8",
        "ban add 192.0.2.7 --for 0s",
        "ban remove",
        "demo --listen 127.0.0.1:0",
        "policy explain",
        "policy explain --url https://a --at noon",
        "policy explain --url https://a --client home",
        "backup f --recipient age1",
        "restore f --identity i --passphrase-file p",
    ] {
        let words = ["vestibule"].into_iter().chain(wrong.split_whitespace());
        assert_eq!(Arguments::try_parse_from(words).unwrap_err().exit_code(), 2, "{wrong}");
    }
}
