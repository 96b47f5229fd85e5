//! The story: release A of `start_date` is running, B writes one field more, C needs it. Two
//! rollouts in one process, on one store.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::course;
use super::exports::Exports;
use super::next_release::{self, NEW_FIELD, NEXT, NextStartDate};
use super::no_place;
use super::steps::{Steps, as_told, check};
use crate::cli::failure::Failure;
use crate::cli::session::{Identity, Session, now};
use crate::cli::table::{Align, Table};
use crate::error::{ErrorKind, Result};
use crate::key::{CourseKey, UsageKey};
use crate::manager::{Manager, Plan, Reason as PlanReason, Renewed, UpdateOptions, Updated};
use crate::modulestore::ModuleStore;
use crate::modulestore::olx::OlxModuleStore;
use crate::record::HEADER_LEN;
use crate::rollout::{
    Blocker, Event, GateAnswer, Notice, Priority, Queue, Reason, RetryPolicy, Rollout, Start,
    Step as Work,
};
use crate::store::{CourseEntry, Lookup, RecordEntry, Store};
use crate::timestamp::Timestamp;
use crate::transformer::standard::{StartDate, StartDateBlock};
use crate::transformer::{Registry, Transformer};
use crate::version::WriteVersion;

/// How many courses there are.
const COURSES: usize = 12;

/// Of these, what becomes of some: B collects the first one early, A publishes the second one in
/// time and the third one too late.
const FIRST: usize = 0;
const IN_TIME: usize = 1;
const TOO_LATE: usize = 2;

/// How long a worker that is not heard of counts as alive.
const LEASE: Duration = Duration::from_secs(30);

/// How long a2 was not heard of.
const SILENCE_MICROS: i64 = 60_000_000;

/// The store and the courses that the releases of the story share.
pub(super) struct Story {
    store: Arc<Store>,
    exports: Arc<OlxModuleStore>,
    courses: Vec<Export>,
}

/// A course, and where its author published it.
struct Export {
    key: CourseKey,
    number: String,
    place: PathBuf,
}

/// A worker of a release.
struct Worker {
    session: Session,
    exports: Arc<Exports>,
}

impl Story {
    /// Writes the courses into `directory`.
    pub(super) fn prepare(
        directory: &Path,
        store: Arc<Store>,
        exports: Arc<OlxModuleStore>,
    ) -> Result<Self, Failure> {
        let mut courses = Vec::with_capacity(COURSES);
        for position in 0..COURSES {
            let number = match position {
                FIRST => course::NUMBER.to_owned(),
                _ => format!("{}-{}", course::NUMBER, position + 1),
            };
            let place = directory.join(&number);
            course::write(&place, &number, course::OPENS).map_err(|error| no_place(&error))?;
            let key = exports.insert(&place)?;
            courses.push(Export { key, number, place });
        }
        Ok(Self {
            store,
            exports,
            courses,
        })
    }

    pub(super) fn tell(&self, steps: &mut Steps<'_>) -> Result<(), Failure> {
        let a = self.join("a1", "A", next_release::registry(StartDate)?)?;
        let before = self.import(&a, steps)?;
        let seen = self.read_one_block(&a, steps)?;
        let b = self.join("b1", "B", next_release::registry(NextStartDate::WRITES)?)?;
        self.introduce(&a, &b, steps)?;
        self.write_with_both(&a, &b, &before, &seen, steps)?;
        self.refuse_to_start(&b, steps)?;
        let raised = self.start_while_one_is_late(a, &b, steps)?;
        self.keep_the_gate_closed(&b, steps)?;
        self.refuse_outdated(steps)?;
        self.collect_again(&b, steps)?;
        self.open_the_gate(&b, raised, steps)?;
        drop(b);
        let needs = NextStartDate::NEEDS;
        let c = self.join("c1", "C", next_release::registry(needs)?)?;
        self.serve(
            "Release C goes out, which needs the field",
            &c,
            &needs,
            steps,
        )?;
        drop(c);
        let writes = NextStartDate::WRITES;
        let b = self.join("b3", "B", next_release::registry(writes)?)?;
        self.serve(
            "Something is wrong with C: back to release B",
            &b,
            &writes,
            steps,
        )?;
        drop(b);
        let a = self.join("a3", "A", next_release::registry(StartDate)?)?;
        self.serve("And back to release A", &a, &StartDate, steps)?;
        let same = a
            .session
            .get_block(self.key(FIRST), &StartDate, &self.block(FIRST)?)?;
        check(same.as_ref() == Some(&seen), "A reads what it once wrote")
    }

