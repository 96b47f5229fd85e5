//! A transformer that stores with every block which code collected it, and from what: whatever is
//! mixed up later shows.

use std::sync::Arc;

use courseblocks::modulestore::Course;
use courseblocks::transformer::Collected;
use courseblocks::{MinReader, ReadVersion, Registry, Result, Transformer, Versions, WriteVersion};
use serde::{Deserialize, Serialize};

use crate::probe::Probe;

#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    name: String,
    versions: Versions,
    /// Asked before every collect.
    pub(crate) collects: Arc<Probe>,
}

/// What is stored for a block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) written_with: u32,
    pub(crate) source: String,
    pub(crate) block: String,
}

impl Recorder {
    pub(crate) fn new(name: &str, read: u32, write: u32) -> Self {
        Self {
            name: name.to_owned(),
            versions: versions(read, write),
            collects: Arc::default(),
        }
    }

    /// The same transformer in another release: its collects are counted together.
    pub(crate) fn with_versions(&self, versions: Versions) -> Self {
        Self {
            versions,
            ..self.clone()
        }
    }
}

impl Transformer for Recorder {
    type BlockData<'a> = Stamp;
    type CourseData<'a> = String;

    fn name(&self) -> &str {
        &self.name
    }

    fn versions(&self) -> Versions {
        self.versions
    }

    fn collect(&self, course: &Course) -> Result<Collected<Stamp, String>> {
        self.collects.call()?;
        let structure = course.structure();
        let source = course.source_version().to_string();
        let mut collected = Collected::new(structure.width(), source.clone());
        for block in structure.blocks() {
            let stamp = Stamp {
                written_with: self.versions.write.get(),
                source: source.clone(),
                block: structure.key(block).to_string(),
            };
            collected.set(block, stamp);
        }
        Ok(collected)
    }
}

/// Readable by every release.
pub(crate) fn versions(read: u32, write: u32) -> Versions {
    Versions::new(ReadVersion::new(read), WriteVersion::new(write).unwrap())
}

/// Readable only by releases that write `min_reader` at least.
pub(crate) fn versions_with(read: u32, write: u32, min_reader: u32) -> Versions {
    let min_reader = MinReader::new(WriteVersion::new(min_reader).unwrap());
    Versions {
        min_reader,
        ..versions(read, write)
    }
}

pub(crate) fn registry(transformers: &[&Recorder]) -> Arc<Registry> {
    let mut registry = Registry::new();
    for transformer in transformers {
        registry.register((*transformer).clone()).unwrap();
    }
    Arc::new(registry)
}
