//! An engine in memory on which operations of several processes meet: each of their calls may be
//! suspended or fail, and what becomes of the index rows is written down. It decides nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use courseblocks::engine::{
    Commit, CommitOutcome, Durability, Engine, Item, Key, MemoryEngine, Scan, Space, Value,
};
use courseblocks::{Error, ErrorKind, Result};

use super::fibers::{self, Pass, Place, Trouble};

#[derive(Debug, Default)]
pub(crate) struct Stage {
    inner: MemoryEngine,
    place: AtomicU64,
    log: Mutex<Log>,
}

/// What was committed since somebody looked.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) rows: Vec<RowChange>,
    /// Commits to control data, by partition.
    pub(crate) rollout_changed: bool,
    pub(crate) queue_changed: bool,
    /// Grows with every commit.
    commits: u64,
}

/// A change of a course's row in the header index.
#[derive(Debug)]
pub(crate) struct RowChange {
    pub(crate) course: Vec<u8>,
    /// `None` where it was deleted.
    pub(crate) row: Option<Vec<u8>>,
}

/// The store hands out numbers under a lock of its process; nobody else of it may run meanwhile.
const LOCKED: &[u8] = b"generations";

impl Stage {
    /// The end of the machine: what is not durable is lost, but for the first `kept` commits.
    pub(crate) fn crash(&self, kept: u8) {
        self.inner.crash_keeping(kept.into());
    }

    /// The data is somewhere else from now on.
    pub(crate) fn move_elsewhere(&self) {
        self.place.fetch_add(1, Ordering::SeqCst);
    }

    /// What was committed since the last call.
    pub(crate) fn take_log(&self) -> Log {
        let mut log = self.log();
        let commits = log.commits;
        std::mem::replace(
            &mut log,
            Log {
                commits,
                ..Log::default()
            },
        )
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `call` unless it fails before it.
    fn call<T>(&self, partition: &[u8], call: impl FnOnce() -> Result<T>) -> Result<T> {
        let place = if partition == LOCKED {
            Place::Locked
        } else {
            Place::Open
        };
        match fibers::pass(place) {
            Pass::Through => call(),
            Pass::Trouble(Trouble::Fails) => {
                self.inner.fail_at(1);
                call()
            }
            Pass::Trouble(Trouble::AnswerLost) => {
                call()?;
                Err(Error::new(ErrorKind::Storage, "the answer was lost"))
            }
        }
    }

    fn write_down(&self, partition: &[u8], commit: &Commit) {
        let mut log = self.log();
        log.commits += 1;
        for write in commit.writes() {
            match write.space {
                Space::Courses => log.rows.push(RowChange {
                    course: partition.to_vec(),
                    row: write.value.clone(),
                }),
                Space::Control if partition == b"rollout" => log.rollout_changed = true,
                Space::Control if partition == b"queue" => log.queue_changed = true,
                Space::Control | Space::Records => {}
            }
        }
    }
}

impl Engine for Stage {
    fn get(&self, key: Key<'_>) -> Result<Option<Value>> {
        self.call(key.partition, || self.inner.get(key))
    }

    fn scan(&self, space: Space, partition: Option<&[u8]>) -> Scan<'_> {
        let found = self.call(partition.unwrap_or_default(), || {
            self.inner
                .scan(space, partition)
                .collect::<Result<Vec<_>>>()
        });
        match found {
            Ok(found) => Box::new(Unsteady {
                stage: self,
                space,
                partition: partition.map(<[u8]>::to_vec),
                commits: self.log().commits,
                found,
                last: None,
                number: 0,
                has_ended: false,
            }),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }

    fn commit(
        &self,
        partition: &[u8],
        commit: &Commit,
        durability: Durability,
    ) -> Result<CommitOutcome> {
        self.call(partition, || {
            let outcome = self.inner.commit(partition, commit, durability)?;
            if matches!(outcome, CommitOutcome::Applied) {
                self.write_down(partition, commit);
            }
            Ok(outcome)
        })
    }

    fn flush(&self) -> Result<()> {
        self.call(b"", || self.inner.flush())
    }

    fn disk_bytes(&self) -> Result<u64> {
        self.call(b"", || self.inner.disk_bytes())
    }

    fn place(&self) -> Result<String> {
        let place = self.place.load(Ordering::SeqCst);
        self.call(b"", || {
            // It may be told to fail.
            self.inner.place()?;
            Ok(format!("place {place}"))
        })
    }

    fn describe(&self) -> String {
        "a stage".into()
    }
}

/// A scan that is no snapshot: it sees what is committed meanwhile, or not, item by item.
struct Unsteady<'a> {
    stage: &'a Stage,
    space: Space,
    partition: Option<Vec<u8>>,
    /// How many there had been when it began.
    commits: u64,
    /// What was there when it began.
    found: Vec<Item>,
    last: Option<Item>,
    number: u32,
    has_ended: bool,
}

impl Unsteady<'_> {
    /// The item after the last one, at the beginning or now.
    fn following(&self) -> Result<Option<Item>> {
        let key = |item: &Item| (item.partition().to_vec(), item.name().to_vec());
        let is_after = |item: &Item| match &self.last {
            Some(last) => key(item) > key(last),
            None => true,
        };
        let has_changed = self.stage.log().commits != self.commits;
        if has_changed && fibers::sees_late(self.number) {
            let mut now = self.stage.inner.scan(self.space, self.partition.as_deref());
            let next = now.find(|item| item.as_ref().map_or(true, is_after));
            return next.transpose();
        }
        Ok(self.found.iter().find(|item| is_after(item)).cloned())
    }
}

impl Iterator for Unsteady<'_> {
    type Item = Result<Item>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let partition = self.partition.clone().unwrap_or_default();
        let next = match fibers::pass(Place::Open) {
            Pass::Through => self.following().transpose(),
            Pass::Trouble(_) => {
                let what = String::from_utf8_lossy(&partition).into_owned();
                let message = format!("the scan of {what:?} broke off");
                Some(Err(Error::new(ErrorKind::Storage, message)))
            }
        };
        match &next {
            Some(Ok(item)) => {
                self.last = Some(item.clone());
                self.number += 1;
            }
            _ => self.has_ended = true,
        }
        next
    }
}
