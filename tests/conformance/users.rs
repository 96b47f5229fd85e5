//! What users see of real courses, after all stock transformers: for every block that is there, no
//! rule is against it; for every block that is not, one is. The rules are stated here once more, as
//! questions about one block that ask the same of its parents. Knows the public API only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use courseblocks::engine::MemoryEngine;
use courseblocks::modulestore::{Course, GroupId, PartitionId, UserPartition, olx};
use courseblocks::transformer::LearnerMilestones;
use courseblocks::{
    BlockIndex, FieldValue, Manager, Registry, Store, Timestamp, Transformed, UpdateOptions,
    UsageKey, UserContext,
};

use crate::joined::joined;
use crate::one_course::OneCourse;
use crate::report::Report;

/// Shows every course to a member of staff, an anonymous visitor and a learner in a cohort, before,
/// while and after most courses were held.
pub(crate) fn run(exports: impl IntoIterator<Item = PathBuf>, report: &mut Report) {
    for export in exports {
        let Ok(course) = olx::read(&export, &olx::Limits::default()) else {
            report.skip("course", "not a course");
            continue;
        };
        show(&course, report);
    }
}

fn show(course: &Course, report: &mut Report) {
    let store = Arc::new(Store::with_engine(Arc::new(MemoryEngine::new())));
    let registry = Arc::new(Registry::standard());
    let courses = Arc::new(OneCourse(course.clone()));
    let manager = joined(Manager::new(store, registry, courses));
    let name = course.key().to_string();
    match manager.update(course.key(), &UpdateOptions::default()) {
        Ok(updated) if updated.failures.is_empty() => report.pass("course collected by all"),
        other => return report.fail("course collected by all", &name, "no failures", other),
    }
    for moment in ["2012-01-01", "2026-10-01", "2031-02-01"] {
        let now = format!("{moment}T00:00:00Z").parse().unwrap();
        for (who, user) in users(course, now) {
            let name = format!("{name}, {who} on {moment}");
            let names: Vec<_> = manager.registry().names().collect();
            match manager.get_transformed(course.key(), &names, &user, None) {
                Ok(seen) => explain(&Rules::new(course, &user, &seen), &name, report),
                Err(error) => report.fail("user", &name, "something to see", error),
            }
        }
    }
}

fn users(course: &Course, now: Timestamp) -> [(&'static str, UserContext); 3] {
    let anonymous = UserContext::new(now);
    let mut staff = UserContext::new(now);
    staff.is_staff = true;
    staff.seed = Some(1);
    let mut learner = UserContext::new(now);
    learner.seed = Some(2);
    learner.milestones = Some(LearnerMilestones::default());
    for partition in partitions(course) {
        let first = partition.groups.first();
        learner
            .groups
            .extend(first.map(|first| (partition.id, *first)));
    }
    [
        ("staff", staff),
        ("anonymous", anonymous),
        ("learner", learner),
    ]
}

fn explain(rules: &Rules<'_>, name: &str, report: &mut Report) {
    let structure = rules.course.structure();
    let is_there = |block: BlockIndex| rules.seen.structure.contains(block);
    report.pass("user");
    for block in structure.blocks() {
        let name = format!("{name}: {}", structure.key(block));
        let against = rules.against(block);
        if is_there(block) {
            let kind = "a block that is there has no rule against it";
            report.compare(kind, &name, &Vec::<&str>::new(), &against);
            continue;
        }
        let above = rules.above(block);
        let is_out_of_reach = !above.is_empty() && !above.iter().any(|above| is_there(*above));
        let kind = "a block that is gone has one, or all above it are gone";
        if !against.is_empty() || is_out_of_reach {
            report.pass(kind);
        } else {
            report.fail(kind, &name, "a reason", "none");
        }
    }
}

fn partitions(course: &Course) -> Vec<UserPartition> {
    let root = course.structure().root();
    let field = course.field(root, "user_partitions");
    let mut partitions = field.map_or_else(Vec::new, UserPartition::from_field);
    partitions.extend_from_slice(course.dynamic_partitions());
    partitions
}

/// The rules for one user of one course.
struct Rules<'a> {
    course: &'a Course,
    user: &'a UserContext,
    seen: &'a Transformed,
    partitions: Vec<UserPartition>,
}

impl<'a> Rules<'a> {
    fn new(course: &'a Course, user: &'a UserContext, seen: &'a Transformed) -> Self {
        Self {
            course,
            user,
            seen,
            partitions: partitions(course),
        }
    }

