//! The block structure: a course's graph of blocks, how it is walked and how blocks are removed
//! from it. It knows nothing of what transformers store, nor of bytes.

mod block_index;
mod builder;
mod key_table;
mod per_block;
mod relations;
mod removal;
mod traversal;

use std::fmt;
use std::sync::Arc;

pub use block_index::{BlockIndex, MAX_BLOCKS};
pub use builder::StructureBuilder;
pub use key_table::KeyTable;
pub use relations::MAX_RELATIONS;
pub use removal::{Descendants, RemovalFilter};
pub use traversal::Unyielded;

use crate::error::{Error, ErrorKind, Result};
use crate::key::UsageKey;
use per_block::Members;
use relations::{Fault, Relations};
use traversal::{PostOrder, PreOrder, Topological};

/// How many blocks of a cycle a message names.
const NAMED_BLOCKS: usize = 8;

/// A course's blocks: a root, and for every block the ordered lists of its parents and children.
///
/// Blocks are numbered by the order of their usage keys, removed ones included, so that a block's
/// [`BlockIndex`] is its position in every stored column of the course. Three orders are kept:
/// the iteration order ([`blocks`](Self::blocks)) and the order within each list of children and
/// of parents, in which a block stands as often as the relation was added. Following children
/// never leads back to the same block.
///
/// Indices that are no position in the key table are treated as absent blocks, except that a
/// traversal that starts there visits nothing.
///
/// A copy shares the keys and costs three allocations. A traversal takes time in proportion to
/// the relations that it meets, and a byte or more for each key of the table. Removing a block
/// takes time in proportion to its parents and children, or to their product when its descendants
/// are kept. What was removed takes up memory until [`prune`](Self::prune).
///
/// ```
/// use courseblocks::{CourseKey, Descendants, RemovalFilter, StructureBuilder, Unyielded};
///
/// let course: CourseKey = "course-v1:Demo+Intro+2026".parse()?;
/// let root = course.usage_key("course", "course")?;
/// let week = course.usage_key("chapter", "week1")?;
/// let exam = course.usage_key("chapter", "exam")?;
/// let quiz = course.usage_key("problem", "quiz")?;
///
/// let mut builder = StructureBuilder::new(root.clone());
/// builder
///     .add_relation(&root, &week)
///     .add_relation(&week, &quiz)
///     .add_relation(&root, &exam)
///     .add_relation(&exam, &quiz);
/// let mut structure = builder.build()?;
///
/// // One column of the course: what learners do not see, by block index.
/// let mut hidden = vec![false; structure.width()];
/// hidden[structure.position(&exam).ok_or("no exam")?.as_usize()] = true;
/// let unseen = RemovalFilter::new(Descendants::Remove, |block| hidden[block.as_usize()]);
/// structure.remove_where(Unyielded::SkipDescendants, &mut [unseen])?;
/// structure.prune();
///
/// let seen = structure.topological(structure.root()).map(|block| structure.key(block));
/// assert!(seen.eq([&root, &week, &quiz]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct BlockStructure {
    keys: Arc<KeyTable>,
    /// Invariant: as wide as `keys`, its root among them, and without cycles.
    relations: Relations,
}

impl BlockStructure {
    /// Puts a stored structure together again from `blocks` in iteration order and `relations`
    /// (parent, then child) in their order of addition, as [`blocks`](Self::blocks) and
    /// [`relations`](Self::relations) gave them. These two orders determine the ones within all
    /// lists. The root need not be among the blocks.
    ///
    /// # Errors
    /// `Damaged` if a block lies outside the table or stands twice, if a relation is to a block
    /// that is not listed, or if blocks are among their own descendants; `LimitExceeded` beyond
    /// [`MAX_RELATIONS`]. Takes time in proportion to the input and the table.
    pub fn from_parts(
        keys: Arc<KeyTable>,
        root: BlockIndex,
        blocks: impl IntoIterator<Item = BlockIndex>,
        relations: impl IntoIterator<Item = (BlockIndex, BlockIndex)>,
    ) -> Result<Self> {
        let damaged = |message: String| Error::new(ErrorKind::Damaged, message);
        let outside = |block: BlockIndex| {
            let (block, width) = (block.get(), keys.len());
            damaged(format!("block number {block} in a table of {width} keys"))
        };
        let root_key = keys.get(root).ok_or_else(|| outside(root))?;
        let blocks = blocks.into_iter();
        let added = relations.into_iter();
        let mut relations = Relations::new(&Members::Course(keys.len()), root);
        relations.reserve(blocks.size_hint().0, added.size_hint().0);
        for block in blocks {
            let key = keys.get(block).ok_or_else(|| outside(block))?;
            if relations.contains(block) {
                return Err(damaged(format!("block {key} is listed twice")));
            }
            relations.insert(block);
        }
        for (parent, child) in added {
            for block in [parent, child] {
                if !relations.contains(block) {
                    let key = keys.get(block).ok_or_else(|| outside(block))?;
                    return Err(damaged(format!(
                        "block {key} has relations but is not listed"
                    )));
                }
            }
            relations
                .check_room_for(1)
                .map_err(|_| too_many_relations(root_key))?;
            relations.link(parent, child);
        }
        refuse_cycle(&keys, &relations, ErrorKind::Damaged)?;
        Ok(Self { keys, relations })
    }

