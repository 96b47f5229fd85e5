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
    /// generation, and the others were what they are while it was the course's: a publish between
    /// two of the reads is noticed, and all of them are read again.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict) when the course is published faster than it can be read.
    pub fn read(&self, course: &CourseKey, wanted: &[(&str, Versions)]) -> Result<Snapshot> {
        let mut before = None;
        for _ in 0..MAX_READ_ATTEMPTS {
            let lookups = wanted
                .iter()
                .map(|(name, versions)| self.lookup(course, name, versions))
                .collect::<Result<Vec<_>>>()?;
            let first = lookups.first().and_then(generation);
            if lookups.iter().all(|lookup| generation(lookup) == first) {
                return Ok(Snapshot { lookups });
            }
            // What is not there has no generation to tell by. It counts when a second look finds
            // it unchanged, with the same generation of the others: generations never come back.
            let seen: Vec<_> = lookups.iter().map(generation).collect();
            let mut generations = seen.iter().flatten();
            let first = generations.next();
            if generations.all(|one| Some(one) == first) && before.as_ref() == Some(&seen) {
                return Ok(Snapshot { lookups });
            }
            before = Some(seen);
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
