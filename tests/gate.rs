//! What an operator may rely on in a rollout: that a gate is open only when no course can be below
//! it, that it stays open, and that whatever is broken off can be gone on with.

#[path = "common/courses.rs"]
#[expect(dead_code, reason = "there are several courses here")]
mod courses;
#[path = "common/joined.rs"]
mod joined;
#[path = "common/meddling.rs"]
mod meddling;
#[path = "common/probe.rs"]
mod probe;
#[path = "common/recorder.rs"]
mod recorder;
#[path = "common/tamper.rs"]
#[expect(dead_code, reason = "only rows are damaged here")]
mod tamper;
#[path = "common/watched.rs"]
mod watched;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use courseblocks::engine::{Durability, Engine, MemoryEngine};
use courseblocks::modulestore::SourceVersion;
use courseblocks::record::ColumnWriter;
use courseblocks::rollout::{
    Backlog, Blocker, Event, Fleet, GateAnswer, Next, Notice, Queue, Reason, Retire, RetryPolicy,
    Rollout, Start, Step,
};
use courseblocks::{
    CourseKey, Error, ErrorKind, Lease, Manager, NewRecord, Publication, Scope, Store, Timestamp,
    UpdateOptions, Versions, WriteVersion,
};
use courses::Courses;
use joined::{joined, lease_for};
use meddling::Meddling;
use recorder::{Recorder, registry, versions, versions_with};
use watched::Watched;

/// A time at which those are alive who joined as common tests do, unless they joined for less.
fn at(seconds: u64) -> Timestamp {
    Timestamp::MIN.plus(Duration::from_secs(1000 + seconds))
}

fn version(version: u32) -> WriteVersion {
    WriteVersion::new(version).unwrap()
}

fn course(number: usize) -> CourseKey {
    format!("course-v1:Org+Course+{number}").parse().unwrap()
}

/// A store, and courses that are published.
struct World<E> {
    engine: Arc<E>,
    store: Arc<Store>,
    courses: Arc<Courses>,
    t: Recorder,
    u: Recorder,
}

impl<E: Engine + Default> World<E> {
    /// With this many courses, none of which is stored yet.
    fn new(courses: usize) -> Self {
        let engine = Arc::new(E::default());
        let world = Self {
            store: Arc::new(Store::with_engine(engine.clone())),
            engine,
            courses: Arc::default(),
            t: Recorder::new("t", 1, 1),
            u: Recorder::new("u", 1, 1),
        };
        for number in 0..courses {
            world.publish(number, "v1");
        }
        world
    }

    /// With this many courses, stored by a release with these versions of t that has left.
    fn stored(courses: usize, t: Versions) -> Self {
        let world = Self::new(courses);
        collect_all(&world.release(t));
        world
    }

    fn publish(&self, number: usize, version: &str) {
        self.courses.publish_course(&course(number), version, 3);
    }

    /// A release of t alone that has joined.
    fn release(&self, t: Versions) -> Manager {
        self.release_of(&[&self.t.with_versions(t)])
    }

    fn release_of(&self, transformers: &[&Recorder]) -> Manager {
        let courses = self.courses.clone();
        let registry = registry(transformers);
        joined(Manager::new(self.store.clone(), registry, courses))
    }

    fn rollout(&self) -> Rollout<'_> {
        Rollout::new(&self.store)
    }

    #[track_caller]
    fn start(&self, manager: &Manager, transformer: &str) -> Start {
        let lease = manager.lease().unwrap();
        let rollout = self.rollout();
        rollout.start(&lease, transformer, at(0), |_| {}).unwrap()
    }

    #[track_caller]
    fn start_fully(&self, manager: &Manager, transformer: &str) {
        let start = self.start(manager, transformer);
        assert!(matches!(start, Start::Started { .. }), "{start:?}");
    }

    #[track_caller]
    fn ask(&self, manager: &Manager, transformer: &str, target: u32) -> GateAnswer {
        let lease = manager.lease().unwrap();
        let target = version(target);
        self.rollout()
            .gate(&lease, transformer, target, at(0))
            .unwrap()
    }

    /// Why it is closed; nothing where it is open.
    #[track_caller]
    fn reasons(&self, manager: &Manager, transformer: &str, target: u32) -> Vec<Reason> {
        match self.ask(manager, transformer, target) {
            GateAnswer::Open(_) => Vec::new(),
            GateAnswer::Closed(reasons) => {
                assert!(!reasons.is_empty());
                reasons
            }
        }
    }

    #[track_caller]
    fn next(&self, manager: &Manager, transformer: &str) -> Next {
        let status = self.rollout().status(manager.registry(), at(0)).unwrap();
        let mut transformers = status.transformers.into_iter();
        let found = transformers.find(|status| status.name == transformer);
        found.unwrap().next
    }

    fn events(&self) -> Vec<Event> {
        let history = self.rollout().history().unwrap().into_iter();
        history.map(|entry| entry.event).collect()
    }

    /// The versions of a transformer that are stored, by course.
    fn versions(&self, transformer: &str) -> Vec<Option<u32>> {
        let entries = self.store.courses().map(|row| row.unwrap().1.unwrap());
        let versions = entries.map(|entry| {
            let record = entry.record(transformer);
            record.map(|record| record.header().write_version().get())
        });
        versions.collect()
    }
}

