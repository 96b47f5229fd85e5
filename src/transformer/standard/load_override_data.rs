//! `load_override_data`: field values that a learner has instead of the published ones.

use super::settled;
use crate::error::Result;
use crate::modulestore::Course;
use crate::transformer::{Collected, Data, Reach, Transformation, Transformer};
use crate::version::Versions;

/// Gives blocks the start, due date and title that this learner has, such as one set by a coach
/// ([`UserContext::field_overrides`](crate::UserContext::field_overrides)). Other fields are left
/// as they were published.
///
/// Only blocks that are still there when it is its turn are looked at. Nothing is stored.
///
/// Source: `course_blocks/transformers/load_override_data.py`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOverrideData;

/// The fields that may be overridden.
const FIELDS: [&str; 3] = ["start", "display_name", "due"];

impl Transformer for LoadOverrideData {
    type BlockData<'a> = ();
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        "load_override_data"
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
        let mut values = Vec::new();
        let structure = transformation.structure();
        let overrides = &transformation.user().field_overrides;
        if overrides.is_empty() {
            return Ok(());
        }
        for block in structure.topological(structure.root()) {
            let fields = overrides.get(structure.key(block)).into_iter().flatten();
            for (name, value) in fields {
                let allowed = FIELDS.into_iter().find(|allowed| allowed == name);
                values.extend(allowed.map(|name| (block, name, value.clone())));
            }
        }
        let outputs = transformation.outputs_mut();
        for (block, name, value) in values {
            outputs.field_overrides(name).set(block, value);
        }
        Ok(())
    }
}
