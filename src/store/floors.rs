//! Floors: the least WRITE version of each transformer that the store still accepts. They are
//! raised, never lowered, and reach every course, so that no writer is too late to be refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Row;
use super::control::{ControlRow, Place, encode_row};
use super::{
    MAX_COMMIT_ATTEMPTS, Publication, ROLLOUT, ROW, Scope, Store, contended, course_of, unchanged,
};
use crate::engine::{Commit, Durability, Space, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::key::CourseKey;
use crate::timestamp::Timestamp;
use crate::version::{MinReader, WriteVersion};

/// The floors of all transformers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floors {
    // Invariant: grows with every change.
    epoch: FloorEpoch,
    transformers: BTreeMap<String, Floor>,
}

/// Which floors a row of the header index was last checked against. Grows with every change of
/// the floors; a row of an older epoch may still be written by somebody who knows older floors.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct FloorEpoch(u64);

/// The floor of one transformer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// The least WRITE version that is accepted. Of a retired transformer, the highest that it
    /// ever had.
    pub version: WriteVersion,
    /// The highest `min_reader` that is accepted: shapes that older code cannot decode are let in
    /// only when no such code is left.
    pub min_reader: MinReader,
    /// The epoch that began when the version was raised to what it is.
    pub epoch: FloorEpoch,
    /// When.
    pub raised_at: Timestamp,
    /// By which worker.
    pub raised_by: String,
    /// Whether the transformer is gone for good.
    pub is_retired: bool,
}

/// A floor a second for twelve days: rows that cannot be read may be of later epochs than the others.
const MORE_THAN_WERE_BEGUN: u64 = 1 << 20;

pub(crate) const FLOORS: Place<'_> = Place {
    partition: ROLLOUT,
    name: b"floors",
    what: "the floors",
};

impl FloorEpoch {
    /// The epoch as a number, 0 before the first floor.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    pub(super) const fn new(epoch: u64) -> Self {
        Self(epoch)
    }
}

impl Floors {
    /// The present epoch.
    #[must_use]
    pub fn epoch(&self) -> FloorEpoch {
        self.epoch
    }

    /// The floor of a transformer; `None` where none was ever raised.
    #[must_use]
    pub fn get(&self, transformer: &str) -> Option<&Floor> {
        self.transformers.get(transformer)
    }

    /// All floors, by transformer, retired ones included.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Floor)> {
        let floors = self.transformers.iter();
        floors.map(|(name, floor)| (name.as_str(), floor))
    }

    /// Floors that take the place of ones that were lost, in an epoch that no row has been checked
    /// against: `beyond` is the highest that is known of.
    pub(crate) fn restored(
        transformers: impl IntoIterator<Item = (String, Floor)>,
        beyond: FloorEpoch,
    ) -> Self {
        let epoch = FloorEpoch(beyond.0.saturating_add(MORE_THAN_WERE_BEGUN));
        let transformers = transformers.into_iter().map(|(name, mut floor)| {
            floor.epoch = epoch;
            (name, floor)
        });
        Self {
            epoch,
            transformers: transformers.collect(),
        }
    }

    /// Begins an epoch and sets the floor of a transformer in it. What is lower than before stays
    /// as it was.
    pub(crate) fn raise(&mut self, transformer: &str, mut floor: Floor) {
        self.epoch = FloorEpoch(self.epoch.0.saturating_add(1));
        floor.epoch = self.epoch;
        if let Some(old) = self.transformers.get(transformer) {
            if floor.version <= old.version && floor.is_retired == old.is_retired {
                floor.epoch = old.epoch;
            }
            floor.version = floor.version.max(old.version);
            floor.min_reader = floor.min_reader.max(old.min_reader);
            floor.is_retired |= old.is_retired;
        }
        self.transformers.insert(transformer.to_owned(), floor);
    }

    /// Whether the floors accept a publication. No I/O.
    ///
    /// A whole publication replaces the data of every transformer, so it must bring what the
    /// floors protect: a release that does not know a transformer cannot drop its data.
    pub(super) fn check(&self, course: &CourseKey, publication: &Publication) -> Result<()> {
        for new in &publication.records {
            let Some(floor) = self.get(&new.name) else {
                continue;
            };
            floor.check_version(course, &new.name, new.versions.write)?;
            if new.versions.min_reader > floor.min_reader {
                return Err(fenced(format!(
                    "{course}: readers of {:?} must know version {} to decode this data, and the \
                     store accepts only what code of version {} can decode",
                    new.name, new.versions.min_reader, floor.min_reader
                )));
            }
        }
        if publication.scope == Scope::Part {
            return Ok(());
        }
        for (name, floor) in self.iter().filter(|(_, floor)| !floor.is_retired) {
            let brought = publication.records.iter().any(|new| new.name == name);
            let failed = publication.failures.iter();
            let mut failed = failed
                .filter(|(failed, ..)| failed == name)
                .map(|(_, v, _)| v.write);
            match failed.next_back() {
                _ if brought => {}
                Some(write) => floor.check_version(course, name, write)?,
                None => {
                    return Err(fenced(format!(
                        "{course}: this release does not know the transformer {name:?}, whose \
                         floor is {}: it would drop its data",
                        floor.version
                    )));
                }
            }
        }
        Ok(())
    }
}

