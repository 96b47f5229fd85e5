//! Update tasks: which course is collected again next, by whom, and what went wrong. What is to be
//! done follows from the stored headers; the queue adds order, claims, retries and errors. It does
//! not know how a course is collected.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::history::{self, Event};
use crate::engine::{Commit, Durability, Expected, Item, Space, Value};
use crate::error::{Error, ErrorKind, Result, shortened};
use crate::key::CourseKey;
use crate::store::{ControlRow, Lease, Members, Place, Store, decode_row, encode_row, no_lease};
use crate::timestamp::Timestamp;
use crate::version::WriteVersion;

/// The update tasks of a store, one for a course at most. Durable: a task that was acknowledged is
/// done or failed, whoever is killed.
#[derive(Clone, Copy, Debug)]
pub struct Queue<'a> {
    store: &'a Store,
}

/// What goes first. Tasks of the same priority go in the order in which they were put on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// A course has new content, which learners wait for.
    Publish,
    /// A course is to be collected by newer code.
    Backfill,
}

/// What is to be done for one course.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    course: CourseKey,
    priority: Priority,
    // Unique, and so the task's place in the queue together with the priority.
    number: u64,
    enqueued_at: Timestamp,
    attempts: u32,
    last_error: Option<String>,
    not_before: Option<Timestamp>,
    claim: Option<Holder>,
    /// It was put on again while it was claimed: whoever has it may have read older content.
    again: bool,
    is_quarantined: bool,
}

/// Who has a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    worker: String,
    lease: u64,
    // Unique: a claim that was lost cannot end the next one.
    token: u64,
    claimed_at: Timestamp,
}

/// In what state a task is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// Waits for a worker.
    Ready,
    /// Failed, and is tried again at this time.
    Delayed(Timestamp),
    /// A worker has it.
    Claimed {
        /// Which one.
        worker: String,
        /// Since when.
        since: Timestamp,
    },
    /// Failed too often: somebody must look at it.
    Quarantined,
}

/// A task that this worker has.
#[derive(Clone, Debug)]
pub struct Claim {
    task: Task,
    token: u64,
}

/// What a worker that asks for a task is told.
#[derive(Clone, Debug)]
pub enum Claimed {
    /// It has this one.
    Task(Claim),
    /// There is none that it could take now.
    Idle {
        /// When the next one that failed is tried again.
        next: Option<Timestamp>,
        /// How many tasks other workers have claimed.
        claimed_by_others: u64,
    },
    /// The queue is paused.
    Paused,
    /// The limit of tasks per second is reached.
    Limited {
        /// Until when.
        until: Timestamp,
    },
    /// Nothing that this release collects would be accepted.
    Fenced {
        /// The transformer whose floor it is below.
        transformer: String,
        /// What it writes; `None` where it does not know the transformer.
        write: Option<WriteVersion>,
        /// The least that is accepted.
        floor: WriteVersion,
    },
}

/// What became of a course that was put on the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It has a task now.
    Added,
    /// It had one already, which stands for this one too.
    Coalesced,
}

/// What became of a task that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// It is gone.
    Done,
    /// The course was put on again meanwhile, and waits for a worker.
    Again,
    /// The claim had been lost; the task is somebody else's.
    Lost,
}

/// What becomes of a task that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// It is tried again at this time.
    Retry(Timestamp),
    /// It failed too often, and waits for somebody to look at it.
    Quarantined,
    /// The claim had been lost; the task is somebody else's.
    Lost,
}

/// How often, and after what time, a task that fails is tried again. That its worker died is a
/// failure too ([`Queue::claim`] says how).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The time before the second attempt. It doubles with every further one.
    pub first_delay: Duration,
    /// The longest time between two attempts.
    pub longest_delay: Duration,
    /// After so many attempts a task goes into quarantine.
    pub attempts: u32,
}

/// Who paused the queue, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The worker.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// How many tasks may be taken in a time, by all workers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    // Also when it is read back: it is divided by.
    per_1000_seconds: NonZeroU64,
}

/// What holds all workers back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Who paused the queue, if it is.
    pub paused: Option<Pause>,
    /// How many tasks may be taken in a time, if that is limited.
    pub rate: Option<Rate>,
}

/// The queue in numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueueStatus {
    /// Tasks that a worker could take.
    pub ready: u64,
    /// Of these, those for new content.
    pub publishes: u64,
    /// Tasks that failed and wait for their next attempt.
    pub delayed: u64,
    /// Tasks that a worker has.
    pub claimed: u64,
    /// Tasks that failed too often.
    pub quarantined: u64,
    /// Tasks that cannot be read. Their courses can be put on again.
    pub damaged: u64,
    /// Who paused it, if it is.
    pub paused: Option<Pause>,
    /// The limit, if there is one.
    pub rate: Option<Rate>,
    /// Tasks done in the last two minutes, in a second.
    pub done_per_second: Option<f64>,
}

/// What of the queue is to be shown or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backlog {
    /// The tasks in quarantine.
    Quarantined,
    /// The task of one course.
    Course(CourseKey),
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Settings {
    paused: Option<Pause>,
    rate: Option<Rate>,
    /// When the next task may be taken, where there is a limit.
    free_at: Option<Timestamp>,
}

/// Where the task of a course is in the queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pointer {
    place: Vec<u8>,
}

/// How many tasks were done lately. It is only told, so two workers may count over one another.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Meter {
    /// Since 1970, in [`METER_SECONDS`], and how many were done in it; ascending.
    done: Vec<(i64, u64)>,
}

pub(super) const PARTITION: &str = "queue";
const WHAT: &str = "a task";
/// Names in the partition, in this order: what may be taken comes first, so that the first row of
/// a scan is the next task.
const ACTIVE: u8 = b'0';
const QUARANTINE: u8 = b'1';
const POINTER: u8 = b'2';
const ACTIVE_TASKS: Range<&[u8]> = &[ACTIVE]..&[QUARANTINE];
const TASKS: Range<&[u8]> = &[ACTIVE]..&[POINTER];
const SETTINGS: Place<'_> = Place {
    partition: PARTITION,
    name: b"3",
    what: "the settings of the queue",
};
const METER: Place<'_> = Place {
    partition: PARTITION,
    name: b"4",
    what: "the meter of the queue",
};
const METER_SECONDS: i64 = 10;
const METER_BUCKETS: i64 = 12;

