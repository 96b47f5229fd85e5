//! The files of one export, held in memory as they were at one moment: a directory or an archive,
//! which nothing above can tell apart. Knows names and bytes, not what they mean.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::fatal::{Fatal, FatalKind};
use super::limits::Limits;
use super::{archive, directory, path};
use crate::error::{Error, ErrorKind, Result};
use crate::modulestore::{Problem, ProblemKind, SourceVersion};

/// Every file of an export that its reader can need.
///
/// All of it is read at once, so that the version and the course describe the same bytes even
/// while somebody edits the directory.
#[derive(Debug)]
pub(super) struct Source {
    /// The directory of the root file, by which a course without a name is called.
    pub(super) directory: String,
    pub(super) root: RootFile,
    files: BTreeMap<String, Content>,
    /// What was found beside the course and could not be used.
    pub(super) warnings: Vec<Problem>,
}

/// The file with which everything begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RootFile {
    Course,
    Library,
}

/// A file by name: its text, or why it has none.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Text {
        text: Arc<str>,
        digest: [u8; 32],
    },
    NotUtf8 {
        bytes: u64,
        digest: [u8; 32],
    },
    /// Longer than [`Limits::file_bytes`].
    TooLong {
        bytes: u64,
    },
    /// A link that leads out of the course.
    Outside,
    /// The operating system refused.
    Denied,
}

impl Source {
    /// Reads the export at `place`.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if nothing is there, [`Storage`](ErrorKind::Storage) if
    /// the operating system refuses, [`LimitExceeded`](ErrorKind::LimitExceeded), and
    /// [`InvalidCourse`](ErrorKind::InvalidCourse) with a [`Fatal`].
    pub(super) fn open(place: &Path, limits: &Limits) -> Result<Self> {
        let metadata = fs::metadata(place).map_err(|error| refused(place, error))?;
        if metadata.is_dir() {
            directory::open(place, limits)
        } else if metadata.is_file() {
            archive::open(place, limits)
        } else {
            Err(no_source(place))
        }
    }

    /// Puts files together whose names are relative to the root file's directory.
    pub(super) fn new(
        directory: String,
        root: RootFile,
        files: BTreeMap<String, Content>,
        warnings: Vec<Problem>,
    ) -> Self {
        Self {
            directory,
            root,
            files,
            warnings,
        }
    }

    /// The text of a file, which must be [normal](path::normalise).
    pub(super) fn text(&self, name: &str) -> Result<&Arc<str>, Unreadable> {
        match self.files.get(name) {
            Some(Content::Text { text, .. }) => Ok(text),
            Some(Content::NotUtf8 { .. }) => Err(Unreadable::NotUtf8),
            Some(Content::TooLong { .. }) => Err(Unreadable::TooLong),
            Some(Content::Outside) => Err(Unreadable::Outside),
            Some(Content::Denied) => Err(Unreadable::Denied),
            None => Err(Unreadable::Missing),
        }
    }

    /// Whether a file of this name is there, readable or not.
    pub(super) fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// The names of all files that begin with `prefix`, in order.
    pub(super) fn names<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.files
            .range::<str, _>((
                std::ops::Bound::Included(prefix),
                std::ops::Bound::Unbounded,
            ))
            .map(|(name, _)| name.as_str())
            .take_while(move |name| name.starts_with(prefix))
    }

    /// `sha256:` and the SHA-256, in hexadecimal, over every file that the reader can need, sorted
    /// by name: length and bytes of the name, a byte that tells its kind, its length and the
    /// SHA-256 of its bytes. Numbers are 64-bit little-endian.
    ///
    /// So it is the same for a directory and its archive, wherever they lie, and static media,
    /// timestamps and files that no course has do not change it. A file that is too long to be
    /// read counts by its length only.
    pub(super) fn version(&self) -> Result<SourceVersion> {
        let mut hash = Sha256::new();
        for (name, content) in &self.files {
            hash.update(length(name.len()));
            hash.update(name);
            match content {
                Content::Text { text, digest } => {
                    hash.update([0]);
                    hash.update(length(text.len()));
                    hash.update(digest);
                }
                Content::NotUtf8 { bytes, digest } => {
                    hash.update([0]);
                    hash.update(bytes.to_le_bytes());
                    hash.update(digest);
                }
                Content::TooLong { bytes } => {
                    hash.update([1]);
                    hash.update(bytes.to_le_bytes());
                }
                Content::Outside => hash.update([2]),
                Content::Denied => hash.update([3]),
            }
        }
        SourceVersion::new(format!("sha256:{}", hexadecimal(&hash.finalize())))
    }
}

impl RootFile {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Course => "course.xml",
            Self::Library => "library.xml",
        }
    }

    /// The root that a file name stands for, if it does.
    pub(super) fn from_name(file: &str) -> Option<Self> {
        match file {
            "course.xml" => Some(Self::Course),
            "library.xml" => Some(Self::Library),
            _ => None,
        }
    }
}

impl Content {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let digest = Sha256::digest(&bytes).into();
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text {
                text: text.into(),
                digest,
            },
            Err(error) => Self::NotUtf8 {
                bytes: u64::try_from(error.as_bytes().len()).unwrap_or(u64::MAX),
                digest,
            },
        }
    }
}

