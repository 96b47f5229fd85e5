//! A plot as SVG: lines with their ranges, axes with units, a legend. It knows nothing of what is
//! measured.

use std::fmt::Write as _;

use crate::axis::{Axis, Scale};

/// What is drawn.
#[derive(Debug)]
pub(crate) struct Plot {
    pub(crate) title: String,
    pub(crate) x: AxisText,
    pub(crate) y: AxisText,
    pub(crate) lines: Vec<Line>,
}

/// What stands along an axis.
#[derive(Debug)]
pub(crate) struct AxisText {
    /// With its unit.
    pub(crate) label: String,
    pub(crate) scale: Scale,
    /// How a value is written.
    pub(crate) format: fn(f64) -> String,
}

/// One contender.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) stroke: Stroke,
    pub(crate) points: Vec<Place>,
}

/// Whether a line is one of ours or one to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stroke {
    Solid,
    Dashed,
}

/// A point and the range around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 290.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 58.0;

/// Seen on white as on black.
const COLOURS: [&str; 8] = [
    "#2f81f7", "#d29922", "#3fa45b", "#db61a2", "#a371f7", "#e5534b", "#1b9e9e", "#8b949e",
];

/// Text and grid follow the reader's theme.
const STYLE: &str = "
  text { font: 13px system-ui, sans-serif; fill: #424a53 }
  .title { font-size: 15px; font-weight: 600 }
  .grid { stroke: #8b949e; stroke-opacity: 0.3 }
  .axis { stroke: #6e7681; fill: none }
  .line { fill: none; stroke-width: 2 }
  .range { stroke-width: 1.5; stroke-opacity: 0.55 }
  @media (prefers-color-scheme: dark) { text { fill: #c9d1d9 } }
";

impl Plot {
    /// The plot as a file. `None` where there is nothing to show.
    pub(crate) fn to_svg(&self) -> Option<String> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x = Axis::over(self.x.scale, points().map(|point| point.x))?;
        let y = points().flat_map(|point| [point.low, point.y, point.high]);
        let y = Axis::over(self.y.scale, y)?.rounded();
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             role=\"img\" aria-label=\"{title}\">\n<style>{STYLE}</style>\n\
             <text class=\"title\" x=\"{LEFT}\" y=\"24\">{title}</text>\n",
            title = escape(&self.title),
        );
        // Writing to a string does not fail.
        let _ = self.write_axes(&mut svg, x, y);
        for (number, line) in self.lines.iter().enumerate() {
            let _ = write_line(&mut svg, line, number, x, y);
        }
        svg.push_str("</svg>\n");
        Some(svg)
    }

    fn write_axes(&self, svg: &mut String, x: Axis, y: Axis) -> std::fmt::Result {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in y.ticks() {
            let at = down(y.place(tick));
            writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\n\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                at + 4.0,
                escape(&(self.y.format)(tick)),
            )?;
        }
        // There are few sizes, and each is of interest.
        for value in self.sizes() {
            let at = across(x.place(value));
            writeln!(
                svg,
                "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\n\
                 <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                bottom + 18.0,
                escape(&(self.x.format)(value)),
            )?;
        }
        writeln!(
            svg,
            "<path class=\"axis\" d=\"M{LEFT} {TOP}V{bottom}H{right}\"/>\n\
             <text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n\
             <text transform=\"translate(18 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            f64::midpoint(LEFT, right),
            HEIGHT - 14.0,
            escape(&self.x.label),
            f64::midpoint(TOP, bottom),
            escape(&self.y.label),
        )
    }

    /// The places on the horizontal axis that have points, each once.
    fn sizes(&self) -> Vec<f64> {
        let points = self.lines.iter().flat_map(|line| &line.points);
        let mut sizes: Vec<_> = points.map(|point| point.x).collect();
        sizes.sort_by(f64::total_cmp);
        sizes.dedup();
        sizes
    }
}

fn write_line(svg: &mut String, line: &Line, number: usize, x: Axis, y: Axis) -> std::fmt::Result {
    let colour = COLOURS[number % COLOURS.len()];
    let dash = match line.stroke {
        Stroke::Solid => "",
        Stroke::Dashed => " stroke-dasharray=\"6 4\"",
    };
    let places: Vec<_> = line
        .points
        .iter()
        .map(|point| (across(x.place(point.x)), down(y.place(point.y)), point))
        .collect();
    let path: Vec<_> = places
        .iter()
        .map(|(across, down, _)| format!("{across:.1} {down:.1}"))
        .collect();
    writeln!(
        svg,
        "<path class=\"line\" stroke=\"{colour}\"{dash} d=\"M{}\"/>",
        path.join("L"),
    )?;
    for (across, at, point) in &places {
        let (low, high) = (down(y.place(point.low)), down(y.place(point.high)));
        writeln!(
            svg,
            "<line class=\"range\" stroke=\"{colour}\" x1=\"{across:.1}\" x2=\"{across:.1}\" \
             y1=\"{low:.1}\" y2=\"{high:.1}\"/>\n\
             <circle cx=\"{across:.1}\" cy=\"{at:.1}\" r=\"3.5\" fill=\"{colour}\"/>",
        )?;
    }
    let (left, row) = (WIDTH - RIGHT + 18.0, TOP + 8.0 + 22.0 * float(number));
    writeln!(
        svg,
        "<path class=\"line\" stroke=\"{colour}\"{dash} d=\"M{left} {row}h26\"/>\n\
         <text x=\"{}\" y=\"{}\">{}</text>",
        left + 34.0,
        row + 4.0,
        escape(&line.name),
    )
}

fn across(place: f64) -> f64 {
    // Points do not lie on the edges.
    LEFT + 20.0 + place * (WIDTH - RIGHT - LEFT - 40.0)
}

fn down(place: f64) -> f64 {
    HEIGHT - BOTTOM - place * (HEIGHT - BOTTOM - TOP)
}

#[expect(clippy::cast_precision_loss, reason = "a handful of lines")]
fn float(number: usize) -> f64 {
    number as f64
}

/// Text as it may stand in an element or an attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<Place>) -> Plot {
        let axis = |label: &str, scale| AxisText {
            label: label.to_owned(),
            scale,
            format: |value| value.to_string(),
        };
        Plot {
            title: "A \"<title>\" & more".to_owned(),
            x: axis("size < 5", Scale::Logarithmic),
            y: axis("time", Scale::Logarithmic),
            lines: vec![Line {
                name: "a & b".to_owned(),
                stroke: Stroke::Dashed,
                points,
            }],
        }
    }

    fn point(x: f64, y: f64) -> Place {
        Place {
            x,
            y,
            low: y / 2.0,
            high: y * 2.0,
        }
    }

    #[test]
    fn text_is_escaped_wherever_it_stands() {
        let svg = plot(vec![point(1.0, 2.0), point(10.0, 20.0)]).to_svg();
        let svg = svg.expect("a plot");
        assert!(svg.contains("aria-label=\"A &quot;&lt;title&gt;&quot; &amp; more\""));
        assert!(svg.contains(">size &lt; 5</text>"));
        assert!(svg.contains(">a &amp; b</text>"));
        assert!(!svg.contains("a & b"));
        assert_eq!(escape("it's"), "it&#39;s");
    }

    #[test]
    fn a_higher_value_stands_higher() {
        let svg = plot(vec![point(1.0, 2.0), point(10.0, 20.0)]).to_svg();
        let svg = svg.expect("a plot");
        let heights: Vec<f64> = svg
            .split("cy=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(heights.len(), 2);
        assert!(heights[0] > heights[1]);
    }

    #[test]
    fn nothing_is_no_plot() {
        assert!(plot(Vec::new()).to_svg().is_none());
    }
}