/// Brings all courses up to date.
fn collect_all(manager: &Manager) {
    let mut number = 0;
    while let Ok(updated) = manager.update(&course(number), &UpdateOptions::default()) {
        assert_eq!(updated.failures, []);
        number += 1;
    }
}

/// Works until there is nothing that could be taken now.
#[track_caller]
fn work(manager: &Manager) -> usize {
    let policy = RetryPolicy {
        attempts: 1,
        ..RetryPolicy::default()
    };
    for done in 0.. {
        match manager.work(&policy, at(0)).unwrap() {
            Step::Done { .. } | Step::Failed { .. } => {}
            Step::Idle { .. } => return done,
            other => panic!("{other:?}"),
        }
    }
    unreachable!("the queue never ends")
}

#[test]
fn a_rollout_goes_from_the_floor_to_the_gate() {
    let world = World::<MemoryEngine>::new(3);
    let a = world.release(versions(1, 1));
    collect_all(&a);
    let b = world.release(versions(1, 2));
    let Start::Refused(blockers) = world.start(&b, "t") else {
        panic!("the older release would be locked out");
    };
    let worker = a.lease().unwrap().worker().to_owned();
    let [Blocker::WritesLess { member, write }] = blockers.as_slice() else {
        panic!("{blockers:?}");
    };
    assert_eq!((&member.worker, *write), (&worker, Some(version(1))));
    assert!(blockers[0].to_string().contains(&worker));
    assert_eq!(world.events(), []);
    drop(a);
    let started = Start::Started {
        from: None,
        floor: version(2),
        expired: Vec::new(),
        enqueued: 3,
        up_to_date: 0,
    };
    assert_eq!(world.start(&b, "t"), started);
    let reasons = world.reasons(&b, "t", 2);
    let [
        Reason::Below {
            version: below,
            courses,
        },
    ] = reasons.as_slice()
    else {
        panic!("{reasons:?}");
    };
    assert_eq!((*below, courses.count), (version(1), 3));
    assert_eq!(courses.examples, [0, 1, 2].map(course));
    assert_eq!(work(&b), 3);
    let GateAnswer::Open(open) = world.ask(&b, "t", 2) else {
        panic!("nothing keeps it closed");
    };
    assert_eq!(
        (open.target, open.courses, open.opened_at),
        (version(2), 3, at(0))
    );
    let c = world.release(versions(2, 2));
    let collects = world.t.collects.calls();
    for number in 0..3 {
        c.get_collected(&course(number), &["t"]).unwrap();
    }
    assert_eq!(world.t.collects.calls(), collects);
    let again = Start::Started {
        from: Some(version(2)),
        floor: version(2),
        expired: Vec::new(),
        enqueued: 0,
        up_to_date: 3,
    };
    assert_eq!(world.start(&b, "t"), again);
    let [Event::FloorRaised { .. }, Event::GateOpened { .. }] = world.events()[..] else {
        panic!("{:?}", world.events());
    };
}

