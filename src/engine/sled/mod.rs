//! sled as an [`Engine`]. The only folder that names sled; it must not know what it stores.
//!
//! What sled 0.34 does not do itself is done here: one owner with a name, a refusal to touch
//! what is newer or foreign, durability beyond the end of the process, and noticing what was lost.

mod examined;
mod failure;
mod files;
mod handles;
mod items;
mod log;
mod prepared;
mod seal;
mod survey;
mod tail;
mod transactions;

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;
use std::{fmt, io, mem};

use sled::IVec;
use sled::transaction::{TransactionError, Transactional};

use self::examined::{Examined, examine, seal_closed};
use self::failure::{Failure, guarded};
use self::files::{Durable, remove_unfinished, wait_until_closed, wait_until_unlocked};
use self::handles::Handles;
use self::items::Items;
use self::log::LOG;
use self::prepared::{
    Abort, COUNTS, Prepared, Purpose, ROOM_FOR_BUFFERS, ROOM_FOR_LITTLE, Refused,
};
use self::seal::{Seal, Sealed};
use self::transactions::Transactions;
use super::acknowledged::Acknowledged;
use super::directory::{DATA, Directory, create_inside, identity, unusable};
use super::disk::{Disk, Use, expect_room_at, is_lack_of_room};
use super::undo::{Found, OldValue, UndoJournal};
use super::{
    Bytes as ValueBytes, Commit, CommitOutcome, Durability, Engine, Key, Scan, Space, Value, joined,
};
use crate::concat::ROOM;
use crate::error::{Error, ErrorKind, Result};

/// What a value of sled is.
pub(super) type Bytes = IVec;

/// Part of the layout: sled opens no log with segments of another size.
///
/// Measured over 2,000 courses of ten records each, 260 MB in values of 4 to 12 KB and of 120 KB,
/// all of them loaded and then rewritten five times in changing orders: what that takes on disk,
/// in how many files, and how long opening takes afterwards (0.05 s once it has been opened).
///
/// | segment | loaded | rewritten | files | open |
/// |---|---|---|---|---|
/// | 256 KiB | 1.3 × | 2.1 × | 2,000 | 0.5 s |
/// | **512 KiB** | **1.4 ×** | **2.6 ×** | **200** | **0.8 s** |
/// | 1 MiB | 1.3 × | 2.9 × | 180 | 0.9 s |
/// | 2 MiB | 1.4 × | 3.4 × | 120 | 1.1 s |
/// | 8 MiB | 1.6 × | 4.6 × | 2 | 4 s |
const SEGMENT_BYTES: usize = 512 << 10;

/// How much sled may have written to its log since that was last brought to the disk, as
/// [`Prepared::log_bytes`] estimates it. The next commit is preceded by a sync where there would be
/// more. Half a segment, for two reasons.
///
/// The head of a segment says up to where the log is safe, and sled believes it: it frees what was
/// replaced before, removes files, and does not look for gaps there when it is opened. What it takes
/// for safe is what was written when the segment was begun: the one before, or part of it. So what is
/// not synced must not fill a segment.
///
/// And sled 0.34 can come to a stand when it is not told to write: whoever needs a new segment
/// waits, with a lock, for one of sled's threads to shorten the log, and all of them may be waiting
/// for that lock after writing a buffer. Measured over buffered commits of 28 KB that rewrite each
/// other, on 2 shared cores: without a limit and with one of 1 MiB in values they came to a stand
/// after 4,000 to 24,000 of them, each time; with one of 64 KiB never in 40,000, nor in 120,000. It
/// is less likely so, and not impossible.
const MAX_BACKLOG: u64 = SEGMENT_BYTES as u64 / 2;

/// How often a commit that is about to be synced lets those go first who wait to commit: they
/// become durable with it.
const GROUP_YIELDS: u32 = 32;

/// How long a flush may take that is to tell whether sled still writes.
const PATIENCE: Duration = Duration::from_secs(10);

