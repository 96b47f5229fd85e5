//! What the store promises to those who read and write records: every answer has passed its
//! checks, publishes are seen whole, and nothing newer is replaced.

#[path = "common/engines.rs"]
mod engines;
#[path = "common/joined.rs"]
mod joined;
#[path = "common/meddling.rs"]
mod meddling;
#[path = "common/probe.rs"]
mod probe;
#[path = "common/reseal.rs"]
mod reseal;
#[path = "common/tamper.rs"]
mod tamper;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use courseblocks::engine::{Durability, Engine, MemoryEngine, Space};
use courseblocks::modulestore::SourceVersion;
use courseblocks::record::{Body, ColumnWriter, Compression, HEADER_LEN, Header, RecordError};
use courseblocks::rollout::Fleet;
use courseblocks::{
    Base, CourseEntry, CourseKey, ErrorKind, Lease, Lookup, MinReader, NewRecord, Newer,
    Publication, Published, ReadVersion, RecordEntry, Result, Scope, Store, Versions, WriteVersion,
};
use joined::lease_for;
use meddling::{Meddling, SlippedIn};
use reseal::reseal;

fn course() -> CourseKey {
    "course-v1:Org+Course+Run".parse().unwrap()
}

fn versions(read: u32, write: u32) -> Versions {
    Versions::new(ReadVersion::new(read), WriteVersion::new(write).unwrap())
}

fn versions_with(read: u32, write: u32, min_reader: u32) -> Versions {
    let min_reader = MinReader::new(WriteVersion::new(min_reader).unwrap());
    Versions {
        min_reader,
        ..versions(read, write)
    }
}

fn open(engine: &Arc<MemoryEngine>) -> Store {
    Store::with_engine(engine.clone())
}

fn new_store() -> (Arc<MemoryEngine>, Store) {
    let engine = Arc::new(MemoryEngine::new());
    let store = open(&engine);
    (engine, store)
}

/// Three blocks, the middle one without a value, that tell what they are.
fn body(name: &str, source: &str) -> Body {
    let mut column = ColumnWriter::new();
    column.push_value(&(name, source)).unwrap();
    column.push_absent().unwrap();
    column.push_value(&(name, source)).unwrap();
    column.finish_value(&source).unwrap()
}

fn publication(scope: Scope, source: &str, records: &[(&str, Versions)]) -> Publication {
    let records = records.iter().map(|(name, versions)| NewRecord {
        name: (*name).to_owned(),
        versions: *versions,
        body: body(name, source),
    });
    Publication {
        scope,
        source_version: SourceVersion::new(source).unwrap(),
        origin: None,
        blocks: 3,
        records: records.collect(),
        failures: Vec::new(),
        errors: 0,
        warnings: 0,
    }
}

fn failing(
    mut publication: Publication,
    name: &str,
    versions: Versions,
    error: &str,
) -> Publication {
    publication
        .failures
        .push((name.to_owned(), versions, error.to_owned()));
    publication
}

fn publish(store: &Store, course: &CourseKey, publication: &Publication) -> Result<Published> {
    publish_onto(store, &base_of(store, course)?.0, publication)
}

fn publish_onto(store: &Store, base: &Base, publication: &Publication) -> Result<Published> {
    let lease = lease_of(store, publication);
    let published = store.publish(&lease, base, publication, Durability::Durable);
    leave(store, &lease);
    published
}

/// Fleets of thousands take their time.
fn leave(store: &Store, lease: &Lease) {
    // Where the engine was told to fail, it stays.
    let _ = Fleet::new(store).leave(lease);
}

/// A worker that writes what the publication holds.
fn lease_of(store: &Store, publication: &Publication) -> Lease {
    let written = publication.records.iter();
    let written = written.map(|record| (record.name.as_str(), record.versions));
    let failed = publication.failures.iter();
    let failed = failed.map(|(name, versions, _)| (name.as_str(), *versions));
    lease_for(store, written.chain(failed))
}

fn base_of(store: &Store, course: &CourseKey) -> Result<(Base, Option<CourseEntry>)> {
    let lease = lease_for(store, []);
    let base = store.base(&lease, course);
    leave(store, &lease);
    base
}

fn delete(store: &Store) -> bool {
    let lease = lease_for(store, []);
    let deleted = store.delete(&lease, &course()).unwrap();
    leave(store, &lease);
    deleted
}

/// What a fresh record says that it was collected from.
fn source_of(lookup: &Lookup<courseblocks::StoredRecord>) -> String {
    let Lookup::Fresh(record) = lookup else {
        panic!("not fresh: {lookup:?}")
    };
    record
        .column()
        .unwrap()
        .course_wide()
        .unwrap()
        .decode()
        .unwrap()
}

// What a reader is told.

