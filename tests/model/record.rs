//! Records that were written and then mutated, and reading them in every way there is. Shared by the
//! mutation test, the property tests and the fuzz target. It knows the public API only.

use std::collections::{BTreeMap, HashMap};
use std::ffi::CString;
use std::path::PathBuf;

use courseblocks::record::{
    self, Column, ColumnWriter, Compression, ENTRIES_PER_CHUNK, Entry, Generation, HEADER_LEN,
    Meta, Record, RecordError,
};
use courseblocks::{Error, ErrorKind, MinReader, WriteVersion};
use serde::Deserialize;

use crate::choices::Choices;
use crate::format::{Checksum, ROW, Stated, checksum_of, chunk_count, number};

/// A record and what is in it.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) key: Vec<u8>,
    entries: Vec<Option<Vec<u8>>>,
    course_wide: Vec<u8>,
    pub(crate) bytes: Vec<u8>,
}

/// What became of a record.
#[derive(Clone, Debug)]
pub(crate) struct Mutated {
    pub(crate) bytes: Vec<u8>,
    pub(crate) seal: Seal,
}

/// Which checksums are made to fit again after a mutation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seal {
    /// None: damage as it happens.
    Broken,
    /// That of the header.
    Header,
    /// Those of header and body, and the length.
    Body,
    /// All.
    Chunks,
    /// All, and the body is one that was compressed.
    Compressed,
}

/// What came of reading a record in every way there is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reads {
    /// Why the record, or its compressed body, was refused before any value was asked for.
    pub(crate) opening: Option<RecordError>,
    /// Why a whole read was refused.
    pub(crate) whole: Option<RecordError>,
    /// Single values that were given out, and those that were refused.
    pub(crate) given: u64,
    pub(crate) refused: u64,
}

/// Single values that are read of a record; a header may claim four billion.
const ENOUGH_READS: usize = 400;

impl Written {
    /// Of any shape, with values of any kind.
    pub(crate) fn choose(choices: &mut impl Choices) -> Self {
        let key = any_bytes(choices, 12);
        let count = choices.one_of(&[0, 1, 2, 5, 15, 16, 17, 33, 48, 100]);
        let shape = choices.below(6);
        let entries: Vec<_> = (0..count)
            .map(|number| any_entry(choices, shape, number))
            .collect();
        let course_wide = match choices.below(4) {
            0 => Vec::new(),
            1 => any_bytes(choices, 8),
            2 => any_bytes(choices, 8).repeat(50),
            _ => entries.iter().flatten().flatten().copied().collect(),
        };
        let meta = Meta {
            write_version: WriteVersion::new(1 + choices.below(3)).expect("not 0"),
            min_reader: MinReader::ANY,
            generation: Generation::new(choices.below(1 << 16).into()),
        };
        let mut column = ColumnWriter::new();
        for entry in &entries {
            let pushed = match entry {
                Some(entry) => column.push(entry),
                None => column.push_absent(),
            };
            pushed.expect("a small record");
        }
        let mut body = column.finish(&course_wide).expect("a small record");
        if choices.happens(1, 2) {
            body = body.compressed(Compression::Lz4);
        }
        let bytes = record::encode(&key, meta, &body);
        Self {
            key,
            entries,
            course_wide,
            bytes,
        }
    }

    /// The record after some mutations, in which parts of the other one may be.
    pub(crate) fn mutate(&self, other: &Self, choices: &mut impl Choices) -> Mutated {
        let seal = choices.weighted(&[
            (5, Seal::Broken),
            (1, Seal::Header),
            (1, Seal::Body),
            (2, Seal::Chunks),
            (1, Seal::Compressed),
        ]);
        let mut bytes = self.bytes.clone();
        for _ in 0..=choices.below(3) {
            mutate(&mut bytes, &other.bytes, choices);
        }
        let bytes = seal.apply(&self.key, bytes);
        Mutated { bytes, seal }
    }
}

