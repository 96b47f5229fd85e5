//! A course's collected data, checked and ready to be transformed for one user.

use std::sync::Arc;

use super::block::{BlockEntries, BlockEntry};
use super::no_such_block;
use super::structures::Structures;
use crate::collect::{BLOCKS, CollectedBlocks, STRUCTURE, find_block};
use crate::engine::Value;
use crate::error::Result;
use crate::key::{CourseKey, UsageKey};
use crate::record::{Entry, Generation, RecordError, VerifiedRecord};
use crate::store::{Damage, Lookup, StoredRecord};
use crate::structure::{BlockIndex, BlockStructure};
use crate::transformer::{LoadError, Outputs, Registry, Stored, UserContext, transform};

/// The structure of a course and the records of some transformers, all of one generation.
#[derive(Clone, Debug)]
pub struct CollectedCourse {
    course: CourseKey,
    registry: Arc<Registry>,
    structure: Arc<BlockStructure>,
    generation: Generation,
    // In the order asked for; `None` where nothing is stored and READ is 0.
    records: Vec<(String, Option<VerifiedRecord<Value>>)>,
}

/// A [`CollectedCourse`] of which only a part is wanted: what is read of it is verified then.
pub(super) struct CoursePart<'a> {
    course: &'a CourseKey,
    registry: &'a Registry,
    structure: Arc<BlockStructure>,
    generation: Generation,
    names: &'a [&'a str],
    // As above.
    records: Vec<Option<StoredRecord>>,
}

