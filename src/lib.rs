//! courseblocks: an embedded, versioned store for Open edX block structures.

mod error;
mod field;
pub mod record;
mod timestamp;
mod version;

pub use error::{Error, ErrorKind, Result};
pub use field::{FieldMap, FieldValue};
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use version::{MinReader, ReadVersion, Verdict, Versions, WriteVersion};
