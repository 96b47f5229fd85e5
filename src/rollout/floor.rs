//! Raising a floor: from then on nothing older is accepted from anyone. It does not wait for
//! clocks; a worker that is believed dead and is not is refused like any other.

use std::fmt;

use super::Rollout;
use super::census::Census;
use super::fleet::expired_event;
use super::history::{self, Event};
use super::queue::{Priority, Queue};
use crate::engine::{Commit, Durability};
use crate::error::{Error, ErrorKind, Result};
use crate::key::CourseKey;
use crate::store::{
    CourseEntry, Floor, FloorEpoch, Floors, Lease, Member, ROLLOUT, put_floors, put_members,
};
use crate::timestamp::Timestamp;
use crate::version::{MinReader, ReadVersion, Verdict, Versions, WriteVersion};

/// What became of the start of a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// The floor holds everywhere, and what is below it is on the queue.
    Started {
        /// The floor before; `None` for the first one.
        from: Option<WriteVersion>,
        /// The floor now.
        floor: WriteVersion,
        /// Workers that had not been heard of for too long, and are none any more.
        expired: Vec<Member>,
        /// Courses that were put on the queue, or were there already.
        enqueued: u64,
        /// Courses that hold this release's version already.
        up_to_date: u64,
    },
    /// Nothing was changed, for these reasons, of which there is at least one.
    Refused(Vec<Blocker>),
}

/// What keeps a floor from being raised.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Blocker {
    /// A live worker writes less, and would be locked out.
    WritesLess {
        /// The worker.
        member: Member,
        /// What it writes; `None` where it does not know the transformer.
        write: Option<WriteVersion>,
    },
    /// A live worker could not decode what this release writes.
    CannotDecode {
        /// The worker.
        member: Member,
        /// What it knows.
        write: WriteVersion,
        /// What it would have to know.
        min_reader: MinReader,
    },
    /// Records are in a shape that this release drops and cannot read any more: older releases
    /// could, and it takes their way back.
    OldShape {
        /// How many courses hold one, or something that nobody can read.
        courses: u64,
        /// What this release reads at least.
        read: ReadVersion,
    },
}

/// How often a start is tried against changes of floors and fleet.
const MAX_ATTEMPTS: usize = 64;

