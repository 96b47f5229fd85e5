//! The releases of the test: one transformer, `titles`, in three versions of its code.

use courseblocks::modulestore::Course;
use courseblocks::record::{DecodeError, Entry};
use courseblocks::transformer::Collected;
use courseblocks::transformer::standard::Visibility;
use courseblocks::{
    FieldValue, ReadVersion, Registry, Result, Transformer, Versions, WriteVersion,
};
use serde::{Deserialize, Serialize};

pub(crate) const TITLES: &str = "titles";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// READ 1, WRITE 1.
    A,
    /// READ 1, WRITE 2.
    B,
    /// READ 2, WRITE 2.
    C,
}

impl Release {
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::A, Self::B, Self::C]
            .into_iter()
            .find(|release| release.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
        }
    }

    pub(crate) fn registry(self) -> Registry {
        let mut registry = Registry::new();
        let registered = match self {
            Self::A => registry.register(Titles),
            Self::B => registry.register(MeasuredTitles { read: 1 }),
            Self::C => registry.register(MeasuredTitles { read: 2 }),
        };
        registered
            .and_then(|()| registry.register(Visibility))
            .unwrap();
        registry
    }
}

struct Titles;

struct MeasuredTitles {
    read: u32,
}

#[derive(Serialize, Deserialize)]
struct Title {
    title: String,
}

#[derive(Serialize, Deserialize)]
struct MeasuredTitle {
    title: String,
    // `None` in what A wrote.
    length: Option<usize>,
}

pub(crate) fn second() -> WriteVersion {
    WriteVersion::new(2).unwrap()
}

impl Transformer for Titles {
    type BlockData<'a> = Title;
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        TITLES
    }

    fn versions(&self) -> Versions {
        Versions::new(ReadVersion::new(1), WriteVersion::FIRST)
    }

    fn collect(&self, course: &Course) -> Result<Collected<Title, ()>> {
        Ok(collect(course, |title| Title { title }))
    }
}

impl Transformer for MeasuredTitles {
    type BlockData<'a> = MeasuredTitle;
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        TITLES
    }

    fn versions(&self) -> Versions {
        Versions::new(ReadVersion::new(self.read), second())
    }

    fn collect(&self, course: &Course) -> Result<Collected<MeasuredTitle, ()>> {
        Ok(collect(course, |title| MeasuredTitle {
            length: Some(title.len()),
            title,
        }))
    }

    fn decode_block(&self, entry: Entry<'_>) -> Result<MeasuredTitle, DecodeError> {
        if entry.write_version() < second() {
            let Title { title } = entry.decode()?;
            return Ok(MeasuredTitle {
                title,
                length: None,
            });
        }
        entry.decode()
    }
}

fn collect<D>(course: &Course, data: impl Fn(String) -> D) -> Collected<D, ()> {
    let mut collected = Collected::new(course.structure().width(), ());
    for block in course.structure().blocks() {
        let title = course
            .field(block, "display_name")
            .and_then(FieldValue::as_str);
        collected.set(block, data(title.unwrap_or_default().to_owned()));
    }
    collected
}
