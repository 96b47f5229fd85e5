//! The block structure done naively: lists that are searched and shifted, walks as the rules
//! state them. Shared by the property tests and the fuzz target. It knows the public API only.

use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use courseblocks::{
    BlockIndex, BlockStructure, CourseKey, Descendants, ErrorKind, KeyTable, RemovalFilter,
    StructureBuilder, Unyielded, UsageKey,
};

/// Blocks are numbers, as they are in the structure.
pub(crate) type Block = u32;

/// Relations, repeats included, by which a model may have grown before [`check`] ends early:
/// removing blocks while keeping descendants can double them every time.
const ENOUGH_RELATIONS: usize = 2_000;

/// Something done to a structure, with all that decides its outcome.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    AddRelation(Block, Block),
    SetRoot(Block),
    RemoveBlock(Block, Descendants),
    RemoveWhere(Unyielded, Vec<(Answers, Descendants)>),
    PostOrderRemove(Answers, Descendants),
    /// By a number for each block; all are equal where there are none.
    SortChildren(Block, Vec<u8>),
    Prune,
    Topological(Block, Unyielded, Answers),
    PreOrder(Block, Answers),
    PostOrder(Block, Answers),
}

/// What a filter or condition answers.
#[derive(Clone, Debug)]
pub(crate) enum Answers {
    /// True for these blocks.
    In(BTreeSet<Block>),
    /// True for all other blocks.
    NotIn(BTreeSet<Block>),
    /// By the number of the call, over and over again. Empty: always true.
    Calls(Vec<bool>),
}

/// What there is to see of an operation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) yields: Vec<Block>,
    /// The number of the filter and the block that it was asked about.
    pub(crate) calls: Vec<(usize, Block)>,
    pub(crate) error: Option<ErrorKind>,
}

/// All there is to see of a structure: the root and, in iteration order, each block with its
/// children and parents.
pub(crate) type State = (Block, Vec<(Block, Vec<Block>, Vec<Block>)>);

/// Applies the operations to the model and to the real structure of the first `width` blocks, and
/// panics where they differ. Relations that would close a cycle are left out.
pub(crate) fn check(width: u32, relations: &[(Block, Block)], operations: &[Operation]) {
    let mut model = Model::new(width, 0);
    for &(parent, child) in relations {
        let _ = model.add_relation(parent, child);
    }
    let mut structure = model.put_together();
    assert_eq!(state(&structure), model.state());
    // Where no block is missing, numbers are ranks.
    if structure.len() == structure.width() {
        assert_eq!(model.build(), structure);
    }
    for operation in operations {
        let expected = model.apply(operation);
        assert_eq!(apply(&mut structure, operation), expected, "{operation:?}");
        assert_eq!(state(&structure), model.state(), "after {operation:?}");
        assert_eq!(structure.len(), model.order.len(), "after {operation:?}");
        if model.added.len() > ENOUGH_RELATIONS {
            break;
        }
    }
    structure.prune();
    assert_eq!(reload(&structure), structure);
}

/// A key whose rank among the keys of lower numbers is its number.
pub(crate) fn key(block: Block) -> UsageKey {
    let course: CourseKey = "course-v1:Org+Course+Run".parse().expect("a course key");
    course
        .usage_key("problem", &format!("{block:08}"))
        .expect("a usage key")
}

/// The structure that a reader makes of what a writer sees.
pub(crate) fn reload(structure: &BlockStructure) -> BlockStructure {
    BlockStructure::from_parts(
        structure.keys().clone(),
        structure.root(),
        structure.blocks(),
        structure.relations(),
    )
    .expect("parts of a structure")
}

pub(crate) fn state(structure: &BlockStructure) -> State {
    let numbers =
        |blocks: &mut dyn Iterator<Item = BlockIndex>| blocks.map(BlockIndex::get).collect();
    let blocks = structure.blocks().map(|block| {
        (
            block.get(),
            numbers(&mut structure.children(block)),
            numbers(&mut structure.parents(block)),
        )
    });
    (structure.root().get(), blocks.collect())
}

