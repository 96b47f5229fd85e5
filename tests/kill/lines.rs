//! What a child says while it works: each step before it begins, and what came of it. One line
//! each, written at once, so that what was said before a kill was said as a whole.

use std::error::Error as _;
use std::io::{self, Write};

use courseblocks::Error;
use serde::{Deserialize, Serialize};

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Line {
    /// The store is open.
    Open { process: u32 },
    /// A step begins.
    Try {
        process: u32,
        number: u64,
        step: Step,
    },
    /// It has ended well.
    Done {
        process: u32,
        number: u64,
        answer: Answer,
    },
    /// It was refused, or nobody knows.
    No {
        process: u32,
        number: u64,
        kind: String,
        message: String,
    },
    /// The store is about to be closed in order.
    Closing { process: u32 },
    /// It is closed, and everything durable.
    Closed { process: u32 },
    /// A reader saw what must not be.
    Violation { process: u32, text: String },
    /// The parent is about to kill a process of several.
    Killing,
    /// That one is dead.
    Killed,
}

/// What is done. Courses go by their numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    /// New content in the source, and an update.
    Import {
        course: usize,
        content: u32,
        write: u32,
    },
    /// All records of a course, without a source.
    Publish {
        course: usize,
        content: u32,
        write: u32,
        is_durable: bool,
    },
    /// One record of what is stored, at this version.
    PublishPart {
        course: usize,
        write: u32,
        is_durable: bool,
    },
    Delete {
        course: usize,
    },
    Enqueue {
        course: usize,
        is_news: bool,
        is_durable: bool,
    },
    Claim,
    /// What the claim `claim` is for.
    Work {
        course: usize,
        claim: u64,
        write: u32,
    },
    End {
        course: usize,
        claim: u64,
        how: End,
        /// What was seen to be stored, up to date.
        content: Option<u32>,
        write: u32,
    },
    Retry,
    Drop {
        course: usize,
    },
    Start {
        write: u32,
    },
    Gate {
        target: u32,
    },
    Pause,
    Resume,
    Rate {
        per_second: Option<u32>,
    },
    Retire,
    Flush,
    Join,
    Leave,
    History,
}

/// How a claim is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    Complete,
    Fail,
    GiveBack,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    /// Nothing was to be done, or it had been done already.
    Nothing,
    Published {
        content: u32,
        generation: u64,
    },
    /// A worker has this task.
    Claimed {
        course: usize,
    },
    /// What is stored after the work, if anything; and why it is not all of it.
    Worked {
        content: Option<u32>,
        generation: Option<u64>,
        failed: bool,
    },
    Completed,
    Again,
    Lost,
    WillRetry,
    Quarantined,
    Started,
    Open,
    Closed,
}

pub(crate) fn tell(line: &Line) {
    let mut text = serde_json::to_string(line).unwrap();
    text.push('\n');
    // One write, which a pipe takes as a whole.
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .expect("the parent listens");
}

/// An error and what caused it.
pub(crate) fn in_words(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
