//! What the stock transformers collect, and what one user sees, as the original computed it. Knows
//! nothing of how courses are read or records are kept: it goes through the public API.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use courseblocks::engine::MemoryEngine;
use courseblocks::modulestore::{Block, Course, CourseBuilder, ModuleStore, SourceVersion};
use courseblocks::transformer::standard::{
    HiddenContent, HiddenContentBlock, StartDate, StartDateBlock, Visibility, VisibilityBlock,
};
use courseblocks::{
    BlockIndex, BlockStructure, CourseKey, ErrorKind, FieldMap, FieldValue, Manager, Registry,
    Result, Store, Timestamp, Transformed, Transformer, UsageKey, UserContext,
};
use serde_json::{Map, Value, json};

use crate::joined::joined;
use crate::report::Report;

/// Compares every case of `vectors`, the content of transformers.json.
pub(crate) fn run(vectors: &Value, report: &mut Report) {
    for case in list(&vectors["cases"]) {
        let case = Case::new(case);
        let Some(manager) = case.collect(report) else {
            continue;
        };
        case.compare_collected(&manager, report);
        for (number, run) in list(&case.vector["runs"]).iter().enumerate() {
            let name = format!("{} run {number}", case.id);
            case.compare_run(&name, run, &manager, report);
        }
    }
}

/// One course with what the original made of it.
struct Case<'v> {
    id: &'v str,
    vector: &'v Value,
    course: CourseKey,
    /// By the vectors' numbers.
    blocks: Vec<UsageKey>,
}

/// The only course that there is, handed over as often as it is asked for.
struct OneCourse(Course);

impl ModuleStore for OneCourse {
    fn source_version(&self, _: &CourseKey) -> Result<SourceVersion> {
        Ok(self.0.source_version().clone())
    }

    fn load(&self, _: &CourseKey) -> Result<Course> {
        Ok(self.0.clone())
    }
}

impl<'v> Case<'v> {
    #[track_caller]
    fn new(vector: &'v Value) -> Self {
        let course: CourseKey = text(&vector["course"]["course_key"]).parse().unwrap();
        let key = |block: &Value| {
            course
                .usage_key(text(&block["type"]), text(&block["id"]))
                .unwrap()
        };
        Self {
            id: text(&vector["id"]),
            vector,
            blocks: list(&vector["course"]["blocks"]).iter().map(key).collect(),
            course,
        }
    }

    /// Collects the course with all transformers that there are.
    fn collect(&self, report: &mut Report) -> Option<Manager> {
        let store = Store::with_engine(Arc::new(MemoryEngine::new()));
        let registry = Registry::standard();
        let courses = OneCourse(self.course());
        let manager = Manager::new(Arc::new(store), Arc::new(registry), Arc::new(courses));
        let manager = joined(manager);
        let updated = manager.update(&self.course, &courseblocks::UpdateOptions::default());
        match updated {
            Ok(updated) if updated.failures.is_empty() => Some(manager),
            other => {
                report.fail("collected", self.id, "no failures", other);
                None
            }
        }
    }

    fn course(&self) -> Course {
        let version = SourceVersion::new(self.id).unwrap();
        let mut builder = CourseBuilder::new(self.course.clone(), self.blocks[0].clone(), version);
        let mut walked = HashSet::new();
        self.walk(0, &mut walked, &mut builder);
        builder.build().unwrap()
    }

    /// Every block once, each relation before what is below it: the order of a module store.
    fn walk(&self, block: usize, walked: &mut HashSet<usize>, builder: &mut CourseBuilder) {
        if !walked.insert(block) {
            return;
        }
        let vector = &self.vector["course"]["blocks"][block];
        let definition = Block {
            fields: fields(&vector["fields"]),
            inherited: Arc::new(fields(&vector["inherited"])),
            ..Block::default()
        };
        builder.define(self.blocks[block].clone(), definition);
        for child in list(&vector["children"]).iter().map(number) {
            builder.add_child(&self.blocks[block], &self.blocks[child]);
            self.walk(child, walked, builder);
        }
    }

