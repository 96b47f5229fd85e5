//! An engine that is not shared, for systems without Unix domain sockets.

use std::path::Path;

use super::{
    Commit, CommitOutcome, Durability, Engine, Key, Scan, SledEngine, SledOptions, Space, Value,
};
use crate::error::Result;

/// An [`Engine`] that processes share where there are Unix domain sockets. There are none here: it
/// is a [`SledEngine`], for one process at a time.
#[derive(Debug)]
pub struct SharedEngine(SledEngine);

impl SharedEngine {
    /// Opens the store at `path` as [`SledEngine::open`] does.
    pub fn open(path: &Path, options: &SledOptions) -> Result<Self> {
        SledEngine::open(path, options).map(Self)
    }
}

impl Engine for SharedEngine {
    fn get(&self, key: Key<'_>) -> Result<Option<Value>> {
        self.0.get(key)
    }

    fn scan(&self, space: Space, partition: Option<&[u8]>) -> Scan<'_> {
        self.0.scan(space, partition)
    }

    fn commit(
        &self,
        partition: &[u8],
        commit: &Commit,
        durability: Durability,
    ) -> Result<CommitOutcome> {
        self.0.commit(partition, commit, durability)
    }

    fn flush(&self) -> Result<()> {
        self.0.flush()
    }

    fn disk_bytes(&self) -> Result<u64> {
        self.0.disk_bytes()
    }

    fn place(&self) -> Result<String> {
        self.0.place()
    }

    fn describe(&self) -> String {
        self.0.describe()
    }
}
