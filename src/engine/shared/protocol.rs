//! What processes that share a store say to each other, as bytes. It must not know where the
//! bytes go, or which engine they are about.
//!
//! A guest greets, the host answers, and then each request gets one reply. Everything after the
//! greetings is in messages of 4 bytes of length and as many bytes, the first of which says what
//! it is. Numbers are little-endian; bytes follow their length, unless they are the last ones.

use std::borrow::Cow;
use std::error::Error as _;
use std::io::{self, Read};

use super::super::{Commit, CommitOutcome, Expected, Item, Key, Space, Value};
use crate::error::{Error, ErrorKind, Result};

/// The protocol that is spoken. Greetings are the same in all of them.
///
/// - 1: what this module describes. Whatever a guest has read or committed is durable.
pub(super) const PROTOCOL: u32 = 1;

/// How every greeting begins.
const MAGIC: [u8; 12] = *b"courseblocks";

/// No request and no reply is longer: all records of the largest course fit in.
const MAX_MESSAGE_BYTES: usize = 512 << 20;

/// So much is set aside for a message before any of it has come.
const TRUSTED_BYTES: usize = 64 << 10;

/// How many causes of an error are told.
const MAX_CAUSES: usize = 16;

/// What a guest says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    pub(super) protocol: u32,
    /// The version of the crate.
    pub(super) release: String,
}

/// What the host says then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Welcome {
    pub(super) answer: Answer,
    /// The host's pid.
    pub(super) process: u32,
    pub(super) greeting: Greeting,
}

/// Whether a guest may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Welcome,
    /// The host does not speak the guest's protocol.
    OtherProtocol,
    /// There are too many connections.
    Full,
}

/// What a guest wants.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Request<'a> {
    Get(Key<'a>),
    /// The first items of a scan. Ends the scan before it, as every request but `More` does.
    Scan(Space, Option<&'a [u8]>),
    /// The next items of the scan.
    More,
    Commit(&'a [u8], Cow<'a, Commit>),
    Flush,
    DiskBytes,
    Place,
}

/// What a guest gets.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Failed(Error),
    Value(Option<Value>),
    Items(Vec<Item>, Rest),
    Committed(CommitOutcome),
    Flushed,
    DiskBytes(u64),
    Place(String),
}

/// What follows the items of a reply.
#[derive(Clone, Debug)]
pub(super) enum Rest {
    Nothing,
    More,
    Failed(Error),
}

impl Greeting {
    pub(super) fn ours() -> Self {
        Self {
            protocol: PROTOCOL,
            release: env!("CARGO_PKG_VERSION").into(),
        }
    }

    pub(super) fn spelled(&self) -> Vec<u8> {
        let release = self.release.as_bytes();
        let release = release.get(..usize::from(u8::MAX)).unwrap_or(release);
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.protocol.to_le_bytes());
        bytes.push(u8::try_from(release.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(release);
        bytes
    }

    pub(super) fn read(from: &mut impl Read) -> io::Result<Self> {
        if read_array(from)? != MAGIC {
            return Err(malformed("no greeting"));
        }
        let protocol = u32::from_le_bytes(read_array(from)?);
        let [len] = read_array(from)?;
        let mut release = vec![0; len.into()];
        from.read_exact(&mut release)?;
        Ok(Self {
            protocol,
            release: String::from_utf8_lossy(&release).into_owned(),
        })
    }
}

impl Welcome {
    pub(super) fn spelled(&self) -> Vec<u8> {
        let mut bytes = self.greeting.spelled();
        bytes.push(match self.answer {
            Answer::Welcome => 0,
            Answer::OtherProtocol => 1,
            Answer::Full => 2,
        });
        bytes.extend_from_slice(&self.process.to_le_bytes());
        bytes
    }

    pub(super) fn read(from: &mut impl Read) -> io::Result<Self> {
        let greeting = Greeting::read(from)?;
        let answer = match read_array(from)? {
            [0] => Answer::Welcome,
            [1] => Answer::OtherProtocol,
            [2] => Answer::Full,
            [_] => return Err(malformed("an unknown answer")),
        };
        Ok(Self {
            answer,
            process: u32::from_le_bytes(read_array(from)?),
            greeting,
        })
    }
}

impl<'a> Request<'a> {
    /// The whole message.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LimitExceeded`]: it would be too long.
    pub(super) fn spelled(&self) -> Result<Vec<u8>> {
        let message = match self {
            Self::Get(key) => Message::new(1)
                .space(key.space)
                .bytes(key.partition)
                .last(key.name),
            Self::Scan(space, partition) => Message::new(2).space(*space).optional(*partition),
            Self::More => Message::new(3),
            Self::Commit(partition, commit) => Message::new(4).bytes(partition).commit(commit),
            Self::Flush => Message::new(5),
            Self::DiskBytes => Message::new(6),
            Self::Place => Message::new(7),
        };
        message.whole()
    }

