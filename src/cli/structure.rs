//! `structure`: a course as it was published, as JSON.

use clap::Args;
use serde::Serialize;

use super::Context;
use super::failure::{Answer, Failure};
use super::json::{Fields, Object, SCHEMA};
use super::output::Output;
use super::problems::{self, ProblemAnswer};
use crate::collect::CollectedBlock;
use crate::field::FieldMap;
use crate::field::FieldValue;
use crate::key::{CourseKey, UsageKey};
use crate::manager::PublishedCourse;
use crate::structure::BlockIndex;

/// Print the DAG of a course with the fields of its blocks, as JSON
#[derive(Debug, Args)]
#[command(after_help = "\
The answer is JSON in both formats, indented for people. Values are those that the author set \
(`fields`) and those that come from ancestors (`inherited`); what could not be read is in `errors`.

Example:
  courseblocks structure course-v1:edX+DemoX+2026 | jq '.blocks | length'

Exit status: 0 printed, 1 there is no such course, 2 bad usage, 3 the store failed.")]
pub(super) struct Structure {
    /// The course, for example course-v1:edX+DemoX+2026
    course: CourseKey,
}

impl Structure {
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        let published = context.reader(output)?.get_published(&self.course)?;
        output.json(&StructureAnswer::new(&self.course, &published))?;
        Ok(Answer::Done)
    }
}

#[derive(Debug, Serialize)]
struct StructureAnswer<'a> {
    schema: u32,
    course_key: &'a CourseKey,
    generation: u64,
    root: &'a UsageKey,
    blocks: Object<&'a UsageKey, BlockAnswer<'a>>,
    errors: Vec<ProblemAnswer<'a>>,
    warnings: Vec<ProblemAnswer<'a>>,
}

#[derive(Debug, Serialize)]
struct BlockAnswer<'a> {
    r#type: &'a str,
    display_name: Option<&'a str>,
    children: Vec<&'a UsageKey>,
    fields: Fields<'a>,
    inherited: Object<&'a str, serde_json::Value>,
}

impl<'a> StructureAnswer<'a> {
    fn new(course_key: &'a CourseKey, published: &'a PublishedCourse) -> Self {
        let structure = &published.structure;
        let report = published.blocks.report();
        let mut positions: Vec<_> = structure.blocks().collect();
        positions.sort_unstable();
        let blocks = positions.into_iter().map(|position| {
            (
                structure.key(position),
                BlockAnswer::new(published, position),
            )
        });
        Self {
            schema: SCHEMA,
            course_key,
            generation: published.generation.get(),
            root: structure.key(structure.root()),
            blocks: Object(blocks.collect()),
            errors: problems::answers(&report.errors),
            warnings: problems::answers(&report.warnings),
        }
    }
}

impl<'a> BlockAnswer<'a> {
    fn new(published: &'a PublishedCourse, position: BlockIndex) -> Self {
        /// Of a block that the record of fields does not have.
        static NO_FIELDS: FieldMap = FieldMap::new();

        let structure = &published.structure;
        let block = published.blocks.block(position);
        let fields = block.as_ref().map_or(&NO_FIELDS, CollectedBlock::fields);
        let inherited = block.iter().flat_map(CollectedBlock::inherited);
        Self {
            r#type: structure.key(position).block_type(),
            display_name: fields.get("display_name").and_then(FieldValue::as_str),
            children: structure
                .children(position)
                .map(|child| structure.key(child))
                .collect(),
            fields: Fields(fields),
            inherited: Object(
                inherited
                    .map(|(name, value)| (name, value.into()))
                    .collect(),
            ),
        }
    }
}
