//! `vestibule apply`: users as a file declares them, and how the differences are printed.
//!
//! What does not live here: reading the file (`config/declared.rs`), and changing users, which the
//! gateway does.
//!
//! What always holds: links are printed whatever else went wrong, because they cannot be asked for
//! again.

use serde_json::{Value, json};

use super::arguments::Apply;
use super::{Ask, Failure, Outcome, say};
use crate::admin::{Answer, DifferenceLine, Request, Run};
use crate::config::{self, Declared, Mistakes};
use crate::domain::declared::{Changed, Difference, Others};
use crate::domain::user::{Group, Role, Username};

/// Makes every user as declared.
pub(super) fn apply(arguments: &Apply, ask: &Ask<'_>) -> Outcome {
    let declared = config::declared(&arguments.file).map_err(|mistakes| nothing_changed(&mistakes))?;
    let answer = ask(Request::Apply {
        users: declared.iter().map(|declared| declared.user.clone()).collect(),
        others: if arguments.prune { Others::Pruned } else { Others::Stay },
        run: if arguments.dry_run { Run::Dry } else { Run::Real },
    })?;
    match answer {
        Answer::Applied { differences, unchanged, stopped } => {
            if arguments.json {
                say(&json!({ "differences": differences, "unchanged": unchanged, "stopped": stopped })
                    .to_string());
            } else {
                say(&told(&differences, unchanged));
            }
            stopped.map_or(Ok(()), |why| {
                Err(Failure(format!("{why}\nThe rest was not done: apply the file again.")))
            })
        }
        Answer::NothingApplied { taken } => {
            let list = taken.iter().filter_map(|(at, username)| Some(is_taken(declared.get(*at)?, username)));
            Err(nothing_changed(&Mistakes { file: Some(arguments.file.clone()), list: list.collect() }))
        }
        Answer::Refused { reason } => Err(Failure(reason)),
        answer => Err(Failure(format!("the gateway gives an answer of another version: {answer:?}"))),
    }
}

fn is_taken(declared: &Declared, username: &Username) -> config::Mistake {
    let problem = format!("another user has the username {username}, or had it");
    declared.mistake(
        "username",
        problem,
        "choose another username: a username is never given to a second user".to_owned(),
    )
}

fn nothing_changed(mistakes: &Mistakes) -> Failure {
    Failure(format!("nothing was changed\n\n{}", mistakes.report("the file")))
}

/// One line for each difference, and one for each link.
fn told(differences: &[DifferenceLine], unchanged: usize) -> String {
    let mut lines: Vec<_> = differences.iter().flat_map(lines_of).collect();
    lines.push(match (differences.len(), unchanged) {
        (0, _) => "No difference.".to_owned(),
        (1, unchanged) => format!("1 difference; {unchanged} users are as declared."),
        (count, unchanged) => format!("{count} differences; {unchanged} users are as declared."),
    });
    lines.join("\n")
}

fn lines_of(told: &DifferenceLine) -> Vec<String> {
    let email = told.difference.email();
    let said = match &told.difference {
        Difference::Invite { groups, role, .. } => format!("+ {email}: invite{}", as_what(*role, groups)),
        Difference::Change { changes, .. } => {
            let changes: Vec<_> = changes.iter().map(changed).collect();
            format!("~ {email}: {}", changes.join("; "))
        }
        Difference::Disable { .. } => format!("- {email}: disable the account"),
        Difference::Revoke { .. } => format!("- {email}: revoke the invitation"),
    };
    let link = told.link.as_ref().map(|link| format!("    {}", link.reveal()));
    std::iter::once(said).chain(link).collect()
}

fn as_what<'a>(role: Role, groups: impl IntoIterator<Item = &'a Group>) -> String {
    let groups: Vec<_> = groups.into_iter().map(ToString::to_string).collect();
    let role = if role == Role::Administrator { " as administrator" } else { "" };
    if groups.is_empty() { role.to_owned() } else { format!("{role}, groups {}", groups.join(", ")) }
}

fn changed(changed: &Changed) -> String {
    format!("{} {} -> {}", changed.key, words(&changed.from), words(&changed.to))
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Array(items) if !items.is_empty() => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        _ => "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Link;
    use crate::domain::user::Email;

    fn line(difference: Difference, link: Option<&str>) -> DifferenceLine {
        let link = link.map(|link| Link::new(link.to_owned()));
        DifferenceLine { difference, link, link_expires_at: None }
    }

    #[test]
    fn prints_one_line_per_difference_with_links_below() {
        let email = |name: &str| Email::parse(&format!("{name}@example.com")).unwrap();
        let groups = || [Group::parse("ops").unwrap(), Group::parse("staff").unwrap()].into();
        let changes = vec![
            Changed { key: "groups".to_owned(), from: json!([]), to: json!(["ops", "staff"]) },
            Changed { key: "role".to_owned(), from: json!("member"), to: json!("administrator") },
            Changed { key: "note".to_owned(), from: Value::Null, to: json!("a\nb") },
        ];
        let role = Role::Administrator;
        let differences = [
            line(Difference::Invite { email: email("a"), groups: groups(), role }, Some("https://x/#s")),
            line(Difference::Invite { email: email("b"), groups: [].into(), role: Role::Member }, None),
            line(Difference::Change { email: email("c"), changes }, None),
            line(Difference::Disable { email: email("d") }, None),
            line(Difference::Revoke { email: email("e") }, None),
        ];
        assert_eq!(
            told(&differences, 7),
            "+ a@example.com: invite as administrator, groups ops, staff\n    https://x/#s\n\
             + b@example.com: invite\n\
             ~ c@example.com: groups none -> ops, staff; role \"member\" -> \"administrator\"; note none -> \"a\\nb\"\n\
             - d@example.com: disable the account\n\
             - e@example.com: revoke the invitation\n\
             5 differences; 7 users are as declared."
        );
        assert_eq!(told(&[], 7), "No difference.");
    }
}
