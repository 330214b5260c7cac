//! Rules of a route, as the file says them.

use super::*;

fn with_rules(rules: &str) -> String {
    format!("[[route]]\nname = \"a\"\nhost = \"localhost\"\nupstream = [\"http://127.0.0.1:9000\"]\n{rules}")
}

/// One rule with this line, which is the eighth.
fn with_line(line: &str) -> String {
    with_rules(&format!("[[route.rule]]\neffect = \"allow\"\nwho = [\"user\"]\n{line}\n"))
}

#[test]
fn rules_are_read_in_order_and_named() {
    let text = with_rules(
        "max_auth_age = \"8h\"
[[route.rule]]
name = \"no guests at night\"
effect = \"deny\"
who = [\"group:guests\"]
methods = [\"POST\"]
paths = [\"/reports/*\", \"/\"]
networks = [\"10.0.0.0/8\", \"2001:db8::/32\"]
times = { days = \"mon-fri,sun\", from = \"22:00\", to = \"06:00\", zone = \"Europe/Berlin\" }
[[route.rule]]
effect = \"allow\"
who = [\"anyone\"]
",
    );
    let settings = parse_file(&text).unwrap();
    let policy = &settings.routes.all().next().unwrap().policy;
    assert_eq!(policy.max_auth_age(), Some(Duration::from_hours(8)));
    let said: Vec<_> = policy
        .rules()
        .iter()
        .map(|rule| format!("{}: {} {} {}", rule.name, rule.effect.name(), rule.who, rule.when))
        .collect();
    assert_eq!(
        said,
        [
            "no guests at night: deny group:guests POST; /reports/*, /; 10.0.0.0/8, 2001:db8::/32; \
             mon,tue,wed,thu,fri,sun 22:00-06:00 Europe/Berlin",
            "rule 2: allow anyone ",
        ]
    );
}

#[test]
fn reports_every_mistake_in_a_rule_with_line() {
    check(&with_line("method = [\"GET\"]"), "route.rule.method", 8, "no such key");
    check(&with_line("methods = [\"get\"]"), "route.rule.methods", 8, "capital");
    check(&with_line("methods = []"), "route.rule.methods", 8, "every request");
    check(&with_line("paths = [\"reports\"]"), "route.rule.paths", 8, "/reports/*");
    check(&with_line("paths = [\"/@x\"]"), "route.rule.paths", 8, "second spelling");
    check(&with_line("paths = []"), "route.rule.paths", 8, "every path");
    check(&with_line("networks = [\"10.0.0.1\"]"), "route.rule.networks", 8, "10.0.0.0/8");
    check(&with_line("networks = [\"10.0.0.1/8\"]"), "route.rule.networks", 8, "write 10.0.0.0/8");
    check(
        &with_line("times = { days = \"weekdays\", zone = \"UTC\" }"),
        "route.rule.times.days",
        8,
        "mon-fri",
    );
    check(&with_line("times = { from = \"8\", zone = \"UTC\" }"), "route.rule.times.from", 8, "08:00");
    check(&with_line("times = { days = \"mon\" }"), "route.rule.times.zone", 8, "time zone");
    check(&with_line("times = { zone = \"CEST-1\" }"), "route.rule.times.zone", 8, "IANA");
    check(&with_line("max_auth_age = \"1s\""), "route.rule.max_auth_age", 8, "shorter");
    check(&with_line("effects = \"deny\""), "route.rule.effects", 8, "no such key");
    let who = |who: &str| with_rules(&format!("[[route.rule]]\neffect = \"allow\"\nwho = {who}\n"));
    check(&who("[]"), "route.rule.who", 7, "whom");
    check(&who("[\"anyone\", \"user\"]"), "route.rule.who", 7, "includes all the others");
    check(&who("[\"staff\"]"), "route.rule.who", 7, "group:");
    check(&who("[\"anyone\"]\nmax_auth_age = \"5m\""), "route.rule.max_auth_age", 8, "fresh passkey");
}

#[test]
fn reads_datalog_policies_and_reports_mistakes() {
    let policy = |text: &str| with_rules(&format!("policy = {text}\n"));
    let office = "[[network]]\nname = \"office\"\nranges = [\"10.0.0.0/8\"]\n";
    let text = format!("{office}{}", policy("'allow if group(\"staff\"), network(\"office\");'"));
    let settings = parse_file(&text).unwrap();
    assert_eq!(settings.routes.all().next().unwrap().policy.clauses().len(), 1);
    check(&policy("'allow iff true;'"), "route.policy", 5, "in line 1 of the policy");
    check(
        &policy("'''allow if true;\ndeny if grp(\"x\");'''"),
        "route.policy",
        5,
        "in line 2 of the policy: there is no fact grp/1",
    );
    check(&policy("''"), "route.policy", 5, "no user could enter");
    check(&policy("'allow if true;'\nallow = [\"user\"]"), "route.allow", 6, "policy as well");
    check(&policy("'allow if true;'\npolicy_zone = \"CEST\""), "route.policy_zone", 6, "time zone");
    check(&format!("{office}{office}"), "network.name", 5, "two networks");
    check("[[network]]\nname = \"x\"", "network.ranges", 1, "needs ranges");
    let named = with_line("networks = [\"office\"]");
    check(&named, "route.rule.networks", 8, "10.0.0.0/8");
    assert!(parse_file(&format!("{office}{named}")).is_ok());
}

#[test]
fn refuses_a_route_without_an_allowing_rule() {
    let denying = "[[route.rule]]\neffect = \"deny\"\nwho = [\"user\"]\n";
    check(&with_rules(denying), "route.rule", 5, "no user could enter");
    let allowing = "[[route.rule]]\neffect = \"allow\"\nwho = [\"user\"]\n";
    assert!(parse_file(&with_rules(&format!("{denying}{allowing}"))).is_ok());
    check(&with_rules(&format!("allow = [\"user\"]\n{allowing}")), "route.allow", 5, "rules as well");
    let named = "[[route.rule]]\nname = \"x\"\neffect = \"allow\"\nwho = [\"user\"]\n";
    check(&with_rules(&format!("{named}{named}")), "route.rule.name", 10, "called \"x\"");
    let outside = "path = \"/app\"\n[[route.rule]]\neffect = \"allow\"\nwho = [\"user\"]\npaths = [\"/x\"]\n";
    check(&with_rules(outside), "route.rule.paths", 9, "never matches");
}
