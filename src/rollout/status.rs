//! How far rollouts are, as one release sees it: what is stored, what is missing, and what to do
//! next. The decision is pure.

use std::collections::BTreeSet;

use super::Rollout;
use super::census::{Census, Found, Tally};
use super::floor::{Blocker, blockers};
use super::gate::{OpenGate, Reason, judge};
use super::queue::{Queue, QueueStatus};
use crate::error::Result;
use crate::store::{Floor, Floors, Member};
use crate::timestamp::Timestamp;
use crate::transformer::Registry;
use crate::version::{Versions, WriteVersion};

/// All rollouts of a store.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// How many courses are stored.
    pub courses: u64,
    /// Courses of which nobody knows what they hold.
    pub unreadable: Found,
    /// By name: those of this release, those with a floor, and those that are stored.
    pub transformers: Vec<TransformerStatus>,
    /// The queue.
    pub queue: QueueStatus,
    /// Everyone who joined and did not leave.
    pub fleet: Vec<Member>,
}

/// How far the rollout of one transformer is.
#[derive(Clone, Debug, PartialEq)]
pub struct TransformerStatus {
    /// The transformer.
    pub name: String,
    /// Its versions in this release; `None` where it does not have it.
    pub versions: Option<Versions>,
    /// Its floor, if there is one.
    pub floor: Option<Floor>,
    /// What is stored.
    pub tally: Tally,
    /// How many courses hold nothing, or less than this release writes.
    pub outdated: u64,
    /// Its gate, if it was found open.
    pub gate: Option<OpenGate>,
    /// Why READ may not be raised to what this release writes; empty where it may.
    pub reasons: Vec<Reason>,
    /// What to do next.
    pub next: Next,
}

/// What an operator does next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// Nothing: all that this release can write is written, and it needs no less.
    Nothing,
    /// The transformer was retired.
    Retired,
    /// No release that is known here has it any more: retire it, or ask with the one that has.
    NotInThisRelease,
    /// Something newer is out: ask with the newer release.
    OlderRelease,
    /// End these workers, or wait until they have ended.
    EndWorkers(Vec<Blocker>),
    /// Start the rollout (again).
    Start,
    /// Resume the queue.
    Resume,
    /// Let workers run until the queue is empty.
    Work {
        /// How many tasks there are.
        tasks: u64,
    },
    /// Look at what keeps failing: cure it, or delete the courses.
    LookAtFailures,
    /// Ask the gate: there is nothing left that keeps it closed.
    AskGate,
    /// Let the release go out that reads this version at least.
    RaiseRead {
        /// The version.
        target: WriteVersion,
    },
}

impl Rollout<'_> {
    /// How far the rollouts are, as the release with this registry sees them. Only reads.
    ///
    /// # Errors
    /// Whatever the engine says.
    pub fn status(&self, registry: &Registry, now: Timestamp) -> Result<Status> {
        // Before the census: what is judged must have been counted under them.
        let floors = self.store.floors()?;
        let fleet = self.store.members()?.0.into_vec();
        let queue = Queue::new(self.store).status(now)?;
        let gates = self.open_gates()?;
        let mut names: BTreeSet<&str> = registry.names().collect();
        names.extend(floors.iter().map(|(name, _)| name));
        let census = Census::take(self.store, names.iter().copied())?;
        names.extend(census.transformers.keys().map(String::as_str));
        let transformers = names.into_iter().map(|name| {
            let view = View {
                name,
                versions: registry.versions(name).ok(),
                floors: &floors,
                census: &census,
                fleet: &fleet,
                queue: &queue,
                gate: gates.get(name),
                now,
            };
            view.status()
        });
        Ok(Status {
            courses: census.courses,
            unreadable: census.unreadable.clone(),
            transformers: transformers.collect(),
            queue: queue.clone(),
            fleet: fleet.clone(),
        })
    }
}

/// All that a transformer's status follows from.
struct View<'a> {
    name: &'a str,
    versions: Option<Versions>,
    floors: &'a Floors,
    census: &'a Census,
    fleet: &'a [Member],
    queue: &'a QueueStatus,
    gate: Option<&'a OpenGate>,
    now: Timestamp,
}

impl View<'_> {
    fn status(&self) -> TransformerStatus {
        let tally = self
            .census
            .transformer(self.name)
            .cloned()
            .unwrap_or_default();
        let reasons = self.versions.map_or_else(Vec::new, |versions| {
            let target = versions.write;
            match self.gate {
                Some(open) if open.target >= target => Vec::new(),
                _ => judge(
                    self.name,
                    target,
                    self.floors,
                    self.census,
                    self.fleet,
                    self.now,
                ),
            }
        });
        TransformerStatus {
            name: self.name.to_owned(),
            versions: self.versions,
            floor: self.floors.get(self.name).cloned(),
            outdated: self
                .versions
                .map_or(0, |versions| tally.below(versions.write)),
            gate: self.gate.cloned(),
            next: self.next(&tally, &reasons),
            tally,
            reasons,
        }
    }

    fn next(&self, tally: &Tally, reasons: &[Reason]) -> Next {
        let floor = self.floors.get(self.name);
        if floor.is_some_and(|floor| floor.is_retired) {
            return Next::Retired;
        }
        let Some(versions) = self.versions else {
            return Next::NotInThisRelease;
        };
        let target = versions.write;
        let stored_newer = tally.stored.keys().any(|stored| *stored > target);
        if stored_newer || floor.is_some_and(|floor| floor.version > target) {
            return Next::OlderRelease;
        }
        let is_settled = versions.read.get() == target.get();
        if reasons.is_empty() {
            return match self.gate {
                _ if is_settled => Next::Nothing,
                None => Next::AskGate,
                Some(open) if open.target < target => Next::AskGate,
                Some(_) => Next::RaiseRead { target },
            };
        }
        if floor.is_none_or(|floor| floor.version < target) {
            // Without a floor and with nothing to do there is no rollout.
            if is_settled && tally.below(target) == 0 && floor.is_none() {
                return Next::Nothing;
            }
            let live = self.fleet.iter().filter(|member| member.is_live(self.now));
            let blockers = blockers(live, self.name, &versions, floor);
            return if blockers.is_empty() {
                Next::Start
            } else {
                Next::EndWorkers(blockers)
            };
        }
        let has = |wanted: fn(&Reason) -> bool| reasons.iter().any(wanted);
        if has(|reason| matches!(reason, Reason::Unsealed(_))) {
            return Next::Start;
        }
        let tasks = self.queue.ready + self.queue.delayed + self.queue.claimed;
        let is_work = |reason: &Reason| {
            matches!(
                reason,
                Reason::Below { .. } | Reason::Missing(_) | Reason::Unreadable(_)
            )
        };
        if has(is_work) {
            return match (tasks, &self.queue.paused) {
                (0, _) if self.queue.quarantined > 0 => Next::LookAtFailures,
                (0, _) => Next::Start,
                (_, Some(_)) => Next::Resume,
                (tasks, None) => Next::Work { tasks },
            };
        }
        if has(|reason| matches!(reason, Reason::CannotDecode { .. })) {
            let lost = self.fleet.iter().filter(|member| member.is_live(self.now));
            return Next::EndWorkers(blockers(lost, self.name, &versions, None));
        }
        Next::LookAtFailures
    }
}
