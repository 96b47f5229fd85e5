//! Opaque keys of Open edX: [`CourseKey`] and [`UsageKey`], parsed once at the edge and always
//! valid below it. Knows text only: neither what a course holds nor where keys are stored.

mod alphabet;
mod course_key;
mod error;
mod text;
mod usage_key;

pub use alphabet::{clean_name, is_word_character};
pub use course_key::{CourseKey, CourseKeyKind};
pub use error::KeyError;
pub use usage_key::{UsageKey, UsageKeyKind};

/// The longest key in bytes of its printed form. The parser of the original has no limit, the
/// columns of its database hold 255 characters, which are at most 1020 bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 1024;
