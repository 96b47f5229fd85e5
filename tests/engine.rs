//! What every engine does, and what sled's does besides.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, fs, thread};

use courseblocks::engine::{
    Commit, CommitOutcome, Durability, Engine, Expected, Item, Key, MemoryEngine, SledEngine,
    SledOptions, Space, Value,
};
use courseblocks::{Error, ErrorKind};
use tempfile::{TempDir, tempdir};

const SPACES: [Space; 3] = [Space::Records, Space::Courses, Space::Control];

const REFUSED: CommitOutcome = CommitOutcome::Refused { precondition: 0 };

macro_rules! every_engine {
    ($($behaviour:ident,)*) => {
        mod memory {
            $(#[test] fn $behaviour() { super::$behaviour(&super::MemoryEngine::new()); })*
        }
        mod sled {
            $(#[test] fn $behaviour() {
                let directory = super::tempdir().unwrap();
                super::$behaviour(&super::open(directory.path()));
            })*
        }
    };
}

every_engine! {
    what_was_put_is_got_until_it_is_deleted,
    a_value_can_be_empty_or_large_and_have_an_empty_name,
    spaces_partitions_and_names_do_not_meet,
    a_commit_is_refused_unless_every_precondition_is_met,
    preconditions_see_what_was_there_before_the_commit,
    of_several_writes_to_one_name_the_last_one_counts,
    an_empty_commit_is_applied,
    a_commit_is_seen_in_all_spaces_or_in_none,
    a_scan_is_in_the_order_of_partitions_and_names,
    a_scan_of_a_partition_yields_nothing_else,
    a_value_stays_as_it_is_while_it_is_held,
    concurrent_commits_with_preconditions_lose_no_update,
    a_partition_with_a_zero_byte_is_refused,
}

fn open(path: &Path) -> SledEngine {
    SledEngine::open(path, &SledOptions::default()).unwrap()
}

fn put(engine: &dyn Engine, space: Space, partition: &str, name: &[u8], value: &[u8]) {
    let mut commit = Commit::new();
    commit.put(space, name, value);
    apply(engine, partition, &commit);
}

#[track_caller]
fn apply(engine: &dyn Engine, partition: &str, commit: &Commit) {
    let outcome = engine.commit(partition.as_bytes(), commit, Durability::Buffered);
    assert_eq!(outcome.unwrap(), CommitOutcome::Applied);
}

fn get(engine: &dyn Engine, space: Space, partition: &str, name: &[u8]) -> Option<Vec<u8>> {
    let value = engine
        .get(Key::new(space, partition.as_bytes(), name))
        .unwrap();
    value.map(|value| value.to_vec())
}

fn scan(engine: &dyn Engine, space: Space, partition: Option<&str>) -> Vec<(String, Vec<u8>)> {
    let items = engine.scan(space, partition.map(str::as_bytes));
    let pair = |item: courseblocks::Result<Item>| {
        let item = item.unwrap();
        let partition = String::from_utf8(item.partition().to_vec()).unwrap();
        (partition, item.name().to_vec())
    };
    items.map(pair).collect()
}

fn what_was_put_is_got_until_it_is_deleted(engine: &dyn Engine) {
    for space in SPACES {
        assert_eq!(get(engine, space, "course", b"name"), None);
        put(engine, space, "course", b"name", b"one");
        assert_eq!(get(engine, space, "course", b"name").unwrap(), b"one");
        put(engine, space, "course", b"name", b"two");
        assert_eq!(get(engine, space, "course", b"name").unwrap(), b"two");
        let mut commit = Commit::new();
        commit.delete(space, "name");
        apply(engine, "course", &commit);
        apply(engine, "course", &commit);
        assert_eq!(get(engine, space, "course", b"name"), None);
    }
}

fn a_value_can_be_empty_or_large_and_have_an_empty_name(engine: &dyn Engine) {
    let large: Vec<u8> = (0..5_000_000_u32)
        .flat_map(u32::to_le_bytes)
        .take(5_000_000)
        .collect();
    for value in [&b""[..], b"x", &large, b"smaller again"] {
        for (partition, name) in [("course", &b""[..]), ("", b""), ("", b"name")] {
            put(engine, Space::Records, partition, name, value);
            assert!(get(engine, Space::Records, partition, name).unwrap() == value);
        }
        assert_eq!(scan(engine, Space::Records, None).len(), 3);
        assert_eq!(scan(engine, Space::Records, Some("")).len(), 2);
    }
}

fn spaces_partitions_and_names_do_not_meet(engine: &dyn Engine) {
    let keys = [("a", "b"), ("ab", ""), ("", "ab"), ("a", ""), ("", "a\0b")];
    for space in SPACES {
        for (partition, name) in keys {
            let value = format!("{space:?} {partition} {name}");
            put(engine, space, partition, name.as_bytes(), value.as_bytes());
        }
    }
    for space in SPACES {
        for (partition, name) in keys {
            let value = format!("{space:?} {partition} {name}");
            let found = get(engine, space, partition, name.as_bytes());
            assert_eq!(found, Some(value.into_bytes()));
        }
        assert_eq!(scan(engine, space, None).len(), keys.len());
    }
}

