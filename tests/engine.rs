//! What every engine does, and what sled's does besides.

#[macro_use]
#[path = "common/conformance.rs"]
mod conformance;
#[path = "common/copied.rs"]
mod copied;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use std::{env, fs, thread};

use conformance::{SPACES, apply, get, put, scan};
use copied::copy_all;
use courseblocks::engine::{
    Commit, CommitOutcome, Durability, Engine, Item, Key, MemoryEngine, SharedEngine, SledEngine,
    SledOptions, Space,
};
use courseblocks::{Error, ErrorKind};
use tempfile::{TempDir, tempdir};

conformance!(memory, on_memory);
conformance!(sled, on_sled);

fn on_memory(behave: fn(&dyn Engine)) {
    behave(&MemoryEngine::new());
}

fn on_sled(behave: fn(&dyn Engine)) {
    let directory = tempdir().unwrap();
    behave(&open(directory.path()));
}

fn open(path: &Path) -> SledEngine {
    SledEngine::open(path, &SledOptions::default()).unwrap()
}

#[test]
fn an_engine_is_shared_as_an_object() {
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::new());
    let other = Arc::clone(&engine);
    thread::spawn(move || put(&*other, Space::Control, "course", b"name", b"value"))
        .join()
        .unwrap();
    assert!(get(&*engine, Space::Control, "course", b"name").is_some());
}

#[test]
fn the_memory_engine_fails_once_when_told() {
    let engine = MemoryEngine::new();
    let mut commit = Commit::new();
    commit.put(Space::Control, "name", "value");
    engine.fail_at(3);
    let commit = || engine.commit(b"course", &commit, Durability::Durable);
    assert_eq!(get(&engine, Space::Control, "course", b"name"), None);
    assert_eq!(scan(&engine, Space::Control, None), []);
    assert_eq!(commit().unwrap_err().kind(), ErrorKind::Storage);
    assert_eq!(get(&engine, Space::Control, "course", b"name"), None);
    assert_eq!(commit().unwrap(), CommitOutcome::Applied);

    engine.fail_at(1);
    let error = engine
        .scan(Space::Control, None)
        .next()
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    engine.fail_at(1);
    engine.fail_at(0);
    engine.flush().unwrap();
}

#[test]
fn a_crash_of_the_memory_engine_loses_what_was_buffered_last() {
    let engine = MemoryEngine::new();
    let commit = |name: &str, durability| {
        let mut commit = Commit::new();
        commit.put(Space::Control, name, "value");
        commit.delete(Space::Control, "old");
        let _ = engine.commit(b"course", &commit, durability).unwrap();
    };
    let names = || {
        let names = scan(&engine, Space::Control, None).into_iter();
        names
            .map(|(_, name)| String::from_utf8(name).unwrap())
            .collect::<Vec<_>>()
    };
    commit("a", Durability::Buffered);
    commit("b", Durability::Durable);
    put(&engine, Space::Control, "course", b"old", b"");
    engine.flush().unwrap();
    commit("c", Durability::Buffered);
    assert_eq!(names(), ["a", "b", "c"]);
    engine.crash();
    assert_eq!(names(), ["a", "b", "old"]);
    commit("d", Durability::Durable);
    engine.crash();
    assert_eq!(names(), ["a", "b", "d"]);
}

/// The end of a machine may lose any number of the last commits, and never one before another.
#[test]
fn a_crash_of_the_memory_engine_can_keep_the_first_of_what_was_buffered() {
    for kept in 0..5 {
        let engine = MemoryEngine::new();
        put(&engine, Space::Control, "course", b"durable", b"");
        engine.flush().unwrap();
        for number in 1..=3_u8 {
            // In pieces, which stay together.
            let mut commit = Commit::new();
            for space in SPACES {
                commit.put(space, [number], [number]);
                commit.put(space, "last", [number]);
            }
            let outcome = engine.commit(b"course", &commit, Durability::Buffered);
            assert_eq!(outcome.unwrap(), CommitOutcome::Applied);
        }
        engine.crash_keeping(kept);
        let last = u8::try_from(kept.min(3)).unwrap();
        for space in SPACES {
            let expected = (1..=last).map(|number| Some(vec![number]));
            let found = (1..=last).map(|number| get(&engine, space, "course", &[number]));
            assert!(found.eq(expected), "{kept} kept");
            assert_eq!(get(&engine, space, "course", &[last + 1]), None);
        }
        // A second one finds nothing that is not durable.
        engine.crash();
        let last = (last > 0).then(|| vec![last]);
        assert_eq!(get(&engine, Space::Control, "course", b"last"), last);
        assert!(get(&engine, Space::Control, "course", b"durable").is_some());
    }
}

