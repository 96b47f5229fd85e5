//! Any bytes as a header, against the format as it is stated. Shared by the property tests and the fuzz
//! target. It knows the public API only.

use courseblocks::record::{self, ColumnWriter, Generation, HEADER_LEN, Header, Meta};
use courseblocks::{MinReader, ReadVersion, Verdict, Versions, WriteVersion};

use crate::choices::{Bytes, Choices};
use crate::format::{Fields, checksum_of, read};

/// So many bytes choose the key and the versions.
const CHOSEN: usize = 64;

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
