//! What can happen to files.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::life::{Copied, Life, copy};

/// Numbers at random, the same ones for the same seed.
pub(crate) struct Dice(u64);

/// What was done to which file.
#[derive(Debug)]
pub(crate) struct Harm {
    pub(crate) kind: &'static str,
    what: String,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Self(seed);
        dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, some: &'a [T]) -> &'a T {
        &some[self.below(some.len())]
    }
}

/// Damages a store once, or several times.
pub(crate) fn harm(store: &Copied, life: &Life, dice: &mut Dice) -> Vec<Harm> {
    let times = *dice.pick(&[1, 1, 1, 1, 1, 1, 1, 2, 3, 5]);
    (0..times).map(|_| once(store, life, dice)).collect()
}

/// Whether both files were damaged in some way.
pub(crate) fn hits_both(harms: &[Harm], one: &str, other: &str) -> bool {
    let hits = |file: &str| harms.iter().any(|harm| harm.what.contains(file));
    hits(one) && hits(other)
}

fn once(store: &Copied, life: &Life, dice: &mut Dice) -> Harm {
    let (kind, what) = match dice.below(14) {
        0 | 1 => (
            "a bit flipped",
            in_place(store, dice, 1, |byte, _| *byte ^= 1 << 3),
        ),
        2 => (
            "a byte set",
            in_place(store, dice, 1, |byte, dice| {
                *byte = dice.next().to_le_bytes()[0];
            }),
        ),
        3 => (
            "a page of 512 zeros",
            in_place(store, dice, 512, |byte, _| *byte = 0),
        ),
        4 => (
            "a page of 4096 zeros",
            in_place(store, dice, 4096, |byte, _| *byte = 0),
        ),
        5 => (
            "a page of random bytes",
            in_place(store, dice, 4096, |byte, dice| {
                *byte = dice.next().to_le_bytes()[0];
            }),
        ),
        6 => ("two pages swapped", swapped(store, dice)),
        7 => ("cut off", cut_off(store, dice)),
        8 => ("bytes appended", appended(store, dice)),
        9 => ("removed", removed(store, dice)),
        10 => ("emptied", emptied(store, dice)),
        11 => ("an older copy of one file", older(store, life, dice, 1)),
        12 => ("older copies of several files", older(store, life, dice, 3)),
        _ => ("something else in its place", replaced(store, dice)),
    };
    Harm { kind, what }
}

/// Files that there are, each kind as likely as the others, the log more so.
fn file(store: &Copied, dice: &mut Dice) -> PathBuf {
    let path = store.path();
    for _ in 0..100 {
        let found = match dice.below(11) {
            0..=3 => Some(path.join("sled/db")),
            4 | 5 => named(&path.join("sled"), "snap.", dice),
            6 => named(&path.join("sled/blobs"), "", dice),
            7 => Some(path.join("sled/conf")),
            _ => {
                let ours = ["COMMITS", "UNDO", "FORMAT", "LOCK", "SEAL"];
                Some(path.join(dice.pick(&ours)))
            }
        };
        if let Some(found) = found.filter(|found| found.is_file()) {
            return found;
        }
    }
    path.join("sled/db")
}

fn named(directory: &Path, prefix: &str, dice: &mut Dice) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).ok()?;
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(prefix) && path.is_file()
    });
    paths.sort();
    (!paths.is_empty()).then(|| dice.pick(&paths).clone())
}

fn len_of(file: &Path) -> usize {
    fs::metadata(file).map_or(0, |metadata| usize::try_from(metadata.len()).unwrap())
}

/// Somewhere in a file: also where it begins, and where it was written last.
fn place(len: usize, dice: &mut Dice) -> usize {
    let magnitude = dice.below(16);
    let near = 1 + dice.below(1 << magnitude);
    match dice.below(4) {
        _ if len == 0 => 0,
        0 => near.min(len) - 1,
        1 => len - near.min(len),
        _ => dice.below(len),
    }
}

fn in_place(
    store: &Copied,
    dice: &mut Dice,
    len: usize,
    change: impl Fn(&mut u8, &mut Dice),
) -> String {
    let path = file(store, dice);
    let at = place(len_of(&path), dice) / len * len;
    let mut file = OpenOptions::new().read(true).write(true).open(&path);
    let file = file.as_mut().unwrap();
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.take(len as u64).read_to_end(&mut bytes).unwrap();
    for byte in &mut bytes {
        change(byte, dice);
    }
    write_at(file, at, &bytes);
    format!("{} at {at}", path.display())
}