/// One block of a [`CollectedCourse`].
pub(super) struct OneBlock<'a> {
    course: &'a CourseKey,
    generation: Generation,
    position: BlockIndex,
    // As above.
    records: Vec<Option<StoredRecord>>,
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
        structures: &Structures,
        lookups: Vec<Lookup<StoredRecord>>,
    ) -> Result<Self, Damage> {
        let mut records = lookups.into_iter().map(Lookup::fresh);
        let structure = needed(course, STRUCTURE, records.next().flatten())?;
        let blocks = needed(course, BLOCKS, records.next().flatten())?;
        let generation = structure.header().generation();
        let structure = structures.open(course, &structure)?;
        check_width(course, BLOCKS, &structure, &blocks)?;
        let blocks =
            CollectedBlocks::decode(&blocks).map_err(|cause| Damage::new(course, BLOCKS, cause))?;
        Ok(Self {
            structure: Arc::unwrap_or_clone(structure),
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
        structures: &Structures,
        names: &[&str],
        lookups: Vec<Lookup<StoredRecord>>,
    ) -> Result<Self, Damage> {
        let part = CoursePart::open(course, registry, structures, names, lookups)?;
        let verified = |(name, record): (&&str, Option<StoredRecord>)| {
            let record = record.map(StoredRecord::verify).transpose();
            let record = record.map_err(|cause| Damage::new(course, name, cause))?;
            Ok(((*name).to_owned(), record))
        };
        let records = names.iter().zip(part.records).map(verified);
        Ok(Self {
            course: course.clone(),
            registry: Arc::clone(registry),
            structure: part.structure,
            generation: part.generation,
            records: records.collect::<Result<_, Damage>>()?,
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
    /// [`NotFound`](crate::ErrorKind::NotFound) for a `start` that is not in the course,
    /// [`Transformer`](crate::ErrorKind::Transformer) when a transformer fails or cannot decode its
    /// data.
    pub fn transform(&self, user: &UserContext, start: Option<&UsageKey>) -> Result<Transformed> {
        let names: Vec<_> = self.records.iter().map(|(name, _)| name.as_str()).collect();
        let start = start.map(|start| position(&self.course, &self.structure, start));
        let start = start.transpose()?;
        let (mut structure, part) = match start {
            None => ((*self.structure).clone(), None),
            Some(start) if self.registry.all_reach_subtrees(&names)? => {
                let structure = self.structure.below(start)?;
                let part = positions(&structure);
                (structure, Some(part))
            }
            Some(start) => {
                let mut structure = (*self.structure).clone();
                structure.set_root(start)?;
                (structure, None)
            }
        };
        let loaded = self.records.iter().map(|(name, record)| {
            let stored = match (record, &part) {
                (None, _) => Stored::Nothing,
                (Some(record), None) => Stored::Course(record.column()),
                (Some(record), Some(part)) => Stored::Part(record.column().singly(), part),
            };
            Ok(self.registry.get(name)?.load(stored)?)
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

impl<'a> CoursePart<'a> {
    /// Opens what a read found usable. The first lookup is the structure's.
    pub(super) fn open(
        course: &'a CourseKey,
        registry: &'a Registry,
        structures: &Structures,
        names: &'a [&'a str],
        lookups: Vec<Lookup<StoredRecord>>,
    ) -> Result<Self, Damage> {
        let mut records = lookups.into_iter().map(Lookup::fresh);
        let record = needed(course, STRUCTURE, records.next().flatten())?;
        let structure = structures.open(course, &record)?;
        let records: Vec<_> = records.collect();
        for (name, record) in names.iter().zip(&records) {
            if let Some(record) = record {
                check_width(course, name, &structure, record)?;
            }
        }
        Ok(Self {
            course,
            registry,
            structure,
            generation: record.header().generation(),
            names,
            records,
        })
    }

    /// What one user sees of the part below `start`. Costs what that part costs.
    pub(super) fn transform(
        &self,
        user: &UserContext,
        start: &UsageKey,
    ) -> Result<Result<Transformed>, Damage> {
        let below = || {
            self.structure
                .below(position(self.course, &self.structure, start)?)
        };
        let mut structure = match below() {
            Ok(structure) => structure,
            Err(error) => return Ok(Err(error)),
        };
        let positions = positions(&structure);
        let mut loaded = Vec::with_capacity(self.names.len());
        for (name, record) in self.names.iter().zip(&self.records) {
            let damaged = |cause| Damage::new(self.course, name, cause);
            let stored = match record {
                None => Stored::Nothing,
                Some(record) => Stored::Part(record.column().map_err(damaged)?, &positions),
            };
            let transformer = match self.registry.get(name) {
                Ok(transformer) => transformer,
                Err(error) => return Ok(Err(error)),
            };
            match transformer.load(stored) {
                Ok(data) => loaded.push(data),
                Err(LoadError::Damaged(cause)) => return Err(damaged(cause)),
                Err(error) => return Ok(Err(error.into())),
            }
        }
        let outputs = transform(&mut structure, &loaded, user);
        Ok(outputs.map(|outputs| Transformed {
            structure,
            outputs,
            generation: self.generation,
        }))
    }
}

impl<'a> OneBlock<'a> {
    /// Finds the block in what a read found usable; `None` for one that is not in the course. The
    /// first lookup is the structure's.
    pub(super) fn find(
        structures: &Structures,
        course: &'a CourseKey,
        block: &UsageKey,
        lookups: Vec<Lookup<StoredRecord>>,
    ) -> Result<Option<Self>, Damage> {
        let mut records = lookups.into_iter().map(Lookup::fresh);
        let record = needed(course, STRUCTURE, records.next().flatten())?;
        let generation = record.header().generation();
        let last = structures.last(course);
        let position = if let Some(structure) = last.as_ref().and_then(|last| last.of(generation)) {
            structure.position(block)
        } else {
            // To decode all of it for one block would cost a hundred times as much.
            let column = record.column();
            let found = column.and_then(|column| find_block(course, &column, block));
            found.map_err(|cause| Damage::new(course, STRUCTURE, cause))?
        };
        Ok(position.map(|position| Self {
            course,
            generation,
            position,
            records: records.collect(),
        }))
    }

    /// What the transformer that was named as the `number`th stored for the block.
    pub(super) fn entry(&self, number: usize, name: &str) -> Result<Option<Entry<'_>>, Damage> {
        let record = self.records.get(number).and_then(Option::as_ref);
        let entry = record.map(|record| record.column()?.entry(self.position.as_usize()));
        let entry = entry.transpose();
        Ok(entry
            .map_err(|cause| Damage::new(self.course, name, cause))?
            .flatten())
    }

    /// What all that were named stored for the block.
    pub(super) fn entries(&self, names: &[&str]) -> Result<BlockEntries, Damage> {
        let entry = |(number, name): (usize, &&str)| {
            let record = self.records.get(number).and_then(Option::as_ref);
            Ok(BlockEntry {
                name: (*name).to_owned(),
                write_version: record.map(|record| record.header().write_version()),
                bytes: self
                    .entry(number, name)?
                    .map(|entry| entry.bytes().to_vec()),
            })
        };
        let entries = names.iter().enumerate().map(entry);
        let entries = entries.collect::<Result<_, Damage>>()?;
        Ok(BlockEntries::new(self.generation, entries))
    }
}

fn position(
    course: &CourseKey,
    structure: &BlockStructure,
    block: &UsageKey,
) -> Result<BlockIndex> {
    let position = structure.position(block);
    position.ok_or_else(|| no_such_block(course, block))
}

/// The blocks of a structure in the order of their positions.
fn positions(structure: &BlockStructure) -> Vec<BlockIndex> {
    let mut positions: Vec<_> = structure.blocks().collect();
    positions.sort_unstable();
    positions
}

fn needed(
    course: &CourseKey,
    name: &str,
    record: Option<StoredRecord>,
) -> Result<StoredRecord, Damage> {
    let missing = RecordError::Malformed("it is missing");
    record.ok_or_else(|| Damage::new(course, name, missing))
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
