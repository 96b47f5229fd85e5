//! `backup` and `restore` as an operator uses them: files, pipes, a worker beside them, processes
//! that are killed.
//!
//! `COURSEBLOCKS_KILL_ROUNDS` says how often something is killed.

#![cfg(feature = "cli")]

mod program;

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use courseblocks::engine::{Commit, CommitOutcome, Durability, Key, Space};
use courseblocks::{CourseKey, ErrorKind, Store};
use program::{DEMO, Program, Run, Running, demo_course, with_json, write_course};

const COURSES: usize = 4;

/// A store with the sample course and some small ones.
fn filled() -> Program {
    let program = Program::new();
    for number in 0..COURSES {
        let export = program.path("exports").join(format!("{number:02}"));
        write_course(&export, &format!("run{number:02}"), "Title", 2);
    }
    program.import(program.path("exports"));
    program.import(demo_course());
    program
}

/// The same, with a course that takes its time.
fn filled_with_a_large_one() -> Program {
    let program = filled();
    let export = program.path("exports/large");
    write_course(&export, "large", "Title", 2000);
    program.import(&export);
    program
}

fn rounds() -> usize {
    let rounds = std::env::var("COURSEBLOCKS_KILL_ROUNDS").ok();
    rounds.map_or(4, |rounds| rounds.parse().expect("a number of rounds"))
}

/// Runs a command on another store beside the usual one.
fn on(program: &Program, store: &str, arguments: &[&str]) -> Run {
    let store = program.path(store);
    let store = ["--store", store.to_str().unwrap()];
    // Of two, the last one counts.
    let all: Vec<_> = arguments.iter().copied().chain(store).collect();
    program.run(&all)
}

#[track_caller]
fn done(run: Run) -> Run {
    assert_eq!(run.status, 0, "{run:?}");
    run
}

/// What the header index says, without what a store is called.
fn courses_of(program: &Program, store: &str) -> String {
    let run = done(on(program, store, &["--format", "json", "courses"]));
    done(on(program, store, &["verify"]));
    run.stdout
}

fn files_beside(program: &Program) -> Vec<String> {
    let names = fs::read_dir(program.path(".")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != "exports").collect();
    names.sort();
    names
}

#[test]
fn a_store_is_written_to_a_file_and_made_again_from_it() {
    let program = filled();
    done(program.run(&["rollout", "start", "start_date"]));
    done(program.run(&["rollout", "gate", "start_date@1"]));
    let run = done(program.run(&["backup", "store.backup"]));
    assert!(
        run.stdout.starts_with("backed up 5 courses: 100 records, "),
        "{run:?}"
    );
    let run = done(program.run(&["restore", "--check", "store.backup"]));
    assert!(
        run.stdout.starts_with("intact: 5 courses: 100 records, "),
        "{run:?}"
    );
    let run = done(on(&program, "new", &["restore", "store.backup"]));
    assert!(
        run.stdout.starts_with("restored 5 courses: 100 records, "),
        "{run:?}"
    );
    assert!(
        run.stdout
            .contains("all gates are closed: `courseblocks --store "),
        "{run:?}"
    );
    assert!(run.stdout.contains("/new rollout status` says"), "{run:?}");
    assert_eq!(courses_of(&program, "new"), courses_of(&program, "store"));
    // It tells what became of it, and is judged anew.
    let history = done(on(&program, "new", &["rollout", "history"])).stdout;
    let last = history.lines().last().unwrap();
    assert!(
        last.contains("the store was restored from a backup of 20"),
        "{history}"
    );
    assert!(
        last.contains(", with 5 courses; no gate is open (by restore-"),
        "{history}"
    );
    done(on(&program, "new", &["rollout", "gate", "start_date@1"]));
    assert_eq!(files_beside(&program), ["new", "store", "store.backup"]);
}

#[test]
fn programs_are_told_in_json() {
    let program = filled();
    let backup = program.json(&["backup", "store.backup"]);
    let len = fs::metadata(program.path("store.backup")).unwrap().len();
    assert_eq!(backup["courses"], 5);
    assert_eq!(backup["records"], 100);
    assert_eq!(backup["bytes"], len);
    assert_eq!(backup["left_out"], serde_json::json!([]));
    let check = program.json(&["restore", "--check", "store.backup"]);
    for name in ["made_at", "courses", "records", "control_rows", "bytes"] {
        assert_eq!(check[name], backup[name], "{name}");
    }
    assert_eq!(check["left_out"], 0);
    assert!(check.get("paused").is_none());
    let restore = ["--format", "json", "restore", "store.backup"];
    let restored = done(on(&program, "new", &restore)).json();
    assert_eq!(restored["bytes"], len);
    assert_eq!(restored["paused"], false);
    let history = on(&program, "new", &["--format", "json", "rollout", "history"]).json();
    let event = history["events"].as_array().unwrap().last().unwrap();
    assert_eq!(event["event"], "restored");
    assert_eq!(event["made_at"], backup["made_at"]);
    assert_eq!(event["courses"], 5);
}

