//! One collect per course at a time: who finds one under way waits for it instead of starting
//! another.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, ErrorKind, Result};
use crate::key::CourseKey;

/// The collects that are under way in this process.
#[derive(Debug, Default)]
pub(super) struct Flights {
    running: Mutex<HashMap<CourseKey, Arc<Flight>>>,
}

#[derive(Debug, Default)]
struct Flight {
    outcome: Mutex<Option<Outcome>>,
    landed: Condvar,
}

/// What the ones who waited are told.
type Outcome = Result<()>;

impl Flights {
    /// Runs `work` unless it is running for this course already; then waits for that instead and
    /// shares its outcome. Answers what `work` answered, or `None` after having waited.
    pub(super) fn join<T>(
        &self,
        course: &CourseKey,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<Option<T>> {
        match self.board(course) {
            Boarding::Lead(lead) => lead.fly(work).map(Some),
            Boarding::Wait(flight) => flight.wait().map(|()| None),
        }
    }

    /// Waits until nothing runs for this course, then runs `work`. For work that must see what
    /// was published after an earlier flight began.
    pub(super) fn alone<T>(
        &self,
        course: &CourseKey,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        loop {
            match self.board(course) {
                Boarding::Lead(lead) => return lead.fly(work),
                // Its outcome is for others.
                Boarding::Wait(flight) => drop(flight.wait()),
            }
        }
    }

    fn board(&self, course: &CourseKey) -> Boarding<'_> {
        let mut running = lock(&self.running);
        if let Some(flight) = running.get(course) {
            return Boarding::Wait(Arc::clone(flight));
        }
        let flight = Arc::new(Flight::default());
        running.insert(course.clone(), Arc::clone(&flight));
        Boarding::Lead(Lead {
            flights: self,
            course: course.clone(),
            flight,
        })
    }
}

enum Boarding<'a> {
    Lead(Lead<'a>),
    Wait(Arc<Flight>),
}

/// The one who does the work. When it is gone, for whatever reason, nobody waits any longer.
struct Lead<'a> {
    flights: &'a Flights,
    course: CourseKey,
    flight: Arc<Flight>,
}

impl Lead<'_> {
    fn fly<T>(self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let result = work();
        self.flight
            .land(result.as_ref().map(drop).map_err(Clone::clone));
        result
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        lock(&self.flights.running).remove(&self.course);
        // Only a panic in the work leaves without an outcome.
        let message = format!("collecting {} was abandoned", self.course);
        let abandoned = Error::new(ErrorKind::Transformer, message);
        self.flight.land(Err(abandoned));
    }
}

impl Flight {
    /// The first outcome counts.
    fn land(&self, outcome: Outcome) {
        lock(&self.outcome).get_or_insert(outcome);
        self.landed.notify_all();
    }

    fn wait(&self) -> Outcome {
        let mut outcome = lock(&self.outcome);
        loop {
            if let Some(outcome) = &*outcome {
                return outcome.clone();
            }
            outcome = self
                .landed
                .wait(outcome)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Nothing here panics while it holds a lock, so a poisoned one is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
