//! The measurements as tables, as JSON and as pictures.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::load::Measured;
use crate::scenarios::Scenario;

/// The rounds of one scenario, of each contestant in the order in which they were asked.
pub struct Figures {
    scenario: &'static Scenario,
    rows: Vec<(String, Vec<Measured>)>,
}

/// The middle of some values, and the first and the last.
struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

fn spread(rounds: &[Measured], of: impl Fn(&Measured) -> f64) -> Spread {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    Spread { low: values[0], median: values[values.len() / 2], high: values[values.len() - 1] }
}

impl Figures {
    pub fn of(scenario: &'static Scenario) -> Self {
        Self { scenario, rows: Vec::new() }
    }

    pub fn note(&mut self, name: &str, measured: Measured) {
        match self.rows.iter_mut().find(|(known, _)| known == name) {
            Some((_, rounds)) => rounds.push(measured),
            None => self.rows.push((name.to_owned(), vec![measured])),
        }
    }

    fn base(&self) -> f64 {
        spread(&self.rows[0].1, |it| it.rate).median
    }

    /// For people.
    pub fn table(&self) -> String {
        let (scenario, unit) = (self.scenario, self.scenario.unit());
        let mut text = format!(
            "\n### {}: {}\n\n| | {unit} | lowest to highest | ratio | p99 | CPU each, user + system |\n\
             | --- | ---: | ---: | ---: | ---: | ---: |\n",
            scenario.name, scenario.about
        );
        for (name, rounds) in &self.rows {
            let rate = spread(rounds, |it| it.rate);
            let of = |of: fn(&Measured) -> f64| spread(rounds, of).median;
            let p99 = match of(|it| it.p99_us) {
                0.0 => String::new(),
                us => format!("{:.2} ms", us / 1e3),
            };
            let _ = writeln!(
                text,
                "| {name} | {:.0} | {:.0} to {:.0} | {:.2} | {p99} | {:.1} + {:.1} us |",
                rate.median,
                rate.low,
                rate.high,
                rate.median / self.base(),
                of(|it| it.user_us),
                of(|it| it.system_us),
            );
        }
        text
    }

    /// For programs.
    fn json(&self) -> Value {
        let rows = self.rows.iter().map(|(name, rounds)| {
            let rounds = rounds.iter().map(|it| {
                json!({ "rate": it.rate, "p99_us": it.p99_us, "user_us": it.user_us, "system_us": it.system_us })
            });
            json!({ "name": name, "rounds": rounds.collect::<Vec<_>>() })
        });
        json!({
            "scenario": self.scenario.name,
            "about": self.scenario.about,
            "unit": self.scenario.unit(),
            "contestants": rows.collect::<Vec<_>>(),
        })
    }

    /// A bar for each contestant, as long as its median, and a line from its lowest round to its
    /// highest.
    fn picture(&self) -> String {
        const LEFT: f64 = 230.0;
        const WIDTH: f64 = 420.0;
        const ROW: f64 = 26.0;
        let longest =
            self.rows.iter().map(|(_, rounds)| spread(rounds, |it| it.rate).high).fold(1.0, f64::max);
        let height = ROW.mul_add(self.rows.len() as f64, 44.0);
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 {height:.0}\" font-family=\"sans-serif\" font-size=\"13\">\n\
             <title>{0}: {1}</title>\n<rect width=\"760\" height=\"{height:.0}\" fill=\"#fff\"/>\n\
             <text x=\"8\" y=\"20\" font-weight=\"bold\">{1} ({2})</text>\n",
            self.scenario.name,
            self.scenario.about.replace('&', "&amp;").replace('<', "&lt;"),
            self.scenario.unit()
        );
        for (at, (name, rounds)) in self.rows.iter().enumerate() {
            let (rate, y) = (spread(rounds, |it| it.rate), ROW.mul_add(at as f64, 34.0));
            let x = |value: f64| WIDTH.mul_add(value / longest, LEFT);
            let fill = if name.starts_with("gateway") { "#0f6b52" } else { "#9aa8a3" };
            let _ = write!(
                text,
                "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{name}</text>\n\
                 <rect x=\"{LEFT:.0}\" y=\"{y:.0}\" width=\"{:.1}\" height=\"18\" fill=\"{fill}\"/>\n\
                 <path d=\"M{:.1} {middle:.0}H{:.1}\" stroke=\"#222\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.0}\">{:.0}</text>\n",
                LEFT - 8.0,
                y + 14.0,
                x(rate.median) - LEFT,
                x(rate.low),
                x(rate.high),
                x(rate.high) + 8.0,
                y + 14.0,
                rate.median,
                middle = y + 9.0,
            );
        }
        text + "</svg>\n"
    }
}

/// Writes everything into `folder`: `results.md`, `results.json`, and a picture for each scenario.
pub fn write(folder: &Path, all: &[Figures]) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("results.md"), all.iter().map(Figures::table).collect::<String>()).unwrap();
    let values: Vec<_> = all.iter().map(Figures::json).collect();
    fs::write(folder.join("results.json"), serde_json::to_string_pretty(&values).unwrap()).unwrap();
    for figures in all {
        fs::write(folder.join(format!("{}.svg", figures.scenario.name)), figures.picture()).unwrap();
    }
}
