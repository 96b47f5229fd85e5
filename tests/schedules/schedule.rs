//! A schedule: what happens in which order, chosen before any of it happens, so that it can be
//! told, repeated and shortened. It does not know what comes of it.

use std::fmt;

use super::choices::Choices;
use super::fibers::Trouble;
use super::releases::{ALL, COURSES, TRANSFORMERS};

/// Processes at a time.
pub(crate) const SLOTS: u8 = 4;

/// How long a lease lasts, in seconds.
pub(crate) const LEASE_SECONDS: u8 = 30;

/// What happens, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedule(pub(crate) Vec<Event>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A process begins an operation, which may be suspended.
    Begin {
        slot: u8,
        operation: Operation,
        /// Before which of its calls it is suspended, from 0; `None` lets it run to its end.
        suspended: Option<u8>,
        trouble: Option<(u8, Trouble)>,
        /// As in [`Conditions`](super::fibers::Conditions).
        scans: u8,
    },
    /// One of the suspended operations makes some calls more.
    GoOn { which: u8, calls: u8 },
    /// The host has other content of a course.
    Edit { course: u8, fails: Option<u8> },
    /// Time goes by.
    Pass { seconds: u8 },
    /// A process ends without a word.
    Kill { slot: u8 },
    /// The machine ends: all processes, and what was not durable but for the first commits of it.
    Crash { kept: u8 },
    /// All processes end, and the store is restored somewhere else.
    Move,
}

/// What a process does. Courses, transformers and releases are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Starts, in the place of the one that was there, and joins.
    Join {
        release: u8,
        name: Name,
    },
    Renew,
    Leave,
    /// Tells that a course was published.
    Announce {
        course: u8,
    },
    /// The host deletes a course, and says so.
    Delete {
        course: u8,
    },
    /// Works off a task.
    Work,
    /// Brings a course up to date.
    Update {
        course: u8,
    },
    /// Reads a course as a learner would.
    Read {
        course: u8,
    },
    /// Collects by hand.
    Write {
        course: u8,
        manner: Manner,
    },
    /// Takes a task, for as long as it likes.
    Claim,
    /// Ends the oldest claim of the process.
    End(Ending),
    Enqueue {
        course: u8,
    },
    Start {
        transformer: u8,
    },
    Gate {
        transformer: u8,
        back: u8,
    },
    Retire,
    RemoveExpired,
    Pause,
    Resume,
    Retry,
}

/// Under which name a process joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// The one that the last process in this place had.
    Same,
    Fresh,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Durable,
    Buffered,
    /// Into the present generation.
    Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Brings the course up to date, and says so.
    Complete,
    Fail,
    GiveBack,
}

impl Schedule {
    /// Up to some dozen events.
    pub(crate) fn choose(choices: &mut impl Choices) -> Self {
        let mut writer = Writer {
            events: Vec::new(),
            has_failing: choices.happens(1, 6),
            has_trouble: choices.happens(1, 2),
            has_crashes: choices.happens(1, 2),
            suspends: choices.one_of(&[1, 3, 6]),
        };
        writer.open(choices);
        for _ in 0..3 + choices.below(10) {
            writer.scene(choices);
        }
        Self(writer.events)
    }
}

/// Writes schedules as stories are written: scenes that follow one from another, at random.
struct Writer {
    events: Vec<Event>,
    has_failing: bool,
    has_trouble: bool,
    has_crashes: bool,
    /// How many of eight operations are suspended.
    suspends: u32,
}

impl Writer {
    fn open(&mut self, choices: &mut impl Choices) {
        let release = choices.weighted(&[(3, 0), (3, 1), (1, 2), (1, 3)]);
        self.join(choices, 0, release);
        if choices.happens(2, 3) {
            let newer = choices.below(2);
            self.join(choices, 1, release + u8::try_from(newer).expect("0 or 1"));
        }
        for course in 0..=choices.below(3) {
            let course = u8::try_from(course).expect("few courses");
            self.publish(choices, course);
            if choices.happens(3, 4) {
                let slot = a_slot(choices);
                self.quietly(slot, Operation::Update { course });
            }
        }
    }

