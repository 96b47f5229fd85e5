//! What happened, when, and by whom: an entry is written in the same commit as what it tells.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Rollout;
use crate::engine::{Commit, Durability, Space};
use crate::error::{ErrorKind, Result};
use crate::store::{Place, ROLLOUT, Store, encode_row};
use crate::timestamp::Timestamp;
use crate::version::{MinReader, WriteVersion};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When, by the clock of whoever did it.
    pub at: Timestamp,
    /// Which worker did it; `None` for what the store noticed by itself.
    pub worker: Option<String>,
    /// What.
    pub event: Event,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The floor of a transformer was raised.
    FloorRaised {
        /// The transformer.
        transformer: String,
        /// The floor before; `None` for the first one.
        from: Option<WriteVersion>,
        /// The floor now.
        to: WriteVersion,
    },
    /// Data in a shape that older code cannot decode is accepted from now on.
    ShapeDropped {
        /// The transformer.
        transformer: String,
        /// The least WRITE version whose code can decode all that is accepted.
        min_reader: MinReader,
    },
    /// READ may be raised.
    GateOpened {
        /// The transformer.
        transformer: String,
        /// To what.
        target: WriteVersion,
        /// How many courses were counted.
        courses: u64,
    },
    /// A transformer is gone for good.
    Retired {
        /// The transformer.
        transformer: String,
        /// The highest version that it ever had.
        version: WriteVersion,
    },
    /// A worker was not heard of for too long.
    WorkerExpired {
        /// The worker.
        worker: String,
        /// Its release.
        release: String,
        /// When it was last heard of.
        last_heard_of: Timestamp,
    },
    /// Workers take no tasks any more.
    Paused,
    /// Workers take tasks again.
    Resumed,
    /// The limit of tasks per second was changed.
    RateChanged {
        /// Tasks per 1,000 seconds; `None` for no limit.
        per_1000_seconds: Option<u64>,
    },
    /// A course failed too often to be tried again by itself.
    Quarantined {
        /// The course.
        course: String,
        /// How often it was tried.
        attempts: u32,
        /// The last error.
        error: String,
    },
    /// The store was filled from a backup. No gate was open from then on.
    Restored {
        /// When the backup was taken.
        made_at: Timestamp,
        /// How many courses it has.
        courses: u64,
    },
    /// Something that could not be read was made again, or dropped.
    Repaired {
        /// What, and what became of it.
        what: String,
    },
}

/// How many entries are kept; the oldest go first.
pub const MAX_EVENTS: usize = 10_000;

pub(super) const PREFIX: &[u8] = b"history/";
/// All names that begin like that.
const ENTRIES: Range<&[u8]> = PREFIX..b"history0";

impl Rollout<'_> {
    /// The last [`MAX_EVENTS`] things that happened, oldest first. An entry that is damaged is left
    /// out.
    ///
    /// # Errors
    /// Whatever the engine says.
    pub fn history(&self) -> Result<Vec<HistoryEntry>> {
        let rows = self.store.control_rows(ROLLOUT, "the history", ENTRIES);
        let rows = rows.filter_map(|row| match row {
            Err(error) if error.kind() == ErrorKind::Damaged => None,
            row => row.map(|(_, row)| row.value).transpose(),
        });
        rows.collect()
    }

    /// Notes that the store was filled from a backup that was taken at `made_at`. Durable when it
    /// returns.
    pub(crate) fn restored(
        self,
        by: &str,
        made_at: Timestamp,
        courses: u64,
        now: Timestamp,
    ) -> Result<()> {
        let event = Event::Restored { made_at, courses };
        tell(self.store, now, Some(by), event)
    }

    /// Forgets the oldest entries above [`MAX_EVENTS`].
    pub(super) fn trim_history(self) -> Result<()> {
        // By their names alone: an entry that cannot be read goes when it is its turn.
        let mut names = Vec::new();
        for item in self
            .store
            .engine()
            .scan(Space::Control, Some(ROLLOUT.as_bytes()))
        {
            let item = item?;
            if item.name().starts_with(PREFIX) {
                names.push(item.name().to_vec());
            }
        }
        let surplus = names.len().saturating_sub(MAX_EVENTS);
        if surplus == 0 {
            return Ok(());
        }
        let mut commit = Commit::new();
        for name in names.into_iter().take(surplus) {
            commit.delete(Space::Control, name);
        }
        self.store
            .commit_control(ROLLOUT, &commit, Durability::Buffered)?;
        Ok(())
    }
}

/// Adds an entry to a commit in the partition [`ROLLOUT`].
pub(super) fn put(
    store: &Store,
    commit: &mut Commit,
    at: Timestamp,
    worker: Option<&str>,
    event: Event,
) -> Result<()> {
    let name = [
        PREFIX,
        &order(at).to_be_bytes(),
        &store.unique_number()?.to_be_bytes(),
    ]
    .concat();
    let entry = HistoryEntry {
        at,
        worker: worker.map(str::to_owned),
        event,
    };
    let place = Place {
        partition: ROLLOUT,
        name: &name,
        what: "the history",
    };
    let row = encode_row(place, &entry)?;
    commit.put(Space::Control, name, row);
    Ok(())
}

/// Adds an entry by itself.
pub(super) fn tell(store: &Store, at: Timestamp, worker: Option<&str>, event: Event) -> Result<()> {
    let mut commit = Commit::new();
    put(store, &mut commit, at, worker, event)?;
    store.commit_control(ROLLOUT, &commit, Durability::Durable)?;
    Ok(())
}

/// A number that sorts as the time does.
fn order(at: Timestamp) -> u64 {
    at.as_micros().abs_diff(Timestamp::MIN.as_micros())
}

#[cfg(all(test, feature = "schema"))]
mod tests {
    use super::*;
    use crate::schema::SchemaError;
    use crate::schema::own::check_row;

    #[test]
    fn history_is_stored_as_it_is_written_down() -> Result<(), SchemaError> {
        let entry = HistoryEntry {
            at: Timestamp::MAX,
            worker: Some("web-1".to_owned()),
            event: Event::FloorRaised {
                transformer: "start_date".to_owned(),
                from: None,
                to: WriteVersion::FIRST,
            },
        };
        check_row("@history", &entry)
    }
}
