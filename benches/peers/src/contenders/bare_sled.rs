//! sled 0.34.7 by itself, with the settings that courseblocks uses: the reference.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sled::transaction::{ConflictableTransactionError, TransactionResult};
use sled::{Db, Tree};

use super::{Peer, Row};

pub(crate) struct BareSled {
    tree: Tree,
    db: Db,
    log: File,
    blobs: PathBuf,
    synced_blobs: Mutex<HashSet<OsString>>,
}

impl Peer for BareSled {
    const NAME: &'static str = "bare sled";

    fn open(directory: &Path) -> Self {
        let db = sled::Config::new()
            .path(directory)
            .segment_size(512 << 10)
            .cache_capacity(256 << 20)
            .flush_every_ms(None)
            .open()
            .expect("sled opens");
        Self {
            tree: db.open_tree("rows").expect("a tree"),
            db,
            log: File::options()
                .write(true)
                .open(directory.join("db"))
                .expect("sled's log"),
            blobs: directory.join("blobs"),
            synced_blobs: Mutex::default(),
        }
    }

    fn commit(&self, rows: &[Row]) {
        let committed: TransactionResult<(), ()> = self.tree.transaction(|tree| {
            for row in rows {
                tree.insert(row.key.as_slice(), row.value.as_slice())?;
            }
            Ok::<_, ConflictableTransactionError<()>>(())
        });
        committed.expect("sled commits");
        self.db.flush().expect("sled flushes");
        self.sync();
    }

    fn get<R>(&self, key: &[u8], with: impl FnOnce(&[u8]) -> R) -> R {
        with(&self.tree.get(key).expect("sled reads").expect("a value"))
    }

    fn scan(&self, mut each: impl FnMut(&[u8], &[u8])) {
        for row in &self.tree {
            let (key, value) = row.expect("sled reads");
            each(&key, &value);
        }
    }
}

impl BareSled {
    /// sled's flush survives the end of the process. For that of the machine, its log and its new
    /// files of large values are brought to the disk.
    fn sync(&self) {
        let mut synced = self
            .synced_blobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let present: HashSet<_> = fs::read_dir(&self.blobs)
            .expect("sled's directory")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        for name in present.difference(&synced) {
            // One that is gone was replaced meanwhile.
            if let Ok(blob) = File::options().write(true).open(self.blobs.join(name)) {
                blob.sync_data().expect("a sync");
            }
        }
        *synced = present;
        self.log.sync_data().expect("a sync");
    }
}
