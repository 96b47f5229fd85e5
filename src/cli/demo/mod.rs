//! `demo`: what this store is for, told with a course of its own in a store of its own. Nothing in
//! the story is taken for granted: every step is checked, every number measured.

mod course;
mod next_release;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use super::failure::{Answer, Failure};
use super::output::Output;
use super::session::{Identity, Session};
use super::sources::{self, Sources};
use super::table::{Align, Table};
use crate::error::Result;
use crate::key::{CourseKey, UsageKey};
use crate::manager::{Manager, Plan, UpdateOptions};
use crate::record::HEADER_LEN;
use crate::store::{CourseEntry, Lookup, RecordEntry, Store};
use crate::transformer::standard::{StartDate, StartDateBlock};
use crate::transformer::{Registry, Transformer};
use next_release::NextStartDate;

/// Show, on a small course in a temporary store, how a schema change goes out
#[derive(Debug, Args)]
#[command(after_help = "\
Needs nothing and leaves nothing behind.

Exit status: 0 every step turned out as told, 1 one did not, 2 bad usage, 3 the store failed.")]
pub(super) struct Demo {}

impl Demo {
    #[expect(clippy::unused_self, reason = "all commands are run alike")]
    pub(super) fn run(&self, output: &mut Output) -> Result<Answer, Failure> {
        let directory = tempfile::Builder::new()
            .prefix("courseblocks-demo-")
            .tempdir();
        let directory = directory.map_err(|error| no_place(&error))?;
        let export = directory.path().join("course");
        course::write(&export).map_err(|error| no_place(&error))?;
        let store = Store::open(directory.path().join("store"));
        let store = Arc::new(store.map_err(|error| Failure::opening(&error))?);
        let sources = Arc::new(Sources::new(Arc::clone(&store)));
        let course = sources::read(&export)?;
        let key = course.key().clone();
        let block = key
            .usage_key("sequential", "brightness")
            .map_err(crate::Error::from)?;
        sources.hold(course);
        let release = |registry, name: &str| -> Result<Session> {
            let manager = Manager::new(
                Arc::clone(&store),
                Arc::new(registry),
                Arc::clone(&sources) as _,
            );
            let identity = Identity {
                worker: format!("worker of {name}"),
                release: name.to_owned(),
                lasts: Duration::from_secs(30),
            };
            Session::begin(manager, &identity)
        };
        let demo = Story {
            store: &store,
            this_release: release(Registry::standard(), "this release")?,
            next_release: release(next_release::registry()?, "the next release")?,
            course: key,
            block,
        };
        if output.is_json() {
            output.begin_list("steps")?;
        }
        demo.tell(&mut Steps { output, number: 0 })?;
        Ok(Answer::Done)
    }
}

/// Two releases of the same transformer on one store.
struct Story<'a> {
    store: &'a Store,
    this_release: Session,
    next_release: Session,
    course: CourseKey,
    block: UsageKey,
}

