//! Reads by several threads, and reads while somebody writes without pause.

use std::hint::black_box;
use std::rc::Rc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use courseblocks::UsageKey;
use courseblocks::transformer::standard::StartDate;

use super::{Session, Stores, place};
use crate::contenders::{BareSled, Courseblocks, Peer, generations};
use crate::fleet::{self, Random};
use crate::interrupt::Interrupted;
use crate::results::{Figure, Point, Unit};
use crate::spread::{Spread, quantile};

const THREADS: [usize; 3] = [1, 2, 4];
const COURSES: usize = 40;

/// How many blocks of each course are asked for.
const ASKED: usize = 64;

/// Courseblocks and bare sled with the same courses.
pub(crate) struct Readers {
    bare: Rc<BareSled>,
    store: Courseblocks,
    /// By course.
    blocks: Vec<Vec<UsageKey>>,
    /// The key of each course's record in bare sled.
    keys: Vec<Vec<u8>>,
    /// Last, since the stores are in it.
    _stores: Stores,
}

/// A call that reads something of the course with this number.
type Read<'a> = &'a (dyn Fn(usize, usize) + Sync);

impl Readers {
    pub(crate) fn new() -> Self {
        let stores = Stores::new();
        let sizes = fleet::sizes(COURSES);
        let store = Courseblocks::open(&stores.directory("courseblocks"), &sizes);
        let records = store
            .courses()
            .iter()
            .flat_map(|course| store.records(course));
        let bare = stores.peer::<BareSled>("records", &records.collect::<Vec<_>>());
        let mut random = Random::new(5);
        let blocks = sizes.iter().enumerate().map(|(number, size)| {
            let course = fleet::authored_course(number, *size);
            let keys = course.structure().keys().as_slice();
            let asked = (0..ASKED).map(|_| keys[random.below(keys.len())].clone());
            asked.collect()
        });
        let keys = store
            .courses()
            .iter()
            .map(|course| [course.as_str().as_bytes(), b"start_date"].join(&0));
        Self {
            blocks: blocks.collect(),
            keys: keys.collect(),
            bare,
            store,
            _stores: stores,
        }
    }

