//! Two-phase rollouts: who runs which release, what may still be written, what is to be collected
//! again, and when it is safe to raise READ. Decisions are pure; time is an argument. It knows
//! headers and versions, not how a course is collected.

mod carry;
mod census;
mod fleet;
mod floor;
mod gate;
mod history;
mod queue;
mod retire;
mod status;
mod verify;
mod worker;

pub(crate) use carry::{carried_control, is_carried};
pub use census::{Census, FailingCourse, Found, MAX_EXAMPLES, Tally};
pub use fleet::{Fleet, MAX_LABEL_BYTES, Notice, Registration};
pub use floor::{Blocker, Start};
pub use gate::{GateAnswer, OpenGate, Reason, judge};
pub use history::{Event, HistoryEntry, MAX_EVENTS};
pub use queue::{
    Backlog, Claim, Claimed, Completion, Enqueued, Failed, Limits, Pause, Priority, Queue,
    QueueStatus, Rate, RetryPolicy, Task, TaskState,
};
pub use retire::Retire;
pub use status::{Next, Status, TransformerStatus};
pub use verify::{ControlCheck, ControlDamage, ControlPart, FloorsRestored};
pub use worker::{Attempt, Step, Worker};

use crate::store::Store;

/// Raises floors, judges gates and retires transformers.
///
/// A schema change of a transformer from version 1 to 2 goes like this:
///
/// 1. The release with WRITE 2 joins ([`Fleet::join`]) beside the one with WRITE 1.
/// 2. When the last worker of the old release has left, [`start`](Self::start) raises the floor to
///    2 and puts every course on the [`Queue`] that holds less.
/// 3. Workers collect again. [`gate`](Self::gate) says what is missing, and opens when nothing is.
/// 4. The release with READ 2 joins. It finds nothing that it would have to collect first.
#[derive(Clone, Copy, Debug)]
pub struct Rollout<'a> {
    store: &'a Store,
}

impl<'a> Rollout<'a> {
    /// The rollouts of a store.
    #[must_use]
    pub fn new(store: &'a Store) -> Self {
        Self { store }
    }
}
