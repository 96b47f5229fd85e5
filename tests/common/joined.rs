//! Managers that may write: each a worker of its own in the fleet of its store.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use courseblocks::rollout::{Fleet, Registration};
use courseblocks::{Lease, Manager, Result, Store, Timestamp, Versions};

/// A lease outlasts every test.
const LASTS: Duration = Duration::from_secs(3600);

/// A name that no other worker of this test run has.
pub(crate) fn worker_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("worker {}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn join(manager: &Manager) -> Result<()> {
    let worker = worker_name();
    manager
        .join(&worker, "release", LASTS, Timestamp::MIN)
        .map(drop)
}

#[allow(dead_code, reason = "not every test file uses all of it")]
pub(crate) fn joined(manager: Manager) -> Manager {
    join(&manager).unwrap();
    manager
}

/// A lease for someone who writes these.
#[allow(dead_code, reason = "not every test file uses all of it")]
pub(crate) fn lease_for<'v>(
    store: &Store,
    transformers: impl IntoIterator<Item = (&'v str, Versions)>,
) -> Lease {
    let transformers: BTreeMap<_, _> = transformers
        .into_iter()
        .map(|(name, versions)| (name.to_owned(), versions))
        .collect();
    let registration = Registration {
        worker: worker_name(),
        release: "release".to_owned(),
        transformers,
        lasts: LASTS,
    };
    let fleet = Fleet::new(store);
    fleet.join(&registration, Timestamp::MIN).unwrap().0
}
