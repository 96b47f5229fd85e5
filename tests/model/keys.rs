//! What is true of every text that is a key. Shared by the property tests and the fuzz target. It
//! knows the public API only.

use std::collections::hash_map::RandomState;
use std::fmt::{Debug, Display};
use std::hash::{BuildHasher, Hash};
use std::str::FromStr;

use courseblocks::{
    CourseKey, CourseKeyKind, KeyError, MAX_KEY_BYTES, UsageKey, UsageKeyKind, clean_name,
    is_word_character,
};

/// Any text, and the texts on its lines: no parser panics, and what is a key prints itself, is
/// equal to itself after a round trip, is as long as a key may be, and can be made of its parts.
pub(crate) fn check(text: &str) {
    let lines: Vec<&str> = text.split('\n').take(3).collect();
    for text in lines.iter().copied().chain([text]) {
        if let Some(key) = read_whole::<CourseKey>(text) {
            check_course(&key);
            assert!(text.parse::<UsageKey>().is_err(), "both kinds of key");
        }
        if let Some(key) = read_whole::<UsageKey>(text) {
            check_usage(&key);
        }
    }
    check_name(text);
    let [one, rest @ ..] = lines.as_slice() else {
        return;
    };
    for other in rest {
        check_order::<CourseKey>(one, other);
        check_order::<UsageKey>(one, other);
    }
    if let Ok(course) = one.parse::<CourseKey>() {
        for other in rest {
            check_within(&course, other);
        }
        if let [block_type, block_id, ..] = rest {
            check_parts(&course, block_type, block_id);
        }
    }
}

fn read_whole<K>(text: &str) -> Option<K>
where
    K: FromStr<Err = KeyError> + Display + Debug + Eq + Hash + Ord,
{
    let key = match text.parse::<K>() {
        Ok(key) => key,
        // It can be told whatever the text is.
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return None;
        }
    };
    assert!(text.len() <= MAX_KEY_BYTES);
    assert_eq!(key.to_string(), text);
    let again = text.parse::<K>().expect("it was parsed before");
    assert_eq!(again, key);
    assert!(again.cmp(&key).is_eq());
    let hasher = RandomState::new();
    assert_eq!(hasher.hash_one(&again), hasher.hash_one(&key));
    Some(key)
}

fn check_course(key: &CourseKey) {
    assert_eq!(key.as_str(), key.to_string());
    let parts = (key.org(), key.course(), key.run());
    let made = match (key.kind(), parts) {
        (CourseKeyKind::CourseV1, (Some(org), Some(course), Some(run))) => {
            CourseKey::course_v1(org, course, run)
        }
        (CourseKeyKind::LibraryV1, (Some(org), Some(course), None)) => {
            CourseKey::library_v1(org, course)
        }
        _ => return,
    };
    let made = made.expect("parts of a key");
    let is_plain = key.branch().is_none() && key.version_guid().is_none();
    assert_eq!(made == *key, is_plain);
    assert!(key.as_str().starts_with(made.as_str()));
}

fn check_usage(key: &UsageKey) {
    let (block_type, block_id) = (key.block_type(), key.block_id());
    let Some(course) = key.course_key() else {
        assert_eq!(key.kind(), UsageKeyKind::I4x);
        return;
    };
    read_whole::<CourseKey>(course.as_str()).expect("the course of a key is one");
    assert_eq!((key.org(), key.course()), (course.org(), course.course()));
    assert_eq!(key.branch(), course.branch());
    let again = course.usage_key(block_type, block_id);
    assert_eq!(again.as_ref(), Ok(key));
    assert_eq!(key.map_into_course(course).as_ref(), Ok(key));
}

/// A key keeps its type and id in another course, or is refused.
fn check_within(course: &CourseKey, text: &str) {
    let Ok(key) = text.parse::<UsageKey>() else {
        return;
    };
    if let Ok(mapped) = key.map_into_course(course) {
        check_parts(course, key.block_type(), key.block_id());
        // An i4x key does not name the run.
        assert!(mapped.course_key().is_none_or(|mapped| mapped == course));
        let parts = (mapped.block_type(), mapped.block_id());
        assert_eq!(parts, (key.block_type(), key.block_id()));
    }
}

/// Any type and id make a key that parses, or none.
fn check_parts(course: &CourseKey, block_type: &str, block_id: &str) {
    if let Ok(key) = course.usage_key(block_type, block_id) {
        assert_eq!((key.block_type(), key.block_id()), (block_type, block_id));
        let parsed = read_whole::<UsageKey>(&key.to_string());
        assert_eq!(parsed, Some(key));
    }
}

/// Keys are equal exactly if their texts are, and ordered either way round.
fn check_order<K: FromStr<Err = KeyError> + Debug + Ord>(one: &str, other: &str) {
    if let (Ok(one_key), Ok(other_key)) = (one.parse::<K>(), other.parse::<K>()) {
        assert_eq!(one_key == other_key, one == other);
        assert_eq!(one_key.cmp(&other_key), other_key.cmp(&one_key).reverse());
        assert_eq!(one_key.cmp(&other_key).is_eq(), one == other);
    }
}

fn check_name(text: &str) {
    let cleaned = clean_name(text);
    assert_eq!(clean_name(&cleaned), cleaned);
    assert_eq!(cleaned.is_empty(), text.is_empty());
    assert!(!cleaned.contains("__"), "{cleaned:?}");
    let is_clean = |character| is_word_character(character) || ".-%~".contains(character);
    assert!(cleaned.chars().all(is_clean), "{cleaned:?}");
}
