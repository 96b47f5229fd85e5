//! What can become of a call to sled, and what that is for those above.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::WAY_OUT;
use crate::engine::directory::unusable;
use crate::engine::disk::{is_lack_of_files, is_lack_of_room};
use crate::error::{Error, ErrorKind, Result, panic_text};

/// What a call to sled can come to other than its result.
pub(super) enum Failure {
    Sled(sled::Error),
    Panic(String),
}

impl Failure {
    /// Whether something is there that nobody wrote, or not there that somebody wrote.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Panic(_) | Self::Sled(sled::Error::Corruption { .. }) => true,
            // A file that is missing or too short.
            Self::Sled(sled::Error::Io(error)) => matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
            ),
            Self::Sled(_) => false,
        }
    }

    pub(super) fn is_lack_of_room(&self) -> bool {
        matches!(self, Self::Sled(sled::Error::Io(error)) if is_lack_of_room(error))
    }

    pub(super) fn is_lack_of_files(&self) -> bool {
        matches!(self, Self::Sled(sled::Error::Io(error)) if is_lack_of_files(error))
    }

    pub(super) fn into_error(self, path: &Path, what: &str) -> Error {
        let display = path.display();
        let error = if self.is_damage() {
            let message =
                format!("the store at {display} {what}: its files are damaged; {WAY_OUT}");
            Error::new(ErrorKind::Damaged, message)
        } else if let Self::Sled(sled::Error::Io(error)) = self {
            return unusable(path, what, error);
        } else {
            Error::new(ErrorKind::Storage, format!("the store at {display} {what}"))
        };
        self.cause_of(error)
    }

    pub(super) fn cause_of(self, error: Error) -> Error {
        match self {
            // sled's words are of a backtrace that it does not have.
            Self::Sled(sled::Error::Corruption { at, .. }) => error.with_source(match at {
                Some(at) => format!("what sled finds at {at:?} is not what it wrote"),
                None => "sled finds what it did not write".to_owned(),
            }),
            Self::Sled(source) => error.with_source(source),
            Self::Panic(message) => error.with_source(format!("sled panicked: {message}")),
        }
    }
}

/// sled panics where it meets what it does not expect.
pub(super) fn guarded<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, Failure> {
    // What a panic may leave behind is not used any more: handles that are opening are dropped, a
    // write stops the engine. Reads leave nothing.
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(returned) => returned.map_err(Failure::Sled),
        Err(panic) => Err(Failure::Panic(
            panic_text(&*panic)
                .unwrap_or("without a message")
                .to_owned(),
        )),
    }
}
