//! The program as operators run it, killed at any moment: an import by itself, and one that shares
//! the store with a worker that has it open and is killed before. What they said is done is done,
//! and nothing is half done.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;

use courseblocks::{Manager, Registry, Store};

use crate::no_source::NoSource;
use crate::program::{Program, Run, write_course};
use crate::told::content;

const COURSES: usize = 60;
const UNITS: usize = 4;

pub(crate) fn tell(rounds: usize) {
    let program = Program::new();
    // The round whose content each course was last said to have.
    let mut said = BTreeMap::new();
    for round in 0..rounds {
        publish(&program, round);
        // Spread over the whole import, beginning with the creation of the store.
        let lines = round * 23 % COURSES;
        let done = if round % 2 == 1 && program.store().exists() {
            import_beside_a_worker(&program, lines)
        } else {
            import_and_kill_after(&program, lines)
        };
        for course in done {
            said.insert(course, round);
        }
        check(&program, &said);
    }
    // One that is left alone brings everything up to date.
    publish(&program, rounds);
    let run = program.import(program.path("exports"));
    assert_eq!(run.stdout.lines().count(), COURSES);
    let said = courses_of(run.stdout.lines())
        .map(|course| (course, rounds))
        .collect();
    check(&program, &said);
    assert_eq!(said.len(), COURSES);
}

/// All courses with new content, which tells the round.
fn publish(program: &Program, round: usize) {
    for number in 0..COURSES {
        let export = program.path("exports").join(format!("{number:02}"));
        write_course(
            &export,
            &format!("run{number:02}"),
            &round.to_string(),
            UNITS,
        );
    }
}

/// The courses that a killed import said to be imported.
fn import_and_kill_after(program: &Program, lines: usize) -> Vec<String> {
    let mut import = Killed::start(program, &["import", "exports"]);
    import.hear(lines);
    import.kill()
}

/// The same, and what a worker said that had the store open first. A pause in between is kept.
fn import_beside_a_worker(program: &Program, lines: usize) -> Vec<String> {
    // What is on the queue is not needed for this to be true.
    let _ = program.run(&["update", "--all", "--enqueue"]);
    let mut worker = Killed::start(program, &["worker", "--lease", "1", "--jobs", "2"]);
    worker.hear(lines % 3);
    let mut import = Killed::start(program, &["import", "exports"]);
    import.hear(lines / 3);
    let mut done = worker.kill();
    import.hear(lines / 3);
    let paused = program.run(&["pause"]);
    import.hear(lines / 3);
    done.extend(import.kill());
    if paused.status == 0 {
        let queue = program.json(&["queue", "status"]);
        assert!(!queue["paused"].is_null(), "{paused:?}, and now {queue}");
    }
    let resumed = program.run(&["resume"]);
    assert!(resumed.status <= 1, "{resumed:?}");
    done
}

/// A command that is going to be killed.
struct Killed {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
}

impl Killed {
    fn start(program: &Program, arguments: &[&str]) -> Self {
        let mut command = program.command(arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            stdout,
            said: Vec::new(),
        }
    }

    /// Waits for so many lines, or for its end.
    fn hear(&mut self, lines: usize) {
        let heard = self.stdout.by_ref().take(lines).map(Result::unwrap);
        self.said.extend(heard);
    }

    /// The courses that it said to be done, until it died.
    fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.said.extend(self.stdout.map(Result::unwrap));
        self.child.wait().unwrap();
        courses_of(self.said.iter().map(String::as_str)).collect()
    }
}

/// Lines are whole or absent: each is written at once.
fn courses_of<'a>(lines: impl Iterator<Item = &'a str>) -> impl Iterator<Item = String> {
    lines.map(|line| {
        let (outcome, rest) = line.split_at(10);
        assert!(
            ["imported  ", "updated   ", "unchanged ", "done      "].contains(&outcome),
            "{line:?}"
        );
        let (course, _) = rest.split_once(": ").expect(line);
        course.to_owned()
    })
}

#[track_caller]
fn check(program: &Program, said: &BTreeMap<String, usize>) {
    if !program.store().exists() {
        assert!(said.is_empty(), "{said:?} are gone with the store");
        return;
    }
    let run: Run = program.run(&["verify"]);
    assert_eq!(run.status, 0, "{run:?}");
    let store = Arc::new(Store::open(program.store()).unwrap());
    let registry = Arc::new(Registry::standard());
    let manager = Manager::new(store, registry, Arc::new(NoSource));
    let mut left = said.clone();
    for row in manager.store().courses() {
        let (course, entry) = row.unwrap();
        let generation = entry.unwrap().generation();
        let round = content(&manager, &course, UNITS);
        let published = manager.get_published(&course).unwrap();
        assert_eq!(published.generation, generation, "{course}");
        if let Some(said) = left.remove(course.as_str()) {
            assert!(round >= said, "{course} is of round {round}, not {said}");
        }
    }
    assert!(left.is_empty(), "{left:?} are gone");
}
