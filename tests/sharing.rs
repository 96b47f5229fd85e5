//! One store, several processes: guests do what every engine does, and the end of an owner costs
//! nobody anything that was acknowledged.
//!
//! `COURSEBLOCKS_KILL_ROUNDS` says how often owners are killed; more rounds find rarer moments.

#![cfg(unix)]

#[macro_use]
#[path = "common/conformance.rs"]
mod conformance;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::{env, fs, thread};

use conformance::{SPACES, apply, get, put, scan};
use courseblocks::ErrorKind;
use courseblocks::engine::{
    Commit, CommitOutcome, Durability, Engine, Expected, Key, MemoryEngine, SharedEngine,
    SledEngine, SledOptions, Space,
};
use tempfile::tempdir;

conformance!(owner, on_owner);
conformance!(guest, on_guest);

fn on_owner(behave: fn(&dyn Engine)) {
    let directory = tempdir().unwrap();
    let owner = open(directory.path());
    let _guest = open(directory.path());
    behave(&owner);
}

fn on_guest(behave: fn(&dyn Engine)) {
    let directory = tempdir().unwrap();
    let owner = open(directory.path());
    behave(&open(directory.path()));
    drop(owner);
}

#[track_caller]
fn open(path: &Path) -> SharedEngine {
    SharedEngine::open(path, &SledOptions::default()).unwrap()
}

fn socket(path: &Path) -> PathBuf {
    path.join("sharing/SOCKET")
}

fn is_owner(engine: &SharedEngine) -> bool {
    engine.describe().ends_with("shared with other processes")
}

#[track_caller]
fn refused(path: &Path, kind: ErrorKind, message: &str) {
    let error = SharedEngine::open(path, &SledOptions::default()).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    let message = message.replace("PATH", &path.display().to_string());
    assert!(error.to_string().contains(&message), "{error}");
}

/// Adds one to a count in the store, which nobody else may have changed meanwhile.
fn add_one(engine: &dyn Engine, durability: Durability) -> courseblocks::Result<()> {
    let key = Key::new(Space::Control, b"course", b"count");
    loop {
        let value = engine.get(key)?;
        let next = value.as_ref().map_or(0, |value| number(value)) + 1;
        let expected = value.map_or(Expected::Absent, |value| Expected::Equal(value.to_vec()));
        let mut commit = Commit::new();
        commit.require(Space::Control, "count", expected);
        commit.put(Space::Control, "count", next.to_le_bytes());
        if engine.commit(b"course", &commit, durability)? == CommitOutcome::Applied {
            return Ok(());
        }
    }
}

fn count(engine: &dyn Engine) -> u32 {
    get(engine, Space::Control, "course", b"count").map_or(0, |value| number(&value))
}

fn number(value: &[u8]) -> u32 {
    u32::from_le_bytes(value.try_into().unwrap())
}

#[test]
fn an_owner_and_its_guests_see_one_store() {
    let directory = tempdir().unwrap();
    let engines = [0; 3].map(|_| open(directory.path()));
    assert_eq!([true, false, false], engines.each_ref().map(is_owner));
    for (writer, name) in engines.iter().zip([b"a", b"b", b"c"]) {
        put(writer, Space::Records, "course", name, name);
        for reader in &engines {
            let value = get(reader, Space::Records, "course", name);
            assert_eq!(value.unwrap(), name);
        }
    }
    for reader in &engines {
        assert_eq!(scan(reader, Space::Records, Some("course")).len(), 3);
        assert!(reader.disk_bytes().unwrap() > 0);
        reader.flush().unwrap();
    }
    let places = engines.each_ref().map(|engine| engine.place().unwrap());
    assert!(places.iter().all(|place| *place == places[0]), "{places:?}");
    let pid = std::process::id().to_string();
    assert!(engines[2].describe().contains(&pid));
}

