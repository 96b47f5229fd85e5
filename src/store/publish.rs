//! Writing: all records of a course in one commit, or some of them into the generation that is
//! there. Nothing replaces what a faster writer or a newer release wrote.

use super::leases::check_declared;
use super::verify::check_record;
use super::{
    CourseEntry, Failure, FloorEpoch, Floors, Lease, MAX_COMMIT_ATTEMPTS, MAX_NAME_BYTES, Members,
    ROW, RecordEntry, Row, Store, contended, no_lease, record_key, unchanged,
};
use crate::engine::{Commit, Durability, Expected, Space, Value};
use crate::error::{Error, ErrorKind, Result, shortened};
use crate::key::CourseKey;
use crate::record::{self, Body, ColumnWriter, Generation, Header, Meta, Record, RecordKey};
use crate::source_version::SourceVersion;
use crate::version::{Versions, WriteVersion};

/// The most bytes that the records of one course may take together, headers included and as they are
/// stored. All of them are written in one commit, and read as one.
pub const MAX_COURSE_BYTES: u64 = 256 << 20;

/// What a writer found before it began to collect. What it collects is published only if that is
/// still there, so that a slow writer never replaces the work of a faster one.
#[derive(Clone, Debug, PartialEq)]
pub struct Base {
    course: CourseKey,
    row: RowState,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum RowState {
    // Nothing is stored. A number that comes once keeps a course that is stored and deleted again
    // from looking as if nothing had happened.
    Reserved(Generation),
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
    /// The transformers that failed, and why. A part leaves their records as they are.
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

impl Base {
    /// The course.
    #[must_use]
    pub fn course(&self) -> &CourseKey {
        &self.course
    }
}

impl NewRecord {
    /// Whether it is one of the store's own.
    pub(super) fn is_own(&self) -> bool {
        self.name.starts_with('@')
    }

    fn meta(&self, generation: Generation) -> Meta {
        Meta {
            write_version: self.versions.write,
            min_reader: self.versions.min_reader,
            generation,
        }
    }
}

impl Store {
    /// Looks at what is there, before the content is read and collected. A course that is not
    /// stored gets a reservation, which readers do not see; where nothing comes of it, it is given
    /// back with [`abandon`](Self::abandon).
    ///
    /// # Errors
    /// [`NoLease`](ErrorKind::NoLease) for a lease that has ended. [`TooNew`](ErrorKind::TooNew)
    /// when a newer release keeps the course in a way that this one does not understand.
    /// [`LimitExceeded`](ErrorKind::LimitExceeded) for one course more than
    /// [`MAX_COURSES`](super::MAX_COURSES).
    pub fn base(&self, lease: &Lease, course: &CourseKey) -> Result<(Base, Option<CourseEntry>)> {
        self.holder(lease)?;
        for _ in 0..MAX_COMMIT_ATTEMPTS {
            if let Some(row) = self.row_bytes(course)? {
                let (row, entry) = Self::state_of(course, &row)?;
                let base = Base {
                    course: course.clone(),
                    row,
                };
                return Ok((base, entry));
            }
            self.reserve(course)?;
        }
        Err(contended(course, "reserved"))
    }

    /// Leaves no trace of a course that was to be stored for the first time and was not. Whoever
    /// else was about to store it has to begin again.
    ///
    /// # Errors
    /// Whatever the engine says.
    pub fn abandon(&self, base: &Base) -> Result<()> {
        if !matches!(base.row, RowState::Reserved(_)) {
            return Ok(());
        }
        let Some(row) = self.row_bytes(&base.course)? else {
            return Ok(());
        };
        if Self::state_of(&base.course, &row)?.0 == base.row {
            let mut commit = Commit::new();
            commit.require(Space::Courses, ROW, unchanged(Some(row)));
            commit.delete(Space::Courses, ROW);
            self.commit(&base.course, &commit, Durability::Buffered)?;
        }
        Ok(())
    }

    /// Writes a publication in one commit: afterwards readers see all of it, before none of it.
    ///
    /// A record of the same content is not replaced by one of a lower WRITE version, unless what
    /// is stored is damaged and nobody can read it any more. A whole publication of the same
    /// content and structure keeps the records that it does not bring: those of transformers that
    /// failed, or that the release does not know.
    ///
    /// # Errors
    /// [`NoLease`](ErrorKind::NoLease) for a lease that has ended, or that was taken for other
    /// versions. [`Fenced`](ErrorKind::Fenced) for what is below a floor, however early its writer
    /// began. [`Conflict`](ErrorKind::Conflict) when the course is no longer as `base` found it,
    /// when a part does not fit the content that is stored, or when a record of the same content
    /// would be replaced by one of a lower WRITE version. [`TooNew`](ErrorKind::TooNew) when a
    /// record would be replaced or removed that this release does not understand.
    /// [`LimitExceeded`](ErrorKind::LimitExceeded) beyond [`MAX_COURSE_BYTES`], and for a name
    /// beyond [`MAX_NAME_BYTES`](super::MAX_NAME_BYTES). Nothing is written then.
    pub fn publish(
        &self,
        lease: &Lease,
        base: &Base,
        publication: &Publication,
        durability: Durability,
    ) -> Result<Published> {
        let course = &base.course;
        for _ in 0..MAX_COMMIT_ATTEMPTS {
            let row = self.row_bytes(course)?.ok_or_else(|| republished(course))?;
            let (state, entry) = Self::state_of(course, &row)?;
            if state != base.row {
                return Err(republished(course));
            }
            // After the row was read: floors that are raised from now on change the row, and this
            // commit is refused.
            let epoch = self.check_fenced(lease, course, publication)?;
            self.check_replaceable(course, entry.as_ref(), publication)?;
            let generation = match (publication.scope, &entry) {
                (Scope::Part, Some(entry)) => entry.generation,
                _ => self.next_generation()?,
            };
            let mut commit = Commit::new();
            commit.require(Space::Courses, ROW, unchanged(Some(row)));
            let (mut new_entry, published) =
                self.assemble(course, entry, publication, generation, &mut commit)?;
            new_entry.floor_epoch = epoch;
            commit.put(Space::Courses, ROW, new_entry.encode()?);
            if self.commit(course, &commit, durability)? {
                return Ok(published);
            }
        }
        Err(contended(course, "written"))
    }

    /// Whether this worker may write this now. Answers with the epoch of the floors that it was
    /// checked against.
    fn check_fenced(
        &self,
        lease: &Lease,
        course: &CourseKey,
        publication: &Publication,
    ) -> Result<FloorEpoch> {
        let (members, _) = self.members()?;
        let member = members.holder(lease).ok_or_else(|| no_lease(lease))?;
        check_declared(member, publication)?;
        let floors = self.floors()?;
        floors.check(course, publication)?;
        check_shapes(&floors, &members, course, publication)?;
        Ok(floors.epoch())
    }

    /// Gives a course that is not stored a row, so that floors that are raised from now on find
    /// it.
    fn reserve(&self, course: &CourseKey) -> Result<()> {
        self.check_room(course)?;
        let epoch = self.floors()?.epoch();
        let reserved = Row::encode_reserved(course, self.next_generation()?, epoch)?;
        let mut commit = Commit::new();
        commit.require(Space::Courses, ROW, Expected::Absent);
        commit.put(Space::Courses, ROW, reserved);
        // Refused: somebody else was faster, and its row will do.
        if self.commit(course, &commit, Durability::Buffered)? {
            self.room.take();
        }
        Ok(())
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
            check_name(&new.name)?;
            let key = record_key::record(course, &new.name);
            let bytes = record::encode(key, new.meta(generation), &new.body);
            written.push(record_entry(&new.name, key, &bytes)?);
            // At once, so that no more of it is ever in memory.
            check_size(course, &written)?;
            commit.put(Space::Records, new.name.as_bytes(), bytes);
        }
        let published = Published {
            generation,
            records: written.len(),
            bytes: written.iter().map(RecordEntry::bytes).sum(),
        };
        let is_new = |name: &str| publication.records.iter().any(|new| new.name == name);
        if publication.scope == Scope::Whole {
            let kept = self.carried_over(entry.as_ref(), publication, generation)?;
            for name in self.record_names(course)? {
                let name_text = std::str::from_utf8(&name);
                let stays = name_text.is_ok_and(|name| {
                    is_new(name) || kept.iter().any(|(record, _)| record.name == name)
                });
                if !stays {
                    commit.delete(Space::Records, name);
                }
            }
            for (record, bytes) in kept {
                commit.put(Space::Records, record.name.as_bytes(), bytes);
                written.push(record);
            }
        }
        let failures = failures(entry.as_ref(), publication);
        if publication.scope == Scope::Part {
            let kept = entry.into_iter().flat_map(|entry| entry.records);
            written.extend(kept.filter(|record| !is_new(&record.name)));
        }
        check_size(course, &written)?;
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
            floor_epoch: FloorEpoch::default(),
        };
        Ok((entry, published))
    }

