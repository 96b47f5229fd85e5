//! `blocks`: a course as one user sees it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Args, ValueHint};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Context;
use super::failure::{Answer, Failure};
use super::json::{Object, SCHEMA};
use super::output::Output;
use crate::error::{Error, ErrorKind, Result};
use crate::field::FieldValue;
use crate::key::{CourseKey, UsageKey};
use crate::manager::{Manager, PublishedCourse, Transformed};
use crate::structure::BlockIndex;
use crate::timestamp::Timestamp;
use crate::transformer::UserContext;

/// Print what one user sees of a course, after all transformers
#[derive(Debug, Args)]
#[command(after_help = "\
For people a tree of titles, with --format json the shape of the Course Blocks API. Without --user \
it is an anonymous visitor now. A user is a JSON object; what is left out means no:

  {\"now\": \"2026-03-01T12:00:00Z\", \"is_staff\": false, \"is_beta_tester\": false,
   \"allow_start_dates_in_future\": false, \"disable_start_dates\": false,
   \"include_has_scheduled_content\": false, \"show_hidden_content_without_links\": false,
   \"block_types_to_count\": [\"problem\", \"video\"]}

Examples:
  courseblocks blocks course-v1:edX+DemoX+2026
  echo '{\"is_staff\": true}' | courseblocks blocks course-v1:edX+DemoX+2026 --user -

Exit status: 0 printed, 1 there is no such course or block or a transformer failed on it, 2 bad \
usage, 3 the store failed.")]
pub(super) struct Blocks {
    /// The course, for example course-v1:edX+DemoX+2026
    course: CourseKey,
    /// Only what is below this block
    #[arg(long, value_name = "KEY")]
    root: Option<UsageKey>,
    /// Apply only these, in this order
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    transformers: Vec<String>,
    /// Who asks, as JSON; - is stdin
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    user: Option<PathBuf>,
}

impl Blocks {
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        let user = User::read(self.user.as_deref())?.into_context()?;
        let manager = context.manager()?;
        let names = context.transformers(&self.transformers)?;
        let seen = Seen::look(&manager, &self.course, &names, &user, self.root.as_ref())?;
        if output.is_json() {
            output.json(&BlocksAnswer::new(&self.course, &seen))?;
        } else {
            print_tree(&seen, output)?;
        }
        Ok(Answer::Done)
    }
}

/// Who asks. Fields of the library's own type are added here only on purpose: this is a promise.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the names are those of `UserContext`"
)]
struct User {
    now: Option<Timestamp>,
    is_staff: bool,
    is_beta_tester: bool,
    allow_start_dates_in_future: bool,
    disable_start_dates: bool,
    include_has_scheduled_content: bool,
    show_hidden_content_without_links: bool,
    block_types_to_count: Vec<String>,
}

impl User {
    fn read(file: Option<&Path>) -> Result<Self, Failure> {
        let Some(file) = file else {
            return Ok(Self::default());
        };
        let text = if file == Path::new("-") {
            let mut text = String::new();
            io::stdin().lock().read_to_string(&mut text).map(|_| text)
        } else {
            fs::read_to_string(file)
        };
        let refused = |error: &dyn std::fmt::Display| {
            Failure::usage(format!("--user {}: {error}", file.display()))
        };
        let text = text.map_err(|error| refused(&error))?;
        // serde would take a list of values for the fields in their order.
        if !text.trim_start().starts_with('{') {
            return Err(refused(&"not a JSON object"));
        }
        serde_json::from_str(&text).map_err(|error| refused(&error))
    }

    fn into_context(self) -> Result<UserContext, Failure> {
        let now = match self.now {
            Some(now) => now,
            None => present()?,
        };
        let mut user = UserContext::new(now);
        user.is_staff = self.is_staff;
        user.is_beta_tester = self.is_beta_tester;
        user.allow_start_dates_in_future = self.allow_start_dates_in_future;
        user.disable_start_dates = self.disable_start_dates;
        user.include_has_scheduled_content = self.include_has_scheduled_content;
        user.show_hidden_content_without_links = self.show_hidden_content_without_links;
        user.block_types_to_count = self.block_types_to_count;
        Ok(user)
    }
}

