//! The bytes of a backup, and backups that nobody would write: whole in their bytes, wrong in what
//! they hold.

use std::io::{self, Read};
use std::sync::Arc;

use super::format::{DIGEST_LEN, HEAD_LEN, Head, Kind, START_LEN, Start, Started, TOTALS_LEN};
use super::reader::{Frame, Next, Reader};
use super::writer::Writer;
use super::{FORMAT_VERSION, MAX_VALUE_BYTES, Summary, check, restore};
use crate::engine::{Engine, MemoryEngine, Space};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{ColumnWriter, Generation, Meta, encode};
use crate::store::Store;
use crate::timestamp::Timestamp;
use crate::version::{MinReader, WriteVersion};

const MADE_AT: Timestamp = match Timestamp::from_micros(0x0102_0304_0506) {
    Some(made_at) => made_at,
    None => Timestamp::MIN,
};

/// A row of control data as the store writes it.
fn control_value(partition: &str, name: &str) -> Vec<u8> {
    let meta = Meta {
        write_version: WriteVersion::FIRST,
        min_reader: MinReader::ANY,
        generation: Generation::new(0),
    };
    let key = [b"S", partition.as_bytes(), &[0], name.as_bytes()].concat();
    encode(
        &key,
        meta,
        &ColumnWriter::new().finish_value(&7_u8).unwrap(),
    )
}

