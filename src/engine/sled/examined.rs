//! sled's files against what was written down of them, before they are opened and after they are
//! closed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::seal::{Seal, Sealed};
use super::survey::Survey;
use super::{SEGMENT_BYTES, WAY_OUT};
use crate::engine::acknowledged::Acknowledged;
use crate::engine::directory::unusable;
use crate::error::{Error, ErrorKind, Result};

/// What was found.
pub(super) struct Examined {
    pub(super) aside: Aside,
    /// The blob before which sled has to end its log, if one was lost.
    pub(super) lost: Option<PathBuf>,
    /// The number of this opening.
    pub(super) opening: u64,
}

/// Looks at sled's files before sled has them, and refuses what it would take for an older state
/// without a word, or destroy further.
pub(super) fn examine(
    path: &Path,
    data: &Path,
    seal: &Seal,
    acknowledged: &Acknowledged,
) -> Result<Examined> {
    let unreadable = |error| unusable(path, "cannot be read", error);
    let count = Some(acknowledged.count());
    let survey = Survey::take(data, SEGMENT_BYTES, count).map_err(unreadable)?;
    let mut damage = survey.damage;
    let mut opening = acknowledged.opening().unwrap_or(0);
    if let Some(sealed) = seal.read().map_err(unreadable)? {
        let is_left = sealed.log.as_ref().is_none_or(|log| *log == survey.log);
        // A count that is damaged is made up for by a log that is known to be whole.
        let is_counted = opening == sealed.opening || opening == 0 && sealed.log.is_some();
        opening = opening.max(sealed.opening);
        if !is_counted {
            damage.get_or_insert_with(|| {
                "its count of commits (COMMITS) is damaged, or an older one".into()
            });
        } else if sealed.snapshot != survey.snapshot {
            damage.get_or_insert_with(|| "its newest snapshot is another one".into());
        } else if !is_left {
            damage.get_or_insert_with(|| "its log has changed since it was closed".into());
        }
    }
    if let Some(damage) = damage {
        let message = format!(
            "the store at {} has lost something that was written: {damage}; {WAY_OUT}",
            path.display()
        );
        return Err(Error::new(ErrorKind::Damaged, message));
    }
    let removed = seal.remove();
    removed.map_err(|error| unusable(path, "cannot be opened", error))?;
    Ok(Examined {
        aside: Aside(survey.aside),
        lost: survey.lost,
        opening: opening.saturating_add(1),
    })
}

/// Large values that are damaged. sled would take them for the end of its log.
pub(super) struct Aside(Vec<PathBuf>);

impl Aside {
    /// Does something while they are not there. Whoever reads them finds the damage.
    pub(super) fn while_away<T>(&self, act: impl FnOnce() -> T) -> io::Result<T> {
        let away = |path: &Path| path.with_extension("aside");
        for path in &self.0 {
            fs::rename(path, away(path))?;
        }
        let done = act();
        for path in &self.0 {
            fs::rename(away(path), path)?;
        }
        Ok(done)
    }
}

/// Writes down what the files are after closing.
pub(super) fn seal_closed(data: &Path, log: &File, seal: &Seal, opening: u64) -> io::Result<()> {
    // sled has written to it when it closed it. What is sealed must not be lost with the machine.
    log.sync_data()?;
    let survey = Survey::take(data, SEGMENT_BYTES, None)?;
    seal.write(&Sealed {
        opening,
        snapshot: survey.snapshot,
        log: Some(survey.log),
    })
}