    fn compare_collected(&self, manager: &Manager, report: &mut Report) {
        let wanted = &self.vector["collected"];
        let collected = manager.get_collected(&self.course, &[]).unwrap();
        let relations = self.relations(collected.structure());
        report.compare(
            "collected relations",
            self.id,
            &wanted["relations"],
            &relations,
        );
        let fields = &wanted["fields"];
        let present = list(&wanted["relations"])
            .iter()
            .map(|relation| number(&relation[0]));
        for block in present {
            let name = format!("{} block {block}", self.id);
            let field = |field: &str| &fields[block.to_string()][field];
            let values =
                |transformer: &str| &wanted["transformer_block"][block.to_string()][transformer];

            let VisibilityBlock {
                merged_visible_to_staff_only,
            } = self.collected(manager, &Visibility, block);
            let got = json!({ "merged_visible_to_staff_only": merged_visible_to_staff_only });
            report.compare("collected visibility", &name, values("visibility"), &got);

            let StartDateBlock {
                merged_start_date,
                days_early_for_beta,
            } = self.collected(manager, &StartDate, block);
            let got = json!({ "merged_start_date": merged_start_date.to_string() });
            report.compare("collected start_date", &name, values("start_date"), &got);
            let wanted = field("days_early_for_beta");
            let kind = "collected days_early_for_beta";
            report.compare(kind, &name, wanted, &json!(days_early_for_beta));

            let HiddenContentBlock {
                merged_hide_after_due,
                merged_end_date,
                due,
                self_paced,
            } = self.collected(manager, &HiddenContent, block);
            let got = json!({
                "merged_end_date": merged_end_date.to_string(),
                "merged_hide_after_due": merged_hide_after_due,
            });
            report.compare(
                "collected hidden_content",
                &name,
                values("hidden_content"),
                &got,
            );
            let got = json!(due.map(|due| due.to_string()));
            report.compare("collected due", &name, field("due"), &got);
            report.compare(
                "collected self_paced",
                &name,
                field("self_paced"),
                &json!(self_paced),
            );
        }
    }

    #[track_caller]
    fn collected<T, D>(&self, manager: &Manager, transformer: &T, block: usize) -> D
    where
        T: for<'a> Transformer<BlockData<'a> = D>,
    {
        let stored = manager.get_block(&self.course, transformer, &self.blocks[block]);
        stored
            .unwrap()
            .unwrap_or_else(|| panic!("{}: nothing for block {block}", self.id))
    }

    fn compare_run(&self, name: &str, run: &Value, manager: &Manager, report: &mut Report) {
        let mut user = user(&run["usage"]);
        let mut names = Vec::new();
        for transformer in list(&run["transformers"]) {
            let (transformer, arguments) = match transformer {
                Value::Array(parts) => (text(&parts[0]), &parts[1]),
                name => (text(name), &Value::Null),
            };
            if !manager.registry().contains(transformer) {
                report.skip("run", &format!("not built yet: {transformer}"));
                return;
            }
            for counted in list(&arguments["block_types_to_count"]) {
                user.block_types_to_count.push(text(counted).to_owned());
            }
            names.push(transformer);
        }
        let start = run.get("start").filter(|start| !start.is_null());
        let start = start.map(|start| &self.blocks[number(start)]);
        let transformed = manager.get_transformed(&self.course, &names, &user, start);
        let wanted = &run["expect"];
        if let Some(error) = wanted.get("error") {
            let kind = format!("run, error {} in the original", text(error));
            judge_after_error(&kind, name, transformed, report);
            return;
        }
        match transformed {
            Ok(transformed) => self.compare_transformed(name, wanted, &transformed, report),
            Err(error) => report.fail("run", name, wanted, error),
        }
    }

    fn compare_transformed(
        &self,
        name: &str,
        wanted: &Value,
        transformed: &Transformed,
        report: &mut Report,
    ) {
        let relations = self.relations(&transformed.structure);
        report.compare("run relations", name, &wanted["relations"], &relations);
        let mut overridden = Map::new();
        let mut attached = Map::new();
        for block in transformed.structure.blocks() {
            let number = self.number(&transformed.structure, block).to_string();
            let fields = transformed.outputs.fields_of_block(block);
            if !fields.is_empty() {
                overridden.insert(number.clone(), json_of_map(&fields));
            }
            let values = transformed.outputs.of_block(block);
            if !values.is_empty() {
                let values = values.iter();
                let values = values.map(|(name, values)| ((*name).to_owned(), json_of_map(values)));
                attached.insert(number, values.collect());
            }
        }
        let nothing = json!({});
        let of = |part: &str| wanted.get(part).unwrap_or(&nothing).clone();
        report.compare("run fields", name, &of("fields"), &overridden.into());
        report.compare(
            "run outputs",
            name,
            &of("transformer_block"),
            &attached.into(),
        );
    }

