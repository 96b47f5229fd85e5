//! Opaque keys: what parses to what, what is refused, how keys are ordered and mapped.

use courseblocks::{
    CourseKey, CourseKeyKind, KeyError, UsageKey, UsageKeyKind, clean_name, is_word_character,
};
use serde_json::{Value, json};

use crate::report::Report;

/// Compares every case of `vectors`, the content of keys.json.
pub(crate) fn run(vectors: &Value, report: &mut Report) {
    parsing("context", &vectors["context"], parse_course, report);
    parsing("usage", &vectors["usage"], parse_usage, report);
    for case in list(&vectors["order"]) {
        let sorted = &case["sorted"];
        match text(&case["kind"]) {
            "context" => order::<CourseKey>(sorted, report),
            "usage" => order::<UsageKey>(sorted, report),
            other => report.skip("order", &format!("unknown kind {other}")),
        }
    }
    for case in list(&vectors["map_into_course"]) {
        map_into_course(case, report);
    }
    for case in list(&vectors["clean_name"]) {
        let name = text(&case["in"]);
        report.compare("clean_name", name, text(&case["out"]), &clean_name(name));
    }
    for case in list(&vectors["word_characters"]) {
        word_character(case, report);
    }
}

type Parser = fn(&str) -> Result<Value, KeyError>;

fn parsing(kind: &str, vectors: &Value, parse: Parser, report: &mut Report) {
    for case in list(&vectors["valid"]) {
        let input = text(&case["in"]);
        let kind = format!("{kind} valid");
        match parse(input) {
            Ok(key) if agrees(&key, case) => report.pass(&kind),
            Ok(key) => report.fail(&kind, input, case, key),
            Err(error) => report.fail(&kind, input, case, error),
        }
    }
    for input in list(&vectors["invalid"]) {
        let input = text(input);
        let kind = format!("{kind} invalid");
        match parse(input) {
            Ok(key) => report.fail(&kind, &format!("{input:?}"), "an error", key),
            Err(_) => report.pass(&kind),
        }
    }
    for case in list(&vectors["quirks"]) {
        let input = text(&case["in"]);
        let kind = format!("{kind} quirks");
        match parse(input) {
            Ok(key) if !agrees(&key, &case["reference"]) => {
                report.fail(&kind, input, &case["reference"], key);
            }
            _ => report.pass(&kind),
        }
    }
}

/// Whether `key` has everything that was `wanted`, in which null is as good as absent.
fn agrees(key: &Value, wanted: &Value) -> bool {
    match wanted {
        Value::Object(wanted) => wanted
            .iter()
            .filter(|(name, _)| *name != "in")
            .all(|(name, wanted)| agrees(&key[name], wanted)),
        _ => key == wanted,
    }
}

fn parse_course(text: &str) -> Result<Value, KeyError> {
    text.parse().map(|key| describe_course(&key))
}

fn describe_course(key: &CourseKey) -> Value {
    let (kind, name_of_course) = match key.kind() {
        CourseKeyKind::CourseV1 => ("course-v1", "course"),
        CourseKeyKind::Slash => ("slash", "course"),
        CourseKeyKind::LibraryV1 => ("library-v1", "library"),
        CourseKeyKind::LibraryV2 => ("lib", "slug"),
        other => panic!("a new kind: {other:?}"),
    };
    json!({
        "canonical": key.to_string(),
        "kind": kind,
        "org": key.org(),
        name_of_course: key.course(),
        "run": key.run(),
        "branch": key.branch(),
        "version_guid": key.version_guid(),
    })
}

fn parse_usage(text: &str) -> Result<Value, KeyError> {
    let key: UsageKey = text.parse()?;
    let kind = match key.kind() {
        UsageKeyKind::BlockV1 => "block-v1",
        UsageKeyKind::I4x => "i4x",
        UsageKeyKind::LibraryBlockV1 => "lib-block-v1",
        UsageKeyKind::LibraryBlockV2 => "lb",
        other => panic!("a new kind: {other:?}"),
    };
    let context = match key.course_key() {
        Some(course) => describe_course(course),
        None => json!({ "org": key.org(), "course": key.course(), "branch": key.branch() }),
    };
    Ok(json!({
        "canonical": key.to_string(),
        "kind": kind,
        "block_type": key.block_type(),
        "block_id": key.block_id(),
        "context": context,
    }))
}

fn order<K>(sorted: &Value, report: &mut Report)
where
    K: std::str::FromStr<Err = KeyError> + Ord + std::fmt::Debug,
{
    let texts: Vec<&str> = list(sorted).iter().map(text).collect();
    let case = texts.join(" ");
    match texts.iter().map(|text| text.parse::<K>()).collect() {
        Ok(keys) => {
            let keys: Vec<K> = keys;
            for pair in keys.windows(2) {
                let ascending = pair.is_sorted_by(|one, other| one < other);
                report.compare("order", &format!("{pair:?} ascending"), &true, &ascending);
            }
        }
        Err(error) => report.fail("order", &case, "keys", error),
    }
}

fn map_into_course(case: &Value, report: &mut Report) {
    let mapped = text(&case["usage"]).parse::<UsageKey>().and_then(|key| {
        let course = text(&case["course"]).parse()?;
        key.map_into_course(&course)
    });
    let mapped = mapped.map(|key| key.to_string()).ok();
    let name = format!("{} into {}", case["usage"], case["course"]);
    let wanted = case["result"].as_str();
    report.compare("map_into_course", &name, &wanted, &mapped.as_deref());
}

fn word_character(case: &Value, report: &mut Report) {
    let character = text(&case["char"]).chars().next().unwrap_or_default();
    let name = case["codepoint"].to_string();
    let allowed = case["allowed"].as_bool();
    let got = Some(is_word_character(character));
    report.compare("word_characters", &name, &allowed, &got);
}

/// The cases of a section; a section that a file lacks has none.
fn list(section: &Value) -> &[Value] {
    section.as_array().map_or(&[], Vec::as_slice)
}

#[track_caller]
fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a text: {value}"))
}
