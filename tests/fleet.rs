//! What a worker may rely on in the fleet: that its lease is its own until it ends, that it is told
//! what it should know, and that nothing of it holds up others when it is gone. And what a manager
//! does with its place in it.

#[path = "common/courses.rs"]
mod courses;
#[path = "common/joined.rs"]
mod joined;
#[path = "common/meddling.rs"]
mod meddling;
#[path = "common/probe.rs"]
mod probe;
#[path = "common/recorder.rs"]
#[expect(dead_code, reason = "not all of it is needed here")]
mod recorder;
#[path = "common/tamper.rs"]
#[expect(dead_code, reason = "only control data is damaged here")]
mod tamper;

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use courseblocks::engine::{Engine, MemoryEngine, Space};
use courseblocks::rollout::{
    Claimed, Completion, Enqueued, Event, Failed, Fleet, Notice, Priority, Queue, Registration,
    Retire, RetryPolicy, Rollout, Start, Step, TaskState,
};
use courseblocks::{
    Error, ErrorKind, Lease, Manager, Plan, Registry, Renewed, Result, Store, Timestamp,
    UpdateOptions, Versions, WriteVersion,
};
use courses::{Courses, course_key};
use joined::{join, joined, lease_for, worker_name};
use meddling::Meddling;
use recorder::{Recorder, registry, versions};

/// A time at which those are alive who joined as common tests do.
fn at(seconds: i64) -> Timestamp {
    let seconds = u64::try_from(1000 + seconds).unwrap();
    Timestamp::MIN.plus(Duration::from_secs(seconds))
}

fn version(version: u32) -> WriteVersion {
    WriteVersion::new(version).unwrap()
}

fn new_store() -> (Arc<MemoryEngine>, Arc<Store>) {
    let engine = Arc::new(MemoryEngine::new());
    let store = Arc::new(Store::with_engine(engine.clone()));
    (engine, store)
}

/// A lease of ten seconds for one that writes these.
fn registration(worker: &str, transformers: &[(&str, Versions)]) -> Registration {
    let transformers = transformers.iter();
    Registration {
        worker: worker.to_owned(),
        release: format!("release of {worker}"),
        transformers: transformers
            .map(|(name, versions)| ((*name).to_owned(), *versions))
            .collect(),
        lasts: Duration::from_secs(10),
    }
}

#[track_caller]
fn take(store: &Store, worker: &str, now: Timestamp) -> Lease {
    let fleet = Fleet::new(store);
    fleet.join(&registration(worker, &[]), now).unwrap().0
}

/// Who is in the fleet, and until when.
fn members(store: &Store) -> Vec<(String, Timestamp)> {
    let members = Fleet::new(store).members().unwrap().into_iter();
    members
        .map(|member| (member.worker, member.expires_at))
        .collect()
}

fn told(members: &[(&str, i64)]) -> Vec<(String, Timestamp)> {
    let members = members.iter();
    members
        .map(|(worker, seconds)| ((*worker).to_owned(), at(*seconds)))
        .collect()
}

#[track_caller]
fn check_no_lease<T: std::fmt::Debug>(answer: Result<T>) {
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::NoLease);
}

#[test]
fn a_lease_lasts_until_it_is_given_back_or_removed() {
    let (engine, store) = new_store();
    let fleet = Fleet::new(&store);
    let b = take(&store, "b", at(0));
    let a = take(&store, "a", at(5));
    // Durable from the beginning.
    engine.crash();
    assert_eq!(members(&store), told(&[("a", 15), ("b", 10)]));
    let live = |now| {
        let members = fleet.members().unwrap().into_iter();
        let live = members.filter(|member| member.is_live(now));
        live.map(|member| member.worker).collect::<Vec<_>>()
    };
    assert_eq!(live(at(9)), ["a", "b"]);
    assert_eq!(live(at(10)), ["a"]);
    fleet.renew(&b, at(8)).unwrap();
    assert_eq!(members(&store), told(&[("a", 15), ("b", 18)]));
    // A clock that goes back takes nothing away.
    fleet.renew(&b, at(2)).unwrap();
    assert_eq!(members(&store), told(&[("a", 15), ("b", 18)]));
    // One that expired and was not removed is alive again.
    assert_eq!(live(at(16)), ["b"]);
    fleet.renew(&a, at(16)).unwrap();
    assert_eq!(live(at(16)), ["a", "b"]);
    assert!(fleet.leave(&b).unwrap());
    engine.crash();
    assert_eq!(members(&store), told(&[("a", 26)]));
    assert!(!fleet.leave(&b).unwrap());
    check_no_lease(fleet.renew(&b, at(17)));
}

