//! A place in the code under test: counts how often it is passed, and does there what a test says.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use courseblocks::Result;

#[derive(Default)]
pub(crate) struct Probe {
    calls: AtomicUsize,
    act: Mutex<Option<Act>>,
}

type Act = Arc<dyn Fn() -> Result<()> + Send + Sync>;

impl Probe {
    /// How often the place was passed.
    #[allow(dead_code, reason = "not every test file uses all of it")]
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// What to do whenever it is passed from now on.
    #[allow(dead_code, reason = "not every test file uses all of it")]
    pub(crate) fn set(&self, act: impl Fn() -> Result<()> + Send + Sync + 'static) {
        *self.act.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(act));
    }

    /// To be called by the place.
    pub(crate) fn call(&self) -> Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let act = self
            .act
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        act.map_or(Ok(()), |act| act())
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Probe").field(&self.calls).finish()
    }
}
