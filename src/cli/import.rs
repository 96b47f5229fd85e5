//! `import`: courses come into the store.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueHint};
use serde::Serialize;

use super::Context;
use super::failure::{Answer, Failure, explain};
use super::output::Output;
use super::problems::{self, Counts, FailureAnswer, ProblemAnswer, counted};
use super::sources::{self, Sources};
use crate::engine::Durability;
use crate::error::Result;
use crate::key::CourseKey;
use crate::manager::{Manager, UpdateOptions, Updated};
use crate::modulestore::{Course, Report};
use crate::store::{Publication, Scope};

/// Import courses from OLX exports, collecting with every registered transformer
#[derive(Debug, Args)]
#[command(after_help = "\
A course that is stored and unchanged is not written again. A course that cannot be read is told \
of, and the others go on. A line that says `imported` or `updated` is printed when the course is on \
disk. When there is no room left it ends; what was printed is there, and the same command goes on \
when there is room.

Examples:
  courseblocks import exports/
  courseblocks --format json import course.tar.gz

Exit status: 0 all courses are in the store, 1 some are not or some transformers failed, 2 bad \
usage, 3 the store failed.")]
pub(super) struct Import {
    /// Exports: directories, .tar.gz files, or directories of such
    #[arg(required = true, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
}

impl Import {
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        if output.is_json() {
            output.begin_list("courses")?;
        }
        let mut run = Run {
            context,
            output,
            keys: HashMap::new(),
            failures: 0,
        };
        let places = run.find(&self.paths)?;
        if places.is_empty() {
            return Ok(Answer::Incomplete);
        }
        let store = context.open_or_create()?;
        let sources = Arc::new(Sources::new(Arc::clone(&store)));
        let registry = Arc::clone(&context.registry);
        let manager = Manager::new(store, registry, Arc::clone(&sources) as _);
        let manager = context.join(manager)?;
        context.tell_notices(&manager, run.output);
        run.output.begin_progress(places.len());
        for place in &places {
            run.import(&manager, &sources, place)?;
            run.output.advance();
        }
        Ok(Answer::after(run.failures))
    }
}

struct Run<'a> {
    context: &'a Context,
    output: &'a mut Output,
    /// Where each course of this import was found.
    keys: HashMap<CourseKey, PathBuf>,
    failures: usize,
}

impl Run<'_> {
    /// All courses at the given paths, each once.
    fn find(&mut self, paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
        let mut places = Vec::new();
        let mut seen = HashSet::new();
        for path in paths {
            match sources::find(path) {
                Ok(found) if found.is_empty() => {
                    let error = "there is no course.xml, no library.xml and no .tar.gz in it";
                    self.failed(path, None, error)?;
                }
                Ok(found) => places.extend(found.into_iter().filter(|place| {
                    seen.insert(place.canonicalize().unwrap_or_else(|_| place.clone()))
                })),
                Err(error) => self.failed(path, None, &explain(&error))?,
            }
        }
        Ok(places)
    }

    /// Imports one course. What is wrong with it is told; an error is the store's or the output's.
    fn import(
        &mut self,
        manager: &Manager,
        sources: &Sources,
        place: &Path,
    ) -> Result<(), Failure> {
        self.output.at(&place.display().to_string());
        let course = match sources::read(place) {
            Ok(course) => course,
            Err(error) => return self.failed(place, None, &explain(&error)),
        };
        let key = course.key().clone();
        if let Some(first) = self.keys.get(&key) {
            let error = format!(
                "{key} comes from {} in this import: two sources of one course",
                first.display()
            );
            return self.failed(place, Some(&key), &error);
        }
        self.keys.insert(key.clone(), place.to_owned());
        match bring_in(manager, sources, course) {
            Ok(done) => self.done(place, &key, &done),
            Err(error) => {
                let failure = Failure::from(error);
                if failure.is_fatal() {
                    return Err(failure);
                }
                self.failed(place, Some(&key), &failure.to_string())
            }
        }
    }

    fn done(&mut self, place: &Path, key: &CourseKey, done: &Done) -> Result<(), Failure> {
        let Done {
            outcome,
            blocks,
            report,
            updated,
        } = done;
        let failures = updated.failures.iter();
        for (transformer, error) in failures.clone() {
            self.failures += 1;
            self.output.notice(&format!(
                "error: {key}: transformer {transformer:?}: {error}"
            ));
        }
        let published = updated.published.as_ref();
        if self.output.is_json() {
            return self.output.item(&ImportAnswer {
                path: &place.display().to_string(),
                course_key: Some(key),
                outcome: *outcome,
                blocks: Some(*blocks),
                generation: published.map(|published| published.generation.get()),
                records: published.map_or(0, |published| published.records),
                bytes: published.map_or(0, |published| published.bytes),
                errors: problems::answers(&report.errors),
                warnings: problems::answers(&report.warnings),
                failures: failures
                    .map(|(transformer, error)| FailureAnswer { transformer, error })
                    .collect(),
                error: None,
            });
        }
        let counts = Counts {
            errors: report.errors.len(),
            warnings: report.warnings.len(),
            failures: failures.len(),
        };
        let blocks = counted(*blocks, "block", "blocks");
        let written = match (outcome, published) {
            (Outcome::Moved, _) => {
                format!("same content, from now on read from {}", place.display())
            }
            (_, None) => "nothing written".to_owned(),
            (_, Some(published)) => {
                let records = counted(published.records, "record", "records");
                format!("{records}, {} bytes", published.bytes)
            }
        };
        let mut line = format!("{:<9} {key}: {blocks}, {written}", outcome.word());
        if let Some(problems) = counts.in_words() {
            line.push_str("; ");
            line.push_str(&problems);
        }
        self.output.line(&line)?;
        if self.context.verbose {
            for problem in problems::lines(report) {
                self.output.line(&format!("          {problem}"))?;
            }
        }
        Ok(())
    }

    fn failed(
        &mut self,
        place: &Path,
        key: Option<&CourseKey>,
        error: &str,
    ) -> Result<(), Failure> {
        self.failures += 1;
        self.output
            .notice(&format!("error: {}: {error}", place.display()));
        if !self.output.is_json() {
            return Ok(());
        }
        self.output.item(&ImportAnswer {
            path: &place.display().to_string(),
            course_key: key,
            outcome: Outcome::Failed,
            blocks: None,
            generation: None,
            records: 0,
            bytes: 0,
            errors: Vec::new(),
            warnings: Vec::new(),
            failures: Vec::new(),
            error: Some(error),
        })
    }
}

