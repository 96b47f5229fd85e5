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
mod work;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, mpsc};
use std::{env, fs, mem, panic, thread};

use choices::{Choices, Seeded};
use courseblocks::ErrorKind;
use courseblocks::engine::{SledEngine, SledOptions};
use disk::{Before, Disk, Found, Metadata};
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

/// A process that works, and the directory on whose disk it does.
struct Recorded {
    directory: TempDir,
    /// What its disk was. It is there no more.
    root: PathBuf,
    work: Work,
    what: What,
    before: Before,
    journal: Journal,
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
        cut(recorder, work, What::Engine)
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
        cut_twice(recorder, work)
    });
    counts.print("the engine, while it recovers");
    assert!(counts.wrong.is_empty(), "{counts:#?}");
    assert!(counts.refused.is_empty(), "{counts:#?}");
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
        cut(recorder, work, What::SledAlone)
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
        counts.add(each(seed));
    }
    counts
}

/// The power fails at moments of `work`.
fn cut(recorder: &Path, work: Work, what: What) -> Counts {
    let recorded = Recorded::new(recorder, work, what, None);
    let mut choices = Seeded::new(work.seed);
    let moments = recorded.moments(CUTS_PER_WORK, &mut choices);
    recorded.cut(moments, &work.no_progress(), &mut choices)
}

/// The power fails at a moment of `work`, and once more while the store is opened after that or
/// works again.
fn cut_twice(recorder: &Path, work: Work) -> Counts {
    let mut recorded = Recorded::new(recorder, work, What::Engine, None);
    let mut choices = Seeded::new(work.seed);
    let moments = recorded.moments(CUTS_PER_WORK / CUTS_PER_OPENING, &mut choices);
    let mut counts = Counts::default();
    let mut disk = Disk::new(&recorded.journal, mem::take(&mut recorded.before));
    let again = Work { commits: 6, ..work };
    for (moment, metadata) in moments {
        disk.advance(moment);
        let found = disk.cut(metadata, &mut choices);
        let marks = recorded.journal.marks(moment);
        let progress = work.progress(&work.no_progress(), marks);
        let reopened = Recorded::new(recorder, again, What::Engine, Some((&found, &recorded.root)));
        let moments = reopened.moments(CUTS_PER_OPENING, &mut choices);
        counts.add(reopened.cut(moments, &progress, &mut choices));
    }
    counts
}

fn judge(work: Work, what: What, progress: &[Progress], path: &Path, goes_on: bool) -> Outcome {
    match what {
        What::Engine => judge_engine(work, progress, path, goes_on),
        What::SledAlone => judge_sled_alone(work, progress, path),
    }
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

impl Recorded {
    /// Has another process do `work` on an empty disk, or on what was found in a directory.
    fn new(recorder: &Path, work: Work, what: What, found: Option<(&Found, &Path)>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().canonicalize().unwrap();
        let [root, marks, journal] = ["disk", "marks", "journal"].map(|name| at.join(name));
        match found {
            Some((found, place)) => found.write(place, &root),
            None => fs::create_dir(&root).unwrap(),
        }
        fs::write(&marks, "").unwrap();
        let before = Before::of(&root);
        let told = match what {
            What::Engine => "engine",
            What::SledAlone => "sled",
        };
        let Work {
            seed,
            threads,
            commits,
        } = work;
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "helper_process", "--nocapture"])
            .env(
                "POWER_LOSS_WORK",
                format!("{told} {seed} {threads} {commits}"),
            )
            .env("POWER_LOSS_ROOT", &root)
            .env("POWER_LOSS_MARKS", &marks)
            .env("POWER_LOSS_JOURNAL", &journal)
            .env("LD_PRELOAD", recorder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let read = Journal::read(&journal);
        fs::remove_file(journal).unwrap();
        fs::remove_dir_all(&root).unwrap();
        Self {
            directory,
            root,
            work,
            what,
            before,
            journal: read,
        }
    }

    /// The power fails at these moments, after what was done `before`.
    fn cut(
        mut self,
        moments: Vec<(usize, Metadata)>,
        before: &[Progress],
        choices: &mut Seeded,
    ) -> Counts {
        let Work { seed, .. } = self.work;
        let counts = Mutex::new(Counts::default());
        let on_disk = mem::take(&mut self.before);
        let (give, take) = mpsc::sync_channel::<(Found, Vec<Progress>, String, bool)>(AT_ONCE);
        let take = Mutex::new(take);
        thread::scope(|scope| {
            for number in 0..AT_ONCE {
                let (this, take, counts) = (&self, &take, &counts);
                scope.spawn(move || {
                    let place = this.directory.path().join(format!("cut {number}"));
                    loop {
                        let next = take.lock().unwrap().recv();
                        let Ok((found, progress, told, goes_on)) = next else {
                            return;
                        };
                        found.write(&this.root, &place);
                        let path = place.join("store");
                        let outcome = judge(this.work, this.what, &progress, &path, goes_on);
                        fs::remove_dir_all(&place).unwrap();
                        counts.lock().unwrap().count(outcome, &told);
                    }
                });
            }
            let mut disk = Disk::new(&self.journal, on_disk);
            for (moment, metadata) in moments {
                disk.advance(moment);
                let found = disk.cut(metadata, choices);
                let progress = self.work.progress(before, self.journal.marks(moment));
                let told = format!("seed {seed}, entry {moment}, {metadata:?}");
                let goes_on = choices.happens(1, 4);
                give.send((found, progress, told, goes_on)).unwrap();
            }
            drop(give);
        });
        counts.into_inner().unwrap()
    }

    /// Before which entries the power fails, in order.
    fn moments(&self, cuts: u64, choices: &mut Seeded) -> Vec<(usize, Metadata)> {
        let entries = &self.journal.entries;
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
