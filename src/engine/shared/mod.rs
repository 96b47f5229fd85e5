//! An engine that several processes use at the same time. It must not know what is stored.
//!
//! Whoever gets hold of the store opens it and is its *owner*: it serves the others, its *guests*,
//! through a socket in the store's directory. When the owner ends, a guest that needs the store
//! becomes the owner.

mod connection;
mod protocol;
mod server;
mod socket;

use std::borrow::Cow;
use std::path::{self, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use std::{fmt, io, iter, thread, vec};

use self::connection::{Broken, Connection, Unconnected};
use self::protocol::{Reply, Request, Rest};
use self::server::Server;
use super::directory::{Directory, identity, unusable};
use super::{
    Commit, CommitOutcome, Durability, Engine, Item, Key, Scan, SledEngine, SledOptions, Space,
    Value,
};
use crate::error::{Error, ErrorKind, Result};

/// How long each time to wait for the process that has the store, and how often: 0.5 s for one
/// that is about to share it or has no room; 15 s for one that has shared it and is ending, which
/// takes as long as sled takes to close.
const WAIT: Duration = Duration::from_millis(5);
const WAITS: u32 = 100;
const WAITS_FOR_END: u32 = 3_000;

/// How many owners in a row may end before they answer.
const MAX_BROKEN: u32 = 20;

/// More connections than this are closed when nobody uses them.
const MAX_IDLE: usize = 4;

/// An [`Engine`] in a directory, for any number of processes of one machine at a time.
///
/// One of them, the *owner*, has the store open as a [`SledEngine`] and serves the others, its
/// *guests*, through the socket `sharing/SOCKET` in the store's directory. When the owner drops its
/// engine or is killed, the guest that needs the store first opens it and is the owner from then
/// on; the others go to it. Nobody has to be told. All of them are processes of one user.
///
/// **Durability**: what a guest has read or committed is durable, whatever was asked for, so that
/// the end of an owner takes back nothing that a guest relies on. What the owner itself commits
/// [`Buffered`](Durability::Buffered) is brought to the disk as soon as a guest reads anything.
///
/// **The end of an owner**: what a guest reads is read again from the next one, but for a scan
/// that has begun. That is an error of the kind [`Storage`](ErrorKind::Storage), and so is a commit
/// or a flush that was not answered, which may or may not have been made; whatever is called after
/// it goes to the next owner. An owner that drops its engine answers what it was asked before.
///
/// **Time** (2 shared cores; `cargo bench --bench sharing`): a guest's hot get takes 5 µs (0.3 µs for
/// the owner), one of 1 MB 1.2 ms; a scan of small values 2.5 times as long as the owner's; a
/// commit as long as a durable one of the owner.
///
/// **Memory**: a scan has a batch of 64 KiB (or one value, if that is larger) in memory on either
/// side. What is sent at once is limited to 512 MiB.
///
/// An owner that is suspended makes the others wait. Where the directory cannot have a socket, the
/// owner has the store for itself, which [`describe`](Engine::describe) says.
pub struct SharedEngine {
    store: PathBuf,
    options: SledOptions,
    /// Set once this process is the owner.
    owned: OnceLock<Owned>,
    /// Held while this process tries to become the owner.
    opening: Mutex<()>,
    guest: Mutex<Guest>,
}

/// What an owner has.
#[derive(Debug)]
struct Owned {
    /// First, because its drop ends the threads that use the engine.
    server: io::Result<Server>,
    engine: Arc<SledEngine>,
}

/// What a guest has.
#[derive(Debug, Default)]
struct Guest {
    /// Connections that nobody uses.
    idle: Vec<Connection>,
    /// Which directory the store was in at first.
    directory: Option<String>,
    /// The pid of the owner that was connected to last.
    owner: Option<u32>,
}

/// Who answers.
enum Seat<'a> {
    Owner(&'a SledEngine),
    Guest(Connection),
}

/// Who has answered.
enum Answered<'a> {
    /// Nobody yet: it is this process that has the store open.
    Here(&'a SledEngine),
    There(Connection, Reply),
}

impl SharedEngine {
    /// Opens the store at `path`, or connects to the process that has it open. Makes a store if
    /// there is nothing at `path` or an empty directory.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::OpenElsewhere`]: another process has it open and does not share it, does not
    ///   speak our protocol, or does not answer.
    /// - [`ErrorKind::LimitExceeded`]: too many others share it already.
    /// - Those of [`SledEngine::open`].
    pub fn open(path: &Path, options: &SledOptions) -> Result<Self> {
        let store = path::absolute(path);
        let store = store.map_err(|error| unusable(path, "cannot be found", error))?;
        let engine = Self {
            store,
            options: options.clone(),
            owned: OnceLock::new(),
            opening: Mutex::default(),
            guest: Mutex::default(),
        };
        if let Seat::Guest(connection) = engine.seat()? {
            engine.keep(connection);
        }
        engine.guest().directory = Some(engine.identity()?);
        Ok(engine)
    }

    /// The engine if this process is the owner, or a connection to the owner.
    fn seat(&self) -> Result<Seat<'_>> {
        let mut waits = 0;
        loop {
            if let Some(owned) = self.owned.get() {
                return Ok(Seat::Owner(&owned.engine));
            }
            if let Some(connection) = self.guest().idle.pop() {
                return Ok(Seat::Guest(connection));
            }
            let refused = match self.own() {
                Ok(owned) => return Ok(Seat::Owner(&owned.engine)),
                Err(error) if error.kind() == ErrorKind::OpenElsewhere => error,
                Err(error) => return Err(error),
            };
            let (error, enough) = match Connection::open(&self.store) {
                Ok(connection) => {
                    self.guest().owner = Some(connection.process());
                    return Ok(Seat::Guest(connection));
                }
                Err(Unconnected::Nobody(error)) => {
                    let message = format!("{refused}, which does not share it");
                    let error = Error::new(refused.kind(), message).with_source(error);
                    let is_shared = socket::is_there(&self.store);
                    (error, if is_shared { WAITS_FOR_END } else { WAITS })
                }
                Err(Unconnected::Full(error)) => (error, WAITS),
                Err(Unconnected::Refused(error)) => return Err(error),
            };
            if waits >= enough {
                return Err(error);
            }
            waits += 1;
            thread::sleep(WAIT);
        }
    }

    /// Makes this process the owner, unless another one has the store open.
    fn own(&self) -> Result<&Owned> {
        let _one_at_a_time = lock(&self.opening);
        if let Some(owned) = self.owned.get() {
            return Ok(owned);
        }
        if self.guest().directory.is_some() {
            // Else a guest of a store that was moved away would make an empty one.
            self.identity()?;
        }
        let directory = Directory::open(&self.store)?;
        // Guests may come while the store is being opened, and wait.
        let listener = socket::listen(&self.store);
        let engine = Arc::new(SledEngine::open_in(directory, &self.options)?);
        let server = listener.and_then(|listener| Server::start(&self.store, listener, &engine));
        self.guest().idle.clear();
        Ok(self.owned.get_or_init(|| Owned { server, engine }))
    }

    /// Which directory the store is in. An error if it is not the first one any more.
    fn identity(&self) -> Result<String> {
        let found = identity(&self.store);
        let found = found.map_err(|error| unusable(&self.store, "cannot be found", error))?;
        match &self.guest().directory {
            Some(first) if *first != found => {
                let message = format!(
                    "the store at {} was replaced by another one; open it again",
                    self.store.display()
                );
                Err(Error::new(ErrorKind::Storage, message))
            }
            _ => Ok(found),
        }
    }

    /// What the engine says here, or the owner says there, of which `told` makes the same.
    fn answer<T>(
        &self,
        request: &Request<'_>,
        here: impl FnOnce(&SledEngine) -> Result<T>,
        told: impl FnOnce(Reply) -> Option<T>,
    ) -> Result<T> {
        match self.ask(request)? {
            Answered::Here(engine) => here(engine),
            Answered::There(connection, Reply::Failed(error)) => {
                self.keep(connection);
                Err(error)
            }
            Answered::There(connection, reply) => {
                let told = told(reply).ok_or_else(|| self.incoherent())?;
                self.keep(connection);
                Ok(told)
            }
        }
    }

    /// Asks the owner, unless it is this process.
    fn ask(&self, request: &Request<'_>) -> Result<Answered<'_>> {
        let mut broken = 0;
        loop {
            let mut connection = match self.seat()? {
                Seat::Owner(engine) => return Ok(Answered::Here(engine)),
                Seat::Guest(connection) => connection,
            };
            let error = match connection.call(&request.spelled()?) {
                Ok(reply) => return Ok(Answered::There(connection, reply)),
                Err(error) => error,
            };
            // The others go to the same owner.
            self.guest().idle.clear();
            let store = self.store.display();
            let message = match &error {
                Broken::Unanswered(_) if !request.is_repeatable() => format!(
                    "process {}, which had the store at {store} open, ended before it answered; \
                     what it was to make durable may or may not have been made so",
                    connection.process()
                ),
                _ if broken < MAX_BROKEN => {
                    broken += 1;
                    continue;
                }
                _ => format!(
                    "the store at {store} was opened by one process after the other, and none \
                     answered"
                ),
            };
            let error = error.into_io_error();
            return Err(Error::new(ErrorKind::Storage, message).with_source(error));
        }
    }

    fn incoherent(&self) -> Error {
        let message = format!(
            "the process that has the store at {} open answered what it was not asked",
            self.store.display()
        );
        Error::new(ErrorKind::Storage, message)
    }

    fn keep(&self, connection: Connection) {
        let mut guest = self.guest();
        if guest.idle.len() < MAX_IDLE {
            guest.idle.push(connection);
        }
    }

    fn guest(&self) -> MutexGuard<'_, Guest> {
        lock(&self.guest)
    }
}

