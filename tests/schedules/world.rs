//! Processes of several releases on one store, one machine and one host: does what a schedule says,
//! and tells the model what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use courseblocks::engine::Durability;
use courseblocks::rollout::{
    Claim, Claimed, Completion, Failed, Fleet, GateAnswer, Priority, Queue, Retire, RetryPolicy,
    Rollout, Start, Step,
};
use courseblocks::{
    CollectedCourse, ErrorKind, Lease, Manager, Result, Scope, Store, Timestamp, UpdateOptions,
};

use super::fibers::{Conditions, Ended, Fiber, Job, Leave, Place, Report, run_here};
use super::model::{Before, Model, Violation};
use super::releases::{
    ALL, Contents, KEYS, Stamped, TRANSFORMERS, WITH_BOTH, WITHOUT_SECOND, collect, version,
};
use super::schedule::{Ending, Event, LEASE_SECONDS, Manner, Name, Operation, SLOTS, Schedule};
use super::stage::Stage;

/// Suspended operations at a time.
const FIBERS: usize = 3;

/// How many tasks may be worked off until everything is done: some for each course, and those that
/// fail first.
const ENOUGH_STEPS: usize = 60;

/// Threads that are used by one schedule after the other.
#[derive(Default)]
pub(crate) struct Threads(Vec<Fiber>);

pub(crate) struct World<'t> {
    pub(crate) stage: Arc<Stage>,
    pub(crate) contents: Arc<Contents>,
    pub(crate) now: Timestamp,
    processes: [Option<Arc<Process>>; SLOTS as usize],
    names: [u32; SLOTS as usize],
    started: u32,
    threads: &'t mut Threads,
    suspended: Vec<Suspended>,
    numbers: u64,
    model: Model,
    reached: Reached,
}

pub(crate) struct Process {
    pub(crate) release: usize,
    pub(crate) worker: String,
    pub(crate) manager: Manager,
    number: u32,
}

struct Suspended {
    fiber: Fiber,
    began: Began,
    place: Place,
}

/// An operation, and how things were when it began.
pub(crate) struct Began {
    pub(crate) number: u64,
    pub(crate) operation: Operation,
    pub(crate) process: Arc<Process>,
    pub(crate) now: Timestamp,
    /// `None` before the process has joined.
    pub(crate) lease: Option<Lease>,
    /// The process may be joining again at the same time.
    pub(crate) rejoins: bool,
    pub(crate) before: Before,
    /// The claim that it is to end, and the operation that was given it.
    pub(crate) claim: Option<(u64, Claim)>,
}

/// What an operation answers where it succeeds.
pub(crate) enum Answer {
    Joined,
    Renewed,
    Left,
    Enqueued,
    Deleted,
    Worked(Step<courseblocks::Updated>),
    Updated(courseblocks::Updated),
    Read(Seen),
    Written(courseblocks::Published),
    Claimed(Claimed),
    Ended(ClaimEnd),
    Started(Start),
    Judged(GateAnswer),
    Retired(Retire),
    Removed,
    Done,
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimEnd {
    Held,
    Lost,
}

/// What a reader was given: the content that each record was collected from, and its version.
pub(crate) struct Seen {
    pub(crate) content: String,
    pub(crate) stamps: BTreeMap<&'static str, Option<Stamped>>,
}

/// How often the schedules came to what they are for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reached(pub(crate) BTreeMap<&'static str, u64>);

/// What enough schedules come to.
pub(crate) const TO_BE_REACHED: [&str; 10] = [
    "calls failed",
    "claims lost",
    "conflicts",
    "gates opened",
    "operations cut off",
    "operations suspended",
    "refused by a floor",
    "refused without a lease",
    "rollouts started",
    "transformers retired",
];

/// Does what the schedule says, and then lets everything recover.
pub(crate) fn run(schedule: &Schedule, threads: &mut Threads) -> Result<Reached, Violation> {
    let mut world = World::new(threads);
    for event in &schedule.0 {
        world.happen(event)?;
    }
    let reached = world.reached.clone();
    world.recover()?;
    Ok(reached)
}

impl Reached {
    pub(crate) fn add(&mut self, other: &Self) {
        for (what, times) in &other.0 {
            *self.0.entry(what).or_default() += times;
        }
    }