/// What a row of the queue is, by its name.
pub(super) enum RowKind {
    Task,
    /// Of this course, if its name is one.
    Pointer(Option<CourseKey>),
    Settings,
    Meter,
    /// Of another release.
    Unknown,
}

/// What a row says that others must fit to.
pub(super) enum QueueRow {
    Task {
        course: CourseKey,
        number: u64,
        at: Vec<u8>,
    },
    Pointer {
        to: Vec<u8>,
    },
    Other,
}

pub(super) fn kind_of(name: &[u8]) -> RowKind {
    match name {
        [ACTIVE | QUARANTINE, ..] => RowKind::Task,
        [POINTER, course @ ..] => {
            let course = std::str::from_utf8(course).ok();
            RowKind::Pointer(course.and_then(|course| course.parse().ok()))
        }
        name if name == SETTINGS.name => RowKind::Settings,
        name if name == METER.name => RowKind::Meter,
        _ => RowKind::Unknown,
    }
}

/// Checks a row.
pub(super) fn read_row(kind: &RowKind, place: Place<'_>, value: &Value) -> Result<QueueRow> {
    Ok(match kind {
        RowKind::Task => {
            let task = decode_row::<Task>(place, value)?;
            let holder = task.claim.as_ref();
            let tokens = holder.map_or(0, |holder| holder.token.max(holder.lease));
            QueueRow::Task {
                number: task.number.max(tokens),
                at: task.place(),
                course: task.course,
            }
        }
        RowKind::Pointer(_) => QueueRow::Pointer {
            to: decode_row::<Pointer>(place, value)?.place,
        },
        RowKind::Settings => {
            decode_row::<Settings>(place, value)?;
            QueueRow::Other
        }
        RowKind::Meter => {
            decode_row::<Meter>(place, value)?;
            QueueRow::Other
        }
        RowKind::Unknown => QueueRow::Other,
    })
}

/// How often a change of the queue is tried against others.
const MAX_ATTEMPTS: usize = 1024;

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_secs(10),
            longest_delay: Duration::from_secs(3600),
            attempts: 5,
        }
    }
}

impl RetryPolicy {
    /// The time between the attempt number `attempts`, from 1, and the next one.
    #[must_use]
    pub fn delay_after(&self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        let delay = self.first_delay.saturating_mul(1 << doublings);
        delay.min(self.longest_delay)
    }

    /// As [`delay_after`](Self::delay_after), where the worker died and `token` is of its claim.
    fn delay_after_death(&self, attempts: u32, token: u64) -> Duration {
        if attempts <= 1 {
            return Duration::ZERO;
        }
        let delay = self.delay_after(attempts);
        // Claims of one worker follow each other, so their tokens differ here.
        let part = u32::try_from(token % u64::from(STAGGERS)).unwrap_or_default();
        delay.saturating_add(delay / STAGGERS * part)
    }
}

/// For how many different times tasks wait whose worker died.
const STAGGERS: u32 = 16;

impl Rate {
    /// `None` for less than one task in 1,000 seconds, and for what is no number.
    #[must_use]
    pub fn per_second(tasks: f64) -> Option<Self> {
        let in_1000 = (tasks * 1000.0).round();
        if !(1.0..=MOST_PER_1000_SECONDS).contains(&in_1000) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number within the bounds above"
        )]
        let per_1000_seconds = NonZeroU64::new(in_1000 as u64)?;
        Some(Self { per_1000_seconds })
    }

    /// Tasks in 1,000 seconds.
    #[must_use]
    pub const fn per_1000_seconds(self) -> u64 {
        self.per_1000_seconds.get()
    }

    /// The time between two tasks.
    #[must_use]
    pub const fn interval(self) -> Duration {
        Duration::from_micros(1_000_000_000 / self.per_1000_seconds.get())
    }
}

/// A million tasks a second.
const MOST_PER_1000_SECONDS: f64 = 1e9;

impl Task {
    /// The course.
    #[must_use]
    pub fn course(&self) -> &CourseKey {
        &self.course
    }

    /// What goes first.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// When it was put on the queue.
    #[must_use]
    pub fn enqueued_at(&self) -> Timestamp {
        self.enqueued_at
    }

    /// How often it failed, the workers that died of it or with it included.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Why it failed the last time.
    #[must_use]
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// In what state it is. A claim whose worker is dead is none.
    #[must_use]
    pub fn state(&self, fleet: &[crate::store::Member], now: Timestamp) -> TaskState {
        if self.is_quarantined {
            return TaskState::Quarantined;
        }
        let holder = self.claim.as_ref().filter(|holder| {
            fleet
                .iter()
                .any(|member| holder.is(member) && member.is_live(now))
        });
        match (holder, self.not_before) {
            (Some(holder), _) => TaskState::Claimed {
                worker: holder.worker.clone(),
                since: holder.claimed_at,
            },
            (None, Some(then)) if now < then => TaskState::Delayed(then),
            (None, _) => TaskState::Ready,
        }
    }

    fn new(course: CourseKey, priority: Priority, number: u64, now: Timestamp) -> Self {
        Self {
            course,
            priority,
            number,
            enqueued_at: now,
            attempts: 0,
            last_error: None,
            not_before: None,
            claim: None,
            again: false,
            is_quarantined: false,
        }
    }

    /// Its name in the partition: sorts as the tasks go.
    fn place(&self) -> Vec<u8> {
        let first = if self.is_quarantined {
            QUARANTINE
        } else {
            ACTIVE
        };
        let priority = match self.priority {
            Priority::Publish => b'0',
            Priority::Backfill => b'5',
        };
        let mut place = vec![first, priority];
        place.extend(self.number.to_be_bytes());
        place
    }

    /// As if it had never been tried.
    fn renew(&mut self) {
        self.attempts = 0;
        self.last_error = None;
        self.not_before = None;
        self.claim = None;
        self.again = false;
        self.is_quarantined = false;
    }
}

