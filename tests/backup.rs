//! What a backup promises: it is of one moment for each course while others write, any change of it
//! is noticed, and a store that was restored keeps what was guaranteed.
//!
//! `COURSEBLOCKS_BACKUP_ROUNDS` says how many random runs there are, `COURSEBLOCKS_SEED` which.

#[path = "common/copied.rs"]
mod copied;
#[path = "common/engines.rs"]
mod engines;
#[path = "common/joined.rs"]
mod joined;
#[path = "common/meddling.rs"]
mod meddling;
#[path = "common/probe.rs"]
mod probe;
#[path = "common/random.rs"]
mod random;
#[path = "common/reseal.rs"]
mod reseal;
#[path = "common/tamper.rs"]
mod tamper;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use copied::copy_all;
use courseblocks::backup::{self, Step, Summary, WhenDamaged};
use courseblocks::engine::{
    Commit, CommitOutcome, Durability, Engine, Item, Key, MemoryEngine, Scan, SledEngine,
    SledOptions, Space, Value,
};
use courseblocks::modulestore::SourceVersion;
use courseblocks::record::{ColumnWriter, Generation};
use courseblocks::rollout::{
    Claimed, Completion, Event, Fleet, GateAnswer, Priority, Queue, RetryPolicy, Rollout, Start,
};
use courseblocks::{
    CourseKey, Error, ErrorKind, Floors, NewRecord, Publication, Published, ReadVersion, Result,
    Scope, Store, Timestamp, Versions, WriteVersion,
};
use joined::lease_for;
use meddling::Meddling;
use random::Random;
use reseal::reseal;

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn later() -> Timestamp {
    "2026-03-02T12:00:00Z".parse().unwrap()
}

fn course(number: usize) -> CourseKey {
    format!("course-v1:Org+Course+{number}").parse().unwrap()
}

fn versions(write: u32) -> Versions {
    Versions::new(ReadVersion::new(1), WriteVersion::new(write).unwrap())
}

/// Records of `@own`, `t` and `u`, with these WRITE versions of the last two.
fn publication(scope: Scope, source: &str, [t, u]: [u32; 2]) -> Publication {
    let record = |name: &str, write| {
        let mut column = ColumnWriter::new();
        column.push_value(&(name, source)).unwrap();
        NewRecord {
            name: name.to_owned(),
            versions: versions(write),
            body: column.finish_value(&source).unwrap(),
        }
    };
    let mut records = vec![record("t", t)];
    if scope == Scope::Whole {
        records.insert(0, record("@own", 1));
        records.push(record("u", u));
    }
    Publication {
        scope,
        source_version: SourceVersion::new(source).unwrap(),
        origin: Some("a/place".to_owned()),
        blocks: 1,
        errors: 0,
        warnings: 0,
        records,
        failures: Vec::new(),
    }
}

fn publish(store: &Store, course: &CourseKey, publication: &Publication) -> Result<Published> {
    let written = publication.records.iter();
    let lease = lease_for(store, written.map(|new| (new.name.as_str(), new.versions)));
    let published = store.base(&lease, course).and_then(|(base, _)| {
        let published = store.publish(&lease, &base, publication, Durability::Buffered);
        if published.is_err() {
            store.abandon(&base)?;
        }
        published
    });
    Fleet::new(store).leave(&lease)?;
    published
}

fn start(store: &Store, write: u32) -> Result<Start> {
    let lease = lease_for(store, [("t", versions(write)), ("u", versions(9))]);
    let started = Rollout::new(store).start(&lease, "t", now(), |_| ());
    Fleet::new(store).leave(&lease)?;
    started
}

fn gate(store: &Store, target: u32) -> GateAnswer {
    let lease = lease_for(store, [("t", versions(9))]);
    let target = WriteVersion::new(target).unwrap();
    let answer = Rollout::new(store).gate(&lease, "t", target, now());
    Fleet::new(store).leave(&lease).unwrap();
    answer.unwrap()
}

fn take(store: &Store) -> Result<(Vec<u8>, Summary)> {
    let mut bytes = Vec::new();
    let summary = backup::take(store, &mut bytes, now(), WhenDamaged::Refuse, |_| ())?;
    assert_eq!(summary.bytes, bytes.len() as u64);
    Ok((bytes, summary))
}

fn restore_at(bytes: &[u8], at: Timestamp) -> Result<(Arc<MemoryEngine>, Store)> {
    let engine = Arc::new(MemoryEngine::new());
    let store = Store::with_engine(engine.clone());
    backup::restore(bytes, &store, "restorer", at, |_| ())?;
    Ok((engine, store))
}

#[track_caller]
fn check_intact(store: &Store) {
    let traces = store.traces().unwrap();
    assert!(traces.nameless.is_empty() && traces.hidden.is_empty());
    for course in traces.courses {
        let check = store.check(&course).unwrap();
        assert!(check.damages(&course).is_empty(), "{check:?}");
        assert!(matches!(check.entry, Some(Ok(_))), "{check:?}");
    }
}

