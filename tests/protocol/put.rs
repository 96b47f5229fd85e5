//! What a worker does: joins, claims, and puts in the order that the protocol asks for.

use crate::rules::{Config, Property, TRANSFORMERS};
use crate::state::{Base, Claim, Course, Lease, Phase, Row, Snapshot, State, Task, Worker};
use crate::steps::{About, Actor, Control, Emit, Generation, Step, is_floored, is_retired, to_u8};

/// What a publication writes, given what is stored.
#[derive(Clone, Copy)]
enum Plan {
    Nothing,
    /// A newer release has stored what this one does not understand.
    TooNew,
    /// Into the generation that is there.
    Part(Publication),
    /// A new generation.
    Whole(Publication),
}

/// By transformer, 0 where nothing.
#[derive(Clone, Copy, Default)]
struct Publication {
    versions: [u8; TRANSFORMERS],
    /// The version of the code that failed.
    failed: [u8; TRANSFORMERS],
}

/// What a put reads in its publish loop.
#[derive(Clone, Copy)]
enum Read {
    Row,
    Fleet,
    Floors,
}

impl Config {
    pub(crate) fn worker_steps(&self, state: &State, number: usize, emit: Emit<'_>) {
        let worker = &state.workers[number];
        let is_idle = worker.phase == Phase::Joined && worker.claim == Claim::None;
        if worker.phase == Phase::Out || is_idle && worker.lease == Lease::None {
            for release in 0..self.releases.len() {
                self.join(state, number, release, emit);
            }
        }
        if worker.phase != Phase::Out {
            let mut next = *state;
            self.give_up_claim(&mut next, number);
            next.workers[number] = Worker::OUT;
            self.emit(does(state, number, "stops or crashes"), next, emit);
        }
        if worker.lease == Lease::Overtaken {
            let step = does(state, number, "renews its lease, which is below the floor");
            self.emit_with(step, *state, Some(Property::NoWorkerIsLockedOut), emit);
        }
        match worker.phase {
            Phase::Out => {}
            Phase::Joined => self.joined_steps(state, number, emit),
            Phase::Claiming => self.claim(state, number, emit),
            Phase::Claimed => self.look_again(state, number, emit),
            Phase::Based | Phase::Loaded | Phase::ReadOne | Phase::ReadTwo => {
                let mut next = *state;
                let what = self.advance(&mut next, number);
                self.emit(does(state, number, what), next, emit);
            }
            Phase::Checked => self.commit(state, number, emit),
            Phase::Published => {
                let mut next = *state;
                self.complete(&mut next, number);
                self.emit(does(state, number, "completes its claim"), next, emit);
            }
            Phase::Fenced => self.be_fenced(state, number, emit),
        }
    }

    fn join(&self, state: &State, number: usize, release: usize, emit: Emit<'_>) {
        let is_behind = (0..self.transformers).any(|transformer| {
            let write = self.releases[release].write(transformer);
            write.is_some_and(|write| write < state.min_readers[transformer])
        });
        let mut next = *state;
        next.workers[number] = Worker {
            phase: Phase::Joined,
            release: to_u8(release),
            lease: if is_behind {
                Lease::RolledBack
            } else {
                Lease::Joined
            },
            ..Worker::OUT
        };
        self.control_changed(&mut next, Control::Fleet);
        self.emit(does(&next, number, "starts and joins"), next, emit);
    }

    fn joined_steps(&self, state: &State, number: usize, emit: Emit<'_>) {
        if state.workers[number].claim != Claim::None {
            self.begin(state, number, emit);
            return;
        }
        for index in 0..self.courses {
            let mut next = *state;
            let worker = &mut next.workers[number];
            worker.course = to_u8(index);
            let loaded = Worker {
                content: state.courses[index].content,
                ..*worker
            };
            if self.has_queue() && self.may_claim(state, number) {
                if self.is_fine() || !self.rules.claims_look_again {
                    let mut next = next;
                    next.workers[number].phase = Phase::Claiming;
                    let step = does(state, number, "looks for a task, which it may");
                    self.emit(step, next, emit);
                } else {
                    self.claim(&next, number, emit);
                }
            }
            // A put that would find nothing to do leads back here.
            let is_put = matches!(self.plan(state, &loaded), Plan::Part(_) | Plan::Whole(_));
            if is_put || self.is_fine() {
                self.begin(&next, number, emit);
            }
        }
    }

