//! What later releases would look like: `start_date` with one field more, which the first of them
//! writes and the second one needs. Knows one transformer, not the story that it is in.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::modulestore::Course;
use crate::record::{DecodeError, Entry};
use crate::timestamp::Timestamp;
use crate::transformer::standard::{
    BlockCounts, HiddenContent, StartDate, StartDateBlock, Visibility,
};
use crate::transformer::{Collected, Registry, Transformer};
use crate::version::{ReadVersion, Versions, WriteVersion};

/// [`StartDate`] of the next releases. It collects; the story transforms nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct NextStartDate {
    read: ReadVersion,
}

/// What the next releases store per block: what [`StartDateBlock`] holds, in the same order, and
/// the new field at the end. That is what makes the change additive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct NextStartDateBlock {
    merged_start_date: Timestamp,
    days_early_for_beta: Option<f64>,
    // `None` where the record is of the present release, which did not ask.
    has_own_date: Option<bool>,
}

/// The field that the present release's readers do not know.
pub(super) const NEW_FIELD: &str = "has_own_date";

/// What the next releases write.
pub(super) const NEXT: WriteVersion = match WriteVersion::new(2) {
    Some(version) => version,
    None => WriteVersion::FIRST,
};

/// The transformers of a release in the story: few, so that it fits on a page.
pub(super) fn registry(start_date: impl Transformer) -> Result<Registry> {
    let mut registry = Registry::new();
    registry.register(start_date)?;
    registry.register(Visibility)?;
    registry.register(HiddenContent)?;
    registry.register(BlockCounts)?;
    Ok(registry)
}

impl NextStartDate {
    /// The first one: writes the field and can do without it.
    pub(super) const WRITES: Self = Self {
        read: ReadVersion::new(1),
    };

    /// The second one: needs it.
    pub(super) const NEEDS: Self = Self {
        read: ReadVersion::new(NEXT.get()),
    };
}

impl Transformer for NextStartDate {
    type BlockData<'a> = NextStartDateBlock;
    type CourseData<'a> = ();

    fn name(&self) -> &str {
        Transformer::name(&StartDate)
    }

    fn versions(&self) -> Versions {
        Versions::new(self.read, NEXT)
    }

    fn collect(&self, course: &Course) -> Result<Collected<NextStartDateBlock, ()>> {
        let known = StartDate.collect(course)?;
        let mut collected = Collected::new(course.structure().width(), ());
        for block in course.structure().blocks() {
            if let Some(known) = known.get(block) {
                let has_own_date = course.explicit_field(block, "start").is_some();
                collected.set(block, NextStartDateBlock::new(known, Some(has_own_date)));
            }
        }
        Ok(collected)
    }

    fn decode_block(&self, entry: Entry<'_>) -> Result<NextStartDateBlock, DecodeError> {
        if entry.write_version() < NEXT {
            return Ok(NextStartDateBlock::new(&entry.decode()?, None));
        }
        entry.decode()
    }
}

impl NextStartDateBlock {
    fn new(known: &StartDateBlock, has_own_date: Option<bool>) -> Self {
        Self {
            merged_start_date: known.merged_start_date,
            days_early_for_beta: known.days_early_for_beta,
            has_own_date,
        }
    }

    /// The part that the present release knows as well.
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
        let next = NextStartDateBlock::new(&known, Some(true));
        codec::encode_into(&mut bytes, &next, 64).unwrap();
        assert_eq!(codec::decode::<StartDateBlock>(&bytes).unwrap(), known);
    }

    #[test]
    fn the_new_field_is_called_as_the_story_calls_it() {
        let known = StartDateBlock {
            merged_start_date: Timestamp::MAX,
            days_early_for_beta: None,
        };
        let json = serde_json::to_value(NextStartDateBlock::new(&known, Some(true))).unwrap();
        assert_eq!(json[NEW_FIELD], true);
    }
}
