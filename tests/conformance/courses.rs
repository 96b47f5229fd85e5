//! Courses: what an export holds, block by block.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use courseblocks::modulestore::olx::{self, Fatal, FatalKind, Limits};
use courseblocks::modulestore::{Block, Body, Course, DetachedBlock, Problem};
use courseblocks::{BlockIndex, FieldMap, FieldValue, UsageKey};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::report::Report;

/// Compares every export in `folder` that has a file of expectations beside it.
pub(crate) fn run(folder: &Path, report: &mut Report) {
    for expectations in expectation_files(folder) {
        let file = expectations.to_string_lossy();
        let name = file.trim_end_matches(SUFFIX);
        let json = fs::read_to_string(&expectations).unwrap();
        let wanted: Value = serde_json::from_str(&json).unwrap();
        match export_beside(name) {
            Some(export) => compare(&export, &wanted, report),
            None => report.skip("course", "no export beside its expectations"),
        }
    }
}

/// Every export in `folder` that has a file of expectations beside it.
pub(crate) fn exports(folder: &Path) -> Vec<PathBuf> {
    let files = expectation_files(folder).into_iter();
    files
        .filter_map(|file| export_beside(file.to_string_lossy().trim_end_matches(SUFFIX)))
        .collect()
}

fn export_beside(name: &str) -> Option<PathBuf> {
    [format!("{name}.tar.gz"), name.to_owned()]
        .map(PathBuf::from)
        .into_iter()
        .find(|place| place.exists())
}

const SUFFIX: &str = ".expected.json";
const UNCERTAIN: &str = "different, but nobody vouches for it";

fn expectation_files(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let places = entries.map(|entry| entry.unwrap().path());
    places
        .filter(|place| place.to_string_lossy().ends_with(SUFFIX))
        .collect()
}

fn compare(export: &Path, wanted: &Value, report: &mut Report) {
    let name = export.file_name().unwrap().to_string_lossy().into_owned();
    let read = olx::read(export, &Limits::default());
    if let Some(fatal) = wanted.get("fatal") {
        return compare_fatal(&name, fatal, read, report);
    }
    let course = match read {
        Ok(course) => course,
        Err(error) => return report.fail("course", &name, "a course", error.to_string()),
    };
    compare_other_form(&name, export, &course, report);

    let uncertain = Uncertain::parse(&wanted["uncertain"]);
    let names = match_names(wanted, &uncertain, &course);
    let comparison = Comparison {
        name: &name,
        uncertain,
        names,
    };
    comparison.course(wanted, &course, report);
}

/// An import that must fail, and with what.
fn compare_fatal(
    name: &str,
    wanted: &Value,
    read: courseblocks::Result<Course>,
    report: &mut Report,
) {
    let wanted = wanted["kind"]
        .as_str()
        .or(wanted.as_str())
        .unwrap_or_default();
    let Err(error) = read else {
        return report.fail("course fatal", name, wanted, "a course");
    };
    let source = std::error::Error::source(&error);
    let fatal = source.and_then(|source| source.downcast_ref::<Fatal>());
    match fatal.map(|fatal| fatal.kind().as_str()) {
        Some(kind) if kind == wanted => report.pass("course fatal"),
        _ if !FATAL_KINDS.iter().any(|kind| kind.as_str() == wanted) => {
            report.skip("course fatal", &format!("it fails, but not as {wanted:?}"));
        }
        kind => report.fail("course fatal", name, wanted, kind),
    }
}

const FATAL_KINDS: [FatalKind; 12] = [
    FatalKind::NoRoot,
    FatalKind::AmbiguousRoot,
    FatalKind::MissingFile,
    FatalKind::MalformedXml,
    FatalKind::BadUtf8,
    FatalKind::EntityDeclaration,
    FatalKind::PathEscape,
    FatalKind::LimitExceeded,
    FatalKind::NoRun,
    FatalKind::InvalidCourseKey,
    FatalKind::BrokenArchive,
    FatalKind::UnsafeArchive,
];

