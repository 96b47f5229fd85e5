//! Exports of any bytes: archives, and the files and links of small courses.
#![no_main]

#[path = "../../tests/model/any_olx.rs"]
mod any_olx;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| any_olx::check(bytes));
