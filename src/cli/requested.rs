//! The fields that `blocks` prints, as the Course Blocks API names them. The URLs that it has for
//! every block are the LMS's own and not among them.

use serde_json::Value;

use super::blocks::Seen;
use crate::structure::BlockIndex;

/// A transformer that an API field is taken from, and the name that it has there.
pub(super) struct Collected {
    pub(super) field: &'static str,
    pub(super) transformer: &'static str,
    pub(super) name: &'static str,
}

/// The fields that are what a transformer collected, and the same for everybody.
pub(super) const COLLECTED: [Collected; 2] = [
    Collected {
        field: "visible_to_staff_only",
        transformer: "visibility",
        name: "merged_visible_to_staff_only",
    },
    Collected {
        field: "has_score",
        transformer: "grades",
        name: "has_score",
    },
];

/// Counts stand under one name, as in the original.
pub(super) const COUNTS: &str = "blocks_api:block_counts";

/// The name and value under which a requested field of a block is printed: what a transformer says
/// for this user, else the value that the field has for them, else the published one, else its
/// default. What is null is left out.
pub(super) fn value(seen: &Seen, block: BlockIndex, field: &str) -> Option<(String, Value)> {
    let outputs = &seen.transformed.outputs;
    let transformers = outputs.of_block(block);
    let said = |name: &str| transformers.values().find_map(|values| values.get(name));
    let value = match field {
        "block_counts" => {
            let counts = transformers.get(COUNTS)?.iter();
            let counts = counts.map(|(name, count)| (name.clone(), count.into()));
            return Some((field.to_owned(), Value::Object(counts.collect())));
        }
        "nav_depth" => return Some(("descendants".to_owned(), said("block_nav")?.into())),
        _ => match (said(field), seen.collected(block, field)) {
            (Some(said), _) => said.into(),
            (None, Some(collected)) => collected,
            (None, None) => seen.field(block, field).unwrap_or_else(|| default(field)),
        },
    };
    (!value.is_null()).then(|| (field.to_owned(), value))
}

/// What a field is that nobody set.
fn default(field: &str) -> Value {
    match field {
        "graded" | "hide_from_toc" => false.into(),
        "show_correctness" => "always".into(),
        _ => Value::Null,
    }
}