#[track_caller]
fn check_lookup(stored: Versions, reader: Versions, expected: &str) {
    let (_, store) = new_store();
    publish(
        &store,
        &course(),
        &publication(Scope::Whole, "v1", &[("t", stored)]),
    )
    .unwrap();
    let told = match store.lookup(&course(), "t", &reader).unwrap() {
        Lookup::Fresh(record) => format!("fresh {}", record.header().write_version()),
        Lookup::Outdated { stored } => format!("outdated {stored}"),
        Lookup::TooNew(Newer::Schema { stored, min_reader }) => {
            format!("too new {stored} for {min_reader}")
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(told, expected);
}

#[test]
fn a_record_is_fresh_outdated_or_too_new_by_its_versions_alone() {
    check_lookup(versions(1, 1), versions(1, 1), "fresh 1");
    check_lookup(versions(1, 1), versions(1, 2), "fresh 1");
    check_lookup(versions(1, 1), versions(0, 2), "fresh 1");
    check_lookup(versions(1, 1), versions(2, 2), "outdated 1");
    check_lookup(versions(1, 4), versions(5, 5), "outdated 4");
    check_lookup(versions(2, 2), versions(1, 1), "fresh 2");
    check_lookup(versions_with(2, 3, 2), versions(1, 1), "too new 3 for 2");
    check_lookup(versions_with(2, 3, 2), versions(2, 2), "fresh 3");
    check_lookup(versions_with(9, 9, 9), versions(1, 8), "too new 9 for 9");
}

#[test]
fn what_was_never_written_is_missing() {
    let (_, store) = new_store();
    let is_missing_in = |course: &CourseKey, name: &str| {
        matches!(
            store.lookup(course, name, &versions(1, 1)).unwrap(),
            Lookup::Missing
        )
    };
    let is_missing = |name| is_missing_in(&course(), name);
    assert!(is_missing("t"));
    publish(
        &store,
        &course(),
        &publication(Scope::Whole, "v1", &[("t", versions(1, 1))]),
    )
    .unwrap();
    for name in ["", "T", "tt", "t\0", &"t".repeat(100_000)] {
        assert!(is_missing(name), "{name:.9}");
    }
    let other: CourseKey = "course-v1:Org+Course+Rum".parse().unwrap();
    assert!(is_missing_in(&other, "t"));
    assert_eq!(store.course(&other).unwrap(), None);
}

#[test]
fn every_flipped_bit_and_every_lost_byte_of_a_record_is_damage() {
    check_every_damage(&publication(Scope::Whole, "v1", &[("t", versions(1, 1))]));
}

#[test]
fn every_flipped_bit_and_every_lost_byte_of_a_compressed_record_is_damage() {
    let source = "a version ".repeat(6);
    let mut publication = publication(Scope::Whole, &source, &[("t", versions(1, 1))]);
    compress(&mut publication);
    check_every_damage(&publication);
}

/// Has all records of a publication compressed.
fn compress(publication: &mut Publication) {
    for record in &mut publication.records {
        record.body = record.body.clone().compressed(Compression::Lz4);
    }
}

#[track_caller]
fn check_every_damage(publication: &Publication) {
    let (engine, store) = new_store();
    publish(&store, &course(), publication).unwrap();
    let intact = tamper::record(&*engine, &course(), "t");
    let is_refused = |bytes: Vec<u8>| {
        tamper::put(&*engine, Space::Records, course().as_str(), "t", bytes);
        match store.lookup(&course(), "t", &versions(1, 1)).unwrap() {
            Lookup::Damaged(damage) => damage.course == course() && damage.record == "t",
            Lookup::Fresh(record) => {
                // The body is checked when it is used: read whole, and entry by entry.
                let is_refused_in_part = record.column().map_or(true, |column| {
                    let entries = (0..3).map(|position| column.entry(position).map(drop));
                    let mut parts = entries.chain([column.course_wide().map(drop)]);
                    parts.any(|part| part.is_err())
                });
                is_refused_in_part && record.verify().is_err()
            }
            other => panic!("{other:?}"),
        }
    };
    for bit in 0..intact.len() * 8 {
        let mut bytes = intact.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(is_refused(bytes), "bit {bit}");
    }
    for len in 0..intact.len() {
        assert!(is_refused(intact[..len].to_vec()), "length {len}");
    }
    for added in [0, 1, 255] {
        assert!(
            is_refused([intact.as_slice(), &[added]].concat()),
            "{added} added"
        );
    }
    tamper::put(&*engine, Space::Records, course().as_str(), "t", intact);
    assert_eq!(
        source_of(&store.lookup(&course(), "t", &versions(1, 1)).unwrap()),
        publication.source_version.as_str()
    );
}

#[test]
fn a_compressed_record_is_judged_stored_and_checked_like_any_other() {
    let (engine, store) = new_store();
    let source = "a version ".repeat(6);
    let mut whole = publication(Scope::Whole, &source, &wanted());
    let plain = publish(&store, &course(), &whole).unwrap();
    let uncompressed: Vec<_> = sizes(&store).into_iter().map(|(bytes, _)| bytes).collect();
    compress(&mut whole);
    let compressed = publish(&store, &course(), &whole).unwrap();
    assert!(
        compressed.bytes < plain.bytes,
        "{compressed:?} after {plain:?}"
    );

    // What was saved is known, and the index tells what is stored.
    let stored: u64 = sizes(&store).iter().map(|(bytes, _)| bytes).sum();
    let expected: Vec<_> = sizes(&store).into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(uncompressed, expected);
    assert_eq!(stored, compressed.bytes);
    let entry = store.course(&course()).unwrap().unwrap();
    assert_eq!(entry.bytes(), stored);
    let headers = entry.records().iter().map(RecordEntry::header);
    assert!(headers.map(Header::compression).eq([Compression::Lz4; 3]));
    assert_eq!(store.check(&course()).unwrap().damages(&course()), []);

    // The header alone decides: the body is not looked at.
    let (name, _) = wanted()[0];
    let mut record = tamper::record(&*engine, &course(), name);
    record[HEADER_LEN..].fill(0);
    tamper::put(&*engine, Space::Records, course().as_str(), name, record);
    let lookup = store.lookup(&course(), name, &versions(9, 9)).unwrap();
    assert!(matches!(lookup, Lookup::Outdated { .. }), "{lookup:?}");
    let lookup = store.lookup(&course(), name, &versions(1, 1)).unwrap();
    let Lookup::Fresh(record) = lookup else {
        panic!("{lookup:?}")
    };
    assert_eq!(record.column().unwrap_err(), RecordError::BodyChecksum);
}

/// What each record takes, and would take uncompressed.
fn sizes(store: &Store) -> Vec<(u64, u64)> {
    let check = store.check(&course()).unwrap();
    let records = check.records.iter();
    records
        .map(|record| (record.bytes, record.uncompressed_bytes))
        .collect()
}

/// A release that compresses follows one that does not, and must not drop what it does not bring:
/// a gate may be open over it.
#[test]
fn what_a_publish_does_not_bring_is_carried_over_whether_or_not_it_is_compressed() {
    let source = "a version ".repeat(6);
    let all = [("@own", versions(1, 1)), ("t", versions(1, 1))];
    let whole = |records: &[(&str, Versions)], compression| {
        let mut whole = publication(Scope::Whole, &source, records);
        if compression == Compression::Lz4 {
            compress(&mut whole);
        }
        whole
    };
    for before in [Compression::None, Compression::Lz4] {
        for after in [Compression::None, Compression::Lz4] {
            let (_, store) = new_store();
            publish(&store, &course(), &whole(&all, before)).unwrap();
            publish(&store, &course(), &whole(&all[..1], after)).unwrap();
            let entry = store.course(&course()).unwrap().unwrap();
            let records = entry.records().iter();
            let kept: Vec<_> = records
                .map(|record| (record.name(), record.header().compression()))
                .collect();
            assert_eq!(kept, [("@own", after), ("t", before)]);
            let lookup = store.lookup(&course(), "t", &versions(1, 1)).unwrap();
            assert_eq!(source_of(&lookup), source);
        }
    }
}

/// A record called "t" of the course, with `changed` bytes in its header.
fn resealed(bytes: Vec<u8>, changed: &[(usize, u8)]) -> Vec<u8> {
    reseal(b"R", course().as_str(), "t", bytes, changed)
}

#[test]
fn a_format_that_came_later_is_too_new_and_not_damage() {
    let (engine, store) = new_store();
    publish(
        &store,
        &course(),
        &publication(Scope::Whole, "v1", &[("t", versions(1, 1))]),
    )
    .unwrap();
    let intact = tamper::record(&*engine, &course(), "t");
    assert_eq!(resealed(intact.clone(), &[]), intact);
    for (at, byte) in [(4, 2), (5, 9), (6, 2), (6, 16), (7, 128)] {
        let newer = resealed(intact.clone(), &[(at, byte)]);
        tamper::put(&*engine, Space::Records, course().as_str(), "t", newer);
        let lookup = store.lookup(&course(), "t", &versions(1, 1)).unwrap();
        let Lookup::TooNew(Newer::Format(RecordError::TooNew { .. })) = lookup else {
            panic!("byte {at}: {lookup:?}")
        };
    }
}

#[test]
fn a_record_under_another_key_is_refused() {
    let (engine, store) = new_store();
    let other: CourseKey = "course-v1:Org+Course+Other".parse().unwrap();
    let both = [("t", versions(1, 1)), ("u", versions(1, 1))];
    for course in [course(), other.clone()] {
        publish(&store, &course, &publication(Scope::Whole, "v1", &both)).unwrap();
    }
    let bytes = tamper::record(&*engine, &course(), "t");
    for (place, name) in [(&course(), "u"), (&other, "t"), (&other, "u")] {
        tamper::put(
            &*engine,
            Space::Records,
            place.as_str(),
            name,
            bytes.clone(),
        );
        let lookup = store.lookup(place, name, &versions(1, 1)).unwrap();
        let Lookup::Damaged(damage) = lookup else {
            panic!("{name} of {place}: {lookup:?}")
        };
        assert_eq!(damage.cause, RecordError::HeaderChecksum);
        assert_eq!((&damage.course, damage.record.as_str()), (place, name));
    }
    // Nor is a row of the index one of another course.
    let row = engine
        .scan(Space::Courses, Some(course().as_str().as_bytes()))
        .next();
    let row = row.unwrap().unwrap().value().as_ref().to_vec();
    tamper::put(&*engine, Space::Courses, other.as_str(), "", row);
    assert_eq!(store.course(&other).unwrap_err().kind(), ErrorKind::Damaged);
}

// What readers see of publishes.

const ABC: [&str; 3] = ["a", "b", "c"];

fn wanted() -> [(&'static str, Versions); 3] {
    ABC.map(|name| (name, versions(1, 1)))
}

/// Panics unless all three are there and of one publish; answers which.
#[track_caller]
fn read_one_publish(store: &Store) -> String {
    let snapshot = store.read(&course(), &wanted()).unwrap();
    let sources: BTreeSet<_> = snapshot.lookups.iter().map(source_of).collect();
    let generations: BTreeSet<_> = snapshot
        .lookups
        .iter()
        .map(|lookup| lookup.clone().fresh().unwrap().header().generation())
        .collect();
    assert_eq!(
        (sources.len(), generations.len()),
        (1, 1),
        "{sources:?} {generations:?}"
    );
    sources.into_iter().next().unwrap()
}

/// A store with one publish, on an engine that lets others in between.
fn meddling_store(first: &Publication) -> (Arc<Meddling>, Arc<Store>) {
    let engine = Arc::new(Meddling::default());
    let store = Arc::new(Store::with_engine(engine.clone()));
    publish(&store, &course(), first).unwrap();
    (engine, store)
}

/// Another publish, right before the operation number `n` from now.
fn publish_at(
    n: usize,
    (engine, store): (&Meddling, &Arc<Store>),
    source: &'static str,
    records: usize,
) -> SlippedIn {
    let writer = Arc::downgrade(store);
    engine.slip_in(n, move || {
        let new = publication(Scope::Whole, source, &wanted()[..records]);
        publish(&writer.upgrade().unwrap(), &course(), &new).unwrap();
    })
}

#[test]
fn a_publish_between_two_of_a_readers_gets_is_noticed() {
    for n in 0.. {
        let (engine, store) = meddling_store(&publication(Scope::Whole, "old", &wanted()));
        let other = publish_at(n, (&engine, &store), "new", 3);
        let seen = read_one_publish(&store);
        if !other.happened() {
            assert_eq!(seen, "old");
            break;
        }
        assert_eq!(seen, "new", "before operation {n}");
    }
}

#[test]
fn a_read_costs_one_get_for_every_record() {
    let (engine, store) = meddling_store(&publication(Scope::Whole, "v1", &wanted()));
    let before = engine.before.calls();
    read_one_publish(&store);
    assert_eq!(engine.before.calls(), before + 3);
    store.lookup(&course(), "a", &versions(1, 1)).unwrap();
    assert_eq!(engine.before.calls(), before + 4);
}

/// One that was missing before the publish, or is after it, belongs to one side too: an answer
/// without it beside records of the other side used to pass.
#[test]
fn a_record_that_comes_or_goes_with_a_publish_does_so_with_the_others() {
    // The one that comes or goes is asked for first, in the middle, and last.
    for place in 0..3 {
        check_coming_and_going(2, 3, place);
        check_coming_and_going(3, 2, place);
    }
}

fn check_coming_and_going(before: usize, after: usize, place: usize) {
    for n in 0.. {
        let old = publication(Scope::Whole, "old", &wanted()[..before]);
        let (engine, store) = meddling_store(&old);
        let other = publish_at(n, (&engine, &store), "new", after);
        let mut order = wanted()[..2].to_vec();
        order.insert(place, wanted()[2]);
        let mut lookups = store.read(&course(), &order).unwrap().lookups;
        let is_there = !matches!(lookups.remove(place), Lookup::Missing);
        for lookup in &lookups {
            let records = if source_of(lookup) == "old" {
                before
            } else {
                after
            };
            assert_eq!(
                is_there,
                records == 3,
                "before operation {n} of {before} to {after}"
            );
        }
        if !other.happened() {
            assert!(n >= 3);
            break;
        }
    }
}

#[test]
fn readers_never_see_two_generations_however_fast_writers_are() {
    engines::on_each(|engine, rounds| {
        let publishes = rounds * 5;
        let store = Store::with_engine(engine);
        publish(
            &store,
            &course(),
            &publication(Scope::Whole, "0", &wanted()),
        )
        .unwrap();
        let is_over = AtomicBool::new(false);
        let reads = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut last = 0;
                    while !is_over.load(Ordering::SeqCst) {
                        let seen = read_one_publish(&store).parse::<usize>().unwrap();
                        assert!(seen >= last, "{seen} after {last}");
                        last = seen;
                        reads.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            for source in 1..=publishes {
                let source = source.to_string();
                publish(
                    &store,
                    &course(),
                    &publication(Scope::Whole, &source, &wanted()),
                )
                .unwrap();
                thread::yield_now();
            }
            is_over.store(true, Ordering::SeqCst);
        });
        assert!(reads.into_inner() > 0);
        assert_eq!(read_one_publish(&store), publishes.to_string());
    });
}

// What writers may replace.

#[test]
fn a_slow_writer_never_replaces_a_faster_one() {
    for scope in [Scope::Whole, Scope::Part] {
        let (_, store) = new_store();
        let (nothing_there, _) = base_of(&store, &course()).unwrap();
        let first = publication(Scope::Whole, "v1", &wanted());
        publish_onto(&store, &nothing_there, &first).unwrap();
        let (base, _) = base_of(&store, &course()).unwrap();
        publish(
            &store,
            &course(),
            &publication(Scope::Whole, "v2", &wanted()),
        )
        .unwrap();
        let before = store.course(&course()).unwrap();
        for slow in [&nothing_there, &base] {
            let error = publish_onto(&store, slow, &publication(scope, "v1", &wanted()));
            assert_eq!(error.unwrap_err().kind(), ErrorKind::Conflict);
        }
        assert_eq!(store.course(&course()).unwrap(), before);
        assert_eq!(read_one_publish(&store), "v2");
    }
}

#[test]
fn a_base_of_a_course_that_was_deleted_since_is_of_no_use() {
    let (_, store) = new_store();
    publish(
        &store,
        &course(),
        &publication(Scope::Whole, "v1", &wanted()),
    )
    .unwrap();
    let (base, _) = base_of(&store, &course()).unwrap();
    assert!(delete(&store));
    for scope in [Scope::Whole, Scope::Part] {
        let error = publish_onto(&store, &base, &publication(scope, "v1", &wanted()));
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Conflict);
    }
    assert_eq!(store.course(&course()).unwrap(), None);
}

/// The commit itself must notice, not only the look before it.
#[test]
fn of_two_writers_with_one_base_the_second_is_refused_at_any_moment() {
    let mut refused = 0;
    for n in 0.. {
        let (engine, store) = meddling_store(&publication(Scope::Whole, "v1", &wanted()));
        let (base, _) = base_of(&store, &course()).unwrap();
        let slow = publication(Scope::Whole, "slow", &wanted());
        let lease = lease_of(&store, &slow);
        let other = publish_at(n, (&engine, &store), "fast", 3);
        let outcome = store.publish(&lease, &base, &slow, Durability::Durable);
        if !other.happened() {
            outcome.unwrap();
            break;
        }
        assert_eq!(
            outcome.unwrap_err().kind(),
            ErrorKind::Conflict,
            "operation {n}"
        );
        assert_eq!(read_one_publish(&store), "fast", "operation {n}");
        refused += 1;
    }
    assert!(refused >= 2, "before the look and before the commit");
}

#[track_caller]
fn check_refused(stored: &Publication, refused: &Publication, kind: ErrorKind) {
    let (engine, store) = new_store();
    publish(&store, &course(), stored).unwrap();
    let records = tamper::records(&*engine, &course());
    let entry = store.course(&course()).unwrap();
    let error = publish(&store, &course(), refused).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(tamper::records(&*engine, &course()), records);
    assert_eq!(store.course(&course()).unwrap(), entry);
}

#[test]
fn a_lower_write_version_never_replaces_a_higher_one_of_the_same_content() {
    let newer = publication(
        Scope::Whole,
        "v1",
        &[("t", versions(1, 3)), ("u", versions(1, 1))],
    );
    for scope in [Scope::Whole, Scope::Part] {
        let older = publication(scope, "v1", &[("u", versions(1, 1)), ("t", versions(1, 2))]);
        check_refused(&newer, &older, ErrorKind::Conflict);
    }
    // Of new content it does: readers of the newer release collect again.
    let (_, store) = new_store();
    publish(&store, &course(), &newer).unwrap();
    let older = publication(Scope::Whole, "v2", &[("t", versions(1, 2))]);
    publish(&store, &course(), &older).unwrap();
    assert_eq!(
        source_of(&store.lookup(&course(), "t", &versions(1, 2)).unwrap()),
        "v2"
    );
}

#[test]
fn what_is_too_new_is_never_overwritten() {
    let newer = publication(Scope::Whole, "v1", &[("t", versions_with(3, 3, 3))]);
    for (scope, source) in [
        (Scope::Whole, "v1"),
        (Scope::Part, "v1"),
        (Scope::Whole, "v2"),
    ] {
        let older = publication(scope, source, &[("t", versions(1, 2))]);
        check_refused(&newer, &older, ErrorKind::TooNew);
    }
}

/// A whole publish removes what it does not bring: a transformer that failed brings nothing, which
/// used to delete the newer release's record.
#[test]
fn what_is_too_new_is_not_deleted_by_a_release_that_fails_to_collect_it() {
    let newer = publication(Scope::Whole, "v1", &[("t", versions_with(3, 3, 3))]);
    for source in ["v1", "v2"] {
        let older = publication(Scope::Whole, source, &[("u", versions(1, 1))]);
        let older = failing(older, "t", versions(1, 2), "no");
        check_refused(&newer, &older, ErrorKind::TooNew);
    }
}

/// The records say themselves what they are: a row that is damaged or lost used to let everything
/// pass.
#[test]
fn what_is_too_new_is_not_overwritten_without_the_index_either() {
    let newer = publication(Scope::Whole, "v1", &[("t", versions_with(3, 3, 3))]);
    let loses_row: [fn(&dyn Engine); 2] = [
        |engine| tamper::damage_row(engine, &course()),
        |engine| tamper::delete(engine, Space::Courses, course().as_str(), ""),
    ];
    for lose_row in loses_row {
        let (engine, store) = new_store();
        publish(&store, &course(), &newer).unwrap();
        lose_row(&*engine);
        let records = tamper::records(&*engine, &course());
        let older = publication(Scope::Whole, "v1", &[("t", versions(1, 2))]);
        let error = publish(&store, &course(), &older).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooNew, "{error}");
        assert_eq!(tamper::records(&*engine, &course()), records);
        // The newer release itself heals it.
        publish(&store, &course(), &newer).unwrap();
        assert!(store.course(&course()).unwrap().is_some());
    }
}

