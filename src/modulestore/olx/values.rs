//! Decodes what authors and Studio wrote into the values of fields, by the rules of the original's
//! field classes. Knows no files and no inheritance.

use super::dates;
use super::field_types::FieldType;
use super::json::Json;
use super::partitions;
use crate::field::{FieldMap, FieldValue};
use crate::key::{CourseKey, UsageKey};
use crate::timestamp::Timestamp;

/// A value that its field's type refuses.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BadValue {
    /// What the field holds all the same, where leaving it unset would hide more than it helps.
    pub(super) kept: Option<FieldValue>,
    /// Why, without the value.
    pub(super) reason: &'static str,
}

/// The text of an XML attribute. Studio writes JSON, people write text: what is JSON of a kind that
/// the type takes is JSON, and all else is text.
pub(super) fn from_attribute(
    field_type: FieldType,
    text: &str,
    course: &CourseKey,
) -> Result<FieldValue, BadValue> {
    if let Ok(json) = Json::parse(text) {
        match from_json(field_type, json, course) {
            Ok(value) => return Ok(value),
            Err(bad) if bad.kept.is_some() => return Err(bad),
            Err(_) => {}
        }
    }
    from_json(field_type, Json::Text(text.to_owned()), course)
}

/// The text of an attribute of a self-contained block: text as it is, and YAML for all else.
pub(super) fn from_plain_text(
    field_type: FieldType,
    text: &str,
    course: &CourseKey,
) -> Result<FieldValue, BadValue> {
    match field_type {
        FieldType::String => Ok(FieldValue::String(text.to_owned())),
        _ => from_json(field_type, from_yaml(text), course),
    }
}

/// A value of policy.json or of `<meta>`, which is not decoded a second time.
pub(super) fn from_json(
    field_type: FieldType,
    json: Json,
    course: &CourseKey,
) -> Result<FieldValue, BadValue> {
    if json == Json::Null {
        return Ok(FieldValue::Null);
    }
    match field_type {
        FieldType::Boolean => Ok(FieldValue::Bool(truth(&json))),
        FieldType::Integer => integer(&json),
        FieldType::Float => float(&json),
        FieldType::String => match json {
            Json::Text(text) => Ok(FieldValue::String(text)),
            _ => refuse("it is no text"),
        },
        FieldType::Randomization => match json {
            Json::Bool(true) => Ok(FieldValue::String("always".to_owned())),
            Json::Bool(false) => Ok(FieldValue::String("per_student".to_owned())),
            Json::Text(text) => Ok(FieldValue::String(match text.as_str() {
                "" | "true" => "always".to_owned(),
                "false" => "per_student".to_owned(),
                _ => text,
            })),
            _ => refuse("it is no text"),
        },
        FieldType::List => match json {
            Json::List(_) => Ok(json.into()),
            _ => refuse("it is no list"),
        },
        FieldType::Dict => match json {
            Json::Dict(_) => Ok(json.into()),
            _ => refuse("it is no object"),
        },
        FieldType::Timedelta => match json {
            Json::Text(text) => match dates::timedelta(&text) {
                Ok(seconds) => Ok(seconds.map_or(FieldValue::Null, FieldValue::Seconds)),
                Err(_) => refuse("it is too long a time"),
            },
            _ => refuse("it is no span of time"),
        },
        FieldType::Date => date(&json),
        FieldType::GroupAccessDict => group_access(json),
        FieldType::ReferenceValueDict => references(json, course),
        FieldType::UserPartitionList => match json {
            Json::List(values) => partitions::normalise(values),
            _ => refuse("it is no list"),
        },
    }
}

pub(super) fn refuse(reason: &'static str) -> Result<FieldValue, BadValue> {
    Err(BadValue { kept: None, reason })
}

/// Python's `int()` of a text.
pub(super) fn int_of_text(text: &str) -> Option<i64> {
    number_text(text)?.parse().ok()
}

/// Truth as in Python; a text is true only if it says so.
fn truth(json: &Json) -> bool {
    match json {
        Json::Null => false,
        Json::Bool(value) => *value,
        Json::Int(value) => *value != 0,
        Json::Float(value) => *value != 0.0,
        Json::Text(text) => text.eq_ignore_ascii_case("true"),
        Json::List(values) => !values.is_empty(),
        Json::Dict(entries) => !entries.is_empty(),
    }
}

fn integer(json: &Json) -> Result<FieldValue, BadValue> {
    let value = match json {
        Json::Text(text) if text.is_empty() => return Ok(FieldValue::Null),
        Json::Text(text) => int_of_text(text),
        Json::Int(value) => Some(*value),
        Json::Bool(value) => Some(i64::from(*value)),
        Json::Float(value) => truncated(*value),
        Json::Null | Json::List(_) | Json::Dict(_) => None,
    };
    value.map_or_else(
        || refuse("it is no whole number of 64 bits"),
        |value| Ok(FieldValue::Int(value)),
    )
}

