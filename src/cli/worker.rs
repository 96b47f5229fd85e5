//! `worker`: courses that are on the queue are collected, one after the other, in as many threads
//! as are asked for. The threads only work; one foreman tells what they did.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Condvar, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use super::Context;
use super::arguments::{PerSecond, Seconds};
use super::failure::{Answer, Failure};
use super::interrupt::Interrupt;
use super::output::Output;
use super::problems::{FailureAnswer, counted};
use super::queue::{MAX_SHOWN, QuarantinedAnswer, readable, unreadable};
use super::session::{Session, now};
use super::text::to_the_second;
use super::update::{in_words, reason_word};
use crate::error::{Error, ErrorKind, Result};
use crate::key::CourseKey;
use crate::manager::{Plan, Renewed, Updated};
use crate::rollout::{
    Completion, Failed, Limits, Notice, Queue, QueueStatus, RetryPolicy, Step, TaskState,
};
use crate::timestamp::Timestamp;

/// Work off the queue: collect again what was published and what is outdated
#[derive(Debug, Args)]
#[command(after_help = "\
Several workers may run at the same time. A course that fails is told of, keeps what it has, and is \
tried again later, each time after twice as long; after its last attempt it goes into quarantine, \
where `queue status` shows it and `queue retry` takes it out. A worker that is killed has failed what \
it had under way, so a course that kills its workers comes there as well. `pause`, `resume` and `queue rate` \
reach workers that are running.

When the disk is full, a worker says so and waits until there is room, no course counts as failed, \
and --until-empty ends with status 3.

The first Ctrl-C (or SIGTERM) lets the courses that are under way be finished, the second one ends \
at once; nothing is lost either way.

Examples:
  courseblocks update --all --enqueue && courseblocks worker --until-empty
  courseblocks worker --jobs 4 --rate 10/s

Exit status: 0 the queue is empty or somebody ended it, 1 some courses failed or are in quarantine, \
or the work is left to a newer release, 2 bad usage, 3 the store failed, 130 ended at once by \
Ctrl-C.")]
pub(super) struct Worker {
    /// How many courses are collected at the same time; without it, as many as there are
    /// processors
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MAX_JOBS))]
    jobs: Option<u16>,
    /// Limit how many courses all workers of the store take per second, until `queue rate` changes
    /// it
    #[arg(long, value_name = "R/s")]
    rate: Option<PerSecond>,
    /// End when no task is left to be done: none ready, none to be tried again, none with others
    #[arg(long)]
    until_empty: bool,
    /// Count as dead when nothing was heard of this worker for so long
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    lease: Seconds,
    /// How often a course is tried before it goes into quarantine
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    attempts: u32,
    /// How long it takes until a course is tried for the second time
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    retry_delay: Seconds,
}

/// More than that wait for one another only.
const MAX_JOBS: i64 = 256;

/// How often somebody without work looks for some.
const POLL: Duration = Duration::from_millis(500);

/// How often somebody who has no room looks for some: a course may be collected in vain each time.
const ROOM_POLL: Duration = Duration::from_secs(5);

/// How soon a signal is seen.
const TICK: Duration = Duration::from_millis(100);

/// How often in a row a thread is refused by the store before nobody goes on.
const MAX_REFUSALS: u32 = 10;

/// A lease must last longer than it takes to renew it.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);

impl Worker {
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        if self.lease.0 < SHORTEST_LEASE {
            return Err(Failure::usage("--lease must be 1 second at least"));
        }
        let interrupt = Interrupt::listen()?;
        let session = context.manager_for(self.lease.0)?;
        context.tell_notices(&session, output);
        if let Some(PerSecond(rate)) = self.rate {
            Queue::new(session.store()).set_rate(&session.lease()?, Some(rate), now())?;
        }
        if output.is_json() {
            output.begin_list("tasks")?;
        }
        let crew = Crew {
            session: &session,
            policy: self.policy(),
            until_empty: self.until_empty,
            is_stopped: Mutex::new(false),
            steps: RwLock::default(),
            stopped: Condvar::new(),
        };
        let (sender, reports) = mpsc::channel();
        let mut foreman = Foreman::new(&crew, output);
        let ended = thread::scope(|scope| {
            let hired = (0..self.jobs()).try_for_each(|_| {
                let (crew, sender) = (&crew, sender.clone());
                let spawned =
                    thread::Builder::new().spawn_scoped(scope, move || crew.work(&sender));
                spawned.map(drop)
            });
            drop(sender);
            let hired = hired.map_err(|error| {
                Failure::no(format!("so many jobs cannot run at the same time: {error}"))
            });
            let ended = hired.and_then(|()| foreman.oversee(&reports, &interrupt));
            crew.stop();
            // What was done meanwhile is told as well.
            ended.and_then(|()| foreman.hear_out(&reports))
        });
        ended?;
        foreman.sum_up(self.until_empty, interrupt.is_asked())
    }

    fn jobs(&self) -> usize {
        let processors = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.jobs.map_or_else(processors, usize::from)
    }

    fn policy(&self) -> RetryPolicy {
        let usual = RetryPolicy::default();
        RetryPolicy {
            first_delay: self.retry_delay.0,
            longest_delay: usual.longest_delay.max(self.retry_delay.0),
            attempts: self.attempts,
        }
    }
}

