//! `blocks_api:block_counts`: how many blocks of some types are below a block.

use crate::error::Result;
use crate::field::FieldValue;
use crate::modulestore::Course;
use crate::transformer::{Collected, Data, Reach, Transformation, Transformer};
use crate::version::Versions;

use super::settled;

/// Tells for every block how many blocks of each requested type it and what is below it hold
/// ([`UserContext::block_types_to_count`](crate::UserContext::block_types_to_count)).
///
/// A block that is reached over several edges counts once per edge, as in the original. Nothing is
/// stored: a block's type is part of its key.
///
/// Source: `course_api/blocks/transformers/block_counts.py`.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockCounts;

const NAME: &str = "blocks_api:block_counts";

impl Transformer for BlockCounts {
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
        let types = &transformation.user().block_types_to_count.clone();
        let (structure, outputs) = transformation.split();
        let mut counts = vec![0_i64; structure.width()];
        let order: Vec<_> = structure.post_order(structure.root()).collect();
        for counted in types {
            counts.fill(0);
            let column = outputs.column(NAME, counted);
            for &block in &order {
                let is_one = structure.key(block).block_type() == counted;
                let below = structure.children(block);
                // Edges multiply: a chain of doubled edges outgrows any number.
                let count = below.fold(i64::from(is_one), |sum, child| {
                    sum.saturating_add(counts[child.as_usize()])
                });
                counts[block.as_usize()] = count;
                column.set(block, FieldValue::Int(count));
            }
        }
        Ok(())
    }
}