/// A store with everything in it that a store can hold.
fn fill(store: &Store) {
    for number in 0..3 {
        publish(
            store,
            &course(number),
            &publication(Scope::Whole, "v1", [2, 1]),
        )
        .unwrap();
    }
    assert!(matches!(start(store, 2).unwrap(), Start::Started { .. }));
    assert!(gate(store, 2).is_open());
    let queue = Queue::new(store);
    for number in 0..2 {
        queue
            .enqueue(&course(number), Priority::Backfill, now())
            .unwrap();
    }
    let lease = lease_for(store, [("t", versions(2)), ("u", versions(1))]);
    assert!(matches!(
        queue.claim(&lease, &RetryPolicy::default(), now()).unwrap(),
        Claimed::Task(_)
    ));
    queue.pause(&lease, now()).unwrap();
    // Somebody is about to store one more.
    store.base(&lease, &course(7)).unwrap();
}

#[test]
fn a_store_is_the_same_on_any_engine_that_it_is_restored_to() {
    engines::on_each(|from, _| {
        let store = Store::with_engine(from.clone());
        fill(&store);
        let (bytes, summary) = take(&store).unwrap();
        assert_eq!((summary.courses, summary.records), (3, 9));
        assert_eq!(backup::check(&*bytes, |_| ()).unwrap(), summary);
        engines::on_each(|to, _| {
            let restored = Store::with_engine(to.clone());
            let told = backup::restore(&*bytes, &restored, "restorer", later(), |_| ());
            assert_eq!(told.unwrap(), summary);
            check_intact(&restored);
            let is_not_reserved =
                |(_, partition, ..): &tamper::Row| *partition != course(7).as_str().as_bytes();
            let mut expected = tamper::everything(&*from);
            expected.retain(is_not_reserved);
            assert_eq!(tamper::everything(&*to), expected);
            assert_eq!(restored.floors().unwrap(), store.floors().unwrap());
        });
    });
}

#[test]
fn gates_are_closed_and_leases_and_claims_gone_in_a_store_that_was_restored() {
    let engine = Arc::new(MemoryEngine::new());
    let store = Store::with_engine(engine.clone());
    fill(&store);
    assert_eq!(Rollout::new(&store).open_gates().unwrap().len(), 1);
    let (bytes, _) = take(&store).unwrap();
    let (_, restored) = restore_at(&bytes, later()).unwrap();
    assert!(Rollout::new(&restored).open_gates().unwrap().is_empty());
    assert!(Fleet::new(&restored).members().unwrap().is_empty());
    let history = Rollout::new(&restored).history().unwrap();
    let old = Rollout::new(&store).history().unwrap();
    let (last, before) = history.split_last().unwrap();
    assert_eq!(before, old);
    let expected = Event::Restored {
        made_at: now(),
        courses: 3,
    };
    assert_eq!((&last.event, last.at), (&expected, later()));
    assert_eq!(last.worker.as_deref(), Some("restorer"));
    let queue = Queue::new(&restored);
    let status = queue.status(later()).unwrap();
    assert_eq!((status.ready, status.claimed), (2, 0));
    assert!(status.paused.is_some());
    // It opens again where it is judged again.
    assert!(gate(&restored, 2).is_open());
}

/// Also of those that the other store handed out after the backup was taken.
#[test]
fn no_number_of_a_generation_comes_again() {
    let store = Store::with_engine(Arc::new(MemoryEngine::new()));
    publish(&store, &course(0), &publication(Scope::Whole, "v1", [1, 1])).unwrap();
    let (bytes, _) = take(&store).unwrap();
    let generation = |store: &Store, source: &str| {
        let new = publication(Scope::Whole, source, [1, 1]);
        publish(store, &course(0), &new).unwrap().generation
    };
    // More than are reserved at once.
    let used: BTreeSet<_> = (0..1500)
        .map(|n| generation(&store, &format!("v{n}")))
        .collect();
    let (_, restored) = restore_at(&bytes, later()).unwrap();
    let next = generation(&restored, "other");
    assert!(used.last().unwrap() < &next, "{next}");
    // So do those of another restore of the same backup, one microsecond later.
    let soon = Timestamp::from_micros(later().as_micros() + 1000).unwrap();
    let (_, again) = restore_at(&bytes, soon).unwrap();
    assert!(generation(&again, "other") > next);
    // A clock that stands still is no reason to repeat what is in the backup.
    let (_, timeless) = restore_at(&bytes, Timestamp::MIN).unwrap();
    let entry = store_entry(&bytes);
    assert!(generation(&timeless, "other") > entry);
}

/// The generation of the only course in a backup.
fn store_entry(bytes: &[u8]) -> Generation {
    let (_, store) = restore_at(bytes, Timestamp::MIN).unwrap();
    store.course(&course(0)).unwrap().unwrap().generation()
}

#[test]
fn a_counter_that_was_left_out_goes_on_beyond_all_numbers() {
    let engine = Arc::new(MemoryEngine::new());
    let store = Store::with_engine(engine.clone());
    let generation = publish(&store, &course(0), &publication(Scope::Whole, "v1", [1, 1]));
    tamper::put(&*engine, Space::Control, "generations", "", vec![7; 50]);
    assert_eq!(take(&store).unwrap_err().kind(), ErrorKind::Damaged);
    let mut bytes = Vec::new();
    let summary = backup::take(&store, &mut bytes, now(), WhenDamaged::LeaveOut, |_| ());
    assert_eq!(summary.unwrap().left_out, 1);
    let (_, restored) = restore_at(&bytes, Timestamp::MIN).unwrap();
    let next = publish(
        &restored,
        &course(0),
        &publication(Scope::Whole, "v2", [1, 1]),
    );
    assert!(next.unwrap().generation > generation.unwrap().generation);
}

