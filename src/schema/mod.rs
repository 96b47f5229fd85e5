//! Keeps the types that a transformer stores and its WRITE version together: for tests, not for
//! running releases. It must not know which transformers there are.
//!
//! Stored bytes do not describe themselves, so nobody notices when a field is added to a stored
//! type and WRITE stays what it was, until old and new releases run side by side. [`check`] notices
//! in a test. One call per transformer:
//!
//! ```
//! # #[cfg(feature = "olx")] {
//! use courseblocks::modulestore::olx;
//! use courseblocks::schema;
//! use courseblocks::transformer::standard::StartDate;
//!
//! # fn start_date_is_stored_as_it_was() -> Result<(), Box<dyn std::error::Error>> {
//! let course = olx::read("examples/courses/demo-course".as_ref(), &olx::Limits::default())?;
//! let schemas = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas");
//! schema::check(&StartDate, &course, schemas)?;
//! # Ok(())
//! # }
//! # start_date_is_stored_as_it_was().unwrap();
//! # }
//! ```
//!
//! The directory belongs to the repository. It has a folder per transformer, called by its name
//! (what is no lower-case letter, digit, `_`, `-` or `@` is spelled as `%3a`), and in it for every
//! WRITE version that there ever was:
//!
//! | file | is |
//! |---|---|
//! | `2.schema.json` | what is stored, traced from the types' `Deserialize` |
//! | `2.golden` | a record as version 2 stored it, header and body |
//! | `2.read-by-2.json` | what that record says, by block position |
//! | `2.read-by-4.json` | the same for the types of version 4, where these are of another shape |
//!
//! Files that are missing for the current WRITE are written, and the check fails that once: they
//! are to be reviewed and committed. None is ever overwritten.
//!
//! # What is checked
//!
//! 1. The types have the shape that was written down for their WRITE version. Names of fields and
//!    variants are part of it, names of types are not.
//! 2. Every older version whose code may still read the data (`min_reader` and above) decodes it:
//!    its outermost struct is a prefix of the current one, and everything below is the same. A new
//!    variant of an enum, or a field in a nested struct, is not additive: older code would misread
//!    what follows.
//! 3. The golden record of every version is decoded with the current code and says what it said;
//!    fields may have been added. Below READ no release asks for the data, so that code may refuse
//!    it there with an error; what it does not refuse it must read right.
//! 4. What was just collected is read back equal from its own bytes.
//!
//! After a change that is not additive, behind a higher `min_reader`, the conversion of older data
//! may say it in other words. The new reading is then written beside the old one for review, and
//! holds from there on.
//!
//! What `collect` finds in the course is *not* compared with the golden record of the same version:
//! the shape of the data is the promise between releases, and a corrected mistake in its contents
//! needs no new version. Likewise the course may change.
//!
//! # Limits
//!
//! - Types that ask what there is to read (`#[serde(flatten)]`, untagged and internally tagged
//!   enums, `serde_json::Value`) cannot be traced. They could not be read back from a record either.
//! - Types that check what they read refuse made-up values. Values out of the collected data are
//!   used instead, so the course should have a block for each such type.
//! - Fields and variants are told apart by name, number and shape, not by meaning.
//! - Goldens and readings are as large as the course's data: take a small course with every case.

mod directory;
mod error;
mod golden;
mod json;
#[cfg(test)]
pub(crate) mod own;
mod samples;
mod shape;
mod trace;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::directory::Directory;
use self::error::Problem;
use self::golden::Reading;
use self::shape::{Schema, Type};
use crate::modulestore::Course;
use crate::record::{Body, DecodeError, Entry};
use crate::transformer::{self, Transformer};
use crate::version::{Versions, WriteVersion};

pub use error::SchemaError;
pub(crate) use samples::Samples;
pub(crate) use shape::Shape;
pub(crate) use trace::trace;