    /// Whether it has a lease and could publish.
    fn may_claim(&self, state: &State, number: usize) -> bool {
        let worker = &state.workers[number];
        let release = self.release(worker);
        worker.lease != Lease::None
            && (0..self.transformers).all(|transformer| {
                if is_retired(state, transformer) {
                    release.versions[transformer].is_none()
                } else {
                    release.write(transformer).unwrap_or(0) >= state.floors[transformer]
                }
            })
    }

    fn claim(&self, state: &State, number: usize, emit: Emit<'_>) {
        let mut next = *state;
        let number_of_course = next.workers[number].course;
        let course = &mut next.courses[usize::from(number_of_course)];
        let is_free = match course.task {
            Task::None => false,
            Task::Ready => true,
            // The lease of whoever has it may be found expired at any time.
            Task::Claimed => self.rules.claims_return,
        };
        if !is_free {
            return;
        }
        course.task = Task::Claimed;
        course.again = false;
        for other in &mut next.workers {
            if other.claim == Claim::Held && other.course == number_of_course {
                other.claim = Claim::Lost;
            }
        }
        let worker = &mut next.workers[number];
        worker.claim = Claim::Held;
        worker.phase = if self.is_fine() && self.rules.claims_look_again {
            Phase::Claimed
        } else {
            Phase::Joined
        };
        self.emit(does(state, number, "claims the task"), next, emit);
    }

    fn look_again(&self, state: &State, number: usize, emit: Emit<'_>) {
        let mut next = *state;
        let mut what = "looks again, and may keep the task";
        if self.may_claim(state, number) {
            next.workers[number].phase = Phase::Joined;
        } else {
            self.give_up_claim(&mut next, number);
            next.workers[number] = next.workers[number].joined();
            what = "looks again, and gives the task back";
        }
        self.emit(does(state, number, what), next, emit);
    }

    /// Takes the base, having made sure that there is one.
    fn begin(&self, state: &State, number: usize, emit: Emit<'_>) {
        let mut next = *state;
        let index = usize::from(next.workers[number].course);
        let row = next.courses[index].row;
        let reserves_first = self.rules.reservation && self.rules.reservation_is_the_base;
        let mut what = "takes a base";
        if row == Row::Absent && reserves_first {
            reserve(&mut next, index);
            next.workers[number] = next.workers[number].begins_again();
            what = "reserves the course";
        } else {
            let worker = &mut next.workers[number];
            worker.phase = Phase::Based;
            worker.base = match row {
                Row::Of(_) => Base::Same,
                Row::Reserved if reserves_first => Base::Same,
                Row::Absent | Row::Reserved => Base::Absent,
            };
            if !self.is_fine() {
                what = self.advance(&mut next, number);
            }
        }
        self.emit(does(state, number, what), next, emit);
    }