#[test]
fn who_takes_a_name_ends_the_lease_of_the_other_one() {
    let (_, store) = new_store();
    let fleet = Fleet::new(&store);
    let first = take(&store, "same", at(0));
    let second = take(&store, "same", at(5));
    assert_eq!(members(&store), told(&[("same", 15)]));
    check_no_lease(fleet.renew(&first, at(6)));
    check_no_lease(Queue::new(&store).claim(&first, &RetryPolicy::default(), at(6)));
    check_no_lease(store.base(&first, &course_key()));
    // It cannot give back what is not its own.
    assert!(!fleet.leave(&first).unwrap());
    fleet.renew(&second, at(6)).unwrap();
    assert_eq!(members(&store), told(&[("same", 16)]));
}

#[test]
fn who_is_dead_is_removed_and_can_join_again() {
    let (_, store) = new_store();
    let fleet = Fleet::new(&store);
    let (a, b) = (take(&store, "a", at(0)), take(&store, "b", at(5)));
    assert_eq!(fleet.remove_expired(at(9)).unwrap(), []);
    let removed = fleet.remove_expired(at(10)).unwrap();
    assert_eq!(removed.len(), 1);
    assert_eq!(removed[0].worker, "a");
    assert_eq!(members(&store), told(&[("b", 15)]));
    check_no_lease(fleet.renew(&a, at(10)));
    fleet.renew(&b, at(10)).unwrap();
    take(&store, "a", at(11));
    assert_eq!(members(&store), told(&[("a", 21), ("b", 20)]));
    let history = Rollout::new(&store).history().unwrap();
    let [expired] = history.as_slice() else {
        panic!("{history:?}");
    };
    let event = Event::WorkerExpired {
        worker: "a".to_owned(),
        release: "release of a".to_owned(),
        last_heard_of: at(0),
    };
    assert_eq!(
        (expired.at, &expired.worker, &expired.event),
        (at(10), &None, &event)
    );
}

#[test]
fn names_of_workers_and_releases_can_be_printed() {
    #[track_caller]
    fn check(label: &str, is_taken: bool) {
        let (_, store) = new_store();
        let as_worker = registration(label, &[]);
        let as_release = Registration {
            release: label.to_owned(),
            ..registration("worker", &[])
        };
        for registration in [as_worker, as_release] {
            let joined = Fleet::new(&store).join(&registration, at(0));
            let kind = joined.map(drop).map_err(|error| error.kind());
            let expected = if is_taken {
                Ok(())
            } else {
                Err(ErrorKind::Registry)
            };
            assert_eq!(kind, expected, "{label:?}");
        }
        assert_eq!(members(&store).is_empty(), !is_taken);
    }

    check("host:4711", true);
    check("größter Rechner 机", true);
    // With "release of " before it.
    check(&"w".repeat(244), true);
    check(&"w".repeat(256), false);
    check("", false);
    check("two\nlines", false);
    check("\u{1b}[31mred", false);
    check("\u{7f}", false);
}

