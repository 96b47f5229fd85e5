//! Many random schedules, none of which may break a guarantee.
//!
//! `COURSEBLOCKS_SCHEDULES` says how many, `COURSEBLOCKS_SEED` with which seed to begin: each
//! schedule has a seed of its own, counted up from there.

#[path = "schedules/mod.rs"]
mod schedules;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use schedules::choices::{Bytes, Choices, Seeded};
use schedules::schedule::{Event, Schedule};
use schedules::world::{Reached, TO_BE_REACHED, Threads, run};

const SCHEDULES: u64 = 10_000;

/// So many come to everything that schedules are for.
const ENOUGH: u64 = 1_000;

#[test]
fn no_schedule_breaks_a_guarantee() {
    let schedules = number("COURSEBLOCKS_SCHEDULES", SCHEDULES);
    let first = number("COURSEBLOCKS_SEED", 0);
    let next = AtomicU64::new(0);
    let is_over = AtomicBool::new(false);
    let broken = Mutex::new(None::<u64>);
    let reached = Mutex::new(Reached::default());
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let mut threads = Threads::default();
                while !is_over.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= schedules {
                        return;
                    }
                    let seed = first.wrapping_add(number);
                    if let Ok(found) = run(&of(seed), &mut threads) {
                        lock(&reached).add(&found);
                    } else {
                        is_over.store(true, Ordering::Relaxed);
                        let mut broken = lock(&broken);
                        *broken = Some(broken.map_or(seed, |other| other.min(seed)));
                    }
                }
            });
        }
    });
    if let Some(seed) = *lock(&broken) {
        tell(seed, first);
    }
    let reached = lock(&reached);
    println!("{schedules} schedules came to {:?}", reached.0);
    for what in TO_BE_REACHED {
        let is_reached = reached.0.contains_key(what);
        assert!(
            is_reached || schedules < ENOUGH,
            "they never came to {what}"
        );
    }
}

#[test]
fn any_bytes_are_a_schedule() {
    let mut threads = Threads::default();
    for seed in 0..100 {
        let mut choices = Seeded::new(seed);
        let length = choices.below(1 << 10);
        let byte = |_| u8::try_from(choices.below(1 << 8)).expect("a byte");
        let bytes: Vec<_> = (0..length).map(byte).collect();
        let schedule = Schedule::choose(&mut Bytes::new(&bytes));
        if let Err(violation) = run(&schedule, &mut threads) {
            panic!("{violation}\n\nby this schedule:\n{schedule}");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number(variable: &str, usual: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.map_or(usual, |set| set.parse().expect("a number"))
}

fn of(seed: u64) -> Schedule {
    Schedule::choose(&mut Seeded::new(seed))
}

/// Panics with the shortest schedule that still breaks something.
fn tell(seed: u64, first: u64) {
    let mut threads = Threads::default();
    let mut schedule = of(seed);
    let Err(mut violation) = run(&schedule, &mut threads) else {
        panic!("seed {seed} broke a guarantee, and does not when it is repeated");
    };
    let mut breaks = |shorter: &Schedule| run(shorter, &mut threads).err();
    while let Some((shorter, other)) = shorten(&schedule, &mut breaks) {
        (schedule, violation) = (shorter, other);
    }
    let after = seed.wrapping_sub(first);
    panic!(
        "{violation}\n\nafter {after} schedules that broke nothing, by this one:\n{schedule}\nAlone: \
         COURSEBLOCKS_SEED={seed} COURSEBLOCKS_SCHEDULES=1 cargo test --test schedules\n"
    );
}

/// A schedule that is shorter or simpler by one step, and still breaks something.
fn shorten<V>(
    schedule: &Schedule,
    breaks: &mut impl FnMut(&Schedule) -> Option<V>,
) -> Option<(Schedule, V)> {
    let events = &schedule.0;
    let mut without = Vec::new();
    // From the end: what comes last depends on nothing else.
    for length in [events.len() / 2, 4, 1] {
        let starts = (0..events.len()).step_by(length.max(1)).rev();
        without.extend(starts.map(|start| {
            let end = (start + length.max(1)).min(events.len());
            [&events[..start], &events[end..]].concat()
        }));
    }
    for (place, event) in events.iter().enumerate() {
        for simpler in simpler(event) {
            let mut events = events.clone();
            events[place] = simpler;
            without.push(events);
        }
    }
    without.into_iter().find_map(|events| {
        let shorter = Schedule(events);
        breaks(&shorter).map(|violation| (shorter, violation))
    })
}

/// The same, with less going on.
fn simpler(event: &Event) -> Vec<Event> {
    let mut simpler = Vec::new();
    if let Event::Begin {
        suspended,
        trouble,
        scans,
        ..
    } = event
    {
        let mut offer = |is_new: bool, change: &dyn Fn(&mut Event)| {
            if is_new {
                let mut event = event.clone();
                change(&mut event);
                simpler.push(event);
            }
        };
        offer(suspended.is_some(), &|event| {
            if let Event::Begin { suspended, .. } = event {
                *suspended = None;
            }
        });
        offer(trouble.is_some(), &|event| {
            if let Event::Begin { trouble, .. } = event {
                *trouble = None;
            }
        });
        offer(*scans != 0, &|event| {
            if let Event::Begin { scans, .. } = event {
                *scans = 0;
            }
        });
    }
    simpler
}