/// What the threads share.
struct Crew<'a> {
    session: &'a Session,
    policy: RetryPolicy,
    until_empty: bool,
    is_stopped: Mutex<bool>,
    stopped: Condvar,
    /// Read while a step is made, written while the lease is taken again: that ends the claims of
    /// all, which counts as an attempt of each.
    steps: RwLock<()>,
}

/// What a thread has to say.
enum Report {
    Done {
        course: CourseKey,
        updated: Updated,
        completion: Completion,
    },
    Failed {
        course: CourseKey,
        updated: Option<Updated>,
        error: String,
        then: Failed,
    },
    /// The lease was taken again, for this reason.
    JoinedAgain(String, Vec<Notice>),
    /// There is no room on the disk, for this reason.
    NoRoom(String),
    /// The work is left to newer releases.
    Fenced(String),
    /// Nobody can go on.
    Broken(Error),
}

impl Crew<'_> {
    /// Works until it is stopped or, where that is asked for, nothing is left.
    fn work(&self, reports: &Sender<Report>) {
        // Whoever listens outlives this, so nothing that is sent is lost.
        let tell = |report| drop(reports.send(report));
        let mut pause = Duration::ZERO;
        let mut refusals = 0;
        let mut lacks_room = false;
        while !self.wait(pause) {
            let step = self
                .return_claims(&mut lacks_room)
                .and_then(|()| self.step());
            lacks_room |= matches!(&step, Err(error) if error.kind() == ErrorKind::NoRoom);
            refusals = match &step {
                Err(error) if may_pass(error) => refusals + 1,
                _ => 0,
            };
            pause = match step {
                Ok(Step::Done {
                    course,
                    collected: updated,
                    completion,
                }) => {
                    tell(Report::Done {
                        course,
                        updated,
                        completion,
                    });
                    Duration::ZERO
                }
                Ok(Step::Failed {
                    course,
                    collected: updated,
                    error,
                    then,
                }) => {
                    tell(Report::Failed {
                        course,
                        updated,
                        error,
                        then,
                    });
                    Duration::ZERO
                }
                Ok(Step::Idle {
                    next: None,
                    claimed_by_others: 0,
                }) if self.until_empty => return,
                Ok(Step::Idle { next, .. }) => next.map_or(POLL, time_until),
                Ok(Step::Limited { until }) => time_until(until),
                Ok(Step::Paused) if self.until_empty && self.is_nothing_left() => return,
                Ok(Step::Paused) => POLL,
                Ok(Step::Fenced {
                    transformer,
                    write,
                    floor,
                }) => {
                    let notice = Notice::BelowFloor {
                        transformer,
                        write,
                        floor,
                    };
                    tell(Report::Fenced(notice.to_string()));
                    return;
                }
                Err(error) if error.kind() == ErrorKind::Fenced => {
                    tell(Report::Fenced(error.chain()));
                    return;
                }
                Err(error) if error.kind() == ErrorKind::NoLease => {
                    match self.session.renew(now()) {
                        Ok(Renewed::Kept) => {}
                        Ok(Renewed::JoinedAgain(notices)) => {
                            tell(Report::JoinedAgain(error.chain(), notices));
                        }
                        Err(error) if may_pass(&error) || self.waits_for_room(&error) => {}
                        Err(error) => {
                            tell(Report::Broken(error));
                            return;
                        }
                    }
                    // Two workers under one name would take it from each other without end.
                    POLL
                }
                Err(error) if self.waits_for_room(&error) => {
                    tell(Report::NoRoom(error.chain()));
                    ROOM_POLL
                }
                Err(error) if may_pass(&error) && refusals < MAX_REFUSALS => {
                    // A task may have been left claimed, which a live worker would keep for ever.
                    if let Ok(notices) = self.session.join_again() {
                        tell(Report::JoinedAgain(error.chain(), notices));
                    }
                    POLL
                }
                Err(error) => {
                    tell(Report::Broken(error));
                    return;
                }
            };
        }
    }

    fn step(&self) -> Result<Step<Updated>> {
        let _step = self.steps.read().unwrap_or_else(PoisonError::into_inner);
        self.session.work(&self.policy, now())
    }

    /// Where there was no room, a task may have been left claimed, which a live worker would keep
    /// for ever. It returns as soon as nobody else has one.
    fn return_claims(&self, lacks_room: &mut bool) -> Result<()> {
        if *lacks_room && let Ok(_alone) = self.steps.try_write() {
            self.session.join_again()?;
            *lacks_room = false;
        }
        Ok(())
    }

    /// Whether to go on when there is room: who works until the queue is empty is waited for.
    fn waits_for_room(&self, error: &Error) -> bool {
        error.kind() == ErrorKind::NoRoom && !self.until_empty
    }

    fn stop(&self) {
        *self.lock() = true;
        self.stopped.notify_all();
    }

    /// Whether it was stopped, now or within this time.
    fn wait(&self, time: Duration) -> bool {
        let is_stopped = self.lock();
        let waited = self
            .stopped
            .wait_timeout_while(is_stopped, time, |is_stopped| !*is_stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, bool> {
        self.is_stopped
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A paused queue does not tell whether there is anything in it.
    fn is_nothing_left(&self) -> bool {
        let status = Queue::new(self.session.store()).status(now());
        status.is_ok_and(|status| tasks_left(&status) == 0)
    }
}

/// Whether it may be over when it is tried again: another process had the store open and has
/// ended, or others are busy with the same rows.
fn may_pass(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Storage | ErrorKind::Conflict)
}

/// How long nothing can be done, but not so long that news go unheard.
fn time_until(then: Timestamp) -> Duration {
    then.since(now()).min(POLL)
}

/// Tasks that are done by themselves, sooner or later.
pub(super) fn tasks_left(status: &QueueStatus) -> u64 {
    status.ready + status.delayed + status.claimed
}

/// Hears what the threads did, tells it, and ends them.
struct Foreman<'a> {
    crew: &'a Crew<'a>,
    output: &'a mut Output,
    done: u64,
    /// Courses whose last attempt failed.
    failing: BTreeMap<CourseKey, Failed>,
    fenced: Option<String>,
    limits: Limits,
    trouble: Option<String>,
    lacks_room: bool,
    limits_due: Instant,
    total_due: Instant,
}

