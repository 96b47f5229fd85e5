//! An embedded, versioned store for Open edX *block structures*: what transformers collect from
//! every course, kept so that releases of their code can change the schema of that data while old
//! and new code run side by side.
//!
//! A course is a DAG of blocks. A [`Transformer`] reads it once when it is published
//! (`collect`) and later decides with the collected data alone what one user sees (`filters`,
//! `transform`). Each has two versions: WRITE is stored with the data, READ is the least stored
//! version that its code can use ([`Versions`]).
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use courseblocks::transformer::standard::StartDate;
//! use courseblocks::{Manager, Registry, Store, UserContext};
//! # #[cfg(feature = "olx")] {
//! use courseblocks::modulestore::olx::OlxModuleStore;
//!
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("store");
//! let courses = OlxModuleStore::new();
//! let course = courses.insert("examples/courses/demo-course")?;
//!
//! let store = Arc::new(Store::open(path)?);
//! let manager = Manager::new(store, Arc::new(Registry::standard()), Arc::new(courses));
//!
//! // Who writes joins the fleet: the store knows which releases are running.
//! let now = "2026-03-01T12:00:00Z".parse()?;
//! manager.join("web-1", "2026.03", Duration::from_secs(30), now)?;
//!
//! // Collected on the first call, read from the store afterwards.
//! let visitor = UserContext::new(now);
//! let seen = manager.get_transformed(&course, &["visibility", "start_date"], &visitor, None)?;
//! assert!(!seen.structure.is_empty());
//!
//! // One block's data, without reading the others.
//! let root = seen.structure.key(seen.structure.root()).clone();
//! let start = manager.get_block(&course, &StartDate, &root)?;
//! assert!(start.is_some());
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is guaranteed
//!
//! 1. **The header is checked before anything is decoded**, in place and without allocation. A
//!    record that is outdated, too new or foreign is refused at a cost that does not depend on its
//!    size ([`Store::lookup`]).
//! 2. **No wrong bytes are returned.** Checksums are bound to a record's key, so a value under the
//!    wrong key is refused like a flipped bit. Damage is an answer that names the record
//!    ([`Lookup::Damaged`]), never a panic.
//! 3. **A reader never mixes two generations of a course.** All records of a publish are committed
//!    together, and several are read as one ([`Store::read`]).
//! 4. **Nothing newer is replaced by something older**: not by a writer that was overtaken, not by
//!    a lower WRITE version of the same content, and never what this release does not understand
//!    ([`Store::publish`]).
//! 5. **Floor.** Once the floor of a transformer is N, nothing below N is accepted from anyone,
//!    however late ([`Rollout::start`](rollout::Rollout::start)).
//! 6. **Gate.** A gate `T@N` opens when the floor holds everywhere, every course has a record of T at
//!    N or above, and every live worker can decode what is stored; counted from headers. It stays
//!    open as long as the data stays where it is ([`Rollout::gate`](rollout::Rollout::gate)).
//! 7. **Rollback.** Going back a release needs no re-collect: older readers accept newer data while
//!    its `min_reader` allows.
//! 8. **Acknowledged means durable**, for publishes, floors, gates and tasks: kill -9 right after
//!    changes nothing.
//! 9. **One bad transformer hurts only itself.** Its error is kept ([`CourseEntry::failures`]);
//!    the others are collected and served.
//!
//! # Limits
//!
//! Each is a constant, and what is beyond it is refused with [`ErrorKind::LimitExceeded`], or as said
//! here, by a message that names the limit. Nothing is cut but texts of errors.
//!
//! | what | limit |
//! |---|---|
//! | a key, in bytes | [`MAX_KEY_BYTES`] ([`InvalidKey`](ErrorKind::InvalidKey)) |
//! | the name of a record, and so of a transformer | [`MAX_NAME_BYTES`] (a registry says [`Registry`](ErrorKind::Registry)) |
//! | the name of a worker or a release | [`rollout::MAX_LABEL_BYTES`] ([`Registry`](ErrorKind::Registry)) |
//! | a source version | [`SourceVersion::MAX_BYTES`] |
//! | the blocks of a course | [`MAX_BLOCKS`] |
//! | the relations of a course, and those that a request makes of them | [`MAX_RELATIONS`] |
//! | the body of a record, before it is compressed | [`record::MAX_BODY_LEN`] |
//! | the entries of a record | [`record::MAX_ENTRIES`] |
//! | what a stock transformer makes of what a course multiplies | [`record::MAX_BODY_LEN`] |
//! | the records of a course together | [`MAX_COURSE_BYTES`] |
//! | the courses of a store | [`MAX_COURSES`] |
//! | the text of an error that is stored, which is cut | [`MAX_ERROR_BYTES`] |
//! | events that are kept, older ones go | [`rollout::MAX_EVENTS`] |
//! | an export: files, bytes of one and of all, what an archive inflates to, blocks, problems | `modulestore::olx::Limits`, which a host may set |
//! | what the processes that share a store send each other at once | 512 MiB, which no course reaches |
//! | processes that share a store with its owner | 256 |
//!
//! There is no limit of its own on transformers and on tasks: the records of a course and its tasks
//! are as many as the registry and the courses.
//!
//! # Where to begin
//!
//! - [`Manager`] is what a host calls. [`Store`] is below it, for tools.
//! - [`Transformer`] is what to implement; `docs/transformers.md` leads through it, and
//!   `examples/custom_transformer.rs` is a whole one. The stock ones are in
//!   [`transformer::standard`].
//! - [`UserContext`] is what a host says of a user; what it leaves out hides.
//! - [`backup`] copies a store while it is in use, and fills another one, on any engine, from the
//!   copy.
//! - [`rollout`] is how a schema change goes out: `examples/rollout.rs` is a whole one,
//!   `docs/rollout.md` is for operators.
//! - `schema::check` keeps stored types and WRITE versions together, in a test.
//! - [`modulestore::ModuleStore`] is how a host hands its courses over.
//! - `schema::check` is what to call in a test of each transformer: it tells when stored types
//!   change and their WRITE version does not.
//! - `cli::main` gives every command of the `courseblocks` binary to a deployment with
//!   transformers of its own; `cli::run` runs them within a process of the host.
//!
//! # Features
//!
//! `cli` (default) is the command line, `olx` (default) reads OLX course exports, `schema`
//! (default) checks stored types in tests. Without them, the library needs little more than sled, bincode, serde, crc32fast and zerocopy.

