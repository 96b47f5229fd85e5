//! Any bytes as an export: as an archive, packed or not, and as the files and links of a small course,
//! in an archive and in a directory. Shared by the property tests and the fuzz target. It knows the
//! public API only.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use courseblocks::engine::MemoryEngine;
use courseblocks::modulestore::Course;
use courseblocks::modulestore::olx::{self, Limits, OlxModuleStore};
use courseblocks::transformer::standard::StartDate;
use courseblocks::{
    Error, ErrorKind, Force, Manager, Registry, Store, Timestamp, UpdateOptions, UsageKey,
    UserContext,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};

/// What lies beside the export, and in no course.
const SECRET: &str = "what lies beside the export";

/// Between the files of a course.
const BETWEEN_FILES: u8 = 0x1e;

/// Files and links of a course at most.
const MAX_FILES: usize = 40;

/// A part of an export as it was chosen: `name`, a line break, and what is in it. The first
/// character of the name may say that it is something else than a file.
#[derive(Clone, Copy, Debug)]
struct Member<'a> {
    kind: Kind,
    name: &'a [u8],
    content: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    /// `>`: to what is in it.
    SymbolicLink,
    /// `=`: to what is in it.
    HardLink,
    /// `!`
    Pipe,
    /// `?`: its content is of a PAX header for the next one.
    Extension,
}

/// Reading ends within its limits in a course or an error, and nothing that is not in the export
/// is in the course. A course can be collected and looked at. What an archive holds and what a
/// directory holds are the same course.
pub(crate) fn check(bytes: &[u8]) {
    let Some((manner, bytes)) = bytes.split_first() else {
        return;
    };
    let place = tempfile::tempdir().expect("a directory");
    let place = place.path();
    fs::write(place.join("secret.xml"), SECRET).expect("a file");
    match manner % 3 {
        0 => drop(check_archive(place, bytes)),
        1 => drop(check_archive(place, &packed(bytes))),
        _ => check_members(place, bytes),
    }
}

fn check_members(place: &Path, bytes: &[u8]) {
    let members = bytes.split(|byte| *byte == BETWEEN_FILES);
    let members: Vec<_> = members.take(MAX_FILES).map(Member::parse).collect();
    let archived = check_archive(place, &packed(&archive_of(&members)));
    let Some(is_plain) = unpack(&place.join("export"), &members) else {
        return;
    };
    let directory = check_export(&place.join("export"));
    if !is_plain {
        return;
    }
    match (archived, directory) {
        (Ok(archived), Ok(directory)) => {
            assert_eq!(archived.source_version(), directory.source_version());
            assert_eq!(described(&archived), described(&directory));
        }
        (archived, directory) => assert_eq!(
            archived.map_err(|error| error.kind()).err(),
            directory.map_err(|error| error.kind()).err()
        ),
    }
}

fn check_archive(place: &Path, bytes: &[u8]) -> Result<Course, Error> {
    let archive = place.join("archive.tar.gz");
    fs::write(&archive, bytes).expect("a file");
    check_export(&archive)
}

fn check_export(export: &Path) -> Result<Course, Error> {
    let limits = limits();
    let found = olx::find_courses(export, &limits);
    assert!(found.is_ok_and(|found| found.len() <= limits.members));
    let course = match olx::read(export, &limits) {
        Ok(course) => course,
        Err(error) => {
            let kinds = [ErrorKind::InvalidCourse, ErrorKind::LimitExceeded];
            assert!(kinds.contains(&error.kind()), "{error:?}");
            assert!(!format!("{error:?}").contains(SECRET));
            return Err(error);
        }
    };
    assert!(!described(&course).contains(SECRET));
    let structure = course.structure();
    assert!(structure.len() <= limits.blocks);
    let report = course.report();
    for problems in [&report.errors, &report.warnings] {
        // And one that tells of those beyond.
        assert!(problems.len() <= limits.problems + 1);
    }
    for block in structure.blocks() {
        assert_eq!(structure.key(block).course_key(), Some(course.key()));
        assert!(course.block(block).is_some());
    }
    collect(export, &course);
    Ok(course)
}