const WAY_OUT: &str = "restore a backup, or import the courses, into a new directory";

/// How a [`SledEngine`] uses memory.
#[derive(Clone, Debug)]
pub struct SledOptions {
    cache_bytes: u64,
}

/// An [`Engine`] in a directory, for one process at a time.
/// [`SharedEngine`](super::SharedEngine) is for several.
///
/// **Disk**: about 1.4 times the data after loading and 2.6 times when all of it was rewritten
/// often. It is not given back. 8 MiB more are kept for taking back a failed commit.
///
/// **Memory**: [`SledOptions::cache_bytes`] and more. sled keeps up to 16 neighbouring values in
/// one page and notes up to 16,384 reads of pages before it looks at the size of its cache: a
/// store of fewer values than 16 × 16,384 can come to be in memory as a whole (measured: 750 MB
/// after reading 778 MB, with a cache of 16 MB as with one of 512 MB).
///
/// **Time** (2 shared cores, virtual disk): a hot get 0.4 µs; a small commit 12 µs, durable
/// 0.34 ms; 11 records of 8 KB, durable, 0.9 ms. A durable commit looks at the names of all files
/// of large values, some 0.5 µs each.
///
/// **Durability**: sled alone survives the end of the process (0.2 ms), and not that of the machine:
/// on Linux it writes its log with `sync_file_range`, and large values without any care. Here
/// `fdatasync` of the log follows each durable commit, and what sled must not do before is kept from
/// it:
///
/// - Large values and their names are brought to the disk before the log that refers to them. The
///   log may still overtake those of commits that nobody waits for, since sled fills and writes
///   segments by itself; sled would go on without them after a power failure, and with everything
///   later. The next opening ends the log before the first value that was lost.
/// - sled removes and writes over what it believes to have replaced on the disk. So no more than half
///   a segment of the log is ever left unsynced, by an estimate, also where nobody asks for it; and
///   nothing is committed while a sync is under way.
/// - sled builds on what it reads when it is opened: all of that is synced before.
/// - The names of the store's files are synced, and that of the store itself.
///
/// What is buffered is lost from its end: the first commits of it are kept, each of them whole. No
/// thread writes in the background: what is buffered stays so until there is half a segment of it,
/// a durable commit, a flush or the drop.
///
/// *What shows it*: `tests/power_loss` records what a process asks of the file system, and opens the
/// store as a disk may hold it when the power fails at any moment: with everything that a completed
/// sync of that file or directory covers, and of what came after it any sector of 512 bytes as it
/// was at any time, any size, any name; or with names and sizes in order, as ext4 keeps them. Also
/// when the power fails again in the recovery from the first time. *What it does not show*: disks
/// that call safe what is not, or that damage what they do not write; file systems that sync less
/// than they say; and, since all of it is chance, whatever is much rarer than the tests are
/// long. The estimate is none of sled's: a commit of small values may write more of the log than it
/// is taken for, while sled rearranges much larger ones beside them.
///
/// **Place**: the directory and sled's log are known by device, inode and, where the file system
/// tells it, the time when they were made. What puts a whole file system back goes unnoticed.
///
/// **Readers** take no lock and never wait for a commit to become durable. One that overlaps the
/// moment at which a commit becomes visible waits for that moment's end, some 10 µs.
///
/// **A full disk**: before a commit the engine looks whether its disk has room, whether files can be
/// opened and whether its directory is where it was. If not, it gives nothing to sled: the error is
/// [`ErrorKind::NoRoom`] or, for the directory, [`ErrorKind::Storage`], reads go on, and the next
/// commit is welcome once the cause is gone. What sled may need is more than what it is given, so
/// that 8 MiB and 8 times the commit's bytes must be left; 6 MiB for a commit of at most 64 KiB (a
/// lease, a task); 4 MiB for one that only deletes. A full disk does not keep a store from being
/// opened and read: what opening needs is lent from those 8 MiB. Deleting gives little back to the
/// file system; what it frees is used again by what is written once the disk has room.
///
/// **Failed writes**: what cannot be seen beforehand fails in sled: a quota, a limit on the size of
/// files, another process that takes the last room just then, a disk that is broken. Then the
/// engine refuses everything, reads too, and keeps the store locked until the process ends. After
/// a value could not be written to a file of its own, sled waits for ever for all that it was given
/// with it or later: whoever closes it, and whoever reads what has left its cache. The next opening
/// takes back what the failed commit has left behind.
///
/// **Damage**: sled panics on some of it. These panics are caught, unless the host aborts on panic,
/// and become [`ErrorKind::Damaged`]; the host's panic hook still sees them. A damaged value is an
/// error where it or one of its neighbours is read or written; a scan tells it and goes on behind it
/// (some 1,000 reads to find where that is). sled takes damage in what was written since the last
/// opening for the end of its log, or leaves it out, without a word. So its files are looked at
/// before it has them: that part of the log and its large values are read once more, and compared
/// with what `COMMITS` and `SEAL` say of the last opening and closing. A store that has lost
/// something that was called durable, or whose files are older copies, does not open, and nothing
/// of it is changed. Not noticed is an older copy of everything, or of sled's files together with
/// damage to both `COMMITS` and `SEAL`; and, after a process that did not close its store, the loss
/// of whole segments of the log.
pub struct SledEngine {
    /// `None` while the engine is dropped.
    handles: Option<Handles>,
    /// Held while something is committed, flushed or synced. When sled has failed, nobody must
    /// flush: it would wait for ever for what was not written, and every other use of sled in the
    /// process for it. And nothing may be written after what is not synced yet, see
    /// [`MAX_BACKLOG`].
    writing: Mutex<()>,
    /// How many wait for it to commit.
    waiting: AtomicU32,
    transactions: Transactions,
    /// Whether sled has failed. A transaction that fails sets it before it ends, for the readers who
    /// wait for that.
    has_stopped: AtomicBool,
    /// The number of the last commit that is visible.
    applied: AtomicU64,
    /// How much there may be in the log, or yet to come to it, that is not synced.
    backlog: AtomicU64,
    /// The longest values that were seen in each of the maps.
    longest: [AtomicU64; 4],
    durable: Mutex<Durable>,
    journal: UndoJournal,
    disk: Disk,
    options: SledOptions,
    place: String,
    seal: Seal,
    /// Last, because its drop releases the lock.
    directory: Directory,
}

