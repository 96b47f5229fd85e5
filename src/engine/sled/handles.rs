//! sled's trees, by what is in them. It must not know what is committed together.

use std::io;
use std::path::Path;

use sled::{Db, IVec, Tree};

use super::prepared::Map;
use super::{SEGMENT_BYTES, SledOptions};
use crate::engine::Space;

/// Where sled counts the commits, in a tree of its own.
pub(super) const COMMITS: &[u8] = b"commits";

pub(super) struct Handles {
    records: Tree,
    courses: Tree,
    control: Tree,
    counts: Tree,
    pub(super) db: Db,
}

impl Handles {
    pub(super) fn open(data: &Path, options: &SledOptions) -> sled::Result<(Self, u64)> {
        let db = sled::Config::new()
            .path(data)
            .segment_size(SEGMENT_BYTES)
            .cache_capacity(options.cache_bytes)
            // Its thread does not keep the log smaller (2.5 × with and without, rewriting all
            // eight times), and its writes would come at times of its own choosing.
            .flush_every_ms(None)
            .open()?;
        let handles = Self {
            records: db.open_tree("records")?,
            courses: db.open_tree("courses")?,
            control: db.open_tree("control")?,
            counts: db.open_tree("counts")?,
            db,
        };
        let count = parse_count(handles.counts.get(COMMITS)?.as_ref())?;
        Ok((handles, count))
    }

    pub(super) fn tree(&self, space: Space) -> &Tree {
        match space {
            Space::Records => &self.records,
            Space::Courses => &self.courses,
            Space::Control => &self.control,
        }
    }

    pub(super) fn all_of(&self, map: Map) -> Option<&Tree> {
        let (records, courses, control, counts) = self.all();
        [records, courses, control, counts]
            .get(usize::from(map))
            .copied()
    }

    pub(super) fn all(&self) -> (&Tree, &Tree, &Tree, &Tree) {
        (&self.records, &self.courses, &self.control, &self.counts)
    }
}

pub(super) fn parse_count(stored: Option<&IVec>) -> sled::Result<u64> {
    let Some(stored) = stored else {
        return Ok(0);
    };
    let count = stored
        .first_chunk()
        .filter(|count| count.len() == stored.len());
    count
        .map(|count| u64::from_le_bytes(*count))
        .ok_or_else(|| {
            let error = io::Error::new(
                io::ErrorKind::InvalidData,
                "a count of commits of a wrong length",
            );
            sled::Error::Io(error)
        })
}
