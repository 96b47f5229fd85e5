//! How much is measured: what fits into a minute, or into some.

use std::time::Duration;

use crate::rounds::Effort;

/// The sizes of all workloads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) quick: bool,
    /// For what takes microseconds: batches so short that few of them are interrupted.
    pub(crate) short: Effort,
    /// For what takes milliseconds.
    pub(crate) long: Effort,
    /// Rounds with the original at up to 5,000 blocks.
    pub(crate) original: usize,
    /// Numbers of blocks of the courses that the original reads.
    pub(crate) original_blocks: &'static [usize],
    /// Courses that are counted.
    pub(crate) scanned_courses: &'static [usize],
    /// Courses whose bytes are counted.
    pub(crate) weighed_courses: usize,
    /// How often these are written again.
    pub(crate) rewrites: usize,
    /// Rounds with several threads, and how long each of them lasts.
    pub(crate) threads: Effort,
}

impl Scale {
    /// Some minutes.
    pub(crate) const fn full() -> Self {
        Self {
            quick: false,
            short: Effort {
                rounds: 900,
                batch: Duration::from_micros(400),
            },
            long: Effort {
                rounds: 150,
                batch: Duration::from_millis(3),
            },
            original: 40,
            original_blocks: &[100, 1_000, 5_000, 20_000],
            scanned_courses: &[200, 2_000],
            weighed_courses: 400,
            rewrites: 5,
            threads: Effort {
                rounds: 80,
                batch: Duration::from_millis(60),
            },
        }
    }

    /// Less than a minute.
    pub(crate) const fn quick() -> Self {
        Self {
            quick: true,
            short: Effort {
                rounds: 60,
                batch: Duration::from_micros(300),
            },
            long: Effort {
                rounds: 20,
                batch: Duration::from_millis(1),
            },
            original: 9,
            original_blocks: &[100, 1_000, 5_000],
            scanned_courses: &[200],
            weighed_courses: 40,
            rewrites: 2,
            threads: Effort {
                rounds: 10,
                batch: Duration::from_millis(30),
            },
        }
    }
}