impl Settings {
    /// Where the limit is reached. Nobody waits for longer than between two tasks: a time that is
    /// further away is of a worker whose clock is ahead.
    fn limited_until(&self, now: Timestamp) -> Option<Timestamp> {
        let longest = now.plus(self.rate?.interval());
        let free_at = self.free_at.filter(|free_at| now < *free_at)?;
        (free_at <= longest).then_some(free_at)
    }
}

impl Holder {
    fn is(&self, member: &crate::store::Member) -> bool {
        member.worker == self.worker && member.token == self.lease
    }
}

impl Claim {
    /// The course that is to be collected.
    #[must_use]
    pub fn course(&self) -> &CourseKey {
        &self.task.course
    }

    /// The task as it was claimed.
    #[must_use]
    pub fn task(&self) -> &Task {
        &self.task
    }
}

impl<'a> Queue<'a> {
    /// The queue of a store.
    #[must_use]
    pub fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// Puts a course on the queue. However often that is done, it has one task, with the highest
    /// priority that was asked for; a course that is being collected at the moment is collected
    /// once more afterwards. Fresh content ([`Priority::Publish`]) is tried at once: what failed
    /// before, quarantine included, was about older content. A task that cannot be read is put on
    /// anew. Durable when it returns.
    ///
    /// # Errors
    /// Whatever the engine says.
    pub fn enqueue(
        &self,
        course: &CourseKey,
        priority: Priority,
        now: Timestamp,
    ) -> Result<Enqueued> {
        let news = News::of(priority);
        self.enqueue_with(course, priority, news, now, Durability::Durable)
    }

    /// As [`enqueue`](Self::enqueue), by somebody who found something to do and knows of no news:
    /// what failed waits as long as it did.
    pub(crate) fn remind(
        self,
        course: &CourseKey,
        priority: Priority,
        now: Timestamp,
    ) -> Result<Enqueued> {
        self.enqueue_with(course, priority, News::None, now, Durability::Durable)
    }

