//! Collects what an import notices, within bounds. Knows neither files nor blocks.

use std::sync::Arc;

use super::path;
use super::source::Unreadable;
use super::xml::XmlFault;
use crate::key::UsageKey;
use crate::modulestore::{Problem, ProblemKind};

/// Problems of one list, of which only so many are kept.
#[derive(Debug)]
pub(super) struct Findings {
    problems: Vec<Problem>,
    limit: usize,
    dropped: usize,
}

impl Findings {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            problems: Vec::new(),
            limit,
            dropped: 0,
        }
    }

    pub(super) fn push(&mut self, problem: Problem) {
        if self.problems.len() < self.limit {
            self.problems.push(problem);
        } else {
            self.dropped += 1;
        }
    }

    /// Adds those of another list.
    pub(super) fn extend(&mut self, other: Self) {
        self.dropped += other.dropped;
        for problem in other.problems {
            self.push(problem);
        }
    }

    /// The problems, and one more that tells how many there would have been.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        if self.dropped > 0 {
            self.problems.push(
                Fault::new(
                    ProblemKind::LimitExceeded,
                    format!("{} more were found", self.dropped),
                )
                .problem(),
            );
        }
        self.problems
    }
}

/// Where a child stands: what a problem with it is reported with.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) parent: Option<UsageKey>,
    /// Among the children of the parent in the document, from 0.
    pub(super) position: u32,
    /// The file that the child stands in.
    pub(super) file: Option<Arc<str>>,
    /// Its line there.
    pub(super) line: u32,
}

/// What went wrong, and in which file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: ProblemKind,
    pub(super) path: Option<String>,
    pub(super) line: Option<u32>,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(kind: ProblemKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            path: None,
            line: None,
            message: message.into(),
        }
    }

    pub(super) fn in_file(mut self, path: impl Into<String>) -> Self {
        let mut path = path.into();
        // An author may name a file of any length, and again for every block.
        if path.len() > path::MAX_BYTES {
            let cut = (0..=path::MAX_BYTES)
                .rev()
                .find(|end| path.is_char_boundary(*end));
            path.truncate(cut.unwrap_or_default());
            path.push('…');
        }
        self.path = Some(path);
        self
    }

    pub(super) fn at_line(mut self, line: u32) -> Self {
        self.line = Some(line);
        self
    }

    pub(super) fn unreadable(path: &str, why: Unreadable) -> Self {
        let (kind, message) = why.problem();
        Self::new(kind, message).in_file(path)
    }

    pub(super) fn xml(path: &str, fault: &XmlFault) -> Self {
        Self {
            line: fault.line,
            ..Self::new(fault.kind, fault.message).in_file(path)
        }
    }

    /// A problem of the course as a whole.
    pub(super) fn problem(self) -> Problem {
        Problem {
            kind: self.kind,
            path: self.path,
            line: self.line,
            parent: None,
            position: None,
            message: self.message,
        }
    }

    /// A problem of a child, in the file of its own or else the one it stands in.
    pub(super) fn at(self, site: &Site) -> Problem {
        let in_parent = self.path.is_none();
        Problem {
            parent: site.parent.clone(),
            position: site.parent.is_some().then_some(site.position),
            path: self
                .path
                .clone()
                .or_else(|| site.file.as_deref().map(str::to_owned)),
            line: if in_parent {
                Some(site.line)
            } else {
                self.line
            },
            ..self.problem()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_is_cut_where_no_file_system_has_it() {
        let fault = Fault::new(ProblemKind::MissingFile, "").in_file("ü".repeat(1_000_000));
        assert_eq!(fault.path.unwrap().len(), path::MAX_BYTES + '…'.len_utf8());
    }

    #[test]
    fn problems_beyond_the_limit_are_counted() {
        let mut findings = Findings::new(2);
        for _ in 0..5 {
            findings.push(Fault::new(ProblemKind::Cycle, "again").problem());
        }
        let problems = findings.into_problems();
        assert_eq!(problems.len(), 3);
        assert_eq!(problems[2].kind, ProblemKind::LimitExceeded);
        assert_eq!(problems[2].message, "3 more were found");
    }
}
