//! Two changes of stored data that Open edX has published, replayed as rollouts: a transformer that
//! moved from one date to another, and one that was new. There, a day was waited between their two
//! phases; here the store says when the second one may go out.
//!
//! `cargo run --example published_changes`

mod hidden_content;
mod introduction;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use courseblocks::modulestore::olx::OlxModuleStore;
use courseblocks::rollout::{GateAnswer, RetryPolicy, Rollout, Start, Step};
use courseblocks::transformer::LearnerDates;
use courseblocks::{
    CourseKey, FieldValue, Manager, Registry, Result, Store, Timestamp, Transformer, UpdateOptions,
    UsageKey, UserContext, WriteVersion,
};

use hidden_content::{ByMergedDate, ByOwnDate, CollectsOwnDate, WithoutMergedDate};
use introduction::Introduced;

const LEASE: Duration = Duration::from_secs(30);

struct Platform {
    store: Arc<Store>,
    exports: Arc<OlxModuleStore>,
    course: CourseKey,
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let exports = Arc::new(OlxModuleStore::new());
    let course = exports.insert(export_named("demo-course"))?;
    let directory = tempfile::tempdir()?;
    let store = Arc::new(Store::open(directory.path().join("store"))?);
    let platform = Platform {
        store,
        exports,
        course,
    };

    println!("1. hidden_content goes by the dates that a learner has");
    let before = platform.release("A", "host-1", with_hidden_content(ByMergedDate)?)?;
    before.update(&platform.course, &UpdateOptions::default())?;
    println!("  A: {}", platform.tell_of_the_quiz(&before)?);
    let collecting = platform.release("B", "host-2", with_hidden_content(CollectsOwnDate)?)?;
    println!("  B: {}", platform.tell_of_the_quiz(&collecting)?);
    before.leave()?;
    platform.roll_out(&collecting, hidden_content::NAME, 3)?;
    let using = platform.release("C", "host-3", with_hidden_content(ByOwnDate)?)?;
    println!("  C: {}", platform.tell_of_the_quiz(&using)?);

    println!("2. what A needed is dropped");
    collecting.leave()?;
    let without = platform.release("D", "host-4", with_hidden_content(WithoutMergedDate)?)?;
    println!("  D: {}", platform.tell_of_the_quiz(&without)?);
    using.leave()?;
    platform.roll_out(&without, hidden_content::NAME, 4)?;
    if let Err(error) = platform.sees_the_quiz(&using) {
        println!("  C cannot go back to it: {error}");
    }

    println!("3. effort_estimation is new");
    let talk = platform.exports.insert(export_named("short-talk"))?;
    without.update(&talk, &UpdateOptions::default())?;
    let mut registry = with_hidden_content(WithoutMergedDate)?;
    registry.register(Introduced)?;
    let introducing = platform.release("E", "host-5", registry)?;
    println!(
        "  E, before it is collected: {}",
        tell_of_effort(&introducing, &talk)?
    );
    without.leave()?;
    platform.roll_out(&introducing, introduction::NAME, 1)?;
    println!("  E: {}", tell_of_effort(&introducing, &talk)?);
    Ok(())
}

/// A release with the stock transformers that matter here.
fn with_hidden_content(hidden_content: impl Transformer) -> Result<Registry> {
    use courseblocks::transformer::standard::{LoadDateData, StartDate, Visibility};

    let mut registry = Registry::new();
    registry.register(StartDate)?;
    registry.register(Visibility)?;
    registry.register(LoadDateData)?;
    registry.register(hidden_content)?;
    Ok(registry)
}

impl Platform {
    fn release(
        &self,
        release: &str,
        worker: &str,
        registry: Registry,
    ) -> std::result::Result<Manager, Box<dyn Error>> {
        let store = Arc::clone(&self.store);
        let manager = Manager::new(store, Arc::new(registry), self.exports.clone());
        manager.join(worker, release, LEASE, now()?)?;
        Ok(manager)
    }

    /// From the floor to the open gate.
    fn roll_out(
        &self,
        manager: &Manager,
        name: &str,
        version: u32,
    ) -> std::result::Result<(), Box<dyn Error>> {
        let version = WriteVersion::new(version).ok_or("it is not 0")?;
        let rollout = Rollout::new(&self.store);
        match rollout.start(&manager.lease()?, name, now()?, |_| {})? {
            Start::Started { enqueued, .. } => {
                println!("  nothing older is accepted; to collect again: {enqueued}");
            }
            Start::Refused(blockers) => return Err(blockers[0].to_string().into()),
        }
        if let GateAnswer::Closed(reasons) =
            rollout.gate(&manager.lease()?, name, version, now()?)?
        {
            println!("  not yet: {}", reasons[0]);
        }
        while let Step::Done { .. } = manager.work(&RetryPolicy::default(), now()?)? {}
        match rollout.gate(&manager.lease()?, name, version, now()?)? {
            GateAnswer::Open(_) => println!("  the gate {name}@{version} is open"),
            GateAnswer::Closed(reasons) => return Err(reasons[0].to_string().into()),
        }
        Ok(())
    }

    fn tell_of_the_quiz(&self, manager: &Manager) -> Result<&'static str> {
        Ok(if self.sees_the_quiz(manager)? {
            "a learner with an extension sees the quiz"
        } else {
            "a learner with an extension has lost the quiz"
        })
    }

    /// The quiz was due on the last of January; the learner has until March.
    fn sees_the_quiz(&self, manager: &Manager) -> Result<bool> {
        let mut learner = UserContext::new(moment(2026, 2));
        let quiz = self.course.usage_key("sequential", "moon-quiz")?;
        let dates = LearnerDates {
            due: Some(moment(2026, 3)),
            ..LearnerDates::default()
        };
        for block in self.below(manager, &quiz)? {
            learner.dates.insert(block, dates);
        }
        let names = [
            "start_date",
            "visibility",
            "load_date_data",
            hidden_content::NAME,
        ];
        let seen = manager.get_transformed(&self.course, &names, &learner, None)?;
        let quiz = seen.structure.position(&quiz);
        Ok(quiz.is_some_and(|quiz| seen.structure.contains(quiz)))
    }

    fn below(&self, manager: &Manager, block: &UsageKey) -> Result<Vec<UsageKey>> {
        let structure = manager.get_published(&self.course)?.structure;
        let start = structure.position(block).into_iter();
        let below = start.flat_map(|start| structure.pre_order(start));
        Ok(below.map(|block| structure.key(block).clone()).collect())
    }
}

fn tell_of_effort(manager: &Manager, course: &CourseKey) -> Result<String> {
    let visitor = UserContext::new(moment(2026, 2));
    let names = ["start_date", "visibility", introduction::NAME];
    let seen = manager.get_transformed(course, &names, &visitor, None)?;
    let root = seen.structure.root();
    let seconds = seen.outputs.field_override("effort_time", root);
    Ok(match seconds.and_then(FieldValue::as_int) {
        Some(seconds) => format!("the talk takes {seconds} seconds to watch and read"),
        None => "nothing is told of effort".to_owned(),
    })
}

fn export_named(name: &str) -> PathBuf {
    let courses = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/courses");
    Path::new(courses).join(name)
}

fn moment(year: i32, month: u8) -> Timestamp {
    Timestamp::from_utc((year, month, 15), (12, 0, 0), 0).unwrap_or(Timestamp::MIN)
}

/// The library does not read the clock.
fn now() -> std::result::Result<Timestamp, Box<dyn Error>> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let now = Timestamp::from_micros(i64::try_from(since.as_micros())?);
    now.ok_or_else(|| "the clock is beyond the calendar".into())
}
