//! Reading several records of one course as one: all of the same generation, or none.

use super::{Lookup, Store, StoredRecord};
use crate::error::{Error, ErrorKind, Result};
use crate::key::CourseKey;
use crate::record::Generation;
use crate::version::Versions;

/// Some records of one course, all of one generation where they are intact.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What each of the wanted records turned out to be, in the order asked.
    pub lookups: Vec<Lookup<StoredRecord>>,
}

/// How often a read is tried against publishes of the same course.
const MAX_READ_ATTEMPTS: usize = 64;

impl Store {
    /// Reads the `wanted` records of a course. Those that are [`Lookup::Fresh`] belong to one
    /// generation: a publish between two of the reads is noticed, and all of them are read again.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict) when the course is published faster than it can be read.
    pub fn read(&self, course: &CourseKey, wanted: &[(&str, Versions)]) -> Result<Snapshot> {
        for _ in 0..MAX_READ_ATTEMPTS {
            let lookups = wanted
                .iter()
                .map(|(name, versions)| self.lookup(course, name, versions))
                .collect::<Result<Vec<_>>>()?;
            let mut generations = lookups.iter().filter_map(generation);
            let first = generations.next();
            if generations.all(|generation| Some(generation) == first) {
                return Ok(Snapshot { lookups });
            }
        }
        let message =
            format!("{course} was published {MAX_READ_ATTEMPTS} times while it was being read");
        Err(Error::new(ErrorKind::Conflict, message))
    }
}

fn generation(lookup: &Lookup<StoredRecord>) -> Option<Generation> {
    match lookup {
        Lookup::Fresh(record) => Some(record.header().generation()),
        _ => None,
    }
}
