//! The name of one block in one course. Knows no block types and no parents.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde::de::Deserializer;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::alphabet::Alphabet;
use super::error::{Noun, Part, Problem};
use super::{CourseKey, CourseKeyKind, KeyError, text};

/// The key of a block, in any form that [`UsageKeyKind`] lists.
///
/// Prints the text that it was parsed from. Keys of one kind are ordered by their course, block
/// type and block id; keys of different kinds as [`UsageKeyKind`] lists them.
///
/// A key is 40 bytes and one allocation for type and id, which the keys of a stored course share.
/// The course is shared by all keys that [`CourseKey::usage_key`] makes of it, so make keys that
/// way where there are many: each parsed or deserialized key has a course of its own.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UsageKey {
    context: Context,
    block: Block,
}

/// `TYPE+ID`, ordered as type and id in turn: no part can have a `+`, and no type a character
/// below it.
#[derive(Clone)]
struct Block {
    /// That of many blocks, where they were made together.
    text: Arc<str>,
    // Invariant: within the text, at boundaries of characters.
    start: u32,
    type_len: u16,
    id_len: u16,
}

/// Makes the keys of many blocks of one course, which share the allocation for types and ids.
pub(crate) struct UsageKeys {
    context: Context,
    /// Bytes of a printed key beside those of type and id.
    overhead: usize,
    text: String,
    /// Where each begins in the text, and the bytes of its type and of its id.
    blocks: Vec<(u32, u16, u16)>,
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
            block: self.block.clone(),
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
            block: Block::new(block_type, block_id),
        }
    }

    /// Bytes of the text of type and id.
    pub(crate) fn text_bytes(&self) -> usize {
        self.block.as_bytes().len()
    }

    fn type_and_id(&self) -> (&str, &str) {
        self.block.parts()
    }
}

impl Block {
    /// Of parts that were checked: a key of more than [`MAX_KEY_BYTES`](super::MAX_KEY_BYTES) is
    /// none.
    fn new(block_type: &str, block_id: &str) -> Self {
        Self {
            text: [block_type, "+", block_id].concat().into(),
            start: 0,
            type_len: short(block_type),
            id_len: short(block_id),
        }
    }

    fn parts(&self) -> (&str, &str) {
        let start = self.start as usize;
        let plus = start + usize::from(self.type_len);
        let end = plus + 1 + usize::from(self.id_len);
        let parts = (self.text.get(start..plus), self.text.get(plus + 1..end));
        (parts.0.unwrap_or_default(), parts.1.unwrap_or_default())
    }

    fn as_bytes(&self) -> &[u8] {
        let start = self.start as usize;
        let end = start + usize::from(self.type_len) + 1 + usize::from(self.id_len);
        self.text.as_bytes().get(start..end).unwrap_or_default()
    }
}

impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Block {}

impl Hash for Block {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl PartialOrd for Block {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Block {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl UsageKeys {
    /// No blocks of `course` yet, with room for as many as are told and for the bytes of their
    /// types and ids.
    pub(crate) fn new(course: &CourseKey, blocks: usize, bytes: usize) -> Self {
        let context = Context::of(course);
        let overhead = context.pieces("", "").iter().map(|piece| piece.len()).sum();
        Self {
            context,
            overhead,
            text: String::with_capacity(bytes + blocks),
            blocks: Vec::with_capacity(blocks),
        }
    }

    /// Adds the key of a block, as [`CourseKey::usage_key`] makes it.
    pub(crate) fn push(&mut self, block_type: &str, block_id: &str) -> Result<(), KeyError> {
        let bytes = self.overhead + block_type.len() + block_id.len();
        let checked = self.context.check_parts(block_type, block_id);
        let checked = checked.and_then(|()| Problem::check_length(bytes));
        let start = checked.and_then(|()| {
            // As many keys as a course may have take far less.
            let bytes = self.text.len();
            u32::try_from(bytes).map_err(|_| Problem::TooLong { bytes })
        });
        let start = start.map_err(|problem| self.context.refused(block_type, block_id, problem))?;
        self.text.push_str(block_type);
        self.text.push('+');
        self.text.push_str(block_id);
        let block = (start, short(block_type), short(block_id));
        self.blocks.push(block);
        Ok(())
    }

