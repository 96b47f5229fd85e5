//! What hosts call: collected data and transformed structures, from the store where it is fresh,
//! by collecting where it is not. It decides nothing about bytes and prints nothing.

mod block;
mod collected;
mod flights;
mod plan;
mod session;
mod structures;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

pub use block::BlockEntries;
pub use collected::{CollectedCourse, PublishedCourse, Transformed};
use collected::{CoursePart, OneBlock};
use flights::Flights;
pub use plan::{Plan, Reason};
pub use session::Renewed;
use session::Session;
use structures::Structures;

use crate::collect::{self, BLOCKS, OWN_VERSIONS, STRUCTURE};
use crate::engine::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{CourseKey, UsageKey};
use crate::modulestore::{ModuleStore, Report};
use crate::record::Entry;
use crate::store::{
    Base, CourseEntry, Damage, Lookup, Published, Store, StoredRecord, attempts_in_words,
};
use crate::transformer::{Registry, Transformer, UserContext};
use crate::version::Versions;

/// A release at work: its transformers, the store, and where courses come from.
///
/// Cheap to share behind an [`Arc`]. Several managers with different registries may share one
/// store: that is how the code of two releases runs side by side.
pub struct Manager {
    store: Arc<Store>,
    registry: Arc<Registry>,
    modulestore: Arc<dyn ModuleStore>,
    structures: Structures,
    flights: Flights,
    session: Mutex<Option<Session>>,
    /// While the lease is taken again.
    is_joining: AtomicBool,
}

/// What an update does beyond what is outdated.
#[derive(Clone, Debug, Default)]
pub struct UpdateOptions {
    /// Collect what is up to date too.
    pub force: Force,
    /// Consider these transformers only; empty means all. A changed course is always collected
    /// whole.
    pub transformers: Vec<String>,
}

/// Whether an update trusts what is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Force {
    /// What is up to date stays.
    #[default]
    OutdatedOnly,
    /// Everything that was asked for is collected again.
    Everything,
}

/// What an update did.
#[derive(Clone, Debug)]
pub struct Updated {
    /// What was to be done, and why.
    pub plan: Plan,
    /// What was written; `None` when nothing was to be done.
    pub published: Option<Published>,
    /// Transformers that could not collect the course, and why.
    pub failures: Vec<(String, String)>,
    /// What could not be read of the course; `None` when it was not read.
    pub report: Option<Report>,
}

/// How many bytes of decoded structures a [`Manager`] keeps unless told otherwise: some 100 courses of
/// 5,000 blocks.
pub const DEFAULT_STRUCTURE_CACHE_BYTES: u64 = 64 << 20;

/// How often a collect is begun again because the course was published meanwhile.
const MAX_COLLECT_ATTEMPTS: usize = 8;

impl Manager {
    /// A release of `registry` on `store`, which reads courses from `modulestore`. It can read what
    /// is stored; to collect, it must [`join`](Self::join) the fleet.
    #[must_use]
    pub fn new(
        store: Arc<Store>,
        registry: Arc<Registry>,
        modulestore: Arc<dyn ModuleStore>,
    ) -> Self {
        Self {
            store,
            registry,
            modulestore,
            structures: Structures::new(DEFAULT_STRUCTURE_CACHE_BYTES),
            flights: Flights::default(),
            session: Mutex::default(),
            is_joining: AtomicBool::new(false),
        }
    }

