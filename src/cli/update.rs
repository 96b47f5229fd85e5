//! `update`: stored courses are brought up to date with their sources and with this release.

use clap::Args;
use serde::Serialize;

use super::Context;
use super::courses::named;
use super::failure::{Answer, Failure};
use super::output::Output;
use super::problems::FailureAnswer;
use super::session::now;
use crate::error::{Error, Result};
use crate::key::CourseKey;
use crate::manager::{Force, Manager, Plan, Reason, UpdateOptions, Updated};
use crate::rollout::{Enqueued, Priority, Queue};

/// Collect again what is outdated: against this release, and against the sources of the courses
#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("which").required(true).multiple(false),
    after_help = "\
A course whose source has changed is collected whole; otherwise only the transformers that are below \
this release's WRITE version. What a newer release wrote is left alone. A course that fails is told \
of, keeps what it has, and the others go on.

With --enqueue, a course whose source has changed goes before those that are only outdated. A \
worker brings all of a course up to date, whatever --transformer says.

Examples:
  courseblocks update --all --dry-run
  courseblocks update --all --transformer start_date
  courseblocks update course-v1:edX+DemoX+2026 --force
  courseblocks update --all --enqueue && courseblocks worker --until-empty

Exit status: 0 all of it is up to date or on the queue, 1 some failed, 2 bad usage, 3 the store failed.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct Update {
    /// Courses, for example course-v1:edX+DemoX+2026
    #[arg(group = "which", value_name = "COURSE")]
    courses: Vec<CourseKey>,
    /// Every course of the store
    #[arg(long, group = "which")]
    all: bool,
    /// Consider only this transformer; may be repeated
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    transformer: Vec<String>,
    /// Collect what is up to date, too
    #[arg(long)]
    force: bool,
    /// Put what is outdated on the queue, for `worker`, instead of collecting it now
    #[arg(long, conflicts_with = "force")]
    enqueue: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

impl Update {
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        let manager = context.manager()?;
        let force = if self.force {
            Force::Everything
        } else {
            Force::OutdatedOnly
        };
        let transformers = self.transformer.clone();
        for name in &transformers {
            context.registry.versions(name)?;
        }
        let options = UpdateOptions {
            force,
            transformers,
        };
        context.tell_notices(&manager, output);
        let mut failures = 0;
        let courses = self.courses(&manager, &mut failures, output)?;
        if output.is_json() {
            output.begin_list("courses")?;
        }
        output.begin_progress(courses.len());
        let mut totals = Totals::default();
        for course in &courses {
            output.at(course.as_str());
            let done = self.bring_up_to_date(&manager, course, &options);
            failures += match done {
                Ok(done) => {
                    totals.add(&done);
                    tell(course, &done, output)?
                }
                Err(error) => tell_failed(course, error, output)?,
            };
            output.advance();
        }
        if output.is_json() {
            totals.failed = failures;
            output.end_list(&totals)?;
        } else if self.enqueue {
            output.line(&totals.in_words())?;
        }
        Ok(Answer::after(failures))
    }

    fn bring_up_to_date(
        &self,
        manager: &Manager,
        course: &CourseKey,
        options: &UpdateOptions,
    ) -> Result<Done> {
        if !self.dry_run && !self.enqueue {
            return manager.update(course, options).map(Done::updated);
        }
        let plan = manager.plan(course, options)?;
        let enqueued = if self.dry_run || plan.is_nothing() {
            None
        } else {
            let queue = Queue::new(manager.store());
            Some(queue.enqueue(course, priority(&plan), now())?)
        };
        Ok(Done {
            plan,
            updated: None,
            enqueued,
        })
    }

    /// The courses that were named, or all of them. One whose row is damaged is among them: what
    /// it lacks is told when it is its turn.
    fn courses(
        &self,
        manager: &Manager,
        failures: &mut usize,
        output: &Output,
    ) -> Result<Vec<CourseKey>, Failure> {
        if !self.all {
            return Ok(self.courses.clone());
        }
        let mut courses = Vec::new();
        for row in manager.store().courses() {
            match named(row, output)? {
                Some((course, _)) => courses.push(course),
                None => *failures += 1,
            }
        }
        Ok(courses)
    }
}

/// Learners wait for new content, and for nothing else.
fn priority(plan: &Plan) -> Priority {
    match plan {
        Plan::Whole(Reason::NotStored | Reason::SourceChanged) => Priority::Publish,
        _ => Priority::Backfill,
    }
}

/// What was done for one course, or would be.
struct Done {
    plan: Plan,
    updated: Option<Updated>,
    enqueued: Option<Enqueued>,
}

impl Done {
    fn updated(updated: Updated) -> Self {
        Self {
            plan: updated.plan.clone(),
            updated: Some(updated),
            enqueued: None,
        }
    }

    fn failures(&self) -> &[(String, String)] {
        self.updated
            .as_ref()
            .map_or(&[], |updated| &updated.failures)
    }
}

/// Courses by what was done for them. In JSON it stands behind all courses.
#[derive(Debug, Default, Serialize)]
struct Totals {
    up_to_date: usize,
    would_update: usize,
    updated: usize,
    enqueued: usize,
    on_queue: usize,
    /// Courses that could not be updated, and transformers that failed on one.
    failed: usize,
}

