//! `library_content_randomize`: the order in which a learner sees an item bank.

use std::collections::{BTreeSet, HashMap};

use super::library_content::is_item_bank;
use super::settled;
use crate::error::Result;
use crate::key::UsageKey;
use crate::modulestore::Course;
use crate::structure::BlockIndex;
use crate::transformer::{Collected, Data, Reach, Transformation, Transformer};
use crate::version::Versions;

/// Puts what a learner sees of an item bank into the order in which it was drawn for them: in this
/// request by [`LibraryContent`](super::LibraryContent), or before
/// ([`UserContext::selections`](crate::UserContext::selections)).
///
/// Nothing moves where the bank's children and the selection are not the same blocks, such as where
/// another transformer has removed some. Blocks are compared by their ids without their types, as
/// in the original. Staff are not exempted. Nothing is stored.
///
/// Source: `course_blocks/transformers/library_content.py`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LibraryContentRandomize;

impl Transformer for LibraryContentRandomize {
    type BlockData<'a> = ();
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        "library_content_randomize"
    }

    fn versions(&self) -> Versions {
        settled(1)
    }

    // A bank outside of what is looked at decides about children that it shares.
    fn reach(&self) -> Reach {
        Reach::Course
    }

    fn collect(&self, course: &Course) -> Result<Collected<(), ()>> {
        Ok(Collected::new(course.structure().width(), ()))
    }

    fn transform(&self, _: &Data<(), ()>, transformation: &mut Transformation<'_>) -> Result<()> {
        let structure = transformation.structure();
        let banks: Vec<_> = structure
            .blocks()
            .filter(|block| is_item_bank(structure, *block))
            .filter_map(|bank| Some((bank, order_of(bank, transformation)?)))
            .collect();
        for (bank, order) in banks {
            let structure = transformation.structure_mut();
            structure.sort_children_by_key(bank, |child| order.get(&child).copied())?;
        }
        Ok(())
    }
}

/// The place of each of the bank's children, if the selection is about these children.
fn order_of(
    bank: BlockIndex,
    transformation: &Transformation<'_>,
) -> Option<HashMap<BlockIndex, usize>> {
    let structure = transformation.structure();
    let key = structure.key(bank);
    let drawn = transformation.outputs().selections().get(key);
    let drawn = drawn.map(|selection| &selection.selected);
    let selected = drawn.or_else(|| transformation.user().selections.get(key))?;
    let children: BTreeSet<_> = structure
        .children(bank)
        .map(|child| structure.key(child).block_id())
        .collect();
    let ids = selected.iter().map(UsageKey::block_id);
    // A bank above the block that was asked for is out of reach and out of order.
    let is_above_root = structure
        .children(bank)
        .any(|child| child == structure.root());
    if is_above_root || !ids.clone().collect::<BTreeSet<_>>().eq(&children) {
        return None;
    }
    let places: HashMap<_, _> = ids.zip(0..).collect();
    let place = |child| Some((child, *places.get(structure.key(child).block_id())?));
    structure.children(bank).map(place).collect()
}
