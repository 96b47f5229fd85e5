//! Courses whose fields hold anything at all, seen by anybody: the stock transformers take what they
//! can use, refuse what would show something by mistake, and never panic.

#[path = "common/joined.rs"]
mod joined;

use std::collections::BTreeMap;
use std::sync::Arc;

use courseblocks::engine::MemoryEngine;
use courseblocks::modulestore::{
    Block, Body, Course, CourseBuilder, GroupId, ModuleStore, PartitionId, SourceVersion,
};
use courseblocks::transformer::{Collected, LearnerDates, LearnerMilestones};
use courseblocks::{
    CourseKey, FieldMap, FieldValue, Manager, ReadVersion, Registry, Result, Store, Timestamp,
    Transformer, UpdateOptions, UsageKey, UserContext, Versions, WriteVersion,
};
use joined::joined;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

/// Every field that some transformer asks for, and one that none does.
const FIELDS: [&str; 34] = [
    "days_early_for_beta",
    "discussion_id",
    "display_name",
    "due",
    "duration",
    "end",
    "end_time",
    "entrance_exam_id",
    "format",
    "graded",
    "group_access",
    "group_id_to_child",
    "has_score",
    "hide_after_due",
    "hide_from_toc",
    "is_practice_exam",
    "is_proctored_enabled",
    "is_proctored_exam",
    "is_time_limited",
    "is_timed_exam",
    "max_count",
    "max_score",
    "only_on_web",
    "self_paced",
    "show_correctness",
    "start",
    "start_time",
    "user_partition_id",
    "user_partitions",
    "visible_to_staff_only",
    "weight",
    "active",
    "id",
    "nobody asks for it",
];

const TYPES: [&str; 12] = [
    "chapter",
    "course",
    "discussion",
    "html",
    "itembank",
    "library_content",
    "lti",
    "problem",
    "sequential",
    "split_test",
    "vertical",
    "video",
];

const TEXTS: [&str; 8] = [
    "",
    " ",
    "block-v1:O+C+R+type@vertical+block@001",
    "00:01:30",
    "<p>two words</p>",
    r#"<video><video_asset duration="-1"/></video>"#,
    r#"<video_asset duration="1e999" <<& &#x110000; &#"#,
    "ü\u{0}\u{10ffff}",
];

#[derive(Clone, Debug)]
struct Anything {
    blocks: Vec<(&'static str, FieldMap, Option<&'static str>)>,
    edges: Vec<(usize, usize)>,
}

impl Anything {
    fn course_key() -> CourseKey {
        "course-v1:O+C+R".parse().unwrap()
    }

    fn key(&self, block: usize) -> UsageKey {
        let id = format!("{block:03}");
        let block_type = self.blocks[block].0;
        Self::course_key().usage_key(block_type, &id).unwrap()
    }
}

impl ModuleStore for Anything {
    fn source_version(&self, _: &CourseKey) -> Result<SourceVersion> {
        SourceVersion::new("1")
    }

    fn load(&self, course: &CourseKey) -> Result<Course> {
        let version = self.source_version(course)?;
        let mut builder = CourseBuilder::new(course.clone(), self.key(0), version);
        for (parent, child) in &self.edges {
            builder.add_child(&self.key(*parent), &self.key(*child));
        }
        for (number, (_, fields, text)) in self.blocks.iter().enumerate() {
            let body = text.map_or(Body::None, |text| Body::Text {
                path: None,
                text: text.to_owned(),
            });
            let block = Block {
                fields: fields.clone(),
                xml_attributes: fields.clone(),
                inherited: Arc::new(self.blocks[0].1.clone()),
                body,
                ..Block::default()
            };
            builder.define(self.key(number), block);
        }
        builder.build()
    }
}

fn text() -> impl Strategy<Value = &'static str> {
    prop::sample::select(TEXTS.to_vec())
}