#[test]
fn a_worker_is_told_what_is_left_to_others_and_what_it_may_have_to_collect() {
    let (_, store) = new_store();
    let rollout = Rollout::new(&store);
    // The floor of t is 2 and its gate open; that of u is 3, and its gate was never asked.
    let newest = lease_for(&store, [("t", versions(1, 2)), ("u", versions(1, 3))]);
    for name in ["t", "u"] {
        let start = rollout.start(&newest, name, at(0), |_| {}).unwrap();
        assert!(matches!(start, Start::Started { .. }));
    }
    assert!(
        rollout
            .gate(&newest, "t", version(2), at(0))
            .unwrap()
            .is_open()
    );
    let below = |transformer: &str, write: Option<u32>, floor| Notice::BelowFloor {
        transformer: transformer.to_owned(),
        write: write.map(version),
        floor: version(floor),
    };
    let ahead = |transformer: &str, read| Notice::AheadOfGate {
        transformer: transformer.to_owned(),
        read: courseblocks::ReadVersion::new(read),
    };
    let check = |t: (u32, u32), u: Option<(u32, u32)>, expected: &[Notice]| {
        let mut transformers = vec![("t", versions(t.0, t.1))];
        transformers.extend(u.map(|(read, write)| ("u", versions(read, write))));
        let registration = registration("new", &transformers);
        let (_, notices) = Fleet::new(&store).join(&registration, at(0)).unwrap();
        assert_eq!(notices, expected, "{t:?} {u:?}");
        assert!(notices.iter().all(|notice| !notice.to_string().is_empty()));
    };
    check((2, 2), Some((0, 3)), &[]);
    check((1, 5), Some((0, 4)), &[]);
    check((3, 5), Some((0, 3)), &[ahead("t", 3)]);
    check((2, 2), Some((1, 3)), &[ahead("u", 1)]);
    check((1, 1), Some((0, 3)), &[below("t", Some(1), 2)]);
    check((2, 2), None, &[below("u", None, 3)]);
    check(
        (1, 1),
        Some((2, 2)),
        &[
            below("t", Some(1), 2),
            below("u", Some(2), 3),
            ahead("u", 2),
        ],
    );
}

#[test]
fn a_name_that_was_retired_joins_no_more() {
    let (_, store) = new_store();
    let t = lease_for(&store, [("t", versions(1, 3))]);
    Rollout::new(&store).start(&t, "t", at(0), |_| {}).unwrap();
    Fleet::new(&store).leave(&t).unwrap();
    let operator = lease_for(&store, []);
    let retired = Rollout::new(&store).retire(&operator, "t", at(0), |_| {});
    let version = version(3);
    assert_eq!(
        retired.unwrap(),
        Retire::Retired {
            version,
            removed: 0
        }
    );
    for write in [1, 3, 9] {
        let transformers = [("t", versions(1, write)), ("u", versions(1, 1))];
        let refused = Fleet::new(&store).join(&registration("w", &transformers), at(0));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Registry);
    }
    let others = registration("w", &[("u", versions(1, 1))]);
    let (_, notices) = Fleet::new(&store).join(&others, at(0)).unwrap();
    assert_eq!(notices, [], "what was retired is nobody's business");
}

/// Flips a bit in the list of workers.
fn damage_fleet(engine: &dyn Engine) {
    let mut rows = engine.scan(Space::Control, Some(b"rollout"));
    let row = rows.find(|row| row.as_ref().unwrap().name() == b"fleet");
    let mut bytes = row.unwrap().unwrap().value().as_ref().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    tamper::put(engine, Space::Control, "rollout", "fleet", bytes);
}

#[test]
fn when_the_list_of_workers_is_damaged_all_join_again_and_nothing_else_is_lost() {
    let (engine, store) = new_store();
    let rollout = Rollout::new(&store);
    let lease = lease_for(&store, [("t", versions(1, 2))]);
    rollout.start(&lease, "t", at(0), |_| {}).unwrap();
    assert!(
        rollout
            .gate(&lease, "t", version(2), at(0))
            .unwrap()
            .is_open()
    );
    let queue = Queue::new(&store);
    queue
        .enqueue(&course_key(), Priority::Publish, at(0))
        .unwrap();
    assert!(matches!(
        queue.claim(&lease, &RetryPolicy::default(), at(0)).unwrap(),
        Claimed::Task(_)
    ));
    let (floors, gates, history) = (
        store.floors().unwrap(),
        rollout.open_gates().unwrap(),
        rollout.history().unwrap(),
    );
    damage_fleet(&*engine);
    assert_eq!(members(&store), []);
    check_no_lease(Fleet::new(&store).renew(&lease, at(0)));
    check_no_lease(queue.claim(&lease, &RetryPolicy::default(), at(0)));
    let lease = lease_for(&store, [("t", versions(1, 2))]);
    assert_eq!(members(&store).len(), 1);
    assert_eq!(store.floors().unwrap(), floors);
    assert_eq!(rollout.open_gates().unwrap(), gates);
    assert_eq!(rollout.history().unwrap(), history);
    // The task returned with the lease of its claim.
    assert!(matches!(
        queue.claim(&lease, &RetryPolicy::default(), at(0)).unwrap(),
        Claimed::Task(_)
    ));
}