/// No content of a course makes a stock transformer panic, and what is collected can be read.
fn collect(export: &Path, course: &Course) {
    let courses = OlxModuleStore::with_limits(limits());
    let key = courses.insert(export).expect("it was read before");
    assert_eq!(&key, course.key());
    let courses = Arc::new(courses);
    let store = Arc::new(Store::with_engine(Arc::new(MemoryEngine::new())));
    let worker = |name: &str, registry: Registry| {
        let manager = Manager::new(Arc::clone(&store), Arc::new(registry), courses.clone());
        let lasts = Duration::from_secs(3600);
        let joined = manager.join(name, "release", lasts, Timestamp::MIN);
        joined.expect("a name of its own");
        manager
    };
    let manager = worker("all", Registry::standard());
    let update = |manager: &Manager, force| {
        let options = UpdateOptions {
            force,
            ..UpdateOptions::default()
        };
        let updated = manager.update(&key, &options);
        let failures = updated.expect("a course that was read").failures;
        for (transformer, failure) in &failures {
            assert!(!failure.contains("panic"), "{transformer}: {failure}");
        }
        failures
    };
    let failures = update(&manager, Force::OutdatedOnly);
    let has_failed = |name: &str| failures.iter().any(|(failed, _)| failed == name);
    let registry = Registry::standard();
    let names: Vec<_> = registry.names().filter(|name| !has_failed(name)).collect();
    let user = UserContext::new(Timestamp::MIN);
    let look = |names: &[&str], start: Option<&UsageKey>| {
        let seen = manager.get_transformed(&key, names, &user, start);
        if let Err(error) = &seen {
            let kinds = [ErrorKind::Transformer, ErrorKind::NotFound];
            assert!(kinds.contains(&error.kind()), "{error:?}");
            assert!(!format!("{error:?}").contains("panic"), "{error:?}");
        }
        seen.ok().map(|seen| seen.structure.len())
    };
    let seen = look(&names, None);
    assert!(seen.is_none_or(|seen| seen <= course.structure().len()));

    // A part of it, by transformers that need no more.
    let of_parts = names.iter().copied();
    let of_parts = of_parts.filter(|name| ["start_date", "visibility"].contains(name));
    let of_parts: Vec<_> = of_parts.collect();
    let collected = manager.get_collected(&key, &of_parts);
    for block in course.structure().blocks().take(3) {
        let start = course.structure().key(block);
        let collected = collected.as_ref().ok();
        let of_all = collected.and_then(|all| all.transform(&user, Some(start)).ok());
        let of_all = of_all.map(|seen| seen.structure.len());
        assert_eq!(look(&of_parts, Some(start)), of_all);
    }

    // What a release that knows less collects again leaves the rest as it was.
    let mut less = Registry::new();
    less.register(StartDate).expect("the first one");
    update(&worker("less", less), Force::Everything);
    assert_eq!(look(&names, None), seen);
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.members = 1_000;
    limits.file_bytes = 20_000;
    limits.total_bytes = 200_000;
    limits.unpacked_bytes = 1 << 20;
    limits.blocks = 500;
    limits.problems = 50;
    limits
}

fn described(course: &Course) -> String {
    format!("{course:?}")
}

fn packed(archive: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(archive).expect("a vector takes all");
    packer.finish().expect("a vector takes all")
}

impl<'a> Member<'a> {
    fn parse(bytes: &'a [u8]) -> Self {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (name, content) = match end {
            Some(end) => (&bytes[..end], &bytes[end + 1..]),
            None => (bytes, &[][..]),
        };
        let (kind, name) = match name.split_first() {
            Some((b'>', name)) => (Kind::SymbolicLink, name),
            Some((b'=', name)) => (Kind::HardLink, name),
            Some((b'!', name)) => (Kind::Pipe, name),
            Some((b'?', name)) => (Kind::Extension, name),
            _ => (Kind::File, name),
        };
        Self {
            kind,
            name,
            content,
        }
    }

    /// The name as a path that leads nowhere else, if it is one.
    fn path(&self) -> Option<&'a str> {
        let name = std::str::from_utf8(self.name).ok()?;
        let is_plain = |part: &str| {
            !["", ".", ".."].contains(&part) && part.len() < 100 && !part.contains('\0')
        };
        name.split('/').all(is_plain).then_some(name)
    }
}

/// Below a directory, and with whatever names there are.
fn archive_of(members: &[Member<'_>]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for member in members {
        let mut header = Header::new_gnu();
        let is_link = matches!(member.kind, Kind::SymbolicLink | Kind::HardLink);
        let content = if is_link { &[] } else { member.content };
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_entry_type(match member.kind {
            Kind::File => EntryType::Regular,
            Kind::SymbolicLink => EntryType::Symlink,
            Kind::HardLink => EntryType::Link,
            Kind::Pipe => EntryType::Fifo,
            Kind::Extension => EntryType::XHeader,
        });
        let name = match member.name {
            // Wherever it leads to.
            name @ [b'/', ..] => name.to_vec(),
            name => [b"export/", name].concat(),
        };
        let fields = header.as_old_mut();
        copy(&mut fields.name, &name);
        if is_link {
            copy(&mut fields.linkname, member.content);
        }
        header.set_cksum();
        archive
            .append(&header, content)
            .expect("a vector takes all");
    }
    archive.into_inner().expect("a vector takes all")
}

fn copy(field: &mut [u8; 100], bytes: &[u8]) {
    let len = bytes.len().min(field.len());
    field[..len].copy_from_slice(&bytes[..len]);
}

/// Makes the files, and then the symbolic links, so that nothing is written through one. `None` if
/// that cannot be; `true` if the archive holds the same.
fn unpack(export: &Path, members: &[Member<'_>]) -> Option<bool> {
    let mut is_plain = true;
    fs::create_dir(export).ok()?;
    for member in members {
        let Some(path) = member.path() else {
            is_plain = false;
            continue;
        };
        let place = export.join(path);
        fs::create_dir_all(place.parent()?).ok()?;
        match member.kind {
            // A second file of a name, or a long name, is something else in an archive.
            Kind::File if !place.exists() && path.len() < 90 => {
                fs::write(place, member.content).ok()?;
            }
            Kind::File | Kind::SymbolicLink | Kind::HardLink | Kind::Pipe | Kind::Extension => {
                is_plain = false;
            }
        }
    }
    #[cfg(unix)]
    for member in members {
        let target = std::str::from_utf8(member.content);
        if let (Kind::SymbolicLink, Some(path), Ok(target)) = (member.kind, member.path(), target) {
            // One that cannot be made is not there.
            let _ = std::os::unix::fs::symlink(target, export.join(path));
        }
    }
    Some(is_plain)
}
