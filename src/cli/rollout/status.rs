//! `rollout status`: how far schema changes are, at a glance, and what is next.

use std::collections::BTreeMap;
use std::iter;

use clap::Args;
use serde::Serialize;

use super::advice::{Advice, blocker_in_words};
use super::fleet::MemberAnswer;
use super::reasons::{BlockerAnswer, FailingAnswer, OpenGateAnswer, ReasonAnswer};
use crate::cli::Context;
use crate::cli::arguments::Target;
use crate::cli::failure::{Answer, Failure};
use crate::cli::ink::{Ink, Line};
use crate::cli::json::SCHEMA;
use crate::cli::output::Output;
use crate::cli::problems::counted;
use crate::cli::queue::{self, QueueAnswer};
use crate::cli::session::now;
use crate::cli::table::{Align, Table};
use crate::cli::text::to_the_second;
use crate::key::CourseKey;
use crate::rollout::{Next, Rollout, Status as State, TransformerStatus};
use crate::store::Floor;
use crate::timestamp::Timestamp;
use crate::version::{MinReader, ReadVersion, WriteVersion};

/// Show how far each transformer's schema change is, and what is next
#[derive(Debug, Args)]
#[command(after_help = "\
As this release sees it. STORED shows how many courses hold which version: a full block is what this \
release writes, a light one an older version, a dot none. DUE counts the courses that hold less than \
this release writes, FAILS those that the transformer cannot collect. It only reads, and is no \
worker.

Exit status: 0 shown, 1 it cannot be read, 2 bad usage, 3 the store failed.")]
pub(super) struct Status {
    /// Only this one
    transformer: Option<String>,
}

impl Status {
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        let store = context.open()?;
        let now = now();
        let mut status = Rollout::new(&store).status(&context.registry, now)?;
        if let Some(name) = &self.transformer {
            if !status.transformers.iter().any(|one| one.name == *name) {
                // Says which ones there are.
                context.registry.versions(name)?;
            }
            status.transformers.retain(|one| one.name == *name);
        }
        if output.is_json() {
            output.json(&StatusAnswer::new(&status, context, now))?;
        } else {
            print(&status, now, context, output)?;
        }
        Ok(Answer::Done)
    }
}

fn print(
    status: &State,
    now: Timestamp,
    context: &Context,
    output: &mut Output,
) -> Result<(), Failure> {
    output.inked(&overview(status, now))?;
    for line in queue::lines(&status.queue) {
        output.inked(&line)?;
    }
    output.line("")?;
    let mut table = table();
    let bars = bar_columns(status, output.columns());
    for one in &status.transformers {
        table.row(cells(one, bars));
    }
    output.table(&table)?;
    for one in &status.transformers {
        let Some(advice) = advice(one) else {
            continue;
        };
        output.line("")?;
        let head = Line::of(Ink::Strong, format!("{}: ", one.name));
        output.paragraph(&head, &situation(one))?;
        for reason in &one.reasons {
            output.paragraph(&"  - ".into(), &reason.to_string())?;
        }
        if let Next::EndWorkers(blockers) = &one.next {
            for blocker in blockers {
                output.paragraph(&"  - ".into(), &blocker_in_words(blocker, now))?;
            }
        }
        advice.print(context, output)?;
    }
    Ok(())
}

fn table() -> Table {
    Table::new([
        ("transformer", Align::Left),
        ("read", Align::Right),
        ("write", Align::Right),
        ("floor", Align::Right),
        ("stored", Align::Left),
        ("due", Align::Right),
        ("fails", Align::Right),
        ("gate", Align::Left),
    ])
}

