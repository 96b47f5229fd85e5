//! `rollout history`: what happened, when, and by whom.

use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::failure::{Answer, Failure};
use crate::cli::ink::{Ink, Line};
use crate::cli::output::Output;
use crate::cli::problems::counted;
use crate::cli::text::to_the_second;
use crate::rollout::{Event, HistoryEntry, Rollout};
use crate::timestamp::Timestamp;
use crate::version::{MinReader, WriteVersion};

/// Show what happened to rollouts and the queue, when, and by whom
#[derive(Debug, Args)]
#[command(after_help = "\
The oldest first, the newest last. Times are those of the clocks of whoever did it.

Exit status: 0 shown, 1 it cannot be read, 2 bad usage, 3 the store failed.")]
pub(super) struct History {
    /// Show so many of the newest entries
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

impl History {
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        let store = context.open()?;
        let history = Rollout::new(&store).history()?;
        let older = history.len().saturating_sub(self.limit);
        if output.is_json() {
            output.begin_list("events")?;
        } else if history.is_empty() {
            output.line("nothing has happened yet")?;
        } else if older > 0 {
            let older = counted(older, "older entry", "older entries");
            output.line(&format!("({older}; --limit shows more)"))?;
        }
        for entry in history.iter().skip(older) {
            if output.is_json() {
                output.item(&EventAnswer::new(entry))?;
                continue;
            }
            let head = Line::of(Ink::Faint, format!("{}  ", to_the_second(entry.at)));
            let by = entry.worker.as_ref();
            let by = by.map(|worker| format!(" (by {worker})"));
            let text = in_words(&entry.event) + &by.unwrap_or_default();
            output.paragraph(&head, &text)?;
        }
        Ok(Answer::Done)
    }
}

fn in_words(event: &Event) -> String {
    match event {
        Event::FloorRaised {
            transformer,
            from: Some(from),
            to,
        } => format!("the floor of {transformer} was raised from {from} to {to}"),
        Event::FloorRaised {
            transformer,
            from: None,
            to,
        } => format!("{transformer} got its first floor, {to}"),
        Event::ShapeDropped {
            transformer,
            min_reader,
        } => format!(
            "data of {transformer} that only releases writing {min_reader} or more can read is let \
             in from now on"
        ),
        Event::GateOpened {
            transformer,
            target,
            courses,
        } => {
            let courses = counted(*courses, "course", "courses");
            format!("the gate {transformer}@{target} was found open, with {courses}")
        }
        Event::Retired {
            transformer,
            version,
        } => format!("{transformer} was retired; its highest version was {version}"),
        Event::WorkerExpired {
            worker,
            release,
            last_heard_of,
        } => {
            format!(
                "worker {worker} ({release}) is gone; it was last heard of at {}",
                to_the_second(*last_heard_of)
            )
        }
        Event::Paused => "the queue was paused".to_owned(),
        Event::Resumed => "the queue was resumed".to_owned(),
        Event::RateChanged {
            per_1000_seconds: Some(rate),
        } => format!("workers were limited to {}/s", per_second(*rate)),
        Event::RateChanged {
            per_1000_seconds: None,
        } => "the limit of workers was taken away".to_owned(),
        Event::Quarantined {
            course,
            attempts,
            error,
        } => {
            let attempts = counted(*attempts, "attempt", "attempts");
            format!("{course} was put into quarantine after {attempts}: {error}")
        }
        Event::Restored { made_at, courses } => {
            let courses = counted(*courses, "course", "courses");
            let made_at = to_the_second(*made_at);
            format!(
                "the store was restored from a backup of {made_at}, with {courses}; no gate is open"
            )
        }
        Event::Repaired { what } => format!("damaged control data was repaired: {what}"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn per_second(per_1000_seconds: u64) -> f64 {
    per_1000_seconds as f64 / 1000.0
}

/// One entry, in JSON: a word for programs, a sentence for people, and what belongs to it.
#[derive(Debug, Default, Serialize)]
struct EventAnswer<'a> {
    at: Option<Timestamp>,
    /// Null for what the store noticed by itself.
    worker: Option<&'a str>,
    event: &'static str,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    transformer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<WriteVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<WriteVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_reader: Option<MinReader>,
    #[serde(skip_serializing_if = "Option::is_none")]
    courses: Option<u64>,
    /// When the backup was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    made_at: Option<Timestamp>,
    /// The worker that is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    expired: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_heard_of: Option<Timestamp>,
    /// Absent where a limit was taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    course_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl<'a> EventAnswer<'a> {
    fn new(entry: &'a HistoryEntry) -> Self {
        Self {
            at: Some(entry.at),
            worker: entry.worker.as_deref(),
            text: in_words(&entry.event),
            ..Self::of(&entry.event)
        }
    }

    fn of(event: &'a Event) -> Self {
        let nothing = Self::default();
        match event {
            Event::FloorRaised {
                transformer,
                from,
                to,
            } => Self {
                event: "floor_raised",
                transformer: Some(transformer),
                from: *from,
                to: Some(*to),
                ..nothing
            },
            Event::ShapeDropped {
                transformer,
                min_reader,
            } => Self {
                event: "shape_dropped",
                transformer: Some(transformer),
                min_reader: Some(*min_reader),
                ..nothing
            },
            Event::GateOpened {
                transformer,
                target,
                courses,
            } => Self {
                event: "gate_opened",
                transformer: Some(transformer),
                to: Some(*target),
                courses: Some(*courses),
                ..nothing
            },
            Event::Retired {
                transformer,
                version,
            } => Self {
                event: "retired",
                transformer: Some(transformer),
                from: Some(*version),
                ..nothing
            },
            Event::WorkerExpired {
                worker,
                release,
                last_heard_of,
            } => Self {
                event: "worker_expired",
                expired: Some(worker),
                release: Some(release),
                last_heard_of: Some(*last_heard_of),
                ..nothing
            },
            Event::Paused => Self {
                event: "paused",
                ..nothing
            },
            Event::Resumed => Self {
                event: "resumed",
                ..nothing
            },
            Event::RateChanged { per_1000_seconds } => Self {
                event: "rate_changed",
                limit_per_second: per_1000_seconds.map(per_second),
                ..nothing
            },
            Event::Quarantined {
                course,
                attempts,
                error,
            } => Self {
                event: "quarantined",
                course_key: Some(course),
                attempts: Some(*attempts),
                error: Some(error),
                ..nothing
            },
            Event::Restored { made_at, courses } => Self {
                event: "restored",
                made_at: Some(*made_at),
                courses: Some(*courses),
                ..nothing
            },
            Event::Repaired { .. } => Self {
                event: "repaired",
                ..nothing
            },
        }
    }
}
