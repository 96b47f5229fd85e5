//! The directory of a store: who has it open, how it is laid out, and that nobody but its owner can
//! get at it. It must not know which engine keeps its data there.
//!
//! The path of a store may lead through links, which is how operators move one to another disk. In the
//! store itself a link is never followed: it would be a way to have the store write elsewhere.

use std::fmt::Display;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::mem;
use std::path::{self, Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::disk::{is_lack_of_files, is_lack_of_room};
use crate::error::{Error, ErrorKind, Result};

/// The layout that is written, and the newest one that is read.
///
/// - 1: `LOCK`, `FORMAT`, `COMMITS`, `UNDO`, `SEAL` and `sled/`. While it is shared, `sharing/SOCKET`.
///   While it is being filled, `FILLING` and no `FORMAT`, so that no release takes it for a store.
const LAYOUT: u32 = 1;

/// Locked while the store is open; holds the pid of who has it open.
const LOCK: &str = "LOCK";

/// Says that the directory is a store, and in which layout. Written once, whole or not at all.
const FORMAT: &str = "FORMAT";

/// What `FORMAT` is called until it is complete.
const FORMAT_DRAFT: &str = "FORMAT.new";

/// What `FORMAT` is called while the store is being filled, and after that was broken off.
const FILLING: &str = "FILLING";

/// What the engine keeps is in there.
pub(super) const DATA: &str = "sled";

/// How many commits were called durable.
pub(super) const COMMITS: &str = "COMMITS";

/// What takes back half a commit.
pub(super) const UNDO: &str = "UNDO";

/// What the files were when the store was opened or closed last.
pub(super) const SEAL: &str = "SEAL";

/// What there can be in a store that is being filled. Of everything else nobody knows whose it is.
const FILLED: [&str; 7] = [LOCK, FORMAT_DRAFT, FILLING, DATA, COMMITS, UNDO, SEAL];

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
        let directory = Self::lock(path, check_layout)?;
        if !check_layout(path)? {
            write_format(path, FORMAT)
                .map_err(|error| unusable(path, "cannot be made a store", error))?;
        }
        Ok(directory)
    }

    /// Locks a directory with nothing in it, or with what is left of a filling that was broken off,
    /// which is removed. Nobody can open it until [`complete`] has been called.
    pub(super) fn open_to_fill(path: &Path) -> Result<Self> {
        let absolute = path::absolute(path);
        let path = &absolute.map_err(|error| unusable(path, "cannot be found", error))?;
        require_vacant(path)?;
        create_private(path)?;
        let directory = Self::lock(path, |_| Ok(false))?;
        // Somebody else may have made it a store before it was locked.
        require_vacant(path)?;
        let begun = remove_filled(path).and_then(|()| write_format(path, FILLING));
        begun.map_err(|error| unusable(path, "cannot be filled", error))?;
        Ok(directory)
    }

    /// Locks a directory that nobody but its owner can get at, once that is so.
    fn lock(path: &Path, is_store: impl FnOnce(&Path) -> Result<bool>) -> Result<Self> {
        private::check_owner(path)?;
        if !is_store(path)? {
            private::close(path);
        }
        private::check_closed(path)?;
        // Whoever made it may have been killed before its name was safe.
        sync_parent(path)
            .map_err(|error| unusable(path, "cannot be brought to the disk", error))?;
        let directory = Self {
            path: path.to_owned(),
            lock: Some(lock(path)?),
        };
        directory.end_sharing();
        Ok(directory)
    }

    /// Removes what there is of a store that is not to be completed. Where that fails, it stays what
    /// it is: nothing that anybody opens.
    pub(super) fn give_up(self) {
        let _ = remove_filled(&self.path);
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whoever shared the store is gone, or about to go: nobody answers there.
    fn end_sharing(&self) {
        let sharing = self.path.join(SHARING);
        if sharing.is_symlink() {
            return;
        }
        // If it cannot be removed, others wait longer before they give up.
        let _ = fs::remove_file(sharing.join(SOCKET)).and_then(|()| fs::remove_dir(sharing));
    }

    pub(super) fn is_in_place(&self) -> bool {
        let ours = self.lock.as_ref().map(File::metadata);
        let found = fs::metadata(self.path.join(LOCK));
        matches!((ours, found), (Some(Ok(ours)), Ok(found)) if is_same(&ours, &found))
    }

    /// Leaves the store locked, and this process named, until it ends.
    pub(super) fn lock_until_exit(&mut self) {
        mem::forget(self.lock.take());
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Unless there is another store at the path by now.
        if self.is_in_place() {
            self.end_sharing();
        }
        if let Some(lock) = &mut self.lock {
            // So that nobody reads a pid that is long gone.
            let _ = write_owner(lock, "");
            // Closing the file would leave the lock to a child process that is just being forked.
            let _ = lock.unlock();
        }
    }
}

