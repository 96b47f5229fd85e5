//! What sled's files say before sled has them. It must not know what is stored.
//!
//! sled reads its log from where its newest snapshot ends, and takes what it cannot read for the end
//! of it, or leaves it out. An older state of some pages comes of that without a word, and what it
//! does not know then is overwritten. So the files are looked at before.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crc32fast::Hasher;

use super::log::{
    BLOBS, CONFIGURATION, LOG, Log, Message, Messages, SNAPSHOTS, Snapshot, is_intact_blob,
};
use super::tail::Tail;

/// How a file is told that is not there.
const NONE: &str = "none";

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
    /// The blob before which the log has to end, if one was lost.
    pub(super) lost: Option<PathBuf>,
}

/// What is known of the part of the log that sled reads.
#[derive(Debug, Default)]
struct Known {
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
            lost: None,
        };
        if let Some(path) = something_else(data)? {
            let path = path.display();
            return Ok(damaged(Some(format!("{path} is something else"))));
        }
        let newest = Snapshot::newest(data)?;
        let snapshot = told(newest.as_ref())?;
        let path = data.join(LOG);
        if !is_there(&path)? {
            let is_gone = acknowledged.is_some_and(|count| count > 0) || newest.is_some();
            let path = path.display();
            return Ok(damaged(is_gone.then(|| format!("{path} is gone"))));
        }
        let mut log = Log::open(data, segment_bytes)?;
        let mut hasher = Hasher::new();
        hasher.update(&log.len.to_le_bytes());
        log.headers().for_each(|header| hasher.update(header));
        let begin = newest.as_ref().map_or(0, Snapshot::lsn);
        let segments = log.segments_from(begin);
        let mut known = Known {
            begin,
            ..Known::default()
        };
        let blobs = data.join(BLOBS);
        let mut tail = Tail::new(&log, &segments, begin);
        let last = segments.last().map(|segment| segment.lsn);
        for segment in segments {
            let bytes = log.read(segment)?;
            hasher.update(&bytes);
            let Some(acknowledged) = acknowledged else {
                continue;
            };
            let messages = Messages::parse(&bytes, segment.lsn, segment_bytes);
            for message in &messages.intact {
                known.add(&blobs, message, acknowledged);
            }
            // The last one ends where nothing more was written.
            known
                .torn
                .extend(messages.torn.filter(|_| Some(segment.lsn) != last));
            tail.add(&blobs, segment, &messages);
        }
        let torn = known.torn.iter().find(|lsn| **lsn < known.durable);
        let mut damage = torn.map(|lsn| format!("the log is damaged at LSN {lsn}"));
        let aside = known.check_blobs(&mut damage)?;
        Ok(Self {
            snapshot,
            log: format!("{:08x}", hasher.finalize()),
            damage,
            aside,
            lost: tail.first_lost(&blobs),
        })
    }
}

impl Known {
    fn add(&mut self, blobs: &Path, message: &Message<'_>, acknowledged: u64) {
        let (lsn, page) = (message.lsn, message.page);
        if message.is_whole_page() {
            self.written.insert(page, lsn);
        }
        if let Some(name) = message.blob() {
            let path = blobs.join(name);
            self.blobs.push(Blob { lsn, page, path });
        } else if count_of(message.body).is_some_and(|count| count <= acknowledged) {
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
    told(Snapshot::newest(data)?.as_ref())
}

fn told(snapshot: Option<&Snapshot>) -> io::Result<String> {
    let Some(Snapshot { name, path }) = snapshot else {
        return Ok(NONE.into());
    };
    let bytes = fs::read(path)?;
    let checksum = crc32fast::hash(&bytes);
    Ok(format!("{name} {} {checksum:08x}", bytes.len()))
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
    let is_file = fs::symlink_metadata(path)?.is_file();
    Ok(Some(is_file && is_intact_blob(path)?))
}
