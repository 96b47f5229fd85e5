//! Disks that are full, that cannot be written, or that are gone, and processes that may open no
//! more files: what was acknowledged can be read all the while, and writing goes on afterwards.
//!
//! `COURSEBLOCKS_FULL_DISK_ROUNDS` says how often, over disks of many sizes.

#![cfg(all(unix, feature = "cli"))]

mod program;
#[path = "common/small_disk.rs"]
mod small_disk;

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use courseblocks::engine::{
    Commit, CommitOutcome, Durability, Engine, Key, SharedEngine, SledEngine, SledOptions, Space,
};
use courseblocks::{Error, ErrorKind};
use program::{Program, Run, Running, write_course};
use small_disk::{SmallDisk, where_disks_are_small};

const MIB: u64 = 1 << 20;

fn rounds(few: u64) -> u64 {
    let rounds = env::var("COURSEBLOCKS_FULL_DISK_ROUNDS").ok();
    rounds.map_or(few, |rounds| rounds.parse().expect("a number of rounds"))
}

fn open(path: &Path) -> SledEngine {
    SledEngine::open(path, &SledOptions::default()).unwrap()
}

/// What was acknowledged: of each key the byte that its value is made of, and how often.
#[derive(Default)]
struct Acknowledged(BTreeMap<(u8, u8), (u8, usize)>);

/// What is random here depends on the round alone.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end
    }
}

/// What a commit is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Records,
    Little,
    Deletion,
}

impl Acknowledged {
    fn commit(
        &mut self,
        engine: &dyn Engine,
        kind: Kind,
        chance: &mut Chance,
    ) -> Result<(), Error> {
        let partition = u8::try_from(chance.below(24)).unwrap();
        let scale = 1 << (6 + chance.below(12));
        let mut commit = Commit::new();
        let mut changed = Vec::new();
        for name in 0..11 {
            if kind == Kind::Little && name > 1 {
                break;
            }
            let byte = u8::try_from(chance.below(256)).unwrap();
            let len = match kind {
                Kind::Records => usize::try_from(chance.below(scale)).unwrap(),
                Kind::Little => 200,
                Kind::Deletion => 0,
            };
            changed.push((
                (partition, name),
                (kind != Kind::Deletion).then_some((byte, len)),
            ));
            match kind {
                Kind::Deletion => commit.delete(Space::Records, [name]),
                _ => commit.put(Space::Records, [name], vec![byte; len]),
            }
        }
        let durability = match chance.below(2) {
            0 => Durability::Buffered,
            _ => Durability::Durable,
        };
        let outcome = engine.commit(&[partition + 1], &commit, durability)?;
        assert_eq!(outcome, CommitOutcome::Applied);
        for (key, value) in changed {
            match value {
                Some(value) => self.0.insert(key, value),
                None => self.0.remove(&key),
            };
        }
        Ok(())
    }

    #[track_caller]
    fn check(&self, engine: &dyn Engine) {
        for partition in 0..24 {
            for name in 0..11 {
                let partition_name = [partition + 1];
                let key = Key::new(Space::Records, &partition_name, std::slice::from_ref(&name));
                let found = engine.get(key).unwrap();
                let found = found.map(|value| (value.first().copied(), value.len()));
                let expected = self.0.get(&(partition, name));
                let expected = expected.map(|(byte, len)| ((*len > 0).then_some(*byte), *len));
                assert_eq!(found, expected, "{partition} {name}");
            }
        }
    }
}

