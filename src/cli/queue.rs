//! `queue`: the tasks that are to be done, those that keep failing included.

use std::fmt;
use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::HumanDuration;
use serde::Serialize;

use super::Context;
use super::arguments::PerSecond;
use super::failure::{Answer, Failure};
use super::ink::{Ink, Line};
use super::json::SCHEMA;
use super::output::Output;
use super::problems::counted;
use super::session::now;
use super::sources::not_stored;
use super::text::to_the_second;
use super::worker::tasks_left;
use crate::error::{ErrorKind, Result};
use crate::key::CourseKey;
use crate::rollout::{self, Backlog, Fleet, Priority, QueueStatus, Task, TaskState};
use crate::store::{Member, Store};
use crate::timestamp::Timestamp;

/// Look at the tasks that workers take, and change them
#[derive(Debug, Args)]
#[command(after_help = "\
`update --enqueue` and `rollout start` put courses on the queue, `worker` works it off. `pause` and \
`resume` stop and start all workers.

Exit status: 0 done, 1 not done, 2 bad usage, 3 the store failed.")]
pub(super) struct Queue {
    #[command(subcommand)]
    command: QueueCommand,
}

#[derive(Debug, Subcommand)]
enum QueueCommand {
    Status(Status),
    Retry(Retry),
    Drop(Drop),
    Rate(Rate),
}

/// Show what is to be done, by whom, and what went wrong
#[derive(Debug, Args)]
#[command(after_help = "\
Shows the first tasks of each state; --all shows every one.

Exit status: 0 shown, 1 it cannot be read, 2 bad usage, 3 the store failed.")]
struct Status {
    /// List every task
    #[arg(long)]
    all: bool,
}

/// Try again at once what failed, as if it had never been tried
#[derive(Debug, Args)]
#[command(after_help = "\
Without courses it is for all that are in quarantine. It can be repeated: what is ready or under \
way stays as it is.

Examples:
  courseblocks queue retry
  courseblocks queue retry course-v1:edX+DemoX+2026

Exit status: 0 what failed is ready again, 1 there is no such course, 2 bad usage, 3 the store \
failed.")]
struct Retry {
    /// Courses that failed, in quarantine or not
    #[arg(value_name = "COURSE")]
    courses: Vec<CourseKey>,
    /// All that are in quarantine; so it is without courses
    #[arg(long, conflicts_with = "courses")]
    quarantined: bool,
}

/// Take tasks off the queue
#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("which").required(true).multiple(false),
    after_help = "\
What is stored stays as it is, and so does what is outdated: `update --enqueue` finds it again.

Exit status: 0 they are not on the queue now, 1 there is no such course, 2 bad usage, 3 the store \
failed.")]
struct Drop {
    /// Courses, whatever their tasks' state
    #[arg(group = "which", value_name = "COURSE")]
    courses: Vec<CourseKey>,
    /// All that are in quarantine
    #[arg(long, group = "which")]
    quarantined: bool,
}

/// Limit how many courses all workers together take per second
#[derive(Debug, Args)]
#[command(after_help = "\
Holds until it is changed, also for workers that are running.

Examples:
  courseblocks queue rate 10/s
  courseblocks queue rate none

Exit status: 0 it is so now, 1 it could not be set, 2 bad usage, 3 the store failed.")]
struct Rate {
    /// Courses per second, such as 10/s or 0.5/s, or none
    #[arg(value_name = "R/s|none", value_parser = limit)]
    limit: Limit,
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    None,
    At(PerSecond),
}

fn limit(text: &str) -> Result<Limit, &'static str> {
    match text {
        "none" => Ok(Limit::None),
        text => text.parse().map(Limit::At),
    }
}

/// How many tasks of each state are shown where not all are asked for.
pub(super) const MAX_SHOWN: usize = 10;

impl Queue {
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        match &self.command {
            QueueCommand::Status(command) => command.run(context, output),
            QueueCommand::Retry(command) => command.run(context, output),
            QueueCommand::Drop(command) => command.run(context, output),
            QueueCommand::Rate(command) => command.run(context, output),
        }
    }
}

