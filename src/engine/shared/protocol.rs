//! What processes that share a store say to each other, as bytes. It must not know where the
//! bytes go, or which engine they are about.
//!
//! A guest greets, the owner answers, and then each request gets one reply. Everything after the
//! greetings is in messages of 4 bytes of length and as many bytes, the first of which says what
//! it is. Numbers are little-endian; bytes follow their length, unless they are the last ones.

use std::borrow::Cow;
use std::error::Error as _;
use std::io::{self, Read};
use std::process;
use std::sync::Arc;

use super::super::{Commit, CommitOutcome, Expected, Item, Key, Space, Value};
use crate::error::{Error, ErrorKind, Result};

/// The protocol that is spoken. Greetings are the same in all of them.
///
/// - 1: what this module describes. Whatever a guest has read or committed is durable.
///
/// Old and new releases run side by side, so a release that speaks a newer one speaks this one
/// too: as an owner to guests that greet with it, as a guest to owners that answer with it.
pub(super) const PROTOCOL: u32 = 1;

/// How every greeting begins.
const MAGIC: [u8; 12] = *b"courseblocks";

/// No request and no reply is longer: all records of the largest course fit in.
const MAX_MESSAGE_BYTES: usize = 512 << 20;

/// So much is set aside for a message before any of it has come.
const TRUSTED_BYTES: usize = 1 << 20;

/// How many causes of an error are told.
const MAX_CAUSES: usize = 16;

/// What either side says first, the guest before the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    pub(super) protocol: u32,
    pub(super) answer: Answer,
    /// The pid of who says it.
    pub(super) process: u32,
    /// The version of the crate.
    pub(super) release: String,
}

/// Whether the other side may stay; a guest always says that it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Welcome,
    /// We do not speak its protocol.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Nothing,
    /// To be asked for.
    More,
}

impl Greeting {
    pub(super) fn ours(answer: Answer) -> Self {
        Self {
            protocol: PROTOCOL,
            answer,
            process: process::id(),
            release: env!("CARGO_PKG_VERSION").into(),
        }
    }