    /// Where traversals of the whole structure start. It may have been removed.
    #[must_use]
    pub fn root(&self) -> BlockIndex {
        self.relations.root()
    }

    /// The keys of all blocks that the structure was built with.
    #[must_use]
    pub fn keys(&self) -> &Arc<KeyTable> {
        &self.keys
    }

    /// The usage key of a block, present or removed.
    ///
    /// # Panics
    /// Outside the table, as indexing does: see [`KeyTable::get`] for indices that were read.
    #[must_use]
    pub fn key(&self, block: BlockIndex) -> &UsageKey {
        &self.keys.as_slice()[block.as_usize()]
    }

    /// The index of a block, present or removed, by its usage key.
    #[must_use]
    pub fn position(&self, key: &UsageKey) -> Option<BlockIndex> {
        self.keys.position(key)
    }

    /// How many entries each column of the course has: one for every key, removed blocks included.
    #[must_use]
    pub fn width(&self) -> usize {
        self.keys.len()
    }

    /// How many blocks are present.
    #[must_use]
    pub fn len(&self) -> usize {
        self.relations.len()
    }

    /// Whether no block is present.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the block is present.
    #[must_use]
    pub fn contains(&self, block: BlockIndex) -> bool {
        self.relations.contains(block)
    }

    /// The blocks that are present, in iteration order: that of insertion, and after
    /// [`prune`](Self::prune) post-order.
    #[must_use]
    pub fn blocks(&self) -> impl DoubleEndedIterator<Item = BlockIndex> + Clone {
        self.relations.blocks()
    }

    /// The children of a block, in order, repeats included. None for an absent block.
    pub fn children(&self, block: BlockIndex) -> impl Iterator<Item = BlockIndex> + Clone {
        self.relations.children(block)
    }

    /// The parents of a block, in order, repeats included. None for an absent block.
    pub fn parents(&self, block: BlockIndex) -> impl Iterator<Item = BlockIndex> + Clone {
        self.relations.parents(block)
    }

    /// All relations, parent and child, in the order in which they were added. Those that only
    /// the parent knows, after [`set_root`](Self::set_root), are left out.
    pub fn relations(&self) -> impl Iterator<Item = (BlockIndex, BlockIndex)> + Clone {
        self.relations.in_order_of_addition()
    }

    /// Every block that `start` reaches, after all of its parents: see
    /// [`topological_where`](Self::topological_where).
    pub fn topological(&self, start: BlockIndex) -> impl Iterator<Item = BlockIndex> {
        self.topological_where(start, Unyielded::SkipDescendants, |_| true)
    }

    /// Visits every block after all of its parents, so through whichever of them comes last, and
    /// yields those for which the filter, asked once a visit, answers true.
    ///
    /// A block is skipped without asking when one of its parents was not visited, and so is all
    /// that only it leads to: a block with a parent out of reach of `start` is never visited.
    /// Under [`Unyielded::SkipDescendants`] it is skipped too when none of its parents was yielded.
    /// `start` is visited whether or not it is present, and whatever its parents.
    pub fn topological_where(
        &self,
        start: BlockIndex,
        unyielded: Unyielded,
        mut filter: impl FnMut(BlockIndex) -> bool,
    ) -> impl Iterator<Item = BlockIndex> {
        let mut walk = Topological::new(&self.relations, start, unyielded);
        std::iter::from_fn(move || walk.next(&self.relations, &mut filter))
    }

