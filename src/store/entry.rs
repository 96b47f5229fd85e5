//! A course's row in the header index: what is stored for it, without any of it.

use serde::{Deserialize, Serialize};

use super::{FloorEpoch, record_key};
use crate::engine::Value;
use crate::error::{Error, ErrorKind, Result};
use crate::key::CourseKey;
use crate::record::{
    self, ColumnWriter, DecodeError, Entry, Generation, HEADER_LEN, Header, Meta, Record,
    RecordError,
};
use crate::source_version::SourceVersion;
use crate::version::{MinReader, WriteVersion};

/// What is stored for one course.
#[derive(Clone, Debug, PartialEq)]
pub struct CourseEntry {
    pub(super) course: CourseKey,
    pub(super) generation: Generation,
    pub(super) source_version: SourceVersion,
    pub(super) origin: Option<String>,
    pub(super) blocks: u32,
    pub(super) errors: u32,
    pub(super) warnings: u32,
    // Invariant: sorted by name, all of this entry's generation.
    pub(super) records: Vec<RecordEntry>,
    // Invariant: sorted by transformer.
    pub(super) failures: Vec<Failure>,
    pub(super) floor_epoch: FloorEpoch,
}

/// What a course's row says.
#[derive(Debug)]
pub(crate) enum Row {
    /// What is stored for the course.
    Stored(CourseEntry),
    /// Somebody is about to store it for the first time.
    Reserved {
        /// Makes it unlike all other reservations.
        generation: Generation,
        /// The floors that its writer knew of.
        floor_epoch: FloorEpoch,
    },
}

/// One record of a course, by its header.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordEntry {
    pub(super) name: String,
    pub(super) header: Header,
    pub(super) header_bytes: [u8; HEADER_LEN],
}

/// A transformer that could not collect the course.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The transformer.
    pub transformer: String,
    /// The WRITE version of the code that failed.
    pub write_version: WriteVersion,
    /// How often in a row it failed on this content.
    pub attempts: u32,
    /// What it said the last time.
    pub error: String,
}

impl CourseEntry {
    /// The course.
    #[must_use]
    pub fn course(&self) -> &CourseKey {
        &self.course
    }

    /// The generation of all of its records.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The published content that it was collected from.
    #[must_use]
    pub fn source_version(&self) -> &SourceVersion {
        &self.source_version
    }

    /// Where its module store found it, such as a path, if it said so.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// How many blocks it has.
    #[must_use]
    pub fn blocks(&self) -> u32 {
        self.blocks
    }

    /// How many errors its import reported. What they were is with its blocks.
    #[must_use]
    pub fn errors(&self) -> u32 {
        self.errors
    }

    /// How many warnings its import reported.
    #[must_use]
    pub fn warnings(&self) -> u32 {
        self.warnings
    }

    /// Its records, sorted by name; the store's own begin with `@`.
    #[must_use]
    pub fn records(&self) -> &[RecordEntry] {
        &self.records
    }

    /// The record called `name`.
    #[must_use]
    pub fn record(&self, name: &str) -> Option<&RecordEntry> {
        let found = self
            .records
            .binary_search_by(|record| record.name.as_str().cmp(name));
        self.records.get(found.ok()?)
    }

    /// The transformers that could not collect it, sorted by name.
    #[must_use]
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// Which floors the row was last checked against.
    #[must_use]
    pub fn floor_epoch(&self) -> FloorEpoch {
        self.floor_epoch
    }

    /// Bytes of all records, headers included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.records.iter().map(RecordEntry::bytes).sum()
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let row = Stored {
            source_version: self.source_version.as_str(),
            origin: self.origin.as_deref(),
            blocks: self.blocks,
            errors: self.errors,
            warnings: self.warnings,
            records: self
                .records
                .iter()
                .map(|record| (record.name.as_str(), record.header_bytes.as_slice()))
                .collect(),
            failures: self.failures.clone(),
            floor_epoch: self.floor_epoch.get(),
            is_reserved: false,
        };
        row.encode(&self.course, self.generation)
    }
}

