//! Who reads and writes this store, and with which versions. A write needs a lease that is here.
//! Nothing here decides how long a lease lasts.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::control::{ControlRow, Place, encode_row};
use super::{Publication, ROLLOUT, Store};
use crate::engine::{Commit, Space};
use crate::error::{Error, ErrorKind, Result};
use crate::timestamp::Timestamp;
use crate::version::Versions;

/// The right to write: a worker of a release that has told its versions. It lasts until it is
/// given back, or until somebody removes it because it was not renewed in time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    worker: String,
    // Unique in the store's life, so that a worker that comes back under the same name has another.
    token: u64,
}

/// A worker and what its code reads and writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// What the worker calls itself. Unique in the fleet.
    pub worker: String,
    /// The release that it runs, for people.
    pub release: String,
    /// The versions of its transformers. WRITE is also the newest shape that it can decode.
    pub transformers: BTreeMap<String, Versions>,
    /// When it joined.
    pub joined_at: Timestamp,
    /// When it was last heard of.
    pub renewed_at: Timestamp,
    /// From when on it counts as dead unless it is heard of before.
    pub expires_at: Timestamp,
    /// How long it may be silent.
    pub lasts: Duration,
    pub(crate) token: u64,
}

/// All members, dead ones included until they are removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Members(
    // Invariant: sorted by worker, each once.
    Vec<Member>,
);

/// One row for all, so that a decision about the fleet can require that it has not changed.
pub(crate) const FLEET: Place<'_> = Place {
    partition: ROLLOUT,
    name: b"fleet",
    what: "the list of workers",
};

impl Lease {
    pub(crate) fn new(worker: String, token: u64) -> Self {
        Self { worker, token }
    }

    /// Whose it is.
    #[must_use]
    pub fn worker(&self) -> &str {
        &self.worker
    }

    pub(crate) const fn token(&self) -> u64 {
        self.token
    }
}

impl Member {
    /// Whether it was heard of recently enough to count as alive.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}

impl Members {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.0.iter()
    }

    pub(crate) fn into_vec(self) -> Vec<Member> {
        self.0
    }

    /// The member that holds `lease`, if it is still one.
    pub(crate) fn holder(&self, lease: &Lease) -> Option<&Member> {
        let found = self.0.iter().find(|member| member.worker == lease.worker);
        found.filter(|member| member.token == lease.token)
    }

    pub(crate) fn holder_mut(&mut self, lease: &Lease) -> Option<&mut Member> {
        let mut members = self.0.iter_mut();
        let found = members.find(|member| member.worker == lease.worker);
        found.filter(|member| member.token == lease.token)
    }

    /// Adds a member in the place of the one of the same name, which is returned.
    pub(crate) fn insert(&mut self, member: Member) -> Option<Member> {
        let place = self
            .0
            .binary_search_by(|old| old.worker.cmp(&member.worker));
        match place {
            Ok(place) => self
                .0
                .get_mut(place)
                .map(|old| std::mem::replace(old, member)),
            Err(place) => {
                self.0.insert(place, member);
                None
            }
        }
    }

    /// Removes those for whom `is_gone`, and returns them.
    pub(crate) fn remove(&mut self, is_gone: impl Fn(&Member) -> bool) -> Vec<Member> {
        let (gone, kept) = std::mem::take(&mut self.0).into_iter().partition(is_gone);
        self.0 = kept;
        gone
    }
}

impl Store {
    /// The fleet as it is, to read or to change. Where its row is damaged, nobody is in it, and
    /// all have to join again: what is safe rests on floors, not on leases.
    pub(crate) fn members(&self) -> Result<(Members, ControlRow<Members>)> {
        let mut row = self.control_row_if_usable::<Members>(FLEET)?;
        Ok((row.value.take().unwrap_or_default(), row))
    }

    /// The member that holds the lease.
    ///
    /// # Errors
    /// [`NoLease`](ErrorKind::NoLease) when it has none any more.
    pub(crate) fn holder(&self, lease: &Lease) -> Result<Member> {
        let (members, _) = self.members()?;
        let holder = members.holder(lease);
        holder.cloned().ok_or_else(|| no_lease(lease))
    }
}

/// Whether this row of control data is the list of workers.
pub(crate) fn is_fleet(partition: &[u8], name: &[u8]) -> bool {
    FLEET.is(partition, name)
}

/// Writes `members` if they are still what was read as `row`.
pub(crate) fn put_members(
    commit: &mut Commit,
    row: &ControlRow<Members>,
    members: &Members,
) -> Result<()> {
    commit.require(Space::Control, FLEET.name, row.unchanged());
    commit.put(Space::Control, FLEET.name, encode_row(FLEET, members)?);
    Ok(())
}

/// A worker writes what it said that it would: what was decided about the fleet rests on it.
/// No I/O.
pub(super) fn check_declared(member: &Member, publication: &Publication) -> Result<()> {
    let written = publication.records.iter();
    let written = written.map(|record| (record.name.as_str(), &record.versions));
    let failed = publication.failures.iter();
    let failed = failed.map(|(name, versions, _)| (name.as_str(), versions));
    for (name, versions) in written.chain(failed) {
        if !name.starts_with('@') && member.transformers.get(name) != Some(versions) {
            let worker = &member.worker;
            let message = format!(
                "worker {worker:?} did not join as one that writes version {} of {name:?}",
                versions.write
            );
            return Err(Error::new(ErrorKind::NoLease, message));
        }
    }
    Ok(())
}

pub(crate) fn no_lease(lease: &Lease) -> Error {
    let worker = lease.worker();
    let message = format!(
        "the lease of worker {worker:?} has ended: it was not renewed in time, or another worker \
         took its name"
    );
    Error::new(ErrorKind::NoLease, message)
}

#[cfg(all(test, feature = "schema"))]
mod tests {
    use super::*;
    use crate::schema::SchemaError;
    use crate::schema::own::check_row;
    use crate::version::{ReadVersion, WriteVersion};

    #[test]
    fn the_fleet_is_stored_as_it_is_written_down() -> Result<(), SchemaError> {
        let versions = Versions::new(ReadVersion::new(1), WriteVersion::FIRST);
        let member = Member {
            worker: "web-1".to_owned(),
            release: "A".to_owned(),
            transformers: BTreeMap::from([("start_date".to_owned(), versions)]),
            joined_at: Timestamp::MIN,
            renewed_at: Timestamp::MAX,
            expires_at: Timestamp::MAX,
            lasts: Duration::from_millis(30_500),
            token: 7,
        };
        check_row("@fleet", &Members(vec![member]))
    }
}
