//! `rollout retire`: a transformer's data goes for good.

use clap::Args;
use serde::Serialize;

use super::reasons::BlockerAnswer;
use crate::cli::Context;
use crate::cli::failure::{Answer, Failure};
use crate::cli::ink::{Ink, Line};
use crate::cli::json::SCHEMA;
use crate::cli::output::Output;
use crate::cli::problems::counted;
use crate::cli::session::now;
use crate::cli::text::to_the_second;
use crate::rollout::{Retire as Retired, Rollout};
use crate::store::Member;
use crate::version::WriteVersion;

/// Remove all data of a transformer that no release has any more
#[derive(Debug, Args)]
#[command(after_help = "\
Run it with a release that does not have the transformer; it is refused while a live worker has it. \
The name is never used again: a release that has it cannot write to this store any more. It can be \
broken off and run again at any time, and does then what is left.

Exit status: 0 its data is gone, 1 refused, or nothing is known of it, 2 bad usage, 3 the store \
failed.")]
pub(super) struct Retire {
    /// The transformer
    transformer: String,
    /// Do not ask; needed where nobody can be asked
    #[arg(long)]
    yes: bool,
}

impl Retire {
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        let name = self.transformer.as_str();
        let session = context.manager()?;
        let store = session.store();
        let courses = store.courses().count();
        if !self.yes && !self.is_meant(courses, output)? {
            output.notice("nothing was removed");
            return Ok(Answer::Incomplete);
        }
        // It passes over all courses three times.
        let mut seen = 0;
        output.begin_progress(courses);
        let retired = Rollout::new(store).retire(&session.lease()?, name, now(), |course| {
            if seen > 0 && seen % courses.max(1) == 0 {
                output.begin_progress(courses);
            }
            seen += 1;
            output.at(course.as_str());
            output.advance();
        })?;
        output.end_progress();
        self.tell(&retired, output)?;
        Ok(match retired {
            Retired::Retired { .. } => Answer::Done,
            Retired::Unknown | Retired::Refused(_) => Answer::Incomplete,
        })
    }

    fn is_meant(&self, courses: usize, output: &Output) -> Result<bool, Failure> {
        let courses = counted(courses, "course", "courses");
        let question = format!(
            "All data of {} goes for good, in {courses}, and the name is never used again. Type yes \
             to go on:",
            self.transformer
        );
        match output.ask(&question)? {
            Some(answer) => Ok(answer.trim() == "yes"),
            None => Err(Failure::usage(
                "it deletes data: --yes says that this is meant",
            )),
        }
    }

    fn tell(&self, retired: &Retired, output: &mut Output) -> Result<(), Failure> {
        let name = &self.transformer;
        if output.is_json() {
            let (outcome, version, removed, users) = match retired {
                Retired::Retired { version, removed } => {
                    (Outcome::Retired, Some(*version), *removed, &[][..])
                }
                Retired::Unknown => (Outcome::Unknown, None, 0, &[][..]),
                Retired::Refused(users) => (Outcome::Refused, None, 0, users.as_slice()),
            };
            let users = users.iter();
            return output.json(&RetireAnswer {
                schema: SCHEMA,
                transformer: name,
                outcome,
                version,
                removed,
                blockers: users.map(|user| BlockerAnswer::user(name, user)).collect(),
            });
        }
        match retired {
            Retired::Retired { version, removed } => {
                let removed = counted(*removed, "course", "courses");
                output.line(&format!(
                    "retired   {name}: its data was removed from {removed}; its highest version \
                     was {version}"
                ))
            }
            Retired::Unknown => output.line(&format!(
                "nothing is stored under {name}, and it has no floor"
            )),
            Retired::Refused(users) => {
                let head = Line::of(Ink::Bad, "refused   ");
                let text = format!("live workers have {name}; nothing was changed");
                output.paragraph(&head, &text)?;
                for Member {
                    worker,
                    release,
                    expires_at,
                    ..
                } in users
                {
                    let text = format!(
                        "worker {worker} (release {release}); its lease ends at {} \
                         unless it is heard of again",
                        to_the_second(*expires_at)
                    );
                    output.paragraph(&"  - ".into(), &text)?;
                }
                output.paragraph(
                    &Line::of(Ink::Strong, "  next: "),
                    "end these workers, and run this with a release that does not have it",
                )
            }
        }
    }
}

/// `version` is the highest one that it ever had.
#[derive(Debug, Serialize)]
struct RetireAnswer<'a> {
    schema: u32,
    transformer: &'a str,
    outcome: Outcome,
    version: Option<WriteVersion>,
    /// Courses whose record was removed.
    removed: u64,
    blockers: Vec<BlockerAnswer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Retired,
    Unknown,
    Refused,
}