/// What a value of a record of this shape may be.
fn any_entry(choices: &mut impl Choices, shape: u32, number: u32) -> Option<Vec<u8>> {
    match shape {
        // Sorted, as keys are.
        0 | 1 => Some(format!("block-{number:03}").into_bytes()),
        2 => None,
        3 => Some(vec![b'a'; choices.below(300) as usize]),
        _ => match choices.below(4) {
            0 => None,
            1 => Some(Vec::new()),
            2 => Some(any_bytes(choices, 8)),
            _ => Some(any_bytes(choices, 6).repeat(number as usize)),
        },
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

/// Numbers that lengths and positions like to go wrong at.
const NUMBERS: [u32; 12] = [
    0,
    1,
    15,
    16,
    17,
    40,
    127,
    128,
    0x00ff_ffff,
    0x7fff_ffff,
    0xffff_fff0,
    u32::MAX,
];

fn mutate(bytes: &mut Vec<u8>, other: &[u8], choices: &mut impl Choices) {
    let at = a_place(bytes.len(), choices);
    let len = choices.one_of(&[1, 2, 4, 8, 40, 100]);
    let end = (at + len).min(bytes.len());
    match choices.below(12) {
        0 | 1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << choices.below(8);
            }
        }
        2 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = any_byte(choices);
            }
        }
        3 => {
            let number = choices.one_of(&NUMBERS).to_le_bytes();
            let number = number.iter().copied();
            bytes.splice(at..(at + 4).min(bytes.len()), number);
        }
        4 => bytes.truncate(at),
        5 => {
            let appended = choices.below(40);
            bytes.extend((0..appended).map(|_| any_byte(choices)));
        }
        6 => {
            let inserted = any_bytes(choices, 9);
            bytes.splice(at..at, inserted);
        }
        7 => {
            bytes.drain(at..end);
        }
        8 => {
            let to = a_place(bytes.len(), choices);
            if at < bytes.len() && to < bytes.len() {
                bytes.swap(at, to);
            }
        }
        9 => bytes[at..end].fill(0),
        // From here on it is the other record.
        10 => {
            bytes.truncate(at);
            let rest = a_place(other.len(), choices);
            let rest = choices.one_of(&[rest, at.min(other.len())]);
            bytes.extend_from_slice(&other[rest..]);
        }
        // There, it is the other record.
        _ => {
            let (at, end) = (at.min(other.len()), end.min(other.len()));
            bytes[at..end].copy_from_slice(&other[at..end]);
        }
    }
}

/// Up to `len`, and more often where much depends on it.
fn a_place(len: usize, choices: &mut impl Choices) -> usize {
    let end = match choices.below(4) {
        0 => HEADER_LEN,
        1 => HEADER_LEN + 64,
        _ => len,
    };
    let end = u32::try_from(end.min(len)).expect("a small record");
    choices.below(end + 1) as usize
}

impl Seal {
    /// The bytes with these checksums made to fit; as they are where they have no header.
    pub(crate) fn apply(self, key: &[u8], mut bytes: Vec<u8>) -> Vec<u8> {
        if self == Self::Broken || bytes.len() < HEADER_LEN {
            return bytes;
        }
        bytes[..4].copy_from_slice(b"CBLK");
        if self != Self::Header {
            // What newer releases would have written, or none, has tests of its own.
            let compression = bytes[6] & 1;
            bytes[4..8].copy_from_slice(&[1, 1, compression, 0]);
            for at in [8, 12] {
                bytes[at] |= 1;
            }
            let len = u32::try_from(bytes_after_header(&bytes)).expect("small");
            set(&mut bytes, 24, len);
        }
        match self {
            Self::Chunks => seal_chunks(key, &mut bytes),
            Self::Compressed => {
                bytes[6] = 0;
                seal_chunks(key, &mut bytes);
                let stored = as_literals(&bytes[HEADER_LEN..]);
                bytes.truncate(HEADER_LEN);
                bytes.extend_from_slice(&stored);
                bytes[6] = 1;
                set(&mut bytes, 24, u32::try_from(stored.len()).expect("small"));
            }
            _ => {}
        }
        if self != Self::Header {
            let seed = Checksum::seed(key, &bytes);
            let body = seed.with(&bytes[HEADER_LEN..]).get();
            set(&mut bytes, 32, body);
        }
        let checksum = checksum_of(key, &bytes);
        set(&mut bytes, 36, checksum);
        bytes
    }
}

fn bytes_after_header(bytes: &[u8]) -> usize {
    bytes.len() - HEADER_LEN
}

