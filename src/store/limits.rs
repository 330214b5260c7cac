//! The port's size limits, checked the same way by every engine before anything happens.
//!
//! Changes and expectations above a limit are refused. Reads are not checked: an entry above a
//! limit cannot exist, so looking for one finds nothing, and an over-long key sent by an anonymous
//! client is a missing key rather than a failure of the store.

use crate::ports::StoreError;
use crate::ports::store::{BATCH_OPERATIONS_MAX, Batch, Change, Expectation, KEY_BYTES_MAX, VALUE_BYTES_MAX};

/// Refuses a batch that an engine does not have to accept.
pub(super) fn check(batch: &Batch) -> Result<(), StoreError> {
    let operations = batch.expectations.len() + batch.changes.len();
    if operations > BATCH_OPERATIONS_MAX {
        return Err(too_large("a batch", operations, BATCH_OPERATIONS_MAX, "operations"));
    }
    for expectation in &batch.expectations {
        match expectation {
            Expectation::Absent { key } => check_key(key)?,
            Expectation::Exactly { key, value } => check_entry(key, value)?,
        }
    }
    for change in &batch.changes {
        match change {
            Change::Put { key, value } => check_entry(key, value)?,
            Change::Delete { key } => check_key(key)?,
        }
    }
    Ok(())
}

/// Refuses a key that an engine does not have to accept.
pub(super) fn check_key(key: &[u8]) -> Result<(), StoreError> {
    if key.len() > KEY_BYTES_MAX {
        return Err(too_large("a key", key.len(), KEY_BYTES_MAX, "bytes"));
    }
    Ok(())
}

fn check_entry(key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    check_key(key)?;
    if value.len() > VALUE_BYTES_MAX {
        return Err(too_large("a value", value.len(), VALUE_BYTES_MAX, "bytes"));
    }
    Ok(())
}

fn too_large(what: &str, size: usize, max: usize, unit: &str) -> StoreError {
    StoreError::TooLarge(format!("{what} of {size} {unit}, and {max} is the most"))
}