    fn import(&self, a: &Worker, steps: &mut Steps<'_>) -> Result<CourseEntry, Failure> {
        let begun = Instant::now();
        let (mut records, mut bytes) = (0, 0);
        for course in &self.courses {
            let updated = a.session.update(&course.key, &UpdateOptions::default())?;
            let published = updated.published.filter(|_| updated.failures.is_empty());
            let published = published.ok_or_else(|| as_told("every transformer collects it"))?;
            records += published.records;
            bytes += published.bytes;
        }
        let took = milliseconds(begun.elapsed());
        let entry = self.entry(FIRST)?;
        let (key, blocks, files) = (self.key(FIRST), entry.blocks(), course::FILES.len());
        steps.step(
            "Release A imports a dozen courses",
            &[
                format!(
                    "{key}: {files} files, {blocks} blocks; and {} like it",
                    COURSES - 1
                ),
                format!("collected into {records} records of {bytes} bytes, on disk after {took}"),
            ],
        )?;
        let mut table = Table::new([
            ("record", Align::Left),
            ("read", Align::Right),
            ("write", Align::Right),
            ("stored", Align::Right),
            ("bytes", Align::Right),
        ]);
        let registry = a.session.registry();
        for name in registry.names() {
            let versions = registry.versions(name)?;
            let record = entry.record(name);
            let record = record.ok_or_else(|| as_told("every transformer has a record"))?;
            table.row([
                name.to_owned(),
                versions.read.to_string(),
                versions.write.to_string(),
                record.header().write_version().to_string(),
                record.bytes().to_string(),
            ]);
        }
        let table: Vec<_> = table.lines().collect();
        steps.step(
            "Every record says which version of its transformer wrote it",
            &table,
        )?;
        Ok(entry)
    }

    fn read_one_block(&self, a: &Worker, steps: &mut Steps<'_>) -> Result<StartDateBlock, Failure> {
        let (key, block) = (self.key(FIRST), self.block(FIRST)?);
        let value = a.session.get_block(key, &StartDate, &block)?;
        let value = value.ok_or_else(|| as_told("start_date knows something of the block"))?;
        let structure = a.session.get_published(key)?.structure;
        let position = structure.position(&block);
        let position = position.ok_or_else(|| as_told("the block is in the course"))?;
        let versions = a.session.registry().versions(name())?;
        let record = self.store.lookup(key, name(), &versions)?.fresh();
        let record = record.ok_or_else(|| as_told("the record can be read"))?;
        let column = record.column().map_err(crate::Error::from)?;
        let read = column.bytes_read_for(position.as_usize());
        let read = HEADER_LEN + read.map_err(crate::Error::from)?;
        let whole = record.bytes();
        check(read < whole, "one block is less than the whole")?;
        steps.step(
            "One block is read without the others",
            &[
                format!("start_date of {}: {}", block.block_id(), json(&value)?),
                format!("read and verified for it: {read} of the record's {whole} bytes"),
            ],
        )?;
        Ok(value)
    }

    fn introduce(&self, a: &Worker, b: &Worker, steps: &mut Steps<'_>) -> Result<(), Failure> {
        let old = a.session.registry().versions(name())?;
        let new = b.session.registry().versions(name())?;
        check(
            new.read == old.read && new.write == NEXT && old.write < NEXT,
            "B writes more than A and needs as much",
        )?;
        let block = self.block(FIRST)?;
        let value = b
            .session
            .get_block(self.key(FIRST), &NextStartDate::WRITES, &block)?;
        check(b.exports.reads() == 0, "B reads what A wrote")?;
        steps.step(
            &format!("Release B of start_date stores {NEW_FIELD:?} too, and can do without it"),
            &[
                format!(
                    "READ {}, WRITE {} -> {}; its worker b1 joins a1",
                    new.read, old.write, new.write
                ),
                format!("B reads what A wrote: {}", json(&value)?),
            ],
        )
    }

