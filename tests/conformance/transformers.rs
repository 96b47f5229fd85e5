//! What the stock transformers collect, and what one user sees, as the original computed it. Knows
//! nothing of how courses are read or records are kept: it goes through the public API.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use courseblocks::engine::MemoryEngine;
use courseblocks::modulestore::{
    Block, Course, CourseBuilder, GroupId, OriginalUsage, PartitionId, SourceVersion, UserPartition,
};
use courseblocks::transformer::standard::{
    BlockNavigation, BlockNavigationBlock, Grades, GradesBlock, GradesCourse, HiddenContent,
    HiddenContentBlock, LibraryContent, StartDate, StartDateBlock, UserPartitions,
    UserPartitionsCourse, Visibility, VisibilityBlock,
};
use courseblocks::{
    BlockIndex, BlockStructure, CourseKey, ErrorKind, FieldMap, FieldValue, Manager, Registry,
    Result, Store, Timestamp, Transformed, Transformer, UsageKey, UserContext,
};
use serde_json::{Map, Value, json};

use crate::joined::joined;
use crate::one_course::OneCourse;
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
        builder.set_grading_policy(Some(field_value(
            &json!({ "GRADER": [], "GRADE_CUTOFFS": { "Pass": 0.5 } }),
        )));
        let dynamic = list(&self.vector["course"]["dynamic_partitions"]);
        builder.set_dynamic_partitions(dynamic.iter().map(partition).collect());
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
        let mut fields_set = fields(&vector["fields"]);
        if let Some(arms) = vector["fields"]["group_id_to_child"].as_object() {
            let key = |arm| FieldValue::String(self.blocks[number(arm)].to_string());
            let arms = arms.iter().map(|(group, arm)| (group.clone(), key(arm)));
            let arms = FieldValue::Dict(arms.collect());
            fields_set.insert("group_id_to_child".to_owned(), arms);
        }
        // What running the problem would tell.
        if text(&vector["type"]) == "problem" {
            let max_score = fields_set.entry("max_score".to_owned());
            max_score.or_insert(FieldValue::Float(1.0));
        }
        if block == 0 {
            let partitions = list(&self.vector["course"]["partitions"]).iter();
            let partitions = FieldValue::List(partitions.map(partition_field).collect());
            fields_set.insert("user_partitions".to_owned(), partitions);
        }
        let original = vector["original"].as_array().map(|original| OriginalUsage {
            key: text(&original[0]).parse().unwrap(),
            version: original[1].as_str().map(str::to_owned),
        });
        let definition = Block {
            fields: fields_set,
            inherited: Arc::new(fields(&vector["inherited"])),
            original,
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
        for (name, values) in wanted["transformer"].as_object().into_iter().flatten() {
            let versions = manager.registry().versions(name).unwrap();
            let written = json!(versions.write.get());
            report.compare("collected version", name, &values["_version"], &written);
        }
        if self.covers("user_partitions", report) {
            let UserPartitionsCourse { user_partitions } =
                self.collected_for_course(manager, &UserPartitions);
            let ids = user_partitions.iter().map(|partition| partition.id.get());
            report.compare(
                "collected partitions",
                self.id,
                &wanted["transformer"]["user_partitions"]["user_partitions"],
                &json!(ids.collect::<Vec<_>>()),
            );
        }
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

            if self.covers("blocks_api:block_navigation", report) {
                let BlockNavigationBlock { hide_from_toc } =
                    self.collected(manager, &BlockNavigation, block);
                let kind = "collected hide_from_toc";
                report.compare(kind, &name, field("hide_from_toc"), &json!(hide_from_toc));
            }
            if self.covers("library_content", report) {
                self.compare_library(manager, &name, block, report);
            }
            if self.covers("user_partitions", report) {
                self.compare_access(manager, &name, block, report);
            }
            if self.covers("grades", report) {
                self.compare_grades(manager, &name, block, report);
            }
        }
        if self.covers("grades", report) {
            let GradesCourse {
                grading_policy_hash,
            } = self.collected_for_course(manager, &Grades);
            report.compare(
                "collected grading_policy_hash",
                self.id,
                &wanted["transformer_block"]["0"]["grades"]["grading_policy_hash"],
                &json!(grading_policy_hash),
            );
        }
    }

    /// Whether the case says what a transformer collects. Those that were written by hand leave out
    /// what they are not about.
    fn covers(&self, transformer: &str, report: &mut Report) -> bool {
        let transformers = &self.vector["collected"]["transformer"];
        let covers = transformers.get(transformer).is_some();
        if !covers {
            report.skip("collected", &format!("not about {transformer}"));
        }
        covers
    }

    fn compare_library(&self, manager: &Manager, name: &str, block: usize, report: &mut Report) {
        let stored = self.stored(manager, &LibraryContent, block);
        let max_count = stored.as_ref().and_then(|block| block.max_count);
        let wanted = &self.vector["collected"]["fields"][block.to_string()]["max_count"];
        report.compare("collected max_count", name, wanted, &json!(max_count));

        let summary = stored.and_then(|block| block.block_analytics_summary);
        let got = summary.map(|summary| {
            json!({
                "usage_key": self.blocks[block].to_string(),
                "original_usage_key": summary.original_usage_key,
                "original_usage_version": summary.original_usage_version,
            })
        });
        let wanted = self.wanted_values(block, "library_content");
        let kind = "collected block_analytics_summary";
        report.compare(kind, name, &wanted["block_analytics_summary"], &json!(got));
    }

    fn compare_access(&self, manager: &Manager, name: &str, block: usize, report: &mut Report) {
        let stored = self.stored(manager, &UserPartitions, block);
        let got = stored.map(|block| {
            let access = block.merged_group_access.iter();
            let groups = access.map(|(partition, groups)| {
                let groups: Vec<_> = groups.iter().map(|group| group.get()).collect();
                (partition.to_string(), json!(groups))
            });
            Value::Object(groups.collect())
        });
        let wanted = self.wanted_values(block, "user_partitions");
        let kind = "collected merged_group_access";
        report.compare(kind, name, &wanted["merged_group_access"], &json!(got));
    }

    fn compare_grades(&self, manager: &Manager, name: &str, block: usize, report: &mut Report) {
        let wanted = self.wanted_values(block, "grades");
        let fields = &self.vector["collected"]["fields"][block.to_string()];
        let GradesBlock {
            due,
            format,
            graded,
            has_score,
            weight,
            show_correctness,
            max_score,
            explicit_graded,
            subsections,
        } = self.collected(manager, &Grades, block);
        let mut keys: Vec<_> = self.blocks.iter().collect();
        keys.sort_unstable();
        // Positions are ranks among the keys of the course, of those that are part of it.
        let present: BTreeSet<_> = list(&self.vector["collected"]["relations"])
            .iter()
            .map(|relation| number(&relation[0]))
            .collect();
        keys.retain(|key| present.contains(&self.index(key)));
        let mut sequentials: Vec<_> = subsections
            .iter()
            .map(|position| self.index(keys[*position as usize]))
            .collect();
        sequentials.sort_unstable();
        let values = [
            ("due", &fields["due"], json!(due.map(|due| due.to_string()))),
            ("format", &fields["format"], json!(format)),
            ("graded", &fields["graded"], json!(graded)),
            ("has_score", &fields["has_score"], json!(has_score)),
            ("weight", &fields["weight"], json!(weight)),
            (
                "show_correctness",
                &fields["show_correctness"],
                json!(show_correctness.as_deref().unwrap_or("always")),
            ),
            ("max_score", &wanted["max_score"], json!(max_score)),
            (
                "explicit_graded",
                &wanted["explicit_graded"],
                json!(explicit_graded),
            ),
            ("subsections", &wanted["subsections"], json!(sequentials)),
        ];
        for (field, wanted, got) in values {
            report.compare(&format!("collected grades {field}"), name, wanted, &got);
        }
    }

    fn wanted_values(&self, block: usize, transformer: &str) -> &Value {
        &self.vector["collected"]["transformer_block"][block.to_string()][transformer]
    }

    fn index(&self, key: &UsageKey) -> usize {
        self.blocks.iter().position(|known| known == key).unwrap()
    }

    #[track_caller]
    fn collected<T, D>(&self, manager: &Manager, transformer: &T, block: usize) -> D
    where
        T: for<'a> Transformer<BlockData<'a> = D>,
    {
        let stored = self.stored(manager, transformer, block);
        stored.unwrap_or_else(|| panic!("{}: nothing for block {block}", self.id))
    }

    #[track_caller]
    fn collected_for_course<T, D>(&self, manager: &Manager, transformer: &T) -> D
    where
        T: for<'a> Transformer<CourseData<'a> = D>,
    {
        let name = transformer.name();
        let collected = manager.get_collected(&self.course, &[name]).unwrap();
        let record = collected.record(name).unwrap();
        let entry = record.column().course_wide().unwrap();
        transformer.decode_course(entry).unwrap()
    }

    #[track_caller]
    fn stored<T, D>(&self, manager: &Manager, transformer: &T, block: usize) -> Option<D>
    where
        T: for<'a> Transformer<BlockData<'a> = D>,
    {
        let stored = manager.get_block(&self.course, transformer, &self.blocks[block]);
        stored.unwrap()
    }

    fn compare_run(&self, name: &str, run: &Value, manager: &Manager, report: &mut Report) {
        let mut user = self.user(&run["usage"]);
        let mut names = Vec::new();
        for transformer in list(&run["transformers"]) {
            let (transformer, arguments) = match transformer {
                Value::Array(parts) => (text(&parts[0]), &parts[1]),
                name => (text(name), &Value::Null),
            };
            let depth = |name: &str| Some(u32::try_from(arguments[name].as_u64()?).unwrap());
            user.requested_depth = user.requested_depth.or(depth("requested_depth"));
            user.nav_depth = user.nav_depth.or(depth("nav_depth"));
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
            let fields = self.json_of_map(&transformed.outputs.fields_of_block(block));
            let collected = &self.vector["collected"]["fields"][&number];
            // An override that says what was collected anyway changes nothing.
            let changed = fields.as_object().into_iter().flatten();
            let changed = changed.filter(|(name, value)| collected.get(name) != Some(value));
            let changed: Map<_, _> = changed
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            if !changed.is_empty() {
                overridden.insert(number.clone(), changed.into());
            }
            let values = transformed.outputs.of_block(block);
            if !values.is_empty() {
                let values = values.iter();
                let values =
                    values.map(|(name, values)| ((*name).to_owned(), self.json_of_map(values)));
                attached.insert(number, values.collect());
            }
        }
        let saved = transformed.outputs.selections().len();
        let wanted_saved = wanted.get("saved").unwrap_or(&Value::Null);
        let wanted_saved = wanted_saved.as_u64().unwrap_or(0);
        report.compare("run saved selections", name, &wanted_saved, &(saved as u64));
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
        self.index(structure.key(block))
    }

    #[track_caller]
    fn user(&self, usage: &Value) -> UserContext {
        let is_set = |name: &str| usage[name].as_bool().unwrap_or(false);
        let mut user = UserContext::new(date(text(&usage["now"])));
        user.is_staff = is_set("is_staff");
        user.is_beta_tester = is_set("is_beta_tester");
        user.allow_start_dates_in_future = is_set("allow_start_dates_in_future");
        user.disable_start_dates = is_set("disable_start_dates");
        user.include_has_scheduled_content = is_set("include_has_scheduled_content");
        user.show_hidden_content_without_links = is_set("show_hidden_content_without_links");
        user.content_gating_enabled = is_set("content_gating_enabled");
        for (partition, group) in usage["groups"].as_object().into_iter().flatten() {
            let partition = PartitionId::new(partition.parse().unwrap());
            user.groups
                .insert(partition, GroupId::new(group.as_i64().unwrap()));
        }
        for kind in ["partitions", "dynamic_partitions"] {
            for partition in list(&self.vector["course"][kind]) {
                if let Some(message) = partition["access_denied_message"].as_str() {
                    let id = PartitionId::new(partition["id"].as_i64().unwrap());
                    user.denial_messages.insert(id, message.to_owned());
                }
            }
        }
        for (bank, selected) in usage["selected"].as_object().into_iter().flatten() {
            let key = |entry: &Value| match entry {
                Value::Array(gone) => {
                    let (block_type, block_id) = (text(&gone[0]), text(&gone[1]));
                    self.course.usage_key(block_type, block_id).unwrap()
                }
                entry => self.blocks[number(entry)].clone(),
            };
            let bank = self.blocks[bank.parse::<usize>().unwrap()].clone();
            let selected = list(selected).iter().map(key).collect();
            user.selections.insert(bank, selected);
        }
        for entry in list(&usage["date_overrides"]) {
            let block = self.blocks[number(&entry[0])].clone();
            let dates = user.dates.entry(block).or_default();
            let field = match text(&entry[1]) {
                "start" => &mut dates.start,
                "due" => &mut dates.due,
                "end" => &mut dates.end,
                other => panic!("not a date of edx-when: {other}"),
            };
            *field = Some(date(text(&entry[2])));
        }
        for entry in list(&usage["field_overrides"]) {
            let block = self.blocks[number(&entry[0])].clone();
            let fields = user.field_overrides.entry(block).or_default();
            fields.insert(text(&entry[1]).to_owned(), field_value(&entry[2]));
        }
        user
    }

    fn json_of_map(&self, values: &BTreeMap<String, FieldValue>) -> Value {
        let values = values.iter();
        Value::Object(
            values
                .map(|(name, value)| (name.clone(), self.json_of(value)))
                .collect(),
        )
    }

    /// Of what transformers say about blocks; usage keys by their numbers, as the vectors have them.
    fn json_of(&self, value: &FieldValue) -> Value {
        match value {
            FieldValue::String(text) => {
                let block = text.parse().ok().map(|key: UsageKey| self.index(&key));
                block.map_or_else(|| json!(text), |block| json!(block))
            }
            FieldValue::List(values) => values.iter().map(|value| self.json_of(value)).collect(),
            FieldValue::Dict(values) => self.json_of_map(values),
            FieldValue::Null => Value::Null,
            FieldValue::Bool(value) => json!(value),
            FieldValue::Int(value) => json!(value),
            FieldValue::Date(value) => json!(value.to_string()),
            // Of another type than all that there is; it shows as what it is.
            other => json!(format!("{other:?}")),
        }
    }
}

fn partition(vector: &Value) -> UserPartition {
    let field = FieldValue::List(vec![partition_field(vector)]);
    UserPartition::from_field(&field).remove(0)
}

/// In the form of a course's own field.
fn partition_field(vector: &Value) -> FieldValue {
    let groups = list(&vector["groups"]).iter();
    let groups = groups.map(|group| json!({ "id": group, "name": "", "version": 1 }));
    field_value(&json!({
        "id": vector["id"],
        "name": vector["name"],
        "groups": groups.collect::<Value>(),
        "active": vector.get("active").unwrap_or(&Value::Bool(true)),
    }))
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