    fn once(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    fn succeeded(&mut self, answer: &Answer) {
        match answer {
            Answer::Ended(ClaimEnd::Lost) => self.once("claims lost"),
            Answer::Judged(GateAnswer::Open(_)) => self.once("gates opened"),
            Answer::Started(Start::Started { .. }) => self.once("rollouts started"),
            Answer::Retired(Retire::Retired { .. }) => self.once("transformers retired"),
            _ => {}
        }
    }

    fn failed(&mut self, kind: ErrorKind) {
        match kind {
            ErrorKind::Storage => self.once("calls failed"),
            ErrorKind::Conflict => self.once("conflicts"),
            ErrorKind::Fenced => self.once("refused by a floor"),
            ErrorKind::NoLease => self.once("refused without a lease"),
            _ => {}
        }
    }
}

impl<'t> World<'t> {
    fn new(threads: &'t mut Threads) -> Self {
        let stage = Arc::new(Stage::default());
        Self {
            model: Model::new(Store::with_engine(stage.clone())),
            stage,
            contents: Arc::default(),
            now: Timestamp::from_micros(1_000_000_000_000_000).expect("in this century"),
            processes: Default::default(),
            names: Default::default(),
            started: 0,
            threads,
            suspended: Vec::new(),
            numbers: 0,
            reached: Reached::default(),
        }
    }

    fn happen(&mut self, event: &Event) -> Result<(), Violation> {
        match *event {
            Event::Begin {
                slot,
                operation,
                suspended,
                trouble,
                scans,
            } => {
                let conditions = Conditions {
                    leave: suspended.map_or(Leave::ToTheEnd, |calls| Leave::Calls(calls.into())),
                    trouble: trouble.map(|(call, trouble)| (call.into(), trouble)),
                    scans,
                };
                self.begin(slot, operation, conditions)?;
            }
            Event::GoOn { which, calls } => {
                let leave = match calls {
                    u8::MAX => Leave::ToTheEnd,
                    calls => Leave::Calls(calls.into()),
                };
                if !self.suspended.is_empty() {
                    self.go_on(usize::from(which) % self.suspended.len(), leave)?;
                }
            }
            Event::Edit { course, fails } => {
                let deletes = |suspended: &Suspended| {
                    suspended.began.operation == Operation::Delete { course }
                };
                // A host does one after the other.
                if !self.suspended.iter().any(deletes) {
                    let fails = fails.map(usize::from);
                    self.contents.edit(course.into(), fails);
                    self.model.edited(course.into());
                }
            }
            Event::Pass { seconds } => {
                self.now = self.now.plus(Duration::from_secs(seconds.into()));
                self.model.check_claims(self.now);
            }
            Event::Kill { slot } => self.kill(slot)?,
            Event::Crash { kept } => {
                self.stage.crash(kept);
                self.end_all()?;
                self.model.crashed(&self.contents)?;
            }
            Event::Move => {
                self.end_all()?;
                self.stage.move_elsewhere();
                self.model.moved(&self.contents)?;
            }
        }
        Ok(())
    }

    /// Begins an operation, unless it would wait for a suspended one of its own process.
    fn begin(
        &mut self,
        slot: u8,
        operation: Operation,
        conditions: Conditions,
    ) -> Result<Option<Answer>, Violation> {
        if let Operation::Join { release, name } = operation {
            self.kill(slot)?;
            self.start(slot, release.into(), name);
        }
        let Some(process) = self.processes[usize::from(slot)].clone() else {
            return Ok(None);
        };
        let of_process = |suspended: &&Suspended| suspended.began.process.number == process.number;
        let mut others = self.suspended.iter().filter(of_process);
        let would_wait = others.any(|other| {
            other.place == Place::Locked || (other.began.operation.flies() && operation.flies())
        });
        if would_wait {
            return Ok(None);
        }
        let mut others = self.suspended.iter().filter(of_process);
        let rejoins = others.any(|other| other.began.operation == Operation::Renew);
        let lease = process.manager.lease().ok();
        let claim = match operation {
            Operation::End(_) => match self.model.take_claim(process.number) {
                Some(claim) => Some(claim),
                None => return Ok(None),
            },
            Operation::Announce { course } if !self.contents.of(course.into()).is_there => {
                return Ok(None);
            }
            Operation::Delete { course } => {
                self.contents.take_away(course.into());
                self.model.deletion_begins(course.into());
                None
            }
            _ => None,
        };
        self.numbers += 1;
        let began = Began {
            number: self.numbers,
            operation,
            process: Arc::clone(&process),
            now: self.now,
            lease,
            rejoins,
            before: self.model.before(&self.contents),
            claim: claim.clone(),
        };
        let contents = Arc::clone(&self.contents);
        let (now, claim) = (self.now, claim.map(|(_, claim)| claim));
        let job: Job = Box::new(move || {
            let answer = perform(&process, operation, &contents, claim.as_ref(), now);
            // The process must not end with the operation.
            drop(process);
            Box::new(answer)
        });
        if conditions.leave == Leave::ToTheEnd || self.suspended.len() == FIBERS {
            let ended = run_here(job, conditions);
            return self.ended(&began, ended);
        }
        let fiber = self.threads.0.pop().unwrap_or_else(Fiber::new);
        let report = fiber.run(job, conditions);
        self.report(fiber, began, report)
    }

