//! The body of a record as it is read: what is touched is verified, and nothing is decoded
//! before its owner asks. It must not know what the values are.

use std::cmp::Ordering;
use std::ops::Range;

use serde::Deserialize;
use zerocopy::FromBytes;

use super::RecordError;
use super::body::{ChunkRow, ENTRIES_PER_CHUNK, chunk_count};
use super::checksum::Seed;
use super::codec::{self, DecodeError};
use super::header::Header;
use super::varint;
use crate::version::WriteVersion;

/// The values of one record, each verified when it is read.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    header: Header,
    seed: Seed,
    body: &'a [u8],
}

/// A column whose bytes have been verified as a whole, to be read from end to end.
#[derive(Clone, Copy, Debug)]
pub struct VerifiedColumn<'a>(Column<'a>);

/// One value as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    bytes: &'a [u8],
    write_version: WriteVersion,
}

/// The values of a [`VerifiedColumn`] in the order of the blocks. Ends after an error.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    column: Column<'a>,
    /// Those that are yet to come.
    chunks: Range<usize>,
    chunk: Chunk<'a>,
}

impl<'a> Column<'a> {
    pub(super) fn new(header: Header, seed: Seed, body: &'a [u8]) -> Self {
        Self { header, seed, body }
    }

    /// The number of blocks, each with a value or without one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.header.entries() as usize
    }

    /// Whether the course has no blocks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of the block at `position`, if it has one. Only the chunk that holds it is
    /// touched and verified.
    pub fn entry(&self, position: usize) -> Result<Option<Entry<'a>>, RecordError> {
        if position >= self.len() {
            return Err(RecordError::NoSuchEntry {
                position,
                entries: self.len(),
            });
        }
        let number = position / ENTRIES_PER_CHUNK;
        let mut chunk = Chunk::parse(self.verified_chunk(number)?, self.entries_in(number))?;
        let bytes = chunk.nth(position % ENTRIES_PER_CHUNK).flatten();
        Ok(bytes.map(|bytes| self.entry_of(bytes)))
    }

    /// The position of the block whose value is `wanted`, where the values of all blocks are there
    /// and ascend as bytes. Touches and verifies one chunk for each doubling of their number.
    pub fn search(&self, wanted: &[u8]) -> Result<Option<usize>, RecordError> {
        let unsorted = RecordError::Malformed("a value is missing among sorted ones");
        // The chunks before `low` begin with less than is wanted or with it, those from `high` on
        // with more.
        let (mut low, mut high) = (0, self.course_wide_number());
        let mut found = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let chunk = Chunk::parse(self.verified_chunk(middle)?, self.entries_in(middle))?;
            let first = chunk.clone().next().flatten().ok_or(unsorted)?;
            if first <= wanted {
                found = Some((middle, chunk));
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let Some((number, chunk)) = found else {
            return Ok(None);
        };
        for (place, value) in chunk.enumerate() {
            match value.ok_or(unsorted)?.cmp(wanted) {
                Ordering::Less => {}
                Ordering::Equal => return Ok(Some(number * ENTRIES_PER_CHUNK + place)),
                Ordering::Greater => break,
            }
        }
        Ok(None)
    }

    /// How many bytes of the body [`entry`](Self::entry) reads for the block at `position`: its
    /// chunk, and the rows of the directory that tell where the chunk is.
    #[cfg(feature = "cli")]
    pub(crate) fn bytes_read_for(&self, position: usize) -> Result<usize, RecordError> {
        let number = position / ENTRIES_PER_CHUNK;
        let (chunk, _) = self.chunk(number)?;
        let rows = if number == 0 { 1 } else { 2 };
        Ok(chunk.len() + rows * size_of::<ChunkRow>())
    }

    /// The course-wide value, empty where there is none. Only its bytes are verified.
    pub fn course_wide(&self) -> Result<Entry<'a>, RecordError> {
        let number = self.course_wide_number();
        Ok(self.entry_of(self.verified_chunk(number)?))
    }

    /// Verifies the whole body, for reading all of it.
    pub fn verify(&self) -> Result<VerifiedColumn<'a>, RecordError> {
        if self.seed.body(self.body) == self.header.body_checksum() {
            Ok(VerifiedColumn(*self))
        } else {
            Err(RecordError::BodyChecksum)
        }
    }

    fn entry_of(&self, bytes: &'a [u8]) -> Entry<'a> {
        Entry {
            bytes,
            write_version: self.header.write_version(),
        }
    }

    fn course_wide_number(&self) -> usize {
        chunk_count(self.header.entries()) - 1
    }

    fn entries_in(&self, chunk: usize) -> usize {
        let before = chunk * ENTRIES_PER_CHUNK;
        self.len().saturating_sub(before).min(ENTRIES_PER_CHUNK)
    }

    fn verified_chunk(&self, number: usize) -> Result<&'a [u8], RecordError> {
        let (bytes, checksum) = self.chunk(number)?;
        let damaged = RecordError::ChunkChecksum { chunk: number };
        let number = u32::try_from(number).map_err(|_| damaged)?;
        if self.seed.chunk(number, bytes) == checksum {
            Ok(bytes)
        } else {
            Err(damaged)
        }
    }

    /// The bytes of a chunk, which is one of the column's, and what their checksum must be.
    fn chunk(&self, number: usize) -> Result<(&'a [u8], u32), RecordError> {
        let count = chunk_count(self.header.entries());
        let (directory, _) = <[ChunkRow]>::ref_from_prefix_with_elems(self.body, count)
            .map_err(|_| RecordError::Malformed("a body shorter than its directory"))?;
        let outside = RecordError::Malformed("a chunk outside the body");
        let row = directory.get(number).ok_or(outside)?;
        let start = match number.checked_sub(1) {
            Some(before) => directory.get(before).ok_or(outside)?.end.get() as usize,
            None => size_of_val(directory),
        };
        let end = row.end.get() as usize;
        let is_last = number + 1 == count;
        if start < size_of_val(directory) || (is_last && end != self.body.len()) {
            return Err(outside);
        }
        let bytes = self.body.get(start..end).ok_or(outside)?;
        Ok((bytes, row.checksum.get()))
    }
}

