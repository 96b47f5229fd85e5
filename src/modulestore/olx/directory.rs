//! Reads the files of an export from a directory. Knows what links and pipes are, not what a
//! course is.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::beneath::Beneath;
use super::limits::{Limits, limit_exceeded};
use super::path;
use super::source::{Content, RootFile, Source, no_root, refused, two_roots};
use crate::error::Result;
use crate::modulestore::{Problem, ProblemKind};

/// Reads the course at or below `top`, never following a link out of it, nor into a directory.
pub(super) fn open(top: &Path, limits: &Limits) -> Result<Source> {
    let (root, directory) = find_root(top, limits)?;
    let mut reader = Reader {
        root: &directory,
        beneath: Beneath::open(&directory).map_err(|error| refused(&directory, error))?,
        limits,
        total_bytes: 0,
        warnings: Vec::new(),
    };
    let files = reader.read_all()?;
    let warnings = reader.warnings;
    Ok(Source::new(name_of(&directory), root, files, warnings))
}

/// The courses and archives at or below a directory, sorted by name. A directory that holds a root
/// file is one course, whatever else lies in it.
pub(super) fn find_courses(top: &Path, limits: &Limits) -> Result<Vec<PathBuf>> {
    /// Deeper lies nothing that somebody put there to be imported.
    const MAX_DEPTH: usize = 16;

    let mut members = Members::new(limits);
    let mut courses = Vec::new();
    let mut level = vec![top.to_path_buf()];
    for _ in 0..=MAX_DEPTH {
        let mut next = Vec::new();
        for directory in level {
            let listing = match Listing::of(&directory) {
                Ok(listing) => listing,
                Err(error) if directory == top => return Err(refused(top, error)),
                Err(_) => continue,
            };
            members.count(&listing)?;
            if listing.entries.iter().any(|entry| entry.root().is_some()) {
                courses.push(directory);
                continue;
            }
            for entry in listing.entries {
                let place = directory.join(&entry.name);
                match entry.kind {
                    EntryKind::Directory => next.push(place),
                    EntryKind::File if is_archive(&entry.name) => courses.push(place),
                    EntryKind::File | EntryKind::Link => {}
                }
            }
        }
        level = next;
    }
    courses.sort();
    Ok(courses)
}

/// Level by level, so that a large tree below the root file costs nothing.
fn find_root(top: &Path, limits: &Limits) -> Result<(RootFile, PathBuf)> {
    let mut members = Members::new(limits);
    let mut level = vec![top.to_path_buf()];
    while !level.is_empty() {
        let mut found: Option<(RootFile, PathBuf)> = None;
        let mut next = Vec::new();
        for directory in level {
            let listing = match Listing::of(&directory) {
                Ok(listing) => listing,
                Err(error) if directory == top => return Err(refused(top, error)),
                // A directory that is closed to us is not where the course lies.
                Err(_) => continue,
            };
            members.count(&listing)?;
            for entry in listing.entries {
                if let Some(root) = entry.root() {
                    if let Some((other, place)) = &found {
                        let first = relative(top, &place.join(other.name()));
                        let second = relative(top, &directory.join(root.name()));
                        return Err(two_roots(&first, &second).into());
                    }
                    found = Some((root, directory.clone()));
                } else if entry.kind == EntryKind::Directory {
                    next.push(directory.join(entry.name));
                }
            }
        }
        if let Some((root, directory)) = found {
            return Ok((root, directory));
        }
        level = next;
    }
    Err(no_root().into())
}

struct Reader<'a> {
    root: &'a Path,
    beneath: Beneath,
    limits: &'a Limits,
    total_bytes: u64,
    warnings: Vec<Problem>,
}

