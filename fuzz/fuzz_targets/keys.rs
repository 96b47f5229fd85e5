//! Any text: what parses as a key prints itself back and is equal after a round trip.
#![no_main]

use courseblocks::{CourseKey, UsageKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(key) = text.parse::<CourseKey>() {
        assert_eq!(key.to_string(), text);
        assert_eq!(key.as_str().parse::<CourseKey>().as_ref(), Ok(&key));
    }
    if let Ok(key) = text.parse::<UsageKey>() {
        assert_eq!(key.to_string(), text);
        if let Some(course) = key.course_key() {
            let again = course.usage_key(key.block_type(), key.block_id());
            assert_eq!(again.as_ref(), Ok(&key));
        }
    }
});
