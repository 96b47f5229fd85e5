//! An import that is killed at any moment: what it said is done is done, and nothing is half done.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;

use courseblocks::{Manager, Registry, Store};

use crate::content::NoSource;
use crate::program::{Program, Run, write_course};

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
        for course in import_and_kill_after(&program, lines) {
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
    let mut command = program.command(&["import", "exports"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen: Vec<_> = stdout.by_ref().take(lines).map(Result::unwrap).collect();
    child.kill().unwrap();
    // What it had said before it died.
    seen.extend(stdout.map(Result::unwrap));
    child.wait().unwrap();
    courses_of(seen.iter().map(String::as_str)).collect()
}

/// Lines are whole or absent: each is written at once.
fn courses_of<'a>(lines: impl Iterator<Item = &'a str>) -> impl Iterator<Item = String> {
    lines.map(|line| {
        let (outcome, rest) = line.split_at(10);
        assert!(
            ["imported  ", "updated   ", "unchanged "].contains(&outcome),
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
    let names: Vec<_> = manager.registry().names().collect();
    let mut left = said.clone();
    for row in manager.store().courses() {
        let (course, entry) = row.unwrap();
        let generation = entry.unwrap().generation();
        let published = manager.get_published(&course).unwrap();
        let collected = manager.get_collected(&course, &names).unwrap();
        assert_eq!(published.generation, generation, "{course}");
        assert_eq!(collected.generation(), generation, "{course}");
        assert_eq!(published.structure.len(), 3 + 3 * UNITS, "{course}");
        let mut rounds: Vec<usize> = published
            .structure
            .blocks()
            .map(|block| {
                let block = published.blocks.block(block).unwrap();
                block.fields()["display_name"]
                    .as_str()
                    .unwrap()
                    .parse()
                    .unwrap()
            })
            .collect();
        rounds.dedup();
        assert_eq!(rounds.len(), 1, "{course} is of several rounds: {rounds:?}");
        if let Some(said) = left.remove(course.as_str()) {
            assert!(
                rounds[0] >= said,
                "{course} is of round {}, not {said}",
                rounds[0]
            );
        }
    }
    assert!(left.is_empty(), "{left:?} are gone");
}
