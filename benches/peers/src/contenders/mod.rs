//! Who takes part: courseblocks, and stores of keys and values that one could use instead.

mod bare_sled;
mod courseblocks;
mod fjall;
mod lmdb;
mod native_db;
mod redb;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub(crate) use self::courseblocks::{Courseblocks, Headers, SEEN_AT};
pub(crate) use bare_sled::BareSled;
pub(crate) use fjall::Fjall;
pub(crate) use lmdb::Lmdb;
pub(crate) use native_db::NativeDb;
pub(crate) use redb::Redb;

/// A key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// UTF-8, since not every store takes other keys.
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

impl Row {
    /// The same row with another value of the same length: what a later generation would be to a
    /// store that does not know what it stores. sled does not write what it has already.
    pub(crate) fn altered(&self) -> Self {
        let mut altered = self.clone();
        if let Some(first) = altered.value.first_mut() {
            *first ^= 1;
        }
        altered
    }
}

/// The rows of each course as they are, and then altered.
pub(crate) fn generations(courses: &[Vec<Row>]) -> Vec<Vec<Row>> {
    let altered = courses
        .iter()
        .map(|rows| rows.iter().map(Row::altered).collect());
    courses.iter().cloned().chain(altered).collect()
}

/// A store of keys and values. It panics where it fails: a figure of a store that fails is none.
pub(crate) trait Peer: Sized {
    const NAME: &'static str;

    /// Makes a store in an empty directory.
    fn open(directory: &Path) -> Self;

    /// Writes all rows or none, and returns when neither the end of the process nor that of the
    /// machine loses them.
    fn commit(&self, rows: &[Row]);

    /// Calls `with` on the value of a key that is there.
    fn get<R>(&self, key: &[u8], with: impl FnOnce(&[u8]) -> R) -> R;

    /// Calls `each` on every key and value, in the order of the keys.
    fn scan(&self, each: impl FnMut(&[u8], &[u8]));

    /// Writes many rows in commits of a convenient size.
    fn load(&self, rows: &[Row]) {
        for rows in rows.chunks(500) {
            self.commit(rows);
        }
    }
}

/// Runs code once for every peer other than bare sled, each time with `$peer` as its type.
macro_rules! each_peer {
    ($peer:ident => $body:block) => {
        each_peer!(@ $peer => $body, Redb, Fjall, Lmdb, NativeDb)
    };
    (@ $peer:ident => $body:block, $($type:ident),*) => {
        $({
            type $peer = $crate::contenders::$type;
            $body
        })*
    };
}
pub(crate) use each_peer;

/// What everything in a directory takes on disk.
pub(crate) fn disk_bytes(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).expect("a directory");
    let sizes = entries.map(|entry| {
        let entry = entry.expect("an entry");
        let metadata = entry.metadata().expect("its metadata");
        if metadata.is_dir() {
            disk_bytes(&entry.path())
        } else {
            // Of files with holes, only what is there.
            metadata.blocks() * 512
        }
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: &[(&str, usize)]) -> Vec<Row> {
        let rows = values.iter().map(|(key, len)| Row {
            key: key.as_bytes().to_vec(),
            value: vec![b'v'; *len],
        });
        rows.collect()
    }

    fn check<P: Peer>() {
        let directory = tempfile::tempdir().expect("a directory");
        let peer = P::open(directory.path());
        let first = rows(&[("b", 3), ("a\0x", 200_000), ("c", 0)]);
        peer.load(&first);
        peer.commit(&[first[0].altered()]);
        let mut found = Vec::new();
        peer.scan(|key, value| found.push((key.to_vec(), value.to_vec())));
        let expected = [&first[1], &first[0].altered(), &first[2]];
        let expected = expected.map(|row| (row.key.clone(), row.value.clone()));
        assert_eq!(found, expected, "{}", P::NAME);
        for (key, value) in expected {
            peer.get(&key, |found| assert_eq!(found, value, "{}", P::NAME));
        }
        assert!(disk_bytes(directory.path()) > 0, "{}", P::NAME);
    }

    #[test]
    fn every_peer_gives_back_what_it_was_given_in_the_order_of_keys() {
        check::<BareSled>();
        each_peer!(P => { check::<P>(); });
    }

    #[test]
    fn a_generation_differs_from_the_one_before_in_every_value() {
        let courses = [rows(&[("a", 5)]), rows(&[("b", 1)])];
        let generations = generations(&courses);
        assert_eq!(generations.len(), 4);
        assert_ne!(generations[0][0].value, generations[2][0].value);
        assert_eq!(generations[1][0].key, generations[3][0].key);
        assert_eq!(generations[1][0].value.len(), generations[3][0].value.len());
    }
}