    fn go_on(&mut self, which: usize, leave: Leave) -> Result<Option<Answer>, Violation> {
        let suspended = self.suspended.remove(which);
        let report = suspended.fiber.go_on(leave);
        self.report(suspended.fiber, suspended.began, report)
    }

    fn report(
        &mut self,
        fiber: Fiber,
        began: Began,
        report: Report,
    ) -> Result<Option<Answer>, Violation> {
        match report {
            Report::Suspended(place) => {
                self.reached.once("operations suspended");
                let observed = self.observe(Some(&began));
                self.suspended.push(Suspended {
                    fiber,
                    began,
                    place,
                });
                observed?;
                Ok(None)
            }
            Report::Ended(ended) => {
                self.threads.0.push(fiber);
                self.ended(&began, ended)
            }
        }
    }

    fn observe(&mut self, by: Option<&Began>) -> Result<(), Violation> {
        let log = self.stage.take_log();
        self.model.observe(log, by, self.now)?;
        self.model.check(&self.contents)
    }

    fn ended(&mut self, began: &Began, ended: Ended) -> Result<Option<Answer>, Violation> {
        let answer = ended
            .answer
            .map_err(|panic| Violation::new(format!("{} panicked: {panic}", began.operation)))?;
        let answer = answer.downcast::<Result<Answer>>();
        let answer = *answer.unwrap_or_else(|_| unreachable!("what operations answer"));
        let log = self.stage.take_log();
        self.model.observe(log, Some(began), self.now)?;
        let answer = match answer {
            Ok(answer) => {
                self.reached.succeeded(&answer);
                self.model.succeeded(began, &answer)?;
                Some(answer)
            }
            Err(error) => {
                self.reached.failed(error.kind());
                self.model.failed(began, &error, ended.was_troubled)?;
                None
            }
        };
        self.model.check(&self.contents)?;
        Ok(answer)
    }

    fn start(&mut self, slot: u8, release: usize, name: Name) {
        self.started += 1;
        let place = &mut self.names[usize::from(slot)];
        if name == Name::Fresh || *place == 0 {
            *place = self.started;
        }
        let store = Arc::new(Store::with_engine(self.stage.clone()));
        let registry = Arc::clone(&ALL[release].registry);
        self.processes[usize::from(slot)] = Some(Arc::new(Process {
            release,
            worker: format!("host{slot}:{}", *place),
            manager: Manager::new(store, registry, self.contents.clone()),
            number: self.started,
        }));
    }

    /// Ends a process without a word.
    fn kill(&mut self, slot: u8) -> Result<(), Violation> {
        let Some(process) = self.processes[usize::from(slot)].take() else {
            return Ok(());
        };
        let of_process = |other: &Suspended| other.began.process.number == process.number;
        while let Some(which) = self.suspended.iter().position(of_process) {
            self.end_dead(which)?;
        }
        self.model.process_ended(process.number);
        end(process);
        self.observe(None)
    }

    /// Ends all processes without a word.
    fn end_all(&mut self) -> Result<(), Violation> {
        while !self.suspended.is_empty() {
            self.end_dead(0)?;
        }
        for process in &mut self.processes {
            if let Some(process) = process.take() {
                self.model.process_ended(process.number);
                end(process);
            }
        }
        Ok(())
    }

