//! How many commits were called durable, kept beside the engine's own files. It must not know
//! the engine.
//!
//! sled ends its log at the first damage that it meets when it is opened, as if nothing had been
//! written after it. With this number, such a loss is noticed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::directory::{COMMITS, open_private, private_file};

/// The count and the number of the opening (8 bytes each, little-endian) and their CRC-32 (4 bytes).
const FILE_LEN: usize = 20;

/// A count that only grows, and that never exceeds what is really durable.
#[derive(Debug)]
pub(super) struct Acknowledged {
    file: File,
    recorded: Recorded,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Recorded {
    count: u64,
    /// How often the store had been opened then, so that an older copy of the file is known.
    opening: u64,
}

impl Acknowledged {
    /// The count that was recorded last; 0 where there is none, or none that can be believed.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let path = directory.join(COMMITS);
        let mut file = open_private(private_file().truncate(false), &path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let recorded = parse(&bytes);
        if recorded.is_none() {
            // Room for the numbers to come, should the disk be full then.
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&Recorded::default().spelled())?;
        }
        Ok(Self {
            file,
            recorded: recorded.unwrap_or_default(),
        })
    }

    pub(super) fn count(&self) -> u64 {
        self.recorded.count
    }

    /// In which opening of the store it was recorded; `None` where nothing tells.
    pub(super) fn opening(&self) -> Option<u64> {
        Some(self.recorded.opening).filter(|opening| *opening > 0)
    }

    /// Begins another opening. Durable when it returns.
    pub(super) fn begin(&mut self, opening: u64) -> io::Result<()> {
        let count = self.recorded.count;
        self.write(Recorded { count, opening })?;
        self.file.sync_data()
    }

    /// To be called when the first `count` commits are durable. It is left to the system when
    /// the number itself reaches the disk: one that is too low does no harm.
    pub(super) fn record(&mut self, count: u64) -> io::Result<()> {
        if count > self.recorded.count {
            let opening = self.recorded.opening;
            self.write(Recorded { count, opening })?;
        }
        Ok(())
    }

    fn write(&mut self, recorded: Recorded) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&recorded.spelled())?;
        self.recorded = recorded;
        Ok(())
    }
}

impl Recorded {
    fn spelled(self) -> [u8; FILE_LEN] {
        let mut bytes = [0; FILE_LEN];
        let (numbers, checksum_place) = bytes.split_at_mut(16);
        let (count_place, opening_place) = numbers.split_at_mut(8);
        count_place.copy_from_slice(&self.count.to_le_bytes());
        opening_place.copy_from_slice(&self.opening.to_le_bytes());
        checksum_place.copy_from_slice(&crc32fast::hash(numbers).to_le_bytes());
        bytes
    }
}

fn parse(bytes: &[u8]) -> Option<Recorded> {
    let (count, rest) = bytes.split_first_chunk()?;
    let recorded = Recorded {
        count: u64::from_le_bytes(*count),
        opening: u64::from_le_bytes(*rest.first_chunk()?),
    };
    (bytes == recorded.spelled()).then_some(recorded)
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
            acknowledged.begin(expected / 2).unwrap();
            let reopened = Acknowledged::open(directory.path()).unwrap();
            assert_eq!(reopened.count(), expected);
            assert_eq!(reopened.opening().unwrap_or(0), expected / 2);
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
        let recorded = Recorded {
            count: 7,
            opening: 8,
        };
        let spelled = recorded.spelled();
        assert_eq!(parse(&spelled), Some(recorded));
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
