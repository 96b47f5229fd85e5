//! Written records, mutated by the million: a read gives out what was written or refuses, in bounded
//! memory, and of records whose checksums were made to fit it gives out what the format says.
//!
//! `COURSEBLOCKS_MUTATIONS` says how many, `COURSEBLOCKS_SEED` with which seed to begin. With
//! `--nocapture` the counts are told.

#[path = "schedules/choices.rs"]
#[expect(dead_code, reason = "others choose by bytes")]
mod choices;
#[path = "model/format.rs"]
mod format;
#[path = "model/record.rs"]
mod record;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use choices::Seeded;
use courseblocks::record::RecordError;
use record::{Reads, Seal, Written, read_all};

const MUTATIONS: u64 = 10_000;

/// Of every record that is written.
const MUTATIONS_OF_EACH: u64 = 50;

/// So many come to everything that mutations are for.
const ENOUGH: u64 = 10_000;

/// What has happened, by name.
#[derive(Default)]
struct Counts(BTreeMap<String, u64>);

#[test]
fn a_mutated_record_is_refused_or_read_as_it_was_written() {
    let mutations = number("COURSEBLOCKS_MUTATIONS", MUTATIONS);
    let first = number("COURSEBLOCKS_SEED", 0);
    let records = mutations.div_ceil(MUTATIONS_OF_EACH);
    let next = AtomicU64::new(0);
    let counts = Mutex::new(Counts::default());
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let mut own = Counts::default();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= records {
                        break;
                    }
                    mutate_one(first.wrapping_add(number), &mut own);
                }
                let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
                counts.add(own);
            });
        }
    });
    let counts = counts.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{records} records, each mutated {MUTATIONS_OF_EACH} times:");
    for (what, count) in &counts.0 {
        println!("{count:>12} {what}");
    }
    for what in TO_BE_REACHED {
        let is_reached = counts.0.contains_key(*what);
        assert!(
            is_reached || mutations < ENOUGH,
            "they never came to: {what}"
        );
    }
}

/// What these many mutations come to.
const TO_BE_REACHED: &[&str] = &[
    "mutated",
    "damaged: by chance as it was",
    "damaged: opening refused: Length",
    "damaged: opening refused: BadMagic",
    "damaged: opening refused: HeaderChecksum",
    "damaged: opening refused: BodyChecksum",
    "damaged: whole read refused: BodyChecksum",
    "damaged: single values given out as written",
    "damaged: single values refused",
    "resealed: opening refused: Malformed",
    "resealed: whole read refused: Malformed",
    "resealed: whole read as the format says",
    "resealed: single values given out as the format says",
    "resealed: single values refused",
];

/// Panics with the seed of the record.
fn mutate_one(seed: u64, counts: &mut Counts) {
    let checked = catch_unwind(AssertUnwindSafe(|| check(seed, counts)));
    if let Err(panic) = checked {
        eprintln!(
            "\nAlone: COURSEBLOCKS_SEED={seed} COURSEBLOCKS_MUTATIONS=1 cargo test --test mutations\n"
        );
        resume_unwind(panic);
    }
}

fn check(seed: u64, counts: &mut Counts) {
    let mut choices = Seeded::new(seed);
    let written = Written::choose(&mut choices);
    // Under its own key: under the same one, all of it would be as good.
    let mut other = Written::choose(&mut choices);
    while other.key == written.key {
        other = Written::choose(&mut choices);
    }
    let reads = read_all(&written.key, &written.bytes, Some(&written));
    assert!(reads.is_complete(), "an intact record was refused");
    for _ in 0..MUTATIONS_OF_EACH {
        let mutated = written.mutate(&other, &mut choices);
        let is_resealed = mutated.seal != Seal::Broken;
        let known = (!is_resealed).then_some(&written);
        let mut reads = Reads::default();
        let memory = allocation_counter::measure(|| {
            reads = read_all(&written.key, &mutated.bytes, known);
        });
        let len = u64::try_from(mutated.bytes.len()).expect("a small record");
        let most = most_memory(len);
        assert!(memory.bytes_max <= most, "{} for {len}", memory.bytes_max);
        let is_as_it_was = mutated.bytes == written.bytes;
        if !is_resealed && !is_as_it_was {
            assert!(!reads.is_complete(), "damage was not noticed");
        }
        counts.note(is_resealed, is_as_it_was, &reads);
    }
}

/// What reading a record of so many bytes, in every way and by two readers, may have in memory: LZ4
/// makes 255 bytes of one at most, serde takes the word of a length for 1 MiB, and the readers
/// hold every value a few times.
fn most_memory(len: u64) -> u64 {
    (2 << 20) + 10 * 255 * len
}

impl Counts {
    fn note(&mut self, is_resealed: bool, is_as_it_was: bool, reads: &Reads) {
        let (manner, said) = if is_resealed {
            ("resealed", "as the format says")
        } else {
            ("damaged", "as written")
        };
        self.count("mutated".to_owned(), 1);
        match (is_as_it_was, &reads.opening, &reads.whole) {
            (true, ..) => self.count(format!("{manner}: by chance as it was"), 1),
            (_, Some(error), _) => {
                let name = name(error);
                self.count(format!("{manner}: opening refused: {name}"), 1);
            }
            (_, None, Some(error)) => {
                let name = name(error);
                self.count(format!("{manner}: whole read refused: {name}"), 1);
            }
            (_, None, None) => self.count(format!("{manner}: whole read {said}"), 1),
        }
        if !is_as_it_was {
            let given = format!("{manner}: single values given out {said}");
            self.count(given, reads.given);
            self.count(format!("{manner}: single values refused"), reads.refused);
        }
    }

    fn count(&mut self, what: String, times: u64) {
        if times > 0 {
            *self.0.entry(what).or_default() += times;
        }
    }

    fn add(&mut self, other: Self) {
        for (what, times) in other.0 {
            self.count(what, times);
        }
    }
}

fn name(error: &RecordError) -> &'static str {
    match error {
        RecordError::TooNew { .. } => "TooNew",
        RecordError::Length { .. } => "Length",
        RecordError::BadMagic => "BadMagic",
        RecordError::HeaderChecksum => "HeaderChecksum",
        RecordError::BodyChecksum => "BodyChecksum",
        RecordError::ChunkChecksum { .. } => "ChunkChecksum",
        RecordError::Malformed(_) => "Malformed",
        _ => "another",
    }
}

fn number(variable: &str, usual: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.map_or(usual, |set| set.parse().expect("a number"))
}