/// Two that joined again at the same time used to lose their leases to one another: the row was
/// read twice, and the other one's lease was in the second.
#[test]
fn two_workers_join_at_the_same_time_whatever_becomes_of_the_list() {
    for is_damaged in [false, true] {
        for moment in 0.. {
            let engine = Arc::new(Meddling::default());
            let store = Arc::new(Store::with_engine(engine.clone()));
            take(&store, "dead", at(0));
            if is_damaged {
                damage_fleet(&*engine);
            }
            let inner = store.clone();
            let slipped_in = engine.slip_in(moment, move || {
                take(&inner, "other", at(1));
            });
            let lease = take(&store, "one", at(1));
            if !slipped_in.happened() {
                assert!(moment > 3);
                break;
            }
            engine.before.set(|| Ok(()));
            let dead = [("dead", 10)];
            let all = [("one", 11), ("other", 11)];
            let left = if is_damaged { &[][..] } else { &dead };
            assert_eq!(members(&store), told(&[left, &all].concat()), "at {moment}");
            Fleet::new(&store).renew(&lease, at(1)).unwrap();
        }
    }
}

#[test]
fn an_engine_that_fails_anywhere_leaves_the_fleet_as_it_was_or_as_it_should_be() {
    type Operation = fn(&Store, &Lease) -> Result<()>;
    let operations: [(Operation, &[(&str, i64)]); 4] = [
        (
            |store, _| {
                let registration = registration("new", &[]);
                Fleet::new(store).join(&registration, at(5)).map(drop)
            },
            &[("dead", 3), ("new", 15), ("old", 10)],
        ),
        (
            |store, lease| Fleet::new(store).renew(lease, at(5)),
            &[("dead", 3), ("old", 15)],
        ),
        (
            |store, lease| Fleet::new(store).leave(lease).map(drop),
            &[("dead", 3)],
        ),
        (
            |store, _| Fleet::new(store).remove_expired(at(5)).map(drop),
            &[("old", 10)],
        ),
    ];
    for (operation, expected) in operations {
        for moment in 1.. {
            let (engine, store) = new_store();
            let lease = take(&store, "old", at(0));
            take(&store, "dead", at(-7));
            let before = members(&store);
            engine.fail_at(moment);
            let answer = operation(&store, &lease);
            engine.fail_at(0);
            let Err(error) = answer else {
                assert!(moment > 2);
                assert_eq!(members(&store), told(expected));
                break;
            };
            assert_eq!(error.kind(), ErrorKind::Storage);
            // Who was told that it has not joined is not in it.
            assert_eq!(members(&store), before, "failed at {moment}");
            engine.crash();
            let store = Store::with_engine(engine.clone());
            assert_eq!(members(&store), before, "crashed at {moment}");
            operation(&store, &lease).unwrap();
            assert_eq!(members(&store), told(expected));
        }
    }
}

// Managers.

/// A release of these transformers that has not joined.
fn stranger(store: &Arc<Store>, courses: &Arc<Courses>, registry: Arc<Registry>) -> Manager {
    Manager::new(store.clone(), registry, courses.clone())
}

/// A manager of `t` on a new store with one course, and what it counts.
struct House {
    engine: Arc<MemoryEngine>,
    store: Arc<Store>,
    courses: Arc<Courses>,
    t: Recorder,
}

impl House {
    fn new() -> Self {
        let (engine, store) = new_store();
        Self {
            engine,
            store,
            courses: Courses::with_one(),
            t: Recorder::new("t", 1, 1),
        }
    }

