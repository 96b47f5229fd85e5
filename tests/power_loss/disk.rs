//! What a disk may hold when the power fails. It must not know what the files are.
//!
//! A file is what the last sync that ended covers, and a list of changes after it. The system keeps
//! a file's pages in memory and writes them when it likes: so each sector of 512 bytes may hold
//! what it was at any moment since that sync, whatever its neighbours hold. A file's size is
//! another such thing, and so is each name.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::choices::{Choices, Seeded};
use crate::journal::{Entry, Journal, index};

const SECTOR: usize = 512;
const PAGE: usize = 4096;

/// In which order names and sizes come to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metadata {
    /// Any of them without the others, as POSIX allows. A file may have grown to a size whose bytes
    /// were not written: they are zero.
    Any,
    /// In the order in which they were made, and what a file has grown by is written before its
    /// size, as ext4 does with `data=ordered`.
    Ordered,
}

/// The disk under a process that is running.
#[derive(Debug)]
pub(crate) struct Disk<'a> {
    journal: &'a Journal,
    /// How many entries of the journal have been done.
    done: usize,
    files: Vec<Contents>,
    /// The file of each inode.
    inodes: HashMap<u64, usize>,
    /// As the process sees them.
    names: Names,
    synced_names: Names,
    name_changes: Vec<(usize, NameChange)>,
    syncs: HashMap<u64, Sync>,
    /// Which syncs do nothing.
    is_ignored: IsIgnored,
}

/// What was below a directory before a process began to work in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Before {
    names: Names,
    files: Vec<Contents>,
    inodes: HashMap<u64, usize>,
}

/// What is found after the power failed.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    directories: Vec<PathBuf>,
    files: BTreeMap<PathBuf, Arc<Vec<u8>>>,
}

#[derive(Clone, Debug, Default)]
struct Contents {
    synced: Arc<Vec<u8>>,
    changes: Vec<(usize, Change)>,
}

#[derive(Clone, Debug)]
enum Change {
    Write {
        at: usize,
        bytes: std::ops::Range<usize>,
    },
    Resize(usize),
}

/// Whether the sync of a file or directory does nothing.
pub(crate) type IsIgnored = fn(&Path) -> bool;

type Names = BTreeMap<PathBuf, Node>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Directory,
    File(usize),
}

#[derive(Clone, Debug)]
enum NameChange {
    Add(PathBuf, Node),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, Node),
}

#[derive(Clone, Debug)]
struct Sync {
    began: usize,
    what: Synced,
}

#[derive(Clone, Debug)]
enum Synced {
    File(usize),
    Directory(PathBuf),
}

/// Which of a file's changes have come to the disk.
#[derive(Clone, Copy, Debug)]
enum Reach {
    Nothing,
    All,
    /// The first ones.
    First,
    /// Any of them.
    Some,
    /// Each page as it was at some moment.
    Pages,
    /// Each sector as it was at some moment.
    Sectors,
    /// The first ones, and some sectors of the next.
    Torn,
}

impl<'a> Disk<'a> {
    /// A disk that has this.
    pub(crate) fn new(journal: &'a Journal, before: Before) -> Self {
        Self {
            journal,
            done: 0,
            files: before.files,
            inodes: before.inodes,
            synced_names: before.names.clone(),
            names: before.names,
            name_changes: Vec::new(),
            syncs: HashMap::new(),
            is_ignored: |_| false,
        }
    }

    /// Syncs of these files and directories do nothing.
    pub(crate) fn ignoring(mut self, is_ignored: IsIgnored) -> Self {
        self.is_ignored = is_ignored;
        self
    }

    fn add_file(&mut self, inode: u64) -> usize {
        self.files.push(Contents::default());
        self.inodes.insert(inode, self.files.len() - 1);
        self.files.len() - 1
    }

    /// Does the entries before `end`.
    pub(crate) fn advance(&mut self, end: usize) {
        while self.done < end {
            let journal = self.journal;
            self.apply(&journal.entries[self.done]);
            self.done += 1;
        }
    }

    fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Create { inode, path } => {
                let file = self.add_file(*inode);
                self.change_names(NameChange::Add(path.clone(), Node::File(file)));
            }
            Entry::Write { inode, at, bytes } => {
                let change = Change::Write {
                    at: index(*at),
                    bytes: bytes.clone(),
                };
                self.change(*inode, change);
            }
            Entry::Resize { inode, len } => self.change(*inode, Change::Resize(index(*len))),
            Entry::Rename { from, to } => {
                let node = self.names[from];
                assert!(matches!(node, Node::File(_)), "a directory is renamed");
                self.change_names(NameChange::Rename(from.clone(), to.clone(), node));
            }
            Entry::Unlink(path) | Entry::RemoveDirectory(path) => {
                self.change_names(NameChange::Remove(path.clone()));
            }
            Entry::MakeDirectory(path) => {
                self.change_names(NameChange::Add(path.clone(), Node::Directory));
            }
            Entry::Link { from, to } => {
                let node = self.names[from];
                self.change_names(NameChange::Add(to.clone(), node));
            }
            Entry::SyncBegan { path, .. } if (self.is_ignored)(path) => {}
            Entry::SyncBegan {
                number,
                inode,
                path,
            } => {
                let what = match inode {
                    0 => Synced::Directory(path.clone()),
                    _ => Synced::File(self.inodes[inode]),
                };
                let began = self.done;
                self.syncs.insert(*number, Sync { began, what });
            }
            Entry::SyncEnded { number } => {
                if let Some(sync) = self.syncs.remove(number) {
                    self.end_sync(&sync);
                }
            }
            Entry::Mark(_) | Entry::SyncRange => {}
        }
    }

    fn change(&mut self, inode: u64, change: Change) {
        let file = self.inodes[&inode];
        self.files[file].changes.push((self.done, change));
    }

    fn change_names(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push((self.done, change));
    }

    fn end_sync(&mut self, sync: &Sync) {
        match &sync.what {
            Synced::File(file) => {
                let contents = &mut self.files[*file];
                let covered = contents
                    .changes
                    .iter()
                    .take_while(|(at, _)| *at < sync.began)
                    .count();
                let synced = Arc::make_mut(&mut contents.synced);
                for (_, change) in contents.changes.drain(..covered) {
                    change.apply(self.journal, synced);
                }
            }
            Synced::Directory(path) => {
                let synced_names = &mut self.synced_names;
                self.name_changes.retain(|(at, change)| {
                    let is_covered = *at < sync.began && change.is_in(path);
                    if is_covered {
                        change.apply(synced_names);
                    }
                    !is_covered
                });
            }
        }
    }

    /// The power fails now.
    pub(crate) fn cut(&self, metadata: Metadata, choices: &mut Seeded) -> Found {
        // Until when names and sizes are on the disk, where they come in order.
        let moment = match metadata {
            Metadata::Any => None,
            Metadata::Ordered => {
                let names = self.name_changes.first().map(|(at, _)| *at);
                let sizes = self.files.iter().filter_map(|file| file.changes.first());
                let first = names.or_else(|| sizes.map(|(at, _)| *at).min());
                let first = first.unwrap_or(self.done);
                let span = u32::try_from(self.done - first + 1).expect("a short journal");
                Some(first + choices.below(span) as usize)
            }
        };
        let mut names = self.synced_names.clone();
        let likelihood = choices.one_of(&[0, 1, 2, 3, 4]);
        for (at, change) in &self.name_changes {
            let is_there = match moment {
                Some(moment) => *at < moment,
                None => choices.happens(likelihood, 4),
            };
            if is_there {
                change.apply(&mut names);
            }
        }
        let mut found = Found {
            directories: Vec::new(),
            files: BTreeMap::new(),
        };
        let mut kept = HashMap::new();
        for (path, node) in &names {
            if !path.ancestors().skip(1).all(|above| {
                names.get(above) == Some(&Node::Directory) || !self.is_below_root(above)
            }) {
                continue;
            }
            match node {
                Node::Directory => found.directories.push(path.clone()),
                Node::File(file) => {
                    let kept = kept.entry(*file);
                    let kept = kept.or_insert_with(|| self.kept(*file, moment, choices));
                    found.files.insert(path.clone(), kept.clone());
                }
            }
        }
        found
    }

    fn is_below_root(&self, path: &Path) -> bool {
        let root = self.synced_names.keys().next().expect("the root");
        path.starts_with(root)
    }

    /// What the disk has of a file.
    fn kept(&self, file: usize, moment: Option<usize>, choices: &mut Seeded) -> Arc<Vec<u8>> {
        let contents = &self.files[file];
        let changes = &contents.changes;
        if changes.is_empty() {
            return contents.synced.clone();
        }
        let count = changes.len();
        // After 0 changes, after 1, …
        let mut lens = vec![contents.synced.len()];
        for (_, change) in changes {
            lens.push(change.len_after(lens[lens.len() - 1]));
        }
        let longest = lens.iter().copied().max().unwrap_or(0);
        let mut versions = versions(changes, longest.div_ceil(SECTOR), choices);
        let some = |choices: &mut Seeded| choices.below(u32::try_from(count + 1).unwrap()) as usize;
        let sized = match moment {
            Some(moment) => changes.iter().take_while(|(at, _)| *at < moment).count(),
            None if choices.happens(1, 2) => versions.iter().copied().max().unwrap_or(0),
            None => some(choices),
        };
        if moment.is_some() {
            // What is new to the file was written before its size was.
            let first_new = contents.synced.len() / SECTOR;
            for version in versions.iter_mut().skip(first_new) {
                *version = (*version).max(sized);
            }
        }
        let mut kept = contents.synced.to_vec();
        kept.resize(longest.div_ceil(SECTOR) * SECTOR, 0);
        for (number, (_, change)) in changes.iter().enumerate() {
            let range = match change {
                Change::Write { at, bytes } => *at..*at + bytes.len(),
                Change::Resize(len) => *len..kept.len(),
            };
            let end = range.end.div_ceil(SECTOR);
            let sectors = versions.iter().enumerate().take(end);
            for (sector, version) in sectors.skip(range.start / SECTOR) {
                if number >= *version {
                    continue;
                }
                let from = range.start.max(sector * SECTOR);
                let to = range.end.min((sector + 1) * SECTOR);
                match change {
                    Change::Write { at, bytes } => kept[from..to]
                        .copy_from_slice(&self.journal.bytes(bytes)[from - at..to - at]),
                    Change::Resize(_) => kept[from..to].fill(0),
                }
            }
        }
        kept.truncate(lens[sized]);
        kept.resize(lens[sized], 0);
        Arc::new(kept)
    }
}

