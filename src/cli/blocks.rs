//! `blocks`: a course as one user sees it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::Context;
use super::failure::{Answer, Failure};
use super::json::{Object, SCHEMA};
use super::output::Output;
use super::requested::{self, COLLECTED, COUNTS};
use super::user::{FIELDS_OF_A_USER, User};
use crate::error::{Error, ErrorKind, Result};
use crate::field::FieldValue;
use crate::key::{CourseKey, UsageKey};
use crate::manager::{CollectedCourse, Manager, PublishedCourse, Transformed};
use crate::structure::BlockIndex;
use crate::transformer::{Selection, UserContext};

/// Print what one user sees of a course, after all transformers
#[derive(Debug, Args)]
#[command(after_help = help())]
pub(super) struct Blocks {
    /// The course, for example course-v1:edX+DemoX+2026
    course: CourseKey,
    /// Only what is below this block
    #[arg(long, value_name = "KEY")]
    root: Option<UsageKey>,
    /// Apply only these, in this order
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    transformers: Vec<String>,
    /// Print these fields of each block, named as in the Course Blocks API
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    fields: Vec<String>,
    /// Who asks, as JSON; - is stdin
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    user: Option<PathBuf>,
}

impl Blocks {
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        let user = User::read(self.user.as_deref(), output)?;
        let manager = context.reader(output)?;
        let names = context.transformers(&self.transformers)?;
        let asked = Asked {
            root: self.root.as_ref(),
            fields: &self.fields,
        };
        let seen = Seen::look(&manager, &self.course, &names, &user, &asked)?;
        if output.is_json() {
            output.json(&BlocksAnswer::new(&self.course, &seen))?;
        } else {
            print_tree(&seen, output)?;
        }
        Ok(Answer::Done)
    }
}

fn help() -> String {
    format!(
        "\
For people a tree of titles, with --format json the shape of the Course Blocks API. With --fields \
blocks have these fields, beside id, block_id, type and display_name; children are one of them, \
and nav_depth is printed as descendants. Without, they have their children and all that differs \
for this user. What was drawn from item banks is in \"selections\", to be saved.

Without --user it is an anonymous visitor now. A user is a JSON object; what is left out means no, \
none, or what hides most:
{FIELDS_OF_A_USER}
Examples:
  courseblocks blocks course-v1:edX+DemoX+2026
  echo '{{\"is_staff\": true}}' | courseblocks blocks course-v1:edX+DemoX+2026 --user -
  courseblocks --format json blocks course-v1:edX+DemoX+2026 --fields children,graded,due,block_counts

Exit status: 0 printed, 1 there is no such course or block or a transformer failed on it, 2 bad \
usage, 3 the store failed."
    )
}

/// Which part of a course, and which fields of it.
#[derive(Clone, Copy, Default)]
pub(super) struct Asked<'a> {
    root: Option<&'a UsageKey>,
    /// All that differs for the user, where none is named.
    fields: &'a [String],
}

/// What a user sees, with the fields that it is printed with, of one generation.
pub(super) struct Seen {
    pub(super) transformed: Transformed,
    published: PublishedCourse,
    /// What transformers collected, by field and position, for the fields that are this.
    collected: BTreeMap<&'static str, Vec<Option<Value>>>,
    fields: Vec<String>,
}

/// How often a course is read again because it was published meanwhile.
const MAX_ATTEMPTS: usize = 8;

