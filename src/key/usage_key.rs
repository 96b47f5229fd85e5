//! The name of one block in one course. Knows no block types and no parents.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::Deserializer;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::alphabet::Alphabet;
use super::error::{Noun, Part, Problem, Quoted};
use super::{CourseKey, CourseKeyKind, KeyError, text};

/// The key of a block, in any form that [`UsageKeyKind`] lists.
///
/// Prints the text that it was parsed from. Keys of one kind are ordered by their course, block
/// type and block id; keys of different kinds as [`UsageKeyKind`] lists them.
///
/// A key is two pointers and one allocation for type and id. The course is shared by all keys
/// that [`CourseKey::usage_key`] makes of it, so make keys that way where there are many: each
/// parsed or deserialized key has a course of its own.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UsageKey {
    context: Context,
    /// Invariant: `TYPE+ID`. No part can have a `+`, and no type a character below it, so that
    /// this text is ordered as type and id in turn.
    block: Arc<str>,
}

/// The forms of a [`UsageKey`], in the order of keys that differ in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum UsageKeyKind {
    /// `block-v1:ORG+COURSE+RUN+type@TYPE+block@ID`, in a course of kind
    /// [`CourseV1`](CourseKeyKind::CourseV1).
    BlockV1,
    /// `i4x://ORG/COURSE/TYPE/ID`, which `@REVISION` may follow: in a course of kind
    /// [`Slash`](CourseKeyKind::Slash), but without its run.
    I4x,
    /// `lib-block-v1:ORG+LIBRARY+type@TYPE+block@ID`, in a library of kind
    /// [`LibraryV1`](CourseKeyKind::LibraryV1).
    LibraryBlockV1,
    /// `lb:ORG:SLUG:TYPE:ID`, in a library of kind [`LibraryV2`](CourseKeyKind::LibraryV2).
    LibraryBlockV2,
}

/// What a block is in, and with it the form of the key.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Context {
    BlockV1(CourseKey),
    I4x(Arc<Location>),
    LibraryBlockV1(CourseKey),
    LibraryBlockV2(CourseKey),
}

/// What an i4x key says of its course.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Location {
    org: Box<str>,
    course: Box<str>,
    revision: Option<Box<str>>,
}

const KNOWN_KINDS: &str = "block-v1:ORG+COURSE+RUN+type@TYPE+block@ID, \
                           lib-block-v1:ORG+LIBRARY+type@TYPE+block@ID, lb:ORG:SLUG:TYPE:ID or \
                           i4x://ORG/COURSE/TYPE/ID";
const BLOCK_V1: &str = "block-v1:";
const I4X: &str = "i4x://";
const LIBRARY_BLOCK_V1: &str = "lib-block-v1:";
const LIBRARY_BLOCK_V2: &str = "lb:";
const TYPE: &str = "type@";
const BLOCK: &str = "block@";

impl UsageKey {
    /// The form of the key.
    #[must_use]
    pub fn kind(&self) -> UsageKeyKind {
        match self.context {
            Context::BlockV1(_) => UsageKeyKind::BlockV1,
            Context::I4x(_) => UsageKeyKind::I4x,
            Context::LibraryBlockV1(_) => UsageKeyKind::LibraryBlockV1,
            Context::LibraryBlockV2(_) => UsageKeyKind::LibraryBlockV2,
        }
    }

    /// The type of the block, such as `problem`.
    #[must_use]
    pub fn block_type(&self) -> &str {
        self.type_and_id().0
    }

    /// The id of the block, which only together with the type is unique in its course.
    #[must_use]
    pub fn block_id(&self) -> &str {
        self.type_and_id().1
    }

    /// The course or library; `None` for `i4x` keys, which lack the run.
    #[must_use]
    pub fn course_key(&self) -> Option<&CourseKey> {
        match &self.context {
            Context::I4x(_) => None,
            Context::BlockV1(course)
            | Context::LibraryBlockV1(course)
            | Context::LibraryBlockV2(course) => Some(course),
        }
    }

    /// The organisation; `None` if the course is a version alone.
    #[must_use]
    pub fn org(&self) -> Option<&str> {
        match &self.context {
            Context::I4x(location) => Some(&location.org),
            _ => self.course_key()?.org(),
        }
    }