#[test]
fn a_full_disk_refuses_commits_and_nothing_else() {
    where_disks_are_small("a_full_disk_refuses_commits_and_nothing_else", || {
        let mut commits = 0;
        let (mut refused, mut reopened) = (0, 0);
        for round in 0..rounds(2) {
            let mut chance = Chance((round + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let kib = (18 << 10) + chance.below(40 << 10);
            let disk = SmallDisk::new(kib);
            let mut acknowledged = Acknowledged::default();
            let mut engine = open(&disk.store());
            for turn in 0..6 {
                let is_full = chance.below(3) > 0;
                let mut left = 20;
                while left > 0 {
                    let kind = match chance.below(10) {
                        0 => Kind::Deletion,
                        1 | 2 => Kind::Little,
                        _ => Kind::Records,
                    };
                    match acknowledged.commit(&engine, kind, &mut chance) {
                        Ok(()) => commits += 1,
                        Err(error) => {
                            assert_eq!(
                                error.kind(),
                                ErrorKind::NoRoom,
                                "round {round} turn {turn}, {kib} KiB: {error}: {:?}",
                                std::error::Error::source(&error)
                            );
                            refused += 1;
                            left -= 1;
                        }
                    }
                    if chance.below(200) == 0 {
                        acknowledged.check(&engine);
                    }
                }
                acknowledged.check(&engine);
                if is_full {
                    disk.fill_up_to(chance.below(2) * chance.below(MIB));
                }
                acknowledged.check(&engine);
                // What is buffered may have to wait for room.
                match engine.flush() {
                    Ok(()) if chance.below(2) == 0 => {
                        drop(engine);
                        engine = open(&disk.store());
                        acknowledged.check(&engine);
                        reopened += 1;
                    }
                    Ok(()) => {}
                    Err(error) => assert_eq!(error.kind(), ErrorKind::NoRoom, "{error}"),
                }
                if is_full {
                    disk.free();
                }
                disk.resize(kib + (turn + 1) * 1024 * 4);
            }
        }
        eprintln!("{commits} commits, {refused} refused, {reopened} times reopened");
    });
}

#[track_caller]
fn check<T: std::fmt::Debug>(result: Result<T, Error>, kind: ErrorKind, said: &[&str]) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    let text = format!("{error}: {}", cause.unwrap_or_default());
    for said in said {
        assert!(text.contains(said), "{said:?} is not in {text:?}");
    }
}

fn put(engine: &dyn Engine, name: u8, value: Vec<u8>) -> Result<(), Error> {
    let mut commit = Commit::new();
    commit.put(Space::Records, [name], value);
    let outcome = engine.commit(b"course", &commit, Durability::Durable)?;
    assert_eq!(outcome, CommitOutcome::Applied);
    Ok(())
}

fn get(engine: &dyn Engine, name: u8) -> Result<Option<u8>, Error> {
    let value = engine.get(Key::new(Space::Records, b"course", &[name]))?;
    Ok(value.map(|value| value[0]))
}

/// sled alone divided a page when it was read next, which needs room that may be gone by then.
#[test]
fn reading_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let large_values = || {
        let files = fs::read_dir(directory.path().join("sled/blobs")).unwrap();
        let names = files.map(|file| file.unwrap().file_name());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    for number in 0..40 {
        put(&engine, number, vec![number; 40_000]).unwrap();
        let before = large_values();
        for number in 0..=number {
            assert_eq!(get(&engine, number).unwrap(), Some(number));
        }
        assert_eq!(large_values(), before, "{number}");
    }
}

/// sled alone writes a snapshot whenever it is opened: there is room that is lent to it.
#[test]
fn a_store_on_a_full_disk_is_opened_and_read() {
    where_disks_are_small("a_store_on_a_full_disk_is_opened_and_read", || {
        for left in [0, 1, 4 << 10, 100 << 10] {
            let disk = SmallDisk::new(40 << 10);
            let engine = open(&disk.store());
            let mut commit = Commit::new();
            // A snapshot of some 100 KB.
            for name in 0_u32..20_000 {
                commit.put(Space::Control, name.to_be_bytes(), "value");
            }
            let _ = engine
                .commit(b"many", &commit, Durability::Durable)
                .unwrap();
            put(&engine, 0, vec![1; 100_000]).unwrap();
            drop(engine);
            disk.fill_up_to(left);
            for _ in 0..2 {
                let engine = open(&disk.store());
                assert_eq!(get(&engine, 0).unwrap(), Some(1));
                let many = engine.scan(Space::Control, None);
                assert_eq!(many.map(Result::unwrap).count(), 20_000);
                let said = ["PATH", "disk is full", "free some space"];
                let path = disk.store().display().to_string();
                let said = said.map(|said| said.replace("PATH", &path));
                let said = said.each_ref().map(String::as_str);
                check(put(&engine, 0, vec![2]), ErrorKind::NoRoom, &said);
                engine.flush().unwrap();
            }
            disk.free();
            let engine = open(&disk.store());
            put(&engine, 0, vec![2]).unwrap();
            assert_eq!(get(&engine, 0).unwrap(), Some(2));
            let undo = fs::metadata(disk.store().join("UNDO")).unwrap();
            assert_eq!(undo.len(), 8 * MIB, "room for a failed commit");
        }
    });
}

#[test]
fn a_disk_that_is_too_small_for_a_new_store_is_told_of() {
    where_disks_are_small(
        "a_disk_that_is_too_small_for_a_new_store_is_told_of",
        || {
            for kib in [4, 8, 12, 16, 64, 1 << 10, 6 << 10, 9 << 10, 13 << 10] {
                let disk = SmallDisk::new(kib);
                let opened = SledEngine::open(&disk.store(), &SledOptions::default());
                let path = disk.store().display().to_string();
                check(opened, ErrorKind::NoRoom, &[&path, "free some space"]);
                disk.resize(40 << 10);
                put(&open(&disk.store()), 0, vec![1]).unwrap();
            }
        },
    );
}

#[test]
fn a_file_system_that_is_read_only_is_told_of() {
    where_disks_are_small("a_file_system_that_is_read_only_is_told_of", || {
        let disk = SmallDisk::new(40 << 10);
        drop(open(&disk.store()));
        disk.make_read_only();
        let path = disk.store().display().to_string();
        let opened = SledEngine::open(&disk.store(), &SledOptions::default());
        let said = [&path, "Read-only file system", "copy it"];
        check(opened, ErrorKind::Storage, &said);
        let fresh = SledEngine::open(&disk.path().join("fresh"), &SledOptions::default());
        check(
            fresh,
            ErrorKind::Storage,
            &["fresh", "Read-only file system"],
        );
    });
}

/// sled alone acknowledged what went into files that nobody finds any more.
#[test]
fn a_directory_that_is_gone_is_noticed_before_anything_is_acknowledged() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("store");
    let away = parent.path().join("away");
    let display = path.display().to_string();
    let said = [display.as_str(), "removed, moved or replaced"];
    let engine = open(&path);
    put(&engine, 0, vec![1; 100_000]).unwrap();

    fs::rename(&path, &away).unwrap();
    check(put(&engine, 0, vec![2]), ErrorKind::Storage, &said);
    assert_eq!(get(&engine, 0).unwrap(), Some(1));
    fs::rename(&away, &path).unwrap();
    put(&engine, 0, vec![3]).unwrap();

    // Another store comes to be there, and others use it.
    fs::rename(&path, &away).unwrap();
    let other = SharedEngine::open(&path, &SledOptions::default()).unwrap();
    check(put(&engine, 0, vec![4]), ErrorKind::Storage, &said);
    assert_eq!(get(&engine, 0).unwrap(), Some(3));
    drop(engine);
    assert!(path.join("sharing/SOCKET").exists(), "it is another's");
    put(&other, 0, vec![5]).unwrap();
    drop(other);
    assert_eq!(get(&open(&away), 0).unwrap(), Some(3));

    let engine = open(&path);
    fs::remove_dir_all(&path).unwrap();
    check(put(&engine, 0, vec![6]), ErrorKind::Storage, &said);
    assert_eq!(get(&engine, 0).unwrap(), Some(5));
    drop(engine);
    assert!(!path.exists());
}

