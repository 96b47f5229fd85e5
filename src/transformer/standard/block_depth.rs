//! `blocks_api:block_depth`: how far below the root a block is.

use super::settled;
use crate::error::Result;
use crate::field::FieldValue;
use crate::modulestore::Course;
use crate::structure::{BlockIndex, BlockStructure, Descendants, RemovalFilter, Unyielded};
use crate::transformer::{Collected, Data, Reach, Transformation, Transformer};
use crate::version::Versions;

/// Tells how many levels below the root each block is, over the shortest way (`block_depth`), and
/// removes what is deeper than
/// [`UserContext::requested_depth`](crate::UserContext::requested_depth). Nothing is stored.
///
/// Source: `course_api/blocks/transformers/block_depth.py`.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockDepth;

const NAME: &str = "blocks_api:block_depth";
const BLOCK_DEPTH: &str = "block_depth";

impl Transformer for BlockDepth {
    type BlockData<'a> = ();
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        NAME
    }

    fn versions(&self) -> Versions {
        settled(1)
    }

    fn reach(&self) -> Reach {
        Reach::Subtree
    }

    fn collect(&self, course: &Course) -> Result<Collected<(), ()>> {
        Ok(Collected::new(course.structure().width(), ()))
    }

    fn transform(&self, _: &Data<(), ()>, transformation: &mut Transformation<'_>) -> Result<()> {
        let requested = transformation.user().requested_depth;
        let (structure, outputs) = transformation.split();
        let depths = depths(structure);
        let column = outputs.column(NAME, BLOCK_DEPTH);
        for block in structure.blocks() {
            if let Some(depth) = depths[block.as_usize()] {
                column.set(block, FieldValue::Int(depth.into()));
            }
        }
        let Some(requested) = requested else {
            return Ok(());
        };
        let is_too_deep =
            |block: BlockIndex| depths[block.as_usize()].is_none_or(|depth| depth > requested);
        let filter = RemovalFilter::new(Descendants::Remove, is_too_deep);
        let structure = transformation.structure_mut();
        structure.remove_where(Unyielded::SkipDescendants, &mut [filter])
    }
}

/// The depth of each block that a traversal visits, by position.
pub(super) fn depths(structure: &BlockStructure) -> Vec<Option<u32>> {
    let mut depths = vec![None; structure.width()];
    for block in structure.topological(structure.root()) {
        let parents = structure.parents(block);
        let above = parents.filter_map(|parent| depths[parent.as_usize()]).min();
        depths[block.as_usize()] = Some(above.map_or(0, |depth: u32| depth.saturating_add(1)));
    }
    depths
}
