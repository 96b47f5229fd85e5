//! How many commits were called durable, kept beside the engine's own files. It must not know
//! the engine.
//!
//! sled ends its log at the first damage that it meets when it is opened, as if nothing had been
//! written after it. With this number, such a loss is noticed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::directory::{COMMITS, private_file};

/// The count (8 bytes, little-endian) and its CRC-32 (4 bytes).
const FILE_LEN: usize = 12;

/// A count that only grows, and that never exceeds what is really durable.
#[derive(Debug)]
pub(super) struct Acknowledged {
    file: File,
    count: u64,
}

impl Acknowledged {
    /// The count that was recorded last; 0 where there is none, or none that can be believed.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let path = directory.join(COMMITS);
        let mut file = private_file().truncate(false).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let recorded = parse(&bytes);
        if recorded.is_none() {
            // Room for the numbers to come, should the disk be full then.
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&spelled(0))?;
        }
        Ok(Self {
            file,
            count: recorded.unwrap_or(0),
        })
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// To be called when the first `count` commits are durable. It is left to the system when
    /// the number itself reaches the disk: one that is too low does no harm.
    pub(super) fn record(&mut self, count: u64) -> io::Result<()> {
        if count > self.count {
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(&spelled(count))?;
            self.count = count;
        }
        Ok(())
    }
}

fn spelled(count: u64) -> [u8; FILE_LEN] {
    let count = count.to_le_bytes();
    let mut bytes = [0; FILE_LEN];
    let (count_place, checksum_place) = bytes.split_at_mut(count.len());
    count_place.copy_from_slice(&count);
    checksum_place.copy_from_slice(&crc32fast::hash(&count).to_le_bytes());
    bytes
}

fn parse(bytes: &[u8]) -> Option<u64> {
    let count = u64::from_le_bytes(*bytes.first_chunk()?);
    (bytes == spelled(count)).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_count_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        for (recorded, expected) in [(0, 0), (7, 7), (3, 7), (u64::MAX, u64::MAX)] {
            let mut acknowledged = Acknowledged::open(directory.path()).unwrap();
            acknowledged.record(recorded).unwrap();
            let reopened = Acknowledged::open(directory.path()).unwrap();
            assert_eq!(reopened.count(), expected);
        }
    }

    #[test]
    fn there_is_room_before_there_is_a_count() {
        let directory = tempfile::tempdir().unwrap();
        Acknowledged::open(directory.path()).unwrap();
        let len = std::fs::metadata(directory.path().join(COMMITS))
            .unwrap()
            .len();
        assert_eq!(len, FILE_LEN as u64);
    }

    #[test]
    fn a_count_that_cannot_be_believed_is_none() {
        let spelled = spelled(7);
        assert_eq!(parse(&spelled), Some(7));
        for len in 0..FILE_LEN {
            assert_eq!(parse(&spelled[..len]), None);
        }
        for bit in 0..FILE_LEN * 8 {
            let mut damaged = spelled;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&damaged), None);
        }
    }
}
