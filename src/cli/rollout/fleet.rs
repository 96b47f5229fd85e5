//! `rollout fleet`: who reads and writes this store, and with which versions.

use std::collections::BTreeMap;

use clap::Args;
use indicatif::HumanDuration;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::failure::{Answer, Failure};
use crate::cli::ink::{Ink, Line};
use crate::cli::json::SCHEMA;
use crate::cli::output::Output;
use crate::cli::session::now;
use crate::cli::table::{Align, Table};
use crate::store::Member;
use crate::timestamp::Timestamp;
use crate::version::{MinReader, ReadVersion, Versions, WriteVersion};

/// List the workers, with the versions that they read and write
#[derive(Debug, Args)]
#[command(after_help = "\
Every process that writes is a worker while it runs. One that was killed is listed until its lease \
ends, and then as expired until somebody starts a rollout.

Exit status: 0 listed, 1 they cannot be read, 2 bad usage, 3 the store failed.")]
pub(super) struct Fleet {}

impl Fleet {
    #[expect(clippy::unused_self, reason = "all commands are run alike")]
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        let store = context.open()?;
        let members = crate::rollout::Fleet::new(&store).members()?;
        let now = now();
        if output.is_json() {
            output.json(&FleetAnswer {
                schema: SCHEMA,
                workers: MemberAnswer::all(&members, now),
            })?;
            return Ok(Answer::Done);
        }
        if members.is_empty() {
            output.line("no worker is in the fleet")?;
            return Ok(Answer::Done);
        }
        let mut table = Table::new([
            ("worker", Align::Left),
            ("release", Align::Left),
            ("", Align::Left),
            ("last heard of", Align::Left),
            ("lease ends", Align::Left),
        ]);
        for member in &members {
            table.row(cells(member, now));
        }
        output.table(&table)?;
        output.line("")?;
        // Workers of one release know the same, as a rule.
        let mut releases: BTreeMap<(&str, String), usize> = BTreeMap::new();
        for member in &members {
            let known = versions_in_words(&member.transformers);
            *releases.entry((&member.release, known)).or_default() += 1;
        }
        for (release, known) in releases.keys() {
            let head = Line::of(Ink::Strong, format!("release {release}: "));
            output.paragraph(&head, known)?;
        }
        Ok(Answer::Done)
    }
}

fn cells(member: &Member, now: Timestamp) -> [Line; 5] {
    let heard = HumanDuration(now.since(member.renewed_at));
    let (state, ends) = if member.is_live(now) {
        let left = HumanDuration(member.expires_at.since(now));
        (Line::of(Ink::Good, "live"), format!("in {left}"))
    } else {
        let ago = HumanDuration(now.since(member.expires_at));
        (Line::of(Ink::Bad, "expired"), format!("{ago} ago"))
    };
    [
        member.worker.as_str().into(),
        member.release.as_str().into(),
        state,
        format!("{heard} ago").into(),
        ends.into(),
    ]
}

fn versions_in_words(transformers: &BTreeMap<String, Versions>) -> String {
    let known = transformers.iter();
    let known = known.map(|(name, versions)| {
        let Versions { read, write, .. } = versions;
        format!("{name} reads {read} writes {write}")
    });
    let known: Vec<_> = known.collect();
    if known.is_empty() {
        return "no transformers".to_owned();
    }
    known.join(", ")
}

#[derive(Debug, Serialize)]
struct FleetAnswer<'a> {
    schema: u32,
    workers: Vec<MemberAnswer<'a>>,
}

/// A worker, in JSON.
#[derive(Debug, Serialize)]
pub(super) struct MemberAnswer<'a> {
    worker: &'a str,
    release: &'a str,
    /// False where its lease has ended.
    live: bool,
    joined_at: Timestamp,
    last_heard_of: Timestamp,
    lease_ends: Timestamp,
    transformers: BTreeMap<&'a str, VersionsAnswer>,
}

#[derive(Debug, Serialize)]
struct VersionsAnswer {
    read: ReadVersion,
    write: WriteVersion,
    min_reader: MinReader,
}

impl<'a> MemberAnswer<'a> {
    pub(super) fn all(members: &'a [Member], now: Timestamp) -> Vec<Self> {
        members
            .iter()
            .map(|member| Self::new(member, now))
            .collect()
    }

    fn new(member: &'a Member, now: Timestamp) -> Self {
        let transformers = member.transformers.iter().map(|(name, versions)| {
            let Versions {
                read,
                write,
                min_reader,
            } = *versions;
            let versions = VersionsAnswer {
                read,
                write,
                min_reader,
            };
            (name.as_str(), versions)
        });
        Self {
            worker: &member.worker,
            release: &member.release,
            live: member.is_live(now),
            joined_at: member.joined_at,
            last_heard_of: member.renewed_at,
            lease_ends: member.expires_at,
            transformers: transformers.collect(),
        }
    }
}
