//! What the recorder wrote down of a process. It must not know what a disk makes of it.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What was asked of the file system, in the order in which it was done, and the marks between.
#[derive(Debug)]
pub(crate) struct Journal {
    bytes: Vec<u8>,
    pub(crate) entries: Vec<Entry>,
}

/// Files are named by their inodes, which may come back after a file was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Create {
        inode: u64,
        path: PathBuf,
    },
    Write {
        inode: u64,
        at: u64,
        bytes: Range<usize>,
    },
    Resize {
        inode: u64,
        len: u64,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Unlink(PathBuf),
    MakeDirectory(PathBuf),
    RemoveDirectory(PathBuf),
    Link {
        from: PathBuf,
        to: PathBuf,
    },
    /// Of a directory where the inode is 0.
    SyncBegan {
        number: u64,
        inode: u64,
        path: PathBuf,
    },
    SyncEnded {
        number: u64,
    },
    Mark(String),
    /// Promises nothing.
    SyncRange,
}

impl Journal {
    pub(crate) fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let mut entries = Vec::new();
        let mut at = 0;
        // Whoever is killed may leave the beginning of an entry.
        while let Some(head) = bytes.get(at..at + 32) {
            let number = |index: usize| {
                u64::from_le_bytes(head[index * 8..][..8].try_into().expect("8 bytes"))
            };
            let [kind, first, second, len] = [0, 1, 2, 3].map(number);
            let data = at + 32..at + 32 + index(len);
            let Some(text) = bytes.get(data.clone()) else {
                break;
            };
            at = data.end;
            entries.push(entry(kind, first, second, text, data));
        }
        Self { bytes, entries }
    }

    /// What an entry wrote.
    pub(crate) fn bytes(&self, range: &Range<usize>) -> &[u8] {
        &self.bytes[range.clone()]
    }

    /// The marks before the entry at `end`, each without the end of its line.
    pub(crate) fn marks(&self, end: usize) -> impl Iterator<Item = &str> {
        let marks = self.entries[..end].iter().filter_map(|entry| match entry {
            Entry::Mark(text) => Some(text.as_str()),
            _ => None,
        });
        marks.flat_map(str::lines)
    }
}

fn entry(kind: u64, first: u64, second: u64, text: &[u8], data: Range<usize>) -> Entry {
    let path = |bytes: &[u8]| PathBuf::from(std::str::from_utf8(bytes).unwrap());
    let two = || {
        let (from, to) = text.split_at(index(first));
        (path(from), path(to))
    };
    match kind {
        1 => Entry::Create {
            inode: first,
            path: path(text),
        },
        2 => Entry::Write {
            inode: first,
            at: second,
            bytes: data,
        },
        3 => Entry::Resize {
            inode: first,
            len: second,
        },
        4 => {
            let (from, to) = two();
            Entry::Rename { from, to }
        }
        5 => Entry::Unlink(path(text)),
        6 => Entry::MakeDirectory(path(text)),
        7 => Entry::RemoveDirectory(path(text)),
        8 => {
            let (from, to) = two();
            Entry::Link { from, to }
        }
        9 => Entry::SyncBegan {
            number: first,
            inode: second,
            path: path(text),
        },
        10 => Entry::SyncEnded { number: first },
        11 => Entry::Mark(String::from_utf8(text.to_vec()).unwrap()),
        12 => Entry::SyncRange,
        _ => panic!("an entry of kind {kind}"),
    }
}

pub(crate) fn index(number: u64) -> usize {
    usize::try_from(number).expect("what fits into memory")
}