    fn stranger(&self, read: u32, write: u32) -> Manager {
        let t = self.t.with_versions(versions(read, write));
        stranger(&self.store, &self.courses, registry(&[&t]))
    }

    fn release(&self, read: u32, write: u32) -> Manager {
        joined(self.stranger(read, write))
    }

    fn queue(&self) -> Queue<'_> {
        Queue::new(&self.store)
    }

    fn tasks(&self) -> Vec<(Priority, TaskState)> {
        let fleet = Fleet::new(&self.store).members().unwrap();
        let tasks = self.queue().tasks().map(|task| {
            let task = task.unwrap();
            (task.priority(), task.state(&fleet, at(0)))
        });
        tasks.collect()
    }
}

const LASTS: Duration = Duration::from_secs(10);

#[test]
fn a_manager_keeps_its_lease_and_takes_it_again_when_it_has_ended() {
    let house = House::new();
    let manager = house.stranger(1, 1);
    check_no_lease(manager.lease());
    check_no_lease(manager.renew(at(0)));
    check_no_lease(manager.publish(&course_key(), at(0)));
    check_no_lease(manager.delete(&course_key()));
    check_no_lease(manager.work(&RetryPolicy::default(), at(0)));
    assert!(!manager.leave().unwrap());
    assert_eq!(manager.join("w", "r", LASTS, at(0)).unwrap(), []);
    let lease = manager.lease().unwrap();
    assert_eq!(manager.renew(at(5)).unwrap(), Renewed::Kept);
    assert_eq!(manager.lease().unwrap(), lease);
    assert_eq!(members(&house.store), told(&[("w", 15)]));
    // Dead, and removed.
    Fleet::new(&house.store).remove_expired(at(20)).unwrap();
    check_no_lease(manager.publish(&course_key(), at(20)));
    check_no_lease(manager.update(&course_key(), &UpdateOptions::default()));
    // A newer release raises the floor meanwhile.
    let newer = house.release(1, 2);
    let start = Rollout::new(&house.store).start(&newer.lease().unwrap(), "t", at(20), |_| {});
    assert!(matches!(start.unwrap(), Start::Started { .. }));
    let notices = match manager.renew(at(21)).unwrap() {
        Renewed::JoinedAgain(notices) => notices,
        Renewed::Kept => panic!("it has ended"),
    };
    assert!(matches!(
        notices[..],
        [Notice::BelowFloor { .. }, Notice::AheadOfGate { .. }]
    ));
    assert_ne!(manager.lease().unwrap(), lease);
    assert_eq!(
        manager.publish(&course_key(), at(21)).unwrap(),
        Enqueued::Added
    );
    assert!(manager.leave().unwrap());
    assert!(!manager.leave().unwrap());
    check_no_lease(manager.lease());
}

/// A second one would have ended what the first one had claimed meanwhile.
#[test]
fn however_many_threads_find_their_lease_ended_one_of_them_takes_it_again() {
    const THREADS: usize = 4;
    let house = House::new();
    let manager = house.stranger(1, 1);
    for round in 0..50 {
        manager.join("w", "r", LASTS, at(round)).unwrap();
        take(&house.store, "w", at(round));
        let together = Barrier::new(THREADS);
        let again: usize = thread::scope(|scope| {
            let renewing = [(); THREADS].map(|()| {
                scope.spawn(|| {
                    together.wait();
                    matches!(manager.renew(at(round)), Ok(Renewed::JoinedAgain(_)))
                })
            });
            renewing
                .into_iter()
                .map(|renewing| usize::from(renewing.join().unwrap()))
                .sum()
        });
        assert_eq!(again, 1, "round {round}");
    }
}

