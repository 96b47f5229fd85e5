//! The fixed-size header of a record: read in place, checked, then judged. It must not know
//! the body.

use std::fmt;

use serde::{Deserialize, Serialize};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::checksum::{KeySeed, Seed};
use super::compression::Compression;
use super::{RecordError, RecordKey};
use crate::version::{MinReader, Verdict, Versions, WriteVersion};

/// Bytes of a header, in every version of the format.
pub const HEADER_LEN: usize = 40;

/// The first bytes of every record, in every version of the format.
const MAGIC: [u8; 4] = *b"CBLK";

/// The format that is written, and the newest one that is read.
///
/// - 1: the first one.
const FORMAT_VERSION: u8 = 1;

/// bincode 2 in its standard configuration, CRC-32 (IEEE).
const CODEC: u8 = 1;

/// The flags that tell how the body is compressed, as a number. The others are reserved for what is
/// yet unknown.
const COMPRESSION_FLAGS: u16 = 0x000f;

/// One consistent set of a course's records: all records that were published together carry
/// the same number.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Generation(u64);

impl Generation {
    /// Every number is a generation.
    #[must_use]
    pub const fn new(generation: u64) -> Self {
        Self(generation)
    }

    /// The generation as a number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a writer says about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The schema version of the entries.
    pub write_version: WriteVersion,
    /// The oldest release that can decode them.
    pub min_reader: MinReader,
    /// The publish that the record belongs to.
    pub generation: Generation,
}

/// A header that passed its checks under its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    // Invariant: comes from `Raw` with an intact checksum, in a format that this code knows.
    meta: Meta,
    compression: Compression,
    body_len: u32,
    entries: u32,
    body_checksum: u32,
    checksum: u32,
}

impl Header {
    /// Reads the header at the beginning of `bytes`, which is all of a record or just its first
    /// [`HEADER_LEN`] bytes. `key` is what the record is stored under.
    pub fn read<'k>(key: impl Into<RecordKey<'k>>, bytes: &[u8]) -> Result<Self, RecordError> {
        Self::read_with_seed(key.into(), bytes).map(|(header, _)| header)
    }

    /// What a release with `versions` may do with the record.
    #[must_use]
    pub const fn judge(&self, versions: &Versions) -> Verdict {
        versions.judge(self.meta.write_version, self.meta.min_reader)
    }

    /// The schema version of the entries.
    #[must_use]
    pub const fn write_version(&self) -> WriteVersion {
        self.meta.write_version
    }

    /// The oldest release that can decode the entries.
    #[must_use]
    pub const fn min_reader(&self) -> MinReader {
        self.meta.min_reader
    }

    /// The publish that the record belongs to.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.meta.generation
    }

    /// How the body is compressed.
    #[must_use]
    pub const fn compression(&self) -> Compression {
        self.compression
    }

    /// Bytes after the header, as they are stored.
    #[must_use]
    pub const fn body_len(&self) -> u32 {
        self.body_len
    }

    /// The number of blocks of the course, each with a value or without one.
    #[must_use]
    pub const fn entries(&self) -> u32 {
        self.entries
    }

    /// What the checksum of the body must be, as it is stored.
    #[must_use]
    pub const fn body_checksum(&self) -> u32 {
        self.body_checksum
    }

    /// The header's own checksum, which covers the key and every field.
    #[must_use]
    pub const fn checksum(&self) -> u32 {
        self.checksum
    }

    pub(super) fn read_with_seed(
        key: RecordKey<'_>,
        bytes: &[u8],
    ) -> Result<(Self, Seed), RecordError> {
        let (raw, _) = Raw::ref_from_prefix(bytes).map_err(|_| RecordError::Length {
            expected: HEADER_LEN as u64,
            found: bytes.len() as u64,
        })?;
        if raw.bound.magic != MAGIC {
            return Err(RecordError::BadMagic);
        }
        let seed = key.seed().bound(raw.bound.as_bytes());
        if seed.header(raw.body_checksum.get()) != raw.checksum.get() {
            return Err(RecordError::HeaderChecksum);
        }
        Ok((raw.understood()?, seed))
    }

    /// The header of the same record with its `body` not compressed, and the seed of that.
    pub(super) fn uncompressed(
        &self,
        key: KeySeed,
        body: &[u8],
    ) -> Result<(Self, Seed), RecordError> {
        let too_long = |_| RecordError::Malformed("a body beyond 32 bits");
        let body_len = u32::try_from(body.len()).map_err(too_long)?;
        let header = Unsealed::new(key, self.meta, Compression::None, body_len, self.entries);
        let body_checksum = header.seed.body(body);
        let uncompressed = Self {
            compression: Compression::None,
            body_len,
            body_checksum,
            checksum: header.seed.header(body_checksum),
            ..*self
        };
        Ok((uncompressed, header.seed))
    }
}