    /// Keeps decoded structures of courses in memory up to `bytes`, some 130 for each block of a
    /// course, instead of [`DEFAULT_STRUCTURE_CACHE_BYTES`]; 0 keeps none. What is kept is used for
    /// records of the generation that it was decoded from only, so it is never stale.
    #[must_use]
    pub fn structure_cache_bytes(mut self, bytes: u64) -> Self {
        self.structures = Structures::new(bytes);
        self
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The release's transformers.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The structure of a course and the data of the named transformers, all of one generation.
    ///
    /// What this release cannot use (missing, outdated, damaged) is collected first, together with
    /// everything else that is due for the course. However many callers miss together, one of them
    /// collects and the others wait. A course that is stored, readable and merely older than its
    /// source is served as it is: publishing is what updates it.
    ///
    /// # Errors
    /// [`Registry`](ErrorKind::Registry) for a name that is not registered;
    /// [`NotFound`](ErrorKind::NotFound) for a course that is nowhere;
    /// [`TooNew`](ErrorKind::TooNew) for data in a shape that only newer releases know;
    /// [`Transformer`](ErrorKind::Transformer) when one of the named transformers cannot collect
    /// this course; [`NoLease`](ErrorKind::NoLease) when something would have to be collected and
    /// this manager has not joined; [`Fenced`](ErrorKind::Fenced) when that is left to newer
    /// releases; and whatever the module store or the engine says.
    pub fn get_collected(&self, course: &CourseKey, names: &[&str]) -> Result<CollectedCourse> {
        self.read(course, &self.wanted(names)?, |lookups| {
            CollectedCourse::open(course, &self.registry, &self.structures, names, lookups)
        })
    }

    /// The structure of a course with the fields of its blocks as they were published, all of one
    /// generation. Collects and fails as [`get_collected`](Self::get_collected) does.
    ///
    /// # Errors
    /// As [`get_collected`](Self::get_collected).
    pub fn get_published(&self, course: &CourseKey) -> Result<PublishedCourse> {
        self.read(course, &[(BLOCKS, OWN_VERSIONS)], |lookups| {
            PublishedCourse::open(course, &self.structures, lookups)
        })
    }

    /// What `transformer` stored for one block; `None` where it stored nothing for it. Reads and
    /// verifies that block's part of the records only, whatever the size of the course.
    ///
    /// For data that borrows from its record, and for several transformers, there is
    /// [`get_block_entries`](Self::get_block_entries).
    ///
    /// # Errors
    /// As [`get_collected`](Self::get_collected), and [`NotFound`](ErrorKind::NotFound) for a block
    /// that is not in the course.
    pub fn get_block<T, D>(
        &self,
        course: &CourseKey,
        transformer: &T,
        block: &UsageKey,
    ) -> Result<Option<D>>
    where
        T: for<'a> Transformer<BlockData<'a> = D>,
    {
        let name = transformer.name();
        let wanted = (name, self.registry.versions(name)?);
        let decode = |entry: Entry<'_>| -> Result<D> { Ok(transformer.decode_block(entry)?) };
        if let Some(last) = self.structures.last(course)
            && let Lookup::Fresh(record) = self.store.lookup(course, name, &wanted.1)?
            && let Some(structure) = last.of(record.header().generation())
        {
            let position = structure.position(block);
            let position = position.ok_or_else(|| no_such_block(course, block))?;
            // One that is damaged is collected again below.
            let column = record.column();
            if let Ok(entry) = column.and_then(|column| column.entry(position.as_usize())) {
                return entry.map(decode).transpose();
            }
        }
        let found = self.read(course, &[wanted], |lookups| {
            let found = OneBlock::find(&self.structures, course, block, lookups)?;
            let decoded = found.map(|found| {
                let entry = found.entry(0, name)?;
                Ok(entry.map(decode).transpose())
            });
            decoded.transpose()
        })?;
        found.unwrap_or_else(|| Err(no_such_block(course, block)))
    }

    /// What the named transformers stored for one block, all of one generation. Reads and verifies
    /// that block's part of the records only, whatever the size of the course.
    ///
    /// # Errors
    /// As [`get_block`](Self::get_block).
    pub fn get_block_entries(
        &self,
        course: &CourseKey,
        names: &[&str],
        block: &UsageKey,
    ) -> Result<BlockEntries> {
        let wanted = self.wanted(names)?;
        let found = self.read(course, &wanted, |lookups| {
            let found = OneBlock::find(&self.structures, course, block, lookups)?;
            found.map(|found| found.entries(names)).transpose()
        })?;
        found.ok_or_else(|| no_such_block(course, block))
    }

    fn wanted<'n>(&self, names: &[&'n str]) -> Result<Vec<(&'n str, Versions)>> {
        let wanted = names
            .iter()
            .map(|name| Ok((*name, self.registry.versions(name)?)));
        wanted.collect()
    }

    /// Reads the structure and the named records and hands them to `open`, collecting what cannot
    /// be used until it can.
    fn read<R>(
        &self,
        course: &CourseKey,
        records: &[(&str, Versions)],
        open: impl Fn(Vec<Lookup<StoredRecord>>) -> Result<R, Damage>,
    ) -> Result<R> {
        let wanted = [&[(STRUCTURE, OWN_VERSIONS)], records].concat();
        for _ in 0..MAX_COLLECT_ATTEMPTS {
            if let Attempt::Opened(opened) = self.try_read(course, &wanted, &open)? {
                return Ok(opened);
            }
            let landed = self.flights.join(course, || {
                // Another flight may have landed since. What this caller is told is not for those
                // who wait: they may want other transformers.
                let missing = match self.try_read(course, &wanted, &open) {
                    Ok(Attempt::Missing(missing)) => missing,
                    Ok(Attempt::Opened(opened)) => return Ok(Some(Ok(opened))),
                    Err(error) => return Ok(Some(Err(error))),
                };
                self.collect(course, &UpdateOptions::default(), &missing)?;
                Ok(None)
            })?;
            if let Some(Some(answer)) = landed {
                return answer;
            }
        }
        let message = format!(
            "{course} is still not usable after collecting it {MAX_COLLECT_ATTEMPTS} times"
        );
        Err(Error::new(ErrorKind::Conflict, message))
    }

    /// Reads without collecting. An error where collecting would not help.
    fn try_read<R>(
        &self,
        course: &CourseKey,
        wanted: &[(&str, Versions)],
        open: &impl Fn(Vec<Lookup<StoredRecord>>) -> Result<R, Damage>,
    ) -> Result<Attempt<R>> {
        let lookups = self.store.read(course, wanted)?.lookups;
        let mut missing = unusable(course, wanted, &lookups)?;
        if missing.is_empty() {
            match open(lookups) {
                Ok(opened) => return Ok(Attempt::Opened(opened)),
                Err(damage) => missing.push(damage.record),
            }
        }
        self.refuse_known_failures(course, &missing)?;
        Ok(Attempt::Missing(missing))
    }

    /// What one user sees of a course, or of the part of it below `start`: collected data as in
    /// [`get_collected`](Self::get_collected), with the named transformers applied in their order.
    ///
    /// # Errors
    /// As [`get_collected`](Self::get_collected), and [`NotFound`](ErrorKind::NotFound) for a
    /// `start` that is not in the course.
    pub fn get_transformed(
        &self,
        course: &CourseKey,
        names: &[&str],
        user: &UserContext,
        start: Option<&UsageKey>,
    ) -> Result<Transformed> {
        let Some(start) = start else {
            return self.get_collected(course, names)?.transform(user, None);
        };
        if !self.registry.all_reach_subtrees(names)? {
            return self
                .get_collected(course, names)?
                .transform(user, Some(start));
        }
        self.read(course, &self.wanted(names)?, |lookups| {
            let part = CoursePart::open(course, &self.registry, &self.structures, names, lookups)?;
            part.transform(user, start)
        })?
    }

    /// Brings a course up to date with its source and with every WRITE version of this release.
    /// What is up to date is not touched.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) for a course that the module store does not have,
    /// [`Registry`](ErrorKind::Registry) for a name that is not registered,
    /// [`NoLease`](ErrorKind::NoLease) when there is something to do and this manager has not
    /// joined, [`Fenced`](ErrorKind::Fenced) when it is left to newer releases (the course is put on
    /// the queue then), and whatever the module store or the engine says. A transformer that fails
    /// is in the answer.
    pub fn update(&self, course: &CourseKey, options: &UpdateOptions) -> Result<Updated> {
        let updated = self
            .flights
            .alone(course, || self.collect(course, options, &[]))?;
        self.settle(updated)
    }

    /// Collects the named records again although their headers look right: for those that are
    /// damaged.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn repair(&self, course: &CourseKey, records: &[String]) -> Result<Updated> {
        let options = UpdateOptions::default();
        let updated = self
            .flights
            .alone(course, || self.collect(course, &options, records))?;
        self.settle(updated)
    }

    /// That nothing was to be done is durable, too: what is up to date may have been written by
    /// somebody else a moment ago, who is not told yet that it is.
    fn settle(&self, updated: Updated) -> Result<Updated> {
        if updated.published.is_none() {
            self.store.engine().flush()?;
        }
        Ok(updated)
    }

    /// What [`update`](Self::update) would do now.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn plan(&self, course: &CourseKey, options: &UpdateOptions) -> Result<Plan> {
        let entry = self.store.usable_course(course)?;
        let source = self.modulestore.source_version(course)?;
        Plan::make(entry.as_ref(), &source, &self.registry, options, &[])
    }

    /// One collect. The caller sees to it that it is the only one for the course.
    fn collect(
        &self,
        course: &CourseKey,
        options: &UpdateOptions,
        damaged: &[String],
    ) -> Result<Updated> {
        let mut last_conflict = None;
        for _ in 0..MAX_COLLECT_ATTEMPTS {
            // A course that is nowhere gets no trace in the store.
            let source = self.modulestore.source_version(course)?;
            let plan = |entry: Option<&CourseEntry>| {
                Plan::make(entry, &source, &self.registry, options, damaged)
            };
            let stored = self.store.usable_course(course)?;
            let due = plan(stored.as_ref())?;
            if due.is_nothing() {
                return Ok(Updated::nothing());
            }
            let (lease, now) = self.lease_and_time()?;
            let (base, entry) = self.store.base(&lease, course)?;
            let plan = plan(entry.as_ref())?;
            if plan.is_nothing() {
                return Ok(Updated::nothing());
            }
            match self.collect_onto(&base, entry.as_ref(), plan) {
                Err(error) if error.kind() == ErrorKind::Conflict => last_conflict = Some(error),
                Err(error) => {
                    self.store.abandon(&base)?;
                    if error.kind() == ErrorKind::Fenced {
                        self.leave_to_others(course, &due, now)?;
                    }
                    return Err(error);
                }
                updated => return updated,
            }
        }
        Err(last_conflict.unwrap_or_else(|| {
            let message = format!("{course} could not be collected");
            Error::new(ErrorKind::Conflict, message)
        }))
    }

    fn collect_onto(
        &self,
        base: &Base,
        entry: Option<&CourseEntry>,
        plan: Plan,
    ) -> Result<Updated> {
        let course = base.course();
        let loaded = self.modulestore.load(course)?;
        if loaded.key() != course {
            let message = format!("the module store gave {} for {course}", loaded.key());
            return Err(Error::new(ErrorKind::InvalidCourse, message));
        }
        // The same content has the same blocks, unless its reader was changed meanwhile.
        let fits = entry.is_some_and(|entry| {
            entry.source_version() == loaded.source_version()
                && usize::try_from(entry.blocks()) == Ok(loaded.structure().width())
        });
        let publication = match &plan {
            Plan::Part(names) if fits => {
                let transformers = names.iter().map(|name| self.registry.get(name));
                let transformers = transformers.collect::<Result<Vec<_>>>()?;
                collect::part(&loaded, transformers.into_iter())?
            }
            _ => collect::whole(&loaded, &self.registry)?,
        };
        // Collecting may have taken longer than the lease, which was taken again meanwhile.
        let lease = self.lease()?;
        let published = self
            .store
            .publish(&lease, base, &publication, Durability::Durable)?;
        let failures = publication.failures.into_iter();
        Ok(Updated {
            plan,
            published: Some(published),
            failures: failures.map(|(name, _, error)| (name, error)).collect(),
            report: Some(loaded.report().clone()),
        })
    }

    /// A transformer that failed on this very content will fail again: readers are told at once
    /// instead of collecting on every request.
    fn refuse_known_failures(&self, course: &CourseKey, missing: &[String]) -> Result<()> {
        let Some(entry) = self.store.usable_course(course)? else {
            return Ok(());
        };
        let known = entry.failures().iter().find(|failure| {
            missing.contains(&failure.transformer)
                && self
                    .registry
                    .versions(&failure.transformer)
                    .is_ok_and(|versions| versions.write == failure.write_version)
        });
        let Some(failure) = known else {
            return Ok(());
        };
        if self.modulestore.source_version(course)? != *entry.source_version() {
            return Ok(());
        }
        let message = format!(
            "transformer {:?} cannot collect {course} ({}): {}",
            failure.transformer,
            attempts_in_words(failure.attempts),
            failure.error
        );
        Err(Error::new(ErrorKind::Transformer, message))
    }
}

