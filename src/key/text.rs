//! Keys in serde: always their printed text, and always parsed when they come back.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Deserializer, Error, Visitor};

use super::KeyError;

pub(super) fn deserialize<'de, D, K>(deserializer: D) -> Result<K, D::Error>
where
    D: Deserializer<'de>,
    K: FromStr<Err = KeyError>,
{
    deserializer.deserialize_str(KeyVisitor(PhantomData))
}

struct KeyVisitor<K>(PhantomData<K>);

impl<K: FromStr<Err = KeyError>> Visitor<'_> for KeyVisitor<K> {
    type Value = K;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text of an opaque key")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<K, E> {
        text.parse().map_err(E::custom)
    }
}