impl Rollout<'_> {
    /// Phase 1 is out: raises the floor of a transformer to what the holder of the lease writes,
    /// lets it reach every course, and puts those that hold less on the queue. What is accepted
    /// from now on may also need readers of this release's `min_reader`.
    ///
    /// It can be broken off at any moment and started again, and does then what is left. Calls
    /// `on_course` with every course, twice.
    ///
    /// # Errors
    /// [`NoLease`](ErrorKind::NoLease) for a lease that has ended; [`Registry`](ErrorKind::Registry)
    /// where its release does not have the transformer; [`Fenced`](ErrorKind::Fenced) where the
    /// floor is above what it writes; [`Conflict`](ErrorKind::Conflict) when
    /// floors or fleet change all the time; whatever the engine says.
    pub fn start(
        &self,
        lease: &Lease,
        transformer: &str,
        now: Timestamp,
        mut on_course: impl FnMut(&CourseKey),
    ) -> Result<Start> {
        let (from, expired) = match self.raise(lease, transformer, now)? {
            Raised::Done { from, expired } => (from, expired),
            Raised::Refused(blockers) => return Ok(Start::Refused(blockers)),
        };
        self.store.seal(&mut on_course)?;
        let versions = self.versions_of(lease, transformer)?;
        let (enqueued, up_to_date) =
            self.enqueue_outdated(transformer, versions, now, &mut on_course)?;
        self.trim_history()?;
        Ok(Start::Started {
            from,
            floor: versions.write,
            expired,
            enqueued,
            up_to_date,
        })
    }

    fn versions_of(self, lease: &Lease, transformer: &str) -> Result<Versions> {
        let member = self.store.holder(lease)?;
        let versions = member.transformers.get(transformer).copied();
        versions.ok_or_else(|| {
            let message = format!(
                "transformer {transformer:?} is not one of release {:?}",
                member.release
            );
            Error::new(ErrorKind::Registry, message)
        })
    }

    fn raise(self, lease: &Lease, transformer: &str, now: Timestamp) -> Result<Raised> {
        for _ in 0..MAX_ATTEMPTS {
            let versions = self.versions_of(lease, transformer)?;
            let (mut members, members_row) = self.store.members()?;
            let (mut floors, floors_row) = self.store.floors_row()?;
            let expired = members.remove(|member| !member.is_live(now) && !is_of(member, lease));
            let old = floors.get(transformer).cloned();
            if let Some(old) = old.as_ref().filter(|old| old.version > versions.write) {
                return Err(above(transformer, &versions, old));
            }
            let mut blockers = blockers(members.iter(), transformer, &versions, old.as_ref());
            if raises_min_reader(old.as_ref(), &versions) {
                blockers.extend(self.old_shapes(transformer, &versions)?);
            }
            if !blockers.is_empty() {
                return Ok(Raised::Refused(blockers));
            }
            let from = old.as_ref().map(|floor| floor.version);
            if expired.is_empty() && is_raised(old.as_ref(), &versions) {
                return Ok(Raised::Done { from, expired });
            }
            let mut commit = Commit::new();
            put_members(&mut commit, &members_row, &members)?;
            for member in &expired {
                history::put(self.store, &mut commit, now, None, expired_event(member))?;
            }
            if !is_raised(old.as_ref(), &versions) {
                for event in events(transformer, old.as_ref(), &versions) {
                    history::put(self.store, &mut commit, now, Some(lease.worker()), event)?;
                }
                raise(&mut floors, transformer, &versions, lease, now);
            }
            put_floors(&mut commit, &floors_row, &floors)?;
            if self
                .store
                .commit_control(ROLLOUT, &commit, Durability::Durable)?
            {
                return Ok(Raised::Done { from, expired });
            }
        }
        Err(contended(transformer))
    }

    /// Courses with records that only the releases could use that are about to be shut out: below
    /// what this one reads. What it can still read, it converts.
    fn old_shapes(self, transformer: &str, versions: &Versions) -> Result<Option<Blocker>> {
        let census = Census::take(self.store, [transformer])?;
        let tally = census.transformer(transformer);
        let needed = tally.map_or(0, |tally| {
            let below = |version: &WriteVersion| {
                !versions.min_reader.admits(*version) && !versions.read.accepts(*version)
            };
            let old = tally.stored.iter().filter(|(version, _)| below(version));
            old.map(|(_, found)| found.count).sum::<u64>()
        });
        let courses = needed + census.unreadable.count;
        Ok((courses > 0).then_some(Blocker::OldShape {
            courses,
            read: versions.read,
        }))
    }

    /// Puts the courses on the queue whose record is below what the release writes, and tells how
    /// many there are and how many there are not.
    fn enqueue_outdated(
        self,
        transformer: &str,
        versions: Versions,
        now: Timestamp,
        mut on_course: impl FnMut(&CourseKey),
    ) -> Result<(u64, u64)> {
        let queue = Queue::new(self.store);
        let (mut enqueued, mut up_to_date) = (0, 0);
        for row in self.store.courses() {
            let (course, entry) = row?;
            // What cannot be read is collected again as well.
            if entry.is_ok_and(|entry| is_current(&entry, transformer, &versions)) {
                up_to_date += 1;
            } else {
                queue.enqueue_buffered(&course, Priority::Backfill, now)?;
                enqueued += 1;
            }
            on_course(&course);
        }
        self.store.engine().flush()?;
        Ok((enqueued, up_to_date))
    }
}

enum Raised {
    Done {
        from: Option<WriteVersion>,
        expired: Vec<Member>,
    },
    Refused(Vec<Blocker>),
}

