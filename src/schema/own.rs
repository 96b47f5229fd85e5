//! What the tests of the store's own records share: where everything is written down, and the
//! course that is written down. It must not know the records.

use std::path::PathBuf;

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

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}
