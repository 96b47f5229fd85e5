//! What each ratio should be, and whether it is: the text of `docs/performance-ratios.json`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::numbers::number;
use crate::results::{Headline, Machine, Results};
use crate::spread::Spread;

/// The number of the format.
const SCHEMA: u32 = 1;

/// One ratio that is promised or reported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    pub(crate) key: &'static str,
    /// What is compared with what.
    pub(crate) meaning: &'static str,
    pub(crate) target: Option<Target>,
}

/// What a ratio should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
}

pub(crate) const GOALS: [Goal; 8] = [
    Goal {
        key: "header_reject_vs_get",
        meaning: "refusing a record by its header, to a bare sled get of it",
        target: Some(Target::AtMost(1.10)),
    },
    Goal {
        key: "whole_read_vs_parts",
        meaning: "a column of 5,000 blocks checked and decoded, to the sum of its parts",
        target: Some(Target::AtMost(1.10)),
    },
    Goal {
        key: "one_block_vs_small_get",
        meaning: "one block out of 5,000 and 50,000, to a bare sled get of a small value",
        target: Some(Target::AtMost(3.0)),
    },
    Goal {
        key: "one_block_vs_original",
        meaning: "the original's read of one block out of 5,000, to courseblocks'",
        target: None,
    },
    Goal {
        key: "transform_vs_original",
        meaning: "the original from stored data to what a visitor sees of 5,000 blocks, to courseblocks",
        target: Some(Target::AtLeast(200.0)),
    },
    Goal {
        key: "scan_vs_bare_scan",
        meaning: "a census of all headers, to a bare sled scan of as many rows",
        target: None,
    },
    Goal {
        key: "rewrite_vs_bare",
        meaning: "a durable publish, to a bare durable transaction of the same bytes",
        target: None,
    },
    Goal {
        key: "bytes_per_block",
        meaning: "the bytes of all records, to the original's compressed pickle of the course",
        target: None,
    },
];

impl Target {
    pub(crate) fn is_met_by(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(most) => ratio <= most,
            Self::AtLeast(least) => ratio >= least,
        }
    }

    pub(crate) fn text(self) -> String {
        match self {
            Self::AtMost(most) => format!("at most {}", number(most)),
            Self::AtLeast(least) => format!("at least {}", number(least)),
        }
    }

    /// By how much a ratio misses it, as a factor.
    pub(crate) fn missed_by(self, ratio: f64) -> f64 {
        match self {
            Self::AtMost(most) => ratio / most,
            Self::AtLeast(least) => least / ratio,
        }
    }
}

/// The file for programs.
#[derive(Debug, Serialize)]
pub(crate) struct Ratios<'r> {
    schema: u32,
    date: &'r str,
    quick: bool,
    machine: &'r Machine,
    versions: &'r BTreeMap<String, String>,
    #[serde(flatten)]
    by_key: BTreeMap<&'static str, Ratio<'r>>,
}

/// What became of one goal. Without a value it could not be measured.
#[derive(Debug, Serialize)]
struct Ratio<'r> {
    value: Option<f64>,
    spread: Option<SpreadText>,
    at: Option<&'r str>,
    target: Option<TargetText>,
    is_met: Option<bool>,
}

#[derive(Debug, Serialize)]
struct SpreadText {
    p10: f64,
    p90: f64,
    rounds: usize,
}

#[derive(Debug, Serialize)]
struct TargetText {
    /// `at_most` or `at_least`.
    bound: &'static str,
    value: f64,
}

impl<'r> Ratios<'r> {
    pub(crate) fn of(results: &'r Results) -> Self {
        let ratios = GOALS.iter();
        let ratios = ratios.map(|goal| (goal.key, ratio(goal, results.ratios.get(goal.key))));
        Self {
            schema: SCHEMA,
            date: &results.date,
            quick: results.quick,
            machine: &results.machine,
            versions: &results.versions,
            by_key: ratios.collect(),
        }
    }
}

fn ratio<'r>(goal: &Goal, headline: Option<&'r Headline>) -> Ratio<'r> {
    let value = headline.map(|headline| headline.ratio.median);
    let spread = headline.map(|headline| {
        let Spread {
            p10, p90, rounds, ..
        } = headline.ratio;
        SpreadText { p10, p90, rounds }
    });
    Ratio {
        value,
        spread,
        at: headline.map(|headline| headline.at.as_str()),
        target: goal.target.map(|target| match target {
            Target::AtMost(value) => TargetText {
                bound: "at_most",
                value,
            },
            Target::AtLeast(value) => TargetText {
                bound: "at_least",
                value,
            },
        }),
        is_met: goal
            .target
            .zip(value)
            .map(|(target, value)| target.is_met_by(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_target_is_met_on_its_side_of_the_bound() {
        assert!(Target::AtMost(1.1).is_met_by(1.1));
        assert!(!Target::AtMost(1.1).is_met_by(1.11));
        assert!(Target::AtLeast(200.0).is_met_by(201.0));
        assert!(!Target::AtLeast(200.0).is_met_by(199.0));
        assert!((Target::AtMost(2.0).missed_by(3.0) - 1.5).abs() < 1e-12);
        assert!((Target::AtLeast(200.0).missed_by(100.0) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn the_file_has_every_key_also_of_what_was_not_measured() -> Result<(), serde_json::Error> {
        let results = sample::results();
        let json = serde_json::to_value(Ratios::of(&results))?;
        let header = serde_json::json!({
            "value": 1.5,
            "spread": {"p10": 1.5, "p90": 1.5, "rounds": 1},
            "at": "courseblocks, outdated, 1024 bytes of the record",
            "target": {"bound": "at_most", "value": 1.1},
            "is_met": false,
        });
        assert_eq!(json["header_reject_vs_get"], header);
        let missing = serde_json::json!({
            "value": null,
            "spread": null,
            "at": null,
            "target": {"bound": "at_least", "value": 200.0},
            "is_met": null,
        });
        assert_eq!(json["transform_vs_original"], missing);
        for goal in GOALS {
            assert!(json.get(goal.key).is_some(), "{}", goal.key);
        }
        assert_eq!(json["machine"]["cores"], 2);
        assert_eq!(json["date"], "2026-03-01T12:00:00Z");
        Ok(())
    }
}
