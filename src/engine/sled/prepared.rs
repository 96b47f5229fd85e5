//! A commit as sled takes it, and how much that may take of the disk.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use sled::IVec;
use sled::transaction::{
    ConflictableTransactionError, ConflictableTransactionResult, TransactionalTree,
    UnabortableTransactionError,
};

use super::handles::{COMMITS, parse_count};
use crate::engine::undo::OldValue;
use crate::engine::{Commit, Expected, Space, joined};
use crate::error::Result;

/// How much room there must be on the disk, so that sled itself is never refused: for what waits in
/// its buffers; for a commit that only deletes, since pages that become small are united; for one
/// of some [`LITTLE`] bytes, such as leases and tasks; and for any other one, `ROOM_FACTOR` times
/// its bytes besides, since whole pages are written anew with their neighbours and divided. Those
/// that come first leave room for those before them: what an operator does about a full disk has
/// room longer than what fills it.
///
/// Measured on file systems of 18 to 58 MiB that were filled up over and over, by commits of up to
/// 11 × 128 KiB and by others: `tests/full_disk.rs`.
pub(super) const ROOM_FOR_BUFFERS: u64 = 1 << 20;
const ROOM_FOR_DELETING: u64 = 4 << 20;
pub(super) const ROOM_FOR_LITTLE: u64 = 6 << 20;
const ROOM_FOR_MORE: u64 = 8 << 20;
const ROOM_FACTOR: u64 = 8;
const LITTLE: u64 = 64 << 10;

/// A commit as sled wants it, since sled may run it more than once.
pub(super) struct Prepared<'a> {
    pub(super) purpose: Purpose,
    preconditions: Vec<(Map, Vec<u8>, &'a Expected)>,
    pub(super) writes: Vec<(Map, IVec, Option<IVec>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Commit,
    /// The journal has what it takes, until it has succeeded.
    TakeBack,
}

/// One of sled's trees: those of the spaces, and the count of commits.
pub(super) type Map = u8;

pub(super) const COUNTS: Map = 3;

fn map_of(space: Space) -> Map {
    match space {
        Space::Records => 0,
        Space::Courses => 1,
        Space::Control => 2,
    }
}

impl<'a> Prepared<'a> {
    pub(super) fn new(partition: &[u8], commit: &'a Commit) -> Result<Self> {
        // Also where there is nothing to check or to write.
        joined(partition, b"")?;
        let preconditions = commit.preconditions().iter().map(|required| {
            let key = joined(partition, &required.name)?;
            Ok((map_of(required.space), key, &required.expected))
        });
        let writes = commit.writes().iter().map(|write| {
            let key = joined(partition, &write.name)?;
            let value = write.value.as_deref().map(IVec::from);
            Ok((map_of(write.space), key.into(), value))
        });
        Ok(Self {
            purpose: Purpose::Commit,
            preconditions: preconditions.collect::<Result<_>>()?,
            writes: writes.collect::<Result<_>>()?,
        })
    }

    /// What sled may write for it, roughly. It notes each value, and writes one page of 16 values
    /// anew for every ten notes; and while it empties a segment, it moves one page with each note.
    pub(super) fn log_bytes(&self, longest: &[AtomicU64; 4]) -> u64 {
        let notes = self.writes.iter().map(|(map, key, value)| {
            let value = value.as_ref().map_or(0, |value| value.len());
            let longest = longest.get(usize::from(*map));
            let longest = longest.map_or(0, |longest| longest.load(Ordering::Acquire));
            (key.len() + value) as u64 + 2 * longest
        });
        notes.sum()
    }

    /// What is to be written, in bytes, the number of the commit included.
    fn bytes(&self) -> u64 {
        let sizes = self.writes.iter().map(|(_, key, value)| {
            let value = value.as_ref().map_or(0, |value| value.len());
            (key.len() + value) as u64
        });
        sizes.sum::<u64>() + size_of::<u64>() as u64
    }

    /// How much room there must be for it.
    pub(super) fn room(&self) -> u64 {
        let adds = self.writes.iter().any(|(_, _, value)| value.is_some());
        match self.bytes() {
            _ if !adds => ROOM_FOR_DELETING,
            ..LITTLE => ROOM_FOR_LITTLE,
            bytes => ROOM_FOR_MORE + ROOM_FACTOR * bytes,
        }
    }

    pub(super) fn undoing(old_values: &[OldValue<Vec<u8>>]) -> Self {
        let writes = old_values.iter().rev().map(|old| {
            let value = old.value.as_deref().map(IVec::from);
            (old.map, IVec::from(old.key.as_slice()), value)
        });
        Self {
            purpose: Purpose::TakeBack,
            preconditions: Vec::new(),
            writes: writes.collect(),
        }
    }

    /// Returns the number of the commit.
    pub(super) fn run(
        &self,
        trees: [&TransactionalTree; 4],
        old_values: &mut Vec<OldValue<IVec>>,
    ) -> ConflictableTransactionResult<u64, Abort> {
        old_values.clear();
        let tree = |map: Map| trees.get(usize::from(map)).ok_or_else(unknown_map);
        for (precondition, (map, key, expected)) in self.preconditions.iter().enumerate() {
            let value = tree(*map)?.get(key).map_err(abort)?;
            if !expected.is_met_by(value.as_deref()) {
                return Err(ConflictableTransactionError::Abort(Abort::Refused(
                    Refused { precondition },
                )));
            }
        }
        for (map, key, value) in &self.writes {
            old_values.push(write(tree(*map)?, *map, key, value.as_ref())?);
        }
        let counts = tree(COUNTS)?;
        let before = counts.get(COMMITS).map_err(abort)?;
        let count = parse_count(before.as_ref()).map_err(|error| abort(error.into()))? + 1;
        let stored = IVec::from(&count.to_le_bytes());
        old_values.push(write(counts, COUNTS, &COMMITS.into(), Some(&stored))?);
        Ok(count)
    }
}

/// Why a transaction ends without writing.
pub(super) enum Abort {
    Refused(Refused),
    Unreadable(sled::Error),
}

/// The first precondition that was not met.
pub(super) struct Refused {
    pub(super) precondition: usize,
}

/// Returns what was there. It is read before anything is written, so that damage is found then.
fn write(
    tree: &TransactionalTree,
    map: Map,
    key: &IVec,
    value: Option<&IVec>,
) -> Result<OldValue<IVec>, ConflictableTransactionError<Abort>> {
    let old = match value {
        Some(value) => tree.insert(key, value),
        None => tree.remove(key),
    };
    Ok(OldValue {
        map,
        key: key.clone(),
        value: old.map_err(abort)?,
    })
}

fn abort(error: UnabortableTransactionError) -> ConflictableTransactionError<Abort> {
    match error {
        UnabortableTransactionError::Storage(error) => {
            ConflictableTransactionError::Abort(Abort::Unreadable(error))
        }
        UnabortableTransactionError::Conflict => ConflictableTransactionError::Conflict,
    }
}

fn unknown_map() -> ConflictableTransactionError<Abort> {
    let error = io::Error::new(io::ErrorKind::InvalidData, "a map that there is not");
    ConflictableTransactionError::Abort(Abort::Unreadable(error.into()))
}
