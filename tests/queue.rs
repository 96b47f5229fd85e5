//! What workers and operators may rely on about update tasks: one for a course at most, each taken
//! by one worker at a time, none lost, and nothing that is wrong with one in the way of others.

#[path = "common/engines.rs"]
mod engines;
#[path = "common/joined.rs"]
mod joined;
#[path = "common/meddling.rs"]
mod meddling;
#[path = "common/probe.rs"]
mod probe;
#[path = "common/watched.rs"]
mod watched;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use courseblocks::engine::{Commit, Durability, Engine, MemoryEngine, Space};
use courseblocks::rollout::{
    Backlog, Claim, Claimed, Completion, Enqueued, Event, Failed, Fleet, Priority, Queue, Rate,
    Registration, RetryPolicy, Rollout, Start, Task, TaskState,
};
use courseblocks::{
    CourseKey, ErrorKind, Lease, ReadVersion, Result, Store, Timestamp, Versions, WriteVersion,
};
use joined::{lease_for, worker_name};
use meddling::Meddling;
use watched::Watched;

const POLICY: RetryPolicy = RetryPolicy {
    first_delay: Duration::from_secs(10),
    longest_delay: Duration::from_secs(60),
    attempts: 4,
};

fn course(name: impl std::fmt::Display) -> CourseKey {
    format!("course-v1:Org+Course+{name}").parse().unwrap()
}

fn at(seconds: i64) -> Timestamp {
    millis(seconds * 1000)
}

fn millis(millis: i64) -> Timestamp {
    Timestamp::from_micros(millis * 1000).unwrap()
}

fn open<E: Engine>(engine: &Arc<E>) -> Store {
    Store::with_engine(engine.clone())
}

fn new_store() -> (Arc<MemoryEngine>, Store) {
    let engine = Arc::new(MemoryEngine::new());
    let store = open(&engine);
    (engine, store)
}

/// A worker without transformers, whose lease lasts for as long as said from `now` on.
fn join(store: &Store, worker: &str, now: Timestamp, seconds: u64) -> Lease {
    let registration = Registration {
        worker: worker.to_owned(),
        release: "release".to_owned(),
        transformers: BTreeMap::new(),
        lasts: Duration::from_secs(seconds),
    };
    Fleet::new(store).join(&registration, now).unwrap().0
}

/// One that outlasts the test.
fn worker(store: &Store) -> Lease {
    join(store, &worker_name(), at(0), 1_000_000)
}

#[track_caller]
fn put_on(store: &Store, name: &str, priority: Priority) -> Enqueued {
    let queue = Queue::new(store);
    queue.enqueue(&course(name), priority, at(0)).unwrap()
}

#[track_caller]
fn claim(store: &Store, lease: &Lease, now: Timestamp) -> Claim {
    match Queue::new(store).claim(lease, &POLICY, now).unwrap() {
        Claimed::Task(claim) => claim,
        other => panic!("no task: {other:?}"),
    }
}

#[track_caller]
fn state(store: &Store, name: &str, now: Timestamp) -> TaskState {
    let task = Queue::new(store).task(&course(name)).unwrap().unwrap();
    task.state(&Fleet::new(store).members().unwrap(), now)
}

/// What is told of each task.
type View = Vec<(CourseKey, Priority, u32, Option<String>, TaskState)>;

/// All tasks in their order; also checks that each can be found by its course, and nothing else.
#[track_caller]
fn tasks(store: &Store, now: Timestamp) -> View {
    let queue = Queue::new(store);
    let tasks: Vec<Task> = queue.tasks().collect::<Result<_>>().unwrap();
    let fleet = Fleet::new(store).members().unwrap();
    for task in &tasks {
        let found = queue.task(task.course()).unwrap();
        assert_eq!(found.as_ref(), Some(task), "task and pointer disagree");
    }
    let pointers = rows(&**store.engine()).into_iter();
    let pointers = pointers.filter(|(name, _)| name.first() == Some(&POINTER));
    assert_eq!(pointers.count(), tasks.len(), "a pointer to nothing");
    let view = tasks.iter().map(|task| {
        (
            task.course().clone(),
            task.priority(),
            task.attempts(),
            task.last_error().map(str::to_owned),
            task.state(&fleet, now),
        )
    });
    view.collect()
}

/// What the names of a course's own row begin with, that of its task's row, and those of others.
const POINTER: u8 = b'2';
const TASK: u8 = b'0';
const SETTINGS: u8 = b'3';
const METER: u8 = b'4';

/// Everything that the engine has of the queue.
fn rows(engine: &dyn Engine) -> Vec<(Vec<u8>, Vec<u8>)> {
    let items = engine.scan(Space::Control, Some(b"queue"));
    let row = |item: Result<courseblocks::engine::Item>| {
        let item = item.unwrap();
        (item.name().to_vec(), item.value().as_ref().to_vec())
    };
    items.map(row).collect()
}

/// Flips a bit in the first row whose name begins like this.
#[track_caller]
fn damage(engine: &dyn Engine, first: u8) {
    let mut rows = rows(engine).into_iter();
    let row = rows.find(|(name, _)| name.first() == Some(&first));
    let (name, mut value) = row.expect("no such row");
    *value.last_mut().unwrap() ^= 1;
    write(engine, &name, Some(value));
}

fn write(engine: &dyn Engine, name: &[u8], value: Option<Vec<u8>>) {
    let mut commit = Commit::new();
    match value {
        Some(value) => commit.put(Space::Control, name, value),
        None => commit.delete(Space::Control, name),
    }
    let _ = engine
        .commit(b"queue", &commit, Durability::Durable)
        .unwrap();
}

/// The courses of all tasks in the order in which one worker gets them.
fn work_off(store: &Store, lease: &Lease, now: Timestamp) -> Vec<CourseKey> {
    let queue = Queue::new(store);
    let mut order = Vec::new();
    while let Claimed::Task(claim) = queue.claim(lease, &POLICY, now).unwrap() {
        order.push(claim.course().clone());
        assert_ne!(queue.complete(&claim, now).unwrap(), Completion::Lost);
    }
    order
}

#[test]
fn publishes_go_before_backfills_and_who_came_first_goes_first() {
    let (_, store) = new_store();
    for (name, priority) in [
        ("a", Priority::Backfill),
        ("z", Priority::Publish),
        ("b", Priority::Backfill),
        ("y", Priority::Publish),
        // It is a publish now, and has waited for longest.
        ("a", Priority::Publish),
        // It is a publish all the same.
        ("z", Priority::Backfill),
    ] {
        put_on(&store, name, priority);
    }
    let order = ["a", "z", "y", "b"].map(course);
    let view = tasks(&store, at(0));
    assert_eq!(
        view.iter().map(|task| &task.0).collect::<Vec<_>>(),
        order.iter().collect::<Vec<_>>()
    );
    assert_eq!(work_off(&store, &worker(&store), at(0)), order);
    assert_eq!(
        rows(&**store.engine()).len(),
        1,
        "more than the meter is left"
    );
}

