//! A schema change, from the first worker of a new release to the way back, in one process. In a
//! deployment each release is a process of its own; the calls are the same.
//!
//! `cargo run --example rollout`

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use courseblocks::modulestore::olx::OlxModuleStore;
use courseblocks::modulestore::{Body, Course};
use courseblocks::record::{DecodeError, Entry};
use courseblocks::rollout::{GateAnswer, RetryPolicy, Rollout, Start, Step};
use courseblocks::transformer::Collected;
use courseblocks::{
    Manager, ReadVersion, Registry, Result, Store, Timestamp, Transformer, UpdateOptions, Versions,
    WriteVersion,
};
use serde::{Deserialize, Serialize};

const NAME: &str = "example:reading_time";

/// What release A stores for a block.
#[derive(Serialize, Deserialize)]
struct Words {
    words: u32,
}

/// What release B stores: the same, and more at the end. That is an additive change, so A reads it.
#[derive(Debug, Serialize, Deserialize)]
struct WordsAndImages {
    words: u32,
    // `None` in what A has stored.
    images: Option<u32>,
}

/// The transformer of release A: READ 1, WRITE 1.
struct ReadingTime;

/// The transformer of B (READ 1, WRITE 2: it can do without images) and of C (READ 2: it cannot).
struct ReadingTimeWithImages {
    read: u32,
}

const SECOND: WriteVersion = WriteVersion::new(2).expect("it is not 0");

impl Transformer for ReadingTime {
    type BlockData<'a> = Words;
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        NAME
    }

    fn versions(&self) -> Versions {
        Versions::new(ReadVersion::new(1), WriteVersion::FIRST)
    }

    fn collect(&self, course: &Course) -> Result<Collected<Words, ()>> {
        Ok(collect(course, |text| Words { words: words(text) }))
    }
}

impl Transformer for ReadingTimeWithImages {
    type BlockData<'a> = WordsAndImages;
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        NAME
    }

    fn versions(&self) -> Versions {
        Versions::new(ReadVersion::new(self.read), SECOND)
    }

    fn collect(&self, course: &Course) -> Result<Collected<WordsAndImages, ()>> {
        Ok(collect(course, |text| WordsAndImages {
            words: words(text),
            images: Some(count(text, |word| word.starts_with("<img"))),
        }))
    }

    // Only B needs this: after the gate has opened, nothing older is left.
    fn decode_block(&self, entry: Entry<'_>) -> Result<WordsAndImages, DecodeError> {
        if entry.write_version() < SECOND {
            let Words { words } = entry.decode()?;
            return Ok(WordsAndImages {
                words,
                images: None,
            });
        }
        entry.decode()
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
    count(text, |word| !word.starts_with('<'))
}

fn count(text: &str, is_counted: impl Fn(&str) -> bool) -> u32 {
    let counted = text.split_whitespace().filter(|word| is_counted(word));
    u32::try_from(counted.count()).unwrap_or(u32::MAX)
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    const LEASE: Duration = Duration::from_secs(30);

    let exports = Arc::new(OlxModuleStore::new());
    let export = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/courses/demo-course");
    let course = exports.insert(export)?;
    let letter = course.usage_key("html", "welcome-letter")?;
    let directory = tempfile::tempdir()?;
    let store = Arc::new(Store::open(directory.path().join("store"))?);
    let manager =
        |registry: Registry| Manager::new(Arc::clone(&store), Arc::new(registry), exports.clone());

    // Release A is running. Whoever writes joins the fleet, and renews its lease in time.
    let a = manager(registry(ReadingTime)?);
    a.join("host-1", "A", LEASE, now()?)?;
    a.update(&course, &UpdateOptions::default())?;
    a.renew(now()?)?;

    // Release B joins. It reads what A wrote, and A will read what B writes.
    let b = manager(registry(ReadingTimeWithImages { read: 1 })?);
    b.join("host-2", "B", LEASE, now()?)?;
    let stored = b.get_block(&course, &ReadingTimeWithImages { read: 1 }, &letter)?;
    println!("B reads what A wrote: {stored:?}");

    // While A lives, nobody can say what it is going to write.
    let rollout = Rollout::new(&store);
    if let Start::Refused(blockers) = rollout.start(&b.lease()?, NAME, now()?, |_| {})? {
        println!("not yet: {}", blockers[0]);
    }
    a.leave()?;
    if let Start::Started {
        floor, enqueued, ..
    } = rollout.start(&b.lease()?, NAME, now()?, |_| {})?
    {
        println!("nothing below {floor} is accepted; {enqueued} course to collect again");
    }

    // Workers collect again. The gate says when all is done, however it was done.
    if let GateAnswer::Closed(reasons) = rollout.gate(&b.lease()?, NAME, SECOND, now()?)? {
        println!("release C must wait: {}", reasons[0]);
    }
    while let Step::Done { course, .. } = b.work(&RetryPolicy::default(), now()?)? {
        println!("collected {course} again");
    }
    if let GateAnswer::Open(open) = rollout.gate(&b.lease()?, NAME, SECOND, now()?)? {
        println!("release C may go out: counted in {} course", open.courses);
    }

    // Release C needs the new field and finds it.
    let c = manager(registry(ReadingTimeWithImages { read: 2 })?);
    c.join("host-3", "C", LEASE, now()?)?;
    let stored = c.get_block(&course, &ReadingTimeWithImages { read: 2 }, &letter)?;
    println!("C reads {stored:?}");

    // If something is wrong with it, A is as it was; but what A would collect is not accepted.
    for notice in a.join("host-1", "A", LEASE, now()?)? {
        println!("A is told: {notice}");
    }
    let words = a.get_block(&course, &ReadingTime, &letter)?;
    println!("A reads {} words", words.map_or(0, |data| data.words));
    Ok(())
}

fn registry(transformer: impl Transformer) -> Result<Registry> {
    let mut registry = Registry::standard();
    registry.register(transformer)?;
    Ok(registry)
}

/// The library does not read the clock.
fn now() -> std::result::Result<Timestamp, Box<dyn std::error::Error>> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let now = Timestamp::from_micros(i64::try_from(since.as_micros())?);
    now.ok_or_else(|| "the clock is beyond the calendar".into())
}