    /// Every block that `start` reaches, before its children, through whichever parent comes
    /// first.
    pub fn pre_order(&self, start: BlockIndex) -> impl Iterator<Item = BlockIndex> {
        self.pre_order_where(start, |_| true)
    }

    /// The blocks of [`pre_order`](Self::pre_order) for which the filter answers true. Descendants
    /// of the others are visited all the same.
    pub fn pre_order_where(
        &self,
        start: BlockIndex,
        mut filter: impl FnMut(BlockIndex) -> bool,
    ) -> impl Iterator<Item = BlockIndex> {
        let mut walk = PreOrder::new(&self.relations, start);
        std::iter::from_fn(move || walk.next(&self.relations, &mut filter))
    }

    /// Every block that `start` reaches, after its children.
    pub fn post_order(&self, start: BlockIndex) -> impl Iterator<Item = BlockIndex> {
        self.post_order_where(start, |_| true)
    }

    /// Visits blocks depth-first and yields them after their children. The filter is asked every
    /// time the walk comes to a block: before each child and after the last. When it answers
    /// false, the walk turns back without yielding the block, and asks again where another parent
    /// leads to it.
    pub fn post_order_where(
        &self,
        start: BlockIndex,
        mut filter: impl FnMut(BlockIndex) -> bool,
    ) -> impl Iterator<Item = BlockIndex> {
        let mut walk = PostOrder::new(&self.relations, start);
        std::iter::from_fn(move || walk.next(&self.relations, &mut filter))
    }

    /// Appends `child` to the children of `parent` and `parent` to the parents of `child`. Blocks
    /// of the table that are absent become present, the parent first.
    ///
    /// # Errors
    /// `NotFound` outside the table, `InvalidCourse` if `parent` is `child` or among its
    /// descendants, `LimitExceeded` beyond [`MAX_RELATIONS`]. Nothing has changed then.
    pub fn add_relation(&mut self, parent: BlockIndex, child: BlockIndex) -> Result<()> {
        let added = self.relations.add_relation(parent, child);
        added.map_err(|fault| self.explain(fault))
    }

    /// Makes `block` the root and takes its parents away. Until [`prune`](Self::prune) they still
    /// list it as their child; removing one of them is an error meanwhile.
    ///
    /// # Errors
    /// `NotFound` if the block is absent.
    pub fn set_root(&mut self, block: BlockIndex) -> Result<()> {
        let set = self.relations.set_root(block);
        set.map_err(|fault| self.explain(fault))
    }

    /// Removes a block and its relations. Its descendants become children of its parents, or stay
    /// where other parents have them and are out of reach otherwise.
    ///
    /// # Errors
    /// `NotFound` if the block is absent or if a child does not know it as its parent (see
    /// [`set_root`](Self::set_root)); `LimitExceeded` if keeping descendants goes beyond
    /// [`MAX_RELATIONS`]. Nothing has changed then.
    pub fn remove_block(&mut self, block: BlockIndex, descendants: Descendants) -> Result<()> {
        let removed = self.relations.remove_block(block, descendants);
        removed.map_err(|fault| self.explain(fault))
    }

    /// Puts the children of a block into the order of their keys; those with equal keys stay in
    /// theirs. Unless nothing moves, each child then has the block as its last parent, until
    /// [`prune`](Self::prune) puts parents into their order again.
    ///
    /// # Errors
    /// `NotFound` if the block is absent or if a child does not know it as its parent (see
    /// [`set_root`](Self::set_root)); `LimitExceeded` beyond [`MAX_RELATIONS`]. Nothing has
    /// changed then.
    pub fn sort_children_by_key<K: Ord>(
        &mut self,
        block: BlockIndex,
        key: impl FnMut(BlockIndex) -> K,
    ) -> Result<()> {
        let sorted = self.relations.sort_children_by_key(block, key);
        sorted.map_err(|fault| self.explain(fault))
    }

