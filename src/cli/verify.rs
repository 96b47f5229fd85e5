//! `verify`: every byte that is stored is checked, and what is damaged can be collected or made again.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::Context;
use super::failure::{Answer, Failure, explain};
use super::output::Output;
use super::problems::counted;
use super::session::{Session, now};
use super::sources::{Sources, not_stored};
use crate::error::{Error, ErrorKind};
use crate::key::CourseKey;
use crate::manager::Manager;
use crate::record::RecordError;
use crate::rollout::{ControlCheck, ControlDamage, ControlPart, Rollout};
use crate::store::{CourseCheck, RecordCheck, Store};

/// Check every byte of the store, and repair what is damaged
#[derive(Debug, Args)]
#[command(after_help = "\
Names each damaged record, and what is damaged of the control data: floors, gates, workers, queue, \
history. What a newer release wrote in a format of its own cannot be checked; it is not damage.

With --repair exactly the damaged records are collected again, from where the course was imported, \
and checked once more. Of the control data, the course of a damaged task is put on the queue again, \
gates are closed, the counter of generations goes on far above what was used, an entry of the \
history is dropped, and the queue is paused where nothing tells whether it was.

Damaged floors stop all writing. With --repair --floors they are set anew, for each transformer to \
the highest of this release's WRITE version, what is stored, and what the history tells. Do it with \
the newest release that ever ran: an older one may set a floor lower than it was. Older releases \
cannot write afterwards.

What the engine cannot read cannot be written over either. `verify` names the courses: save \
everything else with `backup FILE --skip-damaged`, make a new store of it in another directory with \
`restore FILE`, and `import` those courses there.

Exit status: 0 everything is intact, 1 there is damage (left), 2 bad usage, 3 the store failed.")]
pub(super) struct Verify {
    /// Courses; all of them without it
    #[arg(value_name = "COURSE")]
    courses: Vec<CourseKey>,
    /// Collect damaged records again, and make again what can be of the control data
    #[arg(long)]
    repair: bool,
    /// Set floors anew that are damaged. Do it with the newest release only
    #[arg(long, requires = "repair", conflicts_with = "courses")]
    floors: bool,
}

