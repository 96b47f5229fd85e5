//! Floors as writers meet them: what is below one is refused from everybody, however early they
//! began, and what it protects is not dropped by those who do not know it.

#[path = "common/joined.rs"]
mod joined;
#[path = "common/meddling.rs"]
mod meddling;
#[path = "common/probe.rs"]
mod probe;
#[path = "common/tamper.rs"]
#[expect(dead_code, reason = "only rows are damaged here")]
mod tamper;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use courseblocks::engine::{Durability, Engine, MemoryEngine};
use courseblocks::modulestore::SourceVersion;
use courseblocks::record::ColumnWriter;
use courseblocks::rollout::{Fleet, GateAnswer, Registration, Retire, Rollout, Start};
use courseblocks::{
    CourseKey, ErrorKind, Lease, MinReader, NewRecord, Publication, ReadVersion, Result, Scope,
    Store, Timestamp, Versions, WriteVersion,
};
use joined::{lease_for, worker_name};
use meddling::Meddling;

fn course() -> CourseKey {
    "course-v1:Org+Course+Run".parse().unwrap()
}

fn versions(write: u32) -> Versions {
    Versions::new(ReadVersion::new(1), WriteVersion::new(write).unwrap())
}

fn needing(read: u32, write: u32, min_reader: u32) -> Versions {
    let min_reader = MinReader::new(WriteVersion::new(min_reader).unwrap());
    Versions {
        read: ReadVersion::new(read),
        min_reader,
        ..versions(write)
    }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::MIN.plus(Duration::from_secs(seconds))
}

