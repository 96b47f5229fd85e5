//! The one error type: a kind to act on, a message that names the thing, a source to debug.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What went wrong, as far as a caller would act differently on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A course or usage key that is not one.
    InvalidKey,
    /// A transformer that is not registered, registered twice, or has impossible versions.
    Registry,
    /// Neither the store nor the module store has the course, or the course lacks the block.
    NotFound,
    /// The course's source cannot be read as a course at all.
    InvalidCourse,
    /// A transformer failed while it collected or transformed.
    Transformer,
    /// A limit that protects memory or time was exceeded; the message names limit and value.
    LimitExceeded,
    /// Another writer was faster, or newer: nothing was written.
    Conflict,
    /// The store does not accept this release's data any more: leave it to a newer release.
    Fenced,
    /// A write without a lease, or with one that has ended: join the fleet (again).
    NoLease,
    /// Another process has the store open; the message names its pid where it is known.
    OpenElsewhere,
    /// Written by a newer release or in a newer format. It was not touched.
    TooNew,
    /// Stored bytes that fail their checks. Derived data can be collected again.
    Damaged,
    /// The disk is full, or the process has too many files open. It is not the fault of what was to
    /// be written, what is stored can be read, and the same works once there is room.
    NoRoom,
    /// The engine or the file system refused; the source tells more.
    Storage,
}

/// An error of this crate. See [`ErrorKind`] for what to act on.
///
/// It can be cloned, because several readers may have waited for the one that failed.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Arc<dyn StdError + Send + Sync + 'static>>,
}

/// [`std::result::Result`] with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` whose `message` names the thing, in lower case without a full stop.
    /// Public for those who write engines, module stores and transformers.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// The same error, with what caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// What to act on.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl Error {
    /// The message and those of all that caused it, each once, for a place where only text is
    /// kept.
    pub(crate) fn chain(&self) -> String {
        chain(self)
    }
}

/// The message of an error and of all that caused it. Some libraries repeat their cause in their
/// own message; it is told once.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// The longest text of an error that is stored, in bytes. What a transformer says, or where it
/// panics, may quote as much of a course as there is.
pub const MAX_ERROR_BYTES: usize = 2 << 10;

/// The text as it is stored: cut between characters where it is longer than [`MAX_ERROR_BYTES`].
pub(crate) fn shortened(error: &str) -> String {
    const CUT: &str = "…";

    if error.len() <= MAX_ERROR_BYTES {
        return error.to_owned();
    }
    let mut end = MAX_ERROR_BYTES - CUT.len();
    while !error.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{CUT}", error.get(..end).unwrap_or_default())
}

/// What a caught panic said, if it was text.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> Option<&str> {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_error_is_cut_between_characters() {
        let longest = "x".repeat(MAX_ERROR_BYTES);
        assert_eq!(shortened(&longest), longest);
        let cut = shortened(&format!("{longest}x"));
        assert_eq!(cut, format!("{}…", &longest[..MAX_ERROR_BYTES - 3]));
        for before in 0..4 {
            let cut = shortened(&format!("{}{}", "x".repeat(before), "🎓".repeat(1_000)));
            assert!((MAX_ERROR_BYTES - 4..=MAX_ERROR_BYTES).contains(&cut.len()));
            assert!(cut.ends_with("🎓…"));
        }
    }
}