impl Row {
    pub(super) fn decode(course: &CourseKey, value: &Value) -> Result<Self> {
        decode(course, value.as_ref()).map_err(|cause| {
            let (kind, what) = match cause {
                RecordError::TooNew { .. } => (ErrorKind::TooNew, "was written by a newer release"),
                _ => (ErrorKind::Damaged, "is damaged"),
            };
            let message = format!("the row of {course} in the header index {what}");
            Error::new(kind, message).with_source(cause)
        })
    }

    /// A reservation, as it is stored.
    pub(super) fn encode_reserved(
        course: &CourseKey,
        generation: Generation,
        floor_epoch: FloorEpoch,
    ) -> Result<Vec<u8>> {
        let row = Stored {
            source_version: "",
            origin: None,
            blocks: 0,
            errors: 0,
            warnings: 0,
            records: Vec::new(),
            failures: Vec::new(),
            floor_epoch: floor_epoch.get(),
            is_reserved: true,
        };
        row.encode(course, generation)
    }

    pub(crate) fn floor_epoch(&self) -> FloorEpoch {
        match self {
            Self::Stored(entry) => entry.floor_epoch,
            Self::Reserved { floor_epoch, .. } => *floor_epoch,
        }
    }

    /// What is stored; readers do not see reservations.
    pub(super) fn stored(self) -> Option<CourseEntry> {
        match self {
            Self::Stored(entry) => Some(entry),
            Self::Reserved { .. } => None,
        }
    }
}

impl RecordEntry {
    /// The record's name: a transformer's, or one of the store's own.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The header, as the record has it.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Bytes of header and body, as they are stored.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        HEADER_LEN as u64 + u64::from(self.header.body_len())
    }
}

/// The schema of the row. A reader ignores what later schemas append.
///
/// - 1: the first one.
/// - 2: with the epoch of the floors, and reservations.
const SCHEMA: WriteVersion = match WriteVersion::new(2) {
    Some(version) => version,
    None => WriteVersion::FIRST,
};

/// What a row holds beyond its own header, which has the generation. Only appended to.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    source_version: &'a str,
    origin: Option<&'a str>,
    blocks: u32,
    errors: u32,
    warnings: u32,
    #[serde(borrow)]
    records: Vec<(&'a str, &'a [u8])>,
    failures: Vec<Failure>,
    floor_epoch: u64,
    is_reserved: bool,
}

/// What schema 1 holds.
#[derive(Deserialize)]
struct StoredV1<'a> {
    source_version: &'a str,
    origin: Option<&'a str>,
    blocks: u32,
    errors: u32,
    warnings: u32,
    #[serde(borrow)]
    records: Vec<(&'a str, &'a [u8])>,
    failures: Vec<Failure>,
}

impl<'a> Stored<'a> {
    /// Whatever schema it has.
    fn read(entry: Entry<'a>) -> Result<Self, DecodeError> {
        if entry.write_version() < SCHEMA {
            return entry.decode::<StoredV1<'_>>().map(Self::from);
        }
        entry.decode()
    }

    fn encode(&self, course: &CourseKey, generation: Generation) -> Result<Vec<u8>> {
        let column = ColumnWriter::new().finish_value(self)?;
        let meta = Meta {
            write_version: SCHEMA,
            min_reader: MinReader::ANY,
            generation,
        };
        let key = record_key::row(course);
        Ok(record::encode(key, meta, &column))
    }
}

/// Before there were floors.
impl<'a> From<StoredV1<'a>> for Stored<'a> {
    fn from(row: StoredV1<'a>) -> Self {
        Self {
            source_version: row.source_version,
            origin: row.origin,
            blocks: row.blocks,
            errors: row.errors,
            warnings: row.warnings,
            records: row.records,
            failures: row.failures,
            floor_epoch: FloorEpoch::default().get(),
            is_reserved: false,
        }
    }
}