#[test]
fn a_storm_of_publishes_is_one_task() {
    let (_, store) = new_store();
    assert_eq!(put_on(&store, "a", Priority::Backfill), Enqueued::Added);
    for _ in 0..100 {
        assert_eq!(put_on(&store, "a", Priority::Publish), Enqueued::Coalesced);
    }
    let ready = (course("a"), Priority::Publish, 0, None, TaskState::Ready);
    assert_eq!(tasks(&store, at(0)), [ready]);
    assert_eq!(work_off(&store, &worker(&store), at(0)), [course("a")]);
}

#[test]
fn a_course_that_is_put_on_while_it_is_collected_is_collected_once_more() {
    let (_, store) = new_store();
    let queue = Queue::new(&store);
    let lease = worker(&store);
    put_on(&store, "a", Priority::Backfill);
    let first = claim(&store, &lease, at(1));
    put_on(&store, "a", Priority::Publish);
    assert!(matches!(
        state(&store, "a", at(1)),
        TaskState::Claimed { .. }
    ));
    assert_eq!(queue.complete(&first, at(2)).unwrap(), Completion::Again);
    let second = claim(&store, &lease, at(2));
    assert_eq!(queue.complete(&second, at(3)).unwrap(), Completion::Done);
    assert_eq!(tasks(&store, at(3)), []);
}

#[test]
fn a_failure_with_older_content_is_retried_at_once_and_does_not_count() {
    let (_, store) = new_store();
    let queue = Queue::new(&store);
    let lease = worker(&store);
    put_on(&store, "a", Priority::Publish);
    let failed = queue.fail(&claim(&store, &lease, at(0)), "no", &POLICY, at(0));
    assert_eq!(failed.unwrap(), Failed::Retry(at(10)));
    let second = claim(&store, &lease, at(10));
    assert_eq!(second.task().attempts(), 1);
    put_on(&store, "a", Priority::Publish);
    let failed = queue.fail(&second, "no again", &POLICY, at(11)).unwrap();
    assert_eq!(failed, Failed::Retry(at(11)));
    let third = claim(&store, &lease, at(11));
    assert_eq!(third.task().attempts(), 0);
    assert_eq!(third.task().last_error(), Some("no again"));
    // What is given back is as before, unless it was put on again.
    assert!(queue.give_back(&third).unwrap());
    assert_eq!(state(&store, "a", at(11)), TaskState::Ready);
    let fourth = claim(&store, &lease, at(11));
    let failed = queue.fail(&fourth, "no", &POLICY, at(12)).unwrap();
    assert_eq!(failed, Failed::Retry(at(22)));
    let fifth = claim(&store, &lease, at(22));
    put_on(&store, "a", Priority::Publish);
    assert!(queue.give_back(&fifth).unwrap());
    assert_eq!(claim(&store, &lease, at(22)).task().attempts(), 0);
}

/// A publish used to wait behind the last failure of the content before.
#[test]
fn fresh_content_is_tried_at_once_where_older_content_failed() {
    let (_, store) = new_store();
    let queue = Queue::new(&store);
    let lease = worker(&store);
    let quarantine = RetryPolicy {
        attempts: 1,
        ..POLICY
    };
    for (policy, is_failed) in [
        (POLICY, TaskState::Delayed(at(10))),
        (quarantine, TaskState::Quarantined),
    ] {
        put_on(&store, "a", Priority::Backfill);
        let claimed = claim(&store, &lease, at(0));
        queue.fail(&claimed, "no", &policy, at(0)).unwrap();
        assert_eq!(state(&store, "a", at(1)), is_failed);
        assert_eq!(put_on(&store, "a", Priority::Backfill), Enqueued::Coalesced);
        assert_eq!(
            state(&store, "a", at(1)),
            is_failed,
            "a backfill is no news"
        );
        assert_eq!(put_on(&store, "a", Priority::Publish), Enqueued::Coalesced);
        let ready = (course("a"), Priority::Publish, 0, None, TaskState::Ready);
        assert_eq!(tasks(&store, at(1)), [ready]);
        assert_eq!(work_off(&store, &lease, at(1)), [course("a")]);
    }
}

/// The next worker used to collect the course twice.
#[test]
fn a_task_that_was_put_on_again_under_a_worker_that_died_is_done_once() {
    let (_, store) = new_store();
    let dead = join(&store, "dead", at(0), 10);
    put_on(&store, "a", Priority::Publish);
    claim(&store, &dead, at(0));
    put_on(&store, "a", Priority::Publish);
    assert_eq!(work_off(&store, &worker(&store), at(10)), [course("a")]);
}

#[test]
fn a_claim_returns_when_its_lease_is_gone_or_expired() {
    let (_, store) = new_store();
    let (queue, fleet) = (Queue::new(&store), Fleet::new(&store));
    let other = worker(&store);
    put_on(&store, "a", Priority::Publish);
    let first = join(&store, "first", at(0), 10);
    claim(&store, &first, at(1));
    let waits = |now| match queue.claim(&other, &POLICY, now).unwrap() {
        Claimed::Idle {
            next: None,
            claimed_by_others,
        } => claimed_by_others == 1,
        other => panic!("{other:?}"),
    };
    // The lease is renewed, and ends.
    assert!(waits(at(9)));
    fleet.renew(&first, at(9)).unwrap();
    assert!(waits(at(18)));
    let by_other = claim(&store, &other, at(19));
    assert!(queue.give_back(&by_other).unwrap());
    // It is given back.
    let forget = || queue.drop(&other, &Backlog::Course(course("a"))).unwrap();
    forget();
    put_on(&store, "a", Priority::Publish);
    claim(&store, &first, at(9));
    assert!(waits(at(18)));
    assert!(fleet.leave(&first).unwrap());
    let by_other = claim(&store, &other, at(9));
    assert!(queue.give_back(&by_other).unwrap());
    // Another one takes its name.
    forget();
    put_on(&store, "a", Priority::Publish);
    let namesake = join(&store, "same", at(0), 1000);
    claim(&store, &namesake, at(9));
    assert!(waits(at(9)));
    join(&store, "same", at(9), 1000);
    claim(&store, &other, at(9));
}

