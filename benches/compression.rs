//! Whether compressing pays, for every class of record: the bytes that a block takes, raw and
//! compressed, and what reading then costs.
//!
//! `cargo bench --bench compression`, over real courses (in `COURSEBLOCKS_COURSES` or
//! `../shared/courses`, else those of the project) and generated ones. All ways are timed in turns
//! and given as ratios: compare figures of one run only. `Compression` and who asks for it are
//! chosen by them.

mod fleet;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use courseblocks::engine::MemoryEngine;
use courseblocks::modulestore::Course;
use courseblocks::modulestore::olx::{self, Limits};
use courseblocks::record::{
    self, Body, ColumnWriter, ENTRIES_PER_CHUNK, Generation, HEADER_LEN, Meta, Record,
    VerifiedColumn,
};
use courseblocks::transformer::standard::{BlockCounts, HiddenContent, StartDate, Visibility};
use courseblocks::{
    BLOCKS, CourseKey, FieldMap, Manager, MinReader, ReadVersion, Registry, STRUCTURE, Store,
    Transformer, UpdateOptions, Versions, WriteVersion,
};
use serde::Deserialize;
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

const KEY: &[u8] = b"course-v1:OpenedX+DemoX+DemoCourse\0start_date";
const GENERATED: [usize; 3] = [100, 1_000, 5_000];
const FRAMES: [usize; 2] = [64, 256];

/// How long the ways of one record are timed in turns.
const PATIENCE: Duration = Duration::from_millis(150);
const MIN_ROUNDS: usize = 7;

/// The ways to compress that are compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Lz4,
    Zstd(i32),
}

const WAYS: [Way; 5] = [
    Way::Lz4,
    Way::Zstd(1),
    Way::Zstd(3),
    Way::Zstd(9),
    Way::Zstd(19),
];

// zstd's take 10 µs to make, so hosts would keep them.
thread_local! {
    static COMPRESSOR: RefCell<Compressor<'static>> =
        RefCell::new(Compressor::new(0).expect("memory"));
    static DECOMPRESSOR: RefCell<Decompressor<'static>> =
        RefCell::new(Decompressor::new().expect("memory"));
}

impl Way {
    fn name(self) -> String {
        match self {
            Self::Lz4 => "lz4".to_owned(),
            Self::Zstd(level) => format!("zstd -{level}"),
        }
    }

    fn compress(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Lz4 => lz4_flex::block::compress(bytes),
            Self::Zstd(level) => COMPRESSOR.with_borrow_mut(|compressor| {
                let parameter = CParameter::CompressionLevel(level);
                compressor.set_parameter(parameter).expect("a level");
                compressor.compress(bytes).expect("memory")
            }),
        }
    }

    fn decompress(self, bytes: &[u8], len: usize) -> Vec<u8> {
        match self {
            Self::Lz4 => lz4_flex::block::decompress(bytes, len).expect("intact"),
            Self::Zstd(_) => DECOMPRESSOR.with_borrow_mut(|decompressor| {
                let decompressed = decompressor.decompress(bytes, len);
                decompressed.expect("intact")
            }),
        }
    }
}

/// Sizes in bytes and times in nanoseconds, of one record or added up over several.
#[derive(Clone, Default)]
struct Figures {
    blocks: usize,
    raw: usize,
    decode: f64,
    write: f64,
    one_entry: f64,
    records: usize,
    compressed: BTreeMap<Way, Compressed>,
}

#[derive(Clone, Default)]
struct Compressed {
    bytes: usize,
    compress: f64,
    decompress: f64,
    /// By the number of entries that are compressed together: bytes of all, time of one.
    frames: BTreeMap<usize, (usize, f64)>,
}

fn main() {
    // `cargo test --benches` starts it too.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let mut real = BTreeMap::new();
    for course in real_courses() {
        report(&course.key().to_string(), &measure(course), Some(&mut real));
    }
    for blocks in GENERATED {
        let course = fleet::course(0, blocks);
        report(&format!("generated, {blocks}"), &measure(course), None);
    }
    report(
        "ALL REAL COURSES",
        &real.into_values().collect::<Vec<_>>(),
        None,
    );
}

fn real_courses() -> Vec<Course> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = std::env::var_os("COURSEBLOCKS_COURSES").map(PathBuf::from);
    let beside = project.join("../shared/courses");
    let inside = project.join("examples/courses");
    let folder = named.unwrap_or(if beside.is_dir() { beside } else { inside });
    let limits = Limits::default();
    let found = olx::find_courses(&folder, &limits).expect("a folder of courses");
    let courses = found.iter().map(|place| olx::read(place, &limits));
    courses.collect::<Result<_, _>>().expect("courses")
}