impl Engine for SharedEngine {
    fn get(&self, key: Key<'_>) -> Result<Option<Value>> {
        let told = |reply| match reply {
            Reply::Value(value) => Some(value),
            _ => None,
        };
        self.answer(&Request::Get(key), |engine| engine.get(key), told)
    }

    fn scan(&self, space: Space, partition: Option<&[u8]>) -> Scan<'_> {
        match self.ask(&Request::Scan(space, partition)) {
            Ok(Answered::Here(engine)) => engine.scan(space, partition),
            Ok(Answered::There(connection, reply)) => {
                let mut items = Items {
                    engine: self,
                    batch: Vec::new().into_iter(),
                    connection: None,
                };
                match items.receive(connection, reply) {
                    Ok(()) => Box::new(items),
                    Err(error) => Box::new(iter::once(Err(error)).chain(items)),
                }
            }
            Err(error) => Box::new(iter::once(Err(error))),
        }
    }

    fn commit(
        &self,
        partition: &[u8],
        commit: &Commit,
        durability: Durability,
    ) -> Result<CommitOutcome> {
        let request = Request::Commit(partition, Cow::Borrowed(commit));
        let here = |engine: &SledEngine| engine.commit(partition, commit, durability);
        let told = |reply| match reply {
            Reply::Committed(outcome) => Some(outcome),
            _ => None,
        };
        self.answer(&request, here, told)
    }

    fn flush(&self) -> Result<()> {
        let told = |reply| matches!(reply, Reply::Flushed).then_some(());
        self.answer(&Request::Flush, Engine::flush, told)
    }

    fn disk_bytes(&self) -> Result<u64> {
        let told = |reply| match reply {
            Reply::DiskBytes(bytes) => Some(bytes),
            _ => None,
        };
        self.answer(&Request::DiskBytes, Engine::disk_bytes, told)
    }

    fn place(&self) -> Result<String> {
        let told = |reply| match reply {
            Reply::Place(place) => Some(place),
            _ => None,
        };
        self.answer(&Request::Place, Engine::place, told)
    }

    fn describe(&self) -> String {
        let store = self.store.display();
        match (self.owned.get(), self.guest().owner) {
            (Some(owned), _) => {
                let engine = owned.engine.describe();
                match &owned.server {
                    Ok(_) => format!("{engine}, shared with other processes"),
                    Err(error) => format!("{engine}, not shared with other processes: {error}"),
                }
            }
            (None, Some(process)) => format!("the engine of process {process} at {store}"),
            (None, None) => format!("the engine of another process at {store}"),
        }
    }
}

