//! Pages and pieces outside the tree: about, course updates, static tabs, templates. Knows their
//! folders, not the blocks of the course.

use std::collections::BTreeMap;

use super::findings::{Fault, Findings};
use super::json::Json;
use super::path;
use super::source::Source;
use crate::field::FieldValue;
use crate::key::{CourseKey, UsageKey};
use crate::modulestore::{DetachedBlock, ProblemKind};

/// Every page of the course, in the order of their keys. What lies in the folder of the run takes
/// the place of what lies above it.
pub(super) fn read(
    source: &Source,
    course: &CourseKey,
    run: &str,
    tabs: Option<&Json>,
    errors: &mut Findings,
    warnings: &mut Findings,
) -> Vec<DetachedBlock> {
    let mut pages = Pages {
        source,
        course,
        blocks: BTreeMap::new(),
    };
    for folder in path::DETACHED_FOLDERS {
        for prefix in [format!("{folder}/"), format!("{folder}/{run}/")] {
            for name in source.names(&prefix) {
                let file = name.strip_prefix(&prefix).unwrap_or_default();
                if file.contains('/') || file.starts_with('.') {
                    continue;
                }
                match pages.add(folder, name) {
                    Ok(()) => {}
                    // The page is there all the same.
                    Err(fault) if fault.kind == ProblemKind::BadFieldValue => {
                        warnings.push(fault.problem());
                    }
                    Err(fault) => errors.push(fault.problem()),
                }
            }
        }
    }
    if let Some(Json::List(tabs)) = tabs {
        pages.name_tabs(tabs);
    }
    pages.blocks.into_values().collect()
}

struct Pages<'a> {
    source: &'a Source,
    course: &'a CourseKey,
    blocks: BTreeMap<UsageKey, DetachedBlock>,
}

