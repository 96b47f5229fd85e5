//! What a check of a store finds, and what a repair makes of it: what is damaged, and nothing else.

#[path = "common/courses.rs"]
#[expect(dead_code, reason = "there are several courses here")]
mod courses;
#[path = "common/joined.rs"]
mod joined;
#[path = "common/probe.rs"]
mod probe;
#[path = "common/recorder.rs"]
#[expect(dead_code, reason = "not all of it is needed here")]
mod recorder;
#[path = "common/tamper.rs"]
#[expect(dead_code, reason = "not all of it is needed here")]
mod tamper;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use courseblocks::engine::{Engine, MemoryEngine, SledEngine, SledOptions, Space};
use courseblocks::rollout::{
    Claimed, ControlDamage, ControlPart, Event, Priority, Queue, RetryPolicy, Rollout, Start,
};
use courseblocks::{
    CourseKey, ErrorKind, Lease, Manager, Store, Timestamp, UpdateOptions, WriteVersion,
};
use courses::Courses;
use joined::joined;
use recorder::{Recorder, registry, versions};

const NOW: Timestamp = Timestamp::MIN;
const COURSES: u32 = 16;

fn course(number: u32) -> CourseKey {
    format!("course-v1:Org+Course+{number:02}").parse().unwrap()
}

/// A store with courses, a floor and an open gate of "t", a retired "gone", tasks, and history.
struct World {
    engine: Arc<dyn Engine>,
    store: Arc<Store>,
    t: Recorder,
    manager: Manager,
}

impl World {
    fn new() -> Self {
        Self::on(Arc::new(MemoryEngine::new()))
    }

    fn on(engine: Arc<dyn Engine>) -> Self {
        let store = Arc::new(Store::with_engine(engine.clone()));
        let courses = Arc::new(Courses::default());
        let t = Recorder::new("t", 1, 2);
        let registry = registry(&[&t, &Recorder::new("u", 1, 1)]);
        let manager = joined(Manager::new(store.clone(), registry, courses.clone()));
        for number in 0..COURSES {
            courses.publish_course(&course(number), "v1", 200);
            let updated = manager.update(&course(number), &UpdateOptions::default());
            assert_eq!(updated.unwrap().failures, []);
        }
        let world = Self {
            engine,
            store,
            t,
            manager,
        };
        let lease = world.lease();
        let rollout = world.rollout();
        let start = rollout.start(&lease, "t", NOW, |_| {}).unwrap();
        assert!(matches!(start, Start::Started { .. }));
        let target = WriteVersion::new(2).unwrap();
        let gate = rollout.gate(&lease, "t", target, NOW).unwrap();
        assert!(gate.is_open());
        let queue = Queue::new(&world.store);
        for number in 0..3 {
            let _ = queue
                .enqueue(&course(number), Priority::Publish, NOW)
                .unwrap();
        }
        let Claimed::Task(claim) = queue.claim(&lease, &RetryPolicy::default(), NOW).unwrap()
        else {
            panic!("nothing to claim");
        };
        queue.complete(&claim, NOW).unwrap();
        assert!(queue.pause(&lease, NOW).unwrap());
        assert!(queue.resume(&lease, NOW).unwrap());
        world
    }

    fn lease(&self) -> Lease {
        self.manager.lease().unwrap()
    }

    fn rollout(&self) -> Rollout<'_> {
        Rollout::new(&self.store)
    }

    /// Every row of the control data.
    fn control(&self) -> BTreeMap<(Vec<u8>, Vec<u8>), Vec<u8>> {
        let items = self.engine.scan(Space::Control, None);
        let row = |item: courseblocks::Result<courseblocks::engine::Item>| {
            let item = item.unwrap();
            let key = (item.partition().to_vec(), item.name().to_vec());
            (key, item.value().to_vec())
        };
        items.map(row).collect()
    }

    fn put(&self, (partition, name): &(Vec<u8>, Vec<u8>), value: Option<Vec<u8>>) {
        let mut commit = courseblocks::engine::Commit::new();
        match value {
            Some(value) => commit.put(Space::Control, name.as_slice(), value),
            None => commit.delete(Space::Control, name.as_slice()),
        }
        let durability = courseblocks::engine::Durability::Durable;
        let _ = self.engine.commit(partition, &commit, durability).unwrap();
    }

    fn damages(&self) -> Vec<ControlDamage> {
        self.rollout().check_control().unwrap().damages
    }

    fn parts(&self) -> Vec<ControlPart> {
        self.damages().iter().map(|damage| damage.part).collect()
    }

    fn repair(&self) {
        let check = self.rollout().check_control().unwrap();
        self.rollout()
            .repair_control(&self.lease(), &check, NOW)
            .unwrap();
    }
}

