//! Numbers for generations: unique in the whole store and growing, so that a course that is
//! deleted and imported again never repeats one, and a reader can tell two publishes apart by
//! number alone.

use std::sync::Mutex;

use super::Store;
use super::control::{Place, encode_row};
use crate::engine::{Commit, Durability, Expected, Space};
use crate::error::{Error, ErrorKind, Result};
use crate::record::Generation;

/// The numbers that this process may still hand out.
#[derive(Debug, Default)]
pub(super) struct Generations {
    reserved: Mutex<std::ops::Range<u64>>,
}

/// How many numbers are reserved at once; as many may be lost when a process ends. One durable
/// commit for so many publishes costs next to nothing.
const RESERVED_AT_ONCE: u64 = 1024;

/// A million numbers a second for twelve days.
const MORE_THAN_WERE_USED: u64 = 1 << 40;

pub(crate) const COUNTER: Place<'_> = Place {
    partition: "generations",
    name: b"",
    what: "the counter of generations",
};

impl Store {
    /// A number that no publish has had.
    pub(super) fn next_generation(&self) -> Result<Generation> {
        self.unique_number().map(Generation::new)
    }

    /// A number that is handed out once in the life of the store. Those of one process grow.
    pub(crate) fn unique_number(&self) -> Result<u64> {
        let mut reserved = match self.generations.reserved.lock() {
            Ok(reserved) => reserved,
            // A panic elsewhere left the range as it was: it is changed in one step.
            Err(poisoned) => poisoned.into_inner(),
        };
        if reserved.is_empty() {
            *reserved = self.reserve_generations()?;
        }
        reserved.next().ok_or_else(exhausted)
    }

    /// Lets the counter go on where no number can have been used, if it was lost or is an older one:
    /// `highest` is the highest number that was found anywhere.
    pub(crate) fn restore_counter(&self, highest: u64) -> Result<()> {
        loop {
            let row = self.control_row_if_usable::<u64>(COUNTER)?;
            if row.value.is_some_and(|next| next > highest) {
                return Ok(());
            }
            let next = highest.saturating_add(MORE_THAN_WERE_USED);
            let mut commit = Commit::new();
            commit.require(Space::Control, COUNTER.name, row.unchanged());
            commit.put(Space::Control, COUNTER.name, encode_row(COUNTER, &next)?);
            if self.commit_control(COUNTER.partition, &commit, Durability::Durable)? {
                return Ok(());
            }
        }
    }

    fn reserve_generations(&self) -> Result<std::ops::Range<u64>> {
        loop {
            let row = self.control_row_if_usable::<u64>(COUNTER)?;
            let first = match (row.value, row.unchanged()) {
                (Some(first), _) => first,
                (None, Expected::Absent) => 1,
                (None, _) => self.beyond_all_numbers()?,
            };
            let end = first.checked_add(RESERVED_AT_ONCE).ok_or_else(exhausted)?;
            let mut commit = Commit::new();
            commit.require(Space::Control, COUNTER.name, row.unchanged());
            commit.put(Space::Control, COUNTER.name, encode_row(COUNTER, &end)?);
            if self.commit_control(COUNTER.partition, &commit, Durability::Durable)? {
                return Ok(first..end);
            }
        }
    }

    /// Lets the counter go on at `least` if it is not there yet: no number below that is handed out
    /// from now on. Where there is no counter, it goes on beyond all numbers that left a trace.
    pub(crate) fn skip_numbers_below(&self, least: u64) -> Result<()> {
        loop {
            let row = self.control_row_if_usable::<u64>(COUNTER)?;
            let first = match row.value {
                Some(first) => first,
                None => self.beyond_all_numbers()?,
            };
            let mut commit = Commit::new();
            commit.require(Space::Control, COUNTER.name, row.unchanged());
            let next = first.max(least);
            commit.put(Space::Control, COUNTER.name, encode_row(COUNTER, &next)?);
            if self.commit_control(COUNTER.partition, &commit, Durability::Durable)? {
                return Ok(());
            }
        }
    }

    /// Where the counter is.
    #[expect(clippy::unused_self, reason = "reads as the others do")]
    pub(crate) fn counter_place(&self) -> Place<'static> {
        COUNTER
    }

    /// What to go on with when the counter itself is damaged: every record's header tells its
    /// generation. Claims and leases take numbers too and leave no trace, but not that many.
    fn beyond_all_numbers(&self) -> Result<u64> {
        let mut highest = 0;
        for row in self.courses() {
            match row {
                Ok((_, Ok(entry))) => highest = highest.max(entry.generation().get()),
                Ok((_, Err(_))) => {}
                // The others tell enough.
                Err(error) if error.kind() == ErrorKind::Damaged => {}
                Err(error) => return Err(error),
            }
        }
        Ok(highest.saturating_add(MORE_THAN_WERE_USED))
    }
}

fn exhausted() -> Error {
    Error::new(
        ErrorKind::LimitExceeded,
        "all 2^64 generations have been used",
    )
}
