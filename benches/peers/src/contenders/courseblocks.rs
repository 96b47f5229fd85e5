//! courseblocks. All that the workloads call of it is here.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use courseblocks::engine::{Commit, Durability, Key, Space};
use courseblocks::modulestore::{Course, ModuleStore};
use courseblocks::record::{ColumnWriter, Entry, RecordError};
use courseblocks::rollout::{Census, Fleet, Registration};
use courseblocks::{
    BLOCKS, CourseKey, DEFAULT_STRUCTURE_CACHE_BYTES, Error, ErrorKind, Lease, Lookup, Manager,
    MinReader, NewRecord, Publication, ReadVersion, Registry, STRUCTURE, Scope, SourceVersion,
    Store, Timestamp, Transformer, UpdateOptions, UsageKey, UserContext, Versions, WriteVersion,
};

use super::Row;
use crate::fleet;

/// When visitors look at courses.
pub(crate) const SEEN_AT: &str = "2026-03-01T12:00:00Z";

/// What visitors see is decided by these.
const APPLIED: [&str; 2] = ["visibility", "start_date"];

/// A store with a fleet of courses, collected by the stock transformers.
pub(crate) struct Courseblocks {
    manager: Manager,
    courses: Vec<CourseKey>,
    visitor: UserContext,
}

impl Courseblocks {
    /// Makes a store in an empty directory and collects one course for each number of blocks.
    pub(crate) fn open(directory: &Path, sizes: &[usize]) -> Self {
        Self::open_keeping(directory, sizes, DEFAULT_STRUCTURE_CACHE_BYTES)
    }

    /// As [`open`](Self::open), with so many bytes of decoded structures kept in memory.
    pub(crate) fn open_keeping(directory: &Path, sizes: &[usize], bytes: u64) -> Self {
        let generated = Generated(sizes.to_vec());
        let courses = (0..sizes.len()).map(fleet::key).collect();
        let store = Store::open(directory.join("store")).expect("a store");
        let registry = Arc::new(Registry::standard());
        let manager = Manager::new(Arc::new(store), registry, Arc::new(generated))
            .structure_cache_bytes(bytes);
        fleet::join(&manager);
        let opened = Self {
            manager,
            courses,
            visitor: UserContext::new(SEEN_AT.parse().expect("a date")),
        };
        for course in &opened.courses {
            let updated = opened.manager.update(course, &UpdateOptions::default());
            assert!(updated.expect("collected").failures.is_empty());
        }
        opened
    }

    pub(crate) fn courses(&self) -> &[CourseKey] {
        &self.courses
    }

    /// How many blocks a course has.
    pub(crate) fn blocks(&self, course: &CourseKey) -> f64 {
        let entry = self.manager.store().course(course).expect("a row");
        f64::from(entry.expect("a course").blocks())
    }

    /// The records of a course as they are stored, and its row of the header index as the last.
    pub(crate) fn rows(&self, course: &CourseKey) -> Vec<Row> {
        let mut rows = self.records(course);
        rows.push(self.header_row(course));
        rows
    }

    /// The records of a course as they are stored.
    pub(crate) fn records(&self, course: &CourseKey) -> Vec<Row> {
        let partition = course.as_str().as_bytes();
        let engine = self.manager.store().engine();
        let items = engine.scan(Space::Records, Some(partition));
        let rows = items.map(|item| {
            let item = item.expect("a record");
            Row {
                key: [partition, item.name()].join(&0),
                value: item.value().to_vec(),
            }
        });
        rows.collect()
    }

    /// What the header index holds of a course.
    pub(crate) fn header_row(&self, course: &CourseKey) -> Row {
        let partition = course.as_str().as_bytes();
        let key = Key::new(Space::Courses, partition, b"");
        let row = self.manager.store().engine().get(key).expect("a get");
        Row {
            key: [partition, b""].join(&0),
            value: row.expect("a row").to_vec(),
        }
    }