/// Checks a transformer's stored types against what `directory` knows of its versions; see the
/// [module](self). `course` should have a block for every case of the data; what was written down
/// with another course stays valid.
///
/// # Errors
/// Says what is wrong and what to do. After a first run for a WRITE version that is
/// what [`SchemaError::written`] lists.
pub fn check<T: Transformer>(
    transformer: &T,
    course: &Course,
    directory: impl AsRef<Path>,
) -> Result<(), SchemaError> {
    let name = transformer.name();
    let failed = |source| Problem::Collect {
        transformer: name.to_owned(),
        source,
    };
    let collected = transformer.collect(course).map_err(failed)?;
    let body = transformer::encode(&collected).map_err(failed)?;

    let mut samples = samples_of(course);
    let values = collected.blocks().iter().flatten();
    // What cannot be serialized here could not be encoded above.
    let _ = values.map(|value| samples.take_from(value)).count();
    let _ = samples.take_from(collected.course());
    let schema = trace::<T::BlockData<'_>, T::CourseData<'_>>(&samples);
    let recorded = Recorded {
        name,
        versions: transformer.versions(),
        schema: schema.map_err(|source| Problem::Untraceable {
            transformer: name.to_owned(),
            source,
        })?,
        body: &body,
        read_block: &|entry| Ok(serde_json::to_value(transformer.decode_block(entry)?)?),
        read_course: &|entry| Ok(serde_json::to_value(transformer.decode_course(entry)?)?),
    };

    let blocks = collected.blocks().iter().enumerate();
    let blocks = blocks.filter_map(|(position, value)| Some((position, value.as_ref()?)));
    let said = Reading {
        course: recorded.json(COURSE, serde_json::to_value(collected.course()))?,
        blocks: blocks
            .map(|(position, value)| {
                let json = serde_json::to_value(value);
                Ok((position, recorded.json(&block(position), json)?))
            })
            .collect::<Result<_, SchemaError>>()?,
    };
    recorded.check(directory.as_ref(), Some(&said))
}

/// What is written down for one name: a transformer's data, or a record of the store's own.
pub(crate) struct Recorded<'a> {
    pub(crate) name: &'a str,
    pub(crate) versions: Versions,
    pub(crate) schema: Schema,
    /// What the current code stores.
    pub(crate) body: &'a Body,
    pub(crate) read_block: &'a Read<'a>,
    pub(crate) read_course: &'a Read<'a>,
}

/// How the current code reads one value, as JSON.
pub(crate) type Read<'a> = dyn Fn(Entry<'_>) -> Result<Value, ReadError> + 'a;

/// A value that cannot be read, or not be shown.
#[derive(Debug)]
pub(crate) enum ReadError {
    Undecodable(DecodeError),
    NoJson(serde_json::Error),
}

/// A schema with what it is the schema of, as it is written down.
#[derive(Debug, Serialize, Deserialize)]
struct Snapshot {
    transformer: String,
    write: WriteVersion,
    block: Shape,
    course: Shape,
    types: BTreeMap<String, Type>,
}

/// A file that is missing, and what is to be in it.
type Missing = (PathBuf, Vec<u8>);

const COURSE: &str = "the course's value";

fn block(position: usize) -> String {
    format!("the value of block {position}")
}

/// Keys that every transformer may store, even where this one has none to show.
pub(crate) fn samples_of(course: &Course) -> Samples {
    let mut samples = Samples::default();
    let structure = course.structure();
    // Keys are text.
    let _ = samples.take_from(course.key());
    let _ = samples.take_from(structure.key(structure.root()));
    samples
}

