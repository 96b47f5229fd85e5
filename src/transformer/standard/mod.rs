//! The stock transformers of Open edX, with their original names, versions and rules.
//!
//! Rules and their sources: the platform's `lms/djangoapps/course_blocks/transformers` and
//! `course_api/blocks/transformers`, as of 2026.

mod block_counts;
mod hidden_content;
mod percolate;
mod start_date;
mod visibility;

pub use block_counts::BlockCounts;
pub use hidden_content::{HiddenContent, HiddenContentBlock};
pub use start_date::{StartDate, StartDateBlock};
pub use visibility::{Visibility, VisibilityBlock};

use super::Registry;
use crate::error::Result;
use crate::version::{ReadVersion, Versions, WriteVersion};

/// Adds all of them in the order in which the original applies them.
pub(super) fn register(registry: &mut Registry) -> Result<()> {
    registry.register(StartDate)?;
    registry.register(Visibility)?;
    registry.register(HiddenContent)?;
    registry.register(BlockCounts)
}

/// READ and WRITE are equal in every published release of the stock transformers.
const fn settled(version: u32) -> Versions {
    match WriteVersion::new(version) {
        Some(write) => Versions::new(ReadVersion::new(version), write),
        None => panic!("a WRITE version is at least 1"),
    }
}
