//! Reads OLX, the format in which Open edX exports courses: a directory or a `.tar.gz`. Knows
//! files and XML; nothing here knows transformers or stored records.
//!
//! [`read`] makes a [`Course`] of one export, [`OlxModuleStore`] serves many as a
//! [`ModuleStore`](super::ModuleStore), and [`find_courses`] lists the exports below a directory.
//!
//! One broken file costs the blocks below it and is named in the course's
//! [`Report`](super::Report); only a root that cannot be read, or an archive that could do harm, is
//! an error, with a [`Fatal`] as its source. Whatever an export holds, reading it stays within
//! [`Limits`] and inside the export.

mod archive;
mod assembly;
mod beneath;
mod body;
mod dates;
mod detached;
mod directory;
mod drafts;
mod element;
mod fatal;
mod field_types;
mod findings;
mod import;
mod json;
mod limits;
mod partitions;
mod path;
mod policy;
mod reader;
mod settings;
mod source;
mod store;
mod values;
mod xml;

use std::fs;
use std::path::{Path, PathBuf};

pub use fatal::{Fatal, FatalKind};
pub use limits::Limits;
pub use store::OlxModuleStore;

use super::Course;
use crate::error::Result;

/// Reads the course that a directory or `.tar.gz` holds.
///
/// The root file, `course.xml` or `library.xml`, may lie in a directory of the export: the one
/// nearest to the top counts.
///
/// # Errors
/// [`InvalidCourse`](crate::ErrorKind::InvalidCourse), with a [`Fatal`] as source, for what is no
/// course; [`LimitExceeded`](crate::ErrorKind::LimitExceeded) for one that is beyond the limits;
/// [`NotFound`](crate::ErrorKind::NotFound) and [`Storage`](crate::ErrorKind::Storage) for a place
/// that is not there or cannot be read.
pub fn read(place: &Path, limits: &Limits) -> Result<Course> {
    import::import(&source::Source::open(place, limits)?, limits)
}

/// The exports that a place stands for, in the order of their names: the place itself if it is a
/// file or a course, or else every course and every `.tar.gz` below it.
///
/// Links are never followed. The list is empty if there is none.
///
/// # Errors
/// [`NotFound`](crate::ErrorKind::NotFound) and [`Storage`](crate::ErrorKind::Storage) for a place
/// that is not there or cannot be read; [`LimitExceeded`](crate::ErrorKind::LimitExceeded) when
/// more lies below it than a course may hold.
pub fn find_courses(place: &Path, limits: &Limits) -> Result<Vec<PathBuf>> {
    let metadata = fs::metadata(place).map_err(|error| source::refused(place, error))?;
    if metadata.is_dir() {
        directory::find_courses(place, limits)
    } else {
        Ok(vec![place.to_path_buf()])
    }
}
