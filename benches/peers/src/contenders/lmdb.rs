//! LMDB: a copy-on-write B-tree in a memory map.

use std::path::Path;

use lmdb::{Cursor, Database, DatabaseFlags, Environment, Transaction, WriteFlags};

use super::{Peer, Row};

/// How far the file may grow.
const MAP_BYTES: usize = 16 << 30;

pub(crate) struct Lmdb {
    environment: Environment,
    rows: Database,
}

impl Peer for Lmdb {
    const NAME: &'static str = "LMDB";

    fn open(directory: &Path) -> Self {
        let environment = Environment::new()
            .set_map_size(MAP_BYTES)
            .open(directory)
            .expect("LMDB opens");
        let rows = environment.create_db(None, DatabaseFlags::empty());
        Self {
            rows: rows.expect("a database"),
            environment,
        }
    }

    fn commit(&self, rows: &[Row]) {
        let mut transaction = self.environment.begin_rw_txn().expect("LMDB begins");
        for row in rows {
            transaction
                .put(self.rows, &row.key, &row.value, WriteFlags::empty())
                .expect("LMDB writes");
        }
        transaction.commit().expect("LMDB commits");
    }

    fn get<R>(&self, key: &[u8], with: impl FnOnce(&[u8]) -> R) -> R {
        let transaction = self.environment.begin_ro_txn().expect("LMDB begins");
        with(transaction.get(self.rows, &key).expect("a value"))
    }

    fn scan(&self, mut each: impl FnMut(&[u8], &[u8])) {
        let transaction = self.environment.begin_ro_txn().expect("LMDB begins");
        let mut cursor = transaction.open_ro_cursor(self.rows).expect("a cursor");
        for row in cursor.iter_start() {
            let (key, value) = row.expect("LMDB reads");
            each(key, value);
        }
    }
}
