//! A process that is going to be killed: threads that publish, delete, enqueue, work, roll out and
//! read on one store, each step told before it begins and after it was acknowledged.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use courseblocks::engine::{Durability, SharedEngine, SledOptions};
use courseblocks::record::Generation;
use courseblocks::rollout::{
    Backlog, Claim, Claimed, Completion, Enqueued, Failed, Fleet, Priority, Queue, Rate,
    Registration, Retire, RetryPolicy, Rollout, Start,
};
use courseblocks::{
    CourseKey, Error, ErrorKind, Lease, Lookup, Manager, Result, Scope, Store, Timestamp,
    UpdateOptions, WriteVersion,
};
use serde::{Deserialize, Serialize};

use crate::content::{
    COURSES, EXTRA, Source, TITLES, Told, has_source, key, number, publication, registry, versions,
};
use crate::lines::{Answer, End, Line, Step, in_words, tell};
use crate::no_source::NoSource;
use crate::random::Random;

/// What a child is told to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) process: u32,
    pub(crate) store: PathBuf,
    pub(crate) source: PathBuf,
    /// Others have the store open, too.
    pub(crate) is_shared: bool,
    pub(crate) seed: u64,
    /// Since 1970, in microseconds.
    pub(crate) begins: i64,
    /// What its release writes of `titles`.
    pub(crate) write: u32,
    pub(crate) has_extra: bool,
    /// Its contents are numbered from here on.
    pub(crate) first_content: u32,
    /// Which courses its editors have: those whose number leaves one of these, divided by
    /// `all_editors`.
    pub(crate) editors: Vec<usize>,
    pub(crate) all_editors: usize,
    pub(crate) workers: usize,
    pub(crate) is_operator: bool,
    /// It ends in order after so many steps.
    pub(crate) steps: Option<i64>,
}

/// A lease outlasts a round, and no more.
pub(crate) const LASTS: Duration = Duration::from_secs(24 * 3600);

pub(crate) const POLICY: RetryPolicy = RetryPolicy {
    first_delay: Duration::from_millis(20),
    longest_delay: Duration::from_millis(200),
    attempts: 3,
};

pub(crate) fn worker_name(process: u32) -> String {
    format!("p{process}")
}

struct Child {
    orders: Orders,
    manager: Manager,
    source: Source,
    steps: AtomicU64,
    clock: AtomicI64,
    content: AtomicU32,
    left: AtomicI64,
}

pub(crate) fn run(orders: &str) {
    let orders: Orders = serde_json::from_str(orders).expect("orders");
    let process = orders.process;
    let store = open(&orders).expect("the store opens");
    tell(&Line::Open { process });
    let child = Child::new(orders, Arc::new(store));
    child.join();
    thread::scope(|scope| {
        let seed = |role: u64| child.orders.seed.wrapping_add(role);
        for (number, editor) in child.orders.editors.iter().enumerate() {
            let random = Random::new(seed(number as u64));
            let child = &child;
            scope.spawn(move || child.edits(random, *editor));
        }
        for worker in 0..child.orders.workers {
            let random = Random::new(seed(100 + worker as u64));
            let child = &child;
            scope.spawn(move || child.works(random));
        }
        if child.orders.is_operator {
            let random = Random::new(seed(200));
            let child = &child;
            scope.spawn(move || child.operates(random));
        }
        let random = Random::new(seed(300));
        let child = &child;
        scope.spawn(move || child.reads(random));
    });
    tell(&Line::Closing { process });
    drop(child);
    tell(&Line::Closed { process });
}

fn open(orders: &Orders) -> Result<Store> {
    if orders.is_shared {
        let engine = SharedEngine::open(&orders.store, &SledOptions::default())?;
        Ok(Store::with_engine(Arc::new(engine)))
    } else {
        Store::open(&orders.store)
    }
}

impl Child {
    fn new(orders: Orders, store: Arc<Store>) -> Self {
        let registry = Arc::new(registry(orders.write, orders.has_extra));
        let source = Source {
            directory: orders.source.clone(),
        };
        Self {
            manager: Manager::new(store, registry, Arc::new(source.clone())),
            source,
            steps: AtomicU64::new(0),
            clock: AtomicI64::new(orders.begins),
            content: AtomicU32::new(orders.first_content),
            left: AtomicI64::new(orders.steps.unwrap_or(i64::MAX)),
            orders,
        }
    }

    fn store(&self) -> &Store {
        self.manager.store()
    }

