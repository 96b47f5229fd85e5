//! Lines with emphasis, drawn in colour where a terminal shows it. All text in them is safe to
//! show. Knows emphasis and widths, not what is told.

use console::Style;
use unicode_width::UnicodeWidthStr;

use super::text::plain;

/// How a part of a line stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Plain,
    Strong,
    Faint,
    Good,
    Caution,
    Bad,
}

/// One line, part by part.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    // Invariant: safe to show.
    parts: Vec<(Ink, String)>,
}

impl Line {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// A line of one part.
    pub(super) fn of(ink: Ink, text: impl AsRef<str>) -> Self {
        Self::new().with(ink, text)
    }

    /// The line with one more part.
    #[must_use]
    pub(super) fn with(mut self, ink: Ink, text: impl AsRef<str>) -> Self {
        self.push(ink, text);
        self
    }

    pub(super) fn push(&mut self, ink: Ink, text: impl AsRef<str>) {
        self.parts.push((ink, plain(text.as_ref()).into_owned()));
    }

    pub(super) fn append(&mut self, other: &Self) {
        self.parts.extend_from_slice(&other.parts);
    }

    /// How many columns a terminal shows it in.
    pub(super) fn width(&self) -> usize {
        self.parts.iter().map(|(_, text)| text.width()).sum()
    }

    /// Takes spaces at its end away.
    pub(super) fn trim_end(&mut self) {
        while let Some((_, text)) = self.parts.last_mut() {
            text.truncate(text.trim_end().len());
            if !text.is_empty() {
                break;
            }
            self.parts.pop();
        }
    }

    pub(super) fn without_colour(&self) -> String {
        self.parts.iter().map(|(_, text)| text.as_str()).collect()
    }

    pub(super) fn in_colour(&self) -> String {
        let parts = self.parts.iter();
        parts
            .map(|(ink, text)| match ink.style() {
                Some(style) => style.apply_to(text).to_string(),
                None => text.clone(),
            })
            .collect()
    }
}

impl<T: AsRef<str>> From<T> for Line {
    fn from(text: T) -> Self {
        Self::of(Ink::Plain, text)
    }
}

impl Ink {
    fn style(self) -> Option<Style> {
        // Whether there is colour at all is decided where lines are printed.
        let style = Style::new().force_styling(true);
        Some(match self {
            Self::Plain => return None,
            Self::Strong => style.bold(),
            Self::Faint => style.dim(),
            Self::Good => style.green(),
            Self::Caution => style.yellow(),
            Self::Bad => style.red(),
        })
    }
}

/// The text in lines that are at most `width` columns wide, broken between words. A word that is
/// wider stands alone.
pub(super) fn folded(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let needed = word.width();
        match lines.last_mut() {
            Some(line) if used == 0 || used + 1 + needed <= width => {
                if used > 0 {
                    line.push(' ');
                    used += 1;
                }
                line.push_str(word);
                used += needed;
            }
            _ => {
                lines.push(word.to_owned());
                used = needed;
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_changes_nothing_but_colour() {
        let line = Line::of(Ink::Bad, "a\u{1b}[2J").with(Ink::Plain, " b");
        assert_eq!(line.without_colour(), r"a\u{1b}[2J b");
        assert_eq!(line.in_colour(), "\u{1b}[31ma\\u{1b}[2J\u{1b}[0m b");
        assert_eq!(line.width(), line.without_colour().width());
    }

    #[test]
    fn spaces_at_the_end_go_whatever_their_ink() {
        let mut line = Line::of(Ink::Bad, "a ").with(Ink::Good, "  ");
        line.trim_end();
        assert_eq!(line.without_colour(), "a");
    }

    #[track_caller]
    fn check(text: &str, width: usize, expected: &[&str]) {
        assert_eq!(folded(text, width), expected);
    }

    #[test]
    fn text_is_broken_between_words() {
        check("", 5, &[""]);
        check("one two three", 7, &["one two", "three"]);
        check("one two three", 6, &["one", "two", "three"]);
        check("unbreakable it is", 4, &["unbreakable", "it", "is"]);
        check("美学 美学", 5, &["美学", "美学"]);
    }
}
