//! What a transformer is: the code that collects data from a published course, and later decides
//! with that data alone what one user sees. Nothing here knows where the data is stored.

mod data;
mod erased;
mod outputs;
mod pipeline;
mod registry;
pub mod standard;
mod user;

use serde::{Deserialize, Serialize};

pub use data::{Collected, Data};
#[cfg(feature = "schema")]
pub(crate) use erased::encode;
pub(crate) use erased::{ErasedTransformer, LoadError, LoadedTransformer, Stored};
pub use outputs::{OutputColumn, Outputs, Selection};
pub use pipeline::Transformation;
pub(crate) use pipeline::transform;
pub use registry::{Registry, write_version_hash};
pub use user::{LearnerDates, LearnerMilestones, UserContext};

use crate::error::Result;
use crate::modulestore::Course;
use crate::record::{DecodeError, Entry};
use crate::structure::RemovalFilter;
use crate::version::Versions;

/// How much of a course a transformer looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All of it: the structure and the data are complete, wherever a transformation begins.
    Course,
    /// What the start leads to, and the other parents of those blocks. Nothing else is in the
    /// structure, and data is decoded for no other block.
    Subtree,
}

/// Collects data from a published course, and uses it to decide what one user sees.
///
/// The data has two parts: a value per block (`BlockData`, absent where there is nothing to
/// remember) and one value for the whole course (`CourseData`). Both are stored through serde and
/// bincode, so a schema change is additive when it appends fields to the outermost struct: older
/// readers decode the part that they know and ignore the rest.
///
/// What depends on a user is only in [`UserContext`], which `collect` cannot reach.
///
/// Both may borrow: when they are collected from the course, and when they are read from the record
/// that they are stored in. Decoding a block's title as `&'a str` costs no allocation. Types that
/// own what they hold leave the lifetime aside: `type BlockData<'a> = Words;`.
pub trait Transformer: Sized + Send + Sync + 'static {
    /// What is stored for one block.
    type BlockData<'a>: Serialize + Deserialize<'a> + Send + Sync;
    /// What is stored once for the course.
    type CourseData<'a>: Serialize + Deserialize<'a> + Send + Sync;

    /// The name under which the data is stored. It never changes: it is part of the key.
    fn name(&self) -> &str;

    /// What this code reads and writes. Raise WRITE with every change of the stored types.
    fn versions(&self) -> Versions;

    /// Reads what the transformer needs from the course. Called once per published version.
    ///
    /// # Errors
    /// Whatever keeps the data from being collected. The other transformers are not affected.
    fn collect<'a>(
        &self,
        course: &'a Course,
    ) -> Result<Collected<Self::BlockData<'a>, Self::CourseData<'a>>>;

    /// Decodes one block's data. Override it to convert what an older WRITE version stored, when
    /// the current type no longer decodes it ([`Entry::write_version`] tells which one it is).
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are no such value.
    fn decode_block<'a>(&self, entry: Entry<'a>) -> Result<Self::BlockData<'a>, DecodeError> {
        entry.decode()
    }

    /// Decodes the course's data, as [`decode_block`](Self::decode_block) does a block's.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are no such value.
    fn decode_course<'a>(&self, entry: Entry<'a>) -> Result<Self::CourseData<'a>, DecodeError> {
        entry.decode()
    }

    /// How much of a course this transformer looks at when a transformation begins at a block below
    /// the root. A transformation costs what that block leads to, if all of its transformers agree.
    fn reach(&self) -> Reach {
        Reach::Course
    }

    /// A *filtering* transformer answers with its filters, or with none where this user may see
    /// everything. All filters run in one shared traversal before any other transformer runs, so
    /// a filtering transformer's [`transform`](Self::transform) is never called.
    ///
    /// The conditions are asked once per block, top down, and own all that they need: they cannot
    /// see the structure while it changes.
    fn filters<'a>(
        &'a self,
        data: &'a Data<Self::BlockData<'_>, Self::CourseData<'_>>,
        transformation: &mut Transformation<'_>,
    ) -> Option<Vec<RemovalFilter<'a>>> {
        let _ = (data, transformation);
        None
    }

    /// Changes the structure for one user, or attaches values to blocks.
    ///
    /// # Errors
    /// Whatever makes the result unusable; the whole transformation then fails.
    fn transform(
        &self,
        data: &Data<Self::BlockData<'_>, Self::CourseData<'_>>,
        transformation: &mut Transformation<'_>,
    ) -> Result<()> {
        let _ = (data, transformation);
        Ok(())
    }
}