fn overview(status: &State, now: Timestamp) -> Line {
    let mut line = Line::of(Ink::Strong, counted(status.courses, "course", "courses"));
    let alive = status.fleet.iter().filter(|member| member.is_live(now));
    let alive = alive.count();
    let workers = counted(alive, "live worker", "live workers");
    line.push(Ink::Plain, format!(", {workers}"));
    let expired = status.fleet.len() - alive;
    if expired > 0 {
        line.push(Ink::Caution, format!(", {expired} expired"));
    }
    if status.unreadable.count > 0 {
        let text = format!(
            "; nobody knows what {} hold (`verify --repair`)",
            status.unreadable
        );
        line.push(Ink::Bad, text);
    }
    line
}

fn advice(one: &TransformerStatus) -> Option<Advice> {
    Advice::next(&one.name, &one.next, target(one))
}

/// The gate that the next release waits for.
fn target(one: &TransformerStatus) -> Option<Target> {
    one.versions.map(|versions| Target {
        transformer: one.name.clone(),
        version: versions.write,
    })
}

/// In one sentence.
fn situation(one: &TransformerStatus) -> String {
    let Some(versions) = one.versions else {
        return "it is stored, and this release does not have it".to_owned();
    };
    let (read, write) = (versions.read, versions.write);
    let reads = format!("this release writes {write} and reads {read} at least");
    if let Some(gate) = one.gate.as_ref().filter(|_| one.reasons.is_empty()) {
        let since = to_the_second(gate.opened_at);
        return format!("{reads}; READ may be raised to {write}, since {since}");
    }
    if read.get() == write.get() {
        // It has been raised already, so that every miss is collected when it is read.
        return format!("{reads}; not everything is there yet");
    }
    format!("{reads}; READ may not be raised to {write}")
}

fn cells(one: &TransformerStatus, bars: usize) -> [Line; 8] {
    let number = |number: Option<String>| Line::from(number.unwrap_or_else(|| "-".to_owned()));
    let count = |count: u64, ink| match count {
        0 => Line::from("0"),
        count => Line::of(ink, count.to_string()),
    };
    let floor = one.floor.as_ref();
    [
        Line::of(Ink::Plain, &one.name),
        number(one.versions.map(|versions| versions.read.to_string())),
        number(one.versions.map(|versions| versions.write.to_string())),
        number(floor.map(|floor| floor.version.to_string())),
        histogram(one, bars),
        count(one.outdated, Ink::Caution),
        count(one.tally.failing, Ink::Bad),
        gate(one),
    ]
}

fn gate(one: &TransformerStatus) -> Line {
    let write = one.versions.map(|versions| versions.write);
    match (&one.gate, &one.next) {
        (_, Next::Retired) => Line::of(Ink::Faint, "retired"),
        (Some(gate), _) if Some(gate.target) >= write => {
            Line::of(Ink::Good, format!("open @{}", gate.target))
        }
        (None, Next::Nothing | Next::NotInThisRelease) => "-".into(),
        (None, Next::AskGate) => Line::of(Ink::Caution, "not asked"),
        _ => Line::of(Ink::Caution, "closed"),
    }
}

/// A part of the bar.
struct Part {
    label: String,
    courses: u64,
    block: char,
    ink: Ink,
}

/// What is stored, oldest first: how many courses, and how much of the bar that is.
fn histogram(one: &TransformerStatus, columns: usize) -> Line {
    let parts = parts(one);
    if parts.is_empty() {
        return "-".into();
    }
    let mut line = Line::new();
    if columns > 0 {
        for (part, length) in parts.iter().zip(lengths(&parts, columns)) {
            let bar: String = iter::repeat_n(part.block, length).collect();
            line.push(part.ink, bar);
        }
        line.push(Ink::Plain, " ");
    }
    let labels = parts.iter().map(|part| part.label.as_str());
    line.with(Ink::Plain, labels.collect::<Vec<_>>().join(", "))
}

