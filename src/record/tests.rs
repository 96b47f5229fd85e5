//! The format as a whole: its bytes, and what happens to bytes that are not it.

use proptest::collection::vec;
use proptest::prelude::*;
use zerocopy::IntoBytes;

use super::body::ChunkRow;
use super::header::Unsealed;
use super::*;
use crate::version::{MinReader, ReadVersion, Verdict, Versions, WriteVersion};

const KEY: &[u8] = b"course\0t";

const META: Meta = Meta {
    write_version: WriteVersion::new(3).unwrap(),
    min_reader: MinReader::new(WriteVersion::new(2).unwrap()),
    generation: Generation::new(0x0102_0304_0506_0708),
};

/// The checksums were computed with another implementation of CRC-32.
#[rustfmt::skip]
const SPELLED: [u8; 64] = [
    b'C', b'B', b'L', b'K', // magic
    1, 1, 0, 0, // format version, codec, flags
    3, 0, 0, 0, 2, 0, 0, 0, // write version, min_reader
    8, 7, 6, 5, 4, 3, 2, 1, // generation
    24, 0, 0, 0, 3, 0, 0, 0, // body length, entries
    0xfc, 0x23, 0x36, 0xf9, // body checksum
    0x45, 0x04, 0x9e, 0xc0, // header checksum
    22, 0, 0, 0, 0x49, 0xd6, 0xe7, 0x3d, // chunk 0: end, checksum
    24, 0, 0, 0, 0x6f, 0x27, 0xbd, 0x45, // chunk 1: end, checksum
    4, 0, 1, b'a', b'b', b'c', // "abc", absent, ""
    b'x', b'y', // course-wide
];

/// Compressed by hand and by the format alone, not by the library.
#[rustfmt::skip]
const SPELLED_COMPRESSED: [u8; 79] = [
    b'C', b'B', b'L', b'K', // magic
    1, 1, 1, 0, // format version, codec, flags
    3, 0, 0, 0, 2, 0, 0, 0, // write version, min_reader
    8, 7, 6, 5, 4, 3, 2, 1, // generation
    39, 0, 0, 0, 3, 0, 0, 0, // body length as stored, entries
    0x77, 0x50, 0xe8, 0x4b, // body checksum
    0x3a, 0x93, 0x78, 0xcc, // header checksum
    102, 0, 0, 0, // uncompressed length
    0xff, 9, // 15 + 9 bytes as they are:
    22, 0, 0, 0, 0x88, 0x50, 0xa2, 0xed, // chunk 0: end, checksum
    102, 0, 0, 0, 0xe6, 0x48, 0x1d, 0xd9, // chunk 1: end, checksum
    4, 0, 1, b'a', b'b', b'c', // "abc", absent, ""
    b'x', b'y', // the course-wide value begins
    2, 0, 54, // then, from 2 bytes back, 4 + 15 + 54 of them
    0x50, b'y', b'x', b'y', b'x', b'y', // and 5 as they are
];

type Values = (Vec<Option<Vec<u8>>>, Vec<u8>);
type SingleRead = Result<Option<Vec<u8>>, RecordError>;

fn body_of((entries, course_wide): &Values) -> Body {
    let mut column = ColumnWriter::new();
    for entry in entries {
        let pushed = match entry {
            Some(bytes) => column.push(bytes),
            None => column.push_absent(),
        };
        pushed.unwrap();
    }
    column.finish(course_wide).unwrap()
}

fn read_whole(key: &[u8], record: &[u8]) -> Result<Values, RecordError> {
    let record = Record::open(key, record)?;
    let column = record.column()?.verify()?;
    let entries = column
        .entries()
        .map(|entry| Ok(entry?.map(|entry| entry.bytes().to_vec())));
    Ok((
        entries.collect::<Result<_, _>>()?,
        column.course_wide()?.bytes().to_vec(),
    ))
}

/// What single reads return: one result per entry, then the course-wide value.
fn read_singly(key: &[u8], record: &[u8]) -> Result<Vec<SingleRead>, RecordError> {
    let record = Record::open(key, record)?;
    let column = record.column()?;
    let bytes = |entry: Entry<'_>| entry.bytes().to_vec();
    let entries = (0..column.len()).map(|position| Ok(column.entry(position)?.map(bytes)));
    let course_wide = column.course_wide().map(bytes).map(Some);
    Ok(entries.chain([course_wide]).collect())
}