    /// The names of all rules that keep this very block away.
    fn against(&self, block: BlockIndex) -> Vec<&'static str> {
        let for_all = [
            ("it is an experiment", self.has_type(block, "split_test")),
            ("it was not drawn", self.is_undrawn(block)),
        ];
        let for_learners = [
            (
                "it is for staff",
                self.on_all_ways(block, &|block| self.says(block, "visible_to_staff_only")),
            ),
            (
                "it is not open",
                self.user.now <= self.latest(block, "start", "2030-01-01T00:00:00Z"),
            ),
            ("it is over", self.is_over(block)),
            ("it is for other groups", self.is_for_others(block)),
            (
                "the entrance exam comes first",
                self.is_behind_the_exam(block),
            ),
            ("it is an exam", self.is_exam(block)),
        ];
        let for_learners = for_learners.into_iter().filter(|_| !self.user.is_staff);
        let rules = for_all.into_iter().chain(for_learners);
        rules.filter(|rule| rule.1).map(|rule| rule.0).collect()
    }

    /// What a block hangs on once experiments are gone.
    fn above(&self, block: BlockIndex) -> BTreeSet<BlockIndex> {
        let mut above = BTreeSet::new();
        for parent in self.course.structure().parents(block) {
            if self.has_type(parent, "split_test") {
                above.extend(self.above(parent));
            } else {
                above.insert(parent);
            }
        }
        above
    }

    fn has_type(&self, block: BlockIndex, block_type: &str) -> bool {
        self.course.structure().key(block).block_type() == block_type
    }

    fn says(&self, block: BlockIndex, field: &str) -> bool {
        let own = self.course.explicit_field(block, field);
        own.and_then(FieldValue::as_bool) == Some(true)
    }

    fn on_all_ways(&self, block: BlockIndex, is_so: &dyn Fn(BlockIndex) -> bool) -> bool {
        let mut parents = self.course.structure().parents(block).peekable();
        let all = parents.peek().is_some() && parents.all(|parent| self.on_all_ways(parent, is_so));
        is_so(block) || all
    }

    fn latest(&self, block: BlockIndex, field: &str, default: &str) -> Timestamp {
        let own = self.course.explicit_field(block, field);
        let own = own.and_then(FieldValue::as_date);
        let parents = self.course.structure().parents(block);
        let above = parents
            .map(|parent| self.latest(parent, field, default))
            .min();
        match (above, own) {
            (None, None) => default.parse().unwrap(),
            (above, own) => above.max(own).unwrap(),
        }
    }

    fn is_over(&self, block: BlockIndex) -> bool {
        let closes = self.on_all_ways(block, &|block| self.says(block, "hide_after_due"));
        let root = self.course.structure().root();
        let self_paced = self.course.field(root, "self_paced");
        let when = if self_paced.and_then(FieldValue::as_bool) == Some(true) {
            Some(self.latest(block, "end", "9999-12-31T23:59:59.999999Z"))
        } else {
            self.course
                .field(block, "due")
                .and_then(FieldValue::as_date)
        };
        closes && when.is_some_and(|when| self.user.now >= when)
    }

    fn is_for_others(&self, block: BlockIndex) -> bool {
        let mut active = self
            .partitions
            .iter()
            .filter(|partition| partition.is_active);
        active.any(|partition| {
            let group = self.user.groups.get(&partition.id);
            let allowed = self.allowed(block, partition.id);
            allowed.is_some_and(|allowed| !group.is_some_and(|group| allowed.contains(group)))
        })
    }

    /// `None` for everybody.
    fn allowed(&self, block: BlockIndex, id: PartitionId) -> Option<BTreeSet<GroupId>> {
        let parents: Vec<_> = self.course.structure().parents(block).collect();
        let above = parents.iter().map(|parent| self.allowed(*parent, id));
        let above: Option<Vec<_>> = above.collect();
        let above = above.filter(|above| !above.is_empty());
        let above = above.map(|above| above.into_iter().flatten().collect::<BTreeSet<_>>());
        match (above, self.own_groups(block, id)) {
            (Some(above), Some(own)) => Some(&above & &own),
            (above, own) => above.or(own),
        }
    }

    fn own_groups(&self, block: BlockIndex, id: PartitionId) -> Option<BTreeSet<GroupId>> {
        let structure = self.course.structure();
        let arms_of = structure.parents(block).find(|parent| {
            let field = self.course.field(*parent, "user_partition_id");
            let is_about = field.and_then(FieldValue::as_int) == Some(id.get());
            self.has_type(*parent, "split_test") && is_about
        });
        if let Some(experiment) = arms_of {
            let arms = self
                .course
                .field(experiment, "group_id_to_child")?
                .as_dict()?;
            let own = structure.key(block).to_string();
            let mine = arms.iter().filter(|arm| arm.1.as_str() == Some(&own));
            let groups: BTreeSet<_> = mine
                .map(|arm| GroupId::new(arm.0.parse().unwrap()))
                .collect();
            return Some(groups).filter(|groups| !groups.is_empty());
        }
        let access = self
            .course
            .explicit_field(block, "group_access")?
            .as_dict()?;
        let groups = access.get(&id.to_string())?.as_list()?.iter();
        let groups: BTreeSet<_> = groups
            .filter_map(|group| group.as_int().map(GroupId::new))
            .collect();
        Some(groups).filter(|groups| !groups.is_empty())
    }

    fn is_behind_the_exam(&self, block: BlockIndex) -> bool {
        let root = self.course.structure().root();
        let exam = self.course.field(root, "entrance_exam_id");
        let exam = exam.and_then(FieldValue::as_str).unwrap_or_default();
        let is_unknown = self.user.milestones.is_none();
        let exam = exam
            .parse()
            .ok()
            .map(|exam: UsageKey| exam.block_id().to_owned());
        let is_other = |exam: String| self.course.structure().key(block).block_id() != exam;
        is_unknown && self.has_type(block, "chapter") && exam.is_some_and(is_other)
    }

    fn is_exam(&self, block: BlockIndex) -> bool {
        let names = [
            "is_time_limited",
            "is_proctored_enabled",
            "is_practice_exam",
        ];
        names.into_iter().any(|name| {
            let field = self.course.field(block, name);
            field.and_then(FieldValue::as_bool) == Some(true)
        })
    }

    fn is_undrawn(&self, block: BlockIndex) -> bool {
        let structure = self.course.structure();
        let banks = structure.parents(block).filter(|parent| {
            self.has_type(*parent, "library_content") || self.has_type(*parent, "itembank")
        });
        let drawn: BTreeMap<_, _> = banks
            .map(|bank| {
                let selection = self.seen.outputs.selections().get(structure.key(bank));
                let selected = selection.map_or(&[][..], |selection| &selection.selected);
                (bank, selected.contains(structure.key(block)))
            })
            .collect();
        !drawn.is_empty() && !drawn.values().any(|is_drawn| *is_drawn)
    }
}
