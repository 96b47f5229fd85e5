//! What an operator was told is done survives a power failure: imports and raised floors.

#[path = "../program/mod.rs"]
mod program;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use courseblocks::{Error, Manager, Registry, Store};
use program::write_course;

use super::no_source::NoSource;
use super::{Outcome, told};

const COURSES: usize = 8;
const UNITS: usize = 6;

/// What an operator asks for, one after the other. Before each import all courses have new content.
const STEPS: [&[&str]; 5] = [
    &["import"],
    &["rollout", "start", "start_date"],
    &["import"],
    &["rollout", "start", "visibility"],
    &["import"],
];

/// What was said to be done.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// How often each course was imported.
    courses: BTreeMap<String, usize>,
    /// The transformers whose floors were raised.
    started: Vec<String>,
}

/// Does all steps on a store below `root`, with exports beside it. `record` makes a command one that
/// is recorded.
pub(super) fn run(root: &Path, exports: &Path, marks: &Path, record: impl Fn(&mut Command)) {
    let mut round = 0;
    for step in STEPS {
        let mut command = Command::new(env!("CARGO_BIN_EXE_courseblocks"));
        command.arg("--store").arg(root.join("store")).args(step);
        command.stdout(File::options().write(true).open(marks).unwrap());
        record(&mut command);
        if step == ["import"] {
            round += 1;
            for number in 0..COURSES {
                let export = exports.join(number.to_string());
                write_course(&export, &format!("run{number}"), &round.to_string(), UNITS);
            }
            command.arg(exports);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

impl Said {
    pub(super) fn by<'a>(marks: impl Iterator<Item = &'a str>) -> Self {
        let mut said = Self::default();
        for line in marks {
            let Some((done, _)) = line.split_once(':').filter(|_| !line.starts_with(' ')) else {
                continue;
            };
            let mut words = line.split_whitespace();
            let [what, name] = [(); 2].map(|()| words.next().expect(done));
            match what {
                "imported" | "updated" => {
                    let course = name.trim_end_matches(':').to_owned();
                    *said.courses.entry(course).or_default() += 1;
                }
                "started" => said.started.push(name.trim_end_matches(':').to_owned()),
                _ => panic!("the program said {line:?}"),
            }
        }
        said
    }

    pub(super) fn judge(&self, path: &Path) -> Outcome {
        if !path.exists() {
            return match (self.courses.is_empty(), self.started.is_empty()) {
                (true, true) => Outcome::Good,
                _ => Outcome::Wrong("the store is gone".to_owned()),
            };
        }
        match Store::open(path) {
            Ok(store) => match self.check(Arc::new(store)) {
                Ok(()) => Outcome::Good,
                Err(wrong) => Outcome::Wrong(wrong),
            },
            Err(error) => Outcome::Refused(told(&error)),
        }
    }

    fn check(&self, store: Arc<Store>) -> std::result::Result<(), String> {
        let manager = Manager::new(store, Arc::new(Registry::standard()), Arc::new(NoSource));
        let failed = |error: Error| format!("{error:?}");
        let floors = manager.store().floors().map_err(failed)?;
        let mut left = self.courses.clone();
        for row in manager.store().courses() {
            let (course, entry) = row.map_err(failed)?;
            let entry = entry.map_err(failed)?;
            let check = manager.store().check(&course).map_err(failed)?;
            let damages = check.damages(&course);
            if !damages.is_empty() {
                return Err(format!("{course} is damaged: {damages:?}"));
            }
            // Reserved, and not yet published.
            if entry.records().is_empty() {
                continue;
            }
            let published = manager.get_published(&course).map_err(failed)?;
            let mut rounds = Vec::new();
            for block in published.structure.blocks() {
                let block = published.blocks.block(block).unwrap();
                let name = block.fields()["display_name"].as_str().unwrap();
                rounds.push(name.parse::<usize>().unwrap());
            }
            rounds.dedup();
            let said = left.remove(course.as_str()).unwrap_or(0);
            if rounds.len() != 1 || rounds[0] < said {
                return Err(format!("{course} is of {rounds:?} after import {said}"));
            }
            for transformer in &self.started {
                let floor = floors.get(transformer);
                if floor.is_none_or(|floor| floor.epoch > entry.floor_epoch()) {
                    return Err(format!("{course} is not under the floor of {transformer}"));
                }
            }
        }
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?} are gone"))
        }
    }
}
