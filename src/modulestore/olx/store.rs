//! A module store over OLX exports on disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use super::import;
use super::limits::Limits;
use super::source::Source;
use crate::error::{Error, ErrorKind, Result};
use crate::key::CourseKey;
use crate::modulestore::{Course, ModuleStore, SourceVersion};

/// Courses of which each is an OLX export: a directory or a `.tar.gz`. Every call reads the export
/// as it is then; nothing is kept but the places.
#[derive(Debug, Default)]
pub struct OlxModuleStore {
    limits: Limits,
    places: RwLock<BTreeMap<CourseKey, PathBuf>>,
}

impl OlxModuleStore {
    /// A store without courses, with the default [`Limits`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A store without courses that reads within these limits.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Adds the export at `place`, which takes the place of another one of the same course, and
    /// says which course it is.
    ///
    /// # Errors
    /// As [`read`](super::read()), though only the root file is looked into.
    pub fn insert(&self, place: impl Into<PathBuf>) -> Result<CourseKey> {
        let place = place.into();
        let key = import::identify(&Source::open(&place, &self.limits)?)?.key;
        self.add(key.clone(), place);
        Ok(key)
    }

    /// Adds the export at `place` without looking at it. If it turns out to be of another course
    /// than `key`, that is an error of [`load`](ModuleStore::load).
    pub fn add(&self, key: CourseKey, place: impl Into<PathBuf>) {
        let places = self.places.write();
        places
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, place.into());
    }

    /// The courses, in the order of their keys.
    #[must_use]
    pub fn courses(&self) -> Vec<CourseKey> {
        let places = self.places.read();
        places
            .unwrap_or_else(PoisonError::into_inner)
            .keys()
            .cloned()
            .collect()
    }

    fn open(&self, course: &CourseKey) -> Result<(PathBuf, Source)> {
        let place = {
            let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
            places.get(course).cloned()
        };
        let place = place.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("{course} has no OLX export here"),
            )
        })?;
        let source = Source::open(&place, &self.limits)?;
        Ok((place, source))
    }
}

impl ModuleStore for OlxModuleStore {
    fn source_version(&self, course: &CourseKey) -> Result<SourceVersion> {
        let (_, source) = self.open(course)?;
        source.version()
    }

    fn load(&self, course: &CourseKey) -> Result<Course> {
        let (place, source) = self.open(course)?;
        let loaded = import::import(&source, &self.limits)?;
        if loaded.key() == course {
            Ok(loaded)
        } else {
            Err(another_course(course, loaded.key(), &place))
        }
    }
}

fn another_course(wanted: &CourseKey, found: &CourseKey, place: &Path) -> Error {
    let message = format!("{} is {found}, not {wanted}", place.display());
    Error::new(ErrorKind::InvalidCourse, message)
}
