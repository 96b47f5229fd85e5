//! The format of records as its documentation states it, read without any code of the library: slowly,
//! and with nothing in place. Shared by the tests and the fuzz targets. It knows the public API only.

use std::borrow::Cow;

use courseblocks::record::{Compression, ENTRIES_PER_CHUNK, HEADER_LEN, MAX_BODY_LEN, RecordError};

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) compression: Compression,
    pub(crate) write_version: u32,
    pub(crate) min_reader: u32,
    pub(crate) generation: u64,
    pub(crate) body_len: u32,
    pub(crate) entries: u32,
    pub(crate) body_checksum: u32,
    pub(crate) checksum: u32,
}

/// A CRC-32 (IEEE), byte by byte.
#[derive(Clone, Copy)]
pub(crate) struct Checksum(u32);

/// What is left of each byte when it is divided by the polynomial, as CRC-32 is defined.
static REMAINDERS: [u32; 256] = {
    let mut remainders = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut left = byte;
        let mut bit = 0;
        while bit < 8 {
            left = (left >> 1) ^ ((left & 1) * 0xedb8_8320);
            bit += 1;
        }
        remainders[byte as usize] = left;
        byte += 1;
    }
    remainders
};

/// Bytes of a header that every checksum of the record starts from.
const BOUND: usize = 32;

/// What the format says of `bytes` under `key`.
pub(crate) fn read(key: &[u8], bytes: &[u8]) -> Result<Fields, RecordError> {
    if bytes.len() < HEADER_LEN {
        return Err(RecordError::Length {
            expected: 40,
            found: bytes.len() as u64,
        });
    }
    if !bytes.starts_with(b"CBLK") {
        return Err(RecordError::BadMagic);
    }
    let checksum = number(bytes, 36);
    if checksum_of(key, bytes) != checksum {
        return Err(RecordError::HeaderChecksum);
    }
    let flags = u16::from_le_bytes([bytes[6], bytes[7]]);
    let newer = [
        ("format version", u16::from(bytes[4]), 1),
        ("codec", u16::from(bytes[5]), 1),
        ("flags", flags, 15),
        ("compression", flags, 1),
    ];
    if let Some(&(what, found, _)) = newer.iter().find(|(_, found, newest)| found > newest) {
        return Err(RecordError::TooNew { what, found });
    }
    if bytes[4] == 0 || bytes[5] == 0 {
        return Err(RecordError::Malformed("format version or codec 0"));
    }
    for (at, what) in [(8, "write version 0"), (12, "min_reader 0")] {
        if number(bytes, at) == 0 {
            return Err(RecordError::Malformed(what));
        }
    }
    Ok(Fields {
        compression: [Compression::None, Compression::Lz4][usize::from(flags)],
        write_version: number(bytes, 8),
        min_reader: number(bytes, 12),
        generation: (u64::from(number(bytes, 20)) << 32) | u64::from(number(bytes, 16)),
        body_len: number(bytes, 24),
        entries: number(bytes, 28),
        body_checksum: number(bytes, 32),
        checksum,
    })
}

/// The checksum that the header at the beginning of `bytes` must have.
pub(crate) fn checksum_of(key: &[u8], bytes: &[u8]) -> u32 {
    Checksum::seed(key, bytes).with(&bytes[32..36]).get()
}

/// The number at this place of a record.
pub(crate) fn number(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes[at..at + 4].try_into().expect("four bytes");
    u32::from_le_bytes(bytes)
}

impl Checksum {
    /// What every checksum of the record with this header starts from.
    pub(crate) fn seed(key: &[u8], header: &[u8]) -> Self {
        let len = (key.len() as u64).to_le_bytes();
        Self(!0).with(&len).with(key).with(&header[..BOUND])
    }

    #[must_use]
    pub(crate) fn with(mut self, bytes: &[u8]) -> Self {
        for byte in bytes {
            let [low, ..] = self.0.to_le_bytes();
            self.0 = (self.0 >> 8) ^ REMAINDERS[usize::from(low ^ byte)];
        }
        self
    }

    pub(crate) fn get(self) -> u32 {
        !self.0
    }
}

/// A record as the documentation of the format states it.
pub(crate) struct Stated<'a> {
    pub(crate) fields: Fields,
    /// What the checksums of the chunks start from.
    seed: Checksum,
    /// Decompressed.
    pub(crate) body: Cow<'a, [u8]>,
    pub(crate) is_body_intact: bool,
}

/// What is in a record: a value for each block, or none, and one for the course.
pub(crate) type Values = (Vec<Option<Vec<u8>>>, Vec<u8>);

/// Bytes of a row of the directory.
pub(crate) const ROW: usize = 8;

impl<'a> Stated<'a> {
    /// What is told by the header and by the length.
    pub(crate) fn open_header(key: &[u8], bytes: &[u8]) -> Option<Fields> {
        let fields = read(key, bytes).ok()?;
        let is_whole = (bytes.len() - HEADER_LEN) as u64 == u64::from(fields.body_len);
        let has_room = match fields.compression {
            Compression::None => least_len(&fields) <= u64::from(fields.body_len),
            _ => true,
        };
        (is_whole && has_room).then_some(fields)
    }

