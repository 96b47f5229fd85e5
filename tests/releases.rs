//! Releases of one transformer on one store, in one process: what a schema change costs, counted in
//! collects, from the first worker of a new release to the way back.

#[expect(dead_code, reason = "others need one course only")]
#[path = "common/courses.rs"]
mod courses;
#[path = "common/engines.rs"]
mod engines;
#[path = "common/probe.rs"]
mod probe;
#[path = "common/recorder.rs"]
mod recorder;

use std::sync::Arc;
use std::time::Duration;

use courseblocks::engine::{Engine, MemoryEngine};
use courseblocks::rollout::{
    Backlog, Blocker, Enqueued, Fleet, GateAnswer, Notice, Priority, Queue, Reason, Registration,
    Retire, RetryPolicy, Rollout, Start, Step,
};
use courseblocks::{
    CourseKey, Error, ErrorKind, Manager, Renewed, Store, Timestamp, UpdateOptions, Updated,
    Versions, WriteVersion,
};
use courses::Courses;
use recorder::{Recorder, Stamp, registry, versions, versions_with};

const COURSES: usize = 20;

/// A store, the courses, and the two transformers of every release: `t` changes, `u` does not.
struct House {
    store: Arc<Store>,
    courses: Arc<Courses>,
    t: Recorder,
    u: Recorder,
}

/// What was done so far.
#[derive(Debug, PartialEq)]
struct Work {
    loads: usize,
    collects_of_t: usize,
    collects_of_u: usize,
}

impl House {
    fn on(engine: Arc<dyn Engine>) -> Self {
        let courses = Courses::default();
        for number in 0..COURSES {
            courses.publish_course(&key(number), "v1", 5);
        }
        Self {
            store: Arc::new(Store::with_engine(engine)),
            courses: Arc::new(courses),
            t: Recorder::new("t", 1, 1),
            u: Recorder::new("u", 1, 1),
        }
    }

    fn in_memory() -> Self {
        Self::on(Arc::new(MemoryEngine::new()))
    }

    /// A release that has `u`, and `t` with these versions.
    fn release(&self, t: Versions) -> Manager {
        let t = self.t.with_versions(t);
        let registry = registry(&[&t, &self.u]);
        Manager::new(Arc::clone(&self.store), registry, self.courses.clone())
    }

    /// A release without `t`.
    fn release_without(&self) -> Manager {
        let registry = registry(&[&self.u]);
        Manager::new(Arc::clone(&self.store), registry, self.courses.clone())
    }

    fn rollout(&self) -> Rollout<'_> {
        Rollout::new(&self.store)
    }

    fn queue(&self) -> Queue<'_> {
        Queue::new(&self.store)
    }

    fn work(&self) -> Work {
        Work {
            loads: self.courses.loads.calls(),
            collects_of_t: self.t.collects.calls(),
            collects_of_u: self.u.collects.calls(),
        }
    }

    /// How many courses hold less of `t` than `target`, by their own headers.
    fn below(&self, target: u32) -> usize {
        let entries = self.store.courses().map(|row| row.unwrap().1.unwrap());
        let is_below = entries.map(|entry| {
            let record = entry.record("t");
            record.is_none_or(|record| record.header().write_version().get() < target)
        });
        is_below.filter(|is_below| *is_below).count()
    }

    #[track_caller]
    fn start(&self, manager: &Manager) -> Start {
        let lease = manager.lease().unwrap();
        self.rollout().start(&lease, "t", at(1), |_| {}).unwrap()
    }

    /// Puts what is outdated on the queue, and works it off. Answers how many courses there were.
    #[track_caller]
    fn roll_out(&self, manager: &Manager) -> usize {
        let Start::Started { enqueued, .. } = self.start(manager) else {
            panic!("it is refused");
        };
        let mut done = 0;
        while work(manager).is_some() {
            done += 1;
        }
        assert_eq!(u64::try_from(done), Ok(enqueued));
        done
    }

    #[track_caller]
    fn gate(&self, manager: &Manager, target: u32) -> GateAnswer {
        let (lease, target) = (manager.lease().unwrap(), WriteVersion::new(target).unwrap());
        self.rollout().gate(&lease, "t", target, at(2)).unwrap()
    }

    /// Panics unless every course is served, and nothing was done for it. Answers with what `t`
    /// stored for the blocks of the first course, and by which versions.
    #[track_caller]
    fn serves(&self, manager: &Manager, names: &[&str]) -> Vec<Stamp> {
        let before = self.work();
        let mut first = None;
        for number in 0..COURSES {
            let collected = manager.get_collected(&key(number), names).unwrap();
            let structure = collected.structure();
            let stamps = structure.blocks().map(|block| {
                let block = structure.key(block);
                let stamp = manager.get_block(collected.course(), &self.t, block);
                stamp.unwrap().expect("every block has one")
            });
            let stamps: Vec<_> = stamps.collect();
            first.get_or_insert(stamps);
        }
        assert_eq!(self.work(), before, "nothing is collected again");
        first.unwrap_or_default()
    }
}