/// The live workers that the raised floor would hurt. No I/O.
pub(super) fn blockers<'m>(
    live: impl Iterator<Item = &'m Member>,
    transformer: &str,
    versions: &Versions,
    old: Option<&Floor>,
) -> Vec<Blocker> {
    let floor = old.map(|floor| floor.version);
    let mut blockers = Vec::new();
    for member in live {
        let write = member
            .transformers
            .get(transformer)
            .map(|versions| versions.write);
        // Whom the present floor locks out already is not hurt by a higher one.
        let is_below = |least: Option<WriteVersion>| write < least;
        if is_below(Some(versions.write)) && !is_below(floor) {
            blockers.push(Blocker::WritesLess {
                member: member.clone(),
                write,
            });
        }
        let lost = write.filter(|write| !versions.min_reader.admits(*write));
        if let Some(write) = lost.filter(|_| raises_min_reader(old, versions)) {
            blockers.push(Blocker::CannotDecode {
                member: member.clone(),
                write,
                min_reader: versions.min_reader,
            });
        }
    }
    blockers
}

fn raise(
    floors: &mut Floors,
    transformer: &str,
    versions: &Versions,
    lease: &Lease,
    now: Timestamp,
) {
    let floor = Floor {
        version: versions.write,
        min_reader: versions.min_reader,
        epoch: FloorEpoch::default(),
        raised_at: now,
        raised_by: lease.worker().to_owned(),
        is_retired: false,
    };
    floors.raise(transformer, floor);
}

fn events(transformer: &str, old: Option<&Floor>, versions: &Versions) -> Vec<Event> {
    let mut events = Vec::new();
    if old.is_none_or(|old| old.version < versions.write) {
        events.push(Event::FloorRaised {
            transformer: transformer.to_owned(),
            from: old.map(|old| old.version),
            to: versions.write,
        });
    }
    if raises_min_reader(old, versions) {
        events.push(Event::ShapeDropped {
            transformer: transformer.to_owned(),
            min_reader: versions.min_reader,
        });
    }
    events
}

fn raises_min_reader(old: Option<&Floor>, versions: &Versions) -> bool {
    versions.min_reader > old.map_or(MinReader::ANY, |old| old.min_reader)
}

fn is_raised(old: Option<&Floor>, versions: &Versions) -> bool {
    old.is_some_and(|old| old.version >= versions.write) && !raises_min_reader(old, versions)
}

fn is_current(entry: &CourseEntry, transformer: &str, versions: &Versions) -> bool {
    let verdict = entry
        .record(transformer)
        .map(|record| record.header().judge(versions));
    matches!(verdict, Some(Verdict::Current | Verdict::TooNew))
}

fn is_of(member: &Member, lease: &Lease) -> bool {
    member.token == lease.token()
}

fn above(transformer: &str, versions: &Versions, old: &Floor) -> Error {
    let message = format!(
        "this release writes version {} of {transformer:?}, below its floor {}: start the rollout \
         with the newer release",
        versions.write, old.version
    );
    Error::new(ErrorKind::Fenced, message)
}

fn contended(transformer: &str) -> Error {
    let message = format!(
        "the floor of {transformer:?} could not be raised: floors or fleet changed \
         {MAX_ATTEMPTS} times meanwhile"
    );
    Error::new(ErrorKind::Conflict, message)
}