#[test]
fn threads_of_an_owner_and_of_its_guests_lose_no_update() {
    let directory = tempdir().unwrap();
    let engines = [0; 3].map(|_| open(directory.path()));
    thread::scope(|scope| {
        for engine in engines.iter().chain(&engines) {
            scope.spawn(|| {
                for number in 0..30 {
                    let durability = [Durability::Durable, Durability::Buffered][number % 2];
                    add_one(engine, durability).unwrap();
                }
            });
        }
    });
    assert_eq!(engines.each_ref().map(|engine| count(engine)), [180; 3]);
}

#[test]
fn a_guest_does_something_else_while_it_scans() {
    let directory = tempdir().unwrap();
    let (_owner, guest) = (open(directory.path()), open(directory.path()));
    let large = vec![7; 50_000];
    for name in 0..10 {
        put(&guest, Space::Records, "course", &[name], &large);
    }
    let mut scans = [(); 3].map(|()| guest.scan(Space::Records, None));
    for name in 0..10 {
        for scan in &mut scans {
            let item = scan.next().unwrap().unwrap();
            assert_eq!((item.name(), item.value().len()), (&[name][..], 50_000));
        }
        assert!(get(&guest, Space::Records, "course", &[name]).unwrap() == large);
    }
    assert!(scans.iter_mut().all(|scan| scan.next().is_none()));
    // A scan that was left half way leaves nothing for what comes over its connection.
    for _ in 0..40 {
        let item = guest.scan(Space::Records, None).next().unwrap().unwrap();
        assert_eq!(item.name(), [0]);
        assert_eq!(scan(&guest, Space::Records, None).len(), 10);
    }
}

#[test]
fn a_guest_scans_a_large_store_while_the_owner_writes() {
    let directory = tempdir().unwrap();
    let (owner, guest) = (open(directory.path()), open(directory.path()));
    for course in 0..500 {
        let mut commit = Commit::new();
        for name in 0_u32..100 {
            commit.put(Space::Records, name.to_be_bytes(), vec![1; 300]);
        }
        apply(&owner, &format!("course {course:03}"), &commit);
    }
    let is_done = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for course in (0..500).cycle() {
                if is_done.load(std::sync::atomic::Ordering::SeqCst) {
                    return;
                }
                // Some of what is there, and something new.
                let partition = format!("course {course:03}");
                let mut commit = Commit::new();
                commit.put(Space::Records, 7_u32.to_be_bytes(), vec![2; 500]);
                commit.put(Space::Records, 100_u32.to_be_bytes(), "new");
                apply(&owner, &partition, &commit);
            }
        });
        let mut old = 0;
        let mut last = None;
        for item in guest.scan(Space::Records, None) {
            let item = item.unwrap();
            let key = (item.partition().to_vec(), item.name().to_vec());
            assert!(last < Some(key.clone()), "{last:?} before {key:?}");
            old += usize::from(item.name() < &100_u32.to_be_bytes()[..]);
            last = Some(key);
        }
        is_done.store(true, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(old, 50_000);
    });
}

#[test]
fn a_guest_is_told_which_error_the_owner_had() {
    let directory = tempdir().unwrap();
    let owner = open(directory.path());
    let guest = open(directory.path());
    let key = Key::new(Space::Control, b"cou\0rse", b"");
    let [told, had] = [&guest, &owner].map(|engine| engine.get(key).unwrap_err());
    assert_eq!(
        (told.kind(), told.to_string()),
        (had.kind(), had.to_string())
    );
}

#[test]
fn a_guest_becomes_the_owner_when_the_owner_ends() {
    let directory = tempdir().unwrap();
    let mut engines: Vec<_> = (0..4).map(|_| open(directory.path())).collect();
    let mut expected = 0;
    while !engines.is_empty() {
        for engine in &engines {
            // Buffered, and the owner ends right after it.
            add_one(engine, Durability::Buffered).unwrap();
            expected += 1;
        }
        assert_eq!(engines.iter().filter(|engine| is_owner(engine)).count(), 1);
        assert!(is_owner(&engines[0]));
        engines.remove(0);
        for engine in &engines {
            assert_eq!(count(engine), expected);
        }
    }
    assert!(!socket(directory.path()).exists());
    let alone = SledEngine::open(directory.path(), &SledOptions::default()).unwrap();
    assert_eq!(count(&alone), expected);
}

