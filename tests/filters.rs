//! The stock filters on courses of any shape: what they remove together, in one traversal, is what
//! they remove one after another.

#[path = "common/joined.rs"]
mod joined;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use courseblocks::engine::MemoryEngine;
use courseblocks::modulestore::{Block, Course, CourseBuilder, ModuleStore, SourceVersion};
use courseblocks::{
    BlockIndex, BlockStructure, CourseKey, Descendants, FieldValue, Manager, Registry,
    RemovalFilter, Result, Store, Timestamp, Unyielded, UsageKey, UserContext,
};
use joined::joined;
use proptest::prelude::*;

/// A course in which every block has at least one parent of a smaller number; 0 is the root.
#[derive(Clone, Debug)]
struct Case {
    blocks: Vec<Shape>,
    /// Parent and child, in the order of the children.
    edges: Vec<(usize, usize)>,
    /// The filters, in the order in which they are asked for.
    order: Vec<&'static str>,
    now: Timestamp,
}

#[derive(Clone, Debug)]
struct Shape {
    block_type: &'static str,
    staff_only: Option<bool>,
    start: Option<Timestamp>,
    /// Which of the children were drawn, if the block is an item bank: by the number of the edge.
    drawn: u8,
}

const FILTERS: [&str; 4] = ["library_content", "start_date", "visibility", "split_test"];
const BANK: &str = "itembank";
const SPLIT_TEST: &str = "split_test";

impl Case {
    fn course_key() -> CourseKey {
        "course-v1:Org+Course+Run".parse().unwrap()
    }

    fn key(&self, block: usize) -> UsageKey {
        let id = format!("{block:03}");
        let block_type = self.blocks[block].block_type;
        Self::course_key().usage_key(block_type, &id).unwrap()
    }

    fn parents(&self, block: usize) -> impl Iterator<Item = usize> {
        let edges = self.edges.iter();
        edges.filter(move |edge| edge.1 == block).map(|edge| edge.0)
    }

    /// The distinct children that were drawn for the learner.
    fn drawn(&self, bank: usize) -> BTreeSet<usize> {
        let children = self.edges.iter().filter(|edge| edge.0 == bank);
        let drawn = children
            .enumerate()
            .filter(|(number, _)| self.blocks[bank].drawn >> (number % 8) & 1 == 1);
        drawn.map(|(_, edge)| edge.1).collect()
    }

    fn user(&self) -> UserContext {
        let mut user = UserContext::new(self.now);
        for bank in self.of_type(BANK) {
            let drawn = self.drawn(bank).into_iter();
            let drawn = drawn.map(|child| self.key(child)).collect();
            user.selections.insert(self.key(bank), drawn);
        }
        user
    }

    fn of_type(&self, block_type: &str) -> impl Iterator<Item = usize> {
        let blocks = self.blocks.iter().enumerate();
        blocks
            .filter(move |(_, shape)| shape.block_type == block_type)
            .map(|(block, _)| block)
    }

    /// What a filter removes, by the rule in words, for blocks whose parents come first.
    fn removes(&self, filter: &str) -> BTreeSet<usize> {
        let blocks = 0..self.blocks.len();
        match filter {
            "visibility" => {
                let mut staff_only = BTreeSet::new();
                for block in blocks {
                    let own = self.blocks[block].staff_only == Some(true);
                    let all = self
                        .parents(block)
                        .all(|parent| staff_only.contains(&parent));
                    if own || (block != 0 && all) {
                        staff_only.insert(block);
                    }
                }
                staff_only
            }
            "start_date" => {
                let never: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
                let mut opens = BTreeMap::new();
                for block in blocks {
                    let own = self.blocks[block].start;
                    let above = self.parents(block).map(|parent| opens[&parent]).min();
                    let merged = match (above, own) {
                        (None, own) => own.unwrap_or(never),
                        (Some(above), None) => above,
                        (Some(above), Some(own)) => above.max(own),
                    };
                    opens.insert(block, merged);
                }
                opens.retain(|_, opens| self.now <= *opens);
                opens.into_keys().collect()
            }
            "library_content" => {
                let edges = self.edges.iter();
                let banks: BTreeSet<_> = self.of_type(BANK).collect();
                let inside = edges.filter(|edge| banks.contains(&edge.0));
                let mut unselected: BTreeSet<_> = inside.map(|edge| edge.1).collect();
                for bank in banks {
                    unselected = &unselected - &self.drawn(bank);
                }
                unselected
            }
            SPLIT_TEST => self.of_type(SPLIT_TEST).collect(),
            other => panic!("no filter: {other}"),
        }
    }

    fn manager(&self) -> Manager {
        let store = Store::with_engine(Arc::new(MemoryEngine::new()));
        let registry = Registry::standard();
        let manager = Manager::new(Arc::new(store), Arc::new(registry), Arc::new(self.clone()));
        joined(manager)
    }

    /// What the filters leave as a manager runs them.
    fn together(&self, names: &[&str]) -> BlockStructure {
        let seen = self
            .manager()
            .get_transformed(&Self::course_key(), names, &self.user(), None)
            .unwrap();
        assert!(seen.outputs.selections().is_empty(), "nothing is drawn");
        seen.structure
    }

