//! A census: which versions are stored, counted from the header index in one scan. It never
//! touches a record, so it costs the same whatever their size. It counts; it decides nothing.

use std::collections::BTreeMap;

use crate::error::{ErrorKind, Result};
use crate::key::CourseKey;
use crate::store::{CourseEntry, FloorEpoch, Row, Store};
use crate::version::{MinReader, WriteVersion};

/// What is stored in the whole fleet of courses, by transformer and version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// How many courses are stored, unreadable ones included.
    pub courses: u64,
    /// Courses whose row in the header index is damaged or too new: nobody knows what they hold.
    pub unreadable: Found,
    /// By transformer: those that were asked for, and all that are stored.
    pub transformers: BTreeMap<String, Tally>,
    /// Courses by the floors that they were last checked against; those too that are about to be
    /// stored for the first time.
    pub epochs: BTreeMap<FloorEpoch, Found>,
}

/// How many courses, and some of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// How many.
    pub count: u64,
    /// The first [`MAX_EXAMPLES`] of them, in the order of their keys.
    pub examples: Vec<CourseKey>,
}

/// What is stored of one transformer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Courses with a record, by its version.
    pub stored: BTreeMap<WriteVersion, Found>,
    /// Courses without a record, and without an error that would tell why. Examples are kept for
    /// transformers that were asked for.
    pub missing: Found,
    /// How many courses the transformer could not collect.
    pub failing: u64,
    /// The first [`MAX_EXAMPLES`] of them.
    pub failing_examples: Vec<FailingCourse>,
    /// How many of those that it could not collect hold no record of it.
    pub failing_without_record: u64,
    /// The least WRITE version whose code can decode all that is stored.
    pub min_reader: Option<MinReader>,
}

/// A course that a transformer could not collect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailingCourse {
    /// The course.
    pub course: CourseKey,
    /// What the transformer said the last time.
    pub error: String,
    /// How often in a row it failed on this content.
    pub attempts: u32,
    /// The WRITE version of the code that failed.
    pub write_version: WriteVersion,
}

/// How many courses are named where more are counted.
pub const MAX_EXAMPLES: usize = 5;

impl Census {
    /// Counts what is stored. `wanted` are the transformers that every course should have.
    ///
    /// # Errors
    /// Whatever the engine says. A row that cannot be read is counted as such.
    pub fn take<'n>(store: &Store, wanted: impl IntoIterator<Item = &'n str>) -> Result<Self> {
        let mut census = Self::default();
        for name in wanted {
            census.transformers.entry(name.to_owned()).or_default();
        }
        let asked_for: Vec<_> = census.transformers.keys().cloned().collect();
        for row in store.rows() {
            let (course, row) = row?;
            match row {
                Ok(Row::Stored(entry)) => census.count(&entry, &asked_for),
                // There may be a put under way that knows no newer floors.
                Ok(Row::Reserved { floor_epoch, .. }) => {
                    census.epochs.entry(floor_epoch).or_default().add(&course);
                }
                Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::TooNew) => {
                    census.courses += 1;
                    census.unreadable.add(&course);
                }
                Err(error) => return Err(error),
            }
        }
        let readable = census.readable();
        for tally in census.transformers.values_mut() {
            // Of those that nobody asked for, what is missing shows in the end only.
            let failing_without = tally.failing_without_record;
            let stored: u64 = tally.stored.values().map(|found| found.count).sum();
            tally.missing.count = readable.saturating_sub(stored + failing_without);
        }
        Ok(census)
    }

    /// As [`take`](Self::take), of what can be read: what the engine cannot read is left out.
    pub(super) fn take_readable(store: &Store) -> Result<Self> {
        let mut census = Self::default();
        for row in store.rows() {
            match row {
                Ok((_, Ok(Row::Stored(entry)))) => census.count(&entry, &[]),
                Ok((course, Ok(Row::Reserved { floor_epoch, .. }))) => {
                    census.epochs.entry(floor_epoch).or_default().add(&course);
                }
                Ok((_, Err(_))) => {}
                Err(error) if error.kind() == ErrorKind::Damaged => {}
                Err(error) => return Err(error),
            }
        }
        Ok(census)
    }

    /// What is stored of one transformer; nothing where none of it is and nobody asked.
    #[must_use]
    pub fn transformer(&self, name: &str) -> Option<&Tally> {
        self.transformers.get(name)
    }

    /// Courses that were last checked against floors before `epoch`.
    #[must_use]
    pub fn unsealed(&self, epoch: FloorEpoch) -> Found {
        let mut unsealed = Found::default();
        for found in self.epochs.range(..epoch).map(|(_, found)| found) {
            unsealed.count += found.count;
            let room = MAX_EXAMPLES.saturating_sub(unsealed.examples.len());
            let examples = found.examples.iter().take(room).cloned();
            unsealed.examples.extend(examples);
        }
        unsealed
    }

    /// What is stored of a transformer that nobody asked for and no course has.
    pub(super) fn nowhere(&self) -> Tally {
        let missing = Found {
            count: self.readable(),
            examples: Vec::new(),
        };
        Tally {
            missing,
            ..Tally::default()
        }
    }

    fn readable(&self) -> u64 {
        self.courses.saturating_sub(self.unreadable.count)
    }

    fn count(&mut self, entry: &CourseEntry, asked_for: &[String]) {
        let course = entry.course();
        self.courses += 1;
        self.epochs
            .entry(entry.floor_epoch())
            .or_default()
            .add(course);
        for record in entry.records() {
            let name = record.name();
            if name.starts_with('@') {
                continue;
            }
            let header = record.header();
            let tally = self.tally(name);
            let found = tally.stored.entry(header.write_version()).or_default();
            found.add(course);
            tally.min_reader = tally.min_reader.max(Some(header.min_reader()));
        }
        for failure in entry.failures() {
            let tally = self.tally(&failure.transformer);
            tally.failing += 1;
            if entry.record(&failure.transformer).is_none() {
                tally.failing_without_record += 1;
            }
            if tally.failing_examples.len() < MAX_EXAMPLES {
                tally.failing_examples.push(FailingCourse {
                    course: course.clone(),
                    error: failure.error.clone(),
                    attempts: failure.attempts,
                    write_version: failure.write_version,
                });
            }
        }
        for name in asked_for {
            let failures = entry.failures();
            let is_there = entry.record(name).is_some()
                || failures.iter().any(|failure| failure.transformer == *name);
            if !is_there {
                self.tally(name).missing.add(course);
            }
        }
    }

    fn tally(&mut self, name: &str) -> &mut Tally {
        // Asked for every record of every course: a name is copied only when it is new.
        if !self.transformers.contains_key(name) {
            self.transformers.insert(name.to_owned(), Tally::default());
        }
        match self.transformers.get_mut(name) {
            Some(tally) => tally,
            None => unreachable!("it was just inserted"),
        }
    }
}

