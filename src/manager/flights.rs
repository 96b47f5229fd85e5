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
    /// was published after an earlier flight began. Its outcome is not shared: whoever waits for
    /// it wanted something else.
    pub(super) fn alone<T>(
        &self,
        course: &CourseKey,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        loop {
            match self.board(course) {
                Boarding::Lead(lead) => return lead.fly_unshared(work),
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
            outcome: None,
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
    // Only a panic in the work leaves none.
    outcome: Option<Outcome>,
}

impl Lead<'_> {
    fn fly<T>(mut self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let result = work();
        self.outcome = Some(result.as_ref().map(drop).map_err(Clone::clone));
        result
    }

    fn fly_unshared<T>(mut self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let result = work();
        self.outcome = Some(Ok(()));
        result
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        // Before it lands: nobody may board what has arrived.
        lock(&self.flights.running).remove(&self.course);
        let outcome = self.outcome.take().unwrap_or_else(|| {
            let message = format!("collecting {} was abandoned", self.course);
            Err(Error::new(ErrorKind::Transformer, message))
        });
        self.flight.land(outcome);
    }
}

impl Flight {
    fn land(&self, outcome: Outcome) {
        *lock(&self.outcome) = Some(outcome);
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

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    fn course() -> CourseKey {
        "course-v1:Org+Course+Run".parse().unwrap()
    }

    /// One more reader boards while the work of `lead` is under way, and does `then` as soon as it
    /// is let go; answers what it was told.
    fn wait_for(
        flights: &Flights,
        lead: impl FnOnce(&dyn Fn()) + Send,
        then: impl FnOnce(),
    ) -> Outcome {
        let (begin, has_begun) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || {
                lead(&|| {
                    begin.send(()).unwrap();
                    may_go_on.recv().unwrap();
                });
            });
            has_begun.recv().unwrap();
            let Boarding::Wait(flight) = flights.board(&course()) else {
                panic!("nothing is under way");
            };
            go_on.send(()).unwrap();
            let outcome = flight.wait();
            then();
            outcome
        })
    }

    #[test]
    fn those_who_wait_share_the_outcome() {
        let flights = Flights::default();
        let told = wait_for(
            &flights,
            |under_way| {
                let work = || {
                    under_way();
                    Ok(())
                };
                flights.join(&course(), work).unwrap();
            },
            || {},
        );
        assert!(told.is_ok());
        let told = wait_for(
            &flights,
            |under_way| {
                let failed = flights.join(&course(), || {
                    under_way();
                    Err::<(), _>(Error::new(ErrorKind::NotFound, "gone"))
                });
                assert_eq!(failed.unwrap_err().kind(), ErrorKind::NotFound);
            },
            || {},
        );
        assert_eq!(told.unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn the_outcome_of_work_alone_is_for_nobody_else() {
        let flights = Flights::default();
        let told = wait_for(
            &flights,
            |under_way| {
                let failed = flights.alone(&course(), || {
                    under_way();
                    Err::<(), _>(Error::new(ErrorKind::NotFound, "gone"))
                });
                assert_eq!(failed.unwrap_err().kind(), ErrorKind::NotFound);
            },
            || {},
        );
        assert!(told.is_ok());
    }

    #[test]
    fn a_panic_lets_those_go_who_wait_and_the_next_one_lead() {
        let flights = Flights::default();
        let told = wait_for(
            &flights,
            |under_way| {
                let work = || {
                    flights.join(&course(), || -> Result<()> {
                        under_way();
                        panic!("on purpose")
                    })
                };
                catch_unwind(AssertUnwindSafe(work)).unwrap_err();
            },
            || {},
        );
        assert_eq!(told.unwrap_err().kind(), ErrorKind::Transformer);
        assert_eq!(flights.join(&course(), || Ok(7)).unwrap(), Some(7));
    }

    /// A reader that was let go and looked again used to find the flight that had just landed, over
    /// and over.
    #[test]
    fn nobody_boards_what_has_landed() {
        let flights = Flights::default();
        for _ in 0..2_000 {
            wait_for(
                &flights,
                |under_way| {
                    let work = || {
                        under_way();
                        Ok(())
                    };
                    flights.join(&course(), work).unwrap();
                },
                || assert_eq!(flights.join(&course(), || Ok(())).unwrap(), Some(())),
            )
            .unwrap();
        }
    }

    #[test]
    fn courses_do_not_wait_for_one_another() {
        let flights = Flights::default();
        let other: CourseKey = "course-v1:Org+Course+Other".parse().unwrap();
        let within = flights.join(&course(), || flights.alone(&other, || Ok(1)));
        assert_eq!(within.unwrap(), Some(1));
    }
}
