//! JSON as Python reads it: names in their order, the last of equal ones wins, `NaN` is a number.
//! Knows nothing of fields.

use std::collections::HashMap;

use crate::field::FieldValue;

/// A JSON value whose objects keep the order of the document: a policy key can undo the ones
/// that were written before it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Int(i64),
    /// Also whole numbers beyond 64 bits, and `NaN` and the infinities, which only Python accepts.
    Float(f64),
    Text(String),
    List(Vec<Json>),
    // Invariant: no name stands twice.
    Dict(Vec<(String, Json)>),
}

/// A text that is no JSON, or nested too deep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotJson {
    /// Where the reader gave up, from 1.
    pub(super) line: u32,
}

/// Python gives up near 1,000; nothing that describes a course comes near this.
const MAX_DEPTH: usize = 128;

impl Json {
    pub(super) fn parse(text: &str) -> Result<Self, NotJson> {
        let mut parser = Parser { text, at: 0 };
        parser.document().ok_or_else(|| NotJson {
            line: parser.line(),
        })
    }

    /// About how much memory a copy takes.
    pub(super) fn bytes(&self) -> usize {
        let inner = match self {
            Self::Text(text) => text.len(),
            Self::List(values) => values.iter().map(Self::bytes).sum(),
            Self::Dict(entries) => {
                let sizes = entries
                    .iter()
                    .map(|(name, value)| name.len() + value.bytes());
                sizes.sum()
            }
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) => 0,
        };
        inner + size_of::<Self>()
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a name, if this is an object that has it.
    pub(super) fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Self::Dict(entries) => entries
                .iter()
                .find_map(|(key, value)| (key == name).then_some(value)),
            _ => None,
        }
    }
}

/// As it is: no text becomes a date here.
impl From<Json> for FieldValue {
    fn from(json: Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(value),
            Json::Int(value) => Self::Int(value),
            Json::Float(value) => Self::Float(value),
            Json::Text(value) => Self::String(value),
            Json::List(values) => Self::List(values.into_iter().map(Self::from).collect()),
            Json::Dict(entries) => Self::Dict(
                entries
                    .into_iter()
                    .map(|(name, value)| (name, value.into()))
                    .collect(),
            ),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    // Invariant: at a character boundary, not beyond the end.
    at: usize,
}

impl<'a> Parser<'a> {
    fn document(&mut self) -> Option<Json> {
        let value = self.value(MAX_DEPTH)?;
        self.skip_space();
        self.rest().is_empty().then_some(value)
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        self.skip_space();
        match self.peek()? {
            b'{' => self.dict(depth.checked_sub(1)?),
            b'[' => self.list(depth.checked_sub(1)?),
            b'"' => self.string().map(Json::Text),
            b'-' if self.take("-Infinity") => Some(Json::Float(f64::NEG_INFINITY)),
            b'-' | b'0'..=b'9' => self.number(),
            _ => [
                ("null", Json::Null),
                ("true", Json::Bool(true)),
                ("false", Json::Bool(false)),
                ("NaN", Json::Float(f64::NAN)),
                ("Infinity", Json::Float(f64::INFINITY)),
            ]
            .into_iter()
            .find_map(|(word, value)| self.take(word).then_some(value)),
        }
    }

    fn dict(&mut self, depth: usize) -> Option<Json> {
        self.take("{");
        let mut entries = Vec::new();
        self.skip_space();
        if self.take("}") {
            return Some(Json::Dict(entries));
        }
        loop {
            self.skip_space();
            let name = self.string()?;
            self.skip_space();
            if !self.take(":") {
                return None;
            }
            entries.push((name, self.value(depth)?));
            self.skip_space();
            if self.take("}") {
                return Some(Json::Dict(last_of_equal_names(entries)));
            }
            if !self.take(",") {
                return None;
            }
        }
    }

    fn list(&mut self, depth: usize) -> Option<Json> {
        self.take("[");
        let mut values = Vec::new();
        self.skip_space();
        if self.take("]") {
            return Some(Json::List(values));
        }
        loop {
            values.push(self.value(depth)?);
            self.skip_space();
            if self.take("]") {
                return Some(Json::List(values));
            }
            if !self.take(",") {
                return None;
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        if !self.take("\"") {
            return None;
        }
        let mut value = String::new();
        loop {
            let rest = self.rest();
            let end = rest.find(|c: char| c == '"' || c == '\\' || c < ' ')?;
            value.push_str(rest.get(..end)?);
            self.at += end;
            if self.take("\"") {
                return Some(value);
            }
            if !self.take("\\") {
                return None;
            }
            value.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Option<char> {
        let kind = self.peek()?;
        let character = match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.code_point();
            }
            _ => return None,
        };
        self.at += 1;
        Some(character)
    }

    /// Four digits, or twice four for a pair of surrogates. Python keeps a lone surrogate, which
    /// no text in UTF-8 can hold: it becomes the replacement character.
    fn code_point(&mut self) -> Option<char> {
        let first = self.hex4()?;
        if (0xd800..0xdc00).contains(&first) {
            let before = self.at;
            if self.take("\\u")
                && let Some(second) = self.hex4()
                && (0xdc00..0xe000).contains(&second)
            {
                return char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00));
            }
            self.at = before;
        }
        Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.rest().get(..4)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }

