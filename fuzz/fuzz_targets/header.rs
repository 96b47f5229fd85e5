//! Any bytes under any key, read by a release of any versions, against the header as the format
//! states it.
#![no_main]

#[path = "../../tests/schedules/choices.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod choices;
#[path = "../../tests/model/format.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod format;
#[path = "../../tests/model/any_header.rs"]
mod any_header;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| any_header::check(bytes));