/// A backup of these values, whatever they are.
fn backup_of(values: &[(Space, &str, &str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::begin(&mut bytes, MADE_AT).unwrap();
    for (space, partition, name, value) in values {
        let (partition, name) = (partition.as_bytes(), name.as_bytes());
        writer.value(*space, partition, name, value).unwrap();
    }
    writer.end().unwrap();
    bytes
}

/// Checks it, and restores it: both say the same.
fn read(bytes: &[u8]) -> Result<Summary> {
    let checked = check(bytes, |_| ());
    let store = Store::with_engine(Arc::new(MemoryEngine::new()));
    let restored = restore(bytes, &store, "me", MADE_AT, |_| ());
    match (&checked, &restored) {
        (Ok(checked), Ok(restored)) => assert_eq!(checked, restored),
        (Err(checked), Err(restored)) => assert_eq!(checked.to_string(), restored.to_string()),
        _ => panic!("{checked:?} and {restored:?}"),
    }
    checked
}

#[track_caller]
fn check_refused(bytes: &[u8], kind: ErrorKind, said: &str) {
    let error: Error = read(bytes).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(said), "{error}");
}

#[track_caller]
fn check_values_refused(values: &[(Space, &str, &str, Vec<u8>)], said: &str) {
    check_refused(&backup_of(values), ErrorKind::Damaged, said);
}

/// As the table in the module's documentation says.
#[test]
fn a_backup_is_spelled_as_it_is_written_down() {
    let value = control_value("p", "name");
    let mut expected = Vec::new();
    expected.extend(b"CBBACKUP");
    expected.extend([1, 0, 0, 0]);
    expected.extend([6, 5, 4, 3, 2, 1, 0, 0]);
    expected.extend(crc32fast::hash(&expected).to_le_bytes());
    // The first frame.
    let mut frame = vec![3, 1, 0, 4, 0];
    frame.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
    frame.extend(crc32fast::hash(&[&[0; 8], &frame[..]].concat()).to_le_bytes());
    frame.extend(b"pname");
    frame.extend(&value);
    frame.extend(crc32fast::hash(&[&[0; 8], &frame[..]].concat()).to_le_bytes());
    expected.extend(frame);
    // The end is the second one.
    let number = [1, 0, 0, 0, 0, 0, 0, 0];
    let mut end = vec![0, 0, 0, 0, 0, 64, 0, 0, 0];
    end.extend(crc32fast::hash(&[&number, &end[..]].concat()).to_le_bytes());
    for total in [0, 0, 1, 0_u64] {
        end.extend(total.to_le_bytes());
    }
    let digest = <sha2::Sha256 as sha2::Digest>::digest([&expected[..], &end].concat());
    end.extend(digest);
    end.extend(crc32fast::hash(&[&number, &end[..]].concat()).to_le_bytes());
    expected.extend(end);
    let written = backup_of(&[(Space::Control, "p", "name", value)]);
    assert_eq!(written, expected);
    let summary = Summary {
        made_at: MADE_AT,
        courses: 0,
        records: 0,
        control_rows: 1,
        left_out: 0,
        bytes: expected.len() as u64,
    };
    assert_eq!(read(&written).unwrap(), summary);
}

#[test]
fn an_empty_backup_is_one() {
    let bytes = backup_of(&[]);
    assert_eq!(
        bytes.len(),
        START_LEN + HEAD_LEN + TOTALS_LEN + DIGEST_LEN + 4
    );
    assert_eq!(read(&bytes).unwrap().control_rows, 0);
    check_refused(&[], ErrorKind::Damaged, "it ends there");
}

/// A start as a release of this format would write it.
fn start(version: u32) -> Vec<u8> {
    let mut start = Start::spelled(MADE_AT)[..20].to_vec();
    start[8..12].copy_from_slice(&version.to_le_bytes());
    let checksum = crc32fast::hash(&start);
    start.extend(checksum.to_le_bytes());
    start
}

#[test]
fn what_a_newer_release_wrote_is_told_from_damage() {
    assert_eq!(
        Start::read(start(FORMAT_VERSION).try_into().unwrap()),
        Started::At(MADE_AT)
    );
    let newer = [start(FORMAT_VERSION + 1), b"whatever it is".to_vec()].concat();
    check_refused(
        &newer,
        ErrorKind::TooNew,
        "in format 2; this release knows formats up to 1",
    );
    check_refused(&start(0), ErrorKind::Damaged, "its first bytes");
    let mut damaged = start(FORMAT_VERSION + 1);
    damaged[8] ^= 4;
    check_refused(&damaged, ErrorKind::Damaged, "its first bytes");
    check_refused(&[7; 100], ErrorKind::Damaged, "decompress");
}

#[test]
fn a_time_that_no_calendar_has_is_damage() {
    let mut start = Start::spelled(MADE_AT)[..20].to_vec();
    start[12..20].copy_from_slice(&i64::MAX.to_le_bytes());
    start.extend(crc32fast::hash(&start).to_le_bytes());
    check_refused(&start, ErrorKind::Damaged, "its first bytes");
}

#[test]
fn values_out_of_place_are_refused() {
    let control = |name| (Space::Control, "p", name, control_value("p", name));
    assert!(read(&backup_of(&[control("a"), control("b")])).is_ok());
    check_values_refused(&[control("b"), control("a")], "control data out of order");
    check_values_refused(&[control("a"), control("a")], "control data out of order");
    let stray = (Space::Records, "course-v1:O+C+R", "t", Vec::new());
    check_values_refused(std::slice::from_ref(&stray), "a record without its course");
    check_values_refused(&[control("a"), stray], "a record without its course");
    let course = (Space::Courses, "course-v1:O+C+R", "", Vec::new());
    check_values_refused(&[control("a"), course.clone()], "a course out of order");
    check_values_refused(&[course], "the row of course-v1:O+C+R");
    let no_course = (Space::Courses, "no course", "", Vec::new());
    check_values_refused(&[no_course], "names no course");
    let named = (Space::Courses, "course-v1:O+C+R", "name", Vec::new());
    check_values_refused(&[named], "a course out of order");
}

#[test]
fn control_data_under_another_key_is_refused() {
    let value = control_value("p", "a");
    for (partition, name) in [("p", "b"), ("q", "a"), ("", "a"), ("pa", "")] {
        let moved = (Space::Control, partition, name, value.clone());
        check_values_refused(&[moved], "is damaged");
    }
}

#[test]
fn frames_that_change_places_or_come_twice_are_noticed_where_they_are() {
    let control = |name| (Space::Control, "p", name, control_value("p", name));
    let bytes = backup_of(&["a", "b", "c"].map(control));
    let len = HEAD_LEN + 2 + control_value("p", "a").len() + 4;
    let frame = |number: usize| &bytes[START_LEN + number * len..][..len];
    let start = &bytes[..START_LEN];
    let end = &bytes[START_LEN + 3 * len..];
    assert!(read(&[start, frame(0), frame(1), frame(2), end].concat()).is_ok());
    for (frames, good) in [
        (vec![1, 0, 2], 0),
        (vec![0, 2, 1], 1),
        (vec![0, 0, 1, 2], 1),
        (vec![0, 1, 2, 2], 3),
        (vec![0, 1], 2),
        (vec![1, 2], 0),
        (vec![0, 2], 1),
    ] {
        let parts = frames.iter().flat_map(|number| frame(*number)).copied();
        let wrong = [start, &parts.collect::<Vec<_>>(), end].concat();
        let read_by_then = START_LEN + good * len + HEAD_LEN;
        check_refused(
            &wrong,
            ErrorKind::Damaged,
            &format!("after {read_by_then} bytes"),
        );
    }
    // Only the digest tells that a whole frame is another one of the same number and length.
    let other = backup_of(&["a", "b", "d"].map(control));
    let mixed = [&other[..START_LEN + 3 * len], end].concat();
    check_refused(&mixed, ErrorKind::Damaged, "it is not what was written");
}

#[test]
fn totals_that_do_not_fit_are_refused() {
    let mut bytes = Vec::new();
    let mut writer = Writer::begin(&mut bytes, MADE_AT).unwrap();
    writer.leave_out();
    writer.end().unwrap();
    assert_eq!(read(&bytes).unwrap().left_out, 1);
    // With checksum and digest made anew: nothing was left out, and a course more is said to be there.
    let totals = START_LEN + HEAD_LEN;
    bytes[totals] += 1;
    let digest = <sha2::Sha256 as sha2::Digest>::digest(&bytes[..totals + TOTALS_LEN]);
    bytes[totals + TOTALS_LEN..][..DIGEST_LEN].copy_from_slice(&digest);
    let end = bytes.len() - 4;
    let checksum = crc32fast::hash(&[&[0; 8], &bytes[START_LEN..end]].concat());
    bytes[end..].copy_from_slice(&checksum.to_le_bytes());
    check_refused(&bytes, ErrorKind::Damaged, "it is not what was written");
}

#[test]
fn a_kind_or_a_length_that_there_is_not_is_refused() {
    let frame = |bound: [u8; 9]| {
        let checksum = crc32fast::hash(&[&[0; 8], &bound[..]].concat());
        [
            &Start::spelled(MADE_AT)[..],
            &bound,
            &checksum.to_le_bytes(),
            &[0; 99],
        ]
        .concat()
    };
    let of_kind = |kind| frame([kind, 0, 0, 0, 0, 0, 0, 0, 0]);
    check_refused(
        &of_kind(4),
        ErrorKind::Damaged,
        "of a kind that there is not",
    );
    check_refused(&of_kind(0), ErrorKind::Damaged, "an end of another length");
    let [a, b, c, d] = (MAX_VALUE_BYTES + 1).to_le_bytes();
    let long = frame([3, 0, 0, 0, 0, a, b, c, d]);
    check_refused(&long, ErrorKind::Damaged, "a value that is too long");
    assert!(Head::new(0, Kind::End, &vec![0; 65_536], b"", 0).is_none());
    assert!(Head::new(0, Kind::End, b"", b"", MAX_VALUE_BYTES as usize + 1).is_none());
}

/// A source that fails, or is asked again.
struct Failing<'a> {
    bytes: &'a [u8],
    with: io::ErrorKind,
    is_next: bool,
}

