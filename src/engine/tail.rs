//! The end of sled's log after the power failed. It knows the format of sled 0.34's log, which never
//! changes, and must not know what is stored in it.
//!
//! sled keeps large values and pages in files of their own ("blobs") and refers to them in its log.
//! Where it finds such a reference and no file, it goes on as if there were no reference: most often
//! the file was removed since its page was written anew. But the log may have come to the disk
//! before the file's name had, and then what sled goes on with has a hole: half a commit, or a tree
//! with a page missing. A file that is there and not whole makes it end the log in time. So an
//! empty one is put where one was lost.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Of a segment: CRC-32 (4 bytes), where it begins in the whole log, and up to where that is safe
/// (8 each, inverted but for the sign).
const SEGMENT_HEADER_LEN: usize = 20;

/// No message begins nearer to the end of a segment.
const MAX_MESSAGE_HEADER_LEN: usize = 32;

const INVERTED: u64 = i64::MAX.cast_unsigned();

/// Begins the name of a file in which sled notes where every page is, up to a place in the log
/// which the rest of the name says.
const SNAPSHOT: &str = "snap.";

/// A segment as its header has it.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// Where it begins in the log.
    begins: u64,
    /// How much of the log it calls safe.
    safe: u64,
}

/// A message of the log.
#[derive(Clone, Copy, Debug)]
struct Message<'a> {
    kind: Kind,
    page: u64,
    body: &'a [u8],
    len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Nothing follows in this segment.
    Cap,
    /// What the page was before does not matter any more.
    Page,
    PageInFile,
    ChangeInFile,
    Other,
}

/// Makes sled end its log before the first reference to a file that was lost.
pub(super) fn end_before_what_was_lost(
    log: &mut File,
    data: &Path,
    blobs: &Path,
    segment_bytes: usize,
) -> io::Result<()> {
    let read_before = newest_snapshot(data)?;
    let mut lost = BTreeMap::new();
    let mut buffer = Vec::new();
    let (segments, safe) = segments(log, read_before, segment_bytes)?;
    let len = segment_bytes as u64;
    let mut next = safe / len * len;
    for (begins, offset) in segments {
        let is_safe = begins < safe / len * len;
        if !is_safe {
            // A segment is missing, and sled looks no further.
            if begins != next {
                break;
            }
            next += len;
        }
        log.seek(SeekFrom::Start(offset))?;
        buffer.clear();
        log.take(len).read_to_end(&mut buffer)?;
        let ends_well = walk(&buffer, segment_bytes, begins / len, |at, message| {
            let at = begins + at as u64;
            match message.kind {
                Kind::PageInFile | Kind::ChangeInFile if at >= read_before => {
                    let Some(id) = message.body.first_chunk().copied() else {
                        return;
                    };
                    let id = i64::from_le_bytes(id).to_string();
                    if !blobs.join(&id).exists() {
                        lost.insert(at, (message.page, id));
                    } else if message.kind == Kind::PageInFile {
                        lost.retain(|_, (page, _)| *page != message.page);
                    }
                }
                Kind::Page => lost.retain(|_, (page, _)| *page != message.page),
                _ => {}
            }
        });
        if !is_safe && !ends_well {
            break;
        }
    }
    match lost.first_key_value() {
        // sled removes it with everything else that is after the end of its log.
        Some((_, (_, id))) => OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(blobs.join(id))
            .map(|_| ()),
        None => Ok(()),
    }
}

/// How much of the log the newest snapshot covers.
fn newest_snapshot(data: &Path) -> io::Result<u64> {
    let mut newest = 0;
    for entry in fs::read_dir(data)? {
        let name = entry?.file_name();
        let place = name.to_str().and_then(|name| name.strip_prefix(SNAPSHOT));
        let place = place.and_then(|place| u64::from_str_radix(place, 16).ok());
        newest = newest.max(place.unwrap_or(0));
    }
    Ok(newest)
}

