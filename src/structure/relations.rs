//! A course's graph over block indices: ordered lists of parents and of children, repeats
//! included. It knows neither usage keys nor what is stored for a block.
//!
//! Everything lies in three flat arrays, so a copy costs three allocations. A relation that is
//! removed stays in its chains, marked, until [`Relations::prune`] starts anew: whoever stands on
//! it can go on, and the number of a relation tells its place in both of its lists.

use std::collections::HashSet;

use super::block_index::{BlockIndex, MAX_BLOCKS};
use super::per_block::{Members, PerBlock};
use super::removal::Descendants;
use super::traversal::PostOrder;

/// How many relations a structure may be given until it is pruned, those included that were removed
/// since. Removing blocks while keeping their descendants can double the number each time.
pub const MAX_RELATIONS: usize = 10 * MAX_BLOCKS;

/// Why a change was refused. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The index is no position in the course's columns.
    OutsideTable(BlockIndex),
    /// The structure is a part of a course, and the block is elsewhere in it.
    OutsidePart(BlockIndex),
    /// The block is not, or no longer, part of the structure.
    Absent(BlockIndex),
    /// `parent` lists `child`, which has had its parents taken away by `set_root`.
    OneSided {
        parent: BlockIndex,
        child: BlockIndex,
    },
    /// `parent` is `child`, or among its descendants.
    Cycle {
        parent: BlockIndex,
        child: BlockIndex,
    },
    /// The change would go beyond [`MAX_RELATIONS`].
    TooManyRelations,
}

/// The root, and for every present block its parents and its children.
#[derive(Clone)]
pub(super) struct Relations {
    root: BlockIndex,
    /// One for every member, absent blocks included.
    nodes: PerBlock<Node>,
    /// In the order of addition, which is the order within every list too.
    edges: Vec<Edge>,
    /// Blocks in the order of insertion. An entry counts if its block's `slot` says so.
    order: Vec<BlockIndex>,
    len: usize,
}

/// The number of an edge. Of two edges in one list, the smaller one comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EdgeIndex(usize);

#[derive(Clone)]
struct Node {
    slot: Link,
    first_child: Link,
    last_child: Link,
    first_parent: Link,
    last_parent: Link,
    parent_count: u32,
    /// Some block may list this one without being among its parents.
    listed_by_strangers: bool,
}

/// One entry among the children of `parent` and, as long as both sides know it, one among the
/// parents of `child`.
#[derive(Clone)]
pub(super) struct Edge {
    pub(super) parent: BlockIndex,
    pub(super) child: BlockIndex,
    listed: Listed,
    next_child: Link,
    next_parent: Link,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Listed {
    OnBothSides,
    /// `set_root` emptied the child's parents.
    AmongChildrenOnly,
    Nowhere,
}

/// A position in one of the arrays, or none.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Link(u32);

impl Relations {
    /// No blocks yet, not even the root.
    pub(super) fn new(members: &Members, root: BlockIndex) -> Self {
        Self {
            root,
            nodes: PerBlock::new(members, Node::ABSENT),
            edges: Vec::new(),
            order: Vec::new(),
            len: 0,
        }
    }

    pub(super) fn reserve(&mut self, blocks: usize, relations: usize) {
        self.order.reserve(blocks.min(self.members().len()));
        self.edges.reserve(relations.min(MAX_RELATIONS));
    }

    pub(super) fn root(&self) -> BlockIndex {
        self.root
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The blocks that there is room for.
    pub(super) fn members(&self) -> &Members {
        self.nodes.members()
    }

    pub(super) fn has_room_for(&self, block: BlockIndex) -> bool {
        self.node(block).is_some()
    }

    /// What the arrays take, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(self.nodes.values())
            + self.edges.capacity() * size_of::<Edge>()
            + self.order.capacity() * size_of::<BlockIndex>()
    }

