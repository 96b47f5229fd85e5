//! What one import may cost. Knows sizes only, not what they are the sizes of.

use crate::error::{Error, ErrorKind, Result};

/// Bounds on reading one course, so that a hostile or broken export costs bounded time and memory.
///
/// The defaults are far above real courses: of 55 that were looked at, the largest had 1,514
/// definition files and one of 3.8 MB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Files, directories and links in the export, static media included.
    pub members: usize,
    /// Bytes of one definition, policy or body file. A longer one counts as unreadable.
    pub file_bytes: u64,
    /// Bytes of all such files together, and of what is read from them: a file that many blocks
    /// name counts once for each.
    pub total_bytes: u64,
    /// Bytes that an archive inflates to, static media included: what stops a gzip bomb.
    pub unpacked_bytes: u64,
    /// Blocks of the course, its drafts included.
    pub blocks: usize,
    /// Errors and warnings that are kept, of each kind of list. Those beyond are only counted.
    pub problems: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            members: 1_000_000,
            file_bytes: 64 << 20,
            total_bytes: 1 << 30,
            unpacked_bytes: 4 << 30,
            blocks: 1_000_000,
            problems: 10_000,
        }
    }
}

/// What is left of the limits while one course is read.
#[derive(Debug)]
pub(super) struct Budget {
    blocks: usize,
    bytes: u64,
    limits: Limits,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            blocks: limits.blocks,
            bytes: limits.total_bytes,
            limits: *limits,
        }
    }

    /// How many problems of a list are kept.
    pub(super) fn problems(&self) -> usize {
        self.limits.problems
    }

    pub(super) fn charge_block(&mut self) -> Result<()> {
        let Some(left) = self.blocks.checked_sub(1) else {
            return Err(limit_exceeded("the number of blocks", self.limits.blocks));
        };
        self.blocks = left;
        Ok(())
    }

    /// For whatever is read, hashed or copied once for each block that asks for it.
    pub(super) fn charge_bytes(&mut self, bytes: usize) -> Result<()> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let Some(left) = self.bytes.checked_sub(bytes) else {
            let what = "what the blocks of the course read in bytes";
            return Err(limit_exceeded(what, self.limits.total_bytes));
        };
        self.bytes = left;
        Ok(())
    }
}

/// The refusal that names the limit.
pub(super) fn limit_exceeded(what: &str, limit: impl std::fmt::Display) -> Error {
    let message = format!("{what} exceeds the limit of {limit}");
    Error::new(ErrorKind::LimitExceeded, message)
}