#[test]
fn sled_has_everything_after_it_was_dropped_and_opened_again() {
    let directory = tempdir().unwrap();
    let large = vec![7; 5_000_000];
    for round in 0_u8..5 {
        let engine = open(directory.path());
        for past in 0..round {
            for space in SPACES {
                let value = get(&engine, space, "course", &[past]).unwrap();
                assert!(
                    value
                        == if space == Space::Records {
                            &large[..]
                        } else {
                            b"small"
                        }
                );
            }
        }
        put(&engine, Space::Records, "course", &[round], &large);
        put(&engine, Space::Courses, "course", &[round], b"small");
        put(&engine, Space::Control, "course", &[round], b"small");
        assert!(engine.disk_bytes().unwrap() > u64::from(round) * 5_000_000);
    }
}

#[track_caller]
fn check_refused(path: &Path, kind: ErrorKind, message: &str) -> Error {
    let error = SledEngine::open(path, &SledOptions::default()).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    let message = message.replace("PATH", &path.display().to_string());
    assert!(error.to_string().contains(&message), "{error}");
    error
}

#[test]
fn a_store_that_this_process_has_open_is_not_opened_twice() {
    let directory = tempdir().unwrap();
    let engine = open(directory.path());
    let pid = std::process::id();
    let message = format!("the store at PATH is open already in this process (pid {pid})");
    check_refused(directory.path(), ErrorKind::OpenElsewhere, &message);
    put(&engine, Space::Control, "course", b"name", b"value");
    drop(engine);
    let lock = fs::read_to_string(directory.path().join("LOCK")).unwrap();
    assert_eq!(lock.trim(), "", "a pid that is gone");
    open(directory.path());
}

/// Not a test of its own: what other tests run in another process.
#[test]
fn helper_process() {
    let Ok(path) = env::var("COURSEBLOCKS_TEST_STORE") else {
        return;
    };
    let engine = open(Path::new(&path));
    println!("open");
    for number in 0_u32.. {
        let mut commit = Commit::new();
        for space in SPACES {
            // Some of them in files of their own.
            let value = vec![b'x'; 1 + 50_000 * (number % 8) as usize];
            commit.put(space, number.to_be_bytes(), value);
        }
        let _ = engine
            .commit(b"course", &commit, Durability::Durable)
            .unwrap();
        println!("durable {number}");
    }
}

/// A process that has the store open and commits until it is killed.
fn spawn_helper(path: &Path) -> (Child, impl Iterator<Item = String>) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "helper_process", "--nocapture"])
        .env("COURSEBLOCKS_TEST_STORE", path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let lines = lines.map(|line| line.unwrap());
    (child, lines.skip_while(|line| !line.ends_with("open")))
}

#[test]
fn a_store_that_another_process_has_open_is_refused_and_the_process_named() {
    let directory = tempdir().unwrap();
    let (mut child, mut lines) = spawn_helper(directory.path());
    lines.next().unwrap();
    let pid = child.id();
    let message = format!("the store at PATH is open in another process (pid {pid})");
    check_refused(directory.path(), ErrorKind::OpenElsewhere, &message);
    child.kill().unwrap();
    child.wait().unwrap();
    open(directory.path());
}

#[test]
fn a_kill_loses_nothing_that_was_durable_and_tears_no_commit() {
    let directory = tempdir().unwrap();
    for round in 1..=3 {
        let (mut child, lines) = spawn_helper(directory.path());
        let durable = lines.take(1 + 20 * round).last().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let durable: u32 = durable.strip_prefix("durable ").unwrap().parse().unwrap();
        let engine = open(directory.path());
        let [records, courses, control] = SPACES.map(|space| scan(&engine, space, None));
        assert!(records.len() > durable as usize);
        assert_eq!(records, courses);
        assert_eq!(records, control);
    }
}

