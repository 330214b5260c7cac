//! When a rule holds: days of the week and hours of the day in the time zone of a place.
//!
//! A span that ends before it begins goes over midnight and belongs to the day on which it began.
//! What always holds: the wall clock of the zone decides, so an hour that a change to summer time
//! skips never comes, and an hour that the change back repeats comes twice.
//!
//! What does not live here: reading them from the configuration (`config/rules.rs`).

use std::fmt;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use crate::domain::time::Timestamp;

/// Minutes of a day.
const DAY: u16 = 24 * 60;
const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Hours on days of the week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    days: Days,
    /// Minutes since midnight.
    from: u16,
    /// Minutes since midnight, up to [`DAY`]; not included.
    to: u16,
    zone: TimeZone,
    /// IANA name.
    zone_name: String,
}

/// Days of the week; the lowest bit is Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days(u8);

/// A time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock(u16);

impl Times {
    /// From `from` until `to` on `days`, by the clocks of `zone` (an IANA name such as
    /// `Europe/Berlin`). The error says what to write instead.
    pub fn new(days: Days, from: Clock, to: Clock, zone: &str) -> Result<Self, String> {
        if from == to {
            return Err("from and to are the same, so the rule would never hold".to_owned());
        }
        if from.0 == DAY {
            return Err("a day begins at 00:00 and ends at 24:00".to_owned());
        }
        let known = TimeZone::get(zone).map_err(|_| {
            format!("{zone:?} is not a time zone: write an IANA name such as \"Europe/Berlin\", or \"UTC\"")
        })?;
        Ok(Self { days, from: from.0, to: to.0, zone: known, zone_name: zone.to_owned() })
    }

    /// Whether `now` is within these hours.
    pub fn contain(&self, now: Timestamp) -> bool {
        let Some((today, minute)) = local_of(&self.zone, now) else { return false };
        if self.from < self.to {
            return self.days.contain(today) && (self.from..self.to).contains(&minute);
        }
        (minute >= self.from && self.days.contain(today))
            || (minute < self.to && self.days.contain(today.previous()))
    }
}

/// The day of the week and the minute of the day that clocks of `zone` show.
pub(super) fn local_of(zone: &TimeZone, now: Timestamp) -> Option<(Weekday, u16)> {
    let local = zone.to_datetime(jiff::Timestamp::from_millisecond(now.as_millis()).ok()?);
    let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
    Some((local.weekday(), minute))
}

/// `mon` to `sun`.
pub(super) fn weekday_name(day: Weekday) -> &'static str {
    let at = usize::from(day.to_monday_zero_offset().unsigned_abs());
    NAMES.get(at).copied().unwrap_or_default()
}

impl fmt::Display for Times {
    /// `mon,tue 08:00-18:00 Europe/Berlin`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.days.names().collect::<Vec<_>>().join(",");
        write!(f, "{days} {}-{} {}", Clock(self.from), Clock(self.to), self.zone_name)
    }
}

impl Days {
    /// Every day.
    pub const ALL: Self = Self(0b111_1111);

    /// Reads `mon-fri`, `sat,sun`, `mon-wed,fri`. A range may go over the end of the week.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a list of days: write \"mon-fri\", \"sat,sun\" or the like");
        let mut days = 0_u8;
        for part in text.split(',').map(str::trim) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let place = |name: &str| NAMES.iter().position(|known| *known == name.trim());
            let (first, last) = (place(first).ok_or_else(wrong)?, place(last).ok_or_else(wrong)?);
            let length = (last + 7 - first) % 7;
            for day in first..=first + length {
                days |= 1 << (day % 7);
            }
        }
        Ok(Self(days))
    }

    fn contain(self, day: Weekday) -> bool {
        self.0 & (1 << day.to_monday_zero_offset()) != 0
    }

    fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().enumerate().filter(move |(at, _)| self.0 & (1 << at) != 0).map(|(_, name)| *name)
    }
}

impl Clock {
    /// Midnight at the beginning of a day.
    pub const MIDNIGHT: Self = Self(0);
    /// Midnight at its end.
    pub const END: Self = Self(DAY);

