//! `rollout`: a schema change goes out in two phases, and these commands say when each is safe.
//! They decide nothing: what they tell comes from the library.

mod advice;
mod fleet;
mod gate;
mod history;
mod reasons;
mod retire;
mod start;
mod status;
mod wait;

use clap::{Args, Subcommand};

use super::Context;
use super::failure::{Answer, Failure};
use super::output::Output;

/// Raise floors, ask gates, and see how far schema changes are
#[derive(Debug, Args)]
#[command(after_help = "\
A schema change of a transformer, from version 1 to 2, goes out like this:

  1. The release that writes 2 (and still reads 1) replaces the old one, worker by worker.
  2. `rollout start T` with the new release: from now on nothing below 2 is accepted, and every \
course that holds less is on the queue.
  3. `worker --until-empty` collects them; `rollout wait T@2` waits until nothing is missing.
  4. The release that reads 2 goes out.

`rollout status` tells at any time which step is next.

Exit status: 0 yes or done, 1 no or not ready, 2 bad usage, 3 the store failed.")]
pub(super) struct Rollout {
    #[command(subcommand)]
    command: RolloutCommand,
}

#[derive(Debug, Subcommand)]
enum RolloutCommand {
    Status(status::Status),
    Start(start::Start),
    Gate(gate::Gate),
    Wait(wait::Wait),
    Fleet(fleet::Fleet),
    History(history::History),
    Retire(retire::Retire),
}

impl Rollout {
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        match &self.command {
            RolloutCommand::Status(command) => command.run(context, output),
            RolloutCommand::Start(command) => command.run(context, output),
            RolloutCommand::Gate(command) => command.run(context, output),
            RolloutCommand::Wait(command) => command.run(context, output),
            RolloutCommand::Fleet(command) => command.run(context, output),
            RolloutCommand::History(command) => command.run(context, output),
            RolloutCommand::Retire(command) => command.run(context, output),
        }
    }
}
