//! SIGKILL at any moment. What was acknowledged is there whole after the next opening, what was
//! under way is there whole or not at all, nothing else has changed, and what the dead had claimed
//! returns.
//!
//! - `COURSEBLOCKS_KILL_ROUNDS` says how often; more rounds find rarer moments.
//! - `COURSEBLOCKS_SEED` repeats the choices of a run. Its timing is another each time.

mod child;
mod content;
#[path = "../common/harness.rs"]
mod harness;
mod imports;
mod lines;
mod model;
#[path = "../common/no_source.rs"]
mod no_source;
mod observed;
#[path = "../program/mod.rs"]
mod program;
#[path = "../common/random.rs"]
mod random;
mod story;
#[path = "../common/told.rs"]
mod told;

use std::env;
use std::process::ExitCode;

use story::Kind;

/// What a child is told to be; none: this process is the test.
const CHILD: &str = "COURSEBLOCKS_TEST_CHILD";

/// How many rounds each test has, if the environment does not say.
const ROUNDS: usize = 30;

fn main() -> ExitCode {
    if let Ok(orders) = env::var(CHILD) {
        child::run(&orders);
        return ExitCode::SUCCESS;
    }
    let rounds = env::var("COURSEBLOCKS_KILL_ROUNDS").ok();
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().expect("a number of rounds"));
    harness::run(&[
        ("what_was_acknowledged_survives_a_kill", &|| {
            story::tell(Kind::Alone, rounds);
        }),
        (
            "what_was_acknowledged_survives_a_kill_of_who_shares_the_store",
            &|| story::tell(Kind::Shared, rounds / 3),
        ),
        ("what_was_said_to_be_imported_survives_a_kill", &|| {
            imports::tell(rounds / 3);
        }),
    ])
}
