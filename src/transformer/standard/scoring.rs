//! Which blocks count for a grade, as far as an export tells.

use crate::field::FieldValue;
use crate::modulestore::Course;
use crate::structure::BlockIndex;

/// The types whose blocks have a score whatever their fields say. Others have one where their
/// field `has_score` says so, as that of `lti` does.
const SCORED: [&str; 5] = [
    "drag-and-drop-v2",
    "edx_sga",
    "openassessment",
    "problem",
    "staffgradedxblock",
];

/// Whether the block can be scored.
pub(super) fn has_score(course: &Course, block: BlockIndex) -> bool {
    let field = course.explicit_field(block, "has_score");
    let has_score = field.and_then(FieldValue::as_bool);
    let block_type = course.structure().key(block).block_type();
    has_score.unwrap_or_else(|| SCORED.contains(&block_type))
}

/// Whether its score counts.
pub(super) fn is_graded(course: &Course, block: BlockIndex) -> bool {
    let graded = course.field(block, "graded").and_then(FieldValue::as_bool);
    graded.unwrap_or(false)
}

/// How much it counts, where the author said so.
pub(super) fn weight(course: &Course, block: BlockIndex) -> Option<f64> {
    course.field(block, "weight").and_then(FieldValue::as_float)
}