fn encoded(compression: Compression, values: &Values) -> Vec<u8> {
    encode(KEY, META, &body_of(values).compressed(compression))
}

/// 40 entries in three chunks, and a course-wide value, in a record that is compressed.
fn compressed_sample() -> (Values, Vec<u8>) {
    let entry = |number: u8| {
        let repeated = b"block ".repeat(usize::from(number % 7));
        (!number.is_multiple_of(5)).then(|| [&repeated[..], &[number]].concat())
    };
    let values = ((0..40).map(entry).collect(), b"the course".to_vec());
    let record = encoded(Compression::Lz4, &values);
    let header = *Record::open(KEY, &record).unwrap().header();
    assert_eq!(header.compression(), Compression::Lz4);
    (values, record)
}

/// 40 entries in three chunks, and a course-wide value.
fn sample() -> (Values, Vec<u8>) {
    let entry =
        |number: u8| (!number.is_multiple_of(5)).then(|| vec![number; usize::from(number % 7)]);
    let values = ((0..40).map(entry).collect(), b"the course".to_vec());
    let record = encode(KEY, META, &body_of(&values));
    (values, record)
}

#[test]
fn a_record_is_spelled_like_this() {
    let values = (
        vec![Some(b"abc".to_vec()), None, Some(Vec::new())],
        b"xy".to_vec(),
    );
    assert_eq!(encode(KEY, META, &body_of(&values)), SPELLED);
    assert_eq!(read_whole(KEY, &SPELLED), Ok(values));
}

#[test]
fn a_compressed_record_is_spelled_like_this() {
    let entries = vec![Some(b"abc".to_vec()), None, Some(Vec::new())];
    let values = (entries, b"xy".repeat(40));
    assert_eq!(read_whole(KEY, &SPELLED_COMPRESSED), Ok(values.clone()));
    // The library may find another block for the same body.
    let written = encoded(Compression::Lz4, &values);
    assert_eq!(written[..24], SPELLED_COMPRESSED[..24]);
    assert_eq!(written[40..44], SPELLED_COMPRESSED[40..44]);
    let header = Header::read(KEY, &SPELLED_COMPRESSED[..HEADER_LEN]).unwrap();
    assert_eq!(header.compression(), Compression::Lz4);
    assert_eq!((header.body_len(), header.entries()), (39, 3));
}

#[test]
fn decompressed_it_is_the_body_that_the_record_has_uncompressed() {
    let (values, record) = compressed_sample();
    let plain = encoded(Compression::None, &values);
    assert!(record.len() < plain.len(), "{} bytes", record.len());
    let stored = &record[HEADER_LEN..];
    let body = Compression::Lz4.decompress(stored, 0).unwrap();
    assert_eq!(body, plain[HEADER_LEN..]);
    let verified = Record::open(KEY, &record).unwrap().verify().unwrap();
    assert_eq!(verified.uncompressed_len(), body.len());
    let uncompressed = Record::open(KEY, &plain).unwrap().verify().unwrap();
    assert_eq!(uncompressed.uncompressed_len(), body.len());
    assert_eq!(read_singly(KEY, &record), read_singly(KEY, &plain));
    assert_eq!(read_whole(KEY, &record), Ok(values));
}

#[test]
fn a_compressed_record_is_decompressed_once_and_only_when_it_is_read() {
    let (_, mut record) = compressed_sample();
    let at = |record: &Record<_>| {
        let entry = record.column().unwrap().entry(1).unwrap().unwrap();
        entry.bytes().as_ptr()
    };
    let opened = Record::open(KEY, record.clone()).unwrap();
    assert_eq!(at(&opened), at(&opened));
    *record.last_mut().unwrap() ^= 1;
    let opened = Record::open(KEY, record).unwrap();
    assert_eq!(opened.column().unwrap_err(), RecordError::BodyChecksum);
}