    fn scene(&mut self, choices: &mut impl Choices) {
        match choices.below(19) {
            18 => self.hasty(choices),
            16 => self.late(choices),
            17 => self.reading(choices),
            0..=2 => self.rollout(choices),
            3 | 4 => {
                let course = a_course(choices);
                self.publish(choices, course);
            }
            5 | 6 => self.go_on(choices),
            7 => {
                let seconds = choices.one_of(&[1, 12, LEASE_SECONDS, LEASE_SECONDS + 5]);
                self.events.push(Event::Pass { seconds });
            }
            8 => self.end(choices),
            9 => self.claimed(choices),
            10 if choices.happens(1, 2) => self.deletion(choices),
            10 => self.retirement(choices),
            11 => {
                let slot = a_slot(choices);
                let release = a_release(choices);
                self.join(choices, slot, release);
            }
            _ => {
                for _ in 0..=choices.below(3) {
                    let slot = a_slot(choices);
                    let operation = an_operation(choices);
                    self.begin(choices, slot, operation);
                }
                if choices.happens(1, 2) {
                    self.go_on(choices);
                }
            }
        }
    }

    /// A newer release comes, the older ones go, in one way or another.
    fn rollout(&mut self, choices: &mut impl Choices) {
        let release = choices.weighted(&[(2, 1), (3, 2), (3, 3), (1, 4)]);
        let transformer = choices.weighted(&[(3, 0), (1, 1)]);
        let slot = a_slot(choices);
        self.join(choices, slot, release);
        if choices.happens(1, 2) {
            let course = a_course(choices);
            let late = a_slot(choices);
            let operation = choices.one_of(&[
                Operation::Update { course },
                Operation::Work,
                Operation::Write {
                    course,
                    manner: Manner::Durable,
                },
            ]);
            let suspended = Some(a_call(choices));
            self.push(choices, late, operation, suspended);
        }
        match choices.below(3) {
            0 => {
                for other in (0..SLOTS).filter(|other| *other != slot) {
                    self.begin(choices, other, Operation::Leave);
                }
            }
            1 => {
                let seconds = LEASE_SECONDS + 5;
                self.events.push(Event::Pass { seconds });
                self.quietly(slot, Operation::Renew);
            }
            _ => {}
        }
        self.begin(choices, slot, Operation::Start { transformer });
        for _ in 0..choices.below(5) {
            self.begin(choices, slot, Operation::Work);
        }
        if choices.happens(3, 4) {
            let back = u8::from(choices.happens(1, 5));
            self.begin(choices, slot, Operation::Gate { transformer, back });
        }
    }

    /// A floor is raised, and the gate asked, over a writer that was checked before.
    fn late(&mut self, choices: &mut impl Choices) {
        let (slot, late) = (0, 1);
        let course = a_course(choices);
        let retires = choices.happens(1, 4);
        let older = if retires { 1 } else { choices.one_of(&[0, 1]) };
        let newer = if retires { 4 } else { older + 1 };
        let name = Name::Fresh;
        for (slot, release) in [(slot, newer), (late, older)] {
            self.quietly(slot, Operation::Join { release, name });
        }
        match choices.below(3) {
            0 => self.quietly(slot, Operation::Delete { course }),
            1 => self.quietly(slot, Operation::Update { course }),
            _ => {}
        }
        self.events.push(Event::Edit {
            course,
            fails: None,
        });
        // Between what it reads and what it commits.
        let suspended = |call: u32| Some(u8::try_from(call).expect("few calls"));
        let read = suspended(5 + choices.below(12));
        self.push(choices, late, Operation::Update { course }, read);
        self.events.push(Event::Pass {
            seconds: LEASE_SECONDS + 5,
        });
        self.quietly(slot, Operation::Renew);
        if retires {
            self.begin(choices, slot, Operation::Retire);
            self.go_on(choices);
            return;
        }
        let start = Operation::Start { transformer: 0 };
        let raised = suspended(3 + choices.below(8));
        self.push(choices, slot, start, raised);
        let gate = Operation::Gate {
            transformer: 0,
            back: 0,
        };
        self.begin(choices, slot, gate);
        self.go_on(choices);
    }

