//! `inspect`: the headers of a course's records and what they mean to this release, from the
//! header index alone. No record is read.

use clap::Args;
use serde::Serialize;

use super::Context;
use super::failure::{Answer, Failure};
use super::json::SCHEMA;
use super::output::Output;
use super::sources::not_stored;
use super::table::{Align, Table};
use crate::collect::{OWN_RECORDS, OWN_VERSIONS};
use crate::key::CourseKey;
use crate::record::{Generation, Header};
use crate::store::{CourseEntry, Failure as TransformerFailure, RecordEntry};
use crate::transformer::Registry;
use crate::version::{Verdict, Versions};

/// Print the headers of a course's records, with a verdict for this release
#[derive(Debug, Args)]
#[command(after_help = "\
READ and WRITE are those of this release; STORED is the version that wrote the record, MIN READER \
the least WRITE that understands it. BODY BYTES are what is stored, compressed or not; `verify` \
tells what they are uncompressed. Only the header index is read.

Exit status: 0 printed, 1 there is no such course, 2 bad usage, 3 the store failed.")]
pub(super) struct Inspect {
    /// The course, for example course-v1:edX+DemoX+2026
    course: CourseKey,
    /// The transformer; all records without it
    transformer: Option<String>,
}

impl Inspect {
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        let store = context.open()?;
        let entry = store
            .course(&self.course)?
            .ok_or_else(|| not_stored(&self.course))?;
        let mut records = judge(&entry, &context.registry);
        if let Some(name) = &self.transformer {
            records.retain(|record| record.name == name);
            if records.is_empty() {
                // Says what there is.
                context.registry.versions(name)?;
            }
        }
        if output.is_json() {
            output.json(&InspectAnswer {
                schema: SCHEMA,
                course_key: &self.course,
                generation: entry.generation().get(),
                source_version: entry.source_version().as_str(),
                origin: entry.origin(),
                blocks: entry.blocks(),
                records,
            })?;
        } else {
            print(&entry, &records, output)?;
        }
        Ok(Answer::Done)
    }
}

/// One record as this release sees it.
#[derive(Debug, Serialize)]
struct RecordAnswer<'a> {
    name: &'a str,
    /// READ and WRITE of this release; absent for what it does not have.
    read: Option<u32>,
    write: Option<u32>,
    stored: Option<HeaderAnswer>,
    verdict: Finding,
    failure: Option<&'a TransformerFailure>,
}

#[derive(Debug, Serialize)]
struct HeaderAnswer {
    write_version: u32,
    min_reader: u32,
    generation: u64,
    entries: u32,
    /// As they are stored.
    body_bytes: u32,
    compression: String,
    /// In hexadecimal, as tools print a CRC-32.
    header_checksum: String,
    body_checksum: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Finding {
    Current,
    Behind,
    Outdated,
    TooNew,
    Missing,
    /// Nothing is stored, and nothing needs to be: READ is 0.
    Optional,
    /// Stored by another release, and not known to this one.
    Unregistered,
}

#[derive(Debug, Serialize)]
struct InspectAnswer<'a> {
    schema: u32,
    course_key: &'a CourseKey,
    generation: u64,
    source_version: &'a str,
    origin: Option<&'a str>,
    blocks: u32,
    records: Vec<RecordAnswer<'a>>,
}

/// The store's own records, then those of the release in its order, then what it does not know.
/// No I/O.
fn judge<'a>(entry: &'a CourseEntry, registry: &'a Registry) -> Vec<RecordAnswer<'a>> {
    let own = OWN_RECORDS.map(|name| (name, OWN_VERSIONS));
    let registered = registry
        .iter()
        .map(|transformer| (transformer.name(), transformer.versions()));
    let known = own.into_iter().chain(registered);
    let known = known.map(|(name, versions)| RecordAnswer::new(entry, name, Some(versions)));
    let is_known = |name: &str| OWN_RECORDS.contains(&name) || registry.contains(name);
    let stored = entry.records().iter().map(RecordEntry::name);
    let others = stored.filter(|name| !is_known(name));
    let others = others.map(|name| RecordAnswer::new(entry, name, None));
    known.chain(others).collect()
}