/// A release of these transformers, which can be asked to write.
#[derive(Clone)]
struct Release(Vec<(&'static str, Versions)>);

impl Release {
    fn of(transformers: &[(&'static str, u32)]) -> Self {
        let transformers = transformers.iter();
        Self(
            transformers
                .map(|(name, write)| (*name, versions(*write)))
                .collect(),
        )
    }

    fn join(&self, store: &Store) -> Lease {
        lease_for(store, self.0.iter().copied())
    }

    /// All of a course, with the two records that say what positions mean.
    fn whole(&self, source: &str) -> Publication {
        let own = versions(1);
        let records = [("@blocks", own), ("@structure", own)];
        Self::some(
            Scope::Whole,
            source,
            records.into_iter().chain(self.0.iter().copied()),
        )
    }

    fn part(&self, source: &str) -> Publication {
        Self::some(Scope::Part, source, self.0.iter().copied())
    }

    fn some(
        scope: Scope,
        source: &str,
        records: impl Iterator<Item = (&'static str, Versions)>,
    ) -> Publication {
        let records = records.map(|(name, versions)| {
            let mut column = ColumnWriter::new();
            column.push_value(&(name, source)).unwrap();
            column.push_absent().unwrap();
            NewRecord {
                name: name.to_owned(),
                versions,
                body: column.finish_value(&versions.write.get()).unwrap(),
            }
        });
        Publication {
            scope,
            source_version: SourceVersion::new(source).unwrap(),
            origin: None,
            blocks: 2,
            errors: 0,
            warnings: 0,
            records: records.collect(),
            failures: Vec::new(),
        }
    }
}

/// Looks and writes, as one who is not disturbed.
fn put(store: &Store, lease: &Lease, publication: &Publication) -> Result<()> {
    let (base, _) = store.base(lease, &course())?;
    let put = store.publish(lease, &base, publication, Durability::Durable);
    if put.is_err() {
        store.abandon(&base)?;
    }
    put.map(drop)
}

#[track_caller]
fn check_fenced(outcome: Result<()>, names: &[&str]) {
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    for name in names {
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[track_caller]
fn start(store: &Store, release: &Release, transformer: &str) {
    let lease = release.join(store);
    let started = Rollout::new(store).start(&lease, transformer, at(0), |_| {});
    assert!(matches!(started.unwrap(), Start::Started { .. }));
    Fleet::new(store).leave(&lease).unwrap();
}

fn leave(store: &Store, lease: &Lease) {
    assert!(Fleet::new(store).leave(lease).unwrap());
}

fn stored(store: &Store, name: &str) -> Option<u32> {
    let entry = store.course(&course()).unwrap()?;
    Some(entry.record(name)?.header().write_version().get())
}

fn new_store() -> (Arc<MemoryEngine>, Store) {
    let engine = Arc::new(MemoryEngine::new());
    let store = Store::with_engine(engine.clone());
    (engine, store)
}

// What is refused.

#[test]
fn a_put_below_a_floor_is_refused_with_an_error_that_names_it() {
    let (engine, store) = new_store();
    let (old, new) = (Release::of(&[("t", 1)]), Release::of(&[("t", 2)]));
    start(&store, &new, "t");
    let late = old.join(&store);
    let refused = put(&store, &late, &old.whole("v1"));
    check_fenced(
        refused,
        &["\"t\"", "version 1", "floor 2", course().as_str()],
    );
    assert!(
        tamper::everything(&*engine).is_empty(),
        "not even a reservation"
    );
    put(&store, &new.join(&store), &new.whole("v1")).unwrap();
    check_fenced(put(&store, &late, &old.part("v1")), &["floor 2"]);
    assert_eq!(stored(&store, "t"), Some(2));
}

#[test]
fn a_floor_is_raised_and_never_lowered() {
    let (_, store) = new_store();
    start(&store, &Release::of(&[("t", 3)]), "t");
    let lease = Release::of(&[("t", 2)]).join(&store);
    let error = Rollout::new(&store)
        .start(&lease, "t", at(0), |_| {})
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    let floors = store.floors().unwrap();
    assert_eq!(floors.get("t").unwrap().version.get(), 3);
    // The same floor again changes nothing, not even the epoch.
    start(&store, &Release::of(&[("t", 3)]), "t");
    assert_eq!(store.floors().unwrap(), floors);
}

#[test]
fn a_write_needs_a_lease_that_was_taken_for_it() {
    let (_, store) = new_store();
    let release = Release::of(&[("t", 1)]);
    let lease = release.join(&store);
    put(&store, &lease, &release.whole("v1")).unwrap();
    let another = Release::of(&[("t", 2)]);
    let (base, _) = store.base(&lease, &course()).unwrap();
    let refused = store.publish(&lease, &base, &another.whole("v2"), Durability::Durable);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NoLease);
    leave(&store, &lease);
    let refused = store.publish(&lease, &base, &release.whole("v2"), Durability::Durable);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NoLease);
    let refused = store.base(&lease, &course());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NoLease);
    let refused = store.delete(&lease, &course());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NoLease);
    let entry = store.course(&course()).unwrap().unwrap();
    assert_eq!(entry.source_version().as_str(), "v1");
}

/// The heart of it: an old writer is overtaken by the floor at any moment of its publish, of a
/// course that is there and of one that is not. Either it was in time, and the gate says that what
/// it wrote is too old, or it is refused.
#[test]
fn a_writer_that_began_before_the_floor_was_raised_is_in_time_or_refused() {
    let (old, new) = (Release::of(&[("t", 1)]), Release::of(&[("t", 2)]));
    for is_stored in [false, true] {
        let (mut in_time, mut refused) = (0, 0);
        for n in 0.. {
            let engine = Arc::new(Meddling::default());
            let store = Arc::new(Store::with_engine(engine.clone()));
            let late = old.join(&store);
            if is_stored {
                put(&store, &late, &old.whole("v1")).unwrap();
            }
            let (operator, new) = (Arc::downgrade(&store), new.clone());
            let late_in_fleet = late.clone();
            let raised = engine.slip_in(n, move || {
                let store = operator.upgrade().unwrap();
                // As if it were dead: its lease ends, and it does not know.
                leave(&store, &late_in_fleet);
                start(&store, &new, "t");
                // It is alive, and joins again.
            });
            let (base, _) = match store.base(&late, &course()) {
                Ok(base) => base,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::NoLease, "{error}");
                    continue;
                }
            };
            let outcome = store.publish(&late, &base, &old.whole("v2"), Durability::Durable);
            engine.before.set(|| Ok(()));
            if !raised.happened() {
                outcome.unwrap();
                break;
            }
            store.abandon(&base).unwrap();
            let new = Release::of(&[("t", 2)]).join(&store);
            let gate = Rollout::new(&store).gate(&new, "t", WriteVersion::new(2).unwrap(), at(0));
            let is_open = gate.unwrap().is_open();
            let content = store.course(&course()).unwrap();
            let content = content.map(|entry| entry.source_version().as_str().to_owned());
            if outcome.is_ok() {
                in_time += 1;
                assert_eq!(content.as_deref(), Some("v2"), "operation {n}");
                // It was in time: it was there when the floor began to reach the courses.
                assert!(!is_open, "operation {n}");
            } else {
                refused += 1;
                assert_eq!(
                    content.as_deref(),
                    is_stored.then_some("v1"),
                    "operation {n}"
                );
                assert_eq!(is_open, !is_stored, "operation {n}");
            }
        }
        assert!(refused >= 3, "{in_time} in time, {refused} refused");
    }
}

/// The same with a lease that goes on: leases are for courtesy, the floor does not rest on them.
#[test]
fn the_floor_holds_without_leases() {
    let (old, new) = (Release::of(&[("t", 1)]), Release::of(&[("t", 2)]));
    for is_stored in [false, true] {
        for n in 0.. {
            let engine = Arc::new(Meddling::default());
            let store = Arc::new(Store::with_engine(engine.clone()));
            // It expires and nobody has removed it yet: whoever starts does that, and it comes back.
            let registration = Registration {
                worker: "late".to_owned(),
                release: "old".to_owned(),
                transformers: BTreeMap::from([("t".to_owned(), versions(1))]),
                lasts: Duration::from_secs(3600),
            };
            let (late, _) = Fleet::new(&store).join(&registration, at(0)).unwrap();
            if is_stored {
                put(&store, &late, &old.whole("v1")).unwrap();
            }
            // Known to the store as one that writes nothing of it, it does not block.
            let quiet = Release::of(&[("t", 2)]);
            let lease = quiet.join(&store);
            let (base, _) = store.base(&late, &course()).unwrap();
            let (operator, worker) = (Arc::downgrade(&store), lease.clone());
            let raised = engine.slip_in(n, move || {
                let store = operator.upgrade().unwrap();
                let now = at(7200);
                Fleet::new(&store).renew(&worker, now).unwrap();
                let started = Rollout::new(&store).start(&worker, "t", now, |_| {});
                assert!(matches!(started.unwrap(), Start::Started { .. }));
            });
            let outcome = store.publish(&late, &base, &old.whole("v2"), Durability::Durable);
            engine.before.set(|| Ok(()));
            if !raised.happened() {
                outcome.unwrap();
                break;
            }
            let error = outcome.unwrap_err();
            let kinds = [ErrorKind::NoLease, ErrorKind::Fenced, ErrorKind::Conflict];
            assert!(kinds.contains(&error.kind()), "operation {n}: {error}");
            let (late, _) = Fleet::new(&store).join(&registration, at(7200)).unwrap();
            check_fenced(put(&store, &late, &old.whole("v3")), &["floor 2"]);
            put(&store, &lease, &new.whole("v3")).unwrap();
            assert_eq!(stored(&store, "t"), Some(2), "operation {n}");
        }
    }
}

// What a floor protects.

#[test]
fn a_release_that_does_not_know_a_transformer_cannot_drop_its_data() {
    let (_, store) = new_store();
    let (old, new) = (Release::of(&[("t", 1)]), Release::of(&[("t", 1), ("u", 1)]));
    let (by_old, by_new) = (old.join(&store), new.join(&store));
    put(&store, &by_new, &new.whole("v1")).unwrap();
    // Before there is a floor, new content goes first …
    put(&store, &by_old, &old.whole("v2")).unwrap();
    assert_eq!(stored(&store, "u"), None);
    put(&store, &by_new, &new.part("v2")).unwrap();
    leave(&store, &by_old);
    start(&store, &new, "u");
    // … and afterwards it waits for somebody who knows both.
    let by_old = old.join(&store);
    check_fenced(
        put(&store, &by_old, &old.whole("v3")),
        &["\"u\"", "floor is 1"],
    );
    put(&store, &by_old, &old.part("v2")).unwrap();
    assert_eq!(
        (stored(&store, "t"), stored(&store, "u")),
        (Some(1), Some(1))
    );
}

#[test]
fn the_same_content_collected_again_keeps_what_it_does_not_bring() {
    let (_, store) = new_store();
    let (old, new) = (Release::of(&[("t", 1)]), Release::of(&[("t", 1), ("u", 1)]));
    let (by_old, by_new) = (old.join(&store), new.join(&store));
    put(&store, &by_new, &new.whole("v1")).unwrap();
    let before = store.course(&course()).unwrap().unwrap();
    put(&store, &by_old, &old.whole("v1")).unwrap();
    let after = store.course(&course()).unwrap().unwrap();
    assert!(after.generation() > before.generation());
    assert_eq!(after.records().len(), before.records().len());
    assert!(
        store
            .check(&course())
            .unwrap()
            .damages(&course())
            .is_empty()
    );
    let kept = store
        .lookup(&course(), "u", &versions(1))
        .unwrap()
        .fresh()
        .unwrap();
    assert_eq!(kept.header().generation(), after.generation());
    let value: (String, String) = kept
        .column()
        .unwrap()
        .entry(0)
        .unwrap()
        .unwrap()
        .decode()
        .unwrap();
    assert_eq!(value, ("u".to_owned(), "v1".to_owned()));

    // A transformer that fails on the same content keeps what it has, too.
    let mut failing = old.whole("v1");
    failing
        .failures
        .push(("u".to_owned(), versions(1), "no".to_owned()));
    let by_both = new.join(&store);
    put(&store, &by_both, &failing).unwrap();
    assert_eq!(stored(&store, "u"), Some(1));
    let entry = store.course(&course()).unwrap().unwrap();
    assert_eq!(entry.failures().len(), 1);

    // Other blocks, and its positions mean something else.
    let mut moved = old.whole("v1");
    let mut column = ColumnWriter::new();
    column.push_value("another").unwrap();
    column.push_absent().unwrap();
    moved.records[1].body = column.finish(&[]).unwrap();
    put(&store, &by_old, &moved).unwrap();
    assert_eq!(stored(&store, "u"), None);
}

#[test]
fn a_failure_of_code_above_the_floor_is_accepted_and_one_below_is_not() {
    let (_, store) = new_store();
    let new = Release::of(&[("t", 2), ("u", 1)]);
    start(&store, &new, "t");
    let failing = |write: u32| {
        let mut publication = Release::of(&[("u", 1)]).whole("v1");
        let failure = ("t".to_owned(), versions(write), "no".to_owned());
        publication.failures.push(failure);
        publication
    };
    let old = Release::of(&[("t", 1), ("u", 1)]);
    check_fenced(put(&store, &old.join(&store), &failing(1)), &["floor 2"]);
    put(&store, &new.join(&store), &failing(2)).unwrap();
    assert_eq!(stored(&store, "t"), None);
}

#[test]
fn a_shape_that_a_live_worker_does_not_know_waits() {
    let (_, store) = new_store();
    let old = Release::of(&[("t", 2)]);
    let by_old = old.join(&store);
    put(&store, &by_old, &old.whole("v1")).unwrap();
    let dropping = Release(vec![("t", needing(3, 3, 3))]);
    let by_new = dropping.join(&store);
    // Before the first floor the fleet is asked.
    check_fenced(put(&store, &by_new, &dropping.whole("v2")), &["version 3"]);
    let rollout = Rollout::new(&store);
    let Start::Refused(blockers) = rollout.start(&by_new, "t", at(0), |_| {}).unwrap() else {
        panic!("an old worker is alive");
    };
    // It writes less, could not decode, and its data is in the old shape.
    assert_eq!(blockers.len(), 3, "{blockers:?}");
    leave(&store, &by_old);
    // It could not read the record any more: a release that reads both shapes collects it first.
    let Start::Refused(blockers) = rollout.start(&by_new, "t", at(0), |_| {}).unwrap() else {
        panic!("a record is in the old shape");
    };
    assert_eq!(blockers.len(), 1, "{blockers:?}");
    assert!(blockers[0].to_string().contains("below version 3"));
    leave(&store, &by_new);
    let between = Release(vec![("t", needing(2, 3, 3))]);
    start(&store, &between, "t");
    let by_between = between.join(&store);
    put(&store, &by_between, &between.part("v1")).unwrap();
    let by_new = dropping.join(&store);
    // Both know the shape: the one in between may stay.
    assert!(matches!(
        rollout.start(&by_new, "t", at(0), |_| {}).unwrap(),
        Start::Started { .. }
    ));
    put(&store, &by_new, &dropping.whole("v2")).unwrap();
}

#[test]
fn what_was_retired_does_not_come_back() {
    let (_, store) = new_store();
    let both = Release::of(&[("t", 1), ("u", 4)]);
    let by_both = both.join(&store);
    put(&store, &by_both, &both.whole("v1")).unwrap();
    let rollout = Rollout::new(&store);
    let without = Release::of(&[("t", 1)]);
    let by_without = without.join(&store);
    let refused = rollout.retire(&by_without, "u", at(0), |_| {}).unwrap();
    assert!(matches!(refused, Retire::Refused(users) if users.len() == 1));
    let (base, _) = store.base(&by_both, &course()).unwrap();
    leave(&store, &by_both);
    let retired = rollout.retire(&by_without, "u", at(0), |_| {}).unwrap();
    let version = WriteVersion::new(4).unwrap();
    assert_eq!(
        retired,
        Retire::Retired {
            version,
            removed: 1
        }
    );
    assert_eq!((stored(&store, "t"), stored(&store, "u")), (Some(1), None));
    assert!(
        store
            .check(&course())
            .unwrap()
            .damages(&course())
            .is_empty()
    );
    // Not by one who was late, and not by one who comes with the name.
    let late = store.publish(&by_both, &base, &both.whole("v2"), Durability::Durable);
    assert_eq!(late.unwrap_err().kind(), ErrorKind::NoLease);
    let registration = Registration {
        worker: worker_name(),
        release: "back".to_owned(),
        transformers: BTreeMap::from([("u".to_owned(), versions(5))]),
        lasts: Duration::from_secs(1),
    };
    let error = Fleet::new(&store).join(&registration, at(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Registry);
    assert!(
        error.to_string().contains("retired at version 4"),
        "{error}"
    );
    put(&store, &by_without, &without.whole("v2")).unwrap();
    let unknown = rollout.retire(&by_without, "never", at(0), |_| {}).unwrap();
    assert_eq!(unknown, Retire::Unknown);
}

// Raising in the face of trouble.

#[test]
fn a_start_that_breaks_off_anywhere_is_finished_by_the_next_one() {
    let (old, new) = (Release::of(&[("t", 1)]), Release::of(&[("t", 2)]));
    let target = WriteVersion::new(2).unwrap();
    let mut broken_off = 0;
    for n in 1.. {
        let (engine, store) = new_store();
        let by_old = old.join(&store);
        put(&store, &by_old, &old.whole("v1")).unwrap();
        leave(&store, &by_old);
        let by_new = new.join(&store);
        let rollout = Rollout::new(&store);
        engine.fail_at(n);
        let outcome = rollout.start(&by_new, "t", at(0), |_| {});
        engine.fail_at(0);
        engine.crash();
        // Whatever became of it, nobody is told that READ may be raised.
        let gate = rollout.gate(&by_new, "t", target, at(0)).unwrap();
        assert!(matches!(gate, GateAnswer::Closed(_)), "operation {n}");
        if outcome.is_ok() {
            // Acknowledged means durable: floor, seal and task.
            let floors = store.floors().unwrap();
            assert_eq!(floors.get("t").unwrap().version, target);
            let entry = store.course(&course()).unwrap().unwrap();
            assert_eq!(entry.floor_epoch(), floors.epoch());
            let queue = courseblocks::rollout::Queue::new(&store);
            assert!(queue.task(&course()).unwrap().is_some());
            break;
        }
        broken_off += 1;
        let again = rollout.start(&by_new, "t", at(0), |_| {}).unwrap();
        assert!(
            matches!(again, Start::Started { enqueued: 1, .. }),
            "operation {n}"
        );
        put(&store, &by_new, &new.part("v1")).unwrap();
        let gate = rollout.gate(&by_new, "t", target, at(0)).unwrap();
        assert!(gate.is_open(), "operation {n}: {gate:?}");
    }
    assert!(broken_off > 8, "{broken_off}");
}

/// A row that nobody can read cannot say which floors it knows. It is changed nevertheless, so that
/// a late writer who has read it finds another one.
#[test]
fn a_floor_reaches_a_course_whose_row_is_damaged() {
    let (engine, store) = new_store();
    let (old, new) = (Release::of(&[("t", 1)]), Release::of(&[("t", 2)]));
    let by_old = old.join(&store);
    put(&store, &by_old, &old.whole("v1")).unwrap();
    tamper::damage_row(&*engine, &course());
    let before = tamper::everything(&*engine);
    leave(&store, &by_old);
    start(&store, &new, "t");
    assert_ne!(tamper::everything(&*engine), before);
    let row = store.course(&course()).unwrap_err();
    assert_eq!(row.kind(), ErrorKind::Damaged);
    check_fenced(
        put(&store, &old.join(&store), &old.whole("v2")),
        &["floor 2"],
    );
    put(&store, &new.join(&store), &new.whole("v2")).unwrap();
    assert_eq!(stored(&store, "t"), Some(2));
}

/// Somebody stored a course, and it was deleted again, while a slow writer still had the old
/// content in its hands: it used to bring it back.
#[test]
fn a_course_that_was_stored_and_deleted_meanwhile_is_another_one() {
    let (_, store) = new_store();
    let release = Release::of(&[("t", 1)]);
    let (slow, fast) = (release.join(&store), release.join(&store));
    let (base, _) = store.base(&slow, &course()).unwrap();
    put(&store, &fast, &release.whole("v2")).unwrap();
    assert!(store.delete(&fast, &course()).unwrap());
    let late = store.publish(&slow, &base, &release.whole("v1"), Durability::Durable);
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(store.course(&course()).unwrap(), None);
}

#[test]
fn a_reservation_is_seen_by_nobody() {
    let (engine, store) = new_store();
    let release = Release::of(&[("t", 1)]);
    let lease = release.join(&store);
    let (base, entry) = store.base(&lease, &course()).unwrap();
    assert_eq!(entry, None);
    assert_eq!(tamper::everything(&*engine).len(), 1);
    assert_eq!(store.course(&course()).unwrap(), None);
    assert_eq!(store.courses().count(), 0);
    assert!(store.traces().unwrap().courses.is_empty());
    assert!(!store.delete(&lease, &course()).unwrap());
    assert!(tamper::everything(&*engine).is_empty());
    let late = store.publish(&lease, &base, &release.whole("v1"), Durability::Durable);
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Conflict);
    let (base, _) = store.base(&lease, &course()).unwrap();
    store.abandon(&base).unwrap();
    assert!(tamper::everything(&*engine).is_empty());
    assert_eq!(engine.disk_bytes().unwrap(), 0);
}