    /// The records that a whole publication of the same content does not bring, in its generation.
    /// They still fit where the store's own records, which say what positions mean, hold the same
    /// byte by byte, however each release compresses it. What is damaged is left behind.
    fn carried_over(
        &self,
        entry: Option<&CourseEntry>,
        publication: &Publication,
        generation: Generation,
    ) -> Result<Vec<(RecordEntry, Vec<u8>)>> {
        let mut kept = Vec::new();
        let same_content =
            |entry: &&CourseEntry| entry.source_version == publication.source_version;
        let Some(entry) = entry.filter(same_content) else {
            return Ok(kept);
        };
        let mut own = publication.records.iter().filter(|new| new.is_own());
        if own.clone().next().is_none() {
            return Ok(kept);
        }
        let is_same = |new: &NewRecord| -> Result<bool> {
            let Some(old) = self.record_bytes(&entry.course, &new.name)? else {
                return Ok(false);
            };
            let old = unpack(record_key::record(&entry.course, &new.name), &old);
            Ok(old.is_ok_and(|(meta, body)| {
                meta == new.meta(entry.generation) && body.has_values_of(&new.body)
            }))
        };
        if !own.try_fold(true, |same, new| Ok::<_, Error>(same && is_same(new)?))? {
            return Ok(kept);
        }
        let is_new = |name: &str| publication.records.iter().any(|new| new.name == name);
        for old in entry.records.iter().filter(|old| !is_new(&old.name)) {
            let Some(value) = self.record_bytes(&entry.course, &old.name)? else {
                continue;
            };
            let key = record_key::record(&entry.course, &old.name);
            if let Ok((meta, body)) = unpack(key, &value) {
                let bytes = record::encode(key, Meta { generation, ..meta }, &body);
                kept.push((record_entry(&old.name, key, &bytes)?, bytes));
            }
        }
        Ok(kept)
    }