    /// Removes blocks in one topological traversal from the root. Each visited block is put to the
    /// filters in order, until one removes it, and counts as yielded if none does (see
    /// [`topological_where`](Self::topological_where)). The children of a removed block are still
    /// come to, and skipped or visited by the parents that they have then.
    ///
    /// # Errors
    /// Those of [`remove_block`](Self::remove_block); blocks removed before stay removed.
    pub fn remove_where(
        &mut self,
        unyielded: Unyielded,
        filters: &mut [RemovalFilter<'_>],
    ) -> Result<()> {
        let removed = self.relations.remove_where(unyielded, filters);
        removed.map_err(|fault| self.explain(fault))
    }

    /// Removes blocks in one post-order traversal from the root, and answers the blocks that it
    /// yielded. The condition is asked as in [`post_order_where`](Self::post_order_where), true
    /// meaning no.
    ///
    /// Quirk of the original: when a block is removed, each of its parents that is being visited
    /// passes over its next child, which so escapes the condition.
    ///
    /// # Errors
    /// Those of [`remove_block`](Self::remove_block); blocks removed before stay removed.
    pub fn post_order_remove(&mut self, filter: &mut RemovalFilter<'_>) -> Result<Vec<BlockIndex>> {
        let yields = self.relations.post_order_remove(filter);
        yields.map_err(|fault| self.explain(fault))
    }

    /// A structure of its own for a part of the course: `root` and all that it leads to, in which
    /// `root` has no parents. Other parents of these blocks are there, but not what else those
    /// lead to, nor their parents. A traversal from the root, and pruning, give what they would
    /// after [`set_root`](Self::set_root) in the whole course; it shares the keys, and its columns
    /// are the course's.
    ///
    /// Takes time in proportion to the part.
    ///
    /// # Errors
    /// `NotFound` if the block is absent.
    pub fn below(&self, root: BlockIndex) -> Result<Self> {
        let relations = self.relations.below(root);
        Ok(Self {
            keys: Arc::clone(&self.keys),
            relations: relations.map_err(|fault| self.explain(fault))?,
        })
    }

    /// What the structure takes in memory, roughly, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.keys.memory_bytes() + self.relations.memory_bytes()
    }

    /// Drops every block that the root does not reach, and gives back the memory of what was
    /// removed. Iteration order becomes post-order, the root last; children stay in order, and
    /// parents stand in iteration order.
    pub fn prune(&mut self) {
        self.relations.prune();
    }

    fn name(&self, block: BlockIndex) -> String {
        match self.keys.get(block) {
            Some(key) => key.to_string(),
            None => format!("number {}", block.get()),
        }
    }

    fn explain(&self, fault: Fault) -> Error {
        let message = match fault {
            Fault::Absent(block) => {
                format!("block {} is not in the structure", self.name(block))
            }
            Fault::OutsideTable(block) => format!(
                "block number {} in a structure of {} keys",
                block.get(),
                self.width()
            ),
            Fault::OutsidePart(block) => format!(
                "block {} is not in this part of the structure",
                self.name(block)
            ),
            Fault::OneSided { parent, child } => format!(
                "block {} is not among the parents of its child {}",
                self.name(parent),
                self.name(child)
            ),
            Fault::Cycle { parent, child } => {
                let message = format!(
                    "block {} cannot become a child of its descendant {}",
                    self.name(child),
                    self.name(parent)
                );
                return Error::new(ErrorKind::InvalidCourse, message);
            }
            Fault::TooManyRelations => return too_many_relations(self.key(self.root())),
        };
        Error::new(ErrorKind::NotFound, message)
    }
}

/// Equal in their keys, in their root and in all three orders.
impl PartialEq for BlockStructure {
    fn eq(&self, other: &Self) -> bool {
        self.keys == other.keys
            && self.root() == other.root()
            && self.blocks().eq(other.blocks())
            && self.blocks().all(|block| {
                self.children(block).eq(other.children(block))
                    && self.parents(block).eq(other.parents(block))
            })
    }
}

impl Eq for BlockStructure {}

impl fmt::Debug for BlockStructure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockStructure")
            .field("root", self.key(self.root()))
            .field("len", &self.len())
            .field("width", &self.width())
            .finish_non_exhaustive()
    }
}

fn too_many_relations(root: &UsageKey) -> Error {
    let message = format!("the structure of {root} has more than {MAX_RELATIONS} relations");
    Error::new(ErrorKind::LimitExceeded, message)
}

