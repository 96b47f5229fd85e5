//! What one import may cost. Knows sizes only, not what they are the sizes of.

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
