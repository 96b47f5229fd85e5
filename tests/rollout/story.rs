//! The story itself. Every process is a command of one of the releases; whatever they say is
//! compared with what is stored.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use courseblocks::engine::{SharedEngine, SledOptions};
use courseblocks::{CourseKey, Manager, Store, WriteVersion};
use serde_json::Value;

use crate::RELEASE;
use crate::no_source::NoSource;
use crate::program::{Program, Run, with_json, write_course};
use crate::random::Random;
use crate::releases::{Release, TITLES, second};
use crate::told::content;

const COURSES: usize = 200;
const UNITS: usize = 2;

/// How many workers run, and are killed, at the same time.
const WORKERS: usize = 3;

/// How often they are killed, if the environment does not say.
const ROUNDS: usize = 8;

pub(crate) fn tell() {
    let rounds = env::var("COURSEBLOCKS_KILL_ROUNDS").ok();
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().expect("a number of rounds"));
    let mut house = House::new();
    house.a_is_running();
    house.b_joins_and_both_read_and_write();
    house.the_rollout_is_refused_while_a_lives();
    house.the_floor_is_raised_whoever_is_killed();
    house.a_is_refused();
    for round in 0..rounds {
        house.workers_are_killed(round);
    }
    house.the_last_course_opens_the_gate();
    house.c_serves_without_collecting_and_so_do_b_and_a();
}

struct House {
    program: Program,
    random: Random,
    /// The content of each course that was published last, and where.
    published: BTreeMap<CourseKey, usize>,
    places: BTreeMap<CourseKey, PathBuf>,
    /// The content, and the version of `titles`, that somebody said to have stored.
    said: BTreeMap<CourseKey, (usize, WriteVersion)>,
}

/// What is stored for a course: its content, and the version of `titles`.
type Stored = BTreeMap<CourseKey, (usize, WriteVersion)>;

impl House {
    fn new() -> Self {
        Self {
            program: Program::new(),
            random: Random::seeded().0,
            published: BTreeMap::new(),
            places: BTreeMap::new(),
            said: BTreeMap::new(),
        }
    }

    fn a_is_running(&mut self) {
        for number in 0..COURSES {
            self.publish(number);
        }
        let run = self.run(Release::A, &["import", "exports"]);
        assert_eq!(run.status, 0, "{run:?}");
        for (course, content) in &self.published {
            self.said
                .insert(course.clone(), (*content, WriteVersion::FIRST));
        }
        self.check();
    }