    /// Whether it makes no difference how often it is made.
    pub(super) fn is_repeatable(&self) -> bool {
        match self {
            Self::Get(_) | Self::Scan(..) | Self::DiskBytes | Self::Place => true,
            // What was buffered at the end of a host is not made durable by another one.
            Self::More | Self::Commit(..) | Self::Flush => false,
        }
    }

    /// A message without its length; `None` where it is no request.
    pub(super) fn parse(message: &'a [u8]) -> Option<Self> {
        let mut rest = Unread(message);
        let request = match rest.byte()? {
            1 => Self::Get(Key::new(rest.space()?, rest.bytes()?, rest.last())),
            2 => Self::Scan(rest.space()?, rest.optional()?),
            3 => Self::More,
            4 => Self::Commit(rest.bytes()?, Cow::Owned(rest.commit()?)),
            5 => Self::Flush,
            6 => Self::DiskBytes,
            7 => Self::Place,
            _ => return None,
        };
        rest.0.is_empty().then_some(request)
    }
}

impl Reply {
    /// The whole message, or one that says why there is none.
    pub(super) fn spelled(&self) -> Vec<u8> {
        let message = match self {
            Self::Failed(error) => Message::new(0).error(error),
            Self::Value(None) => Message::new(1),
            Self::Value(Some(value)) => Message::new(2).last(value),
            Self::Items(items, rest) => Message::new(3).items(items, rest),
            Self::Committed(CommitOutcome::Applied) => Message::new(4),
            Self::Committed(CommitOutcome::Refused { precondition }) => {
                Message::new(5).number(*precondition as u64)
            }
            Self::Flushed => Message::new(6),
            Self::DiskBytes(bytes) => Message::new(7).number(*bytes),
            Self::Place(place) => Message::new(8).last(place.as_bytes()),
        };
        message.whole().unwrap_or_else(|error| {
            // It says little, and so it fits.
            Self::Failed(error).spelled()
        })
    }

    /// A message without its length; `None` where it is no reply.
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        let mut rest = Unread(message);
        let reply = match rest.byte()? {
            0 => Self::Failed(rest.error()?),
            1 => Self::Value(None),
            2 => Self::Value(Some(rest.last().to_vec().into())),
            3 => {
                let (items, following) = rest.items()?;
                Self::Items(items, following)
            }
            4 => Self::Committed(CommitOutcome::Applied),
            5 => Self::Committed(CommitOutcome::Refused {
                precondition: usize::try_from(rest.number()?).ok()?,
            }),
            6 => Self::Flushed,
            7 => Self::DiskBytes(rest.number()?),
            8 => Self::Place(String::from_utf8_lossy(rest.last()).into_owned()),
            _ => return None,
        };
        rest.0.is_empty().then_some(reply)
    }
}

/// A message without its length, which takes no more room than has come of it.
pub(super) fn read_message(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let len = u32::from_le_bytes(read_array(from)?);
    let len = usize::try_from(len)
        .ok()
        .filter(|len| *len <= MAX_MESSAGE_BYTES);
    let len = len.ok_or_else(|| malformed("a message that is too long"))?;
    let mut message = Vec::with_capacity(len.min(TRUSTED_BYTES));
    from.take(len as u64).read_to_end(&mut message)?;
    if message.len() < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(message)
}

