//! A course as JSON, for the baseline: keys by position, and by position children and fields.

use courseblocks::modulestore::Course;
use courseblocks::{BlockIndex, FieldMap, FieldValue};
use serde_json::{Map, Value, json};

use crate::contenders::SEEN_AT;

/// The course, and the moment at which a visitor looks at it.
pub(crate) fn course(course: &Course) -> Value {
    let structure = course.structure();
    let keys = structure.keys().as_slice();
    // A structure walks its blocks in the order in which they were found.
    let by_position = keys.iter().filter_map(|key| structure.position(key));
    let children: Vec<Vec<_>> = by_position
        .map(|block| {
            structure
                .children(block)
                .map(BlockIndex::as_usize)
                .collect()
        })
        .collect();
    let keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
    let explicit = course.blocks().iter().map(|block| fields(&block.fields));
    // Generated courses inherit the same everywhere.
    let inherited = course
        .blocks()
        .first()
        .map(|block| fields(&block.inherited));
    json!({
        "course": course.key().as_str(),
        "now": SEEN_AT,
        "root": structure.root().as_usize(),
        "keys": keys,
        "children": children,
        "fields": explicit.collect::<Vec<_>>(),
        "inherited": inherited,
    })
}

fn fields(fields: &FieldMap) -> Value {
    let fields = fields.iter();
    let fields = fields.map(|(name, value)| (name.clone(), field(value)));
    Value::Object(fields.collect::<Map<_, _>>())
}

fn field(value: &FieldValue) -> Value {
    match value {
        FieldValue::Null => Value::Null,
        FieldValue::Bool(value) => json!(value),
        FieldValue::Int(value) | FieldValue::Seconds(value) => json!(value),
        FieldValue::Float(value) => json!(value),
        FieldValue::String(value) => json!(value),
        FieldValue::Date(value) => json!(value.to_string()),
        FieldValue::List(values) => values.iter().map(field).collect(),
        FieldValue::Dict(values) => fields(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet;

    #[test]
    fn an_exported_course_has_every_block_and_edge() {
        let generated = fleet::authored_course(3, 200);
        let exported = course(&generated);
        let blocks = generated.structure().len();
        assert_eq!(exported["keys"].as_array().map(Vec::len), Some(blocks));
        assert_eq!(exported["fields"].as_array().map(Vec::len), Some(blocks));
        let structure = generated.structure();
        for (block, child) in structure.relations() {
            let children = exported["children"][block.as_usize()].as_array();
            let child = Value::from(child.as_usize());
            assert!(children.is_some_and(|children| children.contains(&child)));
        }
        let root = usize::try_from(exported["root"].as_u64().unwrap()).unwrap();
        assert_eq!(exported["fields"][root]["start"], "2025-01-01T00:00:00Z");
    }
}
