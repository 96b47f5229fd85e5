//! Text that is safe to show: courses are written by strangers, and a terminal obeys what it is
//! shown. Knows characters, not what they say.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::timestamp::Timestamp;

/// The text with every character that could move the cursor, change colours, break the line or
/// turn the reading direction written out, as `\u{1b}`.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_command) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_command(character) {
            safe.extend(character.escape_unicode());
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

/// A point in time without its microseconds, for people.
pub(super) fn to_the_second(at: Timestamp) -> String {
    let text = at.to_string();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

/// The same JSON with those characters written as JSON escapes. They can only stand inside
/// strings, so nothing needs to be parsed; line breaks between values stay.
pub(super) fn plain_json(json: &str) -> Cow<'_, str> {
    let is_command = |character| character != '\n' && is_command(character);
    if !json.chars().any(is_command) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if is_command(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

/// What a terminal does not just show: controls of both sets, separators that end a line, and
/// marks that turn the direction of what follows.
fn is_command(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(plain(text), expected);
        assert_eq!(plain(expected), expected, "twice is as good as once");
    }

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        check("\u{1b}[31mred\u{7}", r"\u{1b}[31mred\u{7}");
        check("a\nb\rc\td", r"a\u{a}b\u{d}c\u{9}d");
        check("\u{9b}2J\u{7f}", r"\u{9b}2J\u{7f}");
        check("\u{202e}evil\u{2028}", r"\u{202e}evil\u{2028}");
    }

    #[test]
    fn what_people_write_stays() {
        for text in ["", "Ästhetik — 美学", "a\\u{1b}", "👩‍🏫 שלום"] {
            assert!(matches!(plain(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn people_are_told_whole_seconds() {
        for at in ["2026-03-01T12:00:00.250000Z", "2026-03-01T12:00:00Z"] {
            assert_eq!(to_the_second(at.parse().unwrap()), "2026-03-01T12:00:00Z");
        }
    }

    #[test]
    fn json_says_the_same_without_commands() {
        let value = serde_json::json!({ "title\u{85}": "\u{9b}31m\u{202e}\u{1b}\n", "n": [1] });
        for json in [
            value.to_string(),
            serde_json::to_string_pretty(&value).unwrap(),
        ] {
            let safe = plain_json(&json);
            assert!(
                !safe.chars().any(|c| c != '\n' && is_command(c)),
                "{safe:?}"
            );
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&safe).unwrap(),
                value
            );
        }
    }
}