    /// The keys in the order in which they were added.
    pub(crate) fn finish(self) -> Vec<UsageKey> {
        let text: Arc<str> = self.text.into();
        let key = |(start, type_len, id_len)| UsageKey {
            context: self.context.clone(),
            block: Block {
                text: Arc::clone(&text),
                start,
                type_len,
                id_len,
            },
        };
        self.blocks.into_iter().map(key).collect()
    }
}

/// The length of a part of a key, which is far shorter than that.
fn short(part: &str) -> u16 {
    u16::try_from(part.len()).unwrap_or(u16::MAX)
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
        let [course, block_type, block_id] = split_tagged(body)?;
        let course = CourseKey::from_body(CourseKeyKind::CourseV1, course)?;
        (Context::BlockV1(course), block_type, block_id)
    } else if let Some(body) = text.strip_prefix(LIBRARY_BLOCK_V1) {
        let [library, block_type, block_id] = split_tagged(body)?;
        let library = CourseKey::from_body(CourseKeyKind::LibraryV1, library)?;
        (Context::LibraryBlockV1(library), block_type, block_id)
    } else if let Some(body) = text.strip_prefix(LIBRARY_BLOCK_V2) {
        let [org, slug, block_type, block_id] = split_plain(body, ':', Part::Library)?;
        let library = CourseKey::library_v2(org, slug)?;
        (Context::LibraryBlockV2(library), block_type, block_id)
    } else if let Some(body) = text.strip_prefix(I4X) {
        let [org, course, block_type, name] = split_plain(body, '/', Part::Course)?;
        let (block_id, revision) = match name.split_once('@') {
            Some((block_id, revision)) => (block_id, Some(revision)),
            None => (name, None),
        };
        let location = Location::new(org, course, revision);
        location.check()?;
        (Context::I4x(Arc::new(location)), block_type, block_id)
    } else {
        return Err(Problem::UnknownKind { known: KNOWN_KINDS });
    };
    context.check_parts(block_type, block_id)?;
    Ok(UsageKey::from_checked(context, block_type, block_id))
}

/// Course, type and id of `COURSE+type@TYPE+block@ID`. The course may have a `+` of its own.
fn split_tagged(body: &str) -> Result<[&str; 3], Problem> {
    let (rest, block_id) = split_last(body, BLOCK, Part::BlockId)?;
    let (course, block_type) = split_last(rest, TYPE, Part::BlockType)?;
    Ok([course, block_type, block_id])
}

fn split_last<'a>(text: &'a str, tag: &str, part: Part) -> Result<(&'a str, &'a str), Problem> {
    let (rest, field) = text.rsplit_once('+').ok_or(Problem::Missing(part))?;
    let value = field.strip_prefix(tag).ok_or(Problem::Missing(part))?;
    Ok((rest, value))
}

/// The four parts that `separator` separates, of which the second is called `course`.
fn split_plain(body: &str, separator: char, course: Part) -> Result<[&str; 4], Problem> {
    let mut fields = body.split(separator);
    let mut next = |part| fields.next().ok_or(Problem::Missing(part));
    let parts = [
        next(Part::Org)?,
        next(course)?,
        next(Part::BlockType)?,
        next(Part::BlockId)?,
    ];
    Problem::check_end(fields.next())?;
    Ok(parts)
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
            .map_err(|problem| self.refused(block_type, block_id, problem))
    }

