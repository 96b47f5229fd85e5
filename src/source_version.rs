//! Which content a module store published. Nothing here knows what a version is made of.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};

/// Which published content a course was read from. Opaque: equal means unchanged, nothing more.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SourceVersion(String);

impl SourceVersion {
    /// The longest source version, in bytes: it is stored with every course.
    pub const MAX_BYTES: usize = 255;

    /// A version that a module store made, such as a hash or an edit timestamp.
    ///
    /// # Errors
    /// [`LimitExceeded`](ErrorKind::LimitExceeded) above [`MAX_BYTES`](Self::MAX_BYTES).
    pub fn new(version: impl Into<String>) -> Result<Self> {
        let version = version.into();
        if version.len() > Self::MAX_BYTES {
            let message = format!(
                "a source version of {} bytes exceeds the limit of {}",
                version.len(),
                Self::MAX_BYTES
            );
            return Err(Error::new(ErrorKind::LimitExceeded, message));
        }
        Ok(Self(version))
    }

    /// The version as its module store wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
