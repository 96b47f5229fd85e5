//! Filling an empty store from a backup, and checking one.

use std::io::Read;

use super::Summary;
use super::contents::{Found, read};
use super::reader::Frame;
use crate::engine::{Commit, CommitOutcome, Durability, Engine, Space};
use crate::error::{Error, ErrorKind, Result};
use crate::key::CourseKey;
use crate::rollout::{Rollout, is_carried};
use crate::store::Store;
use crate::timestamp::Timestamp;

/// Reads a backup to its end, and checks every byte of it as [`restore`] would. Calls `on_course`
/// with each course.
///
/// In memory at once is one value, up to [`MAX_VALUE_BYTES`](super::MAX_VALUE_BYTES) of it, and no more than
/// twice of what has come of it.
///
/// # Errors
/// [`Damaged`](ErrorKind::Damaged) for anything but what [`take`](super::take) wrote, to the last
/// bit; [`TooNew`](ErrorKind::TooNew) where a newer release wrote it;
/// [`Storage`](ErrorKind::Storage) when `from` cannot be read.
pub fn check(from: impl Read, mut on_course: impl FnMut(&CourseKey)) -> Result<Summary> {
    read(from, |found| {
        if let Found::Course(course) = found {
            on_course(course);
        }
        Ok(())
    })
}

/// Fills a store, on whatever engine, with what is in a backup. Calls `on_course` with each course.
/// Durable when it returns.
///
/// Floors hold as they did when the backup was taken. No gate is open, and the history tells so, and
/// that `by` did it. Where a floor was being raised meanwhile, it is as if
/// [`start`](Rollout::start) had been broken off: gates say what is missing, and `start` does it.
/// Numbers of generations go on where the backup ends, or at the microseconds since 1970 if that is
/// more: so they are new even to those who have seen what the other store stored later.
///
/// It takes the memory of [`check`], beside that of the engine.
///
/// # Errors
/// Those of [`check`], of the engine, and [`Storage`](ErrorKind::Storage) where the store is not
/// empty. It is to be thrown away then: a part of the backup may be in it.
/// [`Store::create`] does that.
pub fn restore(
    from: impl Read,
    store: &Store,
    by: &str,
    now: Timestamp,
    mut on_course: impl FnMut(&CourseKey),
) -> Result<Summary> {
    require_empty(&**store.engine())?;
    let mut filling = Filling {
        engine: &**store.engine(),
        partition: Vec::new(),
        commit: Commit::new(),
        bytes: 0,
    };
    let summary = read(from, |found| {
        match found {
            Found::Course(course) => on_course(course),
            Found::Value(frame) => {
                if frame.space != Space::Control || is_carried(&frame.partition, &frame.name) {
                    filling.put(frame)?;
                }
            }
        }
        Ok(())
    })?;
    filling.write()?;
    store.skip_numbers_below(u64::try_from(now.as_micros()).unwrap_or(0))?;
    Rollout::new(store).restored(by, summary.made_at, summary.courses, now)?;
    store.engine().flush()?;
    Ok(summary)
}

fn require_empty(engine: &dyn Engine) -> Result<()> {
    for space in [Space::Courses, Space::Records, Space::Control] {
        if engine.scan(space, None).next().transpose()?.is_some() {
            let engine = engine.describe();
            let message = format!("a backup is restored into an empty store, and {engine} is not");
            return Err(Error::new(ErrorKind::Storage, message));
        }
    }
    Ok(())
}

/// Values of one partition that are written together.
struct Filling<'a> {
    engine: &'a dyn Engine,
    partition: Vec<u8>,
    commit: Commit,
    bytes: usize,
}

/// Nobody reads a store that is being filled, so that a course may be written in several commits.
/// sled needs less for small ones: 700 courses of 140 KB take 1.5 times their size on disk when each
/// record is a commit, and 1.85 times when each course is.
const MAX_COMMIT_BYTES: usize = 16 << 10;

impl Filling<'_> {
    fn put(&mut self, frame: Frame) -> Result<()> {
        let Frame {
            space,
            partition,
            name,
            value,
        } = frame;
        let bytes = name.len() + value.len();
        if self.partition != partition || self.bytes + bytes > MAX_COMMIT_BYTES {
            self.write()?;
            self.partition = partition;
        }
        self.bytes += bytes;
        self.commit.put(space, name, value);
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        let commit = std::mem::take(&mut self.commit);
        self.bytes = 0;
        if commit.writes().is_empty() {
            return Ok(());
        }
        let outcome = self
            .engine
            .commit(&self.partition, &commit, Durability::Buffered)?;
        match outcome {
            CommitOutcome::Applied => Ok(()),
            // It requires nothing.
            CommitOutcome::Refused { .. } => Err(Error::new(
                ErrorKind::Conflict,
                "the engine refused a write without conditions",
            )),
        }
    }
}