/// Such a course used to be given to one worker after the other, for ever.
#[test]
fn a_course_that_kills_its_workers_comes_into_quarantine() {
    let (_, store) = new_store();
    let (queue, other) = (Queue::new(&store), worker(&store));
    put_on(&store, "killer", Priority::Backfill);
    put_on(&store, "good", Priority::Backfill);
    // It dies, is restarted under its name, and gets the same course.
    let mut now = 0;
    for attempts in 1..=POLICY.attempts {
        let victim = join(&store, "victim", at(now), 1000);
        assert_eq!(claim(&store, &victim, at(now)).course(), &course("killer"));
        join(&store, "victim", at(now), 1000);
        // Whoever comes next finds it out.
        if attempts == 1 {
            let by_other = claim(&store, &other, at(now));
            assert_eq!(by_other.course(), &course("killer"), "it is tried at once");
            assert!(queue.give_back(&by_other).unwrap());
        } else {
            let by_other = claim(&store, &other, at(now));
            assert_eq!(by_other.course(), &course("good"), "all others go on");
            assert!(queue.give_back(&by_other).unwrap());
        }
        let task = queue.task(&course("killer")).unwrap().unwrap();
        assert_eq!(task.attempts(), attempts);
        let error = "the worker that had it, victim, died, or lost its lease, before it was done";
        assert_eq!(task.last_error(), Some(error));
        match state(&store, "killer", at(now)) {
            TaskState::Ready => assert_eq!(attempts, 1),
            TaskState::Delayed(then) => {
                let usual = POLICY.delay_after(attempts).as_secs().cast_signed();
                assert!((at(now + usual)..at(now + 2 * usual)).contains(&then));
                now += 2 * usual;
            }
            other => assert_eq!((other, attempts), (TaskState::Quarantined, POLICY.attempts)),
        }
    }
    assert_eq!(work_off(&store, &other, at(now)), [course("good")]);
    let history = Rollout::new(&store).history().unwrap();
    let told = history.iter().filter(|entry| {
        let worker = entry.worker.as_deref() == Some("victim");
        worker && matches!(&entry.event, Event::Quarantined { attempts: 4, .. })
    });
    assert_eq!(told.count(), 1);
}

