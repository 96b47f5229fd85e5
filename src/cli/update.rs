//! `update`: stored courses are brought up to date with their sources and with this release.

use clap::Args;
use serde::Serialize;

use super::Context;
use super::courses::named;
use super::failure::{Answer, Failure};
use super::output::Output;
use super::problems::FailureAnswer;
use crate::error::{Error, Result};
use crate::key::CourseKey;
use crate::manager::{Force, Manager, Plan, Reason, UpdateOptions, Updated};

/// Collect again what is outdated: against this release, and against the sources of the courses
#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("which").required(true).multiple(false),
    after_help = "\
A course whose source has changed is collected whole; otherwise only the transformers that are below \
this release's WRITE version. What a newer release wrote is left alone. A course that fails is told \
of, keeps what it has, and the others go on.

Examples:
  courseblocks update --all --dry-run
  courseblocks update --all --transformer start_date
  courseblocks update course-v1:edX+DemoX+2026 --force

Exit status: 0 all of it is up to date, 1 some failed, 2 bad usage, 3 the store failed.")]
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
        let mut failures = 0;
        let courses = self.courses(&manager, &mut failures, output)?;
        if output.is_json() {
            output.begin_list("courses")?;
        }
        output.begin_progress(courses.len());
        for course in &courses {
            output.at(course.as_str());
            let done = if self.dry_run {
                manager.plan(course, &options).map(Done::planned)
            } else {
                manager.update(course, &options).map(Done::updated)
            };
            failures += match done {
                Ok(done) => tell(course, &done, output)?,
                Err(error) => tell_failed(course, error, output)?,
            };
            output.advance();
        }
        Ok(Answer::after(failures))
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

/// What was done for one course, or would be.
struct Done {
    plan: Plan,
    updated: Option<Updated>,
}

impl Done {
    fn planned(plan: Plan) -> Self {
        Self {
            plan,
            updated: None,
        }
    }

    fn updated(updated: Updated) -> Self {
        let plan = updated.plan.clone();
        Self {
            plan,
            updated: Some(updated),
        }
    }

    fn failures(&self) -> &[(String, String)] {
        self.updated
            .as_ref()
            .map_or(&[], |updated| &updated.failures)
    }
}

/// Tells what was done, and answers how many transformers failed.
fn tell(course: &CourseKey, done: &Done, output: &mut Output) -> Result<usize, Failure> {
    let Done { plan, updated } = done;
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
        let word = if updated.is_some() {
            "collected"
        } else {
            "would collect"
        };
        let what = match plan {
            Plan::Nothing => "up to date".to_owned(),
            Plan::Part(transformers) => format!("{word} {}", transformers.join(", ")),
            Plan::Whole(reason) => format!("{word} whole, because {reason}"),
        };
        let bytes = published.map(|published| format!(" ({} bytes)", published.bytes));
        output.line(&format!("{course}: {what}{}", bytes.unwrap_or_default()))?;
    }
    Ok(done.failures().len())
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
    Failed,
}

impl Outcome {
    fn new(done: &Done) -> Self {
        match (&done.plan, &done.updated) {
            (Plan::Nothing, _) => Self::UpToDate,
            (_, None) => Self::WouldUpdate,
            (_, Some(_)) => Self::Updated,
        }
    }
}

fn reason_word(reason: Reason) -> &'static str {
    match reason {
        Reason::NotStored => "not_stored",
        Reason::SourceChanged => "source_changed",
        Reason::StructureOutdated => "structure_outdated",
        Reason::Forced => "forced",
    }
}
