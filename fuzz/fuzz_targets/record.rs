//! Records that were written, compressed or not, and then damaged: a read gives the right value or
//! refuses, whole or block by block. And bytes that nobody wrote never panic, not even under
//! checksums that fit.
#![no_main]

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use arbitrary::Arbitrary;
use courseblocks::MinReader;
use courseblocks::WriteVersion;
use courseblocks::record::{
    self, ColumnWriter, Compression, Entry, Generation, HEADER_LEN, Meta, Record, RecordError,
};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    key: Vec<u8>,
    entries: Vec<Option<Vec<u8>>>,
    course_wide: Vec<u8>,
    repeat: u8,
    is_compressed: bool,
    damage: Vec<Damage>,
    junk: Vec<u8>,
}

#[derive(Arbitrary, Debug)]
enum Damage {
    Set { at: u16, to: u8 },
    Cut { to: u16 },
    Append(u8),
    Swap { a: u16, b: u16 },
}

fuzz_target!(|input: Input| {
    if let Ok(record) = Record::open(&input.key, &input.junk) {
        read_all(&record, None, &[]);
    }
    let mut column = ColumnWriter::new();
    for entry in &input.entries {
        match entry {
            Some(entry) => column.push(entry).expect("small"),
            None => column.push_absent().expect("small"),
        }
    }
    let course_wide = input.course_wide.repeat(input.repeat.into());
    let mut body = column.finish(&course_wide).expect("small");
    if input.is_compressed {
        body = body.compressed(Compression::Lz4);
    }
    let meta = Meta {
        write_version: WriteVersion::FIRST,
        min_reader: MinReader::ANY,
        generation: Generation::new(1),
    };
    let written = record::encode(&input.key, meta, &body);
    let mut bytes = written.clone();
    for damage in &input.damage {
        damage.apply(&mut bytes);
    }
    let resealed = resealed(&input.key, bytes.clone());
    if let Ok(record) = Record::open(&input.key, &resealed) {
        read_all(&record, None, &[]);
    }
    let Ok(record) = Record::open(&input.key, &bytes) else {
        assert_ne!(bytes, written, "an intact record was refused");
        return;
    };
    assert!(read_all(&record, Some(&input), &course_wide) || bytes != written);
});

/// The same bytes as a record whose length and checksums fit.
fn resealed(key: &[u8], mut bytes: Vec<u8>) -> Vec<u8> {
    let Some((header, body)) = bytes.split_first_chunk_mut::<HEADER_LEN>() else {
        return bytes;
    };
    let len = u32::try_from(body.len()).expect("small");
    header[24..28].copy_from_slice(&len.to_le_bytes());
    let mut seed = crc32fast::Hasher::new();
    seed.update(&(key.len() as u64).to_le_bytes());
    seed.update(key);
    seed.update(&header[..32]);
    let checksum = |bytes: &[u8]| {
        let mut hasher = seed.clone();
        hasher.update(bytes);
        hasher.finalize().to_le_bytes()
    };
    let body_checksum = checksum(body);
    header[32..36].copy_from_slice(&body_checksum);
    header[36..].copy_from_slice(&checksum(&body_checksum));
    bytes
}

/// Every value that is given out is the one that was written. True if all were given out.
fn read_all(record: &Record<&Vec<u8>>, written: Option<&Input>, course_wide: &[u8]) -> bool {
    let Ok(column) = record.column() else {
        return false;
    };
    let mut complete = true;
    for position in 0..column.len().min(1 << 12) {
        match (column.entry(position), written) {
            (Ok(entry), Some(written)) => {
                assert_eq!(
                    entry.map(|entry| entry.bytes()),
                    written.entries[position].as_deref()
                );
            }
            (Ok(_), None) => {}
            (Err(_), _) => complete = false,
        }
    }
    // Values that are not sorted may be missed, but what is found is there.
    if let Ok(Some(position)) = column.search(course_wide) {
        let found = column
            .entry(position)
            .map(|entry| entry.map(|entry| entry.bytes()));
        assert_eq!(found, Ok(Some(course_wide)));
    }
    match column.verify() {
        Ok(verified) => {
            for (position, entry) in verified.entries().enumerate() {
                match (entry, written) {
                    (Ok(entry), Some(written)) => {
                        let wanted = written.entries[position].as_deref();
                        assert_eq!(entry.map(|entry| entry.bytes()), wanted);
                    }
                    (Ok(_), None) => {}
                    (Err(_), _) => complete = false,
                }
            }
            let at_once = verified.decode(|entry| Ok::<_, RecordError>(entry.bytes()));
            let singly = verified
                .entries()
                .map(|entry| Ok(entry?.map(|entry| entry.bytes())));
            assert_eq!(at_once, singly.collect());
            if let (Ok(entry), Some(_)) = (verified.course_wide(), written) {
                assert_eq!(entry.bytes(), course_wide);
                decode_as_anything(entry);
            }
        }
        Err(_) => complete = false,
    }
    complete
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
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let len = bytes.len();
        match *self {
            Self::Set { at, to } if len > 0 => bytes[usize::from(at) % len] = to,
            Self::Cut { to } => bytes.truncate(usize::from(to)),
            Self::Append(byte) => bytes.push(byte),
            Self::Swap { a, b } if len > 0 => {
                bytes.swap(usize::from(a) % len, usize::from(b) % len)
            }
            Self::Set { .. } | Self::Swap { .. } => {}
        }
    }
}