    /// Whether what is stored may be replaced by the publication.
    fn check_replaceable(
        &self,
        course: &CourseKey,
        entry: Option<&CourseEntry>,
        publication: &Publication,
    ) -> Result<()> {
        check_fits(course, entry, publication)?;
        let Some(entry) = entry else {
            return check_understood(course, &self.unindexed_records(course)?, publication);
        };
        check_understood(course, &entry.records, publication)?;
        match check_newer(entry, publication) {
            Err(newer) if !self.replaces_damage(entry, publication)? => Err(newer),
            _ => Ok(()),
        }
    }

    /// The records that are there, by their own headers, for a course whose row is lost. Damaged
    /// ones are of no use to anyone and left out.
    fn unindexed_records(&self, course: &CourseKey) -> Result<Vec<RecordEntry>> {
        let mut records = Vec::new();
        let partition = course.as_str().as_bytes();
        for item in self.engine.scan(Space::Records, Some(partition)) {
            let item = item?;
            let Ok(name) = std::str::from_utf8(item.name()) else {
                continue;
            };
            let key = record_key::record(course, name);
            match record_entry(name, key, item.value()) {
                Ok(record) => records.push(record),
                Err(error) if error.kind() == ErrorKind::TooNew => return Err(error),
                Err(_) => {}
            }
        }
        Ok(records)
    }

