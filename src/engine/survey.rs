//! What sled's files say before sled has them. It reads their format, and must not know what is
//! stored.
//!
//! sled reads its log from where its newest snapshot ends, and takes what it cannot read for the end
//! of it, or leaves it out. An older state of some pages comes of that without a word, and what it
//! does not know then is overwritten. So the files are looked at before.
//!
//! A log has segments, each with a number (of its first byte in all that was ever logged, its LSN),
//! and messages in them: parts of pages, or the names of files with parts that are large ("blobs").

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crc32fast::Hasher;

const LOG: &str = "db";
const BLOBS: &str = "blobs";
const SNAPSHOTS: &str = "snap.";
const CONFIGURATION: &str = "conf";

/// How a file is told that is not there.
const NONE: &str = "none";

/// Before the messages of a segment: a checksum, the segment's LSN, and one that was on the disk.
const SEGMENT_HEADER_LEN: usize = 20;

/// No message begins with less room than this before the end of its segment.
const MAX_HEADER_LEN: usize = 32;

/// sled keeps the number of commits as a tree's only value: as a change of it, and in a page.
const COUNTS: [&[u8]; 2] = [b"\x07commits\x08", b"\x07\x08commits"];

/// What was found.
#[derive(Debug)]
pub(super) struct Survey {
    /// The newest snapshot, to be compared.
    pub(super) snapshot: String,
    /// The log from where the snapshot ends, to be compared.
    pub(super) log: String,
    /// Damage that sled would not notice. Nothing was changed.
    pub(super) damage: Option<String>,
    /// Blobs that are damaged and make nothing else so: they have to be out of sled's way while it
    /// opens its log.
    pub(super) aside: Vec<PathBuf>,
}

/// What is known of the part of the log that sled reads.
#[derive(Debug, Default)]
struct Tail {
    /// The LSN from which on it is read.
    begin: u64,
    /// By page, where it was last written as a whole.
    written: HashMap<u64, u64>,
    blobs: Vec<Blob>,
    /// Where a segment ends too early, though it is not the last one.
    torn: Vec<u64>,
    /// Where the last commit is that was called durable.
    durable: u64,
}

#[derive(Debug)]
struct Blob {
    lsn: u64,
    page: u64,
    path: PathBuf,
}

/// A part of a page, or where it is.
struct Message<'a> {
    lsn: u64,
    kind: u8,
    page: u64,
    body: &'a [u8],
}

const CAP: u8 = 2;
const FREE: u8 = 4;
const COUNTER: u8 = 5;
const META: [u8; 2] = [6, 7];
const NODE: [u8; 2] = [8, 9];
const BLOB_KINDS: [u8; 3] = [7, 9, 11];
const LAST_KIND: u8 = 11;

impl Survey {
    /// Looks at the files in the directory `data`, where so many commits were called durable. Only
    /// at what is to be compared later where it is `None`.
    pub(super) fn take(
        data: &Path,
        segment_bytes: usize,
        acknowledged: Option<u64>,
    ) -> io::Result<Self> {
        let damaged = |damage: Option<String>| Self {
            snapshot: NONE.into(),
            log: NONE.into(),
            damage,
            aside: Vec::new(),
        };
        if let Some(path) = something_else(data)? {
            let path = path.display();
            return Ok(damaged(Some(format!("{path} is something else"))));
        }
        let (name, snapshot) = newest_snapshot(data)?;
        let log = data.join(LOG);
        if !is_there(&log)? {
            let is_gone = acknowledged.is_some_and(|count| count > 0) || snapshot != NONE;
            let path = log.display();
            return Ok(damaged(is_gone.then(|| format!("{path} is gone"))));
        }
        let mut log = File::open(log)?;
        let begin = name.and_then(|name| u64::from_str_radix(&name, 16).ok());
        let mut tail = Tail {
            begin: begin.unwrap_or(0),
            ..Tail::default()
        };
        let mut hasher = Hasher::new();
        let mut damage = None;
        let segments = segments(&mut log, segment_bytes, &mut hasher)?;
        let first = tail.begin / segment_bytes as u64 * segment_bytes as u64;
        let last = segments.keys().next_back().copied();
        for (lsn, at) in segments.range(first..) {
            let bytes = read_segment(&mut log, *at, segment_bytes)?;
            hasher.update(&bytes);
            let Some(acknowledged) = acknowledged else {
                continue;
            };
            let end = each_message(&bytes, *lsn, segment_bytes, |message| {
                tail.add(data, message, acknowledged);
            });
            // The last one ends where nothing more was written.
            if let Some(lsn) = end.filter(|_| Some(*lsn) != last) {
                tail.torn.push(lsn);
            }
        }
        if let Some(lsn) = tail.torn.iter().find(|lsn| **lsn < tail.durable) {
            damage = Some(format!("the log is damaged at LSN {lsn}"));
        }
        let aside = tail.check_blobs(&mut damage)?;
        Ok(Self {
            snapshot,
            log: format!("{:08x}", hasher.finalize()),
            damage,
            aside,
        })
    }
}