fn a_commit_is_refused_unless_every_precondition_is_met(engine: &dyn Engine) {
    #[track_caller]
    fn check(engine: &dyn Engine, name: &str, expected: Expected, is_met: bool) {
        let mut commit = Commit::new();
        commit.require(Space::Control, "there", Expected::Present);
        commit.require(Space::Courses, name, expected);
        commit.put(Space::Control, "written", "yes");
        let outcome = engine
            .commit(b"course", &commit, Durability::Durable)
            .unwrap();
        let written = get(engine, Space::Control, "course", b"written").is_some();
        let precondition = 1;
        let expected_outcome = if is_met {
            CommitOutcome::Applied
        } else {
            CommitOutcome::Refused { precondition }
        };
        assert_eq!((outcome, written), (expected_outcome, is_met));
        let mut undo = Commit::new();
        undo.delete(Space::Control, "written");
        apply(engine, "course", &undo);
    }

    put(engine, Space::Control, "course", b"there", b"");
    put(engine, Space::Courses, "course", b"there", b"value");
    put(engine, Space::Courses, "course", b"empty", b"");
    put(engine, Space::Courses, "another", b"elsewhere", b"value");
    check(engine, "there", Expected::Present, true);
    check(engine, "there", Expected::Absent, false);
    check(engine, "there", Expected::Equal(b"value".into()), true);
    check(engine, "there", Expected::Equal(b"valu".into()), false);
    check(engine, "there", Expected::Equal(b"value\0".into()), false);
    check(engine, "empty", Expected::Present, true);
    check(engine, "empty", Expected::Absent, false);
    check(engine, "empty", Expected::Equal(b"".into()), true);
    for nowhere in ["elsewhere", "nowhere", ""] {
        check(engine, nowhere, Expected::Present, false);
        check(engine, nowhere, Expected::Absent, true);
        check(engine, nowhere, Expected::Equal(b"".into()), false);
    }
}

fn preconditions_see_what_was_there_before_the_commit(engine: &dyn Engine) {
    let mut commit = Commit::new();
    commit.put(Space::Control, "name", "value");
    commit.require(Space::Control, "name", Expected::Absent);
    apply(engine, "course", &commit);
    let outcome = engine.commit(b"course", &commit, Durability::Buffered);
    assert_eq!(outcome.unwrap(), REFUSED);
}

fn of_several_writes_to_one_name_the_last_one_counts(engine: &dyn Engine) {
    let mut commit = Commit::new();
    commit.put(Space::Control, "put", "1");
    commit.delete(Space::Control, "put");
    commit.put(Space::Control, "put", "2");
    commit.put(Space::Control, "deleted", "1");
    commit.delete(Space::Control, "deleted");
    apply(engine, "course", &commit);
    assert_eq!(get(engine, Space::Control, "course", b"put").unwrap(), b"2");
    assert_eq!(get(engine, Space::Control, "course", b"deleted"), None);
}

fn an_empty_commit_is_applied(engine: &dyn Engine) {
    for durability in [Durability::Buffered, Durability::Durable] {
        let outcome = engine.commit(b"course", &Commit::new(), durability);
        assert_eq!(outcome.unwrap(), CommitOutcome::Applied);
    }
    engine.flush().unwrap();
    assert!(!engine.describe().is_empty());
    engine.disk_bytes().unwrap();
}

/// Each commit writes its number to the three spaces, last where a reader looks first.
fn a_commit_is_seen_in_all_spaces_or_in_none(engine: &dyn Engine) {
    let number = |space| {
        let value = engine.get(Key::new(space, b"course", b"number")).unwrap();
        value.map_or(0, |value| u32::from_le_bytes(value[..].try_into().unwrap()))
    };
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1_u32..=500 {
                let mut commit = Commit::new();
                for space in SPACES {
                    commit.put(space, "number", number.to_le_bytes());
                }
                apply(engine, "course", &commit);
            }
            is_done.store(true, Ordering::SeqCst);
        });
        while !is_done.load(Ordering::SeqCst) {
            let seen = SPACES.map(number);
            assert!(seen.is_sorted(), "half a commit: {seen:?}");
            let reversed = [2, 1, 0].map(|space| number(SPACES[space]));
            assert!(reversed.is_sorted(), "half a commit: {reversed:?}");
        }
    });
    assert_eq!(SPACES.map(number), [500; 3]);
}

