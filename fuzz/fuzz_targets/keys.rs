//! Any text as a course key or usage key, and together with others.
#![no_main]

#[path = "../../tests/model/keys.rs"]
mod keys;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| keys::check(text));