impl Verify {
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        let store = &context.open()?;
        if output.is_json() {
            output.begin_list("courses")?;
        }
        let mut totals = Totals::default();
        let rollout = Rollout::new(store);
        let control = self.courses.is_empty().then(|| rollout.check_control());
        let control = control.transpose()?;
        let can_join = match control.as_ref().filter(|_| self.repair) {
            Some(control) => self.restore_floors(store, control, context, output)?,
            None => self.repair,
        };
        let session = can_join.then(|| join(store, context, output)).flatten();
        let control = match (&control, &session) {
            (Some(before), Some(session)) => {
                Some(repair_control(rollout, session, before, output)?)
            }
            (Some(_), None) => Some(ControlFindings::of(rollout.check_control()?)),
            (None, _) => None,
        };
        if let Some(control) = &control {
            control.tell(&mut totals, output)?;
        }
        let courses = self.courses(store, &mut totals, output)?;
        output.begin_progress(courses.len());
        for course in &courses {
            output.at(course.as_str());
            let mut found = Findings::look(store, course)?;
            if found.is_nothing {
                tell_uncheckable(&explain(&not_stored(course)), &mut totals, output)?;
                continue;
            }
            if let Some(session) = session.as_ref().filter(|_| !found.damages.is_empty()) {
                found = repair(session, course, found, output)?;
            }
            totals.add(course, &found);
            tell(course, &found, context, output)?;
            output.advance();
        }
        totals.tell_way_out(output);
        if output.is_json() {
            let control = control.as_ref().map(ControlAnswer::of);
            let unwritable = totals.unwritable.iter().collect();
            output.end_list(&Summary {
                control,
                unwritable,
            })?;
        } else {
            output.line(&self.sum_up(&totals))?;
        }
        Ok(Answer::after(totals.damaged))
    }

    /// Sets the floors anew if they are damaged and that was asked for. False where nobody can join
    /// because it was not.
    fn restore_floors(
        &self,
        store: &Store,
        control: &ControlCheck,
        context: &Context,
        output: &mut Output,
    ) -> Result<bool, Failure> {
        let mut damages = control.damages.iter();
        if !damages.any(|damage| damage.part == ControlPart::Floors) {
            return Ok(true);
        }
        if !self.floors {
            output.notice(
                "error: the floors are damaged, and nothing can be written without them; \
                 `verify --repair --floors`, by the newest release that ever ran, sets them anew",
            );
            return Ok(false);
        }
        let worker = &context.identity.worker;
        let rollout = Rollout::new(store);
        let restored = rollout.restore_floors(&context.registry, worker, now(), |_| {})?;
        let Some(restored) = restored else {
            return Ok(true);
        };
        output.notice("warning: the floors were lost and are set anew; all gates are closed");
        for (name, floor) in restored.floors.iter() {
            let is = if floor.is_retired { "retired at" } else { "is" };
            output.notice(&format!(
                "warning: the floor of {name} {is} {}: who writes less is refused",
                floor.version
            ));
        }
        let courses = counted(
            usize::try_from(restored.enqueued).unwrap_or(usize::MAX),
            "course was",
            "courses were",
        );
        output.notice(&format!(
            "warning: if a newer release than this one ever raised a floor, run it again with that \
             release; {courses} put on the queue"
        ));
        Ok(true)
    }

    /// The courses that were named, or all of which there is any trace.
    fn courses(
        &self,
        store: &Store,
        totals: &mut Totals,
        output: &mut Output,
    ) -> Result<Vec<CourseKey>, Failure> {
        if !self.courses.is_empty() {
            return Ok(self.courses.clone());
        }
        let traces = store.traces()?;
        totals.is_hidden |= !traces.hidden.is_empty();
        for error in traces.nameless.iter().chain(&traces.hidden) {
            tell_uncheckable(&error.chain(), totals, output)?;
        }
        Ok(traces.courses)
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
            (_, 0) => format!("{damaged} damaged; `verify --repair` makes them again"),
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
    /// Courses of which something cannot be read, nor be written over.
    unwritable: BTreeSet<CourseKey>,
    /// Something cannot be read that may be of courses that nobody knows.
    is_hidden: bool,
}

/// Courses that are named in a sentence.
const MAX_NAMED: usize = 20;

impl Totals {
    fn add(&mut self, course: &CourseKey, found: &Findings) {
        if found.is_unwritable {
            self.unwritable.insert(course.clone());
        }
        self.courses += 1;
        self.records += found.records;
        self.bytes += found.bytes;
        self.uncompressed_bytes += found.uncompressed_bytes;
        self.damaged += found.damages.len();
        self.repaired += found.repaired.len();
        self.too_new += found.too_new;
    }

    fn tell_way_out(&self, output: &Output) {
        if self.unwritable.is_empty() && !self.is_hidden {
            return;
        }
        let named = self.unwritable.iter().take(MAX_NAMED);
        let mut courses: Vec<_> = named.map(CourseKey::as_str).collect();
        match self.unwritable.len().saturating_sub(MAX_NAMED) {
            0 => {}
            _ => courses.push("and others, which are named above"),
        }
        if self.is_hidden {
            courses.push("and whatever else the course team knows of and `courses` does not name");
        }
        output.notice(&format!(
            "error: what the engine cannot read cannot be written over either; save everything else \
             with `backup FILE --skip-damaged`, make a new store of it in another directory with \
             `restore FILE`, and `import` there what was left out: {}",
            courses.join(", ")
        ));
    }
}

/// What was found of the control data.
struct ControlFindings {
    check: ControlCheck,
    repaired: Vec<ControlDamage>,
}

impl ControlFindings {
    fn of(check: ControlCheck) -> Self {
        Self {
            check,
            repaired: Vec::new(),
        }
    }

    fn tell(&self, totals: &mut Totals, output: &mut Output) -> Result<(), Failure> {
        totals.damaged += self.check.damages.len();
        totals.repaired += self.repaired.len();
        totals.too_new += usize::try_from(self.check.too_new).unwrap_or(usize::MAX);
        totals.is_hidden |= self.check.damages.iter().any(is_unreadable);
        if output.is_json() {
            return Ok(());
        }
        for damage in &self.repaired {
            output.line(&format!("repaired  {damage} ({})", damage.cause))?;
        }
        for damage in &self.check.damages {
            output.line(&format!("damaged   {damage}: {}", damage.cause))?;
        }
        Ok(())
    }
}

