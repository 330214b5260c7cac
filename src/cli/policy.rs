//! `vestibule policy explain` and `vestibule policy test`: what would become of requests.
//!
//! What does not live here: how a decision is made (`domain/policy/decide.rs`).
//!
//! What always holds: the gateway answers, with the rules in force; where none runs, the
//! configuration and the store that it would start with answer. A file that cannot be read whole is
//! not tested in part.

use serde_json::json;

use super::arguments::policy::{Explain, Policy, Test};
use super::{Ask, Failure, Outcome, files, say};
use crate::admin::{Answer, AskerLine, ExplanationLine, QuestionLine, Request};
use crate::config;
use crate::config::expectations::{self, Expectation, Person};
use crate::domain::policy::decide::Decision;
use crate::domain::time::Timestamp;

/// The longest file of expectations, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Carries a command out.
pub(super) fn run(command: &Policy, ask: &Ask<'_>) -> Outcome {
    match command {
        Policy::Explain(arguments) => explain(arguments, ask),
        Policy::Test(arguments) => test(arguments, ask),
    }
}

fn explain(arguments: &Explain, ask: &Ask<'_>) -> Outcome {
    let question = QuestionLine {
        who: arguments.user.clone().map_or(AskerLine::Anonymous, AskerLine::User),
        url: arguments.url.clone(),
        method: arguments.method.clone(),
        client: arguments.client,
        at: arguments.at,
        auth_age_seconds: arguments.auth_age.map_or(0, |age| age.as_secs()),
    };
    let told = answers(vec![question], ask)?.pop().unwrap_or_else(|| Err("no answer".to_owned()))?;
    let ExplanationLine { decision, route, rule, because } = &told;
    if arguments.json {
        say(&json!(told).to_string());
    } else {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
        say(&format!("{decision}\nroute: {}\nrule: {}\n{because}", or_none(route), or_none(rule)));
    }
    let enters = matches!(Decision::parse(decision), Some(Decision::Allowed | Decision::Public));
    if enters { Ok(()) } else { Err(Failure(format!("the request would not be let in ({decision})"))) }
}

/// The answers, in the order of the questions.
fn answers(questions: Vec<QuestionLine>, ask: &Ask<'_>) -> Result<Vec<Told>, Failure> {
    match ask(Request::PolicyExplain { questions })? {
        Answer::Explained { told } => Ok(told),
        Answer::Refused { reason } => Err(Failure(reason)),
        _ => Err(Failure("the running gateway is of another version".to_owned())),
    }
}

/// An answer, or why there is none.
type Told = Result<ExplanationLine, String>;

fn test(arguments: &Test, ask: &Ask<'_>) -> Outcome {
    let text = files::read_text(&arguments.file, FILE_BYTES_MAX)?;
    let file = expectations::read(&text)
        .map_err(|error| Failure(format!("{}: {error}", arguments.file.display())))?;
    if file.expect.is_empty() {
        return Err(Failure("the file has no expectation: write [[expect]] tables".to_owned()));
    }
    let cases = file.expect.iter().map(|(line, expected)| (*line, expected));
    let questions = cases.clone().map(|(line, expected)| question(expected, &file.people, line));
    let told = answers(questions.collect::<Result<_, _>>()?, ask)?;
    let mut failed = Vec::new();
    for ((line, expected), told) in cases.zip(told) {
        let told = told.map_err(|why| Failure(format!("line {line}: {why}")))?;
        failed.extend(difference(expected, &told).map(|what| (line, what, told)));
    }
    if arguments.json {
        let lines =
            failed.iter().map(|(line, what, told)| json!({ "line": line, "problem": what, "got": told }));
        say(&json!({ "expectations": file.expect.len(), "failed": lines.collect::<Vec<_>>() }).to_string());
    } else {
        for (line, what, told) in &failed {
            say(&format!("line {line}: {what}. {}", told.because));
        }
    }
    match failed.len() {
        0 => {
            if !arguments.json {
                say(&format!("All {} expectations hold.", file.expect.len()));
            }
            Ok(())
        }
        count => Err(Failure(format!("{count} of {} expectations do not hold", file.expect.len()))),
    }
}

fn question(expected: &Expectation, people: &[Person], line: usize) -> Result<QuestionLine, Failure> {
    let wrong = |what: String| Failure(format!("line {line}: {what}"));
    if Decision::parse(&expected.decision).is_none() {
        let known = Decision::ALL.map(Decision::name).join(", ");
        return Err(wrong(format!("{:?} is not a decision: there are {known}", expected.decision)));
    }
    let at = expected.at.as_deref().map(|text| {
        let wrong = || wrong(format!("{text:?} is not a moment such as 2027-01-31T12:00:00Z"));
        Timestamp::parse(text).ok_or_else(wrong)
    });
    let auth_age = expected.auth_age.as_deref().map(config::duration).transpose().map_err(wrong)?;
    Ok(QuestionLine {
        who: expected.user.as_deref().map_or(AskerLine::Anonymous, |name| whom(name, people)),
        url: expected.url.clone(),
        method: expected.method.clone(),
        client: expected.client,
        at: at.transpose()?,
        auth_age_seconds: auth_age.map_or(0, |age| age.as_secs()),
    })
}

fn whom(name: &str, people: &[Person]) -> AskerLine {
    let is_meant = |person: &&Person| person.username.as_str() == name || person.email.as_str() == name;
    people.iter().find(is_meant).map_or_else(
        || AskerLine::User(name.to_owned()),
        |person| AskerLine::Described {
            username: person.username.clone(),
            email: person.email.clone(),
            groups: person.groups.clone(),
            attributes: person.attributes.clone(),
        },
    )
}

fn difference(expected: &Expectation, told: &ExplanationLine) -> Option<String> {
    let rule = told.rule.as_deref();
    if expected.decision != told.decision {
        Some(format!("expected {}, got {}", expected.decision, told.decision))
    } else if expected.rule.is_some() && expected.rule.as_deref() != rule {
        let expected = expected.rule.as_deref().unwrap_or_default();
        Some(format!("expected the rule {expected:?}, got {:?}", rule.unwrap_or("none")))
    } else {
        None
    }
}
