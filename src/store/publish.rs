//! Writing: all records of a course in one commit, or some of them into the generation that is
//! there. Nothing replaces what a faster writer or a newer release wrote.

use super::{
    CourseEntry, Failure, MAX_COMMIT_ATTEMPTS, ROW, RecordEntry, RecordKey, Store, contended,
    unchanged,
};
use crate::engine::{Commit, Durability, Space, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::key::CourseKey;
use crate::record::{self, Body, Generation, Header, Meta};
use crate::source_version::SourceVersion;
use crate::version::Versions;

/// What a writer found before it began to collect. What it collects is published only if that is
/// still there, so that a slow writer never replaces the work of a faster one.
#[derive(Clone, Debug, PartialEq)]
pub struct Base {
    course: CourseKey,
    row: RowState,
}

#[derive(Clone, Debug, PartialEq)]
enum RowState {
    Absent,
    Present(Generation),
    Damaged,
}

/// One record to be written.
#[derive(Debug)]
pub struct NewRecord {
    /// A transformer's name, or one of the store's own.
    pub name: String,
    /// The versions of the code that collected it.
    pub versions: Versions,
    /// What was collected.
    pub body: Body,
}

/// Whether all of a course is written, or a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A new generation: records that it does not have are removed.
    Whole,
    /// Into the present generation: the other records stay. The source must not have changed.
    Part,
}

/// What a writer wants to be stored for a course.
#[derive(Debug)]
pub struct Publication {
    /// All of it or a part.
    pub scope: Scope,
    /// The published content that it was collected from.
    pub source_version: SourceVersion,
    /// Where the module store found the course, if it says so.
    pub origin: Option<String>,
    /// How many blocks the course has.
    pub blocks: u32,
    /// How many errors its import reported.
    pub errors: u32,
    /// How many warnings its import reported.
    pub warnings: u32,
    /// What was collected.
    pub records: Vec<NewRecord>,
    /// The transformers that failed, and why. Their records of the present generation stay.
    pub failures: Vec<(String, Versions, String)>,
}

/// What became of a [`Publication`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The generation that the records are in.
    pub generation: Generation,
    /// How many records were written.
    pub records: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Store {
    /// Looks at what is there, before collecting.
    ///
    /// # Errors
    /// [`TooNew`](ErrorKind::TooNew) when a newer release keeps the course in a way that this one
    /// does not understand.
    pub fn base(&self, course: &CourseKey) -> Result<(Base, Option<CourseEntry>)> {
        let (row, entry) = self.row_state(course)?;
        let base = Base {
            course: course.clone(),
            row,
        };
        Ok((base, entry))
    }

    /// Writes a publication in one commit: afterwards readers see all of it, before none of it.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict) when the course is no longer as `base` found it, when a
    /// part does not fit the content that is stored, or when a record of the same content would be
    /// replaced by one of a lower WRITE version. [`TooNew`](ErrorKind::TooNew) when a record would
    /// be replaced that this release does not understand. Nothing is written then.
    pub fn publish(
        &self,
        base: &Base,
        publication: &Publication,
        durability: Durability,
    ) -> Result<Published> {
        for _ in 0..MAX_COMMIT_ATTEMPTS {
            let row = self.row_bytes(&base.course)?;
            let (state, entry) = Self::state_of(&base.course, row.as_ref())?;
            if state != base.row {
                return Err(republished(&base.course));
            }
            check(&base.course, entry.as_ref(), publication)?;
            let generation = match (publication.scope, &entry) {
                (Scope::Part, Some(entry)) => entry.generation,
                _ => self.next_generation()?,
            };
            let mut commit = Commit::new();
            commit.require(Space::Courses, ROW, unchanged(row));
            let (new_entry, published) =
                self.assemble(&base.course, entry, publication, generation, &mut commit)?;
            commit.put(Space::Courses, ROW, new_entry.encode()?);
            if self.commit(&base.course, &commit, durability)? {
                return Ok(published);
            }
        }
        Err(contended(&base.course, "written"))
    }

    /// Fills the commit with the records, and makes the row that goes with them.
    fn assemble(
        &self,
        course: &CourseKey,
        entry: Option<CourseEntry>,
        publication: &Publication,
        generation: Generation,
        commit: &mut Commit,
    ) -> Result<(CourseEntry, Published)> {
        let mut written = Vec::with_capacity(publication.records.len());
        for new in &publication.records {
            let meta = Meta {
                write_version: new.versions.write,
                min_reader: new.versions.min_reader,
                generation,
            };
            let key = RecordKey::record(course, &new.name);
            let bytes = record::encode(key.as_bytes(), meta, &new.body);
            written.push(record_entry(&new.name, key.as_bytes(), &bytes)?);
            commit.put(Space::Records, new.name.as_bytes(), bytes);
        }
        let published = Published {
            generation,
            records: written.len(),
            bytes: written.iter().map(RecordEntry::bytes).sum(),
        };
        let is_new = |name: &str| publication.records.iter().any(|new| new.name == name);
        if publication.scope == Scope::Whole {
            let gone = self.record_names(course)?;
            let gone = gone
                .iter()
                .filter(|name| !std::str::from_utf8(name).is_ok_and(is_new));
            gone.for_each(|name| commit.delete(Space::Records, name.as_slice()));
        }
        let failures = failures(entry.as_ref(), publication);
        if publication.scope == Scope::Part {
            let kept = entry.into_iter().flat_map(|entry| entry.records);
            written.extend(kept.filter(|record| !is_new(&record.name)));
        }
        written.sort_by(|a, b| a.name.cmp(&b.name));
        let entry = CourseEntry {
            course: course.clone(),
            generation,
            source_version: publication.source_version.clone(),
            origin: publication.origin.clone(),
            blocks: publication.blocks,
            errors: publication.errors,
            warnings: publication.warnings,
            records: written,
            failures,
        };
        Ok((entry, published))
    }

    fn row_state(&self, course: &CourseKey) -> Result<(RowState, Option<CourseEntry>)> {
        Self::state_of(course, self.row_bytes(course)?.as_ref())
    }

    fn state_of(
        course: &CourseKey,
        row: Option<&Value>,
    ) -> Result<(RowState, Option<CourseEntry>)> {
        let Some(row) = row else {
            return Ok((RowState::Absent, None));
        };
        match CourseEntry::decode(course, row) {
            Ok(entry) => Ok((RowState::Present(entry.generation), Some(entry))),
            Err(error) if error.kind() == ErrorKind::Damaged => Ok((RowState::Damaged, None)),
            Err(error) => Err(error),
        }
    }
}

