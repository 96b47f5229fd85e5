//! `docs/performance.md`: a template with places that are filled from the results of a run.

use crate::numbers::{number, quantity};
use crate::plots::DRAWINGS;
use crate::results::{Results, Unit};
use crate::tables;

/// Prose that depends on no figure.
const TEMPLATE: &str = include_str!("../template.md");

/// What the original needs for a course of 5,000 blocks, measured with the original itself: to
/// read it back, and to apply two transformers.
const ORIGINAL_SECONDS: [f64; 2] = [0.251, 0.228];

/// The whole page.
///
/// # Errors
/// Which place of the template is not known.
pub(crate) fn render(results: &Results) -> Result<String, String> {
    fill(TEMPLATE, results)
}

/// Fills every `{{place}}`.
fn fill(template: &str, results: &Results) -> Result<String, String> {
    let mut page = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (place, after) = after.split_once("}}").ok_or("a place does not end")?;
        page.push_str(before);
        page.push_str(&filled(place, results)?);
        rest = after;
    }
    page.push_str(rest);
    Ok(page)
}

fn filled(place: &str, results: &Results) -> Result<String, String> {
    let (kind, name) = place.split_once(' ').unwrap_or((place, ""));
    match (kind, name) {
        ("run", "") => Ok(run(results)),
        ("versions", "") => Ok(versions(results)),
        ("goals", "") => Ok(tables::goals(results).trim_end().to_owned()),
        ("missed", "") => Ok(tables::missed(results)),
        ("original", "") => Ok(original(results)),
        ("table", key) => {
            let mut figures = results.figures.iter();
            let found = figures.find(|figure| figure.key == key);
            Ok(found.map_or_else(
                || not_measured(results),
                |figure| tables::figure(figure).trim_end().to_owned(),
            ))
        }
        ("plot", name) => {
            let mut drawings = DRAWINGS.iter();
            let drawing = drawings.find(|drawing| drawing.name == name);
            let drawing = drawing.ok_or_else(|| format!("there is no plot {name:?}"))?;
            Ok(drawing.of(results).map_or(String::new(), |plot| {
                format!("![{}](performance/{name}.svg)", plot.title)
            }))
        }
        _ => Err(format!("nothing is known of {place:?}")),
    }
}

fn run(results: &Results) -> String {
    let machine = &results.machine;
    let memory = machine.memory_bytes >> 30;
    let mut text = format!(
        "Measured {} in {} s on {} cores of {}, {memory} GiB of memory, Linux {}.",
        results.date,
        number(results.seconds),
        machine.cores,
        machine.cpu,
        machine.kernel
    );
    if results.quick {
        text.push_str(" It was a short run (`--quick`), whose figures say less.");
    }
    for reason in &results.left_out {
        text.push_str("\n\nLeft out: ");
        text.push_str(reason);
        text.push('.');
    }
    text
}

fn versions(results: &Results) -> String {
    let versions = results.versions.iter();
    let versions = versions.map(
        |(name, version)| match version.strip_prefix(name.as_str()) {
            // Compilers tell their names themselves.
            Some(version) => format!("{name} {}", version.trim()),
            None => format!("{name} {version}"),
        },
    );
    versions.collect::<Vec<_>>().join(", ")
}

/// How courseblocks compares with the original itself rather than with its re-creation.
fn original(results: &Results) -> String {
    let figures = results.figures.iter();
    let figure = figures.filter(|figure| figure.key == "transform_vs_original");
    let series = figure.flat_map(|figure| &figure.series);
    let ours = series.filter(|series| series.contender == "courseblocks");
    let mut points = ours.flat_map(|series| &series.points);
    let at_5000 = points.find(|point| (point.x - 5_000.0).abs() < 0.5);
    at_5000.map_or_else(
        || not_measured(results),
        |point| {
            let seconds = point.absolute.median;
            let [read, transform] = ORIGINAL_SECONDS;
            format!(
                "The original itself was measured once, elsewhere: {} to read a course of 5,000 \
                 blocks back and {} for the two transformers. courseblocks took {} for both in \
                 this run, {} times less; but the machines were not the same.",
                quantity(read, Unit::Seconds),
                quantity(transform, Unit::Seconds),
                quantity(seconds, Unit::Seconds),
                number((read + transform) / seconds)
            )
        },
    )
}

fn not_measured(results: &Results) -> String {
    let reasons = results.left_out.join("; ");
    format!("Not measured in this run ({reasons}).")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn the_template_has_a_place_for_every_plot_and_no_place_that_is_not_known() {
        let page = render(&sample::results()).expect("known places");
        assert!(!page.contains("{{") && !page.contains("}}"));
        for drawing in DRAWINGS {
            assert!(TEMPLATE.contains(&format!("{{{{plot {}}}}}", drawing.name)));
        }
    }

    #[test]
    fn a_place_that_is_not_known_is_an_error() {
        let results = sample::results();
        assert!(fill("a {{plot nothing}}", &results).is_err());
        assert!(fill("a {{something}}", &results).is_err());
        assert!(fill("a {{goals", &results).is_err());
        assert_eq!(fill("a", &results).as_deref(), Ok("a"));
    }

    #[test]
    fn what_was_not_measured_is_said_to_be_so() {
        let filled = fill("{{table transform_vs_original}}", &sample::results());
        let expected = "Not measured in this run (the original: python3 does not run).";
        assert_eq!(filled.as_deref(), Ok(expected));
    }

    #[test]
    fn a_run_tells_its_machine() {
        let text = run(&sample::results());
        assert!(text.contains("2 cores of A processor, 8 GiB of memory"));
        assert!(text.contains("--quick"));
        assert_eq!(versions(&sample::results()), "sled 0.34.7");
    }
}
