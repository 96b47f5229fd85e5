//! The block structure against its naive model, and at sizes no course has.

#[path = "model/structure.rs"]
mod model;

use std::collections::BTreeSet;
use std::sync::Arc;

use courseblocks::{
    BlockIndex, BlockStructure, Descendants, KeyTable, RemovalFilter, Result, StructureBuilder,
    Unyielded,
};
use model::{Answers, Block, Operation};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn every_operation_does_what_the_rules_say(
        (width, relations, operations) in courses()
    ) {
        model::check(width, &relations, &operations);
    }

    #[test]
    fn what_is_below_a_block_is_what_the_whole_course_shows_from_there(
        (width, relations, operations) in courses(),
        filters in vec((answers(14), descendants()), 0..3),
        unyielded in unyielded(),
    ) {
        let relations: Vec<_> = relations.into_iter().filter(|(one, other)| one < other).collect();
        let mut whole = from_parts(width, 0, &(0..width).collect::<Vec<_>>(), &relations).unwrap();
        for operation in &operations {
            model::apply(&mut whole, operation);
        }
        for start in (0..width).map(BlockIndex::new) {
            let mut moved = whole.clone();
            let part = whole.below(start);
            prop_assert_eq!(part.is_ok(), moved.set_root(start).is_ok());
            let Ok(mut part) = part else { continue };
            prop_assert_eq!(part.width(), whole.width());
            prop_assert!(part.topological(start).eq(moved.topological(start)));
            prop_assert!(part.pre_order(start).eq(moved.pre_order(start)));
            prop_assert!(part.post_order(start).eq(moved.post_order(start)));
            prop_assert!(part.blocks().eq(moved.blocks().filter(|block| part.contains(*block))));
            for block in part.topological(start) {
                prop_assert!(part.children(block).eq(moved.children(block)));
                prop_assert!(part.parents(block).eq(moved.parents(block)));
            }
            let operation = Operation::RemoveWhere(unyielded, filters.clone());
            prop_assert_eq!(
                model::apply(&mut part, &operation),
                model::apply(&mut moved, &operation)
            );
            part.prune();
            moved.prune();
            prop_assert_eq!(model::state(&part), model::state(&moved));
        }
    }

    #[test]
    fn parts_are_put_together_exactly_if_they_are_a_structure(
        (width, root) in (1_u32..6, 0_u32..7),
        blocks in prop_oneof![Just((0..5).collect()), vec(0_u32..7, 0..7)],
        relations in vec((0_u32..6, 0_u32..6), 0..7),
    ) {
        let are_a_structure = root < width
            && blocks.iter().all(|block| *block < width)
            && blocks.iter().collect::<BTreeSet<_>>().len() == blocks.len()
            && relations.iter().all(|(one, other)| blocks.contains(one) && blocks.contains(other))
            && is_without_cycle(&relations);
        let structure = from_parts(width, root, &blocks, &relations);
        prop_assert_eq!(structure.is_ok(), are_a_structure);
        if let Ok(structure) = structure {
            prop_assert!(structure.blocks().map(BlockIndex::get).eq(blocks));
            let pair = |(parent, child): (BlockIndex, BlockIndex)| (parent.get(), child.get());
            prop_assert!(structure.relations().map(pair).eq(relations));
        }
    }
}

/// Whether nothing is left after taking away blocks without parents, over and over.
fn is_without_cycle(relations: &[(Block, Block)]) -> bool {
    let mut left = relations.to_vec();
    loop {
        let children: BTreeSet<_> = left.iter().map(|(_, child)| *child).collect();
        let before = left.len();
        left.retain(|(parent, _)| children.contains(parent));
        if left.len() == before {
            return left.is_empty();
        }
    }
}

fn from_parts(
    width: u32,
    root: Block,
    blocks: &[Block],
    relations: &[(Block, Block)],
) -> Result<BlockStructure> {
    let keys = KeyTable::from_sorted((0..width).map(model::key).collect())?;
    let index = BlockIndex::new;
    let blocks = blocks.iter().map(|block| index(*block));
    let relations = relations
        .iter()
        .map(|&(parent, child)| (index(parent), index(child)));
    BlockStructure::from_parts(Arc::new(keys), index(root), blocks, relations)
}

fn courses() -> impl Strategy<Value = (u32, Vec<(Block, Block)>, Vec<Operation>)> {
    // Among few blocks, operations meet more often.
    prop_oneof![1_u32..6, 6_u32..14].prop_flat_map(|width| {
        let relations = vec((0..width, 0..width), 0..40);
        // One number beyond the table is tried as well.
        let operations = vec(operation(width + 1), 0..16);
        (Just(width), relations, operations)
    })
}

fn operation(blocks: u32) -> impl Strategy<Value = Operation> {
    use Operation::*;
    let block = || 0..blocks;
    let some = || answers(blocks);
    prop_oneof![
        3 => (block(), block()).prop_map(|(parent, child)| AddRelation(parent, child)),
        2 => block().prop_map(SetRoot),
        2 => (block(), descendants()).prop_map(|(block, rest)| RemoveBlock(block, rest)),
        1 => (unyielded(), vec((some(), descendants()), 0..4))
            .prop_map(|(unyielded, filters)| RemoveWhere(unyielded, filters)),
        1 => (some(), descendants()).prop_map(|(answers, rest)| PostOrderRemove(answers, rest)),
        1 => (block(), vec(any::<u8>(), 0..6)).prop_map(|(block, keys)| SortChildren(block, keys)),
        1 => Just(Prune),
        1 => (block(), unyielded(), some())
            .prop_map(|(start, unyielded, answers)| Topological(start, unyielded, answers)),
        1 => (block(), some()).prop_map(|(start, answers)| PreOrder(start, answers)),
        1 => (block(), some()).prop_map(|(start, answers)| PostOrder(start, answers)),
    ]
}

