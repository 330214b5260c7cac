//! When a certificate is renewed, and when a failure is tried again.
//!
//! Pure: moments and shares in, moments out. What always holds: a certificate is asked for while
//! the one before it is still valid, unless it came to us late; two gateways that were set up at
//! the same moment do not ask at the same moment.

use std::time::Duration;

use crate::domain::time::Timestamp;

/// A certificate that is valid for less than this is renewed at half of its lifetime.
const SHORT_LIFETIME: Duration = Duration::from_hours(10 * 24);
/// Of a lifetime: how far the moment of renewal is spread.
const SPREAD: f64 = 0.02;
/// How soon a failure is tried again, by how many there have been. Let's Encrypt allows five
/// refused validations of a name in an hour.
const RETRIES: [Duration; 7] = [
    Duration::from_secs(10),
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(15),
    Duration::from_hours(1),
    Duration::from_hours(3),
    Duration::from_hours(6),
];
/// How much longer than said a wait may be, as a share of it.
const RETRY_SPREAD: f64 = 0.1;
/// An authority that says that there were too many requests is left alone for at least so long.
const TOO_MANY_REQUESTS: Duration = Duration::from_hours(1);
/// How soon a certificate is replaced that has just been issued, however much the authority would
/// like that.
const RENEWAL_INTERVAL_MIN: Duration = Duration::from_hours(1);
/// How often the authority is asked when to renew, whatever it says (RFC 9773, section 4.3.2).
const POLL_MIN: Duration = Duration::from_mins(1);
const POLL_MAX: Duration = Duration::from_hours(24);

/// How long a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

/// When the authority would like it to be renewed (RFC 9773, section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
}

/// When a certificate is due by its age: with a third of its lifetime left, or half of a short one.
/// `draw` is from 0 to 1, and always the same for a certificate.
pub(super) fn due(validity: Validity, draw: f64) -> Timestamp {
    let whole = validity.not_after.since(validity.not_before);
    let left = if whole < SHORT_LIFETIME { whole / 2 } else { whole / 3 };
    validity.not_after.minus(left + whole.mul_f64(SPREAD * draw))
}

/// When it is due by what the authority says. A window that ends after the certificate does is no
/// help.
pub(super) fn due_within(window: Window, validity: Validity, draw: f64) -> Timestamp {
    if window.end >= validity.not_after || window.end < window.start {
        return due(validity, draw);
    }
    window.start.plus(window.end.since(window.start).mul_f64(draw))
}

/// How long a certificate is kept at least, once it has been issued.
pub(super) fn interval_after_success(validity: Validity) -> Duration {
    RENEWAL_INTERVAL_MIN.min(validity.not_after.since(validity.not_before) / 4)
}

/// How long until the authority is asked again when to renew.
pub(super) fn poll_after(said: Duration) -> Duration {
    said.clamp(POLL_MIN, POLL_MAX)
}

/// The kind of refusal by the authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefusalKind {
    Refused,
    TooManyRequests,
}

/// How long to wait after `failures` in a row, the last of which was of this kind.
pub(super) fn retry_after(failures: usize, refusal_kind: RefusalKind, draw: f64) -> Duration {
    let step = failures.saturating_sub(1).min(RETRIES.len() - 1);
    let wait = RETRIES.get(step).copied().unwrap_or(TOO_MANY_REQUESTS);
    let wait = if refusal_kind == RefusalKind::TooManyRequests { wait.max(TOO_MANY_REQUESTS) } else { wait };
    wait.mul_f64(RETRY_SPREAD.mul_add(draw, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);
    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn lasting(validity: Duration) -> Validity {
        Validity { not_before: START, not_after: START.plus(validity) }
    }

    #[test]
    fn renews_at_one_third_of_long_and_half_of_short_lifetimes() {
        assert_eq!(due(lasting(DAY * 90), 0.0), START.plus(DAY * 60));
        assert_eq!(due(lasting(Duration::from_hours(160)), 0.0), START.plus(Duration::from_hours(80)));
        assert_eq!(due(lasting(DAY * 90), 1.0), START.plus(DAY * 60).minus((DAY * 90).mul_f64(SPREAD)));
    }

    #[test]
    fn renews_within_the_window_of_the_authority() {
        let validity = lasting(DAY * 90);
        let window = |from: u32, to: u32| Window { start: START.plus(DAY * from), end: START.plus(DAY * to) };
        assert_eq!(due_within(window(50, 52), validity, 0.5), START.plus(DAY * 51));
        assert_eq!(due_within(window(0, 1), validity, 0.0), START, "a certificate that is to be revoked");
        for useless in [window(80, 90), window(60, 120), window(52, 50)] {
            assert_eq!(due_within(useless, validity, 0.0), due(validity, 0.0));
        }
    }

    #[test]
    fn retry_delay_grows_with_each_failure() {
        let waits: Vec<_> =
            (1..10).map(|failures| retry_after(failures, RefusalKind::Refused, 0.0)).collect();
        assert!(waits.is_sorted());
        assert_eq!(waits.first(), RETRIES.first());
        assert_eq!(waits.last(), RETRIES.last());
        let five: Duration = waits.iter().take(5).sum();
        assert!(five > Duration::from_hours(1), "the sixth try is more than an hour after the first");
        assert_eq!(retry_after(1, RefusalKind::TooManyRequests, 0.0), TOO_MANY_REQUESTS);
        assert_eq!(retry_after(9, RefusalKind::TooManyRequests, 0.0), Duration::from_hours(6));
    }

    #[test]
    fn poll_interval_has_a_minimum_and_a_maximum() {
        assert_eq!(poll_after(Duration::ZERO), POLL_MIN);
        assert_eq!(poll_after(DAY * 30), POLL_MAX);
        assert_eq!(poll_after(Duration::from_hours(6)), Duration::from_hours(6));
    }

    proptest! {
        #[test]
        fn renewal_is_within_the_lifetime(seconds in 10_u64..40_000_000, draw in 0.0..1.0_f64, from in 0_u64..50_000_000, long in 0_u64..50_000_000) {
            let validity = lasting(Duration::from_secs(seconds));
            let window = Window {
                start: START.plus(Duration::from_secs(from)),
                end: START.plus(Duration::from_secs(from + long)),
            };
            for at in [due(validity, draw), due_within(window, validity, draw)] {
                prop_assert!(at >= validity.not_before && at < validity.not_after);
            }
        }
    }
}
