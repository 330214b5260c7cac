//! Lengths of time that must lie within limits.

use std::time::Duration;

use super::reader::Reader;
use super::section::Section;
use super::value;

const DURATION_REMEDY: &str = "write a whole number and ms, s, m, h or d, such as \"12h\"";

/// The shortest and the longest that make sense.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) min: Duration,
    pub(super) max: Duration,
}

/// A length of time within `limits`.
pub(super) fn duration(
    section: &Section<'_>,
    reader: &Reader<'_>,
    key: &'static str,
    default: Duration,
    limits: Limits,
) -> Duration {
    let Some(found) = section.parsed(key, DURATION_REMEDY, value::duration) else { return default };
    if found.value > limits.max {
        let problem = format!("it is longer than {} s", limits.max.as_secs());
        reader.mistake(&found.at, problem, "write a shorter one");
    } else if found.value < limits.min {
        let problem = format!("it is shorter than {} ms", limits.min.as_millis());
        reader.mistake(&found.at, problem, "write a longer one");
    }
    found.value
}
