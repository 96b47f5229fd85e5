//! Courses as they are carried to another store: byte for byte, all of one generation, and checked
//! on either side. It must not know what carries them.

use std::collections::BTreeSet;

use super::control::check_control;
use super::entry::RecordEntry;
use super::verify::{GONE, check_record};
use super::{Damage, FloorEpoch, ROW, Row, Store, course_of};
use crate::engine::{Key, Space, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::key::CourseKey;
use crate::record::RecordError;

/// A course as it is stored.
#[derive(Debug)]
pub(crate) struct CarriedCourse {
    /// Its row in the header index.
    pub(crate) row: Value,
    /// The records that the row names, with their names, in the order of these.
    pub(crate) records: Vec<(Vec<u8>, Value)>,
    /// Which floors the row was last checked against; `None` where only a newer release knows.
    pub(crate) floor_epoch: Option<FloorEpoch>,
}

/// Checks records one after the other against the row that they were stored with.
#[derive(Debug)]
pub(crate) struct CarriedRecords {
    course: CourseKey,
    named: Named,
    /// The name of the last one.
    last: Option<String>,
}

/// What a row says of its records.
#[derive(Debug)]
enum Named {
    /// Those that are still to come, the next one last.
    Left(Vec<RecordEntry>),
    /// Only a newer release knows.
    Unknown,
}

/// How often a course is read against publishes of it.
const MAX_READ_ATTEMPTS: usize = 64;

impl Store {
    /// The keys of all courses in the header index, in the order of their text. Where the index
    /// cannot be read to its end, `on_damage` decides whether that is an error; if it is none, courses
    /// of which there are records are among them too.
    pub(crate) fn carried_courses(
        &self,
        mut on_damage: impl FnMut(Error) -> Result<()>,
    ) -> Result<Vec<CourseKey>> {
        let mut partitions = BTreeSet::new();
        let mut is_whole = true;
        for space in [Space::Courses, Space::Records] {
            if space == Space::Records && is_whole {
                break;
            }
            for item in self.engine.scan(space, None) {
                match item {
                    Ok(item) if partitions.contains(item.partition()) => {}
                    Ok(item) => {
                        partitions.insert(item.partition().to_vec());
                    }
                    Err(error) if error.kind() == ErrorKind::Damaged => {
                        is_whole = false;
                        on_damage(unreachable_beyond(space, partitions.last(), error))?;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        let mut courses = Vec::with_capacity(partitions.len());
        for partition in partitions {
            match course_of(&partition) {
                Ok(course) => courses.push(course),
                Err(error) => on_damage(error)?,
            }
        }
        Ok(courses)
    }

    /// A course with all of its records, every byte of them checked; `None` where nothing is
    /// stored, reservations included.
    ///
    /// A record belongs to a row that has its header, which tells its generation and the checksum
    /// of its body. So what fits was committed together, whenever it was read; where something
    /// does not fit, the row tells whether the course was published meanwhile or is damaged.
    ///
    /// # Errors
    /// [`Damaged`](ErrorKind::Damaged) names the record; [`Conflict`](ErrorKind::Conflict) when the
    /// course is published faster than it can be read.
    pub(crate) fn carried_course(&self, course: &CourseKey) -> Result<Option<CarriedCourse>> {
        let read_row = || {
            let row = self.row_bytes(course);
            row.map_err(|error| unreadable(course, "its row in the header index", error))
        };
        let mut row = read_row()?;
        for _ in 0..MAX_READ_ATTEMPTS {
            let Some(found) = row else {
                return Ok(None);
            };
            let outcome = match self.records_of(course, &found) {
                Ok(Some((floor_epoch, records))) => {
                    return Ok(Some(CarriedCourse {
                        row: found,
                        records,
                        floor_epoch,
                    }));
                }
                Ok(None) => Ok(None),
                Err(error) if is_worth_another_look(&error) => Err(error),
                Err(error) => return Err(error),
            };
            row = read_row()?;
            if row.as_ref() == Some(&found) {
                return outcome;
            }
        }
        let message =
            format!("{course} was published {MAX_READ_ATTEMPTS} times while it was being read");
        Err(Error::new(ErrorKind::Conflict, message))
    }

    /// The records that go with a row, and the epoch of its floors; `None` for a reservation.
    fn records_of(&self, course: &CourseKey, row: &Value) -> Result<Option<Read>> {
        let Some((mut check, floor_epoch)) = CarriedRecords::of(course, row)? else {
            return Ok(None);
        };
        let mut records = Vec::new();
        if let Named::Left(named) = &check.named {
            let names: Vec<_> = named.iter().rev().map(|entry| entry.name.clone()).collect();
            for name in names {
                let value = self.record_bytes(course, &name);
                let what = format!("the record {name:?}");
                let value = value.map_err(|error| unreadable(course, &what, error))?;
                let value = value.ok_or_else(|| damaged(course, &name, GONE))?;
                check.check(name.as_bytes(), &value)?;
                records.push((name.into_bytes(), value));
            }
        } else {
            let partition = course.as_str().as_bytes();
            for item in self.engine.scan(Space::Records, Some(partition)) {
                let item = item.map_err(|error| unreadable(course, "a record", error))?;
                check.check(item.name(), item.value())?;
                records.push((item.name().to_vec(), item.into_value()));
            }
            // What was read is one generation where the row is still the same.
            let after = self.engine.get(Key::new(Space::Courses, partition, ROW))?;
            if after.as_ref() != Some(row) {
                let message = format!("{course} was published while it was being read");
                return Err(Error::new(ErrorKind::Conflict, message));
            }
        }
        check.finish()?;
        Ok(Some((floor_epoch, records)))
    }
}

type Read = (Option<FloorEpoch>, Vec<(Vec<u8>, Value)>);

impl CarriedRecords {
    /// For the records of a course with this row, with the epoch of its floors; `None` for a
    /// reservation, which has none.
    ///
    /// # Errors
    /// [`Damaged`](ErrorKind::Damaged). A row of a newer release is none.
    pub(crate) fn of(
        course: &CourseKey,
        row: &Value,
    ) -> Result<Option<(Self, Option<FloorEpoch>)>> {
        let (named, floor_epoch) = match Row::decode(course, row) {
            Ok(Row::Stored(mut entry)) => {
                entry.records.reverse();
                (Named::Left(entry.records), Some(entry.floor_epoch))
            }
            Ok(Row::Reserved { .. }) => return Ok(None),
            Err(error) if error.kind() == ErrorKind::TooNew => (Named::Unknown, None),
            Err(error) => return Err(error),
        };
        let records = Self {
            course: course.clone(),
            named,
            last: None,
        };
        Ok(Some((records, floor_epoch)))
    }

    /// The next record. They come in the order of their names.
    ///
    /// # Errors
    /// [`Damaged`](ErrorKind::Damaged) where it is not one that the row names, or a byte of it is
    /// not as it was written.
    pub(crate) fn check(&mut self, name: &[u8], bytes: &[u8]) -> Result<()> {
        let course = &self.course;
        let text = String::from_utf8_lossy(name);
        let wrong = |what| damaged(course, &text, RecordError::Malformed(what));
        if text.as_bytes() != name {
            return Err(wrong("a name that is no text"));
        }
        if self.last.as_deref().is_some_and(|last| last >= &*text) {
            return Err(wrong("out of order"));
        }
        if let Named::Left(left) = &mut self.named {
            match left.pop() {
                Some(entry) if entry.name == text => {
                    if !bytes.starts_with(&entry.header_bytes) {
                        return Err(wrong("not the record that the header index names"));
                    }
                }
                Some(entry) if *entry.name < *text => {
                    return Err(damaged(course, &entry.name, GONE));
                }
                _ => return Err(wrong("the header index does not name it")),
            }
        }
        match check_record(course, &text, bytes) {
            Ok(_) | Err(RecordError::TooNew { .. }) => {}
            Err(cause) => return Err(damaged(course, &text, cause)),
        }
        self.last = Some(text.into_owned());
        Ok(())
    }

    /// There are no more.
    ///
    /// # Errors
    /// [`Damaged`](ErrorKind::Damaged) where one is missing.
    pub(crate) fn finish(self) -> Result<()> {
        match self.named {
            Named::Left(mut left) => match left.pop() {
                Some(entry) => Err(damaged(&self.course, &entry.name, GONE)),
                None => Ok(()),
            },
            Named::Unknown => Ok(()),
        }
    }
}

/// The course of a row in the header index, by where it is stored.
pub(crate) fn carried_key(partition: &[u8]) -> Result<CourseKey> {
    course_of(partition)
}

/// Whether a row of control data is as somebody wrote it. What a newer release wrote is.
pub(crate) fn check_carried_control(partition: &[u8], name: &[u8], bytes: &[u8]) -> Result<()> {
    match check_control(partition, name, bytes) {
        Ok(()) | Err(RecordError::TooNew { .. }) => Ok(()),
        Err(cause) => {
            let [partition, name] = [partition, name].map(|part| part.escape_ascii().to_string());
            let message = format!("the control data {partition:?} {name:?} is damaged");
            Err(Error::new(ErrorKind::Damaged, message).with_source(cause))
        }
    }
}

/// It may be that the course was published between two reads.
fn is_worth_another_look(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Conflict)
}

fn damaged(course: &CourseKey, name: &str, cause: RecordError) -> Error {
    Damage::new(course, name, cause).into()
}

/// The same kind of error, about a course.
fn unreadable(course: &CourseKey, what: &str, error: Error) -> Error {
    let message = format!("{course}: {what} cannot be read");
    Error::new(error.kind(), message).with_source(error)
}

fn unreachable_beyond(space: Space, last: Option<&Vec<u8>>, error: Error) -> Error {
    let what = match space {
        Space::Courses => "the header index",
        Space::Records => "the records",
        Space::Control => "the control data",
    };
    let place = match last {
        Some(last) => format!("beyond {}", String::from_utf8_lossy(last)),
        None => "at all".to_owned(),
    };
    let message = format!("{what} cannot be read {place}");
    Error::new(ErrorKind::Damaged, message).with_source(error)
}
