//! Operations on a course's structure, against the naive one.
#![no_main]

#[path = "../../tests/model/any_structure.rs"]
mod any_structure;
#[path = "../../tests/schedules/choices.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod choices;
#[path = "../../tests/model/structure.rs"]
mod structure;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| any_structure::check(bytes));