    /// Reads `08:00`, up to `24:00`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a time of day such as \"08:00\"");
        let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        let digits = |part: &str| two_digits(part).then(|| part.parse::<u16>().ok()).flatten();
        let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
        let (hours, minutes) = (digits(hours).ok_or_else(wrong)?, digits(minutes).ok_or_else(wrong)?);
        let of_day = hours * 60 + minutes;
        if minutes < 60 && of_day <= DAY { Ok(Self(of_day)) } else { Err(wrong()) }
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(days: &str, from: &str, to: &str) -> Times {
        let (from, to) = (Clock::parse(from).unwrap(), Clock::parse(to).unwrap());
        Times::new(Days::parse(days).unwrap(), from, to, "Europe/Berlin").unwrap()
    }

    #[track_caller]
    fn check(times: &Times, moment: &str, expected: bool) {
        assert_eq!(times.contain(Timestamp::parse(moment).unwrap()), expected, "{times} at {moment}");
    }

    #[test]
    fn hours_are_those_of_the_zone() {
        let office = times("mon-fri", "08:00", "18:00");
        // Winter: UTC and one hour.
        check(&office, "2026-11-27T06:59:59Z", false);
        check(&office, "2026-11-27T07:00:00Z", true);
        check(&office, "2026-11-27T16:59:59Z", true);
        check(&office, "2026-11-27T17:00:00Z", false);
        check(&office, "2026-11-28T12:00:00Z", false);
        // Summer: UTC and two.
        check(&office, "2026-07-01T06:00:00Z", true);
        check(&office, "2026-07-01T16:00:00Z", false);
    }

    #[test]
    fn a_span_over_midnight_belongs_to_the_day_on_which_it_began() {
        let night = times("fri", "22:00", "06:00");
        check(&night, "2026-11-27T20:59:00Z", false);
        check(&night, "2026-11-27T21:00:00Z", true);
        check(&night, "2026-11-28T04:59:00Z", true);
        check(&night, "2026-11-28T05:00:00Z", false);
        check(&night, "2026-11-28T21:00:00Z", false);
        // Thursday's night, which is not one of the days.
        check(&night, "2026-11-27T01:00:00Z", false);
        check(&times("sun", "22:00", "24:00"), "2026-11-29T22:59:59Z", true);
    }

    #[test]
    fn daylight_saving_skips_or_repeats_an_hour() {
        let hour = times("sun", "02:00", "03:00");
        for minute in 0..180 {
            let moment = Timestamp::parse("2026-03-29T00:00:00Z").unwrap().as_millis() + minute * 60_000;
            assert!(!hour.contain(Timestamp::from_millis(moment)), "{minute}");
        }
        check(&hour, "2026-10-25T00:30:00Z", true);
        check(&hour, "2026-10-25T01:30:00Z", true);
        check(&hour, "2026-10-25T02:00:00Z", false);
    }

    #[test]
    fn reads_times_and_reports_mistakes() {
        assert_eq!(Days::parse("mon-fri, sun").unwrap().names().count(), 6);
        assert_eq!(Days::parse("sat-mon").unwrap().names().collect::<Vec<_>>(), ["mon", "sat", "sun"]);
        assert_eq!(Days::ALL, Days::parse("mon-sun").unwrap());
        for wrong in ["", "monday", "mon-", "-", "mon--fri", "mo"] {
            assert!(Days::parse(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "8:00", "24:01", "08:60", "25:00", "08", "08:00:00", "+8:00", "ab:cd"] {
            assert!(Clock::parse(wrong).is_err(), "{wrong}");
        }
        let same = Times::new(Days::ALL, Clock::MIDNIGHT, Clock::MIDNIGHT, "UTC");
        assert!(same.unwrap_err().contains("never"));
        let nowhere = Times::new(Days::ALL, Clock::MIDNIGHT, Clock::END, "Europe/Nowhere");
        assert!(nowhere.unwrap_err().contains("IANA"));
        assert!(Times::new(Days::ALL, Clock::END, Clock::MIDNIGHT, "UTC").is_err());
    }
}
