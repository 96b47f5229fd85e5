//! What it costs to use a store that another process has open: the same operations by the owner
//! and by a guest. (Both are in this process; they speak through the socket all the same.)
//!
//! `cargo bench --bench sharing`; compare figures of one run only.

use std::hint::black_box;
use std::path::Path;

use courseblocks::engine::{Commit, Durability, Engine, Key, SharedEngine, SledOptions, Space};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const SIZES: [usize; 3] = [100, 10_000, 1_000_000];
const ITEMS: u32 = 10_000;

fn open(path: &Path) -> SharedEngine {
    SharedEngine::open(path, &SledOptions::default()).expect("a store")
}

/// The owner first.
fn engines(path: &Path) -> [(&'static str, SharedEngine); 2] {
    ["owner", "guest"].map(|name| (name, open(path)))
}

fn get(c: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let engines = engines(directory.path());
    let mut group = c.benchmark_group("get");
    for bytes in SIZES {
        let name = bytes.to_string();
        let mut commit = Commit::new();
        commit.put(Space::Records, name.as_str(), vec![7; bytes]);
        let committed = engines[0].1.commit(b"course", &commit, Durability::Durable);
        let _ = committed.expect("committed");
        let key = Key::new(Space::Records, b"course", name.as_bytes());
        for (who, engine) in &engines {
            group.bench_function(BenchmarkId::new(*who, bytes), |b| {
                b.iter(|| black_box(engine.get(key).expect("got")));
            });
        }
    }
    group.finish();
}

fn commit(c: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let engines = engines(directory.path());
    let mut group = c.benchmark_group("commit");
    group.sample_size(20);
    for durability in [Durability::Buffered, Durability::Durable] {
        for (who, engine) in &engines {
            let name = format!("{durability:?}");
            let mut number = 0_u32;
            group.bench_function(BenchmarkId::new(*who, name), |b| {
                b.iter(|| {
                    number += 1;
                    let mut commit = Commit::new();
                    commit.put(Space::Control, "name", number.to_le_bytes());
                    engine.commit(b"course", &commit, durability)
                });
            });
        }
    }
    group.finish();
}

fn scan(c: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let engines = engines(directory.path());
    for number in 0..ITEMS {
        let mut commit = Commit::new();
        commit.put(Space::Courses, "", vec![7; 300]);
        let partition = format!("course {number}");
        let committed = engines[0]
            .1
            .commit(partition.as_bytes(), &commit, Durability::Buffered);
        let _ = committed.expect("committed");
    }
    let mut group = c.benchmark_group("scan");
    group.throughput(Throughput::Elements(ITEMS.into()));
    group.sample_size(20);
    for (who, engine) in &engines {
        group.bench_function(*who, |b| {
            b.iter(|| assert_eq!(engine.scan(Space::Courses, None).count(), ITEMS as usize));
        });
        group.bench_function(BenchmarkId::new(*who, "first item"), |b| {
            b.iter(|| black_box(engine.scan(Space::Courses, None).next()));
        });
    }
    group.finish();
}

criterion_group!(benches, get, commit, scan);
criterion_main!(benches);
