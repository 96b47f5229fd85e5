//! The format of the files of sled 0.34, which never changes. It must not know what is stored in
//! them, nor judge what is found.
//!
//! | file | is |
//! |---|---|
//! | `db` | the log, in segments of one size |
//! | `blobs/N` | a large part of a page ("blob"), N the number that the log has for it |
//! | `snap.L` | a snapshot: where every page is, up to the LSN L in hexadecimal digits |
//! | `snap.L.generating` | a snapshot that is not complete |
//! | `conf` | the size of the segments and sled's version, and the CRC-32 of that |
//!
//! An LSN is the place of a byte in all that was ever logged. Segments are used again, so they are in
//! the log in any order. All is little-endian; "masked" is exclusive or with `i64::MAX`.
//!
//! | of a segment | bytes | is |
//! |---|---|---|
//! | header | 4 | the CRC-32 of the rest of the header, inverted |
//! | | 8 | its LSN, masked |
//! | | 8 | up to which LSN the log is safe, masked; -1 while nothing is |
//! | messages | | to its end, to a cap, or to 32 bytes before the end, where none begins |
//!
//! | of a message | bytes | is |
//! |---|---|---|
//! | header | 4 | the CRC-32 of the body, then of the rest of the header, inverted |
//! | | 1 | its kind |
//! | | number | how long the body is |
//! | | number | the LSN of its segment, in segments |
//! | | number | its page |
//! | body | | what its kind says |
//!
//! | kind | is | its body |
//! |---|---|---|
//! | 1, 3 | nothing for a page | |
//! | 2 | a cap: nothing follows in the segment | |
//! | 4, 5 | all of a page that is free or counts | |
//! | 6, 8 | all of a page | it |
//! | 7, 9 | all of a page, in a blob | 8 bytes: the blob's number, signed |
//! | 10 | a change of a page | it |
//! | 11 | a change of a page, in a blob | 8 bytes: the blob's number, signed |
//!
//! | first byte of a number | it is |
//! |---|---|
//! | 0 to 240 | that byte |
//! | 241 to 248 | 240 + 256 × (that byte − 241) + the next byte |
//! | 249 | 2,288 + 256 × the next byte + the one after it |
//! | 250 to 255 | the next 3 to 8 bytes |
//!
//! | of a blob | bytes | is |
//! |---|---|---|
//! | checksum | 4 | the CRC-32 of the rest |
//! | rest | | part of a page |

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crc32fast::Hasher;

pub(super) const LOG: &str = "db";
pub(super) const BLOBS: &str = "blobs";
pub(super) const SNAPSHOTS: &str = "snap.";
pub(super) const UNFINISHED: &str = "generating";
pub(super) const CONFIGURATION: &str = "conf";

const SEGMENT_HEADER_LEN: usize = 20;
const MAX_MESSAGE_HEADER_LEN: usize = 32;

/// The log, with the headers of its segments.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    pub(super) len: u64,
    pub(super) segment_bytes: usize,
    /// Those that are as long as one, in the order of the file.
    headers: Vec<(u64, SegmentHeader)>,
}

pub(super) type SegmentHeader = [u8; SEGMENT_HEADER_LEN];

/// What an intact header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) lsn: u64,
    /// Up to where it calls the log safe.
    pub(super) safe: u64,
    /// Where it is in the file.
    offset: u64,
}

/// The messages of a segment.
#[derive(Debug)]
pub(super) struct Messages<'a> {
    pub(super) intact: Vec<Message<'a>>,
    /// Where there is no message, and no end that sled gave the segment.
    pub(super) torn: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) lsn: u64,
    pub(super) kind: Kind,
    pub(super) page: u64,
    pub(super) body: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Cap,
    Page,
    PageInBlob,
    Change,
    ChangeInBlob,
    Nothing,
}

/// A snapshot's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// The part of its name that tells its LSN.
    pub(super) name: String,
    pub(super) path: PathBuf,
}