#[test]
fn a_queue_that_was_paused_still_is_and_it_is_told() {
    let program = filled();
    done(program.run(&["pause"]));
    done(program.run(&["backup", "store.backup"]));
    let run = done(on(&program, "new", &["restore", "store.backup"]));
    assert!(
        run.stdout.contains("the queue is paused, as it was"),
        "{run:?}"
    );
}

#[test]
fn a_file_that_is_there_is_replaced_only_by_force() {
    let program = filled();
    fs::write(program.path("store.backup"), "mine").unwrap();
    let refused = program.run(&["backup", "store.backup"]);
    refused.is_refused(1, &["store.backup is there already", "--force"]);
    assert_eq!(
        fs::read_to_string(program.path("store.backup")).unwrap(),
        "mine"
    );
    done(program.run(&["backup", "--force", "store.backup"]));
    done(program.run(&["restore", "--check", "store.backup"]));
    let refused = program.run(&["backup", "--force", "exports"]);
    refused.is_refused(2, &["exports is no regular file"]);
    let refused = program.run(&["backup", "nowhere/store.backup"]);
    refused.is_refused(1, &["nowhere/store.backup cannot be written"]);
    assert_eq!(files_beside(&program), ["store", "store.backup"]);
}

#[cfg(unix)]
#[test]
fn a_backup_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let program = filled();
    done(program.run(&["backup", "store.backup"]));
    let mode = |name: &str| {
        fs::metadata(program.path(name))
            .unwrap()
            .permissions()
            .mode()
    };
    assert_eq!(mode("store.backup") & 0o777, 0o600);
    done(on(&program, "new", &["restore", "store.backup"]));
    assert_eq!(mode("new") & 0o777, 0o700);
}

/// What a command with `-` writes, and what it is given.
fn piped(program: &Program, arguments: &[&str], stdin: &[u8]) -> (Option<i32>, Vec<u8>, String) {
    let mut child = program
        .command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Whoever has read enough closes it.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), output.stdout, stderr)
}

#[test]
fn a_backup_goes_through_a_pipe() {
    let program = filled();
    let (status, backup, said) = piped(&program, &["backup", "-"], b"");
    assert_eq!(status, Some(0), "{said}");
    assert!(said.starts_with("backed up 5 courses: "), "{said}");
    let (status, again, said) = piped(&program, &["--format", "json", "backup", "-"], b"");
    assert_eq!(status, Some(0), "{said}");
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["bytes"], again.len());
    let (status, said, _) = piped(&program, &["restore", "--check", "-"], &backup);
    assert_eq!(status, Some(0));
    assert!(
        String::from_utf8(said)
            .unwrap()
            .starts_with("intact: 5 courses")
    );
    let new = program.path("new");
    let restore = ["restore", "-", "--store", new.to_str().unwrap()];
    let (status, _, said) = piped(&program, &restore, &backup);
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(courses_of(&program, "new"), courses_of(&program, "store"));
}

