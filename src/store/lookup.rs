//! The answers to a reader: the record, or why not. Missing, outdated, too new and damaged are
//! answers, not errors.

use std::fmt;

use super::record_key;
use crate::engine::Value;
use crate::error::{Error, ErrorKind, Result};
use crate::key::CourseKey;
use crate::record::{Column, Detached, HEADER_LEN, Header, Record, RecordError, VerifiedRecord};
use crate::version::{MinReader, Verdict, Versions, WriteVersion};

/// What a reader gets for a course and a transformer.
#[derive(Clone, Debug, PartialEq)]
pub enum Lookup<T> {
    /// Intact and readable by this release.
    Fresh(T),
    /// Below this release's READ: collect again.
    Outdated {
        /// What is stored.
        stored: WriteVersion,
    },
    /// Written by a newer release in a shape that this one does not know. Leave it alone.
    TooNew(Newer),
    /// Nothing is stored.
    Missing,
    /// Stored bytes that fail their checks: collect again.
    Damaged(Damage),
}

impl<T> Lookup<T> {
    /// The record, if it is [`Fresh`](Self::Fresh).
    #[must_use]
    pub fn fresh(self) -> Option<T> {
        match self {
            Self::Fresh(value) => Some(value),
            _ => None,
        }
    }

    /// The same answer with another value in it.
    pub fn map<U>(self, with: impl FnOnce(T) -> U) -> Lookup<U> {
        match self {
            Self::Fresh(value) => Lookup::Fresh(with(value)),
            Self::Outdated { stored } => Lookup::Outdated { stored },
            Self::TooNew(newer) => Lookup::TooNew(newer),
            Self::Missing => Lookup::Missing,
            Self::Damaged(damage) => Lookup::Damaged(damage),
        }
    }
}

/// Why this release cannot understand a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Newer {
    /// Its data has a shape that came later.
    Schema {
        /// The WRITE version of the data.
        stored: WriteVersion,
        /// What a release must write at least to understand it.
        min_reader: MinReader,
    },
    /// Its bytes have a format that came later.
    Format(RecordError),
}

impl fmt::Display for Newer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schema { stored, min_reader } => write!(
                f,
                "it was written at version {stored} and only releases that write {min_reader} or \
                 more understand it"
            ),
            Self::Format(cause) => cause.fmt(f),
        }
    }
}

/// What is wrong with which record.
#[derive(Clone, Debug, PartialEq)]
pub struct Damage {
    /// The record's course.
    pub course: CourseKey,
    /// The record's name: a transformer's, or that of one of the store's own records.
    pub record: String,
    /// What its checks found.
    pub cause: RecordError,
}

impl Damage {
    pub(crate) fn new(course: &CourseKey, record: &str, cause: RecordError) -> Self {
        Self {
            course: course.clone(),
            record: record.to_owned(),
            cause,
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            course,
            record,
            cause,
        } = self;
        write!(f, "the record {record:?} of {course} is damaged: {cause}")
    }
}

impl From<Damage> for Error {
    fn from(damage: Damage) -> Self {
        Self::new(ErrorKind::Damaged, damage.to_string()).with_source(damage.cause)
    }
}

/// A record whose header is intact. The body is checked when it is used.
#[derive(Clone, Debug)]
pub struct StoredRecord {
    record: Record<Value>,
}

impl StoredRecord {
    /// The one place where stored bytes become an answer. They stay where they are until it is known
    /// that they are wanted: moving them from hand to hand costs as much as checking the header.
    pub(super) fn look(
        course: &CourseKey,
        name: &str,
        found: Result<Option<Value>>,
        versions: &Versions,
    ) -> Result<Lookup<Self>> {
        let judged = match &found {
            Ok(Some(value)) => Self::judge(course, name, value, versions),
            Ok(None) | Err(_) => Err(Lookup::Missing),
        };
        match (judged, found) {
            (Ok(record), Ok(Some(value))) => Ok(Lookup::Fresh(Self {
                record: record.attach(value),
            })),
            (Err(refused), Ok(_)) => Ok(refused),
            (Ok(_), Ok(None)) => Ok(Lookup::Missing),
            (_, Err(error)) => Err(error),
        }
    }

    fn judge(
        course: &CourseKey,
        name: &str,
        value: &Value,
        versions: &Versions,
    ) -> Result<Detached, Lookup<Self>> {
        let record = match Record::open(record_key::record(course, name), &**value) {
            Ok(record) => record,
            Err(cause) => return Err(refused(course, name, cause)),
        };
        let header = record.header();
        match header.judge(versions) {
            Verdict::Current | Verdict::Behind => Ok(record.detach()),
            Verdict::Outdated => Err(Lookup::Outdated {
                stored: header.write_version(),
            }),
            Verdict::TooNew => Err(Lookup::TooNew(Newer::Schema {
                stored: header.write_version(),
                min_reader: header.min_reader(),
            })),
        }
    }

    /// The header, checked.
    #[must_use]
    pub fn header(&self) -> &Header {
        self.record.header()
    }

    /// The body. Single blocks can be read from it, or all of it at once; what is touched is
    /// verified. A compressed body is decompressed as a whole for either.
    ///
    /// # Errors
    /// What is wrong with a compressed body.
    pub fn column(&self) -> Result<Column<'_>, RecordError> {
        self.record.column()
    }

    /// The record with its whole body verified, once for all later reads.
    ///
    /// # Errors
    /// What is wrong with the body.
    pub fn verify(self) -> Result<VerifiedRecord<Value>, RecordError> {
        self.record.verify()
    }

    /// Bytes of header and body, as they are stored.
    #[must_use]
    pub fn bytes(&self) -> usize {
        HEADER_LEN + self.header().body_len() as usize
    }
}

#[cold]
fn refused(course: &CourseKey, name: &str, cause: RecordError) -> Lookup<StoredRecord> {
    match cause {
        RecordError::TooNew { .. } => Lookup::TooNew(Newer::Format(cause)),
        _ => Lookup::Damaged(Damage::new(course, name, cause)),
    }
}
