//! Figures as text. The report has this file in common with the peers' program.

use crate::results::Unit;
use crate::spread::Spread;

/// From the tenth to the ninetieth percentile.
pub(crate) fn range(spread: &Spread) -> String {
    format!("{}..{}", number(spread.p10), number(spread.p90))
}

/// Three digits that count.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// With its unit.
pub(crate) fn quantity(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Seconds if value < 1e-6 => format!("{} ns", number(value * 1e9)),
        Unit::Seconds if value < 1e-3 => format!("{} µs", number(value * 1e6)),
        Unit::Seconds if value < 1.0 => format!("{} ms", number(value * 1e3)),
        Unit::Seconds => format!("{} s", number(value)),
        Unit::Bytes => format!("{} B", number(value)),
        Unit::PerSecond => format!("{}/s", number(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_they_are_certain() {
        let numbers = [0.123_4, 9.994, 12.34, 123.4, 12_345.6].map(number);
        assert_eq!(numbers, ["0.12", "9.99", "12.3", "123", "12346"]);
    }

    #[test]
    fn seconds_are_told_in_a_fitting_unit() {
        let told = [0.5e-7, 1.5e-6, 0.25, 3.0].map(|value| quantity(value, Unit::Seconds));
        assert_eq!(told, ["50.0 ns", "1.50 µs", "250 ms", "3.00 s"]);
    }
}