/// A small one, with a course, a floor and a task.
fn small() -> Vec<u8> {
    let store = Store::with_engine(Arc::new(MemoryEngine::new()));
    let mut publication = publication(Scope::Whole, "v1", [1, 1]);
    publication.records.truncate(2);
    publish(&store, &course(0), &publication).unwrap();
    start(&store, 2).unwrap();
    take(&store).unwrap().0
}

#[track_caller]
fn check_refused(bytes: &[u8], what: impl FnOnce() -> String) {
    let checked = backup::check(bytes, |_| ());
    let kind = checked.map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::Damaged), "{}", what());
}

#[test]
fn every_flipped_bit_is_noticed() {
    let mut bytes = small();
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        check_refused(&bytes, || format!("bit {bit}"));
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(backup::check(&*bytes, |_| ()).is_ok());
}

#[test]
fn every_length_but_the_whole_one_is_noticed() {
    let bytes = small();
    for len in 0..bytes.len() {
        check_refused(&bytes[..len], || format!("{len} bytes"));
        assert!(restore_at(&bytes[..len], later()).is_err());
    }
    for more in [&b"\0"[..], &bytes] {
        check_refused(&[&bytes, more].concat(), || {
            format!("{} bytes more", more.len())
        });
    }
}

/// Written by the release that began with format 1, and read for ever.
#[test]
fn a_backup_of_format_1_is_read_for_ever() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/backup/1.backup");
    let written = || {
        let store = Store::with_engine(Arc::new(MemoryEngine::new()));
        fill(&store);
        take(&store).unwrap().0
    };
    if !golden.exists() {
        fs::create_dir_all(golden.parent().unwrap()).unwrap();
        fs::write(&golden, written()).unwrap();
        panic!(
            "{} was missing and is written: look at it",
            golden.display()
        );
    }
    let bytes = fs::read(&golden).unwrap();
    let (engine, store) = restore_at(&bytes, later()).unwrap();
    check_intact(&store);
    let summary = backup::check(&*bytes, |_| ()).unwrap();
    assert_eq!(
        (summary.made_at, summary.courses, summary.records),
        (now(), 3, 9)
    );
    let names = tamper::records(&*engine, &course(2)).into_iter();
    assert!(names.map(|(name, _)| name).eq(["@own", "t", "u"]));
    let floors = store.floors().unwrap();
    assert_eq!(floors.get("t").unwrap().version.get(), 2);
    assert_eq!(Queue::new(&store).status(later()).unwrap().ready, 2);
    let late = publish(&store, &course(2), &publication(Scope::Whole, "v2", [1, 1]));
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Fenced);
}

/// A disk that is full after so many bytes.
struct Full {
    room: usize,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = bytes.len().min(self.room);
        self.room -= written;
        if written == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_backup_that_cannot_be_written_to_its_end_is_an_error() {
    let store = Store::with_engine(Arc::new(MemoryEngine::new()));
    fill(&store);
    let (bytes, _) = take(&store).unwrap();
    for room in 0..bytes.len() {
        let taken = backup::take(&store, Full { room }, now(), WhenDamaged::LeaveOut, |_| ());
        assert_eq!(taken.unwrap_err().kind(), ErrorKind::Storage, "{room}");
    }
    let room = bytes.len();
    assert!(backup::take(&store, Full { room }, now(), WhenDamaged::LeaveOut, |_| ()).is_ok());
}

#[test]
fn an_engine_that_fails_at_any_moment_makes_an_error_of_a_backup_and_of_a_restore() {
    let engine = Arc::new(MemoryEngine::new());
    let store = Store::with_engine(engine.clone());
    fill(&store);
    let (bytes, _) = take(&store).unwrap();
    let until_done = |engine: &MemoryEngine, attempt: &dyn Fn() -> Result<()>| {
        for n in 1.. {
            engine.fail_at(n);
            match attempt() {
                Ok(()) => {
                    engine.fail_at(0);
                    return n;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Storage, "{n}: {error}"),
            }
        }
        unreachable!()
    };
    assert!(until_done(&engine, &|| take(&store).map(drop)) > 10);
    for n in 1.. {
        let engine = Arc::new(MemoryEngine::new());
        let store = Store::with_engine(engine.clone());
        engine.fail_at(n);
        if let Err(error) = backup::restore(&*bytes, &store, "restorer", later(), |_| ()) {
            assert_eq!(error.kind(), ErrorKind::Storage, "{n}: {error}");
            continue;
        }
        assert!(n > 10);
        // All of it is durable when it returns.
        engine.fail_at(0);
        let before = tamper::everything(&*engine);
        engine.crash();
        assert_eq!(tamper::everything(&*engine), before);
        assert_eq!(Rollout::new(&store).history().unwrap().len(), 4);
        break;
    }
}

/// A crash of the store that it was taken from makes nothing of it untrue.
#[test]
fn what_is_in_a_backup_is_durable_in_the_store_too() {
    let engine = Arc::new(MemoryEngine::new());
    let store = Store::with_engine(engine.clone());
    fill(&store);
    let new = publication(Scope::Whole, "v2", [2, 1]);
    let written = new.records.iter();
    let lease = lease_for(&store, written.map(|new| (new.name.as_str(), new.versions)));
    let (base, _) = store.base(&lease, &course(1)).unwrap();
    store
        .publish(&lease, &base, &new, Durability::Buffered)
        .unwrap();
    take(&store).unwrap();
    let before = tamper::everything(&*engine);
    engine.crash();
    assert_eq!(tamper::everything(&*engine), before);
}

#[test]
fn a_backup_is_restored_into_an_empty_store_only() {
    let bytes = small();
    for space in [Space::Records, Space::Courses, Space::Control] {
        let engine = Arc::new(MemoryEngine::new());
        tamper::put(&*engine, space, "p", "name", vec![1]);
        let store = Store::with_engine(engine.clone());
        let restored = backup::restore(&*bytes, &store, "restorer", later(), |_| ());
        let error = restored.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage);
        assert!(error.to_string().contains("empty store"), "{error}");
        assert_eq!(
            tamper::everything(&*engine).len(),
            usize::from(space != Space::Control)
        );
    }
}