impl Seen {
    fn look(
        manager: &Manager,
        course: &CourseKey,
        names: &[&str],
        user: &UserContext,
        asked: &Asked<'_>,
    ) -> Result<Self> {
        let is_there = |name: &&str| manager.registry().contains(name);
        let asked_for = COLLECTED
            .iter()
            .filter(|collected| asked.fields.iter().any(|field| field == collected.field))
            .map(|collected| collected.transformer);
        let needed: Vec<_> = asked_for.filter(is_there).collect();
        for _ in 0..MAX_ATTEMPTS {
            let transformed = manager.get_transformed(course, names, user, asked.root)?;
            let published = manager.get_published(course)?;
            let collected = manager.get_collected(course, &needed)?;
            if transformed.generation == published.generation
                && transformed.generation == collected.generation()
            {
                return Ok(Self {
                    transformed,
                    published,
                    collected: decode(manager, &collected)?,
                    fields: asked.fields.to_vec(),
                });
            }
        }
        let message =
            format!("{course} was published {MAX_ATTEMPTS} times while it was being read");
        Err(Error::new(ErrorKind::Conflict, message))
    }

    fn display_name(&self, block: BlockIndex) -> Option<String> {
        let name = self.field(block, "display_name")?;
        name.as_str().map(str::to_owned)
    }

    /// The value that a field has for this user.
    pub(super) fn field(&self, block: BlockIndex, name: &str) -> Option<Value> {
        let own = self.transformed.outputs.field_override(name, block);
        let published = self.published.blocks.block(block);
        let value = own.or_else(|| published.as_ref()?.field(name))?;
        Some(value.into())
    }

    /// What a transformer collected for a field that is no more than this.
    pub(super) fn collected(&self, block: BlockIndex, field: &str) -> Option<Value> {
        let values = self.collected.get(field)?;
        values.get(block.as_usize())?.clone()
    }

    /// The fields that were asked for, or what transformers say of a block for this user. Counts
    /// stand under one name, as in the original; everything else under its own.
    fn values(&self, block: BlockIndex) -> BTreeMap<String, Value> {
        if !self.fields.is_empty() {
            let fields = self.fields.iter();
            let fields = fields.filter(|field| !OWN_NAMES.contains(&field.as_str()));
            return fields
                .filter_map(|field| requested::value(self, block, field))
                .collect();
        }
        let mut values = BTreeMap::new();
        let fields = self.transformed.outputs.fields_of_block(block);
        for (name, value) in &fields {
            put(&mut values, "field", name, value.into());
        }
        for (transformer, outputs) in self.transformed.outputs.of_block(block) {
            if transformer == COUNTS {
                let counts = FieldValue::Dict(outputs);
                put(&mut values, transformer, "block_counts", (&counts).into());
                continue;
            }
            for (name, value) in &outputs {
                put(&mut values, transformer, name, value.into());
            }
        }
        values
    }
}

fn decode(
    manager: &Manager,
    collected: &CollectedCourse,
) -> Result<BTreeMap<&'static str, Vec<Option<Value>>>> {
    let mut fields = BTreeMap::new();
    for wanted in COLLECTED {
        let Some(record) = collected.record(wanted.transformer) else {
            continue;
        };
        let transformer = manager.registry().get(wanted.transformer)?;
        let mut values = Vec::new();
        for entry in record.column().entries() {
            let value = entry?
                .map(|entry| transformer.block_json(entry))
                .transpose()?;
            values.push(value.and_then(|mut value| Some(value.get_mut(wanted.name)?.take())));
        }
        fields.insert(wanted.field, values);
    }
    Ok(fields)
}

/// The names that every block has.
const OWN_NAMES: [&str; 5] = ["id", "block_id", "type", "display_name", "children"];

/// No value hides another: the second of a name stands under its transformer's name as well.
fn put(values: &mut BTreeMap<String, Value>, whose: &str, name: &str, value: Value) {
    if name == "display_name" && whose == "field" {
        return;
    }
    let is_taken = OWN_NAMES.contains(&name) || values.contains_key(name);
    let name = if is_taken {
        format!("{whose}:{name}")
    } else {
        name.to_owned()
    };
    values.insert(name, value);
}

