//! LMDB: a copy-on-write B-tree in a memory map.

use std::path::Path;

use heed::types::Bytes;
use heed::{Database, Env, EnvOpenOptions};

use super::{Peer, Row};

/// How far the file may grow.
const MAP_BYTES: usize = 16 << 30;

pub(crate) struct Lmdb {
    environment: Env,
    rows: Database<Bytes, Bytes>,
}

impl Peer for Lmdb {
    const NAME: &'static str = "LMDB";

    #[expect(
        unsafe_code,
        reason = "a memory map must not change under its readers: the directory is new, and nobody \
                  else opens it"
    )]
    fn open(directory: &Path) -> Self {
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_BYTES);
        let environment = unsafe { options.open(directory) }.expect("LMDB opens");
        let mut transaction = environment.write_txn().expect("LMDB begins");
        let rows = environment.create_database(&mut transaction, None);
        let rows = rows.expect("a database");
        transaction.commit().expect("LMDB commits");
        Self { environment, rows }
    }

    fn commit(&self, rows: &[Row]) {
        let mut transaction = self.environment.write_txn().expect("LMDB begins");
        for row in rows {
            self.rows
                .put(&mut transaction, &row.key, &row.value)
                .expect("LMDB writes");
        }
        transaction.commit().expect("LMDB commits");
    }

    fn get<R>(&self, key: &[u8], with: impl FnOnce(&[u8]) -> R) -> R {
        let transaction = self.environment.read_txn().expect("LMDB begins");
        let value = self.rows.get(&transaction, key).expect("LMDB reads");
        with(value.expect("a value"))
    }

    fn scan(&self, mut each: impl FnMut(&[u8], &[u8])) {
        let transaction = self.environment.read_txn().expect("LMDB begins");
        for row in self.rows.iter(&transaction).expect("a cursor") {
            let (key, value) = row.expect("LMDB reads");
            each(key, value);
        }
    }
}