    pub(crate) fn open(key: &[u8], bytes: &'a [u8]) -> Option<Self> {
        let fields = Self::open_header(key, bytes)?;
        let stored = &bytes[HEADER_LEN..];
        let seed = Checksum::seed(key, bytes);
        let is_body_intact = seed.with(stored).get() == fields.body_checksum;
        if fields.compression == Compression::None {
            return Some(Self {
                fields,
                seed,
                body: stored.into(),
                is_body_intact,
            });
        }
        if !is_body_intact || stored.len() < 4 {
            return None;
        }
        let (len, block) = (number(stored, 0), &stored[4..]);
        let most = MAX_BODY_LEN.min(block.len() * 255) as u64;
        if u64::from(len) < least_len(&fields) || u64::from(len) > most {
            return None;
        }
        let body = decompress(block, len as usize)?;
        // It starts from the header that the record would have.
        let mut header = bytes[..HEADER_LEN].to_vec();
        header[6] = 0;
        header[24..28].copy_from_slice(&len.to_le_bytes());
        Some(Self {
            fields,
            seed: Checksum::seed(key, &header),
            body: body.into(),
            is_body_intact,
        })
    }

    /// A chunk, whether or not its checksum fits.
    fn chunk(&self, row: usize) -> Option<(&[u8], u32)> {
        let rows = chunk_count(self.fields.entries);
        let directory = self.body.get(..rows * ROW)?;
        let end = |row: usize| number(directory, row * ROW) as usize;
        let start = row.checked_sub(1).map_or(directory.len(), end);
        let is_last = row + 1 == rows;
        if start < directory.len() || (is_last && end(row) != self.body.len()) {
            return None;
        }
        let chunk = self.body.get(start..end(row))?;
        Some((chunk, number(directory, row * ROW + 4)))
    }

    fn intact_chunk(&self, row: usize) -> Option<&[u8]> {
        let (chunk, checksum) = self.chunk(row)?;
        let row = u32::try_from(row).expect("small").to_le_bytes();
        let found = self.seed.with(&row).with(chunk).get();
        (found == checksum).then_some(chunk)
    }

    /// `None` where it is refused.
    #[expect(clippy::option_option, reason = "a value may be absent, or refused")]
    pub(crate) fn entry(&self, position: usize) -> Option<Option<&[u8]>> {
        let row = position / ENTRIES_PER_CHUNK;
        let entries = self.entries_of(row, self.intact_chunk(row)?)?;
        entries.get(position % ENTRIES_PER_CHUNK).copied()
    }

    fn entries_of<'b>(&self, row: usize, chunk: &'b [u8]) -> Option<Vec<Option<&'b [u8]>>> {
        let before = row * ENTRIES_PER_CHUNK;
        let count = (self.fields.entries as usize - before).min(ENTRIES_PER_CHUNK);
        let mut rest = chunk;
        let lens: Option<Vec<_>> = (0..count).map(|_| take_len(&mut rest)).collect();
        let mut entries = Vec::new();
        for len in lens? {
            entries.push(match len.checked_sub(1) {
                None => None,
                Some(len) => Some(rest.split_off(..len as usize)?),
            });
        }
        rest.is_empty().then_some(entries)
    }

    pub(crate) fn course_wide(&self) -> Option<&[u8]> {
        self.intact_chunk(chunk_count(self.fields.entries) - 1)
    }

    /// The values of all blocks, if all are there, intact and sorted.
    pub(crate) fn values(&self) -> Option<Vec<&[u8]>> {
        let mut values = Vec::new();
        for row in 0..chunk_count(self.fields.entries) - 1 {
            for entry in self.entries_of(row, self.intact_chunk(row)?)? {
                values.push(entry?);
            }
        }
        values.is_sorted().then_some(values)
    }

    /// Everything, of a body that was verified as a whole.
    pub(crate) fn whole(&self) -> Option<Values> {
        let rows = chunk_count(self.fields.entries);
        let mut entries = Vec::new();
        for row in 0..rows - 1 {
            let (chunk, _) = self.chunk(row)?;
            let of_chunk = self.entries_of(row, chunk)?.into_iter();
            entries.extend(of_chunk.map(|entry| entry.map(<[u8]>::to_vec)));
        }
        let (course_wide, _) = self.chunk(rows - 1)?;
        Some((entries, course_wide.to_vec()))
    }
}

pub(crate) fn chunk_count(entries: u32) -> usize {
    (entries as usize).div_ceil(ENTRIES_PER_CHUNK) + 1
}

fn least_len(fields: &Fields) -> u64 {
    let rows = chunk_count(fields.entries) * ROW;
    rows as u64 + u64::from(fields.entries)
}

/// A length in base 128, in as few bytes as it takes.
fn take_len(bytes: &mut &[u8]) -> Option<u32> {
    let mut len = 0_u64;
    for place in 0..5 {
        let byte = *bytes.split_off_first()?;
        len |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            let is_shortest = place == 0 || byte != 0;
            return u32::try_from(len).ok().filter(|_| is_shortest);
        }
    }
    None
}

/// An LZ4 block, byte by byte.
fn decompress(block: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut rest = block;
    let mut body = Vec::new();
    loop {
        let token = *rest.split_off_first()?;
        let literals = long_len(usize::from(token >> 4), &mut rest)?;
        body.extend_from_slice(rest.split_off(..literals)?);
        if rest.is_empty() {
            return (body.len() == len).then_some(body);
        }
        let offset = rest.split_off(..2)?;
        let offset = usize::from(u16::from_le_bytes([offset[0], offset[1]]));
        let matched = 4 + long_len(usize::from(token & 15), &mut rest)?;
        if offset == 0 || offset > body.len() || body.len() + matched > len {
            return None;
        }
        for _ in 0..matched {
            body.push(body[body.len() - offset]);
        }
    }
}

fn long_len(nibble: usize, rest: &mut &[u8]) -> Option<usize> {
    let mut len = nibble;
    if nibble == 15 {
        loop {
            let byte = *rest.split_off_first()?;
            len += usize::from(byte);
            if byte < 255 {
                break;
            }
        }
    }
    Some(len)
}