fn a_scan_is_in_the_order_of_partitions_and_names(engine: &dyn Engine) {
    let names: [&[u8]; 6] = [b"", b"\0", b"\0\xff", b"a", b"\xfe", b"\xff\xff"];
    let partitions = ["", "\u{1}", "a", "a\u{1}", "ab", "b", "\u{10ffff}"];
    for name in names.iter().rev() {
        for partition in partitions {
            put(engine, Space::Records, partition, name, b"");
        }
    }
    let scanned = scan(engine, Space::Records, None);
    let expected = partitions.iter().flat_map(|partition| {
        names
            .iter()
            .map(|name| (partition.to_string(), name.to_vec()))
    });
    assert_eq!(scanned, expected.collect::<Vec<_>>());
}

fn a_scan_of_a_partition_yields_nothing_else(engine: &dyn Engine) {
    let partitions = ["", "a", "aa", "ab", "a\u{1}", "b"];
    for partition in partitions {
        for name in [&b"\xff"[..], b"", b"a"] {
            put(
                engine,
                Space::Courses,
                partition,
                name,
                partition.as_bytes(),
            );
            put(engine, Space::Control, partition, name, b"another space");
        }
    }
    for partition in partitions {
        for item in engine.scan(Space::Courses, Some(partition.as_bytes())) {
            assert_eq!(&item.unwrap().into_value()[..], partition.as_bytes());
        }
        let names = [&b""[..], b"a", b"\xff"].map(|name| (partition.to_owned(), name.to_vec()));
        assert_eq!(scan(engine, Space::Courses, Some(partition)), names);
    }
    assert_eq!(scan(engine, Space::Courses, Some("c")), []);
    assert_eq!(scan(engine, Space::Records, Some("a")), []);
}

fn a_value_stays_as_it_is_while_it_is_held(engine: &dyn Engine) {
    let key = Key::new(Space::Records, b"course", b"name");
    for size in [1, 30, 10_000, 1_000_000] {
        put(engine, Space::Records, "course", b"name", &vec![1; size]);
        let held = engine.get(key).unwrap().unwrap();
        let scanned = engine.scan(Space::Records, None).next().unwrap().unwrap();
        for other in 2..20 {
            put(
                engine,
                Space::Records,
                "course",
                b"name",
                &vec![other; size],
            );
        }
        let mut commit = Commit::new();
        commit.delete(Space::Records, "name");
        apply(engine, "course", &commit);
        engine.flush().unwrap();
        for value in [&held, &held.clone(), scanned.value()] {
            assert!(value[..] == vec![1; size], "{size} bytes");
        }
    }
}

fn concurrent_commits_with_preconditions_lose_no_update(engine: &dyn Engine) {
    let count = |value: &Value| u32::from_le_bytes(value[..].try_into().unwrap());
    let key = Key::new(Space::Control, b"course", b"count");
    let add_one = || loop {
        let value = engine.get(key).unwrap();
        let next = value.as_ref().map_or(0, count) + 1;
        let expected = value.map_or(Expected::Absent, |value| Expected::Equal(value.to_vec()));
        let mut commit = Commit::new();
        commit.require(Space::Control, "count", expected);
        commit.put(Space::Control, "count", next.to_le_bytes());
        match engine
            .commit(b"course", &commit, Durability::Durable)
            .unwrap()
        {
            CommitOutcome::Applied => break,
            CommitOutcome::Refused { precondition } => assert_eq!(precondition, 0),
        }
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| add_one()));
        }
    });
    assert_eq!(engine.get(key).unwrap().as_ref().map(count), Some(200));
}

fn a_partition_with_a_zero_byte_is_refused(engine: &dyn Engine) {
    let partition = b"cou\0rse";
    let mut commit = Commit::new();
    let errors = [
        engine
            .get(Key::new(Space::Control, partition, b""))
            .map(|_| ()),
        engine
            .scan(Space::Control, Some(partition))
            .next()
            .unwrap()
            .map(|_| ()),
        engine
            .commit(partition, &commit, Durability::Buffered)
            .map(|_| ()),
        Item::new(partition, b"", vec![]).map(|_| ()),
        {
            commit.put(Space::Control, "", "");
            engine
                .commit(partition, &commit, Durability::Buffered)
                .map(|_| ())
        },
    ];
    for error in errors {
        assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidKey);
    }
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
    assert_eq!(
        fs::read(directory.path().join("LOCK")).unwrap(),
        b"",
        "a pid that is gone"
    );
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
    fs::create_dir_all(directory.path().join("sled/blobs")).unwrap();
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
    let error = commit().unwrap_err();
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
    let scanned: Vec<_> = engine.scan(Space::Records, None).collect();
    let [found @ .., Err(error)] = &scanned[..] else {
        panic!("a scan does not end with what it cannot read");
    };
    assert!(
        found.iter().all(Result::is_ok),
        "a scan goes on after an error"
    );
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert_eq!(scan(&engine, Space::Control, None).len(), 64);
    put(&engine, Space::Control, "course", b"name", b"value");
    engine.flush().unwrap();
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
