//! `rollout start`: from now on nothing older is accepted.

use clap::Args;
use serde::Serialize;

use super::advice::{Advice, blocker_in_words, ending};
use super::reasons::BlockerAnswer;
use crate::cli::Context;
use crate::cli::failure::{Answer, Failure};
use crate::cli::ink::{Ink, Line};
use crate::cli::json::SCHEMA;
use crate::cli::output::Output;
use crate::cli::problems::counted;
use crate::cli::session::now;
use crate::cli::text::to_the_second;
use crate::rollout::{Blocker, Rollout, Start as Started};
use crate::store::Member;
use crate::version::WriteVersion;

/// Raise the floor of a transformer to what this release writes, and enqueue what is below
#[derive(Debug, Args)]
#[command(after_help = "\
Run it with the new release, when the last worker of the old one has ended; while one is alive it \
is refused, and the worker named. Afterwards nothing older is accepted from anyone, however late. \
It can be broken off and run again at any time, and does then what is left.

Examples:
  courseblocks rollout start start_date && courseblocks worker --until-empty

Exit status: 0 the floor holds and what is below is on the queue, 1 refused, 2 bad usage, 3 the \
store failed.")]
pub(super) struct Start {
    /// The transformer
    transformer: String,
}

impl Start {
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        let name = self.transformer.as_str();
        let versions = context.registry.versions(name)?;
        let session = context.manager()?;
        context.tell_floors(&session, output);
        let store = session.store();
        // It passes over all courses twice: to seal them, and to enqueue those that are below.
        let courses = store.courses().count();
        let mut seen = 0;
        output.begin_progress(courses);
        let started = Rollout::new(store).start(&session.lease()?, name, now(), |course| {
            if seen == courses {
                output.begin_progress(courses);
            }
            seen += 1;
            output.at(course.as_str());
            output.advance();
        })?;
        output.end_progress();
        match started {
            Started::Started {
                from,
                floor,
                expired,
                enqueued,
                up_to_date,
            } => {
                let done = Done {
                    from,
                    floor,
                    expired: &expired,
                    enqueued,
                    up_to_date,
                };
                self.tell_started(&done, context, output)?;
                Ok(Answer::Done)
            }
            Started::Refused(blockers) => {
                self.tell_refused(versions.write, &blockers, context, output)?;
                Ok(Answer::Incomplete)
            }
        }
    }

    fn tell_started(
        &self,
        done: &Done<'_>,
        context: &Context,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let name = &self.transformer;
        let Done {
            from,
            floor,
            expired,
            enqueued,
            up_to_date,
        } = done;
        let next = if *enqueued > 0 {
            Advice::run("collect what is on the queue", "worker --until-empty")
        } else {
            Advice::run(
                "ask whether READ may be raised",
                format!("rollout gate {name}@{floor}"),
            )
        };
        if output.is_json() {
            return output.json(&StartAnswer {
                schema: SCHEMA,
                transformer: name,
                outcome: Outcome::Started,
                write: *floor,
                from: *from,
                floor: Some(*floor),
                expired: expired
                    .iter()
                    .map(|member| member.worker.as_str())
                    .collect(),
                enqueued: *enqueued,
                up_to_date: *up_to_date,
                blockers: Vec::new(),
            });
        }
        for Member {
            worker,
            release,
            renewed_at,
            ..
        } in *expired
        {
            let heard = to_the_second(*renewed_at);
            output.line(&format!(
                "worker {worker} ({release}) was last heard of at {heard} and is none any more"
            ))?;
        }
        let head = Line::of(Ink::Good, "started   ");
        let raised = match from {
            Some(from) if from == floor => format!("its floor was {floor} already, and holds"),
            Some(from) => format!("its floor is raised from {from} to {floor}, and holds"),
            None => format!("its floor is {floor}, the first one, and holds"),
        };
        let courses = counted(*enqueued, "course is", "courses are");
        output.paragraph(
            &head,
            &format!(
                "{name}: {raised} for every course; {courses} on the queue, {up_to_date} up to date"
            ),
        )?;
        next.print(context, output)
    }

    fn tell_refused(
        &self,
        write: WriteVersion,
        blockers: &[Blocker],
        context: &Context,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let name = &self.transformer;
        if output.is_json() {
            return output.json(&StartAnswer {
                schema: SCHEMA,
                transformer: name,
                outcome: Outcome::Refused,
                write,
                from: None,
                floor: None,
                expired: Vec::new(),
                enqueued: 0,
                up_to_date: 0,
                blockers: BlockerAnswer::all(blockers),
            });
        }
        let head = Line::of(Ink::Bad, "refused   ");
        let text =
            format!("the floor of {name} cannot be raised to {write} yet; nothing was changed");
        output.paragraph(&head, &text)?;
        for blocker in blockers {
            output.paragraph(&"  - ".into(), &blocker_in_words(blocker, now()))?;
        }
        ending(blockers, Some(format!("rollout start {name}"))).print(context, output)
    }
}

struct Done<'a> {
    from: Option<WriteVersion>,
    floor: WriteVersion,
    expired: &'a [Member],
    enqueued: u64,
    up_to_date: u64,
}

/// `from` is null for a first floor, `floor` where it was refused.
#[derive(Debug, Serialize)]
struct StartAnswer<'a> {
    schema: u32,
    transformer: &'a str,
    outcome: Outcome,
    /// What this release writes.
    write: WriteVersion,
    from: Option<WriteVersion>,
    floor: Option<WriteVersion>,
    /// Workers that are none any more.
    expired: Vec<&'a str>,
    enqueued: u64,
    up_to_date: u64,
    blockers: Vec<BlockerAnswer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Started,
    Refused,
}
