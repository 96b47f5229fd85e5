//! Where the releases of the story find their courses: counts how often one is read, and can be
//! held up while it reads. Knows no story.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::key::CourseKey;
use crate::modulestore::olx::OlxModuleStore;
use crate::modulestore::{Course, ModuleStore, SourceVersion};

/// The exports as one worker sees them.
#[derive(Debug)]
pub(super) struct Exports {
    places: Arc<OlxModuleStore>,
    reads: AtomicUsize,
    hold_up: Option<Mutex<HoldUp>>,
}

#[derive(Debug)]
struct HoldUp {
    has_begun: Sender<()>,
    goes_on: Receiver<()>,
}

impl Exports {
    /// For a worker that nothing holds up.
    pub(super) fn new(places: &Arc<OlxModuleStore>) -> Self {
        Self {
            places: Arc::clone(places),
            reads: AtomicUsize::new(0),
            hold_up: None,
        }
    }

    /// For a worker that is held up whenever it reads a course: the receiver hears that it has
    /// begun, and it goes on when the sender is gone.
    pub(super) fn held_up(places: &Arc<OlxModuleStore>) -> (Self, Receiver<()>, Sender<()>) {
        let (has_begun, begins) = mpsc::channel();
        let (go_on, goes_on) = mpsc::channel();
        let exports = Self {
            hold_up: Some(Mutex::new(HoldUp { has_begun, goes_on })),
            ..Self::new(places)
        };
        (exports, begins, go_on)
    }

    /// How many courses were read, all of each.
    pub(super) fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }
}

impl ModuleStore for Exports {
    fn source_version(&self, course: &CourseKey) -> Result<SourceVersion> {
        self.places.source_version(course)
    }

    fn load(&self, course: &CourseKey) -> Result<Course> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if let Some(hold_up) = &self.hold_up {
            let hold_up = hold_up.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody listens any more: there is nothing to wait for.
            if hold_up.has_begun.send(()).is_ok() {
                let _ = hold_up.goes_on.recv();
            }
        }
        self.places.load(course)
    }
}