    #[cold]
    fn refused(&self, block_type: &str, block_id: &str, problem: Problem) -> KeyError {
        let text = self.pieces(block_type, block_id).concat();
        KeyError::new(Noun::UsageKey, &text, problem)
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
        let tagged = |prefix, course: &'a CourseKey| {
            let body = course.body();
            [
                prefix, body, "+", TYPE, block_type, "+", BLOCK, block_id, "", "",
            ]
        };
        match self {
            Self::BlockV1(course) => tagged(BLOCK_V1, course),
            Self::LibraryBlockV1(library) => tagged(LIBRARY_BLOCK_V1, library),
            Self::LibraryBlockV2(library) => {
                let body = library.body();
                [
                    LIBRARY_BLOCK_V2,
                    body,
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
                let Location {
                    org,
                    course,
                    revision,
                } = &**location;
                let (at, revision) = revision.as_deref().map_or(("", ""), |name| ("@", name));
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

    fn check(&self) -> Result<(), Problem> {
        Problem::check_part(Part::Org, &self.org, Alphabet::Slash)?;
        Problem::check_part(Part::Course, &self.course, Alphabet::Slash)?;
        match &self.revision {
            Some(revision) => Problem::check_part(Part::Revision, revision, Alphabet::LocationId),
            None => Ok(()),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    const V: &str = "0123456789abcdef01234567";

    #[track_caller]
    fn check(text: &str, kind: UsageKeyKind, course: Option<&str>, block: (&str, &str)) {
        let key: UsageKey = text.parse().unwrap();
        let found = (key.block_type(), key.block_id());
        assert_eq!((key.kind(), found), (kind, block));
        assert_eq!(key.course_key().map(CourseKey::as_str), course);
        assert_eq!(key.to_string(), text);
        assert_eq!(format!("{key:?}"), format!("\"{text}\""));
    }

    /// Keys that share a text are the ones that are made one by one, and refused like them.
    #[test]
    fn keys_that_are_made_together_are_no_different() {
        for course in ["course-v1:O+C+R", "O/C/R", "library-v1:O+L", "lib:O:L"] {
            let course: CourseKey = course.parse().unwrap();
            let long = "b".repeat(2_000);
            let blocks = [
                ("html", "b"),
                ("a-b.c", "é"),
                ("t", "a%20b"),
                ("", "b"),
                ("t", ""),
                ("t", "a+b"),
                ("t", "a b"),
                ("é", "b"),
                ("t", &long),
                (&long, "b"),
                ("t", "b~:"),
            ];
            let mut keys = UsageKeys::new(&course, blocks.len(), 0);
            let mut expected = Vec::new();
            for (block_type, block_id) in blocks {
                let pushed = keys
                    .push(block_type, block_id)
                    .map_err(|error| error.to_string());
                let one = course.usage_key(block_type, block_id);
                let one = one.map_err(|error| error.to_string());
                assert_eq!(pushed, one.clone().map(|_| ()));
                expected.extend(one);
            }
            let keys = keys.finish();
            assert_eq!(keys, expected);
            for (key, one) in keys.iter().zip(&expected) {
                assert_eq!(key.to_string(), one.to_string());
                assert_eq!(key.block_type(), one.block_type());
                assert_eq!(key.block_id(), one.block_id());
                for (other, another) in keys.iter().zip(&expected) {
                    assert_eq!(key.cmp(other), one.cmp(another));
                }
            }
        }
    }

    #[track_caller]
    fn refuse(text: &str, problem: &str) {
        let error = text.parse::<UsageKey>().unwrap_err().to_string();
        assert_eq!(error, format!("invalid usage key {text:?}: {problem}"));
    }

    #[test]
    fn each_form_is_read_into_its_parts_and_prints_the_input_back() {
        use UsageKeyKind::{BlockV1, I4x, LibraryBlockV1, LibraryBlockV2};
        let course = Some("course-v1:O+C+R");
        check("block-v1:O+C+R+type@t+block@b", BlockV1, course, ("t", "b"));
        check(
            "block-v1:O+C+R+type@a-b.c+block@~:é",
            BlockV1,
            course,
            ("a-b.c", "~:é"),
        );
        check(
            "block-v1:O+C+R+type@block+block@type",
            BlockV1,
            course,
            ("block", "type"),
        );
        check(
            &format!("block-v1:O+C+R+branch@b+version@{V}+type@t+block@b"),
            BlockV1,
            Some(&format!("course-v1:O+C+R+branch@b+version@{V}")),
            ("t", "b"),
        );
        check(
            &format!("block-v1:version@{V}+type@t+block@b"),
            BlockV1,
            Some(&format!("course-v1:version@{V}")),
            ("t", "b"),
        );
        check(
            "lib-block-v1:O+L+type@t+block@b",
            LibraryBlockV1,
            Some("library-v1:O+L"),
            ("t", "b"),
        );
        check("lb:O:L:t:b", LibraryBlockV2, Some("lib:O:L"), ("t", "b"));
        check("i4x://O/C/t/b", I4x, None, ("t", "b"));
        check("i4x://O/C/t/b@draft", I4x, None, ("t", "b"));
        check("i4x://O%/C/t/a%20:~b", I4x, None, ("t", "a%20:~b"));
    }

    #[test]
    fn org_course_and_branch_are_told_by_every_form() {
        #[track_caller]
        fn check(text: &str, expected: [Option<&str>; 3]) {
            let key: UsageKey = text.parse().unwrap();
            assert_eq!([key.org(), key.course(), key.branch()], expected);
        }
        let (o, c) = (Some("O"), Some("C"));
        check("block-v1:O+C+R+branch@b+type@t+block@x", [o, c, Some("b")]);
        check(&format!("block-v1:version@{V}+type@t+block@x"), [None; 3]);
        check("lib-block-v1:O+C+type@t+block@x", [o, c, None]);
        check("lb:O:C:t:x", [o, c, None]);
        check("i4x://O/C/t/x@r", [o, c, Some("r")]);
        check("i4x://O/C/t/x", [o, c, None]);
    }

    #[test]
    fn a_refused_text_is_told_its_wrong_part_and_why() {
        let unknown = format!("it is not of the form {KNOWN_KINDS}");
        for text in [
            "",
            "course-v1:O+C+R",
            "i4x:/O/C/t/b",
            "block-v2:O+C+R+type@t+block@b",
        ] {
            refuse(text, &unknown);
        }
        refuse("block-v1:", "the block id is missing");
        refuse("block-v1:O+C+R+type@t", "the block id is missing");
        refuse("block-v1:O+C+R+block@b+type@t", "the block id is missing");
        refuse("block-v1:O+C+R+block@b", "the block type is missing");
        refuse("block-v1:O+C+type@t+block@b", "the run is missing");
        refuse("block-v1:type@t+block@b", "the block type is missing");
        refuse("block-v1:O+C+R+type@+block@b", "the block type is empty");
        refuse("block-v1:O+C+R+type@t+block@", "the block id is empty");
        refuse("lb:O:L:t", "the block id is missing");
        refuse("lb:O", "the library is missing");
        refuse("i4x://O/C/t", "the block id is missing");
        refuse("i4x://O/C/t/", "the block id is empty");
        refuse("i4x:///C/t/b", "the org is empty");
        refuse("i4x://O/C/t/b@", "the revision is empty");
        refuse(
            "i4x://O/C/t/b/c",
            r#""c" is a part too many or out of order"#,
        );
        refuse("lb:O:L:t:b:c", r#""c" is a part too many or out of order"#);
        refuse(
            "lib-block-v1:O+L+R+type@t+block@b",
            r#""R" is a part too many or out of order"#,
        );
        for (text, part, value, character) in [
            ("block-v1:O+C+R+type@t+block@a b", "block id", "a b", ' '),
            ("block-v1:O+C+R+type@t+block@50%", "block id", "50%", '%'),
            ("block-v1:O+C+R+type@t+block@x@y", "block id", "x@y", '@'),
            ("block-v1:O+C+R+type@t/+block@b", "block type", "t/", '/'),
            ("block-v1:O+é!+R+type@t+block@b", "course", "é!", '!'),
            ("i4x://O/C/t t/b", "block type", "t t", ' '),
            ("i4x://O/C/t%/b", "block type", "t%", '%'),
            ("i4x://O/C:/t/b", "course", "C:", ':'),
            ("i4x://O/C/t/b@r@s", "revision", "r@s", '@'),
            ("lb:O:L:é:b", "block type", "é", 'é'),
            ("lb:O:L:t:a~b", "block id", "a~b", '~'),
        ] {
            let problem = format!(
                "the {part} {value:?} has the character {character:?}, which is not allowed there"
            );
            refuse(text, &problem);
        }
    }

    #[test]
    fn a_course_makes_keys_of_its_own_form() {
        #[track_caller]
        fn check(course: &str, expected: &str) {
            let course: CourseKey = course.parse().unwrap();
            let key = course.usage_key("html", "x.1").unwrap();
            assert_eq!(key.to_string(), expected);
            assert_eq!(key, expected.parse().unwrap());
        }
        check("course-v1:O+C+R", "block-v1:O+C+R+type@html+block@x.1");
        check(
            "course-v1:O+C+R+branch@b",
            "block-v1:O+C+R+branch@b+type@html+block@x.1",
        );
        check("O/C/R", "i4x://O/C/html/x.1");
        check("library-v1:O+L", "lib-block-v1:O+L+type@html+block@x.1");
        check("lib:O:L", "lb:O:L:html:x.1");
    }

    #[test]
    fn a_course_refuses_blocks_that_its_form_cannot_print() {
        #[track_caller]
        fn check(course: &str, block: (&str, &str), expected: &str) {
            let course: CourseKey = course.parse().unwrap();
            let error = course.usage_key(block.0, block.1).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
        check(
            "course-v1:O+C+R",
            ("html", "a+b"),
            "invalid usage key \"block-v1:O+C+R+type@html+block@a+b\": the block id \"a+b\" has \
             the character '+', which is not allowed there",
        );
        check(
            "O/C/R",
            ("html", "a@b"),
            "invalid usage key \"i4x://O/C/html/a@b\": the block id \"a@b\" has the character \
             '@', which is not allowed there",
        );
        check(
            "lib:O:L",
            ("html", "a:b"),
            "invalid usage key \"lb:O:L:html:a:b\": the block id \"a:b\" has the character ':', \
             which is not allowed there",
        );
        check(
            "library-v1:O+L",
            ("", "x"),
            "invalid usage key \"lib-block-v1:O+L+type@+block@x\": the block type is empty",
        );
    }

    #[test]
    fn mapping_takes_everything_but_type_and_id_from_the_course() {
        #[track_caller]
        fn check(key: &str, course: &str, expected: Option<&str>) {
            let key: UsageKey = key.parse().unwrap();
            let mapped = key.map_into_course(&course.parse().unwrap());
            let printed = mapped.as_ref().map(UsageKey::to_string).ok();
            assert_eq!(printed.as_deref(), expected);
        }
        let course = "course-v1:O+C+R";
        check(
            "i4x://X/Y/t/b@draft",
            course,
            Some("block-v1:O+C+R+type@t+block@b"),
        );
        check("lb:X:Y:t:b", course, Some("block-v1:O+C+R+type@t+block@b"));
        check(
            "block-v1:X+Y+Z+branch@q+type@t+block@b",
            "O/C/R",
            Some("i4x://O/C/t/b"),
        );
        check(
            "block-v1:X+Y+Z+type@t+block@b",
            "library-v1:O+L",
            Some("lib-block-v1:O+L+type@t+block@b"),
        );
        check(
            "block-v1:X+Y+Z+type@t+block@b",
            "course-v1:O+C+R+branch@q",
            Some("block-v1:O+C+R+branch@q+type@t+block@b"),
        );
        check("i4x://X/Y/t/a%20b", "O/C/R", Some("i4x://O/C/t/a%20b"));
        check("i4x://X/Y/t/a%20b", course, None);
        check("block-v1:X+Y+Z+type@t+block@a:b", "lib:O:L", None);
    }

    #[test]
    fn keys_of_one_course_share_it() {
        assert_eq!(size_of::<UsageKey>(), 4 * size_of::<usize>() + 8);

        for course in ["course-v1:O+C+R", "O/C/R"] {
            let course: CourseKey = course.parse().unwrap();
            let keys = [("a", "1"), ("b", "2")].map(|(block_type, block_id)| {
                course.usage_key(block_type, block_id).unwrap().context
            });
            match keys {
                [Context::BlockV1(one), Context::BlockV1(other)] => {
                    assert!(std::ptr::eq(one.as_str(), other.as_str()));
                }
                [Context::I4x(one), Context::I4x(other)] => assert!(Arc::ptr_eq(&one, &other)),
                _ => panic!("neither of the two forms"),
            }
        }
    }

    #[test]
    fn keys_are_ordered_by_course_then_type_then_id() {
        let sorted = [
            "block-v1:a+b+b+type@video+block@a",
            "block-v1:a+b+c+type@html+block@b",
            "block-v1:a+b+c+type@html+block@b-",
            "block-v1:a+b+c+type@html-+block@a",
            "block-v1:a+b+c+type@html2+block@a",
            "block-v1:a+b+c+branch@a+type@a+block@a",
            "i4x://a/b/html/%",
            "i4x://a/b/html/-",
            "i4x://a/b/html-/%",
            "i4x://a/b/a/a@draft",
            "i4x://a-/b/html/%",
            "lib-block-v1:a+b+type@t+block@b",
            "lb:a:b:t:b",
        ]
        .map(|text| text.parse::<UsageKey>().unwrap());
        for (position, key) in sorted.iter().enumerate() {
            for (other_position, other) in sorted.iter().enumerate() {
                assert_eq!(
                    key.cmp(other),
                    position.cmp(&other_position),
                    "{key} {other}"
                );
                assert_eq!(key == other, position == other_position);
            }
        }
    }
}
