//! A course's DAG as a record, and back: the usage keys as the column, sorted, so that one is
//! found without reading the others; the relations as the course-wide value.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::concat::{ROOM, Room, concat};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{CourseKey, UsageKey, UsageKeys};
use crate::modulestore::Course;
use crate::record::{Body, Column, ColumnWriter, DecodeError, RecordError};
use crate::store::StoredRecord;
use crate::structure::{BlockIndex, BlockStructure, KeyTable};

/// What is stored beside the keys. Blocks are named by their position.
#[derive(Serialize, Deserialize)]
struct StoredRelations {
    root: u32,
    /// Iteration order.
    blocks: Vec<u32>,
    /// Parent and child of every relation, in the order in which they were added.
    edges: Vec<(u32, u32)>,
}

/// An entry is the block's type and id, which is what differs between the keys of one course.
/// Neither can hold the separator, and it sorts before all that they can hold.
const SEPARATOR: u8 = 0;

pub(super) fn encode_structure(course: &Course) -> Result<Body> {
    let structure = course.structure();
    let mut column = ColumnWriter::new();
    let mut room = ROOM;
    for key in structure.keys().as_slice() {
        let own = course.key().usage_key(key.block_type(), key.block_id())?;
        if own != *key {
            let message = format!("{key} is not the key of a block of {}", course.key());
            return Err(Error::new(ErrorKind::InvalidCourse, message));
        }
        column.push(&encode_key(&mut room, key))?;
    }
    let relations = structure.relations();
    Ok(column.finish_value(&StoredRelations {
        root: structure.root().get(),
        blocks: structure.blocks().map(BlockIndex::get).collect(),
        edges: relations
            .map(|(parent, child)| (parent.get(), child.get()))
            .collect(),
    })?)
}

/// The whole structure, verified.
pub(crate) fn decode_structure(
    course: &CourseKey,
    record: &StoredRecord,
) -> Result<BlockStructure, RecordError> {
    let column = record.column()?.verify()?;
    let mut keys = UsageKeys::new(course, column.len(), record.bytes());
    for entry in column.entries() {
        let (block_type, block_id) = type_and_id(entry?.map(|entry| entry.bytes()))?;
        keys.push(block_type, block_id).map_err(|_| NO_KEY)?;
    }
    let stored: StoredRelations = column.course_wide()?.decode().map_err(undecodable)?;
    let malformed = |_| RecordError::Malformed("the relations do not make a course");
    let keys = Arc::new(KeyTable::from_sorted(keys.finish()).map_err(malformed)?);
    let blocks = stored.blocks.into_iter().map(BlockIndex::new);
    let relations = stored
        .edges
        .into_iter()
        .map(|(parent, child)| (BlockIndex::new(parent), BlockIndex::new(child)));
    BlockStructure::from_parts(keys, BlockIndex::new(stored.root), blocks, relations)
        .map_err(malformed)
}

/// The position of one block, found by binary search in the stored keys. Only the chunks that the
/// search touches are read and verified.
pub(crate) fn find_block(
    course: &CourseKey,
    column: &Column<'_>,
    key: &UsageKey,
) -> Result<Option<BlockIndex>, RecordError> {
    // Entries do not tell the course: a block of another one may have the same type and id.
    let is_of_course = key.course_key() == Some(course)
        || key.map_into_course(course).is_ok_and(|own| own == *key);
    if !is_of_course {
        return Ok(None);
    }
    let mut room = ROOM;
    let position = column.search(&encode_key(&mut room, key))?;
    let position = position.map(|position| u32::try_from(position).map(BlockIndex::new));
    let beyond = |_| RecordError::Malformed("a position beyond 32 bits");
    position.transpose().map_err(beyond)
}

const KEYLESS: RecordError = RecordError::Malformed("a block without a key");
const NO_KEY: RecordError = RecordError::Malformed("an entry that is no block's type and id");

fn encode_key<'a>(room: &'a mut Room, key: &UsageKey) -> Cow<'a, [u8]> {
    let (block_type, block_id) = (key.block_type().as_bytes(), key.block_id().as_bytes());
    concat(room, &[block_type, &[SEPARATOR], block_id])
}

fn type_and_id(entry: Option<&[u8]>) -> Result<(&str, &str), RecordError> {
    let text = std::str::from_utf8(entry.ok_or(KEYLESS)?).map_err(|_| NO_KEY)?;
    text.split_once(char::from(SEPARATOR)).ok_or(NO_KEY)
}

fn undecodable(_: DecodeError) -> RecordError {
    RecordError::Malformed("the relations cannot be decoded")
}

#[cfg(all(test, feature = "olx", feature = "schema"))]
mod tests {
    use super::*;
    use crate::collect::{OWN_VERSIONS, STRUCTURE};
    use crate::schema::own::{demo_course, schemas};
    use crate::schema::{Recorded, SchemaError, Shape, samples_of, trace};

    #[test]
    fn a_structure_is_stored_as_it_is_written_down() -> Result<(), SchemaError> {
        let course = demo_course();
        let samples = samples_of(&course);
        let mut schema = trace::<(), StoredRelations>(&samples).unwrap();
        schema.block = Shape::Raw("block type, 0, block id".to_owned());
        let recorded = Recorded {
            name: STRUCTURE,
            versions: OWN_VERSIONS,
            schema,
            body: &encode_structure(&course).unwrap(),
            read_block: &|entry| {
                let (block_type, block_id) =
                    type_and_id(Some(entry.bytes())).map_err(DecodeError::new)?;
                let key = course.key().usage_key(block_type, block_id);
                let key = key.map_err(DecodeError::new)?;
                Ok(serde_json::to_value(key)?)
            },
            read_course: &|entry| {
                let relations: StoredRelations = entry.decode()?;
                Ok(serde_json::to_value(relations)?)
            },
        };
        recorded.check(&schemas(), None)
    }
}
