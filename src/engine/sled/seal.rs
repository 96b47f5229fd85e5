//! What an engine's files were when the store was opened or closed last, kept beside them. It must
//! not know the engine.
//!
//! An older copy of a file is intact in itself. It is known by what is said of the newest one here.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::engine::directory::{SEAL, open_private, private_file, sync_directory};

/// More than a seal ever has.
const MAX_BYTES: u64 = 4 << 10;

/// What is written down, as texts that tell one state of a file from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sealed {
    /// How often the store had been opened.
    pub(super) opening: u64,
    /// The newest snapshot. There is no newer one before the store is opened again.
    pub(super) snapshot: String,
    /// The log, if the store was closed after all that was written to it.
    pub(super) log: Option<String>,
}

/// Where it is written down.
#[derive(Debug)]
pub(super) struct Seal {
    directory: PathBuf,
}

impl Seal {
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(SEAL)
    }

    /// What was written down last; `None` where there is nothing that can be believed, as after an
    /// opening that was interrupted.
    pub(super) fn read(&self) -> io::Result<Option<Sealed>> {
        let found = open_private(OpenOptions::new().read(true), &self.path()).and_then(|file| {
            let mut bytes = Vec::new();
            file.take(MAX_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        });
        match found {
            Ok(bytes) => Ok(parse(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// To be called before the files change in a way that is not written down.
    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(self.path()) {
            Ok(()) => sync_directory(&self.directory),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// It is left to the system when this reaches the disk: without it, less is noticed.
    pub(super) fn write(&self, sealed: &Sealed) -> io::Result<()> {
        let mut file = open_private(private_file().truncate(true), &self.path())?;
        file.write_all(&spelled(sealed))
    }
}

/// A line for each, and one with the CRC-32 of those before it.
fn spelled(sealed: &Sealed) -> Vec<u8> {
    let log = sealed.log.as_deref().unwrap_or("open");
    let Sealed {
        opening, snapshot, ..
    } = sealed;
    let text = format!("opening {opening}\nsnapshot {snapshot}\nlog {log}\n");
    let checksum = crc32fast::hash(text.as_bytes());
    format!("{text}{checksum:08x}\n").into_bytes()
}

fn parse(bytes: &[u8]) -> Option<Sealed> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.lines();
    let opening = lines.next()?.strip_prefix("opening ")?.parse().ok()?;
    let snapshot = lines.next()?.strip_prefix("snapshot ")?.to_owned();
    let log = lines.next()?.strip_prefix("log ")?;
    let log = (log != "open").then(|| log.to_owned());
    let sealed = Sealed {
        opening,
        snapshot,
        log,
    };
    (spelled(&sealed) == bytes).then_some(sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> [Sealed; 2] {
        ["00 12 abc", "none"].map(|snapshot| Sealed {
            opening: 7,
            snapshot: snapshot.to_owned(),
            log: (snapshot == "none").then(|| "0123".to_owned()),
        })
    }

    #[test]
    fn what_was_written_last_is_read_back_until_it_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let seal = Seal::new(directory.path());
        assert_eq!(seal.read().unwrap(), None);
        for sealed in sealed() {
            seal.write(&sealed).unwrap();
            assert_eq!(seal.read().unwrap(), Some(sealed));
        }
        for _ in 0..2 {
            seal.remove().unwrap();
            assert_eq!(seal.read().unwrap(), None);
        }
    }

    #[test]
    fn a_seal_that_is_damaged_is_none() {
        for sealed in sealed() {
            let spelled = spelled(&sealed);
            assert_eq!(parse(&spelled), Some(sealed));
            for len in 0..spelled.len() {
                assert_eq!(parse(&spelled[..len]), None);
            }
            for bit in 0..spelled.len() * 8 {
                let mut damaged = spelled.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(parse(&damaged), None);
            }
        }
    }
}
