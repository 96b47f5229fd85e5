//! `get`: what transformers collected, as JSON.

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::Context;
use super::failure::{Answer, Failure, explain};
use super::json::{Object, SCHEMA};
use super::output::Output;
use crate::engine;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{CourseKey, UsageKey};
use crate::manager::{CollectedCourse, Manager};
use crate::record::VerifiedRecord;
use crate::transformer::Registry;
use crate::version::WriteVersion;

/// Print what transformers collected for a course or for one of its blocks, as JSON
#[derive(Debug, Args)]
#[command(after_help = "\
The answer is JSON in both formats, indented for people. What is missing, outdated or damaged is \
collected first, from where the course was imported. With --block only that block's part of the \
records is read, however large the course is.

Examples:
  courseblocks get course-v1:edX+DemoX+2026 start_date
  courseblocks get course-v1:edX+DemoX+2026 --block block-v1:edX+DemoX+2026+type@problem+block@p1

Exit status: 0 printed, 1 there is no such course or block or a transformer failed on it, 2 bad \
usage, 3 the store failed.")]
pub(super) struct Get {
    /// The course, for example course-v1:edX+DemoX+2026
    course: CourseKey,
    /// The transformer; all of them without it
    transformer: Option<String>,
    /// Only this block
    #[arg(long, value_name = "KEY")]
    block: Option<UsageKey>,
}

impl Get {
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        let manager = context.reader(output)?;
        let names = context.transformers(self.transformer.as_slice())?;
        let (found, failed) = match &self.block {
            Some(block) => one_block(&manager, &self.course, &names, block)?,
            None => whole(&manager, &self.course, &names)?,
        };
        for error in &failed {
            output.notice(&format!("error: {}", explain(error)));
        }
        output.json(&found)?;
        Ok(Answer::after(failed.len()))
    }
}

/// What was collected, and why it is not there of some transformers.
type Found<'a> = (CollectedAnswer<'a>, Vec<Error>);

fn whole<'a>(manager: &'a Manager, course: &'a CourseKey, names: &[&'a str]) -> Result<Found<'a>> {
    let read = |names: &[&'a str]| manager.get_collected(course, names);
    let (collected, _, failed) = read_what_can_be(names, read)?;
    let records = names
        .iter()
        .filter_map(|name| Some((*name, collected.record(name)?)));
    let transformers = records.map(|(name, record)| {
        let answer = TransformerAnswer::whole(manager.registry(), &collected, name, record)?;
        Ok((name, answer))
    });
    let answer = CollectedAnswer {
        schema: SCHEMA,
        course_key: course,
        generation: collected.generation().get(),
        transformers: Object(transformers.collect::<Result<_>>()?),
    };
    Ok((answer, failed))
}

fn one_block<'a>(
    manager: &'a Manager,
    course: &'a CourseKey,
    names: &[&'a str],
    block: &UsageKey,
) -> Result<Found<'a>> {
    let read = |names: &[&'a str]| manager.get_block_entries(course, names, block);
    let (entries, readable, mut failed) = read_what_can_be(names, read)?;
    let mut transformers = Vec::new();
    for name in readable {
        let version = entries.write_version(name)?;
        match entries.json(manager.registry().get(name)?) {
            Ok(value) => {
                transformers.push((name, TransformerAnswer::one_block(version, block, value)));
            }
            Err(error) if names.len() > 1 && hurts_only_itself(&error) => failed.push(error),
            Err(error) => return Err(error),
        }
    }
    let answer = CollectedAnswer {
        schema: SCHEMA,
        course_key: course,
        generation: entries.generation().get(),
        transformers: Object(transformers),
    };
    Ok((answer, failed))
}

/// Reads what is stored under all `names` as one, or under those of them that can be read.
fn read_what_can_be<'n, R>(
    names: &[&'n str],
    read: impl Fn(&[&'n str]) -> Result<R>,
) -> Result<(R, Vec<&'n str>, Vec<Error>)> {
    match read(names) {
        Ok(found) => return Ok((found, names.to_vec(), Vec::new())),
        Err(error) if names.len() > 1 && hurts_only_itself(&error) => {}
        Err(error) => return Err(error),
    }
    let mut readable = Vec::new();
    let mut failed = Vec::new();
    for name in names {
        match read(&[name]) {
            Ok(_) => readable.push(*name),
            Err(error) if hurts_only_itself(&error) => failed.push(error),
            Err(error) => return Err(error),
        }
    }
    // Once more, so that all of it is of one generation.
    Ok((read(&readable)?, readable, failed))
}

/// One transformer that fails must not hide the others.
fn hurts_only_itself(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Transformer | ErrorKind::TooNew)
}

#[derive(Debug, Serialize)]
struct CollectedAnswer<'a> {
    schema: u32,
    course_key: &'a CourseKey,
    generation: u64,
    transformers: Object<&'a str, TransformerAnswer>,
}

/// Nothing at all where nothing is stored, which only a READ version of 0 allows.
#[derive(Debug, Serialize)]
struct TransformerAnswer {
    write_version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    course: Option<Value>,
    blocks: Object<UsageKey, Value>,
}

impl TransformerAnswer {
    fn whole(
        registry: &Registry,
        collected: &CollectedCourse,
        name: &str,
        record: &VerifiedRecord<engine::Value>,
    ) -> Result<Self> {
        let transformer = registry.get(name)?;
        let column = record.column();
        let mut blocks = Vec::new();
        for (key, entry) in collected
            .structure()
            .keys()
            .as_slice()
            .iter()
            .zip(column.entries())
        {
            if let Some(entry) = entry? {
                blocks.push((key.clone(), transformer.block_json(entry)?));
            }
        }
        Ok(Self {
            write_version: Some(record.header().write_version().get()),
            course: Some(transformer.course_json(column.course_wide()?)?),
            blocks: Object(blocks),
        })
    }

    fn one_block(version: Option<WriteVersion>, block: &UsageKey, value: Option<Value>) -> Self {
        let value = value.map(|value| (block.clone(), value));
        Self {
            write_version: version.map(WriteVersion::get),
            course: None,
            blocks: Object(value.into_iter().collect()),
        }
    }
}