#[test]
fn damage_is_named_and_there_is_no_backup_unless_it_is_left_out() {
    #[track_caller]
    fn check(damage: impl FnOnce(&MemoryEngine), left: &[usize], said: &[&str]) {
        let engine = Arc::new(MemoryEngine::new());
        let store = Store::with_engine(engine.clone());
        fill(&store);
        damage(&engine);
        let refused = take(&store).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Damaged, "{refused}");
        let mut told = Vec::new();
        let mut bytes = Vec::new();
        let taken = backup::take(&store, &mut bytes, now(), WhenDamaged::LeaveOut, |step| {
            if let Step::LeftOut(error) = step {
                told.push(error.to_string());
            }
        });
        let summary = taken.unwrap();
        assert_eq!(told.first(), Some(&refused.to_string()));
        assert_eq!(
            (told.len(), summary.left_out),
            (said.len(), said.len() as u64)
        );
        for (told, said) in told.iter().zip(said) {
            assert!(told.contains(said), "{told}");
        }
        let (_, restored) = restore_at(&bytes, later()).unwrap();
        check_intact(&restored);
        let courses = restored.courses().map(|row| row.unwrap().0);
        assert!(courses.eq(left.iter().copied().map(course)));
    }

    let second = course(1);
    let key = second.as_str();
    check(
        |engine| tamper::damage_body(engine, &course(1), "t"),
        &[0, 2],
        &[&format!("the record \"t\" of {key}")],
    );
    check(
        |engine| tamper::damage_row(engine, &course(1)),
        &[0, 2],
        &[&format!("the row of {key}")],
    );
    check(
        |engine| tamper::delete(engine, Space::Records, course(1).as_str(), "u"),
        &[0, 2],
        &["but it is gone"],
    );
    check(
        |engine| {
            let other = tamper::record(engine, &course(0), "t");
            tamper::put(engine, Space::Records, course(1).as_str(), "t", other);
        },
        &[0, 2],
        &["not the record that the header index names"],
    );
    check(
        |engine| tamper::put(engine, Space::Control, "rollout", "history/x", vec![1]),
        &[0, 1, 2],
        &["\"rollout\" \"history/x\""],
    );
    check(
        |engine| tamper::put(engine, Space::Courses, "no course", "", vec![1]),
        &[0, 1, 2],
        &["names no course"],
    );
}

/// As where a page of the engine is damaged: a scan ends there, a value cannot be had.
#[test]
fn what_the_engine_cannot_read_is_left_out_and_courses_are_found_in_other_ways() {
    let mut refused = 0;
    let mut found_by_records = false;
    for n in 0.. {
        let engine = Arc::new(Meddling::default());
        let store = Store::with_engine(engine.clone());
        fill(&store);
        let operations = Arc::new(AtomicUsize::new(0));
        let counted = operations.clone();
        engine.before.set(move || {
            if counted.fetch_add(1, Ordering::SeqCst) == n {
                return Err(Error::new(ErrorKind::Damaged, "a damaged page"));
            }
            Ok(())
        });
        let mut bytes = Vec::new();
        let taken = backup::take(&store, &mut bytes, now(), WhenDamaged::LeaveOut, |_| ());
        if operations.load(Ordering::SeqCst) <= n {
            assert_eq!(taken.unwrap().left_out, 0);
            break;
        }
        // Floors, and the last flush.
        let Ok(summary) = taken else {
            assert_eq!(taken.unwrap_err().kind(), ErrorKind::Damaged);
            refused += 1;
            continue;
        };
        let (_, restored) = restore_at(&bytes, later()).unwrap();
        check_intact(&restored);
        assert_eq!(restored.floors().unwrap(), store.floors().unwrap());
        let courses = restored.courses().count();
        assert!(courses >= 2, "operation {n}");
        assert!(courses == 3 || summary.left_out == 1, "operation {n}");
        // The first operation lists the courses.
        found_by_records |= n == 0 && courses == 3 && summary.left_out == 1;
    }
    assert!(found_by_records);
    assert!((3..12).contains(&refused), "{refused}");
}