/// An error of the file system about the store at `path`, with the way out where it tells one.
pub(super) fn unusable(path: &Path, what: impl Display, error: io::Error) -> Error {
    let path = path.display();
    let message = match advice(&error) {
        Some(advice) => format!("the store at {path} {what} ({advice})"),
        None => format!("the store at {path} {what}"),
    };
    let kind = if is_lack_of_room(&error) {
        ErrorKind::NoRoom
    } else {
        ErrorKind::Storage
    };
    Error::new(kind, message).with_source(error)
}

fn advice(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::StorageFull => Some("free some space"),
        io::ErrorKind::QuotaExceeded => Some("free some space, or raise the quota"),
        io::ErrorKind::PermissionDenied => {
            Some("this user must be allowed to read and write all that is in it")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            Some("a store is written to when it is opened: copy it to where that is possible")
        }
        _ if is_lack_of_files(error) => {
            Some("close some files or connections, or raise the limit of open files")
        }
        _ => None,
    }
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

/// Whether both are of one file, as far as that is known.
pub(super) fn is_same(one: &Metadata, other: &Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (one.dev(), one.ino()) == (other.dev(), other.ino())
    }
    // What is open cannot be replaced elsewhere.
    #[cfg(not(unix))]
    {
        let _ = (one, other);
        true
    }
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

/// Makes a directory that only its owner may enter, where there is none, and those above it. Their
/// names are safe then; its own is when the directory that it is in has been synced. One that is
/// there stays as it is.
pub(super) fn create_private(path: &Path) -> Result<()> {
    let missing: Vec<_> = path.ancestors().take_while(|path| !path.exists()).collect();
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let mut created = builder.create(path);
    for above in missing.into_iter().skip(1) {
        created = created.and_then(|()| sync_parent(above));
    }
    created.map_err(|error| unusable(path, "cannot be made a directory", error))
}

/// Syncs the directory that `path` is in, if it may be read.
fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent().map(sync_directory) {
        // Who may not list a directory cannot sync it; it has been there before the store.
        Some(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Some(synced) => synced,
        None => Ok(()),
    }
}

/// Makes a directory of the store at `store`, or sees to it that the one that is there, and what it
/// holds, is the store's own: no links, and closed to others.
pub(super) fn create_inside(store: &Path, directory: &Path) -> Result<()> {
    if directory.is_symlink() {
        return Err(link(store, directory));
    }
    create_private(directory)?;
    private::check_owner(directory)?;
    private::check_closed(directory)?;
    let unreadable = |error| unusable(store, "cannot be read", error);
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let kind = entry.file_type().map_err(unreadable)?;
            if kind.is_symlink() {
                return Err(link(store, &entry.path()));
            }
            if kind.is_dir() {
                pending.push(entry.path());
            }
        }
    }
    Ok(())
}

