//! `milestones`: what has to be finished first, and exams with rules of their own.

use serde::{Deserialize, Serialize};

use super::settled;
use crate::error::Result;
use crate::field::FieldValue;
use crate::key::UsageKey;
use crate::modulestore::Course;
use crate::structure::{BlockIndex, Descendants, RemovalFilter, Unyielded};
use crate::transformer::{Collected, Data, LearnerMilestones, Reach, Transformation, Transformer};
use crate::version::Versions;

/// Removes, for everybody but staff, what a learner has not unlocked yet, and exams that are timed
/// or proctored.
///
/// - While content is required ([`LearnerMilestones::required_content`]), every other chapter goes. A
///   learner who is excused from the entrance exam is not held by it.
/// - What has a milestone pending goes, unless gated sections are asked for
///   ([`UserContext::include_gated_sections`]).
/// - Timed, proctored and practice exams go, unless they are asked for
///   ([`UserContext::include_special_exams`]). Those that stay are told what the exam service says
///   of the learner's attempt (`special_exam_info`).
///
/// Which milestones there are is known to the platform only. Without [`UserContext::milestones`] a
/// course with an entrance exam shows the chapter of the exam alone.
///
/// Source: `course_api/blocks/transformers/milestones.py`. Where a platform has no special exams
/// at all (`ENABLE_SPECIAL_EXAMS`), a host asks for them always.
///
/// [`LearnerMilestones::required_content`]:
/// crate::transformer::LearnerMilestones::required_content
/// [`UserContext::milestones`]: crate::UserContext::milestones
/// [`UserContext::include_gated_sections`]: crate::UserContext::include_gated_sections
/// [`UserContext::include_special_exams`]: crate::UserContext::include_special_exams
#[derive(Clone, Copy, Debug, Default)]
pub struct Milestones;

/// What [`Milestones`] stores per block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MilestonesBlock {
    /// Watched while it is taken.
    pub is_proctored_enabled: bool,
    /// A proctored exam to practise on.
    pub is_practice_exam: bool,
    /// To be finished in a given time.
    pub is_timed_exam: bool,
}

/// What [`Milestones`] stores for the course.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MilestonesCourse {
    /// The chapter with the entrance exam, as a usage key of this course where it is one.
    pub entrance_exam_id: Option<String>,
}

const NAME: &str = "milestones";
const CHAPTER: &str = "chapter";
const SPECIAL_EXAM_INFO: &str = "special_exam_info";

impl Transformer for Milestones {
    type BlockData<'a> = MilestonesBlock;
    type CourseData<'a> = MilestonesCourse;

    fn name(&self) -> &'static str {
        NAME
    }

    fn versions(&self) -> Versions {
        settled(1)
    }

    fn reach(&self) -> Reach {
        Reach::Subtree
    }

    fn collect(&self, course: &Course) -> Result<Collected<MilestonesBlock, MilestonesCourse>> {
        let structure = course.structure();
        let for_course = MilestonesCourse {
            entrance_exam_id: entrance_exam(course),
        };
        let mut collected = Collected::new(structure.width(), for_course);
        for block in structure.blocks() {
            let is_set = |name| course.field(block, name).and_then(FieldValue::as_bool);
            // Two names stand for one field: exports have the first.
            let data = MilestonesBlock {
                is_proctored_enabled: is_set("is_proctored_enabled")
                    .or_else(|| is_set("is_proctored_exam"))
                    .unwrap_or(false),
                is_practice_exam: is_set("is_practice_exam").unwrap_or(false),
                is_timed_exam: is_set("is_time_limited")
                    .or_else(|| is_set("is_timed_exam"))
                    .unwrap_or(false),
            };
            collected.set(block, data);
        }
        Ok(collected)
    }

    fn transform(
        &self,
        data: &Data<MilestonesBlock, MilestonesCourse>,
        transformation: &mut Transformation<'_>,
    ) -> Result<()> {
        // An exam of which nothing is known is one.
        let is_exam = |block: BlockIndex| data.block(block).is_none_or(MilestonesBlock::is_special);
        let structure = transformation.structure();
        let user = transformation.user();
        let mut removed = vec![false; structure.width()];
        if !user.is_staff {
            let required = Required::of(data.course(), user.milestones.as_ref());
            for block in structure.blocks() {
                let key = structure.key(block);
                let pending = user.milestones.as_ref().map(|known| &known.pending);
                let is_pending = pending.is_some_and(|pending| pending.contains(key));
                removed[block.as_usize()] = required.keeps_out(key)
                    || (is_pending && !user.include_gated_sections)
                    || (is_exam(block) && !user.include_special_exams);
            }
        }
        let mut told = Vec::new();
        for (exam, info) in &user.special_exam_info {
            let block = structure.position(exam);
            let block = block.filter(|block| !removed[block.as_usize()] && is_exam(*block));
            told.extend(block.map(|block| (block, info.clone())));
        }
        let removed = |block: BlockIndex| removed[block.as_usize()];
        let filter = RemovalFilter::new(Descendants::Remove, removed);
        let structure = transformation.structure_mut();
        structure.remove_where(Unyielded::SkipDescendants, &mut [filter])?;
        let outputs = transformation.outputs_mut();
        for (block, info) in told {
            let column = outputs.column(NAME, SPECIAL_EXAM_INFO);
            column.set(block, FieldValue::Dict(info));
        }
        Ok(())
    }
}

impl MilestonesBlock {
    fn is_special(&self) -> bool {
        self.is_proctored_enabled || self.is_practice_exam || self.is_timed_exam
    }
}

/// The chapters that are shown alone, if there are any.
struct Required(Vec<String>);

impl Required {
    fn of(course: Option<&MilestonesCourse>, milestones: Option<&LearnerMilestones>) -> Self {
        let exam = course.and_then(|course| course.entrance_exam_id.as_ref());
        let Some(milestones) = milestones else {
            return Self(exam.cloned().into_iter().collect());
        };
        let required = milestones.required_content.iter().map(UsageKey::to_string);
        let excused = exam.filter(|_| milestones.can_skip_entrance_exam);
        Self(required.filter(|key| Some(key) != excused).collect())
    }

    fn keeps_out(&self, key: &UsageKey) -> bool {
        let is_required = |required: &String| *required == key.to_string();
        key.block_type() == CHAPTER && !self.0.is_empty() && !self.0.iter().any(is_required)
    }
}

/// The key may be that of the run from which the course was copied.
fn entrance_exam(course: &Course) -> Option<String> {
    let field = course.field(course.structure().root(), "entrance_exam_id");
    let text = field?.as_str().filter(|text| !text.is_empty())?;
    let key = text.parse::<UsageKey>().ok();
    let own = key.and_then(|key| key.map_into_course(course.key()).ok());
    Some(own.map_or_else(|| text.to_owned(), |key| key.to_string()))
}
