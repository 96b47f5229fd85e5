//! The number of a block within one course. It knows nothing of keys or relations.

/// How many blocks a course may have. The largest real ones have some tens of thousands.
pub const MAX_BLOCKS: usize = 1_000_000;

/// A block of one course as a number: the rank of its usage key among the course's keys in
/// sorted order, from 0. It is the block's position in every stored column of the course.
///
/// An index means nothing without the structure (or the key table) that it comes from. One made
/// with [`BlockIndex::new`] may lie outside; every operation says what it does then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockIndex(u32);

impl BlockIndex {
    /// The block at `position`, for readers of stored indices.
    #[must_use]
    pub const fn new(position: u32) -> Self {
        Self(position)
    }

    /// The position as a number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The position as an index into a column.
    #[must_use]
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }
}
