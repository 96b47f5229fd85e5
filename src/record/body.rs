//! The body of a record as it is written: one optional value per block, and one for the course.
//! It must not know which record it goes into before it is sealed.

use serde::Serialize;
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::checksum::Seed;
use super::codec::{self, EncodeError};
use super::compression::Compression;
use super::varint;
use crate::error::{Error, ErrorKind};

/// Consecutive entries that share a checksum and a row of the directory. Part of the format.
///
/// Measured over 5,000 entries of 5 to 53 bytes, 18 on average (`cargo bench --bench record`):
/// what one entry costs to find and verify, and the bytes added to those of the entries.
///
/// | entries per chunk | one entry | added |
/// |---|---|---|
/// | 1 | 47 ns | 50.4 % |
/// | 8 | 92 ns | 11.2 % |
/// | **16** | **94 ns** | **8.4 %** |
/// | 32 | 155 ns | 7.0 % |
/// | 64 | 248 ns | 6.3 % |
pub const ENTRIES_PER_CHUNK: usize = 16;

/// The longest body that is written, in bytes before it is compressed: five times what all
/// transformers together store for 20,000 blocks in the original.
pub const MAX_BODY_LEN: usize = 64 << 20;

/// The most entries that are written: fifty times the blocks of a very large course.
pub const MAX_ENTRIES: u32 = 1 << 20;

/// Why a body cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A record holds at most [`MAX_ENTRIES`] entries.
    #[error("more than {MAX_ENTRIES} entries in a record")]
    TooManyEntries,
    /// A record holds at most [`MAX_BODY_LEN`] bytes.
    #[error("more than {MAX_BODY_LEN} bytes in a record")]
    TooLong,
    /// A value refused to become bytes.
    #[error(transparent)]
    Encode(EncodeError),
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        let kind = match error {
            WriteError::TooManyEntries | WriteError::TooLong => ErrorKind::LimitExceeded,
            WriteError::Encode(_) => ErrorKind::Transformer,
        };
        Self::new(kind, "a record cannot be written").with_source(error)
    }
}

/// Takes the values of a course's blocks in the order of the blocks. After an error it is as it
/// was before the call.
#[derive(Clone, Debug, Default)]
pub struct ColumnWriter {
    entries: u32,
    /// The finished chunks, and where each of them ends.
    chunks: Vec<u8>,
    ends: Vec<usize>,
    /// The chunk that is being filled: its entries' lengths as they are stored, and their bytes.
    lengths: Vec<u8>,
    bytes: Vec<u8>,
}

/// A complete body that waits for its key and header.
#[derive(Clone, Debug)]
pub struct Body {
    compression: Compression,
    entries: u32,
    // Invariant: what directory and chunks take, at most MAX_BODY_LEN.
    len: u32,
    // Invariant: where each chunk ends, from the beginning of the body, ascending to `len`.
    ends: Vec<u32>,
    chunks: Vec<u8>,
}

/// A row of the directory.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct ChunkRow {
    /// Where the chunk ends, from the beginning of the body. It begins where the one before it
    /// ends, the first one where the directory ends.
    pub(super) end: U32,
    pub(super) checksum: U32,
}

impl ColumnWriter {
    /// No entries yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next block has no value.
    pub fn push_absent(&mut self) -> Result<(), WriteError> {
        self.check_room()?;
        self.end_entry(0);
        Ok(())
    }

    /// The next block's value, as bytes of the caller's own making.
    pub fn push(&mut self, entry: &[u8]) -> Result<(), WriteError> {
        self.push_with(|bytes, max_len| append(bytes, entry, max_len))
    }

    /// The next block's value, encoded in place.
    pub fn push_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WriteError> {
        self.push_with(|bytes, max_len| encode(bytes, value, max_len))
    }

    /// Ends the column with the course-wide value, empty where there is none.
    pub fn finish(self, course_wide: &[u8]) -> Result<Body, WriteError> {
        self.finish_with(|bytes, max_len| append(bytes, course_wide, max_len))
    }

    /// Ends the column with the course-wide value, encoded in place.
    pub fn finish_value<T>(self, course_wide: &T) -> Result<Body, WriteError>
    where
        T: Serialize + ?Sized,
    {
        self.finish_with(|bytes, max_len| encode(bytes, course_wide, max_len))
    }

