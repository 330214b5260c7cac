//! Measured rounds, and their middle, lowest and highest values.
#![allow(dead_code, reason = "each benchmark uses its own part of this file")]

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// The middle of some values, and the lowest and the highest.
#[derive(Clone, Copy)]
pub struct Spread {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self { low: values[0], median: values[values.len() / 2], high: values[values.len() - 1] }
    }
}

/// The value that so many percent of the others are below, in microseconds.
pub fn percentile_us(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len() - 1);
    sorted[at].as_secs_f64() * 1e6
}

/// Writes the measurements into `folder`: for people and for programs.
pub fn write(folder: &Path, name: &str, table: &str, values: &Value) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join(format!("{name}.md")), table).unwrap();
    std::fs::write(folder.join(format!("{name}.json")), serde_json::to_string_pretty(values).unwrap())
        .unwrap();
    println!("written to {}", folder.display());
}