    /// The course without its run, or the name or slug of the library; `None` if the course is a
    /// version alone.
    #[must_use]
    pub fn course(&self) -> Option<&str> {
        match &self.context {
            Context::I4x(location) => Some(&location.course),
            _ => self.course_key()?.course(),
        }
    }

    /// The branch of the course, or the revision of an `i4x` key; mostly `None`.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        match &self.context {
            Context::I4x(location) => location.revision.as_deref(),
            _ => self.course_key()?.branch(),
        }
    }

    /// The key of the block with this type and id in `course`, in the form that goes with the
    /// course's. The course, branch and version of `self` are dropped. An error if the other form
    /// does not allow the type or id, as `block-v1:` does not allow the `%` of `i4x://`.
    pub fn map_into_course(&self, course: &CourseKey) -> Result<Self, KeyError> {
        let (block_type, block_id) = self.type_and_id();
        let context = Context::of(course);
        context.check(block_type, block_id)?;
        Ok(Self {
            context,
            block: Arc::clone(&self.block),
        })
    }

    pub(super) fn in_course(
        course: &CourseKey,
        block_type: &str,
        block_id: &str,
    ) -> Result<Self, KeyError> {
        let context = Context::of(course);
        context.check(block_type, block_id)?;
        Ok(Self::from_checked(context, block_type, block_id))
    }

    fn from_checked(context: Context, block_type: &str, block_id: &str) -> Self {
        Self {
            context,
            block: [block_type, "+", block_id].concat().into(),
        }
    }

    fn type_and_id(&self) -> (&str, &str) {
        self.block.split_once('+').unwrap_or_default()
    }
}

impl FromStr for UsageKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        parse(text).map_err(|problem| KeyError::new(Noun::UsageKey, text, problem))
    }
}

fn parse(text: &str) -> Result<UsageKey, Problem> {
    Problem::check_length(text.len())?;
    let (context, block_type, block_id) = if let Some(body) = text.strip_prefix(BLOCK_V1) {
        let (course, block_type, block_id) = split_tagged(body)?;
        let course = CourseKey::from_body(CourseKeyKind::CourseV1, course)?;
        (Context::BlockV1(course), block_type, block_id)
    } else if let Some(body) = text.strip_prefix(LIBRARY_BLOCK_V1) {
        let (library, block_type, block_id) = split_tagged(body)?;
        let library = CourseKey::from_body(CourseKeyKind::LibraryV1, library)?;
        (Context::LibraryBlockV1(library), block_type, block_id)
    } else if let Some(body) = text.strip_prefix(LIBRARY_BLOCK_V2) {
        let (library, block_type, block_id) = split_last_two(body, ':')?;
        let library = CourseKey::from_body(CourseKeyKind::LibraryV2, library)?;
        (Context::LibraryBlockV2(library), block_type, block_id)
    } else if let Some(body) = text.strip_prefix(I4X) {
        let (course, block_type, name) = split_last_two(body, '/')?;
        let (block_id, revision) = match name.split_once('@') {
            Some((block_id, revision)) => (block_id, Some(revision)),
            None => (name, None),
        };
        let location = Location::parse(course, revision)?;
        (Context::I4x(Arc::new(location)), block_type, block_id)
    } else {
        return Err(Problem::UnknownKind { known: KNOWN_KINDS });
    };
    context.check_parts(block_type, block_id)?;
    Ok(UsageKey::from_checked(context, block_type, block_id))
}

/// `COURSE+type@TYPE+block@ID` in its three parts.
fn split_tagged(body: &str) -> Result<(&str, &str, &str), Problem> {
    let (rest, block_id) = split_last_tagged(body, BLOCK, Part::BlockId)?;
    let (course, block_type) = split_last_tagged(rest, TYPE, Part::BlockType)?;
    Ok((course, block_type, block_id))
}

fn split_last_tagged<'a>(
    text: &'a str,
    tag: &str,
    part: Part,
) -> Result<(&'a str, &'a str), Problem> {
    let (rest, field) = text.rsplit_once('+').ok_or(Problem::Missing(part))?;
    let value = field.strip_prefix(tag).ok_or(Problem::Missing(part))?;
    Ok((rest, value))
}

fn split_last_two(body: &str, separator: char) -> Result<(&str, &str, &str), Problem> {
    let missing = Problem::Missing;
    let (rest, block_id) = body.rsplit_once(separator).ok_or(missing(Part::BlockId))?;
    let (course, block_type) = rest
        .rsplit_once(separator)
        .ok_or(missing(Part::BlockType))?;
    Ok((course, block_type, block_id))
}