/// After a rollback the older release is all there is, and must be able to heal the course.
#[test]
fn what_nobody_can_read_any_more_may_be_replaced_by_a_lower_version() {
    let newer = publication(
        Scope::Whole,
        "v1",
        &[("t", versions(1, 3)), ("u", versions(1, 3))],
    );
    let part = publication(Scope::Part, "v1", &[("t", versions(1, 2))]);
    let whole = publication(
        Scope::Whole,
        "v1",
        &[("t", versions(1, 2)), ("u", versions(1, 2))],
    );
    let (engine, store) = new_store();
    publish(&store, &course(), &newer).unwrap();
    let stale = tamper::record(&*engine, &course(), "t");
    publish(&store, &course(), &newer).unwrap();
    let intact = tamper::record(&*engine, &course(), "t");
    let put = |bytes| tamper::put(&*engine, Space::Records, course().as_str(), "t", bytes);
    for at in 0..intact.len() {
        let mut bytes = intact.clone();
        bytes[at] ^= 1;
        put(bytes);
        publish(&store, &course(), &part).unwrap_or_else(|error| panic!("byte {at}: {error}"));
        // What is beside it is intact, and stays.
        let lookup = store.lookup(&course(), "u", &versions(1, 3)).unwrap();
        assert_eq!(lookup.fresh().unwrap().header().write_version().get(), 3);
        publish(&store, &course(), &newer).unwrap();
        put(tamper::record(&*engine, &course(), "t"));
    }
    // Lost, or a leftover of an earlier publish.
    tamper::delete(&*engine, Space::Records, course().as_str(), "t");
    publish(&store, &course(), &part).unwrap();
    publish(&store, &course(), &newer).unwrap();
    put(stale);
    publish(&store, &course(), &whole).unwrap();
    publish(&store, &course(), &newer).unwrap();
    for refused in [&part, &whole] {
        let error = publish(&store, &course(), refused).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
    }
    // Damage beside what a part replaces is no reason.
    tamper::damage_body(&*engine, &course(), "u");
    assert_eq!(
        publish(&store, &course(), &part).unwrap_err().kind(),
        ErrorKind::Conflict
    );
    publish(&store, &course(), &whole).unwrap();
}