impl Pages<'_> {
    fn add(&mut self, folder: &str, name: &str) -> Result<(), Fault> {
        let text = || {
            let text = self.source.text(name);
            text.map_err(|why| Fault::unreadable(name, why))
        };
        if !name.contains(".json") {
            let text = text()?.to_string();
            let block = self.block(folder, path::stem(name), name)?;
            block.text = text;
            name.clone_into(&mut block.path);
            return Ok(());
        }
        // `updates.items.json` is the field `items` of `updates`. Anything else is nobody's.
        let parts: Vec<&str> = path::file_name(name).split('.').collect();
        let [page, field, "json"] = parts.as_slice() else {
            return Ok(());
        };
        if matches!(*field, "data" | "metadata") {
            return Ok(());
        }
        let json = Json::parse(text()?).map_err(|fault| {
            Fault::new(ProblemKind::BadFieldValue, "the file is no JSON")
                .in_file(name)
                .at_line(fault.line)
        })?;
        let block = self.block(folder, page, name)?;
        block.fields.insert((*field).to_owned(), json.into());
        Ok(())
    }

    fn block(&mut self, folder: &str, id: &str, path: &str) -> Result<&mut DetachedBlock, Fault> {
        let block_type = match folder {
            "custom_tags" => "custom_tag_template",
            "info" => "course_info",
            "tabs" => "static_tab",
            about => about,
        };
        let key = self.course.usage_key(block_type, id).map_err(|error| {
            Fault::new(ProblemKind::InvalidName, error.to_string()).in_file(path)
        })?;
        Ok(self
            .blocks
            .entry(key.clone())
            .or_insert_with(|| DetachedBlock {
                key,
                path: path.to_owned(),
                text: String::new(),
                fields: BTreeMap::new(),
            }))
    }

    /// The list of tabs in the policy of the course has the names of static ones.
    fn name_tabs(&mut self, tabs: &[Json]) {
        for tab in tabs {
            let slug = tab.get("url_slug").and_then(Json::as_text);
            let key = slug.and_then(|slug| self.course.usage_key("static_tab", slug).ok());
            let Some(block) = key.and_then(|key| self.blocks.get_mut(&key)) else {
                continue;
            };
            if let Some(name) = tab.get("name").and_then(Json::as_text) {
                let name = FieldValue::String(name.to_owned());
                block
                    .fields
                    .entry("display_name".to_owned())
                    .or_insert(name);
            }
            if let Some(Json::Bool(staff_only)) = tab.get("course_staff_only") {
                let staff_only = FieldValue::Bool(*staff_only);
                block
                    .fields
                    .entry("course_staff_only".to_owned())
                    .or_insert(staff_only);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modulestore::olx::source::testing;

    type Problems = Vec<crate::modulestore::Problem>;

    fn read_all(source: &Source, tabs: Option<&Json>) -> (Vec<DetachedBlock>, Problems, Problems) {
        let course = CourseKey::course_v1("O", "C", "R").unwrap();
        let (mut errors, mut warnings) = (Findings::new(10), Findings::new(10));
        let blocks = read(source, &course, "R", tabs, &mut errors, &mut warnings);
        (blocks, errors.into_problems(), warnings.into_problems())
    }

    #[test]
    fn a_page_is_called_after_its_file_and_its_folder() {
        let source = testing::source(&[
            ("about/overview.html", "o"),
            ("about/short.description.html", "s"),
            ("about/.hidden", "h"),
            ("about/deeper/page.html", "d"),
            ("custom_tags/book", "c"),
            ("info/updates.html", "u"),
            ("tabs/syllabus.html", "t"),
            ("other/page.html", "x"),
        ]);
        let (blocks, errors, _) = read_all(&source, None);
        let found: Vec<_> = blocks
            .iter()
            .map(|block| {
                (
                    block.key.block_type(),
                    block.key.block_id(),
                    block.text.as_str(),
                )
            })
            .collect();
        let expected = [
            ("about", "overview", "o"),
            ("about", "short.description", "s"),
            ("course_info", "updates", "u"),
            ("custom_tag_template", "book", "c"),
            ("static_tab", "syllabus", "t"),
        ];
        assert_eq!(found, expected);
        assert!(errors.is_empty());
    }

    #[test]
    fn the_folder_of_the_run_is_stronger() {
        let source =
            testing::source(&[("info/R/updates.html", "new"), ("info/updates.html", "old")]);
        let (blocks, ..) = read_all(&source, None);
        assert_eq!(blocks.len(), 1);
        assert_eq!(blocks[0].text, "new");
        assert_eq!(blocks[0].path, "info/R/updates.html");
    }

    #[test]
    fn json_is_a_field_of_its_page() {
        let source = testing::source(&[
            ("info/updates.items.json", "[1]"),
            ("info/updates.html", "u"),
            ("info/alone.items.json", "[2]"),
            ("info/alone.data.json", "[3]"),
            ("info/odd.json", "[4]"),
            ("info/broken.items.json", "["),
        ]);
        let (blocks, errors, warnings) = read_all(&source, None);
        let found: Vec<_> = blocks
            .iter()
            .map(|block| {
                let items = serde_json::Value::from(&block.fields["items"]);
                (block.key.block_id(), block.text.as_str(), items.to_string())
            })
            .collect();
        let expected = [
            ("alone", "", "[2]".to_owned()),
            ("updates", "u", "[1]".to_owned()),
        ];
        assert_eq!(found, expected);
        assert!(errors.is_empty());
        assert_eq!(warnings[0].path.as_deref(), Some("info/broken.items.json"));
    }

    #[test]
    fn a_static_tab_has_its_name_in_the_policy() {
        let source = testing::source(&[("tabs/a.html", "a"), ("tabs/b.html", "b")]);
        let tabs = Json::parse(
            r#"[{"type": "static_tab", "url_slug": "a", "name": "A", "course_staff_only": true},
                {"type": "wiki", "name": "W"}, {"url_slug": "a", "name": "second"}, 5]"#,
        );
        let (blocks, ..) = read_all(&source, tabs.as_ref().ok());
        assert_eq!(blocks[0].fields["display_name"].as_str(), Some("A"));
        assert_eq!(blocks[0].fields["course_staff_only"].as_bool(), Some(true));
        assert!(blocks[1].fields.is_empty());
    }

    #[test]
    fn a_page_with_an_impossible_name_is_reported() {
        let source = testing::source(&[("about/a b.html", ""), ("about/c.html", "")]);
        let (blocks, errors, _) = read_all(&source, None);
        assert_eq!(blocks.len(), 1);
        assert_eq!(errors[0].kind, ProblemKind::InvalidName);
        assert_eq!(errors[0].path.as_deref(), Some("about/a b.html"));
    }
}
