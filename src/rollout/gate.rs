//! The gate `T@N`: may a release that reads version N of transformer T at least go out? A pure
//! judgement over floors, a census and the fleet, and around it the reading and the latch.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Rollout;
use super::census::{Census, FailingCourse, Found};
use super::history::{self, Event};
use crate::engine::{Commit, Durability, Space};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{
    ControlRow, Floors, Lease, Member, Place, ROLLOUT, Store, attempts_in_words, encode_row,
    require_floors,
};
use crate::timestamp::Timestamp;
use crate::version::{MinReader, WriteVersion};

/// Why a gate is closed. None of them: it is open.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The transformer was retired.
    Retired,
    /// Data below the target is still accepted.
    FloorTooLow {
        /// The floor; `None` where none was ever raised.
        floor: Option<WriteVersion>,
    },
    /// The floor has not reached these courses yet: a late writer could still be accepted there.
    Unsealed(Found),
    /// These courses hold an older version.
    Below {
        /// Which one.
        version: WriteVersion,
        /// Where.
        courses: Found,
    },
    /// These courses hold none of the transformer's data.
    Missing(Found),
    /// The transformer cannot collect these courses: they are in quarantine.
    Failing {
        /// How many.
        count: u64,
        /// Some of them, with the error.
        examples: Vec<FailingCourse>,
    },
    /// Nobody knows what these courses hold.
    Unreadable(Found),
    /// A live worker cannot decode what is stored.
    CannotDecode {
        /// The worker.
        worker: String,
        /// Its release.
        release: String,
        /// What its code knows.
        write: WriteVersion,
        /// What it would have to know.
        min_reader: MinReader,
    },
}

/// A gate that was found open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenGate {
    /// READ may be raised to this.
    pub target: WriteVersion,
    /// When it was found open.
    pub opened_at: Timestamp,
    /// By which worker.
    pub opened_by: String,
    /// How many courses were counted.
    pub courses: u64,
    /// Where the data was. It is another place after a restore or a copy, and the gate is closed
    /// until it has been judged there.
    pub(super) place: String,
}

/// Whether a gate is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateAnswer {
    /// READ may be raised.
    Open(OpenGate),
    /// It may not, for these reasons, of which there is at least one.
    Closed(Vec<Reason>),
}

/// The open gates by transformer.
pub(super) type Gates = BTreeMap<String, OpenGate>;

pub(super) const GATES: Place<'_> = Place {
    partition: ROLLOUT,
    name: b"gates",
    what: "the open gates",
};

/// How often a judgement is made again because the floors have changed meanwhile.
const MAX_ATTEMPTS: usize = 64;

/// Judges a gate. The floors and the fleet must have been read before the census began. No I/O.
#[must_use]
pub fn judge(
    transformer: &str,
    target: WriteVersion,
    floors: &Floors,
    census: &Census,
    fleet: &[Member],
    now: Timestamp,
) -> Vec<Reason> {
    let floor = floors.get(transformer);
    if floor.is_some_and(|floor| floor.is_retired) {
        return vec![Reason::Retired];
    }
    let mut reasons = Vec::new();
    match floor {
        Some(floor) if floor.version >= target => {
            let unsealed = census.unsealed(floor.epoch);
            if unsealed.count > 0 {
                reasons.push(Reason::Unsealed(unsealed));
            }
        }
        floor => reasons.push(Reason::FloorTooLow {
            floor: floor.map(|floor| floor.version),
        }),
    }
    if census.unreadable.count > 0 {
        reasons.push(Reason::Unreadable(census.unreadable.clone()));
    }
    let nowhere = census.nowhere();
    let tally = census.transformer(transformer).unwrap_or(&nowhere);
    for (version, courses) in tally.stored.range(..target) {
        reasons.push(Reason::Below {
            version: *version,
            courses: courses.clone(),
        });
    }
    if tally.missing.count > 0 {
        reasons.push(Reason::Missing(tally.missing.clone()));
    }
    if tally.failing > 0 {
        reasons.push(Reason::Failing {
            count: tally.failing,
            examples: tally.failing_examples.clone(),
        });
    }
    let min_reader = tally.min_reader.unwrap_or(MinReader::ANY);
    for member in fleet.iter().filter(|member| member.is_live(now)) {
        let write = member
            .transformers
            .get(transformer)
            .map(|versions| versions.write);
        if let Some(write) = write.filter(|write| !min_reader.admits(*write)) {
            reasons.push(Reason::CannotDecode {
                worker: member.worker.clone(),
                release: member.release.clone(),
                write,
                min_reader,
            });
        }
    }
    reasons
}