fn present() -> Result<Timestamp, Failure> {
    let since_1970 = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok();
    let micros = since_1970.and_then(|time| i64::try_from(time.as_micros()).ok());
    micros
        .and_then(Timestamp::from_micros)
        .ok_or_else(|| Failure::no("the clock is beyond the calendar; name a time with --user"))
}

/// What a user sees, with the fields that it is printed with, of one generation.
struct Seen {
    transformed: Transformed,
    published: PublishedCourse,
}

/// How often a course is read again because it was published meanwhile.
const MAX_ATTEMPTS: usize = 8;

impl Seen {
    fn look(
        manager: &Manager,
        course: &CourseKey,
        names: &[&str],
        user: &UserContext,
        root: Option<&UsageKey>,
    ) -> Result<Self> {
        for _ in 0..MAX_ATTEMPTS {
            let transformed = manager.get_transformed(course, names, user, root)?;
            let published = manager.get_published(course)?;
            if transformed.generation == published.generation {
                return Ok(Self {
                    transformed,
                    published,
                });
            }
        }
        let message =
            format!("{course} was published {MAX_ATTEMPTS} times while it was being read");
        Err(Error::new(ErrorKind::Conflict, message))
    }

    fn display_name(&self, block: BlockIndex) -> Option<String> {
        const DISPLAY_NAME: &str = "display_name";

        let own = self.transformed.outputs.field_override(DISPLAY_NAME, block);
        let published = self.published.blocks.block(block);
        let name = own.or_else(|| published.as_ref()?.field(DISPLAY_NAME))?;
        name.as_str().map(str::to_owned)
    }

    /// What transformers say of a block for this user. Counts stand under one name, as in the
    /// original; everything else under its own.
    fn values(&self, block: BlockIndex) -> BTreeMap<String, Value> {
        const COUNTS: &str = "blocks_api:block_counts";

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
        let blocks = positions.into_iter().map(|position| {
            let id = structure.key(position);
            let children = structure
                .children(position)
                .map(|child| structure.key(child));
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
        }
    }
}

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
        let values: Vec<_> = values
            .iter()
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
    use crate::transformer::{Collected, Data, Registry, Transformation, Transformer};
    use crate::version::{ReadVersion, Versions, WriteVersion};

    #[test]
    fn a_user_is_read_from_json_and_a_misspelt_field_is_refused() {
        let user: User = serde_json::from_str(
            r#"{"now": "2026-03-01T12:00:00Z", "is_staff": true, "block_types_to_count": ["video"]}"#,
        )
        .unwrap();
        let context = user.into_context().unwrap();
        assert_eq!(context.now.to_string(), "2026-03-01T12:00:00Z");
        assert!(context.is_staff && !context.is_beta_tester);
        assert_eq!(context.block_types_to_count, ["video"]);

        for wrong in [r#"{"isstaff": true}"#, r#"{"now": "yesterday"}"#] {
            assert!(serde_json::from_str::<User>(wrong).is_err(), "{wrong}");
        }
    }

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

        fn transform(&self, _: &Data<'_, Self>, request: &mut Transformation<'_>) -> Result<()> {
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
            let seen = Seen::look(&manager, &key, names, &user, None).unwrap();
            let answer = serde_json::to_value(BlocksAnswer::new(&key, &seen)).unwrap();
            answer["blocks"][root.to_string()].clone()
        };
        assert_eq!(answer(&[])["display_name"], "Everybody's");
        assert_eq!(answer(&[])["due"], Value::Null);
        assert_eq!(answer(&["renaming"])["display_name"], "Yours");
        assert_eq!(answer(&["renaming"])["due"], "soon");
    }
}
