//! The hash by which the original notices that a course is graded differently: the policy printed
//! as Python prints JSON, so that the hash is the same as an LMS has.

use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::field::FieldValue;

/// What a course has that does not say how it is graded, already in print.
const DEFAULT_POLICY: &str = concat!(
    r#"{"GRADER":["#,
    r#"{"drop_count":2,"min_count":12,"short_label":"HW","type":"Homework","weight":0.15},"#,
    r#"{"drop_count":2,"min_count":12,"type":"Lab","weight":0.15},"#,
    r#"{"drop_count":0,"min_count":1,"short_label":"Midterm","type":"Midterm Exam","weight":0.3},"#,
    r#"{"drop_count":0,"min_count":1,"short_label":"Final","type":"Final Exam","weight":0.4}],"#,
    r#""GRADE_CUTOFFS":{"Pass":0.5}}"#,
);

/// Base64 of the SHA-1 over the policy as compact JSON with sorted keys.
pub(super) fn grading_policy_hash(policy: Option<&FieldValue>) -> String {
    let mut text = String::new();
    match policy {
        None => text.push_str(DEFAULT_POLICY),
        Some(policy) => print(policy, &mut text),
    }
    STANDARD.encode(Sha1::digest(text))
}

fn print(value: &FieldValue, text: &mut String) {
    match value {
        FieldValue::Null => text.push_str("null"),
        FieldValue::Bool(true) => text.push_str("true"),
        FieldValue::Bool(false) => text.push_str("false"),
        FieldValue::Int(value) | FieldValue::Seconds(value) => text.push_str(&value.to_string()),
        FieldValue::Float(value) => print_float(*value, text),
        FieldValue::String(value) => print_text(value, text),
        FieldValue::Date(value) => print_text(&value.to_string(), text),
        FieldValue::List(values) => {
            text.push('[');
            for (value, separator) in values.iter().zip(separators()) {
                text.push_str(separator);
                print(value, text);
            }
            text.push(']');
        }
        FieldValue::Dict(values) => {
            text.push('{');
            for ((name, value), separator) in values.iter().zip(separators()) {
                text.push_str(separator);
                print_text(name, text);
                text.push(':');
                print(value, text);
            }
            text.push('}');
        }
    }
}

fn separators() -> impl Iterator<Item = &'static str> {
    std::iter::once("").chain(std::iter::repeat(","))
}

/// ASCII only: everything else as UTF-16 in escapes.
fn print_text(value: &str, text: &mut String) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            ' '..='~' => text.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
        }
    }
    text.push('"');
}

/// Both languages print the fewest digits that give the number back. Python has an exponent below
/// 0.0001 and from 10^16 on, with a sign and two digits at least.
fn print_float(value: f64, text: &mut String) {
    if value.is_nan() {
        text.push_str("NaN");
    } else if value.is_infinite() {
        text.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    } else {
        let scientific = format!("{value:e}");
        let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        if (-4..16).contains(&exponent) {
            let _ = write!(text, "{value:?}");
        } else {
            let sign = if exponent < 0 { '-' } else { '+' };
            let _ = write!(text, "{digits}e{sign}{:02}", exponent.unsigned_abs());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &FieldValue, expected: &str) {
        let mut text = String::new();
        print(value, &mut text);
        assert_eq!(text, expected);
    }

    #[test]
    fn floats_are_printed_as_python_does() {
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.15, "0.15"),
            (1234.5, "1234.5"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
            (1e16, "1e+16"),
            (1.25e300, "1.25e+300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            check(&FieldValue::Float(value), expected);
        }
    }

    #[test]
    fn text_is_printed_in_ascii() {
        let text = FieldValue::String("Übung \"1\"\\\n\u{7f}\u{1f600}".to_owned());
        let expected = r#""\u00dcbung \"1\"\\\n\u007f\ud83d\ude00""#;
        check(&text, expected);
    }

    /// The hash is that of `{"GRADER":[],"GRADE_CUTOFFS":{"Pass":0.5}}`, from the original.
    #[test]
    fn the_hash_is_over_compact_json_with_sorted_keys() {
        let cutoffs = [("Pass".to_owned(), FieldValue::Float(0.5))];
        let policy = FieldValue::Dict(
            [
                ("GRADE_CUTOFFS", FieldValue::Dict(cutoffs.into())),
                ("GRADER", FieldValue::List(Vec::new())),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        );
        check(&policy, r#"{"GRADER":[],"GRADE_CUTOFFS":{"Pass":0.5}}"#);
        let hash = grading_policy_hash(Some(&policy));
        assert_eq!(hash, "254c/s1hzb4ClFJK6OLNNXIN6P0=");
    }
}