/// Does it to the real structure.
pub(crate) fn apply(structure: &mut BlockStructure, operation: &Operation) -> Outcome {
    let calls = RefCell::new(Vec::new());
    let index = |block: &Block| BlockIndex::new(*block);
    let condition = |number, answers| {
        let mut asking = Asking::new(number, answers);
        let calls = &calls;
        move |block: BlockIndex| asking.ask(block.get(), &mut calls.borrow_mut())
    };
    let filter = |number, (answers, descendants)| {
        RemovalFilter::new(descendants, condition(number, answers))
    };
    let mut yields: Vec<BlockIndex> = Vec::new();
    let result = match operation {
        Operation::AddRelation(parent, child) => {
            structure.add_relation(index(parent), index(child))
        }
        Operation::SetRoot(block) => structure.set_root(index(block)),
        Operation::RemoveBlock(block, descendants) => {
            structure.remove_block(index(block), *descendants)
        }
        Operation::RemoveWhere(unyielded, filters) => {
            let filters = filters
                .iter()
                .map(|(answers, descendants)| (answers, *descendants));
            let mut filters: Vec<_> = filters
                .enumerate()
                .map(|(number, parts)| filter(number, parts))
                .collect();
            structure.remove_where(*unyielded, &mut filters)
        }
        Operation::PostOrderRemove(answers, descendants) => structure
            .post_order_remove(&mut filter(0, (answers, *descendants)))
            .map(|blocks| yields = blocks),
        Operation::SortChildren(block, keys) => {
            structure.sort_children_by_key(index(block), |child| key_of(child.get(), keys))
        }
        Operation::Prune => {
            structure.prune();
            Ok(())
        }
        Operation::Topological(start, unyielded, answers) => {
            let filter = condition(0, answers);
            yields = structure
                .topological_where(index(start), *unyielded, filter)
                .collect();
            Ok(())
        }
        Operation::PreOrder(start, answers) => {
            let filter = condition(0, answers);
            yields = structure.pre_order_where(index(start), filter).collect();
            Ok(())
        }
        Operation::PostOrder(start, answers) => {
            let filter = condition(0, answers);
            yields = structure.post_order_where(index(start), filter).collect();
            Ok(())
        }
    };
    let error = result.err().map(|error| error.kind());
    Outcome {
        // The real traversal gives no yields with an error.
        yields: yields.into_iter().map(BlockIndex::get).collect(),
        calls: calls.take(),
        error,
    }
}

fn key_of(block: Block, keys: &[u8]) -> Option<u8> {
    keys.iter().cycle().nth(block as usize).copied()
}

/// A filter in use.
struct Asking<'a> {
    number: usize,
    answers: &'a Answers,
    asked: usize,
}

impl<'a> Asking<'a> {
    fn new(number: usize, answers: &'a Answers) -> Self {
        Self {
            number,
            answers,
            asked: 0,
        }
    }

    fn ask(&mut self, block: Block, calls: &mut Vec<(usize, Block)>) -> bool {
        calls.push((self.number, block));
        self.asked += 1;
        match self.answers {
            Answers::In(blocks) => blocks.contains(&block),
            Answers::NotIn(blocks) => !blocks.contains(&block),
            Answers::Calls(answers) if answers.is_empty() => true,
            Answers::Calls(answers) => answers[(self.asked - 1) % answers.len()],
        }
    }
}

/// The naive structure.
#[derive(Clone)]
struct Model {
    width: u32,
    root: Block,
    order: Vec<Block>,
    relations: HashMap<Block, Node>,
    /// Every relation added since the last pruning.
    added: Vec<(Block, Block)>,
}

#[derive(Clone, Default)]
struct Node {
    parents: Vec<Block>,
    children: Vec<Block>,
}

impl Model {
    fn new(width: u32, root: Block) -> Self {
        let mut model = Self {
            width,
            root,
            order: Vec::new(),
            relations: HashMap::new(),
            added: Vec::new(),
        };
        model.insert(root);
        model
    }

    fn put_together(&self) -> BlockStructure {
        let keys = KeyTable::from_sorted((0..self.width).map(key).collect());
        let index = BlockIndex::new;
        BlockStructure::from_parts(
            Arc::new(keys.expect("sorted keys")),
            index(self.root),
            self.order.iter().map(|block| index(*block)),
            self.added
                .iter()
                .map(|&(parent, child)| (index(parent), index(child))),
        )
        .expect("no cycles")
    }

    fn build(&self) -> BlockStructure {
        let mut builder = StructureBuilder::new(key(self.root));
        for &(parent, child) in &self.added {
            builder.add_relation(&key(parent), &key(child));
        }
        builder.build().expect("no cycles")
    }

    fn state(&self) -> State {
        let blocks = self
            .order
            .iter()
            .map(|&block| (block, self.children(block), self.parents(block)));
        (self.root, blocks.collect())
    }

