//! What a record's checksums are bound to: its place in the store.

use crate::key::CourseKey;
use crate::record::RecordKey;

/// The longest name of a record, and so of a transformer, in bytes.
pub const MAX_NAME_BYTES: usize = 255;

/// A transformer's record.
pub(super) fn record<'a>(course: &'a CourseKey, name: &'a str) -> RecordKey<'a> {
    key(b"R", course.as_str(), name.as_bytes())
}

/// A course's row in the header index.
pub(super) fn row(course: &CourseKey) -> RecordKey<'_> {
    key(b"C", course.as_str(), b"")
}

/// A row of the control data.
pub(super) fn control<'a>(partition: &'a str, name: &'a [u8]) -> RecordKey<'a> {
    key(b"S", partition, name)
}

/// Neither a space nor a partition holds the 0x00.
fn key<'a>(space: &'a [u8; 1], partition: &'a str, name: &'a [u8]) -> RecordKey<'a> {
    RecordKey::from_parts([space, partition.as_bytes(), &[0], name])
}
