//! The graph of a course: traversals, removals and pruning, with every order in between. The naive
//! model goes the same ways.

use std::collections::BTreeSet;

use courseblocks::{
    BlockIndex, BlockStructure, Descendants, ErrorKind, StructureBuilder, Unyielded,
};
use serde::Deserialize;
use serde_json::Value;

use crate::model::{self, Answers, Block, Operation, Outcome, State};
use crate::report::Report;

/// Compares every case of `vectors`, the content of dag.json. Each one is gone through twice: with
/// the structure as it was built, and with what a reader makes of its parts.
pub(crate) fn run(vectors: &Value, report: &mut Report) {
    let vectors = Vectors::deserialize(vectors).expect("dag/1");
    assert_eq!(vectors.schema, "dag/1");
    for (kind, cases) in [("plain", vectors.plain), ("edge", vectors.edge)] {
        for case in cases {
            let found = case.problem(build(&case.edges, &case.steps));
            report.compare(kind, &case.id, &None, &found);
            let reloaded = model::reload(&build(&case.edges, &case.steps));
            let found = case.problem(reloaded);
            report.compare(&format!("{kind}, reloaded"), &case.id, &None, &found);
            check_model(&case.edges, &case.steps);
        }
    }
    for case in vectors.errors {
        let found = case.problem(build(&case.edges, &case.steps));
        report.compare("errors", &case.id, &None, &found);
        check_model(&case.edges, &case.steps);
    }
}

#[derive(Deserialize)]
struct Vectors {
    schema: String,
    plain: Vec<Case>,
    edge: Vec<Case>,
    errors: Vec<ErrorCase>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    edges: Vec<(Block, Block)>,
    steps: Vec<Step>,
    r#final: Final,
}

#[derive(Deserialize)]
struct Final {
    root: Block,
    relations: Relations,
}

#[derive(Deserialize)]
struct ErrorCase {
    id: String,
    edges: Vec<(Block, Block)>,
    steps: Vec<Step>,
    error: PythonError,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum PythonError {
    MissingBlock,
    NotInList,
}

type Relations = Vec<(Block, Vec<Block>, Vec<Block>)>;
type Calls<T> = Option<Vec<T>>;

/// An operation of the file with what is expected of it.
#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Step {
    Topo {
        start: Option<Block>,
        reject: Option<BTreeSet<Block>>,
        descendants_of_unyielded: bool,
        yields: Vec<Block>,
        filter_calls: Calls<Block>,
    },
    Post {
        start: Option<Block>,
        reject: Option<BTreeSet<Block>>,
        yields: Vec<Block>,
    },
    Pre {
        start: Option<Block>,
        reject: Option<BTreeSet<Block>>,
        yields: Vec<Block>,
    },
    Remove {
        block: Block,
        keep_descendants: bool,
    },
    RemoveTraversal {
        remove: BTreeSet<Block>,
        keep_descendants: bool,
        #[serde(default)]
        descendants_of_unyielded: bool,
        filter_calls: Calls<Block>,
        relations: Option<Relations>,
    },
    Combined {
        filters: Vec<Filter>,
        filter_calls: Calls<(usize, Block)>,
        relations: Option<Relations>,
    },
    PostRemove {
        remove: BTreeSet<Block>,
        keep_descendants: bool,
        yields: Option<Vec<Block>>,
        relations: Option<Relations>,
    },
    Prune {
        order: Option<Vec<Block>>,
    },
    SetRoot {
        block: Block,
        #[serde(default)]
        then_prune: bool,
    },
    State {
        relations: Option<Relations>,
    },
}

#[derive(Deserialize)]
struct Filter {
    remove: BTreeSet<Block>,
    keep_descendants: bool,
}

impl Case {
    fn problem(&self, mut structure: BlockStructure) -> Option<String> {
        for (number, step) in self.steps.iter().enumerate() {
            if let Err(problem) = step.check(&mut structure) {
                return Some(format!("step {number}: {problem}"));
            }
        }
        let expected = (self.r#final.root, self.r#final.relations.clone());
        differ("final", Some(&expected), &model::state(&structure)).err()
    }
}

impl ErrorCase {
    fn problem(&self, mut structure: BlockStructure) -> Option<String> {
        let expected = match self.error {
            PythonError::MissingBlock | PythonError::NotInList => ErrorKind::NotFound,
        };
        let steps = self.steps.iter();
        let mut errors: Vec<_> = steps.map(|step| step.apply(&mut structure).error).collect();
        let last = errors.pop()?;
        if let Some(error) = errors.into_iter().flatten().next() {
            return Some(format!("an early error: {error:?}"));
        }
        differ("error", Some(&Some(expected)), &last).err()
    }
}

impl Step {
    fn apply(&self, structure: &mut BlockStructure) -> Outcome {
        let operations = self.operations(structure.root().get());
        let mut outcome = Outcome::default();
        for operation in &operations {
            outcome = model::apply(structure, operation);
        }
        outcome
    }

