//! Where courses come from: the trait that a host's own content store implements, and the
//! course that it hands over. Nothing here knows transformers or stored records.

mod course;
#[cfg(feature = "olx")]
pub mod olx;
mod partition;

pub use crate::source_version::SourceVersion;
pub use course::{
    Block, Body, Course, CourseBuilder, DetachedBlock, Draft, DraftRoot, Drafts, OriginalUsage,
    Problem, ProblemKind, Report,
};
pub use partition::{GroupId, PartitionId, UserPartition};

use crate::error::Result;
use crate::key::CourseKey;

/// A source of published courses.
///
/// `collect` reads a whole course through it, once per published version; requests of learners
/// never do.
pub trait ModuleStore: Send + Sync {
    /// The published version of a course, cheaper than loading it.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) for a course that is not here.
    fn source_version(&self, course: &CourseKey) -> Result<SourceVersion>;

    /// The whole published course.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) for a course that is not here,
    /// [`InvalidCourse`](crate::ErrorKind::InvalidCourse) for one that cannot be read as a course
    /// at all. What only damages a part of it is in the course's [`Report`].
    fn load(&self, course: &CourseKey) -> Result<Course>;
}
