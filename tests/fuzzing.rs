//! What the fuzz targets check, without libFuzzer: everything that they have found worth keeping is
//! checked again, and so are some bytes of proptest's.
//!
//! `COURSEBLOCKS_FUZZ_CASES` says how many of those each target gets.

#[path = "model/any_cli.rs"]
mod any_cli;
#[path = "model/any_header.rs"]
mod any_header;
#[path = "model/any_olx.rs"]
mod any_olx;
#[path = "model/any_record.rs"]
mod any_record;
#[path = "model/any_store.rs"]
mod any_store;
#[path = "model/any_structure.rs"]
mod any_structure;
#[path = "model/engine.rs"]
mod engine;
#[path = "model/format.rs"]
mod format;
#[path = "model/keys.rs"]
mod keys;
#[path = "model/record.rs"]
mod record;
#[path = "schedules/mod.rs"]
#[expect(dead_code, reason = "the schedules have a test of their own")]
mod schedules;
#[path = "model/structure.rs"]
mod structure;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use schedules::choices;

/// A target by name, what it checks, and how many cases it usually gets here.
struct Target {
    name: &'static str,
    check: fn(&[u8]),
    cases: u32,
}

const TARGETS: [Target; 7] = [
    Target {
        name: "cli_json",
        check: any_cli::check,
        cases: 30,
    },
    Target {
        name: "header",
        check: any_header::check,
        cases: 2_000,
    },
    Target {
        name: "keys",
        check: check_keys,
        cases: 1_000,
    },
    Target {
        name: "olx",
        check: any_olx::check,
        cases: 100,
    },
    Target {
        name: "record",
        check: any_record::check,
        cases: 1_000,
    },
    Target {
        name: "store",
        check: any_store::check,
        cases: 100,
    },
    Target {
        name: "structure",
        check: any_structure::check,
        cases: 1_000,
    },
];

fn check_keys(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        keys::check(text);
    }
}

#[test]
fn what_cli_json_found_is_as_it_should_be() {
    replay("cli_json");
}

#[test]
fn what_header_found_is_as_it_should_be() {
    replay("header");
}

#[test]
fn what_keys_found_is_as_it_should_be() {
    replay("keys");
}

#[test]
fn what_olx_found_is_as_it_should_be() {
    replay("olx");
}

#[test]
fn what_record_found_is_as_it_should_be() {
    replay("record");
}

#[test]
fn what_store_found_is_as_it_should_be() {
    replay("store");
}

#[test]
fn what_structure_found_is_as_it_should_be() {
    replay("structure");
}

/// Checks what is kept of a target, and then bytes of proptest's.
fn replay(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.expect("a target");
    for file in kept(name) {
        let bytes = fs::read(&file).expect("a file");
        let checked = catch_unwind(AssertUnwindSafe(|| (target.check)(&bytes)));
        if let Err(panic) = checked {
            eprintln!("\nby the bytes of {}", file.display());
            resume_unwind(panic);
        }
    }
    let cases = std::env::var("COURSEBLOCKS_FUZZ_CASES").ok();
    let cases = cases.map_or(target.cases, |cases| cases.parse().expect("a number"));
    let config = ProptestConfig {
        cases,
        // What is found is told, and becomes a test by hand.
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let tested = TestRunner::new(config).run(&vec(any::<u8>(), 0..600), |bytes| {
        (target.check)(&bytes);
        Ok(())
    });
    if let Err(failure) = tested {
        panic!("{failure}");
    }
}

fn kept(name: &str) -> BTreeSet<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let files = fs::read_dir(corpus.join(name)).expect("a corpus");
    let files: BTreeSet<_> = files.map(|file| file.expect("a file").path()).collect();
    assert!(!files.is_empty(), "nothing is kept of {name}");
    files
}

/// A target that is forgotten here would be checked by libFuzzer alone.
#[test]
fn every_target_has_a_corpus_a_dictionary_and_a_test() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let names = |directory: &str, ending: &str| -> BTreeSet<String> {
        let files = fs::read_dir(fuzz.join(directory)).expect("a directory");
        let names = files.map(|file| file.expect("a file").file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        names
            .filter_map(|name| Some(name.strip_suffix(ending)?.to_owned()))
            .collect()
    };
    let tested: BTreeSet<_> = TARGETS
        .iter()
        .map(|target| target.name.to_owned())
        .collect();
    assert_eq!(names("fuzz_targets", ".rs"), tested);
    assert_eq!(names("corpus", ""), tested);
    assert_eq!(names("dictionaries", ".dict"), tested);
}
