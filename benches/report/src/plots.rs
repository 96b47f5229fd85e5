//! Which figures are drawn, and how.

use crate::axis::Scale;
use crate::numbers::{number, quantity};
use crate::results::{Figure, Point, Results, Unit};
use crate::spread::Spread;
use crate::svg::{AxisText, Line, Place, Plot, Stroke};

/// A plot of some of a figure's contenders.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drawing {
    /// The file's name, without an ending.
    pub(crate) name: &'static str,
    figure: &'static str,
    /// Those to compare with are dashed.
    lines: &'static [(&'static str, Stroke)],
    x: Scale,
    format_x: fn(f64) -> String,
    y: Height,
}

/// What is drawn upwards.
#[derive(Clone, Copy, Debug)]
enum Height {
    Absolute(&'static str),
    Ratio(&'static str),
}

use Stroke::{Dashed, Solid};

pub(crate) const DRAWINGS: [Drawing; 8] = [
    Drawing {
        name: "header-by-record-size",
        figure: "header_reject_vs_get",
        lines: &[
            ("courseblocks, outdated", Solid),
            ("courseblocks, too new", Solid),
            ("courseblocks, foreign", Solid),
            ("bare sled", Dashed),
            ("LMDB", Dashed),
            ("fjall", Dashed),
            ("redb", Dashed),
            ("native_db", Dashed),
        ],
        x: Scale::Logarithmic,
        format_x: bytes,
        y: Height::Absolute("time"),
    },
    Drawing {
        name: "whole-by-blocks",
        figure: "whole_read_vs_parts",
        lines: &[
            ("courseblocks, start_date", Solid),
            ("courseblocks, visibility", Solid),
            ("courseblocks, hidden_content", Solid),
            ("the sum of its parts, start_date", Dashed),
            ("the sum of its parts, visibility", Dashed),
            ("the sum of its parts, hidden_content", Dashed),
        ],
        x: Scale::Logarithmic,
        format_x: count,
        y: Height::Absolute("time"),
    },
    Drawing {
        name: "one-block-by-blocks",
        figure: "one_block_vs_small_get",
        lines: &[
            ("courseblocks", Solid),
            ("courseblocks, structure known", Solid),
            ("bare sled", Dashed),
            ("LMDB, decoded", Dashed),
            ("redb, decoded", Dashed),
            ("fjall, decoded", Dashed),
            ("native_db, decoded", Dashed),
            ("bare sled, course as one value", Dashed),
        ],
        x: Scale::Logarithmic,
        format_x: count,
        y: Height::Absolute("time"),
    },
    Drawing {
        name: "one-block-and-the-original",
        figure: "one_block_vs_original",
        lines: &[("courseblocks", Solid), ("the original, one block", Dashed)],
        x: Scale::Logarithmic,
        format_x: count,
        y: Height::Absolute("time"),
    },
    Drawing {
        name: "transform-and-the-original",
        figure: "transform_vs_original",
        lines: &[
            ("courseblocks", Solid),
            ("the original, read and transformed", Dashed),
            ("the original, read back only", Dashed),
            ("the original, transformed only", Dashed),
        ],
        x: Scale::Logarithmic,
        format_x: count,
        y: Height::Absolute("time"),
    },
    Drawing {
        name: "rewrite-by-blocks",
        figure: "rewrite_vs_bare",
        lines: &[
            ("courseblocks", Solid),
            ("bare sled", Dashed),
            ("LMDB", Dashed),
            ("redb", Dashed),
            ("fjall", Dashed),
            ("native_db", Dashed),
        ],
        x: Scale::Logarithmic,
        format_x: count,
        y: Height::Absolute("time"),
    },
    Drawing {
        name: "disk-by-rewrites",
        figure: "disk_use",
        lines: &[
            ("courseblocks", Solid),
            ("bare sled", Dashed),
            ("LMDB", Dashed),
            ("redb", Dashed),
            ("fjall", Dashed),
            ("native_db", Dashed),
        ],
        x: Scale::Linear,
        format_x: count,
        y: Height::Ratio("bytes on disk / bytes of records"),
    },
    Drawing {
        name: "reads-by-threads",
        figure: "reads_by_threads",
        lines: &[
            ("courseblocks, one block", Solid),
            ("bare sled, get of a record", Dashed),
        ],
        x: Scale::Linear,
        format_x: count,
        y: Height::Ratio("reads a second / by one thread"),
    },
];

impl Drawing {
    /// The plot of a run. `None` where the run has no such figure.
    pub(crate) fn of(&self, results: &Results) -> Option<Plot> {
        let figures = &results.figures;
        let figure = figures.iter().find(|figure| figure.key == self.figure)?;
        let lines = self.lines.iter();
        let lines = lines.filter_map(|(name, stroke)| self.line(figure, name, *stroke));
        Some(Plot {
            title: figure.title.clone(),
            x: AxisText {
                label: figure.x.clone(),
                scale: self.x,
                format: self.format_x,
            },
            y: self.height(figure.unit),
            lines: lines.collect(),
        })
    }

    fn line(&self, figure: &Figure, name: &str, stroke: Stroke) -> Option<Line> {
        let mut series = figure.series.iter();
        let found = series.find(|series| series.contender == name)?;
        let shown = |point: &Point| match self.y {
            Height::Absolute(_) => point.absolute,
            Height::Ratio(_) => point.ratio,
        };
        let points = found.points.iter().map(|point| {
            let Spread {
                median, p10, p90, ..
            } = shown(point);
            Place {
                x: point.x,
                y: median,
                low: p10,
                high: p90,
            }
        });
        Some(Line {
            name: name.to_owned(),
            stroke,
            points: points.collect(),
        })
    }

    fn height(&self, unit: Unit) -> AxisText {
        match self.y {
            Height::Absolute(label) => AxisText {
                label: format!("{label} (this run only)"),
                scale: Scale::Logarithmic,
                format: match unit {
                    Unit::Seconds => |value| quantity(value, Unit::Seconds),
                    Unit::Bytes => |value| quantity(value, Unit::Bytes),
                    Unit::PerSecond => |value| quantity(value, Unit::PerSecond),
                },
            },
            Height::Ratio(label) => AxisText {
                label: label.to_owned(),
                scale: Scale::Linear,
                format: number,
            },
        }
    }
}

fn bytes(value: f64) -> String {
    if value < 1_048_576.0 {
        format!("{} KiB", value / 1024.0)
    } else {
        format!("{} MiB", value / 1_048_576.0)
    }
}

fn count(value: f64) -> String {
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_plot_has_the_contenders_that_took_part() {
        let plot = DRAWINGS[0].of(&sample::results()).expect("a figure");
        let names: Vec<_> = plot.lines.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["bare sled", "LMDB"]);
        assert!(DRAWINGS[1].of(&sample::results()).is_none());
    }

    #[test]
    fn sizes_are_written_in_round_units() {
        let written = [1024.0, 524_288.0, 2_097_152.0].map(bytes);
        assert_eq!(written, ["1 KiB", "512 KiB", "2 MiB"]);
    }
}