    fn b_joins_and_both_read_and_write(&mut self) {
        let (old, new) = (key(0), key(1));
        let answer = self.json(Release::B, &["get", old.as_str(), TITLES]);
        assert!(answer.to_string().contains(r#""length":null"#), "{answer}");
        // B writes one course at its version, A new content of another at its own.
        self.json(Release::B, &["update", old.as_str()]);
        self.said
            .insert(old.clone(), (self.published[&old], second()));
        self.publish(1);
        self.json(Release::A, &["update", new.as_str()]);
        self.said
            .insert(new.clone(), (self.published[&new], WriteVersion::FIRST));
        self.check();
        let by_a = self.json(Release::A, &["get", old.as_str(), TITLES]);
        assert!(!by_a.to_string().contains("length"), "{by_a}");
        let by_b = self.json(Release::B, &["get", old.as_str(), TITLES]);
        assert!(!by_b.to_string().contains(r#""length":null"#), "{by_b}");
        let by_b = self.json(Release::B, &["get", new.as_str(), TITLES]);
        let title = format!(r#""title":"{}""#, self.published[&new]);
        assert!(by_b.to_string().contains(&title), "{by_b}");
    }

    fn the_rollout_is_refused_while_a_lives(&mut self) {
        let mut worker = self.a_worker_of_a("a1", "600");
        let start = ["rollout", "start", TITLES];
        let refused = |house: &Self| {
            let run = house.run(Release::B, &with_json(&start));
            assert_eq!(run.status, 1, "{run:?}");
            let answer = run.json();
            assert_eq!(answer["outcome"], "refused");
            assert_eq!(blockers(&answer), ["a1"]);
        };
        refused(self);
        // Nobody knows whether it lives: for ten minutes it counts as alive.
        worker.kill().unwrap();
        worker.wait().unwrap();
        refused(self);
        let run = self.run(Release::B, &start);
        assert!(
            run.stdout
                .contains("worker a1 (release A) still writes version 1"),
            "{run:?}"
        );
        let (is_open, reasons) = self.gate();
        assert!(!is_open);
        assert!(
            reasons.iter().any(|reason| reason == "floor_too_low"),
            "{reasons:?}"
        );
        // It comes back under its name, has nothing to do, and ends in order.
        let again = ["worker", "--until-empty", "--worker", "a1"];
        assert_eq!(self.run(Release::A, &again).status, 0);
    }

    fn the_floor_is_raised_whoever_is_killed(&mut self) {
        // The lease of this one ends soon; until then it is in the way, and nobody else is.
        let mut worker = self.a_worker_of_a("a2", "1");
        worker.kill().unwrap();
        worker.wait().unwrap();
        for _ in 0..3 {
            let mut start = self.spawn(Release::B, &["rollout", "start", TITLES]);
            let moment = u64::try_from(self.random.below(150)).unwrap();
            thread::sleep(Duration::from_millis(moment));
            start.kill().unwrap();
            start.wait().unwrap();
            assert!(!self.gate().0);
        }
        loop {
            let run = self.run(Release::B, &with_json(&["rollout", "start", TITLES]));
            let answer = run.json();
            if answer["outcome"] == "started" {
                assert_eq!(answer["floor"], 2);
                break;
            }
            assert_eq!(
                (run.status, blockers(&answer)),
                (1, vec!["a2".to_owned()]),
                "{run:?}"
            );
        }
        self.check();
        let queue = self.json(Release::B, &["queue", "status", "--all"]);
        let tasks = queue["tasks"].as_array().unwrap();
        let tasks = tasks
            .iter()
            .map(|task| task["course_key"].as_str().unwrap());
        let below = self
            .stored()
            .into_iter()
            .filter(|(_, (_, version))| *version < second());
        let (mut tasks, below): (Vec<_>, Vec<_>) = (
            tasks.map(str::to_owned).collect(),
            below.map(|(key, _)| key.to_string()).collect(),
        );
        tasks.sort();
        assert_eq!(tasks, below, "what is below the floor is on the queue");
    }

    /// Its workers take nothing, and what it publishes is left to others.
    fn a_is_refused(&mut self) {
        let run = self.run(Release::A, &["worker", "--until-empty"]);
        assert_eq!(run.status, 1, "{run:?}");
        assert!(run.stderr.contains("below its floor 2"), "{run:?}");
        let before = self.stored();
        self.publish(2);
        let run = self.run(Release::A, &["update", key(2).as_str()]);
        assert_eq!(run.status, 1, "{run:?}");
        assert!(run.stderr.contains("below its floor 2"), "{run:?}");
        assert_eq!(self.stored(), before);
        let queue = self.json(Release::B, &["queue", "status"]);
        assert_eq!(queue["publishes"], 1, "{queue}");
        // And it serves what is there.
        self.json(Release::A, &["get", key(2).as_str(), TITLES]);
    }

    fn workers_are_killed(&mut self, round: usize) {
        // New content of some courses, which the workers are told of.
        let fresh: Vec<_> = (0..3).map(|_| self.random.below(COURSES)).collect();
        let mut enqueue = vec!["update".to_owned(), "--enqueue".to_owned()];
        for number in fresh {
            enqueue.push(self.publish(number).to_string());
        }
        let run = self.run(Release::B, &enqueue);
        assert_eq!(run.status, 0, "{run:?}");
        let workers = (0..WORKERS).map(|number| {
            let name = format!("b{round}-{number}");
            let arguments = [
                "worker",
                "--until-empty",
                "--jobs",
                "2",
                "--lease",
                "1",
                "--worker",
                &name,
            ];
            let worker = self.spawn(Release::B, &with_json(&arguments));
            (worker, self.random.below(12))
        });
        let workers: Vec<_> = workers.collect();
        let published_before = self.published.clone();
        let done: Vec<CourseKey> = thread::scope(|scope| {
            let killed = workers
                .into_iter()
                .map(|(mut worker, lines)| scope.spawn(move || kill_after(&mut worker, lines)));
            let killed: Vec<_> = killed.collect();
            // Meanwhile others publish, and ask for the gate.
            for _ in 0..2 {
                self.publish_and_import();
                if self.gate().0 {
                    assert_eq!(self.below(), 0, "the gate was open too early");
                }
            }
            killed
                .into_iter()
                .flat_map(|done| done.join().unwrap())
                .collect()
        });
        for course in done {
            let content = published_before[&course];
            let newest = self.said.get(&course).map_or(0, |(content, _)| *content);
            self.said.insert(course, (content.max(newest), second()));
        }
        self.check();
        self.check_gate();
    }

    /// New content, at another place, by another process than the workers.
    fn publish_and_import(&mut self) {
        let number = self.random.below(COURSES);
        let course = key(number);
        let content = self.published[&course] + 1;
        let exports = self.program.path("exports");
        let place = exports.join(format!("{number:03}-{content}"));
        self.places.insert(course.clone(), place.clone());
        self.publish(number);
        let run = self.run(Release::B, &["import".as_ref(), place.as_os_str()]);
        assert_eq!(run.status, 0, "{run:?}");
        self.said.insert(course, (content, second()));
    }

    fn the_last_course_opens_the_gate(&mut self) {
        self.check_gate();
        let run = self.run(Release::B, &["worker", "--until-empty", "--lease", "1"]);
        assert_eq!(run.status, 0, "{run:?}");
        for (course, content) in &self.published {
            self.said.insert(course.clone(), (*content, second()));
        }
        self.check();
        assert!(self.gate().0);
        assert_eq!(
            self.stored(),
            self.said,
            "all new content is stored as well"
        );
        let run = self.run(Release::B, &["verify"]);
        assert_eq!(run.status, 0, "{run:?}");
        let history = self.json(Release::B, &["rollout", "history", "--limit", "10000"]);
        for event in ["floor_raised", "gate_opened"] {
            let told = history.to_string().matches(event).count();
            assert_eq!(told, 1, "{event}: {history}");
        }
    }

    fn c_serves_without_collecting_and_so_do_b_and_a(&mut self) {
        let before = self.stored();
        for release in [Release::C, Release::B, Release::A] {
            let planned = self.json(release, &["update", "--all", "--dry-run"]);
            let planned = planned["courses"].as_array().unwrap();
            assert_eq!(planned.len(), COURSES);
            for course in planned {
                assert_eq!(course["outcome"], "up_to_date", "{course}");
            }
        }
        // From here on nothing could be collected any more.
        fs::rename(self.program.path("exports"), self.program.path("hidden")).unwrap();
        for release in [Release::C, Release::B, Release::A] {
            self.serves(release);
            for _ in 0..3 {
                let course = key(self.random.below(COURSES));
                let answer = self
                    .json(release, &["get", course.as_str(), TITLES])
                    .to_string();
                let title = format!(r#""title":"{}""#, self.published[&course]);
                assert!(answer.contains(&title), "{answer}");
                assert_eq!(
                    answer.contains(r#""length":"#),
                    release != Release::A,
                    "{answer}"
                );
                assert!(!answer.contains(r#""length":null"#), "{answer}");
            }
        }
        assert_eq!(self.stored(), before, "nothing was written");
        assert!(self.gate().0);
    }

    /// Its author publishes other content of a course, which tells a number.
    fn publish(&mut self, number: usize) -> CourseKey {
        let course = key(number);
        let content = self.published.get(&course).map_or(0, |content| content + 1);
        let usual = || self.program.path("exports").join(format!("{number:03}"));
        let place = self.places.entry(course.clone()).or_insert_with(usual);
        write_course(place, &run_of(number), &content.to_string(), UNITS);
        self.published.insert(course.clone(), content);
        course
    }

    /// A worker of A that has joined.
    fn a_worker_of_a(&self, name: &str, lease: &str) -> Child {
        let arguments = ["worker", "--lease", lease, "--worker", name];
        let mut worker = self.spawn(Release::A, &with_json(&arguments));
        // It says nothing before.
        let stdout = worker.stdout.as_mut().unwrap();
        stdout.read_exact(&mut [0]).expect("it is alive");
        worker
    }

    /// Whether the gate is open, and the words of the reasons why not.
    fn gate(&self) -> (bool, Vec<String>) {
        let gate = format!("{TITLES}@2");
        let run = self.run(Release::B, &with_json(&["rollout", "gate", &gate]));
        let answer = run.json();
        let is_open = answer["open"].as_bool().unwrap();
        assert_eq!(run.status, i32::from(!is_open), "{run:?}");
        let reasons = answer["reasons"].as_array().unwrap().iter();
        (
            is_open,
            reasons.map(|reason| text(&reason["reason"])).collect(),
        )
    }

    /// The gate is open only if nothing is below, and counts what is.
    fn check_gate(&self) {
        let below = self
            .stored()
            .into_values()
            .filter(|(_, version)| *version < second());
        let below = below.count();
        let gate = format!("{TITLES}@2");
        let answer = self
            .run(Release::B, &with_json(&["rollout", "gate", &gate]))
            .json();
        println!(
            "{below} courses are below, the gate is open: {}",
            answer["open"]
        );
        let reasons = answer["reasons"].as_array().unwrap();
        if below == 0 {
            assert_eq!(answer["open"], true, "{answer}");
            return;
        }
        assert_eq!(answer["open"], false, "{answer}");
        assert_eq!(reasons.len(), 1, "{answer}");
        assert_eq!(reasons[0]["reason"], "below", "{answer}");
        assert_eq!(reasons[0]["courses"], below, "{answer}");
    }

    /// How many courses hold less than B writes.
    fn below(&self) -> usize {
        let stored = self.stored().into_values();
        stored.filter(|(_, version)| *version < second()).count()
    }

    /// What was said to be stored is stored, or newer, and all of every course is of one content.
    fn check(&self) {
        let stored = self.stored();
        for (course, (content, version)) in &self.said {
            let (found, found_version) = stored.get(course).expect("a course is gone");
            assert!(
                found >= content,
                "{course} is of content {found}, not {content}"
            );
            // New content of A may come after B's version, before there is a floor.
            if found == content {
                assert!(
                    found_version >= version,
                    "{course} is at {found_version}, not {version}"
                );
            }
        }
    }

    /// What is stored, without collecting anything.
    fn stored(&self) -> Stored {
        let manager = self.manager(Release::A);
        let courses = manager.store().courses().map(|row| row.unwrap().0);
        let stored = courses.map(|course| {
            let content = content(&manager, &course, UNITS);
            let entry = manager.store().course(&course).unwrap().unwrap();
            let version = entry.record(TITLES).unwrap().header().write_version();
            (course, (content, version))
        });
        stored.collect()
    }

    /// A release reads all of every course.
    fn serves(&self, release: Release) {
        let manager = self.manager(release);
        for (course, published) in &self.published {
            assert_eq!(content(&manager, course, UNITS), *published, "{course}");
        }
    }

    fn manager(&self, release: Release) -> Manager {
        let engine = SharedEngine::open(&self.program.store(), &SledOptions::default());
        let store = Arc::new(Store::with_engine(Arc::new(engine.unwrap())));
        Manager::new(store, Arc::new(release.registry()), Arc::new(NoSource))
    }

    fn spawn<S: AsRef<std::ffi::OsStr>>(&self, release: Release, arguments: &[S]) -> Child {
        let mut command = self.command(release, arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Whoever has the store open for all others may be killed while they need it. Then they cannot
    /// say what became of the last thing that they did, and are run again.
    fn run<S: AsRef<std::ffi::OsStr>>(&self, release: Release, arguments: &[S]) -> Run {
        let run = || Run::of(self.command(release, arguments).output().unwrap());
        let mut last = run();
        for _ in 0..WORKERS {
            if last.status != 3 {
                break;
            }
            println!("run again: {}", last.stderr.trim());
            last = run();
        }
        last
    }

    #[track_caller]
    fn json(&self, release: Release, arguments: &[&str]) -> Value {
        let run = self.run(release, &with_json(arguments));
        assert_eq!(run.status, 0, "{run:?}");
        run.json()
    }

    fn command<S: AsRef<std::ffi::OsStr>>(
        &self,
        release: Release,
        arguments: &[S],
    ) -> std::process::Command {
        let this_program = env::current_exe().unwrap();
        let mut command = self.program.command_of(&this_program, arguments);
        command
            .env(RELEASE, release.name())
            .env("COURSEBLOCKS_RELEASE", release.name());
        command
    }
}

/// Kills a worker when it has said so many lines, and answers with the courses that it said to be
/// done.
fn kill_after(worker: &mut Child, lines: usize) -> Vec<CourseKey> {
    let mut stdout = BufReader::new(worker.stdout.take().unwrap()).lines();
    let mut seen: Vec<_> = stdout
        .by_ref()
        .take(lines)
        .map(std::io::Result::unwrap)
        .collect();
    worker.kill().unwrap();
    // What it had said before it died.
    seen.extend(stdout.map(std::io::Result::unwrap));
    worker.wait().unwrap();
    let tasks = seen.iter().filter_map(|line| {
        let task: Value = serde_json::from_str(line.trim_end_matches(',')).ok()?;
        let course = text(&task["course_key"]).parse().unwrap();
        assert_eq!(task["outcome"], "done", "{task}");
        Some(course)
    });
    tasks.collect()
}

fn blockers(answer: &Value) -> Vec<String> {
    let blockers = answer["blockers"].as_array().unwrap().iter();
    blockers.map(|blocker| text(&blocker["worker"])).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn run_of(number: usize) -> String {
    format!("run{number:03}")
}

fn key(number: usize) -> CourseKey {
    format!("course-v1:Org+C+{}", run_of(number))
        .parse()
        .unwrap()
}
