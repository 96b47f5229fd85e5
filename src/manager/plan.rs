//! What a course needs: decided from its row in the header index, its source version and the
//! registry. No I/O.

use std::fmt;

use super::{Force, UpdateOptions};
use crate::collect::{OWN_RECORDS, OWN_VERSIONS};
use crate::error::Result;
use crate::source_version::SourceVersion;
use crate::store::CourseEntry;
use crate::transformer::Registry;
use crate::version::{Verdict, Versions};

/// What is to be collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Everything is up to date.
    Nothing,
    /// The source is unchanged: only these transformers.
    Part(Vec<String>),
    /// Everything, in a new generation.
    Whole(Reason),
}

/// Why a course is collected whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is not stored yet, or its row in the index is damaged.
    NotStored,
    /// Its source has another version.
    SourceChanged,
    /// The record of its structure or of its blocks is missing, damaged or outdated.
    StructureOutdated,
    /// It was asked for.
    Forced,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotStored => "not stored yet",
            Self::SourceChanged => "the source has changed",
            Self::StructureOutdated => "its structure must be collected again",
            Self::Forced => "forced",
        })
    }
}

impl Plan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    pub(super) fn make(
        entry: Option<&CourseEntry>,
        source: &SourceVersion,
        registry: &Registry,
        options: &UpdateOptions,
        damaged: &[String],
    ) -> Result<Self> {
        for name in &options.transformers {
            registry.versions(name)?;
        }
        let Some(entry) = entry else {
            return Ok(Self::Whole(Reason::NotStored));
        };
        if entry.source_version() != source {
            return Ok(Self::Whole(Reason::SourceChanged));
        }
        let is_due = |name: &str, versions: &Versions| {
            is_due(entry, name, versions) || damaged.iter().any(|damaged| damaged == name)
        };
        if OWN_RECORDS.iter().any(|name| is_due(name, &OWN_VERSIONS)) {
            return Ok(Self::Whole(Reason::StructureOutdated));
        }
        let everything = options.force == Force::Everything;
        if everything && options.transformers.is_empty() {
            return Ok(Self::Whole(Reason::Forced));
        }
        let due: Vec<_> = registry
            .iter()
            .filter(|transformer| {
                let name = transformer.name();
                let is_asked_for = options.transformers.is_empty()
                    || options.transformers.iter().any(|asked| asked == name);
                is_asked_for && (everything || is_due(name, &transformer.versions()))
            })
            .map(|transformer| transformer.name().to_owned())
            .collect();
        if due.is_empty() {
            return Ok(Self::Nothing);
        }
        Ok(Self::Part(due))
    }
}

/// Whether this release would store something newer. What is too new for it is left alone.
fn is_due(entry: &CourseEntry, name: &str, versions: &Versions) -> bool {
    let Some(record) = entry.record(name) else {
        return true;
    };
    match record.header().judge(versions) {
        Verdict::Current | Verdict::TooNew => false,
        Verdict::Behind | Verdict::Outdated => true,
    }
}
