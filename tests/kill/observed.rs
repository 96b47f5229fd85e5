//! What a store holds when nobody has it open: read with care, and held against itself. Damage, or
//! rows that do not agree with each other, are found here.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use courseblocks::rollout::{
    Census, Event, Fleet, HistoryEntry, Limits, Queue, Reason, Rollout, Task, judge,
};
use courseblocks::{CourseEntry, FloorEpoch, Floors, Manager, Member, Registry, Store, Timestamp};

use crate::child::{Unread, read_collected, read_published};
use crate::content::{COURSES, EXTRA, TITLES, fails, has_source, key, number, registry};
use crate::lines::in_words;
use crate::no_source::NoSource;

#[derive(Debug, Default)]
pub(crate) struct Observed {
    pub(crate) courses: BTreeMap<usize, Stored>,
    pub(crate) tasks: BTreeMap<usize, Task>,
    pub(crate) members: Vec<Member>,
    pub(crate) floor: Option<u32>,
    /// Courses that the floors have not reached.
    pub(crate) unsealed: usize,
    pub(crate) is_retired: bool,
    /// The target of the gate that is open.
    pub(crate) gate: Option<u32>,
    /// As `judge` has it, for the floor.
    pub(crate) reasons: Vec<Reason>,
    pub(crate) limits: Limits,
    pub(crate) history: Vec<HistoryEntry>,
}

/// What is stored of a course, and was found to be whole.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    pub(crate) content: u32,
    pub(crate) generation: u64,
    /// Of `titles`; `None` where it fails on this content.
    pub(crate) version: Option<u32>,
    /// WRITE of the code that failed.
    pub(crate) failed_at: Option<u32>,
    pub(crate) has_extra: bool,
    pub(crate) epoch: FloorEpoch,
}

impl Observed {
    /// Opens the store, looks at everything, and closes it.
    pub(crate) fn look(store: &Path, now: Timestamp) -> Result<Self, String> {
        let store = Store::open(store).map_err(|error| format!("it does not open: {error:?}"))?;
        let store = Arc::new(store);
        Self::of(&store, now)
    }

    pub(crate) fn of(store: &Arc<Store>, now: Timestamp) -> Result<Self, String> {
        let told = |error: courseblocks::Error| format!("it cannot be read: {}", in_words(&error));
        let mut observed = Self::default();
        // Reads need no version of anybody.
        let registry = Arc::new(registry(u32::MAX, true));
        let manager = manager(store, &registry);
        let traces = store.traces().map_err(told)?;
        if let Some(error) = traces.nameless.iter().chain(&traces.hidden).next() {
            return Err(format!("it cannot be read: {}", in_words(error)));
        }
        for course in traces.courses {
            let course = number(&course);
            if course >= COURSES {
                return Err(format!("a course that nobody made: {course}"));
            }
            let check = store.check(&key(course)).map_err(told)?;
            let damages = check.damages(&key(course));
            if !damages.is_empty() {
                return Err(format!("course {course} is damaged: {damages:?}"));
            }
            let entry = check
                .entry
                .ok_or_else(|| format!("course {course} has no row"))?;
            let stored = Stored::of(&manager, course, &entry.map_err(told)?)?;
            observed.courses.insert(course, stored);
        }
        let queue = Queue::new(store);
        for task in queue.tasks() {
            let task = task.map_err(told)?;
            let course = number(task.course());
            let found = queue.task(task.course()).map_err(told)?;
            if found.as_ref() != Some(&task) {
                return Err(format!("the task of course {course} is found as {found:?}"));
            }
            if let Some(other) = observed.tasks.insert(course, task) {
                return Err(format!("course {course} has two tasks: {other:?}"));
            }
        }
        // A pointer whose task is gone would be found.
        for course in 0..COURSES {
            let task = queue.task(&key(course)).map_err(told)?;
            if task.is_some() != observed.tasks.contains_key(&course) {
                return Err(format!("course {course} has a task that is in no order"));
            }
        }
        let floors = store.floors().map_err(told)?;
        observed.members = Fleet::new(store).members().map_err(told)?;
        observed.limits = queue.limits().map_err(told)?;
        let rollout = Rollout::new(store);
        observed.history = rollout.history().map_err(told)?;
        let gates = rollout.open_gates().map_err(told)?;
        observed.gate = gates.get(TITLES).map(|gate| gate.target.get());
        let census = Census::take(store, [TITLES]).map_err(told)?;
        observed.judge(&floors, &census, now)?;
        observed.check_gate()?;
        observed.check_history(&floors)?;
        Ok(observed)
    }