impl Story<'_> {
    fn tell(&self, steps: &mut Steps<'_>) -> Result<(), Failure> {
        let imported = self.import(steps)?;
        let first = self.read_one_block(steps)?;
        self.refuse(steps)?;
        self.go_on_reading(steps, &first)?;
        let updated = self.update(steps, &imported)?;
        self.read_with_both(steps, &first, &updated)
    }

    fn import(&self, steps: &mut Steps<'_>) -> Result<CourseEntry, Failure> {
        let begun = Instant::now();
        let updated = self
            .this_release
            .update(&self.course, &UpdateOptions::default())?;
        let took = milliseconds(begun.elapsed());
        let entry = self.entry()?;
        let names: Vec<_> = entry.records().iter().map(RecordEntry::name).collect();
        let registry = self.this_release.registry();
        check(
            updated.failures.is_empty(),
            "every transformer collects the course",
        )?;
        check(
            registry.names().all(|name| names.contains(&name)),
            "each has a record",
        )?;
        let files = course::FILES.len();
        let (course, blocks, bytes) = (&self.course, entry.blocks(), entry.bytes());
        let records = names.len();
        steps.step(
            "A course is imported",
            &[
                format!("{course}: {files} files, {blocks} blocks"),
                format!("collected into {records} records of {bytes} bytes, on disk after {took}"),
            ],
        )?;
        let mut table = Table::new([
            ("record", Align::Left),
            ("read", Align::Right),
            ("write", Align::Right),
            ("stored", Align::Right),
            ("bytes", Align::Right),
        ]);
        for name in registry.names() {
            let versions = registry.versions(name)?;
            let record = entry
                .record(name)
                .ok_or_else(|| Failure::no("a record is gone"))?;
            table.row([
                name.to_owned(),
                versions.read.to_string(),
                versions.write.to_string(),
                record.header().write_version().to_string(),
                record.bytes().to_string(),
            ]);
        }
        let table: Vec<_> = table.lines().collect();
        steps.step(
            "Every record says which version of its transformer wrote it",
            &table,
        )?;
        Ok(entry)
    }

    fn read_one_block(&self, steps: &mut Steps<'_>) -> Result<StartDateBlock, Failure> {
        let value = self
            .this_release
            .get_block(&self.course, &StartDate, &self.block)?;
        let value = value.ok_or_else(|| Failure::no("start_date knows nothing of a block"))?;
        let structure = self.this_release.get_published(&self.course)?.structure;
        let position = structure.position(&self.block);
        let position = position.ok_or_else(|| Failure::no("a block is not in the course"))?;
        let versions = self.this_release.registry().versions(name())?;
        let record = self.store.lookup(&self.course, name(), &versions)?.fresh();
        let record = record.ok_or_else(|| Failure::no("the record cannot be read"))?;
        let read = record.column().bytes_read_for(position.as_usize());
        let read = HEADER_LEN + read.map_err(crate::Error::from)?;
        check(read < record.bytes(), "one block is less than the whole")?;
        steps.step(
            "One block is read without the others",
            &[
                format!("start_date of {}: {}", self.block.block_id(), json(&value)?),
                format!(
                    "read and verified for it: {read} of the record's {} bytes",
                    record.bytes()
                ),
            ],
        )?;
        Ok(value)
    }

    fn refuse(&self, steps: &mut Steps<'_>) -> Result<(), Failure> {
        const TIMES: u32 = 1000;

        let versions = Transformer::versions(&NextStartDate);
        let lookup = || self.store.lookup(&self.course, name(), &versions);
        let Lookup::Outdated { stored } = lookup()? else {
            return Err(as_told("the next release refuses the record"));
        };
        let begun = Instant::now();
        for _ in 0..TIMES {
            black_box(lookup()?);
        }
        let took = begun.elapsed() / TIMES;
        let (read, write) = (versions.read, versions.write);
        let this = self.this_release.registry().versions(name())?;
        steps.step(
            "The next release of start_date stores one field more, and needs it",
            &[
                format!(
                    "READ {} -> {read}, WRITE {} -> {write}: transform is to know {:?}",
                    this.read,
                    this.write,
                    next_release::NEW_FIELD
                ),
                format!("the stored record is at version {stored}: outdated, not to be used"),
                format!(
                    "that took its {HEADER_LEN}-byte header and {}; nothing was decoded",
                    microseconds(took)
                ),
            ],
        )
    }

    fn go_on_reading(&self, steps: &mut Steps<'_>, first: &StartDateBlock) -> Result<(), Failure> {
        let value = self
            .this_release
            .get_block(&self.course, &StartDate, &self.block)?;
        check(
            value.as_ref() == Some(first),
            "the release that runs reads as before",
        )?;
        steps.step(
            "Workers of this release are still running, and read as before",
            &[format!(
                "start_date of {}: {}",
                self.block.block_id(),
                json(&value)?
            )],
        )
    }

    fn update(
        &self,
        steps: &mut Steps<'_>,
        imported: &CourseEntry,
    ) -> Result<CourseEntry, Failure> {
        let options = UpdateOptions::default();
        let plan = self.next_release.plan(&self.course, &options)?;
        let due = vec![name().to_owned()];
        check(plan == Plan::Part(due.clone()), "start_date alone is due")?;
        let begun = Instant::now();
        let updated = self.next_release.update(&self.course, &options)?;
        let took = milliseconds(begun.elapsed());
        let published = updated.published.filter(|_| updated.failures.is_empty());
        let published = published.ok_or_else(|| as_told("the update writes start_date"))?;
        let entry = self.entry()?;
        let untouched = entry.records().iter().filter(|new| {
            imported
                .record(new.name())
                .is_some_and(|old| old.header() == new.header())
        });
        let untouched = untouched.count();
        check(published.records == due.len(), "one record is written")?;
        check(
            untouched + due.len() == entry.records().len(),
            "the others are untouched",
        )?;
        steps.step("An update by the next release cures it", &[
            format!("to be collected: {}", due.join(", ")),
            format!(
                "written: {} record of {} bytes, in {took}; the {untouched} others were not touched",
                published.records, published.bytes
            ),
        ])?;
        Ok(entry)
    }

    fn read_with_both(
        &self,
        steps: &mut Steps<'_>,
        first: &StartDateBlock,
        updated: &CourseEntry,
    ) -> Result<(), Failure> {
        let next = self
            .next_release
            .get_block(&self.course, &NextStartDate, &self.block)?;
        let this = self
            .this_release
            .get_block(&self.course, &StartDate, &self.block)?;
        let next = next.ok_or_else(|| as_told("the next release reads the new record"))?;
        check(
            next.known() == *first,
            "the new record holds what the old one did",
        )?;
        check(
            this.as_ref() == Some(first),
            "this release reads the new record as well",
        )?;
        let stored = updated
            .record(name())
            .map(|record| record.header().write_version());
        check(
            stored == Some(Transformer::versions(&NextStartDate).write),
            "the record has the new version",
        )?;
        let after = self.entry()?;
        check(after == *updated, "reading it makes no release write")?;
        steps.step(
            "Both releases read the new record, and neither undoes it",
            &[
                format!("next release: {}", json(&next)?),
                format!("this release: {}", json(&this)?),
                "the change is additive: a reader decodes what it knows and leaves the rest"
                    .to_owned(),
            ],
        )
    }

    fn entry(&self) -> Result<CourseEntry, Failure> {
        let entry = self.store.course(&self.course)?;
        entry.ok_or_else(|| as_told("the course is stored"))
    }
}

/// The steps of the story, as they are told.
struct Steps<'a> {
    output: &'a mut Output,
    number: usize,
}

#[derive(Debug, Serialize)]
struct Step<'a> {
    number: usize,
    title: &'a str,
    details: &'a [String],
}

impl Steps<'_> {
    fn step(&mut self, title: &str, details: &[String]) -> Result<(), Failure> {
        self.number += 1;
        if self.output.is_json() {
            return self.output.item(&Step {
                number: self.number,
                title,
                details,
            });
        }
        self.output.line(&format!("{}. {title}", self.number))?;
        for detail in details {
            self.output.line(&format!("     {detail}"))?;
        }
        Ok(())
    }
}

/// The transformer that the story is about, in both releases.
fn name() -> &'static str {
    Transformer::name(&StartDate)
}

fn check(holds: bool, claim: &str) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(as_told(claim)) }
}

fn as_told(claim: &str) -> Failure {
    Failure::no(format!(
        "the story breaks off here; it should have been so that {claim}"
    ))
}

fn no_place(error: &std::io::Error) -> Failure {
    Failure::no(format!("there is no room for a temporary store: {error}"))
}

fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::no(error.to_string()))
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn microseconds(time: Duration) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6)
}
