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