    /// A gate is asked before there is a floor, and answers when there is one.
    fn hasty(&mut self, choices: &mut impl Choices) {
        let (slot, other) = (0, 1);
        let name = Name::Fresh;
        for (slot, release) in [(slot, 1), (other, 0)] {
            self.quietly(slot, Operation::Join { release, name });
        }
        let gate = Operation::Gate {
            transformer: 0,
            back: 0,
        };
        let suspended = u8::try_from(choices.below(10)).expect("below 10");
        self.push(choices, slot, gate, Some(suspended));
        let course = a_course(choices);
        let fails = None;
        self.events.push(Event::Edit { course, fails });
        self.quietly(other, Operation::Update { course });
        self.quietly(other, Operation::Leave);
        self.begin(choices, slot, Operation::Start { transformer: 0 });
        self.go_on(choices);
    }

    /// A course is stored while it is being read.
    fn reading(&mut self, choices: &mut impl Choices) {
        let course = a_course(choices);
        let (reader, writer) = (0, 1);
        let fails = None;
        self.events.push(Event::Edit { course, fails });
        self.quietly(writer, Operation::Update { course });
        let suspended = u8::try_from(choices.below(4)).expect("below 4");
        self.push(choices, reader, Operation::Read { course }, Some(suspended));
        for _ in 0..=choices.below(2) {
            self.events.push(Event::Edit { course, fails });
        }
        self.begin(choices, writer, Operation::Update { course });
        self.go_on(choices);
    }

    /// Somebody has a task for a while.
    fn claimed(&mut self, choices: &mut impl Choices) {
        let slot = a_slot(choices);
        let course = a_course(choices);
        self.begin(choices, slot, Operation::Enqueue { course });
        self.begin(choices, slot, Operation::Claim);
        for _ in 0..choices.below(4) {
            match choices.below(4) {
                0 => self.events.push(Event::Pass {
                    seconds: LEASE_SECONDS + 5,
                }),
                1 => self.publish(choices, course),
                2 => {
                    let other = a_slot(choices);
                    self.begin(choices, other, Operation::Renew);
                    self.begin(choices, other, Operation::Claim);
                }
                _ => {
                    let (other, operation) = (a_slot(choices), an_operation(choices));
                    self.begin(choices, other, operation);
                }
            }
        }
        let ending = an_ending(choices);
        self.begin(choices, slot, Operation::End(ending));
    }

    /// A course is deleted while others are about to store it.
    fn deletion(&mut self, choices: &mut impl Choices) {
        let course = a_course(choices);
        if choices.happens(1, 2) {
            self.quietly(0, Operation::Delete { course });
            self.publish(choices, course);
        }
        for slot in 0..2 {
            let manner = Manner::Durable;
            let update = Operation::Update { course };
            let writer = choices.one_of(&[update, Operation::Write { course, manner }]);
            let suspended = Some(a_call(choices));
            self.push(choices, slot, writer, suspended);
        }
        let slot = a_slot(choices);
        let suspended = choices.happens(1, 2).then(|| a_call(choices));
        self.push(choices, slot, Operation::Delete { course }, suspended);
        self.go_on(choices);
        if choices.happens(1, 2) {
            self.publish(choices, course);
            self.go_on(choices);
        }
    }

    fn retirement(&mut self, choices: &mut impl Choices) {
        let slot = a_slot(choices);
        let release = choices.weighted(&[(1, 0), (2, 4)]);
        self.join(choices, slot, release);
        if choices.happens(1, 3) {
            self.retire_late(choices, slot);
            return;
        }
        for other in (0..SLOTS).filter(|other| *other != slot) {
            if choices.happens(5, 6) {
                self.begin(choices, other, Operation::Leave);
            }
        }
        self.begin(choices, slot, Operation::Retire);
    }

    /// A transformer is retired while somebody still rolls it out.
    fn retire_late(&mut self, choices: &mut impl Choices, slot: u8) {
        let suspended = u8::try_from(choices.below(16)).expect("below 16");
        self.push(choices, slot, Operation::Retire, Some(suspended));
        let other = (slot + 1) % SLOTS;
        let release = choices.one_of(&[1, 3]);
        self.join(choices, other, release);
        let course = a_course(choices);
        self.begin(choices, other, Operation::Update { course });
        self.begin(choices, other, Operation::Start { transformer: 1 });
        for other in (0..SLOTS).filter(|other| *other != slot) {
            self.quietly(other, Operation::Leave);
        }
        self.go_on(choices);
    }