impl<'a> VerifiedColumn<'a> {
    /// For a column that was verified before, and whose bytes are still the same.
    pub(super) fn of(verified: Column<'a>) -> Self {
        Self(verified)
    }

    /// The column, to read single blocks from.
    pub(crate) fn singly(&self) -> Column<'a> {
        self.0
    }

    /// The number of blocks, each with a value or without one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the course has no blocks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every block's value, or its absence, in the order of the blocks.
    #[must_use]
    pub fn entries(&self) -> Entries<'a> {
        Entries {
            column: self.0,
            chunks: 0..self.0.course_wide_number(),
            chunk: Chunk::EMPTY,
        }
    }

    /// Every block's value, or its absence, as `decode` makes it of its entry: for all of them at
    /// once faster than [`entries`](Self::entries). The smaller its error, the faster: one of 48
    /// bytes costs half as much as the decoding.
    ///
    /// # Errors
    /// The first one of `decode`, and [`RecordError::Malformed`].
    pub fn decode<T, E>(
        &self,
        mut decode: impl FnMut(Entry<'a>) -> Result<T, E>,
    ) -> Result<Vec<Option<T>>, E>
    where
        E: From<RecordError>,
    {
        let mut values = Vec::with_capacity(self.len());
        for number in 0..self.0.course_wide_number() {
            let (chunk, _) = self.0.chunk(number)?;
            let chunk = Chunk::parse(chunk, self.0.entries_in(number))?;
            for bytes in chunk {
                values.push(match bytes {
                    None => None,
                    Some(bytes) => Some(decode(self.0.entry_of(bytes))?),
                });
            }
        }
        Ok(values)
    }

    /// The course-wide value, empty where there is none.
    pub fn course_wide(&self) -> Result<Entry<'a>, RecordError> {
        let (bytes, _) = self.0.chunk(self.0.course_wide_number())?;
        Ok(self.0.entry_of(bytes))
    }
}