    /// What `root` leads to, with `root` as its root, and the parents that these blocks have
    /// elsewhere, without what those have. Orders are as here. Takes time in proportion to the
    /// relations of these blocks, and to the logarithm of their number for each.
    pub(super) fn below(&self, root: BlockIndex) -> Result<Self, Fault> {
        if !self.contains(root) {
            return Err(Fault::Absent(root));
        }
        let mut reached = HashSet::from([root]);
        let mut members = vec![root];
        let mut edges = Vec::new();
        let mut next = 0;
        while let Some(&block) = members.get(next) {
            next += 1;
            edges.extend(self.child_edges(block));
            for child in self.children(block) {
                if reached.insert(child) {
                    members.push(child);
                }
            }
        }
        // The root's parents do not count: it has none from now on.
        for &block in &members[1..] {
            let from_elsewhere = |edge: &EdgeIndex| !reached.contains(&self.edges[edge.0].parent);
            edges.extend(self.parent_edges(block).filter(from_elsewhere));
        }
        members.extend(edges.iter().map(|edge| self.edges[edge.0].parent));
        edges.sort_unstable();

        let members = Members::part(members);
        let mut part = Self::new(&members, root);
        part.reserve(members.len(), edges.len());
        let in_order = members.iter().filter_map(|block| {
            let slot = self.node(block)?.slot;
            Some((slot.get()?, block))
        });
        let mut in_order: Vec<_> = in_order.collect();
        in_order.sort_unstable();
        for (_, block) in in_order {
            part.insert(block);
        }
        for edge in edges {
            let Edge {
                parent,
                child,
                listed,
                ..
            } = self.edges[edge.0];
            part.link(parent, child);
            if listed == Listed::AmongChildrenOnly {
                part.unlist_last_parent(child);
            }
        }
        part.set_root(root)?;
        Ok(part)
    }

    pub(super) fn contains(&self, block: BlockIndex) -> bool {
        self.node(block).is_some_and(Node::is_present)
    }

    /// In the order of insertion; a block that was removed and added again stands at its new
    /// place.
    pub(super) fn blocks(&self) -> impl DoubleEndedIterator<Item = BlockIndex> + Clone {
        self.order
            .iter()
            .enumerate()
            .filter(|&(slot, block)| self.nodes[*block].slot == Link::to(slot))
            .map(|(_, block)| *block)
    }

    pub(super) fn children(&self, block: BlockIndex) -> impl Iterator<Item = BlockIndex> + Clone {
        self.child_edges(block).map(|edge| self.edges[edge.0].child)
    }

    pub(super) fn parents(&self, block: BlockIndex) -> impl Iterator<Item = BlockIndex> + Clone {
        self.parent_edges(block)
            .map(|edge| self.edges[edge.0].parent)
    }

    pub(super) fn parent_count(&self, block: BlockIndex) -> u32 {
        self.node(block).map_or(0, |node| node.parent_count)
    }

    /// Relations that both sides know, in the order of addition: adding them again in this order
    /// gives every list of children and of parents its order back.
    pub(super) fn in_order_of_addition(
        &self,
    ) -> impl Iterator<Item = (BlockIndex, BlockIndex)> + Clone {
        self.edges
            .iter()
            .filter(|edge| edge.listed == Listed::OnBothSides)
            .map(|edge| (edge.parent, edge.child))
    }

    /// Children of `block` that know it as their parent, repeats included.
    pub(super) fn children_on_both_sides(
        &self,
        block: BlockIndex,
    ) -> impl Iterator<Item = BlockIndex> {
        self.child_edges(block)
            .map(|edge| &self.edges[edge.0])
            .filter(|edge| edge.listed == Listed::OnBothSides)
            .map(|edge| edge.child)
    }

    /// The entry after `passed` among the children of `block`, the first one for `None`. A
    /// passed entry may have been removed since.
    pub(super) fn next_child_edge(
        &self,
        block: BlockIndex,
        passed: Option<EdgeIndex>,
    ) -> Option<(EdgeIndex, BlockIndex)> {
        let first = match passed {
            Some(passed) => self.edges[passed.0].next_child,
            None => self.node(block)?.first_child,
        };
        let edge = self
            .chain(first, |edge| edge.next_child)
            .find(|edge| self.edges[edge.0].listed != Listed::Nowhere)?;
        Some((edge, self.edges[edge.0].child))
    }

    /// How many relations were ever added: a mark for [`Relations::added_since`].
    pub(super) fn mark(&self) -> usize {
        self.edges.len()
    }