fn field_value() -> impl Strategy<Value = FieldValue> {
    let date = prop_oneof![
        Just(Timestamp::MIN),
        Just(Timestamp::MAX),
        Just("2026-01-01T00:00:00Z".parse().unwrap()),
    ];
    let number = prop_oneof![Just(i64::MIN), Just(i64::MAX), -2_i64..60];
    let float = prop_oneof![any::<f64>(), Just(f64::NAN), Just(0.0), Just(f64::INFINITY)];
    let leaf = prop_oneof![
        Just(FieldValue::Null),
        any::<bool>().prop_map(FieldValue::Bool),
        number.clone().prop_map(FieldValue::Int),
        float.prop_map(FieldValue::Float),
        text().prop_map(|text| FieldValue::String(text.to_owned())),
        date.prop_map(FieldValue::Date),
        number.prop_map(FieldValue::Seconds),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let name = prop_oneof![
            prop::sample::select(vec!["50", "51", "7", "id", "groups", "x"]),
            prop::sample::select(FIELDS.to_vec()),
        ];
        let name = name.prop_map(str::to_owned);
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(FieldValue::List),
            btree_map(name, inner, 0..4).prop_map(FieldValue::Dict),
        ]
    })
}

fn anything() -> impl Strategy<Value = Anything> {
    let name = prop::sample::select(FIELDS.to_vec()).prop_map(str::to_owned);
    let fields = btree_map(name, field_value(), 0..6);
    let block_type = prop::sample::select(TYPES.to_vec());
    let block = (block_type, fields, prop::option::of(text()));
    vec(block, 1..10).prop_flat_map(|blocks| {
        let parents = (1..blocks.len()).map(|child| {
            vec(0..child, 1..3).prop_map(move |parents| {
                let edges = parents.into_iter().map(|parent| (parent, child));
                edges.collect::<Vec<_>>()
            })
        });
        let edges = parents.collect::<Vec<_>>();
        edges.prop_map(move |edges| Anything {
            blocks: blocks.clone(),
            edges: edges.concat(),
        })
    })
}

/// Says something about every block that there is, and about one that there is not.
fn anybody(course: &Anything, dice: u64) -> UserContext {
    let is_so = |bit: u32| dice >> bit & 1 == 1;
    let mut user = UserContext::new("2026-06-01T00:00:00Z".parse().unwrap());
    user.is_staff = is_so(0);
    user.is_beta_tester = is_so(1);
    user.include_has_scheduled_content = is_so(2);
    user.show_hidden_content_without_links = is_so(3);
    user.content_gating_enabled = is_so(4);
    user.include_gated_sections = is_so(5);
    user.include_special_exams = is_so(6);
    user.is_on_mobile = is_so(7);
    user.seed = is_so(8).then_some(dice);
    user.requested_depth = is_so(9).then_some(2);
    user.nav_depth = is_so(10).then_some(1);
    user.allow_start_dates_in_future = is_so(11);
    user.groups = BTreeMap::from([
        (PartitionId::ENROLLMENT_TRACK, GroupId::new(2)),
        (PartitionId::new(7), GroupId::new(1)),
    ]);
    if is_so(12) {
        user.denial_messages
            .insert(PartitionId::ENROLLMENT_TRACK, "no".to_owned());
    }
    user.block_types_to_count = TYPES.map(str::to_owned).into();
    user.requested_student_view_data = TYPES.map(str::to_owned).into();
    let keys: Vec<_> = (0..course.blocks.len())
        .map(|block| course.key(block))
        .chain([Anything::course_key().usage_key("html", "gone").unwrap()])
        .collect();
    if is_so(13) {
        user.milestones = Some(LearnerMilestones {
            required_content: keys.iter().take(1).cloned().collect(),
            can_skip_entrance_exam: is_so(14),
            pending: keys.iter().skip(3).cloned().collect(),
        });
    }
    for key in &keys {
        if is_so(15) {
            user.selections.insert(key.clone(), keys.clone());
        }
        let due = Some(Timestamp::MAX);
        let dates = LearnerDates {
            due,
            ..LearnerDates::default()
        };
        user.dates.insert(key.clone(), dates);
        let fields = course.blocks[0].1.clone();
        user.field_overrides.insert(key.clone(), fields.clone());
        user.special_exam_info.insert(key.clone(), fields);
    }
    user
}

