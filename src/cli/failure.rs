//! How a command ends: its exit status, and what is said when it cannot go on. Knows error kinds,
//! not commands.

use std::fmt;
use std::io;
use std::process::ExitCode;

use super::interrupt::INTERRUPTED;
use crate::error::{Error, ErrorKind};

/// How a command line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// Yes, or done.
    Done,
    /// No, or some of it failed.
    Incomplete,
    /// What was asked for makes no sense.
    Usage,
    /// The store failed.
    Store,
    /// It was asked to end before it had an answer.
    Interrupted,
}

/// The answer of a command that could do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Yes, or done.
    Done,
    /// No, or some of it failed; what failed was told.
    Incomplete,
    /// Somebody asked it to end before it had an answer.
    Interrupted,
}

/// What keeps a command from going on.
#[derive(Debug)]
pub(super) struct Failure {
    status: Status,
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Incomplete,
    Usage,
    Store,
}

impl Exit {
    /// The exit status of a process that ends so.
    #[must_use]
    pub const fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Incomplete => 1,
            Self::Usage => 2,
            Self::Store => 3,
            Self::Interrupted => INTERRUPTED,
        }
    }
}

impl Answer {
    /// Done, if there were no failures.
    pub(super) fn after(failures: usize) -> Self {
        match failures {
            0 => Self::Done,
            _ => Self::Incomplete,
        }
    }
}

impl Failure {
    /// What was asked for cannot be had.
    pub(super) fn no(message: impl Into<String>) -> Self {
        Self::new(Status::Incomplete, message)
    }

    /// What was asked for makes no sense.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Status::Usage, message)
    }

    /// The store cannot be used.
    pub(super) fn store(message: impl Into<String>) -> Self {
        Self::new(Status::Store, message)
    }

    /// The store could not be opened, for whatever reason.
    pub(super) fn opening(error: &Error) -> Self {
        Self::store(match error.kind() {
            // No record can be repaired while nothing can be read.
            ErrorKind::Damaged => error.chain(),
            _ => explain(error),
        })
    }

    /// A backup cannot be used, which is no failure of the store: what it holds cannot be collected
    /// again from it.
    pub(super) fn of_backup(file: &impl fmt::Display, error: &Error) -> Self {
        let text = error.chain();
        Self::no(match error.kind() {
            ErrorKind::Damaged => format!("{file}: {text}; restore another backup"),
            ErrorKind::TooNew => format!("{file}: {text}; use a release that does"),
            _ => format!("{file}: {text}"),
        })
    }

    /// Whether there is no point in going on with other courses.
    pub(super) fn is_fatal(&self) -> bool {
        self.status == Status::Store
    }

    fn new(status: Status, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, message }
    }
}

/// An error with all that caused it, and what to do about it where that follows from its kind.
pub(super) fn explain(error: &Error) -> String {
    let text = error.chain();
    let advice = match error.kind() {
        ErrorKind::OpenElsewhere => "wait until that process has ended, or end it",
        ErrorKind::TooNew => "use the release that wrote it, or a newer one",
        ErrorKind::Fenced => "nothing was written, and `rollout status` tells what is next",
        ErrorKind::NoLease => "run it again; what it wrote before is there",
        ErrorKind::Damaged => "`verify --repair` collects again what is damaged",
        _ => return text,
    };
    format!("{text}; {advice}")
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::Storage | ErrorKind::NoRoom | ErrorKind::OpenElsewhere => Status::Store,
            ErrorKind::Registry | ErrorKind::InvalidKey => Status::Usage,
            _ => Status::Incomplete,
        };
        Self::new(status, explain(&error))
    }
}

/// Answers that cannot be printed. A reader that has gone is none of these: see `Output`.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::no(format!("the answer cannot be written: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Answer> for Exit {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Done => Self::Done,
            Answer::Incomplete => Self::Incomplete,
            Answer::Interrupted => Self::Interrupted,
        }
    }
}

impl From<Failure> for Exit {
    fn from(failure: Failure) -> Self {
        match failure.status {
            Status::Incomplete => Self::Incomplete,
            Status::Usage => Self::Usage,
            Status::Store => Self::Store,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.status())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: ErrorKind, status: Status) {
        let failure = Failure::from(Error::new(kind, "it"));
        assert_eq!(failure.status, status, "{kind:?}");
    }

    #[test]
    fn the_kind_of_an_error_decides_the_exit_status() {
        check(ErrorKind::NotFound, Status::Incomplete);
        check(ErrorKind::InvalidCourse, Status::Incomplete);
        check(ErrorKind::Transformer, Status::Incomplete);
        check(ErrorKind::TooNew, Status::Incomplete);
        check(ErrorKind::Fenced, Status::Incomplete);
        check(ErrorKind::NoLease, Status::Incomplete);
        check(ErrorKind::Damaged, Status::Incomplete);
        check(ErrorKind::Registry, Status::Usage);
        check(ErrorKind::Storage, Status::Store);
        check(ErrorKind::NoRoom, Status::Store);
        check(ErrorKind::OpenElsewhere, Status::Store);
    }

    #[test]
    fn whatever_keeps_a_store_from_opening_is_the_stores_failure() {
        for kind in [ErrorKind::Damaged, ErrorKind::TooNew, ErrorKind::Storage] {
            let failure = Failure::opening(&Error::new(kind, "it"));
            assert_eq!(failure.status, Status::Store, "{kind:?}");
        }
    }

    #[test]
    fn an_error_is_told_with_its_causes_once_each() {
        let deepest = io::Error::other("the disk is full");
        let middle = Error::new(ErrorKind::Storage, "a: the disk is full").with_source(deepest);
        let outer = Error::new(ErrorKind::Storage, "nothing was written").with_source(middle);
        assert_eq!(outer.chain(), "nothing was written: a: the disk is full");
    }
}
