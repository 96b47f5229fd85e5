//! An engine in memory that can be told to fail and to crash, for tests: ours and those of hosts.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Commit, CommitOutcome, Durability, Engine, Item, Key, Scan, Space, Value, joined};
use crate::concat::ROOM;
use crate::error::{Error, ErrorKind, Result};

/// An [`Engine`] that loses everything when it is dropped.
///
/// ```
/// use courseblocks::engine::{Commit, Durability, Engine, Key, MemoryEngine, Space};
///
/// let engine = MemoryEngine::new();
/// let mut commit = Commit::new();
/// commit.put(Space::Control, "floor", "7");
/// engine.commit(b"start_date", &commit, Durability::Buffered)?;
/// let key = Key::new(Space::Control, b"start_date", b"floor");
/// assert_eq!(engine.get(key)?.as_deref(), Some(&b"7"[..]));
///
/// engine.crash();
/// assert_eq!(engine.get(key)?, None);
/// # Ok::<(), courseblocks::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct MemoryEngine {
    state: Mutex<State>,
    number: Number,
}

/// Tells the engines of a process apart.
#[derive(Debug)]
struct Number(u64);

impl Default for Number {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

#[derive(Debug, Default)]
struct State {
    visible: Maps,
    /// What a crash leaves, and what it loses.
    durable: Maps,
    /// The commits that are not durable, from the first to the last.
    buffered: VecDeque<Vec<Change>>,
    operations_until_failure: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Maps {
    records: Map,
    courses: Map,
    control: Map,
}

/// The space, the key and what its value becomes.
type Change = (Space, Vec<u8>, Option<Arc<[u8]>>);

/// By key as made by [`joined`].
type Map = BTreeMap<Vec<u8>, Arc<[u8]>>;

impl MemoryEngine {
    /// An empty engine.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the `n`-th operation from now fail once, 1 being the next one, with
    /// [`ErrorKind::Storage`] and without any effect; 0 lets none fail. Each call of a method of
    /// [`Engine`] that returns a result or a scan is an operation.
    pub fn fail_at(&self, n: u64) {
        self.lock().operations_until_failure = n.checked_sub(1);
    }

    /// What the end of the machine may do at most: everything since the last durable commit or
    /// flush is gone.
    pub fn crash(&self) {
        self.crash_keeping(0);
    }

    /// What the end of the machine may do as well: of the commits since the last durable one or
    /// flush, the first `commits` are kept, or all of them where there are no more.
    ///
    /// ```
    /// # use courseblocks::engine::{Commit, Durability, Engine, Key, MemoryEngine, Space};
    /// let engine = MemoryEngine::new();
    /// for name in ["first", "second"] {
    ///     let mut commit = Commit::new();
    ///     commit.put(Space::Control, name, "");
    ///     engine.commit(b"all", &commit, Durability::Buffered)?;
    /// }
    /// engine.crash_keeping(1);
    /// assert!(engine.get(Key::new(Space::Control, b"all", b"first"))?.is_some());
    /// assert!(engine.get(Key::new(Space::Control, b"all", b"second"))?.is_none());
    /// # Ok::<(), courseblocks::Error>(())
    /// ```
    pub fn crash_keeping(&self, commits: usize) {
        let mut state = self.lock();
        state.flush(commits);
        state.visible = state.durable.clone();
        state.buffered.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn operation(&self) -> Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        let left = state.operations_until_failure;
        state.operations_until_failure = left.and_then(|left| left.checked_sub(1));
        match left {
            Some(0) => Err(Error::new(ErrorKind::Storage, "told to fail")),
            _ => Ok(state),
        }
    }

    fn found(&self, space: Space, partition: Option<&[u8]>) -> Result<Vec<Item>> {
        let first = partition
            .map(|partition| joined(partition, b""))
            .transpose()?;
        let state = self.operation()?;
        let from = first.as_deref().map_or(Bound::Unbounded, Bound::Included);
        let items = state
            .visible
            .map(space)
            .range::<[u8], _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(first.as_deref().unwrap_or_default()));
        let items = items.filter_map(|(key, value)| {
            Item::from_joined(key.clone().into(), Value::from(value.clone()))
        });
        Ok(items.collect())
    }
}

impl Engine for MemoryEngine {
    fn get(&self, key: Key<'_>) -> Result<Option<Value>> {
        let mut room = ROOM;
        let joined = key.joined_in(&mut room)?;
        let state = self.operation()?;
        let value = state.visible.map(key.space).get(&*joined);
        Ok(value.cloned().map(Value::from))
    }

    fn scan(&self, space: Space, partition: Option<&[u8]>) -> Scan<'_> {
        match self.found(space, partition) {
            Ok(items) => Box::new(items.into_iter().map(Ok)),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }

    fn commit(
        &self,
        partition: &[u8],
        commit: &Commit,
        durability: Durability,
    ) -> Result<CommitOutcome> {
        joined(partition, b"")?;
        let mut state = self.operation()?;
        for (precondition, required) in commit.preconditions().iter().enumerate() {
            let key = joined(partition, &required.name)?;
            let value = state.visible.map(required.space).get(&key);
            if !required.expected.is_met_by(value.map(AsRef::as_ref)) {
                return Ok(CommitOutcome::Refused { precondition });
            }
        }
        let mut changes = Vec::new();
        for write in commit.writes() {
            let key = joined(partition, &write.name)?;
            let value = write.value.as_deref().map(Arc::from);
            let change = (write.space, key, value);
            state.visible.apply(change.clone());
            changes.push(change);
        }
        state.buffered.push_back(changes);
        if durability == Durability::Durable {
            state.flush(usize::MAX);
        }
        Ok(CommitOutcome::Applied)
    }

    fn flush(&self) -> Result<()> {
        self.operation()?.flush(usize::MAX);
        Ok(())
    }

    fn disk_bytes(&self) -> Result<u64> {
        self.operation().map(|_| 0)
    }

    fn place(&self) -> Result<String> {
        let process = std::process::id();
        self.operation()
            .map(|_| format!("memory {} of process {process}", self.number.0))
    }

    fn describe(&self) -> String {
        "memory".into()
    }
}

impl State {
    /// Makes the first `commits` commits durable.
    fn flush(&mut self, commits: usize) {
        let commits = commits.min(self.buffered.len());
        for change in self.buffered.drain(..commits).flatten() {
            self.durable.apply(change);
        }
    }
}

impl Maps {
    fn apply(&mut self, (space, key, value): Change) {
        let map = self.map_mut(space);
        match value {
            Some(value) => map.insert(key, value),
            None => map.remove(&key),
        };
    }

    fn map(&self, space: Space) -> &Map {
        match space {
            Space::Records => &self.records,
            Space::Courses => &self.courses,
            Space::Control => &self.control,
        }
    }

    fn map_mut(&mut self, space: Space) -> &mut Map {
        match space {
            Space::Records => &mut self.records,
            Space::Courses => &mut self.courses,
            Space::Control => &mut self.control,
        }
    }
}
