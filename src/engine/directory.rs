//! The directory of a store: who has it open, and how it is laid out. It must not know which
//! engine keeps its data there.

use std::fmt::Display;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::mem;
use std::path::{self, Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::error::{Error, ErrorKind, Result};

/// The layout that is written, and the newest one that is read.
///
/// - 1: `LOCK`, `FORMAT`, `COMMITS`, `UNDO`, `SEAL` and `sled/`. While it is shared, `sharing/SOCKET`.
const LAYOUT: u32 = 1;

/// Locked while the store is open; holds the pid of who has it open.
const LOCK: &str = "LOCK";

/// Says that the directory is a store, and in which layout. Written once, whole or not at all.
const FORMAT: &str = "FORMAT";

/// What `FORMAT` is called until it is complete.
const FORMAT_DRAFT: &str = "FORMAT.new";

/// A directory of its own, so that nobody else can reach [`SOCKET`] at any moment.
pub(super) const SHARING: &str = "sharing";

/// Where whoever has the store open is reached by those that it shares it with. Only in a store
/// that is open, or was left open.
pub(super) const SOCKET: &str = "SOCKET";

/// What comes before the number of the layout.
const FORMAT_PREFIX: &str = "courseblocks store, layout ";

/// A directory that nobody else has open, until it is dropped.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// `None` when it is not to be released.
    lock: Option<File>,
}

impl Directory {
    /// Locks the store at `path`, which is made if there is nothing there.
    pub(super) fn open(path: &Path) -> Result<Self> {
        // Users go by it again and again, wherever the process is then.
        let absolute = path::absolute(path);
        let path = &absolute.map_err(|error| unusable(path, "cannot be found", error))?;
        create_private(path)?;
        // Before the lock, so that nothing is touched in what is newer or no store at all.
        check_layout(path)?;
        let directory = Self {
            path: path.to_owned(),
            lock: Some(lock(path)?),
        };
        directory.end_sharing();
        if !check_layout(path)? {
            write_format(path).map_err(|error| unusable(path, "cannot be made a store", error))?;
        }
        Ok(directory)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whoever shared the store is gone, or about to go: nobody answers there.
    fn end_sharing(&self) {
        let sharing = self.path.join(SHARING);
        // If it cannot be removed, others wait longer before they give up.
        let _ = fs::remove_file(sharing.join(SOCKET)).and_then(|()| fs::remove_dir(sharing));
    }

    /// Leaves the store locked, and this process named, until it ends.
    pub(super) fn lock_until_exit(&mut self) {
        mem::forget(self.lock.take());
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.end_sharing();
        if let Some(lock) = &self.lock {
            // So that nobody reads a pid that is long gone.
            let _ = lock.set_len(0);
            // Closing the file would leave the lock to a child process that is just being forked.
            let _ = lock.unlock();
        }
    }
}

/// An error of the file system about the store at `path`.
pub(super) fn unusable(path: &Path, what: impl Display, error: io::Error) -> Error {
    let message = format!("the store at {} {what}", path.display());
    Error::new(ErrorKind::Storage, message).with_source(error)
}

/// Tells a file or directory from its copies: the device and the number of its inode, or its path
/// where there is no such thing, and when it was made where that is known. Without that, the
/// number of an inode that was removed may come back at once.
pub(super) fn identity(path: &Path) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    #[cfg(unix)]
    let place = {
        use std::os::unix::fs::MetadataExt;
        format!("{:x}:{:x}", metadata.dev(), metadata.ino())
    };
    #[cfg(not(unix))]
    let place = fs::canonicalize(path)?.display().to_string();
    let made = metadata.created().ok();
    let made = made.and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    Ok(match made {
        Some(made) => format!("{place}@{}", made.as_nanos()),
        None => place,
    })
}

/// Makes a file's name, or its end, survive the end of the machine.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    // Elsewhere directories are no files, and need no such thing.
    if cfg!(unix) {
        File::open(path)?.sync_all()
    } else {
        Ok(())
    }
}

pub(super) fn create_private(path: &Path) -> Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let created = builder.create(path);
    created.map_err(|error| unusable(path, "cannot be made a directory", error))
}