    /// As [`enqueue`](Self::enqueue), for many courses: durable when the engine has been flushed.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub fn enqueue_buffered(
        &self,
        course: &CourseKey,
        priority: Priority,
        now: Timestamp,
    ) -> Result<Enqueued> {
        let news = News::of(priority);
        self.enqueue_with(course, priority, news, now, Durability::Buffered)
    }

    fn enqueue_with(
        self,
        course: &CourseKey,
        priority: Priority,
        news: News,
        now: Timestamp,
        durability: Durability,
    ) -> Result<Enqueued> {
        for _ in 0..MAX_ATTEMPTS {
            let mut commit = Commit::new();
            let found = self.find(course)?;
            let enqueued = if let Some((old, mut task)) = found.task {
                if task.claim.is_some() {
                    task.again = true;
                } else if news == News::Content {
                    task.renew();
                }
                task.priority = task.priority.min(priority);
                self.replace(&mut commit, &found.pointer, &old, &task)?;
                Enqueued::Coalesced
            } else {
                if let Some(wreck) = found.wreck {
                    require(&mut commit, &wreck.place, &wreck.row);
                    commit.delete(Space::Control, wreck.place);
                }
                let task = Task::new(course.clone(), priority, self.store.unique_number()?, now);
                require(&mut commit, &pointer_name(course), &found.pointer);
                put_task(&mut commit, &task)?;
                Enqueued::Added
            };
            if self.store.commit_control(PARTITION, &commit, durability)? {
                return Ok(enqueued);
            }
        }
        Err(contended(course))
    }

    /// Takes the first task that may be taken now. Durable when it returns: what kills its worker
    /// is known afterwards.
    ///
    /// A claim whose worker died is found here. It was an attempt that failed, so that a course
    /// that kills whoever collects it comes into quarantine like any other that fails. Whether it
    /// was to blame, nobody knows; after the first time it is tried at once, since workers are
    /// restarted more often than they are killed by a course. Later it waits as
    /// [`RetryPolicy`] says and up to as long again, each task for another time: those that died
    /// together are tried apart, and only the one to blame goes on failing. A task that is done
    /// is gone with its attempts, so healthy courses do not collect them.
    ///
    /// # Errors
    /// [`NoLease`](ErrorKind::NoLease) for a lease that has ended.
    pub fn claim(&self, lease: &Lease, policy: &RetryPolicy, now: Timestamp) -> Result<Claimed> {
        let mut refused = 0;
        while refused < MAX_ATTEMPTS {
            let (members, _) = self.store.members()?;
            if let Some(refused) = self.refused(lease, &members)? {
                return Ok(refused);
            }
            let settings_row = self.settings()?;
            let settings = settings_row.value.clone().unwrap_or_default();
            if settings.paused.is_some() {
                return Ok(Claimed::Paused);
            }
            if let Some(until) = settings.limited_until(now) {
                return Ok(Claimed::Limited { until });
            }
            let found = match self.first_ready(&members, now)? {
                First::Ready(found) => *found,
                First::None {
                    next,
                    claimed_by_others,
                } => {
                    return Ok(Claimed::Idle {
                        next,
                        claimed_by_others,
                    });
                }
            };
            let (row, mut task) = found;
            // A task that is not found by its course cannot be failed, and is taken as it is.
            if self.bury(&task, policy, now)? {
                continue;
            }
            let token = self.store.unique_number()?;
            task.claim = Some(Holder {
                worker: lease.worker().to_owned(),
                lease: lease.token(),
                token,
                claimed_at: now,
            });
            // This one has yet to read the content.
            task.again = false;
            let mut commit = Commit::new();
            require(&mut commit, &task.place(), &row);
            put_row(&mut commit, &task.place(), &task)?;
            if let Some(rate) = settings.rate {
                let settings = Settings {
                    free_at: Some(now.plus(rate.interval())),
                    ..settings
                };
                require(&mut commit, SETTINGS.name, &settings_row);
                put_row(&mut commit, SETTINGS.name, &settings)?;
            }
            if self
                .store
                .commit_control(PARTITION, &commit, Durability::Durable)?
            {
                let claim = Claim { task, token };
                return self.confirm(lease, claim);
            }
            refused += 1;
        }
        Err(Error::new(
            ErrorKind::Conflict,
            format!("no task could be claimed: others were faster {MAX_ATTEMPTS} times"),
        ))
    }

    /// Floors may have been raised since they were looked at, and what they ask for put on the
    /// queue, where this release would find nothing to do. From now on the task is marked when it
    /// is put on again, so one more look is enough.
    fn confirm(self, lease: &Lease, claim: Claim) -> Result<Claimed> {
        let (members, _) = self.store.members()?;
        match self.refused(lease, &members) {
            Ok(None) => Ok(Claimed::Task(claim)),
            Ok(Some(refused)) => {
                self.give_back(&claim)?;
                Ok(refused)
            }
            Err(error) => {
                self.give_back(&claim)?;
                Err(error)
            }
        }
    }

    /// The course is up to date. Durable when it returns, as is what the other ends of a claim come
    /// to.
    ///
    /// # Errors
    /// Whatever the engine says. The task then returns when the lease of its claim has ended.
    pub fn complete(&self, claim: &Claim, now: Timestamp) -> Result<Completion> {
        self.end(claim, |mut task, commit| {
            self.count(commit, now)?;
            if !task.again {
                return Ok((None, Completion::Done));
            }
            task.renew();
            Ok((Some(task), Completion::Again))
        })
        .map(|done| done.unwrap_or(Completion::Lost))
    }

    /// The course could not be collected, for what `error` says. Where it was put on again
    /// meanwhile, the attempt does not count: it was about older content.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    pub fn fail(
        &self,
        claim: &Claim,
        error: &str,
        policy: &RetryPolicy,
        now: Timestamp,
    ) -> Result<Failed> {
        self.fail_and_wait(claim, error, policy.attempts, now, |attempts| {
            policy.delay_after(attempts)
        })
    }

    /// Ends the claim of a worker that is dead. False if there is none.
    fn bury(self, task: &Task, policy: &RetryPolicy, now: Timestamp) -> Result<bool> {
        let Some(holder) = &task.claim else {
            return Ok(false);
        };
        let claim = Claim {
            token: holder.token,
            task: task.clone(),
        };
        let error = format!(
            "the worker that had it, {}, died, or lost its lease, before it was done",
            holder.worker
        );
        let failed = self.fail_and_wait(&claim, &error, policy.attempts, now, |attempts| {
            policy.delay_after_death(attempts, claim.token)
        })?;
        Ok(failed != Failed::Lost)
    }

    fn fail_and_wait(
        self,
        claim: &Claim,
        error: &str,
        most_attempts: u32,
        now: Timestamp,
        delay_after: impl Fn(u32) -> Duration,
    ) -> Result<Failed> {
        let worker = claim
            .task
            .claim
            .as_ref()
            .map(|holder| holder.worker.clone());
        let mut quarantined = None;
        let failed = self.end(claim, |mut task, _| {
            quarantined = None;
            if task.again {
                task.renew();
                task.last_error = Some(shortened(error));
                return Ok((Some(task), Failed::Retry(now)));
            }
            task.claim = None;
            task.attempts = task.attempts.saturating_add(1);
            task.last_error = Some(shortened(error));
            if task.attempts >= most_attempts {
                task.is_quarantined = true;
                task.not_before = None;
                quarantined = Some(Event::Quarantined {
                    course: task.course.to_string(),
                    attempts: task.attempts,
                    error: shortened(error),
                });
                return Ok((Some(task), Failed::Quarantined));
            }
            let then = now.plus(delay_after(task.attempts));
            task.not_before = Some(then);
            Ok((Some(task), Failed::Retry(then)))
        })?;
        if let (Some(event), Some(_)) = (quarantined, &failed) {
            history::tell(self.store, now, worker.as_deref(), event)?;
        }
        Ok(failed.unwrap_or(Failed::Lost))
    }

    /// Lets others have the task, as if it had not been claimed. False if the claim had been lost.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    pub fn give_back(&self, claim: &Claim) -> Result<bool> {
        let given = self.end(claim, |mut task, _| {
            if task.again {
                task.renew();
            }
            task.claim = None;
            Ok((Some(task), ()))
        })?;
        Ok(given.is_some())
    }

    /// Lets no worker take a task until [`resume`](Self::resume). What is claimed is finished.
    /// False if it was paused already.
    ///
    /// # Errors
    /// [`NoLease`](ErrorKind::NoLease) for a lease that has ended.
    pub fn pause(&self, lease: &Lease, now: Timestamp) -> Result<bool> {
        let pause = Pause {
            by: lease.worker().to_owned(),
            at: now,
        };
        self.change_settings(lease, now, Event::Paused, |settings| {
            let is_new = settings.paused.is_none();
            settings.paused.get_or_insert(pause.clone());
            is_new
        })
    }

    /// Lets a course have the task that there is for it, although nothing tells where, or another one.
    pub(super) fn find_again(self, course: &CourseKey, now: Timestamp) -> Result<()> {
        for _ in 0..MAX_ATTEMPTS {
            let found = self.find(course)?;
            let lost = match found.task {
                Some(found) => Some(found),
                None => self.search(course)?,
            };
            let Some((old, task)) = lost else {
                self.remind(course, Priority::Backfill, now)?;
                return Ok(());
            };
            let mut commit = Commit::new();
            self.replace(&mut commit, &found.pointer, &old, &task)?;
            if self
                .store
                .commit_control(PARTITION, &commit, Durability::Durable)?
            {
                return Ok(());
            }
        }
        Err(contended(course))
    }

    /// Pauses the queue where nothing tells any more whether it was: its settings are damaged.
    pub(super) fn pause_again(
        self,
        lease: &Lease,
        damaged: Expected,
        now: Timestamp,
    ) -> Result<()> {
        let settings = Settings {
            paused: Some(Pause {
                by: lease.worker().to_owned(),
                at: now,
            }),
            ..Settings::default()
        };
        let mut commit = Commit::new();
        commit.require(Space::Control, SETTINGS.name, damaged);
        put_row(&mut commit, SETTINGS.name, &settings)?;
        self.store
            .commit_control(PARTITION, &commit, Durability::Durable)?;
        Ok(())
    }

    /// Ends a pause. False if there was none.
    ///
    /// # Errors
    /// As [`pause`](Self::pause).
    pub fn resume(&self, lease: &Lease, now: Timestamp) -> Result<bool> {
        self.change_settings(lease, now, Event::Resumed, |settings| {
            settings.paused.take().is_some()
        })
    }

    /// Sets the limit for all workers together, or takes it away. It holds for the next task, also
    /// of workers that are running. False if it was this one already.
    ///
    /// # Errors
    /// As [`pause`](Self::pause).
    pub fn set_rate(&self, lease: &Lease, rate: Option<Rate>, now: Timestamp) -> Result<bool> {
        let event = Event::RateChanged {
            per_1000_seconds: rate.map(Rate::per_1000_seconds),
        };
        self.change_settings(lease, now, event, |settings| {
            let is_new = settings.rate != rate;
            settings.rate = rate;
            settings.free_at = None;
            is_new
        })
    }

    /// Makes tasks that failed ready at once, and counts their attempts from the beginning. Returns
    /// the courses.
    ///
    /// # Errors
    /// [`NoLease`](ErrorKind::NoLease) for a lease that has ended.
    pub fn retry(&self, lease: &Lease, which: &Backlog) -> Result<Vec<CourseKey>> {
        self.change_tasks(lease, which, |task| {
            let Some(task) = task else {
                return Change::None;
            };
            let has_failed = task.is_quarantined || task.not_before.is_some();
            if !has_failed || task.claim.is_some() {
                return Change::None;
            }
            let mut renewed = task.clone();
            renewed.renew();
            Change::Put(Box::new(renewed))
        })
    }

    /// Takes tasks off the queue, also one that cannot be read. What is stored stays as it is, and
    /// so does what is outdated. Returns the courses.
    ///
    /// # Errors
    /// [`NoLease`](ErrorKind::NoLease) for a lease that has ended.
    pub fn drop(&self, lease: &Lease, which: &Backlog) -> Result<Vec<CourseKey>> {
        self.change_tasks(lease, which, |_| Change::Remove)
    }

    /// All tasks in the order in which they go, those in quarantine last.
    pub fn tasks(&self) -> impl Iterator<Item = Result<Task>> + use<'a> {
        self.rows(TASKS)
            .map(|row| Ok(row?.1.value))
            .filter_map(Result::transpose)
    }

    /// The task of a course; `None` where there is none that can be read.
    ///
    /// # Errors
    /// Whatever the engine says.
    pub fn task(&self, course: &CourseKey) -> Result<Option<Task>> {
        Ok(self.find(course)?.task.map(|(_, task)| task))
    }

    /// What holds all workers back at the moment. Looks at no task.
    ///
    /// # Errors
    /// [`Damaged`](ErrorKind::Damaged) when it cannot be read.
    pub fn limits(&self) -> Result<Limits> {
        let Settings { paused, rate, .. } = self.settings()?.value.unwrap_or_default();
        Ok(Limits { paused, rate })
    }

    /// The queue in numbers.
    ///
    /// # Errors
    /// Whatever the engine says.
    pub fn status(&self, now: Timestamp) -> Result<QueueStatus> {
        let (members, _) = self.store.members()?;
        let fleet = members.into_vec();
        let settings = self.settings()?.value.unwrap_or_default();
        let meter = self.store.control_row_if_usable::<Meter>(METER)?;
        let mut status = QueueStatus {
            paused: settings.paused,
            rate: settings.rate,
            done_per_second: meter.value.and_then(|meter| meter.per_second(now)),
            ..QueueStatus::default()
        };
        for task in self.tasks() {
            let task = match task {
                Ok(task) => task,
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    status.damaged += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            match task.state(&fleet, now) {
                TaskState::Ready => {
                    status.ready += 1;
                    status.publishes += u64::from(task.priority == Priority::Publish);
                }
                TaskState::Delayed(_) => status.delayed += 1,
                TaskState::Claimed { .. } => status.claimed += 1,
                TaskState::Quarantined => status.quarantined += 1,
            }
        }
        Ok(status)
    }

    /// Why this worker cannot have any task.
    fn refused(self, lease: &Lease, members: &Members) -> Result<Option<Claimed>> {
        let member = members.holder(lease).ok_or_else(|| no_lease(lease))?;
        let floors = self.store.floors()?;
        let mut floors = floors.iter().filter(|(_, floor)| !floor.is_retired);
        Ok(floors.find_map(|(name, floor)| {
            let write = member.transformers.get(name).map(|versions| versions.write);
            write
                .is_none_or(|write| write < floor.version)
                .then(|| Claimed::Fenced {
                    transformer: name.to_owned(),
                    write,
                    floor: floor.version,
                })
        }))
    }

    fn first_ready(self, members: &Members, now: Timestamp) -> Result<First> {
        let mut next: Option<Timestamp> = None;
        let mut claimed_by_others = 0;
        for row in self.rows(ACTIVE_TASKS) {
            let mut row = match row {
                Ok((_, row)) => row,
                // One task that cannot be read keeps nobody from the others.
                Err(error) if error.kind() == ErrorKind::Damaged => continue,
                Err(error) => return Err(error),
            };
            let Some(task) = row.value.take() else {
                continue;
            };
            let is_held = self.is_held(&task, members, now)?;
            let waits = task.not_before.filter(|then| now < *then);
            match waits {
                _ if is_held => claimed_by_others += 1,
                Some(then) => next = Some(next.map_or(then, |next| next.min(then))),
                None => return Ok(First::Ready(Box::new((row, task)))),
            }
        }
        Ok(First::None {
            next,
            claimed_by_others,
        })
    }

    /// Whether a live worker has the task. One that is not among `members` may have joined since
    /// they were read, so that they are read again after the task was.
    fn is_held(self, task: &Task, members: &Members, now: Timestamp) -> Result<bool> {
        let Some(holder) = &task.claim else {
            return Ok(false);
        };
        let is_live = |members: &Members| {
            let mut members = members.iter();
            members.any(|member| holder.is(member) && member.is_live(now))
        };
        Ok(is_live(members) || is_live(&self.store.members()?.0))
    }

    /// Ends a claim: `then` says what becomes of the task, and what is answered. `None` where the
    /// claim had been lost.
    fn end<R>(
        self,
        claim: &Claim,
        mut then: impl FnMut(Task, &mut Commit) -> Result<(Option<Task>, R)>,
    ) -> Result<Option<R>> {
        for _ in 0..MAX_ATTEMPTS {
            let found = self.find(&claim.task.course)?;
            let held = found.task.filter(|(_, task)| {
                let holder = task.claim.as_ref();
                holder.is_some_and(|holder| holder.token == claim.token)
            });
            let Some((old, task)) = held else {
                return Ok(None);
            };
            let mut commit = Commit::new();
            let (task, answer) = then(task, &mut commit)?;
            match task {
                Some(task) => self.replace(&mut commit, &found.pointer, &old, &task)?,
                None => remove(&mut commit, &claim.task.course, &found.pointer, &old),
            }
            if self
                .store
                .commit_control(PARTITION, &commit, Durability::Durable)?
            {
                return Ok(Some(answer));
            }
        }
        Err(contended(&claim.task.course))
    }

    fn change_settings(
        self,
        lease: &Lease,
        now: Timestamp,
        event: Event,
        change: impl Fn(&mut Settings) -> bool,
    ) -> Result<bool> {
        self.store.holder(lease)?;
        for _ in 0..MAX_ATTEMPTS {
            let row = self.settings()?;
            let mut settings = row.value.clone().unwrap_or_default();
            if !change(&mut settings) {
                // Somebody else may have made them so a moment ago.
                self.store.engine().flush()?;
                return Ok(false);
            }
            let mut commit = Commit::new();
            require(&mut commit, SETTINGS.name, &row);
            put_row(&mut commit, SETTINGS.name, &settings)?;
            if self
                .store
                .commit_control(PARTITION, &commit, Durability::Durable)?
            {
                history::tell(self.store, now, Some(lease.worker()), event)?;
                return Ok(true);
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "the settings of the queue are changed all the time",
        ))
    }

    fn change_tasks(
        self,
        lease: &Lease,
        which: &Backlog,
        change: impl Fn(Option<&Task>) -> Change,
    ) -> Result<Vec<CourseKey>> {
        self.store.holder(lease)?;
        let courses = match which {
            Backlog::Course(course) => vec![course.clone()],
            Backlog::Quarantined => {
                let tasks = self.tasks().filter_map(|task| match task {
                    Err(error) if error.kind() == ErrorKind::Damaged => None,
                    Ok(task) => task.is_quarantined.then_some(Ok(task.course)),
                    Err(error) => Some(Err(error)),
                });
                tasks.collect::<Result<_>>()?
            }
        };
        let mut changed = Vec::new();
        for course in courses {
            if self.change_task(&course, &change)? {
                changed.push(course);
            }
        }
        self.store.engine().flush()?;
        Ok(changed)
    }

    fn change_task(
        self,
        course: &CourseKey,
        change: &impl Fn(Option<&Task>) -> Change,
    ) -> Result<bool> {
        for _ in 0..MAX_ATTEMPTS {
            let found = self.find(course)?;
            let (old, task) = match (found.task, found.wreck) {
                (Some((old, task)), _) => (old, Some(task)),
                (None, Some(wreck)) => (wreck, None),
                (None, None) => return Ok(false),
            };
            let mut commit = Commit::new();
            match change(task.as_ref()) {
                Change::None => return Ok(false),
                Change::Put(task) => self.replace(&mut commit, &found.pointer, &old, &task)?,
                Change::Remove => remove(&mut commit, course, &found.pointer, &old),
            }
            if self
                .store
                .commit_control(PARTITION, &commit, Durability::Buffered)?
            {
                return Ok(true);
            }
        }
        Err(contended(course))
    }

    fn settings(self) -> Result<ControlRow<Settings>> {
        self.store.control_row_if_usable(SETTINGS)
    }

    /// The task of a course, by way of its pointer. Looks again where the task was moved between
    /// the two reads.
    fn find(self, course: &CourseKey) -> Result<Found> {
        let name = pointer_name(course);
        let mut before = None;
        for _ in 0..MAX_ATTEMPTS {
            let pointer = self
                .store
                .control_row_if_usable::<Pointer>(place_of(&name))?;
            let Some(Pointer { place }) = pointer.value.clone() else {
                let is_damaged = pointer.unchanged() != Expected::Absent;
                let task = is_damaged.then(|| self.search(course)).transpose()?;
                return Ok(Found {
                    pointer,
                    task: task.flatten(),
                    wreck: None,
                });
            };
            let mut row = self.store.control_row_if_usable::<Task>(place_of(&place))?;
            if let Some(task) = row.value.take() {
                return Ok(Found {
                    pointer,
                    task: Some((Placed { place, row }, task)),
                    wreck: None,
                });
            }
            let is_damaged = row.unchanged() != Expected::Absent;
            if is_damaged || before.as_ref() == Some(&pointer.unchanged()) {
                return Ok(Found {
                    pointer,
                    task: None,
                    wreck: Some(Placed { place, row }),
                });
            }
            before = Some(pointer.unchanged());
        }
        Err(contended(course))
    }

    /// The task of a course whose pointer cannot be read. Looks at every task.
    fn search(self, course: &CourseKey) -> Result<Option<(Placed, Task)>> {
        for row in self.rows(TASKS) {
            let (place, mut row) = match row {
                Err(error) if error.kind() == ErrorKind::Damaged => continue,
                row => row?,
            };
            if let Some(task) = row.value.take_if(|task| task.course == *course) {
                return Ok(Some((Placed { place, row }, task)));
            }
        }
        Ok(None)
    }

    /// Tasks with their rows, in their order.
    fn rows(
        self,
        names: Range<&'static [u8]>,
    ) -> impl Iterator<Item = Result<(Vec<u8>, ControlRow<Task>)>> + use<'a> {
        self.store.control_rows(PARTITION, WHAT, names)
    }

    /// Puts a changed task in the place of what was read.
    #[expect(clippy::unused_self, reason = "reads as the others do")]
    fn replace(
        self,
        commit: &mut Commit,
        pointer: &ControlRow<Pointer>,
        old: &Placed,
        task: &Task,
    ) -> Result<()> {
        require(commit, &pointer_name(&task.course), pointer);
        require(commit, &old.place, &old.row);
        if old.place != task.place() {
            commit.delete(Space::Control, old.place.as_slice());
        }
        put_task(commit, task)
    }

    fn count(self, commit: &mut Commit, now: Timestamp) -> Result<()> {
        // What counts is not worth a task: a meter that cannot be read begins anew.
        let meter = match self.store.control_row::<Meter>(METER) {
            Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::TooNew) => None,
            meter => meter?.value,
        };
        let mut meter = meter.unwrap_or_default();
        meter.count(now);
        put_row(commit, METER.name, &meter)
    }
}