#[test]
fn guests_that_wait_for_the_store_all_get_it() {
    let directory = tempdir().unwrap();
    let owner = open(directory.path());
    let guests = [0; 6].map(|_| open(directory.path()));
    thread::scope(|scope| {
        for guest in &guests {
            scope.spawn(|| {
                for _ in 0..50 {
                    // An owner that drops its engine leaves no request unanswered.
                    add_one(guest, Durability::Durable).unwrap();
                }
            });
        }
        scope.spawn(|| {
            add_one(&owner, Durability::Buffered).unwrap();
            drop(owner);
        });
    });
    assert_eq!(count(&guests[0]), 301);
    assert_eq!(guests.iter().filter(|guest| is_owner(guest)).count(), 1);
}

#[test]
fn a_scan_ends_with_an_error_when_the_owner_ends() {
    let directory = tempdir().unwrap();
    let (owner, guest) = (open(directory.path()), open(directory.path()));
    for name in 0..10 {
        put(&owner, Space::Records, "course", &[name], &vec![7; 50_000]);
    }
    let mut unfinished = guest.scan(Space::Records, None);
    unfinished.next().unwrap().unwrap();
    drop(owner);
    assert_eq!(scan(&guest, Space::Records, None).len(), 10);
    let rest: Vec<_> = unfinished.collect();
    let (last, rest) = rest.split_last().unwrap();
    assert!(rest.iter().all(Result::is_ok));
    assert!(rest.len() < 9, "it was not read beforehand");
    assert_eq!(last.as_ref().unwrap_err().kind(), ErrorKind::Storage);
}

#[test]
fn a_commit_that_was_not_answered_may_have_been_made() {
    let directory = tempdir().unwrap();
    let alone = SledEngine::open(directory.path(), &SledOptions::default()).unwrap();
    let listener = impostor(directory.path());
    let ended = thread::spawn(move || {
        for _ in 0..2 {
            let (mut guest, _) = listener.accept().unwrap();
            welcome(&mut guest, 1);
            // A whole request, and no reply.
            let mut len = [0; 4];
            guest.read_exact(&mut len).unwrap();
            let mut request = vec![0; number(&len) as usize];
            guest.read_exact(&mut request).unwrap();
        }
        // As the end of a process does.
        drop(listener);
        drop(alone);
    });
    let guest = open(directory.path());
    let mut commit = Commit::new();
    commit.put(Space::Control, "name", "value");
    let errors = [
        guest
            .commit(b"course", &commit, Durability::Durable)
            .map(|_| ()),
        guest.flush(),
    ];
    for error in errors {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage);
        assert!(error.to_string().contains("may or may not"), "{error}");
    }
    // The next one is asked of whoever there is then.
    assert_eq!(get(&guest, Space::Control, "course", b"name"), None);
    assert!(is_owner(&guest));
    ended.join().unwrap();
}

/// Where an owner would listen.
fn impostor(path: &Path) -> UnixListener {
    fs::create_dir_all(path.join("sharing")).unwrap();
    UnixListener::bind(socket(path)).unwrap()
}

/// Answers a greeting as process 4711 of another release.
fn welcome(guest: &mut UnixStream, protocol: u32) {
    let mut greeting = [0; 27];
    guest.read_exact(&mut greeting).unwrap();
    assert_eq!(greeting, greeting_of(std::process::id(), 1, 0, "0.1.0")[..]);
    let answer = u8::from(protocol != 1);
    let greeting = greeting_of(4711, protocol, answer, "9.8.7");
    guest.write_all(&greeting).unwrap();
}

