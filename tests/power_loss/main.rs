//! The power fails at any moment: what was called durable is there, and nothing is half there.
//!
//! A process works under a recorder (`recorder.c`) that writes down what it asks of the file
//! system. For any moment of that, a disk is made that holds what must be there by the syncs that
//! had ended, and by chance of what came after them ([`disk`]); and the store on it is opened.
//!
//! `COURSEBLOCKS_CUTS` sets how often the power fails in each test, `COURSEBLOCKS_SEED` where to
//! begin: `COURSEBLOCKS_CUTS=100000 cargo test --release --test power_loss -- --nocapture`.

#![cfg(all(target_os = "linux", target_pointer_width = "64"))]

#[path = "../schedules/choices.rs"]
#[expect(dead_code, reason = "all of it comes from seeds here")]
mod choices;
mod disk;
mod journal;
#[path = "../common/no_source.rs"]
mod no_source;
#[cfg(feature = "cli")]
mod operator;
mod work;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, mpsc};
use std::{env, fs, panic, thread};

use choices::{Choices, Seeded};
use courseblocks::ErrorKind;
use courseblocks::engine::{SledEngine, SledOptions};
use disk::{Before, Disk, Found, IsIgnored, Metadata};
use journal::{Entry, Journal};
use tempfile::TempDir;
use work::{Progress, Work};

/// How many stores are opened at a time. Most of the time each waits for sled to close.
const AT_ONCE: usize = 8;

/// How often the power fails while one process works.
const CUTS_PER_WORK: u64 = 50;

/// How often, of these, while one store is opened again.
const CUTS_PER_OPENING: u64 = 10;

/// What became of a store.
#[derive(Clone, Debug)]
enum Outcome {
    /// It has what it must have.
    Good,
    /// It does not open, and says that it is damaged.
    Refused(String),
    /// It has something else than it must have.
    Wrong(String),
}

#[derive(Debug, Default)]
struct Counts {
    good: u64,
    refused: BTreeMap<String, u64>,
    wrong: Vec<String>,
}

/// Where a process is recorded.
struct Place {
    directory: TempDir,
    /// What is recorded, as the disk of that process.
    root: PathBuf,
    marks: PathBuf,
    journal: PathBuf,
}

#[test]
fn what_is_durable_survives_a_power_failure() {
    let Some(recorder) = recorder() else { return };
    let counts = each_work(200, |seed| {
        let threads = if seed % 5 == 4 { 3 } else { 1 };
        let work = Work {
            seed,
            threads,
            commits: 400 / threads,
        };
        cut_work(recorder, work, What::Engine)
    });
    counts.print("the engine");
    assert!(counts.wrong.is_empty(), "{counts:#?}");
    assert!(counts.refused.is_empty(), "{counts:#?}");
}

#[test]
fn what_is_durable_survives_a_power_failure_while_it_recovers_from_one() {
    let Some(recorder) = recorder() else { return };
    let counts = each_work(50, |seed| {
        let threads = if seed % 5 == 4 { 3 } else { 1 };
        let work = Work {
            seed,
            threads,
            commits: 150 / threads,
        };
        cut_work_twice(recorder, work)
    });
    counts.print("the engine, while it recovers");
    assert!(counts.wrong.is_empty(), "{counts:#?}");
    assert!(counts.refused.is_empty(), "{counts:#?}");
}

#[cfg(feature = "cli")]
#[test]
fn what_the_program_said_is_done_survives_a_power_failure() {
    let Some(recorder) = recorder() else { return };
    let counts = each_work(50, |seed| {
        let place = Place::new();
        let exports = place.directory.path().join("exports");
        let before = Before::of(&place.root);
        operator::run(&place.root, &exports, &place.marks, |command| {
            place.record(recorder, command);
        });
        let journal = place.journal();
        let mut choices = Seeded::new(seed);
        let moments = moments(&journal, CUTS_PER_WORK, &mut choices);
        let said = |moment| operator::Said::by(journal.marks(moment));
        let judge = |said: &operator::Said, place: &Path, _| said.judge(place);
        let disk = Disk::new(&journal, before);
        cut(disk, &place, moments, &mut choices, said, judge)
    });
    counts.print("the program");
    assert!(counts.wrong.is_empty(), "{counts:#?}");
    assert!(counts.refused.is_empty(), "{counts:#?}");
}