/// A directory and its archive are the same course.
fn compare_other_form(name: &str, export: &Path, course: &Course, report: &mut Report) {
    let directory = tempfile::tempdir().unwrap();
    let other = directory.path().join("course");
    if export.is_file() {
        let mut archive = tar::Archive::new(GzDecoder::new(File::open(export).unwrap()));
        archive.set_preserve_mtime(false);
        archive.unpack(&other).unwrap();
    } else {
        let compressed = GzEncoder::new(File::create(&other).unwrap(), Compression::fast());
        let mut archive = tar::Builder::new(compressed);
        archive.append_dir_all(name, export).unwrap();
        archive.into_inner().unwrap().finish().unwrap();
    }
    match olx::read(&other, &Limits::default()) {
        Ok(other) => {
            let (one, other) = (describe(course), describe(&other));
            report.compare("course in its other form", name, &one, &other);
        }
        Err(error) => report.fail(
            "course in its other form",
            name,
            "a course",
            error.to_string(),
        ),
    }
}

/// All of a course, to compare it with another reading of the same one.
fn describe(course: &Course) -> Value {
    let structure = course.structure();
    let key = |position: BlockIndex| structure.key(position).to_string();
    let blocks: Vec<_> = structure
        .blocks()
        .map(|position| {
            let children: Vec<_> = structure.children(position).map(key).collect();
            format!(
                "{} {children:?} {:?}",
                key(position),
                course.block(position)
            )
        })
        .collect();
    json!({
        "key": course.key().to_string(),
        "version": course.source_version().to_string(),
        "blocks": blocks,
        "grading_policy": format!("{:?}", course.grading_policy()),
        "report": format!("{:?}", course.report()),
        "detached": format!("{:?}", course.detached()),
        "drafts": format!("{:?}", course.drafts()),
    })
}

/// What a file of expectations does not vouch for.
#[derive(Default)]
struct Uncertain {
    // By block; without a name the whole block.
    blocks: BTreeSet<String>,
    fields: BTreeSet<(String, String)>,
    children: HashMap<String, Vec<Vec<String>>>,
    // Inherited values that are not listed may be there all the same.
    inherited_is_incomplete: bool,
}

impl Uncertain {
    fn parse(entries: &Value) -> Self {
        let mut uncertain = Self::default();
        for entry in entries.as_array().into_iter().flatten() {
            let block = text(&entry["block"]).to_owned();
            if let Some(children) = entry["alternative_children"].as_array() {
                let children = children.iter().map(|key| text(key).to_owned()).collect();
                uncertain.children.entry(block).or_default().push(children);
            } else if !entry["inherited"].is_null() {
                uncertain.inherited_is_incomplete = true;
            } else if let Some(field) = entry["field"].as_str() {
                uncertain.fields.insert((block, field.to_owned()));
            } else {
                uncertain.blocks.insert(block);
            }
        }
        uncertain
    }

    /// The lists of children that a block may have.
    fn children_of(&self, key: &str, block: &Value) -> Vec<Vec<String>> {
        let keys = |value: &Value| -> Vec<String> {
            list(value).map(|key| text(key).to_owned()).collect()
        };
        let mut allowed = vec![keys(&block["children"])];
        if block.get("alternative_children").is_some() {
            allowed.push(keys(&block["alternative_children"]));
        }
        allowed.extend(self.children.get(key).into_iter().flatten().cloned());
        allowed
    }

    /// Whether a part of a block, or all of it, must not be judged.
    fn has(&self, block: &str, field: &str) -> bool {
        let named = |block: &str| self.fields.contains(&(block.to_owned(), field.to_owned()));
        self.blocks.contains(block) || named(block) || named("*")
    }
}

