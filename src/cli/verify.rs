//! `verify`: every byte that is stored is checked, and what is damaged can be collected again.

use clap::Args;
use serde::Serialize;

use super::Context;
use super::failure::{Answer, Failure, explain};
use super::output::Output;
use super::problems::counted;
use super::sources::not_stored;
use crate::error::{Error, ErrorKind};
use crate::key::CourseKey;
use crate::manager::Manager;
use crate::record::RecordError;
use crate::store::{CourseCheck, RecordCheck};

/// Check every byte of the store, and collect damaged records again
#[derive(Debug, Args)]
#[command(after_help = "\
Names each damaged record. With --repair exactly those are collected again, from where the course \
was imported, and checked once more. What a newer release wrote in a format of its own cannot be \
checked; it is not damage.

Exit status: 0 everything is intact, 1 there is damage (left), 2 bad usage, 3 the store failed.")]
pub(super) struct Verify {
    /// Courses; all of them without it
    #[arg(value_name = "COURSE")]
    courses: Vec<CourseKey>,
    /// Collect damaged records again
    #[arg(long)]
    repair: bool,
}

impl Verify {
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        let manager = &if self.repair {
            context.manager()?
        } else {
            context.reader(output)?
        };
        if output.is_json() {
            output.begin_list("courses")?;
        }
        let mut totals = Totals::default();
        let courses = self.courses(manager, &mut totals, output)?;
        output.begin_progress(courses.len());
        for course in &courses {
            output.at(course.as_str());
            let mut found = Findings::look(manager, course)?;
            if found.is_nothing {
                tell_uncheckable(&explain(&not_stored(course)), &mut totals, output)?;
                continue;
            }
            if self.repair && !found.damages.is_empty() {
                found = repair(manager, course, found, output)?;
            }
            totals.add(&found);
            tell(course, &found, context, output)?;
            output.advance();
        }
        if !output.is_json() {
            output.line(&self.sum_up(&totals))?;
        }
        Ok(Answer::after(totals.damaged))
    }

    /// The courses that were named, or all of which there is any trace.
    fn courses(
        &self,
        manager: &Manager,
        totals: &mut Totals,
        output: &mut Output,
    ) -> Result<Vec<CourseKey>, Failure> {
        if !self.courses.is_empty() {
            return Ok(self.courses.clone());
        }
        let mut courses = Vec::new();
        for trace in manager.store().traces()? {
            match trace {
                Ok(course) => courses.push(course),
                Err(error) => tell_uncheckable(&error.chain(), totals, output)?,
            }
        }
        Ok(courses)
    }

    fn sum_up(&self, totals: &Totals) -> String {
        let Totals {
            bytes,
            uncompressed_bytes,
            damaged,
            repaired,
            ..
        } = totals;
        let courses = counted(totals.courses, "course", "courses");
        let records = counted(totals.records, "record", "records");
        let outcome = match (damaged, repaired) {
            (0, 0) => "no damage".to_owned(),
            (0, _) => format!("{repaired} repaired, no damage is left"),
            (_, 0) if self.repair => format!("{damaged} damaged, none could be repaired"),
            (_, 0) => format!("{damaged} damaged; `verify --repair` collects them again"),
            _ => format!("{repaired} repaired, {damaged} are left damaged"),
        };
        let unchecked = match totals.too_new {
            0 => String::new(),
            too_new => format!("; {too_new} of a newer release not checked"),
        };
        format!(
            "checked {courses}: {records}, {bytes} bytes ({uncompressed_bytes} uncompressed): \
             {outcome}{unchecked}"
        )
    }
}

/// What was checked so far.
#[derive(Debug, Default)]
struct Totals {
    courses: usize,
    records: usize,
    bytes: u64,
    uncompressed_bytes: u64,
    damaged: usize,
    repaired: usize,
    too_new: usize,
}

impl Totals {
    fn add(&mut self, found: &Findings) {
        self.courses += 1;
        self.records += found.records;
        self.bytes += found.bytes;
        self.uncompressed_bytes += found.uncompressed_bytes;
        self.damaged += found.damages.len();
        self.repaired += found.repaired.len();
        self.too_new += found.too_new;
    }
}

/// What a check found of one course.
struct Findings {
    records: usize,
    bytes: u64,
    uncompressed_bytes: u64,
    /// What is damaged now.
    damages: Vec<Damaged>,
    /// What was damaged and is no more.
    repaired: Vec<Damaged>,
    /// Records that only a newer release can check.
    too_new: usize,
    /// There is no trace of the course.
    is_nothing: bool,
}

/// One damaged record. Without a name it is the course's row in the header index.
#[derive(Debug, Serialize)]
struct Damaged {
    record: Option<String>,
    cause: String,
}

