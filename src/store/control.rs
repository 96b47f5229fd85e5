//! Rows of control data: small values of one type each, in the format of records, bound by their
//! checksums to their place. It knows places and types, not what the values are for.

use std::fmt;
use std::ops::Range;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Store, record_key, unchanged};
use crate::engine::{Commit, CommitOutcome, Durability, Expected, Key, Space, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{self, ColumnWriter, Generation, Meta, Record, RecordError};
use crate::version::{MinReader, WriteVersion};

/// Where a row is, and what it is called when it is damaged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// Rows of one partition can be changed together.
    pub(crate) partition: &'a str,
    /// The name in the partition.
    pub(crate) name: &'a [u8],
    /// For people: "the floors".
    pub(crate) what: &'a str,
}

/// A row as it was read: its value, and the bytes that must still be there when it is changed.
#[derive(Clone, Debug)]
pub(crate) struct ControlRow<T> {
    /// `None` where there is no such row.
    pub(crate) value: Option<T>,
    bytes: Option<Value>,
}

/// The only schema of control rows so far. What later ones append, this one ignores.
const SCHEMA: WriteVersion = WriteVersion::FIRST;

impl Place<'_> {
    /// Whether it is this one.
    pub(crate) fn is(&self, partition: &[u8], name: &[u8]) -> bool {
        self.partition.as_bytes() == partition && self.name == name
    }
}

impl<T> ControlRow<T> {
    /// What a commit requires so that it applies only to the row that was read.
    pub(crate) fn unchanged(&self) -> Expected {
        unchanged(self.bytes.clone())
    }
}

impl Store {
    /// The row at `place`.
    ///
    /// # Errors
    /// [`Damaged`](ErrorKind::Damaged) and [`TooNew`](ErrorKind::TooNew) when it cannot be used.
    pub(crate) fn control_row<T: DeserializeOwned>(
        &self,
        place: Place<'_>,
    ) -> Result<ControlRow<T>> {
        let bytes = self.control_bytes(place)?;
        let value = bytes.as_ref().map(|value| decode_row(place, value));
        Ok(ControlRow {
            value: value.transpose()?,
            bytes,
        })
    }

    /// The row at `place`, where one that is damaged counts as none: it is for what is only
    /// convenient to have, and may be written anew.
    ///
    /// # Errors
    /// [`TooNew`](ErrorKind::TooNew) when a newer release wrote it.
    pub(crate) fn control_row_if_usable<T: DeserializeOwned>(
        &self,
        place: Place<'_>,
    ) -> Result<ControlRow<T>> {
        // Read once: between two reads somebody may have written it anew.
        let bytes = self.control_bytes(place)?;
        let value = bytes.as_ref().map(|value| decode_row(place, value));
        let value = match value.transpose() {
            Err(error) if error.kind() == ErrorKind::Damaged => None,
            value => value?,
        };
        Ok(ControlRow { value, bytes })
    }

    /// The row at `place`, whatever it holds.
    pub(super) fn control_bytes(&self, place: Place<'_>) -> Result<Option<Value>> {
        let key = Key::new(Space::Control, place.partition.as_bytes(), place.name);
        self.engine.get(key)
    }

    /// The rows of a partition whose names are in a range, in the order of the names. What is
    /// beyond the range costs nothing. `what` names one of them for people.
    pub(crate) fn control_rows<'a, T: DeserializeOwned>(
        &'a self,
        partition: &'a str,
        what: &'a str,
        names: Range<&'a [u8]>,
    ) -> impl Iterator<Item = Result<(Vec<u8>, ControlRow<T>)>> + 'a {
        let scan = self.engine.scan(Space::Control, Some(partition.as_bytes()));
        let scan = scan.take_while(move |item| match item {
            Ok(item) => item.name() < names.end,
            Err(_) => true,
        });
        scan.filter_map(move |item| {
            let item = match item {
                Ok(item) => item,
                Err(error) => return Some(Err(error)),
            };
            if item.name() < names.start {
                return None;
            }
            let name = item.name().to_vec();
            let place = Place {
                partition,
                name: &name,
                what,
            };
            let row = decode_row(place, item.value()).map(|value| ControlRow {
                value: Some(value),
                bytes: Some(item.value().clone()),
            });
            Some(row.map(|row| (name, row)))
        })
    }

    /// True if the commit was applied, false if a row was changed meanwhile.
    pub(crate) fn commit_control(
        &self,
        partition: &str,
        commit: &Commit,
        durability: Durability,
    ) -> Result<bool> {
        let outcome = self
            .engine
            .commit(partition.as_bytes(), commit, durability)?;
        Ok(matches!(outcome, CommitOutcome::Applied))
    }
}

/// The bytes of a row. `of` is its place: they are readable under no other one.
pub(crate) fn encode_row<T: Serialize>(of: Place<'_>, value: &T) -> Result<Vec<u8>> {
    let column = ColumnWriter::new().finish_value(value)?;
    let meta = Meta {
        write_version: SCHEMA,
        min_reader: MinReader::ANY,
        generation: Generation::new(0),
    };
    let key = record_key::control(of.partition, of.name);
    Ok(record::encode(key, meta, &column))
}

/// Checks every byte of a row, whatever its type is.
pub(super) fn check_control(
    partition: &[u8],
    name: &[u8],
    bytes: &[u8],
) -> Result<(), RecordError> {
    let partition = std::str::from_utf8(partition);
    let partition = partition.map_err(|_| RecordError::Malformed("a partition that is no text"))?;
    let record = Record::open(record_key::control(partition, name), bytes)?.verify()?;
    record.column().course_wide().map(|_| ())
}

/// The value of a row that was read as bytes.
pub(crate) fn decode_row<T: DeserializeOwned>(of: Place<'_>, value: &Value) -> Result<T> {
    let key = record_key::control(of.partition, of.name);
    let decode = || -> Result<T, RecordError> {
        let record = Record::open(key, value.as_ref())?.verify()?;
        let value = record.column().course_wide()?.decode();
        value.map_err(|_| RecordError::Malformed("no such control data"))
    };
    decode().map_err(|cause| unusable(of.what, cause))
}

fn unusable(what: impl fmt::Display, cause: RecordError) -> Error {
    let (kind, how) = match cause {
        RecordError::TooNew { .. } => (ErrorKind::TooNew, "written by a newer release"),
        _ => (ErrorKind::Damaged, "damaged"),
    };
    Error::new(kind, format!("{what} in the control data: {how}")).with_source(cause)
}
