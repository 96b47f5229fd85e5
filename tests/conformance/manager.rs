//! Sequences of calls on the original's manager, which has a cache in front of a storage, against
//! ours, which has one store. Knows where ours differs on purpose, and why.

use std::collections::BTreeMap;
use std::sync::Arc;

use courseblocks::engine::{Commit, CommitOutcome, Durability, Engine, MemoryEngine, Space};
use courseblocks::modulestore::Course;
use courseblocks::transformer::{Collected, write_version_hash};
use courseblocks::{
    CollectedCourse, CourseEntry, ErrorKind, FieldValue, Force, Manager, Registry, Result, Store,
    Transformer, UpdateOptions, Versions,
};
use serde_json::{Value, json};

use crate::joined::{joined, lease_for};
use crate::release::{COURSE_VERSION, CountedCourse, Versioned, versions};
use crate::report::Report;

/// Where ours answers otherwise than the original. Each says what the original does, when that
/// counts, and what ours must do instead: see [`Sequence::deviation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deviation {
    /// The original collects on every read while a READ is above its WRITE, and serves what it
    /// has just declared unreadable. Ours refuses to register such a transformer, so there is no
    /// release to ask.
    ReadAboveWrite,
    /// The original keeps no copy of what is too large for its cache, or with no files to keep,
    /// and collects on every read (faults 6 and 7). Ours keeps every course until it is deleted,
    /// so it serves what it has.
    NoCopyKept,
    /// The original's classes have a version that can be raised while it runs, and an update then
    /// collects. Ours is a constant of the release: its records are current.
    StructureVersion,
    /// The original learns a course's version from collected fields; where no transformer asks
    /// for them, every update collects. Ours asks the module store, and sees that nothing changed.
    VersionNotCollected,
}

impl Deviation {
    fn reason(self) -> &'static str {
        match self {
            Self::ReadAboveWrite => "READ above WRITE is refused at registration",
            Self::NoCopyKept => "what was collected is kept, whatever its size",
            Self::StructureVersion => "the structure's schema changes with a release only",
            Self::VersionNotCollected => "the module store knows the version of a course",
        }
    }
}

/// Compares every sequence of `vectors`, the content of versions.json.
///
/// Not compared, because ours has nothing like it: `cache_sets`, `files`, and the row's
/// `block_structure_schema_version`.
pub(crate) fn run(vectors: &Value, report: &mut Report) {
    for vector in vectors["manager"].as_array().into_iter().flatten() {
        let mut sequence = Sequence::new(vector);
        for (number, step) in vector["steps"].as_array().into_iter().flatten().enumerate() {
            let name = format!("{} step {number}", vector["id"]);
            sequence.step(&name, step, report);
        }
    }
}

/// Both managers at one point of a sequence: ours as it is, the original's as far as it tells.
struct Sequence {
    engine: Arc<MemoryEngine>,
    store: Arc<Store>,
    course: Arc<CountedCourse>,
    /// READ and WRITE of t1 and t2.
    versions: BTreeMap<String, (u32, u32)>,
    version_is_collected: bool,
    structure_version: u64,
    original: Copies,
}

/// Where the original has the course's data.
#[derive(Debug, Default)]
struct Copies {
    row: Value,
    cache: Cache,
    files: u64,
    /// The last collect left no copy behind.
    none_was_kept: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Cache {
    #[default]
    Empty,
    Intact,
    Undecodable,
}

impl Copies {
    /// An undecodable copy in the cache hides those in files.
    fn is_readable(&self) -> bool {
        match self.cache {
            _ if self.row.is_null() => false,
            Cache::Intact => true,
            Cache::Undecodable => false,
            Cache::Empty => self.files > 0,
        }
    }

    fn are_lost(&self) -> bool {
        !self.row.is_null() && !self.is_readable() && !self.none_was_kept
    }