/// A course that could not be collected, one that is damaged, one that was never collected.
#[test]
fn a_gate_names_every_course_that_keeps_it_closed() {
    let world = World::<MemoryEngine>::stored(3, versions(1, 1));
    let b = world.release(versions(1, 2));
    let reasons = world.reasons(&b, "t", 2);
    assert!(matches!(
        reasons[..],
        [Reason::FloorTooLow { floor: None }, Reason::Below { .. }]
    ));
    world.start_fully(&b, "t");
    let too_high = world.reasons(&b, "t", 3);
    let Reason::FloorTooLow { floor: Some(floor) } = too_high[0] else {
        panic!("{too_high:?}");
    };
    assert_eq!(floor, version(2));
    world
        .t
        .collects
        .set(|| Err(Error::new(ErrorKind::Transformer, "no")));
    let policy = RetryPolicy {
        attempts: 1,
        ..RetryPolicy::default()
    };
    // The record of the first one stays beside its failure.
    let failed = b.work(&policy, at(0)).unwrap();
    assert!(matches!(failed, Step::Failed { .. }));
    world.t.collects.set(|| Ok(()));
    work(&b);
    tamper::damage_row(&*world.engine, &course(2));
    world.publish(3, "v1");
    let other = world.release_of(&[&world.t.with_versions(versions(1, 2)), &world.u]);
    other.update(&course(3), &UpdateOptions::default()).unwrap();
    let reasons = world.reasons(&b, "u", 1);
    assert!(
        matches!(&reasons[..], [Reason::FloorTooLow { .. }, Reason::Unreadable(_), Reason::Missing(missing)] if missing.count == 2),
        "{reasons:?}"
    );
    let reasons = world.reasons(&b, "t", 2);
    let [
        Reason::Unreadable(unreadable),
        Reason::Below { courses, .. },
        Reason::Failing { count: 1, examples },
    ] = reasons.as_slice()
    else {
        panic!("{reasons:?}");
    };
    assert_eq!(unreadable.examples, [course(2)]);
    assert_eq!(courses.examples, [course(0)]);
    let failing = &examples[0];
    assert_eq!((&failing.course, failing.attempts), (&course(0), 1));
    assert!(failing.error.ends_with("no") && failing.write_version == version(2));
    for reason in &reasons {
        assert!(reason.to_string().contains("course-v1:Org"), "{reason}");
    }
    // Each is cured by collecting again.
    for number in [0, 2] {
        b.update(&course(number), &UpdateOptions::default())
            .unwrap();
    }
    assert_eq!(world.reasons(&b, "t", 2), []);
}

fn publication(source: &str, write: u32) -> Publication {
    let mut column = ColumnWriter::new();
    column.push_value(&source).unwrap();
    let record = NewRecord {
        name: "t".to_owned(),
        versions: versions(1, write),
        body: column.finish_value(&()).unwrap(),
    };
    Publication {
        scope: Scope::Whole,
        source_version: SourceVersion::new(source).unwrap(),
        origin: None,
        blocks: 1,
        records: vec![record],
        failures: Vec::new(),
        errors: 0,
        warnings: 0,
    }
}

fn put(store: &Store, lease: &Lease, number: usize, source: &str, write: u32) {
    let (base, _) = store.base(lease, &course(number)).unwrap();
    let publication = publication(source, write);
    let put = store.publish(lease, &base, &publication, Durability::Durable);
    put.unwrap();
}

/// A writer of version 1 is held up at every moment of its put, while the rollout of version 2
/// begins, breaks off at every moment, and the gate is asked.
#[test]
fn no_gate_opens_over_a_put_that_is_under_way_wherever_its_start_broke_off() {
    /// Whether all was done without breaking off.
    fn check(number: usize, moment: usize, fails_at: u64) -> (bool, bool) {
        let engine = Arc::new(Meddling::default());
        let store = Arc::new(Store::with_engine(engine.clone()));
        let newer = lease_for(&store, [("t", versions(1, 2))]);
        put(&store, &newer, 0, "v1", 2);
        let older = lease_for(&store, [("t", versions(1, 1))]);
        let (base, _) = store.base(&older, &course(number)).unwrap();
        let told = Arc::new(Mutex::new(None));
        let slipped_in = {
            let (engine, store, told) = (engine.clone(), store.clone(), told.clone());
            let (newer, older) = (newer.clone(), older.clone());
            let inner = engine.clone();
            engine.slip_in(moment, move || {
                Fleet::new(&store).leave(&older).unwrap();
                let rollout = Rollout::new(&store);
                inner.inner.fail_at(fails_at);
                let start = rollout.start(&newer, "t", at(0), |_| {});
                inner.inner.fail_at(0);
                let answer = rollout.gate(&newer, "t", version(2), at(0)).unwrap();
                *told.lock().unwrap() = Some((start.is_ok(), answer.is_open()));
            })
        };
        let late = publication("v2", 1);
        let landed = store.publish(&older, &base, &late, Durability::Buffered);
        if !slipped_in.happened() {
            landed.unwrap();
            return (true, true);
        }
        engine.before.set(|| Ok(()));
        let (is_started, is_open) = told.lock().unwrap().take().unwrap();
        let entry = store.course(&course(number)).unwrap();
        let stored = entry.and_then(|entry| {
            let record = entry.record("t")?;
            Some(record.header().write_version())
        });
        if landed.is_ok() {
            assert!(
                !is_open,
                "open over a put at {moment}, start broke off at {fails_at}"
            );
            assert!(!is_started, "a put at {moment} landed below the floor");
            assert_eq!(stored, Some(version(1)));
        }
        // Whoever starts again finishes, and what landed is on the queue.
        let rollout = Rollout::new(&store);
        let start = rollout.start(&newer, "t", at(0), |_| {}).unwrap();
        assert!(matches!(start, Start::Started { .. }), "{start:?}");
        let queue = Queue::new(&store);
        let is_below = stored == Some(version(1));
        assert_eq!(queue.task(&course(number)).unwrap().is_some(), is_below);
        let answer = rollout.gate(&newer, "t", version(2), at(0)).unwrap();
        assert_eq!(answer.is_open(), !is_below);
        if is_below {
            put(&store, &newer, number, "v2", 2);
            let answer = rollout.gate(&newer, "t", version(2), at(0)).unwrap();
            assert!(answer.is_open(), "{answer:?}");
        }
        (false, is_started)
    }

    // Of a course that is stored, and of one that is not.
    for number in [0, 1] {
        'moments: for moment in 0.. {
            for fails_at in 1.. {
                match check(number, moment, fails_at) {
                    (true, _) => {
                        assert!(moment > 3);
                        break 'moments;
                    }
                    (false, true) => break,
                    (false, false) => {}
                }
            }
        }
    }
}