/// sled alone came to a stand after some 10,000 of these, for ever: its threads waited for each
/// other. `COURSEBLOCKS_COMMITS` sets their number.
#[test]
fn commits_that_nobody_waits_for_do_not_pile_up() {
    let commits = env::var("COURSEBLOCKS_COMMITS").ok();
    let commits = commits.map_or(10_000, |commits| commits.parse().unwrap());
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        let directory = tempdir().unwrap();
        let engine = open(directory.path());
        for number in 0..commits {
            let mut commit = Commit::new();
            for (name, len) in (0_u8..).zip([12_000, 4_000, 5_000, 300, 4_000, 500, 500, 500, 500])
            {
                let mut value = vec![name; len];
                value[..4].copy_from_slice(&u32::to_le_bytes(number));
                commit.put(Space::Records, [name], value);
            }
            let outcome = engine.commit(b"course", &commit, Durability::Buffered);
            assert_eq!(outcome.unwrap(), CommitOutcome::Applied);
        }
        done.send(()).unwrap();
    });
    // Ten times what it takes.
    let patience = Duration::from_secs(60 + u64::from(commits) / 100);
    is_done.recv_timeout(patience).expect("sled goes on");
}

fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.insert(path.display().to_string(), fs::read(&path).unwrap());
        }
    }
    files
}

fn closed_store() -> TempDir {
    let directory = tempdir().unwrap();
    drop(open(directory.path()));
    directory
}

#[test]
fn a_store_with_a_newer_layout_is_not_touched() {
    let directory = closed_store();
    let format = directory.path().join("FORMAT");
    fs::write(
        &format,
        "courseblocks store, layout 2\nand what it says there\n",
    )
    .unwrap();
    fs::write(&format, "courseblocks store, layout 2\n").unwrap();
    let before = files(directory.path());
    check_refused(
        directory.path(),
        ErrorKind::TooNew,
        "the store at PATH has layout 2",
    );
    assert_eq!(files(directory.path()), before);
    fs::write(&format, "courseblocks store, layout 1\n").unwrap();
    open(directory.path());
}

#[test]
fn a_store_whose_layout_cannot_be_read_is_damaged_and_not_touched() {
    for text in [
        "",
        "courseblocks store, layout 0\n",
        "courseblocks store, layout x",
        "1\n",
    ] {
        let directory = closed_store();
        fs::write(directory.path().join("FORMAT"), text).unwrap();
        let before = files(directory.path());
        check_refused(directory.path(), ErrorKind::Damaged, "FORMAT");
        assert_eq!(files(directory.path()), before);
    }
}

#[test]
fn a_directory_of_somebody_else_is_not_touched() {
    for name in ["thesis.tex", "db", ".hidden"] {
        let directory = tempdir().unwrap();
        fs::write(directory.path().join(name), "precious").unwrap();
        let before = files(directory.path());
        check_refused(
            directory.path(),
            ErrorKind::Storage,
            "PATH is no store and not empty",
        );
        assert_eq!(files(directory.path()), before);
    }
}

#[test]
fn a_path_that_cannot_be_a_directory_is_refused() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    check_refused(&file, ErrorKind::Storage, "PATH");
    check_refused(&file.join("below"), ErrorKind::Storage, "PATH");
}

#[test]
fn an_interrupted_first_opening_is_taken_up() {
    // What each step of it leaves behind, in their order.
    let steps: [(&str, &str); 4] = [
        ("LOCK", ""),
        ("LOCK", "4294967295\n"),
        ("FORMAT.new", ""),
        ("FORMAT.new", "courseblocks sto"),
    ];
    for end in 0..=steps.len() {
        let parent = tempdir().unwrap();
        let path = parent.path().join("new/store");
        for (name, text) in &steps[..end] {
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join(name), text).unwrap();
        }
        drop(open(&path));
        open(&path);
    }
    // Then sled begins.
    let directory = tempdir().unwrap();
    fs::write(
        directory.path().join("FORMAT"),
        "courseblocks store, layout 1\n",
    )
    .unwrap();
    let data = directory.path().join("sled");
    fs::create_dir_all(data.join("blobs")).unwrap();
    // As a store makes them, whatever the umask here.
    #[cfg(unix)]
    for made in [directory.path(), &data] {
        let rights = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(made, rights).unwrap();
    }
    open(directory.path());
}

/// sled alone did not open any more after it had been opened once while the disk was full.
#[test]
fn an_interrupted_opening_is_taken_up() {
    let directory = closed_store();
    put(
        &open(directory.path()),
        Space::Control,
        "course",
        b"name",
        b"value",
    );
    for text in ["", "not a whole snapshot"] {
        let draft = directory
            .path()
            .join("sled/snap.00FFFFFFFFFFFFFF.generating");
        fs::write(&draft, text).unwrap();
        let engine = open(directory.path());
        assert!(get(&engine, Space::Control, "course", b"name").is_some());
        assert!(!draft.exists());
    }
}