    fn publish(&mut self, choices: &mut impl Choices, course: u8) {
        let fails = self.has_failing && choices.happens(1, 4);
        let fails = fails.then(|| u8::try_from(choices.below(2)).expect("0 or 1"));
        self.events.push(Event::Edit { course, fails });
        if choices.happens(7, 8) {
            let slot = a_slot(choices);
            self.begin(choices, slot, Operation::Announce { course });
        }
    }

    fn join(&mut self, choices: &mut impl Choices, slot: u8, release: u8) {
        let name = choices.weighted(&[(1, Name::Same), (2, Name::Fresh)]);
        let join = Operation::Join { release, name };
        if choices.happens(1, 8) {
            self.begin(choices, slot, join);
        } else {
            self.quietly(slot, join);
        }
    }

    fn end(&mut self, choices: &mut impl Choices) {
        let end = match choices.below(6) {
            0 | 1 if self.has_crashes => Event::Crash {
                kept: choices.one_of(&[0, 0, 1, 2, 3, 5, 8, u8::MAX]),
            },
            2 if self.has_crashes => Event::Move,
            _ => Event::Kill {
                slot: a_slot(choices),
            },
        };
        self.events.push(end);
    }

    fn go_on(&mut self, choices: &mut impl Choices) {
        for _ in 0..=choices.below(3) {
            let which = u8::try_from(choices.below(3)).expect("below 3");
            let calls = choices.weighted(&[(3, 1), (3, 3), (2, 7), (3, u8::MAX)]);
            self.events.push(Event::GoOn { which, calls });
        }
    }

    fn begin(&mut self, choices: &mut impl Choices, slot: u8, operation: Operation) {
        let suspended = choices.happens(self.suspends, 8);
        let suspended = suspended.then(|| a_call(choices));
        self.push(choices, slot, operation, suspended);
    }

    /// To its end, and nothing goes wrong.
    fn quietly(&mut self, slot: u8, operation: Operation) {
        self.events.push(Event::Begin {
            slot,
            operation,
            suspended: None,
            trouble: None,
            scans: 0,
        });
    }

    fn push(
        &mut self,
        choices: &mut impl Choices,
        slot: u8,
        operation: Operation,
        suspended: Option<u8>,
    ) {
        let is_troubled = self.has_trouble && choices.happens(1, 6);
        let trouble = is_troubled.then(|| {
            let how = choices.one_of(&[Trouble::Fails, Trouble::AnswerLost]);
            (a_call(choices), how)
        });
        self.events.push(Event::Begin {
            slot,
            operation,
            suspended,
            trouble,
            scans: u8::try_from(choices.below(256)).expect("below 256"),
        });
    }
}