    pub(super) fn spelled(&self) -> Vec<u8> {
        let answer = match self.answer {
            Answer::Welcome => 0,
            Answer::OtherProtocol => 1,
            Answer::Full => 2,
        };
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.protocol.to_le_bytes());
        bytes.push(answer);
        bytes.extend_from_slice(&self.process.to_le_bytes());
        bytes.push(u8::try_from(self.release.len()).unwrap_or(u8::MAX));
        bytes.extend(self.release.bytes().take(u8::MAX.into()));
        bytes
    }

    pub(super) fn read(from: &mut impl Read) -> io::Result<Self> {
        if read_array(from)? != MAGIC {
            return Err(malformed("no greeting"));
        }
        let protocol = u32::from_le_bytes(read_array(from)?);
        let answer = match read_array(from)? {
            [0] => Answer::Welcome,
            [1] => Answer::OtherProtocol,
            [2] => Answer::Full,
            [_] => return Err(malformed("an unknown answer")),
        };
        let process = u32::from_le_bytes(read_array(from)?);
        let [len] = read_array(from)?;
        let mut release = vec![0; len.into()];
        from.read_exact(&mut release)?;
        Ok(Self {
            protocol,
            answer,
            process,
            release: String::from_utf8_lossy(&release).into_owned(),
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
            // What was buffered when an owner ended is not made durable by the next one.
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
            Self::Items(items, Rest::Nothing) => Message::new(3).items(items),
            Self::Items(items, Rest::More) => Message::new(4).items(items),
            Self::Committed(CommitOutcome::Applied) => Message::new(5),
            Self::Committed(CommitOutcome::Refused { precondition }) => {
                Message::new(6).number(*precondition as u64)
            }
            Self::Flushed => Message::new(7),
            Self::DiskBytes(bytes) => Message::new(8).number(*bytes),
            Self::Place(place) => Message::new(9).last(place.as_bytes()),
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
            2 => Self::Value(Some(Arc::<[u8]>::from(rest.last()).into())),
            3 => Self::Items(rest.items()?, Rest::Nothing),
            4 => Self::Items(rest.items()?, Rest::More),
            5 => Self::Committed(CommitOutcome::Applied),
            6 => Self::Committed(CommitOutcome::Refused {
                precondition: usize::try_from(rest.number()?).ok()?,
            }),
            7 => Self::Flushed,
            8 => Self::DiskBytes(rest.number()?),
            9 => Self::Place(String::from_utf8_lossy(rest.last()).into_owned()),
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
const KINDS: [ErrorKind; 9] = [
    ErrorKind::Storage,
    ErrorKind::InvalidKey,
    ErrorKind::LimitExceeded,
    ErrorKind::Conflict,
    ErrorKind::OpenElsewhere,
    ErrorKind::TooNew,
    ErrorKind::Damaged,
    ErrorKind::NotFound,
    ErrorKind::NoRoom,
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

    fn items(mut self, items: &[Item]) -> Self {
        for item in items {
            self = self.bytes(item.partition()).bytes(item.name());
            self = self.bytes(item.value());
        }
        self
    }

    /// The kind, the message, and the causes as one text.
    fn error(self, error: &Error) -> Self {
        let kind = KINDS.iter().position(|kind| *kind == error.kind());
        let kind = kind.and_then(|kind| u8::try_from(kind).ok());
        let mut causes = Vec::new();
        let mut cause = error.source();
        while let Some(known) = cause.filter(|_| causes.len() < MAX_CAUSES) {
            causes.push(known.to_string());
            cause = known.source();
        }
        self.byte(kind.unwrap_or(0))
            .bytes(error.to_string().as_bytes())
            .last(causes.join(": ").as_bytes())
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

    fn items(&mut self) -> Option<Vec<Item>> {
        let mut items = Vec::new();
        while !self.0.is_empty() {
            let (partition, name, value) = (self.bytes()?, self.bytes()?, self.bytes()?);
            items.push(Item::new(partition, name, Arc::<[u8]>::from(value)).ok()?);
        }
        Some(items)
    }

    fn error(&mut self) -> Option<Error> {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let kind = KINDS.get(usize::from(self.byte()?));
        let error = Error::new(*kind.unwrap_or(&KINDS[0]), text(self.bytes()?));
        Some(match self.last() {
            [] => error,
            causes => error.with_source(text(causes)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> Vec<(Request<'static>, &'static [u8])> {
        let mut commit = Commit::new();
        commit.require(Space::Records, "a", Expected::Absent);
        commit.require(Space::Courses, "", Expected::Present);
        commit.require(Space::Control, "b", Expected::Equal(vec![7]));
        commit.put(Space::Control, "c", "de");
        commit.delete(Space::Records, "");
        let key = Key::new(Space::Courses, b"pa", b"name");
        vec![
            (Request::Get(key), b"\x01\x01\x02\0\0\0\0\0\0\0paname"),
            (Request::Scan(Space::Records, None), b"\x02\0\0"),
            (
                Request::Scan(Space::Control, Some(b"pa")),
                b"\x02\x02\x01\x02\0\0\0\0\0\0\0pa",
            ),
            (Request::More, b"\x03"),
            (
                Request::Commit(b"pa", Cow::Owned(commit)),
                b"\x04\x02\0\0\0\0\0\0\0pa\x03\0\0\0\0\0\0\0\
                  \0\x01\0\0\0\0\0\0\0a\0\
                  \x01\0\0\0\0\0\0\0\0\x01\
                  \x02\x01\0\0\0\0\0\0\0b\x02\x01\0\0\0\0\0\0\0\x07\
                  \x02\x01\0\0\0\0\0\0\0c\x01\x02\0\0\0\0\0\0\0de\
                  \0\0\0\0\0\0\0\0\0\0",
            ),
            (Request::Flush, b"\x05"),
            (Request::DiskBytes, b"\x06"),
            (Request::Place, b"\x07"),
        ]
    }

    fn replies() -> Vec<(Reply, &'static [u8])> {
        let error = Error::new(ErrorKind::Damaged, "what").with_source("why");
        let item = |name: &[u8]| Item::new(b"pa", name, vec![7]).unwrap();
        let refused = CommitOutcome::Refused { precondition: 258 };
        vec![
            (Reply::Failed(error), b"\0\x06\x04\0\0\0\0\0\0\0whatwhy"),
            (Reply::Value(None), b"\x01"),
            (Reply::Value(Some(vec![7, 8].into())), b"\x02\x07\x08"),
            (Reply::Items(Vec::new(), Rest::Nothing), b"\x03"),
            (
                Reply::Items(vec![item(b""), item(b"n")], Rest::More),
                b"\x04\x02\0\0\0\0\0\0\0pa\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x07\
                  \x02\0\0\0\0\0\0\0pa\x01\0\0\0\0\0\0\0n\x01\0\0\0\0\0\0\0\x07",
            ),
            (Reply::Committed(CommitOutcome::Applied), b"\x05"),
            (Reply::Committed(refused), b"\x06\x02\x01\0\0\0\0\0\0"),
            (Reply::Flushed, b"\x07"),
            (Reply::DiskBytes(258), b"\x08\x02\x01\0\0\0\0\0\0"),
            (Reply::Place("here".into()), b"\x09here"),
        ]
    }

    fn unframed(message: &[u8]) -> Vec<u8> {
        let mut rest = message;
        let unframed = read_message(&mut rest).unwrap();
        assert!(rest.is_empty());
        unframed
    }

    #[test]
    fn every_message_is_spelled_like_this_for_ever() {
        for (request, bytes) in requests() {
            assert_eq!(unframed(&request.spelled().unwrap()), bytes, "{request:?}");
            assert_eq!(Request::parse(bytes), Some(request));
        }
        for (reply, bytes) in replies() {
            assert_eq!(unframed(&reply.spelled()), bytes, "{reply:?}");
            let parsed = Reply::parse(bytes).unwrap();
            assert_eq!(format!("{parsed:?}"), format!("{reply:?}"));
        }
        let greeting = Greeting {
            protocol: 1,
            answer: Answer::Full,
            process: 258,
            release: "0.1.0".into(),
        };
        let bytes = b"courseblocks\x01\0\0\0\x02\x02\x01\0\0\x050.1.0";
        assert_eq!(greeting.spelled(), bytes);
        assert_eq!(Greeting::read(&mut &bytes[..]).unwrap(), greeting);
        for len in 0..bytes.len() {
            assert!(Greeting::read(&mut &bytes[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (request, bytes) in requests() {
            if !matches!(request, Request::Get(_)) {
                let longer = [bytes, &[0]].concat();
                assert_eq!(Request::parse(&longer), None, "{request:?} and more");
            }
        }
        let messages = requests().into_iter().map(|(_, bytes)| bytes);
        for bytes in messages.chain(replies().into_iter().map(|(_, bytes)| bytes)) {
            for len in 0..bytes.len() {
                // Some of them are complete, too.
                let _ = (Request::parse(&bytes[..len]), Reply::parse(&bytes[..len]));
            }
            for bit in 0..bytes.len() * 8 {
                let mut damaged = bytes.to_vec();
                damaged[bit / 8] ^= 1 << (bit % 8);
                let _ = (Request::parse(&damaged), Reply::parse(&damaged));
            }
        }
        for message in [&b""[..], b"\0", b"\x08", b"\x01\x03\0\0\0\0\0\0\0\0"] {
            assert_eq!(Request::parse(message), None, "{message:?}");
        }
        for message in [&b""[..], b"\x0a", b"\x05\0", b"\x06\0", b"\x03\x01"] {
            assert!(Reply::parse(message).is_none(), "{message:?}");
        }
    }

    #[test]
    fn a_message_takes_no_more_room_than_has_come_of_it() {
        let claims = |len: usize, sent: usize| {
            let len = u32::try_from(len).unwrap().to_le_bytes();
            let mut from = len.chain(io::repeat(7)).take(4 + sent as u64);
            read_message(&mut from)
        };
        assert_eq!(claims(3, 3).unwrap(), [7; 3]);
        let kind = |read: io::Result<Vec<u8>>| read.unwrap_err().kind();
        let cut_off = io::ErrorKind::UnexpectedEof;
        assert_eq!(kind(claims(MAX_MESSAGE_BYTES, 5)), cut_off);
        let too_long = io::ErrorKind::InvalidData;
        assert_eq!(kind(claims(MAX_MESSAGE_BYTES + 1, 5)), too_long);
    }

    #[test]
    fn what_is_too_long_is_told_instead_of_sent() {
        let message = Message(vec![0; LEN_BYTES + MAX_MESSAGE_BYTES + 1]);
        let error = message.whole().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);
        let message = Message(vec![0; LEN_BYTES + MAX_MESSAGE_BYTES]);
        assert_eq!(message.whole().unwrap()[..4], [0, 0, 0, 0x20]);
    }

    #[test]
    fn an_error_keeps_its_kind_and_tells_its_causes() {
        let io_error = io::Error::other(Error::new(ErrorKind::Storage, "first"));
        let second = Error::new(ErrorKind::Storage, "second").with_source(io_error);
        for kind in KINDS {
            let error = Error::new(kind, "third").with_source(second.clone());
            let Some(Reply::Failed(told)) =
                Reply::parse(&unframed(&Reply::Failed(error).spelled()))
            else {
                panic!("not an error")
            };
            assert_eq!((told.kind(), told.to_string()), (kind, "third".into()));
            let causes = told.source().unwrap().to_string();
            assert_eq!(causes, "second: first");
        }
    }
}