/// Whether what is stored may be replaced by the publication. No I/O.
fn check(course: &CourseKey, entry: Option<&CourseEntry>, publication: &Publication) -> Result<()> {
    let conflict = |message: String| Err(Error::new(ErrorKind::Conflict, message));
    let same_content =
        entry.is_some_and(|entry| entry.source_version == publication.source_version);
    if publication.scope == Scope::Part && !same_content {
        return conflict(format!(
            "a part of {course} cannot be written: its other records are of other content"
        ));
    }
    for new in &publication.records {
        let Some(old) = entry.and_then(|entry| entry.record(&new.name)) else {
            continue;
        };
        let (stored, written) = (old.header.write_version(), new.versions.write);
        if !old.header.min_reader().admits(written) {
            let message = format!(
                "the record {:?} of {course} is at version {stored}, in a shape that code which \
                 writes {written} does not know",
                new.name
            );
            return Err(Error::new(ErrorKind::TooNew, message));
        }
        if same_content && stored > written {
            return conflict(format!(
                "the record {:?} of {course} is at version {stored}, which {written} does not \
                 replace while the content is the same",
                new.name
            ));
        }
    }
    Ok(())
}

/// A transformer that fails again on the same content is counted; one that was written is cured;
/// what was not tried stays as it was.
fn failures(entry: Option<&CourseEntry>, publication: &Publication) -> Vec<Failure> {
    let same_content = |entry: &&CourseEntry| entry.source_version == publication.source_version;
    let old = entry
        .filter(same_content)
        .map_or(&[][..], |entry| &entry.failures);
    let mut failures: Vec<_> = publication
        .failures
        .iter()
        .map(|(transformer, versions, error)| {
            let before = old.iter().find(|failure| {
                failure.transformer == *transformer && failure.write_version == versions.write
            });
            Failure {
                transformer: transformer.clone(),
                write_version: versions.write,
                attempts: before
                    .map_or(0, |failure| failure.attempts)
                    .saturating_add(1),
                error: error.clone(),
            }
        })
        .collect();
    let was_tried = |name: &str| {
        publication.records.iter().any(|record| record.name == name)
            || publication
                .failures
                .iter()
                .any(|(transformer, ..)| transformer == name)
    };
    let untried = old
        .iter()
        .filter(|failure| !was_tried(&failure.transformer));
    failures.extend(untried.cloned());
    failures.sort_by(|a, b| a.transformer.cmp(&b.transformer));
    failures
}

fn record_entry(name: &str, key: &[u8], bytes: &[u8]) -> Result<RecordEntry> {
    let header = Header::read(key, bytes)?;
    let header_bytes = *bytes.first_chunk().ok_or_else(|| {
        Error::new(
            ErrorKind::Storage,
            format!("the record {name:?} was written without a header"),
        )
    })?;
    Ok(RecordEntry {
        name: name.to_owned(),
        header,
        header_bytes,
    })
}

fn republished(course: &CourseKey) -> Error {
    let message = format!("{course} was published again while it was being collected");
    Error::new(ErrorKind::Conflict, message)
}
