//! CRC-32 (IEEE) bound to a record's key and header. It must not know what the bytes mean.

use crc32fast::Hasher;

use crate::concat::{ROOM, concat};

/// Where every checksum of one record starts: it has taken in the key and the bound header
/// fields already, so that bytes under another key or another header never match.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seed(u32);

impl Seed {
    pub(super) fn of(parts: &[&[u8]]) -> Self {
        // Parts this short take longer one by one (19 ns) than copied and at once (11 ns).
        let mut room = ROOM;
        Self(Self(0).continued(&[&concat(&mut room, parts)]))
    }

    pub(super) fn header(self, body_checksum: u32) -> u32 {
        self.continued(&[&body_checksum.to_le_bytes()])
    }

    pub(super) fn body(self, body: &[u8]) -> u32 {
        self.continued(&[body])
    }

    /// The number is taken in, so that chunks cannot change places.
    pub(super) fn chunk(self, number: u32, chunk: &[u8]) -> u32 {
        self.continued(&[&number.to_le_bytes(), chunk])
    }

    fn continued(self, parts: &[&[u8]]) -> u32 {
        let mut hasher = Hasher::new_with_initial(self.0);
        for part in parts {
            hasher.update(part);
        }
        hasher.finalize()
    }
}
