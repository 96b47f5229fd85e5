//! Checking the control data, and making again what was lost of it. It knows rows and how they
//! depend on each other, not what is stored of courses.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::DeserializeOwned;

use super::gate::{GATES, Gates};
use super::history::{self, Event, HistoryEntry};
use super::queue::{self, Priority, Queue, QueueRow};
use super::{Census, Rollout};
use crate::engine::{Commit, Durability, Expected, Item, Space, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::key::CourseKey;
use crate::store::{
    COUNTER, FLEET, FLOORS, Floor, FloorEpoch, Floors, Lease, Members, Place, ROLLOUT, Row,
    decode_row, put_floors,
};
use crate::timestamp::Timestamp;
use crate::transformer::Registry;
use crate::version::{MinReader, WriteVersion};

/// What a check of the control data found.
#[derive(Clone, Debug, Default)]
pub struct ControlCheck {
    /// How many rows there are.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is damaged, or does not fit together.
    pub damages: Vec<ControlDamage>,
    /// Rows that only a newer release can check.
    pub too_new: u64,
    /// The highest of the numbers that are given once in the life of a store.
    highest_number: u64,
}

/// Something of the control data that is not as it was written.
#[derive(Clone, Debug)]
pub struct ControlDamage {
    /// What.
    pub part: ControlPart,
    /// The course that it is about, where that is known.
    pub course: Option<CourseKey>,
    /// What is wrong with it.
    pub cause: String,
    place: Option<Damaged>,
}

/// A part of the control data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ControlPart {
    /// Where the numbers of generations, leases and claims come from.
    Counter,
    /// What is still accepted.
    Floors,
    /// Who reads and writes the store.
    Workers,
    /// The gates that were found open.
    Gates,
    /// What happened.
    History,
    /// What is to be collected.
    Task,
    /// Which task a course has.
    Pointer,
    /// Pause and rate of the queue.
    QueueSettings,
    /// How many tasks were done lately.
    QueueMeter,
    /// Rows that the engine cannot read, whatever they are. Nothing can be written there either.
    Unreadable,
}

/// A row that is damaged.
#[derive(Clone, Debug)]
struct Damaged {
    partition: &'static str,
    name: Vec<u8>,
    bytes: Value,
    /// It can be read, and does not fit to the others.
    is_whole: bool,
}

/// What was made of floors that were lost.
#[derive(Clone, Debug)]
pub struct FloorsRestored {
    /// The floors now.
    pub floors: Floors,
    /// How many courses were put on the queue.
    pub enqueued: u64,
}

/// What is known of a floor that was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    version: WriteVersion,
    min_reader: MinReader,
    is_retired: bool,
}

impl fmt::Display for ControlPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "the counter of generations",
            Self::Floors => "the floors",
            Self::Workers => "the list of workers",
            Self::Gates => "the open gates",
            Self::History => "an entry of the history",
            Self::Task => "a task",
            Self::Pointer => "the place of a task",
            Self::QueueSettings => "pause and rate of the queue",
            Self::QueueMeter => "the meter of the queue",
            Self::Unreadable => "rows that cannot be read",
        })
    }
}

/// What can be named in a sentence, with its course.
impl fmt::Display for ControlDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.course {
            Some(course) => write!(f, "{} of {course}", self.part),
            None => self.part.fmt(f),
        }
    }
}

/// What the rows say of each other.
#[derive(Default)]
struct Links {
    /// By the place of the task.
    tasks: BTreeMap<Vec<u8>, (CourseKey, Value)>,
    damaged_tasks: BTreeSet<Vec<u8>>,
    /// The place of each course's task.
    pointers: BTreeMap<CourseKey, Vec<u8>>,
    floors: Option<FloorEpoch>,
    counter: Option<u64>,
}

