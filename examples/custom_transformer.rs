//! A transformer of your own beside the stock ones, through two changes of what it stores: how many
//! words there are to read in each block, then how many pictures there are to look at, too.
//! `docs/transformers.md` explains it step by step.
//!
//! `cargo run --example custom_transformer`

use std::sync::Arc;
use std::time::Duration;

use courseblocks::modulestore::olx::OlxModuleStore;
use courseblocks::modulestore::{Body, Course};
use courseblocks::record::{DecodeError, Entry};
use courseblocks::transformer::{Collected, Data, Transformation};
use courseblocks::{
    FieldValue, Force, Manager, ReadVersion, Registry, Result, Store, Timestamp, Transformer,
    UpdateOptions, UserContext, Versions, WriteVersion,
};
use serde::{Deserialize, Serialize};

const NAME: &str = "example:reading_time";

/// Counts what there is to read in a block, and tells clients how long it takes this reader.
struct ReadingTime {
    /// 1 in the release that begins to store pictures, 2 in the one that needs them.
    read: u32,
}

/// What is stored for one block. A later version appends fields at the end, and raises WRITE.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Reading {
    words: u32,
    /// Since version 2; `None` in what version 1 has stored.
    pictures: Option<u32>,
}

/// What version 1 stored.
#[derive(Debug, Serialize, Deserialize)]
struct Reading1 {
    words: u32,
}

/// What transformers of a host's own ask of its users. It never reaches `collect`.
struct WordsPerMinute(u32);

const SECOND: WriteVersion = WriteVersion::new(2).expect("it is not 0");
const SECONDS_PER_PICTURE: u32 = 12;

impl Transformer for ReadingTime {
    type BlockData<'a> = Reading;
    /// Nothing for the course as a whole.
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        NAME
    }

    fn versions(&self) -> Versions {
        Versions::new(ReadVersion::new(self.read), SECOND)
    }

    // Sees all of the course and no user.
    fn collect(&self, course: &Course) -> Result<Collected<Reading, ()>> {
        Ok(collect(course, |text| Reading {
            words: words(text),
            pictures: Some(pictures(text)),
        }))
    }

    // Old records say in today's words what they know. Needed until READ is 2.
    fn decode_block(&self, entry: Entry<'_>) -> Result<Reading, DecodeError> {
        if entry.write_version() < SECOND {
            let Reading1 { words } = entry.decode()?;
            return Ok(Reading {
                words,
                pictures: None,
            });
        }
        entry.decode()
    }

    // Sees one user and what was collected, no course.
    fn transform(&self, data: &Data<Reading, ()>, request: &mut Transformation<'_>) -> Result<()> {
        // Who is not known reads at leisure.
        let speed = request
            .user()
            .get()
            .map_or(200, |speed: &WordsPerMinute| speed.0);
        let (structure, outputs) = request.split();
        let seconds = outputs.column(NAME, "seconds");
        for block in structure.blocks() {
            if let Some(data) = data.block(block) {
                let pictures = data
                    .pictures
                    .unwrap_or(0)
                    .saturating_mul(SECONDS_PER_PICTURE);
                let reading = data.words.saturating_mul(60) / speed.max(1);
                let all = reading.saturating_add(pictures);
                seconds.set(block, FieldValue::Int(all.into()));
            }
        }
        Ok(())
    }
}

/// The transformer as the release before had it: READ 1, WRITE 1.
struct ReadingTime1;

impl Transformer for ReadingTime1 {
    type BlockData<'a> = Reading1;
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        NAME
    }

    fn versions(&self) -> Versions {
        Versions::new(ReadVersion::new(1), WriteVersion::FIRST)
    }

    fn collect(&self, course: &Course) -> Result<Collected<Reading1, ()>> {
        Ok(collect(course, |text| Reading1 { words: words(text) }))
    }
}

