//! An engine in memory that counts what is asked of it, and that can be said to be elsewhere.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use courseblocks::Result;
use courseblocks::engine::{
    Commit, CommitOutcome, Durability, Engine, Key, MemoryEngine, Scan, Space, Value,
};

#[derive(Debug, Default)]
pub(crate) struct Watched {
    pub(crate) inner: MemoryEngine,
    operations: AtomicUsize,
    items: AtomicUsize,
    rows: AtomicUsize,
    place: Mutex<Option<String>>,
}

/// What was asked of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Gets, scans, commits and flushes.
    pub(crate) operations: usize,
    /// What scans have handed out.
    pub(crate) items: usize,
    /// Of these, rows of the header index.
    #[allow(dead_code, reason = "not every test file uses all of it")]
    pub(crate) rows: usize,
}

impl Watched {
    /// What `act` costs.
    pub(crate) fn cost<R>(&self, act: impl FnOnce() -> R) -> (R, Cost) {
        let before = self.so_far();
        let done = act();
        let after = self.so_far();
        let cost = Cost {
            operations: after.operations - before.operations,
            items: after.items - before.items,
            rows: after.rows - before.rows,
        };
        (done, cost)
    }

    /// As if the data had been copied to this place.
    #[allow(dead_code, reason = "not every test file uses all of it")]
    pub(crate) fn move_to(&self, place: &str) {
        let mut now = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        *now = Some(place.to_owned());
    }

    fn so_far(&self) -> Cost {
        Cost {
            operations: self.operations.load(Ordering::SeqCst),
            items: self.items.load(Ordering::SeqCst),
            rows: self.rows.load(Ordering::SeqCst),
        }
    }

    fn operation(&self) {
        self.operations.fetch_add(1, Ordering::SeqCst);
    }
}

impl Engine for Watched {
    fn get(&self, key: Key<'_>) -> Result<Option<Value>> {
        self.operation();
        self.inner.get(key)
    }

    fn scan(&self, space: Space, partition: Option<&[u8]>) -> Scan<'_> {
        self.operation();
        let scan = self.inner.scan(space, partition);
        Box::new(scan.inspect(move |_| {
            self.items.fetch_add(1, Ordering::SeqCst);
            if space == Space::Courses {
                self.rows.fetch_add(1, Ordering::SeqCst);
            }
        }))
    }

    fn commit(
        &self,
        partition: &[u8],
        commit: &Commit,
        durability: Durability,
    ) -> Result<CommitOutcome> {
        self.operation();
        self.inner.commit(partition, commit, durability)
    }

    fn flush(&self) -> Result<()> {
        self.operation();
        self.inner.flush()
    }

    fn disk_bytes(&self) -> Result<u64> {
        self.inner.disk_bytes()
    }

    fn place(&self) -> Result<String> {
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        place.clone().map_or_else(|| self.inner.place(), Ok)
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}
