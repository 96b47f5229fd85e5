//! What may happen to a store whose files were damaged: it opens or says why not, and what it then
//! tells is what was written last, or that it is damaged.
//!
//! Each round damages a copy of a store at random and opens it in a process of its own, with limits
//! of memory and time, so that the end of the process and standing still are found, too.
//! `COURSEBLOCKS_DAMAGE_ROUNDS` says how many rounds, `COURSEBLOCKS_DAMAGE_FIRST` which is the first:
//! a round does the same each time. The table of outcomes is printed with `--nocapture`.

#![cfg(all(unix, feature = "cli"))]

#[path = "common/courses.rs"]
#[expect(dead_code, reason = "there are several courses here")]
mod courses;
#[path = "common/joined.rs"]
mod joined;
#[path = "common/probe.rs"]
mod probe;
#[path = "common/recorder.rs"]
#[expect(dead_code, reason = "not all of it is needed here")]
mod recorder;

#[path = "damage/harm.rs"]
mod harm;
#[path = "damage/life.rs"]
mod life;
#[path = "damage/reading.rs"]
mod reading;

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::{env, fs};

use harm::Dice;
use life::Life;
use reading::Outcome;

/// What a process that reads a store may take: some ten times what it takes.
const MAX_KIBIBYTES: u32 = 4_000_000;

#[test]
fn damage_is_named_and_nothing_else_is_told_instead() {
    let number = |variable, default| {
        let value = env::var(variable).ok();
        value.map_or(default, |value| value.parse().expect("a number"))
    };
    let rounds = number("COURSEBLOCKS_DAMAGE_ROUNDS", 40);
    let first = number("COURSEBLOCKS_DAMAGE_FIRST", 0);
    let life = Life::new();
    let mut table = BTreeMap::<String, BTreeMap<Outcome, u64>>::new();
    let mut violations = Vec::new();
    for round in first..first + rounds {
        let mut dice = Dice::new(round);
        let store = life.copy(&mut dice);
        let harms = harm::harm(&store, &life, &mut dice);
        let (outcome, told) = match dice.below(8) {
            0 => told_to_an_operator(&store),
            _ => told_to_a_reader(&store, &life),
        };
        // What tells an older state is the number of the opening, which two files have.
        let outcome = match outcome {
            Outcome::Unnoticed if !harm::hits_both(&harms, "SEAL", "COMMITS") => Outcome::Violation,
            outcome => outcome,
        };
        let kind = match &harms[..] {
            [harm] => harm.kind.to_owned(),
            _ => "several at once".to_owned(),
        };
        *table.entry(kind).or_default().entry(outcome).or_default() += 1;
        if outcome == Outcome::Violation {
            violations.push(format!("round {round}: {harms:?}: {told}"));
            println!("{}", violations.last().unwrap());
        }
        fs::remove_dir_all(store.path()).unwrap();
    }
    print(&table);
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

/// Every one of the files that change, and all of them together: with what is left, sled alone made
/// up an older state of some courses.
#[test]
fn older_copies_of_some_files_are_never_taken_for_the_newest() {
    let life = Life::new();
    let files = ["db", "snap", "blobs", "COMMITS"];
    for end in life::ENDS {
        for some in 1..1 << files.len() {
            // One of three ways in which there can be an older snapshot.
            for way in 0..3 {
                let store = life.copy_of(end);
                let mut dice = Dice::new(way);
                let chosen = files.iter().enumerate();
                let chosen = chosen.filter(|(bit, _)| some >> bit & 1 == 1);
                let chosen: Vec<_> = chosen.map(|(_, what)| *what).collect();
                for what in &chosen {
                    harm::put_back(&store, &life.last_opened(), what, &mut dice);
                }
                let (outcome, told) = told_to_a_reader(&store, &life);
                let is_noticed = outcome < Outcome::Unnoticed;
                assert!(is_noticed, "{end}: {chosen:?}, way {way}: {told}");
                fs::remove_dir_all(store.path()).unwrap();
                if !chosen.contains(&"snap") {
                    break;
                }
            }
        }
    }
}

/// Not a test of its own: what the others run in a process with limits.
#[test]
fn helper_reader() {
    if let Ok(store) = env::var("COURSEBLOCKS_TEST_DAMAGED") {
        reading::read(store.as_ref());
    }
}

fn told_to_a_reader(store: &life::Copied, life: &Life) -> (Outcome, String) {
    let mut command = limited(&env::current_exe().unwrap());
    command
        .args(["--exact", "helper_reader", "--nocapture"])
        .env("COURSEBLOCKS_TEST_DAMAGED", store.path())
        .env("COURSEBLOCKS_TEST_WRITTEN", life.written());
    let output = command.output().unwrap();
    reading::outcome(&output)
}

/// Everything that `verify` says, and how it ends.
fn told_to_an_operator(store: &life::Copied) -> (Outcome, String) {
    let mut command = limited(env!("CARGO_BIN_EXE_courseblocks").as_ref());
    let output: Output = command
        .env("RUST_BACKTRACE", "1")
        .arg("--store")
        .arg(store.path())
        .arg("verify")
        .output()
        .unwrap();
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    let is_raw = ["panicked at", "backtrace", "RUST_"];
    let is_raw = is_raw.iter().any(|raw| told.contains(raw));
    let outcome = match output.status.code() {
        _ if is_raw => Outcome::Violation,
        Some(0) => Outcome::Intact,
        Some(1) => Outcome::Named,
        Some(3) if reading::is_helpful(&told) => Outcome::Refused,
        _ => Outcome::Violation,
    };
    (outcome, format!("{:?}: {told}", output.status))
}

fn limited(program: &std::path::Path) -> Command {
    let mut command = Command::new("sh");
    let limits = format!("ulimit -v {MAX_KIBIBYTES}; exec \"$0\" \"$@\"");
    command.arg("-c").arg(limits).arg(program);
    command
}

fn print(table: &BTreeMap<String, BTreeMap<Outcome, u64>>) {
    print!("{:44}", "damage");
    for outcome in Outcome::ALL {
        print!(" {:>9}", outcome.name());
    }
    println!();
    let mut totals = BTreeMap::<Outcome, u64>::new();
    let row = |name: &str, outcomes: &BTreeMap<Outcome, u64>| {
        print!("{name:44}");
        for outcome in Outcome::ALL {
            print!(" {:>9}", outcomes.get(&outcome).unwrap_or(&0));
        }
        println!();
    };
    for (kind, outcomes) in table {
        row(kind, outcomes);
        for (outcome, count) in outcomes {
            *totals.entry(*outcome).or_default() += count;
        }
    }
    row("all", &totals);
}