/// What was found for a course.
struct Found {
    pointer: ControlRow<Pointer>,
    task: Option<(Placed, Task)>,
    /// What is where the task should be, and is none.
    wreck: Option<Placed>,
}

/// A task's row, and where it was.
struct Placed {
    place: Vec<u8>,
    row: ControlRow<Task>,
}

enum First {
    Ready(Box<(ControlRow<Task>, Task)>),
    None {
        next: Option<Timestamp>,
        claimed_by_others: u64,
    },
}

/// What is known of a course that is put on the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Content,
    None,
}

enum Change {
    None,
    Put(Box<Task>),
    Remove,
}

impl News {
    fn of(priority: Priority) -> Self {
        match priority {
            Priority::Publish => Self::Content,
            Priority::Backfill => Self::None,
        }
    }
}

impl Meter {
    fn count(&mut self, now: Timestamp) {
        let bucket = bucket(now);
        self.done.retain(|(old, _)| is_recent(*old, bucket));
        match self.done.last_mut() {
            Some((last, count)) if *last >= bucket => *count += 1,
            _ => self.done.push((bucket, 1)),
        }
    }

    /// `None` where nothing was done lately.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    fn per_second(&self, now: Timestamp) -> Option<f64> {
        let bucket = bucket(now);
        let recent = self.done.iter().filter(|(old, _)| is_recent(*old, bucket));
        let (mut first, mut done) = (None, 0);
        for (bucket, count) in recent {
            first.get_or_insert(*bucket);
            done += count;
        }
        let begun = first? * METER_SECONDS;
        let seconds = now.as_micros() as f64 / 1e6 - begun as f64;
        // The first ten seconds have only begun.
        Some(done as f64 / seconds.max(1.0))
    }
}

