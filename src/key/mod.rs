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
pub(crate) use usage_key::UsageKeys;
pub use usage_key::{UsageKey, UsageKeyKind};

/// The longest key in bytes of its printed form. The parser of the original has no limit, the
/// columns of its database hold 255 characters, which are at most 1020 bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use std::fmt::{Debug, Display};
    use std::hash::{BuildHasher, RandomState};
    use std::str::FromStr;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;

    /// Texts of which many are keys and most others nearly so.
    fn nearly_keys() -> impl Strategy<Value = String> {
        let prefix = prop::sample::select(vec![
            "course-v1:",
            "library-v1:",
            "lib:",
            "block-v1:",
            "lib-block-v1:",
            "lb:",
            "i4x://",
            "",
        ]);
        let course = prop::sample::select(vec![
            "O+C+R",
            "O+L",
            "O/C/R",
            "O/C",
            "O:L",
            "é+~:+R+branch@b",
            "version@0123456789abcdef01234567",
            "O+L+version@0123456789abcdef01234567",
            "O C+R",
        ]);
        let block = prop::sample::select(vec![
            "",
            "+type@t+block@b",
            "+type@problem+block@ж:1",
            "/t/b",
            "/t/a%b@r",
            ":t:b",
            ":problem:ж",
        ]);
        let noise = prop_oneof![
            4 => Just(String::new()),
            1 => "[-+@:/%~._a\n é\u{301}]{1,3}",
        ];
        (prefix, course, block, noise)
            .prop_map(|(prefix, course, block, noise)| format!("{prefix}{course}{block}{noise}"))
    }

    fn texts() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => nearly_keys(),
            1 => any::<String>(),
            1 => vec(any::<char>(), 0..8).prop_map(|tail| {
                format!("course-v1:O+C+{}", tail.into_iter().collect::<String>())
            }),
        ]
    }

    fn courses() -> impl Strategy<Value = CourseKey> {
        nearly_keys().prop_filter_map("no course key", |text| text.parse().ok())
    }

    fn usage_keys() -> impl Strategy<Value = UsageKey> {
        nearly_keys().prop_filter_map("no usage key", |text| text.parse().ok())
    }

    fn returns_whole<K>(text: &str) -> Result<(), TestCaseError>
    where
        K: FromStr<Err = KeyError> + Display + Debug + Eq + std::hash::Hash,
        K: Serialize + DeserializeOwned,
    {
        let Ok(key) = text.parse::<K>() else {
            return Ok(());
        };
        prop_assert_eq!(key.to_string(), text);
        let again: K = key.to_string().parse()?;
        prop_assert_eq!(&again, &key);
        let hasher = RandomState::new();
        prop_assert_eq!(hasher.hash_one(&again), hasher.hash_one(&key));

        let json = serde_json::to_string(&key)?;
        prop_assert_eq!(&json, &serde_json::to_string(text)?);
        prop_assert_eq!(serde_json::from_str::<K>(&json)?, key);
        Ok(())
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic_and_what_is_a_key_prints_itself(text in texts()) {
            returns_whole::<CourseKey>(&text)?;
            returns_whole::<UsageKey>(&text)?;
        }

        #[test]
        fn no_text_is_a_course_key_and_a_usage_key(text in texts()) {
            prop_assert!(text.parse::<CourseKey>().is_err() || text.parse::<UsageKey>().is_err());
        }

        #[test]
        fn mapping_keeps_type_and_id_or_is_refused(key in usage_keys(), course in courses()) {
            if let Ok(mapped) = key.map_into_course(&course) {
                prop_assert_eq!(mapped.block_type(), key.block_type());
                prop_assert_eq!(mapped.block_id(), key.block_id());
                prop_assert_eq!(&mapped, &course.usage_key(key.block_type(), key.block_id())?);
                prop_assert_eq!(mapped.to_string().parse::<UsageKey>()?, mapped);
            }
        }

        #[test]
        fn without_branch_and_version_keys_with_plus_signs_are_ordered_as_their_text(
            orgs in vec("[-~.:_a-cA-Cé中]{1,2}", 2),
            courses in vec("[-~.:_a-cA-Cé中]{1,2}", 2),
            blocks in vec("[-~.:_a-cA-Cé中]{1,2}", 4),
        ) {
            let key = |n: usize| -> Result<_, KeyError> {
                let course = CourseKey::course_v1(&orgs[n], &courses[n], "R")?;
                course.usage_key(&blocks[n], &blocks[n + 2])
            };
            let (one, other) = (key(0)?, key(1)?);
            prop_assert_eq!(one.cmp(&other), one.to_string().cmp(&other.to_string()));
            prop_assert_eq!(
                one.course_key().cmp(&other.course_key()),
                one.course_key().map(CourseKey::as_str).cmp(&other.course_key().map(CourseKey::as_str))
            );
        }

        #[test]
        fn a_cleaned_name_is_clean(name in any::<String>()) {
            let cleaned = clean_name(&name);
            prop_assert_eq!(clean_name(&cleaned), cleaned.clone());
            prop_assert_eq!(cleaned.is_empty(), name.is_empty());
        }
    }

    #[test]
    fn texts_that_are_no_keys_do_not_deserialize() {
        for json in [
            "\"\"",
            "\"course-v1:a+b\"",
            "\"block-v1:a+b+c+type@t\"",
            "1",
            "null",
        ] {
            assert!(serde_json::from_str::<CourseKey>(json).is_err(), "{json}");
            assert!(serde_json::from_str::<UsageKey>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn in_bincode_a_key_is_its_text() {
        let config = bincode::config::standard();
        let text = "block-v1:O+C+R+type@t+block@b";
        let key: UsageKey = text.parse().unwrap();
        let bytes = bincode::serde::encode_to_vec(&key, config).unwrap();
        assert_eq!(bytes, bincode::serde::encode_to_vec(text, config).unwrap());
        let (decoded, _) =
            bincode::serde::decode_from_slice::<UsageKey, _>(&bytes, config).unwrap();
        assert_eq!(decoded, key);
    }
}
