//! What a publish costs, in one process on sled: a course as a whole, and one transformer's data of
//! it, durable. The bare engine commits the same bytes beside it.
//!
//! `cargo bench --bench write`; compare figures of one run only: a durable write waits for the disk.

mod fleet;

use std::hint::black_box;

use courseblocks::engine::{Commit, Durability, Space};
use courseblocks::{DEFAULT_STRUCTURE_CACHE_BYTES, Force, UpdateOptions};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fleet::Fleet;

const SIZES: [usize; 2] = [300, 5_000];

fn write(c: &mut Criterion) {
    let mut group = c.benchmark_group("write");
    group.sample_size(20);
    for blocks in SIZES {
        let fleet = Fleet::new(&[blocks], DEFAULT_STRUCTURE_CACHE_BYTES);
        let (manager, course) = (&fleet.manager, &fleet.courses[0]);
        group.throughput(Throughput::Elements(fleet.blocks(course).len() as u64));
        for (what, transformers) in [
            ("collect and publish a course, durable", Vec::new()),
            (
                "collect and publish start_date, durable",
                vec!["start_date".to_owned()],
            ),
        ] {
            let options = UpdateOptions {
                force: Force::Everything,
                transformers,
            };
            group.bench_function(BenchmarkId::new(what, blocks), |b| {
                b.iter(|| {
                    let updated = manager.update(course, &options).expect("collected");
                    assert!(black_box(updated).published.is_some());
                });
            });
        }
        let engine = manager.store().engine();
        let partition = course.as_str().as_bytes();
        let records = engine.scan(Space::Records, Some(partition));
        let records: Vec<_> = records.map(|record| record.expect("a record")).collect();
        let mut count = 0_u64;
        group.bench_function(
            BenchmarkId::new("bare commit of the same bytes, durable", blocks),
            |b| {
                b.iter(|| {
                    // sled leaves out what does not change.
                    count += 1;
                    let mut commit = Commit::new();
                    for record in &records {
                        let mut bytes = record.value().to_vec();
                        bytes[..8].copy_from_slice(&count.to_le_bytes());
                        commit.put(Space::Records, record.name(), bytes);
                    }
                    let committed = engine.commit(b"bare", &commit, Durability::Durable);
                    black_box(committed.expect("committed"))
                });
            },
        );
    }
}

criterion_group!(benches, write);
criterion_main!(benches);
