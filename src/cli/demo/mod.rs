//! `demo`: what this store is for, told with courses of its own in a store of its own. Nothing in
//! the story is taken for granted: every step is checked, every number measured.

mod course;
mod exports;
mod next_release;
mod steps;
mod story;

use std::sync::Arc;

use clap::Args;

use super::failure::{Answer, Failure};
use super::output::Output;
use crate::modulestore::olx::OlxModuleStore;
use crate::store::Store;
use steps::Steps;
use story::Story;

/// Show, on small courses in a temporary store, how a schema change goes out and back
#[derive(Debug, Args)]
#[command(after_help = "\
Three releases of one transformer share a store: A is running, B writes a new field, C needs it. \
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
        let store = Store::open(directory.path().join("store"));
        let store = Arc::new(store.map_err(|error| Failure::opening(&error))?);
        let exports = Arc::new(OlxModuleStore::new());
        let prepared = Story::prepare(directory.path(), store, exports)?;
        prepared.tell(&mut Steps::begin(output)?)?;
        Ok(Answer::Done)
    }
}

fn no_place(error: &std::io::Error) -> Failure {
    Failure::no(format!("there is no room for a temporary store: {error}"))
}