/// The figures of every record of a course, with the record's name.
fn measure(course: Course) -> Vec<(String, Figures)> {
    let key = course.key().clone();
    let blocks = course.structure().width();
    let store = Store::with_engine(Arc::new(MemoryEngine::new()));
    let registry = Arc::new(Registry::standard());
    let manager = Manager::new(
        Arc::new(store),
        registry,
        Arc::new(fleet::OneCourse(course)),
    );
    fleet::join(&manager);
    let updated = manager.update(&key, &UpdateOptions::default());
    updated.expect("collected");
    let structure = || {
        black_box(manager.get_collected(&key, &[]).expect("read"));
    };
    let of = |name, decode: &dyn Fn(&VerifiedColumn<'_>)| {
        let body = body(&manager, &key, name);
        (name.to_owned(), figures(blocks, &body, decode))
    };
    vec![
        of(STRUCTURE, &|_| structure()),
        of(BLOCKS, &|column| {
            each(column, |entry| entry.decode::<Published>());
        }),
        of(StartDate.name(), &|column| decode(&StartDate, column)),
        of(Visibility.name(), &|column| decode(&Visibility, column)),
        of(HiddenContent.name(), &|column| {
            decode(&HiddenContent, column);
        }),
        of(BlockCounts.name(), &|column| decode(&BlockCounts, column)),
    ]
}

/// What `@blocks` holds of a block.
#[derive(Deserialize)]
#[expect(dead_code, reason = "it is decoded and no more")]
struct Published {
    fields: FieldMap,
    inherited: u32,
    xml_attributes: FieldMap,
    source_file: Option<String>,
}

fn decode<T: Transformer>(transformer: &T, column: &VerifiedColumn<'_>) {
    each(column, |entry| transformer.decode_block(entry));
    let course = column.course_wide().expect("intact");
    black_box(transformer.decode_course(course).expect("valid"));
}

/// Decodes all entries, and keeps them until the last one is there, as readers do.
fn each<'a, T, E: std::fmt::Debug>(
    column: &VerifiedColumn<'a>,
    decode: impl Fn(record::Entry<'a>) -> Result<T, E>,
) {
    let entries = column.entries().map(|entry| entry.expect("intact"));
    let decoded = entries.map(|entry| entry.map(|entry| decode(entry).expect("valid")));
    black_box(decoded.collect::<Vec<_>>());
}

/// The body of a stored record, not compressed.
fn body(manager: &Manager, course: &CourseKey, name: &str) -> Body {
    let own = Versions::new(ReadVersion::new(1), WriteVersion::FIRST);
    let versions = manager.registry().versions(name).unwrap_or(own);
    let lookup = manager.store().lookup(course, name, &versions);
    let record = lookup.expect("a get").fresh().expect("fresh");
    let record = record.verify().expect("intact");
    let mut column = ColumnWriter::new();
    for entry in record.column().entries() {
        let pushed = match entry.expect("intact") {
            Some(entry) => column.push(entry.bytes()),
            None => column.push_absent(),
        };
        pushed.expect("as it was");
    }
    let course_wide = record.column().course_wide().expect("intact");
    column.finish(course_wide.bytes()).expect("as it was")
}

fn figures(blocks: usize, body: &Body, decode: &dyn Fn(&VerifiedColumn<'_>)) -> Figures {
    let meta = Meta {
        write_version: WriteVersion::FIRST,
        min_reader: MinReader::ANY,
        generation: Generation::new(7),
    };
    let record = record::encode(KEY, meta, body);
    let raw = &record[HEADER_LEN..];
    let read_whole = || {
        let record = Record::open(KEY, &record).expect("intact").verify();
        decode(&record.expect("intact").column());
    };
    let mut position = 0;
    let mut read_one = || {
        position = (position + 1_237) % blocks;
        let record = Record::open(KEY, black_box(&record)).expect("intact");
        let column = record.column().expect("intact");
        black_box(column.entry(position).expect("intact"));
    };
    let frames = FRAMES.map(|entries| (entries, frames(raw, blocks, entries)));
    let compressed = WAYS.map(|way| {
        let frames = frames.clone().map(|(entries, frames)| {
            let middle = frames.len() / 2;
            let len = frames[middle].len();
            let frames: Vec<_> = frames.iter().map(|frame| way.compress(frame)).collect();
            (entries, middle, len, frames)
        });
        (way, way.compress(raw), frames)
    });

    // In turns, so that whatever else the machine does disturbs all of them alike.
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); 3 + WAYS.len() * (2 + FRAMES.len())];
    let begun = Instant::now();
    while times[0].len() < MIN_ROUNDS || begun.elapsed() < PATIENCE {
        let mut slots = times.iter_mut();
        let mut take = |time| slots.next().expect("a slot").push(time);
        take(time(1, read_whole));
        take(time(1, || drop(black_box(record::encode(KEY, meta, body)))));
        take(time(20, &mut read_one));
        for (way, whole, frames) in &compressed {
            take(time(1, || drop(black_box(way.compress(raw)))));
            take(time(1, || {
                drop(black_box(way.decompress(whole, raw.len())));
            }));
            for (_, middle, len, frames) in frames {
                take(time(5, || {
                    drop(black_box(way.decompress(&frames[*middle], *len)));
                }));
            }
        }
    }
    let mut medians = times.iter_mut().map(|times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    let mut next = || medians.next().expect("a slot");
    Figures {
        blocks,
        raw: raw.len(),
        decode: next(),
        write: next(),
        one_entry: next(),
        records: 1,
        compressed: compressed
            .iter()
            .map(|(way, whole, frames)| {
                let compressed = Compressed {
                    bytes: whole.len(),
                    compress: next(),
                    decompress: next(),
                    frames: frames
                        .iter()
                        .map(|(entries, .., frames)| {
                            let bytes = frames.iter().map(Vec::len).sum();
                            (*entries, (bytes, next()))
                        })
                        .collect(),
                };
                (*way, compressed)
            })
            .collect(),
    }
}

