//! fjall: a log-structured merge tree.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{Peer, Row};

pub(crate) struct Fjall {
    rows: Keyspace,
    database: Database,
}

impl Peer for Fjall {
    const NAME: &'static str = "fjall";

    fn open(directory: &Path) -> Self {
        let database = Database::builder(directory)
            .cache_size(256 << 20)
            .open()
            .expect("fjall opens");
        let rows = database.keyspace("rows", KeyspaceCreateOptions::default);
        Self {
            rows: rows.expect("a keyspace"),
            database,
        }
    }

    fn commit(&self, rows: &[Row]) {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        for row in rows {
            batch.insert(&self.rows, row.key.as_slice(), row.value.as_slice());
        }
        batch.commit().expect("fjall commits");
    }

    fn get<R>(&self, key: &[u8], with: impl FnOnce(&[u8]) -> R) -> R {
        with(&self.rows.get(key).expect("fjall reads").expect("a value"))
    }

    fn scan(&self, mut each: impl FnMut(&[u8], &[u8])) {
        for row in self.rows.iter() {
            let (key, value) = row.into_inner().expect("fjall reads");
            each(&key, &value);
        }
    }
}