    fn write_with_both(
        &self,
        a: &Worker,
        b: &Worker,
        before: &CourseEntry,
        seen: &StartDateBlock,
        steps: &mut Steps<'_>,
    ) -> Result<(), Failure> {
        let (course, block) = (&self.courses[FIRST], self.block(FIRST)?);
        let updated = b.session.update(&course.key, &UpdateOptions::default())?;
        check(
            updated.plan == Plan::Part(vec![name().to_owned()]),
            "start_date alone is due",
        )?;
        let published = updated.published.filter(|_| updated.failures.is_empty());
        let published = published.ok_or_else(|| as_told("B writes start_date"))?;
        let after = self.entry(FIRST)?;
        let untouched = untouched(before, &after);
        check(
            published.records == 1 && untouched + 1 == after.records().len(),
            "B writes one record and leaves the others",
        )?;
        let by_a = a.session.get_block(&course.key, &StartDate, &block)?;
        check(by_a.as_ref() == Some(seen), "A reads what it read before")?;
        let next = NextStartDate::WRITES;
        let by_b = b.session.get_block(&course.key, &next, &block)?;
        let by_b = by_b.ok_or_else(|| as_told("B reads what it wrote"))?;
        check(by_b.known() == *seen, "B wrote what A had, and more")?;
        let number = &course.number;

        let course = self.publish(IN_TIME, "2031-02-10T18:00:00Z")?;
        let updated = a.session.update(&course.key, &UpdateOptions::default())?;
        check(
            updated.plan == Plan::Whole(PlanReason::SourceChanged) && updated.published.is_some(),
            "A publishes new content",
        )?;
        let by_a = a
            .session
            .get_block(&course.key, &StartDate, &self.block(IN_TIME)?)?;
        let through_b = b
            .session
            .get_block(&course.key, &next, &self.block(IN_TIME)?)?;
        check(
            by_a.is_some() && by_a == through_b.map(|block| block.known()),
            "B reads what A published",
        )?;
        steps.step(
            "Both releases read and write",
            &[
                format!("B collects start_date of {number}: 1 record of {} bytes; {untouched} others untouched", published.bytes),
                format!("B reads of it: {}", json(&by_b)?),
                format!("A reads of it: {}", json(seen)?),
                format!("A publishes new content of {}, at version {}", course.number, self.stored(IN_TIME)?),
            ],
        )
    }

    fn refuse_to_start(&self, b: &Worker, steps: &mut Steps<'_>) -> Result<(), Failure> {
        let start = self
            .rollout()
            .start(&b.session.lease()?, name(), now(), |_| {})?;
        let Start::Refused(blockers) = start else {
            return Err(as_told("the rollout does not start"));
        };
        let [blocker @ Blocker::WritesLess { member, .. }] = blockers.as_slice() else {
            return Err(as_told("one worker writes less"));
        };
        check(member.worker == "a1", "that worker is a1")?;
        check(
            self.store.floors()?.get(name()).is_none(),
            "nothing is changed",
        )?;
        let reasons = self.closed(b)?;
        check(
            reasons.contains(&Reason::FloorTooLow { floor: None }),
            "the gate tells that there is no floor",
        )?;
        steps.step(
            "The rollout of start_date does not start while a worker of A lives",
            &[
                format!("refused: {blocker}"),
                format!(
                    "the gate {}@{NEXT} is closed: {}",
                    name(),
                    first_of(&reasons)
                ),
            ],
        )
    }