fn link(store: &Path, link: &Path) -> Error {
    let message = format!(
        "the store at {} holds a link, {}, which no store does; remove it, or restore the store from \
         a backup",
        store.display(),
        link.display()
    );
    Error::new(ErrorKind::Storage, message)
}

/// Whether `path` is a store yet. An error if it is another thing, or newer.
fn check_layout(path: &Path) -> Result<bool> {
    let unreadable = |error| unusable(path, "cannot be read", error);
    let format = path.join(FORMAT);
    let Some(text) = read_if_any(&format).map_err(unreadable)? else {
        if path.join(FILLING).exists() {
            return Err(unfinished(path));
        }
        let is_new = holds_only(path, &[LOCK, FORMAT_DRAFT]).map_err(unreadable)?;
        // Someone else may have made it a store while we looked.
        if is_new || format.exists() {
            return Ok(false);
        }
        return Err(not_empty(path));
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

/// An error unless there is nothing at `path` but, maybe, an empty directory or what is left of a
/// filling that was broken off.
pub(super) fn require_vacant(path: &Path) -> Result<()> {
    let unreadable = |error| unusable(path, "cannot be read", error);
    if path.join(FORMAT).exists() {
        let path = path.display();
        let message =
            format!("there is a store at {path} already; name a directory that is new or empty");
        return Err(Error::new(ErrorKind::Storage, message));
    }
    let known: &[_] = if path.join(FILLING).exists() {
        &FILLED
    } else {
        &[LOCK, FORMAT_DRAFT]
    };
    match holds_only(path, known) {
        Ok(true) => Ok(()),
        Ok(false) => Err(not_empty(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unreadable(error)),
    }
}

/// Makes what was filled a store. To be called when all of it is durable.
pub(super) fn complete(path: &Path) -> Result<()> {
    let completed = fs::rename(path.join(FILLING), path.join(FORMAT));
    completed
        .and_then(|()| sync_directory(path))
        .map_err(|error| unusable(path, "cannot be completed", error))
}

/// The marker last, so that whatever is left is not taken for a store.
fn remove_filled(path: &Path) -> io::Result<()> {
    let if_any = |removed: io::Result<()>| match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    };
    if_any(fs::remove_dir_all(path.join(DATA)))?;
    for file in [COMMITS, UNDO, SEAL, FORMAT_DRAFT] {
        if_any(fs::remove_file(path.join(file)))?;
    }
    if_any(fs::remove_file(path.join(FILLING)))
}

/// Whether there is nothing in the directory but these.
fn holds_only(path: &Path, known: &[&str]) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        if !known.iter().any(|known| name == *known) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn not_empty(path: &Path) -> Error {
    let message = format!(
        "{} is no store and not empty; name a store, or a directory that is new or empty",
        path.display()
    );
    Error::new(ErrorKind::Storage, message)
}

fn unfinished(path: &Path) -> Error {
    let message = format!(
        "the store at {} is not complete: it is being restored, or that was broken off; restore it \
         again, or remove the directory",
        path.display()
    );
    Error::new(ErrorKind::Storage, message)
}

/// Under `name`, whole or not at all.
fn write_format(path: &Path, name: &str) -> io::Result<()> {
    let draft = path.join(FORMAT_DRAFT);
    let mut file = open_private(private_file().truncate(true), &draft)?;
    writeln!(file, "{FORMAT_PREFIX}{LAYOUT}")?;
    file.sync_all()?;
    fs::rename(draft, path.join(name))?;
    sync_directory(path)
}

fn lock(path: &Path) -> Result<File> {
    let unlockable = |error| unusable(path, "cannot be locked", error);
    let file = path.join(LOCK);
    let mut lock = open_private(private_file().truncate(false), &file).map_err(unlockable)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(open_elsewhere(path, &mut lock)),
        Err(TryLockError::Error(error)) => return Err(unlockable(error)),
    }
    // Others are told less without it, which is no reason not to open the store.
    let _ = write_owner(&mut lock, &std::process::id().to_string());
    Ok(lock)
}

/// Always as long, so that it takes no room that is not there already when the disk is full.
fn write_owner(lock: &mut File, owner: &str) -> io::Result<()> {
    const LEN: usize = 10;
    lock.seek(SeekFrom::Start(0))?;
    writeln!(lock, "{owner:<LEN$}")
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

/// Opens a file of the store, and nothing else: neither follows a link nor waits for a pipe.
pub(super) fn open_private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = private::without_links(options).open(path);
    let file = file.map_err(|error| {
        if path.is_symlink() {
            not_a_file(path, "a link")
        } else {
            error
        }
    })?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(not_a_file(path, "no file"))
    }
}