pub(super) fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn read_array<const LEN: usize>(from: &mut impl Read) -> io::Result<[u8; LEN]> {
    let mut bytes = [0; LEN];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// In the order of their numbers, which never change. A kind that is not here is told as
/// [`ErrorKind::Storage`]; engines have few.
const KINDS: [ErrorKind; 8] = [
    ErrorKind::Storage,
    ErrorKind::InvalidKey,
    ErrorKind::LimitExceeded,
    ErrorKind::Conflict,
    ErrorKind::OpenElsewhere,
    ErrorKind::TooNew,
    ErrorKind::Damaged,
    ErrorKind::NotFound,
];

/// A message that is being written, after room for its length.
struct Message(Vec<u8>);

/// So much is taken by the length of a message.
const LEN_BYTES: usize = 4;

impl Message {
    fn new(what: u8) -> Self {
        Self(vec![0, 0, 0, 0, what])
    }

    fn byte(mut self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }

    fn number(self, number: u64) -> Self {
        self.last(&number.to_le_bytes())
    }

    fn bytes(self, bytes: &[u8]) -> Self {
        self.number(bytes.len() as u64).last(bytes)
    }

    fn last(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn optional(self, bytes: Option<&[u8]>) -> Self {
        match bytes {
            None => self.byte(0),
            Some(bytes) => self.byte(1).bytes(bytes),
        }
    }

    fn space(self, space: Space) -> Self {
        self.byte(match space {
            Space::Records => 0,
            Space::Courses => 1,
            Space::Control => 2,
        })
    }

    fn commit(mut self, commit: &Commit) -> Self {
        self = self.number(commit.preconditions().len() as u64);
        for required in commit.preconditions() {
            self = self.space(required.space).bytes(&required.name);
            self = match &required.expected {
                Expected::Absent => self.byte(0),
                Expected::Present => self.byte(1),
                Expected::Equal(value) => self.byte(2).bytes(value),
            };
        }
        for write in commit.writes() {
            self = self.space(write.space).bytes(&write.name);
            self = self.optional(write.value.as_deref());
        }
        self
    }

    fn items(mut self, items: &[Item], rest: &Rest) -> Self {
        self = self.number(items.len() as u64);
        for item in items {
            self = self.bytes(item.partition()).bytes(item.name());
            self = self.bytes(item.value());
        }
        match rest {
            Rest::Nothing => self.byte(0),
            Rest::More => self.byte(1),
            Rest::Failed(error) => self.byte(2).error(error),
        }
    }

    /// The kind, the message and the causes.
    fn error(mut self, error: &Error) -> Self {
        let kind = KINDS.iter().position(|kind| *kind == error.kind());
        let kind = kind.and_then(|kind| u8::try_from(kind).ok());
        self = self.byte(kind.unwrap_or(0));
        self = self.bytes(error.to_string().as_bytes());
        let mut cause = error.source();
        for _ in 0..MAX_CAUSES {
            let Some(known) = cause else { break };
            self = self.bytes(known.to_string().as_bytes());
            cause = known.source();
        }
        self
    }

    fn whole(mut self) -> Result<Vec<u8>> {
        let len = self.0.len() - LEN_BYTES;
        let spelled = u32::try_from(len).ok().filter(|_| len <= MAX_MESSAGE_BYTES);
        let Some(spelled) = spelled else {
            let message = format!(
                "{len} bytes at once for or from the process that has the store open, which is \
                 more than {MAX_MESSAGE_BYTES}"
            );
            return Err(Error::new(ErrorKind::LimitExceeded, message));
        };
        if let Some(place) = self.0.first_chunk_mut() {
            *place = spelled.to_le_bytes();
        }
        Ok(self.0)
    }
}

/// What is left of a message.
struct Unread<'a>(&'a [u8]);

impl<'a> Unread<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.number()?;
        self.take(usize::try_from(len).ok()?)
    }

    fn last(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    #[expect(
        clippy::option_option,
        reason = "one for what is malformed, one for what is absent"
    )]
    fn optional(&mut self) -> Option<Option<&'a [u8]>> {
        match self.byte()? {
            0 => Some(None),
            1 => self.bytes().map(Some),
            _ => None,
        }
    }

    fn space(&mut self) -> Option<Space> {
        match self.byte()? {
            0 => Some(Space::Records),
            1 => Some(Space::Courses),
            2 => Some(Space::Control),
            _ => None,
        }
    }

    fn commit(&mut self) -> Option<Commit> {
        let mut commit = Commit::new();
        for _ in 0..self.number()? {
            let (space, name) = (self.space()?, self.bytes()?);
            let expected = match self.byte()? {
                0 => Expected::Absent,
                1 => Expected::Present,
                2 => Expected::Equal(self.bytes()?.to_vec()),
                _ => return None,
            };
            commit.require(space, name, expected);
        }
        while !self.0.is_empty() {
            let (space, name) = (self.space()?, self.bytes()?);
            match self.optional()? {
                Some(value) => commit.put(space, name, value),
                None => commit.delete(space, name),
            }
        }
        Some(commit)
    }

    fn items(&mut self) -> Option<(Vec<Item>, Rest)> {
        let mut items = Vec::new();
        for _ in 0..self.number()? {
            let (partition, name, value) = (self.bytes()?, self.bytes()?, self.bytes()?);
            items.push(Item::new(partition, name, value.to_vec()).ok()?);
        }
        let rest = match self.byte()? {
            0 => Rest::Nothing,
            1 => Rest::More,
            2 => Rest::Failed(self.error()?),
            _ => return None,
        };
        Some((items, rest))
    }

    fn error(&mut self) -> Option<Error> {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let kind = KINDS.get(usize::from(self.byte()?));
        let kind = kind.copied().unwrap_or(ErrorKind::Storage);
        let error = Error::new(kind, text(self.bytes()?));
        let mut causes = Vec::new();
        while !self.0.is_empty() {
            causes.push(text(self.bytes()?));
        }
        let causes = causes.into_iter().take(MAX_CAUSES).rev();
        let source = causes.fold(None, |source: Option<Error>, cause| {
            let cause = Error::new(kind, cause);
            Some(match source {
                Some(source) => cause.with_source(source),
                None => cause,
            })
        });
        Some(match source {
            Some(source) => error.with_source(source),
            None => error,
        })
    }
}
