//! Records: what one transformer stored for one course, as bytes. Nothing here knows engines,
//! courses or transformers; keys are opaque.
//!
//! A record is a header of fixed size and a body. The header is read in place and checked, at a
//! cost that does not depend on the body, before anything else is believed. The body is a
//! column: one optional value per block of the course, in the order of the course's blocks, and
//! one value for the course as a whole. A single value is read by touching its chunk alone.
//!
//! # The format
//!
//! All numbers are little-endian. Version 1:
//!
//! | offset | bytes | header field | |
//! |---|---|---|---|
//! | 0 | 4 | magic | `CBLK` |
//! | 4 | 1 | format version | 1 |
//! | 5 | 1 | codec | 1: bincode 2, standard configuration; CRC-32 (IEEE) |
//! | 6 | 2 | flags | bits 0 to 3: how the body is compressed, 0 not at all, 1 [LZ4]; the others 0 |
//! | 8 | 4 | write version | 1 or more |
//! | 12 | 4 | min reader | 1 or more |
//! | 16 | 8 | generation | |
//! | 24 | 4 | body length | in bytes; a record ends with its body |
//! | 28 | 4 | entries | *n*, the number of the course's blocks |
//! | 32 | 4 | body checksum | over the seed and the body, as it is stored |
//! | 36 | 4 | header checksum | over the seed and the body checksum |
//!
//! | bytes | body field | |
//! |---|---|---|
//! | 8 × chunks | directory | per chunk: where it ends, from the beginning of the body (4); its checksum, over the seed, the chunk's number (4, from 0) and the chunk (4) |
//! | | chunks | each [`ENTRIES_PER_CHUNK`] entries, the last one what is left: their lengths, then their bytes |
//! | | last chunk | the course-wide value |
//!
//! Where the flags say that the body is **compressed**, this is stored in its place:
//!
//! | bytes | compressed body field | |
//! |---|---|---|
//! | 4 | uncompressed length | of the body, in bytes |
//! | | block | the body, as one LZ4 block |
//!
//! Decompressed, it is the body that the record would have if it were not compressed: the checksums
//! of its chunks start from the header with flags 0 and the uncompressed length as the body length.
//! Nothing is decompressed before the header, and then what is stored, have passed their checksums,
//! and no memory is reserved for an uncompressed length beyond [`MAX_BODY_LEN`] or 255 times the
//! block's, which is what LZ4 can do at most.
//!
//! A length is a varint (base 128, low bits first, in as few bytes as it takes): 0 for a block
//! without a value, otherwise the number of bytes plus 1. The **seed** is what every checksum of
//! a record starts from: the length of the record's key (8), the key, and the first 32 bytes of
//! the header. So a header, body or chunk is damaged under any other key, and a body or
//! chunk under any other header.
//!
//! Frozen for all versions of the format, so that every release can tell damage from what is
//! newer: the length of the header, the magic, and the header checksum with its place, its
//! algorithm and its seed. A header that fails them is damaged. One that passes them and has a
//! larger format version or codec, or a compression or flag that is not known, is
//! [`RecordError::TooNew`].
//!
//! [LZ4]: https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md

mod body;
mod bounded;
mod checksum;
pub mod codec;
mod column;
mod compression;
mod header;
mod key;
#[cfg(test)]
mod tests;
mod varint;

pub use body::{Body, ColumnWriter, ENTRIES_PER_CHUNK, MAX_BODY_LEN, MAX_ENTRIES, WriteError};
pub use codec::{DecodeError, EncodeError};
pub use column::{Column, Entries, Entry, VerifiedColumn};
pub use compression::Compression;
pub use header::{Generation, HEADER_LEN, Header, Meta};
pub use key::RecordKey;

use std::sync::OnceLock;

use self::checksum::{KeySeed, Seed};
use self::header::Unsealed;
use crate::error::{Error, ErrorKind};

