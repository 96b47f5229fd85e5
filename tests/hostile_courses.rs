//! Courses that are valid and want as much as they can get: every shape is collected and read in time
//! and memory that grow like the course, or is refused where it would not.
//!
//! `COURSEBLOCKS_HOSTILE_BLOCKS` makes the shapes larger, and tells how long each took at half the
//! size and at that size: `cargo test --release --test hostile_courses -- --nocapture`.

#[path = "common/joined.rs"]
mod joined;
#[path = "common/one_course.rs"]
mod one_course;

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use courseblocks::engine::MemoryEngine;
use courseblocks::modulestore::{
    Block, Body, Course, CourseBuilder, GroupId, PartitionId, SourceVersion,
};
use courseblocks::transformer::standard::StudentView;
use courseblocks::{
    CourseKey, Error, ErrorKind, FieldMap, FieldValue, Manager, Registry, Store, Transformed,
    UpdateOptions, UsageKey, UserContext,
};
use joined::joined;
use one_course::OneCourse;

fn course_key() -> CourseKey {
    "course-v1:Org+Course+Run".parse().unwrap()
}

fn key(block_type: &str, number: usize) -> UsageKey {
    let id = format!("b{number}");
    course_key().usage_key(block_type, &id).unwrap()
}

/// A course in the making, whose root is block 0.
struct Shape {
    course: CourseBuilder,
    keys: Vec<UsageKey>,
}

impl Shape {
    fn new(mut root: Block) -> Self {
        let start = "2020-01-01T00:00:00Z".parse().unwrap();
        root.fields
            .insert("start".to_owned(), FieldValue::Date(start));
        let key = key("course", 0);
        let version = SourceVersion::new("v1").unwrap();
        let mut course = CourseBuilder::new(course_key(), key.clone(), version);
        course.define(key.clone(), root);
        Self {
            course,
            keys: vec![key],
        }
    }

    fn block(&mut self, parent: usize, block_type: &str, block: Block) -> usize {
        let number = self.keys.len();
        let key = key(block_type, number);
        self.course.add_child(&self.keys[parent], &key);
        self.course.define(key.clone(), block);
        self.keys.push(key);
        number
    }

    fn add(&mut self, parent: usize, block_type: &str) -> usize {
        self.block(parent, block_type, Block::default())
    }

    fn relate(&mut self, parent: usize, child: usize) {
        let (parent, child) = (&self.keys[parent], &self.keys[child]);
        self.course.add_child(parent, child);
    }

    fn build(self) -> Course {
        self.course.build().unwrap()
    }
}

fn with(fields: &[(&str, FieldValue)]) -> Block {
    let fields = fields.iter();
    Block {
        fields: fields
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
        ..Block::default()
    }
}

