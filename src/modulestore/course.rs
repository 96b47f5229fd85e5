//! A course as its author published it: blocks, their own and inherited fields, their bodies, and
//! what could not be read. Defaults of fields are not filled in here: they belong to who reads.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::partition::UserPartition;
use crate::error::Result;
use crate::field::{FieldMap, FieldValue};
use crate::key::{CourseKey, UsageKey};
use crate::source_version::SourceVersion;
use crate::structure::{BlockIndex, BlockStructure, StructureBuilder};

/// One block as its author wrote it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// Values set on the block itself.
    pub fields: FieldMap,
    /// What inheritance brings from the ancestors. Shared between blocks, so it may also name
    /// fields that the block sets itself: those win ([`Course::field`]).
    pub inherited: Arc<FieldMap>,
    /// Attributes that are no field of the block's type, kept as they were.
    pub xml_attributes: FieldMap,
    /// The file that defines the block, relative to the course's root; `None` when inline.
    pub source_file: Option<String>,
    /// The content itself.
    pub body: Body,
    /// What it was copied from, where the module store knows: exports do not tell.
    pub original: Option<OriginalUsage>,
}

/// The block of a library that a block was copied from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalUsage {
    /// Its key in the library.
    pub key: UsageKey,
    /// The library's version at that time.
    pub version: Option<String>,
}

/// The content of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// Nothing of its own: containers and blocks that are all fields.
    #[default]
    None,
    /// Markup or text of the block as its author wrote it: a page byte for byte, other types with
    /// their own element around it.
    Text {
        /// The file that holds it, relative to the course's root; `None` when it is part of the
        /// definition.
        path: Option<String>,
        /// What it holds.
        text: String,
    },
}

/// A published course: its DAG, and a [`Block`] for every position of it.
#[derive(Clone, Debug)]
pub struct Course {
    key: CourseKey,
    source_version: SourceVersion,
    structure: BlockStructure,
    // Invariant: one for every position of `structure`, in that order.
    blocks: Vec<Block>,
    origin: Option<String>,
    grading_policy: Option<FieldValue>,
    dynamic_partitions: Vec<UserPartition>,
    report: Report,
    detached: Vec<DetachedBlock>,
    drafts: Drafts,
}

impl Course {
    /// The course's key.
    #[must_use]
    pub fn key(&self) -> &CourseKey {
        &self.key
    }

    /// The published content that this is.
    #[must_use]
    pub fn source_version(&self) -> &SourceVersion {
        &self.source_version
    }

    /// The DAG. Its positions are those of [`block`](Self::block) and of every stored column.
    #[must_use]
    pub fn structure(&self) -> &BlockStructure {
        &self.structure
    }

    /// The block at a position; `None` for a position beyond the course.
    #[must_use]
    pub fn block(&self, position: BlockIndex) -> Option<&Block> {
        self.blocks.get(position.as_usize())
    }

    /// The value that a field has by itself or by inheritance; `None` means the field's default.
    #[must_use]
    pub fn field(&self, position: BlockIndex, name: &str) -> Option<&FieldValue> {
        let block = self.block(position)?;
        block.fields.get(name).or_else(|| block.inherited.get(name))
    }

    /// The value set on the block itself ("explicit"), not inherited.
    #[must_use]
    pub fn explicit_field(&self, position: BlockIndex, name: &str) -> Option<&FieldValue> {
        self.block(position)?.fields.get(name)
    }

    /// The blocks by position.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Where the module store found the course, such as a path, if it said so. It is kept with
    /// the course's records, so that an update finds the source again.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// How the course is graded: a dictionary with `GRADER` and `GRADE_CUTOFFS`. `None` means the
    /// platform's default.
    #[must_use]
    pub fn grading_policy(&self) -> Option<&FieldValue> {
        self.grading_policy.as_ref()
    }

    /// The user partitions that the platform adds to those of the course's own field.
    #[must_use]
    pub fn dynamic_partitions(&self) -> &[UserPartition] {
        &self.dynamic_partitions
    }

