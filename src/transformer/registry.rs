//! The transformers of one release, by name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::{ErasedTransformer, Reach, Transformer, standard};
use crate::error::{Error, ErrorKind, Result};
use crate::store::MAX_NAME_BYTES;
use crate::version::Versions;

/// The transformers that a release has, in the order in which they were registered.
///
/// A registry is what a release *is* to the store: it says what is read and written. Several may
/// share one open store, which is how old and new code run side by side.
#[derive(Clone, Default)]
pub struct Registry {
    transformers: Vec<Arc<dyn ErasedTransformer>>,
    // Invariant: the position in `transformers` of every one of them.
    by_name: BTreeMap<String, usize>,
}

impl Registry {
    /// No transformers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The stock transformers of Open edX that this crate has, in the original's default order.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "a test registers them")]
    pub fn standard() -> Self {
        let mut registry = Self::new();
        standard::register(&mut registry).expect("the stock transformers have names of their own");
        registry
    }

    /// Adds a transformer.
    ///
    /// # Errors
    /// [`Registry`](ErrorKind::Registry) for a name that is taken or not usable (empty, longer
    /// than [`MAX_NAME_BYTES`](crate::MAX_NAME_BYTES), with control characters, or beginning with
    /// `@`, which is for the store's own records), and for versions that cannot work: a READ above
    /// WRITE would refuse all that this release writes, a `min_reader` above WRITE would keep it
    /// from reading it.
    pub fn register<T: Transformer>(&mut self, transformer: T) -> Result<()> {
        let name = transformer.name().to_owned();
        check_name(&name)?;
        check_versions(&name, transformer.versions())?;
        if self.by_name.contains_key(&name) {
            return Err(refused(format!("transformer {name:?} is registered twice")));
        }
        self.by_name.insert(name, self.transformers.len());
        self.transformers.push(Arc::new(transformer));
        Ok(())
    }

    /// Puts a transformer in the place of the one with the same name: a later release of it, or
    /// one of the host's own.
    ///
    /// # Errors
    /// [`Registry`](ErrorKind::Registry) where none has the name, and for versions that cannot
    /// work, as in [`register`](Self::register).
    pub fn replace<T: Transformer>(&mut self, transformer: T) -> Result<()> {
        let name = transformer.name().to_owned();
        check_versions(&name, transformer.versions())?;
        let position = self.position(&name)?;
        self.transformers[position] = Arc::new(transformer);
        Ok(())
    }

    /// The names in the order in which they were registered.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.transformers
            .iter()
            .map(|transformer| transformer.name())
    }

    /// The versions of the transformer `name`.
    ///
    /// # Errors
    /// [`Registry`](ErrorKind::Registry) for a name that is not registered.
    pub fn versions(&self, name: &str) -> Result<Versions> {
        Ok(self.get(name)?.versions())
    }

    /// Whether there is a transformer `name`.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// The original's hash over all names and WRITE versions; see [`write_version_hash`].
    #[must_use]
    pub fn write_version_hash(&self) -> String {
        let versions = self.transformers.iter();
        write_version_hash(
            versions.map(|transformer| (transformer.name(), transformer.versions().write)),
        )
    }

    /// Whether a transformation by these transformers that begins at a block needs only what is below
    /// it.
    pub(crate) fn all_reach_subtrees(&self, names: &[&str]) -> Result<bool> {
        for name in names {
            if self.get(name)?.reach() != Reach::Subtree {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(crate) fn get(&self, name: &str) -> Result<&dyn ErasedTransformer> {
        let position = self.position(name)?;
        Ok(&*self.transformers[position])
    }

    fn position(&self, name: &str) -> Result<usize> {
        self.by_name.get(name).copied().ok_or_else(|| {
            let known = self.names().collect::<Vec<_>>().join(", ");
            refused(format!(
                "transformer {name:?} is not registered; registered are: {known}"
            ))
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &dyn ErasedTransformer> {
        self.transformers.iter().map(|transformer| &**transformer)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions = self
            .iter()
            .map(|transformer| (transformer.name(), transformer.versions()));
        f.debug_map().entries(versions).finish()
    }
}

/// The original's hash over a release's transformers: base64 of the SHA-1 over each name and its
/// WRITE version in decimal, sorted by name. `{a: 12}` and `{a1: 2}` have the same hash, which is
/// one reason why this crate compares versions and offers the hash only for comparison with an LMS.
#[must_use]
pub fn write_version_hash<'a, V: fmt::Display>(
    versions: impl IntoIterator<Item = (&'a str, V)>,
) -> String {
    let mut versions: Vec<_> = versions.into_iter().collect();
    versions.sort_by_key(|(name, _)| *name);
    let mut hash = Sha1::new();
    for (name, version) in versions {
        hash.update(name);
        hash.update(version.to_string());
    }
    STANDARD.encode(hash.finalize())
}

fn check_name(name: &str) -> Result<()> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_NAME_BYTES {
        "it is longer than 255 bytes"
    } else if name.starts_with('@') {
        "a leading '@' is for the store's own records"
    } else if name.chars().any(char::is_control) {
        "it has control characters"
    } else {
        return Ok(());
    };
    Err(refused(format!(
        "{name:?} cannot name a transformer: {reason}"
    )))
}

fn check_versions(name: &str, versions: Versions) -> Result<()> {
    let Versions {
        read,
        write,
        min_reader,
    } = versions;
    if !read.accepts(write) {
        let reason = format!("READ {read} is above WRITE {write}: it could read nothing it writes");
        return Err(refused(format!("transformer {name:?}: {reason}")));
    }
    if !min_reader.admits(write) {
        let reason = format!("its min_reader {min_reader} is above its own WRITE {write}");
        return Err(refused(format!("transformer {name:?}: {reason}")));
    }
    Ok(())
}

fn refused(message: String) -> Error {
    Error::new(ErrorKind::Registry, message)
}