impl fmt::Debug for SharedEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedEngine")
            .field("store", &self.store)
            .field("owned", &self.owned)
            .finish_non_exhaustive()
    }
}

/// A guest's scan.
struct Items<'a> {
    engine: &'a SharedEngine,
    batch: vec::IntoIter<Item>,
    /// Where there is more.
    connection: Option<Connection>,
}

impl Items<'_> {
    fn receive(&mut self, connection: Connection, reply: Reply) -> Result<()> {
        match reply {
            Reply::Items(items, rest) => {
                self.batch = items.into_iter();
                match rest {
                    Rest::More => self.connection = Some(connection),
                    Rest::Nothing => self.engine.keep(connection),
                }
                Ok(())
            }
            // An owner whose scan has ended with it says so.
            Reply::Failed(error) if error.kind() == ErrorKind::Damaged => {
                self.connection = Some(connection);
                Err(error)
            }
            Reply::Failed(error) => {
                self.engine.keep(connection);
                Err(error)
            }
            _ => Err(self.engine.incoherent()),
        }
    }
}

impl Iterator for Items<'_> {
    type Item = Result<Item>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.batch.next() {
                return Some(Ok(item));
            }
            let mut connection = self.connection.take()?;
            let more = connection.more();
            if let Err(error) = more.and_then(|reply| self.receive(connection, reply)) {
                return Some(Err(error));
            }
        }
    }
}

impl Drop for Items<'_> {
    fn drop(&mut self) {
        // What is asked next over it ends the scan.
        if let Some(connection) = self.connection.take() {
            self.engine.keep(connection);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics half way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
