//! What courses tell that were written by `write_course`: each block has one number as its name.

use courseblocks::{CourseKey, Manager};

/// The number that all blocks of a course tell, which has so many units.
#[track_caller]
pub(crate) fn content(manager: &Manager, course: &CourseKey, units: usize) -> usize {
    let names: Vec<_> = manager.registry().names().collect();
    let published = manager.get_published(course).unwrap();
    let collected = manager.get_collected(course, &names).unwrap();
    assert_eq!(published.generation, collected.generation(), "{course}");
    assert_eq!(published.structure.len(), 3 + 3 * units, "{course}");
    let mut told: Vec<usize> = published
        .structure
        .blocks()
        .map(|block| {
            let block = published.blocks.block(block).unwrap();
            block.fields()["display_name"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    told.dedup();
    assert_eq!(told.len(), 1, "{course} is of several contents: {told:?}");
    told[0]
}