    /// The same course, found at `origin`: for hosts that know better than who read it where to
    /// find it again.
    #[must_use]
    pub fn with_origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// What could not be read, or only with a doubt.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Pages and pieces outside the tree: about, updates, static tabs. Not part of the DAG.
    #[must_use]
    pub fn detached(&self) -> &[DetachedBlock] {
        &self.detached
    }

    /// Unpublished versions of blocks. Not part of the DAG, and never collected.
    #[must_use]
    pub fn drafts(&self) -> &Drafts {
        &self.drafts
    }
}

/// A block outside the tree, such as an about page.
#[derive(Clone, Debug, PartialEq)]
pub struct DetachedBlock {
    /// Its key; the type is `about`, `course_info`, `static_tab` or `custom_tag_template`.
    pub key: UsageKey,
    /// The file, relative to the course's root.
    pub path: String,
    /// The file's text.
    pub text: String,
    /// Its fields, such as the name of a static tab.
    pub fields: FieldMap,
}

/// The unpublished part of an export.
#[derive(Clone, Debug, Default)]
pub struct Drafts {
    /// The blocks that Studio exported as drafts, by their index and then their path.
    pub roots: Vec<DraftRoot>,
    /// Every block of every draft subtree, in the order of their keys.
    pub blocks: Vec<Draft>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// Where a draft belongs in the published tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftRoot {
    /// The block that is a draft.
    pub key: UsageKey,
    /// Its parent in the course.
    pub parent: Option<UsageKey>,
    /// Its place among the parent's children.
    pub index: Option<usize>,
    /// The file, relative to the course's root.
    pub path: String,
    /// False when its parent is a draft as well, so that it comes with that one.
    pub subtree_root: bool,
}

/// One block of a draft subtree.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Its key, the same as that of the published version where there is one.
    pub key: UsageKey,
    /// Its fields and body.
    pub block: Block,
    /// Its children in order.
    pub children: Vec<UsageKey>,
}

/// What an import noticed.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Report {
    /// What is missing from the course because it could not be read.
    pub errors: Vec<Problem>,
    /// What was read, but perhaps not as the author meant it.
    pub warnings: Vec<Problem>,
}

/// One finding of an import.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Problem {
    /// What kind of finding it is.
    pub kind: ProblemKind,
    /// The file, relative to the course's root, where there is one.
    pub path: Option<String>,
    /// The line in that file, from 1, where it is known.
    pub line: Option<u32>,
    /// The block whose child it would have been.
    pub parent: Option<UsageKey>,
    /// Its place among that parent's children in the document, from 0.
    pub position: Option<u32>,
    /// What happened, in words, without any content of the file.
    pub message: String,
}

/// The kinds of findings, named as in the reports that users compare.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[non_exhaustive]
pub enum ProblemKind {
    /// A definition or body file that is not there.
    MissingFile,
    /// A file that is not XML.
    MalformedXml,
    /// A block whose name no usage key can hold.
    InvalidName,
    /// A second pointer to a block of a type whose names are unique. The original loses it; here it
    /// is the same block again.
    DuplicatePointer,
    /// A file that is not UTF-8.
    BadUtf8,
    /// A policy file, or an entry of one, that cannot be used.
    BadPolicyJson,
    /// A block that contains itself.
    Cycle,
    /// A name that leads out of the course's directory.
    PathEscape,
    /// A document that declares entities, which could expand without bound.
    EntityDeclaration,
    /// A value that its field's type refuses: the field stays unset.
    BadFieldValue,
    /// A second, different definition of the same block: the later one stands.
    Redefinition,
    /// Text between the children of a container.
    StrayText,
    /// A second definition of a name that must be unique: it became a block of its own.
    DuplicateName,
    /// A reference to a block that the course does not have.
    DanglingReference,
    /// A part of the course that is beyond a limit.
    LimitExceeded,
    /// An attribute of the root that was guessed because it is missing.
    MissingAttribute,
}

