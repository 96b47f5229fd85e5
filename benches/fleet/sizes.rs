//! How many blocks the courses of a fleet have.

use super::Random;

const SEED: u64 = 2026;
const MEDIAN: f64 = 300.0;
/// Of the logarithm: one course in six has three times the median, one in a thousand thirty times.
const DEVIATION: f64 = 1.1;
const LEAST: f64 = 20.0;
const MOST: f64 = 40_000.0;

/// The sizes of `count` courses in blocks, the same in every run: log-normal, half of them below
/// some hundred, with a long tail to some ten thousand.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped before"
)]
pub(crate) fn sizes(count: usize) -> Vec<usize> {
    let mut random = Random::new(SEED);
    let size = |_| (MEDIAN * (DEVIATION * random.normal()).exp()).clamp(LEAST, MOST) as usize;
    (0..count).map(size).collect()
}
