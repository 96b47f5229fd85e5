//! What a backup holds, checked as a store would check it: every course whole, every row where it
//! belongs. It must not know where it goes.

use std::io::{BufReader, Read};

use super::Summary;
use super::reader::{Frame, Next, Reader};
use crate::engine::{Space, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::key::CourseKey;
use crate::store::{CarriedRecords, carried_key, check_carried_control};

/// What is found in a backup, in its order.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// A course begins.
    Course(&'a CourseKey),
    /// A value, checked by itself. Only at the end is it known that nothing is missing.
    Value(Frame),
}

/// Memory for what is to be read: heads of frames are small.
const BUFFER_BYTES: usize = 256 << 10;

/// Reads a backup to its end, which alone says that it is whole.
pub(super) fn read(
    from: impl Read,
    mut on_found: impl FnMut(Found<'_>) -> Result<()>,
) -> Result<Summary> {
    let mut reader = Reader::begin(BufReader::with_capacity(BUFFER_BYTES, from))?;
    let mut place = Place::default();
    loop {
        match reader.next()? {
            Next::Frame(frame) => {
                let is_course = frame.space == Space::Courses;
                let checked = place.advance(&frame);
                checked.map_err(|error| wrong(&reader, error))?;
                if let Some((course, _)) = place.course.as_ref().filter(|_| is_course) {
                    on_found(Found::Course(course))?;
                }
                on_found(Found::Value(frame))?;
            }
            Next::End(summary) => {
                place
                    .leave_course()
                    .map_err(|error| wrong(&reader, error))?;
                return Ok(summary);
            }
        }
    }
}

/// Where in a backup we are.
#[derive(Debug, Default)]
struct Place {
    /// The course whose records are being read.
    course: Option<(CourseKey, CarriedRecords)>,
    /// The partition of the last course.
    last_course: Option<Vec<u8>>,
    /// The partition and name of the last row of control data.
    last_control: Option<(Vec<u8>, Vec<u8>)>,
}

impl Place {
    /// Whether the frame may follow.
    fn advance(&mut self, frame: &Frame) -> Result<()> {
        match frame.space {
            Space::Courses => self.enter_course(frame),
            Space::Records => match &mut self.course {
                Some((course, records)) if course.as_str().as_bytes() == frame.partition => {
                    records.check(&frame.name, &frame.value)
                }
                _ => Err(misplaced("a record without its course")),
            },
            Space::Control => self.enter_control(frame),
        }
    }

    fn enter_course(&mut self, frame: &Frame) -> Result<()> {
        self.leave_course()?;
        let partition = &frame.partition;
        let is_in_order = self
            .last_course
            .as_ref()
            .is_none_or(|last| last < partition);
        if !is_in_order || !frame.name.is_empty() || self.last_control.is_some() {
            return Err(misplaced("a course out of order"));
        }
        let course = carried_key(partition)?;
        let row = Value::from(frame.value.as_slice());
        let Some((records, _)) = CarriedRecords::of(&course, &row)? else {
            return Err(misplaced("a course that is only reserved"));
        };
        self.last_course = Some(partition.clone());
        self.course = Some((course, records));
        Ok(())
    }

    fn enter_control(&mut self, frame: &Frame) -> Result<()> {
        self.leave_course()?;
        let key = (frame.partition.clone(), frame.name.clone());
        if self.last_control.as_ref().is_some_and(|last| *last >= key) {
            return Err(misplaced("control data out of order"));
        }
        self.last_control = Some(key);
        check_carried_control(&frame.partition, &frame.name, &frame.value)
    }

    fn leave_course(&mut self) -> Result<()> {
        match self.course.take() {
            Some((_, records)) => records.finish(),
            None => Ok(()),
        }
    }
}

fn misplaced(what: &str) -> Error {
    Error::new(ErrorKind::Damaged, what)
}

/// Its frames are whole and what they hold is not: nothing that this code wrote.
fn wrong<R: Read>(reader: &Reader<R>, error: Error) -> Error {
    reader.damaged(&error.to_string()).with_source(error)
}