    /// Lets a suspended operation of a dead process unwind.
    fn end_dead(&mut self, which: usize) -> Result<(), Violation> {
        let suspended = self.suspended.remove(which);
        let report = suspended.fiber.go_on(Leave::Dead);
        self.threads.0.push(suspended.fiber);
        self.model.cut_off(&suspended.began);
        self.reached.once("operations cut off");
        match report {
            Report::Ended(Ended { answer: Ok(_), .. }) => Ok(()),
            Report::Ended(Ended {
                answer: Err(panic), ..
            }) => {
                let operation = suspended.began.operation;
                Err(Violation::new(format!("{operation} panicked: {panic}")))
            }
            Report::Suspended(_) => unreachable!("the dead are not suspended"),
        }
    }

    /// Everybody comes to rest and the newest release takes over: then everything must come to
    /// its end.
    fn recover(&mut self) -> Result<(), Violation> {
        while !self.suspended.is_empty() {
            self.go_on(0, Leave::ToTheEnd)?;
        }
        for slot in 0..SLOTS {
            self.kill(slot)?;
        }
        self.now = self
            .now
            .plus(Duration::from_secs(10 * u64::from(LEASE_SECONDS)));
        let is_without_second = self.model.gives_up_second();
        let (bridge, last) = if is_without_second {
            WITHOUT_SECOND
        } else {
            WITH_BOTH
        };
        let mut is_first = true;
        for release in [bridge, last] {
            // The last one drops a shape, which the one before it must replace; where only the
            // last one may write any more, that has been done.
            let is_idle =
                !self.model.holds_old_shape() || self.model.floor_is_above(ALL[bridge].versions(0));
            if release == bridge && is_idle {
                continue;
            }
            self.take_over(release, is_without_second)?;
            if is_first {
                self.tidy_up()?;
                is_first = false;
            }
            self.roll_out(release)?;
        }
        for (transformer, _) in transformers_of(last) {
            let back = 0;
            match self.quietly(Operation::Gate { transformer, back })? {
                Some(Answer::Judged(GateAnswer::Open(_))) => {}
                Some(Answer::Judged(GateAnswer::Closed(reasons))) => {
                    let reasons: Vec<_> = reasons.iter().map(ToString::to_string).collect();
                    let name = TRANSFORMERS[usize::from(transformer)];
                    let message = format!("the gate of {name} stays closed: {reasons:?}");
                    return Err(Violation::new(message));
                }
                _ => return Err(Violation::new("the gate is not judged in the end")),
            }
        }
        self.model.check_end(&self.contents, last)?;
        self.end_all()
    }

    fn take_over(&mut self, release: usize, is_without_second: bool) -> Result<(), Violation> {
        self.quietly(Operation::Leave)?;
        let name = Name::Fresh;
        let release = u8::try_from(release).expect("few releases");
        if self.quietly(Operation::Join { release, name })?.is_none() {
            return Err(Violation::new("the last release cannot join"));
        }
        if is_without_second {
            match self.quietly(Operation::Retire)? {
                Some(Answer::Retired(Retire::Retired { .. } | Retire::Unknown)) => {}
                _ => return Err(Violation::new("the second transformer cannot be retired")),
            }
        }
        Ok(())
    }

    /// The host repeats what was not heard, and cures its courses.
    fn tidy_up(&mut self) -> Result<(), Violation> {
        self.quietly(Operation::Resume)?;
        self.quietly(Operation::RemoveExpired)?;
        for course in 0..3 {
            let content = self.contents.of(course.into());
            if !content.is_there {
                self.quietly(Operation::Delete { course })?;
                continue;
            }
            if content.fails.is_some() {
                self.happen(&Event::Edit {
                    course,
                    fails: None,
                })?;
            }
            if !self.model.is_announced(course.into(), &self.contents) {
                self.quietly(Operation::Announce { course })?;
            }
        }
        self.quietly(Operation::Retry)?;
        Ok(())
    }