impl Rollout<'_> {
    /// Reads and checks every row of the control data, and whether they fit together and to the
    /// header index.
    ///
    /// # Errors
    /// [`Storage`](ErrorKind::Storage) when the engine fails. Damage is in the answer.
    pub fn check_control(&self) -> Result<ControlCheck> {
        let mut check = ControlCheck::default();
        let mut links = Links::default();
        let mut last = String::from("the first row");
        for item in self.store.engine().scan(Space::Control, None) {
            match item {
                Ok(item) => {
                    last = shown(&item);
                    check.row(&item, &mut links)?;
                }
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    let cause = format!("after {last}: {}", error.chain());
                    check.find(ControlPart::Unreadable, None, cause);
                }
                Err(error) => return Err(error),
            }
        }
        let mut epoch = None;
        for row in self.store.rows() {
            let (course, row) = match row {
                Ok((course, Ok(row))) => (course, row),
                Ok((_, Err(_))) => continue,
                // It is told where courses are checked.
                Err(error) if error.kind() == ErrorKind::Damaged => continue,
                Err(error) => return Err(error),
            };
            let generation = match &row {
                Row::Stored(entry) => entry.generation(),
                Row::Reserved { generation, .. } => *generation,
            };
            check.highest_number = check.highest_number.max(generation.get());
            if epoch
                .as_ref()
                .is_none_or(|(epoch, _)| *epoch < row.floor_epoch())
            {
                epoch = Some((row.floor_epoch(), course));
            }
        }
        check.compare(&links, epoch);
        Ok(check)
    }

    /// Makes again what was found to be damaged, or drops it, and notes that in the history:
    ///
    /// - the counter goes on far above every number that was found;
    /// - the open gates are closed, and can be judged again;
    /// - an entry of the history is dropped;
    /// - the course of a task is put on the queue again. Where nothing tells which one it was, every
    ///   course is: what is up to date is passed over;
    /// - the queue is paused where nothing tells whether it was. Its rate has to be set again;
    /// - the meter begins anew, and the workers join again.
    ///
    /// Floors are left as they are ([`restore_floors`](Self::restore_floors)), and so is what cannot
    /// be written over.
    ///
    /// # Errors
    /// [`NoLease`](ErrorKind::NoLease) for a lease that has ended; whatever the engine says.
    pub fn repair_control(
        &self,
        lease: &Lease,
        check: &ControlCheck,
        now: Timestamp,
    ) -> Result<()> {
        self.store.holder(lease)?;
        let queue = Queue::new(self.store);
        let mut is_unknown = false;
        for damage in &check.damages {
            match damage.part {
                // Whoever joins makes the list anew; this worker has.
                ControlPart::Floors | ControlPart::Unreadable | ControlPart::Workers => continue,
                ControlPart::Counter => self.store.restore_counter(check.highest_number)?,
                ControlPart::QueueSettings => {
                    if let Some(place) = &damage.place {
                        queue.pause_again(lease, place.unchanged(), now)?;
                    }
                }
                ControlPart::Task => {
                    is_unknown |= damage.course.is_none();
                    self.repair_task(queue, damage, now)?;
                }
                ControlPart::Pointer if damage.course.is_some() => {
                    self.repair_task(queue, damage, now)?;
                }
                ControlPart::Pointer
                | ControlPart::Gates
                | ControlPart::History
                | ControlPart::QueueMeter => {
                    if let Some(place) = &damage.place {
                        self.drop_row(place)?;
                    }
                }
            }
            let what = format!("{damage}: {}", damage.part.made_of());
            history::tell(
                self.store,
                now,
                Some(lease.worker()),
                Event::Repaired { what },
            )?;
        }
        if is_unknown {
            self.enqueue_all(now)?;
        }
        Ok(())
    }

    /// Puts floors in the place of ones that are damaged: for each transformer that this release
    /// has, of which something is stored, or that the history tells a floor of, the highest of this
    /// release's WRITE version, the highest version that is stored, and the highest floor in the
    /// history. Those are as high as the ones that were lost or higher, if the newest release does
    /// it, or if the history is whole. What the history says was retired stays so.
    ///
    /// Closes all gates, lets the floors reach every course, puts those on the queue that are below
    /// them, and notes it. Nobody needs a lease: none can be had while floors are damaged. Does
    /// nothing where they are not.
    ///
    /// # Errors
    /// As [`Store::seal`](crate::Store::seal).
    pub fn restore_floors(
        &self,
        registry: &Registry,
        worker: &str,
        now: Timestamp,
        mut on_course: impl FnMut(&CourseKey),
    ) -> Result<Option<FloorsRestored>> {
        let row = self.store.lost_floors_row()?;
        if row.value.is_some() || row.unchanged() == Expected::Absent {
            return Ok(None);
        }
        let (known, epoch) = self.known_floors(registry)?;
        let floors = known.into_iter().map(|(name, known)| {
            let floor = Floor {
                version: known.version,
                min_reader: known.min_reader,
                epoch: FloorEpoch::default(),
                raised_at: now,
                raised_by: worker.to_owned(),
                is_retired: known.is_retired,
            };
            (name, floor)
        });
        let floors = Floors::restored(floors, epoch);
        let mut commit = Commit::new();
        put_floors(&mut commit, &row, &floors)?;
        commit.delete(Space::Control, GATES.name);
        let what = format!("{}: set anew, and all gates closed", ControlPart::Floors);
        let event = Event::Repaired { what };
        history::put(self.store, &mut commit, now, Some(worker), event)?;
        let is_first = self
            .store
            .commit_control(ROLLOUT, &commit, Durability::Durable)?;
        if !is_first {
            return Ok(None);
        }
        self.store.seal(&mut on_course)?;
        let enqueued = self.enqueue_all(now)?;
        Ok(Some(FloorsRestored { floors, enqueued }))
    }

    /// What tells of floors that cannot be read: the release, what is stored, and the history. And
    /// the highest epoch that a row has.
    fn known_floors(self, registry: &Registry) -> Result<(BTreeMap<String, Known>, FloorEpoch)> {
        let mut known = BTreeMap::new();
        for name in registry.names() {
            let versions = registry.versions(name)?;
            know(&mut known, name, versions.write, versions.min_reader, false);
        }
        let census = Census::take_readable(self.store)?;
        for (name, tally) in &census.transformers {
            let is_ours = name.starts_with('@');
            if let Some(version) = tally.stored.keys().next_back().filter(|_| !is_ours) {
                let min_reader = tally.min_reader.unwrap_or(MinReader::ANY);
                know(&mut known, name, *version, min_reader, false);
            }
        }
        for entry in self.history()? {
            match entry.event {
                Event::FloorRaised {
                    transformer, to, ..
                } => know(&mut known, &transformer, to, MinReader::ANY, false),
                Event::ShapeDropped {
                    transformer,
                    min_reader,
                } => {
                    know(
                        &mut known,
                        &transformer,
                        WriteVersion::FIRST,
                        min_reader,
                        false,
                    );
                }
                Event::Retired {
                    transformer,
                    version,
                } => know(&mut known, &transformer, version, MinReader::ANY, true),
                _ => {}
            }
        }
        let epoch = census.epochs.keys().next_back().copied();
        Ok((known, epoch.unwrap_or_default()))
    }

    /// Lets the course have its task, or another one.
    fn repair_task(self, queue: Queue<'_>, damage: &ControlDamage, now: Timestamp) -> Result<()> {
        let task = damage.place.as_ref();
        if let Some(place) = task.filter(|_| damage.part == ControlPart::Task) {
            let is_wanted = match &damage.course {
                Some(course) if place.is_whole => queue.task(course)?.is_none(),
                _ => false,
            };
            if !is_wanted {
                self.drop_row(place)?;
            }
        }
        match &damage.course {
            Some(course) => queue.find_again(course, now),
            None => Ok(()),
        }
    }

    fn enqueue_all(self, now: Timestamp) -> Result<u64> {
        let queue = Queue::new(self.store);
        let mut enqueued = 0;
        for row in self.store.courses() {
            let course = match row {
                Ok((course, _)) => course,
                // Nothing can be collected there.
                Err(error) if error.kind() == ErrorKind::Damaged => continue,
                Err(error) => return Err(error),
            };
            queue.enqueue_buffered(&course, Priority::Backfill, now)?;
            enqueued += 1;
        }
        self.store.engine().flush()?;
        Ok(enqueued)
    }

    /// Whatever became of it meanwhile stays.
    fn drop_row(self, place: &Damaged) -> Result<()> {
        let mut commit = Commit::new();
        commit.require(Space::Control, place.name.as_slice(), place.unchanged());
        commit.delete(Space::Control, place.name.as_slice());
        self.store
            .commit_control(place.partition, &commit, Durability::Durable)?;
        Ok(())
    }
}

