//! What an operator does next, in words and as the command to type. Knows what helps against what;
//! decides nothing about floors and gates.

use std::fmt;

use indicatif::HumanDuration;

use crate::cli::Context;
use crate::cli::arguments::Target;
use crate::cli::failure::Failure;
use crate::cli::ink::{Ink, Line};
use crate::cli::output::Output;
use crate::cli::problems::counted;
use crate::cli::text::to_the_second;
use crate::cli::worker::tasks_left;
use crate::rollout::{Blocker, Next, QueueStatus, Reason};
use crate::store::Member;
use crate::timestamp::Timestamp;
use crate::version::WriteVersion;

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advice {
    pub(super) text: String,
    /// What to type behind the program's name, if that is how it is done.
    pub(super) command: Option<String>,
}

impl Advice {
    /// A command is to be run.
    pub(super) fn run(text: impl Into<String>, command: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            command: Some(command.into()),
        }
    }

    /// Something is to be done outside.
    fn act(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            command: None,
        }
    }

    /// What follows from the state of a rollout; `None` where nothing is to be done.
    pub(super) fn next(
        transformer: &str,
        next: &Next,
        target: Option<impl fmt::Display>,
    ) -> Option<Self> {
        Some(match next {
            Next::NotInThisRelease => Self::run(
                "this release does not have it; when no release needs it any more, retire it",
                format!("rollout retire {transformer}"),
            ),
            Next::OlderRelease => {
                Self::act("a newer release has written more: go on with that one")
            }
            Next::EndWorkers(blockers) => {
                ending(blockers, Some(format!("rollout start {transformer}")))
            }
            Next::Start => Self::run(
                "raise the floor, and enqueue what is below",
                format!("rollout start {transformer}"),
            ),
            Next::Resume => Self::run("let workers take tasks again", "resume"),
            Next::Work { tasks } => Self::run(
                format!("let workers do {}", counted(*tasks, "task", "tasks")),
                "worker --until-empty",
            ),
            Next::LookAtFailures => Self::run(
                "cure what keeps failing, or delete the courses, then have it tried again",
                "queue retry --quarantined",
            ),
            Next::AskGate => Self::run(
                "ask the gate: nothing is left that keeps it closed",
                match target {
                    Some(target) => format!("rollout gate {target}"),
                    None => format!("rollout status {transformer}"),
                },
            ),
            Next::RaiseRead { target } => Self::act(format!(
                "READ may be raised: let the release go out that reads {target}"
            )),
            Next::Nothing | Next::Retired => return None,
        })
    }

    /// What somebody must do because waiting alone does not open a gate; `None` where it may.
    /// `write` is what this release writes.
    pub(super) fn against(
        target: &Target,
        write: Option<WriteVersion>,
        reasons: &[Reason],
        queue: &QueueStatus,
    ) -> Option<Self> {
        let has = |wanted: fn(&Reason) -> bool| reasons.iter().any(wanted);
        let Target {
            transformer,
            version,
        } = target;
        let start = || format!("rollout start {transformer}");
        if has(|reason| matches!(reason, Reason::FloorTooLow { .. })) {
            if write.is_some_and(|write| write >= *version) {
                return Some(Self::run("raise its floor", start()));
            }
            let this = match write {
                Some(write) => format!("this one writes {write}"),
                None => "this one does not have it".to_owned(),
            };
            return Some(Self::act(format!(
                "a release that writes version {version} must raise its floor; {this}"
            )));
        }
        if has(|reason| matches!(reason, Reason::Unsealed(_))) {
            let text = "unless `rollout start` is running, it was broken off: run it again";
            return Some(Self::run(text, start()));
        }
        let is_work = |reason: &Reason| {
            matches!(
                reason,
                Reason::Below { .. } | Reason::Missing(_) | Reason::Failing { .. }
            )
        };
        let is_unreadable = |reason: &Reason| matches!(reason, Reason::Unreadable(_));
        if has(is_work) {
            return Self::to_get_work_done(queue);
        }
        if has(is_unreadable) {
            let text = "the header index must be repaired; `verify` names what is damaged";
            return Some(Self::run(text, "verify --repair"));
        }
        has(|reason| matches!(reason, Reason::CannotDecode { .. }))
            .then(|| Self::act("end the workers that cannot decode what is stored"))
    }

    fn to_get_work_done(queue: &QueueStatus) -> Option<Self> {
        let left = tasks_left(queue);
        if queue.paused.is_some() && left > 0 {
            return Some(Self::run("the queue is paused", "resume"));
        }
        if left == 0 && queue.quarantined > 0 {
            let quarantined = counted(queue.quarantined, "course is", "courses are");
            let text = format!(
                "only quarantine is left, and {quarantined} in it: see why (`queue status`), cure \
                 it, and have it tried again"
            );
            return Some(Self::run(text, "queue retry --quarantined"));
        }
        if left == 0 {
            let text = "nothing is on the queue: put on it what is outdated";
            return Some(Self::run(text, "update --all --enqueue"));
        }
        let is_idle = queue.claimed == 0 && queue.delayed == 0 && queue.done_per_second.is_none();
        is_idle.then(|| Self::run("no worker takes the tasks", "worker --until-empty"))
    }

    /// For people: the words, and the whole command below them.
    pub(super) fn print(&self, context: &Context, output: &mut Output) -> Result<(), Failure> {
        output.paragraph(&Line::of(Ink::Strong, "  next: "), &self.text)?;
        if let Some(command) = &self.command {
            let command = context.command(command);
            output.inked(&Line::from("        ").with(Ink::Good, command))?;
        }
        Ok(())
    }

    /// In one line, for people who wait.
    pub(super) fn in_a_line(&self, context: &Context) -> String {
        match &self.command {
            Some(command) => format!("{}: `{}`", self.text, context.command(command)),
            None => self.text.clone(),
        }
    }
}

