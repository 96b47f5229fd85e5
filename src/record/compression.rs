//! How a body is compressed. The only module that names `lz4_flex`; it must not know what is in a
//! body.

use std::fmt;

use super::{MAX_BODY_LEN, RecordError};

/// How the body of a record is stored. Each kind of record has its own, chosen by how it is read;
/// ARCHITECTURE.md has the figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// As it is: one block is read without touching the others.
    #[default]
    None,
    /// As one LZ4 block: for what is read whole anyway.
    Lz4,
}

/// A body that does not become smaller by one part in so many stays as it is.
const WORTHWHILE: usize = 8;

/// In front of a compressed body: how many bytes it has uncompressed.
type UncompressedLen = [u8; 4];

/// No byte of an LZ4 block stands for more than this many.
const MAX_LZ4_RATIO: usize = 255;

impl Compression {
    /// The number in the flags of a header.
    pub(super) const fn number(self) -> u16 {
        match self {
            Self::None => 0,
            Self::Lz4 => 1,
        }
    }

    /// `None` for what came later.
    pub(super) const fn from_number(number: u16) -> Option<Self> {
        match number {
            0 => Some(Self::None),
            1 => Some(Self::Lz4),
            _ => None,
        }
    }

    /// What is stored instead of `body`. `None` where the body itself is.
    pub(super) fn compress(self, body: &[u8]) -> Option<Vec<u8>> {
        let stored = match self {
            Self::None => return None,
            Self::Lz4 => {
                let len: UncompressedLen = u32::try_from(body.len()).ok()?.to_le_bytes();
                [&len[..], &lz4_flex::block::compress(body)].concat()
            }
        };
        let is_worthwhile = stored.len() <= body.len() - body.len() / WORTHWHILE;
        is_worthwhile.then_some(stored)
    }

    /// The body, of `least_len` bytes or more, instead of which `stored` was stored.
    pub(super) fn decompress(self, stored: &[u8], least_len: u64) -> Result<Vec<u8>, RecordError> {
        match self {
            Self::None => Ok(stored.to_vec()),
            Self::Lz4 => decompress_lz4(stored, least_len),
        }
    }
}

/// No memory is reserved for a length that the block cannot have.
fn decompress_lz4(stored: &[u8], least_len: u64) -> Result<Vec<u8>, RecordError> {
    let impossible = RecordError::Malformed("a compressed body of a length that it cannot have");
    let (len, block) = stored
        .split_first_chunk::<{ size_of::<UncompressedLen>() }>()
        .ok_or(impossible)?;
    let len = u32::from_le_bytes(*len);
    let most = block.len().saturating_mul(MAX_LZ4_RATIO).min(MAX_BODY_LEN);
    if u64::from(len) < least_len || len as usize > most {
        return Err(impossible);
    }
    let mut body = vec![0; len as usize];
    match lz4_flex::block::decompress_into(block, &mut body) {
        Ok(written) if written == body.len() => Ok(body),
        _ => Err(RecordError::Malformed(
            "a compressed body that is not what its length says",
        )),
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
        })
    }
}
