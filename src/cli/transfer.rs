//! Where a backup is written to or read from: a file, or a pipe. Counts what goes through, stops
//! when somebody asks for it, and tells its own trouble from the store's. Knows bytes, not backups.

use std::cell::Cell;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tempfile::NamedTempFile;

use super::failure::Failure;
use super::interrupt::Interrupt;
use super::output::Output;

/// A file, or `-`: stdin or stdout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    File(PathBuf),
    Pipe,
}

/// What has gone through, shared with those who draw it.
#[derive(Debug, Default)]
pub(super) struct Passed {
    bytes: Cell<u64>,
    /// Why nothing goes through any more.
    trouble: Cell<Option<Trouble>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The file or pipe failed, not the store.
    Failed,
    Interrupted,
}

/// Counts what goes through.
pub(super) struct Counted<'a, T> {
    inner: T,
    passed: &'a Passed,
    interrupt: &'a Interrupt,
}

/// A file that is there when it is whole, or stdout.
pub(super) enum Target {
    /// With its name in the end, and whether it may replace another file.
    Draft(NamedTempFile, PathBuf, Replace),
    Stdout(Box<dyn Write>),
}

/// What becomes of a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replace {
    Never,
    Always,
}

/// A file that is read twice, or what can only be read once.
pub(super) enum Source {
    File(File, u64),
    Stream(Box<dyn Read>),
}

impl FromStr for Place {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "-" => Self::Pipe,
            path => Self::File(path.into()),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Pipe => f.write_str("-"),
        }
    }
}

impl Target {
    /// Nothing is at `place` before [`finish`](Self::finish).
    pub(super) fn begin(place: &Place, replace: Replace, output: &Output) -> Result<Self, Failure> {
        let path = match place {
            Place::File(path) => path,
            Place::Pipe if output.writes_to_a_terminal() => {
                let message =
                    "a backup is nothing to look at: name a file, or send it through a pipe";
                return Err(Failure::usage(message));
            }
            Place::Pipe => return Ok(Self::Stdout(output.take_stdout())),
        };
        match fs::symlink_metadata(path) {
            Ok(found) if !found.is_file() => {
                let message = format!(
                    "{place} is no regular file; for anything else, name - and send stdout there"
                );
                return Err(Failure::usage(message));
            }
            Ok(_) if replace == Replace::Never => return Err(is_there(path)),
            _ => {}
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Readable by its owner alone, as the store is.
        let draft = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .suffix(".part")
            .tempfile_in(directory_of(path));
        let draft = draft.map_err(|error| unwritable(path, &error))?;
        Ok(Self::Draft(draft, path.clone(), replace))
    }

    /// On the disk, under its name.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let Self::Draft(draft, path, replace) = self else {
            return Ok(());
        };
        let synced = draft.as_file().sync_all();
        synced.map_err(|error| unwritable(&path, &error))?;
        let named = match replace {
            Replace::Never => draft.persist_noclobber(&path),
            Replace::Always => draft.persist(&path),
        };
        match named {
            Ok(_) => {}
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(is_there(&path));
            }
            Err(error) => return Err(unwritable(&path, &error.error)),
        }
        if cfg!(unix) {
            let directory = File::open(directory_of(&path)).and_then(|file| file.sync_all());
            directory.map_err(|error| unwritable(&path, &error))?;
        }
        Ok(())
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Draft(draft, ..) => draft.write(bytes),
            Self::Stdout(stdout) => stdout.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Draft(draft, ..) => draft.flush(),
            Self::Stdout(stdout) => stdout.flush(),
        }
    }
}

impl Source {
    pub(super) fn open(place: &Place, output: &Output) -> Result<Self, Failure> {
        let Place::File(path) = place else {
            return Ok(Self::Stream(output.take_stdin()));
        };
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        let (found, file) = opened
            .map_err(|error| Failure::no(format!("{} cannot be read: {error}", path.display())))?;
        Ok(if found.is_file() {
            Self::File(file, found.len())
        } else {
            Self::Stream(Box::new(file))
        })
    }

    /// How long it is, where that is known.
    pub(super) fn len(&self) -> Option<u64> {
        match self {
            Self::File(_, len) => Some(*len),
            Self::Stream(_) => None,
        }
    }

    /// Goes back to the beginning, where that can be done.
    pub(super) fn rewind(&mut self) -> io::Result<()> {
        match self {
            Self::File(file, _) => file.rewind(),
            Self::Stream(_) => Ok(()),
        }
    }
}

impl Read for Source {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file, _) => file.read(bytes),
            Self::Stream(stream) => stream.read(bytes),
        }
    }
}

impl Passed {
    /// How many bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.trouble.get()
    }

    fn pass(
        &self,
        interrupt: &Interrupt,
        go: impl FnOnce() -> io::Result<usize>,
    ) -> io::Result<usize> {
        if interrupt.is_asked() {
            self.trouble.set(Some(Trouble::Interrupted));
            return Err(io::Error::other("interrupted"));
        }
        let passed = go();
        match &passed {
            Ok(bytes) => self.bytes.set(self.bytes.get() + *bytes as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.trouble.set(Some(Trouble::Failed)),
        }
        passed
    }
}

impl<'a, T> Counted<'a, T> {
    pub(super) fn new(inner: T, passed: &'a Passed, interrupt: &'a Interrupt) -> Self {
        Self {
            inner,
            passed,
            interrupt,
        }
    }
}

impl<T: Write> Write for Counted<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let inner = &mut self.inner;
        self.passed.pass(self.interrupt, || inner.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        let inner = &mut self.inner;
        let flushed = self
            .passed
            .pass(self.interrupt, || inner.flush().map(|()| 0));
        flushed.map(drop)
    }
}

impl<T: Read> Read for Counted<'_, T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let inner = &mut self.inner;
        self.passed.pass(self.interrupt, || inner.read(bytes))
    }
}

fn directory_of(path: &Path) -> &Path {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or_else(|| Path::new("."))
}

fn is_there(path: &Path) -> Failure {
    let path = path.display();
    Failure::no(format!(
        "{path} is there already; name another file, or --force to replace it"
    ))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::no(format!("{} cannot be written: {error}", path.display()))
}