fn bucket(now: Timestamp) -> i64 {
    now.as_micros().div_euclid(METER_SECONDS * 1_000_000)
}

/// Clocks differ a little; what is far ahead was counted before a clock was set right.
fn is_recent(counted: i64, bucket: i64) -> bool {
    (-1..METER_BUCKETS).contains(&bucket.saturating_sub(counted))
}

/// Whether this row of control data is the meter of the queue.
pub(super) fn is_meter(partition: &[u8], name: &[u8]) -> bool {
    METER.is(partition, name)
}

/// Leaves out the tasks among these rows of control data that no pointer leads to. Rows that were
/// read one after the other, while others changed them, may have a task in two places, or one that
/// is done: nobody could ever end it.
pub(super) fn drop_stray_tasks(rows: &mut Vec<Item>) {
    let is_row = |item: &Item| item.partition() == PARTITION.as_bytes();
    let mut places = BTreeSet::new();
    let pointers = rows.iter().filter(|item| is_row(item));
    for item in pointers.filter(|item| item.name().starts_with(&[POINTER])) {
        match decode_row::<Pointer>(place_of(item.name()), item.value()) {
            Ok(pointer) => {
                places.insert(pointer.place);
            }
            // A newer release knows where it leads.
            Err(_) => return,
        }
    }
    rows.retain(|item| {
        let is_task = is_row(item) && TASKS.contains(&item.name());
        !is_task || places.contains(item.name())
    });
}

