//! A guest's end of a connection. It must not know what becomes of a guest whose connections
//! break.

use std::io::{self, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::protocol::{Answer, Greeting, PROTOCOL, Reply, Request, malformed, read_message};
use super::socket;
use crate::error::{Error, ErrorKind, Result};

/// How long an owner may take to open a store after it has taken hold of it.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection over which no request waits for its reply.
#[derive(Debug)]
pub(super) struct Connection {
    stream: BufReader<UnixStream>,
    process: u32,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum Unconnected {
    /// Nobody is there, or not any more.
    Nobody(io::Error),
    /// There is no room just now.
    Full(Error),
    /// Whoever is there does not let us in.
    Refused(Error),
}

/// Why a request has no reply. The connection is of no use any more.
#[derive(Debug)]
pub(super) enum Broken {
    /// The owner has not had the whole request, and did nothing.
    Unsent(io::Error),
    /// The owner may have done anything, or nothing.
    Unanswered(io::Error),
}

impl Connection {
    pub(super) fn open(store: &Path) -> Result<Self, Unconnected> {
        let greeted = socket::connect(store).and_then(Self::greet);
        let (stream, owner) = greeted.map_err(|error| Self::unconnected(store, error))?;
        match owner.answer {
            Answer::Welcome if owner.protocol == PROTOCOL => Ok(Self {
                stream,
                process: owner.process,
            }),
            _ => Err(refused(store, &owner)),
        }
    }

    fn greet(mut stream: UnixStream) -> io::Result<(BufReader<UnixStream>, Greeting)> {
        stream.set_read_timeout(Some(WELCOME_TIMEOUT))?;
        stream.write_all(&Greeting::ours(Answer::Welcome).spelled())?;
        let mut stream = BufReader::new(stream);
        let owner = Greeting::read(&mut stream)?;
        stream.get_ref().set_read_timeout(None)?;
        Ok((stream, owner))
    }

    fn unconnected(store: &Path, error: io::Error) -> Unconnected {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::InvalidData => {
                let message = format!(
                    "the store at {} is open in a process that does not answer as it should; is it suspended?",
                    store.display()
                );
                let error = Error::new(ErrorKind::OpenElsewhere, message).with_source(error);
                Unconnected::Refused(error)
            }
            _ => Unconnected::Nobody(error),
        }
    }

    /// The pid of the owner.
    pub(super) fn process(&self) -> u32 {
        self.process
    }

    /// Sends a request, as spelled, and waits for its reply.
    pub(super) fn call(&mut self, request: &[u8]) -> Result<Reply, Broken> {
        // The owner does nothing before it has the last byte, which is not sent if this fails.
        self.stream
            .get_mut()
            .write_all(request)
            .map_err(Broken::Unsent)?;
        let message = read_message(&mut self.stream).map_err(Broken::Unanswered)?;
        Reply::parse(&message).ok_or_else(|| Broken::Unanswered(malformed("no reply")))
    }

    /// The next reply to a scan.
    pub(super) fn more(&mut self) -> Result<Reply> {
        let request = Request::More.spelled()?;
        self.call(&request).map_err(|broken| {
            let message = format!(
                "process {}, which had the store open, ended while it was scanned",
                self.process
            );
            Error::new(ErrorKind::Storage, message).with_source(broken.into_io_error())
        })
    }
}

impl Broken {
    pub(super) fn into_io_error(self) -> io::Error {
        match self {
            Self::Unsent(error) | Self::Unanswered(error) => error,
        }
    }
}

fn refused(store: &Path, owner: &Greeting) -> Unconnected {
    let opened = format!(
        "the store at {} is open in another process (pid {})",
        store.display(),
        owner.process
    );
    if owner.answer == Answer::Full {
        let message = format!("{opened}, which shares it with as many as it can");
        return Unconnected::Full(Error::new(ErrorKind::LimitExceeded, message));
    }
    let message = format!(
        "{opened}, which is courseblocks {} and shares it by protocol {}; this is courseblocks \
         {}, which knows protocol {PROTOCOL} only; end the other process, or use its release",
        owner.release,
        owner.protocol,
        env!("CARGO_PKG_VERSION")
    );
    Unconnected::Refused(Error::new(ErrorKind::OpenElsewhere, message))
}
