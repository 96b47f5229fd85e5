//! `blocks_api:student_view`: what a client without a browser needs to show a block.

use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::settled;
use crate::error::Result;
use crate::field::{FieldMap, FieldValue};
use crate::modulestore::{Body, Course};
use crate::structure::BlockIndex;
use crate::transformer::{Collected, Data, Reach, Transformation, Transformer};
use crate::version::Versions;

/// Tells whether a block's view is made for all devices (`student_view_multi_device`) and, for
/// the types in [`UserContext::requested_student_view_data`], what is to be shown
/// (`student_view_data`).
///
/// In the original both are asked of the code of each block's type. Here they are what exports
/// hold: pages, topics of discussions, and videos that are for the web only. Left out: all other
/// videos, whose files and transcripts are known to the platform alone, and types that are no part
/// of the platform.
///
/// Source: `course_api/blocks/transformers/student_view.py`, `xmodule/html_block.py`.
///
/// [`UserContext::requested_student_view_data`]: crate::UserContext::requested_student_view_data
#[derive(Clone, Copy, Debug, Default)]
pub struct StudentView {
    pages: Pages,
}

/// Whether the text of pages is collected.
#[derive(Clone, Copy, Debug, Default)]
enum Pages {
    #[default]
    Withheld,
    Told,
}

/// What [`StudentView`] stores per block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudentViewBlock {
    /// Whether its view is made for all devices.
    pub student_view_multi_device: bool,
    /// What is to be shown, by names of the type's own; `None` where nothing is known, or where it
    /// is withheld.
    pub student_view_data: Option<FieldMap>,
}

/// The types whose views are made for all devices.
const MULTI_DEVICE: [&str; 6] = [
    "drag-and-drop-v2",
    "html",
    "lti_consumer",
    "poll",
    "survey",
    "word_cloud",
];

const PAGE: &str = "html";

const NAME: &str = "blocks_api:student_view";

impl StudentView {
    /// One that tells the text of pages, as platforms do that have
    /// `ENABLE_HTML_XBLOCK_STUDENT_VIEW_DATA`. All of it is stored once more then.
    #[must_use]
    pub const fn with_pages() -> Self {
        Self { pages: Pages::Told }
    }

    fn data(
        self,
        course: &Course,
        block: BlockIndex,
        budget: &mut Budget,
    ) -> Result<Option<FieldMap>> {
        let text = |value: &str| FieldValue::String(value.to_owned());
        let entries = match course.structure().key(block).block_type() {
            PAGE => match self.pages {
                Pages::Withheld => return Ok(None),
                Pages::Told => vec![
                    ("enabled", FieldValue::Bool(true)),
                    ("html", FieldValue::String(page(course, block, budget)?)),
                ],
            },
            "discussion" => {
                let topic = course.field(block, "discussion_id");
                let Some(topic) = topic.and_then(FieldValue::as_str) else {
                    return Ok(None);
                };
                vec![("topic_id", text(topic))]
            }
            "video" => {
                let only_on_web = course.field(block, "only_on_web");
                if only_on_web.and_then(FieldValue::as_bool) != Some(true) {
                    return Ok(None);
                }
                vec![("only_on_web", FieldValue::Bool(true))]
            }
            _ => return Ok(None),
        };
        Ok(Some(named(entries)))
    }
}

impl Transformer for StudentView {
    type BlockData<'a> = StudentViewBlock;
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        NAME
    }

    fn versions(&self) -> Versions {
        settled(1)
    }

    fn reach(&self) -> Reach {
        Reach::Subtree
    }

    fn collect(&self, course: &Course) -> Result<Collected<StudentViewBlock, ()>> {
        let structure = course.structure();
        let mut collected = Collected::new(structure.width(), ());
        let mut budget = Budget::new("the texts");
        for block in structure.blocks() {
            let block_type = structure.key(block).block_type();
            let data = StudentViewBlock {
                student_view_multi_device: MULTI_DEVICE.contains(&block_type),
                student_view_data: self.data(course, block, &mut budget)?,
            };
            collected.set(block, data);
        }
        Ok(collected)
    }

    fn transform(
        &self,
        data: &Data<StudentViewBlock, ()>,
        transformation: &mut Transformation<'_>,
    ) -> Result<()> {
        let requested = transformation.user().requested_student_view_data.clone();
        let (structure, outputs) = transformation.split();
        for block in structure.blocks() {
            let Some(data) = data.block(block) else {
                continue;
            };
            let multi_device = outputs.column(NAME, "student_view_multi_device");
            multi_device.set(block, FieldValue::Bool(data.student_view_multi_device));
            let block_type = structure.key(block).block_type();
            if !requested.iter().any(|requested| requested == block_type) {
                continue;
            }
            let view = data.student_view_data.clone();
            if let Some(view) = view.or_else(|| (block_type == PAGE).then(withheld)) {
                let views = outputs.column(NAME, "student_view_data");
                views.set(block, FieldValue::Dict(view));
            }
        }
        Ok(())
    }
}

/// What a platform says that does not tell the text of pages, which is the default. It is the same
/// for all of them, so it is not stored.
fn withheld() -> FieldMap {
    let message = r#"To enable, set FEATURES["ENABLE_HTML_XBLOCK_STUDENT_VIEW_DATA"]"#;
    named(vec![
        ("enabled", FieldValue::Bool(false)),
        ("message", FieldValue::String(message.to_owned())),
    ])
}

fn named(entries: Vec<(&str, FieldValue)>) -> FieldMap {
    let entries = entries.into_iter();
    entries
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// What stands for the learner is left as it is: nobody is there while a course is collected. What
/// stands for the course may stand there any number of times.
fn page(course: &Course, block: BlockIndex, budget: &mut Budget) -> Result<String> {
    const COURSE: &str = "%%COURSE_ID%%";

    let Some(Body::Text { text, .. }) = course.block(block).map(|block| &block.body) else {
        return Ok(String::new());
    };
    let key = course.key().to_string();
    let keys = text.matches(COURSE).count().saturating_mul(key.len());
    budget.charge(text.len().saturating_add(keys))?;
    Ok(text.replace(COURSE, &key))
}
