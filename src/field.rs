//! Values of block fields: what a course's author set, with the types that the original gives
//! them. They are data, not behaviour: defaults and inheritance live elsewhere.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// Field values by field name.
pub type FieldMap = BTreeMap<String, FieldValue>;

/// The value of one field of one block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FieldValue {
    /// Set to nothing, which is not the same as unset: it stops inheritance.
    Null,
    /// A yes or a no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    String(String),
    /// A point in time.
    Date(Timestamp),
    /// A span of time in whole seconds.
    Seconds(i64),
    /// Values in order.
    List(Vec<FieldValue>),
    /// Values by name.
    Dict(FieldMap),
}

impl FieldValue {
    /// The boolean, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The number, whole or not, if it is one.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "field values are small")]
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// The text, if it is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(value) => Some(value),
            _ => None,
        }
    }

    /// The point in time, if it is one.
    #[must_use]
    pub fn as_date(&self) -> Option<Timestamp> {
        match self {
            Self::Date(value) => Some(*value),
            _ => None,
        }
    }

    /// The values by name, if it is a dictionary.
    #[must_use]
    pub fn as_dict(&self) -> Option<&FieldMap> {
        match self {
            Self::Dict(value) => Some(value),
            _ => None,
        }
    }

    /// The values in order, if it is a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[FieldValue]> {
        match self {
            Self::List(value) => Some(value),
            _ => None,
        }
    }
}

#[cfg(feature = "olx")]
mod json {
    use serde_json::{Number, Value, json};

    use super::FieldValue;

    /// Dates print as ISO 8601 text, spans of time as `{"seconds": n}`.
    impl From<&FieldValue> for Value {
        fn from(value: &FieldValue) -> Self {
            match value {
                FieldValue::Null => Self::Null,
                FieldValue::Bool(value) => Self::Bool(*value),
                FieldValue::Int(value) => Self::Number((*value).into()),
                FieldValue::Float(value) => {
                    Number::from_f64(*value).map_or(Self::Null, Self::Number)
                }
                FieldValue::String(value) => Self::String(value.clone()),
                FieldValue::Date(value) => Self::String(value.to_string()),
                FieldValue::Seconds(value) => json!({ "seconds": value }),
                FieldValue::List(values) => values.iter().map(Self::from).collect(),
                FieldValue::Dict(values) => {
                    let entries = values
                        .iter()
                        .map(|(name, value)| (name.clone(), value.into()));
                    Self::Object(entries.collect())
                }
            }
        }
    }

    /// JSON as it is: no text becomes a date here. Whole numbers beyond 64 bits become floats.
    impl From<&Value> for FieldValue {
        fn from(value: &Value) -> Self {
            match value {
                Value::Null => Self::Null,
                Value::Bool(value) => Self::Bool(*value),
                Value::Number(value) => value.as_i64().map_or_else(
                    || Self::Float(value.as_f64().unwrap_or(f64::NAN)),
                    Self::Int,
                ),
                Value::String(value) => Self::String(value.clone()),
                Value::Array(values) => Self::List(values.iter().map(Self::from).collect()),
                Value::Object(values) => {
                    let entries = values
                        .iter()
                        .map(|(name, value)| (name.clone(), value.into()));
                    Self::Dict(entries.collect())
                }
            }
        }
    }
}
