//! The header as the documentation of the format states it, read without any code of the library.
//! Shared by the property tests and the fuzz target. It knows the public API only.

use courseblocks::record::{
    self, ColumnWriter, Compression, Generation, HEADER_LEN, Header, Meta, RecordError,
};
use courseblocks::{MinReader, ReadVersion, Verdict, Versions, WriteVersion};

use crate::choices::{Bytes, Choices};

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) compression: Compression,
    pub(crate) write_version: u32,
    pub(crate) min_reader: u32,
    pub(crate) generation: u64,
    pub(crate) body_len: u32,
    pub(crate) entries: u32,
    pub(crate) body_checksum: u32,
    pub(crate) checksum: u32,
}

/// A CRC-32 (IEEE), bit by bit as it is defined.
#[derive(Clone, Copy)]
pub(crate) struct Checksum(u32);

/// So many bytes choose the key and the versions.
const CHOSEN: usize = 64;

/// Bytes of a header that every checksum of the record starts from.
const BOUND: usize = 32;

/// Any bytes under any key, for a release of any versions: the library says of them what is stated
/// here, as they are and under a checksum that fits. And what is written is read.
pub(crate) fn check(bytes: &[u8]) {
    let (chosen, bytes) = bytes.split_at(bytes.len().min(CHOSEN));
    let mut choices = Bytes::new(chosen);
    let key = any_bytes(&mut choices, 40);
    let versions = any_versions(&mut choices);
    let meta = Meta {
        write_version: any_version(&mut choices),
        min_reader: MinReader::new(any_version(&mut choices)),
        generation: Generation::new(any_number(&mut choices)),
    };
    let entries = choices.below(40);
    let flipped = choices.below(8 * u32::try_from(HEADER_LEN).expect("small"));

    check_read(&key, bytes, &versions);
    let resealed = resealed(&key, bytes);
    check_read(&key, &resealed, &versions);
    check_read(&[key.as_slice(), b"\0"].concat(), &resealed, &versions);
    check_written(&key, meta, entries, bytes, &versions, flipped as usize);
}

fn check_read(key: &[u8], bytes: &[u8], versions: &Versions) {
    let header = Header::read(key, bytes);
    assert_eq!(header.map(|header| fields(&header)), read(key, bytes));
    if let Ok(header) = header {
        let expected = judge(&fields(&header), versions);
        assert_eq!(header.judge(versions), expected);
        let is_readable = matches!(expected, Verdict::Current | Verdict::Behind);
        assert_eq!(expected.is_readable(), is_readable);
    }
}

/// A record of this course-wide value, and as many blocks without one.
fn check_written(
    key: &[u8],
    meta: Meta,
    entries: u32,
    course_wide: &[u8],
    versions: &Versions,
    flipped: usize,
) {
    let mut column = ColumnWriter::new();
    for _ in 0..entries {
        column.push_absent().expect("a small record");
    }
    let body = column.finish(course_wide).expect("a small record");
    let mut bytes = record::encode(key, meta, &body);
    check_read(key, &bytes, versions);
    let header = Header::read(key, &bytes).expect("it was just written");
    let read = Meta {
        write_version: header.write_version(),
        min_reader: header.min_reader(),
        generation: header.generation(),
    };
    assert_eq!(read, meta);
    assert_eq!((header.entries(), body.entries()), (entries, entries));
    assert_eq!(header.body_len(), body.len());

    // No flip of one bit leaves a checksum as it was.
    bytes[flipped / 8] ^= 1 << (flipped % 8);
    let damaged = Header::read(key, &bytes);
    assert!(damaged.is_err(), "bit {flipped} was flipped");
    check_read(key, &bytes, versions);
}