impl Rollout<'_> {
    /// Whether READ of a transformer may be raised to `target`.
    ///
    /// A gate that was found open stays open as long as the data stays where it is, because its
    /// floor keeps out what is older. It is recorded when it is found open for the first time, by
    /// whom the lease belongs to.
    ///
    /// # Errors
    /// [`NoLease`](ErrorKind::NoLease) for a lease that has ended; [`Conflict`](ErrorKind::Conflict)
    /// when the floors change all the time; whatever the engine says.
    pub fn gate(
        &self,
        lease: &Lease,
        transformer: &str,
        target: WriteVersion,
        now: Timestamp,
    ) -> Result<GateAnswer> {
        self.store.holder(lease)?;
        for _ in 0..MAX_ATTEMPTS {
            let (mut gates, gates_row) = gates(self.store)?;
            let (floors, floors_row) = self.store.floors_row()?;
            let (members, _) = self.store.members()?;
            let place = self.store.engine().place()?;
            if let Some(open) = latched(&gates, transformer, target, &floors, &place) {
                // Somebody else may have found it open a moment ago.
                self.store.engine().flush()?;
                return Ok(GateAnswer::Open(open.clone()));
            }
            let census = Census::take(self.store, [transformer])?;
            let fleet = members.into_vec();
            let reasons = judge(transformer, target, &floors, &census, &fleet, now);
            if !reasons.is_empty() {
                return Ok(GateAnswer::Closed(reasons));
            }
            // What was counted must not be lost by a crash after it was said to be there.
            self.store.engine().flush()?;
            let open = OpenGate {
                target,
                opened_at: now,
                opened_by: lease.worker().to_owned(),
                courses: census.courses,
                place,
            };
            gates.insert(transformer.to_owned(), open.clone());
            let mut commit = Commit::new();
            // A transformer may have been retired meanwhile. The fleet need not be as it was: who
            // joins now would have joined right after this as well.
            require_floors(&mut commit, &floors_row);
            put_gates(&mut commit, &gates_row, &gates)?;
            let event = Event::GateOpened {
                transformer: transformer.to_owned(),
                target,
                courses: census.courses,
            };
            history::put(self.store, &mut commit, now, Some(lease.worker()), event)?;
            if self
                .store
                .commit_control(ROLLOUT, &commit, Durability::Durable)?
            {
                return Ok(GateAnswer::Open(open));
            }
        }
        let message = format!(
            "the gate {transformer}@{target} could not be judged: the floors changed \
             {MAX_ATTEMPTS} times meanwhile"
        );
        Err(Error::new(ErrorKind::Conflict, message))
    }

    /// The gates that are open, by transformer, each with the highest READ that is safe.
    ///
    /// # Errors
    /// Whatever the engine says.
    pub fn open_gates(&self) -> Result<BTreeMap<String, OpenGate>> {
        let (mut gates, _) = gates(self.store)?;
        let floors = self.store.floors()?;
        let place = self.store.engine().place()?;
        gates.retain(|name, open| holds(open, name, &floors, &place));
        Ok(gates)
    }
}

/// Whether this row of control data holds the open gates.
pub(super) fn is_gates(partition: &[u8], name: &[u8]) -> bool {
    GATES.is(partition, name)
}

