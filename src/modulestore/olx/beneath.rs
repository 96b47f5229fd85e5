//! Opens files of an export and nothing else, whatever somebody puts in their place meanwhile. Knows
//! links and pipes, not what is in a file.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// A directory, and what lies in it.
#[derive(Debug)]
pub(super) struct Beneath {
    /// Without links.
    root: PathBuf,
    #[cfg(target_os = "linux")]
    handle: File,
}

impl Beneath {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let root = fs::canonicalize(root)?;
        Ok(Self {
            #[cfg(target_os = "linux")]
            handle: File::open(&root)?,
            root,
        })
    }

    /// Its path, in which there are no links.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// A file by its path from here, in which there are no links; `None` for a pipe or a device.
    ///
    /// Elsewhere than on Linux, only the last component is sure to be no link.
    pub(super) fn file(&self, relative: &Path) -> io::Result<Option<File>> {
        #[cfg(target_os = "linux")]
        match linux::open(&self.handle, relative) {
            Err(error) if linux::is_unknown(&error) => {}
            file => return only_file(file?),
        }
        let mut options = OpenOptions::new();
        set_flags(options.read(true), Links::Refuse);
        only_file(options.open(self.root.join(relative))?)
    }
}

/// A file that somebody named, wherever links lead; `None` for anything else.
pub(super) fn open_file(place: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    set_flags(options.read(true), Links::Follow);
    only_file(options.open(place)?)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Links {
    Follow,
    Refuse,
}

/// Opening a pipe would wait for somebody to write into it.
#[cfg(unix)]
fn set_flags(options: &mut OpenOptions, links: Links) {
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::OFlags;

    let flags = match links {
        Links::Follow => OFlags::NONBLOCK,
        Links::Refuse => OFlags::NONBLOCK | OFlags::NOFOLLOW,
    };
    options.custom_flags(flags.bits().cast_signed());
}

#[cfg(not(unix))]
fn set_flags(_: &mut OpenOptions, _: Links) {}

fn only_file(file: File) -> io::Result<Option<File>> {
    Ok(file.metadata()?.is_file().then_some(file))
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
    use rustix::io::Errno;

    pub(super) fn open(directory: &File, relative: &Path) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let opened = openat2(directory, relative, flags, Mode::empty(), resolve);
        Ok(File::from(opened?))
    }

    /// Before Linux 5.6, and in sandboxes that have not heard of it.
    pub(super) fn is_unknown(error: &io::Error) -> bool {
        let error = Errno::from_io_error(error);
        matches!(error, Some(Errno::NOSYS | Errno::PERM))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    /// What whoever may change the directory could do between a look at it and the opening.
    #[test]
    fn what_was_put_in_the_place_of_a_file_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let course = directory.path().join("course");
        fs::create_dir_all(course.join("html")).unwrap();
        fs::create_dir(directory.path().join("other")).unwrap();
        for (name, text) in [("course/html/a.xml", "a"), ("other/a.xml", "secret")] {
            fs::write(directory.path().join(name), text).unwrap();
        }
        let link = directory.path().join("link");
        symlink(&course, &link).unwrap();
        let beneath = Beneath::open(&link).unwrap();
        let read = |relative: &str| {
            let file = beneath.file(Path::new(relative)).ok()??;
            let mut text = String::new();
            file.take(100).read_to_string(&mut text).unwrap();
            Some(text)
        };
        assert_eq!(read("html/a.xml").as_deref(), Some("a"));

        symlink("a.xml", course.join("html/link.xml")).unwrap();
        symlink("../../other/a.xml", course.join("html/out.xml")).unwrap();
        let pipe = course.join("html/pipe.xml");
        assert!(
            Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        for swapped in ["html/link.xml", "html/out.xml", "html/pipe.xml", "html"] {
            assert_eq!(read(swapped), None, "{swapped}");
        }
        assert!(open_file(&pipe).unwrap().is_none());
        assert!(open_file(&course).unwrap().is_none());
        assert!(open_file(&link.join("html/out.xml")).unwrap().is_some());
        if cfg!(target_os = "linux") {
            fs::rename(course.join("html"), course.join("old")).unwrap();
            symlink("../other", course.join("html")).unwrap();
            for swapped in ["html/a.xml", "../other/a.xml", "/etc/hostname"] {
                assert_eq!(read(swapped), None, "{swapped}");
            }
        }
    }
}
