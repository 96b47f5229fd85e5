//! Reads the files of an export from a `.tar.gz`, in one pass and without unpacking it. Knows what
//! a hostile archive looks like, not what a course is.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use tar::EntryType;

use super::beneath::open_file;
use super::fatal::{Fatal, FatalKind};
use super::limits::{Limits, limit_exceeded};
use super::path;
use super::source::{Content, Source, no_source, refused, shallowest_root};
use crate::error::{Error, Result};
use crate::modulestore::{Problem, ProblemKind};

/// Reads the course in the archive at `place`.
pub(super) fn open(place: &Path, limits: &Limits) -> Result<Source> {
    let file = open_file(place).map_err(|error| refused(place, error))?;
    let file = file.ok_or_else(|| no_source(place))?;
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let name = name.trim_end_matches(".gz").trim_end_matches(".tar");
    read(BufReader::new(file), name.trim_end_matches(".tgz"), limits)
}

fn read(compressed: impl io::BufRead, name: &str, limits: &Limits) -> Result<Source> {
    let mut members = Members {
        limits,
        files: BTreeMap::new(),
        links: HashMap::new(),
        seen: 0,
        expanded_bytes: 0,
        total_bytes: 0,
        followed_bytes: Cell::new(0),
        warnings: Vec::new(),
    };
    members.read_all(MultiGzDecoder::new(compressed))?;
    members.into_source(name)
}

/// What one header may take, with the long names and extensions before it.
const HEADER_BYTES: u64 = 1 << 20;

/// What is read after the end of the archive, for the checksum of the compression.
const TRAILER_BYTES: u64 = 1 << 20;

/// More links than this between a name and its file are a loop.
const MAX_HOPS: usize = 40;

struct Members<'a> {
    limits: &'a Limits,
    files: BTreeMap<String, Content>,
    links: HashMap<String, Link>,
    seen: usize,
    /// Of all members, by their own account: what a sparse one lacks is never inflated.
    expanded_bytes: u64,
    total_bytes: u64,
    /// Names that were looked up to follow links.
    followed_bytes: Cell<u64>,
    warnings: Vec<Problem>,
}

enum Link {
    /// Relative to the directory of the link.
    Symbolic(String),
    /// Relative to the archive.
    Hard(String),
}