/// Without them, older releases would be let in again.
#[test]
fn floors_are_never_left_out() {
    let damages: [fn(&MemoryEngine); 2] = [
        |engine| tamper::put(engine, Space::Control, "rollout", "floors", vec![1; 60]),
        |engine| tamper::delete(engine, Space::Control, "rollout", "floors"),
    ];
    for damage in damages {
        let engine = Arc::new(MemoryEngine::new());
        let store = Store::with_engine(engine.clone());
        fill(&store);
        damage(&engine);
        for when_damaged in [WhenDamaged::Refuse, WhenDamaged::LeaveOut] {
            let taken = backup::take(&store, io::sink(), now(), when_damaged, |_| ());
            let error = taken.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged);
            assert!(error.to_string().contains("floors"), "{error}");
        }
    }
}

/// The row and the records of a course with other bytes at some places of their headers, and header
/// checksums that fit.
fn change_headers(engine: &dyn Engine, course: &CourseKey, changed: &[(usize, u8)]) {
    let partition = course.as_str();
    let key = Key::new(Space::Courses, partition.as_bytes(), b"");
    let row = engine.get(key).unwrap().unwrap().to_vec();
    let row = reseal(b"C", partition, "", row, changed);
    tamper::put(engine, Space::Courses, partition, "", row);
    for (name, bytes) in tamper::records(engine, course) {
        let bytes = reseal(b"R", partition, &name, bytes, changed);
        tamper::put(engine, Space::Records, partition, &name, bytes);
    }
}

#[test]
fn what_a_newer_release_wrote_is_carried_as_it_is() {
    let engine = Arc::new(MemoryEngine::new());
    let store = Store::with_engine(engine.clone());
    fill(&store);
    change_headers(&*engine, &course(1), &[(4, 2)]);
    let (bytes, summary) = take(&store).unwrap();
    assert_eq!((summary.courses, summary.records), (3, 9));
    let (to, restored) = restore_at(&bytes, later()).unwrap();
    let error = restored.course(&course(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooNew);
    for (name, bytes) in tamper::records(&*engine, &course(1)) {
        assert_eq!(tamper::record(&*to, &course(1), &name), bytes);
    }
    // Its headers can be told from damage, and are.
    let mut damaged = tamper::record(&*engine, &course(1), "t");
    damaged[10] ^= 1;
    tamper::put(&*engine, Space::Records, course(1).as_str(), "t", damaged);
    let error = take(&store).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.to_string().contains("the record \"t\""), "{error}");
}

#[test]
fn a_course_that_is_published_before_any_read_of_it_is_of_one_generation() {
    for n in 0.. {
        let engine = Arc::new(Meddling::default());
        let store = Arc::new(Store::with_engine(engine.clone()));
        publish(
            &store,
            &course(0),
            &publication(Scope::Whole, "old", [1, 1]),
        )
        .unwrap();
        let writer = Arc::downgrade(&store);
        let other = engine.slip_in(n, move || {
            let new = publication(Scope::Whole, "new", [2, 2]);
            publish(&writer.upgrade().unwrap(), &course(0), &new).unwrap();
        });
        let (bytes, _) = take(&store).unwrap();
        let (to, restored) = restore_at(&bytes, later()).unwrap();
        check_intact(&restored);
        let sources: BTreeSet<_> = tamper::records(&*to, &course(0))
            .into_iter()
            .map(|(_, bytes)| bytes.windows(3).any(|bytes| bytes == b"new"))
            .collect();
        assert_eq!(sources.len(), 1, "before operation {n}");
        if !other.happened() {
            break;
        }
    }
}

#[test]
fn a_course_that_is_published_all_the_time_is_an_error_and_not_a_mixture() {
    let engine = Arc::new(Meddling::default());
    let store = Arc::new(Store::with_engine(engine.clone()));
    publish(
        &store,
        &course(0),
        &publication(Scope::Whole, "old", [1, 1]),
    )
    .unwrap();
    let (writer, is_busy) = (Arc::downgrade(&store), AtomicBool::new(false));
    engine.before.set(move || {
        if !is_busy.swap(true, Ordering::SeqCst) {
            let new = publication(Scope::Whole, "new", [1, 1]);
            publish(&writer.upgrade().unwrap(), &course(0), &new).unwrap();
            is_busy.store(false, Ordering::SeqCst);
        }
        Ok(())
    });
    assert_eq!(take(&store).unwrap_err().kind(), ErrorKind::Conflict);
}

/// While a backup is taken, a floor was raised: its rows of the old epoch are there, and so is the
/// floor. Nothing below it is accepted, the gate says that it did not reach all courses, and starting
/// again is all that it takes.
#[test]
fn a_floor_that_is_raised_meanwhile_holds_and_its_gate_waits_for_the_rest() {
    let mut was_unsealed = false;
    for n in 0.. {
        let engine = Arc::new(Meddling::default());
        let store = Arc::new(Store::with_engine(engine.clone()));
        for number in 0..3 {
            publish(
                &store,
                &course(number),
                &publication(Scope::Whole, "v1", [1, 1]),
            )
            .unwrap();
        }
        let other = Arc::downgrade(&store);
        let raised = engine.slip_in(n, move || {
            let started = start(&other.upgrade().unwrap(), 2).unwrap();
            assert!(matches!(started, Start::Started { .. }), "{started:?}");
        });
        let (bytes, _) = take(&store).unwrap();
        if !raised.happened() {
            break;
        }
        let (_, restored) = restore_at(&bytes, later()).unwrap();
        let floors = restored.floors().unwrap();
        let late = publish(
            &restored,
            &course(0),
            &publication(Scope::Whole, "v2", [1, 1]),
        );
        let Some(floor) = floors.get("t") else {
            // The control data was read before.
            late.unwrap();
            continue;
        };
        assert_eq!(floor.version.get(), 2);
        assert_eq!(late.unwrap_err().kind(), ErrorKind::Fenced);
        let epochs = restored
            .courses()
            .map(|row| row.unwrap().1.unwrap().floor_epoch());
        was_unsealed |= epochs.into_iter().any(|epoch| epoch < floors.epoch());
        assert!(!gate(&restored, 2).is_open());
        let started = start(&restored, 2).unwrap();
        assert!(
            matches!(started, Start::Started { enqueued: 3, .. }),
            "{started:?}"
        );
        for number in 0..3 {
            publish(
                &restored,
                &course(number),
                &publication(Scope::Whole, "v1", [2, 1]),
            )
            .unwrap();
        }
        assert!(gate(&restored, 2).is_open());
    }
    assert!(was_unsealed);
}

