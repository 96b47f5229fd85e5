//! What `cargo test` and cargo-nextest ask of a test program, for programs that are their own children:
//! the harness of the standard library would not let a child be another program.

use std::env;
use std::process::ExitCode;

/// Lists or runs those of the tests that are asked for.
pub(crate) fn run(tests: &[(&str, &dyn Fn())]) -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let has = |argument: &str| arguments.iter().any(|given| given == argument);
    let given = arguments.iter().map(String::as_str);
    let filters: Vec<_> = given.filter(|given| !given.starts_with('-')).collect();
    let is_exact = has("--exact");
    for (name, test) in tests {
        let is_meant = |filter: &&str| {
            if is_exact {
                name == filter
            } else {
                name.contains(filter)
            }
        };
        let is_wanted = filters.is_empty() || filters.iter().any(is_meant);
        if !is_wanted || has("--ignored") {
            continue;
        }
        if has("--list") {
            println!("{name}: test");
        } else {
            test();
            println!("test {name} ... ok");
        }
    }
    ExitCode::SUCCESS
}