/// For structures on whose relations both sides agree.
fn refuse_cycle(keys: &KeyTable, relations: &Relations, kind: ErrorKind) -> Result<()> {
    let Some(cycle) = relations.find_cycle() else {
        return Ok(());
    };
    let (first, rest) = cycle.split_at(cycle.len().min(NAMED_BLOCKS));
    let keys = first.iter().filter_map(|block| keys.get(*block));
    let mut named: Vec<_> = keys.map(ToString::to_string).collect();
    if !rest.is_empty() {
        named.push(format!("and {} more", rest.len()));
    }
    let list = named.join(", ");
    let message = format!("blocks are among their own descendants: {list}");
    Err(Error::new(kind, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::CourseKey;

    fn keys(count: u32) -> Arc<KeyTable> {
        let course: CourseKey = "course-v1:Org+Course+Run".parse().unwrap();
        let digits = (count - 1).to_string().len();
        let key = |number| {
            course
                .usage_key("html", &format!("b{number:0digits$}"))
                .unwrap()
        };
        Arc::new(KeyTable::from_sorted((0..count).map(key).collect()).unwrap())
    }

    fn index(block: u32) -> BlockIndex {
        BlockIndex::new(block)
    }

    /// With three keys.
    fn from_parts(root: u32, blocks: &[u32], relations: &[(u32, u32)]) -> Result<BlockStructure> {
        BlockStructure::from_parts(
            keys(3),
            index(root),
            blocks.iter().map(|block| index(*block)),
            relations
                .iter()
                .map(|&(parent, child)| (index(parent), index(child))),
        )
    }

    #[track_caller]
    fn check_damaged(root: u32, blocks: &[u32], relations: &[(u32, u32)], message: &str) {
        let error = from_parts(root, blocks, relations).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        let shown = error
            .to_string()
            .replace("block-v1:Org+Course+Run+type@html+block@", "");
        assert_eq!(shown, message);
    }

    #[test]
    fn parts_that_are_no_structure_are_refused() {
        check_damaged(3, &[0], &[], "block number 3 in a table of 3 keys");
        check_damaged(0, &[0, 3], &[], "block number 3 in a table of 3 keys");
        check_damaged(
            0,
            &[0, u32::MAX],
            &[],
            "block number 4294967295 in a table of 3 keys",
        );
        check_damaged(0, &[0, 1, 0], &[], "block b0 is listed twice");
        check_damaged(
            0,
            &[0],
            &[(0, 1)],
            "block b1 has relations but is not listed",
        );
        check_damaged(
            0,
            &[0],
            &[(1, 0)],
            "block b1 has relations but is not listed",
        );
        check_damaged(0, &[0], &[(0, 4)], "block number 4 in a table of 3 keys");
        check_damaged(
            0,
            &[0],
            &[(0, 0)],
            "blocks are among their own descendants: b0",
        );
        check_damaged(
            0,
            &[0, 1, 2],
            &[(0, 1), (1, 2), (2, 1)],
            "blocks are among their own descendants: b2, b1",
        );
    }

    #[test]
    fn parts_may_have_as_many_relations_as_the_limit_and_no_more() {
        let of = |count| {
            let relations = std::iter::repeat_n((index(0), index(1)), count);
            BlockStructure::from_parts(keys(2), index(0), [0, 1].map(index), relations)
        };
        let error = of(MAX_RELATIONS + 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);
        let mut structure = of(MAX_RELATIONS).unwrap();
        let error = structure.add_relation(index(0), index(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    }

    #[test]
    fn a_structure_may_lack_its_root_and_any_block() {
        let structure = from_parts(0, &[2, 1], &[(2, 1), (2, 1)]).unwrap();
        assert!(!structure.contains(structure.root()));
        assert_eq!(structure.len(), 2);
        assert!(structure.blocks().eq([index(2), index(1)]));
        assert!(from_parts(0, &[], &[]).unwrap().is_empty());
    }

    #[test]
    fn equality_sees_every_order() {
        let of =
            |blocks: &[u32], relations: &[(u32, u32)]| from_parts(0, blocks, relations).unwrap();
        let structure = of(&[0, 1, 2], &[(0, 1), (0, 2), (1, 2)]);
        assert_eq!(structure, structure.clone());
        // Children and parents do not change their order here.
        assert_eq!(structure, of(&[0, 1, 2], &[(0, 1), (0, 2), (1, 2)]));
        assert_ne!(structure, of(&[0, 2, 1], &[(0, 1), (0, 2), (1, 2)]));
        assert_ne!(structure, of(&[0, 1, 2], &[(0, 2), (0, 1), (1, 2)]));
        assert_ne!(structure, of(&[0, 1, 2], &[(0, 1), (1, 2), (0, 2)]));
        assert_ne!(structure, of(&[0, 1, 2], &[(0, 1), (0, 2)]));
        assert_ne!(
            structure,
            from_parts(1, &[0, 1, 2], &[(0, 1), (0, 2), (1, 2)]).unwrap()
        );
    }

    #[track_caller]
    fn check_refused(error: Result<()>, kind: ErrorKind, message: &str) {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), kind);
        let shown = error
            .to_string()
            .replace("block-v1:Org+Course+Run+type@html+block@", "");
        assert_eq!(shown, message);
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name_and_changes_nothing() {
        let mut structure = from_parts(0, &[0, 1], &[(0, 1)]).unwrap();
        let before = structure.clone();
        let absent = "block b2 is not in the structure";
        let outside = "block number 3 in a structure of 3 keys";
        let not_found = ErrorKind::NotFound;
        let remove = Descendants::Remove;
        check_refused(structure.set_root(index(2)), not_found, absent);
        check_refused(structure.remove_block(index(2), remove), not_found, absent);
        check_refused(
            structure.add_relation(index(0), index(3)),
            not_found,
            outside,
        );
        check_refused(
            structure.add_relation(index(3), index(3)),
            not_found,
            outside,
        );
        check_refused(
            structure.add_relation(index(1), index(0)),
            ErrorKind::InvalidCourse,
            "block b0 cannot become a child of its descendant b1",
        );
        assert_eq!(structure, before);

        structure.set_root(index(1)).unwrap();
        let before = structure.clone();
        check_refused(
            structure.remove_block(index(0), remove),
            not_found,
            "block b0 is not among the parents of its child b1",
        );
        assert_eq!(structure, before);
    }

    #[test]
    fn outside_the_table_there_is_nothing() {
        let structure = from_parts(0, &[0, 1], &[(0, 1)]).unwrap();
        for outside in [3, u32::MAX].map(index) {
            assert!(!structure.contains(outside));
            assert_eq!(structure.children(outside).count(), 0);
            assert_eq!(structure.parents(outside).count(), 0);
            assert_eq!(structure.topological(outside).count(), 0);
            assert_eq!(structure.pre_order(outside).count(), 0);
            assert_eq!(structure.post_order(outside).count(), 0);
        }
    }

    /// The former parent of a root lists it, without being known to it. Added to that parent
    /// once more, the block stands there twice; the original removes the first entry, so
    /// another one than the one that was added last.
    #[test]
    fn of_the_entries_of_a_former_root_the_first_one_goes() {
        let keys = keys(4);
        let blocks = [0, 1].map(index);
        let mut structure =
            BlockStructure::from_parts(keys, index(0), blocks, [(index(0), index(1))]).unwrap();
        structure.set_root(index(1)).unwrap();
        for (sibling, children_after) in [(2, vec![2, 1]), (3, vec![2, 3, 1])] {
            structure.add_relation(index(0), index(sibling)).unwrap();
            structure.add_relation(index(0), index(1)).unwrap();
            structure
                .remove_block(index(1), Descendants::Remove)
                .unwrap();
            let children = structure.children(index(0)).map(BlockIndex::get);
            assert_eq!(children.collect::<Vec<_>>(), children_after);
        }
    }

    #[test]
    fn keeping_descendants_cannot_multiply_relations_without_end() {
        // Every block of the ladder stands twice among the children of the one before it.
        let width = 40;
        let blocks = (0..width).map(index);
        let steps = (1..width).flat_map(|block| [(index(block - 1), index(block)); 2]);
        let mut structure =
            BlockStructure::from_parts(keys(width), index(0), blocks, steps).unwrap();
        let error = (1..width - 1)
            .find_map(|block| {
                structure
                    .remove_block(index(block), Descendants::Keep)
                    .err()
            })
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);
        assert!(structure.relations().count() <= MAX_RELATIONS);
        structure.prune();
        assert!(structure.contains(index(width - 1)));
    }
}
