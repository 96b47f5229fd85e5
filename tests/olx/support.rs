//! Exports made of a few texts, and courses printed on one line. Knows no rules.

use std::fs;
use std::path::Path;

use courseblocks::modulestore::olx::{self, Fatal, FatalKind, Limits};
use courseblocks::modulestore::{Body, Course, Problem};
use courseblocks::{BlockIndex, Error, FieldMap, FieldValue};
use serde_json::Value;
use tempfile::TempDir;

/// A directory with these files.
pub(crate) fn export(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(directory.path(), name, text.as_bytes());
    }
    directory
}

pub(crate) fn write(directory: &Path, name: &str, bytes: &[u8]) {
    let place = directory.join(name);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(place, bytes).unwrap();
}

/// The course `O+C+R` with this content of its root element and these other files.
#[track_caller]
pub(crate) fn course(content: &str, files: &[(&str, &str)]) -> Course {
    // The fourth attribute says that this is no pointer, however little it holds.
    let root = format!("<course org='O' course='C' url_name='R' slug=''>{content}</course>");
    let mut all = vec![("course.xml", root.as_str())];
    all.extend_from_slice(files);
    read(&export(&all)).unwrap()
}

pub(crate) fn read(directory: &TempDir) -> Result<Course, Error> {
    olx::read(directory.path(), &Limits::default())
}

pub(crate) fn fatal_kind(error: &Error) -> Option<FatalKind> {
    let source = std::error::Error::source(error)?;
    source.downcast_ref().map(Fatal::kind)
}

/// `type:id(children)`, for the root its children only. Digits that were made up are `#`.
pub(crate) fn tree(course: &Course) -> String {
    children(course, course.structure().root())
}

fn children(course: &Course, parent: BlockIndex) -> String {
    let structure = course.structure();
    let print = |child| {
        let key = structure.key(child);
        let name = format!("{}:{}", key.block_type(), without_digits(key.block_id()));
        match children(course, child).as_str() {
            "" => name,
            children => format!("{name}({children})"),
        }
    };
    let children: Vec<String> = structure.children(parent).map(print).collect();
    children.join(" ")
}

fn without_digits(id: &str) -> String {
    match id
        .len()
        .checked_sub(12)
        .and_then(|end| id.split_at_checked(end))
    {
        Some((stem, digits))
            if stem.ends_with('_') && digits.bytes().all(|b| b.is_ascii_hexdigit()) =>
        {
            format!("{stem}#")
        }
        _ => id.to_owned(),
    }
}

/// `kind path:line parent@position`, as far as each is known.
pub(crate) fn problems(problems: &[Problem]) -> Vec<String> {
    let print = |problem: &Problem| {
        let path = problem.path.as_ref().map(|path| format!(" {path}"));
        let line = problem.line.map(|line| format!(":{line}"));
        let parent = problem.parent.as_ref();
        let parent = parent.map(|key| format!(" {}:{}", key.block_type(), key.block_id()));
        let position = problem.position.map(|position| format!("@{position}"));
        let parts = [Some(problem.kind.to_string()), path, line, parent, position];
        parts.into_iter().flatten().collect()
    };
    problems.iter().map(print).collect()
}

pub(crate) fn errors(course: &Course) -> Vec<String> {
    problems(&course.report().errors)
}

pub(crate) fn warnings(course: &Course) -> Vec<String> {
    problems(&course.report().warnings)
}

#[track_caller]
pub(crate) fn position(course: &Course, block: &str) -> BlockIndex {
    let (block_type, id) = block.split_once(':').unwrap();
    let key = course.key().usage_key(block_type, id).unwrap();
    course
        .structure()
        .position(&key)
        .unwrap_or_else(|| panic!("there is no {block}"))
}

/// The fields of a block as JSON.
#[track_caller]
pub(crate) fn fields(course: &Course, block: &str) -> String {
    json(&course.block(position(course, block)).unwrap().fields)
}

#[track_caller]
pub(crate) fn xml_attributes(course: &Course, block: &str) -> String {
    json(
        &course
            .block(position(course, block))
            .unwrap()
            .xml_attributes,
    )
}

/// What a block has by inheritance alone, as JSON.
#[track_caller]
pub(crate) fn inherited(course: &Course, block: &str) -> String {
    let block = course.block(position(course, block)).unwrap();
    let mut inherited = FieldMap::clone(&block.inherited);
    inherited.retain(|name, _| !block.fields.contains_key(name));
    json(&inherited)
}

/// Where the body is, and what it is.
#[track_caller]
pub(crate) fn body(course: &Course, block: &str) -> Option<(Option<String>, String)> {
    match &course.block(position(course, block)).unwrap().body {
        Body::None => None,
        Body::Text { path, text } => Some((path.clone(), text.clone())),
    }
}

fn json(fields: &FieldMap) -> String {
    Value::from(&FieldValue::Dict(fields.clone())).to_string()
}
