//! The data of one transformer for one course, in memory: on its way into the store
//! ([`Collected`]) and out of it ([`Data`]).

use std::fmt;

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

/// A transformer's stored data, decoded, for a course or for the part of it that is asked for. What
/// can be borrowed is borrowed from the record.
///
/// It is empty where nothing is stored, which only a READ version of 0 allows.
pub struct Data<B, C> {
    blocks: Blocks<B>,
    course: Option<C>,
}

/// Values of blocks, as many as were decoded.
enum Blocks<B> {
    /// By position.
    Course(Vec<Option<B>>),
    // Invariant: in the order of positions, which are strictly increasing.
    Part(Vec<(BlockIndex, B)>),
}

impl<B, C> Data<B, C> {
    pub(super) const fn nothing() -> Self {
        Self {
            blocks: Blocks::Course(Vec::new()),
            course: None,
        }
    }

    /// One value, or none, for every position.
    pub(super) const fn of_course(blocks: Vec<Option<B>>, course: C) -> Self {
        Self {
            blocks: Blocks::Course(blocks),
            course: Some(course),
        }
    }

    /// Values of some blocks, in the order of their positions.
    pub(super) const fn of_part(blocks: Vec<(BlockIndex, B)>, course: C) -> Self {
        Self {
            blocks: Blocks::Part(blocks),
            course: Some(course),
        }
    }

    /// What was collected for the block at `position`; `None` where nothing was, and outside of
    /// the part that is being transformed.
    #[must_use]
    #[inline]
    pub fn block(&self, position: BlockIndex) -> Option<&B> {
        match &self.blocks {
            Blocks::Course(blocks) => blocks.get(position.as_usize())?.as_ref(),
            Blocks::Part(blocks) => {
                let place = blocks.binary_search_by_key(&position, |(position, _)| *position);
                blocks.get(place.ok()?).map(|(_, value)| value)
            }
        }
    }

    /// What was collected for the course; `None` where the transformer's data is not stored yet.
    #[must_use]
    pub const fn course(&self) -> Option<&C> {
        self.course.as_ref()
    }
}

/// The number of values only: there are many.
impl<B, C> fmt::Debug for Data<B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blocks = match &self.blocks {
            Blocks::Course(blocks) => blocks.iter().flatten().count(),
            Blocks::Part(blocks) => blocks.len(),
        };
        f.debug_struct("Data")
            .field("blocks", &blocks)
            .finish_non_exhaustive()
    }
}