/// A truncated backup must not pass for one.
#[test]
fn a_reader_that_goes_away_is_an_error() {
    // More than a pipe holds.
    let program = filled_with_a_large_one();
    done(program.run(&["backup", "store.backup"]));
    let len = fs::metadata(program.path("store.backup")).unwrap().len();
    assert!(len > 100_000, "{len} bytes");
    let mut child = program
        .command(&["backup", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut some = [0; 100];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    let run = child.wait_with_output().unwrap();
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(said.contains("the backup cannot be written"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_is_an_error_about_the_backup() {
    let program = filled();
    let full = fs::File::create("/dev/full").unwrap();
    let mut command = program.command(&["backup", "-"]);
    let output = command.stdout(full).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("error: -: the backup cannot be written: No space left"),
        "{said}"
    );
}

fn interrupt(child: &Child) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-s", "INT", &id]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn ctrl_c_ends_a_restore_and_leaves_no_store() {
    let program = filled();
    done(program.run(&["backup", "store.backup"]));
    let backup = fs::read(program.path("store.backup")).unwrap();
    let new = program.path("new");
    let mut child = program
        .command(&["restore", "-", "--store", new.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let (half, rest) = backup.split_at(backup.len() / 2);
    stdin.write_all(half).unwrap();
    while !new.join("FILLING").exists() {
        std::thread::yield_now();
    }
    interrupt(&child);
    // It may have gone by then.
    let _ = stdin.write_all(rest);
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("nothing was restored"), "{said}");
    assert!(!new.join("sled").exists() && !new.join("FORMAT").exists());
}

#[test]
fn ctrl_c_ends_a_backup_and_leaves_none() {
    let program = filled_with_a_large_one();
    let mut child = program
        .command(&["backup", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The rest is more than a pipe holds: it waits.
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("there is no backup"), "{said}");
}

#[test]
fn a_damaged_backup_is_refused_before_anything_is_written() {
    let program = filled();
    done(program.run(&["backup", "store.backup"]));
    let backup = fs::read(program.path("store.backup")).unwrap();
    let mut damaged = backup.clone();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(program.path("damaged"), &damaged).unwrap();
    for arguments in [
        &["restore", "damaged"][..],
        &["restore", "--check", "damaged"],
    ] {
        let said = [
            "damaged: the backup is damaged after ",
            "restore another backup",
        ];
        on(&program, "new", arguments).is_refused(1, &said);
        assert!(!program.path("new").exists());
    }
    fs::write(program.path("course.tar"), "no backup").unwrap();
    let refused = on(&program, "new", &["restore", "course.tar"]);
    refused.is_refused(
        1,
        &["course.tar: the backup is damaged after 9 bytes: it ends there"],
    );
    on(&program, "new", &["restore", "nothing"]).is_refused(1, &["nothing cannot be read"]);
    // Through a pipe it is noticed later, and nothing is left either.
    let new = program.path("new");
    let restore = ["restore", "-", "--store", new.to_str().unwrap()];
    for wrong in [&damaged, &backup[..backup.len() - 1]] {
        let (status, _, said) = piped(&program, &restore, wrong);
        assert_eq!(status, Some(1), "{said}");
        assert!(!new.join("sled").exists() && !new.join("FORMAT").exists());
    }
    let (status, _, said) = piped(&program, &restore, &backup);
    assert_eq!(status, Some(0), "{said}");
}

#[test]
fn a_backup_of_a_newer_release_is_told_from_a_damaged_one() {
    let program = filled();
    done(program.run(&["backup", "store.backup"]));
    let mut backup = fs::read(program.path("store.backup")).unwrap();
    backup[8] = 9;
    let checksum = crc32fast::hash(&backup[..20]);
    backup[20..24].copy_from_slice(&checksum.to_le_bytes());
    fs::write(program.path("newer"), backup).unwrap();
    let said = ["by a newer release, in format 9; this release knows formats up to 1"];
    on(&program, "new", &["restore", "newer"]).is_refused(1, &said);
}

#[test]
fn nothing_is_restored_over_a_store_or_anything_else() {
    let program = filled();
    done(program.run(&["backup", "store.backup"]));
    let refused = program.run(&["restore", "store.backup"]);
    refused.is_refused(3, &["there is a store at", "new or empty"]);
    on(&program, "exports", &["restore", "store.backup"]).is_refused(3, &["not empty"]);
    fs::create_dir(program.path("empty")).unwrap();
    done(on(&program, "empty", &["restore", "store.backup"]));
    done(program.run(&["verify"]));
}

/// A byte of a record in a store that nobody has open.
fn damage(store: &Path, course: &str) {
    let store = Store::open(store).unwrap();
    let key = Key::new(Space::Records, course.as_bytes(), b"start_date");
    let mut value = store.engine().get(key).unwrap().unwrap().to_vec();
    *value.last_mut().unwrap() ^= 1;
    let mut commit = Commit::new();
    commit.put(Space::Records, "start_date", value);
    let outcome = store
        .engine()
        .commit(course.as_bytes(), &commit, Durability::Durable);
    assert_eq!(outcome.unwrap(), CommitOutcome::Applied);
}

#[test]
fn what_is_damaged_is_named_with_the_ways_out() {
    let program = filled();
    damage(&program.store(), DEMO);
    let refused = program.run(&["backup", "store.backup"]);
    let said = ["\"start_date\"", DEMO, "verify --repair`", "--skip-damaged"];
    refused.is_refused(1, &said);
    assert_eq!(files_beside(&program), ["store"]);
    let arguments = ["backup", "--skip-damaged", "store.backup"];
    let run = program.run(&arguments);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.stderr.starts_with("left out: "), "{run:?}");
    assert!(run.stderr.contains(DEMO), "{run:?}");
    assert!(run.stdout.contains("4 courses"), "{run:?}");
    assert!(run.stdout.contains("; 1 damaged, and left out"), "{run:?}");
    let run = done(on(&program, "new", &["restore", "store.backup"]));
    assert!(run.stdout.contains("; 1 damaged, and left out"), "{run:?}");
    // The rest is imported.
    let demo = demo_course();
    done(on(&program, "new", &["import", demo.to_str().unwrap()]));
    done(on(&program, "new", &["verify"]));
    fs::remove_file(program.path("store.backup")).unwrap();
    let run = program.run(&with_json(&arguments));
    let said = run.json();
    assert_eq!((run.status, said["courses"].as_u64()), (1, Some(4)));
    assert!(
        said["left_out"][0].as_str().unwrap().contains(DEMO),
        "{said}"
    );
}

#[test]
fn a_backup_is_taken_beside_a_worker() {
    let program = filled();
    done(program.run(&["pause"]));
    let mut worker = program.start(&["worker"]);
    worker.until("note: the queue is paused");
    for number in 0..COURSES {
        let export = program.path("exports").join(format!("{number:02}"));
        write_course(&export, &format!("run{number:02}"), "Other", 3);
    }
    let import = program.start(&["import", "exports"]);
    for number in 0..2 {
        let file = format!("{number}.backup");
        done(program.run(&["backup", &file]));
        done(on(&program, &number.to_string(), &["restore", &file]));
        done(on(&program, &number.to_string(), &["verify"]));
    }
    done(import.run());
    worker.signal("INT");
    assert_eq!(worker.end().0, Some(0));
    done(program.run(&["verify"]));
}

#[test]
fn a_backup_that_is_killed_leaves_no_backup_and_a_restore_no_store() {
    let program = filled_with_a_large_one();
    let before = courses_of(&program, "store");
    done(program.run(&["backup", "whole"]));
    let whole = fs::metadata(program.path("whole")).unwrap().len();
    let mut seen = Seen::default();
    for round in 0..rounds() {
        let file = format!("{round}.backup");
        let child = program.start(&["backup", &file]);
        // At once, after some of it, and when it is there.
        let part = whole * (round as u64 % 4) / 4;
        let is_there = || program.path(&file).exists();
        let is_far = || round % 4 < 3 && written(&program) >= part;
        kill_when(child, &|| is_far() || is_there());
        if is_there() {
            done(program.run(&["restore", "--check", &file]));
        } else {
            seen.backups += 1;
        }
        for draft in drafts(&program) {
            fs::remove_file(program.path(&draft)).unwrap();
        }
        let store = program.path("new");
        let arguments = ["restore", "whole", "--store", store.to_str().unwrap()];
        let child = program.start(&arguments);
        let depth = ["FILLING", "sled/db", "COMMITS", "FORMAT"][round % 4];
        kill_when(child, &|| store.join(depth).exists());
        if store.join("FORMAT").exists() {
            assert_eq!(courses_of(&program, "new"), before);
        } else {
            seen.restores += 1;
            if store.join("FILLING").exists() {
                seen.unfinished += 1;
                on(&program, "new", &["courses"]).is_refused(3, &["is not complete", "restore it"]);
                let kind = Store::open(&store).unwrap_err().kind();
                assert_eq!(kind, ErrorKind::Storage);
            }
            done(on(&program, "new", &["restore", "whole"]));
            assert_eq!(courses_of(&program, "new"), before);
        }
        fs::remove_dir_all(store).unwrap();
    }
    assert_eq!(courses_of(&program, "store"), before);
    println!("{seen:?} of {} rounds", rounds());
}

/// How often a kill came before the end.
#[derive(Debug, Default)]
struct Seen {
    backups: usize,
    restores: usize,
    unfinished: usize,
}

fn drafts(program: &Program) -> Vec<String> {
    let mut files = files_beside(program);
    files.retain(|name| Path::new(name).extension().is_some_and(|end| end == "part"));
    files
}

/// Bytes of what is not a backup yet.
fn written(program: &Program) -> u64 {
    let drafts = drafts(program).into_iter();
    let lens = drafts.map(|draft| fs::metadata(program.path(&draft)).map_or(0, |file| file.len()));
    lens.sum()
}

fn kill_when(mut child: Running, is_so: &dyn Fn() -> bool) {
    while !is_so() && !child.has_ended() {
        std::thread::yield_now();
    }
    if !child.has_ended() {
        child.signal("KILL");
    }
    child.end();
}

#[test]
fn the_sample_course_is_read_in_a_store_that_was_restored() {
    let program = filled();
    done(program.run(&["backup", "store.backup"]));
    done(on(&program, "new", &["restore", "store.backup"]));
    let course: CourseKey = DEMO.parse().unwrap();
    let get = ["--format", "json", "get", course.as_str(), "start_date"];
    assert_eq!(
        on(&program, "new", &get).stdout,
        on(&program, "store", &get).stdout
    );
}