impl ProblemKind {
    /// The kind as it is printed, for example `missing_file`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissingFile => "missing_file",
            Self::MalformedXml => "malformed_xml",
            Self::InvalidName => "invalid_name",
            Self::DuplicatePointer => "duplicate_pointer",
            Self::BadUtf8 => "bad_utf8",
            Self::BadPolicyJson => "bad_policy_json",
            Self::Cycle => "cycle",
            Self::PathEscape => "path_escape",
            Self::EntityDeclaration => "entity_declaration",
            Self::BadFieldValue => "bad_field_value",
            Self::Redefinition => "redefinition",
            Self::StrayText => "stray_text",
            Self::DuplicateName => "duplicate_name",
            Self::DanglingReference => "dangling_reference",
            Self::LimitExceeded => "limit_exceeded",
            Self::MissingAttribute => "missing_attribute",
        }
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Puts a [`Course`] together, block by block, in the order in which the tree is walked.
#[derive(Debug)]
pub struct CourseBuilder {
    key: CourseKey,
    source_version: SourceVersion,
    structure: StructureBuilder,
    blocks: HashMap<UsageKey, Block>,
    origin: Option<String>,
    grading_policy: Option<FieldValue>,
    dynamic_partitions: Vec<UserPartition>,
    report: Report,
    detached: Vec<DetachedBlock>,
    drafts: Drafts,
}

impl CourseBuilder {
    /// A course that has only a root so far.
    #[must_use]
    pub fn new(key: CourseKey, root: UsageKey, source_version: SourceVersion) -> Self {
        Self {
            key,
            source_version,
            structure: StructureBuilder::new(root),
            blocks: HashMap::new(),
            origin: None,
            grading_policy: None,
            dynamic_partitions: UserPartition::stock(),
            report: Report::default(),
            detached: Vec::new(),
            drafts: Drafts::default(),
        }
    }

    /// Defines a block. A second definition of the same key replaces the first.
    pub fn define(&mut self, key: UsageKey, block: Block) {
        self.blocks.insert(key, block);
    }

    /// Appends `child` to the children of `parent`. The same child may be added again, and to
    /// several parents.
    pub fn add_child(&mut self, parent: &UsageKey, child: &UsageKey) {
        self.structure.add_relation(parent, child);
    }

    /// Says where the course was found.
    pub fn set_origin(&mut self, origin: impl Into<String>) {
        self.origin = Some(origin.into());
    }

    /// Sets how the course is graded.
    pub fn set_grading_policy(&mut self, policy: Option<FieldValue>) {
        self.grading_policy = policy;
    }

    /// Sets the user partitions that the platform adds, instead of [`UserPartition::stock`]. They
    /// are collected: who lets them change has to change the source version too.
    pub fn set_dynamic_partitions(&mut self, partitions: Vec<UserPartition>) {
        self.dynamic_partitions = partitions;
    }

    /// Notes what could not be read.
    pub fn report(&mut self) -> &mut Report {
        &mut self.report
    }

    /// Adds a block outside the tree.
    pub fn add_detached(&mut self, block: DetachedBlock) {
        self.detached.push(block);
    }

    /// Sets the unpublished part.
    pub fn set_drafts(&mut self, drafts: Drafts) {
        self.drafts = drafts;
    }

    /// The course. A block that is part of the tree but was never defined has no fields.
    ///
    /// # Errors
    /// [`InvalidCourse`](crate::ErrorKind::InvalidCourse) when the relations hold a cycle,
    /// [`LimitExceeded`](crate::ErrorKind::LimitExceeded) when there are too many blocks.
    pub fn build(mut self) -> Result<Course> {
        let structure = self.structure.build()?;
        let blocks = structure
            .keys()
            .as_slice()
            .iter()
            .map(|key| self.blocks.remove(key).unwrap_or_default())
            .collect();
        Ok(Course {
            key: self.key,
            source_version: self.source_version,
            structure,
            blocks,
            origin: self.origin,
            grading_policy: self.grading_policy,
            dynamic_partitions: self.dynamic_partitions,
            report: self.report,
            detached: self.detached,
            drafts: self.drafts,
        })
    }
}