impl Reader<'_> {
    fn read_all(&mut self) -> Result<BTreeMap<String, Content>> {
        let mut members = Members::new(self.limits);
        let mut files = BTreeMap::new();
        let mut pending = vec![String::new()];
        while let Some(directory) = pending.pop() {
            let listing = match Listing::of(&self.root.join(&directory)) {
                Ok(listing) => listing,
                Err(error) if directory.is_empty() => return Err(refused(self.root, error)),
                Err(_) => {
                    self.warn(
                        ProblemKind::MissingFile,
                        directory,
                        "the directory is closed",
                    );
                    continue;
                }
            };
            members.count(&listing)?;
            for name in listing.unnameable {
                let name = join(&directory, &name);
                self.warn(ProblemKind::BadUtf8, name, "the name is not UTF-8");
            }
            for entry in listing.entries {
                let name = join(&directory, &entry.name);
                let content = match entry.kind {
                    EntryKind::Directory => {
                        if !path::is_media(&name) {
                            pending.push(name);
                        }
                        continue;
                    }
                    EntryKind::File | EntryKind::Link if !path::is_read(&name) => None,
                    EntryKind::File => self.read(Path::new(&name))?,
                    EntryKind::Link => self.follow(&self.root.join(&name))?,
                };
                if let Some(content) = content {
                    files.insert(name, content);
                }
            }
        }
        Ok(files)
    }

    /// What a link stands for: a file inside the course, or nothing. Loops end as errors of the
    /// operating system, which resolves every component.
    fn follow(&mut self, link: &Path) -> Result<Option<Content>> {
        let Ok(target) = fs::canonicalize(link) else {
            return Ok(None);
        };
        let is_file = fs::symlink_metadata(&target).is_ok_and(|metadata| metadata.is_file());
        let Ok(relative) = target.strip_prefix(self.beneath.root()) else {
            return Ok(is_file.then_some(Content::Outside));
        };
        // The same files as in an archive, which is not searched twice for what a link needs.
        if is_file && relative.to_str().is_some_and(path::may_be_read) {
            self.read(relative)
        } else {
            Ok(None)
        }
    }

    /// `None` for a file that is gone since the directory was listed, or is none any more.
    fn read(&mut self, relative: &Path) -> Result<Option<Content>> {
        let file = match self.beneath.file(relative) {
            Ok(None) => return Ok(None),
            Ok(Some(file)) => read_file(file, self.limits.file_bytes),
            Err(error) => Err(error),
        };
        match file {
            Ok(Ok(bytes)) => {
                self.total_bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                if self.total_bytes > self.limits.total_bytes {
                    let what = format!("what {} holds in bytes", self.root.display());
                    return Err(limit_exceeded(&what, self.limits.total_bytes));
                }
                Ok(Some(Content::new(bytes)))
            }
            Ok(Err(too_long)) => Ok(Some(too_long)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(_) => Ok(Some(Content::Denied)),
        }
    }

    fn warn(&mut self, kind: ProblemKind, path: String, message: &str) {
        if self.warnings.len() < self.limits.problems {
            self.warnings.push(Problem {
                kind,
                path: Some(path),
                line: None,
                parent: None,
                position: None,
                message: message.to_owned(),
            });
        }
    }
}