/// Runs a test of this file, made for it, in another process, by way of a shell.
fn helper(name: &str, shell: &str, path: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            &format!("{shell}; exec timeout 120 \"$0\" --exact {name} --nocapture"),
        ])
        .arg(env::current_exe().unwrap())
        .env("COURSEBLOCKS_TEST_STORE", path)
        .env("RUST_BACKTRACE", "0");
    command
}

#[track_caller]
fn succeeds(mut command: Command) {
    let output = command.output().unwrap();
    let told =
        [output.stdout, output.stderr].map(|told| String::from_utf8_lossy(&told).into_owned());
    assert!(output.status.success(), "{}{}", told[0], told[1]);
    assert!(told[0].contains("1 passed"), "{}", told[0]);
}

/// `None` where the helper is run as a test.
fn helpers_store() -> Option<std::path::PathBuf> {
    env::var_os("COURSEBLOCKS_TEST_STORE").map(Into::into)
}

/// Not a test of its own: its process is nobody special.
#[test]
fn helper_without_permission() {
    let Some(path) = helpers_store() else {
        return;
    };
    let display = path.display().to_string();
    let said = if env::var_os("COURSEBLOCKS_TEST_OF_SOMEBODY_ELSE").is_some() {
        ["belongs to user 0", "run it as the owner"]
    } else {
        ["Permission denied", "this user must be allowed"]
    };
    let opened = SledEngine::open(&path, &SledOptions::default());
    check(
        opened,
        ErrorKind::Storage,
        &[&[display.as_str()], &said[..]].concat(),
    );
}