impl Findings {
    fn look(manager: &Manager, course: &CourseKey) -> Result<Self, Failure> {
        let check = manager.store().check(course)?;
        let is_too_new =
            |outcome: Option<&RecordError>| matches!(outcome, Some(RecordError::TooNew { .. }));
        let too_new = check
            .records
            .iter()
            .map(|record| record.outcome.as_ref().err());
        let sum = |bytes: fn(&RecordCheck) -> u64| check.records.iter().map(bytes).sum();
        Ok(Self {
            records: check.records.len(),
            bytes: sum(|record| record.bytes),
            uncompressed_bytes: sum(|record| record.uncompressed_bytes),
            damages: damages(course, &check),
            repaired: Vec::new(),
            too_new: too_new.filter(|outcome| is_too_new(*outcome)).count()
                + usize::from(is_row_too_new(&check)),
            is_nothing: check.entry.is_none() && check.records.is_empty(),
        })
    }
}

fn is_row_too_new(check: &CourseCheck) -> bool {
    let is_too_new = |error: &Error| error.kind() == ErrorKind::TooNew;
    matches!(&check.entry, Some(Err(error)) if is_too_new(error))
}

/// All that is damaged. Without its row nothing tells which records belong to the course, so then
/// only those count whose own bytes are damaged.
fn damages(course: &CourseKey, check: &CourseCheck) -> Vec<Damaged> {
    let row = match &check.entry {
        Some(Ok(_)) => None,
        Some(Err(_)) if is_row_too_new(check) => None,
        Some(Err(error)) => Some(error.chain()),
        None if check.records.is_empty() => None,
        None => Some("there are records, but no row in the header index".to_owned()),
    };
    let row = row.map(|cause| Damaged {
        record: None,
        cause,
    });
    let has_row = matches!(check.entry, Some(Ok(_)));
    let is_broken = |name: &str| {
        check
            .records
            .iter()
            .any(|record| record.name == name && record.outcome.is_err())
    };
    let records = check.damages(course).into_iter();
    let records = records.filter(|damage| has_row || is_broken(&damage.record));
    let records = records.map(|damage| Damaged {
        cause: damage.cause.to_string(),
        record: Some(damage.record),
    });
    row.into_iter().chain(records).collect()
}

impl Damaged {
    fn name(&self) -> String {
        match &self.record {
            Some(record) => format!("the record {record:?}"),
            None => "the row in the header index".to_owned(),
        }
    }
}

/// Collects again what is damaged, and looks again.
fn repair(
    manager: &Manager,
    course: &CourseKey,
    before: Findings,
    output: &Output,
) -> Result<Findings, Failure> {
    let names = before
        .damages
        .iter()
        .filter_map(|damage| damage.record.clone());
    let names: Vec<_> = names.collect();
    if let Err(error) = manager.repair(course, &names) {
        let failure = Failure::from(error);
        if failure.is_fatal() {
            return Err(failure);
        }
        output.notice(&format!("error: {course} cannot be repaired: {failure}"));
    }
    let mut after = Findings::look(manager, course)?;
    let is_left = |damage: &Damaged| {
        after
            .damages
            .iter()
            .any(|left| left.record == damage.record)
    };
    after.repaired = before
        .damages
        .into_iter()
        .filter(|damage| !is_left(damage))
        .collect();
    Ok(after)
}

/// Tells what was found of one course: for people only what is worth a line.
fn tell(
    course: &CourseKey,
    found: &Findings,
    context: &Context,
    output: &mut Output,
) -> Result<(), Failure> {
    let Findings {
        records,
        bytes,
        uncompressed_bytes,
        damages,
        repaired,
        too_new,
        ..
    } = found;
    if output.is_json() {
        return output.item(&VerifyAnswer {
            course_key: course,
            records: *records,
            bytes: *bytes,
            uncompressed_bytes: *uncompressed_bytes,
            too_new: *too_new,
            damages,
            repaired,
        });
    }
    for damage in repaired {
        output.line(&format!(
            "repaired  {course}: {} ({})",
            damage.name(),
            damage.cause
        ))?;
    }
    for damage in damages {
        output.line(&format!(
            "damaged   {course}: {}: {}",
            damage.name(),
            damage.cause
        ))?;
    }
    if context.verbose && damages.is_empty() && repaired.is_empty() {
        let records = counted(*records, "record", "records");
        output.line(&format!("intact    {course}: {records}, {bytes} bytes"))?;
    }
    Ok(())
}

/// Tells of something of which nothing can be checked.
fn tell_uncheckable(error: &str, totals: &mut Totals, output: &mut Output) -> Result<(), Failure> {
    totals.damaged += 1;
    output.notice(&format!("error: {error}"));
    if output.is_json() {
        output.item(&Uncheckable { error })?;
    }
    Ok(())
}

/// What is said of one course in JSON: `damages` is what is left.
#[derive(Debug, Serialize)]
struct VerifyAnswer<'a> {
    course_key: &'a CourseKey,
    records: usize,
    bytes: u64,
    /// What `bytes` would be without compression, as far as it can be told.
    uncompressed_bytes: u64,
    too_new: usize,
    damages: &'a [Damaged],
    repaired: &'a [Damaged],
}

#[derive(Debug, Serialize)]
struct Uncheckable<'a> {
    error: &'a str,
}
