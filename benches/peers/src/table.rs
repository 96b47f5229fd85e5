//! Results as text for a terminal.

use std::fmt::Write as _;

use crate::numbers::{number, quantity, range};
use crate::results::{Figure, Point, Results};

/// One figure as a table.
pub(crate) fn figure(figure: &Figure) -> String {
    let mut rows = vec![[
        "contender".to_owned(),
        figure.x.clone(),
        "ratio".to_owned(),
        "p10..p90".to_owned(),
        "rounds".to_owned(),
        "this run only".to_owned(),
    ]];
    for series in &figure.series {
        for point in &series.points {
            let Point { x, ratio, absolute } = point;
            rows.push([
                series.contender.clone(),
                x.to_string(),
                number(ratio.median),
                range(ratio),
                ratio.rounds.to_string(),
                quantity(absolute.median, figure.unit),
            ]);
        }
    }
    format!(
        "{}\n(against: {})\n\n{}",
        figure.title,
        figure.reference,
        aligned(&rows)
    )
}

/// The ratios that goals are measured by.
pub(crate) fn ratios(results: &Results) -> String {
    let mut rows = vec![["goal", "ratio", "p10..p90", "rounds", "at"].map(str::to_owned)];
    for (key, headline) in &results.ratios {
        rows.push([
            key.clone(),
            number(headline.ratio.median),
            range(&headline.ratio),
            headline.ratio.rounds.to_string(),
            headline.at.clone(),
        ]);
    }
    aligned(&rows)
}

/// Columns two spaces apart; the first one and words to the left, numbers to the right.
fn aligned<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| {
        let lengths = rows.iter().map(|row| row[column].chars().count());
        lengths.max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..COLUMNS).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            let starts_as_number = |row: &[String; COLUMNS]| {
                row[column].starts_with(|first: char| first.is_ascii_digit())
            };
            let is_numeric = column > 0 && rows.get(1).is_some_and(starts_as_number);
            // Writing to a string does not fail.
            let _ = if is_numeric {
                write!(line, "{cell:>width$}  ")
            } else {
                write!(line, "{cell:<width$}  ")
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let rows = [["a", "b"], ["longer", "1"], ["c", "100"]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows), "a         b\nlonger    1\nc       100\n");
    }
}
