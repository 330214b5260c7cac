//! Who is told of changes, and the telling.
//!
//! Engines call [`Watchers::tell`] from one place at a time, in commit order, before they answer.
//! What always holds: no lock is taken while a watcher runs, so registering another one never
//! waits for it.

use arc_swap::ArcSwap;

use crate::ports::Change;
use crate::ports::store::Watcher;

/// The watchers of one engine.
#[derive(Default)]
pub(super) struct Watchers {
    registered: ArcSwap<Vec<Registration>>,
}

#[derive(Clone)]
struct Registration {
    prefix: Vec<u8>,
    watcher: Watcher,
}

impl Watchers {
    /// Adds a watcher. It hears of every change that is told after this call.
    pub(super) fn add(&self, prefix: &[u8], watcher: Watcher) {
        let added = Registration { prefix: prefix.to_vec(), watcher };
        self.registered.rcu(|known| {
            let mut all = Vec::clone(known);
            all.push(added.clone());
            all
        });
    }

    /// Tells everybody concerned, change by change.
    pub(super) fn tell<'a>(&self, changes: impl IntoIterator<Item = &'a Change>) {
        let registered = self.registered.load();
        for change in changes {
            for registration in registered.iter() {
                if change.key().starts_with(&registration.prefix) {
                    (registration.watcher)(change);
                }
            }
        }
    }
}