    fn queue(&self) -> Queue<'_> {
        Queue::new(self.store())
    }

    fn now(&self) -> Timestamp {
        let micros = self.clock.fetch_add(1000, Ordering::Relaxed);
        Timestamp::from_micros(micros).unwrap()
    }

    fn new_content(&self) -> u32 {
        self.content.fetch_add(1, Ordering::Relaxed)
    }

    fn goes_on(&self) -> bool {
        self.left.fetch_sub(1, Ordering::Relaxed) > 0
    }

    /// Tells of a step, and returns its number with what came of it.
    fn step<T>(&self, step: Step, act: impl FnOnce() -> Result<(Answer, T)>) -> (u64, Option<T>) {
        let process = self.orders.process;
        let number = self.steps.fetch_add(1, Ordering::Relaxed);
        tell(&Line::Try {
            process,
            number,
            step,
        });
        match act() {
            Ok((answer, found)) => {
                tell(&Line::Done {
                    process,
                    number,
                    answer,
                });
                (number, Some(found))
            }
            Err(error) => {
                self.refused(number, &error);
                (number, None)
            }
        }
    }

    fn refused(&self, number: u64, error: &Error) {
        let process = self.orders.process;
        tell(&Line::No {
            process,
            number,
            kind: format!("{:?}", error.kind()),
            message: in_words(error),
        });
        let may_fail = self.orders.is_shared && error.kind() == ErrorKind::Storage;
        let is_refusal = matches!(
            error.kind(),
            ErrorKind::Conflict | ErrorKind::NotFound | ErrorKind::Fenced | ErrorKind::NoLease
        );
        if !may_fail && !is_refusal {
            self.violation(in_words(error));
        }
    }

    fn violation(&self, text: String) {
        let process = self.orders.process;
        tell(&Line::Violation { process, text });
    }

    fn join(&self) {
        while self.goes_on() {
            let (_, joined) = self.step(Step::Join, || {
                let name = worker_name(self.orders.process);
                self.manager.join(&name, "release", LASTS, self.now())?;
                Ok((Answer::Done, ()))
            });
            if joined.is_some() {
                return;
            }
        }
    }

    /// Changes courses that nobody else changes, except to collect them again.
    fn edits(&self, mut random: Random, editor: usize) {
        let all = self.orders.all_editors;
        let courses: Vec<_> = (0..COURSES)
            .filter(|course| course % all == editor)
            .collect();
        while self.goes_on() {
            let course = courses[random.below(courses.len())];
            match random.below(100) {
                0..55 if has_source(course) => self.import(course),
                0..60 => {
                    let is_durable = random.percent(40);
                    self.publish(course, is_durable);
                }
                60..68 => self.delete(course),
                68..93 => self.enqueue(course, random.percent(50), random.percent(60)),
                93..97 => self.flush(),
                _ => self.publish_part(course, random.percent(50)),
            }
        }
    }

    fn import(&self, course: usize) {
        let content = self.new_content();
        let write = self.orders.write;
        let step = Step::Import {
            course,
            content,
            write,
        };
        self.step(step, || {
            self.source.publish(course, content);
            let updated = self
                .manager
                .update(&key(course), &UpdateOptions::default())?;
            let answer = updated
                .published
                .map_or(Answer::Nothing, |published| Answer::Published {
                    content,
                    generation: published.generation.get(),
                });
            Ok((answer, ()))
        });
    }

    fn publish(&self, course: usize, is_durable: bool) {
        if has_source(course) {
            return self.flush();
        }
        let content = self.new_content();
        let write = self.orders.write;
        let step = Step::Publish {
            course,
            content,
            write,
            is_durable,
        };
        self.step(step, || {
            let lease = self.manager.lease()?;
            let (base, _) = self.store().base(&lease, &key(course))?;
            let whole = publication(Scope::Whole, content, write, self.orders.has_extra)?;
            let published = self
                .store()
                .publish(&lease, &base, &whole, durability(is_durable))?;
            let generation = published.generation.get();
            let answer = Answer::Published {
                content,
                generation,
            };
            Ok((answer, ()))
        });
    }

    /// The present content at the present version.
    fn publish_part(&self, course: usize, is_durable: bool) {
        if has_source(course) {
            return self.flush();
        }
        let write = self.orders.write;
        let step = Step::PublishPart {
            course,
            write,
            is_durable,
        };
        self.step(step, || {
            let lease = self.manager.lease()?;
            let (base, entry) = self.store().base(&lease, &key(course))?;
            let Some(entry) = entry else {
                self.store().abandon(&base)?;
                return Ok((Answer::Nothing, ()));
            };
            let content = entry.source_version().as_str().parse().unwrap();
            let part = publication(Scope::Part, content, write, false)?;
            let published = self
                .store()
                .publish(&lease, &base, &part, durability(is_durable))?;
            let generation = published.generation.get();
            let answer = Answer::Published {
                content,
                generation,
            };
            Ok((answer, ()))
        });
    }

    fn delete(&self, course: usize) {
        self.step(Step::Delete { course }, || {
            self.source.take_away(course);
            let is_deleted = self.manager.delete(&key(course))?;
            Ok((done_if(is_deleted), ()))
        });
    }

    fn enqueue(&self, course: usize, is_news: bool, is_durable: bool) {
        let step = Step::Enqueue {
            course,
            is_news,
            is_durable,
        };
        let priority = if is_news {
            Priority::Publish
        } else {
            Priority::Backfill
        };
        self.step(step, || {
            let (queue, course) = (self.queue(), key(course));
            let enqueued: Enqueued = if is_durable {
                queue.enqueue(&course, priority, self.now())?
            } else {
                queue.enqueue_buffered(&course, priority, self.now())?
            };
            let _ = enqueued;
            Ok((Answer::Done, ()))
        });
    }

    fn flush(&self) {
        self.step(Step::Flush, || {
            self.store().engine().flush()?;
            Ok((Answer::Done, ()))
        });
    }

    fn works(&self, mut random: Random) {
        while self.goes_on() {
            let (number, claimed) = self.step(Step::Claim, || {
                let lease = self.manager.lease()?;
                Ok(match self.queue().claim(&lease, &POLICY, self.now())? {
                    Claimed::Task(claim) => {
                        let course = number(claim.course());
                        (Answer::Claimed { course }, Some(claim))
                    }
                    _ => (Answer::Nothing, None),
                })
            });
            let Some(claim) = claimed.flatten() else {
                // There would be little to do.
                let course = random.below(COURSES);
                self.enqueue(course, random.percent(50), random.percent(30));
                continue;
            };
            match random.below(100) {
                0..8 => self.end(&claim, number, End::GiveBack, None),
                8..16 => self.end(&claim, number, End::Fail, None),
                16..19 => {
                    // It is left to be found when this process is dead.
                }
                _ => self.work(&claim, number),
            }
        }
    }

    fn work(&self, claim: &Claim, number_of_claim: u64) {
        let course = number(claim.course());
        let step = Step::Work {
            course,
            claim: number_of_claim,
            write: self.orders.write,
        };
        let (_, worked) = self.step(step, || {
            let (is_whole, generation) = if has_source(course) {
                let updated = self
                    .manager
                    .update(&key(course), &UpdateOptions::default())?;
                let published = updated.published.map(|published| published.generation);
                (updated.failures.is_empty(), published)
            } else {
                let (lease, write) = (self.manager.lease()?, self.orders.write);
                let published = bring_up_to_date(self.store(), &lease, &key(course), write)?;
                (true, published)
            };
            let entry = self.store().course(&key(course))?;
            let content = entry.map(|entry| entry.source_version().as_str().parse().unwrap());
            let answer = Answer::Worked {
                content,
                generation: generation.map(Generation::get),
                failed: !is_whole,
            };
            Ok((answer, (is_whole, content)))
        });
        match worked {
            Some((true, content)) => self.end(claim, number_of_claim, End::Complete, content),
            _ => self.end(claim, number_of_claim, End::Fail, None),
        }
    }

    fn end(&self, claim: &Claim, number_of_claim: u64, how: End, content: Option<u32>) {
        let step = Step::End {
            course: number(claim.course()),
            claim: number_of_claim,
            how,
            content,
            write: self.orders.write,
        };
        self.step(step, || {
            let (queue, now) = (self.queue(), self.now());
            let answer = match how {
                End::Complete => match queue.complete(claim, now)? {
                    Completion::Done => Answer::Completed,
                    Completion::Again => Answer::Again,
                    Completion::Lost => Answer::Lost,
                },
                End::Fail => {
                    let error = failure(self.orders.process, number_of_claim);
                    match queue.fail(claim, &error, &POLICY, now)? {
                        Failed::Retry(_) => Answer::WillRetry,
                        Failed::Quarantined => Answer::Quarantined,
                        Failed::Lost => Answer::Lost,
                    }
                }
                End::GiveBack if queue.give_back(claim)? => Answer::Done,
                End::GiveBack => Answer::Lost,
            };
            Ok((answer, ()))
        });
    }

    fn operates(&self, mut random: Random) {
        let mut is_paused = false;
        while self.goes_on() {
            if is_paused && random.percent(60) {
                is_paused = false;
                self.with_lease(Step::Resume, |lease| {
                    Ok(done_if(self.queue().resume(lease, self.now())?))
                });
                continue;
            }
            match random.below(100) {
                0..8 => {
                    is_paused = true;
                    self.with_lease(Step::Pause, |lease| {
                        Ok(done_if(self.queue().pause(lease, self.now())?))
                    });
                }
                8..14 => {
                    let per_second = random
                        .percent(50)
                        .then(|| 1000 + u32::from(random.percent(50)));
                    let rate = per_second.and_then(|tasks| Rate::per_second(f64::from(tasks)));
                    self.with_lease(Step::Rate { per_second }, |lease| {
                        Ok(done_if(self.queue().set_rate(lease, rate, self.now())?))
                    });
                }
                14..24 => self.start(),
                24..44 => self.gate(),
                44..52 => self.with_lease(Step::Retry, |lease| {
                    self.queue().retry(lease, &Backlog::Quarantined)?;
                    Ok(Answer::Done)
                }),
                52..60 => {
                    let course = random.below(COURSES);
                    self.with_lease(Step::Drop { course }, |lease| {
                        let dropped = self.queue().drop(lease, &Backlog::Course(key(course)))?;
                        Ok(done_if(!dropped.is_empty()))
                    });
                }
                60..66 if !self.orders.has_extra => self.retire(),
                60..75 => {
                    self.step(Step::History, || {
                        Rollout::new(self.store()).history()?;
                        self.queue().status(self.now())?;
                        Ok((Answer::Nothing, ()))
                    });
                }
                75..85 => self.comes_and_goes(),
                _ => self.flush(),
            }
        }
    }

    fn with_lease(&self, step: Step, act: impl FnOnce(&Lease) -> Result<Answer>) {
        self.step(step, || Ok((act(&self.manager.lease()?)?, ())));
    }

    fn start(&self) {
        let write = self.orders.write;
        self.with_lease(Step::Start { write }, |lease| {
            let rollout = Rollout::new(self.store());
            Ok(match rollout.start(lease, TITLES, self.now(), |_| {})? {
                Start::Started { .. } => Answer::Started,
                Start::Refused(_) => Answer::Nothing,
            })
        });
    }

    fn gate(&self) {
        let target = self.orders.write;
        self.with_lease(Step::Gate { target }, |lease| {
            let version = WriteVersion::new(target).unwrap();
            let rollout = Rollout::new(self.store());
            let answer = rollout.gate(lease, TITLES, version, self.now())?;
            Ok(if answer.is_open() {
                Answer::Open
            } else {
                Answer::Closed
            })
        });
    }

    fn retire(&self) {
        self.with_lease(Step::Retire, |lease| {
            let rollout = Rollout::new(self.store());
            Ok(match rollout.retire(lease, EXTRA, self.now(), |_| {})? {
                Retire::Retired { .. } => Answer::Done,
                Retire::Unknown | Retire::Refused(_) => Answer::Nothing,
            })
        });
    }

    /// A worker beside this one.
    fn comes_and_goes(&self) {
        let registration = Registration {
            worker: "side".to_owned(),
            release: "release".to_owned(),
            transformers: BTreeMap::new(),
            lasts: LASTS,
        };
        let fleet = Fleet::new(self.store());
        // Who knows no transformer would keep floors from being raised: it does not stay.
        let (_, joined) = self.step(Step::Join, || {
            let (lease, _) = fleet.join(&registration, self.now())?;
            Ok((Answer::Done, lease))
        });
        if let Some(lease) = joined {
            self.step(Step::Leave, || Ok((done_if(fleet.leave(&lease)?), ())));
        }
    }

    /// Whatever is read together is of one content.
    fn reads(&self, mut random: Random) {
        let registry = Arc::clone(self.manager.registry());
        let manager = Manager::new(
            Arc::clone(self.manager.store()),
            registry,
            Arc::new(NoSource),
        );
        while self.left.load(Ordering::Relaxed) > 0 {
            let course = random.below(COURSES);
            let read = if has_source(course) {
                read_collected(&manager, course)
            } else {
                read_published(self.store(), course, self.orders.has_extra)
            };
            match read {
                Ok(_) => {}
                Err(Unread::Error(error)) if is_expected(&error, self.orders.is_shared) => {}
                Err(Unread::Error(error)) => self.violation(in_words(&error)),
                Err(Unread::Mixed(text)) => self.violation(text),
            }
        }
    }
}

