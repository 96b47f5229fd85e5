//! Who can do what next. A step is one get or one commit of PROTOCOL's engine operations, or several gets
//! where nobody can tell the difference. Nothing here knows how states are searched.

use crate::rules::{Config, Grain, Presence, Property, Release, TRANSFORMERS, Versions, WORKERS};
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

/// Receives every step, what it leads to, and what it breaks.
pub(crate) type Emit<'a> = &'a mut dyn FnMut(Step, &State, Option<Property>);

/// The versions that a publication writes, 0 where nothing.
#[derive(Clone, Copy, Default)]
struct Writes([u8; TRANSFORMERS]);

/// What a publication does.
#[derive(Clone, Copy)]
enum Plan {
    Nothing,
    /// A newer release has stored what this one does not understand.
    TooNew,
    Part(Writes),
    Whole(Writes),
}

/// Whether a changed row begins a generation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Generation {
    Kept,
    New,
}

/// What a put reads in its publish loop.
#[derive(Clone, Copy)]
enum Read {
    Row,
    Fleet,
    Floors,
}

impl Writes {
    fn of(self, transformer: usize) -> u8 {
        self.0[transformer]
    }
}

impl Config {
    pub(crate) fn initial(&self) -> State {
        let course = |number| Course {
            row: Row::Absent,
            versions: [0; TRANSFORMERS],
            sealed: [false; TRANSFORMERS],
            scanned: [false; TRANSFORMERS],
            content: u8::from(number < self.courses),
            acknowledged: 0,
            is_hook_due: number < self.courses && self.has_queue(),
            task: Task::None,
            again: false,
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

    /// What is wrong with a state, whatever led to it.
    pub(crate) fn breach(&self, state: &State) -> Option<Property> {
        for course in &state.courses[..self.courses] {
            let stored = course.row.content();
            for transformer in 0..self.transformers {
                let gate = state.gates[transformer];
                if gate > 0 && stored.is_some() && course.versions[transformer] < gate {
                    return Some(Property::OpenGateIsTrue);
                }
            }
            if self.has_queue()
                && course.content > stored.unwrap_or(course.acknowledged)
                && !course.is_hook_due
                && course.task == Task::None
            {
                return Some(Property::ContentIsRemembered);
            }
            if stored.is_some() && self.someone_meets_too_new(state, course) {
                return Some(Property::NoWorkerMeetsTooNew);
            }
        }
        None
    }

    /// Whether all that was to be done is done.
    pub(crate) fn is_goal(&self, state: &State) -> bool {
        let Some(newest) = self.releases.last() else {
            return true;
        };
        for transformer in 0..self.transformers {
            if let Some(write) = newest.write(transformer)
                && state.gates[transformer] != write
            {
                return false;
            }
        }
        !self.has_queue()
            || state.courses[..self.courses].iter().all(|course| {
                let is_current = course.row.content().is_none_or(|c| c == course.content);
                is_current && course.task == Task::None && !course.is_hook_due
            })
    }

    /// Whether a step may be asked for on the way to an open gate: not one that waits for new
    /// content, or takes courses or transformers away.
    pub(crate) fn helps(step: Step) -> bool {
        !matches!(step.what, PUBLISHES | DELETES | RETIRES)
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
        let about = About::Course(number);
        let host = |what| Step {
            actor: Actor::Host,
            what,
            about,
        };
        if course.content < self.contents {
            let mut next = *state;
            next.courses[number].content += 1;
            next.courses[number].is_hook_due = self.has_queue();
            self.emit(host(PUBLISHES), next, None, emit);
        }
        if course.is_hook_due {
            let mut next = *state;
            next.courses[number].is_hook_due = false;
            self.enqueue(&mut next.courses[number]);
            self.emit(host("the publish hook enqueues"), next, None, emit);
        }
    }

    // Workers.

    fn worker_steps(&self, state: &State, number: usize, emit: Emit<'_>) {
        let worker = &state.workers[number];
        if worker.phase == Phase::Out
            || (worker.phase == Phase::Joined
                && worker.lease == Lease::None
                && worker.claim == Claim::None)
        {
            for release in 0..self.releases.len() {
                self.join(state, number, release, emit);
            }
        }
        if worker.phase != Phase::Out {
            let mut next = *state;
            self.give_up_claim(&mut next, number);
            next.workers[number] = Worker::OUT;
            self.emit(does(state, number, "stops or crashes"), next, None, emit);
        }
        if worker.lease == Lease::Overtaken {
            let step = does(
                state,
                number,
                "renews its lease, as if no floor had been raised",
            );
            self.emit(step, *state, Some(Property::NoWorkerIsLockedOut), emit);
        }
        match worker.phase {
            Phase::Out => {}
            Phase::Joined => self.begin_steps(state, number, emit),
            Phase::Based | Phase::Loaded | Phase::ReadOne | Phase::ReadTwo => {
                let mut next = *state;
                let what = self.advance_on(&mut next, number);
                self.emit(does(state, number, what), next, None, emit);
            }
            Phase::Checked => self.commit(state, number, emit),
            Phase::Published => {
                let mut next = *state;
                self.complete(&mut next, number);
                let step = does(state, number, "completes its claim");
                self.emit(step, next, None, emit);
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
        self.control_changed(&mut next);
        self.emit(does(&next, number, "starts and joins"), next, None, emit);
    }

    fn begin_steps(&self, state: &State, number: usize, emit: Emit<'_>) {
        let worker = &state.workers[number];
        if worker.claim != Claim::None {
            self.begin(state, number, emit);
            return;
        }
        for course in 0..self.courses {
            let mut next = *state;
            next.workers[number].course = to_u8(course);
            if self.has_queue() && self.may_claim(state, number, course) {
                let mut claimed = next;
                for other in &mut claimed.workers {
                    if other.claim == Claim::Held && usize::from(other.course) == course {
                        other.claim = Claim::Lost;
                    }
                }
                claimed.workers[number].claim = Claim::Held;
                claimed.courses[course].task = Task::Claimed;
                claimed.courses[course].again = false;
                self.emit(does(state, number, "claims the task"), claimed, None, emit);
            }
            let is_idle = matches!(
                self.plan(
                    state,
                    &Worker {
                        content: state.courses[course].content,
                        ..next.workers[number]
                    }
                ),
                Plan::Nothing | Plan::TooNew
            );
            // A get that finds nothing to do leads back here.
            if self.is_fine() || !is_idle {
                self.begin(&next, number, emit);
            }
        }
    }

    fn may_claim(&self, state: &State, number: usize, course: usize) -> bool {
        let worker = &state.workers[number];
        let is_free = match state.courses[course].task {
            Task::None => false,
            Task::Ready => true,
            // A lease may be found expired at any time.
            Task::Claimed => self.rules.claims_return,
        };
        let release = self.release(worker);
        let is_up_to_date = (0..self.transformers).all(|transformer| {
            if state.is_retired && transformer == RETIRED {
                release.versions[transformer].is_none()
            } else {
                release.write(transformer).unwrap_or(0) >= state.floors[transformer]
            }
        });
        is_free && is_up_to_date && worker.lease != Lease::None
    }

    /// Takes the base, having made sure that there is one.
    fn begin(&self, state: &State, number: usize, emit: Emit<'_>) {
        let mut next = *state;
        let course = usize::from(next.workers[number].course);
        let row = next.courses[course].row;
        let is_reserved_first = self.rules.reservation && self.rules.reservation_is_the_base;
        if row == Row::Absent && is_reserved_first {
            Self::reserve(&mut next, course);
            if next.workers[number].claim == Claim::None {
                next.workers[number].course = 0;
            }
            self.emit(does(state, number, "reserves the course"), next, None, emit);
            return;
        }
        let worker = &mut next.workers[number];
        worker.phase = Phase::Based;
        worker.base = match row {
            Row::Of(_) => Base::Same,
            Row::Reserved if is_reserved_first => Base::Same,
            Row::Absent | Row::Reserved => Base::Absent,
        };
        let mut what = "takes a base";
        if !self.is_fine() {
            what = self.advance_on(&mut next, number);
        }
        self.emit(does(state, number, what), next, None, emit);
    }

    /// The next get, or as many as are one step.
    fn advance_on(&self, state: &mut State, number: usize) -> &'static str {
        let mut what = self.advance(state, number);
        if self.is_fine() {
            return what;
        }
        loop {
            let goes_on = match state.workers[number].phase {
                Phase::ReadOne => true,
                // Reading the floors first is the fault that is looked for.
                Phase::ReadTwo => self.rules.floors_after_row,
                _ => false,
            };
            if !goes_on {
                return what;
            }
            what = self.advance(state, number);
        }
    }

    /// The next get of a put.
    fn advance(&self, state: &mut State, number: usize) -> &'static str {
        let order = if self.rules.floors_after_row {
            [Read::Row, Read::Fleet, Read::Floors]
        } else {
            [Read::Fleet, Read::Floors, Read::Row]
        };
        let course = usize::from(state.workers[number].course);
        let (read, phase) = match state.workers[number].phase {
            Phase::Based => {
                let worker = &mut state.workers[number];
                worker.content = state.courses[course].content;
                worker.phase = Phase::Loaded;
                return "loads and collects the course";
            }
            Phase::ReadOne => (order[1], Phase::ReadTwo),
            Phase::ReadTwo => (order[2], Phase::Checked),
            _ => (order[0], Phase::ReadOne),
        };
        match read {
            Read::Row => self.read_row(state, number, phase),
            Read::Fleet => {
                if state.workers[number].lease == Lease::None && self.rules.lease_check {
                    self.give_up_claim(state, number);
                    state.workers[number] = state.workers[number].joined();
                    return "finds that its lease is gone, and gives up";
                }
                state.workers[number].phase = phase;
                "finds its lease"
            }
            Read::Floors => {
                if self.is_fenced(state, &state.workers[number]) {
                    let worker = &mut state.workers[number];
                    *worker = Worker {
                        content: worker.content,
                        course: worker.course,
                        claim: worker.claim,
                        phase: Phase::Fenced,
                        ..worker.joined()
                    };
                    return "reads the floors and is fenced";
                }
                let checked = [0, 1].map(|transformer| is_floored(state, transformer));
                state.workers[number].checked = checked;
                state.workers[number].phase = phase;
                "reads the floors, which allow its put"
            }
        }
    }

    fn read_row(&self, state: &mut State, number: usize, phase: Phase) -> &'static str {
        let course = usize::from(state.workers[number].course);
        let worker = state.workers[number];
        let row = state.courses[course].row;
        let fits = match worker.base {
            Base::Same => true,
            Base::Other => false,
            Base::Absent => row.content().is_none(),
        };
        let reserves_now = !self.rules.reservation_is_the_base || !self.rules.base_check;
        if row == Row::Absent && self.rules.reservation && reserves_now {
            Self::reserve(state, course);
            return "finds no row, and reserves the course";
        }
        if !fits && self.rules.base_check {
            state.workers[number] = Worker {
                course: worker.course,
                claim: worker.claim,
                ..worker.joined()
            };
            if worker.claim == Claim::None {
                state.workers[number].course = 0;
            }
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
                worker.snapshot = if row == Row::Absent {
                    Snapshot::Absent
                } else {
                    Snapshot::Same
                };
                "reads the row"
            }
        }
    }

