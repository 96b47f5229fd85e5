//! What the stock transformers do for a user, by their rules, on a course that has a case for each.
//! What the original's results cover is in tests/conformance; here is what they leave out.

#![cfg(feature = "olx")]

#[path = "common/joined.rs"]
mod joined;
#[path = "common/one_course.rs"]
mod one_course;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use courseblocks::engine::MemoryEngine;
use courseblocks::modulestore::{
    Block, Body, Course, CourseBuilder, GroupId, PartitionId, SourceVersion, UserPartition, olx,
};
use courseblocks::transformer::standard::{
    EffortEstimation, Grades, LibraryContent, Milestones, MilestonesCourse, StoredPartition,
    StudentView, UserPartitions, UserPartitionsCourse,
};
use courseblocks::transformer::{Collected, Data, LearnerDates, LearnerMilestones, Transformation};
use courseblocks::{
    CourseKey, ErrorKind, FieldMap, FieldValue, Manager, Registry, RemovalFilter, Result, Store,
    Timestamp, Transformed, Transformer, UpdateOptions, UsageKey, UserContext, Versions,
};
use joined::joined;
use one_course::OneCourse;
use serde::Serialize;
use serde::de::DeserializeOwned;

struct Fixture {
    course: CourseKey,
    manager: Manager,
}

impl Fixture {
    fn new(course: Course) -> Self {
        Self::with(course, Registry::standard())
    }

    fn with(course: Course, registry: Registry) -> Self {
        let store = Arc::new(Store::with_engine(Arc::new(MemoryEngine::new())));
        let key = course.key().clone();
        let courses = Arc::new(OneCourse(course));
        let manager = joined(Manager::new(store, Arc::new(registry), courses));
        let updated = manager.update(&key, &UpdateOptions::default()).unwrap();
        assert_eq!(updated.failures.len(), 0, "{:?}", updated.failures);
        Self {
            course: key,
            manager,
        }
    }

    fn everything() -> Self {
        Self::new(everything())
    }

    fn key(&self, id: &str) -> UsageKey {
        let structure = self.manager.get_published(&self.course).unwrap().structure;
        let mut keys = structure.keys().as_slice().iter();
        let key = keys.find(|key| key.block_id() == id);
        key.unwrap_or_else(|| panic!("there is no {id}")).clone()
    }

    fn seen(&self, names: &[&str], user: &UserContext) -> Transformed {
        let seen = self
            .manager
            .get_transformed(&self.course, names, user, None);
        seen.unwrap()
    }

    /// The ids of what a user sees after all transformers.
    fn ids(&self, user: &UserContext) -> BTreeSet<String> {
        let registry = self.manager.registry();
        let names: Vec<_> = registry.names().collect();
        ids(&self.seen(&names, user))
    }
}

fn everything() -> Course {
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/everything");
    olx::read(place.as_ref(), &olx::Limits::default()).unwrap()
}

fn ids(seen: &Transformed) -> BTreeSet<String> {
    let blocks = seen.structure.blocks();
    blocks
        .map(|block| seen.structure.key(block).block_id().to_owned())
        .collect()
}

#[track_caller]
fn check(seen: &BTreeSet<String>, there: &[&str], not_there: &[&str]) {
    for id in there {
        assert!(seen.contains(*id), "{id} is not in {seen:?}");
    }
    for id in not_there {
        assert!(!seen.contains(*id), "{id} is in {seen:?}");
    }
}