/// Why a file has no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    Missing,
    NotUtf8,
    TooLong,
    Outside,
    Denied,
}

impl Unreadable {
    pub(super) const fn problem(self) -> (ProblemKind, &'static str) {
        match self {
            Self::Missing => (ProblemKind::MissingFile, "the file is not there"),
            Self::NotUtf8 => (ProblemKind::BadUtf8, "the file is not UTF-8"),
            Self::TooLong => (ProblemKind::LimitExceeded, "the file is too long"),
            Self::Outside => (ProblemKind::PathEscape, "the link leads out of the course"),
            Self::Denied => (ProblemKind::MissingFile, "the file cannot be read"),
        }
    }
}

/// Of the directories that hold a root file, the one that is nearest to the top; empty is the top
/// itself.
pub(super) fn shallowest_root<'a>(
    names: impl Iterator<Item = &'a str>,
) -> Result<(&'a str, RootFile), Fatal> {
    let mut found: Vec<(&str, &str, RootFile)> = Vec::new();
    let mut least = usize::MAX;
    for name in names {
        let Some(root) = RootFile::from_name(path::file_name(name)) else {
            continue;
        };
        let depth = name.split('/').count();
        if depth < least {
            least = depth;
            found.clear();
        }
        if depth == least {
            found.push((name, path::parent(name), root));
        }
    }
    match found.as_slice() {
        [] => Err(no_root()),
        [(_, directory, root)] => Ok((directory, *root)),
        [(first, ..), (second, ..), ..] => Err(two_roots(first, second)),
    }
}

pub(super) fn no_root() -> Fatal {
    Fatal::new(
        FatalKind::NoRoot,
        "",
        "there is no course.xml and no library.xml",
    )
}

/// A pipe or a device.
pub(super) fn no_source(place: &Path) -> Error {
    let detail = format!("{} is neither a directory nor a file", place.display());
    Fatal::new(FatalKind::NoRoot, "", detail).into()
}

pub(super) fn two_roots(first: &str, second: &str) -> Fatal {
    let detail = format!("{second:?} is as deep, so it is unclear which course is meant");
    Fatal::new(FatalKind::AmbiguousRoot, first, detail)
}

/// What the operating system said about a place that the caller named.
pub(super) fn refused(place: &Path, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        _ => ErrorKind::Storage,
    };
    Error::new(kind, format!("cannot read {}", place.display())).with_source(error)
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn length(length: usize) -> [u8; 8] {
    u64::try_from(length).unwrap_or(u64::MAX).to_le_bytes()
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// A source of these files, the root file among them or not.
    pub(in crate::modulestore::olx) fn source(files: &[(&str, &str)]) -> Source {
        let files = files
            .iter()
            .map(|(name, text)| ((*name).to_owned(), Content::new(text.as_bytes().to_vec())))
            .collect();
        Source::new("export".to_owned(), RootFile::Course, files, Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_tells_every_change_of_what_is_read() {
        let version = |files: &[(&str, &str)]| testing::source(files).version().unwrap();
        let one = version(&[("course.xml", "ab"), ("html/a.html", "c")]);
        assert_eq!(one, version(&[("html/a.html", "c"), ("course.xml", "ab")]));
        for other in [
            &[("course.xml", "ab")][..],
            &[("course.xml", "ab"), ("html/a.html", "")],
            &[("course.xml", "a"), ("html/a.html", "bc")],
            &[("course.xml", "ab"), ("html/b.html", "c")],
            &[("course.xmlhtml/a.html", "abc")],
        ] {
            assert_ne!(one, version(other), "{other:?}");
        }
    }

    #[test]
    fn the_version_is_made_of_these_bytes() {
        let source = testing::source(&[("course.xml", "ab"), ("html/a.html", "c")]);
        let mut bytes = Vec::new();
        for (name, text) in [("course.xml", "ab"), ("html/a.html", "c")] {
            bytes.extend([u8::try_from(name.len()).unwrap(), 0, 0, 0, 0, 0, 0, 0]);
            bytes.extend(name.as_bytes());
            bytes.push(0);
            bytes.extend([u8::try_from(text.len()).unwrap(), 0, 0, 0, 0, 0, 0, 0]);
            bytes.extend(Sha256::digest(text));
        }
        let version = source.version().unwrap();
        let expected = format!("sha256:{}", hexadecimal(&Sha256::digest(&bytes)));
        assert_eq!(version.as_str(), expected);
        assert_eq!(
            expected,
            "sha256:d65c06544dad5480ede1118c55683d055b8ca4f1e43d53c3f68669b616ebf338"
        );
    }

    #[test]
    fn names_are_listed_by_prefix_and_in_order() {
        let source =
            testing::source(&[("b/2", ""), ("a", ""), ("b/1", ""), ("b", ""), ("c/1", "")]);
        assert_eq!(source.names("b/").collect::<Vec<_>>(), ["b/1", "b/2"]);
        assert_eq!(source.names("").count(), 5);
        assert_eq!(source.names("d").count(), 0);
    }
}