#[test]
fn a_newer_format_is_neither_overwritten_nor_deleted_by_a_publish() {
    let (engine, store) = new_store();
    let t = publication(Scope::Whole, "v1", &[("t", versions(1, 1))]);
    publish(&store, &course(), &t).unwrap();
    let intact = tamper::record(&*engine, &course(), "t");
    let newer = resealed(intact, &[(4, 2)]);
    tamper::put(&*engine, Space::Records, course().as_str(), "t", newer);
    tamper::damage_row(&*engine, &course());
    let records = tamper::records(&*engine, &course());
    for name in ["t", "u"] {
        let other = publication(Scope::Whole, "v2", &[(name, versions(9, 9))]);
        let error = publish(&store, &course(), &other).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooNew, "{error}");
        assert_eq!(tamper::records(&*engine, &course()), records);
    }
}

// Parts.

#[test]
fn a_part_keeps_the_other_records_and_the_generation() {
    engines::on_each(|engine, _| check_part(&engine));
}

fn check_part(engine: &Arc<dyn Engine>) {
    let store = Store::with_engine(engine.clone());
    let whole = publish(
        &store,
        &course(),
        &publication(Scope::Whole, "v1", &wanted()),
    )
    .unwrap();
    let before: BTreeMap<_, _> = tamper::records(&**engine, &course()).into_iter().collect();
    let new = publication(
        Scope::Part,
        "v1",
        &[("b", versions(1, 2)), ("d", versions(1, 1))],
    );
    let part = publish(&store, &course(), &new).unwrap();
    assert_eq!(part.generation, whole.generation);
    assert_eq!(part.records, 2);
    let after: BTreeMap<_, _> = tamper::records(&**engine, &course()).into_iter().collect();
    assert_eq!(after.keys().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    assert_eq!((&after["a"], &after["c"]), (&before["a"], &before["c"]));
    let entry = store.course(&course()).unwrap().unwrap();
    let written: Vec<_> = entry
        .records()
        .iter()
        .map(|record| (record.name(), record.header().write_version().get()))
        .collect();
    assert_eq!(written, [("a", 1), ("b", 2), ("c", 1), ("d", 1)]);
    assert!(
        entry
            .records()
            .iter()
            .all(|record| record.header().generation() == whole.generation)
    );
    assert_eq!(
        entry.bytes(),
        after.values().map(|bytes| bytes.len() as u64).sum::<u64>()
    );
}

#[test]
fn a_part_must_fit_what_is_there() {
    let part = publication(Scope::Part, "v1", &[("a", versions(1, 1))]);
    let (engine, store) = new_store();
    let is_conflict = |publication| {
        publish(&store, &course(), publication).unwrap_err().kind() == ErrorKind::Conflict
    };
    assert!(is_conflict(&part), "of nothing");
    publish(
        &store,
        &course(),
        &publication(Scope::Whole, "v2", &wanted()),
    )
    .unwrap();
    assert!(is_conflict(&part), "of other content");
    // As many positions as the structure has: or else the columns would not fit it.
    let mut narrower = publication(Scope::Part, "v2", &[("a", versions(1, 1))]);
    narrower.blocks = 2;
    assert!(is_conflict(&narrower), "of another number of blocks");
    tamper::damage_row(&*engine, &course());
    assert!(is_conflict(&part), "of a damaged row");
    assert_eq!(read_one_publish(&store), "v2");
}

#[test]
fn a_whole_publish_removes_what_it_does_not_bring() {
    let (engine, store) = new_store();
    let first = publish(
        &store,
        &course(),
        &publication(Scope::Whole, "v1", &wanted()),
    )
    .unwrap();
    let new = publication(
        Scope::Whole,
        "v2",
        &[("b", versions(1, 1)), ("z", versions(1, 1))],
    );
    let second = publish(&store, &course(), &new).unwrap();
    assert!(second.generation > first.generation);
    let names: Vec<_> = tamper::records(&*engine, &course())
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["b", "z"]);
    assert!(
        store
            .check(&course())
            .unwrap()
            .damages(&course())
            .is_empty()
    );
}