    /// The last worker of A leaves; another one, which was taken for dead, has looked at a course
    /// before the floor is raised, and publishes it after that. Answers with the moment at which
    /// the floor was raised.
    fn start_while_one_is_late(
        &self,
        a: Worker,
        b: &Worker,
        steps: &mut Steps<'_>,
    ) -> Result<Instant, Failure> {
        let course = self.publish(TOO_LATE, "2031-03-10T18:00:00Z")?;
        let (exports, begins, go_on) = Exports::held_up(&self.exports);
        let late = self.manager(next_release::registry(StartDate)?, Arc::new(exports));
        let heard_of = now().as_micros().saturating_sub(SILENCE_MICROS);
        let heard_of = Timestamp::from_micros(heard_of).unwrap_or(Timestamp::MIN);
        late.join("a2", "A", LEASE, heard_of)?;
        thread::scope(|scope| {
            let writing = scope.spawn(|| late.update(&course.key, &UpdateOptions::default()));
            // Whatever breaks the story off lets the writer go on.
            let go_on = go_on;
            begins.recv().map_err(|_| as_told("a2 begins to collect"))?;
            drop(a);
            let raised = self.start(b, steps)?;
            let Renewed::JoinedAgain(notices) = late.renew(now())? else {
                return Err(as_told("the lease of a2 has ended"));
            };
            check(is_below_floor(&notices), "a2 is told of the floor")?;
            let before = self.entry(TOO_LATE)?;
            drop(go_on);
            let refused = writing.join().map_err(|_| as_told("a2 does not panic"))?;
            let Err(refused) = refused else {
                return Err(as_told("a2 is refused"));
            };
            check(refused.kind() == ErrorKind::Fenced, "the floor refuses it")?;
            check(self.entry(TOO_LATE)? == before, "a2 wrote nothing")?;
            let first = Queue::new(&self.store).tasks().next().transpose()?;
            let first = first.ok_or_else(|| as_told("there are tasks"))?;
            check(
                *first.course() == course.key && first.priority() == Priority::Publish,
                "the new content goes first",
            )?;
            steps.step(
                &format!(
                    "a2 was not dead: it began to collect {} before the floor was raised",
                    course.number
                ),
                &[
                    format!("refused: {refused}"),
                    "nothing was written; the new content waits at the head of the queue"
                        .to_owned(),
                ],
            )?;
            Ok(raised)
        })
    }

    fn start(&self, b: &Worker, steps: &mut Steps<'_>) -> Result<Instant, Failure> {
        let begun = Instant::now();
        let start = self
            .rollout()
            .start(&b.session.lease()?, name(), now(), |_| {})?;
        let took = milliseconds(begun.elapsed());
        let Start::Started {
            from: None,
            floor: NEXT,
            expired,
            enqueued,
            up_to_date: 1,
        } = start
        else {
            return Err(as_told("the floor is raised from nothing"));
        };
        let [expired] = expired.as_slice() else {
            return Err(as_told("one worker is taken for dead"));
        };
        let silent = now().since(expired.renewed_at).as_secs();
        check(expired.worker == "a2", "it is a2")?;
        let raised = self.rollout().history()?;
        let raised = raised.iter().any(|entry| {
            matches!(&entry.event, Event::FloorRaised { transformer, to: NEXT, .. } if transformer == name())
        });
        check(raised, "the history tells of it")?;
        steps.step(
            &format!("The last worker of A leaves, and the floor is raised to {NEXT}"),
            &[
                format!("a2 of release A was not heard of for {silent} s: it is no worker any more"),
                format!("the floor holds for {COURSES} courses, {enqueued} are on the queue; on disk after {took}"),
            ],
        )?;
        Ok(begun)
    }

    fn keep_the_gate_closed(&self, b: &Worker, steps: &mut Steps<'_>) -> Result<(), Failure> {
        let mut reasons = self.closed(b)?;
        let stored = (0..COURSES).map(|position| self.stored(position));
        let stored = stored.collect::<Result<Vec<_>, _>>()?;
        let below = stored.iter().filter(|stored| **stored < NEXT).count();
        let [Reason::Below { version, courses }] = reasons.as_mut_slice() else {
            return Err(as_told("what is stored is the only reason"));
        };
        check(
            *version == WriteVersion::FIRST && usize::try_from(courses.count) == Ok(below),
            "the gate counts what is stored",
        )?;
        courses.examples.truncate(1);
        steps.step(
            &format!("The gate {}@{NEXT} is closed: release C must wait", name()),
            &[first_of(&reasons)],
        )
    }

    fn refuse_outdated(&self, steps: &mut Steps<'_>) -> Result<(), Failure> {
        const TIMES: u32 = 1000;

        let versions = NextStartDate::NEEDS.versions();
        let lookup = || self.store.lookup(self.key(IN_TIME), name(), &versions);
        let Lookup::Outdated { stored } = lookup()? else {
            return Err(as_told("release C refuses the record"));
        };
        let begun = Instant::now();
        for _ in 0..TIMES {
            black_box(lookup()?);
        }
        let took = microseconds(begun.elapsed() / TIMES);
        steps.step(
            &format!("To release C, with READ {}, version {stored} is outdated", versions.read),
            &[format!(
                "it would be told so by {HEADER_LEN} bytes of header in {took}, with nothing decoded"
            )],
        )
    }

