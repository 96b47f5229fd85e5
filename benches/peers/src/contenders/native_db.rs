//! `native_db`: typed values with migrations, on redb.

use std::path::Path;
use std::sync::LazyLock;

use native_db::{Builder, Database, Models, ToKey, native_db};
use native_model::{Model, native_model};
use serde::{Deserialize, Serialize};

use super::{Peer, Row};

#[derive(Serialize, Deserialize, Debug)]
#[native_model(id = 1, version = 1)]
#[native_db]
struct Stored {
    #[primary_key]
    key: String,
    #[serde(with = "serde_bytes")]
    value: Vec<u8>,
}

static MODELS: LazyLock<Models> = LazyLock::new(|| {
    let mut models = Models::new();
    models.define::<Stored>().expect("a model");
    models
});

pub(crate) struct NativeDb(Database<'static>);

impl Peer for NativeDb {
    const NAME: &'static str = "native_db";

    fn open(directory: &Path) -> Self {
        let created = Builder::new()
            .set_cache_size(256 << 20)
            .create(&MODELS, directory.join("rows.native_db"));
        Self(created.expect("native_db opens"))
    }

    fn commit(&self, rows: &[Row]) {
        let transaction = self.0.rw_transaction().expect("native_db begins");
        for row in rows {
            let stored = Stored {
                key: text(&row.key).to_owned(),
                value: row.value.clone(),
            };
            transaction.upsert(stored).expect("native_db writes");
        }
        transaction.commit().expect("native_db commits");
    }

    fn get<R>(&self, key: &[u8], with: impl FnOnce(&[u8]) -> R) -> R {
        let transaction = self.0.r_transaction().expect("native_db begins");
        let stored = transaction.get().primary::<Stored>(text(key).to_owned());
        with(&stored.expect("native_db reads").expect("a value").value)
    }

    fn scan(&self, mut each: impl FnMut(&[u8], &[u8])) {
        let transaction = self.0.r_transaction().expect("native_db begins");
        let scan = transaction.scan().primary().expect("native_db reads");
        for stored in scan.all().expect("native_db reads") {
            let stored: Stored = stored.expect("native_db reads");
            each(stored.key.as_bytes(), &stored.value);
        }
    }
}

fn text(key: &[u8]) -> &str {
    std::str::from_utf8(key).expect("keys are text")
}