fn know(
    known: &mut BTreeMap<String, Known>,
    name: &str,
    version: WriteVersion,
    min_reader: MinReader,
    is_retired: bool,
) {
    let known = known.entry(name.to_owned()).or_insert(Known {
        version,
        min_reader,
        is_retired,
    });
    known.version = known.version.max(version);
    known.min_reader = known.min_reader.max(min_reader);
    known.is_retired |= is_retired;
}

impl ControlPart {
    /// What a repair makes of it.
    fn made_of(self) -> &'static str {
        match self {
            Self::Counter => "goes on far above every number that was found",
            Self::Gates => "all gates are closed and can be judged again",
            Self::History => "dropped",
            Self::Task | Self::Pointer => "put on the queue again",
            Self::QueueSettings => "the queue is paused; its rate has to be set again",
            Self::QueueMeter => "begins anew",
            Self::Floors | Self::Workers | Self::Unreadable => "left as it is",
        }
    }
}

impl Damaged {
    fn unchanged(&self) -> Expected {
        Expected::Equal(self.bytes.to_vec())
    }
}

impl ControlCheck {
    fn find(&mut self, part: ControlPart, course: Option<CourseKey>, cause: String) {
        self.damages.push(ControlDamage {
            part,
            course,
            cause,
            place: None,
        });
    }