impl Status {
    fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        let store = context.open()?;
        let now = now();
        let queue = rollout::Queue::new(&store);
        let status = queue.status(now)?;
        let tasks = self.tasks(&store, now)?;
        if output.is_json() {
            output.json(&StatusAnswer {
                schema: SCHEMA,
                queue: QueueAnswer::new(&status),
                tasks: tasks.shown,
                tasks_not_listed: tasks.left_out,
            })?;
            return Ok(Answer::Done);
        }
        for line in lines(&status) {
            output.inked(&line)?;
        }
        for task in &tasks.shown {
            output.paragraph(&task.head(), &task.in_words())?;
        }
        if tasks.left_out > 0 {
            let more = counted(tasks.left_out, "more task", "more tasks");
            output.line(&format!("… and {more}; --all lists every one"))?;
        }
        Ok(Answer::Done)
    }

    /// The tasks of each state in the order in which they go.
    fn tasks(&self, store: &Store, now: Timestamp) -> Result<Tasks, Failure> {
        let fleet = Fleet::new(store).members()?;
        let mut tasks = Tasks {
            shown: Vec::new(),
            left_out: 0,
        };
        for task in readable(rollout::Queue::new(store)) {
            let task = TaskAnswer::new(&task?, &fleet, now);
            let alike = tasks.shown.iter().filter(|shown| shown.state == task.state);
            if self.all || alike.count() < MAX_SHOWN {
                tasks.shown.push(task);
            } else {
                tasks.left_out += 1;
            }
        }
        tasks.shown.sort_by_key(|task| task.state);
        Ok(tasks)
    }
}

/// All tasks but those that are damaged, which are only counted.
pub(super) fn readable(queue: rollout::Queue<'_>) -> impl Iterator<Item = Result<Task>> {
    let is_damaged = |task: &Result<Task>| {
        let error = task.as_ref().err();
        error.is_some_and(|error| error.kind() == ErrorKind::Damaged)
    };
    queue.tasks().filter(move |task| !is_damaged(task))
}

struct Tasks {
    shown: Vec<TaskAnswer>,
    left_out: usize,
}

/// The queue in numbers, for people.
pub(super) fn lines(status: &QueueStatus) -> Vec<Line> {
    let QueueStatus {
        ready,
        publishes,
        delayed,
        claimed,
        quarantined,
        damaged,
        paused,
        rate,
        done_per_second,
    } = status;
    let mut counts = Line::of(Ink::Strong, "queue: ");
    counts.push(Ink::Plain, format!("{ready} ready"));
    if *publishes > 0 {
        counts.push(Ink::Plain, format!(" ({publishes} for new content)"));
    }
    counts.push(
        Ink::Plain,
        format!(", {claimed} under way, {delayed} to be tried again, "),
    );
    let ink = if *quarantined > 0 {
        Ink::Bad
    } else {
        Ink::Plain
    };
    counts.push(ink, format!("{quarantined} in quarantine"));
    let mut lines = vec![counts];
    if *damaged > 0 {
        lines.push(Line::of(Ink::Bad, unreadable(*damaged)));
    }
    if let Some(pause) = paused {
        let text = format!(
            "paused by {} at {}; `resume` ends that",
            pause.by,
            to_the_second(pause.at)
        );
        lines.push(Line::of(Ink::Caution, text));
    }
    if let Some(rate) = rate {
        let text = format!("limited to {} for all workers together", PerSecond(*rate));
        lines.push(text.into());
    }
    if let Some(done) = done_per_second {
        let left = time_left(status).map(|time| format!(", about {} left", HumanDuration(time)));
        let left = left.unwrap_or_default();
        lines.push(format!("{done:.1} courses done per second lately{left}").into());
    }
    lines
}

/// What is said of tasks that are damaged.
pub(super) fn unreadable(damaged: u64) -> String {
    let tasks = counted(damaged, "task", "tasks");
    format!(
        "{tasks} cannot be read; `update --all --enqueue` puts their courses on the queue again"
    )
}

/// How long it takes until the queue is empty, if it goes on as it did lately.
pub(super) fn time_left(status: &QueueStatus) -> Option<Duration> {
    let done = status.done_per_second.filter(|done| *done > 0.0)?;
    let left = tasks_left(status);
    #[expect(clippy::cast_precision_loss, reason = "an estimate for people")]
    let seconds = left as f64 / done;
    (left > 0 && status.paused.is_none())
        .then(|| Duration::try_from_secs_f64(seconds).ok())
        .flatten()
}

impl Retry {
    fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        let session = context.manager()?;
        let queue = rollout::Queue::new(session.store());
        let lease = session.lease()?;
        let mut changes = Changes::default();
        for which in backlog(&self.courses) {
            let retried = queue.retry(&lease, &which)?;
            changes.add(queue, session.store(), &which, retried)?;
        }
        changes.tell(
            &Words {
                changed: "ready again",
                unchanged: "on the queue, and did not fail",
                absent: "not on the queue; `update --enqueue` puts on it what is outdated",
                nothing: "no course is in quarantine",
            },
            output,
        )
    }
}

