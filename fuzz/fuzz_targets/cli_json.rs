//! What a user hands to the command line, and the JSON that comes out.
#![no_main]

#[path = "../../tests/model/any_cli.rs"]
mod any_cli;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| any_cli::check(bytes));