    /// Whether one of the records that the publication brings is there, but damaged or lost.
    fn replaces_damage(&self, entry: &CourseEntry, publication: &Publication) -> Result<bool> {
        for new in &publication.records {
            let Some(old) = entry.record(&new.name) else {
                continue;
            };
            let value = self.record_bytes(&entry.course, &new.name)?;
            let is_intact = value.is_some_and(|value| {
                value.starts_with(&old.header_bytes)
                    && check_record(&entry.course, &new.name, &value).is_ok()
            });
            if !is_intact {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn state_of(course: &CourseKey, row: &Value) -> Result<(RowState, Option<CourseEntry>)> {
        match Row::decode(course, row) {
            Ok(Row::Stored(entry)) => Ok((RowState::Present(entry.generation), Some(entry))),
            Ok(Row::Reserved { generation, .. }) => Ok((RowState::Reserved(generation), None)),
            Err(error) if error.kind() == ErrorKind::Damaged => Ok((RowState::Damaged, None)),
            Err(error) => Err(error),
        }
    }
}

/// No I/O.
fn check_name(name: &str) -> Result<()> {
    if name.len() <= MAX_NAME_BYTES {
        return Ok(());
    }
    let message = format!(
        "a record has a name of {} bytes, with a limit of {MAX_NAME_BYTES}",
        name.len()
    );
    Err(Error::new(ErrorKind::LimitExceeded, message))
}

/// No I/O.
fn check_size(course: &CourseKey, records: &[RecordEntry]) -> Result<()> {
    let bytes = records.iter().map(RecordEntry::bytes).sum();
    check_course_bytes(course, bytes)
}

fn check_course_bytes(course: &CourseKey, bytes: u64) -> Result<()> {
    if bytes <= MAX_COURSE_BYTES {
        return Ok(());
    }
    let message = format!(
        "the records of {course} take {bytes} bytes or more, with a limit of {MAX_COURSE_BYTES} for \
         one course"
    );
    Err(Error::new(ErrorKind::LimitExceeded, message))
}

/// A shape that older code cannot decode waits until there is no such code. Where there is a
/// floor, it says so; before the first one the fleet is asked. No I/O.
fn check_shapes(
    floors: &Floors,
    members: &Members,
    course: &CourseKey,
    publication: &Publication,
) -> Result<()> {
    for new in &publication.records {
        let Versions { min_reader, .. } = new.versions;
        if floors.get(&new.name).is_some() {
            continue;
        }
        let lost = members.iter().find(|member| {
            let versions = member.transformers.get(&new.name);
            versions.is_some_and(|versions| !min_reader.admits(versions.write))
        });
        if let Some(lost) = lost {
            let message = format!(
                "{course}: readers of {:?} must know version {min_reader} to decode this data, and \
                 worker {:?} ({}) does not",
                new.name, lost.worker, lost.release
            );
            return Err(Error::new(ErrorKind::Fenced, message));
        }
    }
    Ok(())
}

/// A part belongs to what is there. No I/O.
fn check_fits(
    course: &CourseKey,
    entry: Option<&CourseEntry>,
    publication: &Publication,
) -> Result<()> {
    if publication.scope == Scope::Whole {
        return Ok(());
    }
    let reason = match entry {
        None => "there is no whole",
        Some(entry) if entry.source_version != publication.source_version => {
            "its other records are of other content"
        }
        Some(entry) if entry.blocks != publication.blocks => {
            "its other records are for another number of blocks"
        }
        Some(_) => return Ok(()),
    };
    let message = format!("a part of {course} cannot be written: {reason}");
    Err(Error::new(ErrorKind::Conflict, message))
}

/// Nothing is replaced or removed that this release has a transformer for and does not understand.
/// No I/O.
fn check_understood(
    course: &CourseKey,
    stored: &[RecordEntry],
    publication: &Publication,
) -> Result<()> {
    for (name, release) in replaced(publication) {
        let Some(old) = stored.iter().find(|record| record.name == name) else {
            continue;
        };
        if !old.header.min_reader().admits(release) {
            let message = format!(
                "the record {name:?} of {course} is at version {}, in a shape that code which \
                 writes {release} does not know",
                old.header.write_version()
            );
            return Err(Error::new(ErrorKind::TooNew, message));
        }
    }
    Ok(())
}

/// Of the same content, nothing is replaced or removed by a lower WRITE version. No I/O.
fn check_newer(entry: &CourseEntry, publication: &Publication) -> Result<()> {
    if entry.source_version != publication.source_version {
        return Ok(());
    }
    for (name, release) in replaced(publication) {
        let stored = entry.record(name).map(|old| old.header.write_version());
        if let Some(stored) = stored.filter(|stored| *stored > release) {
            let message = format!(
                "the record {name:?} of {} is at version {stored}, which {release} does not \
                 replace while the content is the same",
                entry.course
            );
            return Err(Error::new(ErrorKind::Conflict, message));
        }
    }
    Ok(())
}

/// The transformers whose records a publication replaces, or removes because they failed: a part
/// leaves those. With the WRITE version of this release.
fn replaced(publication: &Publication) -> impl Iterator<Item = (&str, WriteVersion)> {
    let written = publication.records.iter();
    let written = written.map(|new| (new.name.as_str(), new.versions.write));
    let failed = publication.failures.iter();
    let removed = failed.filter(|_| publication.scope == Scope::Whole);
    written.chain(removed.map(|(name, versions, _)| (name.as_str(), versions.write)))
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
                error: shortened(error),
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

/// What an intact record holds, to be written again.
fn unpack(key: RecordKey<'_>, bytes: &[u8]) -> Result<(Meta, Body)> {
    let record = Record::open(key, bytes)?.verify()?;
    let header = record.header();
    let meta = Meta {
        write_version: header.write_version(),
        min_reader: header.min_reader(),
        generation: header.generation(),
    };
    let mut column = ColumnWriter::new();
    for entry in record.column().entries() {
        match entry? {
            Some(entry) => column.push(entry.bytes())?,
            None => column.push_absent()?,
        }
    }
    let body = column.finish(record.column().course_wide()?.bytes())?;
    Ok((meta, body.compressed(header.compression())))
}

fn record_entry(name: &str, key: RecordKey<'_>, bytes: &[u8]) -> Result<RecordEntry> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_course_is_the_one_that_the_limit_names() {
        let course: CourseKey = "course-v1:O+C+R".parse().unwrap();
        assert!(check_course_bytes(&course, MAX_COURSE_BYTES).is_ok());
        let error = check_course_bytes(&course, MAX_COURSE_BYTES + 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);
        for named in ["course-v1:O+C+R", "268435457", "268435456"] {
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
