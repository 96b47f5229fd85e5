//! What the process that has a store open does for its guests. It must not know which engine it
//! serves.
//!
//! Each connection has a thread, which serves one request after the other. What a guest learns is
//! durable before the guest learns it: the end of this process takes nothing back that another
//! one relies on.

use std::io::{self, BufReader, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{iter, mem};

use super::super::{CommitOutcome, Durability, Engine, Scan};
use super::protocol::{Answer, Greeting, PROTOCOL, Reply, Request, Rest, read_message};
use super::{lock, socket};
use crate::error::Result;

/// Each takes a thread and a file descriptor, of which sled must never lack one.
const MAX_CONNECTIONS: usize = 256;

/// Those beyond are closed without a word.
const MAX_CONNECTIONS_TOLD: usize = MAX_CONNECTIONS + 16;

/// Whoever connects without a greeting is gone after this.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);

/// The items of a reply end when they are more than this. Those of the first one are few, since
/// many who scan look for one item.
const FIRST_BATCH_BYTES: usize = 2 << 10;
const BATCH_BYTES: usize = 64 << 10;

/// What an item takes besides its bytes, roughly.
const ITEM_BYTES: usize = 64;

/// How often, and how long each time, to wait until guests have read what they asked for before
/// the owner ends: 1 s in all.
const PARTING_WAITS: u32 = 500;
const PARTING_WAIT: Duration = Duration::from_millis(2);

/// How long to wait when the process may open no more files.
const ACCEPT_WAIT: Duration = Duration::from_millis(10);

/// Serves guests until it is dropped.
#[derive(Debug)]
pub(super) struct Server {
    store: PathBuf,
    is_ending: Arc<AtomicBool>,
    /// Another handle of the listener.
    listener: UnixStream,
    accepting: Option<JoinHandle<()>>,
    visits: Visits,
}

type Visits = Arc<Mutex<Vec<Visit>>>;

/// A connection that is served.
#[derive(Debug)]
struct Visit {
    stream: Arc<UnixStream>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Serves `engine` to whoever connects to `listener`, which was made for `store`.
    pub(super) fn start(
        store: &Path,
        listener: UnixListener,
        engine: &Arc<impl Engine>,
    ) -> io::Result<Self> {
        let is_ending = Arc::new(AtomicBool::new(false));
        let visits = Visits::default();
        // A listener that is no longer wanted is ended like a stream.
        let handle = UnixStream::from(OwnedFd::from(listener.try_clone()?));
        let accepting = {
            let (is_ending, visits) = (Arc::clone(&is_ending), Arc::clone(&visits));
            let engine = Arc::downgrade(engine);
            named().spawn(move || accept(&listener, &engine, &is_ending, &visits))?
        };
        Ok(Self {
            store: store.to_owned(),
            is_ending,
            listener: handle,
            accepting: Some(accepting),
            visits,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Release);
        // Linux ends the waiting for connections at this; elsewhere it takes a connection.
        let is_woken =
            self.listener.shutdown(Shutdown::Both).is_ok() || socket::connect(&self.store).is_ok();
        if let Some(accepting) = self.accepting.take_if(|_| is_woken) {
            let _ = accepting.join();
        }
        let visits = mem::take(&mut *lock(&self.visits));
        // Every request that was sent still gets its reply.
        for visit in &visits {
            let _ = visit.stream.shutdown(Shutdown::Read);
        }
        for _ in 0..PARTING_WAITS {
            if visits.iter().all(|visit| visit.thread.is_finished()) {
                break;
            }
            thread::sleep(PARTING_WAIT);
        }
        for visit in visits {
            let _ = visit.stream.shutdown(Shutdown::Both);
            let _ = visit.thread.join();
        }
    }
}

fn accept(
    listener: &UnixListener,
    engine: &Weak<impl Engine>,
    is_ending: &AtomicBool,
    visits: &Mutex<Vec<Visit>>,
) {
    for stream in listener.incoming() {
        if is_ending.load(Ordering::Acquire) {
            return;
        }
        let (Ok(stream), Some(engine)) = (stream, engine.upgrade()) else {
            thread::sleep(ACCEPT_WAIT);
            continue;
        };
        let mut visits = lock(visits);
        visits.retain(|visit| !visit.thread.is_finished());
        let answer = match visits.len() {
            ..MAX_CONNECTIONS => Answer::Welcome,
            MAX_CONNECTIONS..MAX_CONNECTIONS_TOLD => Answer::Full,
            _ => continue,
        };
        let stream = Arc::new(stream);
        let leaving = Leaving(Arc::clone(&stream));
        let thread = named().spawn(move || {
            // A guest that breaks off, or breaks the rules, is no concern of the owner.
            let _ = serve(&leaving.0, &*engine, answer);
        });
        if let Ok(thread) = thread {
            visits.push(Visit { stream, thread });
        }
    }
}

/// Lets a guest know when nobody serves it any more, for whatever reason.
struct Leaving(Arc<UnixStream>);

impl Drop for Leaving {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

fn serve(stream: &UnixStream, engine: &impl Engine, answer: Answer) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    stream.set_read_timeout(Some(GREETING_TIMEOUT))?;
    let answer = match Greeting::read(&mut reader)?.protocol {
        PROTOCOL => answer,
        _ => Answer::OtherProtocol,
    };
    writer.write_all(&Greeting::ours(answer).spelled())?;
    if answer != Answer::Welcome {
        return Ok(());
    }
    stream.set_read_timeout(None)?;
    let mut scan: Scan<'_> = Box::new(iter::empty());
    loop {
        let message = read_message(&mut reader)?;
        let Some(request) = Request::parse(&message) else {
            return Ok(());
        };
        let reply = reply(engine, request, &mut scan);
        let reply = reply.unwrap_or_else(Reply::Failed);
        writer.write_all(&reply.spelled())?;
    }
}

fn reply<'a>(engine: &'a impl Engine, request: Request<'_>, scan: &mut Scan<'a>) -> Result<Reply> {
    if request != Request::More {
        *scan = Box::new(iter::empty());
    }
    let reply = match request {
        Request::Get(key) => Reply::Value(engine.get(key)?),
        Request::Scan(space, partition) => {
            *scan = engine.scan(space, partition);
            next_items(scan, FIRST_BATCH_BYTES)?
        }
        Request::More => next_items(scan, BATCH_BYTES)?,
        Request::Commit(partition, commit) => {
            let outcome = engine.commit(partition, &commit, Durability::Durable)?;
            Reply::Committed(outcome)
        }
        Request::Flush => {
            engine.flush()?;
            Reply::Flushed
        }
        Request::DiskBytes => Reply::DiskBytes(engine.disk_bytes()?),
        Request::Place => Reply::Place(engine.place()?),
    };
    match reply {
        // Also that a commit was refused tells what there is.
        Reply::Value(_) | Reply::Items(..) | Reply::Committed(CommitOutcome::Refused { .. }) => {
            // It costs next to nothing when nothing is buffered.
            engine.flush()?;
        }
        _ => {}
    }
    Ok(reply)
}

fn next_items(scan: &mut Scan<'_>, max_bytes: usize) -> Result<Reply> {
    let mut items = Vec::new();
    let mut bytes = 0;
    while bytes < max_bytes {
        match scan.next() {
            None => return Ok(Reply::Items(items, Rest::Nothing)),
            Some(Ok(item)) => {
                bytes +=
                    ITEM_BYTES + item.partition().len() + item.name().len() + item.value().len();
                items.push(item);
            }
            Some(Err(error)) if items.is_empty() => return Err(error),
            Some(Err(error)) => {
                // After what was found before it.
                let rest = mem::replace(scan, Box::new(iter::empty()));
                *scan = Box::new(iter::once(Err(error)).chain(rest));
                break;
            }
        }
    }
    Ok(Reply::Items(items, Rest::More))
}

fn named() -> thread::Builder {
    thread::Builder::new().name("courseblocks sharing".into())
}