/// Those that only happened to be under way would come into quarantine with the one to blame if
/// they were always tried together.
#[test]
fn what_died_together_twice_is_tried_apart() {
    let (_, store) = new_store();
    let other = worker(&store);
    let names: Vec<_> = (0..4).map(|number| number.to_string()).collect();
    for name in &names {
        put_on(&store, name, Priority::Backfill);
    }
    for _ in 0..2 {
        let victim = join(&store, "victim", at(0), 1000);
        for _ in &names {
            claim(&store, &victim, at(0));
        }
        join(&store, "victim", at(0), 1000);
    }
    assert_eq!(work_off(&store, &other, at(0)), []);
    let times: BTreeSet<_> = names
        .iter()
        .map(|name| match state(&store, name, at(0)) {
            TaskState::Delayed(then) => then,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(times.len(), names.len(), "{times:?}");
}

/// However often the workers of a deployment are killed, what gets done in between is healthy.
#[test]
fn restarts_put_no_course_into_quarantine_that_is_done_in_between() {
    let (_, store) = new_store();
    for restart in 0..i64::from(3 * POLICY.attempts) {
        put_on(&store, "a", Priority::Backfill);
        put_on(&store, "b", Priority::Backfill);
        let victim = join(&store, "victim", at(restart), 1000);
        assert_eq!(claim(&store, &victim, at(restart)).course(), &course("a"));
        let next = join(&store, "victim", at(restart), 1000);
        let done = work_off(&store, &next, at(restart));
        assert_eq!(done, ["a", "b"].map(course));
    }
}

/// What a worker that ends in order has under way is finished, or given back, and is no attempt.
#[test]
fn a_claim_that_is_given_back_is_no_attempt() {
    let (_, store) = new_store();
    let queue = Queue::new(&store);
    put_on(&store, "a", Priority::Backfill);
    for _ in 0..2 * POLICY.attempts {
        let lease = worker(&store);
        let claimed = claim(&store, &lease, at(0));
        assert_eq!(claimed.task().attempts(), 0);
        assert!(queue.give_back(&claimed).unwrap());
        assert!(Fleet::new(&store).leave(&lease).unwrap());
    }
}

#[test]
fn a_claim_that_was_lost_changes_nothing_however_late_it_ends() {
    let lost: [fn(&Store, &Lease); 4] = [
        |store, other| drop(claim(store, other, at(100))),
        |store, other| {
            let claim = claim(store, other, at(100));
            Queue::new(store)
                .fail(&claim, "no", &POLICY, at(100))
                .unwrap();
        },
        |store, other| {
            let which = Backlog::Course(course("a"));
            assert_eq!(Queue::new(store).drop(other, &which).unwrap().len(), 1);
        },
        |store, other| {
            let which = Backlog::Course(course("a"));
            Queue::new(store).drop(other, &which).unwrap();
            put_on(store, "a", Priority::Publish);
        },
    ];
    for lose in lost {
        let (_, store) = new_store();
        let queue = Queue::new(&store);
        let (slow, other) = (join(&store, "slow", at(0), 10), worker(&store));
        put_on(&store, "a", Priority::Publish);
        let late = claim(&store, &slow, at(0));
        lose(&store, &other);
        let before = rows(&**store.engine());
        assert_eq!(queue.complete(&late, at(101)).unwrap(), Completion::Lost);
        let failed = queue.fail(&late, "late", &POLICY, at(101)).unwrap();
        assert_eq!(failed, Failed::Lost);
        assert!(!queue.give_back(&late).unwrap());
        assert_eq!(rows(&**store.engine()), before);
        assert_eq!(Rollout::new(&store).history().unwrap(), []);
    }
}

/// Does `act` at every moment of `during`, each time on a new queue with these tasks that was
/// made ready by `prepare`, and hands what came of both to `check`.
fn at_every_moment<P, A, B>(
    names: &[&str],
    prepare: impl Fn(&Store, &Lease) -> P,
    during: impl Fn(&Store, &Lease, &P) -> A,
    act: impl Fn(&Store) -> B + Send + Sync + 'static,
    check: impl Fn(&Store, A, B),
) where
    B: Send + 'static,
{
    let act = Arc::new(act);
    for moment in 0.. {
        let engine = Arc::new(Meddling::default());
        let store = Arc::new(open(&engine));
        let lease = join(&store, "first", at(0), 10);
        for name in names {
            put_on(&store, name, Priority::Backfill);
        }
        let prepared = prepare(&store, &lease);
        let done = Arc::new(Mutex::new(None));
        let slipped_in = {
            let (store, act, done) = (store.clone(), act.clone(), done.clone());
            engine.slip_in(moment, move || {
                *done.lock().unwrap() = Some(act(&store));
            })
        };
        let answer = during(&store, &lease, &prepared);
        if !slipped_in.happened() {
            assert!(moment > 2, "nothing could slip in");
            return;
        }
        engine.before.set(|| Ok(()));
        let other = done.lock().unwrap().take().unwrap();
        check(&store, answer, other);
    }
}

fn claim_first(store: &Store, lease: &Lease) -> Claim {
    claim(store, lease, at(1))
}

fn course_of(claimed: &Claimed) -> Option<CourseKey> {
    match claimed {
        Claimed::Task(claim) => Some(claim.course().clone()),
        Claimed::Idle { .. } => None,
        other => panic!("{other:?}"),
    }
}

/// A worker that joined after another one had read the fleet used to lose its task to that one.
#[test]
fn two_workers_never_get_the_same_task_at_whatever_moment_the_other_one_comes() {
    let claim_now = |store: &Store, lease: &Lease, (): &()| {
        Queue::new(store).claim(lease, &POLICY, at(1)).unwrap()
    };
    let nothing = |_: &Store, _: &Lease| ();
    let join_and_claim = |store: &Store| {
        let other = worker(store);
        Queue::new(store).claim(&other, &POLICY, at(1)).unwrap()
    };
    at_every_moment(
        &["a"],
        nothing,
        claim_now,
        join_and_claim,
        |store, one, other| {
            let courses = [course_of(&one), course_of(&other)];
            assert_eq!(courses.iter().flatten().count(), 1, "{courses:?}");
            let ((Claimed::Task(claim), _) | (_, Claimed::Task(claim))) = (&one, &other) else {
                panic!("nobody has it");
            };
            let completion = Queue::new(store).complete(claim, at(2)).unwrap();
            assert_eq!(completion, Completion::Done);
            assert_eq!(tasks(store, at(2)), []);
        },
    );
    at_every_moment(
        &["a", "b"],
        nothing,
        claim_now,
        join_and_claim,
        |store, one, other| {
            let courses = [course_of(&one), course_of(&other)];
            let distinct: BTreeSet<_> = courses.iter().flatten().collect();
            assert_eq!(distinct.len(), 2, "{courses:?}");
            tasks(store, at(1));
        },
    );
    // The other one is done already.
    let whole = move |store: &Store| {
        let other = worker(store);
        let claimed = Queue::new(store).claim(&other, &POLICY, at(1)).unwrap();
        if let Claimed::Task(claim) = &claimed {
            Queue::new(store).complete(claim, at(1)).unwrap();
        }
        claimed
    };
    at_every_moment(&["a"], nothing, claim_now, whole, |_, one, other| {
        let courses = [course_of(&one), course_of(&other)];
        assert_eq!(courses.iter().flatten().count(), 1, "{courses:?}");
    });
}

#[test]
fn who_loses_a_task_at_whatever_moment_of_its_end_is_told_or_has_ended_it() {
    let late_claim = |store: &Store| {
        let other = join(store, "other", at(50), 100);
        Queue::new(store).claim(&other, &POLICY, at(50)).unwrap()
    };
    let complete = |store: &Store, _: &Lease, claim: &Claim| {
        Queue::new(store).complete(claim, at(50)).unwrap()
    };
    at_every_moment(
        &["a"],
        claim_first,
        complete,
        late_claim,
        |store, completion, other| match (completion, other) {
            (Completion::Done, Claimed::Idle { .. }) => assert_eq!(tasks(store, at(50)), []),
            (Completion::Lost, Claimed::Task(claim)) => {
                let completion = Queue::new(store).complete(&claim, at(51)).unwrap();
                assert_eq!(completion, Completion::Done);
            }
            other => panic!("{other:?}"),
        },
    );
}

#[test]
fn a_course_that_is_put_on_at_whatever_moment_of_its_end_is_collected_once_more() {
    let publish = |store: &Store| put_on(store, "a", Priority::Publish);
    let complete =
        |store: &Store, _: &Lease, claim: &Claim| Queue::new(store).complete(claim, at(2)).unwrap();
    let check = |store: &Store, enqueued| {
        assert_eq!(enqueued, Enqueued::Coalesced);
        let ready = (course("a"), Priority::Publish, 0, TaskState::Ready);
        let mut left = tasks(store, at(2)).into_iter();
        let left = left.next().map(|task| (task.0, task.1, task.2, task.4));
        assert_eq!(left, Some(ready));
    };
    at_every_moment(
        &["a"],
        claim_first,
        complete,
        publish,
        |store, completion, enqueued| {
            assert_eq!(completion, Completion::Again);
            check(store, enqueued);
        },
    );
    let fail = |store: &Store, _: &Lease, claim: &Claim| {
        Queue::new(store).fail(claim, "no", &POLICY, at(2)).unwrap()
    };
    at_every_moment(
        &["a"],
        claim_first,
        fail,
        publish,
        |store, failed, enqueued| {
            assert_eq!(failed, Failed::Retry(at(2)));
            check(store, enqueued);
        },
    );
    let give_back =
        |store: &Store, _: &Lease, claim: &Claim| Queue::new(store).give_back(claim).unwrap();
    at_every_moment(
        &["a"],
        claim_first,
        give_back,
        publish,
        |store, given, enqueued| {
            assert!(given);
            check(store, enqueued);
        },
    );
}

#[test]
fn a_claim_at_whatever_moment_of_a_change_of_its_task_is_not_lost() {
    let claim_now = |store: &Store| {
        let other = worker(store);
        claim(store, &other, at(1))
    };
    let nothing = |_: &Store, _: &Lease| ();
    let enqueue = |store: &Store, _: &Lease, (): &()| put_on(store, "a", Priority::Backfill);
    at_every_moment(&["a"], nothing, enqueue, claim_now, |store, _, claim| {
        let completion = Queue::new(store).complete(&claim, at(1)).unwrap();
        assert_eq!(completion, Completion::Again);
        assert_eq!(tasks(store, at(1)).len(), 1);
    });
}

#[test]
fn however_many_work_at_once_each_task_is_collected_once() {
    const TASKS: usize = 200;
    engines::on_each(|engine, _| {
        let store = Store::with_engine(engine);
        let queue = Queue::new(&store);
        for number in 0..TASKS {
            let course = course(number);
            let priority = [Priority::Publish, Priority::Backfill][number % 2];
            queue.enqueue_buffered(&course, priority, at(0)).unwrap();
        }
        store.engine().flush().unwrap();
        let leases: Vec<_> = (0..4).map(|_| worker(&store)).collect();
        let collected: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = leases
                .iter()
                .map(|lease| scope.spawn(|| work_off(&store, lease, at(1))))
                .collect();
            let done = threads.into_iter().map(|thread| thread.join().unwrap());
            done.flatten().collect()
        });
        assert_eq!(collected.len(), TASKS);
        assert_eq!(collected.iter().collect::<BTreeSet<_>>().len(), TASKS);
        assert_eq!(tasks(&store, at(1)), []);
    });
}

