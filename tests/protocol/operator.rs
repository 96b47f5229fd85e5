//! What operators do: raise floors, seal, judge and latch, fill the queue, delete, retire. They can be
//! several, and each can stop after every step.

use crate::rules::{Config, Presence, Property, TRANSFORMERS, Versions};
use crate::state::{Lease, Operator, Row, State};
use crate::steps::{
    About, Actor, Control, DELETES, Emit, Generation, RETIRED, RETIRES, Step, is_floored,
    is_retired, to_u8,
};

impl Config {
    pub(crate) fn operator_steps(&self, state: &State, emit: Emit<'_>) {
        match state.operator {
            Operator::Idle => {}
            Operator::Raises {
                transformer,
                release,
                ..
            } => self.raise(state, transformer.into(), release.into(), emit),
            Operator::Seals { course } => self.seal(state, course.into(), emit),
            Operator::Judges {
                transformer,
                target,
                next,
            } => self.judge(state, transformer.into(), target, next, emit),
        }
        if state.operator == Operator::Idle {
            self.begin_to_judge(state, emit);
        } else {
            let mut next = *state;
            next.operator = Operator::Idle;
            self.emit(operator("stops or crashes", About::Nothing), next, emit);
        }
        // What is one step is there for a second operator, too.
        if state.operator == Operator::Idle || !self.is_fine() {
            self.begin_to_raise(state, emit);
            self.begin_to_seal(state, emit);
        }
        for index in 0..self.courses {
            self.enqueue_what_is_behind(state, index, emit);
            self.delete(state, index, emit);
            self.purge(state, index, emit);
        }
        if self.retires == Presence::Present && !state.is_retired {
            self.retire(state, emit);
        }
    }

    fn begin_to_raise(&self, state: &State, emit: Emit<'_>) {
        for transformer in 0..self.transformers {
            for release in 0..self.releases.len() {
                if !self.would_raise(state, transformer, release) {
                    continue;
                }
                if self.is_fine() {
                    let mut next = *state;
                    next.operator = Operator::Raises {
                        transformer: to_u8(transformer),
                        release: to_u8(release),
                        is_late: false,
                    };
                    let step = operator("reads fleet and floors", About::Nothing);
                    self.emit(step, next, emit);
                } else {
                    self.raise(state, transformer, release, emit);
                }
            }
        }
    }

    /// Whether the release has anything to raise: the floor, or the `min_reader` that is allowed. A
    /// floor that every release reaches refuses nothing and is left out.
    fn would_raise(&self, state: &State, transformer: usize, release: usize) -> bool {
        let Some(versions) = self.releases[release].versions[transformer] else {
            return false;
        };
        let Versions { write, min_reader } = versions;
        let floor = state.floors[transformer];
        let mut others = self.releases.iter();
        let refuses = others.any(|other| other.write(transformer).unwrap_or(0) < write);
        !is_retired(state, transformer)
            && (write > floor && refuses
                || write == floor && min_reader > state.min_readers[transformer])
    }

    /// One commit. Who does not reach the floor was found expired, which is possible at any time, or
    /// the raise is refused, which is no step.
    fn raise(&self, state: &State, transformer: usize, release: usize, emit: Emit<'_>) {
        let Some(versions) = self.releases[release].versions[transformer] else {
            return;
        };
        let Versions { write, min_reader } = versions;
        let mut next = *state;
        let is_late = matches!(state.operator, Operator::Raises { is_late: true, .. });
        if let Operator::Raises { .. } = state.operator {
            next.operator = Operator::Idle;
        }
        self.control_changed(&mut next, Control::FleetAndFloors);
        next.floors[transformer] = write;
        next.min_readers[transformer] = next.min_readers[transformer].max(min_reader);
        forget_checks(&mut next, transformer);
        let mut breach = None;
        for number in 0..self.workers {
            let worker = &state.workers[number];
            let reaches = self.release(worker).write(transformer).unwrap_or(0) >= write;
            if reaches || worker.lease == Lease::None {
                continue;
            }
            // Either nobody looks, or this one came after they had looked.
            let is_unseen = !self.rules.live_leases_refuse || is_late;
            if is_unseen {
                breach = Some(Property::NoWorkerIsLockedOut);
            }
            next.workers[number].lease = if is_unseen || !self.rules.expired_leases_go {
                Lease::Overtaken
            } else {
                Lease::None
            };
        }
        let about = About::Version {
            transformer,
            number: write,
        };
        self.emit_with(operator("raises the floor", about), next, breach, emit);
        if self.is_fine() && breach.is_none() {
            // The others may have expired as well.
            for worker in &mut next.workers {
                worker.lease = Lease::None;
            }
            let step = operator("raises the floor, and every lease was expired", about);
            self.emit(step, next, emit);
        }
    }

    fn begin_to_seal(&self, state: &State, emit: Emit<'_>) {
        for index in 0..self.courses {
            if !self.has_to_seal(state, index) {
                continue;
            }
            if self.is_fine() {
                let mut next = *state;
                next.operator = Operator::Seals {
                    course: to_u8(index),
                };
                let step = operator("reads the row to seal it", About::Course(index));
                self.emit(step, next, emit);
            } else {
                self.seal(state, index, emit);
            }
        }
    }

    fn has_to_seal(&self, state: &State, index: usize) -> bool {
        let course = &state.courses[index];
        (0..self.transformers).any(|transformer| {
            let is_sealed = match course.row {
                Row::Absent => true,
                Row::Reserved => !self.rules.seal,
                Row::Of(_) => course.sealed[transformer] || !self.rules.seal,
            };
            is_floored(state, transformer) && !(is_sealed && course.scanned[transformer])
        })
    }

