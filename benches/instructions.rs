//! Instructions of the hot paths, counted by callgrind: the same in every run, whatever else the
//! machine does. A count above its limit fails the run, so that no change makes a read slower
//! unseen.
//!
//! `cargo install --locked gungraun-runner --version 0.20.0`, then
//! `cargo bench --features instructions --bench instructions`. Limits are a fifth above what was
//! counted with Rust 1.95 on x86-64, and twice that where sled takes part in little work: now and
//! then it tidies up during a get. A count that falls far below its limit is a reason to lower it.

#![expect(
    missing_docs,
    clippy::must_use_candidate,
    reason = "the macros make modules and public functions of their own"
)]

mod fleet;

use std::hint::black_box;

use courseblocks::record::{self, ColumnWriter, Generation, Header, Meta, Record};
use courseblocks::transformer::standard::{HiddenContent, StartDate, Visibility};
use courseblocks::{
    CourseKey, DEFAULT_STRUCTURE_CACHE_BYTES, Lookup, MinReader, ReadVersion, Transformer,
    UsageKey, UserContext, Versions, WriteVersion,
};
use fleet::Fleet;
use gungraun::prelude::*;
use gungraun::{Callgrind, EventKind, LibraryBenchmarkConfig};

const BLOCKS: usize = 5_000;
const KEY: &[u8] = b"course-v1:OpenedX+DemoX+DemoCourse\0start_date";

/// A hot course and one of its blocks.
struct Hot {
    fleet: Fleet,
    course: CourseKey,
    block: UsageKey,
    user: UserContext,
}

fn hot(structure_cache_bytes: u64) -> Hot {
    let fleet = Fleet::new(&[BLOCKS], structure_cache_bytes);
    let course = fleet.courses[0].clone();
    let user = UserContext::new("2026-03-01T12:00:00Z".parse().expect("a date"));
    let hot = Hot {
        block: fleet.open_unit(&course, &user),
        user,
        fleet,
        course,
    };
    // What is set up once is not counted.
    let _ = read_block(&hot);
    let _ = see(&hot, Some(&hot.block));
    hot
}

fn knowing() -> Hot {
    hot(DEFAULT_STRUCTURE_CACHE_BYTES)
}

fn forgetful() -> Hot {
    hot(0)
}

fn read_block(hot: &Hot) -> usize {
    let found = hot
        .fleet
        .manager
        .get_block(&hot.course, &StartDate, &hot.block);
    usize::from(found.expect("read").is_some())
}

fn see(hot: &Hot, start: Option<&UsageKey>) -> usize {
    let names = [Visibility.name(), StartDate.name()];
    let manager = &hot.fleet.manager;
    let seen = manager.get_transformed(&hot.course, &names, &hot.user, start);
    seen.expect("a structure").structure.len()
}

fn of_a_record() -> Vec<u8> {
    let mut column = ColumnWriter::new();
    for number in 0..5_000_u32 {
        column.push_value(&(number, "a title")).expect("short");
    }
    let meta = Meta {
        write_version: WriteVersion::FIRST,
        min_reader: MinReader::ANY,
        generation: Generation::new(7),
    };
    record::encode(KEY, meta, &column.finish(&[]).expect("short"))
}

fn limit(instructions: u64) -> LibraryBenchmarkConfig {
    let mut callgrind = Callgrind::default();
    callgrind.hard_limits([(EventKind::Ir, instructions)]);
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(callgrind);
    config
}

#[library_benchmark(config = limit(900))]
#[bench::of(of_a_record())]
fn header_check(record: Vec<u8>) -> Vec<u8> {
    let header = Header::read(KEY, black_box(&record)).expect("intact");
    let versions = Versions::new(ReadVersion::new(1), WriteVersion::FIRST);
    black_box(header.judge(&versions));
    record
}

#[library_benchmark(config = limit(2_050))]
#[bench::of(of_a_record())]
fn one_entry(record: Vec<u8>) -> Vec<u8> {
    let opened = Record::open(KEY, black_box(record.as_slice())).expect("intact");
    let column = opened.column().expect("not compressed");
    let entry = column.entry(2_500).expect("intact").expect("a value");
    black_box(entry.decode::<(u32, &str)>().expect("a pair"));
    record
}

#[library_benchmark(config = limit(1_500_000))]
#[bench::of(of_a_record())]
fn whole_column(record: Vec<u8>) -> Vec<u8> {
    let opened = Record::open(KEY, black_box(record.as_slice())).expect("intact");
    let column = opened
        .column()
        .expect("not compressed")
        .verify()
        .expect("intact");
    for entry in column.entries() {
        let entry = entry.expect("intact").expect("a value");
        black_box(entry.decode::<(u32, &str)>().expect("a pair"));
    }
    record
}

#[library_benchmark(config = limit(6_200))]
#[bench::of(knowing())]
fn refused(hot: Hot) -> Hot {
    let next = WriteVersion::new(HiddenContent.versions().write.get() + 1).expect("above 0");
    let raised = Versions::new(ReadVersion::new(next.get()), next);
    let store = hot.fleet.manager.store();
    let lookup = store.lookup(&hot.course, HiddenContent.name(), black_box(&raised));
    assert!(matches!(lookup, Ok(Lookup::Outdated { .. })));
    hot
}

#[library_benchmark(config = limit(12_000))]
#[bench::structure_known(knowing())]
fn block_of_a_known_course(hot: Hot) -> Hot {
    black_box(read_block(&hot));
    hot
}

#[library_benchmark(config = limit(33_000))]
#[bench::structure_not_kept(forgetful())]
fn block_of_a_course(hot: Hot) -> Hot {
    black_box(read_block(&hot));
    hot
}

#[library_benchmark(config = limit(5_300_000))]
#[bench::of(knowing())]
fn a_course_for_one_user(hot: Hot) -> Hot {
    assert!(black_box(see(&hot, None)) > BLOCKS / 2);
    hot
}

#[library_benchmark(config = limit(96_000))]
#[bench::of(knowing())]
fn a_unit_for_one_user(hot: Hot) -> Hot {
    assert!(black_box(see(&hot, Some(&hot.block))) > 1);
    hot
}

library_benchmark_group!(
    name = hot_paths,
    benchmarks = [
        header_check,
        one_entry,
        whole_column,
        refused,
        block_of_a_known_course,
        block_of_a_course,
        a_course_for_one_user,
        a_unit_for_one_user,
    ]
);

main!(library_benchmark_groups = hot_paths);