/// Where the row is damaged, no gate is open, and each can be judged again.
pub(super) fn gates(store: &Store) -> Result<(Gates, ControlRow<Gates>)> {
    let mut row = store.control_row_if_usable::<Gates>(GATES)?;
    Ok((row.value.take().unwrap_or_default(), row))
}

pub(super) fn put_gates(commit: &mut Commit, row: &ControlRow<Gates>, gates: &Gates) -> Result<()> {
    commit.require(Space::Control, GATES.name, row.unchanged());
    commit.put(Space::Control, GATES.name, encode_row(GATES, gates)?);
    Ok(())
}

/// A gate that is known to be open at `target` or above.
fn latched<'g>(
    gates: &'g Gates,
    transformer: &str,
    target: WriteVersion,
    floors: &Floors,
    place: &str,
) -> Option<&'g OpenGate> {
    let open = gates.get(transformer)?;
    (open.target >= target && holds(open, transformer, floors, place)).then_some(open)
}

fn holds(open: &OpenGate, transformer: &str, floors: &Floors, place: &str) -> bool {
    let floor = floors.get(transformer);
    open.place == place
        && floor.is_some_and(|floor| !floor.is_retired && floor.version >= open.target)
}

impl GateAnswer {
    /// Whether READ may be raised.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }
}

/// A sentence for an operator.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retired => f.write_str("the transformer was retired"),
            Self::FloorTooLow { floor: None } => {
                f.write_str("it has no floor: old releases may still write")
            }
            Self::FloorTooLow { floor: Some(floor) } => {
                write!(f, "its floor is {floor}: older data is still accepted")
            }
            Self::Unsealed(courses) => write!(
                f,
                "the floor has not reached {courses}: a late writer could still be accepted there"
            ),
            Self::Below { version, courses } => {
                write!(f, "version {version} is stored for {courses}")
            }
            Self::Missing(courses) => write!(f, "nothing is stored for {courses}"),
            Self::Failing { count, examples } => {
                write!(f, "it cannot collect {}", counted(*count))?;
                for (number, failing) in examples.iter().enumerate() {
                    let before = if number == 0 { ": " } else { "; " };
                    let FailingCourse {
                        course,
                        error,
                        attempts,
                        ..
                    } = failing;
                    let attempts = attempts_in_words(*attempts);
                    write!(f, "{before}{course} ({attempts}): {error}")?;
                }
                Ok(())
            }
            Self::Unreadable(courses) => {
                write!(f, "the header index cannot be read for {courses}")
            }
            Self::CannotDecode {
                worker,
                release,
                write,
                min_reader,
            } => write!(
                f,
                "worker {worker} ({release}) knows version {write}, and what is stored needs \
                 {min_reader}"
            ),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&counted(self.count))?;
        for (number, course) in self.examples.iter().enumerate() {
            let before = if number == 0 { " (" } else { ", " };
            write!(f, "{before}{course}")?;
        }
        let more = self.count > self.examples.len() as u64;
        match (self.examples.is_empty(), more) {
            (true, _) => Ok(()),
            (false, true) => f.write_str(", …)"),
            (false, false) => f.write_str(")"),
        }
    }
}

fn counted(courses: u64) -> String {
    match courses {
        1 => "1 course".to_owned(),
        more => format!("{more} courses"),
    }
}

#[cfg(all(test, feature = "schema"))]
mod tests {
    use super::*;
    use crate::schema::SchemaError;
    use crate::schema::own::check_row;

    #[test]
    fn open_gates_are_stored_as_they_are_written_down() -> Result<(), SchemaError> {
        let open = OpenGate {
            target: WriteVersion::FIRST,
            opened_at: Timestamp::MAX,
            opened_by: "web-1".to_owned(),
            courses: 12,
            place: "here".to_owned(),
        };
        check_row("@gates", &Gates::from([("start_date".to_owned(), open)]))
    }
}

#[cfg(test)]
mod tables {
    use std::time::Duration;