    /// What a publication of what the worker has collected would write over what is stored.
    fn plan(&self, state: &State, worker: &Worker) -> Plan {
        let course = &state.courses[usize::from(worker.course)];
        let release = self.release(worker);
        let is_same_content = course.row == Row::Of(worker.content);
        let mut writes = Writes::default();
        for transformer in 0..self.transformers {
            let Some(versions) = release.versions[transformer] else {
                continue;
            };
            let stored = course.versions[transformer];
            let is_too_new = self.min_reader(transformer, stored) > versions.write;
            if is_too_new && !is_same_content {
                return Plan::TooNew;
            }
            let is_due = stored < versions.write || !self.rules.never_lower_of_same_content;
            if !is_same_content || (is_due && !is_too_new) {
                writes.0[transformer] = versions.write;
            }
        }
        match (is_same_content, writes.0) {
            (true, [0, 0]) => Plan::Nothing,
            (true, _) => Plan::Part(writes),
            (false, _) => Plan::Whole(writes),
        }
    }

    fn is_fenced(&self, state: &State, worker: &Worker) -> bool {
        let (writes, is_whole) = match self.plan(state, worker) {
            // The row has changed since it was read: what is decided here makes no difference.
            Plan::Nothing | Plan::TooNew => return false,
            Plan::Part(writes) => (writes, false),
            Plan::Whole(writes) => (writes, true),
        };
        let release = self.release(worker);
        for transformer in 0..self.transformers {
            let floor = state.floors[transformer];
            let is_retired = state.is_retired && transformer == RETIRED;
            let written = writes.of(transformer);
            if written > 0 {
                let min_reader = self.min_reader(transformer, written);
                if self.rules.floor_check && (written < floor || is_retired)
                    || self.rules.min_reader_check && min_reader > state.min_readers[transformer]
                {
                    return true;
                }
            }
            let is_left_out = release.versions[transformer].is_none() && floor > 0 && !is_retired;
            if is_whole && is_left_out && self.rules.whole_brings_what_is_floored {
                return true;
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
            let step = does(state, number, "is refused, as the row has changed");
            self.emit(step, next, None, emit);
            return;
        }
        let (writes, is_whole) = match self.plan(state, &worker) {
            Plan::Nothing | Plan::TooNew => (Writes::default(), false),
            Plan::Part(writes) => (writes, false),
            Plan::Whole(writes) => (writes, true),
        };
        let course = &mut next.courses[index];
        course.row = Row::Of(worker.content);
        course.sealed = worker.checked;
        course.acknowledged = course.acknowledged.max(worker.content);
        for transformer in 0..self.transformers {
            if is_whole || writes.of(transformer) > 0 {
                course.versions[transformer] = writes.of(transformer);
            }
        }
        let after = *course;
        let breach = self.breach_of_put(state, number, &before, &after, writes, is_whole);
        let generation = if is_whole {
            Generation::New
        } else {
            Generation::Kept
        };
        next.workers[number].snapshot = Snapshot::None;
        Self::row_changed(&mut next, index, generation);
        self.finish(&mut next, number);
        let step = does(state, number, "commits");
        self.emit(step, next, breach, emit);
        // It may have been the host's hook that published.
        if before.is_hook_due && before.content == worker.content && worker.claim == Claim::None {
            next.courses[index].is_hook_due = false;
            let step = does(state, number, "commits for the publish hook");
            self.emit(step, next, breach, emit);
        }
    }

    fn breach_of_put(
        &self,
        state: &State,
        number: usize,
        before: &Course,
        after: &Course,
        writes: Writes,
        is_whole: bool,
    ) -> Option<Property> {
        let worker = &state.workers[number];
        if worker.content < before.acknowledged {
            return Some(Property::NoWriteIsLost);
        }
        for transformer in 0..self.transformers {
            let (old, new) = (before.versions[transformer], after.versions[transformer]);
            let is_retired = state.is_retired && transformer == RETIRED;
            let is_sealed = before.scanned[transformer];
            let is_below = new < state.floors[transformer] && !is_retired;
            let is_known = self.release(worker).versions[transformer].is_some();
            let is_dropped = old > 0 && new == 0 && !is_known;
            if before.row == after.row && new < old || is_dropped && is_below && is_sealed {
                return Some(Property::NoWriteIsLost);
            }
            let is_put = is_whole || writes.of(transformer) > 0;
            let is_of_retired = is_retired && writes.of(transformer) > 0;
            if is_sealed && (is_put && is_below || is_of_retired) {
                return Some(Property::SealedFloorHolds);
            }
        }
        None
    }

    /// After the put: what was claimed is to be completed.
    fn finish(&self, state: &mut State, number: usize) {
        let worker = state.workers[number];
        if worker.claim == Claim::None {
            state.workers[number] = worker.joined();
            return;
        }
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

    fn complete(&self, state: &mut State, number: usize) {
        let worker = state.workers[number];
        let index = usize::from(worker.course);
        if worker.claim == Claim::Held || !self.rules.fencing_token {
            for other in &mut state.workers {
                if other.claim == Claim::Held && usize::from(other.course) == index {
                    other.claim = Claim::Lost;
                }
            }
            let course = &mut state.courses[index];
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
        let mut what = "is done, and says that it was fenced";
        if worker.claim != Claim::None {
            self.give_up_claim(&mut next, number);
        } else if self.has_queue() && self.rules.fenced_is_enqueued {
            self.enqueue(&mut next.courses[index]);
            what = "enqueues what was fenced";
        }
        next.workers[number] = worker.joined();
        self.emit(does(state, number, what), next, None, emit);
        let course = &state.courses[index];
        if course.is_hook_due && course.content == worker.content && worker.claim == Claim::None {
            next.courses[index].is_hook_due = false;
            let step = does(state, number, "was the publish hook, and was fenced");
            self.emit(step, next, None, emit);
        }
    }

    /// The claim is there for others, if that is the rule.
    fn give_up_claim(&self, state: &mut State, number: usize) {
        let worker = &mut state.workers[number];
        let course = &mut state.courses[usize::from(worker.course)];
        if worker.claim == Claim::Held && self.rules.claims_return {
            course.task = Task::Ready;
            course.again = false;
        }
        worker.claim = Claim::None;
    }

    fn enqueue(&self, course: &mut Course) {
        match course.task {
            Task::None => course.task = Task::Ready,
            Task::Ready => {}
            Task::Claimed => course.again |= self.rules.again,
        }
    }

    fn reserve(state: &mut State, course: usize) {
        state.courses[course].row = Row::Reserved;
        Self::row_changed(state, course, Generation::New);
    }

    /// What others have seen of the row is no longer what is stored.
    fn row_changed(state: &mut State, course: usize, generation: Generation) {
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

    // The operator.

    fn operator_steps(&self, state: &State, emit: Emit<'_>) {
        if state.operator == Operator::Idle || !self.is_fine() {
            self.operator_begins(state, emit);
        }
        match state.operator {
            Operator::Idle => {}
            Operator::Raises {
                transformer,
                release,
            } => self.raise(state, usize::from(transformer), usize::from(release), emit),
            Operator::Seals { course } => self.seal(state, usize::from(course), emit),
            Operator::Judges {
                transformer,
                target,
                next,
            } => self.judge(state, usize::from(transformer), target, next, emit),
        }
        if state.operator != Operator::Idle {
            let mut next = *state;
            next.operator = Operator::Idle;
            self.emit(
                operator("stops or crashes", About::Nothing),
                next,
                None,
                emit,
            );
        }
        for number in 0..self.courses {
            self.course_steps(state, number, emit);
        }
        if self.retires == Presence::Present && !state.is_retired {
            self.retire(state, emit);
        }
    }

    fn operator_begins(&self, state: &State, emit: Emit<'_>) {
        for transformer in 0..self.transformers {
            for number in 0..self.releases.len() {
                if self.is_above(state, transformer, number) {
                    if self.is_fine() {
                        let mut next = *state;
                        next.operator = Operator::Raises {
                            transformer: to_u8(transformer),
                            release: to_u8(number),
                        };
                        let step = operator("reads fleet and floors", About::Nothing);
                        self.emit(step, next, None, emit);
                    } else {
                        self.raise(state, transformer, number, emit);
                    }
                }
                if let Some(target) = self.releases[number].write(transformer) {
                    self.begin_to_judge(state, transformer, target, emit);
                }
            }
        }
        for number in 0..self.courses {
            if self.has_to_seal(state, number) {
                if self.is_fine() {
                    let mut next = *state;
                    next.operator = Operator::Seals {
                        course: to_u8(number),
                    };
                    let step = operator("reads the row to seal it", About::Course(number));
                    self.emit(step, next, None, emit);
                } else {
                    self.seal(state, number, emit);
                }
            }
        }
    }

    /// Whether the release could raise the floor, or the `min_reader` that is allowed.
    fn is_above(&self, state: &State, transformer: usize, release: usize) -> bool {
        let is_retired = state.is_retired && transformer == RETIRED;
        // A floor that every release reaches changes nothing.
        let is_met = |write| {
            self.releases
                .iter()
                .all(|r| r.write(transformer) >= Some(write))
        };
        !is_retired
            && self.releases[release].versions[transformer].is_some_and(|versions| {
                versions.write > state.floors[transformer] && !is_met(versions.write)
                    || versions.write == state.floors[transformer]
                        && versions.min_reader > state.min_readers[transformer]
            })
    }

    fn raise(&self, state: &State, transformer: usize, release: usize, emit: Emit<'_>) {
        let Some(versions) = self.releases[release].versions[transformer] else {
            return;
        };
        let Versions { write, min_reader } = versions;
        let mut next = *state;
        self.control_changed(&mut next);
        next.floors[transformer] = write;
        next.min_readers[transformer] = next.min_readers[transformer].max(min_reader);
        Self::forget_checks(&mut next, transformer);
        let mut breach = None;
        for number in 0..self.workers {
            let worker = &state.workers[number];
            let reaches = self.release(worker).write(transformer).unwrap_or(0) >= write;
            if reaches || worker.lease == Lease::None {
                continue;
            }
            // It was found expired, or it does not matter that it was not.
            if self.rules.live_leases_refuse && self.rules.expired_leases_go {
                next.workers[number].lease = Lease::None;
            } else {
                next.workers[number].lease = Lease::Overtaken;
            }
            if !self.rules.live_leases_refuse {
                breach = Some(Property::NoWorkerIsLockedOut);
            }
        }
        let about = About::Version {
            transformer,
            number: write,
        };
        self.emit(operator("raises the floor", about), next, breach, emit);
        if self.is_fine() {
            // Others may have expired as well.
            for worker in &mut next.workers {
                worker.lease = Lease::None;
            }
            self.emit(
                operator("raises the floor alone", about),
                next,
                breach,
                emit,
            );
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
        }
    }

    fn has_to_seal(&self, state: &State, number: usize) -> bool {
        let course = &state.courses[number];
        (0..self.transformers).any(|transformer| {
            let is_sealed = match course.row {
                Row::Absent => true,
                Row::Reserved => false,
                Row::Of(_) => course.sealed[transformer] || !self.rules.seal,
            };
            is_floored(state, transformer) && !(is_sealed && course.scanned[transformer])
        })
    }

    fn seal(&self, state: &State, number: usize, emit: Emit<'_>) {
        let mut next = *state;
        if let Operator::Seals { .. } = state.operator {
            next.operator = Operator::Idle;
        }
        let floored = [0, 1].map(|transformer| is_floored(state, transformer));
        next.courses[number].scanned = floored;
        if self.rules.seal {
            match state.courses[number].row {
                Row::Absent => {}
                Row::Reserved => {
                    next.courses[number].row = Row::Absent;
                    Self::row_changed(&mut next, number, Generation::New);
                }
                Row::Of(_) => {
                    if state.courses[number].sealed != floored {
                        next.courses[number].sealed = floored;
                        Self::row_changed(&mut next, number, Generation::Kept);
                    }
                }
            }
        }
        let step = operator("passes the course with its seal", About::Course(number));
        self.emit(step, next, None, emit);
    }

    fn begin_to_judge(&self, state: &State, transformer: usize, target: u8, emit: Emit<'_>) {
        let is_retired = state.is_retired && transformer == RETIRED;
        let is_open = state.gates[transformer] >= target;
        if is_retired || is_open || state.floors[transformer] < target {
            return;
        }
        if self.is_fine() {
            let mut next = *state;
            next.operator = Operator::Judges {
                transformer: to_u8(transformer),
                target,
                next: 0,
            };
            let step = operator("reads floors and fleet for a census", About::Nothing);
            self.emit(step, next, None, emit);
        } else {
            self.judge(state, transformer, target, 0, emit);
        }
    }

    /// The next row of the census, or the latch.
    fn judge(&self, state: &State, transformer: usize, target: u8, next: u8, emit: Emit<'_>) {
        let mut after = *state;
        let number = usize::from(next);
        if number == self.courses {
            after.operator = Operator::Idle;
            after.gates[transformer] = after.gates[transformer].max(target);
            let about = About::Version {
                transformer,
                number: target,
            };
            self.emit(operator("opens the gate", about), after, None, emit);
            return;
        }
        let course = &state.courses[number];
        let is_sealed = course.sealed[transformer] || !self.rules.judge_asks_for_the_seal;
        let is_well = match course.row {
            Row::Absent => true,
            Row::Reserved => is_sealed || !self.rules.judge_counts_reserved,
            Row::Of(_) => is_sealed && course.versions[transformer] >= target,
        };
        if is_well {
            after.operator = Operator::Judges {
                transformer: to_u8(transformer),
                target,
                next: next + 1,
            };
            let step = operator("counts the course, and all is well", About::Course(number));
            self.emit(step, after, None, emit);
        }
    }

    fn course_steps(&self, state: &State, number: usize, emit: Emit<'_>) {
        let course = &state.courses[number];
        let about = About::Course(number);
        if self.deletes == Presence::Present && course.row != Row::Absent {
            let mut next = *state;
            next.courses[number].row = Row::Absent;
            next.courses[number].versions = [0; TRANSFORMERS];
            next.courses[number].sealed = [false; TRANSFORMERS];
            Self::row_changed(&mut next, number, Generation::New);
            self.emit(operator(DELETES, about), next, None, emit);
        }
        let is_behind = (0..self.transformers).any(|transformer| {
            course.versions[transformer] < state.floors[transformer]
                && course.row.content().is_some()
                && !(state.is_retired && transformer == RETIRED)
        });
        if self.has_queue() && is_behind && course.task != Task::Ready {
            let mut next = *state;
            self.enqueue(&mut next.courses[number]);
            self.emit(operator("enqueues the course", about), next, None, emit);
        }
        if state.is_retired && course.scanned[RETIRED] && course.versions[RETIRED] > 0 {
            let mut next = *state;
            next.courses[number].versions[RETIRED] = 0;
            Self::row_changed(&mut next, number, Generation::Kept);
            let step = operator("deletes the data of the retired transformer", about);
            self.emit(step, next, None, emit);
        }
    }

    fn retire(&self, state: &State, emit: Emit<'_>) {
        let mut next = *state;
        next.is_retired = true;
        if self.rules.retiring_drops_the_gate_at_once {
            next.gates[RETIRED] = 0;
        }
        Self::forget_checks(&mut next, RETIRED);
        for number in 0..self.workers {
            if self.release(&state.workers[number]).versions[RETIRED].is_some() {
                next.workers[number].lease = Lease::None;
            }
        }
        self.control_changed(&mut next);
        self.emit(operator(RETIRES, About::Nothing), next, None, emit);
    }

    // Words.

    fn is_fine(&self) -> bool {
        self.grain == Grain::Fine
    }

    fn has_queue(&self) -> bool {
        self.queue == Presence::Present
    }

    fn release(&self, worker: &Worker) -> &Release {
        &self.releases[usize::from(worker.release)]
    }

    /// Of a stored version: whatever release wrote it, it wrote the same.
    fn min_reader(&self, transformer: usize, version: u8) -> u8 {
        let mut known = self.releases.iter().filter_map(|r| r.versions[transformer]);
        known
            .find(|versions| versions.write == version)
            .map_or(0, |versions| versions.min_reader)
    }

    fn someone_meets_too_new(&self, state: &State, course: &Course) -> bool {
        let leased = state.workers.iter().filter(|worker| {
            worker.phase != Phase::Out && matches!(worker.lease, Lease::Joined | Lease::Overtaken)
        });
        for worker in leased {
            for transformer in 0..self.transformers {
                let min_reader = self.min_reader(transformer, course.versions[transformer]);
                let write = self.release(worker).write(transformer);
                if write.is_some_and(|write| write < min_reader) {
                    return true;
                }
            }
        }
        false
    }

    /// Fleet or floors have changed: what the operator has read is not what is stored.
    fn control_changed(&self, state: &mut State) {
        let survives = match state.operator {
            Operator::Idle | Operator::Seals { .. } => true,
            Operator::Raises { .. } => false,
            Operator::Judges { .. } => !self.rules.latch_precondition,
        };
        if !survives {
            state.operator = Operator::Idle;
        }
    }

    fn emit(&self, step: Step, mut next: State, breach: Option<Property>, emit: Emit<'_>) {
        self.settle(&mut next);
        emit(step, &next, breach);
    }

    /// Takes the steps that have one outcome only, and that nobody else can see or hinder.
    fn settle(&self, state: &mut State) {
        for number in 0..self.workers {
            let worker = state.workers[number];
            if worker.claim == Claim::Lost && self.rules.fencing_token {
                state.workers[number].claim = Claim::None;
                if worker.phase == Phase::Joined || worker.phase == Phase::Published {
                    state.workers[number] = state.workers[number].joined();
                }
            }
            if self.is_fine() {
                continue;
            }
            self.settle_put(state, number);
        }
    }

    fn settle_put(&self, state: &mut State, number: usize) {
        let worker = state.workers[number];
        // Its commit would be refused.
        if worker.snapshot == Snapshot::Other && self.rules.row_precondition {
            state.workers[number] = worker.loaded();
        }
        // It would find another row than it began with.
        if state.workers[number].phase == Phase::Loaded
            && worker.base == Base::Other
            && self.rules.base_check
        {
            state.workers[number] = Worker {
                course: if worker.claim == Claim::None {
                    0
                } else {
                    worker.course
                },
                claim: worker.claim,
                ..worker.joined()
            };
        }
        // It would find no lease.
        let is_lost = matches!(state.workers[number].phase, Phase::Joined)
            || state.workers[number].phase == Phase::Loaded && self.rules.lease_check;
        if is_lost && worker.lease == Lease::None {
            self.give_up_claim(state, number);
            state.workers[number] = Worker::OUT;
        }
    }
}

pub(crate) const PUBLISHES: &str = "publishes new content";
pub(crate) const DELETES: &str = "deletes the course from the store";
pub(crate) const RETIRES: &str = "retires the second transformer";
/// The transformer that may be retired.
const RETIRED: usize = 1;

fn operator(what: &'static str, about: About) -> Step {
    Step {
        actor: Actor::Operator,
        what,
        about,
    }
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

/// Whether there is anything to check the transformer's puts against.
fn is_floored(state: &State, transformer: usize) -> bool {
    state.floors[transformer] > 0 || state.is_retired && transformer == RETIRED
}

fn to_u8(number: usize) -> u8 {
    number.to_le_bytes()[0]
}
