//! The fleet: every process that reads or writes takes a lease first, and says what its code
//! reads and writes. It decides nothing about floors and gates.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::gate::gates;
use super::history::{self, Event};
use crate::engine::{Commit, Durability};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Floors, Lease, Member, ROLLOUT, Store, no_lease, put_members, require_floors};
use crate::timestamp::Timestamp;
use crate::transformer::Registry;
use crate::version::{ReadVersion, Versions, WriteVersion};

/// The workers of a store.
///
/// Several releases in one process share one open store: each joins with its own registry.
#[derive(Clone, Copy, Debug)]
pub struct Fleet<'a> {
    store: &'a Store,
}

/// Who wants to join, and with which versions.
#[derive(Clone, Debug)]
pub struct Registration {
    /// What the worker calls itself, such as host and process id. One who joins under a name that
    /// is taken takes it over: the other's lease ends.
    pub worker: String,
    /// The release that it runs, for people.
    pub release: String,
    /// The versions of its transformers.
    pub transformers: BTreeMap<String, Versions>,
    /// How long the lease lasts without being renewed.
    pub lasts: Duration,
}

/// What a worker should know when it joins. None of it keeps it from reading.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Its data is not accepted any more: it can read what newer releases wrote, and leaves
    /// collecting to them.
    BelowFloor {
        /// The transformer.
        transformer: String,
        /// What the worker writes; `None` where it does not know the transformer.
        write: Option<WriteVersion>,
        /// The least that is accepted.
        floor: WriteVersion,
    },
    /// The gate is not open: it may meet data that it must collect again before it can use it.
    AheadOfGate {
        /// The transformer.
        transformer: String,
        /// What the worker needs.
        read: ReadVersion,
    },
}

/// The longest name of a worker or a release, in bytes.
pub const MAX_LABEL_BYTES: usize = 255;

/// How often a change of the fleet is tried against others.
const MAX_ATTEMPTS: usize = 256;

impl Registration {
    /// A worker of the release that has this registry, whose lease lasts 30 seconds.
    #[must_use]
    pub fn new(worker: impl Into<String>, release: impl Into<String>, registry: &Registry) -> Self {
        let transformers = registry.iter();
        Self {
            worker: worker.into(),
            release: release.into(),
            transformers: transformers
                .map(|transformer| (transformer.name().to_owned(), transformer.versions()))
                .collect(),
            lasts: Duration::from_secs(30),
        }
    }

    fn check(&self) -> Result<()> {
        for (what, label) in [("worker", &self.worker), ("release", &self.release)] {
            let reason = if label.is_empty() {
                "it is empty".to_owned()
            } else if label.len() > MAX_LABEL_BYTES {
                format!("it is longer than {MAX_LABEL_BYTES} bytes")
            } else if label.chars().any(char::is_control) {
                "it has control characters".to_owned()
            } else {
                continue;
            };
            let message = format!("{label:?} cannot name a {what}: {reason}");
            return Err(Error::new(ErrorKind::Registry, message));
        }
        Ok(())
    }
}

impl<'a> Fleet<'a> {
    /// The fleet of a store.
    #[must_use]
    pub fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// Takes a lease. Durable when it returns.
    ///
    /// # Errors
    /// [`Registry`](ErrorKind::Registry) for a name of a transformer that was retired, and for
    /// names of workers and releases that are empty, too long or not printable.
    pub fn join(
        &self,
        registration: &Registration,
        now: Timestamp,
    ) -> Result<(Lease, Vec<Notice>)> {
        registration.check()?;
        let lease = Lease::new(registration.worker.clone(), self.store.unique_number()?);
        let member = Member {
            worker: registration.worker.clone(),
            release: registration.release.clone(),
            transformers: registration.transformers.clone(),
            joined_at: now,
            renewed_at: now,
            expires_at: now.plus(registration.lasts),
            lasts: registration.lasts,
            token: lease.token(),
        };
        for _ in 0..MAX_ATTEMPTS {
            let (mut members, fleet) = self.store.members()?;
            let (floors, floors_row) = self.store.floors_row()?;
            check_not_retired(&member, &floors)?;
            // Before there is a lease: what fails now leaves no worker behind that nobody is.
            let notices = self.notices(&member, &floors)?;
            members.insert(member.clone());
            let mut commit = Commit::new();
            require_floors(&mut commit, &floors_row);
            put_members(&mut commit, &fleet, &members)?;
            if self
                .store
                .commit_control(ROLLOUT, &commit, Durability::Durable)?
            {
                return Ok((lease, notices));
            }
        }
        Err(contended("joined"))
    }

