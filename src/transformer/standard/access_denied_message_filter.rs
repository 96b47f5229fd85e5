//! `access_denied_message_filter`: for clients that cannot show why something is denied.

use super::settled;
use super::user_partitions::{DENIAL_MESSAGE, DENIAL_REASON};
use crate::error::Result;
use crate::field::FieldValue;
use crate::modulestore::Course;
use crate::structure::{BlockIndex, Descendants, RemovalFilter};
use crate::transformer::{Collected, Data, Reach, Transformation, Transformer};
use crate::version::Versions;

/// Removes what [`UserPartitions`](super::UserPartitions) left for the sake of its message: blocks
/// that have both a reason and a message.
///
/// Quirk of the original: blocks are removed while the walk goes on, from the leaves up, so the
/// next sibling of one that was removed is passed over and stays with its message. Nothing is
/// stored.
///
/// Source: `course_blocks/transformers/access_denied_filter.py`.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccessDeniedMessageFilter;

impl Transformer for AccessDeniedMessageFilter {
    type BlockData<'a> = ();
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        "access_denied_message_filter"
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
        let structure = transformation.structure();
        let mut is_denied = vec![false; structure.width()];
        for block in structure.blocks() {
            let says = |field| {
                let value = transformation.outputs().field_override(field, block);
                let text = value.and_then(FieldValue::as_str);
                text.is_some_and(|text| !text.is_empty())
            };
            is_denied[block.as_usize()] = says(DENIAL_REASON) && says(DENIAL_MESSAGE);
        }
        let is_denied = |block: BlockIndex| is_denied[block.as_usize()];
        let mut filter = RemovalFilter::new(Descendants::Remove, is_denied);
        let structure = transformation.structure_mut();
        structure.post_order_remove(&mut filter).map(drop)
    }
}