#[test]
fn a_body_that_hardly_gets_smaller_is_stored_as_it_is() {
    // Bytes without a pattern, and a pattern.
    let (mut state, mut noise) = (7_u32, Vec::new());
    for _ in 0..8_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.push(state.to_le_bytes()[3]);
    }
    for (pattern, compression) in [
        (0, Compression::None),
        (1_000, Compression::None),
        (1_300, Compression::Lz4),
    ] {
        let values = (vec![Some(noise.clone())], vec![7; pattern]);
        let record = encoded(Compression::Lz4, &values);
        let header = Header::read(KEY, &record).unwrap();
        assert_eq!(header.compression(), compression, "{pattern}");
        let is_plain = record == encoded(Compression::None, &values);
        assert_eq!(is_plain, compression == Compression::None);
        assert_eq!(read_whole(KEY, &record), Ok(values));
    }
}

#[test]
fn the_header_is_read_from_its_bytes_alone_and_judged() {
    let header = Header::read(KEY, &SPELLED[..HEADER_LEN]).unwrap();
    assert_eq!(header.write_version(), META.write_version);
    assert_eq!(header.min_reader(), META.min_reader);
    assert_eq!(header.generation(), META.generation);
    assert_eq!((header.body_len(), header.entries()), (24, 3));
    assert_eq!(header.body_checksum(), 0xf936_23fc);
    assert_eq!(header.checksum(), 0xc09e_0445);
    let judged = |read, write| {
        let write = WriteVersion::new(write).unwrap();
        header.judge(&Versions::new(ReadVersion::new(read), write))
    };
    assert_eq!(judged(3, 3), Verdict::Current);
    assert_eq!(judged(4, 4), Verdict::Outdated);
    assert_eq!(judged(1, 1), Verdict::TooNew);
}

#[test]
fn an_entry_knows_its_version_and_decodes() {
    let mut column = ColumnWriter::new();
    column.push_value(&("title", Some(200_u8))).unwrap();
    let body = column.finish_value(&[258_u16, 7]).unwrap();
    let record = encode(KEY, META, &body);
    let record = Record::open(KEY, record).unwrap();
    let entry = record.column().unwrap().entry(0).unwrap().unwrap();
    assert_eq!(entry.write_version(), META.write_version);
    assert_eq!(entry.decode::<&str>().unwrap(), "title");
    entry.decode::<(String, String)>().unwrap_err();
    let course_wide = record.column().unwrap().course_wide().unwrap();
    assert_eq!(course_wide.decode::<[u16; 2]>().unwrap(), [258, 7]);
}

#[test]
fn a_course_without_blocks_has_a_record() {
    let record = encode(KEY, META, &ColumnWriter::new().finish(b"").unwrap());
    assert_eq!(read_whole(KEY, &record), Ok((vec![], vec![])));
    let record = Record::open(KEY, record).unwrap();
    assert!(record.column().unwrap().is_empty());
    let (position, entries) = (0, 0);
    let error = record.column().unwrap().entry(0).unwrap_err();
    assert_eq!(error, RecordError::NoSuchEntry { position, entries });
}

#[test]
fn a_position_that_the_course_does_not_have_is_an_error() {
    let (_, record) = sample();
    let record = Record::open(KEY, record).unwrap();
    for position in [40, 47, 48, 64, usize::MAX] {
        let entries = 40;
        let error = record.column().unwrap().entry(position).unwrap_err();
        assert_eq!(error, RecordError::NoSuchEntry { position, entries });
    }
}

#[test]
fn every_flipped_bit_is_refused_by_whole_reads_and_never_changes_a_single_one() {
    let (values, record) = sample();
    let (entries, course_wide) = &values;
    let right: Vec<_> = entries
        .iter()
        .cloned()
        .chain([Some(course_wide.clone())])
        .collect();
    for bit in 0..record.len() * 8 {
        let mut damaged = record.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let error = read_whole(KEY, &damaged).expect_err("a flipped bit");
        assert!(
            !matches!(error, RecordError::TooNew { .. }),
            "bit {bit}: {error}"
        );
        let Ok(singly) = read_singly(KEY, &damaged) else {
            assert!(bit / 8 < HEADER_LEN, "the header alone decides on opening");
            continue;
        };
        let refused = singly.iter().filter(|read| read.is_err()).count();
        assert!(
            refused <= 2 * ENTRIES_PER_CHUNK,
            "bit {bit}: {refused} refused"
        );
        let is_in_body_checksum = bit / 8 < HEADER_LEN;
        assert!(
            refused > 0 || is_in_body_checksum,
            "bit {bit} went unnoticed"
        );
        for (read, right) in singly.iter().zip(&right) {
            assert!(read.is_err() || read.as_ref() == Ok(right), "bit {bit}");
        }
    }
}