fn set(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

/// For a body that is not compressed.
fn seal_chunks(key: &[u8], bytes: &mut [u8]) {
    let seed = Checksum::seed(key, bytes);
    let rows = chunk_count(number(bytes, 28));
    let body = &mut bytes[HEADER_LEN..];
    let rows = rows.min(body.len() / ROW);
    let mut start = rows * ROW;
    for row in 0..rows {
        let end = number(body, row * ROW) as usize;
        let chunk = body.get(start..end).unwrap_or_default();
        let chunk_number = u32::try_from(row).expect("small").to_le_bytes();
        let checksum = seed.with(&chunk_number).with(chunk).get();
        set(body, row * ROW + 4, checksum);
        start = end;
    }
}

/// The body as an LZ4 block that saves nothing, with its length before it.
fn as_literals(body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).expect("small");
    let mut stored = len.to_le_bytes().to_vec();
    let mut left = body.len();
    if left < 15 {
        stored.push(u8::try_from(left << 4).expect("below 256"));
    } else {
        stored.push(0xf0);
        left -= 15;
        while let Some(rest) = left.checked_sub(255) {
            stored.push(255);
            left = rest;
        }
        stored.push(u8::try_from(left).expect("below 255"));
    }
    stored.extend_from_slice(body);
    stored
}

impl Reads {
    /// Whether everything was given out.
    pub(crate) fn is_complete(&self) -> bool {
        self.opening.is_none() && self.whole.is_none() && self.refused == 0
    }

    fn note(&mut self, is_given: bool) {
        if is_given {
            self.given += 1;
        } else {
            self.refused += 1;
        }
    }
}

/// Reads the record in every way there is. What is given out is what the format says, and what was
/// written where that is known; what the format says is there is given out.
pub(crate) fn read_all(key: &[u8], bytes: &[u8], written: Option<&Written>) -> Reads {
    let mut reads = Reads::default();
    let record = match Record::open(key, bytes) {
        Ok(record) => record,
        Err(error) => {
            let stated = Stated::open_header(key, bytes);
            assert!(stated.is_none(), "{error} is not so");
            let kind = match error {
                RecordError::TooNew { .. } => ErrorKind::TooNew,
                _ => ErrorKind::Damaged,
            };
            assert_eq!(Error::from(error).kind(), kind);
            reads.opening = Some(error);
            return reads;
        }
    };
    let stated = Stated::open(key, bytes);
    match record.column() {
        Ok(column) => {
            let stated = stated.expect("what is no record was opened");
            read_singly(&column, &stated, written, &mut reads);
            search(&column, &stated, written);
            reads.whole = read_whole(&record, &stated, written).err();
        }
        Err(error) => {
            assert!(stated.is_none(), "{error} is not so");
            reads.opening = Some(error);
        }
    }
    reads
}

fn read_singly(
    column: &Column<'_>,
    stated: &Stated<'_>,
    written: Option<&Written>,
    reads: &mut Reads,
) {
    let len = stated.fields.entries as usize;
    assert_eq!((column.len(), column.is_empty()), (len, len == 0));
    for position in positions(len) {
        let entry = column.entry(position).ok();
        let entry = entry.map(|entry| entry.map(|entry| plain(entry, stated)));
        assert_eq!(entry, stated.entry(position), "entry {position}");
        if let (Some(entry), Some(written)) = (entry, written) {
            let expected = written.entries[position].as_deref();
            assert_eq!(entry, expected, "entry {position}");
        }
        reads.note(entry.is_some());
    }
    let beyond = RecordError::NoSuchEntry {
        position: len,
        entries: len,
    };
    assert_eq!(column.entry(len), Err(beyond));

    let course_wide = column.course_wide().ok();
    let bytes = course_wide.map(|entry| plain(entry, stated));
    assert_eq!(bytes, stated.course_wide());
    if let (Some(bytes), Some(written)) = (bytes, written) {
        assert_eq!(bytes, written.course_wide);
    }
    reads.note(bytes.is_some());
    if let Some(entry) = course_wide {
        decode_as_anything(entry);
    }
}

