//! What the tests of the store's own records share: where everything is written down, and the
//! course that is written down. It must not know the records.

use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Recorded, Samples, SchemaError, trace};
use crate::record::ColumnWriter;
use crate::version::{ReadVersion, Versions, WriteVersion};

#[cfg(feature = "olx")]
use crate::modulestore::{Course, olx};

/// What every release stored.
pub(crate) fn schemas() -> PathBuf {
    root().join("schemas")
}

/// The course whose records are kept.
#[cfg(feature = "olx")]
pub(crate) fn demo_course() -> Course {
    let place = root().join("examples/courses/demo-course");
    olx::read(&place, &olx::Limits::default()).unwrap()
}

/// Checks a row of control data. Workers of old and new releases read and write it side by side, as
/// they do records.
pub(crate) fn check_row<T: Serialize + DeserializeOwned>(
    name: &str,
    value: &T,
) -> Result<(), SchemaError> {
    let mut samples = Samples::default();
    // What cannot be serialized cannot be encoded below either.
    let _ = samples.take_from(value);
    let recorded = Recorded {
        name,
        versions: Versions::new(ReadVersion::new(1), WriteVersion::FIRST),
        schema: trace::<(), T>(&samples).unwrap(),
        body: &ColumnWriter::new().finish_value(value).unwrap(),
        read_block: &|_| Ok(serde_json::Value::Null),
        read_course: &|entry| Ok(serde_json::to_value(entry.decode::<T>()?)?),
    };
    recorded.check(&schemas(), None)
}

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}
