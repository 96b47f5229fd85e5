//! `hidden_content`: what closes after its due date.

use serde::{Deserialize, Serialize};

use super::percolate::{percolate_date, percolate_flag};
use super::settled;
use crate::error::Result;
use crate::field::FieldValue;
use crate::modulestore::Course;
use crate::structure::{BlockIndex, Descendants, RemovalFilter, Unyielded};
use crate::timestamp::Timestamp;
use crate::transformer::{Collected, Data, Reach, Transformation, Transformer};
use crate::version::Versions;

/// Hides blocks with `hide_after_due` once their due date has come; in a self-paced course, once
/// the course has ended.
///
/// A block has the flag when it says so itself, or when *all* of its parents have it. Its end is
/// the latest of its own and the earliest of its parents'. Staff see everything.
///
/// Source: `course_blocks/transformers/hidden_content.py`, WRITE version 4.
#[derive(Clone, Copy, Debug, Default)]
pub struct HiddenContent;

/// What [`HiddenContent`] stores per block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HiddenContentBlock {
    /// Whether the block closes at all.
    pub merged_hide_after_due: bool,
    /// When it closes in a self-paced course.
    pub merged_end_date: Timestamp,
    /// When it is due, which is when it closes otherwise.
    pub due: Option<Timestamp>,
    /// Whether learners keep their own pace. Counts where the block is the root.
    pub self_paced: bool,
}

const NAME: &str = "hidden_content";
const DUE: &str = "due";
const HIDDEN_AFTER_DUE: &str = "hidden_after_due";

impl Transformer for HiddenContent {
    type BlockData<'a> = HiddenContentBlock;
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        NAME
    }

    fn versions(&self) -> Versions {
        settled(4)
    }

    fn reach(&self) -> Reach {
        Reach::Subtree
    }

    fn collect(&self, course: &Course) -> Result<Collected<HiddenContentBlock, ()>> {
        let flags = percolate_flag(course, "hide_after_due");
        let ends = percolate_date(course, "end", Timestamp::MAX);
        let mut collected = Collected::new(course.structure().width(), ());
        for ((block, merged_hide_after_due), (_, merged_end_date)) in flags.into_iter().zip(ends) {
            let self_paced = course.field(block, "self_paced");
            let data = HiddenContentBlock {
                merged_hide_after_due,
                merged_end_date,
                due: course.field(block, DUE).and_then(FieldValue::as_date),
                self_paced: self_paced.and_then(FieldValue::as_bool).unwrap_or(false),
            };
            collected.set(block, data);
        }
        Ok(collected)
    }

    fn transform(
        &self,
        data: &Data<HiddenContentBlock, ()>,
        transformation: &mut Transformation<'_>,
    ) -> Result<()> {
        if transformation.user().is_staff {
            return Ok(());
        }
        let hidden = hidden_blocks(data, transformation);
        if transformation.user().show_hidden_content_without_links {
            let marks = transformation.outputs_mut().column(NAME, HIDDEN_AFTER_DUE);
            for block in hidden {
                marks.set(block, FieldValue::Bool(true));
            }
            return Ok(());
        }
        let mut is_hidden = vec![false; transformation.structure().width()];
        for block in hidden {
            is_hidden[block.as_usize()] = true;
        }
        let is_hidden = |block: BlockIndex| is_hidden[block.as_usize()];
        let filter = RemovalFilter::new(Descendants::Remove, is_hidden);
        let structure = transformation.structure_mut();
        structure.remove_where(Unyielded::SkipDescendants, &mut [filter])
    }
}

/// The blocks that are hidden. Decided for all blocks before any is removed.
fn hidden_blocks(
    data: &Data<HiddenContentBlock, ()>,
    transformation: &Transformation<'_>,
) -> Vec<BlockIndex> {
    let now = transformation.user().now;
    let root = data.block(transformation.root());
    let is_self_paced = root.is_some_and(|root| root.self_paced);
    let is_hidden = |block: &BlockIndex| match data.block(*block) {
        // A block of which nothing is known is not shown.
        None => true,
        Some(data) if !data.merged_hide_after_due => false,
        Some(data) if is_self_paced => now >= data.merged_end_date,
        Some(data) => now >= due_date(data, *block, transformation),
    };
    transformation
        .structure()
        .blocks()
        .filter(is_hidden)
        .collect()
}

/// A learner's own due date wins over the collected one; a block without any never closes.
fn due_date(
    data: &HiddenContentBlock,
    block: BlockIndex,
    transformation: &Transformation<'_>,
) -> Timestamp {
    let due = match transformation.outputs().field_override(DUE, block) {
        Some(own) => own.as_date(),
        None => data.due,
    };
    due.unwrap_or(Timestamp::MAX)
}
