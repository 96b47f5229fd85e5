//! How many courses a store may have, and how many more that are. It knows rows, not what is in them.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Store;
use crate::engine::Space;
use crate::error::{Error, ErrorKind, Result};
use crate::key::CourseKey;

/// The most courses of one store. Lists of all courses are made in memory here and there (which ones
/// are to be collected again, which ones a gate misses), and what concerns all of them is done one by
/// one: a floor over so many is raised in minutes.
///
/// Counted are rows of the header index, those of courses that are just being stored for the first
/// time included. Each [`Store`] counts for itself, now and then. With one it is exact; several that
/// fill a store at once may get one course each beyond it.
pub const MAX_COURSES: u64 = 1_000_000;

/// How many courses may be added before they are counted again.
#[derive(Debug, Default)]
pub(super) struct Room(AtomicU64);

/// A part of what there is room for is given out before the courses are counted again: others may be
/// adding to them. So a store is counted some 200 times until it is full.
const SHARE: u64 = 16;

impl Store {
    /// Whether there is room for one more course.
    pub(super) fn check_room(&self, course: &CourseKey) -> Result<()> {
        if self.room.0.load(Ordering::Relaxed) > 0 {
            return Ok(());
        }
        let left = share(self.count_courses());
        self.room.0.store(left, Ordering::Relaxed);
        if left > 0 {
            return Ok(());
        }
        let message = format!(
            "{course} would be one course more than the {MAX_COURSES} that a store may have; delete \
             others, or use another store"
        );
        Err(Error::new(ErrorKind::LimitExceeded, message))
    }

    /// As far as they can be read: a damaged course keeps no other one out.
    fn count_courses(&self) -> u64 {
        let rows = self.engine.scan(Space::Courses, None);
        rows.take_while(Result::is_ok)
            .fold(0, |courses, _| courses + 1)
    }
}

impl Room {
    /// A course was added.
    pub(super) fn take(&self) {
        let less = |left: u64| Some(left.saturating_sub(1));
        // It has a new value in any case.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

/// What one store may add to so many courses before it counts again.
fn share(courses: u64) -> u64 {
    MAX_COURSES.saturating_sub(courses).div_ceil(SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_store_reaches_the_limit_exactly_and_counts_rarely() {
        let (mut courses, mut counts) = (0, 0);
        loop {
            counts += 1;
            match share(courses) {
                0 => break,
                added => courses += added,
            }
        }
        assert_eq!(courses, MAX_COURSES);
        assert!(counts < 250, "{counts}");
        assert_eq!(share(u64::MAX), 0);
    }

    #[test]
    fn as_many_stores_as_there_are_shares_do_not_go_beyond_by_more_than_one_each() {
        for courses in MAX_COURSES - 1_000..=MAX_COURSES {
            let all = courses + SHARE * share(courses);
            assert!(all <= MAX_COURSES + SHARE, "{all}");
        }
    }
}
