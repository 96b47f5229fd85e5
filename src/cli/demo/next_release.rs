//! What a later release would look like: `start_date` with one field more. Knows one transformer,
//! not the story that it is in.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::modulestore::Course;
use crate::timestamp::Timestamp;
use crate::transformer::standard::{
    BlockCounts, HiddenContent, StartDate, StartDateBlock, Visibility,
};
use crate::transformer::{Collected, Registry, Transformer};
use crate::version::{ReadVersion, Versions, WriteVersion};

/// [`StartDate`] of the next release. It collects; the story transforms nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct NextStartDate;

/// What the next release stores per block: what [`StartDateBlock`] holds, in the same order, and
/// the new field at the end. That is what makes the change additive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct NextStartDateBlock {
    merged_start_date: Timestamp,
    days_early_for_beta: Option<f64>,
    has_own_date: bool,
}

/// The field that this release's readers do not know.
pub(super) const NEW_FIELD: &str = "has_own_date";

/// The transformers of the next release.
pub(super) fn registry() -> Result<Registry> {
    let mut registry = Registry::new();
    registry.register(NextStartDate)?;
    registry.register(Visibility)?;
    registry.register(HiddenContent)?;
    registry.register(BlockCounts)?;
    Ok(registry)
}

impl Transformer for NextStartDate {
    type BlockData = NextStartDateBlock;
    type CourseData = ();

    fn name(&self) -> &str {
        Transformer::name(&StartDate)
    }

    fn versions(&self) -> Versions {
        const SECOND: WriteVersion = match WriteVersion::new(2) {
            Some(version) => version,
            None => WriteVersion::FIRST,
        };

        Versions::new(ReadVersion::new(SECOND.get()), SECOND)
    }

    fn collect(&self, course: &Course) -> Result<Collected<NextStartDateBlock, ()>> {
        let known = StartDate.collect(course)?;
        let mut collected = Collected::new(course.structure().width(), ());
        for block in course.structure().blocks() {
            if let Some(known) = known.get(block) {
                let has_own_date = course.explicit_field(block, "start").is_some();
                collected.set(block, NextStartDateBlock::new(known, has_own_date));
            }
        }
        Ok(collected)
    }
}

impl NextStartDateBlock {
    fn new(known: &StartDateBlock, has_own_date: bool) -> Self {
        Self {
            merged_start_date: known.merged_start_date,
            days_early_for_beta: known.days_early_for_beta,
            has_own_date,
        }
    }

    /// The part that this release knows as well.
    pub(super) fn known(&self) -> StartDateBlock {
        StartDateBlock {
            merged_start_date: self.merged_start_date,
            days_early_for_beta: self.days_early_for_beta,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::codec;

    #[test]
    fn the_change_is_additive() {
        let known = StartDateBlock {
            merged_start_date: Timestamp::MAX,
            days_early_for_beta: Some(7.0),
        };
        let mut bytes = Vec::new();
        let next = NextStartDateBlock::new(&known, true);
        codec::encode_into(&mut bytes, &next, 64).unwrap();
        assert_eq!(codec::decode::<StartDateBlock>(&bytes).unwrap(), known);
    }

    #[test]
    fn the_new_field_is_called_as_the_story_calls_it() {
        let known = StartDateBlock {
            merged_start_date: Timestamp::MAX,
            days_early_for_beta: None,
        };
        let json = serde_json::to_value(NextStartDateBlock::new(&known, true)).unwrap();
        assert_eq!(json[NEW_FIELD], true);
    }
}