fn decode(course: &CourseKey, bytes: &[u8]) -> Result<Row, RecordError> {
    let record = Record::open(record_key::row(course), bytes)?;
    let generation = record.header().generation();
    let record = record.verify()?;
    let entry = record.column().course_wide()?;
    let row = Stored::read(entry);
    let row = row.map_err(|_| RecordError::Malformed("no row of the header index"))?;
    let floor_epoch = FloorEpoch::new(row.floor_epoch);
    if row.is_reserved {
        return Ok(Row::Reserved {
            generation,
            floor_epoch,
        });
    }
    let records = row.records.into_iter().map(|(name, bytes)| {
        let header = Header::read(record_key::record(course, name), bytes)?;
        let header_bytes = bytes
            .try_into()
            .map_err(|_| RecordError::Malformed("header length"))?;
        Ok(RecordEntry {
            name: name.to_owned(),
            header,
            header_bytes,
        })
    });
    Ok(Row::Stored(CourseEntry {
        course: course.clone(),
        generation,
        source_version: SourceVersion::new(row.source_version)
            .map_err(|_| RecordError::Malformed("source version"))?,
        origin: row.origin.map(str::to_owned),
        blocks: row.blocks,
        errors: row.errors,
        warnings: row.warnings,
        records: records.collect::<Result<_, RecordError>>()?,
        failures: row.failures,
        floor_epoch,
    }))
}

/// For people.
pub(crate) fn attempts_in_words(attempts: u32) -> String {
    match attempts {
        1 => "1 attempt".to_owned(),
        more => format!("{more} attempts"),
    }
}

#[cfg(all(test, feature = "schema"))]
mod tests {
    use super::*;
    use crate::schema::own::schemas;
    use crate::schema::{Recorded, Samples, SchemaError, trace};
    use crate::version::{ReadVersion, Versions};

    /// A row with everything that a row can hold.
    fn entry() -> CourseEntry {
        let course: CourseKey = "course-v1:Org+Course+Run".parse().unwrap();
        let write_version = WriteVersion::new(3).unwrap();
        let generation = Generation::new(7);
        let name = "start_date".to_owned();
        let key = record_key::record(&course, &name);
        let meta = Meta {
            write_version,
            min_reader: MinReader::ANY,
            generation,
        };
        let body = ColumnWriter::new().finish(b"").unwrap();
        let record = record::encode(key, meta, &body);
        let record = RecordEntry {
            header: Header::read(key, &record).unwrap(),
            name: name.clone(),
            header_bytes: *record.first_chunk().unwrap(),
        };
        let failure = Failure {
            transformer: "visibility".to_owned(),
            write_version,
            attempts: 2,
            error: "no".to_owned(),
        };
        CourseEntry {
            course,
            generation,
            source_version: SourceVersion::new("v1").unwrap(),
            origin: Some("a/place".to_owned()),
            blocks: 3,
            errors: 1,
            warnings: 2,
            records: vec![record],
            failures: vec![failure],
            floor_epoch: FloorEpoch::new(4),
        }
    }

    #[test]
    fn a_row_is_stored_as_it_is_written_down() -> Result<(), SchemaError> {
        let entry = entry();
        let key = record_key::row(&entry.course);
        let row = Record::open(key, entry.encode().unwrap()).unwrap();
        let row = row
            .column()
            .unwrap()
            .course_wide()
            .unwrap()
            .bytes()
            .to_vec();
        let samples = Samples::default();
        let recorded = Recorded {
            name: "@row",
            versions: Versions::new(ReadVersion::new(1), SCHEMA),
            schema: trace::<(), Stored<'_>>(&samples).unwrap(),
            body: &ColumnWriter::new().finish(&row).unwrap(),
            read_block: &|_| Ok(serde_json::Value::Null),
            read_course: &|entry| Ok(serde_json::to_value(Stored::read(entry)?)?),
        };
        recorded.check(&schemas(), None)
    }
}
