//! Who can get at a store: its owner, whatever the umask and whatever was there before. And a link
//! that somebody left in it leads the store nowhere.

#![cfg(unix)]

#[path = "program/mod.rs"]
mod program;

use std::error::Error as _;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use courseblocks::engine::{Engine, SharedEngine, SledEngine, SledOptions};
use courseblocks::{Error, ErrorKind};
use program::{Program, Run, Running, demo_course};
use tempfile::{TempDir, tempdir};

fn open(path: &Path) -> Result<SledEngine, Error> {
    SledEngine::open(path, &SledOptions::default())
}

fn whole(error: &Error) -> String {
    let cause = error.source().map(ToString::to_string);
    format!("{error}: {}", cause.unwrap_or_default())
}

fn set_rights(path: &Path, rights: u32) {
    fs::set_permissions(path, Permissions::from_mode(rights)).unwrap();
}

fn rights(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

/// A store that was open once, and what lies beside it.
fn store() -> (TempDir, PathBuf) {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store");
    drop(open(&path).unwrap());
    (directory, path)
}

/// The program in a process whose new files everybody may do everything with.
fn unmasked(program: &Program, arguments: &[&OsStr]) -> Command {
    let command = program.command(arguments);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "umask 000; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .env_remove("COURSEBLOCKS_STORE")
        .stdin(Stdio::null());
    shell
}

fn all_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path.clone());
            }
            found.push(path);
        }
    }
    found
}

#[test]
fn only_the_owner_can_reach_anything_in_a_store_whatever_the_umask() {
    let program = Program::new();
    let run = |arguments: &[&OsStr]| {
        let run = Run::of(unmasked(&program, arguments).output().unwrap());
        assert_eq!(run.status, 0, "{run:?}");
    };
    run(&[OsStr::new("import"), demo_course().as_os_str()]);
    run(&[OsStr::new("pause")]);
    let worker = unmasked(&program, &[OsStr::new("worker")]);
    let mut worker = Running::of(worker);
    worker.until("note: the queue is paused");

    let store = program.store();
    let found = all_below(&store);
    let names: Vec<_> = found
        .iter()
        .filter_map(|path| path.strip_prefix(&store).ok()?.to_str())
        .collect();
    for name in [
        "LOCK",
        "FORMAT",
        "COMMITS",
        "UNDO",
        "sled/db",
        "sharing/SOCKET",
    ] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    assert_eq!(rights(&store), 0o700);
    for path in found {
        let is_in_sled = path.strip_prefix(store.join("sled")).is_ok();
        let metadata = fs::symlink_metadata(&path).unwrap();
        let expected = match metadata.file_type() {
            // sled makes its files and directories as the umask says, behind a closed door.
            _ if is_in_sled && path != store.join("sled") => continue,
            kind if kind.is_dir() => 0o700,
            kind => {
                assert!(kind.is_file() || kind.is_socket(), "{path:?}");
                0o600
            }
        };
        assert_eq!(rights(&path), expected, "{path:?}");
    }
    worker.signal("TERM");
    assert_eq!(worker.run().status, 0);
}

#[test]
fn an_empty_directory_that_becomes_a_store_is_closed_first() {
    for before in [0o777, 0o775, 0o755, 0o700] {
        let directory = tempdir().unwrap();
        set_rights(directory.path(), before);
        drop(open(directory.path()).unwrap());
        assert_eq!(rights(directory.path()), 0o700, "{before:o}");
    }
}

#[test]
fn a_store_that_others_may_write_to_is_refused_until_it_is_closed() {
    for (place, lax) in [
        ("", 0o777),
        ("", 0o770),
        ("", 0o702),
        ("", 0o1777),
        ("sled", 0o720),
    ] {
        let (_directory, path) = store();
        let place = path.join(place);
        set_rights(&place, lax);
        let error = open(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage);
        let message = error.to_string();
        assert!(message.contains(&format!("{lax:04o}")), "{message}");
        assert!(message.contains("chmod 700"), "{message}");
        assert_eq!(rights(&place), lax, "nothing was changed");
        set_rights(&place, 0o700);
        assert!(open(&path).is_ok());
    }
    // Others see names of files, which is all that they can do.
    let (_directory, path) = store();
    set_rights(&path, 0o755);
    assert!(open(&path).is_ok());
}

