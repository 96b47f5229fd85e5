//! policy.json: settings of blocks by `TYPE/ID`, written beside the definitions. Knows JSON, not
//! what the settings mean.

use std::collections::HashMap;

use super::findings::{Fault, Findings};
use super::json::Json;
use super::path;
use super::source::{Source, Unreadable};
use crate::field::FieldValue;
use crate::modulestore::ProblemKind;

/// The settings of a run.
#[derive(Debug, Default)]
pub(super) struct Policy {
    entries: HashMap<String, Entry>,
}

/// What is set for one block.
#[derive(Debug)]
pub(super) struct Entry {
    /// In the order in which it was written.
    pub(super) settings: Vec<(String, Json)>,
    /// About how much memory a copy of it takes.
    pub(super) bytes: usize,
}

impl Policy {
    /// Reads `policies/RUN/policy.json`, or `policies/RUN.json` where that says nothing. What is
    /// no policy is reported and ignored.
    pub(super) fn read(source: &Source, run: &str, errors: &mut Findings) -> Self {
        let mut entries = HashMap::new();
        for name in [
            format!("policies/{run}/policy.json"),
            format!("policies/{run}.json"),
        ] {
            let Some(json) = read_json(source, &name, errors) else {
                continue;
            };
            let Json::Dict(blocks) = json else {
                let message = "the policy is no object";
                errors.push(
                    Fault::new(ProblemKind::BadPolicyJson, message)
                        .in_file(name)
                        .problem(),
                );
                continue;
            };
            for (block, settings) in blocks {
                let bytes = settings.bytes();
                if let Json::Dict(settings) = settings {
                    entries.insert(block, Entry { settings, bytes });
                } else {
                    let message = "an entry of the policy is no object";
                    let fault = Fault::new(ProblemKind::BadPolicyJson, message);
                    errors.push(fault.in_file(name.as_str()).problem());
                }
            }
            if !entries.is_empty() {
                break;
            }
        }
        Self { entries }
    }

    /// What is set for a block, if anything is.
    pub(super) fn of(&self, block_type: &str, id: &str) -> Option<&Entry> {
        self.entries.get(&format!("{block_type}/{id}"))
    }
}

impl Entry {
    pub(super) fn get(&self, name: &str) -> Option<&Json> {
        let mut settings = self.settings.iter();
        settings.find_map(|(key, value)| (key == name).then_some(value))
    }
}

/// `policies/RUN/grading_policy.json`, or `grading_policy.json` where there is none.
pub(super) fn grading_policy(
    source: &Source,
    run: &str,
    warnings: &mut Findings,
) -> Option<FieldValue> {
    let names = [
        format!("policies/{run}/grading_policy.json"),
        "grading_policy.json".to_owned(),
    ];
    let name = names.iter().find(|name| source.has(name))?;
    let json = read_json(source, name, warnings)?;
    if matches!(json, Json::Dict(_)) {
        return Some(json.into());
    }
    let fault = Fault::new(ProblemKind::BadPolicyJson, "the policy is no object");
    warnings.push(fault.in_file(name.as_str()).problem());
    None
}

/// `None` when the file is not there, or is no JSON, which is reported.
fn read_json(source: &Source, name: &str, findings: &mut Findings) -> Option<Json> {
    // A run may hold dots, but no `/`, so this stays inside.
    let name = path::normalise(name)?;
    let text = match source.text(&name) {
        Ok(text) => text,
        Err(Unreadable::Missing) => return None,
        Err(why) => {
            let fault = Fault::unreadable(&name, why);
            let kind = ProblemKind::BadPolicyJson;
            findings.push(Fault { kind, ..fault }.problem());
            return None;
        }
    };
    match Json::parse(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        Ok(json) => Some(json),
        Err(fault) => {
            let message = "the file is no JSON";
            let problem = Fault::new(ProblemKind::BadPolicyJson, message).in_file(name);
            findings.push(problem.at_line(fault.line).problem());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modulestore::olx::source::testing;

    fn read(files: &[(&str, &str)]) -> (Policy, Vec<ProblemKind>) {
        let source = testing::source(files);
        let mut errors = Findings::new(100);
        let policy = Policy::read(&source, "R", &mut errors);
        let kinds = errors
            .into_problems()
            .into_iter()
            .map(|problem| problem.kind)
            .collect();
        (policy, kinds)
    }

    #[test]
    fn the_old_place_counts_where_the_new_one_says_nothing() {
        #[track_caller]
        fn check(new: Option<&str>, expected: Option<i64>) {
            let mut files = vec![("policies/R.json", r#"{"html/a": {"x": 1}}"#)];
            files.extend(new.map(|new| ("policies/R/policy.json", new)));
            let (policy, _) = read(&files);
            let settings = policy.of("html", "a").map(|entry| &entry.settings);
            let expected = expected.map(|value| vec![("x".to_owned(), Json::Int(value))]);
            assert_eq!(settings, expected.as_ref(), "{new:?}");
        }
        check(None, Some(1));
        check(Some("{}"), Some(1));
        check(Some("not json"), Some(1));
        check(Some("[]"), Some(1));
        check(Some(r#"{"html/a": {"x": 2}}"#), Some(2));
        check(Some(r#"{"html/b": {"x": 2}}"#), None);
    }

    #[test]
    fn what_is_no_policy_is_reported_and_the_rest_is_used() {
        let (policy, kinds) = read(&[(
            "policies/R/policy.json",
            "\u{feff}{\"html/a\": [], \"html/b\": {\"x\": NaN, \"y\": 1, \"y\": 2}}",
        )]);
        assert_eq!(kinds, [ProblemKind::BadPolicyJson]);
        assert!(policy.of("html", "a").is_none());
        let settings = &policy.of("html", "b").unwrap().settings;
        let names: Vec<_> = settings.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["x", "y"]);

        for text in ["", "[1]", "{\"a\": }", "5"] {
            let (_, kinds) = read(&[("policies/R/policy.json", text)]);
            assert_eq!(kinds, [ProblemKind::BadPolicyJson], "{text}");
        }
    }

    #[test]
    fn a_grading_policy_is_that_of_the_run_or_of_the_course() {
        #[track_caller]
        fn check(files: &[(&str, &str)], expected: Option<i64>) {
            let source = testing::source(files);
            let mut warnings = Findings::new(100);
            let policy = grading_policy(&source, "R", &mut warnings);
            let value = policy.and_then(|policy| policy.as_dict()?.get("a")?.as_int());
            assert_eq!(value, expected, "{files:?}");
        }
        let old = ("grading_policy.json", r#"{"a": 1}"#);
        check(&[], None);
        check(&[old], Some(1));
        check(
            &[old, ("policies/R/grading_policy.json", r#"{"a": 2}"#)],
            Some(2),
        );
        check(&[old, ("policies/R/grading_policy.json", "broken")], None);
    }
}
