//! The courses of the test, where they come from, and the release that collects them. Every block
//! and record of a course tells the number of the content that it is of.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use courseblocks::modulestore::{Block, Course, CourseBuilder, ModuleStore, SourceVersion};
use courseblocks::record::{Body, ColumnWriter};
use courseblocks::transformer::Collected;
use courseblocks::{
    CourseKey, Error, ErrorKind, FieldValue, NewRecord, Publication, ReadVersion, Registry, Result,
    Scope, Transformer, Versions, WriteVersion,
};
use serde::{Deserialize, Serialize};

/// The even ones have a source and are collected; the odd ones are published as they are.
pub(crate) const COURSES: usize = 14;

pub(crate) const BLOCKS: u32 = 12;

/// Has a new version with every rollout.
pub(crate) const TITLES: &str = "titles";

/// Is retired one day.
pub(crate) const EXTRA: &str = "extra";

/// Of a course without a source: makes it large or small.
pub(crate) const PAD: &str = "@pad";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) content: u32,
    pub(crate) write: u32,
}

pub(crate) fn has_source(course: usize) -> bool {
    course.is_multiple_of(2)
}

pub(crate) fn key(course: usize) -> CourseKey {
    format!("course-v1:Org+Kill+{course:02}").parse().unwrap()
}

pub(crate) fn number(key: &CourseKey) -> usize {
    let (_, number) = key.as_str().rsplit_once('+').unwrap();
    number.parse().unwrap()
}

/// Whether `titles` cannot collect this content of a course with a source.
pub(crate) fn fails(content: u32) -> bool {
    content.is_multiple_of(11)
}

/// Courses as files that hold the number of their content: several processes share them.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) directory: PathBuf,
}

impl Source {
    pub(crate) fn publish(&self, course: usize, content: u32) {
        let draft = self.directory.join(format!("{course}.draft"));
        fs::write(&draft, content.to_string()).unwrap();
        fs::rename(draft, self.file(course)).unwrap();
    }

    pub(crate) fn take_away(&self, course: usize) {
        // It may not be there.
        let _ = fs::remove_file(self.file(course));
    }

    pub(crate) fn content(&self, course: usize) -> Option<u32> {
        let content = fs::read_to_string(self.file(course)).ok()?;
        Some(content.parse().expect("a number"))
    }

    fn file(&self, course: usize) -> PathBuf {
        self.directory.join(course.to_string())
    }

    fn find(&self, key: &CourseKey) -> Result<u32> {
        self.content(number(key))
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("{key} has no source")))
    }
}

impl ModuleStore for Source {
    fn source_version(&self, key: &CourseKey) -> Result<SourceVersion> {
        SourceVersion::new(self.find(key)?.to_string())
    }

    fn load(&self, key: &CourseKey) -> Result<Course> {
        let content = self.find(key)?;
        let root = key.usage_key("course", "course")?;
        let version = SourceVersion::new(content.to_string())?;
        let mut course = CourseBuilder::new(key.clone(), root.clone(), version);
        let told = format!("{content} {}", padding(content, size(content) / 40));
        for number in 0..BLOCKS {
            let block = if number == 0 {
                root.clone()
            } else {
                let block = key.usage_key("html", &format!("b{number}"))?;
                course.add_child(&root, &block);
                block
            };
            let mut fields = Block::default();
            let title = FieldValue::String(told.clone());
            fields.fields.insert("display_name".to_owned(), title);
            course.define(block, fields);
        }
        course.build()
    }
}

/// Most courses are small; some have values that sled keeps in files of their own.
fn size(content: u32) -> usize {
    match content % 17 {
        0 => 400_000,
        1 | 2 => 60_000,
        _ => 600,
    }
}

/// Text that nothing compresses much.
fn padding(seed: u32, length: usize) -> String {
    let mut state = u64::from(seed) << 20 | 1;
    let mut text = String::with_capacity(length + 16);
    while text.len() < length {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        write!(text, "{:08x}", state >> 32).unwrap();
    }
    text
}

/// The code of one release: what it writes of `titles`, and whether it has `extra`.
pub(crate) fn registry(write: u32, has_extra: bool) -> Registry {
    let mut registry = Registry::new();
    let titles = Teller {
        name: TITLES,
        write,
    };
    registry.register(titles).unwrap();
    if has_extra {
        let extra = Teller {
            name: EXTRA,
            write: 1,
        };
        registry.register(extra).unwrap();
    }
    registry
}

pub(crate) fn versions(write: u32) -> Versions {
    Versions::new(ReadVersion::new(1), WriteVersion::new(write).unwrap())
}

/// Notes the content at every block.
struct Teller {
    name: &'static str,
    write: u32,
}

impl Transformer for Teller {
    type BlockData<'a> = Told;
    type CourseData<'a> = ();

    fn name(&self) -> &str {
        self.name
    }

    fn versions(&self) -> Versions {
        versions(self.write)
    }

    fn collect(&self, course: &Course) -> Result<Collected<Told, ()>> {
        let content = course.source_version().as_str().parse().unwrap();
        if self.name == TITLES && fails(content) {
            return Err(Error::new(ErrorKind::Transformer, "no such titles"));
        }
        let mut collected = Collected::new(course.structure().width(), ());
        for block in course.structure().blocks() {
            let told = Told {
                content,
                write: self.write,
            };
            collected.set(block, told);
        }
        Ok(collected)
    }
}

/// What is published of a course without a source.
pub(crate) fn publication(
    scope: Scope,
    content: u32,
    write: u32,
    has_extra: bool,
) -> Result<Publication> {
    let mut records = vec![record(TITLES, content, write)?];
    if scope == Scope::Whole {
        if has_extra {
            records.push(record(EXTRA, content, 1)?);
        }
        let mut column = ColumnWriter::new();
        for _ in 0..BLOCKS {
            column.push_absent()?;
        }
        records.push(NewRecord {
            name: PAD.to_owned(),
            versions: versions(1),
            body: column.finish_value(&(content, padding(content, size(content))))?,
        });
    }
    Ok(Publication {
        scope,
        source_version: SourceVersion::new(content.to_string())?,
        origin: None,
        blocks: BLOCKS,
        errors: 0,
        warnings: 0,
        records,
        failures: Vec::new(),
    })
}

fn record(name: &str, content: u32, write: u32) -> Result<NewRecord> {
    Ok(NewRecord {
        name: name.to_owned(),
        versions: versions(write),
        body: body(content, write)?,
    })
}

fn body(content: u32, write: u32) -> Result<Body> {
    let mut column = ColumnWriter::new();
    for _ in 0..BLOCKS {
        column.push_value(&Told { content, write })?;
    }
    Ok(column.finish_value(&())?)
}
