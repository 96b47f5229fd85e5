//! What is set on one block: attributes, `<meta>` and policy, the later over the earlier, split
//! into fields and all other attributes. Knows no files and no children.

use super::element::{Element, OptionField};
use super::field_types;
use super::json::Json;
use super::values::{self, BadValue};
use crate::field::{FieldMap, FieldValue};
use crate::key::CourseKey;

/// The settings of a block while they are put together, weakest first.
#[derive(Debug)]
pub(super) struct Settings<'a> {
    block_type: &'a str,
    course: &'a CourseKey,
    pub(super) fields: FieldMap,
    /// Attributes that are no field of the block type.
    pub(super) xml_attributes: FieldMap,
    /// Fields whose values were refused, and why.
    pub(super) refused: Vec<(String, &'static str)>,
}

/// Attributes that only place a draft in its parent.
pub(super) const PLACEMENT: [&str; 3] = [
    "index_in_children_list",
    "parent_sequential_url",
    "parent_url",
];

impl<'a> Settings<'a> {
    pub(super) fn new(block_type: &'a str, course: &'a CourseKey) -> Self {
        Self {
            block_type,
            course,
            fields: FieldMap::new(),
            xml_attributes: FieldMap::new(),
            refused: Vec::new(),
        }
    }

    /// The attributes of a definition.
    pub(super) fn attributes(&mut self, element: &Element) {
        for (name, text) in &element.attributes {
            let name = field_types::current_name(self.block_type, name);
            if field_types::is_never_a_field(name) {
                continue;
            }
            match field_types::field_type(self.block_type, name) {
                Some(field_type) => {
                    self.set(name, values::from_attribute(field_type, text, self.course));
                }
                None => self.set_other(name, FieldValue::String(text.clone())),
            }
        }
    }

    /// The attributes and option elements of a self-contained block.
    pub(super) fn self_contained(&mut self, element: &Element) {
        for OptionField { name, text } in &element.options {
            self.plain(name, text.as_deref());
        }
        for (name, text) in &element.attributes {
            let name = match self.block_type {
                // The only such block that was once of the other kind.
                "discussion" if matches!(name.as_str(), "id" | "for") => {
                    field_types::current_name(self.block_type, name)
                }
                _ => name,
            };
            let is_own_name = self.block_type == "library" && name == "library";
            if !is_own_name && !field_types::is_never_a_field(name) {
                self.plain(name, Some(text));
            }
        }
    }

    /// The keys of `<meta>` that are fields. What is no JSON object says nothing.
    pub(super) fn meta(&mut self, text: &str) {
        let Ok(Json::Dict(entries)) = Json::parse(text) else {
            return;
        };
        for (name, json) in entries {
            if let Some(field_type) = field_types::field_type(self.block_type, &name) {
                self.set(&name, values::from_json(field_type, json, self.course));
            }
        }
    }

    /// An entry of the policy. Its `xml_attributes` replaces what was collected until then.
    pub(super) fn policy(&mut self, entries: &[(String, Json)]) {
        for (name, json) in entries {
            let name = field_types::current_name(self.block_type, name);
            if let Some(field_type) = field_types::field_type(self.block_type, name) {
                let value = values::from_json(field_type, json.clone(), self.course);
                self.set(name, value);
            } else if name == "xml_attributes" {
                if let FieldValue::Dict(attributes) = json.clone().into() {
                    self.xml_attributes = attributes;
                } else {
                    self.refused.push((name.to_owned(), "it is no object"));
                }
            } else if !field_types::is_never_a_field(name) {
                self.set_other(name, json.clone().into());
            }
        }
        // Where an export of the platform notes from which file it once read the block.
        self.xml_attributes.remove("filename");
    }

    /// Drops attributes that are no fields.
    pub(super) fn forget(&mut self, names: &[&str]) {
        self.xml_attributes
            .retain(|name, _| !names.contains(&name.as_str()));
    }

    fn plain(&mut self, name: &str, text: Option<&str>) {
        let field_type = field_types::field_type(self.block_type, name);
        match (field_type, text) {
            (Some(_), None) => self.set(name, Ok(FieldValue::Null)),
            (Some(field_type), Some(text)) => {
                self.set(name, values::from_plain_text(field_type, text, self.course));
            }
            (None, None) => self.set_other(name, FieldValue::Null),
            (None, Some(text)) => self.set_other(name, FieldValue::String(text.to_owned())),
        }
    }

    fn set(&mut self, name: &str, value: Result<FieldValue, BadValue>) {
        let value = value.map_or_else(
            |bad| {
                self.refused.push((name.to_owned(), bad.reason));
                bad.kept
            },
            Some,
        );
        // A weaker value does not come back: the author meant to replace it.
        match value {
            Some(value) => self.fields.insert(name.to_owned(), value),
            None => self.fields.remove(name),
        };
    }

