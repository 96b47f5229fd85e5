//! Reading the frames of a backup, from a source that nobody vouches for. It must not know what they
//! mean.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::Summary;
use super::format::{
    DIGEST_LEN, FORMAT_VERSION, HEAD_LEN, Head, Kind, MAX_VALUE_BYTES, START_LEN, Start, Started,
    TOTALS_LEN, Totals,
};
use crate::engine::Space;
use crate::error::{Error, ErrorKind, Result};
use crate::timestamp::Timestamp;

/// A backup that is being read.
#[derive(Debug)]
pub(super) struct Reader<R> {
    from: R,
    made_at: Timestamp,
    digest: Sha256,
    bytes: u64,
    /// Of the next frame.
    number: u64,
    totals: Totals,
}

/// A value, as it was when the backup was taken.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) space: Space,
    pub(super) partition: Vec<u8>,
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    Frame(Frame),
    /// All of it was read, and nothing is missing.
    End(Summary),
}

/// So much is set aside for a value before any of it has come.
const TRUSTED_BYTES: u32 = 1 << 20;

impl<R: Read> Reader<R> {
    pub(super) fn begin(from: R) -> Result<Self> {
        let mut reader = Self {
            from,
            made_at: Timestamp::MIN,
            digest: Sha256::new(),
            bytes: 0,
            number: 0,
            totals: Totals::default(),
        };
        let start: [u8; START_LEN] = reader.array()?;
        reader.made_at = match Start::read(start) {
            Started::At(made_at) => made_at,
            Started::TooNew(newer) => return Err(too_new(newer)),
            Started::Damaged => return Err(reader.damaged("its first bytes are")),
            Started::NoBackup => return Err(no_backup()),
        };
        Ok(reader)
    }

    /// The next frame. To be called until the end, which alone says that the backup is whole.
    pub(super) fn next(&mut self) -> Result<Next> {
        let head = Head::read(self.number, self.array::<HEAD_LEN>()?);
        let head = head.ok_or_else(|| self.damaged("a frame does not begin there as it should"))?;
        let kind = head.kind();
        match kind.ok_or_else(|| self.damaged("a frame of a kind that there is not"))? {
            Kind::End => self.end(&head).map(Next::End),
            Kind::Value(space) => self.frame(space, &head).map(Next::Frame),
        }
    }

    /// An error of the kind [`Damaged`](ErrorKind::Damaged) that tells how far it is good.
    pub(super) fn damaged(&self, what: &str) -> Error {
        let message = format!("the backup is damaged after {} bytes: {what}", self.bytes);
        Error::new(ErrorKind::Damaged, message)
    }

    fn frame(&mut self, space: Space, head: &Head) -> Result<Frame> {
        if head.value_len() > MAX_VALUE_BYTES {
            return Err(self.damaged("a value that is too long"));
        }
        let partition = self.bytes(head.partition_len())?;
        let name = self.bytes(head.name_len())?;
        let value = self.bytes(head.value_len())?;
        let expected = head.body_checksum(self.number, [&partition, &name, &value]);
        self.check_body(expected)?;
        self.number += 1;
        self.totals.count(space);
        Ok(Frame {
            space,
            partition,
            name,
            value,
        })
    }

    fn end(&mut self, head: &Head) -> Result<Summary> {
        let lens = [head.partition_len(), head.name_len(), head.value_len()];
        if lens.map(|len| len as usize) != [0, 0, TOTALS_LEN + DIGEST_LEN] {
            return Err(self.damaged("an end of another length"));
        }
        let totals = self.array::<TOTALS_LEN>()?;
        let computed: [u8; DIGEST_LEN] = self.digest.clone().finalize().into();
        let digest = self.array::<DIGEST_LEN>()?;
        self.check_body(head.body_checksum(self.number, [&totals, &digest, &[]]))?;
        let totals = Totals::read(totals);
        let left_out = totals.left_out;
        if digest != computed
            || totals
                != (Totals {
                    left_out,
                    ..self.totals
                })
        {
            return Err(self.damaged("it is not what was written"));
        }
        let mut more = [0; 1];
        if read_full(&mut self.from, &mut more)? > 0 {
            return Err(self.damaged("it goes on after its end"));
        }
        Ok(totals.summary(self.made_at, self.bytes))
    }

    fn check_body(&mut self, expected: u32) -> Result<()> {
        let checksum = u32::from_le_bytes(self.array()?);
        if checksum == expected {
            Ok(())
        } else {
            Err(self.damaged("a frame fails its checksum"))
        }
    }

    fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN]> {
        let mut bytes = [0; LEN];
        let read = read_full(&mut self.from, &mut bytes)?;
        self.bytes += read as u64;
        if read < LEN {
            return Err(self.damaged("it ends there"));
        }
        self.digest.update(bytes);
        Ok(bytes)
    }

    /// Takes no more room than twice what has come.
    fn bytes(&mut self, len: u32) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(len.min(TRUSTED_BYTES) as usize);
        let mut from = self.from.by_ref().take(len.into());
        let read = from.read_to_end(&mut bytes).map_err(unreadable)?;
        self.bytes += read as u64;
        if read < len as usize {
            return Err(self.damaged("it ends there"));
        }
        self.digest.update(&bytes);
        Ok(bytes)
    }
}

/// As much as there is, up to all of `bytes`.
fn read_full(from: &mut impl Read, bytes: &mut [u8]) -> Result<usize> {
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    Ok(read)
}

fn unreadable(error: io::Error) -> Error {
    Error::new(ErrorKind::Storage, "the backup cannot be read").with_source(error)
}

fn too_new(newer: u32) -> Error {
    let message = format!(
        "the backup was written by a newer release, in format {newer}; this release knows formats \
         up to {FORMAT_VERSION}"
    );
    Error::new(ErrorKind::TooNew, message)
}

fn no_backup() -> Error {
    let message = "it does not begin as a backup; if it is compressed, decompress it first";
    Error::new(ErrorKind::Damaged, message)
}
