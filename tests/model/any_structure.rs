//! Any bytes as a course and what is done to it, against the naive structure. Shared by the property
//! tests and the fuzz target. It knows the public API only.

use courseblocks::{Descendants, Unyielded};

use crate::choices::{Bytes, Choices};
use crate::structure::{self, Answers, Block, Operation};

/// Relations and operations at most: the naive structure is slow, and shows everything with few.
const MAX_RELATIONS: u32 = 40;
const MAX_OPERATIONS: u32 = 24;

/// The structure that was chosen does what the naive one does.
pub(crate) fn check(bytes: &[u8]) {
    let choices = &mut Bytes::new(bytes);
    let width = 1 + choices.below(14);
    let relations = choices.below(MAX_RELATIONS);
    let relations: Vec<_> = (0..relations)
        .map(|_| (choices.below(width), choices.below(width)))
        .collect();
    let operations = choices.below(MAX_OPERATIONS);
    // One number beyond the table is tried as well.
    let operations: Vec<_> = (0..operations)
        .map(|_| any_operation(choices, width + 1))
        .collect();
    structure::check(width, &relations, &operations);
}

fn any_operation(choices: &mut impl Choices, blocks: u32) -> Operation {
    let block = choices.below(blocks);
    match choices.below(10) {
        0 => Operation::AddRelation(block, choices.below(blocks)),
        1 => Operation::SetRoot(block),
        2 => Operation::RemoveBlock(block, any_descendants(choices)),
        3 => {
            let unyielded = any_unyielded(choices);
            let filters = choices.below(4);
            let filter = |_| (any_answers(choices, blocks), any_descendants(choices));
            Operation::RemoveWhere(unyielded, (0..filters).map(filter).collect())
        }
        4 => Operation::PostOrderRemove(any_answers(choices, blocks), any_descendants(choices)),
        5 => {
            let keys = choices.below(6);
            let key = |_| u8::try_from(choices.below(4)).expect("below 4");
            Operation::SortChildren(block, (0..keys).map(key).collect())
        }
        6 => Operation::Prune,
        7 => {
            let unyielded = any_unyielded(choices);
            Operation::Topological(block, unyielded, any_answers(choices, blocks))
        }
        8 => Operation::PreOrder(block, any_answers(choices, blocks)),
        _ => Operation::PostOrder(block, any_answers(choices, blocks)),
    }
}

fn any_answers(choices: &mut impl Choices, blocks: u32) -> Answers {
    let manner = choices.below(3);
    let count = choices.below(8);
    let mut some = || -> Vec<Block> { (0..count).map(|_| choices.below(blocks)).collect() };
    match manner {
        0 => Answers::In(some().into_iter().collect()),
        1 => Answers::NotIn(some().into_iter().collect()),
        _ => Answers::Calls(some().into_iter().map(|answer| answer % 2 == 1).collect()),
    }
}

fn any_descendants(choices: &mut impl Choices) -> Descendants {
    choices.one_of(&[Descendants::Keep, Descendants::Remove])
}

fn any_unyielded(choices: &mut impl Choices) -> Unyielded {
    choices.one_of(&[Unyielded::SkipDescendants, Unyielded::VisitDescendants])
}