    fn row(&mut self, item: &Item, links: &mut Links) -> Result<()> {
        self.rows += 1;
        self.bytes += item.value().len() as u64;
        let (partition, name) = (item.partition(), item.name());
        let is_at =
            |place: Place<'_>| (partition, name) == (place.partition.as_bytes(), place.name);
        if is_at(COUNTER) {
            links.counter = self.decode(ControlPart::Counter, COUNTER.partition, item)?;
        } else if is_at(FLOORS) {
            let floors = self.decode::<Floors>(ControlPart::Floors, ROLLOUT, item)?;
            links.floors = floors.map(|floors| floors.epoch());
        } else if is_at(FLEET) {
            let members = self.decode::<Members>(ControlPart::Workers, ROLLOUT, item)?;
            let tokens = members.iter().flat_map(Members::iter);
            let tokens = tokens.map(|member| member.token);
            self.highest_number = tokens.fold(self.highest_number, u64::max);
        } else if is_at(GATES) {
            self.decode::<Gates>(ControlPart::Gates, ROLLOUT, item)?;
        } else if partition == ROLLOUT.as_bytes() && name.starts_with(history::PREFIX) {
            self.decode::<HistoryEntry>(ControlPart::History, ROLLOUT, item)?;
        } else if partition == queue::PARTITION.as_bytes() {
            self.queue_row(item, links)?;
        }
        Ok(())
    }

    fn queue_row(&mut self, item: &Item, links: &mut Links) -> Result<()> {
        let name = item.name().to_vec();
        let place = Place {
            partition: queue::PARTITION,
            name: &name,
            what: "a row of the queue",
        };
        let kind = queue::kind_of(&name);
        let (part, course) = match &kind {
            queue::RowKind::Task => (ControlPart::Task, None),
            queue::RowKind::Pointer(course) => (ControlPart::Pointer, course.clone()),
            queue::RowKind::Settings => (ControlPart::QueueSettings, None),
            queue::RowKind::Meter => (ControlPart::QueueMeter, None),
            queue::RowKind::Unknown => return Ok(()),
        };
        match queue::read_row(&kind, place, item.value()) {
            Ok(QueueRow::Task { course, number, at }) => {
                self.highest_number = self.highest_number.max(number);
                if at != name {
                    let cause = "it is in another place than it says".to_owned();
                    self.find_at(part, Some(course.clone()), cause, item, queue::PARTITION);
                }
                links.tasks.insert(name, (course, item.value().clone()));
            }
            Ok(QueueRow::Pointer { to }) => {
                if let Some(course) = course {
                    links.pointers.insert(course, to);
                }
            }
            Ok(QueueRow::Other) => {}
            Err(error) => {
                if part == ControlPart::Task {
                    links.damaged_tasks.insert(name);
                }
                self.refuse(part, course, &error, item, queue::PARTITION)?;
            }
        }
        Ok(())
    }

