//! A progress bar with rate and time left, on stderr when that is a terminal. Knows counts, not
//! what is counted.

use std::fmt;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// Work under way, or none.
#[derive(Debug)]
pub(super) struct Progress {
    is_wanted: bool,
    bar: Option<ProgressBar>,
}

const TEMPLATE: &str = "{bar:20} {pos}/{len} courses, {rate}, {eta} left  {wide_msg:.dim}";
const BYTES: &str = "{bar:20} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left  {wide_msg:.dim}";
const BYTES_OF_UNKNOWN: &str = "{spinner} {bytes}, {bytes_per_sec}  {wide_msg:.dim}";

impl Progress {
    /// A bar once something is counted, if stderr is a terminal.
    pub(super) fn on_a_terminal() -> Self {
        Self {
            is_wanted: true,
            bar: None,
        }
    }

    /// Never a bar.
    pub(super) fn never() -> Self {
        Self {
            is_wanted: false,
            bar: None,
        }
    }

    /// Begins to count `courses`.
    pub(super) fn begin(&mut self, courses: usize) {
        let courses = u64::try_from(courses).unwrap_or(u64::MAX);
        self.begin_bar(Some(courses), TEMPLATE);
    }

    /// Begins to count bytes, of so many where that is known.
    pub(super) fn begin_bytes(&mut self, bytes: Option<u64>) {
        let template = bytes.map_or(BYTES_OF_UNKNOWN, |_| BYTES);
        self.begin_bar(bytes, template);
    }

    fn begin_bar(&mut self, len: Option<u64>, template: &str) {
        if !self.is_wanted {
            return;
        }
        self.end();
        // Draws nothing where stderr is no terminal.
        let bar = ProgressBar::with_draw_target(len, ProgressDrawTarget::stderr());
        bar.set_style(style(template));
        bar.enable_steady_tick(Duration::from_millis(200));
        self.bar = Some(bar);
    }

    /// So many of so many are done. What was done before the first call is not counted as quick.
    pub(super) fn set(&mut self, done: u64, courses: u64) {
        let is_new = self.bar.is_none();
        if is_new {
            self.begin(0);
        }
        if let Some(bar) = &self.bar {
            bar.set_length(courses);
            bar.set_position(done);
            if is_new {
                bar.reset_eta();
            }
        }
    }

    /// Whether there is a bar, or will be, that somebody sees.
    pub(super) fn is_seen(&self) -> bool {
        self.is_wanted && !ProgressDrawTarget::stderr().is_hidden()
    }

    /// Says which course it is now.
    pub(super) fn at(&self, course: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(course.to_owned());
        }
    }

    /// One more course is done.
    pub(super) fn advance(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// So many are done.
    pub(super) fn reach(&self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Prints without tearing the bar.
    pub(super) fn aside<R>(&self, print: impl FnOnce() -> R) -> R {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    // A test sees to it that the templates can be drawn.
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    style.with_key(
        "rate",
        |state: &ProgressState, text: &mut dyn fmt::Write| {
            // A bar that cannot be drawn changes nothing.
            let _ = write!(text, "{:.1}/s", state.per_sec());
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bars_have_templates_that_can_be_drawn() {
        for template in [TEMPLATE, BYTES, BYTES_OF_UNKNOWN] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