    fn apply(&mut self, operation: &Operation) -> Outcome {
        let mut outcome = Outcome::default();
        let calls = &mut outcome.calls;
        let result = match operation {
            Operation::AddRelation(parent, child) => self.add_relation(*parent, *child),
            Operation::SetRoot(block) => self.set_root(*block),
            Operation::RemoveBlock(block, descendants) => self.remove_block(*block, *descendants),
            Operation::RemoveWhere(unyielded, filters) => {
                let mut filters: Vec<_> = filters
                    .iter()
                    .enumerate()
                    .map(|(number, (answers, descendants))| {
                        (Asking::new(number, answers), *descendants)
                    })
                    .collect();
                let keep = |model: &mut Self, block| {
                    for (asking, descendants) in &mut filters {
                        if asking.ask(block, calls) {
                            model.remove_block(block, *descendants)?;
                            return Ok(false);
                        }
                    }
                    Ok(true)
                };
                self.topological(self.root, *unyielded, keep).map(|_| ())
            }
            Operation::PostOrderRemove(answers, descendants) => {
                let mut asking = Asking::new(0, answers);
                let keep = |model: &mut Self, block| {
                    let removes = asking.ask(block, calls);
                    if removes {
                        model.remove_block(block, *descendants)?;
                    }
                    Ok(!removes)
                };
                let yields = self.post_order(self.root, keep);
                yields.map(|blocks| outcome.yields = blocks)
            }
            Operation::SortChildren(block, keys) => self.sort_children(*block, keys),
            Operation::Prune => {
                self.prune();
                Ok(())
            }
            Operation::Topological(start, unyielded, answers) => {
                let mut asking = Asking::new(0, answers);
                let yields =
                    self.topological(*start, *unyielded, |_, block| Ok(asking.ask(block, calls)));
                yields.map(|blocks| outcome.yields = blocks)
            }
            Operation::PreOrder(start, answers) => {
                let mut asking = Asking::new(0, answers);
                outcome.yields = self.pre_order(*start, |block| asking.ask(block, calls));
                Ok(())
            }
            Operation::PostOrder(start, answers) => {
                let mut asking = Asking::new(0, answers);
                let yields = self.post_order(*start, |_, block| Ok(asking.ask(block, calls)));
                yields.map(|blocks| outcome.yields = blocks)
            }
        };
        outcome.error = result.err();
        outcome
    }

    fn children(&self, block: Block) -> Vec<Block> {
        let node = self.relations.get(&block);
        node.map_or_else(Vec::new, |node| node.children.clone())
    }

    fn parents(&self, block: Block) -> Vec<Block> {
        let node = self.relations.get(&block);
        node.map_or_else(Vec::new, |node| node.parents.clone())
    }

    fn insert(&mut self, block: Block) {
        if let Entry::Vacant(entry) = self.relations.entry(block) {
            entry.insert(Node::default());
            self.order.push(block);
        }
    }

    fn node(&mut self, block: Block) -> Result<&mut Node, ErrorKind> {
        self.relations.get_mut(&block).ok_or(ErrorKind::NotFound)
    }

    fn add_relation(&mut self, parent: Block, child: Block) -> Result<(), ErrorKind> {
        if parent >= self.width || child >= self.width {
            return Err(ErrorKind::NotFound);
        }
        if self.pre_order(child, |_| true).contains(&parent) {
            return Err(ErrorKind::InvalidCourse);
        }
        self.append(parent, child);
        Ok(())
    }

    fn append(&mut self, parent: Block, child: Block) {
        self.insert(parent);
        self.insert(child);
        let node = self.relations.get_mut(&child).expect("it was inserted");
        node.parents.push(parent);
        let node = self.relations.get_mut(&parent).expect("it was inserted");
        node.children.push(child);
        self.added.push((parent, child));
    }

    fn set_root(&mut self, block: Block) -> Result<(), ErrorKind> {
        self.node(block)?.parents.clear();
        self.root = block;
        Ok(())
    }

    /// What the original leaves half done after an error is undone here.
    fn remove_block(&mut self, block: Block, descendants: Descendants) -> Result<(), ErrorKind> {
        let before = self.clone();
        let removed = self.try_remove_block(block, descendants);
        if removed.is_err() {
            *self = before;
        }
        removed
    }

    fn try_remove_block(
        &mut self,
        block: Block,
        descendants: Descendants,
    ) -> Result<(), ErrorKind> {
        let Node { parents, children } = self.node(block)?.clone();
        for &child in &children {
            remove_first(&mut self.node(child)?.parents, block)?;
        }
        for &parent in &parents {
            remove_first(&mut self.node(parent)?.children, block)?;
        }
        self.relations.remove(&block);
        self.order.retain(|other| *other != block);
        if descendants == Descendants::Keep {
            for &child in &children {
                for &parent in &parents {
                    self.append(parent, child);
                }
            }
        }
        Ok(())
    }

