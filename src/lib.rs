//! courseblocks: an embedded, versioned store for Open edX block structures.

mod error;
mod field;
mod key;
mod modulestore;
mod structure;
mod timestamp;
mod version;

pub use error::{Error, ErrorKind, Result};
pub use field::{FieldMap, FieldValue};
pub use key::{
    CourseKey, CourseKeyKind, KeyError, MAX_KEY_BYTES, UsageKey, UsageKeyKind, clean_name,
    is_word_character,
};
#[cfg(feature = "olx")]
pub use modulestore::olx;
pub use modulestore::{
    Block, Body, Course, CourseBuilder, DetachedBlock, Draft, DraftRoot, Drafts, ModuleStore,
    Problem, ProblemKind, Report, SourceVersion,
};
pub use structure::{
    BlockIndex, BlockStructure, Descendants, KeyTable, MAX_BLOCKS, MAX_RELATIONS, RemovalFilter,
    StructureBuilder, Unyielded,
};
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use version::{MinReader, ReadVersion, Verdict, Versions, WriteVersion};
