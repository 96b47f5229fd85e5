//! Records by course and transformer, on any engine: what is published together is read together,
//! and every answer has passed its checks. It knows headers and versions, not what is in a body.

mod carry;
mod control;
mod entry;
mod floors;
mod generations;
mod leases;
mod lookup;
mod publish;
mod read;
mod record_key;
mod room;
mod verify;

use std::path::Path;
use std::sync::Arc;

pub(crate) use carry::{CarriedRecords, carried_key, check_carried_control};
pub(crate) use control::{ControlRow, Place, decode_row, encode_row};
pub use entry::{CourseEntry, Failure, RecordEntry};
pub(crate) use entry::{Row, attempts_in_words};
pub(crate) use floors::{FLOORS, put_floors, require_floors};
pub use floors::{Floor, FloorEpoch, Floors};
pub(crate) use generations::COUNTER;
use generations::Generations;
pub(crate) use leases::{FLEET, Members, is_fleet, no_lease, put_members};
pub use leases::{Lease, Member};
pub use lookup::{Damage, Lookup, Newer, StoredRecord};
pub use publish::{Base, MAX_COURSE_BYTES, NewRecord, Publication, Published, Scope};
pub use read::Snapshot;
pub use record_key::MAX_NAME_BYTES;
pub use room::MAX_COURSES;
use room::Room;
pub use verify::{CourseCheck, RecordCheck, Traces, Unreadable};

use crate::engine::{
    Commit, CommitOutcome, Durability, Engine, Expected, Key, SledEngine, SledOptions, Space, Value,
};
use crate::error::{Error, ErrorKind, Result};
use crate::key::CourseKey;
use crate::version::Versions;

/// The block-structure data of all courses.
///
/// Cheap to share behind an [`Arc`]; every method takes `&self` and may be called from any thread.
#[derive(Debug)]
pub struct Store {
    engine: Arc<dyn Engine>,
    generations: Generations,
    room: Room,
}