pub mod backup;
#[cfg(feature = "cli")]
pub mod cli;
mod collect;
mod concat;
pub mod engine;
mod error;
mod field;
mod key;
mod manager;
pub mod modulestore;
pub mod record;
pub mod rollout;
#[cfg(feature = "schema")]
pub mod schema;
mod source_version;
mod store;
mod structure;
mod timestamp;
pub mod transformer;
mod version;

pub use collect::{BLOCKS, CollectedBlock, CollectedBlocks, STRUCTURE};
pub use error::{Error, ErrorKind, MAX_ERROR_BYTES, Result};
pub use field::{FieldMap, FieldValue};
pub use key::{
    CourseKey, CourseKeyKind, KeyError, MAX_KEY_BYTES, UsageKey, UsageKeyKind, clean_name,
    is_word_character,
};
pub use manager::{
    BlockEntries, CollectedCourse, DEFAULT_STRUCTURE_CACHE_BYTES, Force, Manager, Plan,
    PublishedCourse, Reason, Renewed, Transformed, UpdateOptions, Updated,
};
pub use source_version::SourceVersion;
pub use store::{
    Base, CourseCheck, CourseEntry, Damage, Failure, Floor, FloorEpoch, Floors, Lease, Lookup,
    MAX_COURSE_BYTES, MAX_COURSES, MAX_NAME_BYTES, Member, NewRecord, Newer, Publication,
    Published, RecordCheck, RecordEntry, Scope, Snapshot, Store, StoredRecord, Traces, Unreadable,
};
pub use structure::{
    BlockIndex, BlockStructure, Descendants, KeyTable, MAX_BLOCKS, MAX_RELATIONS, RemovalFilter,
    StructureBuilder, Unyielded,
};
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use transformer::{Reach, Registry, Transformer, UserContext};
pub use version::{MinReader, ReadVersion, Verdict, Versions, WriteVersion};

/// The program in the README runs as a test.
#[cfg(all(doctest, feature = "olx"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// So is what hosts find beside the operator's commands.
#[cfg(doctest)]
#[doc = include_str!("../docs/rollout.md")]
struct RolloutPage;

/// And the way to a transformer of one's own.
#[cfg(all(doctest, feature = "olx"))]
#[doc = include_str!("../docs/transformers.md")]
struct TransformersPage;