/// For every block of the expectations the one of the course: the same key, or for a generated id
/// the block in the same place.
fn match_names(
    wanted: &Value,
    uncertain: &Uncertain,
    course: &Course,
) -> HashMap<String, UsageKey> {
    let generated: BTreeSet<&str> = list(&wanted["generated_ids"])
        .filter_map(|entry| entry.as_str().or(entry["key"].as_str()))
        .collect();
    let structure = course.structure();
    let root = text(&wanted["root"]);
    let mut names = HashMap::new();
    let mut pending = vec![(root.to_owned(), structure.key(structure.root()).clone())];
    while let Some((name, ours)) = pending.pop() {
        let found: Vec<UsageKey> = structure
            .position(&ours)
            .map(|position| structure.children(position))
            .into_iter()
            .flatten()
            .map(|child| structure.key(child).clone())
            .collect();
        let is_new = names.insert(name.clone(), ours).is_none();
        for children in uncertain.children_of(&name, &wanted["blocks"][&name]) {
            for (place, child) in children.iter().enumerate().filter(|_| is_new) {
                let same_place = found.get(place).filter(|_| found.len() == children.len());
                let ours = match same_place {
                    Some(ours) if generated.contains(child.as_str()) => Some(ours.clone()),
                    _ => child.parse().ok(),
                };
                let known = names.get(child);
                if let Some(ours) = ours.filter(|ours| known != Some(ours)) {
                    pending.push((child.clone(), ours));
                }
            }
        }
    }
    names
}

struct Comparison<'a> {
    name: &'a str,
    uncertain: Uncertain,
    names: HashMap<String, UsageKey>,
}