impl Log {
    pub(super) fn open(data: &Path, segment_bytes: usize) -> io::Result<Self> {
        let mut file = File::open(data.join(LOG))?;
        let len = file.metadata()?.len();
        let mut headers = Vec::new();
        for offset in (0..len).step_by(segment_bytes) {
            let mut header = [0; SEGMENT_HEADER_LEN];
            file.seek(SeekFrom::Start(offset))?;
            if read_up_to(&mut file, &mut header)? == header.len() {
                headers.push((offset, header));
            }
        }
        Ok(Self {
            file,
            len,
            segment_bytes,
            headers,
        })
    }

    pub(super) fn headers(&self) -> impl Iterator<Item = &SegmentHeader> {
        self.headers.iter().map(|(_, header)| header)
    }

    /// The segments with an intact header that sled reads after a snapshot that ends at this LSN, in
    /// the order of their LSNs.
    pub(super) fn segments_from(&self, snapshot: u64) -> Vec<Segment> {
        let first = self.segment_of(snapshot);
        let segments = self.headers.iter().filter_map(|(offset, header)| {
            let segment = Segment::parse(header, *offset)?;
            (segment.lsn >= first).then_some((segment.lsn, segment))
        });
        segments.collect::<BTreeMap<_, _>>().into_values().collect()
    }

    /// The LSN of the segment that this one is in.
    pub(super) fn segment_of(&self, lsn: u64) -> u64 {
        let len = self.segment_bytes as u64;
        lsn / len * len
    }

    /// All of a segment, or what there is of it.
    pub(super) fn read(&mut self, segment: Segment) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.segment_bytes];
        self.file.seek(SeekFrom::Start(segment.offset))?;
        let read = read_up_to(&mut self.file, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

impl Segment {
    fn parse(header: &SegmentHeader, offset: u64) -> Option<Self> {
        let (checksum, lsns) = header.split_first_chunk()?;
        if u32::from_le_bytes(*checksum) != !crc32fast::hash(lsns) {
            return None;
        }
        let (lsn, safe) = lsns.split_first_chunk()?;
        let unmasked = |bytes| i64::from_le_bytes(bytes) ^ i64::MAX;
        Some(Self {
            lsn: u64::try_from(unmasked(*lsn)).ok()?,
            safe: u64::try_from(unmasked(*safe.first_chunk()?)).unwrap_or(0),
            offset,
        })
    }
}

impl<'a> Messages<'a> {
    /// Those of the segment at `lsn`, which has these bytes.
    pub(super) fn parse(segment: &'a [u8], lsn: u64, segment_bytes: usize) -> Self {
        let mut intact = Vec::new();
        let mut at = SEGMENT_HEADER_LEN;
        let mut torn = None;
        while at + MAX_MESSAGE_HEADER_LEN <= segment_bytes {
            let lsn = lsn + at as u64;
            let rest = segment.get(at..).unwrap_or_default();
            match Message::parse(rest, lsn, segment_bytes) {
                Some((message, _)) if message.kind == Kind::Cap => break,
                Some((message, len)) => {
                    intact.push(message);
                    at += len;
                }
                None => {
                    torn = Some(lsn);
                    break;
                }
            }
        }
        Self { intact, torn }
    }
}

impl<'a> Message<'a> {
    /// What begins these bytes, and how long it is; `None` where that is no message of this place,
    /// or is not intact.
    fn parse(bytes: &'a [u8], lsn: u64, segment_bytes: usize) -> Option<(Self, usize)> {
        let (checksum, after_checksum) = bytes.split_first_chunk()?;
        let (kind, mut rest) = after_checksum.split_first()?;
        let [len, segment, page] = [
            take_number(&mut rest)?,
            take_number(&mut rest)?,
            take_number(&mut rest)?,
        ];
        let header_len = bytes.len() - rest.len();
        let body = rest.get(..usize::try_from(len).ok()?)?;
        let mut hasher = Hasher::new();
        hasher.update(body);
        hasher.update(bytes.get(checksum.len()..header_len)?);
        let is_intact = u32::from_le_bytes(*checksum) == !hasher.finalize();
        // What is left of an earlier use of the segment is intact, too.
        if !is_intact || segment != lsn / segment_bytes as u64 {
            return None;
        }
        let message = Self {
            lsn,
            kind: Kind::of(*kind)?,
            page,
            body,
        };
        Some((message, header_len + body.len()))
    }

    /// The file that it refers to, below [`BLOBS`].
    pub(super) fn blob(&self) -> Option<String> {
        if !matches!(self.kind, Kind::PageInBlob | Kind::ChangeInBlob) {
            return None;
        }
        let number = self.body.first_chunk()?;
        Some(i64::from_le_bytes(*number).to_string())
    }

    /// Whether what the page was before does not matter any more.
    pub(super) fn is_whole_page(&self) -> bool {
        matches!(self.kind, Kind::Page | Kind::PageInBlob)
    }
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            1 | 3 => Self::Nothing,
            2 => Self::Cap,
            4 | 5 | 6 | 8 => Self::Page,
            7 | 9 => Self::PageInBlob,
            10 => Self::Change,
            11 => Self::ChangeInBlob,
            _ => return None,
        })
    }
}