/// The segments that sled reads after a snapshot, in the order of the log, each with its place in
/// the file; and how much of the log is called safe.
fn segments(
    log: &mut File,
    read_before: u64,
    segment_bytes: usize,
) -> io::Result<(BTreeMap<u64, u64>, u64)> {
    let len = segment_bytes as u64;
    let first = read_before / len * len;
    let mut segments = BTreeMap::new();
    let mut safe = first;
    let end = log.metadata()?.len();
    let mut offset = 0;
    while offset + SEGMENT_HEADER_LEN as u64 <= end {
        let mut header = [0; SEGMENT_HEADER_LEN];
        log.seek(SeekFrom::Start(offset))?;
        log.read_exact(&mut header)?;
        if let Some(segment) = Segment::parse(&header).filter(|segment| segment.begins >= first) {
            segments.insert(segment.begins, offset);
            safe = safe.max(segment.safe);
        }
        offset += len;
    }
    Ok((segments, safe))
}

/// Calls `on_message` with each message of a segment and its place. Returns whether the segment ends
/// as sled ends one.
fn walk(
    segment: &[u8],
    segment_bytes: usize,
    number: u64,
    mut on_message: impl FnMut(usize, Message<'_>),
) -> bool {
    let mut at = SEGMENT_HEADER_LEN;
    while at + MAX_MESSAGE_HEADER_LEN <= segment_bytes {
        let rest = segment.get(at..).unwrap_or_default();
        let Some(message) = Message::parse(rest, number) else {
            return false;
        };
        if message.kind == Kind::Cap {
            return true;
        }
        on_message(at, message);
        at += message.len;
    }
    true
}

impl Segment {
    fn parse(header: &[u8; SEGMENT_HEADER_LEN]) -> Option<Self> {
        let (checksum, places) = header.split_first_chunk()?;
        if !crc32fast::hash(places) != u32::from_le_bytes(*checksum) {
            return None;
        }
        let (begins, safe) = places.split_first_chunk()?;
        let place = |bytes| u64::from_le_bytes(bytes) ^ INVERTED;
        Some(Self {
            begins: place(*begins),
            // It is -1 while nothing is.
            safe: u64::try_from(place(*safe.first_chunk()?).cast_signed()).unwrap_or(0),
        })
    }
}

impl<'a> Message<'a> {
    /// A message of the segment with this number; `None` where there is none, or none that is whole.
    fn parse(bytes: &'a [u8], number: u64) -> Option<Self> {
        let (checksum, after_checksum) = bytes.split_first_chunk()?;
        let (kind, mut rest) = after_checksum.split_first()?;
        let [len, segment, page] = [
            take_number(&mut rest)?,
            take_number(&mut rest)?,
            take_number(&mut rest)?,
        ];
        let header_len = after_checksum.len() - rest.len();
        let body = rest.get(..usize::try_from(len).ok()?)?;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(body);
        hasher.update(after_checksum.get(..header_len)?);
        let is_whole = !hasher.finalize() == u32::from_le_bytes(*checksum);
        if !is_whole || segment != number {
            return None;
        }
        let kind = match kind {
            2 => Kind::Cap,
            4 | 5 | 6 | 8 => Kind::Page,
            7 | 9 => Kind::PageInFile,
            11 => Kind::ChangeInFile,
            1 | 3 | 10 => Kind::Other,
            _ => return None,
        };
        Some(Self {
            kind,
            page,
            body,
            len: size_of::<u32>() + header_len + body.len(),
        })
    }
}

/// Takes a number off the front: of one byte, or of as many as that byte says.
fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first()?;
    let first = u64::from(*first);
    let count = match first {
        0..=240 => 0,
        241..=248 => 1,
        249 => 2,
        more => usize::try_from(more - 247).ok()?,
    };
    let (taken, rest) = rest.split_at_checked(count)?;
    *bytes = rest;
    Some(match (first, taken) {
        (0..=240, _) => first,
        (241..=248, [low]) => 240 + ((first - 241) << 8) + u64::from(*low),
        (249, [high, low]) => 2288 + (u64::from(*high) << 8) + u64::from(*low),
        _ => {
            let mut number = [0; 8];
            number.get_mut(..count)?.copy_from_slice(taken);
            u64::from_le_bytes(number)
        }
    })
}