/// Each of the syncs is needed, and this notices where one is missing.
#[test]
fn without_any_one_of_the_syncs_something_is_lost() {
    let Some(recorder) = recorder() else { return };
    let kinds: [(&str, IsIgnored); 5] = [
        ("the log", |path| path.ends_with("sled/db")),
        ("a large value", |path| {
            path.parent().is_some_and(|above| above.ends_with("blobs"))
        }),
        ("the name of a large value", |path| path.ends_with("blobs")),
        ("the names of sled's files", |path| path.ends_with("sled")),
        ("the name of the store", |path| path.ends_with("disk")),
    ];
    // Records of all sizes, some of them durable.
    let work = Work {
        seed: 5,
        threads: 1,
        commits: 100,
    };
    let place = Place::new();
    let before = Before::of(&place.root);
    let journal = place.work(recorder, work, What::Engine);
    for (what, is_ignored) in kinds {
        let disk = Disk::new(&journal, before.clone()).ignoring(is_ignored);
        let mut choices = Seeded::new(0);
        let moments = moments(&journal, CUTS_PER_WORK, &mut choices);
        let counts = cut(
            disk,
            &place,
            moments,
            &mut choices,
            |moment| Work::progress(&work.no_progress(), journal.marks(moment)),
            |progress: &Vec<_>, path, _| judge_engine(work, progress, path, false),
        );
        counts.print(&format!("without syncs of {what}"));
        let is_noticed = !counts.wrong.is_empty() || !counts.refused.is_empty();
        assert!(is_noticed, "without syncs of {what}: {counts:#?}");
    }
}

/// What sled does alone is not enough, and this notices.
#[test]
fn sled_alone_loses_what_it_was_told_to_flush() {
    let Some(recorder) = recorder() else { return };
    let counts = each_work(50, |seed| {
        let work = Work {
            seed,
            threads: 1,
            commits: 200,
        };
        cut_work(recorder, work, What::SledAlone)
    });
    counts.print("sled alone");
    assert!(!counts.wrong.is_empty(), "{counts:#?}");
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Engine,
    SledAlone,
}

/// Not a test of its own: what other tests run in another process.
#[test]
fn helper_process() {
    let Ok(told) = env::var("POWER_LOSS_WORK") else {
        return;
    };
    let mut told = told.split(' ');
    let mut next = || told.next().unwrap();
    let what = next();
    let [seed, threads, commits] = [(); 3].map(|()| next().parse::<u64>().unwrap());
    let work = Work {
        seed,
        threads: u32::try_from(threads).unwrap(),
        commits: u32::try_from(commits).unwrap(),
    };
    let path = PathBuf::from(env::var("POWER_LOSS_ROOT").unwrap()).join("store");
    let marks = PathBuf::from(env::var("POWER_LOSS_MARKS").unwrap());
    match what {
        "engine" => work.run(&path, &marks),
        "sled" => work.run_on_sled_alone(&path, &marks),
        _ => panic!("told to do {what}"),
    }
}

/// Runs `each` with one seed after the other until the power has failed as often as it is to.
fn each_work(cuts: u64, each: impl Fn(u64) -> Counts) -> Counts {
    let number = |name| {
        env::var(name)
            .ok()
            .map(|value| value.parse::<u64>().expect(name))
    };
    let cuts = number("COURSEBLOCKS_CUTS").unwrap_or(cuts);
    let first = number("COURSEBLOCKS_SEED").unwrap_or(0);
    let mut counts = Counts::default();
    for seed in first..first + cuts.div_ceil(CUTS_PER_WORK) {
        let mut of_seed = each(seed);
        for wrong in &mut of_seed.wrong {
            *wrong = format!("seed {seed}, {wrong}");
        }
        counts.add(of_seed);
    }
    counts
}

/// The power fails at moments of `work`.
fn cut_work(recorder: &Path, work: Work, what: What) -> Counts {
    let place = Place::new();
    let before = Before::of(&place.root);
    let journal = place.work(recorder, work, what);
    let mut choices = Seeded::new(work.seed);
    let moments = moments(&journal, CUTS_PER_WORK, &mut choices);
    let progress = |moment| Work::progress(&work.no_progress(), journal.marks(moment));
    let judge = |progress: &Vec<_>, path: &Path, goes_on| match what {
        What::Engine => judge_engine(work, progress, path, goes_on),
        What::SledAlone => judge_sled_alone(work, progress, path),
    };
    let disk = Disk::new(&journal, before);
    cut(disk, &place, moments, &mut choices, progress, judge)
}

