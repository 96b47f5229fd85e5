//! The results of a run as JSON: what `benches/report` reads. The report has this file in common
//! with the peers' program; a change of the types is a new [`SCHEMA`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::spread::Spread;

/// The number of this format.
pub(crate) const SCHEMA: u32 = 1;

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) schema: u32,
    /// When it began, ISO 8601 in UTC.
    pub(crate) date: String,
    /// Whether it was a short run, whose figures say less.
    pub(crate) quick: bool,
    /// How long it took.
    pub(crate) seconds: f64,
    pub(crate) machine: Machine,
    /// Of programs and crates, by name.
    pub(crate) versions: BTreeMap<String, String>,
    /// What could not be measured, and why.
    pub(crate) left_out: Vec<String>,
    pub(crate) figures: Vec<Figure>,
    /// The ratio of each goal, by its key.
    pub(crate) ratios: BTreeMap<String, Headline>,
}

/// What it ran on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
}

/// One kind of work, done by several contenders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) key: String,
    pub(crate) title: String,
    /// Whose figures are 1.
    pub(crate) reference: String,
    /// What is on the horizontal axis, with its unit.
    pub(crate) x: String,
    /// What the absolute figures are.
    pub(crate) unit: Unit,
    pub(crate) series: Vec<Series>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    Seconds,
    Bytes,
    PerSecond,
}

/// One contender.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Series {
    pub(crate) contender: String,
    pub(crate) points: Vec<Point>,
}

/// One contender at one size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    pub(crate) x: f64,
    /// To the reference, round by round.
    pub(crate) ratio: Spread,
    /// In the figure's unit. Comparable within this run only.
    pub(crate) absolute: Spread,
}

/// What a goal is measured by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Headline {
    pub(crate) ratio: Spread,
    /// Which of the figure's points it is.
    pub(crate) at: String,
}

impl Figure {
    /// Adds a point to a contender's series.
    pub(crate) fn push(&mut self, contender: &str, point: Point) {
        let mut series = self.series.iter_mut();
        match series.find(|series| series.contender == contender) {
            Some(series) => series.points.push(point),
            None => self.series.push(Series {
                contender: contender.to_owned(),
                points: vec![point],
            }),
        }
    }

    /// The point with the highest median ratio among those that `is_meant` says yes to.
    pub(crate) fn highest(&self, is_meant: impl Fn(&str, f64) -> bool) -> Option<Headline> {
        self.extreme(is_meant, |ratio| ratio)
    }

    /// The point with the lowest one.
    pub(crate) fn lowest(&self, is_meant: impl Fn(&str, f64) -> bool) -> Option<Headline> {
        self.extreme(is_meant, |ratio| -ratio)
    }

    fn extreme(
        &self,
        is_meant: impl Fn(&str, f64) -> bool,
        rank: impl Fn(f64) -> f64,
    ) -> Option<Headline> {
        let points = self.series.iter().flat_map(|series| {
            let points = series.points.iter();
            points.map(|point| (series.contender.as_str(), point))
        });
        let meant = points.filter(|(contender, point)| is_meant(contender, point.x));
        let found =
            meant.max_by(|(_, a), (_, b)| rank(a.ratio.median).total_cmp(&rank(b.ratio.median)));
        found.map(|(contender, point)| Headline {
            ratio: point.ratio,
            at: format!("{contender}, {} {}", point.x, self.x),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure() -> Figure {
        let mut figure = Figure {
            key: "key".to_owned(),
            title: "Title".to_owned(),
            reference: "bare".to_owned(),
            x: "blocks".to_owned(),
            unit: Unit::PerSecond,
            series: Vec::new(),
        };
        for (contender, x, median) in [("a", 1.0, 3.0), ("a", 2.0, 1.0), ("b", 1.0, 9.0)] {
            let spread = Spread::of(&[median]);
            let point = Point {
                x,
                ratio: spread,
                absolute: spread,
            };
            figure.push(contender, point);
        }
        figure
    }

    #[test]
    fn points_of_one_contender_are_one_series() {
        let points: Vec<_> = figure()
            .series
            .iter()
            .map(|series| (series.contender.clone(), series.points.len()))
            .collect();
        assert_eq!(points, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    }

    #[test]
    fn a_headline_is_the_worst_of_what_is_meant() {
        let of_a = |contender: &str, _: f64| contender == "a";
        let highest = figure().highest(of_a).expect("a point");
        assert_eq!(
            (highest.ratio.median, highest.at.as_str()),
            (3.0, "a, 1 blocks")
        );
        let lowest = figure().lowest(|_, _| true).expect("a point");
        assert_eq!(
            (lowest.ratio.median, lowest.at.as_str()),
            (1.0, "a, 2 blocks")
        );
        assert_eq!(figure().highest(|_, _| false), None);
    }

    #[test]
    fn the_format_is_as_it_was_published() -> Result<(), serde_json::Error> {
        let json = serde_json::json!({
            "key": "key",
            "title": "Title",
            "reference": "bare",
            "x": "blocks",
            "unit": "per_second",
            "series": [
                {"contender": "a", "points": [
                    {
                        "x": 1.0,
                        "ratio": {"median": 3.0, "p10": 3.0, "p90": 3.0, "rounds": 1},
                        "absolute": {"median": 3.0, "p10": 3.0, "p90": 3.0, "rounds": 1},
                    },
                    {
                        "x": 2.0,
                        "ratio": {"median": 1.0, "p10": 1.0, "p90": 1.0, "rounds": 1},
                        "absolute": {"median": 1.0, "p10": 1.0, "p90": 1.0, "rounds": 1},
                    },
                ]},
                {"contender": "b", "points": [
                    {
                        "x": 1.0,
                        "ratio": {"median": 9.0, "p10": 9.0, "p90": 9.0, "rounds": 1},
                        "absolute": {"median": 9.0, "p10": 9.0, "p90": 9.0, "rounds": 1},
                    },
                ]},
            ],
        });
        assert_eq!(serde_json::to_value(figure())?, json);
        assert_eq!(serde_json::from_value::<Figure>(json)?, figure());
        Ok(())
    }
}