impl<'a> RecordAnswer<'a> {
    fn new(entry: &'a CourseEntry, name: &'a str, versions: Option<Versions>) -> Self {
        let header = entry.record(name).map(RecordEntry::header);
        let failures = entry.failures().iter();
        Self {
            name,
            read: versions.map(|versions| versions.read.get()),
            write: versions.map(|versions| versions.write.get()),
            stored: header.map(HeaderAnswer::new),
            verdict: Finding::new(header, versions),
            failure: failures
                .into_iter()
                .find(|failure| failure.transformer == name),
        }
    }

    fn words(&self) -> String {
        let verdict = self.verdict.words();
        match self.failure {
            None => verdict.to_owned(),
            Some(TransformerFailure {
                write_version,
                attempts,
                error,
                ..
            }) => format!(
                "{verdict}; failed at version {write_version} ({attempts} in a row): {error}"
            ),
        }
    }
}

impl HeaderAnswer {
    fn new(header: &Header) -> Self {
        Self {
            write_version: header.write_version().get(),
            min_reader: header.min_reader().get(),
            generation: header.generation().get(),
            entries: header.entries(),
            body_bytes: header.body_len(),
            compression: header.compression().to_string(),
            header_checksum: format!("{:08x}", header.checksum()),
            body_checksum: format!("{:08x}", header.body_checksum()),
        }
    }
}

impl Finding {
    fn new(header: Option<&Header>, versions: Option<Versions>) -> Self {
        match (header, versions) {
            (_, None) => Self::Unregistered,
            (None, Some(versions)) if versions.read.accepts_missing() => Self::Optional,
            (None, Some(_)) => Self::Missing,
            (Some(header), Some(versions)) => match header.judge(&versions) {
                Verdict::Current => Self::Current,
                Verdict::Behind => Self::Behind,
                Verdict::Outdated => Self::Outdated,
                Verdict::TooNew => Self::TooNew,
            },
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Behind => "behind: readable, an update is due",
            Self::Outdated => "outdated: must be collected again",
            Self::TooNew => "too new: a newer release wrote it",
            Self::Missing => "missing: must be collected",
            Self::Optional => "missing: not needed yet, an update is due",
            Self::Unregistered => "not of this release",
        }
    }
}

fn print(
    entry: &CourseEntry,
    records: &[RecordAnswer<'_>],
    output: &mut Output,
) -> Result<(), Failure> {
    let generation: Generation = entry.generation();
    let origin = entry.origin().unwrap_or("not known");
    output.line(&format!("course          {}", entry.course()))?;
    output.line(&format!("blocks          {}", entry.blocks()))?;
    output.line(&format!("generation      {generation}"))?;
    output.line(&format!("source version  {}", entry.source_version()))?;
    output.line(&format!("origin          {origin}"))?;
    output.line("")?;
    let mut table = Table::new([
        ("record", Align::Left),
        ("read", Align::Right),
        ("write", Align::Right),
        ("stored", Align::Right),
        ("min reader", Align::Right),
        ("entries", Align::Right),
        ("body bytes", Align::Right),
        ("compression", Align::Left),
        ("header crc", Align::Left),
        ("body crc", Align::Left),
        ("verdict", Align::Left),
    ]);
    for record in records {
        let stored = |cell: fn(&HeaderAnswer) -> String| {
            record.stored.as_ref().map_or_else(|| "-".to_owned(), cell)
        };
        let version = |version: Option<u32>| version.map_or("-".to_owned(), |v| v.to_string());
        table.row([
            record.name.to_owned(),
            version(record.read),
            version(record.write),
            stored(|header| header.write_version.to_string()),
            stored(|header| header.min_reader.to_string()),
            stored(|header| header.entries.to_string()),
            stored(|header| header.body_bytes.to_string()),
            stored(|header| header.compression.clone()),
            stored(|header| header.header_checksum.clone()),
            stored(|header| header.body_checksum.clone()),
            record.words(),
        ]);
    }
    output.table(&table)
}
