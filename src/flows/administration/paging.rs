//! Lists, a page at a time.
//!
//! What always holds: a page costs the same with ten entries and with a hundred thousand, because
//! it looks at a bounded number of them; and one walk from page to page meets every entry that is
//! there all the while exactly once.
//!
//! What does not live here: what a list is made of, which each flow says itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::time::Timestamp;
use crate::flows::trail;
use crate::ports::StoreError;
use crate::ports::store::Entry;
use crate::records::Records;
use crate::records::walk::Walk;

/// How many items are on a page unless the caller says otherwise.
pub const PAGE_ITEMS: usize = 50;
/// The most items on one page.
pub const PAGE_ITEMS_MAX: usize = 200;
/// How many entries are looked at for one page; with filters that few items pass, a page may then
/// be short, and the next one goes on from there.
pub const LOOKED_AT_MAX: usize = 2_000;
/// The fewest entries that are read at a time.
const STEP_ENTRIES: usize = 64;

/// The end of a page. Opaque to callers, who give it back as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(Vec<u8>);

impl Cursor {
    pub(in crate::flows) fn of(key: &[u8]) -> Self {
        Self(key.to_vec())
    }

    pub(in crate::flows) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads what `to_string` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok().filter(|key| !key.is_empty()).map(Self)
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

/// Which part of a list is asked for.
#[derive(Debug, Clone)]
pub struct Part {
    /// The end of the page before.
    pub after: Option<Cursor>,
    /// From 1 to [`PAGE_ITEMS_MAX`].
    pub limit: usize,
}

impl Default for Part {
    fn default() -> Self {
        Self { after: None, limit: PAGE_ITEMS }
    }
}

/// A part of a longer list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// The beginning of the next one; `None`: this was the last.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// A page of a list that is in memory, where a limit keeps it short; in the order of `place`,
    /// which no two of the list share.
    pub(in crate::flows) fn of_few(few: Vec<T>, part: &Part, place: impl Fn(&T) -> Vec<u8>) -> Self {
        let mut placed: Vec<_> = few.into_iter().map(|item| (place(&item), item)).collect();
        placed.retain(|(place, _)| part.after.as_ref().is_none_or(|after| place > &after.0));
        placed.sort_by(|(a, _), (b, _)| a.cmp(b));
        let limit = part.limit.clamp(1, PAGE_ITEMS_MAX);
        let is_last = placed.len() <= limit;
        placed.truncate(limit);
        let next = placed.last().filter(|_| !is_last).map(|(place, _)| Cursor::of(place));
        Self { items: placed.into_iter().map(|(_, item)| item).collect(), next }
    }
}

/// The place of what came about `at` in a list with the newest first. `id` tells it from others of
/// that moment.
pub(in crate::flows) fn newest_first(at: Timestamp, id: &[u8]) -> Vec<u8> {
    [trail::moment(at).as_slice(), id].concat()
}

/// Makes one page of the entries below a prefix, in the order of their keys.
pub(in crate::flows) struct Pager<'a, T> {
    walk: Walk<'a>,
    limit: usize,
    looked_at_max: usize,
    looked_at: usize,
    last: Option<Vec<u8>>,
    is_cut: bool,
    items: Vec<T>,
}

impl<'a, T> Pager<'a, T> {
    /// A page of at most `limit` items, for which at most `looked_at_max` entries are looked at.
    pub(in crate::flows) fn new(
        records: &'a Records,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        looked_at_max: usize,
    ) -> Self {
        // One more than fit: whether there is a next page.
        let walk = records.walk_on(prefix, after, STEP_ENTRIES.max(limit + 1));
        Self { walk, limit, looked_at_max, looked_at: 0, last: None, is_cut: false, items: Vec::new() }
    }

    /// The same by the limits of most lists.
    pub(in crate::flows) fn of(records: &'a Records, prefix: &[u8], part: &Part) -> Self {
        let after = part.after.as_ref().map(Cursor::as_bytes);
        Self::new(records, prefix, after, part.limit.clamp(1, PAGE_ITEMS_MAX), LOOKED_AT_MAX)
    }

    /// The next entry to look at; `None` where the page ends.
    pub(in crate::flows) async fn next(&mut self) -> Result<Option<Entry>, StoreError> {
        let Some((key, value)) = self.walk.next().await? else { return Ok(None) };
        if self.items.len() == self.limit || self.looked_at == self.looked_at_max {
            self.is_cut = true;
            return Ok(None);
        }
        self.looked_at += 1;
        self.last = Some(key.clone());
        Ok(Some((key, value)))
    }

    /// Puts an item on the page.
    pub(in crate::flows) fn take(&mut self, item: T) {
        self.items.push(item);
    }

    /// The page.
    pub(in crate::flows) fn page(self) -> Page<T> {
        let next = self.last.filter(|_| self.is_cut).map(Cursor);
        Page { items: self.items, next }
    }
}