fn dict<'a>(entries: impl IntoIterator<Item = (&'a str, FieldValue)>) -> FieldValue {
    let entries = entries.into_iter();
    FieldValue::Dict(
        entries
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

fn numbers(count: usize) -> FieldValue {
    let count = i64::try_from(count).unwrap();
    FieldValue::List((0..count).map(FieldValue::Int).collect())
}

/// Partitions from number 1,000 on, each with so many groups.
fn partitions(count: usize, groups: usize, name: &str) -> FieldValue {
    let groups = i64::try_from(groups).unwrap();
    let group = |id| {
        dict([
            ("id", FieldValue::Int(id)),
            ("name", FieldValue::String("g".into())),
        ])
    };
    let partition = |number: usize| {
        dict([
            (
                "id",
                FieldValue::Int(i64::try_from(1_000 + number).unwrap()),
            ),
            ("name", FieldValue::String(name.to_owned())),
            ("groups", FieldValue::List((0..groups).map(group).collect())),
        ])
    };
    FieldValue::List((0..count).map(partition).collect())
}

/// Somebody for whom every transformer has work to do.
fn user() -> UserContext {
    let mut user = UserContext::new("2026-03-01T12:00:00Z".parse().unwrap());
    user.seed = Some(1);
    user.nav_depth = Some(2);
    user.block_types_to_count = vec!["html".into(), "vertical".into()];
    user.requested_student_view_data = vec!["html".into()];
    user.content_gating_enabled = true;
    user.disable_start_dates = false;
    user
}

struct Outcome {
    /// The transformers that refused the course, and what they said.
    failures: BTreeMap<String, String>,
    seen: std::result::Result<Transformed, Error>,
}

fn serve(course: Course, registry: Registry, user: &UserContext) -> Outcome {
    let store = Arc::new(Store::with_engine(Arc::new(MemoryEngine::new())));
    let names: Vec<_> = registry.names().map(str::to_owned).collect();
    let manager = joined(Manager::new(
        store,
        Arc::new(registry),
        Arc::new(OneCourse(course)),
    ));
    let updated = manager.update(&course_key(), &UpdateOptions::default());
    let failures: BTreeMap<_, _> = updated.unwrap().failures.into_iter().collect();
    let names: Vec<_> = names
        .iter()
        .map(String::as_str)
        .filter(|name| !failures.contains_key(*name))
        .collect();
    let seen = manager.get_transformed(&course_key(), &names, user, None);
    Outcome { failures, seen }
}

/// Every transformer takes the shape, and a user sees something of it.
#[track_caller]
fn grows(name: &str, build: impl Fn(usize) -> Course) {
    const BLOCKS: usize = 2_000;

    let wanted = env::var("COURSEBLOCKS_HOSTILE_BLOCKS").ok();
    let wanted = wanted.map(|blocks| blocks.parse::<usize>().unwrap());
    let blocks = wanted.unwrap_or(BLOCKS);
    let mut told = String::new();
    for blocks in [blocks / 2, blocks] {
        let course = build(blocks);
        let began = Instant::now();
        let outcome = serve(course, Registry::standard(), &user());
        let took = began.elapsed();
        assert_eq!(outcome.failures, BTreeMap::new());
        assert!(!outcome.seen.unwrap().structure.is_empty());
        write!(told, " {blocks} blocks: {took:.1?}").unwrap();
    }
    if wanted.is_some() {
        println!("{name}:{told}");
    }
}

/// It is refused by this transformer, while it collects, and by no other.
#[track_caller]
fn is_not_collected(course: Course, registry: Registry, transformers: &[&str]) {
    let outcome = serve(course, registry, &user());
    let refusing: Vec<_> = outcome.failures.keys().map(String::as_str).collect();
    assert_eq!(refusing, transformers);
    for error in outcome.failures.values() {
        assert!(
            error.contains("exceed the limit of 67108864 bytes"),
            "{error}"
        );
    }
    outcome.seen.unwrap();
}

/// It is refused to this user, who asks for more than there can be.
#[track_caller]
fn is_not_shown(course: Course, user: &UserContext) {
    let outcome = serve(course, Registry::standard(), user);
    assert_eq!(outcome.failures, BTreeMap::new());
    let error = outcome.seen.expect_err("it is refused");
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<Error>());
    let error = cause.unwrap_or(&error);
    assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error}");
}

#[test]
fn a_chain_takes_time_in_proportion() {
    grows("chain", |blocks| {
        let mut shape = Shape::new(Block::default());
        (1..blocks).fold(0, |parent, _| shape.add(parent, "vertical"));
        shape.build()
    });
}

#[test]
fn a_root_with_all_the_blocks_takes_time_in_proportion() {
    for block_type in ["html", "problem", "library_content", "sequential"] {
        grows(block_type, |blocks| {
            let mut shape = Shape::new(Block::default());
            for _ in 1..blocks {
                shape.add(0, block_type);
            }
            shape.build()
        });
    }
}

#[test]
fn an_item_bank_with_all_the_blocks_takes_time_in_proportion() {
    for bank in ["library_content", "itembank", "split_test"] {
        grows(bank, |blocks| {
            let mut shape = Shape::new(Block::default());
            let bank = shape.block(0, bank, with(&[("max_count", FieldValue::Int(1))]));
            for _ in 2..blocks {
                shape.add(bank, "html");
            }
            shape.build()
        });
    }
}

#[test]
fn two_ways_to_every_block_do_not_double_the_time() {
    grows("ladder", |blocks| {
        let mut shape = Shape::new(Block::default());
        (1..blocks).fold(0, |parent, _| {
            let child = shape.add(parent, "vertical");
            shape.relate(parent, child);
            child
        });
        shape.build()
    });
}

#[test]
fn blocks_with_many_parents_take_time_in_proportion_to_their_relations() {
    grows("many parents", |relations| {
        let side = relations.isqrt();
        let mut shape = Shape::new(Block::default());
        let parents: Vec<_> = (0..side).map(|_| shape.add(0, "vertical")).collect();
        for _ in 0..side {
            let child = shape.add(parents[0], "html");
            for parent in &parents[1..] {
                shape.relate(*parent, child);
            }
        }
        shape.build()
    });
}

