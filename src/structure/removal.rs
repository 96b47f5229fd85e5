//! Removing blocks while walking: what the filters of transformers do to a structure.

use super::block_index::BlockIndex;
use super::relations::{Fault, Relations};
use super::traversal::{PostOrder, Topological, Unyielded};

/// What becomes of the children of a removed block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descendants {
    /// They go from this block's children; what nothing else leads to is out of reach.
    Remove,
    /// They become children of the removed block's parents, at the end of their lists.
    Keep,
}

/// A condition on which blocks are removed, such as one transformer's part in a traversal that
/// serves them all.
pub struct RemovalFilter<'a> {
    condition: Box<dyn FnMut(BlockIndex) -> bool + 'a>,
    descendants: Descendants,
}

impl<'a> RemovalFilter<'a> {
    /// Removes a block when `condition` answers true for it. The condition cannot see the
    /// structure, which changes meanwhile: what it needs is computed before.
    pub fn new(descendants: Descendants, condition: impl FnMut(BlockIndex) -> bool + 'a) -> Self {
        Self {
            condition: Box::new(condition),
            descendants,
        }
    }
}

impl std::fmt::Debug for RemovalFilter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemovalFilter")
            .field("descendants", &self.descendants)
            .finish_non_exhaustive()
    }
}

impl Relations {
    /// One topological traversal from the root. The filters are asked in order, until one
    /// removes the block.
    pub(super) fn remove_where(
        &mut self,
        unyielded: Unyielded,
        filters: &mut [RemovalFilter<'_>],
    ) -> Result<(), Fault> {
        let mut walk = Topological::new(self, self.root(), unyielded);
        while let Some(block) = walk.next_to_ask(self) {
            let removing = filters
                .iter_mut()
                .find_map(|filter| (filter.condition)(block).then_some(filter.descendants));
            if let Some(descendants) = removing {
                let mark = self.mark();
                self.remove_block(block, descendants)?;
                walk.notice(self.added_since(mark));
            }
            walk.record(self, block, removing.is_none());
        }
        Ok(())
    }

    /// One post-order traversal from the root; answers what it yielded.
    pub(super) fn post_order_remove(
        &mut self,
        filter: &mut RemovalFilter<'_>,
    ) -> Result<Vec<BlockIndex>, Fault> {
        let mut yields = Vec::new();
        let mut walk = PostOrder::new(self, self.root());
        while let Some(block) = walk.next_to_ask() {
            if (filter.condition)(block) {
                self.remove_block_noting(block, filter.descendants, |parent, edge| {
                    walk.notice_unlisted(parent, edge);
                })?;
                walk.leave(block);
            } else if walk.go_on(self) {
                yields.push(block);
            }
        }
        Ok(yields)
    }
}