#[cfg(unix)]
#[test]
fn a_store_is_made_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempdir().unwrap();
    let path = parent.path().join("store");
    drop(open(&path));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("LOCK")), 0o600);
}

/// Not a test of its own: it leaves the store locked until its process ends.
#[test]
fn helper_failed_write() {
    let Ok(path) = env::var("COURSEBLOCKS_TEST_FAILED_WRITE") else {
        return;
    };
    let path = Path::new(&path);
    let engine = open(path);
    let mut before = Commit::new();
    let mut commit = Commit::new();
    for number in 0..10 {
        before.put(Space::Records, [number], vec![number; 30_000]);
        commit.put(Space::Records, [number], vec![0xff; 90_000]);
    }
    before.put(Space::Control, "deleted", "before");
    commit.put(Space::Control, "deleted", "not yet");
    commit.delete(Space::Control, "deleted");
    commit.put(Space::Courses, "new", "after");
    // sled puts it into a file of its own.
    commit.put(Space::Control, "large", vec![7; 500_000]);
    apply(&engine, "course", &before);
    engine.flush().unwrap();
    // There is nowhere to put it, for a while.
    let (blobs, away) = (path.join("sled/blobs"), path.join("sled/away"));
    fs::rename(&blobs, &away).unwrap();

    let commit = || engine.commit(b"course", &commit, Durability::Durable);
    let has_failed = AtomicBool::new(false);
    let error = thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| check_while_failing(&engine, &has_failed));
        }
        let error = commit().unwrap_err();
        has_failed.store(true, Ordering::Release);
        error
    });
    fs::rename(away, blobs).unwrap();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(std::error::Error::source(&error).is_some());
    let errors = [
        commit().map(|_| ()),
        engine
            .get(Key::new(Space::Control, b"course", b"deleted"))
            .map(|_| ()),
        engine
            .scan(Space::Control, None)
            .next()
            .unwrap()
            .map(|_| ()),
        engine.flush(),
    ];
    for error in errors {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage);
        assert!(error.to_string().contains("stopped"), "{error}");
    }
    drop(engine);
    check_refused(
        path,
        ErrorKind::OpenElsewhere,
        "open already in this process",
    );
}

/// Readers that take no lock meet a commit that fails half way: they see what was there before it,
/// or that the store has stopped.
fn check_while_failing(engine: &SledEngine, has_failed: &AtomicBool) {
    let mut is_stopped = false;
    while !is_stopped {
        let must_be_stopped = has_failed.load(Ordering::Acquire);
        for number in 0..10 {
            match engine.get(Key::new(Space::Records, b"course", &[number])) {
                Ok(value) => assert_eq!(value.unwrap()[0], number, "half a commit"),
                Err(error) => {
                    assert!(error.to_string().contains("stopped"), "{error}");
                    is_stopped = true;
                }
            }
        }
        assert!(is_stopped || !must_be_stopped, "read after the failure");
    }
}

/// sled alone showed the values that it had written before the failure, after the next opening,
/// and waited for ever when it was closed.
#[test]
fn a_failed_commit_is_taken_back_whatever_was_written_of_it() {
    let directory = tempdir().unwrap();
    for _ in 0..2 {
        let status = Command::new(env::current_exe().unwrap())
            .args(["--exact", "helper_failed_write"])
            .env("COURSEBLOCKS_TEST_FAILED_WRITE", directory.path())
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success());
        let engine = open(directory.path());
        for number in 0..10 {
            let value = get(&engine, Space::Records, "course", &[number]).unwrap();
            assert!(value == vec![number; 30_000], "half a commit");
        }
        assert_eq!(
            get(&engine, Space::Control, "course", b"deleted").unwrap(),
            b"before"
        );
        assert_eq!(get(&engine, Space::Control, "course", b"large"), None);
        assert_eq!(get(&engine, Space::Courses, "course", b"new"), None);
        put(&engine, Space::Control, "course", b"deleted", b"again");
    }
    let engine = open(directory.path());
    assert_eq!(
        get(&engine, Space::Control, "course", b"deleted").unwrap(),
        b"again"
    );
}

