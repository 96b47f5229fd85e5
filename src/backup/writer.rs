//! Writing the frames of a backup. It must not know what they mean.

use std::io::{self, Write};

use sha2::{Digest, Sha256};
use zerocopy::IntoBytes;

use super::Summary;
use super::format::{DIGEST_LEN, Head, Kind, Start, TOTALS_LEN, Totals};
use crate::engine::Space;
use crate::error::{Error, ErrorKind, Result};
use crate::timestamp::Timestamp;

/// A backup that is being written.
#[derive(Debug)]
pub(super) struct Writer<W> {
    to: W,
    made_at: Timestamp,
    digest: Sha256,
    bytes: u64,
    /// Of the next frame.
    number: u64,
    totals: Totals,
}

impl<W: Write> Writer<W> {
    pub(super) fn begin(to: W, made_at: Timestamp) -> Result<Self> {
        let mut writer = Self {
            to,
            made_at,
            digest: Sha256::new(),
            bytes: 0,
            number: 0,
            totals: Totals::default(),
        };
        writer.write(&Start::spelled(made_at)).map_err(unwritable)?;
        Ok(writer)
    }

    /// The next value, in the order that the format wants.
    pub(super) fn value(
        &mut self,
        space: Space,
        partition: &[u8],
        name: &[u8],
        value: &[u8],
    ) -> Result<()> {
        let kind = Kind::Value(space);
        let head = Head::new(self.number, kind, partition, name, value.len());
        let head = head.ok_or_else(|| too_long(partition, name))?;
        self.totals.count(space);
        self.frame(&head, [partition, name, value])
            .map_err(unwritable)
    }

    /// Something that belongs here is damaged, and is left out.
    pub(super) fn leave_out(&mut self) {
        self.totals.left_out += 1;
    }

    /// Ends the backup, and hands everything on.
    pub(super) fn end(mut self) -> Result<Summary> {
        let len = TOTALS_LEN + DIGEST_LEN;
        let head = Head::new(self.number, Kind::End, b"", b"", len);
        let head = head.ok_or_else(|| too_long(b"", b""))?;
        self.write_end(&head).map_err(unwritable)?;
        Ok(self.totals.summary(self.made_at, self.bytes))
    }

    fn write_end(&mut self, head: &Head) -> io::Result<()> {
        let totals = self.totals.spelled();
        self.write(head.as_bytes())?;
        self.write(&totals)?;
        let digest = self.digest.clone().finalize();
        self.write(&digest)?;
        let checksum = head.body_checksum(self.number, [&totals, &digest, &[]]);
        self.write(&checksum.to_le_bytes())?;
        self.to.flush()
    }

    fn frame(&mut self, head: &Head, parts: [&[u8]; 3]) -> io::Result<()> {
        let checksum = head.body_checksum(self.number, parts);
        self.write(head.as_bytes())?;
        for part in parts {
            self.write(part)?;
        }
        self.number += 1;
        self.write(&checksum.to_le_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(bytes)?;
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

fn unwritable(error: io::Error) -> Error {
    Error::new(ErrorKind::Storage, "the backup cannot be written").with_source(error)
}

fn too_long(partition: &[u8], name: &[u8]) -> Error {
    let [partition, name] = [partition, name].map(String::from_utf8_lossy);
    let message = format!("the value {name:?} of {partition:?} is too long for a backup");
    Error::new(ErrorKind::LimitExceeded, message)
}
