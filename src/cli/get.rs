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
use crate::store::{CourseEntry, RecordEntry};
use crate::transformer::Registry;

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
        let manager = context.manager()?;
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
    let (collected, failed) = match manager.get_collected(course, names) {
        Ok(collected) => (collected, Vec::new()),
        Err(error) if names.len() > 1 && hurts_only_itself(&error) => {
            let mut readable = Vec::new();
            let mut failed = Vec::new();
            for name in names {
                match manager.get_collected(course, &[name]) {
                    Ok(_) => readable.push(*name),
                    Err(error) if hurts_only_itself(&error) => failed.push(error),
                    Err(error) => return Err(error),
                }
            }
            // Once more, so that all of it is of one generation.
            (manager.get_collected(course, &readable)?, failed)
        }
        Err(error) => return Err(error),
    };
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

/// How often a block is read again because the course was written meanwhile.
const MAX_ATTEMPTS: usize = 8;

fn one_block<'a>(
    manager: &'a Manager,
    course: &'a CourseKey,
    names: &[&'a str],
    block: &UsageKey,
) -> Result<Found<'a>> {
    let mut before = manager.store().course(course)?;
    for _ in 0..MAX_ATTEMPTS {
        let mut values = Vec::new();
        let mut failed = Vec::new();
        for name in names {
            match manager.get_block_json(course, name, block) {
                Ok(value) => values.push((*name, value)),
                Err(error) if hurts_only_itself(&error) && names.len() > 1 => failed.push(error),
                Err(error) => return Err(error),
            }
        }
        // Unchanged, so all of the values are of this generation. The first time it may have been
        // these very reads that collected what was missing.
        let after = manager.store().course(course)?;
        if let (true, Some(entry)) = (before == after, &after) {
            let transformers = values.into_iter().map(|(name, value)| {
                (
                    name,
                    TransformerAnswer::one_block(entry, name, block, value),
                )
            });
            let answer = CollectedAnswer {
                schema: SCHEMA,
                course_key: course,
                generation: entry.generation().get(),
                transformers: Object(transformers.collect()),
            };
            return Ok((answer, failed));
        }
        before = after;
    }
    let message = format!("{course} was written {MAX_ATTEMPTS} times while it was being read");
    Err(Error::new(ErrorKind::Conflict, message))
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

    fn one_block(entry: &CourseEntry, name: &str, block: &UsageKey, value: Option<Value>) -> Self {
        let header = entry.record(name).map(RecordEntry::header);
        Self {
            write_version: header.map(|header| header.write_version().get()),
            course: None,
            blocks: Object(
                value
                    .map(|value| (block.clone(), value))
                    .into_iter()
                    .collect(),
            ),
        }
    }
}