/// The power may fail when sled's log is on the disk and the name of a large value's file is not.
/// sled alone went on with the rest of that commit, and with all later ones.
#[test]
fn a_large_value_that_was_lost_ends_what_is_there() {
    let parent = tempdir().unwrap();
    let path = parent.path().join("store");
    let commit = |engine: &SledEngine, number: u8| {
        let mut commit = Commit::new();
        commit.put(Space::Control, "last", [number]);
        // Some of them are replaced, and their files are of no use any more.
        let large = vec![
            number;
            if number.is_multiple_of(2) {
                200_000
            } else {
                10
            }
        ];
        commit.put(Space::Records, format!("large {}", number % 3), large);
        let outcome = engine.commit(b"course", &commit, Durability::Durable);
        assert_eq!(outcome.unwrap(), CommitOutcome::Applied);
    };
    let mut blobs = Vec::new();
    let names = || {
        let names = fs::read_dir(path.join("sled/blobs")).unwrap();
        names.map(|entry| entry.unwrap().file_name())
    };
    // What was there at the last opening is not what the power can take.
    let engine = open(&path);
    commit(&engine, 1);
    commit(&engine, 2);
    drop(engine);
    let engine = open(&path);
    let before: Vec<_> = names().collect();
    for number in 3..=14 {
        commit(&engine, number);
        for name in names() {
            if !before.contains(&name) && !blobs.iter().any(|(_, known)| *known == name) {
                blobs.push((number, name));
            }
        }
    }
    drop(engine);
    // Nobody was told that any of it is durable.
    fs::remove_file(path.join("COMMITS")).unwrap();
    assert!(blobs.len() > 3, "{blobs:?}");
    for (number, name) in blobs {
        let copy = parent.path().join("copy");
        copy_all(&path, &copy);
        fs::remove_file(copy.join("sled/blobs").join(name)).unwrap();
        let engine = open(&copy);
        let last = get(&engine, Space::Control, "course", b"last").unwrap()[0];
        assert!(last >= number - 1, "{last} after {number} lost a file");
        for name in 0..3 {
            let of = (1..=last).rev().find(|number| number % 3 == name);
            let value = get(
                &engine,
                Space::Records,
                "course",
                format!("large {name}").as_bytes(),
            );
            assert_eq!(
                value.and_then(|value| value.first().copied()),
                of,
                "{number}"
            );
        }
        // What comes next does not meet what was left behind.
        for number in last + 1..=last + 4 {
            commit(&engine, number);
        }
        drop(engine);
        let last_again = get(&open(&copy), Space::Control, "course", b"last").unwrap()[0];
        assert_eq!(last_again, last + 4);
        fs::remove_dir_all(copy).unwrap();
    }
}

#[test]
fn half_a_commit_that_cannot_be_taken_back_is_damage() {
    let directory = closed_store();
    let path = directory.path().join("UNDO");
    let mut undo = fs::read(&path).unwrap();
    undo[..12].fill(0xff);
    fs::write(&path, undo).unwrap();
    for _ in 0..2 {
        check_refused(
            directory.path(),
            ErrorKind::Damaged,
            "the store at PATH has half a commit",
        );
    }
}

#[test]
fn a_damaged_value_hurts_its_neighbours_only() {
    let directory = tempdir().unwrap();
    for _ in 0..3 {
        // Opening writes a snapshot, which does not look at the values again.
        let engine = open(directory.path());
        for number in 0..64 {
            put(
                &engine,
                Space::Records,
                "course",
                &[number],
                &vec![number; 60_000],
            );
            put(&engine, Space::Control, "course", &[number], &[number]);
        }
    }
    drop(open(directory.path()));
    for blob in fs::read_dir(directory.path().join("sled/blobs")).unwrap() {
        fs::remove_file(blob.unwrap().path()).unwrap();
    }
    let engine = open(directory.path());
    let mut damaged = 0;
    for number in 0..64 {
        let name = std::slice::from_ref(&number);
        match engine.get(Key::new(Space::Records, b"course", name)) {
            Ok(value) => assert!(value.expect("lost")[..] == vec![number; 60_000]),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
                let mut commit = Commit::new();
                commit.put(Space::Records, name, "new");
                let committed = engine.commit(b"course", &commit, Durability::Buffered);
                assert_eq!(committed.unwrap_err().kind(), ErrorKind::Damaged);
                damaged += 1;
            }
        }
    }
    assert!(damaged > 0);
    assert_eq!(scan(&engine, Space::Control, None).len(), 64);
    put(&engine, Space::Control, "course", b"name", b"value");
    engine.flush().unwrap();
}

/// What can be read by name, in the order of the keys, and what cannot, once for what follows each
/// other.
fn got(engine: &dyn Engine, partition: &str, names: &[Vec<u8>]) -> Vec<Option<Vec<u8>>> {
    let mut found: Vec<Option<Vec<u8>>> = Vec::new();
    for name in names {
        let key = Key::new(Space::Records, partition.as_bytes(), name);
        match engine.get(key) {
            Ok(value) => found.push(Some(value.expect("lost").to_vec())),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
                found.push(None);
            }
        }
    }
    found.dedup();
    found
}

