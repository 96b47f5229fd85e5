//! What the file system and the process's limits would refuse, asked before anything is written. It
//! must not know the engine.
//!
//! sled 0.34 cannot go on after it failed to write once. So it is given nothing while the disk is
//! full, the process can open no more files, or the directory is not there any more: then nothing
//! has happened, and the next write is welcome when the cause is gone.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::directory::{is_same, unusable};
use crate::error::{Error, ErrorKind, Result};

/// How often, and how long each time, to wait for a file that may be opened again: 1 s in all.
const OPENING_WAITS: u32 = 100;
const OPENING_WAIT: Duration = Duration::from_millis(10);

/// The disk that a store's log is on.
#[derive(Debug)]
pub(super) struct Disk {
    store: PathBuf,
    log: PathBuf,
    /// Of the log that was opened, whatever may come to be at its path.
    metadata: Metadata,
}

/// Whether so many bytes can be written to a store that is being made at `store`.
pub(super) fn expect_room_at(store: &Path, bytes: u64) -> Result<()> {
    let left = File::open(store).and_then(|directory| bytes_left(&directory));
    let left = left.map_err(|error| unusable(store, Use::Creation.refused(), error))?;
    if left < bytes {
        return Err(full(store, Use::Creation, left, bytes));
    }
    Ok(())
}

/// What is to be done with the room that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Nothing of it has happened yet.
    Commit,
    /// It can be read already.
    Flush,
    Creation,
}

impl Disk {
    /// Of the store at `store`, which has its log open as `file` at `log`.
    pub(super) fn new(store: &Path, log: PathBuf, file: &File) -> io::Result<Self> {
        Ok(Self {
            store: store.to_owned(),
            log,
            metadata: file.metadata()?,
        })
    }

    /// Whether the log is where it was, files can be opened, and so many bytes can be written.
    ///
    /// # Errors
    /// [`NoRoom`](ErrorKind::NoRoom) and [`Storage`](ErrorKind::Storage).
    pub(super) fn expect_room(&self, bytes: u64, purpose: Use) -> Result<()> {
        let log = match self.open_as_sled_would() {
            Ok(log) => log,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(self.gone(purpose).with_source(error));
            }
            Err(error) => return Err(unusable(&self.store, purpose.refused(), error)),
        };
        let unknown = |error| unusable(&self.store, purpose.refused(), error);
        if !is_same(&log.metadata().map_err(unknown)?, &self.metadata) {
            return Err(self.gone(purpose));
        }
        let left = bytes_left(&log).map_err(unknown)?;
        if left < bytes {
            return Err(full(&self.store, purpose, left, bytes));
        }
        Ok(())
    }

    /// One file more than sled opens at a time.
    fn open_as_sled_would(&self) -> io::Result<File> {
        let log = File::open(&self.log)?;
        log.try_clone()?;
        Ok(log)
    }

    fn gone(&self, purpose: Use) -> Error {
        let message = format!(
            "the store at {} {}: its directory was removed, moved or replaced while it was open; \
             put it back, or open what is there now",
            self.store.display(),
            purpose.refused()
        );
        Error::new(ErrorKind::Storage, message)
    }
}

impl Use {
    fn refused(self) -> &'static str {
        match self {
            Self::Commit => "was not written to",
            Self::Flush => "cannot bring to the disk what was written last",
            Self::Creation => "cannot be made",
        }
    }
}

#[cold]
fn full(store: &Path, purpose: Use, left: u64, needed: u64) -> Error {
    let message = format!(
        "the store at {} {}: its disk is full, with {} MiB left of the {} MiB that this may take; \
         free some space",
        store.display(),
        purpose.refused(),
        left >> 20,
        needed.div_ceil(1 << 20)
    );
    Error::new(ErrorKind::NoRoom, message)
}

/// How much this process may still write to the file system of `file`.
#[cfg(unix)]
fn bytes_left(file: &File) -> io::Result<u64> {
    let found = rustix::fs::fstatvfs(file)?;
    // One without a limit, or that does not know its own.
    if found.f_blocks == 0 {
        return Ok(u64::MAX);
    }
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// It is not known; what does not fit is noticed when it is written.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "it is asked for elsewhere")]
fn bytes_left(_: &File) -> io::Result<u64> {
    Ok(u64::MAX)
}

/// Whether it is over when there is room again: on the disk, or for open files.
pub(super) fn is_lack_of_room(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    ) || is_lack_of_files(error)
}

/// Whether the process, or the system, has as many files open as it may.
pub(super) fn is_lack_of_files(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        matches!(errno, Some(Errno::MFILE | Errno::NFILE))
    }
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
}

/// Opens a file as soon as that is possible, for a while.
pub(super) fn patiently<T>(open: impl Fn() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..OPENING_WAITS {
        match open() {
            Err(error) if is_lack_of_files(&error) => thread::sleep(OPENING_WAIT),
            opened => return opened,
        }
    }
    open()
}

#[cfg(all(test, unix))]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn too_many_files() -> io::Error {
        rustix::io::Errno::MFILE.into()
    }

    #[test]
    fn a_file_is_opened_as_soon_as_that_is_possible() {
        let attempts = Cell::new(0);
        let opened = patiently(|| {
            attempts.set(attempts.get() + 1);
            match attempts.get() {
                ..4 => Err(too_many_files()),
                attempts => Ok(attempts),
            }
        });
        assert_eq!(opened.unwrap(), 4);
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let refused: io::Result<()> = patiently(|| {
            attempts.set(attempts.get() + 1);
            Err(denied())
        });
        assert_eq!(refused.unwrap_err().kind(), denied().kind());
        assert_eq!(attempts.get(), 5);
    }

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        let path = Path::new("there");
        for (errno, kind) in [
            (rustix::io::Errno::NOSPC, ErrorKind::NoRoom),
            (rustix::io::Errno::DQUOT, ErrorKind::NoRoom),
            (rustix::io::Errno::MFILE, ErrorKind::NoRoom),
            (rustix::io::Errno::NFILE, ErrorKind::NoRoom),
            (rustix::io::Errno::IO, ErrorKind::Storage),
            (rustix::io::Errno::ROFS, ErrorKind::Storage),
            (rustix::io::Errno::ACCESS, ErrorKind::Storage),
        ] {
            let error = unusable(path, "cannot be", errno.into());
            assert_eq!(error.kind(), kind, "{errno:?}");
            assert!(
                error
                    .to_string()
                    .starts_with("the store at there cannot be")
            );
        }
    }
}