#[test]
fn a_start_that_breaks_off_anywhere_opens_nothing_and_is_finished_by_the_next_one() {
    for moment in 1.. {
        let world = World::<MemoryEngine>::stored(3, versions(1, 1));
        let b = world.release(versions(1, 2));
        let lease = b.lease().unwrap();
        world.engine.fail_at(moment);
        let start = world.rollout().start(&lease, "t", at(0), |_| {});
        world.engine.fail_at(0);
        let is_done = start.is_ok();
        assert!(!world.ask(&b, "t", 2).is_open());
        world.engine.crash();
        assert!(!world.ask(&b, "t", 2).is_open());
        let Start::Started { enqueued, .. } = world.start(&b, "t") else {
            panic!("nobody is in its way");
        };
        assert_eq!(enqueued, 3);
        world.engine.crash();
        assert_eq!(work(&b), 3, "broken off at {moment}");
        assert_eq!(world.reasons(&b, "t", 2), []);
        let raised = world.events();
        let raised = raised
            .iter()
            .filter(|event| matches!(event, Event::FloorRaised { .. }));
        assert_eq!(raised.count(), 1, "broken off at {moment}");
        if is_done {
            assert!(moment > 10);
            return;
        }
    }
}

#[test]
fn an_open_gate_is_not_judged_again_and_stays_open_while_the_floor_holds() {
    let world = World::<Watched>::stored(5, versions(1, 2));
    let b = world.release(versions(1, 2));
    world.start_fully(&b, "t");
    let (answer, cost) = world.engine.cost(|| world.ask(&b, "t", 2));
    assert!(answer.is_open() && cost.rows == 5, "{cost:?}");
    for target in [2, 1, 2] {
        let (answer, cost) = world.engine.cost(|| world.ask(&b, "t", target));
        let GateAnswer::Open(open) = answer else {
            panic!("it was open at 2");
        };
        assert_eq!((open.target, open.courses), (version(2), 5));
        assert!(cost.rows == 0 && cost.operations < 6, "{cost:?}");
    }
    // Whatever current workers add.
    world.publish(5, "v1");
    b.update(&course(5), &UpdateOptions::default()).unwrap();
    world.publish(0, "v2");
    b.update(&course(0), &UpdateOptions::default()).unwrap();
    let (answer, cost) = world.engine.cost(|| world.ask(&b, "t", 2));
    assert!(answer.is_open() && cost.rows == 0);
    assert!(world.reasons(&b, "t", 2).is_empty());
    assert_eq!(world.rollout().open_gates().unwrap().len(), 1);
    let opened = world.events();
    let opened = opened
        .iter()
        .filter(|event| matches!(event, Event::GateOpened { .. }));
    assert_eq!(opened.count(), 1);
}

