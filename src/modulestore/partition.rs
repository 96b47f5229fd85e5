//! How the learners of a course are divided into groups. It knows which groups there are, not who
//! is in which.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::field::{FieldMap, FieldValue};

/// The number of a user partition within its course.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PartitionId(i64);

/// The number of a group within its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GroupId(i64);

impl PartitionId {
    /// The partition of enrollment tracks, which the platform adds to every course.
    pub const ENROLLMENT_TRACK: Self = Self(50);
    /// The partition by which graded content is kept for learners who paid.
    pub const CONTENT_GATE: Self = Self(51);

    /// The partition `id`.
    #[must_use]
    pub const fn new(id: i64) -> Self {
        Self(id)
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl GroupId {
    /// The group of the content gate that may see everything.
    pub const FULL_ACCESS: Self = Self(2);

    /// The group `id`.
    #[must_use]
    pub const fn new(id: i64) -> Self {
        Self(id)
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A way of dividing a course's learners into groups: cohorts, the arms of an experiment,
/// enrollment tracks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserPartition {
    /// Its number, by which blocks refer to it.
    pub id: PartitionId,
    /// What it is called; denied learners are told.
    pub name: String,
    /// Whether it restricts anything now.
    pub is_active: bool,
    /// Its groups.
    pub groups: Vec<GroupId>,
}

impl UserPartition {
    /// The partitions that the platform adds to a course of which nothing more is known: that of
    /// enrollment tracks, with every track that there is by default, and that of the content gate.
    #[must_use]
    pub fn stock() -> Vec<Self> {
        let partition = |id, name: &str, groups: std::ops::RangeInclusive<i64>| Self {
            id,
            name: name.to_owned(),
            is_active: true,
            groups: groups.map(GroupId).collect(),
        };
        vec![
            partition(
                PartitionId::ENROLLMENT_TRACK,
                "Enrollment Track Groups",
                1..=12,
            ),
            partition(
                PartitionId::CONTENT_GATE,
                "Feature-based Enrollments",
                1..=2,
            ),
        ]
    }

    /// The partitions in the value of a course's field `user_partitions`. One that cannot be read
    /// as a whole keeps what can be read of it, so that what it restricts stays restricted; one
    /// without a number is left out, since no block can refer to it.
    #[must_use]
    pub fn from_field(value: &FieldValue) -> Vec<Self> {
        let partitions = value.as_list().unwrap_or_default();
        partitions.iter().filter_map(Self::from_entry).collect()
    }

    fn from_entry(entry: &FieldValue) -> Option<Self> {
        let entry = entry.as_dict()?;
        let id = number(entry)?;
        let name = entry.get("name").and_then(FieldValue::as_str);
        let groups = entry.get("groups").and_then(FieldValue::as_list);
        let groups = groups.unwrap_or_default().iter();
        Some(Self {
            id: PartitionId(id),
            name: name.map_or_else(|| id.to_string(), str::to_owned),
            is_active: entry.get("active").and_then(FieldValue::as_bool) != Some(false),
            groups: groups
                .filter_map(|group| number(group.as_dict()?).map(GroupId))
                .collect(),
        })
    }
}

fn number(entry: &FieldMap) -> Option<i64> {
    let id = entry.get("id")?;
    id.as_int().or_else(|| id.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dict(entries: &[(&str, FieldValue)]) -> FieldValue {
        let entries = entries.iter();
        FieldValue::Dict(
            entries
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
        )
    }

    #[test]
    fn of_a_partition_that_cannot_be_read_as_a_whole_the_number_is_enough() {
        let group = dict(&[("id", FieldValue::Int(7))]);
        let groups = FieldValue::List(vec![group, FieldValue::Null]);
        let field = FieldValue::List(vec![
            dict(&[
                ("id", FieldValue::Int(3)),
                ("name", FieldValue::String("Cohorts".to_owned())),
                ("active", FieldValue::Bool(false)),
                ("groups", groups),
            ]),
            dict(&[("id", FieldValue::String("4".to_owned()))]),
            dict(&[("name", FieldValue::String("nobody's".to_owned()))]),
            FieldValue::Int(5),
        ]);
        let partitions = UserPartition::from_field(&field);
        let partition = |id, name: &str, is_active, groups: &[GroupId]| UserPartition {
            id: PartitionId(id),
            name: name.to_owned(),
            is_active,
            groups: groups.to_vec(),
        };
        let expected = [
            partition(3, "Cohorts", false, &[GroupId(7)]),
            partition(4, "4", true, &[]),
        ];
        assert_eq!(partitions, expected);
        assert_eq!(UserPartition::from_field(&FieldValue::Null), []);
    }
}