/// Every experiment looked for its partition, and each of its groups, one after the other; and every
/// block was held against every partition.
#[test]
fn many_partitions_of_many_experiments_take_time_in_proportion() {
    grows("experiments", |blocks| {
        let count = blocks / 2;
        let partitions = partitions(count, 1, "partition");
        let mut shape = Shape::new(with(&[("user_partitions", partitions)]));
        for number in 0..count {
            let number = 1_000 + number;
            let id = FieldValue::Int(i64::try_from(number).unwrap());
            let access = dict([(&*number.to_string(), numbers(1))]);
            let experiment = with(&[("user_partition_id", id), ("group_access", access)]);
            let experiment = shape.block(0, "split_test", experiment);
            shape.add(experiment, "html");
        }
        shape.build()
    });
    grows("groups", |blocks| {
        let partitions = partitions(1, blocks, "partition");
        let mut shape = Shape::new(with(&[("user_partitions", partitions)]));
        for _ in 1..blocks {
            let id = FieldValue::Int(1_000);
            shape.block(0, "split_test", with(&[("user_partition_id", id)]));
        }
        shape.build()
    });
}

#[test]
fn markup_takes_time_in_proportion() {
    for piece in [
        "<",
        "<!--",
        "<a ",
        "<a \"",
        "&",
        "&#",
        "<asset duration=",
        "%%COURSE_ID%%",
        "x ",
    ] {
        grows(piece, |blocks| {
            let mut shape = Shape::new(Block::default());
            for block_type in ["html", "video"] {
                let text = piece.repeat(blocks * 20);
                let body = Body::Text { path: None, text };
                shape.block(
                    0,
                    block_type,
                    Block {
                        body,
                        ..Block::default()
                    },
                );
            }
            shape.build()
        });
    }
}

/// 16 MB of numbers of groups for each of so many blocks, which is nothing in the export.
#[test]
fn groups_are_not_copied_for_every_block_without_end() {
    let groups = 20_000;
    let partitions = partitions(1, groups, "partition");
    let access = dict([("1000", numbers(groups))]);
    let root = with(&[("user_partitions", partitions), ("group_access", access)]);
    let mut shape = Shape::new(root);
    for _ in 0..1_000 {
        shape.add(0, "html");
    }
    is_not_collected(
        shape.build(),
        Registry::standard(),
        &["content_type_gate", "user_partitions"],
    );
}

#[test]
fn subsections_in_subsections_are_not_counted_without_end() {
    let mut shape = Shape::new(Block::default());
    (0..6_000).fold(0, |parent, _| shape.add(parent, "sequential"));
    is_not_collected(shape.build(), Registry::standard(), &["grades"]);
}

#[test]
fn inherited_texts_are_not_copied_without_end() {
    let format = FieldValue::String("x".repeat(1 << 20));
    let inherited = Arc::new(FieldMap::from([("format".to_owned(), format)]));
    let mut shape = Shape::new(Block::default());
    for _ in 0..100 {
        let block = Block {
            inherited: Arc::clone(&inherited),
            ..Block::default()
        };
        shape.block(0, "html", block);
    }
    is_not_collected(shape.build(), Registry::standard(), &["grades"]);
}

#[test]
fn a_course_is_not_named_in_its_pages_without_end() {
    let mut registry = Registry::standard();
    registry.replace(StudentView::with_pages()).unwrap();
    let mut shape = Shape::new(Block::default());
    let body = Body::Text {
        path: None,
        text: "%%COURSE_ID%%".repeat(1 << 17),
    };
    for _ in 0..30 {
        let body = body.clone();
        shape.block(
            0,
            "html",
            Block {
                body,
                ..Block::default()
            },
        );
    }
    is_not_collected(shape.build(), registry, &["blocks_api:student_view"]);
}

#[test]
fn a_table_of_contents_does_not_list_everything_everywhere() {
    let mut shape = Shape::new(Block::default());
    let parents: Vec<_> = (0..1_500).map(|_| shape.add(0, "chapter")).collect();
    let child = shape.add(parents[0], "vertical");
    for parent in &parents[1..] {
        shape.relate(*parent, child);
    }
    let mut deepest = shape.add(child, "vertical");
    for _ in 0..1_500 {
        deepest = shape.add(deepest, "vertical");
    }
    let mut user = user();
    user.nav_depth = Some(1);
    is_not_shown(shape.build(), &user);
}

#[test]
fn the_name_of_a_partition_is_not_told_for_every_block_without_end() {
    let partitions = partitions(1, 1, &"x".repeat(1 << 20));
    let mut shape = Shape::new(with(&[("user_partitions", partitions)]));
    for _ in 0..100 {
        let access = dict([("1000", numbers(1))]);
        shape.block(0, "html", with(&[("group_access", access)]));
    }
    let mut user = user();
    let partition = PartitionId::new(1_000);
    user.groups.insert(partition, GroupId::new(7));
    user.denial_messages.insert(partition, "no".to_owned());
    is_not_shown(shape.build(), &user);
}
