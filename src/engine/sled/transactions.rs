//! Transactions as readers see them. It must not know what is written.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

/// Tells readers whether what they saw may be half of a transaction that failed, without making
/// them wait where none was under way.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// Odd while a transaction is under way.
    count: AtomicU64,
    /// Held for writing meanwhile, and until `has_stopped` tells what became of it.
    under_way: RwLock<()>,
}

impl Transactions {
    /// To be held until it is known what became of the transaction.
    pub(super) fn begin(&self) -> impl Drop {
        struct UnderWay<'a> {
            transactions: &'a Transactions,
            _guard: RwLockWriteGuard<'a, ()>,
        }
        impl Drop for UnderWay<'_> {
            fn drop(&mut self) {
                self.transactions.count.fetch_add(1, Ordering::AcqRel);
            }
        }
        let guard = self.under_way.write();
        let guard = guard.unwrap_or_else(PoisonError::into_inner);
        self.count.fetch_add(1, Ordering::AcqRel);
        UnderWay {
            transactions: self,
            _guard: guard,
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Whether no transaction has been under way since the count was `before`. Whoever saw what
    /// a transaction wrote sees its count, too: it was counted first.
    pub(super) fn none_since(&self, before: u64) -> bool {
        before.is_multiple_of(2) && self.count() == before
    }

    /// Waits for the end of the transaction that is under way, if there is one.
    pub(super) fn wait(&self) {
        drop(self.under_way.read());
    }
}
