//! `restore`: a store from a backup, whole or not at all.

use clap::{Args, ValueHint};
use serde::Serialize;

use super::Context;
use super::backup::in_words;
use super::failure::{Answer, Failure};
use super::interrupt::Interrupt;
use super::json::SCHEMA;
use super::output::Output;
use super::session::now;
use super::text::to_the_second;
use super::transfer::{Counted, Passed, Place, Source, Trouble};
use crate::backup::{self, Summary};
use crate::engine::SledEngine;
use crate::error::{Error, ErrorKind};
use crate::rollout::Queue;
use crate::store::Store;
use crate::timestamp::Timestamp;

/// Make a store from a backup
#[derive(Debug, Args)]
#[command(after_help = "\
The directory of the store must be new or empty. A file is checked to its end before anything is \
written; what comes through a pipe is checked on the way. The store is there when all of it is on \
the disk. Where that was broken off, it cannot be opened: restore it again.

Floors, tasks and the history are those of the backup. Gates are closed until they are judged here.

Examples:
  courseblocks restore --check monday.backup
  courseblocks --store new restore monday.backup
  zstd -dc monday.backup.zst | courseblocks --store new restore -

Exit status: 0 restored, or with --check intact; 1 the backup is damaged, or of a newer release; 2 \
bad usage; 3 the store failed, or there is one.")]
pub(super) struct Restore {
    /// The backup, or - for stdin
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Place,
    /// Check every byte of the backup, and write nothing
    #[arg(long)]
    check: bool,
}

impl Restore {
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        if !self.check {
            let vacant = SledEngine::require_vacant(&context.store);
            vacant.map_err(|error| Failure::opening(&error))?;
        }
        let mut run = Run {
            file: &self.file,
            interrupt: Interrupt::listen()?,
            source: Source::open(&self.file, output)?,
        };
        if self.check || run.source.len().is_some() {
            let Some(summary) = run.check(output)? else {
                return Ok(Answer::Interrupted);
            };
            if self.check {
                tell(&summary, "intact:", None, context, output)?;
                return Ok(Answer::Done);
            }
            let rewound = run.source.rewind();
            rewound.map_err(|error| {
                Failure::no(format!("{} cannot be read again: {error}", self.file))
            })?;
        }
        let Some((summary, queue)) = run.restore(context, output)? else {
            return Ok(Answer::Interrupted);
        };
        tell(&summary, "restored", Some(queue), context, output)?;
        Ok(Answer::Done)
    }
}

struct Run<'a> {
    file: &'a Place,
    interrupt: Interrupt,
    source: Source,
}

/// What holds workers back in a store that was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pausing {
    Paused,
    Running,
}

impl Run<'_> {
    /// `None` when somebody asked it to end.
    fn check(&mut self, output: &mut Output) -> Result<Option<Summary>, Failure> {
        let passed = Passed::default();
        output.begin_bytes(self.source.len());
        let from = Counted::new(&mut self.source, &passed, &self.interrupt);
        let checked = backup::check(from, |course| {
            output.reach(passed.bytes());
            output.at(course.as_str());
        });
        output.end_progress();
        match checked {
            Ok(summary) => Ok(Some(summary)),
            Err(_) if passed.trouble() == Some(Trouble::Interrupted) => Ok(None),
            Err(error) => Err(Failure::of_backup(self.file, &error)),
        }
    }

    fn restore(
        &mut self,
        context: &Context,
        output: &mut Output,
    ) -> Result<Option<(Summary, Pausing)>, Failure> {
        let passed = Passed::default();
        output.begin_bytes(self.source.len());
        let from = Counted::new(&mut self.source, &passed, &self.interrupt);
        let restored = Store::create(&context.store, |store| {
            let by = &context.identity.worker;
            let summary = backup::restore(from, store, by, now(), |course| {
                output.reach(passed.bytes());
                output.at(course.as_str());
            })?;
            let limits = Queue::new(store).limits()?;
            let queue = match limits.paused {
                Some(_) => Pausing::Paused,
                None => Pausing::Running,
            };
            Ok((summary, queue))
        });
        output.end_progress();
        match restored {
            Ok(restored) => Ok(Some(restored)),
            Err(_) if passed.trouble() == Some(Trouble::Interrupted) => {
                output.notice("interrupted: nothing was restored");
                Ok(None)
            }
            Err(error) if is_of_backup(&error, &passed) => {
                Err(Failure::of_backup(self.file, &error))
            }
            Err(error) => Err(Failure::opening(&error)),
        }
    }
}

/// A store that is being made holds nothing that could be damaged or newer.
fn is_of_backup(error: &Error, passed: &Passed) -> bool {
    let is_content = matches!(error.kind(), ErrorKind::Damaged | ErrorKind::TooNew);
    is_content || passed.trouble() == Some(Trouble::Failed)
}

fn tell(
    summary: &Summary,
    done: &str,
    queue: Option<Pausing>,
    context: &Context,
    output: &mut Output,
) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(&RestoreAnswer {
            schema: SCHEMA,
            made_at: summary.made_at,
            courses: summary.courses,
            records: summary.records,
            control_rows: summary.control_rows,
            bytes: summary.bytes,
            left_out: summary.left_out,
            paused: queue.map(|queue| queue == Pausing::Paused),
        });
    }
    let made_at = to_the_second(summary.made_at);
    output.line(&format!("{}; of {made_at}", in_words(done, summary)))?;
    let Some(queue) = queue else {
        return Ok(());
    };
    let status = context.command("rollout status");
    output.line(&format!(
        "all gates are closed: `{status}` says what opens them"
    ))?;
    if queue == Pausing::Paused {
        let resume = context.command("resume");
        output.line(&format!("the queue is paused, as it was: `{resume}`"))?;
    }
    Ok(())
}

/// What was done, in JSON.
#[derive(Debug, Serialize)]
struct RestoreAnswer {
    schema: u32,
    made_at: Timestamp,
    courses: u64,
    records: u64,
    control_rows: u64,
    bytes: u64,
    /// What was left out when the backup was taken.
    left_out: u64,
    /// Whether workers take no tasks; absent where nothing was restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<bool>,
}