fn date(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// After week two has begun, and after the homework was due.
fn visitor() -> UserContext {
    UserContext::new(date("2026-04-01T00:00:00Z"))
}

/// Who has passed the entrance exam, and nothing else to show.
fn learner() -> UserContext {
    let mut user = visitor();
    user.milestones = Some(LearnerMilestones::default());
    user
}

// Groups.

const COHORTS: PartitionId = PartitionId::new(1000);
const EXPERIMENT: PartitionId = PartitionId::new(2000);

#[test]
fn a_learner_sees_what_is_for_their_groups_and_their_arm_of_an_experiment() {
    let fixture = Fixture::everything();
    let mut morning = learner();
    morning.groups = BTreeMap::from([(COHORTS, GroupId::new(1)), (EXPERIMENT, GroupId::new(10))]);
    check(
        &fixture.ids(&morning),
        &["for-mornings", "for-both", "rule", "rule-text", "unused"],
        &["example", "two-ways", "verified"],
    );
    let mut evening = learner();
    evening.groups = BTreeMap::from([(COHORTS, GroupId::new(2)), (EXPERIMENT, GroupId::new(11))]);
    evening
        .groups
        .insert(PartitionId::ENROLLMENT_TRACK, GroupId::new(2));
    check(
        &fixture.ids(&evening),
        &["for-both", "example", "verified", "verified-text"],
        &["for-mornings", "morning-news", "rule"],
    );
}

#[test]
fn who_has_no_group_or_one_that_there_is_not_sees_nothing_that_is_restricted() {
    let fixture = Fixture::everything();
    let restricted = ["for-mornings", "for-both", "rule", "example", "verified"];
    check(
        &fixture.ids(&learner()),
        &["reading", "unused"],
        &restricted,
    );
    let mut lost = learner();
    lost.groups.insert(COHORTS, GroupId::new(3));
    lost.groups
        .insert(PartitionId::ENROLLMENT_TRACK, GroupId::new(999));
    check(&fixture.ids(&lost), &["reading"], &restricted);
}

/// A course with a page for each of these values of `group_access`.
fn restricted(pages: &[&[(i64, i64)]], partitions: Option<Vec<UserPartition>>) -> Course {
    let key: CourseKey = "course-v1:O+C+R".parse().unwrap();
    let root = key.usage_key("course", "course").unwrap();
    let version = SourceVersion::new("1").unwrap();
    let mut builder = CourseBuilder::new(key.clone(), root.clone(), version);
    for (number, access) in pages.iter().enumerate() {
        let page = key.usage_key("html", &format!("page-{number}")).unwrap();
        builder.add_child(&root, &page);
        let access = access.iter().map(|(partition, group)| {
            let groups = FieldValue::List(vec![FieldValue::Int(*group)]);
            (partition.to_string(), groups)
        });
        let mut block = Block::default();
        let access = FieldValue::Dict(access.collect());
        block.fields.insert("group_access".to_owned(), access);
        builder.define(page, block);
    }
    if let Some(partitions) = partitions {
        builder.set_dynamic_partitions(partitions);
    }
    builder.build().unwrap()
}

#[test]
fn a_group_that_its_partition_does_not_have_lets_nobody_in() {
    let fixture = Fixture::new(restricted(&[&[(50, 99)], &[(50, 2)]], None));
    let mut user = visitor();
    let track = PartitionId::ENROLLMENT_TRACK;
    user.groups.insert(track, GroupId::new(99));
    let seen = ids(&fixture.seen(&["user_partitions"], &user));
    check(&seen, &["course"], &["page-0", "page-1"]);
    user.groups.insert(track, GroupId::new(2));
    let seen = ids(&fixture.seen(&["user_partitions"], &user));
    check(&seen, &["page-1"], &["page-0"]);
}

/// The quirk of the original: the walk goes on at the place of the block that was removed, so it
/// passes over the next one.
#[test]
fn of_denied_siblings_the_filter_of_messages_passes_over_every_other_one() {
    let pages: [&[_]; 5] = [&[(50, 2)], &[(50, 2)], &[(50, 2)], &[], &[(50, 2)]];
    let fixture = Fixture::new(restricted(&pages, None));
    let mut user = visitor();
    user.denial_messages
        .insert(PartitionId::ENROLLMENT_TRACK, "Upgrade".to_owned());
    let names = ["user_partitions", "access_denied_message_filter"];
    let seen = ids(&fixture.seen(&names, &user));
    check(
        &seen,
        &["course", "page-1", "page-3"],
        &["page-0", "page-2", "page-4"],
    );
}

#[test]
fn what_is_denied_with_a_message_stays_for_clients_that_can_show_it() {
    let fixture = Fixture::everything();
    let mut user = learner();
    let message = "Upgrade to see this.";
    user.denial_messages
        .insert(PartitionId::ENROLLMENT_TRACK, message.to_owned());
    let seen = fixture.seen(&["user_partitions"], &user);
    let block = seen.structure.position(&fixture.key("verified")).unwrap();
    assert!(seen.structure.contains(block));
    let field = |name| seen.outputs.field_override(name, block)?.as_str();
    assert_eq!(field("authorization_denial_message"), Some(message));
    assert_eq!(
        field("authorization_denial_reason"),
        Some("Enrollment Track Groups")
    );
    let filtered = ["user_partitions", "access_denied_message_filter"];
    check(&ids(&fixture.seen(&filtered, &user)), &[], &["verified"]);
}

#[test]
fn partitions_that_the_platform_adds_are_those_that_the_module_store_says() {
    let ids = |course: Course| ids(&Fixture::new(course).seen(&["user_partitions"], &visitor()));
    let course = |partitions| restricted(&[&[(50, 2)]], partitions);
    // Who is told nothing is strict, …
    check(&ids(course(None)), &["course"], &["page-0"]);
    // … and a platform without tracks restricts nothing by them.
    check(&ids(course(Some(Vec::new()))), &["page-0"], &[]);
    let mut inactive = UserPartition::stock();
    inactive[0].is_active = false;
    check(&ids(course(Some(inactive))), &["page-0"], &[]);
}

#[test]
fn a_restriction_that_cannot_be_understood_is_an_error_and_not_left_out() {
    for access in [
        FieldValue::Int(5),
        FieldValue::Dict([("x".to_owned(), FieldValue::Null)].into()),
        FieldValue::Dict([("50".to_owned(), FieldValue::Int(2))].into()),
        FieldValue::Dict(
            [(
                "50".to_owned(),
                FieldValue::List(vec![FieldValue::String("2".to_owned())]),
            )]
            .into(),
        ),
    ] {
        let key: CourseKey = "course-v1:O+C+R".parse().unwrap();
        let root = key.usage_key("course", "course").unwrap();
        let version = SourceVersion::new("1").unwrap();
        let mut builder = CourseBuilder::new(key, root.clone(), version);
        let mut block = Block::default();
        block.fields.insert("group_access".to_owned(), access);
        builder.define(root.clone(), block);
        let error = UserPartitions
            .collect(&builder.build().unwrap())
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidCourse);
        assert!(error.to_string().contains(&root.to_string()), "{error}");
    }
}