    fn collect_again(&self, b: &Worker, steps: &mut Steps<'_>) -> Result<(), Failure> {
        let second = self.join("b2", "B", next_release::registry(NextStartDate::WRITES)?)?;
        let before = self.entries()?;
        let begun = Instant::now();
        let done = thread::scope(|scope| {
            let helped = scope.spawn(|| second.work_off());
            let mut done = b.work_off()?;
            let helped = helped.join().map_err(|_| as_told("b2 does not panic"))?;
            done.extend(helped?);
            Ok::<_, Failure>(done)
        })?;
        let took = milliseconds(begun.elapsed());
        check(
            done.iter().all(|updated| updated.failures.is_empty()),
            "none fails",
        )?;
        let (whole, part): (Vec<_>, Vec<_>) = done
            .iter()
            .partition(|updated| matches!(updated.plan, Plan::Whole(_)));
        check(
            whole.len() == 1 && part.len() == COURSES - 2,
            "each course is collected once",
        )?;
        let after = self.entries()?;
        let written: usize = before
            .iter()
            .zip(&after)
            .enumerate()
            .filter(|(position, _)| *position != TOO_LATE)
            .map(|(_, (before, after))| after.records().len() - untouched(before, after))
            .sum();
        check(written == part.len(), "one record of each is written")?;
        let opens = second.session.get_block(
            self.key(TOO_LATE),
            &NextStartDate::WRITES,
            &self.block(TOO_LATE)?,
        )?;
        let opens = opens.map(|block| block.known().merged_start_date.to_string());
        check(
            opens.as_deref() == Some("2031-03-10T18:00:00Z"),
            "the new content is stored",
        )?;
        steps.step(
            "Two workers of B collect again what is below the floor",
            &[
                format!(
                    "{} courses in {took}: the new content whole, of {} others start_date alone",
                    done.len(),
                    part.len()
                ),
                format!("for these {written} records were written; everything else is untouched"),
            ],
        )
    }

    fn open_the_gate(
        &self,
        b: &Worker,
        raised: Instant,
        steps: &mut Steps<'_>,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        let answer = self
            .rollout()
            .gate(&b.session.lease()?, name(), NEXT, now())?;
        let took = milliseconds(begun.elapsed());
        let waited = milliseconds(raised.elapsed());
        let GateAnswer::Open(open) = answer else {
            return Err(as_told("the gate is open"));
        };
        for position in 0..COURSES {
            check(self.stored(position)? == NEXT, "every course holds it")?;
        }
        steps.step(
            &format!(
                "The gate {}@{NEXT} opens: nothing older is stored or will be",
                name()
            ),
            &[
                format!(
                    "counted in {took} from the headers of {} courses",
                    open.courses
                ),
                format!(
                    "{waited} after the floor was raised; nobody had to guess how long to wait"
                ),
            ],
        )
    }

    /// Everything of every course is read, and nothing collected.
    fn serve<T, D>(
        &self,
        title: &str,
        worker: &Worker,
        transformer: &T,
        steps: &mut Steps<'_>,
    ) -> Result<(), Failure>
    where
        T: for<'a> Transformer<BlockData<'a> = D>,
    {
        let before = self.entries()?;
        let registry = worker.session.registry();
        let names: Vec<_> = registry.names().collect();
        let begun = Instant::now();
        let mut blocks = 0;
        for course in &self.courses {
            let collected = worker.session.get_collected(&course.key, &names)?;
            for block in collected.structure().blocks() {
                let block = collected.structure().key(block);
                let value = worker.session.get_block(&course.key, transformer, block)?;
                check(value.is_some(), "start_date knows every block")?;
                blocks += 1;
            }
        }
        let took = milliseconds(begun.elapsed());
        let collected = worker.exports.reads();
        check(collected == 0, "no course is collected")?;
        check(self.entries()? == before, "nothing is written")?;
        let versions = registry.versions(name())?;
        let notices = worker.session.notices();
        check(
            is_below_floor(notices) == (versions.write < NEXT),
            "a release below the floor is told so, and no other",
        )?;
        let mut lines = vec![format!(
            "READ {}, WRITE {}: {COURSES} courses, {blocks} blocks read in {took}; {collected} collected again",
            versions.read, versions.write
        )];
        lines.extend(notices.iter().map(Notice::to_string));
        steps.step(title, &lines)
    }