impl Comparison<'_> {
    fn course(&self, wanted: &Value, course: &Course, report: &mut Report) {
        let structure = course.structure();
        let found = json!({
            "course_key": course.key().to_string(),
            "root": structure.key(structure.root()).to_string(),
        });
        for part in ["course_key", "root"] {
            report.compare("course key", self.name, &wanted[part], &found[part]);
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for block in structure.blocks() {
            *counts.entry(structure.key(block).block_type()).or_default() += 1;
        }
        report.compare(
            "course counts",
            self.name,
            &wanted["counts"],
            &json!(counts),
        );

        for (key, block) in object(&wanted["blocks"]) {
            match self.names.get(key).and_then(|key| structure.position(key)) {
                Some(position) => self.block(key, block, course, position, report),
                None => report.fail("course block", &self.case(key), "a block", "none"),
            }
        }
        let known: BTreeSet<&UsageKey> = self.names.values().collect();
        for key in structure.blocks().map(|block| structure.key(block)) {
            if !known.contains(key) {
                report.fail(
                    "course block",
                    &self.case(&key.to_string()),
                    "none",
                    "a block",
                );
            }
        }
        self.detached(&wanted["detached"], course.detached(), report);
        if let Some(wanted) = wanted.get("drafts") {
            self.drafts(wanted, course, report);
        }
        self.errors(&wanted["errors"], &course.report().errors, report);
    }

    fn block(
        &self,
        key: &str,
        wanted: &Value,
        course: &Course,
        position: BlockIndex,
        report: &mut Report,
    ) {
        let structure = course.structure();
        let block = course.block(position).unwrap();
        let case = self.case(key);
        let compare =
            |report: &mut Report, kind: &str, part: &str, wanted: &Value, found: &Value| {
                let kind = format!("course {kind}");
                if same(wanted, found) {
                    report.pass(&kind);
                } else if self.uncertain.has(key, part) {
                    report.skip(&kind, UNCERTAIN);
                } else {
                    report.fail(&kind, &format!("{case} {part}"), wanted, found);
                }
            };
        let found_type = structure.key(position).block_type().into();
        compare(report, "block", "type", &wanted["type"], &found_type);
        let display_name = block
            .fields
            .get("display_name")
            .map_or(Value::Null, Value::from);
        compare(
            report,
            "block",
            "display_name",
            &wanted["display_name"],
            &display_name,
        );
        let source_file = block.source_file.as_deref().into();
        compare(
            report,
            "block",
            "source_file",
            &wanted["source_file"],
            &source_file,
        );

        let children: Value = structure
            .children(position)
            .map(|child| structure.key(child).to_string())
            .collect();
        let allowed = self.uncertain.children_of(key, wanted);
        if allowed
            .iter()
            .any(|allowed| self.ours(&json!(allowed)) == children)
        {
            report.pass("course children");
        } else {
            let wanted = self.ours(&wanted["children"]);
            compare(report, "children", "children", &wanted, &children);
        }

        self.fields(key, "field", &wanted["fields"], &block.fields, report);
        self.inherited(key, &wanted["inherited"], block, report);
        if let Some(attributes) = wanted.get("xml_attributes") {
            let found = json_of(&block.xml_attributes);
            compare(
                report,
                "xml_attributes",
                "xml_attributes",
                attributes,
                &found,
            );
        }
        if let Some(content) = wanted.get("content") {
            let found = content_of(&block.body);
            for part in ["path", "bytes", "sha256"] {
                compare(report, "content", part, &content[part], &found[part]);
            }
        }
    }

    fn fields(&self, key: &str, kind: &str, wanted: &Value, found: &FieldMap, report: &mut Report) {
        let kind = format!("course {kind}");
        let found = json_of(found);
        let names: BTreeSet<&String> = object(wanted)
            .chain(object(&found))
            .map(|(name, _)| name)
            .collect();
        for name in names {
            let (wanted, found) = (wanted.get(name), found.get(name));
            let wanted = wanted.map(|wanted| self.ours(wanted));
            if wanted
                .as_ref()
                .zip(found)
                .is_some_and(|(wanted, found)| same(wanted, found))
            {
                report.pass(&kind);
            } else if self.uncertain.has(key, name) {
                report.skip(&kind, UNCERTAIN);
            } else {
                report.fail(&kind, &format!("{} {name}", self.case(key)), wanted, found);
            }
        }
    }

    /// What is listed must be inherited, and what is inherited must be listed.
    fn inherited(&self, key: &str, wanted: &Value, block: &Block, report: &mut Report) {
        let mut found: FieldMap = FieldMap::clone(&block.inherited);
        found.retain(|name, _| !block.fields.contains_key(name));
        if self.uncertain.inherited_is_incomplete {
            found.retain(|name, _| wanted.get(name).is_some());
        }
        self.fields(key, "inherited", wanted, &found, report);
    }

    fn detached(&self, wanted: &Value, found: &[DetachedBlock], report: &mut Report) {
        let mut found: BTreeMap<String, &DetachedBlock> = found
            .iter()
            .map(|block| (block.key.to_string(), block))
            .collect();
        for (key, wanted) in object(wanted) {
            let case = self.case(key);
            let Some(block) = found.remove(key) else {
                report.fail("course detached", &case, "a page", "none");
                continue;
            };
            let fields = json_of(&block.fields);
            let content = content(&block.path, &block.text);
            for (part, wanted) in object(wanted) {
                let found = match part.as_str() {
                    "type" => &block.key.block_type().into(),
                    "url_name" => &block.key.block_id().into(),
                    "fields" => &fields,
                    "path" | "bytes" | "sha256" => &content[part],
                    field => &fields[field],
                };
                let case = format!("{case} {part}");
                report.compare("course detached", &case, wanted, found);
            }
        }
        for key in found.keys() {
            report.fail("course detached", &self.case(key), "none", "a page");
        }
    }

    fn drafts(&self, wanted: &Value, course: &Course, report: &mut Report) {
        let drafts = course.drafts();
        let roots: Value = drafts
            .roots
            .iter()
            .map(|root| {
                json!({
                    "index": root.index,
                    "key": root.key.to_string(),
                    "parent": root.parent.as_ref().map(ToString::to_string),
                    "path": root.path,
                    "subtree_root": root.subtree_root,
                })
            })
            .collect();
        report.compare("course drafts", self.name, &wanted["roots"], &roots);

        let mut found: BTreeMap<String, _> = drafts
            .blocks
            .iter()
            .map(|draft| (draft.key.to_string(), draft))
            .collect();
        for (key, wanted) in object(&wanted["blocks"]) {
            let Some(draft) = found.remove(key) else {
                report.fail("course draft", &self.case(key), "a draft", "none");
                continue;
            };
            let children: Value = draft.children.iter().map(ToString::to_string).collect();
            let case = self.case(key);
            report.compare("course draft", &case, &wanted["children"], &children);
            self.fields(
                key,
                "draft field",
                &wanted["fields"],
                &draft.block.fields,
                report,
            );
        }
        for key in found.keys() {
            report.fail("course draft", &self.case(key), "none", "a draft");
        }
        let told: BTreeSet<_> = drafts
            .problems
            .iter()
            .filter_map(|problem| problem.path.as_deref())
            .collect();
        for skipped in list(&wanted["skipped_files"]).map(text) {
            let found = told.contains(skipped).then_some(skipped);
            report.compare("course draft", self.name, &Some(skipped), &found);
        }
    }

    /// Every error that is expected is told, with as much of its place as the file gives, and
    /// there is none beside them.
    fn errors(&self, wanted: &Value, found: &[Problem], report: &mut Report) {
        let mut found: Vec<Value> = found
            .iter()
            .map(|problem| {
                json!({
                    "kind": problem.kind.as_str(),
                    "path": problem.path,
                    "parent": problem.parent.as_ref().map(ToString::to_string),
                    "position": problem.position,
                })
            })
            .collect();
        for wanted in list(wanted) {
            let agrees = |found: &Value| {
                object(found).all(|(part, found)| {
                    let wanted = self.ours(&wanted[part]);
                    wanted.is_null() || wanted == *found
                })
            };
            match found.iter().position(agrees) {
                Some(place) => {
                    found.swap_remove(place);
                    report.pass("course error");
                }
                None => report.fail("course error", self.name, wanted, &found),
            }
        }
        for found in found {
            report.fail("course error", self.name, "no error", found);
        }
    }

    /// The same value with the keys that our course has for those of the expectations.
    fn ours(&self, wanted: &Value) -> Value {
        match wanted {
            Value::String(text) => match self.names.get(text) {
                Some(key) => key.to_string().into(),
                None => wanted.clone(),
            },
            Value::Array(values) => values.iter().map(|value| self.ours(value)).collect(),
            Value::Object(values) => {
                let values = values
                    .iter()
                    .map(|(name, value)| (name.clone(), self.ours(value)));
                Value::Object(values.collect())
            }
            _ => wanted.clone(),
        }
    }

    fn case(&self, key: &str) -> String {
        format!("{} {key}", self.name)
    }
}

fn content_of(body: &Body) -> Value {
    match body {
        Body::Text {
            path: Some(path),
            text,
        } => content(path, text),
        _ => Value::Null,
    }
}

fn content(path: &str, text: &str) -> Value {
    let sha256 = format!("{:x}", Sha256::digest(text));
    json!({ "path": path, "bytes": text.len(), "sha256": sha256 })
}

fn json_of(fields: &FieldMap) -> Value {
    Value::from(&FieldValue::Dict(fields.clone()))
}

/// Equal, where a whole number is equal to the same number with a fraction of zero.
fn same(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Number(wanted), Value::Number(found)) => wanted.as_f64() == found.as_f64(),
        (Value::Array(wanted), Value::Array(found)) => {
            wanted.len() == found.len() && wanted.iter().zip(found).all(|(a, b)| same(a, b))
        }
        (Value::Object(wanted), Value::Object(found)) => {
            let mut pairs = wanted.iter().zip(found);
            wanted.len() == found.len() && pairs.all(|(a, b)| a.0 == b.0 && same(a.1, b.1))
        }
        _ => wanted == found,
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