impl Tail {
    fn add(&mut self, data: &Path, message: &Message<'_>, acknowledged: u64) {
        let Message {
            lsn,
            kind,
            page,
            body,
        } = *message;
        if matches!(kind, FREE | COUNTER) || META.contains(&kind) || NODE.contains(&kind) {
            self.written.insert(page, lsn);
        }
        if BLOB_KINDS.contains(&kind) {
            if let Some(id) = body.first_chunk() {
                let name = i64::from_le_bytes(*id).to_string();
                let path = data.join(BLOBS).join(name);
                self.blobs.push(Blob { lsn, page, path });
            }
        } else if count_of(body).is_some_and(|count| count <= acknowledged) {
            self.durable = self.durable.max(lsn);
        }
    }

    /// Returns the blobs that are damaged and of no consequence for what is read of the log.
    fn check_blobs(&self, damage: &mut Option<String>) -> io::Result<Vec<PathBuf>> {
        let mut aside = Vec::new();
        for blob in &self.blobs {
            let is_replaced = self
                .written
                .get(&blob.page)
                .is_some_and(|lsn| *lsn > blob.lsn);
            let is_read = blob.lsn >= self.begin && !is_replaced;
            let found = blob_is_intact(&blob.path)?;
            if found == Some(true) || found.is_none() && !is_read {
                continue;
            }
            if !is_read {
                aside.push(blob.path.clone());
            } else if blob.lsn < self.durable {
                let is = if found.is_some() { "damaged" } else { "gone" };
                let path = blob.path.display();
                damage.get_or_insert_with(|| format!("{path} is {is}"));
            }
        }
        Ok(aside)
    }
}

