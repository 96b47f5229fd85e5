//! The name of a course or library. Knows nothing of blocks but how to make their keys.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use serde::de::Deserializer;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::alphabet::Alphabet;
use super::error::{Noun, Part, Problem, Quoted};
use super::usage_key::{Location, UsageKey};
use super::{KeyError, text};

/// The key of a course or library, in any form that [`CourseKeyKind`] lists.
///
/// Prints the text that it was parsed from. Cloning copies a pointer. Keys of one kind are
/// ordered by org, course, run, branch and version, each by code point and absent ones first; keys
/// of different kinds as [`CourseKeyKind`] lists them. Nothing is normalised: keys that look the
/// same may differ.
///
/// ```
/// use courseblocks::CourseKey;
///
/// let course: CourseKey = "course-v1:edX+DemoX+2026".parse()?;
/// assert_eq!(course.run(), Some("2026"));
/// let block = course.usage_key("problem", "p1")?;
/// assert_eq!(block.to_string(), "block-v1:edX+DemoX+2026+type@problem+block@p1");
/// # Ok::<(), courseblocks::KeyError>(())
/// ```
#[derive(Clone)]
pub struct CourseKey(Arc<Course>);

/// The forms of a [`CourseKey`], in the order of keys that differ in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum CourseKeyKind {
    /// `course-v1:ORG+COURSE+RUN`, which `+branch@BRANCH` and `+version@VERSION` may follow; or
    /// `course-v1:version@VERSION` alone.
    CourseV1,
    /// `ORG/COURSE/RUN`, the oldest form.
    Slash,
    /// `library-v1:ORG+LIBRARY`, with branch and version as in [`CourseV1`](Self::CourseV1).
    LibraryV1,
    /// `lib:ORG:SLUG`, a library of the second kind.
    LibraryV2,
}

struct Course {
    // Invariant: passed `Parts::check`, and `text` is what they print.
    parts: Parts<Box<str>>,
    text: Box<str>,
    // What the keys of all blocks of a slash course share.
    location: OnceLock<Arc<Location>>,
}

/// A course key in parts; the derived order is the documented one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Parts<T> {
    kind: CourseKeyKind,
    org: Option<T>,
    course: Option<T>,
    run: Option<T>,
    branch: Option<T>,
    version_guid: Option<T>,
}

const KNOWN_KINDS: &str = "course-v1:ORG+COURSE+RUN, library-v1:ORG+LIBRARY, lib:ORG:SLUG or \
                           ORG/COURSE/RUN";
const BRANCH: &str = "branch@";
const VERSION: &str = "version@";
const VERSION_DIGITS: usize = 24;

impl CourseKey {
    /// `course-v1:ORG+COURSE+RUN`.
    pub fn course_v1(org: &str, course: &str, run: &str) -> Result<Self, KeyError> {
        Self::from_parts(Parts {
            run: Some(run),
            ..Parts::new(CourseKeyKind::CourseV1, org, course)
        })
    }

    /// `library-v1:ORG+LIBRARY`.
    pub fn library_v1(org: &str, library: &str) -> Result<Self, KeyError> {
        Self::from_parts(Parts::new(CourseKeyKind::LibraryV1, org, library))
    }

    /// The form of the key.
    #[must_use]
    pub fn kind(&self) -> CourseKeyKind {
        self.0.parts.kind
    }

    /// The organisation; `None` if the key is a version alone.
    #[must_use]
    pub fn org(&self) -> Option<&str> {
        self.0.parts.org.as_deref()
    }

    /// The course, or the name or slug of the library; `None` if the key is a version alone.
    #[must_use]
    pub fn course(&self) -> Option<&str> {
        self.0.parts.course.as_deref()
    }

    /// The run of the course; `None` for libraries and if the key is a version alone.
    #[must_use]
    pub fn run(&self) -> Option<&str> {
        self.0.parts.run.as_deref()
    }