    use super::*;
    use crate::rollout::census::Tally;
    use crate::store::{Floor, FloorEpoch};
    use crate::version::{ReadVersion, Versions};

    const NOW: Timestamp = Timestamp::MIN;

    fn version(version: u32) -> WriteVersion {
        WriteVersion::new(version).unwrap()
    }

    fn found(numbers: std::ops::Range<usize>) -> Found {
        let courses = numbers.map(|number| {
            let course = format!("course-v1:Org+Course+{number}");
            course.parse().unwrap()
        });
        let examples: Vec<_> = courses.collect();
        Found {
            count: examples.len() as u64,
            examples,
        }
    }

    /// A floor of t at this version, in the first epoch.
    fn floor(write: u32) -> Floors {
        let mut floors = Floors::default();
        raise(&mut floors, "t", write, false);
        floors
    }

    fn raise(floors: &mut Floors, transformer: &str, write: u32, is_retired: bool) {
        let floor = Floor {
            version: version(write),
            min_reader: MinReader::ANY,
            epoch: FloorEpoch::default(),
            raised_at: NOW,
            raised_by: "w".to_owned(),
            is_retired,
        };
        floors.raise(transformer, floor);
    }

    /// Three courses of which t has these versions, all sealed in the epoch of `floors`.
    fn census(floors: &Floors, stored: &[u32]) -> Census {
        let mut tally = Tally::default();
        for (number, stored) in stored.iter().enumerate() {
            let found = tally.stored.entry(version(*stored)).or_default();
            found.count += 1;
            found
                .examples
                .extend(self::found(number..number + 1).examples);
        }
        tally.missing = found(stored.len()..3);
        Census {
            courses: 3,
            unreadable: Found::default(),
            transformers: [("t".to_owned(), tally)].into(),
            epochs: [(floors.epoch(), found(0..3))].into(),
        }
    }

    fn member(name: &str, transformer: &str, write: u32, lasts: u64) -> Member {
        let versions = Versions::new(ReadVersion::new(1), version(write));
        let lasts = Duration::from_secs(lasts);
        Member {
            worker: name.to_owned(),
            release: "r".to_owned(),
            transformers: [(transformer.to_owned(), versions)].into(),
            joined_at: NOW,
            renewed_at: NOW,
            expires_at: NOW.plus(lasts),
            lasts,
            token: 1,
        }
    }

    #[track_caller]
    fn check(floors: &Floors, census: &Census, fleet: &[Member], expected: &[Reason]) {
        let reasons = judge("t", version(2), floors, census, fleet, NOW);
        assert_eq!(reasons, expected);
        for reason in &reasons {
            assert!(!reason.to_string().is_empty());
        }
    }

    #[test]
    fn a_gate_is_open_when_nothing_is_below_it_and_nothing_can_be() {
        let floors = floor(2);
        check(&floors, &census(&floors, &[2, 2, 2]), &[], &[]);
        check(&floors, &census(&floors, &[2, 3, 4]), &[], &[]);
        check(&floor(3), &census(&floor(3), &[2, 3, 3]), &[], &[]);
        check(&floors, &Census::default(), &[], &[]);
    }

    #[test]
    fn a_floor_must_be_at_the_target_and_have_reached_every_course() {
        let none = Floors::default();
        let too_low = |floor: Option<u32>| Reason::FloorTooLow {
            floor: floor.map(version),
        };
        check(&none, &census(&none, &[2, 2, 2]), &[], &[too_low(None)]);
        let one = floor(1);
        check(&one, &census(&one, &[2, 2, 2]), &[], &[too_low(Some(1))]);
        // In the epoch before, and one that is only reserved.
        let floors = floor(2);
        let mut unsealed = census(&floors, &[2, 2, 2]);
        unsealed.epochs = [
            (floors.epoch(), found(0..2)),
            (FloorEpoch::default(), found(2..3)),
        ]
        .into();
        check(&floors, &unsealed, &[], &[Reason::Unsealed(found(2..3))]);
        // The floor of another transformer began a later epoch: nobody waits for that.
        let mut later = floor(2);
        raise(&mut later, "u", 7, false);
        check(&later, &census(&floors, &[2, 2, 2]), &[], &[]);
        raise(&mut later, "t", 3, false);
        let unsealed = Reason::Unsealed(found(0..3));
        check(&later, &census(&floors, &[2, 2, 2]), &[], &[unsealed]);
        let mut retired = floor(2);
        raise(&mut retired, "t", 2, true);
        check(&retired, &census(&retired, &[]), &[], &[Reason::Retired]);
    }