#[test]
fn a_user_without_permission_is_told_what_is_needed() {
    let parent = tempfile::tempdir().unwrap();
    fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = parent.path().join("store");
    drop(open(&path));
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let as_nobody = |path: &Path| {
        let mut command = helper("helper_without_permission", "true", path);
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    };
    let is_refused = |path: &Path| succeeds(as_nobody(path));
    let own = |path: &Path| {
        if is_root() {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    };
    // Of somebody else, or of one who took the rights away.
    mode(&path, 0o000);
    let mut command = as_nobody(&path);
    if is_root() {
        command.env("COURSEBLOCKS_TEST_OF_SOMEBODY_ELSE", "true");
    }
    succeeds(command);
    mode(&path, 0o700);
    for name in [
        "LOCK",
        "UNDO",
        "COMMITS",
        "FORMAT",
        "sled/db",
        "sled/blobs",
        "sled",
    ] {
        own(&path);
        for inside in [
            "LOCK",
            "UNDO",
            "COMMITS",
            "FORMAT",
            "sled",
            "sled/db",
            "sled/blobs",
            "sled/conf",
        ] {
            own(&path.join(inside));
        }
        let denied = path.join(name);
        let before = fs::metadata(&denied).unwrap().permissions();
        mode(&denied, 0o000);
        is_refused(&path);
        fs::set_permissions(&denied, before).unwrap();
    }
    // A store that is to be made where nothing may be.
    mode(parent.path(), 0o555);
    is_refused(&parent.path().join("new"));
    mode(parent.path(), 0o755);
}

const NOBODY: u32 = 65534;

fn is_root() -> bool {
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::MetadataExt::uid(&fs::metadata(directory.path()).unwrap()) == 0
}

/// All that this process may open, until it is dropped.
fn all_files() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

const VALUES: u8 = 20;

/// Not a test of its own: its process may open few files.
#[test]
fn helper_without_files() {
    let Some(path) = helpers_store() else {
        return;
    };
    let options = SledOptions::default();
    let display = path.display().to_string();
    let said = [display.as_str(), "Too many open files", "raise the limit"];
    let mut engine = SledEngine::open(&path, &options).unwrap();
    for number in 0..VALUES {
        put(&engine, number, vec![number; 200_000]).unwrap();
    }
    for _ in 0..2 {
        // What it reads is in files of their own.
        drop(engine);
        engine = SledEngine::open(&path, &options).unwrap();
        let mut files = all_files();
        let mut unread = 0;
        for number in 0..VALUES {
            match get(&engine, number) {
                Ok(value) => assert_eq!(value, Some(number)),
                Err(error) => {
                    unread += 1;
                    check(Err::<(), _>(error), ErrorKind::NoRoom, &said);
                }
            }
        }
        assert!(unread > VALUES / 2, "{unread}");
        check(put(&engine, 0, vec![1]), ErrorKind::NoRoom, &said);
        check(put(&engine, 0, vec![1; 200_000]), ErrorKind::NoRoom, &said);
        engine.flush().unwrap();
        // One is not enough.
        files.pop();
        check(put(&engine, 0, vec![1; 200_000]), ErrorKind::NoRoom, &said);
        for number in 0..VALUES {
            assert_eq!(get(&engine, number).unwrap(), Some(number));
        }
        drop(files);
        for number in 0..VALUES {
            put(&engine, number, vec![number; 200_001]).unwrap();
        }
    }
    drop(engine);
    let files = all_files();
    check(SledEngine::open(&path, &options), ErrorKind::NoRoom, &said);
    drop(files);
    // What opening comes to when there are so many.
    for spare in 0..10 {
        let mut files = all_files();
        files.truncate(files.len().saturating_sub(spare));
        match SledEngine::open(&path, &options) {
            Ok(engine) => {
                drop(files);
                put(&engine, 0, vec![0; 200_000]).unwrap();
            }
            Err(error) => check(Err::<(), _>(error), ErrorKind::NoRoom, &said),
        }
    }
    for number in 0..VALUES {
        assert_eq!(get(&open(&path), number).unwrap(), Some(number));
    }
}

#[test]
fn a_process_that_may_open_no_more_files_goes_on_when_it_may() {
    let directory = tempfile::tempdir().unwrap();
    succeeds(helper(
        "helper_without_files",
        "ulimit -n 64",
        &directory.path().join("store"),
    ));
}

/// Not a test of its own: an owner whose process may open few files.
#[test]
fn helper_owner_without_files() {
    let Some(path) = helpers_store() else {
        return;
    };
    let engine = SharedEngine::open(&path, &SledOptions::default()).unwrap();
    put(&engine, 0, vec![1]).unwrap();
    let next = || io::stdin().lines().next().map(Result::unwrap);
    let mut files = Vec::new();
    println!("\nopen");
    while let Some(line) = next() {
        match line.as_str() {
            "fill" => files = all_files(),
            "free" => files.clear(),
            _ => {}
        }
        assert_eq!(get(&engine, 0).unwrap(), Some(1));
        assert_eq!(put(&engine, 1, vec![1]).is_ok(), files.is_empty());
        println!("{line} done");
    }
}

#[test]
fn an_owner_that_may_open_no_more_files_serves_guests_when_it_may() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut command = helper("helper_owner_without_files", "ulimit -n 64", &path);
    let mut owner = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(owner.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let mut says = |what: &str| assert!(told.any(|line| line == what), "{what}");
    says("open");
    let mut orders = owner.stdin.take().unwrap();
    let early = SharedEngine::open(&path, &SledOptions::default()).unwrap();
    assert_eq!(get(&early, 0).unwrap(), Some(1));

    writeln!(orders, "fill").unwrap();
    says("fill done");
    // Those who are there already are served, with all but what takes a file.
    assert_eq!(get(&early, 0).unwrap(), Some(1));
    check(
        put(&early, 0, vec![2]),
        ErrorKind::NoRoom,
        &["Too many open files"],
    );
    let waiting = UnixStream::connect(path.join("sharing/SOCKET")).unwrap();
    writeln!(orders, "look").unwrap();
    says("look done");
    writeln!(orders, "free").unwrap();
    says("free done");
    let late = SharedEngine::open(&path, &SledOptions::default()).unwrap();
    assert_eq!(get(&late, 0).unwrap(), Some(1));
    put(&late, 0, vec![3]).unwrap();
    assert_eq!(get(&early, 0).unwrap(), Some(3));
    drop((early, late, waiting, orders));
    assert!(owner.wait().unwrap().success());
}

/// Not a test of its own: its process may write no file beyond some size, which nothing tells
/// beforehand.
#[test]
fn helper_that_fails_to_write() {
    let Some(path) = helpers_store() else {
        return;
    };
    let engine = open(&path);
    let mut chance = Chance(u64::from(std::process::id()) << 7 | 1);
    let mut told = File::create(path.with_extension("told")).unwrap();
    let error = loop {
        let name = u8::try_from(chance.below(200)).unwrap();
        let scale = 1 << (8 + chance.below(10));
        let len = usize::try_from(chance.below(scale)).unwrap();
        let mut commit = Commit::new();
        for space in [Space::Records, Space::Courses] {
            commit.put(space, [name], vec![name; len]);
        }
        let durability = match chance.below(4) {
            0 => Durability::Durable,
            _ => Durability::Buffered,
        };
        write!(told, "\n{name} {len} {durability:?}").unwrap();
        match engine.commit(b"course", &commit, durability) {
            Ok(outcome) => assert_eq!(outcome, CommitOutcome::Applied),
            Err(error) => break error,
        }
        write!(told, " done").unwrap();
    };
    check(Err::<(), _>(error), ErrorKind::Storage, &["File too large"]);
    check(get(&engine, 0), ErrorKind::Storage, &["has stopped"]);
    check(
        put(&engine, 0, vec![1]),
        ErrorKind::Storage,
        &["has stopped"],
    );
    check(engine.flush(), ErrorKind::Storage, &["has stopped"]);
    let again = SledEngine::open(&path, &SledOptions::default());
    check(
        again,
        ErrorKind::OpenElsewhere,
        &["open already in this process"],
    );
    drop(engine);
}

/// What no look at the disk can tell beforehand: here a limit on the size of files.
#[test]
fn a_write_that_fails_in_sled_loses_nothing_and_ends_in_time() {
    for round in 0..rounds(2) {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("store");
        drop(open(&path));
        // Beyond what UNDO has, in blocks of 512 bytes.
        let blocks = 16_500 + (round * 7919) % 8_000;
        let shell = format!("trap '' XFSZ; ulimit -f {blocks}");
        succeeds(helper("helper_that_fails_to_write", &shell, &path));

        let told = fs::read_to_string(path.with_extension("told")).unwrap();
        let commits: Vec<(u8, usize, &str)> = told.lines().skip(1).map(told_commit).collect();
        let is_durable = |commit: &(u8, usize, &str)| commit.2 == "Durable done";
        let durable = commits
            .iter()
            .rposition(is_durable)
            .map_or(0, |last| last + 1);
        let (durable, others) = commits.split_at(durable);
        let mut possible: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
        possible.extend(durable.iter().map(|(name, len, _)| (*name, vec![*len])));
        for (name, len, _) in others {
            possible.entry(*name).or_default().push(*len);
        }
        let must_be: Vec<u8> = durable.iter().map(|(name, ..)| *name).collect();

        let engine = open(&path);
        for name in 0..200 {
            let [records, courses] = [Space::Records, Space::Courses].map(|space| {
                let value = engine.get(Key::new(space, b"course", &[name])).unwrap();
                value.map(|value| {
                    assert!(value.iter().all(|byte| *byte == name));
                    value.len()
                })
            });
            assert_eq!(records, courses, "half a commit");
            match records {
                Some(len) => assert!(possible[&name].contains(&len), "{name} is of nobody"),
                None => assert!(!must_be.contains(&name), "{name} was durable"),
            }
        }
        put(&engine, 0, vec![0]).unwrap();
    }
}

/// The name, the length, and what became of it.
fn told_commit(line: &str) -> (u8, usize, &str) {
    let mut parts = line.splitn(3, ' ');
    let mut next = || parts.next().expect("a whole line");
    (next().parse().unwrap(), next().parse().unwrap(), next())
}

/// A program whose store is on a small disk.
fn program_on(disk: &SmallDisk) -> Program {
    let program = Program::new();
    fs::create_dir(disk.store()).unwrap();
    symlink(disk.store(), program.store()).unwrap();
    program
}

/// More than a small disk has room for.
const COURSES: usize = 16;

/// Courses of some 200 KB each, whose titles say `title`.
fn publish(program: &Program, courses: usize, title: &str) {
    for number in 0..courses {
        let export = program.path("exports").join(format!("{number:02}"));
        write_course(&export, &format!("run{number:02}"), title, 400);
    }
}

/// Those that an import says are in the store.
fn imported(run: &Run) -> Vec<String> {
    let courses = run.stdout.lines().filter_map(|line| {
        let (outcome, rest) = line.split_at(10);
        let is_in = ["imported  ", "updated   ", "unchanged "].contains(&outcome);
        is_in.then(|| rest.split_once(": ").expect(rest).0.to_owned())
    });
    courses.collect()
}

#[track_caller]
fn answers(program: &Program, courses: &[String], warned: bool) {
    let listed = program.run(&["courses"]);
    assert_eq!(listed.status, 0, "{listed:?}");
    for course in courses {
        assert!(
            listed.stdout.contains(course.as_str()),
            "{course} is not in {listed:?}"
        );
    }
    let course = courses.last().unwrap().as_str();
    let commands: [&[&str]; 8] = [
        &["verify"],
        &["get", course, "start_date"],
        &["blocks", course],
        &["structure", course],
        &["inspect", course],
        &["rollout", "status"],
        &["queue", "status"],
        &["rollout", "history"],
    ];
    for command in commands {
        let run = program.run(command);
        assert_eq!(run.status, 0, "{command:?}: {run:?}");
        assert!(!run.stdout.is_empty(), "{command:?}: {run:?}");
        let joins = ["get", "blocks", "structure"].contains(&command[0]);
        let is_warned = run
            .stderr
            .starts_with("warning: only what is stored already");
        assert_eq!(is_warned, warned && joins, "{command:?}: {run:?}");
    }
}

#[test]
fn an_import_that_fills_the_disk_goes_on_when_there_is_room() {
    where_disks_are_small(
        "an_import_that_fills_the_disk_goes_on_when_there_is_room",
        || {
            let disk = SmallDisk::new(20 << 10);
            let program = program_on(&disk);
            publish(&program, COURSES, "1");
            let run = program.run(&["import", "exports"]);
            run.is_refused(3, &["store", "its disk is full", "free some space"]);
            let mut acknowledged = imported(&run);
            assert!(acknowledged.len() > 2, "{run:?}");
            answers(&program, &acknowledged, false);
            // Again and again it is the same, and something else takes the rest.
            let run = program.run(&["import", "exports"]);
            run.is_refused(3, &["its disk is full"]);
            acknowledged.extend(imported(&run));
            disk.fill_up_to(0);
            answers(&program, &acknowledged, true);
            let run = program.run(&["import", "exports"]);
            run.is_refused(3, &["its disk is full"]);
            let repair = program.run(&["verify", "--repair"]);
            assert_eq!(repair.status, 0, "nothing is damaged: {repair:?}");
            assert!(repair.stderr.contains("its disk is full"), "{repair:?}");
            let run = program.run(&["worker", "--until-empty"]);
            run.is_refused(3, &["its disk is full"]);

            disk.free();
            disk.resize(160 << 10);
            let run = program.import("exports");
            assert_eq!(imported(&run).len(), COURSES);
            answers(&program, &acknowledged, false);
        },
    );
}

#[test]
fn courses_can_be_deleted_when_no_more_can_be_imported() {
    where_disks_are_small(
        "courses_can_be_deleted_when_no_more_can_be_imported",
        || {
            let disk = SmallDisk::new(20 << 10);
            let program = program_on(&disk);
            publish(&program, COURSES, "1");
            let full = program.run(&["import", "exports"]);
            full.is_refused(3, &["its disk is full"]);
            let courses = imported(&full);
            for course in &courses {
                let run = program.run(&["delete", course]);
                assert_eq!(run.status, 0, "{run:?}");
            }
            let listed = program.json(&["courses"]);
            assert_eq!(listed["courses"], serde_json::json!([]), "{listed}");
            let verified = program.run(&["verify"]);
            assert_eq!(verified.status, 0, "{verified:?}");
            // sled keeps what they took for itself.
            disk.resize(160 << 10);
            assert_eq!(imported(&program.import("exports")).len(), COURSES);
        },
    );
}

#[test]
fn a_worker_waits_for_room_and_blames_no_course() {
    where_disks_are_small("a_worker_waits_for_room_and_blames_no_course", || {
        let disk = SmallDisk::new(160 << 10);
        let program = program_on(&disk);
        publish(&program, 3, "1");
        program.import("exports");
        publish(&program, 3, "2");
        let run = program.run(&["update", "--all", "--enqueue"]);
        assert_eq!(run.status, 0, "{run:?}");
        // Leases and claims have room, courses have none.
        disk.fill_up_to(8 * MIB);
        let run = program.run(&["worker", "--until-empty", "--attempts", "1"]);
        run.is_refused(3, &["its disk is full"]);
        let mut worker: Running = program.start(&["worker", "--attempts", "1"]);
        worker.until("waiting for room");
        let status = program.json(&["queue", "status"]);
        assert_eq!(status["quarantined"], 0, "{status}");
        disk.free();
        worker.until("there is room again");
        worker.signal("INT");
        let run = worker.run();
        assert_eq!(run.status, 0, "{run:?}");
        let run = program.run(&["worker", "--until-empty", "--attempts", "1"]);
        assert_eq!(run.status, 0, "{run:?}");
    });
}