/// Why a record, or a part of one, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Written in a newer format. The header is intact; never overwrite the record.
    #[error("written in a newer format ({what} {found})")]
    TooNew {
        /// The header field that tells.
        what: &'static str,
        /// Its value.
        found: u16,
    },
    /// Something was cut off or added.
    #[error("{found} bytes where a record has {expected}")]
    Length {
        /// What the header says, or the length of a header.
        expected: u64,
        /// What there is.
        found: u64,
    },
    /// Not a record, or one whose first bytes are damaged.
    #[error("does not begin as a record")]
    BadMagic,
    /// The header is damaged, or belongs to another key.
    #[error("the header fails its checksum under this key")]
    HeaderChecksum,
    /// The body is damaged, or belongs to another header.
    #[error("the body fails its checksum")]
    BodyChecksum,
    /// A part of the body is damaged.
    #[error("chunk {chunk} of the body fails its checksum")]
    ChunkChecksum {
        /// The number of the chunk, from 0.
        chunk: usize,
    },
    /// The checksums fit and the contents do not: nothing that this code wrote.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// A position that the course does not have.
    #[error("no entry {position} in a record of {entries}")]
    NoSuchEntry {
        /// What was asked for, from 0.
        position: usize,
        /// How many there are.
        entries: usize,
    },
}

impl From<RecordError> for Error {
    fn from(error: RecordError) -> Self {
        let kind = match error {
            RecordError::TooNew { .. } => ErrorKind::TooNew,
            _ => ErrorKind::Damaged,
        };
        Self::new(kind, "a record cannot be read").with_source(error)
    }
}

/// A record whose header has been checked. The body is verified where it is read.
#[derive(Clone, Debug)]
pub struct Record<B> {
    header: Header,
    seed: Seed,
    bytes: B,
    // Invariant: `Some` where the header says that the body is compressed.
    compressed: Option<Compressed>,
}

/// What decompressing a body takes, and what came of it.
#[derive(Clone, Debug)]
struct Compressed {
    key: KeySeed,
    body: OnceLock<Box<Decompressed>>,
}

/// A body that was compressed, with the header of the record as it would be uncompressed.
#[derive(Clone, Debug)]
struct Decompressed {
    header: Header,
    seed: Seed,
    body: Vec<u8>,
}

impl<B: AsRef<[u8]>> Record<B> {
    /// Checks the header of the record that is stored under `key`, and that nothing is missing
    /// after it or was added. The body is not touched.
    pub fn open<'k>(key: impl Into<RecordKey<'k>>, bytes: B) -> Result<Self, RecordError> {
        let (key, slice) = (key.into(), bytes.as_ref());
        let (header, seed) = Header::read_with_seed(key, slice)?;
        let expected = HEADER_LEN as u64 + u64::from(header.body_len());
        let found = slice.len() as u64;
        if found != expected {
            return Err(RecordError::Length { expected, found });
        }
        let compressed = match header.compression() {
            Compression::None if body::least_len(header.entries()) > header.body_len().into() => {
                return Err(RecordError::Malformed(
                    "more entries than the body can hold",
                ));
            }
            Compression::None => None,
            Compression::Lz4 => Some(Compressed {
                key: key.seed(),
                body: OnceLock::new(),
            }),
        };
        Ok(Self {
            header,
            seed,
            bytes,
            compressed,
        })
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }
}

impl Record<&[u8]> {
    /// The record without its bytes, so that they can be moved.
    pub(crate) fn detach(self) -> Detached {
        Detached(Record {
            header: self.header,
            seed: self.seed,
            compressed: self.compressed,
            bytes: (),
        })
    }
}

/// A record whose bytes are elsewhere.
#[derive(Debug)]
pub(crate) struct Detached(Record<()>);

impl Detached {
    /// The record with its bytes, which must be the ones that it was opened on. With others, their
    /// checksums tell.
    pub(crate) fn attach<B: AsRef<[u8]>>(self, bytes: B) -> Record<B> {
        Record {
            header: self.0.header,
            seed: self.0.seed,
            compressed: self.0.compressed,
            bytes,
        }
    }
}