// Failures of transformers.

fn attempts(store: &Store) -> Vec<(String, u32, u32, String)> {
    let entry = store.course(&course()).unwrap().unwrap();
    let failures = entry.failures().iter();
    failures
        .map(|failure| {
            let write = failure.write_version.get();
            (
                failure.transformer.clone(),
                write,
                failure.attempts,
                failure.error.clone(),
            )
        })
        .collect()
}

#[test]
fn failures_are_counted_by_content_and_version_and_end_with_a_success() {
    let (_, store) = new_store();
    let fails = |scope, source: &str, write, error: &str| {
        let publication = publication(scope, source, &[("a", versions(1, 1))]);
        failing(publication, "t", versions(1, write), error)
    };
    let told =
        |write, attempts, error: &str| vec![("t".to_owned(), write, attempts, error.to_owned())];

    publish(&store, &course(), &fails(Scope::Whole, "v1", 1, "first")).unwrap();
    assert_eq!(attempts(&store), told(1, 1, "first"));
    publish(&store, &course(), &fails(Scope::Part, "v1", 1, "second")).unwrap();
    publish(&store, &course(), &fails(Scope::Whole, "v1", 1, "third")).unwrap();
    assert_eq!(attempts(&store), told(1, 3, "third"));

    // Whoever does not try leaves it as it is.
    publish(
        &store,
        &course(),
        &publication(Scope::Part, "v1", &[("a", versions(1, 1))]),
    )
    .unwrap();
    assert_eq!(attempts(&store), told(1, 3, "third"));

    // Other code and other content begin anew.
    publish(&store, &course(), &fails(Scope::Part, "v1", 2, "code")).unwrap();
    assert_eq!(attempts(&store), told(2, 1, "code"));
    publish(&store, &course(), &fails(Scope::Whole, "v2", 2, "content")).unwrap();
    assert_eq!(attempts(&store), told(2, 1, "content"));

    publish(
        &store,
        &course(),
        &publication(Scope::Part, "v2", &[("t", versions(1, 2))]),
    )
    .unwrap();
    assert_eq!(attempts(&store), []);
}

