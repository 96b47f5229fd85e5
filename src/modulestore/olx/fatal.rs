//! Why an export is no course at all. Knows names and places, never any content of a file.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// The reason for which a whole export was refused: the source of an
/// [`InvalidCourse`](ErrorKind::InvalidCourse) error of [`read`](super::read()).
///
/// ```
/// # use courseblocks::modulestore::olx::{self, Fatal, FatalKind, Limits};
/// use std::error::Error as _;
///
/// let empty = tempfile::tempdir()?;
/// let error = olx::read(empty.path(), &Limits::default()).unwrap_err();
/// let fatal = error.source().and_then(|source| source.downcast_ref::<Fatal>());
/// assert_eq!(fatal.map(Fatal::kind), Some(FatalKind::NoRoot));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fatal {
    kind: FatalKind,
    // Relative to the course or the archive; empty when the whole of it is meant.
    path: String,
    line: Option<u32>,
    detail: String,
}

/// What makes an export no course.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FatalKind {
    /// There is no `course.xml` and no `library.xml`.
    NoRoot,
    /// Two of them, equally deep.
    AmbiguousRoot,
    /// The root definition is not there.
    MissingFile,
    /// The root definition is not XML.
    MalformedXml,
    /// The root definition is not UTF-8.
    BadUtf8,
    /// The root definition declares entities.
    EntityDeclaration,
    /// The root definition lies outside the export.
    PathEscape,
    /// The root definition is beyond a limit.
    LimitExceeded,
    /// The course has no run.
    NoRun,
    /// Org, course and run make no key.
    InvalidCourseKey,
    /// The archive is truncated or damaged, or no archive.
    BrokenArchive,
    /// The archive holds a member that could do harm.
    UnsafeArchive,
}

impl FatalKind {
    /// The kind as it is printed, for example `no_root`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoRoot => "no_root",
            Self::AmbiguousRoot => "ambiguous_root",
            Self::MissingFile => "missing_file",
            Self::MalformedXml => "malformed_xml",
            Self::BadUtf8 => "bad_utf8",
            Self::EntityDeclaration => "entity_declaration",
            Self::PathEscape => "path_escape",
            Self::LimitExceeded => "limit_exceeded",
            Self::NoRun => "no_run",
            Self::InvalidCourseKey => "invalid_course_key",
            Self::BrokenArchive => "broken_archive",
            Self::UnsafeArchive => "unsafe_archive",
        }
    }
}

impl fmt::Display for FatalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Fatal {
    pub(super) fn new(kind: FatalKind, path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            kind,
            path: path.into(),
            line: None,
            detail: detail.into(),
        }
    }

    pub(super) fn at_line(mut self, line: Option<u32>) -> Self {
        self.line = line;
        self
    }

    /// What makes the export no course.
    #[must_use]
    pub fn kind(&self) -> FatalKind {
        self.kind
    }

    /// The file or member, relative to the export; empty when the whole of it is meant.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The line in that file, from 1, where it is known.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        self.line
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.kind)?;
        if !self.path.is_empty() {
            // Names come from strangers: quoted, so that they cannot forge lines of a log.
            write!(f, "{:?}", self.path)?;
            if let Some(line) = self.line {
                write!(f, " line {line}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Fatal {}

impl From<Fatal> for Error {
    fn from(fatal: Fatal) -> Self {
        Self::new(ErrorKind::InvalidCourse, fatal.to_string()).with_source(fatal)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn the_message_names_kind_file_and_line() {
        let fatal =
            Fatal::new(FatalKind::MalformedXml, "course.xml", "is not XML").at_line(Some(3));
        let error = Error::from(fatal.clone());
        assert_eq!(error.kind(), ErrorKind::InvalidCourse);
        assert_eq!(
            error.to_string(),
            r#"malformed_xml: "course.xml" line 3: is not XML"#
        );
        let source = error.source().and_then(|source| source.downcast_ref());
        assert_eq!(source, Some(&fatal));
    }

    #[test]
    fn a_name_cannot_forge_a_line_of_a_log() {
        let fatal = Fatal::new(FatalKind::UnsafeArchive, "a\nb", "has a name");
        assert_eq!(fatal.to_string(), r#"unsafe_archive: "a\nb": has a name"#);
    }
}
