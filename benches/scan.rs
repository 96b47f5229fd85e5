//! What it costs to know how far a rollout is: the status of 200,000 records, counted from headers.
//! Bodies of two sizes show that they are not touched.
//!
//! `COURSEBLOCKS_BENCH_COURSES` sets the number of courses, of 10 records each; 20,000 without it.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use courseblocks::engine::Durability;
use courseblocks::record::ColumnWriter;
use courseblocks::rollout::{Census, Fleet, Priority, Queue, Registration, RetryPolicy, Rollout};
use courseblocks::{
    CourseKey, NewRecord, Publication, ReadVersion, Registry, Scope, SourceVersion, Store,
    Timestamp, Versions, WriteVersion,
};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const RECORDS: usize = 10;

fn scan(c: &mut Criterion) {
    let courses = std::env::var("COURSEBLOCKS_BENCH_COURSES").ok();
    let courses = courses.map_or(20_000, |courses| courses.parse().expect("a number"));
    let mut group = c.benchmark_group("scan");
    group.sample_size(10);
    for body_bytes in [64, 1024] {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("store");
        fill(&Store::open(&path).expect("a store"), courses, body_bytes);
        let opened = Instant::now();
        let store = Store::open(&path).expect("a store");
        let opening = opened.elapsed();
        let cold = Instant::now();
        let counted = Census::take(&store, ["t00"]).expect("counted");
        println!(
            "{} records of {body_bytes} bytes and more: opened in {opening:.2?}, first census {:.2?}",
            counted.courses * RECORDS as u64,
            cold.elapsed()
        );
        group.bench_function(BenchmarkId::new("census", body_bytes), |b| {
            b.iter(|| black_box(Census::take(&store, ["t00"]).expect("counted")));
        });
        let rollout = Rollout::new(&store);
        let registry = Registry::standard();
        group.bench_function(BenchmarkId::new("status", body_bytes), |b| {
            b.iter(|| black_box(rollout.status(&registry, Timestamp::MIN).expect("counted")));
        });
        group.bench_function(BenchmarkId::new("read every record", body_bytes), |b| {
            b.iter(|| read_everything(&store));
        });
        let (lease, _) = Fleet::new(&store)
            .join(&registration(2), Timestamp::MIN)
            .expect("joined");
        let begun = Instant::now();
        rollout
            .start(&lease, "t00", Timestamp::MIN, |_| {})
            .expect("started");
        println!(
            "start (floor, seal, {courses} tasks): {:.2?}",
            begun.elapsed()
        );
        let queue = Queue::new(&store);
        group.bench_function(BenchmarkId::new("queue status", body_bytes), |b| {
            b.iter(|| black_box(queue.status(Timestamp::MIN).expect("counted")));
        });
        group.bench_function(BenchmarkId::new("claim and complete", body_bytes), |b| {
            b.iter(|| {
                let courseblocks::rollout::Claimed::Task(claim) = queue
                    .claim(&lease, &RetryPolicy::default(), Timestamp::MIN)
                    .expect("claimed")
                else {
                    panic!("the queue is empty");
                };
                let course = claim.course().clone();
                queue.complete(&claim, Timestamp::MIN).expect("completed");
                queue
                    .enqueue_buffered(&course, Priority::Backfill, Timestamp::MIN)
                    .expect("enqueued");
            });
        });
    }
}

/// What a census would cost if it had no index.
fn read_everything(store: &Store) {
    for row in store.courses() {
        let (course, _) = row.expect("a row");
        for number in 0..RECORDS {
            let lookup = store.lookup(&course, &name(number), &versions(1));
            black_box(lookup.expect("a record"));
        }
    }
}

fn fill(store: &Store, courses: usize, body_bytes: usize) {
    let (lease, _) = Fleet::new(store)
        .join(&registration(1), Timestamp::MIN)
        .expect("joined");
    for number in 0..courses {
        let course = CourseKey::course_v1("Bench", "Census", &format!("run{number}"));
        let course = course.expect("valid");
        let records = (0..RECORDS).map(|number| {
            let mut column = ColumnWriter::new();
            column.push(&vec![7; body_bytes]).expect("short");
            NewRecord {
                name: name(number),
                versions: versions(1),
                body: column.finish(&[]).expect("short"),
            }
        });
        let publication = Publication {
            scope: Scope::Whole,
            source_version: SourceVersion::new("v1").expect("short"),
            origin: None,
            blocks: 1,
            errors: 0,
            warnings: 0,
            records: records.collect(),
            failures: Vec::new(),
        };
        let (base, _) = store.base(&lease, &course).expect("a base");
        store
            .publish(&lease, &base, &publication, Durability::Buffered)
            .expect("published");
    }
    store.engine().flush().expect("flushed");
    Fleet::new(store).leave(&lease).expect("left");
}

fn registration(write: u32) -> Registration {
    let names = (0..RECORDS).map(|number| (name(number), versions(write)));
    Registration {
        worker: format!("worker {write}"),
        release: "bench".to_owned(),
        transformers: names.collect::<BTreeMap<_, _>>(),
        lasts: Duration::from_secs(3600),
    }
}

fn name(number: usize) -> String {
    format!("t{number:02}")
}

fn versions(write: u32) -> Versions {
    let write = WriteVersion::new(write).expect("not 0");
    Versions::new(ReadVersion::new(1), write)
}

criterion_group!(benches, scan);
criterion_main!(benches);