    fn check(&self, structure: &mut BlockStructure) -> Result<(), String> {
        let outcome = self.apply(structure);
        differ("error", Some(&None), &outcome.error)?;
        let (_, relations): State = model::state(structure);
        let asked: Vec<_> = outcome.calls.iter().map(|(_, block)| *block).collect();
        match self {
            Self::Topo {
                yields,
                filter_calls,
                ..
            } => {
                differ("filter calls", filter_calls.as_ref(), &asked)?;
                differ("yields", Some(yields), &outcome.yields)
            }
            Self::Post { yields, .. } | Self::Pre { yields, .. } => {
                differ("yields", Some(yields), &outcome.yields)
            }
            Self::RemoveTraversal {
                filter_calls,
                relations: expected,
                ..
            } => {
                differ("filter calls", filter_calls.as_ref(), &asked)?;
                differ("relations", expected.as_ref(), &relations)
            }
            Self::Combined {
                filter_calls,
                relations: expected,
                ..
            } => {
                differ("filter calls", filter_calls.as_ref(), &outcome.calls)?;
                differ("relations", expected.as_ref(), &relations)
            }
            Self::PostRemove {
                yields,
                relations: expected,
                ..
            } => {
                differ("yields", yields.as_ref(), &outcome.yields)?;
                differ("relations", expected.as_ref(), &relations)
            }
            Self::Prune { order } => {
                let blocks = structure.blocks().map(BlockIndex::get).collect();
                differ("order", order.as_ref(), &blocks)
            }
            Self::State {
                relations: expected,
            } => differ("relations", expected.as_ref(), &relations),
            Self::Remove { .. } | Self::SetRoot { .. } => Ok(()),
        }
    }

    fn operations(&self, root: Block) -> Vec<Operation> {
        let one = |operation| vec![operation];
        match self {
            Self::Topo {
                start,
                reject,
                descendants_of_unyielded,
                ..
            } => one(Operation::Topological(
                start.unwrap_or(root),
                unyielded(*descendants_of_unyielded),
                all_but(reject.as_ref()),
            )),
            Self::Post { start, reject, .. } => one(Operation::PostOrder(
                start.unwrap_or(root),
                all_but(reject.as_ref()),
            )),
            Self::Pre { start, reject, .. } => one(Operation::PreOrder(
                start.unwrap_or(root),
                all_but(reject.as_ref()),
            )),
            Self::Remove {
                block,
                keep_descendants,
            } => one(Operation::RemoveBlock(
                *block,
                descendants(*keep_descendants),
            )),
            Self::RemoveTraversal {
                remove,
                keep_descendants,
                descendants_of_unyielded,
                ..
            } => one(Operation::RemoveWhere(
                unyielded(*descendants_of_unyielded),
                vec![(Answers::In(remove.clone()), descendants(*keep_descendants))],
            )),
            Self::Combined { filters, .. } => one(Operation::RemoveWhere(
                Unyielded::SkipDescendants,
                filters.iter().map(Filter::parts).collect(),
            )),
            Self::PostRemove {
                remove,
                keep_descendants,
                ..
            } => one(Operation::PostOrderRemove(
                Answers::In(remove.clone()),
                descendants(*keep_descendants),
            )),
            Self::Prune { .. } => one(Operation::Prune),
            Self::SetRoot {
                block,
                then_prune: false,
            } => one(Operation::SetRoot(*block)),
            Self::SetRoot {
                block,
                then_prune: true,
            } => vec![Operation::SetRoot(*block), Operation::Prune],
            Self::State { .. } => Vec::new(),
        }
    }

    /// The greatest number that it names.
    fn greatest(&self) -> Block {
        match self {
            Self::Topo { start, .. } | Self::Post { start, .. } | Self::Pre { start, .. } => {
                start.unwrap_or(0)
            }
            Self::Remove { block, .. } | Self::SetRoot { block, .. } => *block,
            _ => 0,
        }
    }
}

impl Filter {
    fn parts(&self) -> (Answers, Descendants) {
        let answers = Answers::In(self.remove.clone());
        (answers, descendants(self.keep_descendants))
    }
}

/// With a place in the table for every number up to the greatest one, so that numbers are ranks;
/// those that no edge names are put in and taken out.
fn build(edges: &[(Block, Block)], steps: &[Step]) -> BlockStructure {
    let mut builder = StructureBuilder::new(model::key(0));
    let mut present = BTreeSet::from([0]);
    for &(parent, child) in edges {
        builder.add_relation(&model::key(parent), &model::key(child));
        present.extend([parent, child]);
    }
    let absent: Vec<_> = (0..width(edges, steps))
        .filter(|block| !present.contains(block))
        .collect();
    for &block in &absent {
        builder.add_block(&model::key(block));
    }
    let mut structure = builder.build().expect("no cycle");
    for &block in &absent {
        let removed = structure.remove_block(BlockIndex::new(block), Descendants::Remove);
        removed.expect("it was put in");
    }
    structure
}

fn width(edges: &[(Block, Block)], steps: &[Step]) -> u32 {
    let ends = edges.iter().flat_map(|(parent, child)| [*parent, *child]);
    let named = steps.iter().map(Step::greatest);
    ends.chain(named).max().unwrap_or(0) + 1
}

/// Panics where the model and the structure go different ways.
fn check_model(edges: &[(Block, Block)], steps: &[Step]) {
    let mut root = 0;
    let mut operations = Vec::new();
    for step in steps {
        operations.extend(step.operations(root));
        if let Step::SetRoot { block, .. } = step {
            root = *block;
        }
    }
    model::check(width(edges, steps), edges, &operations);
}

/// An error where `expected` is known and `got` is not that.
fn differ<T: PartialEq + std::fmt::Debug>(
    what: &str,
    expected: Option<&T>,
    got: &T,
) -> Result<(), String> {
    match expected {
        Some(expected) if expected != got => {
            Err(format!("{what}: wanted {expected:?}, got {got:?}"))
        }
        _ => Ok(()),
    }
}

fn all_but(rejected: Option<&BTreeSet<Block>>) -> Answers {
    Answers::NotIn(rejected.cloned().unwrap_or_default())
}

fn descendants(keep: bool) -> Descendants {
    if keep {
        Descendants::Keep
    } else {
        Descendants::Remove
    }
}

fn unyielded(visit_descendants: bool) -> Unyielded {
    if visit_descendants {
        Unyielded::VisitDescendants
    } else {
        Unyielded::SkipDescendants
    }
}
