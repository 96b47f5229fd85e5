//! Room on the disk for what is needed to take back a commit that failed half way. It must not
//! know the engine.
//!
//! sled leaves half a transaction behind when it cannot write a large value, because the disk is
//! full or the process has too many files open, and shows it after the next opening. There must
//! be room for the old values at that moment, and a file that is open already.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::directory::{UNDO, private_file};

/// How much room is kept: the old values of one commit. Without enough of it, a journal still
/// grows if the disk lets it.
const ROOM: usize = 8 << 20;

/// The length of the entries (8 bytes, little-endian) and their CRC-32 (4).
const HEADER_LEN: usize = 12;

const NOTHING: [u8; HEADER_LEN] = [0; HEADER_LEN];

/// While entries are written, and for ever if they cannot be.
const UNFINISHED: [u8; HEADER_LEN] = [0xff; HEADER_LEN];

/// A value that is to be put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OldValue<B> {
    /// A number for the map, of the engine's choosing.
    pub(super) map: u8,
    pub(super) key: B,
    /// `None`: there was none.
    pub(super) value: Option<B>,
}

/// What was found in a journal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Every commit ended well.
    Nothing,
    /// To be put back, from the last one to the first.
    OldValues(Vec<OldValue<Vec<u8>>>),
    /// A commit failed half way, and its old values are lost.
    Unfinished,
}

/// A file with room for the old values of one commit.
#[derive(Debug)]
pub(super) struct UndoJournal(File);

impl UndoJournal {
    pub(super) fn open(directory: &Path) -> io::Result<(Self, Found)> {
        let path = directory.join(UNDO);
        let mut file = private_file().truncate(false).open(path)?;
        let len = file.metadata()?.len();
        if len < ROOM as u64 {
            // Bytes, since a mere length would reserve nothing.
            file.seek(SeekFrom::End(0))?;
            io::copy(&mut io::repeat(0).take(ROOM as u64 - len), &mut file)?;
            file.sync_all()?;
        }
        let found = read(&mut file)?;
        Ok((Self(file), found))
    }

    /// Takes no more room than there is, as long as `old_values` fit into it.
    pub(super) fn record<B: AsRef<[u8]>>(&self, old_values: &[OldValue<B>]) -> io::Result<()> {
        let entries = spelled(old_values);
        self.write(0, &UNFINISHED)?;
        self.write(HEADER_LEN as u64, &entries)?;
        self.write(0, &header(&entries))
    }

    /// The old values have been put back.
    pub(super) fn clear(&self) -> io::Result<()> {
        self.write(0, &NOTHING)
    }

    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = &self.0;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(bytes)?;
        file.sync_data()
    }
}

fn read(file: &mut File) -> io::Result<Found> {
    let mut found = NOTHING;
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(&mut found)?;
    if found == NOTHING {
        return Ok(Found::Nothing);
    }
    let len = found
        .first_chunk()
        .map_or(0, |len| u64::from_le_bytes(*len));
    let mut entries = Vec::new();
    file.take(len).read_to_end(&mut entries)?;
    let old_values = (header(&entries) == found)
        .then(|| parse(&entries))
        .flatten();
    Ok(old_values.map_or(Found::Unfinished, Found::OldValues))
}

fn header(entries: &[u8]) -> [u8; HEADER_LEN] {
    let len = (entries.len() as u64).to_le_bytes();
    let mut header = NOTHING;
    let (len_place, checksum_place) = header.split_at_mut(len.len());
    len_place.copy_from_slice(&len);
    checksum_place.copy_from_slice(&crc32fast::hash(entries).to_le_bytes());
    header
}

