//! `courses` and `delete`: what is stored, from the header index alone.

use clap::Args;
use serde::Serialize;

use super::Context;
use super::failure::{Answer, Failure, explain};
use super::output::Output;
use super::problems::Counts;
use super::sources::not_stored;
use super::table::{Align, Table};
use crate::error::{ErrorKind, Result};
use crate::key::CourseKey;
use crate::store::{CourseEntry, Failure as TransformerFailure};

/// List the courses of the store
#[derive(Debug, Args)]
#[command(after_help = "\
Reads the header index only, whatever the size of the courses. `inspect` tells more of one course.

Exit status: 0 listed, 1 some rows of the index are damaged, 2 bad usage, 3 the store failed.")]
pub(super) struct Courses {}

/// Remove a course and all of its records
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 removed, 1 there is no such course, 2 bad usage, 3 the store failed.")]
pub(super) struct Delete {
    /// The course, for example course-v1:edX+DemoX+2026
    course: CourseKey,
}

impl Courses {
    #[expect(clippy::unused_self, reason = "all commands are run alike")]
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        let store = context.open()?;
        let mut damaged = 0;
        let mut table = Table::new([
            ("course", Align::Left),
            ("blocks", Align::Right),
            ("generation", Align::Right),
            ("source version", Align::Left),
            ("records", Align::Right),
            ("bytes", Align::Right),
            ("problems", Align::Left),
        ]);
        if output.is_json() {
            output.begin_list("courses")?;
        }
        for row in store.courses() {
            let Some((key, entry)) = named(row, output)? else {
                damaged += 1;
                continue;
            };
            match entry {
                Ok(entry) if output.is_json() => output.item(&CourseAnswer::new(&entry))?,
                Ok(entry) => table.row(cells(&entry)),
                Err(error) => {
                    damaged += 1;
                    let error = explain(&error);
                    output.notice(&format!("error: {error}"));
                    if output.is_json() {
                        output.item(&Unreadable {
                            course_key: &key,
                            error: &error,
                        })?;
                    }
                }
            }
        }
        if !output.is_json() {
            output.table(&table)?;
        }
        Ok(Answer::after(damaged))
    }
}

impl Delete {
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        let Self { course } = self;
        if !context.manager()?.delete(course)? {
            return Err(not_stored(course).into());
        }
        if output.is_json() {
            output.json(&Deleted {
                schema: super::json::SCHEMA,
                course_key: course,
            })?;
        } else {
            output.line(&format!("deleted {course}"))?;
        }
        Ok(Answer::Done)
    }
}

/// A row of the header index. `None` after having told that it names no course.
pub(super) fn named<R>(row: Result<R>, output: &Output) -> Result<Option<R>, Failure> {
    match row {
        Ok(row) => Ok(Some(row)),
        Err(error) if error.kind() == ErrorKind::Damaged => {
            output.notice(&format!("error: {}", error.chain()));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn cells(entry: &CourseEntry) -> [String; 7] {
    let counts = Counts {
        errors: entry.errors() as usize,
        warnings: entry.warnings() as usize,
        failures: entry.failures().len(),
    };
    [
        entry.course().to_string(),
        entry.blocks().to_string(),
        entry.generation().to_string(),
        short(entry.source_version().as_str()),
        entry.records().len().to_string(),
        entry.bytes().to_string(),
        counts.in_words().unwrap_or_else(|| "-".to_owned()),
    ]
}

/// As much of a source version as tells two of them apart.
fn short(version: &str) -> String {
    const HASH_DIGITS: usize = 12;
    const CHARACTERS: usize = 24;

    match version.strip_prefix("sha256:") {
        Some(hash) => hash.chars().take(HASH_DIGITS).collect(),
        None => version.chars().take(CHARACTERS).collect(),
    }
}

/// What is said of one course in JSON.
#[derive(Debug, Serialize)]
struct CourseAnswer<'a> {
    course_key: &'a CourseKey,
    blocks: u32,
    generation: u64,
    source_version: &'a str,
    origin: Option<&'a str>,
    records: usize,
    bytes: u64,
    errors: u32,
    warnings: u32,
    failures: &'a [TransformerFailure],
}

impl<'a> CourseAnswer<'a> {
    fn new(entry: &'a CourseEntry) -> Self {
        Self {
            course_key: entry.course(),
            blocks: entry.blocks(),
            generation: entry.generation().get(),
            source_version: entry.source_version().as_str(),
            origin: entry.origin(),
            records: entry.records().len(),
            bytes: entry.bytes(),
            errors: entry.errors(),
            warnings: entry.warnings(),
            failures: entry.failures(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Unreadable<'a> {
    course_key: &'a CourseKey,
    error: &'a str,
}

#[derive(Debug, Serialize)]
struct Deleted<'a> {
    schema: u32,
    course_key: &'a CourseKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_version_is_shortened_to_what_tells_it_apart() {
        assert_eq!(short("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(short("5f3e"), "5f3e");
        assert_eq!(short("2026-03-01T12:00:00Z"), "2026-03-01T12:00:00Z");
    }
}
