//! Labels of events.

use super::*;

#[test]
fn every_kind_has_a_word_of_its_own() {
    use Delivery::{Expired, Postponed, Refused, Sent};
    use DeviceStep::{Asked, Confirmed, Joined, Offered, Withdrawn};
    use UserChange::{Approved, Deleted, Disabled, Enabled, Groups, Imported, Note, Role};

    #[track_caller]
    fn check<const N: usize>(labels: [&'static str; N]) {
        let plain =
            |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(labels.iter().all(plain), "{labels:?}");
        let different: std::collections::BTreeSet<_> = labels.into();
        assert_eq!(different.len(), N, "{labels:?}");
    }
    check([Sent, Postponed, Expired, Refused].map(Delivery::label));
    check([Offered, Asked, Confirmed, Withdrawn, Joined].map(DeviceStep::label));
    check([Groups, Disabled, Enabled, Role, Approved, Note, Deleted, Imported].map(UserChange::label));
}