fn key(number: usize) -> CourseKey {
    format!("course-v1:Org+C{number:02}+Run").parse().unwrap()
}

/// Seconds after an arbitrary moment.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_800_000_000_000_000 + seconds * 1_000_000).unwrap()
}

const LEASE: Duration = Duration::from_secs(30);

#[track_caller]
fn join(manager: &Manager, worker: &str) -> Vec<Notice> {
    manager.join(worker, worker, LEASE, at(0)).unwrap()
}

#[track_caller]
fn update(manager: &Manager, number: usize) -> Updated {
    let updated = manager.update(&key(number), &UpdateOptions::default());
    updated.unwrap()
}

/// Works off one task; `None` where there is none.
#[track_caller]
fn work(manager: &Manager) -> Option<CourseKey> {
    match manager.work(&RetryPolicy::default(), at(1)).unwrap() {
        Step::Done { course, .. } => Some(course),
        Step::Idle {
            next: None,
            claimed_by_others: 0,
        } => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_schema_change_collects_each_course_once_and_the_way_back_none() {
    engines::on_each(|engine, _| {
        let house = House::on(engine);
        let a = house.release(versions(1, 1));
        join(&a, "a");
        for number in 0..COURSES {
            update(&a, number);
        }
        let written_by_a = house.serves(&a, &["t", "u"]);

        // B joins, and both read and write.
        let b = house.release(versions(1, 2));
        assert_eq!(join(&b, "b"), []);
        house.serves(&b, &["t", "u"]);
        update(&b, 0);
        house.serves(&a, &["t", "u"]);
        house.courses.publish_course(&key(1), "v2", 6);
        update(&a, 1);
        house.serves(&b, &["t", "u"]);

        // No floor while A lives, and so no open gate.
        match house.start(&b) {
            Start::Refused(blockers) => match &blockers[..] {
                [Blocker::WritesLess { member, write }] => {
                    assert_eq!(
                        (member.worker.as_str(), *write),
                        ("a", WriteVersion::new(1))
                    );
                }
                other => panic!("{other:?}"),
            },
            other @ Start::Started { .. } => panic!("{other:?}"),
        }
        assert!(!house.gate(&b, 2).is_open());
        assert!(a.leave().unwrap());

        // Each course is collected once, and the gate is closed until the last one is.
        let before = house.work();
        let Start::Started {
            enqueued,
            up_to_date,
            ..
        } = house.start(&b)
        else {
            panic!("it is refused");
        };
        assert_eq!((enqueued, up_to_date), (COURSES as u64 - 1, 1));
        let mut published = None;
        loop {
            let below = house.below(2);
            match house.gate(&b, 2) {
                GateAnswer::Open(_) => assert_eq!(below, 0),
                GateAnswer::Closed(reasons) => match &reasons[..] {
                    [Reason::Below { version, courses }] => {
                        assert_eq!(*version, WriteVersion::FIRST);
                        assert_eq!(usize::try_from(courses.count), Ok(below));
                    }
                    other => panic!("{other:?}"),
                },
            }
            // New content in between goes first.
            if below == COURSES / 2 && published.is_none() {
                house.courses.publish_course(&key(COURSES - 1), "v3", 7);
                let enqueued = b.publish(&key(COURSES - 1), at(1)).unwrap();
                assert_eq!(enqueued, Enqueued::Coalesced);
                published = Some(key(COURSES - 1));
            }
            let done = work(&b);
            match (&published, done) {
                (Some(course), Some(done)) if below == COURSES / 2 => assert_eq!(done, *course),
                (_, Some(_)) => {}
                (_, None) => break,
            }
        }
        let after = house.work();
        assert_eq!(after.collects_of_t - before.collects_of_t, COURSES - 1);
        // `u` is not touched where only `t` has changed.
        assert_eq!(after.collects_of_u - before.collects_of_u, 1);
        assert!(house.gate(&b, 2).is_open());

        // C finds all that it needs, and whoever comes back finds what they had.
        let c = house.release(versions(2, 2));
        assert_eq!(join(&c, "c"), []);
        house.serves(&c, &["t", "u"]);
        assert!(c.leave().unwrap() && b.leave().unwrap());
        let b = house.release(versions(1, 2));
        assert_eq!(join(&b, "b again"), []);
        house.serves(&b, &["t", "u"]);
        let a = house.release(versions(1, 1));
        assert!(matches!(
            &join(&a, "a again")[..],
            [Notice::BelowFloor { .. }]
        ));
        let read_by_a = house.serves(&a, &["t", "u"]);
        let blocks = |stamps: &[Stamp]| stamps.iter().map(|s| s.block.clone()).collect::<Vec<_>>();
        assert_eq!(blocks(&read_by_a), blocks(&written_by_a));
    });
}

#[test]
fn a_release_below_a_floor_serves_what_is_there_and_leaves_new_content_to_others() {
    let house = House::in_memory();
    let b = house.release(versions(1, 2));
    join(&b, "b");
    for number in 0..COURSES {
        update(&b, number);
    }
    house.roll_out(&b);
    let a = house.release(versions(1, 1));
    join(&a, "a");
    house.courses.publish_course(&key(0), "v2", 6);
    let refused = a.update(&key(0), &UpdateOptions::default()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Fenced);
    assert!(
        refused.to_string().contains("below its floor 2"),
        "{refused}"
    );
    // What is there is served; what is new waits for somebody who may write it.
    house.serves(&a, &["t", "u"]);
    let task = house.queue().task(&key(0)).unwrap().unwrap();
    assert_eq!(task.priority(), Priority::Publish);
    assert!(matches!(
        a.work(&RetryPolicy::default(), at(1)).unwrap(),
        Step::Fenced { .. }
    ));
    assert_eq!(work(&b), Some(key(0)));
    let seen = a.get_collected(&key(0), &["t"]).unwrap();
    assert_eq!(seen.structure().len(), 7);
}

/// A worker was taken for dead while it collected, and joins again before it publishes. Its lease
/// of before is gone; what it is told must be about the floor, or the new content is forgotten.
#[test]
fn a_worker_that_joins_again_while_it_collects_is_told_of_the_floor() {
    let house = House::in_memory();
    let a = Arc::new(house.release(versions(1, 1)));
    join(&a, "a");
    update(&a, 0);
    house.courses.publish_course(&key(0), "v2", 6);
    let b = house.release(versions(1, 2));
    b.join("b", "b", LEASE, at(60)).unwrap();
    let (store, lease, late) = (
        Arc::clone(&house.store),
        b.lease().unwrap(),
        Arc::downgrade(&a),
    );
    house.courses.loads.set(move || {
        if let Some(late) = late
            .upgrade()
            .filter(|late| late.lease().unwrap().worker() == "a")
        {
            let started = Rollout::new(&store).start(&lease, "t", at(60), |_| {})?;
            assert!(matches!(started, Start::Started { expired, .. } if expired.len() == 1));
            assert!(matches!(late.renew(at(60))?, Renewed::JoinedAgain(_)));
        }
        Ok(())
    });
    let refused = a.update(&key(0), &UpdateOptions::default()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Fenced, "{refused}");
    let task = house.queue().task(&key(0)).unwrap().unwrap();
    assert_eq!(task.priority(), Priority::Publish);
}

#[test]
fn a_transformer_is_introduced_as_one_that_can_do_without_its_data() {
    let house = House::in_memory();
    let without = house.release_without();
    join(&without, "without");
    for number in 0..COURSES {
        update(&without, number);
    }
    // READ 0: it serves courses of which it has nothing.
    let optional = house.release(versions(0, 1));
    assert_eq!(join(&optional, "optional"), []);
    let before = house.work();
    for number in 0..COURSES {
        let collected = optional.get_collected(&key(number), &["t", "u"]).unwrap();
        assert!(collected.record("t").is_none());
    }
    assert_eq!(house.work(), before);
    // Who does not know the transformer would drop its data.
    let Start::Refused(blockers) = house.start(&optional) else {
        panic!("it is not refused");
    };
    let told = blockers[0].to_string();
    assert!(
        told.contains("worker without (without) does not know"),
        "{told}"
    );
    without.leave().unwrap();
    assert_eq!(house.roll_out(&optional), COURSES);
    assert!(house.gate(&optional, 1).is_open());
    let needed = house.release(versions(1, 1));
    assert_eq!(join(&needed, "needed"), []);
    house.serves(&needed, &["t", "u"]);
    // Back again: it reads what it knows, and cannot drop the rest.
    assert!(matches!(
        &join(&without, "without again")[..],
        [Notice::BelowFloor { write: None, .. }]
    ));
    let collected = without.get_collected(&key(0), &["u"]).unwrap();
    assert!(collected.record("u").is_some());
    house.courses.publish_course(&key(0), "v2", 6);
    let refused = without.update(&key(0), &UpdateOptions::default());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Fenced);
}

#[test]
fn versions_may_be_skipped() {
    let house = House::in_memory();
    let first = house.release(versions(1, 1));
    join(&first, "first");
    for number in 0..COURSES {
        update(&first, number);
    }
    // One that got stuck halfway left some data at 2.
    let second = house.release(versions(1, 2));
    join(&second, "second");
    update(&second, 0);
    let third = house.release(versions(1, 3));
    join(&third, "third");
    let Start::Refused(blockers) = house.start(&third) else {
        panic!("it is not refused");
    };
    assert_eq!(blockers.len(), 2, "{blockers:?}");
    first.leave().unwrap();
    second.leave().unwrap();
    assert_eq!(house.roll_out(&third), COURSES);
    let opened = house.gate(&third, 3);
    assert!(opened.is_open(), "{opened:?}");
    // Whoever needs less is safe as well.
    assert!(house.gate(&third, 2).is_open());
    for (release, read) in [("reads 3", 3), ("reads 2", 2)] {
        let next = house.release(versions(read, 3));
        assert_eq!(join(&next, release), []);
        house.serves(&next, &["t", "u"]);
    }
    house.serves(&first, &["t", "u"]);
}

#[test]
fn an_old_shape_is_dropped_when_nobody_needs_it_and_then_older_releases_are_told() {
    let house = House::in_memory();
    let second = house.release(versions(2, 2));
    join(&second, "second");
    for number in 0..COURSES {
        update(&second, number);
    }
    house.roll_out(&second);
    // Writes a shape that code of version 2 cannot decode, and reads nothing else any more.
    let dropping = house.release(versions_with(3, 3, 3));
    join(&dropping, "dropping");
    let refused = dropping.update(&key(0), &UpdateOptions::default());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Fenced);
    let Start::Refused(blockers) = house.start(&dropping) else {
        panic!("it is not refused");
    };
    assert!(
        blockers
            .iter()
            .any(|b| matches!(b, Blocker::CannotDecode { .. })),
        "{blockers:?}"
    );
    second.leave().unwrap();
    let Start::Refused(blockers) = house.start(&dropping) else {
        panic!("it is not refused");
    };
    assert!(
        matches!(&blockers[..], [Blocker::OldShape { courses, .. }] if *courses == COURSES as u64),
        "{blockers:?}"
    );
    // So it is done in two releases: the first one writes the new shape and reads both.
    let between = house.release(versions_with(2, 3, 3));
    join(&between, "between");
    dropping.leave().unwrap();
    assert_eq!(house.roll_out(&between), COURSES);
    assert!(house.gate(&between, 3).is_open());
    join(&dropping, "dropping");
    house.serves(&dropping, &["t", "u"]);
    house.serves(&between, &["t", "u"]);
    // Code of version 2 is told so and touches nothing.
    let refused = second.get_collected(&key(0), &["t"]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooNew, "{refused}");
}

