//! The stock transformers of Open edX, with their original names, versions and rules.
//!
//! Rules and their sources: the platform's `lms/djangoapps/course_blocks/transformers` and
//! `course_api/blocks/transformers`, as of 2026. Where a rule is surprising, the original does the
//! same: its results are what `tests/conformance` compares with.

mod access_denied_message_filter;
mod block_counts;
mod block_depth;
mod block_navigation;
mod budget;
mod content_type_gate;
mod effort_estimation;
mod grades;
mod grading_policy;
mod group_access;
mod hidden_content;
mod library_content;
mod library_content_randomize;
mod load_date_data;
mod load_override_data;
mod markup;
mod milestones;
mod percolate;
mod scoring;
mod split_test;
mod start_date;
mod student_view;
mod user_partitions;
mod visibility;

pub use access_denied_message_filter::AccessDeniedMessageFilter;
pub use block_counts::BlockCounts;
pub use block_depth::BlockDepth;
pub use block_navigation::{BlockNavigation, BlockNavigationBlock};
pub use content_type_gate::{ContentTypeGate, ContentTypeGateBlock};
pub use effort_estimation::{EffortEstimation, EffortEstimationBlock, EffortEstimationCourse};
pub use grades::{Grades, GradesBlock, GradesCourse};
pub use hidden_content::{HiddenContent, HiddenContentBlock};
pub use library_content::{AnalyticsSummary, LibraryContent, LibraryContentBlock};
pub use library_content_randomize::LibraryContentRandomize;
pub use load_date_data::LoadDateData;
pub use load_override_data::LoadOverrideData;
pub use milestones::{Milestones, MilestonesBlock, MilestonesCourse};
pub use split_test::SplitTest;
pub use start_date::{StartDate, StartDateBlock};
pub use student_view::{StudentView, StudentViewBlock};
pub use user_partitions::{
    StoredPartition, UserPartitions, UserPartitionsBlock, UserPartitionsCourse,
};
pub use visibility::{Visibility, VisibilityBlock};

use super::Registry;
use crate::error::Result;
use crate::version::{ReadVersion, Versions, WriteVersion};

/// Adds all of them in the order in which the original applies them: what decides on access, what
/// the Course Blocks API adds, and what others use.
pub(super) fn register(registry: &mut Registry) -> Result<()> {
    registry.register(LibraryContent)?;
    registry.register(LibraryContentRandomize)?;
    registry.register(StartDate)?;
    registry.register(ContentTypeGate)?;
    registry.register(UserPartitions)?;
    registry.register(Visibility)?;
    registry.register(LoadDateData)?;
    registry.register(LoadOverrideData)?;

    registry.register(Milestones)?;
    registry.register(HiddenContent)?;
    registry.register(AccessDeniedMessageFilter)?;
    registry.register(StudentView::default())?;
    registry.register(BlockCounts)?;
    registry.register(BlockDepth)?;
    registry.register(BlockNavigation)?;

    // `UserPartitions` does it anyway; alone it is for those who do without groups.
    registry.register(SplitTest)?;
    registry.register(EffortEstimation)?;
    registry.register(Grades)
}

/// READ and WRITE are equal in every published release of the stock transformers.
const fn settled(version: u32) -> Versions {
    match WriteVersion::new(version) {
        Some(write) => Versions::new(ReadVersion::new(version), write),
        None => panic!("a WRITE version is at least 1"),
    }
}
