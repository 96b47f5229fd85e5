//! A store that was worked with, and what its files were in the course of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use courseblocks::engine::{Engine, SledEngine, SledOptions, Space};
use courseblocks::rollout::{Priority, Queue, Rollout, Start};
use courseblocks::{CourseKey, Manager, Store, Timestamp, UpdateOptions};
use tempfile::TempDir;

use crate::courses::Courses;
use crate::harm::Dice;
use crate::joined::joined;
use crate::recorder::{Recorder, registry};

/// How often it was opened, each time by a newer release.
const STAGES: u32 = 5;
const COURSES: u32 = 10;

/// Blocks of the largest course: its data is in files of its own.
const MANY: usize = 3_000;

/// How a stage can end.
pub(crate) const ENDS: [&str; 2] = ["closed", "killed"];

pub(crate) struct Life {
    directory: TempDir,
}

/// A store to be damaged.
pub(crate) struct Copied(PathBuf);

impl Copied {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Life {
    /// Lives it: courses are published again and again, so that segments are used again, floors are
    /// raised, courses are put on the queue.
    pub(crate) fn new() -> Self {
        let life = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        let store = life.path("store");
        for stage in 0..STAGES {
            let engine: Arc<dyn Engine> =
                Arc::new(SledEngine::open(&store, &SledOptions::default()).unwrap());
            work(&Arc::new(Store::with_engine(engine.clone())), stage);
            engine.flush().unwrap();
            // What a killed process leaves behind.
            copy(&store, &life.path(&format!("killed {stage}")));
            fs::write(life.written(), crate::reading::listed(&*engine)).unwrap();
            drop(engine);
            copy(&store, &life.path(&format!("closed {stage}")));
        }
        life
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What is stored in the end, as it is listed.
    pub(crate) fn written(&self) -> PathBuf {
        self.path("written")
    }

    /// The store in the end: closed well, or left by a process that was killed.
    pub(crate) fn copy(&self, dice: &mut Dice) -> Copied {
        self.copy_of(ENDS[dice.below(2)])
    }

    pub(crate) fn copy_of(&self, end: &str) -> Copied {
        let copied = Copied(self.path("damaged"));
        copy(&self.stage(end, STAGES - 1), copied.path());
        copied
    }

    /// What it was at an earlier time.
    pub(crate) fn earlier(&self, dice: &mut Dice) -> PathBuf {
        let stage = dice.below(STAGES as usize - 1);
        self.stage(ENDS[dice.below(2)], u32::try_from(stage).unwrap())
    }

    /// What it was when it was opened last.
    pub(crate) fn last_opened(&self) -> PathBuf {
        self.stage(ENDS[0], STAGES - 2)
    }

    fn stage(&self, end: &str, stage: u32) -> PathBuf {
        self.path(&format!("{end} {stage}"))
    }
}

fn course(number: u32) -> CourseKey {
    format!("course-v1:Org+Course{number}+Run").parse().unwrap()
}

fn work(store: &Arc<Store>, stage: u32) {
    let courses = Arc::new(Courses::default());
    let recorders = ["t", "u", "v"].map(|name| Recorder::new(name, 1, 1 + stage));
    let recorders: Vec<_> = recorders.iter().collect();
    let manager = Manager::new(store.clone(), registry(&recorders), courses.clone());
    let manager = joined(manager);
    let now = Timestamp::MIN;
    for version in 0..4 {
        for number in 0..COURSES {
            // Some stay as they are for long.
            if number % 3 > version % 3 {
                continue;
            }
            let children = match number {
                0 if version == 0 => MANY,
                0 => continue,
                _ => 20 * (number as usize + version as usize),
            };
            let name = format!("v{stage}.{version}");
            courses.publish_course(&course(number), &name, children);
            let updated = manager.update(&course(number), &UpdateOptions::default());
            assert_eq!(updated.unwrap().failures, []);
        }
    }
    let lease = manager.lease().unwrap();
    let start = Rollout::new(store).start(&lease, "t", now, |_| {});
    assert!(matches!(start.unwrap(), Start::Started { .. }));
    for number in 0..COURSES {
        let queue = Queue::new(store);
        let priority = [Priority::Publish, Priority::Backfill][number as usize % 2];
        let _ = queue.enqueue(&course(number), priority, now).unwrap();
    }
    assert!(manager.leave().unwrap());
    let records = store.engine().scan(Space::Records, None);
    assert!(records.count() >= 5 * COURSES as usize);
}

/// A directory with all that is in it, as it is now.
pub(crate) fn copy(from: &Path, to: &Path) {
    let _ = fs::create_dir_all(to);
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            // Something else may have been put there.
            let _ = fs::copy(entry.path(), to);
        }
    }
}