fn is_unreadable(damage: &ControlDamage) -> bool {
    damage.part == ControlPart::Unreadable
}

/// Whoever repairs writes, and so has to join.
fn join(store: &Arc<Store>, context: &Context, output: &Output) -> Option<Session> {
    let sources = Arc::new(Sources::new(Arc::clone(store)));
    let manager = Manager::new(Arc::clone(store), Arc::clone(&context.registry), sources);
    match context.join(manager) {
        Ok(session) => Some(session),
        Err(failure) => {
            output.notice(&format!("error: nothing can be repaired: {failure}"));
            None
        }
    }
}

/// Makes again what can be, and looks again.
fn repair_control(
    rollout: Rollout<'_>,
    session: &Session,
    before: &ControlCheck,
    output: &Output,
) -> Result<ControlFindings, Failure> {
    let outcome = session
        .lease()
        .and_then(|lease| rollout.repair_control(&lease, before, now()));
    if let Err(error) = outcome {
        let failure = Failure::from(error);
        if failure.is_fatal() {
            return Err(failure);
        }
        output.notice(&format!("error: not all can be repaired: {failure}"));
    }
    let check = rollout.check_control()?;
    let told = |damage: &ControlDamage| (damage.part, damage.course.clone(), damage.cause.clone());
    let left: BTreeSet<_> = check.damages.iter().map(told).collect();
    let repaired = before
        .damages
        .iter()
        .filter(|damage| !left.contains(&told(damage)));
    Ok(ControlFindings {
        repaired: repaired.cloned().collect(),
        check,
    })
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
    /// The engine cannot read something of it.
    is_unwritable: bool,
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
    fn look(store: &Store, course: &CourseKey) -> Result<Self, Failure> {
        let check = store.check(course)?;
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
            is_unwritable: !check.unreadable.is_empty(),
            is_nothing: check.entry.is_none()
                && check.records.is_empty()
                && check.unreadable.is_empty(),
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
    let unreadable = check.unreadable.iter().map(|unreadable| Damaged {
        record: Some(unreadable.record.clone().unwrap_or_else(|| "…".to_owned())),
        cause: unreadable.error.chain(),
    });
    row.into_iter().chain(records).chain(unreadable).collect()
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
    let mut after = Findings::look(manager.store(), course)?;
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

/// What is said after the courses.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    /// Null where courses were named.
    control: Option<ControlAnswer>,
    /// Courses of which the engine cannot read something.
    unwritable: Vec<&'a CourseKey>,
}

/// What is said of the control data: `damages` is what is left.
#[derive(Debug, Serialize)]
struct ControlAnswer {
    rows: u64,
    bytes: u64,
    too_new: u64,
    damages: Vec<ControlDamageAnswer>,
    repaired: Vec<ControlDamageAnswer>,
}

#[derive(Debug, Serialize)]
struct ControlDamageAnswer {
    part: &'static str,
    course_key: Option<CourseKey>,
    cause: String,
}

impl ControlAnswer {
    fn of(found: &ControlFindings) -> Self {
        let answers = |damages: &[ControlDamage]| {
            let damages = damages.iter().cloned();
            let answer = |damage: ControlDamage| ControlDamageAnswer {
                part: part_name(damage.part),
                course_key: damage.course,
                cause: damage.cause,
            };
            damages.map(answer).collect()
        };
        Self {
            rows: found.check.rows,
            bytes: found.check.bytes,
            too_new: found.check.too_new,
            damages: answers(&found.check.damages),
            repaired: answers(&found.repaired),
        }
    }
}

/// A word for programs.
fn part_name(part: ControlPart) -> &'static str {
    match part {
        ControlPart::Counter => "counter",
        ControlPart::Floors => "floors",
        ControlPart::Workers => "workers",
        ControlPart::Gates => "gates",
        ControlPart::History => "history",
        ControlPart::Task => "task",
        ControlPart::Pointer => "pointer",
        ControlPart::QueueSettings => "queue_settings",
        ControlPart::QueueMeter => "queue_meter",
        ControlPart::Unreadable => "unreadable",
    }
}