fn float(json: &Json) -> Result<FieldValue, BadValue> {
    let value = match json {
        Json::Text(text) if text.is_empty() => return Ok(FieldValue::Null),
        Json::Text(text) => number_text(text).and_then(|text| text.parse().ok()),
        #[expect(clippy::cast_precision_loss, reason = "as Python's float() does")]
        Json::Int(value) => Some(*value as f64),
        Json::Bool(value) => Some(f64::from(u8::from(*value))),
        Json::Float(value) => Some(*value),
        Json::Null | Json::List(_) | Json::Dict(_) => None,
    };
    value.map_or_else(
        || refuse("it is no number"),
        |value| Ok(FieldValue::Float(value)),
    )
}

fn date(json: &Json) -> Result<FieldValue, BadValue> {
    const NO_DATE: &str = "it is no date that needs no guess";
    let moment = match json {
        Json::Text(text) if text.is_empty() => return Ok(FieldValue::Null),
        Json::Text(text) => match dates::date(text) {
            Ok(None) => return Ok(FieldValue::Null),
            Ok(moment) => moment,
            Err(_) => None,
        },
        // Milliseconds since 1970, so that a bare year is two seconds after it.
        Json::Int(value) => value.checked_mul(1_000).and_then(Timestamp::from_micros),
        Json::Float(value) => truncated((value * 1_000.0).round()).and_then(Timestamp::from_micros),
        Json::Null | Json::Bool(_) | Json::List(_) | Json::Dict(_) => None,
    };
    moment.map_or_else(|| refuse(NO_DATE), |moment| Ok(FieldValue::Date(moment)))
}

/// Partition id -> group ids. JSON has no other names than text; the ids are numbers.
fn group_access(json: Json) -> Result<FieldValue, BadValue> {
    let Json::Dict(entries) = json else {
        return refuse("it is no object");
    };
    let mut access = FieldMap::new();
    for (partition, groups) in entries {
        let Some(partition) = int_of_text(&partition) else {
            return refuse("a partition id is no whole number");
        };
        access.insert(partition.to_string(), groups.into());
    }
    Ok(FieldValue::Dict(access))
}

/// Names -> usage keys of any form, of which only type and id matter.
fn references(json: Json, course: &CourseKey) -> Result<FieldValue, BadValue> {
    let Json::Dict(entries) = json else {
        return refuse("it is no object");
    };
    let mut references = FieldMap::new();
    for (name, value) in entries {
        let key = value.as_text().and_then(|key| key.parse::<UsageKey>().ok());
        let Some(key) = key.and_then(|key| key.map_into_course(course).ok()) else {
            return refuse("a value is no usage key");
        };
        references.insert(name, FieldValue::String(key.to_string()));
    }
    Ok(FieldValue::Dict(references))
}

/// What YAML adds to JSON and a hand could have written: words for null and booleans, single quotes,
/// text without quotes. Its other numbers stay text, which the number fields read just as well.
fn from_yaml(text: &str) -> Json {
    if let Ok(json) = Json::parse(text) {
        return json;
    }
    let plain = text.trim();
    let is = |words: &[[&str; 3]]| words.iter().flatten().any(|word| plain == *word);
    if plain.is_empty() || plain == "~" || is(&[["null", "Null", "NULL"]]) {
        Json::Null
    } else if is(&[
        ["true", "True", "TRUE"],
        ["yes", "Yes", "YES"],
        ["on", "On", "ON"],
    ]) {
        Json::Bool(true)
    } else if is(&[
        ["false", "False", "FALSE"],
        ["no", "No", "NO"],
        ["off", "Off", "OFF"],
    ]) {
        Json::Bool(false)
    } else if let Some(quoted) = plain
        .strip_prefix('\'')
        .and_then(|text| text.strip_suffix('\''))
    {
        Json::Text(quoted.replace("''", "'"))
    } else {
        Json::Text(plain.to_owned())
    }
}

/// Toward zero; `None` beyond 64 bits.
fn truncated(value: f64) -> Option<i64> {
    // 2^63, which no i64 reaches.
    const END: f64 = 9_223_372_036_854_775_808.0;
    #[expect(clippy::cast_possible_truncation, reason = "checked to be in range")]
    (-END..END).contains(&value).then_some(value as i64)
}