#[test]
fn a_gate_is_closed_where_the_data_was_taken_until_it_is_judged_there() {
    let world = World::<Watched>::stored(2, versions(1, 2));
    let b = world.release(versions(1, 2));
    world.start_fully(&b, "t");
    assert!(world.ask(&b, "t", 2).is_open());
    let c = world.release(versions(2, 2));
    assert_eq!(c.join("c", "c", Duration::from_secs(1), at(0)).unwrap(), []);
    world.engine.move_to("a copy");
    assert!(world.rollout().open_gates().unwrap().is_empty());
    let notices = c.join("c", "c", Duration::from_secs(1), at(0)).unwrap();
    assert!(matches!(notices[..], [Notice::AheadOfGate { .. }]));
    // Something old came with it.
    tamper::damage_row(&*world.engine, &course(0));
    let reasons = world.reasons(&b, "t", 2);
    assert!(matches!(reasons[..], [Reason::Unreadable(_)]));
    b.update(&course(0), &UpdateOptions::default()).unwrap();
    let (answer, cost) = world.engine.cost(|| world.ask(&b, "t", 2));
    assert!(answer.is_open() && cost.rows == 2);
    let (answer, cost) = world.engine.cost(|| world.ask(&b, "t", 2));
    assert!(answer.is_open() && cost.rows == 0);
}

#[test]
fn an_engine_that_fails_while_a_gate_is_judged_opens_none_that_is_not_recorded() {
    for moment in 1.. {
        let world = World::<MemoryEngine>::stored(2, versions(1, 2));
        let b = world.release(versions(1, 2));
        world.start_fully(&b, "t");
        let lease = b.lease().unwrap();
        world.engine.fail_at(moment);
        let answer = world.rollout().gate(&lease, "t", version(2), at(0));
        world.engine.fail_at(0);
        let is_done = answer.is_ok();
        world.engine.crash();
        let open = world.rollout().open_gates().unwrap();
        let opened = world.events();
        let opened = opened
            .iter()
            .filter(|event| matches!(event, Event::GateOpened { .. }));
        assert_eq!(
            (open.len(), opened.count()),
            (usize::from(is_done), usize::from(is_done))
        );
        assert!(world.ask(&b, "t", 2).is_open());
        if is_done {
            assert!(moment > 5);
            return;
        }
    }
}

#[test]
fn transformers_are_rolled_out_independently_of_one_another() {
    let world = World::<MemoryEngine>::new(2);
    let a = world.release_of(&[&world.t, &world.u]);
    collect_all(&a);
    drop(a);
    let t2 = world.t.with_versions(versions(1, 2));
    let b = world.release_of(&[&t2, &world.u]);
    world.start_fully(&b, "t");
    assert_eq!(work(&b), 2);
    assert_eq!(
        (world.versions("t"), world.versions("u")),
        (vec![Some(2); 2], vec![Some(1); 2])
    );
    assert!(world.ask(&b, "t", 2).is_open());
    assert!(matches!(
        world.reasons(&b, "u", 1)[..],
        [Reason::FloorTooLow { floor: None }]
    ));
    let collects = world.u.collects.calls();
    world.start_fully(&b, "u");
    assert_eq!(work(&b), 0, "there is nothing to do for u");
    assert!(world.ask(&b, "u", 1).is_open());
    assert_eq!(world.u.collects.calls(), collects);
    assert_eq!(world.rollout().open_gates().unwrap().len(), 2);
}

#[test]
fn a_transformer_is_introduced_with_optional_data() {
    let world = World::<MemoryEngine>::stored(2, versions(1, 1));
    let u = world.u.with_versions(versions(0, 1));
    let b = world.release_of(&[&world.t, &u]);
    // It does without until all have it.
    b.get_collected(&course(0), &["u"]).unwrap();
    assert_eq!(world.versions("u"), [None, None]);
    assert_eq!(world.next(&b, "u"), Next::Start);
    world.start_fully(&b, "u");
    assert!(matches!(&world.reasons(&b, "u", 1)[..], [Reason::Missing(found)] if found.count == 2));
    assert_eq!(work(&b), 2);
    assert!(world.ask(&b, "u", 1).is_open());
    assert_eq!(world.next(&b, "u"), Next::RaiseRead { target: version(1) });
    // A release without it cannot drop it any more.
    let without = world.release(versions(1, 1));
    world.publish(0, "v2");
    let refused = without
        .update(&course(0), &UpdateOptions::default())
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Fenced);
    assert_eq!(world.versions("u"), [Some(1), Some(1)]);
}

