//! A module store for stores from which nothing may have to be collected.

use courseblocks::modulestore::{Course, ModuleStore, SourceVersion};
use courseblocks::{CourseKey, Error, ErrorKind, Result};

pub(crate) struct NoSource;

impl ModuleStore for NoSource {
    fn source_version(&self, course: &CourseKey) -> Result<SourceVersion> {
        Err(would_be_collected(course))
    }

    fn load(&self, course: &CourseKey) -> Result<Course> {
        Err(would_be_collected(course))
    }
}

fn would_be_collected(course: &CourseKey) -> Error {
    let message = format!("{course} would have to be collected");
    Error::new(ErrorKind::NotFound, message)
}
