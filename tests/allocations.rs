//! How often the hot paths allocate, counted.

#[path = "../benches/fleet/mod.rs"]
mod fleet;

use std::io;

use allocation_counter::measure;
use courseblocks::backup::{self, WhenDamaged};
use courseblocks::record::{self, ColumnWriter, Generation, Meta, Record};
use courseblocks::transformer::standard::{HiddenContent, StartDate, Visibility};
use courseblocks::{
    CourseKey, DEFAULT_STRUCTURE_CACHE_BYTES, Lookup, MinReader, ReadVersion, Transformer,
    UserContext, Versions, WriteVersion,
};
use fleet::Fleet;

const BLOCKS: usize = 5_000;

/// The engine's own get allocates as it likes: sled 0.34 a list of the pages that it read.
fn engine_get(fleet: &Fleet, course: &CourseKey, name: &str) -> u64 {
    use courseblocks::engine::{Key, Space};
    let engine = fleet.manager.store().engine();
    let key = Key::new(Space::Records, course.as_str().as_bytes(), name.as_bytes());
    least(|| assert!(engine.get(key).expect("a get").is_some()))
}

/// Allocations of one of several tries: now and then sled tidies up during a get.
fn least(mut act: impl FnMut()) -> u64 {
    let tries = (0..5).map(|_| measure(&mut act).count_total);
    tries.min().unwrap_or(u64::MAX)
}

#[test]
fn a_header_is_checked_without_an_allocation() {
    let fleet = Fleet::new(&[100], 0);
    let course = &fleet.courses[0];
    let name = HiddenContent.name();
    let of_engine = engine_get(&fleet, course, name);
    let current = HiddenContent.versions();
    let next = WriteVersion::new(current.write.get() + 1).expect("above 0");
    let raised = Versions::new(ReadVersion::new(next.get()), next);
    let store = fleet.manager.store();
    for versions in [current, raised] {
        let count = least(|| {
            let lookup = store.lookup(course, name, &versions).expect("a get");
            assert!(matches!(lookup, Lookup::Fresh(_) | Lookup::Outdated { .. }));
        });
        assert_eq!(count, of_engine);
    }
}

#[test]
fn one_block_of_a_known_course_is_read_without_an_allocation() {
    let fleet = Fleet::new(&[BLOCKS], DEFAULT_STRUCTURE_CACHE_BYTES);
    let course = &fleet.courses[0];
    let blocks = fleet.blocks(course);
    let of_engine = engine_get(&fleet, course, StartDate.name());
    for block in blocks.iter().step_by(97) {
        let count = least(|| {
            let found = fleet.manager.get_block(course, &StartDate, block);
            assert!(found.expect("read").is_some());
        });
        assert_eq!(count, of_engine, "{block}");
    }
}

#[test]
fn one_block_of_any_course_costs_as_many_allocations_as_of_a_small_one() {
    let mut counts = [100, BLOCKS].map(|blocks| {
        let fleet = Fleet::new(&[blocks], 0);
        let course = &fleet.courses[0];
        let blocks = fleet.blocks(course);
        let block = &blocks[blocks.len() / 2];
        least(|| {
            let found = fleet.manager.get_block(course, &StartDate, block);
            assert!(found.expect("read").is_some());
        })
    });
    counts.sort_unstable();
    assert!(counts[1] <= 16, "{counts:?}");
    // sled reads a page or two more.
    assert!(counts[1] - counts[0] <= 4, "{counts:?}");
}

#[test]
fn a_column_is_decoded_without_an_allocation_for_each_block() {
    let fleet = Fleet::new(&[BLOCKS], DEFAULT_STRUCTURE_CACHE_BYTES);
    let course = &fleet.courses[0];
    let user = UserContext::new("2026-03-01T12:00:00Z".parse().expect("a date"));
    let names = [Visibility.name(), StartDate.name()];
    let mut seen = None;
    let counted = measure(|| {
        seen = fleet
            .manager
            .get_transformed(course, &names, &user, None)
            .ok();
    });
    let seen = seen.expect("a structure").structure.len();
    assert!(seen > BLOCKS / 2, "{seen} blocks are seen");
    assert!(counted.count_total < 200, "{counted:?} for {BLOCKS} blocks");
}