impl Members<'_> {
    fn read_all(&mut self, inflated: impl Read) -> Result<()> {
        let meter = Rc::new(Meter::default());
        let mut archive = tar::Archive::new(Metered {
            inner: inflated,
            meter: Rc::clone(&meter),
        });
        let mut entries = archive.entries().map_err(|error| broken(&error))?;
        loop {
            meter.allow(HEADER_BYTES);
            let entry = match entries.next() {
                None => break,
                Some(Ok(entry)) => entry,
                Some(Err(_)) if meter.is_exhausted() => {
                    return Err(limit_exceeded(
                        "the header of a member in bytes",
                        HEADER_BYTES,
                    ));
                }
                Some(Err(error)) => return Err(broken(&error)),
            };
            self.seen += 1;
            if self.seen > self.limits.members {
                return Err(limit_exceeded("the number of members", self.limits.members));
            }
            let size = entry.size();
            self.expanded_bytes = self.expanded_bytes.saturating_add(size);
            let inflated = meter.total().saturating_add(size);
            let unpacked = inflated.max(self.expanded_bytes);
            if unpacked > self.limits.unpacked_bytes {
                let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                let what = format!("the archive, unpacked to the end of {name:?},");
                return Err(limit_exceeded(&what, self.limits.unpacked_bytes));
            }
            meter.allow(size.saturating_add(HEADER_BYTES));
            self.take(entry)?;
        }
        meter.allow(TRAILER_BYTES);
        match io::copy(&mut archive.into_inner(), &mut io::sink()) {
            Err(error) if !meter.is_exhausted() => Err(broken(&error)),
            _ => Ok(()),
        }
    }

    fn take<R: Read>(&mut self, mut entry: tar::Entry<'_, R>) -> Result<()> {
        let Some(name) = self.checked_name(&entry)? else {
            return drain(&mut entry);
        };
        match entry.header().entry_type() {
            EntryType::Symlink | EntryType::Link => self.take_link(name, &entry)?,
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                return Err(hostile(&name, "is a device or a pipe"));
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse
                if path::may_be_read(&name) =>
            {
                return self.take_file(name, &mut entry);
            }
            _ => {}
        }
        drain(&mut entry)
    }

    /// The normal name of a member; `None` for one that no block can ask for.
    fn checked_name<R: Read>(&mut self, entry: &tar::Entry<'_, R>) -> Result<Option<String>> {
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(None);
        }
        let bytes = entry.path_bytes();
        let shown = String::from_utf8_lossy(&bytes);
        if bytes.len() > path::MAX_BYTES {
            return Err(limit_exceeded(
                "the name of a member in bytes",
                path::MAX_BYTES,
            ));
        }
        if bytes.starts_with(b"/") {
            return Err(hostile(&shown, "has an absolute name"));
        }
        if bytes
            .split(|byte| *byte == b'/')
            .any(|component| component == b"..")
        {
            return Err(hostile(&shown, "has a name with `..`"));
        }
        match std::str::from_utf8(&bytes) {
            // Archives of the oldest kind mark a directory by its name.
            Ok(name) if name.ends_with('/') && kind.is_file() => Ok(None),
            Ok(name) => Ok(path::normalise(name)),
            Err(_) => {
                self.warn(shown.into_owned());
                Ok(None)
            }
        }
    }

    fn take_link<R: Read>(&mut self, name: String, entry: &tar::Entry<'_, R>) -> Result<()> {
        let target = entry.link_name_bytes().unwrap_or_default();
        if target.len() > path::MAX_BYTES {
            let what = "the target of a link in bytes";
            return Err(limit_exceeded(what, path::MAX_BYTES));
        }
        let target = String::from_utf8_lossy(&target);
        let is_hard = entry.header().entry_type() == EntryType::Link;
        let from_top = match path::parent(&name) {
            directory if !is_hard && !directory.is_empty() => format!("{directory}/{target}"),
            _ => target.clone().into_owned(),
        };
        if target.starts_with('/') || path::normalise(&from_top).is_none() {
            return Err(hostile(&name, "is a link that leads out of the archive"));
        }
        self.charge(name.len() + target.len())?;
        self.files.remove(&name);
        let target = target.into_owned();
        let link = if is_hard {
            Link::Hard(target)
        } else {
            Link::Symbolic(target)
        };
        self.links.insert(name, link);
        Ok(())
    }

    fn take_file<R: Read>(&mut self, name: String, entry: &mut tar::Entry<'_, R>) -> Result<()> {
        let size = entry.size();
        let content = if size > self.limits.file_bytes {
            drain(entry)?;
            Content::TooLong { bytes: size }
        } else {
            let length = usize::try_from(size).unwrap_or(usize::MAX);
            self.charge(length)?;
            let mut bytes = Vec::new();
            entry
                .read_to_end(&mut bytes)
                .map_err(|error| broken(&error))?;
            if bytes.len() != length {
                return Err(truncated());
            }
            Content::new(bytes)
        };
        self.charge(name.len())?;
        self.links.remove(&name);
        self.files.insert(name, content);
        Ok(())
    }

    fn charge(&mut self, bytes: usize) -> Result<()> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.total_bytes = self.total_bytes.saturating_add(bytes);
        if self.total_bytes > self.limits.total_bytes {
            let what = "what the archive holds of definitions and bodies in bytes";
            return Err(limit_exceeded(what, self.limits.total_bytes));
        }
        Ok(())
    }

    fn warn(&mut self, name: String) {
        if self.warnings.len() < self.limits.problems {
            self.warnings.push(Problem {
                kind: ProblemKind::BadUtf8,
                path: Some(name),
                line: None,
                parent: None,
                position: None,
                message: "the name is not UTF-8".to_owned(),
            });
        }
    }

    /// What lies below the root file, with every link replaced by its file.
    fn into_source(self, archive: &str) -> Result<Source> {
        let names = self.files.keys().chain(self.links.keys());
        let visible = names
            .map(String::as_str)
            .filter(|name| path::may_be_read(name));
        let (directory, root) = shallowest_root(visible)?;
        let directory = directory.to_owned();
        let inside = |name: &str| -> Option<String> {
            let relative = match directory.as_str() {
                "" => name,
                directory => name.strip_prefix(directory)?.strip_prefix('/')?,
            };
            Some(relative.to_owned())
        };
        let is_read = |name: &String| path::is_read(name);
        let mut files: BTreeMap<String, Content> = BTreeMap::new();
        for name in self.links.keys() {
            let Some(relative) = inside(name).filter(is_read) else {
                continue;
            };
            let Some((target, content)) = self.follow(name)? else {
                continue;
            };
            match inside(&target) {
                Some(target) if path::may_be_read(&target) => {
                    files.insert(relative, content.clone());
                }
                Some(_) => {}
                None => {
                    files.insert(relative, Content::Outside);
                }
            }
        }
        let members = self.files.into_iter();
        files.extend(
            members.filter_map(|(name, content)| Some((inside(&name).filter(is_read)?, content))),
        );
        let name = match path::file_name(&directory) {
            "" => archive,
            name => name,
        };
        Ok(Source::new(name.to_owned(), root, files, self.warnings))
    }

    /// The file that a name stands for, component by component as a file system would do it.
    fn follow(&self, name: &str) -> Result<Option<(String, &Content)>> {
        let mut resolved: Vec<String> = Vec::new();
        let mut pending: Vec<String> = name.rsplit('/').map(str::to_owned).collect();
        let mut hops = 0;
        while let Some(component) = pending.pop() {
            match component.as_str() {
                "" | "." => continue,
                ".." => match resolved.pop() {
                    Some(_) => continue,
                    None => return Ok(None),
                },
                _ => resolved.push(component),
            }
            let place = resolved.join("/");
            self.charge_lookup(place.len())?;
            let target = match self.links.get(&place) {
                None => continue,
                Some(Link::Symbolic(target)) => {
                    resolved.pop();
                    target
                }
                Some(Link::Hard(target)) => {
                    resolved.clear();
                    target
                }
            };
            hops += 1;
            if hops > MAX_HOPS {
                return Ok(None);
            }
            pending.extend(target.rsplit('/').map(str::to_owned));
        }
        let name = resolved.join("/");
        let content = self.files.get(&name);
        Ok(content.map(|content| (name, content)))
    }

    /// Links that lead to links, all of them by long ways, take time and no room.
    fn charge_lookup(&self, bytes: usize) -> Result<()> {
        /// What a look-up costs besides, as so many bytes more.
        const LOOKUP_BYTES: u64 = 64;

        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let bytes = bytes.saturating_add(LOOKUP_BYTES);
        let followed = self.followed_bytes.get().saturating_add(bytes);
        self.followed_bytes.set(followed);
        if followed > self.limits.total_bytes {
            let what = "what its links lead through in bytes";
            return Err(limit_exceeded(what, self.limits.total_bytes));
        }
        Ok(())
    }
}

