//! The three orders in which a structure is walked, with the original's rules on what a filter
//! hides. A walk holds its own stack and asks about one block at a time, so that the relations may
//! change in between; how they change is not known here.

use super::block_index::BlockIndex;
use super::per_block::PerBlock;
use super::relations::{Edge, EdgeIndex, Relations};

/// What becomes of a block none of whose parents was yielded, in a topological traversal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unyielded {
    /// It is skipped, and the filter is not asked about it.
    SkipDescendants,
    /// It is visited all the same.
    VisitDescendants,
}

/// Every block after all of its parents.
pub(super) struct Topological {
    start: BlockIndex,
    unyielded: Unyielded,
    stack: Vec<BlockIndex>,
    marks: PerBlock<TopologicalMark>,
}

#[derive(Clone, Copy, Default)]
struct TopologicalMark {
    answer: Option<bool>,
    /// Entries among the block's parents, repeats included, whose blocks have an answer. Counting
    /// keeps the walk linear where a block has very many parents.
    answered_parents: u32,
    has_yielded_parent: bool,
}

impl Topological {
    pub(super) fn new(relations: &Relations, start: BlockIndex, unyielded: Unyielded) -> Self {
        Self {
            start,
            unyielded,
            stack: start_within(relations, start),
            marks: PerBlock::new(relations.members(), TopologicalMark::default()),
        }
    }

    pub(super) fn next(
        &mut self,
        relations: &Relations,
        mut filter: impl FnMut(BlockIndex) -> bool,
    ) -> Option<BlockIndex> {
        loop {
            let block = self.next_to_ask(relations)?;
            let answer = filter(block);
            self.record(relations, block, answer);
            if answer {
                return Some(block);
            }
        }
    }

    /// The next block that the filter is to be asked about; its answer must be recorded before
    /// going on. The block's children are on the stack already: removing it does not hide them.
    pub(super) fn next_to_ask(&mut self, relations: &Relations) -> Option<BlockIndex> {
        loop {
            let block = self.stack.pop()?;
            if !self.is_due(relations, block) {
                continue;
            }
            push_reversed(&mut self.stack, relations.children(block));
            return Some(block);
        }
    }

    pub(super) fn record(&mut self, relations: &Relations, block: BlockIndex, answer: bool) {
        self.marks[block].answer = Some(answer);
        for child in relations.children_on_both_sides(block) {
            self.count_answered_parent(child, answer);
        }
    }

    /// Relations added while the walk stood still.
    pub(super) fn notice(&mut self, added: &[Edge]) {
        for edge in added {
            if let Some(answer) = self.marks[edge.parent].answer {
                self.count_answered_parent(edge.child, answer);
            }
        }
    }

    fn count_answered_parent(&mut self, child: BlockIndex, answer: bool) {
        let mark = &mut self.marks[child];
        mark.answered_parents += 1;
        mark.has_yielded_parent |= answer;
    }

    fn is_due(&self, relations: &Relations, block: BlockIndex) -> bool {
        let mark = &self.marks[block];
        let passes_parents = block == self.start
            || (mark.answered_parents == relations.parent_count(block)
                && (mark.has_yielded_parent || self.unyielded == Unyielded::VisitDescendants));
        passes_parents && mark.answer.is_none()
    }
}

/// Every block before its children, through whichever parent comes first. Descendants of blocks
/// that the filter rejects are walked all the same.
pub(super) struct PreOrder {
    stack: Vec<BlockIndex>,
    visited: PerBlock<bool>,
}

impl PreOrder {
    pub(super) fn new(relations: &Relations, start: BlockIndex) -> Self {
        Self {
            stack: start_within(relations, start),
            visited: PerBlock::new(relations.members(), false),
        }
    }

    pub(super) fn next(
        &mut self,
        relations: &Relations,
        mut filter: impl FnMut(BlockIndex) -> bool,
    ) -> Option<BlockIndex> {
        loop {
            let block = self.stack.pop()?;
            if std::mem::replace(&mut self.visited[block], true) {
                continue;
            }
            let unvisited = |child: &BlockIndex| !self.visited[*child];
            push_reversed(&mut self.stack, relations.children(block).filter(unvisited));
            if filter(block) {
                return Some(block);
            }
        }
    }
}

/// Every block after its children. The filter is asked each time the walk comes to a block: once
/// before each of its children and once after the last. A no ends the visit.
pub(super) struct PostOrder {
    stack: Vec<Visit>,
    places: PerBlock<Place>,
}

struct Visit {
    block: BlockIndex,
    /// The last child that was passed.
    passed: Option<EdgeIndex>,
    /// How many children to pass over: see [`PostOrder::notice_unlisted`].
    skips: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Elsewhere,
    OnStack(usize),
    Yielded,
}

impl PostOrder {
    pub(super) fn new(relations: &Relations, start: BlockIndex) -> Self {
        let mut walk = Self {
            stack: Vec::new(),
            places: PerBlock::new(relations.members(), Place::Elsewhere),
        };
        for start in start_within(relations, start) {
            walk.begin(start);
        }
        walk
    }

    pub(super) fn next(
        &mut self,
        relations: &Relations,
        mut filter: impl FnMut(BlockIndex) -> bool,
    ) -> Option<BlockIndex> {
        loop {
            let block = self.next_to_ask()?;
            if !filter(block) {
                self.leave(block);
            } else if self.go_on(relations) {
                return Some(block);
            }
        }
    }

    /// The block that the filter is to be asked about: then either [`PostOrder::leave`] it or
    /// [`PostOrder::go_on`].
    pub(super) fn next_to_ask(&self) -> Option<BlockIndex> {
        self.stack.last().map(|visit| visit.block)
    }

    pub(super) fn leave(&mut self, block: BlockIndex) {
        self.stack.pop();
        self.places[block] = Place::Elsewhere;
    }

    /// Comes to the next child of the block on top, or yields the block (true) after the last one.
    pub(super) fn go_on(&mut self, relations: &Relations) -> bool {
        let Some(visit) = self.stack.last_mut() else {
            return false;
        };
        while let Some((edge, child)) = relations.next_child_edge(visit.block, visit.passed) {
            visit.passed = Some(edge);
            if visit.skips > 0 {
                visit.skips -= 1;
                continue;
            }
            if self.places[child] != Place::Yielded {
                self.begin(child);
            }
            return false;
        }
        self.places[visit.block] = Place::Yielded;
        self.stack.pop();
        true
    }

    /// Quirk: the original counts how many children it has passed, so when one of these goes from
    /// the list of a block that is being visited, the next one is passed over.
    pub(super) fn notice_unlisted(&mut self, parent: BlockIndex, edge: EdgeIndex) {
        if let Place::OnStack(depth) = self.places[parent]
            && let Some(visit) = self.stack.get_mut(depth)
            && visit.passed.is_some_and(|passed| edge <= passed)
        {
            visit.skips += 1;
        }
    }

    fn begin(&mut self, block: BlockIndex) {
        self.places[block] = Place::OnStack(self.stack.len());
        self.stack.push(Visit {
            block,
            passed: None,
            skips: 0,
        });
    }
}

/// The stack to begin with: an absent block is walked like any other, one outside the table has
/// no column entries and is not.
fn start_within(relations: &Relations, start: BlockIndex) -> Vec<BlockIndex> {
    if relations.has_room_for(start) {
        vec![start]
    } else {
        Vec::new()
    }
}

fn push_reversed(stack: &mut Vec<BlockIndex>, blocks: impl Iterator<Item = BlockIndex>) {
    let height = stack.len();
    stack.extend(blocks);
    stack[height..].reverse();
}
