//! What many rounds come to: a median, and how far the rounds lie apart.

use serde::{Deserialize, Serialize};

/// The middle of some figures and the range that eight tenths of them lie in.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) p10: f64,
    pub(crate) p90: f64,
    /// How many figures there were.
    pub(crate) rounds: usize,
}

impl Spread {
    /// # Panics
    /// Without any figures.
    pub(crate) fn of(figures: &[f64]) -> Self {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self {
            median: quantile(&sorted, 0.5),
            p10: quantile(&sorted, 0.1),
            p90: quantile(&sorted, 0.9),
            rounds: sorted.len(),
        }
    }

    /// The spread of the quotients of figures that were measured in the same rounds.
    pub(crate) fn of_ratios(figures: &[f64], references: &[f64]) -> Self {
        assert_eq!(figures.len(), references.len(), "of the same rounds");
        let ratios = figures.iter().zip(references);
        let ratios: Vec<_> = ratios
            .map(|(figure, reference)| figure / reference)
            .collect();
        Self::of(&ratios)
    }
}

/// The value below which a part of the sorted figures lies, between two of them where it must be.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place among a few thousand figures"
)]
pub(crate) fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = part * (sorted.len() - 1) as f64;
    let below = place.floor();
    let next = sorted[place.ceil() as usize];
    let here = sorted[below as usize];
    here + (next - here) * (place - below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sorted: &[f64], part: f64, expected: f64) {
        assert!((quantile(sorted, part) - expected).abs() < 1e-12);
    }

    #[test]
    fn a_quantile_lies_between_its_neighbours() {
        check(&[7.0], 0.1, 7.0);
        check(&[1.0, 2.0], 0.5, 1.5);
        check(&[1.0, 2.0, 10.0], 0.5, 2.0);
        check(&[0.0, 10.0, 20.0, 30.0, 40.0], 0.9, 36.0);
        check(&[0.0, 10.0, 20.0, 30.0, 40.0], 0.1, 4.0);
        check(&[0.0, 10.0], 0.0, 0.0);
        check(&[0.0, 10.0], 1.0, 10.0);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The second round was slow for both.
        let spread = Spread::of_ratios(&[2.0, 20.0, 2.0], &[1.0, 10.0, 1.0]);
        let expected = Spread {
            median: 2.0,
            p10: 2.0,
            p90: 2.0,
            rounds: 3,
        };
        assert_eq!(spread, expected);
    }

    #[test]
    fn the_order_of_rounds_does_not_matter() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Spread::of(&[1.0, 2.0, 3.0]));
    }
}
