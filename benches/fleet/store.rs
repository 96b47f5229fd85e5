//! A store with generated courses, collected by the stock transformers.

use std::sync::Arc;

use courseblocks::modulestore::{Course, ModuleStore};
use courseblocks::{
    BlockIndex, CourseKey, Error, ErrorKind, Manager, Registry, Result, SourceVersion, Store,
    UpdateOptions, UsageKey, UserContext,
};

use super::{authored_course, join, key};

/// Courses of chosen sizes in a store of their own.
pub(crate) struct Fleet {
    pub(crate) manager: Manager,
    pub(crate) courses: Vec<CourseKey>,
    _directory: tempfile::TempDir,
}

impl Fleet {
    /// Collects one course for each number of blocks. A manager that keeps no decoded structures is
    /// one with 0 bytes for them.
    pub(crate) fn new(sizes: &[usize], structure_cache_bytes: u64) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Arc::new(Store::open(directory.path().join("store")).expect("a store"));
        let generated = Arc::new(Generated(sizes.to_vec()));
        let manager = Manager::new(store, Arc::new(Registry::standard()), generated)
            .structure_cache_bytes(structure_cache_bytes);
        join(&manager);
        let courses: Vec<_> = (0..sizes.len()).map(key).collect();
        for course in &courses {
            let updated = manager.update(course, &UpdateOptions::default());
            assert!(updated.expect("collected").failures.is_empty());
        }
        Self {
            manager,
            courses,
            _directory: directory,
        }
    }

    /// All blocks of a course.
    pub(crate) fn blocks(&self, course: &CourseKey) -> Vec<UsageKey> {
        let collected = self.manager.get_collected(course, &[]).expect("a course");
        collected.structure().keys().as_slice().to_vec()
    }

    /// A vertical that a user sees, with what is in it.
    pub(crate) fn open_unit(&self, course: &CourseKey, user: &UserContext) -> UsageKey {
        let names = ["visibility", "start_date"];
        let seen = self.manager.get_transformed(course, &names, user, None);
        let structure = seen.expect("a structure").structure;
        let is_unit = |block: &BlockIndex| {
            structure.key(*block).block_type() == "vertical"
                && structure.children(*block).count() > 1
        };
        let unit = structure.blocks().find(is_unit);
        structure.key(unit.expect("a vertical")).clone()
    }
}

/// A module store that makes its courses when they are asked for.
#[derive(Debug)]
struct Generated(Vec<usize>);

impl ModuleStore for Generated {
    fn source_version(&self, _: &CourseKey) -> Result<SourceVersion> {
        SourceVersion::new("v1")
    }

    fn load(&self, course: &CourseKey) -> Result<Course> {
        let run = course.as_str().rsplit_once("+run");
        let number = run.and_then(|(_, number)| number.parse::<usize>().ok());
        let found = number.and_then(|number| Some((number, *self.0.get(number)?)));
        let (number, blocks) =
            found.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no course {course}")))?;
        Ok(authored_course(number, blocks))
    }
}