    pub(super) fn added_since(&self, mark: usize) -> &[Edge] {
        &self.edges[mark..]
    }

    /// For a block of the table. Does nothing if it is present.
    pub(super) fn insert(&mut self, block: BlockIndex) {
        let node = &mut self.nodes[block];
        if !node.is_present() {
            node.slot = Link::to(self.order.len());
            self.order.push(block);
            self.len += 1;
        }
    }

    /// Creates the parent, then the child, where absent. A repeated relation stands twice.
    pub(super) fn add_relation(
        &mut self,
        parent: BlockIndex,
        child: BlockIndex,
    ) -> Result<(), Fault> {
        for block in [parent, child] {
            self.node(block).ok_or_else(|| match self.members() {
                Members::Course(_) => Fault::OutsideTable(block),
                Members::Part(_) => Fault::OutsidePart(block),
            })?;
        }
        if self.reaches(child, parent) {
            return Err(Fault::Cycle { parent, child });
        }
        self.check_room_for(1)?;
        self.insert(parent);
        self.insert(child);
        self.link(parent, child);
        Ok(())
    }

    /// [`Relations::add_relation`] between two present blocks when much is added: that there is
    /// room, and afterwards no cycle, is left to the caller.
    pub(super) fn link(&mut self, parent: BlockIndex, child: BlockIndex) {
        let edge = Link::to(self.edges.len());
        self.edges.push(Edge {
            parent,
            child,
            listed: Listed::OnBothSides,
            next_child: Link::NONE,
            next_parent: Link::NONE,
        });
        let node = &mut self.nodes[parent];
        match std::mem::replace(&mut node.last_child, edge).get() {
            Some(last) => self.edges[last].next_child = edge,
            None => node.first_child = edge,
        }
        let node = &mut self.nodes[child];
        node.parent_count += 1;
        match std::mem::replace(&mut node.last_parent, edge).get() {
            Some(last) => self.edges[last].next_parent = edge,
            None => node.first_parent = edge,
        }
    }

    /// The relation that was added last is one that the child does not know.
    fn unlist_last_parent(&mut self, child: BlockIndex) {
        if let Some(edge) = self.edges.last_mut() {
            edge.listed = Listed::AmongChildrenOnly;
            let node = &mut self.nodes[child];
            node.parent_count -= 1;
            node.listed_by_strangers = true;
        }
    }

    pub(super) fn check_room_for(&self, added: usize) -> Result<(), Fault> {
        if added <= MAX_RELATIONS.saturating_sub(self.edges.len()) {
            Ok(())
        } else {
            Err(Fault::TooManyRelations)
        }
    }

    /// Makes `block` the root and takes its parents away; they still list it as their child until
    /// [`Relations::prune`].
    pub(super) fn set_root(&mut self, block: BlockIndex) -> Result<(), Fault> {
        if !self.contains(block) {
            return Err(Fault::Absent(block));
        }
        self.root = block;
        let node = &mut self.nodes[block];
        let mut link = node.first_parent;
        node.listed_by_strangers |= node.parent_count > 0;
        node.first_parent = Link::NONE;
        node.last_parent = Link::NONE;
        node.parent_count = 0;
        while let Some(at) = link.get() {
            let edge = &mut self.edges[at];
            link = edge.next_parent;
            if edge.listed == Listed::OnBothSides {
                edge.listed = Listed::AmongChildrenOnly;
            }
        }
        Ok(())
    }

    /// Removes a block with all its relations. With [`Descendants::Keep`] each of its children,
    /// in order, is appended to the children of each of its parents, in order.
    pub(super) fn remove_block(
        &mut self,
        block: BlockIndex,
        descendants: Descendants,
    ) -> Result<(), Fault> {
        self.remove_block_noting(block, descendants, |_, _| ())
    }

