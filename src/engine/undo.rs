//! Room on the disk for what is needed to take back a commit that failed half way. It must not
//! know the engine.
//!
//! sled leaves half a transaction behind when it cannot write a large value, because the disk is
//! full or the process has too many files open, and shows it after the next opening. There must
//! be room for the old values at that moment, and a file that is open already.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::directory::{UNDO, open_private, private_file};
use super::disk::is_lack_of_room;

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
pub(super) struct UndoJournal {
    file: File,
    has_room: AtomicBool,
}

impl UndoJournal {
    /// May have no room yet, where the disk is full.
    pub(super) fn open(directory: &Path) -> io::Result<(Self, Found)> {
        let path = directory.join(UNDO);
        let mut file = open_private(private_file().truncate(false), &path)?;
        let found = read(&mut file)?;
        let journal = Self {
            file,
            has_room: AtomicBool::new(false),
        };
        match journal.make_room() {
            Err(error) if !is_lack_of_room(&error) => Err(error),
            _ => Ok((journal, found)),
        }
    }

    /// How much room is missing.
    pub(super) fn lacks(&self) -> u64 {
        if self.has_room.load(Ordering::Acquire) {
            return 0;
        }
        let len = self.file.metadata().map_or(0, |metadata| metadata.len());
        (ROOM as u64).saturating_sub(len)
    }

    /// To be called before every commit: what is there already costs nothing.
    pub(super) fn make_room(&self) -> io::Result<()> {
        if self.has_room.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut file = &self.file;
        let len = file.metadata()?.len();
        if len < ROOM as u64 {
            // Bytes, since a mere length would reserve nothing.
            file.seek(SeekFrom::End(0))?;
            let made = io::copy(&mut io::repeat(0).take(ROOM as u64 - len), &mut file);
            if let Err(error) = made.and_then(|_| file.sync_all()) {
                // What is not enough is of use to others.
                file.set_len(len)?;
                return Err(error);
            }
        }
        self.has_room.store(true, Ordering::Release);
        Ok(())
    }

    /// Leaves the room to something that is more urgent, unless there is something in it.
    pub(super) fn lend_room(&self, found: &Found) -> io::Result<()> {
        if *found == Found::Nothing {
            self.has_room.store(false, Ordering::Release);
            self.file.set_len(HEADER_LEN as u64)?;
        }
        Ok(())
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
        let mut file = &self.file;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(bytes)?;
        file.sync_data()
    }
}

fn read(file: &mut File) -> io::Result<Found> {
    let mut found = NOTHING;
    file.seek(SeekFrom::Start(0))?;
    let is_whole = match file.read_exact(&mut found) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
        read => read.map(|()| true)?,
    };
    // Nothing is written into a journal without room.
    if !is_whole || found == NOTHING {
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
    fn room_is_lent_only_by_a_journal_without_old_values() {
        let directory = tempfile::tempdir().unwrap();
        let open = || UndoJournal::open(directory.path()).unwrap();
        let (journal, found) = open();
        assert_eq!(journal.lacks(), 0);
        journal.lend_room(&found).unwrap();
        assert_eq!(journal.lacks(), (ROOM - HEADER_LEN) as u64);
        journal.make_room().unwrap();
        assert_eq!(journal.lacks(), 0);
        journal.record(&old_values()).unwrap();
        let (journal, found) = open();
        journal.lend_room(&found).unwrap();
        assert_eq!(journal.lacks(), 0);
        assert_eq!(open().1, Found::OldValues(old_values()));
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