fn parts(one: &TransformerStatus) -> Vec<Part> {
    let mut parts = Vec::new();
    let absent = one.tally.missing.count + one.tally.failing_without_record;
    // Of a transformer that this release does not have, nothing is missing.
    if absent > 0 && one.versions.is_some() {
        parts.push(Part {
            label: format!("{absent} without"),
            courses: absent,
            block: '·',
            ink: Ink::Bad,
        });
    }
    for (version, found) in &one.tally.stored {
        let write = one.versions.map(|versions| versions.write);
        let (block, ink) = match write {
            Some(write) if *version < write => ('░', Ink::Caution),
            Some(write) if *version > write => ('▓', Ink::Good),
            Some(_) => ('█', Ink::Good),
            None => ('░', Ink::Faint),
        };
        parts.push(Part {
            label: format!("{} v{version}", found.count),
            courses: found.count,
            block,
            ink,
        });
    }
    parts
}

/// How the columns of a bar are divided: every part that is there is seen.
fn lengths(parts: &[Part], columns: usize) -> Vec<usize> {
    let total: u128 = parts.iter().map(|part| u128::from(part.courses)).sum();
    let mut lengths: Vec<usize> = parts
        .iter()
        .map(|part| {
            let share = u128::from(part.courses) * columns as u128 / total.max(1);
            usize::try_from(share).unwrap_or(columns).max(1)
        })
        .collect();
    // What rounding left over goes to the longest, which also gives what the shortest took.
    let used: usize = lengths.iter().sum();
    if let Some(longest) = lengths.iter_mut().max() {
        *longest = (*longest + columns).saturating_sub(used).max(1);
    }
    lengths
}

/// How long bars are, so that the table fits the terminal.
fn bar_columns(status: &State, columns: Option<usize>) -> usize {
    const SHORTEST: usize = 4;
    const LONGEST: usize = 20;

    let Some(columns) = columns else {
        return LONGEST;
    };
    let mut table = table();
    for one in &status.transformers {
        table.row(cells(one, 0));
    }
    let needed = table.inked().map(|line| line.width()).max().unwrap_or(0);
    // With a space before the numbers.
    match columns.saturating_sub(needed + 1).min(LONGEST) {
        // The numbers behind it say as much.
        ..SHORTEST => 0,
        enough => enough,
    }
}

/// All rollouts, in JSON.
#[derive(Debug, Serialize)]
struct StatusAnswer<'a> {
    schema: u32,
    /// How many courses are stored.
    courses: u64,
    /// Courses of which nobody knows what they hold: how many, and the first of them.
    unreadable: u64,
    unreadable_examples: &'a [CourseKey],
    queue: QueueAnswer,
    workers: Vec<MemberAnswer<'a>>,
    transformers: Vec<TransformerAnswer<'a>>,
}

/// How far one is. `read`, `write` and `min_reader` are null where this release does not have it.
#[derive(Debug, Serialize)]
struct TransformerAnswer<'a> {
    transformer: &'a str,
    read: Option<ReadVersion>,
    write: Option<WriteVersion>,
    min_reader: Option<MinReader>,
    /// Null where none was ever raised.
    floor: Option<FloorAnswer<'a>>,
    /// How many courses hold which version.
    stored: BTreeMap<WriteVersion, u64>,
    /// How many hold none, without an error that would tell why.
    missing: u64,
    /// How many it could not collect, and the first of them.
    failing: u64,
    failing_examples: Vec<FailingAnswer>,
    /// How many hold nothing, or less than this release writes.
    outdated: u64,
    /// Null where it is not open.
    gate: Option<OpenGateAnswer<'a>>,
    /// Why READ may not be raised to `write`; empty where it may.
    reasons: Vec<ReasonAnswer>,
    next: NextAnswer,
}

#[derive(Debug, Serialize)]
struct FloorAnswer<'a> {
    version: WriteVersion,
    /// The highest one that is accepted.
    min_reader: MinReader,
    epoch: u64,
    raised_at: Timestamp,
    raised_by: &'a str,
    retired: bool,
}

/// What to do next: a word for programs, a sentence for people, and what to type, if anything.
#[derive(Debug, Serialize)]
struct NextAnswer {
    next: &'static str,
    text: Option<String>,
    command: Option<String>,
    blockers: Vec<BlockerAnswer>,
}

