//! What a comparison found. Knows counts and texts, not what is compared.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Write};

/// Collects the outcome of every case and judges them together, so that one disagreement does not
/// hide the others.
#[derive(Debug)]
pub(crate) struct Report {
    subject: String,
    kinds: BTreeMap<String, Tally>,
    disagreements: Vec<String>,
}

#[derive(Debug, Default)]
struct Tally {
    ran: usize,
    passed: usize,
    differing: usize,
    skipped: BTreeMap<String, usize>,
}

const MOST_LISTED: usize = 50;

impl Report {
    /// `subject` is the file that the cases come from.
    pub(crate) fn new(subject: &str) -> Self {
        Self {
            subject: subject.to_owned(),
            kinds: BTreeMap::new(),
            disagreements: Vec::new(),
        }
    }

    /// The case passes if `got` is what was `wanted`.
    pub(crate) fn compare<T>(&mut self, kind: &str, case: &str, wanted: &T, got: &T)
    where
        T: PartialEq + Debug + ?Sized,
    {
        if wanted == got {
            self.pass(kind);
        } else {
            self.fail(kind, case, wanted, got);
        }
    }

    /// A case that agrees.
    pub(crate) fn pass(&mut self, kind: &str) {
        let tally = self.tally(kind);
        tally.ran += 1;
        tally.passed += 1;
    }

    /// A case that disagrees.
    pub(crate) fn fail(&mut self, kind: &str, case: &str, wanted: impl Debug, got: impl Debug) {
        self.tally(kind).ran += 1;
        self.disagreements.push(format!(
            "{kind}: {case}\n  wanted {wanted:?}\n  got    {got:?}"
        ));
    }

    /// A case in which ours differs on purpose, and does what is written down for it. Not a pass.
    pub(crate) fn differ(&mut self, kind: &str) {
        self.tally(kind).differing += 1;
    }

    /// A case that cannot be compared, and why.
    pub(crate) fn skip(&mut self, kind: &str, reason: &str) {
        let skipped = &mut self.tally(kind).skipped;
        *skipped.entry(reason.to_owned()).or_default() += 1;
    }

    /// Prints the counts and panics if a case disagreed or there was none at all.
    #[track_caller]
    pub(crate) fn finish(self) {
        println!("{self}");
        assert!(!self.kinds.is_empty(), "{}: no cases", self.subject);
        assert!(
            self.disagreements.is_empty(),
            "{}",
            self.list_disagreements()
        );
    }

    fn tally(&mut self, kind: &str) -> &mut Tally {
        self.kinds.entry(kind.to_owned()).or_default()
    }

    fn list_disagreements(&self) -> String {
        let total = self.disagreements.len();
        let mut list = format!("{}: {total} cases disagree", self.subject);
        for disagreement in self.disagreements.iter().take(MOST_LISTED) {
            let _ = write!(list, "\n{disagreement}");
        }
        if let Some(rest @ 1..) = total.checked_sub(MOST_LISTED) {
            let _ = write!(list, "\n… and {rest} more");
        }
        list
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.subject)?;
        for (kind, tally) in &self.kinds {
            let mut parts = Vec::new();
            if tally.ran > 0 || tally.differing == 0 {
                parts.push(format!("{} of {} passed", tally.passed, tally.ran));
            }
            if tally.differing > 0 {
                parts.push(format!("{} differ on purpose", tally.differing));
            }
            for (reason, count) in &tally.skipped {
                parts.push(format!("{count} skipped ({reason})"));
            }
            write!(f, "\n  {kind}: {}", parts.join(", "))?;
        }
        Ok(())
    }
}

#[test]
fn a_report_counts_by_kind() {
    let mut report = Report::new("file");
    report.compare("a", "one", &1, &1);
    report.compare("a", "two", &1, &2);
    report.skip("b", "not built yet");
    report.skip("b", "not built yet");
    report.differ("c");
    assert_eq!(
        report.to_string(),
        "file\n  a: 1 of 2 passed\n  b: 0 of 0 passed, 2 skipped (not built yet)\n  c: 1 differ on purpose"
    );
}

#[test]
#[should_panic(expected = "file: 1 cases disagree\na: two\n  wanted 1\n  got    2")]
fn a_disagreement_is_told_in_the_end() {
    let mut report = Report::new("file");
    report.compare("a", "two", &1, &2);
    report.compare("a", "one", &1, &1);
    report.finish();
}

#[test]
#[should_panic(expected = "file: no cases")]
fn a_file_without_cases_is_no_success() {
    Report::new("file").finish();
}

#[test]
fn a_long_list_of_disagreements_is_cut_and_says_so() {
    let mut report = Report::new("file");
    for _ in 0..=MOST_LISTED {
        report.fail("a", "case", "wanted", "got");
    }
    let list = report.list_disagreements();
    assert_eq!(list.matches("a: case").count(), MOST_LISTED);
    assert!(list.ends_with("… and 1 more"), "{list}");
}
