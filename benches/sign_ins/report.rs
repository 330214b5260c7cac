//! The measurements as tables and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::browsers::Measured;
use crate::parts::Part;
use crate::spread::Spread;

/// The rounds with so many browsers, of each contestant in the order in which they were asked.
pub struct Figures {
    together: usize,
    rows: Vec<(String, Vec<Measured>)>,
}

impl Figures {
    pub fn of(together: usize) -> Self {
        Self { together, rows: Vec::new() }
    }

    pub fn note(&mut self, name: &str, measured: Measured) {
        match self.rows.iter_mut().find(|(known, _)| known == name) {
            Some((_, rounds)) => rounds.push(measured),
            None => self.rows.push((name.to_owned(), vec![measured])),
        }
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut text = format!(
            "\n### {} at a time\n\n| | sign-ins/s | lowest to highest | ratio | median | p99 | CPU each, user + system |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
            self.together
        );
        let base = spread(&self.rows[0].1, |it| it.rate).median;
        for (name, rounds) in &self.rows {
            let rate = spread(rounds, |it| it.rate);
            let of = |of: fn(&Measured) -> f64| spread(rounds, of).median;
            let _ = writeln!(
                text,
                "| {name} | {:.0} | {:.0} to {:.0} | {:.1} | {:.1} ms | {:.1} ms | {:.0} + {:.0} us |",
                rate.median,
                rate.low,
                rate.high,
                rate.median / base,
                of(|it| it.median_us) / 1e3,
                of(|it| it.p99_us) / 1e3,
                of(|it| it.user_us),
                of(|it| it.system_us),
            );
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|(name, rounds)| {
            let rounds = rounds.iter().map(|it| {
                json!({
                    "rate": it.rate, "median_us": it.median_us, "p99_us": it.p99_us,
                    "user_us": it.user_us, "system_us": it.system_us,
                })
            });
            json!({ "name": name, "rounds": rounds.collect::<Vec<_>>() })
        });
        json!({ "together": self.together, "contestants": rows.collect::<Vec<_>>() })
    }
}

fn spread(rounds: &[Measured], of: impl Fn(&Measured) -> f64) -> Spread {
    Spread::of(rounds.iter().map(of))
}

/// The parts of a sign-in, for people.
pub fn parts_table(parts: &[Part]) -> String {
    let mut text = "\n### What a sign-in consists of, measured in process\n\n| | CPU each | time each |\n\
                    | --- | ---: | ---: |\n"
        .to_owned();
    for Part { name, cpu_us, us } in parts {
        let _ = writeln!(text, "| {name} | {cpu_us:.1} us | {us:.1} us |");
    }
    text
}
