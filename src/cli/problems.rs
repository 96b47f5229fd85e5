//! What was wrong with a course, in JSON and in words: findings of its import, and transformers
//! that failed on it. Knows their form, not where they come from.

use std::fmt;

use serde::Serialize;

use crate::key::UsageKey;
use crate::modulestore::{Problem, Report};

/// A finding of an import, as in the expected files of the public course set.
#[derive(Debug, Serialize)]
pub(super) struct ProblemAnswer<'a> {
    kind: &'static str,
    path: Option<&'a str>,
    parent: Option<&'a UsageKey>,
    position: Option<u32>,
    line: Option<u32>,
    message: &'a str,
}

/// A transformer that could not collect a course.
#[derive(Debug, Serialize)]
pub(super) struct FailureAnswer<'a> {
    pub(super) transformer: &'a str,
    pub(super) error: &'a str,
}

/// How much was wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) errors: usize,
    pub(super) warnings: usize,
    pub(super) failures: usize,
}

/// The list of a report, as it is printed.
pub(super) fn answers(problems: &[Problem]) -> Vec<ProblemAnswer<'_>> {
    problems.iter().map(ProblemAnswer::new).collect()
}

impl<'a> ProblemAnswer<'a> {
    fn new(problem: &'a Problem) -> Self {
        Self {
            kind: problem.kind.as_str(),
            path: problem.path.as_deref(),
            parent: problem.parent.as_ref(),
            position: problem.position,
            line: problem.line,
            message: &problem.message,
        }
    }
}

/// Every finding of a report in a line of its own.
pub(super) fn lines(report: &Report) -> impl Iterator<Item = String> {
    let errors = report.errors.iter().map(|problem| line("error", problem));
    let warnings = report
        .warnings
        .iter()
        .map(|problem| line("warning", problem));
    errors.chain(warnings)
}

fn line(severity: &str, problem: &Problem) -> String {
    let Problem { kind, message, .. } = problem;
    let place = match (&problem.path, problem.line) {
        (Some(path), Some(line)) => format!(" {path}:{line}"),
        (Some(path), None) => format!(" {path}"),
        (None, _) => String::new(),
    };
    let parent = match (&problem.parent, problem.position) {
        (Some(parent), Some(position)) => format!(" (child {position} of {parent})"),
        (Some(parent), None) => format!(" (below {parent})"),
        (None, _) => String::new(),
    };
    format!("{severity} {kind}{place}: {message}{parent}")
}

impl Counts {
    /// In words; `None` where nothing was wrong.
    pub(super) fn in_words(self) -> Option<String> {
        let counts = [
            (self.errors, "error", "errors"),
            (self.warnings, "warning", "warnings"),
            (self.failures, "transformer failed", "transformers failed"),
        ];
        let words = counts.into_iter().filter(|(count, ..)| *count > 0);
        let words: Vec<_> = words
            .map(|(count, one, many)| counted(count, one, many))
            .collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

/// A number and what it counts.
pub(super) fn counted<N>(count: N, one: &str, many: &str) -> String
where
    N: Copy + fmt::Display + From<u8> + PartialEq,
{
    let word = if count == N::from(1) { one } else { many };
    format!("{count} {word}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modulestore::ProblemKind;

    #[test]
    fn counts_are_told_only_where_there_are_any() {
        assert_eq!(Counts::default().in_words(), None);
        let counts = Counts {
            errors: 1,
            warnings: 0,
            failures: 2,
        };
        assert_eq!(
            counts.in_words().as_deref(),
            Some("1 error, 2 transformers failed")
        );
    }

    #[test]
    fn a_problem_is_told_with_its_place() {
        let problem = Problem {
            kind: ProblemKind::MissingFile,
            path: Some("html/a.xml".to_owned()),
            line: Some(3),
            parent: "block-v1:O+C+R+type@vertical+block@v".parse().ok(),
            position: Some(2),
            message: "the file is not there".to_owned(),
        };
        assert_eq!(
            line("error", &problem),
            "error missing_file html/a.xml:3: the file is not there (child 2 of \
             block-v1:O+C+R+type@vertical+block@v)"
        );
    }
}