fn collect<D>(course: &Course, data: impl Fn(&str) -> D) -> Collected<D, ()> {
    let mut collected = Collected::new(course.structure().width(), ());
    for block in course.structure().blocks() {
        if let Some(Body::Text { text, .. }) = course.block(block).map(|block| &block.body) {
            collected.set(block, data(text));
        }
    }
    collected
}

fn words(text: &str) -> u32 {
    let words = text
        .split_whitespace()
        .filter(|word| !word.starts_with('<'));
    u32::try_from(words.count()).unwrap_or(u32::MAX)
}

fn pictures(text: &str) -> u32 {
    u32::try_from(text.matches("<img").count()).unwrap_or(u32::MAX)
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let exports = Arc::new(OlxModuleStore::new());
    let export = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/courses/demo-course");
    let course = exports.insert(export)?;
    let letter = course.usage_key("html", "welcome-letter")?;
    let directory = tempfile::tempdir()?;
    let store = Arc::new(Store::open(directory.path().join("store"))?);
    let now: Timestamp = "2026-03-01T12:00:00Z".parse()?;

    // A release is its registry. `courseblocks::cli::main(registry)` would be its command line.
    let release = |name: &str, registry| -> Result<Manager> {
        let manager = Manager::new(Arc::clone(&store), Arc::new(registry), exports.clone());
        manager.join(name, name, Duration::from_secs(30), now)?;
        Ok(manager)
    };

    // The first release stores words.
    let first = release("2026.03", with(ReadingTime1)?)?;
    first.update(&course, &UpdateOptions::default())?;
    if let Some(data) = first.get_block(&course, &ReadingTime1, &letter)? {
        println!("2026.03 reads {data:?}");
    }

    // The second one stores pictures too. Until a course is collected again it does without, and
    // the first one reads what the second one writes.
    let second = release("2026.04", with(ReadingTime { read: 1 })?)?;
    let data = second.get_block(&course, &ReadingTime { read: 1 }, &letter)?;
    println!("2026.04 reads {data:?}");
    let everything = UpdateOptions {
        force: Force::Everything,
        ..UpdateOptions::default()
    };
    second.update(&course, &everything)?;
    let data = second.get_block(&course, &ReadingTime { read: 1 }, &letter)?;
    println!("2026.04 reads {data:?}, collected again");
    if let Some(data) = first.get_block(&course, &ReadingTime1, &letter)? {
        println!("2026.03 reads {data:?}");
    }

    // The third one needs them. That it may go out is for the gate to say: `examples/rollout.rs`.
    let third = release("2026.05", with(ReadingTime { read: 2 })?)?;
    let mut visitor = UserContext::new(now);
    for speed in [200, 400] {
        visitor.insert(WordsPerMinute(speed));
        let names = ["start_date", "visibility", NAME];
        let seen = third.get_transformed(&course, &names, &visitor, None)?;
        let blocks = seen.structure.blocks();
        let seconds = blocks.filter_map(|block| seen.outputs.value(NAME, "seconds", block));
        let seconds: i64 = seconds.filter_map(FieldValue::as_int).sum();
        println!("at {speed} words a minute a visitor has {seconds} seconds to read");
    }
    Ok(())
}

fn with(transformer: impl Transformer) -> Result<Registry> {
    let mut registry = Registry::standard();
    registry.register(transformer)?;
    Ok(registry)
}

/// What every transformer should have: the test that tells when `Reading` changed and WRITE did
/// not, and that what version 1 has stored still says what it said.
#[cfg(test)]
mod tests {
    use courseblocks::modulestore::olx;
    use courseblocks::schema::{self, SchemaError};

    use super::*;

    #[test]
    fn readings_are_stored_as_it_is_written_down() -> std::result::Result<(), SchemaError> {
        let export = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/courses/demo-course");
        let course = olx::read(export.as_ref(), &olx::Limits::default()).unwrap();
        // Written on the first run, for review and to be committed.
        let schemas = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/schemas");
        schema::check(&ReadingTime { read: 1 }, &course, schemas)
    }
}
