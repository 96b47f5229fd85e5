//! Building a structure from usage keys, block by block. It knows nothing of where courses come
//! from.

use std::collections::HashMap;
use std::sync::Arc;

use super::block_index::BlockIndex;
use super::key_table::KeyTable;
use super::per_block::Members;
use super::relations::Relations;
use super::{BlockStructure, refuse_cycle, too_many_relations};
use crate::error::{ErrorKind, Result};
use crate::key::UsageKey;

/// Collects the relations of one course in the order in which they are found.
///
/// Iteration order, and the order within every list of children and of parents, are those of the
/// calls. A walk over a course's source that adds each relation before it goes on to the child
/// gives the orders of the original.
#[derive(Debug)]
pub struct StructureBuilder {
    /// In the order of insertion, the root first.
    keys: Vec<UsageKey>,
    numbers: HashMap<UsageKey, usize>,
    /// Parent and child by their numbers.
    relations: Vec<(usize, usize)>,
}

impl StructureBuilder {
    /// A course that consists of its root.
    #[must_use]
    pub fn new(root: UsageKey) -> Self {
        Self {
            numbers: HashMap::from([(root.clone(), 0)]),
            keys: vec![root],
            relations: Vec::new(),
        }
    }

    /// Adds a block without relations, unless it is there already.
    pub fn add_block(&mut self, block: &UsageKey) -> &mut Self {
        self.number(block);
        self
    }

    /// Appends `child` to the children of `parent`, and `parent` to the parents of `child`. Adds
    /// the parent, then the child, where they are not there yet. A repeated relation stands twice.
    pub fn add_relation(&mut self, parent: &UsageKey, child: &UsageKey) -> &mut Self {
        let relation = (self.number(parent), self.number(child));
        self.relations.push(relation);
        self
    }

    /// The structure, its blocks numbered by the order of their keys.
    ///
    /// # Errors
    /// `InvalidCourse` if a block is among its own descendants, and `LimitExceeded` beyond
    /// [`MAX_BLOCKS`](super::MAX_BLOCKS) or [`MAX_RELATIONS`](super::MAX_RELATIONS).
    pub fn build(self) -> Result<BlockStructure> {
        let mut sorted: Vec<_> = self.keys.into_iter().zip(0_usize..).collect();
        sorted.sort_unstable();
        let (keys, numbers): (_, Vec<_>) = sorted.into_iter().unzip();
        let keys = Arc::new(KeyTable::from_sorted(keys)?);
        let mut indices = vec![BlockIndex::new(0); keys.len()];
        for (number, rank) in numbers.into_iter().zip(0..) {
            indices[number] = BlockIndex::new(rank);
        }

        let mut relations = Relations::new(&Members::Course(keys.len()), indices[0]);
        relations.reserve(indices.len(), self.relations.len());
        for &block in &indices {
            relations.insert(block);
        }
        if relations.check_room_for(self.relations.len()).is_err() {
            return Err(too_many_relations(&keys.as_slice()[indices[0].as_usize()]));
        }
        for (parent, child) in self.relations {
            relations.link(indices[parent], indices[child]);
        }
        refuse_cycle(&keys, &relations, ErrorKind::InvalidCourse)?;
        Ok(BlockStructure { keys, relations })
    }

    fn number(&mut self, block: &UsageKey) -> usize {
        if let Some(number) = self.numbers.get(block) {
            return *number;
        }
        let number = self.keys.len();
        self.numbers.insert(block.clone(), number);
        self.keys.push(block.clone());
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::CourseKey;

    fn key(id: &str) -> UsageKey {
        let course: CourseKey = "course-v1:Org+Course+Run".parse().unwrap();
        course.usage_key("html", id).unwrap()
    }

    fn ids<'a>(
        structure: &'a BlockStructure,
        blocks: impl Iterator<Item = BlockIndex> + 'a,
    ) -> Vec<&'a str> {
        blocks
            .map(|block| structure.key(block).block_id())
            .collect()
    }

    #[test]
    fn blocks_are_numbered_by_key_and_stand_in_the_order_of_insertion() {
        let mut builder = StructureBuilder::new(key("m"));
        builder
            .add_relation(&key("m"), &key("z"))
            .add_relation(&key("b"), &key("a"))
            .add_relation(&key("m"), &key("a"))
            .add_block(&key("c"))
            .add_block(&key("a"))
            .add_relation(&key("m"), &key("z"));
        let structure = builder.build().unwrap();
        let by_number = (0..5).map(BlockIndex::new);
        assert_eq!(ids(&structure, by_number), ["a", "b", "c", "m", "z"]);
        assert_eq!(
            ids(&structure, structure.blocks()),
            ["m", "z", "b", "a", "c"]
        );
        let (root, shared) = (structure.root(), BlockIndex::new(0));
        assert_eq!(ids(&structure, structure.children(root)), ["z", "a", "z"]);
        assert_eq!(ids(&structure, structure.parents(shared)), ["b", "m"]);
        assert_eq!(structure.position(&key("z")), Some(BlockIndex::new(4)));
        assert_eq!(structure.position(&key("y")), None);
        assert_eq!((structure.len(), structure.width()), (5, 5));
    }

    #[test]
    fn a_root_alone_is_a_structure() {
        let structure = StructureBuilder::new(key("root")).build().unwrap();
        assert_eq!(ids(&structure, structure.blocks()), ["root"]);
    }

    #[track_caller]
    fn check_cycle(relations: &[(&str, &str)], expected: &str) {
        let mut builder = StructureBuilder::new(key("root"));
        for (parent, child) in relations {
            builder.add_relation(&key(parent), &key(child));
        }
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidCourse);
        let expected = format!("blocks are among their own descendants: {expected}");
        let prefix = "block-v1:Org+Course+Run+type@html+block@";
        assert_eq!(error.to_string().replace(prefix, ""), expected);
    }

    #[test]
    fn a_cycle_is_refused_and_its_blocks_are_named() {
        check_cycle(&[("root", "root")], "root");
        check_cycle(&[("root", "a"), ("a", "root")], "a, root");
        // Neither what leads to the cycle nor what it leads to is named.
        check_cycle(
            &[
                ("root", "a"),
                ("a", "b"),
                ("b", "c"),
                ("c", "a"),
                ("c", "d"),
                ("d", "e"),
            ],
            "b, c, a",
        );
        // Out of reach of the root it is one too.
        check_cycle(&[("a", "b"), ("b", "a")], "b, a");
    }

    #[test]
    fn of_a_long_cycle_only_the_first_blocks_are_named() {
        let names: Vec<_> = (0..100).map(|number| format!("b{number:02}")).collect();
        let next = names.iter().skip(1).chain(&names[..1]);
        let relations: Vec<_> = names
            .iter()
            .map(String::as_str)
            .zip(next.map(String::as_str))
            .collect();
        check_cycle(
            &relations,
            "b01, b02, b03, b04, b05, b06, b07, b08, and 92 more",
        );
    }
}