#[test]
fn content_is_gated_where_it_is_graded_and_marked_all_the_way_up() {
    let fixture = Fixture::everything();
    let mut user = learner();
    user.content_gating_enabled = true;
    let seen = fixture.seen(&["content_type_gate"], &user);
    let of = |id: &str| {
        let block = seen.structure.position(&fixture.key(id)).unwrap();
        let marked = seen.outputs.field_override("contains_gated_content", block);
        let access = seen.outputs.field_override("group_access", block);
        (marked.is_some(), access.cloned())
    };
    let access = |entries: &[(i64, i64)]| {
        let entries = entries.iter().map(|(partition, group)| {
            let groups = FieldValue::List(vec![FieldValue::Int(*group)]);
            (partition.to_string(), groups)
        });
        Some(FieldValue::Dict(entries.collect()))
    };
    assert_eq!(of("exam-1"), (true, access(&[(51, 2)])));
    assert_eq!(
        of("morning-question"),
        (true, access(&[(51, 2), (1000, 1)]))
    );
    for above in ["exam-page", "exam", "week2", "for-mornings", "course"] {
        assert_eq!(of(above), (true, None), "{above}");
    }
    // Weighs nothing; not graded; not scored.
    for free in ["homework-2", "drawn-1", "long-text", "appendix"] {
        assert_eq!(of(free), (false, None), "{free}");
    }
    user.content_gating_enabled = false;
    let seen = fixture.seen(&["content_type_gate"], &user);
    let fields = |block| seen.outputs.fields_of_block(block);
    assert!(
        seen.structure
            .blocks()
            .all(|block| fields(block).is_empty())
    );
}

// Item banks.

const DRAWN: [&str; 4] = ["drawn-1", "drawn-2", "drawn-3", "drawn-4"];
const LIBRARY: [&str; 2] = ["library_content", "library_content_randomize"];

fn drawn_of(fixture: &Fixture, user: &UserContext) -> (Vec<String>, Transformed) {
    let seen = fixture.seen(&LIBRARY, user);
    let bank = seen.structure.position(&fixture.key("drawn")).unwrap();
    let children = seen.structure.children(bank);
    let ids = children.map(|child| seen.structure.key(child).block_id().to_owned());
    (ids.collect(), seen)
}

