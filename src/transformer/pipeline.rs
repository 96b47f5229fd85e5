//! Applies transformers to a structure for one user, in the order of the original: all filters
//! are made, then run in one traversal, then the other transformers run, then the structure is
//! pruned.

use super::{LoadedTransformer, Outputs, UserContext};
use crate::error::Result;
use crate::structure::{BlockIndex, BlockStructure, Unyielded};

/// A transformation under way: the structure that one user is about to see.
#[derive(Debug)]
pub struct Transformation<'a> {
    structure: &'a mut BlockStructure,
    user: &'a UserContext,
    outputs: &'a mut Outputs,
}

impl Transformation<'_> {
    /// The structure as it is now. Blocks that were removed are absent from it, but their
    /// collected data is still there.
    #[must_use]
    pub fn structure(&self) -> &BlockStructure {
        self.structure
    }

    /// The structure, to change it.
    #[must_use]
    pub fn structure_mut(&mut self) -> &mut BlockStructure {
        self.structure
    }

    /// Who asks.
    #[must_use]
    pub fn user(&self) -> &UserContext {
        self.user
    }

    /// What was attached to blocks so far.
    #[must_use]
    pub fn outputs(&self) -> &Outputs {
        self.outputs
    }

    /// Attaches values to blocks.
    #[must_use]
    pub fn outputs_mut(&mut self) -> &mut Outputs {
        self.outputs
    }

    /// The structure to read, and the outputs to write, at the same time.
    #[must_use]
    pub fn split(&mut self) -> (&BlockStructure, &mut Outputs) {
        (self.structure, self.outputs)
    }

    /// The structure's root.
    #[must_use]
    pub fn root(&self) -> BlockIndex {
        self.structure.root()
    }
}

/// Applies `transformers`, in order, to `structure`.
pub(crate) fn transform(
    structure: &mut BlockStructure,
    transformers: &[Box<dyn LoadedTransformer + '_>],
    user: &UserContext,
) -> Result<Outputs> {
    let mut outputs = Outputs::default();
    let mut transformation = Transformation {
        structure,
        user,
        outputs: &mut outputs,
    };
    let mut filters = Vec::new();
    let mut others = Vec::new();
    for transformer in transformers {
        match transformer.filters(&mut transformation) {
            Some(made) => filters.extend(made),
            None => others.push(transformer),
        }
    }
    if !filters.is_empty() {
        transformation
            .structure
            .remove_where(Unyielded::SkipDescendants, &mut filters)?;
    }
    for transformer in others {
        transformer.transform(&mut transformation)?;
    }
    structure.prune();
    Ok(outputs)
}
