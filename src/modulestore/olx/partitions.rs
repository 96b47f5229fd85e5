//! Group configurations of a course, brought to one form. Knows JSON, not who is in which group.

use super::json::Json;
use super::values::{BadValue, int_of_text};
use crate::field::{FieldMap, FieldValue};

/// The schemes that the platform can be relied on to have.
const SCHEMES: [&str; 6] = [
    "cohort",
    "content_type_gate",
    "enrollment_track",
    "random",
    "team",
    "verification",
];

/// Every partition in the form of version 3, without its version. One that the original could not
/// read would fail the whole course there: here it stays as it was written, and is reported.
pub(super) fn normalise(partitions: Vec<Json>) -> Result<FieldValue, BadValue> {
    let mut reason = None;
    let normal = partitions
        .into_iter()
        .map(|json| {
            partition(&json).unwrap_or_else(|fault| {
                reason = Some(fault);
                json.into()
            })
        })
        .collect();
    let normal = FieldValue::List(normal);
    match reason {
        None => Ok(normal),
        Some(reason) => Err(BadValue {
            kept: Some(normal),
            reason,
        }),
    }
}

fn partition(json: &Json) -> Result<FieldValue, &'static str> {
    let required = |name: &str| json.get(name).ok_or("a partition lacks a required key");
    let version = match required("version")? {
        Json::Int(version) => *version,
        _ => return Err("a partition has no version"),
    };
    let scheme = match version {
        1 => "random",
        2.. => required("scheme")?.as_text().unwrap_or_default(),
        _ => return Err("a partition has an unknown version"),
    };
    if !SCHEMES.contains(&scheme) {
        return Err("a partition has an unknown scheme");
    }
    let Json::List(groups) = required("groups")? else {
        return Err("the groups of a partition are no list");
    };
    let groups = groups.iter().map(group).collect::<Result<_, _>>()?;
    let parameters = json.get("parameters").cloned();
    let active = json.get("active").cloned();
    Ok(dict([
        ("active", active.unwrap_or(Json::Bool(true)).into()),
        ("description", required("description")?.clone().into()),
        ("groups", FieldValue::List(groups)),
        ("id", id(required("id")?)?),
        ("name", required("name")?.clone().into()),
        (
            "parameters",
            parameters.unwrap_or(Json::Dict(Vec::new())).into(),
        ),
        ("scheme", FieldValue::String(scheme.to_owned())),
    ]))
}

fn group(json: &Json) -> Result<FieldValue, &'static str> {
    let required = |name: &str| json.get(name).ok_or("a group lacks a required key");
    if required("version")? != &Json::Int(1) {
        return Err("a group has an unknown version");
    }
    Ok(dict([
        ("id", id(required("id")?)?),
        ("name", required("name")?.clone().into()),
        ("version", FieldValue::Int(1)),
    ]))
}

fn id(json: &Json) -> Result<FieldValue, &'static str> {
    match json {
        Json::Int(id) => Some(*id),
        Json::Text(id) => int_of_text(id),
        _ => None,
    }
    .map(FieldValue::Int)
    .ok_or("an id is no whole number")
}

fn dict<const N: usize>(entries: [(&str, FieldValue); N]) -> FieldValue {
    let entries = entries.map(|(name, value)| (name.to_owned(), value));
    FieldValue::Dict(FieldMap::from(entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<FieldValue, BadValue> {
        let Ok(Json::List(partitions)) = Json::parse(json) else {
            panic!("{json} is no list");
        };
        normalise(partitions)
    }

    fn printed(value: &FieldValue) -> String {
        serde_json::Value::from(value).to_string()
    }

    #[test]
    fn every_version_becomes_the_newest() {
        #[track_caller]
        fn check(rest: &str, scheme: &str, active: bool) {
            let json = format!(
                r#"[{{"id": "7", "name": "N", "description": "D", "groups":
                     [{{"id": 1, "name": "G", "version": 1, "usage": []}}], {rest}}}]"#
            );
            let expected = format!(
                r#"[{{"active":{active},"description":"D","groups":[{{"id":1,"name":"G","version":1}}],"id":7,"name":"N","parameters":{{}},"scheme":"{scheme}"}}]"#
            );
            assert_eq!(printed(&read(&json).unwrap()), expected, "{rest}");
        }
        check(r#""version": 1"#, "random", true);
        check(r#""version": 1, "scheme": "cohort""#, "random", true);
        check(r#""version": 2, "scheme": "cohort""#, "cohort", true);
        check(
            r#""version": 3, "scheme": "team", "active": false"#,
            "team",
            false,
        );
        check(
            r#""version": 99, "scheme": "verification""#,
            "verification",
            true,
        );
    }

    #[test]
    fn a_partition_that_cannot_be_read_stays_as_it_was_written() {
        #[track_caller]
        fn check(json: &str) {
            let good = r#"{"id":1,"name":"N","description":"D","version":1,"groups":[]}"#;
            let bad = read(&format!("[{json}, {good}]")).unwrap_err();
            let Some(FieldValue::List(kept)) = bad.kept else {
                panic!("nothing is kept of {json}");
            };
            assert_eq!(kept[0], Json::parse(json).unwrap().into());
            assert_eq!(
                kept[1].as_dict().unwrap()["scheme"].as_str(),
                Some("random")
            );
        }
        check("5");
        check("{}");
        check(r#"{"id":1,"name":"N","description":"D","version":2,"groups":[]}"#);
        check(r#"{"id":1,"name":"N","description":"D","version":0,"groups":[]}"#);
        check(r#"{"id":1,"name":"N","description":"D","version":"1","groups":[]}"#);
        check(r#"{"id":1,"name":"N","description":"D","version":3,"scheme":"odd","groups":[]}"#);
        check(r#"{"id":"x","name":"N","description":"D","version":1,"groups":[]}"#);
        check(r#"{"id":1,"name":"N","description":"D","version":1,"groups":{}}"#);
        check(r#"{"id":1,"name":"N","description":"D","version":1,"groups":[{"id":1}]}"#);
        check(r#"{"id":1,"name":"N","version":1,"groups":[]}"#);
    }
}
