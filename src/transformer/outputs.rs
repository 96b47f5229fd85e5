//! What transformers say about blocks for one user, beside removing them: values by transformer
//! and name, fields that hold another value for this user, and what was drawn from item banks.

use std::collections::BTreeMap;

use crate::field::{FieldMap, FieldValue};
use crate::key::UsageKey;
use crate::structure::BlockIndex;

/// One value per block, absent where none was set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutputColumn {
    values: Vec<Option<FieldValue>>,
}

impl OutputColumn {
    /// Sets the value of the block at `position`.
    pub fn set(&mut self, position: BlockIndex, value: FieldValue) {
        let position = position.as_usize();
        if self.values.len() <= position {
            self.values.resize(position + 1, None);
        }
        self.values[position] = Some(value);
    }

    /// The value of the block at `position`.
    #[must_use]
    pub fn get(&self, position: BlockIndex) -> Option<&FieldValue> {
        self.values.get(position.as_usize())?.as_ref()
    }
}

/// The values that a transformation attached to blocks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    transformers: BTreeMap<String, BTreeMap<String, OutputColumn>>,
    fields: BTreeMap<String, OutputColumn>,
    selections: BTreeMap<UsageKey, Selection>,
}

/// What an item bank shows one learner from now on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The chosen children, in the order in which they are shown.
    pub selected: Vec<UsageKey>,
    /// Those that were not chosen before.
    pub added: Vec<UsageKey>,
    /// Those that were chosen before, and are too many now.
    pub dropped: Vec<UsageKey>,
}

impl Outputs {
    /// The column of a transformer's values under `name`, created when it is not there yet.
    pub fn column(&mut self, transformer: &str, name: &str) -> &mut OutputColumn {
        entry(entry(&mut self.transformers, transformer), name)
    }

    /// The column of the values that the field `name` has for this user, created when it is not
    /// there yet. A block without one keeps the field's collected value.
    pub fn field_overrides(&mut self, name: &str) -> &mut OutputColumn {
        entry(&mut self.fields, name)
    }

    /// What `transformer` said of the block at `position` under `name`.
    #[must_use]
    pub fn value(
        &self,
        transformer: &str,
        name: &str,
        position: BlockIndex,
    ) -> Option<&FieldValue> {
        self.transformers.get(transformer)?.get(name)?.get(position)
    }

    /// The value that the field `name` of the block at `position` has for this user, where that
    /// differs from the collected one.
    #[must_use]
    pub fn field_override(&self, name: &str, position: BlockIndex) -> Option<&FieldValue> {
        self.fields.get(name)?.get(position)
    }

    /// Says that the learner's selection from an item bank has changed.
    pub fn select(&mut self, bank: UsageKey, selection: Selection) {
        self.selections.insert(bank, selection);
    }

    /// The selections that changed, by item bank. The host saves them, and hands them over in
    /// [`UserContext::selections`](crate::UserContext::selections) the next time: who loses them
    /// shows the learner something else then.
    #[must_use]
    pub fn selections(&self) -> &BTreeMap<UsageKey, Selection> {
        &self.selections
    }

    /// Everything said of the block at `position`, by transformer.
    #[must_use]
    pub fn of_block(&self, position: BlockIndex) -> BTreeMap<&str, FieldMap> {
        self.transformers
            .iter()
            .map(|(transformer, columns)| (transformer.as_str(), values_at(columns, position)))
            .filter(|(_, values)| !values.is_empty())
            .collect()
    }

    /// Every field of the block at `position` that has another value for this user.
    #[must_use]
    pub fn fields_of_block(&self, position: BlockIndex) -> FieldMap {
        values_at(&self.fields, position)
    }
}

/// `entry(..).or_default()` without an allocation for a name that is there.
fn entry<'a, V: Default>(map: &'a mut BTreeMap<String, V>, name: &str) -> &'a mut V {
    if !map.contains_key(name) {
        map.insert(name.to_owned(), V::default());
    }
    map.get_mut(name).expect("just inserted")
}

fn values_at(columns: &BTreeMap<String, OutputColumn>, position: BlockIndex) -> FieldMap {
    columns
        .iter()
        .filter_map(|(name, column)| Some((name.clone(), column.get(position)?.clone())))
        .collect()
}