#[test]
fn random_work_during_a_backup_leaves_every_guarantee_to_the_store_that_is_restored() {
    let rounds = std::env::var("COURSEBLOCKS_BACKUP_ROUNDS").ok();
    let rounds = rounds.map_or(80, |rounds| rounds.parse().expect("a number of rounds"));
    let (mut random, _) = Random::seeded();
    for _ in 0..rounds {
        let seed = random.below(usize::MAX >> 33) as u64;
        one_round(Random::new(seed));
    }
}

/// Looks for each item of a scan when it is asked for it, as engines on disks do: what others do
/// between two items may be seen or not.
#[derive(Debug)]
struct Stepwise(Arc<Meddling>);

impl Engine for Stepwise {
    fn get(&self, key: Key<'_>) -> Result<Option<Value>> {
        self.0.get(key)
    }

    fn scan(&self, space: Space, partition: Option<&[u8]>) -> Scan<'_> {
        let partition = partition.map(<[u8]>::to_vec);
        let key = |item: &Item| (item.partition().to_vec(), item.name().to_vec());
        let mut last = None;
        Box::new(std::iter::from_fn(move || {
            if let Err(error) = self.0.before.call() {
                return Some(Err(error));
            }
            let items = self.0.inner.scan(space, partition.as_deref());
            let mut items = items.map(Result::unwrap);
            let next = items.find(|item| last.as_ref().is_none_or(|last| key(item) > *last));
            last = next.as_ref().map(key).or(last.take());
            next.map(Ok)
        }))
    }

    fn commit(
        &self,
        partition: &[u8],
        commit: &Commit,
        durability: Durability,
    ) -> Result<CommitOutcome> {
        self.0.commit(partition, commit, durability)
    }

    fn flush(&self) -> Result<()> {
        self.0.flush()
    }

    fn disk_bytes(&self) -> Result<u64> {
        self.0.disk_bytes()
    }

    fn place(&self) -> Result<String> {
        self.0.place()
    }

    fn describe(&self) -> String {
        self.0.describe()
    }
}

const COURSES: usize = 4;

/// A store at work, and all that was ever true of it.
struct World {
    engine: Arc<Meddling>,
    store: Store,
    random: Random,
    /// Each course as it was after each step: its row and records.
    states: BTreeMap<CourseKey, BTreeSet<Vec<tamper::Row>>>,
    floors: Vec<Floors>,
    steps: usize,
}

impl World {
    fn step(&mut self) {
        self.steps += 1;
        if self.random.below(4) == 0 {
            // Another process, which reserves numbers of its own.
            self.store = Store::with_engine(self.engine.clone());
        }
        let number = self.random.below(COURSES);
        let write = |random: &mut Random| u32::try_from(1 + random.below(3)).unwrap();
        let versions = [write(&mut self.random), 1];
        match self.random.below(12) {
            0..=3 => {
                let source = format!("v{}", self.steps);
                self.publish(number, &publication(Scope::Whole, &source, versions));
            }
            4 | 5 => {
                if let Some(entry) = self.store.course(&course(number)).unwrap() {
                    let source = entry.source_version().as_str();
                    self.publish(number, &publication(Scope::Part, source, versions));
                }
            }
            6 => {
                let lease = lease_for(&self.store, []);
                self.store.delete(&lease, &course(number)).unwrap();
                Fleet::new(&self.store).leave(&lease).unwrap();
            }
            7 => drop(start(&self.store, versions[0])),
            8 => {
                // It is broken off somewhere.
                let written = [("t", self::versions(versions[0])), ("u", self::versions(9))];
                let lease = lease_for(&self.store, written);
                self.engine.inner.fail_at(1 + self.random.below(30) as u64);
                let _ = Rollout::new(&self.store).start(&lease, "t", now(), |_| ());
                self.engine.inner.fail_at(0);
                Fleet::new(&self.store).leave(&lease).unwrap();
            }
            9 | 10 => {
                let priority = [Priority::Publish, Priority::Backfill][self.random.below(2)];
                let queue = Queue::new(&self.store);
                queue.enqueue(&course(number), priority, now()).unwrap();
                self.work();
            }
            _ => drop(gate(&self.store, versions[0])),
        }
        self.remember();
    }

