//! The structures of courses that are read often, decoded once for all who read them. A structure is
//! handed out only to whoever has read a record of the very generation that it was decoded from, so
//! none is ever stale: generation numbers are never used again.

use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::collect::{STRUCTURE, decode_structure};
use crate::key::CourseKey;
use crate::record::Generation;
use crate::store::{Damage, StoredRecord};
use crate::structure::BlockStructure;

/// Structures by course, bounded by the bytes that they take.
pub(super) struct Structures {
    cache: Cache<CourseKey, Decoded, Bytes>,
}

/// A structure and what it was decoded from.
#[derive(Clone, Debug)]
pub(super) struct Decoded {
    generation: Generation,
    structure: Arc<BlockStructure>,
}

impl Decoded {
    /// The structure, for whoever has just read a record of this generation. The only way to it.
    pub(super) fn of(&self, generation: Generation) -> Option<&Arc<BlockStructure>> {
        (self.generation == generation).then_some(&self.structure)
    }
}

#[derive(Clone)]
struct Bytes;

/// A shard takes its part of the bytes, and a structure that is larger than that is never kept: few
/// shards leave room for large courses, and more than readers' cores are of no use.
const SHARDS: usize = 4;

/// For the first size of its tables, which grow.
const USUAL_BYTES: u64 = 64 << 10;

impl Structures {
    /// None yet, and never more than `max_bytes` of them.
    pub(super) fn new(max_bytes: u64) -> Self {
        let items = usize::try_from(max_bytes / USUAL_BYTES).unwrap_or(usize::MAX);
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            .estimated_items_capacity(items)
            .weight_capacity(max_bytes)
            .build();
        let cache = match options {
            Ok(options) => Cache::with_options(
                options,
                Bytes,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            // Not for want of a value: all are given.
            Err(_) => Cache::with_weighter(items, max_bytes, Bytes),
        };
        Self { cache }
    }

    /// The last structure of a course that was decoded here.
    pub(super) fn last(&self, course: &CourseKey) -> Option<Decoded> {
        self.cache.get(course)
    }

    /// The structure in a record, decoded unless it was decoded before.
    pub(super) fn open(
        &self,
        course: &CourseKey,
        record: &StoredRecord,
    ) -> Result<Arc<BlockStructure>, Damage> {
        let generation = record.header().generation();
        if let Some(structure) = self
            .last(course)
            .as_ref()
            .and_then(|last| last.of(generation))
        {
            return Ok(Arc::clone(structure));
        }
        let decoded = decode_structure(course, record);
        let decoded = decoded.map_err(|cause| Damage::new(course, STRUCTURE, cause))?;
        let structure = Arc::new(decoded);
        let decoded = Decoded {
            generation,
            structure: Arc::clone(&structure),
        };
        self.cache.insert(course.clone(), decoded);
        Ok(structure)
    }
}

impl Weighter<CourseKey, Decoded> for Bytes {
    fn weight(&self, _: &CourseKey, decoded: &Decoded) -> u64 {
        u64::try_from(decoded.structure.memory_bytes()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::structure::StructureBuilder;

    fn decoded(course: &CourseKey, blocks: usize) -> Decoded {
        let root = course.usage_key("course", "course").unwrap();
        let mut builder = StructureBuilder::new(root.clone());
        for number in 1..blocks {
            let block = course.usage_key("html", &format!("b{number}")).unwrap();
            builder.add_relation(&root, &block);
        }
        Decoded {
            generation: Generation::new(1),
            structure: Arc::new(builder.build().unwrap()),
        }
    }

    #[test]
    fn no_more_is_kept_than_the_bytes_allow() {
        let max_bytes = 1 << 20;
        let structures = Structures::new(max_bytes);
        for number in 0..200 {
            let course: CourseKey = format!("course-v1:O+C+{number}").parse().unwrap();
            structures
                .cache
                .insert(course.clone(), decoded(&course, 200));
            assert!(structures.cache.weight() <= max_bytes);
        }
        assert!(structures.cache.len() > 10, "something is kept");
        // What is larger than all of it, and nothing at all where nothing is to be kept.
        let course: CourseKey = "course-v1:O+C+large".parse().unwrap();
        structures
            .cache
            .insert(course.clone(), decoded(&course, 20_000));
        assert!(structures.last(&course).is_none());
        let nothing = Structures::new(0);
        nothing.cache.insert(course.clone(), decoded(&course, 1));
        assert!(nothing.last(&course).is_none());
    }
}