#[test]
fn a_release_may_skip_a_version() {
    let world = World::<MemoryEngine>::stored(3, versions(1, 1));
    let b = world.release(versions(1, 2));
    b.update(&course(1), &UpdateOptions::default()).unwrap();
    drop(b);
    let c = world.release(versions(1, 3));
    world.start_fully(&c, "t");
    let reasons = world.reasons(&c, "t", 3);
    let below = reasons.iter().map(|reason| match reason {
        Reason::Below { version, courses } => (version.get(), courses.count),
        other => panic!("{other:?}"),
    });
    assert_eq!(below.collect::<Vec<_>>(), [(1, 2), (2, 1)]);
    // Version 2 would do for those who read it.
    let reasons = world.reasons(&c, "t", 2);
    assert!(matches!(&reasons[..], [Reason::Below { version, .. }] if version.get() == 1));
    work(&c);
    assert!(world.ask(&c, "t", 3).is_open());
    assert!(world.ask(&c, "t", 2).is_open());
}

/// Everything that is stored of a transformer.
fn traces<E: Engine + Default>(world: &World<E>) -> usize {
    let records = world.versions("t").into_iter().flatten().count();
    let bodies = (0..3).map(|number| tamper::records(&*world.engine, &course(number)));
    let bodies = bodies.flatten().filter(|(name, _)| name == "t").count();
    records + bodies + world.rollout().open_gates().unwrap().len()
}

#[test]
fn a_retirement_that_breaks_off_anywhere_is_finished_by_the_next_one() {
    for moment in 1.. {
        let world = World::<MemoryEngine>::new(3);
        let both = world.release_of(&[&world.t, &world.u]);
        collect_all(&both);
        world.start_fully(&both, "t");
        assert!(world.ask(&both, "t", 1).is_open());
        drop(both);
        let only_u = world.release_of(&[&world.u]);
        let lease = only_u.lease().unwrap();
        let retire = || world.rollout().retire(&lease, "t", at(0), |_| {});
        world.engine.fail_at(moment);
        let broken_off = retire();
        world.engine.fail_at(0);
        world.engine.crash();
        let gone = Retire::Retired {
            version: version(1),
            removed: 3,
        };
        let is_done = broken_off.is_ok();
        if is_done {
            assert_eq!(broken_off.unwrap(), gone);
        } else {
            // No gate is open over records that are gone.
            let is_open = !world.rollout().open_gates().unwrap().is_empty();
            assert!(!is_open || world.versions("t") == [Some(1); 3]);
            assert!(matches!(retire().unwrap(), Retire::Retired { .. }));
        }
        assert_eq!(traces(&world), 0, "broken off at {moment}");
        assert_eq!(world.versions("u"), [Some(1); 3]);
        let retired = world.events();
        let retired = retired
            .iter()
            .filter(|event| matches!(event, Event::Retired { .. }));
        assert_eq!(retired.count(), 1);
        assert!(matches!(
            retire().unwrap(),
            Retire::Retired { removed: 0, .. }
        ));
        assert_eq!(world.next(&only_u, "t"), Next::Retired);
        assert_eq!(world.reasons(&only_u, "t", 1), [Reason::Retired]);
        let courses = world.courses.clone();
        let back = Manager::new(world.store.clone(), registry(&[&world.t]), courses);
        let refused = back.join("back", "back", Duration::from_secs(1), at(0));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Registry);
        if is_done {
            assert!(moment > 10);
            return;
        }
    }
}

#[test]
fn a_gate_that_is_judged_while_its_transformer_is_retired_stays_closed() {
    for moment in 0.. {
        let world = World::<Meddling>::new(2);
        let both = world.release_of(&[&world.t, &world.u]);
        collect_all(&both);
        world.start_fully(&both, "t");
        // The other gate stays as it is.
        world.start_fully(&both, "u");
        assert!(world.ask(&both, "u", 1).is_open());
        drop(both);
        let operator = world.release_of(&[&world.u]);
        let (store, lease) = (world.store.clone(), operator.lease().unwrap());
        let slipped_in = world.engine.slip_in(moment, move || {
            let retired = Rollout::new(&store).retire(&lease, "t", at(0), |_| {});
            assert!(matches!(retired.unwrap(), Retire::Retired { .. }));
        });
        let reasons = world.reasons(&operator, "t", 1);
        if !slipped_in.happened() {
            assert!(moment > 3);
            assert_eq!(reasons, []);
            return;
        }
        assert_ne!(reasons, [], "at {moment}");
    }
}

