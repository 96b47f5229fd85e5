//! The two numbers of a schema: what a release writes and what it accepts.
//!
//! Everything that decides whether stored data may be used goes through [`Versions::judge`].

use std::fmt;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// The schema version that a transformer stores with its data. Starts at 1; 0 means "never
/// collected" in the original and cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WriteVersion(NonZeroU32);

impl WriteVersion {
    /// The first version of every transformer.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// `None` for 0, which no release may write.
    #[must_use]
    pub const fn new(version: u32) -> Option<Self> {
        match NonZeroU32::new(version) {
            Some(version) => Some(Self(version)),
            None => None,
        }
    }

    /// The version as a number, never 0.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

/// The least stored version that a release can use. 0 accepts a course for which nothing was
/// collected yet: a transformer that is being introduced and whose data is optional.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReadVersion(u32);

impl ReadVersion {
    /// Every number is a read version.
    #[must_use]
    pub const fn new(version: u32) -> Self {
        Self(version)
    }

    /// The version as a number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Schema changes are additive, so data written at or above the minimum is readable.
    #[must_use]
    pub const fn accepts(self, stored: WriteVersion) -> bool {
        self.0 <= stored.get()
    }

    /// Whether a course without data of the transformer is acceptable too.
    #[must_use]
    pub const fn accepts_missing(self) -> bool {
        self.0 == 0
    }
}

/// Stored with the data: the oldest release (by its [`WriteVersion`]) that can still decode it.
/// It is raised when an old shape is dropped, and keeps rolled-back readers from misreading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MinReader(WriteVersion);

impl MinReader {
    /// Every release can decode the data.
    pub const ANY: Self = Self(WriteVersion::FIRST);

    /// Releases that write less than `oldest` cannot decode the data.
    #[must_use]
    pub const fn new(oldest: WriteVersion) -> Self {
        Self(oldest)
    }

    /// The version as a number, never 0.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// Whether a release whose code writes `newest_known` understands the data.
    #[must_use]
    pub const fn admits(self, newest_known: WriteVersion) -> bool {
        self.get() <= newest_known.get()
    }
}

/// The versions of one transformer in one release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Versions {
    /// The least stored version that `transform` can use.
    pub read: ReadVersion,
    /// What `collect` stores, and the newest shape that this release knows.
    pub write: WriteVersion,
    /// The oldest release that can decode what `collect` stores.
    pub min_reader: MinReader,
}

/// What a release may do with a stored version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Readable, and nothing newer could be collected by this release.
    Current,
    /// Readable, but below this release's WRITE: an update is due before READ may be raised.
    Behind,
    /// Below this release's READ: collect again before using it.
    Outdated,
    /// Written by a newer release in a shape that this one does not know. Never overwrite it.
    TooNew,
}

impl Versions {
    /// READ and WRITE as given, readable by every release.
    #[must_use]
    pub const fn new(read: ReadVersion, write: WriteVersion) -> Self {
        Self {
            read,
            write,
            min_reader: MinReader::ANY,
        }
    }

    /// The one decision on stored versions. `TooNew` comes first: what this release does not
    /// understand it must not call old either.
    #[must_use]
    pub const fn judge(&self, stored: WriteVersion, min_reader: MinReader) -> Verdict {
        if !min_reader.admits(self.write) {
            Verdict::TooNew
        } else if !self.read.accepts(stored) {
            Verdict::Outdated
        } else if stored.get() < self.write.get() {
            Verdict::Behind
        } else {
            Verdict::Current
        }
    }
}

impl Verdict {
    /// Whether `transform` may use the data.
    #[must_use]
    pub const fn is_readable(self) -> bool {
        matches!(self, Self::Current | Self::Behind)
    }
}

macro_rules! display_as_number {
    ($($name:ty),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.get().fmt(f)
            }
        }
    )*};
}
display_as_number!(WriteVersion, ReadVersion, MinReader);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(read: u32, write: u32, stored: u32, min_reader: u32, expected: Verdict) {
        let versions = Versions::new(ReadVersion::new(read), WriteVersion::new(write).unwrap());
        let min_reader = MinReader::new(WriteVersion::new(min_reader).unwrap());
        let verdict = versions.judge(WriteVersion::new(stored).unwrap(), min_reader);
        assert_eq!(verdict, expected);
    }

    #[test]
    fn a_stored_version_is_judged_by_read_write_and_min_reader() {
        check(1, 1, 1, 1, Verdict::Current);
        check(1, 2, 1, 1, Verdict::Behind);
        check(2, 2, 1, 1, Verdict::Outdated);
        check(0, 1, 1, 1, Verdict::Current);
        // An older release meets newer data: readable until the old shape is dropped.
        check(1, 1, 2, 1, Verdict::Current);
        check(1, 1, 2, 2, Verdict::TooNew);
        check(1, 2, 3, 2, Verdict::Current);
        // Too new wins over outdated.
        check(3, 3, 2, 4, Verdict::TooNew);
    }

    #[test]
    fn zero_is_a_read_version_but_not_a_write_version() {
        assert_eq!(WriteVersion::new(0), None);
        assert!(ReadVersion::new(0).accepts_missing());
        assert!(!ReadVersion::new(1).accepts_missing());
    }
}