    /// A worker takes a task; it ends it, fails, or is killed.
    fn work(&mut self) {
        let lease = lease_for(&self.store, [("t", versions(3)), ("u", versions(1))]);
        let queue = Queue::new(&self.store);
        if let Claimed::Task(claim) = queue.claim(&lease, &RetryPolicy::default(), now()).unwrap() {
            match self.random.below(3) {
                0 => drop(queue.complete(&claim, now()).unwrap()),
                1 => {
                    let policy = RetryPolicy {
                        attempts: 2,
                        ..RetryPolicy::default()
                    };
                    queue.fail(&claim, "it failed", &policy, now()).unwrap();
                }
                _ => return,
            }
        }
        Fleet::new(&self.store).leave(&lease).unwrap();
    }

    fn publish(&mut self, number: usize, publication: &Publication) {
        if let Err(error) = publish(&self.store, &course(number), publication) {
            let kind = error.kind();
            assert!(
                matches!(kind, ErrorKind::Fenced | ErrorKind::Conflict),
                "{error}"
            );
        }
    }

    fn remember(&mut self) {
        for number in 0..COURSES {
            let state = state(&self.engine.inner, &course(number));
            self.states.entry(course(number)).or_default().insert(state);
        }
        let floors = self.store.floors().unwrap();
        if self.floors.last() != Some(&floors) {
            self.floors.push(floors);
        }
    }
}

/// All that is stored for a course.
fn state(engine: &dyn Engine, course: &CourseKey) -> Vec<tamper::Row> {
    let mut rows = tamper::everything(engine);
    rows.retain(|(_, partition, ..)| partition == course.as_str().as_bytes());
    rows
}

fn one_round(random: Random) {
    let engine = Arc::new(Meddling::default());
    let mut world = World {
        store: Store::with_engine(engine.clone()),
        engine: engine.clone(),
        random,
        states: BTreeMap::new(),
        floors: Vec::new(),
        steps: 0,
    };
    for _ in 0..10 {
        world.step();
    }
    let floors_before = world.store.floors().unwrap();
    let store = Store::with_engine(Arc::new(Stepwise(engine.clone())));
    let (world, is_busy) = (Arc::new(Mutex::new(world)), AtomicBool::new(false));
    let at_work = world.clone();
    engine.before.set(move || {
        // What the work itself asks of the engine is not interrupted.
        if !is_busy.swap(true, Ordering::SeqCst) {
            let mut world = at_work.lock().unwrap();
            if world.random.below(3) == 0 {
                world.step();
            }
            is_busy.store(false, Ordering::SeqCst);
        }
        Ok(())
    });
    let (bytes, _) = take(&store).unwrap();
    engine.before.set(|| Ok(()));
    let world = world.lock().unwrap();
    let (restored_engine, restored) = restore_at(&bytes, Timestamp::MIN).unwrap();
    check_intact(&restored);
    for row in restored.courses() {
        let (course, _) = row.unwrap();
        let state = state(&*restored_engine, &course);
        assert!(world.states[&course].contains(&state), "{course}");
    }
    let floors = restored.floors().unwrap();
    assert!(world.floors.contains(&floors), "{floors:?}");
    assert!(floors.epoch() >= floors_before.epoch());
    for row in restored.courses() {
        assert!(row.unwrap().1.unwrap().floor_epoch() <= floors.epoch());
    }
    assert!(Rollout::new(&restored).open_gates().unwrap().is_empty());
    check_numbers(&*restored_engine, &restored);
    check_history(&restored, &floors);
    check_queue(&restored);
    check_rollout(&restored, &floors);
}

/// The clock is of no help: what comes next is beyond all numbers that are in the store.
fn check_numbers(engine: &dyn Engine, restored: &Store) {
    let rows = restored.courses();
    let mut numbers: BTreeSet<_> = rows
        .map(|row| row.unwrap().1.unwrap().generation().get())
        .collect();
    for item in engine.scan(Space::Control, None) {
        let item = item.unwrap();
        let number = match (item.partition(), item.name()) {
            (b"queue", [b'0' | b'1', _, number @ ..]) => number,
            (b"rollout", name) if name.starts_with(b"history/") => &name[name.len() - 8..],
            _ => continue,
        };
        numbers.insert(u64::from_be_bytes(number.try_into().unwrap()));
    }
    let next = publish(
        restored,
        &course(COURSES),
        &publication(Scope::Whole, "v1", [3, 1]),
    );
    assert!(numbers.last() < Some(&next.unwrap().generation.get()));
}

/// What the history tells of floors is so.
fn check_history(restored: &Store, floors: &Floors) {
    let history = Rollout::new(restored).history().unwrap();
    let raised = history.iter().filter_map(|entry| match &entry.event {
        Event::FloorRaised { to, .. } => Some(*to),
        _ => None,
    });
    assert_eq!(raised.max(), floors.get("t").map(|floor| floor.version));
}

/// Every task can be worked off, once.
fn check_queue(restored: &Store) {
    let queue = Queue::new(restored);
    let lease = lease_for(restored, [("t", versions(3)), ("u", versions(1))]);
    let mut worked_off = BTreeSet::new();
    let far = Timestamp::MAX;
    while let Claimed::Task(claim) = queue.claim(&lease, &RetryPolicy::default(), far).unwrap() {
        assert!(worked_off.insert(claim.course().clone()), "{claim:?}");
        assert_eq!(queue.complete(&claim, far).unwrap(), Completion::Done);
    }
    let status = queue.status(far).unwrap();
    assert_eq!((status.ready, status.claimed, status.damaged), (0, 0, 0));
    Fleet::new(restored).leave(&lease).unwrap();
}

