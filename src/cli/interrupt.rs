//! Ctrl-C and the request to end: the first one lets a command finish what is under way, the
//! second one ends it at once. Knows signals, not commands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::failure::Failure;

/// Whether somebody asked this process to end.
#[derive(Clone, Debug)]
pub(super) struct Interrupt {
    is_asked: Arc<AtomicBool>,
}

/// The exit status of a process that Ctrl-C ended.
pub(super) const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;

impl Interrupt {
    /// Listens from now on, until the process ends.
    pub(super) fn listen() -> Result<Self, Failure> {
        let is_asked = Arc::new(AtomicBool::new(false));
        for (signal, status) in [(SIGINT, INTERRUPTED), (SIGTERM, TERMINATED)] {
            // In this order: the first signal finds the flag down, and raises it.
            flag::register_conditional_shutdown(signal, status.into(), Arc::clone(&is_asked))
                .and_then(|_| flag::register(signal, Arc::clone(&is_asked)))
                .map_err(|error| Failure::no(format!("signals cannot be listened to: {error}")))?;
        }
        Ok(Self { is_asked })
    }

    pub(super) fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::Acquire)
    }
}
