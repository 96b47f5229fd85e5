//! A whole rollout with real processes, which are killed at any moment: release A is running, B
//! writes one field more, C needs it. What was said to be done stays done, the gate is never open
//! too early, and nobody collects a course again on the way forth or back.
//!
//! `COURSEBLOCKS_KILL_ROUNDS` says how often workers are killed, `COURSEBLOCKS_SEED` repeats the
//! choices of a run (its timing is another each time).

#[path = "../common/harness.rs"]
mod harness;
#[path = "../common/no_source.rs"]
mod no_source;
#[path = "../program/mod.rs"]
mod program;
#[path = "../common/random.rs"]
mod random;
mod releases;
mod story;
#[path = "../common/told.rs"]
mod told;

use std::env;
use std::process::ExitCode;

use releases::Release;

/// Which release this process is; none: it is the test.
const RELEASE: &str = "COURSEBLOCKS_TEST_RELEASE";

const NAME: &str = "a_rollout_survives_kills_and_collects_nothing_twice";

fn main() -> ExitCode {
    if let Ok(name) = env::var(RELEASE) {
        let release = Release::named(&name).expect("a release of the test");
        return courseblocks::cli::main(release.registry());
    }
    harness::run(&[(NAME, &story::tell)])
}