#[test]
fn every_flipped_bit_of_a_compressed_record_is_refused_by_every_read() {
    let (_, record) = compressed_sample();
    for bit in 0..record.len() * 8 {
        let mut damaged = record.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let expected = match bit / 8 {
            0..4 => RecordError::BadMagic,
            4..HEADER_LEN => RecordError::HeaderChecksum,
            _ => RecordError::BodyChecksum,
        };
        assert_eq!(read_whole(KEY, &damaged), Err(expected), "bit {bit}");
        assert_eq!(read_singly(KEY, &damaged), Err(expected), "bit {bit}");
    }
}

#[test]
fn every_other_length_is_refused() {
    for (_, record) in [sample(), compressed_sample()] {
        check_other_lengths(&record);
    }
}

#[track_caller]
fn check_other_lengths(record: &[u8]) {
    for len in 0..record.len() {
        let error = Record::open(KEY, &record[..len]).unwrap_err();
        assert!(matches!(error, RecordError::Length { found, .. } if found == len as u64));
    }
    for byte in 0..=u8::MAX {
        let longer = [record, &[byte]].concat();
        let error = Record::open(KEY, longer).unwrap_err();
        assert!(matches!(error, RecordError::Length { .. }));
    }
}

#[test]
fn a_record_is_refused_under_every_other_key() {
    let (_, record) = sample();
    for key in [
        &b""[..],
        b"course\0",
        b"course\0u",
        b"course\0tt",
        b"ourse\0t",
        b"course\0t\0",
    ] {
        let error = Record::open(key, &record).unwrap_err();
        assert_eq!(error, RecordError::HeaderChecksum, "{key:?}");
    }
    // The first bytes of the header cannot be passed for the end of the key.
    let longer_key = [KEY, &record[..1]].concat();
    Record::open(&longer_key, &record[1..]).unwrap_err();
}

#[test]
fn a_body_is_refused_under_another_header() {
    let (values, record) = sample();
    let other_meta = Meta {
        generation: Generation::new(9),
        ..META
    };
    let other = encode(KEY, other_meta, &body_of(&values));
    let mixed = [&other[..HEADER_LEN], &record[HEADER_LEN..]].concat();
    assert_eq!(read_whole(KEY, &mixed), Err(RecordError::BodyChecksum));
    for (chunk, read) in read_singly(KEY, &mixed).unwrap().iter().enumerate() {
        let chunk = chunk / ENTRIES_PER_CHUNK;
        let error = read.as_ref().unwrap_err();
        assert!(
            matches!(error, RecordError::ChunkChecksum { chunk: refused } if *refused >= chunk)
        );
    }
}

#[test]
fn chunks_cannot_change_places() {
    let values = (vec![Some(b"a".to_vec()); 2 * ENTRIES_PER_CHUNK], Vec::new());
    let mut record = encode(KEY, META, &body_of(&values));
    let row = size_of::<ChunkRow>();
    let checksum = |number: usize| HEADER_LEN + number * row + 4;
    assert_ne!(record[checksum(0)..][..4], record[checksum(1)..][..4]);
    for byte in 0..4 {
        record.swap(checksum(0) + byte, checksum(1) + byte);
    }
    for position in [0, ENTRIES_PER_CHUNK] {
        let opened = Record::open(KEY, &record).unwrap();
        let chunk = position / ENTRIES_PER_CHUNK;
        let error = opened.column().unwrap().entry(position).unwrap_err();
        assert_eq!(error, RecordError::ChunkChecksum { chunk });
    }
}

#[test]
fn a_sorted_value_is_found_at_its_position_and_no_other_is_found() {
    for count in [0_u16, 1, 2, 15, 16, 17, 31, 32, 33, 200] {
        let values = (0..count).map(|number| Some((2 * number + 1).to_be_bytes().to_vec()));
        let record = encode(KEY, META, &body_of(&(values.collect(), Vec::new())));
        let record = Record::open(KEY, record).unwrap();
        for wanted in 0..=2 * count + 2 {
            let expected = (wanted % 2 == 1 && wanted < 2 * count).then(|| usize::from(wanted / 2));
            let found = record
                .column()
                .unwrap()
                .search(&wanted.to_be_bytes())
                .unwrap();
            assert_eq!(found, expected, "{wanted} among {count}");
        }
        assert_eq!(record.column().unwrap().search(b"").unwrap(), None);
    }
}

