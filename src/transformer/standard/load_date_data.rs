//! `load_date_data`: dates that a learner has instead of the published ones.

use super::settled;
use crate::error::Result;
use crate::field::FieldValue;
use crate::modulestore::Course;
use crate::transformer::{Collected, Data, Reach, Transformation, Transformer};
use crate::version::Versions;

/// Gives blocks the dates that this learner has, such as an extension
/// ([`UserContext::dates`](crate::UserContext::dates)).
///
/// [`HiddenContent`](super::HiddenContent) goes by the due date, so it comes later in the order.
/// Nothing is stored: the published dates are collected by those that need them.
///
/// Source: `edx_when/field_data.py`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadDateData;

impl Transformer for LoadDateData {
    type BlockData<'a> = ();
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        "load_date_data"
    }

    fn versions(&self) -> Versions {
        settled(1)
    }

    fn reach(&self) -> Reach {
        Reach::Subtree
    }

    fn collect(&self, course: &Course) -> Result<Collected<(), ()>> {
        Ok(Collected::new(course.structure().width(), ()))
    }

    fn transform(&self, _: &Data<(), ()>, transformation: &mut Transformation<'_>) -> Result<()> {
        let structure = transformation.structure();
        let dates = transformation.user().dates.iter();
        let dates: Vec<_> = dates
            .filter_map(|(key, dates)| Some((structure.position(key)?, *dates)))
            .collect();
        let outputs = transformation.outputs_mut();
        for (block, dates) in dates {
            let dates = [
                ("start", dates.start),
                ("due", dates.due),
                ("end", dates.end),
            ];
            for (field, date) in dates {
                if let Some(date) = date {
                    let overrides = outputs.field_overrides(field);
                    overrides.set(block, FieldValue::Date(date));
                }
            }
        }
        Ok(())
    }
}
