//! A small file system of a test's own, which can be filled. It needs a mount namespace, which root
//! has, and others where the system allows it; where there is none, that is said on stderr.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, io};

use tempfile::TempDir;

/// Says to this program, run again in a namespace, that it is there.
const INSIDE: &str = "COURSEBLOCKS_TEST_NAMESPACE";

/// Runs a test where it may mount: `body`, in another process, of the test that is called `test`.
#[track_caller]
pub(crate) fn where_disks_are_small(test: &str, body: fn()) {
    if env::var_os(INSIDE).is_some() {
        return body();
    }
    let Some(flags) = ["-m", "-rm"].into_iter().find(|flags| can_mount(flags)) else {
        eprintln!("skipped {test}: neither root nor a user namespace may mount a file system here");
        return;
    };
    let inside = Command::new("unshare")
        .arg(flags)
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "")
        .output()
        .unwrap();
    let told =
        [inside.stdout, inside.stderr].map(|told| String::from_utf8_lossy(&told).into_owned());
    assert!(inside.status.success(), "{}{}", told[0], told[1]);
    assert!(
        told[0].contains("1 passed"),
        "there is no {test}: {}",
        told[0]
    );
    eprint!("{}", told[1]);
}

fn can_mount(flags: &str) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let mounted = Command::new("unshare")
        .args([flags, "mount", "-t", "tmpfs", "tmpfs"])
        .arg(directory.path())
        .stderr(Stdio::null())
        .status();
    mounted.is_ok_and(|status| status.success())
}

/// Mounted until it is dropped.
pub(crate) struct SmallDisk {
    place: TempDir,
}

impl SmallDisk {
    pub(crate) fn new(kib: u64) -> Self {
        let place = tempfile::tempdir().unwrap();
        mount(
            &["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"],
            place.path(),
        );
        Self { place }
    }

    pub(crate) fn path(&self) -> &Path {
        self.place.path()
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path().join("store")
    }

    /// What is on it stays.
    pub(crate) fn resize(&self, kib: u64) {
        mount(&["-o", &format!("remount,size={kib}k")], self.path());
    }

    pub(crate) fn make_read_only(&self) {
        mount(&["-o", "remount,ro"], self.path());
    }

    /// Takes all room but so much, if there is more.
    pub(crate) fn fill_up_to(&self, bytes_left: u64) {
        let filling = self.path().join("filling");
        let mut file = fs::File::create(&filling).unwrap();
        let full = io::copy(&mut io::repeat(1), &mut file).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        let len = file.metadata().unwrap().len();
        file.set_len(len.saturating_sub(bytes_left)).unwrap();
    }

    pub(crate) fn free(&self) {
        fs::remove_file(self.path().join("filling")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The namespace, with all that is mounted in it, ends with this process at the latest.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[track_caller]
fn mount(arguments: &[&str], place: &Path) {
    let mut command = Command::new("mount");
    command.args(arguments.iter().map(OsStr::new)).arg(place);
    assert!(command.status().unwrap().success(), "{command:?}");
}
