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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rollout::queue::Pause;
    use crate::store::FloorEpoch;
    use crate::version::{MinReader, ReadVersion};

    const NOW: Timestamp = Timestamp::MIN;

    fn version(version: u32) -> WriteVersion {
        WriteVersion::new(version).unwrap()
    }

    fn versions(read: u32, write: u32) -> Versions {
        Versions::new(ReadVersion::new(read), version(write))
    }

    /// What a release with READ 1 and WRITE 2 sees of a transformer that is stored at 2 everywhere,
    /// with the floor there.
    struct Situation {
        versions: Option<Versions>,
        floor: Option<u32>,
        is_retired: bool,
        is_sealed: bool,
        tally: Tally,
        unreadable: u64,
        queue: QueueStatus,
        fleet: Vec<Member>,
        gate: Option<u32>,
    }

    impl Situation {
        fn stored(stored: u32) -> Self {
            let tally = Tally {
                stored: [(version(stored), found(3))].into(),
                ..Tally::default()
            };
            Self {
                versions: Some(versions(1, 2)),
                floor: Some(2),
                is_retired: false,
                is_sealed: true,
                tally,
                unreadable: 0,
                queue: QueueStatus::default(),
                fleet: Vec::new(),
                gate: None,
            }
        }

        #[track_caller]
        fn check(self, expected: &Next) {
            let mut floors = Floors::default();
            if let Some(write) = self.floor {
                let floor = Floor {
                    version: version(write),
                    min_reader: MinReader::ANY,
                    epoch: FloorEpoch::default(),
                    raised_at: NOW,
                    raised_by: "w".to_owned(),
                    is_retired: self.is_retired,
                };
                floors.raise("t", floor);
            }
            let epoch = if self.is_sealed {
                floors.epoch()
            } else {
                FloorEpoch::default()
            };
            let census = Census {
                courses: 3,
                unreadable: found(self.unreadable),
                transformers: [("t".to_owned(), self.tally)].into(),
                epochs: [(epoch, found(3))].into(),
            };
            let gate = self.gate.map(|target| OpenGate {
                target: version(target),
                opened_at: NOW,
                opened_by: "w".to_owned(),
                courses: 3,
                place: "here".to_owned(),
            });
            let view = View {
                name: "t",
                versions: self.versions,
                floors: &floors,
                census: &census,
                fleet: &self.fleet,
                queue: &self.queue,
                gate: gate.as_ref(),
                now: NOW,
            };
            assert_eq!(view.status().next, *expected);
        }
    }

    fn found(count: u64) -> Found {
        Found {
            count,
            examples: Vec::new(),
        }
    }

    fn member(write: u32, lasts: u64) -> Member {
        let lasts = Duration::from_secs(lasts);
        Member {
            worker: "w".to_owned(),
            release: "r".to_owned(),
            transformers: [("t".to_owned(), versions(1, write))].into(),
            joined_at: NOW,
            renewed_at: NOW,
            expires_at: NOW.plus(lasts),
            lasts,
            token: 1,
        }
    }

    #[test]
    fn what_is_next_when_everything_is_stored() {
        let situation = || Situation::stored(2);
        situation().check(&Next::AskGate);
        let open = |target| Situation {
            gate: Some(target),
            ..situation()
        };
        open(1).check(&Next::AskGate);
        open(2).check(&Next::RaiseRead { target: version(2) });
        // Its READ is there already.
        let settled = |situation| Situation {
            versions: Some(versions(2, 2)),
            ..situation
        };
        settled(open(2)).check(&Next::Nothing);
        settled(situation()).check(&Next::Nothing);
        let without_floor = Situation {
            floor: None,
            ..situation()
        };
        settled(without_floor).check(&Next::Nothing);
    }

    #[test]
    fn what_is_next_is_for_another_release() {
        let retired = Situation {
            is_retired: true,
            ..Situation::stored(2)
        };
        retired.check(&Next::Retired);
        let unknown = Situation {
            versions: None,
            ..Situation::stored(2)
        };
        unknown.check(&Next::NotInThisRelease);
        Situation::stored(3).check(&Next::OlderRelease);
        let above = Situation {
            floor: Some(3),
            ..Situation::stored(2)
        };
        above.check(&Next::OlderRelease);
    }

    #[test]
    fn a_rollout_is_started_when_nobody_is_in_its_way() {
        for floor in [None, Some(1)] {
            let situation = |fleet| Situation {
                floor,
                fleet,
                ..Situation::stored(1)
            };
            situation(Vec::new()).check(&Next::Start);
            situation(vec![member(2, 10)]).check(&Next::Start);
            situation(vec![member(1, 0)]).check(&Next::Start);
            let old = member(1, 10);
            let blocker = Blocker::WritesLess {
                member: old.clone(),
                write: Some(version(1)),
            };
            situation(vec![old]).check(&Next::EndWorkers(vec![blocker]));
        }
        let broken_off = Situation {
            is_sealed: false,
            ..Situation::stored(2)
        };
        broken_off.check(&Next::Start);
    }

    #[test]
    fn workers_do_what_is_on_the_queue_and_somebody_looks_at_what_fails() {
        let status = |ready, delayed, claimed, quarantined| QueueStatus {
            ready,
            delayed,
            claimed,
            quarantined,
            ..QueueStatus::default()
        };
        let old = Situation::stored(1);
        let unreadable = Situation {
            unreadable: 1,
            ..Situation::stored(2)
        };
        let mut missing = Situation::stored(2);
        missing.tally.missing = found(1);
        for situation in [&old, &unreadable, &missing] {
            let with = |queue| Situation {
                tally: situation.tally.clone(),
                unreadable: situation.unreadable,
                queue,
                ..Situation::stored(2)
            };
            with(status(1, 2, 3, 4)).check(&Next::Work { tasks: 6 });
            with(status(0, 0, 1, 0)).check(&Next::Work { tasks: 1 });
            with(status(0, 0, 0, 1)).check(&Next::LookAtFailures);
            with(status(0, 0, 0, 0)).check(&Next::Start);
            let paused = QueueStatus {
                paused: Some(Pause {
                    by: "w".to_owned(),
                    at: NOW,
                }),
                ..status(1, 0, 0, 0)
            };
            with(paused).check(&Next::Resume);
        }
        let mut failing = Situation::stored(2);
        failing.tally.failing = 1;
        failing.check(&Next::LookAtFailures);
    }

    #[test]
    fn who_cannot_decode_what_is_stored_is_to_be_ended() {
        let old = member(1, 10);
        let blocker = Blocker::WritesLess {
            member: old.clone(),
            write: Some(version(1)),
        };
        let mut situation = Situation::stored(2);
        situation.tally.min_reader = Some(MinReader::new(version(2)));
        situation.fleet = vec![old];
        situation.check(&Next::EndWorkers(vec![blocker]));
    }
}
