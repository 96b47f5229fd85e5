//! One step of a worker: it takes the first task, has its course collected, and says what became
//! of it. How a course is collected, and how often a step is made, is for the caller.

use super::queue::{Claimed, Completion, Failed, Queue, RetryPolicy};
use crate::error::{ErrorKind, Result};
use crate::key::CourseKey;
use crate::store::{Lease, Store};
use crate::timestamp::Timestamp;
use crate::version::WriteVersion;

/// Works off a store's [`Queue`], one task after the other. Several may do so at the same time.
#[derive(Clone, Copy, Debug)]
pub struct Worker<'a> {
    store: &'a Store,
    policy: RetryPolicy,
}

/// What became of collecting a course.
#[derive(Debug)]
pub enum Attempt<C> {
    /// It is up to date.
    Done(C),
    /// Something of it is not; it is to be tried again.
    Failed(C, String),
}

/// What a worker did.
#[derive(Clone, Debug)]
pub enum Step<C> {
    /// A course is up to date and its task done.
    Done {
        /// The course.
        course: CourseKey,
        /// What collecting it came to.
        collected: C,
        /// Whether it was published again meanwhile, and has a task again.
        completion: Completion,
    },
    /// A course could not be collected, or not all of it.
    Failed {
        /// The course.
        course: CourseKey,
        /// What collecting it came to, if it came to anything.
        collected: Option<C>,
        /// Why.
        error: String,
        /// What is done about it.
        then: Failed,
    },
    /// Nothing is to be done before `next`; `None` where nothing at all is.
    Idle {
        /// When a task that failed is tried again.
        next: Option<Timestamp>,
        /// How many tasks other workers have claimed.
        claimed_by_others: u64,
    },
    /// Somebody paused the queue.
    Paused,
    /// The limit of tasks per second is reached until then.
    Limited {
        /// When the next task may be taken.
        until: Timestamp,
    },
    /// This release is below a floor: its work is left to newer releases.
    Fenced {
        /// The transformer.
        transformer: String,
        /// What this release writes; `None` where it does not know the transformer.
        write: Option<WriteVersion>,
        /// The least that is accepted.
        floor: WriteVersion,
    },
}

impl<'a> Worker<'a> {
    /// A worker that tries failing courses again as `policy` says.
    #[must_use]
    pub fn new(store: &'a Store, policy: RetryPolicy) -> Self {
        Self { store, policy }
    }

    /// Takes the first task and has its course collected by `collect`. An error of `collect` is
    /// the course's and is kept with the task; the step itself goes on.
    ///
    /// # Errors
    /// [`NoLease`](ErrorKind::NoLease) when the lease has ended: join again. Of what `collect`
    /// answers, [`NoLease`](ErrorKind::NoLease), [`Storage`](ErrorKind::Storage),
    /// [`NoRoom`](ErrorKind::NoRoom), [`OpenElsewhere`](ErrorKind::OpenElsewhere) and
    /// [`Fenced`](ErrorKind::Fenced) are not the course's fault: the task is given back, without an
    /// attempt being counted.
    pub fn step<C>(
        &self,
        lease: &Lease,
        now: Timestamp,
        collect: impl FnOnce(&CourseKey) -> Result<Attempt<C>>,
    ) -> Result<Step<C>> {
        let queue = Queue::new(self.store);
        let claim = match queue.claim(lease, &self.policy, now)? {
            Claimed::Task(claim) => claim,
            Claimed::Idle {
                next,
                claimed_by_others,
            } => {
                return Ok(Step::Idle {
                    next,
                    claimed_by_others,
                });
            }
            Claimed::Paused => return Ok(Step::Paused),
            Claimed::Limited { until } => return Ok(Step::Limited { until }),
            Claimed::Fenced {
                transformer,
                write,
                floor,
            } => {
                return Ok(Step::Fenced {
                    transformer,
                    write,
                    floor,
                });
            }
        };
        let course = claim.course().clone();
        let (collected, error) = match collect(&course) {
            Ok(Attempt::Done(collected)) => {
                let completion = queue.complete(&claim, now)?;
                return Ok(Step::Done {
                    course,
                    collected,
                    completion,
                });
            }
            Ok(Attempt::Failed(collected, error)) => (Some(collected), error),
            Err(error) if is_not_the_courses(error.kind()) => {
                // Where that fails too, it returns when the lease has ended.
                let _ = queue.give_back(&claim);
                return Err(error);
            }
            Err(error) => (None, error.chain()),
        };
        let then = queue.fail(&claim, &error, &self.policy, now)?;
        Ok(Step::Failed {
            course,
            collected,
            error,
            then,
        })
    }
}

fn is_not_the_courses(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NoLease
            | ErrorKind::Storage
            | ErrorKind::NoRoom
            | ErrorKind::OpenElsewhere
            | ErrorKind::Fenced
    )
}