/// Of each: the map, the length of the key (8 bytes), the key, whether there is a value, and its
/// length and bytes likewise.
fn spelled<B: AsRef<[u8]>>(old_values: &[OldValue<B>]) -> Vec<u8> {
    fn push(entries: &mut Vec<u8>, bytes: &[u8]) {
        entries.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        entries.extend_from_slice(bytes);
    }

    let mut entries = Vec::new();
    for old in old_values {
        entries.push(old.map);
        push(&mut entries, old.key.as_ref());
        entries.push(old.value.is_some().into());
        if let Some(value) = &old.value {
            push(&mut entries, value.as_ref());
        }
    }
    entries
}

fn parse(mut entries: &[u8]) -> Option<Vec<OldValue<Vec<u8>>>> {
    fn take<'a>(entries: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = entries.split_at_checked(len)?;
        *entries = rest;
        Some(taken)
    }

    fn take_byte(entries: &mut &[u8]) -> Option<u8> {
        take(entries, 1)?.first().copied()
    }

    fn take_bytes(entries: &mut &[u8]) -> Option<Vec<u8>> {
        let len = u64::from_le_bytes(*take(entries, 8)?.first_chunk()?);
        take(entries, usize::try_from(len).ok()?).map(<[u8]>::to_vec)
    }

    let mut old_values = Vec::new();
    while !entries.is_empty() {
        old_values.push(OldValue {
            map: take_byte(&mut entries)?,
            key: take_bytes(&mut entries)?,
            value: match take_byte(&mut entries)? {
                0 => None,
                _ => Some(take_bytes(&mut entries)?),
            },
        });
    }
    Some(old_values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old_values() -> Vec<OldValue<Vec<u8>>> {
        let old = |map, key: &[u8], value: Option<&[u8]>| OldValue {
            map,
            key: key.to_vec(),
            value: value.map(<[u8]>::to_vec),
        };
        vec![
            old(0, b"key", Some(b"value")),
            old(1, b"", None),
            old(255, b"\xff", Some(b"")),
        ]
    }

    #[test]
    fn old_values_are_found_until_they_are_cleared() {
        let directory = tempfile::tempdir().unwrap();
        let open = || UndoJournal::open(directory.path()).unwrap();
        assert_eq!(open().1, Found::Nothing);
        open().0.record(&old_values()).unwrap();
        assert_eq!(open().1, Found::OldValues(old_values()));
        assert_eq!(open().1, Found::OldValues(old_values()));
        let large = [OldValue {
            map: 7,
            key: vec![1],
            value: Some(vec![7; ROOM]),
        }];
        open().0.record(&large).unwrap();
        assert_eq!(open().1, Found::OldValues(large.to_vec()));
        open().0.record(&old_values()[..1]).unwrap();
        assert_eq!(open().1, Found::OldValues(old_values()[..1].to_vec()));
        open().0.clear().unwrap();
        assert_eq!(open().1, Found::Nothing);
    }

    #[test]
    fn the_room_is_there_before_it_is_needed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(UNDO);
        for left_behind in [0, 1, HEADER_LEN, ROOM - 1] {
            std::fs::write(&path, vec![0; left_behind]).unwrap();
            let (_, found) = UndoJournal::open(directory.path()).unwrap();
            assert_eq!(found, Found::Nothing);
            assert_eq!(std::fs::metadata(&path).unwrap().len(), ROOM as u64);
        }
    }

    #[test]
    fn a_damaged_journal_is_an_unfinished_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(UNDO);
        let (journal, _) = UndoJournal::open(directory.path()).unwrap();
        journal.record(&old_values()).unwrap();
        let len = HEADER_LEN + spelled(&old_values()).len();
        let mut bytes = vec![0; len];
        File::open(&path).unwrap().read_exact(&mut bytes).unwrap();
        for bit in 0..len * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            journal.write(0, &damaged).unwrap();
            let found = read(&mut File::open(&path).unwrap()).unwrap();
            assert_eq!(found, Found::Unfinished, "bit {bit}");
        }
        journal.write(0, &UNFINISHED).unwrap();
        let found = read(&mut File::open(&path).unwrap()).unwrap();
        assert_eq!(found, Found::Unfinished);
    }
}