#[test]
fn a_late_put_of_what_is_retired_leaves_nothing_behind() {
    // Of a course that is stored without it, and of one that is not stored.
    for number in [0, 1] {
        for moment in 0.. {
            let engine = Arc::new(Meddling::default());
            let store = Arc::new(Store::with_engine(engine.clone()));
            let late = lease_for(&store, [("t", versions(1, 1))]);
            // Otherwise nothing would be known of it.
            put(&store, &late, 2, "v1", 1);
            let mut without = publication("v1", 1);
            without.records.clear();
            let (base, _) = store.base(&late, &course(0)).unwrap();
            let published = store.publish(&late, &base, &without, Durability::Durable);
            published.unwrap();
            let operator = lease_for(&store, []);
            let (base, _) = store.base(&late, &course(number)).unwrap();
            let slipped_in = {
                let (store, late) = (store.clone(), late.clone());
                engine.slip_in(moment, move || {
                    Fleet::new(&store).leave(&late).unwrap();
                    let retired = Rollout::new(&store).retire(&operator, "t", at(0), |_| {});
                    assert!(matches!(retired.unwrap(), Retire::Retired { .. }));
                })
            };
            let put = store.publish(&late, &base, &publication("v2", 1), Durability::Durable);
            if !slipped_in.happened() {
                assert!(moment > 3);
                break;
            }
            put.unwrap_err();
            engine.before.set(|| Ok(()));
            for row in store.courses() {
                let entry = row.unwrap().1.unwrap();
                assert!(entry.record("t").is_none(), "at {moment}");
            }
        }
    }
}

/// A crashed worker is in nobody's way once its lease has expired, whether the floor is there or not.
#[test]
fn a_start_removes_those_who_are_dead_and_tells_who_they_were() {
    let world = World::<MemoryEngine>::stored(1, versions(1, 1));
    let b = world.release(versions(1, 2));
    for (number, from) in [(1, None), (2, Some(version(2)))] {
        let courses = world.courses.clone();
        let dead = Manager::new(world.store.clone(), registry(&[&world.t]), courses);
        let name = format!("dead {number}");
        dead.join(&name, "old", Duration::from_secs(10), at(0))
            .unwrap();
        let lease = b.lease().unwrap();
        let start = |now| world.rollout().start(&lease, "t", now, |_| {}).unwrap();
        // A floor that is there holds off nobody.
        let early = start(at(9));
        assert_eq!(matches!(early, Start::Refused(_)), from.is_none());
        let Start::Started {
            from: was, expired, ..
        } = start(at(10))
        else {
            panic!("it is dead");
        };
        assert_eq!(was, from);
        let names: Vec<_> = expired.iter().map(|member| &member.worker).collect();
        assert_eq!(names, [&name]);
        assert_eq!(dead.lease().unwrap().worker(), name);
        let renewed = Fleet::new(&world.store).renew(&dead.lease().unwrap(), at(10));
        assert_eq!(renewed.unwrap_err().kind(), ErrorKind::NoLease);
    }
    let expired = world.events();
    let expired = expired
        .iter()
        .filter(|event| matches!(event, Event::WorkerExpired { .. }));
    assert_eq!(expired.count(), 2);
}

#[test]
fn a_transformer_in_use_is_not_retired() {
    let world = World::<MemoryEngine>::stored(2, versions(1, 1));
    let user = world.release(versions(1, 1));
    let operator = world.release_of(&[&world.u]);
    let lease = operator.lease().unwrap();
    let retire = |name, now| world.rollout().retire(&lease, name, now, |_| {}).unwrap();
    let Retire::Refused(users) = retire("t", at(0)) else {
        panic!("it is in use");
    };
    assert_eq!(users.len(), 1);
    assert_eq!(users[0].worker, user.lease().unwrap().worker());
    // Also by those who would retire it.
    let own = user.lease().unwrap();
    let refused = world.rollout().retire(&own, "t", at(0), |_| {}).unwrap();
    assert!(matches!(refused, Retire::Refused(_)));
    assert_eq!(retire("unknown", at(0)), Retire::Unknown);
    assert_eq!(world.versions("t"), [Some(1); 2]);
    // It is dead.
    let retired = retire("t", at(1_000_000));
    assert!(matches!(retired, Retire::Retired { removed: 2, .. }));
}