impl Floor {
    fn check_version(&self, course: &CourseKey, name: &str, write: WriteVersion) -> Result<()> {
        if self.is_retired {
            return Err(fenced(format!(
                "{course}: the transformer {name:?} was retired; its name is not used again"
            )));
        }
        if write < self.version {
            return Err(fenced(format!(
                "{course}: this release writes version {write} of {name:?}, below its floor {}",
                self.version
            )));
        }
        Ok(())
    }
}

impl Store {
    /// The floors as they are.
    ///
    /// # Errors
    /// [`Damaged`](ErrorKind::Damaged) or [`TooNew`](ErrorKind::TooNew) when they cannot be used;
    /// nothing can be written then.
    pub fn floors(&self) -> Result<Floors> {
        Ok(self.floors_row()?.0)
    }

    pub(crate) fn floors_row(&self) -> Result<(Floors, ControlRow<Floors>)> {
        let mut row = self.control_row::<Floors>(FLOORS)?;
        Ok((row.value.take().unwrap_or_default(), row))
    }

    /// The floors as they are stored, whatever they are, and where that is.
    pub(crate) fn floors_bytes(&self) -> Result<(Place<'static>, Option<Value>)> {
        Ok((FLOORS, self.control_bytes(FLOORS)?))
    }

    /// As [`floors_row`](Self::floors_row), where floors that are damaged count as none. Only for
    /// who puts others in their place.
    pub(crate) fn lost_floors_row(&self) -> Result<ControlRow<Floors>> {
        self.control_row_if_usable(FLOORS)
    }

    /// Lets the present floors reach every course: afterwards nothing below them is accepted from
    /// anyone, also not from a writer that looked at them before they were raised.
    ///
    /// A writer reads a course's row, then the floors, and its commit requires the row as it was
    /// read. This changes every row that was last written under older floors, so whoever knows
    /// only those is refused, reads again and finds the new ones. A course that was not stored
    /// yet has a row before its writer reads the floors (a reservation), which is taken away.
    ///
    /// Calls `on_course` with each course. Returns how many rows were changed. Durable when it
    /// returns. It can be broken off and begun again at any time.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict) when a course is published all the time,
    /// [`TooNew`](ErrorKind::TooNew) when a newer release keeps one in a way that this one does not
    /// understand.
    pub fn seal(&self, mut on_course: impl FnMut(&CourseKey)) -> Result<u64> {
        let floors = self.floors()?;
        let mut sealed = 0;
        for item in self.engine.scan(Space::Courses, None) {
            let item = item?;
            let course = course_of(item.partition())?;
            if self.seal_course(&course, floors.epoch, item.into_value())? {
                sealed += 1;
            }
            on_course(&course);
        }
        self.engine.flush()?;
        Ok(sealed)
    }

    fn seal_course(&self, course: &CourseKey, epoch: FloorEpoch, first: Value) -> Result<bool> {
        let mut row = Some(first);
        for _ in 0..MAX_COMMIT_ATTEMPTS {
            let Some(value) = row else {
                return Ok(false);
            };
            let mut commit = Commit::new();
            match Row::decode(course, &value) {
                Ok(row) if row.floor_epoch() >= epoch => return Ok(false),
                Ok(Row::Reserved { .. }) => commit.delete(Space::Courses, ROW),
                Ok(Row::Stored(mut entry)) => {
                    entry.floor_epoch = epoch;
                    commit.put(Space::Courses, ROW, entry.encode()?);
                }
                // It stays damaged, but it is no longer what a late writer has read.
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    let touched = [value.as_ref(), &epoch.0.to_le_bytes()].concat();
                    commit.put(Space::Courses, ROW, touched);
                }
                Err(error) => return Err(error),
            }
            commit.require(Space::Courses, ROW, unchanged(Some(value)));
            if self.commit(course, &commit, Durability::Buffered)? {
                return Ok(true);
            }
            row = self.row_bytes(course)?;
        }
        Err(contended(course, "sealed"))
    }
}

/// Writes `floors` if they are still what was read as `row`.
pub(crate) fn put_floors(
    commit: &mut Commit,
    row: &ControlRow<Floors>,
    floors: &Floors,
) -> Result<()> {
    require_floors(commit, row);
    commit.put(Space::Control, FLOORS.name, encode_row(FLOORS, floors)?);
    Ok(())
}

/// Refuses the commit unless the floors are still what was read as `row`.
pub(crate) fn require_floors(commit: &mut Commit, row: &ControlRow<Floors>) {
    commit.require(Space::Control, FLOORS.name, row.unchanged());
}

fn fenced(message: String) -> Error {
    Error::new(ErrorKind::Fenced, message)
}

#[cfg(all(test, feature = "schema"))]
mod tests {
    use super::*;
    use crate::schema::SchemaError;
    use crate::schema::own::check_row;

    #[test]
    fn floors_are_stored_as_they_are_written_down() -> Result<(), SchemaError> {
        let mut floors = Floors::default();
        for (name, is_retired) in [("start_date", false), ("gone", true)] {
            let floor = Floor {
                version: WriteVersion::FIRST,
                min_reader: MinReader::ANY,
                epoch: FloorEpoch::default(),
                raised_at: Timestamp::MAX,
                raised_by: "web-1".to_owned(),
                is_retired,
            };
            floors.raise(name, floor);
        }
        check_row("@floors", &floors)
    }
}