fn greeting_of(process: u32, protocol: u32, answer: u8, release: &str) -> Vec<u8> {
    let mut greeting = b"courseblocks".to_vec();
    greeting.extend_from_slice(&protocol.to_le_bytes());
    greeting.push(answer);
    greeting.extend_from_slice(&process.to_le_bytes());
    greeting.push(release.len().try_into().unwrap());
    greeting.extend_from_slice(release.as_bytes());
    greeting
}

#[test]
fn a_process_that_does_not_share_its_store_is_named() {
    let directory = tempdir().unwrap();
    let alone = SledEngine::open(directory.path(), &SledOptions::default()).unwrap();
    let pid = std::process::id();
    let message = format!("PATH is open already in this process (pid {pid}), which does not share");
    refused(directory.path(), ErrorKind::OpenElsewhere, &message);
    drop(alone);
    assert!(is_owner(&open(directory.path())));
}

#[test]
fn a_guest_is_refused_by_an_owner_of_another_protocol() {
    let directory = tempdir().unwrap();
    let _alone = SledEngine::open(directory.path(), &SledOptions::default()).unwrap();
    let listener = impostor(directory.path());
    let owner = thread::spawn(move || welcome(&mut listener.accept().unwrap().0, 2));
    let message = "PATH is open in another process (pid 4711), which is courseblocks 9.8.7 and \
                   shares it by protocol 2; this is courseblocks 0.1.0, which knows protocol 1";
    refused(directory.path(), ErrorKind::OpenElsewhere, message);
    owner.join().unwrap();
}

#[test]
fn an_owner_refuses_a_guest_of_another_protocol() {
    let directory = tempdir().unwrap();
    let _owner = open(directory.path());
    for protocol in [0_u32, 2, 99, u32::MAX] {
        let mut stream = UnixStream::connect(socket(directory.path())).unwrap();
        let greeting = greeting_of(4711, protocol, 0, "9.8.7");
        stream.write_all(&greeting).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, greeting_of(std::process::id(), 1, 1, "0.1.0"));
    }
}

#[test]
fn the_socket_of_an_owner_that_was_killed_is_replaced() {
    let directory = tempdir().unwrap();
    drop(open(directory.path()));
    drop(impostor(directory.path()));
    assert!(socket(directory.path()).exists());
    let owner = open(directory.path());
    assert!(is_owner(&owner));
    assert!(!is_owner(&open(directory.path())));
    // Whoever does not share the store has no socket.
    drop(owner);
    drop(impostor(directory.path()));
    let _alone = SledEngine::open(directory.path(), &SledOptions::default()).unwrap();
    assert!(!socket(directory.path()).exists());
}

#[test]
fn a_store_with_a_long_path_is_shared() {
    let directory = tempdir().unwrap();
    for len in [60, 90, 100, 110, 250] {
        let path = directory.path().join("x".repeat(len)).join("store");
        let (owner, guest) = (open(&path), open(&path));
        assert!(cfg!(not(target_os = "linux")) || is_owner(&owner));
        assert!(!is_owner(&guest));
        put(&guest, Space::Control, "course", b"name", b"value");
        drop(owner);
        assert!(get(&guest, Space::Control, "course", b"name").is_some());
    }
}