#[test]
fn a_shape_is_dropped_when_nobody_needs_it_any_more() {
    let world = World::<MemoryEngine>::new(2);
    let a = world.release(versions(1, 1));
    collect_all(&a);
    drop(a);
    // Version 3 drops the shape of version 1: for that, all have to be at 2 at least.
    let c = world.release(versions_with(2, 3, 2));
    let Start::Refused(blockers) = world.start(&c, "t") else {
        panic!("there are records of version 1");
    };
    assert!(
        matches!(blockers[..], [Blocker::OldShape { courses: 2, .. }]),
        "{blockers:?}"
    );
    assert!(matches!(world.next(&c, "t"), Next::Start));
    drop(c);
    let b = world.release(versions(1, 2));
    world.start_fully(&b, "t");
    work(&b);
    // A reader of version 1 came back: it may read what it knows.
    let rolled_back = world.release(versions(1, 1));
    rolled_back.get_collected(&course(0), &["t"]).unwrap();
    let c = world.release(versions_with(2, 3, 2));
    let Start::Refused(blockers) = world.start(&c, "t") else {
        panic!("somebody could not read it");
    };
    let hurt = blockers.iter().map(|blocker| match blocker {
        Blocker::WritesLess { write, .. } => ("writes less", *write),
        Blocker::CannotDecode { write, .. } => ("cannot decode", Some(*write)),
        other => panic!("{other}"),
    });
    let mut hurt: Vec<_> = hurt.collect();
    hurt.sort_unstable();
    let expected = [
        ("cannot decode", Some(version(1))),
        ("writes less", Some(version(2))),
    ];
    assert_eq!(hurt, expected);
    let refused = c.update(&course(0), &UpdateOptions::default()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Fenced);
    drop((b, rolled_back));
    world.start_fully(&c, "t");
    work(&c);
    assert_eq!(world.versions("t"), [Some(3); 2]);
    assert!(world.ask(&c, "t", 3).is_open());
    let dropped = world.events();
    let dropped = dropped
        .iter()
        .filter(|event| matches!(event, Event::ShapeDropped { .. }));
    assert_eq!(dropped.count(), 1);
    let too_old = world.release(versions(1, 1));
    let refused = too_old.get_collected(&course(0), &["t"]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooNew);
}

#[test]
fn the_status_tells_what_to_do_next() {
    let world = World::<MemoryEngine>::new(3);
    let a = world.release(versions(1, 1));
    assert_eq!(world.next(&a, "t"), Next::Nothing);
    collect_all(&a);
    assert_eq!(world.next(&a, "t"), Next::Nothing);
    let b = world.release(versions(1, 2));
    assert!(matches!(&world.next(&b, "t"), Next::EndWorkers(blockers) if blockers.len() == 1));
    drop(a);
    assert_eq!(world.next(&b, "t"), Next::Start);
    world.start_fully(&b, "t");
    assert_eq!(world.next(&b, "t"), Next::Work { tasks: 3 });
    let queue = Queue::new(&world.store);
    let lease = b.lease().unwrap();
    queue.pause(&lease, at(0)).unwrap();
    assert_eq!(world.next(&b, "t"), Next::Resume);
    queue.resume(&lease, at(0)).unwrap();
    // A course whose row is damaged waits there with the others.
    tamper::damage_row(&*world.engine, &course(2));
    for tasks in [3, 2, 1] {
        assert_eq!(world.next(&b, "t"), Next::Work { tasks });
        assert!(matches!(
            b.work(&RetryPolicy::default(), at(0)).unwrap(),
            Step::Done { .. }
        ));
    }
    assert_eq!(world.next(&b, "t"), Next::AskGate);
    world.ask(&b, "t", 2);
    assert_eq!(world.next(&b, "t"), Next::RaiseRead { target: version(2) });
    let older = world.release(versions(1, 1));
    assert_eq!(world.next(&older, "t"), Next::OlderRelease);
    let c = world.release(versions(2, 2));
    assert_eq!(world.next(&c, "t"), Next::Nothing);
    let without = world.release_of(&[&world.u]);
    assert_eq!(world.next(&without, "t"), Next::NotInThisRelease);
    drop((older, without));
    // Something fails for good.
    drop((b, c));
    let d = world.release(versions(2, 3));
    world.start_fully(&d, "t");
    world
        .t
        .collects
        .set(|| Err(Error::new(ErrorKind::Transformer, "no")));
    work(&d);
    assert_eq!(world.next(&d, "t"), Next::LookAtFailures);
    // Somebody took the tasks away.
    let which = Backlog::Quarantined;
    Queue::new(&world.store)
        .drop(&d.lease().unwrap(), &which)
        .unwrap();
    assert_eq!(world.next(&d, "t"), Next::Start);
}