    /// [`Relations::remove_block`], telling for each parent of the block which entry among its
    /// children has gone.
    pub(super) fn remove_block_noting(
        &mut self,
        block: BlockIndex,
        descendants: Descendants,
        mut unlisted: impl FnMut(BlockIndex, EdgeIndex),
    ) -> Result<(), Fault> {
        if !self.contains(block) {
            return Err(Fault::Absent(block));
        }
        self.check_known_to_children(block)?;
        let orphans = match descendants {
            Descendants::Remove => Vec::new(),
            Descendants::Keep => self.children(block).collect(),
        };
        let adopters: Vec<_> = match descendants {
            Descendants::Remove => Vec::new(),
            Descendants::Keep => self.parents(block).collect(),
        };
        self.check_room_for(orphans.len().saturating_mul(adopters.len()))?;

        self.forget_children(block);
        self.forget_parents(block, &mut unlisted);
        let node = &mut self.nodes[block];
        *node = Node {
            listed_by_strangers: node.listed_by_strangers,
            ..Node::ABSENT
        };
        self.len -= 1;

        for &child in &orphans {
            for &parent in &adopters {
                self.link(parent, child);
            }
        }
        Ok(())
    }

    /// Puts the children of a present block into the order of their keys, equal ones staying in
    /// theirs. The block becomes the last parent of each of them.
    pub(super) fn sort_children_by_key<K: Ord>(
        &mut self,
        block: BlockIndex,
        mut key: impl FnMut(BlockIndex) -> K,
    ) -> Result<(), Fault> {
        if !self.contains(block) {
            return Err(Fault::Absent(block));
        }
        self.check_known_to_children(block)?;
        let mut children: Vec<_> = self.children(block).collect();
        if children.is_sorted_by_key(|child| key(*child)) {
            return Ok(());
        }
        self.check_room_for(children.len())?;
        children.sort_by_key(|child| key(*child));
        self.forget_children(block);
        for child in children {
            self.link(block, child);
        }
        Ok(())
    }

    /// Drops what the root does not reach. Iteration order becomes post-order, and parents stand
    /// in the order in which they were visited.
    pub(super) fn prune(&mut self) {
        let mut pruned = Self::new(self.members(), self.root);
        pruned.reserve(self.len, self.edges.len());
        let mut walk = PostOrder::new(self, self.root);
        while let Some(block) = walk.next(self, |_| true) {
            if !self.contains(block) {
                continue;
            }
            pruned.insert(block);
            for child in self.children(block) {
                if pruned.contains(child) {
                    pruned.link(block, child);
                }
            }
        }
        *self = pruned;
    }

    /// Blocks of one cycle, each a child of the one before it and the first a child of the last.
    /// For structures on whose relations both sides agree.
    pub(super) fn find_cycle(&self) -> Option<Vec<BlockIndex>> {
        let mut waiting = self.nodes.map(|node| node.parent_count);
        let mut ready: Vec<_> = self
            .blocks()
            .filter(|&block| self.parent_count(block) == 0)
            .collect();
        while let Some(block) = ready.pop() {
            for child in self.children(block) {
                let waiting = &mut waiting[child];
                *waiting -= 1;
                if *waiting == 0 {
                    ready.push(child);
                }
            }
        }
        // Every block that still waits has a parent that waits, so going up ends in a cycle.
        let waits = |block: &BlockIndex| waiting[*block] > 0;
        let mut block = self.blocks().find(waits)?;
        let mut upwards = Vec::new();
        let mut place = PerBlock::new(self.members(), None);
        loop {
            if let Some(start) = place[block] {
                let mut cycle = upwards.split_off(start);
                cycle.reverse();
                return Some(cycle);
            }
            place[block] = Some(upwards.len());
            upwards.push(block);
            block = self.parents(block).find(waits)?;
        }
    }

    fn node(&self, block: BlockIndex) -> Option<&Node> {
        self.nodes.get(block)
    }

    fn child_edges(&self, block: BlockIndex) -> impl Iterator<Item = EdgeIndex> + Clone {
        let first = self.node(block).map_or(Link::NONE, |node| node.first_child);
        self.chain(first, |edge| edge.next_child)
            .filter(|edge| self.edges[edge.0].listed != Listed::Nowhere)
    }

    /// Entries that both sides know.
    fn parent_edges(&self, block: BlockIndex) -> impl Iterator<Item = EdgeIndex> + Clone {
        let first = self
            .node(block)
            .map_or(Link::NONE, |node| node.first_parent);
        self.chain(first, |edge| edge.next_parent)
            .filter(|edge| self.edges[edge.0].listed == Listed::OnBothSides)
    }

