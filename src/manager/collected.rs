//! A course's collected data, checked and ready to be transformed for one user.

use std::sync::Arc;

use crate::collect::{BLOCKS, CollectedBlocks, STRUCTURE, decode_structure};
use crate::engine::Value;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{CourseKey, UsageKey};
use crate::record::{Generation, RecordError, VerifiedRecord};
use crate::store::{Damage, Lookup, StoredRecord};
use crate::structure::BlockStructure;
use crate::transformer::{Outputs, Registry, UserContext, transform};

/// The structure of a course and the records of some transformers, all of one generation.
#[derive(Clone, Debug)]
pub struct CollectedCourse {
    course: CourseKey,
    registry: Arc<Registry>,
    structure: BlockStructure,
    generation: Generation,
    // In the order asked for; `None` where nothing is stored and READ is 0.
    records: Vec<(String, Option<VerifiedRecord<Value>>)>,
}

/// What one user sees of a course.
#[derive(Clone, Debug)]
pub struct Transformed {
    /// The blocks that are left.
    pub structure: BlockStructure,
    /// What transformers attached to them.
    pub outputs: Outputs,
    /// The generation of the data behind it.
    pub generation: Generation,
}

/// A course as it was published: its structure, and the fields of its blocks.
#[derive(Clone, Debug)]
pub struct PublishedCourse {
    /// The whole course.
    pub structure: BlockStructure,
    /// The fields of its blocks.
    pub blocks: CollectedBlocks,
    /// The generation of both.
    pub generation: Generation,
}

impl PublishedCourse {
    /// Opens what a read found usable: the structure and the blocks.
    pub(super) fn open(
        course: &CourseKey,
        lookups: Vec<Lookup<StoredRecord>>,
    ) -> Result<Self, Damage> {
        let mut records = lookups.into_iter().map(Lookup::fresh);
        let structure = needed(course, STRUCTURE, records.next().flatten())?;
        let blocks = needed(course, BLOCKS, records.next().flatten())?;
        let generation = structure.header().generation();
        let structure = open_structure(course, &structure)?;
        check_width(course, BLOCKS, &structure, &blocks)?;
        let blocks =
            CollectedBlocks::decode(&blocks).map_err(|cause| Damage::new(course, BLOCKS, cause))?;
        Ok(Self {
            structure,
            blocks,
            generation,
        })
    }
}

impl CollectedCourse {
    /// Opens what a read found usable. The first lookup is the structure's.
    pub(super) fn open(
        course: &CourseKey,
        registry: &Arc<Registry>,
        names: &[&str],
        lookups: Vec<Lookup<StoredRecord>>,
    ) -> Result<Self, Damage> {
        let mut records = lookups.into_iter().map(Lookup::fresh);
        let structure = needed(course, STRUCTURE, records.next().flatten())?;
        let generation = structure.header().generation();
        let structure = open_structure(course, &structure)?;
        let mut opened = Vec::with_capacity(names.len());
        for (name, record) in names.iter().zip(records) {
            let verified = match record {
                None => None,
                Some(record) => {
                    check_width(course, name, &structure, &record)?;
                    let verified = record.verify();
                    Some(verified.map_err(|cause| Damage::new(course, name, cause))?)
                }
            };
            opened.push(((*name).to_owned(), verified));
        }
        Ok(Self {
            course: course.clone(),
            registry: Arc::clone(registry),
            structure,
            generation,
            records: opened,
        })
    }

    /// The course.
    #[must_use]
    pub fn course(&self) -> &CourseKey {
        &self.course
    }

    /// The whole course, before any transformer.
    #[must_use]
    pub fn structure(&self) -> &BlockStructure {
        &self.structure
    }

    /// The generation of all records.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The record of a transformer that was asked for.
    #[must_use]
    pub fn record(&self, name: &str) -> Option<&VerifiedRecord<Value>> {
        let found = self.records.iter().find(|(asked, _)| asked == name);
        found.and_then(|(_, record)| record.as_ref())
    }

    /// Applies the transformers that were asked for, in that order, for one user; to the part of
    /// the course below `start` where it is given.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) for a `start` that is not in the course,
    /// [`Transformer`](ErrorKind::Transformer) when a transformer fails or cannot decode its data.
    pub fn transform(&self, user: &UserContext, start: Option<&UsageKey>) -> Result<Transformed> {
        let mut structure = self.structure.clone();
        if let Some(start) = start {
            let position = structure.position(start).ok_or_else(|| {
                let message = format!("{start} is not a block of {}", self.course);
                Error::new(ErrorKind::NotFound, message)
            })?;
            structure.set_root(position)?;
        }
        let loaded = self.records.iter().map(|(name, record)| {
            let column = record.as_ref().map(VerifiedRecord::column);
            self.registry.get(name)?.load(column.as_ref())
        });
        let loaded = loaded.collect::<Result<Vec<_>>>()?;
        let outputs = transform(&mut structure, &loaded, user)?;
        Ok(Transformed {
            structure,
            outputs,
            generation: self.generation,
        })
    }
}

fn needed(
    course: &CourseKey,
    name: &str,
    record: Option<StoredRecord>,
) -> Result<StoredRecord, Damage> {
    let missing = RecordError::Malformed("it is missing");
    record.ok_or_else(|| Damage::new(course, name, missing))
}

fn open_structure(course: &CourseKey, record: &StoredRecord) -> Result<BlockStructure, Damage> {
    decode_structure(course, record).map_err(|cause| Damage::new(course, STRUCTURE, cause))
}

/// Columns have a value for every position of the structure that they belong to.
fn check_width(
    course: &CourseKey,
    name: &str,
    structure: &BlockStructure,
    record: &StoredRecord,
) -> Result<(), Damage> {
    if u32::try_from(structure.width()) == Ok(record.header().entries()) {
        return Ok(());
    }
    let cause = RecordError::Malformed("another number of blocks than the structure");
    Err(Damage::new(course, name, cause))
}
