//! What runs: releases with the versions of their transformers, and the courses that a host
//! publishes. Every record tells what it was collected from, and by which version.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use courseblocks::engine::MemoryEngine;
use courseblocks::modulestore::{Course, CourseBuilder, ModuleStore, SourceVersion};
use courseblocks::record::{Body, ColumnWriter};
use courseblocks::transformer::Collected;
use courseblocks::{
    BLOCKS, CourseKey, Error, ErrorKind, Lookup, Manager, MinReader, NewRecord, Publication,
    ReadVersion, Registry, Result, STRUCTURE, Scope, Store, Timestamp, Transformer, UpdateOptions,
    Versions, WriteVersion,
};
use serde::{Deserialize, Serialize};

use super::fibers::{self, Place};

/// A transformer whose READ and WRITE are raised, and one that is introduced and given up.
pub(crate) const TRANSFORMERS: [&str; 2] = ["t", "u"];

pub(crate) const COURSES: usize = 3;

/// The last release that has both transformers, and the one before it: they write the same
/// versions, but only the last one needs readers that know the new shape.
pub(crate) const WITH_BOTH: (usize, usize) = (5, 3);

/// The last release, which has given up the second transformer, and the one before it.
pub(crate) const WITHOUT_SECOND: (usize, usize) = (6, 4);

/// READ, WRITE and `min_reader`; `None` where a release does not have the transformer.
type Numbers = Option<(u32, u32, u32)>;

/// What each release is called, and what it does with each transformer.
const RELEASES: [(&str, [Numbers; TRANSFORMERS.len()]); 7] = [
    ("a", [Some((1, 1, 1)), None]),
    ("b", [Some((1, 2, 1)), Some((0, 1, 1))]),
    ("c", [Some((2, 3, 1)), Some((1, 1, 1))]),
    ("d", [Some((3, 3, 3)), Some((1, 2, 1))]),
    ("e", [Some((3, 4, 3)), None]),
    ("f", [Some((2, 3, 1)), Some((1, 2, 1))]),
    ("g", [Some((2, 3, 1)), None]),
];

pub(crate) struct Release {
    pub(crate) label: &'static str,
    pub(crate) registry: Arc<Registry>,
    versions: [Option<Versions>; 2],
}

impl Release {
    pub(crate) fn versions(&self, transformer: usize) -> Option<Versions> {
        self.versions[transformer]
    }

    /// The names of its transformers.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let names = TRANSFORMERS.iter().zip(&self.versions);
        let names = names.filter(|(_, versions)| versions.is_some());
        names.map(|(name, _)| *name).collect()
    }
}

/// All releases.
pub(crate) static ALL: LazyLock<Vec<Release>> = LazyLock::new(|| {
    let releases = RELEASES.iter().map(|(label, versions)| {
        let versions = versions.map(|versions| {
            versions.map(|(read, write, min_reader)| Versions {
                read: ReadVersion::new(read),
                write: version(write),
                min_reader: MinReader::new(version(min_reader)),
            })
        });
        let mut registry = Registry::new();
        for (name, versions) in TRANSFORMERS.into_iter().zip(versions) {
            if let Some(versions) = versions {
                let stamp = Stamp { name, versions };
                registry.register(stamp).expect("a new name");
            }
        }
        Release {
            label,
            registry: Arc::new(registry),
            versions,
        }
    });
    releases.collect()
});

pub(crate) static KEYS: LazyLock<[CourseKey; COURSES]> = LazyLock::new(|| {
    let key = |run: usize| format!("course-v1:Org+Course+{run}").parse();
    std::array::from_fn(|run| key(run).expect("a course key"))
});

pub(crate) fn version(version: u32) -> WriteVersion {
    WriteVersion::new(version).expect("not 0")
}

/// What a transformer stores for the course: the content, and the version of its code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamped {
    pub(crate) source: String,
    pub(crate) write: u32,
}

struct Stamp {
    name: &'static str,
    versions: Versions,
}

impl Transformer for Stamp {
    type BlockData<'a> = u32;
    type CourseData<'a> = Stamped;

    fn name(&self) -> &str {
        self.name
    }

    fn versions(&self) -> Versions {
        self.versions
    }

    fn collect(&self, course: &Course) -> Result<Collected<u32, Stamped>> {
        let source = course.source_version().to_string();
        if source.ends_with(self.name) {
            let message = format!("{} cannot collect {source}", self.name);
            return Err(Error::new(ErrorKind::Transformer, message));
        }
        let write = self.versions.write.get();
        let stamped = Stamped { source, write };
        let mut collected = Collected::new(course.structure().width(), stamped);
        for block in course.structure().blocks() {
            collected.set(block, write);
        }
        Ok(collected)
    }
}

/// What a host has published of a course. Numbers grow and are not used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Content {
    /// 0 before the first one.
    pub(crate) number: u32,
    pub(crate) is_there: bool,
    /// Which transformer cannot collect it.
    pub(crate) fails: Option<usize>,
}

impl Content {
    fn source(self) -> String {
        let fails = self.fails.map_or("", |fails| TRANSFORMERS[fails]);
        format!("{}{fails}", self.number)
    }
}

/// The number of the content that a course was collected from.
pub(crate) fn content_number(source: &SourceVersion) -> u32 {
    let number = source.as_str().trim_end_matches(char::is_alphabetic);
    number.parse().expect("a content number")
}

