//! What a reader pays, from a hot store on sled: refusing a record, opening one, one block, all
//! blocks, and what one user sees. The bare engine does the same work beside it.
//!
//! `cargo bench --bench read_path`; compare figures of one run only.

mod fleet;

use std::hint::black_box;
use std::sync::Arc;

use courseblocks::engine::{Key, Space};
use courseblocks::transformer::standard::{HiddenContent, StartDate};
use courseblocks::{
    CourseKey, Lookup, Manager, ReadVersion, Registry, Store, Transformer, UpdateOptions, UsageKey,
    UserContext, Versions, WriteVersion,
};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const SIZES: [usize; 3] = [100, 5_000, 50_000];
const NAME: &str = "hidden_content";

struct Bench {
    _directory: tempfile::TempDir,
    manager: Manager,
    course: CourseKey,
    block: UsageKey,
}

impl Bench {
    fn new(blocks: usize) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Arc::new(Store::open(directory.path().join("store")).expect("a store"));
        let course = fleet::course(0, blocks);
        let key = course.key().clone();
        let middle = course.structure().width() / 2;
        let block = course.structure().keys().as_slice()[middle].clone();
        let modulestore = Arc::new(fleet::OneCourse(course));
        let manager = Manager::new(store, Arc::new(Registry::standard()), modulestore);
        fleet::join(&manager);
        manager
            .update(&key, &UpdateOptions::default())
            .expect("collected");
        Self {
            _directory: directory,
            manager,
            course: key,
            block,
        }
    }
}

fn header(c: &mut Criterion) {
    let mut group = c.benchmark_group("header");
    for blocks in SIZES {
        let bench = Bench::new(blocks);
        let store = bench.manager.store();
        let current = HiddenContent.versions();
        let next = WriteVersion::new(current.write.get() + 1).expect("above 0");
        let raised = Versions::new(ReadVersion::new(next.get()), next);
        let key = Key {
            space: Space::Records,
            partition: bench.course.as_str().as_bytes(),
            name: NAME.as_bytes(),
        };
        group.bench_function(BenchmarkId::new("bare get", blocks), |b| {
            b.iter(|| black_box(store.engine().get(black_box(key)).expect("a get")));
        });
        group.bench_function(BenchmarkId::new("refused as outdated", blocks), |b| {
            b.iter(|| {
                let lookup = store
                    .lookup(&bench.course, NAME, black_box(&raised))
                    .expect("a get");
                assert!(matches!(lookup, Lookup::Outdated { .. }));
            });
        });
        group.bench_function(BenchmarkId::new("accepted", blocks), |b| {
            b.iter(|| {
                let lookup = store
                    .lookup(&bench.course, NAME, black_box(&current))
                    .expect("a get");
                assert!(matches!(lookup, Lookup::Fresh(_)));
            });
        });
    }
}

fn block(c: &mut Criterion) {
    let mut group = c.benchmark_group("block");
    for blocks in SIZES {
        let bench = Bench::new(blocks);
        group.bench_function(BenchmarkId::new("one block", blocks), |b| {
            b.iter(|| {
                let found = bench
                    .manager
                    .get_block(&bench.course, &StartDate, &bench.block);
                black_box(found.expect("a block").expect("data"))
            });
        });
    }
}

fn whole(c: &mut Criterion) {
    let mut group = c.benchmark_group("whole");
    for blocks in SIZES {
        let bench = Bench::new(blocks);
        group.bench_function(BenchmarkId::new("verify a record", blocks), |b| {
            b.iter(|| {
                let versions = HiddenContent.versions();
                let lookup = bench.manager.store().lookup(&bench.course, NAME, &versions);
                let record = lookup.expect("a get").fresh().expect("fresh");
                black_box(record.verify().expect("intact"))
            });
        });
        group.bench_function(BenchmarkId::new("collected course", blocks), |b| {
            let names = ["visibility", "start_date", NAME];
            b.iter(|| {
                black_box(
                    bench
                        .manager
                        .get_collected(&bench.course, &names)
                        .expect("read"),
                )
            });
        });
    }
}

fn transform(c: &mut Criterion) {
    let mut group = c.benchmark_group("transform");
    let user = UserContext::new("2026-03-01T12:00:00Z".parse().expect("a date"));
    for blocks in SIZES {
        let bench = Bench::new(blocks);
        let names = ["visibility", "start_date"];
        group.bench_function(BenchmarkId::new("visibility and start_date", blocks), |b| {
            b.iter(|| {
                let seen = bench
                    .manager
                    .get_transformed(&bench.course, &names, &user, None);
                black_box(seen.expect("a structure"))
            });
        });
    }
}

criterion_group!(benches, header, block, whole, transform);
criterion_main!(benches);