/// The power fails at a moment of `work`, and once more while the store is opened after that or
/// works again.
fn cut_work_twice(recorder: &Path, work: Work) -> Counts {
    let place = Place::new();
    let before = Before::of(&place.root);
    let journal = place.work(recorder, work, What::Engine);
    let mut choices = Seeded::new(work.seed);
    let mut counts = Counts::default();
    let mut disk = Disk::new(&journal, before);
    let first = moments(&journal, CUTS_PER_WORK / CUTS_PER_OPENING, &mut choices);
    for (moment, metadata) in first {
        disk.advance(moment);
        let found = disk.cut(metadata, &mut choices);
        let reached = Work::progress(&work.no_progress(), journal.marks(moment));
        let again = Place::new();
        fs::remove_dir(&again.root).unwrap();
        found.write(&place.root, &again.root);
        let before = Before::of(&again.root);
        let journal = again.work(recorder, Work { commits: 6, ..work }, What::Engine);
        let second = moments(&journal, CUTS_PER_OPENING, &mut choices);
        counts.add(cut(
            Disk::new(&journal, before),
            &again,
            second,
            &mut choices,
            |moment| Work::progress(&reached, journal.marks(moment)),
            |progress: &Vec<_>, path, goes_on| judge_engine(work, progress, path, goes_on),
        ));
    }
    counts
}

/// The power fails at these moments. `said` tells what had been called durable, `judge` whether a
/// store has that, after going on with it where it is told so.
fn cut<S: Send>(
    mut disk: Disk<'_>,
    place: &Place,
    moments: Vec<(usize, Metadata)>,
    choices: &mut Seeded,
    said: impl Fn(usize) -> S,
    judge: impl Fn(&S, &Path, bool) -> Outcome + Sync,
) -> Counts {
    let counts = Mutex::new(Counts::default());
    let (give, take) = mpsc::sync_channel::<(Found, S, String, bool)>(AT_ONCE);
    let take = Mutex::new(take);
    thread::scope(|scope| {
        for number in 0..AT_ONCE {
            let (take, counts, judge) = (&take, &counts, &judge);
            scope.spawn(move || {
                let copy = place.directory.path().join(format!("cut {number}"));
                loop {
                    let next = take.lock().unwrap().recv();
                    let Ok((found, said, told, goes_on)) = next else {
                        return;
                    };
                    found.write(&place.root, &copy);
                    let outcome = judge(&said, &copy.join("store"), goes_on);
                    fs::remove_dir_all(&copy).unwrap();
                    counts.lock().unwrap().count(outcome, &told);
                }
            });
        }
        for (moment, metadata) in moments {
            disk.advance(moment);
            let found = disk.cut(metadata, choices);
            let told = format!("entry {moment}, {metadata:?}");
            let goes_on = choices.happens(1, 4);
            give.send((found, said(moment), told, goes_on)).unwrap();
        }
        drop(give);
    });
    counts.into_inner().unwrap()
}

/// Before which entries the power fails, in order; often right after something was said.
fn moments(journal: &Journal, cuts: u64, choices: &mut Seeded) -> Vec<(usize, Metadata)> {
    let entries = &journal.entries;
    let after_marks: Vec<usize> = (1..=entries.len())
        .filter(|at| matches!(entries[at - 1], Entry::Mark(_)))
        .collect();
    let mut moments: Vec<_> = (0..cuts)
        .map(|_| {
            let moment = if choices.happens(1, 3) {
                choices.one_of(&after_marks)
            } else {
                choices.below(u32::try_from(entries.len() + 1).unwrap()) as usize
            };
            let metadata = choices.one_of(&[Metadata::Any, Metadata::Ordered]);
            (moment, metadata)
        })
        .collect();
    moments.sort_by_key(|(moment, _)| *moment);
    moments
}

fn judge_engine(work: Work, progress: &[Progress], path: &Path, goes_on: bool) -> Outcome {
    let open = || SledEngine::open(path, &SledOptions::default().cache_bytes(1 << 20));
    let engine = match open() {
        Ok(engine) => engine,
        Err(error) if [ErrorKind::Damaged, ErrorKind::Storage].contains(&error.kind()) => {
            return Outcome::Refused(told(&error));
        }
        Err(error) => return Outcome::Wrong(format!("does not open: {error:?}")),
    };
    let found = match work.found(&engine) {
        Ok(found) => found,
        Err(wrong) => return Outcome::Wrong(wrong),
    };
    for (found, progress) in found.iter().zip(progress) {
        if !(progress.durable..=progress.begun).contains(found) {
            return Outcome::Wrong(format!("{found} commits instead of {progress:?}"));
        }
    }
    if goes_on {
        work.go_on(&engine, &found);
        drop(engine);
        let next = found.iter().map(|found| found + 1).collect();
        let then = open().map_err(|error| error.to_string());
        let then = then.and_then(|engine| work.found(&engine));
        if then != Ok(next) {
            return Outcome::Wrong(format!("does not go on from {found:?}: {then:?}"));
        }
    }
    Outcome::Good
}

