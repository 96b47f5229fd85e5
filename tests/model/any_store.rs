//! Any bytes as a schedule of what happens to a store, or as operations of an engine. Shared by the
//! property tests and the fuzz target.

use std::cell::RefCell;

use crate::choices::Bytes;
use crate::engine;
use crate::schedules::schedule::Schedule;
use crate::schedules::world::{Threads, run};

thread_local! {
    static THREADS: RefCell<Threads> = RefCell::default();
}

/// No schedule breaks a guarantee, and every engine is a map.
pub(crate) fn check(bytes: &[u8]) {
    match bytes.split_first() {
        None => {}
        Some((manner, bytes)) if manner % 2 == 1 => engine::check(bytes),
        Some((_, bytes)) => {
            let schedule = Schedule::choose(&mut Bytes::new(bytes));
            let ran = THREADS.with_borrow_mut(|threads| run(&schedule, threads));
            if let Err(violation) = ran {
                panic!("{violation}\n\nby this schedule:\n{schedule}");
            }
        }
    }
}