impl Context {
    fn of(course: &CourseKey) -> Self {
        match course.kind() {
            CourseKeyKind::CourseV1 => Self::BlockV1(course.clone()),
            CourseKeyKind::Slash => Self::I4x(Arc::clone(course.location())),
            CourseKeyKind::LibraryV1 => Self::LibraryBlockV1(course.clone()),
            CourseKeyKind::LibraryV2 => Self::LibraryBlockV2(course.clone()),
        }
    }

    /// Whether a block of this type and id can be here.
    fn check(&self, block_type: &str, block_id: &str) -> Result<(), KeyError> {
        let pieces = self.pieces(block_type, block_id);
        self.check_parts(block_type, block_id)
            .and_then(|()| Problem::check_length(pieces.iter().map(|piece| piece.len()).sum()))
            .map_err(|problem| KeyError::new(Noun::UsageKey, &pieces.concat(), problem))
    }

    fn check_parts(&self, block_type: &str, block_id: &str) -> Result<(), Problem> {
        let (of_type, of_id) = match self {
            Self::BlockV1(_) | Self::LibraryBlockV1(_) => (Alphabet::Key, Alphabet::Key),
            // The original does not look at the type here. Refused is what no other form allows.
            Self::I4x(_) => (Alphabet::Key, Alphabet::LocationId),
            Self::LibraryBlockV2(_) => (Alphabet::Ascii, Alphabet::Slug),
        };
        Problem::check_part(Part::BlockType, block_type, of_type)?;
        Problem::check_part(Part::BlockId, block_id, of_id)
    }

    /// The printed key of a block here, in order; unused places are empty.
    fn pieces<'a>(&'a self, block_type: &'a str, block_id: &'a str) -> [&'a str; 10] {
        match self {
            Self::BlockV1(course) => {
                let course = course.body();
                [
                    BLOCK_V1, course, "+", TYPE, block_type, "+", BLOCK, block_id, "", "",
                ]
            }
            Self::LibraryBlockV1(library) => {
                let library = library.body();
                [
                    LIBRARY_BLOCK_V1,
                    library,
                    "+",
                    TYPE,
                    block_type,
                    "+",
                    BLOCK,
                    block_id,
                    "",
                    "",
                ]
            }
            Self::LibraryBlockV2(library) => {
                let library = library.body();
                [
                    LIBRARY_BLOCK_V2,
                    library,
                    ":",
                    block_type,
                    ":",
                    block_id,
                    "",
                    "",
                    "",
                    "",
                ]
            }
            Self::I4x(location) => {
                let (at, revision) = match &location.revision {
                    Some(revision) => ("@", &**revision),
                    None => ("", ""),
                };
                let (org, course) = (&*location.org, &*location.course);
                [
                    I4X, org, "/", course, "/", block_type, "/", block_id, at, revision,
                ]
            }
        }
    }
}

impl Location {
    pub(super) fn new(org: &str, course: &str, revision: Option<&str>) -> Self {
        Self {
            org: org.into(),
            course: course.into(),
            revision: revision.map(Box::from),
        }
    }

    /// From `ORG/COURSE` and what follows the `@`.
    fn parse(course: &str, revision: Option<&str>) -> Result<Self, Problem> {
        let (org, course) = course
            .split_once('/')
            .ok_or(Problem::Missing(Part::Course))?;
        if let Some((_, rest)) = course.split_once('/') {
            return Err(Problem::Unexpected {
                value: Quoted::new(rest),
            });
        }
        Problem::check_part(Part::Org, org, Alphabet::Slash)?;
        Problem::check_part(Part::Course, course, Alphabet::Slash)?;
        if let Some(revision) = revision {
            Problem::check_part(Part::Branch, revision, Alphabet::LocationId)?;
        }
        Ok(Self::new(org, course, revision))
    }
}

impl fmt::Display for UsageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (block_type, block_id) = self.type_and_id();
        let pieces = self.context.pieces(block_type, block_id);
        pieces.iter().try_for_each(|piece| f.write_str(piece))
    }
}

/// The printed key in quotes.
impl fmt::Debug for UsageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for UsageKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UsageKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(deserializer)
    }
}