    /// All data of a transformer: checked whole and decoded.
    pub(crate) fn column<T, D>(&self, course: &CourseKey, transformer: &T) -> Vec<Option<D>>
    where
        T: for<'a> Transformer<BlockData<'a> = D>,
    {
        let versions = transformer.versions();
        let store = self.manager.store();
        let lookup = store.lookup(course, transformer.name(), &versions);
        let record = lookup.expect("a get").fresh().expect("fresh");
        let verified = record.verify().expect("intact");
        let decode = |entry: Entry<'_>| {
            let decoded = transformer.decode_block(entry);
            decoded.map_err(|_| RecordError::Malformed("no value"))
        };
        verified.column().decode(decode).expect("values")
    }

    /// Reads a course as a whole, so that its structure is known from then on, where it may be kept.
    pub(crate) fn know(&self, course: &CourseKey) {
        let collected = self.manager.get_collected(course, &[]);
        assert_eq!(collected.expect("a course").course(), course);
    }

    /// The data of one block.
    pub(crate) fn block<T, D>(&self, course: &CourseKey, transformer: &T, block: &UsageKey) -> D
    where
        T: for<'a> Transformer<BlockData<'a> = D>,
    {
        let found = self.manager.get_block(course, transformer, block);
        found.expect("a block").expect("a value")
    }

    /// How many blocks a visitor sees, from what is stored to the list of them.
    pub(crate) fn visible(&self, course: &CourseKey) -> usize {
        let seen = self
            .manager
            .get_transformed(course, &APPLIED, &self.visitor, None);
        let structure = seen.expect("a structure").structure;
        let keys: Vec<_> = structure
            .blocks()
            .map(|block| structure.key(block))
            .collect();
        keys.len()
    }

    /// The keys of what a visitor sees, sorted.
    pub(crate) fn visible_keys(&self, course: &CourseKey) -> Vec<String> {
        let seen = self
            .manager
            .get_transformed(course, &APPLIED, &self.visitor, None);
        let structure = seen.expect("a structure").structure;
        let keys = structure.blocks().map(|block| structure.key(block));
        let mut keys: Vec<_> = keys.map(ToString::to_string).collect();
        keys.sort_unstable();
        keys
    }

    /// How many courses a census of all headers finds.
    pub(crate) fn census(&self) -> u64 {
        let census = Census::take(self.manager.store(), APPLIED).expect("counted");
        census.courses
    }

    /// What to write to store a course once more as it is, as another version of its content.
    pub(crate) fn publication(&self, course: &CourseKey, version: &str) -> Publication {
        let store = self.manager.store();
        let entry = store.course(course).expect("a row").expect("a course");
        let names = entry
            .records()
            .iter()
            .map(|record| record.name().to_owned());
        let records = names.map(|name| self.new_record(course, name));
        Publication {
            scope: Scope::Whole,
            source_version: SourceVersion::new(version).expect("short"),
            origin: None,
            blocks: entry.blocks(),
            errors: 0,
            warnings: 0,
            records: records.collect(),
            failures: Vec::new(),
        }
    }

    fn new_record(&self, course: &CourseKey, name: String) -> NewRecord {
        let versions = if [STRUCTURE, BLOCKS].contains(&name.as_str()) {
            Versions::new(ReadVersion::new(1), WriteVersion::FIRST)
        } else {
            self.manager
                .registry()
                .versions(&name)
                .expect("a stock transformer")
        };
        let lookup = self.manager.store().lookup(course, &name, &versions);
        let record = lookup.expect("a get").fresh().expect("fresh");
        let verified = record.verify().expect("intact");
        let column = verified.column();
        let mut writer = ColumnWriter::new();
        for entry in column.entries() {
            match entry.expect("intact") {
                Some(entry) => writer.push(entry.bytes()),
                None => writer.push_absent(),
            }
            .expect("it was stored before");
        }
        let course_wide = column.course_wide().expect("intact");
        let body = writer.finish(course_wide.bytes());
        NewRecord {
            name,
            versions,
            body: body
                .expect("it was stored before")
                .compressed(verified.header().compression()),
        }
    }

    /// Writes a publication durably, as a publish does.
    pub(crate) fn publish(&self, course: &CourseKey, publication: &Publication) {
        let lease = self.manager.lease().expect("joined");
        publish(self.manager.store(), &lease, course, publication);
    }
}

fn publish(store: &Store, lease: &Lease, course: &CourseKey, publication: &Publication) {
    let (base, _) = store.base(lease, course).expect("a base");
    store
        .publish(lease, &base, publication, Durability::Durable)
        .expect("published");
}

/// A module store that makes its courses when they are asked for.
#[derive(Debug)]
struct Generated(Vec<usize>);

impl ModuleStore for Generated {
    fn source_version(&self, course: &CourseKey) -> courseblocks::Result<SourceVersion> {
        // Every generated course has this one.
        let _ = course;
        Ok(SourceVersion::new("v1").expect("short"))
    }

