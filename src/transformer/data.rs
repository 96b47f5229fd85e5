//! The data of one transformer for one course, in memory: on its way into the store
//! ([`Collected`]) and out of it ([`Data`]).

use crate::structure::BlockIndex;

/// What a transformer collected: one value per block, and one for the course.
#[derive(Clone, Debug, PartialEq)]
pub struct Collected<B, C> {
    // Invariant: one entry per position of the course's structure.
    blocks: Vec<Option<B>>,
    course: C,
}

impl<B, C> Collected<B, C> {
    /// Nothing for any of the course's `positions`
    /// ([`BlockStructure::width`](crate::BlockStructure::width)) blocks.
    #[must_use]
    pub fn new(positions: usize, course: C) -> Self {
        let mut blocks = Vec::new();
        blocks.resize_with(positions, || None);
        Self { blocks, course }
    }

    /// Remembers `value` for the block at `position`.
    ///
    /// # Panics
    /// When `position` is beyond the course: it did not come from its structure.
    pub fn set(&mut self, position: BlockIndex, value: B) {
        self.blocks[position.as_usize()] = Some(value);
    }

    /// What was remembered for the block at `position`.
    #[must_use]
    pub fn get(&self, position: BlockIndex) -> Option<&B> {
        self.blocks.get(position.as_usize())?.as_ref()
    }

    /// The values by position.
    #[must_use]
    pub fn blocks(&self) -> &[Option<B>] {
        &self.blocks
    }

    /// The value for the whole course.
    #[must_use]
    pub fn course(&self) -> &C {
        &self.course
    }
}

/// A transformer's stored data, decoded.
///
/// It is empty where nothing is stored, which only a READ version of 0 allows.
#[derive(Clone, Debug)]
pub struct Data<B, C> {
    blocks: Vec<Option<B>>,
    course: Option<C>,
}

impl<B, C> Data<B, C> {
    pub(crate) const fn new(blocks: Vec<Option<B>>, course: Option<C>) -> Self {
        Self { blocks, course }
    }

    /// What was collected for the block at `position`; `None` where nothing was.
    #[must_use]
    pub fn block(&self, position: BlockIndex) -> Option<&B> {
        self.blocks.get(position.as_usize())?.as_ref()
    }

    /// What was collected for the course; `None` where the transformer's data is not stored yet.
    #[must_use]
    pub const fn course(&self) -> Option<&C> {
        self.course.as_ref()
    }
}