impl std::fmt::Debug for Manager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manager")
            .field("store", &self.store)
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}

impl Updated {
    fn nothing() -> Self {
        Self {
            plan: Plan::Nothing,
            published: None,
            failures: Vec::new(),
            report: None,
        }
    }
}

fn no_such_block(course: &CourseKey, block: &UsageKey) -> Error {
    let message = format!("{block} is not a block of {course}");
    Error::new(ErrorKind::NotFound, message)
}

/// What a read came to.
enum Attempt<R> {
    Opened(R),
    /// The records that must be collected first.
    Missing(Vec<String>),
}

/// The records that a read cannot use: missing, outdated or damaged. No I/O.
fn unusable(
    course: &CourseKey,
    wanted: &[(&str, Versions)],
    lookups: &[Lookup<StoredRecord>],
) -> Result<Vec<String>> {
    let mut unusable = Vec::new();
    for ((name, versions), lookup) in wanted.iter().zip(lookups) {
        match lookup {
            Lookup::Fresh(_) => {}
            Lookup::Missing if versions.read.accepts_missing() => {}
            Lookup::Missing | Lookup::Outdated { .. } | Lookup::Damaged(_) => {
                unusable.push((*name).to_owned());
            }
            Lookup::TooNew(newer) => {
                let message = format!("the record {name:?} of {course} is too new: {newer}");
                return Err(Error::new(ErrorKind::TooNew, message));
            }
        }
    }
    Ok(unusable)
}