    fn filter(&self, structure: &BlockStructure, name: &str) -> RemovalFilter<'static> {
        let removes = self.removes(name).into_iter();
        let removes: BTreeSet<BlockIndex> = removes
            .map(|block| structure.position(&self.key(block)).unwrap())
            .collect();
        let descendants = match name {
            SPLIT_TEST => Descendants::Keep,
            _ => Descendants::Remove,
        };
        RemovalFilter::new(descendants, move |block| removes.contains(&block))
    }

    /// The framework's order: a block is put to one filter after another until one removes it,
    /// then it is the next block's turn.
    fn block_by_block(&self) -> BlockStructure {
        let mut structure = self.whole();
        let names = self.order.iter();
        let mut filters: Vec<_> = names.map(|name| self.filter(&structure, name)).collect();
        structure
            .remove_where(Unyielded::SkipDescendants, &mut filters)
            .unwrap();
        structure.prune();
        structure
    }

    /// A filter after another, each in a traversal of its own.
    fn filter_by_filter(&self) -> BlockStructure {
        let mut structure = self.whole();
        for name in &self.order {
            let filter = self.filter(&structure, name);
            structure
                .remove_where(Unyielded::SkipDescendants, &mut [filter])
                .unwrap();
        }
        structure.prune();
        structure
    }

    fn whole(&self) -> BlockStructure {
        self.load(&Self::course_key()).unwrap().structure().clone()
    }
}

impl ModuleStore for Case {
    fn source_version(&self, _: &CourseKey) -> Result<SourceVersion> {
        SourceVersion::new("1")
    }

    fn load(&self, course: &CourseKey) -> Result<Course> {
        let version = self.source_version(course)?;
        let mut builder = CourseBuilder::new(course.clone(), self.key(0), version);
        for (parent, child) in &self.edges {
            builder.add_child(&self.key(*parent), &self.key(*child));
        }
        for (number, shape) in self.blocks.iter().enumerate() {
            let mut block = Block::default();
            let staff_only = shape.staff_only.map(FieldValue::Bool);
            let start = shape.start.map(FieldValue::Date);
            let drawn = i64::try_from(self.drawn(number).len()).unwrap();
            let fields = [
                ("visible_to_staff_only", staff_only),
                ("start", start),
                ("max_count", Some(FieldValue::Int(drawn))),
            ];
            for (name, value) in fields {
                block
                    .fields
                    .extend(value.map(|value| (name.to_owned(), value)));
            }
            builder.define(self.key(number), block);
        }
        builder.build()
    }
}

fn moment() -> impl Strategy<Value = Timestamp> {
    let moments = [
        "2026-01-01T00:00:00Z",
        "2026-02-01T00:00:00Z",
        "2031-01-01T00:00:00Z",
    ];
    let moments = moments.map(|moment| moment.parse().unwrap());
    prop::sample::select(moments.to_vec())
}

fn shape() -> impl Strategy<Value = Shape> {
    let block_type = prop_oneof![
        4 => Just("vertical"),
        1 => Just(BANK),
        1 => Just(SPLIT_TEST),
    ];
    let staff_only = prop_oneof![4 => Just(None), 1 => any::<bool>().prop_map(Some)];
    let start = prop::option::weighted(0.3, moment());
    (block_type, staff_only, start, any::<u8>()).prop_map(
        |(block_type, staff_only, start, drawn)| Shape {
            block_type,
            staff_only,
            start,
            drawn,
        },
    )
}

/// The root stays: it opens first, and is nothing but a course.
fn case(parents: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Case> {
    let order = Just(FILTERS.to_vec()).prop_shuffle();
    let blocks = prop::collection::vec(shape(), 1..12);
    (blocks, order, moment()).prop_flat_map(move |(mut blocks, order, now)| {
        let root = Shape {
            block_type: "course",
            staff_only: None,
            start: Some("2025-01-01T00:00:00Z".parse().unwrap()),
            drawn: 0,
        };
        blocks.insert(0, root);
        let parents = parents.clone();
        let parents_of = move |child: usize| {
            prop::collection::vec(0..child, parents.clone()).prop_map(move |parents| {
                let edges = parents.into_iter().map(|parent| (parent, child));
                edges.collect::<Vec<_>>()
            })
        };
        let edges: Vec<_> = (1..blocks.len()).map(parents_of).collect();
        edges.prop_map(move |edges| Case {
            blocks: blocks.clone(),
            edges: edges.concat(),
            order: order.clone(),
            now,
        })
    })
}

fn keys(structure: &BlockStructure) -> BTreeSet<&UsageKey> {
    let blocks = structure.blocks();
    blocks.map(|block| structure.key(block)).collect()
}

proptest! {
    #[test]
    fn in_any_course_a_block_is_put_to_one_filter_after_another(case in case(1..=3)) {
        prop_assert_eq!(case.together(&case.order), case.block_by_block());
    }

    #[test]
    fn in_a_tree_filters_share_a_traversal_as_if_each_had_its_own(case in case(1..=1)) {
        prop_assert_eq!(case.together(&case.order), case.filter_by_filter());
    }

    /// Filters that take away what is below, that is: one that keeps it brings blocks before the
    /// others that would not have come to them.
    #[test]
    fn in_a_tree_a_user_sees_what_every_filter_alone_would_show(mut case in case(1..=1)) {
        case.order.retain(|name| *name != SPLIT_TEST);
        let together = case.together(&case.order);
        let all: BTreeSet<_> = (0..case.blocks.len()).map(|block| case.key(block)).collect();
        let mut by_each: BTreeSet<_> = all.iter().collect();
        for name in &case.order {
            let alone = case.together(&[name]);
            let left = keys(&alone);
            by_each.retain(|key| left.contains(key));
        }
        prop_assert_eq!(keys(&together), by_each);
    }
}