    fn number(&mut self) -> Option<Json> {
        let rest = self.rest();
        let sign = usize::from(rest.starts_with('-'));
        let whole = digits(rest.get(sign..)?);
        if whole == 0 || (whole > 1 && rest.get(sign..)?.starts_with('0')) {
            return None;
        }
        let mut end = sign + whole;
        if let Some(fraction) = rest.get(end..)?.strip_prefix('.')
            && digits(fraction) > 0
        {
            end += 1 + digits(fraction);
        }
        if let Some(exponent) = rest.get(end..)?.strip_prefix(['e', 'E']) {
            let signed = usize::from(exponent.starts_with(['+', '-']));
            let power = digits(exponent.get(signed..)?);
            if power > 0 {
                end += 1 + signed + power;
            }
        }
        let number = rest.get(..end)?;
        self.at += end;
        let is_whole = end == sign + whole;
        match number.parse() {
            Ok(value) if is_whole => Some(Json::Int(value)),
            _ => number.parse().ok().map(Json::Float),
        }
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn peek(&self) -> Option<u8> {
        self.rest().bytes().next()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn line(&self) -> u32 {
        let read = self.text.get(..self.at).unwrap_or_default();
        let newlines = read.bytes().filter(|byte| *byte == b'\n').count();
        u32::try_from(newlines).map_or(u32::MAX, |newlines| newlines.saturating_add(1))
    }
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// A later value takes the place of an earlier one with the same name, as in Python's dicts.
fn last_of_equal_names(entries: Vec<(String, Json)>) -> Vec<(String, Json)> {
    let mut places: HashMap<String, usize> = HashMap::with_capacity(entries.len());
    let mut unique: Vec<(String, Json)> = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        if let Some(earlier) = places.get(&name).and_then(|place| unique.get_mut(*place)) {
            earlier.1 = value;
        } else {
            places.insert(name.clone(), unique.len());
            unique.push((name, value));
        }
    }
    unique
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &Json) {
        assert_eq!(Json::parse(text).as_ref(), Ok(expected), "{text}");
    }

    #[test]
    fn plain_json_reads_as_everyone_reads_it() {
        for text in [
            "null",
            " [1, -2, 0, 3.5, 1e3, -0.25E-2, 123456789012]\n",
            r#"{"a": [], "b": {}, "c": {"d": [true, false, null]}}"#,
            r#""a\"b\\c\/d\b\f\n\r\té\u00e9\ud83d\ude42""#,
            "\t\"\"\r\n",
            "9223372036854775807",
        ] {
            let theirs: serde_json::Value = serde_json::from_str(text).unwrap();
            let ours = Json::parse(text).unwrap();
            assert_eq!(FieldValue::from(ours), FieldValue::from(&theirs), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused_here_too() {
        for text in [
            "",
            " ",
            "nul",
            "nulll",
            "[1,]",
            "[1 2]",
            "{a: 1}",
            "{\"a\" 1}",
            "{\"a\": 1,}",
            "{,}",
            "[",
            "{",
            "\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u+123\"",
            "\"a\nb\"",
            "01",
            "-",
            "+1",
            ".5",
            "1.",
            "1.e5",
            "1e",
            "0x10",
            "'a'",
            "1 2",
            "-infinity",
            "nan",
            "True",
            "\u{feff}1",
        ] {
            assert!(Json::parse(text).is_err(), "{text}");
            assert!(
                serde_json::from_str::<serde_json::Value>(text).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn python_also_accepts_numbers_that_are_none() {
        check("Infinity", &Json::Float(f64::INFINITY));
        check(
            "[-Infinity]",
            &Json::List(vec![Json::Float(f64::NEG_INFINITY)]),
        );
        check("1e999", &Json::Float(f64::INFINITY));
        check(
            "18446744073709551616",
            &Json::Float(18_446_744_073_709_551_616.0),
        );
        assert!(matches!(Json::parse("NaN"), Ok(Json::Float(value)) if value.is_nan()));
        check(r#""\ud800x""#, &Json::Text("\u{fffd}x".into()));
        check(r#""\ud800\u0041""#, &Json::Text("\u{fffd}A".into()));
    }

    #[test]
    fn the_last_of_equal_names_wins_in_the_place_of_the_first() {
        let entries = [("b", 3), ("a", 2)];
        let expected = entries.map(|(name, value)| (name.to_owned(), Json::Int(value)));
        check(
            r#"{"b": 1, "a": 2, "b": 3}"#,
            &Json::Dict(expected.into_iter().collect()),
        );
    }

    #[test]
    fn deep_nesting_is_refused_without_a_deep_stack() {
        let deep = "[".repeat(1_000_000);
        assert!(Json::parse(&deep).is_err());
        let fits = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        assert!(Json::parse(&fits).is_ok());
        let too_deep = format!("[{fits}]");
        assert!(Json::parse(&too_deep).is_err());
    }

    #[test]
    fn the_line_of_the_fault_is_known() {
        assert_eq!(Json::parse("{\n\"a\":\n?}"), Err(NotJson { line: 3 }));
    }
}