#[test]
fn a_search_never_finds_what_damage_put_there() {
    let values = (0..40_u8).map(|number| Some(vec![b'a', number]));
    let record = encode(KEY, META, &body_of(&(values.collect(), Vec::new())));
    for byte in HEADER_LEN..record.len() {
        let mut damaged = record.clone();
        damaged[byte] ^= 1;
        let damaged = Record::open(KEY, damaged).unwrap();
        for number in 0..41 {
            let expected = (number < 40).then_some(usize::from(number));
            if let Ok(found) = damaged.column().unwrap().search(&[b'a', number]) {
                assert_eq!(found, expected, "byte {byte}");
            }
        }
    }
    let gaps = encode(
        KEY,
        META,
        &body_of(&(vec![None, Some(vec![1])], Vec::new())),
    );
    let error = Record::open(KEY, gaps)
        .unwrap()
        .column()
        .unwrap()
        .search(&[1])
        .unwrap_err();
    assert!(matches!(error, RecordError::Malformed(_)), "{error}");
}

#[track_caller]
fn check_changed_header(at: usize, byte: u8, expected: RecordError) {
    let mut record = SPELLED;
    record[at] = byte;
    assert_eq!(
        Record::open(KEY, record).unwrap_err(),
        match at {
            0..4 => RecordError::BadMagic,
            _ => RecordError::HeaderChecksum,
        }
    );
    let seed = RecordKey::from(KEY).seed().bound(&record[..32]);
    let body_checksum = u32::from_le_bytes(record[32..36].try_into().unwrap());
    record[36..40].copy_from_slice(&seed.header(body_checksum).to_le_bytes());
    assert_eq!(Record::open(KEY, record).unwrap_err(), expected);
}

#[test]
fn what_is_newer_is_too_new_only_if_its_header_is_intact() {
    let too_new = |what, found| RecordError::TooNew { what, found };
    check_changed_header(4, 2, too_new("format version", 2));
    check_changed_header(4, 255, too_new("format version", 255));
    check_changed_header(5, 2, too_new("codec", 2));
    check_changed_header(6, 2, too_new("compression", 2));
    check_changed_header(6, 15, too_new("compression", 15));
    check_changed_header(6, 16, too_new("flags", 16));
    check_changed_header(6, 17, too_new("flags", 17));
    check_changed_header(7, 0x80, too_new("flags", 0x8000));
}

#[test]
fn fields_that_were_never_written_are_malformed() {
    let malformed = RecordError::Malformed;
    check_changed_header(3, b'k', RecordError::BadMagic);
    check_changed_header(4, 0, malformed("format version or codec 0"));
    check_changed_header(5, 0, malformed("format version or codec 0"));
    check_changed_header(8, 0, malformed("write version 0"));
    check_changed_header(12, 0, malformed("min_reader 0"));
}

/// A record whose checksums are right and whose directory says what it likes.
fn hostile(entries: u32, ends: &[u32], chunks: &[u8]) -> Vec<u8> {
    let directory_len = size_of_val(ends) * 2;
    let body_len = u32::try_from(directory_len + chunks.len()).unwrap();
    let header = Unsealed::new(
        RecordKey::from(KEY).seed(),
        META,
        Compression::None,
        body_len,
        entries,
    );
    let mut start = directory_len;
    let mut body = Vec::new();
    for (number, &end) in (0..).zip(ends) {
        let bytes = (start.checked_sub(directory_len))
            .and_then(|start| chunks.get(start..(end as usize).checked_sub(directory_len)?));
        let checksum = header.seed.chunk(number, bytes.unwrap_or_default());
        let row = ChunkRow {
            end: end.into(),
            checksum: checksum.into(),
        };
        body.extend_from_slice(row.as_bytes());
        start = end as usize;
    }
    body.extend_from_slice(chunks);
    [&header.seal(&body)[..], &body].concat()
}