    fn follow(&mut self, step: &Value) {
        let collected = step["collected"] != 0;
        let cached = step["cache_sets"] != 0;
        if collected && self.row != step["row"] {
            self.cache = Cache::Empty;
        }
        match step["op"].as_str() {
            Some("corrupt_cache") if self.cache == Cache::Intact => self.cache = Cache::Undecodable,
            Some("evict_cache") => self.cache = Cache::Empty,
            Some("clear") if step.get("error").is_none() => self.cache = Cache::Empty,
            _ if cached => self.cache = Cache::Intact,
            _ => {}
        }
        self.row = step["row"].clone();
        self.files = step["files"].as_u64().unwrap();
        if collected || self.row.is_null() {
            self.none_was_kept = !self.is_readable();
        }
    }
}

impl Sequence {
    fn new(vector: &Value) -> Self {
        let engine = Arc::new(MemoryEngine::new());
        Self {
            store: Arc::new(Store::with_engine(engine.clone())),
            engine,
            course: Arc::new(CountedCourse::new()),
            versions: ["t1", "t2"].map(|name| (name.to_owned(), (1, 1))).into(),
            version_is_collected: vector["root_version_fields_collected"].as_bool().unwrap(),
            structure_version: vector["structure_version_at_start"].as_u64().unwrap(),
            original: Copies::default(),
        }
    }

    fn step(&mut self, name: &str, step: &Value, report: &mut Report) {
        let op = step["op"].as_str().unwrap();
        match op {
            "edit_version" => self.course.now().version += 1,
            "edit_timestamp" => self.course.now().edited_on += 1,
            "delete_course" => {
                let mut now = self.course.now();
                now.exists = !now.exists;
                report.compare(
                    "manager delete_course",
                    name,
                    &step["exists"],
                    &json!(now.exists),
                );
            }
            "bump_structure_version" => self.structure_version += 1,
            // Told by the versions that stand in every step, or the original's business alone.
            "bump_read" | "bump_write" | "grow" | "shrink" | "evict_cache" | "corrupt_cache"
            | "drop_files" => {}
            "clear" => self.compare_clear(name, step, report),
            "get_collected" | "update_if_needed" => self.compare_call(name, op, step, report),
            other => report.skip("manager", &format!("unknown operation {other}")),
        }
        for (name, versions) in &mut self.versions {
            let vector = &step["versions"][name];
            let number = |at: usize| u32::try_from(vector[at].as_u64().unwrap()).unwrap();
            *versions = (number(0), number(1));
        }
        self.original.follow(step);
        self.compare_state(name, step, report);
    }

    fn compare_clear(&self, name: &str, step: &Value, report: &mut Report) {
        let looks = self.course.looks();
        let error = if self
            .store
            .delete(&lease_for(&self.store, []), self.course.key())
            .unwrap()
        {
            Value::Null
        } else {
            json!("BlockStructureNotFound")
        };
        let got = json!({ "error": error, "read_modulestore": self.course.looks() > looks });
        report.compare("manager clear", name, &relevant(step, &got), &got);
    }

    fn compare_call(&mut self, name: &str, op: &str, step: &Value, report: &mut Report) {
        let got = if op == "get_collected" {
            self.with_lost_copies(Self::get_collected)
        } else {
            self.update()
        };
        let kind = format!("manager {op}");
        let wanted = relevant(step, &got);
        if wanted == got {
            report.pass(&kind);
            return;
        }
        match self.deviation(op) {
            Some((deviation, instead)) if instead == got => {
                report.differ(&format!("manager deviation: {}", deviation.reason()));
            }
            _ => report.fail(&kind, name, wanted, got),
        }
        if step["collected"] != 0 {
            self.catch_up();
        }
    }

    /// Which deviation may explain that ours differs, and what ours must answer then.
    fn deviation(&self, op: &str) -> Option<(Deviation, Value)> {
        if op == "get_collected" {
            if self.release().is_none() {
                return Some((Deviation::ReadAboveWrite, json!({ "refused": true })));
            }
            // Ours serves what it has, older or not than what the original has just collected.
            let row = &self.original.row;
            let served = json!({
                "error": null,
                "collected": false,
                "read_modulestore": false,
                "t1_written_with": self.stored_version("t1"),
                "root_data_version": if self.version_is_collected {
                    row["data_version"].clone()
                } else {
                    Value::Null
                },
            });
            let none_was_kept = self.original.none_was_kept && !row.is_null();
            return none_was_kept.then_some((Deviation::NoCopyKept, served));
        }
        let nothing_to_do = json!({ "error": null, "collected": false, "read_modulestore": true });
        let row_version = &self.original.row["block_structure_schema_version"];
        if !self.version_is_collected {
            Some((Deviation::VersionNotCollected, nothing_to_do))
        } else if *row_version != json!(self.structure_version.to_string()) {
            Some((Deviation::StructureVersion, nothing_to_do))
        } else {
            None
        }
    }

