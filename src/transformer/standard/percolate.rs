//! Values that flow from parents to children, down the DAG.

use std::convert::Infallible;

use crate::field::FieldValue;
use crate::modulestore::Course;
use crate::structure::BlockIndex;
use crate::timestamp::Timestamp;

/// Computes a value for every block from those of its parents, top down. `merge` gets the block
/// and the values of its parents in order, one per edge; the root gets none.
pub(super) fn percolate<T: Clone>(
    course: &Course,
    mut merge: impl FnMut(BlockIndex, &[T]) -> T,
) -> Vec<(BlockIndex, T)> {
    let merged = try_percolate(course, |block, parents| {
        Ok::<_, Infallible>(merge(block, parents))
    });
    merged.unwrap_or_else(|never| match never {})
}

/// The same, with values that may come to be too large.
pub(super) fn try_percolate<T: Clone, E>(
    course: &Course,
    mut merge: impl FnMut(BlockIndex, &[T]) -> Result<T, E>,
) -> Result<Vec<(BlockIndex, T)>, E> {
    let structure = course.structure();
    let mut merged = vec![None; structure.width()];
    let mut in_order = Vec::with_capacity(structure.len());
    let mut from_parents = Vec::new();
    for block in structure.topological(structure.root()) {
        let parents = structure.parents(block);
        from_parents.clear();
        from_parents.extend(parents.filter_map(|parent| merged[parent.as_usize()].clone()));
        let value = merge(block, &from_parents)?;
        merged[block.as_usize()] = Some(value.clone());
        in_order.push((block, value));
    }
    Ok(in_order)
}

/// A flag that is set by the block itself, or by all of its parents.
pub(super) fn percolate_flag(course: &Course, field: &str) -> Vec<(BlockIndex, bool)> {
    percolate(course, |block, parents| {
        let from_parents = !parents.is_empty() && parents.iter().all(|set| *set);
        let explicit = course.explicit_field(block, field);
        from_parents || explicit.and_then(FieldValue::as_bool).unwrap_or(false)
    })
}

/// A date that is the latest of the block's own and the earliest of its parents'; `default` where
/// the root has none. A date that is set to nothing counts as not set.
pub(super) fn percolate_date(
    course: &Course,
    field: &str,
    default: Timestamp,
) -> Vec<(BlockIndex, Timestamp)> {
    percolate(course, |block, parents: &[Timestamp]| {
        let explicit = course.explicit_field(block, field);
        let own = explicit.and_then(FieldValue::as_date);
        match parents.iter().min() {
            None => own.unwrap_or(default),
            Some(parents) => own.map_or(*parents, |own| own.max(*parents)),
        }
    })
}