    fn load(&self, course: &CourseKey) -> courseblocks::Result<Course> {
        let run = course.as_str().rsplit_once("+run");
        let number = run.and_then(|(_, number)| number.parse::<usize>().ok());
        let found = number.and_then(|number| Some((number, *self.0.get(number)?)));
        let (number, blocks) =
            found.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no course {course}")))?;
        Ok(fleet::authored_course(number, blocks))
    }
}

/// A store with records of chosen sizes, written by a release that this one is too old for, or
/// too new: what is refused by its header.
pub(crate) struct Headers {
    store: Store,
}

const INTACT: &str = "intact";
const FOREIGN: &str = "foreign";

/// What the records were written with.
const WRITTEN: u32 = 3;

impl Headers {
    /// Makes a store in an empty directory, with one course for each number of bytes. It holds an
    /// intact record and, under another name, the same bytes again.
    pub(crate) fn open(directory: &Path, bytes: &[usize]) -> Self {
        let store = Store::open(directory.join("store")).expect("a store");
        let min_reader = MinReader::new(version(WRITTEN));
        let written = Versions {
            min_reader,
            ..versions(WRITTEN)
        };
        let registration = Registration {
            worker: "peers".to_owned(),
            release: "peers".to_owned(),
            transformers: BTreeMap::from([(INTACT.to_owned(), written)]),
            lasts: Duration::from_hours(1),
        };
        let joined = Fleet::new(&store).join(&registration, Timestamp::MIN);
        let (lease, _) = joined.expect("joined");
        for (number, bytes) in bytes.iter().enumerate() {
            let course = Self::course(number);
            publish(&store, &lease, &course, &of_one_record(written, *bytes));
            let partition = course.as_str().as_bytes();
            let intact = store
                .engine()
                .get(Key::new(Space::Records, partition, INTACT.as_bytes()));
            let intact = intact.expect("a get").expect("a record").to_vec();
            let mut commit = Commit::new();
            commit.put(Space::Records, FOREIGN, intact);
            let engine = store.engine();
            let committed = engine.commit(partition, &commit, Durability::Durable);
            let _ = committed.expect("committed");
        }
        Self { store }
    }

    pub(crate) fn course(number: usize) -> CourseKey {
        CourseKey::course_v1("Peers", "Headers", &format!("run{number}")).expect("valid")
    }

    /// All records as they are stored.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let items = self.store.engine().scan(Space::Records, None);
        let rows = items.map(|item| {
            let item = item.expect("a record");
            Row {
                key: [item.partition(), item.name()].join(&0),
                value: item.value().to_vec(),
            }
        });
        rows.collect()
    }

    /// The key of a course's intact record among [`rows`](Self::rows).
    pub(crate) fn key_of(course: &CourseKey) -> Vec<u8> {
        [course.as_str().as_bytes(), INTACT.as_bytes()].join(&0)
    }

    /// Asks as a release that needs a later version.
    pub(crate) fn is_outdated(&self, course: &CourseKey) -> bool {
        let lookup = self.store.lookup(course, INTACT, &versions(WRITTEN + 1));
        matches!(lookup.expect("a get"), Lookup::Outdated { .. })
    }

    /// Asks as a release that does not know the shape yet.
    pub(crate) fn is_too_new(&self, course: &CourseKey) -> bool {
        let lookup = self.store.lookup(course, INTACT, &versions(1));
        matches!(lookup.expect("a get"), Lookup::TooNew(_))
    }

    /// Asks for a record that is another one's bytes.
    pub(crate) fn is_foreign(&self, course: &CourseKey) -> bool {
        let lookup = self.store.lookup(course, FOREIGN, &versions(WRITTEN));
        matches!(lookup.expect("a get"), Lookup::Damaged(_))
    }
}

fn of_one_record(versions: Versions, bytes: usize) -> Publication {
    const ENTRY: [u8; 64] = [7; 64];
    let entries = bytes.div_ceil(ENTRY.len() + 1);
    let mut column = ColumnWriter::new();
    for _ in 0..entries {
        column.push(&ENTRY).expect("short");
    }
    Publication {
        scope: Scope::Whole,
        source_version: SourceVersion::new("v1").expect("short"),
        origin: None,
        blocks: u32::try_from(entries).expect("few"),
        errors: 0,
        warnings: 0,
        records: vec![NewRecord {
            name: INTACT.to_owned(),
            versions,
            body: column.finish(&[]).expect("short"),
        }],
        failures: Vec::new(),
    }
}

/// READ and WRITE of a release.
fn versions(number: u32) -> Versions {
    Versions::new(ReadVersion::new(number), version(number))
}

fn version(number: u32) -> WriteVersion {
    WriteVersion::new(number).expect("not 0")
}