const LOOKS_AT_EVERYTHING: &str = "test:looks_at_everything";

/// Does nothing, and has the whole course at hand to do it with.
struct LooksAtEverything;

impl Transformer for LooksAtEverything {
    type BlockData<'a> = ();
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        LOOKS_AT_EVERYTHING
    }

    fn versions(&self) -> Versions {
        Versions::new(ReadVersion::new(1), WriteVersion::FIRST)
    }

    fn collect(&self, course: &Course) -> Result<Collected<(), ()>> {
        Ok(Collected::new(course.structure().width(), ()))
    }
}

/// Transformers that look at a part of a course only show there what they would show if they had
/// all of it.
fn check_part(
    manager: &Manager,
    names: &[&str],
    user: &UserContext,
    start: &UsageKey,
) -> std::result::Result<(), TestCaseError> {
    let part = names
        .iter()
        .filter(|name| !name.starts_with("library_content"));
    let part: Vec<_> = part.copied().collect();
    let whole: Vec<_> = part.iter().copied().chain([LOOKS_AT_EVERYTHING]).collect();
    let seen = |names: &[&str]| {
        let key = Anything::course_key();
        manager
            .get_transformed(&key, names, user, Some(start))
            .unwrap()
    };
    let (part, whole) = (seen(&part), seen(&whole));
    prop_assert_eq!(&part.structure, &whole.structure, "{:?}", names);
    for block in whole.structure.blocks() {
        let (of_part, of_whole) = (part.outputs.of_block(block), whole.outputs.of_block(block));
        prop_assert_eq!(
            format!("{of_part:?}"),
            format!("{of_whole:?}"),
            "{:?}",
            names
        );
        let of_part = part.outputs.fields_of_block(block);
        let of_whole = whole.outputs.fields_of_block(block);
        prop_assert_eq!(
            format!("{of_part:?}"),
            format!("{of_whole:?}"),
            "{:?}",
            names
        );
    }
    Ok(())
}

/// What may refuse a course: a restriction that cannot be understood.
const STRICT: [&str; 2] = ["content_type_gate", "user_partitions"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_a_course_holds_every_user_is_shown_something_or_told_why_not(
        course in anything(),
        dice in any::<u64>(),
        start in 0..12_usize,
    ) {
        let user = anybody(&course, dice);
        let start = course.key(start.min(course.blocks.len() - 1));
        let store = Arc::new(Store::with_engine(Arc::new(MemoryEngine::new())));
        let mut registry = Registry::standard();
        registry.register(LooksAtEverything).unwrap();
        let registry = Arc::new(registry);
        let key = Anything::course_key();
        let manager = joined(Manager::new(store, registry, Arc::new(course.clone())));
        let updated = manager.update(&key, &UpdateOptions::default()).unwrap();
        let mut names: Vec<_> = manager.registry().names().collect();
        names.retain(|name| *name != LOOKS_AT_EVERYTHING);
        for (name, error) in &updated.failures {
            let error = format!("{error:?}");
            prop_assert!(STRICT.contains(&name.as_str()), "{name}: {error}");
            prop_assert!(error.contains("group_access"), "{name}: {error}");
            names.retain(|kept| kept != name);
        }
        for only in names.iter().map(std::slice::from_ref).chain([names.as_slice()]) {
            check_part(&manager, only, &user, &start)?;
        }
        for start in [None, Some(&start)] {
            let seen = manager.get_transformed(&key, &names, &user, start);
            prop_assert!(seen.is_ok(), "{seen:?}");
            // Alone, each meets what the others would have taken away.
            for name in &names {
                let seen = manager.get_transformed(&key, &[name], &user, start);
                prop_assert!(seen.is_ok(), "{name}: {seen:?}");
            }
        }
    }
}