fn answers(blocks: u32) -> impl Strategy<Value = Answers> {
    let count = usize::try_from(blocks).expect("a small number");
    let some = btree_set(0..blocks, 0..=count / 2);
    prop_oneof![
        some.clone().prop_map(Answers::In),
        some.prop_map(Answers::NotIn),
        vec(any::<bool>(), 0..12).prop_map(Answers::Calls),
    ]
}

fn descendants() -> impl Strategy<Value = Descendants> {
    prop_oneof![Just(Descendants::Keep), Just(Descendants::Remove)]
}

fn unyielded() -> impl Strategy<Value = Unyielded> {
    prop_oneof![
        Just(Unyielded::SkipDescendants),
        Just(Unyielded::VisitDescendants)
    ]
}

/// More blocks than any real course has.
const MANY: u32 = 100_000;

/// Code that searches lists over and over, or goes into depth by calling itself, does not come
/// back from this. A third of the blocks is removed in every way there is.
#[track_caller]
fn check_scale(relations: &[(Block, Block)]) {
    let all = usize::try_from(MANY).unwrap();
    let blocks: Vec<_> = (0..MANY).collect();
    let structure = from_parts(MANY, 0, &blocks, relations).unwrap();
    assert_eq!(structure.len(), all);
    let root = structure.root();
    assert_eq!(structure.topological(root).count(), all);
    assert_eq!(structure.pre_order(root).count(), all);
    assert_eq!(structure.post_order(root).count(), all);
    assert_eq!(structure, model::reload(&structure));

    let third = |block: BlockIndex| block.get() % 3 == 1;
    let kept = all - structure.blocks().filter(|block| third(*block)).count();
    for descendants in [Descendants::Keep, Descendants::Remove] {
        let filter = || RemovalFilter::new(descendants, third);

        let mut filtered = structure.clone();
        let mut filters = [filter(), filter()];
        filtered
            .remove_where(Unyielded::SkipDescendants, &mut filters)
            .unwrap();
        check_pruned(filtered, descendants, kept);

        let mut filtered = structure.clone();
        filtered
            .remove_where(Unyielded::VisitDescendants, &mut [filter()])
            .unwrap();
        assert_eq!(filtered.len(), kept);

        let mut filtered = structure.clone();
        filtered.post_order_remove(&mut filter()).unwrap();
        filtered.prune();

        let removed: Vec<_> = structure.blocks().filter(|block| third(*block)).collect();
        let backwards = removed.iter().rev().copied().collect();
        for removed in [removed, backwards] {
            let mut filtered = structure.clone();
            for block in removed {
                filtered.remove_block(block, descendants).unwrap();
            }
            assert_eq!(filtered.len(), kept);
            check_pruned(filtered, descendants, kept);
        }
    }
}

/// With its descendants kept, nothing is out of reach but what was removed.
#[track_caller]
fn check_pruned(mut structure: BlockStructure, descendants: Descendants, kept: usize) {
    structure.prune();
    match descendants {
        Descendants::Keep => assert_eq!(structure.len(), kept),
        Descendants::Remove => assert!(structure.len() <= kept),
    }
    assert_eq!(
        structure.topological(structure.root()).count(),
        structure.len()
    );
}

#[test]
fn a_chain_may_be_very_deep() {
    let chain: Vec<_> = (1..MANY).map(|block| (block - 1, block)).collect();
    check_scale(&chain);
}

#[test]
fn a_block_may_have_very_many_children() {
    let star: Vec<_> = (1..MANY).map(|block| (0, block)).collect();
    check_scale(&star);
}

#[test]
fn a_block_may_have_very_many_parents() {
    let last = MANY - 1;
    let fan: Vec<_> = (1..last)
        .flat_map(|block| [(0, block), (block, last)])
        .collect();
    check_scale(&fan);
}

#[test]
fn a_course_may_be_very_large() {
    check_scale(&course());
}

/// Chapters, sequentials, verticals and their components, depth-first. Each tenth component is in
/// the vertical before its own too.
fn course() -> Vec<(Block, Block)> {
    const MOST_CHILDREN: [u32; 4] = [50, 20, 11, 8];
    let mut relations = Vec::new();
    // The blocks above the present one, with how many children they have.
    let mut above: Vec<(Block, u32)> = vec![(0, 0)];
    let mut verticals = Vec::new();
    for block in 1..MANY {
        while above.last().map(|(_, children)| children) == MOST_CHILDREN.get(above.len() - 1) {
            above.pop();
        }
        let (parent, children) = above.last_mut().expect("room for all");
        *children += 1;
        relations.push((*parent, block));
        match above.len() {
            4 if block % 10 == 0 => {
                let before = verticals.iter().nth_back(1);
                relations.extend(before.map(|vertical| (*vertical, block)));
            }
            4 => {}
            depth => {
                if depth == 3 {
                    verticals.push(block);
                }
                above.push((block, 0));
            }
        }
    }
    relations
}

#[test]
fn a_structure_of_very_many_blocks_is_built_from_keys() {
    let mut builder = StructureBuilder::new(model::key(0));
    for block in 1..MANY {
        // Each other block on a chain, the rest around the root.
        let parent = if block % 2 == 0 { block - 2 } else { 0 };
        builder.add_relation(&model::key(parent), &model::key(block));
    }
    let structure = builder.build().unwrap();
    assert_eq!(
        structure.topological(structure.root()).count(),
        structure.len()
    );
}