/// A sentence for an operator.
impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WritesLess { member, write } => {
                write!(f, "worker {} ({}) ", member.worker, member.release)?;
                match write {
                    Some(write) => write!(f, "still writes version {write}")?,
                    None => f.write_str("does not know the transformer")?,
                }
                write!(f, "; last heard of at {}", member.renewed_at)
            }
            Self::CannotDecode {
                member,
                write,
                min_reader,
            } => write!(
                f,
                "worker {} ({}) knows version {write} and could not decode what needs {min_reader}",
                member.worker, member.release
            ),
            Self::OldShape { courses, read } => write!(
                f,
                "{courses} stored records are below version {read}, in a shape that this release \
                 drops and cannot read any more: one that reads them must collect them first"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::version::ReadVersion;

    fn version(version: u32) -> WriteVersion {
        WriteVersion::new(version).unwrap()
    }

    fn versions(write: u32, min_reader: u32) -> Versions {
        Versions {
            min_reader: MinReader::new(version(min_reader)),
            ..Versions::new(ReadVersion::new(1), version(write))
        }
    }

    /// A worker that writes this, or does not know the transformer.
    fn member(write: Option<u32>) -> Member {
        let versions = write.map(|write| ("t".to_owned(), versions(write, 1)));
        Member {
            worker: "w".to_owned(),
            release: "r".to_owned(),
            transformers: versions.into_iter().collect(),
            joined_at: Timestamp::MIN,
            renewed_at: Timestamp::MIN,
            expires_at: Timestamp::MAX,
            lasts: Duration::MAX,
            token: 1,
        }
    }

    fn floor((write, min_reader): (u32, u32)) -> Floor {
        Floor {
            version: version(write),
            min_reader: MinReader::new(version(min_reader)),
            epoch: FloorEpoch::default(),
            raised_at: Timestamp::MIN,
            raised_by: "w".to_owned(),
            is_retired: false,
        }
    }

    #[test]
    fn a_floor_waits_for_those_whom_it_would_lock_out_or_leave_without_data() {
        /// A release of this WRITE and `min_reader` raises a floor of those over one worker.
        #[track_caller]
        fn check(
            release: (u32, u32),
            old: Option<(u32, u32)>,
            worker: Option<u32>,
            expected: &[&str],
        ) {
            let member = member(worker);
            let old = old.map(floor);
            let release = versions(release.0, release.1);
            let found = blockers(std::iter::once(&member), "t", &release, old.as_ref());
            let found: Vec<_> = found
                .iter()
                .map(|blocker| match blocker {
                    Blocker::WritesLess { .. } => "writes less",
                    Blocker::CannotDecode { .. } => "cannot decode",
                    Blocker::OldShape { .. } => "old shape",
                })
                .collect();
            assert_eq!(found, expected);
        }

        check((2, 1), None, Some(2), &[]);
        check((2, 1), None, Some(3), &[]);
        check((2, 1), None, Some(1), &["writes less"]);
        check((2, 1), None, None, &["writes less"]);
        check((2, 1), Some((1, 1)), Some(1), &["writes less"]);
        // Whoever knows nothing of it was locked out by the first floor.
        check((2, 1), Some((1, 1)), None, &[]);
        check((3, 1), Some((2, 1)), Some(1), &[]);
        check((3, 1), Some((2, 1)), Some(2), &["writes less"]);
        // Nothing is raised any more: whoever came back to an older release is in nobody's way.
        check((2, 1), Some((2, 1)), Some(1), &[]);
        check((3, 2), Some((3, 2)), Some(1), &[]);
        // A reader that is locked out as a writer must still be able to read.
        check((2, 2), Some((2, 1)), Some(1), &["cannot decode"]);
        check(
            (3, 3),
            Some((2, 1)),
            Some(2),
            &["writes less", "cannot decode"],
        );
        check((3, 2), None, Some(2), &["writes less"]);
        check((2, 2), None, None, &["writes less"]);
        check((2, 2), Some((1, 1)), None, &[]);
    }

    #[test]
    fn a_floor_is_there_when_neither_version_nor_shape_would_be_raised() {
        #[track_caller]
        fn check(release: (u32, u32), old: Option<(u32, u32)>, is_there: bool) {
            let old = old.map(floor);
            let release = versions(release.0, release.1);
            assert_eq!(is_raised(old.as_ref(), &release), is_there);
            assert_eq!(events("t", old.as_ref(), &release).is_empty(), is_there);
        }

        check((1, 1), None, false);
        check((2, 1), Some((1, 1)), false);
        check((2, 1), Some((2, 1)), true);
        check((2, 2), Some((2, 1)), false);
        check((2, 1), Some((2, 2)), true);
        check((2, 2), Some((2, 2)), true);
        check((1, 1), Some((2, 1)), true);
    }
}