impl<'a> Entry<'a> {
    /// For bytes that were an entry before, and were verified then.
    pub(crate) const fn new(bytes: &'a [u8], write_version: WriteVersion) -> Self {
        Self {
            bytes,
            write_version,
        }
    }

    /// The bytes as they were written.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The schema version of the bytes, which tells their type.
    #[must_use]
    pub const fn write_version(&self) -> WriteVersion {
        self.write_version
    }

    /// The value, if it was written as a `T` or as a `T` with more fields at its end. Text can be
    /// borrowed from the record.
    #[inline]
    pub fn decode<T: Deserialize<'a>>(&self) -> Result<T, DecodeError> {
        codec::decode(self.bytes)
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Option<Entry<'a>>, RecordError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let bytes = match self.chunk.next() {
            Some(bytes) => bytes,
            None => match self.next_chunk()? {
                Ok(bytes) => bytes,
                Err(error) => return Some(Err(error)),
            },
        };
        Some(Ok(bytes.map(|bytes| self.column.entry_of(bytes))))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let rest = self.chunks.len() * ENTRIES_PER_CHUNK;
        let most = (rest + self.chunk.lengths.len()).min(self.column.len());
        (most.min(1), Some(most))
    }
}

impl<'a> Entries<'a> {
    /// Goes on to the next chunk and yields the first of its entries.
    #[inline(never)]
    fn next_chunk(&mut self) -> Option<Result<Option<&'a [u8]>, RecordError>> {
        let number = self.chunks.next()?;
        let chunk = self
            .column
            .chunk(number)
            .and_then(|(chunk, _)| Chunk::parse(chunk, self.column.entries_in(number)));
        match chunk {
            Ok(chunk) => {
                self.chunk = chunk;
                self.chunk.next().map(Ok)
            }
            Err(error) => {
                self.chunks = 0..0;
                Some(Err(error))
            }
        }
    }
}

/// The entries of one chunk that are yet to come.
#[derive(Clone, Debug)]
struct Chunk<'a> {
    // Invariant: whole lengths, which add up to `bytes`.
    lengths: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> Chunk<'a> {
    const EMPTY: Self = Self {
        lengths: &[],
        bytes: &[],
    };
    const MALFORMED: RecordError = RecordError::Malformed("a chunk whose lengths do not add up");

    fn parse(chunk: &'a [u8], entries: usize) -> Result<Self, RecordError> {
        // Most lengths are one byte each, and are then added up at once.
        if let Some((lengths, bytes)) = chunk.split_at_checked(entries)
            && lengths.iter().all(|len| *len < 0x80)
        {
            let total: usize = lengths
                .iter()
                .map(|len| usize::from(len.saturating_sub(1)))
                .sum();
            return Self::of(lengths, bytes, Some(total));
        }
        let mut rest = chunk;
        let mut total = Some(0_usize);
        for _ in 0..entries {
            let stored_len = varint::take(&mut rest).ok_or(Self::MALFORMED)?;
            let len = stored_len.saturating_sub(1) as usize;
            total = total.and_then(|total| total.checked_add(len));
        }
        let (lengths, bytes) = chunk.split_at(chunk.len() - rest.len());
        Self::of(lengths, bytes, total)
    }

    fn of(lengths: &'a [u8], bytes: &'a [u8], total: Option<usize>) -> Result<Self, RecordError> {
        if total == Some(bytes.len()) {
            Ok(Self { lengths, bytes })
        } else {
            Err(Self::MALFORMED)
        }
    }
}

impl<'a> Iterator for Chunk<'a> {
    type Item = Option<&'a [u8]>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let stored_len = varint::take(&mut self.lengths)?;
        let Some(len) = stored_len.checked_sub(1) else {
            return Some(None);
        };
        let (bytes, rest) = self.bytes.split_at_checked(len as usize)?;
        self.bytes = rest;
        Some(Some(bytes))
    }
}