impl Before {
    pub(crate) fn of(root: &Path) -> Self {
        let mut before = Self::default();
        before.take_in(root);
        before
    }

    fn take_in(&mut self, directory: &Path) {
        self.names.insert(directory.to_owned(), Node::Directory);
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.take_in(&path);
            } else {
                let inode = fs::metadata(&path).unwrap().ino();
                self.inodes.insert(inode, self.files.len());
                self.names
                    .insert(path.clone(), Node::File(self.files.len()));
                self.files.push(Contents {
                    synced: Arc::new(fs::read(&path).unwrap()),
                    changes: Vec::new(),
                });
            }
        }
    }
}

impl Found {
    /// Puts what was below `root` to `place`, which there is not yet.
    pub(crate) fn write(&self, root: &Path, place: &Path) {
        fs::create_dir(place).unwrap();
        let moved = |path: &Path| place.join(path.strip_prefix(root).unwrap());
        for directory in self.directories.iter().filter(|path| *path != root) {
            fs::create_dir(moved(directory)).unwrap();
        }
        for (path, bytes) in &self.files {
            let mut file = File::create(moved(path)).unwrap();
            file.set_len(bytes.len() as u64).unwrap();
            // Without the zeros, which are most of it.
            for (number, page) in bytes.chunks(PAGE).enumerate() {
                if page.iter().any(|byte| *byte != 0) {
                    let at = SeekFrom::Start((number * PAGE) as u64);
                    file.seek(at).unwrap();
                    file.write_all(page).unwrap();
                }
            }
        }
    }
}

impl Change {
    fn len_after(&self, before: usize) -> usize {
        match self {
            Self::Write { at, bytes } => before.max(at + bytes.len()),
            Self::Resize(len) => *len,
        }
    }

    fn apply(&self, journal: &Journal, contents: &mut Vec<u8>) {
        contents.resize(self.len_after(contents.len()), 0);
        if let Self::Write { at, bytes } = self {
            contents[*at..at + bytes.len()].copy_from_slice(journal.bytes(bytes));
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Add(path, node) => {
                names.insert(path.clone(), *node);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
            Self::Rename(from, to, node) => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
        }
    }

    fn is_in(&self, directory: &Path) -> bool {
        match self {
            Self::Add(path, _) | Self::Remove(path) => path.parent() == Some(directory),
            Self::Rename(from, to, _) => {
                from.parent() == Some(directory) || to.parent() == Some(directory)
            }
        }
    }
}

/// After how many changes each sector came to the disk for the last time.
fn versions(changes: &[(usize, Change)], sectors: usize, choices: &mut Seeded) -> Vec<usize> {
    let count = changes.len();
    let some = |choices: &mut Seeded| choices.below(u32::try_from(count + 1).unwrap()) as usize;
    let reach = choices.one_of(&[
        Reach::Nothing,
        Reach::All,
        Reach::First,
        Reach::Some,
        Reach::Some,
        Reach::Pages,
        Reach::Sectors,
        Reach::Torn,
    ]);
    match reach {
        Reach::Nothing => vec![0; sectors],
        Reach::All => vec![count; sectors],
        Reach::First => vec![some(choices); sectors],
        Reach::Some => {
            let mut versions = vec![0; sectors];
            let likelihood = 1 + choices.below(7);
            for (number, (_, change)) in changes.iter().enumerate() {
                if choices.happens(likelihood, 8) {
                    let touched = match change {
                        Change::Write { at, bytes } => {
                            at / SECTOR..(at + bytes.len()).div_ceil(SECTOR)
                        }
                        Change::Resize(len) => len / SECTOR..sectors,
                    };
                    versions[touched.start.min(sectors)..touched.end].fill(number + 1);
                }
            }
            versions
        }
        Reach::Pages => {
            let mut versions = Vec::with_capacity(sectors);
            while versions.len() < sectors {
                let version = some(choices);
                versions.extend([version; PAGE / SECTOR]);
            }
            versions.truncate(sectors);
            versions
        }
        Reach::Sectors => (0..sectors).map(|_| some(choices)).collect(),
        Reach::Torn => {
            let whole = choices.below(u32::try_from(count).unwrap()) as usize;
            let sector = |_| whole + usize::from(choices.happens(1, 2));
            (0..sectors).map(sector).collect()
        }
    }
}