#[test]
fn what_was_drawn_is_told_to_be_saved_and_shown_in_its_order_ever_after() {
    let fixture = Fixture::everything();
    let bank = fixture.key("drawn");
    let mut user = learner();
    let mut draws = BTreeSet::new();
    for seed in 0..100 {
        user.seed = Some(seed);
        user.selections.clear();
        let (first, seen) = drawn_of(&fixture, &user);
        assert_eq!(first.len(), 3);
        let selection = &seen.outputs.selections()[&bank];
        assert_eq!(selection.added.len(), 3);
        assert_eq!(selection.dropped, []);
        let saved: Vec<_> = selection.selected.iter().map(UsageKey::block_id).collect();
        assert_eq!(first, saved);
        assert_eq!(drawn_of(&fixture, &user).0, first, "the same seed");

        // Saved, and asked again with another seed: it stays.
        let mut later = learner();
        later.seed = Some(seed + 1);
        for (bank, selection) in seen.outputs.selections() {
            later
                .selections
                .insert(bank.clone(), selection.selected.clone());
        }
        let (again, seen) = drawn_of(&fixture, &later);
        assert_eq!(again, first);
        assert!(seen.outputs.selections().is_empty());
        draws.insert(first);
    }
    // Of 4 · 3 · 2 = 24 ways; that a fair draw misses more than 4 of them is out of the question.
    assert!(draws.len() >= 20, "{} ways", draws.len());
}

#[test]
fn a_selection_that_does_not_fit_any_more_is_reduced_or_completed() {
    let fixture = Fixture::everything();
    let bank = fixture.key("drawn");
    let stored = |ids: &[&str]| -> Vec<UsageKey> {
        let gone = fixture.course.usage_key("problem", "gone").unwrap();
        let kept = ids.iter().map(|id| fixture.key(id));
        kept.chain([gone]).collect()
    };
    for seed in 0..20 {
        let mut user = learner();
        user.seed = Some(seed);
        user.selections.insert(bank.clone(), stored(&["drawn-2"]));
        let (shown, seen) = drawn_of(&fixture, &user);
        assert!(shown.len() == 3 && shown.contains(&"drawn-2".to_owned()));
        assert_eq!(seen.outputs.selections()[&bank].added.len(), 2);

        user.selections.insert(bank.clone(), stored(&DRAWN));
        let (shown, seen) = drawn_of(&fixture, &user);
        assert_eq!(shown.len(), 3);
        let dropped = &seen.outputs.selections()[&bank].dropped;
        assert_eq!(dropped.len(), 1);
        assert!(!shown.contains(&dropped[0].block_id().to_owned()));
    }
}

#[test]
fn without_a_seed_nothing_is_left_to_chance() {
    let fixture = Fixture::everything();
    let bank = fixture.key("drawn");
    let mut user = learner();
    let (shown, seen) = drawn_of(&fixture, &user);
    assert_eq!(shown, [] as [&str; 0], "three of four would be a choice");
    // Two of two are none.
    check(&ids(&seen), &["bank-1", "bank-2"], &[]);
    let changed: Vec<_> = seen.outputs.selections().keys().collect();
    assert_eq!(changed, [&fixture.key("bank")]);

    let stored: Vec<_> = ["drawn-4", "drawn-1"].map(|id| fixture.key(id)).into();
    user.selections.insert(bank.clone(), stored);
    assert_eq!(drawn_of(&fixture, &user).0, ["drawn-4", "drawn-1"]);
    let stored: Vec<_> = DRAWN.iter().rev().map(|id| fixture.key(id)).collect();
    user.selections.insert(bank, stored);
    assert_eq!(
        drawn_of(&fixture, &user).0,
        ["drawn-4", "drawn-3", "drawn-2"]
    );
}

#[test]
fn staff_are_shown_a_draw_like_anybody_else() {
    let fixture = Fixture::everything();
    let mut user = visitor();
    user.is_staff = true;
    user.seed = Some(1);
    assert_eq!(drawn_of(&fixture, &user).0.len(), 3);
}

// Milestones and exams.

