//! What a start makes of the directory: a database that has everything that was acknowledged, or the
//! reason why it cannot be used.
//!
//! What always holds: [`Recovered`] is made only when counting the entries gives the tally that was
//! written, and when that tally is no older than the witness. The followers that are told during
//! the reading are handed out with it, so no caller has what they heard of a store that was refused.
//!
//! What does not live here: the directory and its lock (`directory.rs`), reading and counting
//! (`reading.rs`, `tally.rs`).

use std::panic::{AssertUnwindSafe, catch_unwind};

use sled::{Config, Db, Tree};

use super::directory::{DirectoryState, StoreDirectory};
use super::reading::{self, ReadThrough};
use super::tally::{Tally, Weights};
use super::witness::Witness;
use super::{OpenError, SEGMENT_BYTES, SledOptions};
use crate::ports::store::{StoreError, Subscription};
use crate::store::followers::Followers;

/// The tree beside the entries that shows a database to be ours and complete. sled can open a
/// damaged file as an empty database, for which the marker in the directory would then vouch.
const FORMAT_TREE: &str = "format";
const FORMAT_KEY: &str = "version";
const FORMAT_VERSION: &str = "3";
/// The second format: the third with other weights in its tally.
const FORMAT_VERSION_2: &str = "2";
/// The first format: the third without a tally.
const FORMAT_VERSION_UNCOUNTED: &str = "1";

/// The content of the directory, found to be complete.
pub(super) struct Recovered {
    pub(super) database: Db,
    /// The tree of the tally.
    pub(super) own: Tree,
    pub(super) tally: Tally,
    /// They have been told of every entry.
    pub(super) followers: Followers,
}

/// Lets sled recover what is in the directory, and tells `followed` of it. Damage can make sled
/// panic, which is an answer too.
pub(super) fn recover(
    directory: &StoreDirectory,
    options: &SledOptions,
    followed: Vec<Subscription>,
) -> Result<Recovered, OpenError> {
    let config =
        Config::new().path(directory.path()).cache_capacity(options.cache_bytes).segment_size(SEGMENT_BYTES);
    let recovery = || {
        let failed = |error| OpenError::sled(directory.path(), error);
        let database = config.open().map_err(failed)?;
        match directory.past() {
            DirectoryState::New => begin_format(directory, database, 0, followed),
            DirectoryState::Initialised => check_format(directory, database, followed),
        }
    };
    catch_unwind(AssertUnwindSafe(recovery))
        .unwrap_or_else(|_| Err(corrupt(directory, "sled panicked while recovering it")))
}

/// Counts what is there after so many changes, which is nothing on a first start, and says so in the
/// database. The version comes last: until then, the database is what it was.
fn begin_format(
    directory: &StoreDirectory,
    database: Db,
    changes: u64,
    followed: Vec<Subscription>,
) -> Result<Recovered, OpenError> {
    let failed = |error| OpenError::sled(directory.path(), error);
    let own = database.open_tree(FORMAT_TREE).map_err(failed)?;
    let ReadThrough { counted, followers } =
        reading::read_through(&database, Weights::Present, followed, changes).map_err(failed)?;
    let tally = Tally::after(changes).with(&counted);
    tally.write(&own).map_err(failed)?;
    own.insert(FORMAT_KEY, FORMAT_VERSION).map_err(failed)?;
    database.flush().map_err(failed)?;
    let followers = followers.map_err(|error| untold(directory, error))?;
    Ok(Recovered { database, own, tally, followers })
}

/// Refuses a database that came up without what every database of ours has had from its start, or
/// without anything that was put into it since.
fn check_format(
    directory: &StoreDirectory,
    database: Db,
    followed: Vec<Subscription>,
) -> Result<Recovered, OpenError> {
    let failed = |error| OpenError::sled(directory.path(), error);
    let known = database.tree_names().iter().any(|name| *name == FORMAT_TREE);
    if !database.was_recovered() || !known {
        return Err(corrupt(directory, "sled came up with an empty database"));
    }
    let own = database.open_tree(FORMAT_TREE).map_err(failed)?;
    match own.get(FORMAT_KEY).map_err(failed)? {
        Some(version) if version == FORMAT_VERSION => {
            let (tally, followers) = check_tally(directory, &database, &own, Weights::Present, followed)?;
            Ok(Recovered { database, own, tally, followers })
        }
        Some(version) if version == FORMAT_VERSION_2 => {
            let (tally, _) = check_tally(directory, &database, &own, Weights::OfFormat2, Vec::new())?;
            begin_format(directory, database, tally.changes, followed)
        }
        Some(version) if version == FORMAT_VERSION_UNCOUNTED => {
            begin_format(directory, database, 0, followed)
        }
        Some(_) => Err(OpenError::OtherFormat { path: directory.path().to_owned() }),
        None => Err(corrupt(directory, "the format version is missing")),
    }
}

/// The tally that was written, if it is no older than the witness and counting gives the same.
fn check_tally(
    directory: &StoreDirectory,
    database: &Db,
    own: &Tree,
    weights: Weights,
    followed: Vec<Subscription>,
) -> Result<(Tally, Followers), OpenError> {
    let failed = |error| OpenError::sled(directory.path(), error);
    let tally = Tally::read(own, weights)
        .map_err(failed)?
        .ok_or_else(|| corrupt(directory, "its tally is missing"))?;
    let noted = Witness::read(directory.path()).map_err(|error| OpenError::io(directory.path(), error))?;
    if tally.changes < noted {
        let reason = format!("its last {} changes are missing", noted - tally.changes);
        return Err(corrupt(directory, &reason));
    }
    let ReadThrough { counted, followers } =
        reading::read_through(database, weights, followed, tally.changes).map_err(failed)?;
    if !tally.agrees_with(&counted) {
        return Err(corrupt(directory, "its entries are not those that were written"));
    }
    Ok((tally, followers.map_err(|error| untold(directory, error))?))
}

fn corrupt(directory: &StoreDirectory, reason: &str) -> OpenError {
    OpenError::Corrupt { path: directory.path().to_owned(), reason: reason.to_owned() }
}

fn untold(directory: &StoreDirectory, source: StoreError) -> OpenError {
    OpenError::Untold { path: directory.path().to_owned(), source }
}
