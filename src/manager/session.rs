//! A manager's place in the fleet: its lease, the tasks that it works off, and what it leaves to
//! newer releases.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use super::{Manager, Plan, Reason, UpdateOptions, Updated};
use crate::error::{Error, ErrorKind, Result};
use crate::key::CourseKey;
use crate::rollout::{
    Attempt, Backlog, Enqueued, Fleet, Notice, Priority, Queue, Registration, RetryPolicy, Step,
    Worker,
};
use crate::store::Lease;
use crate::timestamp::Timestamp;

/// A lease, and how to take it again.
#[derive(Debug)]
pub(super) struct Session {
    lease: Lease,
    registration: Registration,
    // The last time that the host told.
    now: Timestamp,
}

/// What became of a renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// The lease goes on.
    Kept,
    /// It had ended; the manager has joined again, and should know this.
    JoinedAgain(Vec<Notice>),
}

impl Manager {
    /// Joins the fleet as `worker`, which is unique in it (such as host and process id), of the
    /// release called `release`. Everything that writes needs this. Tell [`renew`](Self::renew) the
    /// time more often than the lease `lasts`; thrice as often is usual.
    ///
    /// Answers with what the release should know: whether something is left to newer ones, or has
    /// to be collected first. One that has joined before gives that lease back.
    ///
    /// # Errors
    /// As [`Fleet::join`].
    pub fn join(
        &self,
        worker: &str,
        release: &str,
        lasts: Duration,
        now: Timestamp,
    ) -> Result<Vec<Notice>> {
        let registration = Registration {
            lasts,
            ..Registration::new(worker, release, &self.registry)
        };
        let fleet = Fleet::new(&self.store);
        let (lease, notices) = fleet.join(&registration, now)?;
        let former = self.session().replace(Session {
            lease,
            registration,
            now,
        });
        // Under another name it would be taken for a worker that died.
        if let Some(former) = former {
            fleet.leave(&former.lease)?;
        }
        Ok(notices)
    }

    /// Keeps the lease alive. One that has ended, because nobody told the time for too long, is
    /// taken again.
    ///
    /// # Errors
    /// [`NoLease`](ErrorKind::NoLease) before the first [`join`](Self::join), and as
    /// [`Fleet::join`].
    pub fn renew(&self, now: Timestamp) -> Result<Renewed> {
        let (lease, registration) = {
            let mut session = self.session();
            let session = session.as_mut().ok_or_else(|| self.not_joined())?;
            session.now = now;
            (session.lease.clone(), session.registration.clone())
        };
        let fleet = Fleet::new(&self.store);
        match fleet.renew(&lease, now) {
            Ok(()) => Ok(Renewed::Kept),
            Err(error) if error.kind() == ErrorKind::NoLease => {
                // A second time would end what another thread has claimed since. The lock is not held
                // meanwhile: others would wait for the engine.
                let Some(_alone) = Alone::begin(&self.is_joining) else {
                    return Ok(Renewed::Kept);
                };
                let present = self.lease()?;
                if present != lease {
                    return Ok(Renewed::Kept);
                }
                let (lease, notices) = fleet.join(&registration, now)?;
                *self.session() = Some(Session {
                    lease,
                    registration,
                    now,
                });
                Ok(Renewed::JoinedAgain(notices))
            }
            Err(error) => Err(error),
        }
    }

    /// Leaves the fleet. False if it was in none, or its lease had ended. A manager that is dropped
    /// leaves too.
    ///
    /// # Errors
    /// Whatever the engine says.
    pub fn leave(&self) -> Result<bool> {
        let session = self.session().take();
        session.map_or(Ok(false), |session| {
            Fleet::new(&self.store).leave(&session.lease)
        })
    }

    /// The lease.
    ///
    /// # Errors
    /// [`NoLease`](ErrorKind::NoLease) before the first [`join`](Self::join) and after
    /// [`leave`](Self::leave).
    pub fn lease(&self) -> Result<Lease> {
        Ok(self.lease_and_time()?.0)
    }

    /// The lease, and the last time that the host told.
    pub(super) fn lease_and_time(&self) -> Result<(Lease, Timestamp)> {
        let session = self.session();
        let found = session
            .as_ref()
            .map(|session| (session.lease.clone(), session.now));
        found.ok_or_else(|| self.not_joined())
    }

    /// Works off one task of the store's queue: takes the first one and updates its course. A host
    /// calls it over and over, in as many threads as it likes.
    ///
    /// # Errors
    /// [`NoLease`](ErrorKind::NoLease) when this manager has not joined or its lease has ended, and
    /// whatever the engine says. What is wrong with a course is in the answer.
    pub fn work(&self, policy: &RetryPolicy, now: Timestamp) -> Result<Step<Updated>> {
        let lease = self.lease()?;
        Worker::new(&self.store, *policy).step(&lease, now, |course| {
            let updated = self.update(course, &UpdateOptions::default())?;
            if updated.failures.is_empty() {
                return Ok(Attempt::Done(updated));
            }
            let failures = updated.failures.iter();
            let failures = failures.map(|(name, error)| format!("{name}: {error}"));
            let failures = failures.collect::<Vec<_>>().join("; ");
            Ok(Attempt::Failed(updated, failures))
        })
    }

    /// A course was published: puts it on the queue, before everything that is only collected
    /// again. However often it is published until a worker comes to it, it is collected once.
    ///
    /// # Errors
    /// [`NoLease`](ErrorKind::NoLease) when this manager has not joined, and whatever the engine
    /// says.
    pub fn publish(&self, course: &CourseKey, now: Timestamp) -> Result<Enqueued> {
        self.store.holder(&self.lease()?)?;
        Queue::new(&self.store).enqueue(course, Priority::Publish, now)
    }

    /// A course was deleted: removes all that is stored for it, and its task. False if there was
    /// nothing of it.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn delete(&self, course: &CourseKey) -> Result<bool> {
        let lease = self.lease()?;
        // The task first: one that is claimed at the moment may store the course once more, but
        // not after this.
        let dropped = Queue::new(&self.store).drop(&lease, &Backlog::Course(course.clone()))?;
        let deleted = self
            .flights
            .alone(course, || self.store.delete(&lease, course))?;
        Ok(deleted || !dropped.is_empty())
    }

    /// What this release may not write any more must not be forgotten: somebody newer does it.
    pub(super) fn leave_to_others(
        &self,
        course: &CourseKey,
        plan: &Plan,
        now: Timestamp,
    ) -> Result<()> {
        let priority = match plan {
            Plan::Whole(Reason::NotStored | Reason::SourceChanged) => Priority::Publish,
            _ => Priority::Backfill,
        };
        Queue::new(&self.store).remind(course, priority, now)?;
        Ok(())
    }

    fn session(&self) -> MutexGuard<'_, Option<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(clippy::unused_self, reason = "reads as the others do")]
    fn not_joined(&self) -> Error {
        let message = "this process has not joined the fleet, so nothing of it is written";
        Error::new(ErrorKind::NoLease, message)
    }
}

/// A process that ends in order should not be waited for.
impl Drop for Manager {
    fn drop(&mut self) {
        // One that cannot be given back expires.
        let _ = self.leave();
    }
}

/// Held by the only one who does something.
struct Alone<'a>(&'a AtomicBool);

impl<'a> Alone<'a> {
    /// `None` while somebody does it.
    fn begin(is_done: &'a AtomicBool) -> Option<Self> {
        let was_done = is_done.swap(true, Ordering::AcqRel);
        (!was_done).then_some(Self(is_done))
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