#[test]
fn a_task_that_fails_is_tried_later_and_later_and_then_left_alone() {
    let (_, store) = new_store();
    let queue = Queue::new(&store);
    let lease = worker(&store);
    put_on(&store, "bad", Priority::Publish);
    put_on(&store, "good", Priority::Backfill);
    let mut now = 0;
    for (attempt, delay) in [(1, 10), (2, 20), (3, 40)] {
        let bad = claim(&store, &lease, at(now));
        assert_eq!(bad.course(), &course("bad"));
        let failed = queue.fail(&bad, "no", &POLICY, at(now)).unwrap();
        assert_eq!(failed, Failed::Retry(at(now + delay)));
        assert_eq!(
            state(&store, "bad", at(now)),
            TaskState::Delayed(at(now + delay))
        );
        // Others go on meanwhile.
        let good = claim(&store, &lease, at(now + delay - 1));
        assert_eq!(good.course(), &course("good"));
        match queue.claim(&lease, &POLICY, at(now + delay - 1)).unwrap() {
            Claimed::Idle {
                next,
                claimed_by_others,
            } => assert_eq!((next, claimed_by_others), (Some(at(now + delay)), 1)),
            other => panic!("{other:?}"),
        }
        assert!(queue.give_back(&good).unwrap());
        let task = queue.task(&course("bad")).unwrap().unwrap();
        assert_eq!((task.attempts(), task.last_error()), (attempt, Some("no")));
        now += delay;
    }
    let last = claim(&store, &lease, at(now));
    let failed = queue.fail(&last, "never", &POLICY, at(now)).unwrap();
    assert_eq!(failed, Failed::Quarantined);
    assert_eq!(work_off(&store, &lease, at(1_000_000)), [course("good")]);
    let history = Rollout::new(&store).history().unwrap();
    let events: Vec<_> = history.iter().map(|entry| &entry.event).collect();
    let quarantined = Event::Quarantined {
        course: course("bad").to_string(),
        attempts: 4,
        error: "never".to_owned(),
    };
    assert_eq!(events, [&quarantined]);
    assert_eq!(history[0].worker.as_deref(), Some(lease.worker()));
}

#[test]
fn operators_retry_and_drop_what_failed() {
    let (_, store) = new_store();
    let queue = Queue::new(&store);
    let lease = worker(&store);
    let quarantine = RetryPolicy {
        attempts: 1,
        ..POLICY
    };
    for (name, policy) in [("a", &quarantine), ("b", &quarantine), ("c", &POLICY)] {
        put_on(&store, name, Priority::Publish);
        let claim = claim(&store, &lease, at(0));
        queue.fail(&claim, "no", policy, at(0)).unwrap();
    }
    put_on(&store, "d", Priority::Publish);
    let claimed = claim(&store, &lease, at(0));
    let status = queue.status(at(0)).unwrap();
    let counts = (
        status.ready,
        status.delayed,
        status.claimed,
        status.quarantined,
    );
    assert_eq!(counts, (0, 1, 1, 2));
    // What did not fail stays as it is.
    for name in ["d", "unknown"] {
        let retried = queue.retry(&lease, &Backlog::Course(course(name)));
        assert_eq!(retried.unwrap(), []);
    }
    let retried = queue.retry(&lease, &Backlog::Course(course("c"))).unwrap();
    assert_eq!(retried, [course("c")]);
    let dropped = queue.drop(&lease, &Backlog::Course(course("b"))).unwrap();
    assert_eq!(dropped, [course("b")]);
    let retried = queue.retry(&lease, &Backlog::Quarantined).unwrap();
    assert_eq!(retried, [course("a")]);
    assert_eq!(queue.retry(&lease, &Backlog::Quarantined).unwrap(), []);
    assert_eq!(queue.complete(&claimed, at(0)).unwrap(), Completion::Done);
    let view = tasks(&store, at(0));
    let ready = |name| (course(name), Priority::Publish, 0, None, TaskState::Ready);
    assert_eq!(view, [ready("a"), ready("c")]);
}

#[test]
fn nobody_takes_a_task_while_the_queue_is_paused() {
    let (engine, store) = new_store();
    let queue = Queue::new(&store);
    let lease = worker(&store);
    put_on(&store, "a", Priority::Publish);
    put_on(&store, "b", Priority::Publish);
    let under_way = claim(&store, &lease, at(0));
    assert!(!queue.resume(&lease, at(0)).unwrap());
    assert!(queue.pause(&lease, at(1)).unwrap());
    assert!(!queue.pause(&lease, at(2)).unwrap());
    // It is still so after a crash.
    engine.crash();
    let paused = queue.limits().unwrap().paused.unwrap();
    assert_eq!((paused.by.as_str(), paused.at), (lease.worker(), at(1)));
    assert!(matches!(
        queue.claim(&lease, &POLICY, at(3)).unwrap(),
        Claimed::Paused
    ));
    // What is under way is finished, and what comes is put on.
    put_on(&store, "c", Priority::Publish);
    queue.complete(&under_way, at(3)).unwrap();
    assert!(queue.resume(&lease, at(4)).unwrap());
    work_off(&store, &lease, at(4));
    let events = Rollout::new(&store).history().unwrap();
    let events: Vec<_> = events.into_iter().map(|entry| entry.event).collect();
    assert_eq!(events, [Event::Paused, Event::Resumed]);
}