#[derive(Debug, Serialize)]
struct BlocksAnswer<'a> {
    schema: u32,
    course_key: &'a CourseKey,
    generation: u64,
    root: &'a UsageKey,
    blocks: Object<&'a UsageKey, BlockAnswer<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "by_bank")]
    selections: Vec<(&'a UsageKey, SelectionAnswer<'a>)>,
}

/// What a host has to save for the learner.
#[derive(Debug, Serialize)]
struct SelectionAnswer<'a> {
    selected: &'a [UsageKey],
    added: &'a [UsageKey],
    dropped: &'a [UsageKey],
}

impl<'a> From<&'a Selection> for SelectionAnswer<'a> {
    fn from(selection: &'a Selection) -> Self {
        Self {
            selected: &selection.selected,
            added: &selection.added,
            dropped: &selection.dropped,
        }
    }
}

fn by_bank<S: Serializer>(
    selections: &[(&UsageKey, SelectionAnswer<'_>)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(selections.iter().map(|(bank, selection)| (bank, selection)))
}

#[derive(Debug, Serialize)]
struct BlockAnswer<'a> {
    id: &'a UsageKey,
    block_id: &'a str,
    r#type: &'a str,
    display_name: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    children: Vec<&'a UsageKey>,
    #[serde(flatten)]
    values: BTreeMap<String, Value>,
}

impl<'a> BlocksAnswer<'a> {
    fn new(course_key: &'a CourseKey, seen: &'a Seen) -> Self {
        let structure = &seen.transformed.structure;
        let mut positions: Vec<_> = structure.blocks().collect();
        positions.sort_unstable();
        let fields = &seen.fields;
        let has_children = fields.is_empty() || fields.iter().any(|field| field == "children");
        let blocks = positions.into_iter().map(|position| {
            let id = structure.key(position);
            let children = structure.children(position).filter(|_| has_children);
            let children = children.map(|child| structure.key(child));
            let block = BlockAnswer {
                id,
                block_id: id.block_id(),
                r#type: id.block_type(),
                display_name: seen.display_name(position),
                children: children.collect(),
                values: seen.values(position),
            };
            (id, block)
        });
        Self {
            schema: SCHEMA,
            course_key,
            generation: seen.transformed.generation.get(),
            root: structure.key(structure.root()),
            blocks: Object(blocks.collect()),
            selections: {
                let selections = seen.transformed.outputs.selections().iter();
                selections
                    .map(|(bank, selection)| (bank, selection.into()))
                    .collect()
            },
        }
    }
}

/// What is said of blocks for programs, and only in the way of people who did not ask for it.
const FOR_PROGRAMS: [&str; 3] = ["block_depth", "block_nav", "student_view_multi_device"];

/// The titles, indented. What stands below a shared block is printed once: a DAG may have many
/// more paths than blocks.
fn print_tree(seen: &Seen, output: &mut Output) -> Result<(), Failure> {
    let structure = &seen.transformed.structure;
    if !structure.contains(structure.root()) {
        output.notice("this user sees nothing of the course");
        return Ok(());
    }
    let mut was_printed = vec![false; structure.width()];
    let mut pending = vec![(structure.root(), 0)];
    while let Some((block, depth)) = pending.pop() {
        let key = structure.key(block);
        let title = seen
            .display_name(block)
            .unwrap_or_else(|| key.block_id().to_owned());
        let values = seen.values(block);
        let is_shown = |name: &str| !seen.fields.is_empty() || !FOR_PROGRAMS.contains(&name);
        let values: Vec<_> = values
            .iter()
            .filter(|(name, _)| is_shown(name))
            .map(|(name, value)| format!(" {name}={value}"))
            .collect();
        let values = values.concat();
        let again = std::mem::replace(&mut was_printed[block.as_usize()], true);
        let has_children = structure.children(block).next().is_some();
        let above = if again && has_children {
            " …as above"
        } else {
            ""
        };
        let (indent, block_type) = (2 * depth, key.block_type());
        output.line(&format!(
            "{:indent$}{title} ({block_type}){values}{above}",
            ""
        ))?;
        if !again {
            let from = pending.len();
            pending.extend(structure.children(block).map(|child| (child, depth + 1)));
            pending[from..].reverse();
        }
    }
    let drawn = seen.transformed.outputs.selections().len();
    if drawn > 0 {
        let message =
            format!("drawn for this user from {drawn} item banks; --format json says what");
        output.notice(&message);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cli::sources::Sources;
    use crate::engine::MemoryEngine;
    use crate::modulestore::{Block, Course, CourseBuilder, SourceVersion};
    use crate::store::Store;
    use crate::timestamp::Timestamp;
    use crate::transformer::{Collected, Data, Registry, Transformation, Transformer};
    use crate::version::{ReadVersion, Versions, WriteVersion};

    #[test]
    fn no_value_of_a_block_hides_another() {
        let mut values = BTreeMap::new();
        put(&mut values, "a", "id", 1.into());
        put(&mut values, "a", "depth", 2.into());
        put(&mut values, "b", "depth", 3.into());
        put(&mut values, "field", "display_name", 4.into());
        let values = serde_json::to_value(values).unwrap();
        assert_eq!(
            values,
            serde_json::json!({ "a:id": 1, "depth": 2, "b:depth": 3 })
        );
    }

    /// Calls every block by another name for this user, and makes it due.
    struct Renaming;

    impl Transformer for Renaming {
        type BlockData<'a> = ();
        type CourseData<'a> = ();

        fn name(&self) -> &'static str {
            "renaming"
        }

        fn versions(&self) -> Versions {
            Versions::new(ReadVersion::new(1), WriteVersion::FIRST)
        }

        fn collect(&self, course: &Course) -> Result<Collected<(), ()>> {
            Ok(Collected::new(course.structure().width(), ()))
        }

        fn transform(&self, _: &Data<(), ()>, request: &mut Transformation<'_>) -> Result<()> {
            let root = request.root();
            for (field, value) in [("display_name", "Yours"), ("due", "soon")] {
                let value = FieldValue::String(value.to_owned());
                request
                    .outputs_mut()
                    .field_overrides(field)
                    .set(root, value);
            }
            Ok(())
        }
    }

    #[test]
    fn a_field_that_differs_for_this_user_is_shown_as_it_is_for_them() {
        let store = Arc::new(Store::with_engine(Arc::new(MemoryEngine::new())));
        let sources = Arc::new(Sources::new(Arc::clone(&store)));
        let mut registry = Registry::new();
        registry.register(Renaming).unwrap();
        let manager = Manager::new(store, Arc::new(registry), Arc::clone(&sources) as _);
        let lasts = std::time::Duration::from_secs(30);
        manager.join("w", "r", lasts, Timestamp::MIN).unwrap();
        let key: CourseKey = "course-v1:O+C+R".parse().unwrap();
        let root = key.usage_key("course", "course").unwrap();
        let version = SourceVersion::new("1").unwrap();
        let mut course = CourseBuilder::new(key.clone(), root.clone(), version);
        let mut block = Block::default();
        let title = FieldValue::String("Everybody's".to_owned());
        block.fields.insert("display_name".to_owned(), title);
        course.define(root.clone(), block);
        sources.hold(course.build().unwrap());

        let user = UserContext::new(Timestamp::MIN);
        let answer = |names: &[&str]| {
            let seen = Seen::look(&manager, &key, names, &user, &Asked::default()).unwrap();
            let answer = serde_json::to_value(BlocksAnswer::new(&key, &seen)).unwrap();
            answer["blocks"][root.to_string()].clone()
        };
        assert_eq!(answer(&[])["display_name"], "Everybody's");
        assert_eq!(answer(&[])["due"], Value::Null);
        assert_eq!(answer(&["renaming"])["display_name"], "Yours");
        assert_eq!(answer(&["renaming"])["due"], "soon");
    }
}
