//! `backup`: all of a store in one file, while it is in use.

use clap::{Args, ValueHint};
use serde::Serialize;

use super::Context;
use super::failure::{Answer, Failure};
use super::interrupt::Interrupt;
use super::json::SCHEMA;
use super::output::Output;
use super::problems::counted;
use super::session::now;
use super::transfer::{Counted, Passed, Place, Replace, Target, Trouble};
use crate::backup::{self, Step, Summary, WhenDamaged};
use crate::error::{Error, ErrorKind};
use crate::timestamp::Timestamp;

/// Write all of the store into one file, while it is in use
#[derive(Debug, Args)]
#[command(after_help = "\
Every course is as it was published at one moment, floors and tasks as they are after the last \
course. Every byte is checked on the way. The fleet and open gates are not in it. The file is there \
when it is whole and on the disk; only its owner can read it. With - it goes to stdout, and what is \
said of it to stderr.

Examples:
  courseblocks backup monday.backup
  courseblocks backup - | zstd > monday.backup.zst
  courseblocks backup - | courseblocks --store copy restore -

Exit status: 0 all of the store is in it, 1 there is no backup, or something was left out, 2 bad \
usage, 3 the store failed.")]
pub(super) struct Backup {
    /// The file, or - for stdout
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Place,
    /// Leave out courses that are damaged, and name them
    #[arg(long)]
    skip_damaged: bool,
    /// Replace the file if there is one
    #[arg(long)]
    force: bool,
}

impl Backup {
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        let replace = if self.force {
            Replace::Always
        } else {
            Replace::Never
        };
        let store = context.open()?;
        let interrupt = Interrupt::listen()?;
        let mut target = Target::begin(&self.file, replace, output)?;
        let passed = Passed::default();
        let when_damaged = if self.skip_damaged {
            WhenDamaged::LeaveOut
        } else {
            WhenDamaged::Refuse
        };
        let mut left_out = Vec::new();
        let made_at = now();
        let to = Counted::new(&mut target, &passed, &interrupt);
        let mut is_first = true;
        let taken = backup::take(&store, to, made_at, when_damaged, |step| match step {
            Step::Courses(courses) => output.begin_progress(courses),
            Step::Course(course) => {
                if !std::mem::take(&mut is_first) {
                    output.advance();
                }
                output.at(course.as_str());
            }
            Step::LeftOut(error) => {
                output.notice(&format!("left out: {}", error.chain()));
                left_out.push(error.chain());
            }
        });
        let summary = match taken {
            Ok(summary) => summary,
            Err(_) if passed.trouble() == Some(Trouble::Interrupted) => {
                output.end_progress();
                output.notice("interrupted: there is no backup");
                return Ok(Answer::Interrupted);
            }
            Err(error) => return Err(self.failure(context, &passed, error)),
        };
        target.finish()?;
        output.end_progress();
        self.tell(&summary, &left_out, output)?;
        Ok(Answer::after(left_out.len()))
    }

    fn failure(&self, context: &Context, passed: &Passed, error: Error) -> Failure {
        if passed.trouble() == Some(Trouble::Failed) {
            return Failure::of_backup(&self.file, &error);
        }
        if error.kind() == ErrorKind::Damaged {
            let repair = context.command("verify --repair");
            let text = error.chain();
            return Failure::no(format!(
                "{text}; there is no backup: `{repair}` collects again what is damaged, and \
                 --skip-damaged leaves it out"
            ));
        }
        Failure::from(error)
    }

    fn tell(
        &self,
        summary: &Summary,
        left_out: &[String],
        output: &mut Output,
    ) -> Result<(), Failure> {
        let answer = BackupAnswer {
            schema: SCHEMA,
            made_at: summary.made_at,
            courses: summary.courses,
            records: summary.records,
            control_rows: summary.control_rows,
            bytes: summary.bytes,
            left_out,
        };
        let is_pipe = self.file == Place::Pipe;
        match (output.is_json(), is_pipe) {
            (true, true) => output.json_aside(&answer),
            (true, false) => output.json(&answer),
            (false, true) => {
                output.notice(&in_words("backed up", summary));
                Ok(())
            }
            (false, false) => output.line(&in_words("backed up", summary)),
        }
    }
}

/// What is in a backup, in words.
pub(super) fn in_words(done: &str, summary: &Summary) -> String {
    let courses = counted(summary.courses, "course", "courses");
    let records = counted(summary.records, "record", "records");
    let rows = counted(summary.control_rows, "row", "rows");
    let bytes = summary.bytes;
    let left_out = match summary.left_out {
        0 => String::new(),
        left_out => format!("; {left_out} damaged, and left out"),
    };
    format!("{done} {courses}: {records}, {rows} of control data, {bytes} bytes{left_out}")
}

/// What was done, in JSON.
#[derive(Debug, Serialize)]
struct BackupAnswer<'a> {
    schema: u32,
    made_at: Timestamp,
    courses: u64,
    records: u64,
    control_rows: u64,
    bytes: u64,
    left_out: &'a [String],
}