    fn set_other(&mut self, name: &str, value: FieldValue) {
        if !field_types::is_left_out(self.block_type, name) {
            self.xml_attributes.insert(name.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course() -> CourseKey {
        CourseKey::course_v1("O", "C", "R").unwrap()
    }

    fn printed(map: &FieldMap) -> String {
        serde_json::Value::from(&FieldValue::Dict(map.clone())).to_string()
    }

    #[track_caller]
    fn check(xml: &str, policy: &str, fields: &str, xml_attributes: &str) {
        let element = Element::parse(&xml.into(), None).unwrap();
        let course = course();
        let mut settings = Settings::new(&element.tag, &course);
        if element.is_self_contained() {
            settings.self_contained(&element);
        } else {
            settings.attributes(&element);
        }
        if let Some(meta) = &element.meta {
            settings.meta(&meta.text);
        }
        let Ok(Json::Dict(policy)) = Json::parse(policy) else {
            panic!("{policy} is no object");
        };
        settings.policy(&policy);
        assert_eq!(printed(&settings.fields), fields, "{xml}");
        assert_eq!(printed(&settings.xml_attributes), xml_attributes, "{xml}");
    }

    #[test]
    fn an_attribute_is_a_field_or_kept_verbatim() {
        check(
            "<html url_name='a' filename='b' display_name='D' weight='5' start='2012-12-12'/>",
            "{}",
            r#"{"display_name":"D","start":"2012-12-12T00:00:00Z"}"#,
            r#"{"weight":"5"}"#,
        );
    }

    #[test]
    fn old_names_are_read_as_the_new_ones() {
        check(
            "<problem slug='a' name='N' attempts='3'/>",
            r#"{"attempts": 4}"#,
            r#"{"display_name":"N","max_attempts":4}"#,
            "{}",
        );
        check(
            "<discussion id='I' for='F' url_name='a'/>",
            "{}",
            r#"{"discussion_id":"I","discussion_target":"F"}"#,
            "{}",
        );
        check("<html attempts='3'/>", "{}", "{}", r#"{"attempts":"3"}"#);
    }

    #[test]
    fn meta_is_stronger_than_attributes_and_policy_stronger_than_both() {
        check(
            r#"<html display_name="a" format="a" chrome="a"><meta>{"format": "m", "chrome": "m", "odd": 1}</meta></html>"#,
            r#"{"chrome": "p", "other": [1]}"#,
            r#"{"chrome":"p","display_name":"a","format":"m"}"#,
            r#"{"other":[1]}"#,
        );
        check(
            "<html chrome='a'><meta>not json</meta></html>",
            "{}",
            r#"{"chrome":"a"}"#,
            "{}",
        );
        check(
            "<html chrome='a'/>",
            r#"{"chrome": null}"#,
            r#"{"chrome":null}"#,
            "{}",
        );
    }

    #[test]
    fn a_policy_key_xml_attributes_undoes_the_unknown_keys_before_it() {
        check(
            "<html a='1'/>",
            r#"{"b": 2, "xml_attributes": {"c": 3, "filename": ["x", "x"]}, "d": 4}"#,
            "{}",
            r#"{"c":3,"d":4}"#,
        );
        check(
            "<html a='1'/>",
            r#"{"xml_attributes": 5}"#,
            "{}",
            r#"{"a":"1"}"#,
        );
    }

    #[test]
    fn names_of_import_and_export_are_fields_only_where_the_policy_sets_them() {
        check(
            "<course org='O' course='C' url_name='R' discussion_blackouts='[]' tabs='[]'/>",
            r#"{"tabs": [], "grading_policy": {}, "discussion_topics": {}, "license": "all"}"#,
            "{}",
            "{}",
        );
        check(
            "<course/>",
            r#"{"discussion_blackouts": [["a", "b"]], "ispublic": true}"#,
            r#"{"discussion_blackouts":[["a","b"]]}"#,
            r#"{"ispublic":true}"#,
        );
    }

    #[test]
    fn a_refused_value_leaves_the_field_unset() {
        let element = Element::parse(&"<html due='2012-12-12'/>".into(), None).unwrap();
        let course = course();
        let mut settings = Settings::new("html", &course);
        settings.attributes(&element);
        settings.policy(&[("due".to_owned(), Json::Text("soon".to_owned()))]);
        assert!(settings.fields.is_empty());
        assert_eq!(settings.refused.len(), 1);
        assert_eq!(settings.refused[0].0, "due");
    }

    #[test]
    fn attributes_of_self_contained_blocks_are_plain_text_or_yaml() {
        check(
            "<drag xblock-family='xblock.v1' url_name='a' display_name='null' max_attempts='' name='N' graded='yes'/>",
            "{}",
            r#"{"display_name":"null","graded":true,"max_attempts":null}"#,
            r#"{"name":"N"}"#,
        );
        check(
            "<library org='O' library='L' url_name='x' display_name='D'>\
             <o:advanced_modules xmlns:o='http://code.edx.org/xblock/option'>[\"a\"]</o:advanced_modules>\
             <o:giturl xmlns:o='http://code.edx.org/xblock/option' none='true'/></library>",
            "{}",
            r#"{"advanced_modules":["a"],"display_name":"D","giturl":null}"#,
            "{}",
        );
    }
}