#[track_caller]
fn check_hostile(entries: u32, ends: &[u32], chunks: &[u8]) {
    let record = hostile(entries, ends, chunks);
    let error = read_whole(KEY, &record).unwrap_err();
    assert!(matches!(error, RecordError::Malformed(_)), "{error}");
    let refused =
        read_singly(KEY, &record).map_or(true, |singly| singly.iter().any(Result::is_err));
    assert!(refused, "single reads believe it");
}

#[test]
fn a_directory_or_lengths_that_lie_are_malformed() {
    // What an honest one looks like.
    read_whole(KEY, &hostile(2, &[20, 21], b"\x02\x02abz")).unwrap();
    // Chunks that end before they start, or outside, or in the directory.
    check_hostile(2, &[15, 21], b"\x02\x02abz");
    check_hostile(2, &[22, 21], b"\x02\x02abz");
    check_hostile(2, &[u32::MAX, 21], b"\x02\x02abz");
    check_hostile(2, &[0, 21], b"\x02\x02abz");
    // A last chunk that does not end with the body.
    check_hostile(2, &[20, 20], b"\x02\x02abz");
    check_hostile(2, &[20, 22], b"\x02\x02abz");
    // Lengths that do not add up to the chunk.
    check_hostile(2, &[20, 21], b"\x02\x03abz");
    check_hostile(2, &[20, 21], b"\x02\x01abz");
    check_hostile(2, &[20, 21], b"\x00\x00abz");
    check_hostile(1, &[20, 21], b"\x02\x02abz");
    check_hostile(3, &[20, 21], b"\x02\x02abz");
    check_hostile(2, &[16, 16], b"");
    // Lengths that overflow, and lengths that are no numbers.
    let largest = b"\xff\xff\xff\xff\x0f\xff\xff\xff\xff\x0f";
    check_hostile(2, &[26, 26], largest);
    check_hostile(2, &[21, 21], b"\xff\xff\xff\xff\xff");
    check_hostile(2, &[19, 19], b"\x80\x00\x01");
}

/// A record whose checksums are right and which has this instead of a compressed body.
fn hostile_compressed(entries: u32, stored: &[u8]) -> Vec<u8> {
    let len = u32::try_from(stored.len()).unwrap();
    let header = Unsealed::new(
        RecordKey::from(KEY).seed(),
        META,
        Compression::Lz4,
        len,
        entries,
    );
    [&header.seal(stored)[..], stored].concat()
}

#[track_caller]
fn check_hostile_compressed(entries: u32, len: usize, block: &[u8], expected: &'static str) {
    let len = u32::try_from(len).unwrap();
    let record = hostile_compressed(entries, &[&len.to_le_bytes(), block].concat());
    let expected = RecordError::Malformed(expected);
    assert_eq!(read_whole(KEY, &record), Err(expected));
    assert_eq!(read_singly(KEY, &record), Err(expected));
}

#[test]
fn an_uncompressed_length_that_lies_is_malformed() {
    const IMPOSSIBLE: &str = "a compressed body of a length that it cannot have";
    const WRONG: &str = "a compressed body that is not what its length says";

    let honest = &SPELLED_COMPRESSED[44..];
    for len in [0, 1, 18, 101, 103, 4_000] {
        let expected = if len < 19 { IMPOSSIBLE } else { WRONG };
        check_hostile_compressed(3, len, honest, expected);
    }
    // Nothing is reserved for what the block cannot stand for, nor for what is not written.
    check_hostile_compressed(3, 255 * honest.len(), honest, WRONG);
    check_hostile_compressed(3, 255 * honest.len() + 1, honest, IMPOSSIBLE);
    check_hostile_compressed(3, u32::MAX as usize, honest, IMPOSSIBLE);
    let long = vec![0xff; MAX_BODY_LEN / 255 + 2];
    check_hostile_compressed(3, MAX_BODY_LEN, &long, WRONG);
    check_hostile_compressed(3, MAX_BODY_LEN + 1, &long, IMPOSSIBLE);
    // More entries than the body can hold.
    check_hostile_compressed(1 << 20, 102, honest, IMPOSSIBLE);
    check_hostile_compressed(u32::MAX, 102, honest, IMPOSSIBLE);
    // Blocks that are none.
    check_hostile_compressed(3, 102, &honest[1..], WRONG);
    check_hostile_compressed(3, 102, &honest[..34], WRONG);
    check_hostile_compressed(3, 102, &[0xff; 35], WRONG);
    check_hostile_compressed(3, 102, b"", IMPOSSIBLE);
    for len in 0..4 {
        let record = hostile_compressed(3, &SPELLED_COMPRESSED[40..][..len]);
        let error = read_whole(KEY, &record).unwrap_err();
        assert_eq!(error, RecordError::Malformed(IMPOSSIBLE));
    }
}

