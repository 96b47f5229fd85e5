//! Retiring a transformer: its records go, its name is never used again. It knows what protects
//! the others from the name coming back, not what the data was.

use super::Rollout;
use super::fleet::expired_event;
use super::gate::{gates, put_gates};
use super::history::{self, Event};
use crate::engine::{Commit, Durability};
use crate::error::{Error, ErrorKind, Result};
use crate::key::CourseKey;
use crate::store::{Floor, FloorEpoch, Lease, Member, ROLLOUT, put_floors, put_members};
use crate::timestamp::Timestamp;
use crate::version::{MinReader, WriteVersion};

/// What became of a retirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retire {
    /// Its data is gone, and nothing under its name is accepted any more.
    Retired {
        /// The highest version that it ever had.
        version: WriteVersion,
        /// Courses whose record was removed.
        removed: u64,
    },
    /// Nothing is known of it: no floor, no record.
    Unknown,
    /// These live workers still use it.
    Refused(Vec<Member>),
}

/// How often a retirement is tried against changes of floors and fleet.
const MAX_ATTEMPTS: usize = 64;

impl Rollout<'_> {
    /// Removes all data of a transformer that no live worker knows any more. Its name stays
    /// reserved: a release that has it cannot join.
    ///
    /// It can be broken off at any moment and called again, and does then what is left. Calls
    /// `on_course` with every course, three times.
    ///
    /// # Errors
    /// [`NoLease`](ErrorKind::NoLease) for a lease that has ended; [`Conflict`](ErrorKind::Conflict)
    /// when floors, fleet or a course change all the time; whatever the engine says.
    pub fn retire(
        &self,
        lease: &Lease,
        transformer: &str,
        now: Timestamp,
        mut on_course: impl FnMut(&CourseKey),
    ) -> Result<Retire> {
        let Some(highest) = self.highest_version(transformer, &mut on_course)? else {
            return Ok(Retire::Unknown);
        };
        if let Some(users) = self.reserve_name(lease, transformer, highest, now)? {
            return Ok(Retire::Refused(users));
        }
        self.store.seal(&mut on_course)?;
        let removed = self
            .store
            .remove_records(lease, transformer, &mut on_course)?;
        self.trim_history()?;
        Ok(Retire::Retired {
            version: highest,
            removed,
        })
    }

    /// Of the floor and of all records.
    fn highest_version(
        self,
        transformer: &str,
        mut on_course: impl FnMut(&CourseKey),
    ) -> Result<Option<WriteVersion>> {
        let floors = self.store.floors()?;
        let mut highest = floors.get(transformer).map(|floor| floor.version);
        for row in self.store.courses() {
            let (course, entry) = row?;
            let entry = entry?;
            let stored = entry.record(transformer);
            highest = highest.max(stored.map(|record| record.header().write_version()));
            on_course(&course);
        }
        Ok(highest)
    }

    /// Marks the transformer as retired; answers with those who still use it, if there are any.
    fn reserve_name(
        self,
        lease: &Lease,
        transformer: &str,
        highest: WriteVersion,
        now: Timestamp,
    ) -> Result<Option<Vec<Member>>> {
        for _ in 0..MAX_ATTEMPTS {
            self.store.holder(lease)?;
            let (mut members, members_row) = self.store.members()?;
            let (mut floors, floors_row) = self.store.floors_row()?;
            let (mut gates, gates_row) = gates(self.store)?;
            if floors
                .get(transformer)
                .is_some_and(|floor| floor.is_retired)
            {
                return Ok(None);
            }
            let is_expired =
                |member: &Member| !member.is_live(now) && member.worker != lease.worker();
            let expired = members.remove(is_expired);
            let users = members.iter();
            let users = users.filter(|member| member.transformers.contains_key(transformer));
            let users: Vec<_> = users.cloned().collect();
            if !users.is_empty() {
                return Ok(Some(users));
            }
            let floor = Floor {
                version: highest,
                min_reader: MinReader::ANY,
                epoch: FloorEpoch::default(),
                raised_at: now,
                raised_by: lease.worker().to_owned(),
                is_retired: true,
            };
            floors.raise(transformer, floor);
            gates.remove(transformer);
            let mut commit = Commit::new();
            put_members(&mut commit, &members_row, &members)?;
            put_floors(&mut commit, &floors_row, &floors)?;
            put_gates(&mut commit, &gates_row, &gates)?;
            for member in &expired {
                history::put(self.store, &mut commit, now, None, expired_event(member))?;
            }
            let event = Event::Retired {
                transformer: transformer.to_owned(),
                version: highest,
            };
            history::put(self.store, &mut commit, now, Some(lease.worker()), event)?;
            if self
                .store
                .commit_control(ROLLOUT, &commit, Durability::Durable)?
            {
                return Ok(None);
            }
        }
        let message = format!(
            "transformer {transformer:?} could not be retired: floors or fleet changed \
             {MAX_ATTEMPTS} times meanwhile"
        );
        Err(Error::new(ErrorKind::Conflict, message))
    }
}
