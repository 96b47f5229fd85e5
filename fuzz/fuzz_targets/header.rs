//! Any bytes under any key, read by a release of any versions, against the header as the format
//! states it.
#![no_main]

#[path = "../../tests/schedules/choices.rs"]
mod choices;
#[path = "../../tests/model/header.rs"]
mod header;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| header::check(bytes));