    /// The branch, such as `draft-branch`; mostly `None`.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        self.0.parts.branch.as_deref()
    }

    /// The version as 24 hexadecimal digits; mostly `None`.
    #[must_use]
    pub fn version_guid(&self) -> Option<&str> {
        self.0.parts.version_guid.as_deref()
    }

    /// The printed key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// The key of a block in this course, in the form that goes with the course's: `block-v1:`,
    /// `i4x://`, `lib-block-v1:` or `lb:`. It shares the course with all other keys made so.
    pub fn usage_key(&self, block_type: &str, block_id: &str) -> Result<UsageKey, KeyError> {
        UsageKey::in_course(self, block_type, block_id)
    }

    /// What comes after the prefix of the kind.
    pub(super) fn body(&self) -> &str {
        let prefix = self.kind().prefix();
        self.as_str().strip_prefix(prefix).unwrap_or_default()
    }

    pub(super) fn location(&self) -> &Arc<Location> {
        self.0.location.get_or_init(|| {
            let org = self.org().unwrap_or_default();
            Arc::new(Location::new(org, self.course().unwrap_or_default(), None))
        })
    }

    /// The course that follows the prefix of a key.
    pub(super) fn from_body(kind: CourseKeyKind, body: &str) -> Result<Self, Problem> {
        Self::from_unchecked(Parts::split(kind, body)?)
    }

    pub(super) fn library_v2(org: &str, slug: &str) -> Result<Self, Problem> {
        Self::from_unchecked(Parts::new(CourseKeyKind::LibraryV2, org, slug))
    }

    fn from_parts(parts: Parts<&str>) -> Result<Self, KeyError> {
        Self::from_unchecked(parts)
            .map_err(|problem| KeyError::new(Noun::CourseKey, &parts.to_string(), problem))
    }

    fn from_unchecked(parts: Parts<&str>) -> Result<Self, Problem> {
        parts.check()?;
        let text = parts.to_string().into_boxed_str();
        Problem::check_length(text.len())?;
        Ok(Self(Arc::new(Course {
            parts: Parts {
                kind: parts.kind,
                org: parts.org.map(Box::from),
                course: parts.course.map(Box::from),
                run: parts.run.map(Box::from),
                branch: parts.branch.map(Box::from),
                version_guid: parts.version_guid.map(Box::from),
            },
            text,
            location: OnceLock::new(),
        })))
    }
}

impl FromStr for CourseKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        parse(text).map_err(|problem| KeyError::new(Noun::CourseKey, text, problem))
    }
}

fn parse(text: &str) -> Result<CourseKey, Problem> {
    Problem::check_length(text.len())?;
    for kind in [
        CourseKeyKind::CourseV1,
        CourseKeyKind::LibraryV1,
        CourseKeyKind::LibraryV2,
    ] {
        if let Some(body) = text.strip_prefix(kind.prefix()) {
            return CourseKey::from_body(kind, body);
        }
    }
    if text.matches(CourseKeyKind::Slash.separator()).count() == 2 {
        return CourseKey::from_body(CourseKeyKind::Slash, text);
    }
    Err(Problem::UnknownKind { known: KNOWN_KINDS })
}

impl CourseKeyKind {
    /// The printed key is this and the parts with [`separator`](Self::separator) between them.
    fn prefix(self) -> &'static str {
        match self {
            Self::CourseV1 => "course-v1:",
            Self::Slash => "",
            Self::LibraryV1 => "library-v1:",
            Self::LibraryV2 => "lib:",
        }
    }

    fn separator(self) -> char {
        match self {
            Self::CourseV1 | Self::LibraryV1 => '+',
            Self::Slash => '/',
            Self::LibraryV2 => ':',
        }
    }

    fn has_run(self) -> bool {
        matches!(self, Self::CourseV1 | Self::Slash)
    }

    fn has_versions(self) -> bool {
        matches!(self, Self::CourseV1 | Self::LibraryV1)
    }

    /// What the part after the org is called.
    fn course_part(self) -> Part {
        if self.has_run() {
            Part::Course
        } else {
            Part::Library
        }
    }
}