/// Whatever there is instead of a file or directory of sled's.
fn something_else(data: &Path) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        let is_right = match name.to_string_lossy().as_ref() {
            LOG | CONFIGURATION => kind.is_file(),
            BLOBS => kind.is_dir(),
            name => kind.is_file() || !name.starts_with(SNAPSHOTS),
        };
        if !is_right {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

fn is_there(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// All that the newest snapshot can be compared by.
pub(super) fn snapshot(data: &Path) -> io::Result<String> {
    Ok(newest_snapshot(data)?.1)
}

/// Which snapshot sled takes: the part of its name that tells its LSN, and all that it can be
/// compared by.
fn newest_snapshot(data: &Path) -> io::Result<(Option<String>, String)> {
    let mut newest = None;
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(lsn) = name.strip_prefix(SNAPSHOTS) {
            newest = newest.max(Some((lsn.to_owned(), entry.path())));
        }
    }
    let Some((lsn, path)) = newest else {
        return Ok((None, NONE.into()));
    };
    let bytes = fs::read(path)?;
    let told = format!("{lsn} {} {:08x}", bytes.len(), crc32fast::hash(&bytes));
    Ok((Some(lsn), told))
}

/// The segments that are numbered, by their LSN, and where they are.
fn segments(log: &mut File, size: usize, hasher: &mut Hasher) -> io::Result<BTreeMap<u64, u64>> {
    let len = log.metadata()?.len();
    hasher.update(&len.to_le_bytes());
    let mut segments = BTreeMap::new();
    for at in (0..len).step_by(size) {
        let mut header = [0; SEGMENT_HEADER_LEN];
        log.seek(SeekFrom::Start(at))?;
        if read_up_to(log, &mut header)? < header.len() {
            continue;
        }
        hasher.update(&header);
        if let Some(lsn) = lsn_of(&header) {
            segments.insert(lsn, at);
        }
    }
    Ok(segments)
}

fn lsn_of(header: &[u8; SEGMENT_HEADER_LEN]) -> Option<u64> {
    let (checksum, rest) = header.split_first_chunk()?;
    if u32::from_le_bytes(*checksum) != !crc32fast::hash(rest) {
        return None;
    }
    let lsn = i64::from_le_bytes(*rest.first_chunk()?) ^ i64::MAX;
    u64::try_from(lsn).ok()
}

fn read_segment(log: &mut File, at: u64, size: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; size];
    log.seek(SeekFrom::Start(at))?;
    let read = read_up_to(log, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
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

/// Returns where they end too early, if they do.
fn each_message(
    segment: &[u8],
    lsn: u64,
    size: usize,
    mut on_message: impl FnMut(&Message<'_>),
) -> Option<u64> {
    let mut at = SEGMENT_HEADER_LEN;
    while at + MAX_HEADER_LEN <= size {
        let lsn_here = lsn + at as u64;
        let rest = segment.get(at..).unwrap_or_default();
        let Some((message, len)) = message(rest, lsn_here, size) else {
            return Some(lsn_here);
        };
        if message.kind == CAP {
            return None;
        }
        on_message(&message);
        at += len;
    }
    None
}

/// A message, and how long it is.
fn message(bytes: &[u8], lsn: u64, segment_bytes: usize) -> Option<(Message<'_>, usize)> {
    let (checksum, rest) = bytes.split_first_chunk()?;
    let (kind, mut header) = rest.split_first()?;
    let [len, segment, page] = [
        take_number(&mut header)?,
        take_number(&mut header)?,
        take_number(&mut header)?,
    ];
    let header_len = bytes.len() - header.len();
    let body = header.get(..usize::try_from(len).ok()?)?;
    let mut hasher = Hasher::new();
    hasher.update(body);
    hasher.update(bytes.get(checksum.len()..header_len)?);
    let is_intact = u32::from_le_bytes(*checksum) == !hasher.finalize();
    let is_here = segment == lsn / segment_bytes as u64;
    if !is_intact || !is_here || *kind == 0 || *kind > LAST_KIND {
        return None;
    }
    let message = Message {
        lsn,
        kind: *kind,
        page,
        body,
    };
    Some((message, header_len + body.len()))
}

/// A number as sled writes it: small ones in one byte, larger ones after one that tells how many.
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

/// The number of commits, where a message tells it.
fn count_of(body: &[u8]) -> Option<u64> {
    // It is short: other pages are not searched.
    let body = body.get(..body.len().min(64))?;
    COUNTS.into_iter().find_map(|before| {
        let at = body
            .windows(before.len())
            .position(|bytes| bytes == before)?;
        let count = body.get(at + before.len()..)?.first_chunk()?;
        Some(u64::from_le_bytes(*count))
    })
}

/// Whether a blob is as it was written; `None` where there is none.
fn blob_is_intact(path: &Path) -> io::Result<Option<bool>> {
    if !is_there(path)? {
        return Ok(None);
    }
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(Some(false));
    }
    let mut file = File::open(path)?;
    let mut checksum = [0; 4];
    if read_up_to(&mut file, &mut checksum)? < checksum.len() {
        return Ok(Some(false));
    }
    let mut hasher = Hasher::new();
    let mut bytes = vec![0; 64 << 10];
    loop {
        match read_up_to(&mut file, &mut bytes)? {
            0 => break,
            read => hasher.update(bytes.get(..read).unwrap_or_default()),
        }
    }
    Ok(Some(u32::from_le_bytes(checksum) == hasher.finalize()))
}
