//! `content_type_gate`: graded content that is kept for learners with full access.

use serde::{Deserialize, Serialize};

use super::group_access::{
    GroupAccess, active_partitions, field_access, merged_access, own_access,
};
use super::scoring::{has_score, is_graded, weight};
use super::settled;
use crate::error::Result;
use crate::field::FieldValue;
use crate::modulestore::{Course, GroupId, PartitionId};
use crate::structure::{BlockIndex, BlockStructure};
use crate::transformer::{Collected, Data, Reach, Transformation, Transformer};
use crate::version::Versions;

/// Where content is gated for the learner ([`UserContext::content_gating_enabled`]), restricts
/// what is graded, has a score and does not weigh 0 to the group with full access.
///
/// Nothing is removed: `group_access` of such a block becomes what restricts it anyway, together
/// with the group of full access unless the partition is restricted already. Where that group
/// alone is left, the block and all that is above it are marked `contains_gated_content`.
///
/// The original reads what `user_partitions` has collected. Here the part of it that is needed is
/// stored once more, so that each can change without the other.
///
/// Source: `features/content_type_gating/block_transformers.py`.
///
/// [`UserContext::content_gating_enabled`]: crate::UserContext::content_gating_enabled
#[derive(Clone, Copy, Debug, Default)]
pub struct ContentTypeGate;

/// What [`ContentTypeGate`] stores per block that can be gated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentTypeGateBlock {
    /// The groups that may see the block anyway: merged down the DAG, or the block's own field
    /// where the course has no active partition.
    pub group_access: GroupAccess,
}

const GROUP_ACCESS: &str = "group_access";
const CONTAINS_GATED_CONTENT: &str = "contains_gated_content";

impl Transformer for ContentTypeGate {
    type BlockData<'a> = ContentTypeGateBlock;
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        "content_type_gate"
    }

    fn versions(&self) -> Versions {
        settled(1)
    }

    fn reach(&self) -> Reach {
        Reach::Subtree
    }

    fn collect(&self, course: &Course) -> Result<Collected<ContentTypeGateBlock, ()>> {
        let structure = course.structure();
        let can_be_gated = |block: &BlockIndex| {
            is_graded(course, *block)
                && has_score(course, *block)
                && weight(course, *block) != Some(0.0)
        };
        let partitions = active_partitions(course);
        let own = own_access(course)?;
        let mut collected = Collected::new(structure.width(), ());
        if partitions.is_empty() {
            for block in structure.blocks().filter(can_be_gated) {
                let group_access = match &own[block.as_usize()] {
                    Some(own) => own.clone(),
                    None => field_access(course, block)?,
                };
                collected.set(block, ContentTypeGateBlock { group_access });
            }
        }
        for (block, merged) in merged_access(course, &partitions, &own)? {
            if can_be_gated(&block) {
                let access = merged.iter().map(|(partition, groups)| {
                    let groups = groups.iter().copied().collect();
                    (*partition, Some(groups))
                });
                let group_access = access.collect();
                collected.set(block, ContentTypeGateBlock { group_access });
            }
        }
        Ok(collected)
    }

    fn transform(
        &self,
        data: &Data<ContentTypeGateBlock, ()>,
        transformation: &mut Transformation<'_>,
    ) -> Result<()> {
        if !transformation.user().content_gating_enabled {
            return Ok(());
        }
        let (structure, outputs) = transformation.split();
        let mut contains_gated = vec![false; structure.width()];
        for block in structure.topological(structure.root()) {
            let Some(data) = data.block(block) else {
                continue;
            };
            let full_access = vec![GroupId::FULL_ACCESS];
            let mut access = data.group_access.clone();
            let gate = access.entry(PartitionId::CONTENT_GATE);
            let gate = gate.or_insert_with(|| Some(full_access.clone()));
            if *gate == Some(full_access) {
                mark_upwards(structure, block, &mut contains_gated);
            }
            let overrides = outputs.field_overrides(GROUP_ACCESS);
            overrides.set(block, field_value(&access));
        }
        let marks = outputs.field_overrides(CONTAINS_GATED_CONTENT);
        for block in structure.blocks() {
            if contains_gated[block.as_usize()] {
                marks.set(block, FieldValue::Bool(true));
            }
        }
        Ok(())
    }
}

fn mark_upwards(structure: &BlockStructure, block: BlockIndex, marks: &mut [bool]) {
    let mut next = vec![block];
    while let Some(block) = next.pop() {
        if !std::mem::replace(&mut marks[block.as_usize()], true) {
            next.extend(structure.parents(block));
        }
    }
}

fn field_value(access: &GroupAccess) -> FieldValue {
    let number = |group: &GroupId| FieldValue::Int(group.get());
    let groups = |groups: &Vec<GroupId>| FieldValue::List(groups.iter().map(number).collect());
    let entries = access.iter().map(|(partition, allowed)| {
        let allowed = allowed.as_ref().map_or(FieldValue::Null, groups);
        (partition.to_string(), allowed)
    });
    FieldValue::Dict(entries.collect())
}