/// As an update does it, for a course without a source.
pub(crate) fn bring_up_to_date(
    store: &Store,
    lease: &Lease,
    course: &CourseKey,
    write: u32,
) -> Result<Option<Generation>> {
    let Some(entry) = store.course(course)? else {
        return Ok(None);
    };
    let stored = entry.record(TITLES).unwrap().header().write_version();
    if stored.get() >= write {
        return Ok(None);
    }
    let (base, entry) = store.base(lease, course)?;
    let Some(entry) = entry else {
        store.abandon(&base)?;
        return Ok(None);
    };
    let content = entry.source_version().as_str().parse().unwrap();
    let part = publication(Scope::Part, content, write, false)?;
    let published = store.publish(lease, &base, &part, Durability::Buffered)?;
    Ok(Some(published.generation))
}

/// Why a course cannot be read.
pub(crate) enum Unread {
    Error(Error),
    /// It is not of one content.
    Mixed(String),
}

impl From<Error> for Unread {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

fn is_expected(error: &Error, is_shared: bool) -> bool {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NoLease | ErrorKind::Transformer | ErrorKind::Conflict => {
            true
        }
        ErrorKind::Storage => is_shared,
        _ => false,
    }
}

/// The content that all blocks of a course with a source tell. Nothing may have to be collected.
pub(crate) fn read_collected(manager: &Manager, course: usize) -> Result<u32, Unread> {
    let key = key(course);
    let published = manager.get_published(&key)?;
    let mut contents = Vec::new();
    for block in published.structure.blocks() {
        let block = published.blocks.block(block);
        let title = block.and_then(|block| block.fields()["display_name"].as_str());
        let title = title.unwrap_or_default();
        let (content, _) = title.split_once(' ').unwrap_or_default();
        contents.push(content.parse::<u32>().unwrap_or_default());
    }
    let blocks = contents.len();
    contents.dedup();
    if contents.len() != 1 || blocks != crate::content::BLOCKS as usize {
        let text = format!("{key} has {blocks} blocks of several contents: {contents:?}");
        return Err(Unread::Mixed(text));
    }
    Ok(contents[0])
}