/// Values that are there, that were there, and that are nowhere.
fn search(column: &Column<'_>, stated: &Stated<'_>, written: Option<&Written>) {
    let values = stated.values();
    let wanted = positions(column.len()).step_by(5).filter_map(|position| {
        let known = written.and_then(|written| written.entries[position].as_deref());
        known.or_else(|| stated.entry(position).flatten())
    });
    let nowhere: [&[u8]; 4] = [b"", b"block-0", b"block-0161", b"\xff"];
    for wanted in wanted.chain(nowhere) {
        match column.search(wanted) {
            Ok(Some(position)) => assert_eq!(stated.entry(position), Some(Some(wanted))),
            Ok(None) => {
                let is_missed = values.as_ref().is_some_and(|all| all.contains(&wanted));
                assert!(!is_missed, "{wanted:?} is there");
            }
            Err(error) => assert!(values.is_none(), "{error} is not so"),
        }
    }
}

fn read_whole(
    record: &Record<&[u8]>,
    stated: &Stated<'_>,
    written: Option<&Written>,
) -> Result<(), RecordError> {
    let of_column = record.column()?.verify();
    let verified = record.clone().verify();
    let is_intact = stated.is_body_intact;
    assert_eq!(
        (of_column.is_ok(), verified.is_ok()),
        (is_intact, is_intact)
    );
    let (of_column, verified) = (of_column?, verified?);
    assert_eq!(verified.header(), record.header());
    assert_eq!(verified.uncompressed_len(), stated.body.len());
    for column in [of_column, verified.column()] {
        let len = stated.fields.entries as usize;
        assert_eq!((column.len(), column.is_empty()), (len, len == 0));
        let entries = column.entries();
        let (least, most) = entries.size_hint();
        let entries: Vec<_> = entries.collect();
        assert!(least <= entries.len() && most.is_some_and(|most| most >= entries.len()));
        let entries: Result<Vec<_>, _> = entries.into_iter().collect();
        let at_once = column.decode(Ok::<_, RecordError>);
        assert_eq!(at_once, entries);

        let owned = |entry: Entry<'_>| plain(entry, stated).to_vec();
        let read = entries.and_then(|entries| {
            let entries: Vec<_> = entries.into_iter().map(|entry| entry.map(owned)).collect();
            Ok((entries, owned(column.course_wide()?)))
        });
        assert_eq!(read.as_ref().ok(), stated.whole().as_ref());
        let (entries, course_wide) = read?;
        if let Some(written) = written {
            assert_eq!(entries, written.entries);
            assert_eq!(course_wide, written.course_wide);
        }
    }
    Ok(())
}

/// The bytes of a value, which has the version of its record.
fn plain<'a>(entry: Entry<'a>, stated: &Stated<'_>) -> &'a [u8] {
    assert_eq!(entry.write_version().get(), stated.fields.write_version);
    entry.bytes()
}

/// All, or the first and the last ones.
fn positions(len: usize) -> impl Iterator<Item = usize> {
    let first = len.min(ENOUGH_READS);
    (0..first).chain(len.saturating_sub(ENTRIES_PER_CHUNK).max(first)..len)
}

/// Bytes that are no such value are refused, whatever lengths they claim.
fn decode_as_anything(entry: Entry<'_>) {
    let _ = entry.decode::<(String, u64)>();
    let _ = entry.decode::<(&str, Option<String>)>();
    let _ = entry.decode::<Vec<Box<str>>>();
    let _ = entry.decode::<(u8, Vec<u64>, char)>();
    let _ = entry.decode::<BTreeMap<String, Vec<i128>>>();
    let _ = entry.decode::<HashMap<u32, Option<PathBuf>>>();
    let _ = entry.decode::<Result<String, Vec<bool>>>();
    let _ = entry.decode::<Vec<Shape>>();
    if let Err(error) = entry.decode::<Shape>() {
        let error = Error::from(error);
        assert_eq!(error.kind(), ErrorKind::Transformer, "{error:?}");
    }
}

/// A value of every form that serde has for one.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "it is decoded, and that is all")]
enum Shape {
    Unit,
    Newtype(CString),
    Tuple(i8, f64),
    Struct {
        text: String,
        bytes: Option<CString>,
    },
    Numbers(u16, u128, i16, i32, i64, f32),
    Marks((), bool, Wrapped),
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "it is decoded, and that is all")]
struct Wrapped(char);
