//! CRC-32 (IEEE) bound to a record's key and header. It must not know what the bytes mean.

use crc32fast::Hasher;

/// Where every checksum of one record starts: it has taken in the key and the bound header
/// fields already, so that bytes under another key or another header never match.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seed(u32);

/// The beginning of a [`Seed`]: it has taken in the key.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeySeed(u32);

impl KeySeed {
    /// The key comes with its length, so that no two pairs of key and fields spell the same.
    pub(super) fn new(key: &[u8]) -> Self {
        let key_len = (key.len() as u64).to_le_bytes();
        Self(continued(0, &[&key_len, key]))
    }

    pub(super) fn bound(self, fields: &[u8]) -> Seed {
        Seed(continued(self.0, &[fields]))
    }
}

impl Seed {
    pub(super) fn header(self, body_checksum: u32) -> u32 {
        continued(self.0, &[&body_checksum.to_le_bytes()])
    }

    pub(super) fn body(self, body: &[u8]) -> u32 {
        continued(self.0, &[body])
    }

    /// The number is taken in, so that chunks cannot change places.
    pub(super) fn chunk(self, number: u32, chunk: &[u8]) -> u32 {
        continued(self.0, &[&number.to_le_bytes(), chunk])
    }
}

fn continued(checksum: u32, parts: &[&[u8]]) -> u32 {
    let mut hasher = Hasher::new_with_initial(checksum);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}