impl<'a> Parts<&'a str> {
    fn new(kind: CourseKeyKind, org: &'a str, course: &'a str) -> Self {
        Self {
            org: Some(org),
            course: Some(course),
            ..Self::none(kind)
        }
    }

    fn none(kind: CourseKeyKind) -> Self {
        Self {
            kind,
            org: None,
            course: None,
            run: None,
            branch: None,
            version_guid: None,
        }
    }

    /// Finds the parts in what follows the prefix; [`check`](Self::check) looks into them.
    fn split(kind: CourseKeyKind, body: &'a str) -> Result<Self, Problem> {
        let mut fields = body.split(kind.separator()).peekable();
        let has_tag = |field: &str, tag| kind.has_versions() && field.starts_with(tag);
        let is_plain = |field: &&str| !has_tag(field, BRANCH) && !has_tag(field, VERSION);

        let mut parts = Self::none(kind);
        let is_version_alone = fields.peek().is_some_and(|field| has_tag(field, VERSION));
        if !is_version_alone {
            let mut next = |part| fields.next_if(is_plain).ok_or(Problem::Missing(part));
            parts.org = Some(next(Part::Org)?);
            parts.course = Some(next(kind.course_part())?);
            if kind.has_run() {
                parts.run = Some(next(Part::Run)?);
            }
            let branch = fields.next_if(|field| has_tag(field, BRANCH));
            parts.branch = branch.and_then(|field| field.strip_prefix(BRANCH));
        }
        let version = fields.next_if(|field| has_tag(field, VERSION));
        parts.version_guid = version.and_then(|field| field.strip_prefix(VERSION));
        Problem::check_end(fields.next())?;
        Ok(parts)
    }

    fn check(&self) -> Result<(), Problem> {
        let (of_org, of_others) = match self.kind {
            CourseKeyKind::CourseV1 | CourseKeyKind::LibraryV1 => (Alphabet::Key, Alphabet::Key),
            CourseKeyKind::Slash => (Alphabet::Slash, Alphabet::Slash),
            CourseKeyKind::LibraryV2 => (Alphabet::Ascii, Alphabet::Slug),
        };
        for (part, value, alphabet) in [
            (Part::Org, self.org, of_org),
            (self.kind.course_part(), self.course, of_others),
            (Part::Run, self.run, of_others),
            (Part::Branch, self.branch, of_others),
        ] {
            if let Some(value) = value {
                Problem::check_part(part, value, alphabet)?;
            }
        }
        match self.version_guid {
            Some(version) if !is_version(version) => Err(Problem::NotAVersion {
                value: Quoted::new(version),
            }),
            _ => Ok(()),
        }
    }
}

fn is_version(text: &str) -> bool {
    let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == VERSION_DIGITS && text.bytes().all(is_digit)
}