fn time(times: u32, mut work: impl FnMut()) -> f64 {
    let begun = Instant::now();
    for _ in 0..times {
        work();
    }
    begun.elapsed().as_secs_f64() * 1e9 / f64::from(times)
}

/// The chunks of a body, as many together as hold so many entries. The last one is what is left.
fn frames(body: &[u8], blocks: usize, entries: usize) -> Vec<Vec<u8>> {
    let chunks = blocks.div_ceil(ENTRIES_PER_CHUNK) + 1;
    let (directory, _) = body.split_at(chunks * 8);
    let ends = directory.chunks_exact(8).map(|row| {
        let end = row[..4].try_into().expect("four bytes");
        u32::from_le_bytes(end) as usize
    });
    let ends: Vec<_> = ends.collect();
    let mut start = directory.len();
    let frames = ends.chunks(entries / ENTRIES_PER_CHUNK).map(|ends| {
        let end = *ends.last().expect("not empty");
        let frame = body[start..end].to_vec();
        start = end;
        frame
    });
    frames.collect()
}

impl Figures {
    fn add(&mut self, other: &Self) {
        self.blocks += other.blocks;
        self.raw += other.raw;
        self.decode += other.decode;
        self.write += other.write;
        self.one_entry += other.one_entry;
        self.records += other.records;
        for (way, other) in &other.compressed {
            let sum = self.compressed.entry(*way).or_default();
            sum.bytes += other.bytes;
            sum.compress += other.compress;
            sum.decompress += other.decompress;
            for (entries, (bytes, time)) in &other.frames {
                let frames = sum.frames.entry(*entries).or_default();
                frames.0 += bytes;
                frames.1 += time;
            }
        }
    }
}

/// Prints a table, and adds its rows to `sums`.
fn report(
    title: &str,
    rows: &[(String, Figures)],
    sums: Option<&mut BTreeMap<usize, (String, Figures)>>,
) {
    let blocks = rows.first().map_or(0, |(_, figures)| figures.blocks);
    println!("\n{title}: {blocks} blocks; bytes are for one block");
    println!(
        "{:<24}{:<9}{:>7} {:>6} | {:>10} {:>10} | {:>9} {:>9} {:>9} | {:>8} {:>8}",
        "class",
        "way",
        "bytes",
        "ratio",
        "decompress",
        "compress",
        "one block",
        "of 64",
        "of 256",
        "bytes 64",
        "256"
    );
    for (name, figures) in rows {
        println!(
            "{name:<24}{:<9}{:>7.2}",
            "none",
            per(figures.raw, figures.blocks)
        );
        for (way, compressed) in &figures.compressed {
            let one = |time: f64| 1.0 + time / figures.one_entry;
            let frames = FRAMES.map(|entries| &compressed.frames[&entries]);
            println!(
                "{:<24}{:<9}{:>7.2} {:>6.2} | {:>9.2}x {:>9.2}x | {:>8.1}x {:>8.1}x {:>8.1}x | \
                 {:>8.2} {:>8.2}",
                "",
                way.name(),
                per(compressed.bytes, figures.blocks),
                per(figures.raw, compressed.bytes),
                compressed.decompress / figures.decode,
                compressed.compress / figures.write,
                one(compressed.decompress),
                one(frames[0].1),
                one(frames[1].1),
                per(frames[0].0, figures.blocks),
                per(frames[1].0, figures.blocks),
            );
        }
    }
    if let Some(sums) = sums {
        for (number, (name, figures)) in rows.iter().enumerate() {
            let sum = sums.entry(number);
            let (_, sum) = sum.or_insert_with(|| (name.clone(), Figures::default()));
            sum.add(figures);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "sizes of courses are small")]
fn per(a: usize, b: usize) -> f64 {
    a as f64 / b as f64
}
