//! Numbers for generations: unique in the whole store and growing, so that a course that is
//! deleted and imported again never repeats one, and a reader can tell two publishes apart by
//! number alone.

use std::sync::Mutex;

use super::{RecordKey, Store, unchanged};
use crate::engine::{Commit, CommitOutcome, Durability, Key, Space, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{self, ColumnWriter, Generation, Meta, Record, RecordError};
use crate::version::{MinReader, WriteVersion};

/// The numbers that this process may still hand out.
#[derive(Debug, Default)]
pub(super) struct Generations {
    reserved: Mutex<std::ops::Range<u64>>,
}

/// How many numbers are reserved at once; as many may be lost when a process ends. One durable
/// commit for so many publishes costs next to nothing.
const RESERVED_AT_ONCE: u64 = 1024;

const PARTITION: &[u8] = b"generations";
const NAME: &[u8] = b"";
const SCHEMA: WriteVersion = WriteVersion::FIRST;

impl Store {
    /// A number that no publish has had.
    pub(super) fn next_generation(&self) -> Result<Generation> {
        let mut reserved = match self.generations.reserved.lock() {
            Ok(reserved) => reserved,
            // A panic elsewhere left the range as it was: it is changed in one step.
            Err(poisoned) => poisoned.into_inner(),
        };
        if reserved.is_empty() {
            *reserved = self.reserve_generations()?;
        }
        let next = reserved.next().ok_or_else(exhausted)?;
        Ok(Generation::new(next))
    }

    fn reserve_generations(&self) -> Result<std::ops::Range<u64>> {
        let key = Key {
            space: Space::Control,
            partition: PARTITION,
            name: NAME,
        };
        loop {
            let stored = self.engine.get(key)?;
            let first = match &stored {
                None => 1,
                Some(value) => match decode(value) {
                    Ok(first) => first,
                    Err(RecordError::TooNew { .. }) => return Err(too_new()),
                    Err(_) => self.beyond_all_generations()?,
                },
            };
            let end = first.checked_add(RESERVED_AT_ONCE).ok_or_else(exhausted)?;
            let mut commit = Commit::new();
            commit.require(Space::Control, NAME, unchanged(stored));
            commit.put(Space::Control, NAME, encode(end)?);
            let outcome = self
                .engine
                .commit(PARTITION, &commit, Durability::Durable)?;
            if matches!(outcome, CommitOutcome::Applied) {
                return Ok(first..end);
            }
        }
    }

    /// What to go on with when the counter itself is damaged: every record's header tells its
    /// generation, and no process has more than one reservation that is not in any of them.
    fn beyond_all_generations(&self) -> Result<u64> {
        let mut highest = 0;
        for row in self.courses() {
            if let (_, Ok(entry)) = row? {
                highest = highest.max(entry.generation().get());
            }
        }
        Ok(highest.saturating_add(RESERVED_AT_ONCE * RESERVED_AT_ONCE))
    }
}

fn encode(next: u64) -> Result<Vec<u8>> {
    let column = ColumnWriter::new().finish_value(&next)?;
    let meta = Meta {
        write_version: SCHEMA,
        min_reader: MinReader::ANY,
        generation: Generation::new(0),
    };
    Ok(record::encode(
        RecordKey::control("generations").as_bytes(),
        meta,
        &column,
    ))
}

fn decode(value: &Value) -> Result<u64, RecordError> {
    let record = Record::open(RecordKey::control("generations").as_bytes(), value.as_ref())?;
    let column = record.column().verify()?;
    let next = column.course_wide()?.decode();
    next.map_err(|_| RecordError::Malformed("no generation"))
}

fn too_new() -> Error {
    let message = "the counter of generations was written by a newer release";
    Error::new(ErrorKind::TooNew, message)
}

fn exhausted() -> Error {
    Error::new(
        ErrorKind::LimitExceeded,
        "all 2^64 generations have been used",
    )
}