fn pointer_name(course: &CourseKey) -> Vec<u8> {
    [&[POINTER], course.as_str().as_bytes()].concat()
}

fn place_of(name: &[u8]) -> Place<'_> {
    Place {
        partition: PARTITION,
        name,
        what: WHAT,
    }
}

fn require<T>(commit: &mut Commit, name: &[u8], row: &ControlRow<T>) {
    commit.require(Space::Control, name, row.unchanged());
}

fn put_row<T: Serialize>(commit: &mut Commit, name: &[u8], value: &T) -> Result<()> {
    commit.put(Space::Control, name, encode_row(place_of(name), value)?);
    Ok(())
}

/// The task and its pointer.
fn put_task(commit: &mut Commit, task: &Task) -> Result<()> {
    let place = task.place();
    put_row(commit, &place, task)?;
    let pointer = pointer_name(&task.course);
    put_row(commit, &pointer, &Pointer { place })
}

fn remove(commit: &mut Commit, course: &CourseKey, pointer: &ControlRow<Pointer>, old: &Placed) {
    let name = pointer_name(course);
    require(commit, &name, pointer);
    require(commit, &old.place, &old.row);
    commit.delete(Space::Control, name);
    commit.delete(Space::Control, old.place.as_slice());
}

fn contended(course: &CourseKey) -> Error {
    let message = format!(
        "the task of {course} could not be changed: others were faster {MAX_ATTEMPTS} times"
    );
    Error::new(ErrorKind::Conflict, message)
}

#[cfg(all(test, feature = "schema"))]
mod tests {
    use super::*;
    use crate::schema::SchemaError;
    use crate::schema::own::check_row;

    fn task() -> Task {
        let course = "course-v1:Org+Course+Run".parse().unwrap();
        let mut task = Task::new(course, Priority::Backfill, 7, Timestamp::MIN);
        task.attempts = 2;
        task.last_error = Some("no".to_owned());
        task.not_before = Some(Timestamp::MAX);
        task.claim = Some(Holder {
            worker: "web-1".to_owned(),
            lease: 8,
            token: 9,
            claimed_at: Timestamp::MIN,
        });
        task
    }