/// What the format says of `bytes` under `key`.
pub(crate) fn read(key: &[u8], bytes: &[u8]) -> Result<Fields, RecordError> {
    if bytes.len() < HEADER_LEN {
        return Err(RecordError::Length {
            expected: 40,
            found: bytes.len() as u64,
        });
    }
    if !bytes.starts_with(b"CBLK") {
        return Err(RecordError::BadMagic);
    }
    let checksum = number(bytes, 36);
    if checksum_of(key, bytes) != checksum {
        return Err(RecordError::HeaderChecksum);
    }
    let flags = u16::from_le_bytes([bytes[6], bytes[7]]);
    let newer = [
        ("format version", u16::from(bytes[4]), 1),
        ("codec", u16::from(bytes[5]), 1),
        ("flags", flags, 15),
        ("compression", flags, 1),
    ];
    if let Some(&(what, found, _)) = newer.iter().find(|(_, found, newest)| found > newest) {
        return Err(RecordError::TooNew { what, found });
    }
    if bytes[4] == 0 || bytes[5] == 0 {
        return Err(RecordError::Malformed("format version or codec 0"));
    }
    for (at, what) in [(8, "write version 0"), (12, "min_reader 0")] {
        if number(bytes, at) == 0 {
            return Err(RecordError::Malformed(what));
        }
    }
    Ok(Fields {
        compression: [Compression::None, Compression::Lz4][usize::from(flags)],
        write_version: number(bytes, 8),
        min_reader: number(bytes, 12),
        generation: u64::from(number(bytes, 20)) << 32 | u64::from(number(bytes, 16)),
        body_len: number(bytes, 24),
        entries: number(bytes, 28),
        body_checksum: number(bytes, 32),
        checksum,
    })
}

/// What a release may do with the record, by all that can be the matter with it.
fn judge(fields: &Fields, versions: &Versions) -> Verdict {
    let (read, write) = (versions.read.get(), versions.write.get());
    let is_unknown = fields.min_reader > write;
    let is_old = fields.write_version < read;
    let is_behind = fields.write_version < write;
    match (is_unknown, is_old, is_behind) {
        (true, _, _) => Verdict::TooNew,
        (false, true, _) => Verdict::Outdated,
        (false, false, true) => Verdict::Behind,
        (false, false, false) => Verdict::Current,
    }
}

/// The same bytes with a magic and a checksum that fit.
fn resealed(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.len() >= HEADER_LEN {
        bytes[..4].copy_from_slice(b"CBLK");
        let checksum = checksum_of(key, &bytes);
        bytes[36..40].copy_from_slice(&checksum.to_le_bytes());
    }
    bytes
}

/// The checksum that the header at the beginning of `bytes` must have.
pub(crate) fn checksum_of(key: &[u8], bytes: &[u8]) -> u32 {
    Checksum::seed(key, bytes).with(&bytes[32..36]).get()
}

/// The number at this place of a record.
pub(crate) fn number(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes[at..at + 4].try_into().expect("four bytes");
    u32::from_le_bytes(bytes)
}

impl Checksum {
    /// What every checksum of the record with this header starts from.
    pub(crate) fn seed(key: &[u8], header: &[u8]) -> Self {
        let len = (key.len() as u64).to_le_bytes();
        Self(!0).with(&len).with(key).with(&header[..BOUND])
    }

    #[must_use]
    pub(crate) fn with(mut self, bytes: &[u8]) -> Self {
        for byte in bytes {
            self.0 ^= u32::from(*byte);
            for _ in 0..8 {
                let carry = self.0 & 1;
                self.0 = self.0 >> 1 ^ carry * 0xedb8_8320;
            }
        }
        self
    }

    pub(crate) fn get(self) -> u32 {
        !self.0
    }
}

fn fields(header: &Header) -> Fields {
    Fields {
        compression: header.compression(),
        write_version: header.write_version().get(),
        min_reader: header.min_reader().get(),
        generation: header.generation().get(),
        body_len: header.body_len(),
        entries: header.entries(),
        body_checksum: header.body_checksum(),
        checksum: header.checksum(),
    }
}

/// Less than `end` bytes.
fn any_bytes(choices: &mut impl Choices, end: u32) -> Vec<u8> {
    let len = choices.below(end);
    (0..len).map(|_| any_byte(choices)).collect()
}

fn any_byte(choices: &mut impl Choices) -> u8 {
    u8::try_from(choices.below(1 << 8)).expect("a byte")
}

/// Mostly small, as versions are.
fn any_number(choices: &mut impl Choices) -> u64 {
    let len = choices.one_of(&[1_u32, 1, 4, 8]);
    (0..len).fold(0, |number, _| number << 8 | u64::from(any_byte(choices)))
}

fn any_version(choices: &mut impl Choices) -> WriteVersion {
    let number = u32::try_from(any_number(choices) & u64::from(u32::MAX)).expect("masked");
    WriteVersion::new(number).unwrap_or(WriteVersion::FIRST)
}

fn any_versions(choices: &mut impl Choices) -> Versions {
    // 0 is a READ version.
    let read = ReadVersion::new(any_version(choices).get() - 1);
    let mut versions = Versions::new(read, any_version(choices));
    versions.min_reader = MinReader::new(any_version(choices));
    versions
}
