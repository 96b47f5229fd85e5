//! `group_access`: which groups may see a block. Both what authors set and what it amounts to down
//! the DAG; not who is in which group.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::rc::Rc;

use super::budget::Budget;
use super::percolate::try_percolate;
use crate::error::{Error, ErrorKind, Result};
use crate::field::FieldValue;
use crate::modulestore::{Course, GroupId, PartitionId, UserPartition};
use crate::structure::BlockIndex;

/// What a block's field says, by partition. No groups, or none at all, mean all of them.
pub(super) type GroupAccess = BTreeMap<PartitionId, Option<Vec<GroupId>>>;

/// The groups that may see a block, for the partitions that restrict it. Here none means nobody.
pub(super) type MergedAccess = BTreeMap<PartitionId, BTreeSet<GroupId>>;

/// The course's own partitions, inactive ones too.
pub(super) fn course_partitions(course: &Course) -> Vec<UserPartition> {
    let root = course.structure().root();
    let field = course.field(root, "user_partitions");
    field.map_or_else(Vec::new, UserPartition::from_field)
}

/// The partitions that restrict something now: the course's, then those that the platform adds
/// under numbers that the course does not use itself.
pub(super) fn active_partitions(course: &Course) -> Vec<UserPartition> {
    let mut partitions = course_partitions(course);
    partitions.extend_from_slice(course.dynamic_partitions());
    let mut seen = HashSet::new();
    partitions.retain(|partition| seen.insert(partition.id) && partition.is_active);
    partitions
}

/// What is set on each block itself, by position. The children of an experiment count as
/// restricted to their groups.
pub(super) fn own_access(course: &Course) -> Result<Vec<Option<GroupAccess>>> {
    let structure = course.structure();
    let mut access = vec![None; structure.width()];
    for block in structure.blocks() {
        if let Some(value) = course.explicit_field(block, GROUP_ACCESS) {
            access[block.as_usize()] = Some(parse(course, block, value)?);
        }
    }
    super::split_test::restrict_arms(course, &mut access)?;
    Ok(access)
}

/// What the field has by itself or by inheritance.
pub(super) fn field_access(course: &Course, block: BlockIndex) -> Result<GroupAccess> {
    let value = course.field(block, GROUP_ACCESS);
    value.map_or_else(
        || Ok(GroupAccess::new()),
        |value| parse(course, block, value),
    )
}

/// Who may see each block, with all that is above it: over several parents whom any of them lets
/// through, and of those whom the block itself allows. Nothing where no partition is active.
pub(super) fn merged_access(
    course: &Course,
    partitions: &[UserPartition],
    own: &[Option<GroupAccess>],
) -> Result<Vec<(BlockIndex, Rc<MergedAccess>)>> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let partitions: HashSet<_> = partitions.iter().map(|partition| partition.id).collect();
    let mut budget = Budget::new("the groups");
    let unrestricted = Rc::new(MergedAccess::new());
    try_percolate(course, |block, parents: &[Rc<MergedAccess>]| {
        if parents.len() > 1 {
            for parent in parents {
                budget.charge(bytes_of(parent))?;
            }
        }
        let above = match parents {
            [] => Rc::clone(&unrestricted),
            [only] => Rc::clone(only),
            [first, others @ ..] => Rc::new(united(first, others)),
        };
        let Some(own) = &own[block.as_usize()] else {
            budget.charge(bytes_of(&above))?;
            return Ok(above);
        };
        let mut merged = above;
        for (partition, groups) in own {
            let Some(groups) = groups.as_ref().filter(|_| partitions.contains(partition)) else {
                continue;
            };
            if groups.is_empty() {
                continue;
            }
            let allowed: BTreeSet<_> = groups.iter().copied().collect();
            let merged = Rc::make_mut(&mut merged).entry(*partition);
            merged
                .and_modify(|above| above.retain(|group| allowed.contains(group)))
                .or_insert(allowed);
        }
        // Every block gets a copy of its own in the end.
        budget.charge(bytes_of(&merged))?;
        Ok(merged)
    })
}

fn bytes_of(access: &MergedAccess) -> usize {
    let groups = access.values().map(|groups| 1 + groups.len());
    groups.sum::<usize>() * size_of::<GroupId>()
}

/// A parent that does not restrict a partition opens it to everybody.
fn united(first: &MergedAccess, others: &[Rc<MergedAccess>]) -> MergedAccess {
    let mut united = first.clone();
    for other in others {
        united.retain(|partition, groups| {
            other
                .get(partition)
                .inspect(|others| groups.extend(others.iter()))
                .is_some()
        });
    }
    united
}

const GROUP_ACCESS: &str = "group_access";

/// A restriction that cannot be understood is an error: to leave it out would show what it hides.
fn parse(course: &Course, block: BlockIndex, value: &FieldValue) -> Result<GroupAccess> {
    let refused = |reason: &str| {
        let key = course.structure().key(block);
        let message = format!("the {GROUP_ACCESS} of {key} {reason}");
        Error::new(ErrorKind::InvalidCourse, message)
    };
    let mut access = GroupAccess::new();
    if *value == FieldValue::Null {
        return Ok(access);
    }
    let entries = value.as_dict();
    for (partition, groups) in entries.ok_or_else(|| refused("is no dictionary"))? {
        let id = partition.parse();
        let id = id.map_err(|_| refused("names a partition that is no number"))?;
        let groups = match groups {
            FieldValue::Null => None,
            FieldValue::List(groups) => {
                let ids = groups.iter().map(FieldValue::as_int);
                let ids = ids.map(|id| id.map(GroupId::new)).collect::<Option<_>>();
                Some(ids.ok_or_else(|| refused("names a group that is no number"))?)
            }
            _ => return Err(refused("has groups that are no list")),
        };
        access.insert(PartitionId::new(id), groups);
    }
    Ok(access)
}