#[test]
fn whoever_is_not_known_to_have_passed_sees_the_entrance_exam_alone() {
    let fixture = Fixture::everything();
    check(
        &fixture.ids(&visitor()),
        &["course", "entrance", "entrance-1"],
        &["week1", "week2", "reading"],
    );
    check(
        &fixture.ids(&learner()),
        &["entrance", "week1", "week2"],
        &[],
    );
    let mut staff = visitor();
    staff.is_staff = true;
    check(&fixture.ids(&staff), &["entrance", "week1", "exam"], &[]);
}

#[test]
fn required_content_is_shown_alone_unless_the_learner_is_excused() {
    let fixture = Fixture::everything();
    let mut user = learner();
    let held_by = |ids: &[&str], can_skip_entrance_exam| {
        let required_content = ids.iter().map(|id| fixture.key(id)).collect();
        Some(LearnerMilestones {
            required_content,
            can_skip_entrance_exam,
            ..LearnerMilestones::default()
        })
    };
    user.milestones = held_by(&["entrance"], false);
    check(&fixture.ids(&user), &["entrance"], &["week1", "week2"]);
    user.milestones = held_by(&["entrance"], true);
    check(&fixture.ids(&user), &["entrance", "week1", "week2"], &[]);
    user.milestones = held_by(&["entrance", "week2"], true);
    check(&fixture.ids(&user), &["week2"], &["entrance", "week1"]);
}

#[test]
fn what_is_pending_and_what_is_an_exam_goes_unless_it_is_asked_for() {
    let fixture = Fixture::everything();
    let mut user = learner();
    let pending = BTreeSet::from([fixture.key("appendix")]);
    user.milestones.as_mut().unwrap().pending = pending;
    let exams = ["exam", "exam-1", "proctored"];
    check(&fixture.ids(&user), &["week2"], &exams);
    check(&fixture.ids(&user), &[], &["appendix", "appendix-text"]);
    user.include_gated_sections = true;
    check(&fixture.ids(&user), &["appendix"], &exams);

    user.include_special_exams = true;
    let info = FieldMap::from([(
        "status".to_owned(),
        FieldValue::String("started".to_owned()),
    )]);
    for id in ["exam", "lesson"] {
        user.special_exam_info.insert(fixture.key(id), info.clone());
    }
    let seen = fixture.seen(&["milestones"], &user);
    check(&ids(&seen), &exams, &[]);
    let told = |id: &str| {
        let block = seen.structure.position(&fixture.key(id)).unwrap();
        let told = seen.outputs.value("milestones", "special_exam_info", block);
        told.cloned()
    };
    assert_eq!(told("exam"), Some(FieldValue::Dict(info)));
    assert_eq!(told("lesson"), None, "it is no exam");
}

#[test]
fn exams_and_the_entrance_exam_are_collected_under_the_names_of_this_run() {
    let fixture = Fixture::everything();
    let get = |id: &str| {
        let key = fixture.key(id);
        let block = fixture
            .manager
            .get_block(&fixture.course, &Milestones, &key);
        let block = block.unwrap().unwrap();
        [
            block.is_timed_exam,
            block.is_proctored_enabled,
            block.is_practice_exam,
        ]
    };
    assert_eq!(get("exam"), [true, false, false]);
    assert_eq!(get("proctored"), [true, true, true]);
    assert_eq!(get("lesson"), [false; 3]);
    let collected = Milestones.collect(&everything()).unwrap();
    let exam = fixture.key("entrance").to_string();
    assert_eq!(collected.course().entrance_exam_id, Some(exam));
}

// Dates and fields of a learner's own.

#[test]
fn an_extension_keeps_a_block_open_after_the_date_for_all() {
    let fixture = Fixture::everything();
    let names = ["load_date_data", "load_override_data", "hidden_content"];
    let mut user = learner();
    check(&ids(&fixture.seen(&names, &user)), &[], &["homework"]);
    // What is below has dates of its own: inherited ones, in the export.
    let below = [
        "homework",
        "homework-page",
        "homework-1",
        "homework-2",
        "tool",
    ];
    for id in below {
        let due = Some(date("2026-05-01T00:00:00Z"));
        let dates = LearnerDates {
            due,
            ..LearnerDates::default()
        };
        user.dates.insert(fixture.key(id), dates);
    }
    check(&ids(&fixture.seen(&names, &user)), &below, &[]);
    // A later transformer has the last word; other fields are none of its business.
    let overrides = FieldMap::from([
        (
            "due".to_owned(),
            FieldValue::Date(date("2026-02-02T00:00:00Z")),
        ),
        ("graded".to_owned(), FieldValue::Bool(false)),
        (
            "display_name".to_owned(),
            FieldValue::String("Yours".to_owned()),
        ),
    ]);
    user.field_overrides.insert(fixture.key("tool"), overrides);
    check(
        &ids(&fixture.seen(&names, &user)),
        &["homework-1"],
        &["tool"],
    );
    let seen = fixture.seen(&names[..2], &user);
    let tool = seen.structure.position(&fixture.key("tool")).unwrap();
    let fields = seen.outputs.fields_of_block(tool);
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["display_name", "due"]);
}

