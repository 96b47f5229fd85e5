//! Backups: all that a store keeps, as one stream of bytes that any engine can be filled from. It
//! knows what belongs to whom and by which checksums; it must not know what is in a body, or which
//! engine there is.
//!
//! [`take`] writes one while the store is in use, [`restore`] fills an empty store from one, and
//! [`check`] reads one and does nothing else. All three go from one end to the other once, so that a
//! pipe will do. `docs/backup.md` is for operators.
//!
//! ```
//! use courseblocks::backup::{self, WhenDamaged};
//! use courseblocks::{CourseKey, Store};
//!
//! # let directory = tempfile::tempdir()?;
//! # let (path, new_path) = (directory.path().join("store"), directory.path().join("new"));
//! let store = Store::open(path)?;
//! let now = "2026-03-01T12:00:00Z".parse()?;
//! let mut bytes = Vec::new();
//! backup::take(&store, &mut bytes, now, WhenDamaged::Refuse, |_| ())?;
//!
//! let later = "2026-03-02T12:00:00Z".parse()?;
//! let on_course = |_: &CourseKey| ();
//! let summary = Store::create(new_path, |store| {
//!     backup::restore(bytes.as_slice(), store, "me", later, on_course)
//! })?;
//! assert_eq!(summary.made_at, now);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is in it
//!
//! Every course with the records that its row in the header index names, all of one generation,
//! and every byte of them checked; then the control data, which is read after the last course: so
//! the floors are no older than any row, and the counter of unique numbers is beyond all of them.
//! Not in it are the fleet, open gates, reservations, and how fast the queue was worked off.
//! Values are as the store has them, what only newer releases understand included.
//!
//! # The format
//!
//! All numbers are little-endian. Version 1 begins with
//!
//! | offset | bytes | | |
//! |---|---|---|---|
//! | 0 | 8 | magic | `CBBACKUP` |
//! | 8 | 4 | format version | 1 |
//! | 12 | 8 | made at | microseconds since 1970-01-01T00:00:00Z, signed |
//! | 20 | 4 | checksum | CRC-32 (IEEE) of the 20 bytes before |
//!
//! which is frozen for all versions, so that every release can tell damage from what is newer.
//! Frames follow. The **number** of a frame, from 0 and as 8 bytes, is not stored: checksums begin
//! with it, so a frame is damaged in any place but its own.
//!
//! | bytes | frame | |
//! |---|---|---|
//! | 1 | kind | 0: the end; 1: a record; 2: the row of a course; 3: a row of control data |
//! | 2 | partition length | |
//! | 2 | name length | |
//! | 4 | value length | at most [`MAX_VALUE_BYTES`] |
//! | 4 | head checksum | CRC-32 of the number and the 9 bytes before |
//! | | partition, name, value | |
//! | 4 | body checksum | CRC-32 of the number, the 13 bytes of the head, and partition, name and value |
//!
//! Courses come in the order of their keys: the row, then the records by name. Rows of control data
//! come after them, by partition and name. The end comes once. Nothing follows it, and its value is
//!
//! | bytes | | |
//! |---|---|---|
//! | 8 | courses | how many rows of courses there are |
//! | 8 | records | how many records |
//! | 8 | control rows | how many rows of control data |
//! | 8 | left out | how much was left out because it was damaged |
//! | 32 | digest | SHA-256 of all bytes before it |

mod contents;
mod format;
mod reader;
mod restore;
mod take;
#[cfg(test)]
mod tests;
mod writer;

pub use format::{FORMAT_VERSION, MAX_VALUE_BYTES};
pub use restore::{check, restore};
pub use take::{Step, WhenDamaged, take};

use crate::timestamp::Timestamp;

/// What is in a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// When it was begun, by the clock of whoever took it.
    pub made_at: Timestamp,
    /// How many courses.
    pub courses: u64,
    /// How many records they have.
    pub records: u64,
    /// How many rows of control data: floors, tasks, history.
    pub control_rows: u64,
    /// How much was left out because it was damaged: courses, rows, or what a scan did not reach.
    pub left_out: u64,
    /// How long it is.
    pub bytes: u64,
}
