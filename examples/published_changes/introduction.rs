//! How a transformer is introduced: `effort_estimation`, which tells how long a block takes. The
//! first release collects it everywhere and shows it where it is there (READ 0); the second one
//! relies on it (READ 1). Without the first, every course would be collected again while learners
//! wait for it.

use courseblocks::modulestore::Course;
use courseblocks::transformer::standard::{
    EffortEstimation, EffortEstimationBlock, EffortEstimationCourse,
};
use courseblocks::transformer::{Collected, Data, Transformation};
use courseblocks::{ReadVersion, Result, Transformer, Versions};

pub(crate) const NAME: &str = "effort_estimation";

/// The transformer in the release that introduces it: the stock one, which can do without data.
pub(crate) struct Introduced;

impl Transformer for Introduced {
    type BlockData<'a> = EffortEstimationBlock;
    type CourseData<'a> = EffortEstimationCourse;

    fn name(&self) -> &'static str {
        NAME
    }

    fn versions(&self) -> Versions {
        Versions {
            read: ReadVersion::new(0),
            ..EffortEstimation.versions()
        }
    }

    fn collect(
        &self,
        course: &Course,
    ) -> Result<Collected<EffortEstimationBlock, EffortEstimationCourse>> {
        EffortEstimation.collect(course)
    }

    fn transform(
        &self,
        data: &Data<EffortEstimationBlock, EffortEstimationCourse>,
        request: &mut Transformation<'_>,
    ) -> Result<()> {
        // Nothing is stored yet: no estimate is better than a wrong one.
        if data.course().is_none() {
            return Ok(());
        }
        EffortEstimation.transform(data, request)
    }
}