impl Snapshot {
    /// The one that sled takes: the last one by name.
    pub(super) fn newest(data: &Path) -> io::Result<Option<Self>> {
        let mut newest = None;
        for entry in fs::read_dir(data)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(name) = name.strip_prefix(SNAPSHOTS) {
                newest = newest.max(Some((name.to_owned(), entry.path())));
            }
        }
        Ok(newest.map(|(name, path)| Self { name, path }))
    }

    /// Up to where it has read the log. 0 where its name is not of sled's making.
    pub(super) fn lsn(&self) -> u64 {
        u64::from_str_radix(&self.name, 16).unwrap_or(0)
    }
}

/// Whether a blob is what sled wrote.
pub(super) fn is_intact_blob(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let mut checksum = [0; 4];
    if read_up_to(&mut file, &mut checksum)? < checksum.len() {
        return Ok(false);
    }
    let mut hasher = Hasher::new();
    let mut bytes = vec![0; 64 << 10];
    loop {
        match read_up_to(&mut file, &mut bytes)? {
            0 => break,
            read => hasher.update(bytes.get(..read).unwrap_or_default()),
        }
    }
    Ok(u32::from_le_bytes(checksum) == hasher.finalize())
}

/// Whether sled's configuration does not end in the checksum of what comes before it. One that cannot
/// be read is left for sled to tell.
pub(super) fn is_torn_configuration(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| {
        let checked = bytes.split_last_chunk();
        checked.is_none_or(|(bytes, checksum)| crc32fast::hash(bytes).to_le_bytes() != *checksum)
    })
}

fn read_up_to(file: &mut File, bytes: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read(rest)? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}

