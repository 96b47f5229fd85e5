//! Taking a backup of a store that others write to meanwhile.

use std::io::{BufWriter, Write};

use super::Summary;
use super::writer::Writer;
use crate::engine::Space;
use crate::error::{Error, ErrorKind, Result};
use crate::key::CourseKey;
use crate::rollout::carried_control;
use crate::store::Store;
use crate::timestamp::Timestamp;

/// What becomes of what is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenDamaged {
    /// There is no backup: the first damage is an error.
    Refuse,
    /// Whole courses, and single rows of control data, are left out. [`Step::LeftOut`] tells which,
    /// and [`Summary::left_out`] how many, in the backup too.
    LeaveOut,
}

/// How far a backup is.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// So many courses are to be read.
    Courses(usize),
    /// This course is next.
    Course(&'a CourseKey),
    /// This is damaged and left out.
    LeftOut(&'a Error),
}

/// Memory for what is to be written: heads of frames are small.
const BUFFER_BYTES: usize = 256 << 10;

/// Writes everything that a store keeps, as it was at some moment for each course, and after that
/// moment for the control data. Others may write to the store meanwhile: a course that is published
/// before its turn is in it as it is then, one that is stored for the first time may be in it or
/// not, and one that is deleted before its turn is not.
///
/// In memory at once are the keys of all courses, the control data, and one course.
///
/// # Errors
/// [`Damaged`](ErrorKind::Damaged) names what is damaged; damaged floors are an error in any case,
/// because without them older releases would be let in again. [`Conflict`](ErrorKind::Conflict)
/// when a course, or the floors, change faster than they can be read.
/// [`Storage`](ErrorKind::Storage) when the engine fails, or when `to` does. What was written by
/// then is no backup.
pub fn take(
    store: &Store,
    to: impl Write,
    made_at: Timestamp,
    when_damaged: WhenDamaged,
    mut on_step: impl FnMut(Step<'_>),
) -> Result<Summary> {
    let to = BufWriter::with_capacity(BUFFER_BYTES, to);
    let mut backup = Backup {
        writer: Writer::begin(to, made_at)?,
        when_damaged,
        on_step: &mut on_step,
    };
    let courses = store.carried_courses(|error| backup.leave_out(error))?;
    (backup.on_step)(Step::Courses(courses.len()));
    let mut newest = None;
    for course in &courses {
        (backup.on_step)(Step::Course(course));
        let carried = match store.carried_course(course) {
            Ok(Some(carried)) => carried,
            // It was deleted meanwhile, or is about to be stored.
            Ok(None) => continue,
            Err(error) => {
                backup.leave_out(error)?;
                continue;
            }
        };
        newest = newest.max(carried.floor_epoch);
        let partition = course.as_str().as_bytes();
        let writer = &mut backup.writer;
        writer.value(Space::Courses, partition, b"", &carried.row)?;
        for (name, value) in &carried.records {
            writer.value(Space::Records, partition, name, value)?;
        }
    }
    let control = carried_control(store, newest, |error| backup.leave_out(error))?;
    for item in control {
        let value = item.value();
        let writer = &mut backup.writer;
        writer.value(Space::Control, item.partition(), item.name(), value)?;
    }
    // Nothing may be in it that the store itself can still lose.
    store.engine().flush()?;
    backup.writer.end()
}

struct Backup<'a, W> {
    writer: Writer<W>,
    when_damaged: WhenDamaged,
    on_step: &'a mut dyn FnMut(Step<'_>),
}

impl<W: Write> Backup<'_, W> {
    fn leave_out(&mut self, error: Error) -> Result<()> {
        if self.when_damaged == WhenDamaged::Refuse || error.kind() != ErrorKind::Damaged {
            return Err(error);
        }
        self.writer.leave_out();
        (self.on_step)(Step::LeftOut(&error));
        Ok(())
    }
}