/// The header as it is stored. The table in the module's documentation describes it.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Raw {
    bound: Bound,
    body_checksum: U32,
    checksum: U32,
}

/// The fields that every checksum of the record starts from.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Bound {
    magic: [u8; 4],
    format_version: u8,
    codec: u8,
    flags: U16,
    write_version: U32,
    min_reader: U32,
    generation: U64,
    body_len: U32,
    entries: U32,
}

impl Raw {
    /// To be called on an intact header only: damage must not pass for something newer.
    fn understood(&self) -> Result<Header, RecordError> {
        let too_new = |what, found: u16| RecordError::TooNew { what, found };
        let bound = &self.bound;
        if bound.format_version > FORMAT_VERSION {
            return Err(too_new("format version", bound.format_version.into()));
        }
        if bound.codec > CODEC {
            return Err(too_new("codec", bound.codec.into()));
        }
        let flags = bound.flags.get();
        if flags & !COMPRESSION_FLAGS != 0 {
            return Err(too_new("flags", flags));
        }
        let compression = Compression::from_number(flags & COMPRESSION_FLAGS)
            .ok_or_else(|| too_new("compression", flags))?;
        if bound.format_version == 0 || bound.codec == 0 {
            return Err(RecordError::Malformed("format version or codec 0"));
        }
        let version =
            |field: U32, name| WriteVersion::new(field.get()).ok_or(RecordError::Malformed(name));
        Ok(Header {
            meta: Meta {
                write_version: version(bound.write_version, "write version 0")?,
                min_reader: MinReader::new(version(bound.min_reader, "min_reader 0")?),
                generation: Generation(bound.generation.get()),
            },
            compression,
            body_len: bound.body_len.get(),
            entries: bound.entries.get(),
            body_checksum: self.body_checksum.get(),
            checksum: self.checksum.get(),
        })
    }
}

/// A header to which only the body's checksum is missing.
pub(super) struct Unsealed {
    bound: Bound,
    pub(super) seed: Seed,
}

impl Unsealed {
    pub(super) fn new(
        key: KeySeed,
        meta: Meta,
        compression: Compression,
        body_len: u32,
        entries: u32,
    ) -> Self {
        let bound = Bound {
            magic: MAGIC,
            format_version: FORMAT_VERSION,
            codec: CODEC,
            flags: compression.number().into(),
            write_version: meta.write_version.get().into(),
            min_reader: meta.min_reader.get().into(),
            generation: meta.generation.get().into(),
            body_len: body_len.into(),
            entries: entries.into(),
        };
        let seed = key.bound(bound.as_bytes());
        Self { bound, seed }
    }

    pub(super) fn seal(self, body: &[u8]) -> [u8; HEADER_LEN] {
        let body_checksum = self.seed.body(body);
        let raw = Raw {
            bound: self.bound,
            body_checksum: body_checksum.into(),
            checksum: self.seed.header(body_checksum).into(),
        };
        zerocopy::transmute!(raw)
    }
}