/// A number as Python takes it: white space around it, and `_` between two digits.
fn number_text(text: &str) -> Option<String> {
    let text = text.trim();
    let is_digit = |part: Option<&str>, at_end: bool| {
        let byte = part.and_then(|part| {
            if at_end {
                part.bytes().last()
            } else {
                part.bytes().next()
            }
        });
        byte.is_some_and(|byte| byte.is_ascii_digit())
    };
    let well_placed = text
        .match_indices('_')
        .all(|(at, _)| is_digit(text.get(..at), true) && is_digit(text.get(at + 1..), false));
    well_placed.then(|| text.replace('_', ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use FieldType::{
        Boolean, Date, Dict, Float, GroupAccessDict, Integer, List, Randomization,
        ReferenceValueDict, String, Timedelta,
    };

    fn course() -> CourseKey {
        CourseKey::course_v1("O", "C", "R").unwrap()
    }

    /// Values in the tables below are written as they are printed.
    fn printed(value: Result<FieldValue, BadValue>) -> std::string::String {
        match value {
            Ok(value) => serde_json::Value::from(&value).to_string(),
            Err(bad) => {
                assert_eq!(bad.kept, None);
                "bad".to_owned()
            }
        }
    }

    #[track_caller]
    fn attribute(field_type: FieldType, text: &str, expected: &str) {
        let value = from_attribute(field_type, text, &course());
        assert_eq!(printed(value), expected, "{field_type:?} {text:?}");
    }

    #[track_caller]
    fn policy(field_type: FieldType, json: &str, expected: &str) {
        let value = from_json(field_type, Json::parse(json).unwrap(), &course());
        assert_eq!(printed(value), expected, "{field_type:?} {json}");
    }

    #[track_caller]
    fn plain(field_type: FieldType, text: &str, expected: &str) {
        let value = from_plain_text(field_type, text, &course());
        assert_eq!(printed(value), expected, "{field_type:?} {text:?}");
    }

    #[test]
    fn null_sets_a_field_to_nothing_whatever_its_type() {
        for field_type in [
            Boolean,
            Date,
            Dict,
            Float,
            GroupAccessDict,
            Integer,
            List,
            Randomization,
            ReferenceValueDict,
            String,
            Timedelta,
            FieldType::UserPartitionList,
        ] {
            attribute(field_type, "null", "null");
            attribute(field_type, " null ", "null");
            policy(field_type, "null", "null");
        }
    }

    #[test]
    fn text_stays_text_unless_it_is_json_of_a_text() {
        for text in ["", "abc", "3.4", "true", "[1]", "{}", "NaN", "\"open"] {
            let json = serde_json::Value::from(text).to_string();
            attribute(String, text, &json);
        }
        attribute(String, "\"abc\"", "\"abc\"");
        policy(String, "\"3.4\"", "\"3.4\"");
        policy(String, "3.4", "bad");
        policy(String, "[]", "bad");
        plain(String, "null", "\"null\"");
        plain(String, "\"abc\"", "\"\\\"abc\\\"\"");
    }

    #[test]
    fn booleans_are_true_when_they_say_so_or_are_not_zero() {
        for text in [
            "true", "True", "TRUE", "1", "-1", "0.5", "\"true\"", "[0]", "NaN",
        ] {
            attribute(Boolean, text, "true");
        }
        for text in [
            "false", "False", "", "0", "0.0", "yes", "on", "\"1\"", "\"\"", "[]", "{}", "t",
        ] {
            attribute(Boolean, text, "false");
        }
        policy(Boolean, "\"true\"", "true");
        policy(Boolean, "\"1\"", "false");
        plain(Boolean, "yes", "true");
        plain(Boolean, "off", "false");
        plain(Boolean, "", "null");
        plain(Boolean, "maybe", "false");
    }

    #[test]
    fn whole_numbers_are_read_as_python_reads_them() {
        for (text, expected) in [
            ("5", "5"),
            ("\"5\"", "5"),
            ("3.7", "3"),
            ("-3.7", "-3"),
            ("true", "1"),
            ("", "null"),
            ("\"\"", "null"),
            ("\" 1_000 \"", "1000"),
            ("+5", "5"),
            ("1e3", "1000"),
            ("9223372036854775807", "9223372036854775807"),
            ("9223372036854775808", "bad"),
            ("1e30", "bad"),
            ("NaN", "bad"),
            ("Infinity", "bad"),
            ("\"3.7\"", "bad"),
            ("x", "bad"),
            ("_1", "bad"),
            ("1__0", "bad"),
            ("[]", "bad"),
        ] {
            attribute(Integer, text, expected);
        }
        policy(Integer, "\"5\"", "5");
        plain(Integer, "", "null");
        plain(Integer, "+5", "5");
        plain(Integer, "'5'", "5");
        plain(Integer, "~", "null");
    }

    #[test]
    fn other_numbers_are_read_as_python_reads_them() {
        for (text, expected) in [
            ("5", "5.0"),
            ("\"5.5\"", "5.5"),
            ("true", "1.0"),
            ("", "null"),
            (".5", "0.5"),
            ("1.", "1.0"),
            ("x", "bad"),
            ("{}", "bad"),
        ] {
            attribute(Float, text, expected);
        }
        assert_eq!(
            from_attribute(Float, "inf", &course()),
            Ok(FieldValue::Float(f64::INFINITY))
        );
    }

    #[test]
    fn lists_and_objects_are_json_or_nothing() {
        attribute(List, "[1, \"a\", null]", "[1,\"a\",null]");
        attribute(List, "", "bad");
        attribute(List, "{}", "bad");
        attribute(Dict, "{\"b\": 1, \"a\": {}}", "{\"a\":{},\"b\":1}");
        attribute(Dict, "[]", "bad");
        policy(List, "\"[]\"", "bad");
    }

    #[test]
    fn spans_of_time_are_seconds() {
        attribute(Timedelta, "5 hours", "{\"seconds\":18000}");
        attribute(Timedelta, "", "{\"seconds\":0}");
        attribute(Timedelta, "5", "null");
        policy(Timedelta, "5", "bad");
        policy(Timedelta, "\"1 day\"", "{\"seconds\":86400}");
        plain(Timedelta, "1 day", "{\"seconds\":86400}");
        plain(Timedelta, "", "null");
    }

    #[test]
    fn a_number_for_a_date_is_milliseconds() {
        attribute(Date, "2013", "\"1970-01-01T00:00:02.013000Z\"");
        attribute(Date, "1.5", "\"1970-01-01T00:00:00.001500Z\"");
        attribute(Date, "\"2013\"", "null");
        attribute(Date, "", "null");
        attribute(Date, "\"\"", "null");
        attribute(Date, "2012-12-12", "\"2012-12-12T00:00:00Z\"");
        attribute(
            Date,
            "\"2015-01-01T00:00:00+00:00\"",
            "\"2015-01-01T00:00:00Z\"",
        );
        attribute(Date, "soon", "bad");
        attribute(Date, "true", "bad");
        attribute(Date, "1e300", "bad");
        attribute(Date, "9223372036854775807", "bad");
        attribute(Date, "NaN", "bad");
        plain(Date, "2020-06-10T00:00:00Z", "\"2020-06-10T00:00:00Z\"");
    }

    #[test]
    fn words_for_randomization_are_translated() {
        for (text, expected) in [
            ("", "\"always\""),
            ("true", "\"always\""),
            ("false", "\"per_student\""),
            ("never", "\"never\""),
            ("\"true\"", "\"always\""),
            ("5", "\"5\""),
        ] {
            attribute(Randomization, text, expected);
        }
        policy(Randomization, "false", "\"per_student\"");
        policy(Randomization, "5", "bad");
    }

    #[test]
    fn partition_ids_are_numbers() {
        attribute(
            GroupAccessDict,
            "{\"50\": [1, 2], \" 051\": null}",
            "{\"50\":[1,2],\"51\":null}",
        );
        attribute(GroupAccessDict, "{}", "{}");
        attribute(GroupAccessDict, "{\"x\": []}", "bad");
        attribute(GroupAccessDict, "[]", "bad");
        attribute(GroupAccessDict, "", "bad");
    }

    #[test]
    fn partitions_that_cannot_be_read_are_kept_and_told() {
        let odd = r#"[{"id": 1, "scheme": "odd"}]"#;
        let kept = Some(Json::parse(odd).unwrap().into());
        let type_of = FieldType::UserPartitionList;
        let attribute = from_attribute(type_of, odd, &course()).unwrap_err();
        assert_eq!(attribute.kept, kept);
        let policy = from_json(type_of, Json::parse(odd).unwrap(), &course()).unwrap_err();
        assert_eq!(policy, attribute);
        assert_eq!(printed(from_attribute(type_of, "{}", &course())), "bad");
    }

    #[test]
    fn references_of_any_form_lead_into_the_course() {
        attribute(
            ReferenceValueDict,
            r#"{"1": "i4x://A/B/vertical/x", "2": "block-v1:D+E+F+type@html+block@y"}"#,
            r#"{"1":"block-v1:O+C+R+type@vertical+block@x","2":"block-v1:O+C+R+type@html+block@y"}"#,
        );
        attribute(ReferenceValueDict, r#"{"1": "nonsense"}"#, "bad");
        attribute(ReferenceValueDict, r#"{"1": 5}"#, "bad");
        attribute(ReferenceValueDict, "not json", "bad");
    }
}
