//! Results as tables in Markdown.

use std::fmt::Write as _;

use crate::goals::{GOALS, Target};
use crate::numbers::{number, quantity, range};
use crate::results::{Figure, Results};

/// A figure: a row for each contender, a column for each size.
pub(crate) fn figure(figure: &Figure) -> String {
    let mut sizes: Vec<f64> = Vec::new();
    for point in figure.series.iter().flat_map(|series| &series.points) {
        if !sizes.iter().any(|size| size.total_cmp(&point.x).is_eq()) {
            sizes.push(point.x);
        }
    }
    let mut text = format!("| {} |", cell(&figure.x));
    for size in &sizes {
        let _ = write!(text, " {size} |");
    }
    let _ = write!(text, "\n|---|{}\n", "---|".repeat(sizes.len()));
    for series in &figure.series {
        let _ = write!(text, "| {} |", cell(&series.contender));
        for size in &sizes {
            let mut points = series.points.iter();
            let point = points.find(|point| point.x.total_cmp(size).is_eq());
            // Writing to a string does not fail.
            let _ = match point {
                None => write!(text, " |"),
                Some(point) => write!(
                    text,
                    " **{}** ({}) {} |",
                    number(point.ratio.median),
                    range(&point.ratio),
                    quantity(point.absolute.median, figure.unit)
                ),
            };
        }
        text.push('\n');
    }
    let rounds = figure.series.iter().flat_map(|series| &series.points);
    let rounds = rounds.map(|point| point.ratio.rounds);
    let (least, most) = (rounds.clone().min(), rounds.max());
    let rounds = match (least, most) {
        (Some(least), Some(most)) if least == most => format!("{most} rounds"),
        (Some(least), Some(most)) => format!("{least} to {most} rounds"),
        _ => "no rounds".to_owned(),
    };
    let _ = write!(
        text,
        "\nAgainst: {}; **median** (p10..p90) of {rounds}, then the median in this run.\n",
        figure.reference
    );
    text
}

/// What became of each goal.
pub(crate) fn goals(results: &Results) -> String {
    let mut text = "| ratio | of what | measured | p10..p90 | target | |\n\
                    |---|---|---|---|---|---|\n"
        .to_owned();
    for goal in GOALS {
        let target = goal.target.map_or("reported".to_owned(), Target::text);
        let headline = results.ratios.get(goal.key);
        let verdict = match (goal.target, headline) {
            (Some(target), Some(headline)) if target.is_met_by(headline.ratio.median) => "met",
            (Some(_), Some(_)) => "missed",
            _ => "",
        };
        let (measured, spread) = headline
            .map_or(("not measured".to_owned(), String::new()), |headline| {
                (number(headline.ratio.median), range(&headline.ratio))
            });
        let _ = writeln!(
            text,
            "| `{}` | {} | **{measured}** | {spread} | {target} | {verdict} |",
            goal.key, goal.meaning
        );
    }
    text
}

/// What was missed, by how much, and at which of its points.
pub(crate) fn missed(results: &Results) -> String {
    let missed = GOALS.iter().filter_map(|goal| {
        let (target, headline) = goal.target.zip(results.ratios.get(goal.key))?;
        let ratio = headline.ratio.median;
        (!target.is_met_by(ratio)).then(|| {
            format!(
                "- `{}` is {} where it should be {}: by a factor of {}, at its worst point ({}).",
                goal.key,
                number(ratio),
                target.text(),
                number(target.missed_by(ratio)),
                headline.at
            )
        })
    });
    let missed: Vec<_> = missed.collect();
    if missed.is_empty() {
        "No target that was measured is missed.".to_owned()
    } else {
        missed.join("\n")
    }
}

/// Text that does not end its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_figure_has_a_row_for_each_contender_and_a_column_for_each_size() {
        let expected = "\
| bytes of the record | 1024 | 2097152 |
|---|---|---|
| bare sled | **1.00** (1.00..1.00) 200 ns | **1.00** (1.00..1.00) 200 ns |
| courseblocks, outdated & refused | **1.50** (1.50..1.50) 300 ns | **1.40** (1.40..1.40) 280 ns |
| LMDB | **0.70** (0.70..0.70) 140 ns | |

Against: bare sled; **median** (p10..p90) of 1 rounds, then the median in this run.
";
        assert_eq!(figure(&sample::figure()), expected);
    }

    #[test]
    fn what_is_missed_is_told_with_its_factor() {
        let results = sample::results();
        let expected = "- `header_reject_vs_get` is 1.50 where it should be at most 1.10: by a \
                        factor of 1.36, at its worst point (courseblocks, outdated, 1024 bytes of \
                        the record).";
        assert_eq!(missed(&results), expected);
        assert!(goals(&results).contains("| **1.50** | 1.50..1.50 | at most 1.10 | missed |"));
        assert!(goals(&results).contains("| **not measured** |  | at least 200 |  |"));
    }
}
