//! Releases to compare with: transformers that do nothing but remember which version ran, and a
//! module store with one course that is edited, taken away and counted.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use courseblocks::modulestore::{Block, Course, CourseBuilder, ModuleStore, SourceVersion};
use courseblocks::transformer::Collected;
use courseblocks::{
    CourseKey, Error, ErrorKind, FieldValue, ReadVersion, Result, Transformer, UsageKey, Versions,
    WriteVersion,
};

/// READ and WRITE, where a release can have them: WRITE 0 is no version.
pub(crate) fn versions(read: u32, write: u32) -> Option<Versions> {
    WriteVersion::new(write).map(|write| Versions::new(ReadVersion::new(read), write))
}

/// Stores with every block the WRITE version that collected it.
#[derive(Debug)]
pub(crate) struct Versioned {
    pub(crate) name: String,
    pub(crate) versions: Versions,
}

impl Transformer for Versioned {
    type BlockData<'a> = u32;
    type CourseData<'a> = ();

    fn name(&self) -> &str {
        &self.name
    }

    fn versions(&self) -> Versions {
        self.versions
    }

    fn collect(&self, course: &Course) -> Result<Collected<u32, ()>> {
        let structure = course.structure();
        let mut collected = Collected::new(structure.width(), ());
        for block in structure.blocks() {
            collected.set(block, self.versions.write.get());
        }
        Ok(collected)
    }
}

/// A course of a root with three children, and how often it was looked at.
#[derive(Debug)]
pub(crate) struct CountedCourse {
    key: CourseKey,
    now: Mutex<Published>,
    looks: AtomicUsize,
    loads: AtomicUsize,
}

/// Numbers that only grow, and whether the course is there at all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Published {
    pub(crate) version: u32,
    pub(crate) edited_on: u32,
    pub(crate) exists: bool,
}

impl Published {
    pub(crate) fn course_version(self) -> String {
        format!("v{}", self.version)
    }

    pub(crate) fn source_version(self) -> String {
        format!("{} e{}", self.course_version(), self.edited_on)
    }
}

/// The field of the root that says which version of the course it is.
pub(crate) const COURSE_VERSION: &str = "course_version";

impl CountedCourse {
    pub(crate) fn new() -> Self {
        let first = Published {
            version: 1,
            edited_on: 1,
            exists: true,
        };
        Self {
            key: "course-v1:Org+Course+Run".parse().unwrap(),
            now: Mutex::new(first),
            looks: AtomicUsize::new(0),
            loads: AtomicUsize::new(0),
        }
    }

    pub(crate) fn key(&self) -> &CourseKey {
        &self.key
    }

    pub(crate) fn root(&self) -> UsageKey {
        self.key.usage_key("course", "course").unwrap()
    }

    pub(crate) fn now(&self) -> MutexGuard<'_, Published> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads and questions so far.
    pub(crate) fn looks(&self) -> usize {
        self.looks.load(Ordering::Relaxed)
    }

    /// Reads of the whole course so far.
    pub(crate) fn loads(&self) -> usize {
        self.loads.load(Ordering::Relaxed)
    }

    fn look(&self) -> Result<Published> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let now = *self.now();
        if now.exists {
            Ok(now)
        } else {
            Err(Error::new(
                ErrorKind::NotFound,
                format!("no course {}", self.key),
            ))
        }
    }
}

impl ModuleStore for CountedCourse {
    fn source_version(&self, _: &CourseKey) -> Result<SourceVersion> {
        SourceVersion::new(self.look()?.source_version())
    }

    fn load(&self, _: &CourseKey) -> Result<Course> {
        let now = self.look()?;
        self.loads.fetch_add(1, Ordering::Relaxed);
        let version = SourceVersion::new(now.source_version())?;
        let root = self.root();
        let mut course = CourseBuilder::new(self.key.clone(), root.clone(), version);
        let mut block = Block::default();
        let course_version = FieldValue::String(now.course_version());
        block
            .fields
            .insert(COURSE_VERSION.to_owned(), course_version);
        course.define(root.clone(), block);
        for child in ["a", "b", "c"] {
            course.add_child(&root, &self.key.usage_key("chapter", child)?);
        }
        course.build()
    }
}
