//! Looks and reaches behind the store's back, into the engine.

use courseblocks::CourseKey;
use courseblocks::engine::{Commit, CommitOutcome, Durability, Engine, Space};

/// Space, partition, name and value.
pub(crate) type Row = (Space, Vec<u8>, Vec<u8>, Vec<u8>);

/// Everything that an engine has of courses, in key order.
pub(crate) fn everything(engine: &dyn Engine) -> Vec<Row> {
    let mut found = Vec::new();
    for space in [Space::Records, Space::Courses] {
        for item in engine.scan(space, None) {
            let item = item.unwrap();
            let (partition, name) = (item.partition().to_vec(), item.name().to_vec());
            found.push((space, partition, name, item.value().as_ref().to_vec()));
        }
    }
    found
}

/// The bytes of every record of a course, by name.
pub(crate) fn records(engine: &dyn Engine, course: &CourseKey) -> Vec<(String, Vec<u8>)> {
    let items = engine.scan(Space::Records, Some(course.as_str().as_bytes()));
    items
        .map(|item| {
            let item = item.unwrap();
            let name = String::from_utf8(item.name().to_vec()).unwrap();
            (name, item.value().as_ref().to_vec())
        })
        .collect()
}

#[track_caller]
pub(crate) fn record(engine: &dyn Engine, course: &CourseKey, name: &str) -> Vec<u8> {
    let mut records = records(engine, course).into_iter();
    records.find(|(found, _)| found == name).unwrap().1
}

/// Puts these bytes there, whatever they are.
pub(crate) fn put(engine: &dyn Engine, space: Space, partition: &str, name: &str, bytes: Vec<u8>) {
    let mut commit = Commit::new();
    commit.put(space, name.as_bytes(), bytes);
    apply(engine, partition, &commit);
}

pub(crate) fn delete(engine: &dyn Engine, space: Space, partition: &str, name: &str) {
    let mut commit = Commit::new();
    commit.delete(space, name.as_bytes());
    apply(engine, partition, &commit);
}

fn apply(engine: &dyn Engine, partition: &str, commit: &Commit) {
    let outcome = engine.commit(partition.as_bytes(), commit, Durability::Buffered);
    assert!(matches!(outcome.unwrap(), CommitOutcome::Applied));
}

/// Flips the last bit of a record: in its body.
pub(crate) fn damage_body(engine: &dyn Engine, course: &CourseKey, name: &str) {
    let mut bytes = record(engine, course, name);
    *bytes.last_mut().unwrap() ^= 1;
    put(engine, Space::Records, course.as_str(), name, bytes);
}

/// Flips a bit in the course's row of the header index.
pub(crate) fn damage_row(engine: &dyn Engine, course: &CourseKey) {
    let row = engine
        .scan(Space::Courses, Some(course.as_str().as_bytes()))
        .next();
    let mut row = row.unwrap().unwrap().value().as_ref().to_vec();
    row[20] ^= 1;
    put(engine, Space::Courses, course.as_str(), "", row);
}