#[test]
fn all_workers_together_take_as_many_tasks_as_the_rate_says() {
    /// How many are taken in ten seconds by two workers that ask every `step` milliseconds.
    #[track_caller]
    fn check(rate: f64, step: i64, expected: usize) {
        let (_, store) = new_store();
        let queue = Queue::new(&store);
        let leases = [worker(&store), worker(&store)];
        for number in 0..120 {
            let course = course(number);
            queue
                .enqueue_buffered(&course, Priority::Backfill, at(0))
                .unwrap();
        }
        let rate = Rate::per_second(rate).unwrap();
        assert!(queue.set_rate(&leases[0], Some(rate), at(0)).unwrap());
        assert!(!queue.set_rate(&leases[0], Some(rate), at(0)).unwrap());
        assert_eq!(queue.limits().unwrap().rate, Some(rate));
        let mut taken = 0;
        for now in (0..10_000)
            .step_by(usize::try_from(step).unwrap())
            .map(millis)
        {
            for lease in &leases {
                match queue.claim(lease, &POLICY, now).unwrap() {
                    Claimed::Task(_) => taken += 1,
                    Claimed::Limited { until } => {
                        assert!(now < until && until <= now.plus(rate.interval()));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(taken, expected, "{rate:?} every {step} ms");
        // Without the limit, the rest at once.
        assert!(queue.set_rate(&leases[0], None, at(10)).unwrap());
        assert_eq!(work_off(&store, &leases[0], at(10)).len(), 120 - taken);
    }

    check(1.0, 100, 10);
    check(0.1, 100, 1);
    check(0.5, 1000, 5);
    check(4.0, 50, 40);
    // Who asks late does not catch up.
    check(4.0, 200, 25);
    check(1.0, 10_000, 1);
}

/// One worker an hour ahead used to stop all others for an hour.
#[test]
fn a_worker_whose_clock_is_ahead_does_not_hold_up_the_others() {
    let (_, store) = new_store();
    let queue = Queue::new(&store);
    let lease = worker(&store);
    for name in ["a", "b", "c"] {
        put_on(&store, name, Priority::Publish);
    }
    queue
        .set_rate(&lease, Rate::per_second(1.0), at(0))
        .unwrap();
    claim(&store, &lease, at(3600));
    claim(&store, &lease, at(10));
    let limited = queue.claim(&lease, &POLICY, at(10)).unwrap();
    assert!(matches!(limited, Claimed::Limited { until } if until == at(11)));
    claim(&store, &lease, at(11));
}

fn version(version: u32) -> WriteVersion {
    WriteVersion::new(version).unwrap()
}

#[test]
fn a_release_below_a_floor_and_a_worker_without_a_lease_get_nothing() {
    let (_, store) = new_store();
    let queue = Queue::new(&store);
    put_on(&store, "a", Priority::Publish);
    let write = |write| Versions::new(ReadVersion::new(1), version(write));
    let newer = lease_for(&store, [("t", write(2))]);
    let start = Rollout::new(&store).start(&newer, "t", at(0), |_| {});
    assert!(matches!(start.unwrap(), Start::Started { .. }));
    for (older, writes) in [
        (lease_for(&store, [("t", write(1))]), Some(version(1))),
        (lease_for(&store, [("u", write(9))]), None),
    ] {
        match queue.claim(&older, &POLICY, at(0)).unwrap() {
            Claimed::Fenced {
                transformer,
                write,
                floor,
            } => assert_eq!((&*transformer, write, floor), ("t", writes, version(2))),
            other => panic!("{other:?}"),
        }
    }
    Fleet::new(&store).leave(&newer).unwrap();
    let which = Backlog::Quarantined;
    let refused = [
        queue.claim(&newer, &POLICY, at(0)).map(drop),
        queue.pause(&newer, at(0)).map(drop),
        queue.resume(&newer, at(0)).map(drop),
        queue.set_rate(&newer, None, at(0)).map(drop),
        queue.retry(&newer, &which).map(drop),
        queue.drop(&newer, &which).map(drop),
    ];
    for refused in refused {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::NoLease);
    }
    let newest = lease_for(&store, [("t", write(3))]);
    claim(&store, &newest, at(0));
}

/// A backfill of older code used to take and complete the task of a rollout that began meanwhile.
#[test]
fn a_task_that_a_rollout_puts_on_is_taken_by_no_older_release_however_late_it_claims() {
    // The lease of the first one has expired for the one that starts the rollout.
    let start = |store: &Store| {
        let versions = Versions::new(ReadVersion::new(1), version(2));
        let newer = lease_for(store, [("t", versions)]);
        let start = Rollout::new(store).start(&newer, "t", at(100), |_| {});
        assert!(matches!(start.unwrap(), Start::Started { .. }));
        // As it does for every course that is stored.
        put_on(store, "a", Priority::Backfill);
    };
    for moment in 0.. {
        let engine = Arc::new(Meddling::default());
        let store = Arc::new(open(&engine));
        let lease = join(&store, "older", at(0), 10);
        put_on(&store, "a", Priority::Backfill);
        let inner = store.clone();
        let slipped_in = engine.slip_in(moment, move || start(&inner));
        let claimed = Queue::new(&store).claim(&lease, &POLICY, at(1));
        if !slipped_in.happened() {
            assert!(moment > 3);
            break;
        }
        engine.before.set(|| Ok(()));
        if let Ok(Claimed::Task(claim)) = &claimed {
            let completion = Queue::new(&store).complete(claim, at(1)).unwrap();
            assert_eq!(completion, Completion::Again);
        }
        assert_eq!(tasks(&store, at(1)).len(), 1, "{claimed:?} at {moment}");
    }
}

/// An operation on a queue that was made by [`furnish`], with this claim of the course `claimed`.
type Operation = fn(&Store, &Lease, &Claim) -> Result<()>;

const OPERATIONS: [(&str, Operation); 13] = [
    ("enqueue", |store, _, _| {
        let queue = Queue::new(store);
        queue
            .enqueue(&course("new"), Priority::Publish, at(5))
            .map(drop)
    }),
    ("coalesce", |store, _, _| {
        let queue = Queue::new(store);
        queue
            .enqueue(&course("ready"), Priority::Publish, at(5))
            .map(drop)
    }),
    ("enqueue while claimed", |store, _, _| {
        let queue = Queue::new(store);
        queue
            .enqueue(&course("claimed"), Priority::Publish, at(5))
            .map(drop)
    }),
    ("fresh content", |store, _, _| {
        let queue = Queue::new(store);
        queue
            .enqueue(&course("bad"), Priority::Publish, at(5))
            .map(drop)
    }),
    ("claim", |store, lease, _| {
        Queue::new(store).claim(lease, &POLICY, at(5)).map(drop)
    }),
    ("complete", |store, _, claim| {
        Queue::new(store).complete(claim, at(5)).map(drop)
    }),
    ("fail", |store, _, claim| {
        Queue::new(store)
            .fail(claim, "no", &POLICY, at(5))
            .map(drop)
    }),
    ("give back", |store, _, claim| {
        Queue::new(store).give_back(claim).map(drop)
    }),
    ("retry", |store, lease, _| {
        Queue::new(store)
            .retry(lease, &Backlog::Quarantined)
            .map(drop)
    }),
    ("drop", |store, lease, _| {
        let which = Backlog::Course(course("ready"));
        Queue::new(store).drop(lease, &which).map(drop)
    }),
    ("pause", |store, lease, _| {
        Queue::new(store).pause(lease, at(5)).map(drop)
    }),
    ("set the rate", |store, lease, _| {
        let rate = Rate::per_second(7.0);
        Queue::new(store).set_rate(lease, rate, at(5)).map(drop)
    }),
    ("quarantine", |store, _, claim| {
        let policy = RetryPolicy {
            attempts: 1,
            ..POLICY
        };
        Queue::new(store)
            .fail(claim, "no", &policy, at(5))
            .map(drop)
    }),
];

fn furnish(store: &Store) -> (Lease, Claim) {
    let queue = Queue::new(store);
    let lease = worker(store);
    let quarantine = RetryPolicy {
        attempts: 1,
        ..POLICY
    };
    put_on(store, "bad", Priority::Backfill);
    let bad = claim(store, &lease, at(0));
    queue.fail(&bad, "no", &quarantine, at(0)).unwrap();
    put_on(store, "claimed", Priority::Backfill);
    let claimed = claim(store, &lease, at(0));
    put_on(store, "ready", Priority::Backfill);
    store.engine().flush().unwrap();
    (lease, claimed)
}

#[test]
fn an_engine_that_fails_anywhere_leaves_every_task_as_it_was_or_as_it_should_be() {
    for (what, operation) in OPERATIONS {
        let (_, store) = new_store();
        let (lease, claimed) = furnish(&store);
        let before = tasks_and_limits(&store);
        operation(&store, &lease, &claimed).unwrap();
        let after = tasks_and_limits(&store);
        for moment in 1.. {
            let (engine, store) = new_store();
            let (lease, claimed) = furnish(&store);
            let before = rename(&before, &store);
            engine.fail_at(moment);
            let answer = operation(&store, &lease, &claimed);
            engine.fail_at(0);
            let now = tasks_and_limits(&store);
            let after = rename(&after, &store);
            assert!(
                now == before || now == after,
                "{what} failed at {moment}: {now:?}"
            );
            let Err(error) = answer else {
                assert!(moment > 2, "{what} asks the engine for nothing");
                assert_eq!(now, after, "{what}");
                break;
            };
            assert_eq!(error.kind(), ErrorKind::Storage);
            // The machine ends.
            engine.crash();
            let store = open(&engine);
            let left = tasks_and_limits(&store);
            assert!(
                left == before || left == after,
                "{what} crashed at {moment}: {left:?}"
            );
            // Whoever tries again is done, unless it was done already.
            if left == before {
                operation(&store, &lease, &claimed).unwrap();
                assert_eq!(tasks_and_limits(&store), after, "{what} after {moment}");
            }
        }
    }
}

type Told = (View, courseblocks::rollout::Limits);

fn tasks_and_limits(store: &Store) -> Told {
    (tasks(store, at(5)), Queue::new(store).limits().unwrap())
}

/// The same of a store whose worker has another name.
fn rename((view, limits): &Told, store: &Store) -> Told {
    let members = Fleet::new(store).members().unwrap();
    let name = &members.first().unwrap().worker;
    let (mut view, mut limits) = (view.clone(), limits.clone());
    for task in &mut view {
        if let TaskState::Claimed { worker, .. } = &mut task.4 {
            worker.clone_from(name);
        }
    }
    if let Some(pause) = &mut limits.paused {
        pause.by.clone_from(name);
    }
    (view, limits)
}

#[test]
fn what_was_acknowledged_is_there_after_a_crash() {
    let (engine, store) = new_store();
    let queue = Queue::new(&store);
    put_on(&store, "a", Priority::Publish);
    engine.crash();
    assert_eq!(put_on(&store, "a", Priority::Publish), Enqueued::Coalesced);
    // What is buffered is acknowledged by the flush; what is put on again after that, by itself.
    queue
        .enqueue_buffered(&course("b"), Priority::Backfill, at(0))
        .unwrap();
    queue
        .enqueue_buffered(&course("c"), Priority::Backfill, at(0))
        .unwrap();
    put_on(&store, "c", Priority::Backfill);
    queue
        .enqueue_buffered(&course("d"), Priority::Backfill, at(0))
        .unwrap();
    engine.crash();
    let courses = tasks(&store, at(0)).into_iter().map(|task| task.0);
    assert_eq!(courses.collect::<Vec<_>>(), ["a", "b", "c"].map(course));
    // So is every step of a task.
    let lease = worker(&store);
    let claimed = claim(&store, &lease, at(0));
    engine.crash();
    assert!(matches!(
        state(&store, "a", at(0)),
        TaskState::Claimed { .. }
    ));
    assert_eq!(
        queue.fail(&claimed, "no", &POLICY, at(0)).unwrap(),
        Failed::Retry(at(10))
    );
    engine.crash();
    assert_eq!(state(&store, "a", at(0)), TaskState::Delayed(at(10)));
    let claimed = claim(&store, &lease, at(0));
    assert!(queue.give_back(&claimed).unwrap());
    engine.crash();
    assert_eq!(state(&store, "b", at(0)), TaskState::Ready);
    let claimed = claim(&store, &lease, at(0));
    assert_eq!(queue.complete(&claimed, at(0)).unwrap(), Completion::Done);
    engine.crash();
    let courses = tasks(&store, at(0)).into_iter().map(|task| task.0);
    assert_eq!(courses.collect::<Vec<_>>(), ["a", "c"].map(course));
    assert_eq!(work_off(&store, &lease, at(10)).len(), 2);
}

#[test]
fn a_damaged_task_keeps_nobody_from_the_others_and_is_cured_by_putting_it_on_again() {
    let cures: [fn(&Store, &Lease); 2] = [
        |store, _| assert_eq!(put_on(store, "a", Priority::Publish), Enqueued::Added),
        |store, lease| {
            let which = Backlog::Course(course("a"));
            assert_eq!(
                Queue::new(store).drop(lease, &which).unwrap(),
                [course("a")]
            );
        },
    ];
    for cure in cures {
        let (engine, store) = new_store();
        let queue = Queue::new(&store);
        let lease = worker(&store);
        put_on(&store, "a", Priority::Publish);
        put_on(&store, "b", Priority::Publish);
        damage(&*engine, TASK);
        assert_eq!(queue.task(&course("a")).unwrap(), None);
        let status = queue.status(at(0)).unwrap();
        assert_eq!((status.ready, status.damaged), (1, 1));
        let which = Backlog::Course(course("a"));
        assert_eq!(queue.retry(&lease, &which).unwrap(), []);
        assert_eq!(work_off(&store, &lease, at(0)), [course("b")]);
        cure(&store, &lease);
        let left = tasks(&store, at(0)).len();
        assert_eq!(queue.status(at(0)).unwrap().damaged, 0);
        assert_eq!(work_off(&store, &lease, at(0)).len(), left);
    }
}

#[test]
fn a_task_that_is_damaged_while_it_is_collected_is_lost_to_its_worker() {
    let (engine, store) = new_store();
    let lease = worker(&store);
    put_on(&store, "a", Priority::Publish);
    let claimed = claim(&store, &lease, at(0));
    damage(&*engine, TASK);
    let completion = Queue::new(&store).complete(&claimed, at(0)).unwrap();
    assert_eq!(completion, Completion::Lost);
    put_on(&store, "a", Priority::Publish);
    assert_eq!(work_off(&store, &lease, at(0)), [course("a")]);
}

/// Such a task was claimed over and over and could never be completed, and its course got another
/// one beside it.
#[test]
fn a_task_whose_pointer_is_damaged_is_still_the_only_one_of_its_course() {
    let is_quarantined = RetryPolicy {
        attempts: 1,
        ..POLICY
    };
    for policy in [POLICY, is_quarantined] {
        let (engine, store) = new_store();
        let queue = Queue::new(&store);
        let lease = worker(&store);
        put_on(&store, "a", Priority::Publish);
        put_on(&store, "b", Priority::Backfill);
        let claimed = claim(&store, &lease, at(0));
        damage(&*engine, POINTER);
        queue.fail(&claimed, "no", &policy, at(0)).unwrap();
        assert_eq!(tasks(&store, at(0)).len(), 2);
        damage(&*engine, POINTER);
        assert_eq!(put_on(&store, "a", Priority::Publish), Enqueued::Coalesced);
        assert_eq!(tasks(&store, at(0)).len(), 2);
        damage(&*engine, POINTER);
        let order = work_off(&store, &lease, at(0));
        assert_eq!(order, ["a", "b"].map(course));
        assert_eq!(tasks(&store, at(0)), []);
    }
}

/// Every operation on the course used to look for its task a thousand times and then give up.
#[test]
fn a_pointer_to_nothing_is_as_good_as_none() {
    let (engine, store) = new_store();
    let queue = Queue::new(&store);
    let lease = worker(&store);
    put_on(&store, "a", Priority::Publish);
    let (name, _) = rows(&*engine).swap_remove(0);
    write(&*engine, &name, None);
    assert_eq!(queue.task(&course("a")).unwrap(), None);
    assert_eq!(put_on(&store, "a", Priority::Publish), Enqueued::Added);
    assert_eq!(tasks(&store, at(0)).len(), 1);
    assert_eq!(work_off(&store, &lease, at(0)), [course("a")]);
}

#[test]
fn damaged_settings_are_none_and_a_damaged_meter_begins_anew() {
    let (engine, store) = new_store();
    let queue = Queue::new(&store);
    let lease = worker(&store);
    for name in ["a", "b", "c"] {
        put_on(&store, name, Priority::Publish);
    }
    queue
        .set_rate(&lease, Rate::per_second(1.0), at(0))
        .unwrap();
    let first = claim(&store, &lease, at(0));
    queue.complete(&first, at(0)).unwrap();
    damage(&*engine, SETTINGS);
    damage(&*engine, METER);
    assert_eq!(
        queue.limits().unwrap(),
        courseblocks::rollout::Limits::default()
    );
    assert_eq!(queue.status(at(0)).unwrap().done_per_second, None);
    assert_eq!(work_off(&store, &lease, at(5)).len(), 2);
    let done = queue.status(at(5)).unwrap().done_per_second;
    assert!(
        done.is_some_and(|rate| (rate - 0.4).abs() < 1e-9),
        "{done:?}"
    );
    // They can be set again.
    assert!(queue.pause(&lease, at(0)).unwrap());
    assert!(queue.limits().unwrap().paused.is_some());
}

/// A worker that found nothing to claim used to walk over a pointer for every task.
#[test]
fn a_claim_looks_at_few_tasks_however_many_there_are() {
    const TASKS: usize = 20_000;
    let engine = Arc::new(Watched::default());
    let store = open(&engine);
    let queue = Queue::new(&store);
    let leases: Vec<_> = (0..10).map(|_| worker(&store)).collect();
    for number in 0..TASKS {
        let course = course(number);
        queue
            .enqueue_buffered(&course, Priority::Backfill, at(0))
            .unwrap();
    }
    // The tasks of the others are before it, and nothing else.
    for (others, lease) in leases.iter().enumerate() {
        let (claimed, cost) = engine.cost(|| claim(&store, lease, at(1)));
        assert_eq!(claimed.course(), &course(others));
        assert_eq!(cost.items, others + 1);
        assert!(cost.operations < 12, "{cost:?}");
    }
    let (_, cost) = engine.cost(|| put_on(&store, "new", Priority::Publish));
    assert!(cost.items == 0 && cost.operations < 6, "{cost:?}");
    let claimed = claim(&store, &leases[0], at(1));
    assert_eq!(claimed.course(), &course("new"));
    let (_, cost) = engine.cost(|| queue.complete(&claimed, at(1)).unwrap());
    assert!(cost.items == 0 && cost.operations < 6, "{cost:?}");
}

#[test]
fn a_claim_that_finds_nothing_looks_at_tasks_only() {
    const TASKS: usize = 100;
    let engine = Arc::new(Watched::default());
    let store = open(&engine);
    let queue = Queue::new(&store);
    let lease = worker(&store);
    for number in 0..TASKS {
        put_on(&store, &number.to_string(), Priority::Publish);
        let policy = RetryPolicy {
            attempts: if number % 2 == 0 { 1 } else { 4 },
            ..POLICY
        };
        let claimed = claim(&store, &lease, at(0));
        queue.fail(&claimed, "no", &policy, at(0)).unwrap();
    }
    let (claimed, cost) = engine.cost(|| queue.claim(&lease, &POLICY, at(1)).unwrap());
    assert!(matches!(claimed, Claimed::Idle { next, .. } if next == Some(at(10))));
    // And one more to see that it was the last.
    assert_eq!(cost.items, TASKS / 2 + 1);
}

#[test]
fn the_status_counts_every_task_in_its_state() {
    let (_, store) = new_store();
    let queue = Queue::new(&store);
    let (_, _) = furnish(&store);
    put_on(&store, "new", Priority::Publish);
    let status = queue.status(at(5)).unwrap();
    let counts = (
        status.ready,
        status.publishes,
        status.claimed,
        status.quarantined,
    );
    assert_eq!(counts, (2, 1, 1, 1));
    assert_eq!((status.delayed, status.damaged), (0, 0));
    assert_eq!(
        (status.paused, status.rate, status.done_per_second),
        (None, None, None)
    );
}