/// What became of one course that could be read.
struct Done {
    outcome: Outcome,
    blocks: usize,
    report: Report,
    updated: Updated,
}

fn bring_in(manager: &Manager, sources: &Sources, course: Course) -> Result<Done> {
    let key = course.key().clone();
    let blocks = course.structure().len();
    let report = course.report().clone();
    let origin = course.origin().map(str::to_owned);
    let is_new = matches!(manager.store().course(&key), Ok(None));
    sources.hold(course);
    let updated = manager.update(&key, &UpdateOptions::default())?;
    let outcome = match updated.published {
        Some(_) if is_new => Outcome::Imported,
        Some(_) => Outcome::Updated,
        None if note_origin(manager, &key, origin)? => Outcome::Moved,
        None => Outcome::Unchanged,
    };
    Ok(Done {
        outcome,
        blocks,
        report,
        updated,
    })
}

/// The same content lies elsewhere: nothing but its place is written. True if it has moved.
fn note_origin(manager: &Manager, key: &CourseKey, origin: Option<String>) -> Result<bool> {
    let store = manager.store();
    let lease = manager.lease()?;
    let (base, entry) = store.base(&lease, key)?;
    let Some(entry) = entry.filter(|entry| entry.origin() != origin.as_deref()) else {
        store.abandon(&base)?;
        return Ok(false);
    };
    let publication = Publication {
        scope: Scope::Part,
        source_version: entry.source_version().clone(),
        origin,
        blocks: entry.blocks(),
        errors: entry.errors(),
        warnings: entry.warnings(),
        records: Vec::new(),
        failures: Vec::new(),
    };
    store.publish(&lease, &base, &publication, Durability::Durable)?;
    Ok(true)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Imported,
    Updated,
    Unchanged,
    Moved,
    Failed,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Imported => "imported",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Moved => "moved",
            Self::Failed => "failed",
        }
    }
}

/// What is said of one course in JSON.
#[derive(Debug, Serialize)]
struct ImportAnswer<'a> {
    path: &'a str,
    course_key: Option<&'a CourseKey>,
    outcome: Outcome,
    blocks: Option<usize>,
    generation: Option<u64>,
    records: usize,
    bytes: u64,
    errors: Vec<ProblemAnswer<'a>>,
    warnings: Vec<ProblemAnswer<'a>>,
    failures: Vec<FailureAnswer<'a>>,
    error: Option<&'a str>,
}
