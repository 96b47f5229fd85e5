//! What was answered rests on what is durable, also where somebody else wrote it and was not told
//! yet that it is. An import that found the content stored already, by a worker that had the store
//! open for it and was killed at that moment, used to say so of content that was gone.

#[path = "common/courses.rs"]
mod courses;
#[path = "common/joined.rs"]
mod joined;
#[path = "common/probe.rs"]
mod probe;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use courseblocks::engine::{
    Commit, CommitOutcome, Durability, Engine, Key, MemoryEngine, Scan, Space, Value,
};
use courseblocks::rollout::{Queue, Rollout, Start};
use courseblocks::transformer::standard::Visibility;
use courseblocks::{
    Manager, Registry, Result, Store, Timestamp, Transformer, UpdateOptions, WriteVersion,
};
use courses::{Courses, course_key};

/// Commits are seen before they are durable. While it is late, they stay so.
#[derive(Debug, Default)]
struct Late {
    inner: MemoryEngine,
    is_late: AtomicBool,
}

impl Late {
    /// Somebody does this, and the machine is slow to keep it.
    fn visible_only<R>(&self, act: impl FnOnce() -> R) -> R {
        self.is_late.store(true, Ordering::SeqCst);
        let done = act();
        self.is_late.store(false, Ordering::SeqCst);
        done
    }
}

impl Engine for Late {
    fn get(&self, key: Key<'_>) -> Result<Option<Value>> {
        self.inner.get(key)
    }

    fn scan(&self, space: Space, partition: Option<&[u8]>) -> Scan<'_> {
        self.inner.scan(space, partition)
    }

    fn commit(
        &self,
        partition: &[u8],
        commit: &Commit,
        durability: Durability,
    ) -> Result<CommitOutcome> {
        if self.is_late.load(Ordering::SeqCst) {
            return self.inner.commit(partition, commit, Durability::Buffered);
        }
        self.inner.commit(partition, commit, durability)
    }

    fn flush(&self) -> Result<()> {
        if self.is_late.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.inner.flush()
    }

    fn disk_bytes(&self) -> Result<u64> {
        self.inner.disk_bytes()
    }

    fn place(&self) -> Result<String> {
        self.inner.place()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

struct House {
    engine: Arc<Late>,
    manager: Manager,
}

impl House {
    fn new() -> Self {
        let engine = Arc::new(Late::default());
        let store = Arc::new(Store::with_engine(engine.clone()));
        let mut registry = Registry::new();
        registry.register(Visibility).unwrap();
        let manager = Manager::new(store, Arc::new(registry), Courses::with_one());
        let manager = joined::joined(manager);
        Self { engine, manager }
    }

    fn update(&self) -> bool {
        let options = UpdateOptions::default();
        let updated = self.manager.update(&course_key(), &options).unwrap();
        updated.published.is_some()
    }

    fn is_stored(&self) -> bool {
        let course = self.manager.store().course(&course_key());
        course.unwrap().is_some()
    }
}

const NOW: Timestamp = Timestamp::MIN;

#[test]
fn what_is_up_to_date_already_is_there_after_a_crash() {
    let house = House::new();
    assert!(house.engine.visible_only(|| house.update()));
    assert!(!house.update(), "somebody else has stored it");
    house.engine.inner.crash();
    assert!(house.is_stored());
    assert!(house.engine.visible_only(|| {
        let options = UpdateOptions {
            force: courseblocks::Force::Everything,
            ..UpdateOptions::default()
        };
        let updated = house.manager.update(&course_key(), &options);
        updated.unwrap().published.is_some()
    }));
    let generation = || {
        let course = house.manager.store().course(&course_key());
        course.unwrap().unwrap().generation()
    };
    let found = generation();
    let repaired = house.manager.repair(&course_key(), &[]).unwrap();
    assert!(repaired.published.is_none());
    house.engine.inner.crash();
    assert_eq!(generation(), found);
}

#[test]
fn what_is_gone_already_is_gone_after_a_crash() {
    let house = House::new();
    house.update();
    let lease = house.manager.lease().unwrap();
    let delete = || house.manager.store().delete(&lease, &course_key());
    assert!(house.engine.visible_only(|| delete().unwrap()));
    assert!(!delete().unwrap(), "somebody else has deleted it");
    house.engine.inner.crash();
    assert!(!house.is_stored());
}

#[test]
fn a_gate_that_was_open_already_is_open_after_a_crash() {
    let house = House::new();
    house.update();
    let lease = house.manager.lease().unwrap();
    let rollout = Rollout::new(house.manager.store());
    let started = rollout
        .start(&lease, Visibility.name(), NOW, |_| {})
        .unwrap();
    assert!(matches!(started, Start::Started { .. }));
    let gate = || {
        let answer = rollout.gate(&lease, Visibility.name(), WriteVersion::FIRST, NOW);
        answer.unwrap().is_open()
    };
    assert!(house.engine.visible_only(gate));
    assert!(gate(), "somebody else has found it open");
    house.engine.inner.crash();
    assert_eq!(rollout.open_gates().unwrap().len(), 1);
}

#[test]
fn a_queue_that_was_paused_already_is_paused_after_a_crash() {
    let house = House::new();
    let lease = house.manager.lease().unwrap();
    let queue = Queue::new(house.manager.store());
    assert!(
        house
            .engine
            .visible_only(|| queue.pause(&lease, NOW).unwrap())
    );
    assert!(!queue.pause(&lease, NOW).unwrap(), "somebody else did it");
    house.engine.inner.crash();
    assert!(queue.limits().unwrap().paused.is_some());
}
