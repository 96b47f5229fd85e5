//! `user_partitions`: what only some groups of learners may see.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::group_access::{MergedAccess, active_partitions, merged_access, own_access};
use super::settled;
use super::split_test::remove_split_tests;
use crate::error::Result;
use crate::field::FieldValue;
use crate::modulestore::{Course, GroupId, PartitionId};
use crate::structure::{BlockIndex, Descendants, RemovalFilter, Unyielded};
use crate::transformer::{Collected, Data, Reach, Transformation, Transformer, UserContext};
use crate::version::Versions;

/// Removes what is restricted to groups that the learner is not in: cohorts, enrollment tracks,
/// arms of experiments.
///
/// For each active partition a block's `group_access` may name groups; no groups mean all of them.
/// Whom several parents let through is united, and of those the block lets through whom it names
/// itself. Access is denied by every partition that restricts the block and in which the learner
/// has no group, none that the partition knows, or none that is allowed.
///
/// Experiments are removed first, for staff too ([`SplitTest`](super::SplitTest)); staff see
/// everything else. A denied block stays where a partition that denies it has a message
/// ([`UserContext::denial_messages`]). It is marked with the name of the first partition that
/// denies it (`authorization_denial_reason`) and with the first message
/// (`authorization_denial_message`).
///
/// Source: `course_blocks/transformers/user_partitions.py`.
#[derive(Clone, Copy, Debug, Default)]
pub struct UserPartitions;

/// What [`UserPartitions`] stores per block, where the course has active partitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPartitionsBlock {
    /// The groups that may see the block, for each partition that restricts it.
    pub merged_group_access: MergedAccess,
}

/// What [`UserPartitions`] stores for the course.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPartitionsCourse {
    /// The active partitions: the course's own, then those that the platform adds.
    pub user_partitions: Vec<StoredPartition>,
}

/// One of the partitions of [`UserPartitionsCourse`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPartition {
    /// Its number.
    pub id: PartitionId,
    /// Its name, which those are told whom it denies.
    pub name: String,
    /// Its groups.
    pub groups: Vec<GroupId>,
}

/// The field that names the partition which denies a block to this user.
pub(super) const DENIAL_REASON: &str = "authorization_denial_reason";

/// The field with what that partition has to say.
pub(super) const DENIAL_MESSAGE: &str = "authorization_denial_message";

impl Transformer for UserPartitions {
    type BlockData<'a> = UserPartitionsBlock;
    type CourseData<'a> = UserPartitionsCourse;

    fn name(&self) -> &'static str {
        "user_partitions"
    }

    fn versions(&self) -> Versions {
        settled(1)
    }

    fn reach(&self) -> Reach {
        Reach::Subtree
    }

    fn collect(
        &self,
        course: &Course,
    ) -> Result<Collected<UserPartitionsBlock, UserPartitionsCourse>> {
        let partitions = active_partitions(course);
        let merged = merged_access(course, &partitions, &own_access(course)?)?;
        let user_partitions = partitions.into_iter().map(|partition| StoredPartition {
            id: partition.id,
            name: partition.name,
            groups: partition.groups,
        });
        let for_course = UserPartitionsCourse {
            user_partitions: user_partitions.collect(),
        };
        let mut collected = Collected::new(course.structure().width(), for_course);
        for (block, access) in merged {
            let merged_group_access = MergedAccess::clone(&access);
            collected.set(
                block,
                UserPartitionsBlock {
                    merged_group_access,
                },
            );
        }
        Ok(collected)
    }

    fn transform(
        &self,
        data: &Data<UserPartitionsBlock, UserPartitionsCourse>,
        transformation: &mut Transformation<'_>,
    ) -> Result<()> {
        remove_split_tests(transformation.structure_mut())?;
        // Without a root, which may have been an experiment, there is nothing more to remove.
        let has_root = transformation.structure().contains(transformation.root());
        if transformation.user().is_staff || !has_root {
            return Ok(());
        }
        let doors = match data.course() {
            Some(course) if course.user_partitions.is_empty() => return Ok(()),
            Some(course) => doors(&course.user_partitions, transformation.user()),
            None => Vec::new(),
        };
        // Those that a block does not name are not asked: there may be many of either.
        let places = doors.iter().map(|door| door.partition.id).zip(0_usize..);
        let place_of: HashMap<_, _> = places.collect();
        let mut budget = Budget::new("the reasons for denying");
        let mut exceeded = None;
        let mut told = Vec::new();
        let denied = |block: BlockIndex| {
            // A block of which nothing is known is not shown.
            let Some(data) = data.block(block) else {
                return true;
            };
            let places = data.merged_group_access.keys();
            let mut places: Vec<_> = places.filter_map(|id| place_of.get(id).copied()).collect();
            places.sort_unstable();
            let restricting = places.into_iter().filter_map(|place| doors.get(place));
            let mut closed = restricting.filter(|door| door.is_closed(data));
            let Some(first) = closed.next() else {
                return false;
            };
            let mut messages = std::iter::once(first).chain(closed);
            let Some(message) = messages.find_map(|door| door.message.clone()) else {
                return true;
            };
            let name = &first.partition.name;
            if let Err(error) = budget.charge(name.len() + message.len()) {
                exceeded = Some(error);
                return true;
            }
            told.push((block, name.clone(), message));
            false
        };
        let filter = RemovalFilter::new(Descendants::Remove, denied);
        let structure = transformation.structure_mut();
        structure.remove_where(Unyielded::SkipDescendants, &mut [filter])?;
        if let Some(error) = exceeded {
            return Err(error);
        }
        let outputs = transformation.outputs_mut();
        for (block, reason, message) in told {
            let reasons = outputs.field_overrides(DENIAL_REASON);
            reasons.set(block, FieldValue::String(reason));
            let messages = outputs.field_overrides(DENIAL_MESSAGE);
            messages.set(block, FieldValue::String(message));
        }
        Ok(())
    }
}

/// One partition, as one user comes to it.
struct Door<'a> {
    partition: &'a StoredPartition,
    group: Option<GroupId>,
    message: Option<String>,
}

impl Door<'_> {
    fn is_closed(&self, block: &UserPartitionsBlock) -> bool {
        let allowed = block.merged_group_access.get(&self.partition.id);
        allowed.is_some_and(|allowed| !self.group.is_some_and(|group| allowed.contains(&group)))
    }
}

fn doors<'a>(partitions: &'a [StoredPartition], user: &UserContext) -> Vec<Door<'a>> {
    let door = |partition: &'a StoredPartition| {
        let group = user.groups.get(&partition.id).copied();
        let message = user.denial_messages.get(&partition.id);
        Door {
            partition,
            // A group that the partition does not have is no group.
            group: group.filter(|group| partition.groups.contains(group)),
            message: message.filter(|message| !message.is_empty()).cloned(),
        }
    };
    partitions.iter().map(door).collect()
}
