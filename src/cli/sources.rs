//! Where the command line finds courses: each is read again from where it was imported from.
//! Knows origins, not what is done with a course.

use std::path::{self, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, ErrorKind, Result};
use crate::key::CourseKey;
use crate::modulestore::olx::{self, Limits, OlxModuleStore};
use crate::modulestore::{Course, ModuleStore, SourceVersion};
use crate::store::Store;

/// The module store of the command line.
pub(super) struct Sources {
    store: Arc<Store>,
    exports: OlxModuleStore,
    /// A course that is being imported. It was read to learn its key; this saves reading it again.
    held: Mutex<Option<Course>>,
}

impl Sources {
    /// The sources of all courses of a store.
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            exports: OlxModuleStore::new(),
            held: Mutex::new(None),
        }
    }

    /// Takes a course that was just read. It goes before what the store knows of its origin.
    pub(super) fn hold(&self, course: Course) {
        *self.held() = Some(course);
    }

    fn with_held<R>(&self, key: &CourseKey, answer: impl FnOnce(&Course) -> R) -> Option<R> {
        let held = self.held();
        held.as_ref()
            .filter(|course| course.key() == key)
            .map(answer)
    }

    fn held(&self) -> MutexGuard<'_, Option<Course>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the course read from where it was imported from.
    fn read<R>(
        &self,
        key: &CourseKey,
        read: impl FnOnce(&OlxModuleStore) -> Result<R>,
    ) -> Result<(R, String)> {
        let entry = self.store.course(key).map_err(|error| {
            let message = format!("nothing tells where {key} comes from any more; `import` it");
            Error::new(error.kind(), message).with_source(error)
        })?;
        let entry = entry.ok_or_else(|| not_stored(key))?;
        let origin = entry.origin().ok_or_else(|| {
            let message = format!("{key} was stored without its origin; `import` it");
            Error::new(ErrorKind::NotFound, message)
        })?;
        self.exports.add(key.clone(), origin);
        let read = read(&self.exports).map_err(|error| {
            let advice = "if it has moved, `import` it from its new place";
            let message = format!("the source of {key} is not usable ({advice})");
            Error::new(of_source(error.kind()), message).with_source(error)
        })?;
        Ok((read, origin.to_owned()))
    }
}

impl ModuleStore for Sources {
    fn source_version(&self, course: &CourseKey) -> Result<SourceVersion> {
        if let Some(version) = self.with_held(course, |held| held.source_version().clone()) {
            return Ok(version);
        }
        let (version, _) = self.read(course, |exports| exports.source_version(course))?;
        Ok(version)
    }

    fn load(&self, course: &CourseKey) -> Result<Course> {
        if let Some(held) = self.with_held(course, Course::clone) {
            return Ok(held);
        }
        let (loaded, origin) = self.read(course, |exports| exports.load(course))?;
        Ok(loaded.with_origin(origin))
    }
}

/// The course at a place, which is its origin from now on.
pub(super) fn read(place: &Path) -> Result<Course> {
    let course = olx::read(place, &Limits::default()).map_err(|error| {
        let message = "it cannot be imported";
        Error::new(of_source(error.kind()), message).with_source(error)
    })?;
    // An origin is text. A place whose name is none is not found again, and `update` says so.
    let origin = path::absolute(place).ok();
    Ok(match origin.as_deref().and_then(Path::to_str) {
        Some(origin) => course.with_origin(origin),
        None => course,
    })
}

/// The exports at a place: itself, or all that lie in that directory.
pub(super) fn find(place: &Path) -> Result<Vec<PathBuf>> {
    olx::find_courses(place, &Limits::default()).map_err(|error| {
        Error::new(of_source(error.kind()), "it cannot be searched").with_source(error)
    })
}

/// What is said of a course that is asked for and not there.
pub(super) fn not_stored(key: &CourseKey) -> Error {
    let message = format!("{key} is not stored; `courses` lists what is, `import` adds to it");
    Error::new(ErrorKind::NotFound, message)
}

/// A source that the operating system refuses is one course's trouble, not the store's.
fn of_source(kind: ErrorKind) -> ErrorKind {
    match kind {
        ErrorKind::Storage => ErrorKind::InvalidCourse,
        kind => kind,
    }
}
