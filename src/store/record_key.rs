//! What a record's checksums are bound to: its place in the store.

use crate::key::CourseKey;

/// The longest name of a record, and so of a transformer, in bytes.
pub const MAX_NAME_BYTES: usize = 255;

/// The bytes that name a record: its space, course and name. Those of usual length are put
/// together on the stack, because the read path must not allocate.
#[expect(
    clippy::large_enum_variant,
    reason = "the large variant is the usual one, and is there to save the allocation"
)]
pub(super) enum RecordKey {
    Short { bytes: [u8; SHORT], len: usize },
    Long(Vec<u8>),
}

/// More than the keys of real courses take: Open edX holds course keys of up to 255 characters, and
/// names of transformers are some twenty.
const SHORT: usize = 256;

impl RecordKey {
    /// A transformer's record.
    pub(super) fn record(course: &CourseKey, name: &str) -> Self {
        Self::new(b'R', course.as_str(), name.as_bytes())
    }

    /// A course's row in the header index.
    pub(super) fn row(course: &CourseKey) -> Self {
        Self::new(b'C', course.as_str(), b"")
    }

    /// A row of the control data.
    pub(super) fn control(partition: &str, name: &[u8]) -> Self {
        Self::new(b'S', partition, name)
    }

    fn new(space: u8, partition: &str, name: &[u8]) -> Self {
        let parts = [&[space], partition.as_bytes(), &[0], name];
        let len = parts.iter().map(|part| part.len()).sum();
        if len > SHORT {
            return Self::Long(parts.concat());
        }
        let mut bytes = [0; SHORT];
        let mut free = &mut bytes[..];
        for part in parts {
            let (place, rest) = free.split_at_mut(part.len());
            place.copy_from_slice(part);
            free = rest;
        }
        Self::Short { bytes, len }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { bytes, len } => &bytes[..*len],
            Self::Long(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_keys_are_spelled_the_same_way() {
        for length in [1, 100, 200, 230, 240, MAX_NAME_BYTES] {
            let course: CourseKey = "course-v1:a+b+c".parse().expect("a key");
            let name = "n".repeat(length);
            let key = RecordKey::record(&course, &name);
            assert_eq!(key.as_bytes(), format!("R{course}\0{name}").as_bytes());
        }
    }
}
