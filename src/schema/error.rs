//! What a check of stored types can find. Every message is for the person whose test failed: it
//! says what is wrong and what to do.

use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;

use super::shape::Difference;
use super::trace::TraceError;
use crate::error::Error;
use crate::record::DecodeError;
use crate::version::{MinReader, WriteVersion};

/// Why [`check`](super::check) is not content.
///
/// `Debug` prints what `Display` does, with the causes: that is what a test shows that unwraps it
/// or returns it.
#[derive(thiserror::Error)]
#[error(transparent)]
pub struct SchemaError(Box<Problem>);

impl SchemaError {
    /// The files that were written, since there were none to compare with. Empty when something
    /// else is wrong: then none were.
    #[must_use]
    pub fn written(&self) -> &[PathBuf] {
        match &*self.0 {
            Problem::Written { files, .. } => files,
            _ => &[],
        }
    }

    /// Which stored value the current code refuses, and why.
    pub(super) fn undecodable(&self) -> Option<(&str, &DecodeError)> {
        match &*self.0 {
            Problem::Undecodable { place, source, .. } => Some((place, source)),
            _ => None,
        }
    }
}

impl From<Problem> for SchemaError {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

/// What is wrong, with `transformer` by its name and `write` for its WRITE version.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    /// Files were written, since there were none to compare with.
    #[error(
        "transformer {transformer:?} had nothing written down yet for WRITE version {write}, so \
         this was written: {}. Review the files and commit them; the next run compares with them",
        listed(files)
    )]
    Written {
        transformer: String,
        write: WriteVersion,
        /// What was written.
        files: Vec<PathBuf>,
    },
    /// The types changed and the WRITE version did not.
    #[error(
        "the stored types of transformer {transformer:?} changed, but its WRITE version is still \
         {write}: {difference}. Stored data of version {write} has the old shape. Raise WRITE to \
         {}, and convert older data in `decode_block` and `decode_course`; or take the change back",
        next(*write)
    )]
    Changed {
        transformer: String,
        write: WriteVersion,
        /// What changed.
        difference: Difference,
    },
    /// Older releases that may still read the data would misread it.
    #[error(
        "code of version {reader} may still read what transformer {transformer:?} writes as version \
         {write} (its min_reader is {min_reader}), but cannot: {difference}. Only fields appended to \
         the outermost struct are ignored by older code. Append them there; or keep older code from \
         the data by a min_reader above {reader}, which costs a release the way back"
    )]
    NotAdditive {
        transformer: String,
        write: WriteVersion,
        /// The older version whose code cannot decode what is written now.
        reader: WriteVersion,
        /// What it says about who can.
        min_reader: MinReader,
        /// What is in the way.
        difference: Difference,
    },
    /// A golden record can no longer be decoded.
    #[error(
        "transformer {transformer:?} can no longer decode {place} of what it stored as version \
         {golden}. Convert what `Entry::write_version` says is older in `decode_block` and \
         `decode_course`"
    )]
    Undecodable {
        transformer: String,
        /// The version of the golden record.
        golden: WriteVersion,
        /// Which value.
        place: String,
        source: DecodeError,
    },
    /// A golden record no longer says what it said.
    #[error(
        "transformer {transformer:?} misreads what it stored as version {golden}: {place} was \
         {said} and is now {says}. {} tells what it says. Correct the conversion in `decode_block` \
         and `decode_course`",
        file.display()
    )]
    Misread {
        transformer: String,
        /// The version of the golden record.
        golden: WriteVersion,
        /// Where it is written down what the record says.
        file: PathBuf,
        /// Which part of it.
        place: String,
        /// What it said, as JSON.
        said: String,
        /// What it says, as JSON.
        says: String,
    },
    /// What was just collected does not come back from its own bytes.
    #[error(
        "what transformer {transformer:?} collects is not what is read back: {place} was {said}, and \
         after having been stored it is {says}. Its types read themselves otherwise than they write \
         themselves (`skip_serializing_if`, for instance, which stored bytes cannot bear)"
    )]
    NotReadBack {
        transformer: String,
        /// Which part of it.
        place: String,
        /// What was collected, as JSON.
        said: String,
        /// What was read back, as JSON, or why nothing was.
        says: String,
    },
    /// The directory knows a version that this code does not.
    #[error(
        "transformer {transformer:?} writes version {write}, but the schema of version {found} is \
         written down already. A WRITE version never goes back: use a number above {found}"
    )]
    GoneBack {
        transformer: String,
        write: WriteVersion,
        /// The highest one that was written down.
        found: WriteVersion,
    },
    /// The shape of the types cannot be found out.
    #[error("the types of transformer {transformer:?} cannot be traced: {source}")]
    Untraceable {
        transformer: String,
        source: TraceError,
    },
    /// A kept file is missing or not what was written.
    #[error(
        "{} {problem}. It was committed with its version and cannot be made again: restore it from \
         the history of the repository",
        file.display()
    )]
    Lost {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The data has no form in JSON, in which people review it (keys of a map that are no text, for
    /// instance).
    #[error("{place} of transformer {transformer:?} has no form in JSON")]
    NoJson {
        transformer: String,
        /// Which value.
        place: String,
        source: serde_json::Error,
    },
    /// The transformer could not collect the course, or its data could not be stored.
    #[error("transformer {transformer:?} cannot collect the course that it is checked with")]
    Collect { transformer: String, source: Error },
    /// A file could not be read or written.
    #[error("{} cannot be read or written", file.display())]
    File {
        /// The file.
        file: PathBuf,
        source: std::io::Error,
    },
}

impl fmt::Debug for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printed = self.to_string();
        f.write_str(&printed)?;
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some messages tell their cause themselves.
            if !printed.contains(&text) {
                write!(f, ": {text}")?;
            }
            printed = text;
            cause = error.source();
        }
        Ok(())
    }
}

fn listed(files: &[PathBuf]) -> String {
    let files = files.iter().map(|file| file.display().to_string());
    files.collect::<Vec<_>>().join(", ")
}

fn next(version: WriteVersion) -> u64 {
    u64::from(version.get()) + 1
}