/// Takes a number off the front.
fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first()?;
    let (number, len) = match u64::from(*first) {
        first @ ..=240 => (first, 0),
        first @ 241..=248 => (240 + 256 * (first - 241) + u64::from(*rest.first()?), 1),
        249 => {
            let [high, low] = rest.first_chunk()?.map(u64::from);
            (2288 + 256 * high + low, 2)
        }
        first => {
            let len = usize::try_from(first - 247).ok()?;
            let mut number = [0; 8];
            number.get_mut(..len)?.copy_from_slice(rest.get(..len)?);
            (u64::from_le_bytes(number), len)
        }
    };
    *bytes = rest.get(len..)?;
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: usize = 1 << 10;

    fn checked(body: &[u8], header: &[u8]) -> Vec<u8> {
        let checksum = !crc32fast::hash(&[body, header].concat());
        [&checksum.to_le_bytes(), header, body].concat()
    }

    fn header(lsn: i64, safe: i64) -> SegmentHeader {
        let lsns = [lsn, safe].map(|lsn| (lsn ^ i64::MAX).to_le_bytes());
        checked(&[], &lsns.concat()).try_into().unwrap()
    }

    #[test]
    fn numbers_have_as_many_bytes_as_the_first_one_says() {
        for (bytes, number) in [
            (&[0][..], 0),
            (&[240], 240),
            (&[241, 0], 240),
            (&[248, 255], 2_287),
            (&[249, 0, 0], 2_288),
            (&[249, 255, 255], 67_823),
            (&[250, 0xf0, 8, 1], 67_824),
            (&[255, 1, 2, 3, 4, 5, 6, 7, 8], 0x0807_0605_0403_0201),
        ] {
            let rest = [bytes, &[7]].concat();
            let mut rest = &rest[..];
            assert_eq!(take_number(&mut rest), Some(number), "{bytes:?}");
            assert_eq!(rest, [7], "{bytes:?}");
            for len in 0..bytes.len() {
                assert_eq!(take_number(&mut &bytes[..len]), None, "{bytes:?}");
            }
        }
    }

    #[test]
    fn a_segment_is_known_by_an_intact_header() {
        for (lsn, safe, expected) in [(0, -1, Some(0)), (4096, 77, Some(77)), (-1, 5, None)] {
            let found = Segment::parse(&header(lsn, safe), 3);
            assert_eq!(found.map(|segment| segment.safe), expected);
            assert!(found.is_none_or(|segment| segment.lsn == lsn.cast_unsigned()));
        }
        for bit in 0..SEGMENT_HEADER_LEN * 8 {
            let mut damaged = header(4096, 77);
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Segment::parse(&damaged, 3), None);
        }
    }

    #[test]
    fn a_byte_says_what_a_message_is() {
        use Kind::{Cap, Change, ChangeInBlob, Nothing, Page, PageInBlob};
        let after_the_first = [
            Nothing,
            Cap,
            Nothing,
            Page,
            Page,
            Page,
            PageInBlob,
            Page,
            PageInBlob,
            Change,
            ChangeInBlob,
        ];
        assert_eq!(Kind::of(0), None);
        for (byte, kind) in (1..).zip(after_the_first) {
            assert_eq!(Kind::of(byte), Some(kind), "{byte}");
        }
        for byte in 12..=u8::MAX {
            assert_eq!(Kind::of(byte), None, "{byte}");
        }
    }

    #[test]
    fn messages_end_at_a_cap_or_are_torn() {
        let lsn = 3 * SEGMENT as u64;
        let page = checked(b"page", &[8, 4, 3, 241, 2]);
        let blob = checked(&(-5_i64).to_le_bytes(), &[11, 8, 3, 9]);
        let cap = checked(b"", &[2, 0, 3, 0]);
        let begun = [&header(0, 0)[..], &page, &blob].concat();
        let whole = [&begun[..], &cap].concat();

        let messages = Messages::parse(&whole, lsn, SEGMENT);
        assert_eq!(messages.torn, None);
        let [page, blob] = messages.intact[..] else {
            panic!("{messages:?}");
        };
        assert_eq!(
            (page.lsn, page.page, page.body),
            (lsn + 20, 242, &b"page"[..])
        );
        assert!(page.is_whole_page() && page.blob().is_none());
        assert_eq!((blob.lsn, blob.page), (lsn + 33, 9));
        assert_eq!(blob.blob().as_deref(), Some("-5"));
        assert!(!blob.is_whole_page());

        for len in SEGMENT_HEADER_LEN..whole.len() {
            assert!(Messages::parse(&whole[..len], lsn, SEGMENT).torn.is_some());
        }
        for bit in SEGMENT_HEADER_LEN * 8..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Messages::parse(&damaged, lsn, SEGMENT).torn.is_some());
        }
        // Left from when the segment had another number.
        let torn = Messages::parse(&whole, lsn + SEGMENT as u64, SEGMENT).torn;
        assert_eq!(torn, Some(lsn + SEGMENT as u64 + 20));
        // Too near to the end of the segment for another one to begin.
        let alone = [&header(0, 0)[..], &checked(b"page", &[8, 4, 0, 1])].concat();
        for (room, torn) in [(31, None), (32, Some(alone.len() as u64))] {
            let messages = Messages::parse(&alone, 0, alone.len() + room);
            assert_eq!((messages.intact.len(), messages.torn), (1, torn));
        }
    }

    #[test]
    fn the_newest_snapshot_is_the_last_one_by_name() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Snapshot::newest(directory.path()).unwrap(), None);
        for name in ["snap.00000000000000FF", "snap.0000000000000A00", "other"] {
            fs::write(directory.path().join(name), b"").unwrap();
        }
        let newest = Snapshot::newest(directory.path()).unwrap().unwrap();
        assert_eq!(newest.name, "0000000000000A00");
        assert_eq!(newest.lsn(), 0xa00);
    }
}