/// What is below the floor is refused, no gate is open over it, and a new start brings what it takes.
fn check_rollout(restored: &Store, floors: &Floors) {
    let Some(floor) = floors.get("t").map(|floor| floor.version.get()) else {
        assert!(!gate(restored, 1).is_open());
        return;
    };
    if floor > 1 {
        let below = publication(Scope::Whole, "late", [floor - 1, 1]);
        let late = publish(restored, &course(0), &below);
        assert_eq!(late.unwrap_err().kind(), ErrorKind::Fenced);
    }
    let courses: Vec<_> = restored
        .courses()
        .map(|row| row.unwrap().1.unwrap())
        .collect();
    let version = |entry: &courseblocks::CourseEntry| {
        entry.record("t").unwrap().header().write_version().get()
    };
    let holds = courses.iter().all(|entry| {
        version(entry) >= floor && entry.floor_epoch() >= floors.get("t").unwrap().epoch
    });
    assert_eq!(gate(restored, floor).is_open(), holds, "{courses:?}");
    let started = start(restored, floor).unwrap();
    assert!(matches!(started, Start::Started { .. }), "{started:?}");
    for entry in courses {
        if version(&entry) < floor {
            let source = entry.source_version().as_str();
            let new = publication(Scope::Part, source, [floor, 1]);
            publish(restored, entry.course(), &new).unwrap();
        }
    }
    assert!(gate(restored, floor).is_open());
}

#[test]
fn courses_are_whole_in_a_backup_that_is_taken_while_threads_publish_them() {
    engines::on_each(|engine, rounds| {
        let store = Store::with_engine(engine.clone());
        for number in 0..COURSES {
            publish(
                &store,
                &course(number),
                &publication(Scope::Whole, "v", [1, 1]),
            )
            .unwrap();
        }
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0.. {
                    let source = format!("v{round}");
                    let number = round % COURSES;
                    publish(
                        &store,
                        &course(number),
                        &publication(Scope::Whole, &source, [1, 1]),
                    )
                    .unwrap();
                    if is_done.load(Ordering::SeqCst) {
                        break;
                    }
                }
            });
            for _ in 0..rounds.min(20) {
                let taken = take(&store);
                let restored = taken.and_then(|(bytes, _)| restore_at(&bytes, later()));
                let courses = restored.map(|(_, restored)| {
                    check_intact(&restored);
                    restored.courses().count()
                });
                if !matches!(courses, Ok(COURSES)) {
                    is_done.store(true, Ordering::SeqCst);
                }
                assert_eq!(courses.unwrap(), COURSES);
            }
            is_done.store(true, Ordering::SeqCst);
        });
    });
}

/// What is in the directory of a store, but for the lock, which stays.
fn left_in(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "LOCK").collect()
}

#[test]
fn a_store_that_could_not_be_filled_is_none() {
    let bytes = small();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let restore = |bytes: &[u8]| {
        Store::create(&path, |store| {
            backup::restore(bytes, store, "restorer", later(), |_| ())
        })
    };
    for len in [0, 30, bytes.len() / 2, bytes.len() - 1] {
        let error = restore(&bytes[..len]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert_eq!(left_in(&path), [""; 0]);
    }
    restore(&bytes).unwrap();
    check_intact(&Store::open(&path).unwrap());
    // Once only.
    let error = restore(&bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.to_string().contains("there is a store"), "{error}");
    check_intact(&Store::open(&path).unwrap());
}

#[test]
fn a_store_that_is_being_filled_is_opened_by_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let path = &directory.path().join("store");
    let options = SledOptions::default();
    let refused = || {
        let error = SledEngine::open(path, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
        assert!(error.to_string().contains("is not complete"), "{error}");
    };
    let filled: Result<()> = SledEngine::create(path, &options, |engine| {
        tamper::put(&*engine, Space::Records, "p", "name", vec![1; 100]);
        engine.flush().unwrap();
        refused();
        let again = SledEngine::create(path, &options, |_| Ok(())).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::OpenElsewhere, "{again}");
        // As if the process ended here: nothing is tidied up.
        let copy = directory.path().join("copy");
        copy_all(path, &copy);
        Ok(())
    });
    filled.unwrap();
    let path = &directory.path().join("copy");
    let error = SledEngine::open(path, &options).unwrap_err();
    assert!(error.to_string().contains("restore it again"), "{error}");
    // What was left of it is not in the one that is made then.
    SledEngine::create(path, &options, |engine| {
        assert_eq!(tamper::everything(&*engine), []);
        Ok(())
    })
    .unwrap();
    SledEngine::open(path, &options).unwrap();
}

#[test]
fn what_somebody_else_has_in_a_directory_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = &directory.path().join("store");
    let options = SledOptions::default();
    for marker in [None, Some("FILLING")] {
        fs::create_dir_all(path.join("sled")).unwrap();
        fs::write(path.join("mine"), "mine").unwrap();
        if let Some(marker) = marker {
            fs::write(path.join(marker), "").unwrap();
        }
        let error = SledEngine::create(path, &options, |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage);
        assert!(error.to_string().contains("not empty"), "{error}");
        assert_eq!(fs::read_to_string(path.join("mine")).unwrap(), "mine");
        assert!(path.join("sled").exists());
    }
}
