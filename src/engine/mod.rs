//! Where bytes are kept: the trait [`Engine`], and three engines. Nothing here knows what the bytes
//! mean.
//!
//! An engine is a map from keys to values with atomic commits. It is small on purpose: a commit
//! touches one partition (one course, or the control data), because an engine that is spread over
//! machines can give exactly that.

mod acknowledged;
mod create;
mod directory;
mod disk;
mod memory;
#[cfg(unix)]
mod shared;
#[cfg(not(unix))]
#[path = "shared/exclusive.rs"]
mod shared;
mod sled;
mod undo;

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

pub use memory::MemoryEngine;
pub use shared::SharedEngine;
pub use sled::{SledEngine, SledOptions};

use crate::concat::{ROOM, Room, concat};
use crate::error::{Error, ErrorKind, Result};

/// A map from [`Key`]s to values.
///
/// - **Order.** Keys sort by partition, then by name, as bytes.
/// - **Atomicity.** A commit is seen as a whole or not at all by every [`get`](Self::get) that
///   begins after it, and survives a crash as a whole or not at all.
/// - **Durability.** What is visible need not be durable yet. Commits become durable in the order
///   in which they became visible. Whoever acts outside the store upon what was read calls
///   [`flush`](Self::flush) first.
/// - **Errors.** After a failed commit or flush an engine may refuse everything with
///   [`ErrorKind::Storage`] until it is opened again, when the commit is there or is not.
///   [`ErrorKind::NoRoom`] is over when there is room: everything else goes on. A commit that was
///   refused so has not happened, or can be read already and becomes durable later.
///
/// A partition that holds a 0x00 byte is an [`ErrorKind::InvalidKey`].
pub trait Engine: fmt::Debug + Send + Sync + 'static {
    /// The value of `key`, which stays as it is while it is held, whatever is committed.
    fn get(&self, key: Key<'_>) -> Result<Option<Value>>;

    /// Everything in `space`, or in one partition of it, in the order of the keys. Commits that
    /// are made meanwhile may be seen or not, key by key: a scan is no snapshot.
    ///
    /// After an error of the kind [`Damaged`](ErrorKind::Damaged) it goes on behind what cannot be
    /// read, if the engine can: what is missing is between its neighbours. After any other error
    /// it ends.
    fn scan(&self, space: Space, partition: Option<&[u8]>) -> Scan<'_>;

    /// Writes all of `commit` to `partition` if all its preconditions are met, else nothing.
    fn commit(
        &self,
        partition: &[u8],
        commit: &Commit,
        durability: Durability,
    ) -> Result<CommitOutcome>;

    /// Makes durable what was committed before.
    fn flush(&self) -> Result<()>;

    /// What the data takes on disk, in bytes.
    fn disk_bytes(&self) -> Result<u64>;

    /// Where the data is, as text to compare: another one after the data was copied or restored
    /// elsewhere, so that a copy is not taken for the store that it was made from. It stays the
    /// same when the engine is opened again.
    fn place(&self) -> Result<String>;

    /// Which engine this is and where it keeps its data, for people.
    fn describe(&self) -> String;
}

/// What [`Engine::scan`] returns.
pub type Scan<'a> = Box<dyn Iterator<Item = Result<Item>> + 'a>;

/// Keys of different spaces never meet, so that a scan touches only what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Space {
    /// Records: large values, several for each course.
    Records,
    /// One small value for each course: copies of its records' headers.
    Courses,
    /// What the store knows about itself: floors, leases, tasks.
    Control,
}

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key<'a> {
    /// Which map.
    pub space: Space,
    /// What is committed together: a course key's text, or a name of control data. Holds no 0x00.
    pub partition: &'a [u8],
    /// Any bytes, or none.
    pub name: &'a [u8],
}

/// A value as an engine hands it out: cheap to clone, and not copied from where the engine keeps
/// it.
#[derive(Clone)]
pub struct Value(Bytes);

#[derive(Clone)]
enum Bytes {
    Sled(sled::Bytes),
    Shared(Arc<[u8]>),
}

/// A key and its value, found by a scan.
#[derive(Clone, PartialEq, Eq)]
pub struct Item {
    /// As made by [`joined`].
    key: Value,
    // Invariant: the place of the 0x00 that ends the partition.
    partition_len: usize,
    value: Value,
}

/// When a commit must be safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Durability {
    /// Sometime: with the next durable commit or flush, if there is one.
    Buffered,
    /// Before [`Engine::commit`] returns: neither the end of the process nor that of the machine
    /// loses it.
    Durable,
}

/// What is written together, and on which conditions. All names are in one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    preconditions: Vec<Precondition>,
    writes: Vec<Write>,
}

/// What must be so when a commit is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Precondition {
    /// Which map.
    pub space: Space,
    /// Which value in the partition.
    pub name: Vec<u8>,
    /// What it must be.
    pub expected: Expected,
}

