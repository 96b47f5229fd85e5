//! What must be true, whatever happens: kept from acknowledged answers and from every change of an
//! index row, and held against the store. It never writes to the store.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use courseblocks::engine::{Commit, Durability, MemoryEngine, Space};
use courseblocks::rollout::{
    Claim, Claimed, Fleet, GateAnswer, Queue, Retire, Rollout, Start, Step, Task,
};
use courseblocks::{
    CourseEntry, CourseKey, Error, ErrorKind, Floors, Lease, Lookup, Member, Published,
    ReadVersion, Store, Timestamp, Versions,
};

use super::releases::{
    ALL, COURSES, Contents, KEYS, Stamped, TRANSFORMERS, WITH_BOTH, content_number, version,
};
use super::schedule::{Manner, Operation};
use super::stage::{Log, RowChange};
use super::world::{Answer, Began, ClaimEnd, Seen};

/// Something that must not be.
#[derive(Clone, Debug)]
pub(crate) struct Violation(String);

pub(crate) struct Model {
    /// On the engine that is tested.
    store: Store,
    /// Decodes rows that have been replaced already.
    past: Store,
    courses: [Course; COURSES],
    /// What is stored.
    floors: Floors,
    members: Vec<Member>,
    tasks: Vec<Task>,
    /// What a start was acknowledged for, by transformer.
    started: PerTransformer,
    /// The epoch of the floors that have reached every course.
    sealed: u64,
    /// What a gate was acknowledged for in this place.
    opened: PerTransformer,
    gates: PerTransformer,
    /// As they were before what was observed last.
    old_gates: PerTransformer,
    /// The second transformer was acknowledged to be gone.
    is_retired: bool,
    claims: Vec<Held>,
    /// Processes that were not told whether they have joined: the fleet may hold a lease of theirs
    /// that they do not know.
    untold: BTreeSet<u32>,
    /// The last row of every generation.
    past_rows: BTreeMap<u64, Row>,
    now: Timestamp,
    begun: u64,
}

/// How things were when an operation began.
pub(crate) struct Before {
    members: Vec<Member>,
    floors: PerTransformer,
    rows: [Option<Row>; COURSES],
    deletions: [u32; COURSES],
    contents: [u32; COURSES],
}

/// A version for each transformer.
type PerTransformer = [Option<u32>; TRANSFORMERS.len()];

#[derive(Debug, Default)]
struct Course {
    row: Option<Row>,
    /// What was acknowledged to be durable, unless it was deleted since.
    acknowledged: Option<Row>,
    /// The newest content that was acknowledged to be on the queue.
    announced: u32,
    /// How often a deletion began or ended.
    deletions: u32,
    /// How many deletions are under way.
    deleting: u32,
    /// Until an announcement after it: a deletion may have taken its task, and not more.
    has_lost_task: bool,
    /// A deletion was acknowledged, and there is no other content yet.
    is_gone: bool,
}

/// What an index row says.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    generation: u64,
    content: u32,
    /// WRITE and `min_reader`, by transformer.
    records: [Option<(u32, u32)>; TRANSFORMERS.len()],
    /// WRITE of the code that failed.
    failures: PerTransformer,
    epoch: u64,
}

/// A claim of a process.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each of them is noted by itself"
)]
struct Held {
    process: u32,
    /// The operation that was given it.
    number: u64,
    /// How many operations had begun by then.
    since: u64,
    is_ending: bool,
    lease: Lease,
    claim: Claim,
    /// Its lease was not live at some time since.
    was_dead: bool,
    /// A deletion may have taken the task away.
    may_be_lost: bool,
    /// Somebody else was given the task.
    is_lost: bool,
}

type Check = Result<(), Violation>;

