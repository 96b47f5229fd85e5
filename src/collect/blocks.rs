//! The fields of a course's blocks as a record, and back.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::field::{FieldMap, FieldValue};
use crate::modulestore::{Course, Report};
use crate::record::{Body, ColumnWriter, Compression, RecordError};
use crate::store::StoredRecord;
use crate::structure::BlockIndex;

/// The fields of every block of a course, as they were published.
#[derive(Clone, Debug)]
pub struct CollectedBlocks {
    blocks: Vec<Option<StoredBlock>>,
    course: StoredCourse,
}

/// One block of [`CollectedBlocks`].
#[derive(Clone, Copy, Debug)]
pub struct CollectedBlock<'a> {
    stored: &'a StoredBlock,
    inherited: Option<&'a FieldMap>,
}

impl CollectedBlocks {
    /// The block at a position.
    #[must_use]
    pub fn block(&self, position: BlockIndex) -> Option<CollectedBlock<'_>> {
        let stored = self.blocks.get(position.as_usize())?.as_ref()?;
        let set = usize::try_from(stored.inherited).ok()?;
        let inherited = self.course.inherited.get(set);
        Some(CollectedBlock { stored, inherited })
    }

    /// What could not be read when the course was imported.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.course.report
    }

    pub(crate) fn decode(record: &StoredRecord) -> Result<Self, RecordError> {
        let undecodable = |_| RecordError::Malformed("the fields cannot be decoded");
        let column = record.column()?.verify()?;
        let mut blocks = Vec::with_capacity(column.len());
        for entry in column.entries() {
            let decoded = entry?.map(|entry| entry.decode());
            blocks.push(decoded.transpose().map_err(undecodable)?);
        }
        let course = column.course_wide()?.decode().map_err(undecodable)?;
        Ok(Self { blocks, course })
    }
}

impl<'a> CollectedBlock<'a> {
    /// Values set on the block itself.
    #[must_use]
    pub fn fields(&self) -> &'a FieldMap {
        &self.stored.fields
    }

    /// Inherited values, without those of fields that the block sets itself.
    pub fn inherited(&self) -> impl Iterator<Item = (&'a str, &'a FieldValue)> {
        let own = &self.stored.fields;
        let inherited = self.inherited.into_iter().flatten();
        inherited
            .filter(|(name, _)| !own.contains_key(*name))
            .map(|(name, value)| (name.as_str(), value))
    }

    /// The value that a field has by itself or by inheritance; `None` means the field's default.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a FieldValue> {
        let own = self.stored.fields.get(name);
        own.or_else(|| self.inherited?.get(name))
    }

    /// Attributes that are no field of the block's type.
    #[must_use]
    pub fn xml_attributes(&self) -> &'a FieldMap {
        &self.stored.xml_attributes
    }

    /// The file that defines the block, relative to the course's root; `None` when inline.
    #[must_use]
    pub fn source_file(&self) -> Option<&'a str> {
        self.stored.source_file.as_deref()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredBlock {
    fields: FieldMap,
    /// Which of the course's `inherited` sets: most blocks share one with their siblings.
    inherited: u32,
    xml_attributes: FieldMap,
    source_file: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredCourse {
    inherited: Vec<FieldMap>,
    report: Report,
}

/// Borrows what [`StoredBlock`] owns; the bytes are the same.
#[derive(Serialize)]
struct BlockToStore<'a> {
    fields: &'a FieldMap,
    inherited: u32,
    xml_attributes: &'a FieldMap,
    source_file: Option<&'a str>,
}

/// Borrows what [`StoredCourse`] owns; the bytes are the same.
#[derive(Serialize)]
struct CourseToStore<'a> {
    inherited: &'a [&'a FieldMap],
    report: &'a Report,
}

pub(super) fn encode_blocks(course: &Course) -> Result<Body> {
    let mut column = ColumnWriter::new();
    let mut numbers = HashMap::new();
    let mut inherited = Vec::new();
    for block in course.blocks() {
        // Shared maps are told apart by where they are: comparing them would cost more than the
        // rare equal pair that this misses.
        let number = *numbers
            .entry(Arc::as_ptr(&block.inherited))
            .or_insert_with(|| {
                inherited.push(&*block.inherited);
                inherited.len() - 1
            });
        column.push_value(&BlockToStore {
            fields: &block.fields,
            inherited: u32::try_from(number).map_err(|_| too_many())?,
            xml_attributes: &block.xml_attributes,
            source_file: block.source_file.as_deref(),
        })?;
    }
    let report = course.report();
    let body = column.finish_value(&CourseToStore {
        inherited: &inherited,
        report,
    })?;
    // Nobody reads one block of it, and it takes two thirds of a course's bytes.
    Ok(body.compressed(Compression::Lz4))
}

fn too_many() -> Error {
    Error::new(
        ErrorKind::LimitExceeded,
        "too many sets of inherited fields",
    )
}

#[cfg(all(test, feature = "olx", feature = "schema"))]
mod tests {
    use super::*;
    use crate::collect::{BLOCKS, OWN_VERSIONS};
    use crate::schema::own::{demo_course, schemas};
    use crate::schema::{Recorded, SchemaError, samples_of, trace};

    #[test]
    fn blocks_are_stored_as_it_is_written_down() -> Result<(), SchemaError> {
        let course = demo_course();
        let samples = samples_of(&course);
        let recorded = Recorded {
            name: BLOCKS,
            versions: OWN_VERSIONS,
            schema: trace::<StoredBlock, StoredCourse>(&samples).unwrap(),
            body: &encode_blocks(&course).unwrap(),
            read_block: &|entry| {
                let block: StoredBlock = entry.decode()?;
                Ok(serde_json::to_value(block)?)
            },
            read_course: &|entry| {
                let course: StoredCourse = entry.decode()?;
                Ok(serde_json::to_value(course)?)
            },
        };
        recorded.check(&schemas(), None)
    }
}
