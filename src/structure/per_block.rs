//! One value for each block that a structure has room for: all of its course, or a part of it. It
//! knows nothing of what the values say.

use std::ops::{Index, IndexMut};
use std::sync::Arc;

use super::block_index::BlockIndex;

/// The blocks that a structure has room for, and where each has its values.
#[derive(Clone)]
pub(super) enum Members {
    /// All of a table of this many keys.
    Course(usize),
    /// Some of them.
    // Invariant: strictly increasing.
    Part(Arc<[BlockIndex]>),
}

/// One value for each member.
#[derive(Clone)]
pub(super) struct PerBlock<T> {
    members: Members,
    // Invariant: as many as there are members.
    values: Vec<T>,
}

impl Members {
    /// These, in any order and repeats among them.
    pub(super) fn part(mut members: Vec<BlockIndex>) -> Self {
        members.sort_unstable();
        members.dedup();
        Self::Part(members.into())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Course(width) => *width,
            Self::Part(members) => members.len(),
        }
    }

    /// In sorted order.
    pub(super) fn iter(&self) -> impl Iterator<Item = BlockIndex> {
        let (width, members) = match self {
            Self::Course(width) => (*width, &[][..]),
            Self::Part(members) => (0, &**members),
        };
        let course = (0..).take(width).map(BlockIndex::new);
        course.chain(members.iter().copied())
    }

    #[inline]
    fn place(&self, block: BlockIndex) -> Option<usize> {
        match self {
            Self::Course(width) => Some(block.as_usize()).filter(|place| place < width),
            Self::Part(members) => members.binary_search(&block).ok(),
        }
    }
}

impl<T: Clone> PerBlock<T> {
    pub(super) fn new(members: &Members, value: T) -> Self {
        Self {
            members: members.clone(),
            values: vec![value; members.len()],
        }
    }
}

impl<T> PerBlock<T> {
    pub(super) fn members(&self) -> &Members {
        &self.members
    }

    /// `None` for a block that is no member.
    #[inline]
    pub(super) fn get(&self, block: BlockIndex) -> Option<&T> {
        self.values.get(self.members.place(block)?)
    }

    /// In the order of the members.
    pub(super) fn values(&self) -> &[T] {
        &self.values
    }

    /// Other values in place of these.
    pub(super) fn map<U>(&self, value: impl FnMut(&T) -> U) -> PerBlock<U> {
        PerBlock {
            members: self.members.clone(),
            values: self.values.iter().map(value).collect(),
        }
    }
}

/// For members only, as indexing a slice is for positions within it.
impl<T> Index<BlockIndex> for PerBlock<T> {
    type Output = T;

    #[inline]
    fn index(&self, block: BlockIndex) -> &T {
        &self.values[self.members.place(block).unwrap_or(usize::MAX)]
    }
}

impl<T> IndexMut<BlockIndex> for PerBlock<T> {
    #[inline]
    fn index_mut(&mut self, block: BlockIndex) -> &mut T {
        &mut self.values[self.members.place(block).unwrap_or(usize::MAX)]
    }
}