    fn get_collected(&self) -> Value {
        let Some(manager) = self.release() else {
            return json!({ "refused": true });
        };
        let (looks, loads) = (self.course.looks(), self.course.loads());
        let names: Vec<_> = manager.registry().names().collect();
        let collected = manager.get_collected(self.course.key(), &names);
        let mut got = json!({
            "error": error_of(collected.as_ref().map(drop)),
            "collected": self.course.loads() > loads,
            "read_modulestore": self.course.looks() > looks,
        });
        if let Ok(collected) = &collected {
            got["t1_written_with"] = root_data::<u32>(collected, "t1");
            got["root_data_version"] = root_data::<Option<String>>(collected, VERSIONS_OF_ROOT);
        }
        got
    }

    fn update(&self) -> Value {
        // An update looks at WRITE alone, so an impossible READ does not keep it from running.
        let manager = self
            .manager(|read, write| (read.min(write), write))
            .unwrap();
        let (looks, loads) = (self.course.looks(), self.course.loads());
        let updated = manager.update(self.course.key(), &UpdateOptions::default());
        json!({
            "error": error_of(updated.as_ref().map(drop)),
            "collected": self.course.loads() > loads,
            "read_modulestore": self.course.looks() > looks,
        })
    }

    /// After a deviation, so that the steps that follow can be compared.
    fn catch_up(&self) {
        let manager = self
            .manager(|read, write| (read.min(write), write))
            .unwrap();
        let options = UpdateOptions {
            force: Force::Everything,
            ..UpdateOptions::default()
        };
        manager.update(self.course.key(), &options).unwrap();
    }

    /// The release as it is now; `None` where the registry refuses it.
    fn release(&self) -> Option<Manager> {
        self.manager(|read, write| (read, write))
    }

    fn manager(&self, adapt: impl Fn(u32, u32) -> (u32, u32)) -> Option<Manager> {
        let mut registry = Registry::new();
        for (name, (read, write)) in &self.versions {
            let (read, write) = adapt(*read, *write);
            let versions = versions(read, write).unwrap();
            let registered = registry.register(Versioned {
                name: name.clone(),
                versions,
            });
            match registered {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Registry => return None,
                Err(error) => panic!("{name}: {error}"),
            }
        }
        let is_collected = self.version_is_collected;
        registry.register(VersionsOfRoot { is_collected }).unwrap();
        Some(joined(Manager::new(
            Arc::clone(&self.store),
            Arc::new(registry),
            self.course.clone(),
        )))
    }

    fn entry(&self) -> Option<CourseEntry> {
        self.store.course(self.course.key()).unwrap()
    }

    fn stored_version(&self, name: &str) -> Option<u32> {
        let entry = self.entry()?;
        Some(entry.record(name)?.header().write_version().get())
    }

    /// What the original has lost ours loses too: every record, but not the row. When nothing was
    /// collected they are put back, because the original's may come back.
    fn with_lost_copies<T>(&self, call: impl FnOnce(&Self) -> T) -> T {
        if !self.original.are_lost() {
            return call(self);
        }
        let partition = self.course.key().as_str().as_bytes();
        let records = || {
            self.engine
                .scan(Space::Records, Some(partition))
                .map(|item| {
                    let item = item.unwrap();
                    (item.name().to_vec(), item.value().as_ref().to_vec())
                })
        };
        let before: Vec<_> = records().collect();
        let (mut lose, mut put_back) = (Commit::new(), Commit::new());
        for (name, bytes) in &before {
            if self.original.cache == Cache::Undecodable {
                let mut damaged = bytes.clone();
                *damaged.last_mut().unwrap() ^= 1;
                lose.put(Space::Records, name.as_slice(), damaged);
            } else {
                lose.delete(Space::Records, name.as_slice());
            }
            put_back.put(Space::Records, name.as_slice(), bytes.clone());
        }
        let entry = self.entry();
        self.commit(&lose);
        let outcome = call(self);
        if self.entry() == entry {
            self.commit(&put_back);
        }
        outcome
    }