#[test]
fn a_retired_transformer_is_gone_and_its_name_does_not_come_back() {
    let house = House::in_memory();
    let with = house.release(versions(1, 1));
    join(&with, "with");
    for number in 0..COURSES {
        update(&with, number);
    }
    house.roll_out(&with);
    let without = house.release_without();
    join(&without, "without");
    let retire = || {
        let lease = without.lease().unwrap();
        house.rollout().retire(&lease, "t", at(1), |_| {}).unwrap()
    };
    match retire() {
        Retire::Refused(users) => assert_eq!(users[0].worker, "with"),
        other => panic!("{other:?}"),
    }
    with.leave().unwrap();
    let expected = Retire::Retired {
        version: WriteVersion::FIRST,
        removed: COURSES as u64,
    };
    assert_eq!(retire(), expected);
    assert_eq!(house.below(1), COURSES);
    // It blocks nobody who does not know it, and does not come back.
    house.courses.publish_course(&key(0), "v2", 6);
    assert!(update(&without, 0).published.is_some());
    let again = Registration::new("again", "again", house.release(versions(1, 1)).registry());
    let refused = Fleet::new(&house.store).join(&again, at(1)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Registry, "{refused}");
}

#[test]
fn what_keeps_failing_keeps_the_gate_closed_until_it_is_cured_or_deleted() {
    let house = House::in_memory();
    let a = house.release(versions(1, 1));
    join(&a, "a");
    for number in 0..COURSES {
        update(&a, number);
    }
    a.leave().unwrap();
    let b = house.release(versions(1, 2));
    join(&b, "b");
    house.start(&b);
    house.courses.publish_course(&key(3), "bad", 6);
    b.publish(&key(3), at(1)).unwrap();
    // It goes first, and is tried again after the others.
    let others = COURSES - 1;
    let first = house.t.collects.calls();
    let collects = Arc::downgrade(&house.t.collects);
    house.t.collects.set(move || {
        let collect = collects.upgrade().map_or(0, |collects| collects.calls()) - first;
        if (2..=others + 1).contains(&collect) {
            return Ok(());
        }
        let message = "the author did something odd";
        Err(Error::new(ErrorKind::Transformer, message))
    });
    let policy = RetryPolicy {
        attempts: 2,
        ..RetryPolicy::default()
    };
    let mut now = 10;
    loop {
        match b.work(&policy, at(now)).unwrap() {
            Step::Idle { next: None, .. } => break,
            Step::Idle {
                next: Some(next), ..
            } => {
                b.renew(next).unwrap();
                now = (next.as_micros() - at(0).as_micros()) / 1_000_000;
            }
            Step::Done { .. } | Step::Failed { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    let lease = b.lease().unwrap();
    let two = WriteVersion::new(2).unwrap();
    let gate = |now| house.rollout().gate(&lease, "t", two, at(now)).unwrap();
    let GateAnswer::Closed(reasons) = gate(now) else {
        panic!("it is open");
    };
    let told: Vec<_> = reasons.iter().map(Reason::to_string).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains(key(3).as_str()), "{told:?}");
    assert!(told[0].contains("the author did something odd"), "{told:?}");
    assert_eq!(house.queue().status(at(now)).unwrap().quarantined, 1);
    // The others are served; this one too, of what it has of others.
    let dropped = house.queue().drop(&lease, &Backlog::Quarantined).unwrap();
    assert_eq!(dropped, [key(3)]);
    assert!(!gate(now).is_open(), "dropping the task cures nothing");
    assert!(b.delete(&key(3)).unwrap());
    assert!(gate(now).is_open());
}
