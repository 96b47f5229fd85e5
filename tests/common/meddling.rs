//! An engine in memory that lets a test in before every operation, to fail it or to do something
//! else first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use courseblocks::Result;
use courseblocks::engine::{
    Commit, CommitOutcome, Durability, Engine, Key, MemoryEngine, Scan, Space, Value,
};

use crate::probe::Probe;

#[derive(Debug, Default)]
pub(crate) struct Meddling {
    pub(crate) inner: MemoryEngine,
    pub(crate) before: Probe,
}

impl Meddling {
    /// Does `act` before the operation number `n` from now, from 0, and tells whether it came to
    /// that. The operations of `act` itself do not count.
    pub(crate) fn slip_in(&self, n: usize, act: impl Fn() + Send + Sync + 'static) -> SlippedIn {
        let slipped_in = SlippedIn::default();
        let (happened, operations) = (Arc::clone(&slipped_in.0), AtomicUsize::new(0));
        self.before.set(move || {
            if !happened.load(Ordering::SeqCst)
                && operations.fetch_add(1, Ordering::SeqCst) == n
                && !happened.swap(true, Ordering::SeqCst)
            {
                act();
            }
            Ok(())
        });
        slipped_in
    }
}

#[derive(Debug, Default)]
pub(crate) struct SlippedIn(Arc<AtomicBool>);

impl SlippedIn {
    pub(crate) fn happened(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Engine for Meddling {
    fn get(&self, key: Key<'_>) -> Result<Option<Value>> {
        self.before.call()?;
        self.inner.get(key)
    }

    fn scan(&self, space: Space, partition: Option<&[u8]>) -> Scan<'_> {
        match self.before.call() {
            Ok(()) => self.inner.scan(space, partition),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }

    fn commit(
        &self,
        partition: &[u8],
        commit: &Commit,
        durability: Durability,
    ) -> Result<CommitOutcome> {
        self.before.call()?;
        self.inner.commit(partition, commit, durability)
    }

    fn flush(&self) -> Result<()> {
        self.before.call()?;
        self.inner.flush()
    }

    fn disk_bytes(&self) -> Result<u64> {
        self.inner.disk_bytes()
    }

    fn place(&self) -> Result<String> {
        self.inner.place()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}