    fn sort_children(&mut self, block: Block, keys: &[u8]) -> Result<(), ErrorKind> {
        let before = self.clone();
        let sorted = self.try_sort_children(block, keys);
        if sorted != Ok(true) {
            *self = before;
        }
        sorted.map(|_| ())
    }

    /// Answers whether they were out of order.
    fn try_sort_children(&mut self, block: Block, keys: &[u8]) -> Result<bool, ErrorKind> {
        let mut children = std::mem::take(&mut self.node(block)?.children);
        for &child in &children {
            remove_first(&mut self.node(child)?.parents, block)?;
        }
        if children.is_sorted_by_key(|child| key_of(*child, keys)) {
            return Ok(false);
        }
        children.sort_by_key(|child| key_of(*child, keys));
        for child in children {
            self.append(block, child);
        }
        Ok(true)
    }

    fn prune(&mut self) {
        let mut pruned = Self::new(self.width, self.root);
        pruned.order.clear();
        pruned.relations.clear();
        let visited = self
            .post_order(self.root, |_, _| Ok(true))
            .expect("no filter fails");
        for block in visited {
            if self.relations.contains_key(&block) {
                pruned.insert(block);
                for child in self.children(block) {
                    if pruned.relations.contains_key(&child) {
                        pruned.append(block, child);
                    }
                }
            }
        }
        *self = pruned;
    }

    fn topological(
        &mut self,
        start: Block,
        unyielded: Unyielded,
        mut filter: impl FnMut(&mut Self, Block) -> Result<bool, ErrorKind>,
    ) -> Result<Vec<Block>, ErrorKind> {
        let mut yields = Vec::new();
        let mut results = HashMap::new();
        let mut stack = self.stack(start);
        while let Some(block) = stack.pop() {
            if block != start {
                let parents = self.parents(block);
                if !parents.iter().all(|parent| results.contains_key(parent)) {
                    continue;
                }
                let some_yielded = parents.iter().any(|parent| results[parent]);
                if unyielded == Unyielded::SkipDescendants && !some_yielded {
                    continue;
                }
            }
            if results.contains_key(&block) {
                continue;
            }
            stack.extend(self.children(block).into_iter().rev());
            let result = filter(self, block)?;
            if result {
                yields.push(block);
            }
            results.insert(block, result);
        }
        Ok(yields)
    }

    fn pre_order(&self, start: Block, mut filter: impl FnMut(Block) -> bool) -> Vec<Block> {
        let mut yields = Vec::new();
        let mut visited = BTreeSet::new();
        let mut stack = self.stack(start);
        while let Some(block) = stack.pop() {
            if visited.contains(&block) {
                continue;
            }
            let children = self.children(block).into_iter();
            stack.extend(children.filter(|child| !visited.contains(child)).rev());
            if filter(block) {
                yields.push(block);
            }
            visited.insert(block);
        }
        yields
    }

    fn post_order(
        &mut self,
        start: Block,
        mut filter: impl FnMut(&mut Self, Block) -> Result<bool, ErrorKind>,
    ) -> Result<Vec<Block>, ErrorKind> {
        let mut yields = Vec::new();
        let mut done = BTreeSet::new();
        // A block with how many of its children were passed.
        let mut stack: Vec<_> = self
            .stack(start)
            .into_iter()
            .map(|block| (block, 0))
            .collect();
        while let Some(&(block, passed)) = stack.last() {
            if done.contains(&block) || !filter(self, block)? {
                stack.pop();
                continue;
            }
            if let Some(&child) = self.children(block).get(passed) {
                stack.last_mut().expect("it was there").1 += 1;
                stack.push((child, 0));
            } else {
                yields.push(block);
                done.insert(block);
                stack.pop();
            }
        }
        Ok(yields)
    }

    /// Numbers that are no position in the table are not walked.
    fn stack(&self, start: Block) -> Vec<Block> {
        if start < self.width {
            vec![start]
        } else {
            vec![]
        }
    }
}

fn remove_first(list: &mut Vec<Block>, block: Block) -> Result<(), ErrorKind> {
    let at = list.iter().position(|other| *other == block);
    list.remove(at.ok_or(ErrorKind::NotFound)?);
    Ok(())
}
