//! Who can do what next. A step is one get or one commit of the engine, or several gets where it makes no
//! difference that others could come between. Nothing here knows how states are searched.
//!
//! In the coarse grain a put takes three steps (load, check, commit) instead of six:
//! - base and content are read at once: a put comes to something only if the generation of the base
//!   is still there when it commits, so the base might as well have been read just before the load;
//! - row, lease and floors are read at once: the row is still the same at the commit, so it might as
//!   well have been read just before the floors; the lease protects nothing (see the test);
//! - what can only be refused any more is refused at once (`settle`): nobody sees it waiting.
//!
//! A claim is one step: it is kept only if fleet and floors still allow it when it is made, and what
//! is enqueued after that marks it. A raise is one step, since its commit requires what it has read; so is the seal of a row.

use crate::rules::{Config, Grain, Presence, Property, Release, TRANSFORMERS, WORKERS};
use crate::state::{
    Base, Claim, Course, Lease, Operator, Phase, Row, Snapshot, State, Task, Worker,
};

/// What happened, for a trace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) actor: Actor,
    pub(crate) what: &'static str,
    pub(crate) about: About,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Actor {
    Host,
    Operator,
    Worker { number: usize, release: u8 },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum About {
    Nothing,
    Course(usize),
    Version { transformer: usize, number: u8 },
}

pub(crate) const PUBLISHES: &str = "publishes new content";
pub(crate) const DELETES: &str = "deletes the course from the store";
pub(crate) const RETIRES: &str = "retires T1";

/// The transformer that may be retired.
pub(crate) const RETIRED: usize = 1;

/// Receives every step, what it leads to, and what it breaks.
pub(crate) type Emit<'a> = &'a mut dyn FnMut(Step, &State, Option<Property>);

/// Whether a changed row begins a generation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generation {
    Kept,
    New,
}

/// What has changed of the control data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    Fleet,
    FleetAndFloors,
}

impl Config {
    pub(crate) fn initial(&self) -> State {
        let course = |number| Course {
            row: Row::Absent,
            versions: [0; TRANSFORMERS],
            failed: [0; TRANSFORMERS],
            sealed: [false; TRANSFORMERS],
            scanned: [false; TRANSFORMERS],
            content: u8::from(number < self.courses),
            acknowledged: 0,
            is_hook_due: number < self.courses && self.has_queue(),
            task: Task::None,
            again: false,
            is_filled: false,
        };
        State {
            workers: [Worker::OUT; WORKERS],
            courses: [course(0), course(1)],
            floors: [0; TRANSFORMERS],
            min_readers: [1; TRANSFORMERS],
            gates: [0; TRANSFORMERS],
            is_retired: false,
            operator: Operator::Idle,
        }
    }

    pub(crate) fn successors(&self, state: &State, emit: Emit<'_>) {
        for number in 0..self.courses {
            self.host_steps(state, number, emit);
        }
        for number in 0..self.workers {
            // Equal workers do the same.
            if !state.workers[..number].contains(&state.workers[number]) {
                self.worker_steps(state, number, emit);
            }
        }
        self.operator_steps(state, emit);
    }

    fn host_steps(&self, state: &State, number: usize, emit: Emit<'_>) {
        let course = &state.courses[number];
        let host = |what| Step {
            actor: Actor::Host,
            what,
            about: About::Course(number),
        };
        if course.content < self.contents {
            let mut next = *state;
            next.courses[number].content += 1;
            next.courses[number].is_hook_due = self.has_queue();
            self.emit(host(PUBLISHES), next, emit);
        }
        if course.is_hook_due {
            let mut next = *state;
            next.courses[number].is_hook_due = false;
            self.enqueue(&mut next.courses[number]);
            self.emit(host("the publish hook enqueues"), next, emit);
        }
    }

    // What holds.

    /// What is wrong with a state, whatever led to it.
    pub(crate) fn breach(&self, state: &State) -> Option<Property> {
        for course in &state.courses[..self.courses] {
            let stored = course.row.content();
            if stored.is_some() {
                for transformer in 0..self.transformers {
                    let has_failed = course.versions[transformer] == 0;
                    let gate = state.gates[transformer];
                    if course.versions[transformer] < gate
                        && !(has_failed && course.failed[transformer] >= gate)
                    {
                        return Some(Property::OpenGateIsTrue);
                    }
                }
                if self.someone_meets_too_new(state, course) {
                    return Some(Property::NoWorkerMeetsTooNew);
                }
            }
            if stored.is_some() && course.is_filled && course.task == Task::None {
                for transformer in 0..self.transformers {
                    let reached = course.versions[transformer].max(course.failed[transformer]);
                    if reached < state.floors[transformer] && !is_retired(state, transformer) {
                        return Some(Property::BacklogIsRemembered);
                    }
                }
            }
            if self.has_queue()
                && course.content > stored.unwrap_or(course.acknowledged)
                && !course.is_hook_due
                && course.task == Task::None
            {
                return Some(Property::ContentIsRemembered);
            }
        }
        None
    }

    fn someone_meets_too_new(&self, state: &State, course: &Course) -> bool {
        state.workers.iter().any(|worker| {
            let counts = matches!(worker.lease, Lease::Joined | Lease::Overtaken);
            counts
                && (0..self.transformers).any(|transformer| {
                    let min_reader = self.min_reader(transformer, course.versions[transformer]);
                    let write = self.release(worker).write(transformer);
                    write.is_some_and(|write| write < min_reader)
                })
        })
    }

