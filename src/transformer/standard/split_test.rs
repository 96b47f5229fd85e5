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
    // Of several with one number, the first one counts.
    let mut numbered = HashMap::new();
    for partition in &partitions {
        numbered.entry(partition.id).or_insert(partition);
    }
    let mut places: HashMap<PartitionId, HashMap<GroupId, usize>> = HashMap::new();
    let is_split_test = |block| structure.key(block).block_type() == SPLIT_TEST;
    let root = structure.root();
    let experiments = structure.topological_where(root, Unyielded::VisitDescendants, is_split_test);
    for experiment in experiments {
        let id = course.field(experiment, "user_partition_id");
        let id = id.and_then(FieldValue::as_int).map(PartitionId::new);
        let Some(partition) = id.and_then(|id| numbered.get(&id)) else {
            continue;
        };
        let places = places.entry(partition.id);
        let groups = partition.groups.iter().copied().zip(0..);
        let places = places.or_insert_with(|| groups.collect());
        let groups = groups_of_arms(course, experiment, places);
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

/// Of several groups with one arm, the last one of the partition counts. Their places in it are
/// asked for each arm: a partition may have many more groups than an experiment has arms.
fn groups_of_arms(
    course: &Course,
    experiment: BlockIndex,
    places: &HashMap<GroupId, usize>,
) -> HashMap<BlockIndex, GroupId> {
    let arms = course.field(experiment, "group_id_to_child");
    let arms = arms.and_then(FieldValue::as_dict).into_iter().flatten();
    let group_of = |(id, arm): (&String, &FieldValue)| {
        let group = GroupId::new(id.parse().ok()?);
        // Not "07".
        let place = *places.get(&group).filter(|_| group.to_string() == *id)?;
        let key: UsageKey = arm.as_str()?.parse().ok()?;
        Some((place, course.structure().position(&key)?, group))
    };
    let mut groups: Vec<_> = arms.filter_map(group_of).collect();
    groups.sort_unstable_by_key(|(place, ..)| *place);
    let groups = groups.into_iter();
    groups.map(|(_, arm, group)| (arm, group)).collect()
}
