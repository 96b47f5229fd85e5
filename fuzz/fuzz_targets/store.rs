//! Schedules of what the processes of a fleet do to one store, with failures, crashes and reopening,
//! against the model of all guarantees; and engines against a map.
#![no_main]

#[path = "../../tests/model/any_store.rs"]
mod any_store;
#[path = "../../tests/model/engine.rs"]
mod engine;
#[path = "../../tests/schedules/mod.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod schedules;

use libfuzzer_sys::fuzz_target;
use schedules::choices;

fuzz_target!(|bytes: &[u8]| any_store::check(bytes));