    /// Whether all that was to be done is done: the gates of the newest release are open, and
    /// nothing waits.
    pub(crate) fn is_goal(&self, state: &State) -> bool {
        let newest = &self.releases[self.releases.len() - 1];
        for transformer in 0..self.transformers {
            let wanted = newest.write(transformer);
            if wanted.is_some_and(|wanted| state.gates[transformer] != wanted) {
                return false;
            }
        }
        !self.has_queue()
            || state.courses[..self.courses].iter().all(|course| {
                let is_current = course.row.content().is_none_or(|c| c == course.content);
                is_current && course.task == Task::None && !course.is_hook_due
            })
    }

    /// Whether a step may be asked for on the way to the goal: not one that waits for new content,
    /// or takes courses or transformers away.
    pub(crate) fn helps(step: Step) -> bool {
        !matches!(step.what, PUBLISHES | DELETES | RETIRES)
    }

    // What steps have in common.

    pub(crate) fn emit(&self, step: Step, next: State, emit: Emit<'_>) {
        self.emit_with(step, next, None, emit);
    }

    pub(crate) fn emit_with(
        &self,
        step: Step,
        mut next: State,
        breach: Option<Property>,
        emit: Emit<'_>,
    ) {
        self.settle(&mut next);
        emit(step, &next, breach);
    }

    /// Takes the steps that have one outcome only, and that nobody else can see or hinder.
    fn settle(&self, state: &mut State) {
        for number in 0..self.workers {
            let worker = state.workers[number];
            if worker.claim == Claim::Lost && self.rules.fencing_token {
                state.workers[number].claim = Claim::None;
                if worker.phase <= Phase::Claimed || worker.phase == Phase::Published {
                    state.workers[number] = worker.joined();
                }
            }
            if !self.is_fine() {
                self.settle_put(state, number);
            }
        }
    }

    fn settle_put(&self, state: &mut State, number: usize) {
        let mut worker = state.workers[number];
        // Its commit would be refused.
        if worker.snapshot == Snapshot::Other && self.rules.row_precondition {
            worker = worker.loaded();
        }
        // It would find another row than it began with.
        if worker.phase == Phase::Loaded && worker.base == Base::Other && self.rules.base_check {
            worker = worker.begins_again();
        }
        state.workers[number] = worker;
        // It would find no lease. With a claim it may find before that there is nothing to do.
        let looks_for_lease = match worker.phase {
            Phase::Joined => true,
            Phase::Loaded => self.rules.lease_check,
            _ => false,
        };
        if looks_for_lease && worker.lease == Lease::None && worker.claim == Claim::None {
            state.workers[number] = Worker::OUT;
        }
    }

    pub(crate) fn enqueue(&self, course: &mut Course) {
        match course.task {
            Task::None => course.task = Task::Ready,
            Task::Ready => {}
            Task::Claimed => course.again |= self.rules.again,
        }
    }

    /// What others have seen of the row is no longer what is stored.
    pub(crate) fn row_changed(state: &mut State, course: usize, generation: Generation) {
        let seals = Operator::Seals {
            course: to_u8(course),
        };
        if state.operator == seals {
            state.operator = Operator::Idle;
        }
        for worker in &mut state.workers {
            if usize::from(worker.course) != course {
                continue;
            }
            if worker.snapshot == Snapshot::Same {
                worker.snapshot = Snapshot::Other;
            }
            let has_base = worker.phase >= Phase::Based && worker.phase <= Phase::Checked;
            if has_base && worker.base == Base::Same && generation == Generation::New {
                worker.base = Base::Other;
            }
        }
    }

    /// What the operator has read is no longer what is stored.
    pub(crate) fn control_changed(&self, state: &mut State, control: Control) {
        match &mut state.operator {
            Operator::Idle | Operator::Seals { .. } => {}
            Operator::Raises { is_late, .. } => {
                if self.rules.raise_requires_fleet || control == Control::FleetAndFloors {
                    state.operator = Operator::Idle;
                } else {
                    *is_late = true;
                }
            }
            Operator::Judges { .. } => {
                let floors = control == Control::FleetAndFloors && self.rules.latch_requires_floors;
                if self.rules.latch_requires_fleet || floors {
                    state.operator = Operator::Idle;
                }
            }
        }
    }

    // Words.

    pub(crate) fn is_fine(&self) -> bool {
        self.grain == Grain::Fine
    }

    pub(crate) fn has_queue(&self) -> bool {
        self.queue == Presence::Present
    }

    pub(crate) fn release(&self, worker: &Worker) -> &Release {
        &self.releases[usize::from(worker.release)]
    }

    /// Of a stored version: whatever release wrote it, it wrote the same.
    pub(crate) fn min_reader(&self, transformer: usize, version: u8) -> u8 {
        for release in self.releases {
            if let Some(versions) = release.versions[transformer]
                && versions.write == version
            {
                return versions.min_reader;
            }
        }
        0
    }
}

/// Whether there is anything to check the transformer's puts against.
pub(crate) fn is_floored(state: &State, transformer: usize) -> bool {
    state.floors[transformer] > 0 || is_retired(state, transformer)
}

pub(crate) fn is_retired(state: &State, transformer: usize) -> bool {
    state.is_retired && transformer == RETIRED
}

pub(crate) fn to_u8(number: usize) -> u8 {
    number.to_le_bytes()[0]
}