    /// Raises all floors and works until there is nothing left to do.
    fn roll_out(&mut self, release: usize) -> Result<(), Violation> {
        for (transformer, _) in transformers_of(release) {
            match self.quietly(Operation::Start { transformer })? {
                Some(Answer::Started(Start::Started { .. })) => {}
                Some(Answer::Started(Start::Refused(blockers))) => {
                    let blockers: Vec<_> = blockers.iter().map(ToString::to_string).collect();
                    let message = format!("the start is refused in the end: {blockers:?}");
                    return Err(Violation::new(message));
                }
                _ => return Err(Violation::new("the start fails in the end")),
            }
        }
        for _ in 0..ENOUGH_STEPS {
            match self.quietly(Operation::Work)? {
                Some(Answer::Worked(Step::Done { .. } | Step::Failed { .. })) => {}
                Some(Answer::Worked(Step::Idle {
                    next: Some(next), ..
                })) => {
                    self.now = next;
                    self.quietly(Operation::Renew)?;
                }
                Some(Answer::Worked(Step::Idle {
                    next: None,
                    claimed_by_others: 0,
                })) => return Ok(()),
                Some(Answer::Worked(step)) => {
                    let message = format!("the last release cannot work: {step:?}");
                    return Err(Violation::new(message));
                }
                _ => return Err(Violation::new("the last release fails at its work")),
            }
        }
        Err(Violation::new("there is work without end"))
    }