    /// As the vectors list them: each block with its children and parents, by number.
    fn relations(&self, structure: &BlockStructure) -> Value {
        let number = |block| self.number(structure, block);
        let relations = structure.blocks().map(|block| {
            let children: Vec<_> = structure.children(block).map(number).collect();
            let parents: Vec<_> = structure.parents(block).map(number).collect();
            json!([number(block), children, parents])
        });
        relations.collect()
    }

    #[track_caller]
    fn number(&self, structure: &BlockStructure, block: BlockIndex) -> usize {
        let key = structure.key(block);
        self.blocks.iter().position(|known| known == key).unwrap()
    }
}

/// The original raises where a transformer before `hidden_content` has removed the root. There is
/// nothing to see then, and either way of saying so is fine.
fn judge_after_error(kind: &str, name: &str, outcome: Result<Transformed>, report: &mut Report) {
    match outcome {
        Ok(transformed) if transformed.structure.is_empty() => report.pass(kind),
        Err(error) if error.kind() == ErrorKind::Transformer => report.pass(kind),
        other => report.fail(
            kind,
            name,
            "nothing to see, or an error that says so",
            other,
        ),
    }
}

#[track_caller]
fn user(usage: &Value) -> UserContext {
    let is_set = |name: &str| usage[name].as_bool().unwrap_or(false);
    let mut user = UserContext::new(date(text(&usage["now"])));
    user.is_staff = is_set("is_staff");
    user.is_beta_tester = is_set("is_beta_tester");
    user.allow_start_dates_in_future = is_set("allow_start_dates_in_future");
    user.disable_start_dates = is_set("disable_start_dates");
    user.include_has_scheduled_content = is_set("include_has_scheduled_content");
    user.show_hidden_content_without_links = is_set("show_hidden_content_without_links");
    user
}

/// With the types that a reader of courses gives them: dates by the name of the field.
fn fields(vector: &Value) -> FieldMap {
    let dates = BTreeSet::from(["start", "due", "end"]);
    let vector = vector.as_object().into_iter().flatten();
    let fields = vector.map(|(name, value)| {
        let value = match value {
            Value::String(value) if dates.contains(name.as_str()) => FieldValue::Date(date(value)),
            value => field_value(value),
        };
        (name.clone(), value)
    });
    fields.collect()
}

fn field_value(value: &Value) -> FieldValue {
    match value {
        Value::Null => FieldValue::Null,
        Value::Bool(value) => FieldValue::Bool(*value),
        Value::Number(value) => value
            .as_i64()
            .map(FieldValue::Int)
            .or_else(|| value.as_f64().map(FieldValue::Float))
            .unwrap(),
        Value::String(value) => FieldValue::String(value.clone()),
        Value::Array(values) => FieldValue::List(values.iter().map(field_value).collect()),
        Value::Object(values) => {
            let values = values.iter();
            FieldValue::Dict(
                values
                    .map(|(name, value)| (name.clone(), field_value(value)))
                    .collect(),
            )
        }
    }
}

fn json_of_map(values: &BTreeMap<String, FieldValue>) -> Value {
    let values = values.iter();
    Value::Object(
        values
            .map(|(name, value)| (name.clone(), json_of(value)))
            .collect(),
    )
}

/// Of what transformers say about blocks; a value of another type shows as what it is.
fn json_of(value: &FieldValue) -> Value {
    match value {
        FieldValue::Bool(value) => json!(value),
        FieldValue::Int(value) => json!(value),
        FieldValue::String(value) => json!(value),
        FieldValue::Date(value) => json!(value.to_string()),
        other => json!(format!("{other:?}")),
    }
}

#[track_caller]
fn date(text: &str) -> Timestamp {
    text.parse()
        .unwrap_or_else(|_| panic!("not a date: {text}"))
}

fn list(section: &Value) -> &[Value] {
    section.as_array().map_or(&[], Vec::as_slice)
}

#[track_caller]
fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a text: {value}"))
}

#[track_caller]
fn number(value: &Value) -> usize {
    let number = value
        .as_u64()
        .and_then(|number| usize::try_from(number).ok());
    number.unwrap_or_else(|| panic!("not a number of a block: {value}"))
}