impl Read for Failing<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.is_next = !self.is_next;
        if self.is_next {
            return Err(self.with.into());
        }
        let len = room.len().min(3);
        self.bytes.read(&mut room[..len])
    }
}

#[test]
fn a_source_that_fails_is_no_damage_and_one_that_was_interrupted_goes_on() {
    let bytes = backup_of(&[(Space::Control, "p", "a", control_value("p", "a"))]);
    let failing = |with| Failing {
        bytes: &bytes,
        with,
        is_next: false,
    };
    assert!(check(failing(io::ErrorKind::Interrupted), |_| ()).is_ok());
    let error = check(failing(io::ErrorKind::ConnectionReset), |_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
}

#[test]
fn what_does_not_live_in_another_store_is_not_restored() {
    let dropped = [("rollout", "fleet"), ("rollout", "gates"), ("queue", "4")];
    let mut values: Vec<_> = dropped
        .map(|(partition, name)| {
            let value = control_value(partition, name);
            (Space::Control, partition, name, value)
        })
        .into();
    values.push((
        Space::Control,
        "rollout",
        "later",
        control_value("rollout", "later"),
    ));
    values.sort_by_key(|(_, partition, name, _)| (*partition, *name));
    let engine = Arc::new(MemoryEngine::new());
    let store = Store::with_engine(engine.clone());
    restore(&*backup_of(&values), &store, "me", MADE_AT, |_| ()).unwrap();
    let names = engine.scan(Space::Control, Some(b"rollout"));
    let mut names = names.map(|item| item.unwrap().name().to_vec());
    assert!(names.next().unwrap().starts_with(b"history/"));
    assert_eq!(names.next().as_deref(), Some(&b"later"[..]));
    assert_eq!(names.next(), None);
    assert_eq!(engine.scan(Space::Control, Some(b"queue")).count(), 0);
}

/// Two courses with three records each, from a real backup.
fn courses() -> Vec<(Space, String, String, Vec<u8>)> {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/backup/1.backup");
    let golden = std::fs::read(golden).unwrap();
    let mut reader = Reader::begin(golden.as_slice()).unwrap();
    let mut found = Vec::new();
    while let Next::Frame(frame) = reader.next().unwrap() {
        let Frame {
            space,
            partition,
            name,
            value,
        } = frame;
        if space != Space::Control && found.len() < 8 {
            let [partition, name] = [partition, name].map(|part| String::from_utf8(part).unwrap());
            found.push((space, partition, name, value));
        }
    }
    found
}

#[track_caller]
fn check_courses_refused(values: &[(Space, String, String, Vec<u8>)], said: &str) {
    let values: Vec<_> = values
        .iter()
        .map(|(space, partition, name, value)| (*space, &**partition, &**name, value.clone()))
        .collect();
    check_values_refused(&values, said);
}

#[test]
fn a_course_without_one_of_its_records_or_with_another_one_is_refused() {
    let courses = courses();
    assert_eq!(courses.len(), 8);
    for (place, (space, _, name, value)) in courses.iter().enumerate() {
        let mut missing = courses.clone();
        missing.remove(place);
        match space {
            Space::Courses => check_courses_refused(&missing, "a record without its course"),
            _ => check_courses_refused(&missing, "it is gone"),
        }
        if *space == Space::Courses {
            continue;
        }
        let mut another = courses.clone();
        let mut stray = courses[place].clone();
        stray.2 = format!("{name}x");
        another.insert(place + 1, stray);
        check_courses_refused(&another, "");
        // Under the name of the same record of the other course.
        let mut mixed = courses.clone();
        mixed[(place + 4) % 8].3.clone_from(value);
        check_courses_refused(&mixed, "not the record that the header index names");
        // Whole by its header alone.
        let mut damaged = courses.clone();
        *damaged[place].3.last_mut().unwrap() ^= 1;
        check_courses_refused(&damaged, "fails its checksum");
    }
    let mut twice = courses.clone();
    twice.extend_from_slice(&courses[..4]);
    check_courses_refused(&twice, "a course out of order");
    let mut exchanged = courses;
    exchanged.swap(1, 2);
    check_courses_refused(&exchanged, "");
}