#[test]
fn a_transformer_that_fails_on_the_same_content_keeps_its_last_good_record() {
    let (engine, store) = new_store();
    publish(
        &store,
        &course(),
        &publication(Scope::Whole, "v1", &wanted()),
    )
    .unwrap();
    let good = tamper::record(&*engine, &course(), "b");
    let part = failing(
        publication(Scope::Part, "v1", &[]),
        "b",
        versions(1, 2),
        "no",
    );
    publish(&store, &course(), &part).unwrap();
    assert_eq!(tamper::record(&*engine, &course(), "b"), good);
    assert_eq!(read_one_publish(&store), "v1");
}

// Deleting.

#[test]
fn delete_removes_every_trace_of_a_course_and_none_of_another() {
    let other: CourseKey = "course-v1:Org+Course+Run2".parse().unwrap();
    let spoil: [fn(&dyn Engine); 4] = [
        |_| {},
        |engine| tamper::damage_row(engine, &course()),
        |engine| tamper::delete(engine, Space::Courses, course().as_str(), ""),
        |engine| tamper::put(engine, Space::Records, course().as_str(), "stray", vec![1]),
    ];
    for spoil in spoil {
        engines::on_each(|engine, _| {
            let store = Store::with_engine(engine.clone());
            publish(&store, &other, &publication(Scope::Whole, "v1", &wanted())).unwrap();
            let without = tamper::everything(&*engine);
            publish(
                &store,
                &course(),
                &publication(Scope::Whole, "v1", &wanted()),
            )
            .unwrap();
            let with_failure = failing(
                publication(Scope::Part, "v1", &[]),
                "t",
                versions(1, 1),
                "no",
            );
            publish(&store, &course(), &with_failure).unwrap();
            spoil(&*engine);
            assert!(delete(&store));
            assert_eq!(tamper::everything(&*engine), without);
            assert!(!delete(&store));
            let traces = store.traces().unwrap();
            assert_eq!(traces.courses, std::slice::from_ref(&other));
            assert!(traces.nameless.is_empty() && traces.hidden.is_empty());
        });
    }
}

