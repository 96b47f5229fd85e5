//! Checking every byte of a course: records, their entries, and the index row against them.

use std::collections::BTreeSet;

use super::{CourseEntry, Damage, Row, Store, course_of, record_key};
use crate::engine::Space;
use crate::error::{Error, ErrorKind, Result};
use crate::key::CourseKey;
use crate::record::{HEADER_LEN, Header, Record, RecordError};

/// What a check of one course found.
#[derive(Debug)]
pub struct CourseCheck {
    /// The course's row in the header index; `None` when there is none.
    pub entry: Option<Result<CourseEntry>>,
    /// Every record that is there.
    pub records: Vec<RecordCheck>,
    /// Records that the index names but that are not there.
    pub missing: Vec<String>,
    /// What the engine cannot read. Nothing can be written there either.
    pub unreadable: Vec<Unreadable>,
}

/// All of which there is any trace in a store.
#[derive(Debug, Default)]
pub struct Traces {
    /// The courses, in key order.
    pub courses: Vec<CourseKey>,
    /// For each trace that names no course.
    pub nameless: Vec<Error>,
    /// For each place that the engine cannot read, which may hide further courses.
    pub hidden: Vec<Error>,
}

/// Something that the engine cannot read.
#[derive(Debug)]
pub struct Unreadable {
    /// The record's name. `None` for records of which not even the names are known.
    pub record: Option<String>,
    /// What the engine says.
    pub error: Error,
}

/// What a check of one record found.
#[derive(Debug)]
pub struct RecordCheck {
    /// The record's name.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// What it would take uncompressed; as much as it takes where that is not known.
    pub uncompressed_bytes: u64,
    /// The header if every byte is as it was written, else what is wrong.
    pub outcome: Result<Header, RecordError>,
    /// Whether the index row has the same header.
    pub indexed: bool,
}

/// What is wrong with a record that the index names and that is not there.
pub(super) const GONE: RecordError =
    RecordError::Malformed("the header index names it, but it is gone");

impl CourseCheck {
    /// Every record that is damaged, missing or not what the index says.
    #[must_use]
    pub fn damages(&self, course: &CourseKey) -> Vec<Damage> {
        let damaged = self.records.iter().filter_map(|record| {
            let cause = match &record.outcome {
                Ok(_) if record.indexed => return None,
                Ok(_) => RecordError::Malformed("not the record that the header index names"),
                Err(RecordError::TooNew { .. }) => return None,
                Err(cause) => *cause,
            };
            Some(Damage::new(course, &record.name, cause))
        });
        let missing = self.missing.iter();
        let missing = missing.map(|name| Damage::new(course, name, GONE));
        damaged.chain(missing).collect()
    }
}

impl Store {
    /// Every course of which there is any trace: a lost or damaged row in the index does not hide
    /// the records, nor does a page that the engine cannot read hide what follows it.
    ///
    /// # Errors
    /// [`Storage`](ErrorKind::Storage) when the engine fails. Damage is in the answer.
    pub fn traces(&self) -> Result<Traces> {
        let mut partitions = BTreeSet::new();
        let mut traces = Traces::default();
        for (space, what) in [
            (Space::Courses, "the header index"),
            (Space::Records, "the records"),
        ] {
            let mut last = None;
            for item in self.engine.scan(space, None) {
                let item = match item {
                    Ok(item) => item,
                    Err(error) if error.kind() == ErrorKind::Damaged => {
                        let error = hidden_after(what, last.as_deref(), error);
                        traces.hidden.push(error);
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                last = Some(item.partition().to_vec());
                if partitions.contains(item.partition()) {
                    continue;
                }
                let is_reserved = space == Space::Courses
                    && course_of(item.partition()).is_ok_and(|course| {
                        matches!(Row::decode(&course, item.value()), Ok(Row::Reserved { .. }))
                    });
                if !is_reserved {
                    partitions.insert(item.partition().to_vec());
                }
            }
        }
        for partition in partitions {
            match course_of(&partition) {
                Ok(course) => traces.courses.push(course),
                Err(error) => traces.nameless.push(error),
            }
        }
        Ok(traces)
    }

    /// Reads and checks every byte that is stored for a course.
    ///
    /// # Errors
    /// [`Storage`](ErrorKind::Storage) when the engine fails. Damage is in the answer.
    pub fn check(&self, course: &CourseKey) -> Result<CourseCheck> {
        let entry = match self.row_bytes(course) {
            Ok(row) => {
                row.and_then(|value| Row::decode(course, &value).map(Row::stored).transpose())
            }
            Err(error) if error.kind() == ErrorKind::Damaged => Some(Err(error)),
            Err(error) => return Err(error),
        };
        let indexed = entry.as_ref().and_then(|entry| entry.as_ref().ok());
        let mut records = Vec::new();
        let mut hidden = None;
        for item in self
            .engine
            .scan(Space::Records, Some(course.as_str().as_bytes()))
        {
            let item = match item {
                Ok(item) => item,
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    hidden = Some(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let name = String::from_utf8_lossy(item.name());
            records.push(check_item(course, &name, item.value(), indexed));
        }
        let mut missing = Vec::new();
        let mut unreadable = Vec::new();
        for record in indexed.into_iter().flat_map(|entry| &entry.records) {
            if records.iter().any(|found| found.name == record.name) {
                continue;
            }
            match self.record_bytes(course, &record.name) {
                // A scan can pass it over behind what cannot be read.
                Ok(Some(value)) => records.push(check_item(course, &record.name, &value, indexed)),
                Ok(None) => missing.push(record.name.clone()),
                Err(error) if error.kind() == ErrorKind::Damaged => unreadable.push(Unreadable {
                    record: Some(record.name.clone()),
                    error,
                }),
                Err(error) => return Err(error),
            }
        }
        // Where the index tells all names, it is known what is behind it.
        if let Some(error) = hidden.filter(|_| indexed.is_none()) {
            let record = None;
            unreadable.push(Unreadable { record, error });
        }
        Ok(CourseCheck {
            entry,
            records,
            missing,
            unreadable,
        })
    }
}

fn check_item(
    course: &CourseKey,
    name: &str,
    bytes: &[u8],
    indexed: Option<&CourseEntry>,
) -> RecordCheck {
    let in_index = indexed.and_then(|entry| entry.record(name));
    let checked = check_record(course, name, bytes);
    let stored = bytes.len() as u64;
    RecordCheck {
        name: name.to_owned(),
        indexed: in_index.is_some_and(|record| bytes.starts_with(&record.header_bytes)),
        bytes: stored,
        uncompressed_bytes: checked.as_ref().map_or(stored, |(_, bytes)| *bytes),
        outcome: checked.map(|(header, _)| header),
    }
}

fn hidden_after(what: &str, last: Option<&[u8]>, error: Error) -> Error {
    let last = last.map(String::from_utf8_lossy);
    let after = last.as_deref().unwrap_or("the beginning");
    let message = format!("{what} cannot be read after {after}; more courses may be there");
    Error::new(ErrorKind::Damaged, message).with_source(error)
}

/// The header, and the bytes of the record uncompressed.
pub(super) fn check_record(
    course: &CourseKey,
    name: &str,
    bytes: &[u8],
) -> Result<(Header, u64), RecordError> {
    let record = Record::open(record_key::record(course, name), bytes)?.verify()?;
    for entry in record.column().entries() {
        entry?;
    }
    let uncompressed = HEADER_LEN + record.uncompressed_len();
    Ok((*record.header(), uncompressed as u64))
}
