//! SIGKILL at any moment. What was acknowledged is there whole after the next opening, what was
//! under way is there whole or not at all, nothing else has changed, and what the dead had claimed
//! returns.
//!
//! - `COURSEBLOCKS_KILL_ROUNDS` says how often; more rounds find rarer moments.
//! - `COURSEBLOCKS_SEED` repeats the choices of a run. Its timing is another each time.

mod child;
mod content;
mod imports;
mod lines;
mod model;
mod observed;
#[path = "../program/mod.rs"]
mod program;
#[path = "../common/random.rs"]
mod random;
mod story;

use std::env;
use std::process::ExitCode;

use story::Kind;

/// What a child is told to be; none: this process is the test.
const CHILD: &str = "COURSEBLOCKS_TEST_CHILD";

/// How many rounds each test has, if the environment does not say.
const ROUNDS: usize = 30;

/// A test with so many rounds.
type Test = fn(usize);

const TESTS: [(&str, Test); 3] = [
    ("what_was_acknowledged_survives_a_kill", |rounds| {
        story::tell(Kind::Alone, rounds);
    }),
    (
        "what_was_acknowledged_survives_a_kill_of_who_shares_the_store",
        |rounds| {
            story::tell(Kind::Shared, rounds / 3);
        },
    ),
    ("what_was_said_to_be_imported_survives_a_kill", |rounds| {
        imports::tell(rounds / 3);
    }),
];

/// The harness of the standard library would not let a child be another program.
fn main() -> ExitCode {
    if let Ok(orders) = env::var(CHILD) {
        child::run(&orders);
        return ExitCode::SUCCESS;
    }
    let rounds = env::var("COURSEBLOCKS_KILL_ROUNDS").ok();
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().expect("a number of rounds"));
    let arguments: Vec<_> = env::args().skip(1).collect();
    let has = |argument: &str| arguments.iter().any(|given| given == argument);
    let filters: Vec<_> = arguments
        .iter()
        .filter(|given| !given.starts_with('-'))
        .collect();
    let is_exact = has("--exact");
    for (name, test) in TESTS {
        let is_meant = |filter: &&String| {
            if is_exact {
                name == filter.as_str()
            } else {
                name.contains(filter.as_str())
            }
        };
        let is_wanted = filters.is_empty() || filters.iter().any(is_meant);
        if !is_wanted || has("--ignored") {
            continue;
        }
        if has("--list") {
            println!("{name}: test");
        } else {
            test(rounds);
            println!("test {name} ... ok");
        }
    }
    ExitCode::SUCCESS
}
