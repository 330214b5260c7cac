//! The overview's bars: two numbers a column, drawn as SVG, with a table beside it for screen
//! readers.

use crate::domain::time::Timestamp;
use crate::flows::trail::activity::Hour;

/// The height of a chart, in units of its view box.
const HEIGHT: usize = 100;
/// The width of a column, the space between two of them included.
const COLUMN: usize = 12;
const BAR: usize = 4;
const HOUR_MILLIS: i64 = 3_600_000;
const HOURS_A_DAY: usize = 24;

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) at: Timestamp,
    pub(super) signed_in: usize,
    pub(super) refused: usize,
}

/// A rectangle of the drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) height: usize,
    pub(super) is_refusal: bool,
}

/// A chart.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) columns: Vec<Column>,
}

impl Chart {
    /// The last day by the hour.
    pub(super) fn of_day(title: &'static str, hours: &[Hour], now: Timestamp) -> Self {
        let begin = hours.len().saturating_sub(HOURS_A_DAY);
        Self { title, columns: columns(hours.get(begin..).unwrap_or_default(), 1, now) }
    }

    /// The last week by the day.
    pub(super) fn of_week(title: &'static str, hours: &[Hour], now: Timestamp) -> Self {
        Self { title, columns: columns(hours, HOURS_A_DAY, now) }
    }

    pub(super) fn width(&self) -> usize {
        self.columns.len() * COLUMN
    }

    #[expect(clippy::unused_self, reason = "templates call methods of their view")]
    pub(super) const fn height(&self) -> usize {
        HEIGHT
    }

    #[expect(clippy::unused_self, reason = "templates call methods of their view")]
    pub(super) const fn bar_width(&self) -> usize {
        BAR
    }

    pub(super) fn signed_in(&self) -> usize {
        self.columns.iter().map(|column| column.signed_in).sum()
    }

    pub(super) fn refused(&self) -> usize {
        self.columns.iter().map(|column| column.refused).sum()
    }

    /// The rectangles, scaled so that the highest one fills the chart.
    pub(super) fn bars(&self) -> Vec<Bar> {
        let highest = self.columns.iter().map(|it| it.signed_in.max(it.refused)).max().unwrap_or(0).max(1);
        let bar = |x: usize, count: usize, is_refusal| {
            // A number above zero is always visible.
            let height = (count * HEIGHT).div_ceil(highest);
            Bar { x, y: HEIGHT - height, height, is_refusal }
        };
        let both = |(at, column): (usize, &Column)| {
            let x = at * COLUMN + 1;
            [bar(x, column.signed_in, false), bar(x + BAR + 1, column.refused, true)]
        };
        self.columns.iter().enumerate().flat_map(both).filter(|bar| bar.height > 0).collect()
    }
}

/// Sums of `width` hours each; the last one ends with the hour of `now`.
fn columns(hours: &[Hour], width: usize, now: Timestamp) -> Vec<Column> {
    let this_hour = now.as_millis() - now.as_millis().rem_euclid(HOUR_MILLIS);
    let count = i64::try_from(hours.len()).unwrap_or(0);
    let column = |(at, some): (usize, &[Hour])| {
        let first = i64::try_from(at * width).unwrap_or(0);
        Column {
            at: Timestamp::from_millis(this_hour - (count - 1 - first) * HOUR_MILLIS),
            signed_in: some.iter().map(|hour| hour.signed_in).sum(),
            refused: some.iter().map(|hour| hour.refused).sum(),
        }
    };
    hours.chunks(width).enumerate().map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    #[test]
    fn week_chart_has_seven_columns_with_every_event() {
        let mut hours = vec![Hour::default(); 168];
        hours[0].signed_in = 3;
        hours[167] = Hour { signed_in: 5, refused: 1 };
        let week = Chart::of_week("", &hours, NOW);
        assert_eq!((week.columns.len(), week.signed_in(), week.refused()), (7, 8, 1));
        let day = Chart::of_day("", &hours, NOW);
        assert_eq!((day.columns.len(), day.signed_in()), (24, 5));
        assert_eq!(day.columns[23].at, NOW.minus(std::time::Duration::from_secs(0)));
    }

    #[test]
    fn the_highest_bar_fills_the_chart_and_one_event_is_seen() {
        let mut hours = vec![Hour::default(); 24];
        hours[3] = Hour { signed_in: 1_000, refused: 1 };
        let bars = Chart::of_day("", &hours, NOW).bars();
        assert_eq!(bars.iter().map(|bar| bar.height).collect::<Vec<_>>(), [100, 1]);
        assert!(Chart::of_day("", &vec![Hour::default(); 24], NOW).bars().is_empty());
    }
}