impl<'a> Foreman<'a> {
    fn new(crew: &'a Crew<'a>, output: &'a mut Output) -> Self {
        let begun = Instant::now();
        Self {
            crew,
            output,
            done: 0,
            failing: BTreeMap::new(),
            fenced: None,
            limits: Limits::default(),
            trouble: None,
            lacks_room: false,
            limits_due: begun,
            total_due: begun,
        }
    }

    /// Until all threads have ended, or somebody asks them to.
    fn oversee(
        &mut self,
        reports: &Receiver<Report>,
        interrupt: &Interrupt,
    ) -> Result<(), Failure> {
        loop {
            self.look_around();
            match reports.recv_timeout(TICK) {
                Ok(report) => self.hear(report)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if interrupt.is_asked() {
                self.output
                    .notice("note: finishing what is under way; Ctrl-C again ends at once");
                return Ok(());
            }
        }
    }

    /// What threads that were stopped have still to say.
    fn hear_out(&mut self, reports: &Receiver<Report>) -> Result<(), Failure> {
        reports.iter().try_for_each(|report| self.hear(report))
    }

    fn hear(&mut self, report: Report) -> Result<(), Failure> {
        if self.lacks_room && matches!(report, Report::Done { .. } | Report::Failed { .. }) {
            self.lacks_room = false;
            self.output.notice("note: there is room again");
        }
        match report {
            Report::Done {
                course,
                updated,
                completion,
            } => {
                self.done += 1;
                self.failing.remove(&course);
                self.output.advance();
                self.tell_done(&course, &updated, completion)
            }
            Report::Failed {
                course,
                updated,
                error,
                then,
            } => {
                self.tell_failed(&course, updated.as_ref(), &error, then)?;
                self.failing.insert(course, then);
                Ok(())
            }
            Report::JoinedAgain(why, notices) => {
                self.output.notice(&format!("note: joined again: {why}"));
                for notice in notices {
                    self.output.notice(&format!("note: {notice}"));
                }
                Ok(())
            }
            Report::NoRoom(why) => {
                if !std::mem::replace(&mut self.lacks_room, true) {
                    self.output
                        .notice(&format!("note: waiting for room: {why}"));
                }
                Ok(())
            }
            Report::Fenced(why) => {
                self.crew.stop();
                self.fenced.get_or_insert(why);
                Ok(())
            }
            Report::Broken(error) => {
                self.crew.stop();
                Err(error.into())
            }
        }
    }

    fn tell_done(
        &mut self,
        course: &CourseKey,
        updated: &Updated,
        completion: Completion,
    ) -> Result<(), Failure> {
        if self.output.is_json() {
            return self.output.item(&TaskAnswer {
                outcome: Outcome::Done,
                again: completion == Completion::Again,
                ..TaskAnswer::new(course, Some(updated))
            });
        }
        let then = match completion {
            Completion::Done => "",
            Completion::Again => "; it was put on the queue again meanwhile",
            Completion::Lost => "; another worker has its task now",
        };
        let what = in_words("collected", updated);
        self.output
            .line(&format!("done      {course}: {what}{then}"))
    }

    fn tell_failed(
        &mut self,
        course: &CourseKey,
        updated: Option<&Updated>,
        error: &str,
        then: Failed,
    ) -> Result<(), Failure> {
        let what_next = match then {
            Failed::Retry(at) => format!("tried again at {}", to_the_second(at)),
            Failed::Quarantined => {
                format!("in quarantine from now on; `queue retry {course}` tries again")
            }
            Failed::Lost => "another worker has its task now".to_owned(),
        };
        self.output
            .notice(&format!("error: {course}: {error} ({what_next})"));
        if !self.output.is_json() {
            return Ok(());
        }
        self.output.item(&TaskAnswer {
            outcome: match then {
                Failed::Retry(_) => Outcome::Retry,
                Failed::Quarantined => Outcome::Quarantined,
                Failed::Lost => Outcome::Lost,
            },
            error: Some(error),
            retry_at: match then {
                Failed::Retry(at) => Some(at),
                Failed::Quarantined | Failed::Lost => None,
            },
            ..TaskAnswer::new(course, updated)
        })
    }

    /// What changes by itself: limits that others set, the lease, and how much there is to do.
    fn look_around(&mut self) {
        let now = Instant::now();
        if now >= self.limits_due {
            self.tell_limits();
            self.tell_trouble();
            self.limits_due = Instant::now() + POLL;
        }
        let is_due = self.output.shows_progress() && now >= self.total_due;
        if let Some(Ok(status)) = is_due.then(|| self.queue().status(super::session::now())) {
            let left = tasks_left(&status);
            self.output.set_progress(self.done, self.done + left);
            self.output.at(match (left, &status.paused) {
                (_, Some(_)) => "paused",
                (0, None) => "waiting for courses",
                _ => "",
            });
            // A long queue is not counted more often than it pays.
            self.total_due = Instant::now() + POLL.max(now.elapsed() * 50);
        }
    }

    fn tell_limits(&mut self) {
        // Whether the store can be used is for those who work to say.
        let Ok(limits) = self.queue().limits() else {
            return;
        };
        let old = std::mem::replace(&mut self.limits, limits);
        let Limits { paused, rate } = &self.limits;
        match (&old.paused, paused) {
            (None, Some(pause)) => self.output.notice(&format!(
                "note: the queue is paused, by {} at {}; `resume` ends that",
                pause.by,
                to_the_second(pause.at)
            )),
            (Some(_), None) => self.output.notice("note: the queue is resumed"),
            _ => {}
        }
        match rate {
            _ if old.rate == *rate => {}
            Some(rate) => self.output.notice(&format!(
                "note: all workers together take at most {}; `queue rate` changes that",
                PerSecond(*rate)
            )),
            None => self.output.notice("note: there is no limit any more"),
        }
    }

    fn tell_trouble(&mut self) {
        let trouble = self.crew.session.trouble().map(|error| error.chain());
        if let Some(trouble) = trouble.as_ref().filter(|_| trouble != self.trouble) {
            self.output
                .notice(&format!("note: the lease could not be renewed: {trouble}"));
        }
        self.trouble = trouble;
    }

    fn sum_up(mut self, until_empty: bool, is_asked: bool) -> Result<Answer, Failure> {
        // What let the last tasks be done may not have been told yet.
        self.tell_limits();
        let status = patiently(|| self.queue().status(now()))?;
        let quarantined = patiently(|| self.quarantined())?;
        let failed = self.failing.len();
        self.output.end_progress();
        if self.output.is_json() {
            self.output.end_list(&Summary {
                done: self.done,
                failed,
                left: tasks_left(&status),
                in_quarantine: status.quarantined,
                damaged: status.damaged,
                quarantined: &quarantined,
                ended: match &self.fenced {
                    Some(_) => Ended::LeftToNewerReleases,
                    None if is_asked => Ended::Asked,
                    None => Ended::Empty,
                },
            })?;
        } else {
            let left = match tasks_left(&status) {
                0 => "the queue is empty".to_owned(),
                left => format!("{} left", counted(left, "task is", "tasks are")),
            };
            let done = counted(self.done, "task", "tasks");
            self.output
                .line(&format!("{done} done, {failed} failed; {left}"))?;
        }
        for task in &quarantined {
            self.output.notice(&format!("in quarantine: {task}"));
        }
        if status.quarantined > 0 {
            self.output.notice(&format!(
                "note: {} in quarantine; `queue status --all` lists them, `queue retry` tries \
                 again",
                counted(status.quarantined, "course is", "courses are")
            ));
        }
        if status.damaged > 0 {
            let damaged = unreadable(status.damaged);
            self.output.notice(&format!("note: {damaged}"));
        }
        if let Some(why) = &self.fenced {
            return Err(Failure::no(why.as_str()));
        }
        let is_stuck = until_empty && !is_asked && status.quarantined + status.damaged > 0;
        Ok(Answer::after(failed + usize::from(is_stuck)))
    }

    /// The first ones of those that somebody must look at.
    fn quarantined(&self) -> Result<Vec<QuarantinedAnswer>> {
        let now = now();
        let mut quarantined = Vec::new();
        for task in readable(self.queue()) {
            let task = task?;
            // Who works does not matter to them.
            if task.state(&[], now) == TaskState::Quarantined && quarantined.len() < MAX_SHOWN {
                quarantined.push(QuarantinedAnswer::new(&task));
            }
        }
        Ok(quarantined)
    }

    fn queue(&self) -> Queue<'a> {
        Queue::new(self.crew.session.store())
    }
}