/// What a host has published.
#[derive(Debug, Default)]
pub(crate) struct Contents([Mutex<Content>; COURSES]);

impl Contents {
    pub(crate) fn of(&self, course: usize) -> Content {
        *self.lock(course)
    }

    pub(crate) fn edit(&self, course: usize, fails: Option<usize>) {
        let mut content = self.lock(course);
        content.number += 1;
        content.is_there = true;
        content.fails = fails;
    }

    pub(crate) fn take_away(&self, course: usize) {
        self.lock(course).is_there = false;
    }

    fn lock(&self, course: usize) -> MutexGuard<'_, Content> {
        self.0[course]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn published(&self, key: &CourseKey) -> Result<Content> {
        // A host's own database: a call that may take its time, but that does not fail here.
        let _ = fibers::pass(Place::Open);
        let course = KEYS.iter().position(|known| known == key);
        let content = course.map(|course| self.of(course));
        content
            .filter(|content| content.is_there)
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no course {key}")))
    }
}

impl ModuleStore for Contents {
    fn source_version(&self, key: &CourseKey) -> Result<SourceVersion> {
        SourceVersion::new(self.published(key)?.source())
    }

    fn load(&self, key: &CourseKey) -> Result<Course> {
        build(key, self.published(key)?)
    }
}

/// A root with one or two children that tell the content.
fn build(key: &CourseKey, content: Content) -> Result<Course> {
    let root = key.usage_key("course", "course")?;
    let source = content.source();
    let version = SourceVersion::new(source.as_str())?;
    let mut course = CourseBuilder::new(key.clone(), root.clone(), version);
    for child in 0..=content.number % 2 {
        course.add_child(&root, &key.usage_key("html", &format!("{source}-{child}"))?);
    }
    course.build()
}

/// What a release collects from the content that is published now, made without a manager.
pub(crate) fn collect(
    release: &Release,
    contents: &Contents,
    course: usize,
    scope: Scope,
) -> Result<Publication> {
    let key = &KEYS[course];
    let content = contents.published(key)?;
    let source = content.source();
    let blocks = content.number % 2 + 2;
    let mut publication = Publication {
        scope,
        source_version: SourceVersion::new(source.as_str())?,
        origin: None,
        blocks,
        errors: 0,
        warnings: 0,
        records: Vec::new(),
        failures: Vec::new(),
    };
    for (transformer, name) in TRANSFORMERS.into_iter().enumerate() {
        let Some(versions) = release.versions(transformer) else {
            continue;
        };
        if content.fails == Some(transformer) {
            let failure = (name.to_owned(), versions, "it cannot".to_owned());
            publication.failures.push(failure);
            continue;
        }
        let write = versions.write.get();
        let mut column = ColumnWriter::new();
        for _ in 0..blocks {
            column.push_value(&write)?;
        }
        let source = source.clone();
        publication.records.push(NewRecord {
            name: name.to_owned(),
            versions,
            body: column.finish_value(&Stamped { source, write })?,
        });
    }
    if scope == Scope::Whole {
        publication.records.extend(own_records(course, content)?);
    }
    Ok(publication)
}

type OwnRecords = Mutex<HashMap<(usize, Content), Vec<(&'static str, Versions, Body)>>>;

/// The store's own records of a course, as the library makes them.
fn own_records(course: usize, content: Content) -> Result<Vec<NewRecord>> {
    static KNOWN: LazyLock<OwnRecords> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let made = match known.entry((course, content)) {
        std::collections::hash_map::Entry::Occupied(made) => made.into_mut(),
        std::collections::hash_map::Entry::Vacant(place) => {
            place.insert(make_own_records(&KEYS[course], content)?)
        }
    };
    let made = made.iter().map(|(name, versions, body)| NewRecord {
        name: (*name).to_owned(),
        versions: *versions,
        body: body.clone(),
    });
    Ok(made.collect())
}

fn make_own_records(
    key: &CourseKey,
    content: Content,
) -> Result<Vec<(&'static str, Versions, Body)>> {
    struct One(Content);
    impl ModuleStore for One {
        fn source_version(&self, _: &CourseKey) -> Result<SourceVersion> {
            SourceVersion::new(self.0.source())
        }
        fn load(&self, key: &CourseKey) -> Result<Course> {
            build(key, self.0)
        }
    }
    let store = Arc::new(Store::with_engine(Arc::new(MemoryEngine::new())));
    let registry = Arc::new(Registry::new());
    let manager = Manager::new(Arc::clone(&store), registry, Arc::new(One(content)));
    let lasts = std::time::Duration::from_secs(1);
    manager.join("maker", "maker", lasts, Timestamp::MIN)?;
    manager.update(key, &UpdateOptions::default())?;
    let versions = Versions::new(ReadVersion::new(1), WriteVersion::FIRST);
    let mut made = Vec::new();
    for name in [STRUCTURE, BLOCKS] {
        let Lookup::Fresh(record) = store.lookup(key, name, &versions)? else {
            unreachable!("it was just stored");
        };
        let mut column = ColumnWriter::new();
        for entry in record.column()?.verify()?.entries() {
            match entry? {
                Some(entry) => column.push(entry.bytes())?,
                None => column.push_absent()?,
            }
        }
        let body = column.finish(record.column()?.course_wide()?.bytes())?;
        made.push((name, versions, body));
    }
    Ok(made)
}
