//! A course becomes records: the store's own (structure and blocks) and one per transformer.
//! Pure: what is collected is decided elsewhere, and so is where it goes.

mod blocks;
mod structure;

pub use blocks::{CollectedBlock, CollectedBlocks};
pub(crate) use structure::{decode_structure, find_block};

use crate::error::{Error, ErrorKind, Result, shortened};
use crate::modulestore::{Course, Problem};
use crate::store::{NewRecord, Publication, Scope};
use crate::transformer::{ErasedTransformer, Registry};
use crate::version::{ReadVersion, Versions, WriteVersion};

/// The record with the course's DAG. No transformer can have the name.
pub const STRUCTURE: &str = "@structure";

/// The record with the fields of the course's blocks, and the report of its import.
pub const BLOCKS: &str = "@blocks";

/// The store's own records. They are collected, judged and updated like those of transformers.
pub(crate) const OWN_RECORDS: [&str; 2] = [STRUCTURE, BLOCKS];

/// The versions of the store's own records in this release.
pub(crate) const OWN_VERSIONS: Versions = Versions::new(ReadVersion::new(1), WriteVersion::FIRST);

/// Everything there is to collect from a course.
///
/// # Errors
/// [`LimitExceeded`](ErrorKind::LimitExceeded) when the course is too large to be stored. What a
/// transformer does wrong is in the publication.
pub(crate) fn whole(course: &Course, registry: &Registry) -> Result<Publication> {
    let mut publication = part(course, registry.iter())?;
    publication.scope = Scope::Whole;
    let structure = structure::encode_structure(course)?;
    let blocks = blocks::encode_blocks(course)?;
    for (name, body) in OWN_RECORDS.into_iter().zip([structure, blocks]) {
        publication.records.push(NewRecord {
            name: name.to_owned(),
            versions: OWN_VERSIONS,
            body,
        });
    }
    Ok(publication)
}

/// The data of some transformers. One that fails is noted and does not keep the others from
/// being collected.
pub(crate) fn part<'r>(
    course: &Course,
    transformers: impl Iterator<Item = &'r dyn ErasedTransformer>,
) -> Result<Publication> {
    let blocks = u32::try_from(course.structure().width());
    let mut publication = Publication {
        scope: Scope::Part,
        source_version: course.source_version().clone(),
        origin: course.origin().map(str::to_owned),
        blocks: blocks.map_err(|_| too_many_blocks(course))?,
        errors: count(&course.report().errors),
        warnings: count(&course.report().warnings),
        records: Vec::new(),
        failures: Vec::new(),
    };
    for transformer in transformers {
        let name = transformer.name().to_owned();
        let versions = transformer.versions();
        match transformer.collect(course) {
            Ok(body) => publication.records.push(NewRecord {
                name,
                versions,
                body,
            }),
            Err(error) => {
                let error = shortened(&error.chain());
                publication.failures.push((name, versions, error));
            }
        }
    }
    Ok(publication)
}

fn count(problems: &[Problem]) -> u32 {
    u32::try_from(problems.len()).unwrap_or(u32::MAX)
}

fn too_many_blocks(course: &Course) -> Error {
    let message = format!("{} has more blocks than a record can count", course.key());
    Error::new(ErrorKind::LimitExceeded, message)
}
