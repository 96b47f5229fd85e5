//! redb: a copy-on-write B-tree in one file.

use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::{Peer, Row};

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

pub(crate) struct Redb(Database);

impl Peer for Redb {
    const NAME: &'static str = "redb";

    fn open(directory: &Path) -> Self {
        let created = Database::builder()
            .set_cache_size(256 << 20)
            .create(directory.join("rows.redb"));
        Self(created.expect("redb opens"))
    }

    fn commit(&self, rows: &[Row]) {
        let transaction = self.0.begin_write().expect("redb begins");
        {
            let mut table = transaction.open_table(ROWS).expect("a table");
            for row in rows {
                let inserted = table.insert(row.key.as_slice(), row.value.as_slice());
                inserted.expect("redb writes");
            }
        }
        transaction.commit().expect("redb commits");
    }

    fn get<R>(&self, key: &[u8], with: impl FnOnce(&[u8]) -> R) -> R {
        let transaction = self.0.begin_read().expect("redb begins");
        let table = transaction.open_table(ROWS).expect("a table");
        let value = table.get(key).expect("redb reads").expect("a value");
        with(value.value())
    }

    fn scan(&self, mut each: impl FnMut(&[u8], &[u8])) {
        let transaction = self.0.begin_read().expect("redb begins");
        let table = transaction.open_table(ROWS).expect("a table");
        for row in table.iter().expect("redb reads") {
            let (key, value) = row.expect("redb reads");
            each(key.value(), value.value());
        }
    }
}