impl Default for SledOptions {
    /// A cache of 256 MiB.
    fn default() -> Self {
        Self {
            cache_bytes: 256 << 20,
        }
    }
}

impl SledOptions {
    /// How much sled keeps in memory of what it has read and written, roughly; see [`SledEngine`]
    /// for how roughly. A hot value takes 0.3 µs, one that is read again from the system's cache
    /// 30 to 200 µs.
    #[must_use]
    pub const fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }
}

impl SledEngine {
    /// Opens the store at `path`, and makes one if there is nothing at `path` or an empty directory.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::OpenElsewhere`]: this process or another one has it open.
    /// - [`ErrorKind::TooNew`]: it has a layout that only newer releases know. Nothing was touched.
    /// - [`ErrorKind::Damaged`]: sled cannot open its files, commits are gone that were called
    ///   durable, or half a commit cannot be taken back.
    /// - [`ErrorKind::Storage`]: there is something else at `path`, or the file system refuses.
    pub fn open(path: &Path, options: &SledOptions) -> Result<Self> {
        Self::open_in(Directory::open(path)?, options)
    }

    /// Opens the store in a directory that is locked already.
    pub(super) fn open_in(directory: Directory, options: &SledOptions) -> Result<Self> {
        let path = &directory.path().to_owned();
        let data = path.join(DATA);
        create_inside(path, &data)?;
        wait_until_closed(path, &data)?;
        let removed = remove_unfinished(&data);
        removed.map_err(|error| unusable(path, "cannot be cleaned up", error))?;
        let refused = |error| unusable(path, "cannot be brought to the disk", error);
        let acknowledged = Acknowledged::open(path).map_err(refused)?;
        let seal = Seal::new(path);
        let Examined {
            aside,
            lost: lost_blob,
            opening,
        } = examine(path, &data, &seal, &acknowledged)?;
        let (journal, unfinished) = UndoJournal::open(path).map_err(refused)?;
        if !data.join(LOG).exists() {
            // sled would leave parts of itself behind.
            let room = expect_room_at(path, ROOM_FOR_LITTLE);
            room.inspect_err(|_| drop(journal.lend_room(&unfinished)))?;
        }
        // sled notes what it has read as safe, and builds on it.
        let mut durable = Durable::open(path, &data, acknowledged).map_err(refused)?;
        durable.files.sync_all(&data).map_err(refused)?;
        let ended = lost_blob.map_or(Ok(()), |blob| tail::end_before(&blob));
        ended.map_err(|error| unusable(path, "cannot be read", error))?;
        let opened = aside.while_away(|| match guarded(|| Handles::open(&data, options)) {
            // It writes a snapshot first, and takes the old one away then.
            Err(failure) if failure.is_lack_of_room() => {
                journal.lend_room(&unfinished).map_err(refused)?;
                wait_until_closed(path, &data)?;
                remove_unfinished(&data).map_err(refused)?;
                Ok(guarded(|| Handles::open(&data, options)))
            }
            opened => Ok(opened),
        });
        let opened: Result<_> =
            opened.map_err(|error| unusable(path, "cannot be cleaned up", error))?;
        let (handles, count) =
            opened?.map_err(|failure| failure.into_error(path, "cannot be opened"))?;
        durable.files.sync_all(&data).map_err(refused)?;
        let disk = Disk::new(path, data.join(LOG), &durable.files.log).map_err(refused)?;
        let acknowledged = durable.acknowledged.count();
        // A restore may leave the directory in its place and bring another log.
        let place = identity(path)
            .and_then(|directory| Ok(format!("{directory} {}", identity(&data.join(LOG))?)))
            .map_err(|error| unusable(path, "cannot be identified", error))?;
        let engine = Self {
            handles: Some(handles),
            writing: Mutex::default(),
            transactions: Transactions::default(),
            has_stopped: AtomicBool::new(false),
            applied: AtomicU64::new(count),
            waiting: AtomicU32::new(0),
            backlog: AtomicU64::new(0),
            longest: Default::default(),
            durable: Mutex::new(durable),
            journal,
            disk,
            options: options.clone(),
            place,
            seal,
            directory,
        };
        if count < acknowledged {
            return Err(lost(path, acknowledged, count));
        }
        engine.take_back(unfinished)?;
        engine.flush()?;
        let sealed = engine.begin(opening);
        sealed.map_err(|error| unusable(path, "cannot be sealed", error))?;
        Ok(engine)
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes down which opening this is, and what sled has made of its files.
    fn begin(&self, opening: u64) -> io::Result<()> {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        durable.acknowledged.begin(opening)?;
        let sealed = self.seal.write(&Sealed {
            opening,
            snapshot: survey::snapshot(&self.path().join(DATA))?,
            log: None,
        });
        match sealed {
            // Without it, less is noticed, which is no reason not to be read.
            Err(error) if is_lack_of_room(&error) => Ok(()),
            sealed => sealed,
        }
    }

    /// Reads with sled. That can fail to write, too: sled tidies its pages as it meets them.
    fn read<T>(&self, call: impl FnOnce(&Handles) -> sled::Result<T>) -> Result<T> {
        let handles = self.running()?;
        let before = self.transactions.count();
        let found = guarded(|| call(handles));
        if !self.transactions.none_since(before) {
            self.transactions.wait();
            self.running()?;
        }
        found.map_err(|failure| self.failed(failure))
    }

    /// Writes with sled, all or nothing. Returns the number of the commit.
    fn write(&self, prepared: &Prepared<'_>) -> Result<Result<u64, Refused>> {
        let _writing = self.writing_within_limit(prepared)?;
        let handles = self.running()?;
        self.expect_room(prepared)?;
        let old_values = RefCell::new(Vec::new());
        // Until then, sled has only read.
        let is_writing = Cell::new(false);
        let under_way = self.transactions.begin();
        let transacted = guarded(|| {
            let committed = handles
                .all()
                .transaction(|(records, courses, control, counts)| {
                    let trees = [records, courses, control, counts];
                    let count = prepared.run(trees, &mut old_values.borrow_mut())?;
                    is_writing.set(true);
                    Ok(count)
                });
            match committed {
                Ok(count) => Ok(Ok(count)),
                Err(TransactionError::Abort(Abort::Refused(refused))) => Ok(Err(refused)),
                Err(
                    TransactionError::Abort(Abort::Unreadable(error))
                    | TransactionError::Storage(error),
                ) => Err(error),
            }
        });
        match transacted {
            Ok(Ok(count)) => {
                self.applied.fetch_max(count, Ordering::AcqRel);
                self.note_lengths(prepared, &old_values.borrow());
                let added = prepared.log_bytes(&self.longest);
                self.backlog.fetch_add(added, Ordering::AcqRel);
                drop(under_way);
                self.tidy(handles, prepared)?;
                Ok(Ok(count))
            }
            Ok(Err(refused)) => Ok(Err(refused)),
            Err(failure) if is_writing.get() => {
                if prepared.purpose == Purpose::Commit {
                    // If this fails too, the journal says so.
                    let _ = self.journal.record(&old_values.borrow());
                }
                Err(self.stop(failure))
            }
            Err(failure) => Err(self.failed(failure)),
        }
    }

    /// Refuses a commit while it would be the last one.
    fn expect_room(&self, prepared: &Prepared<'_>) -> Result<()> {
        let room = prepared.room() + self.journal.lacks();
        self.disk.expect_room(room, Use::Commit)?;
        let made = self.journal.make_room();
        made.map_err(|error| unusable(self.path(), "was not written to", error))
    }

    /// Has sled divide and unite its pages now, while there is room for it. Else it does so when
    /// they are read next, be the disk full then or not.
    fn tidy(&self, handles: &Handles, prepared: &Prepared<'_>) -> Result<()> {
        let visited = guarded(|| {
            prepared.writes.iter().try_for_each(|(map, key, _)| {
                let tree = handles.all_of(*map);
                tree.map_or(Ok(()), |tree| tree.contains_key(key).map(drop))
            })
        });
        match visited {
            Err(failure) if !failure.is_damage() => Err(self.stop(failure)),
            _ => Ok(()),
        }
    }

    /// Syncs first where a commit would make that too much which is not synced.
    fn writing_within_limit(&self, prepared: &Prepared<'_>) -> Result<MutexGuard<'_, ()>> {
        loop {
            self.waiting.fetch_add(1, Ordering::AcqRel);
            let writing = self.writing();
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            let backlog = self.backlog.load(Ordering::Acquire);
            if backlog == 0 || backlog + prepared.log_bytes(&self.longest) <= MAX_BACKLOG {
                return Ok(writing);
            }
            // Whoever makes durable takes the other lock first.
            drop(writing);
            self.flush()?;
        }
    }

    fn note_lengths(&self, prepared: &Prepared<'_>, old_values: &[OldValue<IVec>]) {
        let new = prepared.writes.iter().map(|(map, _, value)| (map, value));
        let old = old_values.iter().map(|old| (&old.map, &old.value));
        for (map, value) in new.chain(old) {
            if let (Some(longest), Some(value)) = (self.longest.get(usize::from(*map)), value) {
                longest.fetch_max(value.len() as u64, Ordering::AcqRel);
            }
        }
    }

    /// Takes back what a failed commit has left half done.
    fn take_back(&self, unfinished: Found) -> Result<()> {
        let cleared = |cleared: io::Result<()>| {
            cleared.map_err(|error| unusable(self.path(), "cannot be written", error))
        };
        let old_values = match unfinished {
            Found::Nothing => return Ok(()),
            Found::OldValues(old_values) => old_values,
            Found::Unfinished => {
                let message = format!(
                    "the store at {} has half a commit that cannot be taken back; {WAY_OUT}",
                    self.path().display()
                );
                return Err(Error::new(ErrorKind::Damaged, message));
            }
        };
        if is_outdated(&old_values, self.applied.load(Ordering::Acquire)) {
            return cleared(self.journal.clear());
        }
        let prepared = Prepared::undoing(&old_values);
        // It has no preconditions, and so is not refused.
        let _ = self.write(&prepared)?;
        self.flush()?;
        cleared(self.journal.clear())
    }

    fn make_durable(&self, count: u64) -> Result<()> {
        // Whoever waits here finds its commit durable with those of others.
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if count <= durable.count {
            return Ok(());
        }
        for _ in 0..GROUP_YIELDS {
            if self.waiting.load(Ordering::Acquire) == 0 {
                break;
            }
            thread::yield_now();
        }
        let _writing = self.writing();
        let handles = self.running()?;
        // Nothing may have been written since a store was opened on a full disk.
        if self.backlog.load(Ordering::Acquire) > 0 {
            self.disk.expect_room(ROOM_FOR_BUFFERS, Use::Flush)?;
        }
        let visible = self.applied.load(Ordering::Acquire);
        // sled leaves out what refers to a file that is missing, and has half a commit then: so
        // these come first.
        let blobs = durable.files.sync_blobs();
        blobs.map_err(|error| self.stop(Failure::Sled(error.into())))?;
        let flushed = guarded(|| handles.db.flush());
        flushed.map_err(|failure| self.stop(failure))?;
        let advanced = durable.advance(visible);
        advanced.map_err(|error| self.stop(Failure::Sled(error.into())))?;
        self.backlog.store(0, Ordering::Release);
        Ok(())
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        // Nobody panics while holding it: what sled does is caught.
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> Result<&Handles> {
        let handles = self.handles.as_ref();
        let handles = handles.filter(|_| !self.has_stopped.load(Ordering::Acquire));
        handles.ok_or_else(|| self.stopped())
    }

    #[cold]
    fn stopped(&self) -> Error {
        let message = format!(
            "the store at {} has stopped after a failed write until this process ends",
            self.path().display()
        );
        Error::new(ErrorKind::Storage, message)
    }

    /// What cannot be read is no reason to stop.
    fn failed(&self, failure: Failure) -> Error {
        if failure.is_damage() || failure.is_lack_of_files() && self.still_writes() {
            failure.into_error(self.path(), "has a value that cannot be read")
        } else {
            self.stop(failure)
        }
    }

    /// Whether sled goes on after it could not open a file, which may have been one to write to: a
    /// flush fails then, or never ends.
    fn still_writes(&self) -> bool {
        let Ok(handles) = self.running() else {
            return false;
        };
        let db = handles.db.clone();
        let (done, is_done) = mpsc::channel();
        let flushing = thread::Builder::new().spawn(move || done.send(db.flush().is_ok()));
        flushing.is_ok() && is_done.recv_timeout(PATIENCE) == Ok(true)
    }

    /// Nothing is done with sled any more, not even closing it.
    fn stop(&self, failure: Failure) -> Error {
        self.has_stopped.store(true, Ordering::Release);
        let message = format!(
            "the store at {} could not be written and has stopped until this process ends",
            self.path().display()
        );
        failure.cause_of(Error::new(ErrorKind::Storage, message))
    }
}

impl Engine for SledEngine {
    fn get(&self, key: Key<'_>) -> Result<Option<Value>> {
        let mut room = ROOM;
        let joined = key.joined_in(&mut room)?;
        // Moved once: handing it through every layer of `read` costs some 15 ns.
        let mut value = None;
        self.read(|handles| {
            value = handles.tree(key.space).get(joined)?.map(Value::from);
            Ok(())
        })?;
        Ok(value)
    }

    fn scan(&self, space: Space, partition: Option<&[u8]>) -> Scan<'_> {
        let prefix = partition.map_or(Ok(Vec::new()), |partition| joined(partition, b""));
        let items = prefix.and_then(|prefix| Items::new(self, space, prefix));
        match items {
            Ok(items) => Box::new(items),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }

    fn commit(
        &self,
        partition: &[u8],
        commit: &Commit,
        durability: Durability,
    ) -> Result<CommitOutcome> {
        let prepared = Prepared::new(partition, commit)?;
        match self.write(&prepared)? {
            Ok(count) => {
                if durability == Durability::Durable {
                    self.make_durable(count)?;
                }
                Ok(CommitOutcome::Applied)
            }
            Err(Refused { precondition }) => Ok(CommitOutcome::Refused { precondition }),
        }
    }

    fn flush(&self) -> Result<()> {
        self.read(|_| Ok(()))?;
        self.make_durable(self.applied.load(Ordering::Acquire))
    }

    fn disk_bytes(&self) -> Result<u64> {
        let bytes = bytes_under(self.path());
        bytes.map_err(|error| unusable(self.path(), "cannot be measured", error))
    }

    fn place(&self) -> Result<String> {
        Ok(self.place.clone())
    }

    fn describe(&self) -> String {
        let cache = self.options.cache_bytes >> 20;
        format!("sled 0.34 at {} (cache {cache} MiB)", self.path().display())
    }
}

/// sled's own would print everything that it holds.
impl fmt::Debug for SledEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledEngine")
            .field("path", &self.path())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Drop for SledEngine {
    fn drop(&mut self) {
        // There is nobody to tell. What is lost was not called durable.
        let flushed = self.flush();
        let handles = self.handles.take();
        if self.has_stopped.load(Ordering::Acquire) {
            mem::forget(handles);
            self.directory.lock_until_exit();
            return;
        }
        let _ = guarded(|| {
            drop(handles);
            Ok(())
        });
        // Only then may the lock go, so that whoever opens the store next finds it closed. At the
        // path may be another store by now.
        let durable = self.durable.get_mut();
        let durable = durable.unwrap_or_else(PoisonError::into_inner);
        let closed = wait_until_unlocked(self.directory.path(), &durable.files.log);
        if flushed.and(closed).is_ok()
            && self.directory.is_in_place()
            && let Some(opening) = durable.acknowledged.opening()
        {
            // Without it, less is noticed.
            let data = self.directory.path().join(DATA);
            let _ = seal_closed(&data, &durable.files.log, &self.seal, opening);
        }
    }
}

impl From<IVec> for Value {
    fn from(bytes: IVec) -> Self {
        Self(ValueBytes::Sled(bytes))
    }
}

fn lost(path: &Path, acknowledged: u64, found: u64) -> Error {
    let message = format!(
        "the store at {} has lost {} of {acknowledged} commits that were durable; {WAY_OUT}",
        path.display(),
        acknowledged - found
    );
    Error::new(ErrorKind::Damaged, message)
}

/// Whether a journal is of a commit before the last one, which cannot have been left half done:
/// somebody has put an older copy of the file in its place.
fn is_outdated(old_values: &[OldValue<Vec<u8>>], count: u64) -> bool {
    let counts = old_values.iter().rev().find(|old| old.map == COUNTS);
    let before = counts.and_then(|old| old.value.as_deref());
    let before = before.map_or(Some(0), |before| {
        before.try_into().ok().map(u64::from_le_bytes)
    });
    before.is_some_and(|before| before.saturating_add(1) < count)
}

fn bytes_under(path: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        bytes += match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_under(&entry.path())?,
            Ok(metadata) => metadata.len(),
            // sled removes files as it goes.
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
    }
    Ok(bytes)
}
