//! A path of states told in words. Packed states do not say which worker is which, so the steps are
//! taken again by workers that keep their numbers.

use std::fmt::{self, Write as _};

use crate::rules::{Config, Property};
use crate::state::{Packed, Row, State};
use crate::steps::{About, Actor, Step};

pub(crate) fn tell(config: &Config, path: &[Packed]) -> String {
    let mut told = String::new();
    let mut state = config.initial();
    for (number, packed) in path.iter().skip(1).enumerate() {
        let mut taken: Option<(Step, State)> = None;
        config.successors(&state, &mut |step, next, breach| {
            let is_it = next.pack() == *packed;
            if is_it && (taken.is_none() || breach.is_some()) {
                taken = Some((step, *next));
            }
        });
        let (step, next) = taken.expect("a step of the path");
        state = next;
        let _ = writeln!(
            told,
            "{:>3}. {:<70} {}",
            number + 1,
            Told(config, step).to_string(),
            Stored(config, &state)
        );
    }
    told
}

struct Told<'a>(&'a Config, Step);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(config, step) = self;
        match step.actor {
            Actor::Host => write!(f, "the host: ")?,
            Actor::Operator => write!(f, "the operator: ")?,
            Actor::Worker { number, release } => {
                let name = config.releases[usize::from(release)].name;
                write!(f, "worker {} (release {name}): ", number + 1)?;
            }
        }
        write!(f, "{}", step.what)?;
        match step.about {
            About::Nothing => Ok(()),
            About::Course(_) if config.courses == 1 => Ok(()),
            About::Course(number) => write!(f, " (course {})", number + 1),
            About::Version {
                transformer,
                number,
            } => write!(f, " T{transformer}@{number}"),
        }
    }
}

struct Stored<'a>(&'a Config, &'a State);

impl fmt::Display for Stored<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(config, state) = self;
        for course in &state.courses[..config.courses] {
            match course.row {
                Row::Absent => write!(f, "[absent")?,
                Row::Reserved => write!(f, "[reserved")?,
                Row::Of(content) => {
                    let versions = &course.versions[..config.transformers];
                    write!(f, "[content {content} at {versions:?}")?;
                }
            }
            write!(f, " of {}", course.content)?;
            if config.queue == crate::rules::Presence::Present {
                write!(f, ", task {:?}", course.task)?;
                if course.is_hook_due {
                    write!(f, ", hook due")?;
                }
            }
            write!(f, "] ")?;
        }
        write!(
            f,
            "floors {:?} gates {:?}",
            &state.floors[..config.transformers],
            &state.gates[..config.transformers]
        )
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenGateIsTrue => "a gate is open although a course is below it",
            Self::SealedFloorHolds => "a put below the floor has landed behind the seal",
            Self::NoWriteIsLost => "an accepted write was replaced by something older",
            Self::ContentIsRemembered => "new content is neither stored nor going to be",
            Self::BacklogIsRemembered => "a course behind a floor is not on the queue any more",
            Self::NoWorkerIsLockedOut => "a floor locks out a worker whose lease is live",
            Self::NoWorkerMeetsTooNew => {
                "a worker whose lease is live cannot decode what is stored"
            }
            Self::GateIsInReach => "from here the gates cannot be opened any more",
        })
    }
}