/// The original has 8 KB of a block in memory after it has read a course (`benches/original`).
#[test]
fn a_course_takes_some_hundred_bytes_a_block_in_memory() {
    let fleet = Fleet::new(&[BLOCKS], DEFAULT_STRUCTURE_CACHE_BYTES);
    let course = &fleet.courses[0];
    let names = [Visibility.name(), StartDate.name()];
    let mut collected = None;
    let counted = measure(|| collected = fleet.manager.get_collected(course, &names).ok());
    let blocks = collected.expect("a course").structure().len() as u64;
    let kept = u64::try_from(counted.bytes_current).expect("kept") / blocks;
    println!("{kept} bytes a block are kept of a course of {blocks} blocks");
    assert!((50..160).contains(&kept), "{kept} bytes a block");

    let user = UserContext::new("2026-03-01T12:00:00Z".parse().expect("a date"));
    let mut seen = None;
    let counted = measure(|| {
        seen = fleet
            .manager
            .get_transformed(course, &names, &user, None)
            .ok();
    });
    assert!(seen.is_some());
    let most = counted.bytes_max / blocks;
    println!("{most} bytes a block are taken to see it");
    assert!(most < 400, "{most} bytes a block");
}

#[test]
fn what_a_type_borrows_is_decoded_without_an_allocation() {
    let mut column = ColumnWriter::new();
    for number in 0..1_000_u32 {
        let title = format!("a title of block {number}");
        column.push_value(&(number, title)).expect("short");
    }
    let meta = Meta {
        write_version: WriteVersion::FIRST,
        min_reader: MinReader::ANY,
        generation: Generation::new(1),
    };
    let record = record::encode(b"key", meta, &column.finish(&[]).expect("short"));
    let mut bytes = 0;
    let counted = measure(|| {
        let record = Record::open(b"key", record.as_slice()).expect("intact");
        let column = record.column().expect("not compressed");
        for entry in column.verify().expect("intact").entries() {
            let entry = entry.expect("intact").expect("a value");
            let (_, title) = entry.decode::<(u32, &str)>().expect("a pair");
            bytes += title.len();
        }
    });
    assert!(bytes > 10_000, "{bytes} bytes of titles");
    assert_eq!(counted.count_total, 0);
}

/// The most bytes that were in use at once.
fn most(act: impl FnMut()) -> u64 {
    let mut act = act;
    measure(&mut act).bytes_max
}

#[test]
fn a_backup_of_many_courses_takes_the_memory_of_one_and_of_their_keys() {
    let now = "2026-03-01T12:00:00Z".parse().expect("a time");
    let [few, many] = [3, 20].map(|courses| {
        let fleet = Fleet::new(&vec![300; courses], 0);
        let store = fleet.manager.store();
        let mut bytes = Vec::new();
        let take = |to: &mut dyn io::Write| {
            let taken = backup::take(store, to, now, WhenDamaged::Refuse, |_| ());
            taken.expect("a backup")
        };
        take(&mut bytes);
        assert!(bytes.len() > courses * 30_000, "{} bytes", bytes.len());
        let taken = most(|| {
            take(&mut io::sink());
        });
        let checked = most(|| {
            backup::check(&*bytes, |_| ()).expect("intact");
        });
        [taken, checked]
    });
    for (few, many) in few.iter().zip(many) {
        // The keys of 17 more courses; they have more than 500 KB of records.
        assert!(many < few + 17 * 1024, "{few} and {many} bytes");
    }
}

/// A frame that says that 128 MiB follow, with checksums that fit.
#[test]
fn a_length_that_lies_takes_no_memory() {
    let mut bytes = b"CBBACKUP\x01\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    let mut head = vec![3, 1, 0, 1, 0];
    head.extend(backup::MAX_VALUE_BYTES.to_le_bytes());
    head.extend(crc32fast::hash(&[&[0; 8], &head[..]].concat()).to_le_bytes());
    let bytes = [&bytes[..], &head, b"pn and a little of it"].concat();
    let read = most(|| {
        let error = backup::check(&*bytes, |_| ()).expect_err("no backup");
        assert!(error.to_string().contains("it ends there"), "{error}");
    });
    assert!(read < 2 << 20, "{read} bytes");
}
