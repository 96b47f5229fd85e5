//! Puts the blocks that were read into one course: edges in the order in which the original finds
//! them, no block inside itself, and what children inherit. Knows no files and no XML.

use std::collections::HashMap;
use std::sync::Arc;

use super::field_types;
use super::findings::{Fault, Findings, Site};
use super::limits::Budget;
use super::reader::{Definition, Edge};
use crate::error::Result;
use crate::field::{FieldMap, FieldValue};
use crate::key::UsageKey;
use crate::modulestore::{Block, CourseBuilder, ProblemKind};

/// Adds every block below the root to the course. Definitions that nothing leads to are dropped:
/// another one took their place.
pub(super) fn assemble(
    definitions: HashMap<UsageKey, Definition>,
    root: &UsageKey,
    course: &mut CourseBuilder,
    budget: &mut Budget,
    errors: &mut Findings,
    warnings: &mut Findings,
) -> Result<()> {
    let mut assembly = Assembly {
        definitions,
        nodes: Vec::new(),
        places: HashMap::new(),
    };
    assembly.walk(root, course, errors, warnings);
    assembly.inherit(budget)?;
    for node in assembly.nodes {
        course.define(node.key, node.block);
    }
    Ok(())
}

struct Assembly {
    definitions: HashMap<UsageKey, Definition>,
    // In the order in which they were found.
    nodes: Vec<Node>,
    places: HashMap<UsageKey, usize>,
}

struct Node {
    key: UsageKey,
    block: Block,
    children: Vec<Child>,
    is_open: bool,
}

#[derive(Clone, Copy)]
struct Child {
    place: usize,
    is_ours_alone: bool,
}

/// A node whose children are being added.
struct Open {
    place: usize,
    file: Option<Arc<str>>,
    edges: std::vec::IntoIter<Edge>,
}

impl Assembly {
    /// Depth-first: an edge is added, and then the child is walked, unless it was before.
    fn walk(
        &mut self,
        root: &UsageKey,
        course: &mut CourseBuilder,
        errors: &mut Findings,
        warnings: &mut Findings,
    ) {
        let mut stack: Vec<Open> = self.enter(root).into_iter().collect();
        while let Some(open) = stack.last_mut() {
            let place = open.place;
            let Some(edge) = open.edges.next() else {
                if let Some(node) = self.nodes.get_mut(place) {
                    node.is_open = false;
                }
                stack.pop();
                continue;
            };
            let Some(parent) = self.nodes.get(place).map(|node| node.key.clone()) else {
                continue;
            };
            let site = Site {
                parent: Some(parent.clone()),
                position: edge.position,
                file: open.file.clone(),
                line: edge.line,
            };
            let known = self.places.get(&edge.child).copied();
            if known
                .and_then(|known| self.nodes.get(known))
                .is_some_and(|node| node.is_open)
            {
                let fault = Fault::new(ProblemKind::Cycle, "the block contains itself");
                errors.push(fault.at(&site));
                continue;
            }
            let entered = match known {
                Some(_) => None,
                None => self.enter(&edge.child),
            };
            let Some(child) = known.or(entered.as_ref().map(|entered| entered.place)) else {
                let fault = Fault::new(ProblemKind::DanglingReference, "the block is not defined");
                warnings.push(fault.at(&site));
                continue;
            };
            course.add_child(&parent, &edge.child);
            if let Some(node) = self.nodes.get_mut(place) {
                node.children.push(Child {
                    place: child,
                    is_ours_alone: edge.is_ours_alone,
                });
            }
            stack.extend(entered);
        }
    }

    /// `None` for a block that was never defined.
    fn enter(&mut self, key: &UsageKey) -> Option<Open> {
        let definition = self.definitions.remove(key)?;
        let place = self.nodes.len();
        self.places.insert(key.clone(), place);
        self.nodes.push(Node {
            key: key.clone(),
            block: definition.block,
            children: Vec::with_capacity(definition.children.len()),
            is_open: true,
        });
        Some(Open {
            place,
            file: definition.file,
            edges: definition.children.into_iter(),
        })
    }

    /// Hands every block what it inherits: first along the edges that the original has, and then
    /// along ours to the blocks that are still without.
    fn inherit(&mut self, budget: &mut Budget) -> Result<()> {
        let mut reached = vec![false; self.nodes.len()];
        if let Some(root) = reached.first_mut() {
            *root = true;
        }
        self.inherit_from(0, &mut reached, budget, |child| !child.is_ours_alone)?;
        for place in 0..self.nodes.len() {
            let node = self.nodes.get(place);
            let is_left = |child: &Child| reached.get(child.place) == Some(&false);
            let has_left = node.is_some_and(|node| node.children.iter().any(is_left));
            if has_left && reached.get(place) == Some(&true) {
                self.inherit_from(place, &mut reached, budget, |_| true)?;
            }
        }
        Ok(())
    }

    /// Of several parents, the one that the original visits last passes its values on. It visits
    /// every path, so its last one is the first when children are taken from the end.
    fn inherit_from(
        &mut self,
        start: usize,
        reached: &mut [bool],
        budget: &mut Budget,
        is_used: fn(Child) -> bool,
    ) -> Result<()> {
        let mut stack = vec![(start, self.passed_on(start, budget)?, 0_usize)];
        while let Some((place, values, taken)) = stack.last_mut() {
            let children = self
                .nodes
                .get(*place)
                .map_or(&[][..], |node| &node.children);
            *taken += 1;
            let next = children
                .len()
                .checked_sub(*taken)
                .and_then(|next| children.get(next));
            let Some(&child) = next else {
                stack.pop();
                continue;
            };
            let Some(is_reached) = reached.get_mut(child.place) else {
                continue;
            };
            if *is_reached || !is_used(child) {
                continue;
            }
            *is_reached = true;
            if let Some(node) = self.nodes.get_mut(child.place) {
                node.block.inherited = Arc::clone(values);
            }
            stack.push((child.place, self.passed_on(child.place, budget)?, 0));
        }
        Ok(())
    }

    /// What the children of a block inherit: what it inherits itself, and its own values over it.
    fn passed_on(&self, place: usize, budget: &mut Budget) -> Result<Arc<FieldMap>> {
        let Some(Node {
            block, children, ..
        }) = self.nodes.get(place)
        else {
            return Ok(Arc::default());
        };
        let mut own = block
            .fields
            .iter()
            .filter(|(name, _)| field_types::is_inherited(name))
            .peekable();
        if children.is_empty() || own.peek().is_none() {
            return Ok(Arc::clone(&block.inherited));
        }
        let mut values = FieldMap::clone(&block.inherited);
        values.extend(own.map(|(name, value)| (name.clone(), value.clone())));
        budget.charge_bytes(bytes_of_map(&values))?;
        Ok(Arc::new(values))
    }
}

/// About how much memory a copy takes.
fn bytes_of_map(map: &FieldMap) -> usize {
    map.iter()
        .map(|(name, value)| name.len() + bytes_of(value))
        .sum()
}

fn bytes_of(value: &FieldValue) -> usize {
    let inner = match value {
        FieldValue::String(text) => text.len(),
        FieldValue::List(values) => values.iter().map(bytes_of).sum(),
        FieldValue::Dict(map) => bytes_of_map(map),
        FieldValue::Null
        | FieldValue::Bool(_)
        | FieldValue::Int(_)
        | FieldValue::Float(_)
        | FieldValue::Date(_)
        | FieldValue::Seconds(_) => 0,
    };
    inner + size_of::<FieldValue>()
}
