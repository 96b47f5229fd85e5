//! `split_test`: experiments, of which each learner sees one arm.

use std::collections::HashMap;

use super::group_access::{GroupAccess, course_partitions, field_access};
use super::settled;
use crate::error::Result;
use crate::field::FieldValue;
use crate::key::UsageKey;
use crate::modulestore::{Course, GroupId, PartitionId};
use crate::structure::{BlockIndex, BlockStructure, Descendants, RemovalFilter, Unyielded};
use crate::transformer::{Collected, Data, Reach, Transformation, Transformer};
use crate::version::Versions;

/// Removes experiments and puts their arms in their place, for staff too.
///
/// Which arm a learner sees is decided by [`UserPartitions`](super::UserPartitions): each arm
/// counts as restricted to the group that the experiment assigns to it. An arm without a group is
/// open to all, as in the original. Only partitions of the course itself count, inactive ones too;
/// where experiments share an arm, the later one decides.
///
/// Nothing is stored: a block's type is part of its key.
///
/// Source: `course_blocks/transformers/split_test.py`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SplitTest;

impl Transformer for SplitTest {
    type BlockData<'a> = ();
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        "split_test"
    }

    fn versions(&self) -> Versions {
        settled(1)
    }

    fn reach(&self) -> Reach {
        Reach::Subtree
    }

    fn collect(&self, course: &Course) -> Result<Collected<(), ()>> {
        Ok(Collected::new(course.structure().width(), ()))
    }

    fn filters<'a>(
        &'a self,
        _: &'a Data<(), ()>,
        transformation: &mut Transformation<'_>,
    ) -> Option<Vec<RemovalFilter<'a>>> {
        Some(vec![filter(transformation.structure())])
    }
}

/// Removes the experiments in a traversal of their own.
pub(super) fn remove_split_tests(structure: &mut BlockStructure) -> Result<()> {
    let filter = filter(structure);
    structure.remove_where(Unyielded::SkipDescendants, &mut [filter])
}

fn filter(structure: &BlockStructure) -> RemovalFilter<'static> {
    let mut is_split_test = vec![false; structure.width()];
    for block in structure.blocks() {
        is_split_test[block.as_usize()] = structure.key(block).block_type() == SPLIT_TEST;
    }
    RemovalFilter::new(Descendants::Keep, move |block: BlockIndex| {
        is_split_test.get(block.as_usize()) == Some(&true)
    })
}

/// Restricts the children of every experiment to their groups.
pub(super) fn restrict_arms(course: &Course, access: &mut [Option<GroupAccess>]) -> Result<()> {
    let structure = course.structure();
    let partitions = course_partitions(course);
    let is_split_test = |block| structure.key(block).block_type() == SPLIT_TEST;
    let root = structure.root();
    let experiments = structure.topological_where(root, Unyielded::VisitDescendants, is_split_test);
    for experiment in experiments {
        let id = course.field(experiment, "user_partition_id");
        let id = id.and_then(FieldValue::as_int).map(PartitionId::new);
        let Some(partition) = partitions.iter().find(|partition| Some(partition.id) == id) else {
            continue;
        };
        let groups = groups_of_arms(course, experiment, &partition.groups);
        for arm in structure.children(experiment) {
            let access = match &mut access[arm.as_usize()] {
                Some(access) => access,
                unset => unset.insert(field_access(course, arm)?),
            };
            let group = groups.get(&arm).copied();
            access.insert(partition.id, Some(Vec::from_iter(group)));
        }
    }
    Ok(())
}

const SPLIT_TEST: &str = "split_test";

/// Of several groups with one arm, the last one counts.
fn groups_of_arms(
    course: &Course,
    experiment: BlockIndex,
    groups: &[GroupId],
) -> HashMap<BlockIndex, GroupId> {
    let arms = course.field(experiment, "group_id_to_child");
    let arms = arms.and_then(FieldValue::as_dict);
    let arm_of = |group: GroupId| {
        let arm = arms?.get(&group.to_string())?.as_str()?;
        let key: UsageKey = arm.parse().ok()?;
        course.structure().position(&key)
    };
    let groups = groups.iter();
    groups
        .filter_map(|group| Some((arm_of(*group)?, *group)))
        .collect()
}
