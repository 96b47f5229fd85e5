//! The bytes of a backup: its start, the heads of its frames, and its totals. The table is in the
//! module's documentation. It must not know where the bytes go.

use crc32fast::Hasher;
use zerocopy::little_endian::{I64, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Summary;
use crate::engine::Space;
use crate::record::MAX_BODY_LEN;
use crate::timestamp::Timestamp;

/// The format that is written, and the newest one that is read.
///
/// - 1: the first one.
pub const FORMAT_VERSION: u32 = 1;

/// The longest value in a backup.
pub const MAX_VALUE_BYTES: u32 = 128 << 20;

/// Should a newer release write larger records, this one still carries them.
const _: () = assert!(MAX_VALUE_BYTES as usize >= 2 * MAX_BODY_LEN);

/// The first bytes of every backup, in every version of the format.
pub(super) const MAGIC: [u8; 8] = *b"CBBACKUP";

/// Bytes before the first frame, in every version of the format.
pub(super) const START_LEN: usize = 24;

/// Bytes of a frame before its partition.
pub(super) const HEAD_LEN: usize = 13;

/// Bytes of the end's value before the digest.
pub(super) const TOTALS_LEN: usize = 32;

/// Bytes of a digest.
pub(super) const DIGEST_LEN: usize = 32;

/// What a backup begins with.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Start {
    magic: [u8; 8],
    format_version: U32,
    made_at: I64,
    checksum: U32,
}

/// What the start of a backup says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Started {
    At(Timestamp),
    /// In this format, of a newer release.
    TooNew(u32),
    NoBackup,
    Damaged,
}

/// What a frame begins with.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Head {
    bound: Bound,
    checksum: U32,
}

/// The fields that the head's checksum covers.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Bound {
    kind: u8,
    partition_len: U16,
    name_len: U16,
    value_len: U32,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    End,
    /// A value of this space.
    Value(Space),
}

/// How much there is in a backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) courses: u64,
    pub(super) records: u64,
    pub(super) control_rows: u64,
    pub(super) left_out: u64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawTotals([U64; 4]);

impl Start {
    pub(super) fn spelled(made_at: Timestamp) -> [u8; START_LEN] {
        let mut start = Self {
            magic: MAGIC,
            format_version: FORMAT_VERSION.into(),
            made_at: made_at.as_micros().into(),
            checksum: U32::ZERO,
        };
        start.checksum = start.computed().into();
        zerocopy::transmute!(start)
    }

    pub(super) fn read(bytes: [u8; START_LEN]) -> Started {
        let start: Self = zerocopy::transmute!(bytes);
        if start.magic != MAGIC {
            return Started::NoBackup;
        }
        if start.checksum.get() != start.computed() {
            return Started::Damaged;
        }
        let made_at = Timestamp::from_micros(start.made_at.get());
        match (start.format_version.get(), made_at) {
            (FORMAT_VERSION, Some(made_at)) => Started::At(made_at),
            (newer, _) if newer > FORMAT_VERSION => Started::TooNew(newer),
            _ => Started::Damaged,
        }
    }

    fn computed(&self) -> u32 {
        let mut hasher = Hasher::new();
        hasher.update(&self.magic);
        hasher.update(self.format_version.as_bytes());
        hasher.update(self.made_at.as_bytes());
        hasher.finalize()
    }
}

impl Head {
    /// `None` where something is too long for a frame.
    pub(super) fn new(
        number: u64,
        kind: Kind,
        partition: &[u8],
        name: &[u8],
        value_len: usize,
    ) -> Option<Self> {
        let value_len = u32::try_from(value_len).ok();
        let bound = Bound {
            kind: kind.number(),
            partition_len: u16::try_from(partition.len()).ok()?.into(),
            name_len: u16::try_from(name.len()).ok()?.into(),
            value_len: value_len.filter(|len| *len <= MAX_VALUE_BYTES)?.into(),
        };
        let checksum = bound.checksum(number).into();
        Some(Self { bound, checksum })
    }

    /// `None` where it is damaged, or the head of another frame.
    pub(super) fn read(number: u64, bytes: [u8; HEAD_LEN]) -> Option<Self> {
        let head: Self = zerocopy::transmute!(bytes);
        let is_whole = head.checksum.get() == head.bound.checksum(number);
        is_whole.then_some(head)
    }

    /// `None` for a kind that there is not.
    pub(super) fn kind(&self) -> Option<Kind> {
        Kind::from_number(self.bound.kind)
    }

    pub(super) fn partition_len(&self) -> u32 {
        self.bound.partition_len.get().into()
    }

    pub(super) fn name_len(&self) -> u32 {
        self.bound.name_len.get().into()
    }

    pub(super) fn value_len(&self) -> u32 {
        self.bound.value_len.get()
    }

    /// The checksum of the whole frame.
    pub(super) fn body_checksum(&self, number: u64, parts: [&[u8]; 3]) -> u32 {
        let mut hasher = Hasher::new();
        hasher.update(&number.to_le_bytes());
        hasher.update(self.as_bytes());
        for part in parts {
            hasher.update(part);
        }
        hasher.finalize()
    }
}

impl Bound {
    fn checksum(&self, number: u64) -> u32 {
        let mut hasher = Hasher::new();
        hasher.update(&number.to_le_bytes());
        hasher.update(self.as_bytes());
        hasher.finalize()
    }
}

impl Kind {
    const fn number(self) -> u8 {
        match self {
            Self::End => 0,
            Self::Value(Space::Records) => 1,
            Self::Value(Space::Courses) => 2,
            Self::Value(Space::Control) => 3,
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::End,
            1 => Self::Value(Space::Records),
            2 => Self::Value(Space::Courses),
            3 => Self::Value(Space::Control),
            _ => return None,
        })
    }
}

impl Totals {
    /// Of a backup that was begun then and is so long.
    pub(super) fn summary(self, made_at: Timestamp, bytes: u64) -> Summary {
        let Self {
            courses,
            records,
            control_rows,
            left_out,
        } = self;
        Summary {
            made_at,
            courses,
            records,
            control_rows,
            left_out,
            bytes,
        }
    }

    pub(super) fn count(&mut self, space: Space) {
        let counted = match space {
            Space::Records => &mut self.records,
            Space::Courses => &mut self.courses,
            Space::Control => &mut self.control_rows,
        };
        *counted += 1;
    }

    pub(super) fn spelled(&self) -> [u8; TOTALS_LEN] {
        let Self {
            courses,
            records,
            control_rows,
            left_out,
        } = *self;
        let totals = RawTotals([courses, records, control_rows, left_out].map(U64::from));
        zerocopy::transmute!(totals)
    }

    pub(super) fn read(bytes: [u8; TOTALS_LEN]) -> Self {
        let RawTotals(totals) = zerocopy::transmute!(bytes);
        let [courses, records, control_rows, left_out] = totals.map(U64::get);
        Self {
            courses,
            records,
            control_rows,
            left_out,
        }
    }
}
