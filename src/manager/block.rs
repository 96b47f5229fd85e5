//! What several transformers stored for one block, read as one.

use crate::error::{Error, ErrorKind, Result};
use crate::record::{Entry, Generation};
#[cfg(feature = "cli")]
use crate::transformer::ErasedTransformer;
use crate::transformer::Transformer;
use crate::version::WriteVersion;

/// The data of one block, of some transformers and of one generation, verified and not yet decoded:
/// what is asked for can borrow from it.
#[derive(Clone, Debug)]
pub struct BlockEntries {
    generation: Generation,
    // In the order asked for.
    entries: Vec<BlockEntry>,
}

#[derive(Clone, Debug)]
pub(super) struct BlockEntry {
    pub(super) name: String,
    /// `None` where nothing is stored for the course, which only a READ version of 0 allows.
    pub(super) write_version: Option<WriteVersion>,
    /// `None` where the transformer stored nothing for the block.
    pub(super) bytes: Option<Vec<u8>>,
}

impl BlockEntries {
    pub(super) const fn new(generation: Generation, entries: Vec<BlockEntry>) -> Self {
        Self {
            generation,
            entries,
        }
    }

    /// The generation of all of it.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// What `transformer` stored for the block; `None` where it stored nothing for it.
    ///
    /// # Errors
    /// [`Registry`](ErrorKind::Registry) for a transformer that was not asked for,
    /// [`Transformer`](ErrorKind::Transformer) when it cannot decode its data.
    pub fn get<T: Transformer>(&self, transformer: &T) -> Result<Option<T::BlockData<'_>>> {
        let entry = self.entry(transformer.name())?;
        let decoded = entry.map(|entry| transformer.decode_block(entry));
        Ok(decoded.transpose()?)
    }

    /// What [`get`](Self::get) answers, as JSON.
    #[cfg(feature = "cli")]
    pub(crate) fn json(
        &self,
        transformer: &dyn ErasedTransformer,
    ) -> Result<Option<serde_json::Value>> {
        let entry = self.entry(transformer.name())?;
        entry.map(|entry| transformer.block_json(entry)).transpose()
    }

    /// The version that a transformer's data was written with; `None` where none is stored for the
    /// course.
    ///
    /// # Errors
    /// [`Registry`](ErrorKind::Registry) for a transformer that was not asked for.
    pub fn write_version(&self, name: &str) -> Result<Option<WriteVersion>> {
        Ok(self.find(name)?.write_version)
    }

    fn entry(&self, name: &str) -> Result<Option<Entry<'_>>> {
        let BlockEntry {
            write_version,
            bytes,
            ..
        } = self.find(name)?;
        let pair = write_version.zip(bytes.as_deref());
        Ok(pair.map(|(write_version, bytes)| Entry::new(bytes, write_version)))
    }

    fn find(&self, name: &str) -> Result<&BlockEntry> {
        let found = self.entries.iter().find(|entry| entry.name == name);
        found.ok_or_else(|| {
            let message = format!("the data of transformer {name:?} was not asked for");
            Error::new(ErrorKind::Registry, message)
        })
    }
}