    #[test]
    fn every_course_must_hold_the_target_at_least() {
        let floors = floor(3);
        let below = |courses| Reason::Below {
            version: version(1),
            courses,
        };
        check(
            &floors,
            &census(&floors, &[1, 2, 1]),
            &[],
            &[below(Found {
                count: 2,
                examples: [found(0..1).examples, found(2..3).examples].concat(),
            })],
        );
        let missing = Reason::Missing(found(2..3));
        check(
            &floors,
            &census(&floors, &[1, 2]),
            &[],
            &[below(found(0..1)), missing],
        );
        let mut unreadable = census(&floors, &[2, 2, 2]);
        unreadable.unreadable = found(2..3);
        check(
            &floors,
            &unreadable,
            &[],
            &[Reason::Unreadable(found(2..3))],
        );
        // Beside a good record, too: it is of other content, or of older code.
        let mut failing = census(&floors, &[2, 2, 2]);
        let tally = failing.transformers.get_mut("t").unwrap();
        tally.failing = 1;
        let reason = Reason::Failing {
            count: 1,
            examples: Vec::new(),
        };
        check(&floors, &failing, &[], &[reason]);
    }

    /// It was open: nothing was missing of a transformer that nobody had asked for.
    #[test]
    fn a_census_that_was_not_asked_opens_nothing() {
        let floors = floor(2);
        let mut census = census(&floors, &[]);
        census.transformers.clear();
        let missing = Found {
            count: 3,
            examples: Vec::new(),
        };
        check(&floors, &census, &[], &[Reason::Missing(missing)]);
    }

    #[test]
    fn every_live_worker_must_be_able_to_decode_what_is_stored() {
        let floors = floor(2);
        let mut census = census(&floors, &[2, 2, 3]);
        let fleet = [
            member("old", "t", 1, 10),
            member("dead", "t", 1, 0),
            member("other", "u", 1, 10),
            member("new", "t", 2, 10),
        ];
        check(&floors, &census, &fleet, &[]);
        let tally = census.transformers.get_mut("t").unwrap();
        tally.min_reader = Some(MinReader::new(version(2)));
        let lost = Reason::CannotDecode {
            worker: "old".to_owned(),
            release: "r".to_owned(),
            write: version(1),
            min_reader: MinReader::new(version(2)),
        };
        check(&floors, &census, &fleet, &[lost]);
    }

    #[test]
    fn a_latch_holds_for_its_target_its_floor_and_its_place() {
        #[track_caller]
        fn check(floors: &Floors, target: u32, place: &str, is_open: bool) {
            let open = OpenGate {
                target: version(2),
                opened_at: NOW,
                opened_by: "w".to_owned(),
                courses: 3,
                place: "here".to_owned(),
            };
            let gates = [("t".to_owned(), open)].into();
            let found = latched(&gates, "t", version(target), floors, place);
            assert_eq!(found.is_some(), is_open);
            assert_eq!(latched(&gates, "u", version(1), floors, place), None);
        }

        check(&floor(2), 2, "here", true);
        check(&floor(3), 1, "here", true);
        check(&floor(3), 3, "here", false);
        check(&floor(2), 2, "there", false);
        check(&floor(1), 2, "here", false);
        check(&Floors::default(), 2, "here", false);
        let mut retired = floor(2);
        raise(&mut retired, "t", 2, true);
        check(&retired, 2, "here", false);
    }
}