impl Drop {
    fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        let session = context.manager()?;
        let queue = rollout::Queue::new(session.store());
        let lease = session.lease()?;
        let mut changes = Changes::default();
        for which in backlog(&self.courses) {
            let dropped = queue.drop(&lease, &which)?;
            changes.add(queue, session.store(), &which, dropped)?;
        }
        changes.tell(
            &Words {
                changed: "dropped",
                unchanged: "put on the queue again meanwhile",
                absent: "not on the queue",
                nothing: "no course is in quarantine",
            },
            output,
        )
    }
}

fn backlog(courses: &[CourseKey]) -> Vec<Backlog> {
    if courses.is_empty() {
        return vec![Backlog::Quarantined];
    }
    courses.iter().cloned().map(Backlog::Course).collect()
}

/// What became of each course.
#[derive(Debug, Default)]
struct Changes {
    courses: Vec<ChangeAnswer>,
    unknown: Vec<CourseKey>,
}

/// What became of one course, in JSON.
#[derive(Debug, Serialize)]
struct ChangeAnswer {
    course_key: CourseKey,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Changed,
    Unchanged,
    /// It has no task.
    Absent,
}

struct Words {
    changed: &'static str,
    unchanged: &'static str,
    absent: &'static str,
    nothing: &'static str,
}

impl Changes {
    fn add(
        &mut self,
        queue: rollout::Queue<'_>,
        store: &Store,
        which: &Backlog,
        changed: Vec<CourseKey>,
    ) -> Result<(), Failure> {
        if let (Backlog::Course(course), []) = (which, changed.as_slice()) {
            let outcome = if queue.task(course)?.is_some() {
                Outcome::Unchanged
            } else {
                Outcome::Absent
            };
            // A course whose row is damaged is there all the same.
            if outcome == Outcome::Absent && matches!(store.course(course), Ok(None)) {
                self.unknown.push(course.clone());
                return Ok(());
            }
            self.courses.push(ChangeAnswer {
                course_key: course.clone(),
                outcome,
            });
        }
        let changed = changed.into_iter().map(|course_key| ChangeAnswer {
            course_key,
            outcome: Outcome::Changed,
        });
        self.courses.extend(changed);
        Ok(())
    }

    fn tell(&self, words: &Words, output: &mut Output) -> Result<Answer, Failure> {
        if output.is_json() {
            output.json(&ChangesAnswer {
                schema: SCHEMA,
                courses: &self.courses,
            })?;
        } else if self.courses.is_empty() && self.unknown.is_empty() {
            output.line(words.nothing)?;
        } else {
            for ChangeAnswer {
                course_key,
                outcome,
            } in &self.courses
            {
                let word = match outcome {
                    Outcome::Changed => words.changed,
                    Outcome::Unchanged => words.unchanged,
                    Outcome::Absent => words.absent,
                };
                output.line(&format!("{course_key}: {word}"))?;
            }
        }
        for course in &self.unknown {
            output.notice(&format!("error: {}", not_stored(course)));
        }
        Ok(Answer::after(self.unknown.len()))
    }
}

impl Rate {
    fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        let session = context.manager()?;
        let queue = rollout::Queue::new(session.store());
        let limit = match self.limit {
            Limit::None => None,
            Limit::At(PerSecond(rate)) => Some(rate),
        };
        let changed = queue.set_rate(&session.lease()?, limit, now())?;
        if output.is_json() {
            output.json(&RateAnswer {
                schema: SCHEMA,
                limit_per_second: limit.map(per_second),
                changed,
            })?;
            return Ok(Answer::Done);
        }
        let already = if changed { "" } else { ", as before" };
        output.line(&match limit {
            Some(rate) => format!(
                "all workers together take at most {} courses{already}",
                PerSecond(rate)
            ),
            None => format!("no limit{already}"),
        })?;
        Ok(Answer::Done)
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_second(rate: rollout::Rate) -> f64 {
    rate.per_1000_seconds() as f64 / 1000.0
}

#[derive(Debug, Serialize)]
struct RateAnswer {
    schema: u32,
    limit_per_second: Option<f64>,
    changed: bool,
}

#[derive(Debug, Serialize)]
struct ChangesAnswer<'a> {
    schema: u32,
    courses: &'a [ChangeAnswer],
}

#[derive(Debug, Serialize)]
struct StatusAnswer {
    schema: u32,
    #[serde(flatten)]
    queue: QueueAnswer,
    tasks: Vec<TaskAnswer>,
    tasks_not_listed: usize,
}

