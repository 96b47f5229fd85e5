//! `grades`: what grading needs to know of a course.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::grading_policy::grading_policy_hash;
use super::percolate::{percolate, try_percolate};
use super::scoring::{has_score, is_graded, weight};
use super::settled;
use crate::error::{Error, Result};
use crate::field::FieldValue;
use crate::modulestore::Course;
use crate::structure::BlockIndex;
use crate::timestamp::Timestamp;
use crate::transformer::{Collected, Reach, Transformer};
use crate::version::Versions;

/// Collects what grades are computed from, and changes nothing for anybody.
///
/// A block belongs to every sequential that is the block itself or above it. It counts as
/// explicitly graded when it says so itself or, if it says nothing, when any of its parents does;
/// courses, chapters and sequentials are not asked. (Quirk of the original: where none of the
/// parents does, it is as the last of them.)
///
/// Left out: the course's version and time of edit, for which the store has the source version of
/// its own. `max_score` is known only where the module store says so in a field of that name: it
/// takes running the problem to find out.
///
/// Source: `grades/transformer.py`, WRITE version 4.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grades;

/// What [`Grades`] stores per block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GradesBlock {
    /// When the block is due.
    pub due: Option<Timestamp>,
    /// What kind of assignment it is, as the grading policy names it.
    pub format: Option<String>,
    /// Whether its score counts.
    pub graded: bool,
    /// Whether it has a score.
    pub has_score: bool,
    /// How much it counts.
    pub weight: Option<f64>,
    /// When learners are told whether they were right: `always` unless it is said, `past_due` or
    /// `never`.
    pub show_correctness: Option<String>,
    /// The highest score there is.
    pub max_score: Option<f64>,
    /// Whether the block or its unit says itself whether it is graded, and what it says.
    pub explicit_graded: Option<bool>,
    /// The positions of the sequentials that it belongs to, in ascending order.
    pub subsections: Vec<u32>,
}

/// What [`Grades`] stores for the course.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GradesCourse {
    /// Base64 of the SHA-1 over the grading policy as compact JSON with sorted keys.
    pub grading_policy_hash: String,
}

impl Transformer for Grades {
    type BlockData<'a> = GradesBlock;
    type CourseData<'a> = GradesCourse;

    fn name(&self) -> &'static str {
        "grades"
    }

    fn versions(&self) -> Versions {
        settled(4)
    }

    fn reach(&self) -> Reach {
        Reach::Subtree
    }

    fn collect(&self, course: &Course) -> Result<Collected<GradesBlock, GradesCourse>> {
        let for_course = GradesCourse {
            grading_policy_hash: grading_policy_hash(course.grading_policy()),
        };
        let mut collected = Collected::new(course.structure().width(), for_course);
        let subsections = subsections(course)?;
        let mut budget = Budget::new("the texts");
        let explicit = explicit_graded(course);
        for ((block, subsections), (_, explicit_graded)) in subsections.into_iter().zip(explicit) {
            let field = |name| course.field(block, name);
            // Inherited by any number of blocks.
            let mut text = |name| {
                let text = field(name).and_then(FieldValue::as_str);
                budget.charge(text.map_or(0, str::len))?;
                Ok::<_, Error>(text.map(str::to_owned))
            };
            let (format, show_correctness) = (text("format")?, text("show_correctness")?);
            let has_score = has_score(course, block);
            let max_score = field("max_score").and_then(FieldValue::as_float);
            let data = GradesBlock {
                due: field("due").and_then(FieldValue::as_date),
                format,
                graded: is_graded(course, block),
                has_score,
                weight: weight(course, block),
                show_correctness,
                max_score: max_score.filter(|_| has_score),
                explicit_graded,
                subsections: subsections.iter().copied().collect(),
            };
            collected.set(block, data);
        }
        Ok(collected)
    }
}

const SUBSECTION: &str = "sequential";

/// They say whether everything below them is graded, which is inherited and not explicit.
const NEVER_EXPLICIT: [&str; 3] = ["course", "chapter", SUBSECTION];

fn subsections(course: &Course) -> Result<Vec<(BlockIndex, Rc<BTreeSet<u32>>)>> {
    let structure = course.structure();
    let mut budget = Budget::new("the subsections");
    try_percolate(course, |block, parents: &[Rc<BTreeSet<u32>>]| {
        for parent in parents {
            budget.charge(parent.len() * size_of::<u32>())?;
        }
        let mut subsections = match parents {
            [] => Rc::default(),
            [first, ..] => Rc::clone(first),
        };
        for parent in parents.iter().skip(1) {
            if !parent.is_subset(&subsections) {
                Rc::make_mut(&mut subsections).extend(parent.iter());
            }
        }
        if structure.key(block).block_type() == SUBSECTION {
            Rc::make_mut(&mut subsections).insert(block.get());
        }
        Ok(subsections)
    })
}

fn explicit_graded(course: &Course) -> Vec<(BlockIndex, Option<bool>)> {
    let structure = course.structure();
    let is_never_explicit = |block| NEVER_EXPLICIT.contains(&structure.key(block).block_type());
    // `None` for those that are not asked.
    let merged = percolate(course, |block, parents: &[Option<Option<bool>>]| {
        if is_never_explicit(block) {
            return None;
        }
        let own = course.explicit_field(block, "graded");
        let own = own.and_then(FieldValue::as_bool);
        Some(own.or_else(|| {
            let asked = parents.iter().copied().flatten();
            asked.reduce(|first, second| match first {
                Some(true) => first,
                _ => second,
            })?
        }))
    });
    let explicit = merged.into_iter();
    explicit
        .map(|(block, explicit)| (block, explicit.flatten()))
        .collect()
}