impl Store {
    /// Opens the store in the directory `path` with sled, creating it when it is not there.
    ///
    /// # Errors
    /// [`OpenElsewhere`](ErrorKind::OpenElsewhere) while another process has it open,
    /// [`TooNew`](ErrorKind::TooNew) when a newer release made it,
    /// [`Damaged`](ErrorKind::Damaged) and [`Storage`](ErrorKind::Storage) when it cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let engine = SledEngine::open(path.as_ref(), &SledOptions::default())?;
        Ok(Self::with_engine(Arc::new(engine)))
    }

    /// Makes a store with sled in the directory `path`, where there is nothing or an empty
    /// directory, and lets `fill` fill it. Until that has returned without an error, nobody takes it
    /// for a store: see [`SledEngine::create`].
    ///
    /// # Errors
    /// Those of `fill` and of [`SledEngine::create`].
    pub fn create<T>(path: impl AsRef<Path>, fill: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        SledEngine::create(path.as_ref(), &SledOptions::default(), |engine| {
            fill(&Self::with_engine(engine))
        })
    }

    /// A store on an engine that is open already.
    #[must_use]
    pub fn with_engine(engine: Arc<dyn Engine>) -> Self {
        Self {
            engine,
            generations: Generations::default(),
            room: Room::default(),
        }
    }

    /// The engine, for its sizes and for tests that make it fail.
    #[must_use]
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    /// One record, if this release may use it. Only its header is looked at: what it costs to
    /// refuse a record does not depend on the record's size.
    ///
    /// To read several records of one course, use [`read`](Self::read): two lookups may see two
    /// generations.
    ///
    /// # Errors
    /// [`Storage`](ErrorKind::Storage) when the engine fails. All that is wrong with the record
    /// itself is an answer, not an error.
    pub fn lookup(
        &self,
        course: &CourseKey,
        name: &str,
        versions: &Versions,
    ) -> Result<Lookup<StoredRecord>> {
        let found = self.record_bytes(course, name);
        StoredRecord::look(course, name, found, versions)
    }

    /// What is stored for a course, from the header index; `None` for a course that is not here.
    ///
    /// # Errors
    /// [`Damaged`](ErrorKind::Damaged) or [`TooNew`](ErrorKind::TooNew) when the course's row in
    /// the index cannot be used.
    pub fn course(&self, course: &CourseKey) -> Result<Option<CourseEntry>> {
        match self.row_bytes(course)? {
            Some(value) => Ok(Row::decode(course, &value)?.stored()),
            None => Ok(None),
        }
    }

    /// As [`course`](Self::course), where a row that is damaged counts as none: the course can be
    /// collected again.
    pub(crate) fn usable_course(&self, course: &CourseKey) -> Result<Option<CourseEntry>> {
        match self.course(course) {
            Err(error) if error.kind() == ErrorKind::Damaged => Ok(None),
            entry => entry,
        }
    }

    /// Every course, in key order, each as [`course`](Self::course) answers. Reads the header
    /// index only: what it costs does not depend on the size of records.
    pub fn courses(&self) -> impl Iterator<Item = Result<(CourseKey, Result<CourseEntry>)>> {
        let stored = self.rows().map(|row| {
            let (course, row) = row?;
            let entry = row.map(Row::stored).transpose();
            Ok(entry.map(|entry| (course, entry)))
        });
        stored.filter_map(Result::transpose)
    }

    /// Every row of the header index in key order, reservations included.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Result<(CourseKey, Result<Row>)>> {
        self.engine.scan(Space::Courses, None).map(|item| {
            let item = item?;
            let course = course_of(item.partition())?;
            let row = Row::decode(&course, item.value());
            Ok((course, row))
        })
    }

    /// Removes every trace of a course; false if there was none.
    ///
    /// # Errors
    /// [`NoLease`](ErrorKind::NoLease) for a lease that has ended,
    /// [`Conflict`](ErrorKind::Conflict) when the course is published all the time.
    pub fn delete(&self, lease: &Lease, course: &CourseKey) -> Result<bool> {
        self.holder(lease)?;
        for _ in 0..MAX_COMMIT_ATTEMPTS {
            let row = self.row_bytes(course)?;
            let names = self.record_names(course)?;
            if row.is_none() && names.is_empty() {
                // Somebody else may have deleted it a moment ago.
                self.engine.flush()?;
                return Ok(false);
            }
            let is_reserved = row
                .as_ref()
                .is_some_and(|row| matches!(Row::decode(course, row), Ok(Row::Reserved { .. })));
            let was_there = !is_reserved || !names.is_empty();
            let mut commit = Commit::new();
            commit.require(Space::Courses, ROW, unchanged(row));
            commit.delete(Space::Courses, ROW);
            for name in names {
                commit.delete(Space::Records, name);
            }
            if self.commit(course, &commit, Durability::Durable)? {
                return Ok(was_there);
            }
        }
        Err(contended(course, "deleted"))
    }

    /// Removes the records called `name` from all courses, and what is noted of their failures.
    /// Calls `on_course` with each course. Returns how many courses had one. Durable when it
    /// returns.
    ///
    /// # Errors
    /// [`NoLease`](ErrorKind::NoLease) for a lease that has ended; [`Conflict`](ErrorKind::Conflict)
    /// when a course is published all the time; [`Damaged`](ErrorKind::Damaged) and
    /// [`TooNew`](ErrorKind::TooNew) for a row of the header index that cannot be changed.
    pub(crate) fn remove_records(
        &self,
        lease: &Lease,
        name: &str,
        mut on_course: impl FnMut(&CourseKey),
    ) -> Result<u64> {
        self.holder(lease)?;
        let mut removed = 0;
        for row in self.courses() {
            let (course, _) = row?;
            removed += u64::from(self.remove_record(&course, name)?);
            on_course(&course);
        }
        self.engine.flush()?;
        Ok(removed)
    }

    fn remove_record(&self, course: &CourseKey, name: &str) -> Result<bool> {
        for _ in 0..MAX_COMMIT_ATTEMPTS {
            let Some(row) = self.row_bytes(course)? else {
                return Ok(false);
            };
            let Row::Stored(mut entry) = Row::decode(course, &row)? else {
                return Ok(false);
            };
            let before = entry.records.len() + entry.failures.len();
            entry.records.retain(|record| record.name != name);
            entry.failures.retain(|failure| failure.transformer != name);
            let is_stored = self.record_bytes(course, name)?.is_some();
            if before == entry.records.len() + entry.failures.len() && !is_stored {
                return Ok(false);
            }
            let mut commit = Commit::new();
            commit.require(Space::Courses, ROW, unchanged(Some(row)));
            commit.put(Space::Courses, ROW, entry.encode()?);
            commit.delete(Space::Records, name.as_bytes());
            if self.commit(course, &commit, Durability::Buffered)? {
                return Ok(true);
            }
        }
        Err(contended(course, "changed"))
    }

    fn record_bytes(&self, course: &CourseKey, name: &str) -> Result<Option<Value>> {
        self.engine.get(Key {
            space: Space::Records,
            partition: course.as_str().as_bytes(),
            name: name.as_bytes(),
        })
    }

    fn row_bytes(&self, course: &CourseKey) -> Result<Option<Value>> {
        self.engine.get(Key {
            space: Space::Courses,
            partition: course.as_str().as_bytes(),
            name: ROW,
        })
    }

    /// The names of all records that are there, those that the index does not know included.
    fn record_names(&self, course: &CourseKey) -> Result<Vec<Vec<u8>>> {
        self.engine
            .scan(Space::Records, Some(course.as_str().as_bytes()))
            .map(|item| Ok(item?.name().to_vec()))
            .collect()
    }

    /// True if the commit was applied, false if another writer was faster.
    fn commit(&self, course: &CourseKey, commit: &Commit, durability: Durability) -> Result<bool> {
        let partition = course.as_str().as_bytes();
        let outcome = self.engine.commit(partition, commit, durability)?;
        Ok(matches!(outcome, CommitOutcome::Applied))
    }
}

/// How often a commit is tried against other writers of the same course.
const MAX_COMMIT_ATTEMPTS: usize = 64;

/// The name of a course's only row in the header index.
const ROW: &[u8] = b"";

/// The partition of control data that holds floors, leases, gates and history, so that one can be
/// changed on condition of the others.
pub(crate) const ROLLOUT: &str = "rollout";

/// The course's row is still what was read.
fn unchanged(row: Option<Value>) -> Expected {
    row.map_or(Expected::Absent, |value| Expected::Equal(value.to_vec()))
}

fn course_of(partition: &[u8]) -> Result<CourseKey> {
    let text = String::from_utf8_lossy(partition);
    text.parse().map_err(|error: crate::key::KeyError| {
        let message = format!("the header index holds {text:?}, which names no course");
        Error::new(ErrorKind::Damaged, message).with_source(error)
    })
}

fn contended(course: &CourseKey, done: &str) -> Error {
    let message = format!(
        "{course} could not be {done}: other writers were faster {MAX_COMMIT_ATTEMPTS} times"
    );
    Error::new(ErrorKind::Conflict, message)
}