#[test]
fn somebody_elses_directory_is_no_place_for_a_store() {
    let directory = tempdir().unwrap();
    let mut others = PathBuf::from("/");
    if chown(directory.path(), Some(12_345), None).is_ok() {
        directory.path().clone_into(&mut others);
    }
    let error = open(&others).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    let owner = fs::metadata(&others).unwrap().uid();
    let message = error.to_string();
    assert!(
        message.contains(&format!("belongs to user {owner}")),
        "{message}"
    );
    assert!(SharedEngine::open(&others, &SledOptions::default()).is_err());
    if others == directory.path() {
        assert_eq!(fs::read_dir(&others).unwrap().count(), 0);
    }
}

#[test]
fn a_store_is_found_through_a_link_to_it() {
    let (directory, path) = store();
    let link = directory.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(open(&link).is_ok());
}

/// Whoever plants it wants a file of somebody else's written, cut or made.
#[test]
fn a_link_in_a_store_is_never_followed() {
    const SECRET: &str = "not to be touched, nor told";

    #[track_caller]
    fn check(planted: &str, is_new: bool, is_dangling: bool) {
        let (directory, path) = store();
        let victim = directory.path().join("victim");
        if !is_dangling {
            fs::write(&victim, SECRET).unwrap();
        }
        if is_new {
            fs::remove_dir_all(&path).unwrap();
            fs::create_dir(&path).unwrap();
        }
        let planted = path.join(planted);
        let _ = fs::remove_file(&planted);
        symlink(&victim, &planted).unwrap();
        let error = open(&path).expect_err(&planted.display().to_string());
        let message = whole(&error);
        assert!(message.contains(planted.to_str().unwrap()), "{message}");
        assert!(message.contains("link"), "{message}");
        assert!(!message.contains(SECRET), "{message}");
        if is_dangling {
            assert!(!victim.exists(), "{planted:?}");
        } else {
            assert_eq!(fs::read_to_string(victim).unwrap(), SECRET);
        }
    }

    for is_dangling in [false, true] {
        for planted in [
            "LOCK",
            "FORMAT",
            "COMMITS",
            "UNDO",
            "sled/db",
            "sled/conf",
            "sled/snap.1",
        ] {
            check(planted, false, is_dangling);
        }
        for planted in ["LOCK", "FORMAT.new"] {
            check(planted, true, is_dangling);
        }
    }
}

#[test]
fn a_link_to_a_directory_is_never_followed_either() {
    for planted in ["sled", "sled/blobs"] {
        let (directory, path) = store();
        let victim = directory.path().join("victim");
        let planted = path.join(planted);
        fs::rename(&planted, &victim).unwrap();
        symlink(&victim, &planted).unwrap();
        let before = all_below(&victim).len();
        let error = open(&path).unwrap_err();
        assert!(error.to_string().contains("holds a link"), "{error}");
        assert_eq!(all_below(&victim).len(), before);
    }
}

#[test]
fn a_pipe_in_a_store_is_not_waited_for() {
    for planted in ["LOCK", "FORMAT", "COMMITS", "UNDO"] {
        let (_directory, path) = store();
        let planted = path.join(planted);
        fs::remove_file(&planted).unwrap();
        let made = Command::new("mkfifo").arg(&planted).status().unwrap();
        assert!(made.success());
        let message = whole(&open(&path).unwrap_err());
        assert!(message.contains(planted.to_str().unwrap()), "{message}");
    }
}

#[test]
fn where_a_store_is_shared_is_its_own_directory_and_closed() {
    let (directory, path) = store();
    let victim = directory.path().join("victim");
    let sharing = path.join("sharing");
    let open = || SharedEngine::open(&path, &SledOptions::default()).unwrap();

    // A link leads to a directory that would be closed, or to an impostor.
    fs::create_dir(&victim).unwrap();
    set_rights(&victim, 0o755);
    let _impostor = UnixListener::bind(victim.join("SOCKET")).unwrap();
    symlink(&victim, &sharing).unwrap();
    let engine = open();
    assert!(
        engine.describe().contains("not shared"),
        "{}",
        engine.describe()
    );
    let error = SharedEngine::open(&path, &SledOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OpenElsewhere);
    drop(engine);
    assert_eq!(rights(&victim), 0o755);
    assert!(victim.join("SOCKET").exists());
    fs::remove_file(&sharing).unwrap();

    // A directory that was made before, and is open to all.
    fs::create_dir(&sharing).unwrap();
    set_rights(&sharing, 0o777);
    let engine = open();
    assert_eq!(rights(&sharing), 0o700);
    assert_eq!(rights(&sharing.join("SOCKET")), 0o600);
    assert!(engine.describe().contains("shared with other processes"));
}