/// What a value must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// There must be none.
    Absent,
    /// There must be one.
    Present,
    /// There must be this one.
    Equal(Vec<u8>),
}

/// A change of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Which map.
    pub space: Space,
    /// Which value in the partition.
    pub name: Vec<u8>,
    /// What it becomes; `None` deletes it.
    pub value: Option<Vec<u8>>,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a refused commit wrote nothing"]
pub enum CommitOutcome {
    /// All preconditions were met and everything is written.
    Applied,
    /// A precondition was not met and nothing is written.
    Refused {
        /// The first precondition that was not met, in the order in which they were added.
        precondition: usize,
    },
}

impl<'a> Key<'a> {
    /// The key of `name` in `partition`.
    #[must_use]
    pub const fn new(space: Space, partition: &'a [u8], name: &'a [u8]) -> Self {
        Self {
            space,
            partition,
            name,
        }
    }

    fn joined_in<'b>(&self, room: &'b mut Room) -> Result<Cow<'b, [u8]>> {
        joined_in(room, self.partition, self.name)
    }
}

impl Commit {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses the commit unless the value of `name`, before the commit, is as expected.
    pub fn require(&mut self, space: Space, name: impl Into<Vec<u8>>, expected: Expected) {
        self.preconditions.push(Precondition {
            space,
            name: name.into(),
            expected,
        });
    }

    /// Sets a value. Of several writes to one name the last one counts.
    pub fn put(&mut self, space: Space, name: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.writes.push(Write {
            space,
            name: name.into(),
            value: Some(value.into()),
        });
    }

    /// Deletes a value, if there is one.
    pub fn delete(&mut self, space: Space, name: impl Into<Vec<u8>>) {
        self.writes.push(Write {
            space,
            name: name.into(),
            value: None,
        });
    }

    /// The conditions, in the order in which they were added. For those who write engines.
    #[must_use]
    pub fn preconditions(&self) -> &[Precondition] {
        &self.preconditions
    }

    /// The changes, in the order in which they were added. For those who write engines.
    #[must_use]
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }
}

impl Expected {
    /// Whether `value` is as expected.
    #[must_use]
    pub fn is_met_by(&self, value: Option<&[u8]>) -> bool {
        match self {
            Self::Absent => value.is_none(),
            Self::Present => value.is_some(),
            Self::Equal(expected) => value == Some(expected),
        }
    }
}

impl Item {
    /// For those who write engines.
    pub fn new(partition: &[u8], name: &[u8], value: impl Into<Value>) -> Result<Self> {
        Ok(Self {
            key: joined(partition, name)?.into(),
            partition_len: partition.len(),
            value: value.into(),
        })
    }

    /// What was committed together.
    #[must_use]
    pub fn partition(&self) -> &[u8] {
        self.key.get(..self.partition_len).unwrap_or_default()
    }

    /// The name in the partition.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.key.get(self.partition_len + 1..).unwrap_or_default()
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The value, without the key.
    #[must_use]
    pub fn into_value(self) -> Value {
        self.value
    }

    /// `None` where `key` was not made by [`joined`].
    fn from_joined(key: Value, value: Value) -> Option<Self> {
        Some(Self {
            partition_len: key.iter().position(|byte| *byte == SEPARATOR)?,
            key,
            value,
        })
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let partition = String::from_utf8_lossy(self.partition());
        let name = String::from_utf8_lossy(self.name());
        write!(f, "Item({partition:?}, {name:?}, {:?})", self.value)
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Sled(bytes) => bytes,
            Bytes::Shared(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Value {}

/// The length only: values are large.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} bytes)", self.len())
    }
}

impl From<Arc<[u8]>> for Value {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self(Bytes::Shared(bytes))
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Bytes::Shared(bytes.into()))
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self(Bytes::Shared(bytes.into()))
    }
}

/// Lowest of all bytes, so that a partition sorts before those that begin like it.
const SEPARATOR: u8 = 0;

/// A partition and a name as one key that sorts as the two of them.
fn joined(partition: &[u8], name: &[u8]) -> Result<Vec<u8>> {
    let mut room = ROOM;
    Ok(joined_in(&mut room, partition, name)?.into_owned())
}

/// As [`joined`], without an allocation for a key of usual length.
fn joined_in<'a>(room: &'a mut Room, partition: &[u8], name: &[u8]) -> Result<Cow<'a, [u8]>> {
    if partition.contains(&SEPARATOR) {
        return Err(separator_in(partition));
    }
    Ok(concat(room, &[partition, &[SEPARATOR], name]))
}

#[cold]
fn separator_in(partition: &[u8]) -> Error {
    let partition = String::from_utf8_lossy(partition);
    let message = format!("a partition with a 0x00 byte: {partition:?}");
    Error::new(ErrorKind::InvalidKey, message)
}