    /// The last process does this, and nothing goes wrong.
    fn quietly(&mut self, operation: Operation) -> Result<Option<Answer>, Violation> {
        let conditions = Conditions {
            leave: Leave::ToTheEnd,
            trouble: None,
            scans: 0,
        };
        self.begin(0, operation, conditions)
    }
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        // What was found is found already.
        let _ = self.end_all();
    }
}

impl Operation {
    /// Whether two of them in one process may wait for one another.
    fn flies(self) -> bool {
        matches!(
            self,
            Self::Work
                | Self::Update { .. }
                | Self::Read { .. }
                | Self::Delete { .. }
                | Self::End(_)
        )
    }
}

impl Process {
    pub(crate) fn number(&self) -> u32 {
        self.number
    }
}

/// No call of it reaches the engine any more, not even a farewell.
fn end(process: Arc<Process>) {
    let conditions = Conditions {
        leave: Leave::Dead,
        trouble: None,
        scans: 0,
    };
    run_here(
        Box::new(move || {
            drop(process);
            Box::new(())
        }),
        conditions,
    );
}

fn transformers_of(release: usize) -> Vec<(u8, courseblocks::Versions)> {
    let versions = (0_u8..).zip(TRANSFORMERS).map(|(transformer, _)| {
        let versions = ALL[release].versions(transformer.into());
        versions.map(|versions| (transformer, versions))
    });
    versions.flatten().collect()
}

fn policy() -> RetryPolicy {
    RetryPolicy {
        first_delay: Duration::from_secs(5),
        longest_delay: Duration::from_secs(20),
        attempts: 3,
    }
}

/// What a process does, with what the library offers.
fn perform(
    process: &Process,
    operation: Operation,
    contents: &Contents,
    claim: Option<&Claim>,
    now: Timestamp,
) -> Result<Answer> {
    let manager = &process.manager;
    let store = manager.store();
    let key = |course: u8| &KEYS[usize::from(course)];
    let name = |transformer: u8| TRANSFORMERS[usize::from(transformer)];
    let release = &ALL[process.release];
    Ok(match operation {
        Operation::Join { .. } => {
            let lasts = Duration::from_secs(LEASE_SECONDS.into());
            manager.join(&process.worker, release.label, lasts, now)?;
            Answer::Joined
        }
        Operation::Renew => {
            manager.renew(now)?;
            Answer::Renewed
        }
        Operation::Leave => {
            manager.leave()?;
            Answer::Left
        }
        Operation::Announce { course } => {
            manager.publish(key(course), now)?;
            Answer::Enqueued
        }
        Operation::Delete { course } => {
            manager.delete(key(course))?;
            Answer::Deleted
        }
        Operation::Work => Answer::Worked(manager.work(&policy(), now)?),
        Operation::Update { course } => {
            Answer::Updated(manager.update(key(course), &UpdateOptions::default())?)
        }
        Operation::Read { course } => {
            let names = release.names();
            Answer::Read(seen(&manager.get_collected(key(course), &names)?, &names)?)
        }
        Operation::Write { course, manner } => {
            let (scope, durability) = match manner {
                Manner::Durable => (Scope::Whole, Durability::Durable),
                Manner::Buffered => (Scope::Whole, Durability::Buffered),
                Manner::Part => (Scope::Part, Durability::Durable),
            };
            let lease = manager.lease()?;
            let (base, _) = store.base(&lease, key(course))?;
            let written = collect(release, contents, course.into(), scope)
                .and_then(|publication| store.publish(&lease, &base, &publication, durability));
            match written {
                Ok(published) => Answer::Written(published),
                Err(error) => {
                    store.abandon(&base)?;
                    return Err(error);
                }
            }
        }
        Operation::Claim => {
            Answer::Claimed(Queue::new(store).claim(&manager.lease()?, &policy(), now)?)
        }
        Operation::End(ending) => {
            let claim = claim.expect("taken before");
            Answer::Ended(end_claim(manager, claim, ending, now)?)
        }
        Operation::Enqueue { course } => {
            Queue::new(store).enqueue(key(course), Priority::Backfill, now)?;
            Answer::Enqueued
        }
        Operation::Start { transformer } => {
            let rollout = Rollout::new(store);
            Answer::Started(rollout.start(&manager.lease()?, name(transformer), now, |_| ())?)
        }
        Operation::Gate { transformer, back } => {
            let versions = release.versions(transformer.into());
            let newest = versions.map_or(1, |versions| versions.write.get());
            let target = version(newest.saturating_sub(back.into()).max(1));
            let lease = manager.lease()?;
            Answer::Judged(Rollout::new(store).gate(&lease, name(transformer), target, now)?)
        }
        Operation::Retire => {
            let lease = manager.lease()?;
            Answer::Retired(Rollout::new(store).retire(&lease, TRANSFORMERS[1], now, |_| ())?)
        }
        Operation::RemoveExpired => {
            Fleet::new(store).remove_expired(now)?;
            Answer::Removed
        }
        Operation::Pause => {
            Queue::new(store).pause(&manager.lease()?, now)?;
            Answer::Done
        }
        Operation::Resume => {
            Queue::new(store).resume(&manager.lease()?, now)?;
            Answer::Done
        }
        Operation::Retry => {
            let which = courseblocks::rollout::Backlog::Quarantined;
            Queue::new(store).retry(&manager.lease()?, &which)?;
            Answer::Done
        }
    })
}

fn end_claim(manager: &Manager, claim: &Claim, ending: Ending, now: Timestamp) -> Result<ClaimEnd> {
    let queue = Queue::new(manager.store());
    let fail = |error: &str| -> Result<bool> {
        Ok(queue.fail(claim, error, &policy(), now)? != Failed::Lost)
    };
    let was_held = match ending {
        Ending::Complete => match manager.update(claim.course(), &UpdateOptions::default()) {
            Ok(updated) if updated.failures.is_empty() => {
                queue.complete(claim, now)? != Completion::Lost
            }
            Ok(_) => fail("not all of it")?,
            Err(error) if error.kind() == ErrorKind::Storage => return Err(error),
            Err(error) => fail(&error.to_string())?,
        },
        Ending::Fail => fail("on purpose")?,
        Ending::GiveBack => queue.give_back(claim)?,
    };
    Ok(if was_held {
        ClaimEnd::Held
    } else {
        ClaimEnd::Lost
    })
}

fn seen(collected: &CollectedCourse, names: &[&'static str]) -> Result<Seen> {
    let structure = collected.structure();
    let blocks = structure.blocks().map(|block| structure.key(block));
    let child = blocks
        .map(ToString::to_string)
        .find(|key| key.contains("html"));
    let content = child.as_deref().and_then(|child| child.rsplit('@').next());
    let content = content.and_then(|name| name.rsplit_once('-'));
    let mut stamps = BTreeMap::new();
    for name in names {
        let stamp = match collected.record(name) {
            Some(record) => Some(record.column().course_wide()?.decode()?),
            None => None,
        };
        stamps.insert(*name, stamp);
    }
    Ok(Seen {
        content: content.map_or_else(String::new, |(content, _)| content.to_owned()),
        stamps,
    })
}