    /// All edges from `first` on, removed ones too.
    fn chain(
        &self,
        first: Link,
        next: impl Fn(&Edge) -> Link + Clone,
    ) -> impl Iterator<Item = EdgeIndex> + Clone {
        std::iter::successors(first.get(), move |&at| next(&self.edges[at]).get()).map(EdgeIndex)
    }

    /// Whether `to` is `from` or among its descendants.
    fn reaches(&self, from: BlockIndex, to: BlockIndex) -> bool {
        // A block without children is the common case, and needs no memory of what was seen.
        if from == to || self.children(from).next().is_none() {
            return from == to;
        }
        let mut seen = PerBlock::new(self.members(), false);
        let mut stack = vec![from];
        while let Some(block) = stack.pop() {
            for child in self.children(block) {
                if child == to {
                    return true;
                }
                if !std::mem::replace(&mut seen[child], true) {
                    stack.push(child);
                }
            }
        }
        false
    }

    fn check_known_to_children(&self, block: BlockIndex) -> Result<(), Fault> {
        let stranger = self
            .child_edges(block)
            .map(|edge| &self.edges[edge.0])
            .find(|edge| edge.listed == Listed::AmongChildrenOnly);
        match stranger {
            None => Ok(()),
            Some(edge) if self.contains(edge.child) => Err(Fault::OneSided {
                parent: block,
                child: edge.child,
            }),
            Some(edge) => Err(Fault::Absent(edge.child)),
        }
    }

    /// Both sides know all relations to the children: it was checked before.
    fn forget_children(&mut self, block: BlockIndex) {
        let mut link = self.nodes[block].first_child;
        while let Some(at) = link.get() {
            let edge = &mut self.edges[at];
            link = edge.next_child;
            if edge.listed == Listed::OnBothSides {
                edge.listed = Listed::Nowhere;
                self.nodes[edge.child].parent_count -= 1;
            }
        }
    }

    fn forget_parents(
        &mut self,
        block: BlockIndex,
        unlisted: &mut impl FnMut(BlockIndex, EdgeIndex),
    ) {
        let node = &self.nodes[block];
        let listed_by_strangers = node.listed_by_strangers;
        let mut link = node.first_parent;
        while let Some(at) = link.get() {
            let Edge { parent, listed, .. } = self.edges[at];
            link = self.edges[at].next_parent;
            if listed != Listed::OnBothSides {
                continue;
            }
            // The original removes the first entry among the parent's children. Entries that only
            // the parent knows are older, so where there may be some they have to be looked for.
            let first = if listed_by_strangers {
                self.first_entry(parent, block)
            } else {
                None
            };
            let first = first.unwrap_or(EdgeIndex(at));
            self.edges[at].listed = Listed::AmongChildrenOnly;
            self.edges[first.0].listed = Listed::Nowhere;
            unlisted(parent, first);
        }
    }

    fn first_entry(&self, parent: BlockIndex, child: BlockIndex) -> Option<EdgeIndex> {
        self.child_edges(parent)
            .find(|edge| self.edges[edge.0].child == child)
    }
}

impl Node {
    const ABSENT: Self = Self {
        slot: Link::NONE,
        first_child: Link::NONE,
        last_child: Link::NONE,
        first_parent: Link::NONE,
        last_parent: Link::NONE,
        parent_count: 0,
        listed_by_strangers: false,
    };

    fn is_present(&self) -> bool {
        self.slot != Link::NONE
    }
}

impl Link {
    const NONE: Self = Self(u32::MAX);

    /// The arrays stay far below 2^32 entries: [`MAX_RELATIONS`] bounds how often a block can be
    /// added again.
    #[expect(clippy::cast_possible_truncation, reason = "bounded by the limits")]
    fn to(position: usize) -> Self {
        debug_assert!(position < Self::NONE.0 as usize);
        Self(position as u32)
    }

    fn get(self) -> Option<usize> {
        (self != Self::NONE).then_some(self.0 as usize)
    }
}