/// In words, one line for each event.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, event) in self.0.iter().enumerate() {
            writeln!(f, "{number:4}. {event}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin {
                slot,
                operation,
                suspended,
                trouble,
                scans,
            } => {
                write!(f, "process {slot} {operation}")?;
                if let Some(call) = suspended {
                    write!(f, ", suspended before call {call}")?;
                }
                match trouble {
                    Some((call, Trouble::Fails)) => write!(f, "; call {call} fails")?,
                    Some((call, Trouble::AnswerLost)) => {
                        write!(f, "; the answer to call {call} is lost")?;
                    }
                    None => {}
                }
                match scans {
                    0 => Ok(()),
                    scans => write!(f, " (its scans see late: {scans:08b})"),
                }
            }
            Self::GoOn { which, calls } => {
                write!(f, "the suspended operation {which} goes on")?;
                match *calls {
                    u8::MAX => f.write_str(" to its end"),
                    calls => write!(f, " for {calls} calls"),
                }
            }
            Self::Edit { course, fails } => {
                write!(f, "course {course} is edited")?;
                match fails {
                    Some(fails) => {
                        let name = TRANSFORMERS[usize::from(*fails)];
                        write!(f, ", so that {name} cannot collect it")
                    }
                    None => Ok(()),
                }
            }
            Self::Pass { seconds } => write!(f, "{seconds} seconds go by"),
            Self::Kill { slot } => write!(f, "process {slot} is killed"),
            Self::Crash { kept } => write!(
                f,
                "the machine crashes and keeps {kept} commits that were not durable"
            ),
            Self::Move => f.write_str("the store is moved elsewhere"),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |transformer: &u8| TRANSFORMERS[usize::from(*transformer)];
        match self {
            Self::Join { release, name } => {
                let label = ALL[usize::from(*release)].label;
                let name = match name {
                    Name::Same => "the name of the last one",
                    Name::Fresh => "a new name",
                };
                write!(f, "starts release {label} and joins under {name}")
            }
            Self::Renew => f.write_str("renews its lease"),
            Self::Leave => f.write_str("leaves"),
            Self::Announce { course } => write!(f, "announces course {course}"),
            Self::Delete { course } => write!(f, "deletes course {course}"),
            Self::Work => f.write_str("works off a task"),
            Self::Update { course } => write!(f, "updates course {course}"),
            Self::Read { course } => write!(f, "reads course {course}"),
            Self::Write { course, manner } => write!(f, "writes course {course} ({manner:?})"),
            Self::Claim => f.write_str("claims a task"),
            Self::End(ending) => write!(f, "ends its claim ({ending:?})"),
            Self::Enqueue { course } => write!(f, "puts course {course} on the queue"),
            Self::Start { transformer } => write!(f, "starts the rollout of {}", name(transformer)),
            Self::Gate { transformer, back } => {
                write!(
                    f,
                    "asks the gate of {} for WRITE - {back}",
                    name(transformer)
                )
            }
            Self::Retire => write!(f, "retires {}", TRANSFORMERS[1]),
            Self::RemoveExpired => f.write_str("removes expired leases"),
            Self::Pause => f.write_str("pauses the queue"),
            Self::Resume => f.write_str("resumes the queue"),
            Self::Retry => f.write_str("retries what is in quarantine"),
        }
    }
}

fn an_operation(choices: &mut impl Choices) -> Operation {
    let course = a_course(choices);
    let transformer = choices.weighted(&[(2, 0), (1, 1)]);
    match choices.below(40) {
        0..=6 => Operation::Work,
        7..=9 => Operation::Update { course },
        10..=12 => Operation::Read { course },
        13..=16 => Operation::Write {
            course,
            manner: choices.one_of(&[Manner::Durable, Manner::Buffered, Manner::Part]),
        },
        17..=19 => Operation::Claim,
        20..=22 => Operation::End(an_ending(choices)),
        23 | 24 => Operation::Start { transformer },
        25..=28 => Operation::Gate {
            transformer,
            back: u8::try_from(choices.below(3)).expect("below 3"),
        },
        29 | 30 => Operation::Renew,
        31 => Operation::Leave,
        32 => Operation::RemoveExpired,
        33 => Operation::Enqueue { course },
        34 => Operation::Announce { course },
        35 => Operation::Delete { course },
        36 => Operation::Retire,
        37 => Operation::Pause,
        38 => Operation::Resume,
        _ => Operation::Retry,
    }
}

fn an_ending(choices: &mut impl Choices) -> Ending {
    choices.weighted(&[
        (3, Ending::Complete),
        (1, Ending::Fail),
        (1, Ending::GiveBack),
    ])
}

/// Operations make some dozen calls; the first ones decide more.
fn a_call(choices: &mut impl Choices) -> u8 {
    let end = choices.one_of(&[4, 10, 20, 32]);
    u8::try_from(choices.below(end)).expect("below 32")
}

fn a_slot(choices: &mut impl Choices) -> u8 {
    choices.weighted(&[(4, 0), (4, 1), (2, 2), (1, 3)])
}

fn a_course(choices: &mut impl Choices) -> u8 {
    choices.weighted(&[(4, 0), (2, 1), (1, 2)])
}

fn a_release(choices: &mut impl Choices) -> u8 {
    choices.weighted(&[(4, 0), (6, 1), (6, 2), (6, 3), (2, 4), (1, 5), (1, 6)])
}

/// Numbers of courses in schedules fit.
const _: () = assert!(COURSES == 3);