    /// How many reads a second several threads do together, against one.
    pub(crate) fn by_threads(&self, session: &mut Session<'_>) -> Result<Figure, Interrupted> {
        let mut figure = Figure::new(
            "reads_by_threads",
            "Reads a second by several threads, against one thread",
            "one thread",
            "threads",
            Unit::PerSecond,
        );
        let (bare, store) = (&*self.bare, &self.store);
        let (keys, blocks) = (&self.keys, &self.blocks);
        let from_bare = |course: usize, _: usize| {
            black_box(bare.get(&keys[course], <[u8]>::len));
        };
        let from_ours = |course: usize, asked: usize| {
            let block = &blocks[course][asked];
            black_box(store.block(&store.courses()[course], &StartDate, block));
        };
        let contenders: [(&str, Read<'_>); 2] = [
            ("courseblocks, one block", &from_ours),
            ("bare sled, get of a record", &from_bare),
        ];
        let mut rates = vec![Vec::new(); contenders.len() * THREADS.len()];
        let mut order: Vec<_> = (0..rates.len()).collect();
        for _ in 0..session.scale.threads.rounds {
            session.rounds.shuffle(&mut order);
            for &place in &order {
                session.rounds.check()?;
                let (_, read) = contenders[place / THREADS.len()];
                let threads = THREADS[place % THREADS.len()];
                rates[place].push(rate(threads, session.scale.threads.batch, read));
            }
        }
        for (place_of, rates_of) in rates.iter().enumerate() {
            let (name, _) = contenders[place_of / THREADS.len()];
            let of_one = &rates[place_of - place_of % THREADS.len()];
            let point = Point {
                x: place(THREADS[place_of % THREADS.len()]),
                ratio: Spread::of_ratios(rates_of, of_one),
                absolute: Spread::of(rates_of),
            };
            figure.push(name, point);
        }
        Ok(figure)
    }

    /// How long reads take while somebody writes, against the same reads alone.
    pub(crate) fn beside_a_writer(&self, session: &mut Session<'_>) -> Result<Figure, Interrupted> {
        let mut figure = Figure::new(
            "reads_beside_a_writer",
            "A read while a writer publishes without pause, against the same read alone",
            "without a writer",
            "writers",
            Unit::Seconds,
        );
        let courses = self.store.courses();
        let publications: Vec<_> = ["v2", "v3"]
            .iter()
            .flat_map(|version| {
                courses
                    .iter()
                    .map(|course| self.store.publication(course, version))
            })
            .collect();
        let rows: Vec<_> = courses
            .iter()
            .map(|course| self.store.records(course))
            .collect();
        let rows = generations(&rows);
        let (bare, store) = (&*self.bare, &self.store);
        let (keys, blocks) = (&self.keys, &self.blocks);
        let from_bare = |course: usize, _: usize| {
            black_box(bare.get(&keys[course], <[u8]>::len));
        };
        let from_ours = |course: usize, asked: usize| {
            let block = &blocks[course][asked];
            black_box(store.block(&store.courses()[course], &StartDate, block));
        };
        let into_bare = |number: usize| bare.commit(&rows[number % rows.len()]);
        let into_ours = |number: usize| {
            let publication = &publications[number % publications.len()];
            store.publish(&courses[number % COURSES], publication);
        };
        let contenders: [(&str, Read<'_>, Write<'_>); 2] = [
            ("courseblocks, one block", &from_ours, &into_ours),
            ("bare sled, get of a record", &from_bare, &into_bare),
        ];
        for (name, read, write) in contenders {
            let (mut alone, mut beside) = (Latencies::default(), Latencies::default());
            for _ in 0..session.scale.threads.rounds {
                session.rounds.check()?;
                alone.add(&latencies(session.scale.threads.batch, read, None));
                beside.add(&latencies(session.scale.threads.batch, read, Some(write)));
            }
            for (what, alone, beside) in [
                ("p50", &alone.p50, &beside.p50),
                ("p99", &alone.p99, &beside.p99),
            ] {
                for (writers, figures) in [(0.0, alone), (1.0, beside)] {
                    let point = Point {
                        x: writers,
                        ratio: Spread::of_ratios(figures, alone),
                        absolute: Spread::of(figures),
                    };
                    figure.push(&format!("{name}, {what}"), point);
                }
            }
        }
        Ok(figure)
    }
}

/// A call that writes the course with this number.
type Write<'a> = &'a (dyn Fn(usize) + Sync);

/// Reads a second.
fn rate(threads: usize, lasts: Duration, read: Read<'_>) -> f64 {
    let barrier = Barrier::new(threads);
    let rates: Vec<f64> = thread::scope(|scope| {
        let started: Vec<_> = (0..threads)
            .map(|thread| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let mut random = Random::new(thread as u64);
                    barrier.wait();
                    let begun = Instant::now();
                    let mut reads = 0;
                    while begun.elapsed() < lasts {
                        for _ in 0..32 {
                            read(random.below(COURSES), random.below(ASKED));
                        }
                        reads += 32;
                    }
                    place(reads) / begun.elapsed().as_secs_f64()
                })
            })
            .collect();
        let rates = started.into_iter().map(ScopedJoinHandle::join);
        rates.map(|rate| rate.expect("a reader")).collect()
    });
    rates.iter().sum()
}

/// The seconds that each read took, sorted.
fn latencies(lasts: Duration, read: Read<'_>, write: Option<Write<'_>>) -> Vec<f64> {
    let ends = AtomicBool::new(false);
    thread::scope(|scope| {
        if let Some(write) = write {
            let ends = &ends;
            scope.spawn(move || {
                let mut number = 0;
                while !ends.load(Ordering::Relaxed) {
                    write(number);
                    number += 1;
                }
            });
        }
        let mut random = Random::new(1);
        let begun = Instant::now();
        let mut taken = Vec::new();
        while begun.elapsed() < lasts {
            let (course, asked) = (random.below(COURSES), random.below(ASKED));
            let reading = Instant::now();
            read(course, asked);
            taken.push(reading.elapsed().as_secs_f64());
        }
        ends.store(true, Ordering::Relaxed);
        taken.sort_by(f64::total_cmp);
        taken
    })
}

/// Quantiles by round.
#[derive(Default)]
struct Latencies {
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Latencies {
    fn add(&mut self, sorted: &[f64]) {
        self.p50.push(quantile(sorted, 0.5));
        self.p99.push(quantile(sorted, 0.99));
    }
}