    /// The next get, or as many as are one step.
    fn advance(&self, state: &mut State, number: usize) -> &'static str {
        loop {
            let what = self.read(state, number);
            let is_within_a_step = match state.workers[number].phase {
                Phase::ReadOne => true,
                // That something happens between floors and row is what the rule is about.
                Phase::ReadTwo => self.rules.floors_after_row,
                _ => false,
            };
            if self.is_fine() || !is_within_a_step {
                return what;
            }
        }
    }

    /// The next get.
    fn read(&self, state: &mut State, number: usize) -> &'static str {
        let order = if self.rules.floors_after_row {
            [Read::Row, Read::Fleet, Read::Floors]
        } else {
            [Read::Fleet, Read::Floors, Read::Row]
        };
        let (read, phase) = match state.workers[number].phase {
            Phase::Based => {
                let worker = &mut state.workers[number];
                worker.content = state.courses[usize::from(worker.course)].content;
                worker.phase = Phase::Loaded;
                return "loads and collects the course";
            }
            Phase::ReadOne => (order[1], Phase::ReadTwo),
            Phase::ReadTwo => (order[2], Phase::Checked),
            _ => (order[0], Phase::ReadOne),
        };
        match read {
            Read::Row => self.read_row(state, number, phase),
            Read::Fleet => self.read_fleet(state, number, phase),
            Read::Floors => self.read_floors(state, number, phase),
        }
    }

    fn read_row(&self, state: &mut State, number: usize, phase: Phase) -> &'static str {
        let worker = state.workers[number];
        let index = usize::from(worker.course);
        let row = state.courses[index].row;
        let reserves_now = !(self.rules.reservation_is_the_base && self.rules.base_check);
        if row == Row::Absent && self.rules.reservation && reserves_now {
            reserve(state, index);
            return "finds no row, and reserves the course";
        }
        let fits = match worker.base {
            Base::Same => true,
            Base::Other => false,
            Base::Absent => row.content().is_none(),
        };
        if !fits && self.rules.base_check {
            state.workers[number] = worker.begins_again();
            return "finds another row than it began with, and begins again";
        }
        match self.plan(state, &worker) {
            Plan::Nothing => {
                self.finish(state, number);
                "finds nothing left to do"
            }
            Plan::TooNew => {
                self.give_up_claim(state, number);
                state.workers[number] = worker.joined();
                "finds data that is too new for it, and gives up"
            }
            Plan::Part(_) | Plan::Whole(_) => {
                let worker = &mut state.workers[number];
                worker.phase = phase;
                worker.snapshot = match row {
                    Row::Absent => Snapshot::Absent,
                    Row::Reserved | Row::Of(_) => Snapshot::Same,
                };
                "reads the row, which is as it was"
            }
        }
    }

    fn read_fleet(&self, state: &mut State, number: usize, phase: Phase) -> &'static str {
        if state.workers[number].lease == Lease::None && self.rules.lease_check {
            self.give_up_claim(state, number);
            state.workers[number] = state.workers[number].joined();
            return "finds that its lease is gone, and gives up";
        }
        state.workers[number].phase = phase;
        "finds its lease"
    }

    fn read_floors(&self, state: &mut State, number: usize, phase: Phase) -> &'static str {
        let worker = state.workers[number];
        if self.is_fenced(state, &worker) {
            state.workers[number] = Worker {
                phase: Phase::Fenced,
                course: worker.course,
                claim: worker.claim,
                content: worker.content,
                ..worker.joined()
            };
            return "reads the floors, and is fenced";
        }
        state.workers[number].checked = [0, 1].map(|number| is_floored(state, number));
        state.workers[number].phase = phase;
        "reads the floors, which allow its put"
    }

    fn plan(&self, state: &State, worker: &Worker) -> Plan {
        let course = &state.courses[usize::from(worker.course)];
        let release = self.release(worker);
        let is_part = course.row == Row::Of(worker.content);
        let mut publication = Publication::default();
        let mut is_empty = true;
        for transformer in 0..self.transformers {
            let Some(versions) = release.versions[transformer] else {
                continue;
            };
            let stored = course.versions[transformer];
            let is_too_new = self.min_reader(transformer, stored) > versions.write;
            if is_part {
                let is_due = stored < versions.write || !self.rules.never_lower_of_same_content;
                let will_fail_again = course.failed[transformer] >= versions.write;
                if !is_due || is_too_new || will_fail_again {
                    continue;
                }
            } else if is_too_new {
                return Plan::TooNew;
            }
            is_empty = false;
            if self.fails(transformer, versions.write, worker.content) {
                publication.failed[transformer] = versions.write;
            } else {
                publication.versions[transformer] = versions.write;
            }
        }
        match (is_part, is_empty) {
            (true, true) => Plan::Nothing,
            (true, false) => Plan::Part(publication),
            (false, _) => Plan::Whole(publication),
        }
    }

    /// Whether the code of a version cannot collect the content.
    fn fails(&self, transformer: usize, write: u8, content: u8) -> bool {
        self.poison.is_some_and(|poison| {
            transformer == 0 && content == poison.content && write < poison.fixed_in
        })
    }

    fn is_fenced(&self, state: &State, worker: &Worker) -> bool {
        let (publication, is_whole) = match self.plan(state, worker) {
            // The row has changed since it was read: whatever is decided now, the commit is refused.
            Plan::Nothing | Plan::TooNew => return false,
            Plan::Part(publication) => (publication, false),
            Plan::Whole(publication) => (publication, true),
        };
        for transformer in 0..self.transformers {
            let floor = state.floors[transformer];
            let is_retired = is_retired(state, transformer);
            let written = publication.versions[transformer];
            let failed = publication.failed[transformer];
            if written > 0 {
                let min_reader = self.min_reader(transformer, written);
                if self.rules.floor_check && (written < floor || is_retired)
                    || self.rules.min_reader_check && min_reader > state.min_readers[transformer]
                {
                    return true;
                }
            } else if is_whole && floor > 0 && !is_retired {
                let is_left_out = failed == 0 && self.rules.whole_brings_what_is_floored;
                let is_below = failed > 0 && failed < floor && self.rules.failures_reach_the_floor;
                if is_left_out || is_below {
                    return true;
                }
            }
        }
        false
    }

    fn commit(&self, state: &State, number: usize, emit: Emit<'_>) {
        let worker = state.workers[number];
        let index = usize::from(worker.course);
        let before = state.courses[index];
        let is_as_read = match worker.snapshot {
            Snapshot::Same => true,
            Snapshot::None | Snapshot::Other => false,
            Snapshot::Absent => before.row == Row::Absent,
        };
        let mut next = *state;
        if !is_as_read && self.rules.row_precondition {
            next.workers[number] = worker.loaded();
            let what = "is refused, as the row has changed";
            self.emit(does(state, number, what), next, emit);
            return;
        }
        let (publication, is_whole) = match self.plan(state, &worker) {
            Plan::Nothing | Plan::TooNew => (Publication::default(), false),
            Plan::Part(publication) => (publication, false),
            Plan::Whole(publication) => (publication, true),
        };
        let mut after = before;
        after.row = Row::Of(worker.content);
        after.sealed = worker.checked;
        after.acknowledged = before.acknowledged.max(worker.content);
        for transformer in 0..self.transformers {
            let written = publication.versions[transformer];
            let failed = publication.failed[transformer];
            if is_whole || written > 0 {
                after.versions[transformer] = written;
            }
            if is_whole || written > 0 || failed > 0 {
                after.failed[transformer] = failed;
            }
        }
        next.courses[index] = after;
        next.workers[number].snapshot = Snapshot::None;
        let generation = if is_whole {
            Generation::New
        } else {
            Generation::Kept
        };
        Self::row_changed(&mut next, index, generation);
        self.finish(&mut next, number);
        let breach = self.breach_of_put(state, number, &after, publication);
        self.emit_with(does(state, number, "commits"), next, breach, emit);
        // It may have been the publish hook that came to put, instead of enqueueing.
        if before.is_hook_due && before.content == worker.content && worker.claim == Claim::None {
            next.courses[index].is_hook_due = false;
            let step = does(state, number, "commits for the publish hook");
            self.emit_with(step, next, breach, emit);
        }
    }

    fn breach_of_put(
        &self,
        state: &State,
        number: usize,
        after: &Course,
        publication: Publication,
    ) -> Option<Property> {
        let worker = &state.workers[number];
        let before = &state.courses[usize::from(worker.course)];
        if worker.content < before.acknowledged {
            return Some(Property::NoWriteIsLost);
        }
        for transformer in 0..self.transformers {
            let (old, new) = (before.versions[transformer], after.versions[transformer]);
            let is_retired = is_retired(state, transformer);
            let is_sealed = before.scanned[transformer];
            let reached = new.max(after.failed[transformer]);
            let is_below = reached < state.floors[transformer] && !is_retired;
            let is_known = self.release(worker).versions[transformer].is_some();
            let is_dropped = old > 0 && new == 0 && !is_known;
            if before.row == after.row && new < old || is_dropped && is_below && is_sealed {
                return Some(Property::NoWriteIsLost);
            }
            let is_put = before.row != after.row || publication.versions[transformer] > 0;
            let is_of_retired = is_retired && publication.versions[transformer] > 0;
            if is_sealed && (is_put && is_below || is_of_retired) {
                return Some(Property::SealedFloorHolds);
            }
        }
        None
    }

    /// After the put: what was claimed is to be completed.
    fn finish(&self, state: &mut State, number: usize) {
        let worker = state.workers[number];
        state.workers[number] = worker.joined();
        if worker.claim != Claim::None {
            state.workers[number] = Worker {
                phase: Phase::Published,
                course: worker.course,
                claim: worker.claim,
                ..worker.joined()
            };
            if !self.is_fine() {
                self.complete(state, number);
            }
        }
    }

    fn complete(&self, state: &mut State, number: usize) {
        let worker = state.workers[number];
        if worker.claim == Claim::Held || !self.rules.fencing_token {
            for other in &mut state.workers {
                if other.claim == Claim::Held && other.course == worker.course {
                    other.claim = Claim::Lost;
                }
            }
            let course = &mut state.courses[usize::from(worker.course)];
            course.task = if course.again {
                Task::Ready
            } else {
                Task::None
            };
            course.again = false;
        }
        state.workers[number] = worker.joined();
    }

    fn be_fenced(&self, state: &State, number: usize, emit: Emit<'_>) {
        let worker = state.workers[number];
        let index = usize::from(worker.course);
        let mut next = *state;
        let mut what = "is done with what was fenced";
        if worker.claim != Claim::None {
            self.give_up_claim(&mut next, number);
        } else if self.has_queue() && self.rules.fenced_is_enqueued {
            self.enqueue(&mut next.courses[index]);
            what = "enqueues what was fenced";
        }
        next.workers[number] = worker.joined();
        self.emit(does(state, number, what), next, emit);
        if state.courses[index].row == Row::Reserved {
            let mut next = next;
            next.courses[index].row = Row::Absent;
            Self::row_changed(&mut next, index, Generation::New);
            let what = "takes back the reservation of what was fenced";
            self.emit(does(state, number, what), next, emit);
        }
        // It may have been the publish hook, which does not come again.
        let course = &state.courses[index];
        if course.is_hook_due && course.content == worker.content && worker.claim == Claim::None {
            next.courses[index].is_hook_due = false;
            let step = does(state, number, "ends the publish hook, which was fenced");
            self.emit(step, next, emit);
        }
    }

    /// The claim is there for others, if that is the rule.
    pub(crate) fn give_up_claim(&self, state: &mut State, number: usize) {
        let worker = &mut state.workers[number];
        let course = &mut state.courses[usize::from(worker.course)];
        if worker.claim == Claim::Held && self.rules.claims_return {
            course.task = Task::Ready;
            course.again = false;
        }
        worker.claim = Claim::None;
    }
}

fn reserve(state: &mut State, index: usize) {
    state.courses[index].row = Row::Reserved;
    Config::row_changed(state, index, Generation::New);
}

fn does(state: &State, number: usize, what: &'static str) -> Step {
    let worker = &state.workers[number];
    Step {
        actor: Actor::Worker {
            number,
            release: worker.release,
        },
        what,
        about: About::Course(usize::from(worker.course)),
    }
}