    #[test]
    fn a_task_is_stored_as_it_is_written_down() -> Result<(), SchemaError> {
        check_row("@task", &task())
    }

    #[test]
    fn a_pointer_is_stored_as_it_is_written_down() -> Result<(), SchemaError> {
        let place = task().place();
        check_row("@task-pointer", &Pointer { place })
    }

    #[test]
    fn the_settings_are_stored_as_they_are_written_down() -> Result<(), SchemaError> {
        let settings = Settings {
            paused: Some(Pause {
                by: "web-1".to_owned(),
                at: Timestamp::MIN,
            }),
            rate: Rate::per_second(2.5),
            free_at: Some(Timestamp::MAX),
        };
        check_row("@queue-settings", &settings)
    }
}

#[cfg(test)]
mod tables {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000).unwrap()
    }

    #[test]
    fn the_time_between_attempts_doubles_up_to_the_longest() {
        #[track_caller]
        fn check(policy: &RetryPolicy, expected: &[(u32, u64)]) {
            for (attempts, seconds) in expected {
                let delay = policy.delay_after(*attempts);
                assert_eq!(delay, Duration::from_secs(*seconds), "after {attempts}");
            }
        }

        let usual = RetryPolicy::default();
        check(
            &usual,
            &[
                (0, 10),
                (1, 10),
                (2, 20),
                (3, 40),
                (4, 80),
                (9, 2560),
                (10, 3600),
            ],
        );
        check(&usual, &[(33, 3600), (u32::MAX, 3600)]);
        let endless = RetryPolicy {
            first_delay: Duration::MAX,
            longest_delay: Duration::from_secs(7),
            attempts: 1,
        };
        check(&endless, &[(1, 7), (2, 7), (u32::MAX, 7)]);
        let none = RetryPolicy {
            first_delay: Duration::ZERO,
            ..usual
        };
        check(&none, &[(1, 0), (u32::MAX, 0)]);
    }

    #[test]
    fn a_rate_is_a_number_of_tasks_and_never_none() {
        #[track_caller]
        fn check(tasks: f64, expected: Option<(u64, u64)>) {
            let rate = Rate::per_second(tasks);
            let told = rate.map(|rate| {
                let micros = u64::try_from(rate.interval().as_micros()).unwrap();
                (rate.per_1000_seconds(), micros)
            });
            assert_eq!(told, expected, "{tasks}");
        }

        check(5.0, Some((5000, 200_000)));
        check(0.5, Some((500, 2_000_000)));
        check(0.001, Some((1, 1_000_000_000)));
        check(0.0004, None);
        check(1e6, Some((1_000_000_000, 1)));
        check(1.1e6, None);
        for none in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            check(none, None);
        }
    }

    /// Such a row would have divided by it.
    #[test]
    fn a_stored_rate_of_nothing_cannot_be_read() {
        let store = Store::with_engine(std::sync::Arc::new(crate::engine::MemoryEngine::new()));
        let mut commit = Commit::new();
        let nothing: (Option<Pause>, Option<u64>, Option<Timestamp>) = (None, Some(0), None);
        put_row(&mut commit, SETTINGS.name, &nothing).unwrap();
        let is_put = store.commit_control(PARTITION, &commit, Durability::Durable);
        assert!(is_put.unwrap());
        let row = store.control_row::<Settings>(SETTINGS);
        assert_eq!(row.unwrap_err().kind(), ErrorKind::Damaged);
        assert_eq!(Queue::new(&store).limits().unwrap(), Limits::default());
    }

    #[test]
    fn a_limit_is_reached_for_no_longer_than_between_two_tasks() {
        #[track_caller]
        fn check(rate: Option<f64>, free_at: Option<i64>, expected: Option<i64>) {
            let settings = Settings {
                paused: None,
                rate: rate.and_then(Rate::per_second),
                free_at: free_at.map(at),
            };
            assert_eq!(settings.limited_until(at(100)), expected.map(at));
        }

        check(None, None, None);
        check(None, Some(105), None);
        check(Some(0.1), None, None);
        check(Some(0.1), Some(100), None);
        check(Some(0.1), Some(101), Some(101));
        check(Some(0.1), Some(110), Some(110));
        check(Some(0.1), Some(111), None);
    }

    #[test]
    fn the_meter_tells_what_was_done_in_the_last_two_minutes() {
        #[track_caller]
        fn check(done: &[(i64, u64)], now: i64, expected: Option<f64>) {
            let mut meter = Meter::default();
            for (second, tasks) in done {
                (0..*tasks).for_each(|_| meter.count(at(*second)));
            }
            let told = meter.per_second(at(now));
            assert_eq!(told, expected, "{meter:?}");
            let most = usize::try_from(METER_BUCKETS).unwrap() + 1;
            assert!(meter.done.len() <= most, "{meter:?}");
            assert!(meter.done.is_sorted_by(|a, b| a.0 < b.0), "{meter:?}");
        }

        check(&[], 0, None);
        // The first ten seconds have only begun.
        check(&[(1000, 3)], 1000, Some(3.0));
        check(&[(1000, 3)], 1002, Some(1.5));
        check(&[(1000, 10), (1015, 30)], 1020, Some(2.0));
        check(&[(1000, 10)], 1100, Some(0.1));
        check(&[(1000, 10)], 1119, Some(10.0 / 119.0));
        check(&[(1000, 10)], 1120, None);
        check(&[(1000, 10), (1120, 5)], 1125, Some(1.0));
        // Clocks that differ a little, and one that is far ahead.
        check(&[(1010, 2), (1009, 2)], 1009, Some(4.0));
        check(&[(9000, 50)], 1000, None);
        check(&[(9000, 50), (1000, 4)], 1004, Some(1.0));
        let every_second: Vec<_> = (0..1000).map(|second| (second, 1)).collect();
        check(&every_second, 1000, Some(110.0 / 110.0));
    }
}
