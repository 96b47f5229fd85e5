//! The end of sled's log after the power failed. It must not know what is stored in it.
//!
//! sled keeps large values and pages in blobs and refers to them in its log. Where it finds such a
//! reference and no file, it goes on as if there were no reference: most often the file was removed
//! since its page was written anew. But the log may have come to the disk before the file's name
//! had, and then what sled goes on with has a hole: half a commit, or a tree with a page missing. A
//! file that is there and not whole makes it end the log in time. So an empty one is put where one
//! was lost.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use super::log::{Log, Messages, Segment};

/// Which of the blobs that sled would read are lost.
#[derive(Debug)]
pub(super) struct Tail {
    /// Up to where the newest snapshot has read the log.
    snapshot: u64,
    /// The segment up to which all are called safe.
    safe: u64,
    /// Which segment has to come next, of those that are not called safe.
    next: u64,
    segment_bytes: u64,
    /// Whether sled looks no further.
    has_ended: bool,
    /// By where the log refers to it, the page and the file.
    lost: BTreeMap<u64, (u64, String)>,
}

impl Tail {
    /// Of a log with these segments to be read after the snapshot.
    pub(super) fn new(log: &Log, segments: &[Segment], snapshot: u64) -> Self {
        let first = log.segment_of(snapshot);
        let safe = segments.iter().map(|segment| segment.safe);
        let safe = log.segment_of(safe.fold(first, u64::max));
        Self {
            snapshot,
            safe,
            next: safe,
            segment_bytes: log.segment_bytes as u64,
            has_ended: false,
            lost: BTreeMap::new(),
        }
    }

    /// To be called with all segments in their order.
    pub(super) fn add(&mut self, blobs: &Path, segment: Segment, messages: &Messages<'_>) {
        let is_safe = segment.lsn < self.safe;
        if !is_safe {
            // A segment is missing.
            self.has_ended |= segment.lsn != self.next;
            self.next += self.segment_bytes;
        }
        if self.has_ended {
            return;
        }
        for message in &messages.intact {
            if message.lsn < self.snapshot {
                continue;
            }
            match message.blob() {
                Some(name) if !blobs.join(&name).exists() => {
                    self.lost.insert(message.lsn, (message.page, name));
                }
                _ if message.is_whole_page() => {
                    self.lost.retain(|_, (page, _)| *page != message.page);
                }
                _ => {}
            }
        }
        self.has_ended = !is_safe && messages.torn.is_some();
    }

    pub(super) fn first_lost(&self, blobs: &Path) -> Option<PathBuf> {
        let (_, (_, name)) = self.lost.first_key_value()?;
        Some(blobs.join(name))
    }
}

/// Makes sled end its log before the first reference to this blob, which was lost.
pub(super) fn end_before(lost: &Path) -> io::Result<()> {
    // sled removes it with everything else that is after the end of its log.
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(lost);
    file.map(|_| ())
}