/// The content that all records of a course tell.
pub(crate) fn read_published(store: &Store, course: usize, has_extra: bool) -> Result<u32, Unread> {
    let key = key(course);
    let mut wanted = vec![
        (TITLES, versions(u32::MAX)),
        (crate::content::PAD, versions(1)),
    ];
    if has_extra {
        wanted.push((EXTRA, versions(1)));
    }
    let snapshot = store.read(&key, &wanted)?;
    let mut contents = Vec::new();
    let mut generations = Vec::new();
    for (lookup, (name, _)) in snapshot.lookups.into_iter().zip(&wanted) {
        let record = match lookup {
            Lookup::Fresh(record) => record,
            Lookup::Missing => continue,
            other => return Err(Unread::Mixed(format!("{key} {name}: {other:?}"))),
        };
        generations.push(record.header().generation());
        let record = record.verify().map_err(Error::from)?;
        let column = record.column();
        if *name == crate::content::PAD {
            let (content, _): (u32, String) = column
                .course_wide()
                .map_err(Error::from)?
                .decode()
                .map_err(Error::from)?;
            contents.push(content);
            continue;
        }
        for entry in column.entries() {
            let entry = entry.map_err(Error::from)?;
            let Told { content, write } = entry.unwrap().decode().map_err(Error::from)?;
            let header = record.header().write_version();
            if header.get() != write {
                let text = format!("{key} {name}: version {write} under a header of {header}");
                return Err(Unread::Mixed(text));
            }
            contents.push(content);
        }
    }
    contents.dedup();
    generations.dedup();
    match (contents.as_slice(), generations.len()) {
        ([], 0) => Err(Error::new(ErrorKind::NotFound, "not stored").into()),
        ([content], 1) => Ok(*content),
        _ => Err(Unread::Mixed(format!(
            "{key} is of several contents: {contents:?} {generations:?}"
        ))),
    }
}

pub(crate) fn failure(process: u32, claim: u64) -> String {
    format!("failed by p{process} in its claim {claim}")
}

fn durability(is_durable: bool) -> Durability {
    if is_durable {
        Durability::Durable
    } else {
        Durability::Buffered
    }
}

fn done_if(is_done: bool) -> Answer {
    if is_done {
        Answer::Done
    } else {
        Answer::Nothing
    }
}
