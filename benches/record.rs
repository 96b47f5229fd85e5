//! What a record costs: its header, one entry, all of it, and writing it.
//!
//! Prints the sizes first. `ENTRIES_PER_CHUNK` is chosen by these figures.

use std::collections::BTreeMap;
use std::hint::black_box;

use courseblocks::record::{
    self, Body, ColumnWriter, Generation, HEADER_LEN, Header, Meta, Record,
};
use courseblocks::{MinReader, ReadVersion, Versions, WriteVersion};
use criterion::{Criterion, criterion_group, criterion_main};
use serde::{Deserialize, Serialize};

const KEY: &[u8] = b"course-v1:OpenedX+DemoX+DemoCourse\0start_date";
const BLOCKS: usize = 5_000;

/// What a stock transformer might keep of a block: 4 to 45 bytes.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    start: Option<i64>,
    due: Option<i64>,
    staff_only: bool,
    groups: BTreeMap<u32, Vec<u32>>,
    title: &'a str,
}

fn records(c: &mut Criterion) {
    let body = body();
    let record = record::encode(KEY, meta(), &body);
    report_sizes(&record);
    let versions = Versions::new(ReadVersion::new(1), WriteVersion::FIRST);
    let column_of = |record: &Vec<u8>| Record::open(KEY, record.clone()).expect("intact");

    c.bench_function("header: check and judge", |b| {
        b.iter(|| {
            let header = Header::read(KEY, black_box(&record[..])).expect("intact");
            black_box(header.judge(&versions))
        });
    });

    let opened = column_of(&record);
    let mut position = 0;
    c.bench_function("one entry: verify its chunk", |b| {
        b.iter(|| {
            position = (position + 1_237) % BLOCKS;
            black_box(
                opened
                    .column()
                    .expect("intact")
                    .entry(position)
                    .expect("intact"),
            )
        });
    });
    c.bench_function("one entry: verify its chunk, decode", |b| {
        b.iter(|| {
            position = (position + 1_237) % BLOCKS;
            let entry = opened
                .column()
                .expect("intact")
                .entry(position)
                .expect("intact");
            black_box(entry.map(|entry| entry.decode::<Stored<'_>>().expect("valid")));
        });
    });
    c.bench_function("one entry: open the record, verify, decode", |b| {
        b.iter(|| {
            position = (position + 1_237) % BLOCKS;
            let record = Record::open(KEY, black_box(&record[..])).expect("intact");
            let entry = record
                .column()
                .expect("intact")
                .entry(position)
                .expect("intact");
            black_box(entry.map(|entry| entry.decode::<Stored<'_>>().expect("valid").due));
        });
    });
    c.bench_function("all of 5,000 entries: verify", |b| {
        b.iter(|| black_box(opened.column().expect("intact").verify().expect("intact")));
    });
    c.bench_function("all of 5,000 entries: verify, walk", |b| {
        b.iter(|| {
            let column = opened.column().expect("intact").verify().expect("intact");
            column.entries().fold(0, |bytes, entry| {
                bytes
                    + entry
                        .expect("intact")
                        .map_or(0, |entry| entry.bytes().len())
            })
        });
    });
    c.bench_function("all of 5,000 entries: verify, decode", |b| {
        b.iter(|| {
            let column = opened.column().expect("intact").verify().expect("intact");
            let decoded = column.entries().map(|entry| {
                let entry = entry.expect("intact");
                entry.map(|entry| entry.decode::<Stored<'_>>().expect("valid"))
            });
            decoded.collect::<Vec<_>>()
        });
    });
    c.bench_function("write 5,000 entries: body", |b| b.iter(self::body));
    c.bench_function("write 5,000 entries: record of a body", |b| {
        b.iter(|| record::encode(KEY, meta(), &body));
    });
}

fn body() -> Body {
    let titles = [
        "Quiz",
        "Introduction",
        "Module 2: Crafting Content",
        "",
        "Video",
    ];
    let mut column = ColumnWriter::new();
    for (number, title) in (0_i64..).zip(titles.iter().cycle().take(BLOCKS)) {
        let stored = Stored {
            start: (number % 3 == 0).then_some(1_577_836_800_000_000 + number),
            due: (number % 7 == 0).then_some(1_893_456_000_000_000 + number),
            staff_only: number % 11 == 0,
            groups: match number % 13 {
                0 => BTreeMap::from([(50, vec![1, 2])]),
                _ => BTreeMap::new(),
            },
            title,
        };
        let pushed = if number % 17 == 0 {
            column.push_absent()
        } else {
            column.push_value(&stored)
        };
        pushed.expect("within the limits");
    }
    column
        .finish_value(&"the course")
        .expect("within the limits")
}

fn meta() -> Meta {
    Meta {
        write_version: WriteVersion::FIRST,
        min_reader: MinReader::ANY,
        generation: Generation::new(7),
    }
}

fn report_sizes(record: &[u8]) {
    let opened = Record::open(KEY, record).expect("intact");
    let lengths = opened
        .column()
        .expect("intact")
        .verify()
        .expect("intact")
        .entries();
    let lengths = lengths.map(|entry| {
        entry
            .expect("intact")
            .map_or(0, |entry| entry.bytes().len())
    });
    let lengths: Vec<usize> = lengths.collect();
    let entries: usize = lengths.iter().sum();
    let added = record.len()
        - HEADER_LEN
        - entries
        - opened
            .column()
            .expect("intact")
            .course_wide()
            .expect("intact")
            .bytes()
            .len();
    println!(
        "{} entries of {:?} to {:?} bytes: {entries} bytes, {added} added ({} per mille)",
        lengths.len(),
        lengths.iter().filter(|len| **len > 0).min(),
        lengths.iter().max(),
        1000 * added / entries,
    );
}

criterion_group!(benches, records);
criterion_main!(benches);