    fn push_with(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>, usize) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        self.check_room()?;
        let start = self.bytes.len();
        let max_len = MAX_BODY_LEN.saturating_sub(self.chunks.len() + start);
        write(&mut self.bytes, max_len)?;
        let len = u32::try_from(self.bytes.len() - start).map_err(|_| WriteError::TooLong)?;
        // 0 is "absent", so that an empty value is not.
        self.end_entry(len + 1);
        Ok(())
    }

    fn check_room(&self) -> Result<(), WriteError> {
        if self.entries < MAX_ENTRIES {
            Ok(())
        } else {
            Err(WriteError::TooManyEntries)
        }
    }

    fn end_entry(&mut self, stored_len: u32) {
        varint::push(&mut self.lengths, stored_len);
        self.entries += 1;
        if (self.entries as usize).is_multiple_of(ENTRIES_PER_CHUNK) {
            self.end_chunk();
        }
    }

    fn end_chunk(&mut self) {
        self.chunks.append(&mut self.lengths);
        self.chunks.append(&mut self.bytes);
        self.ends.push(self.chunks.len());
    }

    fn finish_with(
        mut self,
        write: impl FnOnce(&mut Vec<u8>, usize) -> Result<(), WriteError>,
    ) -> Result<Body, WriteError> {
        if !self.lengths.is_empty() {
            self.end_chunk();
        }
        let max_len = MAX_BODY_LEN.saturating_sub(self.chunks.len());
        write(&mut self.chunks, max_len)?;
        self.ends.push(self.chunks.len());
        let directory_len = self.ends.len() * size_of::<ChunkRow>();
        let len = directory_len + self.chunks.len();
        if len > MAX_BODY_LEN {
            return Err(WriteError::TooLong);
        }
        let ends = self
            .ends
            .into_iter()
            .map(|end| u32::try_from(directory_len + end));
        Ok(Body {
            compression: Compression::None,
            entries: self.entries,
            len: u32::try_from(len).map_err(|_| WriteError::TooLong)?,
            ends: ends
                .collect::<Result<_, _>>()
                .map_err(|_| WriteError::TooLong)?,
            chunks: self.chunks,
        })
    }
}

impl Body {
    /// The number of blocks, each with a value or without one.
    #[must_use]
    pub fn entries(&self) -> u32 {
        self.entries
    }

    /// What the body takes in a record, in bytes, where it is not compressed.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it has a directory at least")]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// The same body, to be compressed in its record; not where that would save less than an
    /// eighth of it. Whoever reads one block of it has to decompress all of them.
    #[must_use]
    pub fn compressed(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Whether the values are the same, however they are to be compressed.
    pub(crate) fn has_values_of(&self, other: &Self) -> bool {
        // The lengths of entries are among the chunks' bytes.
        (self.entries, &self.ends, &self.chunks) == (other.entries, &other.ends, &other.chunks)
    }

    pub(super) fn compression(&self) -> Compression {
        self.compression
    }

    pub(super) fn append_to(&self, record: &mut Vec<u8>, seed: Seed) {
        let mut start = self.ends.len() * size_of::<ChunkRow>();
        let mut rest = self.chunks.as_slice();
        for (number, &end) in (0..).zip(&self.ends) {
            let (chunk, after) = rest.split_at(end as usize - start);
            let row = ChunkRow {
                end: end.into(),
                checksum: seed.chunk(number, chunk).into(),
            };
            record.extend_from_slice(row.as_bytes());
            (start, rest) = (end as usize, after);
        }
        record.extend_from_slice(&self.chunks);
    }
}

/// Chunks of a column with `entries` entries; the last one is the course-wide value.
pub(super) fn chunk_count(entries: u32) -> usize {
    (entries as usize).div_ceil(ENTRIES_PER_CHUNK) + 1
}

/// The least that a body with `entries` entries can take, in bytes.
pub(super) fn least_len(entries: u32) -> u64 {
    let directory_len = chunk_count(entries) * size_of::<ChunkRow>();
    u64::from(entries) + directory_len as u64
}

fn append(buffer: &mut Vec<u8>, bytes: &[u8], max_len: usize) -> Result<(), WriteError> {
    if bytes.len() > max_len {
        return Err(WriteError::TooLong);
    }
    buffer.extend_from_slice(bytes);
    Ok(())
}

fn encode<T>(buffer: &mut Vec<u8>, value: &T, max_len: usize) -> Result<(), WriteError>
where
    T: Serialize + ?Sized,
{
    codec::encode_into(buffer, value, max_len).map_err(|error| match error {
        EncodeError::TooLarge { .. } => WriteError::TooLong,
        other => WriteError::Encode(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_beyond_the_limit_are_refused() {
        let mut column = ColumnWriter::new();
        for _ in 0..MAX_ENTRIES {
            column.push_absent().unwrap();
        }
        for pushed in [column.push_absent(), column.push(b"")] {
            assert!(matches!(pushed, Err(WriteError::TooManyEntries)));
        }
        assert_eq!(column.finish(b"").unwrap().entries(), MAX_ENTRIES);
    }

    #[test]
    fn bytes_beyond_the_limit_are_refused_and_change_nothing() {
        let half = vec![7; MAX_BODY_LEN / 2];
        let mut column = ColumnWriter::new();
        column.push(&half).unwrap();
        let more_than_half = vec![7; half.len() + 1];
        for pushed in [
            column.push(&more_than_half),
            column.push_value(more_than_half.as_slice()),
        ] {
            assert!(matches!(pushed, Err(WriteError::TooLong)));
        }
        column.push(b"a").unwrap();
        // Two rows, a length of four bytes and one of one.
        let room = MAX_BODY_LEN - 2 * size_of::<ChunkRow>() - 5 - half.len() - 1;
        let finish = |len| column.clone().finish(&half[..len]);
        assert_eq!(finish(room).unwrap().len() as usize, MAX_BODY_LEN);
        assert!(matches!(finish(room + 1), Err(WriteError::TooLong)));
        assert!(matches!(finish(half.len()), Err(WriteError::TooLong)));
    }
}
