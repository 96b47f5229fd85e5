//! What is wrong with a text that should have been a key. Knows no grammar.

use std::fmt;

use super::MAX_KEY_BYTES;
use super::alphabet::Alphabet;
use crate::error::{Error, ErrorKind};

/// A text that is no key, or parts that make none. The message names the input, its wrong part
/// and the reason, on one line whatever the input holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid {noun} {input}: {problem}", noun = .0.noun, input = .0.input, problem = .0.problem)]
pub struct KeyError(
    // Boxed so that the results of parsing stay as small as the keys.
    Box<Failure>,
);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    noun: Noun,
    input: Quoted,
    problem: Problem,
}

/// Which of the two keys was wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noun {
    CourseKey,
    UsageKey,
}

/// A part of a key, as messages call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Org,
    Course,
    Run,
    Library,
    Branch,
    Revision,
    BlockType,
    BlockId,
}

/// Why a text is no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    UnknownKind {
        known: &'static str,
    },
    TooLong {
        bytes: usize,
    },
    Missing(Part),
    Empty(Part),
    Character {
        part: Part,
        value: Quoted,
        character: char,
    },
    NotAVersion {
        value: Quoted,
    },
    Unexpected {
        value: Quoted,
    },
}

/// Input as messages show it: quoted, escaped and cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quoted(String);

impl KeyError {
    pub(super) fn new(noun: Noun, input: &str, problem: Problem) -> Self {
        Self(Box::new(Failure {
            noun,
            input: Quoted::new(input),
            problem,
        }))
    }
}

/// The kind is [`ErrorKind::InvalidKey`].
impl From<KeyError> for Error {
    fn from(error: KeyError) -> Self {
        Self::new(ErrorKind::InvalidKey, error.to_string()).with_source(error)
    }
}

impl Problem {
    /// Refuses a part that is empty or has a character outside `alphabet`.
    pub(super) fn check_part(part: Part, value: &str, alphabet: Alphabet) -> Result<(), Self> {
        if value.is_empty() {
            return Err(Self::Empty(part));
        }
        match alphabet.first_foreign(value) {
            None => Ok(()),
            Some(character) => Err(Self::Character {
                part,
                value: Quoted::new(value),
                character,
            }),
        }
    }

    /// Refuses what comes after the last part.
    pub(super) fn check_end(rest: Option<&str>) -> Result<(), Self> {
        match rest {
            None => Ok(()),
            Some(rest) => Err(Self::Unexpected {
                value: Quoted::new(rest),
            }),
        }
    }

    /// Refuses what is longer than [`MAX_KEY_BYTES`].
    pub(super) fn check_length(bytes: usize) -> Result<(), Self> {
        if bytes > MAX_KEY_BYTES {
            Err(Self::TooLong { bytes })
        } else {
            Ok(())
        }
    }
}

impl Quoted {
    const MAX_CHARS: usize = 200;

    pub(super) fn new(text: &str) -> Self {
        Self(match text.char_indices().nth(Self::MAX_CHARS) {
            None => format!("{text:?}"),
            Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        })
    }
}

impl fmt::Display for Noun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CourseKey => "course key",
            Self::UsageKey => "usage key",
        })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Org => "org",
            Self::Course => "course",
            Self::Run => "run",
            Self::Library => "library",
            Self::Branch => "branch",
            Self::Revision => "revision",
            Self::BlockType => "block type",
            Self::BlockId => "block id",
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKind { known } => write!(f, "it is not of the form {known}"),
            Self::TooLong { bytes } => {
                write!(f, "it has {bytes} bytes, keys at most {MAX_KEY_BYTES}")
            }
            Self::Missing(part) => write!(f, "the {part} is missing"),
            Self::Empty(part) => write!(f, "the {part} is empty"),
            Self::Character {
                part,
                value,
                character,
            } => write!(
                f,
                "the {part} {value} has the character {character:?}, which is not allowed there"
            ),
            Self::NotAVersion { value } => write!(
                f,
                "the version {value} is not 24 lower-case hexadecimal digits"
            ),
            Self::Unexpected { value } => write!(f, "{value} is a part too many or out of order"),
        }
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;
    use crate::key::{CourseKey, UsageKey};

    #[test]
    fn a_message_stays_one_short_line_whatever_the_input_holds() {
        let hostile = format!(
            "course-v1:O+C+R\n\u{1b}[31m\0\u{202e}{}",
            "x".repeat(10_000)
        );
        let message = hostile.parse::<CourseKey>().unwrap_err().to_string();
        assert!(!message.contains(char::is_control), "{message}");
        assert!(!message.contains('\u{202e}'), "{message}");
        assert!(message.len() < 1000, "{message}");

        let course = CourseKey::course_v1("O", "C", "R").unwrap();
        let message = course.usage_key("html", &hostile).unwrap_err().to_string();
        assert!(!message.contains(char::is_control), "{message}");
        assert!(message.len() < 1000, "{message}");
    }

    #[test]
    fn long_input_is_cut_between_characters() {
        let error = "ж".repeat(500).parse::<CourseKey>().unwrap_err();
        let shown = format!(
            "invalid course key \"{}\"…: ",
            "ж".repeat(Quoted::MAX_CHARS)
        );
        assert!(error.to_string().starts_with(&shown), "{error}");
    }

    #[test]
    fn keys_longer_than_the_limit_are_refused_however_they_are_made() {
        let org = "o".repeat(MAX_KEY_BYTES - "course-v1:+C+R".len());
        let longest = CourseKey::course_v1(&org, "C", "R").unwrap();
        assert_eq!(longest.as_str().len(), MAX_KEY_BYTES);
        assert_eq!(longest.as_str().parse(), Ok(longest.clone()));
        let too_long = "it has 1025 bytes, keys at most 1024";
        for error in [
            CourseKey::course_v1(&org, "C", "RR").unwrap_err(),
            format!("{longest}R").parse::<CourseKey>().unwrap_err(),
        ] {
            assert!(error.to_string().ends_with(too_long), "{error}");
        }

        let course: CourseKey = "course-v1:O+C+R".parse().unwrap();
        let id = "b".repeat(MAX_KEY_BYTES - "block-v1:O+C+R+type@t+block@".len());
        let longest = course.usage_key("t", &id).unwrap();
        assert_eq!(longest.to_string().len(), MAX_KEY_BYTES);
        assert_eq!(longest.to_string().parse(), Ok(longest.clone()));
        for error in [
            course.usage_key("tt", &id).unwrap_err(),
            format!("{longest}b").parse::<UsageKey>().unwrap_err(),
            longest
                .map_into_course(&"course-v1:O+C+RR".parse().unwrap())
                .unwrap_err(),
        ] {
            assert!(error.to_string().ends_with(too_long), "{error}");
        }
    }

    #[test]
    fn as_an_error_of_the_crate_it_keeps_its_message_and_source() {
        let error = "x".parse::<UsageKey>().unwrap_err();
        let general = Error::from(error.clone());
        assert_eq!(general.kind(), ErrorKind::InvalidKey);
        assert_eq!(general.to_string(), error.to_string());
        let source = general.source().and_then(|source| source.downcast_ref());
        assert_eq!(source, Some(&error));
    }
}