/// Reads a member to its end, so that the next one can be found without memory for this one. If
/// the archive ends before it, looking for the next one says so.
fn drain<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<()> {
    io::copy(entry, &mut io::sink()).map_err(|error| broken(&error))?;
    Ok(())
}

fn hostile(member: &str, what: &str) -> Error {
    Fatal::new(
        FatalKind::UnsafeArchive,
        member,
        format!("the member {what}"),
    )
    .into()
}

fn truncated() -> Error {
    Fatal::new(FatalKind::BrokenArchive, "", "the archive ends too early").into()
}

/// The messages of the decoders quote the archive, so they are not passed on.
fn broken(error: &io::Error) -> Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return truncated();
    }
    let detail = "the file is damaged, or is no .tar.gz";
    Fatal::new(FatalKind::BrokenArchive, "", detail).into()
}

/// How much may be inflated before somebody looks again, and how much was.
#[derive(Default)]
struct Meter {
    allowance: Cell<u64>,
    total: Cell<u64>,
    exhausted: Cell<bool>,
}

impl Meter {
    fn allow(&self, bytes: u64) {
        self.allowance.set(bytes);
        self.exhausted.set(false);
    }

    fn total(&self) -> u64 {
        self.total.get()
    }

    fn is_exhausted(&self) -> bool {
        self.exhausted.get()
    }
}

