//! The measurements as tables and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::browsers::Measured;
use crate::lane::Filled;
use crate::pages::Pages;
use crate::requests::Requests;
use crate::revocations::Revocations;
use crate::spread::Spread;

const MIB: f64 = 1024.0 * 1024.0;

/// The measurements of one size.
pub struct Row {
    pub people: u64,
    pub filled: Filled,
    /// Several sign-ins at a time, and one.
    pub sign_in: Measured,
    pub alone: Measured,
    /// With the smallest size, and with this one.
    pub requests: [Requests; 2],
    pub revocations: Revocations,
    pub pages: Pages,
}

impl Row {
    fn a_person(&self) -> f64 {
        (self.filled.with_people as f64 - self.filled.empty as f64) / self.people as f64
    }

    fn a_session(&self) -> f64 {
        (self.filled.with_sessions as f64 - self.filled.with_people as f64) / self.people as f64
    }

    /// The cost of a request in multiples of its cost with the fewest people.
    fn ratio(&self) -> f64 {
        self.requests[1].cpu_us.median / self.requests[0].cpu_us.median
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let spread = |it: Spread| json!([it.low, it.median, it.high]);
        let sign_in = |it: Measured| {
            json!({ "rate": it.rate, "median_us": it.median_us, "p99_us": it.p99_us,
                    "user_us": it.user_us, "system_us": it.system_us })
        };
        let requests =
            self.requests.map(|it| json!({ "rate": spread(it.rate), "cpu_us": spread(it.cpu_us) }));
        json!({
            "people": self.people,
            "start_s": spread(self.filled.start),
            "start_without_sessions_s": spread(self.filled.start_without),
            "opening_store_s": self.filled.opening,
            "start_cpu_s": self.filled.start_cpu,
            "resident": { "empty": self.filled.empty, "people": self.filled.with_people, "sessions": self.filled.with_sessions },
            "on_disk": self.filled.on_disk,
            "filled_s": self.filled.took.as_secs_f64(),
            "settled_in_s": self.filled.settled_in.as_secs_f64(),
            "bytes_a_person": self.a_person(),
            "bytes_a_session": self.a_session(),
            "requests": { "fewest": requests[0], "these": requests[1], "ratio": self.ratio() },
            "sign_in": sign_in(self.sign_in),
            "sign_in_alone": sign_in(self.alone),
            "revocation_us": { "whole": self.revocations.whole, "after_answer": self.revocations.after_answer,
                               "answer": self.revocations.answer },
            "pages_us": self.pages.iter().map(|(name, times)| json!({ "page": name, "us": times })).collect::<Vec<_>>(),
        })
    }
}

/// For people.
pub fn table(rows: &[Row]) -> String {
    [memory(rows), costs(rows), waits(rows)].concat()
}

fn memory(rows: &[Row]) -> String {
    let mut text = "\n### Starting, and memory\n\n| people | start, without and with sessions | of it, the store | CPU of a start | memory, without users, with people, and with sessions \
                    | a person | a session | on disk | filled in |\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        .to_owned();
    for row in rows {
        let filled = &row.filled;
        let mib = |bytes: u64| bytes as f64 / MIB;
        let _ = writeln!(
            text,
            "| {} | {:.3} s, {:.3} s | {:.3} s | {:.2} s | {:.0}, {:.0}, {:.0} MiB | {:.0} B | {:.0} B | {:.0} MiB | {:.0} s |",
            row.people,
            filled.start_without.median,
            filled.start.median,
            filled.opening,
            filled.start_cpu,
            mib(filled.empty),
            mib(filled.with_people),
            mib(filled.with_sessions),
            row.a_person(),
            row.a_session(),
            mib(filled.on_disk),
            filled.took.as_secs_f64(),
        );
    }
    text
}

fn costs(rows: &[Row]) -> String {
    let mut text = "\n### Requests and sign-ins\n\n| people | requests/s | CPU a request | with the fewest, in turns | ratio \
                    | CPU a sign-in | sign-ins/s, 16 at a time | one sign-in, median and p99 |\n\
                    | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        .to_owned();
    for row in rows {
        let [few, these] = row.requests;
        let _ = writeln!(
            text,
            "| {} | {:.0} | {:.1} us | {:.1} us | {:.3} | {:.0} us | {:.0} | {:.1}, {:.1} ms |",
            row.people,
            these.rate.median,
            these.cpu_us.median,
            few.cpu_us.median,
            row.ratio(),
            row.sign_in.user_us + row.sign_in.system_us,
            row.sign_in.rate,
            row.alone.median_us / 1e3,
            row.alone.p99_us / 1e3,
        );
    }
    text
}

fn waits(rows: &[Row]) -> String {
    let mut text =
        "\n### Revocations, and pages of users (median, p99)\n\n| people | revocation sent to first refusal \
                    | answered to first refusal | sent to answered | first page | by username | by name |\n\
                    | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
            .to_owned();
    for row in rows {
        let ms = |[median, p99]: [f64; 2]| format!("{:.2}, {:.2} ms", median / 1e3, p99 / 1e3);
        let _ = write!(
            text,
            "| {} | {} | {} | {} |",
            row.people,
            ms(row.revocations.whole),
            ms(row.revocations.after_answer),
            ms(row.revocations.answer)
        );
        for (_, times) in row.pages {
            let _ = write!(text, " {} |", ms(times));
        }
        text.push('\n');
    }
    text
}