    fn judge(&mut self, floors: &Floors, census: &Census, now: Timestamp) -> Result<(), String> {
        let floor = floors.get(TITLES);
        self.floor = floor.map(|floor| floor.version.get());
        let extra = floors.get(EXTRA);
        self.is_retired = extra.is_some_and(|floor| floor.is_retired);
        let Some(floor) = floor else {
            return Ok(());
        };
        let rows = self.courses.values();
        self.unsealed = rows.filter(|stored| stored.epoch < floor.epoch).count();
        // Those too that nothing is stored for: a writer that read the floors before they were
        // raised may reserve a course after that. It is refused when it publishes.
        let unsealed = census.unsealed(floor.epoch).count;
        let fleet = &self.members;
        self.reasons = judge(TITLES, floor.version, floors, census, fleet, now);
        // The same from the rows as they were read here.
        let target = floor.version.get();
        let mut rows = self.courses.values();
        let is_ready = rows.all(|stored| {
            stored.version.is_some_and(|version| version >= target) && stored.failed_at.is_none()
        });
        let is_ready = is_ready && unsealed == 0;
        if is_ready != self.reasons.is_empty() {
            return Err(format!(
                "the rows say that the gate may open: {is_ready}; the census: {:?}",
                self.reasons
            ));
        }
        Ok(())
    }

    /// An open gate has nothing below it, whatever happened since.
    fn check_gate(&self) -> Result<(), String> {
        let Some(target) = self.gate else {
            return Ok(());
        };
        if self.floor < Some(target) {
            return Err(format!(
                "a gate is open at {target}, its floor is {:?}",
                self.floor
            ));
        }
        for (course, stored) in &self.courses {
            let is_above = stored.version.map_or_else(
                || stored.failed_at.is_some_and(|version| version >= target),
                |version| version >= target,
            );
            if !is_above {
                return Err(format!(
                    "the gate is open at {target} over {course}: {stored:?}"
                ));
            }
        }
        Ok(())
    }

    /// What is told with a change is told if it was made.
    fn check_history(&self, floors: &Floors) -> Result<(), String> {
        let has = |wanted: &dyn Fn(&Event) -> bool| {
            let told = self.history.iter().filter(|entry| wanted(&entry.event));
            told.count()
        };
        if let Some(floor) = floors.get(TITLES) {
            let raised = has(&|event| {
                matches!(event, Event::FloorRaised { transformer, to, .. }
                    if transformer == TITLES && *to == floor.version)
            });
            if raised != 1 {
                return Err(format!(
                    "the floor {} was told {raised} times",
                    floor.version
                ));
            }
        }
        if let Some(open) = self.gate {
            let opened = has(
                &|event| matches!(event, Event::GateOpened { target, .. } if target.get() == open),
            );
            if opened != 1 {
                return Err(format!("the gate {open} was told {opened} times"));
            }
        }
        Ok(())
    }

    pub(crate) fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        let told = self.history.iter();
        told.filter(|entry| wanted(&entry.event)).count()
    }
}

impl Stored {
    fn of(manager: &Manager, course: usize, entry: &CourseEntry) -> Result<Self, String> {
        let content = entry.source_version().as_str().parse().unwrap();
        let read = if has_source(course) {
            read_collected(manager, course)
        } else {
            read_published(manager.store(), course, true)
        };
        match read {
            Ok(read) if read == content => {}
            Ok(read) => return Err(format!("course {course}: {read} under a row of {content}")),
            Err(Unread::Error(error)) => {
                return Err(format!("course {course}: {}", in_words(&error)));
            }
            Err(Unread::Mixed(text)) => return Err(text),
        }
        let generation = entry.generation().get();
        for record in entry.records() {
            if record.header().generation().get() != generation {
                return Err(format!(
                    "course {course}: {record:?} is not of {generation}"
                ));
            }
        }
        let mut failures = entry.failures().iter();
        let failed = failures.rfind(|failure| failure.transformer == TITLES);
        let version = entry
            .record(TITLES)
            .map(|record| record.header().write_version().get());
        let must_fail = has_source(course) && fails(content);
        if failed.is_some() != must_fail || version.is_none() != must_fail {
            return Err(format!(
                "course {course} of {content}: {failed:?}, {version:?}"
            ));
        }
        Ok(Self {
            content,
            generation,
            version,
            failed_at: failed.map(|failure| failure.write_version.get()),
            has_extra: entry.record(EXTRA).is_some(),
            epoch: entry.floor_epoch(),
        })
    }
}

/// One that reads, and cannot write.
fn manager(store: &Arc<Store>, registry: &Arc<Registry>) -> Manager {
    Manager::new(Arc::clone(store), Arc::clone(registry), Arc::new(NoSource))
}
