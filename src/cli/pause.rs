//! `pause` and `resume`: whether workers take tasks.

use clap::Args;
use serde::Serialize;

use super::Context;
use super::failure::{Answer, Failure};
use super::json::SCHEMA;
use super::output::Output;
use super::session::now;
use super::text::to_the_second;
use crate::rollout::Queue;
use crate::timestamp::Timestamp;

/// Let no worker take a task from the queue
#[derive(Debug, Args)]
#[command(after_help = "\
Holds for all workers of the store, those that are running and those to come, until `resume`. What \
is under way is finished. Courses can be enqueued, imported and updated all the same.

Exit status: 0 it is paused now, or was already, 1 it could not be, 2 bad usage, 3 the store \
failed.")]
pub(super) struct Pause {}

/// Let workers take tasks again
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 it is not paused now, or was not, 1 it could not be resumed, 2 bad usage, 3 the \
store failed.")]
pub(super) struct Resume {}

impl Pause {
    #[expect(clippy::unused_self, reason = "all commands are run alike")]
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        let session = context.manager()?;
        let queue = Queue::new(session.store());
        let is_changed = queue.pause(&session.lease()?, now())?;
        let pause = queue.limits()?.paused;
        let text = match &pause {
            _ if is_changed => {
                "paused: workers finish what they have and take no more; `resume` ends that"
                    .to_owned()
            }
            Some(pause) => {
                let at = to_the_second(pause.at);
                format!("was paused already, by {} at {at}", pause.by)
            }
            None => "was paused already, and somebody has just resumed it".to_owned(),
        };
        let (by, at) = pause.map(|pause| (pause.by, pause.at)).unzip();
        tell(
            output,
            &text,
            &PauseAnswer::new(at.is_some(), is_changed, by, at),
        )
    }
}

impl Resume {
    #[expect(clippy::unused_self, reason = "all commands are run alike")]
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        let session = context.manager()?;
        let queue = Queue::new(session.store());
        let is_changed = queue.resume(&session.lease()?, now())?;
        let text = if is_changed {
            "resumed: workers take tasks again"
        } else {
            "was not paused"
        };
        tell(
            output,
            text,
            &PauseAnswer::new(false, is_changed, None, None),
        )
    }
}

fn tell(output: &mut Output, text: &str, answer: &PauseAnswer) -> Result<Answer, Failure> {
    if output.is_json() {
        output.json(answer)?;
    } else {
        output.line(text)?;
    }
    Ok(Answer::Done)
}

/// How it is now, and whether that was changed. `by` and `at` are null where it is not paused.
#[derive(Debug, Serialize)]
struct PauseAnswer {
    schema: u32,
    paused: bool,
    changed: bool,
    by: Option<String>,
    at: Option<Timestamp>,
}

impl PauseAnswer {
    fn new(paused: bool, changed: bool, by: Option<String>, at: Option<Timestamp>) -> Self {
        Self {
            schema: SCHEMA,
            paused,
            changed,
            by,
            at,
        }
    }
}
