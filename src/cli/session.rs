//! A command's place in the fleet: it joins, is kept alive while the command runs, and leaves. The
//! only place that reads the clock for others.

use std::ops::Deref;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::{Error, ErrorKind, Result};
use crate::manager::{Manager, Renewed};
use crate::rollout::Notice;
use crate::timestamp::Timestamp;

/// A manager that has joined the fleet, and stays in it until this is dropped.
#[derive(Debug)]
pub(super) struct Session {
    manager: Arc<Manager>,
    identity: Identity,
    notices: Vec<Notice>,
    /// What went wrong with the last renewal.
    trouble: Arc<RwLock<Option<Error>>>,
    end: Option<Sender<()>>,
    renewing: Option<JoinHandle<()>>,
}

/// Who a command is to the fleet.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) worker: String,
    pub(super) release: String,
    pub(super) lasts: Duration,
}

impl Session {
    /// Joins.
    pub(super) fn begin(manager: Manager, identity: &Identity) -> Result<Self> {
        let Identity {
            worker,
            release,
            lasts,
        } = identity;
        let notices = manager.join(worker, release, *lasts, now())?;
        Ok(Self::joined(manager, identity, notices))
    }

    /// Joins if there is room for a lease. Without one, all that is stored can be read, and nothing
    /// is collected: then it answers why, too.
    pub(super) fn begin_reading(
        manager: Manager,
        identity: &Identity,
    ) -> Result<(Self, Option<Error>)> {
        let Identity {
            worker,
            release,
            lasts,
        } = identity;
        match manager.join(worker, release, *lasts, now()) {
            Ok(notices) => Ok((Self::joined(manager, identity, notices), None)),
            Err(error) if error.kind() == ErrorKind::NoRoom => {
                let session = Self {
                    manager: Arc::new(manager),
                    identity: identity.clone(),
                    notices: Vec::new(),
                    trouble: Arc::default(),
                    end: None,
                    renewing: None,
                };
                Ok((session, Some(error)))
            }
            Err(error) => Err(error),
        }
    }

    fn joined(manager: Manager, identity: &Identity, notices: Vec<Notice>) -> Self {
        let manager = Arc::new(manager);
        let trouble: Arc<RwLock<Option<Error>>> = Arc::default();
        let (end, ended) = mpsc::channel();
        let renewing = {
            let (manager, trouble) = (Arc::clone(&manager), Arc::clone(&trouble));
            let pause = identity.lasts / 3;
            thread::spawn(move || {
                while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                    let outcome = manager.renew(now());
                    let outcome = outcome.map(|renewed: Renewed| drop(renewed)).err();
                    *trouble.write().unwrap_or_else(PoisonError::into_inner) = outcome;
                }
            })
        };
        Self {
            manager,
            identity: identity.clone(),
            notices,
            trouble,
            end: Some(end),
            renewing: Some(renewing),
        }
    }

    /// Takes a new lease in the place of the present one, so that what was claimed under that is
    /// ready for everybody: for when it is not known what became of it.
    pub(super) fn join_again(&self) -> Result<Vec<Notice>> {
        let Identity {
            worker,
            release,
            lasts,
        } = &self.identity;
        self.manager.join(worker, release, *lasts, now())
    }

    /// What this release should know.
    pub(super) fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Why the lease could not be renewed the last time, if it could not.
    pub(super) fn trouble(&self) -> Option<Error> {
        let trouble = self.trouble.read();
        trouble.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Deref for Session {
    type Target = Manager;

    fn deref(&self) -> &Manager {
        &self.manager
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(renewing) = self.renewing.take() {
            // A panic in it has been told already.
            let _ = renewing.join();
        }
        // What cannot be given back expires.
        let _ = self.manager.leave();
    }
}

/// What time it is. A clock beyond the calendar stands still at its end.
pub(super) fn now() -> Timestamp {
    let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |m| -m),
    };
    Timestamp::from_micros(micros).unwrap_or(if micros < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}