impl Violation {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A store that fails to answer while nothing is made to fail.
impl From<Error> for Violation {
    fn from(error: Error) -> Self {
        Self(format!("the store cannot be read: {error}"))
    }
}

fn must(is_so: bool, message: impl FnOnce() -> String) -> Check {
    if is_so {
        Ok(())
    } else {
        Err(Violation(message()))
    }
}

impl Model {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            past: Store::with_engine(Arc::new(MemoryEngine::new())),
            courses: Default::default(),
            floors: Floors::default(),
            members: Vec::new(),
            tasks: Vec::new(),
            started: Default::default(),
            sealed: 0,
            opened: Default::default(),
            gates: Default::default(),
            old_gates: Default::default(),
            is_retired: false,
            claims: Vec::new(),
            untold: BTreeSet::new(),
            past_rows: BTreeMap::new(),
            now: Timestamp::MIN,
            begun: 0,
        }
    }

    /// How things are, for the operation that begins now.
    pub(crate) fn before(&mut self, contents: &Contents) -> Before {
        self.begun += 1;
        let floor = |transformer: usize| {
            let floor = self.floors.get(TRANSFORMERS[transformer]);
            floor.map(|floor| floor.version.get())
        };
        Before {
            members: self.members.clone(),
            floors: std::array::from_fn(floor),
            rows: std::array::from_fn(|course| self.courses[course].row.clone()),
            deletions: std::array::from_fn(|course| self.courses[course].deletions),
            contents: std::array::from_fn(|course| contents.of(course).number),
        }
    }

    /// Whether no release can go on that has the second transformer.
    pub(crate) fn gives_up_second(&self) -> bool {
        let second = self.floors.get(TRANSFORMERS[1]);
        second.is_some_and(|floor| floor.is_retired)
            || self.floor_is_above(ALL[WITH_BOTH.1].versions(0))
    }

    /// Whether the floor of the first transformer keeps these versions out.
    pub(crate) fn floor_is_above(&self, versions: Option<Versions>) -> bool {
        let floor = self.floors.get(TRANSFORMERS[0]);
        floor.is_some_and(|floor| versions.is_none_or(|versions| versions.write < floor.version))
    }

    /// Whether a record of the first transformer is older than the shape that the last releases
    /// write and read.
    pub(crate) fn holds_old_shape(&self) -> bool {
        let last = ALL[WITH_BOTH.1].versions(0);
        let needed = last.map_or(1, |versions| versions.min_reader.get());
        let rows = self.courses.iter().filter_map(|course| course.row.as_ref());
        let mut records = rows.filter_map(|row| row.records[0]);
        records.any(|(stored, _)| stored < needed)
    }

    pub(crate) fn is_announced(&self, course: usize, contents: &Contents) -> bool {
        let stored = self.courses[course]
            .row
            .as_ref()
            .map_or(0, |row| row.content);
        let number = contents.of(course).number;
        self.courses[course].announced.max(stored) == number
    }

    pub(crate) fn edited(&mut self, course: usize) {
        self.courses[course].is_gone = false;
    }

    pub(crate) fn deletion_begins(&mut self, course: usize) {
        let key = &KEYS[course];
        for held in &mut self.claims {
            held.may_be_lost |= held.claim.course() == key;
        }
        let course = &mut self.courses[course];
        course.acknowledged = None;
        course.deletions += 1;
        course.deleting += 1;
        course.has_lost_task = true;
        course.announced = 0;
    }

    /// The oldest claim of a process, which is about to end it. With the number of the operation
    /// that was given it.
    pub(crate) fn take_claim(&mut self, process: u32) -> Option<(u64, Claim)> {
        let mut claims = self.claims.iter_mut();
        let held = claims.find(|held| held.process == process && !held.is_ending)?;
        held.is_ending = true;
        Some((held.number, held.claim.clone()))
    }

    pub(crate) fn process_ended(&mut self, process: u32) {
        self.claims.retain(|held| held.process != process);
    }

    /// An operation of which nobody knows how far it came.
    pub(crate) fn cut_off(&mut self, began: &Began) {
        if let Operation::Delete { course } = began.operation {
            self.deletion_ended(course.into());
        }
    }

    /// What was committed, one after the other.
    pub(crate) fn observe(&mut self, log: Log, by: Option<&Began>, now: Timestamp) -> Check {
        self.now = now;
        self.old_gates = self.gates;
        // First: floors never go down, so those of the end let in all that was let in before.
        if log.rollout_changed {
            self.rollout_changed()?;
        }
        for change in log.rows {
            self.row_changed(&change, by)?;
        }
        if log.queue_changed {
            self.queue_changed()?;
        }
        self.check_claims(now);
        Ok(())
    }

    /// Notes which claims somebody else may take.
    pub(crate) fn check_claims(&mut self, now: Timestamp) {
        for held in &mut self.claims {
            let mut members = self.members.iter();
            let member = members.find(|member| member.worker == held.lease.worker());
            held.was_dead |= !member.is_some_and(|member| member.is_live(now));
        }
    }

    fn row_changed(&mut self, change: &RowChange, by: Option<&Began>) -> Check {
        let number = KEYS
            .iter()
            .position(|key| key.as_str().as_bytes() == change.course);
        let number = number.ok_or_else(|| Violation::new("a row of no course was written"))?;
        let key = &KEYS[number];
        let mut commit = Commit::new();
        match &change.row {
            Some(row) => commit.put(Space::Courses, "", row.as_slice()),
            None => commit.delete(Space::Courses, ""),
        }
        let engine = self.past.engine();
        let _ = engine.commit(key.as_str().as_bytes(), &commit, Durability::Buffered)?;
        let after = self.past.course(key)?.as_ref().map(Row::of);
        let before = self.courses[number].row.clone();
        // Who is refused takes a reservation back, lease or not.
        if before.is_some() || after.is_some() {
            Self::check_writer(key, by)?;
        }
        match (&before, &after) {
            (None, None) => {}
            (Some(before), None) => must(by.is_some_and(deletes), || {
                format!("{key} was removed, and nobody deleted it: {before:?}")
            })?,
            (before, Some(after)) => self.check_replaced(key, before.as_ref(), after)?,
        }
        if let Some(after) = &after {
            let known = self.past_rows.insert(after.generation, after.clone());
            let is_new = before
                .as_ref()
                .is_none_or(|row| row.generation != after.generation);
            must(known.is_none() || !is_new, || {
                format!("{key} has a generation that was used before: {after:?}")
            })?;
        }
        self.courses[number].row = after;
        Ok(())
    }

    /// Who has lost its lease cannot write any more, unless it joins again.
    fn check_writer(key: &CourseKey, by: Option<&Began>) -> Check {
        let Some(by) = by else { return Ok(()) };
        let lease = by.process.manager.lease().ok();
        // One that had none may have joined, written and left again before anybody looked.
        let has_joined = lease != by.lease || by.lease.is_none();
        let mut members = by.before.members.iter();
        let was_member = members.any(|member| member.worker == by.process.worker);
        must(has_joined || was_member, || {
            let worker = &by.process.worker;
            format!("{worker} {} and wrote {key} without a lease", by.operation)
        })
    }

    fn check_replaced(&self, key: &CourseKey, before: Option<&Row>, after: &Row) -> Check {
        let told = || format!("{key}: {before:?} was replaced by {after:?}");
        let is_whole = before.is_none_or(|row| row.generation != after.generation);
        let same_content = before.filter(|before| before.content == after.content);
        if let Some(before) = before {
            must(after.content >= before.content, || {
                format!("older content replaced newer: {}", told())
            })?;
            must(is_whole || after.content == before.content, || {
                format!("a generation mixes contents: {}", told())
            })?;
            must(after.epoch >= before.epoch, || {
                format!("the epoch went back: {}", told())
            })?;
        }
        for (transformer, name) in TRANSFORMERS.into_iter().enumerate() {
            let new = after.records[transformer];
            let old = same_content.and_then(|before| before.records[transformer]);
            let is_put = new.is_some() && new != old;
            let least = self.started[transformer];
            if let (Some((new, _)), true) = (new, is_put) {
                must(least.is_none_or(|least| new >= least), || {
                    format!("{name} was put below its floor {least:?}: {}", told())
                })?;
            }
            if let (Some((_, min_reader)), true) = (new, is_put) {
                let floor = self.floors.get(name).filter(|_| least.is_some());
                must(
                    floor.is_none_or(|floor| min_reader <= floor.min_reader.get()),
                    || format!("{name} was put in a shape that is not let in: {}", told()),
                )?;
            }
            must(
                old.is_none_or(|(old, _)| new.is_none_or(|(new, _)| new >= old)),
                || format!("an older version of {name} replaced a newer: {}", told()),
            )?;
            let is_retired = self.floors.get(name).is_some_and(|floor| floor.is_retired);
            must(old.is_none() || new.is_some() || is_retired, || {
                format!("{name} of the same content was dropped: {}", told())
            })?;
            must(
                new.is_none() || !(transformer == 1 && self.is_retired),
                || format!("{name} is back: {}", told()),
            )?;
            if let (Some(least), true, false) = (least, is_whole, is_retired) {
                let is_brought = new.is_some_and(|(new, _)| new >= least)
                    || after.failures[transformer].is_some_and(|failed| failed >= least);
                must(is_brought, || {
                    format!("{name} at its floor {least} was not brought: {}", told())
                })?;
            }
        }
        Ok(())
    }

    fn rollout_changed(&mut self) -> Check {
        let floors = self.store.floors()?;
        must(floors.epoch() >= self.floors.epoch(), || {
            format!("the epoch of the floors went back to {:?}", floors.epoch())
        })?;
        for (name, old) in self.floors.iter() {
            let is_kept = floors.get(name).is_some_and(|new| {
                new.version >= old.version
                    && new.min_reader >= old.min_reader
                    && new.is_retired >= old.is_retired
            });
            must(is_kept, || {
                format!("the floor of {name} went down: {floors:?}")
            })?;
        }
        self.floors = floors;
        self.members = Fleet::new(&self.store).members()?;
        let retired = self.floors.iter().filter(|(_, floor)| floor.is_retired);
        for (name, _) in retired {
            let mut members = self.members.iter();
            let user = members.find(|member| member.transformers.contains_key(name));
            must(user.is_none(), || {
                format!(
                    "{name} is retired, and {:?} has it",
                    user.map(|user| &user.worker)
                )
            })?;
        }
        let gates = Rollout::new(&self.store).open_gates()?;
        for (transformer, name) in TRANSFORMERS.into_iter().enumerate() {
            let gate = gates.get(name).map(|gate| gate.target.get());
            let is_retired = self.floors.get(name).is_some_and(|floor| floor.is_retired);
            let opened = self.opened[transformer].filter(|_| !is_retired);
            must(gate >= opened, || {
                format!("the gate of {name} was open at {opened:?}, and is at {gate:?}")
            })?;
            self.gates[transformer] = gate;
        }
        Ok(())
    }

    fn queue_changed(&mut self) -> Check {
        self.tasks = Queue::new(&self.store).tasks().collect::<Result<_, _>>()?;
        let courses: BTreeSet<_> = self
            .tasks
            .iter()
            .map(|task| task.course().as_str())
            .collect();
        must(courses.len() == self.tasks.len(), || {
            format!("a course has two tasks: {:?}", self.tasks)
        })
    }

    /// What must be true after every event.
    pub(crate) fn check(&self, contents: &Contents) -> Check {
        for (number, course) in self.courses.iter().enumerate() {
            let key = &KEYS[number];
            let told = || format!("{key}: {course:?}");
            let content = contents.of(number);
            if let Some(row) = &course.row {
                self.check_gates(row, told)?;
                must(row.epoch >= self.sealed, || {
                    format!("the floors have not reached {}", told())
                })?;
            }
            if let Some(acknowledged) = &course.acknowledged {
                self.check_kept(acknowledged, course.row.as_ref(), told)?;
            }
            must(!course.is_gone || course.row.is_none(), || {
                format!("it was deleted, and is back: {}", told())
            })?;
            let stored = course.row.as_ref().map_or(0, |row| row.content);
            let has_task = self.tasks.iter().any(|task| task.course() == key);
            must(
                has_task || !content.is_there || stored >= course.announced,
                || format!("fresh content was forgotten: {}", told()),
            )?;
            let Some(row) = course.row.as_ref().filter(|_| content.is_there) else {
                continue;
            };
            for (transformer, name) in TRANSFORMERS.into_iter().enumerate() {
                let is_behind = self.is_behind(transformer, row);
                must(has_task || !is_behind || course.has_lost_task, || {
                    format!("nobody will bring {name} above its floor: {}", told())
                })?;
            }
        }
        Ok(())
    }

    /// Whether the course must be collected again for a floor.
    fn is_behind(&self, transformer: usize, row: &Row) -> bool {
        let floor = self.floors.get(TRANSFORMERS[transformer]);
        let Some(least) =
            self.started[transformer].filter(|_| floor.is_some_and(|f| !f.is_retired))
        else {
            return false;
        };
        row.failures[transformer].is_none()
            && row.records[transformer].is_none_or(|(stored, _)| stored < least)
    }

    /// An open gate is true.
    fn check_gates(&self, row: &Row, told: impl Fn() -> String) -> Check {
        for (transformer, name) in TRANSFORMERS.into_iter().enumerate() {
            let Some(target) = self.gates[transformer] else {
                continue;
            };
            let is_readable = row.records[transformer].is_some_and(|(stored, _)| stored >= target);
            must(is_readable || row.failures[transformer].is_some(), || {
                format!(
                    "the gate {name}@{target} is open, and a reader meets {}",
                    told()
                )
            })?;
        }
        Ok(())
    }

    /// What was acknowledged is there, or something newer.
    fn check_kept(
        &self,
        acknowledged: &Row,
        row: Option<&Row>,
        told: impl Fn() -> String,
    ) -> Check {
        let is_kept = row.is_some_and(|row| {
            let has = |transformer: usize| {
                let stored = row.records[transformer].map(|(stored, _)| stored);
                let known = acknowledged.records[transformer].map(|(stored, _)| stored);
                let floor = self.floors.get(TRANSFORMERS[transformer]);
                stored >= known || floor.is_some_and(|floor| floor.is_retired)
            };
            let is_same = row.content == acknowledged.content;
            row.content >= acknowledged.content && (!is_same || (0..TRANSFORMERS.len()).all(has))
        });
        must(is_kept, || {
            format!("what was acknowledged is lost: {}", told())
        })
    }

    /// The answer to an operation that succeeded.
    pub(crate) fn succeeded(&mut self, began: &Began, answer: &Answer) -> Check {
        match (began.operation, answer) {
            (Operation::Join { .. } | Operation::Renew, _) => {
                self.untold.remove(&began.process.number());
            }
            (Operation::Announce { course }, Answer::Enqueued) => {
                self.check_enqueued(course.into())?;
                self.announced(course.into(), began);
            }
            (Operation::Enqueue { course }, Answer::Enqueued) => {
                self.check_enqueued(course.into())?;
            }
            (Operation::Delete { course }, _) => {
                self.deletion_ended(course.into());
                let key = &KEYS[usize::from(course)];
                let left = self.store.check(key)?.records;
                must(left.is_empty(), || {
                    format!("{key} was deleted, and something is left: {left:?}")
                })?;
                let course = &mut self.courses[usize::from(course)];
                course.is_gone = course.deleting == 0;
            }
            (Operation::Update { course }, Answer::Updated(updated)) => {
                self.published(course.into(), updated.published.as_ref(), began)?;
            }
            (Operation::Write { course, manner }, Answer::Written(published))
                if manner != Manner::Buffered =>
            {
                self.published(course.into(), Some(published), began)?;
            }
            (Operation::Read { .. }, Answer::Read(seen)) => {
                Self::check_seen(began, seen)?;
            }
            (
                _,
                Answer::Worked(Step::Done {
                    course, collected, ..
                }),
            ) => {
                if let Some(number) = KEYS.iter().position(|key| key == course) {
                    self.published(number, collected.published.as_ref(), began)?;
                }
                self.claimed(course, began)?;
            }
            (_, Answer::Worked(Step::Failed { course, .. })) => self.claimed(course, began)?,
            (_, Answer::Claimed(Claimed::Task(claim))) => {
                self.claimed(claim.course(), began)?;
                let lease = began.lease.clone();
                self.claims.push(Held {
                    process: began.process.number(),
                    number: began.number,
                    since: self.begun,
                    is_ending: false,
                    lease: lease.ok_or_else(|| Violation::new("a claim without a lease"))?,
                    claim: claim.clone(),
                    was_dead: false,
                    may_be_lost: self.may_be_dropped(claim.course(), began),
                    is_lost: false,
                });
                self.check_claims(self.now);
            }
            (_, Answer::Ended(end)) => self.claim_ended(began, *end)?,
            (Operation::Start { transformer }, Answer::Started(start)) => {
                self.started(transformer.into(), began, start)?;
            }
            (Operation::Gate { transformer, .. }, Answer::Judged(GateAnswer::Open(gate))) => {
                self.gate_opened(transformer.into(), gate.target.get(), began)?;
            }
            (Operation::Retire, Answer::Retired(Retire::Retired { .. })) => {
                self.is_retired = true;
                let mut rows = self.courses.iter().filter_map(|course| course.row.as_ref());
                let left = rows.find(|row| row.records[1].is_some());
                must(left.is_none(), || format!("retired data is left: {left:?}"))?;
            }
            (Operation::RemoveExpired, Answer::Removed) => self.check_expired(began)?,
            _ => {}
        }
        Ok(())
    }

    /// The answer to an operation that failed.
    pub(crate) fn failed(&mut self, began: &Began, error: &Error, was_troubled: bool) -> Check {
        let told = || format!("{} {}: {error}", began.process.worker, began.operation);
        let process = began.process.number();
        let has_lease = began.lease.is_some()
            && !began.rejoins
            && !self.untold.contains(&process)
            && began.process.manager.lease().ok() == began.lease
            && self.is_member(&began.process.worker)
            && self
                .still_there(began)
                .any(|member| member.worker == began.process.worker);
        let is_fine = match error.kind() {
            ErrorKind::Storage => was_troubled,
            ErrorKind::NoLease => !has_lease,
            ErrorKind::Registry => {
                matches!(began.operation, Operation::Start { .. })
                    || self.floors.iter().any(|(_, floor)| floor.is_retired)
            }
            ErrorKind::Fenced
            | ErrorKind::Conflict
            | ErrorKind::TooNew
            | ErrorKind::NotFound
            | ErrorKind::Transformer => true,
            _ => false,
        };
        must(is_fine, || format!("unexpected answer: {}", told()))?;
        match began.operation {
            Operation::Delete { course } => self.deletion_ended(course.into()),
            // It leaves the course to newer releases: on the queue.
            Operation::Update { course } | Operation::Read { course }
                if error.kind() == ErrorKind::Fenced =>
            {
                self.announced(course.into(), began);
            }
            Operation::Join { .. } | Operation::Renew => {
                self.untold.insert(process);
            }
            // Nobody knows what became of it, and nobody has it any more.
            Operation::End(_) => {
                self.drop_claim(began);
            }
            _ => {}
        }
        Ok(())
    }

    fn announced(&mut self, course: usize, began: &Began) {
        if self.was_deleted(course, began) {
            return;
        }
        let course_number = began.before.contents[course];
        let course = &mut self.courses[course];
        course.announced = course.announced.max(course_number);
        course.has_lost_task = false;
    }

    /// What was just acknowledged to be on the queue is there.
    fn check_enqueued(&self, course: usize) -> Check {
        let key = &KEYS[course];
        let is_there = self.tasks.iter().any(|task| task.course() == key);
        must(is_there, || {
            format!("{key} was put on the queue, and is not there")
        })
    }

    fn was_deleted(&self, course: usize, began: &Began) -> bool {
        let now = &self.courses[course];
        now.deleting > 0 || now.deletions != began.before.deletions[course]
    }

    /// Whether a deletion may have dropped the task that an operation was given.
    fn may_be_dropped(&self, course: &CourseKey, began: &Began) -> bool {
        let course = KEYS.iter().position(|key| key == course);
        course.is_none_or(|course| self.was_deleted(course, began))
    }

    fn deletion_ended(&mut self, course: usize) {
        let course = &mut self.courses[course];
        course.deleting -= 1;
        course.deletions += 1;
    }

    /// A publish was acknowledged to be durable.
    fn published(&mut self, course: usize, published: Option<&Published>, began: &Began) -> Check {
        let Some(published) = published else {
            return Ok(());
        };
        let row = self.past_rows.get(&published.generation.get());
        let row = row.ok_or_else(|| {
            Violation(format!(
                "it was published, and nobody saw it: {published:?}"
            ))
        })?;
        if self.was_deleted(course, began) {
            return Ok(());
        }
        let acknowledged = &mut self.courses[course].acknowledged;
        match acknowledged {
            Some(old) if old.content > row.content => {}
            Some(old) if old.content == row.content => {
                for (old, new) in old.records.iter_mut().zip(row.records) {
                    *old = (*old).max(new);
                }
            }
            _ => *acknowledged = Some(row.clone()),
        }
        Ok(())
    }

    /// What a reader was given belongs together, and is what its release reads.
    fn check_seen(began: &Began, seen: &Seen) -> Check {
        for (name, stamp) in &seen.stamps {
            let transformer = TRANSFORMERS.iter().position(|known| known == name);
            let release = &ALL[began.process.release];
            let versions = transformer.and_then(|transformer| release.versions(transformer));
            let versions = versions.ok_or_else(|| Violation::new("no such transformer"))?;
            let is_fine = match stamp {
                Some(stamp) => {
                    stamp.source == seen.content && versions.read.accepts(version(stamp.write))
                }
                None => versions.read.accepts_missing(),
            };
            must(is_fine, || {
                let (worker, content) = (&began.process.worker, &seen.content);
                format!("{worker} read content {content} with {name} of {stamp:?}")
            })?;
        }
        Ok(())
    }

    /// Somebody was given the task of a course.
    fn claimed(&mut self, course: &CourseKey, began: &Began) -> Check {
        // One that was dead meanwhile may have lost the task before it was told that it has it.
        let is_live = |members: &[Member]| {
            let mut members = members.iter();
            let member = members.find(|member| member.worker == began.process.worker);
            member.is_some_and(|member| member.is_live(self.now))
        };
        let is_certain = is_live(&began.before.members) && is_live(&self.members);
        let of_course = |held: &&mut Held| held.claim.course() == course;
        for held in self.claims.iter_mut().filter(of_course) {
            // A step of a worker tells late which task it had.
            let is_later = began.operation == Operation::Work && held.since >= began.number;
            if held.is_ending || is_later || (held.was_dead && !is_certain) {
                held.may_be_lost = true;
                continue;
            }
            if !is_certain {
                continue;
            }
            let may_be_taken = held.was_dead || held.may_be_lost || held.is_lost;
            must(may_be_taken, || {
                let (worker, other) = (&began.process.worker, held.lease.worker());
                format!("{worker} was given the task of {course}, which {other} has")
            })?;
            held.is_lost = true;
        }
        Ok(())
    }

    fn claim_ended(&mut self, began: &Began, end: ClaimEnd) -> Check {
        let Some(held) = self.drop_claim(began) else {
            return Ok(());
        };
        let is_fine = match end {
            ClaimEnd::Held => !held.is_lost,
            ClaimEnd::Lost => held.is_lost || held.was_dead || held.may_be_lost,
        };
        must(is_fine, || {
            let (worker, course) = (held.lease.worker(), held.claim.course());
            format!("{worker} ended its claim of {course}, and was told: {end:?}")
        })
    }

    fn drop_claim(&mut self, began: &Began) -> Option<Held> {
        let (number, _) = began.claim.as_ref()?;
        let mut claims = self.claims.iter();
        let place = claims.position(|held| held.number == *number)?;
        Some(self.claims.remove(place))
    }

    fn started(&mut self, transformer: usize, began: &Began, start: &Start) -> Check {
        let Start::Started { floor, .. } = start else {
            return Ok(());
        };
        let name = TRANSFORMERS[transformer];
        let floor = floor.get();
        let stored = self.floors.get(name).map(|floor| floor.version.get());
        must(stored >= Some(floor), || {
            format!("the rollout of {name} was started at {floor}, and its floor is {stored:?}")
        })?;
        // Unless somebody else has raised it once more.
        let same = self.floors.get(name);
        let same = same.filter(|same| same.version.get() == floor && !same.is_retired);
        if let Some(same) = same {
            self.sealed = self.sealed.max(same.epoch.get());
        }
        let least = &mut self.started[transformer];
        *least = (*least).max(Some(floor));
        self.check_expired(began)?;
        let old = began.before.floors[transformer];
        for member in self.still_there(began).filter(|_| old < Some(floor)) {
            let write = member
                .transformers
                .get(name)
                .map(|versions| versions.write.get());
            let is_hurt = write < Some(floor) && write >= old;
            must(!is_hurt || !member.is_live(self.now), || {
                let worker = &member.worker;
                format!("the floor of {name} was raised to {floor} over {worker} at {write:?}")
            })?;
        }
        Ok(())
    }

    fn gate_opened(&mut self, transformer: usize, target: u32, began: &Began) -> Check {
        let name = TRANSFORMERS[transformer];
        let gate = self.gates[transformer];
        let is_retired = self.floors.get(name).is_some_and(|floor| floor.is_retired);
        must(gate >= Some(target) || is_retired, || {
            format!("the gate {name}@{target} was opened, and is at {gate:?}")
        })?;
        let opened = &mut self.opened[transformer];
        *opened = (*opened).max(Some(target));
        // Whoever opened it has answered for it.
        if self.old_gates[transformer] >= Some(target) {
            return Ok(());
        }
        // What was there from the beginning to the end must have been counted.
        let both = began.before.rows.iter().zip(&self.courses);
        let pairs = both.filter_map(|(old, course)| old.as_ref().zip(course.row.as_ref()));
        let counted = pairs.filter(|(old, new)| old.generation == new.generation);
        let counted: Vec<_> = counted.collect();
        for (old, new) in &counted {
            let fails = |row: &Row| row.failures[transformer].is_some();
            must(!fails(old) || !fails(new), || {
                format!("the gate {name}@{target} was opened, and it fails: {new:?}")
            })?;
        }
        let min_reader = |row: &Row| row.records[transformer].map(|(_, min_reader)| min_reader);
        let least = counted
            .iter()
            .map(|(old, new)| min_reader(old).min(min_reader(new)));
        let min_reader = least.max().flatten();
        for member in self.still_there(began) {
            let write = member
                .transformers
                .get(name)
                .map(|versions| versions.write.get());
            let is_lost = write.is_some_and(|write| Some(write) < min_reader);
            must(!is_lost || !member.is_live(self.now), || {
                let worker = &member.worker;
                format!("the gate {name}@{target} was opened, and {worker} cannot decode it")
            })?;
        }
        Ok(())
    }

    /// Members since before the operation began.
    fn still_there<'a>(&'a self, began: &'a Began) -> impl Iterator<Item = &'a Member> {
        self.members.iter().filter(|member| {
            let mut before = began.before.members.iter();
            before.any(|old| {
                let mut same = old.clone();
                same.renewed_at = member.renewed_at;
                same.expires_at = member.expires_at;
                same == **member
            })
        })
    }

    /// The dead ones were removed, but for whoever did it.
    fn check_expired(&self, began: &Began) -> Check {
        let mut members = self.still_there(began);
        let own = &began.process.worker;
        let left = members.find(|member| !member.is_live(began.now) && member.worker != *own);
        must(left.is_none(), || {
            format!(
                "{:?} has expired, and is there",
                left.map(|member| &member.worker)
            )
        })
    }

    fn is_member(&self, worker: &str) -> bool {
        self.members.iter().any(|member| member.worker == worker)
    }

    /// The machine has crashed: what was acknowledged is there, and nothing is damaged.
    pub(crate) fn crashed(&mut self, contents: &Contents) -> Check {
        for (course, key) in self.courses.iter_mut().zip(KEYS.iter()) {
            course.row = self.store.course(key)?.as_ref().map(Row::of);
        }
        self.rollout_changed()?;
        self.queue_changed()?;
        self.check(contents)?;
        self.check_bytes()
    }

    /// The store was restored elsewhere: no gate is open until it is judged there.
    pub(crate) fn moved(&mut self, contents: &Contents) -> Check {
        self.opened = Default::default();
        self.gates = Default::default();
        let gates = Rollout::new(&self.store).open_gates()?;
        must(gates.is_empty(), || {
            format!("a copy has open gates: {gates:?}")
        })?;
        self.crashed(contents)
    }

    /// Every byte that is stored is what was written, and tells what its row says.
    fn check_bytes(&self) -> Check {
        let wide = Versions::new(ReadVersion::new(0), version(u32::MAX));
        for (course, key) in self.courses.iter().zip(KEYS.iter()) {
            let check = self.store.check(key)?;
            let damages = check.damages(key);
            must(damages.is_empty(), || format!("{damages:?}"))?;
            let row = check.entry.transpose()?.as_ref().map(Row::of);
            must(row == course.row, || {
                format!("{key} was last seen as {:?}, and is {row:?}", course.row)
            })?;
            let Some(row) = row else {
                must(check.records.is_empty(), || {
                    format!("{key} has no row, and records: {:?}", check.records)
                })?;
                continue;
            };
            let wanted = TRANSFORMERS.map(|name| (name, wide));
            let read = self.store.read(key, &wanted)?;
            for (transformer, lookup) in read.lookups.into_iter().enumerate() {
                let stored = match lookup {
                    Lookup::Fresh(record) => {
                        let column = record.column().map_err(Error::from)?;
                        let stamped = column.course_wide().map_err(Error::from)?;
                        let stamped: Stamped = stamped.decode().map_err(Error::from)?;
                        let number = stamped.source.trim_end_matches(char::is_alphabetic);
                        must(number == row.content.to_string(), || {
                            format!("{key} is of {}, and a record of {number}", row.content)
                        })?;
                        Some(stamped.write)
                    }
                    _ => None,
                };
                let known = row.records[transformer].map(|(stored, _)| stored);
                must(stored == known, || {
                    format!("{key}: {known:?} in the row, {stored:?} in the record")
                })?;
            }
        }
        Ok(())
    }

    /// Everything has come to its end with this release.
    pub(crate) fn check_end(&self, contents: &Contents, last: usize) -> Check {
        must(self.tasks.is_empty(), || {
            format!("tasks are left: {:?}", self.tasks)
        })?;
        for (number, course) in self.courses.iter().enumerate() {
            let told = || format!("in the end, {}: {course:?}", KEYS[number]);
            let content = contents.of(number);
            let Some(row) = &course.row else {
                must(!content.is_there, told)?;
                continue;
            };
            must(content.is_there && row.content == content.number, told)?;
            for transformer in 0..TRANSFORMERS.len() {
                let versions = ALL[last].versions(transformer);
                let write = versions.map(|versions| versions.write.get());
                let stored = row.records[transformer].map(|(stored, _)| stored);
                let has_failed = row.failures[transformer].is_some();
                must(stored >= write && !has_failed, told)?;
            }
        }
        self.check_bytes()
    }
}

impl Row {
    fn of(entry: &CourseEntry) -> Self {
        let name = |transformer: usize| TRANSFORMERS[transformer];
        let record = |transformer| {
            let header = entry.record(name(transformer))?.header();
            Some((header.write_version().get(), header.min_reader().get()))
        };
        let failure = |transformer| {
            let mut failures = entry.failures().iter();
            let failure = failures.find(|failure| failure.transformer == name(transformer));
            Some(failure?.write_version.get())
        };
        Self {
            generation: entry.generation().get(),
            content: content_number(entry.source_version()),
            records: std::array::from_fn(record),
            failures: std::array::from_fn(failure),
            epoch: entry.floor_epoch().get(),
        }
    }
}

fn deletes(by: &Began) -> bool {
    matches!(by.operation, Operation::Delete { .. })
}
