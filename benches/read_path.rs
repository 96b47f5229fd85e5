//! What a reader pays, from a hot store on sled: refusing a record, reading one whole, one block,
//! and what one user sees. The bare engine does the same work beside it.
//!
//! `cargo bench --bench read_path`; compare figures of one run only. How they compare with other
//! engines is in docs/performance.md.

mod fleet;

use std::hint::black_box;

use courseblocks::engine::{Key, Space};
use courseblocks::record::{Entry, RecordError};
use courseblocks::transformer::standard::{HiddenContent, StartDate, Visibility};
use courseblocks::{
    CourseKey, DEFAULT_STRUCTURE_CACHE_BYTES, Lookup, ReadVersion, Transformer, UsageKey,
    UserContext, Versions, WriteVersion,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fleet::Fleet;

/// Courses of a fleet, with sizes as they are met.
const COURSES: usize = 200;

/// Blocks of single courses.
const SIZES: [usize; 3] = [100, 5_000, 50_000];

fn header(c: &mut Criterion) {
    let mut group = c.benchmark_group("header");
    let fleet = Fleet::new(&fleet::sizes(COURSES), DEFAULT_STRUCTURE_CACHE_BYTES);
    let store = fleet.manager.store();
    let name = HiddenContent.name();
    let current = HiddenContent.versions();
    let next = WriteVersion::new(current.write.get() + 1).expect("above 0");
    let raised = Versions::new(ReadVersion::new(next.get()), next);
    let mut courses = fleet.courses.iter().cycle();
    let mut course = || courses.next().expect("a course");
    group.bench_function("bare get", |b| {
        b.iter(|| {
            let partition = course().as_str().as_bytes();
            let key = Key::new(Space::Records, partition, name.as_bytes());
            black_box(store.engine().get(key).expect("a get"))
        });
    });
    group.bench_function("refused as outdated", |b| {
        b.iter(|| {
            let lookup = store.lookup(course(), name, black_box(&raised));
            assert!(matches!(lookup.expect("a get"), Lookup::Outdated { .. }));
        });
    });
    group.bench_function("accepted", |b| {
        b.iter(|| {
            let lookup = store.lookup(course(), name, black_box(&current));
            assert!(matches!(lookup.expect("a get"), Lookup::Fresh(_)));
        });
    });
}

fn whole(c: &mut Criterion) {
    let mut group = c.benchmark_group("whole");
    for blocks in SIZES {
        let fleet = Fleet::new(&[blocks], DEFAULT_STRUCTURE_CACHE_BYTES);
        let (manager, course) = (&fleet.manager, &fleet.courses[0]);
        group.throughput(Throughput::Elements(fleet.blocks(course).len() as u64));
        group.bench_function(BenchmarkId::new("verify a column", blocks), |b| {
            b.iter(|| {
                let versions = HiddenContent.versions();
                let lookup = manager
                    .store()
                    .lookup(course, HiddenContent.name(), &versions);
                let record = lookup.expect("a get").fresh().expect("fresh");
                black_box(record.verify().expect("intact"))
            });
        });
        group.bench_function(
            BenchmarkId::new("verify and decode a column", blocks),
            |b| {
                b.iter(|| black_box(column(&fleet, course, &HiddenContent)));
            },
        );
        group.bench_function(BenchmarkId::new("published course", blocks), |b| {
            b.iter(|| black_box(manager.get_published(course).expect("read")));
        });
    }
}

fn column<T, D>(fleet: &Fleet, course: &CourseKey, transformer: &T) -> Vec<Option<D>>
where
    T: for<'a> Transformer<BlockData<'a> = D>,
{
    let store = fleet.manager.store();
    let lookup = store.lookup(course, transformer.name(), &transformer.versions());
    let record = lookup.expect("a get").fresh().expect("fresh");
    let verified = record.verify().expect("intact");
    let decode = |entry: Entry<'_>| {
        let decoded = transformer.decode_block(entry);
        decoded.map_err(|_| RecordError::Malformed("no value"))
    };
    verified.column().decode(decode).expect("values")
}

fn block(c: &mut Criterion) {
    let mut group = c.benchmark_group("block");
    for blocks in SIZES {
        for (known, bytes) in [("known", DEFAULT_STRUCTURE_CACHE_BYTES), ("not kept", 0)] {
            let fleet = Fleet::new(&[blocks], bytes);
            let (manager, course) = (&fleet.manager, &fleet.courses[0]);
            let keys = fleet.blocks(course);
            let mut positions = positions(keys.len());
            let mut key = || &keys[positions()];
            let of = |what: &str| BenchmarkId::new(format!("{what}, structure {known}"), blocks);
            group.bench_function(of("one transformer"), |b| {
                b.iter(|| black_box(manager.get_block(course, &StartDate, key()).expect("read")));
            });
            let names = [StartDate.name(), Visibility.name(), HiddenContent.name()];
            group.bench_function(of("three transformers"), |b| {
                b.iter(|| {
                    let entries = manager.get_block_entries(course, &names, key());
                    let entries = entries.expect("read");
                    black_box((
                        entries.get(&StartDate).expect("decoded"),
                        entries.get(&Visibility).expect("decoded"),
                        entries.get(&HiddenContent).expect("decoded"),
                    ));
                });
            });
        }
    }
}

/// Positions all over a course, the same ones every time.
fn positions(blocks: usize) -> impl FnMut() -> usize {
    let mut random = fleet::Random::new(7);
    move || random.below(blocks)
}

fn transform(c: &mut Criterion) {
    let mut group = c.benchmark_group("transform");
    let user = UserContext::new("2026-03-01T12:00:00Z".parse().expect("a date"));
    let names = [Visibility.name(), StartDate.name()];
    for blocks in SIZES {
        for (known, bytes) in [("known", DEFAULT_STRUCTURE_CACHE_BYTES), ("not kept", 0)] {
            let fleet = Fleet::new(&[blocks], bytes);
            let (manager, course) = (&fleet.manager, &fleet.courses[0]);
            let unit = fleet.open_unit(course, &user);
            let mut see = |what: &str, start: Option<&UsageKey>| {
                let id = BenchmarkId::new(format!("{what}, structure {known}"), blocks);
                group.bench_function(id, |b| {
                    b.iter(|| {
                        let seen = manager.get_transformed(course, &names, &user, start);
                        let seen = seen.expect("a structure");
                        assert!(!seen.structure.is_empty(), "nothing is seen");
                        black_box(seen)
                    });
                });
            };
            see("a course", None);
            see("a unit of 5 blocks", Some(&unit));
        }
    }
}

criterion_group!(benches, header, whole, block, transform);
criterion_main!(benches);
