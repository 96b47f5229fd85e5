//! What a record is stored under. It must not know what the parts mean.

use super::checksum::KeySeed;

/// The key of a record, which all of its checksums are bound to: up to four parts that count as
/// one text, so that nobody needs to put them together. Any bytes make one.
///
/// ```
/// use courseblocks::record::{ColumnWriter, Generation, Meta, Record, RecordKey, encode};
/// use courseblocks::{MinReader, WriteVersion};
///
/// let meta = Meta {
///     write_version: WriteVersion::FIRST,
///     min_reader: MinReader::ANY,
///     generation: Generation::new(1),
/// };
/// let body = ColumnWriter::new().finish(b"the course")?;
/// let record = encode(b"course\0transformer", meta, &body);
/// let parts = RecordKey::from_parts([b"course", b"\0", b"", b"transformer"]);
/// assert!(Record::open(parts, &record).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RecordKey<'a>([&'a [u8]; 4]);

impl<'a> RecordKey<'a> {
    /// The key that these parts make one after the other.
    #[must_use]
    pub const fn from_parts(parts: [&'a [u8]; 4]) -> Self {
        Self(parts)
    }

    /// What every checksum of a record with this key starts from.
    pub(super) fn seed(self) -> KeySeed {
        let [first, second, third, fourth] = self.0;
        // With its length, so that no two pairs of key and fields spell the same.
        let len = first.len() + second.len() + third.len() + fourth.len();
        let len = (len as u64).to_le_bytes();
        KeySeed::of(&[&len, first, second, third, fourth])
    }
}

impl<'a> From<&'a [u8]> for RecordKey<'a> {
    fn from(key: &'a [u8]) -> Self {
        Self([key, &[], &[], &[]])
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for RecordKey<'a> {
    fn from(key: &'a [u8; N]) -> Self {
        Self::from(key.as_slice())
    }
}

impl<'a> From<&'a Vec<u8>> for RecordKey<'a> {
    fn from(key: &'a Vec<u8>) -> Self {
        Self::from(key.as_slice())
    }
}
