//! Records that were written and mutated, and bytes that nobody wrote, under checksums that fit and
//! under others: read in every way, against a reader made of the format's documentation alone.
#![no_main]

#[path = "../../tests/schedules/choices.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod choices;
#[path = "../../tests/model/format.rs"]
mod format;
#[path = "../../tests/model/record.rs"]
mod record;
#[path = "../../tests/model/any_record.rs"]
mod any_record;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| any_record::check(bytes));
