//! Transformers of different types in one list: the typed trait, behind object-safe ones that
//! speak bytes and JSON.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;

use super::{Collected, Data, Reach, Transformation, Transformer};
use crate::error::{Error, ErrorKind, Result, panic_text};
use crate::modulestore::Course;
#[cfg(feature = "cli")]
use crate::record::Entry;
use crate::record::{Body, Column, ColumnWriter, DecodeError, RecordError, VerifiedColumn};
use crate::structure::{BlockIndex, RemovalFilter};
use crate::version::Versions;

/// A [`Transformer`] whose types are hidden.
pub(crate) trait ErasedTransformer: Send + Sync {
    fn name(&self) -> &str;
    fn versions(&self) -> Versions;

    /// The record's body. A panic in the transformer's code is an error like any other.
    fn collect(&self, course: &Course) -> Result<Body>;

    /// How much of a course it looks at.
    fn reach(&self) -> Reach;

    /// Decodes what is stored.
    fn load<'d>(
        &'d self,
        stored: Stored<'d, '_>,
    ) -> Result<Box<dyn LoadedTransformer + 'd>, LoadError>;

    /// One block's stored data as JSON.
    #[cfg(feature = "cli")]
    fn block_json(&self, entry: Entry<'_>) -> Result<serde_json::Value>;

    /// The course's stored data as JSON.
    #[cfg(feature = "cli")]
    fn course_json(&self, entry: Entry<'_>) -> Result<serde_json::Value>;
}

/// What there is to decode.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stored<'d, 'p> {
    Nothing,
    Course(VerifiedColumn<'d>),
    /// The blocks at these positions, in ascending order. What is read is verified.
    Part(Column<'d>, &'p [BlockIndex]),
}

/// Why stored data cannot be used.
#[derive(Debug)]
pub(crate) enum LoadError {
    /// It fails its checks.
    Damaged(RecordError),
    /// It is what was stored, and not what the transformer reads.
    Undecodable(DecodeError),
}

impl From<RecordError> for LoadError {
    fn from(error: RecordError) -> Self {
        Self::Damaged(error)
    }
}

impl From<DecodeError> for LoadError {
    fn from(error: DecodeError) -> Self {
        Self::Undecodable(error)
    }
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Damaged(error) => error.into(),
            LoadError::Undecodable(error) => error.into(),
        }
    }
}

/// A transformer together with one course's decoded data.
pub(crate) trait LoadedTransformer {
    fn filters<'a>(
        &'a self,
        transformation: &mut Transformation<'_>,
    ) -> Option<Vec<RemovalFilter<'a>>>;
    fn transform(&self, transformation: &mut Transformation<'_>) -> Result<()>;
}

impl<T: Transformer> ErasedTransformer for T {
    fn name(&self) -> &str {
        Transformer::name(self)
    }

    fn versions(&self) -> Versions {
        Transformer::versions(self)
    }

    fn collect(&self, course: &Course) -> Result<Body> {
        let collected = guard(self, "collecting", || Transformer::collect(self, course))?;
        let expected = course.structure().width();
        if collected.blocks().len() != expected {
            let message = format!(
                "transformer {:?} collected data for {} blocks of a course of {expected}",
                Transformer::name(self),
                collected.blocks().len()
            );
            return Err(Error::new(ErrorKind::Transformer, message));
        }
        guard(self, "encoding", || encode(&collected))
    }

    fn reach(&self) -> Reach {
        Transformer::reach(self)
    }

    fn load<'d>(
        &'d self,
        stored: Stored<'d, '_>,
    ) -> Result<Box<dyn LoadedTransformer + 'd>, LoadError> {
        let data = match stored {
            Stored::Nothing => Data::nothing(),
            Stored::Course(column) => {
                let decode = |entry| -> Result<_, LoadError> { Ok(self.decode_block(entry)?) };
                let blocks = column.decode(decode)?;
                Data::of_course(blocks, self.decode_course(column.course_wide()?)?)
            }
            Stored::Part(column, positions) => {
                let mut blocks = Vec::with_capacity(positions.len());
                for &position in positions {
                    if let Some(entry) = column.entry(position.as_usize())? {
                        blocks.push((position, self.decode_block(entry)?));
                    }
                }
                Data::of_part(blocks, self.decode_course(column.course_wide()?)?)
            }
        };
        Ok(Box::new(Loaded {
            transformer: self,
            data,
        }))
    }

    #[cfg(feature = "cli")]
    fn block_json(&self, entry: Entry<'_>) -> Result<serde_json::Value> {
        to_json(self, &self.decode_block(entry)?)
    }

    #[cfg(feature = "cli")]
    fn course_json(&self, entry: Entry<'_>) -> Result<serde_json::Value> {
        to_json(self, &self.decode_course(entry)?)
    }
}

/// What was collected, as the body of a record.
pub(crate) fn encode<B: Serialize, C: Serialize>(collected: &Collected<B, C>) -> Result<Body> {
    let mut column = ColumnWriter::new();
    for value in collected.blocks() {
        match value {
            Some(value) => column.push_value(value)?,
            None => column.push_absent()?,
        }
    }
    Ok(column.finish_value(collected.course())?)
}

struct Loaded<'d, T: Transformer> {
    transformer: &'d T,
    data: Data<T::BlockData<'d>, T::CourseData<'d>>,
}

impl<T: Transformer> LoadedTransformer for Loaded<'_, T> {
    fn filters<'a>(
        &'a self,
        transformation: &mut Transformation<'_>,
    ) -> Option<Vec<RemovalFilter<'a>>> {
        self.transformer.filters(&self.data, transformation)
    }

    fn transform(&self, transformation: &mut Transformation<'_>) -> Result<()> {
        self.transformer.transform(&self.data, transformation)
    }
}

/// Runs a transformer's code so that neither its panic nor its error reaches the others.
fn guard<T: Transformer, R>(
    transformer: &T,
    doing: &str,
    work: impl FnOnce() -> Result<R>,
) -> Result<R> {
    let failed = |what: &str| {
        let name = Transformer::name(transformer);
        Error::new(
            ErrorKind::Transformer,
            format!("transformer {name:?} {what} while {doing}"),
        )
    };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(failed("failed").with_source(error)),
        Err(panic) => Err(failed("panicked").with_source(
            panic_text(&*panic)
                .unwrap_or("a panic without a message")
                .to_owned(),
        )),
    }
}

#[cfg(feature = "cli")]
fn to_json<T: Transformer, V: Serialize>(transformer: &T, value: &V) -> Result<serde_json::Value> {
    serde_json::to_value(value).map_err(|error| {
        let name = Transformer::name(transformer);
        Error::new(
            ErrorKind::Transformer,
            format!("the data of {name:?} has no form in JSON"),
        )
        .with_source(error)
    })
}
