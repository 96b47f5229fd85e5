//! Checking every byte of a course: records, their entries, and the index row against them.

use std::collections::BTreeSet;

use super::{CourseEntry, Damage, Row, Store, course_of, record_key};
use crate::engine::Space;
use crate::error::{Error, Result};
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
        let missing = self.missing.iter().map(|name| {
            Damage::new(
                course,
                name,
                RecordError::Malformed("the header index names it, but it is gone"),
            )
        });
        damaged.chain(missing).collect()
    }
}

impl Store {
    /// Every course of which there is any trace, in key order: a lost or damaged row in the index
    /// does not hide the records.
    ///
    /// # Errors
    /// [`Damaged`](crate::ErrorKind::Damaged) for traces that name no course.
    pub fn traces(&self) -> Result<Vec<Result<CourseKey, Error>>> {
        let mut partitions = BTreeSet::new();
        for space in [Space::Courses, Space::Records] {
            for item in self.engine.scan(space, None) {
                let item = item?;
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
        Ok(partitions
            .iter()
            .map(|partition| course_of(partition))
            .collect())
    }

    /// Reads and checks every byte that is stored for a course.
    ///
    /// # Errors
    /// [`Storage`](crate::ErrorKind::Storage) when the engine fails. Damage is in the answer.
    pub fn check(&self, course: &CourseKey) -> Result<CourseCheck> {
        let row = self.row_bytes(course)?;
        let entry = row.and_then(|value| Row::decode(course, &value).map(Row::stored).transpose());
        let indexed = entry.as_ref().and_then(|entry| entry.as_ref().ok());
        let mut records = Vec::new();
        for item in self
            .engine
            .scan(Space::Records, Some(course.as_str().as_bytes()))
        {
            let item = item?;
            let name = String::from_utf8_lossy(item.name()).into_owned();
            let bytes = item.value().as_ref();
            let in_index = indexed.and_then(|entry| entry.record(&name));
            let checked = check_record(course, &name, bytes);
            let stored = bytes.len() as u64;
            records.push(RecordCheck {
                indexed: in_index.is_some_and(|record| bytes.starts_with(&record.header_bytes)),
                bytes: stored,
                uncompressed_bytes: checked.as_ref().map_or(stored, |(_, bytes)| *bytes),
                outcome: checked.map(|(header, _)| header),
                name,
            });
        }
        let names = indexed.into_iter().flat_map(|entry| &entry.records);
        let missing = names
            .filter(|record| !records.iter().any(|found| found.name == record.name))
            .map(|record| record.name.clone())
            .collect();
        Ok(CourseCheck {
            entry,
            records,
            missing,
        })
    }
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