impl Totals {
    fn add(&mut self, done: &Done) {
        *match Outcome::new(done) {
            Outcome::UpToDate => &mut self.up_to_date,
            Outcome::WouldUpdate => &mut self.would_update,
            Outcome::Updated => &mut self.updated,
            Outcome::Enqueued => &mut self.enqueued,
            Outcome::OnQueue => &mut self.on_queue,
            Outcome::Failed => &mut self.failed,
        } += 1;
    }

    fn in_words(&self) -> String {
        let Self {
            up_to_date,
            would_update,
            enqueued,
            on_queue,
            ..
        } = self;
        if *would_update > 0 {
            return format!("{would_update} would be enqueued, {up_to_date} up to date");
        }
        format!("{enqueued} enqueued, {on_queue} were there already, {up_to_date} up to date")
    }
}

/// Tells what was done, and answers how many transformers failed.
fn tell(course: &CourseKey, done: &Done, output: &mut Output) -> Result<usize, Failure> {
    let Done {
        plan,
        updated,
        enqueued,
    } = done;
    for (transformer, error) in done.failures() {
        output.notice(&format!(
            "error: {course}: transformer {transformer:?}: {error}"
        ));
    }
    let published = updated
        .as_ref()
        .and_then(|updated| updated.published.as_ref());
    let failures = done.failures().iter();
    if output.is_json() {
        let (transformers, reason) = match plan {
            Plan::Nothing => (Some(&[][..]), None),
            Plan::Part(transformers) => (Some(transformers.as_slice()), None),
            Plan::Whole(reason) => (None, Some(reason_word(*reason))),
        };
        output.item(&UpdateAnswer {
            course_key: course,
            outcome: Outcome::new(done),
            transformers,
            reason,
            generation: published.map(|published| published.generation.get()),
            records: published.map_or(0, |published| published.records),
            bytes: published.map_or(0, |published| published.bytes),
            failures: failures
                .map(|(transformer, error)| FailureAnswer { transformer, error })
                .collect(),
            error: None,
        })?;
    } else {
        let what = match (updated, enqueued) {
            (Some(updated), _) => in_words("collected", updated),
            (None, None) => planned("would collect", plan),
            (None, Some(Enqueued::Added)) => planned("enqueued: to collect", plan),
            (None, Some(Enqueued::Coalesced)) => planned("on the queue already: to collect", plan),
        };
        output.line(&format!("{course}: {what}"))?;
    }
    Ok(done.failures().len())
}

/// What was collected, or not, and how much that was.
pub(super) fn in_words(verb: &str, updated: &Updated) -> String {
    let what = planned(verb, &updated.plan);
    match &updated.published {
        Some(published) => format!("{what} ({} bytes)", published.bytes),
        None => what,
    }
}

fn planned(verb: &str, plan: &Plan) -> String {
    match plan {
        Plan::Nothing => "up to date".to_owned(),
        Plan::Part(transformers) => format!("{verb} {}", transformers.join(", ")),
        Plan::Whole(reason) => format!("{verb} whole, because {reason}"),
    }
}

/// Tells that a course could not be updated, unless the store is at fault. One failure.
fn tell_failed(course: &CourseKey, error: Error, output: &mut Output) -> Result<usize, Failure> {
    let failure = Failure::from(error);
    if failure.is_fatal() {
        return Err(failure);
    }
    let explained = failure.to_string();
    output.notice(&format!("error: {course}: {explained}"));
    if output.is_json() {
        output.item(&UpdateAnswer {
            course_key: course,
            outcome: Outcome::Failed,
            transformers: None,
            reason: None,
            generation: None,
            records: 0,
            bytes: 0,
            failures: Vec::new(),
            error: Some(&explained),
        })?;
    }
    Ok(1)
}

/// What is said of one course in JSON. `transformers` is null where all of the course is meant.
#[derive(Debug, Serialize)]
struct UpdateAnswer<'a> {
    course_key: &'a CourseKey,
    outcome: Outcome,
    transformers: Option<&'a [String]>,
    reason: Option<&'static str>,
    generation: Option<u64>,
    records: usize,
    bytes: u64,
    failures: Vec<FailureAnswer<'a>>,
    error: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    UpToDate,
    WouldUpdate,
    Updated,
    Enqueued,
    OnQueue,
    Failed,
}

impl Outcome {
    fn new(done: &Done) -> Self {
        match (&done.plan, &done.updated, &done.enqueued) {
            (Plan::Nothing, ..) => Self::UpToDate,
            (_, Some(_), _) => Self::Updated,
            (_, None, Some(Enqueued::Added)) => Self::Enqueued,
            (_, None, Some(Enqueued::Coalesced)) => Self::OnQueue,
            (_, None, None) => Self::WouldUpdate,
        }
    }
}

pub(super) fn reason_word(reason: Reason) -> &'static str {
    match reason {
        Reason::NotStored => "not_stored",
        Reason::SourceChanged => "source_changed",
        Reason::StructureOutdated => "structure_outdated",
        Reason::Forced => "forced",
    }
}