fn not_a_file(path: &Path, what: &str) -> io::Error {
    let message = format!(
        "{} is {what}, and has to be a file of the store's own",
        path.display()
    );
    io::Error::other(message)
}

/// The longest `FORMAT` that can make sense.
const MAX_FORMAT_BYTES: u64 = 1 << 10;

fn read_if_any(path: &Path) -> io::Result<Option<String>> {
    match open_private(OpenOptions::new().read(true), path) {
        Ok(file) => {
            let mut bytes = Vec::new();
            file.take(MAX_FORMAT_BYTES).read_to_end(&mut bytes)?;
            Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a system with owners and rights says about them.
#[cfg(unix)]
mod private {
    use std::fs::{self, OpenOptions, Permissions};
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
    use std::path::Path;

    use rustix::fs::OFlags;

    use super::unusable;
    use crate::error::{Error, ErrorKind, Result};

    /// Whoever else may write there can put a store of their own in its place, and whoever runs as
    /// the superuser would work in a directory that somebody else may change.
    pub(super) fn check_owner(path: &Path) -> Result<()> {
        let metadata = fs::metadata(path);
        let owner = metadata
            .map_err(|error| unusable(path, "cannot be read", error))?
            .uid();
        let user = rustix::process::geteuid().as_raw();
        if owner == user {
            return Ok(());
        }
        let message = format!(
            "the directory {} belongs to user {owner}, and this process runs as user {user}; run it as \
             the owner, or name a directory of its own",
            path.display()
        );
        Err(Error::new(ErrorKind::Storage, message))
    }

    /// Takes the rights of others away, where the file system knows any.
    pub(super) fn close(path: &Path) {
        // What comes of it is checked.
        let _ = fs::set_permissions(path, Permissions::from_mode(0o700));
    }

    /// Others may look at names, as directories that were made by hand allow, but not write.
    pub(super) fn check_closed(path: &Path) -> Result<()> {
        let metadata = fs::metadata(path);
        let metadata = metadata.map_err(|error| unusable(path, "cannot be read", error))?;
        let rights = metadata.mode() & 0o7777;
        if rights & 0o022 == 0 {
            return Ok(());
        }
        let path = path.display();
        let message = format!(
            "other users may write to {path} (its rights are {rights:04o}), and nothing that is read \
             there can be relied upon; `chmod 700 {path}` if you trust what it holds"
        );
        Err(Error::new(ErrorKind::Storage, message))
    }

    pub(super) fn without_links(options: &mut OpenOptions) -> &mut OpenOptions {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        options.custom_flags(flags.bits().cast_signed())
    }
}

/// Elsewhere the rights are those of the directory that the store lies in.
#[cfg(not(unix))]
mod private {
    use std::fs::OpenOptions;
    use std::path::Path;

    use crate::error::Result;

    #[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
    pub(super) fn check_owner(_: &Path) -> Result<()> {
        Ok(())
    }

    pub(super) fn close(_: &Path) {}

    #[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
    pub(super) fn check_closed(_: &Path) -> Result<()> {
        Ok(())
    }

    pub(super) fn without_links(options: &mut OpenOptions) -> &mut OpenOptions {
        options
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