#[test]
fn nobody_but_the_owner_of_a_store_reaches_its_socket() {
    let directory = tempdir().unwrap();
    let sharing = directory.path().join("sharing");
    drop(open(directory.path()));
    assert!(!sharing.exists(), "while nobody shares it");
    // Whatever is found there.
    fs::create_dir(&sharing).unwrap();
    fs::set_permissions(&sharing, PermissionsExt::from_mode(0o777)).unwrap();
    let _owner = open(directory.path());
    let mode = fs::metadata(sharing).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn an_owner_whose_directory_can_have_no_socket_has_the_store_for_itself() {
    let directory = tempdir().unwrap();
    drop(open(directory.path()));
    fs::write(directory.path().join("sharing"), "in the way").unwrap();
    let owner = open(directory.path());
    assert!(
        owner
            .describe()
            .contains("not shared with other processes: ")
    );
    put(&owner, Space::Control, "course", b"name", b"value");
    refused(directory.path(), ErrorKind::OpenElsewhere, "does not share");
}

#[test]
fn garbage_does_not_hurt_an_owner() {
    let directory = tempdir().unwrap();
    let owner = open(directory.path());
    put(&owner, Space::Control, "course", b"name", b"value");
    let greeting = greeting_of(4711, 1, 0, "0.1.0");
    let mut random = Vec::new();
    let mut state = 1_u64;
    for _ in 0..64 {
        let bytes = (0..64).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        });
        random.push(bytes.collect::<Vec<u8>>());
    }
    let mut garbage = vec![
        vec![],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 100_000],
    ];
    for len in 0..greeting.len() {
        garbage.push(greeting[..len].to_vec());
    }
    let after_greeting = [
        // Too long, long and not there, empty, no request, and requests with impossible lengths.
        vec![0xff; 4],
        (300_u32 << 20).to_le_bytes().to_vec(),
        vec![0; 4],
        vec![1, 0, 0, 0, 0],
        vec![1, 0, 0, 0, 1],
        [&[18, 0, 0, 0, 1, 0][..], &[0xff; 16]].concat(),
        [&[18, 0, 0, 0, 4, 0][..], &[0xff; 16]].concat(),
        // More of a scan that there is not.
        vec![1, 0, 0, 0, 3, 0xff],
    ];
    for bytes in after_greeting.iter().chain(&random) {
        garbage.push([&greeting[..], bytes].concat());
    }
    // A length that is possible, before what is not.
    for bytes in &random {
        garbage.push([&greeting[..], &[64, 0, 0, 0], bytes].concat());
    }
    garbage.extend(random);
    // Some stay, silent or in the middle of a request.
    let mut left_behind = Vec::new();
    for (number, bytes) in garbage.iter().enumerate() {
        let mut stream = UnixStream::connect(socket(directory.path())).unwrap();
        // The owner may have had enough before the end.
        let _ = stream.write_all(bytes);
        if number % 2 == 0 {
            left_behind.push(stream);
        }
    }
    let guest = open(directory.path());
    for engine in [&owner, &guest] {
        assert_eq!(scan(engine, Space::Control, None).len(), 1);
        assert!(get(engine, Space::Control, "course", b"name").is_some());
    }
    drop(owner);
    assert!(get(&guest, Space::Control, "course", b"name").is_some());
}

#[test]
fn an_owner_has_room_for_many_guests_and_says_so_when_it_has_not() {
    let directory = tempdir().unwrap();
    let owner = open(directory.path());
    let mut guests: Vec<_> = (0..256).map(|_| open(directory.path())).collect();
    refused(directory.path(), ErrorKind::LimitExceeded, "PATH is open");
    // Whoever goes makes room, as soon as the owner has noticed.
    guests.truncate(200);
    let key = Key::new(Space::Control, b"course", b"name");
    while SharedEngine::open(directory.path(), &SledOptions::default()).is_err() {
        thread::yield_now();
    }
    assert!(guests.iter().all(|guest| guest.get(key).is_ok()));
    drop(owner);
}

#[test]
fn a_guest_makes_no_new_store_where_its_own_was() {
    let directory = tempdir().unwrap();
    let [path, moved] = ["store", "moved"].map(|name| directory.path().join(name));
    let owner = open(&path);
    let guest = open(&path);
    put(&guest, Space::Control, "course", b"name", b"value");
    fs::rename(&path, &moved).unwrap();
    drop(owner);
    let key = Key::new(Space::Control, b"course", b"name");
    assert_eq!(guest.get(key).unwrap_err().kind(), ErrorKind::Storage);
    assert!(!path.exists());
    drop(open(&path));
    let error = guest.get(key).unwrap_err();
    assert!(
        error.to_string().contains("replaced by another one"),
        "{error}"
    );
    fs::remove_dir_all(&path).unwrap();
    fs::rename(&moved, &path).unwrap();
    assert!(guest.get(key).unwrap().is_some());
}

