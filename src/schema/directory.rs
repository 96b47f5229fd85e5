//! Where one transformer's schemas and golden records are kept, and how the files are called. It
//! must not know what is in them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::error::{Problem, SchemaError};
use crate::version::WriteVersion;

/// The files of one transformer.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    path: PathBuf,
}

const SCHEMA: &str = ".schema.json";

impl Directory {
    /// The files of the transformer `name`, all of which are in one folder below `parent`.
    pub(super) fn new(parent: &Path, name: &str) -> Self {
        Self {
            path: parent.join(file_name(name)),
        }
    }

    /// Where the shape of the data of a version is written down.
    pub(super) fn schema(&self, version: WriteVersion) -> PathBuf {
        self.path.join(format!("{version}{SCHEMA}"))
    }

    /// Where a record of a version is kept as it was stored.
    pub(super) fn golden(&self, version: WriteVersion) -> PathBuf {
        self.path.join(format!("{version}.golden"))
    }

    /// Where it is written down what the golden record of `version` says to code that writes
    /// version `reader`.
    pub(super) fn reading(&self, version: WriteVersion, reader: WriteVersion) -> PathBuf {
        self.path.join(format!("{version}.read-by-{reader}.json"))
    }

    /// The versions whose schemas are here, in order.
    pub(super) fn versions(&self) -> Result<BTreeSet<WriteVersion>, SchemaError> {
        let names = self.names()?;
        Ok(names
            .iter()
            .filter_map(|name| version(name, SCHEMA))
            .collect())
    }

    /// Which code's readings of the golden record of `version` are here, in order.
    pub(super) fn readers(&self, of: WriteVersion) -> Result<BTreeSet<WriteVersion>, SchemaError> {
        let before = format!("{of}.read-by-");
        let names = self.names()?;
        let readers = names.iter().filter_map(|name| {
            let name = name.strip_prefix(before.as_str())?;
            version(name, ".json")
        });
        Ok(readers.collect())
    }

    /// None when the folder is not there.
    fn names(&self) -> Result<Vec<String>, SchemaError> {
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| failed(&self.path, error))?,
        };
        entries
            .map(|entry| {
                let entry = entry.map_err(|error| failed(&self.path, error))?;
                Ok(entry.file_name().to_string_lossy().into_owned())
            })
            .collect()
    }
}

/// The bytes of a file; none when it is not there.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, SchemaError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path, error)),
    }
}

/// Writes a file that is not there yet.
pub(super) fn create(path: &Path, bytes: &[u8]) -> Result<(), SchemaError> {
    let created = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::File::create_new(path)?.write_all(bytes)
    };
    created().map_err(|error| failed(path, error))
}

fn failed(path: &Path, source: io::Error) -> SchemaError {
    SchemaError::from(Problem::File {
        file: path.to_owned(),
        source,
    })
}

/// A name that every file system keeps apart from all others: what is no lower-case letter, digit,
/// `_`, `-` or `@` is spelled as `%` and the two hexadecimal digits of every byte.
fn file_name(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'@' => encoded.push(char::from(byte)),
            // Writing to a string does not fail.
            _ => drop(write!(encoded, "%{byte:02x}")),
        }
    }
    encoded
}

/// The version in front of `end`, as this module prints it.
fn version(name: &str, end: &str) -> Option<WriteVersion> {
    let digits = name.strip_suffix(end)?;
    let version = WriteVersion::new(digits.parse().ok()?)?;
    (version.to_string() == digits).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_file_name_that_can_be_read_back() {
        #[track_caller]
        fn check(name: &str, expected: &str) {
            assert_eq!(file_name(name), expected);
        }
        check("start_date", "start_date");
        check("@structure", "@structure");
        check("blocks_api:block_counts", "blocks_api%3ablock_counts");
        check("a/b", "a%2fb");
        check("..", "%2e%2e");
        check("Aa%", "%41a%25");
        check("é", "%c3%a9");
    }

    #[test]
    fn only_versions_as_they_are_printed_are_versions() {
        #[track_caller]
        fn check(name: &str, expected: Option<u32>) {
            let found = version(name, SCHEMA).map(WriteVersion::get);
            assert_eq!(found, expected, "{name}");
        }
        check("12.schema.json", Some(12));
        for name in [
            "0.schema.json",
            "01.schema.json",
            "+1.schema.json",
            "1.schema.json~",
            "1.golden",
            "4294967296.schema.json",
        ] {
            check(name, None);
        }
    }
}
