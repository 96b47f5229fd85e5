//! A transformer of your own beside the stock ones: how many words there are to read in each
//! block, collected once per published version, asked for on every request.
//!
//! `cargo run --example custom_transformer`

use std::sync::Arc;
use std::time::Duration;

use courseblocks::modulestore::olx::OlxModuleStore;
use courseblocks::modulestore::{Body, Course};
use courseblocks::transformer::{Collected, Data, Transformation};
use courseblocks::{
    FieldValue, Manager, ReadVersion, Registry, Result, Store, Timestamp, Transformer,
    UpdateOptions, UserContext, Versions, WriteVersion,
};
use serde::{Deserialize, Serialize};

/// Counts the words of html blocks, and tells them to clients.
struct ReadingTime;

/// What is stored for one block. A later version appends fields at the end, and raises WRITE.
#[derive(Serialize, Deserialize)]
struct Words {
    words: u32,
}

impl Transformer for ReadingTime {
    type BlockData<'a> = Words;
    /// Nothing for the course as a whole.
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        "example:reading_time"
    }

    fn versions(&self) -> Versions {
        Versions::new(ReadVersion::new(1), WriteVersion::FIRST)
    }

    // Sees all of the course and no user.
    fn collect(&self, course: &Course) -> Result<Collected<Words, ()>> {
        let mut collected = Collected::new(course.structure().width(), ());
        for block in course.structure().blocks() {
            if let Some(Body::Text { text, .. }) = course.block(block).map(|block| &block.body) {
                let words = text
                    .split_whitespace()
                    .filter(|word| !word.starts_with('<'))
                    .count();
                collected.set(
                    block,
                    Words {
                        words: u32::try_from(words).unwrap_or(u32::MAX),
                    },
                );
            }
        }
        Ok(collected)
    }

    // Sees one user and what was collected, no course.
    fn transform(&self, data: &Data<'_, Self>, request: &mut Transformation<'_>) -> Result<()> {
        let (structure, outputs) = request.split();
        let words = outputs.column(self.name(), "words");
        for block in structure.blocks() {
            if let Some(data) = data.block(block) {
                words.set(block, FieldValue::Int(data.words.into()));
            }
        }
        Ok(())
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let exports = OlxModuleStore::new();
    let export = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/courses/demo-course");
    let course = exports.insert(export)?;

    // A release is its registry. `courseblocks::cli::main(registry)` would be its command line.
    let mut registry = Registry::standard();
    registry.register(ReadingTime)?;

    let directory = tempfile::tempdir()?;
    let store = Arc::new(Store::open(directory.path().join("store"))?);
    let manager = Manager::new(store, Arc::new(registry), Arc::new(exports));
    let now: Timestamp = "2026-03-01T12:00:00Z".parse()?;
    manager.join("web-1", "2026.03", Duration::from_secs(30), now)?;
    manager.update(&course, &UpdateOptions::default())?;

    // What was collected for one block …
    let letter = course.usage_key("html", "welcome-letter")?;
    if let Some(data) = manager.get_block(&course, &ReadingTime, &letter)? {
        println!("{letter}: {} words", data.words);
    }

    // … and what a visitor is told of the blocks that they see.
    let visitor = UserContext::new(now);
    let names = ["start_date", "visibility", ReadingTime.name()];
    let seen = manager.get_transformed(&course, &names, &visitor, None)?;
    let words = seen.structure.blocks().filter_map(|block| {
        seen.outputs
            .value(ReadingTime.name(), "words", block)?
            .as_int()
    });
    println!("a visitor has {} words to read", words.sum::<i64>());
    Ok(())
}

/// What every transformer should have: the test that tells when `Words` changed and WRITE did not.
#[cfg(test)]
mod tests {
    use courseblocks::modulestore::olx;
    use courseblocks::schema::{self, SchemaError};

    use super::*;

    #[test]
    fn words_are_stored_as_it_is_written_down() -> std::result::Result<(), SchemaError> {
        let export = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/courses/demo-course");
        let course = olx::read(export.as_ref(), &olx::Limits::default()).unwrap();
        // Written on the first run, for review and to be committed.
        let schemas = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/schemas");
        schema::check(&ReadingTime, &course, schemas)
    }
}