#[test]
fn a_manager_that_is_dropped_or_joins_under_another_name_is_nowhere_else() {
    let house = House::new();
    let manager = house.stranger(1, 1);
    manager.join("first", "r", LASTS, at(0)).unwrap();
    manager.join("first", "r", LASTS, at(1)).unwrap();
    assert_eq!(members(&house.store), told(&[("first", 11)]));
    manager.join("second", "r", LASTS, at(2)).unwrap();
    assert_eq!(members(&house.store), told(&[("second", 12)]));
    drop(manager);
    assert_eq!(members(&house.store), []);
    // Also where nothing can be said any more.
    let manager = house.release(1, 1);
    house.engine.fail_at(1);
    drop(manager);
    house.engine.fail_at(0);
    assert_eq!(members(&house.store).len(), 1);
}

#[test]
fn what_is_published_is_collected_by_whoever_works() {
    let house = House::new();
    let policy = RetryPolicy::default();
    let (host, worker) = (house.release(1, 1), house.release(1, 1));
    assert_eq!(host.publish(&course_key(), at(0)).unwrap(), Enqueued::Added);
    assert_eq!(
        host.publish(&course_key(), at(0)).unwrap(),
        Enqueued::Coalesced
    );
    match worker.work(&policy, at(1)).unwrap() {
        Step::Done {
            course,
            collected,
            completion,
        } => {
            assert_eq!((course, completion), (course_key(), Completion::Done));
            assert!(matches!(collected.plan, Plan::Whole(_)));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(house.courses.loads.calls(), 1);
    let idle = worker.work(&policy, at(1)).unwrap();
    assert!(matches!(
        idle,
        Step::Idle {
            next: None,
            claimed_by_others: 0
        }
    ));
    // One that fails keeps its last good data, and its error.
    house.courses.publish("v2");
    host.publish(&course_key(), at(2)).unwrap();
    let failure = || Err(Error::new(ErrorKind::Storage, "no"));
    house.t.collects.set(failure);
    match worker.work(&policy, at(2)).unwrap() {
        Step::Failed {
            collected,
            error,
            then,
            ..
        } => {
            assert!(collected.is_some() && error.starts_with("t: "), "{error}");
            assert_eq!(then, Failed::Retry(at(12)));
        }
        other => panic!("{other:?}"),
    }
    house.t.collects.set(|| Ok(()));
    let done = worker.work(&policy, at(12)).unwrap();
    assert!(matches!(
        done,
        Step::Done {
            completion: Completion::Done,
            ..
        }
    ));
}

/// It used to say that the task could not be given back.
#[test]
fn what_is_not_the_courses_fault_gives_its_task_back() {
    let house = House::new();
    let manager = house.release(1, 1);
    manager.publish(&course_key(), at(0)).unwrap();
    for kind in [ErrorKind::Storage, ErrorKind::OpenElsewhere] {
        house
            .courses
            .loads
            .set(move || Err(Error::new(kind, "the share is gone")));
        let error = manager.work(&RetryPolicy::default(), at(0)).unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!(house.tasks(), [(Priority::Publish, TaskState::Ready)]);
    }
    let engine = house.engine.clone();
    house.courses.loads.set(move || {
        // The reservation of the course goes with two operations; then the task is looked for.
        engine.fail_at(4);
        Err(Error::new(ErrorKind::Storage, "the share is gone"))
    });
    let error = manager.work(&RetryPolicy::default(), at(0));
    house.engine.fail_at(0);
    assert_eq!(error.unwrap_err().to_string(), "the share is gone");
    let [(_, TaskState::Claimed { .. })] = house.tasks()[..] else {
        panic!("it could be given back: {:?}", house.tasks());
    };
}

#[test]
fn what_is_wrong_with_a_course_is_its_own() {
    let house = House::new();
    let manager = house.release(1, 1);
    for kind in [
        ErrorKind::InvalidCourse,
        ErrorKind::NotFound,
        ErrorKind::LimitExceeded,
    ] {
        manager.publish(&course_key(), at(0)).unwrap();
        house
            .courses
            .loads
            .set(move || Err(Error::new(kind, "no root")));
        match manager.work(&RetryPolicy::default(), at(1)).unwrap() {
            Step::Failed {
                collected: None,
                error,
                then,
                ..
            } => assert_eq!((&*error, then), ("no root", Failed::Retry(at(11)))),
            other => panic!("{other:?}"),
        }
        assert_eq!(
            house.tasks(),
            [(Priority::Publish, TaskState::Delayed(at(11)))]
        );
    }
}

#[test]
fn a_course_that_is_deleted_has_no_task_and_comes_back_by_no_late_worker() {
    let house = House::new();
    let manager = house.release(1, 1);
    assert!(!manager.delete(&course_key()).unwrap());
    manager.publish(&course_key(), at(0)).unwrap();
    assert!(manager.delete(&course_key()).unwrap(), "it had a task");
    assert_eq!(house.tasks(), []);
    manager
        .update(&course_key(), &UpdateOptions::default())
        .unwrap();
    manager.publish(&course_key(), at(0)).unwrap();
    let claimed = match house
        .queue()
        .claim(&manager.lease().unwrap(), &RetryPolicy::default(), at(0))
        .unwrap()
    {
        Claimed::Task(claim) => claim,
        other => panic!("{other:?}"),
    };
    assert!(manager.delete(&course_key()).unwrap());
    assert_eq!(house.store.course(&course_key()).unwrap(), None);
    assert_eq!(
        house.queue().complete(&claimed, at(0)).unwrap(),
        Completion::Lost
    );
    assert_eq!(house.tasks(), []);
}

#[test]
fn what_a_release_may_not_write_any_more_is_put_on_the_queue() {
    let house = House::new();
    let options = UpdateOptions::default();
    let newer = house.release(1, 2);
    let start = Rollout::new(&house.store).start(&newer.lease().unwrap(), "t", at(0), |_| {});
    assert!(matches!(start.unwrap(), Start::Started { .. }));
    let older = house.release(1, 1);
    let refused = older.update(&course_key(), &options).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Fenced);
    assert_eq!(house.tasks(), [(Priority::Publish, TaskState::Ready)]);
    assert_eq!(house.store.course(&course_key()).unwrap(), None);
    let fenced = older.work(&RetryPolicy::default(), at(0)).unwrap();
    assert!(matches!(fenced, Step::Fenced { .. }));
    let done = newer.work(&RetryPolicy::default(), at(0)).unwrap();
    assert!(matches!(done, Step::Done { .. }));
    // Nothing is left to do for either.
    assert!(
        older
            .update(&course_key(), &options)
            .unwrap()
            .plan
            .is_nothing()
    );
    assert_eq!(house.tasks(), []);
}

/// Every read of such a release used to let the course out of quarantine.
#[test]
fn a_reader_of_an_older_release_wakes_up_nothing_that_keeps_failing() {
    let house = House::new();
    let newer = house.release(1, 2);
    let start = Rollout::new(&house.store).start(&newer.lease().unwrap(), "t", at(0), |_| {});
    assert!(matches!(start.unwrap(), Start::Started { .. }));
    let older = house.release(1, 1);
    older.publish(&course_key(), at(0)).unwrap();
    let load = || Err(Error::new(ErrorKind::InvalidCourse, "no root"));
    house.courses.loads.set(load);
    for (attempts, expected) in [(5, TaskState::Delayed(at(10))), (1, TaskState::Quarantined)] {
        let policy = RetryPolicy {
            attempts,
            ..RetryPolicy::default()
        };
        newer.publish(&course_key(), at(0)).unwrap();
        newer.work(&policy, at(0)).unwrap();
        house.courses.loads.set(|| Ok(()));
        let refused = older.get_collected(&course_key(), &["t"]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Fenced);
        assert_eq!(house.tasks(), [(Priority::Publish, expected)]);
        house.courses.loads.set(load);
    }
}

#[test]
fn managers_of_one_process_are_workers_of_their_own() {
    let house = House::new();
    let managers = [house.release(1, 1), house.release(1, 2)];
    let leases: BTreeMap<_, _> = managers
        .iter()
        .map(|manager| manager.lease().unwrap())
        .map(|lease| (lease.worker().to_owned(), lease))
        .collect();
    assert_eq!(leases.len(), 2);
    let name = worker_name();
    managers[0].join(&name, "r", LASTS, at(0)).unwrap();
    join(&managers[1]).unwrap();
    assert_eq!(members(&house.store).len(), 2);
}