#[test]
fn a_publish_that_slips_into_a_delete_is_gone_or_whole() {
    for n in 0.. {
        let (engine, store) = meddling_store(&publication(Scope::Whole, "old", &wanted()[..1]));
        let lease = lease_for(&store, []);
        let other = publish_at(n, (&engine, &store), "new", 3);
        assert!(store.delete(&lease, &course()).unwrap());
        engine.before.set(|| Ok(()));
        let records = tamper::records(&engine.inner, &course()).len();
        let is_there = store.course(&course()).unwrap().is_some();
        assert_eq!((is_there, records), (false, 0), "before operation {n}");
        if !other.happened() {
            assert!(n >= 3);
            break;
        }
    }
}

// Generations.

#[test]
fn a_course_that_is_deleted_and_imported_again_never_repeats_a_generation() {
    let (engine, mut store) = new_store();
    let mut used = BTreeSet::new();
    for round in 0..50 {
        let published = publish(
            &store,
            &course(),
            &publication(Scope::Whole, "v1", &wanted()),
        )
        .unwrap();
        assert!(
            used.insert(published.generation),
            "{published:?} in round {round}"
        );
        if round % 2 == 0 {
            assert!(delete(&store));
        }
        if round % 5 == 0 {
            store = open(&engine);
        }
        if round % 14 == 7 {
            // The counter is lost; what is left are the generations of courses.
            spoil_generations(&*engine);
            store = open(&engine);
        }
    }
    let largest = used.last().unwrap().get();
    assert!(
        largest < u64::MAX / 1_000_000,
        "numbers are used up fast: {largest}"
    );
}

fn spoil_generations(engine: &dyn Engine) {
    let counters: Vec<_> = engine
        .scan(Space::Control, Some(b"generations"))
        .map(Result::unwrap)
        .collect();
    for item in counters {
        let mut bytes = item.value().as_ref().to_vec();
        bytes[30] ^= 1;
        let partition = String::from_utf8(item.partition().to_vec()).unwrap();
        let name = String::from_utf8(item.name().to_vec()).unwrap();
        tamper::put(engine, Space::Control, &partition, &name, bytes);
    }
}

