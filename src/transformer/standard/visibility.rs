//! `visibility`: what only staff may see.

use serde::{Deserialize, Serialize};

use super::percolate::percolate_flag;
use super::settled;
use crate::error::Result;
use crate::modulestore::Course;
use crate::structure::{Descendants, RemovalFilter};
use crate::transformer::{Collected, Data, Reach, Transformation, Transformer};
use crate::version::Versions;

/// Removes what authors marked as visible to staff only.
///
/// A block is for staff only when it says so itself, or when *all* of its parents are: one open
/// path is enough. Staff see everything.
///
/// Source: `course_blocks/transformers/visibility.py`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Visibility;

/// What [`Visibility`] stores per block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VisibilityBlock {
    /// Whether only staff may see the block.
    pub merged_visible_to_staff_only: bool,
}

impl Transformer for Visibility {
    type BlockData<'a> = VisibilityBlock;
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        "visibility"
    }

    fn versions(&self) -> Versions {
        settled(1)
    }

    fn reach(&self) -> Reach {
        Reach::Subtree
    }

    fn collect(&self, course: &Course) -> Result<Collected<VisibilityBlock, ()>> {
        let mut collected = Collected::new(course.structure().width(), ());
        for (block, merged_visible_to_staff_only) in percolate_flag(course, "visible_to_staff_only")
        {
            collected.set(
                block,
                VisibilityBlock {
                    merged_visible_to_staff_only,
                },
            );
        }
        Ok(collected)
    }

    fn filters<'a>(
        &'a self,
        data: &'a Data<VisibilityBlock, ()>,
        transformation: &mut Transformation<'_>,
    ) -> Option<Vec<RemovalFilter<'a>>> {
        if transformation.user().is_staff {
            return Some(Vec::new());
        }
        // A block of which nothing is known is not shown.
        let hidden = |block| {
            data.block(block)
                .is_none_or(|data| data.merged_visible_to_staff_only)
        };
        Some(vec![RemovalFilter::new(Descendants::Remove, hidden)])
    }
}
