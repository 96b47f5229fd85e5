//! What an operator does next, in words and as the command to type. Knows what helps against what;
//! decides nothing about floors and gates.

use std::fmt;

use indicatif::HumanDuration;

use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::cli::ink::{Ink, Line};
use crate::cli::output::Output;
use crate::cli::problems::counted;
use crate::cli::text::to_the_second;
use crate::cli::worker::tasks_left;
use crate::rollout::{Blocker, Next, QueueStatus, Reason};
use crate::store::Member;
use crate::timestamp::Timestamp;

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
    pub(super) fn against(
        transformer: &str,
        reasons: &[Reason],
        queue: &QueueStatus,
    ) -> Option<Self> {
        let has = |wanted: fn(&Reason) -> bool| reasons.iter().any(wanted);
        let start = || format!("rollout start {transformer}");
        if has(|reason| matches!(reason, Reason::FloorTooLow { .. })) {
            let text = "its floor must be raised, by the release that writes that version";
            return Some(Self::run(text, start()));
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
            "end these workers; one that is dead already counts as alive until its lease ends, the \
             last one at {}",
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