    fn commit(&self, commit: &Commit) {
        let partition = self.course.key().as_str().as_bytes();
        let outcome = self
            .engine
            .commit(partition, commit, Durability::Buffered)
            .unwrap();
        assert!(matches!(outcome, CommitOutcome::Applied));
    }

    /// What is stored, as the original's row tells it.
    fn compare_state(&self, name: &str, step: &Value, report: &mut Report) {
        let mut wanted = step["row"].clone();
        let got = self.entry().map_or(Value::Null, |entry| {
            let transformers = entry
                .records()
                .iter()
                .filter(|record| !record.name().starts_with('@'));
            let hash = write_version_hash(
                transformers.map(|record| (record.name(), record.header().write_version())),
            );
            let (version, edited_on) = entry.source_version().as_str().split_once(' ').unwrap();
            json!({
                "data_version": version,
                "data_edit_timestamp": edited_on,
                "transformers_schema_version": hash,
            })
        });
        let mut is_told = true;
        if let Some(row) = wanted.as_object_mut() {
            row.remove("block_structure_schema_version");
            is_told = self.version_is_collected;
            if !is_told {
                for field in ["data_version", "data_edit_timestamp"] {
                    assert_eq!(row[field], Value::Null);
                    row.insert(field.to_owned(), got[field].clone());
                }
            }
        }
        if wanted != got {
            report.fail("manager state", name, wanted, got);
        } else if is_told {
            report.pass("manager state");
        } else {
            let reason = Deviation::VersionNotCollected.reason();
            report.differ(&format!("manager deviation: {reason} (state)"));
        }
    }
}

/// The part of a step's expectation that is about what was `got`, absent being null, and numbers
/// of collects being whether there was one.
fn relevant(step: &Value, got: &Value) -> Value {
    let got = got.as_object().unwrap();
    let wanted = got.keys().map(|name| {
        let wanted = match name.as_str() {
            "collected" => json!(step["collected"] != 0),
            name => step.get(name).cloned().unwrap_or_default(),
        };
        (name.clone(), wanted)
    });
    Value::Object(wanted.collect())
}

fn error_of(outcome: Result<(), &courseblocks::Error>) -> Value {
    match outcome {
        Ok(()) => Value::Null,
        Err(error) if error.kind() == ErrorKind::NotFound => json!("ItemNotFoundError"),
        Err(error) => json!(error.to_string()),
    }
}

fn root_data<T>(collected: &CollectedCourse, name: &str) -> Value
where
    T: serde::de::DeserializeOwned + serde::Serialize,
{
    let root = collected.structure().root();
    let column = collected.record(name).unwrap().column();
    let entry = column.entries().nth(root.as_usize()).unwrap().unwrap();
    entry.map_or(Value::Null, |entry| json!(entry.decode::<T>().unwrap()))
}

const VERSIONS_OF_ROOT: &str = "versions_of_root";

/// Collects the version of the course, or does not.
struct VersionsOfRoot {
    is_collected: bool,
}

impl Transformer for VersionsOfRoot {
    type BlockData<'a> = Option<String>;
    type CourseData<'a> = ();

    fn name(&self) -> &str {
        VERSIONS_OF_ROOT
    }

    fn versions(&self) -> Versions {
        versions(1, 1).unwrap()
    }

    fn collect(&self, course: &Course) -> Result<Collected<Option<String>, ()>> {
        let mut collected = Collected::new(course.structure().width(), ());
        if self.is_collected {
            let root = course.structure().root();
            let version = course
                .field(root, COURSE_VERSION)
                .and_then(FieldValue::as_str);
            collected.set(root, version.map(str::to_owned));
        }
        Ok(collected)
    }
}