    fn join(&self, worker: &str, release: &str, registry: Registry) -> Result<Worker> {
        let exports = Arc::new(Exports::new(&self.exports));
        let identity = Identity {
            worker: worker.to_owned(),
            release: release.to_owned(),
            lasts: LEASE,
        };
        let manager = self.manager(registry, Arc::clone(&exports));
        let session = Session::begin(manager, &identity)?;
        Ok(Worker { session, exports })
    }

    fn manager(&self, registry: Registry, exports: Arc<Exports>) -> Manager {
        Manager::new(Arc::clone(&self.store), Arc::new(registry), exports)
    }

    /// The author of a course has a chapter opened at another time.
    fn publish(&self, position: usize, opens: &str) -> Result<&Export, Failure> {
        let course = &self.courses[position];
        course::write(&course.place, &course.number, opens).map_err(|error| no_place(&error))?;
        let stored = self.entry(position)?;
        let published = self.exports.source_version(&course.key)?;
        check(*stored.source_version() != published, "the content is new")?;
        Ok(course)
    }

    /// Why the gate is closed.
    fn closed(&self, b: &Worker) -> Result<Vec<Reason>, Failure> {
        match self
            .rollout()
            .gate(&b.session.lease()?, name(), NEXT, now())?
        {
            GateAnswer::Closed(reasons) => Ok(reasons),
            GateAnswer::Open(_) => Err(as_told("the gate is closed")),
        }
    }

    fn rollout(&self) -> Rollout<'_> {
        Rollout::new(&self.store)
    }

    fn key(&self, position: usize) -> &CourseKey {
        &self.courses[position].key
    }

    /// The block that the story looks at.
    fn block(&self, position: usize) -> Result<UsageKey> {
        Ok(self.key(position).usage_key("sequential", "brightness")?)
    }

    fn entry(&self, position: usize) -> Result<CourseEntry, Failure> {
        let entry = self.store.course(self.key(position))?;
        entry.ok_or_else(|| as_told("the course is stored"))
    }

    fn entries(&self) -> Result<Vec<CourseEntry>, Failure> {
        (0..COURSES).map(|position| self.entry(position)).collect()
    }

    /// The version of `start_date` that a course holds.
    fn stored(&self, position: usize) -> Result<WriteVersion, Failure> {
        let entry = self.entry(position)?;
        let record = entry.record(name()).map(RecordEntry::header);
        let record = record.ok_or_else(|| as_told("start_date is stored"))?;
        Ok(record.write_version())
    }
}

impl Worker {
    /// Works until there is no task left that it could take.
    fn work_off(&self) -> Result<Vec<Updated>, Failure> {
        let mut done = Vec::new();
        loop {
            match self.session.work(&RetryPolicy::default(), now())? {
                Work::Done { collected, .. } => done.push(collected),
                Work::Idle { .. } => return Ok(done),
                _ => return Err(as_told("workers of B collect")),
            }
        }
    }
}

/// The transformer that the story is about, in all releases.
fn name() -> &'static str {
    Transformer::name(&StartDate)
}

/// How many records are what they were.
fn untouched(before: &CourseEntry, after: &CourseEntry) -> usize {
    let is_untouched = |new: &&RecordEntry| {
        let old = before.record(new.name());
        old.is_some_and(|old| old.header() == new.header())
    };
    after.records().iter().filter(is_untouched).count()
}

fn is_below_floor(notices: &[Notice]) -> bool {
    let is_of_floor = |notice: &Notice| matches!(notice, Notice::BelowFloor { transformer, .. } if transformer == name());
    notices.iter().any(is_of_floor)
}

fn first_of(reasons: &[Reason]) -> String {
    reasons.first().map(Reason::to_string).unwrap_or_default()
}

fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::no(error.to_string()))
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn microseconds(time: Duration) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6)
}