#[test]
fn what_compresses_best_of_all_is_read() {
    let values = (Vec::new(), vec![7; 1 << 20]);
    let record = encoded(Compression::Lz4, &values);
    assert!(record.len() < (1 << 20) / 250, "{} bytes", record.len());
    assert_eq!(read_whole(KEY, &record), Ok(values));
}

#[test]
fn a_compressed_directory_that_lies_is_malformed() {
    for ends in [[15, 21], [22, 21], [0, 21], [20, 20], [20, 22]] {
        let plain = hostile(2, &ends, &[b"\x02\x02abz", &[7; 200][..]].concat());
        let stored = Compression::Lz4.compress(&plain[HEADER_LEN..]).unwrap();
        let record = hostile_compressed(2, &stored);
        let error = read_whole(KEY, &record).unwrap_err();
        assert!(matches!(error, RecordError::Malformed(_)), "{error}");
    }
}

#[test]
fn the_directory_is_no_part_of_a_value() {
    let record = Record::open(KEY, hostile(2, &[8, 21], b"\x02\x02abz")).unwrap();
    let column = record.column().unwrap().verify().unwrap();
    let error = column.course_wide().unwrap_err();
    assert!(matches!(error, RecordError::Malformed(_)), "{error}");
}

#[test]
fn more_entries_than_the_body_can_hold_are_malformed_at_once() {
    for entries in [17, 1 << 20, u32::MAX] {
        let record = hostile(entries, &[20, 21], b"\x02\x02abz");
        let error = Record::open(KEY, &record).unwrap_err();
        assert!(
            matches!(error, RecordError::Malformed(_)),
            "{entries}: {error}"
        );
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        key in vec(any::<u8>(), 0..40),
        entries in vec(proptest::option::of(vec(any::<u8>(), 0..200)), 0..70),
        course_wide in vec(any::<u8>(), 0..300),
        pattern in 0_usize..2_000,
    ) {
        let course_wide = [course_wide, vec![7; pattern]].concat();
        let values = (entries, course_wide);
        let body = body_of(&values);
        let record = encode(&key, META, &body);
        let compressed = encode(&key, META, &body.clone().compressed(Compression::Lz4));
        let len = body.len() as usize;
        prop_assert_eq!(record.len(), HEADER_LEN + len);
        let is_smaller = compressed.len() <= HEADER_LEN + len - len / 8;
        prop_assert!(is_smaller || compressed == record);
        let (entries, course_wide) = values.clone();
        let expected: Vec<_> = entries.into_iter().chain([Some(course_wide)]).map(Ok).collect();
        for record in [record, compressed] {
            prop_assert_eq!(read_whole(&key, &record), Ok(values.clone()));
            prop_assert_eq!(read_singly(&key, &record).unwrap(), expected.clone());
        }
    }

    #[test]
    fn no_bytes_make_reading_panic(
        entries in 0_u32..100,
        ends in vec(0_u32..100, 1..5),
        chunks in vec(any::<u8>(), 0..80),
    ) {
        let record = hostile(entries, &ends, &chunks);
        let _ = read_whole(KEY, &record);
        let _ = read_singly(KEY, &record);
        let pattern = [&record[HEADER_LEN..], &[7; 100]].concat();
        let stored = Compression::Lz4.compress(&pattern).unwrap_or_default();
        let record = hostile_compressed(entries, &stored);
        let _ = read_whole(KEY, &record);
        let _ = read_singly(KEY, &record);
    }

    #[test]
    fn no_compressed_bytes_make_reading_panic(
        entries in 0_u32..20,
        len in 0_u32..3_000,
        block in vec(any::<u8>(), 0..200),
    ) {
        let record = hostile_compressed(entries, &[&len.to_le_bytes(), &block[..]].concat());
        let _ = read_whole(KEY, &record);
        let _ = read_singly(KEY, &record);
    }
}
