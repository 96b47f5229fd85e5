//! courseblocks: an embedded, versioned store for Open edX block structures.

mod error;
mod field;
mod key;
mod structure;
mod timestamp;
mod version;

pub use error::{Error, ErrorKind, Result};
pub use field::{FieldMap, FieldValue};
pub use key::{
    CourseKey, CourseKeyKind, KeyError, MAX_KEY_BYTES, UsageKey, UsageKeyKind, clean_name,
    is_word_character,
};
pub use structure::{
    BlockIndex, BlockStructure, Descendants, KeyTable, MAX_BLOCKS, MAX_RELATIONS, RemovalFilter,
    StructureBuilder, Unyielded,
};
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use version::{MinReader, ReadVersion, Verdict, Versions, WriteVersion};