impl<B: AsRef<[u8]>> Record<B> {
    /// The values, each verified when it is read. A compressed body is verified and decompressed
    /// first, whole and once: then one value costs what all of them do.
    ///
    /// # Errors
    /// What is wrong with a compressed body.
    pub fn column(&self) -> Result<Column<'_>, RecordError> {
        match &self.compressed {
            None => Ok(Column::new(self.header, self.seed, self.stored_body())),
            Some(compressed) => {
                let Decompressed { header, seed, body } = self.decompressed(compressed)?;
                Ok(Column::new(*header, *seed, body))
            }
        }
    }

    /// Verifies the whole body, once for all later reads of it, and decompresses it.
    ///
    /// # Errors
    /// What is wrong with the body.
    pub fn verify(self) -> Result<VerifiedRecord<B>, RecordError> {
        self.column()?.verify()?;
        Ok(VerifiedRecord(self))
    }

    fn stored_body(&self) -> &[u8] {
        self.bytes.as_ref().get(HEADER_LEN..).unwrap_or_default()
    }

    // Out of the way of reads that need none of it.
    #[cold]
    fn decompressed<'a>(&self, of: &'a Compressed) -> Result<&'a Decompressed, RecordError> {
        if let Some(decompressed) = of.body.get() {
            return Ok(decompressed);
        }
        let decompressed = self.decompress(of.key)?;
        // Where another thread was faster, it has the same.
        Ok(of.body.get_or_init(|| Box::new(decompressed)))
    }

    fn decompress(&self, key: KeySeed) -> Result<Decompressed, RecordError> {
        let stored = self.stored_body();
        if self.seed.body(stored) != self.header.body_checksum() {
            return Err(RecordError::BodyChecksum);
        }
        let least_len = body::least_len(self.header.entries());
        let body = self.header.compression().decompress(stored, least_len)?;
        let (header, seed) = self.header.uncompressed(key, &body)?;
        Ok(Decompressed { header, seed, body })
    }

    /// The uncompressed body and what it is verified by. To be called on a record that is not
    /// compressed, or has been decompressed.
    fn uncompressed(&self) -> (Header, Seed, &[u8]) {
        let compressed = self.compressed.as_ref();
        match compressed.and_then(|compressed| compressed.body.get()) {
            Some(decompressed) => (decompressed.header, decompressed.seed, &decompressed.body),
            None => (self.header, self.seed, self.stored_body()),
        }
    }
}

/// A record of which every byte has been verified.
#[derive(Clone, Debug)]
pub struct VerifiedRecord<B>(
    // Invariant: its body passed its checksum and is decompressed, and the bytes do not change.
    Record<B>,
);

impl<B: AsRef<[u8]>> VerifiedRecord<B> {
    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        self.0.header()
    }

    /// The values, to be read from end to end without checking them again.
    #[must_use]
    pub fn column(&self) -> VerifiedColumn<'_> {
        let (header, seed, body) = self.0.uncompressed();
        VerifiedColumn::of(Column::new(header, seed, body))
    }

    /// Bytes of the body before it was compressed.
    #[must_use]
    pub fn uncompressed_len(&self) -> usize {
        let (.., body) = self.0.uncompressed();
        body.len()
    }
}

/// The record of `body`, to be stored under `key` and read under no other one.
#[must_use]
pub fn encode<'k>(key: impl Into<RecordKey<'k>>, meta: Meta, body: &Body) -> Vec<u8> {
    let key = key.into().seed();
    let header = Unsealed::new(key, meta, Compression::None, body.len(), body.entries());
    let mut record = Vec::with_capacity(HEADER_LEN + body.len() as usize);
    record.extend_from_slice(&[0; HEADER_LEN]);
    body.append_to(&mut record, header.seed);
    let Some((place, uncompressed)) = record.split_first_chunk_mut() else {
        return record;
    };
    if let Some(compressed) = compressed(key, meta, body, uncompressed) {
        return compressed;
    }
    *place = header.seal(uncompressed);
    record
}

/// `None` where the body is to be stored as it is.
fn compressed(key: KeySeed, meta: Meta, body: &Body, uncompressed: &[u8]) -> Option<Vec<u8>> {
    let compression = body.compression();
    let stored = compression.compress(uncompressed)?;
    let len = u32::try_from(stored.len()).ok()?;
    let header = Unsealed::new(key, meta, compression, len, body.entries());
    Some([&header.seal(&stored)[..], &stored].concat())
}