/// What a row is, by its place.
fn part_of((partition, name): &(Vec<u8>, Vec<u8>)) -> ControlPart {
    match (&partition[..], &name[..]) {
        (b"generations", _) => ControlPart::Counter,
        (b"rollout", b"floors") => ControlPart::Floors,
        (b"rollout", b"fleet") => ControlPart::Workers,
        (b"rollout", b"gates") => ControlPart::Gates,
        (b"rollout", _) => ControlPart::History,
        (b"queue", [b'0' | b'1', ..]) => ControlPart::Task,
        (b"queue", [b'2', ..]) => ControlPart::Pointer,
        (b"queue", b"3") => ControlPart::QueueSettings,
        (b"queue", b"4") => ControlPart::QueueMeter,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_damaged_row_of_the_control_data_is_named() {
    let world = World::new();
    assert_eq!(world.parts(), []);
    let mut seen = Vec::new();
    for (key, bytes) in world.control() {
        for at in [0, 20, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            world.put(&key, Some(damaged));
            assert_eq!(world.parts(), [part_of(&key)], "{key:?}");
            world.put(&key, Some(bytes.clone()));
        }
        seen.push(part_of(&key));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 9, "{seen:?}");
    assert_eq!(world.parts(), []);
}

#[test]
fn what_is_gone_or_older_does_not_fit_to_the_rest() {
    let world = World::new();
    for (key, bytes) in world.control() {
        world.put(&key, None);
        let expected = match part_of(&key) {
            ControlPart::Task => vec![ControlPart::Pointer],
            ControlPart::Pointer => vec![ControlPart::Task],
            // There are rows that were checked against them, and numbers that were used.
            part @ (ControlPart::Floors | ControlPart::Counter) => vec![part],
            _ => vec![],
        };
        assert_eq!(world.parts(), expected, "{key:?}");
        world.put(&key, Some(bytes));
    }
}

#[test]
fn what_is_damaged_of_the_control_data_is_made_again_and_the_rest_is_left() {
    for number in 0.. {
        let world = World::new();
        let before = world.control();
        let Some((key, bytes)) = before.iter().nth(number) else {
            break;
        };
        let part = part_of(key);
        if matches!(part, ControlPart::Floors | ControlPart::Workers) {
            continue;
        }
        let mut damaged = bytes.clone();
        *damaged.last_mut().unwrap() ^= 1;
        world.put(key, Some(damaged));
        world.repair();
        assert_eq!(world.parts(), [], "{part:?}");
        let after = world.control();
        for (other, bytes) in before.iter().filter(|(other, _)| *other != key) {
            // A task comes with its pointer, and numbers are taken for what is noted.
            let is_near = part == ControlPart::Task && part_of(other) == ControlPart::Pointer
                || part == ControlPart::Pointer && part_of(other) == ControlPart::Task
                || part_of(other) == ControlPart::Counter;
            assert!(
                is_near || after.get(other) == Some(bytes),
                "{part:?}: {other:?}"
            );
        }
        let tasks = Queue::new(&world.store).tasks();
        let courses = tasks.map(|task| task.unwrap().course().clone());
        let mut courses: Vec<_> = courses.collect();
        courses.sort();
        assert_eq!(courses, [course(1), course(2)], "{part:?}");
        let limits = Queue::new(&world.store).limits().unwrap();
        let is_lost = part == ControlPart::QueueSettings;
        assert_eq!(limits.paused.is_some(), is_lost, "{part:?}");
        let gates = world.rollout().open_gates().unwrap();
        assert_eq!(gates.is_empty(), part == ControlPart::Gates, "{part:?}");
        let history = world.rollout().history().unwrap();
        let is_noted = |event: &Event| matches!(event, Event::Repaired { .. });
        let noted = history.iter().filter(|entry| is_noted(&entry.event));
        assert_eq!(noted.count(), 1, "{part:?}");
    }
}

/// The course has the task that it had; one that is there twice is dropped.
#[test]
fn a_task_that_nothing_points_to_is_found_again() {
    for is_twice in [false, true] {
        let world = World::new();
        let before = world.control();
        let is_pointer = |key: &&(Vec<u8>, Vec<u8>)| part_of(key) == ControlPart::Pointer;
        let pointer = before.keys().find(is_pointer).unwrap();
        world.put(pointer, None);
        if is_twice {
            let queue = Queue::new(&world.store);
            let _ = queue.enqueue(&course(1), Priority::Publish, NOW).unwrap();
        }
        assert_eq!(world.parts(), [ControlPart::Task]);
        world.repair();
        assert_eq!(world.parts(), []);
        assert_eq!(Queue::new(&world.store).tasks().count(), 2);
        let is_same = world.control()[pointer] == before[pointer];
        assert_eq!(is_same, !is_twice);
    }
}

/// Neither the task nor its pointer tells which course is to be collected.
#[test]
fn every_course_is_put_on_the_queue_where_nothing_tells_which_one_was() {
    let world = World::new();
    for (key, mut bytes) in world.control() {
        if part_of(&key) == ControlPart::Task {
            *bytes.last_mut().unwrap() ^= 1;
            world.put(&key, Some(bytes));
        } else if part_of(&key) == ControlPart::Pointer {
            world.put(&key, None);
        }
    }
    world.repair();
    assert_eq!(world.parts(), []);
    assert_eq!(Queue::new(&world.store).tasks().count(), COURSES as usize);
}

#[test]
fn a_lost_counter_goes_on_above_all_that_was_used() {
    for is_older in [false, true] {
        let world = World::new();
        let mut rows = world.control().into_iter();
        let (key, mut bytes) = rows
            .find(|(key, _)| part_of(key) == ControlPart::Counter)
            .unwrap();
        let highest = (0..COURSES)
            .map(|number| world.store.course(&course(number)).unwrap().unwrap())
            .map(|entry| entry.generation())
            .max();
        if is_older {
            world.put(&key, None);
        } else {
            *bytes.last_mut().unwrap() ^= 1;
            world.put(&key, Some(bytes));
        }
        world.repair();
        assert_eq!(world.parts(), []);
        // Another process has no numbers left that it may hand out.
        let store = Arc::new(Store::with_engine(world.engine.clone()));
        let courses = Arc::new(Courses::default());
        courses.publish_course(&course(99), "v1", 3);
        let manager = Manager::new(store.clone(), registry(&[&world.t]), courses);
        let manager = joined(manager);
        // This release does not know "u", which has no floor.
        manager
            .update(&course(99), &UpdateOptions::default())
            .unwrap();
        let entry = store.course(&course(99)).unwrap().unwrap();
        assert!(Some(entry.generation()) > highest);
    }
}

#[test]
fn lost_floors_come_back_as_high_as_they_were_or_higher() {
    let world = World::new();
    let floors = world.store.floors().unwrap();
    let key = (b"rollout".to_vec(), b"floors".to_vec());
    let mut damaged = world.control()[&key].clone();
    *damaged.last_mut().unwrap() ^= 1;
    world.put(&key, Some(damaged));
    let joining = |t| {
        let registry = registry(&[&world.t.with_versions(t), &Recorder::new("u", 1, 1)]);
        let courses = Arc::new(Courses::default());
        courses.publish_course(&course(0), "v2", 3);
        let manager = Manager::new(world.store.clone(), registry, courses);
        joined::join(&manager).map(|()| manager)
    };
    // Nobody can do anything, and a repair leaves them alone.
    assert_eq!(
        joining(versions(1, 2)).unwrap_err().kind(),
        ErrorKind::Damaged
    );
    world.repair();
    assert_eq!(world.parts(), [ControlPart::Floors]);

    // What an old release knows of is less than what is stored and what the history tells.
    let old = registry(&[&world.t.with_versions(versions(1, 1))]);
    let restored = world.rollout().restore_floors(&old, "w", NOW, |_| {});
    let restored = restored.unwrap().unwrap();
    assert_eq!(restored.enqueued, u64::from(COURSES));
    let now = world.store.floors().unwrap();
    assert_eq!(restored.floors, now);
    assert_eq!(
        now.get("t").unwrap().version,
        floors.get("t").unwrap().version
    );
    assert!(now.get("u").is_some(), "something of it is stored");
    assert!(now.get("@blocks").is_none());
    assert!(now.epoch() > floors.epoch());
    for number in 0..COURSES {
        let entry = world.store.course(&course(number)).unwrap().unwrap();
        assert_eq!(entry.floor_epoch(), now.epoch());
    }
    assert!(world.rollout().open_gates().unwrap().is_empty());
    assert_eq!(world.parts(), []);
    let history = world.rollout().history().unwrap();
    let last = history.into_iter().next_back().unwrap().event;
    assert!(matches!(last, Event::Repaired { .. }), "{last:?}");
    // They keep out what they kept out before.
    let update = |manager: Manager| manager.update(&course(0), &UpdateOptions::default());
    let refused = update(joining(versions(1, 1)).unwrap()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Fenced);
    update(joining(versions(1, 2)).unwrap()).unwrap();
    // Floors that are there are left.
    let again = world.rollout().restore_floors(&old, "w", NOW, |_| {});
    assert!(again.unwrap().is_none());
    assert_eq!(world.store.floors().unwrap(), now);
}

#[test]
fn a_repair_collects_what_is_damaged_and_nothing_else() {
    let world = World::new();
    let collects = world.t.collects.calls();
    let before = tamper::everything(&*world.engine);
    tamper::damage_body(&*world.engine, &course(2), "t");
    let check = world.store.check(&course(2)).unwrap();
    let names: Vec<_> = check
        .damages(&course(2))
        .into_iter()
        .map(|damage| damage.record)
        .collect();
    assert_eq!(names, ["t"]);
    world.manager.repair(&course(2), &names).unwrap();
    assert_eq!(world.t.collects.calls(), collects + 1);
    // The record has the bytes that it had, in the generation that it had.
    assert!(tamper::everything(&*world.engine) == before);
}

/// sled cannot read the page, which has records of one course or two.
#[test]
fn what_cannot_be_read_is_named_and_hides_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let engine = SledEngine::open(directory.path(), &SledOptions::default()).unwrap();
    let world = World::on(Arc::new(engine));
    let damaged = tamper::record(&*world.engine, &course(2), "t");
    // Only its records, behind what cannot be read, tell of this one.
    let last = course(COURSES - 1);
    tamper::delete(&*world.engine, Space::Courses, last.as_str(), "");
    drop(world);
    let engine = SledEngine::open(directory.path(), &SledOptions::default()).unwrap();
    let log = directory.path().join("sled/db");
    let mut bytes = fs::read(&log).unwrap();
    let found = bytes.windows(damaged.len()).enumerate();
    let found = found.filter(|(_, window)| *window == damaged);
    let places: Vec<_> = found.map(|(place, _)| place).collect();
    assert!(!places.is_empty());
    for place in places {
        bytes[place + 50] ^= 1;
    }
    fs::write(log, bytes).unwrap();

    let store = Store::with_engine(Arc::new(engine));
    let traces = store.traces().unwrap();
    let expected: Vec<_> = (0..COURSES).map(course).collect();
    assert_eq!(traces.courses, expected);
    assert_eq!((traces.nameless.len(), traces.hidden.len()), (0, 1));
    let mut unreadable = Vec::new();
    let mut readable = 0;
    for course in expected.into_iter().filter(|course| *course != last) {
        let check = store.check(&course).unwrap();
        assert_eq!(check.missing, [""; 0]);
        assert_eq!(check.damages(&course).len(), 0);
        assert_eq!(check.records.len() + check.unreadable.len(), 4);
        readable += check.records.len();
        for found in check.unreadable {
            assert_eq!(found.error.kind(), ErrorKind::Damaged);
            unreadable.push((course.clone(), found.record.unwrap()));
        }
    }
    assert!(
        unreadable.contains(&(course(2), "t".to_owned())),
        "{unreadable:?}"
    );
    assert!(readable >= 4, "{unreadable:?}");
}