    /// Says that the worker is alive. Its lease lasts from `now` as long as it did at first.
    ///
    /// # Errors
    /// [`NoLease`](ErrorKind::NoLease) when it has ended: the worker must join again.
    pub fn renew(&self, lease: &Lease, now: Timestamp) -> Result<()> {
        for _ in 0..MAX_ATTEMPTS {
            let (mut members, row) = self.store.members()?;
            let member = members.holder_mut(lease).ok_or_else(|| no_lease(lease))?;
            member.renewed_at = member.renewed_at.max(now);
            member.expires_at = member.renewed_at.plus(member.lasts);
            let mut commit = Commit::new();
            put_members(&mut commit, &row, &members)?;
            // A renewal that a crash loses is a renewal of a process that crashed with it.
            if self
                .store
                .commit_control(ROLLOUT, &commit, Durability::Buffered)?
            {
                return Ok(());
            }
        }
        Err(contended("renewed"))
    }

    /// Gives a lease back. What its worker still had claimed returns to the queue, as an attempt that
    /// failed: one that ends in order finishes it first, or gives it back. False if the lease had
    /// ended already.
    ///
    /// # Errors
    /// Whatever the engine says.
    pub fn leave(&self, lease: &Lease) -> Result<bool> {
        for _ in 0..MAX_ATTEMPTS {
            let (mut members, row) = self.store.members()?;
            if members.holder(lease).is_none() {
                return Ok(false);
            }
            members.remove(|member| member.token == lease.token());
            let mut commit = Commit::new();
            put_members(&mut commit, &row, &members)?;
            if self
                .store
                .commit_control(ROLLOUT, &commit, Durability::Durable)?
            {
                return Ok(true);
            }
        }
        Err(contended("left"))
    }

    /// Everyone who joined and did not leave, by name; those who are dead too, until they are
    /// removed ([`Member::is_live`] tells).
    ///
    /// # Errors
    /// [`Damaged`](ErrorKind::Damaged) when the list cannot be read.
    pub fn members(&self) -> Result<Vec<Member>> {
        Ok(self.store.members()?.0.into_vec())
    }

    /// Removes those whose lease has expired, and tells who they were. If one of them is alive
    /// after all, its next write is refused until it has joined again.
    ///
    /// # Errors
    /// Whatever the engine says.
    pub fn remove_expired(&self, now: Timestamp) -> Result<Vec<Member>> {
        for _ in 0..MAX_ATTEMPTS {
            let (mut members, row) = self.store.members()?;
            let expired = members.remove(|member| !member.is_live(now));
            if expired.is_empty() {
                return Ok(expired);
            }
            let mut commit = Commit::new();
            put_members(&mut commit, &row, &members)?;
            for member in &expired {
                history::put(self.store, &mut commit, now, None, expired_event(member))?;
            }
            if self
                .store
                .commit_control(ROLLOUT, &commit, Durability::Durable)?
            {
                return Ok(expired);
            }
        }
        Err(contended("cleared"))
    }

    fn notices(self, member: &Member, floors: &Floors) -> Result<Vec<Notice>> {
        let (gates, _) = gates(self.store)?;
        let place = self.store.engine().place()?;
        let mut notices = Vec::new();
        for (name, floor) in floors.iter().filter(|(_, floor)| !floor.is_retired) {
            let versions = member.transformers.get(name);
            let write = versions.map(|versions| versions.write);
            if write.is_none_or(|write| write < floor.version) {
                notices.push(Notice::BelowFloor {
                    transformer: name.to_owned(),
                    write,
                    floor: floor.version,
                });
            }
            if let Some(Versions { read, .. }) = versions {
                let open = gates.get(name).filter(|gate| gate.place == place);
                if !open.map_or(read.accepts_missing(), |gate| read.accepts(gate.target)) {
                    notices.push(Notice::AheadOfGate {
                        transformer: name.to_owned(),
                        read: *read,
                    });
                }
            }
        }
        Ok(notices)
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BelowFloor {
                transformer,
                write: Some(write),
                floor,
            } => write!(
                f,
                "this release writes version {write} of {transformer:?}, below its floor {floor}: \
                 it can read, and leaves collecting to newer releases"
            ),
            Self::BelowFloor {
                transformer,
                write: None,
                floor,
            } => write!(
                f,
                "this release does not know the transformer {transformer:?}, whose floor is \
                 {floor}: it can read, and leaves collecting to newer releases"
            ),
            Self::AheadOfGate { transformer, read } => write!(
                f,
                "the gate {transformer}@{read} is not open: courses that hold less are collected \
                 again when they are first read"
            ),
        }
    }
}

pub(super) fn expired_event(member: &Member) -> Event {
    Event::WorkerExpired {
        worker: member.worker.clone(),
        release: member.release.clone(),
        last_heard_of: member.renewed_at,
    }
}

fn check_not_retired(member: &Member, floors: &Floors) -> Result<()> {
    let retired = floors
        .iter()
        .find(|(name, floor)| floor.is_retired && member.transformers.contains_key(*name));
    let Some((name, floor)) = retired else {
        return Ok(());
    };
    let message = format!(
        "the transformer {name:?} was retired at version {}; a new one needs another name",
        floor.version
    );
    Err(Error::new(ErrorKind::Registry, message))
}

fn contended(done: &str) -> Error {
    let message =
        format!("the fleet could not be {done}: it changed {MAX_ATTEMPTS} times meanwhile");
    Error::new(ErrorKind::Conflict, message)
}