/// The queue in numbers, in JSON.
#[derive(Debug, Serialize)]
pub(super) struct QueueAnswer {
    ready: u64,
    /// Of those that are ready, how many are for new content.
    publishes: u64,
    /// Failed, and to be tried again.
    delayed: u64,
    claimed: u64,
    quarantined: u64,
    /// Tasks that cannot be read.
    damaged: u64,
    /// Null where it is not paused.
    paused: Option<PausedAnswer>,
    limit_per_second: Option<f64>,
    /// Tasks done lately; null where none were.
    done_per_second: Option<f64>,
    /// Until it is empty, if it goes on like that.
    seconds_left: Option<f64>,
}

#[derive(Debug, Serialize)]
struct PausedAnswer {
    by: String,
    at: Timestamp,
}

impl QueueAnswer {
    pub(super) fn new(status: &QueueStatus) -> Self {
        let paused = status.paused.as_ref().map(|pause| PausedAnswer {
            by: pause.by.clone(),
            at: pause.at,
        });
        Self {
            ready: status.ready,
            publishes: status.publishes,
            delayed: status.delayed,
            claimed: status.claimed,
            quarantined: status.quarantined,
            damaged: status.damaged,
            paused,
            limit_per_second: status.rate.map(per_second),
            done_per_second: status.done_per_second,
            seconds_left: time_left(status).map(|time| time.as_secs_f64()),
        }
    }
}

/// One task, in JSON. What does not belong to its state is null.
#[derive(Debug, Serialize)]
struct TaskAnswer {
    course_key: CourseKey,
    state: State,
    priority: Priority,
    enqueued_at: Timestamp,
    /// How often it failed, and why the last time.
    attempts: u32,
    error: Option<String>,
    /// Who has it, and since when.
    worker: Option<String>,
    claimed_at: Option<Timestamp>,
    /// When it is tried again.
    retry_at: Option<Timestamp>,
}

/// In the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Claimed,
    Ready,
    Delayed,
    Quarantined,
}

impl TaskAnswer {
    fn new(task: &Task, fleet: &[Member], now: Timestamp) -> Self {
        let (mut worker, mut claimed_at, mut retry_at) = (None, None, None);
        let state = match task.state(fleet, now) {
            TaskState::Ready => State::Ready,
            TaskState::Delayed(then) => {
                retry_at = Some(then);
                State::Delayed
            }
            TaskState::Claimed {
                worker: holder,
                since,
            } => {
                (worker, claimed_at) = (Some(holder), Some(since));
                State::Claimed
            }
            TaskState::Quarantined => State::Quarantined,
        };
        Self {
            course_key: task.course().clone(),
            state,
            priority: task.priority(),
            enqueued_at: task.enqueued_at(),
            attempts: task.attempts(),
            error: task.last_error().map(str::to_owned),
            worker,
            claimed_at,
            retry_at,
        }
    }

    fn head(&self) -> Line {
        let (ink, word) = match self.state {
            State::Claimed => (Ink::Good, "under way"),
            State::Ready => (Ink::Plain, "ready"),
            State::Delayed => (Ink::Caution, "tried again"),
            State::Quarantined => (Ink::Bad, "quarantine"),
        };
        Line::of(ink, format!("  {word:<12}"))
    }

    fn in_words(&self) -> String {
        let Self {
            course_key,
            attempts,
            ..
        } = self;
        let mut parts = vec![course_key.to_string()];
        if self.priority == Priority::Publish {
            parts.push(" (new content)".to_owned());
        }
        if let (Some(worker), Some(since)) = (&self.worker, self.claimed_at) {
            parts.push(format!(", by {worker} since {}", to_the_second(since)));
        }
        if let Some(then) = self.retry_at {
            parts.push(format!(", at {}", to_the_second(then)));
        }
        if *attempts > 0 {
            let attempts = counted(*attempts, "attempt", "attempts");
            parts.push(format!(", after {attempts}"));
        }
        if let Some(error) = &self.error {
            parts.push(format!(": {error}"));
        }
        parts.concat()
    }
}

/// A course that somebody must look at.
#[derive(Debug, Serialize)]
pub(super) struct QuarantinedAnswer {
    pub(super) course_key: CourseKey,
    pub(super) attempts: u32,
    pub(super) error: Option<String>,
}

impl QuarantinedAnswer {
    pub(super) fn new(task: &Task) -> Self {
        Self {
            course_key: task.course().clone(),
            attempts: task.attempts(),
            error: task.last_error().map(str::to_owned),
        }
    }
}

impl fmt::Display for QuarantinedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempts = counted(self.attempts, "attempt", "attempts");
        let error = self.error.as_deref().unwrap_or("no reason was kept");
        write!(f, "{} after {attempts}: {error}", self.course_key)
    }
}
