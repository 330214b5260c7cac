//! What was asked for and what was answered, and what may be found after that: an acknowledged
//! change is there, and an unanswered change has happened or has not.

use std::collections::{BTreeMap, BTreeSet};

/// The subject of a change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// A session, by its cookie.
    Session(String),
    /// A passkey, by its id.
    Passkey(String),
    /// The name of one.
    NameOf(String),
    /// An account that an operator opens and closes.
    Account(String),
}

/// The states of a subject.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// A session that lives, a passkey that signs in, an account that is open.
    There,
    /// A session that was ended, a passkey that was removed, an account that was closed.
    Gone,
    Named(String),
}

/// How it ended for the client that asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Acknowledged,
    Refused,
    /// No answer, or the answer that something failed.
    Unknown,
}

#[derive(Debug, Default)]
struct Trail {
    possible: BTreeSet<State>,
    /// What was asked for last, while there is no answer.
    asked: Option<State>,
    said: Vec<String>,
}

/// One client's log, replayed as it is written: no subject is changed by two requests at once.
#[derive(Debug, Default)]
pub(super) struct History {
    trails: BTreeMap<Subject, Trail>,
    acknowledged: BTreeMap<&'static str, usize>,
    asked: usize,
}

impl History {
    /// Notes the state of a subject without a request for it.
    pub(super) fn begin(&mut self, subject: &Subject, state: State) {
        let trail = self.trails.entry(subject.clone()).or_default();
        trail.said.push(format!("is: {state:?}"));
        trail.possible = [state].into();
    }

    /// Notes a change that is about to be asked for.
    pub(super) fn ask(&mut self, what: &'static str, subject: &Subject, becomes: State) {
        let trail = self.trails.entry(subject.clone()).or_default();
        trail.said.push(format!("{what}: {becomes:?}"));
        trail.possible.extend(trail.asked.replace(becomes));
        self.asked += 1;
    }

    /// Notes how the request ended.
    pub(super) fn answer(&mut self, what: &'static str, subject: &Subject, outcome: Outcome) {
        let trail = self.trails.get_mut(subject).expect("only what was asked for is answered");
        trail.said.push(format!("{what}: {outcome:?}"));
        let becomes = trail.asked.take().expect("only what was asked for is answered");
        match outcome {
            Outcome::Acknowledged => {
                trail.possible = [becomes].into();
                *self.acknowledged.entry(what).or_default() += 1;
            }
            Outcome::Unknown => _ = trail.possible.insert(becomes),
            Outcome::Refused => {}
        }
    }

    /// Notes the state that was found, which has to be possible, and is the only possible one from
    /// then on.
    #[track_caller]
    pub(super) fn find(&mut self, subject: &Subject, found: State, context: &str) {
        let trail = self.trails.get_mut(subject).expect("only what was changed is looked at");
        trail.possible.extend(trail.asked.take());
        assert!(
            trail.possible.contains(&found),
            "{context}: {subject:?} is {found:?}, and not one of {:?}, after\n  {}",
            trail.possible,
            trail.said.join("\n  ")
        );
        trail.said.push(format!("found: {found:?}"));
        trail.possible = [found].into();
    }

    /// Every subject of the log.
    pub(super) fn subjects(&self) -> Vec<Subject> {
        self.trails.keys().cloned().collect()
    }

    /// Whether this is the only possible state.
    pub(super) fn is_surely(&self, subject: &Subject, state: &State) -> bool {
        let surely = |it: &Trail| it.asked.is_none() && it.possible.iter().all(|possible| possible == state);
        self.trails.get(subject).is_some_and(surely)
    }

    /// How many changes of each kind were acknowledged.
    pub(super) fn acknowledged(&self, what: &str) -> usize {
        self.acknowledged.get(what).copied().unwrap_or(0)
    }

    pub(super) fn acknowledged_in_all(&self) -> usize {
        self.acknowledged.values().sum()
    }

    pub(super) fn asked(&self) -> usize {
        self.asked
    }
}

#[test]
fn model_allows_only_acknowledged_or_pending_states() {
    let subject = Subject::NameOf("key".to_owned());
    let named = |name: &str| State::Named(name.to_owned());
    let finds = |entries: &[(&str, Option<Outcome>)], found: &str| {
        let mut history = History::default();
        history.begin(&subject, named("a"));
        for (name, outcome) in entries {
            history.ask("rename", &subject, named(name));
            if let Some(outcome) = outcome {
                history.answer("rename", &subject, *outcome);
            }
        }
        let (subject, found) = (subject.clone(), named(found));
        std::panic::catch_unwind(move || history.find(&subject, found, "")).is_ok()
    };
    let (ack, lost, no) = (Some(Outcome::Acknowledged), Some(Outcome::Unknown), Some(Outcome::Refused));
    assert!(finds(&[], "a") && finds(&[("b", ack)], "b"));
    assert!(!finds(&[("b", ack)], "a"), "an acknowledged change is lost");
    assert!(!finds(&[("b", no)], "b"), "what was refused has happened");
    for open in [lost, None] {
        assert!(finds(&[("b", open)], "a") && finds(&[("b", open)], "b"));
        assert!(!finds(&[("b", open), ("c", ack)], "b"), "what came later has not");
        assert!(!finds(&[("b", open)], "c"));
    }
}
