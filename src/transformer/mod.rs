//! What a transformer is: the code that collects data from a published course, and later decides
//! with that data alone what one user sees. Nothing here knows where the data is stored.

mod data;
mod erased;
mod outputs;
mod pipeline;
mod registry;
pub mod standard;
mod user;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use data::{Collected, Data};
#[cfg(feature = "schema")]
pub(crate) use erased::encode;
pub(crate) use erased::{ErasedTransformer, LoadedTransformer};
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

/// Collects data from a published course, and uses it to decide what one user sees.
///
/// The data has two parts: a value per block (`BlockData`, absent where there is nothing to
/// remember) and one value for the whole course (`CourseData`). Both are stored through serde and
/// bincode, so a schema change is additive when it appends fields to the outermost struct: older
/// readers decode the part that they know and ignore the rest.
///
/// What depends on a user is only in [`UserContext`], which `collect` cannot reach.
pub trait Transformer: Send + Sync + 'static {
    /// What is stored for one block.
    type BlockData: Serialize + DeserializeOwned + Send + Sync;
    /// What is stored once for the course.
    type CourseData: Serialize + DeserializeOwned + Send + Sync;

    /// The name under which the data is stored. It never changes: it is part of the key.
    fn name(&self) -> &str;

    /// What this code reads and writes. Raise WRITE with every change of the stored types.
    fn versions(&self) -> Versions;

    /// Reads what the transformer needs from the course. Called once per published version.
    ///
    /// # Errors
    /// Whatever keeps the data from being collected. The other transformers are not affected.
    fn collect(&self, course: &Course) -> Result<Collected<Self::BlockData, Self::CourseData>>;

    /// Decodes one block's data. Override it to convert what an older WRITE version stored, when
    /// the current type no longer decodes it ([`Entry::write_version`] tells which one it is).
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are no such value.
    fn decode_block(&self, entry: Entry<'_>) -> Result<Self::BlockData, DecodeError> {
        entry.decode()
    }

    /// Decodes the course's data, as [`decode_block`](Self::decode_block) does a block's.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are no such value.
    fn decode_course(&self, entry: Entry<'_>) -> Result<Self::CourseData, DecodeError> {
        entry.decode()
    }

    /// A *filtering* transformer answers with its filters, or with none where this user may see
    /// everything. All filters run in one shared traversal before any other transformer runs, so
    /// a filtering transformer's [`transform`](Self::transform) is never called.
    ///
    /// The conditions are asked once per block, top down, and own all that they need: they cannot
    /// see the structure while it changes.
    fn filters<'a>(
        &'a self,
        data: &'a Data<Self::BlockData, Self::CourseData>,
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
        data: &Data<Self::BlockData, Self::CourseData>,
        transformation: &mut Transformation<'_>,
    ) -> Result<()> {
        let _ = (data, transformation);
        Ok(())
    }
}