fn scanned(engine: &dyn Engine, partition: Option<&str>) -> Vec<Option<Vec<u8>>> {
    let items = engine.scan(Space::Records, partition.map(str::as_bytes));
    let value = |item: courseblocks::Result<Item>| match item {
        Ok(item) => Some(item.into_value().to_vec()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
            None
        }
    };
    let mut found: Vec<_> = items.map(value).collect();
    found.dedup();
    found
}

/// A scan that ends at the first page that cannot be read hides everything behind it.
#[test]
fn a_scan_goes_on_behind_what_cannot_be_read() {
    let directory = tempdir().unwrap();
    let partitions = ["a", "course", "course+"];
    let names: Vec<Vec<u8>> = (0..64_u8).map(|name| vec![b'n', name]).collect();
    let value = |partition: &str, name: &[u8]| {
        format!("{partition:?} {name:?} {}", "x".repeat(3_000)).into_bytes()
    };
    let engine = open(directory.path());
    for partition in partitions {
        for name in &names {
            let value = value(partition, name);
            put(&engine, Space::Records, partition, name, &value);
        }
    }
    drop(engine);
    let options = SledOptions::default();
    let [owner, guest] = [(); 2].map(|()| SharedEngine::open(directory.path(), &options).unwrap());
    // sled has read what it reads of its log when it opens it, and no values yet.
    let log = directory.path().join("sled/db");
    let mut bytes = fs::read(&log).unwrap();
    for (partition, name) in [("a", 20), ("course", 0), ("course", 40), ("course+", 63)] {
        let value = value(partition, &[b'n', name]);
        let places = bytes.windows(value.len()).enumerate();
        let places = places.filter(|(_, found)| *found == value);
        let places: Vec<_> = places.map(|(place, _)| place).collect();
        assert!(!places.is_empty());
        for place in places {
            bytes[place] ^= 1;
        }
    }
    fs::write(log, bytes).unwrap();
    let mut everything = Vec::new();
    for partition in partitions {
        let found = got(&owner, partition, &names);
        assert!(scanned(&owner, Some(partition)) == found, "{partition}");
        everything.extend(found);
    }
    everything.dedup();
    assert!(scanned(&guest, None) == everything);
    let damages = everything.iter().filter(|found| found.is_none()).count();
    assert!(
        (2..9).contains(&damages) && everything.len() > 30,
        "{damages}"
    );
}

/// sled alone takes damage in the newest part of its log for the end of it: a store whose log
/// begins with a flipped bit opened as an empty one.
#[test]
fn damage_to_any_file_is_never_taken_for_an_older_state() {
    let directory = tempdir().unwrap();
    let value = |number: u8| vec![number; 1 + 9_000 * usize::from(number % 16)];
    let engine = open(directory.path());
    for number in 0..32 {
        put(&engine, Space::Records, "course", &[number], &value(number));
        put(&engine, Space::Control, "course", &[number], b"value");
    }
    drop(engine);
    let data = directory.path().join("sled");
    let pristine = files(&data);
    assert!(
        pristine.keys().any(|name| name.contains("/blobs/")),
        "some in files of their own"
    );
    for (name, bytes) in &pristine {
        for part in 0..12 {
            for name in files(&data)
                .keys()
                .filter(|name| !pristine.contains_key(*name))
            {
                fs::remove_file(name).unwrap();
            }
            for (name, bytes) in &pristine {
                fs::write(name, bytes).unwrap();
            }
            let mut damaged = bytes.clone();
            match part {
                0 => damaged.clear(),
                1 => damaged.truncate(bytes.len() / 2),
                _ => damaged[(bytes.len() - 1) * (part - 2) / 10] ^= 0x10,
            }
            fs::write(name, &damaged).unwrap();
            let engine = match SledEngine::open(directory.path(), &SledOptions::default()) {
                Ok(engine) => engine,
                Err(error) => {
                    assert!(matches!(
                        error.kind(),
                        ErrorKind::Damaged | ErrorKind::Storage
                    ));
                    continue;
                }
            };
            for number in 0..32 {
                let key = Key::new(Space::Records, b"course", std::slice::from_ref(&number));
                match engine.get(key) {
                    Ok(found) => assert!(found.expect("lost")[..] == value(number)),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Damaged, "{error}"),
                }
            }
        }
    }
}