/// Whether `path` is a store yet. An error if it is another thing, or newer.
fn check_layout(path: &Path) -> Result<bool> {
    let unreadable = |error| unusable(path, "cannot be read", error);
    let format = path.join(FORMAT);
    let Some(text) = read_if_any(&format).map_err(unreadable)? else {
        let is_new = is_new(path).map_err(unreadable)?;
        // Someone else may have made it a store while we looked.
        if is_new || format.exists() {
            return Ok(false);
        }
        let message = format!(
            "{} is no store and not empty; name a store, or a directory that is new or empty",
            path.display()
        );
        return Err(Error::new(ErrorKind::Storage, message));
    };
    let layout = text.strip_prefix(FORMAT_PREFIX).map(str::trim_end);
    match layout.and_then(|layout| layout.parse::<u32>().ok()) {
        Some(1..=LAYOUT) => Ok(true),
        Some(layout) if layout > LAYOUT => {
            let message = format!(
                "the store at {} has layout {layout} and this release knows layouts up to \
                 {LAYOUT}; use the release that wrote it, or a newer one",
                path.display()
            );
            Err(Error::new(ErrorKind::TooNew, message))
        }
        _ => {
            let message = format!(
                "{} says nothing about a store: it is damaged, or not ours; restore it, or the \
                 whole directory, from a backup",
                format.display()
            );
            Err(Error::new(ErrorKind::Damaged, message))
        }
    }
}

/// Whether there is nothing in the directory but what an interrupted first opening leaves.
fn is_new(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        if name != LOCK && name != FORMAT_DRAFT {
            return Ok(false);
        }
    }
    Ok(true)
}

fn write_format(path: &Path) -> io::Result<()> {
    let draft = path.join(FORMAT_DRAFT);
    let mut file = private_file().truncate(true).open(&draft)?;
    writeln!(file, "{FORMAT_PREFIX}{LAYOUT}")?;
    file.sync_all()?;
    fs::rename(draft, path.join(FORMAT))?;
    sync_directory(path)
}

fn lock(path: &Path) -> Result<File> {
    let unlockable = |error| unusable(path, "cannot be locked", error);
    let file = path.join(LOCK);
    let mut lock = private_file()
        .truncate(false)
        .open(file)
        .map_err(unlockable)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(open_elsewhere(path, &mut lock)),
        Err(TryLockError::Error(error)) => return Err(unlockable(error)),
    }
    let written = lock
        .set_len(0)
        .and_then(|()| writeln!(lock, "{}", std::process::id()));
    written.map_err(unlockable)?;
    Ok(lock)
}

fn open_elsewhere(path: &Path, lock: &mut File) -> Error {
    let mut text = String::new();
    let _ = lock.read_to_string(&mut text);
    let path = path.display();
    let message = match text.trim().parse::<u32>() {
        Ok(pid) if pid == std::process::id() => {
            format!("the store at {path} is open already in this process (pid {pid})")
        }
        Ok(pid) => format!("the store at {path} is open in another process (pid {pid})"),
        Err(_) => format!("the store at {path} is open in another process"),
    };
    Error::new(ErrorKind::OpenElsewhere, message)
}

/// Readable and writable by the owner alone, and made if there is none.
pub(super) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn read_if_any(path: &Path) -> io::Result<Option<String>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    /// A store that is removed and restored at once can have the inodes that it had.
    #[test]
    fn what_is_made_anew_is_something_else() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("store");
        let made = || {
            fs::create_dir(&path).unwrap();
            let inode = fs::metadata(&path).unwrap().ino();
            let [first, again] = [(); 2].map(|()| identity(&path).unwrap());
            assert_eq!(first, again);
            fs::remove_dir(&path).unwrap();
            (inode, first)
        };
        let (inode, first) = made();
        // The time when it was made is known to some milliseconds. Not every file system gives the
        // same inode again.
        let others = (0..10_000).map(|_| made());
        let mut others = others.filter(|(other, _)| *other == inode).peekable();
        assert!(others.peek().is_none() || others.any(|(_, other)| other != first));
    }
}