/// A reader that fails when its allowance is used up: the archive reader collects long names and
/// extensions in memory however long they claim to be.
struct Metered<R> {
    inner: R,
    meter: Rc<Meter>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let allowance = self.meter.allowance.get();
        let length = usize::try_from(allowance)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if length == 0 && !buffer.is_empty() {
            self.meter.exhausted.set(true);
            return Err(io::Error::other("the allowance is used up"));
        }
        let read = self
            .inner
            .read(buffer.get_mut(..length).unwrap_or_default())?;
        let bytes = u64::try_from(read).unwrap_or(u64::MAX);
        self.meter.allowance.set(allowance.saturating_sub(bytes));
        self.meter
            .total
            .set(self.meter.total.get().saturating_add(bytes));
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tar::Header;

    use super::*;
    use crate::error::ErrorKind;
    use crate::modulestore::olx::source::{RootFile, Unreadable};

    enum Member<'a> {
        File(&'a str, &'a [u8]),
        Special(&'a str, EntryType, &'a str),
    }
    use Member::{File as Plain, Special};

    /// An archive whose names are taken as they are, however hostile.
    fn tar(members: &[Member<'_>]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for member in members {
            let (name, kind, target, data) = match member {
                Plain(name, data) => (*name, EntryType::Regular, "", *data),
                Special(name, kind, target) => (*name, *kind, *target, &[][..]),
            };
            let mut header = Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
            header.set_entry_type(kind);
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            builder.append(&header, data).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read_members(members: &[Member<'_>]) -> Result<Source> {
        read(gzip(&tar(members)).as_slice(), "export", &Limits::default())
    }

    fn fatal_kind(error: &Error) -> Option<FatalKind> {
        let source = std::error::Error::source(error)?;
        source.downcast_ref().map(Fatal::kind)
    }

    fn text(source: &Source, name: &str) -> Result<String, Unreadable> {
        source.text(name).map(ToString::to_string)
    }

    const ROOT: Member<'static> = Plain("course/course.xml", b"root");

    #[test]
    fn members_are_files_relative_to_the_root_file() {
        let source = read_members(&[
            Special("course/", EntryType::Directory, ""),
            ROOT,
            Plain("./course//html/a b.html", "ü".as_bytes()),
            Plain("course/html/latin1.html", b"caf\xe9"),
            Plain("course/static/image.png", b"png"),
            Plain("course/html/._a.html", b"noise"),
            Plain("README.md", b"text"),
            Plain("other/html/b.html", b"another"),
        ])
        .unwrap();
        assert_eq!(source.directory, "course");
        assert_eq!(source.root, RootFile::Course);
        let names: Vec<_> = source.names("").collect();
        assert_eq!(names, ["course.xml", "html/a b.html", "html/latin1.html"]);
        assert_eq!(text(&source, "html/a b.html").as_deref(), Ok("ü"));
        assert_eq!(text(&source, "html/latin1.html"), Err(Unreadable::NotUtf8));
    }

    #[test]
    fn a_root_file_at_the_top_is_called_after_the_archive() {
        let source = read_members(&[Plain("library.xml", b"root")]).unwrap();
        assert_eq!(source.directory, "export");
        assert_eq!(source.root, RootFile::Library);
    }

    #[test]
    fn of_duplicate_members_the_last_one_wins() {
        let source = read_members(&[
            Plain("course.xml", b"first"),
            Plain("html/a.xml", b"file"),
            Special("html/b.xml", EntryType::Symlink, "a.xml"),
            Plain("course.xml", b"last"),
            Special("html/a.xml", EntryType::Symlink, "c.xml"),
            Plain("html/b.xml", b"now a file"),
            Plain("html/c.xml", b"c"),
        ])
        .unwrap();
        assert_eq!(text(&source, "course.xml").as_deref(), Ok("last"));
        assert_eq!(text(&source, "html/a.xml").as_deref(), Ok("c"));
        assert_eq!(text(&source, "html/b.xml").as_deref(), Ok("now a file"));
    }

    #[test]
    fn a_member_that_could_do_harm_refuses_the_archive_by_name() {
        #[track_caller]
        fn check(member: Member<'_>, name: &str) {
            let error = read_members(&[ROOT, member]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidCourse);
            assert_eq!(
                fatal_kind(&error),
                Some(FatalKind::UnsafeArchive),
                "{error}"
            );
            assert!(error.to_string().contains(name), "{error}");
        }
        check(Plain("/etc/passwd", b""), "/etc/passwd");
        check(Plain("course/../../x.xml", b""), "course/../../x.xml");
        check(Plain("course/a/..", b""), "course/a/..");
        check(Special("..", EntryType::Directory, ""), "..");
        check(Special("a.png", EntryType::Fifo, ""), "a.png");
        check(Special("a.xml", EntryType::Block, ""), "a.xml");
        check(Special("a.xml", EntryType::Char, ""), "a.xml");
        for kind in [EntryType::Symlink, EntryType::Link] {
            check(Special("course/a.xml", kind, "/etc/passwd"), "course/a.xml");
            check(Special("course/a.xml", kind, "../../x.xml"), "course/a.xml");
            check(
                Special("course/a.png", kind, "b/../../../x"),
                "course/a.png",
            );
        }
        check(
            Special("course/a.xml", EntryType::Link, "../course/b.xml"),
            "course/a.xml",
        );
    }

    #[test]
    fn links_inside_the_archive_are_followed_like_those_of_a_directory() {
        let source = read_members(&[
            Special("course/course.xml", EntryType::Symlink, "roots/2013.xml"),
            Plain("course/roots/2013.xml", b"root"),
            Plain("shared/x.xml", b"outside the course"),
            Special(
                "course/html/hard.xml",
                EntryType::Link,
                "course/roots/2013.xml",
            ),
            Special(
                "course/html/twice.xml",
                EntryType::Symlink,
                "../html/hard.xml",
            ),
            Special(
                "course/html/out.xml",
                EntryType::Symlink,
                "../../shared/x.xml",
            ),
            Special("course/html/loop.xml", EntryType::Symlink, "loop.xml"),
            Special("course/html/ping.xml", EntryType::Symlink, "pong.xml"),
            Special("course/html/pong.xml", EntryType::Symlink, "ping.xml"),
            Special(
                "course/html/dangling.xml",
                EntryType::Symlink,
                "nowhere.xml",
            ),
            Special("course/up", EntryType::Symlink, ".."),
            Special(
                "course/html/far.xml",
                EntryType::Symlink,
                "../up/course/roots/2013.xml",
            ),
        ])
        .unwrap();
        for name in [
            "course.xml",
            "html/hard.xml",
            "html/twice.xml",
            "html/far.xml",
        ] {
            assert_eq!(text(&source, name).as_deref(), Ok("root"), "{name}");
        }
        assert_eq!(text(&source, "html/out.xml"), Err(Unreadable::Outside));
        assert_eq!(source.names("").count(), 6);
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_inflated() {
        // Ten gigabytes by the header, of which the archive need not hold a single byte.
        let mut header = Header::new_gnu();
        header.set_path("course/static/video.mp4").unwrap();
        header.set_size(10 << 30);
        header.set_cksum();
        let mut bytes = tar(&[ROOT]);
        bytes.truncate(1024);
        bytes.extend_from_slice(header.as_bytes());
        let error = read(gzip(&bytes).as_slice(), "export", &Limits::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);
        assert!(
            error.to_string().contains("course/static/video.mp4"),
            "{error}"
        );
    }

    #[test]
    fn a_sparse_member_counts_with_its_expanded_size() {
        let mut header = Header::new_gnu();
        header.set_path("course/static/video.mp4").unwrap();
        header.set_entry_type(EntryType::GNUSparse);
        header.set_size(0);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.set_real_size(10 << 30);
        gnu.sparse[0].set_offset(10 << 30);
        gnu.sparse[0].set_length(0);
        header.set_cksum();
        let mut bytes = tar(&[ROOT]);
        bytes.truncate(1024);
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(&[0; 1024]);
        let error = read(gzip(&bytes).as_slice(), "export", &Limits::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error}");
    }

    /// Each of them was expanded by itself, to be thrown away: five minutes for 30 KB of archive.
    #[test]
    fn sparse_members_count_together() {
        let mut header = Header::new_gnu();
        header.set_path("course/static/video.mp4").unwrap();
        header.set_entry_type(EntryType::GNUSparse);
        header.set_size(0);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.set_real_size(1 << 20);
        gnu.sparse[0].set_offset(1 << 20);
        gnu.sparse[0].set_length(0);
        header.set_cksum();
        let archive = |members: usize| {
            let mut bytes = tar(&[ROOT]);
            bytes.truncate(1024);
            bytes.extend(header.as_bytes().repeat(members));
            bytes.extend_from_slice(&[0; 1024]);
            gzip(&bytes)
        };
        let limits = Limits {
            unpacked_bytes: (8 << 20) + 4,
            ..Limits::default()
        };
        assert!(read(archive(8).as_slice(), "export", &limits).is_ok());
        let error = read(archive(9).as_slice(), "export", &limits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error}");
    }

    #[test]
    fn links_by_long_ways_are_not_followed_for_ever() {
        let long_way = |steps: usize, end: &str| format!("{}{end}", "a/../".repeat(steps));
        let archive = |steps: usize, links: usize| {
            let mut builder = tar::Builder::new(Vec::new());
            let mut header = Header::new_gnu();
            header.set_size(4);
            builder
                .append_data(&mut header, "course.xml", &b"root"[..])
                .unwrap();
            for number in 0..links {
                let mut header = Header::new_gnu();
                header.set_entry_type(EntryType::Symlink);
                header.set_size(0);
                let name = format!("{number}.xml");
                let end = if number == 0 {
                    "course.xml"
                } else {
                    &*format!("{}.xml", number - 1)
                };
                builder
                    .append_link(&mut header, name, long_way(steps, end))
                    .unwrap();
            }
            gzip(&builder.into_inner().unwrap())
        };
        let limits = Limits {
            total_bytes: 1_000_000,
            ..Limits::default()
        };
        let read = |archive: &[u8]| read(archive, "export", &limits);
        let source = read(&archive(10, 10)).unwrap();
        assert_eq!(text(&source, "9.xml").as_deref(), Ok("root"));
        for (steps, links) in [(100, 30), (2_000, 1)] {
            let error = read(&archive(steps, links)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error}");
            assert!(error.to_string().contains("link"), "{error}");
        }
    }

    #[test]
    fn members_of_a_compression_that_are_many_or_never_end_are_read_or_refused() {
        let empty = gzip(&[]);
        let mut many = empty.repeat(100_000);
        many.extend(gzip(&tar(&[ROOT])));
        assert!(read(many.as_slice(), "export", &Limits::default()).is_ok());

        // A name in the header of the compression that has no end.
        let mut endless = vec![0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3];
        endless.resize(10 << 20, b'a');
        let error = read(endless.as_slice(), "export", &Limits::default()).unwrap_err();
        assert_eq!(fatal_kind(&error), Some(FatalKind::BrokenArchive));
    }

    #[test]
    fn an_endless_long_name_is_not_collected_in_memory() {
        for kind in [
            EntryType::GNULongName,
            EntryType::XHeader,
            EntryType::GNULongLink,
        ] {
            let mut header = Header::new_gnu();
            header.set_path("name").unwrap();
            header.set_entry_type(kind);
            header.set_size(1 << 30);
            header.set_cksum();
            let mut bytes = header.as_bytes().to_vec();
            bytes.resize(4 << 20, b'a');
            let error = read(gzip(&bytes).as_slice(), "export", &Limits::default()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{kind:?}: {error}");
        }
    }

    #[test]
    fn every_limit_is_kept() {
        #[track_caller]
        fn check(limits: &Limits, named: &str) {
            let long = [b'x'; 5000];
            let archive = tar(&[ROOT, Plain("course/a.xml", &long), Plain("b.png", &long)]);
            let error = read(gzip(&archive).as_slice(), "export", limits).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::LimitExceeded);
            assert!(error.to_string().contains(named), "{error}");
        }
        let limits = Limits::default();
        check(
            &Limits {
                members: 2,
                ..limits
            },
            "members",
        );
        check(
            &Limits {
                total_bytes: 4999,
                ..limits
            },
            "definitions",
        );
        check(
            &Limits {
                unpacked_bytes: 10_000,
                ..limits
            },
            "b.png",
        );

        let limits = Limits {
            file_bytes: 4999,
            ..limits
        };
        let archive = tar(&[ROOT, Plain("course/a.xml", &[b'x'; 5000])]);
        let source = read(gzip(&archive).as_slice(), "export", &limits).unwrap();
        assert_eq!(text(&source, "a.xml"), Err(Unreadable::TooLong));
    }

    #[test]
    fn an_archive_cut_at_any_byte_is_broken_or_lacks_its_end_only() {
        let archive = gzip(&tar(&[ROOT, Plain("course/html/a.xml", &[b'a'; 700])]));
        for length in 0..archive.len() {
            let error = read(&archive[..length], "export", &Limits::default()).unwrap_err();
            let kind = fatal_kind(&error);
            // An empty file is an archive without members.
            let empty = length == 0 && kind == Some(FatalKind::NoRoot);
            assert!(
                empty || kind == Some(FatalKind::BrokenArchive),
                "{length}: {error}"
            );
        }
        let inner = tar(&[ROOT, Plain("course/html/a.xml", &[b'a'; 700])]);
        for length in [1025, 1535, 1537, 2047, 2235] {
            let cut = gzip(&inner[..length]);
            let error = read(cut.as_slice(), "export", &Limits::default()).unwrap_err();
            assert_eq!(
                fatal_kind(&error),
                Some(FatalKind::BrokenArchive),
                "{length}"
            );
        }
        let inner = tar(&[ROOT, Plain("course/static/a.png", &[b'a'; 700])]);
        for length in [1537, 2047, 2235] {
            let cut = gzip(&inner[..length]);
            let error = read(cut.as_slice(), "export", &Limits::default()).unwrap_err();
            assert_eq!(
                fatal_kind(&error),
                Some(FatalKind::BrokenArchive),
                "{length}"
            );
        }
        // Python too takes an archive that lacks the two empty blocks at its end.
        assert!(
            read(
                gzip(&inner[..2560]).as_slice(),
                "export",
                &Limits::default()
            )
            .is_ok()
        );
    }

    #[test]
    fn every_flipped_bit_is_noticed_or_harmless() {
        let archive = gzip(&tar(&[ROOT]));
        let whole = read(archive.as_slice(), "export", &Limits::default()).unwrap();
        for position in 0..archive.len() * 8 {
            let mut damaged = archive.clone();
            damaged[position / 8] ^= 1 << (position % 8);
            if let Ok(source) = read(damaged.as_slice(), "export", &Limits::default()) {
                assert_eq!(
                    source.version().unwrap(),
                    whole.version().unwrap(),
                    "{position}"
                );
            }
        }
    }

    #[test]
    fn a_name_that_is_not_utf8_is_skipped_with_a_warning() {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..8].copy_from_slice(b"caf\xe9.xml");
        header.set_size(0);
        header.set_cksum();
        let mut bytes = tar(&[ROOT]);
        bytes.truncate(1024);
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(&[0; 1024]);
        let source = read(gzip(&bytes).as_slice(), "export", &Limits::default()).unwrap();
        let kinds: Vec<_> = source.warnings.iter().map(|warning| warning.kind).collect();
        assert_eq!(kinds, [ProblemKind::BadUtf8]);
    }

    #[test]
    fn what_is_no_archive_is_said_to_be_none() {
        let error = read(&b"<course/>"[..], "export", &Limits::default()).unwrap_err();
        assert_eq!(fatal_kind(&error), Some(FatalKind::BrokenArchive));
        let error = read(gzip(&[b'x'; 2000]).as_slice(), "export", &Limits::default()).unwrap_err();
        assert_eq!(fatal_kind(&error), Some(FatalKind::BrokenArchive));
    }

    #[test]
    fn names_longer_than_the_header_are_read() {
        let name = format!("course/html/{}.xml", "a".repeat(300));
        let mut builder = tar::Builder::new(Vec::new());
        for name in ["course/course.xml", &name] {
            let mut header = Header::new_gnu();
            header.set_size(1);
            builder.append_data(&mut header, name, &b"x"[..]).unwrap();
        }
        let archive = gzip(&builder.into_inner().unwrap());
        let source = read(archive.as_slice(), "export", &Limits::default()).unwrap();
        assert_eq!(source.names("html/").count(), 1);
    }
}