fn judge_sled_alone(work: Work, progress: &[Progress], path: &Path) -> Outcome {
    match panic::catch_unwind(|| work.found_on_sled_alone(path)) {
        Ok(Ok(found)) if found[0] < progress[0].durable => {
            Outcome::Wrong(format!("{found:?} commits instead of {progress:?}"))
        }
        Ok(Ok(_)) => Outcome::Good,
        Ok(Err(wrong)) => Outcome::Wrong(wrong),
        Err(_) => Outcome::Wrong("a panic".to_owned()),
    }
}

/// An error and what it comes from, without what differs from store to store.
fn told(error: &courseblocks::Error) -> String {
    let mut told = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let _ = write!(told, ": {error}");
        source = error.source();
    }
    let words = told.split(' ').map(|word| {
        if word.contains('/') || word.bytes().any(|byte| byte.is_ascii_digit()) {
            "…"
        } else {
            word
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

impl Counts {
    fn count(&mut self, outcome: Outcome, told: &str) {
        match outcome {
            Outcome::Good => self.good += 1,
            Outcome::Refused(why) => *self.refused.entry(why).or_default() += 1,
            Outcome::Wrong(what) => self.wrong.push(format!("{told}: {what:.400}")),
        }
    }

    fn add(&mut self, other: Self) {
        self.good += other.good;
        for (why, count) in other.refused {
            *self.refused.entry(why).or_default() += count;
        }
        self.wrong.extend(other.wrong);
    }

    fn print(&self, what: &str) {
        let refused: u64 = self.refused.values().sum();
        let wrong = self.wrong.len() as u64;
        println!(
            "{what}: {} power failures, {} stores whole, {refused} refused, {wrong} wrong",
            self.good + refused + wrong,
            self.good,
        );
        for (why, count) in &self.refused {
            println!("{count} refused: {why}");
        }
        for wrong in self.wrong.iter().take(20) {
            println!("wrong: {wrong}");
        }
    }
}

impl Place {
    fn new() -> Self {
        // In memory where there is such a place: the disks that are made here need no disk.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let directory = directory.unwrap();
        let at = directory.path().canonicalize().unwrap();
        let [root, marks, journal] = ["disk", "marks", "journal"].map(|name| at.join(name));
        fs::create_dir(&root).unwrap();
        fs::write(&marks, "").unwrap();
        Self {
            directory,
            root,
            marks,
            journal,
        }
    }

    /// Has another process do `work`.
    fn work(&self, recorder: &Path, work: Work, what: What) -> Journal {
        let what = match what {
            What::Engine => "engine",
            What::SledAlone => "sled",
        };
        let Work {
            seed,
            threads,
            commits,
        } = work;
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--exact", "helper_process", "--nocapture"])
            .env(
                "POWER_LOSS_WORK",
                format!("{what} {seed} {threads} {commits}"),
            );
        self.record(recorder, &mut command);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{work:?}: {output:?}");
        self.journal()
    }

    fn record(&self, recorder: &Path, command: &mut Command) {
        command
            .env("POWER_LOSS_ROOT", &self.root)
            .env("POWER_LOSS_MARKS", &self.marks)
            .env("POWER_LOSS_JOURNAL", &self.journal)
            .env("LD_PRELOAD", recorder);
    }

    /// What was recorded. What was done is removed, to be made again from this.
    fn journal(&self) -> Journal {
        let journal = Journal::read(&self.journal);
        fs::remove_file(&self.journal).unwrap();
        fs::remove_dir_all(&self.root).unwrap();
        journal
    }
}

/// The recorder, built once; `None` and a word about it where there is no C compiler.
fn recorder() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<(TempDir, PathBuf)>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let library = directory.path().join("recorder.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power_loss/recorder.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]);
        compiler.arg(&library).arg(source).arg("-lpthread");
        match compiler.output() {
            Ok(output) => {
                assert!(output.status.success(), "{output:?}");
                Some((directory, library))
            }
            Err(error) => {
                println!("skipped: there is no C compiler to build the recorder with: {error}");
                None
            }
        }
    });
    built.as_ref().map(|(_, library)| library.as_path())
}