    fn decode<T: DeserializeOwned>(
        &mut self,
        part: ControlPart,
        partition: &'static str,
        item: &Item,
    ) -> Result<Option<T>> {
        let what = part.to_string();
        let place = Place {
            partition,
            name: item.name(),
            what: &what,
        };
        match decode_row(place, item.value()) {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                self.refuse(part, None, &error, item, partition)?;
                Ok(None)
            }
        }
    }

    fn refuse(
        &mut self,
        part: ControlPart,
        course: Option<CourseKey>,
        error: &Error,
        item: &Item,
        partition: &'static str,
    ) -> Result<()> {
        match error.kind() {
            ErrorKind::TooNew => self.too_new += 1,
            ErrorKind::Damaged => self.find_at(part, course, error.chain(), item, partition),
            _ => return Err(error.clone()),
        }
        Ok(())
    }

    fn find_at(
        &mut self,
        part: ControlPart,
        course: Option<CourseKey>,
        cause: String,
        item: &Item,
        partition: &'static str,
    ) {
        self.damages.push(ControlDamage {
            part,
            course,
            cause,
            place: Some(Damaged {
                partition,
                name: item.name().to_vec(),
                bytes: item.value().clone(),
                is_whole: false,
            }),
        });
    }

    fn compare(&mut self, links: &Links, epoch: Option<(FloorEpoch, CourseKey)>) {
        let pointed_to: BTreeMap<_, _> = links
            .pointers
            .iter()
            .map(|(course, place)| (place, course))
            .collect();
        for damage in &mut self.damages {
            let place = damage.place.as_ref().filter(|_| damage.course.is_none());
            if let Some(course) = place.and_then(|place| pointed_to.get(&place.name)) {
                damage.course = Some((*course).clone());
            }
        }
        for (course, place) in &links.pointers {
            let task = links.tasks.get(place);
            let is_there = task.is_some_and(|(of, _)| of == course);
            if !is_there && !links.damaged_tasks.contains(place) {
                let cause = "there is no task where it says".to_owned();
                self.find(ControlPart::Pointer, Some(course.clone()), cause);
            }
        }
        for (place, (course, bytes)) in &links.tasks {
            let is_told = |damage: &ControlDamage| damage.course.as_ref() == Some(course);
            let pointer = links.pointers.get(course);
            if pointer != Some(place) && !self.damages.iter().any(is_told) {
                self.damages.push(ControlDamage {
                    part: ControlPart::Task,
                    course: Some(course.clone()),
                    cause: "nothing tells that the course has it".to_owned(),
                    place: Some(Damaged {
                        partition: queue::PARTITION,
                        name: place.clone(),
                        bytes: bytes.clone(),
                        is_whole: true,
                    }),
                });
            }
        }
        let has = |check: &Self, part| check.damages.iter().any(|damage| damage.part == part);
        let newer = epoch.filter(|(epoch, _)| *epoch > links.floors.unwrap_or_default());
        if let Some((_, course)) = newer.filter(|_| !has(self, ControlPart::Floors)) {
            let cause = format!("they are older than the row of {course} in the header index");
            self.find(ControlPart::Floors, None, cause);
        }
        let is_counted = links.counter.is_some_and(|next| next > self.highest_number);
        if !is_counted && self.highest_number > 0 && !has(self, ControlPart::Counter) {
            let cause = format!("it is not above {}, which was used", self.highest_number);
            self.find(ControlPart::Counter, None, cause);
        }
    }
}

fn shown(item: &Item) -> String {
    let [partition, name] = [item.partition(), item.name()].map(String::from_utf8_lossy);
    format!("{partition:?} {name:?}")
}
