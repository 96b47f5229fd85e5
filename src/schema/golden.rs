//! Records that are kept as they were stored, and what they say. It must not know how they are
//! decoded or where they are kept.

use serde_json::{Value, json};

use super::shape::{Kind, Schema};
use crate::record::{self, Body, Generation, Meta, RecordError, VerifiedRecord};
use crate::version::{Versions, WriteVersion};

/// What a record says, as JSON: the course's value, and those of the blocks that have one with
/// their positions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) course: Value,
    pub(crate) blocks: Vec<(usize, Value)>,
}

/// A part of a record that no longer says what it said.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unsaid {
    pub(super) place: String,
    pub(super) said: String,
    pub(super) says: String,
}

impl Reading {
    pub(super) fn to_json(&self) -> Value {
        let blocks = self.blocks.iter();
        let blocks: Vec<_> = blocks
            .map(|(position, value)| json!([position, value]))
            .collect();
        json!({ "blocks": blocks, "course": self.course })
    }

    /// None for JSON that is no reading.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let pairs = value.get("blocks")?.as_array()?.iter();
        let blocks = pairs.map(|pair| match pair.as_array()?.as_slice() {
            [position, value] => {
                let position = usize::try_from(position.as_u64()?).ok()?;
                Some((position, value.clone()))
            }
            _ => None,
        });
        Some(Self {
            course: value.get("course")?.clone(),
            blocks: blocks.collect::<Option<_>>()?,
        })
    }

    /// Whether `newer`, another reading of the same record, says all that this one does. Values of
    /// `schema`, which this one was made with, may have grown since.
    pub(super) fn is_said_by(&self, newer: &Self, schema: &Schema) -> Result<(), Unsaid> {
        outermost("course", &self.course, &newer.course, schema.course_kind())?;
        let positions = |blocks: &[(usize, Value)]| -> Vec<usize> {
            blocks.iter().map(|(position, _)| *position).collect()
        };
        let (said, says) = (positions(&self.blocks), positions(&newer.blocks));
        if said != says {
            return Err(Unsaid {
                place: "which blocks have a value".to_owned(),
                said: format!("{said:?}"),
                says: format!("{says:?}"),
            });
        }
        for ((position, said), (_, says)) in self.blocks.iter().zip(&newer.blocks) {
            let place = format!("block {position}");
            outermost(&place, said, says, schema.block_kind())?;
        }
        Ok(())
    }
}

fn outermost(place: &str, said: &Value, says: &Value, kind: Kind) -> Result<(), Unsaid> {
    match (kind, said, says) {
        (Kind::Nothing, ..) => Ok(()),
        (Kind::Tuple, Value::Array(said), Value::Array(says)) if says.len() > said.len() => {
            elements(place, said, says)
        }
        _ => values(place, said, says),
    }
}

fn values(place: &str, said: &Value, says: &Value) -> Result<(), Unsaid> {
    match (said, says) {
        (Value::Object(said), Value::Object(says)) => said.iter().try_for_each(|(name, said)| {
            let place = format!("{place}, {name:?}");
            match says.get(name) {
                Some(says) => values(&place, said, says),
                None => Err(Unsaid {
                    place,
                    said: said.to_string(),
                    says: "not there".to_owned(),
                }),
            }
        }),
        (Value::Array(said), Value::Array(says)) if said.len() == says.len() => {
            elements(place, said, says)
        }
        (said, says) if said == says => Ok(()),
        (said, says) => Err(Unsaid {
            place: place.to_owned(),
            said: said.to_string(),
            says: says.to_string(),
        }),
    }
}

fn elements(place: &str, said: &[Value], says: &[Value]) -> Result<(), Unsaid> {
    let mut pairs = said.iter().zip(says).enumerate();
    pairs.try_for_each(|(number, (said, says))| values(&format!("{place}, {number}"), said, says))
}

/// The record of `body` as it is kept. It is bound to the transformer's name, as stored ones are to
/// their keys.
pub(super) fn encode(name: &str, versions: Versions, body: &Body) -> Vec<u8> {
    let meta = Meta {
        write_version: versions.write,
        min_reader: versions.min_reader,
        generation: Generation::default(),
    };
    record::encode(name.as_bytes(), meta, body)
}

/// A record that was kept, every byte of it verified.
pub(super) fn open<B: AsRef<[u8]>>(
    name: &str,
    version: WriteVersion,
    bytes: B,
) -> Result<VerifiedRecord<B>, RecordError> {
    let record = record::Record::open(name.as_bytes(), bytes)?.verify()?;
    if record.header().write_version() == version {
        Ok(record)
    } else {
        Err(RecordError::Malformed("it is of another WRITE version"))
    }
}
