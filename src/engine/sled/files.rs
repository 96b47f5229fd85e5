//! sled's files as others may leave them and as they come to the disk. It must not know what is in
//! them.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::log::{BLOBS, CONFIGURATION, LOG, UNFINISHED, is_torn_configuration};
use crate::engine::acknowledged::Acknowledged;
use crate::engine::directory::{private_file, sync_directory, unusable};
use crate::engine::disk::patiently;
use crate::error::{Error, ErrorKind, Result};

/// How often, and how long each time, to wait for sled to let go of its files: 10 s in all. Its
/// threads hold them for some 0.1 s after the last handle is gone.
const CLOSING_WAITS: u32 = 5_000;
const CLOSING_WAIT: Duration = Duration::from_millis(2);

/// What is on the disk.
#[derive(Debug)]
pub(super) struct Durable {
    /// The number of the last commit that is.
    pub(super) count: u64,
    pub(super) files: Files,
    pub(super) acknowledged: Acknowledged,
}

/// sled's files, which it does not sync itself.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) log: File,
    blobs: PathBuf,
    synced_blobs: HashSet<OsString>,
}

impl Durable {
    pub(super) fn open(path: &Path, data: &Path, acknowledged: Acknowledged) -> io::Result<Self> {
        let files = Files::open(data)?;
        sync_directory(path)?;
        Ok(Self {
            count: 0,
            files,
            acknowledged,
        })
    }

    /// To be called when sled has written the first `count` commits to its files.
    pub(super) fn advance(&mut self, count: u64) -> io::Result<()> {
        self.files.sync_log()?;
        self.acknowledged.record(count)?;
        self.count = count;
        Ok(())
    }
}

impl Files {
    /// sled would make what is missing of them itself.
    pub(super) fn open(data: &Path) -> io::Result<Self> {
        let blobs = data.join(BLOBS);
        fs::create_dir_all(&blobs)?;
        Ok(Self {
            log: private_file().truncate(false).open(data.join(LOG))?,
            blobs,
            synced_blobs: HashSet::new(),
        })
    }

    /// Everything that is in the files becomes durable, whoever wrote it.
    pub(super) fn sync_all(&mut self, data: &Path) -> io::Result<()> {
        match OpenOptions::new()
            .write(true)
            .open(data.join(CONFIGURATION))
        {
            Ok(configuration) => configuration.sync_all()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.sync_blobs()?;
        self.sync_log()?;
        sync_directory(data)
    }

    /// The files of large values that are there.
    pub(super) fn sync_blobs(&mut self) -> io::Result<()> {
        let mut present = HashSet::new();
        for blob in patiently(|| fs::read_dir(&self.blobs))? {
            present.insert(blob?.file_name());
        }
        let mut has_new = false;
        for name in present.difference(&self.synced_blobs) {
            let path = self.blobs.join(name);
            if is_something_else(&path) {
                continue;
            }
            // Opened for writing, since not every system syncs a file that is only read.
            match patiently(|| OpenOptions::new().write(true).open(&path)) {
                Ok(blob) => blob.sync_data()?,
                // sled has replaced it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            has_new = true;
        }
        if has_new {
            patiently(|| sync_directory(&self.blobs))?;
        }
        self.synced_blobs = present;
        Ok(())
    }

    fn sync_log(&self) -> io::Result<()> {
        self.log.sync_data()
    }
}

/// Whatever is neither a file nor gone was not put there by sled.
fn is_something_else(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.is_file())
}

/// Waits until nobody holds the lock that sled takes on its log.
pub(super) fn wait_until_closed(path: &Path, data: &Path) -> Result<()> {
    let uncertain = |error| unusable(path, "cannot be locked", error);
    let log = match File::options().write(true).open(data.join(LOG)) {
        Ok(log) => log,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(uncertain(error)),
    };
    wait_until_unlocked(path, &log)
}

pub(super) fn wait_until_unlocked(path: &Path, log: &File) -> Result<()> {
    let uncertain = |error| unusable(path, "cannot be locked", error);
    for _ in 0..CLOSING_WAITS {
        match log.try_lock() {
            // Closing the file would leave the lock to a child process that is just being forked.
            Ok(()) => return log.unlock().map_err(uncertain),
            Err(TryLockError::Error(error)) => return Err(uncertain(error)),
            Err(TryLockError::WouldBlock) => thread::sleep(CLOSING_WAIT),
        }
    }
    let message = format!(
        "the files of the store at {} are still open",
        path.display()
    );
    Err(Error::new(ErrorKind::OpenElsewhere, message))
}

/// Removes what an interrupted opening (or a full disk) leaves behind and sled would trip over.
pub(super) fn remove_unfinished(data: &Path) -> io::Result<()> {
    for entry in fs::read_dir(data)? {
        let path = entry?.path();
        // sled would take it for the newest snapshot, and for damage. Snapshots get their names
        // when they are complete.
        let is_draft = path
            .extension()
            .is_some_and(|extension| extension == UNFINISHED);
        // sled would believe it. It writes another one.
        let is_believed = path.ends_with(CONFIGURATION) && is_torn_configuration(&path);
        if is_draft || is_believed {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