impl<T: AsRef<str>> fmt::Display for Parts<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.prefix())?;
        let mut is_first = true;
        for (tag, part) in [
            ("", &self.org),
            ("", &self.course),
            ("", &self.run),
            (BRANCH, &self.branch),
            (VERSION, &self.version_guid),
        ] {
            if let Some(part) = part {
                if !is_first {
                    write!(f, "{}", self.kind.separator())?;
                }
                is_first = false;
                f.write_str(tag)?;
                f.write_str(part.as_ref())?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for CourseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The printed key in quotes.
impl fmt::Debug for CourseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl PartialEq for CourseKey {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.as_str() == other.as_str()
    }
}

impl Eq for CourseKey {}

impl Hash for CourseKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialOrd for CourseKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for CourseKey {
    fn cmp(&self, other: &Self) -> Ordering {
        // Keys of the blocks of one course are compared more often than those of different ones.
        if self == other {
            return Ordering::Equal;
        }
        self.0.parts.cmp(&other.0.parts)
    }
}

impl Serialize for CourseKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for CourseKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V: &str = "0123456789abcdef01234567";

    #[track_caller]
    fn check(text: &str, kind: CourseKeyKind, parts: [Option<&str>; 5]) {
        let key: CourseKey = text.parse().unwrap();
        let found = [
            key.org(),
            key.course(),
            key.run(),
            key.branch(),
            key.version_guid(),
        ];
        assert_eq!((key.kind(), found), (kind, parts));
        assert_eq!(key.to_string(), text);
        assert_eq!(format!("{key:?}"), format!("\"{text}\""));
    }

    #[track_caller]
    fn refuse(text: &str, problem: &str) {
        let error = text.parse::<CourseKey>().unwrap_err().to_string();
        let expected = format!("invalid course key {text:?}: {problem}");
        assert_eq!(error, expected);
    }

    #[test]
    fn each_form_is_read_into_its_parts_and_prints_the_input_back() {
        use CourseKeyKind::{CourseV1, LibraryV1, LibraryV2, Slash};
        let (o, c, r, v) = (Some("O"), Some("C"), Some("R"), Some(V));
        check("course-v1:O+C+R", CourseV1, [o, c, r, None, None]);
        check(
            "course-v1:O+C+R+branch@b",
            CourseV1,
            [o, c, r, Some("b"), None],
        );
        check(
            &format!("course-v1:O+C+R+version@{V}"),
            CourseV1,
            [o, c, r, None, v],
        );
        check(
            &format!("course-v1:O+C+R+branch@b+version@{V}"),
            CourseV1,
            [o, c, r, Some("b"), v],
        );
        check(
            &format!("course-v1:version@{V}"),
            CourseV1,
            [None, None, None, None, v],
        );
        check(
            "course-v1:a:b+~+é.-_",
            CourseV1,
            [Some("a:b"), Some("~"), Some("é.-_"), None, None],
        );
        check("O/C/R", Slash, [o, c, r, None, None]);
        check(
            "O%20/C-1/R.2",
            Slash,
            [Some("O%20"), Some("C-1"), Some("R.2"), None, None],
        );
        check("library-v1:O+C", LibraryV1, [o, c, None, None, None]);
        check(
            "library-v1:O+C+branch@b",
            LibraryV1,
            [o, c, None, Some("b"), None],
        );
        check(
            &format!("library-v1:version@{V}"),
            LibraryV1,
            [None, None, None, None, v],
        );
        check("lib:O:C", LibraryV2, [o, c, None, None, None]);
        check(
            "lib:O:größe",
            LibraryV2,
            [o, Some("größe"), None, None, None],
        );
    }

    #[test]
    fn names_of_parts_are_ordinary_where_no_at_sign_follows() {
        for text in [
            "course-v1:branch+version+type",
            "course-v1:None+block+branch+branch@branch",
            "library-v1:version+branch",
            "course-v1/version/branch",
            "lib:lib:lib",
        ] {
            assert_eq!(text.parse::<CourseKey>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn a_refused_text_is_told_its_wrong_part_and_why() {
        let unknown = format!("it is not of the form {KNOWN_KINDS}");
        for text in [
            "",
            "O",
            "O/C",
            "O/C/R/S",
            "course-v9:O+C+R",
            "LIB:O:C",
            "slashes:O+C+R",
        ] {
            refuse(text, &unknown);
        }
        refuse("course-v1:", "the course is missing");
        refuse("course-v1:O+C", "the run is missing");
        refuse("course-v1:O+C+branch@b", "the run is missing");
        refuse(
            &format!("course-v1:branch@b+version@{V}"),
            "the org is missing",
        );
        refuse("course-v1:O++R", "the course is empty");
        refuse("O/C/", "the run is empty");
        refuse("library-v1:O+", "the library is empty");
        refuse("course-v1:O+C+R+branch@", "the branch is empty");
        refuse(
            "course-v1:O+C+R+",
            r#""" is a part too many or out of order"#,
        );
        refuse(
            "library-v1:O+L+R",
            r#""R" is a part too many or out of order"#,
        );
        refuse("lib:O:L:x", r#""x" is a part too many or out of order"#);
        refuse(
            &format!("course-v1:O+C+R+version@{V}+branch@b"),
            r#""branch@b" is a part too many or out of order"#,
        );
        refuse(
            "course-v1:O+C+R+type@t+block@b",
            r#""type@t" is a part too many or out of order"#,
        );
        refuse(
            "course-v1:O+C c+R",
            r#"the course "C c" has the character ' ', which is not allowed there"#,
        );
        refuse(
            "course-v1:O+C+R\n",
            r#"the run "R\n" has the character '\n', which is not allowed there"#,
        );
        refuse(
            "O~/C/R",
            r#"the org "O~" has the character '~', which is not allowed there"#,
        );
        refuse(
            "lib:é:slug",
            r#"the org "é" has the character 'é', which is not allowed there"#,
        );
        refuse(
            "lib:O:a~b",
            r#"the library "a~b" has the character '~', which is not allowed there"#,
        );
        refuse(
            "course-v1:O+C+R+version@12",
            r#"the version "12" is not 24 lower-case hexadecimal digits"#,
        );
        let upper = V.to_uppercase();
        refuse(
            &format!("library-v1:O+L+version@{upper}"),
            &format!("the version {upper:?} is not 24 lower-case hexadecimal digits"),
        );
    }

    #[test]
    fn only_forms_with_a_prefix_of_version_one_have_versions() {
        for text in [
            format!("lib:version@{V}"),
            format!("lib:O:L:version@{V}"),
            format!("version@{V}"),
            format!("O/C/version@{V}"),
        ] {
            assert!(text.parse::<CourseKey>().is_err(), "{text}");
        }
    }

    #[test]
    fn constructors_make_what_parsing_would() {
        let course = CourseKey::course_v1("O", "C", "R").unwrap();
        assert_eq!(course, "course-v1:O+C+R".parse().unwrap());
        let library = CourseKey::library_v1("O", "L").unwrap();
        assert_eq!(library, "library-v1:O+L".parse().unwrap());
    }

    #[test]
    fn constructors_refuse_what_parsing_would() {
        for (org, course, run) in [
            ("", "C", "R"),
            ("O", "C+R", "x"),
            ("O", "C", "R+branch@b"),
            ("O", "C", "branch@b"),
            ("O", "C/D", "R"),
            ("O", "C", "R%20"),
        ] {
            let error = CourseKey::course_v1(org, course, run).unwrap_err();
            let input = format!("invalid course key \"course-v1:{org}+{course}+{run}\": ");
            assert!(error.to_string().starts_with(&input), "{error}");
        }
        assert!(CourseKey::library_v1("O", "L+R").is_err());
        assert!(CourseKey::library_v1("version@", V).is_err());
    }

    #[test]
    fn keys_of_one_kind_are_ordered_part_by_part() {
        let sorted = [
            "course-v1:A+z+z",
            "course-v1:a+b+c",
            "course-v1:a+b+c+branch@a",
            "course-v1:a+b+c+branch@b",
            "course-v1:a+b+c-",
            "course-v1:a-+a+a",
            "course-v1:ab+a+a",
            "course-v1:ж+a+a",
            // By text this would come before a/z/z, since '-' is less than '/'.
            "a/z/z",
            "a-b/a/a",
            "library-v1:a+a",
            "lib:a:a",
        ]
        .map(|text| text.parse::<CourseKey>().unwrap());
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

    #[test]
    fn the_forms_of_one_course_are_different_keys() {
        let new: CourseKey = "course-v1:a+b+c".parse().unwrap();
        let old: CourseKey = "a/b/c".parse().unwrap();
        assert_ne!(new, old);
    }
}
