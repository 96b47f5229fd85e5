//! A transformer that panics quotes a course, and the panic is told before anything catches it: what
//! it says does nothing to a terminal, and the other transformers are collected.

#[path = "common/harness.rs"]
mod harness;

use std::env;
use std::process::{Command, ExitCode};

use courseblocks::modulestore::Course;
use courseblocks::transformer::{Collected, Data, Transformation};
use courseblocks::{
    MAX_ERROR_BYTES, ReadVersion, Registry, Result, Transformer, Versions, WriteVersion, cli,
};
use serde_json::Value;

const NAME: &str = "a_panic_says_nothing_that_a_terminal_obeys";

/// Whether this process is the program; else it is the test.
const IS_PROGRAM: &str = "COURSEBLOCKS_TEST_PANICS";

const EVIL: &str = "\u{1b}[31m\u{7}\u{9b}2J\r\u{202e}evil";

struct Panics;

impl Transformer for Panics {
    type BlockData<'a> = ();
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        "panics"
    }

    fn versions(&self) -> Versions {
        Versions::new(ReadVersion::new(1), WriteVersion::FIRST)
    }

    fn collect(&self, _: &Course) -> Result<Collected<(), ()>> {
        panic!("the title is {EVIL}{}", "x".repeat(1 << 20));
    }

    fn transform(&self, _: &Data<(), ()>, _: &mut Transformation<'_>) -> Result<()> {
        Ok(())
    }
}

fn main() -> ExitCode {
    if env::var_os(IS_PROGRAM).is_some() {
        let mut registry = Registry::standard();
        registry.register(Panics).expect("a name of its own");
        return cli::main(registry);
    }
    harness::run(&[(NAME, &check)])
}

fn check() {
    let directory = tempfile::tempdir().expect("a directory");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env::current_exe().expect("a program"));
        command
            .env(IS_PROGRAM, "1")
            .env_remove("RUST_BACKTRACE")
            .arg("--store")
            .arg(directory.path().join("store"))
            .args(arguments);
        let output = command.output().expect("a run");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        for told in [&stdout, &stderr] {
            let is_command = |c: char| c != '\n' && c.is_control() || c == '\u{202e}';
            assert!(!told.contains(is_command), "{arguments:?}: {told:?}");
        }
        (output.status.code(), stdout, stderr)
    };
    let course = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/courses/demo-course");
    let (status, _, told) = run(&["import", course]);
    assert_eq!(status, Some(1), "{told}");
    assert!(
        told.starts_with("panicked at tests/panicking.rs:"),
        "{told}"
    );
    assert!(told.contains(r"the title is \u{1b}[31m"), "{told}");

    assert!(told.len() < 4 * MAX_ERROR_BYTES, "{} bytes", told.len());

    let course = "course-v1:CourseBlocks+DEMO+2026";
    let (status, stored, _) = run(&["--format", "json", "inspect", course]);
    assert_eq!(status, Some(0), "{stored}");
    let stored: Value = serde_json::from_str(&stored).expect("JSON");
    let records = stored["records"].as_array().expect("a list");
    let failing = records.iter().find(|record| record["name"] == "panics");
    let error = failing.expect("a failure")["failure"]["error"].as_str();
    let error = error.expect("a text");
    assert!(error.contains("the title is ") && error.len() <= MAX_ERROR_BYTES);
    assert!(records.len() > 10, "the others are there: {stored}");
}