impl<'a> StatusAnswer<'a> {
    fn new(status: &'a State, context: &Context, now: Timestamp) -> Self {
        let transformers = status.transformers.iter();
        Self {
            schema: SCHEMA,
            courses: status.courses,
            unreadable: status.unreadable.count,
            unreadable_examples: &status.unreadable.examples,
            queue: QueueAnswer::new(&status.queue),
            workers: MemberAnswer::all(&status.fleet, now),
            transformers: transformers
                .map(|one| TransformerAnswer::new(one, context))
                .collect(),
        }
    }
}

impl<'a> TransformerAnswer<'a> {
    fn new(one: &'a TransformerStatus, context: &Context) -> Self {
        let stored = one.tally.stored.iter();
        Self {
            transformer: &one.name,
            read: one.versions.map(|versions| versions.read),
            write: one.versions.map(|versions| versions.write),
            min_reader: one.versions.map(|versions| versions.min_reader),
            floor: one.floor.as_ref().map(FloorAnswer::new),
            stored: stored
                .map(|(version, found)| (*version, found.count))
                .collect(),
            missing: one.tally.missing.count,
            failing: one.tally.failing,
            failing_examples: FailingAnswer::all(&one.tally.failing_examples),
            outdated: one.outdated,
            gate: one.gate.as_ref().map(OpenGateAnswer::new),
            reasons: ReasonAnswer::all(&one.reasons),
            next: NextAnswer::new(one, context),
        }
    }
}

impl<'a> FloorAnswer<'a> {
    fn new(floor: &'a Floor) -> Self {
        Self {
            version: floor.version,
            min_reader: floor.min_reader,
            epoch: floor.epoch.get(),
            raised_at: floor.raised_at,
            raised_by: &floor.raised_by,
            retired: floor.is_retired,
        }
    }
}

impl NextAnswer {
    fn new(one: &TransformerStatus, context: &Context) -> Self {
        let advice = advice(one);
        let command = advice.as_ref().and_then(|advice| advice.command.as_ref());
        Self {
            next: word(&one.next),
            command: command.map(|command| context.command(command)),
            text: advice.map(|advice| advice.text),
            blockers: match &one.next {
                Next::EndWorkers(blockers) => BlockerAnswer::all(blockers),
                _ => Vec::new(),
            },
        }
    }
}

fn word(next: &Next) -> &'static str {
    match next {
        Next::Nothing => "nothing",
        Next::Retired => "retired",
        Next::NotInThisRelease => "not_in_this_release",
        Next::OlderRelease => "older_release",
        Next::EndWorkers(_) => "end_workers",
        Next::Start => "start",
        Next::Resume => "resume",
        Next::Work { .. } => "work",
        Next::LookAtFailures => "look_at_failures",
        Next::AskGate => "ask_gate",
        Next::RaiseRead { .. } => "raise_read",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(courses: &[u64], columns: usize, expected: &[usize]) {
        let parts = courses.iter().map(|courses| Part {
            label: String::new(),
            courses: *courses,
            block: '█',
            ink: Ink::Plain,
        });
        let lengths = lengths(&parts.collect::<Vec<_>>(), columns);
        assert_eq!(lengths, expected);
    }

    #[test]
    fn a_bar_shows_every_part_and_is_as_long_as_all_others() {
        check(&[], 20, &[]);
        check(&[5], 20, &[20]);
        check(&[1, 1], 20, &[10, 10]);
        check(&[1, 2], 20, &[6, 14]);
        check(&[1, 1_000_000], 20, &[1, 19]);
        check(&[1_000_000, 1, 1], 20, &[18, 1, 1]);
        check(&[u64::MAX, u64::MAX], 4, &[2, 2]);
        check(&[1, 1, 1], 2, &[1, 1, 1]);
    }
}