/// Workers are to be ended, or waited for; then comes a command.
pub(super) fn ending(blockers: &[Blocker], then: Option<String>) -> Advice {
    let members = blockers.iter().filter_map(member);
    let ends = members.map(|member| member.expires_at).max();
    let text = match ends {
        Some(ends) => format!(
            "end these workers; a dead one counts as alive until its lease ends (the last one at {})",
            to_the_second(ends)
        ),
        None => "have these courses collected by the release before this one".to_owned(),
    };
    Advice {
        text: match then {
            Some(_) => format!("{text}. Then"),
            None => text,
        },
        command: then,
    }
}

fn member(blocker: &Blocker) -> Option<&Member> {
    match blocker {
        Blocker::WritesLess { member, .. } | Blocker::CannotDecode { member, .. } => Some(member),
        Blocker::OldShape { .. } => None,
    }
}

/// A sentence that also says when the matter settles itself.
pub(super) fn blocker_in_words(blocker: &Blocker, now: Timestamp) -> String {
    let Some(Member {
        worker,
        release,
        renewed_at,
        expires_at,
        ..
    }) = member(blocker)
    else {
        return blocker.to_string();
    };
    let what = match blocker {
        Blocker::WritesLess {
            write: Some(write), ..
        } => format!("still writes version {write}"),
        Blocker::WritesLess { write: None, .. } => "does not know the transformer".to_owned(),
        Blocker::CannotDecode {
            write, min_reader, ..
        } => format!("knows version {write} and could not decode what needs {min_reader}"),
        Blocker::OldShape { .. } => return blocker.to_string(),
    };
    format!(
        "worker {worker} (release {release}) {what}; it was last heard of {} ago, and its lease \
         ends in {} (at {}) unless it is heard of again",
        HumanDuration(now.since(*renewed_at)),
        HumanDuration(expires_at.since(now)),
        to_the_second(*expires_at),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::{FailingCourse, Found, Pause};
    use crate::version::{MinReader, ReadVersion};

    fn version(number: u32) -> WriteVersion {
        WriteVersion::new(number).unwrap()
    }

    fn found(count: u64) -> Found {
        Found {
            count,
            examples: Vec::new(),
        }
    }

    fn below() -> Reason {
        Reason::Below {
            version: version(1),
            courses: found(3),
        }
    }

    fn queue(ready: u64, claimed: u64, quarantined: u64) -> QueueStatus {
        QueueStatus {
            ready,
            claimed,
            quarantined,
            ..QueueStatus::default()
        }
    }

    /// What is said to a release that writes 2 and waits for `t@2`: part of the words, and the
    /// command.
    #[track_caller]
    fn check(reasons: &[Reason], queue: &QueueStatus, expected: Option<(&str, Option<&str>)>) {
        let target: Target = "t@2".parse().unwrap();
        let advice = Advice::against(&target, Some(version(2)), reasons, queue);
        match (&advice, expected) {
            (Some(advice), Some((text, command))) => {
                assert!(advice.text.contains(text), "{advice:?}");
                assert_eq!(advice.command.as_deref(), command);
            }
            (None, None) => {}
            _ => panic!("{advice:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn who_waits_is_told_what_nobody_does() {
        let idle = queue(0, 0, 0);
        let low = Reason::FloorTooLow {
            floor: Some(version(1)),
        };
        check(&[], &idle, None);
        check(
            &[low, below()],
            &idle,
            Some(("raise its floor", Some("rollout start t"))),
        );
        check(
            &[Reason::Unsealed(found(1)), below()],
            &queue(1, 1, 0),
            Some(("broken off", Some("rollout start t"))),
        );
        check(
            &[below()],
            &idle,
            Some(("nothing is on the queue", Some("update --all --enqueue"))),
        );
        check(
            &[below()],
            &queue(0, 0, 2),
            Some(("2 courses are in it", Some("queue retry --quarantined"))),
        );
        check(
            &[Reason::Missing(found(3))],
            &queue(3, 0, 0),
            Some(("no worker", Some("worker --until-empty"))),
        );
        let paused = QueueStatus {
            paused: Some(Pause {
                by: "w".to_owned(),
                at: Timestamp::MIN,
            }),
            ..queue(3, 0, 2)
        };
        check(&[below()], &paused, Some(("paused", Some("resume"))));
        check(
            &[Reason::Unreadable(found(1))],
            &idle,
            Some(("must be repaired", Some("verify --repair"))),
        );
        let cannot = Reason::CannotDecode {
            worker: "w".to_owned(),
            release: "r".to_owned(),
            write: version(1),
            min_reader: MinReader::new(version(2)),
        };
        check(&[cannot], &idle, Some(("end the workers", None)));
    }

    #[test]
    fn who_waits_is_told_nothing_while_others_work() {
        check(&[below()], &queue(3, 1, 2), None);
        let failing = Reason::Failing {
            count: 1,
            examples: vec![FailingCourse {
                course: "course-v1:O+C+R".parse().unwrap(),
                error: "no".to_owned(),
                attempts: 1,
                write_version: version(2),
            }],
        };
        let delayed = QueueStatus {
            delayed: 1,
            ..QueueStatus::default()
        };
        check(&[failing], &delayed, None);
        let busy = QueueStatus {
            done_per_second: Some(0.1),
            ..queue(3, 0, 0)
        };
        check(&[below()], &busy, None);
    }

    #[test]
    fn a_release_that_writes_less_is_not_told_to_raise_the_floor() {
        let target: Target = "t@2".parse().unwrap();
        let reasons = [Reason::FloorTooLow { floor: None }];
        for (write, said) in [
            (Some(version(1)), "this one writes 1"),
            (None, "this one does not have it"),
        ] {
            let advice = Advice::against(&target, write, &reasons, &queue(0, 0, 0)).unwrap();
            assert!(advice.text.contains(said), "{advice:?}");
            assert_eq!(advice.command, None);
        }
    }

    #[test]
    fn the_end_of_the_last_lease_is_named() {
        let member = |worker: &str, expires_at: &str| Member {
            worker: worker.to_owned(),
            release: "r".to_owned(),
            transformers: [(
                "t".to_owned(),
                crate::version::Versions::new(ReadVersion::new(1), version(1)),
            )]
            .into(),
            joined_at: Timestamp::MIN,
            renewed_at: Timestamp::MIN,
            expires_at: expires_at.parse().unwrap(),
            lasts: std::time::Duration::from_secs(30),
            token: 1,
        };
        let blockers = [
            ("one", "2026-03-01T12:00:30Z"),
            ("two", "2026-03-01T12:00:10Z"),
        ];
        let blockers = blockers.map(|(worker, ends)| Blocker::WritesLess {
            member: member(worker, ends),
            write: Some(version(1)),
        });
        let advice = ending(&blockers, Some("rollout start t".to_owned()));
        assert!(
            advice.text.contains("the last one at 2026-03-01T12:00:30Z"),
            "{advice:?}"
        );
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let words = blocker_in_words(&blockers[0], now);
        assert!(
            words.contains("worker one (release r) still writes version 1"),
            "{words}"
        );
        assert!(words.contains("its lease ends in 30 seconds"), "{words}");
    }
}
