//! `blocks_api:block_navigation`: a table of contents.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::block_depth::depths;
use super::budget::Budget;
use super::settled;
use crate::error::Result;
use crate::field::FieldValue;
use crate::modulestore::Course;
use crate::transformer::{Collected, Data, Reach, Transformation, Transformer};
use crate::version::Versions;

/// Lists the descendants of blocks (`block_nav`), down to
/// [`UserContext::nav_depth`](crate::UserContext::nav_depth) block by block: each block of at most
/// that depth has a list of its own, and what is below it joins the lists of all its parents.
/// Deeper blocks have none and hand on those of their parents.
///
/// What is hidden from the table of contents (`hide_from_toc`), and what no list leads to, is left
/// out together with all that is below it only. The depths are those of
/// [`BlockDepth`](super::BlockDepth).
///
/// Source: `course_api/blocks/transformers/navigation.py`.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockNavigation;

/// What [`BlockNavigation`] stores per block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockNavigationBlock {
    /// Whether the block is left out of the table of contents.
    pub hide_from_toc: bool,
}

const NAME: &str = "blocks_api:block_navigation";
const BLOCK_NAV: &str = "block_nav";

impl Transformer for BlockNavigation {
    type BlockData<'a> = BlockNavigationBlock;
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

    fn collect(&self, course: &Course) -> Result<Collected<BlockNavigationBlock, ()>> {
        let mut collected = Collected::new(course.structure().width(), ());
        for block in course.structure().blocks() {
            let hide_from_toc = course.field(block, "hide_from_toc");
            let hide_from_toc = hide_from_toc.and_then(FieldValue::as_bool).unwrap_or(false);
            collected.set(block, BlockNavigationBlock { hide_from_toc });
        }
        Ok(collected)
    }

    fn transform(
        &self,
        data: &Data<BlockNavigationBlock, ()>,
        transformation: &mut Transformation<'_>,
    ) -> Result<()> {
        let Some(nav_depth) = transformation.user().nav_depth else {
            return Ok(());
        };
        let (structure, outputs) = transformation.split();
        let mut budget = Budget::new("the tables of contents");
        let depths = depths(structure);
        // A list is named by the block that it belongs to. What a block hands on to its children
        // is a set of them, shared along chains of only children.
        let mut lists = vec![None; structure.width()];
        let mut handed_on: Vec<Option<Rc<BTreeSet<_>>>> = vec![None; structure.width()];
        for block in structure.topological(structure.root()) {
            let parents: Vec<_> = structure.parents(block).collect();
            if parents.len() > 1 {
                let sets = parents.iter().map(|parent| &handed_on[parent.as_usize()]);
                let listed = sets.map(|lists| lists.as_ref().map_or(0, |lists| lists.len()));
                budget.charge(listed.sum())?;
            }
            let from_parents = united(parents.iter().filter_map(|parent| {
                let lists = &handed_on[parent.as_usize()];
                lists.as_ref()
            }));
            // A block of which nothing is known is not shown.
            let is_hidden = data.block(block).is_none_or(|data| data.hide_from_toc);
            let is_unlisted = !parents.is_empty() && from_parents.is_empty();
            if is_hidden || is_unlisted {
                continue;
            }
            // It stands in as many lists as there are ways to it.
            let name = structure.key(block).to_string();
            budget.charge(name.len().saturating_mul(from_parents.len()))?;
            let name = FieldValue::String(name);
            for list in from_parents.iter() {
                let list: &mut Option<Vec<_>> = &mut lists[*list];
                list.get_or_insert_default().push(name.clone());
            }
            let is_deep = depths[block.as_usize()].is_none_or(|depth| depth > nav_depth);
            handed_on[block.as_usize()] = Some(if is_deep {
                from_parents
            } else {
                lists[block.as_usize()] = Some(Vec::new());
                Rc::new(BTreeSet::from([block.as_usize()]))
            });
        }
        let column = outputs.column(NAME, BLOCK_NAV);
        for block in structure.blocks() {
            if let Some(list) = lists[block.as_usize()].take() {
                column.set(block, FieldValue::List(list));
            }
        }
        Ok(())
    }
}

fn united<'a>(sets: impl Iterator<Item = &'a Rc<BTreeSet<usize>>>) -> Rc<BTreeSet<usize>> {
    sets.fold(Rc::default(), |mut all: Rc<BTreeSet<_>>, set| {
        if all.is_empty() {
            return Rc::clone(set);
        }
        if !Rc::ptr_eq(&all, set) && !set.is_subset(&all) {
            Rc::make_mut(&mut all).extend(set.iter().copied());
        }
        all
    })
}