impl Recorded<'_> {
    /// Compares with what was written down; see the [module](self). `collected` is what went into
    /// the body, where that has a form of its own.
    pub(crate) fn check(
        &self,
        directory: &Path,
        collected: Option<&Reading>,
    ) -> Result<(), SchemaError> {
        let files = Directory::new(directory, self.name);
        let schemas = self.schemas(&files)?;
        let mut missing = Vec::new();
        if let Some(written) = schemas.get(&self.versions.write) {
            self.check_unchanged(written)?;
        } else {
            let path = files.schema(self.versions.write);
            missing.push((path, self.snapshot()?));
        }
        self.check_additive(&schemas)?;
        if let Some(collected) = collected {
            self.check_what_is_read_back(collected)?;
        }
        for (&version, _) in schemas.range(..self.versions.write) {
            missing.extend(self.check_older(&files, version, &schemas)?);
        }
        missing.extend(self.check_current(&files)?);
        if missing.is_empty() {
            return Ok(());
        }
        for (path, bytes) in &missing {
            directory::create(path, bytes)?;
        }
        Err(SchemaError::from(Problem::Written {
            transformer: self.name.to_owned(),
            write: self.versions.write,
            files: missing.into_iter().map(|(path, _)| path).collect(),
        }))
    }

    /// All schemas that are written down, none of them for a version above this code's.
    fn schemas(&self, files: &Directory) -> Result<BTreeMap<WriteVersion, Schema>, SchemaError> {
        let versions = files.versions()?;
        match versions.last() {
            Some(&found) if found > self.versions.write => {
                Err(SchemaError::from(Problem::GoneBack {
                    transformer: self.name.to_owned(),
                    write: self.versions.write,
                    found,
                }))
            }
            _ => versions
                .into_iter()
                .map(|version| Ok((version, self.written(&files.schema(version), version)?)))
                .collect(),
        }
    }

    fn written(&self, path: &Path, version: WriteVersion) -> Result<Schema, SchemaError> {
        let json = read_json(path)?;
        let snapshot: Snapshot = serde_json::from_value(json)
            .map_err(|error| lost(path, format!("is not the schema of a version ({error})")))?;
        if snapshot.transformer != self.name || snapshot.write != version {
            let problem = format!(
                "is the schema of {:?}, version {}",
                snapshot.transformer, snapshot.write
            );
            return Err(lost(path, problem));
        }
        Ok(Schema {
            block: snapshot.block,
            course: snapshot.course,
            types: snapshot.types,
        })
    }

    fn snapshot(&self) -> Result<Vec<u8>, SchemaError> {
        let snapshot = Snapshot {
            transformer: self.name.to_owned(),
            write: self.versions.write,
            block: self.schema.block.clone(),
            course: self.schema.course.clone(),
            types: self.schema.types.clone(),
        };
        let value = self.json("the schema", serde_json::to_value(snapshot))?;
        Ok(json::print(&value).into_bytes())
    }

    fn check_unchanged(&self, written: &Schema) -> Result<(), SchemaError> {
        match self.schema.change_since(written) {
            None => Ok(()),
            Some(difference) => Err(SchemaError::from(Problem::Changed {
                transformer: self.name.to_owned(),
                write: self.versions.write,
                difference,
            })),
        }
    }

    fn check_additive(&self, schemas: &BTreeMap<WriteVersion, Schema>) -> Result<(), SchemaError> {
        let Versions {
            write, min_reader, ..
        } = self.versions;
        let older = schemas.range(..write);
        for (&reader, schema) in older.filter(|(reader, _)| min_reader.admits(**reader)) {
            if let Some(difference) = self.schema.obstacle_for_readers_of(schema) {
                return Err(SchemaError::from(Problem::NotAdditive {
                    transformer: self.name.to_owned(),
                    write,
                    reader,
                    min_reader,
                    difference,
                }));
            }
        }
        Ok(())
    }

    /// The golden record of an older version, and what is said of it.
    fn check_older(
        &self,
        files: &Directory,
        version: WriteVersion,
        schemas: &BTreeMap<WriteVersion, Schema>,
    ) -> Result<Option<Missing>, SchemaError> {
        let path = files.golden(version);
        let golden = directory::read(&path)?.ok_or_else(|| gone(&path))?;
        let reading = match self.read_golden(&path, version, &golden) {
            // Nobody asks this code for data that its READ version refuses by the header.
            Err(error) if error.undecodable().is_some() && !self.versions.read.accepts(version) => {
                return Ok(None);
            }
            reading => reading?,
        };
        let readers = files.readers(version)?;
        if !readers.contains(&version) {
            return Err(gone(&files.reading(version, version)));
        }
        // The newest words for it that are still those of the current types.
        let holding = readers.into_iter().rev().find_map(|reader| {
            let schema = schemas.get(&reader)?;
            let still_holds = self.schema.obstacle_for_readers_of(schema).is_none();
            still_holds.then_some((reader, schema))
        });
        match holding {
            Some((reader, holding)) => {
                let path = files.reading(version, reader);
                self.check_said(version, &path, &reading, holding)?;
                Ok(None)
            }
            None if self.versions.read.accepts(version) => {
                let path = files.reading(version, self.versions.write);
                Ok(Some((path, printed(&reading))))
            }
            None => Ok(None),
        }
    }

    /// The golden record of this code's own version, which may be yet to be written.
    fn check_current(&self, files: &Directory) -> Result<Vec<Missing>, SchemaError> {
        let version = self.versions.write;
        let path = files.golden(version);
        let reading_path = files.reading(version, version);
        let kept = directory::read(&path)?;
        let is_read = directory::read(&reading_path)?.is_some();
        let is_kept = kept.is_some();
        if is_read && !is_kept {
            return Err(gone(&path));
        }
        let golden = kept.unwrap_or_else(|| golden::encode(self.name, self.versions, self.body));
        let reading = self.read_golden(&path, version, &golden)?;
        if is_read {
            self.check_said(version, &reading_path, &reading, &self.schema)?;
            return Ok(Vec::new());
        }
        let mut missing = Vec::new();
        if !is_kept {
            missing.push((path, golden));
        }
        missing.push((reading_path, printed(&reading)));
        Ok(missing)
    }

    fn check_said(
        &self,
        version: WriteVersion,
        path: &Path,
        reading: &Reading,
        schema: &Schema,
    ) -> Result<(), SchemaError> {
        let said = Reading::from_json(&read_json(path)?)
            .ok_or_else(|| lost(path, "is not what a record says".to_owned()))?;
        said.is_said_by(reading, schema).map_err(|unsaid| {
            SchemaError::from(Problem::Misread {
                transformer: self.name.to_owned(),
                golden: version,
                file: path.to_owned(),
                place: unsaid.place,
                said: unsaid.said,
                says: unsaid.says,
            })
        })
    }

    /// `said` is what went into the record that the current code would store.
    fn check_what_is_read_back(&self, said: &Reading) -> Result<(), SchemaError> {
        let failed = |place, said, says| {
            SchemaError::from(Problem::NotReadBack {
                transformer: self.name.to_owned(),
                place,
                said,
                says,
            })
        };
        let bytes = golden::encode(self.name, self.versions, self.body);
        let read = self.read_golden(Path::new(""), self.versions.write, &bytes);
        let read = read.map_err(|error| match error.undecodable() {
            Some((place, cause)) => {
                failed(place.to_owned(), "stored".to_owned(), cause.to_string())
            }
            None => error,
        })?;
        said.is_said_by(&read, &self.schema)
            .map_err(|unsaid| failed(unsaid.place, unsaid.said, unsaid.says))
    }

    fn read_golden(
        &self,
        path: &Path,
        version: WriteVersion,
        bytes: &[u8],
    ) -> Result<Reading, SchemaError> {
        let damaged = |error| lost(path, format!("is damaged ({error})"));
        let record = golden::open(self.name, version, bytes).map_err(damaged)?;
        let column = record.column();
        let course = column.course_wide().map_err(damaged)?;
        let course = self.read(version, COURSE, self.read_course, course)?;
        let mut blocks = Vec::new();
        for (position, entry) in column.entries().enumerate() {
            if let Some(entry) = entry.map_err(damaged)? {
                let value = self.read(version, &block(position), self.read_block, entry)?;
                blocks.push((position, value));
            }
        }
        Ok(Reading { course, blocks })
    }

    fn read(
        &self,
        golden: WriteVersion,
        place: &str,
        read: &Read<'_>,
        entry: Entry<'_>,
    ) -> Result<Value, SchemaError> {
        let value = match read(entry) {
            Ok(value) => Ok(value),
            Err(ReadError::NoJson(error)) => Err(error),
            Err(ReadError::Undecodable(error)) => {
                return Err(SchemaError::from(Problem::Undecodable {
                    transformer: self.name.to_owned(),
                    golden,
                    place: place.to_owned(),
                    source: error,
                }));
            }
        };
        self.json(place, value)
    }

    fn json(
        &self,
        place: &str,
        value: Result<Value, serde_json::Error>,
    ) -> Result<Value, SchemaError> {
        let settled = value.and_then(|value| json::settled(&value));
        settled.map_err(|source| {
            SchemaError::from(Problem::NoJson {
                transformer: self.name.to_owned(),
                place: place.to_owned(),
                source,
            })
        })
    }
}

impl From<DecodeError> for ReadError {
    fn from(error: DecodeError) -> Self {
        Self::Undecodable(error)
    }
}

impl From<serde_json::Error> for ReadError {
    fn from(error: serde_json::Error) -> Self {
        Self::NoJson(error)
    }
}

fn printed(reading: &Reading) -> Vec<u8> {
    json::print(&reading.to_json()).into_bytes()
}

fn read_json(path: &Path) -> Result<Value, SchemaError> {
    let bytes = directory::read(path)?.ok_or_else(|| gone(path))?;
    serde_json::from_slice(&bytes).map_err(|error| lost(path, format!("is no JSON ({error})")))
}

fn gone(path: &Path) -> SchemaError {
    lost(path, "is missing".to_owned())
}

fn lost(path: &Path, problem: String) -> SchemaError {
    SchemaError::from(Problem::Lost {
        file: path.to_owned(),
        problem,
    })
}