/// Tries again what may be refused because another process has just left the store.
pub(super) fn patiently<T>(mut ask: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 1..MAX_REFUSALS {
        match ask() {
            Err(error) if may_pass(&error) => thread::sleep(TICK),
            answer => return answer,
        }
    }
    ask()
}

/// What is said of one task in JSON. Where an update was made, `transformers` is null when all of
/// the course was meant.
#[derive(Debug, Serialize)]
struct TaskAnswer<'a> {
    course_key: &'a CourseKey,
    outcome: Outcome,
    /// It was put on the queue again while it was being collected.
    again: bool,
    transformers: Option<&'a [String]>,
    reason: Option<&'static str>,
    generation: Option<u64>,
    records: usize,
    bytes: u64,
    failures: Vec<FailureAnswer<'a>>,
    error: Option<&'a str>,
    retry_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Done,
    Retry,
    Quarantined,
    /// Another worker has the task.
    Lost,
}

impl<'a> TaskAnswer<'a> {
    fn new(course_key: &'a CourseKey, updated: Option<&'a Updated>) -> Self {
        let (transformers, reason) = match updated.map(|updated| &updated.plan) {
            None => (None, None),
            Some(Plan::Nothing) => (Some(&[][..]), None),
            Some(Plan::Part(transformers)) => (Some(transformers.as_slice()), None),
            Some(Plan::Whole(reason)) => (None, Some(reason_word(*reason))),
        };
        let published = updated.and_then(|updated| updated.published.as_ref());
        let failures = updated.iter().flat_map(|updated| &updated.failures);
        Self {
            course_key,
            outcome: Outcome::Done,
            again: false,
            transformers,
            reason,
            generation: published.map(|published| published.generation.get()),
            records: published.map_or(0, |published| published.records),
            bytes: published.map_or(0, |published| published.bytes),
            failures: failures
                .map(|(transformer, error)| FailureAnswer { transformer, error })
                .collect(),
            error: None,
            retry_at: None,
        }
    }
}

/// What is said of the whole run in JSON.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    done: u64,
    /// Courses whose last attempt in this run failed.
    failed: usize,
    /// Tasks that are done by themselves, sooner or later.
    left: u64,
    /// Tasks that cannot be read.
    damaged: u64,
    /// How many courses somebody must look at, and the first ones of them.
    in_quarantine: u64,
    quarantined: &'a [QuarantinedAnswer],
    ended: Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Ended {
    Empty,
    Asked,
    LeftToNewerReleases,
}