#[test]
fn a_place_stays_and_a_copy_has_another_one() {
    let directory = tempdir().unwrap();
    let [path, copy] = ["store", "copy"].map(|name| directory.path().join(name));
    let place = |path: &Path| open(path).place().unwrap();
    let original = place(&path);
    assert_eq!(place(&path), original);
    let alone = SledEngine::open(&path, &SledOptions::default()).unwrap();
    assert_eq!(alone.place().unwrap(), original);
    drop(alone);

    let copy_to = |from: &Path, to: &Path| {
        let status = Command::new("cp").arg("-R").args([from, to]).status();
        assert!(status.unwrap().success());
    };
    copy_to(&path, &copy);
    assert_ne!(place(&copy), original);
    // Restored to where it was: the inodes may be the old ones.
    fs::remove_dir_all(&path).unwrap();
    copy_to(&copy, &path);
    assert_ne!(place(&path), original);
    let restored = place(&path);
    let log = path.join("sled/db");
    let bytes = fs::read(&log).unwrap();
    fs::remove_file(&log).unwrap();
    fs::write(&log, bytes).unwrap();
    assert_ne!(place(&path), restored);

    let memory = MemoryEngine::new();
    let place = memory.place().unwrap();
    memory.crash();
    assert_eq!(memory.place().unwrap(), place);
    assert_ne!(MemoryEngine::new().place().unwrap(), place);
}

/// Not a test of its own: what other tests run in other processes.
#[test]
fn helper_process() {
    let (Ok(path), Ok(task)) = (
        env::var("COURSEBLOCKS_TEST_STORE"),
        env::var("COURSEBLOCKS_TEST_TASK"),
    ) else {
        return;
    };
    let engine = open(Path::new(&path));
    println!("open");
    match task.as_str() {
        "wait" => loop {
            thread::park();
        },
        "buffer" => {
            for number in 0_u32..100 {
                let mut commit = Commit::new();
                commit.put(Space::Control, number.to_be_bytes(), "value");
                apply(&engine, "course", &commit);
            }
            println!("buffered");
            loop {
                thread::park();
            }
        }
        writer => write_for_ever(&engine, writer),
    }
}

/// Says what is sure, and what is not.
fn write_for_ever(engine: &SharedEngine, writer: &str) {
    for number in 0_u32.. {
        let mut commit = Commit::new();
        for space in SPACES {
            // Some of them in files of their own.
            let value = vec![b'x'; 1 + 30_000 * (number % 8) as usize];
            commit.put(space, number.to_be_bytes(), value);
        }
        match engine.commit(writer.as_bytes(), &commit, Durability::Durable) {
            Ok(outcome) => {
                assert_eq!(outcome, CommitOutcome::Applied);
                println!("durable {number}");
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
                assert!(error.to_string().contains("may or may not"), "{error}");
            }
        }
        match add_one(engine, Durability::Durable) {
            Ok(()) => println!("added"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
                assert!(error.to_string().contains("may or may not"), "{error}");
                println!("perhaps added");
            }
        }
    }
}

struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    fn spawn(path: &Path, task: &str) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "helper_process", "--nocapture"])
            .env("COURSEBLOCKS_TEST_STORE", path)
            .env("COURSEBLOCKS_TEST_TASK", task)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines): (Sender<String>, _) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let process = Self { child, lines };
        while process.line() != "open" {}
        process
    }

    fn line(&self) -> String {
        // The harness says what it runs on the same line.
        let line = self.lines.recv().expect("it goes on");
        line.rsplit("... ").next().unwrap().to_owned()
    }

    /// What it had said before its end.
    fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lines.iter().collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_end_of_owners_loses_nothing_that_was_durable() {
    const WRITERS: usize = 3;
    let rounds = env::var("COURSEBLOCKS_KILL_ROUNDS").ok();
    let rounds = rounds.map_or(4, |rounds| rounds.parse().expect("a number of rounds"));
    let directory = tempdir().unwrap();
    let path = directory.path();
    let mut sure: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    let (mut added, mut perhaps_added) = (0, 0);
    let mut hear = |writer: &str, line: &str| {
        if let Some(number) = line.strip_prefix("durable ") {
            let sure = sure.entry(writer.to_owned()).or_default();
            sure.push(number.parse().unwrap());
        } else if line == "added" {
            added += 1;
        } else {
            assert_eq!(line, "perhaps added");
            perhaps_added += 1;
        }
    };
    let name = |round: usize, writer: usize| format!("round {round} writer {writer}");
    for round in 0..rounds {
        let mut writers: BTreeMap<String, Process> = (0..WRITERS)
            .map(|writer| name(round, writer))
            .map(|writer| (writer.clone(), Process::spawn(path, &writer)))
            .collect();
        // The last one is killed, too, and nobody takes over.
        while !writers.is_empty() {
            for (writer, process) in &writers {
                // At least one of them after the last owner has ended.
                for _ in 0..4 + 3 * (round % 5) {
                    hear(writer, &process.line());
                }
            }
            // What they said may be from before there was an owner again.
            let owner = loop {
                let pid = fs::read_to_string(path.join("LOCK")).unwrap();
                let is_owner = |process: &Process| process.child.id().to_string() == pid.trim_end();
                let mut owners = writers.iter().filter(|(_, process)| is_owner(process));
                if let Some((owner, _)) = owners.next() {
                    break owner.clone();
                }
                thread::yield_now();
            };
            for line in writers.remove(&owner).unwrap().kill() {
                hear(&owner, &line);
            }
            // It may have been killed before it could say so.
            hear(&owner, "perhaps added");
        }
    }
    let engine = open(path);
    for (writer, sure) in &sure {
        assert!(sure.len() > 2, "{writer} was sure of {sure:?} only");
        let [records, courses, control] = SPACES.map(|space| scan(&engine, space, Some(writer)));
        assert_eq!(records, courses);
        assert_eq!(records, control);
        for number in sure {
            let found = get(&engine, Space::Records, writer, &number.to_be_bytes());
            let len = found.map(|value| value.len());
            assert_eq!(len, Some(1 + 30_000 * (number % 8) as usize), "{writer}");
        }
    }
    let count = count(&engine);
    assert!(
        (added..=added + perhaps_added).contains(&count),
        "{count} of {added} and perhaps {perhaps_added}"
    );
}

#[test]
fn the_end_of_an_owner_takes_back_nothing_that_a_guest_has_seen_or_done() {
    let directory = tempdir().unwrap();
    let process = Process::spawn(directory.path(), "buffer");
    assert_eq!(process.line(), "buffered");
    let guest = open(directory.path());
    let seen = get(&guest, Space::Control, "course", &99_u32.to_be_bytes());
    assert_eq!(seen.unwrap(), b"value");
    process.kill();
    assert_eq!(scan(&guest, Space::Control, None).len(), 100);
    assert!(is_owner(&guest));
    drop(guest);

    let process = Process::spawn(directory.path(), "wait");
    let guest = open(directory.path());
    put(&guest, Space::Control, "course", b"buffered", b"value");
    process.kill();
    // Sure not to have been sent, and so asked of the next owner.
    add_one(&guest, Durability::Buffered).unwrap();
    guest.flush().unwrap();
    let found = get(&guest, Space::Control, "course", b"buffered");
    assert_eq!(found.unwrap(), b"value");
}
