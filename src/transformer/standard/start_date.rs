//! `start_date`: what is not open yet.

use serde::{Deserialize, Serialize};

use super::percolate::percolate_date;
use super::settled;
use crate::error::Result;
use crate::field::FieldValue;
use crate::modulestore::Course;
use crate::structure::{BlockIndex, Descendants, RemovalFilter, Unyielded};
use crate::timestamp::Timestamp;
use crate::transformer::{Collected, Data, Reach, Transformation, Transformer, UserContext};
use crate::version::Versions;

/// Removes blocks whose start date has not passed.
///
/// A block opens at the latest of its own start date and the earliest at which any of its parents
/// opens. Without a date anywhere that is 2030-01-01. It is open strictly after that moment.
///
/// Staff see everything, beta testers see a block `days_early_for_beta` days earlier.
///
/// Source: `course_blocks/transformers/start_date.py` and `courseware/access_utils.py`.
#[derive(Clone, Copy, Debug, Default)]
pub struct StartDate;

/// What [`StartDate`] stores per block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartDateBlock {
    /// When the block opens.
    pub merged_start_date: Timestamp,
    /// By how many days it opens earlier for beta testers.
    pub days_early_for_beta: Option<f64>,
}

/// 2030-01-01T00:00:00Z: a course without dates is not open.
const DEFAULT_START: Timestamp = match Timestamp::from_micros(1_893_456_000_000_000) {
    Some(start) => start,
    None => Timestamp::MAX,
};

/// The name under which the root tells that start dates hid something.
const HAS_SCHEDULED_CONTENT: &str = "has_scheduled_content";

impl Transformer for StartDate {
    type BlockData<'a> = StartDateBlock;
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        "start_date"
    }

    fn versions(&self) -> Versions {
        settled(1)
    }

    fn reach(&self) -> Reach {
        Reach::Subtree
    }

    fn collect(&self, course: &Course) -> Result<Collected<StartDateBlock, ()>> {
        let merged = percolate_date(course, "start", DEFAULT_START);
        let mut collected = Collected::new(course.structure().width(), ());
        for (block, merged_start_date) in merged {
            let days_early = course.field(block, "days_early_for_beta");
            let data = StartDateBlock {
                merged_start_date,
                days_early_for_beta: days_early.and_then(FieldValue::as_float),
            };
            collected.set(block, data);
        }
        Ok(collected)
    }

    fn filters<'a>(
        &'a self,
        data: &'a Data<StartDateBlock, ()>,
        transformation: &mut Transformation<'_>,
    ) -> Option<Vec<RemovalFilter<'a>>> {
        let user = transformation.user();
        if user.is_staff || user.allow_start_dates_in_future {
            return Some(Vec::new());
        }
        let rule = Rule::for_user(user);
        let closed = move |block: BlockIndex| !rule.is_open(data.block(block));
        if user.include_has_scheduled_content {
            tell_of_scheduled_content(transformation, &closed);
        }
        Some(vec![RemovalFilter::new(Descendants::Remove, closed)])
    }
}

/// What decides for one user, copied out of the context so that a filter can own it.
#[derive(Clone, Copy)]
struct Rule {
    now: Timestamp,
    is_beta_tester: bool,
    dates_are_disabled: bool,
}

impl Rule {
    fn for_user(user: &UserContext) -> Self {
        Self {
            now: user.now,
            is_beta_tester: user.is_beta_tester,
            dates_are_disabled: user.disable_start_dates,
        }
    }

    /// A block of which nothing is known is not shown.
    fn is_open(self, block: Option<&StartDateBlock>) -> bool {
        self.dates_are_disabled || block.is_some_and(|block| self.now > self.opens(block))
    }

    fn opens(self, block: &StartDateBlock) -> Timestamp {
        let start = block.merged_start_date;
        match block.days_early_for_beta {
            Some(days) if self.is_beta_tester => start.minus_days(days).unwrap_or(start),
            _ => start,
        }
    }
}

/// Asks only the blocks that a traversal of what stays would visit, as the original does: what is
/// behind a closed block counts through that block.
fn tell_of_scheduled_content(
    transformation: &mut Transformation<'_>,
    closed: &impl Fn(BlockIndex) -> bool,
) {
    let root = transformation.root();
    let (structure, outputs) = transformation.split();
    let mut any_closed = false;
    let visited = structure.topological_where(root, Unyielded::SkipDescendants, |block| {
        let closed = closed(block);
        any_closed |= closed;
        !closed
    });
    visited.for_each(drop);
    outputs
        .field_overrides(HAS_SCHEDULED_CONTENT)
        .set(root, FieldValue::Bool(any_closed));
}
