//! Why a gate is closed and what keeps a floor from being raised, in JSON. Knows their form, not
//! where they come from.

use serde::Serialize;

use crate::key::CourseKey;
use crate::rollout::{Blocker, FailingCourse, Found, OpenGate, Reason};
use crate::store::Member;
use crate::timestamp::Timestamp;
use crate::version::{MinReader, ReadVersion, WriteVersion};

/// A gate that was found open.
#[derive(Debug, Serialize)]
pub(super) struct OpenGateAnswer<'a> {
    /// READ may be raised to this.
    target: WriteVersion,
    opened_at: Timestamp,
    opened_by: &'a str,
    /// How many courses were counted.
    courses: u64,
}

/// Why a gate is closed: a word for programs, a sentence for people, and what belongs to it.
#[derive(Debug, Default, Serialize)]
pub(super) struct ReasonAnswer {
    reason: &'static str,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<WriteVersion>,
    /// The version that is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<WriteVersion>,
    /// How many courses, and the first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    courses: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    examples: Vec<CourseKey>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failures: Vec<FailingAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    write: Option<WriteVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_reader: Option<MinReader>,
}

/// A course that a transformer could not collect.
#[derive(Debug, Serialize)]
pub(super) struct FailingAnswer {
    course_key: CourseKey,
    error: String,
    attempts: u32,
    write_version: WriteVersion,
}

/// What keeps a floor from being raised.
#[derive(Debug, Default, Serialize)]
pub(super) struct BlockerAnswer {
    blocker: &'static str,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<String>,
    /// What the worker writes; absent where it does not know the transformer.
    #[serde(skip_serializing_if = "Option::is_none")]
    write: Option<WriteVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_heard_of: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_ends: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_reader: Option<MinReader>,
    /// What this release reads at least, where it could not read what is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    read: Option<ReadVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    courses: Option<u64>,
}

impl<'a> OpenGateAnswer<'a> {
    pub(super) fn new(gate: &'a OpenGate) -> Self {
        Self {
            target: gate.target,
            opened_at: gate.opened_at,
            opened_by: &gate.opened_by,
            courses: gate.courses,
        }
    }
}

impl ReasonAnswer {
    pub(super) fn all(reasons: &[Reason]) -> Vec<Self> {
        reasons.iter().map(Self::new).collect()
    }

    fn new(reason: &Reason) -> Self {
        let answer = match reason {
            Reason::FloorTooLow { floor } => Self {
                floor: *floor,
                ..Self::default()
            },
            Reason::Unsealed(found) | Reason::Missing(found) | Reason::Unreadable(found) => {
                Self::found(found)
            }
            Reason::Below { version, courses } => Self {
                version: Some(*version),
                ..Self::found(courses)
            },
            Reason::Failing { count, examples } => Self {
                courses: Some(*count),
                failures: FailingAnswer::all(examples),
                ..Self::default()
            },
            Reason::CannotDecode {
                worker,
                release,
                write,
                min_reader,
            } => Self {
                worker: Some(worker.clone()),
                release: Some(release.clone()),
                write: Some(*write),
                min_reader: Some(*min_reader),
                ..Self::default()
            },
            Reason::Retired => Self::default(),
        };
        Self {
            reason: word(reason),
            text: reason.to_string(),
            ..answer
        }
    }

    fn found(found: &Found) -> Self {
        Self {
            courses: Some(found.count),
            examples: found.examples.clone(),
            ..Self::default()
        }
    }
}

/// Which reason it is, whatever its numbers.
pub(super) fn word(reason: &Reason) -> &'static str {
    match reason {
        Reason::Retired => "retired",
        Reason::FloorTooLow { .. } => "floor_too_low",
        Reason::Unsealed(_) => "unsealed",
        Reason::Below { .. } => "below",
        Reason::Missing(_) => "missing",
        Reason::Failing { .. } => "failing",
        Reason::Unreadable(_) => "unreadable",
        Reason::CannotDecode { .. } => "cannot_decode",
    }
}

impl FailingAnswer {
    pub(super) fn all(failing: &[FailingCourse]) -> Vec<Self> {
        let failing = failing.iter().map(|failing| Self {
            course_key: failing.course.clone(),
            error: failing.error.clone(),
            attempts: failing.attempts,
            write_version: failing.write_version,
        });
        failing.collect()
    }
}

impl BlockerAnswer {
    /// A live worker that has the transformer.
    pub(super) fn user(transformer: &str, member: &Member) -> Self {
        let Member {
            worker, release, ..
        } = member;
        Self {
            blocker: "has_transformer",
            text: format!("worker {worker} ({release}) has the transformer"),
            worker: Some(worker.clone()),
            release: Some(release.clone()),
            write: member
                .transformers
                .get(transformer)
                .map(|versions| versions.write),
            last_heard_of: Some(member.renewed_at),
            lease_ends: Some(member.expires_at),
            ..Self::default()
        }
    }

    pub(super) fn all(blockers: &[Blocker]) -> Vec<Self> {
        blockers.iter().map(Self::new).collect()
    }

    fn new(blocker: &Blocker) -> Self {
        let text = blocker.to_string();
        match blocker {
            Blocker::WritesLess { member, write } => Self {
                blocker: "writes_less",
                text,
                worker: Some(member.worker.clone()),
                release: Some(member.release.clone()),
                write: *write,
                last_heard_of: Some(member.renewed_at),
                lease_ends: Some(member.expires_at),
                ..Self::default()
            },
            Blocker::CannotDecode {
                member,
                write,
                min_reader,
            } => Self {
                blocker: "cannot_decode",
                text,
                worker: Some(member.worker.clone()),
                release: Some(member.release.clone()),
                write: Some(*write),
                last_heard_of: Some(member.renewed_at),
                lease_ends: Some(member.expires_at),
                min_reader: Some(*min_reader),
                ..Self::default()
            },
            Blocker::OldShape { courses, read } => Self {
                blocker: "old_shape",
                text,
                read: Some(*read),
                courses: Some(*courses),
                ..Self::default()
            },
        }
    }
}
