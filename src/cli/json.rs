//! What all answers in JSON share. Their form is a promise: what is here is only ever added to,
//! and a change that breaks a reader is a new schema number.

use std::fmt::Display;

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::field::FieldMap;

/// The number of the form of all answers.
///
/// - 1: the first one.
pub(super) const SCHEMA: u32 = 1;

/// An object whose names are keys, in the order given.
#[derive(Debug)]
pub(super) struct Object<K, V>(pub(super) Vec<(K, V)>);

/// Fields and other values of a course: dates as text, spans of time as `{"seconds": n}`.
#[derive(Debug)]
pub(super) struct Fields<'a>(pub(super) &'a FieldMap);

impl<K: Display, V: Serialize> Serialize for Object<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key.to_string(), value)))
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0
                .iter()
                .map(|(name, value)| (name, Value::from(value))),
        )
    }
}