#[test]
fn two_stores_on_one_engine_never_share_a_generation() {
    let (engine, _) = new_store();
    let stores = [open(&engine), open(&engine)];
    let used: Vec<BTreeSet<_>> = thread::scope(|scope| {
        let writers = stores.iter().enumerate().map(|(number, store)| {
            scope.spawn(move || {
                let course: CourseKey = format!("course-v1:Org+Course+{number}").parse().unwrap();
                let whole = publication(Scope::Whole, "v1", &[("t", versions(1, 1))]);
                // More than are reserved at once.
                (0..3000)
                    .map(|_| publish(store, &course, &whole).unwrap().generation)
                    .collect()
            })
        });
        let writers: Vec<_> = writers.collect();
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .collect()
    });
    assert!(used[0].is_disjoint(&used[1]));
    assert_eq!(used[0].len() + used[1].len(), 6000);
}

// After a crash.

#[test]
fn what_was_published_durably_survives_a_crash_and_the_rest_is_lost_as_a_whole() {
    let (engine, store) = new_store();
    let whole = |source: &str| publication(Scope::Whole, source, &wanted());
    let mut used = BTreeSet::new();
    for round in 0..20 {
        let durable = format!("durable {round}");
        used.insert(
            publish(&store, &course(), &whole(&durable))
                .unwrap()
                .generation,
        );
        let (base, _) = base_of(&store, &course()).unwrap();
        let buffered = store
            .publish(
                &lease_of(&store, &whole("buffered")),
                &base,
                &whole("buffered"),
                Durability::Buffered,
            )
            .unwrap();
        assert_eq!(read_one_publish(&store), "buffered");
        engine.crash();
        assert_eq!(read_one_publish(&store), durable);
        assert!(
            store
                .check(&course())
                .unwrap()
                .damages(&course())
                .is_empty()
        );
        // Somebody may have seen what was lost: its generation is not given to anything else.
        assert!(used.insert(buffered.generation));
        if round % 3 == 0 {
            let generation = publish(&open(&engine), &course(), &whole("reopened")).unwrap();
            assert!(used.insert(generation.generation));
        }
    }
}

#[test]
fn a_generation_that_somebody_may_have_seen_is_not_given_again_after_a_crash() {
    let (engine, store) = new_store();
    let (base, _) = base_of(&store, &course()).unwrap();
    let whole = publication(Scope::Whole, "v1", &wanted());
    let seen = store
        .publish(
            &lease_of(&store, &whole),
            &base,
            &whole,
            Durability::Buffered,
        )
        .unwrap();
    engine.crash();
    let store = open(&engine);
    assert!(store.course(&course()).unwrap().is_none());
    assert_ne!(
        publish(&store, &course(), &whole).unwrap().generation,
        seen.generation
    );
}

// Checking every byte.

#[test]
fn a_check_finds_every_damaged_byte_and_every_record_that_is_not_the_indexed_one() {
    let (engine, store) = new_store();
    publish(
        &store,
        &course(),
        &publication(Scope::Whole, "v1", &wanted()),
    )
    .unwrap();
    let old = tamper::record(&*engine, &course(), "a");
    publish(
        &store,
        &course(),
        &publication(Scope::Whole, "v1", &wanted()),
    )
    .unwrap();
    let damaged = || {
        let check = store.check(&course()).unwrap();
        let damages = check.damages(&course()).into_iter();
        damages.map(|damage| damage.record).collect::<Vec<_>>()
    };
    assert_eq!(damaged(), [""; 0]);
    for (name, intact) in tamper::records(&*engine, &course()) {
        for at in 0..intact.len() {
            let mut bytes = intact.clone();
            bytes[at] ^= 0x10;
            tamper::put(&*engine, Space::Records, course().as_str(), &name, bytes);
            assert_eq!(damaged(), [name.as_str()], "byte {at}");
        }
        tamper::delete(&*engine, Space::Records, course().as_str(), &name);
        assert_eq!(damaged(), [name.as_str()], "gone");
        tamper::put(&*engine, Space::Records, course().as_str(), &name, intact);
    }
    // Intact, but of an earlier publish.
    tamper::put(&*engine, Space::Records, course().as_str(), "a", old);
    assert_eq!(damaged(), ["a"]);
}

#[test]
fn a_course_whose_row_is_lost_or_damaged_is_still_found() {
    let (engine, store) = new_store();
    publish(
        &store,
        &course(),
        &publication(Scope::Whole, "v1", &wanted()),
    )
    .unwrap();
    let found = || store.traces().unwrap().courses;
    tamper::damage_row(&*engine, &course());
    assert_eq!(found(), [course()]);
    assert_eq!(
        store.course(&course()).unwrap_err().kind(),
        ErrorKind::Damaged
    );
    let listed: Vec<_> = store.courses().map(Result::unwrap).collect();
    assert!(
        matches!(&listed[..], [(key, Err(_))] if *key == course()),
        "{listed:?}"
    );
    tamper::delete(&*engine, Space::Courses, course().as_str(), "");
    assert_eq!(found(), [course()]);
    assert_eq!(store.courses().count(), 0);
    // Records are read without the index.
    assert_eq!(read_one_publish(&store), "v1");
}

#[test]
fn a_damaged_row_heals_by_the_next_whole_publish() {
    let (engine, store) = new_store();
    publish(
        &store,
        &course(),
        &publication(Scope::Whole, "v1", &wanted()),
    )
    .unwrap();
    tamper::damage_row(&*engine, &course());
    let (base, entry) = base_of(&store, &course()).unwrap();
    assert_eq!(entry, None);
    publish_onto(&store, &base, &publication(Scope::Whole, "v1", &wanted())).unwrap();
    assert!(store.course(&course()).unwrap().is_some());
    // Who looked before it was healed is too late.
    let late = publish_onto(&store, &base, &publication(Scope::Whole, "v0", &wanted()));
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Conflict);
}