// Effort.

fn efforts(
    fixture: &Fixture,
    user: &UserContext,
) -> impl Fn(&str) -> (Option<i64>, Option<i64>) + use<> {
    let seen = fixture.seen(&["effort_estimation"], user);
    let keys: BTreeMap<_, _> = seen
        .structure
        .blocks()
        .map(|block| (seen.structure.key(block).block_id().to_owned(), block))
        .collect();
    move |id| {
        let field = |name| seen.outputs.field_override(name, keys[id])?.as_int();
        (field("effort_time"), field("effort_activities"))
    }
}

#[test]
fn effort_is_text_and_video_and_one_activity_for_a_unit_of_anything_else() {
    let fixture = Fixture::everything();
    let effort = efforts(&fixture, &learner());
    // 302 words at 265 a minute are 68.4 seconds; of the lecture, 90 are shown.
    assert_eq!(effort("long-text"), (Some(69), Some(0)));
    assert_eq!(effort("lecture"), (Some(90), Some(0)));
    assert_eq!(effort("desk-only"), (Some(60), Some(0)));
    // A discussion is not estimated, and one activity for the unit.
    assert_eq!(effort("talk"), (None, None));
    assert_eq!(effort("reading"), (Some(69 + 90 + 60), Some(1)));
    assert_eq!(effort("homework-page"), (None, Some(1)), "of three");
    assert_eq!(effort("homework"), (None, Some(1)));
    // An experiment is no container that is known: an activity of its own.
    assert_eq!(effort("experiment"), (None, Some(1)));

    let mut mobile = learner();
    mobile.is_on_mobile = true;
    let effort = efforts(&fixture, &mobile);
    assert_eq!(effort("lecture"), (Some(181), Some(0)), "all of 180.5");
    assert_eq!(effort("desk-only"), (None, Some(0)), "not on mobiles");

    let mut off = learner();
    off.disable_effort_estimation = true;
    assert_eq!(efforts(&fixture, &off)("long-text"), (None, None));
}

