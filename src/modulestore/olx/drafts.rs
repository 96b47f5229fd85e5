//! The unpublished part of an export: which files are drafts, where they belong, and the blocks
//! below them. Knows nothing of the published blocks.

use std::collections::HashSet;

use super::element::Element;
use super::findings::{Fault, Findings};
use super::limits::Budget;
use super::path;
use super::policy::Policy;
use super::reader::{Branch, Definition, Opening, Place, Reader, block_type_of};
use super::source::Source;
use crate::error::Result;
use crate::key::{CourseKey, UsageKey};
use crate::modulestore::{Draft, DraftRoot, Drafts, ProblemKind};

/// What the text of every draft holds, and of no other file.
const MARK: &str = "index_in_children_list";

/// Reads all drafts. A file that cannot be read is skipped, and so is a child.
pub(super) fn read(source: &Source, course: &CourseKey, budget: &mut Budget) -> Result<Drafts> {
    let mut skipped = Findings::new(budget.problems());
    let mut found = find(source, course, &mut skipped);
    found.sort_by(|(a, _), (b, _)| (a.index, &a.path).cmp(&(b.index, &b.path)));

    let keys: HashSet<UsageKey> = found.iter().map(|(root, _)| root.key.clone()).collect();
    let policy = Policy::default();
    let mut reader = Reader::new(source, course, &policy, Branch::Drafts, budget);
    let mut roots = Vec::with_capacity(found.len());
    for (mut root, element) in found {
        root.subtree_root = !root
            .parent
            .as_ref()
            .is_some_and(|parent| keys.contains(parent));
        if root.subtree_root && !reader.definitions.contains_key(&root.key) {
            let opening = Opening {
                key: root.key.clone(),
                tag: element.tag.clone(),
                name: root.key.block_id().to_owned(),
                element,
                place: Place::File(root.path.as_str().into()),
            };
            if let Err(fault) = reader.read(opening)? {
                let fault = match fault.path {
                    Some(_) => fault,
                    None => fault.in_file(root.path),
                };
                skipped.push(fault.problem());
                continue;
            }
        }
        roots.push(root);
    }
    let blocks = reader.definitions.into_iter().map(draft);
    let mut blocks: Vec<Draft> = blocks.collect();
    blocks.sort_by(|a, b| a.key.cmp(&b.key));
    let mut problems = skipped.into_problems();
    problems.extend(reader.errors.into_problems());
    problems.extend(reader.warnings.into_problems());
    Ok(Drafts {
        roots,
        blocks,
        problems,
    })
}

/// Every file that is a draft, with its root element.
fn find(source: &Source, course: &CourseKey, skipped: &mut Findings) -> Vec<(DraftRoot, Element)> {
    let mut found = Vec::new();
    for name in source.names(path::DRAFTS) {
        match source.text(name) {
            Ok(text) if !text.contains(MARK) => {}
            Ok(text) => match Element::parse(text, None) {
                Ok(element) => match root(name, &element, course, skipped) {
                    Ok(root) => found.push((root, element)),
                    Err(fault) => skipped.push(fault.problem()),
                },
                Err(fault) => skipped.push(Fault::xml(name, &fault).problem()),
            },
            // Perhaps a draft, perhaps not: nobody will know.
            Err(why) => skipped.push(Fault::unreadable(name, why).problem()),
        }
    }
    found
}

fn root(
    name: &str,
    element: &Element,
    course: &CourseKey,
    skipped: &mut Findings,
) -> std::result::Result<DraftRoot, Fault> {
    let invalid = |message: String| Fault::new(ProblemKind::InvalidName, message).in_file(name);
    let key = course
        .usage_key(block_type_of(&element.tag), path::stem(name))
        .map_err(|error| invalid(error.to_string()))?;
    let parent = element
        .attribute("parent_url")
        .or_else(|| element.attribute("parent_sequential_url"));
    let parent = parent.and_then(|parent| {
        let parent = parent.parse::<UsageKey>();
        let parent = parent.and_then(|parent| parent.map_into_course(course));
        if parent.is_err() {
            skipped.push(invalid("the parent of the draft is no usage key".to_owned()).problem());
        }
        parent.ok()
    });
    let index = element
        .attribute(MARK)
        .and_then(|index| index.trim().parse().ok());
    Ok(DraftRoot {
        key,
        parent,
        index,
        path: name.to_owned(),
        subtree_root: true,
    })
}

fn draft((key, definition): (UsageKey, Definition)) -> Draft {
    let children = definition.children.into_iter().map(|edge| edge.child);
    Draft {
        key,
        block: definition.block,
        children: children.collect(),
    }
}