/// The bytes, or that there are too many.
fn read_file(file: File, limit: u64) -> io::Result<Result<Vec<u8>, Content>> {
    let length = file.metadata()?.len();
    if length > limit {
        return Ok(Err(Content::TooLong { bytes: length }));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    // The file may grow while it is read.
    let read = file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    let read = u64::try_from(read).unwrap_or(u64::MAX);
    if read > limit {
        return Ok(Err(Content::TooLong { bytes: read }));
    }
    Ok(Ok(bytes))
}

/// What a directory holds, sorted, without hidden directories and without pipes and devices.
struct Listing {
    entries: Vec<Entry>,
    /// Names that are not UTF-8, as far as they can be shown. No block can ask for them.
    unnameable: Vec<String>,
}

struct Entry {
    name: String,
    kind: EntryKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum EntryKind {
    Directory,
    File,
    Link,
}

impl Listing {
    fn of(directory: &Path) -> io::Result<Self> {
        let mut listing = Self {
            entries: Vec::new(),
            unnameable: Vec::new(),
        };
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let file_type = entry.file_type()?;
            let kind = if file_type.is_dir() {
                EntryKind::Directory
            } else if file_type.is_file() {
                EntryKind::File
            } else if file_type.is_symlink() {
                EntryKind::Link
            } else {
                continue;
            };
            match entry.file_name().into_string() {
                Ok(name) if kind == EntryKind::Directory && !path::is_walked(&name) => {}
                Ok(name) => listing.entries.push(Entry { name, kind }),
                Err(name) => listing.unnameable.push(name.to_string_lossy().into_owned()),
            }
        }
        listing.entries.sort_by(|a, b| a.name.cmp(&b.name));
        listing.unnameable.sort();
        Ok(listing)
    }
}

impl Entry {
    /// A link may stand for a root file too; where it leads is seen when it is read.
    fn root(&self) -> Option<RootFile> {
        match self.kind {
            EntryKind::Directory => None,
            EntryKind::File | EntryKind::Link => RootFile::from_name(&self.name),
        }
    }
}

struct Members {
    seen: usize,
    limit: usize,
}

impl Members {
    fn new(limits: &Limits) -> Self {
        Self {
            seen: 0,
            limit: limits.members,
        }
    }

    fn count(&mut self, listing: &Listing) -> Result<()> {
        self.seen += listing.entries.len() + listing.unnameable.len();
        if self.seen > self.limit {
            return Err(limit_exceeded(
                "the number of files and directories",
                self.limit,
            ));
        }
        Ok(())
    }
}

fn is_archive(name: &str) -> bool {
    !path::is_noise(name) && path::has_extension(&name.to_ascii_lowercase(), &["tar.gz", "tgz"])
}

/// The name by which a course is called that has none. `.` and `..` have one only when resolved.
fn name_of(directory: &Path) -> String {
    let name = |place: &Path| Some(place.file_name()?.to_string_lossy().into_owned());
    name(directory)
        .or_else(|| name(&fs::canonicalize(directory).ok()?))
        .unwrap_or_default()
}

fn relative(top: &Path, place: &Path) -> String {
    let place = place.strip_prefix(top).unwrap_or(place);
    place.to_string_lossy().into_owned()
}

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() {
        name.to_owned()
    } else {
        format!("{directory}/{name}")
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::error::ErrorKind;
    use crate::modulestore::olx::fatal::{Fatal, FatalKind};
    use crate::modulestore::olx::source::Unreadable;

    fn tree(files: &[(&str, &str)]) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let place = directory.path().join(name);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, text).unwrap();
        }
        directory
    }

    fn fatal_kind(error: &crate::Error) -> Option<FatalKind> {
        let source = std::error::Error::source(error)?;
        source.downcast_ref().map(Fatal::kind)
    }

    fn text(source: &Source, name: &str) -> Result<String, Unreadable> {
        source.text(name).map(ToString::to_string)
    }

    #[test]
    fn the_shallowest_root_file_is_the_course() {
        let directory = tree(&[
            ("repo/course/course.xml", "outer"),
            ("repo/course/course/course.xml", "run"),
            ("repo/course/html/a.html", "body"),
            ("repo/README.md", "no course"),
        ]);
        let source = open(directory.path(), &Limits::default()).unwrap();
        assert_eq!(source.directory, "course");
        assert_eq!(source.root, RootFile::Course);
        let names: Vec<_> = source.names("").collect();
        assert_eq!(names, ["course.xml", "course/course.xml", "html/a.html"]);
        assert_eq!(text(&source, "course.xml").as_deref(), Ok("outer"));
        assert_eq!(text(&source, "html/b.html"), Err(Unreadable::Missing));
    }

    #[test]
    fn two_root_files_at_the_same_depth_are_refused() {
        let directory = tree(&[("a/course.xml", ""), ("b/library.xml", "")]);
        let error = open(directory.path(), &Limits::default()).unwrap_err();
        assert_eq!(fatal_kind(&error), Some(FatalKind::AmbiguousRoot));
        assert!(error.to_string().contains("a/course.xml"), "{error}");
        assert!(error.to_string().contains("b/library.xml"), "{error}");
    }

    #[test]
    fn a_directory_called_course_xml_is_no_root_file() {
        let directory = tree(&[("course.xml/a.xml", ""), ("._course.xml", "")]);
        let error = open(directory.path(), &Limits::default()).unwrap_err();
        assert_eq!(fatal_kind(&error), Some(FatalKind::NoRoot));
    }

    #[test]
    fn courses_and_archives_of_a_directory_are_found_in_order() {
        let directory = tree(&[
            ("b/course.xml", ""),
            ("b/old/course.xml", ""),
            ("a.TGZ", ""),
            ("c/deep/library.xml", ""),
            ("c/x.tar.gz", ""),
            ("c/x.zip", ""),
            (".hidden/course.xml", ""),
        ]);
        let found = find_courses(directory.path(), &Limits::default()).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|place| relative(directory.path(), place))
            .collect();
        assert_eq!(found, ["a.TGZ", "b", "c/deep", "c/x.tar.gz"]);
    }

    #[test]
    fn a_long_file_has_no_text_and_many_files_are_too_many() {
        let directory = tree(&[("course.xml", "1234"), ("html/a.xml", "12345")]);
        let mut limits = Limits {
            file_bytes: 4,
            ..Limits::default()
        };
        let source = open(directory.path(), &limits).unwrap();
        assert_eq!(text(&source, "course.xml").as_deref(), Ok("1234"));
        assert_eq!(text(&source, "html/a.xml"), Err(Unreadable::TooLong));

        limits.total_bytes = 3;
        let error = open(directory.path(), &limits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);

        limits.members = 2;
        let error = open(directory.path(), &limits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    }

    #[test]
    fn static_media_are_not_even_listed() {
        let mut files = vec![("course.xml".to_owned(), "root")];
        files.extend((0..100).map(|number| (format!("static/{number}.xml"), "media")));
        let files: Vec<_> = files
            .iter()
            .map(|(name, text)| (name.as_str(), *text))
            .collect();
        let limits = Limits {
            members: 10,
            ..Limits::default()
        };
        let source = open(tree(&files).path(), &limits).unwrap();
        assert_eq!(source.names("").count(), 1);
    }

    #[cfg(unix)]
    mod unix {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::fs::{PermissionsExt, symlink};
        use std::process::Command;

        use super::*;

        #[test]
        fn a_link_to_a_file_of_the_course_is_that_file() {
            let directory = tree(&[("course/roots/2013.xml", "root")]);
            let course = directory.path().join("course");
            symlink("roots/2013.xml", course.join("course.xml")).unwrap();
            let source = open(directory.path(), &Limits::default()).unwrap();
            assert_eq!(text(&source, "course.xml").as_deref(), Ok("root"));
        }

        #[test]
        fn links_out_of_the_course_and_loops_are_never_followed() {
            let directory = tree(&[
                ("secret.xml", "secret"),
                ("course2/a.xml", "neighbour"),
                ("course/course.xml", "root"),
                ("course/html/a.xml", "a"),
            ]);
            let course = directory.path().join("course");
            symlink("../../secret.xml", course.join("html/out.xml")).unwrap();
            symlink("/etc/hostname", course.join("html/absolute.xml")).unwrap();
            symlink("../../course2/a.xml", course.join("html/prefix.xml")).unwrap();
            symlink("loop.xml", course.join("html/loop.xml")).unwrap();
            symlink("nowhere.xml", course.join("html/dangling.xml")).unwrap();
            symlink("..", course.join("up")).unwrap();
            symlink("html", course.join("problem")).unwrap();
            let source = open(&course, &Limits::default()).unwrap();
            for outside in ["out", "absolute", "prefix"] {
                let name = format!("html/{outside}.xml");
                assert_eq!(text(&source, &name), Err(Unreadable::Outside), "{name}");
            }
            let names: Vec<_> = source.names("").collect();
            assert_eq!(
                names,
                [
                    "course.xml",
                    "html/a.xml",
                    "html/absolute.xml",
                    "html/out.xml",
                    "html/prefix.xml",
                ]
            );
        }

        #[test]
        fn a_pipe_is_not_waited_for() {
            let directory = tree(&[("course.xml", "root"), ("html/a.xml", "a")]);
            let pipe = directory.path().join("html/pipe.xml");
            assert!(
                Command::new("mkfifo")
                    .arg(&pipe)
                    .status()
                    .unwrap()
                    .success()
            );
            let source = open(directory.path(), &Limits::default()).unwrap();
            assert_eq!(text(&source, "html/pipe.xml"), Err(Unreadable::Missing));
            let error = Source::open(&pipe, &Limits::default()).unwrap_err();
            assert_eq!(fatal_kind(&error), Some(FatalKind::NoRoot));
        }

        #[test]
        fn a_name_that_is_not_utf8_is_reported() {
            let directory = tree(&[("course.xml", "root")]);
            let name = OsStr::from_bytes(b"caf\xe9.xml");
            if fs::write(directory.path().join(name), "").is_err() {
                // The file system refuses such names, so there is nothing to read.
                return;
            }
            let source = open(directory.path(), &Limits::default()).unwrap();
            let warnings: Vec<_> = source.warnings.iter().map(|warning| warning.kind).collect();
            assert_eq!(warnings, [ProblemKind::BadUtf8]);
        }

        #[test]
        fn what_the_system_refuses_to_read_is_reported() {
            let directory = tree(&[
                ("course.xml", "root"),
                ("html/a.xml", "a"),
                ("chapter/b.xml", ""),
            ]);
            let set = |name: &str, mode| {
                let permissions = fs::Permissions::from_mode(mode);
                fs::set_permissions(directory.path().join(name), permissions).unwrap();
            };
            set("html/a.xml", 0o000);
            set("chapter", 0o000);
            if fs::read(directory.path().join("html/a.xml")).is_ok() {
                // The superuser may read everything.
                set("chapter", 0o755);
                return;
            }
            let source = open(directory.path(), &Limits::default());
            set("chapter", 0o755);
            let source = source.unwrap();
            assert_eq!(text(&source, "html/a.xml"), Err(Unreadable::Denied));
            let warnings: Vec<_> = source
                .warnings
                .iter()
                .map(|warning| &warning.path)
                .collect();
            assert_eq!(warnings, [&Some("chapter".to_owned())]);
        }
    }
}