#[test]
fn a_single_page_or_video_that_cannot_be_measured_ends_all_estimates() {
    #[track_caller]
    fn check(block_type: &str, body: Body, fields: &[(&str, FieldValue)], is_estimated: bool) {
        let key: CourseKey = "course-v1:O+C+R".parse().unwrap();
        let root = key.usage_key("course", "course").unwrap();
        let version = SourceVersion::new("1").unwrap();
        let mut builder = CourseBuilder::new(key.clone(), root.clone(), version);
        let page = key.usage_key("html", "page").unwrap();
        let odd = key.usage_key(block_type, "odd").unwrap();
        builder.add_child(&root, &page);
        builder.add_child(&root, &odd);
        let text = |text: &str| Body::Text {
            path: None,
            text: text.to_owned(),
        };
        let block = |body| Block {
            body,
            ..Block::default()
        };
        builder.define(page, block(text("<p>a few words</p>")));
        let mut block = block(body);
        let fields = fields.iter();
        block.fields = fields
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        builder.define(odd, block);
        let course = builder.build().unwrap();
        let collected = EffortEstimation.collect(&course).unwrap();
        assert_eq!(collected.course().disable_estimation, !is_estimated);
        let fixture = Fixture::new(course);
        let expected = if is_estimated { Some(1) } else { None };
        assert_eq!(efforts(&fixture, &learner())("page").0, expected);
    }
    let text = |text: &str| Body::Text {
        path: None,
        text: text.to_owned(),
    };
    check("html", Body::None, &[], true);
    check("html", text(""), &[], true);
    check("html", text(" \n"), &[], false);
    check("problem", text(" "), &[], true);
    check("video", Body::None, &[], false);
    check(
        "video",
        text(r#"<video><video_asset duration="0.0"/></video>"#),
        &[],
        false,
    );
    check(
        "video",
        text(r#"<video><video_asset duration="x"/></video>"#),
        &[],
        false,
    );
    // Not so in the effort of the page, which is all that is looked at.
    check(
        "video",
        text(r#"<video><video_asset duration="7"/></video>"#),
        &[],
        true,
    );
    check(
        "video",
        Body::None,
        &[("duration", FieldValue::Float(7.0))],
        true,
    );
    check(
        "video",
        Body::None,
        &[("duration", FieldValue::Float(f64::NAN))],
        false,
    );
    check(
        "video",
        Body::None,
        &[("duration", FieldValue::Float(1e300))],
        true,
    );
}

// Views.

#[test]
fn views_are_told_of_the_types_that_were_asked_for() {
    let fixture = Fixture::everything();
    let mut user = learner();
    let view = |seen: &Transformed, id: &str| {
        let block = seen.structure.position(&fixture.key(id)).unwrap();
        let name = "blocks_api:student_view";
        let devices = seen.outputs.value(name, "student_view_multi_device", block);
        let data = seen.outputs.value(name, "student_view_data", block);
        (
            devices.and_then(FieldValue::as_bool),
            data.and_then(FieldValue::as_dict).cloned(),
        )
    };
    let seen = fixture.seen(&["blocks_api:student_view"], &user);
    assert_eq!(view(&seen, "long-text"), (Some(true), None));
    assert_eq!(view(&seen, "exam-1"), (Some(false), None));

    user.requested_student_view_data = vec!["discussion".to_owned()];
    let seen = fixture.seen(&["blocks_api:student_view"], &user);
    assert_eq!(view(&seen, "long-text"), (Some(true), None));
    assert!(view(&seen, "talk").1.is_some());

    user.requested_student_view_data = ["html", "video", "discussion"].map(str::to_owned).into();
    let seen = fixture.seen(&["blocks_api:student_view"], &user);
    let data = |id: &str| view(&seen, id).1;
    assert_eq!(
        data("long-text").unwrap()["enabled"],
        FieldValue::Bool(false)
    );
    let topic = FieldValue::String("topic-7".to_owned());
    assert_eq!(data("talk").unwrap()["topic_id"], topic);
    let web = FieldMap::from([("only_on_web".to_owned(), FieldValue::Bool(true))]);
    assert_eq!(data("desk-only"), Some(web));
    assert_eq!(data("lecture"), None, "its files are not in the export");

    let mut registry = Registry::standard();
    registry.replace(StudentView::with_pages()).unwrap();
    let telling = Fixture::with(everything(), registry);
    let seen = telling.seen(&["blocks_api:student_view"], &user);
    let page = view(&seen, "rule-text").1.unwrap();
    assert_eq!(page["html"].as_str(), Some("<p>First the rule.</p>"));
}

#[test]
fn a_table_of_contents_leaves_out_what_is_hidden_from_it() {
    let fixture = Fixture::everything();
    let mut user = learner();
    user.nav_depth = Some(1);
    let names = ["blocks_api:block_depth", "blocks_api:block_navigation"];
    let seen = fixture.seen(&names, &user);
    let list = |id: &str| -> Option<Vec<String>> {
        let block = seen.structure.position(&fixture.key(id)).unwrap();
        let name = "blocks_api:block_navigation";
        let list = seen.outputs.value(name, "block_nav", block)?.as_list()?;
        let keys = list
            .iter()
            .map(|key| key.as_str().unwrap().parse().unwrap());
        Some(
            keys.map(|key: UsageKey| key.block_id().to_owned())
                .collect(),
        )
    };
    let chapters = ["entrance", "week1", "week2"];
    assert_eq!(list("course").unwrap(), chapters);
    let week2 = list("week2").unwrap();
    assert!(week2.contains(&"exam-1".to_owned()), "{week2:?}");
    assert!(!week2.contains(&"appendix".to_owned()), "{week2:?}");
    assert!(!week2.contains(&"appendix-text".to_owned()), "{week2:?}");
    assert_eq!(list("exam"), None, "it is deeper than that");
}

// Grades.

#[test]
fn grades_are_collected_as_far_as_an_export_tells() {
    let fixture = Fixture::everything();
    let get = |id: &str| {
        let key = fixture.key(id);
        let block = fixture.manager.get_block(&fixture.course, &Grades, &key);
        block.unwrap().unwrap()
    };
    let homework = get("homework-1");
    assert_eq!(homework.format, None, "formats are not inherited");
    assert_eq!(get("homework").format.as_deref(), Some("Homework"));
    assert_eq!(homework.show_correctness.as_deref(), Some("past_due"));
    assert_eq!(homework.due, Some(date("2026-02-01T00:00:00Z")));
    assert_eq!(homework.explicit_graded, Some(false), "its unit says so");
    assert_eq!(get("homework-2").explicit_graded, Some(true));
    assert_eq!(get("exam-1").explicit_graded, None);
    assert!(get("exam-1").graded && get("exam-1").has_score);
    let tool = get("tool");
    assert!(tool.has_score && !get("long-text").has_score);
    assert_eq!((tool.weight, tool.max_score), (Some(2.5), None));
    let published = fixture.manager.get_published(&fixture.course).unwrap();
    let homework = published.structure.position(&fixture.key("homework"));
    assert_eq!(tool.subsections, [homework.unwrap().get()]);
    assert!(get("week1").subsections.is_empty());
}

// Missing data.

#[test]
fn a_block_of_which_nothing_was_collected_is_hidden() {
    let key: CourseKey = "course-v1:O+C+R".parse().unwrap();
    let root = key.usage_key("course", "course").unwrap();
    let bank = key.usage_key("itembank", "bank").unwrap();
    let child = key.usage_key("problem", "child").unwrap();
    let version = SourceVersion::new("1").unwrap();
    let mut builder = CourseBuilder::new(key, root.clone(), version);
    builder.add_child(&root, &bank);
    builder.add_child(&bank, &child);
    let course = builder.build().unwrap();
    let mut registry = Registry::new();
    let cohorts = StoredPartition {
        id: COHORTS,
        name: "Cohorts".to_owned(),
        groups: Vec::new(),
    };
    let user_partitions = vec![cohorts];
    let for_course = move || UserPartitionsCourse {
        user_partitions: user_partitions.clone(),
    };
    registry
        .register(Forgetful::new(UserPartitions, for_course))
        .unwrap();
    registry
        .register(Forgetful::new(LibraryContent, || ()))
        .unwrap();
    let for_course = || MilestonesCourse {
        entrance_exam_id: None,
    };
    registry
        .register(Forgetful::new(Milestones, for_course))
        .unwrap();
    let fixture = Fixture::with(course, registry);
    let mut user = learner();
    user.seed = Some(1);
    let left = |name: &str| ids(&fixture.seen(&[name], &user));
    assert_eq!(left("user_partitions"), BTreeSet::new());
    assert_eq!(left("milestones"), BTreeSet::new());
    check(&left("library_content"), &["bank"], &["child"]);
}

/// Collects nothing for any block, and decides as the transformer in it does.
struct Forgetful<T, C> {
    inner: T,
    for_course: Box<dyn Fn() -> C + Send + Sync>,
}

impl<T, C> Forgetful<T, C> {
    fn new(inner: T, for_course: impl Fn() -> C + Send + Sync + 'static) -> Self {
        let for_course = Box::new(for_course);
        Self { inner, for_course }
    }
}

impl<T, C> Transformer for Forgetful<T, C>
where
    T: for<'a> Transformer<CourseData<'a> = C>,
    C: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    type BlockData<'a> = T::BlockData<'a>;
    type CourseData<'a> = C;

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn versions(&self) -> Versions {
        self.inner.versions()
    }

    fn collect<'a>(&self, course: &'a Course) -> Result<Collected<T::BlockData<'a>, C>> {
        let width = course.structure().width();
        Ok(Collected::new(width, (self.for_course)()))
    }

    fn filters<'a>(
        &'a self,
        data: &'a Data<T::BlockData<'_>, C>,
        transformation: &mut Transformation<'_>,
    ) -> Option<Vec<RemovalFilter<'a>>> {
        self.inner.filters(data, transformation)
    }

    fn transform(
        &self,
        data: &Data<T::BlockData<'_>, C>,
        transformation: &mut Transformation<'_>,
    ) -> Result<()> {
        self.inner.transform(data, transformation)
    }
}