    /// One commit, or none where nothing is older than the floors.
    fn seal(&self, state: &State, index: usize, emit: Emit<'_>) {
        let mut next = *state;
        if let Operator::Seals { .. } = state.operator {
            next.operator = Operator::Idle;
        }
        let floored = [0, 1].map(|transformer| is_floored(state, transformer));
        let course = &mut next.courses[index];
        course.scanned = floored;
        if self.rules.seal && course.row == Row::Reserved {
            course.row = Row::Absent;
            Self::row_changed(&mut next, index, Generation::New);
        } else if self.rules.seal && course.row != Row::Absent && course.sealed != floored {
            course.sealed = floored;
            Self::row_changed(&mut next, index, Generation::Kept);
        }
        let step = operator("seals the course", About::Course(index));
        self.emit(step, next, emit);
    }

    fn begin_to_judge(&self, state: &State, emit: Emit<'_>) {
        for transformer in 0..self.transformers {
            if is_retired(state, transformer) {
                continue;
            }
            for release in self.releases {
                let Some(target) = release.write(transformer) else {
                    continue;
                };
                let is_open = state.gates[transformer] >= target;
                if is_open || state.floors[transformer] < target {
                    continue;
                }
                if self.is_fine() {
                    let mut next = *state;
                    next.operator = Operator::Judges {
                        transformer: to_u8(transformer),
                        target,
                        next: 0,
                    };
                    let step = operator("reads floors and fleet", About::Nothing);
                    self.emit(step, next, emit);
                } else {
                    self.judge(state, transformer, target, 0, emit);
                }
            }
        }
    }

    /// The next row of the census, or the latch after the last.
    fn judge(&self, state: &State, transformer: usize, target: u8, next: u8, emit: Emit<'_>) {
        let mut after = *state;
        let index = usize::from(next);
        if index == self.courses {
            after.operator = Operator::Idle;
            after.gates[transformer] = after.gates[transformer].max(target);
            let about = About::Version {
                transformer,
                number: target,
            };
            self.emit(operator("opens the gate", about), after, emit);
            return;
        }
        let course = &state.courses[index];
        let is_sealed = course.sealed[transformer] || !self.rules.judge_asks_for_the_seal;
        let is_well = match course.row {
            Row::Absent => true,
            Row::Reserved => is_sealed || !self.rules.judge_counts_reserved,
            Row::Of(_) => {
                let has_failed = course.failed[transformer] > 0;
                is_sealed && course.versions[transformer] >= target && !has_failed
            }
        };
        if is_well {
            after.operator = Operator::Judges {
                transformer: to_u8(transformer),
                target,
                next: next + 1,
            };
            let step = operator("counts the course, and all is well", About::Course(index));
            self.emit(step, after, emit);
        }
    }

    /// After the seal.
    fn enqueue_what_is_behind(&self, state: &State, index: usize, emit: Emit<'_>) {
        let course = &state.courses[index];
        let floored = [0, 1].map(|transformer| is_floored(state, transformer));
        if !self.has_queue() || floored == [false; TRANSFORMERS] || course.scanned != floored {
            return;
        }
        let is_behind = course.row.content().is_some()
            && (0..self.transformers).any(|transformer| {
                course.versions[transformer] < state.floors[transformer]
                    && !is_retired(state, transformer)
            });
        let mut next = *state;
        next.courses[index].is_filled = true;
        if is_behind {
            self.enqueue(&mut next.courses[index]);
        }
        if next.courses[index] != *course {
            let step = operator("enqueues the course if it is behind", About::Course(index));
            self.emit(step, next, emit);
        }
    }

    fn delete(&self, state: &State, index: usize, emit: Emit<'_>) {
        if self.deletes == Presence::Present && state.courses[index].row != Row::Absent {
            let mut next = *state;
            let course = &mut next.courses[index];
            course.row = Row::Absent;
            course.versions = [0; TRANSFORMERS];
            course.failed = [0; TRANSFORMERS];
            course.sealed = [false; TRANSFORMERS];
            Self::row_changed(&mut next, index, Generation::New);
            self.emit(operator(DELETES, About::Course(index)), next, emit);
        }
    }

    /// One commit. Who knows the transformer was found expired, as with a floor.
    fn retire(&self, state: &State, emit: Emit<'_>) {
        let mut next = *state;
        next.is_retired = true;
        if self.rules.retiring_drops_the_gate_at_once {
            next.gates[RETIRED] = 0;
        }
        forget_checks(&mut next, RETIRED);
        for number in 0..self.workers {
            if self.release(&state.workers[number]).versions[RETIRED].is_some() {
                next.workers[number].lease = Lease::None;
            }
        }
        self.control_changed(&mut next, Control::FleetAndFloors);
        self.emit(operator(RETIRES, About::Nothing), next, emit);
    }

    fn purge(&self, state: &State, index: usize, emit: Emit<'_>) {
        let course = &state.courses[index];
        if state.is_retired && course.scanned[RETIRED] && course.versions[RETIRED] > 0 {
            let mut next = *state;
            next.courses[index].versions[RETIRED] = 0;
            Self::row_changed(&mut next, index, Generation::Kept);
            let step = operator("deletes what T1 stored", About::Course(index));
            self.emit(step, next, emit);
        }
    }
}

/// Floors have changed: what was checked before was checked against older ones.
fn forget_checks(state: &mut State, transformer: usize) {
    for worker in &mut state.workers {
        worker.checked[transformer] = false;
    }
    for course in &mut state.courses {
        course.sealed[transformer] = false;
        course.scanned[transformer] = false;
        course.is_filled = false;
    }
}

fn operator(what: &'static str, about: About) -> Step {
    Step {
        actor: Actor::Operator,
        what,
        about,
    }
}