impl Tally {
    /// How many courses hold a record below `version`, or none.
    #[must_use]
    pub fn below(&self, version: WriteVersion) -> u64 {
        let older = self.stored.range(..version).map(|(_, found)| found.count);
        older.sum::<u64>() + self.missing.count + self.failing_without_record
    }
}

impl Found {
    fn add(&mut self, course: &CourseKey) {
        self.count += 1;
        if self.examples.len() < MAX_EXAMPLES {
            self.examples.push(course.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(version: u32) -> WriteVersion {
        WriteVersion::new(version).unwrap()
    }

    fn found(count: u64) -> Found {
        Found {
            count,
            examples: Vec::new(),
        }
    }

    #[test]
    fn what_is_below_a_version_is_older_missing_or_failing_without_a_record() {
        #[track_caller]
        fn check(target: u32, expected: u64) {
            let tally = Tally {
                stored: [
                    (version(1), found(3)),
                    (version(2), found(5)),
                    (version(4), found(7)),
                ]
                .into(),
                missing: found(11),
                failing: 20,
                failing_without_record: 13,
                ..Tally::default()
            };
            assert_eq!(tally.below(version(target)), expected, "{target}");
        }

        check(1, 24);
        check(2, 27);
        check(3, 32);
        check(4, 32);
        check(5, 39);
    }

    #[test]
    fn what_was_last_checked_before_an_epoch_is_counted_with_some_examples() {
        let course = |number| -> CourseKey {
            let course = format!("course-v1:Org+Course+{number}");
            course.parse().unwrap()
        };
        let mut census = Census::default();
        // The epochs of floors that were raised nine times.
        let mut floors = crate::store::Floors::default();
        let mut epochs = vec![floors.epoch()];
        for write in 1..10 {
            let floor = crate::store::Floor {
                version: version(write),
                min_reader: MinReader::ANY,
                epoch: FloorEpoch::default(),
                raised_at: crate::timestamp::Timestamp::MIN,
                raised_by: "w".to_owned(),
                is_retired: false,
            };
            floors.raise("t", floor);
            epochs.push(floors.epoch());
        }
        for (number, epoch) in epochs.iter().enumerate() {
            let counted = census.epochs.entry(*epoch).or_default();
            counted.add(&course(number));
            counted.add(&course(number + 100));
        }
        assert_eq!(census.unsealed(epochs[0]), Found::default());
        let two = census.unsealed(epochs[1]);
        assert_eq!((two.count, two.examples), (2, vec![course(0), course(100)]));
        let all = census.unsealed(epochs[9]);
        assert_eq!((all.count, all.examples.len()), (18, MAX_EXAMPLES));
    }
}