fn write_at(file: &mut File, at: usize, bytes: &[u8]) {
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(bytes).unwrap();
}

fn swapped(store: &Copied, dice: &mut Dice) -> String {
    let path = file(store, dice);
    let size = *dice.pick(&[512, 4096, 512 << 10]);
    let pages = len_of(&path) / size;
    if pages < 2 {
        return format!("{} is too short", path.display());
    }
    let [one, other] = [(); 2].map(|()| dice.below(pages) * size);
    let mut bytes = fs::read(&path).unwrap();
    for at in 0..size {
        bytes.swap(one + at, other + at);
    }
    fs::write(&path, bytes).unwrap();
    format!("{} at {one} and {other}, {size} bytes", path.display())
}

fn cut_off(store: &Copied, dice: &mut Dice) -> String {
    let path = file(store, dice);
    let len = place(len_of(&path), dice);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(len as u64).unwrap();
    format!("{} to {len}", path.display())
}

fn appended(store: &Copied, dice: &mut Dice) -> String {
    let path = file(store, dice);
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    let magnitude = dice.below(20);
    let len = 1 + dice.below(1 << magnitude);
    let byte = *dice.pick(&[0, 1, 0xff]);
    file.write_all(&vec![byte; len]).unwrap();
    format!("{}, {len} times {byte}", path.display())
}

fn removed(store: &Copied, dice: &mut Dice) -> String {
    if dice.below(8) == 0 {
        let path = store.path().join(dice.pick(&["sled", "sled/blobs"]));
        let _ = fs::remove_dir_all(&path);
        return path.display().to_string();
    }
    let path = file(store, dice);
    let _ = fs::remove_file(&path);
    path.display().to_string()
}

fn emptied(store: &Copied, dice: &mut Dice) -> String {
    let path = file(store, dice);
    let _ = File::create(&path);
    path.display().to_string()
}

fn older(store: &Copied, life: &Life, dice: &mut Dice, files: usize) -> String {
    let earlier = life.earlier(dice);
    let mut told = Vec::new();
    for _ in 0..files {
        let what = *dice.pick(&[
            "db", "db", "snap", "snap", "blobs", "conf", "COMMITS", "UNDO", "FORMAT", "SEAL",
        ]);
        told.push(format!("{what} of {}", earlier.display()));
        put_back(store, &earlier, what, dice);
    }
    told.join(", ")
}

/// Puts something back to what it was at an earlier time.
pub(crate) fn put_back(store: &Copied, earlier: &Path, what: &str, dice: &mut Dice) {
    let (from, to) = (earlier.join("sled"), store.path().join("sled"));
    match what {
        "db" | "conf" => drop(fs::copy(from.join(what), to.join(what))),
        "blobs" => {
            let _ = fs::remove_dir_all(to.join(what));
            copy(&from.join(what), &to.join(what));
        }
        "snap" => {
            let newer = named(&to, "snap.", dice);
            let Some(older) = named(&from, "snap.", dice) else {
                return;
            };
            // Under its own name beside the newer one, alone, or as if it were the newer one.
            let name = older.file_name().unwrap();
            match (dice.below(3), newer) {
                (0, Some(newer)) => drop(fs::copy(&older, newer)),
                (1, Some(newer)) => {
                    fs::remove_file(newer).unwrap();
                    fs::copy(&older, to.join(name)).unwrap();
                }
                _ => drop(fs::copy(&older, to.join(name))),
            }
        }
        ours => drop(fs::copy(earlier.join(ours), store.path().join(ours))),
    }
}

fn replaced(store: &Copied, dice: &mut Dice) -> String {
    let path = match dice.below(3) {
        // A name that is not taken, but looks like one of sled's or ours.
        0 => {
            let names = [
                "sled/blobs/0000000000000001",
                "sled/blobs/file",
                "sled/snap.7FFFFFFFFFFFFFFF",
                "sled/snap.file",
                "sled/heap",
                "sharing",
                "FORMAT.new",
                "file",
            ];
            store.path().join(dice.pick(&names))
        }
        1 => store.path().join(dice.pick(&["sled", "sled/blobs"])),
        _ => file(store, dice),
    };
    let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
    let what = *dice.pick(&[
        "a directory",
        "a link to itself",
        "a link to nothing",
        "a text",
    ]);
    let _ = match what {
        "a directory" => fs::create_dir_all(path.join("within")),
        "a link to itself" => symlink(&path, &path),
        "a link to nothing" => symlink("nothing", &path),
        _ => fs::write(&path, "a text\n"),
    };
    format!("{what} at {}", path.display())
}
